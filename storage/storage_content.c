#include "storage/storage_impl.h"

#include "common/cleanup.h"
#include "model/compute.h"

#include <string.h>

#define MOVE_US     (50 * INT64_C(1000))
#define MOVE_TRIES  1200
#define SAVED_US    (5 * SECOND_US)
#define SAVED_TRIES 12

struct content content_of_volume(const struct run *r, const struct volume *v)
{
    return (struct content){ SOURCE_VOLUME, v->rec.id,
                             v->path,       v,
                             NULL,          storage_place(r, v->local) };
}

struct content content_of_disk(const struct run *r, const struct disk *d)
{
    return (struct content){ SOURCE_DISK, d->rec.id, d->path,
                             NULL,        d,         r->s->c.volumes };
}

static enum reconcile_verdict put_path(struct run *r, const struct content *c,
                                       const char *path)
{
    if (c->volume) {
        _autorecord_ struct volume *next = record_copy(c->volume);
        next->path = rec_str(next, path);
        next->updated = storage_now(r);
        return storage_change(r, next);
    }
    _autorecord_ struct disk *next = record_copy(c->disk);
    next->path = rec_str(next, path);
    return storage_change(r, next);
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

enum taken content_sync(struct run *r, const struct volume *v,
                        enum reconcile_verdict *verdict)
{
    char head[STORAGE_PATH_MAX];
    bool moved;
    const struct content c = content_of_volume(r, v);
    if (!v->path)
        return TAKEN; /* it is being made */
    if (!c.in->ops->snapshot_begin(c.in, v->rec.id, SOURCE_VOLUME, v->rec.id,
                                   false, head, &moved, r->err))
        return FAILED;
    return write_head(r, &c, head, verdict);
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

static bool content_has_user(const struct content *c)
{
    return c->disk || c->volume->attachments.n > 0;
}

/* For the guest to be moved; FAILED with CONFLICT in the end. */
enum taken content_wait(struct run *r, int64_t us, int tries,
                        enum reconcile_verdict *verdict)
{
    *r->delay_us = us;
    *verdict = RECONCILE_AGAIN;
    if (storage_tries(r->s, r->key) < tries)
        return NOT_YET;
    error_set(r->err, ERR_CONFLICT, "a guest keeps a file of the volume");
    return FAILED;
}

/* A snapshot of it as it is when asked for first.  A running guest that
 * writes to it is moved to a new file by compute, which sees that the
 * record's path is another than its domain has. */
enum taken content_take(struct run *r, const char *snapshot_id,
                        const struct content *c, char path[STORAGE_PATH_MAX],
                        enum reconcile_verdict *verdict)
{
    char head[STORAGE_PATH_MAX];
    bool moved;
    struct volumes *all = c->in;
    if (!all->ops->snapshot_begin(all, snapshot_id, c->of, c->id,
                                  content_has_user(c), head, &moved, r->err))
        return FAILED;
    if (write_head(r, c, head, verdict) == NOT_YET)
        return NOT_YET;
    if (moved && user_sleeps(r, c))
        return content_wait(r, SAVED_US, SAVED_TRIES, verdict);
    if (all->ops->snapshot_create(all, snapshot_id, c->of, c->id, path, r->err))
        return TAKEN;
    return moved && r->err->code == ERR_CONFLICT
               ? content_wait(r, MOVE_US, MOVE_TRIES, verdict)
               : FAILED;
}

/* What was taken for one purpose only; what is left of it the audit finds. */
void content_drop(struct run *r, const struct content *c,
                  const char *snapshot_id)
{
    struct error ignored;
    c->in->ops->snapshot_delete(c->in, snapshot_id, &ignored);
}

/* ---- an image made of what a volume or a disk holds ---------------------- */

/* The image's bytes, from the volume or, when a server has it, from a
 * snapshot with the image's id. */
static enum taken fill_image(struct run *r, const struct content *c,
                             const struct image *im, struct image_info *info,
                             enum reconcile_verdict *verdict)
{
    char path[STORAGE_PATH_MAX];
    bool held = content_has_user(c);
    enum taken taken = held ? content_take(r, im->rec.id, c, path, verdict)
                            : content_sync(r, c->volume, verdict);
    if (taken != TAKEN)
        return taken;
    return c->in->ops->volume_to_image(
               c->in, held ? SOURCE_SNAPSHOT : SOURCE_VOLUME,
               held ? im->rec.id : c->id, storage_upload_id(im),
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
        storage_image_fill(next, info);
    else
        storage_image_empty(next, storage_fault(r->err));
    if (!info && c->disk)
        next->status = IMAGE_DELETED;
    next->updated = storage_now(r);
    txn_change_record(t, next);
}

static void put_uploaded(struct run *r, struct txn *t, const struct content *c)
{
    if (c->volume) {
        _autorecord_ struct volume *next = record_copy(c->volume);
        next->status = storage_resting(c->volume);
        next->upload_image_id = NULL;
        next->updated = storage_now(r);
        txn_change_record(t, next);
        return;
    }
    _autorecord_ struct disk *next = record_copy(c->disk);
    next->upload_image_id = NULL;
    txn_change_record(t, next);
}

/* Source and image change together.  An image that was deleted meanwhile is
 * left to its own run, which removes what we have made of it. */
enum reconcile_verdict content_upload(struct run *r, const struct content *c,
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
    if (im && taken == FAILED && !storage_give_up(r))
        return RECONCILE_RETRY;
    _autotxn_ struct txn t = TXN_INIT;
    if (im)
        put_filled(r, &t, c, im, taken == TAKEN ? &info : NULL);
    put_uploaded(r, &t, c);
    verdict = storage_commit(r, &t);
    if (verdict == RECONCILE_DONE)
        content_drop(r, c, image_id);
    return verdict;
}
