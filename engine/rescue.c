#include "engine/rescue.h"

#include "common/alloc.h"
#include "engine/placement.h"
#include "model/migration.h"
#include "model/network.h"
#include "model/resize.h"
#include "model/volume.h"

#include <string.h>

#define FAULT_STATUS 500

/* ---- what can start elsewhere -------------------------------------------- */

/* Nothing of it was made, or all is where every node reaches it. */
static bool disk_moves(const struct disk *d, bool fenced)
{
    return (fenced && disk_is_shared(d)) ||
           (d->state == DISK_WANTED && !d->path);
}

/* A rebuild gives it others, and it may not have heard: nothing refuses the
 * guest its own node's disk. */
static bool may_run_from(const struct disk *d, const struct server *server)
{
    return d->path && !disk_is_shared(d) && d->node && server->node &&
           strcmp(d->node, server->node) == 0;
}

static bool volume_moves(const struct volume *v, bool fenced)
{
    bool shared = v->path && strncmp(v->path, "rbd:", 4) == 0;
    return (fenced && shared) || (v->status == VOLUME_CREATING && !v->path);
}

static bool all_moves(const struct snapshot *s, const struct server *server,
                      bool fenced)
{
    struct snap_iter it = snap_by(s, &kind_disk, "server_id", server->rec.id);
    for (const struct disk *d; (d = snap_next(&it));)
        if (d->state != DISK_LEAVING &&
            (d->generation == server->disks ? !disk_moves(d, fenced)
                                            : may_run_from(d, server)))
            return false;
    for (size_t i = 0; i < server->volumes.n; i++) {
        const struct volume *v = snap_get(
            s, &kind_volume,
            LIST_AT(server->volumes, struct server_volume, i)->volume_id);
        if (v && !volume_moves(v, fenced))
            return false;
    }
    return true;
}

/* The resize of one that has arrived and waits to be confirmed: it goes on
 * from wherever the server starts again.  NULL: none is. */
static const struct migration *unconfirmed(const struct snapshot *s,
                                           const struct server *server)
{
    const struct migration *m = server_migration(s, server);
    return m && migration_is_cold(m) && m->status >= MIGRATION_POST_MIGRATING
               ? m
               : NULL;
}

static bool should_run(const struct server *s)
{
    return s->goal == GOAL_RUNNING &&
           (s->vm_state == VM_ACTIVE || s->vm_state == VM_BUILDING ||
            s->vm_state == VM_RESIZED || s->task_state == TASK_POWERING_ON ||
            s->stranded);
}

struct recovery_server rescue_look(const struct snapshot *s,
                                   const struct server *server, bool fenced)
{
    return (struct recovery_server){
        .shared = all_moves(s, server, fenced),
        .deleted = server->goal == GOAL_DELETED,
        .runs = should_run(server),
        .saved = server->vm_state == VM_SUSPENDED,
        .stranded = server->stranded,
    };
}

/* ---- servers ------------------------------------------------------------- */

static void clear_fault(struct server *draft)
{
    draft->stranded = false;
    draft->fault = NULL;
    draft->fault_code = draft->fault_at = 0;
}

/* One that was never there yet goes on being built. */
static void start_anew(struct server *draft, int64_t now)
{
    bool building = draft->vm_state == VM_BUILDING;
    if (draft->stranded)
        clear_fault(draft);
    draft->vm_state = building ? VM_BUILDING : VM_STOPPED;
    draft->task_state = building ? TASK_SPAWNING : TASK_POWERING_ON;
    draft->power_state = POWER_NOSTATE;
    draft->generation++;
    draft->updated = now;
}

/* A live migration from here ends where the guest was: with its node.  So
 * does a resize, which gives back what it was charged for. */
static bool end_migration(struct txn *t, const struct snapshot *s,
                          struct server *draft, int64_t now, struct error *err)
{
    static const char why[] = "its node has failed";
    const struct migration *m = server_migration(s, draft);
    if (!m)
        return true;
    _autorecord_ struct migration *ended = record_copy(m);
    bool ok = true;
    if (migration_is_cold(m))
        ok = resize_failed(t, s, ended, draft, why, now, err);
    else
        migration_end(t, s, ended, draft, MIGRATION_ERROR, why, now);
    txn_change_record(t, ended);
    return ok;
}

/* Volumes that are yet to be made are made where the server will be. */
static void move_unmade(struct txn *t, const struct snapshot *s,
                        const struct server *server, const char *node)
{
    for (size_t i = 0; i < server->volumes.n; i++) {
        const struct volume *v = snap_get(
            s, &kind_volume,
            LIST_AT(server->volumes, struct server_volume, i)->volume_id);
        if (!v || v->status != VOLUME_CREATING || !v->node)
            continue;
        _autorecord_ struct volume *draft = record_copy(v);
        draft->node = rec_str(draft, node);
        for (size_t k = 0; k < draft->attachments.n; k++)
            LIST_AT(draft->attachments, struct volume_attachment, k)->node =
                draft->node;
        txn_change_record(t, draft);
    }
}

/* The server is on another node now, and starts there. */
static void arrive(struct txn *t, const struct snapshot *s,
                   const struct server *server, struct migration *m,
                   struct server *draft, struct server *there, bool runs,
                   int64_t now)
{
    m->dest_zone =
        rec_str(m, placement_zone(s, snap_get(s, &kind_node, m->dest)));
    migration_swap_places(m, there);
    m->reason = rec_strf(m, "node %s has failed", server->node);
    migration_arrive(t, s, m, draft, now);
    migration_end(t, s, m, draft, MIGRATION_DONE, NULL, now);
    move_unmade(t, s, server, m->dest);
    if (runs)
        start_anew(draft, now);
    else
        draft->generation++; /* whenever it starts there */
}

/* Its resize goes on from there: it may be confirmed, or taken back to where
 * it was. */
static void keep_resize(struct txn *t, const struct migration *resize,
                        const struct migration *m, struct server *draft)
{
    _autorecord_ struct migration *kept = record_copy(resize);
    kept->dest = rec_str(kept, m->dest);
    kept->dest_zone = rec_str(kept, m->dest_zone);
    kept->updated = m->updated;
    draft->migration_id = rec_str(draft, resize->rec.id);
    if (resize->status == MIGRATION_POST_MIGRATING)
        draft->task_state = TASK_RESIZE_FINISH;
    if (resize->status == MIGRATION_REVERTING)
        draft->task_state = TASK_RESIZE_REVERTING;
    txn_change_record(t, kept);
}

bool rescue_move(struct txn *t, const struct snapshot *s,
                 const struct server *server, const char *node,
                 struct server *there, const char *id, int64_t now,
                 struct error *err)
{
    int task = server->task_state;
    const struct migration *resize = unconfirmed(s, server);
    _autorecord_ struct server *draft = record_copy(server);
    if (resize)
        draft->migration_id = NULL;
    else if (!end_migration(t, s, draft, now, err))
        return false;
    _autorecord_ struct migration *m =
        migration_begin(t, s, draft, id, MIGRATION_EVACUATION, now, err);
    if (!m)
        return false;
    m->dest = rec_str(m, node);
    arrive(t, s, server, m, draft, there, should_run(server), now);
    if (resize)
        keep_resize(t, resize, m, draft);
    if (server->goal == GOAL_DELETED ||
        (task == TASK_REBUILDING && !should_run(server)))
        draft->task_state = task; /* else nobody ends it */
    txn_change_record(t, m);
    txn_change_record(t, draft);
    return true;
}

void rescue_evacuate(struct txn *t, const struct snapshot *s,
                     struct migration *m, const struct server *server,
                     const char *node, struct server *there, int64_t now)
{
    _autorecord_ struct server *draft = record_copy(server);
    m->dest = rec_str(m, node);
    arrive(t, s, server, m, draft, there, server->goal == GOAL_RUNNING, now);
    txn_change_record(t, m);
    txn_change_record(t, draft);
}

void rescue_strand(struct txn *t, const struct snapshot *s,
                   const struct server *server, const char *why, int64_t now)
{
    _autorecord_ struct server *draft = record_copy(server);
    struct error ignored; /* giving back cannot go over a quota */
    if (!unconfirmed(s, server))
        end_migration(t, s, draft, now, &ignored);
    draft->vm_state = VM_ERROR;
    draft->task_state = TASK_NONE;
    draft->power_state = POWER_NOSTATE;
    draft->stranded = true;
    draft->fault = rec_str(draft, why);
    draft->fault_code = FAULT_STATUS;
    draft->fault_at = draft->updated = now;
    txn_change_record(t, draft);
}

bool rescue_is_busy(const struct server *server)
{
    return server->goal == GOAL_DELETED || server->task_state != TASK_NONE ||
           server->vm_state == VM_PAUSED;
}

bool rescue_is_due(const struct server *server)
{
    return server->stranded ||
           (server->goal == GOAL_RUNNING &&
            (server->vm_state == VM_ACTIVE || server->vm_state == VM_RESIZED));
}

void rescue_restart(struct txn *t, const struct server *server, int64_t now)
{
    _autorecord_ struct server *draft = record_copy(server);
    if (server->goal == GOAL_RUNNING)
        start_anew(draft, now);
    else
        clear_fault(draft); /* its owner wants something else by now */
    txn_change_record(t, draft);
}

/* ---- chores -------------------------------------------------------------- */

static size_t give_volumes(struct txn *t, const struct snapshot *s,
                           const char *from, size_t most, int64_t now)
{
    size_t n = 0;
    struct snap_iter it = snap_by(s, &kind_volume, "node", from);
    for (const struct volume *v; n < most && (v = snap_next(&it));) {
        if (v->status != VOLUME_CREATING || v->path || v->attachments.n ||
            snap_find(s, &kind_server, "volumes.volume_id", v->rec.id))
            continue;
        _autorecord_ struct volume *draft = record_copy(v);
        draft->node = NULL; /* the scheduler chooses again */
        draft->updated = now;
        txn_change_record(t, draft);
        n++;
    }
    return n;
}

static size_t give_disks(struct txn *t, const struct snapshot *s,
                         const char *from, const char *to, size_t most)
{
    size_t n = 0;
    struct snap_iter it = snap_by(s, &kind_disk, "node", from);
    for (const struct disk *d; to && n < most && (d = snap_next(&it));) {
        if (d->state != DISK_LEAVING || !disk_is_shared(d))
            continue;
        _autorecord_ struct disk *draft = record_copy(d);
        draft->node = rec_str(draft, to);
        txn_change_record(t, draft);
        n++;
    }
    return n;
}

/* To it: its other end is told, which ends it. */
static size_t abort_migrations(struct txn *t, const struct snapshot *s,
                               const char *dest, size_t most, int64_t now)
{
    size_t n = 0;
    struct snap_iter it = snap_by(s, &kind_migration, "dest", dest);
    for (const struct migration *m; n < most && (m = snap_next(&it));) {
        if (m->abort || m->status >= MIGRATION_POST_MIGRATING)
            continue;
        _autorecord_ struct migration *draft = record_copy(m);
        draft->abort = true;
        draft->updated = now;
        txn_change_record(t, draft);
        n++;
    }
    return n;
}

size_t rescue_chores(struct txn *t, const struct snapshot *s, const char *from,
                     const char *to, size_t most, int64_t now)
{
    size_t n = give_volumes(t, s, from, most, now);
    n += give_disks(t, s, from, to, most - n);
    return n + abort_migrations(t, s, from, most - n, now);
}
