#include "world.h"

#include "clients.h"
#include "common/alloc.h"
#include "core.h"
#include "face.h"
#include "files.h"
#include "guests.h"
#include "invariants.h"
#include "model/pool.h"
#include "nets.h"

#include <inttypes.h>
#include <string.h>

#define START_US (INT64_C(1795000000) * SECOND_US) /* November 2026 */

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

/* ---- effects
 * -------------------------------------------------------------------- */

static bool effect_fails(struct world *w, const char *what, const char *id,
                         struct error *err)
{
    static const enum error_code codes[] = { ERR_UNAVAILABLE, ERR_UNAVAILABLE,
                                             ERR_UNAVAILABLE, ERR_TIMEOUT,
                                             ERR_BUSY,        ERR_INTERNAL };
    enum error_code code = codes[chance(w, ARRAY_SIZE(codes))];
    world_event(w, "core %s %s fails: %s", what, id, error_code_name(code));
    return error_set(err, code, "simulated: %s %s failed", what, id);
}

static bool core_dies(struct world *w, const char *when, const char *what,
                      const char *id, struct error *err)
{
    world_event(w, "core dies %s %s %s", when, what, id);
    w->core_dying = true;
    return error_set(err, ERR_CANCELLED, "simulated: the core is dead");
}

bool effect_begin(struct world *w, const char *what, const char *id,
                  struct error *err)
{
    if (w->core_dying)
        return error_set(err, ERR_CANCELLED, "simulated: the core is dead");
    w->effect_lost = false;
    if (w->chaos && chance_permille(w, 40)) {
        w->stats.faults++;
        if (chance_percent(w, w->crash_percent))
            return core_dies(w, "before", what, id, err);
        if (chance_percent(w, 70))
            return effect_fails(w, what, id, err);
        w->effect_lost = true;
    }
    if (strncmp(id, "node/", 5) != 0)
        world_event(w, "core %s %s", what, id);
    return true;
}

bool effect_end(struct world *w, struct error *err)
{
    if (!w->effect_lost)
        return true;
    w->effect_lost = false;
    if (chance_percent(w, 50))
        return core_dies(w, "after", "the", "effect", err);
    world_event(w, "core hears nothing of the effect");
    return error_set(err, ERR_TIMEOUT, "simulated: the answer got lost");
}

/* ---- dying and coming back
 * --------------------------------------------------------- */

static void stop_face(struct world *w)
{
    if (!w->face)
        return;
    face_stop(w->face);
    w->face = NULL;
    w->face_dying = false;
    w->face_due = w->time + (int64_t)chance(w, 1000) * 1000;
}

/* The face is the core's child and goes with it. */
static void stop_core(struct world *w)
{
    stop_face(w);
    if (w->core)
        core_stop(w->core);
    w->core = NULL;
    w->core_dying = false;
    w->core_due = w->time + (int64_t)chance(w, 3000) * 1000;
}

static bool start_what_is_down(struct world *w)
{
    if (!w->core && w->time >= w->core_due) {
        world_event(w, "core starts");
        w->core = core_start(w);
        return true;
    }
    if (w->core && !w->face && w->time >= w->face_due) {
        world_event(w, "face starts");
        core_face_starts(w->core);
        w->face = face_start(w);
        return true;
    }
    return false;
}

static bool disaster(struct world *w)
{
    if (!w->chaos || !w->core || !chance_permille(w, 3))
        return false;
    w->stats.crashes++;
    switch (chance(w, 8)) {
    case 0:
        world_event(w, "the node loses its power");
        stop_core(w);
        guests_power_lost(w->guests);
        break;
    case 1:
    case 2:
    case 3:
        world_event(w, "core is killed");
        stop_core(w);
        break;
    default:
        world_event(w, "face is killed");
        stop_face(w);
    }
    return true;
}

/* ---- steps
 * ------------------------------------------------------------------------- */

static bool step_clients(struct world *w)
{
    return w->chaos && clients_call(w->clients);
}

static bool step_calls(struct world *w)
{
    return w->face && face_step_call(w->face);
}

static bool step_store(struct world *w)
{
    return w->core && w->face && face_take(w->face);
}

static bool step_face(struct world *w)
{
    return w->face && face_hear(w->face);
}

static bool step_core(struct world *w)
{
    return w->core && core_hear(w->core);
}

static bool step_queues(struct world *w)
{
    return w->core && core_step(w->core);
}

static bool step_guests(struct world *w)
{
    return guests_step(w->guests);
}

static bool (*const steps[])(struct world *) = {
    step_clients, step_calls, step_calls,  step_store,  step_store,  step_face,
    step_face,    step_core,  step_queues, step_queues, step_guests,
};

bool world_step(struct world *w)
{
    w->stats.steps++;
    w->time += (int64_t)chance(w, 200);
    if (start_what_is_down(w) || disaster(w))
        return true;
    size_t first = chance(w, ARRAY_SIZE(steps));
    bool did = false;
    for (size_t i = 0; !did && i < ARRAY_SIZE(steps); i++)
        did = steps[(first + i) % ARRAY_SIZE(steps)](w);
    if (w->core_dying) {
        w->stats.crashes++;
        stop_core(w);
    }
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
    int64_t due = guests_due(w->guests);
    if (!w->core)
        due = earlier(due, w->core_due);
    else
        due = earlier(due, core_due(w->core));
    if (w->core && !w->face)
        due = earlier(due, w->face_due);
    if (w->face)
        due = earlier(due, face_due(w->face));
    return due;
}

void world_pass(struct world *w, int64_t most)
{
    int64_t due = earlier(next_due(w), w->time + most);
    w->time = due > w->time ? due : w->time + 1;
}

/* While queues hold something time moves only by itself. */
void world_calm(struct world *w, int64_t us)
{
    int64_t until = w->time + us;
    unsigned long most = w->stats.steps + 200000;
    w->chaos = false;
    while (!w->broken && w->time < until) {
        if (!world_step(w))
            world_pass(w, until - w->time);
        if (w->stats.steps > most)
            world_broken(w, "the pool does not come to rest: more than "
                            "200000 steps");
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

struct world *world_new(uint64_t seed, bool verbose)
{
    struct world *w = xcalloc(1, sizeof(*w));
    w->seed = seed;
    w->chance = seed * 2;
    w->chance_env = seed * 2 + 1;
    w->verbose = verbose;
    w->hash = UINT64_C(14695981039346656037);
    w->env = (struct env){ w, world_now, world_now, world_random };
    w->time = w->started = START_US;
    w->crash_percent = 5 + (unsigned)chance(w, 40);
    w->store = store_memory_open(&w->env);
    w->guests = guests_new(w);
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
    if (w->face)
        face_stop(w->face);
    if (w->core)
        core_stop(w->core);
    clients_free(w->clients);
    nets_free(w->nets);
    files_free(w->files);
    guests_free(w->guests);
    cache_unfollow(w->truth);
    cache_free(w->truth);
    store_close(w->store);
    free(w);
}
