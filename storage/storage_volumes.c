#include "storage/storage_impl.h"

#include "common/cleanup.h"
#include "storage/luks.h"

#include <string.h>

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
    const struct content content = content_of_volume(r, source);
    return content_take(r, v->rec.id, &content, path, verdict);
}

/* What a volume is made from, and with. */
struct making {
    struct volume_spec spec;
    struct luks luks;
    char passphrase[PASSPHRASE_SIZE];
    char blob[STORAGE_NAME_MAX];
};

/* On a node's own disk what is made from an image needs that there. */
static enum taken prepare(struct run *r, const struct volume *v,
                          struct making *m, enum reconcile_verdict *verdict)
{
    bool fetch = v->local && storage_is_shared(r);
    enum taken taken = clone_source(r, v, &m->spec, verdict);
    m->spec.multiattach = v->multiattach;
    if (taken == TAKEN && v->key_id) {
        taken = storage_key(r, v, &m->luks, m->passphrase, verdict);
        m->spec.luks = &m->luks;
        m->spec.size += luks_overhead(m->luks.key_size);
    }
    if (taken == TAKEN && fetch && m->spec.from == SOURCE_IMAGE) {
        m->spec.source = m->blob;
        return storage_fetch(r, v->image_id, v->rec.id, m->blob) ? TAKEN
                                                                 : FAILED;
    }
    return taken;
}

static enum taken fill(struct run *r, const struct volume *v,
                       char path[STORAGE_PATH_MAX],
                       enum reconcile_verdict *verdict)
{
    struct making m = { 0 };
    struct volumes *in = storage_place(r, v->local);
    enum taken taken = prepare(r, v, &m, verdict);
    if (taken == TAKEN &&
        !in->ops->volume_create(in, v->rec.id, &m.spec, path, r->err))
        taken = FAILED;
    if (m.blob[0])
        storage_unfetch(r, v->rec.id);
    explicit_bzero(m.passphrase, sizeof(m.passphrase));
    return taken;
}

/* What was taken of the source for this one alone. */
static void drop_source(struct run *r, const struct volume *v)
{
    const struct volume *source = snap_get(r->snap, &kind_volume, v->source_id);
    const struct content c = content_of_volume(r, source ? source : v);
    if (v->source_id)
        content_drop(r, &c, v->rec.id);
}

static enum reconcile_verdict volume_make(struct run *r, const struct volume *v)
{
    char path[STORAGE_PATH_MAX];
    enum reconcile_verdict verdict;
    enum taken taken = fill(r, v, path, &verdict);
    if (taken == NOT_YET)
        return verdict;
    bool ok = taken == TAKEN;
    if (!ok && !storage_give_up(r))
        return RECONCILE_RETRY;
    _autorecord_ struct volume *next = record_copy(v);
    if (ok) {
        next->node = v->local ? next->node : rec_str(next, storage_home(r));
        next->path = rec_str(next, path);
        next->real_size_gb = v->size_gb;
        next->bootable |= v->image_id != NULL;
    }
    verdict = volume_settle(r, next, ok ? storage_resting(v) : VOLUME_ERROR,
                            ok ? NULL : storage_fault(r->err));
    if (verdict == RECONCILE_DONE)
        drop_source(r, v);
    return verdict;
}

static enum reconcile_verdict volume_remove(struct run *r,
                                            const struct volume *v)
{
    bool ok = v->attachments.n == 0 ||
              error_set(r->err, ERR_INVALID, "the volume is still attached");
    struct volumes *in = storage_place(r, v->local);
    ok = ok && in->ops->volume_delete(in, v->rec.id, r->err);
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
    storage_key_release(r, &t, v->key_id, v->rec.id);
    if (!volume_charge(&t, r->snap, v->project_id, -1, 0, -v->size_gb, r->err))
        return RECONCILE_RETRY;
    return storage_commit(r, &t);
}

/* A running guest that has it is grown by its hypervisor, and compute writes
 * what follows; we look again, for it may stop before that. */
static enum reconcile_verdict volume_grow(struct run *r, const struct volume *v)
{
    int64_t overhead;
    struct volumes *in = storage_place(r, v->local);
    bool ok = storage_overhead(r, v->key_id, &overhead) &&
              in->ops->volume_extend(in, v->rec.id, v->size_gb * GIB + overhead,
                                     r->err);
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
    const struct content content = content_of_volume(r, v);
    if (!storage_volume_is_ours(r, v->node, v->local))
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

static enum reconcile_verdict snapshot_settle(struct run *r,
                                              const struct volume_snapshot *sn,
                                              int status, const char *path,
                                              const char *fault)
{
    _autorecord_ struct volume_snapshot *next = record_copy(sn);
    next->status = status;
    next->node = sn->local ? next->node : rec_str(next, storage_home(r));
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
        v ? content_of_volume(r, v) : (struct content){ 0 };
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
    struct volumes *in = storage_place(r, sn->local);
    return in->ops->snapshot_delete(in, sn->rec.id, r->err) ? TAKEN : FAILED;
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
    storage_key_release(r, &t, sn->key_id, sn->rec.id);
    if (!volume_charge(&t, r->snap, sn->project_id, 0, -1, -sn->size_gb,
                       r->err))
        return RECONCILE_RETRY;
    return storage_commit(r, &t);
}

enum reconcile_verdict storage_work_snapshot(struct run *r, const void *record)
{
    const struct volume_snapshot *sn = record;
    if (!storage_volume_is_ours(r, sn->node, sn->local))
        return RECONCILE_DONE;
    if (sn->status == SNAPSHOT_CREATING)
        return snapshot_make(r, sn);
    if (sn->status == SNAPSHOT_DELETING)
        return snapshot_remove(r, sn);
    return RECONCILE_DONE;
}
