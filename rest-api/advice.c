#include "rest-api/advice.h"

#include "engine/explain.h"
#include "engine/remedy.h"
#include "engine/whatif.h"
#include "model/decision.h"
#include "model/image.h"
#include "rest-api/desk.h"

#include <string.h>

#define HOSTS_SHOWN 64

/* ---- would-be servers ---------------------------------------------------- */

static const void *find(struct req *r, const struct kind *kind,
                        const char *what, const char *name)
{
    const void *found = snap_get(r->snap, kind, name);
    if (!found)
        found = snap_find(r->snap, kind, "name", name);
    if (!found)
        error_set(&r->err, ERR_NOT_FOUND, "There is no %s '%.80s'.", what,
                  name);
    return found;
}

/* Images of others are not known to those who may not see them. */
static bool sees_image(const struct req *r, const struct image *i)
{
    return r->auth.is_admin || req_may_see(r, i->owner) ||
           (i->visibility && strcmp(i->visibility, "public") == 0);
}

static bool sees_flavor(const struct req *r, const struct flavor *f)
{
    return r->auth.is_admin || !f->is_private ||
           (r->auth.project_id && strs_has(&f->projects, r->auth.project_id));
}

static void copy_map(struct server *s, struct map *to, const struct map *from)
{
    for (size_t i = 0; i < from->n; i++)
        map_put(s, to, from->v[i].key, from->v[i].value);
}

static bool fill_flavor(struct req *r, struct server *s, const char *name)
{
    const struct flavor *f = find(r, &kind_flavor, "flavor", name);
    if (!f || !sees_flavor(r, f))
        return error_set(&r->err, ERR_NOT_FOUND, "There is no flavor '%.80s'.",
                         name);
    s->flavor_name = rec_str(s, f->name);
    s->vcpus = f->vcpus;
    s->ram_mb = f->ram_mb;
    s->disk_gb = f->disk_gb;
    s->ephemeral_gb = f->ephemeral_gb;
    s->swap_mb = f->swap_mb;
    copy_map(s, &s->extra_specs, &f->extra_specs);
    return true;
}

static bool fill_image(struct req *r, struct server *s, const char *name)
{
    if (!name)
        return true;
    const struct image *i = find(r, &kind_image, "image", name);
    if (!i || !sees_image(r, i))
        return error_set(&r->err, ERR_NOT_FOUND, "There is no image '%.80s'.",
                         name);
    s->image_id = rec_str(s, i->rec.id);
    copy_map(s, &s->image_properties, &i->properties);
    return true;
}

static bool fill_group(struct req *r, struct server *s, const char *id)
{
    const struct server_group *g = snap_get(r->snap, &kind_server_group, id);
    if (id && (!g || !req_may_see(r, g->project_id)))
        return error_set(&r->err, ERR_NOT_FOUND,
                         "There is no server group '%.80s'.", id);
    s->server_group_id = rec_str(s, id);
    return true;
}

static const char *text(const json_t *body, const char *name)
{
    return json_string_value(json_object_get(body, name));
}

/* {"flavor", "image", "zone", "host", "group", "project_id", "hints"}; a
 * draft, or NULL with r->err. */
static struct server *would_be(struct req *r, const json_t *body)
{
    const char *flavor = text(body, "flavor");
    const char *project = text(body, "project_id");
    const json_t *hints = json_object_get(body, "hints");
    struct server *s = record_new(&kind_server, "would-be");
    bool ok = flavor || error_set(&r->err, ERR_INVALID, "Which flavor?");
    ok = ok && fill_flavor(r, s, flavor) &&
         fill_image(r, s, text(body, "image")) &&
         fill_group(r, s, text(body, "group"));
    s->requested_zone = rec_str(s, text(body, "zone"));
    s->requested_host =
        r->auth.is_admin ? rec_str(s, text(body, "host")) : NULL;
    s->project_id =
        rec_str(s, r->auth.is_admin && project ? project : r->auth.project_id);
    if (json_is_object(hints)) {
        _autofree_ char *json = json_dumps(hints, JSON_COMPACT);
        s->scheduler_hints = rec_str(s, json);
    }
    if (ok)
        return s;
    record_unref(s);
    return NULL;
}

/* ---- writing ------------------------------------------------------------- */

static void write_text(struct jw *w, const char *key, struct buf *from)
{
    jw_str(w, key, from->len ? buf_str(from) : NULL);
    buf_reset(from);
}

static void write_host(struct jw *w, struct view *v, const struct wish *wish,
                       const struct explained *x)
{
    const struct fleet *f = view_fleet(v);
    struct buf why = BUF_INIT(1024);
    jw_obj(w, NULL);
    jw_str(w, "node", f->hosts[x->host].name);
    jw_bool(w, "fits", x->reason == FIT_OK);
    if (x->reason != FIT_OK) {
        explain_host(v, wish, x, &why);
        write_text(w, "why", &why);
    } else {
        jw_int(w, "score", x->score);
        jw_int(w, "wish", x->wish);
        jw_obj(w, "left"); /* millionths of the capacity */
        for (int i = 0; i < FLEET_RESOURCES; i++) {
            int64_t n;
            if (explain_part(f, wish, x->host, i, &n))
                jw_int(w, fleet_name_of(f, FLEET_NAME_RESOURCE, (unsigned)i),
                       n);
        }
        jw_obj_end(w);
    }
    jw_obj_end(w);
    buf_free(&why);
}

static void write_hosts(struct jw *w, struct view *v, const struct wish *wish,
                        const struct explanation *e)
{
    jw_int(w, "nodes", e->n);
    jw_int(w, "fitting", e->fitting);
    jw_str(w, "policy", explain_policy(view_fleet(v), wish));
    jw_arr(w, "hosts");
    for (uint32_t i = 0; i < e->n && i < HOSTS_SHOWN; i++)
        write_host(w, v, wish, &e->hosts[i]);
    jw_arr_end(w);
}

static void write_changes(struct jw *w, struct view *v, const struct wish *wish,
                          bool names)
{
    struct remedy found[REMEDIES];
    struct buf change = BUF_INIT(1024);
    unsigned n = remedies(v, wish, found);
    jw_arr(w, "changes");
    for (unsigned i = 0; i < n; i++)
        if (remedy_text(v, wish, &found[i], names, &change))
            write_text(w, NULL, &change);
    jw_arr_end(w);
    buf_free(&change);
}

/* What the engine would say now. */
static void write_explanation(struct req *r, struct jw *w, struct view *v,
                              const struct wish *wish)
{
    struct explanation e;
    struct buf summary = BUF_INIT(4096);
    explain(v, wish, &e);
    jw_bool(w, "fits", e.fitting > 0);
    if (e.fitting < e.n || !e.n)
        explain_counts(view_fleet(v), wish, &e, &summary);
    write_text(w, "summary", &summary);
    if (r->auth.is_admin)
        write_hosts(w, v, wish, &e);
    if (!e.fitting)
        write_changes(w, v, wish, r->auth.is_admin);
    buf_free(&summary);
    explain_free(&e);
}

/* ---- the decision that was made ------------------------------------------ */

static void write_candidates(struct jw *w, const struct decision *d)
{
    jw_arr(w, "candidates");
    for (size_t i = 0; i < d->candidates.n; i++) {
        const struct decision_candidate *c =
            LIST_AT(d->candidates, struct decision_candidate, i);
        jw_obj(w, NULL);
        jw_str(w, "node", c->node);
        jw_int(w, "score", c->score);
        jw_obj(w, "left");
        for (size_t k = 0; k < c->parts.n; k++) {
            const struct decision_part *p =
                LIST_AT(c->parts, struct decision_part, k);
            jw_int(w, p->name, p->n);
        }
        jw_obj_end(w);
        jw_obj_end(w);
    }
    jw_arr_end(w);
}

static void write_reasons(struct jw *w, const struct decision *d, bool names)
{
    jw_arr(w, "excluded");
    for (size_t i = 0; i < d->excluded.n; i++) {
        const struct decision_reason *x =
            LIST_AT(d->excluded, struct decision_reason, i);
        jw_obj(w, NULL);
        jw_str(w, "why", x->why);
        jw_int(w, "nodes", x->nodes);
        if (names)
            jw_str(w, "example", x->example);
        jw_obj_end(w);
    }
    jw_arr_end(w);
    jw_arr(w, "changes");
    for (size_t i = 0; i < d->changes.n; i++) {
        const struct decision_change *c =
            LIST_AT(d->changes, struct decision_change, i);
        const char *what = names ? c->what : c->tenant;
        if (what)
            jw_str(w, NULL, what);
    }
    jw_arr_end(w);
}

static void write_decision(struct req *r, struct jw *w,
                           const struct decision *d)
{
    char when[TIME_TEXT_MAX];
    bool names = r->auth.is_admin;
    if (!d) {
        jw_null(w, "decision");
        return;
    }
    jw_obj(w, "decision");
    jw_str(w, "decided", time_format(d->decided, TIME_Z, when));
    jw_bool(w, "placed", d->node != NULL);
    jw_str(w, "policy", d->policy);
    if (names) {
        jw_str(w, "node", d->node);
        jw_int(w, "revision", d->revision);
        jw_int(w, "nodes", d->nodes);
        jw_int(w, "fitting", d->fitting);
        write_candidates(w, d);
    }
    write_reasons(w, d, names);
    jw_obj_end(w);
}

/* As if it were to be placed now, by those for whom it stands nowhere yet. */
static bool write_now(struct req *r, struct jw *w, const struct server *s)
{
    struct wish wish;
    struct view *v = desk_take(r->api, r->snap, r->now);
    bool ok = wish_of_server(v, s, &wish, &r->err);
    jw_obj(w, "now");
    if (ok)
        write_explanation(r, w, v, &wish);
    else
        jw_str(w, "summary", r->err.text);
    jw_obj_end(w);
    wish_free(&wish);
    desk_give(r->api, v);
    error_clear(&r->err);
    return ok;
}

/* By id, or by a name that only one of the caller's (an administrator's: of
 * all) servers has. */
static const struct server *find_server(struct req *r, const char *name)
{
    const struct server *found = NULL;
    struct snap_iter it =
        r->auth.is_admin
            ? snap_all(r->snap, &kind_server)
            : snap_by(r->snap, &kind_server, "project_id", r->auth.project_id);
    if (snap_get(r->snap, &kind_server, name))
        return req_owned(r, &kind_server, name, "Server");
    for (const struct server *s; (s = snap_next(&it));) {
        if (!s->name || strcmp(s->name, name) != 0)
            continue;
        if (found) {
            error_set(&r->err, ERR_CONFLICT,
                      "More than one server is named '%.80s'.", name);
            return NULL;
        }
        found = s;
    }
    return found ? found : req_owned(r, &kind_server, name, "Server");
}

enum outcome advice_server(struct req *r)
{
    const struct server *s = find_server(r, r->param[0]);
    if (!s)
        return req_failed(r);
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    jw_str(&w, "server", s->rec.id);
    jw_str(&w, "name", s->name);
    jw_str(&w, "flavor", s->flavor_name);
    jw_str(&w, "status", server_status(s));
    if (r->auth.is_admin)
        jw_str(&w, "node", s->node);
    jw_str(&w, "fault", s->fault);
    write_decision(r, &w, snap_get(r->snap, &kind_decision, s->rec.id));
    if (!s->node)
        write_now(r, &w, s);
    jw_obj_end(&w);
    return req_reply(r, 200);
}

enum outcome advice_explain(struct req *r)
{
    struct wish wish;
    _autorecord_ struct server *s = would_be(r, r->body);
    if (!s)
        return req_failed(r);
    struct view *v = desk_take(r->api, r->snap, r->now);
    bool ok = wish_of_server(v, s, &wish, &r->err);
    if (ok) {
        struct jw w = req_json(r);
        jw_obj(&w, NULL);
        write_explanation(r, &w, v, &wish);
        jw_obj_end(&w);
    }
    wish_free(&wish);
    desk_give(r->api, v);
    return ok ? req_reply(r, 200) : req_failed(r);
}

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
        a->like = text(item, "node");
        if (!a->like)
            return error_set(&r->err, ERR_INVALID, "add: like which node?");
    }
    json_array_foreach(json_object_get(r->body, "place"), i, item)
    {
        struct whatif_place *p = &q->q.place[q->q.n_place];
        if (!room_for(r, q->q.n_place) || !read_count(r, item, &p->count))
            return false;
        p->server = q->servers[q->q.n_place] = would_be(r, item);
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

enum outcome advice_what_if(struct req *r)
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

/* ---- policy -------------------------------------------------------------- */

static enum outcome reply_policy(struct req *r, const struct pool *pool)
{
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    jw_str(&w, "placement", placement_policy_names[pool->placement]);
    jw_str(&w, "rebalancing", rebalancing_names[pool->rebalancing]);
    jw_int(&w, "reserve", pool->reserve);
    jw_obj_end(&w);
    return req_reply(r, 200);
}

enum outcome advice_show_policy(struct req *r)
{
    const struct pool *pool = snap_get(r->snap, &kind_pool, "pool");
    return pool ? reply_policy(r, pool)
                : req_fail(r, ERR_UNAVAILABLE, "The pool is not ready yet.");
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

enum outcome advice_change_policy(struct req *r)
{
    static const char *const known[] = { "placement", "rebalancing", "reserve",
                                         NULL };
    const struct pool *pool = snap_get(r->snap, &kind_pool, "pool");
    if (!pool)
        return req_fail(r, ERR_UNAVAILABLE, "The pool is not ready yet.");
    _autorecord_ struct pool *draft = record_copy(pool);
    if (!only(r, known) ||
        !set_choice(r, "placement", placement_policy_names,
                    &draft->placement) ||
        !set_choice(r, "rebalancing", rebalancing_names, &draft->rebalancing) ||
        !set_number(r, "reserve", 1000, &draft->reserve))
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

enum outcome advice_change_node(struct req *r)
{
    static const char *const known[] = {
        "traits",         "resources",       "rack", "cpu_overcommit",
        "ram_overcommit", "ram_reserved_mb", NULL
    };
    const struct node *was = snap_get(r->snap, &kind_node, r->param[0]);
    if (!was)
        return req_fail(r, ERR_NOT_FOUND, "There is no node '%.80s'.",
                        r->param[0]);
    _autorecord_ struct node *n = record_copy(was);
    if (!only(r, known) || !set_traits(r, n) || !set_resources(r, n) ||
        !set_rack(r, n) ||
        !set_ratio(r, "cpu_overcommit", &n->cpu_overcommit) ||
        !set_ratio(r, "ram_overcommit", &n->ram_overcommit) ||
        !set_number(r, "ram_reserved_mb", n->ram_mb, &n->ram_reserved_mb))
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
