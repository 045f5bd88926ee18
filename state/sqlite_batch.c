#include "state/sqlite_parts.h"

#include "common/alloc.h"

#include <inttypes.h>
#include <string.h>

#define LOG_KEEP        10000
#define LOG_SLACK       256 /* compacted so many revisions at a time */
#define EXPIRY_RETRY_US SECOND_US

/* ---- leases ------------------------------------------------------------ */

struct lease *sqlite_lease_find(struct sqlite *s, int64_t id)
{
    struct lease *l = s->leases;
    while (l && l->id != id)
        l = l->next;
    return l && !l->revoked ? l : NULL;
}

bool sqlite_no_lease(struct error *err, int64_t id)
{
    return error_set(err, ERR_NOT_FOUND, "there is no lease %" PRId64, id);
}

static bool lease_there(struct sqlite *s, int64_t id)
{
    pthread_mutex_lock(&s->lock);
    bool there = sqlite_lease_find(s, id);
    pthread_mutex_unlock(&s->lock);
    return there;
}

void sqlite_lease_add(struct sqlite *s, int64_t id, int64_t ttl_s)
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

void sqlite_leases_settle(struct sqlite *s, bool committed)
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
    if (!sqlite_number_of(s, STMT_CREATE_REV, w->key, &create_rev, err))
        return false;
    if (!create_rev && !w->value)
        return true;
    if (!create_rev)
        create_rev = revision;

    sqlite3_stmt *st = sqlite_statement(s, w->value ? STMT_PUT : STMT_DELETE);
    sqlite_bind_key(st, 1, w->key);
    if (w->value) {
        sqlite_bind_value(st, 2, w->value, w->len);
        sqlite3_bind_int64(st, 3, create_rev);
        sqlite3_bind_int64(st, 4, revision);
        sqlite3_bind_int64(st, 5, w->lease);
    }
    if (!sqlite_run(s, w->value ? STMT_PUT : STMT_DELETE, err))
        return false;

    st = sqlite_statement(s, STMT_LOG);
    sqlite3_bind_int64(st, 1, revision << LOG_SHIFT | (int64_t)j->n_events);
    sqlite_bind_key(st, 2, w->key);
    sqlite_bind_value(st, 3, w->value, w->len);
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
    return sqlite_run(s, STMT_LOG, err);
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

/* Does the job make a key that is not there? */
static bool makes_new(struct sqlite *s, const struct txn *t, bool *yes,
                      struct error *err)
{
    *yes = false;
    for (size_t i = 0; i < t->n_writes && !*yes; i++) {
        int64_t create_rev = 0;
        if (!sqlite_number_of(s, STMT_CREATE_REV, t->writes[i].key, &create_rev,
                              err))
            return false;
        *yes = t->writes[i].value && !create_rev;
    }
    return true;
}

/* What is left of the disk is for who makes room. */
static bool apply_scarce(struct sqlite *s, struct job *j, struct error *err)
{
    struct error full;
    bool new_keys;
    if (!makes_new(s, &j->txn, &new_keys, err))
        return false;
    if (!new_keys)
        return apply_writes(s, j, err);
    sqlite_full(&full);
    j->result = txn_failed(TXN_FAILED, &full);
    return true;
}

static bool apply_txn(struct sqlite *s, struct job *j, struct error *err)
{
    const struct txn *t = &j->txn;
    for (size_t i = 0; i < t->n_compares; i++) {
        int64_t mod_rev;
        if (!sqlite_number_of(s, STMT_MOD_REV, t->compares[i].key, &mod_rev,
                              err))
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
            sqlite_no_lease(&gone, lease);
            j->result = txn_failed(TXN_FAILED, &gone);
            return true;
        }
    }
    return s->scarce ? apply_scarce(s, j, err) : apply_writes(s, j, err);
}

static bool apply_grant(struct sqlite *s, struct job *j, struct error *err)
{
    sqlite3_bind_int64(sqlite_statement(s, STMT_GRANT), 1, j->number);
    if (!sqlite_run(s, STMT_GRANT, err))
        return false;
    j->result = txn_committed(sqlite3_last_insert_rowid(s->db));
    return true;
}

/* Makes deletes of all keys of the lease out of the job. */
static bool collect_lease_keys(struct sqlite *s, struct job *j,
                               struct error *err)
{
    sqlite3_stmt *st = sqlite_statement(s, STMT_LEASE_KEYS);
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
        sqlite_failed(s->db, err);
    sqlite3_reset(st);
    return rc == SQLITE_DONE;
}

static bool apply_revoke(struct sqlite *s, struct job *j, struct error *err)
{
    pthread_mutex_lock(&s->lock);
    struct lease *l = sqlite_lease_find(s, j->number);
    if (l)
        l->revoked = true;
    pthread_mutex_unlock(&s->lock);
    if (!l) {
        struct error gone;
        sqlite_no_lease(&gone, j->number);
        j->result = txn_failed(TXN_FAILED, &gone);
        return true;
    }
    sqlite3_bind_int64(sqlite_statement(s, STMT_UNGRANT), 1, j->number);
    return sqlite_run(s, STMT_UNGRANT, err) && collect_lease_keys(s, j, err) &&
           apply_writes(s, j, err);
}

static bool compact_to(struct sqlite *s, int64_t revision, struct error *err)
{
    if (revision > s->revision)
        revision = s->revision;
    if (revision <= s->compacted)
        return true;
    s->compacted = revision;
    sqlite3_bind_int64(sqlite_statement(s, STMT_COMPACT), 1,
                       (revision + 1) << LOG_SHIFT);
    return sqlite_run(s, STMT_COMPACT, err) &&
           sqlite_set_meta(s, "compacted", revision, err);
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
    if (s->revision != before &&
        !sqlite_set_meta(s, "revision", s->revision, err))
        return false;
    return s->revision - s->compacted < LOG_KEEP + LOG_SLACK ||
           compact_to(s, s->revision - LOG_KEEP, err);
}

bool sqlite_write_batch(struct sqlite *s, struct job *jobs,
                        enum txn_status *status, struct error *err)
{
    int64_t revision = s->revision, compacted = s->compacted;
    *status = TXN_FAILED;
    sqlite_reserve_keep(s);
    bool ok = sqlite_run(s, STMT_BEGIN, err) && apply_all(s, jobs, err);
    if (ok && !(ok = sqlite_run(s, STMT_COMMIT, err))) {
        /* Written, but perhaps not on the disk: a crash now might bring it
         * back.  A full disk shows before the last frame is written. */
        if (err->code != ERR_NO_SPACE ||
            sqlite3_extended_errcode(s->db) == SQLITE_IOERR_FSYNC)
            *status = TXN_UNKNOWN;
    }
    if (ok)
        return true;
    if (!sqlite3_get_autocommit(s->db))
        sqlite_run(s, STMT_ROLLBACK, NULL);
    s->revision = revision;
    s->compacted = compacted;
    return false;
}
