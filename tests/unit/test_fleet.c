/* The fleet: what put, remove and move leave behind. */
#include "test.h"

#include "engine/choose.h"

#include <stdio.h>
#include <string.h>

static struct fleet *make(unsigned hosts)
{
    struct fleet *f = fleet_new();
    for (unsigned i = 0; i < hosts; i++) {
        char name[16];
        snprintf(name, sizeof(name), "host%03u", i);
        uint32_t h = fleet_add_host(f, name);
        fleet_set_facts(f, h, &(struct fleet_facts){ .state = FLEET_UP });
        fleet_set_capacity(f, h, FLEET_VCPU, 8000);
        fleet_set_capacity(f, h, FLEET_MEMORY, 16384);
    }
    return f;
}

static void test_put_and_remove(void **state)
{
    (void)state;
    struct fleet *f = make(3);
    struct request r = { .demand.need = { 2000, 4096 }, .group = { .id = 7 } };
    struct placing at;
    assert_true(choose_exhaustive(f, &r, &at));
    assert_int_equal(at.host, 0);
    assert_true(fleet_put(f, 1, &r, &at));
    assert_false(fleet_put(f, 1, &r, &at));
    assert_int_equal(f->free[FLEET_VCPU][0], 6000);
    assert_int_equal(fleet_group_on(fleet_group(f, 7), 0), 1);
    assert_true(choose_exhaustive(f, &r, &at));
    assert_int_equal(at.host, 1);
    assert_true(fleet_move(f, 1, &at));
    assert_int_equal(f->free[FLEET_VCPU][0], 8000);
    assert_int_equal(f->free[FLEET_MEMORY][1], 12288);
    assert_true(fleet_remove(f, 1));
    assert_false(fleet_remove(f, 1));
    assert_int_equal(f->free[FLEET_VCPU][1], 8000);
    assert_null(fleet_group(f, 7));
    fleet_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_put_and_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
