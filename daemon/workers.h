/*
 * workers - the reconcilers and controllers of a node, as one.
 *
 * Makes all of them, tied to each other and to the node's drivers; starts
 * those that act for this node, and those that act for the pool when the
 * node leads; frees them in the order in which they need each other.  What
 * each does is the matter of its own header.
 *
 * Ownership: the struct is the caller's, what the config names is borrowed
 * and must outlive it.  Threads: made, started and freed by one;
 * workers_lead from the thread that learns of it.
 */
#ifndef CAIRN_DAEMON_WORKERS_H
#define CAIRN_DAEMON_WORKERS_H

#include "compute/quarantine.h"
#include "compute/server_reconcile.h"
#include "daemon/carry.h"
#include "daemon/drivers.h"
#include "daemon/duty_ref.h"
#include "engine/housekeeping.h"
#include "engine/mover.h"
#include "engine/rebalancer.h"
#include "engine/recoverer.h"
#include "engine/scheduler.h"
#include "network/net_reconcile.h"
#include "storage/storage_reconcile.h"

struct workers_config {
    const struct config *config;
    const struct env *env;
    struct store *store;
    struct cache *cache;
    const struct drivers *drivers;
    struct net_driver *net;
    struct duty_ref *duty;
    const struct keyring *keyring; /* outlives the workers */
    const char *node;
    bool founder; /* of the pool: its images are here */
};

struct workers {
    struct workers_config config;
    struct quarantine *quarantine;
    struct server_reconciler *servers;
    struct storage *storage;
    struct net_reconcile *networks;
    struct scheduler *scheduler;
    struct carry carry;
    struct mover mover;
    struct rebalancer *rebalancer;
    struct recoverer *recoverer;
    struct housekeeper *housekeeper;
};

/* None acts yet, but all look from now on: before cache_follow. */
void workers_make(struct workers *w, const struct workers_config *config);
/* What one node does for itself; the duty is there. */
void workers_start(struct workers *w);
/* What one node does for all: from now on it leads. */
void workers_lead(struct workers *w);
void workers_free(struct workers *w); /* a zeroed struct is fine */

#endif
