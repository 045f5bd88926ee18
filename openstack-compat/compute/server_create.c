/* POST /servers: everything a server needs, in one transaction. */
#include "engine/weights.h"
#include "model/shape.h"
#include "openstack-compat/compute/create_plan.h"
#include "openstack-compat/network/defaults.h"
#include "openstack-compat/network/ipam.h"
#include "openstack-compat/network/neutron.h"
#include "openstack-compat/volume/volumes.h"

#include <ctype.h>
#include <openssl/evp.h>
#include <string.h>

#define USER_DATA_MAX 65535

/* ---- making ------------------------------------------------------------ */

static void set_hostname(struct server *s, const char *name)
{
    char text[64];
    size_t n = 0;
    for (const char *c = name; *c && n < sizeof(text) - 1; c++) {
        if (isalnum((unsigned char)*c))
            text[n++] = (char)tolower((unsigned char)*c);
        else if ((*c == '-' || *c == '_' || *c == ' ' || *c == '.') && n)
            text[n++] = '-';
    }
    while (n && text[n - 1] == '-')
        n--;
    text[n] = '\0';
    s->hostname = n ? rec_str(s, text) : rec_strf(s, "server-%s", s->rec.id);
}

static void copy_map(void *record, struct map *to, const struct map *from,
                     bool hardware_only)
{
    for (size_t i = 0; i < from->n; i++) {
        const char *key = from->v[i].key;
        if (!hardware_only || strncmp(key, "hw_", 3) == 0 ||
            strncmp(key, "os_", 3) == 0 || strncmp(key, "trait:", 6) == 0)
            map_put(record, to, key, from->v[i].value);
    }
}

void server_take_image(struct server *s, const struct image *image)
{
    s->image_id = rec_str(s, image->rec.id);
    copy_map(s, &s->image_properties, &image->properties, true);
}

static void fill_from_plan(struct req *r, struct server *s,
                           const struct plan *p)
{
    const struct flavor *f = p->flavor;
    s->project_id = rec_str(s, r->auth.project_id);
    s->user_id = rec_str(s, r->auth.user_id);
    s->flavor_id = rec_str(s, f->rec.id);
    s->flavor_name = rec_str(s, f->name);
    s->vcpus = f->vcpus;
    s->ram_mb = f->ram_mb;
    s->disk_gb = f->disk_gb;
    s->ephemeral_gb = f->ephemeral_gb;
    s->swap_mb = f->swap_mb;
    copy_map(s, &s->extra_specs, &f->extra_specs, false);
    if (p->image)
        server_take_image(s, p->image);
    if (p->keypair) {
        s->key_name = rec_str(s, p->keypair->name);
        s->key_public = rec_str(s, p->keypair->public_key);
    }
    if (p->group)
        s->server_group_id = rec_str(s, p->group->rec.id);
    s->requested_zone = rec_str(s, p->zone);
    s->requested_host = rec_str(s, p->host);
    s->reservation_id = rec_str(s, p->reservation);
    s->min_count = p->max_count > 1 ? p->min_count : 0;
    s->goal = GOAL_RUNNING;
    s->vm_state = VM_BUILDING;
    s->task_state = TASK_SCHEDULING;
    s->created = s->updated = r->now;
}

bool server_read_user_data(struct req *r, struct server *s, const json_t *body)
{
    const char *text;
    if (!nova_string(r, body, "user_data", 0, USER_DATA_MAX, &text))
        return false;
    size_t n = text ? strlen(text) : 0;
    if (n % 4 ||
        (n && strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuv"
                           "wxyz0123456789+/=") != n))
        return create_invalid(r,
                              "Userdata content cannot be decoded: base64 is "
                              "expected.");
    s->user_data = rec_str(s, text);
    return true;
}

static bool read_config_drive(struct req *r, struct server *s,
                              const json_t *body)
{
    const json_t *v = json_object_get(body, "config_drive");
    if (json_is_string(v) && !*json_string_value(v))
        return true;
    if (json_is_string(v) && parse_bool(json_string_value(v), &s->config_drive))
        return true;
    s->config_drive = json_is_true(v);
    return !v || json_is_boolean(v) || json_is_null(v) ||
           create_invalid(r, "config_drive must be a boolean");
}

/* Files to inject: the limit is none, and the limits say so. */
static bool no_personality(struct req *r, const json_t *body)
{
    return !json_array_size(json_object_get(body, "personality")) ||
           error_set(&r->err, ERR_QUOTA, "Personality file limit exceeded");
}

static bool read_tags(struct req *r, struct server *s, const json_t *body)
{
    size_t i;
    json_t *item, *v = json_object_get(body, "tags");
    if (v &&
        (r->mv < MV(2, 52) || !json_is_array(v) || json_array_size(v) > 50))
        return create_invalid(r, "tags: a list of at most 50 from 2.52 on");
    json_array_foreach(v, i, item)
    {
        const char *tag = json_string_value(item);
        if (!tag || !*tag || strlen(tag) > 60 || strpbrk(tag, "/,"))
            return create_invalid(
                r, "A tag has 1 to 60 characters, no '/' or ','");
        if (!strs_has(&s->tags, tag))
            strs_add(s, &s->tags, tag);
    }
    return true;
}

static bool fill_from_body(struct req *r, struct server *s,
                           const struct plan *p)
{
    const json_t *body = p->body, *metadata = json_object_get(body, "metadata");
    const char *description, *hostname;
    if (!nova_string(r, body, "description", 0, 255, &description) ||
        !nova_string(r, body, "hostname", 1, 63, &hostname) ||
        !server_read_user_data(r, s, body) || !read_config_drive(r, s, body) ||
        !read_tags(r, s, body) || !no_personality(r, body))
        return false;
    if (description && r->mv < MV(2, 19))
        return create_invalid(r, "description needs microversion 2.19");
    if (hostname && r->mv < MV(2, 90))
        return create_invalid(r, "hostname needs microversion 2.90");
    if (!server_read_access(r, s, body))
        return false;
    s->description = rec_str(s, description);
    if (hostname)
        s->hostname = rec_str(s, hostname);
    if (json_is_object(p->hints)) {
        _autofree_ char *text = json_dumps(p->hints, JSON_COMPACT);
        s->scheduler_hints = rec_str(s, text);
    }
    return !metadata ||
           nova_read_metadata(r, s, &s->metadata, metadata, "metadata");
}

static bool join_port(struct req *r, struct server *s, const struct nic *nic)
{
    struct server_port *sp = list_add(s, &s->ports, sizeof(*sp));
    _autorecord_ struct port *port = record_copy(nic->port);
    sp->port_id = rec_str(s, port->rec.id);
    sp->tag = rec_str(s, nic->tag);
    port->device_id = rec_str(port, s->rec.id);
    port->device_owner = OWNER_COMPUTE "nova";
    port->dns_name = rec_str(port, s->hostname);
    port->updated = r->now;
    txn_change_record(&r->txn, port);
    return true;
}

static bool make_port(struct req *r, struct server *s, const struct plan *p,
                      const struct nic *nic)
{
    struct port_wish wish = { .any_address = true, .default_group = true };
    struct server_port *sp = list_add(s, &s->ports, sizeof(*sp));
    _autorecord_ struct port *port = record_new(&kind_port, req_uuid(r));
    sp->port_id = rec_str(s, port->rec.id);
    sp->tag = rec_str(s, nic->tag);
    sp->delete_on_termination = true;
    port->project_id = rec_str(port, s->project_id);
    port->network_id = rec_str(port, nic->network->rec.id);
    port->device_id = rec_str(port, s->rec.id);
    port->device_owner = OWNER_COMPUTE "nova";
    port->dns_name = rec_str(port, s->hostname);
    port->name = port->description = "";
    port->vnic_type = "normal";
    port->admin_state_up = true;
    port->port_security_enabled = nic->network->port_security_enabled;
    port->created = port->updated = r->now;
    if (port->port_security_enabled)
        for (size_t i = 0; i < p->groups.n; i++)
            strs_add(port, &port->security_group_ids, p->groups.v[i]);
    if (nic->fixed_ip && !nova_give_address(r, port, nic->fixed_ip))
        return false;
    return port_place(&r->txn, r->snap, r->env, port, wish, &r->err);
}

static bool make_ports(struct req *r, struct server *s, const struct plan *p)
{
    for (size_t i = 0; i < p->n_nics; i++)
        if (!(p->nics[i].port ? join_port(r, s, &p->nics[i])
                              : make_port(r, s, p, &p->nics[i])))
            return false;
    return true;
}

/* A new volume for the server, made from the image, snapshot or nothing. */
static bool new_volume(struct req *r, struct volume *v, const struct server *s,
                       const struct block_device *d)
{
    v->project_id = rec_str(v, s->project_id);
    v->user_id = rec_str(v, s->user_id);
    v->name = v->description = "";
    v->size_gb = d->size_gb;
    v->volume_type_id = rec_str(v, d->volume_type);
    v->created = v->updated = r->now;
    if (strcmp(d->source, "image") == 0)
        v->image_id = rec_str(v, d->id);
    if (strcmp(d->source, "snapshot") == 0)
        v->snapshot_id = rec_str(v, d->id);
    return volume_make(&r->txn, r->snap, v, &r->err);
}

static bool make_volume(struct req *r, struct server *s,
                        const struct block_device *d, int letter)
{
    bool existing = strcmp(d->source, "volume") == 0;
    const struct volume *was =
        existing ? snap_get(r->snap, &kind_volume, d->id) : NULL;
    _autorecord_ struct volume *v =
        existing ? record_copy(was) : record_new(&kind_volume, req_uuid(r));
    struct server_volume *sv = list_add(s, &s->volumes, sizeof(*sv));
    sv->volume_id = rec_str(s, v->rec.id);
    sv->attachment_id = rec_str(s, req_uuid(r));
    sv->device = rec_strf(s, "/dev/vd%c", letter);
    sv->tag = rec_str(s, d->tag);
    sv->boot = d->boot;
    sv->delete_on_termination = d->delete_on_termination;
    struct volume_attachment *a = list_add(v, &v->attachments, sizeof(*a));
    a->attachment_id = rec_str(v, sv->attachment_id);
    a->server_id = rec_str(v, s->rec.id);
    a->device = rec_str(v, sv->device);
    if (!existing)
        return new_volume(r, v, s, d);
    v->status = VOLUME_RESERVED;
    v->updated = r->now;
    txn_change_record(&r->txn, v);
    return true;
}

static bool make_volumes(struct req *r, struct server *s, const struct plan *p)
{
    struct local_disk local[LOCAL_DISKS_MAX];
    int next = 'b' + (int)server_local_disks(s, local);
    for (size_t i = 0; i < p->n_devices; i++) {
        const struct block_device *d = &p->devices[i];
        if (!make_volume(r, s, d, d->boot ? 'a' : next++))
            return false;
    }
    return true;
}

/* What makes no sense is refused now, not when a place is looked for. */
static bool check_specs(struct req *r, const struct server *s)
{
    const char *placement = map_get(&s->extra_specs, WEIGHTS_SPEC);
    struct score_policy policy;
    struct shape shape;
    return shape_of_server(s, &shape, &r->err) &&
           (!placement || weights_read(NULL, placement, &policy, &r->err));
}

static struct server *make_server(struct req *r, const struct plan *p,
                                  int64_t index)
{
    struct server *s = record_new(&kind_server, req_uuid(r));
    fill_from_plan(r, s, p);
    s->launch_index = index;
    server_note(r, s, "create");
    s->name = p->max_count > 1
                  ? rec_strf(s, "%s-%lld", p->name, (long long)index + 1)
                  : rec_str(s, p->name);
    bool ok = check_specs(r, s) && fill_from_body(r, s, p);
    if (ok && !s->hostname)
        set_hostname(s, s->name);
    ok = ok && make_ports(r, s, p) && make_volumes(r, s, p);
    if (!ok) {
        record_unref(s);
        return NULL;
    }
    server_make_disks(&r->txn, s);
    if (p->image)
        txn_expect_record(&r->txn, p->image); /* not deleted meanwhile */
    txn_change_record(&r->txn, s);
    return s;
}

/* ---- the handler ------------------------------------------------------- */

/* max_count if the quota allows, else as many as it does, min_count at
 * least. */
static bool charge(struct req *r, const struct plan *p, int64_t *count)
{
    const char *project = r->auth.project_id;
    const struct flavor *f = p->flavor;
    for (*count = p->max_count; *count >= p->min_count; --*count) {
        struct amount amounts[] = {
            { "instances", *count },
            { "cores", *count * f->vcpus },
            { "ram", *count * f->ram_mb },
        };
        error_clear(&r->err);
        if (quota_charge(&r->txn, r->snap, "compute", project, amounts,
                         ARRAY_SIZE(amounts), &r->err))
            return true;
        if (r->err.code != ERR_QUOTA)
            return false;
    }
    return false;
}

static enum outcome reply(struct req *r, const struct plan *p,
                          const struct server *first)
{
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    if (json_is_true(json_object_get(p->body, "return_reservation_id"))) {
        jw_str(&w, "reservation_id", p->reservation);
        jw_obj_end(&w);
        return req_reply(r, 202);
    }
    jw_obj(&w, "server");
    jw_str(&w, "id", first->rec.id);
    nova_links(r, &w, "servers", first->rec.id);
    jw_str(&w, "OS-DCF:diskConfig", "MANUAL");
    jw_arr(&w, "security_groups");
    if (!p->groups.n && p->n_nics) { /* each port has its own project's */
        jw_obj(&w, NULL);
        jw_str(&w, "name", "default");
        jw_obj_end(&w);
    }
    for (size_t i = 0; i < p->groups.n; i++) {
        const struct security_group *g =
            snap_get(r->snap, &kind_security_group, p->groups.v[i]);
        jw_obj(&w, NULL);
        jw_str(&w, "name", g->name);
        jw_obj_end(&w);
    }
    jw_arr_end(&w);
    jw_obj_end(&w);
    jw_obj_end(&w);
    http_header(
        &r->resp, "Location",
        req_strf(r, "%s/v2.1/servers/%s", req_base_url(r), first->rec.id));
    return req_reply(r, 202);
}

static enum outcome create(struct req *r, struct plan *p)
{
    int64_t count;
    enum outcome out = OUT_FAIL;
    if (!create_plan(r, p) || !charge(r, p, &count))
        return req_failed(r);
    for (int64_t i = 0; i < count; i++) {
        _autorecord_ struct server *s = make_server(r, p, i);
        if (!s)
            return req_failed(r);
        if (i == 0)
            out = reply(r, p, s);
    }
    return out;
}

enum outcome server_create(struct req *r)
{
    struct plan p = { .scratch = record_new(&kind_server, "scratch") };
    enum outcome out = create(r, &p);
    record_unref(p.scratch);
    json_decref(p.image_devices);
    return out;
}
