/*
 * confirm - is the cache as new as the store was when somebody asked?
 *
 * Every node of a pool answers from a cache of its own, which hears of a
 * commit some milliseconds after whoever made it was answered.  Who must not
 * miss anything that was answered before he came asks here first.  An empty
 * transaction goes to the store and commits at the revision of now (etcd: a
 * linearizable read, by the ReadIndex of Raft); when the cache has reached
 * that, all that was answered before is in it.
 *
 * Those who come while one transaction is on its way share the next, so that
 * the store is asked once a round trip, however many wait.  One without an
 * answer gets another beside it after CONFIRM_AGAIN_US.
 *
 * Who has waited CONFIRM_PATIENCE_US learns that it cannot be told: most of
 * the voters are away.  From then on all are told so at once, while the store
 * is asked again and again, until it answers.
 *
 * Threads: any.  Answers come on the store's call-back thread, on that of
 * confirm_tick, or within confirm_ask; they must not block.
 */
#ifndef CAIRN_STATE_CONFIRM_H
#define CAIRN_STATE_CONFIRM_H

#include "common/env.h"
#include "state/cache.h"

/* An election of etcd's leader takes less (daemon/etcd_member.h). */
#define CONFIRM_PATIENCE_US (3 * SECOND_US)
#define CONFIRM_AGAIN_US    (SECOND_US / 4)
#define CONFIRM_FLIGHTS_MAX 16 /* transactions on their way */

struct confirm;

/* Whoever asks; the asker's until it has been answered. */
struct confirm_wait {
    /* `current`: the cache has all that was answered before the question. */
    void (*fn)(struct confirm_wait *w, bool current);
    struct confirm_wait *next; /* private, as all below */
    uint64_t need;             /* the first transaction that will do */
    int64_t until;
};

/* All given to it outlive it. */
struct confirm *confirm_new(struct store *store, struct cache *cache,
                            const struct env *env);
/* NULL is fine.  Nobody waits, the cache follows no more, and the store is
 * closed or else will not answer. */
void confirm_free(struct confirm *c);
/* Calls w->fn once. */
void confirm_ask(struct confirm *c, struct confirm_wait *w);
/* Ends waits that are over, and asks the store again: call it often. */
void confirm_tick(struct confirm *c);
/* When to tick next, monotonic us; INT64_MAX: no need. */
int64_t confirm_due(struct confirm *c);
/* All that wait and all who come are told that it is not known. */
void confirm_cancel(struct confirm *c);
/* For how long (us) the cache has not been known to be current; from the
 * start on when it never was. */
int64_t confirm_age(struct confirm *c);

#endif
