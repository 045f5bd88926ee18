/* Sets of CPUs and their texts. */
#include "test.h"

#include "model/cpus.h"

#include <stdlib.h>
#include <string.h>

static void test_texts(void **state)
{
    static const struct {
        const char *in, *out;
        unsigned n;
    } good[] = {
        { "", "", 0 },
        { NULL, "", 0 },
        { "0", "0", 1 },
        { "0-3\n", "0-3", 4 },
        { "5,1-2,3", "1-3,5", 4 },
        { "0-1,4,6-7", "0-1,4,6-7", 5 },
        { "1023", "1023", 1 },
    };
    static const char *const bad[] = { "a",   "1-", "3-1", "1,,2", "1024",
                                       "1 2", "-1", "1,",  "1;2",  "0-4-5" };
    struct cpus s;
    char text[CPUS_TEXT];
    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
        assert_true(cpus_parse(good[i].in, &s));
        assert_string_equal(cpus_text(&s, text), good[i].out);
        assert_int_equal(cpus_count(&s), good[i].n);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        if (cpus_parse(bad[i], &s))
            fail_msg("'%s' is no list of CPUs", bad[i]);
}

/* The longest text there is has its room; and back again. */
static void test_round_trip(void **state)
{
    struct cpus s = { { 0 } }, back;
    char text[CPUS_TEXT];
    for (unsigned cpu = 0; cpu < CPUS_MAX; cpu += 2)
        cpus_add(&s, cpu);
    assert_true(strlen(cpus_text(&s, text)) < CPUS_TEXT - 1);
    assert_true(cpus_parse(text, &back));
    assert_memory_equal(&s, &back, sizeof(s));
}

static void test_parts(void **state)
{
    struct cpus a, b, c;
    char text[CPUS_TEXT];
    cpus_parse("0-7", &a);
    cpus_parse("2-3,6-9", &b);
    c = cpus_both(&a, &b);
    assert_string_equal(cpus_text(&c, text), "2-3,6-7");
    c = cpus_without(&a, &b);
    assert_string_equal(cpus_text(&c, text), "0-1,4-5");
    c = cpus_first(&c, 3);
    assert_string_equal(cpus_text(&c, text), "0-1,4");
    c = cpus_first(&c, 9);
    assert_int_equal(cpus_count(&c), 3);
    cpus_join(&c, &b);
    assert_string_equal(cpus_text(&c, text), "0-4,6-9");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_parts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
