/* remote_wire - what the two halves of remote.h say to each other. */
#ifndef CAIRN_STATE_REMOTE_WIRE_H
#define CAIRN_STATE_REMOTE_WIRE_H

#include "state/frame.h"
#include "state/remote.h"

/* Bodies.  Answers carry the id of what they answer; EVENTS that of WATCH.
 *   error:  u32 code, str text
 *   kv:     str key, bytes value, i64 create, i64 mod, i64 lease          */
enum remote_type {
    REMOTE_RANGE = 1, /* str prefix */
    REMOTE_TXN,       /* u32 n, n x (str key, u32 type, i64 rev),
                         u32 n, n x (str key, bytes value, i64 lease) */
    REMOTE_WATCH,     /* str prefix, i64 from */
    REMOTE_UNWATCH,   /* - */
    REMOTE_CONTROL,   /* u32 what, i64 number */
    REMOTE_CALL,      /* str op, str json */
    /* from the server */
    REMOTE_ROWS,     /* u32 n, n x kv; any number of them before DONE */
    REMOTE_DONE,     /* of RANGE, CONTROL: error, i64 number */
    REMOTE_TXN_DONE, /* u32 status, i64 revision, error */
    REMOTE_EVENTS,   /* u32 what, i64 revision, u32 n, n x kv */
    REMOTE_REPLY,    /* of CALL: error, bytes json; perhaps a descriptor */
    REMOTE_PUSH,     /* str name, str json; a descriptor */
};

enum remote_control {
    CONTROL_GRANT, /* number: ttl -> lease */
    CONTROL_KEEPALIVE,
    CONTROL_REVOKE,
    CONTROL_COMPACT,
    N_CONTROLS
};

/* To the server: one txn and its framing.  From it: a revision's events. */
#define REMOTE_TO_SERVER_MAX                                                   \
    (STORE_TXN_MAX + REMOTE_JSON_MAX + STORE_OPS_MAX * 32 + 4096)
#define REMOTE_TO_FACE_MAX ((size_t)64 << 20)
#define REMOTE_OUT_MAX     (2 * REMOTE_TO_FACE_MAX)

static inline void put_error(struct buf *b, const struct error *e)
{
    put_u32(b, e->code);
    put_str(b, e->code ? e->text : "");
}

static inline void put_kv(struct buf *b, const struct kv *kv)
{
    put_str(b, kv->key);
    put_bytes(b, kv->value, kv->len);
    put_i64(b, kv->create_rev);
    put_i64(b, kv->mod_rev);
    put_i64(b, kv->lease);
}

#endif
