#include "engine/policy.h"

#include "model/compute.h"

#include <string.h>

#define LIMIT(field, least, most, usual)                                       \
    {                                                                          \
#field, offsetof(struct pool_policy, field), least, most, usual        \
    }
const struct policy_limit policy_limits[POLICY_LIMITS] = {
    LIMIT(max_moves, 1, 1000, 50), LIMIT(parallel, 1, 256, 4),
    LIMIT(per_host, 1, 16, 1),     LIMIT(gain_percent, 100, 10000, 200),
    LIMIT(places, 1, 1000, 1),
};
enum { MAX_MOVES, PARALLEL, PER_HOST, GAIN, PLACES }; /* its rows */

static int64_t within(int64_t n, int64_t least, int64_t most)
{
    return n < least ? least : n > most ? most : n;
}

int64_t policy_goal(const struct pool_policy *p, enum goal g)
{
    int64_t usual = plan_careful.goals.weight[g] ? 100 : 0;
    int64_t n = p ? amount_get(&p->goals, goal_name(g), usual) : usual;
    return within(n, policy_goal_least(g), POLICY_GOAL_MAX);
}

int64_t policy_goal_least(enum goal g)
{
    return g == GOAL_EVACUATE ? 100 : 0;
}

int64_t policy_limit(const struct pool_policy *p, const struct policy_limit *l)
{
    int64_t n = 0;
    if (p)
        memcpy(&n, (const char *)p + l->at, sizeof(n));
    return n ? within(n, l->least, l->most) : l->usual;
}

/* DEFRAGMENT is silent without a flavor, or once it is gone. */
static void make_room(const struct snapshot *s, const struct pool_policy *p,
                      struct goals_policy *out)
{
    const struct flavor *f =
        p && p->large ? snap_get(s, &kind_flavor, p->large) : NULL;
    if (!f)
        return;
    out->vcpu = (int32_t)within(f->vcpus, 0, INT32_MAX / 1000) * 1000;
    out->memory = (int32_t)within(f->ram_mb, 0, INT32_MAX);
    out->units = policy_limit(p, &policy_limits[PLACES]);
}

void policy_plan(const struct snapshot *s, struct plan_policy *out)
{
    const struct pool_policy *p = snap_get(s, &kind_pool_policy, "pool");
    *out = plan_careful;
    for (enum goal g = 0; g < GOALS_N; g++)
        out->goals.weight[g] =
            (int32_t)(goals_usual_weight(g) * policy_goal(p, g) / 100);
    make_room(s, p, &out->goals);
    out->most = (uint32_t)policy_limit(p, &policy_limits[MAX_MOVES]);
    out->parallel = (uint32_t)policy_limit(p, &policy_limits[PARALLEL]);
    out->per_host = (uint32_t)policy_limit(p, &policy_limits[PER_HOST]);
    out->hysteresis = (int32_t)policy_limit(p, &policy_limits[GAIN]) * 10;
}
