/*
 * sim_node - one node of the simulated pool: its core, face and guests.
 *
 * Core and face come and go (an incarnation each, core.h and face.h); the
 * guests go on without them and end with the node's power.  In a pool of
 * many a node is also cut off from the store, from the files or from both,
 * hears late, and stands still: between two of its steps, and (the worst) in
 * the midst of one, between a decision and its effect, while the others go
 * on.
 *
 * Every effect goes through effect_begin and effect_end.  After a crash the
 * code that was running goes on to the end of its call, but nothing that it
 * does has an effect any more: that is as good as gone.
 */
#ifndef CAIRN_SIM_SIM_NODE_H
#define CAIRN_SIM_SIM_NODE_H

#include "world.h"

struct core;
struct face;
struct guests;

enum sim_cut {
    CUT_NOTHING = 0,
    CUT_STORE = 1, /* from the pool's state */
    CUT_FILES = 2, /* from the shared files */
    CUT_ALL = 3,
};

struct sim_node {
    struct world *w;
    unsigned number;   /* from 1 */
    char name[16];     /* "node<number>" */
    struct core *core; /* NULL while down */
    struct face *face;
    struct guests *guests;
    int64_t core_due, face_due; /* when a dead one comes back */
    bool booted;                /* and no core has run since then */

    bool core_dying;  /* effects are void; to be torn down */
    bool effect_lost; /* effect_end fails after the effect */

    int64_t off_until;  /* the machine has no power */
    bool lost;          /* ... and never will have */
    bool removed;       /* to be switched off: it is no member any more */
    bool fenced;        /* the shared files refuse it (sim_fence.h) */
    int64_t fence_late; /* asked for, and done then; 0: nothing is */
    bool fence_then;    /* as it will be */

    bool busy;           /* a call of its core hangs */
    int64_t still_until; /* stopped like by SIGSTOP */
    int64_t due;         /* as sim_node_due found it; see sim_node_woken */
    bool due_known;
    enum sim_cut cut;
    bool cut_from_store_only; /* it reaches its peers */
    int64_t cut_until;
    unsigned lag_percent; /* of what it could hear, it does not hear now */
};

void sim_node_init(struct world *w, unsigned number);
void sim_node_end(struct sim_node *n);
/* One thing that a node does by itself; `first`: the world has chosen it, so
 * clients and disasters come to it too. */
bool sim_node_step(struct sim_node *n, bool first);
/* Could it do something although nothing is due? */
bool sim_node_busy(const struct sim_node *n);
int64_t sim_node_due(struct sim_node *n);
/* Something has come to it: what it was due for holds no more. */
static inline void sim_node_woken(struct sim_node *n)
{
    n->due_known = false;
}
/* Without power; it comes back by itself. */
void sim_node_off(struct sim_node *n);
/* The same, for so long. */
void sim_node_cut_power(struct sim_node *n, int64_t us);
/* It never comes back, nor what was there alone. */
void sim_node_lose(struct sim_node *n);
/* Looks who belongs to the pool no more: that is switched off. */
void sim_nodes_removed(struct world *w);
/* Tears down what died in a step that is over now. */
void sim_node_bury(struct sim_node *n);
/* What is cut off from it now. */
enum sim_cut sim_node_cut(const struct sim_node *n);
/* Where its hypervisor is. */
char *sim_node_address(const struct sim_node *n, char out[32]);
struct sim_node *sim_node_named(struct world *w, const char *name);

/* As world_event; says which node, if there are several. */
void node_event(struct sim_node *n, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* ---- effects --------------------------------------------------------------
 */

/* An effect of the core on the world.  False: it must not happen, err is
 * set.  After the effect `return effect_end(n, err)`: false if the answer
 * got lost, or with it the core. */
bool effect_begin(struct sim_node *n, const char *what, const char *id,
                  struct error *err);
bool effect_end(struct sim_node *n, struct error *err);
/* The same for one that needs the shared files. */
bool effect_begin_files(struct sim_node *n, const char *what, const char *id,
                        struct error *err);

#endif
