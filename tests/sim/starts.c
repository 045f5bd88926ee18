#include "starts.h"

#include "common/alloc.h"
#include "guests.h"
#include "model/compute.h"

#include <string.h>

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

/* A node that has lost the guest with its power may have it no more only if
 * the storage says so. */
static void check_fenced(struct sim_node *here, const char *id)
{
    struct world *w = here->w;
    for (unsigned i = 0; i < w->n_nodes; i++) {
        struct sim_node *n = &w->nodes[i];
        struct guest *d = n == here ? NULL : guests_find(n->guests, id);
        if (d &&
            (d->cut_short || (guest_active(d) && !d->refused && !d->asleep)))
            world_broken(w, "server %s starts on %s, and %s is not fenced", id,
                         here->name, n->name);
    }
}

static struct start *add(struct world *w, const char *id)
{
    struct start *new = xcalloc(1, sizeof(*new));
    snprintf(new->id, sizeof(new->id), "%s", id);
    new->next = w->starts;
    return w->starts = new;
}

/* By what the store holds at this moment it is this node's; and if another
 * had it and has not ended it, it is another generation. */
static void check_right(struct sim_node *n, const char *id)
{
    struct world *w = n->w;
    _autosnap_ struct snapshot *snap = cache_snapshot(w->truth);
    const struct server *s = snap_get(snap, &kind_server, id);
    struct start *last = start_of(w, id);
    if (!s)
        return; /* of a test */
    if (!s->node || strcmp(s->node, n->name) != 0)
        world_broken(w, "server %s starts on %s, its record says %s", id,
                     n->name, s->node ? s->node : "no node");
    if (last && !last->ended && last->node != n &&
        last->generation >= s->generation)
        world_broken(w, "server %s starts on %s and %s as generation %lld", id,
                     last->node->name, n->name, (long long)s->generation);
    if (!last)
        last = add(w, id);
    last->ended = false;
    last->node = n;
    last->generation = s->generation;
}

void starts_begin(struct sim_node *n, const char *id)
{
    check_fenced(n, id);
    check_right(n, id);
}

void starts_end(struct sim_node *n, const char *id, bool lost)
{
    struct start *last = start_of(n->w, id);
    if (last && last->node == n)
        last->ended = !lost;
}

void starts_go_on(struct sim_node *n, const char *id)
{
    struct start *last = start_of(n->w, id);
    if (last)
        last->node = n;
}

void starts_forget(struct world *w)
{
    for (struct start *s; (s = w->starts);) {
        w->starts = s->next;
        free(s);
    }
}
