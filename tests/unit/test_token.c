/* token: what is sealed comes back; nothing else opens. */
#include "test.h"

#include "rest-api/request.h"
#include "rest-api/token.h"
#include "state/cache.h"

#include <pthread.h>
#include <string.h>

#define NOW (INT64_C(1700000000) * SECOND_US)

static void hear_key(struct tokens *t, const char *id, char digit,
                     int64_t created)
{
    char secret[65];
    memset(secret, digit, 64);
    secret[64] = '\0';
    struct token_key *k = record_new(&kind_token_key, id);
    k->secret = rec_str(k, secret);
    k->created = created;
    tokens_heard(t, NULL, &k->rec);
    record_unref(k);
}

static void forget_key(struct tokens *t, const char *id)
{
    struct token_key *k = record_new(&kind_token_key, id);
    tokens_heard(t, &k->rec, NULL);
    record_unref(k);
}

static int setup(void **state)
{
    struct tokens *t = tokens_new(&env_system, NULL);
    hear_key(t, "00000001", 'a', 1);
    *state = t;
    return 0;
}

static int teardown(void **state)
{
    tokens_free(*state);
    return 0;
}

static struct token sample(void)
{
    return (struct token){
        .scope = SCOPE_PROJECT,
        .methods = AUTH_METHOD_PASSWORD | AUTH_METHOD_TOKEN,
        .issued = NOW,
        .expires = NOW + 3600 * SECOND_US,
        .user_id = "0123456789abcdef0123456789abcdef",
        .scope_id = "3f2504e0-4f89-41d3-9a0c-0305e82c3301",
        .app_credential_id = "Some.other-kind of id, UPPER 32 ok",
        .audit_id = "abcdefghijklmnopqrstuv",
        .parent_audit_id = "",
    };
}

/* Field by field: what lies between them is anybody's. */
static void assert_same(const struct token *a, const struct token *b)
{
    assert_int_equal(a->scope, b->scope);
    assert_int_equal(a->methods, b->methods);
    assert_int_equal(a->issued, b->issued);
    assert_int_equal(a->expires, b->expires);
    assert_string_equal(a->user_id, b->user_id);
    assert_string_equal(a->scope_id, b->scope_id);
    assert_string_equal(a->app_credential_id, b->app_credential_id);
    assert_string_equal(a->audit_id, b->audit_id);
    assert_string_equal(a->parent_audit_id, b->parent_audit_id);
}

static void comes_back(void **state)
{
    char text[TOKEN_TEXT_MAX];
    struct token in = sample(), out;
    assert_true(token_seal(*state, &in, text));
    assert_true(strlen(text) < 220);
    assert_int_equal(strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmn"
                                  "opqrstuvwxyz0123456789-_"),
                     strlen(text));
    assert_true(token_open(*state, text, NOW, &out, NULL));
    assert_same(&in, &out);
}

static void longest_ids(void **state)
{
    char text[TOKEN_TEXT_MAX];
    struct token in = sample(), out;
    memset(in.user_id, 'x', TOKEN_ID_MAX);
    memset(in.scope_id, 'y', TOKEN_ID_MAX);
    memset(in.app_credential_id, 'z', TOKEN_ID_MAX);
    memset(in.parent_audit_id, 'p', TOKEN_AUDIT_ID_SIZE - 1);
    assert_true(token_seal(*state, &in, text));
    assert_true(token_open(*state, text, NOW, &out, NULL));
    assert_same(&in, &out);
}

static void expires(void **state)
{
    char text[TOKEN_TEXT_MAX];
    struct token in = sample(), out;
    struct error err = { 0 };
    token_seal(*state, &in, text);
    assert_true(token_open(*state, text, in.expires - 1, &out, &err));
    assert_false(token_open(*state, text, in.expires, &out, &err));
    assert_int_equal(err.code, ERR_UNAUTHENTICATED);
}

static void refused(struct tokens *t, const char *text)
{
    struct token out;
    struct error err = { 0 };
    assert_false(token_open(t, text, NOW, &out, &err));
    assert_int_equal(err.code, ERR_UNAUTHENTICATED);
    assert_string_equal(err.text,
                        "The request you have made requires authentication.");
}

static void every_flipped_bit(void **state)
{
    char text[TOKEN_TEXT_MAX];
    struct token in = sample();
    token_seal(*state, &in, text);
    for (size_t i = 0; text[i]; i++)
        for (int bit = 0; bit < 7; bit++) {
            char was = text[i];
            text[i] = (char)(was ^ (1 << bit));
            refused(*state, text);
            text[i] = was;
        }
}

static void every_truncation(void **state)
{
    char text[TOKEN_TEXT_MAX];
    struct token in = sample();
    token_seal(*state, &in, text);
    for (size_t len = strlen(text); len-- > 0;) {
        text[len] = '\0';
        refused(*state, text);
    }
}

static void garbage(void **state)
{
    char text[TOKEN_TEXT_MAX + 200], longer[4096];
    struct token in = sample();
    token_seal(*state, &in, text);
    memcpy(longer, text, strlen(text));
    memset(longer + strlen(text), 'A', sizeof(longer) - strlen(text));
    longer[sizeof(longer) - 1] = '\0';
    refused(*state, longer);
    refused(*state, "");
    refused(*state, "=");
    refused(*state, "gAAAAABnotours");
    text[strlen(text) + 1] = '\0';
    text[strlen(text)] = 'A';
    refused(*state, text);
}

/* The first byte is the version; a sealed token of another one is foreign. */
static void other_version(void **state)
{
    char text[TOKEN_TEXT_MAX];
    struct token in = sample();
    token_seal(*state, &in, text);
    assert_int_equal(text[0], 'A'); /* the upper six bits of version 1 */
    text[0] = 'B';
    refused(*state, text);
}

static void keys_rotate(void **state)
{
    struct tokens *t = *state;
    char old[TOKEN_TEXT_MAX], fresh[TOKEN_TEXT_MAX];
    struct token in = sample(), out;
    token_seal(t, &in, old);
    hear_key(t, "00000002", 'b', 2);
    token_seal(t, &in, fresh);
    assert_true(token_open(t, old, NOW, &out, NULL));
    assert_true(token_open(t, fresh, NOW, &out, NULL));
    forget_key(t, "00000001");
    refused(t, old);
    assert_true(token_open(t, fresh, NOW, &out, NULL));
    forget_key(t, "00000002");
    refused(t, fresh);
    assert_false(token_seal(t, &in, fresh));
    assert_string_equal(fresh, "");
}

static void keys_of_another_pool(void **state)
{
    struct tokens *other = tokens_new(&env_system, NULL);
    char text[TOKEN_TEXT_MAX];
    struct token in = sample(), out;
    hear_key(other, "00000001", 'c', 1);
    token_seal(other, &in, text);
    refused(*state, text);
    assert_true(token_open(other, text, NOW, &out, NULL));
    tokens_free(other);
}

static void broken_keys_are_ignored(void **state)
{
    struct tokens *t = tokens_new(&env_system, NULL);
    char text[TOKEN_TEXT_MAX];
    struct token in = sample();
    hear_key(t, "not hex", 'a', 1);
    hear_key(t, "00000001", 'x', 1);
    assert_false(token_seal(t, &in, text));
    tokens_free(t);
}

static void no_two_are_equal(void **state)
{
    char a[TOKEN_TEXT_MAX], b[TOKEN_TEXT_MAX];
    struct token in = sample();
    token_seal(*state, &in, a);
    token_seal(*state, &in, b);
    assert_string_not_equal(a, b);
    char x[TOKEN_AUDIT_ID_SIZE], y[TOKEN_AUDIT_ID_SIZE];
    token_audit_id(&env_system, x);
    token_audit_id(&env_system, y);
    assert_int_equal(strlen(x), TOKEN_AUDIT_ID_SIZE - 1);
    assert_string_not_equal(x, y);
}

/* Keys come and go while others seal and open. */
static void *seal_and_open(void *arg)
{
    char text[TOKEN_TEXT_MAX];
    struct token in = sample(), out;
    uintptr_t opened = 0;
    for (int i = 0; i < 2000; i++)
        if (token_seal(arg, &in, text))
            opened += token_open(arg, text, NOW, &out, NULL);
    return (void *)opened;
}

static void threads(void **state)
{
    pthread_t a, b;
    void *na, *nb;
    pthread_create(&a, NULL, seal_and_open, *state);
    pthread_create(&b, NULL, seal_and_open, *state);
    for (int i = 2; i < 10; i++) {
        char id[9] = "0000000";
        id[7] = (char)('0' + i);
        hear_key(*state, id, 'd', i);
    }
    pthread_join(a, &na);
    pthread_join(b, &nb);
    assert_int_equal((uintptr_t)na, 2000);
    assert_int_equal((uintptr_t)nb, 2000);
}

static void rotation_by_records(void **state)
{
    struct error err = { 0 };
    struct store *store = store_memory_open(&env_system);
    struct cache *cache = cache_new(model_kinds, N_KINDS);
    struct tokens *t = tokens_new(&env_system, cache);
    struct token in = sample(), out;
    char text[5][TOKEN_TEXT_MAX];
    assert_true(cache_follow(cache, store, &err));
    for (int i = 0; i < 5; i++) {
        _autotxn_ struct txn txn = TXN_INIT;
        struct snapshot *snap = cache_snapshot(cache);
        tokens_rotate(&txn, snap, &env_system, 3);
        snapshot_unref(snap);
        struct txn_result result;
        assert_true(store_commit(store, &txn, &result));
        assert_true(token_seal(t, &in, text[i]));
    }
    struct snapshot *snap = cache_snapshot(cache);
    assert_int_equal(snap_count(snap, &kind_token_key), 3);
    snapshot_unref(snap);
    for (int i = 0; i < 5; i++)
        assert_int_equal(token_open(t, text[i], NOW, &out, NULL), i >= 2);
    cache_unfollow(cache);
    tokens_free(t);
    cache_free(cache);
    store_close(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
        T(comes_back),
        T(longest_ids),
        T(expires),
        T(every_flipped_bit),
        T(every_truncation),
        T(garbage),
        T(other_version),
        T(keys_rotate),
        T(keys_of_another_pool),
        T(broken_keys_are_ignored),
        T(no_two_are_equal),
        T(threads),
        T(rotation_by_records),
    };
    return cmocka_run_group_tests_name("token", tests, NULL, NULL);
}
