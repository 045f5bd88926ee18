/* nb: routers, their ports and routes, source NAT and floating IPs. */
#include "network/nb_build.h"

#include "model/pool.h"

#include <inttypes.h>
#include <string.h>

static const struct fixed_ip *fixed_ip_at(const struct port *p, size_t i)
{
    return i < p->fixed_ips.n ? LIST_AT(p->fixed_ips, struct fixed_ip, i)
                              : NULL;
}

/* ---- ports ------------------------------------------------------------- */

static json_t *port_networks(struct nb *b, const struct port *p)
{
    json_t *networks = json_array();
    const struct fixed_ip *ip;
    for (size_t i = 0; (ip = fixed_ip_at(p, i)); i++) {
        const struct subnet *s = fixed_ip_subnet(b, ip);
        int length = s ? cidr_length(s->cidr) : -1;
        if (length >= 0 && addr_version(ip->ip_address))
            json_array_append_new(networks,
                                  json_format("%s/%d", ip->ip_address, length));
    }
    return networks;
}

/* Router advertisements, as the first IPv6 subnet wants them. */
static void ra_configs(struct nb *b, json_t *row, const struct port *p)
{
    const struct network *n = snap_get(b->s, &kind_network, p->network_id);
    const struct fixed_ip *ip;
    for (size_t i = 0; n && (ip = fixed_ip_at(p, i)); i++) {
        const struct subnet *s = fixed_ip_subnet(b, ip);
        if (!s || s->ip_version != 6 || !s->ipv6_ra_mode)
            continue;
        json_t *ra = json_object();
        json_object_set_new(
            ra, "address_mode",
            json_string(
                !strcmp(s->ipv6_ra_mode, "dhcpv6-stateful") ? "dhcpv6_stateful"
                : !strcmp(s->ipv6_ra_mode, "slaac")         ? "slaac"
                                                    : "dhcpv6_stateless"));
        json_object_set_new(ra, "send_periodic", json_string("true"));
        if (n->mtu)
            json_object_set_new(ra, "mtu", json_format("%" PRId64, n->mtu));
        nb_map(row, "ipv6_ra_configs", ra);
        return;
    }
}

static void gateway_at(struct nb *b, const char *lrp, const char *port_id,
                       const char *chassis, int priority)
{
    _autofree_ char *key = xasprintf("%s_%s", lrp, chassis);
    json_t *row = nb_row(b, NB_GATEWAY_CHASSIS, key, port_id);
    nb_str(row, "name", "%s", key);
    nb_str(row, "chassis_name", "%s", chassis);
    nb_put(row, "priority", json_integer(priority));
}

/* Any number that differs from port to port. */
static unsigned spread(const char *id)
{
    unsigned h = 0;
    for (; *id; id++)
        h = h * 31 + (unsigned char)*id;
    return h;
}

/* Members of the pool stand in for each other; who comes first goes around
 * from router to router. */
static void gateway_chassis(struct nb *b, const char *lrp, const char *port_id)
{
    unsigned n = (unsigned)snap_count(b->s, &kind_member), i = 0;
    struct snap_iter it = snap_all(b->s, &kind_member);
    if (!b->config->chassis)
        return;
    if (n < 2) {
        gateway_at(b, lrp, port_id, b->config->chassis, 1);
        return;
    }
    for (const struct member *m; (m = snap_next(&it)); i++) {
        unsigned rank = (i + spread(port_id)) % n;
        if (rank < NB_GATEWAYS)
            gateway_at(b, lrp, port_id, m->rec.id, NB_GATEWAYS - (int)rank);
    }
}

static void router_port(struct nb *b, const struct router *r,
                        const struct port *p)
{
    char name[NB_KEY_MAX];
    json_t *networks = port_networks(b, p);
    if (!json_array_size(networks) || !mac_valid(p->mac_address)) {
        json_decref(networks);
        return;
    }
    json_t *row = nb_row(b, NB_LOGICAL_ROUTER_PORT, p->rec.id, r->rec.id);
    snprintf(name, sizeof(name), "lrp-%s", p->rec.id);
    nb_str(row, "name", "%s", name);
    nb_str(row, "mac", "%s", p->mac_address);
    nb_set(row, "networks", networks);
    nb_put(row, "enabled", json_boolean(p->admin_state_up));
    if (port_is_gateway(p))
        gateway_chassis(b, name, p->rec.id);
    else
        ra_configs(b, row, p);
}

/* ---- routes ------------------------------------------------------------ */

static json_t *route(struct nb *b, const struct router *r, const char *what,
                     const char *prefix, const char *nexthop)
{
    char key[NB_KEY_MAX];
    int version = cidr_version(prefix);
    if (!version || addr_version(nexthop) != version)
        return NULL;
    snprintf(key, sizeof(key), "%s/%s/%s/%s", r->rec.id, what, prefix, nexthop);
    json_t *row = nb_row(b, NB_STATIC_ROUTE, key, r->rec.id);
    nb_str(row, "ip_prefix", "%s", prefix);
    nb_str(row, "nexthop", "%s", nexthop);
    return row;
}

/* To the upstream router of each subnet the gateway port is on. */
static void default_routes(struct nb *b, const struct router *r,
                           const struct port *gateway)
{
    const struct fixed_ip *ip;
    for (size_t i = 0; (ip = fixed_ip_at(gateway, i)); i++) {
        const struct subnet *s = fixed_ip_subnet(b, ip);
        json_t *row =
            s ? route(b, r, "default",
                      s->ip_version == 6 ? "::/0" : "0.0.0.0/0", s->gateway_ip)
              : NULL;
        if (row)
            nb_str(row, "output_port", "lrp-%s", gateway->rec.id);
    }
}

static void extra_routes(struct nb *b, const struct router *r)
{
    for (size_t i = 0; i < r->routes.n; i++) {
        struct host_route *h = LIST_AT(r->routes, struct host_route, i);
        route(b, r, "route", h->destination, h->nexthop);
    }
}

/* ---- NAT --------------------------------------------------------------- */

static void nat(struct nb *b, const struct router *r, const char *key,
                const char *type, const char *external, const char *logical)
{
    json_t *row = nb_row(b, NB_NAT, key, r->rec.id);
    nb_str(row, "type", "%s", type);
    nb_str(row, "external_ip", "%s", external);
    nb_str(row, "logical_ip", "%s", logical);
}

static const char *first_v4(const struct port *p)
{
    const struct fixed_ip *ip;
    for (size_t i = 0; (ip = fixed_ip_at(p, i)); i++)
        if (addr_version(ip->ip_address) == 4)
            return ip->ip_address;
    return NULL;
}

/* Every IPv4 subnet behind the port leaves as `external`. */
static void source_nat(struct nb *b, const struct router *r,
                       const struct port *inside, const char *external)
{
    char key[NB_KEY_MAX];
    const struct fixed_ip *ip;
    for (size_t i = 0; (ip = fixed_ip_at(inside, i)); i++) {
        const struct subnet *s = fixed_ip_subnet(b, ip);
        if (!s || cidr_version(s->cidr) != 4)
            continue;
        snprintf(key, sizeof(key), "%s/snat/%s", r->rec.id, s->rec.id);
        nat(b, r, key, "snat", external, s->cidr);
    }
}

static void floating_ips(struct nb *b, const struct router *r)
{
    struct snap_iter it =
        snap_by(b->s, &kind_floating_ip, "router_id", r->rec.id);
    for (const struct floating_ip *f; (f = snap_next(&it));)
        if (f->port_id && addr_version(f->address) == 4 &&
            addr_version(f->fixed_address) == 4)
            nat(b, r, f->rec.id, "dnat_and_snat", f->address, f->fixed_address);
}

/* ---- routers ----------------------------------------------------------- */

static const struct port *gateway_port(struct nb *b, const struct router *r)
{
    const struct port *p = snap_get(b->s, &kind_port, r->gateway_port_id);
    return p && port_router(b, p) == r && port_is_gateway(p) ? p : NULL;
}

static void gateway(struct nb *b, const struct router *r,
                    const struct port *outside)
{
    const char *external = first_v4(outside);
    default_routes(b, r, outside);
    floating_ips(b, r);
    if (!r->enable_snat || !external)
        return;
    struct snap_iter it = snap_by(b->s, &kind_port, "device_id", r->rec.id);
    for (const struct port *p; (p = snap_next(&it));)
        if (port_router(b, p) == r && !port_is_gateway(p))
            source_nat(b, r, p, external);
}

static void router(struct nb *b, const struct router *r)
{
    json_t *row = nb_row(b, NB_LOGICAL_ROUTER, r->rec.id, NULL);
    nb_str(row, "name", "cairn-%s", r->rec.id);
    nb_put(row, "enabled", json_boolean(r->admin_state_up));
    nb_note(row, "cairn:name", r->name);
    /* Learn neighbours when they are needed, not from every ARP heard. */
    nb_map(row, "options",
           json_pack("{s:s,s:s}", "always_learn_from_arp_request", "false",
                     "dynamic_neigh_routers", "true"));
    struct snap_iter it = snap_by(b->s, &kind_port, "device_id", r->rec.id);
    for (const struct port *p; (p = snap_next(&it));)
        if (port_router(b, p) == r)
            router_port(b, r, p);
    extra_routes(b, r);
    const struct port *outside = gateway_port(b, r);
    if (outside)
        gateway(b, r, outside);
}

void nb_routers(struct nb *b)
{
    struct snap_iter it = snap_all(b->s, &kind_router);
    for (const struct router *r; (r = snap_next(&it));)
        router(b, r);
}
