#include "guests.h"

#include "common/alloc.h"
#include "moves.h"
#include "nets.h"
#include "starts.h"

#include <string.h>

struct todo {
    struct todo *next;
    enum guest_todo type;
    int64_t due;
    char id[UUID_SIZE];
    char device[UUID_SIZE];
};

struct guests {
    struct world *w;
    struct sim_node *node;
    struct guest *first, **last;
    struct todo *todos;
    struct moved *outcomes;
    domain_event_fn *fn; /* NULL: nobody listens */
    void *arg;
};

/* ---- what comes later
 * ---------------------------------------------------------- */

void guests_later(struct guests *g, enum guest_todo type, const char *id,
                  const char *device, int64_t us)
{
    struct todo *t = xcalloc(1, sizeof(*t)), **at = &g->todos;
    t->type = type;
    t->due = g->w->time + us;
    snprintf(t->id, sizeof(t->id), "%s", id);
    snprintf(t->device, sizeof(t->device), "%s", device ? device : "");
    while (*at && (*at)->due <= t->due)
        at = &(*at)->next;
    t->next = *at;
    *at = t;
}

/* What was asked of a guest is void once it is done, or the guest is off. */
static void forget_todos(struct guests *g, const char *id, const char *device)
{
    for (struct todo **at = &g->todos, *t; (t = *at);) {
        if (t->type == TODO_EVENT || strcmp(t->id, id) != 0 ||
            (device && strcmp(t->device, device) != 0)) {
            at = &t->next;
            continue;
        }
        *at = t->next;
        free(t);
    }
}

void guests_changed(struct guests *g, const struct guest *d)
{
    g->w->guests_change++;
    sim_node_woken(g->node);
    nets_changed(g->w->nets);
    if (g->w->chaos && chance_percent(g->w, 10))
        return; /* lost */
    guests_later(g, TODO_EVENT, d->id, NULL, (int64_t)chance(g->w, 300000));
}

void guests_ended(struct guests *g, const struct guest *d)
{
    if (!d->asleep)
        starts_end(g->node, d->id, d->cut_short);
}

void guests_set_state(struct guests *g, struct guest *d,
                      enum domain_state state)
{
    d->info.state = state;
    if (!guest_active(d)) {
        forget_todos(g, d->id, NULL);
        moves_broken(g, d);
        guests_ended(g, d);
        d->asleep = d->info.incoming = false;
    }
    d->info.vnc_port = domain_active(&d->info) ? 5900 : 0;
    snprintf(d->info.vnc_host, sizeof(d->info.vnc_host), "%s",
             domain_active(&d->info) ? "127.0.0.1" : "");
    guests_changed(g, d);
}

/* ---- devices
 * --------------------------------------------------------------------- */

size_t guest_disk_index(const struct guest *d, const char *device)
{
    size_t i = 0;
    while (i < d->info.n_disks && strcmp(d->info.disks[i], device) != 0)
        i++;
    return i;
}

size_t guest_nic_index(const struct guest *d, const char *port_id)
{
    size_t i = 0;
    while (i < d->info.n_nics && strcmp(d->info.nics[i], port_id) != 0)
        i++;
    return i;
}

void guest_add_disk(struct guest *d, const struct disk_spec *disk)
{
    size_t i = d->info.n_disks++;
    snprintf(d->info.disks[i], sizeof(d->info.disks[i]), "%s", disk->device);
    snprintf(d->info.paths[i], sizeof(d->info.paths[i]), "%s", disk->path);
    d->read_only[i] = disk->readonly || disk->cdrom;
}

static void drop_disk(struct guest *d, size_t i)
{
    size_t rest = --d->info.n_disks - i;
    memmove(d->info.disks[i], d->info.disks[i + 1],
            rest * sizeof(d->info.disks[i]));
    memmove(d->info.paths[i], d->info.paths[i + 1],
            rest * sizeof(d->info.paths[i]));
    memmove(&d->read_only[i], &d->read_only[i + 1], rest * sizeof(bool));
}

void guest_add_nic(struct guest *d, const char *port_id)
{
    size_t i = d->info.n_nics++;
    snprintf(d->info.nics[i], sizeof(d->info.nics[i]), "%s", port_id);
}

static void drop_nic(struct guest *d, size_t i)
{
    size_t rest = --d->info.n_nics - i;
    memmove(d->info.nics[i], d->info.nics[i + 1],
            rest * sizeof(d->info.nics[i]));
}

/* ---- time
 * ------------------------------------------------------------------------- */

static void do_todo(struct guests *g, const struct todo *t)
{
    struct guest *d = guests_find(g, t->id);
    if (t->type == TODO_EVENT) {
        node_event(g->node, "event of %s", t->id);
        if (g->fn)
            g->fn(g->arg, t->id);
        return;
    }
    if (!d || !guest_active(d))
        return;
    if (t->type == TODO_MOVE) {
        moves_end(g, d);
        return;
    }
    node_event(g->node, "guest %s: %s %s", t->id,
               t->type == TODO_OFF ? "powers off" : "lets go of", t->device);
    size_t disk = guest_disk_index(d, t->device),
           nic = guest_nic_index(d, t->device);
    if (t->type == TODO_OFF)
        guests_set_state(g, d, DOMAIN_OFF);
    else if (t->type == TODO_DROP_DISK && disk < d->info.n_disks)
        drop_disk(d, disk);
    else if (t->type == TODO_DROP_NIC && nic < d->info.n_nics)
        drop_nic(d, nic);
    forget_todos(g, t->id, t->device);
    guests_changed(g, d);
}

/* What a guest does of its own accord. */
static bool whim(struct guests *g)
{
    struct world *w = g->w;
    if (!w->chaos || !g->first || !chance_permille(w, 8))
        return false;
    struct guest *d = g->first;
    for (uint64_t n = chance(w, 8); n && d->next; n--)
        d = d->next;
    if (d->info.state != DOMAIN_RUNNING)
        return false;
    static const enum domain_state ends[] = { DOMAIN_OFF, DOMAIN_CRASHED,
                                              DOMAIN_PAUSED };
    enum domain_state state = ends[chance(w, ARRAY_SIZE(ends))];
    node_event(g->node, "guest %s goes to state %d by itself", d->id,
               (int)state);
    guests_set_state(g, d, state);
    return true;
}

bool guests_step(struct guests *g)
{
    struct todo *t = g->todos;
    if (!t || t->due > g->w->time)
        return whim(g);
    g->todos = t->next;
    do_todo(g, t);
    free(t);
    return true;
}

int64_t guests_due(struct guests *g)
{
    return g->todos ? g->todos->due : INT64_MAX;
}

void guests_refuse(struct guests *g)
{
    g->w->guests_change++;
    for (struct guest *d = g->first; d; d = d->next) {
        d->refused = guest_active(d);
        d->cut_short = false;
    }
}

void guests_turn_off(struct guests *g, struct guest *d)
{
    bool defined = !d->info.incoming;
    guests_set_state(g, d, DOMAIN_OFF);
    if (!defined)
        guests_remove(g, d);
}

void guests_power_lost(struct guests *g)
{
    for (struct guest *d = g->first, *next; d; d = next) {
        next = d->next;
        if (guest_active(d)) {
            d->cut_short = !d->refused && !d->asleep;
            guests_turn_off(g, d);
        }
    }
    for (struct todo *t; (t = g->todos);) {
        g->todos = t->next;
        free(t);
    }
}

struct guest *guests_define(struct guests *g, const char *id)
{
    struct guest *d = guests_find(g, id);
    if (d)
        return d;
    d = xcalloc(1, sizeof(*d));
    snprintf(d->id, sizeof(d->id), "%s", id);
    d->info.state = DOMAIN_OFF;
    *g->last = d;
    g->last = &d->next;
    return d;
}
/* ---- public
 * ------------------------------------------------------------------------- */

void guests_listen(struct guests *g, domain_event_fn *fn, void *arg)
{
    g->fn = fn;
    g->arg = arg;
}

struct guests *guests_new(struct sim_node *n)
{
    struct guests *g = xcalloc(1, sizeof(*g));
    g->w = n->w;
    g->node = n;
    g->last = &g->first;
    return g;
}

struct moved **guests_outcomes(struct guests *g)
{
    return &g->outcomes;
}

struct sim_node *guests_node(struct guests *g)
{
    return g->node;
}

void guests_remove(struct guests *g, struct guest *d)
{
    struct guest **at = &g->first;
    while (*at != d)
        at = &(*at)->next;
    *at = d->next;
    if (!*at)
        g->last = at;
    g->w->guests_change++;
    forget_todos(g, d->id, NULL);
    free(d);
}

void guests_free(struct guests *g)
{
    moves_forget_all(g);
    for (struct guest *d; (d = g->first);) {
        g->first = d->next;
        free(d);
    }
    for (struct todo *t; (t = g->todos);) {
        g->todos = t->next;
        free(t);
    }
    free(g);
}

struct guest *guests_first(struct guests *g)
{
    return g->first;
}

struct guest *guests_find(struct guests *g, const char *id)
{
    struct guest *d = g->first;
    while (d && strcmp(d->id, id) != 0)
        d = d->next;
    return d;
}

static bool uses(const struct guest *d, const char *path)
{
    for (size_t i = 0;
         !d->refused && !d->asleep && guest_active(d) && i < d->info.n_disks;
         i++)
        if (strcmp(d->info.paths[i], path) == 0 && !d->read_only[i])
            return true;
    return false;
}

bool guests_use(struct world *w, const char *path)
{
    for (unsigned n = 0; n < w->n_nodes; n++)
        for (struct guest *d = w->nodes[n].guests->first; d; d = d->next)
            if (uses(d, path))
                return true;
    return false;
}

struct guest *guests_of_server(struct world *w, const char *id)
{
    struct guest *found = NULL;
    for (unsigned n = 0; n < w->n_nodes; n++) {
        struct guest *d = guests_find(w->nodes[n].guests, id);
        if (d && (!found || guest_active(d)))
            found = d;
    }
    return found;
}
