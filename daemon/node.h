/*
 * node - this node's own record: what the machine is, and that it lives.
 *
 * Written at the start and whenever what it says has changed; `seen` every
 * NODE_BEAT_US, for the scheduler gives nothing to a silent node.  What an
 * administrator sets in the record (disabled, overcommit, zone) is kept.
 *
 * Threads: one of its own for the beats.
 */
#ifndef CAIRN_DAEMON_NODE_H
#define CAIRN_DAEMON_NODE_H

#include "common/env.h"
#include "compute/hypervisor.h"
#include "state/cache.h"
#include "storage/volumes.h"

#define NODE_STORAGE_WARN    75 /* per cent of the storage */
#define NODE_BEAT_US         (15 * SECOND_US)
#define NODE_RAM_RESERVED_MB 512

struct node_config {
    const struct env *env;
    struct store *store;
    struct cache *cache;
    struct hypervisor *hypervisor;
    struct volumes *volumes; /* NULL: no disk space here */
    const char *name, *address;
    const char *storage_address; /* NULL: it shares none */
    bool kvm;
    const char *kvm_reason;
    const char
        *passthrough;       /* devices offered to guests, compute/inventory.h */
    const char *mdev_types; /* that devices are divided into, compute/mdev.h */
    const char *sys;        /* where sysfs is */
    const char *pinned_cpus; /* kept for guests of their own, "" */
};

struct node_beat;

/* After cache_follow; the record is there when it returns.  Copies nothing. */
struct node_beat *node_beat_start(const struct node_config *config,
                                  struct error *err);
/* Says that this daemon stops on purpose and the guests go on: nobody takes
 * it for dead for a while.  Until its next start. */
void node_beat_goodbye(struct node_beat *b);
/* Before cache_unfollow; NULL is fine. */
void node_beat_stop(struct node_beat *b);

#endif
