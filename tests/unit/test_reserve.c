/* The reserve: what it says is held is held, by an account of its own. */
#include "test.h"

#include "engine/reserve.h"
#include "fleet_world.h"

#include <stdlib.h>

static struct fleet *pool(unsigned hosts, int32_t memory)
{
    struct fleet *f = fleet_new();
    for (unsigned i = 0; i < hosts; i++) {
        char name[16];
        snprintf(name, sizeof(name), "host%03u", i);
        uint32_t h = fleet_add_host(f, name);
        fleet_set_facts(f, h, &(struct fleet_facts){ .state = FLEET_UP });
        fleet_set_capacity(f, h, FLEET_VCPU, 64000);
        fleet_set_capacity(f, h, FLEET_MEMORY, memory);
    }
    fleet_ranks(f);
    return f;
}

static struct request sized(int32_t memory)
{
    return (struct request){ .demand.need = { 1000, memory } };
}

/* Half of the pool is free, and yet the large guest has no place to go. */
static void test_a_proof_not_a_percentage(void **state)
{
    (void)state;
    struct fleet *f = pool(4, 1000);
    struct request small = sized(400), large = sized(700);
    for (uint32_t h = 1; h < 4; h++)
        fleet_put(f, h, &small, &(struct placing){ .host = h });
    struct reserve *r = reserve_new(f, 1);
    struct reserve_why why;
    assert_int_equal(reserve_held(r), 4);
    assert_false(
        reserve_put(r, 9, &large, &(struct placing){ .host = 0 }, &why));
    assert_int_equal(why.n, 1);
    assert_int_equal(why.hosts[0], 0);
    assert_int_equal(why.guest, 9);
    assert_int_equal(reserve_held(r), 4);
    reserve_remove(r, 2);
    assert_true(
        reserve_put(r, 9, &large, &(struct placing){ .host = 0 }, &why));
    struct placing to;
    assert_true(reserve_place(r, &(uint32_t){ 0 }, 1, 9, &to));
    assert_int_equal(to.host, 2);
    reserve_free(r);
    fleet_free(f);
}

static void test_two_failures(void **state)
{
    (void)state;
    struct fleet *f = pool(4, 1000);
    struct request q = sized(450);
    struct reserve_why why;
    for (uint32_t h = 0; h < 4; h++)
        fleet_put(f, h + 1, &q, &(struct placing){ .host = h });
    struct reserve *r = reserve_new(f, 2);
    assert_int_equal(reserve_sets(r), 6);
    assert_int_equal(reserve_held(r), 6);
    assert_false(reserve_put(r, 9, &q, &(struct placing){ .host = 1 }, &why));
    assert_int_equal(why.n, 2);
    reserve_free(r);
    r = reserve_new(f, 1);
    assert_true(reserve_put(r, 9, &q, &(struct placing){ .host = 1 }, &why));
    reserve_free(r);
    fleet_free(f);
}

/* ---- against brute force ------------------------------------------------- */

struct brute {
    struct fleet *f;
    struct host_list down;
    struct request requests[64];
    uint64_t ids[64];
    uint32_t n;
};

/* Every guest on every host: is there any way? */
static bool any_way(struct brute *b, uint32_t i)
{
    if (i == b->n)
        return true;
    struct fit_rules rules;
    struct request q = b->requests[i];
    q.excluded = b->down;
    fit_rules(b->f, &q, &rules);
    for (uint32_t h = 0; h < b->f->n; h++) {
        struct placing at;
        int32_t score;
        if (fit_host(b->f, &rules, h, &at, &score) != FIT_OK)
            continue;
        fleet_put(b->f, b->ids[i], &b->requests[i], &at);
        bool way = any_way(b, i + 1);
        fleet_remove(b->f, b->ids[i]);
        if (way)
            return true;
    }
    return false;
}

static bool possible(const struct fleet *f, uint32_t *hosts, uint32_t n)
{
    struct brute b = { .f = fleet_copy(f), .down = { hosts, n } };
    for (uint32_t i = 0; i < n; i++)
        for (struct fleet_guest *g = NULL;
             (g = fleet_next(f, hosts[i], g)) && b.n < 64;) {
            fleet_request_of(f, g, &b.requests[b.n]);
            b.ids[b.n++] = g->id;
        }
    for (uint32_t i = 0; i < b.n; i++)
        fleet_remove(b.f, b.ids[i]);
    bool way = any_way(&b, 0);
    fleet_free(b.f);
    return way;
}

struct tally {
    unsigned held, missed;
};

/* The plan itself, carried out on a copy: room everywhere. */
static void check_plan(const struct fleet *f, const struct reserve *r,
                       const uint32_t *hosts, uint32_t n)
{
    struct fleet *c = fleet_copy(f);
    for (uint32_t i = 0; i < n; i++)
        for (struct fleet_guest *g = NULL; (g = fleet_next(f, hosts[i], g));) {
            struct placing to = { 0 };
            struct request q;
            assert_true(reserve_place(r, hosts, n, g->id, &to));
            fleet_request_of(f, g, &q);
            assert_int_equal(fit_facts(f, &q.demand, to.host), FIT_OK);
            assert_true(to.host != hosts[0] && to.host != hosts[n - 1]);
            assert_true(fleet_move(c, g->id, &to));
        }
    for (uint32_t h = 0; h < c->n; h++) {
        for (int k = 0; k < FLEET_RESOURCES; k++)
            assert_true(c->free[k][h] >= 0);
        for (int i = 0; i < c->hosts[h].n_cells; i++)
            assert_true(c->hosts[h].cells[i].free_vcpu >= 0 &&
                        c->hosts[h].cells[i].free_memory >= 0);
        for (int i = 0; i < c->hosts[h].n_devices; i++)
            assert_true(c->hosts[h].devices[i].free >= 0);
    }
    fleet_free(c);
}

/* Held is possible; counts what is possible and not held. */
static void compare(const struct fleet *f, const struct reserve *r,
                    unsigned failures, struct tally *t)
{
    for (uint32_t a = 0; a < f->n; a++)
        for (uint32_t z = failures < 2 ? a : a + 1; z < f->n; z++) {
            uint32_t hosts[] = { a, z }, n = failures;
            struct placing to = { 0 };
            bool held = true, up = f->hosts[a].facts.state == FLEET_UP &&
                                   f->hosts[z].facts.state == FLEET_UP;
            for (uint32_t i = 0; i < n && i < RESERVE_FAILURES; i++)
                for (struct fleet_guest *g = NULL;
                     (g = fleet_next(f, hosts[i], g));)
                    held = held && reserve_place(r, hosts, n, g->id, &to);
            if (!up)
                continue;
            bool way = possible(f, hosts, n);
            if (held) {
                assert_true(way);
                check_plan(f, r, hosts, n);
            }
            t->held += held;
            t->missed += way && !held;
            if (failures < 2)
                break;
        }
}

static void random_world(uint64_t seed, unsigned failures, struct tally *t)
{
    struct world_random w = { seed };
    struct fleet *f = world_new(&w, 5);
    struct reserve *r = reserve_new(f, failures);
    for (uint64_t id = 1; id <= 24; id++) {
        struct request q = { 0 };
        struct placing at;
        uint64_t gone = 1 + world_draw(&w, 24);
        world_demand(&w, &q.demand);
        if (world_chance(&w, 35))
            q.group = world_group(world_draw(&w, WORLD_GROUPS));
        if (choose_exhaustive(f, &q, &at)) {
            uint32_t before = reserve_held(r);
            if (reserve_put(r, id, &q, &at, NULL))
                fleet_put(f, id, &q, &at);
            else
                assert_int_equal(reserve_held(r), before);
        }
        if (world_chance(&w, 30) && fleet_remove(f, gone))
            reserve_remove(r, gone);
    }
    compare(f, r, failures, t);
    reserve_free(r);
    fleet_free(f);
}

static void test_against_brute_force(void **state)
{
    (void)state;
    for (unsigned failures = 1; failures <= 2; failures++) {
        struct tally t = { 0 };
        for (uint64_t seed = 1; seed <= 120; seed++)
            random_world(seed, failures, &t);
        print_message("N=%u: %u held, %u possible but not held\n", failures,
                      t.held, t.missed);
        assert_true(t.held > 100);
        assert_true(t.missed * 50 <= t.held);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_proof_not_a_percentage),
        cmocka_unit_test(test_two_failures),
        cmocka_unit_test(test_against_brute_force),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
