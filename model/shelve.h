/*
 * shelve - a server that gives its node back: what is written on the way.
 *
 *   ACTIVE ...  SHELVING         the guest is taken off
 *                 | shelve_image: its root disk fills an image
 *               SHELVING_IMAGE_UPLOADING
 *                 | shelve_keep, once that image is there (boot from volume:
 *   SHELVED     SHELVING_OFFLOADING       at once, nothing is copied)
 *                 | shelve_offload
 *   SHELVED_OFFLOADED            on no node; ports and volumes are kept
 *                 | unshelve: disks of the image; the scheduler gives a node
 *               UNSHELVING -> SPAWNING -> ACTIVE, and the image goes
 *
 * As nova with shelved_offload_time 0: SHELVED is only passed through.
 * Pure, as release.h: `server` is a draft that the caller puts; `now` is wall
 * clock in microseconds.
 */
#ifndef CAIRN_MODEL_SHELVE_H
#define CAIRN_MODEL_SHELVE_H

#include "model/compute.h"
#include "model/image.h"

/* Is it on its way to being shelved? */
bool shelve_under_way(const struct server *s);
/* Does it wait for a node, new or unshelved? */
bool server_awaits_node(const struct server *s);

/* `image` is the server's shelved_image_id, QUEUED and empty. */
void shelve_image(struct txn *t, struct server *server, const struct disk *disk,
                  const struct image *image, int64_t now);
void shelve_keep(struct server *server, int64_t now);
/* Its domain is no more. */
void shelve_offload(struct txn *t, const struct snapshot *s,
                    struct server *server, int64_t now);
/* One that is OFFLOADED gets records of disks, its root made of the image. */
void unshelve(struct txn *t, const struct snapshot *s, struct server *server,
              int64_t now);
/* No node was found: as it was before. */
void unshelve_failed(struct txn *t, const struct snapshot *s,
                     struct server *server, int64_t now);
/* Its image is of no use any more; nothing when it has none. */
void shelve_drop_image(struct txn *t, const struct snapshot *s,
                       struct server *server, int64_t now);

#endif
