/* Cells, huge pages, CPUs of a guest's own and devices: from a flavor's words
 * to what the record says, and back as the engine counts it. */
#include "server_world.h"

#include "compute/server_spec.h"
#include "engine/assign.h"
#include "engine/evacuate.h"
#include "engine/placement.h"
#include "engine/remedy.h"
#include "engine/rescue.h"
#include "engine/scheduler.h"
#include "engine/view.h"
#include "model/shape.h"

static struct scheduler *scheduler;

/* Two cells, of 8 CPUs and 16 GiB each: the last four CPUs of each are kept,
 * 4 GiB of the first are huge pages.  A GPU on each, an NVMe disk without a
 * cell. */
static void put_node(const char *name)
{
    struct node *n = record_new(&kind_node, name);
    n->vcpus = 16;
    n->ram_mb = 32768;
    n->disk_gb = 1000;
    n->cpu_overcommit = 2;
    n->ram_overcommit = 1;
    n->seen = world_time;
    n->pinned_cpus = "4-7,12-15";
    for (int i = 0; i < 2; i++) {
        struct node_cell *c = list_add(n, &n->cells, sizeof(*c));
        c->id = i;
        c->cpus = i ? "8-15" : "0-7";
        c->ram_mb = 16384;
        if (i)
            continue;
        struct node_pages *p = list_add(n, &c->pages, sizeof(*p));
        p->kib = 2048;
        p->count = 2048;
    }
    static const struct node_device devices[] = {
        { "0000:3b:00.0", "GPU", "10de:20b0", "a100", NULL, 0 },
        { "0000:5e:00.0", "NVME", "8086:0a54", NULL, NULL, -1 },
        { "0000:86:00.0", "GPU", "10de:20b0", "a100", NULL, 1 },
    };
    for (size_t i = 0; i < ARRAY_SIZE(devices); i++) {
        struct node_device *d = list_add(n, &n->devices, sizeof(*d));
        *d = devices[i];
    }
    world_put(n);
}

static int setup(void **state)
{
    world_open();
    struct scheduler_config config = { .store = world_store,
                                       .cache = world_cache,
                                       .env = &world_env };
    scheduler = scheduler_new(&config);
    world_follow();
    scheduler_start(scheduler);
    put_node("a");
    return 0;
}

static int teardown(void **state)
{
    cache_unfollow(world_cache);
    scheduler_free(scheduler);
    cache_free(world_cache);
    store_close(world_store);
    return 0;
}

static void run_scheduler(void)
{
    for (int i = 0; i < 100; i++)
        if (!reconciler_step(scheduler_queue(scheduler), 0))
            return;
    fail_msg("the scheduler does not come to rest");
}

static struct server *new_server(const char *id, const char *key,
                                 const char *value)
{
    struct server *s = record_new(&kind_server, id);
    s->vcpus = 4;
    s->ram_mb = 1024;
    s->vm_state = VM_BUILDING;
    if (key)
        map_put(s, &s->extra_specs, key, value);
    return s;
}

/* The fleet as a leader that has just begun sees it is what the one that has
 * placed everything has, cell by cell and device by device. */
static void assert_counted_again(const char *node, struct fleet_host *out)
{
    struct view *v = view_new();
    _autosnap_ struct snapshot *s = cache_snapshot(world_cache);
    view_follow(v, s, world_time);
    struct fleet *f = view_fleet(v);
    *out = f->hosts[fleet_find_host(f, node)];
    view_free(v);
}

/* "0:4-7 1:12 | 0000:3b:00.0/0", or the fault. */
static const char *given(const char *id)
{
    static char text[512];
    size_t n = 0;
    _autorecord_ const struct server *s = world_get(&kind_server, id);
    if (!s->node) {
        snprintf(text, sizeof(text), "%s", s->fault);
        return text;
    }
    text[0] = '\0';
    for (size_t i = 0; i < s->cells.n; i++) {
        const struct server_cell *c = LIST_AT(s->cells, struct server_cell, i);
        n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%d:%s",
                              i ? " " : "", (int)c->cell,
                              c->cpus ? c->cpus : "");
    }
    for (size_t i = 0; i < s->devices.n; i++) {
        const struct server_device *d =
            LIST_AT(s->devices, struct server_device, i);
        n += (size_t)snprintf(text + n, sizeof(text) - n, "|%s/%d", d->address,
                              (int)d->row);
    }
    return text;
}

static void test_pinned(void **state)
{
    struct fleet_host h;
    struct server *s = new_server("s1", "hw:cpu_policy", "dedicated");
    world_put(s);
    s = new_server("s2", "hw:cpu_policy", "dedicated");
    s->vcpus = 2;
    world_put(s);
    run_scheduler();
    /* Not one CPU twice, though both were decided in one transaction. */
    assert_string_equal(given("s1"), "0:4-7");
    assert_string_equal(given("s2"), "1:12-13");
    s = new_server("s3", "hw:cpu_policy", "dedicated");
    s->vcpus = 3;
    world_put(s);
    run_scheduler();
    assert_non_null(strstr(given("s3"), "1 node without enough CPUs kept for "
                                        "guests of their own"));
    /* Two in all, but not in two cells. */
    s = new_server("s4", "hw:cpu_policy", "dedicated");
    s->vcpus = 2;
    map_put(s, &s->extra_specs, "hw:numa_nodes", "2");
    world_put(s);
    run_scheduler();
    assert_non_null(strstr(given("s4"), "without enough room in their NUMA"));
    assert_counted_again("a", &h);
    assert_int_equal(h.cells[0].free_more[CELL_PCPU], 0);
    assert_int_equal(h.cells[1].free_more[CELL_PCPU], 2);
    assert_int_equal(h.cells[0].free_vcpu, 8000); /* 4 shared, twice */
}

static void test_pages_and_cells(void **state)
{
    struct fleet_host h;
    world_put(new_server("p1", "hw:mem_page_size", "2MB"));
    run_scheduler();
    assert_string_equal(given("p1"), "0:"); /* only there are pages */
    struct server *s = new_server("p2", "hw:mem_page_size", "large");
    s->ram_mb = 4096;
    world_put(s);
    run_scheduler();
    assert_non_null(strstr(given("p2"), "1 node without enough huge pages"));
    s = new_server("n2", "hw:numa_nodes", "2");
    s->ram_mb = 2 * 12000;
    world_put(s);
    run_scheduler();
    assert_string_equal(given("n2"), "0: 1:");
    world_put(new_server("p3", "hw:mem_page_size", "1GB"));
    run_scheduler();
    assert_non_null(strstr(given("p3"), "huge pages of 1 GiB"));
    world_put(new_server("p4", "resources:HUGEPAGES", "1"));
    run_scheduler(); /* no class of Placement's, though a column has that name
                      */
    assert_non_null(strstr(given("p4"), "a resource of the flavor"));
    assert_counted_again("a", &h);
    assert_int_equal(h.cells[0].free_more[CELL_HUGEPAGES], 3072);
    assert_int_equal(h.cells[0].free_memory, 16384 - 4096 - 12000);
    assert_int_equal(h.cells[1].free_memory, 16384 - 12000);
}

static void test_devices(void **state)
{
    struct fleet_host h;
    world_put(new_server("d1", "pci_passthrough:alias", "A100:1,nvme"));
    run_scheduler();
    assert_string_equal(given("d1"), "|0000:3b:00.0/0|0000:5e:00.0/1");
    world_put(new_server("d2", "resources:CUSTOM_PCI_10DE_20B0", "2"));
    run_scheduler();
    assert_non_null(strstr(given("d2"), "1 node without the devices"));
    struct server *s = new_server("d3", "resources:PGPU", "1");
    map_put(s, &s->extra_specs, "hw:numa_nodes", "1");
    world_put(s);
    run_scheduler();
    assert_non_null(strstr(given("d3"), ":|0000:86:00.0/0"));
    assert_counted_again("a", &h);
    assert_int_equal(h.devices[0].free, 0);
    assert_int_equal(h.devices[1].free, 0);
    assert_int_equal(h.devices[2].free, 0);
    /* A device more, before the others: those that are taken stay so. */
    struct node *n = world_edit(&kind_node, "a");
    list_add(n, &n->devices, sizeof(struct node_device));
    struct node_device *all = LIST_AT(n->devices, struct node_device, 0);
    memmove(all + 1, all, 3 * sizeof(*all));
    all[0] = (struct node_device){ "0000:01:00.0", "GPU", "10de:20b0",
                                   "a100",         NULL,  1 };
    world_put(n);
    world_put(new_server("d4", "pci_passthrough:alias", "a100"));
    run_scheduler();
    assert_string_equal(given("d4"), "|0000:01:00.0/0");
}

static void put_floating(const char *id, int64_t ram_mb)
{
    struct server *s = new_server(id, NULL, NULL);
    s->vm_state = VM_ACTIVE;
    s->ram_mb = ram_mb;
    s->node = "a";
    world_put(s);
}

/* "small to b", what one is told to move for the draft; or "". */
static const char *told_to_move(struct server *s)
{
    static char text[64];
    struct remedy all[REMEDIES];
    struct wish w;
    struct error err;
    struct view *v = view_new();
    _autosnap_ struct snapshot *snap = cache_snapshot(world_cache);
    _autorecord_ struct server *draft = s;
    view_follow(v, snap, world_time);
    const struct fleet *f = view_fleet(v);
    uint64_t before = f->hosts[fleet_find_host(f, "a")].guests;
    assert_true(wish_of_server(v, draft, &w, &err));
    unsigned n = remedies(v, &w, all);
    text[0] = '\0';
    for (unsigned i = 0; i < n; i++)
        if (all[i].kind == REMEDY_MOVE)
            snprintf(text, sizeof(text), "%s to %s",
                     view_record(v, all[i].guest)->id,
                     f->hosts[all[i].to].name);
    assert_int_equal(f->hosts[fleet_find_host(f, "a")].guests, before);
    wish_free(&w);
    view_free(v);
    return text;
}

static struct server *of_one_cell(int64_t ram_mb)
{
    struct server *s = new_server("new", "hw:numa_nodes", "1");
    map_put(s, &s->extra_specs, "pci_passthrough:alias", "a100");
    s->ram_mb = ram_mb;
    return s;
}

/* Who should make way for a server with cells and devices: tried, for room
 * alone does not do. */
static void test_who_makes_way(void **state)
{
    put_node("b");
    struct node *b = world_edit(&kind_node, "b");
    b->devices = (struct list){ 0 };
    world_put(b);
    put_floating("big", 20000);
    put_floating("small", 8000);
    put_floating("tiny", 500);
    assert_string_equal(told_to_move(of_one_cell(4096)), "small to b");
    assert_string_equal(told_to_move(of_one_cell(12000)), "big to b");
    /* There is room then, but in no cell. */
    assert_string_equal(told_to_move(of_one_cell(17000)), "");
    struct server *s = new_server("two", "pci_passthrough:alias", "a100:2");
    s->ram_mb = 64;
    world_put(s);
    run_scheduler();
    assert_string_equal(given("two"), "|0000:3b:00.0/0|0000:86:00.0/0");
    assert_string_equal(told_to_move(of_one_cell(4096)), "");
}

/* Those of a node that has failed have what they need where they go, and
 * none what another has. */
static void test_evacuated(void **state)
{
    static const char *const ids[] = { "s1", "s2", "s3" };
    struct evacuee all[3] = { { 0 } };
    for (int i = 0; i < 2; i++) {
        struct server *s = new_server(ids[i], "hw:cpu_policy", "dedicated");
        s->vcpus = 2;
        world_put(s);
    }
    world_put(new_server("s3", "pci_passthrough:alias", "a100"));
    run_scheduler();
    put_node("b");
    struct node *failed = world_edit(&kind_node, "a");
    failed->health = HEALTH_FENCED;
    world_put(failed);
    struct view *v = view_new();
    _autosnap_ struct snapshot *snap = cache_snapshot(world_cache);
    view_follow(v, snap, world_time);
    struct chooser *c = chooser_new(view_fleet(v));
    for (int i = 0; i < 3; i++) {
        all[i].server = snap_get(snap, &kind_server, ids[i]);
        all[i].rank = evacuate_rank(all[i].server, true);
    }
    assert_int_equal(evacuate(v, c, all, 3), 3);
    struct cpus own = { { 0 } };
    for (int i = 0; i < 3; i++) {
        assert_string_equal(all[i].node, "b");
        assign_cpus(&all[i].there->cells, &own);
        assert_int_equal(all[i].there->devices.n,
                         strcmp(all[i].server->rec.id, "s3") == 0);
    }
    assert_int_equal(cpus_count(&own), 4);
    /* In the record of the one that moves, in one transaction. */
    struct txn t = TXN_INIT;
    struct error err;
    for (int i = 0; i < 3; i++)
        if (all[i].there->devices.n)
            assert_true(rescue_move(&t, snap, all[i].server, "b", all[i].there,
                                    "m1", world_time, &err));
    world_commit(&t);
    assert_string_equal(given("s3"), "|0000:3b:00.0/0");
    _autorecord_ const struct server *s3 = world_get(&kind_server, "s3");
    assert_string_equal(s3->node, "b");
    evacuees_drop(all, 3);
    chooser_free(c);
    view_free(v);
}

/* ---- one that moves while it runs ------------------------------------------
 */

static void begin_move(const char *id, const char *host)
{
    struct txn t = TXN_INIT;
    struct error err;
    _autosnap_ struct snapshot *snap = cache_snapshot(world_cache);
    struct server *s = world_edit(&kind_server, id);
    struct migration *m =
        migration_begin(&t, snap, s, "m1", MIGRATION_LIVE, world_time, &err);
    assert_non_null(m);
    m->requested_host = rec_str(m, host);
    txn_change_record(&t, m);
    txn_change_record(&t, s);
    world_commit(&t);
    record_unref(m);
    record_unref(s);
    run_scheduler();
}

/* By the source's compute: it has arrived, or it stays. */
static void end_move(const char *id, bool arrived)
{
    struct txn t = TXN_INIT;
    _autosnap_ struct snapshot *snap = cache_snapshot(world_cache);
    struct server *s = world_edit(&kind_server, id);
    struct migration *m = world_edit(&kind_migration, "m1");
    if (arrived)
        migration_arrive(&t, snap, m, s, world_time);
    else
        migration_end(&t, snap, m, s, MIGRATION_CANCELLED, NULL, world_time);
    txn_change_record(&t, m);
    txn_change_record(&t, s);
    world_commit(&t);
    record_unref(m);
    record_unref(s);
}

/* CPUs of their own and pages that are left in the first cell. */
static void assert_left(const char *node, int cpus, int pages_mb)
{
    struct fleet_host h;
    assert_counted_again(node, &h);
    assert_int_equal(h.cells[0].free_more[CELL_PCPU], cpus);
    assert_int_equal(h.cells[0].free_more[CELL_HUGEPAGES], pages_mb);
}

static void start_pinned(const char *id)
{
    struct server *s = new_server(id, "hw:cpu_policy", "dedicated");
    s->vcpus = 2;
    map_put(s, &s->extra_specs, "hw:mem_page_size", "2MB");
    world_put(s);
    run_scheduler();
    s = world_edit(&kind_server, id);
    s->vm_state = VM_ACTIVE;
    s->task_state = TASK_NONE;
    world_put(s);
}

/* Node b, where s0 has the first CPUs that are kept, and s1 on node a. */
static void put_pair(void)
{
    start_pinned("s1");
    put_node("b");
    struct node *a = world_edit(&kind_node, "a");
    a->disabled = true;
    world_put(a);
    start_pinned("s0");
    assert_string_equal(given("s0"), "0:4-5");
    a = world_edit(&kind_node, "a");
    a->disabled = false;
    world_put(a);
}

static void test_moves_with_its_cells(void **state)
{
    char text[CPUS_TEXT];
    put_pair();
    begin_move("s1", "b");
    assert_string_equal(given("s1"), "0:4-5"); /* still */
    assert_left("a", 2, 3072);
    assert_left("b", 0, 2048);
    /* Nobody gets meanwhile what is kept for it. */
    start_pinned("s2");
    _autorecord_ const struct server *s2 = world_get(&kind_server, "s2");
    assert_string_equal(s2->node, "a");
    assert_string_equal(given("s2"), "0:6-7");
    _autosnap_ struct snapshot *snap = cache_snapshot(world_cache);
    const struct migration *m = snap_get(snap, &kind_migration, "m1");
    const struct server *s = snap_get(snap, &kind_server, "s1");
    assert_int_equal(m->status, MIGRATION_PREPARING);
    struct place_spec place = server_place_spec(snap, s, m->dest, &m->cells);
    assert_int_equal(place.n_cells, 1);
    assert_int_equal(place.page_kib, 2048);
    assert_true(place.pinned);
    assert_string_equal(cpus_text(&place.cells[0].cpus, text), "6-7");
    end_move("s1", true);
    assert_string_equal(given("s1"), "0:6-7");
    assert_left("a", 2, 3072); /* s2 */
    assert_left("b", 0, 2048);
}

static void test_stays_with_its_cells(void **state)
{
    put_pair();
    begin_move("s1", "b");
    assert_left("b", 0, 2048);
    end_move("s1", false);
    assert_string_equal(given("s1"), "0:4-5");
    assert_left("a", 2, 3072);
    assert_left("b", 2, 3072);
}

/* No room in the cells of the other: it is told so, and nothing is held. */
static void test_has_no_cells_to_go_to(void **state)
{
    put_pair();
    start_pinned("s2");
    struct node *b = world_edit(&kind_node, "b");
    b->pinned_cpus = "4-5";
    world_put(b);
    begin_move("s1", "b");
    _autorecord_ const struct migration *m = world_get(&kind_migration, "m1");
    assert_int_equal(m->status, MIGRATION_ERROR);
    assert_non_null(strstr(m->fault, "CPUs kept for"));
    assert_string_equal(given("s1"), "0:4-5");
}

static void test_devices_stay(void **state)
{
    struct txn t = TXN_INIT;
    struct error err;
    struct view *v = view_new();
    world_put(new_server("d1", "pci_passthrough:alias", "a100"));
    start_pinned("s1");
    struct server *d = world_edit(&kind_server, "d1");
    d->vm_state = VM_ACTIVE;
    d->task_state = TASK_NONE;
    world_put(record_copy(d));
    _autosnap_ struct snapshot *snap = cache_snapshot(world_cache);
    assert_null(
        migration_begin(&t, snap, d, "m1", MIGRATION_LIVE, world_time, &err));
    assert_int_equal(err.code, ERR_CONFLICT);
    view_follow(v, snap, world_time);
    const struct record *s1 = snap_get(snap, &kind_server, "s1");
    struct fleet *f = view_fleet(v);
    assert_true(fleet_guest(f, view_guest(v, s1))->movable);
    assert_false(fleet_guest(f, view_guest(v, &d->rec))->movable);
    view_free(v);
    record_unref(d);
}

/* Whoever floats keeps off what the node that he goes to keeps for others. */
static void test_shared_elsewhere(void **state)
{
    char text[CPUS_TEXT];
    struct place_spec place;
    put_node("b");
    struct node *b = world_edit(&kind_node, "b");
    b->pinned_cpus = "0-1";
    world_put(b);
    world_put(new_server("s1", NULL, NULL));
    run_scheduler();
    _autosnap_ struct snapshot *snap = cache_snapshot(world_cache);
    const struct server *s = snap_get(snap, &kind_server, "s1");
    place = server_place_spec(snap, s, "a", &s->cells);
    assert_int_equal(place.n_cells, 0);
    assert_string_equal(cpus_text(&place.shared, text), "0-3,8-11");
    place = server_place_spec(snap, s, "b", &s->cells);
    assert_string_equal(cpus_text(&place.shared, text), "2-15");
}

static void test_refused(void **state)
{
    static const struct {
        const char *key, *value, *why;
    } bad[] = {
        { "hw:cpu_policy", "mixed", "hw:cpu_policy=mixed cannot be honoured" },
        { "hw:cpu_realtime", "yes", "hw:cpu_realtime=yes cannot be" },
        { "hw:numa_mem.1", "512", "hw:numa_mem.1=512 cannot be" },
        { "hw:numa_nodes", "3", "cannot be divided evenly among 3" },
        { "hw:numa_nodes", "9", "1 to 8 are possible" },
        { "hw:mem_page_size", "huge", "is no size of a page" },
        { "hw:mem_page_size", "64KB", "huge pages are of 2 MiB or 1 GiB" },
        { "hw:mem_encryption", "true", "cannot be honoured" },
        { "os:secure_boot", "required", "cannot be honoured" },
        { "resources:PCPU", "2", "resources:PCPU=2 cannot be honoured" },
    };
    static const char *const fine[][2] = { { "hw:cpu_policy", "shared" },
                                           { "hw:cpu_thread_policy", "prefer" },
                                           { "hw:mem_page_size", "any" },
                                           { "hw:cpu_realtime", "no" },
                                           { "hw:cpu_sockets", "2" } };
    struct shape shape;
    struct error err;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        _autorecord_ struct server *s =
            new_server("s", bad[i].key, bad[i].value);
        assert_false(shape_of_server(s, &shape, &err));
        assert_int_equal(err.code, ERR_INVALID);
        if (!strstr(err.text, bad[i].why))
            fail_msg("%s=%s: %s", bad[i].key, bad[i].value, err.text);
    }
    for (size_t i = 0; i < ARRAY_SIZE(fine); i++) {
        _autorecord_ struct server *s = new_server("s", fine[i][0], fine[i][1]);
        assert_true(shape_of_server(s, &shape, &err));
        assert_int_equal(shape.cells, 0);
    }
    _autorecord_ struct server *s = new_server("s", "hw:numa_nodes", "1");
    map_put(s, &s->image_properties, "hw_numa_nodes", "2"); /* goes second */
    map_put(s, &s->image_properties, "hw_cpu_policy", "dedicated");
    assert_true(shape_of_server(s, &shape, &err));
    assert_int_equal(shape.cells, 1);
    assert_true(shape.pinned);
    map_put(s, &s->image_properties, "hw_cpu_policy", "mixed");
    assert_false(shape_of_server(s, &shape, &err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_pinned, setup, teardown),
        cmocka_unit_test_setup_teardown(test_pages_and_cells, setup, teardown),
        cmocka_unit_test_setup_teardown(test_devices, setup, teardown),
        cmocka_unit_test_setup_teardown(test_who_makes_way, setup, teardown),
        cmocka_unit_test_setup_teardown(test_evacuated, setup, teardown),
        cmocka_unit_test_setup_teardown(test_shared_elsewhere, setup, teardown),
        cmocka_unit_test_setup_teardown(test_moves_with_its_cells, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_stays_with_its_cells, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_has_no_cells_to_go_to, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_devices_stay, setup, teardown),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
