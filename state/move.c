#include "state/move.h"

#include "common/alloc.h"
#include "common/buf.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "state/etcd_rpc.h"
#include "state/switch.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#define BATCH_OPS    100
#define BATCH_BYTES  (STORE_VALUE_MAX * 2)
#define CLAIM        "move-id"
#define MARK_MAX     (MOVE_ENDPOINT_MAX * ENDPOINT_MAX + 32)
#define MARK_FIRST   "etcd 1\n"
#define REVISION_GAP 1000 /* beyond all that the old store may have told */
#define TIMEOUT_US   (5 * SECOND_US)

/* ---- small durable files ------------------------------------------------ */

/* "" if there is no such file. */
static bool read_file(const char *dir, const char *name, struct buf *out,
                      struct error *err)
{
    char bytes[4096];
    ssize_t n = 0;
    _autofree_ char *path = xasprintf("%s/%s", dir, name);
    _autoclose_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return true;
    while (fd >= 0 && (n = read(fd, bytes, sizeof(bytes))) > 0)
        buf_add(out, bytes, (size_t)n);
    if (fd < 0 || n < 0)
        return error_errno(err, ERR_INTERNAL, errno, "%s", path);
    return true;
}

static bool sync_dir(const char *dir)
{
    _autoclose_ int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd >= 0 && fsync(fd) == 0;
}

/* There with all its content, or not there. */
static bool write_file(const char *dir, const char *name, const char *text,
                       struct error *err)
{
    _autofree_ char *path = xasprintf("%s/%s", dir, name);
    _autofree_ char *fresh = xasprintf("%s/%s.new", dir, name);
    size_t len = strlen(text);
    _autoclose_ int fd =
        open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd >= 0 && write(fd, text, len) == (ssize_t)len && fsync(fd) == 0 &&
        rename(fresh, path) == 0 && sync_dir(dir))
        return true;
    return error_errno(err, ERR_INTERNAL, errno, "%s", path);
}

/* ---- the mark ---------------------------------------------------------- */

bool move_read_mark(const char *dir, struct move_mark *mark, struct error *err)
{
    struct buf text = BUF_INIT(MARK_MAX);
    *mark = (struct move_mark){ 0 };
    bool ok = read_file(dir, MOVE_MARK, &text, err);
    if (!ok || !text.len) {
        buf_free(&text);
        return ok;
    }
    mark->there = true;
    ok = !text.overflow &&
         strncmp(text.data, MARK_FIRST, sizeof(MARK_FIRST) - 1) == 0;
    char *rest = ok ? text.data + sizeof(MARK_FIRST) - 1 : NULL, *line;
    while (ok && (line = strsep(&rest, "\n")) && *line)
        ok = mark->n < MOVE_ENDPOINT_MAX &&
             endpoint_parse(line, mark->endpoints[mark->n++], err);
    buf_free(&text);
    return (ok && mark->n) ||
           error_set(err, ERR_INTERNAL, "%s/%s is damaged", dir, MOVE_MARK);
}

bool move_write_mark(const char *dir, const char *const *endpoints, size_t n,
                     struct error *err)
{
    struct buf text = BUF_INIT(MARK_MAX);
    buf_adds(&text, MARK_FIRST);
    for (size_t i = 0; i < n; i++)
        buf_addf(&text, "%s\n", endpoints[i]);
    bool ok = text.overflow
                  ? error_set(err, ERR_TOO_LARGE, "too many endpoints")
                  : write_file(dir, MOVE_MARK, buf_str(&text), err);
    buf_free(&text);
    return ok;
}

/* ---- speaking to etcd ---------------------------------------------------- */

struct move {
    const struct move_config *c;
    struct store *from;
    struct grpc *g;
    struct etcd_names names;
    char claim[UUID_SIZE];
    int64_t revision; /* of the old store, as copied */
    int64_t first;    /* etcd's before the copy */
    /* A batch: */
    struct arena a;
    Etcd__RequestOp *ops[BATCH_OPS];
    size_t n_ops, bytes;
    int64_t last_lease; /* granted */
    bool failed;
    struct error *err;
};

static struct grpc_call_opts opts(const struct move *m, const char *path)
{
    int64_t us = m->c->to.timeout_us;
    return (struct grpc_call_opts){ .path = path,
                                    .timeout_us = us ? us : TIMEOUT_US,
                                    .reply_max = ETCD_REPLY_MAX,
                                    .retry = true };
}

static bool step(struct move *m, enum move_step what)
{
    if (!m->c->step || m->c->step(m->c->arg, what))
        return true;
    return error_set(m->err, ERR_CANCELLED, "stopped at step %d", (int)what);
}

/* Everything here may be repeated: puts of the same, deletes. */
static bool send_txn(struct move *m, Etcd__RequestOp **ops, size_t n,
                     const char *absent)
{
    struct grpc_call_opts o = opts(m, ETCD_TXN);
    Etcd__TxnRequest r = ETCD__TXN_REQUEST__INIT;
    Etcd__Compare none = ETCD__COMPARE__INIT, *compares[] = { &none };
    if (absent) {
        none.key = etcd_bytes(absent, strlen(absent));
        none.target = ETCD__COMPARE__TARGET__CREATE;
        none.union_case = ETCD__COMPARE__UNION_CREATE_REVISION;
        r.compare = compares;
        r.n_compare = 1;
    }
    o.retry = !absent;
    r.success = ops;
    r.n_success = n;
    _autoetcd_ Etcd__TxnResponse *reply =
        etcd_ask(m->g, &o, &r, &etcd__txn_response__descriptor, m->err);
    if (reply && !reply->succeeded)
        return error_set(m->err, ERR_EXISTS,
                         "somebody else made a store in this etcd");
    return reply;
}

static Etcd__RequestOp *put_op(struct arena *a, const char *key,
                               const void *value, size_t len, int64_t lease)
{
    Etcd__RequestOp *op = arena_alloc(a, sizeof(*op));
    Etcd__PutRequest *put = arena_alloc(a, sizeof(*put));
    etcd__request_op__init(op);
    etcd__put_request__init(put);
    op->request_case = ETCD__REQUEST_OP__REQUEST_PUT;
    op->put = put;
    put->key = etcd_bytes(key, strlen(key));
    put->value = etcd_bytes(value, len);
    put->lease = lease;
    return op;
}

static Etcd__RequestOp *delete_op(struct arena *a, const char *key,
                                  const char *end)
{
    Etcd__RequestOp *op = arena_alloc(a, sizeof(*op));
    Etcd__DeleteRangeRequest *d = arena_alloc(a, sizeof(*d));
    etcd__request_op__init(op);
    etcd__delete_range_request__init(d);
    op->request_case = ETCD__REQUEST_OP__REQUEST_DELETE_RANGE;
    op->delete_range = d;
    d->key = etcd_bytes(key, strlen(key));
    if (end)
        d->range_end = etcd_bytes(end, strlen(end));
    return op;
}

static Etcd__RangeResponse *read_origin(struct move *m)
{
    struct grpc_call_opts o = opts(m, ETCD_RANGE);
    Etcd__RangeRequest r = ETCD__RANGE_REQUEST__INIT;
    r.key = etcd_bytes(m->names.origin, strlen(m->names.origin));
    Etcd__RangeResponse *reply =
        etcd_ask(m->g, &o, &r, &etcd__range_response__descriptor, m->err);
    if (reply && reply->header)
        return reply;
    etcd_free(reply);
    return NULL;
}

/* ---- claim and wipe ------------------------------------------------------ */

/* The same in every try of this move: so what it left is known as ours. */
static bool claim(struct move *m)
{
    struct buf text = BUF_INIT(UUID_SIZE);
    bool ok = read_file(m->c->dir, CLAIM, &text, m->err);
    if (ok && uuid_valid(buf_str(&text))) {
        snprintf(m->claim, sizeof(m->claim), "%s", buf_str(&text));
    } else if (ok) {
        env_uuid(m->c->to.env, m->claim);
        ok = write_file(m->c->dir, CLAIM, m->claim, m->err);
    }
    buf_free(&text);
    return ok && step(m, MOVE_CLAIMED);
}

/* Is the origin that is there of an earlier try? */
static bool is_ours(const struct move *m, const Etcd__KeyValue *origin)
{
    size_t len = strlen(m->claim);
    return origin->value.len > len &&
           memcmp(origin->value.data + origin->value.len - len, m->claim,
                  len) == 0;
}

static bool wipe(struct move *m)
{
    struct arena a = { 0 };
    _autoetcd_ Etcd__RangeResponse *r = read_origin(m);
    if (!r)
        return false;
    if (r->n_kvs && !is_ours(m, r->kvs[0]))
        return error_set(m->err, ERR_EXISTS,
                         "this etcd has the store of somebody else");
    Etcd__RequestOp *ops[] = {
        delete_op(&a, m->names.origin, NULL),
        delete_op(&a, m->names.prefix, m->names.end),
    };
    bool ok = send_txn(m, ops, ARRAY_SIZE(ops), NULL);
    arena_free(&a);
    return ok && step(m, MOVE_WIPED);
}

/* ---- copy -------------------------------------------------------------- */

static bool flush(struct move *m)
{
    bool ok = !m->n_ops || send_txn(m, m->ops, m->n_ops, NULL);
    arena_free(&m->a);
    m->n_ops = m->bytes = 0;
    return ok && step(m, MOVE_BATCH);
}

static bool renew(struct move *m, int64_t lease, struct error *err)
{
    struct grpc_call_opts o = opts(m, ETCD_KEEPALIVE);
    Etcd__LeaseKeepAliveRequest r = ETCD__LEASE_KEEP_ALIVE_REQUEST__INIT;
    r.id = lease;
    _autoetcd_ Etcd__LeaseKeepAliveResponse *reply = etcd_ask(
        m->g, &o, &r, &etcd__lease_keep_alive_response__descriptor, err);
    return reply != NULL;
}

/* With the number that it had; one of an earlier try may be there still. */
static bool bring_lease(struct move *m, int64_t lease)
{
    struct grpc_call_opts o = opts(m, ETCD_GRANT);
    Etcd__LeaseGrantRequest r = ETCD__LEASE_GRANT_REQUEST__INIT;
    struct error why = { 0 };
    if (!lease || lease == m->last_lease)
        return true;
    r.id = lease;
    r.ttl = MOVE_LEASE_S;
    _autoetcd_ Etcd__LeaseGrantResponse *reply =
        etcd_ask(m->g, &o, &r, &etcd__lease_grant_response__descriptor, &why);
    bool ok = reply || (why.code == ERR_CONFLICT && renew(m, lease, &why));
    if (!ok)
        error_copy(m->err, &why);
    m->last_lease = lease;
    return ok;
}

static bool copy_one(void *arg, const struct kv *kv)
{
    struct move *m = arg;
    if (!bring_lease(m, kv->lease)) {
        m->failed = true;
        return false;
    }
    char *key = arena_printf(&m->a, "%s%s", m->names.prefix, kv->key);
    char *value = arena_alloc(&m->a, kv->len + 1);
    memcpy(value, kv->value, kv->len);
    m->ops[m->n_ops++] = put_op(&m->a, key, value, kv->len, kv->lease);
    m->bytes += kv->len;
    if (m->n_ops == BATCH_OPS || m->bytes >= BATCH_BYTES)
        m->failed = !flush(m);
    return !m->failed;
}

static bool copy(struct move *m)
{
    _autoetcd_ Etcd__RangeResponse *before = read_origin(m);
    if (!before)
        return false;
    m->first = before->header->revision;
    return store_range(m->from, "", copy_one, m, &m->revision, m->err) &&
           !m->failed && flush(m) && step(m, MOVE_COPIED);
}

/* Our revisions begin beyond those of the old store, and those of the keys
 * that were copied too. */
static bool write_origin(struct move *m)
{
    struct arena a = { 0 };
    _autoetcd_ Etcd__RangeResponse *r = read_origin(m);
    if (!r)
        return false;
    int64_t start =
        m->revision + (r->header->revision - m->first) + REVISION_GAP;
    char *value = arena_printf(&a, "%" PRId64 " %s", start, m->claim);
    Etcd__RequestOp *op = put_op(&a, m->names.origin, value, strlen(value), 0);
    bool ok = send_txn(m, &op, 1, m->names.origin);
    arena_free(&a);
    return ok && step(m, MOVE_ORIGIN);
}

/* ---- compare ----------------------------------------------------------- */

struct digest {
    EVP_MD_CTX *ctx;
    uint64_t keys;
    unsigned char out[EVP_MAX_MD_SIZE];
};

static bool digest_one(void *arg, const struct kv *kv)
{
    struct digest *d = arg;
    uint64_t len = kv->len, lease = (uint64_t)kv->lease;
    d->keys++;
    EVP_DigestUpdate(d->ctx, kv->key, strlen(kv->key) + 1);
    EVP_DigestUpdate(d->ctx, &len, sizeof(len));
    EVP_DigestUpdate(d->ctx, &lease, sizeof(lease));
    EVP_DigestUpdate(d->ctx, kv->value, kv->len);
    return true;
}

static bool digest(struct store *s, struct digest *d, int64_t *revision,
                   struct error *err)
{
    *d = (struct digest){ .ctx = EVP_MD_CTX_new() };
    if (!d->ctx || EVP_DigestInit_ex(d->ctx, EVP_sha256(), NULL) != 1)
        abort(); /* no memory */
    bool ok = store_range(s, "", digest_one, d, revision, err);
    EVP_DigestFinal_ex(d->ctx, d->out, NULL);
    EVP_MD_CTX_free(d->ctx);
    return ok;
}

/* Both hold the same, and the old one has not changed since. */
static bool compare(struct move *m, struct store *fresh)
{
    struct digest was, is;
    int64_t revision, ours;
    if (!digest(m->from, &was, &revision, m->err) ||
        !digest(fresh, &is, &ours, m->err))
        return false;
    if (revision != m->revision)
        return error_set(m->err, ERR_CONFLICT,
                         "the store was written to while it moved");
    if (was.keys != is.keys || memcmp(was.out, is.out, sizeof(was.out)) != 0)
        return error_set(m->err, ERR_INTERNAL,
                         "etcd does not hold what the store held");
    log_info("move", "%" PRIu64 " records are in etcd", is.keys);
    return step(m, MOVE_COMPARED);
}

/* ---- all --------------------------------------------------------------- */

static struct store *open_fresh(const struct move *m)
{
    struct store_etcd_config to = m->c->to;
    to.begin = ETCD_MUST_EXIST;
    return store_etcd_open(&to, m->err);
}

/* A mark that is there but perhaps not for good must go. */
static bool mark_now(struct move *m)
{
    const struct store_etcd_config *to = &m->c->to;
    if (move_write_mark(m->c->dir, to->endpoints, to->n_endpoints, m->err))
        return true;
    _autofree_ char *path = xasprintf("%s/%s", m->c->dir, MOVE_MARK);
    unlink(path);
    sync_dir(m->c->dir);
    return false;
}

static struct store *finish(struct move *m)
{
    struct store *fresh = open_fresh(m);
    if (fresh && compare(m, fresh) && mark_now(m) && step(m, MOVE_MARKED))
        return fresh;
    store_close(fresh);
    return NULL;
}

struct store *move_run(struct store *from, const struct move_config *c,
                       struct error *err)
{
    struct error unasked;
    struct move m = { .c = c, .from = from, .err = err ? err : &unasked };
    struct grpc_config config = { .endpoints = c->to.endpoints,
                                  .n_endpoints = c->to.n_endpoints,
                                  .tls = c->to.tls,
                                  .env = c->to.env };
    error_clear(m.err);
    if (!etcd_names(c->to.name ? c->to.name : "cairn", &m.names, m.err))
        return NULL;
    m.g = grpc_open(&config, m.err);
    struct store *fresh = NULL;
    if (m.g && claim(&m) && wipe(&m) && copy(&m) && write_origin(&m))
        fresh = finish(&m);
    arena_free(&m.a);
    grpc_close(m.g);
    return fresh;
}

#define ONLINE_TRIES 3 /* a lease may end while writers wait */

bool move_online(struct store *s, const struct move_config *c,
                 struct error *err)
{
    struct error why = { 0 };
    struct store *fresh = NULL;
    store_switch_hold(s);
    for (int i = 0; i < ONLINE_TRIES && !fresh; i++) {
        fresh = move_run(store_switch_behind(s), c, &why);
        if (!fresh && why.code != ERR_CONFLICT)
            break;
    }
    if (fresh) {
        store_switch_exchange(s, fresh);
        return true;
    }
    store_switch_release(s);
    if (err)
        *err = why;
    return false;
}
