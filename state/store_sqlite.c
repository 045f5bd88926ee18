/*
 * The SQLite driver: one file, one writer thread, group commit.
 *
 * Callers put jobs into a queue.  The writer takes what has come while it
 * was busy (the batch), evaluates each txn inside one SQLite transaction, so
 * that the later ones see what the earlier ones wrote, and commits: one sync
 * of the disk for all of them.  Only then does anybody hear of them: for each
 * job in order first the watches, then its own call-back.  If the batch
 * cannot be committed, none of it has happened and all of it FAILED.
 *
 * Every change is in `kv` (the present) and in `log` (the past, for watches
 * that begin there; id = revision << LOG_SHIFT | number of the change).
 *
 * A second connection serves ranges beside the writer.
 */
#include "state/sqlite_parts.h"

#include "common/alloc.h"
#include "common/log.h"

#include <string.h>
#include <time.h>

#define BATCH_JOBS    512
#define BATCH_BYTES   ((size_t)8 << 20)
#define TIMER_MOST_US 200000 /* the env's clock may be moved by a test */

/* ---- a batch ----------------------------------------------------------- */

static void fail_all(struct job *jobs, enum txn_status status,
                     const struct error *err)
{
    for (struct job *j = jobs; j; j = j->next) {
        j->result = txn_failed(status, err);
        j->n_events = 0;
    }
}

static bool only_watches(const struct job *jobs)
{
    while (jobs && jobs->type == JOB_WATCH)
        jobs = jobs->next;
    return !jobs;
}

/* ---- telling ----------------------------------------------------------- */

struct replay {
    struct watch *watch;
    int64_t revision;
    struct kv *events; /* of that revision, with copies of key and value */
    size_t n, cap;
};

static void replay_flush(struct replay *r)
{
    if (r->n)
        watch_tell(r->watch, WATCH_EVENTS, r->revision, r->events, r->n);
    for (size_t i = 0; i < r->n; i++) {
        free((void *)r->events[i].key);
        free((void *)r->events[i].value);
    }
    r->n = 0;
}

/* A column's bytes, with a NUL behind them. */
static char *column_copy(sqlite3_stmt *st, int column)
{
    size_t len = (size_t)sqlite3_column_bytes(st, column);
    char *copy = xmalloc(len + 1);
    if (len)
        memcpy(copy, sqlite3_column_blob(st, column), len);
    copy[len] = '\0';
    return copy;
}

static void replay_row(struct replay *r, sqlite3_stmt *st)
{
    int64_t revision = sqlite3_column_int64(st, 0) >> LOG_SHIFT;
    bool deleted = sqlite3_column_type(st, 2) == SQLITE_NULL;
    if (revision != r->revision)
        replay_flush(r);
    r->revision = revision;
    if (r->n == r->cap) {
        r->cap = r->cap ? r->cap * 2 : 16;
        r->events = xrealloc(r->events, r->cap * sizeof(*r->events));
    }
    r->events[r->n++] = (struct kv){
        .key = column_copy(st, 1),
        .value = deleted ? NULL : column_copy(st, 2),
        .len = (size_t)sqlite3_column_bytes(st, 2),
        .create_rev = sqlite3_column_int64(st, 3),
        .mod_rev = revision,
        .lease = sqlite3_column_int64(st, 4),
    };
}

/* Tells a new watch what was told to all before; false if that failed. */
static bool replay(struct sqlite *s, struct watch *w)
{
    sqlite3_stmt *st = sqlite_statement(s, STMT_REPLAY);
    struct replay r = { .watch = w };
    int rc;
    sqlite3_bind_int64(st, 1, w->from << LOG_SHIFT);
    sqlite3_bind_int64(st, 2, (s->told + 1) << LOG_SHIFT);
    while ((rc = sqlite3_step(st)) == SQLITE_ROW)
        replay_row(&r, st);
    sqlite3_reset(st);
    replay_flush(&r);
    free(r.events);
    return rc == SQLITE_DONE;
}

static void start_watch(struct sqlite *s, struct job *j)
{
    struct watch *w = watchers_hold(&s->watchers, j->watch);
    if (!w)
        return;
    bool live = false;
    if (w->from <= s->compacted)
        watch_tell(w, WATCH_COMPACTED, s->compacted, NULL, 0);
    else if (w->from > s->told || replay(s, w))
        live = true;
    else
        watch_tell(w, WATCH_LOST, s->told, NULL, 0);
    watchers_release(&s->watchers, w, live);
}

static void set_told(struct sqlite *s, int64_t revision)
{
    pthread_mutex_lock(&s->lock);
    s->told = revision;
    pthread_mutex_unlock(&s->lock);
}

static void finish(struct sqlite *s, struct job *j)
{
    if (j->type == JOB_WATCH)
        start_watch(s, j);
    if (j->type == JOB_GRANT && j->result.status == TXN_COMMITTED)
        sqlite_lease_add(s, j->result.revision, j->number);
    if (j->n_events) {
        int64_t revision = j->result.revision;
        watchers_tell(&s->watchers, WATCH_EVENTS, revision, j->events,
                      j->n_events);
        set_told(s, revision);
    }
    if (j->done)
        j->done(j->arg, &j->result);
    txn_reset(&j->txn);
    free(j->events);
    free(j);
}

static void run_batch(struct sqlite *s, struct job *jobs)
{
    struct error err = { 0 };
    enum txn_status status;
    if (!only_watches(jobs)) {
        bool ok = sqlite_write_batch(s, jobs, &status, &err);
        if (!ok) {
            log_limited(LOG_ERR, "store", "%s", err.text);
            fail_all(jobs, status, &err);
        }
        sqlite_leases_settle(s, ok);
    }
    for (struct job *next; jobs; jobs = next) {
        next = jobs->next;
        finish(s, jobs);
    }
}

/* ---- the writer thread ------------------------------------------------- */

static void enqueue_locked(struct sqlite *s, struct job *j)
{
    *s->last = j;
    s->last = &j->next;
    pthread_cond_signal(&s->wake);
}

static void enqueue(struct sqlite *s, struct job *j)
{
    pthread_mutex_lock(&s->lock);
    enqueue_locked(s, j);
    pthread_mutex_unlock(&s->lock);
}

static struct job *job_new(enum job_type type)
{
    struct job *j = xcalloc(1, sizeof(*j));
    j->type = type;
    return j;
}

/* The head of the queue, as much of it as one batch may be. */
static struct job *take_batch(struct sqlite *s)
{
    struct job *jobs = s->first, **at = &s->first;
    size_t n = 0, bytes = 0;
    while (*at && n < BATCH_JOBS && bytes < BATCH_BYTES) {
        n++;
        bytes += (*at)->txn.bytes;
        at = &(*at)->next;
    }
    s->first = *at;
    *at = NULL;
    if (!s->first)
        s->last = &s->first;
    return jobs;
}

/* Queues the ends of leases whose time is over; when the next one is. */
static int64_t expire(struct sqlite *s)
{
    int64_t now = env_mono(s->env), next = INT64_MAX;
    for (struct lease *l = s->leases; l; l = l->next) {
        if (l->deadline <= now) {
            struct job *j = job_new(JOB_REVOKE);
            j->number = l->id;
            l->deadline = INT64_MAX; /* not twice */
            enqueue_locked(s, j);
        }
        if (l->deadline < next)
            next = l->deadline;
    }
    return next;
}

static void wait_for_work(struct sqlite *s, int64_t due)
{
    struct timespec t;
    if (due == INT64_MAX) {
        pthread_cond_wait(&s->wake, &s->lock);
        return;
    }
    int64_t us = due - env_mono(s->env);
    if (us > TIMER_MOST_US)
        us = TIMER_MOST_US;
    clock_gettime(CLOCK_REALTIME, &t);
    t.tv_nsec += us * 1000;
    t.tv_sec += t.tv_nsec / 1000000000;
    t.tv_nsec %= 1000000000;
    pthread_cond_timedwait(&s->wake, &s->lock, &t);
}

static void *writer(void *arg)
{
    struct sqlite *s = arg;
    pthread_mutex_lock(&s->lock);
    while (!s->stop || s->first) {
        int64_t due = s->stop ? INT64_MAX : expire(s);
        if (!s->first) {
            wait_for_work(s, due);
            continue;
        }
        struct job *jobs = take_batch(s);
        pthread_mutex_unlock(&s->lock);
        run_batch(s, jobs);
        pthread_mutex_lock(&s->lock);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

/* ---- the table --------------------------------------------------------- */

#define sqlite_of(store_) container_of(store_, struct sqlite, store)

static bool read_revision(struct sqlite *s, int64_t *revision)
{
    bool ok = sqlite3_step(s->read_revision) == SQLITE_ROW;
    if (ok)
        *revision = sqlite3_column_int64(s->read_revision, 0);
    sqlite3_reset(s->read_revision);
    return ok;
}

/* The least string greater than all that start with prefix; its length, 0 if
 * there is none. */
static size_t prefix_end(const char *prefix, char *end)
{
    size_t n = strlen(prefix);
    while (n && (unsigned char)prefix[n - 1] == 0xff)
        n--;
    memcpy(end, prefix, n);
    if (n)
        end[n - 1]++;
    return n;
}

static bool read_rows(struct sqlite *s, const char *prefix, range_fn *fn,
                      void *arg)
{
    char end[STORE_KEY_MAX], key[STORE_KEY_MAX];
    sqlite3_stmt *st = s->read_range;
    int rc;
    size_t n = prefix_end(prefix, end);
    sqlite_bind_key(st, 1, prefix);
    sqlite3_bind_int(st, 2, n == 0);
    sqlite3_bind_blob(st, 3, end, (int)n, SQLITE_STATIC);
    while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
        size_t len = (size_t)sqlite3_column_bytes(st, 1);
        snprintf(key, sizeof(key), "%.*s", sqlite3_column_bytes(st, 0),
                 (const char *)sqlite3_column_blob(st, 0));
        struct kv kv = {
            .key = key,
            .value = len ? sqlite3_column_blob(st, 1) : "",
            .len = len,
            .create_rev = sqlite3_column_int64(st, 2),
            .mod_rev = sqlite3_column_int64(st, 3),
            .lease = sqlite3_column_int64(st, 4),
        };
        if (!fn(arg, &kv))
            break;
    }
    sqlite3_reset(st);
    return rc == SQLITE_DONE || rc == SQLITE_ROW;
}

static bool sql_range(struct store *store, const char *prefix, range_fn *fn,
                      void *arg, int64_t *revision, struct error *err)
{
    struct sqlite *s = sqlite_of(store);
    if (strlen(prefix) >= STORE_KEY_MAX)
        return error_set(err, ERR_INVALID, "the prefix is too long");
    pthread_mutex_lock(&s->read_lock);
    /* One read transaction: the first read settles what all of them see. */
    bool ok = !sqlite3_exec(s->read_db, "BEGIN", NULL, NULL, NULL) &&
              read_revision(s, revision) && read_rows(s, prefix, fn, arg);
    if (!ok)
        error_set(err, ERR_INTERNAL, "the store cannot be read: %s",
                  sqlite3_errmsg(s->read_db));
    sqlite3_exec(s->read_db, "ROLLBACK", NULL, NULL, NULL);
    pthread_mutex_unlock(&s->read_lock);
    return ok;
}

static void sql_submit(struct store *store, struct txn *t, txn_done_fn *done,
                       void *arg)
{
    struct job *j = job_new(JOB_TXN);
    j->txn = *t;
    *t = TXN_INIT;
    j->done = done;
    j->arg = arg;
    enqueue(sqlite_of(store), j);
}

static struct watch *sql_watch(struct store *store, const char *prefix,
                               int64_t from, watch_fn *fn, void *arg,
                               struct error *err)
{
    struct sqlite *s = sqlite_of(store);
    struct job *j = job_new(JOB_WATCH);
    pthread_mutex_lock(&s->lock);
    if (!from)
        from = s->told + 1;
    pthread_mutex_unlock(&s->lock);
    struct watch *w = watchers_add(&s->watchers, prefix, from, fn, arg);
    j->watch = w->serial;
    enqueue(s, j);
    return w;
}

static void sql_unwatch(struct store *store, struct watch *w)
{
    watchers_remove(&sqlite_of(store)->watchers, w);
}

/* A job of the queue, waited for. */
struct call {
    pthread_mutex_t lock;
    pthread_cond_t cond;
    bool done;
    struct txn_result result;
};

static void call_done(void *arg, const struct txn_result *result)
{
    struct call *c = arg;
    pthread_mutex_lock(&c->lock);
    c->result = *result;
    c->done = true;
    pthread_cond_signal(&c->cond);
    pthread_mutex_unlock(&c->lock);
}

static bool call(struct store *store, enum job_type type, int64_t number,
                 int64_t *result, struct error *err)
{
    struct call c = { .lock = PTHREAD_MUTEX_INITIALIZER,
                      .cond = PTHREAD_COND_INITIALIZER };
    struct job *j = job_new(type);
    j->number = number;
    j->done = call_done;
    j->arg = &c;
    enqueue(sqlite_of(store), j);
    pthread_mutex_lock(&c.lock);
    while (!c.done)
        pthread_cond_wait(&c.cond, &c.lock);
    pthread_mutex_unlock(&c.lock);
    if (c.result.status != TXN_COMMITTED)
        error_copy(err, &c.result.err);
    else if (result)
        *result = c.result.revision;
    return c.result.status == TXN_COMMITTED;
}

static bool sql_lease_grant(struct store *store, int64_t ttl_s, int64_t *lease,
                            struct error *err)
{
    return call(store, JOB_GRANT, ttl_s, lease, err);
}

static bool sql_lease_revoke(struct store *store, int64_t lease,
                             struct error *err)
{
    return call(store, JOB_REVOKE, lease, NULL, err);
}

static bool sql_lease_keepalive(struct store *store, int64_t lease,
                                struct error *err)
{
    struct sqlite *s = sqlite_of(store);
    pthread_mutex_lock(&s->lock);
    struct lease *l = sqlite_lease_find(s, lease);
    if (l && l->deadline != INT64_MAX)
        l->deadline = env_mono(s->env) + l->ttl_us;
    else
        l = NULL; /* its end is in the queue */
    pthread_mutex_unlock(&s->lock);
    return l ? true : sqlite_no_lease(err, lease);
}

static bool sql_compact(struct store *store, int64_t revision,
                        struct error *err)
{
    return call(store, JOB_COMPACT, revision, NULL, err);
}

static void free_all(struct sqlite *s)
{
    sqlite_close_file(s);
    for (struct lease *l = s->leases, *next; l; l = next) {
        next = l->next;
        free(l);
    }
    watchers_free(&s->watchers);
    pthread_cond_destroy(&s->wake);
    pthread_mutex_destroy(&s->lock);
    pthread_mutex_destroy(&s->read_lock);
    free(s);
}

static void sql_close(struct store *store)
{
    struct sqlite *s = sqlite_of(store);
    pthread_mutex_lock(&s->lock);
    s->stop = true;
    pthread_cond_signal(&s->wake);
    pthread_mutex_unlock(&s->lock);
    pthread_join(s->writer, NULL);
    free_all(s);
}

static const struct store_ops sqlite_ops = {
    .range = sql_range,
    .submit = sql_submit,
    .watch = sql_watch,
    .unwatch = sql_unwatch,
    .lease_grant = sql_lease_grant,
    .lease_keepalive = sql_lease_keepalive,
    .lease_revoke = sql_lease_revoke,
    .compact = sql_compact,
    .close = sql_close,
};

struct store *store_sqlite_open(const char *path, const struct env *env,
                                struct error *err)
{
    struct sqlite *s = xcalloc(1, sizeof(*s));
    s->store.ops = &sqlite_ops;
    s->env = env;
    s->last = &s->first;
    watchers_init(&s->watchers);
    pthread_mutex_init(&s->lock, NULL);
    pthread_mutex_init(&s->read_lock, NULL);
    pthread_cond_init(&s->wake, NULL);
    if (!sqlite_open_file(s, path, err)) {
        free_all(s);
        return NULL;
    }
    if (pthread_create(&s->writer, NULL, writer, s))
        abort();
    return &s->store;
}
