/*
 * mdev - parts of devices, by the kernel's mediated devices in sysfs.
 *
 * A parent (class/mdev_bus) can be divided into the types that it supports;
 * a part is made by writing a UUID to the type's `create` and taken back by
 * writing to its `remove` (Documentation/driver-api/vfio-mediated-device.rst).
 * Virtual functions of one card count as one parent: the card.  A parent on
 * which others have made parts is theirs and is not offered.
 *
 * Nothing is remembered: the UUID of a part follows from the server, the
 * parent and the type, so that a part that was made before a crash is found
 * and none is made twice; it tells whose it is, so that none is left behind.
 *
 * Threads: any; those for one server one at a time.
 */
#ifndef CAIRN_COMPUTE_MDEV_H
#define CAIRN_COMPUTE_MDEV_H

#include "common/env.h"
#include "common/error.h"
#include "compute/hypervisor.h"
#include "model/pool.h"

/* The kernel: `sys` is where sysfs is; `put` writes a file and answers 0 or
 * an errno; NULL: write(2). */
struct mdev_host {
    const char *sys; /* "/sys" */
    int (*put)(void *arg, const char *path, const char *text);
    void *arg;
};

/* Parents into draft->devices, in the order of their addresses, instead of
 * those that are there; INVENTORY_DEVICES in all at most.  `types`: names of
 * those that are offered, by commas; "": all.  Only types that a guest sees
 * as a PCI device.  `was`: the record before, which knows what an empty
 * parent has room for when this one is not empty; NULL: none. */
void mdev_inventory(const struct mdev_host *h, const char *types,
                    const struct node *was, struct node *draft);

/* The UUID of a server's part. */
void mdev_uuid(const char *server_id, const char *parent, const char *type,
               char out[UUID_SIZE]);
bool mdev_is_ours(const char *uuid);
bool mdev_is_of(const char *uuid, const char *server_id);

/* Makes those of `devices` that are parts and not there yet, and takes back
 * what else the server has.  Only while its guest does not run.  NO_SPACE,
 * NOT_FOUND (no such parent or type), CONFLICT (the kernel refuses). */
bool mdev_give(const struct mdev_host *h, const char *server_id,
               const struct hostdev_spec *devices, size_t n, struct error *err);
/* Takes back all that the server has. */
bool mdev_take(const struct mdev_host *h, const char *server_id,
               struct error *err);

/* Takes back the parts that are Cairn's and that nobody wants: `wanted` is
 * asked of each after it was seen. */
typedef bool mdev_wanted_fn(void *arg, const char *uuid);
void mdev_sweep(const struct mdev_host *h, mdev_wanted_fn *wanted, void *arg);

#endif
