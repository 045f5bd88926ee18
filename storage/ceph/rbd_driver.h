/*
 * rbd_driver - volumes in the pool's Ceph cluster.
 *
 *   image.<upload id>   an image's disk content, sealed (rbd_image.h)
 *   bytes.<blob>        what was uploaded, byte by byte, when it is not raw
 *   disk.<server id>    a server's root disk: a clone of the image, which
 *                       copies nothing
 *   volume.<id>         a volume: empty, or a clone
 *   snapshot.<id>       a sealed clone of a volume as it was
 *
 * An encrypted volume is LUKS (luks.h) from its first byte, and so are its
 * clones and snapshots.  One for several servers has no exclusive lock.
 *
 * Uploads are files under `dir` of the node that took them in, until they are
 * committed: inspected and converted there as the local driver does it, in a
 * sandbox, and then written to the cluster.  Who downloads an image gets it
 * through a file of the same directory, which tidy() removes after a while.
 *
 * Paths that it gives out are "rbd:<pool>/<image>".  A snapshot of a volume
 * that a guest writes to is as after a power cut; extending such a volume is
 * CONFLICT, as everywhere: its hypervisor does that.
 */
#ifndef CAIRN_STORAGE_CEPH_RBD_DRIVER_H
#define CAIRN_STORAGE_CEPH_RBD_DRIVER_H

#include "common/env.h"
#include "storage/ceph/ceph.h"
#include "storage/volumes.h"

#include <sys/types.h>

#define RBD_PATH_PREFIX "rbd:"

struct rbd_config {
    struct ceph *ceph; /* borrowed */
    const char *pool;
    const char *dir; /* absolute; uploads and downloads pass through it */
    /* The hypervisor's user: of volumes on the node's own disk. */
    uid_t owner;
    gid_t group;
    /* Whom sandboxes run as, nobody else's; 0 = 65534. */
    uid_t sandbox_uid;
    gid_t sandbox_gid;
};

/* NULL and err when the pool or the directory cannot be used.  Close it with
 * ops->close; `env` must outlive it. */
struct volumes *rbd_driver_open(const struct rbd_config *config,
                                const struct env *env, struct error *err);

#endif
