#include "look.h"

#include "common/alloc.h"
#include "common/cleanup.h"
#include "core.h"
#include "engine/evacuate.h"
#include "engine/plan.h"
#include "engine/rebalancer.h"
#include "engine/rescue.h"
#include "guests.h"
#include "model/compute.h"
#include "model/migration.h"
#include "model/pool.h"
#include "model/volume.h"
#include "sim_node.h"

#define NEWS 200 /* on their way while nodes say that they live */

/* ---- nodes -----------------------------------------------------------------
 */

/* One that is in maintenance, or drained, may be silent without guests. */
static void check_lost(struct look *l, const struct sim_node *n,
                       const struct node *r)
{
    bool refused = n->fenced || !world_has_ceph(l->w);
    if (r->health == HEALTH_FENCED ? !refused : !r->maintenance && !r->draining)
        world_broken(l->w, "recovery: %s is lost, and is %s, refused: %d",
                     n->name, node_health_names[r->health], n->fenced);
}

static void check_well(struct look *l, const struct sim_node *n,
                       const struct node *r)
{
    if (r->health != HEALTH_UP)
        world_broken(l->w, "quiet: %s is %s, its fence %lld, cleaned %lld",
                     n->name, node_health_names[r->health], (long long)r->fence,
                     (long long)r->cleaned);
    if (n->fenced)
        world_broken(l->w, "quiet: %s is still fenced", n->name);
    if (n->core && core_revision(n->core) + NEWS < snapshot_revision(l->s))
        world_broken(l->w, "quiet: %s knows revision %lld of %lld", n->name,
                     (long long)core_revision(n->core),
                     (long long)snapshot_revision(l->s));
}

static void check_nodes(struct look *l)
{
    for (unsigned i = 0; i < l->w->n_nodes; i++) {
        const struct sim_node *n = &l->w->nodes[i];
        const struct node *r = snap_get(l->s, &kind_node, n->name);
        if (r)
            (n->lost ? check_lost : check_well)(l, n, r);
    }
}

/* ---- who waits for a node that is lost -------------------------------------
 */

/* Could one of them start elsewhere?  Then it should have. */
static void tell_evacuee(struct look *l, const struct evacuee *e)
{
    world_event(l->w, "server %s of %s: %s", e->server->rec.id, e->server->node,
                e->node ? e->node : e->why.text);
}

static void check_room(struct look *l, struct view *v, struct evacuee *all,
                       size_t n)
{
    struct chooser *c = chooser_new(view_fleet(v));
    evacuate(v, c, all, n);
    for (size_t i = 0; i < n; i++) {
        tell_evacuee(l, &all[i]);
        if (all[i].node)
            world_broken(l->w,
                         "quiet: server %s waits for %s, which has failed, "
                         "and has room on %s",
                         all[i].server->rec.id, all[i].server->node,
                         all[i].node);
    }
    evacuees_drop(all, n);
    chooser_free(c);
}

bool look_is_bound(struct look *l, const struct server *s)
{
    const struct sim_node *n = s ? sim_node_named(l->w, s->node) : NULL;
    if (!n || !n->lost)
        return false;
    struct recovery_server look = rescue_look(l->s, s, world_has_ceph(l->w));
    return recovery_fate(&look) != FATE_MOVES;
}

/* Whose own disk it lies on; NULL: on nobody's. */
static const char *home_of(const struct look *l, const struct record *r)
{
    const struct volume *v = (const void *)r;
    const struct volume_snapshot *sn = (const void *)r;
    if (r->kind == &kind_volume)
        return v->local ? v->node : NULL;
    if (r->kind == &kind_snapshot)
        return sn->local ? sn->node : NULL;
    if (r->kind == &kind_disk)
        return l->w->local ? ((const struct disk *)r)->node : NULL;
    return NULL;
}

/* One that nobody can end before the node is back, which it never is. */
static bool waits_for_ever(struct look *l, const struct record *r)
{
    const char *id =
        r->kind == &kind_disk ? ((const struct disk *)r)->server_id : r->id;
    return (r->kind == &kind_server || l->w->local) &&
           look_is_bound(l, snap_get(l->s, &kind_server, id));
}

bool look_may_be_left(struct look *l, const struct record *r)
{
    const struct sim_node *n = sim_node_named(l->w, home_of(l, r));
    return (n && n->lost) || waits_for_ever(l, r);
}

static void check_waiting(struct look *l, struct view *v, const char *node)
{
    _autofree_ struct evacuee *all = NULL;
    size_t n = 0;
    struct snap_iter it = snap_by(l->s, &kind_server, "node", node);
    for (const struct server *s; (s = snap_next(&it));) {
        struct recovery_server look =
            rescue_look(l->s, s, world_has_ceph(l->w));
        if (recovery_fate(&look) == FATE_MOVES) {
            all = xrealloc(all, (n + 1) * sizeof(*all));
            all[n++] = (struct evacuee){ .server = s,
                                         .rank = evacuate_rank(s, look.runs) };
        }
        if (look.runs && !look.stranded && s->goal != GOAL_DELETED)
            world_broken(l->w, "quiet: server %s is %s on %s, which has failed",
                         s->rec.id, vm_state_names[s->vm_state], node);
    }
    check_room(l, v, all, n);
}

/* ---- who should leave ------------------------------------------------------
 */

static void find_stays(struct view *v, struct plan *out)
{
    struct plan_policy policy = plan_careful;
    for (int i = 0; i < GOALS_N; i++)
        if (i != GOAL_EVACUATE)
            policy.goals.weight[i] = 0;
    fleet_ranks(view_fleet(v));
    plan_make(view_fleet(v), &policy, out);
    plan_bear(out, view_reserve(v));
}

static bool is_told(struct view *v, const struct plan *plan,
                    const struct server *s)
{
    uint64_t guest = view_guest(v, &s->rec);
    for (uint32_t i = 0; i < plan->stays.n; i++)
        if (plan->stays.at[i].guest == guest)
            return plan->stays.at[i].reason != STAY_LATER;
    return false;
}

/* For whoever reads the events. */
static void tell_plan(struct look *l, struct view *v, const struct plan *plan,
                      const struct server *s)
{
    const struct migration *m = server_migration(l->s, s);
    uint64_t guest = view_guest(v, &s->rec);
    if (m)
        world_event(l->w, "migration %s to %s is %s", m->rec.id,
                    m->dest ? m->dest : "(none)",
                    migration_status_names[m->status]);
    for (uint32_t i = 0; i < plan->n; i++)
        if (plan->moves[i].guest == guest)
            world_event(l->w, "by the plan it goes to %s, wave %u",
                        view_fleet(v)->hosts[plan->moves[i].to.host].name,
                        plan->moves[i].wave);
    for (uint32_t i = 0; i < plan->stays.n; i++)
        if (plan->stays.at[i].guest == guest)
            world_event(l->w, "by the plan it stays: %s",
                        stay_name(plan->stays.at[i].reason));
}

/* A drain ends, or says who stays and why. */
static void check_drain(struct look *l, struct view *v, const struct node *n)
{
    struct plan plan;
    find_stays(v, &plan);
    struct snap_iter it = snap_by(l->s, &kind_server, "node", n->rec.id);
    for (const struct server *s; (s = snap_next(&it));)
        if (!is_told(v, &plan, s)) {
            tell_plan(l, v, &plan, s);
            world_broken(l->w,
                         "quiet: %s is drained, server %s is there, %s, and "
                         "nobody says why",
                         n->rec.id, s->rec.id, vm_state_names[s->vm_state]);
        }
    plan_free(&plan);
}

/* ---- rest ------------------------------------------------------------------
 */

/* What has just moved, by a failure or by a plan, stays for a while. */
static void check_rested(struct look *l, const struct migration *fill)
{
    struct snap_iter it = snap_all(l->s, &kind_migration);
    for (const struct migration *m; (m = snap_next(&it));)
        if (is(m->server_id, fill->server_id) && m->ended &&
            m->ended < fill->created &&
            fill->created - m->ended < REBALANCE_REST_US - SECOND_US &&
            (m->status == MIGRATION_DONE || m->status == MIGRATION_COMPLETED))
            world_broken(
                l->w,
                "server %s has moved at %lld s (%s, %s), and again at %lld s, "
                "without need",
                m->server_id,
                (long long)((m->ended - l->w->started) / SECOND_US),
                migration_type_names[m->type], m->reason ? m->reason : "asked",
                (long long)((fill->created - l->w->started) / SECOND_US));
}

static void check_rest(struct look *l)
{
    struct snap_iter it = snap_all(l->s, &kind_migration);
    for (const struct migration *m; (m = snap_next(&it));) {
        if (migration_under_way(m) && m->type == MIGRATION_LIVE)
            world_broken(l->w, "quiet: migration %s of %s is still %s",
                         m->rec.id, m->server_id,
                         migration_status_names[m->status]);
        if (is(m->reason, plan_reason_text(GOAL_FILL)))
            check_rested(l, m);
    }
}

/* Its record, and its guest, if it was given to another. */
static void check_runs(struct look *l, const struct server *s)
{
    const struct sim_node *n = sim_node_named(l->w, s->node);
    const struct guest *g = n ? guests_find(n->guests, s->rec.id) : NULL;
    if (s->goal == GOAL_RUNNING && s->task_state == TASK_POWERING_ON)
        world_broken(l->w, "recovery: server %s is to start on %s, still",
                     s->rec.id, s->node);
    if (s->vm_state == VM_ACTIVE && s->goal == GOAL_RUNNING &&
        (!g || !guest_active(g)))
        world_broken(l->w, "recovery: server %s does not run on %s", s->rec.id,
                     s->node ? s->node : "no node");
}

void check_failed(struct look *l, const struct sim_node *n)
{
    struct view *v = view_new();
    _autosnap_ struct snapshot *s = cache_snapshot(l->w->truth);
    const struct node *r = snap_get(l->s, &kind_node, n->name);
    view_follow(v, s, l->w->time);
    if (r)
        check_lost(l, n, r);
    if (r && r->health != HEALTH_UP) /* else nobody misses it */
        check_waiting(l, v, n->name);
    struct snap_iter it = snap_all(l->s, &kind_server);
    for (const struct server *x; (x = snap_next(&it));)
        if (!is(x->node, n->name))
            check_runs(l, x);
    view_free(v);
}

void check_pool(struct look *l)
{
    struct view *v = view_new();
    _autosnap_ struct snapshot *s = cache_snapshot(l->w->truth);
    view_follow(v, s, l->w->time);
    check_nodes(l);
    struct snap_iter it = snap_all(l->s, &kind_node);
    for (const struct node *n; world_is_pool(l->w) && (n = snap_next(&it));) {
        if (n->health != HEALTH_UP)
            check_waiting(l, v, n->rec.id);
        else if (n->draining)
            check_drain(l, v, n);
    }
    check_rest(l);
    view_free(v);
}
