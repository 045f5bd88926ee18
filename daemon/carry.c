#include "daemon/carry.h"

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "model/migration.h"
#include "model/pool.h"

#include <string.h>
#include <time.h>

#define LOG_NAME  "carry"
#define PIECE_MAX ((size_t)256 << 10)
#define TEXT_MAX  512

static bool same(const char *a, const char *b)
{
    return a && b && strcmp(a, b) == 0;
}

const char *carry_permits(const struct snapshot *snap, const char *node,
                          const char *disk_id, struct error *err)
{
    const struct disk *d = snap_get(snap, &kind_disk, disk_id);
    const struct disk *from =
        d ? snap_get(snap, &kind_disk, d->source_id) : NULL;
    const struct server *s =
        d ? snap_get(snap, &kind_server, d->server_id) : NULL;
    const struct migration *m = s ? server_migration(snap, s) : NULL;
    if (from && m && migration_is_cold(m) && m->status == MIGRATION_MIGRATING &&
        d->state == DISK_WANTED && from->state == DISK_READY &&
        same(from->server_id, s->rec.id) && same(from->node, node) &&
        same(s->node, node) && same(d->node, m->dest))
        return from->rec.id;
    error_set(err, ERR_UNAVAILABLE, "disk %s is not on its way from here",
              disk_id);
    return NULL;
}

static int patience(const struct carry *c)
{
    return c->patience_s ? c->patience_s : CARRY_PATIENCE_S;
}

/* ---- answering ----------------------------------------------------------- */

int64_t carry_pace(_Atomic int64_t *free_at, int64_t now, size_t len,
                   int64_t mib_s)
{
    int64_t was = *free_at, begin;
    if (mib_s <= 0)
        return 0;
    int64_t takes = (int64_t)len * SECOND_US / (mib_s << 20);
    do
        begin = was > now ? was : now;
    while (!atomic_compare_exchange_weak(free_at, &was, begin + takes));
    return begin - now;
}

/* What is to be sent, until it is worth sending. */
struct outlet {
    struct carry *carry;
    struct peer *peer;
    struct buf piece;
};

static void keep_pace(struct outlet *o)
{
    int64_t us = carry_pace(&o->carry->free_at, env_mono(&env_system),
                            o->piece.len, o->carry->config->copy_mib_s);
    const struct timespec t = { us / SECOND_US, us % SECOND_US * 1000 };
    if (us > 0)
        nanosleep(&t, NULL);
}

static bool flush(struct outlet *o, struct error *err)
{
    keep_pace(o);
    bool ok = o->piece.len <= 1 || peer_send(o->peer, &o->piece, err);
    buf_reset(&o->piece);
    buf_add(&o->piece, "D", 1);
    return ok;
}

static bool send_bytes(void *arg, const void *data, size_t len,
                       struct error *err)
{
    struct outlet *o = arg;
    for (const char *at = data; len;) {
        size_t room = PIECE_MAX - o->piece.len;
        size_t n = len < room ? len : room;
        buf_add(&o->piece, at, n);
        at += n;
        len -= n;
        if (o->piece.len == PIECE_MAX && !flush(o, err))
            return false;
    }
    return true;
}

static bool send_disk(struct carry *c, struct peer *peer, const char *disk_id,
                      struct error *err)
{
    struct outlet o = { c, peer, BUF_INIT(PIECE_MAX) };
    const struct byte_sink to = { send_bytes, &o };
    _autosnap_ struct snapshot *snap = cache_snapshot(c->cache);
    const char *source = carry_permits(snap, c->node, disk_id, err);
    bool ok =
        source && (c->volumes->ops->disk_export ||
                   error_set(err, ERR_NOT_IMPLEMENTED,
                             "the disks of node %s are not its own", c->node));
    buf_add(&o.piece, "D", 1);
    ok = ok && c->volumes->ops->disk_export(c->volumes, source, &to, err) &&
         flush(&o, err);
    buf_free(&o.piece);
    return ok;
}

static void send_end(struct peer *peer, bool ok, const struct error *why)
{
    struct error late;
    struct buf message = BUF_INIT(TEXT_MAX);
    if (ok)
        buf_add(&message, "E", 1);
    else
        buf_addf(&message, "X%d %s", (int)why->code, why->text);
    peer_send(peer, &message, &late);
    buf_free(&message);
}

void carry_answer(struct carry *c, struct peer *peer, const char *from)
{
    struct error err = { 0 };
    struct buf asked = BUF_INIT(STORE_KEY_MAX);
    peer_patience(peer, patience(c));
    if (peer_receive(peer, &asked, &err)) {
        log_info(LOG_NAME, "%s fetches disk %s", from, buf_str(&asked));
        bool ok = send_disk(c, peer, buf_str(&asked), &err);
        send_end(peer, ok, &err);
    }
    if (err.code != ERR_NONE)
        log_limited(LOG_WARN, LOG_NAME, "%s does not get disk %s: %s", from,
                    buf_str(&asked), err.text);
    buf_free(&asked);
}

/* ---- asking -------------------------------------------------------------- */

struct inlet {
    struct peer peer;
    struct buf piece;
    size_t at; /* of the piece, taken already */
};

/* Why the other side has ended it, as it says. */
static bool refused(const struct buf *message, struct error *err)
{
    _autofree_ char *text =
        xasprintf("%.*s", (int)message->len - 1, message->data + 1);
    char *words;
    long code = strtol(text, &words, 10);
    bool known = code > ERR_NONE && code < ERR_N_CODES;
    return error_set(err, known ? (enum error_code)code : ERR_INTERNAL, "%s",
                     *words == ' ' ? words + 1 : words);
}

static bool next_piece(struct inlet *in, struct error *err)
{
    in->at = 1;
    if (!peer_receive(&in->peer, &in->piece, err))
        return false;
    if (in->piece.len > 0 && in->piece.data[0] == 'X')
        return refused(&in->piece, err);
    return (in->piece.len > 1 && in->piece.data[0] == 'D') ||
           error_set(err, ERR_UNAVAILABLE, "the disk ended too early");
}

static bool take_bytes(void *arg, void *data, size_t len, struct error *err)
{
    struct inlet *in = arg;
    for (char *to = data; len;) {
        if (in->at >= in->piece.len && !next_piece(in, err))
            return false;
        size_t there = in->piece.len - in->at;
        size_t n = len < there ? len : there;
        memcpy(to, in->piece.data + in->at, n);
        in->at += n;
        to += n;
        len -= n;
    }
    return true;
}

static bool open_inlet(struct carry *c, struct inlet *in, const char *node,
                       struct error *err)
{
    struct pki now;
    _autofree_ char *dir = xasprintf("%s/pki", c->config->state_dir);
    _autosnap_ struct snapshot *snap = cache_snapshot(c->cache);
    const struct member *m = snap_get(snap, &kind_member, node);
    if (!m || !m->address)
        return error_set(err, ERR_UNAVAILABLE, "node %s has no address", node);
    if (!pki_read(dir, &now, err))
        return false;
    bool ok = peer_connect(&in->peer, m->address, c->config->peer_port,
                           PEER_DISK, &now, err);
    pki_close(&now);
    if (ok)
        peer_patience(&in->peer, patience(c));
    return ok;
}

bool carry_fetch(void *self, const char *node, const char *disk_id,
                 storage_take_fn *take, void *arg, struct error *err)
{
    struct inlet in = { .piece = BUF_INIT(PIECE_MAX) };
    const struct byte_source from = { take_bytes, NULL, &in };
    struct buf asked = BUF_INIT(STORE_KEY_MAX);
    if (!open_inlet(self, &in, node, err))
        return error_prefix(err, "node %s", node);
    buf_add(&asked, disk_id, strlen(disk_id));
    bool ok = peer_send(&in.peer, &asked, err) && take(arg, &from, err);
    buf_free(&asked);
    buf_free(&in.piece);
    peer_close(&in.peer);
    return ok;
}
