/*
 * rbd_image - librbd's images by name, each call idempotent.
 *
 * What Cairn needs of RBD and no more: make, clone, grow, remove, fill from a
 * file and read back.  Every image has the features that live migration and
 * fencing rest on (exclusive-lock) and that make clones and removal quick
 * (layering, object-map, fast-diff, deep-flatten).
 *
 * An image that is finished and must not change any more carries the snapshot
 * RBD_SEAL; clones are made from it.  Clones are of format 2: their parent
 * may be removed while they live.  It moves to the trash of its pool, without
 * a name, and rbd_image_purge removes it with the last of its clones.
 *
 * Who is killed in the middle leaves half an image: the next call for its name
 * finds that out and makes it whole, or removes what is left.
 *
 * Threads: any, but not two for one name.  Calls take as long as the cluster
 * does.  Sizes are bytes.
 *
 * Errors: NOT_FOUND; CONFLICT: a guest has the image open; NO_SPACE; TIMEOUT;
 * INTERNAL.  Source: docs.ceph.com, "librbd (C)" and "RBD layering".
 */
#ifndef CAIRN_STORAGE_CEPH_RBD_IMAGE_H
#define CAIRN_STORAGE_CEPH_RBD_IMAGE_H

#include "common/error.h"

#include <rados/librados.h>
#include <rbd/librbd.h>
#include <stdbool.h>
#include <stdint.h>

#define RBD_SEAL     "sealed"
#define RBD_NAME_MAX 128
/* Clones of clones; the next is made a whole copy instead. */
#define RBD_DEPTH_MAX 8

struct rbd_facts {
    int64_t size;
    int64_t created; /* wall clock, microseconds */
    bool sealed;
    bool in_use; /* somebody else has it open for writing */
};

/* An empty image of `size`; one that is there is grown to it. */
bool rbd_image_make(rados_ioctx_t io, const char *name, int64_t size,
                    struct error *err);
/* Several clients may write to it at once from now on: without the exclusive
 * lock, and what rests on it.  The fence does not need it: a blocklisted
 * client cannot write, locked or not. */
bool rbd_image_share(rados_ioctx_t io, const char *name, struct error *err);
/* A clone of `parent` as it was at its snapshot `snap`. */
bool rbd_image_clone(rados_ioctx_t io, const char *parent, const char *snap,
                     const char *name, int64_t size, struct error *err);
/* The image's content of this moment as a snapshot, of a running guest too
 * (as after a power cut). */
bool rbd_image_snap(rados_ioctx_t io, const char *name, const char *snap,
                    struct error *err);
/* Removes a snapshot; clones of it keep what they need. */
bool rbd_image_unsnap(rados_ioctx_t io, const char *name, const char *snap,
                      struct error *err);
bool rbd_image_facts(rados_ioctx_t io, const char *name,
                     struct rbd_facts *facts, struct error *err);
/* To `size` or more; CONFLICT when a guest has it. */
bool rbd_image_grow(rados_ioctx_t io, const char *name, int64_t size,
                    struct error *err);
/* Removes an image with its snapshots; one that is gone is no error. */
bool rbd_image_remove(rados_ioctx_t io, const char *name, struct error *err);
/* Removes what the trash holds and no clone needs any more. */
bool rbd_image_purge(rados_ioctx_t io, struct error *err);

/* Keeps a text with the image, by `key`; reads it back (NOT_FOUND). */
bool rbd_image_note(rados_ioctx_t io, const char *name, const char *key,
                    const char *text, struct error *err);
bool rbd_image_noted(rados_ioctx_t io, const char *name, const char *key,
                     char *text, size_t size, struct error *err);

/* Writes a file's content to an image as large; holes and zeros take no
 * space.  The image was made just now. */
bool rbd_image_fill(rados_ioctx_t io, const char *name, int fd,
                    struct error *err);
/* Calls fn for each piece of an image's content, in order, up to `size`
 * bytes; its false ends the reading and is returned. */
typedef bool rbd_piece_fn(void *arg, const void *data, size_t len,
                          struct error *err);
bool rbd_image_read(rados_ioctx_t io, const char *name, int64_t size,
                    rbd_piece_fn *fn, void *arg, struct error *err);

/* Calls fn for the name of each image of the pool. */
typedef void rbd_name_fn(void *arg, const char *name);
bool rbd_image_each(rados_ioctx_t io, rbd_name_fn *fn, void *arg,
                    struct error *err);

#endif
