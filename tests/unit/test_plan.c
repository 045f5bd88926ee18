/* Rebalancing: every step of a plan is valid by fit.h's account, worth its
 * price, and the last one. */
#include "test.h"

#include "engine/plan.h"
#include "fleet_world.h"

#include <stdlib.h>

/* ---- simple pools -------------------------------------------------------- */

#define CORES 16

static struct fleet *pool(unsigned hosts)
{
    struct fleet *f = fleet_new();
    for (unsigned i = 0; i < hosts; i++) {
        char name[16];
        snprintf(name, sizeof(name), "host%03u", i);
        uint32_t h = fleet_add_host(f, name);
        fleet_set_facts(f, h,
                        &(struct fleet_facts){ .state = FLEET_UP,
                                               .largest_vcpu = CORES * 1000 });
        fleet_set_capacity(f, h, FLEET_VCPU, CORES * 4000);
        fleet_set_capacity(f, h, FLEET_MEMORY, 65536);
    }
    fleet_ranks(f);
    return f;
}

/* A guest of so many vCPUs that uses so many thousandths of one. */
static void put(struct fleet *f, uint64_t id, uint32_t host, int32_t vcpus,
                int32_t use)
{
    struct request r = { .demand.need = { vcpus * 1000, vcpus * 2048 } };
    struct placing at = { .host = host };
    assert_true(fleet_put(f, id, &r, &at));
    *world_use(f, id) =
        (struct fleet_use){ .vcpu = use, .memory = vcpus * 1024 };
}

static void set_state(struct fleet *f, uint32_t host, enum fleet_state state)
{
    struct fleet_facts facts = f->hosts[host].facts;
    facts.state = (uint8_t)state;
    fleet_set_facts(f, host, &facts);
}

static void apply(struct fleet *f, const struct plan *p)
{
    for (uint32_t i = 0; i < p->n; i++)
        assert_true(fleet_move(f, p->moves[i].guest, &p->moves[i].to));
}

static uint32_t plan_size(const struct fleet *f, const struct plan_policy *p)
{
    struct plan plan;
    plan_make(f, p, &plan);
    uint32_t n = plan.n;
    plan_free(&plan);
    return n;
}

/* ---- goals --------------------------------------------------------------- */

static void test_inequality_is_no_trouble(void **state)
{
    (void)state;
    struct fleet *f = pool(4);
    for (uint64_t i = 1; i <= 8; i++)
        put(f, i, 0, 2, 1400); /* 70 % of the machine, the others idle */
    for (uint32_t h = 1; h < 4; h++)
        put(f, 100 + h, h, 8, 300);
    assert_int_equal(plan_size(f, &plan_careful), 0);
    fleet_free(f);
}

static void test_relieves_trouble_and_rests(void **state)
{
    (void)state;
    struct fleet *f = pool(4);
    struct plan plan;
    for (uint64_t i = 1; i <= 8; i++)
        put(f, i, 0, 2, 1950); /* 15.6 of 16 */
    for (uint64_t i = 1; i <= 8; i++)
        world_use(f, i)->steal = 100;
    for (uint32_t h = 1; h < 4; h++)
        put(f, 100 + h, h, 8, 300);
    plan_make(f, &plan_careful, &plan);
    assert_in_range(plan.n, 1, 4);
    assert_true(plan.on[GOAL_RELIEVE]);
    assert_true(plan.after[GOAL_RELIEVE] < plan.before[GOAL_RELIEVE]);
    for (uint32_t i = 0; i < plan.n; i++) {
        assert_int_equal(plan.moves[i].reason, GOAL_RELIEVE);
        assert_int_equal(plan.moves[i].from.host, 0);
    }
    apply(f, &plan);
    plan_free(&plan);
    for (uint64_t i = 1; i <= 8; i++)
        world_use(f, i)->steal = 0;
    assert_int_equal(plan_size(f, &plan_careful), 0);
    fleet_free(f);
}

static void test_noise_moves_nothing(void **state)
{
    (void)state;
    struct world_random r = { 5 };
    struct fleet *f = pool(6);
    uint32_t moved = 0;
    for (uint64_t i = 1; i <= 48; i++)
        put(f, i, (uint32_t)(i % 6 < 3 ? 0 : i % 6), 2, 0);
    for (int round = 0; round < 200; round++) {
        for (uint64_t i = 1; i <= 48; i++)
            world_use(f, i)->vcpu = 1050 + (int32_t)world_draw(&r, 200) - 100;
        struct plan plan;
        plan_make(f, &plan_careful, &plan);
        if (round)
            assert_int_equal(plan.n, 0);
        moved += plan.n;
        apply(f, &plan);
        plan_free(&plan);
    }
    assert_in_range(moved, 4, 20);
    fleet_free(f);
}

static void test_evacuates(void **state)
{
    (void)state;
    struct fleet *f = pool(4);
    struct plan plan;
    for (uint64_t i = 1; i <= 12; i++)
        put(f, i, (uint32_t)(i % 4), 8, 500);
    set_state(f, 1, FLEET_DRAINING);
    plan_make(f, &plan_careful, &plan);
    apply(f, &plan);
    assert_int_equal(plan.n, 3);
    assert_int_equal(plan.stays.n, 0);
    assert_int_equal(f->hosts[1].guests, 0);
    assert_int_equal(plan.after[GOAL_EVACUATE], 0);
    plan_free(&plan);
    fleet_free(f);
}

/* All of a group that must be together leave for one host that takes all. */
static void test_evacuates_groups(void **state)
{
    (void)state;
    struct fleet *f = pool(4);
    struct plan plan;
    struct request r = { .demand.need = { 8000, 16384 },
                         .group = { .id = 9, .policy = REQUEST_AFFINITY } };
    struct placing at = { .host = 0 };
    for (uint64_t i = 1; i <= 3; i++)
        assert_true(fleet_put(f, i, &r, &at));
    put(f, 10, 1, 16, 0); /* there, only two would find room */
    put(f, 11, 2, 8, 0);
    set_state(f, 0, FLEET_DRAINING);
    plan_make(f, &plan_careful, &plan);
    assert_int_equal(plan.n, 3);
    assert_int_equal(plan.stays.n, 0);
    apply(f, &plan);
    assert_int_equal(fleet_group_on(fleet_group(f, 9), 2) +
                         fleet_group_on(fleet_group(f, 9), 3),
                     3);
    assert_int_equal(fleet_group(f, 9)->n, 1);
    plan_free(&plan);
    fleet_free(f);
}

static void test_tells_why_they_stay(void **state)
{
    (void)state;
    struct fleet *f = pool(3);
    struct plan plan;
    struct request r = { .demand.need = { 8000, 32768 },
                         .group = { .id = 9,
                                    .policy = REQUEST_ANTI_AFFINITY } };
    for (uint32_t h = 0; h < 3; h++)
        assert_true(fleet_put(f, 1 + h, &r, &(struct placing){ .host = h }));
    put(f, 10, 0, 2, 0);
    put(f, 11, 0, 24, 0); /* larger than what the others have left */
    fleet_guest(f, 10)->movable = false;
    set_state(f, 0, FLEET_DRAINING);
    plan_make(f, &plan_careful, &plan);
    assert_int_equal(plan.n, 0);
    assert_int_equal(plan.stays.n, 3);
    assert_int_equal(plan.stays.at[0].reason, STAY_GROUP);
    assert_int_equal(plan.stays.at[1].reason, STAY_FIXED);
    assert_int_equal(plan.stays.at[2].reason, STAY_HOST);
    assert_string_equal(stay_name(plan.stays.at[0].reason), "group");
    plan_free(&plan);
    fleet_free(f);
}

/* A pool so large that not all hosts are tried for each guest. */
static void test_large_pools(void **state)
{
    (void)state;
    struct fleet *f = pool(600);
    struct plan plan;
    for (uint32_t h = 0; h < 600; h++)
        for (uint64_t i = 0; i < 4; i++)
            put(f, h * 10 + i + 1, h, 2, h < 8 ? 3900 : 1000);
    set_state(f, 300, FLEET_DRAINING);
    plan_make(f, &plan_careful, &plan);
    apply(f, &plan);
    assert_int_equal(f->hosts[300].guests, 0);
    assert_int_equal(plan.after[GOAL_RELIEVE], 0);
    assert_in_range(plan.n, 4 + 8, 4 + 16);
    plan_free(&plan);
    assert_int_equal(plan_size(f, &plan_careful), 0);
    for (uint32_t h = 0; h < 600; h++) /* nobody has any room */
        fleet_set_capacity(f, h, FLEET_MEMORY,
                           f->capacity[FLEET_MEMORY][h] -
                               f->free[FLEET_MEMORY][h]);
    set_state(f, 400, FLEET_DRAINING);
    plan_make(f, &plan_careful, &plan);
    assert_int_equal(plan.n, 0);
    assert_int_equal(plan.stays.n, f->hosts[400].guests);
    assert_int_equal(plan.stays.at[0].reason, STAY_ROOM);
    plan_free(&plan);
    fleet_free(f);
}

/* Two hosts, one of them to be emptied: if the other fails there is none. */
static void test_reserve_keeps(void **state)
{
    (void)state;
    struct fleet *f = pool(2);
    struct plan plan;
    put(f, 7, 0, 2, 100);
    put(f, 3, 0, 2, 100);
    set_state(f, 0, FLEET_DRAINING);
    plan_make(f, &plan_careful, &plan);
    assert_int_equal(plan.n, 2);
    assert_int_equal(plan.stays.n, 0);
    plan_bear(&plan, NULL);
    assert_int_equal(plan.stays.n, 0);
    struct reserve *proof = reserve_new(f, 1);
    plan_bear(&plan, proof);
    assert_int_equal(plan.n, 2);
    assert_int_equal(plan.stays.n, 2);
    assert_int_equal(plan.stays.at[0].guest, 3);
    assert_int_equal(plan.stays.at[1].reason, STAY_RESERVE);
    reserve_free(proof);
    plan_free(&plan);
    fleet_free(f);
}

/* No host has room for the large guest until a small one has moved. */
static void test_makes_room(void **state)
{
    (void)state;
    struct fleet *f = pool(3);
    struct plan plan;
    for (uint32_t h = 0; h < 3; h++)
        fleet_set_facts(f, h, &(struct fleet_facts){ .state = FLEET_UP });
    put(f, 1, 0, 24, 100); /* 48 GiB of 64 */
    put(f, 2, 1, 12, 100); /* 24 */
    put(f, 3, 2, 8, 100);  /* 16 */
    put(f, 4, 2, 12, 100); /* 24 */
    put(f, 5, 1, 2, 100);  /* 4 */
    set_state(f, 0, FLEET_DRAINING);
    plan_make(f, &plan_careful, &plan);
    apply(f, &plan);
    assert_int_equal(f->hosts[0].guests, 0);
    assert_int_equal(plan.n, 2);
    assert_int_equal(plan.moves[0].reason, PLAN_ROOM);
    assert_int_equal(plan.moves[1].reason, GOAL_EVACUATE);
    for (uint32_t h = 0; h < 3; h++)
        assert_true(f->free[FLEET_MEMORY][h] >= 0);
    plan_free(&plan);
    fleet_free(f);
}

static void test_repairs_groups(void **state)
{
    (void)state;
    struct fleet *f = pool(3);
    struct plan plan;
    struct request r = { .demand.need = { 2000, 4096 },
                         .group = { .id = 9,
                                    .policy = REQUEST_SOFT_ANTI_AFFINITY } };
    struct placing at = { .host = 0 };
    for (uint64_t i = 1; i <= 3; i++)
        assert_true(fleet_put(f, i, &r, &at));
    plan_make(f, &plan_careful, &plan);
    apply(f, &plan);
    assert_int_equal(plan.n, 2);
    for (uint32_t h = 0; h < 3; h++)
        assert_int_equal(fleet_group_on(fleet_group(f, 9), h), 1);
    plan_free(&plan);
    assert_int_equal(plan_size(f, &plan_careful), 0);
    fleet_free(f);
}

static struct plan_policy with(enum goal goal)
{
    struct plan_policy p = plan_careful;
    p.goals.weight[goal] = goals_usual_weight(goal);
    return p;
}

static void test_consolidates(void **state)
{
    (void)state;
    struct fleet *f = pool(8);
    struct plan_policy p = with(GOAL_CONSOLIDATE);
    struct plan plan;
    for (uint64_t i = 1; i <= 16; i++)
        put(f, i, (uint32_t)(i % 8), 2, 500);
    plan_make(f, &p, &plan);
    apply(f, &plan);
    unsigned empty = 0;
    for (uint32_t h = 0; h < 8; h++)
        empty += f->hosts[h].guests == 0;
    /* 8 vCPUs wanted of 16 a machine, in comfort 12: one would do. */
    assert_in_range(empty, 6, 7);
    plan_free(&plan);
    assert_int_equal(plan_size(f, &p), 0);
    fleet_free(f);
}

static void test_fills_a_new_host(void **state)
{
    (void)state;
    struct fleet *f = pool(4);
    struct plan plan;
    for (uint64_t i = 1; i <= 36; i++)
        put(f, i, (uint32_t)(i % 3), 2, 300);
    plan_make(f, &plan_careful, &plan);
    assert_true(plan.on[GOAL_FILL]);
    apply(f, &plan);
    assert_in_range(f->hosts[3].guests, 4, 9);
    plan_free(&plan);
    assert_int_equal(plan_size(f, &plan_careful), 0);
    fleet_free(f);
}

/* Two new hosts in a pool of large ones with small guests, a plan at a time:
 * the first is filled up before the second, nobody moves twice, and all of it
 * comes from the fullest. */
static void test_fills_with_small_guests(void **state)
{
    (void)state;
    struct fleet *f = pool(12);
    struct plan_policy p = plan_careful;
    bool moved[700] = { false };
    uint32_t moves = 0, plans = 0, n;
    for (uint32_t h = 0; h < 12; h++) {
        fleet_set_capacity(f, h, FLEET_VCPU, 400000);
        fleet_set_capacity(f, h, FLEET_MEMORY, 400 * 1024);
    }
    /* The first two have 80 guests of 2 vCPUs and 4 GiB, the others 60. */
    uint64_t id = 0;
    for (uint32_t h = 0; h < 10; h++)
        for (int i = 0; i < (h < 2 ? 80 : 60); i++)
            put(f, ++id, h, 2, 20);
    p.most = 20;
    do {
        struct plan plan;
        plan_make(f, &p, &plan);
        n = plan.n;
        for (uint32_t i = 0; i < n; i++) {
            assert_false(moved[plan.moves[i].guest]);
            moved[plan.moves[i].guest] = true;
            assert_int_equal(plan.moves[i].reason, GOAL_FILL);
            assert_true(plan.moves[i].to.host >= 10);
        }
        if (plans == 0) /* nothing is there yet to be finished */
            assert_int_equal(plan.moves[0].to.host, plan.moves[19].to.host);
        apply(f, &plan);
        moves += n;
        plan_free(&plan);
    } while (n && ++plans < 20);
    /* The mean is 53, three quarters of it 40, a quarter 13. */
    uint32_t a = f->hosts[10].guests, b = f->hosts[11].guests;
    assert_int_equal(moves, a + b);
    assert_in_range(a > b ? a : b, 39, 41);
    assert_in_range(a > b ? b : a, 14, 41);
    assert_true(f->hosts[0].guests < 80 && f->hosts[1].guests < 80);
    for (uint32_t h = 0; h < 10; h++)
        assert_true(f->hosts[h].guests >= 53);
    fleet_free(f);
}

/* Broken rules of every kind, each by itself; nothing moves where the goal
 * has no weight. */
static void test_repairs_every_rule(void **state)
{
    (void)state;
    static const struct {
        enum request_policy policy;
        uint32_t at[3], hosts; /* where they are; on how many they should be */
    } rows[] = {
        { REQUEST_AFFINITY, { 0, 0, 1 }, 1 },
        { REQUEST_SOFT_AFFINITY, { 0, 1, 1 }, 1 },
        { REQUEST_ANTI_AFFINITY, { 0, 0, 1 }, 3 },
        { REQUEST_SOFT_ANTI_AFFINITY, { 2, 2, 2 }, 3 },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct fleet *f = pool(3);
        struct plan_policy off = plan_careful;
        struct plan plan;
        struct request r = { .demand.need = { 2000, 4096 },
                             .group = { .id = 9,
                                        .policy = (uint8_t)rows[i].policy } };
        for (uint32_t k = 0; k < 3; k++)
            assert_true(fleet_put(f, 1 + k, &r,
                                  &(struct placing){ .host = rows[i].at[k] }));
        off.goals.weight[GOAL_REPAIR] = 0;
        assert_int_equal(plan_size(f, &off), 0);
        plan_make(f, &plan_careful, &plan);
        apply(f, &plan);
        assert_int_equal(fleet_group(f, 9)->n, rows[i].hosts);
        plan_free(&plan);
        assert_int_equal(plan_size(f, &plan_careful), 0);
        fleet_free(f);
    }
}

/* Each goal is what moves guests, and nothing else does. */
static void test_without_the_goal(void **state)
{
    (void)state;
    static const struct {
        enum goal goal;
        uint64_t guests;
        uint32_t hosts; /* that they are on */
        int32_t vcpus;
    } rows[] = {
        { GOAL_EVACUATE, 4, 4, 4 },   { GOAL_CONSOLIDATE, 4, 4, 4 },
        { GOAL_DEFRAGMENT, 4, 4, 4 }, { GOAL_FILL, 36, 3, 2 },
        { GOAL_EVEN, 12, 1, 2 },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct fleet *f = pool(4);
        struct plan_policy p = plan_careful;
        memset(p.goals.weight, 0, sizeof(p.goals.weight));
        p.goals.vcpu = 64000;
        p.goals.memory = 65536;
        for (uint64_t id = 1; id <= rows[i].guests; id++)
            put(f, id, (uint32_t)(id % rows[i].hosts), rows[i].vcpus, 10);
        if (rows[i].goal == GOAL_EVACUATE)
            set_state(f, 1, FLEET_DRAINING);
        assert_int_equal(plan_size(f, &p), 0);
        p.goals.weight[rows[i].goal] = goals_usual_weight(rows[i].goal);
        assert_int_not_equal(plan_size(f, &p), 0);
        fleet_free(f);
    }
}

static void test_makes_whole_units(void **state)
{
    (void)state;
    struct fleet *f = pool(4);
    struct plan_policy p = with(GOAL_DEFRAGMENT);
    struct plan plan;
    p.goals.vcpu = 64000;
    p.goals.memory = 65536;
    for (uint64_t i = 1; i <= 4; i++)
        put(f, i, (uint32_t)(i - 1), 4, 200);
    plan_make(f, &p, &plan);
    assert_int_equal(plan.units_before, 0);
    assert_int_equal(plan.units_after, 3);
    assert_int_equal(plan.n, 3);
    plan_free(&plan);
    p.goals.units = 1; /* enough */
    plan_make(f, &p, &plan);
    apply(f, &plan);
    assert_in_range(plan.units_after, 1, 3);
    plan_free(&plan);
    assert_int_equal(plan_size(f, &p), 0);
    fleet_free(f);
}

static void test_spares_the_moved(void **state)
{
    (void)state;
    struct fleet *f = pool(4);
    uint64_t ids[36];
    struct plan_policy p = plan_careful;
    for (uint64_t i = 1; i <= 36; i++) {
        put(f, i, (uint32_t)(i % 3), 2, 300);
        ids[i - 1] = i;
    }
    p.spared = ids;
    p.n_spared = 36;
    assert_int_equal(plan_size(f, &p), 0);
    set_state(f, 1, FLEET_DRAINING);
    assert_int_equal(plan_size(f, &p), 12);
    fleet_free(f);
}

/* ---- random fleets ------------------------------------------------------- */

#define KINDS 16

static struct fleet *random_fleet(struct world_random *r, unsigned hosts)
{
    struct fleet *f = world_new(r, hosts);
    struct demand kinds[KINDS];
    for (int i = 0; i < KINDS; i++)
        world_demand(r, &kinds[i]);
    for (uint64_t id = 1; id <= (uint64_t)hosts * 12; id++) {
        struct request q = { .demand = kinds[world_draw(r, KINDS)] };
        struct placing at;
        if (world_chance(r, 35))
            q.group = world_group(world_draw(r, WORLD_GROUPS));
        if (!choose_exhaustive(f, &q, &at))
            continue;
        assert_true(fleet_put(f, id, &q, &at));
        struct fleet_guest *g = fleet_guest(f, id);
        world_use(f, id)->vcpu =
            (int32_t)world_draw(r, (uint32_t)q.demand.need[FLEET_VCPU] + 1);
        world_use(f, id)->memory =
            (int32_t)world_draw(r, (uint32_t)q.demand.need[FLEET_MEMORY] + 1);
        world_use(f, id)->steal =
            world_chance(r, 5) ? (int32_t)world_draw(r, 300) : 0;
        world_use(f, id)->dirty = (int32_t)world_draw(r, 400);
        g->movable = !world_chance(r, 10);
    }
    for (uint32_t h = 0; h < f->n; h++)
        if (world_chance(r, 10) && f->hosts[h].facts.state == FLEET_UP)
            set_state(f, h, FLEET_DRAINING);
    fleet_ranks(f);
    return f;
}

static struct plan_policy random_policy(struct world_random *r)
{
    struct plan_policy p = plan_careful;
    for (enum goal g = 0; g < GOALS_N; g++)
        p.goals.weight[g] = world_chance(r, 50) ? goals_usual_weight(g) : 0;
    p.goals.vcpu = 4000;
    p.goals.memory = world_chance(r, 50) ? 8192 : 0;
    p.hysteresis = (int32_t)(1000 + world_draw(r, 3000));
    p.most = 1 + world_draw(r, 80);
    p.steps = 3000;
    p.seed = world_draw(r, 1000);
    return p;
}

/* Hosts that have members. */
static uint32_t spread_of(const struct fleet_group *g)
{
    return g ? g->n : 0;
}

static bool all_must_leave(const struct fleet *f, const struct fleet_group *g)
{
    for (uint32_t i = 0; i < spread_of(g); i++)
        if (f->hosts[g->at[i].host].facts.state != FLEET_DRAINING)
            return false;
    return true;
}

static void check_cell(int32_t free, const struct demand *d,
                       enum fleet_resource resource)
{
    int32_t part = demand_per_cell(d, resource);
    assert_true(!part || free >= part);
}

/* The step is what fit.h allows once all before it are done. */
static void check_step(const struct fleet *f, const struct plan_move *m)
{
    struct fleet *c = fleet_copy(f);
    struct fleet_guest *g = fleet_guest(c, m->guest);
    struct request q;
    struct fit_rules rules;
    assert_non_null(g);
    assert_true(g->movable);
    assert_int_equal(g->at.host, m->from.host);
    assert_int_not_equal(m->from.host, m->to.host);
    fleet_request_of(c, g, &q);
    assert_true(fleet_remove(c, m->guest));
    fit_rules(c, &q, &rules);
    uint32_t to = m->to.host;
    assert_int_equal(fit_facts(c, &q.demand, to), FIT_OK);
    assert_int_equal(fit_room(c, &q.demand, to, NULL), FIT_OK);
    assert_int_equal(__builtin_popcount(m->to.cells), q.demand.cells);
    for (unsigned left = m->to.cells; left; left &= left - 1) {
        const struct fleet_cell *cell =
            &c->hosts[to].cells[__builtin_ctz(left)];
        assert_true(__builtin_ctz(left) < c->hosts[to].n_cells);
        check_cell(cell->free_vcpu, &q.demand, FLEET_VCPU);
        check_cell(cell->free_memory, &q.demand, FLEET_MEMORY);
        for (int k = 0; k < CELL_MORE; k++)
            check_cell(cell->free_more[k], &q.demand, fleet_cell_more[k]);
    }
    bool leads = q.group.policy == REQUEST_AFFINITY &&
                 all_must_leave(c, fleet_group(c, q.group.id));
    if (!leads && (q.group.policy == REQUEST_ANTI_AFFINITY ||
                   q.group.policy == REQUEST_AFFINITY))
        assert_int_equal(fit_group(&rules, to), FIT_OK);
    if (q.group.skew)
        assert_int_equal(fleet_domain(c, to, q.group.level),
                         fleet_domain(c, m->from.host, q.group.level));
    fleet_free(c);
}

/* No wave has more than it may, and each host has room for all at once. */
static void check_waves(const struct fleet *f, const struct plan *p,
                        const struct plan_policy *policy)
{
    for (uint32_t i = 0, begun = 0; i < p->n; i++) {
        if (p->moves[i].wave != p->moves[begun].wave)
            begun = i;
        assert_true(i - begun < policy->parallel);
        for (uint32_t k = begun; k < i; k++) {
            assert_int_not_equal(p->moves[k].to.host, p->moves[i].to.host);
            assert_int_not_equal(p->moves[k].from.host, p->moves[i].to.host);
            assert_int_not_equal(p->moves[k].guest, p->moves[i].guest);
        }
    }
    (void)f;
}

static void affinity_spread(const struct fleet *f, uint32_t out[WORLD_GROUPS])
{
    for (uint32_t i = 0; i < WORLD_GROUPS; i++) {
        struct request_group g = world_group(i);
        out[i] =
            g.policy == REQUEST_AFFINITY ? spread_of(fleet_group(f, g.id)) : 0;
    }
}

/* No group that must be together is on more hosts than it was. */
static void check_spread(const struct fleet *f,
                         const uint32_t before[WORLD_GROUPS])
{
    uint32_t now[WORLD_GROUPS];
    affinity_spread(f, now);
    for (uint32_t i = 0; i < WORLD_GROUPS; i++)
        assert_true(now[i] <= before[i]);
}

/* Everybody on a draining host is told of. */
static void check_stays(const struct fleet *f, const struct stays *s,
                        const struct plan_policy *policy)
{
    uint32_t n = 0, told = 0;
    for (uint32_t h = 0; h < f->n; h++)
        if (f->hosts[h].facts.state == FLEET_DRAINING &&
            policy->goals.weight[GOAL_EVACUATE])
            n += f->hosts[h].guests;
    for (uint32_t i = 0; i < s->n; i++) {
        const struct fleet_guest *g = fleet_guest(f, s->at[i].guest);
        told += f->hosts[g->at.host].facts.state == FLEET_DRAINING;
        assert_int_equal(s->at[i].reason == STAY_FIXED, !g->movable);
        assert_true(i == 0 || s->at[i - 1].guest < s->at[i].guest);
    }
    assert_int_equal(told, n);
}

static bool stays_for_later(const struct stays *s)
{
    for (uint32_t i = 0; i < s->n; i++)
        if (s->at[i].reason == STAY_LATER || s->at[i].reason == STAY_GROUP)
            return true;
    return false;
}

static void check_plan(struct fleet *f, const struct plan_policy *policy,
                       uint64_t seed)
{
    struct plan plan, again;
    plan_make(f, policy, &plan);
    int64_t cost = 0;
    uint32_t before[WORLD_GROUPS];
    affinity_spread(f, before);
    for (uint32_t i = 0; i < plan.n; i++) {
        check_step(f, &plan.moves[i]);
        fleet_move(f, plan.moves[i].guest, &plan.moves[i].to);
        cost += plan.moves[i].cost;
    }
    check_spread(f, before);
    check_stays(f, &plan.stays, policy);
    assert_true(plan.n <= policy->most);
    assert_int_equal(cost, plan.cost);
    assert_true(plan.gain >= cost * policy->hysteresis / 1000);
    check_waves(f, &plan, policy);
    plan_make(f, policy, &again);
    if (plan.n + 2 < policy->most && !stays_for_later(&plan.stays) && again.n)
        fail_msg("seed %u: %u moves after a plan of %u", (unsigned)seed,
                 again.n, plan.n);
    plan_free(&again);
    plan_free(&plan);
}

static void test_random_plans(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 150; seed++) {
        struct world_random r = { seed };
        struct fleet *f = random_fleet(&r, 4 + world_draw(&r, 16));
        struct plan_policy p = random_policy(&r);
        check_plan(f, &p, seed);
        fleet_free(f);
    }
}

/* The same fleet, filled in another order. */
static void test_tells_nothing_of_history(void **state)
{
    (void)state;
    struct plan_policy p = with(GOAL_EVEN);
    struct fleet *a = pool(6), *b = pool(6);
    struct plan x, y;
    for (uint64_t i = 1; i <= 40; i++)
        put(a, i, (uint32_t)(i % 3), 1 + (int32_t)(i % 4), 700);
    for (uint64_t i = 40; i >= 1; i--)
        put(b, i, (uint32_t)(i % 3), 1 + (int32_t)(i % 4), 700);
    plan_make(a, &p, &x);
    plan_make(b, &p, &y);
    assert_true(x.n > 3);
    assert_int_equal(x.n, y.n);
    for (uint32_t i = 0; i < x.n; i++) {
        assert_int_equal(x.moves[i].guest, y.moves[i].guest);
        assert_int_equal(x.moves[i].to.host, y.moves[i].to.host);
    }
    plan_free(&x);
    plan_free(&y);
    fleet_free(a);
    fleet_free(b);
}

/* Live moves only lead to CPUs that have all that the guest has seen. */
static void test_minds_cpus(void **state)
{
    (void)state;
    struct fleet *f = pool(3);
    struct plan plan;
    for (uint32_t h = 0; h < 3; h++) { /* the second can less */
        struct fleet_facts facts = f->hosts[h].facts;
        facts.cpu = h == 1 ? 2 : 1;
        fleet_set_facts(f, h, &facts);
    }
    fleet_cpu_takes(f, 2, 1);
    for (uint64_t i = 1; i <= 6; i++)
        put(f, i, 0, 4, 100);
    put(f, 7, 2, 16, 100); /* 16 GiB are left there, 4 guests' */
    set_state(f, 0, FLEET_DRAINING);
    plan_make(f, &plan_careful, &plan);
    apply(f, &plan);
    assert_int_equal(f->hosts[1].guests, 0);
    assert_int_equal(f->hosts[2].guests, 5);
    assert_int_equal(plan.stays.n, 2);
    plan_free(&plan);
    assert_true(fleet_remove(f, 7));
    set_state(f, 0, FLEET_UP);
    put(f, 8, 1, 4, 100);
    set_state(f, 1, FLEET_DRAINING);
    plan_make(f, &plan_careful, &plan);
    assert_int_equal(plan.n, 1);
    plan_free(&plan);
    fleet_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_inequality_is_no_trouble),
        cmocka_unit_test(test_relieves_trouble_and_rests),
        cmocka_unit_test(test_noise_moves_nothing),
        cmocka_unit_test(test_evacuates),
        cmocka_unit_test(test_evacuates_groups),
        cmocka_unit_test(test_tells_why_they_stay),
        cmocka_unit_test(test_large_pools),
        cmocka_unit_test(test_makes_room),
        cmocka_unit_test(test_reserve_keeps),
        cmocka_unit_test(test_repairs_groups),
        cmocka_unit_test(test_consolidates),
        cmocka_unit_test(test_fills_a_new_host),
        cmocka_unit_test(test_makes_whole_units),
        cmocka_unit_test(test_fills_with_small_guests),
        cmocka_unit_test(test_repairs_every_rule),
        cmocka_unit_test(test_without_the_goal),
        cmocka_unit_test(test_spares_the_moved),
        cmocka_unit_test(test_minds_cpus),
        cmocka_unit_test(test_random_plans),
        cmocka_unit_test(test_tells_nothing_of_history),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
