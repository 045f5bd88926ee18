#include "rest-api/advice.h"

#include "engine/explain.h"
#include "engine/remedy.h"
#include "model/decision.h"
#include "model/image.h"
#include "model/migration.h"
#include "rest-api/desk.h"

#include <string.h>

#define HOSTS_SHOWN 64

/* ---- would-be servers ---------------------------------------------------- */

const void *advice_find(struct req *r, const struct kind *kind,
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
    const struct flavor *f = advice_find(r, &kind_flavor, "flavor", name);
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
    const struct image *i = advice_find(r, &kind_image, "image", name);
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

struct server *advice_would_be(struct req *r, const json_t *body)
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

/* The move that brought it where it is: the last that ended there.  NULL:
 * none, or nobody remembers it. */
static const struct migration *last_move(struct req *r, const struct server *s)
{
    const struct migration *last = NULL;
    struct snap_iter it =
        snap_by(r->snap, &kind_migration, "server_id", s->rec.id);
    for (const struct migration *m; s->node && (m = snap_next(&it));)
        if (m->ended && m->dest && strcmp(m->dest, s->node) == 0 &&
            (m->status == MIGRATION_COMPLETED ||
             m->status == MIGRATION_CONFIRMED || m->status == MIGRATION_DONE) &&
            (!last || m->ended > last->ended))
            last = m;
    return last;
}

/* What it was decided for is one thing, why it moved from there another: the
 * strain that it was to relieve, a drain, somebody's wish. */
static void write_moved(struct req *r, struct jw *w, const struct server *s)
{
    char when[TIME_TEXT_MAX];
    const struct migration *m = r->auth.is_admin ? last_move(r, s) : NULL;
    if (!m)
        return;
    jw_obj(w, "moved");
    jw_str(w, "ended", time_format(m->ended, TIME_Z, when));
    jw_str(w, "type", migration_type_names[m->type]);
    jw_str(w, "from", m->source);
    jw_str(w, "to", m->dest);
    jw_str(w, "reason", m->reason);
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
    write_moved(r, &w, s);
    write_decision(r, &w, snap_get(r->snap, &kind_decision, s->rec.id));
    if (!s->node)
        write_now(r, &w, s);
    jw_obj_end(&w);
    return req_reply(r, 200);
}

enum outcome advice_explain(struct req *r)
{
    struct wish wish;
    _autorecord_ struct server *s = advice_would_be(r, r->body);
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
