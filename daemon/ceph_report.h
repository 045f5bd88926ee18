/*
 * ceph_report - what a node says of its disks, and how they leave the pool.
 *
 * After each look at the cluster (ceph_node.h) the node brings its record
 * (model/node_disks.h) up to date and takes the next step of those OSDs that
 * are to leave (storage/ceph_leave.h): an administrator asked for it, their
 * disk is gone, or it is far slower than its peers.  For a node that is silent
 * the leader does the same, of what an administrator asked for.
 *
 * The disk of an OSD that has left keeps its content and is left alone: wipe
 * it and it is taken again.
 *
 * Threads: one.
 */
#ifndef CAIRN_DAEMON_CEPH_REPORT_H
#define CAIRN_DAEMON_CEPH_REPORT_H

#include "daemon/ceph_disks.h"
#include "state/cache.h"
#include "storage/ceph/module.h"
#include "storage/ceph_facts.h"
#include "storage/ceph_slow.h"

struct ceph_report {
    struct ceph_disks *disks;
    struct store *store;
    struct cache *cache;
    const char *node;
    const struct ceph_module *module;
    /* Ends the daemon of an OSD for good. */
    void (*stop)(void *arg, const struct ceph_slot *slot);
    void *arg;
    struct ceph_slow slow[CEPH_SLOTS];
    bool busy; /* an OSD of ours is leaving: look again soon */
};

/* `seen` with its nodes; `leads`: silent nodes are ours too. */
bool ceph_report_look(struct ceph_report *r, struct ceph *c,
                      const struct ceph_seen *seen, bool leads,
                      struct error *err);

#endif
