#include "openstack-compat/compute/nova.h"

#include <string.h>

static void write_members(struct req *r, struct jw *w,
                          const struct server_group *g)
{
    struct snap_iter it =
        snap_by(r->snap, &kind_server, "server_group_id", g->rec.id);
    jw_arr(w, "members");
    for (const struct server *s; (s = snap_next(&it));)
        if (s->goal != GOAL_DELETED)
            jw_str(w, NULL, s->rec.id);
    jw_arr_end(w);
}

static void write_group(struct req *r, struct jw *w, const char *key,
                        const struct server_group *g)
{
    jw_obj(w, key);
    jw_str(w, "id", g->rec.id);
    jw_str(w, "name", g->name);
    if (r->mv >= MV(2, 64)) {
        jw_str(w, "policy", g->policy);
        jw_obj(w, "rules");
        if (g->max_server_per_host)
            jw_int(w, "max_server_per_host", g->max_server_per_host);
        jw_obj_end(w);
    } else {
        jw_arr(w, "policies");
        jw_str(w, NULL, g->policy);
        jw_arr_end(w);
        jw_obj(w, "metadata");
        jw_obj_end(w);
    }
    write_members(r, w, g);
    if (r->mv >= MV(2, 13)) {
        jw_str(w, "project_id", g->project_id);
        jw_str(w, "user_id", g->user_id);
    }
    jw_obj_end(w);
}

static const struct server_group *get_group(struct req *r, const char *id)
{
    const struct server_group *g = snap_get(r->snap, &kind_server_group, id);
    if (g && req_may_see(r, g->project_id))
        return g;
    error_set(&r->err, ERR_NOT_FOUND,
              "Instance group %.80s could not be found.", id);
    return NULL;
}

static bool listed(struct req *r, const void *record, void *arg)
{
    const struct server_group *g = record;
    bool all = r->auth.is_admin && req_query(r, "all_projects");
    return all || (r->auth.project_id &&
                   strcmp(g->project_id, r->auth.project_id) == 0);
}

enum outcome server_group_list(struct req *r)
{
    struct page page;
    struct page_spec spec = { .kind = &kind_server_group, .filter = listed };
    if (!page_collect(r, &spec, &page))
        return req_failed(r);
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    jw_arr(&w, "server_groups");
    for (size_t i = 0; i < page.n; i++)
        write_group(r, &w, NULL, page.v[i]);
    jw_arr_end(&w);
    jw_obj_end(&w);
    return req_reply(r, 200);
}

static enum outcome reply_group(struct req *r, const struct server_group *g)
{
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    write_group(r, &w, "server_group", g);
    jw_obj_end(&w);
    return req_reply(r, 200);
}

enum outcome server_group_show(struct req *r)
{
    const struct server_group *g = get_group(r, r->param[0]);
    return g ? reply_group(r, g) : req_failed(r);
}

static bool policy_known(struct req *r, const char *policy)
{
    static const char *const strict[] = { "affinity", "anti-affinity" };
    static const char *const soft[] = { "soft-affinity", "soft-anti-affinity" };
    for (size_t i = 0; policy && i < 2; i++)
        if (strcmp(policy, strict[i]) == 0 ||
            (r->mv >= MV(2, 15) && strcmp(policy, soft[i]) == 0))
            return true;
    return error_set(&r->err, ERR_INVALID,
                     "Invalid input for field/attribute policy: '%.40s' is not "
                     "one of [anti-affinity, affinity, soft-anti-affinity, "
                     "soft-affinity]",
                     policy ? policy : "");
}

static const char *read_policy(struct req *r, const json_t *body)
{
    const json_t *policies = json_object_get(body, "policies");
    if (r->mv >= MV(2, 64))
        return json_string_value(json_object_get(body, "policy"));
    return json_array_size(policies) == 1
               ? json_string_value(json_array_get(policies, 0))
               : NULL;
}

static bool read_rules(struct req *r, const json_t *body,
                       struct server_group *g)
{
    const json_t *rules = json_object_get(body, "rules");
    const json_t *max = json_object_get(rules, "max_server_per_host");
    if (!max)
        return true;
    g->max_server_per_host = json_is_string(max)
                                 ? strtoll(json_string_value(max), NULL, 10)
                                 : json_integer_value(max);
    if (g->max_server_per_host < 1 || strcmp(g->policy, "anti-affinity") != 0)
        return error_set(&r->err, ERR_INVALID,
                         "max_server_per_host must be 1 or more and goes with "
                         "policy anti-affinity only.");
    return true;
}

enum outcome server_group_create(struct req *r)
{
    static const char *const known[] = { "name", "policies", "policy", "rules",
                                         NULL };
    struct amount one = { "server_groups", 1 };
    const char *name;
    const json_t *body = req_envelope(r, "server_group");
    if (!body || !nova_only(r, body, known) ||
        !nova_string(r, body, "name", 1, 255, &name))
        return req_failed(r);
    const char *policy = read_policy(r, body);
    if (!name)
        return req_fail(r, ERR_INVALID, "'name' is a required property");
    if (!policy_known(r, policy))
        return req_failed(r);
    _autorecord_ struct server_group *g =
        record_new(&kind_server_group, req_uuid(r));
    g->project_id = rec_str(g, r->auth.project_id);
    g->user_id = rec_str(g, r->auth.user_id);
    g->name = rec_str(g, name);
    g->policy = rec_str(g, policy);
    g->created = r->now;
    if (!read_rules(r, body, g) ||
        !quota_charge(&r->txn, r->snap, "compute", g->project_id, &one, 1,
                      &r->err))
        return req_failed(r);
    txn_change_record(&r->txn, g);
    return reply_group(r, g);
}

enum outcome server_group_delete(struct req *r)
{
    struct amount less = { "server_groups", -1 };
    const struct server_group *g = get_group(r, r->param[0]);
    if (!g || !quota_charge(&r->txn, r->snap, "compute", g->project_id, &less,
                            1, &r->err))
        return req_failed(r);
    txn_delete_record(&r->txn, g);
    return req_reply(r, 204);
}
