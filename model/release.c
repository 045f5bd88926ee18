#include "model/release.h"

#include "model/decision.h"
#include "model/migration.h"
#include "model/pool.h"
#include "model/resize.h"
#include "model/shelve.h"

#include <string.h>

/* ---- ports ------------------------------------------------------------- */

typedef void claim_fn(struct txn *t, const char *id, const char *owner);

static void drop_claim(struct txn *t, const char *id, const char *owner)
{
    claim_release(t, id);
}

static void each_claim(struct txn *t, const struct port *p, claim_fn *fn)
{
    char id[STORE_KEY_MAX], owner[STORE_KEY_MAX];
    record_key(p, owner);
    if (p->mac_address)
        fn(t, claim_id(id, "mac/%s/%s", p->network_id, p->mac_address), owner);
    for (size_t i = 0; i < p->fixed_ips.n; i++) {
        const struct fixed_ip *ip = LIST_AT(p->fixed_ips, struct fixed_ip, i);
        fn(t, claim_id(id, "ip/%s/%s", ip->subnet_id, ip->ip_address), owner);
    }
}

void port_take_claims(struct txn *t, const struct port *p)
{
    each_claim(t, p, claim_take);
}

static void port_release_claims(struct txn *t, const struct port *p)
{
    each_claim(t, p, drop_claim);
}

static void forget_floating_ips(struct txn *t, const struct snapshot *s,
                                const struct port *p, int64_t now)
{
    struct snap_iter it = snap_by(s, &kind_floating_ip, "port_id", p->rec.id);
    for (const struct floating_ip *f; (f = snap_next(&it));) {
        _autorecord_ struct floating_ip *draft = record_copy(f);
        draft->port_id = draft->fixed_address = draft->router_id = NULL;
        draft->status = NET_DOWN;
        draft->updated = now;
        txn_change_record(t, draft);
    }
}

/* Gives back the quota of those ports that belong to ports[i]'s project,
 * unless an earlier one has done it. */
static bool uncharge_project(struct txn *t, const struct snapshot *s,
                             const struct port *const *ports, size_t n,
                             size_t i, struct error *err)
{
    const char *project = ports[i]->project_id;
    struct amount less = { "port", 0 };
    if (!project || !*project)
        return true; /* the pool's own, e.g. a router's gateway */
    for (size_t k = 0; k < n; k++) {
        if (!ports[k]->project_id || strcmp(ports[k]->project_id, project) != 0)
            continue;
        if (k < i)
            return true;
        less.n--;
    }
    return quota_charge(t, s, "network", project, &less, 1, err);
}

bool ports_release(struct txn *t, const struct snapshot *s,
                   const struct port *const *ports, size_t n, int64_t now,
                   struct error *err)
{
    for (size_t i = 0; i < n; i++) {
        txn_delete_record(t, ports[i]);
        port_release_claims(t, ports[i]);
        forget_floating_ips(t, s, ports[i], now);
        if (!uncharge_project(t, s, ports, n, i, err))
            return false;
    }
    return true;
}

void port_unbind(struct txn *t, const struct port *p, int64_t now)
{
    _autorecord_ struct port *draft = record_copy(p);
    draft->device_id = draft->device_owner = draft->node = NULL;
    draft->status = NET_DOWN;
    draft->updated = now;
    txn_change_record(t, draft);
}

/* ---- volumes ----------------------------------------------------------- */

static void drop_attachments(struct volume *draft, const char *server_id)
{
    for (size_t i = draft->attachments.n; i-- > 0;) {
        const struct volume_attachment *a =
            LIST_AT(draft->attachments, struct volume_attachment, i);
        if (a->server_id && strcmp(a->server_id, server_id) == 0)
            list_remove(&draft->attachments, sizeof(*a), i);
    }
}

void volume_release(struct txn *t, const struct volume *v,
                    const char *server_id, bool also_delete, int64_t now)
{
    _autorecord_ struct volume *draft = record_copy(v);
    drop_attachments(draft, server_id);
    bool attached = draft->attachments.n > 0;
    switch (draft->status) {
    case VOLUME_RESERVED:
    case VOLUME_ATTACHING:
    case VOLUME_IN_USE:
    case VOLUME_DETACHING:
        draft->status = attached ? VOLUME_IN_USE : VOLUME_AVAILABLE;
        break;
    default: /* what storage is at goes on */
        break;
    }
    if (also_delete && !attached)
        draft->status = VOLUME_DELETING;
    draft->updated = now;
    txn_change_record(t, draft);
}

/* ---- servers ----------------------------------------------------------- */

void disk_release(struct txn *t, const struct disk *disk)
{
    if (!disk->node) {
        txn_delete_record(t, disk);
        return;
    }
    _autorecord_ struct disk *draft = record_copy(disk);
    draft->state = DISK_LEAVING;
    txn_change_record(t, draft);
}

static bool made_for_server(const struct server *server, const char *port_id)
{
    for (size_t i = 0; i < server->ports.n; i++) {
        const struct server_port *p =
            LIST_AT(server->ports, struct server_port, i);
        if (strcmp(p->port_id, port_id) == 0)
            return p->delete_on_termination;
    }
    return false;
}

/* By the ports' own device_id: also finds one that the server does not know
 * (a port made for it whose request broke off). */
static bool release_ports(struct txn *t, const struct snapshot *s,
                          const struct server *server, int64_t now,
                          struct error *err)
{
    const struct port *gone[64];
    size_t n = 0;
    struct snap_iter it = snap_by(s, &kind_port, "device_id", server->rec.id);
    for (const struct port *p; (p = snap_next(&it));) {
        if (made_for_server(server, p->rec.id) && n < ARRAY_SIZE(gone))
            gone[n++] = p;
        else
            port_unbind(t, p, now);
    }
    return ports_release(t, s, gone, n, now, err);
}

static const struct server_volume *volume_of(const struct server *server,
                                             const char *volume_id)
{
    for (size_t i = 0; i < server->volumes.n; i++) {
        const struct server_volume *v =
            LIST_AT(server->volumes, struct server_volume, i);
        if (strcmp(v->volume_id, volume_id) == 0)
            return v;
    }
    return NULL;
}

/* One with snapshots stays, as cinder refuses to delete it; so does one that
 * is being copied. */
static bool goes_too(const struct snapshot *s, const struct server_volume *sv,
                     const struct volume *v)
{
    return sv && sv->delete_on_termination && v->status != VOLUME_UPLOADING &&
           !snap_find(s, &kind_snapshot, "volume_id", v->rec.id) &&
           !volume_is_copied(s, v);
}

static void release_volumes(struct txn *t, const struct snapshot *s,
                            const struct server *server, int64_t now)
{
    struct snap_iter it =
        snap_by(s, &kind_volume, "attachments.server_id", server->rec.id);
    for (const struct volume *v; (v = snap_next(&it));) {
        const struct server_volume *sv = volume_of(server, v->rec.id);
        volume_release(t, v, server->rec.id, goes_too(s, sv, v), now);
    }
    /* Ones that the server names but that do not name it yet. */
    for (size_t i = 0; i < server->volumes.n; i++) {
        const struct server_volume *sv =
            LIST_AT(server->volumes, struct server_volume, i);
        const struct volume *v = snap_get(s, &kind_volume, sv->volume_id);
        if (v && v->attachments.n == 0)
            volume_release(t, v, server->rec.id, goes_too(s, sv, v), now);
    }
}

static void release_image(struct txn *t, const struct snapshot *s,
                          const struct server *server, int64_t now)
{
    _autorecord_ struct server *draft = record_copy(server);
    shelve_drop_image(t, s, draft, now);
}

static void release_disks(struct txn *t, const struct snapshot *s,
                          const struct server *server)
{
    struct snap_iter it = snap_by(s, &kind_disk, "server_id", server->rec.id);
    for (const struct disk *disk; (disk = snap_next(&it));)
        disk_release(t, disk);
}

bool server_release(struct txn *t, const struct snapshot *s,
                    const struct server *server, int64_t now, struct error *err)
{
    const struct charge has = resize_charge(s, server);
    const struct amount less[] = {
        { "instances", -1 },
        { "cores", -has.vcpus },
        { "ram", -has.ram_mb },
    };
    const struct decision *why = snap_get(s, &kind_decision, server->rec.id);
    txn_delete_record(t, server);
    if (why)
        txn_delete_record(t, why);
    release_volumes(t, s, server, now);
    release_disks(t, s, server);
    release_image(t, s, server, now);
    migration_forget(t, s, server, now);
    return release_ports(t, s, server, now, err) &&
           quota_charge(t, s, "compute", server->project_id, less,
                        ARRAY_SIZE(less), err);
}
