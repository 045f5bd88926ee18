#include "openstack-compat/network/neutron.h"

#include <string.h>

#define MTU_GENEVE   1442
#define MTU_PHYSICAL 1500

static const char *const provider_types[] = { "geneve", "flat", "vlan", NULL };

/* ---- attributes -------------------------------------------------------- */

static void show_subnets(struct req *r, struct jw *w, const char *name,
                         const void *record)
{
    const struct network *n = record;
    struct snap_iter it =
        snap_by(r->snap, &kind_subnet, "network_id", n->rec.id);
    jw_arr(w, name);
    for (const struct subnet *s; (s = snap_next(&it));)
        jw_str(w, NULL, s->rec.id);
    jw_arr_end(w);
}

static void show_zones(struct req *r, struct jw *w, const char *name,
                       const void *record)
{
    jw_arr(w, name);
    jw_str(w, NULL, "nova");
    jw_arr_end(w);
}

static void show_segment(struct req *r, struct jw *w, const char *name,
                         const void *record)
{
    const struct network *n = record;
    if (n->segmentation_id)
        jw_int(w, name, n->segmentation_id);
    else
        jw_null(w, name);
}

static const struct attr attrs[] = {
    { "id", NULL, A_FILTER },
    { "name", NULL, A_CU | A_FILTER, CHECK_NAME, .dflt = "\"\"" },
    { "description", NULL, A_CU | A_FILTER, CHECK_NAME, .dflt = "\"\"" },
    { "admin_state_up", NULL, A_CU | A_FILTER, CHECK_BOOL, .dflt = "true" },
    { "status", NULL, A_FILTER },
    { .name = "subnets", .show = show_subnets },
    NEUTRON_OWNER_ATTRS,
    { "shared", NULL, A_CU | A_FILTER | A_ADMIN_SET, CHECK_BOOL },
    { "router:external", "external", A_CU | A_FILTER | A_ADMIN_SET,
      CHECK_BOOL },
    { "is_default", NULL, A_CU | A_FILTER | A_ADMIN_SET, CHECK_BOOL },
    { "mtu", NULL, A_CU | A_FILTER, CHECK_INT, 68, 9216 },
    { "port_security_enabled", NULL, A_CU | A_FILTER, CHECK_BOOL,
      .dflt = "true" },
    { "dns_domain", NULL, A_CU | A_FILTER, CHECK_NAME, .dflt = "\"\"" },
    { "provider:network_type", "provider_type",
      A_CREATE | A_FILTER | A_ADMIN_SET | A_ADMIN_SEE, CHECK_ENUM, 0, 0,
      provider_types },
    { "provider:physical_network", "physical_network",
      A_CREATE | A_FILTER | A_ADMIN_SET | A_ADMIN_SEE, CHECK_NAME, 1, 128 },
    { "provider:segmentation_id", "segmentation_id",
      A_CREATE | A_FILTER | A_ADMIN_SET | A_ADMIN_SEE, CHECK_INT, 1, 16777215,
      .show = show_segment },
    { .name = "availability_zone_hints", .show = neutron_show_empty_list },
    { .name = "availability_zones", .show = show_zones },
    NEUTRON_TAG_ATTRS,
    NEUTRON_TAIL_ATTRS,
    ATTR_END,
};

/* ---- rules ------------------------------------------------------------- */

static bool visible(struct req *r, const void *record)
{
    const struct network *n = record;
    return n->shared || n->external || req_may_see(r, n->project_id);
}

static bool writable(struct req *r, const void *record)
{
    return req_may_see(r, ((const struct network *)record)->project_id);
}

static bool check_provider(struct req *r, const struct network *n)
{
    bool geneve = strcmp(n->provider_type, "geneve") == 0;
    bool vlan = strcmp(n->provider_type, "vlan") == 0;
    if (geneve == (n->physical_network != NULL))
        return neutron_fail(r, ERR_INVALID, "InvalidInput",
                            "Invalid input for operation: "
                            "provider:physical_network %s for a %s network.",
                            geneve ? "must not be given" : "is required",
                            n->provider_type);
    if (vlan && (n->segmentation_id < 1 || n->segmentation_id > 4094))
        return neutron_fail(r, ERR_INVALID, "InvalidInput",
                            "Invalid input for operation: "
                            "provider:segmentation_id must be 1 to 4094.");
    if (!vlan && !geneve && n->segmentation_id)
        return neutron_fail(r, ERR_INVALID, "InvalidInput",
                            "Invalid input for operation: "
                            "segmentation_id specified for flat network.");
    return true;
}

static bool created(struct req *r, void *draft, const json_t *body)
{
    struct network *n = draft;
    if (!n->provider_type)
        n->provider_type = n->physical_network ? "flat" : "geneve";
    if (!check_provider(r, n))
        return false;
    if (!n->mtu)
        n->mtu = n->physical_network ? MTU_PHYSICAL : MTU_GENEVE;
    n->status = NET_ACTIVE;
    return true;
}

static bool used_by_others(struct req *r, const struct network *n)
{
    struct snap_iter it = snap_by(r->snap, &kind_port, "network_id", n->rec.id);
    for (const struct port *p; (p = snap_next(&it));)
        if (p->project_id && n->project_id &&
            strcmp(p->project_id, n->project_id) != 0)
            return true;
    return false;
}

static bool updated(struct req *r, const void *old, void *draft,
                    const json_t *body)
{
    const struct network *was = old, *n = draft;
    if (was->shared && !n->shared && used_by_others(r, was))
        return neutron_fail(r, ERR_CONFLICT, "InvalidSharedSetting",
                            "Unable to reconfigure sharing settings for "
                            "network %s. Multiple tenants are using it.",
                            was->rec.id);
    return true;
}

static bool delete_subnets(struct req *r, const struct network *n)
{
    struct snap_iter it =
        snap_by(r->snap, &kind_subnet, "network_id", n->rec.id);
    for (const struct subnet *s; (s = snap_next(&it));) {
        txn_delete_record(&r->txn, s);
        if (!neutron_charge(r, s->project_id, "subnet", -1))
            return false;
    }
    return true;
}

/* The metadata port goes with its network; any other holds it. */
static bool deleted(struct req *r, const void *record)
{
    const struct network *n = record;
    struct snap_iter it = snap_by(r->snap, &kind_port, "network_id", n->rec.id);
    for (const struct port *p; (p = snap_next(&it));) {
        if (!p->device_owner || strcmp(p->device_owner, OWNER_METADATA) != 0)
            return neutron_fail(r, ERR_CONFLICT, "NetworkInUse",
                                "Unable to complete operation on network %s. "
                                "There are one or more ports still in use on "
                                "the network.",
                                n->rec.id);
        if (!port_release(&r->txn, r->snap, p, r->now, &r->err))
            return false;
    }
    return delete_subnets(r, n);
}

const struct resource neutron_networks = {
    .kind = &kind_network,
    .singular = "network",
    .plural = "networks",
    .noun = "Network",
    .not_found_type = "NetworkNotFound",
    .attrs = attrs,
    .quota_service = "network",
    .quota_name = "network",
    .path = "/v2.0/networks",
    .times = TIME_Z,
    .visible = visible,
    .writable = writable,
    .created = created,
    .updated = updated,
    .deleted = deleted,
};
