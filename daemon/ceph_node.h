/*
 * ceph_node - this node's part of the pool's Ceph cluster.
 *
 * Starts and watches the daemons (supervisor.h) and does the steps that
 * ceph_plan finds, as long as it lives: the node's empty disks become OSDs,
 * also those that are plugged in later.
 *
 *   ceph-mon, ceph-mgr, ceph-disk-1 .. ceph-disk-16: the OSD of a disk
 *
 * One node so far: the cluster's monitor and its manager are on the founder,
 * and the disks of other members are not taken.
 *
 * Threads: one of its own after ceph_node_follow, and the supervisor's.
 */
#ifndef CAIRN_DAEMON_CEPH_NODE_H
#define CAIRN_DAEMON_CEPH_NODE_H

#include "common/env.h"
#include "daemon/config.h"

struct ceph_node;

/* The volumes are in a cluster that cairnd runs itself. */
bool ceph_node_wanted(const struct config *config);

/* Daemons that were here before are started; `config` is borrowed. */
struct ceph_node *ceph_node_start(const struct config *config,
                                  const struct env *env, const char *node,
                                  struct error *err);
/* One look and what follows from it.  True: the pool of volumes is there;
 * BUSY: not yet, call again. */
bool ceph_node_settle(struct ceph_node *n, struct error *err);
/* From now on it looks by itself. */
void ceph_node_follow(struct ceph_node *n);
/* The daemons go on.  NULL is fine. */
void ceph_node_free(struct ceph_node *n);

#endif
