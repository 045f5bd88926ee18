/*
 * storage_impl - what the parts of the storage reconciler have of each other.
 *
 *   storage_reconcile.c   queues, who is called for which record
 *   storage_run.c         one run: trying again, whose it is, writing it down
 *   storage_images.c      uploads -> images
 *   storage_content.c     what a guest may be writing to, taken all the same
 *   storage_volumes.c     volumes and their snapshots
 *   storage_keys.c        keys of encrypted ones, images for local ones
 *   storage_disks.c       servers' own disks
 *   storage_audit.c       files that no record names
 */
#ifndef CAIRN_STORAGE_STORAGE_IMPL_H
#define CAIRN_STORAGE_STORAGE_IMPL_H

#include "model/compute.h"
#include "model/image.h"
#include "model/volume.h"
#include "storage/storage_reconcile.h"

#include <pthread.h>

/* Keys whose last try failed, and how often. */
struct attempt {
    struct attempt *next;
    int n;
    char key[];
};

struct storage {
    struct storage_config c;
    struct reconciler *_Atomic queues[STORAGE_QUEUES]; /* NULL till start */
    pthread_mutex_t lock;                              /* of `attempts` */
    struct attempt *attempts;
    _Atomic bool stopping; /* what takes long ends early */
};

/* One run of the reconciler on one record. */
struct run {
    struct storage *s;
    const char *key;
    struct snapshot *snap;
    int64_t *delay_us;
    struct error *err;
};

typedef enum reconcile_verdict storage_work_fn(struct run *r,
                                               const void *record);
storage_work_fn storage_work_image, storage_work_disk, storage_work_volume,
    storage_work_snapshot;

/* ---- storage_run.c ------------------------------------------------------- */

const struct volume_ops *storage_ops(const struct run *r);
/* Where volumes and snapshots are kept that are local, or are not. */
struct volumes *storage_place(const struct run *r, bool local);
int64_t storage_now(const struct run *r);

/* How often the key has been tried, this time included. */
int storage_tries(struct storage *s, const char *key);
/* After a failed operation: false = try again later. */
bool storage_give_up(struct run *r);
/* What the owner of the thing may read of an error: no paths of the host. */
const char *storage_fault(const struct error *err);

/* Writes what was done; empties the txn. */
enum reconcile_verdict storage_commit(struct run *r, struct txn *t);
enum reconcile_verdict storage_change(struct run *r, const void *record);
enum reconcile_verdict storage_forget(struct run *r, const void *record);

bool storage_is_shared(const struct run *r);
bool storage_leads(const struct storage *s);
/* Is what names `node` (NULL: nobody) this node's to do? */
bool storage_is_ours(const struct run *r, const char *node);
/* The same of one on a node's own disk, or not. */
bool storage_volume_is_ours(const struct run *r, const char *node, bool local);
/* Who has what was made just now; NULL: everybody. */
const char *storage_home(const struct run *r);

/* ---- storage_images.c ---------------------------------------------------- */

/* What an image's bytes are known by before it has a blob. */
const char *storage_upload_id(const struct image *im);
void storage_image_fill(struct image *im, const struct image_info *info);
/* Back to an image without bytes. */
void storage_image_empty(struct image *im, const char *fault);
/* The blob of an image that may be used; NULL and err if it may not. */
const char *storage_image_blob(const struct run *r, const char *image_id);
/* Is somebody outside uploading it? */
bool storage_is_uploading(const struct snapshot *snap, const struct image *im);
/* The upload has ended and nobody could say so. */
void storage_interrupt(struct storage *s, const struct image *im);

/* ---- storage_content.c --------------------------------------------------- */

enum taken {
    TAKEN,
    NOT_YET, /* *verdict says what then */
    FAILED,  /* r->err */
};

/* What a guest may write to: a volume, or a server's disk. */
struct content {
    enum volume_source of;
    const char *id, *path;
    const struct volume *volume; /* or */
    const struct disk *disk;
    struct volumes *in;
};
struct content content_of_volume(const struct run *r, const struct volume *v);
struct content content_of_disk(const struct run *r, const struct disk *d);

/* The record names the file that the volume is. */
enum taken content_sync(struct run *r, const struct volume *v,
                        enum reconcile_verdict *verdict);
/* A snapshot of it as it is when asked for first.  A running guest that
 * writes to it is moved to a new file by compute, which sees that the
 * record's path is another than its domain has. */
enum taken content_take(struct run *r, const char *snapshot_id,
                        const struct content *c, char path[STORAGE_PATH_MAX],
                        enum reconcile_verdict *verdict);
/* What was taken for one purpose only; what is left of it the audit finds. */
void content_drop(struct run *r, const struct content *c,
                  const char *snapshot_id);
/* Comes again in `us`, `tries` times; then FAILED with CONFLICT. */
enum taken content_wait(struct run *r, int64_t us, int tries,
                        enum reconcile_verdict *verdict);
/* An image made of what a volume or a disk holds. */
enum reconcile_verdict content_upload(struct run *r, const struct content *c,
                                      const char *image_id);

/* ---- storage_volumes.c --------------------------------------------------- */

/* What a volume is when nothing is being done with it.  One that a server
 * was promised is not for others, before it has it as well. */
int storage_resting(const struct volume *v);

/* ---- storage_keys.c ------------------------------------------------------ */

/* The passphrase of the volume's key, which is made if it is the volume's own
 * and not there yet (NOT_YET: written, we come again).  Wipe it. */
enum taken storage_key(struct run *r, const struct volume *v, struct luks *out,
                       char passphrase[PASSPHRASE_SIZE],
                       enum reconcile_verdict *verdict);
/* Bytes that the volume takes beyond what its guest sees. */
bool storage_overhead(struct run *r, const char *key_id, int64_t *bytes);
/* Adds to `t` that one who had the key is gone. */
void storage_key_release(struct run *r, struct txn *t, const char *key_id,
                         const char *whose);
/* An image's content here, as blob `blob` of our own storage, until
 * storage_unfetch. */
bool storage_fetch(struct run *r, const char *image_id, const char *volume_id,
                   char blob[STORAGE_NAME_MAX]);
void storage_unfetch(struct run *r, const char *volume_id);

/* ---- storage_audit.c ----------------------------------------------------- */

/* Removes what no record names; comes again. */
enum reconcile_verdict storage_audit(struct run *r);

#endif
