#include "guests.h"

#include "common/alloc.h"
#include "files.h"
#include "model/compute.h"
#include "moves.h"
#include "nets.h"

#include <string.h>

/* Where and as what a server has started last. */
struct start {
    struct start *next;
    char id[UUID_SIZE];
    const struct sim_node *node;
    int64_t generation;
    bool ended; /* and has not been lost with its node */
};

static struct start *start_of(struct world *w, const char *id)
{
    struct start *last = w->starts;
    while (last && strcmp(last->id, id) != 0)
        last = last->next;
    return last;
}

enum todo_type {
    TODO_EVENT,
    TODO_OFF,
    TODO_DROP_DISK,
    TODO_DROP_NIC,
    TODO_MOVE,
};

struct todo {
    struct todo *next;
    enum todo_type type;
    int64_t due;
    char id[UUID_SIZE];
    char device[UUID_SIZE];
};

struct sim_hypervisor {
    struct hypervisor h;
    struct guests *guests;
    domain_event_fn *fn;
    void *arg;
};

struct guests {
    struct world *w;
    struct sim_node *node;
    struct guest *first, **last;
    struct todo *todos;
    struct moved *outcomes;
    struct sim_hypervisor *open; /* NULL: nobody listens */
};

/* ---- what comes later
 * ---------------------------------------------------------- */

static void later(struct guests *g, enum todo_type type, const char *id,
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

static void changed(struct guests *g, const struct guest *d)
{
    g->w->guests_change++;
    sim_node_woken(g->node);
    nets_changed(g->w->nets);
    if (g->w->chaos && chance_percent(g->w, 10))
        return; /* lost */
    later(g, TODO_EVENT, d->id, NULL, (int64_t)chance(g->w, 300000));
}

/* It is off, and this node knows. */
static void end_start(struct guests *g, const struct guest *d)
{
    struct start *last = start_of(g->w, d->id);
    if (last && last->node == g->node && !d->asleep)
        last->ended = !d->cut_short;
}

void guests_set_state(struct guests *g, struct guest *d,
                      enum domain_state state)
{
    d->info.state = state;
    if (!guest_active(d)) {
        forget_todos(g, d->id, NULL);
        moves_broken(g, d);
        end_start(g, d);
        d->asleep = d->info.incoming = false;
    }
    d->info.vnc_port = domain_active(&d->info) ? 5900 : 0;
    snprintf(d->info.vnc_host, sizeof(d->info.vnc_host), "%s",
             domain_active(&d->info) ? "127.0.0.1" : "");
    changed(g, d);
}

/* ---- devices
 * --------------------------------------------------------------------- */

static size_t disk_index(const struct guest *d, const char *device)
{
    size_t i = 0;
    while (i < d->info.n_disks && strcmp(d->info.disks[i], device) != 0)
        i++;
    return i;
}

static size_t nic_index(const struct guest *d, const char *port_id)
{
    size_t i = 0;
    while (i < d->info.n_nics && strcmp(d->info.nics[i], port_id) != 0)
        i++;
    return i;
}

static void add_disk(struct guest *d, const struct disk_spec *disk)
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

static void add_nic(struct guest *d, const char *port_id)
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
        if (g->open && g->open->fn)
            g->open->fn(g->open->arg, t->id);
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
    size_t disk = disk_index(d, t->device), nic = nic_index(d, t->device);
    if (t->type == TODO_OFF)
        guests_set_state(g, d, DOMAIN_OFF);
    else if (t->type == TODO_DROP_DISK && disk < d->info.n_disks)
        drop_disk(d, disk);
    else if (t->type == TODO_DROP_NIC && nic < d->info.n_nics)
        drop_nic(d, nic);
    forget_todos(g, t->id, t->device);
    changed(g, d);
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

/* One that is only coming is defined when it has arrived. */
static void turn_off(struct guests *g, struct guest *d)
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
            turn_off(g, d);
        }
    }
    for (struct todo *t; (t = g->todos);) {
        g->todos = t->next;
        free(t);
    }
}

/* ---- the table: asking
 * ------------------------------------------------------------- */

#define guests_of(h_) (((struct sim_hypervisor *)(h_))->guests)

static bool hv_list(struct hypervisor *h, domain_seen_fn *fn, void *arg,
                    struct error *err)
{
    for (struct guest *d = guests_of(h)->first; d; d = d->next)
        fn(arg, d->id, d->info.state);
    return true;
}

static bool hv_info(struct hypervisor *h, const char *id,
                    struct domain_info *info, struct error *err)
{
    struct guests *g = guests_of(h);
    const struct guest *d = guests_find(g, id);
    if (g->node->core_dying)
        return error_set(err, ERR_CANCELLED, "simulated: the core is dead");
    if (g->w->chaos && chance_permille(g->w, 10))
        return error_set(err, ERR_UNAVAILABLE, "simulated: no connection");
    *info = d ? d->info : (struct domain_info){ .state = DOMAIN_ABSENT };
    return true;
}

static bool hv_stats(struct hypervisor *h, const char *id,
                     struct domain_stats *stats, struct error *err)
{
    *stats = (struct domain_stats){ .vcpus = 1 };
    return true;
}

/* ---- the table: doing
 * --------------------------------------------------------------- */

/* The domain that a call needs; begins its effect. */
static struct guest *begin(struct hypervisor *h, const char *what,
                           const char *id, struct error *err)
{
    if (!effect_begin(guests_of(h)->node, what, id, err))
        return NULL;
    struct guest *d = guests_find(guests_of(h), id);
    if (!d)
        error_set(err, ERR_NOT_FOUND, "domain %s is not there", id);
    return d;
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

/* A node that has lost the guest with its power may have it no more only if
 * the storage says so. */
static void check_start(struct guests *g, const char *id)
{
    for (unsigned i = 0; i < g->w->n_nodes; i++) {
        struct sim_node *n = &g->w->nodes[i];
        struct guest *d = n == g->node ? NULL : guests_find(n->guests, id);
        if (d &&
            (d->cut_short || (guest_active(d) && !d->refused && !d->asleep)))
            world_broken(g->w, "server %s starts on %s, and %s is not fenced",
                         id, g->node->name, n->name);
    }
}

/* By what the store holds at this moment it is this node's; and if another
 * had it and has not ended it, it is another generation. */
void guests_started_at(struct sim_node *n, const char *id)
{
    struct start *last = start_of(n->w, id);
    if (last)
        last->node = n;
}

static void check_right(struct guests *g, const char *id)
{
    struct world *w = g->w;
    _autosnap_ struct snapshot *snap = cache_snapshot(w->truth);
    const struct server *s = snap_get(snap, &kind_server, id);
    struct start *last = start_of(w, id);
    if (!s)
        return; /* of a test */
    if (!s->node || strcmp(s->node, g->node->name) != 0)
        world_broken(w, "server %s starts on %s, its record says %s", id,
                     g->node->name, s->node ? s->node : "no node");
    if (last && !last->ended && last->node != g->node &&
        last->generation >= s->generation)
        world_broken(w, "server %s starts on %s and %s as generation %lld", id,
                     last->node->name, g->node->name, (long long)s->generation);
    if (!last) {
        last = xcalloc(1, sizeof(*last));
        last->next = w->starts;
        snprintf(last->id, sizeof(last->id), "%s", id);
        w->starts = last;
    }
    last->ended = false;
    last->node = g->node;
    last->generation = s->generation;
}

static void run(struct guests *g, struct guest *d)
{
    check_start(g, d->id);
    check_right(g, d->id);
    d->refused = d->cut_short = d->asleep = d->info.left = false;
    guests_set_state(g, d, DOMAIN_RUNNING);
}

/* One that has come from another node runs for the first time. */
static bool wake(struct guests *g, const char *id, struct error *err)
{
    struct guest *d = guests_find(g, id);
    if (!d)
        return error_set(err, ERR_NOT_FOUND, "domain %s is not there", id);
    if (d->info.incoming)
        return error_set(err, ERR_BUSY, "domain %s has not arrived", d->id);
    if (d->refused) { /* it does, and can write nothing */
        d->asleep = false;
        guests_set_state(g, d, DOMAIN_RUNNING);
    } else {
        run(g, d);
    }
    return effect_end(g->node, err);
}

/* A domain cannot start with a file that is not there or that another one
 * writes to. */
static bool may_open(struct guests *g, const struct disk_spec *disk,
                     struct error *err)
{
    if (sim_node_cut(g->node) & CUT_FILES || g->node->fenced)
        return error_set(err, ERR_TIMEOUT, "%s cannot reach %s", g->node->name,
                         disk->path);
    if (!files_at(g->w->files, disk->path))
        return error_set(err, ERR_NOT_FOUND, "there is no file %s", disk->path);
    if (!disk->readonly && guests_use(g->w, disk->path))
        return error_set(err, ERR_CONFLICT, "%s is in use by another guest",
                         disk->path);
    return true;
}

static bool hv_define_start(struct hypervisor *h, const struct domain_spec *s,
                            struct error *err)
{
    struct guests *g = guests_of(h);
    if (!effect_begin(g->node, "define_start", s->id, err))
        return false;
    struct guest *d = guests_find(g, s->id);
    if (d && guest_active(d))
        return effect_end(g->node, err);
    for (size_t i = 0; i < s->n_disks; i++)
        if (!may_open(g, &s->disks[i], err))
            return false;
    d = guests_define(g, s->id);
    d->info.n_disks = d->info.n_nics = 0;
    for (size_t i = 0; i < s->n_disks; i++)
        add_disk(d, &s->disks[i]);
    for (size_t i = 0; i < s->n_nics; i++)
        add_nic(d, s->nics[i].port_id);
    d->info.reboot = s->reboot;
    snprintf(d->info.serial_log, sizeof(d->info.serial_log), "/sim/log/%s",
             s->id);
    run(g, d);
    return effect_end(g->node, err);
}

static bool hv_start(struct hypervisor *h, const char *id, struct error *err)
{
    struct guest *d = begin(h, "start", id, err);
    if (!d)
        return false;
    for (size_t i = 0; !guest_active(d) && i < d->info.n_disks; i++)
        if (!files_at(guests_of(h)->w->files, d->info.paths[i]))
            world_broken(guests_of(h)->w, "guest %s wakes up without %s", id,
                         d->info.paths[i]);
    if (!guest_active(d))
        run(guests_of(h), d);
    return effect_end(guests_of(h)->node, err);
}

static bool hv_shutdown(struct hypervisor *h, const char *id, struct error *err)
{
    struct sim_node *n = guests_of(h)->node;
    if (!effect_begin(n, "shutdown", id, err))
        return false;
    if (chance_percent(n->w, 80))
        later(guests_of(h), TODO_OFF, id, NULL,
              (int64_t)chance(n->w, 40) * SECOND_US);
    return effect_end(n, err);
}

static bool hv_destroy(struct hypervisor *h, const char *id, struct error *err)
{
    if (!effect_begin(guests_of(h)->node, "destroy", id, err))
        return false;
    struct guest *d = guests_find(guests_of(h), id);
    if (d)
        d->cut_short = false;
    if (d && guest_active(d))
        turn_off(guests_of(h), d);
    return effect_end(guests_of(h)->node, err);
}

static bool hv_undefine(struct hypervisor *h, const char *id, struct error *err)
{
    struct guests *g = guests_of(h);
    if (!effect_begin(g->node, "undefine", id, err))
        return false;
    for (struct guest *d = g->first; d; d = d->next) {
        if (strcmp(d->id, id) != 0)
            continue;
        if (guest_active(d))
            return error_set(err, ERR_CONFLICT, "domain %s is active", id);
        d->cut_short = false; /* its node has come back and says so */
        end_start(g, d);
        guests_remove(g, d);
        break;
    }
    return effect_end(g->node, err);
}

static bool to_state(struct hypervisor *h, const char *what, const char *id,
                     enum domain_state state, struct error *err)
{
    struct guest *d = begin(h, what, id, err);
    if (!d)
        return false;
    if (!guest_active(d) && d->info.state != state)
        return error_set(err, ERR_INVALID, "domain %s is not running", id);
    if (d->info.state != state)
        guests_set_state(guests_of(h), d, state);
    return effect_end(guests_of(h)->node, err);
}

static bool hv_suspend(struct hypervisor *h, const char *id, struct error *err)
{
    return to_state(h, "suspend", id, DOMAIN_PAUSED, err);
}

static bool hv_resume(struct hypervisor *h, const char *id, struct error *err)
{
    struct guest *d = guests_find(guests_of(h), id);
    if (!d || !d->asleep)
        return to_state(h, "resume", id, DOMAIN_RUNNING, err);
    return effect_begin(guests_of(h)->node, "resume", id, err) &&
           wake(guests_of(h), id, err);
}

static bool hv_managed_save(struct hypervisor *h, const char *id,
                            struct error *err)
{
    return to_state(h, "managed_save", id, DOMAIN_SAVED, err);
}

static bool hv_attach_disk(struct hypervisor *h, const char *id,
                           const struct disk_spec *disk, struct error *err)
{
    struct guests *g = guests_of(h);
    struct guest *d = begin(h, "attach_disk", id, err);
    if (!d)
        return false;
    if (disk_index(d, disk->device) < d->info.n_disks)
        return effect_end(g->node, err);
    if (!may_open(g, disk, err))
        return false;
    add_disk(d, disk);
    changed(g, d);
    return effect_end(g->node, err);
}

static bool hv_detach_disk(struct hypervisor *h, const char *id,
                           const char *device, struct error *err)
{
    struct sim_node *n = guests_of(h)->node;
    if (!begin(h, "detach_disk", id, err))
        return false;
    if (chance_percent(n->w, 85))
        later(guests_of(h), TODO_DROP_DISK, id, device,
              (int64_t)chance(n->w, 10000) * 1000);
    return effect_end(n, err);
}

static bool hv_resize_disk(struct hypervisor *h, const char *id,
                           const char *device, int64_t bytes, struct error *err)
{
    struct guests *g = guests_of(h);
    struct guest *d = begin(h, "resize_disk", id, err);
    if (!d)
        return false;
    size_t i = disk_index(d, device);
    if (i == d->info.n_disks)
        return error_set(err, ERR_NOT_FOUND, "%s has no disk %s", id, device);
    files_resize(g->w->files, d->info.paths[i], bytes);
    return effect_end(g->node, err);
}

/* Onto anything but an overlay of what it has, it would see another disk. */
static bool hv_move_disk(struct hypervisor *h, const char *id,
                         const char *device, const char *path,
                         struct error *err)
{
    struct guests *g = guests_of(h);
    struct guest *d = begin(h, "move_disk", id, err);
    if (!d)
        return false;
    size_t i = disk_index(d, device);
    const struct file *to = files_at(g->w->files, path);
    if (i == d->info.n_disks || !guest_active(d))
        return error_set(err, ERR_NOT_FOUND, "%s has no disk %s", id, device);
    if (strcmp(d->info.paths[i], path) != 0 &&
        (!to || strcmp(to->below, d->info.paths[i]) != 0))
        world_broken(g->w, "guest %s is moved from %s to %s", id,
                     d->info.paths[i], path);
    snprintf(d->info.paths[i], sizeof(d->info.paths[i]), "%s", path);
    return effect_end(g->node, err);
}

static bool hv_attach_nic(struct hypervisor *h, const char *id,
                          const struct nic_spec *nic, struct error *err)
{
    struct guests *g = guests_of(h);
    struct guest *d = begin(h, "attach_nic", id, err);
    if (!d)
        return false;
    if (nic_index(d, nic->port_id) == d->info.n_nics)
        add_nic(d, nic->port_id);
    changed(g, d);
    return effect_end(g->node, err);
}

static bool hv_detach_nic(struct hypervisor *h, const char *id,
                          const char *port_id, struct error *err)
{
    struct sim_node *n = guests_of(h)->node;
    if (!begin(h, "detach_nic", id, err))
        return false;
    if (chance_percent(n->w, 85))
        later(guests_of(h), TODO_DROP_NIC, id, port_id,
              (int64_t)chance(n->w, 10000) * 1000);
    return effect_end(n, err);
}

static bool hv_migrate_prepare(struct hypervisor *h,
                               const struct domain_spec *spec,
                               struct migrate_place *place, struct error *err)
{
    return moves_prepare(guests_of(h)->node, spec, place, err);
}

static bool hv_migrate_out(struct hypervisor *h, const char *id,
                           const struct migrate_spec *to, struct error *err)
{
    return moves_begin(guests_of(h)->node, id, to, err);
}

static bool hv_migrate_info(struct hypervisor *h, const char *id,
                            struct migrate_info *info, struct error *err)
{
    return moves_info(guests_of(h)->node, id, info, err);
}

static bool hv_migrate_downtime(struct hypervisor *h, const char *id,
                                int64_t ms, struct error *err)
{
    return true;
}

static bool hv_migrate_abort(struct hypervisor *h, const char *id,
                             struct error *err)
{
    return moves_abort(guests_of(h)->node, id, err);
}

static void hv_migrate_forget(struct hypervisor *h, const char *id)
{
    moves_forget(guests_of(h), id);
}

static void hv_listen(struct hypervisor *h, domain_event_fn *fn, void *arg)
{
    ((struct sim_hypervisor *)h)->fn = fn;
    ((struct sim_hypervisor *)h)->arg = arg;
}

static void hv_close(struct hypervisor *h)
{
    guests_of(h)->open = NULL;
    free(h);
}

static const struct hypervisor_ops ops = {
    .list = hv_list,
    .info = hv_info,
    .define_start = hv_define_start,
    .start = hv_start,
    .shutdown = hv_shutdown,
    .destroy = hv_destroy,
    .undefine = hv_undefine,
    .suspend = hv_suspend,
    .resume = hv_resume,
    .managed_save = hv_managed_save,
    .attach_disk = hv_attach_disk,
    .detach_disk = hv_detach_disk,
    .resize_disk = hv_resize_disk,
    .move_disk = hv_move_disk,
    .attach_nic = hv_attach_nic,
    .detach_nic = hv_detach_nic,
    .stats = hv_stats,
    .migrate_prepare = hv_migrate_prepare,
    .migrate_out = hv_migrate_out,
    .migrate_info = hv_migrate_info,
    .migrate_downtime = hv_migrate_downtime,
    .migrate_abort = hv_migrate_abort,
    .migrate_forget = hv_migrate_forget,
    .listen = hv_listen,
    .close = hv_close,
};

/* ---- public
 * ------------------------------------------------------------------------- */

void guests_forget_starts(struct world *w)
{
    for (struct start *s; (s = w->starts);) {
        w->starts = s->next;
        free(s);
    }
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

void guests_move_later(struct guests *g, const char *id, int64_t us)
{
    later(g, TODO_MOVE, id, NULL, us);
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

struct hypervisor *guests_open(struct guests *g)
{
    struct sim_hypervisor *h = xcalloc(1, sizeof(*h));
    h->h.ops = &ops;
    h->guests = g;
    g->open = h;
    moves_forget_all(g);
    return &h->h;
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
