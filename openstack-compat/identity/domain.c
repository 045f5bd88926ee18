/* Domains. */
#include "openstack-compat/identity/parts.h"

#include <string.h>

static bool domain_visible(struct req *r, const void *record)
{
    const struct record *rec = record;
    const struct auth *a = &r->auth;
    const char *own[] = { a->user_domain_id, a->project_domain_id,
                          a->domain_id };
    for (size_t i = 0; i < ARRAY_SIZE(own); i++)
        if (own[i] && strcmp(own[i], rec->id) == 0)
            return true;
    return a->is_admin;
}

static bool admin_writes(struct req *r, const void *record)
{
    return r->auth.is_admin;
}

static bool domain_created(struct req *r, void *draft, const json_t *body)
{
    struct domain *d = draft;
    return take_new_name(r, d, "", d->name) &&
           keep_extra(r, &resource_domain, d, body);
}

static bool domain_updated(struct req *r, const void *old, void *draft,
                           const json_t *body)
{
    const struct domain *was = old;
    struct domain *d = draft;
    return change_name(r, d, "", was->name, d->name) &&
           keep_extra(r, &resource_domain, d, body);
}

static void drop_content(struct req *r, const struct domain *d)
{
    const char *id = d->rec.id;
    struct snap_iter it = snap_by(r->snap, &kind_user, "domain_id", id);
    for (const struct user *u; (u = snap_next(&it));)
        drop_user(r, u);
    it = snap_by(r->snap, &kind_group, "domain_id", id);
    for (const struct group *g; (g = snap_next(&it));)
        drop_group(r, g);
    it = snap_by(r->snap, &kind_project, "domain_id", id);
    for (const struct project *p; (p = snap_next(&it));)
        drop_project(r, p);
    it = snap_all(r->snap, &kind_role);
    for (const struct role *role; (role = snap_next(&it));)
        if (role->domain_id && strcmp(role->domain_id, id) == 0)
            drop_role(r, role);
    delete_where(r, &kind_assignment, "target_id", id);
}

static bool domain_deleted(struct req *r, const void *record)
{
    const struct domain *d = record;
    if (d->enabled)
        return error_set(&r->err, ERR_FORBIDDEN,
                         "Cannot delete a domain that is enabled, please "
                         "disable it first.");
    drop_content(r, d);
    name_release(&r->txn, d, "", d->name);
    return txn_fits(r, "The domain");
}

static const struct attr domain_attrs[] = {
    { "id", NULL, A_FILTER },
    { "name", NULL, A_CU | A_REQUIRED | A_FILTER, CHECK_NAME, 1, 64 },
    { "description", NULL, A_CU | A_NULL, CHECK_TEXT, 0, 65535, .dflt = "\"\"",
      .show = show_text_or_empty },
    { "enabled", NULL, A_CU | A_FILTER, CHECK_BOOL, .dflt = "true" },
    { "tags", NULL, A_CU, CHECK_STRS },
    { "explicit_domain_id", NULL, A_HIDDEN }, /* domain_create */
    ATTR_OPTIONS,
    ATTR_LINKS,
    ATTR_EXTRA,
    ATTR_END,
};

const struct resource resource_domain = {
    .kind = &kind_domain,
    .singular = "domain",
    .plural = "domains",
    .noun = "domain",
    .attrs = domain_attrs,
    .hex_id = true,
    .path = "/v3/domains",
    .visible = domain_visible,
    .writable = admin_writes,
    .created = domain_created,
    .updated = domain_updated,
    .deleted = domain_deleted,
};

/* ---- POST /domains with an id that the caller chose -------------------- */

static enum outcome create_with_id(struct req *r, const json_t *body,
                                   const char *id)
{
    if (strlen(id) != 32 || strspn(id, "0123456789abcdef") != 32)
        return req_fail(r, ERR_INVALID,
                        "Domain ID does not conform to required UUID format.");
    if (snap_get(r->snap, &kind_domain, id) ||
        snap_get(r->snap, &kind_project, id))
        return req_fail(r, ERR_EXISTS,
                        "Conflict occurred attempting to store project - "
                        "Duplicate entry found with ID %s.",
                        id);
    _autorecord_ struct domain *d = record_new(&kind_domain, id);
    if (!resource_fill(r, &resource_domain, d, body, true) ||
        !domain_created(r, d, body))
        return req_failed(r);
    txn_change_record(&r->txn, d);
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    resource_write(r, &resource_domain, &w, "domain", d);
    jw_obj_end(&w);
    return req_reply(r, 201);
}

enum outcome domain_create(struct req *r)
{
    const json_t *body = json_object_get(r->body, "domain");
    const json_t *id = json_object_get(body, "explicit_domain_id");
    if (!id)
        return resource_create(r);
    return json_is_string(id)
               ? create_with_id(r, body, json_string_value(id))
               : req_fail(r, ERR_INVALID,
                          "Invalid input for field 'explicit_domain_id'");
}
