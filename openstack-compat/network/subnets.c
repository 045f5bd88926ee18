#include "openstack-compat/network/ipam.h"
#include "openstack-compat/network/neutron.h"
#include "rest-api/check.h"

#include <string.h>

#define POOLS_MAX 16

static const char *const ipv6_modes[] = { "slaac", "dhcpv6-stateful",
                                          "dhcpv6-stateless", NULL };

static bool invalid(struct req *r, const char *what)
{
    return neutron_fail(r, ERR_INVALID, "InvalidInput",
                        "Invalid input for operation: %s.", what);
}

/* ---- attributes -------------------------------------------------------- */

static bool set_pools(struct req *r, void *record, const struct attr *a,
                      const json_t *value)
{
    struct subnet *s = record;
    size_t i;
    json_t *item;
    if (!json_is_array(value) || json_array_size(value) > POOLS_MAX)
        return invalid(r, "allocation_pools must be a list of at most 16");
    s->pools = (struct list){ 0 };
    json_array_foreach((json_t *)value, i, item)
    {
        const char *start = json_string_value(json_object_get(item, "start"));
        const char *end = json_string_value(json_object_get(item, "end"));
        if (!start || !end || !check_ip(start) || !check_ip(end))
            return neutron_fail(r, ERR_INVALID, "InvalidAllocationPool",
                                "The allocation pool needs start and end "
                                "addresses.");
        struct ip_range *pool = list_add(s, &s->pools, sizeof(*pool));
        pool->start = rec_str(s, start);
        pool->end = rec_str(s, end);
    }
    return true;
}

static bool set_routes(struct req *r, void *record, const struct attr *a,
                       const json_t *value)
{
    struct subnet *s = record;
    size_t i;
    json_t *item;
    if (!json_is_array(value) || json_array_size(value) > 20)
        return invalid(r, "host_routes must be a list of at most 20");
    s->host_routes = (struct list){ 0 };
    json_array_foreach((json_t *)value, i, item)
    {
        const char *to =
            json_string_value(json_object_get(item, "destination"));
        const char *via = json_string_value(json_object_get(item, "nexthop"));
        if (!to || !via || !check_cidr(to) || !check_ip(via))
            return invalid(r, "a host route needs destination and nexthop");
        struct host_route *route = list_add(s, &s->host_routes, sizeof(*route));
        route->destination = rec_str(s, to);
        route->nexthop = rec_str(s, via);
    }
    return true;
}

static bool set_nameservers(struct req *r, void *record, const struct attr *a,
                            const json_t *value)
{
    struct subnet *s = record;
    size_t i;
    json_t *item;
    if (json_array_size(value) > 5)
        return invalid(r, "at most 5 dns_nameservers are supported");
    s->dns_nameservers = (struct strs){ 0 };
    json_array_foreach((json_t *)value, i, item)
    {
        if (!check_ip(json_string_value(item)))
            return invalid(r, "a dns_nameserver is not an IP address");
        strs_add(s, &s->dns_nameservers, json_string_value(item));
    }
    return true;
}

static const struct attr attrs[] = {
    { "id", NULL, A_FILTER },
    { "name", NULL, A_CU | A_FILTER, CHECK_NAME, .dflt = "\"\"" },
    { "description", NULL, A_CU | A_FILTER, CHECK_NAME, .dflt = "\"\"" },
    { "network_id", NULL, A_CREATE | A_REQUIRED | A_FILTER, CHECK_ID },
    { "ip_version", NULL, A_CREATE | A_REQUIRED | A_FILTER, CHECK_INT, 4, 6 },
    { "cidr", NULL, A_CREATE | A_REQUIRED | A_FILTER, CHECK_CIDR },
    { "gateway_ip", NULL, A_CU | A_NULL | A_FILTER, CHECK_IP },
    { "allocation_pools", "pools", A_CU, .set = set_pools },
    { "dns_nameservers", NULL, A_CU, CHECK_STRS, .set = set_nameservers },
    { "host_routes", NULL, A_CU, .set = set_routes },
    { "enable_dhcp", NULL, A_CU | A_FILTER, CHECK_BOOL, .dflt = "true" },
    { "ipv6_ra_mode", NULL, A_CREATE | A_NULL | A_FILTER, CHECK_ENUM, 0, 0,
      ipv6_modes },
    { "ipv6_address_mode", NULL, A_CREATE | A_NULL | A_FILTER, CHECK_ENUM, 0, 0,
      ipv6_modes },
    { .name = "subnetpool_id", .show = neutron_show_null },
    { .name = "service_types", .show = neutron_show_empty_list },
    NEUTRON_OWNER_ATTRS,
    NEUTRON_TAG_ATTRS,
    NEUTRON_TAIL_ATTRS,
    ATTR_END,
};

/* ---- the range and its pools ------------------------------------------- */

static bool check_range(struct req *r, struct subnet *s, struct cidr *c)
{
    char text[CIDR_TEXT_MAX];
    if (!cidr_parse(s->cidr, c) || c->ip.version != s->ip_version)
        return invalid(r, "cidr does not match ip_version");
    if (c->ip.version == 4 && c->prefix > 30)
        return invalid(r, "the prefix leaves no room for a port and a gateway");
    s->cidr = rec_str(s, cidr_format(*c, text));
    struct snap_iter it =
        snap_by(r->snap, &kind_subnet, "network_id", s->network_id);
    for (const struct subnet *o; (o = snap_next(&it));) {
        struct cidr other;
        if (cidr_parse(o->cidr, &other) && cidr_overlaps(*c, other))
            return neutron_fail(
                r, ERR_INVALID, "InvalidInput",
                "Invalid input for operation: Requested subnet with cidr: %s "
                "for network: %s overlaps with another subnet.",
                s->cidr, s->network_id);
    }
    return true;
}

static void add_pool(struct subnet *s, struct ip from, struct ip to)
{
    char text[IP_TEXT_MAX];
    if (ip_compare(from, to) > 0)
        return;
    struct ip_range *pool = list_add(s, &s->pools, sizeof(*pool));
    pool->start = rec_str(s, ip_format(from, text));
    pool->end = rec_str(s, ip_format(to, text));
}

/* All usable addresses but the gateway's, as neutron does. */
static void default_pools(struct subnet *s, struct cidr c)
{
    struct ip gateway, first = ip_add(cidr_network(c), 1);
    struct ip last = cidr_last(c);
    if (c.ip.version == 4)
        last = ip_add(last, -1);
    if (!s->gateway_ip || !ip_parse(s->gateway_ip, &gateway) ||
        !cidr_contains(c, gateway)) {
        add_pool(s, first, last);
        return;
    }
    add_pool(s, first, ip_add(gateway, -1));
    add_pool(s, ip_add(gateway, 1), last);
}

static bool pools_overlap(const struct subnet *s, size_t i, struct ip from,
                          struct ip to)
{
    for (size_t k = 0; k < i; k++) {
        struct ip a, b;
        const struct ip_range *other = LIST_AT(s->pools, struct ip_range, k);
        ip_parse(other->start, &a);
        ip_parse(other->end, &b);
        if (ip_compare(from, b) <= 0 && ip_compare(a, to) <= 0)
            return true;
    }
    return false;
}

static bool check_pools(struct req *r, const struct subnet *s, struct cidr c)
{
    struct ip gateway;
    bool has_gateway = s->gateway_ip && ip_parse(s->gateway_ip, &gateway);
    for (size_t i = 0; i < s->pools.n; i++) {
        const struct ip_range *p = LIST_AT(s->pools, struct ip_range, i);
        struct ip from, to;
        if (!ip_parse(p->start, &from) || !ip_parse(p->end, &to) ||
            !cidr_contains(c, from) || !cidr_contains(c, to) ||
            ip_compare(from, to) > 0)
            return neutron_fail(r, ERR_INVALID, "OutOfBoundsAllocationPool",
                                "The allocation pool %s-%s spans beyond the "
                                "subnet cidr %s.",
                                p->start, p->end, s->cidr);
        if (pools_overlap(s, i, from, to))
            return neutron_fail(r, ERR_CONFLICT, "OverlappingAllocationPools",
                                "Found overlapping allocation pools for "
                                "subnet %s.",
                                s->cidr);
        if (has_gateway && ip_compare(from, gateway) <= 0 &&
            ip_compare(gateway, to) <= 0)
            return neutron_fail(r, ERR_CONFLICT,
                                "GatewayConflictWithAllocationPools",
                                "Gateway ip %s conflicts with allocation pool "
                                "%s-%s.",
                                s->gateway_ip, p->start, p->end);
    }
    return true;
}

/* Gateway, name servers and routes speak the subnet's protocol. */
static bool check_family(struct req *r, const struct subnet *s)
{
    struct ip ip;
    bool ok = !s->gateway_ip ||
              (ip_parse(s->gateway_ip, &ip) && ip.version == s->ip_version);
    for (size_t i = 0; i < s->dns_nameservers.n; i++)
        ok &= ip_parse(s->dns_nameservers.v[i], &ip) &&
              ip.version == s->ip_version;
    for (size_t i = 0; i < s->host_routes.n; i++)
        ok &= ip_parse(LIST_AT(s->host_routes, struct host_route, i)->nexthop,
                       &ip) &&
              ip.version == s->ip_version;
    return ok || invalid(r, "gateway_ip, dns_nameservers and host_routes must "
                            "be addresses of the subnet's ip_version");
}

/* A router holds the gateway's address: it cannot be another's meanwhile. */
static bool gateway_free(struct req *r, const struct subnet *was,
                         const struct subnet *s)
{
    if (!was->gateway_ip ||
        (s->gateway_ip && strcmp(was->gateway_ip, s->gateway_ip) == 0))
        return true;
    struct snap_iter it =
        snap_by(r->snap, &kind_port, "fixed_ips.subnet_id", s->rec.id);
    for (const struct port *p; (p = snap_next(&it));)
        for (size_t i = 0; i < p->fixed_ips.n; i++)
            if (p->device_owner && strcmp(p->device_owner, OWNER_ROUTER) == 0 &&
                strcmp(LIST_AT(p->fixed_ips, struct fixed_ip, i)->ip_address,
                       was->gateway_ip) == 0)
                return neutron_fail(r, ERR_CONFLICT, "GatewayIpInUse",
                                    "Current gateway ip %s already in use by "
                                    "port %s. Unable to update.",
                                    was->gateway_ip, p->rec.id);
    return true;
}

/* The metadata port and the overlap of ranges are worked out against what is
 * there already, so two subnets of one network need two requests. */
static bool alone_in_bulk(struct req *r, const struct subnet *s)
{
    size_t i, same = 0;
    json_t *item;
    json_array_foreach(json_object_get(r->body, "subnets"), i, item)
    {
        const char *id = json_string_value(json_object_get(item, "network_id"));
        same += id && strcmp(id, s->network_id) == 0;
    }
    return same < 2 ||
           error_set(&r->err, ERR_NOT_IMPLEMENTED,
                     "Several subnets of one network in one request are not "
                     "built: make them one by one.");
}

/* ---- the metadata port ------------------------------------------------- */

/* Every network with DHCP has one port that answers for the metadata
 * service, with an address in each of its IPv4 subnets. */
static bool metadata_join(struct req *r, const struct network *n,
                          const struct subnet *s)
{
    struct port_wish nothing = { 0 };
    const struct port *was = snap_get(r->snap, &kind_port, n->metadata_port_id);
    _autorecord_ struct port *p =
        was ? record_copy(was) : record_new(&kind_port, req_uuid(r));
    if (was) {
        char id[STORE_KEY_MAX], owner[STORE_KEY_MAX];
        if (!ipam_give(&r->txn, r->snap, r->env, p, s, NULL, &r->err))
            return false;
        const struct fixed_ip *ip =
            LIST_AT(p->fixed_ips, struct fixed_ip, p->fixed_ips.n - 1);
        claim_take(&r->txn,
                   claim_id(id, "ip/%s/%s", ip->subnet_id, ip->ip_address),
                   record_key(p, owner));
        txn_change_record(&r->txn, p);
        return true;
    }
    p->network_id = rec_str(p, n->rec.id);
    p->device_owner = OWNER_METADATA;
    p->device_id = rec_strf(p, "ovnmeta-%s", n->rec.id);
    p->name = p->description = "";
    p->vnic_type = "normal";
    p->admin_state_up = true;
    p->created = p->updated = r->now;
    if (!ipam_give(&r->txn, r->snap, r->env, p, s, NULL, &r->err) ||
        !port_place(&r->txn, r->snap, r->env, p, nothing, &r->err))
        return false;
    _autorecord_ struct network *draft = record_copy(n);
    draft->metadata_port_id = rec_str(draft, p->rec.id);
    txn_change_record(&r->txn, draft);
    return true;
}

static bool metadata_leave(struct req *r, const struct subnet *s)
{
    const struct network *n = snap_get(r->snap, &kind_network, s->network_id);
    const struct port *was =
        n ? snap_get(r->snap, &kind_port, n->metadata_port_id) : NULL;
    if (!was)
        return true;
    _autorecord_ struct port *p = record_copy(was);
    for (size_t i = p->fixed_ips.n; i-- > 0;) {
        const struct fixed_ip *ip = LIST_AT(p->fixed_ips, struct fixed_ip, i);
        char id[STORE_KEY_MAX];
        if (strcmp(ip->subnet_id, s->rec.id) != 0)
            continue;
        claim_release(&r->txn,
                      claim_id(id, "ip/%s/%s", ip->subnet_id, ip->ip_address));
        list_remove(&p->fixed_ips, sizeof(*ip), i);
    }
    if (p->fixed_ips.n) {
        txn_change_record(&r->txn, p);
        return true;
    }
    _autorecord_ struct network *draft = record_copy(n);
    draft->metadata_port_id = NULL;
    txn_change_record(&r->txn, draft);
    return port_release(&r->txn, r->snap, was, r->now, &r->err);
}

/* ---- hooks ------------------------------------------------------------- */

static bool visible(struct req *r, const void *record)
{
    const struct subnet *s = record;
    const struct network *n = snap_get(r->snap, &kind_network, s->network_id);
    return req_may_see(r, s->project_id) || (n && (n->shared || n->external));
}

static bool writable(struct req *r, const void *record)
{
    return req_may_see(r, ((const struct subnet *)record)->project_id);
}

static bool created(struct req *r, void *draft, const json_t *body)
{
    struct subnet *s = draft;
    struct cidr c;
    char text[IP_TEXT_MAX];
    const struct network *n = resource_get(r, &neutron_networks, s->network_id);
    if (!n)
        return false;
    if (!req_may_see(r, n->project_id))
        return error_set(&r->err, ERR_FORBIDDEN,
                         "Tenant not allowed to create subnet on this network");
    if (s->ip_version == 5 || !check_range(r, s, &c))
        return s->ip_version == 5 ? invalid(r, "ip_version must be 4 or 6")
                                  : false;
    /* A subnet belongs to its network's project. */
    s->project_id = rec_str(s, n->project_id);
    if (!json_object_get(body, "gateway_ip"))
        s->gateway_ip = rec_str(s, ip_format(ip_add(cidr_network(c), 1), text));
    if (!json_object_get(body, "allocation_pools"))
        default_pools(s, c);
    if (!check_family(r, s) || !alone_in_bulk(r, s) || !check_pools(r, s, c) ||
        !neutron_charge(r, s->project_id, "subnet", 1))
        return false;
    return !s->enable_dhcp || s->ip_version != 4 || metadata_join(r, n, s);
}

static bool updated(struct req *r, const void *old, void *draft,
                    const json_t *body)
{
    const struct subnet *was = old, *s = draft;
    const struct network *n = snap_get(r->snap, &kind_network, s->network_id);
    struct cidr c;
    cidr_parse(s->cidr, &c);
    if (!check_family(r, s) || !check_pools(r, s, c) ||
        !gateway_free(r, was, s))
        return false;
    if (was->enable_dhcp == s->enable_dhcp || s->ip_version != 4 || !n)
        return true;
    return s->enable_dhcp ? metadata_join(r, n, s) : metadata_leave(r, s);
}

static bool deleted(struct req *r, const void *record)
{
    const struct subnet *s = record;
    struct snap_iter it =
        snap_by(r->snap, &kind_port, "fixed_ips.subnet_id", s->rec.id);
    for (const struct port *p; (p = snap_next(&it));)
        if (!p->device_owner || strcmp(p->device_owner, OWNER_METADATA) != 0)
            return neutron_fail(r, ERR_CONFLICT, "SubnetInUse",
                                "Unable to complete operation on subnet %s: "
                                "One or more ports have an IP allocation from "
                                "this subnet.",
                                s->rec.id);
    return metadata_leave(r, s) &&
           neutron_charge(r, s->project_id, "subnet", -1);
}

const struct resource neutron_subnets = {
    .kind = &kind_subnet,
    .singular = "subnet",
    .plural = "subnets",
    .noun = "Subnet",
    .not_found_type = "SubnetNotFound",
    .attrs = attrs,
    .path = "/v2.0/subnets",
    .times = TIME_Z,
    .visible = visible,
    .writable = writable,
    .created = created,
    .updated = updated,
    .deleted = deleted,
};
