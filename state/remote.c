/* The face's half of remote.h: a store whose calls are frames. */
#include "state/remote.h"

#include "common/alloc.h"
#include "state/remote_wire.h"
#include "state/watchers.h"

#include <pthread.h>
#include <string.h>
#include <sys/socket.h>

/* A request that waits for its answer. */
struct pending {
    struct pending *next;
    uint64_t id;
    txn_done_fn *done; /* a txn: allocated, freed when answered */
    void *arg;
    /* Everything else lies on the stack of a thread that waits: */
    range_fn *row;
    bool stopped; /* the range has seen enough */
    struct buf *json_out;
    bool finished;
    int64_t number;
    int fd;
    struct error err; /* NONE = it worked */
};

struct remote {
    struct store store;
    int fd;
    struct remote_hooks hooks;
    struct watchers watchers; /* their serials are the ids on the wire */
    pthread_t reader;
    struct frame_reader frames;
    pthread_mutex_t send_lock;

    pthread_mutex_t lock; /* all below */
    pthread_cond_t answered;
    struct pending *first, **last;
    uint64_t last_id;
    bool lost, closing;
};

#define remote_of(store_) container_of(store_, struct remote, store)

/* ---- asking ------------------------------------------------------------ */

static bool gone(struct error *err)
{
    return error_set(err, ERR_UNAVAILABLE, "the store's connection is lost");
}

/* Registers p under an id of its own, which is returned; 0 after the loss.
 * A txn's p may be answered (UNKNOWN) and freed as soon as this returns. */
static uint64_t expect(struct remote *r, struct pending *p)
{
    pthread_mutex_lock(&r->lock);
    uint64_t id = r->lost ? 0 : ++r->last_id;
    if (id) {
        p->id = id;
        *r->last = p;
        r->last = &p->next;
    }
    pthread_mutex_unlock(&r->lock);
    return id;
}

/* A frame that cannot be sent ends the connection: the reader sees to what
 * waits. */
static void send_frame(struct remote *r, struct buf *frame)
{
    frame_end(frame, 0);
    pthread_mutex_lock(&r->send_lock);
    if (frame->overflow || !frame_send(r->fd, frame->data, frame->len, -1))
        shutdown(r->fd, SHUT_RDWR);
    pthread_mutex_unlock(&r->send_lock);
    buf_free(frame);
}

static struct buf new_frame(enum remote_type type, uint64_t id)
{
    struct buf b = BUF_INIT(REMOTE_TO_SERVER_MAX + sizeof(struct frame_header));
    frame_begin(&b, (uint16_t)type, id, 0);
    return b;
}

static bool wait_for(struct remote *r, struct pending *p, struct error *err)
{
    pthread_mutex_lock(&r->lock);
    while (!p->finished)
        pthread_cond_wait(&r->answered, &r->lock);
    pthread_mutex_unlock(&r->lock);
    if (p->err.code)
        error_copy(err, &p->err);
    return p->err.code == ERR_NONE;
}

static bool remote_range(struct store *s, const char *prefix, range_fn *fn,
                         void *arg, int64_t *revision, struct error *err)
{
    struct remote *r = remote_of(s);
    struct pending p = { .row = fn, .arg = arg };
    if (strlen(prefix) >= STORE_KEY_MAX)
        return error_set(err, ERR_INVALID, "the prefix is too long");
    if (!expect(r, &p))
        return gone(err);
    struct buf b = new_frame(REMOTE_RANGE, p.id);
    put_str(&b, prefix);
    send_frame(r, &b);
    if (!wait_for(r, &p, err))
        return false;
    *revision = p.number;
    return true;
}

static void put_txn(struct buf *b, const struct txn *t)
{
    put_u32(b, (uint32_t)t->n_compares);
    for (size_t i = 0; i < t->n_compares; i++) {
        put_str(b, t->compares[i].key);
        put_u32(b, t->compares[i].type);
        put_i64(b, t->compares[i].rev);
    }
    put_u32(b, (uint32_t)t->n_writes);
    for (size_t i = 0; i < t->n_writes; i++) {
        put_str(b, t->writes[i].key);
        put_bytes(b, t->writes[i].value, t->writes[i].len);
        put_i64(b, t->writes[i].lease);
    }
}

static void remote_submit(struct store *s, struct txn *t, txn_done_fn *done,
                          void *arg)
{
    struct remote *r = remote_of(s);
    struct pending *p = xcalloc(1, sizeof(*p));
    p->done = done;
    p->arg = arg;
    uint64_t id = expect(r, p);
    if (id) {
        struct buf b = new_frame(REMOTE_TXN, id);
        put_txn(&b, t);
        txn_reset(t);
        send_frame(r, &b);
        return;
    }
    struct error err;
    gone(&err);
    struct txn_result result = txn_failed(TXN_FAILED, &err);
    txn_reset(t);
    free(p);
    done(arg, &result);
}

static struct watch *remote_watch(struct store *s, const char *prefix,
                                  int64_t from, watch_fn *fn, void *arg,
                                  struct error *err)
{
    struct remote *r = remote_of(s);
    if (strlen(prefix) >= STORE_KEY_MAX) {
        error_set(err, ERR_INVALID, "the prefix is too long");
        return NULL;
    }
    /* Under the lock, so that the reader tells it of a loss. */
    pthread_mutex_lock(&r->lock);
    struct watch *w =
        r->lost ? NULL : watchers_add(&r->watchers, prefix, from, fn, arg);
    uint64_t serial = w ? w->serial : 0;
    if (w)
        watchers_release(&r->watchers, w, true);
    pthread_mutex_unlock(&r->lock);
    if (!w) {
        gone(err);
        return NULL;
    }
    struct buf b = new_frame(REMOTE_WATCH, serial);
    put_str(&b, prefix);
    put_i64(&b, from);
    send_frame(r, &b);
    return w;
}

static void remote_unwatch(struct store *s, struct watch *w)
{
    struct remote *r = remote_of(s);
    struct buf b = new_frame(REMOTE_UNWATCH, w->serial);
    watchers_remove(&r->watchers, w);
    send_frame(r, &b);
}

static bool control(struct store *s, enum remote_control what, int64_t number,
                    int64_t *result, struct error *err)
{
    struct remote *r = remote_of(s);
    struct pending p = { 0 };
    if (!expect(r, &p))
        return gone(err);
    struct buf b = new_frame(REMOTE_CONTROL, p.id);
    put_u32(&b, what);
    put_i64(&b, number);
    send_frame(r, &b);
    bool ok = wait_for(r, &p, err);
    if (ok && result)
        *result = p.number;
    return ok;
}

static bool remote_grant(struct store *s, int64_t ttl_s, int64_t *lease,
                         struct error *err)
{
    return control(s, CONTROL_GRANT, ttl_s, lease, err);
}

static bool remote_keepalive(struct store *s, int64_t lease, struct error *err)
{
    return control(s, CONTROL_KEEPALIVE, lease, NULL, err);
}

static bool remote_revoke(struct store *s, int64_t lease, struct error *err)
{
    return control(s, CONTROL_REVOKE, lease, NULL, err);
}

static bool remote_compact(struct store *s, int64_t revision, struct error *err)
{
    return control(s, CONTROL_COMPACT, revision, NULL, err);
}

bool store_remote_call(struct store *s, const char *op, const char *json_in,
                       struct buf *json_out, int *fd_out, struct error *err)
{
    struct remote *r = remote_of(s);
    struct pending p = { .json_out = json_out, .fd = -1 };
    if (strlen(op) > REMOTE_OP_MAX ||
        (json_in && strlen(json_in) > REMOTE_JSON_MAX))
        return error_set(err, ERR_TOO_LARGE, "%.64s: the call is too large",
                         op);
    if (!expect(r, &p))
        return gone(err);
    struct buf b = new_frame(REMOTE_CALL, p.id);
    put_str(&b, op);
    put_str(&b, json_in ? json_in : "");
    send_frame(r, &b);
    bool ok = wait_for(r, &p, err);
    if (ok && fd_out)
        *fd_out = p.fd;
    else if (p.fd >= 0)
        close(p.fd);
    return ok;
}

/* ---- answers (on the reader's thread) ------------------------------------ */

static struct pending *find_pending(struct remote *r, uint64_t id, bool take)
{
    pthread_mutex_lock(&r->lock);
    struct pending **at = &r->first; /* answers come nearly in order */
    while (*at && (*at)->id != id)
        at = &(*at)->next;
    struct pending *p = *at;
    if (p && take) {
        *at = p->next;
        if (!*at)
            r->last = at;
    }
    pthread_mutex_unlock(&r->lock);
    return p;
}

/* After this p belongs to the thread that waits. */
static void finish(struct remote *r, struct pending *p)
{
    pthread_mutex_lock(&r->lock);
    p->finished = true;
    pthread_cond_broadcast(&r->answered);
    pthread_mutex_unlock(&r->lock);
}

static void get_error(struct cursor *c, struct error *e)
{
    uint32_t code = get_u32(c);
    _autofree_ char *text = get_str(c, ERROR_TEXT_MAX);
    error_clear(e);
    if (code)
        error_set(e, code < ERR_N_CODES ? code : ERR_INTERNAL, "%s",
                  text ? text : "");
}

/* *key is the caller's to free; kv borrows it and the frame. */
static bool get_kv(struct cursor *c, struct kv *kv, char **key)
{
    *kv = (struct kv){ 0 };
    kv->key = *key = get_str(c, STORE_KEY_MAX);
    kv->value = get_bytes(c, &kv->len, STORE_VALUE_MAX);
    kv->create_rev = get_i64(c);
    kv->mod_rev = get_i64(c);
    kv->lease = get_i64(c);
    return !c->bad && kv->key;
}

static bool on_rows(struct remote *r, struct frame *f)
{
    struct pending *p = find_pending(r, f->id, false);
    if (!p || !p->row)
        return false;
    for (uint32_t n = get_u32(&f->body); n; n--) {
        _autofree_ char *key = NULL;
        struct kv kv;
        if (!get_kv(&f->body, &kv, &key))
            return false;
        if (!p->stopped && !p->row(p->arg, &kv))
            p->stopped = true;
    }
    return cursor_done(&f->body);
}

static bool on_done(struct remote *r, struct frame *f)
{
    struct pending *p = find_pending(r, f->id, true);
    if (!p || p->done)
        return false;
    get_error(&f->body, &p->err);
    p->number = get_i64(&f->body);
    finish(r, p);
    return cursor_done(&f->body);
}

static bool on_txn_done(struct remote *r, struct frame *f)
{
    struct pending *p = find_pending(r, f->id, true);
    if (!p || !p->done)
        return false;
    struct txn_result result = { .status = get_u32(&f->body) };
    result.revision = get_i64(&f->body);
    get_error(&f->body, &result.err);
    if (!cursor_done(&f->body))
        result.status = TXN_UNKNOWN;
    p->done(p->arg, &result);
    free(p);
    pthread_mutex_lock(&r->lock);
    if (r->closing)
        pthread_cond_broadcast(&r->answered);
    pthread_mutex_unlock(&r->lock);
    return cursor_done(&f->body);
}

static bool on_events(struct remote *r, struct frame *f)
{
    struct watch *w = watchers_hold(&r->watchers, f->id);
    if (!w) /* unwatched meanwhile */
        return true;
    enum watch_what what = get_u32(&f->body);
    int64_t revision = get_i64(&f->body);
    uint32_t n = get_u32(&f->body), got = 0;
    /* A kv has 32 bytes at least: a count cannot make us allocate more. */
    bool fine = n <= (size_t)(f->body.end - f->body.p) / 32;
    struct kv *kvs = xcalloc(fine ? n : 0, sizeof(*kvs));
    for (char *key; fine && got < n; got++)
        fine = get_kv(&f->body, &kvs[got], &key);
    fine = fine && cursor_done(&f->body);
    if (fine)
        watch_tell(w, what, revision, kvs, n);
    watchers_release(&r->watchers, w, what == WATCH_EVENTS);
    while (got)
        free((void *)kvs[--got].key);
    free(kvs);
    return fine;
}

static bool on_reply(struct remote *r, struct frame *f)
{
    struct pending *p = find_pending(r, f->id, true);
    if (!p || p->done)
        return false;
    size_t len;
    get_error(&f->body, &p->err);
    const void *json = get_bytes(&f->body, &len, REMOTE_REPLY_MAX);
    if (json && p->json_out)
        buf_add(p->json_out, json, len);
    p->fd = steal_fd(&f->fd);
    finish(r, p);
    return cursor_done(&f->body);
}

static bool on_push(struct remote *r, struct frame *f)
{
    _autofree_ char *name = get_str(&f->body, REMOTE_OP_MAX);
    _autofree_ char *json = get_str(&f->body, REMOTE_REPLY_MAX);
    if (!name || !json || f->fd < 0)
        return false;
    if (r->hooks.fd)
        r->hooks.fd(r->hooks.arg, name, json, steal_fd(&f->fd));
    return true;
}

static bool (*const handlers[])(struct remote *, struct frame *) = {
    [REMOTE_ROWS] = on_rows,         [REMOTE_DONE] = on_done,
    [REMOTE_TXN_DONE] = on_txn_done, [REMOTE_EVENTS] = on_events,
    [REMOTE_REPLY] = on_reply,       [REMOTE_PUSH] = on_push,
};

static bool handle(struct remote *r, struct frame *f)
{
    bool fine = f->type < ARRAY_SIZE(handlers) && handlers[f->type] &&
                handlers[f->type](r, f);
    cleanup_close(&f->fd); /* if nobody took it */
    return fine;
}

/* Nobody will answer any more. */
static void fail_pending(struct remote *r, struct pending *p)
{
    struct txn_result result = { .status = TXN_UNKNOWN };
    error_set(&result.err, ERR_UNKNOWN,
              "the connection was lost before the "
              "answer");
    if (p->done) {
        p->done(p->arg, &result);
        free(p);
        return;
    }
    p->err = result.err;
    if (p->row)
        gone(&p->err);
    finish(r, p);
}

static void *reader(void *arg)
{
    struct remote *r = arg;
    struct frame f;
    while (frame_recv(&r->frames, &f) && handle(r, &f))
        ;
    shutdown(r->fd, SHUT_RDWR);
    pthread_mutex_lock(&r->lock);
    r->lost = true;
    struct pending *p = r->first;
    r->first = NULL;
    r->last = &r->first;
    bool closing = r->closing;
    pthread_cond_broadcast(&r->answered);
    pthread_mutex_unlock(&r->lock);
    for (struct pending *next; p; p = next) {
        next = p->next;
        fail_pending(r, p);
    }
    watchers_tell(&r->watchers, WATCH_LOST, 0, NULL, 0);
    if (r->hooks.lost && !closing)
        r->hooks.lost(r->hooks.arg);
    return NULL;
}

/* ---- opening, closing --------------------------------------------------- */

static void remote_close(struct store *s)
{
    struct remote *r = remote_of(s);
    pthread_mutex_lock(&r->lock);
    r->closing = true;
    while (r->first && !r->lost)
        pthread_cond_wait(&r->answered, &r->lock);
    pthread_mutex_unlock(&r->lock);
    shutdown(r->fd, SHUT_RDWR);
    pthread_join(r->reader, NULL);
    close(r->fd);
    frame_reader_free(&r->frames);
    watchers_free(&r->watchers);
    pthread_cond_destroy(&r->answered);
    pthread_mutex_destroy(&r->lock);
    pthread_mutex_destroy(&r->send_lock);
    free(r);
}

static const struct store_ops remote_ops = {
    .range = remote_range,
    .submit = remote_submit,
    .watch = remote_watch,
    .unwatch = remote_unwatch,
    .lease_grant = remote_grant,
    .lease_keepalive = remote_keepalive,
    .lease_revoke = remote_revoke,
    .compact = remote_compact,
    .close = remote_close,
};

struct store *store_remote_open(int fd, const struct remote_hooks *hooks)
{
    struct remote *r = xcalloc(1, sizeof(*r));
    r->store.ops = &remote_ops;
    r->fd = fd;
    if (hooks)
        r->hooks = *hooks;
    r->last = &r->first;
    watchers_init(&r->watchers);
    pthread_mutex_init(&r->send_lock, NULL);
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->answered, NULL);
    frame_reader_init(&r->frames, fd, REMOTE_TO_FACE_MAX, FRAME_FDS_MAX);
    if (pthread_create(&r->reader, NULL, reader, r))
        abort();
    return &r->store;
}
