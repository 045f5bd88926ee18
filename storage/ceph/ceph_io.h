/*
 * ceph_io - what is open in a Ceph connection, for the modules that use
 * librados and librbd themselves (ceph.h spares the others their headers).
 */
#ifndef CAIRN_STORAGE_CEPH_CEPH_IO_H
#define CAIRN_STORAGE_CEPH_CEPH_IO_H

#include "storage/ceph/ceph.h"

#include <rados/librados.h>

/* A pool's I/O context; the caller gives it to rados_ioctx_destroy before
 * ceph_free.  NULL: NOT_FOUND. */
rados_ioctx_t ceph_pool(struct ceph *c, const char *pool, struct error *err);

/* One of librados' or librbd's return values (negative errno) as an error
 * whose sentence begins as given.  Returns false. */
bool ceph_error(struct error *err, int rc, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif
