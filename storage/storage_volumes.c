#include "storage/storage_impl.h"

#include "common/cleanup.h"

#define GROW_US       (5 * SECOND_US)
#define RELEASE_US    (2 * SECOND_US)
#define RELEASE_TRIES 60

static enum reconcile_verdict volume_settle(struct run *r, struct volume *next,
                                            int status, const char *fault)
{
    next->status = status;
    next->fault = rec_str(next, fault);
    next->updated = storage_now(r);
    return storage_change(r, next);
}

/* What a volume is when nothing is being done with it.  One that a server
 * was promised is not for others, before it has it as well. */
int storage_resting(const struct volume *v)
{
    for (size_t i = 0; i < v->attachments.n; i++)
        if (LIST_AT(v->attachments, struct volume_attachment, i)->attached)
            return VOLUME_IN_USE;
    return v->attachments.n > 0 ? VOLUME_RESERVED : VOLUME_AVAILABLE;
}

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
        spec->source = storage_image_blob(r, v->image_id);
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
        return content_sync(r, source, verdict);
    spec->from = SOURCE_SNAPSHOT;
    spec->source = v->rec.id;
    const struct content content = content_of_volume(source);
    return content_take(r, v->rec.id, &content, path, verdict);
}

static enum reconcile_verdict volume_make(struct run *r, const struct volume *v)
{
    char path[STORAGE_PATH_MAX];
    struct volume_spec spec;
    enum reconcile_verdict verdict;
    enum taken taken = clone_source(r, v, &spec, &verdict);
    if (taken == NOT_YET)
        return verdict;
    bool ok = taken == TAKEN &&
              storage_ops(r)->volume_create(r->s->c.volumes, v->rec.id, &spec,
                                            path, r->err);
    if (!ok && !storage_give_up(r))
        return RECONCILE_RETRY;
    _autorecord_ struct volume *next = record_copy(v);
    if (ok) {
        next->node = rec_str(next, storage_home(r));
        next->path = rec_str(next, path);
        next->real_size_gb = v->size_gb;
        next->bootable |= spec.from == SOURCE_IMAGE;
    }
    verdict = volume_settle(r, next, ok ? storage_resting(v) : VOLUME_ERROR,
                            ok ? NULL : storage_fault(r->err));
    if (v->source_id && verdict == RECONCILE_DONE)
        content_drop(r, v->rec.id);
    return verdict;
}

static enum reconcile_verdict volume_remove(struct run *r,
                                            const struct volume *v)
{
    bool ok = v->attachments.n == 0 ||
              error_set(r->err, ERR_INVALID, "the volume is still attached");
    ok =
        ok && storage_ops(r)->volume_delete(r->s->c.volumes, v->rec.id, r->err);
    /* Whoever died with it open has it for half a minute more in Ceph. */
    enum reconcile_verdict verdict;
    if (!ok && r->err->code == ERR_CONFLICT &&
        content_wait(r, RELEASE_US, RELEASE_TRIES, &verdict) == NOT_YET)
        return verdict;
    if (!ok && !storage_give_up(r))
        return RECONCILE_RETRY;
    if (!ok) {
        _autorecord_ struct volume *next = record_copy(v);
        return volume_settle(r, next, VOLUME_ERROR_DELETING,
                             storage_fault(r->err));
    }
    _autotxn_ struct txn t = TXN_INIT;
    txn_delete_record(&t, v);
    if (!volume_charge(&t, r->snap, v->project_id, -1, 0, -v->size_gb, r->err))
        return RECONCILE_RETRY;
    return storage_commit(r, &t);
}

/* A running guest that has it is grown by its hypervisor, and compute writes
 * what follows; we look again, for it may stop before that. */
static enum reconcile_verdict volume_grow(struct run *r, const struct volume *v)
{
    bool ok = storage_ops(r)->volume_extend(r->s->c.volumes, v->rec.id,
                                            v->size_gb * GIB, r->err);
    if (!ok && r->err->code == ERR_CONFLICT && v->attachments.n > 0) {
        *r->delay_us = GROW_US;
        return RECONCILE_AGAIN;
    }
    if (!ok && !storage_give_up(r))
        return RECONCILE_RETRY;
    _autorecord_ struct volume *next = record_copy(v);
    if (ok) {
        next->real_size_gb = v->size_gb;
        return volume_settle(r, next, storage_resting(v), NULL);
    }
    _autotxn_ struct txn t = TXN_INIT;
    next->size_gb = v->real_size_gb;
    next->status = VOLUME_ERROR_EXTENDING;
    next->fault = rec_str(next, storage_fault(r->err));
    next->updated = storage_now(r);
    txn_change_record(&t, next);
    if (!volume_charge(&t, r->snap, v->project_id, 0, 0,
                       v->real_size_gb - v->size_gb, r->err))
        return RECONCILE_RETRY;
    return storage_commit(r, &t);
}

/* Of several nodes one makes it: who has written his name there first.  From
 * an image it is made where those are.  In a storage that all share it waits
 * for the scheduler: our name would bind a server that is to be placed with
 * it. */
static enum reconcile_verdict volume_claim(struct run *r,
                                           const struct volume *v)
{
    if (storage_is_shared(r))
        return RECONCILE_DONE;
    if (v->image_id && r->s->c.images_elsewhere)
        return RECONCILE_DONE;
    _autorecord_ struct volume *next = record_copy(v);
    next->node = rec_str(next, r->s->c.node);
    return storage_change(r, next);
}

enum reconcile_verdict storage_work_volume(struct run *r, const void *record)
{
    const struct volume *v = record;
    const struct content content = content_of_volume(v);
    if (!storage_is_ours(r, v->node))
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
        return content_upload(r, &content, v->upload_image_id);
    default:
        return RECONCILE_DONE;
    }
}

/* ---- snapshots --------------------------------------------------------- */

/* ---- snapshots --------------------------------------------------------- */

static enum reconcile_verdict snapshot_settle(struct run *r,
                                              const struct volume_snapshot *sn,
                                              int status, const char *path,
                                              const char *fault)
{
    _autorecord_ struct volume_snapshot *next = record_copy(sn);
    next->status = status;
    next->node = rec_str(next, storage_home(r));
    next->path = rec_str(next, path);
    next->fault = rec_str(next, fault);
    next->updated = storage_now(r);
    return storage_change(r, next);
}

static enum reconcile_verdict snapshot_make(struct run *r,
                                            const struct volume_snapshot *sn)
{
    char path[STORAGE_PATH_MAX];
    enum reconcile_verdict verdict;
    const struct volume *v = snap_get(r->snap, &kind_volume, sn->volume_id);
    const struct content content =
        v ? content_of_volume(v) : (struct content){ 0 };
    enum taken taken =
        v ? content_take(r, sn->rec.id, &content, path, &verdict) : FAILED;
    if (!v)
        error_set(r->err, ERR_NOT_FOUND, "volume %s is not there",
                  sn->volume_id);
    if (taken == NOT_YET)
        return verdict;
    if (taken == TAKEN)
        return snapshot_settle(r, sn, SNAPSHOT_AVAILABLE, path, NULL);
    if (!storage_give_up(r))
        return RECONCILE_RETRY;
    return snapshot_settle(r, sn, SNAPSHOT_ERROR, NULL, storage_fault(r->err));
}

/* One that is deleted half made may have moved the volume to a new file. */
static enum taken snapshot_drop(struct run *r, const struct volume_snapshot *sn,
                                enum reconcile_verdict *verdict)
{
    const struct volume *v = snap_get(r->snap, &kind_volume, sn->volume_id);
    enum taken taken = v ? content_sync(r, v, verdict) : TAKEN;
    if (taken != TAKEN)
        return taken;
    return storage_ops(r)->snapshot_delete(r->s->c.volumes, sn->rec.id, r->err)
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
        if (!storage_give_up(r))
            return RECONCILE_RETRY;
        return snapshot_settle(r, sn, SNAPSHOT_ERROR_DELETING, sn->path,
                               storage_fault(r->err));
    }
    _autotxn_ struct txn t = TXN_INIT;
    txn_delete_record(&t, sn);
    if (!volume_charge(&t, r->snap, sn->project_id, 0, -1, -sn->size_gb,
                       r->err))
        return RECONCILE_RETRY;
    return storage_commit(r, &t);
}

enum reconcile_verdict storage_work_snapshot(struct run *r, const void *record)
{
    const struct volume_snapshot *sn = record;
    if (!storage_is_ours(r, sn->node))
        return RECONCILE_DONE;
    if (sn->status == SNAPSHOT_CREATING)
        return snapshot_make(r, sn);
    if (sn->status == SNAPSHOT_DELETING)
        return snapshot_remove(r, sn);
    return RECONCILE_DONE;
}
