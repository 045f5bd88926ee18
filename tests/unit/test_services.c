/* services: order, back-off, stopping, restarts; then the supervisor with
 * real processes: it starts, restarts, finds them again, stops in order. */
#include "test.h"

#include "common/alloc.h"
#include "common/buf.h"
#include "common/cleanup.h"
#include "daemon/services.h"
#include "daemon/supervisor.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define S INT64_C(1000000)

/* ---- the state machine ------------------------------------------------- */

static struct services s;
static size_t at;

/* a <- b <- c */
static int setup(void **state)
{
    static const char *const after_a[SERVICE_AFTER_MAX] = { "a" };
    static const char *const after_b[SERVICE_AFTER_MAX] = { "b" };
    s = (struct services){ 0 };
    assert_true(services_add(&s, "a", NULL, false));
    assert_true(services_add(&s, "b", after_a, false));
    assert_true(services_add(&s, "c", after_b, false));
    for (size_t i = 0; i < s.n; i++)
        services_want(&s, i, true);
    return 0;
}

static void expect(int64_t now, enum service_act act, const char *name)
{
    assert_int_equal(services_next(&s, now, &at), act);
    if (act != SERVICE_NOTHING)
        assert_string_equal(s.all[at].name, name);
}

/* From start to up at `now`. */
static void comes_up(int64_t now, const char *name)
{
    expect(now, SERVICE_START, name);
    services_started(&s, at, true, now);
    expect(now, SERVICE_PROBE, name);
    services_probed(&s, at, true, now);
}

static void all_up(int64_t now)
{
    comes_up(now, "a");
    comes_up(now, "b");
    comes_up(now, "c");
    expect(now, SERVICE_NOTHING, NULL);
    assert_true(services_ready(&s));
}

static void a_table_is_checked(void **state)
{
    static const char *const unknown[SERVICE_AFTER_MAX] = { "later" };
    assert_false(services_add(&s, "a", NULL, false));
    assert_false(services_add(&s, "d", unknown, false));
    assert_int_equal(services_find(&s, "b"), 1);
    assert_int_equal(services_find(&s, "d"), SERVICES_MAX);
}

static void each_waits_for_those_before(void **state)
{
    expect(0, SERVICE_START, "a");
    services_started(&s, at, true, 0);
    expect(0, SERVICE_PROBE, "a");
    services_probed(&s, at, false, 0);
    expect(0, SERVICE_NOTHING, NULL);
    assert_int_equal(services_due(&s), SERVICE_PROBE_SOON_US);
    expect(SERVICE_PROBE_SOON_US, SERVICE_PROBE, "a");
    services_probed(&s, at, true, SERVICE_PROBE_SOON_US);
    assert_false(services_ready(&s));
    comes_up(S, "b");
    comes_up(S, "c");
    assert_true(services_ready(&s));
}

static void pauses_grow_and_are_forgiven(void **state)
{
    int64_t now = 0, pause = SERVICE_PAUSE_FIRST_US;
    for (int i = 0; i < 12; i++) {
        expect(now, SERVICE_START, "a");
        services_started(&s, 0, true, now);
        services_ended(&s, 0, now);
        expect(now, SERVICE_NOTHING, NULL);
        assert_int_equal(services_due(&s), now + pause);
        expect(now + pause - 1, SERVICE_NOTHING, NULL);
        now += pause;
        pause *= 2;
        if (pause > SERVICE_PAUSE_MOST_US)
            pause = SERVICE_PAUSE_MOST_US;
    }
    all_up(now);
    now += SERVICE_SETTLED_US;
    services_ended(&s, 0, now);
    expect(now, SERVICE_START, "a"); /* at once: it had settled */
}

static void a_start_that_fails_is_tried_again(void **state)
{
    expect(0, SERVICE_START, "a");
    services_started(&s, 0, false, 0);
    expect(0, SERVICE_NOTHING, NULL);
    expect(SERVICE_PAUSE_FIRST_US, SERVICE_START, "a");
}

static void hurry_ends_a_pause(void **state)
{
    expect(0, SERVICE_START, "a");
    services_started(&s, 0, false, 0);
    expect(0, SERVICE_NOTHING, NULL);
    services_hurry(&s, 1);
    expect(1, SERVICE_START, "a");
}

static void others_go_on_when_one_ends(void **state)
{
    all_up(0);
    services_ended(&s, 0, S);
    expect(S, SERVICE_NOTHING, NULL);
    assert_int_equal(s.all[1].state, SERVICE_UP);
    assert_false(services_ready(&s));
    comes_up(S + SERVICE_PAUSE_FIRST_US, "a");
    assert_true(services_ready(&s));
}

static void who_does_not_come_up_is_stopped(void **state)
{
    expect(0, SERVICE_START, "a");
    services_started(&s, 0, true, 0);
    expect(SERVICE_START_US, SERVICE_TERM, "a");
    expect(SERVICE_START_US + SERVICE_STOP_US, SERVICE_KILL, "a");
    services_ended(&s, 0, SERVICE_START_US + SERVICE_STOP_US);
    assert_int_equal(s.all[0].state, SERVICE_PAUSING);
    assert_int_equal(s.all[0].pause, SERVICE_PAUSE_FIRST_US);
}

static void the_last_stops_first(void **state)
{
    all_up(0);
    for (size_t i = 0; i < s.n; i++)
        services_want(&s, i, false);
    for (int i = 2; i >= 0; i--) {
        expect(S, SERVICE_TERM, s.all[i].name);
        expect(S, SERVICE_NOTHING, NULL);
        assert_false(services_off(&s));
        services_ended(&s, (size_t)i, S);
    }
    expect(S, SERVICE_NOTHING, NULL);
    assert_true(services_off(&s));
    assert_int_equal(services_due(&s), INT64_MAX);
}

static void a_restart_stops_only_the_one(void **state)
{
    all_up(0);
    services_restart(&s, 0);
    expect(S, SERVICE_TERM, "a");
    expect(S, SERVICE_NOTHING, NULL);
    services_ended(&s, 0, S);
    comes_up(S, "a"); /* without a pause */
    assert_int_equal(s.all[1].state, SERVICE_UP);
    services_want(&s, 2, false);
    expect(S, SERVICE_TERM, "c");
    services_ended(&s, 2, S);
    services_restart(&s, 2); /* which does not run */
    expect(S, SERVICE_NOTHING, NULL);
    assert_int_equal(s.all[2].state, SERVICE_OFF);
}

static void a_task(void **state)
{
    s = (struct services){ 0 };
    assert_true(services_add(&s, "t", NULL, true));
    services_want(&s, 0, true);
    expect(0, SERVICE_START, "t");
    services_started(&s, 0, false, 0);
    expect(SERVICE_PAUSE_FIRST_US, SERVICE_START, "t");
    services_started(&s, 0, true, S);
    assert_int_equal(s.all[0].state, SERVICE_UP);
    assert_true(services_ready(&s));
    assert_int_equal(services_due(&s), INT64_MAX);
    services_restart(&s, 0);
    expect(S, SERVICE_NOTHING, NULL);
    expect(S, SERVICE_START, "t");
    services_started(&s, 0, true, S);
    services_want(&s, 0, false);
    expect(S, SERVICE_NOTHING, NULL);
    assert_int_equal(s.all[0].state, SERVICE_OFF);
}

/* ---- with processes ---------------------------------------------------- */

struct world {
    char dir[64];
    const char *first; /* argument of the first service */
    int prepared;
};

static bool prepare(void *arg, struct error *err)
{
    struct world *w = arg;
    w->prepared++;
    return true;
}

static void run_first(void *arg, struct words *w)
{
    const struct world *world = arg;
    words_add(w, "sleep");
    words_add(w, "%s", world->first);
}

static void run_second(void *arg, struct words *w)
{
    words_add(w, "sh");
    words_add(w, "-c");
    words_add(w, "echo I am there; trap 'echo I go; exit 0' TERM; "
                 "while :; do sleep 1000 & wait $!; done");
}

static const struct service_spec specs[] = {
    { "first", { NULL }, prepare, run_first, NULL },
    { "second", { "first" }, NULL, run_second, NULL },
};

static struct supervisor *start(struct world *w)
{
    struct error err = { 0 };
    struct supervisor *sup = supervisor_start(
        &(struct supervisor_config){ &env_system, specs, ARRAY_SIZE(specs), w,
                                     w->dir, w->dir },
        &err);
    assert_non_null(sup);
    if (!supervisor_await(sup, NULL, 20 * S, &err))
        fail_msg("%s", err.text);
    return sup;
}

static pid_t pid_of(const struct world *w, const char *name)
{
    int pid = 0;
    _autofree_ char *path = xasprintf("%s/%s.pid", w->dir, name);
    _autofile_ FILE *f = fopen(path, "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%d", &pid), 1);
    return pid;
}

static void processes(void **state)
{
    struct world w = { .dir = "/tmp/test_services.XXXXXX", .first = "1001" };
    struct error err = { 0 };
    assert_non_null(mkdtemp(w.dir));
    struct supervisor *sup = start(&w);
    pid_t first = pid_of(&w, "first"), second = pid_of(&w, "second");

    kill(first, SIGKILL); /* comes back */
    for (int i = 0; i < 1000 && pid_of(&w, "first") == first; i++)
        usleep(10000);
    assert_true(supervisor_await(sup, NULL, 20 * S, &err));
    assert_int_not_equal(pid_of(&w, "first"), first);
    assert_int_equal(w.prepared, 2);
    first = pid_of(&w, "first");

    supervisor_free(sup, false); /* they go on, and are found again */
    assert_int_equal(kill(first, 0), 0);
    sup = start(&w);
    assert_int_equal(pid_of(&w, "first"), first);
    assert_int_equal(pid_of(&w, "second"), second);
    assert_int_equal(w.prepared, 2);
    supervisor_free(sup, false);

    w.first = "1002"; /* another command: it is started anew */
    sup = start(&w);
    for (int i = 0; i < 1000 && pid_of(&w, "first") == first; i++)
        usleep(10000);
    assert_true(supervisor_await(sup, NULL, 20 * S, &err));
    assert_int_not_equal(pid_of(&w, "first"), first);
    assert_int_equal(pid_of(&w, "second"), second);

    first = pid_of(&w, "first");
    supervisor_free(sup, true);
    assert_int_equal(kill(first, 0), -1);
    assert_int_equal(kill(second, 0), -1);

    char line[64] = "";
    _autofree_ char *log = xasprintf("%s/second.log", w.dir);
    _autofile_ FILE *f = fopen(log, "r");
    assert_non_null(f);
    assert_non_null(fgets(line, sizeof(line), f));
    assert_string_equal(line, "I am there\n");
    assert_non_null(fgets(line, sizeof(line), f));
    assert_string_equal(line, "I go\n");
    _autofree_ char *rm = xasprintf("rm -r %s", w.dir);
    assert_int_equal(system(rm), 0);
}

/* ---- commands ---------------------------------------------------------- */

static void a_command(void **state)
{
    struct error err = { 0 };
    struct buf out = BUF_INIT(100);
    _autowords_ struct words w = WORDS_INIT;
    words_add(&w, "sh");
    words_add(&w, "-c");
    words_add(&w, "echo one; echo two; exit %d", 0);
    assert_true(command_run(&w, 10000, &out, &err));
    assert_string_equal(buf_str(&out), "one\ntwo\n");
    buf_free(&out);
    assert_false(
        command_do(&err, "sh", "-c", "echo no; echo why >&2; exit 3", NULL));
    assert_string_equal(err.text, "sh: why");
    assert_false(command_do(&err, "/no/such/program", NULL));
    words_free(&w);
    words_add(&w, "sleep");
    words_add(&w, "1000");
    assert_false(command_run(&w, 50, NULL, &err));
    assert_int_equal(err.code, ERR_TIMEOUT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_table_is_checked, setup),
        cmocka_unit_test_setup(each_waits_for_those_before, setup),
        cmocka_unit_test_setup(pauses_grow_and_are_forgiven, setup),
        cmocka_unit_test_setup(a_start_that_fails_is_tried_again, setup),
        cmocka_unit_test_setup(hurry_ends_a_pause, setup),
        cmocka_unit_test_setup(others_go_on_when_one_ends, setup),
        cmocka_unit_test_setup(who_does_not_come_up_is_stopped, setup),
        cmocka_unit_test_setup(the_last_stops_first, setup),
        cmocka_unit_test_setup(a_restart_stops_only_the_one, setup),
        cmocka_unit_test(a_task),
        cmocka_unit_test(processes),
        cmocka_unit_test(a_command),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
