/*
 * network - neutron's records.
 *
 * The northbound database of OVN is derived from these (network/nb.h).  Each
 * network that has a subnet owns a port with device_owner
 * "network:distributed": the metadata service's address on it.
 */
#ifndef CAIRN_MODEL_NETWORK_H
#define CAIRN_MODEL_NETWORK_H

#include "model/model.h"

enum net_status { NET_DOWN, NET_ACTIVE, NET_BUILD, NET_ERROR };
extern const char *const net_status_names[]; /* "DOWN", "ACTIVE" ... */

#define OWNER_COMPUTE    "compute:" /* + availability zone */
#define OWNER_ROUTER     "network:router_interface"
#define OWNER_GATEWAY    "network:router_gateway"
#define OWNER_FLOATINGIP "network:floatingip"
#define OWNER_METADATA   "network:distributed"

struct network {
    struct record rec;
    const char *project_id;
    const char *name;
    const char *description;
    bool admin_state_up;
    bool shared;
    bool external;
    bool is_default; /* the external network routers take */
    bool port_security_enabled;
    int64_t mtu;
    const char *dns_domain;
    const char *provider_type; /* geneve, flat, vlan */
    const char *physical_network;
    int64_t segmentation_id;
    const char *metadata_port_id;
    struct strs tags;
    int status; /* enum net_status */
    int64_t created, updated;
};

struct ip_range {
    const char *start, *end;
};
struct host_route {
    const char *destination, *nexthop;
};

struct subnet {
    struct record rec;
    const char *project_id;
    const char *network_id;
    const char *name;
    const char *description;
    int64_t ip_version; /* 4 or 6 */
    const char *cidr;
    const char *gateway_ip; /* NULL: none */
    bool enable_dhcp;
    const char *ipv6_ra_mode;
    const char *ipv6_address_mode;
    struct strs dns_nameservers;
    struct list pools;       /* struct ip_range */
    struct list host_routes; /* struct host_route */
    struct strs tags;
    int64_t created, updated;
};

struct fixed_ip {
    const char *subnet_id;
    const char *ip_address;
};
struct address_pair {
    const char *ip_address; /* address or CIDR */
    const char *mac_address;
};

/* An address a port holds is claimed: "ip/<subnet id>/<address>"; its MAC:
 * "mac/<network id>/<mac>". */
struct port {
    struct record rec;
    const char *project_id;
    const char *network_id;
    const char *name;
    const char *description;
    const char *mac_address;
    struct list fixed_ips; /* struct fixed_ip */
    const char *device_id;
    const char *device_owner;
    const char *dns_name;
    bool admin_state_up;
    bool port_security_enabled;
    struct strs security_group_ids;
    struct list address_pairs; /* struct address_pair */
    const char *vnic_type;     /* normal */
    const char *node;          /* binding:host_id */
    const char *migrating_to;  /* node it is bound to as well; NULL: none */
    struct strs tags;
    int status; /* enum net_status */
    int64_t created, updated;
};

struct router {
    struct record rec;
    const char *project_id;
    const char *name;
    const char *description;
    bool admin_state_up;
    const char *gateway_network_id; /* NULL: none */
    const char *gateway_port_id;
    bool enable_snat;
    struct list routes; /* struct host_route */
    struct strs tags;
    int status; /* enum net_status */
    int64_t created, updated;
};

struct floating_ip {
    struct record rec;
    const char *project_id;
    const char *description;
    const char *network_id;       /* external */
    const char *floating_port_id; /* the port that holds the address */
    const char *address;
    const char *port_id; /* NULL: not associated */
    const char *fixed_address;
    const char *router_id;
    struct strs tags;
    int status; /* enum net_status */
    int64_t created, updated;
};

struct security_group {
    struct record rec;
    const char *project_id;
    const char *name;
    const char *description;
    bool stateless;
    struct strs tags;
    int64_t created, updated;
};

struct security_group_rule {
    struct record rec;
    const char *project_id;
    const char *security_group_id;
    const char *description;
    const char *direction; /* ingress, egress */
    const char *ethertype; /* IPv4, IPv6 */
    const char *protocol;  /* NULL = any; tcp, udp, icmp, ... or a number */
    int64_t port_min, port_max; /* ICMP: type and code; -1 = not given */
    const char *remote_group_id;
    const char *remote_ip_prefix;
    int64_t created;
};

#endif
