/* The HTTP server in a pool of two: requests stand still until the cache is
 * known to be current. */
#include "httpd_house.h"

#include "eventually.h"
#include "failing_store.h"

#include "model/pool.h"

#include <pthread.h>

#define CLIENTS 8
#define EACH    25

static void put_member(struct house *h, const char *name)
{
    _autotxn_ struct txn t = TXN_INIT;
    _autorecord_ struct member *m = record_new(&kind_member, name);
    m->address = "192.0.2.1";
    txn_change_record(&t, m);
    assert_true(store_commit(h->store, &t, NULL));
}

static int setup(void **state)
{
    struct house *h = *state = house_open(NULL, NULL, NULL);
    put_member(h, "n1");
    put_member(h, "n2");
    return 0;
}

static int teardown(void **state)
{
    house_close(*state);
    return 0;
}

/* One PUT after the other on one connection: each sees the one before. */
static void *count_up(void *arg)
{
    static atomic_int last;
    struct house *h = arg;
    struct buf a = ANSWER_INIT;
    int fd = house_dial(h), mine = atomic_fetch_add(&last, 1);
    intptr_t good = 0;
    for (int i = 1; i <= EACH; i++) {
        char text[200], want[40];
        snprintf(text, sizeof(text),
                 "PUT /t/regions/r%d HTTP/1.1\r\nHost: x\r\n"
                 "Content-Length: 2\r\n\r\n{}",
                 mine);
        snprintf(want, sizeof(want), "{\"n\":%d}", i);
        house_tell(fd, text, strlen(text));
        good +=
            house_hear(fd, &a) == 200 && strcmp(house_body_of(&a), want) == 0;
    }
    close(fd);
    buf_free(&a);
    return (void *)good;
}

static void many_at_once(void **state)
{
    pthread_t t[CLIENTS];
    for (int i = 0; i < CLIENTS; i++)
        assert_int_equal(pthread_create(&t[i], NULL, count_up, *state), 0);
    for (int i = 0; i < CLIENTS; i++) {
        void *good;
        pthread_join(t[i], &good);
        assert_int_equal((intptr_t)good, EACH);
    }
}

static void uploads_and_refusals(void **state)
{
    static char body[300000];
    struct buf a = ANSWER_INIT;
    memset(body, 'u', sizeof(body) - 1);
    assert_int_equal(house_ask(*state, &a, "PUT", "/t/upload/one", NULL, body),
                     204);
    assert_int_equal(house_ask(*state, &a, "PUT", "/t/upload/one", NULL, body),
                     409);
    assert_int_equal(house_ask(*state, &a, "POST", "/t/secret", NULL, body),
                     401);
    assert_int_equal(house_ask(*state, &a, "POST", "/t/secret",
                               "X-Auth-Token: nonsense\r\n", body),
                     401);
    buf_free(&a);
}

static bool is_marked(struct house *h)
{
    struct buf a = ANSWER_INIT;
    assert_int_equal(house_ask(h, &a, "DELETE", "/t/nothing", NULL, NULL), 204);
    bool marked = strcasestr(buf_str(&a), "\r\n" API_UNCONFIRMED ": ") != NULL;
    buf_free(&a);
    return marked;
}

static void without_a_majority(void **state)
{
    struct house *h = *state;
    struct buf a = ANSWER_INIT;
    assert_false(is_marked(h));
    failing_store_fail(h->store, TXN_UNKNOWN, ERR_UNKNOWN);
    int64_t began = env_mono(&env_system);
    assert_true(is_marked(h));
    assert_true(env_mono(&env_system) - began >= CONFIRM_PATIENCE_US);
    assert_int_equal(house_ask(h, &a, "POST", "/t/look/none", NULL, ""), 503);
    assert_non_null(strcasestr(buf_str(&a), "\r\nRetry-After: 1\r\n"));
    failing_store_fail(h->store, TXN_COMMITTED, ERR_NONE);
    eventually(!is_marked(h));
    assert_int_equal(house_ask(h, &a, "POST", "/t/look/none", NULL, ""), 404);
    buf_free(&a);
}

static void *look(void *arg)
{
    struct buf a = ANSWER_INIT;
    intptr_t status = house_ask(arg, &a, "POST", "/t/look/none", NULL, "");
    buf_free(&a);
    return (void *)status;
}

/* Nobody is left waiting for what will not come. */
static void stop_ends_what_waits(void **state)
{
    struct house *h = house_open(NULL, NULL, NULL);
    pthread_t t;
    void *status;
    put_member(h, "n1");
    put_member(h, "n2");
    failing_store_fail(h->store, TXN_UNKNOWN, ERR_UNKNOWN);
    pthread_create(&t, NULL, look, h);
    eventually(httpd_stats(h->httpd).active == 1);
    house_close(h);
    pthread_join(t, &status);
    assert_true((intptr_t)status == 503 || (intptr_t)status == 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(many_at_once),
        T(uploads_and_refusals),
        T(without_a_majority),
        cmocka_unit_test(stop_ends_what_waits),
    };
    return cmocka_run_group_tests_name("httpd_pool", tests, NULL, NULL);
}
