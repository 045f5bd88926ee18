#include "openstack-compat/quota_set.h"

#include <string.h>

static const char *record_id(struct req *r, const struct quota_api *a,
                             const char *project)
{
    return req_strf(r, "%s/%s", a->service, project);
}

const struct quota *quota_set_of(struct req *r, const struct quota_api *a,
                                 const char *project)
{
    return snap_get(r->snap, &kind_quota, record_id(r, a, project));
}

bool quota_set_may_read(struct req *r, const struct quota_api *a,
                        const char *project)
{
    return req_may_see(r, project) ||
           error_set(&r->err, ERR_FORBIDDEN, "%s", a->denied);
}

/* ---- showing ----------------------------------------------------------- */

static void write_one(struct jw *w, const struct quota_api *a, const char *name,
                      int64_t limit, int64_t used, bool usage)
{
    if (!usage) {
        jw_int(w, name, limit);
        return;
    }
    jw_obj(w, name);
    jw_int(w, "limit", limit);
    jw_int(w, a->used, used);
    jw_int(w, "reserved", 0);
    if (a->allocated)
        jw_int(w, "allocated", 0);
    jw_obj_end(w);
}

void quota_set_write(struct req *r, struct jw *w, const struct quota_api *a,
                     const struct quota *q, const char *project, bool usage)
{
    static const struct quota_fixed none = { 0 };
    for (const struct quota_default *d = quota_defaults; d->name; d++)
        if (strcmp(d->service, a->service) == 0)
            write_one(w, a, d->name,
                      q ? amount_get(&q->limits, d->name, d->limit) : d->limit,
                      quota_used(r->snap, a->service, project, d->name), usage);
    for (const struct quota_fixed *f = a->fixed ? a->fixed : &none; f->name;
         f++)
        if (!f->last || r->mv <= f->last)
            write_one(w, a, f->name, f->limit, 0, usage);
}

enum outcome quota_set_reply(struct req *r, const struct quota_api *a,
                             const struct quota *q, const char *project,
                             bool usage, const char *id)
{
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    jw_obj(&w, a->envelope);
    if (id)
        jw_str(&w, "id", id);
    quota_set_write(r, &w, a, q, project, usage);
    jw_obj_end(&w);
    jw_obj_end(&w);
    return req_reply(r, 200);
}

/* ---- changing ---------------------------------------------------------- */

static bool is_limit(const struct quota_api *a, const char *name)
{
    for (const struct quota_default *d = quota_defaults; d->name; d++)
        if (strcmp(d->service, a->service) == 0 && strcmp(d->name, name) == 0)
            return true;
    return false;
}

static bool set_limit(struct req *r, const struct quota_api *a, struct quota *q,
                      const char *name, const json_t *value)
{
    int64_t n;
    if (!is_limit(a, name))
        return a->other(r, name, value);
    if (!a->check(r, name, value, &n))
        return false;
    amount_set(q, &q->limits, name, n);
    return true;
}

struct quota *quota_set_change(struct req *r, const struct quota_api *a,
                               const char *project)
{
    const char *name;
    json_t *value, *body = req_envelope(r, a->envelope);
    const struct quota *was = quota_set_of(r, a, project);
    if (!body)
        return NULL;
    struct quota *q = was ? record_copy(was)
                          : record_new(&kind_quota, record_id(r, a, project));
    json_object_foreach(body, name, value)
    {
        if (!set_limit(r, a, q, name, value)) {
            record_unref(q);
            return NULL;
        }
    }
    txn_change_record(&r->txn, q);
    return q;
}

void quota_set_reset(struct req *r, const struct quota_api *a,
                     const char *project)
{
    const struct quota *was = quota_set_of(r, a, project);
    if (was)
        txn_delete_record(&r->txn, was);
}
