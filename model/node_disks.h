/*
 * node_disks - the disks of a node, and what the pool does with them.
 *
 * Written by the node itself (daemon/ceph_report.h), but for `leave`, which is
 * an administrator's wish; of a node that is silent by the leader.
 *
 *      LEFT ALONE        has data, is too small ...: `reason`
 *      FREE -> IN USE <-> LEAVING -> (its OSD is purged) LEFT ALONE
 *                 |
 *                 v
 *               GONE     it does not answer; it leaves by itself
 */
#ifndef CAIRN_MODEL_NODE_DISKS_H
#define CAIRN_MODEL_NODE_DISKS_H

#include "model/model.h"

enum node_disk_state {
    NODE_DISK_ALONE,
    NODE_DISK_FREE,
    NODE_DISK_IN_USE,
    NODE_DISK_LEAVING,
    NODE_DISK_GONE,
};
extern const char *const node_disk_state_names[]; /* "left alone" .. */

struct node_disk {
    const char *path;
    int64_t size_gb;
    int state; /* enum node_disk_state */
    const char *reason;
    const char *osd; /* "osd.3"; NULL: none */
    int64_t used_gb; /* of data */
    int64_t groups;  /* placement groups that it holds */
    int64_t latency; /* of its writes, ms */
    bool slow;       /* far slower than its peers, for a time */
    bool leave;      /* an administrator wants it empty */
};

/* id = node name */
struct node_disks {
    struct record rec;
    struct list disks; /* struct node_disk */
};

struct node_disk *node_disk_named(const struct node_disks *d, const char *osd);

#endif
