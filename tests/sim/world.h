/*
 * world - one simulated pool: a process that plays all parts from one seed.
 *
 *   client calls -> face (handlers, its cache) -> store <- core (controllers
 *   and reconcilers, their cache) -> guests, files, networks of the world
 *
 * Face, core and guests are a node's (sim_node.h), and there are as many as
 * one likes; store, files and networks are the pool's.
 *
 * Everything that could be in flight is a queue here, and world_step takes
 * one thing from one of them, as the seed says.  While `chaos` is on, calls
 * fail, answers get lost, and core or face die between an effect and its
 * answer.  What survives them is the store and the world: guests, files.
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

#define SIM_NODES_MAX 1000
#define SIM_EVENTS    80 /* newest ones kept, to be printed */
#define SIM_EVENT_MAX 240

struct clients;
struct content;
struct files;
struct nets;
struct sim_node;
struct start;

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
    bool local; /* each node of the pool has its own disks, none share any */
    unsigned crash_percent; /* of the faults */

    struct store *store; /* the store itself: survives all */
    int64_t leases_due;  /* when it looks for those that have ended */
    struct cache *truth; /* what it holds, at once */
    struct sim_node *nodes;
    unsigned n_nodes;
    unsigned stalls; /* calls that hang, one in the other */
    bool dying;      /* a node's core is */
    struct files *files;
    struct nets *nets;
    struct clients *clients;

    int64_t checked;         /* revision that the invariants have seen */
    struct start *starts;    /* of starts.c: the newest of each server */
    struct content *content; /* of content.c */
    int64_t contents;        /* how many there have been */
    uint64_t guests_change;  /* grows whenever a guest changes */
    uint64_t guests_seen;    /* what of that the invariants have seen */
    uint64_t hash;           /* of all events */
    char events[SIM_EVENTS][SIM_EVENT_MAX];
    unsigned long n_events;
    bool broken;
    char what[1024]; /* the invariant that broke */
    struct world_stats stats;
};

struct world *world_new(uint64_t seed, unsigned nodes, bool local,
                        bool verbose);
void world_free(struct world *w);
/* More nodes than one: elections, shared files, cuts. */
static inline bool world_is_pool(const struct world *w)
{
    return w->n_nodes > 1;
}
/* Disks and volumes are where all nodes reach them. */
static inline bool world_has_ceph(const struct world *w)
{
    return world_is_pool(w) && !w->local;
}
/* So many that what grows with their square must be rare. */
static inline bool world_is_large(const struct world *w)
{
    return w->n_nodes > 10;
}
/* Takes one thing forward; false: nothing can happen but time passing. */
bool world_step(struct world *w);
/* Lets time pass until the next thing is due, at most `most` us. */
void world_pass(struct world *w, int64_t most);
void world_set_chaos(struct world *w, bool chaos);
/* No faults and no new calls; until nothing but routine is left, for at
 * least `us` of simulated time. */
void world_calm(struct world *w, int64_t us);

/* ---- chance -------------------------------------------------------------- */

uint64_t chance(struct world *w, uint64_t n); /* 0 .. n - 1 */
bool chance_percent(struct world *w, unsigned percent);
bool chance_permille(struct world *w, unsigned permille);

/* ---- events and failures ------------------------------------------------- */

void world_event(struct world *w, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* Keeps the first only. */
void world_broken(struct world *w, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void world_print_events(const struct world *w, FILE *out);

#endif
