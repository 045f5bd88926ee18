/* recoverer: who is fenced, when, and what starts elsewhere. */
#include "recoverer_world.h"

static void test_power_cut(void **state)
{
    put_server(1, "h2", RBD, NULL);
    put_server(2, "h2", RBD, NULL);
    pass_time(5);
    assert_int_equal(health("h2"), HEALTH_UP);
    lease(1, false);
    pass_time(2.9);
    assert_int_equal(health("h2"), HEALTH_UP);
    assert_int_equal(storage.closes, 0);
    pass_time(0.3);
    assert_int_equal(health("h2"), HEALTH_FENCED);
    assert_true(storage.closed[1]);
    /* One each: they are spread as any others. */
    assert_int_equal(strcmp(server(1)->node, "h2") != 0, 1);
    assert_on(2, strcmp(server(1)->node, "h1") == 0 ? "h3" : "h1");
    const struct server *s = server(1);
    assert_int_equal(s->vm_state, VM_STOPPED);
    assert_int_equal(s->task_state, TASK_POWERING_ON);
    assert_int_equal(s->generation, 1);
    assert_null(s->migration_id);
    _autorecord_ const struct port *p = world_get(&kind_port, server_id(2));
    assert_string_equal(p->node, server(2)->node);
    _autorecord_ const struct disk *d = world_get(&kind_disk, server_id(2));
    assert_string_equal(d->node, server(2)->node);
}

static void test_recorded(void **state)
{
    put_server(1, "h2", RBD, NULL);
    put_server(2, "h2", RBD, NULL);
    lease(1, false);
    pass_time(1);
    lease(1, true);
    lease(1, false);
    pass_time(5);
    _autosnap_ struct snapshot *snap = cache_snapshot(world_cache);
    struct snap_iter it = snap_all(snap, &kind_migration);
    int64_t numbers = 0;
    for (const struct migration *m; (m = snap_next(&it));) {
        assert_int_equal(m->type, MIGRATION_EVACUATION);
        assert_int_equal(m->status, MIGRATION_DONE);
        assert_string_equal(m->source, "h2");
        assert_string_equal(m->reason, "node h2 has failed");
        numbers = numbers * 10 + m->number;
    }
    assert_true(numbers == 12 || numbers == 21);
}

static void test_comes_back(void **state)
{
    put_server(1, "h2", RBD, NULL);
    lease(1, false);
    pass_time(70); /* nobody has seen it before: it is waited for */
    assert_int_equal(health("h2"), HEALTH_FENCED);
    lease(1, true);
    pass_time(1);
    assert_int_equal(health("h2"), HEALTH_QUARANTINED);
    assert_true(storage.closed[1]);
    clean("h2");
    pass_time(1);
    assert_int_equal(health("h2"), HEALTH_UP);
    assert_false(storage.closed[1]);
    assert_int_equal(storage.closes, 1);
    assert_int_equal(storage.lifts, 1);
    _autorecord_ const struct node *n = world_get(&kind_node, "h2");
    assert_true(placement_alive(n, world_time));
}

static void test_local_disk(void **state)
{
    put_server(1, "h2", LOCAL, NULL);
    pass_time(1);
    lease(1, false);
    pass_time(5);
    const struct server *s = server(1);
    assert_string_equal(s->node, "h2");
    assert_int_equal(s->vm_state, VM_ERROR);
    assert_true(s->stranded);
    assert_non_null(strstr(s->fault, "it has a disk there"));
    lease(1, true);
    pass_time(1);
    assert_int_equal(server(1)->vm_state, VM_ERROR);
    clean("h2");
    pass_time(1);
    assert_int_equal(health("h2"), HEALTH_UP);
    s = server(1);
    assert_int_equal(s->task_state, TASK_POWERING_ON);
    assert_false(s->stranded);
    assert_null(s->fault);
    assert_int_equal(s->generation, 1);
}

/* 4 GB a node, and two of them: the important ones go first. */
static void test_no_room(void **state)
{
    for (int i = 0; i < 3; i++)
        put_server(i, i % 2 ? "h1" : "h3", RBD, NULL);
    for (int i = 3; i < 8; i++) {
        static const char *const priorities[] = { "0", "-5", "7", NULL, "x" };
        put_server(i, "h2", RBD, priorities[i - 3]);
        struct server *s = world_edit(&kind_server, server_id(i));
        s->ram_mb = 2048;
        world_put(s);
    }
    pass_time(1);
    lease(1, false);
    pass_time(5);
    assert_string_not_equal(server(5)->node, "h2"); /* 7 */
    assert_string_not_equal(server(3)->node, "h2"); /* 0, the oldest */
    assert_on(4, "h2");
    assert_true(server(4)->stranded);
    assert_non_null(strstr(server(4)->fault, "no other can take it now"));
    /* Room comes up. */
    assert_true(server(6)->stranded);
    put_node(3);
    pass_time(3);
    assert_on(6, "h4");
    assert_false(server(6)->stranded);
    assert_int_equal(server(6)->task_state, TASK_POWERING_ON);
    assert_on(7, "h4");
    assert_on(4, "h2");
}

static void test_storage_down(void **state)
{
    put_server(1, "h2", RBD, NULL);
    pass_time(1);
    storage.down = true;
    lease(1, false);
    pass_time(30);
    assert_int_equal(health("h2"), HEALTH_FENCING);
    assert_on(1, "h2");
    storage.down = false;
    pass_time(1);
    assert_int_equal(health("h2"), HEALTH_FENCED);
    assert_string_not_equal(server(1)->node, "h2");
}

static void test_back_while_fencing(void **state)
{
    put_server(1, "h2", RBD, NULL);
    pass_time(1);
    storage.down = true;
    lease(1, false);
    pass_time(5);
    assert_int_equal(health("h2"), HEALTH_FENCING);
    lease(1, true);
    clean("h2"); /* it is quick */
    pass_time(5);
    assert_int_equal(health("h2"), HEALTH_FENCING); /* no way back from it */
    storage.down = false;
    pass_time(2);
    assert_int_equal(health("h2"), HEALTH_UP);
    assert_int_equal(storage.closes, 1);
    assert_int_equal(storage.lifts, 1);
    assert_on(1, "h2"); /* it is at home sooner */
    assert_int_equal(server(1)->task_state, TASK_POWERING_ON);
}

static void test_not_leading(void **state)
{
    put_server(1, "h2", RBD, NULL);
    pass_time(1);
    leading = false;
    lease(1, false);
    pass_time(10);
    assert_int_equal(health("h2"), HEALTH_UP);
    /* It begins to lead, and has seen since when h2 is silent. */
    leading = true;
    recoverer_start(r);
    pass_time(0.2);
    assert_int_equal(health("h2"), HEALTH_FENCED);
}

/* Its transactions need the leader's key. */
static void test_stale_leader(void **state)
{
    put_server(1, "h2", RBD, NULL);
    pass_time(1);
    struct txn t = TXN_INIT;
    txn_delete(&t, "election/leader");
    world_commit(&t);
    lease(1, false);
    pass_time(10);
    assert_int_equal(health("h2"), HEALTH_UP);
    assert_int_equal(storage.closes, 0);
}

/* A leader before this one has closed a fence late. */
static void test_refused_though_well(void **state)
{
    put_server(1, "h2", RBD, NULL);
    pass_time(1);
    storage.closed[1] = true;
    pass_time(35);
    assert_int_equal(health("h2"), HEALTH_QUARANTINED);
    assert_string_not_equal(server(1)->node, "h2");
    clean("h2");
    pass_time(1);
    assert_int_equal(health("h2"), HEALTH_UP);
    assert_false(storage.closed[1]);
}

/* Another leader has let h2 in and condemned it anew. */
static void fail_again(void)
{
    struct node *n = world_edit(&kind_node, "h2");
    n->health = HEALTH_FENCED;
    n->fence++;
    world_put(n);
    lease(1, false);
    leading = false;
    storage.closed[1] = true;
}

/* A leader that was paused while it lifted a fence: what it opens too late
 * it closes itself, at once, although it leads no more. */
static void test_late_lift(void **state)
{
    pass_time(1);
    lease(1, false);
    pass_time(4);
    lease(1, true);
    pass_time(0.1);
    storage.meanwhile = fail_again;
    clean("h2");
    pass_time(0.1);
    assert_int_equal(storage.lifts, 1);
    assert_int_equal(health("h2"), HEALTH_FENCED);
    assert_true(storage.closed[1]);
}

static void fail_again_unasked(void)
{
    fail_again();
    storage.down = true;
}

/* ... as soon as it can. */
static void test_late_lift_in_the_dark(void **state)
{
    pass_time(1);
    lease(1, false);
    pass_time(4);
    lease(1, true);
    pass_time(0.1);
    storage.meanwhile = fail_again_unasked;
    clean("h2");
    pass_time(5);
    assert_false(storage.closed[1]);
    storage.down = false;
    pass_time(1);
    assert_true(storage.closed[1]);
}

static void test_fence_opened_by_others(void **state)
{
    pass_time(1);
    lease(1, false);
    pass_time(4);
    assert_true(storage.closed[1]);
    storage.closed[1] = false;
    pass_time(4);
    assert_true(storage.closed[1]);
    assert_int_equal(health("h2"), HEALTH_FENCED);
}

static void test_storage_network(void **state)
{
    put_server(1, "h2", RBD, NULL);
    pass_time(1);
    lose_storage("h2", true);
    pass_time(3.5);
    assert_int_equal(health("h2"), HEALTH_UP);
    pass_time(2);
    assert_int_equal(health("h2"), HEALTH_QUARANTINED);
    assert_string_not_equal(server(1)->node, "h2");
    clean("h2");
    pass_time(5);
    assert_int_equal(health("h2"), HEALTH_QUARANTINED);
    lose_storage("h2", false);
    pass_time(1);
    assert_int_equal(health("h2"), HEALTH_UP);
}

static void test_maintenance(void **state)
{
    struct node *n = world_edit(&kind_node, "h2");
    n->maintenance = true;
    world_put(n);
    n = world_edit(&kind_node, "h3");
    n->draining = true; /* and empty */
    world_put(n);
    pass_time(1);
    lease(1, false);
    lease(2, false);
    pass_time(100);
    assert_int_equal(health("h2"), HEALTH_UP);
    assert_int_equal(health("h3"), HEALTH_UP);
    put_server(1, "h2", RBD, NULL);
    pass_time(2);
    assert_int_equal(health("h2"), HEALTH_FENCED);
}

/* Silent in maintenance: one that stands still there is missed, and one that
 * is to go. */
static void test_maintenance_with_work(void **state)
{
    struct node *n = world_edit(&kind_node, "h2");
    n->maintenance = true;
    world_put(n);
    put_server(1, "h2", RBD, NULL);
    want(1, VM_STOPPED, GOAL_STOPPED);
    pass_time(1);
    lease(1, false);
    pass_time(100);
    assert_int_equal(health("h2"), HEALTH_UP);
    want(1, VM_STOPPED, GOAL_DELETED);
    pass_time(2);
    assert_int_equal(health("h2"), HEALTH_FENCED);
}

/* Nobody has room for it, and it needs none: it is to go. */
static void test_deleted_without_room(void **state)
{
    put_server(1, "h2", RBD, NULL);
    struct server *s = world_edit(&kind_server, server_id(1));
    s->ram_mb = 1 << 20;
    s->goal = GOAL_DELETED;
    world_put(s);
    pass_time(1);
    lease(1, false);
    pass_time(5);
    assert_on(1, "h1"); /* the leader */
    assert_int_equal(server(1)->goal, GOAL_DELETED);
    assert_null(server(1)->migration_id);
}

/* h2 has cleaned itself while it was condemned, lost its power then, and
 * what it kept a memory of goes: it must look once more when it is back. */
static void test_deleted_with_its_memory(void **state)
{
    put_server(1, "h2", RBD, NULL);
    want(1, VM_SUSPENDED, GOAL_SUSPENDED);
    pass_time(1);
    storage.down = true;
    lease(1, false);
    pass_time(5);
    lease(1, true);
    clean("h2");
    lease(1, false);
    storage.down = false;
    pass_time(2);
    assert_int_equal(health("h2"), HEALTH_FENCED);
    want(1, VM_SUSPENDED, GOAL_DELETED);
    pass_time(2);
    assert_on(1, "h1");
    lease(1, true);
    pass_time(2);
    assert_int_equal(health("h2"), HEALTH_QUARANTINED);
    clean("h2");
    pass_time(1);
    assert_int_equal(health("h2"), HEALTH_UP);
}

/* Everybody is silent but the leader: perhaps it is the leader's fault. */
static void test_all_silent(void **state)
{
    pass_time(1);
    lease(1, false);
    lease(2, false);
    pass_time(10);
    assert_int_equal(health("h2"), HEALTH_UP);
    lease(2, true);
    pass_time(1);
    assert_int_equal(health("h2"), HEALTH_FENCED);
    assert_int_equal(health("h3"), HEALTH_UP);
}

static void test_alone(void **state)
{
    pass_time(1);
    for (int i = 0; i < 3; i++)
        lease(i, false); /* as in a pool of one, which has none */
    pass_time(100);
    for (int i = 0; i < 3; i++)
        assert_int_equal(health(names[i]), HEALTH_UP);
}

/* What was never made is made elsewhere, without any shared storage. */
static void test_unmade(void **state)
{
    put_server(1, "h2", NULL, NULL);
    want(1, VM_BUILDING, GOAL_RUNNING);
    pass_time(1);
    lease(1, false);
    pass_time(4);
    const struct server *now = server(1);
    assert_string_not_equal(now->node, "h2");
    assert_int_equal(now->vm_state, VM_BUILDING);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD(test_power_cut),
        WORLD(test_recorded),
        WORLD(test_comes_back),
        WORLD(test_local_disk),
        WORLD(test_no_room),
        WORLD(test_storage_down),
        WORLD(test_back_while_fencing),
        WORLD(test_not_leading),
        WORLD(test_stale_leader),
        WORLD(test_refused_though_well),
        WORLD(test_late_lift),
        WORLD(test_late_lift_in_the_dark),
        WORLD(test_fence_opened_by_others),
        WORLD(test_storage_network),
        WORLD(test_maintenance),
        WORLD(test_maintenance_with_work),
        WORLD(test_deleted_without_room),
        WORLD(test_deleted_with_its_memory),
        WORLD(test_all_silent),
        WORLD(test_alone),
        WORLD(test_unmade),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
