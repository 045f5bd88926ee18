#include "look.h"

#include "guests.h"
#include "model/compute.h"
#include "model/network.h"
#include "model/volume.h"
#include "nets.h"
#include "sim_node.h"

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

void check_guests(struct look *l)
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

/* What is left on a node that is lost: check_pool.c. */
static bool is_lost(struct look *l, const struct server *s)
{
    const struct sim_node *n = sim_node_named(l->w, s->node);
    return n && n->lost;
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

void check_servers(struct look *l)
{
    struct snap_iter it = snap_all(l->s, &kind_server);
    for (const struct server *s; (s = snap_next(&it));) {
        check_server_has(l, s);
        if (!is_lost(l, s))
            check_server(l, s);
    }
    for (unsigned i = 0; i < l->w->n_nodes; i++)
        if (!l->w->nodes[i].lost)
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
    else if (s->vm_state != VM_ERROR && !is_lost(l, s) &&
             (p->status == NET_ACTIVE) != (up && p->admin_state_up))
        world_broken(l->w, "quiet: port %s is %s, plugged in: %d", p->rec.id,
                     net_status_names[p->status], up);
}

void check_networks(struct look *l)
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
