/* recoverer: servers that were on the move when a node failed. */
#include "recoverer_world.h"

static void put_live(const char *source, const char *dest)
{
    struct txn t = TXN_INIT;
    struct error err;
    _autosnap_ struct snapshot *snap = cache_snapshot(world_cache);
    _autorecord_ struct server *s = world_edit(&kind_server, server_id(1));
    _autorecord_ struct migration *m =
        migration_begin(&t, snap, s, server_id(7), MIGRATION_LIVE, 1, &err);
    m->dest = rec_str(m, dest);
    migration_place(&t, snap, m, s, 1);
    m->status = MIGRATION_RUNNING;
    txn_change_record(&t, m);
    txn_change_record(&t, s);
    world_commit(&t);
}

static void test_source_dies(void **state)
{
    put_server(1, "h2", RBD, NULL);
    put_live("h2", "h3");
    pass_time(1);
    lease(1, false);
    pass_time(4);
    assert_string_not_equal(server(1)->node, "h2");
    assert_int_equal(server(1)->task_state, TASK_POWERING_ON);
    _autorecord_ const struct migration *m =
        world_get(&kind_migration, server_id(7));
    assert_int_equal(m->status, MIGRATION_ERROR);
    assert_string_equal(m->fault, "its node has failed");
    _autorecord_ const struct port *p = world_get(&kind_port, server_id(1));
    assert_null(p->migrating_to);
}

static void test_dest_dies(void **state)
{
    put_server(1, "h2", RBD, NULL);
    put_live("h2", "h3");
    pass_time(1);
    lease(2, false);
    pass_time(4);
    assert_on(1, "h2");
    assert_int_equal(server(1)->vm_state, VM_ACTIVE);
    _autorecord_ const struct migration *m =
        world_get(&kind_migration, server_id(7));
    assert_true(m->abort);
}

/* Server 1 of h2 came from h1 and waits to be confirmed. */
static void put_resized(enum migration_status status)
{
    struct txn t = TXN_INIT;
    struct error err;
    _autosnap_ struct snapshot *snap = cache_snapshot(world_cache);
    _autorecord_ struct server *s = world_edit(&kind_server, server_id(1));
    _autorecord_ struct migration *m =
        migration_begin(&t, snap, s, server_id(7), MIGRATION_COLD, 1, &err);
    m->source = "h1";
    m->dest = "h2";
    m->status = (int)status;
    s->vm_state = VM_RESIZED;
    s->task_state = TASK_NONE;
    txn_change_record(&t, m);
    txn_change_record(&t, s);
    world_commit(&t);
}

static void assert_still_unconfirmed(const char *dest)
{
    _autorecord_ const struct migration *m =
        world_get(&kind_migration, server_id(7));
    assert_int_equal(m->status, MIGRATION_FINISHED);
    assert_string_equal(m->source, "h1");
    assert_string_equal(m->dest, dest);
    assert_string_equal(server(1)->migration_id, server_id(7));
}

static void test_unconfirmed_starts_elsewhere(void **state)
{
    put_server(1, "h2", RBD, NULL);
    put_resized(MIGRATION_FINISHED);
    pass_time(1);
    lease(1, false);
    pass_time(4);
    assert_string_not_equal(server(1)->node, "h2");
    assert_int_equal(server(1)->vm_state, VM_STOPPED);
    assert_int_equal(server(1)->task_state, TASK_POWERING_ON);
    assert_still_unconfirmed(server(1)->node);
}

static void test_unconfirmed_waits_for_its_disk(void **state)
{
    put_server(1, "h2", LOCAL, NULL);
    put_resized(MIGRATION_FINISHED);
    pass_time(1);
    lease(1, false);
    pass_time(5);
    assert_on(1, "h2");
    assert_int_equal(server(1)->vm_state, VM_ERROR);
    assert_still_unconfirmed("h2");
    lease(1, true);
    pass_time(1);
    clean("h2");
    pass_time(1);
    assert_int_equal(server(1)->task_state, TASK_POWERING_ON);
    assert_still_unconfirmed("h2");
}

/* On its way back when the node fails that it was leaving. */
static void test_reverting_goes_on(void **state)
{
    put_server(1, "h2", RBD, NULL);
    put_resized(MIGRATION_REVERTING);
    pass_time(1);
    lease(1, false);
    pass_time(4);
    assert_string_not_equal(server(1)->node, "h2");
    assert_int_equal(server(1)->task_state, TASK_RESIZE_REVERTING);
    assert_string_equal(server(1)->migration_id, server_id(7));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD(test_source_dies),
        WORLD(test_dest_dies),
        WORLD(test_unconfirmed_starts_elsewhere),
        WORLD(test_unconfirmed_waits_for_its_disk),
        WORLD(test_reverting_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
