/* Roles, and which role implies which. */
#include "openstack-compat/identity/grants.h"
#include "openstack-compat/identity/parts.h"

#include <string.h>

static bool admin_only(struct req *r, const void *record)
{
    return r->auth.is_admin;
}

/* Without ?domain_id only the global ones are listed, as keystone does. */
static bool role_visible(struct req *r, const void *record)
{
    const struct role *role = record;
    bool list = r->route->handler == resource_list;
    return r->auth.is_admin &&
           !(list && role->domain_id && !req_query(r, "domain_id"));
}

static const char *scope_of(const struct role *role)
{
    return role->domain_id ? role->domain_id : "";
}

static bool role_created(struct req *r, void *draft, const json_t *body)
{
    struct role *role = draft;
    return (!role->domain_id || domain_takes(r, role->domain_id)) &&
           take_new_name(r, role, scope_of(role), role->name) &&
           keep_extra(r, &resource_role, role, body);
}

static bool role_updated(struct req *r, const void *old, void *draft,
                         const json_t *body)
{
    const struct role *was = old;
    struct role *role = draft;
    if (role_is_built_in(was) && strcmp(was->name, role->name) != 0)
        return error_set(&r->err, ERR_FORBIDDEN,
                         "Role %s is immutable and cannot be renamed.",
                         was->name);
    return change_name(r, role, scope_of(role), was->name, role->name) &&
           keep_extra(r, &resource_role, role, body);
}

void drop_role(struct req *r, const struct role *role)
{
    delete_where(r, &kind_assignment, "role_id", role->rec.id);
    delete_where(r, &kind_role_inference, "prior_id", role->rec.id);
    delete_where(r, &kind_role_inference, "implied_id", role->rec.id);
    name_release(&r->txn, role, scope_of(role), role->name);
    txn_delete_record(&r->txn, role);
}

static bool role_deleted(struct req *r, const void *record)
{
    const struct role *role = record;
    if (role_is_built_in(role))
        return error_set(&r->err, ERR_FORBIDDEN,
                         "Role %s is immutable and cannot be deleted.",
                         role->name);
    drop_role(r, role);
    return txn_fits(r, "The role");
}

static const struct attr role_attrs[] = {
    { "id", NULL, A_FILTER },
    { "name", NULL, A_CU | A_REQUIRED | A_FILTER, CHECK_NAME, 1, 255 },
    { "domain_id", NULL, A_CREATE | A_NULL | A_FILTER, CHECK_TEXT, 1, 64 },
    { "description", NULL, A_CU | A_NULL, CHECK_TEXT, 0, 65535 },
    ATTR_OPTIONS,
    ATTR_LINKS,
    ATTR_EXTRA,
    ATTR_END,
};

const struct resource resource_role = {
    .kind = &kind_role,
    .singular = "role",
    .plural = "roles",
    .noun = "role",
    .attrs = role_attrs,
    .hex_id = true,
    .path = "/v3/roles",
    .visible = role_visible,
    .writable = admin_only,
    .created = role_created,
    .updated = role_updated,
    .deleted = role_deleted,
};

/* ---- implied roles ----------------------------------------------------- */

static void write_role(struct req *r, struct jw *w, const char *key,
                       const struct role *role)
{
    jw_obj(w, key);
    jw_str(w, "id", role->rec.id);
    jw_str(w, "name", role->name);
    jw_str(w, "description", role->description);
    show_links(r, w, "links", role);
    jw_obj_end(w);
}

static const struct role *role_or_fail(struct req *r, const char *id)
{
    const struct role *role = snap_get(r->snap, &kind_role, id);
    if (!role)
        fail_not_found(r, "role", id);
    return role;
}

static void write_implied(struct req *r, struct jw *w, const char *prior_id)
{
    jw_arr(w, "implies");
    struct snap_iter it =
        snap_by(r->snap, &kind_role_inference, "prior_id", prior_id);
    for (const struct role_inference *x; (x = snap_next(&it));) {
        const struct role *role = snap_get(r->snap, &kind_role, x->implied_id);
        if (role)
            write_role(r, w, NULL, role);
    }
    jw_arr_end(w);
}

enum outcome role_implies_list(struct req *r)
{
    const struct role *prior = role_or_fail(r, r->param[0]);
    if (!prior)
        return req_failed(r);
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    jw_obj(&w, "role_inference");
    write_role(r, &w, "prior_role", prior);
    write_implied(r, &w, prior->rec.id);
    jw_obj_end(&w);
    write_list_links(r, &w);
    jw_obj_end(&w);
    return req_reply(r, 200);
}

static enum outcome reply_inference(struct req *r, const struct role *prior,
                                    const struct role *implied, int status)
{
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    jw_obj(&w, "role_inference");
    write_role(r, &w, "prior_role", prior);
    write_role(r, &w, "implies", implied);
    jw_obj_end(&w);
    jw_obj(&w, "links");
    jw_strf(&w, "self", "%s/v3/roles/%s/implies/%s", req_base_url(r),
            prior->rec.id, implied->rec.id);
    jw_obj_end(&w);
    jw_obj_end(&w);
    return req_reply(r, status);
}

struct reach {
    const char *wanted;
    bool found;
};

static bool reaches(void *arg, const char *role_id, const char *prior_id)
{
    struct reach *x = arg;
    x->found |= strcmp(role_id, x->wanted) == 0;
    return !x->found;
}

/* Admin is never had by implication, and no role implies itself in a ring. */
static bool may_imply(struct req *r, const struct role *prior,
                      const struct role *implied)
{
    struct reach ring = { prior->rec.id, false };
    if (!implied->domain_id && strcmp(implied->name, "admin") == 0)
        return error_set(&r->err, ERR_FORBIDDEN,
                         "%.64s cannot be an implied roles.", implied->rec.id);
    roles_implied(r->snap, implied->rec.id, reaches, &ring);
    return !ring.found || error_set(&r->err, ERR_INVALID,
                                    "Role %.64s already implies role %.64s",
                                    implied->rec.id, prior->rec.id);
}

enum outcome role_implies_put(struct req *r)
{
    const struct role *prior = role_or_fail(r, r->param[0]);
    const struct role *implied = prior ? role_or_fail(r, r->param[1]) : NULL;
    if (!implied || !may_imply(r, prior, implied))
        return req_failed(r);
    _autorecord_ struct role_inference *x = record_new(
        &kind_role_inference, req_strf(r, "%s/%s", r->param[0], r->param[1]));
    if (!snap_get(r->snap, &kind_role_inference, x->rec.id)) {
        x->prior_id = rec_str(x, r->param[0]);
        x->implied_id = rec_str(x, r->param[1]);
        settle_role(r, r->param[0]);
        settle_role(r, r->param[1]);
        txn_change_record(&r->txn, x);
    }
    return reply_inference(r, prior, implied, 201);
}

static const struct role_inference *
inference(struct req *r, const struct role **prior, const struct role **implied)
{
    *prior = role_or_fail(r, r->param[0]);
    *implied = *prior ? role_or_fail(r, r->param[1]) : NULL;
    if (!*implied)
        return NULL;
    const struct role_inference *x =
        snap_get(r->snap, &kind_role_inference,
                 req_strf(r, "%s/%s", r->param[0], r->param[1]));
    if (!x)
        error_set(&r->err, ERR_NOT_FOUND, "%.64s does not imply %.64s.",
                  r->param[0], r->param[1]);
    return x;
}

enum outcome role_implies_show(struct req *r)
{
    const struct role *prior, *implied;
    return inference(r, &prior, &implied)
               ? reply_inference(r, prior, implied, 200)
               : req_failed(r);
}

enum outcome role_implies_delete(struct req *r)
{
    const struct role *prior, *implied;
    const struct role_inference *x = inference(r, &prior, &implied);
    if (!x)
        return req_failed(r);
    txn_delete_record(&r->txn, x);
    return req_reply(r, 204);
}

enum outcome role_inferences(struct req *r)
{
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    jw_arr(&w, "role_inferences");
    struct snap_iter it = snap_all(r->snap, &kind_role);
    for (const struct role *role; (role = snap_next(&it));) {
        if (!snap_find(r->snap, &kind_role_inference, "prior_id", role->rec.id))
            continue;
        jw_obj(&w, NULL);
        write_role(r, &w, "prior_role", role);
        write_implied(r, &w, role->rec.id);
        jw_obj_end(&w);
    }
    jw_arr_end(&w);
    write_list_links(r, &w);
    jw_obj_end(&w);
    return req_reply(r, 200);
}
