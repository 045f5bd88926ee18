#include "rest-api/drain.h"

#include "engine/policy.h"
#include "model/migration.h"
#include "model/pool.h"
#include "rest-api/desk.h"

#include <string.h>

#define TEXT_MAX 4096

/* ---- asking the engine ------------------------------------------------------
 */

/* Who would be left on the node, and why.  `failures`: what the reserve is
 * for. */
static void ask(struct view *fork, const char *node, unsigned failures,
                struct plan *out)
{
    struct plan_policy policy;
    struct fleet *f = view_fleet(fork);
    uint32_t host = fleet_find_host(f, node);
    *out = (struct plan){ 0 };
    policy_plan(view_snapshot(fork), &policy);
    if (host == FLEET_NOWHERE)
        return;
    struct fleet_facts facts = f->hosts[host].facts;
    facts.state = FLEET_DRAINING;
    fleet_set_facts(f, host, &facts);
    for (int i = 0; i < GOALS_N; i++)
        if (i != GOAL_EVACUATE)
            policy.goals.weight[i] = 0;
    policy.most = f->n_guests + 1;
    fleet_ranks(f);
    plan_make(f, &policy, out);
    struct reserve *proof = failures ? reserve_new(f, failures) : NULL;
    plan_bear(out, proof);
    reserve_free(proof);
}

/* Why the engine takes a server for one that cannot be moved. */
static const char *why_fixed(const struct server *s)
{
    switch ((enum vm_state)s->vm_state) {
    case VM_SUSPENDED:
        return "it is suspended: its memory is a file of this node";
    case VM_RESIZED:
        return "its resize waits to be confirmed or reverted";
    case VM_ERROR:
        return "it is in ERROR";
    default:
        return s->task_state == TASK_NONE
                   ? "it has a disk or a device that only this node has"
                   : "it is busy";
    }
}

static const char *why(const struct record *r, const struct stay *s)
{
    if (r->kind == &kind_server && s->reason == STAY_FIXED)
        return why_fixed((const struct server *)r);
    return r->kind == &kind_volume ? "it is on the node's own disks"
                                   : stay_text(s->reason);
}

static bool is_leaving(const struct record *r)
{
    return r->kind == &kind_server && ((const struct server *)r)->migration_id;
}

typedef void stay_fn(void *arg, const struct record *r, const char *why);

/* Calls fn for each that could not leave. */
static void each_stay(struct req *r, const char *node, stay_fn *fn, void *arg)
{
    struct plan plan;
    struct view *v = desk_take(r->api, r->snap, r->now);
    struct view *fork = view_fork(v);
    ask(fork, node, view_failures(v), &plan);
    for (uint32_t i = 0; i < plan.stays.n; i++) {
        const struct stay *s = &plan.stays.at[i];
        const struct record *of = view_record(v, s->guest);
        const struct fleet_guest *g = fleet_guest(view_fleet(v), s->guest);
        if (of && of->kind != &kind_migration && !is_leaving(of) &&
            s->reason != STAY_LATER &&
            strcmp(view_fleet(v)->hosts[g->at.host].name, node) == 0)
            fn(arg, of, why(of, s));
    }
    plan_free(&plan);
    view_free(fork);
    desk_give(r->api, v);
}

static const char *name_of(const struct record *r)
{
    const char *name =
        r->kind == &kind_server   ? ((const struct server *)r)->name
        : r->kind == &kind_volume ? ((const struct volume *)r)->name
                                  : NULL;
    return name && *name ? name : r->id;
}

static void say_stay(void *arg, const struct record *r, const char *why)
{
    struct buf *text = arg;
    if (text->len > TEXT_MAX / 2)
        return;
    buf_addf(text, "%s%s %.64s: %s", text->len ? "; " : "", r->kind->name,
             name_of(r), why);
}

static void write_stay(void *arg, const struct record *r, const char *why)
{
    struct jw *w = arg;
    jw_obj(w, NULL);
    jw_str(w, "kind", r->kind->name);
    jw_str(w, "id", r->id);
    jw_str(w, "name", name_of(r));
    jw_str(w, "why", why);
    jw_obj_end(w);
}

/* ---- the node
 * ---------------------------------------------------------------- */

void drain_write(struct req *r, struct jw *w, const struct node *n)
{
    int64_t servers = 0, moving = 0;
    struct snap_iter it = snap_by(r->snap, &kind_server, "node", n->rec.id);
    for (const struct server *s; (s = snap_next(&it));) {
        servers++;
        moving += server_migration(r->snap, s) != NULL;
    }
    jw_bool(w, "draining", n->draining);
    jw_int(w, "servers", servers);
    jw_int(w, "moving", moving);
    if (!n->draining)
        return;
    jw_arr(w, "stays");
    each_stay(r, n->rec.id, write_stay, w);
    jw_arr_end(w);
}

static enum outcome put(struct req *r, const struct node *was, bool draining)
{
    _autorecord_ struct node *n = record_copy(was);
    n->draining = draining;
    txn_change_record(&r->txn, n);
    return req_reply(r, 204);
}

static const struct node *the_node(struct req *r)
{
    const struct node *n = snap_get(r->snap, &kind_node, r->param[0]);
    if (!n)
        error_set(&r->err, ERR_NOT_FOUND, "There is no node '%.60s'.",
                  r->param[0]);
    return n;
}

enum outcome drain_begin(struct req *r)
{
    const struct node *n = the_node(r);
    struct buf stays = BUF_INIT(TEXT_MAX);
    const json_t *anyway = r->body ? json_object_get(r->body, "anyway") : NULL;
    if (!n)
        return req_failed(r);
    if (!json_is_true(anyway))
        each_stay(r, n->rec.id, say_stay, &stays);
    if (!stays.len)
        return put(r, n, true);
    error_set(&r->err, ERR_CONFLICT,
              "Node %s cannot be emptied, and nothing was begun: %s.",
              n->rec.id, buf_str(&stays));
    buf_free(&stays);
    return req_failed(r);
}

enum outcome drain_end(struct req *r)
{
    const struct node *n = the_node(r);
    return n ? put(r, n, false) : req_failed(r);
}
