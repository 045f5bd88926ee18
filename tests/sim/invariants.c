#include "invariants.h"

#include "clients.h"
#include "common/alloc.h"
#include "core.h"
#include "files.h"
#include "guests.h"
#include "model/compute.h"
#include "model/identity.h"
#include "model/image.h"
#include "model/network.h"
#include "model/pool.h"
#include "model/resize.h"
#include "model/volume.h"
#include "nets.h"
#include "sim_node.h"

#include <string.h>

#define MIGRATION_COUNTER "migration/number"
#define NEWS              200 /* that are on their way while nodes say that they live */
#define OLD_US                                                                 \
    (7300 * SECOND_US) /* what the storage's audit must have seen              \
                        */

/* One look at all. */
struct look {
    struct world *w;
    const struct snapshot *s;
    int64_t since; /* what has not changed since then was looked at */
};

static bool is_new(const struct look *l, const struct kind *kind)
{
    return snap_changed(l->s, kind) > l->since;
}

static bool any_new(const struct look *l, const struct kind *const *kinds,
                    size_t n)
{
    bool found = false;
    for (size_t i = 0; !found && i < n; i++)
        found = is_new(l, kinds[i]);
    return found;
}

static bool is(const char *a, const char *b)
{
    return a && b && strcmp(a, b) == 0;
}

/* ---- references
 * ------------------------------------------------------------------ */

struct reference {
    const struct kind *from;
    const char *path;
    const struct kind *to;
    bool only_quiet; /* may be broken while somebody works on it */
};

static const struct reference references[] = {
    { &kind_subnet, "network_id", &kind_network },
    { &kind_network, "metadata_port_id", &kind_port },
    { &kind_port, "network_id", &kind_network },
    { &kind_port, "fixed_ips.subnet_id", &kind_subnet },
    { &kind_port, "security_group_ids", &kind_security_group },
    { &kind_router, "gateway_network_id", &kind_network },
    { &kind_router, "gateway_port_id", &kind_port },
    { &kind_floating_ip, "network_id", &kind_network },
    { &kind_floating_ip, "floating_port_id", &kind_port },
    { &kind_floating_ip, "port_id", &kind_port },
    { &kind_floating_ip, "router_id", &kind_router },
    { &kind_security_group_rule, "security_group_id", &kind_security_group },
    { &kind_security_group_rule, "remote_group_id", &kind_security_group },
    { &kind_server, "node", &kind_node },
    { &kind_disk, "server_id", &kind_server, true },
    { &kind_volume, "attachments.server_id", &kind_server, true },
    { &kind_volume, "volume_type_id", &kind_volume_type },
    { &kind_snapshot, "volume_id", &kind_volume },
    { &kind_keypair, "user_id", &kind_user },
    { &kind_user, "domain_id", &kind_domain },
    { &kind_project, "domain_id", &kind_domain },
    { &kind_group, "domain_id", &kind_domain },
    { &kind_group_member, "group_id", &kind_group },
    { &kind_group_member, "user_id", &kind_user },
    { &kind_role_inference, "prior_id", &kind_role },
    { &kind_role_inference, "implied_id", &kind_role },
    { &kind_assignment, "role_id", &kind_role },
    { &kind_app_credential, "user_id", &kind_user },
    { &kind_app_credential, "project_id", &kind_project },
    { &kind_app_credential, "role_ids", &kind_role },
    { &kind_endpoint, "service_id", &kind_service },
    { &kind_endpoint, "region_id", &kind_region },
};

struct referring {
    struct look *l;
    const struct reference *ref;
    const struct record *from;
};

static void check_target(void *arg, const char *key)
{
    struct referring *x = arg;
    if (!snap_get(x->l->s, x->ref->to, key))
        world_broken(x->l->w, "no lost record: %s %s has %s %s, which is gone",
                     x->ref->from->name, x->from->id, x->ref->path, key);
}

static void check_references(struct look *l, bool quiet)
{
    for (size_t i = 0; i < ARRAY_SIZE(references); i++) {
        const struct reference *ref = &references[i];
        struct index ix = { ref->path };
        if ((ref->only_quiet && !quiet) ||
            (!is_new(l, ref->from) && !is_new(l, ref->to)))
            continue;
        struct snap_iter it = snap_all(l->s, ref->from);
        for (const struct record *r; (r = snap_next(&it));) {
            struct referring x = { l, ref, r };
            index_keys(r, &ix, check_target, &x);
        }
    }
}

static void check_assignments(struct look *l)
{
    static const struct kind *const kinds[] = { &kind_assignment, &kind_user,
                                                &kind_group, &kind_project,
                                                &kind_domain };
    if (!any_new(l, kinds, ARRAY_SIZE(kinds)))
        return;
    struct snap_iter it = snap_all(l->s, &kind_assignment);
    for (const struct assignment *a; (a = snap_next(&it));) {
        const struct kind *actor =
            a->actor_type == ACTOR_USER ? &kind_user : &kind_group;
        const struct kind *target =
            a->target_type == TARGET_PROJECT ? &kind_project : &kind_domain;
        if (!snap_get(l->s, actor, a->actor_id) ||
            (a->target_type != TARGET_SYSTEM &&
             !snap_get(l->s, target, a->target_id)))
            world_broken(l->w,
                         "no lost record: assignment %s speaks of what is gone",
                         a->rec.id);
    }
}

/* ---- claims
 * ------------------------------------------------------------------------ */

static const struct record *owner_of(struct look *l, const struct claim *c)
{
    char kind[64];
    const char *slash = c->owner ? strchr(c->owner, '/') : NULL;
    if (!slash)
        return NULL;
    snprintf(kind, sizeof(kind), "%.*s", (int)(slash - c->owner), c->owner);
    const struct kind *k = model_kind_named(kind);
    return k ? snap_get(l->s, k, slash + 1) : NULL;
}

static bool port_holds(const struct port *p, const char *claim)
{
    char id[STORE_KEY_MAX];
    if (is(claim, claim_id(id, "mac/%s/%s", p->network_id, p->mac_address)))
        return true;
    for (size_t i = 0; i < p->fixed_ips.n; i++) {
        const struct fixed_ip *ip = LIST_AT(p->fixed_ips, struct fixed_ip, i);
        if (is(claim, claim_id(id, "ip/%s/%s", ip->subnet_id, ip->ip_address)))
            return true;
    }
    return false;
}

static void check_claims(struct look *l)
{
    struct snap_iter it = snap_all(l->s, &kind_claim);
    for (const struct claim *c; (c = snap_next(&it));) {
        const struct record *owner = owner_of(l, c);
        bool address = strncmp(c->rec.id, "ip/", 3) == 0 ||
                       strncmp(c->rec.id, "mac/", 4) == 0;
        if (!owner && is(c->rec.id, MIGRATION_COUNTER))
            continue; /* a counter */
        if (!owner)
            world_broken(l->w, "claims: %s is held by %s, which is gone",
                         c->rec.id, c->owner ? c->owner : "nobody");
        else if (address && (owner->kind != &kind_port ||
                             !port_holds((const void *)owner, c->rec.id)))
            world_broken(l->w, "claims: %s is held by %s, which has it not",
                         c->rec.id, c->owner);
    }
}

static void check_claimed(struct look *l, const struct port *p,
                          const char *claim)
{
    char key[STORE_KEY_MAX];
    const struct claim *c = snap_get(l->s, &kind_claim, claim);
    if (!c || !is(c->owner, record_key(p, key)))
        world_broken(l->w, "no address twice: port %s has %s, claimed by %s",
                     p->rec.id, claim, c ? c->owner : "nobody");
}

static void check_ports(struct look *l)
{
    char id[STORE_KEY_MAX];
    if (!is_new(l, &kind_port) && !is_new(l, &kind_claim))
        return;
    struct snap_iter it = snap_all(l->s, &kind_port);
    for (const struct port *p; (p = snap_next(&it));) {
        check_claimed(l, p,
                      claim_id(id, "mac/%s/%s", p->network_id, p->mac_address));
        for (size_t i = 0; i < p->fixed_ips.n; i++) {
            const struct fixed_ip *ip =
                LIST_AT(p->fixed_ips, struct fixed_ip, i);
            check_claimed(
                l, p, claim_id(id, "ip/%s/%s", ip->subnet_id, ip->ip_address));
        }
    }
}

/* ---- quota
 * ------------------------------------------------------------------------- */

struct count {
    char id[80]; /* usage record */
    const char *name;
    int64_t n;
};

struct counts {
    struct count v[2048];
    size_t n;
};

static void count(struct counts *cs, const char *service, const char *project,
                  const char *name, int64_t n)
{
    char id[80];
    if (!project || !*project)
        return;
    snprintf(id, sizeof(id), "%s/%s", service, project);
    for (size_t i = 0; i < cs->n; i++)
        if (is(cs->v[i].name, name) && is(cs->v[i].id, id)) {
            cs->v[i].n += n;
            return;
        }
    if (cs->n == ARRAY_SIZE(cs->v))
        return;
    struct count *c = &cs->v[cs->n++];
    memcpy(c->id, id, sizeof(c->id));
    c->name = name;
    c->n = n;
}

static void count_each(struct look *l, struct counts *cs,
                       const struct kind *kind, const char *service,
                       const char *name)
{
    const struct field *f = schema_field(&kind->schema, "project_id");
    struct snap_iter it = snap_all(l->s, kind);
    for (const struct record *r; (r = snap_next(&it));)
        count(cs, service, *(const char **)field_ptr(r, f), name, 1);
}

static void count_sizes(struct look *l, struct counts *cs)
{
    struct snap_iter it = snap_all(l->s, &kind_server);
    for (const struct server *s; (s = snap_next(&it));) {
        count(cs, "compute", s->project_id, "instances", 1);
        const struct charge has = resize_charge(l->s, s);
        count(cs, "compute", s->project_id, "cores", has.vcpus);
        count(cs, "compute", s->project_id, "ram", has.ram_mb);
    }
    it = snap_all(l->s, &kind_volume);
    for (const struct volume *v; (v = snap_next(&it));)
        count(cs, "volume", v->project_id, "gigabytes", v->size_gb);
    it = snap_all(l->s, &kind_snapshot);
    for (const struct volume_snapshot *v; (v = snap_next(&it));)
        count(cs, "volume", v->project_id, "gigabytes", v->size_gb);
}

static void count_all(struct look *l, struct counts *cs)
{
    static const struct {
        const struct kind *kind;
        const char *service, *name;
    } kinds[] = {
        { &kind_network, "network", "network" },
        { &kind_subnet, "network", "subnet" },
        { &kind_port, "network", "port" },
        { &kind_router, "network", "router" },
        { &kind_floating_ip, "network", "floatingip" },
        { &kind_security_group, "network", "security_group" },
        { &kind_security_group_rule, "network", "security_group_rule" },
        { &kind_server_group, "compute", "server_groups" },
        { &kind_volume, "volume", "volumes" },
        { &kind_snapshot, "volume", "snapshots" },
    };
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
        count_each(l, cs, kinds[i].kind, kinds[i].service, kinds[i].name);
    count_sizes(l, cs);
}

static int64_t counted(const struct counts *cs, const char *id,
                       const char *name)
{
    for (size_t i = 0; i < cs->n; i++)
        if (is(cs->v[i].name, name) && is(cs->v[i].id, id))
            return cs->v[i].n;
    return 0;
}

static void check_usage(struct look *l)
{
    static const struct kind *const kinds[] = {
        &kind_usage,        &kind_network,
        &kind_subnet,       &kind_port,
        &kind_router,       &kind_floating_ip,
        &kind_server_group, &kind_security_group,
        &kind_volume,       &kind_security_group_rule,
        &kind_snapshot,     &kind_server
    };
    static struct counts cs;
    if (!any_new(l, kinds, ARRAY_SIZE(kinds)))
        return;
    cs.n = 0;
    count_all(l, &cs);
    for (size_t i = 0; i < cs.n; i++) {
        const struct usage *u = snap_get(l->s, &kind_usage, cs.v[i].id);
        int64_t used = u ? amount_get(&u->amounts, cs.v[i].name, 0) : 0;
        if (used != cs.v[i].n)
            world_broken(l->w,
                         "no quota drift: %s has %lld %s, its usage says %lld",
                         cs.v[i].id, (long long)cs.v[i].n, cs.v[i].name,
                         (long long)used);
    }
    struct snap_iter it = snap_all(l->s, &kind_usage);
    for (const struct usage *u; (u = snap_next(&it));)
        for (size_t i = 0; i < u->amounts.n; i++) {
            const struct amount *a = LIST_AT(u->amounts, struct amount, i);
            if (a->n != counted(&cs, u->rec.id, a->name))
                world_broken(l->w,
                             "no quota drift: usage of %s says %lld %s, there "
                             "are %lld",
                             u->rec.id, (long long)a->n, a->name,
                             (long long)counted(&cs, u->rec.id, a->name));
        }
}

/* ---- guests, always
 * ------------------------------------------------------------------ */

/* The next running guest of any node. */
struct walk {
    struct world *w;
    unsigned node;
    struct guest *g;
};

static struct guest *next_guest(struct walk *k)
{
    do {
        while (!k->g && k->node < k->w->n_nodes)
            k->g = guests_first(k->w->nodes[k->node++].guests);
        if (!k->g)
            return NULL;
        struct guest *g = k->g;
        k->g = g->next;
        if (guest_active(g))
            return g;
    } while (true);
}

static void check_pair(struct look *l, const struct guest *a,
                       const struct guest *b)
{
    if (a->refused || b->refused || a->asleep || b->asleep)
        return;
    if (is(a->id, b->id))
        world_broken(l->w, "server %s runs twice", a->id);
    for (size_t i = 0; i < a->info.n_disks; i++)
        for (size_t k = 0; k < b->info.n_disks; k++)
            if (is(a->info.paths[i], b->info.paths[k]) && !a->read_only[i] &&
                !b->read_only[k])
                world_broken(l->w, "%s is open in guests %s and %s",
                             a->info.paths[i], a->id, b->id);
}

/* A disk in two running guests is a disk destroyed. */
static void check_guests(struct look *l)
{
    if (l->w->guests_seen == l->w->guests_change)
        return;
    l->w->guests_seen = l->w->guests_change;
    struct walk i = { l->w, 0, NULL };
    for (struct guest *a; (a = next_guest(&i));) {
        struct walk k = i;
        for (struct guest *b; (b = next_guest(&k));)
            check_pair(l, a, b);
    }
}

/* ---- once quiet: servers
 * --------------------------------------------------------------- */

static bool in_state(const struct server *s, enum domain_state d)
{
    switch (s->vm_state) {
    case VM_RESIZED:
        return s->goal == GOAL_STOPPED
                   ? d != DOMAIN_RUNNING && d != DOMAIN_PAUSED
                   : d == DOMAIN_RUNNING || d == DOMAIN_PAUSED;
    case VM_ACTIVE: /* one that stopped itself on an I/O error is ACTIVE too */
        return d == DOMAIN_RUNNING || d == DOMAIN_PAUSED;
    case VM_PAUSED:
        return d == DOMAIN_PAUSED;
    case VM_SUSPENDED:
        return d == DOMAIN_SAVED;
    case VM_SHELVED_OFFLOADED:
        return d == DOMAIN_ABSENT;
    case VM_SHELVED:
    case VM_STOPPED:
        return d != DOMAIN_RUNNING && d != DOMAIN_PAUSED;
    default:
        return true;
    }
}

/* The guest runs from the disk that the server has, not from an older one. */
static void check_root(struct look *l, const struct server *s,
                       const struct guest *g)
{
    char id[DISK_ID_SIZE];
    const struct disk *d = snap_get(l->s, &kind_disk, server_disk_id(s, id));
    const char *dev = s->root_device ? s->root_device + strlen("/dev/") : "?";
    if (s->image_id && g && guest_active(g) &&
        !is(domain_disk_path(&g->info, dev), d ? d->path : NULL))
        world_broken(l->w, "quiet: guest %s runs from %s, not from %s",
                     s->rec.id, domain_disk_path(&g->info, dev),
                     d ? d->path : "(nothing)");
}

static void check_server_devices(struct look *l, const struct server *s,
                                 const struct guest *g)
{
    for (size_t i = 0; i < s->volumes.n; i++) {
        const struct server_volume *sv =
            LIST_AT(s->volumes, struct server_volume, i);
        const char *dev = sv->device ? sv->device + strlen("/dev/") : "?";
        const struct volume *v = snap_get(l->s, &kind_volume, sv->volume_id);
        bool never = v && v->status == VOLUME_ERROR; /* could not be made */
        if (sv->state != ATTACH_DONE && !never)
            world_broken(l->w, "quiet: server %s: volume %s is still %s",
                         s->rec.id, sv->volume_id,
                         attach_state_names[sv->state]);
        else if (g && guest_active(g) && !never &&
                 !domain_has_disk(&g->info, dev))
            world_broken(l->w, "quiet: guest %s has no disk %s", s->rec.id,
                         dev);
        else if (g && guest_active(g) && v && !never &&
                 !is(domain_disk_path(&g->info, dev), v->path))
            world_broken(l->w, "quiet: guest %s has %s as %s, not %s",
                         s->rec.id, domain_disk_path(&g->info, dev), dev,
                         v->path);
    }
    for (size_t i = 0; i < s->ports.n; i++) {
        const struct server_port *sp = LIST_AT(s->ports, struct server_port, i);
        if (sp->state != ATTACH_DONE)
            world_broken(l->w, "quiet: server %s: port %s is still %s",
                         s->rec.id, sp->port_id, attach_state_names[sp->state]);
        else if (g && guest_active(g) && !domain_has_nic(&g->info, sp->port_id))
            world_broken(l->w, "quiet: guest %s has no card %s", s->rec.id,
                         sp->port_id);
    }
}

/* What is leaving may be gone: a server in error or with saved memory keeps
 * the card or the disk until it starts again. */
static void check_server_has(struct look *l, const struct server *s)
{
    for (size_t i = 0; i < s->volumes.n; i++) {
        const struct server_volume *sv =
            LIST_AT(s->volumes, struct server_volume, i);
        if (sv->state != ATTACH_LEAVING &&
            !snap_get(l->s, &kind_volume, sv->volume_id))
            world_broken(l->w, "quiet: server %s: volume %s is gone", s->rec.id,
                         sv->volume_id);
    }
    for (size_t i = 0; i < s->ports.n; i++) {
        const struct server_port *sp = LIST_AT(s->ports, struct server_port, i);
        if (sp->state != ATTACH_LEAVING &&
            !snap_get(l->s, &kind_port, sp->port_id))
            world_broken(l->w, "quiet: server %s: port %s is gone", s->rec.id,
                         sp->port_id);
    }
}

/* For whoever reads the events: what it may be waiting for. */
static void tell_parts(struct look *l, const struct server *s)
{
    world_event(l->w, "server %s is on %s", s->rec.id,
                s->node ? s->node : "no node");
    struct snap_iter it = snap_by(l->s, &kind_disk, "server_id", s->rec.id);
    for (const struct disk *d; (d = snap_next(&it));)
        world_event(l->w, "disk %s on %s is %s, %s", d->rec.id,
                    d->node ? d->node : "no node", disk_state_names[d->state],
                    d->path ? d->path : "no path");
    for (size_t i = 0; i < s->volumes.n; i++) {
        const struct volume *v =
            snap_get(l->s, &kind_volume,
                     LIST_AT(s->volumes, struct server_volume, i)->volume_id);
        if (v)
            world_event(l->w, "volume %s on %s is %s", v->rec.id,
                        v->node ? v->node : "no node",
                        volume_status_names[v->status]);
    }
}

static void check_server(struct look *l, const struct server *s)
{
    const struct sim_node *n = sim_node_named(l->w, s->node);
    const struct guest *g = n ? guests_find(n->guests, s->rec.id) : NULL;
    if (s->goal == GOAL_DELETED)
        world_broken(l->w, "quiet: server %s is still being deleted",
                     s->rec.id);
    else if (s->vm_state == VM_BUILDING || s->task_state != TASK_NONE) {
        tell_parts(l, s);
        world_broken(l->w, "quiet: server %s has not settled: %s, task %s",
                     s->rec.id, vm_state_names[s->vm_state],
                     s->task_state ? task_state_names[s->task_state] : "none");
    } else if (!in_state(s, g ? g->info.state : DOMAIN_ABSENT))
        world_broken(l->w, "quiet: server %s is %s, its domain is in state %d",
                     s->rec.id, vm_state_names[s->vm_state],
                     g ? (int)g->info.state : -1);
    else if (s->vm_state == VM_ACTIVE && s->reboots_done < s->reboot)
        world_broken(l->w, "quiet: server %s has not been rebooted", s->rec.id);
    else if (s->vm_state != VM_ERROR && s->vm_state != VM_SUSPENDED) {
        check_server_devices(l, s, g);
        check_root(l, s, g);
    }
}

static void check_health(struct look *l, struct sim_node *n)
{
    const struct node *r = snap_get(l->s, &kind_node, n->name);
    if (r && r->health != HEALTH_UP)
        world_broken(l->w, "quiet: %s is %s, its fence %lld, cleaned %lld",
                     n->name, node_health_names[r->health], (long long)r->fence,
                     (long long)r->cleaned);
    if (n->fenced)
        world_broken(l->w, "quiet: %s is still fenced", n->name);
    if (n->core && core_revision(n->core) + NEWS < snapshot_revision(l->s))
        world_broken(l->w, "quiet: %s knows revision %lld of %lld", n->name,
                     (long long)core_revision(n->core),
                     (long long)snapshot_revision(l->s));
}

static void check_domains(struct look *l, struct sim_node *n)
{
    for (struct guest *g = guests_first(n->guests); g; g = g->next) {
        if (guest_active(g) && g->refused)
            world_broken(l->w, "quiet: guest %s cannot write", g->id);
        const struct server *s = snap_get(l->s, &kind_server, g->id);
        if (!s)
            world_broken(l->w, "quiet: domain %s has no server", g->id);
        else if (!is(s->node, n->name))
            world_broken(l->w, "quiet: domain %s is on %s, its server on %s",
                         g->id, n->name, s->node ? s->node : "no node");
    }
}

static void check_servers(struct look *l)
{
    struct snap_iter it = snap_all(l->s, &kind_server);
    for (const struct server *s; (s = snap_next(&it));) {
        check_server_has(l, s);
        check_server(l, s);
    }
    for (unsigned i = 0; i < l->w->n_nodes; i++)
        check_domains(l, &l->w->nodes[i]);
}

static const struct server_port *port_of(const struct server *s, const char *id)
{
    for (size_t i = 0; s && i < s->ports.n; i++)
        if (is(LIST_AT(s->ports, struct server_port, i)->port_id, id))
            return LIST_AT(s->ports, struct server_port, i);
    return NULL;
}

/* A port of a server is in the server's list, and the other way round. */
static void check_bound_port(struct look *l, const struct port *p)
{
    const struct server *s = snap_get(l->s, &kind_server, p->device_id);
    const struct guest *g = guests_of_server(l->w, p->device_id);
    bool up = g && guest_active(g) && domain_has_nic(&g->info, p->rec.id);
    if (!s)
        world_broken(l->w, "quiet: port %s leaks: server %s is gone", p->rec.id,
                     p->device_id);
    else if (!port_of(s, p->rec.id))
        world_broken(l->w, "quiet: port %s says server %s, which has it not",
                     p->rec.id, p->device_id);
    else if (s->vm_state != VM_ERROR &&
             (p->status == NET_ACTIVE) != (up && p->admin_state_up))
        world_broken(l->w, "quiet: port %s is %s, plugged in: %d", p->rec.id,
                     net_status_names[p->status], up);
}

static void check_networks(struct look *l)
{
    struct snap_iter it = snap_all(l->s, &kind_port);
    for (const struct port *p; (p = snap_next(&it));) {
        if (p->device_owner && p->device_id &&
            strncmp(p->device_owner, OWNER_COMPUTE, strlen(OWNER_COMPUTE)) == 0)
            check_bound_port(l, p);
        if (!nets_has(l->w->nets, p->rec.id))
            world_broken(l->w, "quiet: port %s is not in the network",
                         p->rec.id);
    }
    if (nets_count(l->w->nets) != snap_count(l->s, &kind_port))
        world_broken(l->w, "quiet: the network has ports that are gone");
}

/* ---- once quiet: storage
 * ---------------------------------------------------------------- */

static void need_file(struct look *l, enum stored_kind kind, const char *name,
                      int64_t gb)
{
    const struct file *f = name ? files_find(l->w->files, kind, name) : NULL;
    if (!f)
        world_broken(l->w, "quiet: %s %s has no file", stored_kind_name(kind),
                     name ? name : "(none)");
    else if (f->size < gb * GIB)
        world_broken(l->w, "quiet: %s %s has %lld GB, should have %lld",
                     stored_kind_name(kind), name, (long long)(f->size / GIB),
                     (long long)gb);
}

static bool has_volume(const struct server *s, const char *id)
{
    for (size_t i = 0; s && i < s->volumes.n; i++)
        if (is(LIST_AT(s->volumes, struct server_volume, i)->volume_id, id))
            return true;
    return false;
}

/* A server in error or with saved memory takes nothing and lets go of
 * nothing: what it was to get or to lose waits with it. */
static bool waits_for_server(struct look *l, const struct volume *v)
{
    for (size_t i = 0; i < v->attachments.n; i++) {
        const struct server *s = snap_get(
            l->s, &kind_server,
            LIST_AT(v->attachments, struct volume_attachment, i)->server_id);
        if (s && (s->vm_state == VM_ERROR || s->vm_state == VM_SUSPENDED))
            return true;
    }
    return false;
}

static void check_attachments(struct look *l, const struct volume *v)
{
    bool used = v->attachments.n > 0;
    if (used != (v->status == VOLUME_IN_USE) &&
        v->status != VOLUME_ERROR_EXTENDING && v->status != VOLUME_ERROR &&
        !waits_for_server(l, v))
        world_broken(l->w, "quiet: volume %s is %s with %zu attachments",
                     v->rec.id, volume_status_names[v->status],
                     v->attachments.n);
    for (size_t i = 0; i < v->attachments.n; i++) {
        const struct volume_attachment *a =
            LIST_AT(v->attachments, struct volume_attachment, i);
        const struct server *s = snap_get(l->s, &kind_server, a->server_id);
        if (!has_volume(s, v->rec.id))
            world_broken(l->w,
                         "quiet: volume %s is attached to %s, which has it not",
                         v->rec.id, a->server_id ? a->server_id : "(none)");
    }
}

static void check_volume(struct look *l, const struct volume *v)
{
    switch (v->status) {
    case VOLUME_AVAILABLE:
    case VOLUME_IN_USE:
    case VOLUME_RESERVED:
        need_file(l, STORED_VOLUME, v->rec.id, v->size_gb);
        break;
    case VOLUME_ERROR:
    case VOLUME_ERROR_DELETING:
    case VOLUME_ERROR_EXTENDING:
        break;
    default:
        if (waits_for_server(l, v))
            return;
        world_broken(l->w, "quiet: volume %s is still %s", v->rec.id,
                     volume_status_names[v->status]);
        return;
    }
    check_attachments(l, v);
}

/* A disk of another generation stays only where the server's own could not
 * be made. */
static void check_disk(struct look *l, const struct disk *d)
{
    const struct server *s = snap_get(l->s, &kind_server, d->server_id);
    if (!s || (d->generation != s->disks && s->vm_state != VM_ERROR &&
               s->vm_state != VM_RESIZED))
        world_broken(l->w, "quiet: disk %s leaks", d->rec.id);
    else if (d->state == DISK_READY)
        need_file(l, STORED_DISK, d->rec.id, d->size_gb);
    else if (d->state != DISK_FAILED && s->vm_state != VM_ERROR)
        world_broken(l->w, "quiet: disk %s is still %s", d->rec.id,
                     disk_state_names[d->state]);
}

static void check_storage(struct look *l)
{
    struct snap_iter it = snap_all(l->s, &kind_volume);
    for (const struct volume *v; (v = snap_next(&it));)
        check_volume(l, v);
    it = snap_all(l->s, &kind_disk);
    for (const struct disk *d; (d = snap_next(&it));)
        check_disk(l, d);
    it = snap_all(l->s, &kind_snapshot);
    for (const struct volume_snapshot *v; (v = snap_next(&it));)
        if (v->status == SNAPSHOT_CREATING || v->status == SNAPSHOT_DELETING)
            world_broken(l->w, "quiet: snapshot %s is still %s", v->rec.id,
                         snapshot_status_names[v->status]);
        else if (v->status == SNAPSHOT_AVAILABLE)
            need_file(l, STORED_SNAPSHOT, v->rec.id, 0);
    it = snap_all(l->s, &kind_image);
    for (const struct image *im; (im = snap_next(&it));)
        if (im->status == IMAGE_ACTIVE && !im->blob &&
            map_get(&im->properties, "block_device_mapping"))
            continue; /* an image of volumes */
        else if (im->status == IMAGE_ACTIVE)
            need_file(l, STORED_IMAGE, im->blob, 0);
        else if (im->status != IMAGE_QUEUED &&
                 l->w->time - im->updated > OLD_US)
            world_broken(l->w, "quiet: image %s is still %s", im->rec.id,
                         image_status_names[im->status]);
}

/* Does a record name the file? */
static bool is_named(struct look *l, const struct file *f)
{
    static const struct kind *const kinds[] = {
        [STORED_DISK] = &kind_disk,
        [STORED_VOLUME] = &kind_volume,
        [STORED_SNAPSHOT] = &kind_snapshot,
    };
    if (f->kind != STORED_UPLOAD && f->kind != STORED_IMAGE)
        return snap_get(l->s, kinds[f->kind], f->name) != NULL;
    struct snap_iter it = snap_all(l->s, &kind_image);
    for (const struct image *im; (im = snap_next(&it));)
        if (is(im->blob, f->name) || is(im->upload_id, f->name))
            return true;
    return false;
}

/* A file that a dying core has left is found by the storage's audit. */
static void check_files(struct look *l)
{
    for (struct file *f = files_first(l->w->files); f; f = f->next)
        if (l->w->time - f->changed > OLD_US && !is_named(l, f))
            world_broken(l->w, "quiet: %s %s leaks", stored_kind_name(f->kind),
                         f->name);
}

/* ---- public
 * -----------------------------------------------------------------------------
 */

static void check_records(struct look *l, bool quiet)
{
    check_references(l, quiet);
    check_assignments(l);
    check_claims(l);
    check_ports(l);
    check_usage(l);
}

/* Nodes have said that they live. */
static bool only_lives(const struct look *l)
{
    for (size_t i = 0; i < N_KINDS; i++)
        if (model_kinds[i] != &kind_node && is_new(l, model_kinds[i]))
            return false;
    return true;
}

static bool waits_for_node(const struct server *s)
{
    return !s->node && s->vm_state == VM_BUILDING && s->goal != GOAL_DELETED;
}

/* Servers of one request are placed by one transaction. */
static void check_together(struct look *l)
{
    struct snap_iter it = snap_all(l->s, &kind_server);
    for (const struct server *s; (s = snap_next(&it));) {
        if (!s->min_count || !waits_for_node(s))
            continue;
        struct snap_iter mates =
            snap_by(l->s, &kind_server, "reservation_id", s->reservation_id);
        for (const struct server *m; (m = snap_next(&mates));)
            if (m->node)
                world_broken(l->w,
                             "a request is placed at once: %s waits, %s is "
                             "on %s",
                             s->rec.id, m->rec.id, m->node);
    }
}

void check_step(struct world *w)
{
    _autosnap_ struct snapshot *s = cache_snapshot(w->truth);
    struct look l = { w, s, w->checked };
    check_guests(&l);
    if (snapshot_revision(s) == w->checked)
        return;
    w->checked = snapshot_revision(s);
    if (!only_lives(&l)) {
        check_records(&l, false);
        check_together(&l);
    }
}

void check_quiet(struct world *w)
{
    _autosnap_ struct snapshot *s = cache_snapshot(w->truth);
    struct look l = { w, s, 0 };
    world_event(w, "quiet: %zu servers, %zu ports, %zu volumes, %zu images",
                snap_count(s, &kind_server), snap_count(s, &kind_port),
                snap_count(s, &kind_volume), snap_count(s, &kind_image));
    check_records(&l, true);
    for (unsigned i = 0; i < w->n_nodes; i++)
        check_health(&l, &w->nodes[i]);
    check_servers(&l);
    check_networks(&l);
    check_storage(&l);
    check_files(&l);
    clients_check(w->clients, s);
}

static void check_none(struct look *l, const struct kind *kind)
{
    struct snap_iter it = snap_all(l->s, kind);
    const struct record *r = snap_next(&it);
    if (r)
        world_broken(l->w, "deleted things leave nothing: %s %s is there",
                     kind->name, r->id);
}

void check_empty(struct world *w)
{
    static const struct kind *const kinds[] = {
        &kind_server,   &kind_disk,        &kind_volume,
        &kind_snapshot, &kind_floating_ip, &kind_router
    };
    _autosnap_ struct snapshot *s = cache_snapshot(w->truth);
    struct look l = { w, s, 0 };
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
        check_none(&l, kinds[i]);
    for (unsigned i = 0; i < w->n_nodes; i++)
        if (guests_first(w->nodes[i].guests))
            world_broken(w, "deleted things leave nothing: domain %s",
                         guests_first(w->nodes[i].guests)->id);
    for (struct file *f = files_first(w->files); f; f = f->next)
        if (!is_named(&l, f))
            world_broken(w, "deleted things leave nothing: %s %s",
                         stored_kind_name(f->kind), f->name);
}
