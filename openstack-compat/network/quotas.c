/* Neutron's quotas. */
#include "openstack-compat/network/neutron.h"

#include "openstack-compat/quota_set.h"

#include <string.h>

#define SERVICE "network"

static bool check_limit(struct req *r, const char *name, const json_t *v,
                        int64_t *n)
{
    *n = json_integer_value(v);
    return (json_is_integer(v) && *n >= -1 && *n <= INT32_MAX) ||
           error_set(&r->err, ERR_INVALID,
                     "Invalid input for %s: an integer of -1 or more is "
                     "expected",
                     name);
}

/* OpenStackClient sends its --force and --check-limit. */
static bool check_other(struct req *r, const char *name, const json_t *v)
{
    return strcmp(name, "force") == 0 || strcmp(name, "check_limit") == 0 ||
           error_set(&r->err, ERR_INVALID, "Unrecognized attribute(s) '%.64s'",
                     name);
}

static const struct quota_api api = {
    .service = SERVICE,
    .envelope = "quota",
    .used = "used",
    .denied = "(rule:get_quota) is disallowed by policy",
    .check = check_limit,
    .other = check_other,
};

static enum outcome show(struct req *r, bool own, bool usage)
{
    const char *project = r->param[0];
    if (!quota_set_may_read(r, &api, project))
        return req_failed(r);
    return quota_set_reply(r, &api, own ? quota_set_of(r, &api, project) : NULL,
                           project, usage, NULL);
}

enum outcome neutron_quota_show(struct req *r)
{
    return show(r, true, false);
}

enum outcome neutron_quota_details(struct req *r)
{
    return show(r, true, true);
}

enum outcome neutron_quota_default(struct req *r)
{
    return show(r, false, false);
}

enum outcome neutron_quota_list(struct req *r)
{
    struct snap_iter it = snap_all(r->snap, &kind_quota);
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    jw_arr(&w, "quotas");
    for (const struct quota *q; (q = snap_next(&it));) {
        if (strncmp(q->rec.id, SERVICE "/", sizeof(SERVICE)) != 0)
            continue;
        const char *project = q->rec.id + sizeof(SERVICE);
        jw_obj(&w, NULL);
        jw_str(&w, "project_id", project);
        jw_str(&w, "tenant_id", project);
        quota_set_write(r, &w, &api, q, project, false);
        jw_obj_end(&w);
    }
    jw_arr_end(&w);
    jw_obj_end(&w);
    return req_reply(r, 200);
}

enum outcome neutron_quota_update(struct req *r)
{
    const char *project = r->param[0];
    _autorecord_ struct quota *q = quota_set_change(r, &api, project);
    return q ? quota_set_reply(r, &api, q, project, false, NULL)
             : req_failed(r);
}

enum outcome neutron_quota_delete(struct req *r)
{
    quota_set_reset(r, &api, r->param[0]);
    return req_reply(r, 204);
}
