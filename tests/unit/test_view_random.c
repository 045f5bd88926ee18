/* A view that has followed many random changes is as one that was filled from
 * nothing. */
#include "view_world.h"

#include "engine/choose.h"
#include "engine/extra_spec.h"
#include "engine/mix.h"
#include "engine/placement.h"
#include "engine/whatif.h"
#include "engine/wish.h"
#include "model/migration.h"
#include "model/use.h"

#define NODES   8
#define SERVERS 40
#define ROUNDS  1500

/* ---- random records ------------------------------------------------------ */

static int roll(int n)
{
    return rand() % n;
}

static const char *pick(const char *prefix, int n)
{
    static char names[4][32];
    static int next;
    char *name = names[next++ % 4];
    snprintf(name, sizeof(names[0]), "%s%d", prefix, roll(n));
    return name;
}

static void drop(const struct kind *kind, const char *id)
{
    _autorecord_ const struct record *r = world_get(kind, id);
    struct txn t = TXN_INIT;
    if (!r)
        return;
    txn_delete_record(&t, r);
    world_commit(&t);
}

static struct node *random_node(const char *name)
{
    struct node *n = record_new(&kind_node, name);
    n->vcpus = 4 + roll(3) * 4;
    n->ram_mb = 8192 << roll(2);
    n->ram_reserved_mb = roll(2) * 512;
    n->disk_gb = 100;
    n->cpu_overcommit = roll(3);
    n->machine = roll(3) ? "x86_64" : "aarch64";
    n->availability_zone = roll(2) ? "east" : NULL;
    n->rack = roll(2) ? rec_str(n, pick("rack", 3)) : NULL;
    n->disabled = !roll(6);
    n->seen = world_time - roll(2) * 40 * SECOND_US;
    if (roll(2))
        strs_add(n, &n->traits, pick("CUSTOM_T", 3));
    if (roll(2))
        amount_set(n, &n->resources, "CUSTOM_R", roll(8));
    return n;
}

static struct server *random_server(const char *id)
{
    struct server *s = record_new(&kind_server, id);
    s->vcpus = 1 + roll(4);
    s->ram_mb = 256 << roll(4);
    s->disk_gb = roll(20);
    s->image_id = roll(2) ? "image" : NULL;
    s->project_id = rec_str(s, pick("p", 3));
    s->goal = roll(8) ? GOAL_RUNNING : GOAL_DELETED;
    s->server_group_id = roll(2) ? rec_str(s, pick("g", 3)) : NULL;
    s->requested_zone = roll(5) ? NULL : "east";
    s->node = roll(5) ? rec_str(s, pick("n", NODES + 1)) : NULL;
    if (!roll(4))
        map_put(s, &s->extra_specs, "trait:CUSTOM_T1", "required");
    if (!roll(5))
        map_put(s, &s->extra_specs, "trait:CUSTOM_T2", "forbidden");
    if (!roll(5))
        map_put(s, &s->extra_specs, "resources:CUSTOM_R", "2");
    if (!roll(4))
        map_put(s, &s->extra_specs, "aggregate_instance_extra_specs:ssd",
                roll(2) ? "true" : "<or> yes <or> true");
    if (!roll(6))
        map_put(s, &s->extra_specs, "cairn:placement", "pack");
    if (!roll(6))
        map_put(s, &s->image_properties, "hw_architecture", "aarch64");
    if (!roll(3)) {
        struct server_volume *v = list_add(s, &s->volumes, sizeof(*v));
        v->volume_id = rec_str(s, pick("v", 6));
    }
    return s;
}

static struct migration *random_move(const char *id)
{
    struct migration *m = record_new(&kind_migration, id);
    m->server_id = rec_str(m, pick("s", SERVERS));
    m->type = roll(4);
    m->status = roll(MIGRATION_FAILED + 1);
    m->source = rec_str(m, pick("n", NODES));
    m->dest = roll(4) ? rec_str(m, pick("n", NODES)) : NULL;
    m->new_flavor.vcpus = 1 + roll(4);
    m->new_flavor.ram_mb = 512;
    m->old_flavor.vcpus = 1;
    return m;
}

static struct aggregate *random_aggregate(const char *id)
{
    struct aggregate *a = record_new(&kind_aggregate, id);
    for (int i = roll(4); i > 0; i--)
        strs_add(a, &a->hosts, pick("n", NODES));
    if (!roll(3))
        map_put(a, &a->metadata, "availability_zone", "west");
    if (!roll(3))
        map_put(a, &a->metadata, "ssd", roll(2) ? "true" : "no, yes");
    if (!roll(3))
        map_put(a, &a->metadata, "filter_tenant_id", roll(2) ? "p0" : "p1, p2");
    if (!roll(3))
        map_put(a, &a->metadata, "cpu_allocation_ratio", "2.5");
    return a;
}

static struct volume *random_volume(const char *id)
{
    struct volume *v = record_new(&kind_volume, id);
    v->size_gb = 1 + roll(50);
    v->node = roll(3) ? rec_str(v, pick("n", NODES)) : NULL;
    return v;
}

static struct server_group *random_group(const char *id)
{
    static const char *const policies[] = { "affinity", "anti-affinity",
                                            "soft-affinity",
                                            "soft-anti-affinity" };
    struct server_group *g = record_new(&kind_server_group, id);
    g->policy = policies[roll(4)];
    g->max_server_per_host = roll(3);
    return g;
}

static struct node_use *random_use(const char *id)
{
    struct node_use *u = record_new(&kind_node_use, id);
    for (int i = 10; i < SERVERS; i += 1 + roll(5)) { /* ascending as text */
        struct guest_use *g = list_add(u, &u->guests, sizeof(*g));
        g->id = rec_strf(u, "s%d", i);
        g->vcpu = roll(4000);
        g->memory = roll(4000);
        g->steal = roll(100);
    }
    return u;
}

static void random_change(void)
{
    static const struct {
        const struct kind *kind;
        const char *prefix;
        int n, weight;
    } kinds[] = {
        { &kind_server, "s", SERVERS, 24 }, { &kind_node, "n", NODES, 6 },
        { &kind_aggregate, "", 4, 2 },      { &kind_volume, "v", 6, 4 },
        { &kind_server_group, "g", 3, 1 },  { &kind_node_use, "n", NODES, 3 },
        { &kind_migration, "m", 10, 6 },
    };
    int at = roll(46), k = 0;
    while (at >= kinds[k].weight)
        at -= kinds[k++].weight;
    const char *id = pick(kinds[k].prefix, kinds[k].n);
    if (!roll(4))
        drop(kinds[k].kind, id);
    else
        world_put(k == 0   ? (void *)random_server(id)
                  : k == 1 ? (void *)random_node(id)
                  : k == 2 ? (void *)random_aggregate(id)
                  : k == 3 ? (void *)random_volume(id)
                  : k == 4 ? (void *)random_group(id)
                  : k == 5 ? (void *)random_use(id)
                           : (void *)random_move(id));
    world_time += roll(5) * SECOND_US;
}

/* ---- comparing ----------------------------------------------------------- */

static bool has_trait(struct view *v, uint32_t host, const char *name)
{
    int n = view_known(v, FLEET_NAME_TRAIT, name);
    return n >= 0 &&
           set_has(&view_fleet(v)->hosts[host].facts.traits, (unsigned)n);
}

static void same_host(struct view *a, struct view *b, const char *name)
{
    const struct fleet *f = view_fleet(a), *g = view_fleet(b);
    uint32_t x = fleet_find_host(f, name), y = fleet_find_host(g, name);
    assert_int_equal(x == FLEET_NOWHERE, y == FLEET_NOWHERE);
    if (x == FLEET_NOWHERE)
        return;
    int custom_x = view_known(a, FLEET_NAME_RESOURCE, "CUSTOM_R");
    int custom_y = view_known(b, FLEET_NAME_RESOURCE, "CUSTOM_R");
    for (int r = 0; r < FLEET_CUSTOM; r++) {
        assert_int_equal(f->capacity[r][x], g->capacity[r][y]);
        assert_int_equal(f->free[r][x], g->free[r][y]);
    }
    if (custom_x >= 0 && custom_y >= 0) {
        assert_int_equal(f->capacity[custom_x][x], g->capacity[custom_y][y]);
        assert_int_equal(f->free[custom_x][x], g->free[custom_y][y]);
    }
    const struct fleet_facts *p = &f->hosts[x].facts, *q = &g->hosts[y].facts;
    assert_int_equal(p->state, q->state);
    assert_int_equal(p->largest_vcpu, q->largest_vcpu);
    assert_string_equal(fleet_name_of(f, FLEET_NAME_ZONE, p->zone),
                        fleet_name_of(g, FLEET_NAME_ZONE, q->zone));
    assert_string_equal(fleet_name_of(f, FLEET_NAME_RACK, p->rack),
                        fleet_name_of(g, FLEET_NAME_RACK, q->rack));
    for (uint32_t i = 0; i < g->names[FLEET_NAME_TRAIT].n; i++)
        assert_int_equal(has_trait(a, x, g->names[FLEET_NAME_TRAIT].at[i]),
                         has_trait(b, y, g->names[FLEET_NAME_TRAIT].at[i]));
    assert_int_equal(f->hosts[x].guests, g->hosts[y].guests);
}

/* Could it stand on the same hosts? */
static void same_demand(struct view *a, struct view *b,
                        const struct fleet_guest *x,
                        const struct fleet_guest *y)
{
    const struct fleet *f = view_fleet(a), *g = view_fleet(b);
    const struct demand *p = fleet_demand(f, x->class_);
    const struct demand *q = fleet_demand(g, y->class_);
    assert_memory_equal(p->need, q->need, FLEET_CUSTOM * sizeof(*p->need));
    assert_int_equal(p->policy, q->policy);
    for (int i = 0; i < NODES; i++) {
        char name[16];
        snprintf(name, sizeof(name), "n%d", i);
        uint32_t m = fleet_find_host(f, name), n = fleet_find_host(g, name);
        if (m != FLEET_NOWHERE)
            assert_int_equal(fit_facts(f, p, m), fit_facts(g, q, n));
    }
}

static void same_guests(struct view *a, struct view *b,
                        const struct snapshot *s)
{
    struct snap_iter it = snap_all(s, &kind_server);
    for (const struct record *r; (r = snap_next(&it));) {
        uint64_t m = view_guest(a, r), n = view_guest(b, r);
        assert_int_equal(m, n);
        if (!m)
            continue;
        const struct fleet_guest *x = fleet_guest(view_fleet(a), m);
        const struct fleet_guest *y = fleet_guest(view_fleet(b), n);
        assert_memory_equal(fleet_use(view_fleet(a), x),
                            fleet_use(view_fleet(b), y),
                            sizeof(struct fleet_use));
        assert_string_equal(view_fleet(a)->hosts[x->at.host].name,
                            view_fleet(b)->hosts[y->at.host].name);
        assert_int_equal(x->movable, y->movable);
        assert_memory_equal(&x->group, &y->group, sizeof(x->group));
        assert_ptr_equal(view_record(a, m), r);
        same_demand(a, b, x, y);
    }
    assert_int_equal(view_fleet(a)->n_guests, view_fleet(b)->n_guests);
}

static void same_choice(struct view *a, struct view *b, struct chooser *kept)
{
    struct wish x, y;
    struct error err;
    struct placing at, oracle;
    _autorecord_ struct server *s = random_server("new");
    s->node = NULL;
    bool fine = wish_of_server(a, s, &x, &err);
    assert_int_equal(fine, wish_of_server(b, s, &y, &err));
    if (fine) {
        bool found = choose(kept, &x.request, &at);
        assert_int_equal(found,
                         choose_exhaustive(view_fleet(b), &y.request, &oracle));
        if (found)
            assert_string_equal(view_fleet(a)->hosts[at.host].name,
                                view_fleet(b)->hosts[oracle.host].name);
    }
    wish_free(&x);
    wish_free(&y);
}

static void compare(struct snapshot *s, struct chooser *kept)
{
    struct view *fresh = view_new();
    view_follow(fresh, s, world_time);
    for (int i = 0; i <= NODES; i++) {
        char name[16];
        snprintf(name, sizeof(name), "n%d", i);
        same_host(view, fresh, name);
    }
    same_guests(view, fresh, s);
    for (int i = 0; i < 4; i++)
        same_choice(view, fresh, kept);
    view_free(fresh);
}

static void like_one_filled_from_nothing(void **state)
{
    struct snapshot *old = NULL;
    struct chooser *kept = chooser_new(view_fleet(view));
    srand(7);
    for (int i = 0; i < ROUNDS; i++) {
        for (int k = roll(3); k >= 0; k--)
            random_change();
        _autosnap_ struct snapshot *s = follow();
        if (i % 3 == 0)
            compare(s, kept);
        if (i % 50 == 0) {
            if (old) { /* back, and forth again */
                view_follow(view, old, world_time);
                compare(old, kept);
                view_follow(view, s, world_time);
                compare(s, kept);
            }
            snapshot_unref(old);
            old = snapshot_ref(s);
        }
    }
    snapshot_unref(old);
    chooser_free(kept);
}

int main(void)
{
    const struct CMUnitTest tests[] = { CASE(like_one_filled_from_nothing) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
