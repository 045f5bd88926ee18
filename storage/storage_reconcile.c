#include "storage/storage_reconcile.h"

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "model/compute.h"
#include "model/image.h"
#include "model/pool.h"
#include "model/volume.h"

#include <pthread.h>
#include <string.h>

#define ATTEMPTS_MAX  8
#define GROW_US       (5 * SECOND_US)
#define CONFLICT_US   (10 * INT64_C(1000))
#define MOVE_US       (50 * INT64_C(1000))
#define MOVE_TRIES    1200
#define SAVED_US      (5 * SECOND_US)
#define SAVED_TRIES   12
#define RELEASE_US    (2 * SECOND_US)
#define RELEASE_TRIES 60
#define SILENT_US     (60 * SECOND_US)
#define AUDIT_US      (600 * SECOND_US)
#define AUDIT_AGE_US  (3600 * SECOND_US)
#define AUDIT_KEY     "audit/files"
#define SWEEP_US      (60 * SECOND_US)
#define SWEEP_KEY     "sweep/all"

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
};

/* One run of the reconciler on one record. */
struct run {
    struct storage *s;
    const char *key;
    struct snapshot *snap;
    int64_t *delay_us;
    struct error *err;
};

typedef enum reconcile_verdict work_fn(struct run *r, const void *record);
static work_fn work_image, work_disk, work_volume, work_snapshot;

static const struct {
    const struct kind *kind;
    int queue;
    work_fn *work;
} works[] = {
    { &kind_image, 0, work_image },
    { &kind_disk, 1, work_disk },
    { &kind_volume, 1, work_volume },
    { &kind_snapshot, 1, work_snapshot },
};

static const struct volume_ops *ops_of(const struct run *r)
{
    return r->s->c.volumes->ops;
}

/* ---- trying again, and giving up --------------------------------------- */

static struct attempt **attempt_find(struct storage *s, const char *key)
{
    struct attempt **a = &s->attempts;
    while (*a && strcmp((*a)->key, key) != 0)
        a = &(*a)->next;
    return a;
}

static void attempts_forget(struct storage *s, const char *key)
{
    pthread_mutex_lock(&s->lock);
    struct attempt **a = attempt_find(s, key), *gone = *a;
    if (gone)
        *a = gone->next;
    pthread_mutex_unlock(&s->lock);
    free(gone);
}

static int attempts_count(struct storage *s, const char *key)
{
    pthread_mutex_lock(&s->lock);
    struct attempt **a = attempt_find(s, key);
    if (!*a) {
        size_t n = strlen(key) + 1;
        *a = xcalloc(1, sizeof(**a) + n);
        memcpy((*a)->key, key, n);
    }
    int tries = ++(*a)->n;
    pthread_mutex_unlock(&s->lock);
    return tries;
}

static bool may_pass(enum error_code code)
{
    switch (code) {
    case ERR_BUSY:
    case ERR_CONFLICT: /* a guest that is just letting go of it */
    case ERR_INTERNAL:
    case ERR_UNAVAILABLE:
    case ERR_UNKNOWN:
    case ERR_TIMEOUT:
    case ERR_CANCELLED:
        return true;
    default:
        return false;
    }
}

/* After a failed operation: false = try again later. */
static bool give_up(struct run *r)
{
    int tries = attempts_count(r->s, r->key);
    bool over = !may_pass(r->err->code) || tries >= ATTEMPTS_MAX;
    if (over) {
        log_warn("storage", "%s: given up after %d tries: %s", r->key, tries,
                 r->err->text);
        attempts_forget(r->s, r->key);
    }
    return over;
}

/* What the owner of the thing may read of an error: no paths of the host. */
static const char *fault_text(const struct error *err)
{
    switch (err->code) {
    case ERR_INVALID:
    case ERR_MEDIA_TYPE:
    case ERR_NOT_FOUND:
        return err->text;
    case ERR_NO_SPACE:
        return "no space left in the node's storage";
    case ERR_CONFLICT:
        return "the volume is in use by a running server";
    default:
        return error_code_text(err->code);
    }
}

/* Writes what was done; empties the txn. */
static enum reconcile_verdict commit(struct run *r, struct txn *t)
{
    struct txn_result result;
    if (store_commit(r->s->c.store, t, &result)) {
        attempts_forget(r->s, r->key);
        return RECONCILE_DONE;
    }
    if (result.status == TXN_CONFLICT) {
        *r->delay_us = CONFLICT_US;
        return RECONCILE_AGAIN;
    }
    error_copy(r->err, &result.err);
    return RECONCILE_RETRY;
}

static enum reconcile_verdict change(struct run *r, const void *record)
{
    _autotxn_ struct txn t = TXN_INIT;
    txn_change_record(&t, record);
    return commit(r, &t);
}

static enum reconcile_verdict forget(struct run *r, const void *record)
{
    _autotxn_ struct txn t = TXN_INIT;
    txn_delete_record(&t, record);
    return commit(r, &t);
}

static int64_t now(const struct run *r)
{
    return env_now(r->s->c.env);
}

static bool is_shared(const struct run *r)
{
    return r->s->c.volumes->own != NULL;
}

static bool leads(const struct storage *s)
{
    return !s->c.leads || s->c.leads(s->c.leads_arg);
}

/* It has given no sign of life for long: what it began is taken up. */
static bool is_silent(const struct run *r, const char *name)
{
    const struct node *n = snap_get(r->snap, &kind_node, name);
    return !n || n->seen < now(r) - SILENT_US;
}

/* In a pool of one node, what is nobody's yet is ours.  In a storage that all
 * nodes share, what is nobody's is the leader's, and so is what a node began
 * that has died. */
static bool is_ours(const struct run *r, const char *node)
{
    if (node && strcmp(node, r->s->c.node) == 0)
        return true;
    if (!is_shared(r))
        return !node;
    return leads(r->s) && (!node || is_silent(r, node));
}

/* Who has what was made just now. */
static const char *home_of(const struct run *r)
{
    return is_shared(r) ? NULL : r->s->c.node;
}

/* ---- images ------------------------------------------------------------ */

/* What an image's bytes are known by before it has a blob. */
static const char *upload_of(const struct image *im)
{
    return im->upload_id ? im->upload_id : im->rec.id;
}

static void image_fill(struct image *im, const struct image_info *info)
{
    im->status = IMAGE_ACTIVE;
    im->blob = rec_str(im, info->blob);
    im->size = info->size;
    im->virtual_size = info->virtual_size;
    im->upload_id = im->node = NULL;
    im->fault = NULL;
    if (!info->md5[0])
        return;
    im->disk_format = rec_str(im, info->format);
    im->checksum = rec_str(im, info->md5);
    im->hash_algo = rec_str(im, "sha512");
    im->hash_value = rec_str(im, info->sha512);
}

/* Back to an image without bytes. */
static void image_empty(struct image *im, const char *fault)
{
    im->status = IMAGE_QUEUED;
    im->fault = rec_str(im, fault);
    im->upload_id = im->node = im->blob = im->checksum = NULL;
    im->hash_algo = im->hash_value = NULL;
    im->size = im->virtual_size = 0;
}

static bool image_check_upload(struct run *r, const struct image *im,
                               struct image_info *info)
{
    if (!ops_of(r)->image_commit(r->s->c.volumes, upload_of(im),
                                 im->disk_format, info, r->err))
        return r->err->code == ERR_NOT_FOUND
                   ? error_set(r->err, ERR_NOT_FOUND,
                               "the uploaded bytes got lost; upload them again")
                   : false;
    if (im->size > 0 && !info->md5[0] && info->size != im->size)
        return error_set(r->err, ERR_INVALID,
                         "the upload is truncated: %lld of %lld bytes",
                         (long long)info->size, (long long)im->size);
    return true;
}

static enum reconcile_verdict image_inspect(struct run *r,
                                            const struct image *im)
{
    struct image_info info;
    bool ok = image_check_upload(r, im, &info);
    if (!ok && !give_up(r))
        return RECONCILE_RETRY;
    _autorecord_ struct image *next = record_copy(im);
    if (ok) {
        image_fill(next, &info);
    } else {
        image_empty(next, fault_text(r->err));
        if (!ops_of(r)->image_discard(r->s->c.volumes, upload_of(im), r->err))
            return RECONCILE_RETRY;
    }
    next->updated = now(r);
    return change(r, next);
}

static enum reconcile_verdict image_remove(struct run *r,
                                           const struct image *im)
{
    if (!ops_of(r)->image_discard(r->s->c.volumes, upload_of(im), r->err) ||
        (im->blob &&
         !ops_of(r)->image_delete(r->s->c.volumes, im->blob, r->err)))
        return RECONCILE_RETRY;
    return forget(r, im);
}

static enum reconcile_verdict image_drop_upload(struct run *r,
                                                const struct image *im)
{
    if (!ops_of(r)->image_discard(r->s->c.volumes, im->upload_id, r->err))
        return RECONCILE_RETRY;
    _autorecord_ struct image *next = record_copy(im);
    next->upload_id = next->node = NULL;
    return change(r, next);
}

static enum reconcile_verdict work_image(struct run *r, const void *record)
{
    const struct image *im = record;
    if (is_shared(r) && !is_ours(r, im->node))
        return RECONCILE_DONE;
    switch (im->status) {
    case IMAGE_CHECKING:
        return image_inspect(r, im);
    case IMAGE_DELETED:
        return image_remove(r, im);
    case IMAGE_QUEUED:
        return im->upload_id ? image_drop_upload(r, im) : RECONCILE_DONE;
    default:
        return RECONCILE_DONE;
    }
}

/* The blob of an image that may be used; NULL and err if it may not. */
static const char *image_blob(const struct run *r, const char *image_id)
{
    const struct image *im = snap_get(r->snap, &kind_image, image_id);
    if (im && im->status == IMAGE_ACTIVE && im->blob)
        return im->blob;
    error_set(r->err, ERR_NOT_FOUND, "image %s is not there", image_id);
    return NULL;
}

/* ---- volumes ----------------------------------------------------------- */

static enum reconcile_verdict volume_settle(struct run *r, struct volume *next,
                                            int status, const char *fault)
{
    next->status = status;
    next->fault = rec_str(next, fault);
    next->updated = now(r);
    return change(r, next);
}

/* What a volume is when nothing is being done with it.  One that a server
 * was promised is not for others, before it has it as well. */
static int resting(const struct volume *v)
{
    for (size_t i = 0; i < v->attachments.n; i++)
        if (LIST_AT(v->attachments, struct volume_attachment, i)->attached)
            return VOLUME_IN_USE;
    return v->attachments.n > 0 ? VOLUME_RESERVED : VOLUME_AVAILABLE;
}

/* ---- the content of a volume that a guest may have ---------------------- */

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
};

static struct content of_volume(const struct volume *v)
{
    return (struct content){ SOURCE_VOLUME, v->rec.id, v->path, v, NULL };
}

static struct content of_disk(const struct disk *d)
{
    return (struct content){ SOURCE_DISK, d->rec.id, d->path, NULL, d };
}

static enum reconcile_verdict put_path(struct run *r, const struct content *c,
                                       const char *path)
{
    if (c->volume) {
        _autorecord_ struct volume *next = record_copy(c->volume);
        next->path = rec_str(next, path);
        next->updated = now(r);
        return change(r, next);
    }
    _autorecord_ struct disk *next = record_copy(c->disk);
    next->path = rec_str(next, path);
    return change(r, next);
}

/* The record says which file it is, before anything relies on it (a guest
 * that starts; the end of the old name).  We come again. */
static enum taken write_head(struct run *r, const struct content *c,
                             const char *head, enum reconcile_verdict *verdict)
{
    if (c->path && strcmp(c->path, head) == 0)
        return TAKEN;
    *verdict = put_path(r, c, head);
    if (*verdict == RECONCILE_DONE) {
        *r->delay_us = 0;
        *verdict = RECONCILE_AGAIN;
    }
    return NOT_YET;
}

static enum taken sync_head(struct run *r, const struct volume *v,
                            enum reconcile_verdict *verdict)
{
    char head[STORAGE_PATH_MAX];
    bool moved;
    if (!v->path)
        return TAKEN; /* it is being made */
    if (!ops_of(r)->snapshot_begin(r->s->c.volumes, v->rec.id, SOURCE_VOLUME,
                                   v->rec.id, false, head, &moved, r->err))
        return FAILED;
    const struct content content = of_volume(v);
    return write_head(r, &content, head, verdict);
}

/* A guest whose memory lies in a file goes on with the files it had. */
static bool sleeps(const struct run *r, const char *server_id)
{
    const struct server *s = snap_get(r->snap, &kind_server, server_id);
    return s && (s->goal == GOAL_SUSPENDED || s->vm_state == VM_SUSPENDED);
}

static bool user_sleeps(const struct run *r, const struct content *c)
{
    if (c->disk)
        return sleeps(r, c->disk->server_id);
    for (size_t i = 0; i < c->volume->attachments.n; i++)
        if (sleeps(r,
                   LIST_AT(c->volume->attachments, struct volume_attachment, i)
                       ->server_id))
            return true;
    return false;
}

static bool has_user(const struct content *c)
{
    return c->disk || c->volume->attachments.n > 0;
}

/* For the guest to be moved; FAILED with CONFLICT in the end. */
static enum taken wait(struct run *r, int64_t us, int tries,
                       enum reconcile_verdict *verdict)
{
    *r->delay_us = us;
    *verdict = RECONCILE_AGAIN;
    if (attempts_count(r->s, r->key) < tries)
        return NOT_YET;
    error_set(r->err, ERR_CONFLICT, "a guest keeps a file of the volume");
    return FAILED;
}

/* A snapshot of it as it is when asked for first.  A running guest that
 * writes to it is moved to a new file by compute, which sees that the
 * record's path is another than its domain has. */
static enum taken take(struct run *r, const char *snapshot_id,
                       const struct content *c, char path[STORAGE_PATH_MAX],
                       enum reconcile_verdict *verdict)
{
    char head[STORAGE_PATH_MAX];
    bool moved;
    struct volumes *all = r->s->c.volumes;
    if (!ops_of(r)->snapshot_begin(all, snapshot_id, c->of, c->id, has_user(c),
                                   head, &moved, r->err))
        return FAILED;
    if (write_head(r, c, head, verdict) == NOT_YET)
        return NOT_YET;
    if (moved && user_sleeps(r, c))
        return wait(r, SAVED_US, SAVED_TRIES, verdict);
    if (ops_of(r)->snapshot_create(all, snapshot_id, c->of, c->id, path,
                                   r->err))
        return TAKEN;
    return moved && r->err->code == ERR_CONFLICT
               ? wait(r, MOVE_US, MOVE_TRIES, verdict)
               : FAILED;
}

/* What was taken for one purpose only; what is left of it the audit finds. */
static void drop_taken(struct run *r, const char *snapshot_id)
{
    struct error ignored;
    ops_of(r)->snapshot_delete(r->s->c.volumes, snapshot_id, &ignored);
}

/* ---- volumes, continued -------------------------------------------------- */

static bool volume_source(const struct run *r, const struct volume *v,
                          struct volume_spec *spec)
{
    *spec = (struct volume_spec){ .size = v->size_gb * GIB };
    if (v->snapshot_id) {
        const struct volume_snapshot *from =
            snap_get(r->snap, &kind_snapshot, v->snapshot_id);
        if (!from || from->status != SNAPSHOT_AVAILABLE)
            return error_set(r->err, ERR_NOT_FOUND,
                             "snapshot %s is not available", v->snapshot_id);
        spec->from = SOURCE_SNAPSHOT;
        spec->source = v->snapshot_id;
    } else if (v->source_id) {
        if (!snap_get(r->snap, &kind_volume, v->source_id))
            return error_set(r->err, ERR_NOT_FOUND, "volume %s is not there",
                             v->source_id);
        spec->from = SOURCE_VOLUME;
        spec->source = v->source_id;
    } else if (v->image_id) {
        spec->from = SOURCE_IMAGE;
        spec->source = image_blob(r, v->image_id);
        return spec->source != NULL;
    }
    return true;
}

/* One cloned from a volume that a server has is made from a snapshot with
 * its own id. */
static enum taken clone_source(struct run *r, const struct volume *v,
                               struct volume_spec *spec,
                               enum reconcile_verdict *verdict)
{
    char path[STORAGE_PATH_MAX];
    if (!volume_source(r, v, spec))
        return FAILED;
    if (spec->from != SOURCE_VOLUME)
        return TAKEN;
    const struct volume *source = snap_get(r->snap, &kind_volume, v->source_id);
    if (source->attachments.n == 0)
        return sync_head(r, source, verdict);
    spec->from = SOURCE_SNAPSHOT;
    spec->source = v->rec.id;
    const struct content content = of_volume(source);
    return take(r, v->rec.id, &content, path, verdict);
}

static enum reconcile_verdict volume_make(struct run *r, const struct volume *v)
{
    char path[STORAGE_PATH_MAX];
    struct volume_spec spec;
    enum reconcile_verdict verdict;
    enum taken taken = clone_source(r, v, &spec, &verdict);
    if (taken == NOT_YET)
        return verdict;
    bool ok =
        taken == TAKEN && ops_of(r)->volume_create(r->s->c.volumes, v->rec.id,
                                                   &spec, path, r->err);
    if (!ok && !give_up(r))
        return RECONCILE_RETRY;
    _autorecord_ struct volume *next = record_copy(v);
    if (ok) {
        next->node = rec_str(next, home_of(r));
        next->path = rec_str(next, path);
        next->real_size_gb = v->size_gb;
        next->bootable |= spec.from == SOURCE_IMAGE;
    }
    verdict = volume_settle(r, next, ok ? resting(v) : VOLUME_ERROR,
                            ok ? NULL : fault_text(r->err));
    if (v->source_id && verdict == RECONCILE_DONE)
        drop_taken(r, v->rec.id);
    return verdict;
}

static enum reconcile_verdict volume_remove(struct run *r,
                                            const struct volume *v)
{
    bool ok = v->attachments.n == 0 ||
              error_set(r->err, ERR_INVALID, "the volume is still attached");
    ok = ok && ops_of(r)->volume_delete(r->s->c.volumes, v->rec.id, r->err);
    /* Whoever died with it open has it for half a minute more in Ceph. */
    enum reconcile_verdict verdict;
    if (!ok && r->err->code == ERR_CONFLICT &&
        wait(r, RELEASE_US, RELEASE_TRIES, &verdict) == NOT_YET)
        return verdict;
    if (!ok && !give_up(r))
        return RECONCILE_RETRY;
    if (!ok) {
        _autorecord_ struct volume *next = record_copy(v);
        return volume_settle(r, next, VOLUME_ERROR_DELETING,
                             fault_text(r->err));
    }
    _autotxn_ struct txn t = TXN_INIT;
    txn_delete_record(&t, v);
    if (!volume_charge(&t, r->snap, v->project_id, -1, 0, -v->size_gb, r->err))
        return RECONCILE_RETRY;
    return commit(r, &t);
}

/* A running guest that has it is grown by its hypervisor, and compute writes
 * what follows; we look again, for it may stop before that. */
static enum reconcile_verdict volume_grow(struct run *r, const struct volume *v)
{
    bool ok = ops_of(r)->volume_extend(r->s->c.volumes, v->rec.id,
                                       v->size_gb * GIB, r->err);
    if (!ok && r->err->code == ERR_CONFLICT && v->attachments.n > 0) {
        *r->delay_us = GROW_US;
        return RECONCILE_AGAIN;
    }
    if (!ok && !give_up(r))
        return RECONCILE_RETRY;
    _autorecord_ struct volume *next = record_copy(v);
    if (ok) {
        next->real_size_gb = v->size_gb;
        return volume_settle(r, next, resting(v), NULL);
    }
    _autotxn_ struct txn t = TXN_INIT;
    next->size_gb = v->real_size_gb;
    next->status = VOLUME_ERROR_EXTENDING;
    next->fault = rec_str(next, fault_text(r->err));
    next->updated = now(r);
    txn_change_record(&t, next);
    if (!volume_charge(&t, r->snap, v->project_id, 0, 0,
                       v->real_size_gb - v->size_gb, r->err))
        return RECONCILE_RETRY;
    return commit(r, &t);
}

/* ---- an image made of what a volume or a disk holds ---------------------- */

/* The image's bytes, from the volume or, when a server has it, from a
 * snapshot with the image's id. */
static enum taken fill_image(struct run *r, const struct content *c,
                             const struct image *im, struct image_info *info,
                             enum reconcile_verdict *verdict)
{
    char path[STORAGE_PATH_MAX];
    bool held = has_user(c);
    enum taken taken = held ? take(r, im->rec.id, c, path, verdict)
                            : sync_head(r, c->volume, verdict);
    if (taken != TAKEN)
        return taken;
    return ops_of(r)->volume_to_image(r->s->c.volumes,
                                      held ? SOURCE_SNAPSHOT : SOURCE_VOLUME,
                                      held ? im->rec.id : c->id, upload_of(im),
                                      im->disk_format, info, r->err)
               ? TAKEN
               : FAILED;
}

/* A failed one of a server's disk is nobody's to try again: it goes. */
static void put_filled(struct run *r, struct txn *t, const struct content *c,
                       const struct image *im, const struct image_info *info)
{
    _autorecord_ struct image *next = record_copy(im);
    if (info)
        image_fill(next, info);
    else
        image_empty(next, fault_text(r->err));
    if (!info && c->disk)
        next->status = IMAGE_DELETED;
    next->updated = now(r);
    txn_change_record(t, next);
}

static void put_uploaded(struct run *r, struct txn *t, const struct content *c)
{
    if (c->volume) {
        _autorecord_ struct volume *next = record_copy(c->volume);
        next->status = resting(c->volume);
        next->upload_image_id = NULL;
        next->updated = now(r);
        txn_change_record(t, next);
        return;
    }
    _autorecord_ struct disk *next = record_copy(c->disk);
    next->upload_image_id = NULL;
    txn_change_record(t, next);
}

/* Source and image change together.  An image that was deleted meanwhile is
 * left to its own run, which removes what we have made of it. */
static enum reconcile_verdict upload(struct run *r, const struct content *c,
                                     const char *image_id)
{
    struct image_info info;
    enum reconcile_verdict verdict;
    enum taken taken = FAILED;
    const struct image *im = snap_get(r->snap, &kind_image, image_id);
    if (im && im->status != IMAGE_SAVING)
        im = NULL;
    if (im)
        taken = fill_image(r, c, im, &info, &verdict);
    if (im && taken == NOT_YET)
        return verdict;
    if (im && taken == FAILED && !give_up(r))
        return RECONCILE_RETRY;
    _autotxn_ struct txn t = TXN_INIT;
    if (im)
        put_filled(r, &t, c, im, taken == TAKEN ? &info : NULL);
    put_uploaded(r, &t, c);
    verdict = commit(r, &t);
    if (verdict == RECONCILE_DONE)
        drop_taken(r, image_id);
    return verdict;
}

/* Of several nodes one makes it: who has written his name there first.  From
 * an image it is made where those are.  In a storage that all share it waits
 * for the scheduler: our name would bind a server that is to be placed with
 * it. */
static enum reconcile_verdict volume_claim(struct run *r,
                                           const struct volume *v)
{
    if (is_shared(r))
        return RECONCILE_DONE;
    if (v->image_id && r->s->c.images_elsewhere)
        return RECONCILE_DONE;
    _autorecord_ struct volume *next = record_copy(v);
    next->node = rec_str(next, r->s->c.node);
    return change(r, next);
}

static enum reconcile_verdict work_volume(struct run *r, const void *record)
{
    const struct volume *v = record;
    const struct content content = of_volume(v);
    if (!is_ours(r, v->node))
        return RECONCILE_DONE;
    if (!v->node && v->status == VOLUME_CREATING)
        return volume_claim(r, v);
    switch (v->status) {
    case VOLUME_CREATING:
        return volume_make(r, v);
    case VOLUME_DELETING:
        return volume_remove(r, v);
    case VOLUME_EXTENDING:
        return volume_grow(r, v);
    case VOLUME_UPLOADING:
        return upload(r, &content, v->upload_image_id);
    default:
        return RECONCILE_DONE;
    }
}

/* ---- disks ------------------------------------------------------------- */

/* Empty and as large as the one that the guest has: its hypervisor copies all
 * of it, base and all. */
static bool disk_for_move(struct run *r, const struct disk *d, const char *id,
                          char path[STORAGE_PATH_MAX])
{
    struct volumes *v = r->s->c.volumes;
    const struct image *im = snap_get(r->snap, &kind_image, d->image_id);
    int64_t size = d->size_gb * GIB + d->size_mb * (GIB / 1024);
    if (!size)
        size = im ? im->virtual_size : 0;
    if (!size)
        return error_set(r->err, ERR_NOT_FOUND,
                         "image %s, whose size the disk has, is gone",
                         d->image_id ? d->image_id : "?");
    return v->ops->disk_blank(v, id, size, false, path, r->err);
}

/* Of a disk that the server had: here, or where every node reaches it. */
static bool disk_copy(struct run *r, const struct disk *d, int64_t size,
                      char path[STORAGE_PATH_MAX])
{
    struct volumes *v = r->s->c.volumes;
    const struct disk *from = snap_get(r->snap, &kind_disk, d->source_id);
    if (!from || from->state != DISK_READY || !from->node)
        return error_set(r->err, ERR_NOT_FOUND, "disk %s is not there",
                         d->source_id);
    if (!disk_is_shared(from) && strcmp(from->node, d->node) != 0)
        return error_set(r->err, ERR_NOT_IMPLEMENTED,
                         "a disk of node %s cannot be copied to another",
                         from->node);
    return v->ops->disk_clone(v, d->rec.id, d->source_id, size, path, r->err);
}

static bool disk_fill(struct run *r, const struct disk *d,
                      char path[STORAGE_PATH_MAX])
{
    struct volumes *v = r->s->c.volumes;
    char id[STORE_KEY_MAX];
    disk_file_id(id, d);
    if (d->migration_id)
        return disk_for_move(r, d, id, path);
    int64_t size = d->size_mb ? d->size_mb * (GIB / 1024) : d->size_gb * GIB;
    if (d->source_id)
        return disk_copy(r, d, size, path);
    if (!d->image_id)
        return v->ops->disk_blank(v, id, size, d->swap, path, r->err);
    const char *blob = image_blob(r, d->image_id);
    return blob && v->ops->disk_create(v, id, blob, size, path, r->err);
}

/* On this node there is a file of that name which has to go first: the guest
 * was here before. */
static bool waits_for_last(struct run *r, const struct disk *d)
{
    char id[STORE_KEY_MAX], other[STORE_KEY_MAX];
    disk_file_id(id, d);
    if (!d->migration_id)
        return false;
    struct snap_iter it = snap_all_after(r->snap, &kind_disk, id);
    for (const struct disk *o; (o = snap_next(&it));) {
        if (strcmp(disk_file_id(other, o), id) != 0)
            return false;
        if (o->state == DISK_LEAVING && is_ours(r, o->node))
            return true;
    }
    return false;
}

static enum reconcile_verdict disk_make(struct run *r, const struct disk *d)
{
    char path[STORAGE_PATH_MAX];
    bool ok = disk_fill(r, d, path);
    if (!ok && !give_up(r))
        return RECONCILE_RETRY;
    _autorecord_ struct disk *next = record_copy(d);
    next->state = ok ? DISK_READY : DISK_FAILED;
    next->path = ok ? rec_str(next, path) : NULL;
    next->fault = ok ? NULL : rec_str(next, fault_text(r->err));
    return change(r, next);
}

/* The image that was to be made of it never will be. */
static enum reconcile_verdict disk_remove(struct run *r, const struct disk *d)
{
    const struct image *im = snap_get(r->snap, &kind_image, d->upload_image_id);
    _autotxn_ struct txn t = TXN_INIT;
    char id[STORE_KEY_MAX];
    if (!ops_of(r)->disk_delete(r->s->c.volumes, disk_file_id(id, d), r->err))
        return RECONCILE_RETRY;
    if (im && im->status == IMAGE_SAVING) {
        _autorecord_ struct image *next = record_copy(im);
        next->status = IMAGE_DELETED;
        txn_change_record(&t, next);
    }
    txn_delete_record(&t, d);
    enum reconcile_verdict verdict = commit(r, &t);
    if (im && verdict == RECONCILE_DONE)
        drop_taken(r, im->rec.id);
    return verdict;
}

static enum reconcile_verdict work_disk(struct run *r, const void *record)
{
    const struct disk *d = record;
    const struct content content = of_disk(d);
    if (!d->node || !is_ours(r, d->node))
        return RECONCILE_DONE;
    switch ((enum disk_state)d->state) {
    case DISK_WANTED:
        *r->delay_us = MOVE_US;
        return waits_for_last(r, d) ? RECONCILE_AGAIN : disk_make(r, d);
    case DISK_READY:
        return d->upload_image_id ? upload(r, &content, d->upload_image_id)
                                  : RECONCILE_DONE;
    case DISK_LEAVING:
        return disk_remove(r, d);
    case DISK_FAILED:
        break;
    }
    return RECONCILE_DONE;
}

/* ---- snapshots --------------------------------------------------------- */

static enum reconcile_verdict snapshot_settle(struct run *r,
                                              const struct volume_snapshot *sn,
                                              int status, const char *path,
                                              const char *fault)
{
    _autorecord_ struct volume_snapshot *next = record_copy(sn);
    next->status = status;
    next->node = rec_str(next, home_of(r));
    next->path = rec_str(next, path);
    next->fault = rec_str(next, fault);
    next->updated = now(r);
    return change(r, next);
}

static enum reconcile_verdict snapshot_make(struct run *r,
                                            const struct volume_snapshot *sn)
{
    char path[STORAGE_PATH_MAX];
    enum reconcile_verdict verdict;
    const struct volume *v = snap_get(r->snap, &kind_volume, sn->volume_id);
    const struct content content = v ? of_volume(v) : (struct content){ 0 };
    enum taken taken =
        v ? take(r, sn->rec.id, &content, path, &verdict) : FAILED;
    if (!v)
        error_set(r->err, ERR_NOT_FOUND, "volume %s is not there",
                  sn->volume_id);
    if (taken == NOT_YET)
        return verdict;
    if (taken == TAKEN)
        return snapshot_settle(r, sn, SNAPSHOT_AVAILABLE, path, NULL);
    if (!give_up(r))
        return RECONCILE_RETRY;
    return snapshot_settle(r, sn, SNAPSHOT_ERROR, NULL, fault_text(r->err));
}

/* One that is deleted half made may have moved the volume to a new file. */
static enum taken snapshot_drop(struct run *r, const struct volume_snapshot *sn,
                                enum reconcile_verdict *verdict)
{
    const struct volume *v = snap_get(r->snap, &kind_volume, sn->volume_id);
    enum taken taken = v ? sync_head(r, v, verdict) : TAKEN;
    if (taken != TAKEN)
        return taken;
    return ops_of(r)->snapshot_delete(r->s->c.volumes, sn->rec.id, r->err)
               ? TAKEN
               : FAILED;
}

static enum reconcile_verdict snapshot_remove(struct run *r,
                                              const struct volume_snapshot *sn)
{
    enum reconcile_verdict verdict;
    enum taken taken = snapshot_drop(r, sn, &verdict);
    if (taken == NOT_YET)
        return verdict;
    if (taken == FAILED) {
        if (!give_up(r))
            return RECONCILE_RETRY;
        return snapshot_settle(r, sn, SNAPSHOT_ERROR_DELETING, sn->path,
                               fault_text(r->err));
    }
    _autotxn_ struct txn t = TXN_INIT;
    txn_delete_record(&t, sn);
    if (!volume_charge(&t, r->snap, sn->project_id, 0, -1, -sn->size_gb,
                       r->err))
        return RECONCILE_RETRY;
    return commit(r, &t);
}

static enum reconcile_verdict work_snapshot(struct run *r, const void *record)
{
    const struct volume_snapshot *sn = record;
    if (!is_ours(r, sn->node))
        return RECONCILE_DONE;
    if (sn->status == SNAPSHOT_CREATING)
        return snapshot_make(r, sn);
    if (sn->status == SNAPSHOT_DELETING)
        return snapshot_remove(r, sn);
    return RECONCILE_DONE;
}

/* ---- uploads that broke off ---------------------------------------------- */

/* Is it a volume or a disk that fills the image? */
static bool filled_here(const struct snapshot *snap, const char *image_id)
{
    struct snap_iter it = snap_all(snap, &kind_volume);
    for (const struct volume *v; (v = snap_next(&it));)
        if (v->status == VOLUME_UPLOADING && v->upload_image_id &&
            strcmp(v->upload_image_id, image_id) == 0)
            return true;
    return snap_find(snap, &kind_disk, "upload_image_id", image_id) != NULL;
}

static bool is_uploading(const struct snapshot *snap, const struct image *im)
{
    return im->status == IMAGE_SAVING && !filled_here(snap, im->rec.id);
}

/* The upload has ended and nobody could say so. */
static void interrupt(struct storage *s, const struct image *im)
{
    _autotxn_ struct txn t = TXN_INIT;
    _autorecord_ struct image *next = record_copy(im);
    struct txn_result result;
    next->status = IMAGE_QUEUED; /* upload_id stays: it is discarded */
    next->fault = rec_str(next, "the upload was interrupted");
    next->updated = env_now(s->c.env);
    txn_change_record(&t, next);
    if (!store_commit(s->c.store, &t, &result))
        log_warn("storage", "image %s: %s", im->rec.id, result.err.text);
}

/* ---- audit ------------------------------------------------------------- */

/* Does `name` begin with `id` and a dot (a blob made of an upload)? */
static bool made_of(const char *name, const char *id)
{
    size_t n = id ? strlen(id) : 0;
    return n > 0 && strncmp(name, id, n) == 0 && name[n] == '.';
}

/* Uploads and blobs are named by images, finished or in the making. */
static bool image_names(const struct snapshot *snap, const char *name)
{
    struct snap_iter it = snap_all(snap, &kind_image);
    for (const struct image *im; (im = snap_next(&it));)
        if ((im->blob &&
             (strcmp(im->blob, name) == 0 || made_of(im->blob, name))) ||
            strcmp(upload_of(im), name) == 0 || made_of(name, upload_of(im)))
            return true;
    return false;
}

struct orphan {
    struct orphan *next;
    enum stored_kind kind;
    bool fresh; /* an upload that grows, or did so of late */
    char name[STORAGE_NAME_MAX];
};

struct audit {
    int64_t before; /* only what was last changed before this */
    struct orphan *found;
};

static void audit_note(void *arg, const struct stored *what)
{
    struct audit *a = arg;
    bool fresh = what->changed == 0 || what->changed > a->before;
    if ((fresh && what->kind != STORED_UPLOAD) || !storage_name_ok(what->name))
        return;
    struct orphan *o = xcalloc(1, sizeof(*o));
    o->kind = what->kind;
    o->fresh = fresh;
    memcpy(o->name, what->name, strlen(what->name) + 1);
    o->next = a->found;
    a->found = o;
}

static bool is_in_making(const struct snapshot *snap, const char *id)
{
    const struct volume *v = snap_get(snap, &kind_volume, id);
    const struct image *im = snap_get(snap, &kind_image, id);
    return (v && v->status == VOLUME_CREATING) ||
           (im && im->status == IMAGE_SAVING);
}

static bool audit_named(const struct snapshot *snap, const struct orphan *o)
{
    switch (o->kind) {
    case STORED_UPLOAD:
    case STORED_IMAGE:
        return image_names(snap, o->name);
    case STORED_DISK:
        return snap_get(snap, &kind_disk, o->name) != NULL;
    case STORED_VOLUME:
        return snap_get(snap, &kind_volume, o->name) != NULL;
    case STORED_SNAPSHOT: /* or one taken for a clone, or for an image */
        return snap_get(snap, &kind_snapshot, o->name) ||
               is_in_making(snap, o->name);
    }
    return true;
}

static void audit_remove(struct run *r, struct volumes *v,
                         const struct orphan *o)
{
    static const char *const kinds[] = { "upload", "image", "disk", "volume",
                                         "snapshot" };
    bool (*const removers[])(struct volumes *, const char *, struct error *) = {
        v->ops->image_discard, v->ops->image_delete,    v->ops->disk_delete,
        v->ops->volume_delete, v->ops->snapshot_delete,
    };
    log_warn("storage", "audit: no record names %s %s: removed", kinds[o->kind],
             o->name);
    removers[o->kind](v, o->name, r->err);
}

static bool audit_grows(const struct audit *a, const char *upload_id)
{
    for (const struct orphan *o = a->found; o; o = o->next)
        if (o->kind == STORED_UPLOAD && o->fresh &&
            strcmp(o->name, upload_id) == 0)
            return true;
    return false;
}

/* Only who has its file knows whether it grows, unless that one is dead. */
static bool is_given_up(const struct run *r, const struct image *im)
{
    return !is_shared(r) || is_ours(r, im->node);
}

/* An upload whose end could not be written (its commit failed, or its answer
 * got lost) stays SAVING while the face lives: nothing has arrived for long. */
static void audit_uploads(struct run *r, const struct snapshot *snap,
                          const struct audit *a)
{
    struct snap_iter it = snap_all(snap, &kind_image);
    for (const struct image *im; (im = snap_next(&it));)
        if (is_uploading(snap, im) && im->updated < a->before &&
            is_given_up(r, im) && !audit_grows(a, upload_of(im)))
            interrupt(r->s, im);
}

/* The snapshot is taken after the list: whatever was listed had its record
 * long before.  What all nodes share is looked through by the leader. */
static enum reconcile_verdict audit(struct run *r)
{
    struct audit a = { .before = now(r) - AUDIT_AGE_US };
    struct volumes *v = r->s->c.volumes;
    if (is_shared(r) && !leads(r->s))
        v = v->own;
    *r->delay_us = AUDIT_US;
    bool ok =
        v->ops->tidy(v, r->err) && v->ops->list(v, audit_note, &a, r->err);
    _autosnap_ struct snapshot *snap = cache_snapshot(r->s->c.cache);
    r->snap = snap;
    if (ok && !r->s->c.images_elsewhere)
        audit_uploads(r, snap, &a);
    for (struct orphan *o; (o = a.found);) {
        a.found = o->next;
        if (ok && !o->fresh && !audit_named(snap, o))
            audit_remove(r, v, o);
        free(o);
    }
    return ok ? RECONCILE_AGAIN : RECONCILE_RETRY;
}

/* ---- the leader's share -------------------------------------------------- */

static void add(struct storage *s, const struct record *rec)
{
    char key[STORE_KEY_MAX];
    if (rec->kind == &kind_image && s->c.images_elsewhere)
        return;
    for (size_t i = 0; i < ARRAY_SIZE(works); i++) {
        struct reconciler *q = s->queues[works[i].queue];
        if (works[i].kind == rec->kind && q)
            reconciler_add(q, record_key(rec, key));
    }
}

/* What is nobody's, or of a node that is silent by now, which nothing tells
 * of. */
static void look_at_all(struct storage *s)
{
    _autosnap_ struct snapshot *snap = cache_snapshot(s->c.cache);
    for (size_t i = 0; i < ARRAY_SIZE(works); i++) {
        struct snap_iter it = snap_all(snap, works[i].kind);
        for (const struct record *rec; (rec = snap_next(&it));)
            add(s, rec);
    }
}

static enum reconcile_verdict sweep(struct run *r)
{
    *r->delay_us = SWEEP_US;
    if (leads(r->s))
        look_at_all(r->s);
    return RECONCILE_AGAIN;
}

/* ---- the whole --------------------------------------------------------- */

static enum reconcile_verdict reconcile(void *self, const char *key,
                                        int64_t *delay_us, struct error *err)
{
    struct storage *s = self;
    struct error ignored;
    struct run r = { s, key, NULL, delay_us, err ? err : &ignored };
    if (strcmp(key, AUDIT_KEY) == 0)
        return audit(&r);
    if (strcmp(key, SWEEP_KEY) == 0)
        return sweep(&r);
    _autosnap_ struct snapshot *snap = cache_snapshot(s->c.cache);
    r.snap = snap;
    for (size_t i = 0; i < ARRAY_SIZE(works); i++) {
        size_t n = strlen(works[i].kind->name);
        if (strncmp(key, works[i].kind->name, n) != 0 || key[n] != '/')
            continue;
        const void *record = snap_get(snap, works[i].kind, key + n + 1);
        return record ? works[i].work(&r, record) : RECONCILE_DONE;
    }
    return RECONCILE_DONE;
}

static void heard(void *arg, const struct record *old, const struct record *rec)
{
    if (rec)
        add(arg, rec);
}

struct storage *storage_new(const struct storage_config *config)
{
    struct storage *s = xcalloc(1, sizeof(*s));
    s->c = *config;
    pthread_mutex_init(&s->lock, NULL);
    cache_listen(s->c.cache, heard, s);
    return s;
}

void storage_free(struct storage *s)
{
    if (!s)
        return;
    for (int i = 0; i < STORAGE_QUEUES; i++)
        reconciler_stop(s->queues[i]);
    while (s->attempts) {
        struct attempt *next = s->attempts->next;
        free(s->attempts);
        s->attempts = next;
    }
    pthread_mutex_destroy(&s->lock);
    free(s);
}

void storage_start(struct storage *s)
{
    static const char *const names[] = { "storage-images", "storage" };
    for (int i = 0; i < STORAGE_QUEUES; i++)
        s->queues[i] =
            reconciler_new(names[i], reconcile, s, s->c.env, s->c.workers);
    look_at_all(s);
    reconciler_add(s->queues[1], AUDIT_KEY);
    if (s->c.volumes->own)
        reconciler_add_after(s->queues[1], SWEEP_KEY, SWEEP_US);
}

void storage_lead(struct storage *s)
{
    if (s->queues[1] && s->c.volumes->own)
        reconciler_add(s->queues[1], SWEEP_KEY);
}

struct reconciler *storage_queue(struct storage *s, int i)
{
    return s->queues[i];
}

/* Was it uploaded by way of this node? */
static bool is_from(const struct storage *s, const struct image *im)
{
    return !s->c.volumes->own || (im->node && strcmp(im->node, s->c.node) == 0);
}

void storage_interrupted(struct storage *s)
{
    if (s->c.images_elsewhere)
        return;
    _autosnap_ struct snapshot *snap = cache_snapshot(s->c.cache);
    struct snap_iter it = snap_all(snap, &kind_image);
    for (const struct image *im; (im = snap_next(&it));)
        if (is_uploading(snap, im) && is_from(s, im))
            interrupt(s, im);
}
