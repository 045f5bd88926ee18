/*
 * The privileged half of remote.h.
 *
 * The reader thread takes frames apart and never waits for the face: what it
 * has to say goes to a queue that the writer thread sends from.  It does wait
 * when the face has too many txns in flight: the store always answers.
 */
#include "state/remote.h"

#include "common/alloc.h"
#include "common/log.h"
#include "state/remote_wire.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>

/* What one face may have the server hold. */
#define TXNS_MAX    4096
#define WATCHES_MAX 64
#define JOBS_MAX    1024 /* waiting in one pool */
#define ROWS_BYTES  (128 * 1024)
#define OUT_CALM    ((size_t)4 << 20) /* a range goes on below this */
#define CHUNK_BYTES (64 * 1024)

struct chunk { /* frames to send, the first perhaps with a descriptor */
    struct chunk *next;
    struct buf bytes;
    int fd;
};

struct job {
    struct job *next;
    void (*run)(struct store_server *, struct job *);
    uint64_t id;
    char *op, *text; /* CALL: op, json; RANGE: -, prefix */
    uint32_t what;   /* CONTROL */
    int64_t number;
};

struct pool {
    struct job *first, **last;
    size_t n;
    pthread_t threads[REMOTE_CALLERS];
    size_t n_threads;
    struct store_server *server;
    pthread_cond_t wake;
};

struct server_watch {
    struct store_server *server;
    uint64_t id;
    struct watch *watch;
};

struct store_server {
    struct store *real;
    int fd;
    struct store_server_hooks hooks;
    struct frame_reader frames;
    pthread_t reader, writer;
    struct server_watch *watches[WATCHES_MAX]; /* the reader's */

    pthread_mutex_t lock;       /* all below */
    pthread_cond_t drained;     /* fewer txns, or fewer bytes to send */
    pthread_cond_t more;        /* more to send, or closed */
    struct chunk *first, *tail; /* tail: of a queue that is not empty */
    size_t out_bytes;
    size_t txns; /* in flight */
    bool closed;
    struct pool store_pool, call_pool;
};

/* ---- sending ----------------------------------------------------------- */

static struct buf new_frame(enum remote_type type, uint64_t id, bool with_fd)
{
    struct buf b = BUF_INIT(REMOTE_TO_FACE_MAX + sizeof(struct frame_header));
    frame_begin(&b, (uint16_t)type, id, with_fd);
    return b;
}

/* The chunk to append to: the last, unless it is big enough. */
static struct chunk *tail_chunk(struct store_server *v, bool fresh)
{
    if (v->first && !fresh && v->tail->bytes.len < CHUNK_BYTES)
        return v->tail;
    struct chunk *c = xcalloc(1, sizeof(*c));
    buf_init(&c->bytes, REMOTE_OUT_MAX);
    c->fd = -1;
    if (v->first)
        v->tail->next = c;
    else
        v->first = c;
    v->tail = c;
    return c;
}

static void close_locked(struct store_server *v)
{
    v->closed = true;
    shutdown(v->fd, SHUT_RDWR);
    pthread_cond_broadcast(&v->more);
    pthread_cond_broadcast(&v->drained);
    pthread_cond_broadcast(&v->store_pool.wake);
    pthread_cond_broadcast(&v->call_pool.wake);
}

/* What the socket takes of a frame that nothing is before, so that whoever
 * waits for it does not wait for the writer to wake, too. */
static size_t send_now(struct store_server *v, const struct buf *frame)
{
    ssize_t n = v->out_bytes ? 0
                             : send(v->fd, frame->data, frame->len,
                                    MSG_DONTWAIT | MSG_NOSIGNAL);
    return n > 0 ? (size_t)n : 0; /* the writer meets what is wrong */
}

/* Sends or queues a frame; takes frame and fd.  A face that does not read is
 * cut. */
static void send_frame(struct store_server *v, struct buf *frame, int fd)
{
    frame_end(frame, 0);
    pthread_mutex_lock(&v->lock);
    if (!v->closed &&
        (frame->overflow || v->out_bytes + frame->len > REMOTE_OUT_MAX))
        close_locked(v);
    size_t sent = v->closed || fd >= 0 ? 0 : send_now(v, frame);
    if (!v->closed && sent < frame->len) {
        struct chunk *c = tail_chunk(v, fd >= 0);
        buf_add(&c->bytes, frame->data + sent, frame->len - sent);
        if (fd >= 0)
            c->fd = steal_fd(&fd);
        v->out_bytes += frame->len - sent;
        pthread_cond_signal(&v->more);
    }
    pthread_mutex_unlock(&v->lock);
    buf_free(frame);
    cleanup_close(&fd);
}

static void chunk_free(struct chunk *c)
{
    cleanup_close(&c->fd);
    buf_free(&c->bytes);
    free(c);
}

static struct chunk *take_chunk(struct store_server *v)
{
    struct chunk *c = v->first;
    v->first = c->next;
    return c;
}

static void *writer(void *arg)
{
    struct store_server *v = arg;
    pthread_mutex_lock(&v->lock);
    while (!v->closed) {
        if (!v->first) {
            pthread_cond_wait(&v->more, &v->lock);
            continue;
        }
        struct chunk *c = take_chunk(v);
        pthread_mutex_unlock(&v->lock);
        bool sent = frame_send(v->fd, c->bytes.data, c->bytes.len, c->fd);
        pthread_mutex_lock(&v->lock);
        v->out_bytes -= c->bytes.len;
        chunk_free(c);
        if (!sent)
            close_locked(v);
        pthread_cond_broadcast(&v->drained);
    }
    pthread_mutex_unlock(&v->lock);
    return NULL;
}

/* ---- jobs that take their time ------------------------------------------ */

static void job_free(struct job *j)
{
    free(j->op);
    free(j->text);
    free(j);
}

static void *pool_thread(void *arg)
{
    struct pool *p = arg;
    struct store_server *v = p->server;
    pthread_mutex_lock(&v->lock);
    while (!v->closed) {
        struct job *j = p->first;
        if (!j) {
            pthread_cond_wait(&p->wake, &v->lock);
            continue;
        }
        p->first = j->next;
        if (!p->first)
            p->last = &p->first;
        p->n--;
        pthread_mutex_unlock(&v->lock);
        j->run(v, j);
        job_free(j);
        pthread_mutex_lock(&v->lock);
    }
    pthread_mutex_unlock(&v->lock);
    return NULL;
}

static void pool_start(struct store_server *v, struct pool *p, size_t threads)
{
    p->server = v;
    p->last = &p->first;
    pthread_cond_init(&p->wake, NULL);
    for (; p->n_threads < threads; p->n_threads++)
        if (pthread_create(&p->threads[p->n_threads], NULL, pool_thread, p))
            abort();
}

static void pool_free(struct pool *p)
{
    for (size_t i = 0; i < p->n_threads; i++)
        pthread_join(p->threads[i], NULL);
    for (struct job *next; p->first; p->first = next) {
        next = p->first->next;
        job_free(p->first);
    }
    pthread_cond_destroy(&p->wake);
}

/* False when the face has too many waiting: it never should. */
static bool pool_add(struct store_server *v, struct pool *p, struct job *j)
{
    pthread_mutex_lock(&v->lock);
    bool room = p->n < JOBS_MAX;
    if (room) {
        *p->last = j;
        p->last = &j->next;
        p->n++;
        pthread_cond_signal(&p->wake);
    }
    pthread_mutex_unlock(&v->lock);
    if (!room)
        job_free(j);
    return room;
}

static struct job *job_new(const struct frame *f,
                           void (*run)(struct store_server *, struct job *))
{
    struct job *j = xcalloc(1, sizeof(*j));
    j->id = f->id;
    j->run = run;
    return j;
}

static void send_done(struct store_server *v, uint64_t id,
                      const struct error *err, int64_t number)
{
    struct buf b = new_frame(REMOTE_DONE, id, false);
    put_error(&b, err);
    put_i64(&b, number);
    send_frame(v, &b, -1);
}

/* Rows are sent in frames of some size, no faster than the face reads. */
struct rows {
    struct store_server *server;
    uint64_t id;
    struct buf kvs;
    uint32_t n;
};

static bool rows_flush(struct rows *r)
{
    struct store_server *v = r->server;
    struct buf b = new_frame(REMOTE_ROWS, r->id, false);
    put_u32(&b, r->n);
    buf_add(&b, r->kvs.data, r->kvs.len);
    r->n = 0;
    buf_reset(&r->kvs);
    send_frame(v, &b, -1);
    pthread_mutex_lock(&v->lock);
    while (v->out_bytes > OUT_CALM && !v->closed)
        pthread_cond_wait(&v->drained, &v->lock);
    bool open = !v->closed;
    pthread_mutex_unlock(&v->lock);
    return open;
}

static bool add_row(void *arg, const struct kv *kv)
{
    struct rows *r = arg;
    struct buf text = BUF_INIT(STORE_VALUE_MAX);
    struct kv seen = rights_show(r->server->hooks.rights, kv, &text);
    put_kv(&r->kvs, &seen);
    buf_free(&text);
    r->n++;
    return r->kvs.len < ROWS_BYTES || rows_flush(r);
}

static void run_range(struct store_server *v, struct job *j)
{
    struct rows rows = { .server = v, .id = j->id };
    struct error err = { 0 };
    int64_t revision = 0;
    buf_init(&rows.kvs, ROWS_BYTES + STORE_VALUE_MAX + STORE_KEY_MAX + 64);
    if (store_range(v->real, j->text, add_row, &rows, &revision, &err) &&
        rows.n)
        rows_flush(&rows);
    buf_free(&rows.kvs);
    send_done(v, j->id, &err, revision);
}

static void run_control(struct store_server *v, struct job *j)
{
    struct error err = { 0 };
    int64_t number = 0;
    if (v->hooks.rights) {
        error_set(&err, ERR_FORBIDDEN, "may not use leases nor compact");
        send_done(v, j->id, &err, 0);
        return;
    }
    switch (j->what) {
    case CONTROL_GRANT:
        store_lease_grant(v->real, j->number, &number, &err);
        break;
    case CONTROL_KEEPALIVE:
        store_lease_keepalive(v->real, j->number, &err);
        break;
    case CONTROL_REVOKE:
        store_lease_revoke(v->real, j->number, &err);
        break;
    case CONTROL_COMPACT:
        store_compact(v->real, j->number, &err);
        break;
    }
    send_done(v, j->id, &err, number);
}

static bool call(struct store_server *v, const struct job *j, struct buf *json,
                 int *fd, struct error *err)
{
    if (!v->hooks.call)
        return error_set(err, ERR_NOT_IMPLEMENTED, "%s: no such call", j->op);
    return v->hooks.call(v->hooks.arg, j->op, j->text, json, fd, err);
}

static void run_call(struct store_server *v, struct job *j)
{
    struct buf json = BUF_INIT(REMOTE_REPLY_MAX);
    struct error err = { 0 };
    int fd = -1;
    bool ok = call(v, j, &json, &fd, &err);
    if (ok && json.overflow)
        ok = error_set(&err, ERR_TOO_LARGE, "%s: the answer is too large",
                       j->op);
    if (!ok && !err.code) /* a failure that says nothing is one still */
        error_set(&err, ERR_INTERNAL, "%s failed", j->op);
    if (!ok) {
        cleanup_close(&fd);
        fd = -1;
    }
    struct buf b = new_frame(REMOTE_REPLY, j->id, fd >= 0);
    put_error(&b, ok ? &(struct error){ 0 } : &err);
    put_bytes(&b, ok ? buf_str(&json) : NULL, json.len);
    send_frame(v, &b, fd);
    buf_free(&json);
}

/* ---- frames from the face: false breaks the connection ------------------- */

static bool on_range(struct store_server *v, struct frame *f)
{
    struct job *j = job_new(f, run_range);
    j->text = get_str(&f->body, STORE_KEY_MAX - 1);
    if (!j->text || !cursor_done(&f->body)) {
        job_free(j);
        return false;
    }
    return pool_add(v, &v->store_pool, j);
}

static bool on_control(struct store_server *v, struct frame *f)
{
    struct job *j = job_new(f, run_control);
    j->what = get_u32(&f->body);
    j->number = get_i64(&f->body);
    if (j->what >= N_CONTROLS || !cursor_done(&f->body)) {
        job_free(j);
        return false;
    }
    return pool_add(v, &v->store_pool, j);
}

static bool on_call(struct store_server *v, struct frame *f)
{
    struct job *j = job_new(f, run_call);
    j->op = get_str(&f->body, REMOTE_OP_MAX);
    j->text = get_str(&f->body, REMOTE_JSON_MAX);
    if (!j->op || !j->text || !cursor_done(&f->body)) {
        job_free(j);
        return false;
    }
    return pool_add(v, &v->call_pool, j);
}

static void get_compare(struct cursor *c, struct txn *t)
{
    _autofree_ char *key = get_str(c, STORE_KEY_MAX - 1);
    uint32_t type = get_u32(c);
    int64_t rev = get_i64(c);
    if (!key || c->bad)
        c->bad = true;
    else if (type == COMPARE_MOD)
        txn_expect(t, key, rev);
    else if (type == COMPARE_ABSENT)
        txn_absent(t, key);
    else if (type == COMPARE_EXISTS)
        txn_exists(t, key);
    else
        c->bad = true;
}

static void get_write(struct cursor *c, struct txn *t)
{
    _autofree_ char *key = get_str(c, STORE_KEY_MAX - 1);
    size_t len;
    const void *value = get_bytes(c, &len, STORE_VALUE_MAX);
    int64_t lease = get_i64(c);
    if (!key || c->bad)
        c->bad = true;
    else if (value)
        txn_put_lease(t, key, value, len, lease);
    else
        txn_delete(t, key);
}

static bool get_txn(struct cursor *c, struct txn *t)
{
    static void (*const items[])(struct cursor *, struct txn *) = { get_compare,
                                                                    get_write };
    for (int i = 0; i < 2; i++) {
        uint32_t n = get_u32(c);
        if (n > STORE_OPS_MAX)
            return false;
        while (n-- && !c->bad)
            items[i](c, t);
    }
    return cursor_done(c);
}

struct flight { /* a txn in the real store */
    struct store_server *server;
    uint64_t id;
};

static void txn_answered(void *arg, const struct txn_result *result)
{
    struct flight *flight = arg;
    struct store_server *v = flight->server;
    struct buf b = new_frame(REMOTE_TXN_DONE, flight->id, false);
    put_u32(&b, result->status);
    put_i64(&b, result->revision);
    put_error(&b, &result->err);
    send_frame(v, &b, -1);
    free(flight);
    pthread_mutex_lock(&v->lock);
    v->txns--;
    pthread_cond_broadcast(&v->drained);
    pthread_mutex_unlock(&v->lock);
}

static void refuse_txn(struct store_server *v, uint64_t id,
                       const struct error *err)
{
    log_limited(LOG_WARN, "remote", "the face %s", err->text);
    struct buf b = new_frame(REMOTE_TXN_DONE, id, false);
    put_u32(&b, TXN_FAILED);
    put_i64(&b, 0);
    put_error(&b, err);
    send_frame(v, &b, -1);
}

static bool on_txn(struct store_server *v, struct frame *f)
{
    _autotxn_ struct txn t = TXN_INIT;
    struct error err = { 0 };
    if (!get_txn(&f->body, &t))
        return false;
    if (!rights_allow(v->hooks.rights, &t, &err)) {
        refuse_txn(v, f->id, &err);
        return true;
    }
    pthread_mutex_lock(&v->lock);
    while (v->txns >= TXNS_MAX)
        pthread_cond_wait(&v->drained, &v->lock);
    v->txns++;
    pthread_mutex_unlock(&v->lock);
    struct flight *flight = xmalloc(sizeof(*flight));
    *flight = (struct flight){ v, f->id };
    store_submit(v->real, &t, txn_answered, flight);
    return true;
}

static void on_change(void *arg, enum watch_what what, int64_t revision,
                      const struct kv *events, size_t n)
{
    struct server_watch *w = arg;
    struct buf b = new_frame(REMOTE_EVENTS, w->id, false);
    put_u32(&b, what);
    put_i64(&b, revision);
    put_u32(&b, (uint32_t)n);
    struct buf text = BUF_INIT(STORE_VALUE_MAX);
    for (size_t i = 0; i < n; i++) {
        struct kv seen =
            rights_show(w->server->hooks.rights, &events[i], &text);
        put_kv(&b, &seen);
    }
    buf_free(&text);
    send_frame(w->server, &b, -1);
}

static struct server_watch **watch_slot(struct store_server *v, uint64_t id)
{
    for (size_t i = 0; i < WATCHES_MAX; i++)
        if (v->watches[i] ? v->watches[i]->id == id : !id)
            return &v->watches[i];
    return NULL;
}

static void send_lost(struct store_server *v, uint64_t id)
{
    struct buf b = new_frame(REMOTE_EVENTS, id, false);
    put_u32(&b, WATCH_LOST);
    put_i64(&b, 0);
    put_u32(&b, 0);
    send_frame(v, &b, -1);
}

static bool on_watch(struct store_server *v, struct frame *f)
{
    _autofree_ char *prefix = get_str(&f->body, STORE_KEY_MAX - 1);
    int64_t from = get_i64(&f->body);
    struct server_watch **slot = watch_slot(v, 0);
    if (!prefix || !cursor_done(&f->body) || from < 0 || !f->id || !slot ||
        watch_slot(v, f->id))
        return false;
    struct server_watch *w = xmalloc(sizeof(*w));
    *w = (struct server_watch){ v, f->id, NULL };
    *slot = w;
    w->watch = store_watch(v->real, prefix, from, on_change, w, NULL);
    if (!w->watch) {
        *slot = NULL;
        free(w);
        send_lost(v, f->id);
    }
    return true;
}

static void end_watch(struct store_server *v, struct server_watch **slot)
{
    store_unwatch(v->real, (*slot)->watch);
    free(*slot);
    *slot = NULL;
}

static bool on_unwatch(struct store_server *v, struct frame *f)
{
    struct server_watch **slot = f->id ? watch_slot(v, f->id) : NULL;
    if (slot) /* else it could not be made: LOST was said */
        end_watch(v, slot);
    return cursor_done(&f->body);
}

static bool (*const handlers[])(struct store_server *, struct frame *) = {
    [REMOTE_RANGE] = on_range,     [REMOTE_TXN] = on_txn,
    [REMOTE_WATCH] = on_watch,     [REMOTE_UNWATCH] = on_unwatch,
    [REMOTE_CONTROL] = on_control, [REMOTE_CALL] = on_call,
};

static bool handle(struct store_server *v, struct frame *f)
{
    return f->type < ARRAY_SIZE(handlers) && handlers[f->type] &&
           handlers[f->type](v, f);
}

/* Ends what the face began and waits for what the store still owes. */
static void wind_up(struct store_server *v)
{
    for (size_t i = 0; i < WATCHES_MAX; i++)
        if (v->watches[i])
            end_watch(v, &v->watches[i]);
    pthread_mutex_lock(&v->lock);
    close_locked(v);
    while (v->txns)
        pthread_cond_wait(&v->drained, &v->lock);
    pthread_mutex_unlock(&v->lock);
}

static void *reader(void *arg)
{
    struct store_server *v = arg;
    struct frame f;
    while (frame_recv(&v->frames, &f) && handle(v, &f))
        ;
    wind_up(v);
    if (v->hooks.closed)
        v->hooks.closed(v->hooks.arg);
    return NULL;
}

/* ---- public ------------------------------------------------------------ */

struct store_server *store_server_new(struct store *real, int fd,
                                      const struct store_server_hooks *hooks)
{
    struct store_server *v = xcalloc(1, sizeof(*v));
    v->real = real;
    v->fd = fd;
    if (hooks)
        v->hooks = *hooks;
    pthread_mutex_init(&v->lock, NULL);
    pthread_cond_init(&v->drained, NULL);
    pthread_cond_init(&v->more, NULL);
    frame_reader_init(&v->frames, fd, REMOTE_TO_SERVER_MAX, 0);
    pool_start(v, &v->store_pool, 1);
    pool_start(v, &v->call_pool, REMOTE_CALLERS);
    if (pthread_create(&v->writer, NULL, writer, v) ||
        pthread_create(&v->reader, NULL, reader, v))
        abort();
    return v;
}

bool store_server_send_fd(struct store_server *v, const char *name,
                          const char *json, int fd, struct error *err)
{
    if (strlen(name) > REMOTE_OP_MAX)
        return error_set(err, ERR_INVALID, "%.64s: the name is too long", name);
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (copy < 0)
        return error_errno(err, ERR_INTERNAL, errno, "%s", name);
    struct buf b = new_frame(REMOTE_PUSH, 0, true);
    put_str(&b, name);
    put_str(&b, json ? json : "");
    send_frame(v, &b, copy);
    return true;
}

void store_server_free(struct store_server *v)
{
    if (!v)
        return;
    shutdown(v->fd, SHUT_RDWR); /* the reader winds up */
    pthread_join(v->reader, NULL);
    pthread_join(v->writer, NULL);
    pool_free(&v->store_pool);
    pool_free(&v->call_pool);
    while (v->first)
        chunk_free(take_chunk(v));
    close(v->fd);
    frame_reader_free(&v->frames);
    pthread_cond_destroy(&v->more);
    pthread_cond_destroy(&v->drained);
    pthread_mutex_destroy(&v->lock);
    free(v);
}
