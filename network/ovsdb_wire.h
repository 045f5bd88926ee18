/*
 * ovsdb_wire - the pure half of the RFC 7047 (OVSDB) client: bytes to
 * messages, messages to a replica of tables.
 *
 * The protocol has no framing: a message ends where its JSON value ends, so
 * `ovsdb_frame_feed` counts braces outside strings, with a bound on size and
 * on depth.  What comes from a socket goes through here first; nothing here
 * does I/O, reads a clock or starts a thread, and all of it is fuzzed.
 *
 * Values are jansson values in CANONICAL form, in which equal database
 * values are json_equal(): a set of one is its element, other sets are
 * ["set", [sorted, no doubles]], a map is ["map", [[key, value] sorted]].
 * A REPLICA is one JSON object: table -> row UUID -> column -> value.
 */
#ifndef CAIRN_NETWORK_OVSDB_WIRE_H
#define CAIRN_NETWORK_OVSDB_WIRE_H

#include "common/buf.h"
#include "common/cleanup.h"
#include "common/error.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define OVSDB_MESSAGE_MAX ((size_t)256 << 20) /* bytes, a whole replica */
#define OVSDB_DEPTH_MAX   32                  /* nested arrays and objects */

/* ---- framing ----------------------------------------------------------- */

enum ovsdb_frame_status {
    OVSDB_FRAME_MORE, /* all bytes used, the message goes on */
    OVSDB_FRAME_DONE, /* f->text is one whole message */
    OVSDB_FRAME_BAD,  /* not a JSON object, too deep or too big: hang up */
};

struct ovsdb_frame {
    struct buf text; /* the message so far */
    size_t depth;
    bool in_string, escaped;
};

void ovsdb_frame_init(struct ovsdb_frame *f, size_t max);
void ovsdb_frame_free(struct ovsdb_frame *f);
void ovsdb_frame_next(struct ovsdb_frame *f); /* ready for the next message */
/* Takes bytes up to the end of one message; *used says how many. */
enum ovsdb_frame_status ovsdb_frame_feed(struct ovsdb_frame *f,
                                         const char *data, size_t len,
                                         size_t *used);

/* ---- messages ---------------------------------------------------------- */

enum ovsdb_message_kind {
    OVSDB_REPLY,  /* id, result, error */
    OVSDB_ECHO,   /* id, params: send them back */
    OVSDB_UPDATE, /* params[0] names the monitor, params[1] the changes */
    OVSDB_OTHER,  /* well-formed and of no interest */
};

struct ovsdb_message {
    enum ovsdb_message_kind kind;
    json_t *root; /* owns all below */
    const json_t *id, *result, *error, *params;
};

/* INVALID when the text is no JSON-RPC message of OVSDB. */
bool ovsdb_message_parse(struct ovsdb_message *m, const char *text, size_t len,
                         struct error *err);
void ovsdb_message_free(struct ovsdb_message *m);

/* The result of a "transact" of n_ops operations: true when each of them
 * worked.  Failures stand at the top level or as an `error` member inside
 * `result`; both are looked for.  CONFLICT: a constraint or reference is
 * violated; UNAVAILABLE: the server cannot now; INTERNAL: anything else. */
bool ovsdb_reply_check(const struct ovsdb_message *reply, size_t n_ops,
                       struct error *err);

/* ---- values ------------------------------------------------------------ */

json_t *ovsdb_uuid(const char *uuid);       /* ["uuid", uuid] */
json_t *ovsdb_named_uuid(const char *name); /* ["named-uuid", name] */
/* A set of an array's elements (stolen), canonical. */
json_t *ovsdb_set(json_t *elements);
/* A map of an object's members (stolen), canonical; values are strings. */
json_t *ovsdb_map(json_t *object);
/* A new reference; NULL when it is no OVSDB value. */
json_t *ovsdb_value_canonical(const json_t *value);
/* The text of a ["uuid", ..] or NULL. */
const char *ovsdb_value_uuid(const json_t *value);
/* Element i of a set (0-based), NULL past the end. */
const json_t *ovsdb_set_at(const json_t *set, size_t i);
bool ovsdb_set_has(const json_t *set, const json_t *element);
/* The string under a key of a map, or NULL. */
const char *ovsdb_map_get(const json_t *map, const char *key);

/* ---- replica ----------------------------------------------------------- */

/* Applies the <table-updates> of a monitor reply or update. */
bool ovsdb_replica_apply(json_t *replica, const json_t *updates,
                         struct error *err);
/* Do they change nothing but this column, of rows that were there? */
bool ovsdb_updates_only(const json_t *updates, const char *column);
/* Rows of a table (UUID -> row), or NULL when it has none. */
json_t *ovsdb_replica_table(const json_t *replica, const char *table);

#endif
