/*
 * rbd_room - does the cluster take new things?
 *
 * A cluster whose fullest disk has reached `full_ratio` (95 %) takes no write
 * any more: every guest stands still.  Long before that, at `nearfull_ratio`
 * (85 %), the monitors mark its pools, and the driver makes nothing new in
 * them, so that what is left is for the guests that are there.
 * docs.ceph.com, "Health checks": OSD_NEARFULL, OSD_FULL.
 *
 * Threads: any.
 */
#ifndef CAIRN_STORAGE_CEPH_RBD_ROOM_H
#define CAIRN_STORAGE_CEPH_RBD_ROOM_H

#include "common/env.h"
#include "storage/ceph/ceph.h"

#include <pthread.h>

#define RBD_ROOM_AGE_US (2 * SECOND_US)

struct rbd_room {
    pthread_mutex_t lock;
    int64_t looked; /* monotonic; what follows is as of then */
    char flag[16];  /* "nearfull", "backfillfull", "full"; "" */
};

/* NO_SPACE: the monitors have marked `pool`.  What they say is taken for true
 * for RBD_ROOM_AGE_US; when they say nothing there is room. */
bool rbd_has_room(struct rbd_room *room, struct ceph *c, const char *pool,
                  const struct env *env, struct error *err);

#endif
