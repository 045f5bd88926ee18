#include "test.h"

#include "server_world.h"

#include "model/migration.h"
#include "model/release.h"

#define MOVE_ID "d0d0d0d0-0000-4000-8000-000000000001"

static int open_world(void **state)
{
    struct server *s = a_server();
    s->ephemeral_gb = 1;
    world_open();
    world_follow();
    world_put(s);
    world_put(a_disk(DISK_READY));
    world_put(a_port(PORT_ID, "fa:16:3e:00:00:01", "10.0.0.5"));
    struct disk *d = record_new(&kind_disk, SERVER_ID ".ephemeral0");
    d->node = rec_str(d, "node1");
    d->state = DISK_READY;
    d->size_mb = 1024;
    d->path = rec_str(d, "/disks/e.raw");
    world_put(d);
    return 0;
}

static int close_world(void **state)
{
    world_close();
    return 0;
}

static struct server *server_draft(void)
{
    return world_edit(&kind_server, SERVER_ID);
}

static struct migration *move_draft(void)
{
    return world_edit(&kind_migration, MOVE_ID);
}

static void put_both(struct txn *t, struct migration *m, struct server *s)
{
    txn_change_record(t, m);
    txn_change_record(t, s);
    world_commit(t);
    record_unref(m);
    record_unref(s);
}

static void begin(enum migration_type type)
{
    struct txn t = TXN_INIT;
    struct error err;
    _autosnap_ struct snapshot *s = cache_snapshot(world_cache);
    struct server *server = server_draft();
    struct migration *m =
        migration_begin(&t, s, server, MOVE_ID, type, world_time, &err);
    assert_non_null(m);
    assert_int_equal(m->old_flavor.ram_mb, 512);
    m->new_flavor.ram_mb = 4096;
    put_both(&t, m, server);
}

static void place(void)
{
    struct txn t = TXN_INIT;
    _autosnap_ struct snapshot *s = cache_snapshot(world_cache);
    struct server *server = server_draft();
    struct migration *m = move_draft();
    m->dest = rec_str(m, "node2");
    m->dest_zone = rec_str(m, "zone2");
    migration_place(&t, s, m, server, world_time);
    put_both(&t, m, server);
}

static void make_disk(const char *id, const char *path)
{
    struct disk *d = world_edit(&kind_disk, id);
    assert_int_equal(d->state, DISK_WANTED);
    assert_string_equal(d->node, "node2");
    d->state = DISK_READY;
    d->path = rec_str(d, path);
    world_put(d);
}

static void arrive(void)
{
    struct txn t = TXN_INIT;
    _autosnap_ struct snapshot *s = cache_snapshot(world_cache);
    struct server *server = server_draft();
    struct migration *m = move_draft();
    migration_arrive(&t, s, m, server, world_time);
    put_both(&t, m, server);
}

static void end(enum migration_status status, const char *fault)
{
    struct txn t = TXN_INIT;
    _autosnap_ struct snapshot *s = cache_snapshot(world_cache);
    struct server *server = server_draft();
    struct migration *m = move_draft();
    migration_end(&t, s, m, server, status, fault, world_time);
    put_both(&t, m, server);
}

static void check_disk(const char *id, const char *node, int state,
                       const char *path)
{
    _autorecord_ const struct disk *d = world_get(&kind_disk, id);
    assert_non_null(d);
    assert_string_equal(d->node, node);
    assert_int_equal(d->state, state);
    if (path)
        assert_string_equal(d->path, path);
}

static void check_port(const char *node, const char *to)
{
    _autorecord_ const struct port *p = world_get(&kind_port, PORT_ID);
    assert_string_equal(p->node, node);
    if (to)
        assert_string_equal(p->migrating_to, to);
    else
        assert_null(p->migrating_to);
}

static const char *held(int64_t *ram_mb)
{
    struct server_flavor what = { 0 };
    _autosnap_ struct snapshot *s = cache_snapshot(world_cache);
    const char *node =
        migration_holds(snap_get(s, &kind_migration, MOVE_ID),
                        snap_get(s, &kind_server, SERVER_ID), &what);
    *ram_mb = what.ram_mb;
    return node ? strcmp(node, "node1") == 0 ? "node1" : "node2" : "";
}

static void a_live_move_from_end_to_end(void **state)
{
    int64_t ram;
    begin(MIGRATION_LIVE);
    assert_string_equal(held(&ram), "");
    _autorecord_ struct server *s = server_draft();
    assert_string_equal(server_status(s), "BUILD");
    s->vm_state = VM_ACTIVE;
    assert_string_equal(server_status(s), "MIGRATING");

    place();
    assert_string_equal(held(&ram), "node2");
    assert_int_equal(ram, 512);
    check_port("node1", "node2");
    make_disk(SERVER_ID "@" MOVE_ID, "/there/root");
    make_disk(SERVER_ID ".ephemeral0@" MOVE_ID, "/there/e");

    arrive();
    assert_string_equal(held(&ram), "");
    check_port("node2", NULL);
    check_disk(SERVER_ID, "node2", DISK_READY, "/there/root");
    check_disk(SERVER_ID "@" MOVE_ID, "node1", DISK_LEAVING, DISK_PATH);
    check_disk(SERVER_ID ".ephemeral0", "node2", DISK_READY, "/there/e");
    check_disk(SERVER_ID ".ephemeral0@" MOVE_ID, "node1", DISK_LEAVING,
               "/disks/e.raw");

    end(MIGRATION_COMPLETED, NULL);
    check_disk(SERVER_ID, "node2", DISK_READY, "/there/root");
    _autorecord_ struct server *moved = server_draft();
    assert_string_equal(moved->node, "node2");
    assert_string_equal(moved->zone, "zone2");
    assert_null(moved->migration_id);
    assert_int_equal(moved->task_state, TASK_NONE);
}

static void one_that_fails_leaves_all_as_it_was(void **state)
{
    int64_t ram;
    begin(MIGRATION_LIVE);
    place();
    make_disk(SERVER_ID "@" MOVE_ID, "/there/root");
    end(MIGRATION_ERROR, "no");
    assert_string_equal(held(&ram), "");
    check_port("node1", NULL);
    check_disk(SERVER_ID, "node1", DISK_READY, DISK_PATH);
    check_disk(SERVER_ID "@" MOVE_ID, "node2", DISK_LEAVING, NULL);
    check_disk(SERVER_ID ".ephemeral0@" MOVE_ID, "node2", DISK_LEAVING, NULL);
    _autorecord_ struct server *s = server_draft();
    assert_string_equal(s->node, "node1");
    assert_null(s->migration_id);
    assert_int_equal(s->task_state, TASK_NONE);
}

static void a_resize_holds_what_it_may_go_back_to(void **state)
{
    int64_t ram;
    begin(MIGRATION_RESIZE);
    place();
    assert_string_equal(held(&ram), "node2");
    assert_int_equal(ram, 4096);
    arrive();
    assert_string_equal(held(&ram), "node1");
    assert_int_equal(ram, 512);
    end(MIGRATION_CONFIRMED, NULL);
    assert_string_equal(held(&ram), "");
}

/* Its disk could be anywhere yet: a place for it at the dest might be the
 * disk itself, in the shared storage. */
static void not_before_its_disks_are_made(void **state)
{
    static const enum migration_type types[] = { MIGRATION_LIVE, MIGRATION_COLD,
                                                 MIGRATION_RESIZE };
    struct txn t = TXN_INIT;
    struct error err = { 0 };
    struct disk *d = world_edit(&kind_disk, SERVER_ID);
    d->state = DISK_WANTED;
    world_put(d);
    _autosnap_ struct snapshot *s = cache_snapshot(world_cache);
    _autorecord_ struct server *server = server_draft();
    for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
        assert_null(migration_begin(&t, s, server, MOVE_ID, types[i],
                                    world_time, &err));
        assert_int_equal(err.code, ERR_CONFLICT);
    }
    assert_null(server->migration_id);
}

/* Nor without what lies on the node's own disk; a resize may stay there. */
static void not_away_from_a_volume_of_its_node(void **state)
{
    static const enum migration_type types[] = { MIGRATION_LIVE,
                                                 MIGRATION_COLD };
    struct volume *v = record_new(&kind_volume, "own");
    v->node = rec_str(v, "node1");
    v->status = VOLUME_IN_USE;
    world_put(v);
    struct server *had = server_draft();
    struct server_volume *sv = list_add(had, &had->volumes, sizeof(*sv));
    sv->volume_id = rec_str(had, "own");
    world_put(had);
    _autosnap_ struct snapshot *s = cache_snapshot(world_cache);
    struct txn t = TXN_INIT;
    struct error err = { 0 };
    for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
        _autorecord_ struct server *server = server_draft();
        assert_null(migration_begin(&t, s, server, MOVE_ID, types[i],
                                    world_time, &err));
        assert_int_equal(err.code, ERR_CONFLICT);
        assert_non_null(strstr(err.text, "volume own"));
    }
    begin(MIGRATION_RESIZE);
}

static void only_one_at_a_time_and_each_has_a_number(void **state)
{
    struct txn t = TXN_INIT;
    struct error err;
    begin(MIGRATION_LIVE);
    _autosnap_ struct snapshot *s = cache_snapshot(world_cache);
    _autorecord_ struct server *server = server_draft();
    assert_null(migration_begin(&t, s, server, "other", MIGRATION_LIVE,
                                world_time, &err));
    assert_int_equal(err.code, ERR_CONFLICT);
    end(MIGRATION_CANCELLED, NULL);
    _autosnap_ struct snapshot *later = cache_snapshot(world_cache);
    _autorecord_ struct server *again = server_draft();
    _autorecord_ struct migration *m = migration_begin(
        &t, later, again, "other", MIGRATION_LIVE, world_time, &err);
    assert_int_equal(m->number, 2);
    txn_reset(&t);
}

static void it_ends_with_its_server(void **state)
{
    struct txn t = TXN_INIT;
    struct error err;
    begin(MIGRATION_LIVE);
    place();
    _autosnap_ struct snapshot *s = cache_snapshot(world_cache);
    const struct server *server = snap_get(s, &kind_server, SERVER_ID);
    assert_true(server_release(&t, s, server, world_time, &err));
    world_commit(&t);
    _autorecord_ struct migration *m = move_draft();
    assert_int_equal(m->status, MIGRATION_ERROR);
    check_disk(SERVER_ID "@" MOVE_ID, "node2", DISK_LEAVING, NULL);
}

static void files_are_named_by_the_disk(void **state)
{
    char name[STORE_KEY_MAX];
    begin(MIGRATION_LIVE);
    place();
    _autorecord_ struct disk *d =
        world_edit(&kind_disk, SERVER_ID ".ephemeral0@" MOVE_ID);
    assert_string_equal(disk_file_id(name, d), SERVER_ID ".ephemeral0");
    assert_string_equal(d->migration_id, MOVE_ID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_live_move_from_end_to_end, open_world,
                                        close_world),
        cmocka_unit_test_setup_teardown(one_that_fails_leaves_all_as_it_was,
                                        open_world, close_world),
        cmocka_unit_test_setup_teardown(a_resize_holds_what_it_may_go_back_to,
                                        open_world, close_world),
        cmocka_unit_test_setup_teardown(not_before_its_disks_are_made,
                                        open_world, close_world),
        cmocka_unit_test_setup_teardown(not_away_from_a_volume_of_its_node,
                                        open_world, close_world),
        cmocka_unit_test_setup_teardown(
            only_one_at_a_time_and_each_has_a_number, open_world, close_world),
        cmocka_unit_test_setup_teardown(it_ends_with_its_server, open_world,
                                        close_world),
        cmocka_unit_test_setup_teardown(files_are_named_by_the_disk, open_world,
                                        close_world),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
