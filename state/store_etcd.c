/*
 * The etcd driver: the calls.  What watches hear and when commits are
 * answered is in store_etcd_watch.c.
 */
#include "state/store_etcd_impl.h"

#include "common/alloc.h"
#include "common/buf.h"
#include "common/cleanup.h"
#include "common/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define TIMEOUT_US    (5 * SECOND_US)
#define PAGE_FIRST    128       /* keys of a range's first page */
#define PAGE_MOST     1000      /* later as many as make ... */
#define PAGE_BYTES    (1 << 20) /* ... so many bytes */
#define BLAME_MAX     128       /* compares that a conflict can name */
#define COMPACT_SLACK 1000      /* revisions between two compactions */
#define ORIGIN_MAX    128       /* bytes of its value: revision, who moved it */

#define etcd_of(store_) container_of(store_, struct etcd_store, store)

/* ---- names and revisions ------------------------------------------------- */

bool etcd_names(const char *name, struct etcd_names *out, struct error *err)
{
    size_t len = strlen(name);
    if (!len || len > STORE_ETCD_NAME_MAX || strpbrk(name, "/!"))
        return error_set(err, ERR_INVALID, "'%.60s' is no store's name", name);
    snprintf(out->prefix, sizeof(out->prefix), "%s/", name);
    snprintf(out->end, sizeof(out->end), "%s0", name); /* '0' follows '/' */
    snprintf(out->origin, sizeof(out->origin), "%s!origin", name);
    return true;
}

void etcd_saw(struct etcd_store *s, int64_t revision)
{
    long long seen = atomic_load(&s->seen);
    while (seen < revision &&
           !atomic_compare_exchange_weak(&s->seen, &seen, revision))
        ;
}

struct grpc_call_opts etcd_opts(const struct etcd_store *s, const char *path,
                                bool retry)
{
    return (struct grpc_call_opts){ .path = path,
                                    .timeout_us = s->timeout_us,
                                    .reply_max = ETCD_REPLY_MAX,
                                    .retry = retry };
}

struct grpc_message etcd_origin_request(const struct etcd_store *s)
{
    Etcd__RangeRequest r = ETCD__RANGE_REQUEST__INIT;
    r.key = etcd_bytes(s->names.origin, strlen(s->names.origin));
    return etcd_pack(&r);
}

bool etcd_take_origin(struct etcd_store *s, const Etcd__RangeResponse *r)
{
    char text[ORIGIN_MAX];
    if (!r->n_kvs || r->kvs[0]->value.len >= sizeof(text))
        return false;
    memcpy(text, r->kvs[0]->value.data, r->kvs[0]->value.len);
    text[r->kvs[0]->value.len] = '\0';
    s->origin = r->kvs[0]->mod_revision;
    atomic_store(&s->start, strtoll(text, NULL, 10));
    atomic_store(&s->shift, s->origin - s->start);
    return true;
}

static void ignore(void *arg, const struct grpc_status *st, const uint8_t *data,
                   size_t len)
{
}

/* The slack differs from time to time, so that not all clients ask. */
void etcd_compact_soon(struct etcd_store *s, int64_t revision)
{
    int64_t to = revision - STORE_ETCD_LOG;
    if (to - s->compacted < COMPACT_SLACK)
        return;
    s->compacted = to + (int64_t)env_random_below(s->env, COMPACT_SLACK);
    if (to + s->shift <= s->origin)
        return;
    struct grpc_call_opts o = etcd_opts(s, ETCD_COMPACT, false);
    Etcd__CompactionRequest c = ETCD__COMPACTION_REQUEST__INIT;
    c.revision = to + s->shift;
    grpc_call(s->g, &o, etcd_pack(&c), ignore, NULL);
}

/* ---- ranges ------------------------------------------------------------ */

/* The first key after all that start with `prefix`: its last byte that can
 * be raised, raised. */
static void prefix_end(char *key)
{
    size_t len = strlen(key);
    while ((unsigned char)key[len - 1] == 0xff)
        len--; /* our own prefix ends it */
    key[len - 1] = (char)((unsigned char)key[len - 1] + 1);
    key[len] = '\0';
}

struct pages {
    struct etcd_store *s;
    char *from, *end; /* of what is left */
    int64_t revision; /* etcd's; 0 before the first page */
    int64_t limit;
    range_fn *fn;
    void *arg;
};

static Etcd__RangeResponse *page_ask(struct pages *p, struct error *err)
{
    struct grpc_call_opts o = etcd_opts(p->s, ETCD_RANGE, true);
    for (;;) {
        Etcd__RangeRequest r = ETCD__RANGE_REQUEST__INIT;
        r.key = etcd_bytes(p->from, strlen(p->from));
        r.range_end = etcd_bytes(p->end, strlen(p->end));
        r.limit = p->limit;
        r.revision = p->revision;
        Etcd__RangeResponse *page =
            etcd_ask(p->s->g, &o, &r, &etcd__range_response__descriptor, err);
        if (page || !err || err->code != ERR_TOO_LARGE || p->limit == 1)
            return page;
        p->limit = p->limit > 8 ? p->limit / 8 : 1;
    }
}

/* How many more keys make a page of a good size. */
static void page_fit(struct pages *p, const Etcd__RangeResponse *page)
{
    size_t bytes = 1;
    for (size_t i = 0; i < page->n_kvs; i++)
        bytes += page->kvs[i]->value.len;
    int64_t limit = (int64_t)(page->n_kvs * PAGE_BYTES / bytes);
    p->limit = limit < 4 ? 4 : limit > PAGE_MOST ? PAGE_MOST : limit;
}

/* False: enough. */
static bool page_tell(struct pages *p, const Etcd__RangeResponse *page)
{
    size_t skip = strlen(p->s->names.prefix);
    char key[STORE_KEY_MAX];
    for (size_t i = 0; i < page->n_kvs; i++) {
        const Etcd__KeyValue *kv = page->kvs[i];
        if (kv->key.len <= skip || kv->key.len - skip >= STORE_KEY_MAX)
            continue;
        memcpy(key, kv->key.data + skip, kv->key.len - skip);
        key[kv->key.len - skip] = '\0';
        struct kv out = {
            .key = key,
            .value = kv->value.data ? kv->value.data : (const void *)"",
            .len = kv->value.len,
            .create_rev = kv->create_revision - p->s->shift,
            .mod_rev = kv->mod_revision - p->s->shift,
            .lease = kv->lease,
        };
        if (!p->fn(p->arg, &out))
            return false;
    }
    return page->more;
}

static bool pages_run(struct pages *p, struct error *err)
{
    for (bool more = true; more;) {
        _autoetcd_ Etcd__RangeResponse *page = page_ask(p, err);
        if (!page)
            return false;
        if (!page->header)
            return error_set(err, ERR_INTERNAL, "etcd: a malformed answer");
        if (!p->revision)
            p->revision = page->header->revision;
        more = page_tell(p, page) && page->n_kvs;
        if (!more)
            break;
        const ProtobufCBinaryData *last = &page->kvs[page->n_kvs - 1]->key;
        free(p->from); /* next: what follows the last key, and no NUL can */
        p->from = xasprintf("%.*s\x01", (int)last->len, (char *)last->data);
        page_fit(p, page);
    }
    return true;
}

static bool etcd_range(struct store *store, const char *prefix, range_fn *fn,
                       void *arg, int64_t *revision, struct error *err)
{
    struct etcd_store *s = etcd_of(store);
    struct error unasked;
    struct pages p = {
        .s = s,
        .from = xasprintf("%s%s", s->names.prefix, prefix),
        .end = xasprintf("%s%s", s->names.prefix, prefix),
        .limit = PAGE_FIRST,
        .fn = fn,
        .arg = arg,
    };
    prefix_end(p.end);
    bool ok = pages_run(&p, err ? err : &unasked);
    if (ok) {
        *revision = p.revision - s->shift;
        etcd_saw(s, *revision);
    }
    free(p.from);
    free(p.end);
    return ok;
}

/* ---- transactions ------------------------------------------------------ */

struct pending {
    struct etcd_store *s;
    struct txn txn; /* what a conflict is explained by */
    txn_done_fn *done;
    void *arg;
};

/* A request under construction: everything in one arena. */
struct draft {
    struct etcd_store *s;
    struct arena a;
    Etcd__TxnRequest r;
};

static ProtobufCBinaryData full_key(struct draft *d, const char *key)
{
    const char *full = arena_printf(&d->a, "%s%s", d->s->names.prefix, key);
    return etcd_bytes(full, strlen(full));
}

static Etcd__Compare *draft_compare(struct draft *d, const struct compare *c)
{
    Etcd__Compare *out = arena_alloc(&d->a, sizeof(*out));
    etcd__compare__init(out);
    out->key = full_key(d, c->key);
    if (c->type == COMPARE_MOD) {
        out->target = ETCD__COMPARE__TARGET__MOD;
        out->union_case = ETCD__COMPARE__UNION_MOD_REVISION;
        out->mod_revision = c->rev + d->s->shift;
        return out;
    }
    out->target = ETCD__COMPARE__TARGET__CREATE;
    out->union_case = ETCD__COMPARE__UNION_CREATE_REVISION;
    if (c->type == COMPARE_EXISTS)
        out->result = ETCD__COMPARE__RESULT__GREATER;
    return out;
}

static Etcd__RequestOp *draft_range(struct draft *d, ProtobufCBinaryData key)
{
    Etcd__RequestOp *op = arena_alloc(&d->a, sizeof(*op));
    etcd__request_op__init(op);
    op->request_case = ETCD__REQUEST_OP__REQUEST_RANGE;
    op->range = arena_alloc(&d->a, sizeof(*op->range));
    etcd__range_request__init(op->range);
    op->range->key = key;
    op->range->keys_only = true;
    return op;
}

static Etcd__RequestOp *draft_write(struct draft *d, const struct write *w)
{
    Etcd__RequestOp *op = arena_alloc(&d->a, sizeof(*op));
    etcd__request_op__init(op);
    if (!w->value) {
        op->request_case = ETCD__REQUEST_OP__REQUEST_DELETE_RANGE;
        op->delete_range = arena_alloc(&d->a, sizeof(*op->delete_range));
        etcd__delete_range_request__init(op->delete_range);
        op->delete_range->key = full_key(d, w->key);
        return op;
    }
    op->request_case = ETCD__REQUEST_OP__REQUEST_PUT;
    op->put = arena_alloc(&d->a, sizeof(*op->put));
    etcd__put_request__init(op->put);
    op->put->key = full_key(d, w->key);
    op->put->value = etcd_bytes(w->value, w->len);
    op->put->lease = w->lease;
    return op;
}

static void *pointers(struct draft *d, size_t n)
{
    return arena_alloc(&d->a, (n ? n : 1) * sizeof(void *));
}

/* If it fails, the keys it compares are read, to say which did not hold.  A
 * txn that only reads reads something, for without that a member would
 * answer from what it happens to have. */
static struct grpc_message draft_pack(struct etcd_store *s, const struct txn *t)
{
    struct draft d = { .s = s, .r = ETCD__TXN_REQUEST__INIT };
    Etcd__TxnRequest *r = &d.r;
    r->compare = pointers(&d, t->n_compares);
    r->failure = pointers(&d, t->n_compares);
    r->success = pointers(&d, t->n_writes);
    for (size_t i = 0; i < t->n_compares; i++) {
        r->compare[r->n_compare++] = draft_compare(&d, &t->compares[i]);
        if (i < BLAME_MAX)
            r->failure[r->n_failure++] = draft_range(&d, r->compare[i]->key);
    }
    for (size_t i = 0; i < t->n_writes; i++)
        r->success[r->n_success++] = draft_write(&d, &t->writes[i]);
    if (!t->n_writes)
        r->success[r->n_success++] = draft_range(
            &d, etcd_bytes(s->names.origin, strlen(s->names.origin)));
    struct grpc_message m = etcd_pack(r);
    arena_free(&d.a);
    return m;
}

/* Etcd has done nothing, for sure. */
static bool surely_not(const struct grpc_status *st)
{
    switch (st->code) {
    case GRPC_INVALID_ARGUMENT:
    case GRPC_NOT_FOUND:
    case GRPC_PERMISSION_DENIED:
    case GRPC_RESOURCE_EXHAUSTED:
    case GRPC_FAILED_PRECONDITION:
    case GRPC_OUT_OF_RANGE:
    case GRPC_UNIMPLEMENTED:
    case GRPC_UNAUTHENTICATED:
        return st->answered || st->untouched;
    default:
        return st->untouched;
    }
}

static struct txn_result conflict(const struct pending *p,
                                  const Etcd__TxnResponse *r, int64_t revision)
{
    const struct txn *t = &p->txn;
    for (size_t i = 0; i < r->n_responses && i < t->n_compares; i++) {
        const Etcd__ResponseOp *op = r->responses[i];
        if (op->response_case != ETCD__RESPONSE_OP__RESPONSE_RANGE)
            break;
        int64_t mod_rev = op->range->n_kvs
                              ? op->range->kvs[0]->mod_revision - p->s->shift
                              : 0;
        if (!compare_holds(&t->compares[i], mod_rev))
            return txn_conflict(&t->compares[i], revision);
    }
    return txn_conflict(&t->compares[t->n_compares - 1], revision);
}

static struct txn_result outcome(const struct pending *p,
                                 const struct grpc_status *st,
                                 const Etcd__TxnResponse *r)
{
    struct error err;
    if (st->code != GRPC_OK) {
        etcd_error(st, &err);
        return txn_failed(surely_not(st) ? TXN_FAILED : TXN_UNKNOWN, &err);
    }
    if (!r || !r->header || (!r->succeeded && !p->txn.n_compares)) {
        error_set(&err, ERR_UNKNOWN, "etcd: a malformed answer");
        return txn_failed(TXN_UNKNOWN, &err);
    }
    int64_t revision = r->header->revision - p->s->shift;
    return r->succeeded ? txn_committed(revision) : conflict(p, r, revision);
}

static void on_txn(void *arg, const struct grpc_status *st, const uint8_t *data,
                   size_t len)
{
    struct pending *p = arg;
    _autoetcd_ Etcd__TxnResponse *r =
        data ? etcd_unpack(&etcd__txn_response__descriptor, data, len) : NULL;
    struct txn_result result = outcome(p, st, r);
    if (result.status == TXN_COMMITTED || result.status == TXN_CONFLICT) {
        /* The stream may not be there yet to say so; a watch that begins
         * now is not to hear of what its caller has been answered. */
        etcd_saw(p->s, result.revision);
        etcd_hold(p->s, &result, p->done, p->arg);
    } else {
        p->done(p->arg, &result);
    }
    txn_reset(&p->txn);
    free(p);
}

static void etcd_submit(struct store *store, struct txn *t, txn_done_fn *done,
                        void *arg)
{
    struct etcd_store *s = etcd_of(store);
    struct grpc_call_opts o = etcd_opts(s, ETCD_TXN, false);
    o.timeout_us = s->timeout_us / 5 * 3; /* lost ones wait for nothing */
    struct pending *p = xcalloc(1, sizeof(*p));
    *p = (struct pending){ s, *t, done, arg };
    *t = TXN_INIT;
    grpc_call(s->g, &o, draft_pack(s, &p->txn), on_txn, p);
}

/* ---- watches ----------------------------------------------------------- */

struct beginning {
    struct etcd_store *s;
    uint64_t serial;
};

static void begin_watch(void *arg)
{
    struct beginning *b = arg;
    etcd_watch_begin(b->s, b->serial);
    free(b);
}

static struct watch *etcd_watch(struct store *store, const char *prefix,
                                int64_t from, watch_fn *fn, void *arg,
                                struct error *err)
{
    struct etcd_store *s = etcd_of(store);
    if (!from)
        from = atomic_load(&s->seen) + 1;
    struct watch *w = watchers_add(&s->watchers, prefix, from, fn, arg);
    struct beginning *b = xcalloc(1, sizeof(*b));
    *b = (struct beginning){ s, w->serial };
    grpc_post(s->g, begin_watch, b);
    return w;
}

static void etcd_unwatch(struct store *store, struct watch *w)
{
    watchers_remove(&etcd_of(store)->watchers, w);
}

/* ---- leases and compaction ----------------------------------------------- */

static bool etcd_lease_grant(struct store *store, int64_t ttl_s, int64_t *lease,
                             struct error *err)
{
    struct etcd_store *s = etcd_of(store);
    struct grpc_call_opts o = etcd_opts(s, ETCD_GRANT, true);
    Etcd__LeaseGrantRequest r = ETCD__LEASE_GRANT_REQUEST__INIT;
    r.ttl = ttl_s;
    _autoetcd_ Etcd__LeaseGrantResponse *reply =
        etcd_ask(s->g, &o, &r, &etcd__lease_grant_response__descriptor, err);
    if (!reply)
        return false;
    if (*reply->error)
        return error_set(err, ERR_INTERNAL, "etcd: %.200s", reply->error);
    *lease = reply->id;
    return true;
}

static bool no_lease(struct error *err, int64_t id)
{
    return error_set(err, ERR_NOT_FOUND, "there is no lease %" PRId64, id);
}

/* A stream of one question and one answer: so it is repeated and bounded in
 * time like any call. */
static bool etcd_lease_keepalive(struct store *store, int64_t lease,
                                 struct error *err)
{
    struct etcd_store *s = etcd_of(store);
    struct grpc_call_opts o = etcd_opts(s, ETCD_KEEPALIVE, true);
    Etcd__LeaseKeepAliveRequest r = ETCD__LEASE_KEEP_ALIVE_REQUEST__INIT;
    r.id = lease;
    _autoetcd_ Etcd__LeaseKeepAliveResponse *reply = etcd_ask(
        s->g, &o, &r, &etcd__lease_keep_alive_response__descriptor, err);
    if (!reply)
        return false;
    return reply->ttl > 0 || no_lease(err, lease);
}

static bool etcd_lease_revoke(struct store *store, int64_t lease,
                              struct error *err)
{
    struct etcd_store *s = etcd_of(store);
    struct grpc_call_opts o = etcd_opts(s, ETCD_REVOKE, false);
    Etcd__LeaseRevokeRequest r = ETCD__LEASE_REVOKE_REQUEST__INIT;
    struct error why = { 0 };
    r.id = lease;
    _autoetcd_ Etcd__LeaseRevokeResponse *reply =
        etcd_ask(s->g, &o, &r, &etcd__lease_revoke_response__descriptor, &why);
    if (reply)
        return true;
    if (why.code == ERR_NOT_FOUND)
        return no_lease(err, lease);
    if (err)
        *err = why;
    return false;
}

static bool current_revision(struct etcd_store *s, int64_t *revision,
                             struct error *err)
{
    struct grpc_call_opts o = etcd_opts(s, ETCD_RANGE, true);
    Etcd__RangeRequest r = ETCD__RANGE_REQUEST__INIT;
    r.key = etcd_bytes(s->names.origin, strlen(s->names.origin));
    r.count_only = true;
    _autoetcd_ Etcd__RangeResponse *reply =
        etcd_ask(s->g, &o, &r, &etcd__range_response__descriptor, err);
    if (!reply || !reply->header)
        return false;
    *revision = reply->header->revision - s->shift;
    return true;
}

static bool etcd_compact(struct store *store, int64_t revision,
                         struct error *err)
{
    struct etcd_store *s = etcd_of(store);
    struct grpc_call_opts o = etcd_opts(s, ETCD_COMPACT, true);
    Etcd__CompactionRequest c = ETCD__COMPACTION_REQUEST__INIT;
    struct error why = { 0 };
    int64_t current;
    if (!current_revision(s, &current, err))
        return false;
    if (revision > current)
        revision = current;
    if (revision <= s->start)
        return true; /* nothing to forget */
    c.revision = revision + s->shift;
    _autoetcd_ Etcd__CompactionResponse *reply =
        etcd_ask(s->g, &o, &c, &etcd__compaction_response__descriptor, &why);
    if (reply || why.code == ERR_COMPACTED) /* already */
        return true;
    if (err)
        *err = why;
    return false;
}

/* ---- opening and closing ------------------------------------------------ */

static void stop_stream(void *arg)
{
    etcd_stream_stop(arg);
}

static void store_free(struct etcd_store *s)
{
    watchers_free(&s->watchers);
    free(s);
}

static void etcd_close(struct store *store)
{
    struct etcd_store *s = etcd_of(store);
    s->closing = true;
    grpc_post(s->g, stop_stream, s);
    grpc_close(s->g);
    store_free(s);
}

static const struct store_ops etcd_ops = {
    .range = etcd_range,
    .submit = etcd_submit,
    .watch = etcd_watch,
    .unwatch = etcd_unwatch,
    .lease_grant = etcd_lease_grant,
    .lease_keepalive = etcd_lease_keepalive,
    .lease_revoke = etcd_lease_revoke,
    .compact = etcd_compact,
    .close = etcd_close,
};

/* The origin as it is; NULL with *err. */
static Etcd__RangeResponse *read_origin(struct etcd_store *s, struct error *err)
{
    struct grpc_call_opts o = etcd_opts(s, ETCD_RANGE, true);
    Etcd__RangeRequest r = ETCD__RANGE_REQUEST__INIT;
    r.key = etcd_bytes(s->names.origin, strlen(s->names.origin));
    return etcd_ask(s->g, &o, &r, &etcd__range_response__descriptor, err);
}

/* Two that do it at once: one is first, and both read the same after. */
static bool make_origin(struct etcd_store *s, struct error *err)
{
    struct grpc_call_opts o = etcd_opts(s, ETCD_TXN, false);
    struct draft d = { .s = s, .r = ETCD__TXN_REQUEST__INIT };
    Etcd__Compare none = ETCD__COMPARE__INIT, *compares[] = { &none };
    Etcd__RequestOp op = ETCD__REQUEST_OP__INIT, *ops[] = { &op };
    Etcd__PutRequest put = ETCD__PUT_REQUEST__INIT;
    none.key = put.key = etcd_bytes(s->names.origin, strlen(s->names.origin));
    none.target = ETCD__COMPARE__TARGET__CREATE;
    none.union_case = ETCD__COMPARE__UNION_CREATE_REVISION;
    put.value = etcd_bytes("0", 1);
    op.request_case = ETCD__REQUEST_OP__REQUEST_PUT;
    op.put = &put;
    d.r.compare = compares;
    d.r.success = ops;
    d.r.n_compare = d.r.n_success = 1;
    _autoetcd_ Etcd__TxnResponse *reply =
        etcd_ask(s->g, &o, &d.r, &etcd__txn_response__descriptor, err);
    return reply || (err && err->code == ERR_UNKNOWN);
}

static bool find_origin(struct etcd_store *s, enum store_etcd_begin begin,
                        struct error *err)
{
    for (int i = 0; i < 3; i++) {
        _autoetcd_ Etcd__RangeResponse *r = read_origin(s, err);
        if (!r)
            return false;
        if (r->header && etcd_take_origin(s, r)) {
            s->pos = r->header->revision - s->shift;
            atomic_store(&s->seen, s->pos);
            return true;
        }
        if (begin == ETCD_MUST_EXIST)
            return error_set(err, ERR_NOT_FOUND,
                             "there is no store in this etcd");
        if (!make_origin(s, err))
            return false;
    }
    return error_set(err, ERR_UNAVAILABLE, "etcd does not keep the origin");
}

struct store *store_etcd_open(const struct store_etcd_config *c,
                              struct error *err)
{
    struct error unasked;
    struct grpc_config config = { .endpoints = c->endpoints,
                                  .n_endpoints = c->n_endpoints,
                                  .tls = c->tls,
                                  .env = c->env };
    struct etcd_store *s = xcalloc(1, sizeof(*s));
    err = err ? err : &unasked;
    error_clear(err);
    s->store.ops = &etcd_ops;
    s->env = c->env;
    s->timeout_us = c->timeout_us ? c->timeout_us : TIMEOUT_US;
    watchers_init(&s->watchers);
    if (etcd_names(c->name ? c->name : "cairn", &s->names, err))
        s->g = grpc_open(&config, err);
    if (s->g && find_origin(s, c->begin, err)) {
        grpc_post(s->g, etcd_stream_start, s);
        return &s->store;
    }
    grpc_close(s->g);
    store_free(s);
    return NULL;
}

struct grpc *store_etcd_grpc(struct store *store)
{
    return etcd_of(store)->g;
}

bool store_etcd_endpoints(struct store *store, const char *const *endpoints,
                          size_t n, struct error *err)
{
    return grpc_set_endpoints(etcd_of(store)->g, endpoints, n, err);
}
