/*
 * ceph_node - this node's part of the pool's Ceph cluster.
 *
 * Starts and watches the daemons (supervisor.h) and does the steps that
 * ceph_plan finds, as long as it lives: the node's empty disks become OSDs,
 * also those that are plugged in later.
 *
 *   ceph-mon, ceph-mgr, ceph-disk-1 .. ceph-disk-16: the OSD of a disk
 *
 * Every member runs its own OSDs; monitors (one, three or five) and managers
 * (two) are on the members that ceph_plan names, each of which adds its own.
 * What is done once for all (rules, copies, a monitor whose node has left) is
 * the leader's.  A node that has joined asks another member for the keys
 * (ceph_share.h).
 *
 * Threads: one of its own after ceph_node_follow, and the supervisor's.
 */
#ifndef CAIRN_DAEMON_CEPH_NODE_H
#define CAIRN_DAEMON_CEPH_NODE_H

#include "common/env.h"
#include "daemon/config.h"
#include "daemon/membership.h"
#include "state/cache.h"

struct ceph_node;

/* The volumes are in a cluster that cairnd runs itself. */
bool ceph_node_wanted(const struct config *config);

struct ceph_node_config {
    const struct config *config;
    const struct env *env;
    const char *node;
    const struct membership *pool; /* its founder founds the cluster */
};

/* Daemons that were here before are started; copies nothing. */
struct ceph_node *ceph_node_start(const struct ceph_node_config *config,
                                  struct error *err);
/* One look and what follows from it.  True: the pool of volumes is there;
 * BUSY: not yet, call again. */
bool ceph_node_settle(struct ceph_node *n, struct error *err);
/* From now on it looks by itself, and sees the other members.  `leads`: this
 * node does what is done once for all. */
void ceph_node_follow(struct ceph_node *n, struct store *store,
                      struct cache *cache, bool (*leads)(void *), void *arg);
/* Where this node's daemons and clients are in the storage network. */
const char *ceph_node_address(const struct ceph_node *n);
/* What another member needs (ceph_share.h); the caller wipes it. */
bool ceph_node_share(struct ceph_node *n, struct buf *out, struct error *err);
/* The daemons go on.  NULL is fine.  Before the cache and the leadership. */
void ceph_node_free(struct ceph_node *n);

#endif
