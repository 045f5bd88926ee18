#include "rest-api/steering.h"

#include "engine/reserve.h"
#include "model/pool.h"
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

static enum outcome reply_policy(struct req *r,
                                 const struct pool_policy *policy)
{
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    jw_str(&w, "placement", placement_policy_names[policy->placement]);
    jw_str(&w, "rebalancing", rebalancing_names[policy->rebalancing]);
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

enum outcome steering_change(struct req *r)
{
    static const char *const known[] = { "placement", "rebalancing", "reserve",
                                         NULL };
    _autorecord_ struct pool_policy *draft = policy_draft(r);
    if (!only(r, known) ||
        !set_choice(r, "placement", placement_policy_names,
                    &draft->placement) ||
        !set_choice(r, "rebalancing", rebalancing_names, &draft->rebalancing) ||
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
