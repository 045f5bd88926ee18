/* scheduler: who waits gets a place, once, and none is taken twice. */
#include "scheduler_world.h"

#include "engine/placement.h"
#include "engine/scheduler.h"

#include <stdlib.h>

static struct scheduler *scheduler;

static int setup(void **state)
{
    world_open();
    struct scheduler_config config = {
        .store = world_store,
        .cache = world_cache,
        .env = &world_env,
    };
    scheduler = scheduler_new(&config);
    world_follow();
    scheduler_start(scheduler);
    put_node("a", 4, 8192, 100);
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

static void test_places_all(void **state)
{
    world_put(a_disk(DISK_WANTED));
    struct disk *d = world_edit(&kind_disk, SERVER_ID);
    d->node = NULL;
    world_put(d);
    struct port *p = a_port(PORT_ID, "fa:16:3e:00:00:01", "10.0.0.5");
    p->node = NULL;
    world_put(p);
    struct volume *v = a_volume(VOLUME_CREATING);
    v->node = NULL;
    world_put(v);
    struct server *s = a_server();
    s->node = s->zone = NULL;
    with_volume(s, "/dev/vdb", ATTACH_WANTED);
    with_port(s, PORT_ID, ATTACH_WANTED);
    world_put(s);
    run_scheduler();
    _autorecord_ const struct server *server =
        world_get(&kind_server, SERVER_ID);
    _autorecord_ const struct disk *disk = world_get(&kind_disk, SERVER_ID);
    _autorecord_ const struct port *port = world_get(&kind_port, PORT_ID);
    _autorecord_ const struct volume *volume =
        world_get(&kind_volume, VOLUME_ID);
    _autorecord_ const struct decision *why_there =
        world_get(&kind_decision, SERVER_ID);
    assert_string_equal(server->node, "a");
    assert_string_equal(why_there->node, "a");
    assert_int_equal(why_there->candidates.n, 1);
    assert_int_equal(why_there->rec.mod_rev, server->rec.mod_rev);
    assert_string_equal(server->zone, "nova");
    assert_string_equal(disk->node, "a");
    assert_string_equal(port->node, "a");
    assert_string_equal(volume->node, "a");
    assert_int_equal(server->rec.mod_rev, disk->rec.mod_rev); /* one txn */
    assert_int_equal(server->rec.mod_rev, port->rec.mod_rev);
}

static void test_no_valid_host(void **state)
{
    struct server *s = new_server("big");
    s->ram_mb = 1 << 20;
    world_put(s);
    run_scheduler();
    _autorecord_ const struct server *server = world_get(&kind_server, "big");
    assert_null(server->node);
    assert_int_equal(server->vm_state, VM_ERROR);
    assert_int_equal(server->task_state, TASK_NONE);
    assert_int_equal(server->fault_code, 500);
    assert_string_equal(
        server->fault,
        "No valid host was found. 1 node without enough memory. It would fit "
        "with 1040384 MB more memory.");
    _autorecord_ const struct decision *d = world_get(&kind_decision, "big");
    assert_null(d->node);
    assert_int_equal(d->nodes, 1);
    assert_int_equal(d->rec.mod_rev, server->rec.mod_rev);
}

static void test_waits_for_a_silent_pool(void **state)
{
    struct node *n = edit_node("a");
    n->seen = world_time - 2 * PLACEMENT_ALIVE_US;
    world_put(n);
    world_put(new_server("s"));
    run_scheduler();
    _autorecord_ const struct server *before = world_get(&kind_server, "s");
    assert_int_equal(before->vm_state, VM_BUILDING);
    world_time += 3 * SECOND_US;
    n = edit_node("a");
    n->seen = world_time;
    world_put(n);
    run_scheduler();
    _autorecord_ const struct server *after = world_get(&kind_server, "s");
    assert_string_equal(after->node, "a");
}

static void test_releases_unplaced(void **state)
{
    struct server *s = new_server("s");
    s->goal = GOAL_DELETED;
    world_put(s);
    run_scheduler();
    assert_null(world_get(&kind_server, "s"));
}

/* Two leaders that decide on the same old snapshot: one of them wins. */
static void test_no_overbooking(void **state)
{
    struct cache *stale = cache_new(model_kinds, N_KINDS);
    struct scheduler_config config = {
        .store = world_store,
        .cache = stale,
        .env = &world_env,
    };
    struct scheduler *other = scheduler_new(&config);
    struct error err;
    for (int i = 0; i < 2; i++) {
        struct server *s = new_server(i ? "s2" : "s1");
        s->ram_mb = 5000; /* two do not fit */
        world_put(s);
    }
    assert_true(cache_follow(stale, world_store, &err));
    cache_unfollow(stale);
    assert_true(reconciler_step(scheduler_queue(scheduler), 0));
    for (int i = 0; i < 4; i++)
        reconciler_step(scheduler_queue(other), (uint64_t)i);
    run_scheduler();
    _autorecord_ const struct server *s1 = world_get(&kind_server, "s1");
    _autorecord_ const struct server *s2 = world_get(&kind_server, "s2");
    assert_string_equal(s1->node, "a");
    assert_null(s2->node);
    assert_int_equal(s2->vm_state, VM_ERROR);
    scheduler_free(other);
    cache_free(stale);
}

/* ---- servers that move ----------------------------------------------------
 */

#define MOVE_ID "d0d0d0d0-0000-4000-8000-000000000001"

static void put_move(enum migration_type type, const char *host)
{
    struct txn t = TXN_INIT;
    struct error err;
    _autosnap_ struct snapshot *snap = cache_snapshot(world_cache);
    struct server *s = world_edit(&kind_server, "s");
    struct migration *m =
        migration_begin(&t, snap, s, MOVE_ID, type, world_time, &err);
    m->requested_host = rec_str(m, host);
    txn_put_record(&t, m);
    txn_put_record(&t, s);
    world_commit(&t);
    record_unref(m);
    record_unref(s);
}

/* Where the one that was asked for goes, "" and what is said if nowhere. */
static const char *moves_to(enum migration_type type, const char *host)
{
    static char to[128];
    put_move(type, host);
    run_scheduler();
    _autorecord_ struct migration *m = world_edit(&kind_migration, MOVE_ID);
    _autorecord_ const struct server *s = world_get(&kind_server, "s");
    snprintf(to, sizeof(to), "%s", m->dest ? m->dest : m->fault);
    if (m->dest)
        assert_int_equal(m->status, MIGRATION_PREPARING);
    else
        assert_int_equal(m->status, MIGRATION_ERROR);
    assert_int_equal(s->migration_id != NULL, m->dest != NULL);
    struct server *again = world_edit(&kind_server, "s");
    again->migration_id = NULL;
    again->task_state = TASK_NONE;
    world_put(again);
    m->status = MIGRATION_CANCELLED;
    world_put(record_copy(m));
    return to;
}

static void test_moves_elsewhere(void **state)
{
    put_node("b", 4, 8192, 100);
    put_node("c", 4, 8192, 100);
    put_group("affinity", 0);
    put_placed("s", "a", "g"); /* the only one of its group */
    put_placed("s1", "b", NULL);
    run_scheduler();
    assert_string_equal(moves_to(MIGRATION_LIVE, NULL), "c");
    assert_string_equal(moves_to(MIGRATION_LIVE, "b"), "b");
    assert_string_equal(moves_to(MIGRATION_COLD, NULL), "c");
    assert_non_null(strstr(moves_to(MIGRATION_LIVE, "a"), "No valid host"));
    assert_non_null(strstr(moves_to(MIGRATION_LIVE, "x"), "No valid host"));
    put_group("anti-affinity", 0);
    put_placed("s2", "c", "g");
    assert_string_equal(moves_to(MIGRATION_LIVE, NULL), "b");
    put_placed("s3", "b", "g");
    assert_non_null(strstr(moves_to(MIGRATION_LIVE, NULL), "No valid host"));
}

/* Two that would each fit where only one does. */
static void test_moves_take_room(void **state)
{
    put_node("b", 4, 8192, 100);
    put_placed("s", "a", NULL);
    struct server *s = world_edit(&kind_server, "s");
    s->ram_mb = 5000;
    world_put(s);
    put_move(MIGRATION_LIVE, NULL);
    run_scheduler();
    struct server *late = new_server("late");
    late->ram_mb = 5000;
    world_put(late);
    run_scheduler();
    _autorecord_ const struct server *gone = world_get(&kind_server, "late");
    assert_int_equal(gone->vm_state, VM_ERROR);
}

/* Asked for by hand, of one that has failed with its node: it starts there. */
static void put_stranded(enum node_health health)
{
    struct node *n = edit_node("a");
    n->health = (int)health;
    world_put(n);
    struct server *s = new_server("s");
    s->node = rec_str(s, "a");
    s->vm_state = VM_ERROR;
    s->goal = GOAL_RUNNING;
    s->stranded = true;
    s->fault = rec_str(s, "its node has failed");
    s->generation = 7;
    world_put(s);
    struct disk *d = record_new(&kind_disk, "s");
    d->server_id = rec_str(d, "s");
    d->node = rec_str(d, "a");
    d->path = rec_str(d, "rbd:cairn/disk.s");
    d->state = DISK_READY;
    world_put(d);
}

/* How the evacuation ends, and what the server is then. */
static int evacuates_to(const char *host, struct server **s)
{
    put_move(MIGRATION_EVACUATION, host);
    run_scheduler();
    _autorecord_ struct migration *m = world_edit(&kind_migration, MOVE_ID);
    *s = world_edit(&kind_server, "s");
    assert_null((*s)->migration_id);
    if (m->status == MIGRATION_DONE)
        assert_string_equal(m->dest, (*s)->node);
    return m->status;
}

static void test_evacuated_by_hand(void **state)
{
    put_node("b", 4, 8192, 100);
    put_node("c", 4, 8192, 100);
    put_stranded(HEALTH_FENCED);
    _autorecord_ struct server *s = NULL;
    assert_int_equal(evacuates_to("c", &s), MIGRATION_DONE);
    assert_string_equal(s->node, "c");
    assert_int_equal(s->generation, 8);
    assert_int_equal(s->vm_state, VM_STOPPED);
    assert_int_equal(s->task_state, TASK_POWERING_ON);
    assert_false(s->stranded);
    assert_null(s->fault);
}

static void test_evacuated_where_there_is_no_room(void **state)
{
    put_node("full", 4, 512, 100);
    put_stranded(HEALTH_FENCED);
    _autorecord_ struct server *s = NULL;
    assert_int_equal(evacuates_to("full", &s), MIGRATION_ERROR);
    assert_string_equal(s->node, "a");
    assert_int_equal(s->vm_state, VM_ERROR);
    assert_int_equal(s->task_state, TASK_NONE);
    assert_true(s->stranded); /* tried again, and starts when a is back */
}

/* It was let in meanwhile: then the server starts there. */
static void test_not_evacuated_from_a_node_that_is_back(void **state)
{
    put_node("b", 4, 8192, 100);
    put_stranded(HEALTH_UP);
    _autorecord_ struct server *s = NULL;
    assert_int_equal(evacuates_to("b", &s), MIGRATION_FAILED);
    assert_string_equal(s->node, "a");
    assert_int_equal(s->generation, 7);
    assert_int_equal(s->task_state, TASK_NONE);
}

/* ---- several at once ------------------------------------------------------
 */

static void put_waiting(const char *id, const char *group, const char *hints)
{
    struct server *s = new_server(id);
    s->ram_mb = 3000; /* two fit on a node */
    s->server_group_id = rec_str(s, group);
    s->scheduler_hints = rec_str(s, hints);
    world_put(s);
}

/* There, by the transaction that placed `with`, explained by it. */
static void assert_placed(const char *id, const char *node, const char *with)
{
    _autorecord_ const struct server *s = world_get(&kind_server, id);
    _autorecord_ const struct server *other = world_get(&kind_server, with);
    _autorecord_ const struct decision *d = world_get(&kind_decision, id);
    assert_string_equal(s->node, node);
    assert_string_equal(d->node, node);
    assert_int_equal(s->rec.mod_rev, d->rec.mod_rev);
    assert_int_equal(s->rec.mod_rev, other->rec.mod_rev);
}

/* Each is decided as if those before were there, all are committed at once;
 * whoever finds no room has its own turn. */
static void test_many_at_once(void **state)
{
    put_node("b", 4, 8192, 100);
    put_group("anti-affinity", 0);
    put_waiting("s1", "g", NULL);
    put_waiting("s2", "g", NULL);
    put_waiting("s3", NULL, NULL);
    put_waiting("s4", NULL, NULL);
    put_waiting("s5", NULL, NULL);
    run_scheduler();
    _autorecord_ const struct server *s3 = world_get(&kind_server, "s3");
    assert_placed("s1", "a", "s1");
    assert_placed("s2", "b", "s1");
    assert_placed("s3", s3->node, "s1");
    assert_placed("s4", strcmp(s3->node, "a") == 0 ? "b" : "a", "s1");
    _autorecord_ const struct server *s5 = world_get(&kind_server, "s5");
    assert_null(s5->node);
    assert_int_equal(s5->vm_state, VM_ERROR);
}

/* A hint speaks of servers that have their place. */
static void test_hints_wait_their_turn(void **state)
{
    put_node("b", 4, 8192, 100);
    put_waiting("s1", NULL, NULL);
    put_waiting("s2", NULL, "{\"same_host\": \"s1\"}");
    put_waiting("s3", NULL, NULL);
    run_scheduler();
    assert_placed("s1", "a", "s3");
    assert_placed("s2", "a", "s2");
    assert_placed("s3", "b", "s1");
}

static void test_volume_of_its_own(void **state)
{
    struct volume *v = a_volume(VOLUME_CREATING);
    v->node = NULL;
    world_put(v);
    struct volume *big = record_new(&kind_volume, "big");
    big->size_gb = 100 * PLACEMENT_THIN;
    world_put(big);
    run_scheduler();
    _autorecord_ const struct volume *placed =
        world_get(&kind_volume, VOLUME_ID);
    _autorecord_ const struct volume *failed = world_get(&kind_volume, "big");
    assert_string_equal(placed->node, "a");
    assert_int_equal(failed->status, VOLUME_ERROR);
    assert_null(failed->node);
}

/* ---- servers of one request ---------------------------------------------- */

static void put_of_request(int n, int64_t least, int64_t ram_mb,
                           const char *group)
{
    struct txn t = TXN_INIT;
    for (int i = 0; i < n; i++) {
        char id[8];
        snprintf(id, sizeof(id), "r%d", i);
        _autorecord_ struct server *s = new_server(id);
        s->ram_mb = ram_mb;
        s->reservation_id = "r-1";
        s->min_count = least;
        s->server_group_id = group;
        txn_put_record(&t, s);
    }
    world_commit(&t);
}

/* So many of the request are on a node; all were decided by one revision, and
 * those without a node say why. */
static void assert_together(int n, int placed, const char *fault)
{
    int64_t revision = 0;
    for (int i = 0; i < n; i++) {
        char id[8];
        snprintf(id, sizeof(id), "r%d", i);
        _autorecord_ const struct server *s = world_get(&kind_server, id);
        _autorecord_ const struct decision *d = world_get(&kind_decision, id);
        revision = revision ? revision : s->rec.mod_rev;
        assert_int_equal(s->rec.mod_rev, revision);
        assert_int_equal(d->rec.mod_rev, revision);
        placed -= s->node != NULL;
        assert_int_equal(s->vm_state, s->node ? VM_BUILDING : VM_ERROR);
        if (!s->node && !strstr(s->fault, fault))
            fail_msg("%s: %s", id, s->fault);
    }
    assert_int_equal(placed, 0);
}

static void test_as_many_as_asked_or_none(void **state)
{
    put_of_request(5, 3, 3000, NULL); /* two fit */
    run_scheduler();
    assert_together(5, 0,
                    "No valid host was found. 2 of 5 servers would have a "
                    "place: 1 node without enough memory");
    /* Nothing of it is left behind: two others have their place. */
    put_waiting("s1", NULL, NULL);
    put_waiting("s2", NULL, NULL);
    run_scheduler();
    assert_placed("s1", "a", "s2");
}

static void test_some_are_enough(void **state)
{
    put_of_request(5, 2, 3000, NULL);
    run_scheduler();
    assert_together(5, 2, "1 node without enough memory");
}

static void test_group_of_a_request(void **state)
{
    put_node("b", 4, 8192, 100);
    put_group("anti-affinity", 0);
    put_of_request(3, 3, 100, "g");
    run_scheduler();
    assert_together(3, 0,
                    "2 of 3 servers would have a place: 2 nodes excluded "
                    "by the server group");
    put_node("c", 4, 8192, 100);
    put_of_request(3, 3, 100, "g");
    run_scheduler();
    assert_together(3, 3, "");
}

/* One is deleted before it is decided: the rest is what is left to ask for. */
static void test_less_of_a_request(void **state)
{
    put_of_request(3, 3, 3000, NULL);
    struct server *s = world_edit(&kind_server, "r1");
    s->goal = GOAL_DELETED;
    world_put(s);
    run_scheduler();
    assert_null(world_get(&kind_server, "r1"));
    _autorecord_ const struct server *r0 = world_get(&kind_server, "r0");
    _autorecord_ const struct server *r2 = world_get(&kind_server, "r2");
    assert_string_equal(r0->node, "a");
    assert_string_equal(r2->node, "a");
}

/* Sixty large ones with as much in them as a store takes at once: their
 * reasons are left out before anything else is. */
static void test_large_request(void **state)
{
    char *text = malloc(15000);
    memset(text, 'A', 14999);
    text[14999] = 0;
    put_node("b", 64, 1 << 20, 10000);
    struct txn t = TXN_INIT;
    for (int i = 0; i < 60; i++) {
        char id[8];
        snprintf(id, sizeof(id), "r%d", i);
        _autorecord_ struct server *s = new_server(id);
        s->user_data = text;
        s->reservation_id = "r-1";
        s->min_count = 60;
        txn_put_record(&t, s);
    }
    world_commit(&t);
    run_scheduler();
    int explained_n = 0;
    for (int i = 0; i < 60; i++) {
        char id[8];
        snprintf(id, sizeof(id), "r%d", i);
        _autorecord_ const struct server *s = world_get(&kind_server, id);
        _autorecord_ const struct decision *d = world_get(&kind_decision, id);
        assert_non_null(s->node);
        explained_n += d != NULL;
    }
    assert_in_range(explained_n, 1, 60);
    free(text);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(test_places_all),
        CASE(test_no_valid_host),
        CASE(test_waits_for_a_silent_pool),
        CASE(test_releases_unplaced),
        CASE(test_no_overbooking),
        CASE(test_many_at_once),
        CASE(test_hints_wait_their_turn),
        CASE(test_as_many_as_asked_or_none),
        CASE(test_some_are_enough),
        CASE(test_group_of_a_request),
        CASE(test_less_of_a_request),
        CASE(test_large_request),
        CASE(test_volume_of_its_own),
        CASE(test_moves_elsewhere),
        CASE(test_moves_take_room),
        CASE(test_evacuated_by_hand),
        CASE(test_evacuated_where_there_is_no_room),
        CASE(test_not_evacuated_from_a_node_that_is_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
