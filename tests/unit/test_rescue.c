/* rescue: what of a failed node's servers goes elsewhere, and as what. */
#include "server_world.h"

#include "engine/recovery.h"
#include "engine/rescue.h"
#include "model/migration.h"

#define SERVER "10000000-0000-4000-8000-000000000001"

static int setup(void **state)
{
    world_open();
    world_follow();
    struct node *n = record_new(&kind_node, "h3");
    n->availability_zone = "nova";
    world_put(n);
    return 0;
}

static int teardown(void **state)
{
    cache_unfollow(world_cache);
    cache_free(world_cache);
    store_close(world_store);
    return 0;
}

static void put_disk(const char *id, int64_t generation, const char *path)
{
    struct disk *d = record_new(&kind_disk, id);
    d->server_id = SERVER;
    d->generation = generation;
    d->node = "h2";
    d->path = rec_str(d, path);
    d->state = path ? DISK_READY : DISK_WANTED;
    world_put(d);
}

/* Being rebuilt on h2: its disks are of generation 1, which is not made. */
static void put_server(int goal, const char *had)
{
    struct server *s = record_new(&kind_server, SERVER);
    s->name = "web";
    s->project_id = "p1";
    s->image_id = "image";
    s->node = "h2";
    s->disks = 1;
    s->goal = goal;
    s->vm_state = goal == GOAL_RUNNING ? VM_ACTIVE : VM_STOPPED;
    s->task_state = TASK_REBUILDING;
    world_put(s);
    if (had)
        put_disk(SERVER, 0, had);
    put_disk(SERVER ".1", 1, NULL);
}

static bool may_move(bool fenced)
{
    _autosnap_ struct snapshot *snap = cache_snapshot(world_cache);
    return rescue_look(snap, snap_get(snap, &kind_server, SERVER), fenced)
        .shared;
}

/* It may not have heard of the rebuild, and goes on from what it has: nothing
 * refuses a node its own disk. */
static void what_may_run_from_its_nodes_disk_stays(void **state)
{
    put_server(GOAL_RUNNING, "/var/lib/disks/d.qcow2");
    assert_false(may_move(false));
    assert_false(may_move(true));
}

static void what_the_fence_refuses_goes(void **state)
{
    put_server(GOAL_RUNNING, "rbd:cairn/disk");
    assert_true(may_move(true));
}

static void what_was_never_made_goes(void **state)
{
    put_server(GOAL_RUNNING, NULL);
    assert_true(may_move(false));
}

/* Else nobody would say that its disk could not be made. */
static void a_rebuild_of_one_that_is_off_goes_on(void **state)
{
    struct error err = { 0 };
    _autotxn_ struct txn t = TXN_INIT;
    put_server(GOAL_STOPPED, "rbd:cairn/disk");
    _autosnap_ struct snapshot *snap = cache_snapshot(world_cache);
    const struct server *s = snap_get(snap, &kind_server, SERVER);
    _autorecord_ struct server *there = record_copy(s);
    assert_true(rescue_move(&t, snap, s, "h3", there,
                            "20000000-0000-4000-8000-000000000001", 1, &err));
    assert_true(store_commit(world_store, &t, NULL));
    _autorecord_ const struct server *now = world_get(&kind_server, SERVER);
    assert_string_equal(now->node, "h3");
    assert_int_equal(now->task_state, TASK_REBUILDING);
}

#define WORLD(f_) cmocka_unit_test_setup_teardown(f_, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD(what_may_run_from_its_nodes_disk_stays),
        WORLD(what_the_fence_refuses_goes),
        WORLD(what_was_never_made_goes),
        WORLD(a_rebuild_of_one_that_is_off_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
