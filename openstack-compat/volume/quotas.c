/* Quota sets and limits of block storage. */
#include "openstack-compat/volume/cinder.h"

#include <string.h>

#define SERVICE "volume"

/* What cinder lists besides: nothing may be had of what is not built. */
static const struct {
    const char *name;
    int64_t limit;
} fixed[] = {
    { "backups", 0 },
    { "backup_gigabytes", 0 },
    { "groups", 0 },
    { "per_volume_gigabytes", -1 },
};

static bool is_ours(const struct quota_default *d)
{
    return strcmp(d->service, SERVICE) == 0;
}

static void write_one(struct jw *w, const char *name, int64_t limit,
                      int64_t used, bool usage)
{
    if (!usage) {
        jw_int(w, name, limit);
        return;
    }
    jw_obj(w, name);
    jw_int(w, "limit", limit);
    jw_int(w, "in_use", used);
    jw_int(w, "reserved", 0);
    jw_int(w, "allocated", 0);
    jw_obj_end(w);
}

/* `limits` NULL: the defaults. */
static enum outcome write_set(struct req *r, const struct list *limits,
                              const char *project, bool usage)
{
    static const struct list none;
    limits = limits ? limits : &none;
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    jw_obj(&w, "quota_set");
    jw_str(&w, "id", project);
    for (const struct quota_default *d = quota_defaults; d->name; d++)
        if (is_ours(d))
            write_one(&w, d->name, amount_get(limits, d->name, d->limit),
                      quota_used(r->snap, SERVICE, project, d->name), usage);
    for (size_t i = 0; i < ARRAY_SIZE(fixed); i++)
        write_one(&w, fixed[i].name, fixed[i].limit, 0, usage);
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
    return req_may_see(r, project) ||
           error_set(&r->err, ERR_FORBIDDEN,
                     "Policy doesn't allow volume_extension:quotas:show to be "
                     "performed.");
}

enum outcome cinder_quota_show(struct req *r)
{
    const char *project = r->param[0], *asked = req_query(r, "usage");
    bool usage = false;
    if (!may_read(r, project))
        return req_failed(r);
    if (asked && !parse_bool(asked, &usage))
        return req_fail(r, ERR_INVALID, "Invalid value '%.40s' for usage",
                        asked);
    const struct quota *q = quota_of(r, project);
    return write_set(r, q ? &q->limits : NULL, project, usage);
}

enum outcome cinder_quota_defaults(struct req *r)
{
    return may_read(r, r->param[0]) ? write_set(r, NULL, r->param[0], false)
                                    : req_failed(r);
}

/* ---- changing ---------------------------------------------------------- */

/* Members that say something about the request, not a limit. */
static bool is_remark(const char *name)
{
    static const char *const remarks[] = { "tenant_id", "project_id", "force",
                                           "skip_validation", "id" };
    for (size_t i = 0; i < ARRAY_SIZE(remarks); i++)
        if (strcmp(remarks[i], name) == 0)
            return true;
    return false;
}

static bool set_limit(struct req *r, struct quota *q, const char *name,
                      const json_t *value)
{
    struct attr a = { .name = name, .check = CHECK_INT, .min = -1 };
    _autojson_ json_t *converted = NULL;
    for (const struct quota_default *d = quota_defaults; d->name; d++) {
        if (!is_ours(d) || strcmp(d->name, name) != 0)
            continue;
        if (!check_value(&a, STYLE_CINDER, value, &converted, &r->err))
            return false;
        amount_set(q, &q->limits, name,
                   json_integer_value(converted ? converted : value));
        return true;
    }
    return is_remark(name) ||
           error_set(&r->err, ERR_INVALID,
                     "Bad key in quota set: '%.64s' cannot be limited here",
                     name);
}

enum outcome cinder_quota_update(struct req *r)
{
    const char *name;
    json_t *value, *body = req_envelope(r, "quota_set");
    const struct quota *was = quota_of(r, r->param[0]);
    if (!body)
        return req_failed(r);
    _autorecord_ struct quota *q =
        was ? record_copy(was)
            : record_new(&kind_quota, req_strf(r, SERVICE "/%s", r->param[0]));
    json_object_foreach(body, name, value)
    {
        if (!set_limit(r, q, name, value))
            return req_failed(r);
    }
    txn_change_record(&r->txn, q);
    return write_set(r, &q->limits, r->param[0], false);
}

enum outcome cinder_quota_delete(struct req *r)
{
    const struct quota *was = quota_of(r, r->param[0]);
    if (was)
        txn_delete_record(&r->txn, was);
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
