/*
 * plan - rebalancing: who should move where, in what order, and what for.
 *
 * A plan is an ordered list of live migrations, each of them valid when all
 * before it are done.  It is made by a pure function of a fleet, a policy
 * and what the caller knows of the recent past; carrying it out, and giving
 * it up when the fleet has changed, is the rebalancer's (rebalancer.h).
 *
 * It is worth its price or it is empty: every guest that moves, and the plan
 * as a whole, must relieve more pain than `hysteresis` times what the moves
 * cost (goals.h, cost.h; one currency).  Whoever applies a plan and asks
 * again gets an empty one, unless a limit cut the first one short.
 *
 * Moves have waves: those of one wave may run at the same time, because each
 * has room even while none of the others has left yet, and no host takes
 * part in more than `per_host` of them.
 */
#ifndef CAIRN_ENGINE_PLAN_H
#define CAIRN_ENGINE_PLAN_H

#include "common/buf.h"
#include "engine/cost.h"
#include "engine/goals.h"
#include "engine/reserve.h"
#include "engine/stays.h"

struct plan_policy {
    struct goals_policy goals;
    struct cost_policy cost;
    int32_t hysteresis; /* thousandths of the cost that must be gained */
    uint32_t most;      /* migrations in a plan */
    uint32_t parallel;  /* ... at the same time, in the pool; 0: any */
    uint32_t per_host;  /* ... on one host, coming and going; 0: any */
    uint64_t steps;     /* patience: trials of the annealing search */
    uint64_t seed;
    /* Guests that lately moved (by a failure, by a plan), ascending: they
     * stay, unless they themselves suffer or must go.  Borrowed. */
    const uint64_t *spared;
    uint32_t n_spared;
};
extern const struct plan_policy plan_careful;

#define PLAN_ROOM GOALS_N /* reason: makes room for a later move */

/* What is short on the host that a guest leaves, in the units of strain.h;
 * before this step. */
struct plan_trouble {
    int strain;                /* enum strain; STRAINS: nothing */
    int64_t use, has, comfort; /* has 0: nobody knows */
    int64_t own;               /* the guest's part */
    int32_t stall;             /* the worst, thousandths of the time */
};

struct plan_move {
    uint64_t guest;
    struct placing from, to;
    int reason; /* enum goal, or PLAN_ROOM */
    struct plan_trouble trouble;
    int64_t gain;      /* points, of this step alone; < 0 in a chain */
    struct cost price; /* what the cost comes of */
    int64_t cost;      /* points */
    int32_t seconds;   /* it will take, about */
    uint32_t wave;     /* from 0 */
};

struct plan {
    struct plan_move *moves;
    uint32_t n;
    uint64_t version;                        /* fleet->sequence it is for */
    bool on[GOALS_N];                        /* what was triggered */
    int64_t before[GOALS_N], after[GOALS_N]; /* pain by goal, points */
    int64_t units_before, units_after;       /* of the large request */
    int64_t gain, cost;                      /* points; cost without factor */
    struct stays stays; /* who should have moved, and why not */
};

/* `f` needs its ranks (fleet_ranks).  Never fails; may be empty. */
void plan_make(const struct fleet *f, const struct plan_policy *p,
               struct plan *out);
/* Whoever the reserve does not let go is among those who stay; the moves are
 * left as they are.  NULL: there is none. */
void plan_bear(struct plan *p, struct reserve *proof);
void plan_free(struct plan *p);
/* "relieve", ..., "room" */
const char *plan_reason_name(int reason);
const char *plan_reason_text(int reason);
/* The reason of one move with its numbers, a sentence without its end:
 * "guests of node1 want 17.3 of its 16.0 CPUs and lose up to 12 % of their
 * time; this one wants 2.0". */
void plan_because(const struct fleet *f, const struct plan_move *m,
                  struct buf *out);

#endif
