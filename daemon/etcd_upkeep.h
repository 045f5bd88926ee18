/*
 * etcd_upkeep - what this node's member of etcd needs now and then.
 *
 * Every ETCD_UPKEEP_US it looks at its member's status and does the chore
 * that etcd_chore names: defragments a file that is mostly holes, and ends an
 * alarm about space that is over.  While it defragments a member answers
 * nothing, so members take turns: of n voters the i-th may in every n-th
 * pass by the clock, save when nobody can write any more anyway.
 *
 * A snapshot is written to <state_dir>/snapshots/etcd-<UTC>.db as soon as
 * the newest is older than ETCD_SNAPSHOT_EVERY_US, by each voter for itself;
 * the ETCD_SNAPSHOTS_KEPT newest stay.  docs/operators.md restores one.
 *
 * A node without a member does nothing.
 *
 * Threads: that of its reconciler; `workers` is 1, or 0 for tests.
 */
#ifndef CAIRN_DAEMON_ETCD_UPKEEP_H
#define CAIRN_DAEMON_ETCD_UPKEEP_H

#include "common/env.h"
#include "daemon/config.h"
#include "state/etcd_cluster.h"
#include "state/reconcile.h"

#define ETCD_UPKEEP_FIRST_US   (60 * SECOND_US)
#define ETCD_UPKEEP_US         (600 * SECOND_US)
#define ETCD_SNAPSHOT_EVERY_US (6 * 3600 * SECOND_US)
#define ETCD_SNAPSHOTS_KEPT    4

struct etcd_upkeep;

struct etcd_upkeep_config {
    const struct env *env;
    const struct config *config; /* outlives it */
    const char *url;             /* of this node's member; copied */
    unsigned workers;
};

struct etcd_upkeep *etcd_upkeep_start(const struct etcd_upkeep_config *config);
struct reconciler *etcd_upkeep_queue(struct etcd_upkeep *u);
void etcd_upkeep_stop(struct etcd_upkeep *u); /* NULL is fine */

/* Pure: may the i-th of n voters be silent for a while, at that time (us)? */
bool etcd_upkeep_turn(size_t i, size_t n, int64_t now);

#endif
