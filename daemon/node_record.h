/*
 * node_record - this machine as the pool knows it.
 *
 * Writes the node's record when the daemon starts (what there is of
 * processors, memory and disk; whether KVM really runs guests) and a sign of
 * life every NODE_BEAT_US.  What administrators set in the record (zone,
 * disabled, overcommit) is kept.
 *
 * Threads: one of its own, the reconciler's.
 */
#ifndef CAIRN_DAEMON_NODE_RECORD_H
#define CAIRN_DAEMON_NODE_RECORD_H

#include "common/env.h"
#include "compute/hypervisor.h"
#include "state/cache.h"
#include "state/store.h"

#define NODE_BEAT_US (10 * SECOND_US)

struct node_config {
    struct store *store;
    struct cache *cache; /* following */
    const struct env *env;
    struct hypervisor *hypervisor; /* libvirt's: asked for its facts */
    const char *name;
    const char *address;
    const char *disk_dir; /* whose file system holds disks and volumes */
    bool kvm;
    const char *kvm_reason; /* why not; may be NULL */
};

struct node_record;

/* All that the configuration points to is borrowed. */
struct node_record *node_record_start(const struct node_config *config);
void node_record_stop(struct node_record *n); /* NULL is fine */

#endif
