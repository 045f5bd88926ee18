#include "run.h"

#include "clients.h"
#include "invariants.h"
#include "sim_node.h"

#include <inttypes.h>

#define ROUNDS  2
#define CALM_US (900 * SECOND_US)  /* longer than any back-off or patience */
#define LONG_US (7400 * SECOND_US) /* longer than the audit of files waits */

static void chaos(struct world *w, unsigned long steps)
{
    unsigned pass = world_is_pool(w) ? 40 : 20;
    w->chaos = true;
    for (unsigned long i = 0; !w->broken && i < steps; i++)
        if (!world_step(w) || chance_permille(w, pass))
            world_pass(w, (int64_t)chance(w, 20 * SECOND_US));
}

/* Deletes everything, one after the other, with rests between. */
static void tidy(struct world *w)
{
    for (int i = 0; !w->broken && i < 400; i++) {
        if (!clients_tidy(w->clients))
            return;
        world_calm(w, 5 * SECOND_US);
    }
}

/* The pool is switched off for a while.  As long a calm takes long with many
 * nodes, all of which say every second that they live. */
static void be_off(struct world *w, int64_t us)
{
    world_calm(w, 30 * SECOND_US);
    for (unsigned i = 0; i < w->n_nodes; i++)
        sim_node_off(&w->nodes[i]);
    w->time += us;
    world_calm(w, CALM_US);
}

static void add(struct world_stats *total, const struct world_stats *s)
{
    total->calls += s->calls;
    total->answers += s->answers;
    total->crashes += s->crashes;
    total->commits += s->commits;
    total->faults += s->faults;
    total->steps += s->steps;
}

static void report(const struct world *w)
{
    printf("the newest events of seed %" PRIu64 ":\n", w->seed);
    world_print_events(w, stdout);
    printf("seed %" PRIu64 ": %s\n", w->seed, w->what);
}

bool run_seed(uint64_t seed, const struct run_options *o,
              struct world_stats *total, uint64_t *hash)
{
    struct world *w = world_new(seed, o->nodes ? o->nodes : 1, o->verbose);
    world_calm(w, SECOND_US);
    for (int i = 0; !w->broken && i < ROUNDS; i++) {
        chaos(w, world_is_pool(w) ? o->steps * 3 : o->steps);
        world_calm(w, CALM_US);
        if (!w->broken)
            check_quiet(w);
    }
    tidy(w);
    if (world_is_pool(w))
        be_off(w, LONG_US);
    else
        world_calm(w, LONG_US);
    if (!w->broken) {
        check_quiet(w);
        check_empty(w);
    }
    bool ok = !w->broken;
    if (!ok)
        report(w);
    *hash = w->hash;
    add(total, &w->stats);
    world_free(w);
    return ok;
}
