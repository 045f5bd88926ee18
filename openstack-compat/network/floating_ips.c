#include "openstack-compat/network/ipam.h"
#include "openstack-compat/network/neutron.h"
#include "rest-api/check.h"

#include <string.h>

/* ---- attributes -------------------------------------------------------- */

static void show_port_details(struct req *r, struct jw *w, const char *name,
                              const void *record)
{
    const struct floating_ip *f = record;
    const struct port *p = snap_get(r->snap, &kind_port, f->port_id);
    if (!p) {
        jw_null(w, name);
        return;
    }
    jw_obj(w, name);
    jw_str(w, "name", p->name);
    jw_str(w, "network_id", p->network_id);
    jw_str(w, "mac_address", p->mac_address);
    jw_bool(w, "admin_state_up", p->admin_state_up);
    jw_str(w, "status", net_status_names[p->status]);
    jw_str(w, "device_id", p->device_id ? p->device_id : "");
    jw_str(w, "device_owner", p->device_owner ? p->device_owner : "");
    jw_obj_end(w);
}

static const struct attr attrs[] = {
    { "id", NULL, A_FILTER },
    { "description", NULL, A_CU | A_FILTER, CHECK_NAME, .dflt = "\"\"" },
    { "floating_network_id", "network_id", A_CREATE | A_REQUIRED | A_FILTER,
      CHECK_ID },
    { "floating_ip_address", "address", A_CREATE | A_FILTER | A_ADMIN_SET,
      CHECK_IP },
    { "port_id", NULL, A_CU | A_NULL | A_FILTER, CHECK_ID },
    { "fixed_ip_address", "fixed_address", A_CU | A_NULL | A_FILTER, CHECK_IP },
    { "subnet_id", NULL, A_CREATE | A_NULL | A_HIDDEN, CHECK_ID },
    { "router_id", NULL, A_FILTER },
    { "status", NULL, A_FILTER },
    { "port_details", NULL, 0, .show = show_port_details },
    { .name = "port_forwardings", .show = neutron_show_empty_list },
    NEUTRON_OWNER_ATTRS,
    NEUTRON_TAG_ATTRS,
    NEUTRON_TAIL_ATTRS,
    ATTR_END,
};

/* ---- the address ------------------------------------------------------- */

static bool choose_subnet(struct req *r, struct port *p, const char *asked,
                          const char *address)
{
    struct ip ip;
    struct cidr c;
    struct error full = { .code = ERR_INVALID,
                          .text = "No subnet of the network fits." };
    bool given = address && ip_parse(address, &ip);
    struct snap_iter it =
        snap_by(r->snap, &kind_subnet, "network_id", p->network_id);
    for (const struct subnet *s; (s = snap_next(&it));) {
        if (s->ip_version != 4 || (asked && strcmp(asked, s->rec.id) != 0))
            continue;
        if (given && (!cidr_parse(s->cidr, &c) || !cidr_contains(c, ip)))
            continue;
        if (ipam_give(&r->txn, r->snap, r->env, p, s, address, &full))
            return true;
    }
    error_copy(&r->err, &full);
    r->fault_type = "IpAddressGenerationFailure";
    return false;
}

/* The pool's own port that holds the address on the external network. */
static bool take_address(struct req *r, struct floating_ip *f,
                         const char *subnet_id)
{
    struct port_wish wish = { 0 };
    const struct network *n = resource_get(r, &neutron_networks, f->network_id);
    if (!n)
        return false;
    if (!n->external)
        return neutron_fail(r, ERR_INVALID, "BadRequest",
                            "Bad floatingip request: Network %s is not a valid "
                            "external network.",
                            n->rec.id);
    _autorecord_ struct port *p = record_new(&kind_port, req_uuid(r));
    p->network_id = rec_str(p, n->rec.id);
    p->device_owner = OWNER_FLOATINGIP;
    p->device_id = rec_str(p, f->rec.id);
    p->name = p->description = "";
    p->vnic_type = "normal";
    p->admin_state_up = true;
    p->created = p->updated = r->now;
    if (!choose_subnet(r, p, subnet_id, f->address) ||
        !port_place(&r->txn, r->snap, r->env, p, wish, &r->err))
        return false;
    f->floating_port_id = rec_str(f, p->rec.id);
    f->address =
        rec_str(f, LIST_AT(p->fixed_ips, struct fixed_ip, 0)->ip_address);
    return true;
}

/* ---- association ------------------------------------------------------- */

static const struct fixed_ip *fixed_ip_of(struct req *r, const struct port *p,
                                          const char *address)
{
    const struct fixed_ip *found = NULL;
    for (size_t i = 0; i < p->fixed_ips.n; i++) {
        const struct fixed_ip *ip = LIST_AT(p->fixed_ips, struct fixed_ip, i);
        bool v4 = !strchr(ip->ip_address, ':');
        if (address ? strcmp(ip->ip_address, address) == 0 : v4 && !found)
            found = ip;
    }
    if (!found)
        neutron_fail(r, ERR_INVALID, "BadRequest",
                     "Bad floatingip request: Port %s does not have fixed ip "
                     "%s.",
                     p->rec.id, address ? address : "(any IPv4)");
    return found;
}

/* The router between the subnet and the external network. */
static const struct router *router_between(struct req *r, const char *subnet_id,
                                           const char *external_id)
{
    struct snap_iter it =
        snap_by(r->snap, &kind_port, "fixed_ips.subnet_id", subnet_id);
    for (const struct port *p; (p = snap_next(&it));) {
        if (!p->device_owner || strcmp(p->device_owner, OWNER_ROUTER) != 0)
            continue;
        const struct router *router =
            snap_get(r->snap, &kind_router, p->device_id);
        if (router && router->gateway_network_id &&
            strcmp(router->gateway_network_id, external_id) == 0)
            return router;
    }
    return NULL;
}

static bool taken_by_another(struct req *r, const struct floating_ip *f,
                             const struct port *p, const char *fixed)
{
    struct snap_iter it =
        snap_by(r->snap, &kind_floating_ip, "port_id", p->rec.id);
    for (const struct floating_ip *o; (o = snap_next(&it));)
        if (strcmp(o->rec.id, f->rec.id) != 0 &&
            strcmp(o->network_id, f->network_id) == 0 && o->fixed_address &&
            strcmp(o->fixed_address, fixed) == 0) {
            neutron_fail(r, ERR_CONFLICT, "FloatingIPPortAlreadyAssociated",
                         "Cannot associate floating IP %s with port %s using "
                         "fixed IP %s, as that fixed IP already has a floating "
                         "IP on external network %s.",
                         f->address, p->rec.id, fixed, f->network_id);
            return true;
        }
    return false;
}

static bool associate(struct req *r, struct floating_ip *f)
{
    const struct port *p = resource_get(r, &neutron_ports, f->port_id);
    const struct fixed_ip *ip = p ? fixed_ip_of(r, p, f->fixed_address) : NULL;
    if (!ip || taken_by_another(r, f, p, ip->ip_address))
        return false;
    const struct router *router =
        router_between(r, ip->subnet_id, f->network_id);
    if (!router)
        return neutron_fail(r, ERR_NOT_FOUND,
                            "ExternalGatewayForFloatingIPNotFound",
                            "External network %s is not reachable from subnet "
                            "%s. Therefore, cannot associate Port %s with a "
                            "Floating IP.",
                            f->network_id, ip->subnet_id, p->rec.id);
    f->fixed_address = rec_str(f, ip->ip_address);
    f->router_id = rec_str(f, router->rec.id);
    f->status = NET_ACTIVE;
    txn_touch_record(&r->txn, router);
    txn_touch_record(&r->txn, p);
    return true;
}

/* ---- hooks ------------------------------------------------------------- */

static bool created(struct req *r, void *draft, const json_t *body)
{
    struct floating_ip *f = draft;
    const char *subnet_id =
        json_string_value(json_object_get(body, "subnet_id"));
    f->status = NET_DOWN;
    if (!take_address(r, f, subnet_id))
        return false;
    return !f->port_id || associate(r, f);
}

static bool updated(struct req *r, const void *old, void *draft,
                    const json_t *body)
{
    const struct floating_ip *was = old;
    struct floating_ip *f = draft;
    if (!json_object_get(body, "port_id") &&
        !json_object_get(body, "fixed_ip_address"))
        return true;
    if (!f->port_id && json_string_value(json_object_get(body, "fixed_ip_"
                                                               "address")))
        return neutron_fail(r, ERR_INVALID, "BadRequest",
                            "Bad floatingip request: fixed_ip_address cannot "
                            "be specified without a port_id.");
    bool moves =
        f->port_id && was->port_id && strcmp(f->port_id, was->port_id) != 0;
    if (moves && !json_object_get(body, "fixed_ip_address"))
        f->fixed_address = NULL;
    if (f->port_id)
        return associate(r, f);
    f->fixed_address = f->router_id = NULL;
    f->status = NET_DOWN;
    return true;
}

static bool deleted(struct req *r, const void *record)
{
    const struct floating_ip *f = record;
    const struct port *p = snap_get(r->snap, &kind_port, f->floating_port_id);
    return !p || port_release(&r->txn, r->snap, p, r->now, &r->err);
}

const struct resource neutron_floating_ips = {
    .kind = &kind_floating_ip,
    .singular = "floatingip",
    .plural = "floatingips",
    .noun = "Floating IP",
    .not_found_type = "FloatingIPNotFound",
    .attrs = attrs,
    .quota_service = "network",
    .quota_name = "floatingip",
    .path = "/v2.0/floatingips",
    .times = TIME_Z,
    .created = created,
    .updated = updated,
    .deleted = deleted,
};
