#include "engine/scheduler.h"

#include "common/alloc.h"
#include "common/log.h"
#include "engine/rescue.h"
#include "model/migration.h"
#include "model/network.h"
#include "model/release.h"
#include "model/resize.h"
#include "model/shelve.h"

#include <stdlib.h>
#include <string.h>

#define LOG_NAME    "scheduler"
#define CONFLICT_US INT64_C(5000)
#define SILENT_US   (2 * SECOND_US) /* between looks at a silent pool */

/* Servers of one transaction, and how much of it they may fill: there is
 * room for one more with many ports. */
#define BATCH       64
#define BATCH_OPS   (STORE_OPS_MAX / 2)
#define BATCH_BYTES (STORE_TXN_MAX / 2)

/* Servers of one request: more than the API lets through. */
#define TOGETHER      64
#define REASONS_BYTES 16384 /* more than those of one server take */

struct scheduler {
    struct scheduler_config c;
    struct placer *placer;
    struct reconciler *queue;
    int64_t started; /* monotonic */
    bool alone;      /* what was put together did not go in: one at a time */
};

/* One decision, and those that are committed with it. */
struct deciding {
    struct scheduler *s;
    struct snapshot *snap;
    struct txn txn;
    int64_t now, *delay_us;
    struct error *err;
    char *others[BATCH]; /* ids of servers that wait as well */
    unsigned n_others;
};

/* ---- commits ------------------------------------------------------------ */

static enum reconcile_verdict commit(struct deciding *d)
{
    struct txn_result result;
    if (store_commit(d->s->c.store, &d->txn, &result))
        return RECONCILE_DONE;
    if (result.status == TXN_CONFLICT) {
        *d->delay_us = CONFLICT_US;
        return RECONCILE_AGAIN;
    }
    error_copy(d->err, &result.err);
    return RECONCILE_RETRY;
}

/* ---- a server ------------------------------------------------------------ */

static void place_volumes(struct deciding *d, const struct server *server,
                          const char *node)
{
    for (size_t i = 0; i < server->volumes.n; i++) {
        const struct volume *v = snap_get(
            d->snap, &kind_volume,
            LIST_AT(server->volumes, struct server_volume, i)->volume_id);
        if (!v || v->node || v->status != VOLUME_CREATING)
            continue; /* it is there, or wherever its server is */
        _autorecord_ struct volume *draft = record_copy(v);
        draft->node = rec_str(draft, node);
        txn_change_record(&d->txn, draft);
    }
}

static void place_ports(struct deciding *d, const struct server *server,
                        const char *node)
{
    struct snap_iter it =
        snap_by(d->snap, &kind_port, "device_id", server->rec.id);
    for (const struct port *p; (p = snap_next(&it));) {
        _autorecord_ struct port *draft = record_copy(p);
        draft->node = rec_str(draft, node);
        txn_change_record(&d->txn, draft);
    }
}

static void place_disks(struct deciding *d, const struct server *server,
                        const char *node)
{
    struct snap_iter it =
        snap_by(d->snap, &kind_disk, "server_id", server->rec.id);
    for (const struct disk *disk; (disk = snap_next(&it));) {
        if (disk->node)
            continue;
        _autorecord_ struct disk *draft = record_copy(disk);
        draft->node = rec_str(draft, node);
        txn_change_record(&d->txn, draft);
    }
}

/* False: what it was to have of the node is not there any more. */
static bool place(struct deciding *d, const struct server *server,
                  const char *node, const struct placing *at)
{
    _autorecord_ struct server *draft = record_copy(server);
    if (!placer_write(d->s->placer, at, draft))
        return false;
    draft->task_state = TASK_SPAWNING;
    draft->updated = d->now;
    txn_expect_record(&d->txn, snap_get(d->snap, &kind_node, node));
    txn_change_record(&d->txn, draft);
    place_disks(d, server, node);
    place_volumes(d, server, node);
    place_ports(d, server, node);
    return true;
}

static void fail(struct deciding *d, const struct server *server,
                 const char *why)
{
    _autorecord_ struct server *draft = record_copy(server);
    if (server->vm_state == VM_SHELVED_OFFLOADED)
        unshelve_failed(&d->txn, d->snap, draft, d->now);
    else
        draft->vm_state = VM_ERROR;
    draft->task_state = TASK_NONE;
    draft->fault = rec_strf(draft, "No valid host was found. %s.", why);
    draft->fault_code = 500;
    draft->fault_at = draft->updated = d->now;
    txn_change_record(&d->txn, draft);
    log_limited(LOG_WARN, LOG_NAME, "server %s: %s", server->rec.id, why);
}

/* Nodes that have not had the time to say that they live are waited for. */
static bool worth_waiting(const struct scheduler *s, const struct error *why)
{
    return why->code == ERR_UNAVAILABLE &&
           env_mono(s->c.env) - s->started < PLACEMENT_ALIVE_US;
}

/* Its id is the server's; an earlier decision about it is replaced. */
static struct decision *new_reasons(struct deciding *d,
                                    const struct server *server)
{
    const struct decision *was =
        snap_get(d->snap, &kind_decision, server->rec.id);
    struct decision *why = record_new(&kind_decision, server->rec.id);
    if (was) {
        why->rec.mod_rev = was->rec.mod_rev;
        why->rec.create_rev = was->rec.create_rev;
    }
    return why;
}

/* ---- several at once ----------------------------------------------------- */

static bool collect(void *arg, const char *key)
{
    struct deciding *d = arg;
    if (strncmp(key, "server/", 7) == 0)
        d->others[d->n_others++] = xstrdup(strchr(key, '/') + 1);
    return d->n_others < BATCH;
}

/* Those whose place may hang on another server of the batch by more than
 * room and group have their turn when that one is in its place. */
static bool may_join(const struct deciding *d, const struct server *s)
{
    if (!s || !server_awaits_node(s))
        return false;
    return !s->volumes.n && !s->min_count &&
           (!s->scheduler_hints || !strstr(s->scheduler_hints, "_host")) &&
           d->txn.n_compares + d->txn.n_writes < BATCH_OPS &&
           d->txn.bytes < BATCH_BYTES;
}

/* False: there is no place for it, which is said when it has its turn. */
static bool join(struct deciding *d, const struct server *server)
{
    const char *node;
    struct error err = { 0 };
    _autorecord_ struct decision *why = new_reasons(d, server);
    if (!placer_server(d->s->placer, d->snap, server, d->now, &node, why,
                       &err) ||
        !place(d, server, node, placer_last(d->s->placer)))
        return false;
    txn_change_record(&d->txn, why);
    placer_hold(d->s->placer);
    return true;
}

/* The first is placed.  Others that wait are placed as if it were there
 * already, and all are committed together. */
static enum reconcile_verdict commit_with_others(struct deciding *d)
{
    struct scheduler *s = d->s;
    bool more = !s->alone;
    placer_hold(s->placer);
    if (more)
        reconciler_look(s->queue, collect, d);
    for (unsigned i = 0; i < d->n_others; i++) {
        const struct server *other =
            snap_get(d->snap, &kind_server, d->others[i]);
        if (more && may_join(d, other))
            more = join(d, other);
        free(d->others[i]);
    }
    placer_forget(s->placer);
    enum reconcile_verdict verdict = commit(d);
    s->alone = verdict != RECONCILE_DONE;
    return verdict;
}

/* ---- those of one request ------------------------------------------------ */

/* What is left of the request `first` is of. */
struct together {
    struct placed of[TOGETHER];
    uint32_t n;
    int64_t least; /* of them that must find a place */
};

static void gather(struct deciding *d, const struct server *first,
                   struct together *t)
{
    struct snap_iter it =
        snap_by(d->snap, &kind_server, "reservation_id", first->reservation_id);
    *t = (struct together){ .least = first->min_count };
    for (const struct server *s; (s = snap_next(&it));) {
        t->least -= s->node != NULL;
        if (server_awaits_node(s) && t->n < TOGETHER)
            t->of[t->n++] =
                (struct placed){ .server = s, .why = new_reasons(d, s) };
    }
    t->least = t->least < 0 ? 0 : t->least > t->n ? t->n : t->least;
}

static bool place_together(struct deciding *d, const struct together *t)
{
    for (uint32_t i = 0; i < t->n; i++) {
        const struct placed *p = &t->of[i];
        if (!p->node)
            fail(d, p->server, p->err.text);
        else if (!place(d, p->server, p->node, &p->at))
            return false;
    }
    for (uint32_t i = 0; i < t->n; i++)
        if (d->txn.bytes + REASONS_BYTES < STORE_TXN_MAX)
            txn_change_record(&d->txn, t->of[i].why);
    return true;
}

static bool any_worth_waiting(const struct scheduler *s,
                              const struct together *t)
{
    for (uint32_t i = 0; i < t->n; i++)
        if (!t->of[i].node && worth_waiting(s, &t->of[i].err))
            return true;
    return false;
}

static enum reconcile_verdict decide_together(struct deciding *d,
                                              const struct server *first)
{
    struct placer *placer = d->s->placer;
    _autofree_ struct together *t = xcalloc(1, sizeof(*t));
    enum reconcile_verdict verdict = RECONCILE_AGAIN;
    gather(d, first, t);
    placer_servers(placer, d->snap, t->of, t->n, (uint32_t)t->least, d->now);
    placement_guard(&d->txn, d->snap);
    *d->delay_us = SILENT_US;
    if (!any_worth_waiting(d->s, t) && place_together(d, t))
        verdict = commit(d);
    placer_forget(placer);
    for (uint32_t i = 0; i < t->n; i++)
        record_unref(t->of[i].why);
    return verdict;
}

/* ---- a decision ---------------------------------------------------------- */

static enum reconcile_verdict decide_server(struct deciding *d,
                                            const struct server *server)
{
    const char *node;
    struct error err = { 0 };
    if (server->min_count)
        return decide_together(d, server);
    _autorecord_ struct decision *why = new_reasons(d, server);
    bool placed =
        placer_server(d->s->placer, d->snap, server, d->now, &node, why, &err);
    if (!placed && worth_waiting(d->s, &err)) {
        *d->delay_us = SILENT_US;
        return RECONCILE_AGAIN;
    }
    txn_change_record(&d->txn, why);
    if (placed) {
        placement_guard(&d->txn, d->snap);
        if (place(d, server, node, placer_last(d->s->placer)))
            return commit_with_others(d);
        placer_forget(d->s->placer);
        *d->delay_us = SILENT_US; /* the node says something else by then */
        return RECONCILE_AGAIN;
    }
    fail(d, server, err.text);
    return commit(d);
}

/* Nothing was ever made for it: what it holds is given back. */
static enum reconcile_verdict release(struct deciding *d,
                                      const struct server *server)
{
    if (!server_release(&d->txn, d->snap, server, d->now, d->err))
        return RECONCILE_RETRY;
    return commit(d);
}

static enum reconcile_verdict do_server(struct deciding *d, const char *id)
{
    const struct server *server = snap_get(d->snap, &kind_server, id);
    if (!server || server->node)
        return RECONCILE_DONE;
    if (server->goal == GOAL_DELETED)
        return release(d, server);
    return server_awaits_node(server) ? decide_server(d, server)
                                      : RECONCILE_DONE;
}

/* ---- a server that moves --------------------------------------------------
 */

static enum reconcile_verdict end_move(struct deciding *d,
                                       struct migration *draft,
                                       const struct server *server,
                                       enum migration_status status,
                                       const char *why)
{
    _autorecord_ struct server *s = server ? record_copy(server) : NULL;
    _autofree_ char *fault =
        why ? xasprintf("No valid host was found. %s.", why) : NULL;
    if (s && migration_is_cold(draft)) {
        if (!resize_failed(&d->txn, d->snap, draft, s, fault, d->now, d->err))
            return RECONCILE_RETRY;
    } else
        migration_end(&d->txn, d->snap, draft, s, status, fault, d->now);
    txn_change_record(&d->txn, draft);
    if (s)
        txn_change_record(&d->txn, s);
    return commit(d);
}

static enum reconcile_verdict send(struct deciding *d, struct migration *draft,
                                   const struct server *server,
                                   const char *node, const struct decision *why)
{
    const struct node *n = snap_get(d->snap, &kind_node, node);
    _autorecord_ struct server *there = record_copy(server);
    server_set_flavor(there, &draft->new_flavor);
    if (!placer_write(d->s->placer, placer_last(d->s->placer), there)) {
        placer_forget(d->s->placer);
        *d->delay_us = SILENT_US;
        return RECONCILE_AGAIN;
    }
    placer_forget(d->s->placer);
    migration_swap_places(draft, there);
    placement_guard(&d->txn, d->snap);
    draft->dest = rec_str(draft, node);
    draft->dest_zone = rec_str(draft, placement_zone(d->snap, n));
    migration_place(&d->txn, d->snap, draft, server, d->now);
    txn_change_record(&d->txn, draft);
    txn_change_record(&d->txn, why);
    txn_expect_record(&d->txn, server);
    txn_expect_record(&d->txn, n);
    return commit(d);
}

/* The recovery may have been quicker, or the node is back. */
static bool may_evacuate(struct deciding *d, const struct server *server)
{
    const struct node *n = snap_get(d->snap, &kind_node, server->node);
    if (!n || n->health != HEALTH_FENCED)
        return false;
    txn_expect_record(&d->txn, n);
    return true;
}

/* Somebody has asked for it by hand (nova's evacuate). */
static enum reconcile_verdict evacuate_to(struct deciding *d,
                                          struct migration *draft,
                                          const struct server *server,
                                          const char *node,
                                          const struct decision *why)
{
    _autorecord_ struct server *there = record_copy(server);
    bool fits = placer_write(d->s->placer, placer_last(d->s->placer), there);
    placer_forget(d->s->placer);
    if (!may_evacuate(d, server))
        return end_move(d, draft, server, MIGRATION_FAILED,
                        "The node of the server has not failed");
    if (!fits) {
        *d->delay_us = SILENT_US;
        return RECONCILE_AGAIN;
    }
    placement_guard(&d->txn, d->snap);
    txn_expect_record(&d->txn, snap_get(d->snap, &kind_node, node));
    txn_change_record(&d->txn, why);
    rescue_evacuate(&d->txn, d->snap, draft, server, node, there, d->now);
    return commit(d);
}

static enum reconcile_verdict do_move(struct deciding *d, const char *id)
{
    const struct migration *m = snap_get(d->snap, &kind_migration, id);
    const char *node;
    struct error err = { 0 };
    if (!m || m->status != MIGRATION_QUEUED)
        return RECONCILE_DONE;
    const struct server *server = snap_get(d->snap, &kind_server, m->server_id);
    _autorecord_ struct migration *draft = record_copy(m);
    if (!server || !server->migration_id ||
        strcmp(server->migration_id, id) != 0)
        return end_move(d, draft, NULL, MIGRATION_ERROR, NULL);
    if (m->abort || server->goal == GOAL_DELETED)
        return end_move(d, draft, server, MIGRATION_CANCELLED, NULL);
    _autorecord_ struct decision *why = new_reasons(d, server);
    if (placer_move(d->s->placer, d->snap, m, server, d->now, &node, why, &err))
        return m->type == MIGRATION_EVACUATION
                   ? evacuate_to(d, draft, server, node, why)
                   : send(d, draft, server, node, why);
    if (worth_waiting(d->s, &err)) {
        *d->delay_us = SILENT_US;
        return RECONCILE_AGAIN;
    }
    log_limited(LOG_WARN, LOG_NAME, "server %s cannot move: %s", server->rec.id,
                err.text);
    return end_move(d, draft, server, MIGRATION_ERROR, err.text);
}

/* ---- a volume ------------------------------------------------------------ */

/* One whose server has yet to be placed goes where that goes. */
static bool waits_for_server(struct deciding *d, const struct volume *v)
{
    struct snap_iter it =
        snap_by(d->snap, &kind_server, "volumes.volume_id", v->rec.id);
    for (const struct server *s; (s = snap_next(&it));)
        if (server_awaits_node(s))
            return true;
    return false;
}

/* ... or, added to one that has its node, to that. */
static const char *node_of_server(struct deciding *d, const struct volume *v)
{
    struct snap_iter it =
        snap_by(d->snap, &kind_server, "volumes.volume_id", v->rec.id);
    for (const struct server *s; (s = snap_next(&it));)
        if (s->node)
            return s->node;
    return NULL;
}

static enum reconcile_verdict
place_volume(struct deciding *d, const struct volume *v, const char *node)
{
    _autorecord_ struct volume *draft = record_copy(v);
    draft->node = rec_str(draft, node);
    draft->updated = d->now;
    placement_guard(&d->txn, d->snap);
    txn_change_record(&d->txn, draft);
    return commit(d);
}

static enum reconcile_verdict
fail_volume(struct deciding *d, const struct volume *v, const char *why)
{
    _autorecord_ struct volume *draft = record_copy(v);
    draft->status = VOLUME_ERROR;
    draft->fault = rec_strf(draft, "No valid backend was found. %s.", why);
    draft->updated = d->now;
    txn_change_record(&d->txn, draft);
    return commit(d);
}

static enum reconcile_verdict do_volume(struct deciding *d, const char *id)
{
    const struct volume *v = snap_get(d->snap, &kind_volume, id);
    struct error why = { 0 };
    if (!v || v->node || v->status != VOLUME_CREATING || waits_for_server(d, v))
        return RECONCILE_DONE;
    const char *node = node_of_server(d, v);
    if (node || placer_volume(d->s->placer, d->snap, v, d->now, &node, &why))
        return place_volume(d, v, node);
    if (worth_waiting(d->s, &why)) {
        *d->delay_us = SILENT_US;
        return RECONCILE_AGAIN;
    }
    log_limited(LOG_WARN, LOG_NAME, "volume %s: %s", id, why.text);
    return fail_volume(d, v, why.text);
}

/* ---- the reconciler ------------------------------------------------------ */

static enum reconcile_verdict reconcile(void *self, const char *key,
                                        int64_t *delay_us, struct error *err)
{
    struct scheduler *s = self;
    const char *id = strchr(key, '/') + 1;
    _autosnap_ struct snapshot *snap = cache_snapshot(s->c.cache);
    struct deciding d = {
        .s = s,
        .snap = snap,
        .now = env_now(s->c.env),
        .delay_us = delay_us,
        .err = err,
    };
    if (s->c.guard && !s->c.guard(s->c.guard_arg, &d.txn))
        return RECONCILE_DONE; /* who leads next looks at everything */
    enum reconcile_verdict verdict =
        strncmp(key, "server/", 7) == 0       ? do_server(&d, id)
        : strncmp(key, "migration/", 10) == 0 ? do_move(&d, id)
                                              : do_volume(&d, id);
    txn_reset(&d.txn);
    return verdict;
}

static void add(struct scheduler *s, const char *kind, const char *id)
{
    char key[STORE_KEY_MAX];
    snprintf(key, sizeof(key), "%s/%s", kind, id);
    reconciler_add(s->queue, key);
}

/* The volumes that waited for a server that now is placed, failed or gone. */
static void add_volumes(struct scheduler *s, const struct server *server)
{
    for (size_t i = 0; i < server->volumes.n; i++)
        add(s, "volume",
            LIST_AT(server->volumes, struct server_volume, i)->volume_id);
}

static void on_record(void *arg, const struct record *old,
                      const struct record *now)
{
    struct scheduler *s = arg;
    const struct record *any = now ? now : old;
    if (any->kind == &kind_server) {
        if (now && !((const struct server *)now)->node)
            add(s, "server", now->id);
        add_volumes(s, (const struct server *)any);
    } else if (any->kind == &kind_migration) {
        if (now && ((const struct migration *)now)->status == MIGRATION_QUEUED)
            add(s, "migration", now->id);
    } else if (any->kind == &kind_volume) {
        const struct volume *v = (const struct volume *)now;
        if (v && !v->node && v->status == VOLUME_CREATING)
            add(s, "volume", v->rec.id);
    }
}

/* ---- public ---------------------------------------------------------------
 */

struct scheduler *scheduler_new(const struct scheduler_config *config)
{
    struct scheduler *s = xcalloc(1, sizeof(*s));
    s->c = *config;
    s->placer = placer_new();
    s->started = env_mono(config->env);
    s->queue =
        reconciler_new(LOG_NAME, reconcile, s, config->env, config->workers);
    cache_listen(config->cache, on_record, s);
    return s;
}

void scheduler_start(struct scheduler *s)
{
    _autosnap_ struct snapshot *snap = cache_snapshot(s->c.cache);
    struct snap_iter it = snap_all(snap, &kind_server);
    for (const struct record *r; (r = snap_next(&it));)
        on_record(s, NULL, r);
    it = snap_by(snap, &kind_migration, "status", "queued");
    for (const struct record *r; (r = snap_next(&it));)
        on_record(s, NULL, r);
    it = snap_all(snap, &kind_volume);
    for (const struct record *r; (r = snap_next(&it));)
        on_record(s, NULL, r);
}

struct reconciler *scheduler_queue(struct scheduler *s)
{
    return s->queue;
}

void scheduler_free(struct scheduler *s)
{
    if (!s)
        return;
    reconciler_stop(s->queue);
    placer_free(s->placer);
    free(s);
}
