/*
 * drivers - the node's hypervisor and volumes, as its configuration says.
 *
 * Opened once at the start of the core and closed at its end; what they are
 * is the matter of compute/hypervisor.h and storage/volumes.h.
 */
#ifndef CAIRN_DAEMON_DRIVERS_H
#define CAIRN_DAEMON_DRIVERS_H

#include "common/env.h"
#include "compute/hypervisor.h"
#include "daemon/config.h"
#include "state/cache.h"
#include "storage/fence.h"
#include "storage/volumes.h"

#define DRIVERS_PROBE_US (2 * SECOND_US)

struct ceph_module;

/* Ceph's part of cairnd, loaded when it is first asked for. */
const struct ceph_module *drivers_ceph_module(struct error *err);

struct drivers {
    struct hypervisor *hypervisor;
    struct volumes *volumes;
    const struct ceph_module *module; /* NULL: disks are files of this node */
    struct ceph *ceph;
    struct fence *fence; /* of a storage that nodes share; else NULL */
};

/* `kvm`: guests run with it here; the fence reads `cache`.  On failure what
 * was opened is in `d` all the same, for drivers_close. */
bool drivers_open(struct drivers *d, const struct config *config, bool kvm,
                  struct cache *cache, const struct env *env,
                  struct error *err);
/* Does the storage that nodes share answer this one?  Blocks for
 * DRIVERS_PROBE_US at most; true where nothing is shared. */
bool drivers_storage_answers(const struct drivers *d,
                             const struct config *config);
void drivers_close(struct drivers *d); /* guests go on */

#endif
