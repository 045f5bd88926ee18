#include "test.h"

#include "eventually.h"

#include "common/alloc.h"
#include "state/reconcile.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- step mode: a clock that stands still until it is moved -------------- */

static int64_t clock_us = 1000;

static int64_t fake_mono(void *self)
{
    return clock_us;
}

static void fake_random(void *self, void *out, size_t len)
{
    memset(out, 0, len);
}

static const struct env fake = { NULL, fake_mono, fake_mono, fake_random };

struct script {
    struct reconciler *r;
    char ran[256];
    enum reconcile_verdict verdict;
    int64_t delay_us;
    const char *add; /* a key to add from within */
};

static enum reconcile_verdict
follow_script(void *self, const char *key, int64_t *delay_us, struct error *err)
{
    struct script *s = self;
    size_t used = strlen(s->ran);
    snprintf(s->ran + used, sizeof(s->ran) - used, "%s ", key);
    if (s->add)
        reconciler_add(s->r, s->add);
    *delay_us = s->delay_us;
    if (s->verdict == RECONCILE_RETRY)
        error_set(err, ERR_INTERNAL, "as told");
    return s->verdict;
}

static int setup(void **state)
{
    struct script *s = xcalloc(1, sizeof(*s));
    s->r = reconciler_new("test", follow_script, s, &fake, 0);
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    struct script *s = *state;
    reconciler_stop(s->r);
    free(s);
    return 0;
}

static void keys_are_merged_and_in_order(void **state)
{
    struct script *s = *state;
    assert_false(reconciler_step(s->r, 0));
    assert_true(reconciler_next_due(s->r) == INT64_MAX);
    reconciler_add(s->r, "b");
    reconciler_add(s->r, "a");
    reconciler_add(s->r, "b");
    assert_int_equal(reconciler_stats(s->r).queued, 2);
    while (reconciler_step(s->r, 0))
        ;
    assert_string_equal(s->ran, "b a ");
    assert_int_equal(reconciler_stats(s->r).runs, 2);
    assert_int_equal(reconciler_stats(s->r).queued, 0);
}

static void pick_chooses(void **state)
{
    struct script *s = *state;
    reconciler_add(s->r, "a");
    reconciler_add(s->r, "b");
    reconciler_add(s->r, "c");
    reconciler_add_after(s->r, "later", 1);
    assert_true(reconciler_step(s->r, 4)); /* 4 % 3: the second */
    assert_true(reconciler_step(s->r, 1));
    assert_true(reconciler_step(s->r, 5));
    assert_false(reconciler_step(s->r, 3));
    assert_string_equal(s->ran, "b c a ");
}

static void delays(void **state)
{
    struct script *s = *state;
    reconciler_add_after(s->r, "a", 500);
    assert_int_equal(reconciler_next_due(s->r), clock_us + 500);
    reconciler_add_after(s->r, "a", 900); /* the earlier one counts */
    assert_int_equal(reconciler_next_due(s->r), clock_us + 500);
    reconciler_add_after(s->r, "a", 200);
    assert_int_equal(reconciler_next_due(s->r), clock_us + 200);
    assert_false(reconciler_step(s->r, 0));
    clock_us += 200;
    s->verdict = RECONCILE_AGAIN;
    s->delay_us = 77;
    assert_true(reconciler_step(s->r, 0));
    assert_int_equal(reconciler_next_due(s->r), clock_us + 77);
    assert_int_equal(reconciler_stats(s->r).retries, 0);
}

static void failures_back_off(void **state)
{
    struct script *s = *state;
    int64_t want = 100000;
    s->verdict = RECONCILE_RETRY;
    reconciler_add(s->r, "a");
    for (int i = 0; i < 12; i++) {
        assert_true(reconciler_step(s->r, 0));
        assert_int_equal(reconciler_next_due(s->r), clock_us + want);
        clock_us += want;
        want = want * 2 < 30000000 ? want * 2 : 30000000;
    }
    s->verdict = RECONCILE_DONE; /* and from the beginning after a success */
    assert_true(reconciler_step(s->r, 0));
    s->verdict = RECONCILE_RETRY;
    reconciler_add(s->r, "a");
    assert_true(reconciler_step(s->r, 0));
    assert_int_equal(reconciler_next_due(s->r), clock_us + 100000);
}

static void a_failing_key_delays_no_other(void **state)
{
    struct script *s = *state;
    s->verdict = RECONCILE_RETRY;
    reconciler_add(s->r, "bad");
    assert_true(reconciler_step(s->r, 0));
    reconciler_add(s->r, "good");
    s->verdict = RECONCILE_DONE;
    assert_true(reconciler_step(s->r, 0));
    assert_false(reconciler_step(s->r, 0));
    assert_string_equal(s->ran, "bad good ");
    reconciler_add(s->r, "bad"); /* somebody changed it: at once */
    assert_true(reconciler_step(s->r, 0));
}

static void added_while_it_runs(void **state)
{
    struct script *s = *state;
    s->add = "a";
    reconciler_add(s->r, "a");
    assert_true(reconciler_step(s->r, 0));
    s->add = NULL;
    assert_true(reconciler_step(s->r, 0));
    assert_false(reconciler_step(s->r, 0));
    assert_string_equal(s->ran, "a a ");

    s->add = "a"; /* a failing one that adds itself does not spin */
    s->verdict = RECONCILE_RETRY;
    reconciler_add(s->r, "a");
    assert_true(reconciler_step(s->r, 0));
    assert_false(reconciler_step(s->r, 0));
}

/* Many keys at random times come in the order of their times. */
static void ordered_by_time(void **state)
{
    struct script *s = *state;
    int64_t last = 0;
    unsigned seed = 5;
    for (int i = 0; i < 1000; i++) {
        char key[16];
        seed = seed * 1103515245 + 12345;
        snprintf(key, sizeof(key), "k%u", seed >> 16 & 255);
        reconciler_add_after(s->r, key, seed >> 8 & 0xffff);
    }
    for (int64_t due; (due = reconciler_next_due(s->r)) != INT64_MAX;) {
        assert_true(due >= last);
        last = clock_us = due;
        s->ran[0] = '\0';
        assert_true(reconciler_step(s->r, 0));
    }
    assert_int_equal(reconciler_stats(s->r).queued, 0);
}

/* ---- threads ----------------------------------------------------------- */

#define KEYS 16

struct crowd {
    atomic_int running[KEYS], runs[KEYS], clashes;
    atomic_uint wanted[KEYS], seen[KEYS];
};

static enum reconcile_verdict busy(void *self, const char *key,
                                   int64_t *delay_us, struct error *err)
{
    struct crowd *c = self;
    int k = key[0] - 'a';
    if (atomic_fetch_add(&c->running[k], 1))
        c->clashes++;
    c->seen[k] = c->wanted[k];
    struct timespec nap = { .tv_nsec = 20000 };
    nanosleep(&nap, NULL);
    atomic_fetch_sub(&c->running[k], 1);
    if (c->runs[k]++ % 5 == 0)
        return error_set(err, ERR_BUSY, "now and then") ? RECONCILE_DONE
                                                        : RECONCILE_RETRY;
    return RECONCILE_DONE;
}

struct adder {
    struct crowd *crowd;
    struct reconciler *r;
};

static void *add_many(void *arg)
{
    struct adder *a = arg;
    for (int i = 0; i < 400; i++) {
        char key[2] = { (char)('a' + i % KEYS), '\0' };
        a->crowd->wanted[i % KEYS]++;
        reconciler_add(a->r, key);
    }
    return NULL;
}

/* No key runs twice at once, and the last state wanted is always seen. */
static void threads(void **state)
{
    struct crowd crowd = { 0 };
    struct adder a = { &crowd,
                       reconciler_new("test", busy, &crowd, &env_system, 4) };
    pthread_t adders[3];
    for (int i = 0; i < 3; i++)
        pthread_create(&adders[i], NULL, add_many, &a);
    for (int i = 0; i < 3; i++)
        pthread_join(adders[i], NULL);
    eventually(reconciler_stats(a.r).queued == 0);
    assert_true(reconciler_stats(a.r).retries > 0);
    for (int k = 0; k < KEYS; k++)
        assert_int_equal(crowd.seen[k], crowd.wanted[k]);
    assert_int_equal(crowd.clashes, 0);
    reconciler_stop(a.r);
}

static enum reconcile_verdict slow(void *self, const char *key,
                                   int64_t *delay_us, struct error *err)
{
    atomic_int *phase = self;
    struct timespec nap = { .tv_nsec = 50000000 };
    *phase = 1;
    nanosleep(&nap, NULL);
    *phase = 2;
    return RECONCILE_DONE;
}

static void stop_waits_for_what_runs(void **state)
{
    atomic_int phase = 0;
    struct reconciler *r = reconciler_new("test", slow, &phase, &env_system, 1);
    reconciler_add(r, "a");
    reconciler_add_after(r, "never", 3600 * SECOND_US);
    eventually(phase);
    reconciler_stop(r);
    assert_int_equal(phase, 2);
    reconciler_stop(NULL);
}

int main(void)
{
#define STEP(test_) cmocka_unit_test_setup_teardown(test_, setup, teardown)
    const struct CMUnitTest tests[] = {
        STEP(keys_are_merged_and_in_order),
        STEP(pick_chooses),
        STEP(delays),
        STEP(failures_back_off),
        STEP(a_failing_key_delays_no_other),
        STEP(added_while_it_runs),
        STEP(ordered_by_time),
        cmocka_unit_test(threads),
        cmocka_unit_test(stop_waits_for_what_runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
