/* Trouble on machines: what strains them, who leaves, what he is charged, and
 * what people are told. */
#include "test.h"

#include "engine/plan.h"
#include "fleet_world.h"

#define MIB  1024 /* KiB */
#define LINK (1200 * MIB)

/* Hosts of 16 CPUs and 64 GiB with a link, four guests each. */
static struct fleet *pool(unsigned hosts)
{
    struct fleet *f = fleet_new();
    for (unsigned i = 0; i < hosts; i++) {
        char name[16];
        snprintf(name, sizeof(name), "host%03u", i);
        uint32_t h = fleet_add_host(f, name);
        fleet_set_facts(
            f, h,
            &(struct fleet_facts){ .state = FLEET_UP, .largest_vcpu = 16000 });
        fleet_set_capacity(f, h, FLEET_VCPU, 64000);
        fleet_set_capacity(f, h, FLEET_MEMORY, 98304); /* promised */
        fleet_set_host_use(f, h,
                           &(struct fleet_host_use){ .ram = 65536,
                                                     .memory_stall = -1,
                                                     .disk_stall = -1,
                                                     .swap = -1,
                                                     .network = -1,
                                                     .link = LINK });
        for (uint64_t k = 0; k < 4; k++) {
            struct request r = { .demand.need = { 2000, 4096 } };
            assert_true(fleet_put(f, i * 4 + k + 1, &r,
                                  &(struct placing){ .host = h }));
            *world_use(f, i * 4 + k + 1) =
                (struct fleet_use){ .vcpu = 500,
                                    .memory = 2048,
                                    .disk = MIB,
                                    .network = MIB,
                                    .memory_stall = -1,
                                    .disk_stall = -1,
                                    .dirty = 10 };
        }
    }
    fleet_ranks(f);
    return f;
}

/* Makes the plan, checks for what it is, carries it out; how many moved. */
static uint32_t relieve(struct fleet *f, enum strain strain, const char *why)
{
    struct plan p;
    struct buf text = BUF_INIT(1024);
    plan_make(f, &plan_careful, &p);
    uint32_t n = p.n;
    for (uint32_t i = 0; i < n; i++) {
        assert_int_equal(p.moves[i].reason, GOAL_RELIEVE);
        assert_int_equal(p.moves[i].trouble.strain, strain);
        assert_true(p.moves[i].trouble.own > 0);
        assert_true(fleet_move(f, p.moves[i].guest, &p.moves[i].to));
    }
    if (n) {
        plan_because(f, &p.moves[0], &text);
        assert_non_null(strstr(buf_str(&text), why));
    }
    buf_free(&text);
    plan_free(&p);
    return n;
}

static uint32_t plan_size(struct fleet *f)
{
    return relieve(f, STRAINS, "nothing");
}

static void test_calm(void **state)
{
    struct fleet *f = pool(3);
    assert_int_equal(plan_size(f), 0);
    fleet_free(f);
}

/* ---- CPU ----------------------------------------------------------------- */

/* What a hypervisor below takes is not there to be given. */
static void test_cpu_taken_below(void **state)
{
    struct fleet *f = pool(3);
    for (uint64_t i = 1; i <= 4; i++)
        world_use(f, i)->vcpu = 1900;
    assert_int_equal(plan_size(f), 0); /* 7.6 of 16 */
    f->uses[0].steal = 500;
    assert_int_equal(relieve(f, STRAIN_CPU, "want 7.6 of its 8.0 CPUs"), 1);
    assert_int_equal(plan_size(f), 0);
    fleet_free(f);
}

/* ---- memory -------------------------------------------------------------- */

static void test_memory_is_what_there_is(void **state)
{
    struct fleet *f = pool(3);
    for (uint64_t i = 1; i <= 4; i++)
        world_use(f, i)->memory = 16200; /* 64.8 of 65.5, promised 98 */
    assert_int_equal(relieve(f, STRAIN_MEMORY, "64800 of its 65536 MiB"), 1);
    assert_int_equal(plan_size(f), 0);
    fleet_free(f);
}

static void test_memory_pressure(void **state)
{
    for (int by = 0; by < 3; by++) {
        struct fleet *f = pool(3);
        for (uint64_t i = 1; i <= 4; i++)
            world_use(f, i)->memory = 12000;
        if (by == 0)
            f->uses[0].memory_stall = 150;
        else if (by == 1)
            f->uses[0].swap = 20 * MIB;
        else
            world_use(f, 2)->memory_stall = 80;
        assert_int_equal(relieve(f, STRAIN_MEMORY, "of its 65536 MiB"), 1);
        f->uses[0].memory_stall = f->uses[0].swap = 0;
        world_use(f, 2)->memory_stall = 0;
        assert_int_equal(plan_size(f), 0);
        fleet_free(f);
    }
}

/* Pressure that guests with little of the memory do not make. */
static void test_memory_of_others(void **state)
{
    struct fleet *f = pool(3);
    f->uses[0].memory_stall = 500;
    assert_int_equal(plan_size(f), 0);
    fleet_free(f);
}

/* ---- disks --------------------------------------------------------------- */

static void test_a_noisy_neighbour(void **state)
{
    struct fleet *f = pool(3);
    world_use(f, 1)->disk = 60 * MIB;
    world_use(f, 2)->disk = 40 * MIB;
    assert_int_equal(plan_size(f), 0); /* busy is no trouble */
    world_use(f, 2)->disk_stall = 450;
    assert_int_equal(relieve(f, STRAIN_DISK, "up to 45 % of the time"), 1);
    world_use(f, 2)->disk_stall = 0;
    assert_int_equal(plan_size(f), 0);
    fleet_free(f);
}

/* Who waits for what he alone does would wait elsewhere as well. */
static void test_alone_with_its_disk(void **state)
{
    struct fleet *f = pool(3);
    world_use(f, 1)->disk = 200 * MIB;
    world_use(f, 1)->disk_stall = 900;
    f->uses[0].disk_stall = 900;
    assert_int_equal(plan_size(f), 0);
    fleet_free(f);
}

/* Every host does what was too much for one: nobody is sent in circles. */
static void test_nowhere_better(void **state)
{
    struct fleet *f = pool(3);
    for (uint64_t i = 1; i <= 12; i++)
        world_use(f, i)->disk = 25 * MIB;
    world_use(f, 1)->disk_stall = 450;
    assert_int_equal(plan_size(f), 0);
    fleet_free(f);
}

/* ---- network ------------------------------------------------------------- */

static void test_the_link(void **state)
{
    struct fleet *f = pool(3);
    for (uint64_t i = 1; i <= 4; i++)
        world_use(f, i)->network = 280 * MIB;
    f->uses[0].network = 100 * MIB; /* they speak with each other */
    assert_int_equal(plan_size(f), 0);
    f->uses[0].network = 1150 * MIB;
    assert_int_equal(relieve(f, STRAIN_NETWORK, "of host000's link"), 1);
    f->uses[0].network = 870 * MIB;
    assert_int_equal(plan_size(f), 0);
    for (uint32_t h = 0; h < 3; h++)
        f->uses[h].link = -1; /* not known: no opinion */
    f->uses[0].network = 5000 * MIB;
    assert_int_equal(plan_size(f), 0);
    fleet_free(f);
}

/* ---- what is measured, and EVEN ------------------------------------------ */

static void test_even_by_use(void **state)
{
    struct fleet *f = pool(2);
    struct plan_policy policy = plan_careful;
    struct plan p;
    policy.goals.weight[GOAL_EVEN] = goals_usual_weight(GOAL_EVEN);
    plan_make(f, &policy, &p);
    assert_int_equal(p.n, 0);
    plan_free(&p);
    for (uint64_t i = 1; i <= 4; i++) /* 11 of 16; nobody suffers */
        world_use(f, i)->vcpu = 2750;
    plan_make(f, &policy, &p);
    assert_true(p.n > 0);
    for (uint32_t i = 0; i < p.n; i++)
        assert_true(fleet_move(f, p.moves[i].guest, &p.moves[i].to));
    plan_free(&p);
    plan_make(f, &policy, &p);
    assert_int_equal(p.n, 0);
    plan_free(&p);
    fleet_free(f);
}

/* ---- cost ---------------------------------------------------------------- */

static void test_cost(void **state)
{
    struct fleet *f = pool(1);
    struct fleet_guest *g = fleet_guest(f, 1);
    const struct cost_policy usual = { 0 };
    f->uses[0].link = -1;
    world_use(f, 1)->dirty = 0;
    struct cost rest = cost_move(f, g, &usual);
    assert_int_equal(rest.sent, 4096);
    assert_in_range(rest.points, 950, 1050);
    world_use(f, 1)->dirty = rest.speed / 2;
    assert_in_range(cost_move(f, g, &usual).sent, 8170, 8200);
    world_use(f, 1)->dirty = 10 * rest.speed; /* throttled */
    assert_int_equal(cost_move(f, g, &usual).sent, 40960);
    world_use(f, 1)->dirty = -1; /* unknown */
    struct cost unknown = cost_move(f, g, &usual);
    assert_int_equal(unknown.sent, 8192);
    assert_true(unknown.points > rest.points);
    world_use(f, 1)->dirty = 0;
    g->local = 20; /* GiB */
    assert_int_equal(cost_move(f, g, &usual).sent, 4096 + 20480);
    f->uses[0].link = 125 * MIB; /* a Gbit/s */
    assert_int_equal(cost_move(f, g, &usual).speed, 62);
    g->local = 0;
    g->priority = 100;
    assert_true(cost_move(f, g, &usual).points > 2 * rest.points);
    fleet_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_calm),
        cmocka_unit_test(test_cpu_taken_below),
        cmocka_unit_test(test_memory_is_what_there_is),
        cmocka_unit_test(test_memory_pressure),
        cmocka_unit_test(test_memory_of_others),
        cmocka_unit_test(test_a_noisy_neighbour),
        cmocka_unit_test(test_alone_with_its_disk),
        cmocka_unit_test(test_nowhere_better),
        cmocka_unit_test(test_the_link),
        cmocka_unit_test(test_even_by_use),
        cmocka_unit_test(test_cost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
