/* What the operator sets, as the planner and the scores get it. */
#include "server_world.h"

#include "engine/fleet.h"
#include "engine/policy.h"
#include "engine/weights.h"

static int setup(void **state)
{
    world_open();
    world_follow();
    return 0;
}

static int teardown(void **state)
{
    world_close();
    return 0;
}

static struct plan_policy planned(void)
{
    struct plan_policy p;
    _autosnap_ struct snapshot *s = cache_snapshot(world_cache);
    policy_plan(s, &p);
    return p;
}

static struct pool_policy *draft(void)
{
    return record_new(&kind_pool_policy, "pool");
}

/* No record, or an empty one, is the careful setting, to the byte. */
static void nothing_said(void **state)
{
    struct plan_policy p = planned();
    assert_memory_equal(&p, &plan_careful, sizeof(p));
    world_put(draft());
    p = planned();
    assert_memory_equal(&p, &plan_careful, sizeof(p));
}

static void what_is_said(void **state)
{
    struct pool_policy *d = draft();
    amount_set(d, &d->goals, "even", 50);
    amount_set(d, &d->goals, "fill", 0);
    amount_set(d, &d->goals, "relieve", 200);
    d->max_moves = 7;
    d->parallel = 2;
    d->per_host = 3;
    d->gain_percent = 150;
    world_put(d);
    struct plan_policy p = planned();
    assert_int_equal(p.goals.weight[GOAL_EVEN],
                     goals_usual_weight(GOAL_EVEN) / 2);
    assert_int_equal(p.goals.weight[GOAL_FILL], 0);
    assert_int_equal(p.goals.weight[GOAL_RELIEVE],
                     goals_usual_weight(GOAL_RELIEVE) * 2);
    assert_int_equal(p.goals.weight[GOAL_REPAIR],
                     goals_usual_weight(GOAL_REPAIR));
    assert_int_equal(p.most, 7);
    assert_int_equal(p.parallel, 2);
    assert_int_equal(p.per_host, 3);
    assert_int_equal(p.hysteresis, 1500);
}

/* A record of another version, or one that was tampered with. */
static void bounds_hold(void **state)
{
    struct pool_policy *d = draft();
    amount_set(d, &d->goals, "evacuate", 0);
    amount_set(d, &d->goals, "even", 1000000);
    amount_set(d, &d->goals, "nonsense", 5);
    d->max_moves = INT64_MAX;
    d->parallel = -1;
    d->gain_percent = 1;
    world_put(d);
    struct plan_policy p = planned();
    assert_int_equal(p.goals.weight[GOAL_EVACUATE],
                     goals_usual_weight(GOAL_EVACUATE));
    assert_int_equal(p.goals.weight[GOAL_EVEN],
                     goals_usual_weight(GOAL_EVEN) * (POLICY_GOAL_MAX / 100));
    assert_int_equal(p.most, 1000);
    assert_int_equal(p.parallel, 1);
    assert_int_equal(p.hysteresis, 1000);
}

static void room_for_a_flavor(void **state)
{
    struct pool_policy *d = draft();
    amount_set(d, &d->goals, "defragment", 100);
    d->large = "f1";
    d->places = 4;
    world_put(d);
    assert_int_equal(planned().goals.vcpu, 0); /* it is gone: silent */
    struct flavor *f = record_new(&kind_flavor, "f1");
    f->vcpus = 16;
    f->ram_mb = 65536;
    world_put(f);
    struct plan_policy p = planned();
    assert_int_equal(p.goals.vcpu, 16000);
    assert_int_equal(p.goals.memory, 65536);
    assert_int_equal(p.goals.units, 4);
}

/* Limits of the table are those of plan_careful. */
static void limits_by_default(void **state)
{
    for (int i = 0; i < POLICY_LIMITS; i++) {
        const struct policy_limit *l = &policy_limits[i];
        assert_in_range(l->usual, l->least, l->most);
        assert_int_equal(policy_limit(NULL, l), l->usual);
    }
    for (enum goal g = 0; g < GOALS_N; g++)
        assert_int_equal(policy_goal(NULL, g),
                         plan_careful.goals.weight[g] ? 100 : 0);
}

static void words_of_flavors(void **state)
{
    static const char *const nonsense[] = {
        "",
        "random",
        "pack:",
        "pack:VCPU",
        "pack:VCPU=",
        "pack:VCPU=1,",
        "pack:VCPU=101",
        "pack:VCPU=-1",
        "pack:=3",
        "pack:COLOUR=1",
        "pack:CUSTOM_x=1",
        "spread:VCPU=1",
        "pack:VCPU=1 ",
        "fragmentation:VCPU=2",
    };
    struct fleet *f = fleet_new();
    struct score_policy p;
    struct error err;
    int license = fleet_name(f, FLEET_NAME_RESOURCE, "CUSTOM_LICENSE");
    assert_true(weights_read(f, "spread", &p, &err));
    assert_int_equal(p.kind, SCORE_SPREAD);
    assert_true(weights_read(f, "pack", &p, &err));
    assert_int_equal(p.kind, SCORE_PACK);
    assert_int_equal(p.weight[FLEET_VCPU], 0); /* the pool's */
    assert_true(weights_read(
        f, "pack:VCPU=3,MEMORY_MB=0,CUSTOM_LICENSE=9,CUSTOM_NONE=2", &p, &err));
    assert_int_equal(p.weight[FLEET_VCPU], 3);
    assert_int_equal(p.weight[FLEET_MEMORY], 0);
    assert_int_equal(p.weight[license], 9);
    assert_int_equal(p.weight[FLEET_DISK], 1);
    for (size_t i = 0; i < ARRAY_SIZE(nonsense); i++) {
        if (weights_read(NULL, nonsense[i], &p, &err))
            fail_msg("'%s' was taken", nonsense[i]);
        assert_int_equal(err.code, ERR_INVALID);
    }
    fleet_free(f);
}

static void weights_of_a_pool(void **state)
{
    struct fleet *f = fleet_new();
    struct pool_policy *d = draft();
    uint16_t w[FLEET_RESOURCES];
    weights_of(f, &d->weights, w);
    assert_int_equal(w[FLEET_VCPU], 0);
    amount_set(d, &d->weights, "DISK_GB", 0);
    amount_set(d, &d->weights, "PCPU", 1000);
    weights_of(f, &d->weights, w);
    assert_int_equal(w[FLEET_VCPU], 1);
    assert_int_equal(w[FLEET_DISK], 0);
    assert_int_equal(w[FLEET_PCPU], SCORE_WEIGHT_MAX);
    record_unref(d);
    fleet_free(f);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(nothing_said),      CASE(what_is_said),
        CASE(bounds_hold),       CASE(room_for_a_flavor),
        CASE(limits_by_default), CASE(words_of_flavors),
        CASE(weights_of_a_pool),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
