/* Groups and who is in them. */
#include "openstack-compat/identity/grants.h"
#include "openstack-compat/identity/parts.h"

#include <stdio.h>
#include <string.h>

static bool group_visible(struct req *r, const void *record)
{
    const struct record *rec = record;
    return r->auth.is_admin ||
           group_has_user(r->snap, rec->id, r->auth.user_id);
}

static bool admin_writes(struct req *r, const void *record)
{
    return r->auth.is_admin;
}

static bool group_created(struct req *r, void *draft, const json_t *body)
{
    struct group *g = draft;
    return settle_domain(r, g, &g->domain_id) &&
           take_new_name(r, g, g->domain_id, g->name) &&
           keep_extra(r, &resource_group, g, body);
}

static bool group_updated(struct req *r, const void *old, void *draft,
                          const json_t *body)
{
    const struct group *was = old;
    struct group *g = draft;
    return change_name(r, g, g->domain_id, was->name, g->name) &&
           keep_extra(r, &resource_group, g, body);
}

void drop_group(struct req *r, const struct group *g)
{
    delete_where(r, &kind_group_member, "group_id", g->rec.id);
    delete_where(r, &kind_assignment, "actor_id", g->rec.id);
    name_release(&r->txn, g, g->domain_id, g->name);
    txn_delete_record(&r->txn, g);
}

static bool group_deleted(struct req *r, const void *record)
{
    drop_group(r, record);
    return txn_fits(r, "The group");
}

static const struct attr group_attrs[] = {
    { "id", NULL, A_FILTER },
    { "name", NULL, A_CU | A_REQUIRED | A_FILTER, CHECK_NAME, 1, 255 },
    { "domain_id", NULL, A_CREATE | A_NULL | A_FILTER, CHECK_TEXT, 1, 64 },
    { "description", NULL, A_CU | A_NULL, CHECK_TEXT, 0, 65535,
      .show = show_text_or_empty },
    ATTR_LINKS,
    ATTR_EXTRA,
    ATTR_END,
};

const struct resource resource_group = {
    .kind = &kind_group,
    .singular = "group",
    .plural = "groups",
    .noun = "group",
    .attrs = group_attrs,
    .hex_id = true,
    .path = "/v3/groups",
    .visible = group_visible,
    .writable = admin_writes,
    .created = group_created,
    .updated = group_updated,
    .deleted = group_deleted,
};

/* ---- members: /groups/{id}/users/{user} -------------------------------- */

static bool member_of_group(struct req *r, const void *record, const void *arg)
{
    const struct user *u = record;
    const char *name = req_query(r, "name");
    return (!name || strcmp(name, u->name) == 0) &&
           group_has_user(r->snap, arg, u->rec.id);
}

enum outcome group_users(struct req *r)
{
    if (!resource_get(r, &resource_group, r->param[0]))
        return req_failed(r);
    return reply_list(r, &resource_user, member_of_group, r->param[0]);
}

static bool both_known(struct req *r)
{
    return settle_ref(r, &kind_group, "group", r->param[0]) &&
           settle_ref(r, &kind_user, "user", r->param[1]);
}

enum outcome group_user_add(struct req *r)
{
    if (!both_known(r))
        return req_failed(r);
    _autorecord_ struct group_member *m = record_new(
        &kind_group_member, req_strf(r, "%s/%s", r->param[0], r->param[1]));
    if (snap_get(r->snap, &kind_group_member, m->rec.id)) {
        txn_reset(&r->txn);
        return req_reply(r, 204);
    }
    m->group_id = rec_str(m, r->param[0]);
    m->user_id = rec_str(m, r->param[1]);
    txn_change_record(&r->txn, m);
    return req_reply(r, 204);
}

static const struct group_member *membership(struct req *r)
{
    const struct group_member *m = NULL;
    if (both_known(r)) {
        m = snap_get(r->snap, &kind_group_member,
                     req_strf(r, "%s/%s", r->param[0], r->param[1]));
        if (!m)
            error_set(&r->err, ERR_NOT_FOUND,
                      "User %.64s not found in group %.64s", r->param[1],
                      r->param[0]);
    }
    txn_reset(&r->txn);
    return m;
}

enum outcome group_user_check(struct req *r)
{
    return membership(r) ? req_reply(r, 204) : req_failed(r);
}

enum outcome group_user_remove(struct req *r)
{
    const struct group_member *m = membership(r);
    if (!m)
        return req_failed(r);
    txn_delete_record(&r->txn, m);
    return req_reply(r, 204);
}
