#include "model/resize.h"

#include "model/pool.h"
#include "model/release.h"

#include <string.h>

/* ---- quota --------------------------------------------------------------- */

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static struct charge charge_of(const struct migration *m)
{
    return (
        struct charge){ larger(m->old_flavor.vcpus, m->new_flavor.vcpus),
                        larger(m->old_flavor.ram_mb, m->new_flavor.ram_mb) };
}

struct charge resize_charge(const struct snapshot *s,
                            const struct server *server)
{
    const struct migration *m = server_migration(s, server);
    return m && m->type == MIGRATION_RESIZE
               ? charge_of(m)
               : (struct charge){ server->vcpus, server->ram_mb };
}

static bool charge(struct txn *t, const struct snapshot *s,
                   const struct server *server, struct charge from,
                   struct charge to, struct error *err)
{
    const struct amount more[] = { { "cores", to.vcpus - from.vcpus },
                                   { "ram", to.ram_mb - from.ram_mb } };
    return quota_charge(t, s, "compute", server->project_id, more,
                        ARRAY_SIZE(more), err);
}

bool resize_charge_more(struct txn *t, const struct snapshot *s,
                        const struct migration *m, struct error *err)
{
    const struct server *server = snap_get(s, &kind_server, m->server_id);
    return charge(t, s, server,
                  (struct charge){ m->old_flavor.vcpus, m->old_flavor.ram_mb },
                  charge_of(m), err);
}

/* It has one flavor now. */
static bool settle_quota(struct txn *t, const struct snapshot *s,
                         const struct migration *m, const struct server *server,
                         struct error *err)
{
    return m->type != MIGRATION_RESIZE ||
           charge(t, s, server, charge_of(m),
                  (struct charge){ server->vcpus, server->ram_mb }, err);
}

/* ---- disks --------------------------------------------------------------- */

/* The same disk of a server in its generation before; NULL: it had none. */
static const struct disk *disk_before(const struct snapshot *s,
                                      const struct server *server,
                                      const char *name)
{
    char id[DISK_ID_SIZE];
    struct local_disk had[LOCAL_DISKS_MAX];
    if (!name)
        return snap_get(s, &kind_disk, server_disk_id(server, id));
    for (size_t i = server_local_disks(server, had); i-- > 0;)
        if (strcmp(had[i].name, name) == 0)
            return snap_get(s, &kind_disk, had[i].id);
    return NULL;
}

static bool same_disks(const struct migration *m)
{
    const struct server_flavor *a = &m->old_flavor, *b = &m->new_flavor;
    return a->disk_gb == b->disk_gb && a->ephemeral_gb == b->ephemeral_gb &&
           a->swap_mb == b->swap_mb;
}

/* Nothing is to be made when every node reaches what there is. */
static bool keeps_disks(const struct snapshot *s, const struct migration *m,
                        const struct server *server)
{
    struct snap_iter it = snap_by(s, &kind_disk, "server_id", server->rec.id);
    for (const struct disk *d; (d = snap_next(&it));)
        if (d->generation == server->disks && !disk_is_shared(d))
            return false;
    return same_disks(m);
}

static void put_copy(struct txn *t, const struct disk *from,
                     const struct server *there, const char *id,
                     int64_t size_gb, int64_t size_mb)
{
    _autorecord_ struct disk *d = record_new(&kind_disk, id);
    d->project_id = rec_str(d, there->project_id);
    d->server_id = rec_str(d, there->rec.id);
    d->generation = there->disks;
    d->node = rec_str(d, there->node);
    d->image_id = from ? rec_str(d, from->image_id) : NULL;
    d->source_id = from ? rec_str(d, from->rec.id) : NULL;
    d->size_gb = size_gb;
    d->size_mb = size_mb;
    txn_change_record(t, d);
}

static void put_swap(struct txn *t, const struct server *there,
                     const struct local_disk *disk)
{
    _autorecord_ struct disk *d = record_new(&kind_disk, disk->id);
    d->project_id = rec_str(d, there->project_id);
    d->server_id = rec_str(d, there->rec.id);
    d->generation = there->disks;
    d->node = rec_str(d, there->node);
    d->size_mb = disk->size_mb;
    d->swap = true;
    txn_change_record(t, d);
}

/* What a swap area holds is of no use to a guest that was off. */
static void put_disks(struct txn *t, const struct snapshot *s,
                      const struct migration *m, const struct server *server)
{
    char id[DISK_ID_SIZE];
    struct local_disk more[LOCAL_DISKS_MAX];
    _autorecord_ struct server *there = record_copy(server);
    const struct disk *root = disk_before(s, server, NULL);
    server_set_flavor(there, &m->new_flavor);
    there->node = rec_str(there, m->dest);
    there->disks = m->new_disks;
    if (root)
        put_copy(t, root, there, server_disk_id(there, id), there->disk_gb, 0);
    for (size_t i = server_local_disks(there, more); i-- > 0;) {
        if (more[i].swap)
            put_swap(t, there, &more[i]);
        else
            put_copy(t, disk_before(s, server, more[i].name), there, more[i].id,
                     0, more[i].size_mb);
    }
}

static void drop_generation(struct txn *t, const struct snapshot *s,
                            const struct server *server, int64_t generation)
{
    struct snap_iter it = snap_by(s, &kind_disk, "server_id", server->rec.id);
    for (const struct disk *d; (d = snap_next(&it));)
        if (d->generation == generation && d->state != DISK_LEAVING)
            disk_release(t, d);
}

/* Those of a generation that stays belong to whoever uses them. */
static void give_disks(struct txn *t, const struct snapshot *s,
                       const struct server *server)
{
    struct snap_iter it = snap_by(s, &kind_disk, "server_id", server->rec.id);
    for (const struct disk *d; (d = snap_next(&it));) {
        if (d->generation != server->disks || d->state == DISK_LEAVING ||
            !disk_is_shared(d))
            continue;
        _autorecord_ struct disk *draft = record_copy(d);
        draft->node = rec_str(draft, server->node);
        txn_change_record(t, draft);
    }
}

/* ---- its way ------------------------------------------------------------- */

void resize_begin(struct txn *t, const struct snapshot *s, struct migration *m,
                  struct server *server, int64_t now)
{
    m->old_disks = m->new_disks = server->disks;
    if (!keeps_disks(s, m, server)) {
        m->new_disks = server_next_disks(s, server);
        put_disks(t, s, m, server);
    }
    m->status = MIGRATION_MIGRATING;
    server->task_state = TASK_RESIZE_MIGRATING;
    server->power_state = POWER_SHUTDOWN;
    m->updated = server->updated = now;
}

static void move_to(struct txn *t, const struct snapshot *s,
                    struct migration *m, struct server *server,
                    const char *node, const char *zone, int64_t now)
{
    server->node = rec_str(server, node);
    server->zone = rec_str(server, zone);
    migration_swap_places(m, server);
    migration_bind(t, s, server, node, now);
    give_disks(t, s, server);
    m->updated = server->updated = now;
}

void resize_arrive(struct txn *t, const struct snapshot *s, struct migration *m,
                   struct server *server, const char *zone, int64_t now)
{
    server->disks = m->new_disks;
    server_set_flavor(server, &m->new_flavor);
    move_to(t, s, m, server, m->dest, zone, now);
    server->task_state = TASK_RESIZE_FINISH;
    m->status = MIGRATION_POST_MIGRATING;
}

void resize_finish(struct migration *m, struct server *server, int64_t now)
{
    server->vm_state = VM_RESIZED;
    server->task_state = TASK_NONE;
    m->status = MIGRATION_FINISHED;
    m->updated = server->updated = now;
}

static void end(struct migration *m, struct server *server,
                enum migration_status status, int64_t now)
{
    m->status = (int)status;
    m->updated = m->ended = now;
    server->migration_id = NULL;
    server->updated = now;
}

bool resize_confirm(struct txn *t, const struct snapshot *s,
                    struct migration *m, struct server *server, int64_t now,
                    struct error *err)
{
    if (m->old_disks != m->new_disks)
        drop_generation(t, s, server, m->old_disks);
    end(m, server, MIGRATION_CONFIRMED, now);
    server->vm_state = server->goal == GOAL_RUNNING ? VM_ACTIVE : VM_STOPPED;
    server->task_state = TASK_NONE;
    return settle_quota(t, s, m, server, err);
}

bool resize_revert(struct txn *t, const struct snapshot *s, struct migration *m,
                   struct server *server, const char *zone, int64_t now,
                   struct error *err)
{
    if (m->old_disks != m->new_disks)
        drop_generation(t, s, server, m->new_disks);
    server->disks = m->old_disks;
    server_set_flavor(server, &m->old_flavor);
    move_to(t, s, m, server, m->source, zone, now);
    end(m, server, MIGRATION_REVERTED, now);
    return settle_quota(t, s, m, server, err);
}

bool resize_broken(struct txn *t, const struct snapshot *s, struct migration *m,
                   struct server *server, const char *fault, int64_t now,
                   struct error *err)
{
    m->fault = rec_str(m, fault);
    end(m, server, MIGRATION_ERROR, now);
    return settle_quota(t, s, m, server, err);
}

bool resize_failed(struct txn *t, const struct snapshot *s, struct migration *m,
                   struct server *server, const char *fault, int64_t now,
                   struct error *err)
{
    if (m->old_disks != m->new_disks)
        drop_generation(t, s, server, m->new_disks);
    if (server->goal == GOAL_RUNNING && m->status != MIGRATION_QUEUED)
        server->reboot++; /* it may be off already */
    server->task_state = TASK_NONE;
    server->fault = rec_str(server, fault);
    server->fault_at = now;
    server->fault_code = 500;
    return resize_broken(t, s, m, server, fault, now, err);
}
