#include "storage/storage_impl.h"

#include "common/cleanup.h"
#include "model/migration.h"

#include <string.h>

#define LAST_US (50 * INT64_C(1000))
#define TELL_US (2 * SECOND_US)

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

/* A disk of another node, on its way. */
struct coming {
    struct run *r;
    const struct disk *d;
    int64_t size, told; /* when the migration was last told, monotonic */
    char *path;
    const struct byte_source *from;
};

static bool coming_bytes(void *arg, void *data, size_t len, struct error *err)
{
    const struct byte_source *from = ((struct coming *)arg)->from;
    return from->get(from->arg, data, len, err);
}

/* How far it is, for people; when that cannot be written it is no matter. */
static void tell_migration(struct storage *s, const struct snapshot *snap,
                           const struct disk *d, int64_t done, int64_t total)
{
    struct txn_result result;
    const struct server *server = snap_get(snap, &kind_server, d->server_id);
    const struct migration *m = server ? server_migration(snap, server) : NULL;
    _autotxn_ struct txn t = TXN_INIT;
    if (!m)
        return;
    _autorecord_ struct migration *next = record_copy(m);
    next->disk_total = total > done ? total : done;
    next->disk_processed = done;
    next->disk_remaining = next->disk_total - done;
    next->updated = env_now(s->c.env);
    txn_change_record(&t, next);
    store_commit(s->c.store, &t, &result);
}

static bool coming_on(void *arg, int64_t done, int64_t total, struct error *err)
{
    struct coming *c = arg;
    struct storage *s = c->r->s;
    int64_t now = env_mono(s->c.env);
    if (s->stopping)
        return error_set(err, ERR_CANCELLED, "this node stops");
    if (now - c->told < TELL_US)
        return true;
    c->told = now;
    _autosnap_ struct snapshot *snap = cache_snapshot(s->c.cache);
    const struct disk *d = snap_get(snap, &kind_disk, c->d->rec.id);
    if (!d || d->state != DISK_WANTED)
        return error_set(err, ERR_CANCELLED, "disk %s is not wanted any more",
                         c->d->rec.id);
    tell_migration(s, snap, d, done, total);
    return true;
}

static bool take_coming(void *arg, const struct byte_source *from,
                        struct error *err)
{
    struct coming *c = arg;
    struct volumes *v = c->r->s->c.volumes;
    const struct byte_source mine = { coming_bytes, coming_on, c };
    c->from = from;
    return v->ops->disk_import(v, c->d->rec.id, &mine, c->size, c->path, err);
}

static bool disk_fetch(struct run *r, const struct disk *d,
                       const struct disk *from, int64_t size,
                       char path[STORAGE_PATH_MAX])
{
    const struct storage_config *c = &r->s->c;
    struct coming coming = { r, d, size, env_mono(c->env), path, NULL };
    if (!c->fetch || !c->volumes->ops->disk_import)
        return error_set(r->err, ERR_NOT_IMPLEMENTED,
                         "a disk of node %s cannot be copied to another",
                         from->node);
    return c->fetch(c->fetch_arg, from->node, d->rec.id, take_coming, &coming,
                    r->err);
}

/* Of a disk that the server had: here, on another node, or where every node
 * reaches it. */
static bool disk_copy(struct run *r, const struct disk *d, int64_t size,
                      char path[STORAGE_PATH_MAX])
{
    struct volumes *v = r->s->c.volumes;
    const struct disk *from = snap_get(r->snap, &kind_disk, d->source_id);
    if (!from || from->state != DISK_READY || !from->node)
        return error_set(r->err, ERR_NOT_FOUND, "disk %s is not there",
                         d->source_id);
    if (!disk_is_shared(from) && strcmp(from->node, d->node) != 0)
        return disk_fetch(r, d, from, size, path);
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
    const char *blob = storage_image_blob(r, d->image_id);
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
        if (o->state == DISK_LEAVING && storage_is_ours(r, o->node))
            return true;
    }
    return false;
}

static enum reconcile_verdict disk_make(struct run *r, const struct disk *d)
{
    char path[STORAGE_PATH_MAX];
    bool ok = disk_fill(r, d, path);
    if (!ok && !storage_give_up(r))
        return RECONCILE_RETRY;
    _autorecord_ struct disk *next = record_copy(d);
    next->state = ok ? DISK_READY : DISK_FAILED;
    next->path = ok ? rec_str(next, path) : NULL;
    next->fault = ok ? NULL : rec_str(next, storage_fault(r->err));
    return storage_change(r, next);
}

/* The image that was to be made of it never will be. */
static enum reconcile_verdict disk_remove(struct run *r, const struct disk *d)
{
    const struct content c = content_of_disk(r, d);
    const struct image *im = snap_get(r->snap, &kind_image, d->upload_image_id);
    _autotxn_ struct txn t = TXN_INIT;
    char id[STORE_KEY_MAX];
    if (!storage_ops(r)->disk_delete(r->s->c.volumes, disk_file_id(id, d),
                                     r->err))
        return RECONCILE_RETRY;
    if (im && im->status == IMAGE_SAVING) {
        _autorecord_ struct image *next = record_copy(im);
        next->status = IMAGE_DELETED;
        txn_change_record(&t, next);
    }
    txn_delete_record(&t, d);
    enum reconcile_verdict verdict = storage_commit(r, &t);
    if (im && verdict == RECONCILE_DONE)
        content_drop(r, &c, im->rec.id);
    return verdict;
}

enum reconcile_verdict storage_work_disk(struct run *r, const void *record)
{
    const struct disk *d = record;
    const struct content content = content_of_disk(r, d);
    if (!d->node || !storage_is_ours(r, d->node))
        return RECONCILE_DONE;
    switch ((enum disk_state)d->state) {
    case DISK_WANTED:
        *r->delay_us = LAST_US;
        return waits_for_last(r, d) ? RECONCILE_AGAIN : disk_make(r, d);
    case DISK_READY:
        return d->upload_image_id
                   ? content_upload(r, &content, d->upload_image_id)
                   : RECONCILE_DONE;
    case DISK_LEAVING:
        return disk_remove(r, d);
    case DISK_FAILED:
        break;
    }
    return RECONCILE_DONE;
}
