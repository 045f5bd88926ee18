#include "model/migration.h"

#include "model/network.h"
#include "model/pool.h"
#include "model/table.h"
#include "model/volume.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const migration_type_names[] = { "live-migration", "migration",
                                             "resize", "evacuation", NULL };
const char *const migration_status_names[] = {
    "queued",         "preparing", "running",    "migrating",
    "post-migrating", "finished",  "confirming", "reverting",
    "completed",      "cancelled", "error",      "confirmed",
    "reverted",       "done",      "failed",     NULL
};

#define T struct arrival
static const struct field arrival_fields[] = {
    FIELD(T, address, F_STR),
    FIELD(T, vnc_listen, F_STR),
    FIELD(T, config_drive, F_STR),
    FIELD(T, serial_log, F_STR),
    FIELD_END,
};
#undef T
static const struct schema arrival_schema = { sizeof(struct arrival),
                                              arrival_fields };

#define T struct server_flavor
static const struct field server_flavor_fields[] = {
    FIELD(T, flavor_id, F_STR),
    FIELD(T, flavor_name, F_STR),
    FIELD(T, vcpus, F_INT),
    FIELD(T, ram_mb, F_INT),
    FIELD(T, disk_gb, F_INT),
    FIELD(T, ephemeral_gb, F_INT),
    FIELD(T, swap_mb, F_INT),
    FIELD(T, extra_specs, F_MAP),
    FIELD_END,
};
#undef T
static const struct schema server_flavor_schema = {
    sizeof(struct server_flavor), server_flavor_fields
};

#define T struct migration
static const struct field migration_fields[] = {
    FIELD(T, number, F_INT),
    FIELD(T, server_id, F_STR),
    FIELD(T, project_id, F_STR),
    FIELD(T, user_id, F_STR),
    FIELD_E(T, type, migration_type_names),
    FIELD_E(T, status, migration_status_names),
    FIELD(T, source, F_STR),
    FIELD(T, dest, F_STR),
    FIELD(T, dest_zone, F_STR),
    FIELD(T, requested_host, F_STR),
    FIELD(T, reason, F_STR),
    FIELD(T, abort, F_BOOL),
    FIELD(T, force_complete, F_BOOL),
    FIELD(T, dest_ready, F_BOOL),
    FIELD(T, unattended, F_BOOL),
    FIELD_L(T, cells, server_cell_schema),
    FIELD_L(T, devices, server_device_schema),
    FIELD_O(T, arrival, arrival_schema),
    FIELD_O(T, old_flavor, server_flavor_schema),
    FIELD_O(T, new_flavor, server_flavor_schema),
    FIELD(T, old_disks, F_INT),
    FIELD(T, new_disks, F_INT),
    FIELD(T, memory_total, F_INT),
    FIELD(T, memory_processed, F_INT),
    FIELD(T, memory_remaining, F_INT),
    FIELD(T, disk_total, F_INT),
    FIELD(T, disk_processed, F_INT),
    FIELD(T, disk_remaining, F_INT),
    FIELD(T, downtime_ms, F_INT),
    FIELD(T, fault, F_STR),
    FIELD(T, created, F_TIME),
    FIELD(T, updated, F_TIME),
    FIELD(T, ended, F_TIME),
    FIELD_END,
};
#undef T
KIND(kind_migration, KIND_MIGRATION, "migration", struct migration,
     migration_fields,
     INDEXES({ "server_id" }, { "source" }, { "dest" }, { "status" }));

/* ---- flavors ------------------------------------------------------------- */

static struct server_flavor server_flavor(const struct server *s)
{
    return (struct server_flavor){
        .flavor_id = s->flavor_id,
        .flavor_name = s->flavor_name,
        .vcpus = s->vcpus,
        .ram_mb = s->ram_mb,
        .disk_gb = s->disk_gb,
        .ephemeral_gb = s->ephemeral_gb,
        .swap_mb = s->swap_mb,
        .extra_specs = s->extra_specs,
    };
}

static struct map copy_map(void *record, const struct map *from)
{
    struct map copy = { 0 };
    for (size_t i = 0; i < from->n; i++)
        map_put(record, &copy, from->v[i].key, from->v[i].value);
    return copy;
}

struct server_flavor flavor_kept(void *draft, const struct server_flavor *f)
{
    struct server_flavor kept = *f;
    kept.flavor_id = rec_str(draft, f->flavor_id);
    kept.flavor_name = rec_str(draft, f->flavor_name);
    kept.extra_specs = copy_map(draft, &f->extra_specs);
    return kept;
}

void server_set_flavor(struct server *draft, const struct server_flavor *f)
{
    struct server_flavor kept = flavor_kept(draft, f);
    draft->flavor_id = kept.flavor_id;
    draft->flavor_name = kept.flavor_name;
    draft->vcpus = f->vcpus;
    draft->ram_mb = f->ram_mb;
    draft->disk_gb = f->disk_gb;
    draft->ephemeral_gb = f->ephemeral_gb;
    draft->swap_mb = f->swap_mb;
    draft->extra_specs = kept.extra_specs;
}

/* ---- looking ------------------------------------------------------------- */

const struct migration *server_migration(const struct snapshot *s,
                                         const struct server *server)
{
    const struct migration *m =
        snap_get(s, &kind_migration, server->migration_id);
    return m && migration_under_way(m) ? m : NULL;
}

/* Before the guest has arrived it is the dest that is kept for it; after a
 * resize the source, to which it may go back. */
const char *migration_holds(const struct migration *m,
                            const struct server *server,
                            struct server_flavor *what)
{
    if (!migration_under_way(m) || !m->dest || !server->node ||
        m->type == MIGRATION_EVACUATION)
        return NULL;
    bool resize = m->type == MIGRATION_RESIZE;
    bool arrived = m->status >= MIGRATION_POST_MIGRATING;
    *what = server_flavor(server);
    if (!arrived) {
        *what = resize ? m->new_flavor : *what;
        return m->dest;
    }
    if (m->type == MIGRATION_LIVE)
        return NULL;
    *what = resize ? m->old_flavor : *what;
    return m->source;
}

char *migration_disk_id(char out[STORE_KEY_MAX], const struct migration *m,
                        const char *disk_id)
{
    snprintf(out, STORE_KEY_MAX, "%s@%s", disk_id, m->rec.id);
    return out;
}

/* ---- beginning ----------------------------------------------------------- */

static enum task_state first_task(enum migration_type type)
{
    switch (type) {
    case MIGRATION_LIVE:
        return TASK_MIGRATING;
    case MIGRATION_EVACUATION:
        return TASK_REBUILDING;
    default:
        return TASK_RESIZE_PREP;
    }
}

/* An administrator may have called a server ACTIVE that is not even made:
 * nobody could tell yet whether its disk will be shared or the node's own. */
static bool has_its_disks(const struct snapshot *s, const struct server *server)
{
    struct snap_iter it = snap_by(s, &kind_disk, "server_id", server->rec.id);
    for (const struct disk *d; (d = snap_next(&it));)
        if (d->generation == server->disks && d->state == DISK_WANTED)
            return false;
    return true;
}

/* What it has on the node's own disk does not go with it. */
static const struct volume *bound_volume(const struct snapshot *s,
                                         const struct server *server)
{
    for (size_t i = 0; i < server->volumes.n; i++) {
        const struct volume *v = snap_get(
            s, &kind_volume,
            LIST_AT(server->volumes, struct server_volume, i)->volume_id);
        if (v && v->node)
            return v;
    }
    return NULL;
}

/* Does what it has let it leave?  A resize may find its place there. */
static bool may_leave(const struct snapshot *s, const struct server *server,
                      enum migration_type type, struct error *err)
{
    if (type != MIGRATION_LIVE && type != MIGRATION_COLD)
        return true;
    const struct volume *v = bound_volume(s, server);
    if (v)
        return error_set(err, ERR_CONFLICT,
                         "Instance %s cannot leave node %s: volume %s is on "
                         "that node's own disk",
                         server->rec.id, v->node, v->rec.id);
    return type != MIGRATION_LIVE || !server->devices.n ||
           error_set(err, ERR_CONFLICT,
                     "Instance %s has devices of its node for itself and "
                     "cannot be moved while it runs",
                     server->rec.id);
}

struct migration *migration_begin(struct txn *t, const struct snapshot *s,
                                  struct server *server, const char *id,
                                  enum migration_type type, int64_t now,
                                  struct error *err)
{
    if (server_migration(s, server)) {
        error_set(err, ERR_CONFLICT,
                  "Cannot move instance %s while it is being moved already",
                  server->rec.id);
        return NULL;
    }
    if (type != MIGRATION_EVACUATION && !has_its_disks(s, server)) {
        error_set(err, ERR_CONFLICT,
                  "Cannot move instance %s: its disk is not made yet",
                  server->rec.id);
        return NULL;
    }
    if (!may_leave(s, server, type, err))
        return NULL;
    struct migration *m = record_new(&kind_migration, id);
    m->number = counter_next(t, s, "migration");
    m->server_id = rec_str(m, server->rec.id);
    m->project_id = rec_str(m, server->project_id);
    m->user_id = rec_str(m, server->user_id);
    m->type = (int)type;
    m->source = rec_str(m, server->node);
    m->created = m->updated = now;
    const struct server_flavor flavor = server_flavor(server);
    m->old_flavor = m->new_flavor = flavor_kept(m, &flavor);
    server->migration_id = rec_str(server, id);
    server->task_state = (int)first_task(type);
    server->updated = now;
    return m;
}

/* ---- disks and ports on the way ------------------------------------------ */

typedef void disk_fn(struct txn *t, const struct snapshot *s,
                     const struct migration *m, const struct disk *disk);

/* Each local disk of the server. */
static void each_disk(struct txn *t, const struct snapshot *s,
                      const struct migration *m, const struct server *server,
                      disk_fn *fn)
{
    char id[DISK_ID_SIZE];
    struct local_disk more[LOCAL_DISKS_MAX];
    size_t n = server_local_disks(server, more);
    const struct disk *disk =
        snap_get(s, &kind_disk, server_disk_id(server, id));
    if (disk)
        fn(t, s, m, disk);
    for (size_t i = 0; i < n; i++) {
        disk = snap_get(s, &kind_disk, more[i].id);
        if (disk)
            fn(t, s, m, disk);
    }
}

static void make_disk(struct txn *t, const struct snapshot *s,
                      const struct migration *m, const struct disk *disk)
{
    char id[STORE_KEY_MAX];
    if (disk_is_shared(disk))
        return;
    _autorecord_ struct disk *d =
        record_new(&kind_disk, migration_disk_id(id, m, disk->rec.id));
    d->project_id = rec_str(d, disk->project_id);
    d->server_id = rec_str(d, disk->server_id);
    d->generation = disk->generation;
    d->image_id = rec_str(d, disk->image_id);
    d->migration_id = rec_str(d, m->rec.id);
    d->node = rec_str(d, m->dest);
    d->size_gb = disk->size_gb;
    d->size_mb = disk->size_mb;
    d->swap = disk->swap;
    d->state = DISK_WANTED;
    txn_change_record(t, d);
}

/* The two records change places: the one of the migration is what the source
 * still has, and removes, or keeps for the way back from a resize. */
static void move_disk(struct txn *t, const struct snapshot *s,
                      const struct migration *m, const struct disk *disk)
{
    char id[STORE_KEY_MAX];
    const struct disk *there =
        snap_get(s, &kind_disk, migration_disk_id(id, m, disk->rec.id));
    _autorecord_ struct disk *draft = record_copy(disk);
    draft->node = rec_str(draft, m->dest);
    if (there) {
        _autorecord_ struct disk *left = record_copy(there);
        draft->path = rec_str(draft, there->path);
        left->node = rec_str(left, disk->node);
        left->path = rec_str(left, disk->path);
        if (m->type == MIGRATION_LIVE)
            left->state = DISK_LEAVING;
        txn_change_record(t, left);
    }
    txn_change_record(t, draft);
}

static void drop_disk(struct txn *t, const struct snapshot *s,
                      const struct migration *m, const struct disk *disk)
{
    char id[STORE_KEY_MAX];
    const struct disk *there =
        snap_get(s, &kind_disk, migration_disk_id(id, m, disk->rec.id));
    if (!there)
        return;
    _autorecord_ struct disk *draft = record_copy(there);
    draft->state = DISK_LEAVING;
    txn_change_record(t, draft);
}

/* node NULL: it stays where it is. */
static void bind_ports(struct txn *t, const struct snapshot *s,
                       const struct server *server, const char *node,
                       const char *migrating_to, int64_t now)
{
    struct snap_iter it = snap_by(s, &kind_port, "device_id", server->rec.id);
    for (const struct port *p; (p = snap_next(&it));) {
        _autorecord_ struct port *draft = record_copy(p);
        if (node)
            draft->node = rec_str(draft, node);
        draft->migrating_to = rec_str(draft, migrating_to);
        draft->updated = now;
        txn_change_record(t, draft);
    }
}

static void move_attachments(struct txn *t, const struct snapshot *s,
                             const struct server *server, const char *node,
                             int64_t now)
{
    struct snap_iter it =
        snap_by(s, &kind_volume, "attachments.server_id", server->rec.id);
    for (const struct volume *v; (v = snap_next(&it));) {
        _autorecord_ struct volume *draft = record_copy(v);
        for (size_t i = 0; i < draft->attachments.n; i++) {
            struct volume_attachment *a =
                LIST_AT(draft->attachments, struct volume_attachment, i);
            if (a->server_id && strcmp(a->server_id, server->rec.id) == 0)
                a->node = rec_str(draft, node);
        }
        draft->updated = now;
        txn_change_record(t, draft);
    }
}

/* ---- its way ------------------------------------------------------------- */

void migration_place(struct txn *t, const struct snapshot *s,
                     struct migration *m, const struct server *server,
                     int64_t now)
{
    if (!migration_is_cold(m)) {
        each_disk(t, s, m, server, make_disk);
        bind_ports(t, s, server, NULL, m->dest, now);
    }
    m->status = MIGRATION_PREPARING;
    m->updated = now;
}

/* Copies of each other's, in the right arena. */
static struct list copy_cells(void *draft, const struct list *from)
{
    struct list copy = { 0 };
    for (size_t i = 0; i < from->n; i++) {
        struct server_cell *c = list_add(draft, &copy, sizeof(*c));
        *c = *LIST_AT(*from, struct server_cell, i);
        c->cpus = rec_str(draft, c->cpus);
    }
    return copy;
}

static struct list copy_devices(void *draft, const struct list *from)
{
    struct list copy = { 0 };
    for (size_t i = 0; i < from->n; i++) {
        struct server_device *d = list_add(draft, &copy, sizeof(*d));
        *d = *LIST_AT(*from, struct server_device, i);
        d->address = rec_str(draft, d->address);
        d->type = rec_str(draft, d->type);
    }
    return copy;
}

void migration_bind(struct txn *t, const struct snapshot *s,
                    const struct server *server, const char *node, int64_t now)
{
    bind_ports(t, s, server, node, NULL, now);
    move_attachments(t, s, server, node, now);
}

void migration_swap_places(struct migration *m, struct server *server)
{
    struct list cells = copy_cells(server, &m->cells);
    struct list devices = copy_devices(server, &m->devices);
    m->cells = copy_cells(m, &server->cells);
    m->devices = copy_devices(m, &server->devices);
    server->cells = cells;
    server->devices = devices;
}

void migration_arrive(struct txn *t, const struct snapshot *s,
                      struct migration *m, struct server *server, int64_t now)
{
    each_disk(t, s, m, server, move_disk);
    bind_ports(t, s, server, m->dest, NULL, now);
    move_attachments(t, s, server, m->dest, now);
    migration_swap_places(m, server);
    server->node = rec_str(server, m->dest);
    server->zone = rec_str(server, m->dest_zone);
    server->updated = now;
    m->status = MIGRATION_POST_MIGRATING;
    m->updated = now;
}

void migration_end(struct txn *t, const struct snapshot *s, struct migration *m,
                   struct server *server, enum migration_status status,
                   const char *fault, int64_t now)
{
    bool arrived = m->status >= MIGRATION_POST_MIGRATING;
    m->status = (int)status;
    m->fault = rec_str(m, fault);
    m->updated = m->ended = now;
    if (!server)
        return;
    if (!arrived && !migration_is_cold(m)) {
        each_disk(t, s, m, server, drop_disk);
        bind_ports(t, s, server, NULL, NULL, now);
    }
    server->migration_id = NULL;
    server->task_state = TASK_NONE;
    server->updated = now;
}

void migration_forget(struct txn *t, const struct snapshot *s,
                      const struct server *server, int64_t now)
{
    const struct migration *m = server_migration(s, server);
    if (!m)
        return;
    _autorecord_ struct migration *draft = record_copy(m);
    migration_end(t, s, draft, NULL, MIGRATION_ERROR, "The server was deleted",
                  now);
    txn_change_record(t, draft);
}
