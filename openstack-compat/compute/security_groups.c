/* Neutron's security groups as older nova clients read them.  Only reading:
 * the proxy that makes and changes them ended with 2.35. */
#include "openstack-compat/compute/nova.h"

#include <string.h>

static void write_remote(struct req *r, struct jw *w,
                         const struct security_group_rule *x)
{
    const struct security_group *g =
        snap_get(r->snap, &kind_security_group, x->remote_group_id);
    jw_obj(w, "group");
    if (g) {
        jw_str(w, "name", g->name);
        jw_str(w, "tenant_id", g->project_id);
    }
    jw_obj_end(w);
    jw_obj(w, "ip_range");
    if (x->remote_ip_prefix)
        jw_str(w, "cidr", x->remote_ip_prefix);
    jw_obj_end(w);
}

static void write_port(struct jw *w, const char *key, int64_t n)
{
    if (n < 0)
        jw_null(w, key);
    else
        jw_int(w, key, n);
}

/* Nova knows rules for what comes in only. */
static void write_rules(struct req *r, struct jw *w,
                        const struct security_group *g)
{
    struct snap_iter it = snap_by(r->snap, &kind_security_group_rule,
                                  "security_group_id", g->rec.id);
    jw_arr(w, "rules");
    for (const struct security_group_rule *x; (x = snap_next(&it));) {
        if (strcmp(x->direction, "ingress") != 0)
            continue;
        jw_obj(w, NULL);
        jw_str(w, "id", x->rec.id);
        jw_str(w, "parent_group_id", g->rec.id);
        jw_str(w, "ip_protocol", x->protocol);
        write_port(w, "from_port", x->port_min);
        write_port(w, "to_port", x->port_max);
        write_remote(r, w, x);
        jw_obj_end(w);
    }
    jw_arr_end(w);
}

static void write_group(struct req *r, struct jw *w, const char *key,
                        const struct security_group *g)
{
    jw_obj(w, key);
    jw_str(w, "id", g->rec.id);
    jw_str(w, "name", g->name);
    jw_str(w, "description", g->description);
    jw_str(w, "tenant_id", g->project_id);
    write_rules(r, w, g);
    jw_obj_end(w);
}

static bool seen_before(const struct port *const *ports, size_t i, size_t k)
{
    const char *id = ports[i]->security_group_ids.v[k];
    for (size_t n = 0; n < i; n++)
        if (strs_has(&ports[n]->security_group_ids, id))
            return true;
    return false;
}

enum outcome server_security_groups(struct req *r)
{
    const struct server *s = server_get(r, r->param[0]);
    const struct port *ports[SERVER_PORTS_MAX];
    size_t n = s ? server_ports(r, s, ports) : 0;
    struct jw w = req_json(r);
    if (!s)
        return req_failed(r);
    jw_obj(&w, NULL);
    jw_arr(&w, "security_groups");
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < ports[i]->security_group_ids.n; k++) {
            const struct security_group *g =
                snap_get(r->snap, &kind_security_group,
                         ports[i]->security_group_ids.v[k]);
            if (g && !seen_before(ports, i, k))
                write_group(r, &w, NULL, g);
        }
    jw_arr_end(&w);
    jw_obj_end(&w);
    return req_reply(r, 200);
}

enum outcome nova_security_group_list(struct req *r)
{
    struct snap_iter it = snap_by(r->snap, &kind_security_group, "project_id",
                                  r->auth.project_id);
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    jw_arr(&w, "security_groups");
    for (const struct security_group *g; (g = snap_next(&it));)
        write_group(r, &w, NULL, g);
    jw_arr_end(&w);
    jw_obj_end(&w);
    return req_reply(r, 200);
}

enum outcome nova_security_group_show(struct req *r)
{
    const struct security_group *g =
        snap_get(r->snap, &kind_security_group, r->param[0]);
    if (!g || !req_may_see(r, g->project_id))
        return req_fail(r, ERR_NOT_FOUND, "Security group %.80s not found.",
                        r->param[0]);
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    write_group(r, &w, "security_group", g);
    jw_obj_end(&w);
    return req_reply(r, 200);
}
