/* common/ip: reading, writing and counting addresses. */
#include "common/ip.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void round_trip(void **state)
{
    static const char *const good[] = { "0.0.0.0", "10.0.0.5",
                                        "255.255.255.255", "::1",
                                        "2001:db8::ff:1" };
    char text[IP_TEXT_MAX];
    struct ip ip;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_true(ip_parse(good[i], &ip));
        assert_string_equal(ip_format(ip, text), good[i]);
    }
    assert_false(ip_parse("10.0.0", &ip));
    assert_false(ip_parse("10.0.0.256", &ip));
    assert_false(ip_parse("", &ip));
}

static void prefixes(void **state)
{
    struct cidr c;
    char text[CIDR_TEXT_MAX];
    struct ip ip;
    assert_true(cidr_parse("10.1.2.3/22", &c));
    assert_string_equal(cidr_format(c, text), "10.1.0.0/22");
    assert_string_equal(ip_format(cidr_last(c), text), "10.1.3.255");
    ip_parse("10.1.3.7", &ip);
    assert_true(cidr_contains(c, ip));
    ip_parse("10.1.4.0", &ip);
    assert_false(cidr_contains(c, ip));
    assert_false(cidr_parse("10.0.0.0/33", &c));
    assert_false(cidr_parse("10.0.0.0/", &c));
    assert_false(cidr_parse("10.0.0.0/-1", &c));
    assert_true(cidr_parse("::/0", &c));
    assert_true(cidr_contains(c, cidr_last(c)));
}

static void counting(void **state)
{
    struct ip ip;
    char text[IP_TEXT_MAX];
    ip_parse("10.0.0.255", &ip);
    assert_string_equal(ip_format(ip_add(ip, 1), text), "10.0.1.0");
    assert_string_equal(ip_format(ip_add(ip, -255), text), "10.0.0.0");
    assert_int_equal(ip_compare(ip, ip_add(ip, 1)), -1);
}

static void overlap(void **state)
{
    struct cidr a, b;
    cidr_parse("10.0.0.0/16", &a);
    cidr_parse("10.0.5.0/24", &b);
    assert_true(cidr_overlaps(a, b) && cidr_overlaps(b, a));
    cidr_parse("10.1.0.0/24", &b);
    assert_false(cidr_overlaps(a, b));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),
        cmocka_unit_test(prefixes),
        cmocka_unit_test(counting),
        cmocka_unit_test(overlap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
