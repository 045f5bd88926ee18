/*
 * nb - what OVN's northbound database should hold, from the records.
 *
 * A pure function: a snapshot of neutron's records in, the wanted content
 * out.  The northbound database is derived state: it can be lost and made
 * again at any time (network/sync.h brings one to the other).
 *
 *     network         Logical_Switch, + a localnet port on a provider network
 *     port            Logical_Switch_Port named by the port's id (that is
 *                     what libvirt's <virtualport> plugs by); type router
 *                     or localport where the owner says so
 *     subnet          DHCP_Options (v4; v6 when stateful)
 *     dns names       DNS, one row a network
 *     router          Logical_Router, static routes, NAT
 *     router port     Logical_Router_Port, + Gateway_Chassis on the gateway
 *     floating IP     NAT dnat_and_snat, centralised
 *     security group  Port_Group with one ACL a rule; besides one group of
 *                     all ports with port security, whose ACLs drop
 *
 * Content is one JSON object: table -> key -> {"parent": key, "row": {..}}.
 * The key is what tells our rows apart: external_ids "cairn:id", unique in a
 * table, a record's id or made from one.  A row without it is not ours.
 * "parent" is the key of the row in the parent table whose column holds it.
 * Values are canonical (ovsdb_wire.h), but a reference to another row is
 * ["ref", table, key].
 */
#ifndef CAIRN_NETWORK_NB_H
#define CAIRN_NETWORK_NB_H

#include "state/cache.h"

#include <jansson.h>

#define NB_DATABASE "OVN_Northbound"
#define NB_ID       "cairn:id" /* in external_ids */
/* Port group of all ports that let nothing pass unless a rule says so. */
#define NB_DROP_GROUP "cairn_drop"

/* In the order in which rows are made: what is referred to comes first. */
enum nb_table {
    NB_DHCP_OPTIONS,
    NB_DNS,
    NB_LOGICAL_SWITCH,
    NB_LOGICAL_SWITCH_PORT,
    NB_LOGICAL_ROUTER,
    NB_LOGICAL_ROUTER_PORT,
    NB_GATEWAY_CHASSIS,
    NB_STATIC_ROUTE,
    NB_NAT,
    NB_PORT_GROUP,
    NB_ACL,
    NB_N_TABLES,
};

struct nb_column {
    const char *name;
    enum { NB_ATOM, NB_SET, NB_MAP, NB_CHILDREN, NB_SEEN } type;
};

struct nb_table_def {
    const char *name;
    int parent;                /* enum nb_table or -1: a root */
    const char *parent_column; /* of the parent, holds the rows */
    /* Up to one without name.  ATOM, SET, MAP are ours to write; CHILDREN
     * hold rows of other tables; SEEN is only read. */
    const struct nb_column *columns;
};
extern const struct nb_table_def nb_tables[NB_N_TABLES];

#define NB_GATEWAYS 5 /* members that stand in for a gateway */

struct nb_config {
    const char *chassis;            /* carries the gateways while there is but
                                     * one member; NULL: there are none */
    const char *const *dns_servers; /* NULL-terminated, for subnets without */
    const char *dns_domain;         /* for networks without; may be NULL */
};

/* What ovsdb_config.monitor wants. */
json_t *nb_monitor(void);

/* A new reference.  Deterministic: equal records, equal content. */
json_t *nb_derive(const struct snapshot *s, const struct nb_config *config);

#endif
