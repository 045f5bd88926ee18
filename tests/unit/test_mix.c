/* mix: what arrives is learnt, what no longer arrives is forgotten, and
 * readers see it change seldom. */
#include "test.h"

#include "engine/mix.h"

static struct demand sized(int32_t vcpu)
{
    struct demand d = { 0 };
    d.need[FLEET_VCPU] = vcpu;
    return d;
}

/* Notes `n` arrivals of 1 .. `kinds` vCPUs in turn; how many versions? */
static unsigned note(struct mix *m, int n, int kinds)
{
    unsigned versions = 0;
    for (int i = 0; i < n; i++) {
        struct demand d = sized(1 + i % kinds);
        versions += mix_note(m, &d);
    }
    return versions;
}

/* The share of a demand in the version, in thousandths. */
static uint64_t share(const struct mix *m, int32_t vcpu)
{
    const struct mix_class *c;
    uint32_t n = mix_classes(m, &c);
    for (uint32_t i = 0; i < n; i++)
        if (c[i].demand.need[FLEET_VCPU] == vcpu)
            return 1000ULL * c[i].count / mix_total(m);
    return 0;
}

static void test_learns(void **state)
{
    (void)state;
    struct mix *m = mix_new();
    const struct mix_class *none;
    assert_int_equal(mix_version(m), 0);
    assert_int_equal(mix_classes(m, &none), 0);
    struct demand first = sized(7);
    assert_true(mix_note(m, &first));
    assert_int_equal(share(m, 7), 1000);
    note(m, 3000, 4);
    /* As near as the drift that is let pass. */
    assert_in_range(share(m, 1), 250 - 1000 / MIX_DRIFT, 250 + 125);
    assert_in_range(share(m, 4), 250 - 1000 / MIX_DRIFT, 250 + 125);
    assert_in_range(share(m, 7), 0, 1000 / MIX_DRIFT);
    mix_free(m);
}

static void test_rests_when_nothing_changes(void **state)
{
    (void)state;
    struct mix *m = mix_new();
    note(m, 1000, 10);
    uint64_t version = mix_version(m);
    assert_int_equal(note(m, 100000, 10), 0);
    assert_int_equal(mix_version(m), version);
    /* A third of what arrives is new now. */
    assert_true(note(m, 40000, 15) > 0);
    assert_true(mix_version(m) > version);
    assert_in_range(share(m, 15), 40, 80);
    mix_free(m);
}

static void test_forgets(void **state)
{
    (void)state;
    struct mix *m = mix_new();
    note(m, 20000, 10);
    assert_in_range(share(m, 10), 80, 120);
    note(m, 20 * MIX_HALF_LIFE, 2);
    assert_in_range(share(m, 10), 0, 20);
    assert_in_range(share(m, 1), 500 - 1000 / MIX_DRIFT, 500);
    mix_free(m);
}

static void test_is_bounded(void **state)
{
    (void)state;
    struct mix *m = mix_new();
    const struct mix_class *c;
    note(m, 4 * MIX_CLASSES, 2 * MIX_CLASSES);
    assert_int_equal(mix_classes(m, &c), MIX_CLASSES);
    /* Those that came too late get in when others have faded. */
    note(m, 30 * MIX_HALF_LIFE, 3);
    for (int i = 0; i < MIX_HALF_LIFE; i++) {
        struct demand d = sized(2 * MIX_CLASSES);
        mix_note(m, &d);
    }
    assert_true(share(m, 2 * MIX_CLASSES) > 100);
    mix_free(m);
}

static void test_copy_is_apart(void **state)
{
    (void)state;
    struct mix *m = mix_new();
    note(m, 100, 4);
    struct mix *c = mix_copy(m);
    note(m, 5000, 40);
    assert_int_equal(share(c, 40), 0);
    assert_true(share(m, 40) > 0);
    note(c, 5000, 40);
    assert_int_equal(share(c, 40), share(m, 40));
    assert_int_equal(mix_version(c), mix_version(m));
    mix_free(m);
    mix_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_learns),
        cmocka_unit_test(test_rests_when_nothing_changes),
        cmocka_unit_test(test_forgets),
        cmocka_unit_test(test_is_bounded),
        cmocka_unit_test(test_copy_is_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
