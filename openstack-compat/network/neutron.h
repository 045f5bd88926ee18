/*
 * neutron - the Networking API v2.0 over the records of model/network.h.
 *
 * One file a resource; service.c holds the routes.  Handlers run on the
 * face's threads, see rest-api/request.h.
 */
#ifndef CAIRN_OPENSTACK_COMPAT_NETWORK_NEUTRON_H
#define CAIRN_OPENSTACK_COMPAT_NETWORK_NEUTRON_H

#include "common/ip.h"
#include "model/network.h"
#include "model/pool.h"
#include "model/release.h"
#include "rest-api/resource.h"
#include "rest-api/route.h"

extern const struct service_api neutron;
extern const struct resource neutron_networks, neutron_subnets, neutron_ports,
    neutron_routers, neutron_floating_ips, neutron_security_groups,
    neutron_security_group_rules;

/* Rows that every resource of neutron ends with. */
void neutron_show_revision(struct req *r, struct jw *w, const char *name,
                           const void *record);
void neutron_show_null(struct req *r, struct jw *w, const char *name,
                       const void *record);
void neutron_show_empty_list(struct req *r, struct jw *w, const char *name,
                             const void *record);
void neutron_show_empty_object(struct req *r, struct jw *w, const char *name,
                               const void *record);
#define NEUTRON_OWNER_ATTRS                                                    \
    { "project_id", NULL, A_FILTER },                                          \
    {                                                                          \
        "tenant_id", "project_id", A_FILTER                                    \
    }
/* tags=a,b: all of them; tags-any: one of them; not-..: the others. */
bool neutron_tags_all(struct req *r, const void *record, const char *value);
bool neutron_tags_any(struct req *r, const void *record, const char *value);
bool neutron_tags_not_all(struct req *r, const void *record, const char *value);
bool neutron_tags_not_any(struct req *r, const void *record, const char *value);
#define NEUTRON_TAG_ATTRS                                                      \
    { "tags", NULL, A_FILTER, .matches = neutron_tags_all },                   \
        { "tags-any", "tags", A_HIDDEN | A_FILTER,                             \
          .matches = neutron_tags_any },                                       \
        { "not-tags", "tags", A_HIDDEN | A_FILTER,                             \
          .matches = neutron_tags_not_all },                                   \
    {                                                                          \
        "not-tags-any", "tags", A_HIDDEN | A_FILTER,                           \
            .matches = neutron_tags_not_any                                    \
    }
#define NEUTRON_TAIL_ATTRS                                                     \
    { "created_at", "created", A_FILTER },                                     \
        { "updated_at", "updated", A_FILTER },                                 \
    {                                                                          \
        .name = "revision_number", .show = neutron_show_revision               \
    }

/* Fails with neutron's exception name; returns false. */
bool neutron_fail(struct req *r, enum error_code code, const char *type,
                  const char *fmt, ...) __attribute__((format(printf, 4, 5)));
#ifdef __clang_analyzer__ /* which does not see into other files */
#define neutron_fail(...) (neutron_fail(__VA_ARGS__), false)
#endif
/* The project's network quota, once more or once less. */
bool neutron_charge(struct req *r, const char *project_id, const char *what,
                    int64_t n);

handler_fn neutron_quota_list, neutron_quota_show, neutron_quota_default,
    neutron_quota_details, neutron_quota_update, neutron_quota_delete;
handler_fn neutron_tags_show, neutron_tags_replace, neutron_tags_clear,
    neutron_tag_show, neutron_tag_add, neutron_tag_remove;
handler_fn neutron_router_add_interface, neutron_router_remove_interface;
handler_fn neutron_router_add_routes, neutron_router_remove_routes;
handler_fn neutron_port_delete;

#endif
