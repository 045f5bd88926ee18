/* batch: together where one at a time fails; all or nothing; no trace. */
#include "test.h"

#include "engine/batch.h"
#include "fleet_world.h"

#include <stdlib.h>

#define MANY 12

static struct fleet *make(unsigned hosts, int32_t vcpus)
{
    struct fleet *f = fleet_new();
    for (unsigned i = 0; i < hosts; i++) {
        char name[16];
        snprintf(name, sizeof(name), "host%03u", i);
        uint32_t h = fleet_add_host(f, name);
        fleet_set_facts(f, h, &(struct fleet_facts){ .state = FLEET_UP });
        fleet_set_capacity(f, h, FLEET_VCPU, vcpus * 1000);
    }
    return f;
}

static struct request vcpus(int32_t n)
{
    return (struct request){ .demand.need = { n * 1000 } };
}

/* As a scheduler without batches would: each where it is best, in order. */
static uint32_t one_at_a_time(struct fleet *f, const struct request *r,
                              uint32_t n)
{
    uint32_t placed = 0;
    struct placing at;
    for (uint32_t i = 0; i < n; i++)
        if (choose_exhaustive(f, &r[i], &at)) {
            assert_true(fleet_put(f, 1000 + i, &r[i], &at));
            placed++;
        }
    for (uint32_t i = 0; i < n; i++)
        fleet_remove(f, 1000 + i);
    return placed;
}

static uint32_t together(struct fleet *f, const struct request *r,
                         struct placing *places, uint32_t n, bool all)
{
    struct chooser *c = chooser_new(f);
    struct batch b = { .requests = r, .places = places, .n = n, .all = all };
    uint32_t placed = batch_choose(c, f, &b);
    assert_int_equal(f->n_guests, 0);
    chooser_free(c);
    return placed;
}

static void test_large_after_small(void **state)
{
    (void)state;
    struct fleet *f = make(2, 8);
    struct request r[] = { vcpus(4), vcpus(4), vcpus(8) };
    struct placing at[3];
    assert_int_equal(one_at_a_time(f, r, 3), 2);
    assert_int_equal(together(f, r, at, 3, true), 3);
    assert_int_equal(at[0].host, at[1].host);
    assert_int_not_equal(at[0].host, at[2].host);
    fleet_free(f);
}

static void test_group_needs_its_hosts(void **state)
{
    (void)state;
    struct fleet *f = make(3, 8);
    struct request r[4] = { vcpus(8), vcpus(4), vcpus(4), vcpus(4) };
    struct placing at[4];
    for (int i = 1; i < 4; i++)
        r[i].group =
            (struct request_group){ .id = 9, .policy = REQUEST_ANTI_AFFINITY };
    assert_int_equal(one_at_a_time(f, r, 4), 3);
    /* Four of these need four hosts: none goes alone. */
    assert_int_equal(together(f, r, at, 4, true), 0);
    assert_int_equal(at[0].host, FLEET_NOWHERE);
    assert_int_equal(together(f, r, at, 4, false), 3);
    r[0] = vcpus(4);
    assert_int_equal(together(f, r, at, 4, true), 4);
    assert_int_not_equal(at[1].host, at[2].host);
    assert_int_not_equal(at[1].host, at[3].host);
    assert_int_not_equal(at[2].host, at[3].host);
    fleet_free(f);
}

/* The most bound goes first and takes what a larger one needs, which then
 * goes before it. */
static void test_tries_again(void **state)
{
    (void)state;
    struct fleet *f = make(4, 9);
    uint32_t only[] = { 0, 2 };
    struct request r[] = { vcpus(1), vcpus(9), vcpus(9), vcpus(9) };
    struct placing at[4];
    fleet_set_capacity(f, 2, FLEET_VCPU, 8000);
    r[0].allowed = (struct host_list){ only, 2 };
    assert_int_equal(one_at_a_time(f, r, 4), 3);
    assert_int_equal(together(f, r, at, 4, true), 4);
    assert_int_equal(at[0].host, 2);
    fleet_free(f);
}

/* Never fewer than one at a time, valid, and the fleet is as before. */
static void test_random(void **state)
{
    (void)state;
    uint64_t alone = 0, batched = 0;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct world_random random = { seed };
        struct fleet *f = world_new(&random, 4);
        struct request r[MANY];
        struct placing at[MANY];
        uint32_t lists[MANY][3 * WORLD_LIST];
        for (int i = 0; i < MANY; i++) {
            world_demand(&random, &r[i].demand);
            r[i].demand.need[FLEET_VCPU] *= 4;
            world_request(&random, f, lists[i], &r[i]);
        }
        alone += one_at_a_time(f, r, MANY);
        uint32_t placed = together(f, r, at, MANY, false);
        batched += placed;
        for (int i = 0; i < MANY; i++)
            if (at[i].host != FLEET_NOWHERE) {
                assert_true(fleet_put(f, (uint64_t)i + 1, &r[i], &at[i]));
                placed--;
            }
        assert_int_equal(placed, 0);
        for (uint32_t h = 0; h < f->n; h++)
            for (int k = 0; k < FLEET_RESOURCES; k++)
                assert_true(f->free[k][h] >= 0);
        fleet_free(f);
    }
    print_message("%llu one at a time, %llu together\n",
                  (unsigned long long)alone, (unsigned long long)batched);
    assert_true(batched > alone);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_large_after_small),
        cmocka_unit_test(test_group_needs_its_hosts),
        cmocka_unit_test(test_tries_again),
        cmocka_unit_test(test_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
