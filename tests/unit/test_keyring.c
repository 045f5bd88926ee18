/* Keys wrapped by the pool's. */
#include "test.h"

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/keyring.h"

#include <string.h>

static struct keyring pool = { .key = { 1, 2, 3 }, .there = true };

static char *made(const char *id)
{
    struct error err;
    struct buf wrapped = BUF_INIT(WRAPPED_MAX);
    assert_true(keyring_make(&pool, id, &wrapped, &err));
    char *text = xstrdup(buf_str(&wrapped));
    buf_free(&wrapped);
    return text;
}

static void it_opens_with_the_pools_key(void **state)
{
    struct error err;
    char a[PASSPHRASE_SIZE], b[PASSPHRASE_SIZE];
    _autofree_ char *one = made("v1"), *two = made("v1");
    assert_string_not_equal(one, two);
    assert_true(keyring_unwrap(&pool, "v1", one, a, &err));
    assert_true(keyring_unwrap(&pool, "v1", one, b, &err));
    assert_string_equal(a, b);
    assert_int_equal(strlen(a), PASSPHRASE_SIZE - 1);
    assert_int_equal(strspn(a, "0123456789abcdef"), PASSPHRASE_SIZE - 1);
    assert_true(keyring_unwrap(&pool, "v1", two, b, &err));
    assert_string_not_equal(a, b);
    assert_null(strstr(one, a));
}

static void it_opens_with_nothing_else(void **state)
{
    struct error err;
    char out[PASSPHRASE_SIZE] = "";
    struct keyring other = pool, none = { .there = false };
    _autofree_ char *text = made("v1");
    other.key[31] ^= 1;
    assert_false(keyring_unwrap(&pool, "v2", text, out, &err));
    assert_false(keyring_unwrap(&other, "v1", text, out, &err));
    assert_false(keyring_unwrap(&pool, "v1", NULL, out, &err));
    assert_false(keyring_unwrap(&pool, "v1", "AAAA", out, &err));
    text[20] = text[20] == 'A' ? 'B' : 'A';
    assert_false(keyring_unwrap(&pool, "v1", text, out, &err));
    assert_int_equal(err.code, ERR_INTERNAL);
    assert_string_equal(out, "");
    struct buf wrapped = BUF_INIT(WRAPPED_MAX);
    assert_false(keyring_make(&none, "v1", &wrapped, &err));
    assert_int_equal(err.code, ERR_UNAVAILABLE);
    assert_false(keyring_make(NULL, "v1", &wrapped, &err));
    buf_free(&wrapped);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_opens_with_the_pools_key),
        cmocka_unit_test(it_opens_with_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
