#include "model/network.h"

#include "model/table.h"

const char *const net_status_names[] = { "DOWN", "ACTIVE", "BUILD", "ERROR",
                                         NULL };

#define T struct network
static const struct field network_fields[] = {
    FIELD(T, project_id, F_STR),
    FIELD(T, name, F_STR),
    FIELD(T, description, F_STR),
    FIELD(T, admin_state_up, F_BOOL),
    FIELD(T, shared, F_BOOL),
    FIELD(T, external, F_BOOL),
    FIELD(T, is_default, F_BOOL),
    FIELD(T, port_security_enabled, F_BOOL),
    FIELD(T, mtu, F_INT),
    FIELD(T, dns_domain, F_STR),
    FIELD(T, provider_type, F_STR),
    FIELD(T, physical_network, F_STR),
    FIELD(T, segmentation_id, F_INT),
    FIELD(T, metadata_port_id, F_STR),
    FIELD(T, tags, F_STRS),
    FIELD_E(T, status, net_status_names),
    FIELD(T, created, F_TIME),
    FIELD(T, updated, F_TIME),
    FIELD_END,
};
#undef T
KIND(kind_network, KIND_NETWORK, "network", struct network, network_fields,
     INDEXES({ "project_id" }));

static const struct field ip_range_fields[] = {
    FIELD(struct ip_range, start, F_STR),
    FIELD(struct ip_range, end, F_STR),
    FIELD_END,
};
static const struct schema ip_range_schema = { sizeof(struct ip_range),
                                               ip_range_fields };
static const struct field host_route_fields[] = {
    FIELD(struct host_route, destination, F_STR),
    FIELD(struct host_route, nexthop, F_STR),
    FIELD_END,
};
static const struct schema host_route_schema = { sizeof(struct host_route),
                                                 host_route_fields };

#define T struct subnet
static const struct field subnet_fields[] = {
    FIELD(T, project_id, F_STR),
    FIELD(T, network_id, F_STR),
    FIELD(T, name, F_STR),
    FIELD(T, description, F_STR),
    FIELD(T, ip_version, F_INT),
    FIELD(T, cidr, F_STR),
    FIELD(T, gateway_ip, F_STR),
    FIELD(T, enable_dhcp, F_BOOL),
    FIELD(T, ipv6_ra_mode, F_STR),
    FIELD(T, ipv6_address_mode, F_STR),
    FIELD(T, dns_nameservers, F_STRS),
    FIELD_L(T, pools, ip_range_schema),
    FIELD_L(T, host_routes, host_route_schema),
    FIELD(T, tags, F_STRS),
    FIELD(T, created, F_TIME),
    FIELD(T, updated, F_TIME),
    FIELD_END,
};
#undef T
KIND(kind_subnet, KIND_SUBNET, "subnet", struct subnet, subnet_fields,
     INDEXES({ "project_id" }, { "network_id" }));

static const struct field fixed_ip_fields[] = {
    FIELD(struct fixed_ip, subnet_id, F_STR),
    FIELD(struct fixed_ip, ip_address, F_STR),
    FIELD_END,
};
static const struct schema fixed_ip_schema = { sizeof(struct fixed_ip),
                                               fixed_ip_fields };
static const struct field address_pair_fields[] = {
    FIELD(struct address_pair, ip_address, F_STR),
    FIELD(struct address_pair, mac_address, F_STR),
    FIELD_END,
};
static const struct schema address_pair_schema = { sizeof(struct address_pair),
                                                   address_pair_fields };

#define T struct port
static const struct field port_fields[] = {
    FIELD(T, project_id, F_STR),
    FIELD(T, network_id, F_STR),
    FIELD(T, name, F_STR),
    FIELD(T, description, F_STR),
    FIELD(T, mac_address, F_STR),
    FIELD_L(T, fixed_ips, fixed_ip_schema),
    FIELD(T, device_id, F_STR),
    FIELD(T, device_owner, F_STR),
    FIELD(T, dns_name, F_STR),
    FIELD(T, admin_state_up, F_BOOL),
    FIELD(T, port_security_enabled, F_BOOL),
    FIELD(T, security_group_ids, F_STRS),
    FIELD_L(T, address_pairs, address_pair_schema),
    FIELD(T, vnic_type, F_STR),
    FIELD(T, node, F_STR),
    FIELD(T, migrating_to, F_STR),
    FIELD(T, tags, F_STRS),
    FIELD_E(T, status, net_status_names),
    FIELD(T, created, F_TIME),
    FIELD(T, updated, F_TIME),
    FIELD_END,
};
#undef T
KIND(kind_port, KIND_PORT, "port", struct port, port_fields,
     INDEXES({ "project_id" }, { "network_id" }, { "device_id" },
             { "fixed_ips.subnet_id" }, { "fixed_ips.ip_address" },
             { "security_group_ids" }, { "mac_address" }));

#define T struct router
static const struct field router_fields[] = {
    FIELD(T, project_id, F_STR),
    FIELD(T, name, F_STR),
    FIELD(T, description, F_STR),
    FIELD(T, admin_state_up, F_BOOL),
    FIELD(T, gateway_network_id, F_STR),
    FIELD(T, gateway_port_id, F_STR),
    FIELD(T, enable_snat, F_BOOL),
    FIELD_L(T, routes, host_route_schema),
    FIELD(T, tags, F_STRS),
    FIELD_E(T, status, net_status_names),
    FIELD(T, created, F_TIME),
    FIELD(T, updated, F_TIME),
    FIELD_END,
};
#undef T
KIND(kind_router, KIND_ROUTER, "router", struct router, router_fields,
     INDEXES({ "project_id" }, { "gateway_network_id" }));

#define T struct floating_ip
static const struct field floating_ip_fields[] = {
    FIELD(T, project_id, F_STR),
    FIELD(T, description, F_STR),
    FIELD(T, network_id, F_STR),
    FIELD(T, floating_port_id, F_STR),
    FIELD(T, address, F_STR),
    FIELD(T, port_id, F_STR),
    FIELD(T, fixed_address, F_STR),
    FIELD(T, router_id, F_STR),
    FIELD(T, tags, F_STRS),
    FIELD_E(T, status, net_status_names),
    FIELD(T, created, F_TIME),
    FIELD(T, updated, F_TIME),
    FIELD_END,
};
#undef T
KIND(kind_floating_ip, KIND_FLOATING_IP, "floating_ip", struct floating_ip,
     floating_ip_fields,
     INDEXES({ "project_id" }, { "port_id" }, { "router_id" }, { "network_id" },
             { "address" }));

#define T struct security_group
static const struct field security_group_fields[] = {
    FIELD(T, project_id, F_STR),  FIELD(T, name, F_STR),
    FIELD(T, description, F_STR), FIELD(T, stateless, F_BOOL),
    FIELD(T, tags, F_STRS),       FIELD(T, created, F_TIME),
    FIELD(T, updated, F_TIME),    FIELD_END,
};
#undef T
KIND(kind_security_group, KIND_SECURITY_GROUP, "security_group",
     struct security_group, security_group_fields,
     INDEXES({ "project_id" }, { "name" }));

#define T struct security_group_rule
static const struct field security_group_rule_fields[] = {
    FIELD(T, project_id, F_STR),      FIELD(T, security_group_id, F_STR),
    FIELD(T, description, F_STR),     FIELD(T, direction, F_STR),
    FIELD(T, ethertype, F_STR),       FIELD(T, protocol, F_STR),
    FIELD(T, port_min, F_INT),        FIELD(T, port_max, F_INT),
    FIELD(T, remote_group_id, F_STR), FIELD(T, remote_ip_prefix, F_STR),
    FIELD(T, created, F_TIME),        FIELD_END,
};
#undef T
KIND(kind_security_group_rule, KIND_SECURITY_GROUP_RULE, "security_group_rule",
     struct security_group_rule, security_group_rule_fields,
     INDEXES({ "project_id" }, { "security_group_id" }, { "remote_group_id" }));
