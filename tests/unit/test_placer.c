/* placement: who goes where, and why not. */
#include "scheduler_world.h"

#include "engine/placement.h"

#include <stdlib.h>

static struct placer *placer;

static int setup(void **state)
{
    world_open();
    world_follow();
    placer = placer_new();
    put_node("a", 4, 8192, 100);
    put_node("b", 4, 8192, 100);
    put_node("c", 4, 8192, 100);
    return 0;
}

static int teardown(void **state)
{
    placer_free(placer);
    world_close();
    return 0;
}

/* ---- choosing ------------------------------------------------------------ */

/* The node, or "" ; what was put down and `why` of the newest call. */
static char explained[4096];
static struct error why;

static void put_down(const struct decision *d)
{
    size_t n = 0;
    explained[0] = '\0';
    for (size_t i = 0; i < d->excluded.n; i++)
        n += (size_t)snprintf(
            explained + n, sizeof(explained) - n, "%s%s", i ? "; " : "",
            LIST_AT(d->excluded, struct decision_reason, i)->example);
    for (size_t i = 0; i < d->changes.n; i++)
        n += (size_t)snprintf(
            explained + n, sizeof(explained) - n, " [%s]",
            LIST_AT(d->changes, struct decision_change, i)->what);
}

static const char *choose(const struct server *s)
{
    static char name[64];
    const char *node = "";
    _autorecord_ struct decision *d = record_new(&kind_decision, s->rec.id);
    _autosnap_ struct snapshot *snap = cache_snapshot(world_cache);
    error_clear(&why);
    if (!placer_server(placer, snap, s, world_time, &node, d, &why))
        node = "";
    put_down(d);
    snprintf(name, sizeof(name), "%s", node);
    return name;
}

static void test_spreads(void **state)
{
    _autorecord_ struct server *s = new_server("s");
    assert_string_equal(choose(s), "a");
    put_placed("s1", "a", NULL);
    assert_string_equal(choose(s), "b");
    put_placed("s2", "b", NULL);
    assert_string_equal(choose(s), "c");
    put_placed("s3", "c", NULL);
    assert_string_equal(choose(s), "a");
}

static void test_resources(void **state)
{
    _autorecord_ struct server *s = new_server("s");
    s->ram_mb = 8193;
    assert_string_equal(choose(s), "");
    assert_int_equal(why.code, ERR_NOT_FOUND);
    assert_string_equal(why.text, "3 nodes without enough memory. It would "
                                  "fit with 1 MB more memory");
    assert_non_null(
        strstr(explained, "[it would fit with 1 MB more memory on node a]"));
    assert_non_null(strstr(
        explained, "b: 8193 MB of memory wanted, 0 of 8192 in use; c: "));
    s->ram_mb = 8192;
    assert_string_equal(choose(s), "a");
    s->vcpus = 5; /* more than the machine has, overcommit or not */
    assert_string_equal(choose(s), "");
    assert_non_null(strstr(explained, "a: 5 vCPUs wanted, the machine has 4"));
    assert_string_equal(why.text, "3 nodes without enough vCPUs. It would fit "
                                  "with at most 4 vCPUs");
    s->vcpus = 1;
    s->disk_gb = 101;
    assert_string_equal(choose(s), "");
    s->disk_gb = 99;
    s->swap_mb = 1025; /* takes two */
    assert_string_equal(choose(s), "");
    s->swap_mb = 1024;
    assert_string_equal(choose(s), "a");
}

static void test_overcommit_and_reserve(void **state)
{
    for (int i = 0; i < 2; i++) {
        struct node *n = edit_node(i ? "b" : "c");
        n->disabled = true;
        n->disabled_reason = rec_str(n, "repair");
        world_put(n);
    }
    _autorecord_ struct server *s = new_server("s");
    s->vcpus = 4;
    s->ram_mb = 100;
    s->disk_gb = 1;
    put_placed("s1", "a", NULL);
    assert_string_equal(choose(s), "a"); /* 1 + 4 of 4 * 2 */
    put_placed("s2", "a", NULL);
    put_placed("s3", "a", NULL);
    put_placed("s4", "a", NULL);
    assert_string_equal(choose(s), "a"); /* 8 of 8 */
    put_placed("s5", "a", NULL);
    assert_string_equal(choose(s), "");
    assert_non_null(strstr(explained, "a: 4 vCPUs wanted, 5 of 8 in use"));
    assert_non_null(strstr(explained, "b: disabled: repair"));
    assert_string_equal(why.text,
                        "2 nodes disabled, 1 node without enough vCPUs. It "
                        "would fit with 1 more vCPU");
    assert_non_null(strstr(explained, "[node b or 1 more would do, "
                                      "were they enabled]"));
    struct node *n = edit_node("a");
    n->ram_reserved_mb = 8192 - 5 * 1024;
    n->cpu_overcommit = 0; /* the default */
    world_put(n);
    s->ram_mb = 0;
    assert_string_equal(choose(s), "a");
    s->ram_mb = 1;
    assert_string_equal(choose(s), "");
}

static void test_where(void **state)
{
    struct node *n = edit_node("b");
    n->availability_zone = rec_str(n, "east");
    world_put(n);
    struct aggregate *a = record_new(&kind_aggregate, "1");
    strs_add(a, &a->hosts, "c");
    map_put(a, &a->metadata, "availability_zone", "west");
    world_put(a);
    _autorecord_ struct server *s = new_server("s");
    s->requested_zone = "east";
    assert_string_equal(choose(s), "b");
    s->requested_zone = "west";
    assert_string_equal(choose(s), "c");
    s->requested_zone = "nova";
    assert_string_equal(choose(s), "a");
    s->requested_host = "b";
    assert_string_equal(choose(s), "");
    s->requested_zone = NULL;
    assert_string_equal(choose(s), "b");
    assert_non_null(strstr(explained, "a: host b is requested"));
}

static void test_silent_nodes(void **state)
{
    world_time += PLACEMENT_ALIVE_US + SECOND_US;
    _autorecord_ struct server *s = new_server("s");
    assert_string_equal(choose(s), "");
    assert_int_equal(why.code, ERR_UNAVAILABLE);
    assert_non_null(strstr(explained, "a: not heard of for 61 s"));
    struct node *n = edit_node("c");
    n->seen = world_time;
    world_put(n);
    assert_string_equal(choose(s), "c");
    s->ram_mb = 9999; /* no use to wait */
    choose(s);
    assert_int_equal(why.code, ERR_NOT_FOUND);
}

static void test_anti_affinity(void **state)
{
    put_group("anti-affinity", 0);
    _autorecord_ struct server *s = new_server("s");
    s->server_group_id = "g";
    put_placed("s1", "a", "g");
    put_placed("s2", "b", "g");
    assert_string_equal(choose(s), "c");
    put_placed("s3", "c", "g");
    assert_string_equal(choose(s), "");
    assert_string_equal(why.text, "3 nodes excluded by the server group. It "
                                  "would fit without the server group");
    put_group("anti-affinity", 2);
    assert_string_equal(choose(s), "a");
}

static void test_affinity(void **state)
{
    put_group("affinity", 0);
    _autorecord_ struct server *s = new_server("s");
    s->server_group_id = "g";
    put_placed("s1", "b", "g");
    assert_string_equal(choose(s), "b");
    s->ram_mb = 8000;
    assert_string_equal(choose(s), "");
    put_group("soft-affinity", 0);
    assert_string_equal(choose(s), "a");
    s->ram_mb = 1;
    assert_string_equal(choose(s), "b");
    put_group("soft-anti-affinity", 0);
    put_placed("s2", "a", NULL);
    put_placed("s3", "c", NULL);
    put_placed("s4", "c", NULL);
    assert_string_equal(choose(s), "a");
}

static void test_volumes_bind(void **state)
{
    struct volume *v = a_volume(VOLUME_AVAILABLE);
    v->node = rec_str(v, "c");
    world_put(v);
    _autorecord_ struct server *s = new_server("s");
    with_volume(s, "/dev/vda", ATTACH_WANTED);
    assert_string_equal(choose(s), "c");
    assert_non_null(strstr(explained, "a: a volume is on node c"));
    /* One that is yet to be made from it binds as well. */
    struct volume *clone = record_new(&kind_volume, "clone");
    clone->source_id = rec_str(clone, VOLUME_ID);
    clone->size_gb = 1;
    world_put(clone);
    LIST_AT(s->volumes, struct server_volume, 0)->volume_id = "clone";
    assert_string_equal(choose(s), "c");
    _autosnap_ struct snapshot *snap = cache_snapshot(world_cache);
    const char *node;
    assert_true(placer_volume(placer, snap,
                              snap_get(snap, &kind_volume, "clone"), world_time,
                              &node, &why));
    assert_string_equal(node, "c");
}

/* ---- the reserve --------------------------------------------------------- */

static void drop_server(const char *id)
{
    _autorecord_ const struct record *r = world_get(&kind_server, id);
    struct txn t = TXN_INIT;
    txn_delete_record(&t, r);
    world_commit(&t);
}

static void put_reserve(int failures)
{
    struct pool_policy *p = record_new(&kind_pool_policy, "pool");
    p->reserve = failures;
    world_put(p);
}

/* Three nodes of 8192: the third server of 5000 would leave no place for
 * those of the first two.  Kept while servers come and go. */
static void test_keeps_the_reserve(void **state)
{
    struct server *s = new_server("new");
    s->ram_mb = 5000;
    put_reserve(1);
    assert_string_equal(choose(s), "a");
    for (int i = 0; i < 2; i++) {
        struct server *placed = new_server(i ? "s1" : "s0");
        placed->ram_mb = 5000;
        placed->node = i ? "b" : "a";
        world_put(placed);
    }
    assert_string_equal(choose(s), "");
    assert_int_equal(why.code, ERR_NOT_FOUND);
    assert_non_null(strstr(why.text, "2 nodes without enough memory"));
    assert_non_null(strstr(
        why.text, "1 node where the room kept for failures would be gone"));
    assert_non_null(
        strstr(explained, "c: if a failed, s0 would find no place"));
    assert_non_null(strstr(explained, "[it would fit without the reserve for 1 "
                                      "failed node (1 node, e.g. c)]"));
    s->ram_mb = 3000;
    assert_string_equal(choose(s), "c");
    s->ram_mb = 5000;
    drop_server("s1");
    assert_string_equal(choose(s), "b");
    record_unref(s);
}

/* The proof that is kept says what one made anew says. */
static void test_reserve_follows(void **state)
{
    srand(7);
    put_reserve(1);
    for (int i = 0; i < 120; i++) {
        char id[16];
        snprintf(id, sizeof(id), "s%d", rand() % 12);
        _autorecord_ const struct server *was = world_get(&kind_server, id);
        if (was) {
            drop_server(id);
            continue;
        }
        struct server *s = new_server(id);
        s->vcpus = 1;
        s->ram_mb = 500 * (1 + rand() % 8);
        char node[8];
        snprintf(node, sizeof(node), "%s", choose(s));
        struct placer *kept = placer;
        placer = placer_new();
        assert_string_equal(choose(s), node);
        placer_free(placer);
        placer = kept;
        s->node = *node ? rec_str(s, node) : NULL;
        world_put(s);
    }
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(test_spreads),
        CASE(test_resources),
        CASE(test_overcommit_and_reserve),
        CASE(test_where),
        CASE(test_silent_nodes),
        CASE(test_anti_affinity),
        CASE(test_affinity),
        CASE(test_volumes_bind),
        CASE(test_keeps_the_reserve),
        CASE(test_reserve_follows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
