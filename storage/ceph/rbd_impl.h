/*
 * rbd_impl - what the halves of the RBD driver share.
 *
 * rbd_images.c has what is uploaded and read as a whole, rbd_driver.c disks,
 * volumes and the driver itself.  Nobody else includes this.  Ownership and
 * threads are those of rbd_driver.h.
 */
#ifndef CAIRN_STORAGE_CEPH_RBD_IMPL_H
#define CAIRN_STORAGE_CEPH_RBD_IMPL_H

#include "common/cleanup.h"
#include "common/env.h"
#include "storage/ceph/ceph_io.h"
#include "storage/ceph/rbd_driver.h"
#include "storage/ceph/rbd_image.h"
#include "storage/ceph/rbd_room.h"
#include "storage/image_check.h"

struct rbd_driver {
    struct volumes base;
    const struct env *env;
    struct ceph *ceph;
    rados_ioctx_t io;
    char *pool, *dir, *cache, *root;
    struct volumes *staging; /* uploads, until they are in the cluster */
    struct image_checker checker;
    struct rbd_room room;
};

static inline struct rbd_driver *rbd_driver_of(struct volumes *v)
{
    return container_of(v, struct rbd_driver, base);
}

/* "<kind>.<name>" in `out`. */
bool rbd_name_of(char out[RBD_NAME_MAX], const char *kind, const char *name,
                 struct error *err);

/* A blob is "<upload id>.<format>"; what it holds is named by the former. */
bool rbd_name_of_blob(char out[RBD_NAME_MAX], const char *kind,
                      const char *blob, struct error *err);

/* NO_SPACE when nothing new is to be made (rbd_room.h). */
static inline bool rbd_may_make(struct rbd_driver *d, struct error *err)
{
    return rbd_has_room(&d->room, d->ceph, d->pool, d->env, err);
}

/* The caller frees the path. */
char *rbd_file_in(const char *dir, const char *name);

/* An empty file of the sandbox's user at `path`; -1 and an error. */
int rbd_new_file(struct rbd_driver *d, const char *path, struct error *err);

/* Removes the file and frees its path. */
void rbd_drop_file(char **path);
#define _autodrop_ _cleanup_(rbd_drop_file)

/* What was noted of an image when it was committed; ERR_NOT_FOUND when it was
 * not. */
bool rbd_info_read(struct rbd_driver *d, const char *image,
                   struct image_info *info, struct error *err);

/* The first `size` bytes of an image, into a file; what is zero is a hole. */
bool rbd_fetch(struct rbd_driver *d, const char *name, int64_t size, int fd,
               struct error *err);

/* A copy of a volume, snapshot or disk as it is now; the snapshot between the
 * two has no name afterwards. */
bool rbd_clone_of(struct rbd_driver *d, enum volume_source from, const char *id,
                  const char *name, int64_t size, struct error *err);

/* The table's rows for images (storage/volumes.h). */
int rbd_pool_image_open_write(struct volumes *v, const char *upload_id,
                              struct error *err);
bool rbd_pool_image_discard(struct volumes *v, const char *upload_id,
                            struct error *err);
bool rbd_pool_image_commit(struct volumes *v, const char *upload_id,
                           const char *disk_format, struct image_info *info,
                           struct error *err);
int rbd_pool_image_open_read(struct volumes *v, const char *blob,
                             struct error *err);
bool rbd_pool_image_delete(struct volumes *v, const char *blob,
                           struct error *err);
bool rbd_pool_volume_to_image(struct volumes *v, enum volume_source from,
                              const char *source, const char *upload_id,
                              const char *disk_format, struct image_info *info,
                              struct error *err);

#endif
