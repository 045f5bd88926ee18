#include "storage/ceph/module.h"

const struct ceph_module cairn_ceph_module = {
    .connect = ceph_connect,
    .free = ceph_free,
    .key = ceph_key,
    .command = ceph_command,
    .open = rbd_driver_open,
    .fence = rbd_fence_open,
    .fence_free = rbd_fence_close,
};
