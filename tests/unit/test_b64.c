#include "test.h"

#include "common/b64.h"
#include "common/cleanup.h"

#include <string.h>

static const struct {
    const char *plain, *text;
} rows[] = {
    /* RFC 4648, 10 */
    { "", "" },
    { "f", "Zg==" },
    { "fo", "Zm8=" },
    { "foo", "Zm9v" },
    { "foob", "Zm9vYg==" },
    { "fooba", "Zm9vYmE=" },
    { "foobar", "Zm9vYmFy" },
    { "\xff\xef\xbe", "/+++" },
};

static void both_ways(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct buf b = BUF_INIT(64);
        b64_encode(&b, rows[i].plain, strlen(rows[i].plain));
        assert_string_equal(buf_str(&b), rows[i].text);
        buf_reset(&b);
        assert_true(b64_decode(&b, rows[i].text));
        assert_string_equal(buf_str(&b), rows[i].plain);
        buf_free(&b);
    }
}

static void white_space_is_skipped(void **state)
{
    struct buf b = BUF_INIT(64);
    assert_true(b64_decode(&b, " Zm9v\r\nYmE\n=\n"));
    assert_string_equal(buf_str(&b), "fooba");
    buf_free(&b);
}

static void bad_text(void **state)
{
    static const char *const bad[] = {
        "Z",        "Zg",    "Zg=",  "Zg===", "Zm9=v",
        "Zm8=Zg==", "Zm9v=", "====", "Zm_v",  "Zm9v\x80"
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct buf b = BUF_INIT(64);
        if (b64_decode(&b, bad[i]))
            fail_msg("%s was taken", bad[i]);
        buf_free(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_ways),
        cmocka_unit_test(white_space_is_skipped),
        cmocka_unit_test(bad_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
