#include "rest-api/steering.h"

#include "engine/policy.h"
#include "engine/reserve.h"
#include "engine/weights.h"
#include "model/compute.h"
#include "model/pool.h"
#include "rest-api/advice.h"
#include "rest-api/desk.h"

#include <string.h>

/* ---- policy -------------------------------------------------------------- */

static const char *server_name(struct view *v, uint64_t guest)
{
    const struct record *r = view_record(v, guest);
    return !r                                 ? "a server"
           : r->kind != &kind_server          ? r->id
           : ((const struct server *)r)->name ? ((const struct server *)r)->name
                                              : r->id;
}

static unsigned nodes_up(const struct fleet *f)
{
    unsigned n = 0;
    for (uint32_t i = 0; i < f->n; i++)
        n += f->hosts[i].facts.state == FLEET_UP;
    return n;
}

/* What stands in the way of the reserve; nothing if it is kept. */
static void say_broken(struct view *v, unsigned failures,
                       const struct reserve *proof, struct buf *out)
{
    const struct fleet *f = view_fleet(v);
    struct reserve_why why;
    unsigned up = nodes_up(f);
    if (up <= failures)
        buf_addf(out,
                 "%u node%s in service cannot bear the failure of %u: no "
                 "server is placed before there are %u.",
                 up, up == 1 ? "" : "s", failures, failures + 1);
    else if (reserve_broken(proof, &why))
        buf_addf(out, "If %s%s%s failed, %s would find no place.",
                 f->hosts[why.hosts[0]].name, why.n > 1 ? " and " : "",
                 why.n > 1 ? f->hosts[why.hosts[1]].name : "",
                 server_name(v, why.guest));
}

/* Is there room for so many failures now? */
static void write_reserve(struct req *r, struct jw *w, unsigned failures)
{
    struct buf why = BUF_INIT(1024);
    if (!failures)
        return;
    struct view *v = desk_take(r->api, r->snap, r->now);
    struct reserve *proof = reserve_new(view_fleet(v), failures);
    say_broken(v, failures, proof, &why);
    jw_bool(w, "reserve_kept", !why.len);
    jw_str(w, "reserve_why", why.len ? buf_str(&why) : NULL);
    reserve_free(proof);
    desk_give(r->api, v);
    buf_free(&why);
}

/* Those that are set; all others weigh 1. */
static void write_weights(struct jw *w, const struct pool_policy *policy)
{
    jw_obj(w, "weights");
    for (size_t i = 0; i < policy->weights.n; i++) {
        const struct amount *a = LIST_AT(policy->weights, struct amount, i);
        jw_int(w, a->name, a->n);
    }
    jw_obj_end(w);
}

static void write_goals(struct jw *w, const struct pool_policy *policy)
{
    jw_obj(w, "goals");
    for (enum goal g = 0; g < GOALS_N; g++)
        jw_int(w, goal_name(g), policy_goal(policy, g));
    jw_obj_end(w);
}

/* By name; null: none, or it is gone. */
static void write_large(struct req *r, struct jw *w,
                        const struct pool_policy *policy)
{
    const struct flavor *f =
        policy->large ? snap_get(r->snap, &kind_flavor, policy->large) : NULL;
    jw_str(w, "large", f ? f->name : NULL);
}

static enum outcome reply_policy(struct req *r,
                                 const struct pool_policy *policy)
{
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    jw_str(&w, "placement", placement_policy_names[policy->placement]);
    write_weights(&w, policy);
    jw_str(&w, "rebalancing", rebalancing_names[policy->rebalancing]);
    write_goals(&w, policy);
    for (int i = 0; i < POLICY_LIMITS; i++)
        jw_int(&w, policy_limits[i].name,
               policy_limit(policy, &policy_limits[i]));
    write_large(r, &w, policy);
    jw_int(&w, "reserve", policy->reserve);
    write_reserve(r, &w, (unsigned)policy->reserve);
    jw_obj_end(&w);
    return req_reply(r, 200);
}

/* A draft of it as it is. */
static struct pool_policy *policy_draft(struct req *r)
{
    const struct pool_policy *was =
        snap_get(r->snap, &kind_pool_policy, "pool");
    return was ? record_copy(was) : record_new(&kind_pool_policy, "pool");
}

enum outcome steering_show(struct req *r)
{
    _autorecord_ struct pool_policy *policy = policy_draft(r);
    return reply_policy(r, policy);
}

static bool set_choice(struct req *r, const char *name,
                       const char *const *names, int *out)
{
    const json_t *v = json_object_get(r->body, name);
    int i =
        json_is_string(v) ? enum_from_name(names, json_string_value(v)) : -1;
    if (i >= 0)
        *out = i;
    return !v || i >= 0 ||
           error_set(&r->err, ERR_INVALID, "%s: one of %s, %s, %s", name,
                     names[0], names[1], names[2]);
}

static bool set_number(struct req *r, const char *name, int64_t max,
                       int64_t *out)
{
    const json_t *v = json_object_get(r->body, name);
    json_int_t n = json_integer_value(v);
    if (!v)
        return true;
    *out = n;
    return (json_is_integer(v) && n >= 0 && n <= max) ||
           error_set(&r->err, ERR_INVALID, "%s: a number from 0 to %lld", name,
                     (long long)max);
}

/* Members that are not known are refused, not passed over. */
static bool only(struct req *r, const char *const *known)
{
    const char *key;
    json_t *value;
    json_object_foreach(
        r->body, key,
        value) if (enum_from_name(known, key) <
                   0) return error_set(&r->err, ERR_INVALID,
                                       "'%.40s' is not known here.", key);
    return json_is_object(r->body) ||
           error_set(&r->err, ERR_INVALID, "A JSON object is expected.");
}

static void amount_drop(struct list *amounts, const char *name)
{
    for (size_t i = 0; i < amounts->n; i++)
        if (strcmp(LIST_AT(*amounts, struct amount, i)->name, name) == 0) {
            list_remove(amounts, sizeof(struct amount), i);
            return;
        }
}

/* Amounts by name, those that are given; null takes one, or all, back. */
static bool set_amounts(struct req *r, struct pool_policy *draft,
                        const char *member, struct list *out,
                        bool (*takes)(struct req *r, const char *name,
                                      const json_t *n))
{
    const json_t *all = json_object_get(r->body, member);
    const char *name;
    json_t *n;
    if (json_is_null(all))
        *out = (struct list){ 0 };
    json_object_foreach((json_t *)all, name, n)
    {
        if (!takes(r, name, n))
            return false;
        amount_drop(out, name);
        if (!json_is_null(n))
            amount_set(draft, out, name, json_integer_value(n));
    }
    return !all || json_is_null(all) || json_is_object(all) ||
           error_set(&r->err, ERR_INVALID, "%s: numbers by name", member);
}

static bool is_within(const json_t *n, int64_t least, int64_t most)
{
    return json_is_null(n) ||
           (json_is_integer(n) && json_integer_value(n) >= least &&
            json_integer_value(n) <= most);
}

static bool takes_weight(struct req *r, const char *name, const json_t *n)
{
    return (weights_known(name) && is_within(n, 0, SCORE_WEIGHT_MAX)) ||
           error_set(&r->err, ERR_INVALID,
                     "weights: %.64s: numbers from 0 to %d of VCPU, MEMORY_MB, "
                     "DISK_GB, PCPU, BANDWIDTH, HUGEPAGES, GIGAPAGES, "
                     "CUSTOM_...",
                     name, SCORE_WEIGHT_MAX);
}

static bool takes_goal(struct req *r, const char *name, const json_t *n)
{
    enum goal g = 0;
    while (g < GOALS_N && strcmp(goal_name(g), name) != 0)
        g++;
    if (g == GOALS_N)
        return error_set(&r->err, ERR_INVALID,
                         "goals: there is no goal '%.40s'", name);
    return is_within(n, policy_goal_least(g), POLICY_GOAL_MAX) ||
           error_set(&r->err, ERR_INVALID,
                     "goals: %s: percent of its usual weight, from %lld to %d",
                     name, (long long)policy_goal_least(g), POLICY_GOAL_MAX);
}

/* null: the usual one. */
static bool set_limits(struct req *r, struct pool_policy *draft)
{
    for (int i = 0; i < POLICY_LIMITS; i++) {
        const struct policy_limit *l = &policy_limits[i];
        const json_t *v = json_object_get(r->body, l->name);
        int64_t n = json_integer_value(v);
        if (v && !is_within(v, l->least, l->most))
            return error_set(&r->err, ERR_INVALID,
                             "%s: a number from %lld to %lld", l->name,
                             (long long)l->least, (long long)l->most);
        if (v)
            memcpy((char *)draft + l->at, &n, sizeof(n));
    }
    return true;
}

static bool set_large(struct req *r, struct pool_policy *draft)
{
    const json_t *v = json_object_get(r->body, "large");
    if (v && !json_is_null(v)) {
        const char *name = json_string_value(v);
        const struct flavor *f =
            advice_find(r, &kind_flavor, "flavor", name ? name : "");
        if (!f)
            return false;
        draft->large = rec_str(draft, f->rec.id);
    } else if (v) {
        draft->large = NULL;
    }
    return draft->large || !policy_goal(draft, GOAL_DEFRAGMENT) ||
           error_set(&r->err, ERR_INVALID,
                     "goals: defragment makes room for a flavor: set large "
                     "as well");
}

static bool set_rebalancing(struct req *r, struct pool_policy *draft)
{
    return set_choice(r, "rebalancing", rebalancing_names,
                      &draft->rebalancing) &&
           set_amounts(r, draft, "goals", &draft->goals, takes_goal) &&
           set_limits(r, draft) && set_large(r, draft);
}

enum outcome steering_change(struct req *r)
{
    static const char *const known[] = {
        "placement", "weights",  "rebalancing", "goals",
        "max_moves", "parallel", "per_host",    "gain_percent",
        "places",    "large",    "reserve",     NULL
    };
    _autorecord_ struct pool_policy *draft = policy_draft(r);
    if (!only(r, known) ||
        !set_choice(r, "placement", placement_policy_names,
                    &draft->placement) ||
        !set_amounts(r, draft, "weights", &draft->weights, takes_weight) ||
        !set_rebalancing(r, draft) ||
        !set_number(r, "reserve", RESERVE_FAILURES, &draft->reserve))
        return req_failed(r);
    txn_change_record(&r->txn, draft);
    return reply_policy(r, draft);
}

/* ---- nodes --------------------------------------------------------------- */

static bool set_ratio(struct req *r, const char *name, double *out)
{
    const json_t *v = json_object_get(r->body, name);
    double n = json_number_value(v);
    if (!v)
        return true;
    *out = n;
    return (json_is_number(v) && n > 0 && n <= 1000) ||
           error_set(&r->err, ERR_INVALID, "%s: above 0, up to 1000", name);
}

/* Traits and classes are named as placement names them. */
static bool is_name(const char *s)
{
    return s && *s && strlen(s) <= 64 &&
           strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == strlen(s);
}

static bool set_traits(struct req *r, struct node *n)
{
    size_t i;
    const json_t *v = json_object_get(r->body, "traits");
    json_t *item;
    if (!v)
        return true;
    n->traits = (struct strs){ 0 };
    json_array_foreach(v, i, item)
    {
        if (!is_name(json_string_value(item)) || n->traits.n == 64)
            return error_set(&r->err, ERR_INVALID,
                             "traits: at most 64 names of A-Z, 0-9 and _");
        strs_add(n, &n->traits, json_string_value(item));
    }
    return json_is_array(v) ||
           error_set(&r->err, ERR_INVALID, "traits: a list of names");
}

static bool set_resources(struct req *r, struct node *n)
{
    const json_t *v = json_object_get(r->body, "resources");
    const char *name;
    json_t *amount;
    if (!v)
        return true;
    n->resources = (struct list){ 0 };
    json_object_foreach((json_t *)v, name, amount)
    {
        if (!is_name(name) || strncmp(name, "CUSTOM_", 7) != 0 ||
            json_integer_value(amount) < 0 || n->resources.n == 8)
            return error_set(&r->err, ERR_INVALID,
                             "resources: at most 8 of CUSTOM_..., with their "
                             "amounts");
        amount_set(n, &n->resources, name, json_integer_value(amount));
    }
    return json_is_object(v) ||
           error_set(&r->err, ERR_INVALID, "resources: amounts by name");
}

static bool set_rack(struct req *r, struct node *n)
{
    const json_t *v = json_object_get(r->body, "rack");
    const char *rack = json_string_value(v);
    if (v)
        n->rack = rec_str(n, rack);
    return !v || json_is_null(v) || (rack && strlen(rack) <= 64) ||
           error_set(&r->err, ERR_INVALID, "rack: a name, or null");
}

static bool set_maintenance(struct req *r, struct node *n)
{
    const json_t *v = json_object_get(r->body, "maintenance");
    if (v)
        n->maintenance = json_is_true(v);
    return !v || json_is_boolean(v) ||
           error_set(&r->err, ERR_INVALID, "maintenance: true or false");
}

enum outcome steering_change_node(struct req *r)
{
    static const char *const known[] = {
        "traits",         "resources",      "rack",
        "cpu_overcommit", "ram_overcommit", "ram_reserved_mb",
        "maintenance",    "bandwidth_mbps", NULL
    };
    const struct node *was = snap_get(r->snap, &kind_node, r->param[0]);
    if (!was)
        return req_fail(r, ERR_NOT_FOUND, "There is no node '%.80s'.",
                        r->param[0]);
    _autorecord_ struct node *n = record_copy(was);
    if (!only(r, known) || !set_traits(r, n) || !set_resources(r, n) ||
        !set_rack(r, n) || !set_maintenance(r, n) ||
        !set_ratio(r, "cpu_overcommit", &n->cpu_overcommit) ||
        !set_ratio(r, "ram_overcommit", &n->ram_overcommit) ||
        !set_number(r, "ram_reserved_mb", n->ram_mb, &n->ram_reserved_mb) ||
        !set_number(r, "bandwidth_mbps", INT32_MAX, &n->bandwidth_mbps))
        return req_failed(r);
    txn_change_record(&r->txn, n);
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    jw_obj(&w, "node");
    record_encode_fields(n, &w, true);
    jw_obj_end(&w);
    jw_obj_end(&w);
    return req_reply(r, 200);
}
