/* recoverer: a pool of records, leases and a fence; nodes die and return. */
#include "server_world.h"

#include "engine/evacuate.h"
#include "engine/placement.h"
#include "engine/recoverer.h"
#include "model/migration.h"
#include "state/election.h"

/* ---- the fence ----------------------------------------------------------- */

#define N_NODES 4

static const char *const names[N_NODES] = { "h1", "h2", "h3", "h4" };

static struct {
    bool closed[N_NODES];
    bool down; /* the storage does not answer */
    unsigned closes, lifts;
    void (*meanwhile)(void); /* happens while a lift is on its way, once */
} storage;

static int index_of(const char *node)
{
    return node[1] - '1';
}

static bool answers(struct error *err)
{
    return !storage.down || error_set(err, ERR_TIMEOUT, "no monitor");
}

static bool fence_close(struct fence *f, const char *node, struct error *err)
{
    if (!answers(err))
        return false;
    storage.closed[index_of(node)] = true;
    storage.closes++;
    return true;
}

static bool fence_lift(struct fence *f, const char *node, struct error *err)
{
    void (*meanwhile)(void) = storage.meanwhile;
    if (!answers(err))
        return false;
    storage.meanwhile = NULL;
    if (meanwhile)
        meanwhile();
    storage.closed[index_of(node)] = false;
    storage.lifts++;
    return true;
}

static bool fence_list(struct fence *f, fence_node_fn *fn, void *arg,
                       struct error *err)
{
    for (int i = 0; i < N_NODES; i++)
        if (storage.closed[i])
            fn(arg, names[i]);
    return answers(err);
}

static const struct fence_ops fence_ops = { fence_close, fence_lift,
                                            fence_list };
static struct fence fence = { &fence_ops };

/* ---- the pool ------------------------------------------------------------ */

static struct recoverer *r;
static bool leading;

static bool leads(void *arg)
{
    return leading;
}

static bool guard(void *arg, struct txn *t)
{
    if (leading)
        txn_exists(t, "election/leader");
    return leading;
}

static const char *node_id(int i)
{
    static char id[UUID_SIZE] = "00000000-0000-4000-8000-000000000000";
    id[UUID_LEN - 1] = (char)('0' + i);
    return id;
}

static void lease(int i, bool there)
{
    char key[STORE_KEY_MAX];
    struct txn t = TXN_INIT;
    snprintf(key, sizeof(key), ELECTION_PREFIX ELECTION_NODES "%s", node_id(i));
    if (there)
        txn_put(&t, key, "x", 1);
    else
        txn_delete(&t, key);
    world_commit(&t);
}

static void put_node(int i)
{
    struct node *n = record_new(&kind_node, names[i]);
    struct member *m = record_new(&kind_member, names[i]);
    n->vcpus = 8;
    n->ram_mb = 4096;
    n->disk_gb = 100;
    n->cpu_overcommit = n->ram_overcommit = 1;
    n->seen = world_time;
    m->node_id = rec_str(m, node_id(i));
    world_put(n);
    world_put(m);
    lease(i, true);
}

static void open_recoverer(void)
{
    struct recoverer_config c = { .store = world_store,
                                  .cache = world_cache,
                                  .env = &env_system,
                                  .fence = &fence,
                                  .node = "h1",
                                  .leads = leads,
                                  .guard = guard };
    static struct env env;
    env = world_env;
    env.random = env_system.random; /* ids of migrations differ */
    c.env = &env;
    r = recoverer_new(&c);
}

static int setup(void **state)
{
    memset(&storage, 0, sizeof(storage));
    world_open();
    open_recoverer();
    world_follow();
    for (int i = 0; i < 3; i++)
        put_node(i);
    struct txn t = TXN_INIT;
    txn_put(&t, "election/leader", "h1", 2);
    world_commit(&t);
    leading = true;
    recoverer_start(r);
    return 0;
}

static int teardown(void **state)
{
    cache_unfollow(world_cache);
    recoverer_free(r);
    cache_free(world_cache);
    store_close(world_store);
    return 0;
}

static void pass_time(double seconds)
{
    int64_t until = world_time + (int64_t)(seconds * SECOND_US);
    while (world_time < until) {
        while (reconciler_step(recoverer_queue(r), 0))
            ;
        world_time += SECOND_US / 100;
    }
}

/* ---- records ------------------------------------------------------------- */

static const char *server_id(int i)
{
    static char ids[8][UUID_SIZE];
    memcpy(ids[i], "10000000-0000-4000-8000-000000000000", UUID_SIZE);
    ids[i][UUID_LEN - 1] = (char)('0' + i);
    return ids[i];
}

static void put_server(int i, const char *node, const char *path,
                       const char *priority)
{
    struct server *s = record_new(&kind_server, server_id(i));
    struct disk *d = record_new(&kind_disk, server_id(i));
    struct port *p = record_new(&kind_port, server_id(i));
    s->name = rec_str(s, "web");
    s->project_id = rec_str(s, "p1");
    s->node = d->node = p->node = rec_str(s, node);
    s->image_id = rec_str(s, "image");
    s->vcpus = 1;
    s->ram_mb = 1024;
    s->vm_state = VM_ACTIVE;
    s->power_state = POWER_RUNNING;
    s->created = i;
    if (priority)
        map_put(s, &s->extra_specs, "cairn:priority", priority);
    d->node = rec_str(d, node);
    d->server_id = rec_str(d, server_id(i));
    d->state = path ? DISK_READY : DISK_WANTED;
    d->path = rec_str(d, path);
    p->node = rec_str(p, node);
    p->device_id = rec_str(p, server_id(i));
    world_put(s);
    world_put(d);
    world_put(p);
}

#define RBD   "rbd:cairn/x"
#define LOCAL "/disks/x.qcow2"

static const struct server *server(int i)
{
    static const struct server *last;
    record_unref((void *)last);
    return last = world_get(&kind_server, server_id(i));
}

static int health(const char *node)
{
    _autorecord_ const struct node *n = world_get(&kind_node, node);
    return n->health;
}

static void assert_on(int i, const char *node)
{
    assert_string_equal(server(i)->node, node);
}

static void clean(const char *node)
{
    struct node *n = world_edit(&kind_node, node);
    n->cleaned = n->fence;
    world_put(n);
}

/* ---- tests --------------------------------------------------------------- */

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
    struct node *n = world_edit(&kind_node, "h2");
    n->storage_lost = 1;
    world_put(n);
    pass_time(3.5);
    assert_int_equal(health("h2"), HEALTH_UP);
    pass_time(2);
    assert_int_equal(health("h2"), HEALTH_QUARANTINED);
    assert_string_not_equal(server(1)->node, "h2");
    clean("h2");
    pass_time(5);
    assert_int_equal(health("h2"), HEALTH_QUARANTINED);
    n = world_edit(&kind_node, "h2");
    n->storage_lost = 0;
    world_put(n);
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
    struct server *s = world_edit(&kind_server, server_id(1));
    s->vm_state = VM_STOPPED;
    s->goal = GOAL_STOPPED;
    world_put(s);
    pass_time(1);
    lease(1, false);
    pass_time(100);
    assert_int_equal(health("h2"), HEALTH_UP);
    s = world_edit(&kind_server, server_id(1));
    s->goal = GOAL_DELETED;
    world_put(s);
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
    struct server *s = world_edit(&kind_server, server_id(1));
    s->vm_state = VM_BUILDING;
    world_put(s);
    pass_time(1);
    lease(1, false);
    pass_time(4);
    const struct server *now = server(1);
    assert_string_not_equal(now->node, "h2");
    assert_int_equal(now->vm_state, VM_BUILDING);
}

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

#define WORLD(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

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
        WORLD(test_all_silent),
        WORLD(test_alone),
        WORLD(test_unmade),
        WORLD(test_source_dies),
        WORLD(test_dest_dies),
        WORLD(test_unconfirmed_starts_elsewhere),
        WORLD(test_unconfirmed_waits_for_its_disk),
        WORLD(test_reverting_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
