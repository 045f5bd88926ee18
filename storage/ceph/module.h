/*
 * module - Ceph's part of cairnd, loaded only where a pool uses Ceph.
 *
 * librbd and librados take 25 MB in every process that is linked with them,
 * used or not.  So what needs them is a shared object of its own,
 * cairn-ceph.so beside the program; it finds the rest of the house in the
 * program that loads it.  Its one symbol is `cairn_ceph_module`.
 *
 * It is never unloaded: librados keeps threads.
 */
#ifndef CAIRN_STORAGE_CEPH_MODULE_H
#define CAIRN_STORAGE_CEPH_MODULE_H

#include "storage/ceph/ceph.h"
#include "storage/ceph/rbd_driver.h"
#include "storage/ceph/rbd_fence.h"

struct ceph_module {
    struct ceph *(*connect)(const struct ceph_config *, struct error *);
    void (*free)(struct ceph *);
    bool (*key)(struct ceph *, char key[CEPH_KEY_MAX], struct error *);
    bool (*command)(struct ceph *, json_t *command, const char *input,
                    json_t **reply, struct error *);
    struct volumes *(*open)(const struct rbd_config *, const struct env *,
                            struct error *);
    struct fence *(*fence)(const struct rbd_fence_config *);
    void (*fence_free)(struct fence *);
};

#define CEPH_MODULE_FILE "cairn-ceph.so"

extern const struct ceph_module cairn_ceph_module;

#endif
