/* jw and buf: what is written is what jansson reads; bounds hold. */
#include "test.h"

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/jw.h"

#include <stdlib.h>
#include <string.h>

/* Writes s as value and as key; reads it again. */
static void comes_back(const char *s)
{
    struct buf b = BUF_INIT(1 << 16);
    struct jw w = JW_INIT(&b);
    jw_obj(&w, NULL);
    jw_str(&w, "the value", s);
    jw_join(&w, "joined", s, "|", s, NULL);
    jw_str(&w, s, "key");
    jw_obj_end(&w);
    json_error_t why;
    _autojson_ json_t *json = json_loads(buf_str(&b), 0, &why);
    if (!json)
        fail_msg("%s in %s", why.text, buf_str(&b));
    assert_string_equal(json_string_value(json_object_get(json, "the value")),
                        s);
    char *twice = xasprintf("%s|%s", s, s);
    assert_string_equal(json_string_value(json_object_get(json, "joined")),
                        twice);
    assert_string_equal(json_string_value(json_object_get(json, s)), "key");
    free(twice);
    buf_free(&b);
}

/* Each ASCII character at each place of words of every length up to 24: the
 * writer looks at eight bytes at once. */
static void every_character(void **state)
{
    char s[32];
    for (int c = 1; c < 128; c++)
        for (size_t len = 1; len <= 24; len += 1)
            for (size_t at = 0; at < len;
                 at += c < 0x21 || c == '"' || c == '\\' ? 1 : 7) {
                memset(s, 'x', len);
                s[at] = (char)c;
                s[len] = '\0';
                comes_back(s);
            }
}

static void other_languages(void **state)
{
    comes_back("");
    comes_back("\xc3\xa4\xc3\xb6\xc3\xbc \xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e");
    comes_back("\xf0\x9f\x8f\x94 and \"quotes\"\n\\");
}

static void exact_text(void **state)
{
    struct buf b = BUF_INIT(1 << 16);
    struct jw w = JW_INIT(&b);
    jw_obj(&w, NULL);
    jw_str(&w, "a\"b", "c\\d\n\x01");
    jw_arr(&w, "l");
    jw_int(&w, NULL, -5);
    jw_bool(&w, NULL, true);
    jw_null(&w, NULL);
    jw_join(&w, NULL, "x", "", "\"", NULL);
    jw_arr_end(&w);
    jw_str(&w, "n", NULL);
    jw_obj_end(&w);
    assert_string_equal(buf_str(&b),
                        "{\"a\\\"b\":\"c\\\\d\\n\\u0001\",\"l\":[-5,true,null,"
                        "\"x\\\"\"],\"n\":null}");
    buf_free(&b);
}

static void bounds(void **state)
{
    for (size_t max = 0; max < 80; max++) {
        struct buf b = BUF_INIT(max);
        struct jw w = JW_INIT(&b);
        jw_arr(&w, NULL);
        jw_str(&w, NULL, "0123456789012345678901234567890123456789");
        for (int i = 0; i < 20; i++)
            buf_addc(&b, 'x');
        jw_arr_end(&w);
        assert_true(b.len <= max);
        assert_int_equal(b.overflow, max < 64);
        assert_int_equal(strlen(buf_str(&b)), b.len);
        buf_free(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_character),
        cmocka_unit_test(other_languages),
        cmocka_unit_test(exact_text),
        cmocka_unit_test(bounds),
    };
    return cmocka_run_group_tests_name("jw", tests, NULL, NULL);
}
