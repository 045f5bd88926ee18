/*
 * placement - the Placement API, read only, as a view of nodes and servers.
 *
 * A node is a resource provider (its uuid is the hypervisor's), a placed
 * server a consumer.  Nothing is kept for this service: inventories come
 * from the node's record, allocations from the servers'.  Cairn's own
 * scheduler decides, so there is nothing to write: PUT, POST and DELETE are
 * answered 405.  No granular request groups, no nested providers, no custom
 * traits.  Devices are shown in inventories and usages by nova's class
 * (CUSTOM_PCI_10DE_20B0), but cannot be asked for here.
 *
 *   service.c      discovery, classes, traits, routes
 *   providers.c    providers and what they have
 *   consumers.c    allocations and usages
 *   candidates.c   where a request would fit
 */
#ifndef CAIRN_OPENSTACK_COMPAT_PLACEMENT_PLACEMENT_H
#define CAIRN_OPENSTACK_COMPAT_PLACEMENT_PLACEMENT_H

#include "model/compute.h"
#include "model/pool.h"
#include "rest-api/resource.h"
#include "rest-api/route.h"

#define PLACEMENT_MIN MV(1, 0)
#define PLACEMENT_MAX MV(1, 39)

extern const struct service_api placement;

enum resource_class {
    CLASS_VCPU,
    CLASS_RAM,
    CLASS_DISK,
    CLASS_PCPU,
    N_CLASSES
};
extern const char *const class_names[]; /* "VCPU" ..., up to NULL */

/* An amount of each class. */
struct amounts {
    int64_t n[N_CLASSES];
};
struct amounts server_amounts(const struct server *s);
struct amounts node_used(struct req *r, const struct node *n);
struct inventory {
    int64_t total, reserved;
    double ratio;
};
struct inventory node_inventory(const struct node *n, enum resource_class c);
int64_t inventory_capacity(const struct inventory *inv);

/* Those amounts that are not 0 as {"VCPU": 1, ...} */
void write_amounts(struct jw *w, const char *key, const struct amounts *a);

extern const char *const trait_names[]; /* sorted, up to NULL */
bool node_has_trait(const struct node *n, const char *trait);
void write_traits(struct jw *w, const char *key, const struct node *n);

/* ?resources=, ?required=, ?member_of= ... of a query. */
struct wish {
    struct amounts amounts;
    bool any_amount;
};
/* Checks the parameters against those in the NULL-terminated `known`. */
bool wish_parse(struct req *r, const char *const *known, struct wish *wish);
bool wish_fits(struct req *r, const struct wish *wish, const struct node *n);

handler_fn provider_list, provider_show, provider_inventories,
    provider_inventory, provider_usages, provider_aggregates, provider_traits,
    provider_allocations, consumer_allocations, project_usages,
    allocation_candidates;

#endif
