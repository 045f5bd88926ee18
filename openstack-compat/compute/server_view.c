/* Servers as clients see them: show, addresses, groups. */
#include "openstack-compat/compute/nova.h"
#include "rest-api/api.h"
#include "rest-api/fragments.h"

#include <string.h>

/* ---- addresses --------------------------------------------------------- */

static void write_address(struct jw *w, const char *address, const char *type,
                          const char *mac)
{
    jw_obj(w, NULL);
    jw_int(w, "version", strchr(address, ':') ? 6 : 4);
    jw_str(w, "addr", address);
    jw_str(w, "OS-EXT-IPS:type", type);
    jw_str(w, "OS-EXT-IPS-MAC:mac_addr", mac);
    jw_obj_end(w);
}

static void write_port(struct req *r, struct jw *w, const struct port *p)
{
    for (size_t i = 0; i < p->fixed_ips.n; i++) {
        const struct fixed_ip *ip = LIST_AT(p->fixed_ips, struct fixed_ip, i);
        write_address(w, ip->ip_address, "fixed", p->mac_address);
    }
    struct snap_iter it =
        snap_by(r->snap, &kind_floating_ip, "port_id", p->rec.id);
    for (const struct floating_ip *f; (f = snap_next(&it));)
        write_address(w, f->address, "floating", p->mac_address);
}

static const char *label_of(struct req *r, const struct port *p)
{
    const struct network *n = snap_get(r->snap, &kind_network, p->network_id);
    return n && n->name ? n->name : p->network_id;
}

/* One member a network name; several ports of one network share it. */
static void write_addresses(struct req *r, struct jw *w, const char *key,
                            const struct server *s, const char *only)
{
    const struct port *ports[SERVER_PORTS_MAX];
    const char *labels[SERVER_PORTS_MAX];
    size_t n = server_ports(r, s, ports);
    for (size_t i = 0; i < n; i++)
        labels[i] = label_of(r, ports[i]);
    jw_obj(w, key);
    for (size_t i = 0; i < n; i++) {
        size_t first = 0;
        while (strcmp(labels[first], labels[i]) != 0)
            first++;
        if (first < i || (only && strcmp(labels[i], only) != 0))
            continue;
        jw_arr(w, labels[i]);
        for (size_t k = i; k < n; k++)
            if (strcmp(labels[k], labels[i]) == 0)
                write_port(r, w, ports[k]);
        jw_arr_end(w);
    }
    jw_obj_end(w);
}

static void write_security_groups(struct req *r, struct jw *w,
                                  const struct server *s)
{
    const struct port *ports[SERVER_PORTS_MAX];
    const char *seen[SERVER_PORTS_MAX];
    size_t n = server_ports(r, s, ports), n_seen = 0;
    if (!n)
        return;
    jw_arr(w, "security_groups");
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < ports[i]->security_group_ids.n; k++) {
            const char *id = ports[i]->security_group_ids.v[k];
            size_t m = 0;
            while (m < n_seen && strcmp(seen[m], id) != 0)
                m++;
            const struct security_group *g =
                snap_get(r->snap, &kind_security_group, id);
            if (m < n_seen || !g || n_seen == SERVER_PORTS_MAX)
                continue;
            seen[n_seen++] = id;
            jw_obj(w, NULL);
            jw_str(w, "name", g->name);
            jw_obj_end(w);
        }
    jw_arr_end(w);
}

/* ---- one server -------------------------------------------------------- */

static void write_time(struct jw *w, const char *key, int64_t us,
                       enum time_style style)
{
    char text[TIME_TEXT_MAX];
    jw_str(w, key, us ? time_format(us, style, text) : NULL);
}

static void write_image(struct req *r, struct jw *w, const struct server *s)
{
    if (!s->image_id) {
        jw_str(w, "image", "");
        return;
    }
    jw_obj(w, "image");
    jw_str(w, "id", s->image_id);
    jw_arr(w, "links");
    jw_obj(w, NULL);
    jw_str(w, "rel", "bookmark");
    jw_join(w, "href", req_base_url(r), "/images/", s->image_id, NULL);
    jw_obj_end(w);
    jw_arr_end(w);
    jw_obj_end(w);
}

static void write_fault(struct jw *w, const struct server *s)
{
    if (!s->fault || s->vm_state != VM_ERROR)
        return;
    jw_obj(w, "fault");
    jw_int(w, "code", s->fault_code ? s->fault_code : 500);
    write_time(w, "created", s->fault_at, TIME_Z);
    jw_str(w, "message", s->fault);
    jw_obj_end(w);
}

static void write_volumes(struct req *r, struct jw *w, const struct server *s)
{
    jw_arr(w, "os-extended-volumes:volumes_attached");
    for (size_t i = 0; i < s->volumes.n; i++) {
        const struct server_volume *v =
            LIST_AT(s->volumes, struct server_volume, i);
        jw_obj(w, NULL);
        jw_str(w, "id", v->volume_id);
        if (r->mv >= MV(2, 3))
            jw_bool(w, "delete_on_termination", v->delete_on_termination);
        jw_obj_end(w);
    }
    jw_arr_end(w);
}

static void write_states(struct jw *w, const struct server *s)
{
    jw_int(w, "OS-EXT-STS:power_state", s->power_state);
    jw_str(w, "OS-EXT-STS:task_state",
           s->task_state ? task_state_names[s->task_state] : NULL);
    jw_str(w, "OS-EXT-STS:vm_state", vm_state_names[s->vm_state]);
    write_time(w, "OS-SRV-USG:launched_at", s->launched, TIME_MICRO);
    write_time(w, "OS-SRV-USG:terminated_at", s->terminated, TIME_MICRO);
    if (s->vm_state == VM_ACTIVE || s->vm_state == VM_BUILDING ||
        s->vm_state == VM_PAUSED || s->vm_state == VM_SUSPENDED)
        jw_int(w, "progress", s->vm_state == VM_BUILDING ? 0 : 100);
}

static void write_admin(struct req *r, struct jw *w, const struct server *s)
{
    if (!r->auth.is_admin)
        return;
    jw_str(w, "OS-EXT-SRV-ATTR:host", s->node);
    jw_str(w, "OS-EXT-SRV-ATTR:hypervisor_hostname", s->node);
    jw_str(w, "OS-EXT-SRV-ATTR:instance_name", s->domain_name);
    if (r->mv < MV(2, 3))
        return;
    jw_str(w, "OS-EXT-SRV-ATTR:reservation_id", s->reservation_id);
    jw_int(w, "OS-EXT-SRV-ATTR:launch_index", s->launch_index);
    jw_str(w, "OS-EXT-SRV-ATTR:hostname", s->hostname);
    jw_str(w, "OS-EXT-SRV-ATTR:kernel_id", "");
    jw_str(w, "OS-EXT-SRV-ATTR:ramdisk_id", "");
    jw_str(w, "OS-EXT-SRV-ATTR:root_device_name", s->root_device);
    jw_str(w, "OS-EXT-SRV-ATTR:user_data", s->user_data);
}

enum { HOST_NONE, HOST_UNKNOWN, HOST_DOWN, HOST_MAINTENANCE, HOST_UP };
#define HOST_STATUSES 5
static const char *const host_statuses[HOST_STATUSES] = { "", "UNKNOWN", "DOWN",
                                                          "MAINTENANCE", "UP" };

static bool shows_host_status(const struct req *r)
{
    return r->mv >= MV(2, 16) && r->auth.is_admin;
}

static int host_status(struct req *r, const struct server *s)
{
    const struct node *n = snap_get(r->snap, &kind_node, s->node);
    if (!n)
        return s->node ? HOST_UNKNOWN : HOST_NONE;
    return !nova_node_up(r, n) ? HOST_DOWN
           : n->disabled       ? HOST_MAINTENANCE
                               : HOST_UP;
}

/* What later microversions added. */
static void write_newer(struct req *r, struct jw *w, const struct server *s)
{
    if (r->mv >= MV(2, 9))
        jw_bool(w, "locked", s->locked);
    if (r->mv >= MV(2, 73))
        jw_str(w, "locked_reason", s->locked_reason);
    if (shows_host_status(r))
        jw_str(w, "host_status", host_statuses[host_status(r, s)]);
    if (r->mv >= MV(2, 19))
        jw_str(w, "description", s->description);
    if (r->mv >= MV(2, 26)) {
        jw_arr(w, "tags");
        for (size_t i = 0; i < s->tags.n; i++)
            jw_str(w, NULL, s->tags.v[i]);
        jw_arr_end(w);
    }
    if (r->mv >= MV(2, 63))
        jw_null(w, "trusted_image_certificates");
    if (r->mv >= MV(2, 71)) {
        jw_arr(w, "server_groups");
        if (s->server_group_id)
            jw_str(w, NULL, s->server_group_id);
        jw_arr_end(w);
    }
    if (r->mv >= MV(2, 90) && !r->auth.is_admin)
        jw_str(w, "OS-EXT-SRV-ATTR:hostname", s->hostname);
}

static char *put_hex(char *p, uint64_t v, int digits)
{
    for (int i = digits - 1; i >= 0; i--, v >>= 4)
        p[i] = "0123456789abcdef"[v & 15];
    return p + digits;
}

/* Nova's hostId: the same for servers of one project on one host. */
static void write_host_id(struct req *r, struct jw *w, const struct server *s)
{
    char text[56];
    if (!s->node) {
        jw_str(w, "hostId", "");
        return;
    }
    uint64_t h[2] = { 1469598103934665603u, 1099511628211u };
    for (const char *c = s->project_id; c && *c; c++)
        h[0] = (h[0] ^ (unsigned char)*c) * 1099511628211u;
    for (const char *c = s->node; *c; c++)
        h[1] = (h[1] ^ (unsigned char)*c ^ h[0]) * 1099511628211u;
    char *p = put_hex(text, h[0], 16);
    p = put_hex(p, h[1], 16);
    p = put_hex(p, h[0] ^ h[1], 16);
    put_hex(p, h[0] >> 32, 8);
    jw_strn(w, "hostId", text, sizeof(text));
}

static void write_detail(struct req *r, struct jw *w, const struct server *s)
{
    jw_str(w, "status", server_status(s));
    jw_str(w, "tenant_id", s->project_id);
    jw_str(w, "user_id", s->user_id);
    nova_write_map(w, "metadata", &s->metadata);
    write_host_id(r, w, s);
    write_image(r, w, s);
    flavor_write_embedded(r, w, s);
    write_time(w, "created", s->created, TIME_Z);
    write_time(w, "updated", s->updated, TIME_Z);
    write_addresses(r, w, "addresses", s, NULL);
    jw_str(w, "accessIPv4", s->access_ipv4 ? s->access_ipv4 : "");
    jw_str(w, "accessIPv6", s->access_ipv6 ? s->access_ipv6 : "");
    jw_str(w, "OS-DCF:diskConfig", "MANUAL");
    jw_str(w, "OS-EXT-AZ:availability_zone",
           s->zone             ? s->zone
           : s->requested_zone ? s->requested_zone
                               : "");
    jw_str(w, "config_drive", s->config_drive ? "True" : "");
    jw_str(w, "key_name", s->key_name);
    write_states(w, s);
    write_volumes(r, w, s);
    write_security_groups(r, w, s);
    write_fault(w, s);
    write_admin(r, w, s);
    write_newer(r, w, s);
}

void server_write(struct req *r, struct jw *w, const char *key,
                  const struct server *s, bool detail)
{
    jw_obj(w, key);
    jw_str(w, "id", s->rec.id);
    jw_str(w, "name", s->name);
    if (detail)
        write_detail(r, w, s);
    nova_links(r, w, "servers", s->rec.id);
    jw_obj_end(w);
}

/* ---- as it was written before ------------------------------------------ */

/* What the detail of any server depends on beside its own record: see
 * write_port, label_of, write_security_groups. */
struct fragment_key server_detail_key(struct req *r)
{
    const struct kind *const kinds[] = { &kind_port, &kind_floating_ip,
                                         &kind_network, &kind_security_group };
    struct fragment_key key = { .base_url = req_base_url(r) };
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        int64_t changed = snap_changed(r->snap, kinds[i]);
        key.others = changed > key.others ? changed : key.others;
    }
    return key;
}

/* Microversion, who asks, and what its host is like now. */
static int variant(struct req *r, const struct server *s)
{
    int v = r->mv * 2 + r->auth.is_admin;
    return v * HOST_STATUSES + (shows_host_status(r) ? host_status(r, s) : 0);
}

void server_write_kept(struct req *r, struct jw *w, const char *name,
                       const struct server *s, struct fragment_key *key)
{
    struct fragments *f = r->api->fragments;
    key->id = s->rec.id;
    key->revision = s->rec.mod_rev;
    key->variant = variant(r, s);
    if (f && fragments_write(f, key, w, name))
        return;
    size_t from = w->out->len + w->comma + (name ? strlen(name) + 3 : 0);
    server_write(r, w, name, s, true);
    if (f && !w->out->overflow)
        fragments_keep(f, key, w->out->data + from, w->out->len - from);
}

enum outcome server_show(struct req *r)
{
    const struct server *s = server_get(r, r->param[0]);
    if (!s)
        return req_failed(r);
    struct jw w = req_json(r);
    struct fragment_key key = server_detail_key(r);
    jw_obj(&w, NULL);
    server_write_kept(r, &w, "server", s, &key);
    jw_obj_end(&w);
    return req_reply(r, 200);
}

enum outcome server_ips(struct req *r)
{
    const struct server *s = server_get(r, r->param[0]);
    if (!s)
        return req_failed(r);
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    write_addresses(r, &w, "addresses", s, NULL);
    jw_obj_end(&w);
    return req_reply(r, 200);
}

enum outcome server_ips_of_network(struct req *r)
{
    const struct server *s = server_get(r, r->param[0]);
    if (!s)
        return req_failed(r);
    struct jw w = req_json(r);
    write_addresses(r, &w, NULL, s, r->param[1]);
    if (r->resp.body.len <= 2)
        return req_fail(r, ERR_NOT_FOUND, "Network not found: %.64s",
                        r->param[1]);
    return req_reply(r, 200);
}
