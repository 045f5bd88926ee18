#include "openstack-compat/network/ipam.h"
#include "openstack-compat/network/neutron.h"
#include "rest-api/check.h"

#include <string.h>

/* ---- attributes -------------------------------------------------------- */

static void write_external_ips(struct jw *w, const char *key,
                               const struct port *p)
{
    jw_arr(w, key);
    for (size_t i = 0; p && i < p->fixed_ips.n; i++) {
        const struct fixed_ip *ip = LIST_AT(p->fixed_ips, struct fixed_ip, i);
        jw_obj(w, NULL);
        jw_str(w, "subnet_id", ip->subnet_id);
        jw_str(w, "ip_address", ip->ip_address);
        jw_obj_end(w);
    }
    jw_arr_end(w);
}

/* r->state: the addresses, as JSON, of a gateway this very request makes. */
static void show_gateway(struct req *r, struct jw *w, const char *name,
                         const void *record)
{
    const struct router *router = record;
    if (!router->gateway_network_id) {
        jw_null(w, name);
        return;
    }
    jw_obj(w, name);
    jw_str(w, "network_id", router->gateway_network_id);
    jw_bool(w, "enable_snat", router->enable_snat);
    if (r->state)
        jw_raw(w, "external_fixed_ips", r->state);
    else
        write_external_ips(
            w, "external_fixed_ips",
            snap_get(r->snap, &kind_port, router->gateway_port_id));
    jw_obj_end(w);
}

/* Who may spend the pool's addresses and leave NAT out: as in neutron's
 * default policy. */
static bool may_give_details(struct req *r, const json_t *info)
{
    static const char *const ours[] = { "enable_snat", "external_fixed_ips" };
    for (size_t i = 0; i < ARRAY_SIZE(ours); i++)
        if (json_object_get(info, ours[i]) && !r->auth.is_admin)
            return error_set(&r->err, ERR_FORBIDDEN,
                             "(rule:update_router:external_gateway_info:%s) is "
                             "disallowed by policy",
                             ours[i]);
    return true;
}

static bool set_gateway(struct req *r, void *record, const struct attr *a,
                        const json_t *value)
{
    struct router *router = record;
    if (json_is_null(value) ||
        (json_is_object(value) && !json_object_size(value))) {
        router->gateway_network_id = NULL;
        return true;
    }
    const char *network =
        json_string_value(json_object_get(value, "network_id"));
    const json_t *snat = json_object_get(value, "enable_snat");
    if (!json_is_object(value) || !network || !check_id(network))
        return neutron_fail(r, ERR_INVALID, "InvalidInput",
                            "Invalid input for external_gateway_info: "
                            "network_id is required.");
    if (snat && !json_is_boolean(snat))
        return neutron_fail(r, ERR_INVALID, "InvalidInput",
                            "Invalid input for enable_snat: not a boolean.");
    router->gateway_network_id = rec_str(router, network);
    router->enable_snat = snat ? json_is_true(snat) : true;
    return may_give_details(r, value);
}

#define ROUTES_MAX 30

static bool same_route(const struct host_route *a, const struct host_route *b)
{
    return strcmp(a->destination, b->destination) == 0 &&
           strcmp(a->nexthop, b->nexthop) == 0;
}

static int find_route(const struct router *router, const struct host_route *x)
{
    for (size_t i = 0; i < router->routes.n; i++)
        if (same_route(LIST_AT(router->routes, struct host_route, i), x))
            return (int)i;
    return -1;
}

static bool read_route(struct req *r, void *record, const json_t *item,
                       struct host_route *out)
{
    struct cidr c;
    char text[CIDR_TEXT_MAX];
    const char *to = json_string_value(json_object_get(item, "destination"));
    const char *via = json_string_value(json_object_get(item, "nexthop"));
    if (!to || !via || !check_cidr(to) || !cidr_parse(to, &c) || !check_ip(via))
        return neutron_fail(r, ERR_INVALID, "InvalidRoutes",
                            "Invalid format for routes: destination and "
                            "nexthop are expected.");
    out->destination = rec_str(record, cidr_format(c, text));
    out->nexthop = rec_str(record, via);
    return true;
}

/* Adds the routes of a list that are not there yet. */
static bool add_routes(struct req *r, struct router *router,
                       const json_t *value)
{
    size_t i;
    json_t *item;
    struct host_route route;
    if (!json_is_array(value) || json_array_size(value) > ROUTES_MAX)
        return neutron_fail(r, ERR_INVALID, "InvalidRoutes",
                            "Invalid format for routes: a list of at most %d "
                            "is expected.",
                            ROUTES_MAX);
    json_array_foreach((json_t *)value, i, item)
    {
        if (!read_route(r, router, item, &route))
            return false;
        if (find_route(router, &route) >= 0)
            continue;
        struct host_route *to = list_add(router, &router->routes, sizeof(*to));
        *to = route;
    }
    return router->routes.n <= ROUTES_MAX ||
           neutron_fail(r, ERR_INVALID, "RoutesExhausted",
                        "The number of routes exceeds the maximum %d.",
                        ROUTES_MAX);
}

static bool set_routes(struct req *r, void *record, const struct attr *a,
                       const json_t *value)
{
    struct router *router = record;
    router->routes = (struct list){ 0 };
    return json_is_null(value) || add_routes(r, router, value);
}

static void show_false(struct req *r, struct jw *w, const char *name,
                       const void *record)
{
    jw_bool(w, name, false);
}

static const struct attr attrs[] = {
    { "id", NULL, A_FILTER },
    { "name", NULL, A_CU | A_FILTER, CHECK_NAME, .dflt = "\"\"" },
    { "description", NULL, A_CU | A_FILTER, CHECK_NAME, .dflt = "\"\"" },
    { "admin_state_up", NULL, A_CU | A_FILTER, CHECK_BOOL, .dflt = "true" },
    { "status", NULL, A_FILTER },
    { "external_gateway_info", NULL, A_CU | A_NULL, .show = show_gateway,
      .set = set_gateway },
    { "routes", NULL, A_UPDATE | A_NULL, .set = set_routes },
    { .name = "distributed", .show = show_false },
    { .name = "ha", .show = show_false },
    { .name = "availability_zone_hints", .show = neutron_show_empty_list },
    { .name = "availability_zones", .show = neutron_show_empty_list },
    NEUTRON_OWNER_ATTRS,
    NEUTRON_TAG_ATTRS,
    NEUTRON_TAIL_ATTRS,
    ATTR_END,
};

/* ---- the gateway ------------------------------------------------------- */

static bool gateway_in_use(struct req *r, const struct router *router)
{
    struct snap_iter it =
        snap_by(r->snap, &kind_floating_ip, "router_id", router->rec.id);
    if (!snap_next(&it))
        return false;
    neutron_fail(r, ERR_CONFLICT, "RouterExternalGatewayInUseByFloatingIp",
                 "Gateway cannot be updated for router %s, since a gateway to "
                 "external network %s is required by one or more floating "
                 "IPs.",
                 router->rec.id, router->gateway_network_id);
    return true;
}

static bool drop_gateway(struct req *r, const struct router *was)
{
    const struct port *p = snap_get(r->snap, &kind_port, was->gateway_port_id);
    if (gateway_in_use(r, was))
        return false;
    return !p || port_release(&r->txn, r->snap, p, r->now, &r->err);
}

/* The addresses a client asked for: external_fixed_ips. */
static bool asked_ips(struct req *r, struct port *p, const json_t *body)
{
    size_t i;
    json_t *item, *info = json_object_get(body, "external_gateway_info");
    json_array_foreach(json_object_get(info, "external_fixed_ips"), i, item)
    {
        const char *id = json_string_value(json_object_get(item, "subnet_id"));
        const char *ip = json_string_value(json_object_get(item, "ip_address"));
        const struct subnet *s = snap_get(r->snap, &kind_subnet, id);
        if (!s || strcmp(s->network_id, p->network_id) != 0 ||
            (ip && !check_ip(ip)))
            return neutron_fail(r, ERR_INVALID, "InvalidInput",
                                "Invalid input for external_fixed_ips.");
        if (!ipam_give(&r->txn, r->snap, r->env, p, s, ip, &r->err))
            return false;
    }
    return true;
}

static void keep_external_ips(struct req *r, const struct port *p)
{
    struct buf text = BUF_INIT(HTTP_BODY_MAX);
    struct jw w = JW_INIT(&text);
    write_external_ips(&w, NULL, p);
    r->state = arena_strdup(&r->arena, buf_str(&text));
    buf_free(&text);
}

static bool make_gateway(struct req *r, struct router *router,
                         const json_t *body)
{
    struct port_wish wish = { .any_address = true };
    const struct network *n =
        resource_get(r, &neutron_networks, router->gateway_network_id);
    if (!n)
        return false;
    if (!n->external)
        return neutron_fail(r, ERR_INVALID, "BadRequest",
                            "Bad router request: Network %s is not an "
                            "external network.",
                            n->rec.id);
    _autorecord_ struct port *p = record_new(&kind_port, req_uuid(r));
    p->network_id = rec_str(p, n->rec.id);
    p->device_owner = OWNER_GATEWAY;
    p->device_id = rec_str(p, router->rec.id);
    p->name = p->description = "";
    p->vnic_type = "normal";
    p->admin_state_up = true;
    p->status = NET_ACTIVE;
    p->created = p->updated = r->now;
    if (!asked_ips(r, p, body) ||
        !port_place(&r->txn, r->snap, r->env, p, wish, &r->err))
        return false;
    router->gateway_port_id = rec_str(router, p->rec.id);
    keep_external_ips(r, p);
    return true;
}

static bool same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

/* ---- extra routes ------------------------------------------------------ */

static bool subnet_reaches(struct req *r, const char *subnet_id,
                           const char *address)
{
    struct ip ip;
    struct cidr c;
    const struct subnet *s = snap_get(r->snap, &kind_subnet, subnet_id);
    return s && cidr_parse(s->cidr, &c) && ip_parse(address, &ip) &&
           cidr_contains(c, ip);
}

/* Is the address on a network of the router, and not the router itself? */
static bool reaches(struct req *r, const char *router_id, const char *address,
                    const struct port *without)
{
    bool found = false;
    struct snap_iter it = snap_by(r->snap, &kind_port, "device_id", router_id);
    for (const struct port *p; (p = snap_next(&it));)
        for (size_t i = 0; p != without && i < p->fixed_ips.n; i++) {
            const struct fixed_ip *ip =
                LIST_AT(p->fixed_ips, struct fixed_ip, i);
            if (strcmp(ip->ip_address, address) == 0)
                return false;
            found |= subnet_reaches(r, ip->subnet_id, address);
        }
    return found;
}

static bool check_routes(struct req *r, const struct router *router)
{
    for (size_t i = 0; i < router->routes.n; i++) {
        const struct host_route *x =
            LIST_AT(router->routes, struct host_route, i);
        if (!reaches(r, router->rec.id, x->nexthop, NULL))
            return neutron_fail(r, ERR_INVALID, "InvalidRoutes",
                                "Invalid format for routes: the nexthop %s is "
                                "not connected with the router, or is its own "
                                "address.",
                                x->nexthop);
    }
    return true;
}

/* ---- hooks ------------------------------------------------------------- */

static bool created(struct req *r, void *draft, const json_t *body)
{
    struct router *router = draft;
    router->status = NET_ACTIVE;
    r->state = NULL;
    return !router->gateway_network_id || make_gateway(r, router, body);
}

static bool updated(struct req *r, const void *old, void *draft,
                    const json_t *body)
{
    const struct router *was = old;
    struct router *router = draft;
    const json_t *info = json_object_get(body, "external_gateway_info");
    r->state = NULL;
    if (json_object_get(body, "routes") && !check_routes(r, router))
        return false;
    if (same_text(was->gateway_network_id, router->gateway_network_id) &&
        !json_array_size(json_object_get(info, "external_fixed_ips")))
        return true;
    if (was->gateway_network_id && !drop_gateway(r, was))
        return false;
    router->gateway_port_id = NULL;
    return !router->gateway_network_id || make_gateway(r, router, body);
}

static bool is_interface(const struct port *p)
{
    return p->device_owner && strcmp(p->device_owner, OWNER_ROUTER) == 0;
}

static bool deleted(struct req *r, const void *record)
{
    const struct router *router = record;
    struct snap_iter it =
        snap_by(r->snap, &kind_port, "device_id", router->rec.id);
    for (const struct port *p; (p = snap_next(&it));)
        if (is_interface(p))
            return neutron_fail(r, ERR_CONFLICT, "RouterInUse",
                                "Router %s still has ports", router->rec.id);
    return !router->gateway_network_id || drop_gateway(r, router);
}

const struct resource neutron_routers = {
    .kind = &kind_router,
    .singular = "router",
    .plural = "routers",
    .noun = "Router",
    .not_found_type = "RouterNotFound",
    .attrs = attrs,
    .quota_service = "network",
    .quota_name = "router",
    .path = "/v2.0/routers",
    .times = TIME_Z,
    .created = created,
    .updated = updated,
    .deleted = deleted,
};

/* ---- interfaces -------------------------------------------------------- */

static enum outcome interface_reply(struct req *r, const struct router *router,
                                    const struct port *p)
{
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    jw_str(&w, "id", router->rec.id);
    jw_str(&w, "tenant_id", router->project_id);
    jw_str(&w, "project_id", router->project_id);
    jw_str(&w, "port_id", p->rec.id);
    jw_str(&w, "network_id", p->network_id);
    jw_str(&w, "subnet_id",
           p->fixed_ips.n ? LIST_AT(p->fixed_ips, struct fixed_ip, 0)->subnet_id
                          : NULL);
    jw_arr(&w, "subnet_ids");
    for (size_t i = 0; i < p->fixed_ips.n; i++)
        jw_str(&w, NULL, LIST_AT(p->fixed_ips, struct fixed_ip, i)->subnet_id);
    jw_arr_end(&w);
    jw_arr(&w, "tags");
    jw_arr_end(&w);
    jw_obj_end(&w);
    return req_reply(r, 200);
}

/* A router routes between ranges, so they must differ. */
static bool check_overlap(struct req *r, const struct router *router,
                          const struct subnet *s)
{
    struct cidr mine, other;
    cidr_parse(s->cidr, &mine);
    struct snap_iter it =
        snap_by(r->snap, &kind_port, "device_id", router->rec.id);
    for (const struct port *p; (p = snap_next(&it));) {
        for (size_t i = 0; i < p->fixed_ips.n; i++) {
            const struct subnet *o =
                snap_get(r->snap, &kind_subnet,
                         LIST_AT(p->fixed_ips, struct fixed_ip, i)->subnet_id);
            if (o && cidr_parse(o->cidr, &other) && cidr_overlaps(mine, other))
                return neutron_fail(r, ERR_INVALID, "BadRequest",
                                    "Bad router request: Cidr %s of subnet %s "
                                    "overlaps with cidr %s of subnet %s.",
                                    s->cidr, s->rec.id, o->cidr, o->rec.id);
        }
    }
    return true;
}

static enum outcome add_by_subnet(struct req *r, const struct router *router,
                                  const char *subnet_id)
{
    struct port_wish wish = { 0 };
    const struct subnet *s = resource_get(r, &neutron_subnets, subnet_id);
    if (!s || !check_overlap(r, router, s))
        return req_failed(r);
    if (!s->gateway_ip)
        return req_fail_type(r, ERR_INVALID, "BadRequest",
                             "Bad router request: Subnet for router interface "
                             "must have a gateway IP.");
    _autorecord_ struct port *p = record_new(&kind_port, req_uuid(r));
    p->project_id = rec_str(p, router->project_id);
    p->network_id = rec_str(p, s->network_id);
    p->device_owner = OWNER_ROUTER;
    p->device_id = rec_str(p, router->rec.id);
    p->name = p->description = "";
    p->vnic_type = "normal";
    p->admin_state_up = true;
    p->status = NET_ACTIVE;
    p->created = p->updated = r->now;
    if (!ipam_give(&r->txn, r->snap, r->env, p, s, s->gateway_ip, &r->err) ||
        !port_place(&r->txn, r->snap, r->env, p, wish, &r->err))
        return req_failed(r);
    txn_touch_record(&r->txn, router);
    return interface_reply(r, router, p);
}

static enum outcome add_by_port(struct req *r, const struct router *router,
                                const char *port_id)
{
    const struct port *was = resource_get(r, &neutron_ports, port_id);
    if (!was)
        return req_failed(r);
    if (was->device_id && *was->device_id)
        return req_fail_type(r, ERR_CONFLICT, "PortInUse",
                             "Unable to complete operation on port %s for "
                             "network %s. Port already has an attached device "
                             "%s.",
                             port_id, was->network_id, was->device_id);
    for (size_t i = 0; i < was->fixed_ips.n; i++) {
        const struct subnet *s =
            snap_get(r->snap, &kind_subnet,
                     LIST_AT(was->fixed_ips, struct fixed_ip, i)->subnet_id);
        if (s && !check_overlap(r, router, s))
            return req_failed(r);
    }
    _autorecord_ struct port *p = record_copy(was);
    p->device_id = rec_str(p, router->rec.id);
    p->device_owner = OWNER_ROUTER;
    p->status = NET_ACTIVE;
    p->updated = r->now;
    txn_change_record(&r->txn, p);
    txn_touch_record(&r->txn, router);
    return interface_reply(r, router, p);
}

static bool interface_body(struct req *r, const char **subnet_id,
                           const char **port_id)
{
    *subnet_id = json_string_value(json_object_get(r->body, "subnet_id"));
    *port_id = json_string_value(json_object_get(r->body, "port_id"));
    return (*subnet_id || *port_id) ||
           neutron_fail(r, ERR_INVALID, "BadRequest",
                        "Bad router request: Either subnet_id or port_id must "
                        "be specified.");
}

static const struct router *own_router(struct req *r)
{
    return resource_get_writable(r, &neutron_routers, r->param[0]);
}

enum outcome neutron_router_add_interface(struct req *r)
{
    const char *subnet_id, *port_id;
    const struct router *router = own_router(r);
    if (!router || !interface_body(r, &subnet_id, &port_id))
        return req_failed(r);
    if (subnet_id && port_id)
        return req_fail_type(r, ERR_INVALID, "BadRequest",
                             "Bad router request: Cannot specify both "
                             "subnet-id and port-id.");
    return subnet_id ? add_by_subnet(r, router, subnet_id)
                     : add_by_port(r, router, port_id);
}

static const struct port *find_interface(struct req *r,
                                         const struct router *router,
                                         const char *subnet_id,
                                         const char *port_id)
{
    struct snap_iter it =
        snap_by(r->snap, &kind_port, "device_id", router->rec.id);
    for (const struct port *p; (p = snap_next(&it));) {
        if (!is_interface(p) || (port_id && strcmp(p->rec.id, port_id) != 0))
            continue;
        if (!subnet_id)
            return p;
        for (size_t i = 0; i < p->fixed_ips.n; i++)
            if (strcmp(LIST_AT(p->fixed_ips, struct fixed_ip, i)->subnet_id,
                       subnet_id) == 0)
                return p;
    }
    neutron_fail(r, ERR_NOT_FOUND, "RouterInterfaceNotFound",
                 "Router %s does not have an interface with id %.64s",
                 router->rec.id, port_id ? port_id : subnet_id);
    return NULL;
}

/* A floating IP of this router whose fixed address is behind the interface */
static bool serves_floating_ip(struct req *r, const struct router *router,
                               const struct port *interface)
{
    struct snap_iter it =
        snap_by(r->snap, &kind_floating_ip, "router_id", router->rec.id);
    for (const struct floating_ip *f; (f = snap_next(&it));) {
        const struct port *p = snap_get(r->snap, &kind_port, f->port_id);
        if (p && strcmp(p->network_id, interface->network_id) == 0)
            return true;
    }
    return false;
}

enum outcome neutron_router_remove_interface(struct req *r)
{
    const char *subnet_id, *port_id;
    const struct router *router = own_router(r);
    if (!router || !interface_body(r, &subnet_id, &port_id))
        return req_failed(r);
    const struct port *p = find_interface(r, router, subnet_id, port_id);
    if (!p)
        return req_failed(r);
    for (size_t i = 0; i < router->routes.n; i++)
        if (!reaches(r, router->rec.id,
                     LIST_AT(router->routes, struct host_route, i)->nexthop, p))
            return req_fail_type(r, ERR_CONFLICT, "RouterInterfaceInUseByRoute",
                                 "Router interface on router %s cannot be "
                                 "deleted, as it is required by one or more "
                                 "routes.",
                                 router->rec.id);
    if (serves_floating_ip(r, router, p))
        return req_fail_type(r, ERR_CONFLICT,
                             "RouterInterfaceInUseByFloatingIP",
                             "Router interface for subnet on router %s cannot "
                             "be deleted, as it is required by one or more "
                             "floating IPs.",
                             router->rec.id);
    if (!port_release(&r->txn, r->snap, p, r->now, &r->err))
        return req_failed(r);
    txn_expect_record(&r->txn, router);
    return interface_reply(r, router, p);
}

/* ---- routes, a few at a time ------------------------------------------- */

static bool remove_routes(struct req *r, struct router *router,
                          const json_t *value)
{
    size_t i;
    json_t *item;
    struct host_route route;
    json_array_foreach((json_t *)value, i, item)
    {
        if (!read_route(r, router, item, &route))
            return false;
        int at = find_route(router, &route);
        if (at >= 0)
            list_remove(&router->routes, sizeof(route), (size_t)at);
    }
    return true;
}

static enum outcome change_routes(struct req *r, bool add)
{
    const struct router *was =
        resource_get_writable(r, &neutron_routers, r->param[0]);
    const json_t *body = was ? req_envelope(r, "router") : NULL;
    const json_t *routes = json_object_get(body, "routes");
    if (!body)
        return req_failed(r);
    if (!json_is_array(routes))
        return req_fail_type(r, ERR_INVALID, "InvalidInput",
                             "Invalid input for routes: a list is expected.");
    _autorecord_ struct router *router = record_copy(was);
    if (!(add ? add_routes(r, router, routes) && check_routes(r, router)
              : remove_routes(r, router, routes)))
        return req_failed(r);
    router->updated = r->now;
    txn_change_record(&r->txn, router);
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    resource_write(r, &neutron_routers, &w, "router", router);
    jw_obj_end(&w);
    return req_reply(r, 200);
}

enum outcome neutron_router_add_routes(struct req *r)
{
    return change_routes(r, true);
}

enum outcome neutron_router_remove_routes(struct req *r)
{
    return change_routes(r, false);
}
