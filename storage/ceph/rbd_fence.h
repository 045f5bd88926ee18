/*
 * rbd_fence - refuses a node's clients by Ceph's blocklist (storage/fence.h).
 *
 * What is refused is the node's whole address in the storage network
 * (node.storage_address), so every client that it has or would start: QEMU,
 * cairnd.  Its OSDs are not clients and may come back; so may its monitor.
 * Its OSDs are declared dead as well when it is first refused: their data is
 * served by others then after one second instead of the grace time.
 *
 * An entry of the blocklist has an end, set to ten years here.  Once the
 * monitors have written it, each OSD refuses the node before it serves anyone
 * who knows of it: clients tell their map's number with each call, and a
 * client that starts later has a later one (docs.ceph.com, "rados
 * blocklisting"; ceph, src/osd/PrimaryLogPG.cc).
 *
 * Each call connects anew, which takes 15 ms: a connection that is kept hangs
 * for seconds when the monitor it was to has died with the node.
 *
 * Threads: any.
 */
#ifndef CAIRN_STORAGE_CEPH_RBD_FENCE_H
#define CAIRN_STORAGE_CEPH_RBD_FENCE_H

#include "state/cache.h"
#include "storage/fence.h"

struct rbd_fence_config {
    const char *conf, *client; /* ceph.h; one that may change the OSD map */
    struct cache *cache;       /* nodes */
};

/* Strings are copied.  Connects to nothing yet. */
struct fence *rbd_fence_open(const struct rbd_fence_config *config);
void rbd_fence_close(struct fence *f); /* NULL is fine */

#endif
