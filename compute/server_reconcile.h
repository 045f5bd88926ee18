/*
 * server_reconcile - the node's reconciler for its servers.
 *
 * For each server placed on this node (key "server/<id>") it plans the next
 * step (server_plan.h), carries it out through the hypervisor's table, and
 * writes what has become true in one transaction with all that belongs to
 * it: volumes and ports attached and let go, or, at the end, everything a
 * deleted server held (model/release.h).  A transaction that meets another
 * change does nothing and the server is looked at again.
 *
 * It is woken by records (the server, its disk, volumes and ports), by the
 * hypervisor's events, by its own timers, and by a look at everything every
 * minute.  Nothing is stopped when it stops; what runs is found again when
 * it starts.  Domains without a record are left alone and logged.
 *
 * Failures: an unreachable hypervisor is waited for without end; other
 * failures are tried again a few times, then the server is ERROR with a
 * sentence that names the step (details go to the log, not to the tenant).
 * A volume or port that cannot be attached is let go again.  Deleting never
 * gives up.
 *
 * Threads: the work is done by `workers` threads of its own; with 0 workers
 * its owner steps server_reconciler_queue() (the simulation).
 */
#ifndef CAIRN_COMPUTE_SERVER_RECONCILE_H
#define CAIRN_COMPUTE_SERVER_RECONCILE_H

#include "common/env.h"
#include "common/keyring.h"
#include "compute/hypervisor.h"
#include "state/cache.h"
#include "state/reconcile.h"
#include "state/store.h"

struct server_reconciler;

struct server_reconciler_config {
    struct store *store;
    struct cache *cache;
    struct hypervisor *hypervisor;
    const struct env *env;
    const char *node;              /* this node's name; copied */
    const struct keyring *keyring; /* NULL: there are no encrypted volumes */
    /* Asked before each look at a server, and told after it; false: not now
     * (quarantine.h).  NULL: always. */
    bool (*enter)(void *gate);
    void (*leave)(void *gate);
    void *gate;
    unsigned workers;
};

/* Before cache_follow: it listens to the cache and to the hypervisor. */
struct server_reconciler *
server_reconciler_new(const struct server_reconciler_config *config);
/* After cache_follow: looks at every server of the node. */
void server_reconciler_resync(struct server_reconciler *r);
struct reconciler *server_reconciler_queue(struct server_reconciler *r);
/* After cache_unfollow and before the hypervisor is closed, which is told to
 * listen no more; NULL is fine. */
void server_reconciler_free(struct server_reconciler *r);

#endif
