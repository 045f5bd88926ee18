/* common/buf: what it holds is a string at any moment. */
#include "test.h"

#include "common/buf.h"

#include <string.h>

/* Room was made and nothing came: an empty message of a peer. */
static void reserved_is_empty(void **state)
{
    struct buf b = BUF_INIT(1024);
    assert_string_equal(buf_str(&b), "");
    assert_true(buf_reserve(&b, 0));
    assert_string_equal(buf_str(&b), "");
    buf_add(&b, "", 0);
    assert_string_equal(buf_str(&b), "");
    assert_true(buf_reserve(&b, 600));
    assert_string_equal(buf_str(&b), "");
    buf_free(&b);
}

static void grows_and_stays_a_string(void **state)
{
    struct buf b = BUF_INIT(4096);
    for (int i = 0; i < 1000; i++) {
        buf_addf(&b, "%d,", i % 10);
        assert_int_equal(strlen(buf_str(&b)), b.len);
        assert_true(buf_reserve(&b, 64));
        assert_int_equal(strlen(buf_str(&b)), b.len);
    }
    buf_reset(&b);
    assert_string_equal(buf_str(&b), "");
    buf_free(&b);
}

static void has_an_end(void **state)
{
    struct buf b = BUF_INIT(8);
    buf_adds(&b, "12345678");
    assert_false(b.overflow);
    buf_addc_slow(&b, '9');
    assert_true(b.overflow);
    assert_string_equal(buf_str(&b), "12345678");
    assert_false(buf_reserve(&b, 0));
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reserved_is_empty),
        cmocka_unit_test(grows_and_stays_a_string),
        cmocka_unit_test(has_an_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
