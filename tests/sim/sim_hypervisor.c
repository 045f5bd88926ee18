#include "sim_hypervisor.h"

#include "common/alloc.h"
#include "content.h"
#include "guests.h"
#include "moves.h"
#include "starts.h"

#include <string.h>

struct sim_hypervisor {
    struct hypervisor h;
    struct guests *guests;
};

/* ---- asking ----------------------------------------------------------------
 */

#define guests_of(h_) (((struct sim_hypervisor *)(h_))->guests)

static bool hv_list(struct hypervisor *h, domain_seen_fn *fn, void *arg,
                    struct error *err)
{
    for (struct guest *d = guests_first(guests_of(h)); d; d = d->next)
        fn(arg, d->id, d->info.state);
    return true;
}

static bool hv_info(struct hypervisor *h, const char *id,
                    struct domain_info *info, struct error *err)
{
    struct guests *g = guests_of(h);
    const struct guest *d = guests_find(g, id);
    if (guests_node(g)->core_dying)
        return error_set(err, ERR_CANCELLED, "simulated: the core is dead");
    if (guests_node(g)->w->chaos && chance_permille(guests_node(g)->w, 10))
        return error_set(err, ERR_UNAVAILABLE, "simulated: no connection");
    *info = d ? d->info : (struct domain_info){ .state = DOMAIN_ABSENT };
    return true;
}

static bool hv_stats(struct hypervisor *h, const char *id,
                     struct domain_stats *stats, struct error *err)
{
    *stats = (struct domain_stats){ .vcpus = 1,
                                    .swap_kb = -1,
                                    .stalled = { { -1, -1, -1 } } };
    return true;
}

/* ---- doing -----------------------------------------------------------------
 */

/* The domain that a call needs; begins its effect. */
static struct guest *begin(struct hypervisor *h, const char *what,
                           const char *id, struct error *err)
{
    if (!effect_begin(guests_node(guests_of(h)), what, id, err))
        return NULL;
    struct guest *d = guests_find(guests_of(h), id);
    if (!d)
        error_set(err, ERR_NOT_FOUND, "domain %s is not there", id);
    return d;
}

/* It writes to what it has. */
static void open_disks(struct guests *g, const struct guest *d)
{
    for (size_t i = 0; i < d->info.n_disks; i++)
        if (!d->read_only[i])
            content_opens(guests_node(g)->w, d->id, d->info.paths[i]);
}

static void run(struct guests *g, struct guest *d)
{
    open_disks(g, d);
    starts_begin(guests_node(g), d->id);
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
    return effect_end(guests_node(g), err);
}

/* A domain cannot start with a file that is not there or that another one
 * writes to. */
static bool may_open(struct guests *g, const struct disk_spec *disk,
                     struct error *err)
{
    const struct sim_node *n = guests_node(g);
    const struct file *x = files_at(n->w->files, disk->path);
    if (!x || (x->node && x->node != n))
        return error_set(err, ERR_NOT_FOUND, "there is no file %s", disk->path);
    if (!x->node && (sim_node_cut(n) & CUT_FILES || n->fenced))
        return error_set(err, ERR_TIMEOUT, "%s cannot reach %s", n->name,
                         disk->path);
    if (x->readers && !disk->readonly)
        return error_set(err, ERR_CONFLICT, "%s is being copied", disk->path);
    if (!disk->readonly && guests_use(guests_node(g)->w, disk->path))
        return error_set(err, ERR_CONFLICT, "%s is in use by another guest",
                         disk->path);
    return true;
}

static bool hv_define_start(struct hypervisor *h, const struct domain_spec *s,
                            struct error *err)
{
    struct guests *g = guests_of(h);
    if (!effect_begin(guests_node(g), "define_start", s->id, err))
        return false;
    struct guest *d = guests_find(g, s->id);
    if (d && guest_active(d))
        return effect_end(guests_node(g), err);
    for (size_t i = 0; i < s->n_disks; i++)
        if (!may_open(g, &s->disks[i], err))
            return false;
    d = guests_define(g, s->id);
    d->info.n_disks = d->info.n_nics = 0;
    for (size_t i = 0; i < s->n_disks; i++)
        guest_add_disk(d, &s->disks[i]);
    for (size_t i = 0; i < s->n_nics; i++)
        guest_add_nic(d, s->nics[i].port_id);
    d->info.reboot = s->reboot;
    snprintf(d->info.serial_log, sizeof(d->info.serial_log), "/sim/log/%s",
             s->id);
    run(g, d);
    return effect_end(guests_node(g), err);
}

static bool hv_start(struct hypervisor *h, const char *id, struct error *err)
{
    struct guest *d = begin(h, "start", id, err);
    if (!d)
        return false;
    for (size_t i = 0; !guest_active(d) && i < d->info.n_disks; i++)
        if (!files_at(guests_node(guests_of(h))->w->files, d->info.paths[i]))
            world_broken(guests_node(guests_of(h))->w,
                         "guest %s wakes up without %s", id, d->info.paths[i]);
    if (!guest_active(d))
        run(guests_of(h), d);
    return effect_end(guests_node(guests_of(h)), err);
}

static bool hv_shutdown(struct hypervisor *h, const char *id, struct error *err)
{
    struct sim_node *n = guests_node(guests_of(h));
    if (!effect_begin(n, "shutdown", id, err))
        return false;
    if (chance_percent(n->w, 80))
        guests_later(guests_of(h), TODO_OFF, id, NULL,
                     (int64_t)chance(n->w, 40) * SECOND_US);
    return effect_end(n, err);
}

static bool hv_destroy(struct hypervisor *h, const char *id, struct error *err)
{
    if (!effect_begin(guests_node(guests_of(h)), "destroy", id, err))
        return false;
    struct guest *d = guests_find(guests_of(h), id);
    if (d)
        d->cut_short = false;
    if (d && guest_active(d))
        guests_turn_off(guests_of(h), d);
    return effect_end(guests_node(guests_of(h)), err);
}

static bool hv_undefine(struct hypervisor *h, const char *id, struct error *err)
{
    struct guests *g = guests_of(h);
    if (!effect_begin(guests_node(g), "undefine", id, err))
        return false;
    for (struct guest *d = guests_first(g); d; d = d->next) {
        if (strcmp(d->id, id) != 0)
            continue;
        if (guest_active(d))
            return error_set(err, ERR_CONFLICT, "domain %s is active", id);
        d->cut_short = false; /* its node has come back and says so */
        guests_ended(g, d);
        guests_remove(g, d);
        break;
    }
    return effect_end(guests_node(g), err);
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
    return effect_end(guests_node(guests_of(h)), err);
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
    return effect_begin(guests_node(guests_of(h)), "resume", id, err) &&
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
    if (guest_disk_index(d, disk->device) < d->info.n_disks)
        return effect_end(guests_node(g), err);
    if (!may_open(g, disk, err))
        return false;
    guest_add_disk(d, disk);
    if (!disk->readonly && !disk->cdrom)
        content_opens(guests_node(g)->w, d->id, disk->path);
    guests_changed(g, d);
    return effect_end(guests_node(g), err);
}

static bool hv_detach_disk(struct hypervisor *h, const char *id,
                           const char *device, struct error *err)
{
    struct sim_node *n = guests_node(guests_of(h));
    if (!begin(h, "detach_disk", id, err))
        return false;
    if (chance_percent(n->w, 85))
        guests_later(guests_of(h), TODO_DROP_DISK, id, device,
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
    size_t i = guest_disk_index(d, device);
    if (i == d->info.n_disks)
        return error_set(err, ERR_NOT_FOUND, "%s has no disk %s", id, device);
    files_resize(guests_node(g)->w->files, d->info.paths[i], bytes);
    return effect_end(guests_node(g), err);
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
    size_t i = guest_disk_index(d, device);
    const struct file *to = files_at(guests_node(g)->w->files, path);
    if (i == d->info.n_disks || !guest_active(d))
        return error_set(err, ERR_NOT_FOUND, "%s has no disk %s", id, device);
    if (strcmp(d->info.paths[i], path) != 0 &&
        (!to || strcmp(to->below, d->info.paths[i]) != 0))
        world_broken(guests_node(g)->w, "guest %s is moved from %s to %s", id,
                     d->info.paths[i], path);
    snprintf(d->info.paths[i], sizeof(d->info.paths[i]), "%s", path);
    return effect_end(guests_node(g), err);
}

static bool hv_attach_nic(struct hypervisor *h, const char *id,
                          const struct nic_spec *nic, struct error *err)
{
    struct guests *g = guests_of(h);
    struct guest *d = begin(h, "attach_nic", id, err);
    if (!d)
        return false;
    if (guest_nic_index(d, nic->port_id) == d->info.n_nics)
        guest_add_nic(d, nic->port_id);
    guests_changed(g, d);
    return effect_end(guests_node(g), err);
}

static bool hv_detach_nic(struct hypervisor *h, const char *id,
                          const char *port_id, struct error *err)
{
    struct sim_node *n = guests_node(guests_of(h));
    if (!begin(h, "detach_nic", id, err))
        return false;
    if (chance_percent(n->w, 85))
        guests_later(guests_of(h), TODO_DROP_NIC, id, port_id,
                     (int64_t)chance(n->w, 10000) * 1000);
    return effect_end(n, err);
}

static bool hv_migrate_prepare(struct hypervisor *h,
                               const struct domain_spec *spec,
                               struct migrate_place *place, struct error *err)
{
    return moves_prepare(guests_node(guests_of(h)), spec, place, err);
}

static bool hv_migrate_out(struct hypervisor *h, const char *id,
                           const struct migrate_spec *to, struct error *err)
{
    return moves_begin(guests_node(guests_of(h)), id, to, err);
}

static bool hv_migrate_info(struct hypervisor *h, const char *id,
                            struct migrate_info *info, struct error *err)
{
    return moves_info(guests_node(guests_of(h)), id, info, err);
}

static bool hv_migrate_downtime(struct hypervisor *h, const char *id,
                                int64_t ms, struct error *err)
{
    return true;
}

static bool hv_migrate_abort(struct hypervisor *h, const char *id,
                             struct error *err)
{
    return moves_abort(guests_node(guests_of(h)), id, err);
}

static void hv_migrate_forget(struct hypervisor *h, const char *id)
{
    moves_forget(guests_of(h), id);
}

static void hv_listen(struct hypervisor *h, domain_event_fn *fn, void *arg)
{
    guests_listen(guests_of(h), fn, arg);
}

static void hv_close(struct hypervisor *h)
{
    guests_listen(guests_of(h), NULL, NULL);
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
struct hypervisor *sim_hypervisor_open(struct guests *g)
{
    struct sim_hypervisor *h = xcalloc(1, sizeof(*h));
    h->h.ops = &ops;
    h->guests = g;
    guests_listen(g, NULL, NULL);
    moves_forget_all(g);
    return &h->h;
}
