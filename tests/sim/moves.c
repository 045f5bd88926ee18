#include "moves.h"

#include "common/alloc.h"
#include "content.h"
#include "starts.h"

#include <string.h>

#define MOVE_US (20 * SECOND_US) /* at most */

static struct sim_node *node_at(struct world *w, const char *address)
{
    char own[32];
    for (unsigned i = 0; i < w->n_nodes; i++)
        if (strcmp(sim_node_address(&w->nodes[i], own), address) == 0)
            return &w->nodes[i];
    return NULL;
}

/* ---- what has become of those that ended ----------------------------------
 */

static struct moved **find(struct guests *g, const char *id)
{
    struct moved **at = guests_outcomes(g);
    while (*at && strcmp((*at)->id, id) != 0)
        at = &(*at)->next;
    return at;
}

void moves_forget(struct guests *g, const char *id)
{
    struct moved **at = find(g, id), *gone = *at;
    if (gone)
        *at = gone->next;
    free(gone);
}

void moves_forget_all(struct guests *g)
{
    while (*guests_outcomes(g))
        moves_forget(g, (*guests_outcomes(g))->id);
}

static void note(struct guests *g, const char *id, bool ok)
{
    moves_forget(g, id);
    struct moved *o = xcalloc(1, sizeof(*o));
    snprintf(o->id, sizeof(o->id), "%s", id);
    o->ok = ok;
    o->next = *guests_outcomes(g);
    *guests_outcomes(g) = o;
}

/* ---- the dest --------------------------------------------------------------
 */

static struct guest *arriving(const struct guest *d)
{
    struct guest *in = guests_find(d->to->guests, d->id);
    return in && in->asleep && in->info.incoming ? in : NULL;
}

/* What does not go over is where both reach it. */
static void set_paths(struct guest *in, const struct migrate_spec *to)
{
    for (size_t i = 0; i < to->n_disks; i++) {
        size_t at = guest_disk_index(in, to->disks[i].device);
        if (at < in->info.n_disks)
            snprintf(in->info.paths[at], sizeof(in->info.paths[at]), "%s",
                     to->disks[i].path);
    }
}

static void come_in(struct guest *d, const struct migrate_spec *to)
{
    struct guest *in = guests_find(d->to->guests, d->id);
    if (in || d->to->off_until > d->to->w->time)
        return; /* there is one already: it will fail */
    in = guests_define(d->to->guests, d->id);
    in->info = d->info;
    set_paths(in, to);
    in->info.incoming = in->asleep = true;
    memcpy(in->read_only, d->read_only, sizeof(in->read_only));
    guests_set_state(d->to->guests, in, DOMAIN_PAUSED);
}

bool moves_prepare(struct sim_node *n, const struct domain_spec *spec,
                   struct migrate_place *place, struct error *err)
{
    if (!effect_begin(n, "migrate_prepare", spec->id, err))
        return false;
    place->vnc_listen = "127.0.0.1";
    snprintf(place->serial_log, sizeof(place->serial_log), "/sim/log/%s",
             spec->id);
    return effect_end(n, err);
}

/* ---- the source ------------------------------------------------------------
 */

bool moves_begin(struct sim_node *n, const char *id,
                 const struct migrate_spec *to, struct error *err)
{
    if (!effect_begin(n, "migrate_out", id, err))
        return false;
    struct guest *d = guests_find(n->guests, id);
    if (!d || !guest_active(d))
        return error_set(err, ERR_NOT_FOUND, "domain %s does not run", id);
    if (d->to)
        return error_set(err, ERR_CONFLICT, "domain %s moves already", id);
    d->to = node_at(n->w, to->address);
    if (!d->to || d->to == n)
        return error_set(err, ERR_INVALID, "nobody is at %s", to->address);
    d->abort = false;
    come_in(d, to);
    guests_later(n->guests, TODO_MOVE, id, NULL,
                 (int64_t)chance(n->w, MOVE_US));
    return effect_end(n, err);
}

bool moves_info(struct sim_node *n, const char *id, struct migrate_info *info,
                struct error *err)
{
    const struct guest *d = guests_find(n->guests, id);
    const struct moved *o = *find(n->guests, id);
    *info = (struct migrate_info){ .state = MIGRATE_NONE };
    if (n->core_dying)
        return error_set(err, ERR_CANCELLED, "simulated: the core is dead");
    if (d && d->to)
        info->state = MIGRATE_RUNNING;
    else if (o)
        info->state = o->ok ? MIGRATE_DONE : MIGRATE_FAILED;
    if (info->state == MIGRATE_FAILED)
        error_set(&info->err, ERR_INTERNAL, "simulated: the move failed");
    return true;
}

bool moves_abort(struct sim_node *n, const char *id, struct error *err)
{
    if (!effect_begin(n, "migrate_abort", id, err))
        return false;
    struct guest *d = guests_find(n->guests, id);
    if (d && d->to)
        d->abort = true;
    return effect_end(n, err);
}

/* ---- the end
 * ----------------------------------------------------------------- */

/* Each of its disks is at the dest, or where both reach it. */
static bool has_disks(const struct sim_node *dest, const struct guest *in)
{
    for (size_t i = 0; i < in->info.n_disks; i++) {
        const struct file *x = files_at(dest->w->files, in->info.paths[i]);
        if (!x || (x->node && x->node != dest))
            return false;
    }
    return true;
}

static bool works(struct guests *g, const struct guest *d,
                  const struct guest *in)
{
    struct world *w = d->to->w;
    return in && has_disks(d->to, in) && !d->abort && !in->refused &&
           !d->refused && !d->to->fenced && sim_node_cut(d->to) != CUT_ALL &&
           sim_node_cut(guests_node(g)) != CUT_ALL &&
           !(w->chaos && chance_percent(w, 15));
}

static void fail(struct guests *g, struct guest *d, struct guest *in)
{
    struct world *w = d->to->w;
    node_event(guests_node(g), "guest %s stays", d->id);
    if (in && !(w->chaos && chance_percent(w, 20)))
        guests_remove(d->to->guests, in);
    d->to = NULL;
    note(g, d->id, false);
    guests_set_state(g, d, d->info.state);
}

static void arrive(struct guests *g, struct guest *d, struct guest *in)
{
    struct sim_node *dest = d->to;
    node_event(guests_node(g), "guest %s has gone to %s", d->id, dest->name);
    note(g, d->id, true);
    starts_go_on(dest, d->id);
    d->to = NULL;
    in->info.incoming = false;
    for (size_t i = 0; i < in->info.n_disks && i < d->info.n_disks; i++)
        content_goes_on(dest->w, d->info.paths[i], in->info.paths[i]);
    guests_set_state(dest->guests, in, DOMAIN_PAUSED);
    guests_set_state(g, d, DOMAIN_OFF);
    d->info.left = true;
    if (!dest->w->chaos || !chance_percent(dest->w, 15))
        guests_remove(g, d);
}

void moves_end(struct guests *g, struct guest *d)
{
    struct guest *in = d->to ? arriving(d) : NULL;
    if (!d->to)
        return;
    if (works(g, d, in))
        arrive(g, d, in);
    else
        fail(g, d, in);
}

void moves_broken(struct guests *g, struct guest *d)
{
    if (d->to)
        fail(g, d, arriving(d));
}
