/* Elections: the decisions alone, then on memory, on SQLite and on etcd. */
#include "test.h"

#include "etcd_child.h"
#include "tempdir.h"

#include "state/election.h"
#include "state/store_etcd.h"

#include <pthread.h>
#include <stdatomic.h>

/* ---- the decisions --------------------------------------------------------
 */

#define SEC SECOND_US

static void leads_and_loses(void **state)
{
    struct election_core c;
    int64_t until;
    election_core_init(&c, 10);
    assert_int_equal(election_next(&c, 0).what, ELECTION_LIST);
    election_observed(&c, 0, 0, 0);
    assert_int_equal(election_next(&c, 0).what, ELECTION_WAIT); /* no wish */
    c.wanted = true;
    assert_int_equal(election_next(&c, 0).what, ELECTION_GRANT);
    election_granted(&c, 1 * SEC, 2 * SEC, ELECTION_DONE, 77);
    assert_int_equal(election_next(&c, 2 * SEC).what, ELECTION_CAMPAIGN);
    assert_false(election_leads(&c, 2 * SEC, &until));
    election_campaigned(&c, 2 * SEC, ELECTION_DONE, 5);
    assert_true(election_leads(&c, 2 * SEC, &until));
    assert_int_equal(until, 10 * SEC); /* nine tenths from when it was sent */
    assert_int_equal(election_next(&c, 3 * SEC).what, ELECTION_WAIT);
    assert_int_equal(election_next(&c, 5 * SEC).what, ELECTION_KEEPALIVE);
    election_kept(&c, 5 * SEC, 9 * SEC, ELECTION_UNSURE);
    assert_true(election_leads(&c, 9 * SEC, &until));
    assert_false(election_leads(&c, 10 * SEC, &until)); /* no more trust */
    election_kept(&c, 11 * SEC, 12 * SEC, ELECTION_DONE);
    assert_true(election_leads(&c, 12 * SEC, &until)); /* still ours */
    election_kept(&c, 15 * SEC, 15 * SEC, ELECTION_REFUSED);
    assert_false(election_leads(&c, 15 * SEC, &until));
    assert_int_equal(election_next(&c, 15 * SEC).what, ELECTION_LIST);
}

static void an_answer_that_was_lost(void **state)
{
    struct election_core c;
    int64_t until;
    election_core_init(&c, 10);
    c.wanted = true;
    election_observed(&c, 0, 0, 0);
    election_granted(&c, 0, 0, ELECTION_DONE, 77);
    election_campaigned(&c, 1, ELECTION_UNSURE, 0);
    assert_int_equal(election_next(&c, SEC).what, ELECTION_LIST);
    election_observed(&c, 9, 9, 77); /* it had happened */
    assert_true(election_leads(&c, SEC, &until));
    election_observed(&c, 12, 12, 78); /* and is over */
    assert_false(election_leads(&c, SEC, &until));
    assert_int_equal(election_next(&c, SEC).what, ELECTION_REVOKE);
}

static void somebody_else_leads(void **state)
{
    struct election_core c;
    election_core_init(&c, 10);
    c.wanted = true;
    election_observed(&c, 4, 4, 1);
    assert_int_equal(election_next(&c, SEC).at, INT64_MAX); /* costs nothing */
    election_observed(&c, 0, 0, 0);
    assert_int_equal(election_next(&c, SEC).what, ELECTION_GRANT);
    election_granted(&c, SEC, SEC, ELECTION_UNSURE, 0);
    assert_int_equal(election_next(&c, SEC).what, ELECTION_WAIT);
    assert_int_equal(election_next(&c, 2 * SEC).what, ELECTION_GRANT);
}

/* ---- many candidates, a clock that is moved --------------------------------
 */

static int64_t fake_time;

static int64_t fake_mono(void *self)
{
    return fake_time;
}

static void fake_random(void *self, void *out, size_t len)
{
    env_random(&env_system, out, len);
}

static const struct env fake_env = { NULL, fake_mono, fake_mono, fake_random };

#define CANDIDATES 5

static struct election *stand(struct store *s, int i)
{
    char name[16];
    snprintf(name, sizeof(name), "c%d", i);
    return election_new(&(struct election_config){ .store = s,
                                                   .env = &fake_env,
                                                   .name = "engine",
                                                   .candidate = name,
                                                   .ttl_s = 5,
                                                   .manual = true },
                        NULL);
}

/* Candidates die, come back, resign, and are not scheduled for a while; at no
 * moment do two lead, and terms only grow. */
static void never_two(void **state)
{
    struct store *s = store_memory_open(&fake_env);
    struct election *e[CANDIDATES] = { NULL };
    int64_t newest = 0;
    int terms = 0;
    srand(7);
    for (int step = 0; step < 60000; step++) {
        int i = rand() % CANDIDATES, what = rand() % 1000;
        if (!e[i])
            e[i] = stand(s, i);
        if (what < 2) {
            election_free(e[i], false); /* died */
            e[i] = NULL;
        } else if (what < 4) {
            election_resign(e[i]);
        } else if (what < 10) {
            election_stand(e[i]);
        } else if (what < 12) {
            fake_time += 6 * SEC; /* everybody hangs */
        } else {
            election_step(e[i]);
        }
        fake_time += rand() % (SEC / 20);
        store_memory_tick(s);
        int leaders = 0;
        for (int k = 0; k < CANDIDATES; k++) {
            int64_t term = e[k] ? election_term(e[k]) : 0;
            leaders += term != 0;
            assert_true(!term || term >= newest);
            terms += term > newest;
            newest = term > newest ? term : newest;
        }
        assert_true(leaders <= 1);
    }
    assert_true(terms > 50);
    for (int i = 0; i < CANDIDATES; i++)
        election_free(e[i], true);
    store_close(s);
}

static void guard_fences(void **state)
{
    struct store *s = store_memory_open(&fake_env);
    struct election *a = stand(s, 0), *b = stand(s, 1);
    _autotxn_ struct txn t = TXN_INIT, late = TXN_INIT;
    char leader[ELECTION_NAME_MAX];
    while (!election_term(a))
        election_step(a);
    assert_false(election_guard(b, &t));
    assert_true(election_guard(a, &t));
    txn_put(&t, "x", "1", 1);
    assert_true(store_commit(s, &t, NULL));
    assert_true(election_guard(a, &late));
    txn_put(&late, "x", "2", 1);
    fake_time += 5 * SEC;
    assert_int_equal(election_term(a), 0);
    store_memory_tick(s);
    while (!election_term(b))
        election_step(b);
    assert_false(store_commit(s, &late, NULL)); /* of the old leader */
    assert_int_equal(election_leader(b, leader), election_term(b));
    assert_string_equal(leader, "c1");
    election_free(a, true);
    election_free(b, true);
    store_close(s);
}

static int64_t told_terms[8];
static int n_told;

static void note_term(void *arg, int64_t term)
{
    assert_true(n_told < 8);
    told_terms[n_told++] = term;
}

/* Its trust ends and comes back before anybody has looked: whoever asked it
 * meanwhile did nothing, so he is told as if it had ended. */
static void a_lapse_is_told(void **state)
{
    struct store *s = store_memory_open(&fake_env);
    struct election_config c = { .store = s,
                                 .env = &fake_env,
                                 .name = "engine",
                                 .candidate = "a",
                                 .ttl_s = 5,
                                 .changed = note_term,
                                 .manual = true };
    struct election *e = election_new(&c, NULL);
    n_told = 0;
    while (!election_term(e) || !n_told)
        election_step(e);
    int64_t term = told_terms[0];
    fake_time += 4600 * INT64_C(1000); /* beyond nine tenths */
    assert_int_equal(election_term(e), 0);
    for (int i = 0; i < 5; i++)
        election_step(e); /* the lease is kept: the store has not ended it */
    assert_int_equal(election_term(e), term);
    assert_int_equal(n_told, 3);
    assert_int_equal(told_terms[1], 0);
    assert_int_equal(told_terms[2], term);
    election_free(e, true);
    store_close(s);
}

/* ---- with threads, in real time ---------------------------------------------
 */

static atomic_llong told[2];

static void on_changed(void *arg, int64_t term)
{
    *(atomic_llong *)arg = term;
}

static int64_t wait_term(struct election *e, atomic_llong *told_to)
{
    int64_t begun = env_mono(&env_system);
    while (!election_term(e) || *told_to != election_term(e))
        if (env_mono(&env_system) - begun > 20 * SEC)
            fail_msg("no leader for 20 s");
        else
            usleep(2000);
    return env_mono(&env_system) - begun;
}

/* The first leads; it dies without a word; the second takes over. */
static void takes_over(struct store *one, struct store *two, const char *what)
{
    struct election_config c = { .store = one,
                                 .env = &env_system,
                                 .name = "engine",
                                 .candidate = "a",
                                 .changed = on_changed,
                                 .arg = &told[0] };
    told[0] = told[1] = 0;
    struct election *a = election_new(&c, NULL);
    wait_term(a, &told[0]);
    int64_t first = election_term(a);
    c.store = two;
    c.candidate = "b";
    c.arg = &told[1];
    struct election *b = election_new(&c, NULL);
    usleep(1500000); /* it must not lead while the other keeps alive */
    assert_int_equal(election_term(b), 0);
    assert_int_equal(election_term(a), first);
    election_free(a, false);
    int64_t took = wait_term(b, &told[1]);
    print_message("%s: the next leader after %.2f s\n", what,
                  (double)took / SEC);
    assert_true(election_term(b) > first);
    c.candidate = "c";
    c.arg = &told[0];
    told[0] = 0;
    struct election *third = election_new(&c, NULL);
    int64_t begun = env_mono(&env_system);
    election_free(b, true); /* resigns: at once */
    wait_term(third, &told[0]);
    assert_true(env_mono(&env_system) - begun < 2 * SEC);
    election_free(third, true);
}

static void on_sqlite(void **state)
{
    char dir[TEMPDIR_MAX], path[TEMPDIR_MAX + 16];
    struct error err;
    snprintf(path, sizeof(path), "%s/store.db", tempdir_make(dir));
    struct store *s = store_sqlite_open(path, &env_system, &err);
    takes_over(s, s, "sqlite");
    store_close(s);
    tempdir_remove(dir);
}

static void on_etcd(void **state)
{
    static struct etcd_child etcd;
    const char *endpoints[ETCD_MEMBERS];
    struct error err;
    if (!etcd_there())
        skip();
    etcd_child_start(&etcd, 1);
    struct store_etcd_config c = { .endpoints = endpoints,
                                   .n_endpoints =
                                       etcd_endpoints(&etcd, endpoints),
                                   .begin = ETCD_MAY_CREATE,
                                   .env = &env_system };
    struct store *s = store_etcd_open(&c, &err);
    struct store *other = store_etcd_open(&c, &err);
    assert_true(s && other);
    takes_over(s, other, "etcd");
    store_close(s);
    store_close(other);
    etcd_child_stop(&etcd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(leads_and_loses),
        cmocka_unit_test(an_answer_that_was_lost),
        cmocka_unit_test(somebody_else_leads),
        cmocka_unit_test(never_two),
        cmocka_unit_test(guard_fences),
        cmocka_unit_test(a_lapse_is_told),
        cmocka_unit_test(on_sqlite),
        cmocka_unit_test(on_etcd),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
