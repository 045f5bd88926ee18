#include "model/shelve.h"

#include "model/network.h"
#include "model/release.h"

bool shelve_under_way(const struct server *s)
{
    switch (s->task_state) {
    case TASK_SHELVING:
    case TASK_SHELVING_IMAGE_PENDING_UPLOAD:
    case TASK_SHELVING_IMAGE_UPLOADING:
    case TASK_SHELVING_OFFLOADING:
        return true;
    default:
        return false;
    }
}

bool server_awaits_node(const struct server *s)
{
    if (s->node || s->goal == GOAL_DELETED)
        return false;
    return s->vm_state == VM_BUILDING || (s->vm_state == VM_SHELVED_OFFLOADED &&
                                          s->task_state == TASK_UNSHELVING);
}

void shelve_image(struct txn *t, struct server *server, const struct disk *disk,
                  const struct image *image, int64_t now)
{
    _autorecord_ struct disk *d = record_copy(disk);
    _autorecord_ struct image *im = record_copy(image);
    d->upload_image_id = rec_str(d, im->rec.id);
    im->upload_id = rec_str(im, im->rec.id);
    im->status = IMAGE_SAVING;
    im->updated = now;
    server->task_state = TASK_SHELVING_IMAGE_UPLOADING;
    server->updated = now;
    txn_change_record(t, d);
    txn_change_record(t, im);
}

void shelve_keep(struct server *server, int64_t now)
{
    server->vm_state = VM_SHELVED;
    server->task_state = TASK_SHELVING_OFFLOADING;
    server->power_state = POWER_SHUTDOWN;
    server->shelved = server->updated = now;
}

static void unbind_ports(struct txn *t, const struct snapshot *s,
                         const struct server *server, int64_t now)
{
    struct snap_iter it = snap_by(s, &kind_port, "device_id", server->rec.id);
    for (const struct port *p; (p = snap_next(&it));) {
        _autorecord_ struct port *draft = record_copy(p);
        draft->node = NULL;
        draft->status = NET_DOWN;
        draft->updated = now;
        txn_change_record(t, draft);
    }
}

static void drop_disks(struct txn *t, const struct snapshot *s,
                       const struct server *server)
{
    struct snap_iter it = snap_by(s, &kind_disk, "server_id", server->rec.id);
    for (const struct disk *d; (d = snap_next(&it));)
        if (d->state != DISK_LEAVING)
            disk_release(t, d);
}

void shelve_offload(struct txn *t, const struct snapshot *s,
                    struct server *server, int64_t now)
{
    drop_disks(t, s, server);
    unbind_ports(t, s, server, now);
    server->node = server->zone = NULL;
    server->vnc_host = server->serial_log = NULL;
    server->vnc_port = 0;
    server->cells = server->devices = (struct list){ 0 };
    server->min_count = 0; /* from now on it is placed alone */
    server->vm_state = VM_SHELVED_OFFLOADED;
    server->task_state = TASK_NONE;
    server->updated = now;
}

void unshelve(struct txn *t, const struct snapshot *s, struct server *server,
              int64_t now)
{
    const char *image_id = server->image_id;
    server->disks = server_next_disks(s, server);
    if (image_id)
        server->image_id = server->shelved_image_id;
    server_make_disks(t, server);
    server->image_id = image_id; /* what it was first made of */
    server->goal = GOAL_RUNNING;
    server->task_state = TASK_UNSHELVING;
    server->updated = now;
}

void unshelve_failed(struct txn *t, const struct snapshot *s,
                     struct server *server, int64_t now)
{
    drop_disks(t, s, server);
    server->goal = GOAL_STOPPED;
    server->task_state = TASK_NONE;
    server->updated = now;
}

void shelve_drop_image(struct txn *t, const struct snapshot *s,
                       struct server *server, int64_t now)
{
    const struct image *im = snap_get(s, &kind_image, server->shelved_image_id);
    if (im && im->status != IMAGE_DELETED) {
        _autorecord_ struct image *draft = record_copy(im);
        draft->status = IMAGE_DELETED;
        draft->updated = now;
        txn_change_record(t, draft);
    }
    server->shelved_image_id = NULL;
}
