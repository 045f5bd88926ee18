#include "sim_node.h"

#include "clients.h"
#include "core.h"
#include "face.h"
#include "files.h"
#include "guests.h"
#include "model/pool.h"
#include "sim_fence.h"

#include <string.h>

#define STALLS_MAX 2 /* calls that hang at once */
#define FACES      3 /* of a large pool */

void node_event(struct sim_node *n, const char *fmt, ...)
{
    char text[SIM_EVENT_MAX];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    if (world_is_pool(n->w))
        world_event(n->w, "%s %s", n->name, text);
    else
        world_event(n->w, "%s", text);
}

enum sim_cut sim_node_cut(const struct sim_node *n)
{
    return n->w->chaos && n->cut_until > n->w->time ? n->cut : CUT_NOTHING;
}

char *sim_node_address(const struct sim_node *n, char out[32])
{
    snprintf(out, 32, "10.0.%u.%u", n->number / 250, n->number % 250 + 1);
    return out;
}

struct sim_node *sim_node_named(struct world *w, const char *name)
{
    for (unsigned i = 0; name && i < w->n_nodes; i++)
        if (strcmp(w->nodes[i].name, name) == 0)
            return &w->nodes[i];
    return NULL;
}

/* ---- standing still
 * -------------------------------------------------------- */

/* A call that hangs: the others go on, for seconds, and it knows nothing. */
static void stall(struct sim_node *n, const char *what)
{
    struct world *w = n->w;
    if (!world_is_pool(w) || !w->chaos || w->stalls == STALLS_MAX ||
        !chance_permille(w, 8))
        return;
    uint64_t steps = 10 + chance(w, 300);
    node_event(n, "stands still at %s", what);
    n->busy = true;
    w->stalls++;
    for (uint64_t i = 0; !w->broken && i < steps; i++)
        if (!world_step(w) || chance_permille(w, 30))
            world_pass(w, (int64_t)chance(w, 5 * SECOND_US));
    w->stalls--;
    n->busy = false;
    node_event(n, "goes on with %s", what);
}

/* ---- effects
 * -------------------------------------------------------------------- */

static bool effect_fails(struct sim_node *n, const char *what, const char *id,
                         struct error *err)
{
    static const enum error_code codes[] = { ERR_UNAVAILABLE, ERR_UNAVAILABLE,
                                             ERR_UNAVAILABLE, ERR_TIMEOUT,
                                             ERR_BUSY,        ERR_INTERNAL };
    enum error_code code = codes[chance(n->w, ARRAY_SIZE(codes))];
    node_event(n, "core %s %s fails: %s", what, id, error_code_name(code));
    return error_set(err, code, "simulated: %s %s failed", what, id);
}

static bool is_dead(struct error *err)
{
    return error_set(err, ERR_CANCELLED, "simulated: the core is dead");
}

static bool core_dies(struct sim_node *n, const char *when, const char *what,
                      const char *id, struct error *err)
{
    node_event(n, "core dies %s %s %s", when, what, id);
    n->core_dying = n->w->dying = true;
    return is_dead(err);
}

bool effect_begin(struct sim_node *n, const char *what, const char *id,
                  struct error *err)
{
    struct world *w = n->w;
    stall(n, what);
    if (n->core_dying)
        return is_dead(err);
    n->effect_lost = false;
    if (w->chaos && chance_permille(w, 40)) {
        w->stats.faults++;
        if (chance_percent(w, w->crash_percent))
            return core_dies(n, "before", what, id, err);
        if (chance_percent(w, 70))
            return effect_fails(n, what, id, err);
        n->effect_lost = true;
    }
    if (strncmp(id, "node/", 5) != 0 && strcmp(what, "keeps") != 0)
        node_event(n, "core %s %s", what, id);
    return true;
}

bool effect_end(struct sim_node *n, struct error *err)
{
    stall(n, "an answer");
    if (n->core_dying)
        return is_dead(err);
    if (!n->effect_lost)
        return true;
    n->effect_lost = false;
    if (chance_percent(n->w, 50))
        return core_dies(n, "after", "the", "effect", err);
    node_event(n, "core hears nothing of the effect");
    return error_set(err, ERR_TIMEOUT, "simulated: the answer got lost");
}

bool effect_begin_files(struct sim_node *n, const char *what, const char *id,
                        struct error *err)
{
    if (!effect_begin(n, what, id, err))
        return false;
    if (sim_node_cut(n) & CUT_FILES)
        return error_set(err, ERR_TIMEOUT,
                         "simulated: %s cannot reach the files", n->name);
    if (n->fenced)
        return error_set(err, ERR_UNAVAILABLE,
                         "simulated: %s is refused by the files", n->name);
    return true;
}

/* ---- dying and coming back
 * --------------------------------------------------------- */

static void stop_face(struct sim_node *n)
{
    if (!n->face)
        return;
    face_stop(n->face);
    n->face = NULL;
    n->face_due = n->w->time + (int64_t)chance(n->w, 1000) * 1000;
}

/* The face is the core's child and goes with it. */
static void stop_core(struct sim_node *n)
{
    stop_face(n);
    if (n->core)
        core_stop(n->core);
    sim_node_woken(n);
    n->core = NULL;
    n->core_dying = false;
    n->core_due = n->w->time + (int64_t)chance(n->w, 3000) * 1000;
}

void sim_node_bury(struct sim_node *n)
{
    if (!n->core_dying || n->busy)
        return;
    n->w->stats.crashes++;
    stop_core(n);
}

/* Of a large pool only the first answer. */
static bool has_face(const struct sim_node *n)
{
    return n->number <= FACES || !world_is_large(n->w);
}

static bool start_what_is_down(struct sim_node *n)
{
    if (n->lost)
        return false;
    if (!n->core && n->w->time >= n->core_due) {
        if (sim_node_cut(n) & CUT_STORE)
            return false;
        node_event(n, "core starts");
        n->core = core_start(n);
        return true;
    }
    if (n->core && !n->face && has_face(n) && n->w->time >= n->face_due &&
        !(sim_node_cut(n) & CUT_STORE)) {
        node_event(n, "face starts");
        core_face_starts(n->core);
        n->face = face_start(n);
        return true;
    }
    return false;
}

void sim_node_off(struct sim_node *n)
{
    if (n->lost)
        return;
    stop_core(n);
    guests_power_lost(n->guests);
    n->booted = true;
}

void sim_node_cut_power(struct sim_node *n, int64_t us)
{
    node_event(n, "loses its power, and all else is well");
    sim_node_off(n);
    n->off_until = n->core_due = n->w->time + us;
}

void sim_node_lose(struct sim_node *n)
{
    if (n->lost)
        return;
    node_event(n, "is lost for good");
    sim_node_off(n);
    files_lose(n->w->files, n);
    n->lost = true;
    n->core_due = n->off_until = INT64_MAX;
}

void sim_nodes_removed(struct world *w)
{
    _autosnap_ struct snapshot *s = cache_snapshot(w->truth);
    for (unsigned i = 0; i < w->n_nodes; i++)
        if (!snap_get(s, &kind_member, w->nodes[i].name))
            w->nodes[i].removed = true;
}

/* Of three nodes one may go, of forty two; without Ceph not the one that has
 * the images. */
static bool may_be_lost(const struct sim_node *node)
{
    const struct world *w = node->w;
    unsigned n = 0;
    for (unsigned i = 0; i < w->n_nodes; i++)
        n += w->nodes[i].lost;
    return w->n_nodes > 2 && n <= w->n_nodes / 20 &&
           !(w->local && node->number == 1);
}

static void lose_power(struct sim_node *n)
{
    if (may_be_lost(n) && chance_percent(n->w, 8)) {
        sim_node_lose(n);
        return;
    }
    node_event(n, "%s",
               world_is_pool(n->w) ? "loses its power"
                                   : "the node loses its power");
    sim_node_off(n);
    if (world_is_pool(n->w))
        n->off_until = n->core_due += (int64_t)chance(n->w, 90) * SECOND_US;
}

static void lose_core(struct sim_node *n)
{
    node_event(n, "core is killed");
    stop_core(n);
}

static void lose_face(struct sim_node *n)
{
    node_event(n, "face is killed");
    stop_face(n);
}

static void be_cut_off(struct sim_node *n)
{
    static const char *const names[] = { "nothing", "the store", "the files",
                                         "all" };
    n->cut = (enum sim_cut)(1 + chance(n->w, 3));
    n->cut_from_store_only = chance_percent(n->w, 30);
    n->cut_until = n->w->time + (int64_t)chance(n->w, 60) * SECOND_US;
    node_event(n, "is cut off from %s", names[n->cut]);
}

static void stand_still(struct sim_node *n)
{
    n->still_until = n->w->time + (int64_t)chance(n->w, 30) * SECOND_US;
    node_event(n, "stands still");
}

static void hear_late(struct sim_node *n)
{
    n->lag_percent = n->lag_percent ? 0 : 50 + (unsigned)chance(n->w, 49);
    node_event(n, "%u%% of the news are late", n->lag_percent);
}

typedef void disaster_fn(struct sim_node *n);
static disaster_fn *const disasters[] = { lose_power, lose_core, lose_core,
                                          lose_core,  lose_face, lose_face,
                                          lose_face,  lose_face };
static disaster_fn *const pool_disasters[] = { lose_power,  lose_core,
                                               lose_face,   be_cut_off,
                                               be_cut_off,  stand_still,
                                               stand_still, hear_late };

static bool disaster(struct sim_node *n)
{
    bool pool = world_is_pool(n->w);
    if (!n->w->chaos || !n->core || !chance_permille(n->w, pool ? 6 : 3))
        return false;
    n->w->stats.crashes++;
    (pool ? pool_disasters : disasters)[chance(n->w, 8)](n);
    return true;
}

/* ---- steps
 * ------------------------------------------------------------------------- */

static bool hears(struct sim_node *n)
{
    return !n->lag_percent || !n->w->chaos ||
           !chance_percent(n->w, n->lag_percent);
}

static bool step_clients(struct sim_node *n)
{
    if (!n->w->chaos)
        return false;
    if (world_is_large(n->w))
        n = &n->w->nodes[chance(n->w, FACES)];
    return !n->busy && clients_call(n->w->clients, n->face);
}

static bool step_calls(struct sim_node *n)
{
    return n->face && face_step_call(n->face);
}

static bool step_store(struct sim_node *n)
{
    return n->core && n->face && face_take(n->face);
}

static bool step_face(struct sim_node *n)
{
    return n->face && hears(n) && face_hear(n->face);
}

static bool step_core(struct sim_node *n)
{
    return n->core && hears(n) && core_hear(n->core);
}

static bool step_queues(struct sim_node *n)
{
    return n->core && core_step(n->core);
}

static bool step_guests(struct sim_node *n)
{
    return guests_step(n->guests);
}

static bool (*const steps[])(struct sim_node *) = {
    step_clients, step_calls, step_calls,  step_store,  step_store,  step_face,
    step_face,    step_core,  step_queues, step_queues, step_guests,
};

static bool is_still(const struct sim_node *n)
{
    return n->busy || (n->w->chaos && n->still_until > n->w->time);
}

static bool do_step(struct sim_node *n, bool first)
{
    if (sim_fence_late(n))
        return true;
    if (is_still(n))
        return guests_step(n->guests);
    if (n->removed)
        sim_node_lose(n);
    if (start_what_is_down(n) || (first && disaster(n)))
        return true;
    size_t at = chance(n->w, ARRAY_SIZE(steps));
    for (size_t i = 0; i < ARRAY_SIZE(steps); i++)
        if (steps[(at + i) % ARRAY_SIZE(steps)](n))
            return true;
    return false;
}

/* Others may have asked what it is due for while it stood still. */
bool sim_node_step(struct sim_node *n, bool first)
{
    bool did = do_step(n, first);
    sim_node_woken(n);
    return did;
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t find_due(struct sim_node *n)
{
    int64_t due = guests_due(n->guests);
    if (n->fence_late)
        due = earlier(due, n->fence_late);
    if (n->busy || n->lost)
        return due;
    if (is_still(n))
        return earlier(due, n->still_until);
    if (sim_node_cut(n))
        due = earlier(due, n->cut_until);
    if (!n->core)
        due = earlier(due,
                      sim_node_cut(n) & CUT_STORE ? n->cut_until : n->core_due);
    else
        due = earlier(due, core_due(n->core));
    if (n->core && !n->face && has_face(n))
        due = earlier(due, n->face_due);
    if (n->face)
        due = earlier(due, face_due(n->face));
    return due;
}

/* In a calm mostly not, but for calls: so most of its time costs nothing. */
bool sim_node_busy(const struct sim_node *n)
{
    return n->w->chaos || (n->face && face_busy(n->face)) ||
           chance_percent(n->w, 20);
}

int64_t sim_node_due(struct sim_node *n)
{
    if (!n->due_known)
        n->due = find_due(n);
    n->due_known = true;
    return n->due;
}

/* ---- life
 * ----------------------------------------------------------------------------
 */

void sim_node_init(struct world *w, unsigned number)
{
    struct sim_node *n = &w->nodes[number - 1];
    n->w = w;
    n->number = number;
    snprintf(n->name, sizeof(n->name), "node%u", number);
    n->booted = true;
    n->guests = guests_new(n);
}

void sim_node_end(struct sim_node *n)
{
    if (n->face)
        face_stop(n->face);
    if (n->core)
        core_stop(n->core);
    n->face = NULL;
    n->core = NULL;
}
