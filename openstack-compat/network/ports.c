#include "openstack-compat/network/ipam.h"
#include "openstack-compat/network/neutron.h"
#include "rest-api/check.h"

#include <string.h>
#include <strings.h>

#define FIXED_IPS_MAX 16

/* ---- showing ----------------------------------------------------------- */

static void show_binding_type(struct req *r, struct jw *w, const char *name,
                              const void *record)
{
    jw_str(w, name, ((const struct port *)record)->node ? "ovs" : "unbound");
}

static void show_binding_details(struct req *r, struct jw *w, const char *name,
                                 const void *record)
{
    jw_obj(w, name);
    if (((const struct port *)record)->node)
        jw_bool(w, "port_filter", true);
    jw_obj_end(w);
}

static void show_dns_assignment(struct req *r, struct jw *w, const char *name,
                                const void *record)
{
    const struct port *p = record;
    jw_arr(w, name);
    for (size_t i = 0; i < p->fixed_ips.n; i++) {
        const struct fixed_ip *ip = LIST_AT(p->fixed_ips, struct fixed_ip, i);
        jw_obj(w, NULL);
        jw_str(w, "hostname", p->dns_name ? p->dns_name : "");
        jw_str(w, "ip_address", ip->ip_address);
        jw_str(w, "fqdn", p->dns_name ? p->dns_name : "");
        jw_obj_end(w);
    }
    jw_arr_end(w);
}

static void show_host(struct req *r, struct jw *w, const char *name,
                      const void *record)
{
    const struct port *p = record;
    jw_str(w, name, p->node ? p->node : "");
}

static void show_text(struct req *r, struct jw *w, const char *name,
                      const void *record)
{
    const struct port *p = record;
    const char *text = strcmp(name, "device_id") == 0      ? p->device_id
                       : strcmp(name, "device_owner") == 0 ? p->device_owner
                       : strcmp(name, "dns_name") == 0     ? p->dns_name
                                                           : p->project_id;
    jw_str(w, name, text ? text : "");
}

static bool same_text(const char *a, const char *b)
{
    return strcmp(a ? a : "", b ? b : "") == 0;
}

static bool contains(const char *have, const char *asked)
{
    return strstr(have, asked) != NULL;
}

/* Does one of the values asked for with this key name the address? */
static bool fits_asked(struct req *r, const char *key, const char *have,
                       bool (*fits)(const char *have, const char *asked))
{
    const struct params *q = &r->http->query;
    size_t len = strlen(key);
    bool any = false;
    for (size_t i = 0; i < q->n; i++) {
        const char *v = q->v[i].value;
        if (strcmp(q->v[i].name, "fixed_ips") != 0 ||
            strncmp(v, key, len) != 0 || v[len] != '=')
            continue;
        any = true;
        if (fits(have, v + len + 1))
            return true;
    }
    return !any;
}

/* fixed_ips=ip_address=10.0.0.5&fixed_ips=subnet_id=...: one of each. */
static bool matches_fixed_ip(struct req *r, const void *record,
                             const char *value)
{
    const struct port *p = record;
    if (strncmp(value, "ip_address=", 11) != 0 &&
        strncmp(value, "ip_address_substr=", 18) != 0 &&
        strncmp(value, "subnet_id=", 10) != 0)
        return false;
    for (size_t i = 0; i < p->fixed_ips.n; i++) {
        const struct fixed_ip *ip = LIST_AT(p->fixed_ips, struct fixed_ip, i);
        if (fits_asked(r, "ip_address", ip->ip_address, same_text) &&
            fits_asked(r, "subnet_id", ip->subnet_id, same_text) &&
            fits_asked(r, "ip_address_substr", ip->ip_address, contains))
            return true;
    }
    return false;
}

static bool matches_mac(struct req *r, const void *record, const char *value)
{
    return strcasecmp(((const struct port *)record)->mac_address, value) == 0;
}

/* ---- setting ----------------------------------------------------------- */

static bool set_mac(struct req *r, void *record, const struct attr *a,
                    const json_t *value)
{
    struct port *p = record;
    char *mac = rec_str(p, json_string_value(value));
    for (char *c = mac; *c; c++)
        if (*c >= 'A' && *c <= 'F')
            *c += 'a' - 'A';
    if (strchr("13579bdf", mac[1]))
        return neutron_fail(r, ERR_INVALID, "InvalidInput",
                            "Invalid input for mac_address: a multicast "
                            "address cannot be a port's.");
    p->mac_address = mac;
    return true;
}

/* Only takes them down; the hooks below choose and check addresses. */
static bool set_fixed_ips(struct req *r, void *record, const struct attr *a,
                          const json_t *value)
{
    struct port *p = record;
    size_t i;
    json_t *item;
    if (!json_is_array(value) || json_array_size(value) > FIXED_IPS_MAX)
        return neutron_fail(r, ERR_INVALID, "InvalidInput",
                            "Invalid input for fixed_ips: a list of at most "
                            "%d is expected.",
                            FIXED_IPS_MAX);
    p->fixed_ips = (struct list){ 0 };
    json_array_foreach((json_t *)value, i, item)
    {
        const char *subnet =
            json_string_value(json_object_get(item, "subnet_id"));
        const char *address =
            json_string_value(json_object_get(item, "ip_address"));
        if ((!subnet && !address) || (subnet && !check_id(subnet)) ||
            (address && !check_ip(address)))
            return neutron_fail(r, ERR_INVALID, "InvalidInput",
                                "Invalid input for fixed_ips: subnet_id or "
                                "ip_address is expected.");
        struct fixed_ip *ip = list_add(p, &p->fixed_ips, sizeof(*ip));
        ip->subnet_id = rec_str(p, subnet);
        ip->ip_address = rec_str(p, address);
    }
    return true;
}

static bool set_groups(struct req *r, void *record, const struct attr *a,
                       const json_t *value)
{
    struct port *p = record;
    size_t i;
    json_t *item;
    p->security_group_ids = (struct strs){ 0 };
    json_array_foreach((json_t *)value, i, item)
    {
        const char *id = json_string_value(item);
        const void *group = resource_get(r, &neutron_security_groups, id);
        if (!group)
            return false;
        if (!strs_has(&p->security_group_ids, id))
            strs_add(p, &p->security_group_ids, id);
        txn_touch_record(&r->txn, group);
    }
    return true;
}

static bool set_pairs(struct req *r, void *record, const struct attr *a,
                      const json_t *value)
{
    struct port *p = record;
    size_t i;
    json_t *item;
    if (!json_is_array(value) || json_array_size(value) > 10)
        return neutron_fail(r, ERR_INVALID, "AllowedAddressPairExhausted",
                            "At most 10 allowed address pairs are supported.");
    p->address_pairs = (struct list){ 0 };
    json_array_foreach((json_t *)value, i, item)
    {
        const char *ip = json_string_value(json_object_get(item, "ip_address"));
        const char *mac =
            json_string_value(json_object_get(item, "mac_address"));
        if (!ip || (!check_ip(ip) && !check_cidr(ip)) ||
            (mac && !check_mac(mac)))
            return neutron_fail(r, ERR_INVALID, "InvalidInput",
                                "Invalid input for allowed_address_pairs.");
        struct address_pair *pair =
            list_add(p, &p->address_pairs, sizeof(*pair));
        pair->ip_address = rec_str(p, ip);
        pair->mac_address = rec_str(p, mac ? mac : p->mac_address);
    }
    return true;
}

static const char *const vnic_types[] = { "normal", NULL };

static const struct attr attrs[] = {
    { "id", NULL, A_FILTER },
    { "name", NULL, A_CU | A_FILTER, CHECK_NAME, .dflt = "\"\"" },
    { "description", NULL, A_CU | A_FILTER, CHECK_NAME, .dflt = "\"\"" },
    { "network_id", NULL, A_CREATE | A_REQUIRED | A_FILTER, CHECK_ID },
    { "mac_address", NULL, A_CREATE | A_FILTER, CHECK_MAC, .set = set_mac,
      .matches = matches_mac },
    { "fixed_ips", NULL, A_CU | A_FILTER, .set = set_fixed_ips,
      .matches = matches_fixed_ip },
    { "device_id", NULL, A_CU | A_FILTER, CHECK_NAME, .show = show_text },
    { "device_owner", NULL, A_CU | A_FILTER, CHECK_NAME, .show = show_text },
    { "admin_state_up", NULL, A_CU | A_FILTER, CHECK_BOOL, .dflt = "true" },
    { "status", NULL, A_FILTER },
    { "security_groups", "security_group_ids", A_CU | A_FILTER, CHECK_STRS,
      .set = set_groups },
    { "port_security_enabled", NULL, A_CU | A_FILTER, CHECK_BOOL },
    { "allowed_address_pairs", "address_pairs", A_CU, .set = set_pairs },
    { "dns_name", NULL, A_CU | A_FILTER, CHECK_NAME, 0, 63, .show = show_text },
    { .name = "dns_assignment", .show = show_dns_assignment },
    { .name = "extra_dhcp_opts", .show = neutron_show_empty_list },
    { "binding:vnic_type", "vnic_type", A_CU | A_FILTER, CHECK_ENUM, 0, 0,
      vnic_types, .dflt = "\"normal\"" },
    { "binding:host_id", "node", A_FILTER | A_ADMIN_SEE, .show = show_host },
    { "binding:vif_type", NULL, A_ADMIN_SEE, .show = show_binding_type },
    { "binding:vif_details", NULL, A_ADMIN_SEE, .show = show_binding_details },
    { "binding:profile", NULL, A_ADMIN_SEE, .show = neutron_show_empty_object },
    { "project_id", NULL, A_FILTER, .show = show_text },
    { "tenant_id", "project_id", A_FILTER, .show = show_text },
    NEUTRON_TAG_ATTRS,
    NEUTRON_TAIL_ATTRS,
    ATTR_END,
};

/* ---- hooks ------------------------------------------------------------- */

/* The owner of a network sees all its ports, the pool's own included. */
static bool visible(struct req *r, const void *record)
{
    const struct port *p = record;
    const struct network *n = snap_get(r->snap, &kind_network, p->network_id);
    return req_may_see(r, p->project_id) ||
           (n && !n->external && req_may_see(r, n->project_id));
}

static bool invalid_ip(struct req *r, const struct port *p, const char *address)
{
    return neutron_fail(r, ERR_INVALID, "InvalidIpForNetwork",
                        "IP address %s is not a valid IP for any of the "
                        "subnets on the specified network %s.",
                        address ? address : "", p->network_id);
}

/* The subnet of the port's network that an asked-for address is meant for. */
static const struct subnet *subnet_for(struct req *r, const struct port *p,
                                       const struct fixed_ip *asked)
{
    struct ip ip;
    struct cidr c;
    struct snap_iter it =
        snap_by(r->snap, &kind_subnet, "network_id", p->network_id);
    for (const struct subnet *s; (s = snap_next(&it));) {
        if (asked->subnet_id && strcmp(s->rec.id, asked->subnet_id) != 0)
            continue;
        if (!asked->ip_address)
            return s;
        if (cidr_parse(s->cidr, &c) && ip_parse(asked->ip_address, &ip) &&
            cidr_contains(c, ip) &&
            (c.ip.version == 6 || (ip_compare(ip, cidr_network(c)) != 0 &&
                                   ip_compare(ip, cidr_last(c)) != 0)))
            return s;
    }
    invalid_ip(r, p, asked->ip_address);
    return NULL;
}

static bool has_ip(const struct port *p, const struct fixed_ip *ip)
{
    for (size_t i = 0; i < p->fixed_ips.n; i++) {
        const struct fixed_ip *o = LIST_AT(p->fixed_ips, struct fixed_ip, i);
        if (ip->ip_address && strcmp(o->ip_address, ip->ip_address) == 0 &&
            strcmp(o->subnet_id, ip->subnet_id) == 0)
            return true;
    }
    return false;
}

/* Turns what was asked for into addresses.  Those that `was` (may be NULL)
 * holds already are kept and need no choosing. */
static bool resolve_ips(struct req *r, struct port *p, const struct port *was)
{
    struct list asked = p->fixed_ips;
    p->fixed_ips = (struct list){ 0 };
    for (size_t i = 0; i < asked.n; i++) {
        struct fixed_ip *want = LIST_AT(asked, struct fixed_ip, i);
        const struct subnet *s = subnet_for(r, p, want);
        if (!s)
            return false;
        want->subnet_id = s->rec.id;
        if (was && has_ip(was, want)) {
            struct fixed_ip *ip = list_add(p, &p->fixed_ips, sizeof(*ip));
            *ip = (struct fixed_ip){ rec_str(p, want->subnet_id),
                                     want->ip_address };
        } else if (!ipam_give(&r->txn, r->snap, r->env, p, s, want->ip_address,
                              &r->err)) {
            r->fault_type = want->ip_address ? "IpAddressAlreadyAllocated"
                                             : "IpAddressGenerationFailure";
            return false;
        } else {
            txn_touch_record(&r->txn, s);
        }
    }
    return true;
}

static bool check_network(struct req *r, const struct port *p)
{
    const struct network *n = resource_get(r, &neutron_networks, p->network_id);
    if (!n)
        return false;
    if (n->external && !n->shared && !req_may_see(r, n->project_id))
        return error_set(&r->err, ERR_FORBIDDEN,
                         "Tenant %s not allowed to create port on this network",
                         r->auth.project_id);
    return true;
}

static bool check_security(struct req *r, const struct port *p)
{
    if (!p->port_security_enabled &&
        (p->security_group_ids.n || p->address_pairs.n))
        return neutron_fail(r, ERR_CONFLICT,
                            "PortSecurityAndIPRequiredForSecurityGroups",
                            "Port security must be enabled in order to use "
                            "security groups or address pairs.");
    return true;
}

static bool is_pools_own(const struct port *p)
{
    return p->device_owner && strncmp(p->device_owner, "network:", 8) == 0;
}

static bool used_by_server(struct req *r, const struct port *p)
{
    const struct server *s = snap_get(r->snap, &kind_server, p->device_id);
    for (size_t i = 0; s && i < s->ports.n; i++)
        if (strcmp(LIST_AT(s->ports, struct server_port, i)->port_id,
                   p->rec.id) == 0)
            return true;
    return false;
}

/* Who uses a port is for its project to note down, as long as it does not
 * claim to be a router's or a server's: routers and nova do that. */
static bool check_device(struct req *r, const struct port *was,
                         const struct port *p)
{
    if (was && same_text(was->device_id, p->device_id) &&
        same_text(was->device_owner, p->device_owner))
        return true;
    if (is_pools_own(p) || (was && is_pools_own(was)))
        return r->auth.is_admin ||
               error_set(&r->err, ERR_FORBIDDEN,
                         "(rule:%s_port:device_owner) is disallowed by policy",
                         was ? "update" : "create");
    if (was && used_by_server(r, was))
        return neutron_fail(r, ERR_CONFLICT, "PortInUse",
                            "Unable to complete operation on port %s for "
                            "network %s. Port already has an attached device "
                            "%s.",
                            p->rec.id, p->network_id, was->device_id);
    if (snap_get(r->snap, &kind_server, p->device_id) ||
        snap_get(r->snap, &kind_router, p->device_id))
        return neutron_fail(r, ERR_INVALID, "InvalidInput",
                            "Invalid input for device_id: servers and routers "
                            "take their ports by their own API.");
    return true;
}

static bool created(struct req *r, void *draft, const json_t *body)
{
    struct port *p = draft;
    const struct network *n = snap_get(r->snap, &kind_network, p->network_id);
    struct port_wish wish = {
        .any_address = !json_object_get(body, "fixed_ips"),
        .default_group = !json_object_get(body, "security_groups"),
    };
    if (!check_network(r, p) || !check_device(r, NULL, p))
        return false;
    if (!json_object_get(body, "port_security_enabled"))
        p->port_security_enabled = n->port_security_enabled;
    p->status = NET_DOWN;
    if (!check_security(r, p) || !resolve_ips(r, p, NULL))
        return false;
    if (port_place(&r->txn, r->snap, r->env, p, wish, &r->err))
        return true;
    if (r->err.code == ERR_CONFLICT)
        r->fault_type = strstr(r->err.text, "mac address")
                            ? "MacAddressInUse"
                            : "IpAddressGenerationFailure";
    return false;
}

/* Claims of addresses that came, releases of those that went. */
static void move_claims(struct req *r, const struct port *from,
                        const struct port *to, bool take)
{
    for (size_t i = 0; i < from->fixed_ips.n; i++) {
        char id[STORE_KEY_MAX], key[STORE_KEY_MAX];
        const struct fixed_ip *ip =
            LIST_AT(from->fixed_ips, struct fixed_ip, i);
        if (has_ip(to, ip))
            continue;
        claim_id(id, "ip/%s/%s", ip->subnet_id, ip->ip_address);
        if (take)
            claim_take(&r->txn, id, record_key(from, key));
        else
            claim_release(&r->txn, id);
    }
}

static bool updated(struct req *r, const void *old, void *draft,
                    const json_t *body)
{
    const struct port *was = old;
    struct port *p = draft;
    if (json_object_get(body, "fixed_ips") && !resolve_ips(r, p, was))
        return false;
    if (!check_device(r, was, p) || !check_security(r, p))
        return false;
    move_claims(r, was, p, false);
    move_claims(r, p, was, true);
    return true;
}

/* A port that a server uses leaves that server too; one that has been shelved
 * has no guest that would have to let go of it. */
static void leave_server(struct req *r, const struct port *p)
{
    const struct server *s = snap_get(r->snap, &kind_server, p->device_id);
    if (!s)
        return;
    _autorecord_ struct server *draft = record_copy(s);
    for (size_t i = draft->ports.n; i-- > 0;) {
        struct server_port *sp = LIST_AT(draft->ports, struct server_port, i);
        if (strcmp(sp->port_id, p->rec.id) != 0)
            continue;
        if (s->vm_state == VM_SHELVED_OFFLOADED && !s->node)
            list_remove(&draft->ports, sizeof(*sp), i);
        else
            sp->state = ATTACH_LEAVING;
    }
    txn_change_record(&r->txn, draft);
}

enum outcome neutron_port_delete(struct req *r)
{
    const struct port *p = resource_get(r, &neutron_ports, r->param[0]);
    if (!p)
        return req_failed(r);
    if (is_pools_own(p))
        return req_fail_type(r, ERR_CONFLICT, "ServicePortInUse",
                             "Port %s cannot be deleted directly via the port "
                             "API: has device owner %s.",
                             p->rec.id, p->device_owner);
    if (!req_may_see(r, p->project_id))
        return req_fail(r, ERR_FORBIDDEN,
                        "(rule:delete_port) is disallowed by policy");
    leave_server(r, p);
    if (!port_release(&r->txn, r->snap, p, r->now, &r->err))
        return req_failed(r);
    return req_reply(r, 204);
}

/* port_place has put record, claims and quota into the transaction already,
 * so creating writes the record once more with the same content. */
const struct resource neutron_ports = {
    .kind = &kind_port,
    .singular = "port",
    .plural = "ports",
    .noun = "Port",
    .not_found_type = "PortNotFound",
    .attrs = attrs,
    .path = "/v2.0/ports",
    .times = TIME_Z,
    .visible = visible,
    .created = created,
    .updated = updated,
};
