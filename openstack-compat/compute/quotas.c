/* Limits, quota sets and usage. */
#include "openstack-compat/compute/nova.h"

#include "model/identity.h"
#include "openstack-compat/quota_set.h"

#include <string.h>

#define SERVICE "compute"

static const struct quota_fixed fixed[] = {
    { "metadata_items", 128 },
    { "key_pairs", 100 },
    { "server_group_members", 20 },
    { "injected_files", 0, MV(2, 56) },
    { "injected_file_content_bytes", 0, MV(2, 56) },
    { "injected_file_path_bytes", 0, MV(2, 56) },
    { "fixed_ips", -1, MV(2, 35) },
    { "floating_ips", -1, MV(2, 35) },
    { "security_groups", -1, MV(2, 35) },
    { "security_group_rules", -1, MV(2, 35) },
    { 0 },
};

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

static bool check_limit(struct req *r, const char *name, const json_t *v,
                        int64_t *n)
{
    struct attr a = { name, .check = CHECK_INT, .min = -1, .max = INT32_MAX };
    _autojson_ json_t *owned = NULL;
    if (!check_value(&a, STYLE_NOVA, v, &owned, &r->err))
        return false;
    *n = json_integer_value(owned ? owned : v);
    return covers_use(r, name, *n);
}

static bool check_other(struct req *r, const char *name, const json_t *v)
{
    if (strcmp(name, "force") == 0)
        return true;
    for (const struct quota_fixed *f = fixed; f->name; f++)
        if (strcmp(f->name, name) == 0)
            return json_integer_value(v) == f->limit ||
                   error_set(&r->err, ERR_NOT_IMPLEMENTED,
                             "The limit of %s is fixed.", name);
    return error_set(&r->err, ERR_INVALID,
                     "Additional properties are not allowed ('%.64s' was "
                     "unexpected)",
                     name);
}

static const struct quota_api api = {
    .service = SERVICE,
    .envelope = "quota_set",
    .used = "in_use",
    .fixed = fixed,
    .denied = "Policy doesn't allow os_compute_api:os-quota-sets:show to be "
              "performed.",
    .check = check_limit,
    .other = check_other,
};

static bool may_read(struct req *r, const char *project)
{
    if (r->auth.is_admin && !snap_get(r->snap, &kind_project, project))
        return error_set(&r->err, ERR_INVALID,
                         "Project ID %.64s is not a valid project.", project);
    return quota_set_may_read(r, &api, project);
}

static enum outcome show(struct req *r, const struct quota *q, bool usage)
{
    const char *project = r->param[0];
    return may_read(r, project)
               ? quota_set_reply(r, &api, q, project, usage, project)
               : req_failed(r);
}

enum outcome nova_quota_show(struct req *r)
{
    return show(r, quota_set_of(r, &api, r->param[0]), false);
}

enum outcome nova_quota_detail(struct req *r)
{
    return show(r, quota_set_of(r, &api, r->param[0]), true);
}

enum outcome nova_quota_defaults(struct req *r)
{
    return show(r, NULL, false);
}

static bool of_whole_project(struct req *r)
{
    return !req_query(r, "user_id") ||
           error_set(&r->err, ERR_NOT_IMPLEMENTED,
                     "Quotas of single users are not built.");
}

enum outcome nova_quota_update(struct req *r)
{
    const char *project = r->param[0];
    if (!req_envelope(r, "quota_set") || !may_read(r, project) ||
        !of_whole_project(r))
        return req_failed(r);
    _autorecord_ struct quota *q = quota_set_change(r, &api, project);
    return q ? quota_set_reply(r, &api, q, project, false, NULL)
             : req_failed(r);
}

enum outcome nova_quota_delete(struct req *r)
{
    if (!of_whole_project(r))
        return req_failed(r);
    quota_set_reset(r, &api, r->param[0]);
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
