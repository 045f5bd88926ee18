/* Neutron's discovery documents, extensions and routes. */
#include "openstack-compat/network/neutron.h"

#include "openstack-compat/discovery.h"

#include <string.h>

/* ---- discovery --------------------------------------------------------- */

static enum outcome neutron_versions(struct req *r)
{
    static const struct api_version version = { .id = "v2.0",
                                                .status = "CURRENT",
                                                .path = "v2.0/" };
    return discovery_list(r, 200, &version, 1);
}

static const struct resource *const collections[] = {
    &neutron_networks,
    &neutron_subnets,
    &neutron_ports,
    &neutron_routers,
    &neutron_floating_ips,
    &neutron_security_groups,
    &neutron_security_group_rules,
};

static enum outcome neutron_resources(struct req *r)
{
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    jw_arr(&w, "resources");
    for (size_t i = 0; i < ARRAY_SIZE(collections); i++) {
        jw_obj(&w, NULL);
        jw_arr(&w, "links");
        jw_obj(&w, NULL);
        jw_str(&w, "rel", "self");
        jw_strf(&w, "href", "%s%s", req_base_url(r), collections[i]->path);
        jw_obj_end(&w);
        jw_arr_end(&w);
        jw_str(&w, "name", collections[i]->singular);
        jw_str(&w, "collection", collections[i]->plural);
        jw_obj_end(&w);
    }
    jw_arr_end(&w);
    jw_obj_end(&w);
    return req_reply(r, 200);
}

/* ---- extensions: only what is really there ----------------------------- */

static const struct extension {
    const char *alias, *name, *description;
} extensions[] = {
    { "agent", "agent", "The agent management extension (read only)." },
    { "allowed-address-pairs", "Allowed Address Pairs",
      "Provides allowed address pairs" },
    { "availability_zone", "Availability Zone",
      "The availability zone extension." },
    { "binding", "Port Binding", "Expose port bindings of a virtual port" },
    { "dns-integration", "DNS Integration",
      "Provides integration with DNS: port names in the network's domain" },
    { "ext-gw-mode", "Neutron L3 Configurable external gateway mode",
      "Extension of the router abstraction for specifying whether SNAT should "
      "occur on the external gateway" },
    { "external-net", "Neutron external network",
      "Adds external network attribute to network resource." },
    { "extraroute", "Neutron Extra Route",
      "Extra routes configuration for L3 router" },
    { "extraroute-atomic", "Atomically add/remove extra routes",
      "Edit extra routes of a router on server side by atomically "
      "adding/removing extra routes" },
    { "fip-port-details", "Floating IP Port Details Extension",
      "Add port_details attribute to Floating IP resource" },
    { "ip-substring-filtering", "IP address substring filtering",
      "Provides IP address substring filtering when listing ports" },
    { "net-mtu", "Network MTU", "Provides MTU attribute for a network." },
    { "net-mtu-writable", "Network MTU (writable)",
      "Provides a writable MTU attribute for a network resource." },
    { "pagination", "Pagination support",
      "Extension that indicates that pagination is enabled." },
    { "port-security", "Port Security", "Provides port security" },
    { "project-id", "project_id field enabled",
      "Extension that indicates that project_id field is enabled." },
    { "provider", "Provider Network",
      "Expose mapping of virtual networks to physical networks" },
    { "quotas", "Quota management support",
      "Expose functions for quotas management per tenant" },
    { "quota_details", "Quota details management support",
      "Expose functions for quotas usage statistics per project" },
    { "router", "Neutron L3 Router",
      "Router abstraction for basic L3 forwarding between L2 Neutron networks "
      "and access to external networks via a NAT gateway." },
    { "security-group", "security-group", "The security groups extension." },
    { "sorting", "Sorting support",
      "Extension that indicates that sorting is enabled." },
    { "standard-attr-description", "standard-attr-description",
      "Extension to add descriptions to standard attributes" },
    { "standard-attr-revisions", "Resource revision numbers",
      "This extension will display the revision number of neutron resources." },
    { "standard-attr-tag", "Tag support for resources with standard attribute",
      "Enables to set tag on resources with standard attribute." },
    { "standard-attr-timestamp", "Resource timestamps",
      "Adds created_at and updated_at fields to all Neutron resources." },
    { "stateful-security-group", "Stateful security group",
      "Indicates if the security group is stateful or not" },
};

static void write_extension(struct jw *w, const char *key,
                            const struct extension *e)
{
    jw_obj(w, key);
    jw_str(w, "alias", e->alias);
    jw_str(w, "name", e->name);
    jw_str(w, "description", e->description);
    jw_str(w, "updated", "2026-01-01T00:00:00-00:00");
    jw_arr(w, "links");
    jw_arr_end(w);
    jw_obj_end(w);
}

static enum outcome neutron_extensions(struct req *r)
{
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    jw_arr(&w, "extensions");
    for (size_t i = 0; i < ARRAY_SIZE(extensions); i++)
        write_extension(&w, NULL, &extensions[i]);
    jw_arr_end(&w);
    jw_obj_end(&w);
    return req_reply(r, 200);
}

static enum outcome neutron_extension(struct req *r)
{
    struct jw w = req_json(r);
    for (size_t i = 0; i < ARRAY_SIZE(extensions); i++) {
        if (strcmp(extensions[i].alias, r->param[0]) != 0)
            continue;
        jw_obj(&w, NULL);
        write_extension(&w, "extension", &extensions[i]);
        jw_obj_end(&w);
        return req_reply(r, 200);
    }
    return req_fail_type(r, ERR_NOT_FOUND, "ExtensionsNotFound",
                         "Extensions not found: [%.64s].", r->param[0]);
}

/* ---- zones and agents -------------------------------------------------- */

static const char *zone_of(const struct node *n)
{
    return n->availability_zone ? n->availability_zone : "nova";
}

static void write_zone(struct jw *w, const char *name, const char *resource)
{
    jw_obj(w, NULL);
    jw_str(w, "name", name);
    jw_str(w, "resource", resource);
    jw_str(w, "state", "available");
    jw_obj_end(w);
}

/* A filter of a list that no table drives. */
static bool asked_for(struct req *r, const char *name, const char *have)
{
    const char *want = req_query(r, name);
    return !want || strcmp(want, have) == 0;
}

static enum outcome neutron_zones(struct req *r)
{
    struct strs seen = { 0 };
    _autorecord_ struct node *scratch = record_new(&kind_node, "scratch");
    struct snap_iter it = snap_all(r->snap, &kind_node);
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    jw_arr(&w, "availability_zones");
    for (const struct node *n; (n = snap_next(&it));) {
        if (strs_has(&seen, zone_of(n)) || !asked_for(r, "name", zone_of(n)))
            continue;
        strs_add(scratch, &seen, zone_of(n));
        if (asked_for(r, "resource", "network"))
            write_zone(&w, zone_of(n), "network");
        if (asked_for(r, "resource", "router"))
            write_zone(&w, zone_of(n), "router");
    }
    jw_arr_end(&w);
    jw_obj_end(&w);
    return req_reply(r, 200);
}

/* A node's controller speaks for it; it is alive while its daemon is. */
#define NODE_SILENT_US (60 * SECOND_US)

#define AGENT_TYPE   "OVN Controller agent"
#define AGENT_BINARY "ovn-controller"

static void write_agent(struct req *r, struct jw *w, const char *key,
                        const struct node *n)
{
    char when[TIME_TEXT_MAX];
    jw_obj(w, key);
    jw_str(w, "id", n->hypervisor_id);
    jw_str(w, "agent_type", AGENT_TYPE);
    jw_str(w, "binary", AGENT_BINARY);
    jw_str(w, "topic", "n/a");
    jw_str(w, "host", n->rec.id);
    jw_str(w, "availability_zone", zone_of(n));
    jw_bool(w, "alive", r->now - n->seen < NODE_SILENT_US);
    jw_bool(w, "admin_state_up", true);
    jw_str(w, "heartbeat_timestamp", time_format(n->seen, TIME_SECONDS, when));
    jw_obj(w, "configurations");
    jw_obj_end(w);
    jw_obj_end(w);
}

static enum outcome neutron_agents(struct req *r)
{
    struct snap_iter it = snap_all(r->snap, &kind_node);
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    jw_arr(&w, "agents");
    for (const struct node *n; (n = snap_next(&it));)
        if (n->hypervisor_id && asked_for(r, "id", n->hypervisor_id) &&
            asked_for(r, "host", n->rec.id) &&
            asked_for(r, "agent_type", AGENT_TYPE) &&
            asked_for(r, "binary", AGENT_BINARY))
            write_agent(r, &w, NULL, n);
    jw_arr_end(&w);
    jw_obj_end(&w);
    return req_reply(r, 200);
}

static enum outcome neutron_agent(struct req *r)
{
    const struct node *n =
        snap_find(r->snap, &kind_node, "hypervisor_id", r->param[0]);
    if (!n)
        return req_fail_type(r, ERR_NOT_FOUND, "AgentNotFound",
                             "Agent %.64s could not be found.", r->param[0]);
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    write_agent(r, &w, "agent", n);
    jw_obj_end(&w);
    return req_reply(r, 200);
}

/* ---- routes ------------------------------------------------------------ */

#define R POLICY_READER
#define M POLICY_MEMBER
#define A POLICY_ADMIN

#define UPDATE(path_, resource_)                                               \
    {                                                                          \
        "PUT", path_ "/{id}", resource_update, M, 0, 0, 0, &(resource_)        \
    }
#define TAGS(path_, resource_)                                                 \
    {                                                                          \
        "GET", path_ "/{id}/tags", neutron_tags_show, R, 0, 0, 0, &(resource_) \
    },                                                                         \
        { "PUT", path_ "/{id}/tags", neutron_tags_replace, M, 0, 0,            \
          0,     &(resource_) },                                               \
        { "DELETE", path_ "/{id}/tags", neutron_tags_clear, M, 0, 0,           \
          0,        &(resource_) },                                            \
        { "GET",       path_ "/{id}/tags/{tag}", neutron_tag_show, R, 0, 0, 0, \
          &(resource_) },                                                      \
        { "PUT",                                                               \
          path_ "/{id}/tags/{tag}",                                            \
          neutron_tag_add,                                                     \
          M,                                                                   \
          ROUTE_NO_BODY,                                                       \
          0,                                                                   \
          0,                                                                   \
          &(resource_) },                                                      \
    {                                                                          \
        "DELETE", path_ "/{id}/tags/{tag}", neutron_tag_remove, M, 0, 0, 0,    \
            &(resource_)                                                       \
    }
#define COLLECTION(path_, resource_)                                           \
    RESOURCE_ROUTES(path_, resource_, R, M), UPDATE(path_, resource_),         \
        TAGS(path_, resource_)

static const struct route routes[] = {
    { "GET", "/", neutron_versions, POLICY_PUBLIC },
    { "GET", "/v2.0", neutron_resources, POLICY_PUBLIC },
    { "GET", "/v2.0/extensions", neutron_extensions, POLICY_TOKEN },
    { "GET", "/v2.0/extensions/{alias}", neutron_extension, POLICY_TOKEN },
    COLLECTION("/v2.0/networks", neutron_networks),
    COLLECTION("/v2.0/subnets", neutron_subnets),
    { "DELETE", "/v2.0/ports/{id}", neutron_port_delete, M },
    COLLECTION("/v2.0/ports", neutron_ports),
    COLLECTION("/v2.0/routers", neutron_routers),
    { "PUT", "/v2.0/routers/{id}/add_router_interface",
      neutron_router_add_interface, M },
    { "PUT", "/v2.0/routers/{id}/remove_router_interface",
      neutron_router_remove_interface, M },
    { "PUT", "/v2.0/routers/{id}/add_extraroutes", neutron_router_add_routes,
      M },
    { "PUT", "/v2.0/routers/{id}/remove_extraroutes",
      neutron_router_remove_routes, M },
    COLLECTION("/v2.0/floatingips", neutron_floating_ips),
    COLLECTION("/v2.0/security-groups", neutron_security_groups),
    RESOURCE_ROUTES("/v2.0/security-group-rules", neutron_security_group_rules,
                    R, M),
    { "GET", "/v2.0/quotas", neutron_quota_list, A },
    { "GET", "/v2.0/quotas/{project}", neutron_quota_show, R },
    { "GET", "/v2.0/quotas/{project}/default", neutron_quota_default, R },
    { "GET", "/v2.0/quotas/{project}/details.json", neutron_quota_details, R },
    { "GET", "/v2.0/quotas/{project}/details", neutron_quota_details, R },
    { "PUT", "/v2.0/quotas/{project}", neutron_quota_update, A },
    { "DELETE", "/v2.0/quotas/{project}", neutron_quota_delete, A },
    { "GET", "/v2.0/availability_zones", neutron_zones, R },
    { "GET", "/v2.0/agents", neutron_agents, A },
    { "GET", "/v2.0/agents/{id}", neutron_agent, A },
    ROUTE_END,
};

const struct service_api neutron = {
    .prefix = "/network",
    .type = "network",
    .name = "neutron",
    .style = STYLE_NEUTRON,
    .url_tail = "",
    .routes = routes,
};
