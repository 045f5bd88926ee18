#include "openstack-compat/network/ipam.h"

#include "model/pool.h"
#include "openstack-compat/network/defaults.h"

#include <stdio.h>
#include <string.h>

static bool claimed(const struct txn *t, const struct snapshot *s,
                    const char *id)
{
    char key[STORE_KEY_MAX + 8];
    if (snap_get(s, &kind_claim, id))
        return true;
    snprintf(key, sizeof(key), "claim/%s", id);
    for (size_t i = 0; i < t->n_writes; i++)
        if (t->writes[i].value && strcmp(t->writes[i].key, key) == 0)
            return true;
    return false;
}

/* A free address of the subnet's pools, into `out`. */
static bool ipam_is_free(const struct txn *t, const struct snapshot *s,
                         const struct subnet *subnet, const char *address)
{
    char id[STORE_KEY_MAX];
    return !claimed(t, s, claim_id(id, "ip/%s/%s", subnet->rec.id, address));
}

/* How many addresses a random start may skip: neighbours stay dense, and
 * concurrent choices still rarely meet. */
#define START_WINDOW 64

static bool choose_in(const struct txn *t, const struct snapshot *s,
                      const struct env *env, const struct subnet *subnet,
                      const struct ip_range *pool, char out[IP_TEXT_MAX])
{
    struct ip first, last;
    if (!ip_parse(pool->start, &first) || !ip_parse(pool->end, &last))
        return false;
    u128 size = last.bits - first.bits + 1;
    uint64_t window = size < START_WINDOW ? (uint64_t)size : START_WINDOW;
    u128 start = env_random_below(env, window);
    for (u128 i = 0; i < size; i++) {
        struct ip ip = first;
        ip.bits += (start + i) % size;
        if (ipam_is_free(t, s, subnet, ip_format(ip, out)))
            return true;
    }
    return false;
}

static bool ipam_choose(const struct txn *t, const struct snapshot *s,
                        const struct env *env, const struct subnet *subnet,
                        char out[IP_TEXT_MAX], struct error *err)
{
    for (size_t i = 0; i < subnet->pools.n; i++)
        if (choose_in(t, s, env, subnet,
                      LIST_AT(subnet->pools, struct ip_range, i), out))
            return true;
    return error_set(err, ERR_CONFLICT,
                     "No more IP addresses available on network %s.",
                     subnet->network_id);
}

static bool is_eui64(const struct subnet *subnet)
{
    const char *mode = subnet->ipv6_address_mode;
    return subnet->ip_version == 6 && mode &&
           (strcmp(mode, "slaac") == 0 ||
            strcmp(mode, "dhcpv6-stateless") == 0);
}

bool ipam_give(const struct txn *t, const struct snapshot *s,
               const struct env *env, struct port *port,
               const struct subnet *subnet, const char *address,
               struct error *err)
{
    char text[IP_TEXT_MAX];
    struct cidr c;
    if (!address && is_eui64(subnet) && cidr_parse(subnet->cidr, &c)) {
        address =
            ip_format(ip_from_eui64(cidr_network(c), port->mac_address), text);
    } else if (!address) {
        if (!ipam_choose(t, s, env, subnet, text, err))
            return false;
        address = text;
    }
    if (!ipam_is_free(t, s, subnet, address))
        return error_set(err, ERR_CONFLICT,
                         "IP address %s already allocated in subnet %s",
                         address, subnet->rec.id);
    struct fixed_ip *ip = list_add(port, &port->fixed_ips, sizeof(*ip));
    ip->subnet_id = rec_str(port, subnet->rec.id);
    ip->ip_address = rec_str(port, address);
    return true;
}

/* ---- whole ports ------------------------------------------------------- */

#define MAC_TRIES 16

static bool give_mac(const struct txn *t, const struct snapshot *s,
                     const struct env *env, struct port *port,
                     struct error *err)
{
    char id[STORE_KEY_MAX], mac[18];
    for (int i = 0; i < MAC_TRIES; i++) {
        uint8_t b[3];
        env_random(env, b, sizeof(b));
        snprintf(mac, sizeof(mac), "fa:16:3e:%02x:%02x:%02x", b[0], b[1], b[2]);
        if (!claimed(t, s, claim_id(id, "mac/%s/%s", port->network_id, mac))) {
            port->mac_address = rec_str(port, mac);
            return true;
        }
    }
    return error_set(err, ERR_UNAVAILABLE,
                     "Unable to generate unique mac on network %s.",
                     port->network_id);
}

static bool mac_is_free(const struct txn *t, const struct snapshot *s,
                        const struct port *port, struct error *err)
{
    char id[STORE_KEY_MAX];
    if (!claimed(
            t, s,
            claim_id(id, "mac/%s/%s", port->network_id, port->mac_address)))
        return true;
    return error_set(err, ERR_CONFLICT,
                     "Unable to complete operation for network %s. The mac "
                     "address %s is in use.",
                     port->network_id, port->mac_address);
}

/* One address of the first IPv4 subnet that has room, one of the first such
 * IPv6 subnet, and one of each that gives addresses by itself.  (Neutron's
 * ipam_backend_mixin does the same.) */
static bool give_addresses(const struct txn *t, const struct snapshot *s,
                           const struct env *env, struct port *port,
                           struct error *err)
{
    bool have[2] = { false }, seen[2] = { false }; /* IPv4, IPv6 */
    struct error full = { 0 };
    struct snap_iter it =
        snap_by(s, &kind_subnet, "network_id", port->network_id);
    for (const struct subnet *n; (n = snap_next(&it));) {
        bool six = n->ip_version == 6, itself = is_eui64(n);
        seen[six] |= !itself;
        if (!itself && have[six])
            continue;
        bool given = ipam_give(t, s, env, port, n, NULL, &full);
        have[six] |= !itself && given;
    }
    if (seen[0] <= have[0] && seen[1] <= have[1])
        return true;
    error_copy(err, &full);
    return false;
}

static void give_default_group(const struct snapshot *s, struct port *port)
{
    const struct security_group *g =
        port->project_id ? security_group_default_find(s, port->project_id)
                         : NULL;
    if (g)
        strs_add(port, &port->security_group_ids, g->rec.id);
}

/* The network and the subnets of a port must not be deleted meanwhile.
 * Within one project the usage that both write sees to that. */
static void hold_network(struct txn *t, const struct snapshot *s,
                         const struct port *port)
{
    const struct network *n = snap_get(s, &kind_network, port->network_id);
    if (n && n->project_id && port->project_id &&
        strcmp(n->project_id, port->project_id) == 0)
        return;
    if (n)
        txn_touch_record(t, n);
    for (size_t i = 0; i < port->fixed_ips.n; i++) {
        const struct subnet *sub =
            snap_get(s, &kind_subnet,
                     LIST_AT(port->fixed_ips, struct fixed_ip, i)->subnet_id);
        if (sub)
            txn_touch_record(t, sub);
    }
}

bool port_place(struct txn *t, const struct snapshot *s, const struct env *env,
                struct port *port, struct port_wish wish, struct error *err)
{
    struct amount one = { "port", 1 };
    if (!(port->mac_address ? mac_is_free(t, s, port, err)
                            : give_mac(t, s, env, port, err)))
        return false;
    if (wish.any_address && !port->fixed_ips.n &&
        !give_addresses(t, s, env, port, err))
        return false;
    if (wish.default_group && port->port_security_enabled &&
        !port->security_group_ids.n)
        give_default_group(s, port);
    if (port->project_id &&
        !quota_charge(t, s, "network", port->project_id, &one, 1, err))
        return false;
    hold_network(t, s, port);
    port_take_claims(t, port);
    txn_change_record(t, port);
    return true;
}
