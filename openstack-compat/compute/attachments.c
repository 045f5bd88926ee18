/* Volumes and ports that come to a server, and leave it. */
#include "openstack-compat/compute/nova.h"
#include "openstack-compat/network/ipam.h"

#include <stdlib.h>
#include <string.h>

#define DEVICES_MAX 25 /* vdb to vdz */
#define NICS_MAX    16

/* ---- volume attachments ------------------------------------------------ */

static void write_attachment(struct req *r, struct jw *w, const char *key,
                             const struct server *s,
                             const struct server_volume *v)
{
    jw_obj(w, key);
    if (r->mv < MV(2, 89))
        jw_str(w, "id", v->volume_id);
    jw_str(w, "volumeId", v->volume_id);
    jw_str(w, "serverId", s->rec.id);
    jw_str(w, "device", v->device);
    if (r->mv >= MV(2, 70))
        jw_str(w, "tag", v->tag);
    if (r->mv >= MV(2, 79))
        jw_bool(w, "delete_on_termination", v->delete_on_termination);
    if (r->mv >= MV(2, 89)) {
        jw_str(w, "attachment_id", v->attachment_id);
        jw_str(w, "bdm_uuid", v->attachment_id);
    }
    jw_obj_end(w);
}

/* ?limit= and ?offset= */
static bool on_page(struct req *r, size_t i)
{
    const char *limit = req_query(r, "limit"), *offset = req_query(r, "offset");
    long long first = offset ? strtoll(offset, NULL, 10) : 0;
    return (long long)i >= first &&
           (!limit || (long long)i < first + strtoll(limit, NULL, 10));
}

enum outcome attachment_list(struct req *r)
{
    const struct server *s = server_get(r, r->param[0]);
    if (!s)
        return req_failed(r);
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    jw_arr(&w, "volumeAttachments");
    for (size_t i = 0; i < s->volumes.n; i++)
        if (on_page(r, i))
            write_attachment(r, &w, NULL, s,
                             LIST_AT(s->volumes, struct server_volume, i));
    jw_arr_end(&w);
    jw_obj_end(&w);
    return req_reply(r, 200);
}

static struct server_volume *find_volume(const struct server *s,
                                         const char *volume_id)
{
    for (size_t i = 0; i < s->volumes.n; i++) {
        struct server_volume *v = LIST_AT(s->volumes, struct server_volume, i);
        if (strcmp(v->volume_id, volume_id) == 0)
            return v;
    }
    return NULL;
}

static enum outcome not_attached(struct req *r)
{
    return req_fail(r, ERR_NOT_FOUND,
                    "Instance %.64s is not attached to volume %.64s.",
                    r->param[0], r->param[1]);
}

static enum outcome reply_attachment(struct req *r, const struct server *s,
                                     const struct server_volume *v)
{
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    write_attachment(r, &w, "volumeAttachment", s, v);
    jw_obj_end(&w);
    return req_reply(r, 200);
}

enum outcome attachment_show(struct req *r)
{
    const struct server *s = server_get(r, r->param[0]);
    const struct server_volume *v = s ? find_volume(s, r->param[1]) : NULL;
    if (!s)
        return req_failed(r);
    return v ? reply_attachment(r, s, v) : not_attached(r);
}

/* A server whose devices may be changed now. */
static const struct server *changeable(struct req *r, const char *what)
{
    const struct server *s = server_get(r, r->param[0]);
    if (!s)
        return NULL;
    bool state = s->vm_state == VM_ACTIVE || s->vm_state == VM_STOPPED ||
                 s->vm_state == VM_PAUSED; /* saved memory keeps its devices */
    if (!server_unlocked(r, s))
        return NULL;
    if (s->goal == GOAL_DELETED || !state)
        error_set(&r->err, ERR_CONFLICT,
                  "Cannot '%s' instance %s while it is in vm_state %s", what,
                  s->rec.id,
                  s->goal == GOAL_DELETED ? "deleted"
                                          : vm_state_names[s->vm_state]);
    else if (s->task_state != TASK_NONE)
        error_set(&r->err, ERR_CONFLICT,
                  "Cannot '%s' instance %s while it is in task_state %s", what,
                  s->rec.id, task_state_names[s->task_state]);
    else
        return s;
    return NULL;
}

static bool device_taken(const struct server *s, const char *device)
{
    struct local_disk local[LOCAL_DISKS_MAX];
    for (size_t i = server_local_disks(s, local); i-- > 0;)
        if (strcmp(local[i].device, device) == 0)
            return true;
    for (size_t i = 0; i < s->volumes.n; i++)
        if (strcmp(LIST_AT(s->volumes, struct server_volume, i)->device,
                   device) == 0)
            return true;
    return false;
}

/* The first free of vdb..vdz: a wish is a hint, as with nova's libvirt. */
static bool choose_device(struct req *r, struct server *s, char out[16])
{
    for (int i = 0; i < DEVICES_MAX; i++) {
        snprintf(out, 16, "/dev/vd%c", 'b' + i);
        if (!device_taken(s, out))
            return true;
    }
    return error_set(&r->err, ERR_FORBIDDEN,
                     "The server has no room for another volume.");
}

static bool has_server(const struct volume *v, const char *server_id)
{
    for (size_t i = 0; i < v->attachments.n; i++) {
        const char *has =
            LIST_AT(v->attachments, struct volume_attachment, i)->server_id;
        if (has && strcmp(has, server_id) == 0)
            return true;
    }
    return false;
}

static bool may_share(struct req *r, const struct volume *v)
{
    return !v->multiattach || r->mv >= MV(2, 60) ||
           error_set(&r->err, ERR_INVALID,
                     "Multiattach volumes are only supported starting with "
                     "compute API version 2.60.");
}

static bool is_free(const struct volume *v)
{
    return v->status == VOLUME_AVAILABLE ||
           (v->multiattach &&
            (v->status == VOLUME_IN_USE || v->status == VOLUME_ATTACHING));
}

/* What lies on a node's own disk is for the servers there. */
static bool in_reach(struct req *r, const struct server *s,
                     const struct volume *v)
{
    if (has_server(v, s->rec.id))
        return error_set(&r->err, ERR_INVALID,
                         "Invalid volume: volume %s already attached",
                         v->rec.id);
    if (v->node && s->node && strcmp(v->node, s->node) != 0)
        return error_set(&r->err, ERR_INVALID,
                         "Invalid volume: volume %s is on the own disk of "
                         "another node than the server's.",
                         v->rec.id);
    return true;
}

static const struct volume *attachable(struct req *r, const char *id)
{
    const struct volume *v = snap_get(r->snap, &kind_volume, id);
    if (!v || !req_may_see(r, v->project_id)) {
        error_set(&r->err, ERR_NOT_FOUND, "Volume %.64s could not be found.",
                  id);
        return NULL;
    }
    if (volume_is_copied(r->snap, v)) {
        error_set(&r->err, ERR_CONFLICT,
                  "Volume %s is being copied, try again.", v->rec.id);
        return NULL;
    }
    if (is_free(v))
        return may_share(r, v) ? v : NULL;
    error_set(&r->err, ERR_INVALID,
              "Invalid volume: volume %s status must be available or "
              "downloading to reserve, but the current status is %s.",
              v->rec.id, volume_status_names[v->status]);
    return NULL;
}

static const struct server_volume *attach(struct req *r, struct server *s,
                                          const struct volume *was,
                                          const json_t *body)
{
    char device[16];
    if (!choose_device(r, s, device))
        return NULL;
    struct server_volume *sv = list_add(s, &s->volumes, sizeof(*sv));
    sv->volume_id = rec_str(s, was->rec.id);
    sv->attachment_id = rec_str(s, req_uuid(r));
    sv->device = rec_str(s, device);
    sv->tag = rec_str(s, json_string_value(json_object_get(body, "tag")));
    sv->delete_on_termination =
        json_is_true(json_object_get(body, "delete_on_termination"));
    s->updated = r->now;
    server_note(r, s, "attach_volume");
    _autorecord_ struct volume *v = record_copy(was);
    struct volume_attachment *a = list_add(v, &v->attachments, sizeof(*a));
    a->attachment_id = rec_str(v, sv->attachment_id);
    a->server_id = rec_str(v, s->rec.id);
    a->device = rec_str(v, device);
    if (v->status != VOLUME_IN_USE)
        v->status = VOLUME_ATTACHING;
    v->updated = r->now;
    txn_change_record(&r->txn, s);
    txn_change_record(&r->txn, v);
    return sv;
}

enum outcome attachment_create(struct req *r)
{
    static const char *const known[] = { "volumeId", "device", "tag",
                                         "delete_on_termination", NULL };
    const struct server *was = changeable(r, "attach_volume");
    const json_t *body = was ? req_envelope(r, "volumeAttachment") : NULL;
    const char *id, *tag;
    if (!body || !nova_only(r, body, known) ||
        !nova_string(r, body, "volumeId", 1, 64, &id) ||
        !nova_string(r, body, "tag", 1, 60, &tag))
        return req_failed(r);
    if (!id || !check_id(id))
        return req_fail(r, ERR_INVALID, "'volumeId' must be a UUID");
    if ((tag && r->mv < MV(2, 49)) ||
        (json_object_get(body, "delete_on_termination") && r->mv < MV(2, 79)))
        return req_fail(r, ERR_INVALID,
                        "tag needs microversion 2.49, delete_on_termination "
                        "2.79");
    const struct volume *v = attachable(r, id);
    if (!v || !in_reach(r, was, v))
        return req_failed(r);
    _autorecord_ struct server *s = record_copy(was);
    const struct server_volume *sv = attach(r, s, v, body);
    return sv ? reply_attachment(r, s, sv) : req_failed(r);
}

/* 2.85: delete_on_termination may change; another volume (a swap) not. */
enum outcome attachment_update(struct req *r)
{
    const struct server *was = changeable(r, "update_volume");
    const json_t *body = was ? req_envelope(r, "volumeAttachment") : NULL;
    const json_t *flag = json_object_get(body, "delete_on_termination");
    const char *id;
    if (!body || !nova_string(r, body, "volumeId", 1, 64, &id))
        return req_failed(r);
    if (!id || strcmp(id, r->param[1]) != 0)
        return req_fail(r, ERR_NOT_IMPLEMENTED,
                        "Swapping a volume for another is not built yet.");
    if (flag && !json_is_boolean(flag))
        return req_fail(r, ERR_INVALID,
                        "delete_on_termination must be a boolean");
    _autorecord_ struct server *s = record_copy(was);
    struct server_volume *sv = find_volume(s, id);
    if (!sv)
        return not_attached(r);
    if (flag)
        sv->delete_on_termination = json_is_true(flag);
    s->updated = r->now;
    txn_change_record(&r->txn, s);
    return req_reply(r, 202);
}

enum outcome attachment_delete(struct req *r)
{
    const struct server *was = changeable(r, "detach_volume");
    if (!was)
        return req_failed(r);
    _autorecord_ struct server *s = record_copy(was);
    struct server_volume *sv = find_volume(s, r->param[1]);
    const struct volume *volume = snap_get(r->snap, &kind_volume, r->param[1]);
    if (!sv || !volume)
        return not_attached(r);
    if (sv->boot)
        return req_fail(r, ERR_FORBIDDEN, "Cannot detach a root device volume");
    if (volume->status != VOLUME_IN_USE)
        return req_fail(r, ERR_INVALID,
                        "Invalid volume: volume %s status must be in-use, but "
                        "the current status is %s.",
                        volume->rec.id, volume_status_names[volume->status]);
    sv->state = ATTACH_LEAVING;
    s->updated = r->now;
    server_note(r, s, "detach_volume");
    _autorecord_ struct volume *v = record_copy(volume);
    v->status = VOLUME_DETACHING;
    v->updated = r->now;
    txn_change_record(&r->txn, s);
    txn_change_record(&r->txn, v);
    return req_reply(r, 202);
}

/* ---- interfaces -------------------------------------------------------- */

static void write_interface(struct req *r, struct jw *w, const char *key,
                            const struct port *p, const char *tag)
{
    jw_obj(w, key);
    jw_str(w, "port_id", p->rec.id);
    jw_str(w, "net_id", p->network_id);
    jw_str(w, "mac_addr", p->mac_address);
    jw_str(w, "port_state", net_status_names[p->status]);
    if (r->mv >= MV(2, 70))
        jw_str(w, "tag", tag);
    jw_arr(w, "fixed_ips");
    for (size_t i = 0; i < p->fixed_ips.n; i++) {
        const struct fixed_ip *ip = LIST_AT(p->fixed_ips, struct fixed_ip, i);
        jw_obj(w, NULL);
        jw_str(w, "subnet_id", ip->subnet_id);
        jw_str(w, "ip_address", ip->ip_address);
        jw_obj_end(w);
    }
    jw_arr_end(w);
    jw_obj_end(w);
}

static struct server_port *find_port(const struct server *s, const char *id)
{
    for (size_t i = 0; i < s->ports.n; i++) {
        struct server_port *p = LIST_AT(s->ports, struct server_port, i);
        if (strcmp(p->port_id, id) == 0)
            return p;
    }
    return NULL;
}

enum outcome interface_list(struct req *r)
{
    const struct server *s = server_get(r, r->param[0]);
    if (!s)
        return req_failed(r);
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    jw_arr(&w, "interfaceAttachments");
    for (size_t i = 0; i < s->ports.n; i++) {
        const struct server_port *sp = LIST_AT(s->ports, struct server_port, i);
        const struct port *p = snap_get(r->snap, &kind_port, sp->port_id);
        if (p)
            write_interface(r, &w, NULL, p, sp->tag);
    }
    jw_arr_end(&w);
    jw_obj_end(&w);
    return req_reply(r, 200);
}

static enum outcome reply_interface(struct req *r, const struct port *p,
                                    const char *tag)
{
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    write_interface(r, &w, "interfaceAttachment", p, tag);
    jw_obj_end(&w);
    return req_reply(r, 200);
}

static enum outcome no_interface(struct req *r)
{
    return req_fail(r, ERR_NOT_FOUND,
                    "Port %.64s is not attached to instance %.64s", r->param[1],
                    r->param[0]);
}

enum outcome interface_show(struct req *r)
{
    const struct server *s = server_get(r, r->param[0]);
    const struct server_port *sp = s ? find_port(s, r->param[1]) : NULL;
    const struct port *p =
        sp ? snap_get(r->snap, &kind_port, sp->port_id) : NULL;
    if (!s)
        return req_failed(r);
    return p ? reply_interface(r, p, sp->tag) : no_interface(r);
}

/* What POST .../os-interface asks for. */
struct interface {
    const char *port, *network, *address, *tag;
};

static void bind_port(struct req *r, struct server *s, struct port *p,
                      const struct interface *ask)
{
    struct server_port *sp = list_add(s, &s->ports, sizeof(*sp));
    sp->port_id = rec_str(s, p->rec.id);
    sp->tag = rec_str(s, ask->tag);
    sp->delete_on_termination = !ask->port; /* made here */
    p->device_id = rec_str(p, s->rec.id);
    p->device_owner = OWNER_COMPUTE "nova";
    p->node = rec_str(p, s->node);
    p->dns_name = rec_str(p, s->hostname);
    p->updated = r->now;
    s->updated = r->now;
    server_note(r, s, "attach_interface");
}

static enum outcome attach_port(struct req *r, struct server *s,
                                const struct interface *ask)
{
    const struct port *was = snap_get(r->snap, &kind_port, ask->port);
    if (!was || !req_may_see(r, was->project_id))
        return req_fail(r, ERR_NOT_FOUND, "Port id %.64s could not be found.",
                        ask->port);
    if (was->device_id && *was->device_id)
        return req_fail(r, ERR_INVALID, "Port %s is still in use.",
                        was->rec.id);
    _autorecord_ struct port *p = record_copy(was);
    bind_port(r, s, p, ask);
    txn_change_record(&r->txn, p);
    txn_change_record(&r->txn, s);
    return reply_interface(r, p, ask->tag);
}

static enum outcome attach_network(struct req *r, struct server *s,
                                   const struct interface *ask)
{
    struct port_wish wish = { .any_address = true, .default_group = true };
    const struct network *n = snap_get(r->snap, &kind_network, ask->network);
    if (!n || !nova_may_plug(r, n))
        return req_fail(r, ERR_INVALID, "Network %.64s could not be found.",
                        ask->network);
    _autorecord_ struct port *p = record_new(&kind_port, req_uuid(r));
    p->project_id = rec_str(p, s->project_id);
    p->network_id = rec_str(p, n->rec.id);
    p->name = p->description = "";
    p->vnic_type = "normal";
    p->admin_state_up = true;
    p->port_security_enabled = n->port_security_enabled;
    p->created = r->now;
    bind_port(r, s, p, ask);
    if ((ask->address && !nova_give_address(r, p, ask->address)) ||
        !port_place(&r->txn, r->snap, r->env, p, wish, &r->err))
        return req_failed(r);
    txn_change_record(&r->txn, s);
    return reply_interface(r, p, ask->tag);
}

static bool read_interface(struct req *r, const json_t *body,
                           struct interface *ask)
{
    static const char *const known[] = { "port_id", "net_id", "fixed_ips",
                                         "tag", NULL };
    const json_t *ips = json_object_get(body, "fixed_ips");
    if (!nova_only(r, body, known) ||
        !nova_string(r, body, "port_id", 1, 64, &ask->port) ||
        !nova_string(r, body, "net_id", 1, 64, &ask->network) ||
        !nova_string(r, body, "tag", 1, 60, &ask->tag))
        return false;
    ask->address = json_string_value(
        json_object_get(json_array_get(ips, 0), "ip_address"));
    if (ask->tag && r->mv < MV(2, 49))
        return error_set(&r->err, ERR_INVALID, "tag needs microversion 2.49");
    if (ips && (json_array_size(ips) != 1 || !ask->address ||
                !check_ip(ask->address) || !ask->network))
        return error_set(&r->err, ERR_INVALID,
                         "fixed_ips: one object with an ip_address is "
                         "expected, together with net_id.");
    return !ask->port != !ask->network ||
           error_set(&r->err, ERR_INVALID,
                     "Exactly one of port_id and net_id is expected.");
}

enum outcome interface_create(struct req *r)
{
    struct interface ask;
    const struct server *was = changeable(r, "attach_interface");
    const json_t *body = was ? req_envelope(r, "interfaceAttachment") : NULL;
    if (!body || !read_interface(r, body, &ask))
        return req_failed(r);
    if (was->ports.n >= NICS_MAX)
        return req_fail(r, ERR_FORBIDDEN,
                        "The server has no room for another port.");
    _autorecord_ struct server *s = record_copy(was);
    return ask.port ? attach_port(r, s, &ask) : attach_network(r, s, &ask);
}

enum outcome interface_delete(struct req *r)
{
    const struct server *was = changeable(r, "detach_interface");
    if (!was)
        return req_failed(r);
    _autorecord_ struct server *s = record_copy(was);
    struct server_port *sp = find_port(s, r->param[1]);
    if (!sp)
        return no_interface(r);
    sp->state = ATTACH_LEAVING;
    s->updated = r->now;
    server_note(r, s, "detach_interface");
    txn_change_record(&r->txn, s);
    return req_reply(r, 202);
}
