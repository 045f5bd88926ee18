/* Quota sets and limits of block storage. */
#include "openstack-compat/volume/cinder.h"

#include "openstack-compat/quota_set.h"

#include <string.h>

#define SERVICE "volume"

/* Nothing may be had of what is not built. */
static const struct quota_fixed fixed[] = {
    { "backups", 0 },
    { "backup_gigabytes", 0 },
    { "groups", 0 },
    { "per_volume_gigabytes", -1 },
    { 0 },
};

static bool check_limit(struct req *r, const char *name, const json_t *v,
                        int64_t *n)
{
    struct attr a = { .name = name, .check = CHECK_INT, .min = -1 };
    _autojson_ json_t *owned = NULL;
    if (!check_value(&a, STYLE_CINDER, v, &owned, &r->err))
        return false;
    *n = json_integer_value(owned ? owned : v);
    return true;
}

/* Some members say something about the request, not a limit. */
static bool check_other(struct req *r, const char *name, const json_t *v)
{
    static const char *const remarks[] = { "tenant_id", "project_id", "force",
                                           "skip_validation", "id" };
    for (size_t i = 0; i < ARRAY_SIZE(remarks); i++)
        if (strcmp(remarks[i], name) == 0)
            return true;
    return error_set(&r->err, ERR_INVALID,
                     "Bad key in quota set: '%.64s' cannot be limited here",
                     name);
}

static const struct quota_api api = {
    .service = SERVICE,
    .envelope = "quota_set",
    .used = "in_use",
    .allocated = true,
    .fixed = fixed,
    .denied = "Policy doesn't allow volume_extension:quotas:show to be "
              "performed.",
    .check = check_limit,
    .other = check_other,
};

enum outcome cinder_quota_show(struct req *r)
{
    const char *project = r->param[0], *asked = req_query(r, "usage");
    bool usage = false;
    if (!quota_set_may_read(r, &api, project))
        return req_failed(r);
    if (asked && !parse_bool(asked, &usage))
        return req_fail(r, ERR_INVALID, "Invalid value '%.40s' for usage",
                        asked);
    return quota_set_reply(r, &api, quota_set_of(r, &api, project), project,
                           usage, project);
}

enum outcome cinder_quota_defaults(struct req *r)
{
    const char *project = r->param[0];
    return quota_set_may_read(r, &api, project)
               ? quota_set_reply(r, &api, NULL, project, false, project)
               : req_failed(r);
}

enum outcome cinder_quota_update(struct req *r)
{
    const char *project = r->param[0];
    _autorecord_ struct quota *q = quota_set_change(r, &api, project);
    return q ? quota_set_reply(r, &api, q, project, false, project)
             : req_failed(r);
}

enum outcome cinder_quota_delete(struct req *r)
{
    quota_set_reset(r, &api, r->param[0]);
    return req_reply(r, 200);
}

/* ---- limits ------------------------------------------------------------ */

static const struct {
    const char *name;       /* of the quota */
    const char *max, *used; /* in the document */
} absolutes[] = {
    { "volumes", "maxTotalVolumes", "totalVolumesUsed" },
    { "gigabytes", "maxTotalVolumeGigabytes", "totalGigabytesUsed" },
    { "snapshots", "maxTotalSnapshots", "totalSnapshotsUsed" },
};

static const char *limits_project(struct req *r)
{
    const char *asked = req_query(r, "project_id");
    return asked && r->auth.is_admin ? asked
           : r->auth.project_id      ? r->auth.project_id
                                     : "";
}

enum outcome cinder_limits(struct req *r)
{
    const char *project = limits_project(r);
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    jw_obj(&w, "limits");
    jw_arr(&w, "rate");
    jw_arr_end(&w);
    jw_obj(&w, "absolute");
    for (size_t i = 0; i < ARRAY_SIZE(absolutes); i++) {
        const char *name = absolutes[i].name;
        jw_int(&w, absolutes[i].max,
               quota_limit(r->snap, SERVICE, project, name));
        jw_int(&w, absolutes[i].used,
               quota_used(r->snap, SERVICE, project, name));
    }
    jw_int(&w, "maxTotalBackups", 0);
    jw_int(&w, "totalBackupsUsed", 0);
    jw_int(&w, "maxTotalBackupGigabytes", 0);
    jw_int(&w, "totalBackupGigabytesUsed", 0);
    jw_obj_end(&w);
    jw_obj_end(&w);
    jw_obj_end(&w);
    return req_reply(r, 200);
}
