/*
 * policy - what the operator has set of rebalancing, as the planner takes it.
 *
 * The pool's policy is one record (model/pool.h) in which nothing need stand:
 * what is not said is plan_careful's.  The API keeps what it is told within
 * the bounds that stand here; a record beyond them (of another version) is
 * taken as far as they go.  Of placement: weights.h.  Pure; no threads.
 */
#ifndef CAIRN_ENGINE_POLICY_H
#define CAIRN_ENGINE_POLICY_H

#include "engine/plan.h"
#include "model/pool.h"
#include "state/cache.h"

#define POLICY_GOAL_MAX 1000 /* percent */

/* A goal's weight in percent of its usual one; 0: off.  `p` NULL: nothing is
 * set. */
int64_t policy_goal(const struct pool_policy *p, enum goal g);
/* The least that may be set: who drains a node means it, so EVACUATE weighs
 * what it does by itself, or more. */
int64_t policy_goal_least(enum goal g);

struct policy_limit {
    const char *name; /* of the record's field, and of the API */
    size_t at;        /* its offset, an int64_t; 0 there: not set */
    int64_t least, most, usual;
};
#define POLICY_LIMITS 5
extern const struct policy_limit policy_limits[POLICY_LIMITS];

/* What holds: what is set, or the usual. */
int64_t policy_limit(const struct pool_policy *p, const struct policy_limit *l);

/* The pool's policy of that snapshot, for plan_make. */
void policy_plan(const struct snapshot *s, struct plan_policy *out);

#endif
