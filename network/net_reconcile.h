/*
 * net_reconcile - the node's networks follow the records.
 *
 * Listens to the cache for every kind that networks are made of, brings the
 * driver to the newest snapshot, and writes back what is: the status of
 * ports (ACTIVE when plugged in and carried), networks, routers and floating
 * IPs, where the driver writes what all nodes share.  There is one key,
 * "network/all": any number of changes while one application runs become one
 * more application; no request waits for one. Every 60 s all is looked at
 * again, changed or not.
 *
 * Threads: those of its reconciler (state/reconcile.h).
 */
#ifndef CAIRN_NETWORK_NET_RECONCILE_H
#define CAIRN_NETWORK_NET_RECONCILE_H

#include "common/env.h"
#include "network/network.h"
#include "state/reconcile.h"
#include "state/store.h"

#define NET_AUDIT_US (60 * SECOND_US)

struct net_reconcile;

/* Before cache_follow (it listens).  All is borrowed and must outlive it;
 * `workers` is 1, or 0 for the simulation, which steps the queue. */
struct net_reconcile *net_reconcile_new(struct cache *cache,
                                        struct store *store,
                                        struct net_driver *driver,
                                        const struct env *env,
                                        unsigned workers);
/* Once the cache follows: looks at everything for the first time. */
void net_reconcile_start(struct net_reconcile *n);
/* Makes all networks anew, soon (`cairn network rebuild`); false: another node
 * writes them.  Any thread. */
bool net_reconcile_rebuild(struct net_reconcile *n);
/* Before the driver is closed; NULL is fine.  The cache must not change any
 * more. */
void net_reconcile_free(struct net_reconcile *n);
struct reconciler *net_reconcile_queue(struct net_reconcile *n);

#endif
