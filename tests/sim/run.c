#include "run.h"

#include "clients.h"
#include "core.h"
#include "invariants.h"
#include "sim_node.h"

#include <inttypes.h>

#define ROUNDS     2
#define CALM_US    (900 * SECOND_US) /* longer than any back-off or patience */
#define FEW_US     (300 * SECOND_US) /* the same of a large pool */
#define RECOVER_US (20 * SECOND_US)  /* the promise: issue and SPECIFICATION */
#define OFF_US     (300 * SECOND_US)
#define LONG_US    (7400 * SECOND_US) /* longer than the audit of files waits */

static void chaos(struct world *w, unsigned long steps)
{
    unsigned pass = world_is_pool(w) ? 40 : 20;
    world_set_chaos(w, true);
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
static void be_off(struct world *w, int64_t us, int64_t calm)
{
    world_calm(w, 30 * SECOND_US);
    for (unsigned i = 0; i < w->n_nodes; i++)
        sim_node_off(&w->nodes[i]);
    w->time += us;
    world_calm(w, calm);
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

/* What happens in one place is news in all others. */
static unsigned long steps_of(const struct world *w, unsigned long steps)
{
    if (world_is_large(w))
        return steps * w->n_nodes / 10;
    return world_is_pool(w) ? steps * 3 : steps;
}

/* The rebalancer moves somebody whenever it finds that worth it. */
static void let_arrive(struct world *w)
{
    for (int i = 0; !w->broken && i < 30 && check_moving(w); i++)
        world_calm(w, 10 * SECOND_US);
}

/* Is there another that could lead? */
static bool can_spare(const struct world *w, const struct sim_node *n)
{
    bool found = false;
    for (unsigned i = 0; i < w->n_nodes && i < CORE_STANDING; i++)
        found |= &w->nodes[i] != n && !w->nodes[i].lost;
    return found && !n->lost;
}

/* All is well, and one node loses its power for some minutes: whoever can run
 * elsewhere does so in time. */
static void cut_power(struct world *w)
{
    struct sim_node *n = &w->nodes[chance(w, w->n_nodes)];
    if (w->broken || !can_spare(w, n))
        return;
    sim_node_cut_power(n, OFF_US);
    world_calm(w, RECOVER_US);
    if (!w->broken)
        check_recovered(w, n);
    world_calm(w, OFF_US);
}

static bool go(struct world *w, const struct run_options *o)
{
    int rounds = world_is_large(w) ? 1 : ROUNDS;
    int64_t calm = world_is_large(w) ? FEW_US : CALM_US;
    world_calm(w, SECOND_US);
    for (int i = 0; !w->broken && i < rounds; i++) {
        chaos(w, steps_of(w, o->steps));
        world_calm(w, calm);
        let_arrive(w);
        if (!w->broken)
            check_quiet(w);
        if (world_is_pool(w) && i + 1 < rounds)
            cut_power(w);
    }
    tidy(w);
    if (world_is_pool(w))
        be_off(w, LONG_US, calm);
    else
        world_calm(w, LONG_US);
    if (!w->broken) {
        check_quiet(w);
        check_empty(w);
    }
    return !w->broken;
}

bool run_seed(uint64_t seed, const struct run_options *o,
              struct world_stats *total, uint64_t *hash)
{
    struct world *w =
        world_new(seed, o->nodes ? o->nodes : 1, o->local, o->verbose);
    bool ok = go(w, o);
    if (!ok)
        report(w);
    *hash = w->hash;
    add(total, &w->stats);
    world_free(w);
    return ok;
}
