/*
 * local_driver - volumes as files of one node: the embedded driver.
 *
 * Everything lies under one directory (layers.h draws it): images as the
 * qcow2 or raw files they were uploaded as, disks and volumes as qcow2
 * overlays on them, sparse, made by qcow2.h, changed by qemu-img, synced and
 * renamed into place.  Snapshots and clones are copy-on-write.  Paths that it
 * gives out name qcow2 files whose backing files have explicit formats.
 *
 * Images from outside pass inspect.h first, then qemu-img in a sandbox
 * (image_check.h).  They are inspected where nobody can write to them any
 * more: a commit is BUSY while anyone has the upload open for writing.
 */
#ifndef CAIRN_STORAGE_LOCAL_DRIVER_H
#define CAIRN_STORAGE_LOCAL_DRIVER_H

#include "common/env.h"
#include "storage/volumes.h"

#include <sys/types.h>

struct local_config {
    const char *dir; /* absolute; made when it is not there */
    /* The hypervisor's user owns disks and volumes (mode 0600), its group
     * may read what they stand on (0440, root's). */
    uid_t owner;
    gid_t group;
    /* Whom sandboxes run as, nobody else's; 0 = 65534. */
    uid_t sandbox_uid;
    gid_t sandbox_gid;
    /* Tests: called with a name between any two steps. */
    void (*crash_point)(void *arg, const char *name);
    void *crash_arg;
};

/* NULL and err when the directory cannot be used.  Close it with
 * ops->close; `env` must outlive it. */
struct volumes *local_driver_open(const struct local_config *config,
                                  const struct env *env, struct error *err);

#endif
