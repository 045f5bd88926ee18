/* The server's certificate is made anew before its end, by a clock that is
 * moved; who shows it is told, once. */
#include "test.h"

#include "tempdir.h"

#include "common/alloc.h"
#include "common/cleanup.h"
#include "daemon/renewal.h"

#include <string.h>

#define DAY (24 * 3600 * SECOND_US)

static const char *const names[] = { "192.0.2.7", NULL };

struct lab {
    struct env env;
    int64_t time;
    char dir[TEMPDIR_MAX];
    struct renewal *renewal;
    int told;
    char *shown;
};

static int64_t lab_time(void *self)
{
    return ((struct lab *)self)->time;
}

static void lab_random(void *self, void *out, size_t len)
{
    env_random(&env_system, out, len);
}

static void on_changed(void *arg, const struct pki *pki)
{
    struct lab *l = arg;
    l->told++;
    free(l->shown);
    l->shown = xstrdup(pki->cert);
}

static int setup(void **state)
{
    struct lab *l = xcalloc(1, sizeof(*l));
    struct pki pki;
    struct error err = { 0 };
    l->time = INT64_C(1800000000) * SECOND_US;
    l->env = (struct env){ l, lab_time, lab_time, lab_random };
    tempdir_make(l->dir);
    if (!pki_open(l->dir, names, l->time, &pki, &err))
        fail_msg("%s", err.text);
    l->shown = xstrdup(pki.cert);
    l->renewal = renewal_start(&(struct renewal_config){
        .env = &l->env,
        .open = pki_open,
        .whose = "the test",
        .dir = l->dir,
        .names = names,
        .cert = pki.cert,
        .changed = on_changed,
        .arg = l,
    });
    pki_close(&pki);
    *state = l;
    return 0;
}

static int teardown(void **state)
{
    struct lab *l = *state;
    renewal_stop(l->renewal);
    tempdir_remove(l->dir);
    free(l->shown);
    free(l);
    return 0;
}

/* Lets time pass in steps of a quarter of a day. */
static void pass(struct lab *l, int64_t us)
{
    for (int64_t end = l->time + us; l->time < end; l->time += DAY / 4)
        while (reconciler_step(renewal_queue(l->renewal), 0))
            ;
}

static void renewed_before_the_last_third(void **state)
{
    struct lab *l = *state;
    _autofree_ char *first = xstrdup(l->shown);
    int64_t third = PKI_SERVER_DAYS * DAY / 3;
    pass(l, 2 * third - 2 * DAY);
    assert_int_equal(l->told, 0);
    pass(l, 3 * DAY);
    assert_int_equal(l->told, 1);
    assert_string_not_equal(l->shown, first);
    pass(l, 2 * third - 3 * DAY);
    assert_int_equal(l->told, 1);
    pass(l, 5 * DAY);
    assert_int_equal(l->told, 2);
}

/* Nobody is told of a failure, and it ends by itself. */
static void a_failure_is_tried_again(void **state)
{
    struct lab *l = *state;
    char ca[TEMPDIR_MAX + 20], away[TEMPDIR_MAX + 20];
    snprintf(ca, sizeof(ca), "%s/ca.key", l->dir);
    snprintf(away, sizeof(away), "%s/away", l->dir);
    assert_int_equal(rename(ca, away), 0);
    pass(l, 300 * DAY);
    assert_int_equal(l->told, 0);
    assert_int_equal(rename(away, ca), 0);
    pass(l, DAY);
    assert_int_equal(l->told, 1);
}

static void looks_when_asked(void **state)
{
    struct lab *l = *state;
    char path[TEMPDIR_MAX + 20];
    snprintf(path, sizeof(path), "%s/server.crt", l->dir);
    unlink(path);
    renewal_look(l->renewal);
    while (reconciler_step(renewal_queue(l->renewal), 0))
        ;
    assert_int_equal(l->told, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
        T(renewed_before_the_last_third),
        T(a_failure_is_tried_again),
        T(looks_when_asked),
    };
    return cmocka_run_group_tests_name("renewal", tests, NULL, NULL);
}
