#include "rest-api/forecast.h"

#include "engine/policy.h"
#include "engine/rebalancer.h"
#include "engine/whatif.h"
#include "rest-api/advice.h"
#include "rest-api/desk.h"

#include <string.h>

/* ---- what if ------------------------------------------------------------- */

struct question {
    struct whatif_question q;
    struct server *servers[WHATIF_ITEMS]; /* drafts, to be let go */
};

static bool read_count(struct req *r, const json_t *item, unsigned *count)
{
    const json_t *v = json_object_get(item, "count");
    json_int_t n = v ? json_integer_value(v) : 1;
    *count = (unsigned)n;
    return (n > 0 && n <= WHATIF_COUNT) ||
           error_set(&r->err, ERR_INVALID, "count: 1 to %d", WHATIF_COUNT);
}

static bool room_for(struct req *r, unsigned n)
{
    return n < WHATIF_ITEMS ||
           error_set(&r->err, ERR_INVALID, "At most %d of each kind.",
                     WHATIF_ITEMS);
}

static bool read_question(struct req *r, struct question *q)
{
    size_t i;
    json_t *item;
    json_array_foreach(json_object_get(r->body, "lose"), i, item)
    {
        if (!room_for(r, q->q.n_lose))
            return false;
        if (!json_is_string(item))
            return error_set(&r->err, ERR_INVALID, "lose: names of nodes");
        q->q.lose[q->q.n_lose++] = json_string_value(item);
    }
    json_array_foreach(json_object_get(r->body, "add"), i, item)
    {
        struct whatif_add *a = &q->q.add[q->q.n_add];
        if (!room_for(r, q->q.n_add++) || !read_count(r, item, &a->count))
            return false;
        a->like = json_string_value(json_object_get(item, "node"));
        if (!a->like)
            return error_set(&r->err, ERR_INVALID, "add: like which node?");
    }
    json_array_foreach(json_object_get(r->body, "place"), i, item)
    {
        struct whatif_place *p = &q->q.place[q->q.n_place];
        if (!room_for(r, q->q.n_place) || !read_count(r, item, &p->count))
            return false;
        p->server = q->servers[q->q.n_place] = advice_would_be(r, item);
        if (!p->server)
            return false;
        q->q.n_place++;
    }
    return true;
}

static void write_amounts(struct jw *w, const char *key, const struct fleet *f,
                          const struct whatif_amount *amounts, unsigned nodes)
{
    jw_obj(w, key);
    jw_int(w, "nodes", nodes);
    for (int i = 0; i < FLEET_RESOURCES; i++) {
        int64_t unit = i == FLEET_VCPU ? 1000 : 1;
        if (!amounts[i].capacity && !amounts[i].used)
            continue;
        jw_obj(w, fleet_name_of(f, FLEET_NAME_RESOURCE, (unsigned)i));
        jw_int(w, "capacity", amounts[i].capacity / unit);
        jw_int(w, "used", amounts[i].used / unit);
        jw_obj_end(w);
    }
    jw_obj_end(w);
}

static void write_placed(struct jw *w, const struct whatif_placed *p)
{
    jw_int(w, "asked", p->asked);
    jw_int(w, "placed", p->placed);
    jw_int(w, "nodes", p->nodes);
    jw_str(w, "why", p->why);
    jw_str(w, "change", p->help);
}

static void write_lost(struct req *r, struct jw *w, struct view *v,
                       const struct whatif_answer *a)
{
    jw_obj(w, "lost");
    write_placed(w, &a->lost);
    jw_int(w, "on_local_disks", a->local);
    jw_int(w, "volumes", a->volumes);
    jw_arr(w, "homeless");
    for (int i = 0; i < WHATIF_NAMED && a->homeless[i]; i++) {
        const struct record *record = view_record(v, a->homeless[i]);
        jw_obj(w, NULL);
        jw_str(w, "id", record->id);
        jw_str(w, "name", ((const struct server *)record)->name);
        jw_obj_end(w);
    }
    jw_arr_end(w);
    jw_obj_end(w);
}

static void write_answer(struct req *r, struct view *v,
                         const struct question *q,
                         const struct whatif_answer *a)
{
    struct jw w = req_json(r);
    const struct fleet *f = view_fleet(v);
    jw_obj(&w, NULL);
    write_amounts(&w, "before", f, a->before, a->nodes_before);
    write_amounts(&w, "after", f, a->after, a->nodes_after);
    if (a->reserve) {
        jw_obj(&w, "reserve");
        jw_int(&w, "failures", a->reserve);
        jw_bool(&w, "kept_before", a->kept_before);
        jw_bool(&w, "kept_after", a->kept_after);
        jw_obj_end(&w);
    }
    write_lost(r, &w, v, a);
    jw_arr(&w, "place");
    for (unsigned i = 0; i < q->q.n_place; i++) {
        jw_obj(&w, NULL);
        jw_str(&w, "flavor", q->servers[i]->flavor_name);
        write_placed(&w, &a->place[i]);
        jw_obj_end(&w);
    }
    jw_arr_end(&w);
    jw_obj_end(&w);
}

enum outcome forecast_what_if(struct req *r)
{
    struct question q = { .q = { .n_lose = 0 } };
    struct whatif_answer answer;
    bool ok = read_question(r, &q);
    if (ok) {
        struct view *v = desk_take(r->api, r->snap, r->now);
        ok = whatif(v, &q.q, &answer, &r->err);
        if (ok) {
            write_answer(r, v, &q, &answer);
            whatif_free(&answer);
        }
        desk_give(r->api, v);
    }
    for (int i = 0; i < WHATIF_ITEMS; i++)
        record_unref(q.servers[i]);
    return ok ? req_reply(r, 200) : req_failed(r);
}

/* ---- the plan ------------------------------------------------------------ */

/* "even,consolidate": goals that are not on by themselves. */
static bool read_goals(struct req *r, struct goals_policy *goals)
{
    const char *list = req_query(r, "goals");
    char *rest = NULL;
    if (!list)
        return true;
    list = arena_strdup(&r->arena, list);
    for (char *one = strtok_r((char *)list, ",", &rest); one;
         one = strtok_r(NULL, ",", &rest)) {
        int g = 0;
        while (g < GOALS_N && strcmp(goal_name((enum goal)g), one) != 0)
            g++;
        if (g == GOALS_N)
            return error_set(&r->err, ERR_INVALID,
                             "goals: there is no goal '%.40s'", one);
        if (!goals->weight[g])
            goals->weight[g] = goals_usual_weight((enum goal)g);
    }
    return true;
}

/* Room for one more of a flavor. */
static bool read_large(struct req *r, struct goals_policy *goals)
{
    const char *name = req_query(r, "large");
    if (!name)
        return true;
    const struct flavor *f = advice_find(r, &kind_flavor, "flavor", name);
    if (!f)
        return false;
    if (!goals->weight[GOAL_DEFRAGMENT])
        goals->weight[GOAL_DEFRAGMENT] = goals_usual_weight(GOAL_DEFRAGMENT);
    goals->vcpu = (int32_t)(f->vcpus * 1000);
    goals->memory = (int32_t)f->ram_mb;
    goals->units = 1;
    return true;
}

/* What is short where it is; null: the move is for something else. */
static void write_trouble(struct jw *w, const struct plan_move *m)
{
    const struct plan_trouble *t = &m->trouble;
    if (m->reason != GOAL_RELIEVE || t->strain >= STRAINS) {
        jw_null(w, "trouble");
        return;
    }
    jw_obj(w, "trouble");
    jw_str(w, "of", strain_name((enum strain)t->strain));
    jw_int(w, "used", t->use);
    jw_int(w, "has", t->has);
    jw_int(w, "comfort", t->comfort);
    jw_int(w, "server_uses", t->own);
    jw_int(w, "stall_percent", (t->stall + 5) / 10);
    jw_obj_end(w);
}

static void write_price(struct jw *w, const struct cost *c)
{
    jw_obj(w, "price");
    jw_int(w, "memory_mb", c->memory);
    jw_int(w, "disk_mb", c->disk);
    if (c->dirty < 0)
        jw_null(w, "dirty_mb_s");
    else
        jw_int(w, "dirty_mb_s", c->dirty);
    jw_int(w, "speed_mb_s", c->speed);
    jw_int(w, "sent_mb", c->sent);
    jw_obj_end(w);
}

static void write_move(struct jw *w, struct view *v, const struct plan_move *m)
{
    const struct fleet *f = view_fleet(v);
    const struct record *r = view_record(v, m->guest);
    struct buf why = BUF_INIT(ERROR_TEXT_MAX);
    plan_because(f, m, &why);
    jw_obj(w, NULL);
    jw_str(w, "server", r ? r->id : NULL);
    jw_str(w, "name",
           r && r->kind == &kind_server ? ((const struct server *)r)->name
                                        : NULL);
    jw_str(w, "from", f->hosts[m->from.host].name);
    jw_str(w, "to", f->hosts[m->to.host].name);
    jw_str(w, "goal", plan_reason_name(m->reason));
    jw_str(w, "why", buf_str(&why));
    write_trouble(w, m);
    jw_int(w, "gain", m->gain);
    jw_int(w, "cost", m->cost);
    write_price(w, &m->price);
    jw_int(w, "seconds", m->seconds);
    jw_int(w, "wave", m->wave);
    jw_obj_end(w);
    buf_free(&why);
}

static void write_goals(struct jw *w, const struct plan *plan)
{
    jw_arr(w, "goals");
    for (int g = 0; g < GOALS_N; g++) {
        if (!plan->on[g])
            continue;
        jw_obj(w, NULL);
        jw_str(w, "goal", goal_name((enum goal)g));
        jw_str(w, "why", goal_text((enum goal)g));
        jw_int(w, "before", plan->before[g]);
        jw_int(w, "after", plan->after[g]);
        jw_obj_end(w);
    }
    jw_arr_end(w);
}

/* Servers, and how many of them can be moved at all. */
static void write_movable(struct jw *w, struct view *v)
{
    const struct fleet *f = view_fleet(v);
    int64_t servers = 0, movable = 0;
    for (uint32_t i = 0; i < f->guest_slots; i++) {
        const struct record *r =
            f->guests[i].id ? view_record(v, f->guests[i].id) : NULL;
        if (!r || r->kind != &kind_server)
            continue;
        servers++;
        movable += f->guests[i].movable;
    }
    jw_int(w, "servers", servers);
    jw_int(w, "movable", movable);
}

#define STAYS_SHOWN 100

/* Who should have moved, and why not: the first of them. */
static void write_stays(struct jw *w, struct view *v, const struct stays *s)
{
    jw_arr(w, "stays");
    for (uint32_t i = 0; i < s->n && i < STAYS_SHOWN; i++) {
        const struct record *rec = view_record(v, s->at[i].guest);
        if (!rec)
            continue;
        jw_obj(w, NULL);
        jw_str(w, rec->kind->name, rec->id);
        jw_str(w, "reason", stay_name(s->at[i].reason));
        jw_str(w, "text", stay_text(s->at[i].reason));
        jw_obj_end(w);
    }
    jw_arr_end(w);
}

static void write_plan(struct req *r, struct view *v, const struct plan *plan)
{
    const struct pool_policy *policy =
        snap_get(r->snap, &kind_pool_policy, "pool");
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    jw_str(&w, "rebalancing",
           rebalancing_names[policy ? policy->rebalancing : REBALANCE_ON]);
    jw_bool(&w, "carried_out", true);
    write_movable(&w, v);
    jw_int(&w, "gain", plan->gain);
    jw_int(&w, "cost", plan->cost);
    jw_int(&w, "stayed", plan->stays.n);
    write_stays(&w, v, &plan->stays);
    write_goals(&w, plan);
    jw_arr(&w, "moves");
    for (uint32_t i = 0; i < plan->n; i++)
        write_move(&w, v, &plan->moves[i]);
    jw_arr_end(&w);
    jw_obj_end(&w);
}

enum outcome forecast_plan(struct req *r)
{
    struct plan_policy policy;
    struct plan plan;
    policy_plan(r->snap, &policy);
    if (!read_goals(r, &policy.goals) || !read_large(r, &policy.goals))
        return req_failed(r);
    struct view *v = desk_take(r->api, r->snap, r->now);
    fleet_ranks(view_fleet(v));
    plan_make(view_fleet(v), &policy, &plan);
    write_plan(r, v, &plan);
    plan_free(&plan);
    desk_give(r->api, v);
    return req_reply(r, 200);
}
