#include "compute/server_run.h"

#include "common/log.h"
#include "compute/disk_keys.h"
#include "model/pool.h"
#include "model/release.h"
#include "model/resize.h"
#include "model/shelve.h"

#include <string.h>

#define LOG_NAME     "compute"
#define FAULT_STATUS 500

/* ---- commits ----------------------------------------------------------- */

static enum reconcile_verdict commit(struct server_run *run, struct txn *t)
{
    struct txn_result result;
    if (store_commit(run->store, t, &result)) {
        run->memory->revision = result.revision;
        run->memory->failures = 0;
        return RECONCILE_DONE; /* the cache wakes us when it is there */
    }
    if (result.status == TXN_CONFLICT) {
        *run->delay_us = SERVER_STALE_US;
        return RECONCILE_AGAIN;
    }
    error_copy(run->err, &result.err);
    return RECONCILE_RETRY;
}

static int64_t wall(struct server_run *run)
{
    return env_now(run->env);
}

static struct server_volume *volume_in(const struct server *s, const char *id)
{
    for (size_t i = 0; i < s->volumes.n; i++) {
        struct server_volume *sv = LIST_AT(s->volumes, struct server_volume, i);
        if (strcmp(sv->volume_id, id) == 0)
            return sv;
    }
    return NULL;
}

static struct server_port *port_in(const struct server *s, const char *id)
{
    for (size_t i = 0; i < s->ports.n; i++) {
        struct server_port *sp = LIST_AT(s->ports, struct server_port, i);
        if (strcmp(sp->port_id, id) == 0)
            return sp;
    }
    return NULL;
}

/* The volume is now in use by the server. */
static void put_attachment(struct txn *t, const struct volume *v,
                           const struct server *s,
                           const struct server_volume *sv, int64_t now)
{
    _autorecord_ struct volume *draft = record_copy(v);
    struct volume_attachment *a = NULL;
    for (size_t i = 0; i < draft->attachments.n && !a; i++) {
        a = LIST_AT(draft->attachments, struct volume_attachment, i);
        if (!a->server_id || strcmp(a->server_id, s->rec.id) != 0)
            a = NULL;
    }
    if (!a) {
        a = list_add(draft, &draft->attachments, sizeof(*a));
        a->server_id = rec_str(draft, s->rec.id);
        a->attachment_id = rec_str(draft, sv->attachment_id);
    }
    a->device = rec_str(draft, sv->device);
    a->node = rec_str(draft, s->node);
    if (!a->attached)
        a->attached = now;
    if (draft->status != VOLUME_EXTENDING && draft->status != VOLUME_UPLOADING)
        draft->status = VOLUME_IN_USE;
    draft->updated = now;
    txn_change_record(t, draft);
}

/* What follows for the volumes from what changed in the server's list. */
static void settle_volumes(struct server_run *run, struct txn *t,
                           const struct server *draft, int64_t now)
{
    const struct server *was = run->view.server;
    for (size_t i = 0; i < was->volumes.n; i++) {
        const struct server_volume *old =
            LIST_AT(was->volumes, struct server_volume, i);
        const struct server_volume *sv = volume_in(draft, old->volume_id);
        const struct volume *v =
            snap_get(run->snap, &kind_volume, old->volume_id);
        if (v && !sv) {
            disk_keys_take_one(run->h, v, was, run->node);
            volume_release(t, v, was->rec.id, false, now);
        } else if (v && sv->state == ATTACH_DONE && old->state != ATTACH_DONE)
            put_attachment(t, v, draft, sv, now);
    }
}

static bool settle_ports(struct server_run *run, struct txn *t,
                         const struct server *draft, int64_t now)
{
    const struct port *gone[DOMAIN_NICS_MAX];
    const struct server *was = run->view.server;
    size_t n = 0;
    for (size_t i = 0; i < was->ports.n; i++) {
        const struct server_port *old =
            LIST_AT(was->ports, struct server_port, i);
        const struct port *p = snap_get(run->snap, &kind_port, old->port_id);
        if (!p || port_in(draft, old->port_id))
            continue;
        if (old->delete_on_termination && n < ARRAY_SIZE(gone))
            gone[n++] = p;
        else
            port_unbind(t, p, now);
    }
    return ports_release(t, run->snap, gone, n, now, run->err);
}

/* Writes a changed server and what follows from the change. */
static enum reconcile_verdict put_server_in(struct server_run *run,
                                            struct txn *t,
                                            const struct server *draft,
                                            int64_t now)
{
    _autorecord_ struct server *next = record_copy(draft);
    if (draft->vm_state == VM_ACTIVE) /* what it was shelved as */
        shelve_drop_image(t, run->snap, next, now);
    txn_change_record(t, next);
    settle_volumes(run, t, draft, now);
    if (!settle_ports(run, t, draft, now))
        return RECONCILE_RETRY;
    return commit(run, t);
}

static enum reconcile_verdict
put_server(struct server_run *run, const struct server *draft, int64_t now)
{
    _autotxn_ struct txn t = TXN_INIT;
    return put_server_in(run, &t, draft, now);
}

/* ---- steps that write -------------------------------------------------- */

enum reconcile_verdict server_run_record(struct server_run *run)
{
    int64_t now = wall(run);
    _autorecord_ struct server *draft = record_copy(run->view.server);
    server_observe(draft, &run->view, now);
    enum reconcile_verdict verdict = put_server(run, draft, now);
    if (!domain_active(&run->view.domain))
        disk_keys_take(run->h, run->snap, run->view.server, run->node);
    if (verdict == RECONCILE_DONE &&
        draft->vm_state != run->view.server->vm_state)
        log_info(LOG_NAME, "server %s: %s -> %s", draft->rec.id,
                 vm_state_names[run->view.server->vm_state],
                 vm_state_names[draft->vm_state]);
    return verdict;
}

enum reconcile_verdict server_run_fail(struct server_run *run, const char *text)
{
    int64_t now = wall(run);
    _autorecord_ struct server *draft = record_copy(run->view.server);
    draft->vm_state = VM_ERROR;
    draft->task_state = TASK_NONE;
    draft->reboots_done = draft->reboot;
    draft->fault = rec_str(draft, text);
    draft->fault_code = FAULT_STATUS;
    draft->fault_at = draft->updated = now;
    log_warn(LOG_NAME, "server %s: %s", draft->rec.id, text);
    if (!run->view.move)
        return put_server(run, draft, now);
    _autotxn_ struct txn t = TXN_INIT;
    _autorecord_ struct migration *m = record_copy(run->view.move);
    if (!resize_broken(&t, run->snap, m, draft, text, now, run->err))
        return RECONCILE_RETRY;
    txn_change_record(&t, m);
    return put_server_in(run, &t, draft, now);
}

enum reconcile_verdict server_run_set_volume(struct server_run *run, size_t i,
                                             int state)
{
    _autorecord_ struct server *draft = record_copy(run->view.server);
    LIST_AT(draft->volumes, struct server_volume, i)->state = state;
    return put_server(run, draft, wall(run));
}

enum reconcile_verdict server_run_set_port(struct server_run *run, size_t i,
                                           int state)
{
    _autorecord_ struct server *draft = record_copy(run->view.server);
    LIST_AT(draft->ports, struct server_port, i)->state = state;
    return put_server(run, draft, wall(run));
}

enum reconcile_verdict server_run_extended(struct server_run *run, size_t i,
                                           bool ok)
{
    const struct volume *v = run->view.volumes[i];
    const struct amount less = { "gigabytes", v->real_size_gb - v->size_gb };
    _autorecord_ struct volume *draft = record_copy(v);
    _autotxn_ struct txn t = TXN_INIT;
    draft->status = ok ? VOLUME_IN_USE : VOLUME_ERROR_EXTENDING;
    if (ok)
        draft->real_size_gb = draft->size_gb;
    else
        draft->size_gb = draft->real_size_gb;
    draft->updated = wall(run);
    txn_change_record(&t, draft);
    if (!ok && !quota_charge(&t, run->snap, "volume", v->project_id, &less, 1,
                             run->err))
        return RECONCILE_RETRY;
    return commit(run, &t);
}

enum reconcile_verdict server_run_release(struct server_run *run)
{
    const struct server *s = run->view.server;
    _autotxn_ struct txn t = TXN_INIT;
    if (!run->h->ops->undefine(run->h, s->rec.id, run->err) ||
        !server_release(&t, run->snap, s, wall(run), run->err))
        return RECONCILE_RETRY;
    disk_keys_take(run->h, run->snap, s, run->node);
    enum reconcile_verdict verdict = commit(run, &t);
    if (verdict == RECONCILE_DONE)
        log_info(LOG_NAME, "server %s: deleted", s->rec.id);
    return verdict;
}

enum reconcile_verdict server_run_drop_disk(struct server_run *run, size_t i)
{
    _autotxn_ struct txn t = TXN_INIT;
    txn_expect_record(&t, run->view.server);
    disk_release(&t, run->view.others[i]);
    return commit(run, &t);
}

enum reconcile_verdict server_run_shelve(struct server_run *run,
                                         enum server_step step)
{
    int64_t now = wall(run);
    const struct server *s = run->view.server;
    _autotxn_ struct txn t = TXN_INIT;
    _autorecord_ struct server *draft = record_copy(s);
    if (step == STEP_SHELVE_IMAGE)
        shelve_image(&t, draft, run->view.disk, run->view.shelved_image, now);
    else if (step == STEP_SHELVE)
        shelve_keep(draft, now);
    else
        shelve_offload(&t, run->snap, draft, now);
    txn_change_record(&t, draft);
    return commit(run, &t);
}

static const char *zone_of(struct server_run *run, const char *node)
{
    const struct node *n = snap_get(run->snap, &kind_node, node);
    return n && n->availability_zone ? n->availability_zone : "nova";
}

/* Not at a node that has been removed meanwhile: it would be nowhere. */
static bool fill_arrival(struct server_run *run, struct txn *t,
                         struct migration *m, struct server *s, int64_t now)
{
    const struct node *dest = snap_get(run->snap, &kind_node, m->dest);
    if (!dest)
        return resize_failed(t, run->snap, m, s,
                             "the node that it was to go to is gone", now,
                             run->err);
    txn_expect_record(t, dest);
    resize_arrive(t, run->snap, m, s, zone_of(run, m->dest), now);
    return true;
}

static bool fill_move(struct server_run *run, enum server_step step,
                      struct txn *t, struct migration *m, struct server *s,
                      const char *text)
{
    int64_t now = wall(run);
    switch (step) {
    case STEP_MOVE_BEGIN:
        resize_begin(t, run->snap, m, s, now);
        return true;
    case STEP_MOVE_ARRIVE:
        return fill_arrival(run, t, m, s, now);
    case STEP_MOVE_FINISH:
        resize_finish(m, s, now);
        return !m->unattended ||
               resize_confirm(t, run->snap, m, s, now, run->err);
    case STEP_MOVE_REVERT:
        return resize_revert(t, run->snap, m, s, zone_of(run, m->source), now,
                             run->err);
    default:
        return resize_failed(t, run->snap, m, s, text, now, run->err);
    }
}

enum reconcile_verdict server_run_move(struct server_run *run,
                                       const struct server_plan *p)
{
    _autotxn_ struct txn t = TXN_INIT;
    _autorecord_ struct server *s = record_copy(run->view.server);
    _autorecord_ struct migration *m = record_copy(run->view.move);
    if (!fill_move(run, p->step, &t, m, s, p->text))
        return RECONCILE_RETRY;
    txn_change_record(&t, m);
    txn_change_record(&t, s);
    enum reconcile_verdict verdict = commit(run, &t);
    if (verdict == RECONCILE_DONE)
        log_info(LOG_NAME, "server %s: %s %s -> %s: %s", s->rec.id,
                 migration_type_names[m->type], m->source, m->dest,
                 migration_status_names[m->status]);
    return verdict;
}
