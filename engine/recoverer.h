/*
 * recoverer - the leader's controller that carries recovery out.
 *
 * It looks at every member's lease and record, asks recovery.h what is to be
 * done, and does it: what is written is guarded by the leader's term and by
 * the node's record as it was read; to condemn a silent node, its lease must
 * be gone in the same transaction.  A server is given to another node in a
 * transaction that needs its old one to be FENCED in that revision.
 *
 * The fence is called by other workers, for it may take seconds; what it
 * answers is kept here in memory only, and asked anew by the next leader.
 *
 * The fence knows no terms: who was paused in the middle of a lift may do it
 * when another leads and has condemned the node anew.  So after each lift the
 * store itself is asked, by whoever lifted, and the fence closed again.
 *
 * Nodes that do not lead observe the leases, so that they know since when a
 * node is silent when they begin to lead.
 *
 * Threads: those of its reconciler: `workers` is 3, or 0 for tests, which
 * step recoverer_queue.
 */
#ifndef CAIRN_ENGINE_RECOVERER_H
#define CAIRN_ENGINE_RECOVERER_H

#include "common/env.h"
#include "state/cache.h"
#include "state/reconcile.h"
#include "state/store.h"
#include "storage/fence.h"

#define RECOVERER_PASS_US SECOND_US       /* a look at everything */
#define RECOVERER_ROOM_US (2 * SECOND_US) /* who found no room asks again */
/* A fence that failed: once more. */
#define RECOVERER_FENCE_US (SECOND_US / 5)
/* What is fenced is looked up, while all nodes are up, and else. */
#define RECOVERER_LIST_US        (30 * SECOND_US)
#define RECOVERER_LIST_FENCED_US (3 * SECOND_US)

struct recoverer;

struct recoverer_config {
    struct store *store;
    struct cache *cache;
    const struct env *env;
    struct fence *fence; /* NULL: no storage is shared */
    const char *node;    /* this one */
    /* Only the pool's leader works; the txn happens only while we lead. */
    bool (*leads)(void *arg);
    bool (*guard)(void *arg, struct txn *txn);
    void *arg;
    unsigned workers;
};

/* Before cache_follow: it listens.  All is borrowed. */
struct recoverer *recoverer_new(const struct recoverer_config *config);
/* After cache_follow, and whenever this node begins to lead. */
void recoverer_start(struct recoverer *r);
struct reconciler *recoverer_queue(struct recoverer *r);
/* After cache_unfollow; NULL is fine. */
void recoverer_free(struct recoverer *r);

#endif
