/*
 * Role assignments: given, looked at, taken away.
 *
 * One set of handlers for users and groups on projects, domains and the
 * system, inherited or not; which one it is, the row of the route says.
 */
#include "openstack-compat/identity/grants.h"
#include "openstack-compat/identity/parts.h"
#include "rest-api/auth.h"

#include <string.h>

struct place {
    int actor_type, target_type;
    const char *actor_id, *target_id, *role_id; /* role NULL: of a list */
    bool inherited;
};

static struct place place_of(struct req *r)
{
    const char *path = r->route->path;
    bool system = strstr(path, "/system/") != NULL;
    struct place p = {
        .actor_type = strstr(path, "/groups/") ? ACTOR_GROUP : ACTOR_USER,
        .target_type = system                      ? TARGET_SYSTEM
                       : strstr(path, "/domains/") ? TARGET_DOMAIN
                                                   : TARGET_PROJECT,
        .inherited = strstr(path, "/OS-INHERIT/") != NULL,
        .target_id = system ? "all" : r->param[0],
        .actor_id = r->param[system ? 0 : 1],
    };
    if (strstr(path, "/roles/{"))
        p.role_id = r->param[system ? 1 : 2];
    return p;
}

static bool place_known(struct req *r, const struct place *p)
{
    bool user = p->actor_type == ACTOR_USER;
    bool domain = p->target_type == TARGET_DOMAIN;
    return settle_ref(r, user ? &kind_user : &kind_group,
                      user ? "user" : "group", p->actor_id) &&
           (p->target_type == TARGET_SYSTEM ||
            settle_ref(r, domain ? &kind_domain : &kind_project,
                       domain ? "domain" : "project", p->target_id)) &&
           (!p->role_id || settle_role(r, p->role_id));
}

static const char *assignment_id(struct req *r, const struct place *p)
{
    return req_strf(r, "%s/%s/%s%s", p->actor_id, p->target_id, p->role_id,
                    p->inherited ? "/inherited" : "");
}

/* A role of a domain is for the projects of that domain. */
static bool role_fits(struct req *r, const struct place *p)
{
    const struct role *role = snap_get(r->snap, &kind_role, p->role_id);
    const struct project *project =
        p->target_type == TARGET_PROJECT
            ? snap_get(r->snap, &kind_project, p->target_id)
            : NULL;
    const char *home = project ? project->domain_id : p->target_id;
    if (!role->domain_id || strcmp(role->domain_id, home) == 0)
        return true;
    return error_set(&r->err, ERR_FORBIDDEN,
                     "Project %.64s must be in the same domain as the role "
                     "%.64s being assigned.",
                     p->target_id, p->role_id);
}

enum outcome grant_put(struct req *r)
{
    struct place p = place_of(r);
    if (!place_known(r, &p) || !role_fits(r, &p))
        return req_failed(r);
    _autorecord_ struct assignment *a =
        record_new(&kind_assignment, assignment_id(r, &p));
    if (snap_get(r->snap, &kind_assignment, a->rec.id)) {
        txn_reset(&r->txn);
        return req_reply(r, 204);
    }
    a->actor_type = p.actor_type;
    a->actor_id = rec_str(a, p.actor_id);
    a->target_type = p.target_type;
    a->target_id = rec_str(a, p.target_id);
    a->role_id = rec_str(a, p.role_id);
    a->inherited = p.inherited;
    txn_change_record(&r->txn, a);
    return req_reply(r, 204);
}

static const struct assignment *assignment_of(struct req *r)
{
    struct place p = place_of(r);
    bool known = place_known(r, &p);
    txn_reset(&r->txn);
    if (!known)
        return NULL;
    const struct assignment *a =
        snap_get(r->snap, &kind_assignment, assignment_id(r, &p));
    if (!a)
        error_set(&r->err, ERR_NOT_FOUND,
                  "Could not find role assignment with role: %.64s, user or "
                  "group: %.64s, project, domain, or system: %.64s.",
                  p.role_id, p.actor_id, p.target_id);
    return a;
}

enum outcome grant_check(struct req *r)
{
    return assignment_of(r) ? req_reply(r, 204) : req_failed(r);
}

enum outcome grant_delete(struct req *r)
{
    const struct assignment *a = assignment_of(r);
    if (!a)
        return req_failed(r);
    txn_delete_record(&r->txn, a);
    return req_reply(r, 204);
}

static bool role_at_place(struct req *r, const void *record, const void *arg)
{
    const struct place *at = arg;
    struct place p = *at;
    p.role_id = ((const struct record *)record)->id;
    return snap_get(r->snap, &kind_assignment, assignment_id(r, &p)) != NULL;
}

enum outcome grant_list(struct req *r)
{
    struct place p = place_of(r);
    bool known = place_known(r, &p);
    txn_reset(&r->txn);
    return known ? reply_list(r, &resource_role, role_at_place, &p)
                 : req_failed(r);
}

/* ---- GET /role_assignments --------------------------------------------- */

struct listing {
    struct req *r;
    struct jw *w;
    const char *user, *group, *role, *project, *domain, *system, *inherited;
    bool names, effective, subtree;
};

static bool flag(struct req *r, const char *name)
{
    const char *v = req_query(r, name);
    return v && strcmp(v, "0") != 0 && strcasecmp(v, "false") != 0;
}

static bool listing_read(struct req *r, struct listing *l)
{
    *l = (struct listing){
        .r = r,
        .user = req_query(r, "user.id"),
        .group = req_query(r, "group.id"),
        .role = req_query(r, "role.id"),
        .project = req_query(r, "scope.project.id"),
        .domain = req_query(r, "scope.domain.id"),
        .system = req_query(r, "scope.system"),
        .inherited = req_query(r, "scope.OS-INHERIT:inherited_to"),
        .names = flag(r, "include_names"),
        .effective = flag(r, "effective"),
        .subtree = flag(r, "include_subtree"),
    };
    const char *why =
        l->project && l->domain   ? "Specify a domain or project, not both"
        : l->system && l->domain  ? "Specify system or domain, not both"
        : l->system && l->project ? "Specify system or project, not both"
        : l->user && l->group     ? "Specify a user or group, not both"
        : l->effective && l->group
            ? "Combining effective and group filter will always result in an "
              "empty list."
        : l->effective && l->inherited && l->domain
            ? "Combining effective, domain and inherited filters will always "
              "result in an empty list."
        : l->subtree && !l->project
            ? "scope.project.id must be specified if include_subtree is also "
              "specified"
            : NULL;
    return !why || error_set(&r->err, ERR_INVALID, "%s", why);
}

static bool is(const char *want, const char *have)
{
    return !want || (have && strcmp(want, have) == 0);
}

static bool target_listed(const struct listing *l, const struct grant *g)
{
    if (l->system)
        return g->target_type == TARGET_SYSTEM;
    if (l->domain)
        return g->target_type == TARGET_DOMAIN && is(l->domain, g->target_id);
    if (!l->project)
        return true;
    const struct project *p =
        g->target_type == TARGET_PROJECT
            ? snap_get(l->r->snap, &kind_project, g->target_id)
            : NULL;
    return p && (is(l->project, p->rec.id) ||
                 (l->subtree && project_is_below(l->r->snap, l->project, p)));
}

static bool is_listed(const struct listing *l, const struct grant *g)
{
    return is(l->user, g->user_id) && is(l->role, g->role_id) &&
           (!l->group || (!g->user_id && is(l->group, g->group_id))) &&
           (!l->inherited || g->from->inherited) && target_listed(l, g);
}

static void write_domain_of(struct listing *l, const char *domain_id)
{
    const struct domain *d = snap_get(l->r->snap, &kind_domain, domain_id);
    jw_obj(l->w, "domain");
    jw_str(l->w, "id", domain_id);
    jw_str(l->w, "name", d ? d->name : NULL);
    jw_obj_end(l->w);
}

/* {"id": .., "name": .., "domain": {..}}, names where they are asked for */
static void write_named(struct listing *l, const char *key, const char *id,
                        const char *name, const char *domain_id)
{
    jw_obj(l->w, key);
    jw_str(l->w, "id", id);
    if (l->names && name)
        jw_str(l->w, "name", name);
    if (l->names && domain_id)
        write_domain_of(l, domain_id);
    jw_obj_end(l->w);
}

static void write_grant_scope(struct listing *l, const struct grant *g)
{
    const struct snapshot *s = l->r->snap;
    const struct project *p = snap_get(s, &kind_project, g->target_id);
    const struct domain *d = snap_get(s, &kind_domain, g->target_id);
    jw_obj(l->w, "scope");
    if (g->target_type == TARGET_SYSTEM) {
        jw_obj(l->w, "system");
        jw_bool(l->w, "all", true);
        jw_obj_end(l->w);
    } else if (g->target_type == TARGET_DOMAIN) {
        write_named(l, "domain", g->target_id, d ? d->name : NULL, NULL);
    } else {
        write_named(l, "project", g->target_id, p ? p->name : NULL,
                    p ? p->domain_id : NULL);
    }
    if (g->from->inherited)
        jw_str(l->w, "OS-INHERIT:inherited_to", "projects");
    jw_obj_end(l->w);
}

static void write_grant_links(struct listing *l, const struct grant *g)
{
    static const char *const targets[] = { "/projects/", "/domains/",
                                           "/system" };
    const struct assignment *a = g->from;
    const char *base = req_base_url(l->r);
    bool group = a->actor_type == ACTOR_GROUP;
    jw_obj(l->w, "links");
    jw_strf(l->w, "assignment", "%s/v3%s%s%s/%s/%s/roles/%s%s", base,
            a->inherited ? "/OS-INHERIT" : "", targets[a->target_type],
            a->target_type == TARGET_SYSTEM ? "" : a->target_id,
            group ? "groups" : "users", a->actor_id, a->role_id,
            a->inherited ? "/inherited_to_projects" : "");
    if (group && g->user_id)
        jw_strf(l->w, "membership", "%s/v3/groups/%s/users/%s", base,
                a->actor_id, g->user_id);
    if (g->prior_id)
        jw_strf(l->w, "prior_role", "%s/v3/prior_role/%s/implies/%s", base,
                g->prior_id, g->role_id);
    jw_obj_end(l->w);
}

static bool write_grant(void *arg, const struct grant *g)
{
    struct listing *l = arg;
    const struct snapshot *s = l->r->snap;
    if (!is_listed(l, g))
        return true;
    const struct role *role = snap_get(s, &kind_role, g->role_id);
    const struct user *u = snap_get(s, &kind_user, g->user_id);
    const struct group *group = snap_get(s, &kind_group, g->group_id);
    jw_obj(l->w, NULL);
    write_named(l, "role", g->role_id, role ? role->name : NULL,
                role ? role->domain_id : NULL);
    if (g->user_id)
        write_named(l, "user", g->user_id, u ? u->name : NULL,
                    u ? u->domain_id : NULL);
    else
        write_named(l, "group", g->group_id, group ? group->name : NULL,
                    group ? group->domain_id : NULL);
    write_grant_scope(l, g);
    write_grant_links(l, g);
    jw_obj_end(l->w);
    return true;
}

/* The assignments as they stand. */
static void write_plain(struct listing *l)
{
    struct snap_iter it = snap_all(l->r->snap, &kind_assignment);
    for (const struct assignment *a; (a = snap_next(&it));) {
        bool user = a->actor_type == ACTOR_USER;
        struct grant g = {
            .from = a,
            .user_id = user ? a->actor_id : NULL,
            .group_id = user ? NULL : a->actor_id,
            .target_type = a->target_type,
            .target_id = a->target_id,
            .role_id = a->role_id,
        };
        write_grant(l, &g);
    }
}

/* Users may look at their own, only an admin at all. */
static bool may_list(struct req *r, const struct listing *l)
{
    if (r->auth.is_admin || (l->user && strcmp(l->user, r->auth.user_id) == 0))
        return true;
    return error_set(&r->err, ERR_FORBIDDEN,
                     "You are not authorized to perform the requested "
                     "action: identity:list_role_assignments.");
}

enum outcome role_assignments(struct req *r)
{
    struct listing l;
    if (!listing_read(r, &l) || !may_list(r, &l))
        return req_failed(r);
    struct jw w = req_json(r);
    l.w = &w;
    jw_obj(&w, NULL);
    jw_arr(&w, "role_assignments");
    if (l.effective)
        grants_each(r->snap, l.user, write_grant, &l);
    else
        write_plain(&l);
    jw_arr_end(&w);
    write_list_links(r, &w);
    jw_obj_end(&w);
    return req_reply(r, 200);
}
