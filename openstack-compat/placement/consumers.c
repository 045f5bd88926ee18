/* Servers as consumers; what projects use. */
#include "openstack-compat/placement/placement.h"

#include <string.h>

static void write_allocation(struct jw *w, const struct node *n,
                             const struct server *s)
{
    struct amounts a = server_amounts(s);
    jw_obj(w, n->hypervisor_id);
    jw_int(w, "generation", n->rec.mod_rev);
    write_amounts(w, "resources", &a);
    jw_obj_end(w);
}

/* One that nobody knows has no allocations: that is no error here. */
enum outcome consumer_allocations(struct req *r)
{
    const struct server *s = snap_get(r->snap, &kind_server, r->param[0]);
    const struct node *n = s ? snap_get(r->snap, &kind_node, s->node) : NULL;
    bool placed = n && n->hypervisor_id;
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    jw_obj(&w, "allocations");
    if (placed)
        write_allocation(&w, n, s);
    jw_obj_end(&w);
    if (placed && r->mv >= MV(1, 12)) {
        jw_str(&w, "project_id", s->project_id);
        jw_str(&w, "user_id", s->user_id);
    }
    if (placed && r->mv >= MV(1, 28))
        jw_int(&w, "consumer_generation", s->rec.mod_rev);
    if (placed && r->mv >= MV(1, 38))
        jw_str(&w, "consumer_type", "INSTANCE");
    jw_obj_end(&w);
    return req_reply(r, 200);
}

static bool is(const char *wanted, const char *have)
{
    return !wanted || (have && strcmp(wanted, have) == 0);
}

static void write_usages(struct req *r, const struct amounts *sum,
                         int64_t servers)
{
    bool by_type = r->mv >= MV(1, 38);
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    jw_obj(&w, "usages");
    if (by_type && servers) {
        jw_obj(&w, "INSTANCE");
        jw_int(&w, "consumer_count", servers);
    }
    for (int c = 0; c < N_CLASSES && servers; c++)
        jw_int(&w, class_names[c], sum->n[c]);
    if (by_type && servers)
        jw_obj_end(&w);
    jw_obj_end(&w);
    jw_obj_end(&w);
}

enum outcome project_usages(struct req *r)
{
    const char *project = req_query(r, "project_id");
    const char *user = req_query(r, "user_id");
    struct amounts sum = { { 0 } };
    int64_t servers = 0;
    if (!project)
        return req_fail(r, ERR_INVALID,
                        "Invalid query string parameters: 'project_id' is a "
                        "required property");
    if (!req_may_see(r, project))
        return req_fail(r, ERR_FORBIDDEN,
                        "placement:usages is disallowed by policy");
    struct snap_iter it = snap_by(r->snap, &kind_server, "project_id", project);
    for (const struct server *s; (s = snap_next(&it));) {
        if (!s->node || !is(user, s->user_id))
            continue;
        struct amounts a = server_amounts(s);
        for (int c = 0; c < N_CLASSES; c++)
            sum.n[c] += a.n[c];
        servers++;
    }
    write_usages(r, &sum, servers);
    return req_reply(r, 200);
}
