#include "invariants.h"

#include "clients.h"
#include "guests.h"
#include "look.h"
#include "model/compute.h"
#include "model/image.h"
#include "model/migration.h"
#include "model/network.h"
#include "model/pool.h"
#include "model/volume.h"
#include "sim_node.h"

/* Nodes have said that they live. */
static bool only_lives(const struct look *l)
{
    for (size_t i = 0; i < N_KINDS; i++)
        if (model_kinds[i] != &kind_node && look_is_new(l, model_kinds[i]))
            return false;
    return true;
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

bool check_moving(struct world *w)
{
    bool found = false;
    _autosnap_ struct snapshot *s = cache_snapshot(w->truth);
    struct snap_iter it = snap_all(s, &kind_migration);
    for (const struct migration *m; !found && (m = snap_next(&it));)
        found = m->type == MIGRATION_LIVE && migration_under_way(m);
    return found;
}

void check_quiet(struct world *w)
{
    _autosnap_ struct snapshot *s = cache_snapshot(w->truth);
    struct look l = { w, s, 0 };
    world_event(w, "quiet: %zu servers, %zu ports, %zu volumes, %zu images",
                snap_count(s, &kind_server), snap_count(s, &kind_port),
                snap_count(s, &kind_volume), snap_count(s, &kind_image));
    check_records(&l, true);
    check_pool(&l);
    check_servers(&l);
    check_networks(&l);
    check_storage(&l);
    check_files(&l);
    clients_check(w->clients, &l);
}

void check_recovered(struct world *w, const struct sim_node *n)
{
    _autosnap_ struct snapshot *s = cache_snapshot(w->truth);
    struct look l = { w, s, 0 };
    check_failed(&l, n);
}

static void check_none(struct look *l, const struct kind *kind)
{
    struct snap_iter it = snap_all(l->s, kind);
    for (const struct record *r; (r = snap_next(&it));)
        if (!look_may_be_left(l, r))
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
        if (!w->nodes[i].lost && guests_first(w->nodes[i].guests))
            world_broken(w, "deleted things leave nothing: domain %s",
                         guests_first(w->nodes[i].guests)->id);
    for (struct file *f = files_first(w->files); f; f = f->next)
        if (!look_is_named(&l, f))
            world_broken(w, "deleted things leave nothing: %s %s",
                         stored_kind_name(f->kind), f->name);
}
