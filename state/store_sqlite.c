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
#include "state/store.h"

#include "common/alloc.h"
#include "common/env.h"
#include "common/log.h"
#include "state/watchers.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define BATCH_JOBS      512
#define BATCH_BYTES     ((size_t)8 << 20)
#define LOG_SHIFT       20 /* a revision has less than a million changes */
#define LOG_KEEP        10000
#define LOG_SLACK       256    /* compacted so many revisions at a time */
#define TIMER_MOST_US   200000 /* the env's clock may be moved by a test */
#define EXPIRY_RETRY_US SECOND_US

static const char schema[] =
    "PRAGMA journal_mode=WAL;"
    "PRAGMA synchronous=FULL;"
    "PRAGMA journal_size_limit=16777216;"
    "CREATE TABLE IF NOT EXISTS meta("
    " name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS kv("
    " id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, value BLOB NOT NULL,"
    " create_rev INTEGER NOT NULL, mod_rev INTEGER NOT NULL,"
    " lease INTEGER NOT NULL);"
    "CREATE INDEX IF NOT EXISTS kv_lease ON kv(lease) WHERE lease != 0;"
    "CREATE TABLE IF NOT EXISTS log("
    " id INTEGER PRIMARY KEY, key BLOB NOT NULL, value BLOB,"
    " create_rev INTEGER NOT NULL, lease INTEGER NOT NULL);"
    "CREATE TABLE IF NOT EXISTS lease("
    " id INTEGER PRIMARY KEY AUTOINCREMENT, ttl INTEGER NOT NULL);"
    "INSERT OR IGNORE INTO meta VALUES('revision',0),('compacted',0);";

/* ---- statements: prepared once ------------------------------------------ */

#define STATEMENTS(X)                                                          \
    X(BEGIN, "BEGIN IMMEDIATE")                                                \
    X(COMMIT, "COMMIT")                                                        \
    X(ROLLBACK, "ROLLBACK")                                                    \
    X(MOD_REV, "SELECT mod_rev FROM kv WHERE key=?1")                          \
    X(CREATE_REV, "SELECT create_rev FROM kv WHERE key=?1")                    \
    X(PUT, "INSERT INTO kv(key,value,create_rev,mod_rev,lease)"                \
           " VALUES(?1,?2,?3,?4,?5) ON CONFLICT(key) DO UPDATE SET"            \
           " value=?2,mod_rev=?4,lease=?5")                                    \
    X(DELETE, "DELETE FROM kv WHERE key=?1")                                   \
    X(LOG, "INSERT INTO log(id,key,value,create_rev,lease)"                    \
           " VALUES(?1,?2,?3,?4,?5)")                                          \
    X(REPLAY, "SELECT id,key,value,create_rev,lease FROM log"                  \
              " WHERE id>=?1 AND id<?2 ORDER BY id")                           \
    X(COMPACT, "DELETE FROM log WHERE id<?1")                                  \
    X(META, "UPDATE meta SET value=?2 WHERE name=?1")                          \
    X(GRANT, "INSERT INTO lease(ttl) VALUES(?1)")                              \
    X(LEASE_KEYS, "SELECT key FROM kv WHERE lease=?1 ORDER BY key")            \
    X(UNGRANT, "DELETE FROM lease WHERE id=?1")

enum statement {
#define X(name, sql) STMT_##name,
    STATEMENTS(X)
#undef X
        N_STATEMENTS
};

static const char *const sqls[] = {
#define X(name, sql) sql,
    STATEMENTS(X)
#undef X
};

enum job_type { JOB_TXN, JOB_WATCH, JOB_GRANT, JOB_REVOKE, JOB_COMPACT };

struct job {
    struct job *next;
    enum job_type type;
    struct txn txn;    /* REVOKE: filled with its deletes by the writer */
    uint64_t watch;    /* WATCH: serial */
    int64_t number;    /* GRANT: ttl; REVOKE: lease; COMPACT: revision */
    txn_done_fn *done; /* may be NULL */
    void *arg;
    struct txn_result result; /* GRANT: revision is the lease */
    struct kv *events;        /* borrowed from txn */
    size_t n_events;
};

struct lease {
    struct lease *next;
    int64_t id, ttl_us, deadline;
    bool revoked; /* in the batch that is being written */
};

struct sqlite {
    struct store store;
    const struct env *env;
    struct watchers watchers;

    /* The writer's. */
    pthread_t writer;
    sqlite3 *db;
    sqlite3_stmt *statements[N_STATEMENTS];
    int64_t revision, compacted; /* with the batch that is being written */

    pthread_mutex_t read_lock;
    sqlite3 *read_db;
    sqlite3_stmt *read_revision, *read_range;

    pthread_mutex_t lock; /* all below */
    pthread_cond_t wake;
    struct job *first, **last;
    struct lease *leases;
    int64_t told; /* revision up to which the watches have heard */
    bool stop;
};

/* ---- talking to SQLite -------------------------------------------------- */

/* The last error number of one of the database's files. */
static int file_errno(sqlite3 *db, int which)
{
    sqlite3_file *f = NULL;
    int e = 0;
    sqlite3_file_control(db, "main", which, &f);
    if (f && f->pMethods)
        f->pMethods->xFileControl(f, SQLITE_FCNTL_LAST_ERRNO, &e);
    return e;
}

static bool means_full(int e)
{
    return e == ENOSPC || e == EDQUOT || e == EFBIG;
}

/* SQLite knows ENOSPC; a quota or a limit is an I/O error to it. */
static bool is_full(sqlite3 *db)
{
    int code = sqlite3_errcode(db) & 0xff;
    return code == SQLITE_FULL ||
           (code == SQLITE_IOERR &&
            (means_full(sqlite3_system_errno(db)) ||
             means_full(file_errno(db, SQLITE_FCNTL_JOURNAL_POINTER)) ||
             means_full(file_errno(db, SQLITE_FCNTL_FILE_POINTER))));
}

static bool db_error(sqlite3 *db, struct error *err)
{
    if (is_full(db))
        return error_set(err, ERR_NO_SPACE, "the store's disk is full");
    return error_set(err, ERR_INTERNAL, "the store cannot be written: %s",
                     sqlite3_errmsg(db));
}

static sqlite3_stmt *statement(struct sqlite *s, enum statement which)
{
    return s->statements[which];
}

/* Runs to the end; for statements without rows. */
static bool run(struct sqlite *s, enum statement which, struct error *err)
{
    sqlite3_stmt *st = statement(s, which);
    bool ok = sqlite3_step(st) == SQLITE_DONE;
    if (!ok)
        db_error(s->db, err);
    sqlite3_reset(st);
    return ok;
}

static void bind_key(sqlite3_stmt *st, int at, const char *key)
{
    sqlite3_bind_blob(st, at, key, (int)strlen(key), SQLITE_STATIC);
}

/* A put of nothing is an empty value, not a delete. */
static void bind_value(sqlite3_stmt *st, int at, const void *value, size_t len)
{
    if (value)
        sqlite3_bind_blob(st, at, len ? value : "", (int)len, SQLITE_STATIC);
    else
        sqlite3_bind_null(st, at);
}

/* The number that `which` finds for a key, 0 if none. */
static bool number_of(struct sqlite *s, enum statement which, const char *key,
                      int64_t *number, struct error *err)
{
    sqlite3_stmt *st = statement(s, which);
    bind_key(st, 1, key);
    int rc = sqlite3_step(st);
    *number = rc == SQLITE_ROW ? sqlite3_column_int64(st, 0) : 0;
    if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        db_error(s->db, err);
    sqlite3_reset(st);
    return rc == SQLITE_ROW || rc == SQLITE_DONE;
}

static bool set_meta(struct sqlite *s, const char *name, int64_t value,
                     struct error *err)
{
    sqlite3_bind_text(statement(s, STMT_META), 1, name, -1, SQLITE_STATIC);
    sqlite3_bind_int64(statement(s, STMT_META), 2, value);
    return run(s, STMT_META, err);
}

/* ---- leases ------------------------------------------------------------ */

static struct lease *lease_find(struct sqlite *s, int64_t id)
{
    struct lease *l = s->leases;
    while (l && l->id != id)
        l = l->next;
    return l && !l->revoked ? l : NULL;
}

static bool no_lease(struct error *err, int64_t id)
{
    return error_set(err, ERR_NOT_FOUND, "there is no lease %" PRId64, id);
}

static bool lease_there(struct sqlite *s, int64_t id)
{
    pthread_mutex_lock(&s->lock);
    bool there = lease_find(s, id);
    pthread_mutex_unlock(&s->lock);
    return there;
}

static void lease_add(struct sqlite *s, int64_t id, int64_t ttl_s)
{
    struct lease *l = xcalloc(1, sizeof(*l));
    l->id = id;
    l->ttl_us = ttl_s * SECOND_US;
    l->deadline = env_mono(s->env) + l->ttl_us;
    pthread_mutex_lock(&s->lock);
    l->next = s->leases;
    s->leases = l;
    pthread_mutex_unlock(&s->lock);
}

/* After a batch: what was revoked goes, or after all stays. */
static void leases_settle(struct sqlite *s, bool committed)
{
    pthread_mutex_lock(&s->lock);
    for (struct lease **at = &s->leases, *l; (l = *at);) {
        if (l->revoked && committed) {
            *at = l->next;
            free(l);
            continue;
        }
        if (l->revoked)
            l->deadline = env_mono(s->env) + EXPIRY_RETRY_US;
        l->revoked = false;
        at = &l->next;
    }
    pthread_mutex_unlock(&s->lock);
}

/* ---- one job within the batch: false breaks the batch -------------------- */

static bool apply_write(struct sqlite *s, struct job *j, const struct write *w,
                        struct error *err)
{
    int64_t revision = s->revision + 1, create_rev;
    if (!number_of(s, STMT_CREATE_REV, w->key, &create_rev, err))
        return false;
    if (!create_rev && !w->value)
        return true;
    if (!create_rev)
        create_rev = revision;

    sqlite3_stmt *st = statement(s, w->value ? STMT_PUT : STMT_DELETE);
    bind_key(st, 1, w->key);
    if (w->value) {
        bind_value(st, 2, w->value, w->len);
        sqlite3_bind_int64(st, 3, create_rev);
        sqlite3_bind_int64(st, 4, revision);
        sqlite3_bind_int64(st, 5, w->lease);
    }
    if (!run(s, w->value ? STMT_PUT : STMT_DELETE, err))
        return false;

    st = statement(s, STMT_LOG);
    sqlite3_bind_int64(st, 1, revision << LOG_SHIFT | (int64_t)j->n_events);
    bind_key(st, 2, w->key);
    bind_value(st, 3, w->value, w->len);
    sqlite3_bind_int64(st, 4, create_rev);
    sqlite3_bind_int64(st, 5, w->lease);
    j->events[j->n_events++] = (struct kv){
        .key = w->key,
        .value = w->value,
        .len = w->len,
        .create_rev = create_rev,
        .mod_rev = revision,
        .lease = w->lease,
    };
    return run(s, STMT_LOG, err);
}

static bool apply_writes(struct sqlite *s, struct job *j, struct error *err)
{
    j->events = xmalloc(j->txn.n_writes * sizeof(*j->events));
    for (size_t i = 0; i < j->txn.n_writes; i++)
        if (!apply_write(s, j, &j->txn.writes[i], err))
            return false;
    if (j->n_events)
        s->revision++;
    j->result = txn_committed(s->revision);
    return true;
}

static bool apply_txn(struct sqlite *s, struct job *j, struct error *err)
{
    const struct txn *t = &j->txn;
    for (size_t i = 0; i < t->n_compares; i++) {
        int64_t mod_rev;
        if (!number_of(s, STMT_MOD_REV, t->compares[i].key, &mod_rev, err))
            return false;
        if (!compare_holds(&t->compares[i], mod_rev)) {
            j->result = txn_conflict(&t->compares[i], s->revision);
            return true;
        }
    }
    for (size_t i = 0; i < t->n_writes; i++) {
        int64_t lease = t->writes[i].lease;
        if (lease && !lease_there(s, lease)) {
            struct error gone;
            no_lease(&gone, lease);
            j->result = txn_failed(TXN_FAILED, &gone);
            return true;
        }
    }
    return apply_writes(s, j, err);
}

static bool apply_grant(struct sqlite *s, struct job *j, struct error *err)
{
    sqlite3_bind_int64(statement(s, STMT_GRANT), 1, j->number);
    if (!run(s, STMT_GRANT, err))
        return false;
    j->result = txn_committed(sqlite3_last_insert_rowid(s->db));
    return true;
}

/* Makes deletes of all keys of the lease out of the job. */
static bool collect_lease_keys(struct sqlite *s, struct job *j,
                               struct error *err)
{
    sqlite3_stmt *st = statement(s, STMT_LEASE_KEYS);
    struct txn *t = &j->txn;
    int rc;
    sqlite3_bind_int64(st, 1, j->number);
    while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
        t->writes = xrealloc(t->writes, (t->n_writes + 1) * sizeof(*t->writes));
        t->writes[t->n_writes++] = (struct write){
            .key = xstrndup(sqlite3_column_blob(st, 0),
                            (size_t)sqlite3_column_bytes(st, 0)),
        };
    }
    if (rc != SQLITE_DONE)
        db_error(s->db, err);
    sqlite3_reset(st);
    return rc == SQLITE_DONE;
}

static bool apply_revoke(struct sqlite *s, struct job *j, struct error *err)
{
    pthread_mutex_lock(&s->lock);
    struct lease *l = lease_find(s, j->number);
    if (l)
        l->revoked = true;
    pthread_mutex_unlock(&s->lock);
    if (!l) {
        struct error gone;
        no_lease(&gone, j->number);
        j->result = txn_failed(TXN_FAILED, &gone);
        return true;
    }
    sqlite3_bind_int64(statement(s, STMT_UNGRANT), 1, j->number);
    return run(s, STMT_UNGRANT, err) && collect_lease_keys(s, j, err) &&
           apply_writes(s, j, err);
}

static bool compact_to(struct sqlite *s, int64_t revision, struct error *err)
{
    if (revision > s->revision)
        revision = s->revision;
    if (revision <= s->compacted)
        return true;
    s->compacted = revision;
    sqlite3_bind_int64(statement(s, STMT_COMPACT), 1,
                       (revision + 1) << LOG_SHIFT);
    return run(s, STMT_COMPACT, err) && set_meta(s, "compacted", revision, err);
}

static bool apply_compact(struct sqlite *s, struct job *j, struct error *err)
{
    j->result = txn_committed(s->revision);
    return compact_to(s, j->number, err);
}

static bool apply_nothing(struct sqlite *s, struct job *j, struct error *err)
{
    return true;
}

static bool (*const appliers[])(struct sqlite *, struct job *,
                                struct error *) = {
    [JOB_TXN] = apply_txn,         [JOB_WATCH] = apply_nothing,
    [JOB_GRANT] = apply_grant,     [JOB_REVOKE] = apply_revoke,
    [JOB_COMPACT] = apply_compact,
};

/* ---- the batch --------------------------------------------------------- */

static bool apply_all(struct sqlite *s, struct job *jobs, struct error *err)
{
    int64_t before = s->revision;
    for (struct job *j = jobs; j; j = j->next)
        if (!appliers[j->type](s, j, err))
            return false;
    if (s->revision != before && !set_meta(s, "revision", s->revision, err))
        return false;
    return s->revision - s->compacted < LOG_KEEP + LOG_SLACK ||
           compact_to(s, s->revision - LOG_KEEP, err);
}

/* All jobs in one SQLite transaction; *status says what a failure means. */
static bool write_batch(struct sqlite *s, struct job *jobs,
                        enum txn_status *status, struct error *err)
{
    int64_t revision = s->revision, compacted = s->compacted;
    *status = TXN_FAILED;
    bool ok = run(s, STMT_BEGIN, err) && apply_all(s, jobs, err);
    if (ok && !(ok = run(s, STMT_COMMIT, err))) {
        /* Written, but perhaps not on the disk: a crash now might bring it
         * back.  A full disk shows before the last frame is written. */
        if (err->code != ERR_NO_SPACE ||
            sqlite3_extended_errcode(s->db) == SQLITE_IOERR_FSYNC)
            *status = TXN_UNKNOWN;
    }
    if (ok)
        return true;
    if (!sqlite3_get_autocommit(s->db))
        run(s, STMT_ROLLBACK, NULL);
    s->revision = revision;
    s->compacted = compacted;
    return false;
}

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
    sqlite3_stmt *st = statement(s, STMT_REPLAY);
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
        lease_add(s, j->result.revision, j->number);
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
        bool ok = write_batch(s, jobs, &status, &err);
        if (!ok) {
            log_limited(LOG_ERR, "store", "%s", err.text);
            fail_all(jobs, status, &err);
        }
        leases_settle(s, ok);
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
    bind_key(st, 1, prefix);
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
    struct lease *l = lease_find(s, lease);
    if (l && l->deadline != INT64_MAX)
        l->deadline = env_mono(s->env) + l->ttl_us;
    else
        l = NULL; /* its end is in the queue */
    pthread_mutex_unlock(&s->lock);
    return l ? true : no_lease(err, lease);
}

static bool sql_compact(struct store *store, int64_t revision,
                        struct error *err)
{
    return call(store, JOB_COMPACT, revision, NULL, err);
}

static void free_all(struct sqlite *s)
{
    for (int i = 0; i < N_STATEMENTS; i++)
        sqlite3_finalize(s->statements[i]);
    sqlite3_finalize(s->read_revision);
    sqlite3_finalize(s->read_range);
    sqlite3_close(s->read_db);
    sqlite3_close(s->db);
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

/* ---- opening ----------------------------------------------------------- */

/* SQLite gives its other files the mode of the first. */
static bool make_file(const char *path, struct error *err)
{
    _autoclose_ int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || fchmod(fd, 0600))
        return error_errno(err, ERR_INTERNAL, errno, "%s", path);
    return true;
}

static bool connect_db(const char *path, sqlite3 **db)
{
    return sqlite3_open_v2(path, db,
                           SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX |
                               SQLITE_OPEN_PRIVATECACHE,
                           NULL) == SQLITE_OK &&
           sqlite3_busy_timeout(*db, 5000) == SQLITE_OK;
}

static bool prepare(sqlite3 *db, const char *sql, sqlite3_stmt **st)
{
    return sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, st,
                              NULL) == SQLITE_OK;
}

static bool open_writer(struct sqlite *s, const char *path)
{
    if (!connect_db(path, &s->db) ||
        sqlite3_exec(s->db, schema, NULL, NULL, NULL))
        return false;
    for (int i = 0; i < N_STATEMENTS; i++)
        if (!prepare(s->db, sqls[i], &s->statements[i]))
            return false;
    return true;
}

static bool open_reader(struct sqlite *s, const char *path)
{
    return connect_db(path, &s->read_db) &&
           !sqlite3_exec(s->read_db, "PRAGMA query_only=1", NULL, NULL, NULL) &&
           prepare(s->read_db, "SELECT value FROM meta WHERE name='revision'",
                   &s->read_revision) &&
           prepare(s->read_db,
                   "SELECT key,value,create_rev,mod_rev,lease FROM kv"
                   " WHERE key>=?1 AND (?2 OR key<?3) ORDER BY key",
                   &s->read_range);
}

static int load_meta(void *arg, int n, char **values, char **names)
{
    struct sqlite *s = arg;
    int64_t value = strtoll(values[1], NULL, 10);
    if (strcmp(values[0], "revision") == 0)
        s->revision = s->told = value;
    else
        s->compacted = value;
    return 0;
}

/* A lease outlives a restart, and its time begins anew. */
static int load_lease(void *arg, int n, char **values, char **names)
{
    lease_add(arg, strtoll(values[0], NULL, 10), strtoll(values[1], NULL, 10));
    return 0;
}

static bool load(struct sqlite *s)
{
    return !sqlite3_exec(s->db, "SELECT name,value FROM meta", load_meta, s,
                         NULL) &&
           !sqlite3_exec(s->db, "SELECT id,ttl FROM lease", load_lease, s,
                         NULL);
}

static const char *open_problem(struct sqlite *s)
{
    return sqlite3_errmsg(s->read_db ? s->read_db : s->db);
}

struct store *store_sqlite_open(const char *path, const struct env *env,
                                struct error *err)
{
    if (!make_file(path, err))
        return NULL;
    struct sqlite *s = xcalloc(1, sizeof(*s));
    s->store.ops = &sqlite_ops;
    s->env = env;
    s->last = &s->first;
    watchers_init(&s->watchers);
    pthread_mutex_init(&s->lock, NULL);
    pthread_mutex_init(&s->read_lock, NULL);
    pthread_cond_init(&s->wake, NULL);
    if (!open_writer(s, path) || !load(s) || !open_reader(s, path)) {
        error_set(err, ERR_INTERNAL, "%s: %s", path, open_problem(s));
        free_all(s);
        return NULL;
    }
    if (pthread_create(&s->writer, NULL, writer, s))
        abort();
    return &s->store;
}
