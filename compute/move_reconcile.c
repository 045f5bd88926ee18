#include "compute/move_reconcile.h"

#include "common/log.h"
#include "compute/config_drive.h"
#include "compute/disk_keys.h"
#include "compute/server_plan.h"
#include "compute/server_spec.h"
#include "model/pool.h"

#include <string.h>

#define LOG_NAME   "compute"
#define STALE_US   INT64_C(5000)
#define STEPS_MOST 8

static bool same(const char *a, const char *b)
{
    return a && b && strcmp(a, b) == 0;
}

/* ---- the view ---------------------------------------------------------------
 */

/* Of a move that libvirt carries out. */
static const struct migration *live_move(const struct snapshot *s,
                                         const struct server *server)
{
    const struct migration *m = server_migration(s, server);
    return m && m->type == MIGRATION_LIVE ? m : NULL;
}

bool move_concerns(const struct snapshot *s, const struct server *server,
                   const char *node)
{
    const struct migration *m = server_migration(s, server);
    bool part = m && (same(m->source, node) || same(m->dest, node));
    if (part && m->type == MIGRATION_LIVE)
        return true;
    /* Of other moves their own code knows what it leaves at both ends; what
     * an earlier one has left elsewhere nobody else does. */
    return server->node && !same(server->node, node) && !part;
}

static enum move_role role_of(const struct move_context *c,
                              const struct migration *m)
{
    bool here = same(c->server->node, c->node);
    if (here)
        return m->status == MIGRATION_POST_MIGRATING ? MOVE_ARRIVED
                                                     : MOVE_SOURCE;
    return m && same(m->dest, c->node) ? MOVE_DEST : MOVE_NO_ROLE;
}

/* The dest's disk of one of the server's, NULL: both ends see the same. */
static const struct disk *disk_there(const struct move_context *c,
                                     const struct migration *m,
                                     const char *disk_id)
{
    char id[STORE_KEY_MAX];
    return snap_get(c->snap, &kind_disk, migration_disk_id(id, m, disk_id));
}

static void look_at_disk(const struct disk *d, struct move_view *v)
{
    if (d && d->state == DISK_FAILED)
        v->disk_fault = d->fault ? d->fault : "a disk could not be made";
    if (d && (d->state != DISK_READY || !d->path))
        v->disks_ready = false;
}

static void look_at_disks(const struct move_context *c, struct move_view *v)
{
    struct local_disk more[LOCAL_DISKS_MAX];
    char root[DISK_ID_SIZE];
    size_t n = server_local_disks(c->server, more);
    v->disks_ready = true;
    look_at_disk(disk_there(c, v->migration, server_disk_id(c->server, root)),
                 v);
    for (size_t i = 0; i < n; i++)
        look_at_disk(disk_there(c, v->migration, more[i].id), v);
}

static bool look(struct move_context *c, struct move_view *v)
{
    struct hypervisor *h = c->hypervisor;
    const char *id = c->server->rec.id;
    *v = (struct move_view){ .server = c->server, .now = env_now(c->env) };
    v->migration = live_move(c->snap, c->server);
    v->role = v->migration ? role_of(c, v->migration) : MOVE_NO_ROLE;
    if (v->migration)
        look_at_disks(c, v);
    /* The job first: a domain that is there after it has ended has stayed. */
    if (v->role == MOVE_SOURCE && v->migration->status >= MIGRATION_PREPARING &&
        !h->ops->migrate_info(h, id, &v->info, c->err))
        return false;
    /* While it moves, questions about the guest may have to wait. */
    if (v->info.state == MIGRATE_RUNNING && !v->migration->force_complete)
        return true;
    return h->ops->info(h, id, &v->domain, c->err);
}

/* ---- commits ----------------------------------------------------------------
 */

static enum reconcile_verdict commit(struct move_context *c, struct txn *t)
{
    struct txn_result result;
    if (store_commit(c->store, t, &result)) {
        *c->revision = result.revision;
        return RECONCILE_DONE; /* the cache wakes us when it is there */
    }
    if (result.status == TXN_CONFLICT) {
        *c->delay_us = STALE_US;
        return RECONCILE_AGAIN;
    }
    error_copy(c->err, &result.err);
    return RECONCILE_RETRY;
}

static enum reconcile_verdict put(struct move_context *c,
                                  const struct migration *draft)
{
    _autotxn_ struct txn t = TXN_INIT;
    txn_change_record(&t, draft);
    return commit(c, &t);
}

static enum reconcile_verdict record_begun(struct move_context *c,
                                           const struct move_view *v)
{
    _autorecord_ struct migration *m = record_copy(v->migration);
    m->status = MIGRATION_RUNNING;
    m->updated = v->now;
    return put(c, m);
}

static void take_progress(struct migration *m, const struct migrate_info *i)
{
    m->memory_total = i->memory_total;
    m->memory_processed = i->memory_processed;
    m->memory_remaining = i->memory_remaining;
    m->disk_total = i->disk_total;
    m->disk_processed = i->disk_processed;
    m->disk_remaining = i->disk_remaining;
    m->downtime_ms = i->downtime_ms;
}

static enum reconcile_verdict record_progress(struct move_context *c,
                                              const struct move_view *v)
{
    struct error ignored;
    struct hypervisor *h = c->hypervisor;
    *c->delay_us = MOVE_LOOK_US;
    /* While disks are copied libvirt would let this call wait. */
    if (v->info.memory_total)
        h->ops->migrate_downtime(h, c->server->rec.id,
                                 move_pause_ms(v->info.elapsed_ms), &ignored);
    if (v->now - v->migration->updated < MOVE_LOOK_US)
        return RECONCILE_AGAIN;
    _autorecord_ struct migration *m = record_copy(v->migration);
    take_progress(m, &v->info);
    m->updated = v->now;
    enum reconcile_verdict verdict = put(c, m);
    *c->delay_us = MOVE_LOOK_US;
    return verdict == RECONCILE_DONE ? RECONCILE_AGAIN : verdict;
}

static enum reconcile_verdict record_arrival(struct move_context *c,
                                             const struct move_view *v)
{
    _autotxn_ struct txn t = TXN_INIT;
    _autorecord_ struct migration *m = record_copy(v->migration);
    _autorecord_ struct server *s = record_copy(c->server);
    migration_arrive(&t, c->snap, m, s, v->now);
    txn_change_record(&t, m);
    txn_change_record(&t, s);
    enum reconcile_verdict verdict = commit(c, &t);
    if (verdict != RECONCILE_DONE)
        return verdict;
    c->hypervisor->ops->migrate_forget(c->hypervisor, s->rec.id);
    log_info(LOG_NAME, "server %s: has moved to node %s", s->rec.id, m->dest);
    return verdict;
}

/* The end, one way or the other. */
static enum reconcile_verdict record_end(struct move_context *c,
                                         const struct move_view *v,
                                         enum migration_status status,
                                         const char *fault)
{
    _autotxn_ struct txn t = TXN_INIT;
    _autorecord_ struct migration *m = record_copy(v->migration);
    _autorecord_ struct server *s = record_copy(c->server);
    migration_end(&t, c->snap, m, s, status, fault, v->now);
    txn_change_record(&t, m);
    txn_change_record(&t, s);
    enum reconcile_verdict verdict = commit(c, &t);
    if (verdict != RECONCILE_DONE)
        return verdict;
    if (v->role == MOVE_SOURCE)
        c->hypervisor->ops->migrate_forget(c->hypervisor, s->rec.id);
    log_info(LOG_NAME, "server %s: move to node %s: %s%s%s", s->rec.id,
             m->dest ? m->dest : "?", migration_status_names[status],
             fault ? ": " : "", fault ? fault : "");
    return verdict;
}

/* ---- steps that act ---------------------------------------------------------
 */

static bool make_files(struct move_context *c, struct migrate_place *place)
{
    const struct server *s = c->server;
    struct hypervisor *h = c->hypervisor;
    struct arena arena = { 0 };
    struct buf drive = BUF_INIT(CONFIG_DRIVE_MAX);
    struct domain_spec *spec = server_spec(&arena, c->snap, s);
    bool ok =
        !s->config_drive || config_drive_write(c->snap, s, &drive, c->err);
    if (s->config_drive) {
        spec->config_drive = drive.data;
        spec->config_drive_len = drive.len;
    }
    ok = ok && disk_keys_give(h, c->keyring, c->snap, s, c->err) &&
         h->ops->migrate_prepare(h, spec, place, c->err);
    buf_free(&drive);
    arena_free(&arena);
    return ok;
}

/* What the guest will find here, for the source to know. */
static enum reconcile_verdict prepare(struct move_context *c,
                                      const struct move_view *v)
{
    struct migrate_place place = { 0 };
    if (!make_files(c, &place))
        return RECONCILE_RETRY;
    const struct node *n = snap_get(c->snap, &kind_node, c->node);
    _autorecord_ struct migration *m = record_copy(v->migration);
    m->arrival = (struct arrival){
        .address = rec_str(m, n ? n->address : NULL),
        .vnc_listen = rec_str(m, place.vnc_listen),
        .config_drive =
            *place.config_drive ? rec_str(m, place.config_drive) : NULL,
        .serial_log = rec_str(m, place.serial_log),
    };
    m->dest_ready = true;
    m->updated = v->now;
    return put(c, m);
}

/* The record of a disk by the serial that server_spec.h gives it; NULL: it is
 * a volume. */
static const char *disk_of_serial(const struct server *s, const char *serial,
                                  char out[DISK_ID_SIZE])
{
    struct local_disk more[LOCAL_DISKS_MAX];
    size_t n = server_local_disks(s, more);
    if (!serial)
        return server_disk_id(s, out);
    for (size_t i = 0; i < n; i++)
        if (strcmp(more[i].name, serial) == 0)
            return memcpy(out, more[i].id, DISK_ID_SIZE);
    return NULL;
}

/* Each disk of the guest, as it will be there. */
static void fill_disks(const struct move_context *c, const struct migration *m,
                       const struct domain_spec *spec, struct migrate_spec *out)
{
    char id[DISK_ID_SIZE];
    for (size_t i = 0; i < spec->n_disks; i++) {
        const struct disk_spec *d = &spec->disks[i];
        const char *local = disk_of_serial(c->server, d->serial, id);
        const struct disk *there = local ? disk_there(c, m, local) : NULL;
        out->disks[out->n_disks++] = (struct migrate_disk){
            .device = d->device,
            .path = there ? there->path : d->path,
            .copy = there != NULL,
        };
    }
}

static bool perform(struct move_context *c, const struct move_view *v)
{
    const struct migration *m = v->migration;
    struct arena arena = { 0 };
    struct migrate_spec to = {
        .address = m->arrival.address,
        .vnc_listen = m->arrival.vnc_listen,
        .config_drive = m->arrival.config_drive,
        .serial_log = m->arrival.serial_log,
        .place = server_place_spec(c->snap, c->server, m->dest, &m->cells),
    };
    const struct domain_spec *spec = server_spec(&arena, c->snap, c->server);
    struct hypervisor *h = c->hypervisor;
    if (!to.address) {
        arena_free(&arena);
        return error_set(c->err, ERR_INVALID, "node %s has no address",
                         m->dest);
    }
    fill_disks(c, m, spec, &to);
    h->ops->migrate_forget(h, c->server->rec.id);
    bool ok = h->ops->migrate_out(h, c->server->rec.id, &to, c->err);
    arena_free(&arena);
    if (ok)
        log_info(LOG_NAME, "server %s: moves to node %s", c->server->rec.id,
                 m->dest);
    return ok;
}

/* What cannot even begin, for a reason that will not pass, has failed. */
static enum reconcile_verdict begin(struct move_context *c,
                                    const struct move_view *v)
{
    if (perform(c, v))
        return record_begun(c, v);
    if (c->err->code == ERR_UNAVAILABLE || c->err->code == ERR_BUSY ||
        c->err->code == ERR_TIMEOUT)
        return RECONCILE_RETRY;
    return record_end(c, v, MIGRATION_ERROR, c->err->text);
}

static bool clear(struct move_context *c, const struct domain_info *domain)
{
    struct hypervisor *h = c->hypervisor;
    const char *id = c->server->rec.id;
    if (domain->state != DOMAIN_ABSENT)
        log_info(LOG_NAME, "server %s: is on node %s; what is here goes", id,
                 c->server->node ? c->server->node : "?");
    if (!h->ops->destroy(h, id, c->err) || !h->ops->undefine(h, id, c->err))
        return false;
    disk_keys_take(h, c->snap, c->server, c->node);
    return true;
}

static enum reconcile_verdict wait(struct move_context *c, int64_t after_us)
{
    *c->delay_us = after_us;
    return after_us ? RECONCILE_AGAIN : RECONCILE_DONE;
}

static enum reconcile_verdict looked(bool ok, struct move_context *c)
{
    *c->delay_us = 0;
    return ok ? RECONCILE_AGAIN : RECONCILE_RETRY;
}

static enum reconcile_verdict carry_out(struct move_context *c,
                                        const struct move_view *v,
                                        const struct move_plan *p)
{
    struct hypervisor *h = c->hypervisor;
    const char *id = c->server->rec.id;
    switch (p->step) {
    case MOVE_PREPARE:
        return prepare(c, v);
    case MOVE_PERFORM:
        return begin(c, v);
    case MOVE_BEGUN:
        return record_begun(c, v);
    case MOVE_PROGRESS:
        return record_progress(c, v);
    case MOVE_PUSH:
        return looked(h->ops->suspend(h, id, c->err), c);
    case MOVE_ABORT:
        return h->ops->migrate_abort(h, id, c->err) ? wait(c, MOVE_LOOK_US)
                                                    : RECONCILE_RETRY;
    case MOVE_ARRIVE:
        return record_arrival(c, v);
    case MOVE_RESUME:
        return looked(h->ops->resume(h, id, c->err), c);
    case MOVE_COMPLETE:
        return record_end(c, v, MIGRATION_COMPLETED, NULL);
    case MOVE_CANCEL:
        return record_end(c, v, MIGRATION_CANCELLED, NULL);
    case MOVE_FAIL:
        return record_end(c, v, MIGRATION_ERROR, p->text);
    default:
        return wait(c, p->after_us);
    }
}

bool move_reconcile(struct move_context *c, enum reconcile_verdict *verdict)
{
    struct move_view v;
    *verdict = RECONCILE_RETRY;
    if (!look(c, &v))
        return true;
    struct move_plan p = move_plan(&v);
    if (p.step == MOVE_CLEAR) {
        bool ok = clear(c, &v.domain);
        *verdict = !ok                      ? RECONCILE_RETRY
                   : v.role == MOVE_NO_ROLE ? RECONCILE_DONE
                                            : looked(true, c);
        return true;
    }
    if (p.step == MOVE_NORMAL)
        return false;
    *verdict = carry_out(c, &v, &p);
    if (*verdict == RECONCILE_RETRY)
        error_prefix(c->err, "could not %s", move_step_names[p.step]);
    return true;
}
