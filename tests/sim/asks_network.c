#include "asks.h"

#include "model/compute.h"
#include "model/identity.h"
#include "model/image.h"
#include "model/network.h"
#include "model/pool.h"

#include <string.h>

static bool network_new(struct make *m)
{
    return ask_new(
        m, NET "/networks", &kind_network, "network.id",
        ask_text(m, "{\"network\": {\"name\": \"%s\"}}", ask_a_name(m, "n")));
}

static bool network_end(struct make *m)
{
    const struct network *n = ask_a_record(m, &kind_network);
    return n && !n->external &&
           ask_end(m, &kind_network, NET "/networks",
                   ask_text(m, "%s", n->rec.id));
}

static bool subnet_new(struct make *m)
{
    static const char *const sizes[] = { "0/29", "0/24", "64/28" };
    const struct network *n = ask_a_record(m, &kind_network);
    return n && !n->external &&
           ask_new(
               m, NET "/subnets", &kind_subnet, "subnet.id",
               ask_text(m,
                        "{\"subnet\": {\"network_id\": \"%s\", \"ip_version\":"
                        " 4, \"cidr\": \"10.0.%d.%s\"}}",
                        n->rec.id, (int)chance(m->w, 8),
                        sizes[chance(m->w, ARRAY_SIZE(sizes))]));
}

static bool subnet_change(struct make *m)
{
    const char *id = ask_an_id(m, &kind_subnet);
    static const char *const bodies[] = {
        "{\"subnet\": {\"enable_dhcp\": false}}",
        "{\"subnet\": {\"enable_dhcp\": true}}",
        "{\"subnet\": {\"gateway_ip\": null}}",
        "{\"subnet\": {\"gateway_ip\": \"10.0.1.1\"}}",
        "{\"subnet\": {\"dns_nameservers\": [\"9.9.9.9\"]}}",
        ("{\"subnet\": {\"allocation_pools\": [{\"start\": \"10.0.1.10\","
         " \"end\": \"10.0.1.12\"}]}}"),
    };
    return id && ask(m, "PUT", ask_text(m, NET "/subnets/%s", id),
                     bodies[chance(m->w, ARRAY_SIZE(bodies))]);
}

static bool subnet_end(struct make *m)
{
    return ask_delete(m, &kind_subnet, NET "/subnets");
}

static bool port_new(struct make *m)
{
    const char *network = ask_an_id(m, &kind_network), *more = "";
    const struct subnet *s = ask_a_record(m, &kind_subnet);
    if (!network)
        return false;
    if (s && chance_percent(m->w, 30)) {
        network = ask_text(m, "%s", s->network_id);
        more = ask_text(m,
                        ", \"fixed_ips\": [{\"subnet_id\": \"%s\","
                        " \"ip_address\": \"%.*s%d\"}]",
                        s->rec.id, (int)strcspn(s->cidr, "/") - 1, s->cidr,
                        (int)chance(m->w, 6) + 1);
    } else if (chance_percent(m->w, 10)) {
        more = ask_text(m, ", \"mac_address\": \"fa:16:3e:00:00:0%d\"",
                        (int)chance(m->w, 9));
    }
    return ask_new(
        m, NET "/ports", &kind_port, "port.id",
        ask_text(m, "{\"port\": {\"network_id\": \"%s\"%s}}", network, more));
}

static bool port_change(struct make *m)
{
    const struct port *p = ask_a_record(m, &kind_port);
    const char *group = ask_an_id(m, &kind_security_group);
    if (!p)
        return false;
    const char *body = "{\"port\": {\"admin_state_up\": false}}";
    if (group && chance_percent(m->w, 40))
        body =
            ask_text(m, "{\"port\": {\"security_groups\": [\"%s\"]}}", group);
    else if (chance_percent(m->w, 40))
        body = "{\"port\": {\"admin_state_up\": true}}";
    else if (chance_percent(m->w, 40))
        body = "{\"port\": {\"fixed_ips\": []}}";
    return ask(m, "PUT", ask_text(m, NET "/ports/%s", p->rec.id), body);
}

static bool port_end(struct make *m)
{
    return ask_delete(m, &kind_port, NET "/ports");
}

static bool router_new(struct make *m)
{
    const char *gateway = "";
    const struct pool *pool = snap_get(m->s, &kind_pool, "pool");
    if (chance_percent(m->w, 60))
        gateway = ask_text(m,
                           ", \"external_gateway_info\": {\"network_id\":"
                           " \"%s\"}",
                           pool->external_network_id);
    return ask_new(m, NET "/routers", &kind_router, "router.id",
                   ask_text(m, "{\"router\": {\"name\": \"%s\"%s}}",
                            ask_a_name(m, "r"), gateway));
}

static bool router_change(struct make *m)
{
    const char *id = ask_an_id(m, &kind_router);
    const struct pool *pool = snap_get(m->s, &kind_pool, "pool");
    return id && ask(m, "PUT", ask_text(m, NET "/routers/%s", id),
                     chance_percent(m->w, 50)
                         ? "{\"router\": {\"external_gateway_info\": null}}"
                         : ask_text(m,
                                    "{\"router\": {\"external_gateway_info\":"
                                    " {\"network_id\": \"%s\"}}}",
                                    pool->external_network_id));
}

static bool router_interface(struct make *m)
{
    const char *id = ask_an_id(m, &kind_router);
    bool by_port = chance_percent(m->w, 20);
    const char *what = ask_an_id(m, by_port ? &kind_port : &kind_subnet);
    return id && what &&
           ask(m, "PUT",
               ask_text(m, NET "/routers/%s/%s_router_interface", id,
                        chance_percent(m->w, 65) ? "add" : "remove"),
               ask_text(m, "{\"%s\": \"%s\"}",
                        by_port ? "port_id" : "subnet_id", what));
}

static bool router_end(struct make *m)
{
    return ask_delete(m, &kind_router, NET "/routers");
}

static bool floating_ip_new(struct make *m)
{
    const struct pool *pool = snap_get(m->s, &kind_pool, "pool");
    const char *port = ask_an_id(m, &kind_port), *more = "";
    if (port && chance_percent(m->w, 50))
        more = ask_text(m, ", \"port_id\": \"%s\"", port);
    return ask_new(m, NET "/floatingips", &kind_floating_ip, "floatingip.id",
                   ask_text(m,
                            "{\"floatingip\": {\"floating_network_id\":"
                            " \"%s\"%s}}",
                            pool->external_network_id, more));
}

static bool floating_ip_change(struct make *m)
{
    const char *id = ask_an_id(m, &kind_floating_ip);
    const char *port = ask_an_id(m, &kind_port);
    return id &&
           ask(m, "PUT", ask_text(m, NET "/floatingips/%s", id),
               port && chance_percent(m->w, 70)
                   ? ask_text(m, "{\"floatingip\": {\"port_id\": \"%s\"}}",
                              port)
                   : "{\"floatingip\": {\"port_id\": null}}");
}

static bool floating_ip_end(struct make *m)
{
    return ask_delete(m, &kind_floating_ip, NET "/floatingips");
}

static bool group_rule_new(struct make *m)
{
    const char *group = ask_an_id(m, &kind_security_group);
    const char *remote = ask_an_id(m, &kind_security_group), *more = "";
    if (remote && chance_percent(m->w, 30))
        more = ask_text(m, ", \"remote_group_id\": \"%s\"", remote);
    return group &&
           ask_new(m, NET "/security-group-rules", &kind_security_group_rule,
                   "security_group_rule.id",
                   ask_text(m,
                            "{\"security_group_rule\": {\"security_group_id\":"
                            " \"%s\", \"direction\": \"ingress\", \"protocol\":"
                            " \"tcp\", \"port_range_min\": %d,"
                            " \"port_range_max\": 90%s}}",
                            group, (int)chance(m->w, 100), more));
}

static bool group_rule_end(struct make *m)
{
    return ask_delete(m, &kind_security_group_rule,
                      NET "/security-group-rules");
}

static bool security_group_new(struct make *m)
{
    return ask_new(m, NET "/security-groups", &kind_security_group,
                   "security_group.id",
                   ask_text(m, "{\"security_group\": {\"name\": \"%s\"}}",
                            ask_a_name(m, "s")));
}

static bool security_group_end(struct make *m)
{
    return ask_delete(m, &kind_security_group, NET "/security-groups");
}

static bool network_list(struct make *m)
{
    static const char *const paths[] = { "networks",
                                         "subnets",
                                         "ports",
                                         "routers",
                                         "floatingips",
                                         "security-groups",
                                         "security-group-rules",
                                         "extensions",
                                         "agents",
                                         "ports?status=ACTIVE&limit=3",
                                         "networks?fields=id" };
    return ask(m, "GET",
               ask_text(m, NET "/%s", paths[chance(m->w, ARRAY_SIZE(paths))]),
               NULL);
}

static bool network_rename(struct make *m)
{
    return ask_rename(m, &kind_network, NET "/networks", "network");
}

static bool network_quota(struct make *m)
{
    const struct project *p = snap_find(m->s, &kind_project, "name", "demo");
    return ask(m, "PUT", ask_text(m, NET "/quotas/%s", p->rec.id),
               ask_text(m, "{\"quota\": {\"port\": %d, \"network\": %d}}",
                        (int)chance(m->w, 60), (int)chance(m->w, 20)));
}

static bool network_show(struct make *m)
{
    static const struct {
        const struct kind *kind;
        const char *path;
    } things[] = {
        { &kind_network, NET "/networks" },
        { &kind_port, NET "/ports" },
        { &kind_subnet, NET "/subnets" },
        { &kind_floating_ip, NET "/floatingips" },
    };
    size_t i = chance(m->w, ARRAY_SIZE(things));
    return ask_show(m, things[i].kind, things[i].path);
}

const struct ask_row asks_network[] = {
    { "network new", 12, ANY, network_new },
    { "network end", 6, ANY, network_end },
    { "network rename", 4, ANY, network_rename },
    { "subnet new", 16, ANY, subnet_new },
    { "subnet change", 5, ANY, subnet_change },
    { "subnet end", 6, ANY, subnet_end },
    { "port new", 22, ANY, port_new },
    { "port change", 10, ANY, port_change },
    { "port end", 12, ANY, port_end },
    { "router new", 8, ANY, router_new },
    { "router change", 5, ANY, router_change },
    { "router interface", 14, ANY, router_interface },
    { "router end", 6, ANY, router_end },
    { "floating ip new", 10, ANY, floating_ip_new },
    { "floating ip change", 8, ANY, floating_ip_change },
    { "floating ip end", 6, ANY, floating_ip_end },
    { "security group new", 5, ANY, security_group_new },
    { "security group end", 4, ANY, security_group_end },
    { "rule new", 8, ANY, group_rule_new },
    { "rule end", 5, ANY, group_rule_end },
    { "network show", 8, ANY, network_show },
    { "network list", 8, ANY, network_list },
    { "network quota", 2, ADM, network_quota },
    { 0 },
};
