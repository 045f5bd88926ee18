/*
 * rebalancer - the leader's controller that carries plans out.
 *
 * Every REBALANCE_PASS_US it makes a plan (plan.h) of the records as they
 * are.  With the pool's `rebalancing`
 *   off      it does nothing
 *   advise   it logs what a plan that is not empty would gain and cost
 *   on       it starts the moves of the plan's first wave and waits until
 *            their servers are there (or REBALANCE_MOVE_US is over); then it
 *            plans anew, so that a world that has changed is never moved by
 *            an old plan
 * A move that would leave somebody without a place in the reserve is not made.
 * What has changed its node within REBALANCE_REST_US, by a plan or by a
 * failure, is spared; what its old node shows of pressure is not gone by so
 * long (strain.h).
 *
 * A node that drains (model/pool.h) is emptied whatever `rebalancing` says:
 * then plans are made for that alone, one after the other.
 *
 * How a running server is moved is the caller's (mover.h): without `move` it
 * advises, whatever the pool says.  One whose move has failed rests for
 * REBALANCE_AGAIN_US.
 *
 * Threads: those of its reconciler; `workers` is 1, or 0 for tests.
 */
#ifndef CAIRN_ENGINE_REBALANCER_H
#define CAIRN_ENGINE_REBALANCER_H

#include "common/env.h"
#include "engine/plan.h"
#include "engine/view.h"
#include "state/reconcile.h"

#define REBALANCE_PASS_US  (60 * SECOND_US)
#define REBALANCE_LOOK_US  (2 * SECOND_US) /* while servers are on their way */
#define REBALANCE_MOVE_US  (900 * SECOND_US)
#define REBALANCE_REST_US  (900 * SECOND_US)
#define REBALANCE_AGAIN_US (60 * SECOND_US)

/* Begins to move a running server; it is done when its record has the node.
 * False: not this one, not now. */
typedef bool rebalance_move_fn(void *self, const struct server *server,
                               const char *to, const char *why,
                               struct error *err);

struct rebalancer;

struct rebalancer_config {
    struct cache *cache;
    const struct env *env;
    rebalance_move_fn *move; /* NULL: advise only */
    void *self;              /* of `move` */
    /* Only the pool's leader works.  NULL: always. */
    bool (*leads)(void *arg);
    void *leads_arg;
    unsigned workers;
};

/* Before cache_follow: it listens.  All is borrowed. */
struct rebalancer *rebalancer_new(const struct rebalancer_config *config);
/* After cache_follow, and whenever this node begins to lead. */
void rebalancer_start(struct rebalancer *b);
struct reconciler *rebalancer_queue(struct rebalancer *b);
/* After cache_unfollow; NULL is fine. */
void rebalancer_free(struct rebalancer *b);

#endif
