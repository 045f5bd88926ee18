#include "storage/storage_impl.h"

#include "common/cleanup.h"
#include "common/log.h"

#include <string.h>

/* What an image's bytes are known by before it has a blob. */
const char *storage_upload_id(const struct image *im)
{
    return im->upload_id ? im->upload_id : im->rec.id;
}

void storage_image_fill(struct image *im, const struct image_info *info)
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
void storage_image_empty(struct image *im, const char *fault)
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
    if (!storage_ops(r)->image_commit(r->s->c.volumes, storage_upload_id(im),
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
    if (!ok && !storage_give_up(r))
        return RECONCILE_RETRY;
    _autorecord_ struct image *next = record_copy(im);
    if (ok) {
        storage_image_fill(next, &info);
    } else {
        storage_image_empty(next, storage_fault(r->err));
        if (!storage_ops(r)->image_discard(r->s->c.volumes,
                                           storage_upload_id(im), r->err))
            return RECONCILE_RETRY;
    }
    next->updated = storage_now(r);
    return storage_change(r, next);
}

static enum reconcile_verdict image_remove(struct run *r,
                                           const struct image *im)
{
    if (!storage_ops(r)->image_discard(r->s->c.volumes, storage_upload_id(im),
                                       r->err) ||
        (im->blob &&
         !storage_ops(r)->image_delete(r->s->c.volumes, im->blob, r->err)))
        return RECONCILE_RETRY;
    return storage_forget(r, im);
}

static enum reconcile_verdict image_drop_upload(struct run *r,
                                                const struct image *im)
{
    if (!storage_ops(r)->image_discard(r->s->c.volumes, im->upload_id, r->err))
        return RECONCILE_RETRY;
    _autorecord_ struct image *next = record_copy(im);
    next->upload_id = next->node = NULL;
    return storage_change(r, next);
}

enum reconcile_verdict storage_work_image(struct run *r, const void *record)
{
    const struct image *im = record;
    if (storage_is_shared(r) && !storage_is_ours(r, im->node))
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
const char *storage_image_blob(const struct run *r, const char *image_id)
{
    const struct image *im = snap_get(r->snap, &kind_image, image_id);
    if (im && im->status == IMAGE_ACTIVE && im->blob)
        return im->blob;
    error_set(r->err, ERR_NOT_FOUND, "image %s is not there", image_id);
    return NULL;
}

/* ---- uploads that broke off ---------------------------------------------- */

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

bool storage_is_uploading(const struct snapshot *snap, const struct image *im)
{
    return im->status == IMAGE_SAVING && !filled_here(snap, im->rec.id);
}

/* The upload has ended and nobody could say so. */
void storage_interrupt(struct storage *s, const struct image *im)
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
