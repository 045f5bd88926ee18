/*
 * scheduler - the leader's controller that gives servers their node.
 *
 * It looks at every server without a node: one that is being built is placed
 * (placement.h), one that is to be deleted is released.  A volume that is
 * being made and belongs to no such server gets a node too, and so does a
 * server that is to move (model/migration.h, QUEUED).  A decision is
 * ONE transaction: node and zone of the server, node of its disk, its ports
 * and its new volumes, and why (model/decision.h).  Each rewrites the claim
 * "scheduler/placement" that it has read, so that two decisions, by two leaders
 * even, come one after the other, and the later sees what the earlier took:
 * nothing is overbooked.
 *
 * Servers that wait at the same time are decided one after another, each as
 * if those before had their place, and committed together: the store is the
 * slower of the two.  If that commit fails, nothing has happened, and the next
 * one is of one server.
 *
 * Servers of one request (min_count) are placed together, at least so many of
 * them or none, in one transaction always: they came in by one, which wrote
 * all that is written now and the claims of their addresses besides, so the
 * limits of the store that let them in let them be placed.  Reasons are put
 * down as far as there is room.
 *
 * Where no node fits the server becomes ERROR with the fault "No valid host
 * was found. ..." (code 500); why each node was excluded is logged.  A node
 * that would do but is silent is waited for until PLACEMENT_ALIVE_US after
 * the start, so that a pool that has just come up loses no server.
 *
 * Threads: those of its reconciler; `workers` is 1, or 0 for the simulation.
 */
#ifndef CAIRN_ENGINE_SCHEDULER_H
#define CAIRN_ENGINE_SCHEDULER_H

#include "common/env.h"
#include "engine/placement.h"
#include "state/reconcile.h"
#include "state/store.h"

struct scheduler;

struct scheduler_config {
    struct store *store;
    struct cache *cache;
    const struct env *env;
    /* Only the pool's leader works: makes the txn happen only while we lead;
     * false: we do not.  NULL: always. */
    bool (*guard)(void *arg, struct txn *txn);
    void *guard_arg;
    unsigned workers;
};

/* Before cache_follow: it listens.  All is borrowed. */
struct scheduler *scheduler_new(const struct scheduler_config *config);
/* After cache_follow, and whenever this node begins to lead: looks at all
 * there is. */
void scheduler_start(struct scheduler *s);
struct reconciler *scheduler_queue(struct scheduler *s);
/* After cache_unfollow; NULL is fine. */
void scheduler_free(struct scheduler *s);

#endif
