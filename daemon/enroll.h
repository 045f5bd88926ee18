/*
 * enroll - what an administrator does to join secrets and members.
 *
 * Of the privileged side: the face may not write these records.
 * Threads: any; calls block until the store has committed.
 */
#ifndef CAIRN_DAEMON_ENROLL_H
#define CAIRN_DAEMON_ENROLL_H

#include "daemon/join.h"
#include "state/cache.h"

#define ENROLL_SECONDS_MAX (366 * 24 * 3600) /* a secret's life */
#define ENROLL_SILENT_US   (60 * SECOND_US)

/* Makes a secret valid and gives its text, which is kept nowhere.  `once`:
 * for one node; `seconds`: 0: until it is revoked. */
bool enroll_secret(struct store *store, const struct env *env, bool once,
                   int64_t seconds, char text[JOIN_SECRET_SIZE],
                   struct error *err);
bool enroll_revoke(struct store *store, struct cache *cache, const char *name,
                   struct error *err);
/* An OSD's disk is to be empty ("osd.3"), or to stay after all.  How far it is
 * the record of its node says (model/node_disks.h). */
bool enroll_disk(struct store *store, struct cache *cache, const char *osd,
                 bool leave, struct error *err);
/* The node belongs to the pool no more.  CONFLICT while it has servers or
 * has given a sign of life within ENROLL_SILENT_US, or holds its lease (a pool
 * that was switched off has long been silent): switch it off first; and
 * while its disks have OSDs: these are then asked to leave. */
bool enroll_remove(struct store *store, struct cache *cache,
                   const struct env *env, const char *node, struct error *err);

#endif
