/* The engine's view of the records: what flavors, aggregates and hints mean;
 * what-if. */
#include "view_world.h"

#include "engine/choose.h"
#include "engine/extra_spec.h"
#include "engine/mix.h"
#include "engine/placement.h"
#include "engine/whatif.h"
#include "engine/wish.h"
#include "model/migration.h"
#include "model/use.h"

/* ---- one by one ---------------------------------------------------------- */

static void put_node(const char *name)
{
    struct node *n = record_new(&kind_node, name);
    n->vcpus = 8;
    n->ram_mb = 16384;
    n->disk_gb = 100;
    n->cpu_overcommit = n->ram_overcommit = 1;
    n->machine = "x86_64";
    n->seen = world_time;
    world_put(n);
}

static struct server *small(const char *id)
{
    struct server *s = record_new(&kind_server, id);
    s->name = rec_str(s, id);
    s->project_id = "p1";
    s->vcpus = 2;
    s->ram_mb = 4096;
    return s;
}

/* Takes the draft; the node's name, or "". */
static const char *goes_to(struct server *s)
{
    struct wish w;
    struct error err;
    struct placing at;
    _autosnap_ struct snapshot *snap = follow();
    _autorecord_ struct server *draft = s;
    bool ok = wish_of_server(view, draft, &w, &err) &&
              choose_exhaustive(view_fleet(view), &w.request, &at);
    wish_free(&w);
    return ok ? view_fleet(view)->hosts[at.host].name : "";
}

static struct server *with_spec(const char *key, const char *value)
{
    struct server *s = small("s");
    map_put(s, &s->extra_specs, key, value);
    return s;
}

static void flavors_and_images(void **state)
{
    put_node("a");
    put_node("b");
    struct node *n = world_edit(&kind_node, "b");
    strs_add(n, &n->traits, "CUSTOM_SSD");
    amount_set(n, &n->resources, "CUSTOM_LICENSE", 3);
    world_put(n);
    assert_string_equal(goes_to(small("s")), "a");
    assert_string_equal(goes_to(with_spec("trait:CUSTOM_SSD", "required")),
                        "b");
    assert_string_equal(goes_to(with_spec("trait:CUSTOM_SSD", "forbidden")),
                        "a");
    assert_string_equal(goes_to(with_spec("trait:CUSTOM_NO", "required")), "");
    assert_string_equal(goes_to(with_spec("resources:CUSTOM_LICENSE", "3")),
                        "b");
    assert_string_equal(goes_to(with_spec("resources:CUSTOM_LICENSE", "4")),
                        "");
    assert_string_equal(goes_to(with_spec("resources:VGPU", "1")), "");
    assert_string_equal(goes_to(with_spec("resources:VCPU", "9")), "");
    assert_string_equal(goes_to(with_spec("hw:numa_nodes", "1")), "a");
    assert_string_equal(goes_to(with_spec("hw:numa_nodes", "2")), "");
    assert_string_equal(goes_to(with_spec("hw:mem_page_size", "2MB")), "");
    assert_string_equal(goes_to(with_spec("hw:mem_page_size", "small")), "a");
    assert_string_equal(goes_to(with_spec("pci_passthrough:alias", "gpu:1")),
                        "");
    struct server *s = small("s");
    map_put(s, &s->image_properties, "trait:CUSTOM_SSD", "required");
    assert_string_equal(goes_to(s), "b");
    s = small("s");
    map_put(s, &s->image_properties, "hw_architecture", "aarch64");
    assert_string_equal(goes_to(s), "");
}

/* A link's share, in both directions the larger one. */
static void bandwidth(void **state)
{
    put_node("a");
    put_node("b");
    struct node *n = world_edit(&kind_node, "b");
    n->bandwidth_mbps = 1000;
    world_put(n);
    assert_string_equal(
        goes_to(with_spec("resources:NET_BW_EGR_KILOBIT_PER_SEC", "600000")),
        "b");
    struct server *s =
        with_spec("resources:NET_BW_EGR_KILOBIT_PER_SEC", "400000");
    map_put(s, &s->extra_specs, "resources:NET_BW_IGR_KILOBIT_PER_SEC",
            "599001");
    s->node = "b";
    world_put(s);
    snapshot_unref(follow());
    const struct fleet *f = view_fleet(view);
    assert_int_equal(f->free[FLEET_BANDWIDTH][fleet_find_host(f, "b")], 400);
    s = with_spec("resources:NET_BW_IGR_KILOBIT_PER_SEC", "400001");
    assert_string_equal(goes_to(s), "");
    s = with_spec("resources:NET_BW_IGR_KILOBIT_PER_SEC", "400000");
    assert_string_equal(goes_to(s), "b");
}

/* A member of group "g" that the flavor or a hint wants spread over racks. */
static struct server *member(const char *id, const char *node, bool by_hint)
{
    struct server *s = small(id);
    s->server_group_id = "g";
    s->node = node;
    if (by_hint)
        s->scheduler_hints = "{\"cairn:spread\":\"rack\"}";
    else
        map_put(s, &s->extra_specs, "cairn:spread", "rack:1");
    return s;
}

/* Two racks; the first has room for all. */
static void spread_over_racks(void **state)
{
    static const char *const nodes[] = { "a", "b", "c" };
    for (int i = 0; i < 3; i++) {
        put_node(nodes[i]);
        struct node *n = world_edit(&kind_node, nodes[i]);
        n->rack = i < 2 ? "r1" : "r2";
        world_put(n);
    }
    struct server_group *g = record_new(&kind_server_group, "g");
    g->policy = "soft-affinity";
    world_put(g);
    assert_string_equal(goes_to(member("s1", NULL, true)), "a");
    world_put(member("s1", "a", true));
    assert_string_equal(goes_to(member("s2", NULL, true)), "c");
    assert_string_equal(goes_to(member("s2", NULL, false)), "c");
    struct server *s = member("s2", NULL, false);
    map_put(s, &s->extra_specs, "cairn:spread", "rack:2");
    assert_string_equal(goes_to(s), "a");
    world_put(member("s2", "c", false));
    assert_string_equal(goes_to(member("s3", NULL, true)), "a");
}

static void put_cpu(const char *node, bool kvm, const char *features)
{
    put_node(node);
    struct node *n = world_edit(&kind_node, node);
    char text[200];
    snprintf(text, sizeof(text),
             "{\"arch\":\"x86_64\",\"vendor\":\"Intel\",\"features\":[%s]}",
             features);
    n->cpu_info = rec_str(n, text);
    n->kvm = kvm;
    world_put(n);
}

/* Where a move of server "s" from its node may go. */
static const char *moves_to(enum migration_type type, const char *from)
{
    struct wish w;
    struct error err;
    struct placing at;
    struct server *s = small("s");
    s->node = from;
    world_put(s);
    _autosnap_ struct snapshot *snap = follow();
    _autorecord_ struct migration *m = record_new(&kind_migration, "m");
    m->server_id = "s";
    m->source = from;
    m->type = type;
    m->new_flavor.vcpus = 2;
    m->new_flavor.ram_mb = 4096;
    bool ok =
        wish_of_move(view, m, snap_get(snap, &kind_server, "s"), &w, &err) &&
        choose_exhaustive(view_fleet(view), &w.request, &at);
    wish_free(&w);
    return ok ? view_fleet(view)->hosts[at.host].name : "";
}

/* Who runs sees what the CPU can, and must find it where it goes; who is
 * started anew need not. */
static void cpus_of_moves(void **state)
{
    put_cpu("a", true, "\"sse4.1\"");
    put_cpu("b", true, "\"sse4.1\",\"avx2\"");
    put_cpu("c", true, "\"avx2\",\"sse4.1\",\"amx-tile\"");
    assert_string_equal(moves_to(MIGRATION_LIVE, "b"), "c");
    assert_string_equal(moves_to(MIGRATION_LIVE, "a"), "b");
    assert_string_equal(moves_to(MIGRATION_LIVE, "c"), "");
    assert_string_equal(moves_to(MIGRATION_COLD, "c"), "a");
    put_cpu("d", false, "\"sse4.1\""); /* emulates what there is not */
    assert_string_equal(moves_to(MIGRATION_LIVE, "c"), "d");
    struct server *s = with_spec("trait:HW_CPU_X86_AVX2", "required");
    assert_string_equal(goes_to(s), "b");
    s = with_spec("trait:HW_CPU_X86_SSE4_1", "forbidden");
    assert_string_equal(goes_to(s), "d");
    s = with_spec("trait:HW_CPU_X86_NOSUCH", "required");
    assert_string_equal(goes_to(s), "");
}

/* Both ends are held, each with its flavor, and let go. */
static void a_move_holds_both_ends(void **state)
{
    put_node("a");
    put_node("b");
    struct server *s = small("s");
    s->node = "a";
    world_put(s);
    struct migration *m = record_new(&kind_migration, "m");
    m->server_id = "s";
    m->source = "a";
    m->dest = "b";
    m->status = MIGRATION_RUNNING;
    world_put(m);
    snapshot_unref(follow());
    const struct fleet *f = view_fleet(view);
    uint32_t a = fleet_find_host(f, "a"), b = fleet_find_host(f, "b");
    assert_int_equal(f->free[FLEET_MEMORY][a], 12288);
    assert_int_equal(f->free[FLEET_MEMORY][b], 12288);
    struct server *there = world_edit(&kind_server, "s");
    there->node = "b";
    world_put(there);
    m = world_edit(&kind_migration, "m");
    m->type = MIGRATION_RESIZE;
    m->status = MIGRATION_FINISHED;
    m->old_flavor.ram_mb = 1024;
    world_put(m);
    snapshot_unref(follow());
    assert_int_equal(f->free[FLEET_MEMORY][a], 15360);
    assert_int_equal(f->free[FLEET_MEMORY][b], 12288);
    m = world_edit(&kind_migration, "m");
    m->status = MIGRATION_CONFIRMED;
    world_put(m);
    snapshot_unref(follow());
    assert_int_equal(f->free[FLEET_MEMORY][a], 16384);
}

/* A name that nobody had when the server was placed, and one has now. */
static void words_that_come_later(void **state)
{
    put_node("a");
    put_node("b");
    struct server *s = with_spec("trait:CUSTOM_SSD", "required");
    s->node = "a";
    world_put(s);
    _autosnap_ struct snapshot *before = follow();
    struct node *n = world_edit(&kind_node, "b");
    strs_add(n, &n->traits, "CUSTOM_SSD");
    world_put(n);
    _autosnap_ struct snapshot *now = follow();
    const struct fleet *f = view_fleet(view);
    const struct fleet_guest *g =
        fleet_guest(f, view_guest(view, snap_get(now, &kind_server, "s")));
    const struct demand *d = fleet_demand(f, g->class_);
    assert_int_equal(fit_facts(f, d, fleet_find_host(f, "b")), FIT_OK);
    assert_int_equal(fit_facts(f, d, fleet_find_host(f, "a")), FIT_REQUIRED);
}

static void aggregates(void **state)
{
    put_node("a");
    put_node("b");
    struct aggregate *g = record_new(&kind_aggregate, "1");
    strs_add(g, &g->hosts, "b");
    map_put(g, &g->metadata, "disk", "nvme, ssd");
    world_put(g);
    static const char spec[] = "aggregate_instance_extra_specs:disk";
    assert_string_equal(goes_to(with_spec(spec, "ssd")), "b");
    assert_string_equal(goes_to(with_spec(spec, "<or> tape <or> nvme")), "b");
    assert_string_equal(goes_to(with_spec(spec, "tape")), "");
    g = record_new(&kind_aggregate, "2");
    strs_add(g, &g->hosts, "a");
    map_put(g, &g->metadata, "filter_tenant_id", "p2,p3");
    world_put(g);
    assert_string_equal(goes_to(small("s")), "b"); /* of p1 */
    struct server *s = small("s");
    s->project_id = "p3";
    assert_string_equal(goes_to(s), "a");
}

static void hints(void **state)
{
    put_node("a");
    put_node("b");
    struct server *s = small("here");
    s->node = "b";
    world_put(s);
    s = small("s");
    s->scheduler_hints = "{\"same_host\":[\"here\"]}";
    assert_string_equal(goes_to(s), "b");
    s = small("s");
    s->scheduler_hints = "{\"same_host\":\"nobody\"}";
    assert_string_equal(goes_to(s), "");
    s = small("s");
    s->requested_host = "b";
    s->scheduler_hints = "{\"different_host\":\"here\"}";
    assert_string_equal(goes_to(s), "");
    s = small("s");
    s->scheduler_hints = "{\"query\":\"[\\\">=\\\", 1, 2]\"}"; /* not carried */
    assert_string_equal(goes_to(s), "a");
}

static void pool_policy(void **state)
{
    put_node("a");
    put_node("b");
    struct server *there = small("there");
    there->node = "b";
    world_put(there);
    assert_string_equal(goes_to(small("s")), "a");
    assert_string_equal(goes_to(with_spec("cairn:placement", "pack")), "b");
    struct pool_policy *policy = record_new(&kind_pool_policy, "pool");
    policy->placement = PLACE_PACK;
    world_put(policy);
    assert_string_equal(goes_to(small("s")), "b");
    assert_string_equal(goes_to(with_spec("cairn:placement", "spread")), "a");
}

/* b has fewer CPUs left, c less memory: weights say which is fuller. */
static void weights_by_pool_and_flavor(void **state)
{
    static const char *const fuller[] = { "b", "c" };
    for (int i = 0; i < 2; i++) {
        put_node(fuller[i]);
        struct server *s = small(fuller[i]);
        s->vcpus = i ? 1 : 4;
        s->ram_mb = i ? 12288 : 1024;
        s->node = fuller[i];
        world_put(s);
    }
    assert_string_equal(
        goes_to(with_spec("cairn:placement", "pack:VCPU=50,MEMORY_MB=1")), "b");
    assert_string_equal(
        goes_to(with_spec("cairn:placement", "pack:VCPU=1,MEMORY_MB=50")), "c");
    struct pool_policy *policy = record_new(&kind_pool_policy, "pool");
    policy->placement = PLACE_PACK;
    amount_set(policy, &policy->weights, "VCPU", 50);
    world_put(policy);
    assert_string_equal(goes_to(small("s")), "b");
    assert_string_equal(goes_to(with_spec("cairn:placement", "pack")), "b");
    policy = world_edit(&kind_pool_policy, "pool");
    amount_set(policy, &policy->weights, "VCPU", 0);
    world_put(policy);
    assert_string_equal(goes_to(small("s")), "c");
    assert_string_equal(
        goes_to(with_spec("cairn:placement", "pack:VCPU=50,MEMORY_MB=1")), "b");
    assert_string_equal(goes_to(with_spec("cairn:placement", "best")), "");
}

/* More kinds of weights than there are rows: the pool's from there on. */
static void weights_run_out(void **state)
{
    char word[32];
    put_node("a");
    for (int i = 0; i < FLEET_POLICIES + 4; i++) {
        snprintf(word, sizeof(word), "pack:VCPU=%d", i + 2);
        assert_string_equal(goes_to(with_spec("cairn:placement", word)), "a");
    }
    struct score_policy p = { .kind = SCORE_PACK, .weight = { 2, 1, 1 } };
    for (int r = 3; r < FLEET_RESOURCES; r++)
        p.weight[r] = 1;
    assert_int_equal(view_policy(view, &p), VIEW_POLICY_FIRST);
    p.weight[0] = 77;
    assert_int_equal(view_policy(view, &p), PLACE_PACK);
}

/* Servers that come are counted, placed or not, each once. */
static void the_mix_learns(void **state)
{
    const struct mix_class *classes;
    char id[32];
    put_node("a");
    for (int i = 0; i < 8; i++) {
        snprintf(id, sizeof(id), "usual%d", i);
        world_put(small(id));
        snapshot_unref(follow());
    }
    put_node("a"); /* and again: nobody new */
    snapshot_unref(follow());
    const struct mix *mix = view_fleet(view)->mix;
    assert_non_null(mix);
    assert_int_equal(mix_classes(mix, &classes), 1);
    assert_int_equal(classes[0].demand.need[FLEET_VCPU], 2000);
}

static void nova_operators(void **state)
{
    static const struct {
        const char *wanted, *value;
        bool meets;
    } rows[] = {
        { "a", "a", true },
        { "a", "b", false },
        { "a b", "a b", true },
        { ">= 4", "8", true },
        { ">= 4", "2", false },
        { "= 4", "8", true },
        { "== 4", "8", false },
        { "!= 4", "8", true },
        { "s== x", "x", true },
        { "s!= x", "x", false },
        { "<in> b", "abc", true },
        { "<in> x", "abc", false },
        { "<or> a <or> b", "b", true },
        { "<or> a <or> b", "c", false },
        { "<all-in> a c", "abc", true },
        { "<all-in> a x", "abc", false },
        { ">= x", "3", false },
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        assert_int_equal(extra_spec_meets(rows[i].wanted, rows[i].value),
                         rows[i].meets);
}

/* ---- what if ------------------------------------------------------------- */

static void lose_add_place(void **state)
{
    static const char *const lost[] = { "l0", "l1", "l2", "l3" };
    struct whatif_answer a;
    struct error err;
    put_node("a");
    put_node("b");
    for (size_t i = 0; i < ARRAY_SIZE(lost); i++) {
        struct server *s = small(lost[i]);
        s->node = "a";
        world_put(s);
    }
    struct server *there = small("there");
    there->node = "b";
    world_put(there);
    _autosnap_ struct snapshot *snap = follow();
    _autorecord_ struct server *s = small("would-be");
    struct whatif_question q = { .lose = { "a" }, .n_lose = 1 };
    assert_true(whatif(view, &q, &a, &err));
    assert_int_equal(a.nodes_before, 2);
    assert_int_equal(a.nodes_after, 1);
    assert_int_equal(a.lost.asked, 4);
    assert_int_equal(a.lost.placed, 3); /* b has room for four */
    assert_int_equal(a.lost.nodes, 1);
    assert_string_equal(a.lost.why, "1 node without enough vCPUs");
    assert_non_null(view_record(view, a.homeless[0]));
    assert_int_equal(a.homeless[1], 0);
    whatif_free(&a);
    q.add[q.n_add++] = (struct whatif_add){ "b", 3 };
    q.place[q.n_place++] = (struct whatif_place){ s, 40 };
    assert_true(whatif(view, &q, &a, &err));
    assert_int_equal(a.lost.placed, 4);
    assert_int_equal(a.place[0].asked, 40);
    assert_int_equal(a.place[0].placed, 4 * 4 - 5);
    assert_int_equal(a.after[FLEET_VCPU].used, 32000);
    assert_non_null(a.place[0].help);
    whatif_free(&a);
    q.lose[0] = "nobody";
    assert_false(whatif(view, &q, &a, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
    /* The live one is as it was. */
    assert_int_equal(view_fleet(view)->n_guests, 5);
    assert_int_equal(fleet_find_host(view_fleet(view), "b+1.1"), FLEET_NOWHERE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(flavors_and_images),
        CASE(a_move_holds_both_ends),
        CASE(words_that_come_later),
        CASE(aggregates),
        CASE(hints),
        CASE(bandwidth),
        CASE(spread_over_racks),
        CASE(cpus_of_moves),
        CASE(pool_policy),
        CASE(weights_by_pool_and_flavor),
        CASE(weights_run_out),
        CASE(the_mix_learns),
        cmocka_unit_test(nova_operators),
        CASE(lose_add_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
