#include "world.h"

#include "clients.h"
#include "common/alloc.h"
#include "content.h"
#include "core.h"
#include "files.h"
#include "guests.h"
#include "invariants.h"
#include "model/pool.h"
#include "nets.h"
#include "sim_node.h"
#include "starts.h"

#include <inttypes.h>
#include <string.h>

#define STEPS_MOST 200000 /* of a node in one calm */
#define LEASES_US  (SECOND_US / 2)
#define START_US   (INT64_C(1795000000) * SECOND_US) /* November 2026 */

/* ---- chance ----------------------------------------------------------------
 */

/* splitmix64 */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

uint64_t chance(struct world *w, uint64_t n)
{
    return next_random(&w->chance) % n;
}

bool chance_percent(struct world *w, unsigned percent)
{
    return chance(w, 100) < percent;
}

bool chance_permille(struct world *w, unsigned permille)
{
    return chance(w, 1000) < permille;
}

static int64_t world_now(void *self)
{
    return ((struct world *)self)->time;
}

static void world_random(void *self, void *out, size_t len)
{
    struct world *w = self;
    for (size_t i = 0; i < len; i++)
        ((unsigned char *)out)[i] = (unsigned char)next_random(&w->chance_env);
}

/* ---- events
 * ------------------------------------------------------------------ */

static uint64_t fnv(uint64_t h, const char *s)
{
    for (; *s; s++)
        h = (h ^ (unsigned char)*s) * UINT64_C(1099511628211);
    return h;
}

void world_event(struct world *w, const char *fmt, ...)
{
    char *line = w->events[w->n_events++ % SIM_EVENTS];
    int64_t t = w->time - w->started;
    int n = snprintf(line, SIM_EVENT_MAX, "%" PRId64 ".%06" PRId64 " ",
                     t / SECOND_US, t % SECOND_US);
    va_list args;
    va_start(args, fmt);
    vsnprintf(line + n, SIM_EVENT_MAX - (size_t)n, fmt, args);
    va_end(args);
    w->hash = fnv(w->hash, line);
    if (w->verbose)
        printf("%s\n", line);
}

void world_broken(struct world *w, const char *fmt, ...)
{
    if (w->broken)
        return;
    va_list args;
    va_start(args, fmt);
    vsnprintf(w->what, sizeof(w->what), fmt, args);
    va_end(args);
    w->broken = true;
    world_event(w, "BROKEN %s", w->what);
}

void world_print_events(const struct world *w, FILE *out)
{
    unsigned long from =
        w->n_events > SIM_EVENTS ? w->n_events - SIM_EVENTS : 0;
    for (unsigned long i = from; i < w->n_events; i++)
        fprintf(out, "  %s\n", w->events[i % SIM_EVENTS]);
}

/* ---- steps
 * ------------------------------------------------------------------------- */

/* Leases end late now and then, as after a change of etcd's leader. */
static bool end_leases(struct world *w)
{
    if (!world_is_pool(w) || w->time < w->leases_due)
        return false;
    w->leases_due = w->time + LEASES_US;
    if (w->chaos && chance_percent(w, 10))
        w->leases_due += (int64_t)chance(w, 20) * SECOND_US;
    store_memory_tick(w->store);
    return true;
}

static bool step_nodes(struct world *w)
{
    uint64_t first = world_is_pool(w) ? chance(w, w->n_nodes) : 0;
    for (unsigned i = 0; i < w->n_nodes; i++) {
        struct sim_node *n = &w->nodes[(first + i) % w->n_nodes];
        if ((sim_node_due(n) <= w->time || (i == 0 && sim_node_busy(n))) &&
            sim_node_step(n, i == 0))
            return true;
    }
    return false;
}

static void bury(struct world *w)
{
    w->dying = false;
    for (unsigned i = 0; i < w->n_nodes; i++) {
        sim_node_bury(&w->nodes[i]);
        w->dying |= w->nodes[i].core_dying;
    }
}

bool world_step(struct world *w)
{
    w->stats.steps++;
    w->time += (int64_t)chance(w, 200);
    bool did = end_leases(w) || step_nodes(w);
    if (w->dying)
        bury(w);
    if (did)
        check_step(w);
    return did;
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t next_due(struct world *w)
{
    int64_t due = world_is_pool(w) ? w->leases_due : INT64_MAX;
    for (unsigned i = 0; i < w->n_nodes; i++)
        due = earlier(due, sim_node_due(&w->nodes[i]));
    return due;
}

void world_pass(struct world *w, int64_t most)
{
    int64_t due = earlier(next_due(w), w->time + most);
    w->time = due > w->time ? due : w->time + 1;
}

void world_set_chaos(struct world *w, bool chaos)
{
    w->chaos = chaos;
    for (unsigned i = 0; i < w->n_nodes; i++)
        sim_node_woken(&w->nodes[i]);
}

/* While queues hold something time moves only by itself. */
void world_calm(struct world *w, int64_t us)
{
    int64_t until = w->time + us;
    unsigned long most = w->stats.steps + STEPS_MOST * w->n_nodes;
    world_set_chaos(w, false);
    while (!w->broken && w->time < until) {
        if (!world_step(w))
            world_pass(w, until - w->time);
        if (w->stats.steps > most)
            world_broken(w,
                         "the pool does not come to rest: more than "
                         "%d steps a node",
                         STEPS_MOST);
    }
}

/* ---- a pool
 * ------------------------------------------------------------------------ */

static bool follow_truth(struct world *w)
{
    struct error err;
    w->truth = cache_new(model_kinds, N_KINDS);
    if (cache_follow(w->truth, w->store, &err))
        return true;
    world_broken(w, "the store cannot be read: %s", err.text);
    return false;
}

struct world *world_new(uint64_t seed, unsigned nodes, bool local, bool verbose)
{
    struct world *w = xcalloc(1, sizeof(*w));
    w->seed = seed;
    w->chance = seed * 2;
    w->chance_env = seed * 2 + 1;
    w->verbose = verbose;
    w->local = local;
    w->hash = UINT64_C(14695981039346656037);
    w->env = (struct env){ w, world_now, world_now, world_random };
    w->time = w->started = START_US;
    w->crash_percent = 5 + (unsigned)chance(w, 40);
    w->store = store_memory_open(&w->env);
    w->n_nodes = nodes;
    w->nodes = xcalloc(nodes, sizeof(*w->nodes));
    for (unsigned i = 1; i <= nodes; i++)
        sim_node_init(w, i);
    w->files = files_new(w);
    w->nets = nets_new(w);
    w->clients = clients_new(w);
    if (follow_truth(w))
        core_first_content(w);
    return w;
}

void world_free(struct world *w)
{
    w->chaos = false;
    for (unsigned i = 0; i < w->n_nodes; i++)
        sim_node_end(&w->nodes[i]);
    clients_free(w->clients);
    nets_free(w->nets);
    files_free(w->files);
    for (unsigned i = 0; i < w->n_nodes; i++)
        guests_free(w->nodes[i].guests);
    starts_forget(w);
    content_forget(w);
    cache_unfollow(w->truth);
    cache_free(w->truth);
    store_close(w->store);
    free(w->nodes);
    free(w);
}
