#include "openstack-compat/network/neutron.h"

#include <stdio.h>
#include <string.h>

#define SERVICE "network"

static bool is_ours(const struct quota_default *d)
{
    return strcmp(d->service, SERVICE) == 0;
}

static enum outcome write_limits(struct req *r, const char *project_id,
                                 bool defaults)
{
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    jw_obj(&w, "quota");
    for (const struct quota_default *d = quota_defaults; d->name; d++)
        if (is_ours(d))
            jw_int(&w, d->name,
                   defaults
                       ? d->limit
                       : quota_limit(r->snap, SERVICE, project_id, d->name));
    jw_obj_end(&w);
    jw_obj_end(&w);
    return req_reply(r, 200);
}

static bool may_read(struct req *r, const char *project_id)
{
    return req_may_see(r, project_id) ||
           error_set(&r->err, ERR_FORBIDDEN,
                     "(rule:get_quota) is disallowed by policy");
}

enum outcome neutron_quota_show(struct req *r)
{
    if (!may_read(r, r->param[0]))
        return req_failed(r);
    return write_limits(r, r->param[0], false);
}

enum outcome neutron_quota_default(struct req *r)
{
    return write_limits(r, r->param[0], true);
}

enum outcome neutron_quota_details(struct req *r)
{
    const char *project = r->param[0];
    if (!may_read(r, project))
        return req_failed(r);
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    jw_obj(&w, "quota");
    for (const struct quota_default *d = quota_defaults; d->name; d++) {
        if (!is_ours(d))
            continue;
        jw_obj(&w, d->name);
        jw_int(&w, "limit", quota_limit(r->snap, SERVICE, project, d->name));
        jw_int(&w, "used", quota_used(r->snap, SERVICE, project, d->name));
        jw_int(&w, "reserved", 0);
        jw_obj_end(&w);
    }
    jw_obj_end(&w);
    jw_obj_end(&w);
    return req_reply(r, 200);
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
        for (const struct quota_default *d = quota_defaults; d->name; d++)
            if (is_ours(d))
                jw_int(&w, d->name,
                       quota_limit(r->snap, SERVICE, project, d->name));
        jw_obj_end(&w);
    }
    jw_arr_end(&w);
    jw_obj_end(&w);
    return req_reply(r, 200);
}

static bool set_limit(struct req *r, struct quota *q, const char *name,
                      const json_t *value)
{
    int64_t n = json_integer_value(value);
    for (const struct quota_default *d = quota_defaults; d->name; d++) {
        if (!is_ours(d) || strcmp(d->name, name) != 0)
            continue;
        if (!json_is_integer(value) || n < -1 || n > INT32_MAX)
            return error_set(&r->err, ERR_INVALID,
                             "Invalid input for %s: an integer of -1 or more "
                             "is expected",
                             name);
        amount_set(q, &q->limits, name, n);
        return true;
    }
    /* OpenStackClient's --force and --check-limit */
    if (strcmp(name, "force") == 0 || strcmp(name, "check_limit") == 0)
        return true;
    return error_set(&r->err, ERR_INVALID, "Unrecognized attribute(s) '%.64s'",
                     name);
}

enum outcome neutron_quota_update(struct req *r)
{
    const char *name;
    json_t *value, *body = req_envelope(r, "quota");
    const char *id = req_strf(r, SERVICE "/%s", r->param[0]);
    const struct quota *was = snap_get(r->snap, &kind_quota, id);
    _autorecord_ struct quota *q =
        was ? record_copy(was) : record_new(&kind_quota, id);
    if (!body)
        return req_failed(r);
    json_object_foreach(
        body, name,
        value) if (!set_limit(r, q, name, value)) return req_failed(r);
    txn_change_record(&r->txn, q);
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    jw_obj(&w, "quota");
    for (const struct quota_default *d = quota_defaults; d->name; d++)
        if (is_ours(d))
            jw_int(&w, d->name, amount_get(&q->limits, d->name, d->limit));
    jw_obj_end(&w);
    jw_obj_end(&w);
    return req_reply(r, 200);
}

enum outcome neutron_quota_delete(struct req *r)
{
    const char *id = req_strf(r, SERVICE "/%s", r->param[0]);
    const struct quota *was = snap_get(r->snap, &kind_quota, id);
    if (was)
        txn_delete_record(&r->txn, was);
    return req_reply(r, 204);
}
