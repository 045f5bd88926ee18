/*
 * storage_reconcile - a node's storage, brought to what the records say.
 *
 *   image     CHECKING -> inspected -> ACTIVE, or QUEUED with a fault;
 *             QUEUED with an upload_id -> the upload is thrown away;
 *             DELETED -> the blob goes, then the record
 *   disk      WANTED on this node -> READY with a path | FAILED;
 *             READY with an upload_image_id -> the image ACTIVE, or gone;
 *             LEAVING -> the file goes, then the record
 *   volume    CREATING -> AVAILABLE | ERROR; EXTENDING (unless a running
 *             guest has it) -> AVAILABLE or IN_USE | ERROR_EXTENDING;
 *             UPLOADING -> the image ACTIVE; DELETING -> the file, then
 *             record and quota | ERROR_DELETING
 *   snapshot  CREATING -> AVAILABLE | ERROR; DELETING as a volume
 *
 * What has been done is written in one transaction that compares the record
 * with what was read; when it has changed meanwhile, all is looked at again.
 * Operations are idempotent (volumes.h), so a crash anywhere is resumed from
 * the records.  Failures that may pass are tried again some times; the
 * others are written as a state and a `fault` for whoever asked.
 *
 * A volume on its node's own disk (volume.local) is that node's alone, in the
 * storage that is the node's (volumes.h, `own`), as are its snapshots.
 *
 * An audit, now and then, removes files that no record names (an hour old,
 * so that nothing in the making is taken for one), and gives up uploads of
 * which nothing has arrived for an hour.
 *
 * Where the nodes share a storage (volumes.h, `own`), a volume is made by the
 * node that it was placed on and then is nobody's, like a snapshot: what is to
 * be done with it the leader does.  A disk is made and removed by its server's
 * node, an image by the one that has the upload.  What a node began that gives
 * no sign of life for a minute is the leader's too.  Two may do the same for a
 * moment, when one has not noticed that it leads no more: operations are
 * idempotent, an image that is being written is locked, and what the second
 * would write in the record is refused.
 *
 * A disk that is made of one on another node (a server that is off goes
 * there, model/resize.h) is fetched, wholly or not at all: what a crash
 * leaves is thrown away and it begins anew.  How far it is stands in the
 * migration.
 *
 * Threads: `workers` for images (slow), as many for copies of disks (slow
 * too), and as many for the rest; with 0 workers the owner steps the queues
 * (state/reconcile.h).
 */
#ifndef CAIRN_STORAGE_STORAGE_RECONCILE_H
#define CAIRN_STORAGE_STORAGE_RECONCILE_H

#include "common/keyring.h"
#include "model/model.h"
#include "state/reconcile.h"
#include "storage/volumes.h"

struct storage;

/* Makes something of a disk that comes from another node. */
typedef bool storage_take_fn(void *arg, const struct byte_source *from,
                             struct error *err);
/* Asks `node` for the disk that the record `disk_id` of ours is to become,
 * and calls `take` with it, once at most. */
typedef bool storage_fetch_fn(void *self, const char *node, const char *disk_id,
                              storage_take_fn *take, void *arg,
                              struct error *err);

struct storage_config {
    const char *node; /* our name; borrowed, as all here */
    struct volumes *volumes;
    struct store *store;
    struct cache *cache;
    const struct env *env;
    const struct keyring *keyring; /* NULL: there are no encrypted volumes */
    unsigned workers;              /* of each queue */
    bool images_elsewhere; /* another node of the pool keeps the images */
    /* Of a storage that the nodes share: who does what is nobody's?  NULL: we
     * do. */
    bool (*leads)(void *arg);
    void *leads_arg;
    storage_fetch_fn *fetch; /* NULL: from nowhere */
    void *fetch_arg;
};

/* Before cache_follow (it listens); nothing runs before storage_start. */
struct storage *storage_new(const struct storage_config *config);
/* After cache_unfollow; waits for what is running.  NULL is fine. */
void storage_free(struct storage *s);
/* After cache_follow: looks at all there is. */
void storage_start(struct storage *s);
/* This node leads the pool now: looks at all that is nobody's. */
void storage_lead(struct storage *s);
/* Whoever was writing uploads is gone (the face died, or we have started):
 * images that were SAVING go back to QUEUED.  Call it before a new face
 * runs; not from a store's call-back. */
void storage_interrupted(struct storage *s);

#define STORAGE_QUEUES 3
/* For the simulation and for metrics; NULL before start. */
struct reconciler *storage_queue(struct storage *s, int i);

#endif
