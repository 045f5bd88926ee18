/*
 * nova - the Compute API v2.1 over the records of model/compute.h.
 *
 * One file a subject; service.c holds the routes.  Handlers run on the
 * face's threads, see rest-api/request.h.
 */
#ifndef CAIRN_OPENSTACK_COMPAT_COMPUTE_NOVA_H
#define CAIRN_OPENSTACK_COMPAT_COMPUTE_NOVA_H

#include "model/compute.h"
#include "model/image.h"
#include "model/network.h"
#include "model/pool.h"
#include "model/release.h"
#include "model/volume.h"
#include "rest-api/check.h"
#include "rest-api/fragments.h"
#include "rest-api/resource.h"
#include "rest-api/route.h"

#define NOVA_MIN MV(2, 1)
#define NOVA_MAX MV(2, 90)

extern const struct service_api nova;

/* server_view.c: servers as clients see them */
void server_write(struct req *r, struct jw *w, const char *key,
                  const struct server *s, bool detail);
/* Its detail, from what was written before where nothing it shows has changed;
 * for servers of the snapshot only.  The key is made once an answer. */
struct fragment_key server_detail_key(struct req *r);
void server_write_kept(struct req *r, struct jw *w, const char *key,
                       const struct server *s, struct fragment_key *of);
/* The server of the path, if the caller may see it; else NULL, r->err. */
const struct server *server_get(struct req *r, const char *id);
/* False and 409 when it is locked and the caller is no admin. */
bool server_unlocked(struct req *r, const struct server *s);
/* accessIPv4 and accessIPv6 of a body into the draft. */
bool server_read_access(struct req *r, struct server *draft,
                        const json_t *body);
/* user_data of a body, base64, into the draft (server_create.c) */
bool server_read_user_data(struct req *r, struct server *draft,
                           const json_t *body);
/* The image and what it says of the hardware, into a draft that has none. */
void server_take_image(struct server *draft, const struct image *image);
/* Notes down in the draft what is asked of it (server_events.c). */
void server_note(struct req *r, struct server *draft, const char *action);
/* Its ports, in the order of its cards; returns how many. */
#define SERVER_PORTS_MAX 32
size_t server_ports(struct req *r, const struct server *s,
                    const struct port *ports[SERVER_PORTS_MAX]);
/* Adds the address that was asked for to a port draft; 400 when no subnet of
 * its network has it. */
bool nova_give_address(struct req *r, struct port *port, const char *address);
/* May the caller's servers be on this network?  (server_create.c) */
bool nova_may_plug(struct req *r, const struct network *n);
bool nova_node_up(const struct req *r, const struct node *n);
void nova_links(struct req *r, struct jw *w, const char *collection,
                const char *id);
void nova_write_map(struct jw *w, const char *key, const struct map *map);

/* Reads an object of at most 128 strings into a map of the record. */
bool nova_read_metadata(struct req *r, void *record, struct map *map,
                        const json_t *value, const char *what);
/* Refuses members of `body` that are not in the NULL-terminated `known`. */
bool nova_only(struct req *r, const json_t *body, const char *const *known);
/* A string member: absent -> NULL and true; other type or length -> false. */
bool nova_string(struct req *r, const json_t *body, const char *name,
                 size_t min, size_t max, const char **value);

/* limit and marker for lists that are written as they are walked: open it,
 * then ask for each item in order whether it is on the page; at the end
 * window_closed is false (400) when the marker was not met. */
struct window {
    int64_t left;
    const char *marker;
    bool inside;
};
bool window_open(struct req *r, struct window *w);
bool window_takes(struct window *w, const char *id);
bool window_closed(struct req *r, const struct window *w);

/* flavors.c */
const struct flavor *flavor_get(struct req *r, const char *id);
void flavor_write_embedded(struct req *r, struct jw *w, const struct server *s);

handler_fn flavor_list, flavor_detail, flavor_show, flavor_create,
    flavor_update, flavor_delete, flavor_specs_list, flavor_specs_set,
    flavor_spec_show, flavor_spec_set, flavor_spec_delete, flavor_access_list,
    flavor_action;
handler_fn keypair_list, keypair_show, keypair_create, keypair_delete;
handler_fn server_group_list, server_group_show, server_group_create,
    server_group_delete;
handler_fn server_list, server_detail, server_show, server_create,
    server_update, server_delete, server_action, server_event_list,
    server_event_show, remote_console_create, server_ips, server_ips_of_network,
    server_security_groups;
handler_fn nova_security_group_list, nova_security_group_show;
handler_fn server_metadata_list, server_metadata_replace,
    server_metadata_update, server_metadata_show, server_metadata_set,
    server_metadata_delete;
handler_fn server_tag_list, server_tag_replace, server_tag_clear,
    server_tag_check, server_tag_add, server_tag_remove;
handler_fn attachment_list, attachment_show, attachment_create,
    attachment_update, attachment_delete;
handler_fn interface_list, interface_show, interface_create, interface_delete;
handler_fn zone_list, zone_detail, nova_service_list, nova_service_update,
    nova_service_update_named, hypervisor_list, hypervisor_detail,
    hypervisor_show, hypervisor_uptime, hypervisor_search,
    hypervisor_statistics;
handler_fn aggregate_list, aggregate_show, aggregate_create, aggregate_update,
    aggregate_delete, aggregate_action;
handler_fn server_migration_list, server_migration_show,
    server_migration_delete, server_migration_action, nova_migration_list;
handler_fn nova_limits, nova_quota_show, nova_quota_defaults, nova_quota_detail,
    nova_quota_update, nova_quota_delete;

#endif
