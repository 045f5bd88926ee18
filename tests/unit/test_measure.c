/* What a node and its guests use: read from counters, smoothed, written
 * seldom; and what the engine makes of it. */
#include "server_world.h"

#include "daemon/measure.h"
#include "engine/plan.h"
#include "engine/view.h"
#include "model/pool.h"
#include "model/use.h"
#include "tempdir.h"

#include <sys/stat.h>

#define GUESTS_MAX 3

/* ---- a machine that is told what to say ---------------------------------- */

static char proc[TEMPDIR_MAX];
static struct {
    struct hypervisor hv;
    int n;
    struct domain_stats stats[GUESTS_MAX];
    enum domain_state state[GUESTS_MAX];
    int asked[GUESTS_MAX];
} machine;
static long long busy, idle, stalled;
static struct measure *measure;

static const char *id_of(int i)
{
    static char ids[GUESTS_MAX][UUID_SIZE];
    snprintf(ids[i], UUID_SIZE, "guest-%d", GUESTS_MAX - i);
    return ids[i];
}

static bool say_list(struct hypervisor *h, domain_seen_fn *fn, void *arg,
                     struct error *err)
{
    for (int i = 0; i < machine.n; i++)
        fn(arg, id_of(i), machine.state[i]);
    return true;
}

static bool say_stats(struct hypervisor *h, const char *id,
                      struct domain_stats *out, struct error *err)
{
    for (int i = 0; i < machine.n; i++)
        if (i < GUESTS_MAX && strcmp(id_of(i), id) == 0) {
            *out = machine.stats[i];
            return true;
        }
    return error_set(err, ERR_NOT_FOUND, "no domain %s", id);
}

/* The answer is there at once. */
static bool say_dirty(struct hypervisor *h, const char *id, struct error *err)
{
    for (int i = 0; i < machine.n && i < GUESTS_MAX; i++)
        if (strcmp(id_of(i), id) == 0) {
            machine.stats[i].dirty_mib_s = 100 * (i + 1);
            machine.stats[i].dirty_at = world_time / SECOND_US;
            machine.asked[i]++;
        }
    return true;
}

static const struct hypervisor_ops ops = { .list = say_list,
                                           .stats = say_stats,
                                           .count_dirty = say_dirty };

static void put_file(const char *name, const char *text)
{
    char path[TEMPDIR_MAX + 32];
    snprintf(path, sizeof(path), "%s/%s", proc, name);
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

/* Ten seconds in which each guest ran and waited so many ms of a second. */
static void tick(const int *ran, const int *waited, int percent)
{
    char text[256];
    struct error err = { 0 };
    for (int i = 0; i < machine.n && i < GUESTS_MAX; i++) {
        machine.stats[i].cpu_ns += ran[i] * INT64_C(10000000);
        machine.stats[i].wait_ns += waited[i] * INT64_C(10000000);
        machine.stats[i].received_bytes += 10 * 1024 * 2048;
        machine.stats[i].sent_bytes += 10 * 1024 * 100;
        machine.stats[i].stalled.us[PRESSURE_MEMORY] += 70 * 10000;
    }
    busy += percent * 10;
    idle += (100 - percent) * 10;
    stalled += percent * 50000;
    snprintf(text, sizeof(text), "cpu %lld 0 0 %lld 0 0 0 0\ncpu0 1 2\n", busy,
             idle);
    put_file("stat", text);
    put_file("meminfo", "MemTotal: 4096000 kB\nMemFree: 1 kB\n"
                        "MemAvailable: 1024000 kB\n");
    snprintf(text, sizeof(text),
             "some avg10=1.00 avg60=2.00 avg300=3.00 total=%lld\n"
             "full avg10=0.00 avg60=0.00 avg300=0.00 total=0\n",
             stalled);
    put_file("pressure/cpu", text);
    if (!measure_pass(measure, &err))
        fail_msg("%s", err.text);
    world_time += MEASURE_US;
}

static int setup(void **state)
{
    char path[TEMPDIR_MAX + 32];
    world_open();
    world_follow();
    tempdir_make(proc);
    snprintf(path, sizeof(path), "%s/pressure", proc);
    assert_int_equal(mkdir(path, 0700), 0);
    memset(&machine, 0, sizeof(machine));
    machine.hv.ops = &ops;
    machine.n = 2;
    machine.state[0] = machine.state[1] = DOMAIN_RUNNING;
    machine.stats[0].used_kb = 512 * 1024;
    for (int i = 0; i < GUESTS_MAX; i++)
        machine.stats[i].stalled.us[PRESSURE_IO] = PRESSURE_NONE;
    machine.stats[1].swap_kb = -1;
    busy = idle = stalled = 1000;
    struct measure_config config = { .env = &world_env,
                                     .store = world_store,
                                     .cache = world_cache,
                                     .hypervisor = &machine.hv,
                                     .node = "a",
                                     .proc = proc,
                                     .sys = proc };
    measure = measure_new(&config);
    return 0;
}

static int teardown(void **state)
{
    char path[TEMPDIR_MAX + 32];
    measure_free(measure);
    snprintf(path, sizeof(path), "%s/pressure/cpu", proc);
    unlink(path);
    snprintf(path, sizeof(path), "%s/pressure", proc);
    rmdir(path);
    tempdir_remove(proc);
    world_close();
    return 0;
}

static const struct node_use *get(void)
{
    return world_get(&kind_node_use, "a");
}

/* ---- cases --------------------------------------------------------------- */

static void test_figures(void **state)
{
    const int ran[GUESTS_MAX] = { 1500, 250 }, waited[GUESTS_MAX] = { 500, 0 };
    for (int i = 0; i < 30; i++)
        tick(ran, waited, 60);
    _autorecord_ const struct node_use *u = get();
    assert_non_null(u);
    assert_in_range(u->cpu, 595, 605);
    assert_int_equal(u->steal, 0);
    assert_int_equal(u->memory, 3000);
    assert_in_range(u->cpu_pressure, 295, 305);
    assert_int_equal(u->io_pressure, USE_UNKNOWN); /* the file is absent */
    assert_int_equal(u->disk, USE_UNKNOWN);
    assert_int_equal(u->link, USE_UNKNOWN);
    assert_int_equal(u->guests.n, 2);
    const struct guest_use *g = node_use_guest(u, id_of(0));
    assert_non_null(g);
    assert_in_range(g->vcpu, 1490, 1510);
    assert_in_range(g->steal, 245, 255);
    assert_int_equal(g->memory, 512);
    assert_in_range(g->net, 2030, 2060);
    assert_in_range(g->mem_stall, 68, 72);
    assert_int_equal(g->io_stall, USE_UNKNOWN);
    assert_int_equal(g->swap, 0);
    assert_in_range(g->dirty, 95, 105);
    g = node_use_guest(u, id_of(1));
    assert_in_range(g->vcpu, 245, 255);
    assert_int_equal(g->steal, 0);
    assert_int_equal(g->swap, USE_UNKNOWN);
    assert_null(node_use_guest(u, "other"));
    assert_int_equal(machine.asked[0], 1); /* five minutes */
}

/* Its vCPUs' waiting is not told: its group's is. */
static void test_steal_of_the_group(void **state)
{
    const int ran[GUESTS_MAX] = { 1000, 1000 }, none[GUESTS_MAX] = { 0, 0 };
    for (int i = 0; i < 30; i++) {
        machine.stats[0].wait_ns = -1;
        machine.stats[0].stalled.us[PRESSURE_CPU] += 2 * SECOND_US;
        tick(ran, none, 60);
    }
    _autorecord_ const struct node_use *u = get();
    assert_in_range(node_use_guest(u, id_of(0))->steal, 195, 205);
    assert_int_equal(node_use_guest(u, id_of(1))->steal, 0);
}

/* What stays as it is is not written again; what changes is, but not more
 * often than every half a minute. */
static void test_writes_seldom(void **state)
{
    const int ran[GUESTS_MAX] = { 1000, 1000 },
              much[GUESTS_MAX] = { 3000, 1000 }, none[GUESTS_MAX] = { 0, 0 };
    for (int i = 0; i < 30; i++)
        tick(ran, none, 50);
    int64_t revision = cache_revision(world_cache);
    for (int i = 0; i < 360; i++) /* an hour */
        tick(ran, none, 50);
    assert_int_equal(cache_revision(world_cache), revision);
    for (int i = 0; i < 60; i++) /* ten minutes */
        tick(much, none, 50);
    int64_t writes = cache_revision(world_cache) - revision;
    assert_in_range(writes, 2, 20);
    _autorecord_ const struct node_use *u = get();
    assert_in_range(node_use_guest(u, id_of(0))->vcpu, 2400, 3600);
}

static void test_guests_come_and_go(void **state)
{
    const int ran[GUESTS_MAX] = { 1000, 1000, 1000 },
              none[GUESTS_MAX] = { 0, 0, 0 };
    for (int i = 0; i < 8; i++)
        tick(ran, none, 50);
    machine.state[1] = DOMAIN_OFF;
    machine.n = 3;
    machine.state[2] = DOMAIN_RUNNING;
    machine.stats[0].cpu_ns = 0; /* started anew */
    for (int i = 0; i < 16; i++)
        tick(ran, none, 50);
    _autorecord_ const struct node_use *u = get();
    assert_int_equal(u->guests.n, 2);
    assert_null(node_use_guest(u, id_of(1)));
    assert_in_range(node_use_guest(u, id_of(0))->vcpu, 990, 1010);
    assert_in_range(node_use_guest(u, id_of(2))->vcpu, 990, 1010);
}

/* ---- the engine ---------------------------------------------------------- */

static void put_node(const char *name)
{
    struct node *n = record_new(&kind_node, name);
    n->vcpus = 4;
    n->ram_mb = 16384;
    n->disk_gb = 100;
    n->seen = world_time;
    world_put(n);
}

/* Two guests want the four threads of a whole and lose a third of their time;
 * b is idle: one of them should go there.  What was allocated says nothing. */
static void test_the_plan_relieves(void **state)
{
    const int ran[GUESTS_MAX] = { 2000, 2000 },
              waited[GUESTS_MAX] = { 1000, 1000 };
    const int calm[GUESTS_MAX] = { 200, 200 }, none[GUESTS_MAX] = { 0, 0 };
    for (int i = 0; i < 2; i++) {
        struct server *s = record_new(&kind_server, id_of(i));
        s->vcpus = 3;
        s->ram_mb = 1024;
        s->node = "a";
        s->vm_state = VM_ACTIVE;
        world_put(s);
    }
    for (int hot = 0; hot < 2; hot++) {
        for (int i = 0; i < 30; i++)
            tick(hot ? ran : calm, hot ? waited : none, 50);
        if (!hot) {
            put_node("a");
            put_node("b");
        }
        struct view *v = view_new();
        struct plan plan;
        _autosnap_ struct snapshot *snap = cache_snapshot(world_cache);
        view_follow(
            v, snap,
            ((const struct node *)snap_get(snap, &kind_node, "a"))->seen);
        fleet_ranks(view_fleet(v));
        plan_make(view_fleet(v), &plan_careful, &plan);
        assert_int_equal(plan.n, hot);
        if (hot)
            assert_int_equal(plan.moves[0].reason, GOAL_RELIEVE);
        plan_free(&plan);
        view_free(v);
    }
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_figures),           CASE(test_steal_of_the_group),
        CASE(test_writes_seldom),     CASE(test_guests_come_and_go),
        CASE(test_the_plan_relieves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
