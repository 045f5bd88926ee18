#include "network/ovsdb.h"

#include "common/alloc.h"
#include "common/env.h"
#include "common/jw.h"
#include "common/log.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>

#define MONITOR_ID   INT64_C(0) /* request id of the monitor call */
#define SEND_MAX     ((size_t)64 << 20)
#define READ_CHUNK   65536
#define PAUSE_MIN_MS 50
#define PAUSE_MAX_MS 2000

/* A transaction somebody waits for; lives on the waiter's stack. */
struct call {
    int64_t id;
    struct call *next;
    bool done;
    struct ovsdb_message reply; /* root NULL: the connection broke */
};

struct ovsdb {
    struct ovsdb_config config;
    char *socket, *database;
    json_t *monitor;
    pthread_t thread;
    int wake;  /* eventfd: something to send, or the end */
    bool once; /* no reconnecting */

    pthread_mutex_t lock; /* all below */
    pthread_cond_t cond;  /* a call is done, the replica is in step */
    bool stop;
    int fd;         /* -1 = not connected; used by the thread only */
    bool connected; /* requests may be queued */
    bool in_step;   /* the replica is the database */
    int64_t absent; /* since when it is not, monotonic; 0: it is */
    json_t *replica;
    uint64_t version; /* of the replica */
    struct buf out;   /* bytes to send */
    size_t sent;      /* of them, already */
    int64_t next_id;
    struct call *calls;
    struct ovsdb_stats stats;
};

static const char module[] = "ovsdb";

/* ---- sending, with the lock held --------------------------------------- */

static void queue(struct ovsdb *db, json_t *message)
{
    struct jw w = JW_INIT(&db->out);
    jw_json(&w, NULL, message);
    json_decref(message);
}

static json_t *request(int64_t id, const char *method, json_t *params)
{
    json_t *message = json_object();
    json_object_set_new(message, "id", json_integer(id));
    json_object_set_new(message, "method", json_string(method));
    json_object_set_new(message, "params", params);
    return message;
}

static json_t *monitor_params(const struct ovsdb *db)
{
    json_t *tables = json_object();
    const char *table;
    json_t *columns;
    json_object_foreach(db->monitor, table, columns)
    {
        json_t *what = json_object();
        json_object_set(what, "columns", columns);
        json_object_set_new(tables, table, what);
    }
    json_t *params = json_array();
    json_array_append_new(params, json_string(db->database));
    json_array_append_new(params, json_null());
    json_array_append_new(params, tables);
    return params;
}

static void queue_echo_reply(struct ovsdb *db, const struct ovsdb_message *m)
{
    json_t *reply = json_object();
    json_object_set(reply, "id", m->id ? (json_t *)m->id : json_null());
    json_object_set(reply, "result", (json_t *)m->params);
    json_object_set_new(reply, "error", json_null());
    queue(db, reply);
}

static void wake(struct ovsdb *db)
{
    uint64_t one = 1;
    if (write(db->wake, &one, sizeof(one)) < 0)
        log_limited(LOG_WARN, module, "eventfd: %s", strerror(errno));
}

/* ---- the thread: what comes in ----------------------------------------- */

static void notify(struct ovsdb *db)
{
    if (db->config.changed)
        db->config.changed(db->config.arg);
}

static struct call *take_call(struct ovsdb *db, const json_t *id)
{
    for (struct call **p = &db->calls; *p; p = &(*p)->next)
        if (json_is_integer(id) && (*p)->id == json_integer_value(id)) {
            struct call *call = *p;
            *p = call->next;
            return call;
        }
    return NULL;
}

/* The answer to the monitor request holds all rows. */
static bool monitor_reply(struct ovsdb *db, const struct ovsdb_message *m,
                          struct error *err)
{
    if (!json_is_object(m->result))
        return ovsdb_reply_check(m, 1, err);
    json_decref(db->replica);
    db->replica = json_object();
    db->version++;
    if (!ovsdb_replica_apply(db->replica, m->result, err))
        return false;
    db->in_step = true;
    db->absent = 0;
    pthread_cond_broadcast(&db->cond);
    return true;
}

static bool got_reply(struct ovsdb *db, struct ovsdb_message *m, bool *changed,
                      struct error *err)
{
    if (json_is_integer(m->id) && json_integer_value(m->id) == MONITOR_ID) {
        *changed = true;
        return monitor_reply(db, m, err);
    }
    struct call *call = take_call(db, m->id);
    if (call) { /* else: its waiter has given up */
        call->reply = *m;
        call->done = true;
        *m = (struct ovsdb_message){ 0 };
        pthread_cond_broadcast(&db->cond);
    }
    return true;
}

static bool quiet_update(const struct ovsdb *db, const json_t *updates)
{
    return db->config.quiet && ovsdb_updates_only(updates, db->config.quiet);
}

static bool got_message(struct ovsdb *db, struct ovsdb_message *m,
                        bool *changed, struct error *err)
{
    switch (m->kind) {
    case OVSDB_REPLY:
        return got_reply(db, m, changed, err);
    case OVSDB_ECHO:
        queue_echo_reply(db, m);
        return true;
    case OVSDB_UPDATE:
        db->stats.updates++;
        *changed = true;
        if (!quiet_update(db, json_array_get(m->params, 1)))
            db->version++;
        return ovsdb_replica_apply(db->replica, json_array_get(m->params, 1),
                                   err);
    case OVSDB_OTHER:
        break;
    }
    return true;
}

static bool got_text(struct ovsdb *db, const struct buf *text,
                     struct error *err)
{
    struct ovsdb_message m;
    bool changed = false;
    if (!ovsdb_message_parse(&m, text->data, text->len, err))
        return false;
    pthread_mutex_lock(&db->lock);
    bool ok = got_message(db, &m, &changed, err);
    pthread_mutex_unlock(&db->lock);
    ovsdb_message_free(&m);
    if (ok && changed)
        notify(db);
    return ok;
}

static bool got_bytes(struct ovsdb *db, struct ovsdb_frame *frame,
                      const char *data, size_t len, struct error *err)
{
    while (len) {
        size_t used;
        switch (ovsdb_frame_feed(frame, data, len, &used)) {
        case OVSDB_FRAME_BAD:
            return error_set(err, ERR_INVALID,
                             "OVSDB %s sent what is no message", db->database);
        case OVSDB_FRAME_DONE:
            if (!got_text(db, &frame->text, err))
                return false;
            ovsdb_frame_next(frame);
            break;
        case OVSDB_FRAME_MORE:
            break;
        }
        data += used;
        len -= used;
    }
    return true;
}

static bool would_block(void)
{
    return errno == EAGAIN || errno == EINTR;
}

static bool run_read(struct ovsdb *db, struct ovsdb_frame *frame,
                     struct error *err)
{
    char chunk[READ_CHUNK];
    ssize_t n = read(db->fd, chunk, sizeof(chunk));
    if (n > 0)
        return got_bytes(db, frame, chunk, (size_t)n, err);
    if (!n)
        return error_set(err, ERR_UNAVAILABLE, "OVSDB %s hung up",
                         db->database);
    return would_block() ||
           error_errno(err, ERR_UNAVAILABLE, errno, "OVSDB %s", db->database);
}

static bool run_write(struct ovsdb *db, struct error *err)
{
    bool ok = true;
    pthread_mutex_lock(&db->lock);
    if (db->out.overflow)
        ok = error_set(err, ERR_TOO_LARGE, "OVSDB %s: too much to send",
                       db->database);
    while (ok && db->sent < db->out.len) {
        ssize_t n = send(db->fd, db->out.data + db->sent,
                         db->out.len - db->sent, MSG_NOSIGNAL);
        if (n < 0 && would_block())
            break;
        if (n < 0)
            ok = error_errno(err, ERR_UNAVAILABLE, errno, "OVSDB %s",
                             db->database);
        else
            db->sent += (size_t)n;
    }
    if (db->sent == db->out.len) {
        buf_reset(&db->out);
        db->sent = 0;
    }
    pthread_mutex_unlock(&db->lock);
    return ok;
}

/* ---- the thread: one connection after the other ------------------------ */

static bool to_send(struct ovsdb *db, bool *stop)
{
    pthread_mutex_lock(&db->lock);
    bool some = db->out.len || db->out.overflow;
    *stop = db->stop;
    pthread_mutex_unlock(&db->lock);
    return some;
}

/* Serves the connection until it breaks (false) or the end (true). */
static bool serve(struct ovsdb *db, struct ovsdb_frame *frame,
                  struct error *err)
{
    for (;;) {
        bool stop;
        uint64_t count;
        short send = to_send(db, &stop) ? POLLOUT : 0;
        struct pollfd fds[] = { { .fd = db->fd, .events = POLLIN | send },
                                { .fd = db->wake, .events = POLLIN } };
        if (stop)
            return true;
        if (poll(fds, ARRAY_SIZE(fds), -1) < 0 && errno != EINTR)
            return error_errno(err, ERR_INTERNAL, errno, "poll");
        if (fds[1].revents && read(db->wake, &count, sizeof(count)) < 0 &&
            !would_block())
            return error_errno(err, ERR_INTERNAL, errno, "eventfd");
        if ((fds[0].revents & ~POLLOUT) && !run_read(db, frame, err))
            return false;
        if (!run_write(db, err))
            return false;
    }
}

static void connection_begins(struct ovsdb *db)
{
    pthread_mutex_lock(&db->lock);
    db->stats.connects++;
    db->connected = true;
    queue(db, request(MONITOR_ID, "monitor", monitor_params(db)));
    pthread_mutex_unlock(&db->lock);
}

static void connection_ends(struct ovsdb *db)
{
    pthread_mutex_lock(&db->lock);
    close(steal_fd(&db->fd));
    if (db->in_step)
        db->absent = env_mono(&env_system);
    db->connected = db->in_step = false;
    buf_reset(&db->out);
    db->sent = 0;
    for (struct call *c = db->calls; c; c = c->next)
        c->done = true;
    db->calls = NULL;
    pthread_cond_broadcast(&db->cond);
    pthread_mutex_unlock(&db->lock);
    notify(db);
}

static int connect_unix(const char *path, struct error *err)
{
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    if (strlen(path) >= sizeof(to.sun_path)) {
        error_set(err, ERR_INVALID, "socket path %s is too long", path);
        return -1;
    }
    memcpy(to.sun_path, path, strlen(path) + 1);
    _autoclose_ int fd =
        socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to))) {
        error_errno(err, ERR_UNAVAILABLE, errno, "%s", path);
        return -1;
    }
    return steal_fd(&fd);
}

/* Waits out the pause; false when the end came. */
static bool pause_ms(struct ovsdb *db, int ms)
{
    bool stop;
    struct pollfd fd = { .fd = db->wake, .events = POLLIN };
    int64_t until = env_mono(&env_system) + ms * INT64_C(1000);
    for (;;) {
        uint64_t count;
        int64_t left = until - env_mono(&env_system);
        to_send(db, &stop);
        if (stop || left <= 0)
            return !stop;
        if (poll(&fd, 1, (int)(left / 1000) + 1) > 0 &&
            read(db->wake, &count, sizeof(count)) < 0)
            return true;
    }
}

static void run_connection(struct ovsdb *db, int *pause)
{
    struct error err = { 0 };
    struct ovsdb_frame frame;
    bool was_there = false;
    if (db->fd < 0)
        db->fd = connect_unix(db->socket, &err);
    if (db->fd >= 0) {
        connection_begins(db);
        ovsdb_frame_init(&frame, OVSDB_MESSAGE_MAX);
        if (serve(db, &frame, &err))
            error_clear(&err);
        ovsdb_frame_free(&frame);
        was_there = db->in_step;
        if (was_there) /* it was a good one: start the pauses over */
            *pause = PAUSE_MIN_MS;
        connection_ends(db);
    }
    if (err.code && (was_there || ovsdb_absent_us(db) >= OVSDB_PATIENCE_US))
        log_limited(LOG_WARN, module, "%s", err.text);
}

static void *thread_main(void *arg)
{
    struct ovsdb *db = arg;
    int pause = PAUSE_MIN_MS;
    do {
        run_connection(db, &pause);
        pthread_mutex_lock(&db->lock);
        db->stats.failures++;
        pthread_mutex_unlock(&db->lock);
        if (db->once || !pause_ms(db, pause))
            break;
        pause = pause * 2 < PAUSE_MAX_MS ? pause * 2 : PAUSE_MAX_MS;
    } while (true);
    return NULL;
}

/* ---- the public face --------------------------------------------------- */

static struct ovsdb *start(const struct ovsdb_config *config, int fd)
{
    struct ovsdb *db = xcalloc(1, sizeof(*db));
    pthread_condattr_t attr;
    db->config = *config;
    db->socket = xstrdup(config->socket ? config->socket : "");
    db->database = xstrdup(config->database);
    db->monitor = json_deep_copy(config->monitor);
    db->once = fd >= 0;
    db->fd = fd;
    db->absent = env_mono(&env_system);
    db->next_id = MONITOR_ID + 1;
    db->replica = json_object();
    db->out = BUF_INIT(SEND_MAX);
    db->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    pthread_mutex_init(&db->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&db->cond, &attr);
    pthread_condattr_destroy(&attr);
    int rc = db->wake < 0 ? errno
                          : pthread_create(&db->thread, NULL, thread_main, db);
    if (rc) { /* as out of memory: nothing works without */
        log_err(module, "cannot start: %s", strerror(rc));
        abort();
    }
    return db;
}

struct ovsdb *ovsdb_new(const struct ovsdb_config *config)
{
    return start(config, -1);
}

struct ovsdb *ovsdb_new_fd(const struct ovsdb_config *config, int fd)
{
    return start(config, fd);
}

void ovsdb_free(struct ovsdb *db)
{
    if (!db)
        return;
    pthread_mutex_lock(&db->lock);
    db->stop = true;
    pthread_mutex_unlock(&db->lock);
    wake(db);
    pthread_join(db->thread, NULL);
    json_decref(db->monitor);
    json_decref(db->replica);
    buf_free(&db->out);
    close(db->wake);
    pthread_cond_destroy(&db->cond);
    pthread_mutex_destroy(&db->lock);
    free(db->socket);
    free(db->database);
    free(db);
}

static struct timespec deadline(int64_t timeout_us)
{
    int64_t at = env_mono(&env_system) + timeout_us;
    return (struct timespec){ .tv_sec = at / SECOND_US,
                              .tv_nsec = at % SECOND_US * 1000 };
}

bool ovsdb_wait(struct ovsdb *db, int64_t timeout_us, struct error *err)
{
    struct timespec until = deadline(timeout_us);
    int rc = 0;
    pthread_mutex_lock(&db->lock);
    while (!db->in_step && !rc)
        rc = pthread_cond_timedwait(&db->cond, &db->lock, &until);
    bool ok = db->in_step;
    pthread_mutex_unlock(&db->lock);
    return ok ||
           error_set(err, ERR_UNAVAILABLE, "OVSDB %s at %s does not answer",
                     db->database, db->socket);
}

int64_t ovsdb_absent_us(struct ovsdb *db)
{
    pthread_mutex_lock(&db->lock);
    int64_t us = db->absent ? env_mono(&env_system) - db->absent : 0;
    pthread_mutex_unlock(&db->lock);
    return us;
}

/* Queues the transaction; with the lock held. */
static bool submit(struct ovsdb *db, struct call *call, json_t *ops,
                   struct error *err)
{
    if (!db->connected)
        return error_set(err, ERR_UNAVAILABLE, "OVSDB %s is not connected",
                         db->database);
    json_t *params = json_array();
    json_array_append_new(params, json_string(db->database));
    json_array_extend(params, ops);
    call->id = db->next_id++;
    call->next = db->calls;
    db->calls = call;
    db->stats.transactions++;
    queue(db, request(call->id, "transact", params));
    wake(db);
    return true;
}

/* Waits for the answer; with the lock held. */
static bool await(struct ovsdb *db, struct call *call, int64_t timeout_us,
                  struct error *err)
{
    struct timespec until = deadline(timeout_us);
    int rc = 0;
    while (!call->done && !rc)
        rc = pthread_cond_timedwait(&db->cond, &db->lock, &until);
    if (!call->done) {
        _autojson_ json_t *id = json_integer(call->id);
        take_call(db, id);
    }
    return call->reply.root ||
           error_set(err, ERR_UNKNOWN, "OVSDB %s: %s before the answer came",
                     db->database,
                     call->done ? "the connection broke" : "the time was over");
}

bool ovsdb_transact(struct ovsdb *db, json_t *ops, int64_t timeout_us,
                    json_t **results, struct error *err)
{
    struct call call = { 0 };
    pthread_mutex_lock(&db->lock);
    bool ok = submit(db, &call, ops, err) && await(db, &call, timeout_us, err);
    pthread_mutex_unlock(&db->lock);
    ok = ok && ovsdb_reply_check(&call.reply, json_array_size(ops), err);
    if (ok && results)
        *results = json_incref((json_t *)call.reply.result);
    ovsdb_message_free(&call.reply);
    return ok;
}

const json_t *ovsdb_lock(struct ovsdb *db, uint64_t *version)
{
    pthread_mutex_lock(&db->lock);
    if (version)
        *version = db->version;
    if (db->in_step)
        return db->replica;
    pthread_mutex_unlock(&db->lock);
    return NULL;
}

void ovsdb_unlock(struct ovsdb *db)
{
    pthread_mutex_unlock(&db->lock);
}

struct ovsdb_stats ovsdb_stats(struct ovsdb *db)
{
    pthread_mutex_lock(&db->lock);
    struct ovsdb_stats stats = db->stats;
    pthread_mutex_unlock(&db->lock);
    return stats;
}
