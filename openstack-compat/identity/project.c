/* Projects, their tree and their tags. */
#include "openstack-compat/identity/grants.h"
#include "openstack-compat/identity/parts.h"
#include "openstack-compat/network/defaults.h"
#include "rest-api/auth.h"

#include <stdio.h>
#include <string.h>

#define DEPTH_MAX 5 /* keystone's max_project_tree_depth */
#define TAGS_MAX  80

/* ---- the resource ------------------------------------------------------ */

static bool project_visible(struct req *r, const void *record)
{
    const struct record *rec = record;
    struct strs roles;
    return req_may_see(r, rec->id) ||
           auth_roles(r->snap, r->auth.user_id, SCOPE_PROJECT, rec->id,
                      &r->arena, &roles);
}

static bool admin_writes(struct req *r, const void *record)
{
    return r->auth.is_admin;
}

static int depth_of(const struct snapshot *s, const struct project *p)
{
    int n = 1;
    for (; p && p->parent_id && n <= DEPTH_MAX; n++)
        p = snap_get(s, &kind_project, p->parent_id);
    return n;
}

/* A parent that is a domain means: top of that domain. */
static bool settle_parent(struct req *r, struct project *p)
{
    const struct project *parent =
        snap_get(r->snap, &kind_project, p->parent_id);
    if (!p->parent_id)
        return true;
    if (!parent && snap_get(r->snap, &kind_domain, p->parent_id)) {
        if (!p->domain_id)
            p->domain_id = p->parent_id;
        bool same = strcmp(p->domain_id, p->parent_id) == 0;
        p->parent_id = NULL;
        return same || error_set(&r->err, ERR_INVALID,
                                 "Cannot create project, the parent is acting "
                                 "as a domain, but this project's domain id "
                                 "does not match the parent's id.");
    }
    if (!parent)
        return fail_not_found(r, "project", p->parent_id);
    if (!p->domain_id)
        p->domain_id = rec_str(p, parent->domain_id);
    if (strcmp(p->domain_id, parent->domain_id) != 0)
        return error_set(&r->err, ERR_INVALID,
                         "Cannot create project, since it specifies its "
                         "domain_id %.64s, but specifies a parent in a "
                         "different domain (%.64s).",
                         p->domain_id, parent->domain_id);
    if (!parent->enabled)
        return error_set(&r->err, ERR_FORBIDDEN,
                         "cannot create a project in a branch containing a "
                         "disabled project: %.64s",
                         parent->rec.id);
    if (depth_of(r->snap, parent) >= DEPTH_MAX)
        return error_set(&r->err, ERR_FORBIDDEN,
                         "Max hierarchy depth reached for %.64s branch.",
                         parent->rec.id);
    return settle_ref(r, &kind_project, "project", parent->rec.id);
}

static bool project_created(struct req *r, void *draft, const json_t *body)
{
    struct project *p = draft;
    if (json_is_true(json_object_get(body, "is_domain")))
        return error_set(&r->err, ERR_INVALID,
                         "A project that acts as a domain is made with POST "
                         "/v3/domains");
    return settle_parent(r, p) && settle_domain(r, p, &p->domain_id) &&
           take_new_name(r, p, p->domain_id, p->name) &&
           keep_extra(r, &resource_project, p, body) &&
           security_group_default(&r->txn, r->snap, r->env, p->rec.id, &r->err);
}

static bool has_enabled_child(struct req *r, const struct project *p)
{
    struct snap_iter it =
        snap_by(r->snap, &kind_project, "parent_id", p->rec.id);
    for (const struct project *c; (c = snap_next(&it));)
        if (c->enabled)
            return true;
    return false;
}

/* What cannot be changed may be given with the value that it has. */
static bool same_or_refuse(struct req *r, const json_t *body, const char *name,
                           const char *have)
{
    const json_t *v = json_object_get(body, name);
    const char *s = json_string_value(v);
    if (!v || (s && have && strcmp(s, have) == 0) || (!have && json_is_null(v)))
        return true;
    return error_set(&r->err, ERR_FORBIDDEN, "Update of `%s` is not allowed.",
                     name);
}

static bool project_updated(struct req *r, const void *old, void *draft,
                            const json_t *body)
{
    const struct project *was = old;
    struct project *p = draft;
    const char *parent = was->parent_id ? was->parent_id : was->domain_id;
    if (!same_or_refuse(r, body, "parent_id", parent) ||
        !same_or_refuse(r, body, "domain_id", was->domain_id))
        return false;
    if (was->enabled && !p->enabled && has_enabled_child(r, p))
        return error_set(&r->err, ERR_FORBIDDEN,
                         "Cannot disable project %.64s since its subtree "
                         "contains enabled projects.",
                         p->rec.id);
    return change_name(r, p, p->domain_id, was->name, p->name) &&
           keep_extra(r, &resource_project, p, body);
}

static bool group_in_use(const struct snapshot *s, const char *project_id)
{
    const struct security_group *g = security_group_default_find(s, project_id);
    if (!g)
        return false;
    struct snap_iter it =
        snap_by(s, &kind_security_group_rule, "remote_group_id", g->rec.id);
    for (const struct security_group_rule *x; (x = snap_next(&it));)
        if (strcmp(x->security_group_id, g->rec.id) != 0)
            return true;
    return snap_find(s, &kind_port, "security_group_ids", g->rec.id);
}

static void drop_id(struct req *r, const struct kind *kind, const char *service,
                    const char *id)
{
    char full[STORE_KEY_MAX];
    snprintf(full, sizeof(full), "%s/%s", service, id);
    const void *record = snap_get(r->snap, kind, full);
    if (record)
        txn_delete_record(&r->txn, record);
}

static int64_t count_rules(const struct snapshot *s, const char *group_id)
{
    int64_t n = 0;
    struct snap_iter it =
        snap_by(s, &kind_security_group_rule, "security_group_id", group_id);
    while (snap_next(&it))
        n++;
    return n;
}

/* Would nothing be left of the project's network usage without these? */
static bool nothing_else(const struct snapshot *s, const char *project_id,
                         const struct amount *gone, size_t n)
{
    char id[STORE_KEY_MAX];
    snprintf(id, sizeof(id), "network/%s", project_id);
    const struct usage *u = snap_get(s, &kind_usage, id);
    int64_t left = 0;
    for (size_t i = 0; u && i < u->amounts.n; i++)
        left += LIST_AT(u->amounts, struct amount, i)->n;
    for (size_t i = 0; i < n; i++)
        left += gone[i].n;
    return left <= 0;
}

/* The default group goes with its project, and its usage with it, unless
 * something of the project still stands on it. */
static void drop_network_defaults(struct req *r, const char *id)
{
    const struct security_group *g = security_group_default_find(r->snap, id);
    if (!g || group_in_use(r->snap, id))
        return;
    struct amount gone[] = {
        { "security_group", -1 },
        { "security_group_rule", -count_rules(r->snap, g->rec.id) },
    };
    security_group_default_remove(&r->txn, r->snap, id);
    if (nothing_else(r->snap, id, gone, ARRAY_SIZE(gone)))
        drop_id(r, &kind_usage, "network", id);
    else
        quota_charge(&r->txn, r->snap, "network", id, gone, ARRAY_SIZE(gone),
                     NULL);
}

static void forget_default_project(struct req *r, const char *id)
{
    struct snap_iter it = snap_all(r->snap, &kind_user);
    for (const struct user *u; (u = snap_next(&it));) {
        if (!u->default_project_id || strcmp(u->default_project_id, id) != 0)
            continue;
        _autorecord_ struct user *now = record_copy(u);
        now->default_project_id = NULL;
        txn_change_record(&r->txn, now);
    }
}

void drop_project(struct req *r, const struct project *p)
{
    const char *id = p->rec.id;
    static const char *const services[] = { "compute", "volume", "network" };
    delete_where(r, &kind_assignment, "target_id", id);
    delete_where(r, &kind_app_credential, "project_id", id);
    for (size_t i = 0; i < ARRAY_SIZE(services); i++)
        drop_id(r, &kind_quota, services[i], id);
    drop_network_defaults(r, id);
    name_release(&r->txn, p, p->domain_id, p->name);
    txn_delete_record(&r->txn, p);
}

static bool project_deleted(struct req *r, const void *record)
{
    const struct project *p = record;
    if (snap_find(r->snap, &kind_project, "parent_id", p->rec.id))
        return error_set(&r->err, ERR_FORBIDDEN,
                         "Cannot delete the project %.64s since it is not a "
                         "leaf in the hierarchy. Use the cascade option if "
                         "you want to delete a whole subtree.",
                         p->rec.id);
    forget_default_project(r, p->rec.id);
    drop_project(r, p);
    return txn_fits(r, "The project");
}

static void show_parent(struct req *r, struct jw *w, const char *name,
                        const void *record)
{
    const struct project *p = record;
    jw_str(w, name, p->parent_id ? p->parent_id : p->domain_id);
}

static bool parent_matches(struct req *r, const void *record, const char *want)
{
    const struct project *p = record;
    return strcmp(p->parent_id ? p->parent_id : p->domain_id, want) == 0;
}

static void show_is_domain(struct req *r, struct jw *w, const char *name,
                           const void *record)
{
    jw_bool(w, name, false);
}

static bool is_domain_matches(struct req *r, const void *record,
                              const char *want)
{
    return strcmp(want, "1") != 0 && strcasecmp(want, "true") != 0;
}

/* ?tags=a,b all of; ?tags-any any of; ?not-tags, ?not-tags-any the reverse */
static bool tags_match(const void *record, const char *want, bool any)
{
    const struct project *p = record;
    for (const char *s = want; *s;) {
        size_t len = strcspn(s, ",");
        bool has = false;
        for (size_t i = 0; i < p->tags.n; i++)
            has |= strncmp(p->tags.v[i], s, len) == 0 && !p->tags.v[i][len];
        if (has == any)
            return any;
        s += len + (s[len] == ',');
    }
    return !any;
}

static bool tags_all(struct req *r, const void *record, const char *want)
{
    return tags_match(record, want, false);
}

static bool tags_any(struct req *r, const void *record, const char *want)
{
    return tags_match(record, want, true);
}

static bool tags_not_all(struct req *r, const void *record, const char *want)
{
    return !tags_match(record, want, false);
}

static bool tags_not_any(struct req *r, const void *record, const char *want)
{
    return !tags_match(record, want, true);
}

static const char *bad_tag(const char *tag)
{
    if (!*tag || strlen(tag) > 255)
        return "a tag has 1 to 255 characters";
    return strpbrk(tag, ",/") ? "a tag must not hold ',' or '/'" : NULL;
}

static bool take_tags(struct req *r, struct project *p, const json_t *value)
{
    size_t i;
    json_t *tag;
    if (!json_is_array(value) || json_array_size(value) > TAGS_MAX)
        return error_set(&r->err, ERR_INVALID,
                         "'tags' must be a list of at most %d strings",
                         TAGS_MAX);
    p->tags = (struct strs){ 0 };
    json_array_foreach((json_t *)value, i, tag)
    {
        const char *s = json_string_value(tag);
        const char *why = s ? bad_tag(s) : "a tag is a string";
        if (why)
            return error_set(&r->err, ERR_INVALID,
                             "Invalid input for field 'tags': %s", why);
        if (!strs_has(&p->tags, s))
            strs_add(p, &p->tags, s);
    }
    return true;
}

static bool set_tags(struct req *r, void *record, const struct attr *a,
                     const json_t *value)
{
    return take_tags(r, record, value);
}

static const struct attr project_attrs[] = {
    { "id", NULL, A_FILTER },
    { "name", NULL, A_CU | A_REQUIRED | A_FILTER, CHECK_NAME, 1, 64 },
    { "domain_id", NULL, A_CREATE | A_NULL | A_FILTER, CHECK_TEXT, 1, 64 },
    { "parent_id", NULL, A_CREATE | A_NULL | A_FILTER, CHECK_TEXT, 1, 64,
      .show = show_parent, .matches = parent_matches },
    { "is_domain", NULL, A_FILTER, .show = show_is_domain,
      .matches = is_domain_matches },
    { "description", NULL, A_CU | A_NULL, CHECK_TEXT, 0, 65535,
      .show = show_text_or_empty },
    { "enabled", NULL, A_CU | A_FILTER, CHECK_BOOL, .dflt = "true" },
    { "tags", NULL, A_CU | A_FILTER, .set = set_tags, .matches = tags_all },
    { "tags-any", NULL, A_FILTER | A_HIDDEN, .matches = tags_any },
    { "not-tags", NULL, A_FILTER | A_HIDDEN, .matches = tags_not_all },
    { "not-tags-any", NULL, A_FILTER | A_HIDDEN, .matches = tags_not_any },
    ATTR_OPTIONS,
    ATTR_LINKS,
    ATTR_EXTRA,
    ATTR_END,
};

const struct resource resource_project = {
    .kind = &kind_project,
    .singular = "project",
    .plural = "projects",
    .noun = "project",
    .attrs = project_attrs,
    .hex_id = true,
    .path = "/v3/projects",
    .visible = project_visible,
    .writable = admin_writes,
    .created = project_created,
    .updated = project_updated,
    .deleted = project_deleted,
};

/* ---- one project, with its tree ---------------------------------------- */

static bool asked(struct req *r, const char *name)
{
    const char *v = req_query(r, name);
    return v && strcmp(v, "0") != 0 && strcasecmp(v, "false") != 0;
}

static void write_parents(struct req *r, struct jw *w, const struct project *p)
{
    const struct project *up = snap_get(r->snap, &kind_project, p->parent_id);
    if (asked(r, "parents_as_list")) {
        jw_arr(w, "parents");
        for (; up; up = snap_get(r->snap, &kind_project, up->parent_id)) {
            jw_obj(w, NULL);
            resource_write(r, &resource_project, w, "project", up);
            jw_obj_end(w);
        }
        jw_arr_end(w);
    } else if (asked(r, "parents_as_ids")) {
        int n = 1;
        jw_obj(w, "parents");
        for (; up; up = snap_get(r->snap, &kind_project, up->parent_id), n++)
            jw_obj(w, up->rec.id);
        jw_null(w, p->domain_id);
        for (; n > 0; n--)
            jw_obj_end(w);
    }
}

static void write_subtree_ids(struct req *r, struct jw *w, const char *key,
                              const char *id, int depth)
{
    struct snap_iter it = snap_by(r->snap, &kind_project, "parent_id", id);
    const struct project *p = snap_next(&it);
    if (!p || depth > DEPTH_MAX) {
        jw_null(w, key);
        return;
    }
    jw_obj(w, key);
    for (; p; p = snap_next(&it))
        write_subtree_ids(r, w, p->rec.id, p->rec.id, depth + 1);
    jw_obj_end(w);
}

static void write_subtree(struct req *r, struct jw *w, const struct project *p)
{
    if (asked(r, "subtree_as_list")) {
        jw_arr(w, "subtree");
        struct snap_iter it = snap_all(r->snap, &kind_project);
        for (const struct project *x; (x = snap_next(&it));) {
            if (!project_is_below(r->snap, p->rec.id, x))
                continue;
            jw_obj(w, NULL);
            resource_write(r, &resource_project, w, "project", x);
            jw_obj_end(w);
        }
        jw_arr_end(w);
    } else if (asked(r, "subtree_as_ids")) {
        write_subtree_ids(r, w, "subtree", p->rec.id, 0);
    }
}

static void show_tree(struct req *r, struct jw *w, const char *name,
                      const void *record)
{
    write_parents(r, w, record);
    write_subtree(r, w, record);
}

enum outcome project_show(struct req *r)
{
    const struct project *p = resource_get(r, &resource_project, r->param[0]);
    struct attr with_tree[ARRAY_SIZE(project_attrs) + 1];
    struct resource res = resource_project;
    if (!p)
        return req_failed(r);
    with_tree[0] = (struct attr){ .name = "tree", .show = show_tree };
    memcpy(with_tree + 1, project_attrs, sizeof(project_attrs));
    res.attrs = with_tree;
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    resource_write(r, &res, &w, "project", p);
    jw_obj_end(&w);
    return req_reply(r, 200);
}

/* ---- tags -------------------------------------------------------------- */

static enum outcome reply_tags(struct req *r, const struct project *p)
{
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    jw_arr(&w, "tags");
    for (size_t i = 0; i < p->tags.n; i++)
        jw_str(&w, NULL, p->tags.v[i]);
    jw_arr_end(&w);
    write_list_links(r, &w);
    jw_obj_end(&w);
    return req_reply(r, 200);
}

static const struct project *project_of(struct req *r)
{
    return resource_get(r, &resource_project, r->param[0]);
}

enum outcome project_tags(struct req *r)
{
    const struct project *p = project_of(r);
    return p ? reply_tags(r, p) : req_failed(r);
}

enum outcome project_tags_set(struct req *r)
{
    const struct project *p = project_of(r);
    if (!p)
        return req_failed(r);
    _autorecord_ struct project *now = record_copy(p);
    if (!take_tags(r, now, json_object_get(r->body, "tags")))
        return req_failed(r);
    txn_change_record(&r->txn, now);
    return reply_tags(r, now);
}

enum outcome project_tags_clear(struct req *r)
{
    const struct project *p = project_of(r);
    if (!p)
        return req_failed(r);
    _autorecord_ struct project *now = record_copy(p);
    now->tags = (struct strs){ 0 };
    txn_change_record(&r->txn, now);
    return req_reply(r, 204);
}

enum outcome project_tag_show(struct req *r)
{
    const struct project *p = project_of(r);
    if (!p)
        return req_failed(r);
    if (!strs_has(&p->tags, r->param[1]))
        return req_fail(r, ERR_NOT_FOUND, "Could not find project tag: %.255s.",
                        r->param[1]);
    return req_reply(r, 204);
}

enum outcome project_tag_add(struct req *r)
{
    const struct project *p = project_of(r);
    const char *why = bad_tag(r->param[1]);
    if (!p)
        return req_failed(r);
    if (why)
        return req_fail(r, ERR_INVALID, "Invalid tag: %s", why);
    if (p->tags.n >= TAGS_MAX && !strs_has(&p->tags, r->param[1]))
        return req_fail(r, ERR_INVALID, "A project has at most %d tags",
                        TAGS_MAX);
    _autorecord_ struct project *now = record_copy(p);
    if (!strs_has(&now->tags, r->param[1]))
        strs_add(now, &now->tags, r->param[1]);
    txn_change_record(&r->txn, now);
    return req_reply(r, 201);
}

enum outcome project_tag_delete(struct req *r)
{
    const struct project *p = project_of(r);
    if (!p)
        return req_failed(r);
    _autorecord_ struct project *now = record_copy(p);
    if (!strs_remove(&now->tags, r->param[1]))
        return req_fail(r, ERR_NOT_FOUND, "Could not find project tag: %.255s.",
                        r->param[1]);
    txn_change_record(&r->txn, now);
    return req_reply(r, 204);
}
