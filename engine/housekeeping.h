/*
 * housekeeping - the leader's controller that clears away what time has
 * emptied, so that a pool that runs for years does not grow by itself.
 *
 *   token keys    a new one every HOUSE_KEY_US; one that no token can need
 *                 any more goes
 *   revocations   gone once the token could not even be shown any more
 *   migrations    that have ended are history: it goes after
 *                 HOUSE_MIGRATION_US, and the oldest beyond HOUSE_MIGRATIONS
 *   usage         records that say zero, of projects that are gone
 *   the store     forgets what changed before the last pass: events that no
 *                 watch will ask for, and secrets in them
 *
 * One key, "pool/housekeeping", comes back every HOUSE_PASS_US.  A pass is
 * one transaction of at most HOUSE_BATCH deletions; while there is more, the
 * next comes after HOUSE_MORE_US, so that nobody's write waits for it.
 *
 * How a key is made is the caller's business (rest-api/token.h stands a floor
 * above): `rotate` is tokens_rotate.
 *
 * Threads: those of its reconciler; `workers` is 1, or 0 for tests.
 */
#ifndef CAIRN_ENGINE_HOUSEKEEPING_H
#define CAIRN_ENGINE_HOUSEKEEPING_H

#include "common/env.h"
#include "model/identity.h"
#include "state/reconcile.h"
#include "state/store.h"

#define HOUSE_PASS_US (3600 * SECOND_US)
#define HOUSE_MORE_US (1 * SECOND_US)
#define HOUSE_KEY_US  (24 * 3600 * SECOND_US)
#define HOUSE_BATCH   256
/* What is kept of migrations that have ended, also of servers that are gone. */
#define HOUSE_MIGRATION_US (90 * 24 * 3600 * SECOND_US)
#define HOUSE_MIGRATIONS   10000
/* A key seals for one period.  What it sealed last may be shown for a token's
 * life and TOKEN_SHOWN_US more; the keys of those periods stand beside it. */
#define HOUSE_KEYS_KEEP                                                        \
    (2 + (size_t)((TOKEN_LIFE_US + TOKEN_SHOWN_US) / HOUSE_KEY_US))

/* Adds a new key to the txn, drops the oldest beyond `keep`. */
typedef void house_rotate_fn(struct txn *txn, const struct snapshot *snap,
                             const struct env *env, size_t keep);

struct housekeeper;

struct housekeeper_config {
    struct store *store;
    struct cache *cache;
    const struct env *env;
    house_rotate_fn *rotate;
    /* Only the pool's leader works: makes the txn happen only while we lead;
     * false: we do not.  NULL: always. */
    bool (*guard)(void *arg, struct txn *txn);
    void *guard_arg;
    unsigned workers;
};

/* All is borrowed. */
struct housekeeper *housekeeper_new(const struct housekeeper_config *config);
/* After cache_follow, and whenever this node begins to lead. */
void housekeeper_start(struct housekeeper *h);
struct reconciler *housekeeper_queue(struct housekeeper *h);
/* NULL is fine. */
void housekeeper_free(struct housekeeper *h);

#endif
