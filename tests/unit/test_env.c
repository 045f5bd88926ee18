/* env: dates against the C library's, ids, the way back. */
#include "test.h"

#include "common/env.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static void same_as_libc(int64_t seconds)
{
    char got[TIME_TEXT_MAX], want[64];
    time_t t = (time_t)seconds;
    struct tm tm;
    gmtime_r(&t, &tm);
    strftime(want, sizeof(want), "%Y-%m-%dT%H:%M:%SZ", &tm);
    assert_string_equal(time_format(seconds * SECOND_US, TIME_Z, got), want);
    int64_t back;
    assert_true(time_parse(got, &back));
    assert_int_equal(back, seconds * SECOND_US);
}

static void dates(void **state)
{
    for (int64_t day = 0; day < 365 * 450; day++)
        same_as_libc(day * 86400 + day * 7919 % 86400);
    same_as_libc(0);
    same_as_libc(951782400);  /* 2000-02-29 */
    same_as_libc(4107542400); /* 2100-03-01 */
    same_as_libc(-1);
    same_as_libc(-86400 * 365);
}

static void styles(void **state)
{
    char out[TIME_TEXT_MAX];
    int64_t t = INT64_C(1700000000) * SECOND_US + 42;
    assert_string_equal(time_format(t, TIME_Z, out), "2023-11-14T22:13:20Z");
    assert_string_equal(time_format(t, TIME_MICRO_Z, out),
                        "2023-11-14T22:13:20.000042Z");
    assert_string_equal(time_format(t, TIME_MICRO, out),
                        "2023-11-14T22:13:20.000042");
    assert_string_equal(time_format(t, TIME_SECONDS, out),
                        "2023-11-14T22:13:20");
    assert_string_equal(time_format(-1, TIME_MICRO_Z, out),
                        "1969-12-31T23:59:59.999999Z");
    /* Out of all reason, but inside the array. */
    assert_true(strlen(time_format(INT64_MAX, TIME_MICRO_Z, out)) == 27);
    assert_true(strlen(time_format(INT64_MIN, TIME_MICRO_Z, out)) == 27);
}

static void ids(void **state)
{
    char a[UUID_SIZE], b[UUID_SIZE];
    env_uuid(&env_system, a);
    env_uuid(&env_system, b);
    assert_true(uuid_valid(a));
    assert_string_not_equal(a, b);
    assert_int_equal(a[14], '4');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dates),
        cmocka_unit_test(styles),
        cmocka_unit_test(ids),
    };
    return cmocka_run_group_tests_name("env", tests, NULL, NULL);
}
