/*
 * world - one simulated pool: a process that plays all parts from one seed.
 *
 *   client calls -> face (handlers, its cache) -> store <- core (controllers
 *   and reconcilers, their cache) -> guests, files, networks of the world
 *
 * Everything that could be in flight is a queue here, and world_step takes
 * one thing from one of them, as the seed says.  While `chaos` is on, calls
 * fail, answers get lost, and core or face die between an effect and its
 * answer.  What survives them is the store and the world: guests, files.
 *
 * Every effect goes through effect_begin and effect_end.  After a crash the
 * code that was running goes on to the end of its call, but nothing that it
 * does has an effect any more: that is as good as gone.
 *
 * One thread.  The first broken invariant is kept by world_broken and ends
 * the run.
 */
#ifndef CAIRN_SIM_WORLD_H
#define CAIRN_SIM_WORLD_H

#include "common/env.h"
#include "model/model.h"
#include "state/store.h"

#include <stdio.h>

#define SIM_NODE      "node1"
#define SIM_EVENTS    80 /* newest ones kept, to be printed */
#define SIM_EVENT_MAX 240

struct core;
struct face;
struct guests;
struct files;
struct nets;
struct clients;

struct world_stats {
    unsigned long calls, answers, crashes, commits, faults, steps;
};

struct world {
    uint64_t seed, chance, chance_env; /* random states: world's, product's */
    struct env env;
    int64_t time;    /* wall and monotonic clock, us */
    int64_t started; /* first moment */
    bool chaos;
    bool verbose;
    unsigned crash_percent; /* of the faults */

    struct store *store; /* the store itself: survives all */
    struct cache *truth; /* what it holds, at once */
    struct core *core;   /* NULL while down */
    struct face *face;
    struct guests *guests;
    struct files *files;
    struct nets *nets;
    struct clients *clients;
    int64_t core_due, face_due; /* when a dead one comes back */
    int64_t beat_due;

    bool core_dying, face_dying; /* effects are void; to be torn down */
    bool effect_lost;            /* effect_end fails after the effect */

    int64_t checked; /* revision that the invariants have seen */
    uint64_t hash;   /* of all events */
    char events[SIM_EVENTS][SIM_EVENT_MAX];
    unsigned long n_events;
    bool broken;
    char what[1024]; /* the invariant that broke */
    struct world_stats stats;
};

struct world *world_new(uint64_t seed, bool verbose);
void world_free(struct world *w);
/* Takes one thing forward; false: nothing can happen but time passing. */
bool world_step(struct world *w);
/* Lets time pass until the next thing is due, at most `most` us. */
void world_pass(struct world *w, int64_t most);
/* No faults and no new calls; until nothing but routine is left, for at
 * least `us` of simulated time. */
void world_calm(struct world *w, int64_t us);

/* ---- chance -------------------------------------------------------------- */

uint64_t chance(struct world *w, uint64_t n); /* 0 .. n - 1 */
bool chance_percent(struct world *w, unsigned percent);
bool chance_permille(struct world *w, unsigned permille);

/* ---- events and failures --------------------------------------------------
 */

void world_event(struct world *w, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* Keeps the first only. */
void world_broken(struct world *w, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void world_print_events(const struct world *w, FILE *out);

/* ---- effects ---------------------------------------------------------------
 */

/* An effect of the core on the world.  False: it must not happen, err is
 * set.  After the effect `return effect_end(w, err)`: false if the answer
 * got lost, or with it the core. */
bool effect_begin(struct world *w, const char *what, const char *id,
                  struct error *err);
bool effect_end(struct world *w, struct error *err);

#endif
