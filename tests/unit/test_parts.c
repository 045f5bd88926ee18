/* Parts of devices from a flavor's words to the record, the domain and back
 * as the engine counts them.  The kernel's side is in test_mdev. */
#include "server_world.h"

#include "compute/domain_xml.h"
#include "compute/mdev.h"
#include "compute/server_spec.h"
#include "engine/explain.h"
#include "engine/placement.h"
#include "engine/scheduler.h"
#include "engine/view.h"
#include "engine/wish.h"
#include "model/share.h"

#define A "0000:3b:00.0"
#define B "0000:af:00.0"

static struct scheduler *scheduler;

static void add_share(struct node *n, struct node_device *d, const char *type,
                      const char *name, int64_t instances)
{
    struct node_share *s = list_add(n, &d->shares, sizeof(*s));
    *s = (struct node_share){ type, name, instances };
}

/* Two cards that take two parts of one type or four of another each. */
static void put_node(const char *name)
{
    static const char *const addresses[] = { A, B };
    struct node *n = record_new(&kind_node, name);
    n->vcpus = 16;
    n->ram_mb = 32768;
    n->disk_gb = 1000;
    n->cpu_overcommit = 2;
    n->ram_overcommit = 1;
    n->seen = world_time;
    for (size_t i = 0; i < ARRAY_SIZE(addresses); i++) {
        struct node_device *d = list_add(n, &n->devices, sizeof(*d));
        d->address = addresses[i];
        d->class_ = SHARE_CLASS;
        d->model = "10de:1eb8";
        add_share(n, d, "nvidia-231", "GRID T4-8Q", 2);
        add_share(n, d, "nvidia-230", "GRID T4-4Q", 4);
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

static struct server *new_server(const char *id, const char *count,
                                 const char *trait)
{
    char key[SHARE_TRAIT_MAX + 8];
    struct server *s = record_new(&kind_server, id);
    s->vcpus = 1;
    s->ram_mb = 512;
    s->vm_state = VM_BUILDING;
    if (count)
        map_put(s, &s->extra_specs, "resources:VGPU", count);
    snprintf(key, sizeof(key), "trait:%s", trait ? trait : "");
    if (trait)
        map_put(s, &s->extra_specs, key, "required");
    return s;
}

/* "0000:3b:00.0 nvidia-231 500", or the fault. */
static const char *given(const char *id)
{
    static char text[512];
    _autorecord_ const struct server *s = world_get(&kind_server, id);
    size_t n =
        (size_t)snprintf(text, sizeof(text), "%s", s->node ? "" : s->fault);
    for (size_t i = 0; i < s->devices.n; i++) {
        const struct server_device *d =
            LIST_AT(s->devices, struct server_device, i);
        n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s %s %d",
                              i ? ", " : "", d->address,
                              d->type ? d->type : "whole", (int)d->thousandths);
    }
    return text;
}

static void run_scheduler(void)
{
    for (int i = 0; i < 100; i++)
        if (!reconciler_step(scheduler_queue(scheduler), 0))
            return;
    fail_msg("the scheduler does not come to rest");
}

/* Where it goes, in one run of its own. */
static const char *placed(const char *id, const char *count, const char *trait)
{
    world_put(new_server(id, count, trait));
    run_scheduler();
    return given(id);
}

/* As a leader that has just begun counts it. */
static const struct fleet_device *counted(const char *node)
{
    static struct fleet_host h;
    struct view *v = view_new();
    _autosnap_ struct snapshot *s = cache_snapshot(world_cache);
    view_follow(v, s, world_time);
    struct fleet *f = view_fleet(v);
    h = f->hosts[fleet_find_host(f, node)];
    view_free(v);
    return h.devices;
}

/* Two on one parent, the third elsewhere; a part of another type only where
 * there is none of the first. */
static void test_shared(void **state)
{
    assert_string_equal(placed("s1", "1", "CUSTOM_NVIDIA_231"),
                        A " nvidia-231 500");
    assert_string_equal(placed("s2", "1", "CUSTOM_GRID_T4_8Q"),
                        A " nvidia-231 500");
    assert_int_equal(counted("a")[0].free, 0);
    assert_string_equal(placed("s3", "1", "CUSTOM_NVIDIA_231"),
                        B " nvidia-231 500");
    /* There is half a card, of the other type. */
    const char *why = placed("s4", "1", "CUSTOM_NVIDIA_230");
    assert_non_null(strstr(why, "1 node without the devices"));
    assert_int_equal(counted("a")[1].free, 500);
    struct server *gone = world_edit(&kind_server, "s3");
    gone->node = NULL;
    gone->devices = (struct list){ 0 };
    gone->vm_state = VM_ERROR;
    world_put(gone);
    assert_string_equal(placed("s5", "1", "CUSTOM_NVIDIA_230"),
                        B " nvidia-230 250");
    assert_int_equal(counted("a")[1].free, 750);
}

/* By one request: the fleet knows at once what the records will say. */
static void test_at_once(void **state)
{
    static const char *const ids[] = { "s1", "s2", "s3", "s4", "s5" };
    int on_a = 0, on_b = 0, nowhere = 0;
    for (size_t i = 0; i < ARRAY_SIZE(ids); i++)
        world_put(new_server(ids[i], "1", "CUSTOM_NVIDIA_231"));
    run_scheduler();
    for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
        const char *at = given(ids[i]);
        on_a += strncmp(at, A, strlen(A)) == 0;
        on_b += strncmp(at, B, strlen(B)) == 0;
        nowhere += strstr(at, "No valid host") != NULL;
    }
    assert_int_equal(on_a, 2);
    assert_int_equal(on_b, 2);
    assert_int_equal(nowhere, 1);
}

/* Nobody says which: the least part.  Two of one request are of two cards. */
static void test_usual(void **state)
{
    assert_string_equal(placed("s1", "1", NULL), A " nvidia-230 250");
    assert_string_equal(placed("s2", "1", NULL), A " nvidia-230 250");
    assert_string_equal(placed("s3", "1", "CUSTOM_NVIDIA_230"),
                        A " nvidia-230 250");
    assert_string_equal(placed("s4", "2", NULL),
                        A " nvidia-230 250, " B " nvidia-230 250");
    assert_int_equal(counted("a")[0].free, 0);
    assert_non_null(
        strstr(placed("s5", "2", NULL), "1 node without the devices"));
    /* The image may say it, too. */
    struct server *s = new_server("s6", "1", NULL);
    map_put(s, &s->image_properties, "trait:CUSTOM_NVIDIA_231", "required");
    world_put(s);
    run_scheduler();
    assert_non_null(strstr(given("s6"), "without the devices"));
}

static void test_unknown(void **state)
{
    const char *why = placed("s1", "1", "CUSTOM_NVIDIA_999");
    assert_non_null(strstr(why, "trait"));
    why = placed("s2", "1", "CUSTOM_NVIDIA_231");
    assert_string_equal(why, A " nvidia-231 500");
    /* Two types of one part are none. */
    struct server *s = new_server("s3", "1", "CUSTOM_NVIDIA_231");
    map_put(s, &s->extra_specs, "trait:CUSTOM_NVIDIA_230", "required");
    world_put(s);
    run_scheduler();
    assert_non_null(strstr(given("s3"), "No valid host"));
    /* No part is asked for: the trait is one of the node's. */
    assert_string_equal(placed("s4", NULL, "CUSTOM_NVIDIA_231"), "");
    _autorecord_ const struct server *s4 = world_get(&kind_server, "s4");
    assert_string_equal(s4->node, "a");
}

/* A mediated device that the operator made is taken as a whole, by those who
 * want its type or any. */
static void test_made_by_operator(void **state)
{
    struct node *n = world_edit(&kind_node, "a");
    n->devices.n = 1; /* the first of them */
    *LIST_AT(n->devices, struct node_device, 0) = (struct node_device){
        .address = "4b20d080-1b54-4048-85b3-a6a62d165c01",
        .class_ = SHARE_CLASS,
        .model = "nvidia-11",
        .cell = -1,
    };
    world_put(n);
    put_node("b");
    assert_string_equal(placed("s1", "1", "CUSTOM_NVIDIA_11"),
                        "4b20d080-1b54-4048-85b3-a6a62d165c01 whole 0");
    assert_int_equal(counted("a")[0].free, 0);
    const char *why = placed("s2", "1", "CUSTOM_NVIDIA_11");
    assert_non_null(strstr(why, "1 node without the devices"));
    assert_string_equal(placed("s3", "1", NULL), A " nvidia-230 250");
}

/* Told with the type and how much of a device it is. */
static void test_explained(void **state)
{
    struct explanation e;
    struct wish w;
    struct error err;
    struct view *v = view_new();
    struct buf text = BUF_INIT(ERROR_TEXT_MAX);
    for (int i = 0; i < 4; i++)
        world_put(new_server((char[]){ 's', (char)('0' + i), 0 }, "1",
                             "CUSTOM_NVIDIA_231"));
    run_scheduler();
    _autosnap_ struct snapshot *snap = cache_snapshot(world_cache);
    _autorecord_ struct server *one = new_server("x", "1", "CUSTOM_NVIDIA_231");
    view_follow(v, snap, world_time);
    assert_true(wish_of_server(v, one, &w, &err));
    explain(v, &w, &e);
    assert_int_equal(e.n, 1);
    explain_host(v, &w, &e.hosts[0], &text);
    assert_string_equal(buf_str(&text), "1 of VGPU wanted (nvidia-231: "
                                        "500/1000)");
    explain_free(&e);
    wish_free(&w);
    buf_free(&text);
    view_free(v);
}

/* What it was given stays what it has when the device can do less now. */
static void test_kept(void **state)
{
    placed("s1", "1", "CUSTOM_NVIDIA_230");
    struct node *n = world_edit(&kind_node, "a");
    struct node_device *d = LIST_AT(n->devices, struct node_device, 0);
    LIST_AT(d->shares, struct node_share, 1)->instances = 3;
    world_put(n);
    run_scheduler();
    assert_int_equal(counted("a")[0].free, 750);
    assert_string_equal(placed("s2", "1", "CUSTOM_NVIDIA_230"),
                        A " nvidia-230 333");
    assert_int_equal(counted("a")[0].free, 417);
}

/* The domain has the part by its UUID; it is not moved while it runs. */
static void test_domain(void **state)
{
    struct arena arena = { 0 };
    struct buf xml = BUF_INIT(DOMAIN_XML_MAX);
    struct error err;
    char uuid[UUID_SIZE], wanted[128];
    const struct domain_host host = { .bridge = "br-int",
                                      .vnc_listen = "127.0.0.1" };
    const struct domain_files files = { NULL, "/d/console.log" };
    static const char id[] = "5f6c3fd4-6d3c-4b5e-9a53-6ab3d5bb1c11";
    placed(id, "1", "CUSTOM_NVIDIA_231");
    _autosnap_ struct snapshot *snap = cache_snapshot(world_cache);
    const struct server *s = snap_get(snap, &kind_server, id);
    struct domain_spec *spec = server_spec(&arena, snap, s);
    assert_int_equal(spec->place.n_devices, 1);
    assert_string_equal(spec->place.devices[0].address, A);
    if (!domain_xml_write(&xml, spec, &host, &files, &err))
        fail_msg("%s", err.text);
    mdev_uuid(id, A, "nvidia-231", uuid);
    snprintf(wanted, sizeof(wanted), "<address uuid=\"%s\"/>", uuid);
    assert_non_null(strstr(buf_str(&xml), wanted));
    assert_non_null(strstr(buf_str(&xml), "type=\"mdev\""));
    buf_free(&xml);
    arena_free(&arena);
    struct txn t = TXN_INIT;
    _autorecord_ struct server *draft = record_copy(s);
    draft->vm_state = VM_ACTIVE;
    assert_null(migration_begin(&t, snap, draft, "m1", MIGRATION_LIVE,
                                world_time, &err));
    assert_non_null(strstr(err.text, "cannot be moved while it runs"));
    txn_reset(&t);
}

#define TEST(f_) cmocka_unit_test_setup_teardown(f_, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_shared),  TEST(test_at_once),          TEST(test_usual),
        TEST(test_unknown), TEST(test_made_by_operator), TEST(test_explained),
        TEST(test_kept),    TEST(test_domain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
