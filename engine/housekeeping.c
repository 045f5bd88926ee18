#include "engine/housekeeping.h"

#include "common/log.h"
#include "model/migration.h"
#include "model/pool.h"

#include <stdlib.h>
#include <string.h>

#define LOG_NAME "housekeeping"
#define KEY      "pool/housekeeping"

struct housekeeper {
    struct housekeeper_config c;
    struct reconciler *queue;
    int64_t seen; /* the store's revision at the last pass, 0: none yet */
};

/* ---- one pass ---------------------------------------------------------- */

/* Changes since the last pass stay in the log: a watch that was cut off a
 * moment ago resumes from there. */
static bool compact(struct housekeeper *h, int64_t revision, struct error *err)
{
    if (h->seen && !store_compact(h->c.store, h->seen, err))
        return false;
    h->seen = revision;
    return true;
}

/* The decisions, pure.  Is the newest key (or the lack of one) due for a
 * rotation at `now`? */
static bool house_key_due(const struct snapshot *snap, int64_t now);
/* Adds up to HOUSE_BATCH deletions of what `now` has made useless; their
 * number. */
static size_t house_sweep(struct txn *txn, const struct snapshot *snap,
                          int64_t now);

static enum reconcile_verdict reconcile(void *self, const char *key,
                                        int64_t *delay_us, struct error *err)
{
    struct housekeeper *h = self;
    struct txn_result result;
    _autotxn_ struct txn txn = TXN_INIT;
    _autosnap_ struct snapshot *snap = cache_snapshot(h->c.cache);
    int64_t now = env_now(h->c.env);
    if (h->c.guard && !h->c.guard(h->c.guard_arg, &txn))
        return RECONCILE_DONE;
    size_t n = house_sweep(&txn, snap, now);
    bool rotated = house_key_due(snap, now);
    if (rotated)
        h->c.rotate(&txn, snap, h->c.env, HOUSE_KEYS_KEEP);
    *delay_us = HOUSE_MORE_US;
    if (!txn_empty(&txn) && !store_commit(h->c.store, &txn, &result)) {
        error_copy(err, &result.err);
        return result.status == TXN_CONFLICT ? RECONCILE_AGAIN
                                             : RECONCILE_RETRY;
    }
    if (rotated)
        log_info(LOG_NAME, "a new key seals tokens");
    if (n == HOUSE_BATCH)
        return RECONCILE_AGAIN;
    *delay_us = HOUSE_PASS_US;
    return compact(h, snapshot_revision(snap), err) ? RECONCILE_AGAIN
                                                    : RECONCILE_RETRY;
}

/* ---- public, in header order ------------------------------------------- */

struct housekeeper *housekeeper_new(const struct housekeeper_config *config)
{
    struct housekeeper *h = xcalloc(1, sizeof(*h));
    h->c = *config;
    h->queue =
        reconciler_new(LOG_NAME, reconcile, h, config->env, config->workers);
    return h;
}

void housekeeper_start(struct housekeeper *h)
{
    reconciler_add(h->queue, KEY);
}

struct reconciler *housekeeper_queue(struct housekeeper *h)
{
    return h->queue;
}

void housekeeper_free(struct housekeeper *h)
{
    if (!h)
        return;
    reconciler_stop(h->queue);
    free(h);
}

static bool house_key_due(const struct snapshot *snap, int64_t now)
{
    int64_t newest = INT64_MIN;
    struct snap_iter it = snap_all(snap, &kind_token_key);
    for (const struct token_key *k; (k = snap_next(&it));)
        newest = k->created > newest ? k->created : newest;
    return newest == INT64_MIN || newest + HOUSE_KEY_US <= now;
}

/* ---- what is swept ----------------------------------------------------- */

static size_t sweep_revocations(struct txn *txn, const struct snapshot *snap,
                                int64_t now, size_t n)
{
    struct snap_iter it = snap_all(snap, &kind_revocation);
    for (const struct revocation *x; n < HOUSE_BATCH && (x = snap_next(&it));) {
        if (x->expires + TOKEN_SHOWN_US > now)
            continue;
        txn_delete_record(txn, x);
        n++;
    }
    return n;
}

static bool is_zero(const struct usage *u)
{
    for (size_t i = 0; i < u->amounts.n; i++)
        if (LIST_AT(u->amounts, struct amount, i)->n)
            return false;
    return true;
}

/* Usage that is not zero counts things that still stand: it is theirs. */
static size_t sweep_usage(struct txn *txn, const struct snapshot *snap,
                          size_t n)
{
    char key[STORE_KEY_MAX];
    struct snap_iter it = snap_all(snap, &kind_usage);
    for (const struct usage *u; n < HOUSE_BATCH && (u = snap_next(&it));) {
        const char *slash = strchr(u->rec.id, '/');
        if (!slash || !is_zero(u) || snap_get(snap, &kind_project, slash + 1))
            continue;
        snprintf(key, sizeof(key), "project/%s", slash + 1);
        txn_absent(txn, key);
        txn_delete_record(txn, u);
        n++;
    }
    return n;
}

static int by_end(const void *a, const void *b)
{
    const struct migration *const *x = a, *const *y = b;
    return ((*x)->ended > (*y)->ended) - ((*x)->ended < (*y)->ended);
}

/* The oldest first: they are over their time, or too many. */
static size_t sweep_migrations(struct txn *txn, const struct snapshot *snap,
                               int64_t now, size_t n)
{
    size_t ended = 0, most = snap_count(snap, &kind_migration);
    _autofree_ const struct migration **all = xcalloc(most + 1, sizeof(*all));
    struct snap_iter it = snap_all(snap, &kind_migration);
    for (const struct migration *m; (m = snap_next(&it));)
        if (!migration_under_way(m))
            all[ended++] = m;
    qsort(all, ended, sizeof(const struct migration *), by_end);
    for (size_t i = 0; i < ended && n < HOUSE_BATCH; i++, n++) {
        if (ended - i <= HOUSE_MIGRATIONS &&
            all[i]->ended + HOUSE_MIGRATION_US > now)
            break;
        txn_delete_record(txn, all[i]);
    }
    return n;
}

static size_t house_sweep(struct txn *txn, const struct snapshot *snap,
                          int64_t now)
{
    size_t n = sweep_revocations(txn, snap, now, 0);
    n = sweep_usage(txn, snap, n);
    return sweep_migrations(txn, snap, now, n);
}
