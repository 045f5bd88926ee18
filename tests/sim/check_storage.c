#include "look.h"

#include "model/compute.h"
#include "model/image.h"
#include "model/volume.h"
#include "sim_node.h"

/* What the storage's audit must have seen. */
#define OLD_US (7300 * SECOND_US)

/* ---- once quiet: storage
 * ---------------------------------------------------------------- */

/* Where the file of a record of this node is; NULL: where all reach it. */
static const struct sim_node *place(struct look *l, const char *node,
                                    bool local)
{
    return l->w->local || (local && world_is_pool(l->w))
               ? sim_node_named(l->w, node)
               : NULL;
}

static void need_file(struct look *l, const struct sim_node *at,
                      enum stored_kind kind, const char *name, int64_t gb)
{
    const struct file *f =
        name ? files_find(l->w->files, at, kind, name) : NULL;
    if (!f && at && at->lost)
        return;
    if (!f)
        world_broken(l->w, "quiet: %s %s has no file", stored_kind_name(kind),
                     name ? name : "(none)");
    else if (f->size < gb * GIB)
        world_broken(l->w, "quiet: %s %s has %lld GB, should have %lld",
                     stored_kind_name(kind), name, (long long)(f->size / GIB),
                     (long long)gb);
}

static bool has_volume(const struct server *s, const char *id)
{
    for (size_t i = 0; s && i < s->volumes.n; i++)
        if (is(LIST_AT(s->volumes, struct server_volume, i)->volume_id, id))
            return true;
    return false;
}

/* A server in error or with saved memory takes nothing and lets go of
 * nothing: what it was to get or to lose waits with it. */
static bool waits_for_server(struct look *l, const struct volume *v)
{
    for (size_t i = 0; i < v->attachments.n; i++) {
        const struct server *s = snap_get(
            l->s, &kind_server,
            LIST_AT(v->attachments, struct volume_attachment, i)->server_id);
        if (s && (s->vm_state == VM_ERROR || s->vm_state == VM_SUSPENDED))
            return true;
    }
    return false;
}

static void check_attachments(struct look *l, const struct volume *v)
{
    bool used = v->attachments.n > 0;
    if (used != (v->status == VOLUME_IN_USE) &&
        v->status != VOLUME_ERROR_EXTENDING && v->status != VOLUME_ERROR &&
        !waits_for_server(l, v))
        world_broken(l->w, "quiet: volume %s is %s with %zu attachments",
                     v->rec.id, volume_status_names[v->status],
                     v->attachments.n);
    for (size_t i = 0; i < v->attachments.n; i++) {
        const struct volume_attachment *a =
            LIST_AT(v->attachments, struct volume_attachment, i);
        const struct server *s = snap_get(l->s, &kind_server, a->server_id);
        if (!has_volume(s, v->rec.id))
            world_broken(l->w,
                         "quiet: volume %s is attached to %s, which has it not",
                         v->rec.id, a->server_id ? a->server_id : "(none)");
    }
}

static void check_volume(struct look *l, const struct volume *v)
{
    switch (v->status) {
    case VOLUME_AVAILABLE:
    case VOLUME_IN_USE:
    case VOLUME_RESERVED:
        need_file(l, place(l, v->node, v->local), STORED_VOLUME, v->rec.id,
                  v->size_gb);
        break;
    case VOLUME_ERROR:
    case VOLUME_ERROR_DELETING:
    case VOLUME_ERROR_EXTENDING:
        break;
    default:
        if (waits_for_server(l, v))
            return;
        world_broken(l->w, "quiet: volume %s is still %s", v->rec.id,
                     volume_status_names[v->status]);
        return;
    }
    check_attachments(l, v);
}

/* A disk of another generation stays only where the server's own could not
 * be made. */
static void check_disk(struct look *l, const struct disk *d)
{
    char id[STORE_KEY_MAX];
    const struct server *s = snap_get(l->s, &kind_server, d->server_id);
    if (!s || (d->generation != s->disks && s->vm_state != VM_ERROR &&
               s->vm_state != VM_RESIZED))
        world_broken(l->w,
                     "quiet: disk %s leaks: %s on %s, server is %s, has %lld",
                     d->rec.id, disk_state_names[d->state],
                     d->node ? d->node : "no node",
                     s ? vm_state_names[s->vm_state] : "gone",
                     s ? (long long)s->disks : -1);
    else if (d->state == DISK_READY)
        need_file(l, place(l, d->node, false), STORED_DISK, disk_file_id(id, d),
                  d->size_gb);
    else if (d->state != DISK_FAILED && s->vm_state != VM_ERROR)
        world_broken(l->w, "quiet: disk %s is still %s", d->rec.id,
                     disk_state_names[d->state]);
}

/* It was to be made of what a node had that is lost. */
static bool waits_for_lost(const struct look *l, const struct image *im)
{
    bool lost = false;
    for (unsigned i = 0; i < l->w->n_nodes; i++)
        lost |= l->w->nodes[i].lost;
    return lost && l->w->local && im->status == IMAGE_SAVING;
}

void check_storage(struct look *l)
{
    struct snap_iter it = snap_all(l->s, &kind_volume);
    for (const struct volume *v; (v = snap_next(&it));)
        if (!look_may_be_left(l, &v->rec))
            check_volume(l, v);
    it = snap_all(l->s, &kind_disk);
    for (const struct disk *d; (d = snap_next(&it));)
        if (!look_may_be_left(l, &d->rec))
            check_disk(l, d);
    it = snap_all(l->s, &kind_snapshot);
    for (const struct volume_snapshot *v; (v = snap_next(&it));)
        if (look_may_be_left(l, &v->rec))
            continue;
        else if (v->status == SNAPSHOT_CREATING ||
                 v->status == SNAPSHOT_DELETING)
            world_broken(l->w, "quiet: snapshot %s is still %s", v->rec.id,
                         snapshot_status_names[v->status]);
        else if (v->status == SNAPSHOT_AVAILABLE)
            need_file(l, place(l, v->node, v->local), STORED_SNAPSHOT,
                      v->rec.id, 0);
    it = snap_all(l->s, &kind_image);
    for (const struct image *im; (im = snap_next(&it));)
        if (im->status == IMAGE_ACTIVE && !im->blob &&
            map_get(&im->properties, "block_device_mapping"))
            continue; /* an image of volumes */
        else if (im->status == IMAGE_ACTIVE)
            need_file(l, NULL, STORED_IMAGE, im->blob, 0);
        else if (im->status != IMAGE_QUEUED && !waits_for_lost(l, im) &&
                 l->w->time - im->updated > OLD_US)
            world_broken(l->w, "quiet: image %s is still %s", im->rec.id,
                         image_status_names[im->status]);
}

bool look_is_named(struct look *l, const struct file *f)
{
    static const struct kind *const kinds[] = {
        [STORED_DISK] = &kind_disk,
        [STORED_VOLUME] = &kind_volume,
        [STORED_SNAPSHOT] = &kind_snapshot,
    };
    if (f->kind != STORED_UPLOAD && f->kind != STORED_IMAGE)
        return snap_get(l->s, kinds[f->kind], f->name) != NULL;
    struct snap_iter it = snap_all(l->s, &kind_image);
    for (const struct image *im; (im = snap_next(&it));)
        if (is(im->blob, f->name) || is(im->upload_id, f->name))
            return true;
    return false;
}

void check_files(struct look *l)
{
    for (struct file *f = files_first(l->w->files); f; f = f->next)
        if (l->w->time - f->changed > OLD_US && !look_is_named(l, f))
            world_broken(l->w, "quiet: %s %s leaks", stored_kind_name(f->kind),
                         f->name);
}
