/* The rebalancer: plans are carried out a wave at a time, or only told. */
#include "server_world.h"

#include "engine/rebalancer.h"
#include "model/migration.h"

static struct rebalancer *rebalancer;
static bool drains; /* node a */
static struct {
    int calls;
    char server[64], to[64];
    bool refuses;
} asked;

static bool move(void *self, const struct server *server, const char *to,
                 const char *because, struct error *err)
{
    asked.calls++;
    snprintf(asked.server, sizeof(asked.server), "%s", server->rec.id);
    snprintf(asked.to, sizeof(asked.to), "%s", to);
    return !asked.refuses || error_set(err, ERR_UNAVAILABLE, "not now");
}

static void put_node(const char *name)
{
    struct node *n = record_new(&kind_node, name);
    n->vcpus = 8;
    n->ram_mb = 16384;
    n->disk_gb = 100;
    n->cpu_overcommit = n->ram_overcommit = 1;
    n->seen = world_time;
    n->draining = drains && strcmp(name, "a") == 0;
    world_put(n);
}

/* Of group "g", which wants them apart. */
static void put_server(const char *id, const char *node, const char *image)
{
    struct server *s = record_new(&kind_server, id);
    s->vcpus = 1;
    s->ram_mb = 1024;
    s->server_group_id = "g";
    s->image_id = image;
    s->vm_state = VM_ACTIVE;
    s->node = node;
    world_put(s);
}

static void put_policy(enum rebalancing rebalancing)
{
    struct pool_policy *policy = record_new(&kind_pool_policy, "pool");
    policy->rebalancing = rebalancing;
    world_put(policy);
}

static void open_with(rebalance_move_fn *fn, const char *image)
{
    world_open();
    rebalancer = rebalancer_new(&(struct rebalancer_config){
        .cache = world_cache,
        .env = &world_env,
        .move = fn,
    });
    world_follow();
    memset(&asked, 0, sizeof(asked));
    struct server_group *g = record_new(&kind_server_group, "g");
    g->policy = "anti-affinity";
    world_put(g);
    put_policy(REBALANCE_ON);
    put_node("a");
    put_node("b");
    put_server("s1", "a", image);
    put_server("s2", "a", image);
    rebalancer_start(rebalancer);
}

static int teardown(void **state)
{
    cache_unfollow(world_cache);
    rebalancer_free(rebalancer);
    cache_free(world_cache);
    store_close(world_store);
    return 0;
}

/* Lets so much time go by; nodes go on living. */
static void pass(int64_t us)
{
    world_time += us;
    put_node("a");
    put_node("b");
    while (reconciler_step(rebalancer_queue(rebalancer), 0))
        ;
}

static void moves_and_comes_to_rest(void **state)
{
    open_with(move, NULL);
    pass(REBALANCE_PASS_US);
    assert_int_equal(asked.calls, 1);
    assert_string_equal(asked.to, "b");
    pass(REBALANCE_PASS_US); /* on its way: no second plan */
    assert_int_equal(asked.calls, 1);
    put_server(asked.server, "b", NULL);
    pass(REBALANCE_PASS_US);
    pass(REBALANCE_PASS_US);
    assert_int_equal(asked.calls, 1);
}

/* Node b is empty, which moves them once they have rested. */
static void rests_by_the_records(void **state)
{
    char id[8];
    open_with(move, NULL);
    for (int i = 1; i <= 6; i++) {
        snprintf(id, sizeof(id), "s%d", i);
        struct server *s = record_new(&kind_server, id);
        s->vcpus = 1;
        s->ram_mb = 1024;
        s->vm_state = VM_ACTIVE;
        s->node = "a";
        world_put(s);
        struct migration *m = record_new(&kind_migration, id);
        m->server_id = rec_str(m, id);
        m->type = MIGRATION_EVACUATION;
        m->status = MIGRATION_DONE;
        m->ended = world_time;
        world_put(m);
    }
    pass(REBALANCE_PASS_US);
    pass(REBALANCE_PASS_US);
    assert_int_equal(asked.calls, 0);
    pass(REBALANCE_REST_US);
    pass(REBALANCE_PASS_US);
    assert_true(asked.calls > 0);
}

static void gives_up_on_who_does_not_arrive(void **state)
{
    open_with(move, NULL);
    pass(REBALANCE_PASS_US);
    pass(REBALANCE_MOVE_US + SECOND_US);
    assert_int_equal(asked.calls, 2); /* planned anew */
}

static void a_refusal_is_asked_again(void **state)
{
    open_with(move, NULL);
    asked.refuses = true;
    pass(REBALANCE_PASS_US);
    assert_int_equal(asked.calls, 1);
    pass(REBALANCE_LOOK_US);
    assert_int_equal(asked.calls, 1);
    pass(REBALANCE_PASS_US);
    assert_int_equal(asked.calls, 2);
}

/* The operator's word: goals that are off. */
static void goes_by_the_policy(void **state)
{
    open_with(move, NULL);
    struct pool_policy *policy = record_new(&kind_pool_policy, "pool");
    amount_set(policy, &policy->goals, "repair", 0);
    amount_set(policy, &policy->goals, "fill", 0);
    world_put(policy);
    pass(REBALANCE_PASS_US);
    assert_int_equal(asked.calls, 0);
    policy = world_edit(&kind_pool_policy, "pool");
    amount_set(policy, &policy->goals, "repair", 100);
    world_put(policy);
    pass(REBALANCE_PASS_US);
    assert_int_equal(asked.calls, 1);
}

static void off_and_advise_move_nobody(void **state)
{
    open_with(move, NULL);
    put_policy(REBALANCE_OFF);
    pass(REBALANCE_PASS_US);
    put_policy(REBALANCE_ADVISE);
    pass(REBALANCE_PASS_US);
    assert_int_equal(asked.calls, 0);
    put_policy(REBALANCE_ON);
    pass(REBALANCE_PASS_US);
    assert_int_equal(asked.calls, 1);
}

/* Where it has a file, and where it does not run. */
static void what_cannot_be_moved_live_stays(void **state)
{
    open_with(move, "image");
    for (int i = 1; i <= 2; i++) {
        char id[8];
        snprintf(id, sizeof(id), "s%d", i);
        struct server *s = world_edit(&kind_server, id);
        s->vm_state = VM_STOPPED;
        world_put(s);
    }
    pass(REBALANCE_PASS_US);
    assert_int_equal(asked.calls, 0);
    struct volume *v = a_volume(VOLUME_IN_USE);
    v->node = "a";
    world_put(v);
    for (int i = 1; i <= 2; i++) {
        char id[8];
        snprintf(id, sizeof(id), "s%d", i);
        struct server *s = world_edit(&kind_server, id);
        s->vm_state = VM_ACTIVE;
        if (i == 1)
            s->migration_id = "m"; /* on its way already */
        else
            with_volume(s, "/dev/vdb", ATTACH_DONE);
        world_put(s);
    }
    pass(REBALANCE_PASS_US);
    assert_int_equal(asked.calls, 0);
    struct server *s = world_edit(&kind_server, "s1");
    s->migration_id = NULL;
    world_put(s);
    pass(REBALANCE_PASS_US);
    assert_int_equal(asked.calls, 1);
    assert_string_equal(asked.server, "s1");
}

static void drain(bool on)
{
    drains = on;
    put_node("a");
}

static void put_off(void)
{
    struct server *s = record_new(&kind_server, "off");
    s->vcpus = 1;
    s->ram_mb = 1024;
    s->vm_state = VM_STOPPED;
    s->goal = GOAL_STOPPED;
    s->node = "a";
    world_put(s);
}

/* What is off leaves a node that drains, and no other; nobody is asked to
 * confirm it. */
static void what_is_off_leaves_a_node_that_drains(void **state)
{
    open_with(move, NULL);
    put_policy(REBALANCE_ON);
    put_off();
    drain(true);
    bool went = false;
    for (int i = 0; i < 5 && !went; i++) {
        pass(REBALANCE_MOVE_US);
        went = strcmp(asked.server, "off") == 0;
    }
    assert_true(went);
    _autorecord_ const struct server *s = world_get(&kind_server, "off");
    assert_true(migration_may_begin_cold(s));
    assert_false(migration_may_begin(s));
}

/* Whatever the pool's policy is; what fails is left alone for a while. */
static void a_node_that_drains_is_emptied(void **state)
{
    open_with(move, NULL);
    put_policy(REBALANCE_OFF);
    pass(REBALANCE_PASS_US);
    assert_int_equal(asked.calls, 0);
    drain(true);
    pass(0);
    assert_int_equal(asked.calls, 1);
    assert_string_equal(asked.to, "b");
    struct migration *m = record_new(&kind_migration, "m");
    m->server_id = rec_str(m, asked.server);
    m->status = MIGRATION_ERROR;
    world_put(m);
    char first[64];
    snprintf(first, sizeof(first), "%s", asked.server);
    pass(REBALANCE_LOOK_US);
    pass(REBALANCE_LOOK_US);
    for (int i = 0; i < 2 && asked.calls < 2; i++)
        pass(REBALANCE_AGAIN_US + SECOND_US);
    assert_true(asked.calls > 1);
    drain(false);
}

static void without_a_way_it_advises(void **state)
{
    open_with(NULL, NULL);
    pass(REBALANCE_PASS_US);
    pass(REBALANCE_PASS_US);
}

#define CASE(f) cmocka_unit_test_teardown(f, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(moves_and_comes_to_rest),
        CASE(rests_by_the_records),
        CASE(gives_up_on_who_does_not_arrive),
        CASE(a_refusal_is_asked_again),
        CASE(off_and_advise_move_nobody),
        CASE(goes_by_the_policy),
        CASE(what_cannot_be_moved_live_stays),
        CASE(a_node_that_drains_is_emptied),
        CASE(what_is_off_leaves_a_node_that_drains),
        CASE(without_a_way_it_advises),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
