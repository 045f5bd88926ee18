/* Limits, quota sets and usage. */
#include "openstack-compat/compute/nova.h"

#include "model/identity.h"

#include <string.h>

#define SERVICE "compute"

/* What nova lists besides what Cairn counts: fixed limits of this build. */
static const struct {
    const char *name;
    int64_t limit;
    microversion last; /* 0: still shown */
} fixed[] = {
    { "metadata_items", 128, 0 },
    { "key_pairs", 100, 0 },
    { "server_group_members", 20, 0 },
    { "injected_files", 0, MV(2, 56) },
    { "injected_file_content_bytes", 0, MV(2, 56) },
    { "injected_file_path_bytes", 0, MV(2, 56) },
    { "fixed_ips", -1, MV(2, 35) },
    { "floating_ips", -1, MV(2, 35) },
    { "security_groups", -1, MV(2, 35) },
    { "security_group_rules", -1, MV(2, 35) },
};

static bool is_ours(const struct quota_default *d)
{
    return strcmp(d->service, SERVICE) == 0;
}

static void write_one(struct jw *w, const char *name, int64_t limit,
                      int64_t used, bool detail)
{
    if (!detail) {
        jw_int(w, name, limit);
        return;
    }
    jw_obj(w, name);
    jw_int(w, "limit", limit);
    jw_int(w, "in_use", used);
    jw_int(w, "reserved", 0);
    jw_obj_end(w);
}

static enum outcome write_set(struct req *r, const struct quota *q,
                              const char *project, bool detail, bool with_id)
{
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    jw_obj(&w, "quota_set");
    if (with_id)
        jw_str(&w, "id", project);
    for (const struct quota_default *d = quota_defaults; d->name; d++)
        if (is_ours(d))
            write_one(&w, d->name,
                      q ? amount_get(&q->limits, d->name, d->limit) : d->limit,
                      quota_used(r->snap, SERVICE, project, d->name), detail);
    for (size_t i = 0; i < ARRAY_SIZE(fixed); i++)
        if (!fixed[i].last || r->mv <= fixed[i].last)
            write_one(&w, fixed[i].name, fixed[i].limit, 0, detail);
    jw_obj_end(&w);
    jw_obj_end(&w);
    return req_reply(r, 200);
}

static const struct quota *quota_of(struct req *r, const char *project)
{
    return snap_get(r->snap, &kind_quota, req_strf(r, SERVICE "/%s", project));
}

static bool may_read(struct req *r, const char *project)
{
    if (r->auth.is_admin && !snap_get(r->snap, &kind_project, project))
        return error_set(&r->err, ERR_INVALID,
                         "Project ID %.64s is not a valid project.", project);
    return req_may_see(r, project) ||
           error_set(&r->err, ERR_FORBIDDEN,
                     "Policy doesn't allow os_compute_api:os-quota-sets:show "
                     "to be performed.");
}

enum outcome nova_quota_show(struct req *r)
{
    const char *project = r->param[0];
    return may_read(r, project)
               ? write_set(r, quota_of(r, project), project, false, true)
               : req_failed(r);
}

enum outcome nova_quota_detail(struct req *r)
{
    const char *project = r->param[0];
    return may_read(r, project)
               ? write_set(r, quota_of(r, project), project, true, true)
               : req_failed(r);
}

enum outcome nova_quota_defaults(struct req *r)
{
    return may_read(r, r->param[0])
               ? write_set(r, NULL, r->param[0], false, true)
               : req_failed(r);
}

/* Less than what is in use needs force. */
static bool covers_use(struct req *r, const char *name, int64_t limit)
{
    const char *project = r->param[0];
    int64_t used = quota_used(r->snap, SERVICE, project, name);
    bool force = json_is_true(
        json_object_get(json_object_get(r->body, "quota_set"), "force"));
    return limit < 0 || limit >= used || force ||
           error_set(&r->err, ERR_INVALID,
                     "Quota limit %lld for %s must be greater than or equal to "
                     "already used and reserved %lld.",
                     (long long)limit, name, (long long)used);
}

static bool set_limit(struct req *r, struct quota *q, const char *name,
                      const json_t *v)
{
    struct attr a = { name, .check = CHECK_INT, .min = -1, .max = INT32_MAX };
    _autojson_ json_t *owned = NULL;
    if (strcmp(name, "force") == 0)
        return true;
    for (const struct quota_default *d = quota_defaults; d->name; d++) {
        if (!is_ours(d) || strcmp(d->name, name) != 0)
            continue;
        if (!check_value(&a, STYLE_NOVA, v, &owned, &r->err))
            return false;
        int64_t limit = json_integer_value(owned ? owned : v);
        amount_set(q, &q->limits, name, limit);
        return covers_use(r, name, limit);
    }
    for (size_t i = 0; i < ARRAY_SIZE(fixed); i++)
        if (strcmp(fixed[i].name, name) == 0)
            return json_integer_value(v) == fixed[i].limit ||
                   error_set(&r->err, ERR_NOT_IMPLEMENTED,
                             "The limit of %s is fixed.", name);
    return error_set(&r->err, ERR_INVALID,
                     "Additional properties are not allowed ('%.64s' was "
                     "unexpected)",
                     name);
}

enum outcome nova_quota_update(struct req *r)
{
    const char *name;
    json_t *value, *body = req_envelope(r, "quota_set");
    const char *id = req_strf(r, SERVICE "/%s", r->param[0]);
    const struct quota *was = snap_get(r->snap, &kind_quota, id);
    _autorecord_ struct quota *q =
        was ? record_copy(was) : record_new(&kind_quota, id);
    if (!body || !may_read(r, r->param[0]))
        return req_failed(r);
    if (req_query(r, "user_id"))
        return req_fail(r, ERR_NOT_IMPLEMENTED,
                        "Quotas of single users are not built.");
    json_object_foreach(
        body, name,
        value) if (!set_limit(r, q, name, value)) return req_failed(r);
    txn_change_record(&r->txn, q);
    return write_set(r, q, r->param[0], false, false);
}

enum outcome nova_quota_delete(struct req *r)
{
    const struct quota *q = quota_of(r, r->param[0]);
    if (req_query(r, "user_id"))
        return req_fail(r, ERR_NOT_IMPLEMENTED,
                        "Quotas of single users are not built.");
    if (q)
        txn_delete_record(&r->txn, q);
    return req_reply(r, 202);
}

/* ---- limits ------------------------------------------------------------ */

static const struct {
    const char *limit, *used, *name;
} absolute[] = {
    { "maxTotalInstances", "totalInstancesUsed", "instances" },
    { "maxTotalCores", "totalCoresUsed", "cores" },
    { "maxTotalRAMSize", "totalRAMUsed", "ram" },
    { "maxServerGroups", "totalServerGroupsUsed", "server_groups" },
};

enum outcome nova_limits(struct req *r)
{
    const char *asked = req_query(r, "tenant_id");
    const char *project =
        asked && r->auth.is_admin ? asked : r->auth.project_id;
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    jw_obj(&w, "limits");
    jw_arr(&w, "rate");
    jw_arr_end(&w);
    jw_obj(&w, "absolute");
    for (size_t i = 0; i < ARRAY_SIZE(absolute); i++) {
        jw_int(&w, absolute[i].limit,
               quota_limit(r->snap, SERVICE, project, absolute[i].name));
        jw_int(&w, absolute[i].used,
               quota_used(r->snap, SERVICE, project, absolute[i].name));
    }
    jw_int(&w, "maxServerMeta", 128);
    jw_int(&w, "maxTotalKeypairs", 100);
    jw_int(&w, "maxServerGroupMembers", 20);
    if (r->mv < MV(2, 39))
        jw_int(&w, "maxImageMeta", 128);
    if (r->mv < MV(2, 57)) {
        jw_int(&w, "maxPersonality", 0);
        jw_int(&w, "maxPersonalitySize", 0);
    }
    jw_obj_end(&w);
    jw_obj_end(&w);
    jw_obj_end(&w);
    return req_reply(r, 200);
}
