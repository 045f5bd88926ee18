/* password: scrypt's text form, and the queue's bounds. */
#include "test.h"

#include "common/alloc.h"
#include "rest-api/password.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHEAP 16

static void hash_and_verify(void **state)
{
    char hash[PASSWORD_HASH_MAX], again[PASSWORD_HASH_MAX];
    struct error err = { 0 };
    assert_true(password_hash(&env_system, CHEAP, "secret", hash, &err));
    assert_int_equal(strncmp(hash, "scrypt$16$8$1$", 14), 0);
    assert_true(password_verify(CHEAP, "secret", hash, &err));
    assert_false(password_verify(CHEAP, "Secret", hash, &err));
    assert_int_equal(err.code, ERR_UNAUTHENTICATED);
    assert_false(password_verify(CHEAP, "", hash, &err));
    assert_true(password_hash(&env_system, CHEAP, "secret", again, &err));
    assert_string_not_equal(hash, again);
}

/* RFC 7914, section 12: the third vector, so that others' hashes hold. */
static void known_vector(void **state)
{
    assert_true(password_verify(
        CHEAP, "pleaseletmein",
        "scrypt$16384$8$1$U29kaXVtQ2hsb3JpZGU=$cCO9yzr9c0hGHAbNgf046/2o+7qQT44"
        "+qbVD9lRdofLVQylVYT8Pz2LUlwUkKpr55h6F3A1lHkDfzwF7RVdYhw==",
        NULL));
}

static void cost_of_the_hash_counts(void **state)
{
    char hash[PASSWORD_HASH_MAX];
    assert_true(password_hash(&env_system, 1024, "x", hash, NULL));
    assert_true(password_verify(CHEAP, "x", hash, NULL));
}

static void bad_hashes(void **state)
{
    static const char *const bad[] = {
        NULL,
        "",
        "scrypt",
        "scrypt$16$8$1$AAAA",
        "scrypt$15$8$1$AAAAAAAAAAAAAAAAAAAAAA==$AAAA",
        "scrypt$0$8$1$AAAA$AAAA",
        "scrypt$16$99$1$AAAA$AAAA",
        "scrypt$16$8$1$AAAA$AAA",
        "scrypt$16$8$1$AAAA$AAAA$",
        "scrypt$16$8$1$????$AAAA",
        "scrypt$4194304$8$1$AAAA$AAAA",
        "$2b$12$abcdefghijklmnopqrstuv",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct error err = { 0 };
        assert_false(password_verify(CHEAP, "", bad[i], &err));
        assert_int_equal(err.code, ERR_UNAUTHENTICATED);
    }
}

static void too_long(void **state)
{
    char hash[PASSWORD_HASH_MAX], *pw = xmalloc(PASSWORD_MAX + 2);
    struct error err = { 0 };
    memset(pw, 'x', PASSWORD_MAX + 1);
    pw[PASSWORD_MAX + 1] = '\0';
    assert_false(password_hash(&env_system, CHEAP, pw, hash, &err));
    assert_int_equal(err.code, ERR_INVALID);
    pw[PASSWORD_MAX] = '\0';
    assert_true(password_hash(&env_system, CHEAP, pw, hash, &err));
    assert_true(password_verify(CHEAP, pw, hash, &err));
    pw[PASSWORD_MAX] = 'x';
    assert_false(password_verify(CHEAP, pw, hash, &err));
    free(pw);
}

/* What was called back. */
struct seen {
    pthread_mutex_t lock;
    pthread_cond_t more;
    unsigned n, ok, cancelled;
    char text[PASSWORD_HASH_MAX];
};

static void done(void *arg, const char *text, const struct error *err)
{
    struct seen *s = arg;
    pthread_mutex_lock(&s->lock);
    s->n++;
    s->ok += err->code == ERR_NONE;
    s->cancelled += err->code == ERR_CANCELLED;
    if (text)
        snprintf(s->text, sizeof(s->text), "%s", text);
    pthread_cond_signal(&s->more);
    pthread_mutex_unlock(&s->lock);
}

static void await(struct seen *s, unsigned n)
{
    pthread_mutex_lock(&s->lock);
    while (s->n < n)
        pthread_cond_wait(&s->more, &s->lock);
    pthread_mutex_unlock(&s->lock);
}

#define SEEN_INIT                                                              \
    {                                                                          \
        PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER                    \
    }

static void queue(void **state)
{
    struct seen s = SEEN_INIT;
    struct password_queue *q = password_queue_new(&env_system, CHEAP, 1);
    assert_true(password_queue_hash(q, "one", done, &s, NULL));
    await(&s, 1);
    assert_true(password_verify(CHEAP, "one", s.text, NULL));
    assert_true(password_queue_verify(q, "one", s.text, done, &s, NULL));
    await(&s, 2);
    assert_int_equal(s.ok, 2);
    assert_true(password_queue_verify(q, "two", s.text, done, &s, NULL));
    assert_true(password_queue_verify(q, "two", NULL, done, &s, NULL));
    await(&s, 4);
    assert_int_equal(s.ok, 2);
    password_queue_free(q);
}

/* One that holds the only thread until it is let go. */
static void hold(void *arg, const char *text, const struct error *err)
{
    pthread_mutex_lock(arg);
    pthread_mutex_unlock(arg);
}

static void full_queue_is_busy(void **state)
{
    struct seen s = SEEN_INIT;
    pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
    struct error err = { 0 };
    struct password_queue *q = password_queue_new(&env_system, CHEAP, 1);
    pthread_mutex_lock(&gate);
    assert_true(password_queue_hash(q, "x", hold, &gate, NULL));
    unsigned pushed = 0;
    while (password_queue_hash(q, "y", done, &s, &err))
        assert_true(++pushed <= PASSWORD_QUEUE_MAX + 1);
    assert_int_equal(err.code, ERR_BUSY);
    assert_true(pushed >= PASSWORD_QUEUE_MAX - 1);
    pthread_mutex_unlock(&gate);
    password_queue_free(q);
    assert_int_equal(s.n, pushed); /* each was answered, one way or other */
    assert_int_equal(s.ok + s.cancelled, pushed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hash_and_verify),
        cmocka_unit_test(known_vector),
        cmocka_unit_test(cost_of_the_hash_counts),
        cmocka_unit_test(bad_hashes),
        cmocka_unit_test(too_long),
        cmocka_unit_test(queue),
        cmocka_unit_test(full_queue_is_busy),
    };
    return cmocka_run_group_tests_name("password", tests, NULL, NULL);
}
