/* nb: networks, their ports, DHCP and DNS. */
#include "network/nb_build.h"

#include "common/alloc.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#define LEASE_S      "43200"
#define MTU_DEFAULT  1442 /* of a geneve network over an Ethernet of 1500 */
#define METADATA_NET "169.254.169.254/32"

/* ---- DHCP -------------------------------------------------------------- */

/* The metadata service's address on a subnet, or NULL. */
static const char *metadata_address(struct nb *b, const struct network *n,
                                    const struct subnet *s)
{
    const struct port *p = snap_get(b->s, &kind_port, n->metadata_port_id);
    for (size_t i = 0; p && i < p->fixed_ips.n; i++) {
        struct fixed_ip *ip = LIST_AT(p->fixed_ips, struct fixed_ip, i);
        if (ip->subnet_id && !strcmp(ip->subnet_id, s->rec.id))
            return ip->ip_address;
    }
    return NULL;
}

static void add_name(struct buf *list, const char *address)
{
    buf_addf(list, "%s%s", list->len ? ", " : "", address);
}

/* "{a, b}" of the resolvers of one address family, NULL when there is none. */
static char *resolvers(struct nb *b, const struct subnet *s)
{
    struct buf list = BUF_INIT(4096);
    for (size_t i = 0; i < s->dns_nameservers.n; i++)
        if (addr_version(s->dns_nameservers.v[i]) == s->ip_version)
            add_name(&list, s->dns_nameservers.v[i]);
    const char *const *d = b->config->dns_servers;
    for (; !s->dns_nameservers.n && d && *d; d++)
        if (addr_version(*d) == s->ip_version)
            add_name(&list, *d);
    char *text = list.len ? xasprintf("{%s}", buf_str(&list)) : NULL;
    buf_free(&list);
    return text;
}

/* Classless routes (option 121).  A client that gets them ignores option 3,
 * so the default route is among them. */
static char *classless_routes(const struct subnet *s, const char *metadata)
{
    struct buf list = BUF_INIT(65536);
    if (metadata)
        buf_addf(&list, METADATA_NET ",%s", metadata);
    for (size_t i = 0; i < s->host_routes.n; i++) {
        struct host_route *r = LIST_AT(s->host_routes, struct host_route, i);
        if (cidr_version(r->destination) == 4 && addr_version(r->nexthop) == 4)
            buf_addf(&list, "%s%s,%s", list.len ? ", " : "", r->destination,
                     r->nexthop);
    }
    if (list.len && addr_version(s->gateway_ip) == 4)
        buf_addf(&list, ", 0.0.0.0/0,%s", s->gateway_ip);
    char *text = list.len ? xasprintf("{%s}", buf_str(&list)) : NULL;
    buf_free(&list);
    return text;
}

static void put_text(json_t *object, const char *key, const char *text)
{
    if (text)
        json_object_set_new(object, key, json_string(text));
}

static json_t *dhcp4_options(struct nb *b, const struct network *n,
                             const struct subnet *s)
{
    char mac[MAC_SIZE], tmp[256];
    const char *metadata = metadata_address(b, n, s);
    const char *gateway =
        addr_version(s->gateway_ip) == 4 ? s->gateway_ip : NULL;
    const char *server = gateway ? gateway : metadata;
    const char *domain = network_domain(b, n, tmp);
    _autofree_ char *dns = resolvers(b, s);
    _autofree_ char *routes = classless_routes(s, metadata);
    if (!server) /* nobody who could hand out addresses */
        return NULL;
    json_t *o = json_object();
    mac_from(s->rec.id, mac);
    put_text(o, "server_id", server);
    put_text(o, "server_mac", mac);
    put_text(o, "lease_time", LEASE_S);
    put_text(o, "router", gateway);
    put_text(o, "dns_server", dns);
    put_text(o, "classless_static_route", routes);
    json_object_set_new(o, "mtu",
                        json_format("%" PRId64, n->mtu ? n->mtu : MTU_DEFAULT));
    if (domain)
        json_object_set_new(o, "domain_name", json_format("\"%s\"", domain));
    return o;
}

static json_t *dhcp6_options(struct nb *b, const struct network *n,
                             const struct subnet *s)
{
    char mac[MAC_SIZE], tmp[256];
    const char *domain = network_domain(b, n, tmp);
    _autofree_ char *dns = resolvers(b, s);
    json_t *o = json_object();
    mac_from(s->rec.id, mac);
    put_text(o, "server_id", mac);
    put_text(o, "dns_server", dns);
    if (domain)
        json_object_set_new(o, "domain_search", json_format("\"%s\"", domain));
    if (s->ipv6_address_mode && strcmp(s->ipv6_address_mode, "dhcpv6-stateful"))
        put_text(o, "dhcpv6_stateless", "true");
    return o;
}

static void subnet(struct nb *b, const struct network *n,
                   const struct subnet *s)
{
    if (!s->enable_dhcp || cidr_version(s->cidr) != s->ip_version)
        return;
    if (s->ip_version == 6 &&
        (!s->ipv6_address_mode || !strcmp(s->ipv6_address_mode, "slaac")))
        return;
    json_t *options =
        s->ip_version == 4 ? dhcp4_options(b, n, s) : dhcp6_options(b, n, s);
    if (!options)
        return;
    json_t *row = nb_row(b, NB_DHCP_OPTIONS, s->rec.id, NULL);
    nb_str(row, "cidr", "%s", s->cidr);
    nb_map(row, "options", options);
}

/* The port's options come from its first address that has any. */
static void port_dhcp(struct nb *b, json_t *row, const struct port *p)
{
    for (size_t i = 0; i < p->fixed_ips.n; i++) {
        struct fixed_ip *ip = LIST_AT(p->fixed_ips, struct fixed_ip, i);
        int version = addr_version(ip->ip_address);
        const char *column = version == 6 ? "dhcpv6_options" : "dhcpv4_options";
        if (nb_find(b, NB_DHCP_OPTIONS, ip->subnet_id) &&
            json_array_size(json_object_get(row, column)) == 2)
            nb_put(row, column, nb_ref(NB_DHCP_OPTIONS, ip->subnet_id));
    }
}

/* ---- ports ------------------------------------------------------------- */

/* "MAC ip ip": all the port's own addresses. */
static char *own_addresses(const struct port *p)
{
    struct buf text = BUF_INIT(16384);
    buf_adds(&text, p->mac_address);
    for (size_t i = 0; i < p->fixed_ips.n; i++) {
        struct fixed_ip *ip = LIST_AT(p->fixed_ips, struct fixed_ip, i);
        if (addr_version(ip->ip_address))
            buf_addf(&text, " %s", ip->ip_address);
    }
    return buf_steal(&text);
}

/* Addresses the port may use besides: its own MAC's go to `own`, each other
 * MAC is an entry of its own and a further address of the port. */
static void allowed_pairs(const struct port *p, struct buf *own,
                          json_t *security, json_t *addresses)
{
    for (size_t i = 0; i < p->address_pairs.n; i++) {
        struct address_pair *a =
            LIST_AT(p->address_pairs, struct address_pair, i);
        if (!cidr_version(a->ip_address))
            continue;
        if (!a->mac_address || !strcasecmp(a->mac_address, p->mac_address)) {
            buf_addf(own, " %s", a->ip_address);
        } else if (mac_valid(a->mac_address)) {
            json_array_append_new(
                security, json_format("%s %s", a->mac_address, a->ip_address));
            json_array_append_new(addresses, json_string(a->mac_address));
        }
    }
}

static void vif_addresses(json_t *row, const struct port *p)
{
    json_t *addresses = json_array(), *security = json_array();
    _autofree_ char *own = own_addresses(p);
    json_array_append_new(addresses, json_string(own));
    if (p->port_security_enabled) {
        struct buf with_pairs = BUF_INIT(65536);
        buf_adds(&with_pairs, own);
        allowed_pairs(p, &with_pairs, security, addresses);
        json_array_append_new(security, json_string(buf_str(&with_pairs)));
        buf_free(&with_pairs);
    } else {
        json_array_append_new(addresses, json_string("unknown"));
    }
    nb_set(row, "addresses", addresses);
    nb_set(row, "port_security", security);
}

/* While its guest moves, the port is bound to both nodes; at the second it
 * begins to work when the guest announces itself there (ovn-nb(5),
 * activation-strategy). */
static json_t *binding(const struct port *p)
{
    if (!p->migrating_to)
        return json_pack("{s:s}", "requested-chassis", p->node);
    _autofree_ char *both = xasprintf("%s,%s", p->node, p->migrating_to);
    return json_pack("{s:s, s:s}", "requested-chassis", both,
                     "activation-strategy", "rarp");
}

static void vif_port(struct nb *b, json_t *row, const struct port *p)
{
    vif_addresses(row, p);
    port_dhcp(b, row, p);
    if (p->node && *p->node)
        nb_map(row, "options", binding(p));
    nb_note(row, "cairn:device", p->device_id);
}

static void router_port(json_t *row, const struct port *p)
{
    json_t *options = json_object();
    json_object_set_new(options, "router-port",
                        json_format("lrp-%s", p->rec.id));
    if (port_is_gateway(p)) /* announce its NAT addresses */
        json_object_set_new(options, "nat-addresses", json_string("router"));
    nb_str(row, "type", "router");
    nb_put(row, "addresses", json_string("router"));
    nb_map(row, "options", options);
}

static void metadata_port(json_t *row, const struct port *p)
{
    _autofree_ char *own = own_addresses(p);
    nb_str(row, "type", "localport");
    nb_put(row, "addresses", json_string(own));
}

static void port(struct nb *b, const struct network *n, const struct port *p)
{
    bool metadata = p->device_owner && !strcmp(p->device_owner, OWNER_METADATA);
    if (!mac_valid(p->mac_address) ||
        (!metadata && !port_is_vif(p) && !port_is_router_port(p)))
        return;
    json_t *row = nb_row(b, NB_LOGICAL_SWITCH_PORT, p->rec.id, p->network_id);
    nb_str(row, "name", "%s", p->rec.id);
    nb_put(row, "enabled",
           json_boolean(p->admin_state_up && n->admin_state_up));
    nb_note(row, "cairn:name", p->name);
    if (metadata)
        metadata_port(row, p);
    else if (port_is_router_port(p))
        router_port(row, p);
    else
        vif_port(b, row, p);
}

/* Where a provider network leaves for the wire. */
static void localnet_port(struct nb *b, const struct network *n)
{
    char key[NB_KEY_MAX];
    bool vlan = n->provider_type && !strcmp(n->provider_type, "vlan");
    if (!n->physical_network || !*n->physical_network)
        return;
    snprintf(key, sizeof(key), "provnet-%s", n->rec.id);
    json_t *row = nb_row(b, NB_LOGICAL_SWITCH_PORT, key, n->rec.id);
    nb_str(row, "name", "%s", key);
    nb_str(row, "type", "localnet");
    nb_put(row, "addresses", json_string("unknown"));
    nb_map(row, "options",
           json_pack("{s:s}", "network_name", n->physical_network));
    if (vlan && n->segmentation_id > 0 && n->segmentation_id < 4096)
        nb_put(row, "tag", json_integer(n->segmentation_id));
}

/* ---- DNS --------------------------------------------------------------- */

static void lower(char *s)
{
    for (; *s; s++)
        *s = (char)tolower((unsigned char)*s);
}

static void dns_names(json_t *records, const struct port *p, const char *domain)
{
    char ptr[ADDR_PTR_SIZE];
    struct buf ips = BUF_INIT(8192);
    _autofree_ char *host = xstrdup(p->dns_name);
    _autofree_ char *full =
        domain ? xasprintf("%s.%s", p->dns_name, domain) : xstrdup(host);
    lower(host);
    lower(full);
    for (size_t i = 0; i < p->fixed_ips.n; i++) {
        struct fixed_ip *ip = LIST_AT(p->fixed_ips, struct fixed_ip, i);
        if (!addr_ptr(ip->ip_address, ptr))
            continue;
        buf_addf(&ips, "%s%s", ips.len ? " " : "", ip->ip_address);
        json_object_set_new(records, ptr, json_string(full));
    }
    put_text(records, host, ips.len ? buf_str(&ips) : NULL);
    put_text(records, full, ips.len ? buf_str(&ips) : NULL);
    buf_free(&ips);
}

static void network_dns(struct nb *b, json_t *sw, const struct network *n)
{
    char tmp[256];
    const char *domain = network_domain(b, n, tmp);
    json_t *records = json_object();
    struct snap_iter it = snap_by(b->s, &kind_port, "network_id", n->rec.id);
    for (const struct port *p; (p = snap_next(&it));)
        if (port_is_vif(p) && domain_valid(p->dns_name))
            dns_names(records, p, domain);
    if (!json_object_size(records)) {
        json_decref(records);
        return;
    }
    json_t *row = nb_row(b, NB_DNS, n->rec.id, NULL);
    nb_map(row, "records", records);
    nb_put(sw, "dns_records", nb_ref(NB_DNS, n->rec.id));
}

/* ---- networks ---------------------------------------------------------- */

static void network(struct nb *b, const struct network *n)
{
    const char *id = n->rec.id;
    json_t *row = nb_row(b, NB_LOGICAL_SWITCH, id, NULL);
    nb_str(row, "name", "cairn-%s", id);
    nb_note(row, "cairn:name", n->name);
    nb_map(row, "other_config", json_pack("{s:s}", "mcast_snoop", "false"));
    localnet_port(b, n);
    struct snap_iter it = snap_by(b->s, &kind_subnet, "network_id", id);
    for (const struct subnet *s; (s = snap_next(&it));)
        subnet(b, n, s);
    it = snap_by(b->s, &kind_port, "network_id", id);
    for (const struct port *p; (p = snap_next(&it));)
        port(b, n, p);
    network_dns(b, row, n);
}

void nb_networks(struct nb *b)
{
    struct snap_iter it = snap_all(b->s, &kind_network);
    for (const struct network *n; (n = snap_next(&it));)
        network(b, n);
}
