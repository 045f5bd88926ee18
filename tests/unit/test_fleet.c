/* The fleet: what put, remove and move leave behind. */
#include "test.h"

#include "fleet_world.h"

static struct fleet *make(unsigned hosts)
{
    struct fleet *f = fleet_new();
    for (unsigned i = 0; i < hosts; i++) {
        char name[16];
        snprintf(name, sizeof(name), "host%03u", i);
        uint32_t h = fleet_add_host(f, name);
        fleet_set_facts(f, h, &(struct fleet_facts){ .state = FLEET_UP });
        fleet_set_capacity(f, h, FLEET_VCPU, 8000);
        fleet_set_capacity(f, h, FLEET_MEMORY, 16384);
    }
    return f;
}

static void test_put_and_remove(void **state)
{
    (void)state;
    struct fleet *f = make(3);
    struct request r = { .demand.need = { 2000, 4096 }, .group = { .id = 7 } };
    struct placing at;
    assert_true(choose_exhaustive(f, &r, &at));
    assert_int_equal(at.host, 0);
    assert_true(fleet_put(f, 1, &r, &at));
    assert_false(fleet_put(f, 1, &r, &at));
    assert_int_equal(f->free[FLEET_VCPU][0], 6000);
    assert_int_equal(fleet_group_on(fleet_group(f, 7), 0), 1);
    assert_true(choose_exhaustive(f, &r, &at));
    assert_int_equal(at.host, 1);
    assert_true(fleet_move(f, 1, &at));
    assert_int_equal(f->free[FLEET_VCPU][0], 8000);
    assert_int_equal(f->free[FLEET_MEMORY][1], 12288);
    assert_true(fleet_remove(f, 1));
    assert_false(fleet_remove(f, 1));
    assert_int_equal(f->free[FLEET_VCPU][1], 8000);
    assert_null(fleet_group(f, 7));
    fleet_free(f);
}

/* All that is told by amounts, as one number. */
static uint64_t fingerprint(const struct fleet *f)
{
    uint64_t h = f->n_guests;
    for (uint32_t i = 0; i < f->n; i++) {
        const struct fleet_host *host = &f->hosts[i];
        for (int r = 0; r < FLEET_RESOURCES; r++)
            h = h * 31 + (uint32_t)f->free[r][i];
        for (int c = 0; c < host->n_cells; c++)
            h = (h * 31 + (uint32_t)host->cells[c].free_vcpu) * 31 +
                (uint32_t)host->cells[c].free_memory;
        for (int d = 0; d < host->n_devices; d++)
            h = h * 31 + (uint32_t)host->devices[d].free;
        h = h * 31 + host->guests;
    }
    for (uint64_t id = 1; id <= WORLD_GROUPS; id++) {
        const struct fleet_group *g = fleet_group(f, id);
        h = h * 31 + (g ? g->total : 0);
        for (uint32_t i = 0; i < f->n; i++)
            h = h * 31 + fleet_group_on(g, i);
    }
    return h;
}

/* No amount below nothing, nothing given twice. */
static void assert_not_overbooked(const struct fleet *f)
{
    for (uint32_t i = 0; i < f->n; i++) {
        const struct fleet_host *host = &f->hosts[i];
        for (int r = 0; r < FLEET_RESOURCES; r++)
            assert_true(f->free[r][i] >= 0);
        for (int c = 0; c < host->n_cells; c++)
            assert_true(host->cells[c].free_vcpu >= 0 &&
                        host->cells[c].free_memory >= 0);
        for (int d = 0; d < host->n_devices; d++)
            assert_true(host->devices[d].free >= 0);
    }
}

static uint64_t fill(struct world_random *random, struct fleet *f)
{
    uint32_t lists[3 * WORLD_LIST];
    uint64_t id = 0;
    for (int tries = 0; tries < 500; tries++) {
        struct request q;
        struct placing at;
        world_demand(random, &q.demand);
        world_request(random, f, lists, &q);
        if (choose_exhaustive(f, &q, &at))
            assert_true(fleet_put(f, ++id, &q, &at));
    }
    return id;
}

static void test_remove_undoes_put(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct world_random random = { seed };
        struct fleet *f = world_new(&random, 20);
        uint64_t empty = fingerprint(f), n = fill(&random, f);
        assert_true(n > 20);
        assert_not_overbooked(f);
        struct fleet *copy = fleet_copy(f);
        uint64_t full = fingerprint(f);
        for (uint64_t id = 1; id <= n; id++) /* odd ones out of order */
            assert_true(fleet_remove(f, id * 7919 % n + 1) ||
                        !fleet_guest(f, id * 7919 % n + 1));
        for (uint64_t id = 1; id <= n; id++)
            fleet_remove(f, id);
        assert_int_equal(f->n_guests, 0);
        assert_true(fingerprint(f) == empty);
        assert_true(fingerprint(copy) == full);
        fleet_free(f);
        fleet_free(copy);
    }
}

/* ---- the same pool, told in another order ---------------------------------
 */

/* Into a new fleet, the last host first. */
static struct fleet *retell(const struct fleet *f)
{
    struct fleet *to = fleet_new();
    memcpy(to->policies, f->policies, sizeof(f->policies));
    fleet_set_isolating(to, &f->isolating);
    for (uint32_t i = 0; i < f->n; i++) {
        uint32_t from = f->n - 1 - i;
        const struct fleet_host *old = &f->hosts[from];
        uint32_t h = fleet_add_host(to, old->name);
        fleet_set_facts(to, h, &old->facts);
        for (int r = 0; r < FLEET_RESOURCES; r++)
            fleet_set_capacity(to, h, r, f->capacity[r][from]);
        fleet_set_cells(to, h, old->n_cells, 0, 0);
        for (unsigned k = 0; k < old->n_cells; k++)
            fleet_set_cell(to, h, k, &old->cells[k]);
        for (int d = 0; d < old->n_devices; d++)
            fleet_add_device(to, h, old->devices[d].kind, old->devices[d].model,
                             old->devices[d].cell);
    }
    return to;
}

static void move_in(struct fleet *to, const struct fleet *f, uint64_t id)
{
    const struct fleet_guest *g = fleet_guest(f, id);
    struct request r;
    fleet_request_of(f, g, &r);
    struct placing at = g->at;
    at.host = fleet_find_host(to, f->hosts[g->at.host].name);
    assert_int_not_equal(at.host, FLEET_NOWHERE);
    assert_true(fleet_put(to, id, &r, &at));
}

static void test_order_does_not_matter(void **state)
{
    (void)state;
    unsigned answers = 0;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct world_random random = { seed };
        struct fleet *f = world_new(&random, 30);
        uint64_t n = fill(&random, f);
        for (uint64_t id = 1; id <= n; id += 2) /* make room */
            fleet_remove(f, id);
        struct fleet *to = retell(f);
        for (uint64_t id = n; id; id--)
            if (fleet_guest(f, id))
                move_in(to, f, id);
        struct chooser *c = chooser_new(to);
        for (int i = 0; i < 300; i++) {
            struct request q = { 0 };
            struct placing a, b;
            world_demand(&random, &q.demand);
            q.group = world_group(world_draw(&random, WORLD_GROUPS));
            bool found = choose_exhaustive(f, &q, &a);
            assert_int_equal(choose(c, &q, &b), found);
            if (!found)
                continue;
            answers++;
            assert_string_equal(f->hosts[a.host].name, to->hosts[b.host].name);
            assert_int_equal(a.cells, b.cells);
            assert_memory_equal(a.devices, b.devices, sizeof(a.devices));
        }
        chooser_free(c);
        fleet_free(f);
        fleet_free(to);
    }
    assert_true(answers > 500);
}

/* ---- each constraint by itself --------------------------------------------
 */

static enum fit ask(const struct fleet *f, const struct request *r,
                    uint32_t host)
{
    struct fit_rules rules;
    struct placing at;
    int32_t score;
    fit_rules(f, r, &rules);
    return fit_host(f, &rules, host, &at, &score);
}

static struct fleet_set only(unsigned i)
{
    struct fleet_set s = { 0 };
    set_add(&s, i);
    return s;
}

/* A host with trait 1, in aggregate 1, zone 1, with 2 cells and 2 devices. */
static struct fleet *one_of_each(void)
{
    struct fleet *f = make(2);
    fleet_set_facts(f, 0,
                    &(struct fleet_facts){
                        .state = FLEET_UP,
                        .zone = 1,
                        .rack = 1,
                        .largest_vcpu = 4000,
                        .traits = only(1),
                        .aggregates = only(1),
                    });
    fleet_set_cells(f, 0, 2, 4000, 8192);
    fleet_add_device(f, 0, 3, 5, 0);
    fleet_add_device(f, 0, 3, 6, 1);
    return f;
}

static void test_each_constraint(void **state)
{
    (void)state;
    uint32_t zero[] = { 0 }, first[] = { 1 };
    struct request_device gpu = { .kind = 3, .count = 1, .thousandths = 500 };
    struct request_device two = { .kind = 3, .count = 2, .thousandths = 500 };
    struct request_device of_6 = {
        .kind = 3, .count = 2, .thousandths = 1, .models = 1 << 6
    };
    const struct {
        enum fit expected;
        struct request r;
    } rows[] = {
        { FIT_OK, { .demand.need = { 4000, 16384 } } },
        { FIT_LARGEST, { .demand.need = { 4001 } } },
        { FIT_ROOM, { .demand.need = { 1000, 16385 } } },
        { FIT_ROOM, { .demand.need[FLEET_CUSTOM] = 1 } },
        { FIT_OK, { .demand.zone = 1 } },
        { FIT_ZONE, { .demand.zone = 2 } },
        { FIT_OK, { .demand.required = only(1) } },
        { FIT_REQUIRED, { .demand.required = only(200) } },
        { FIT_FORBIDDEN, { .demand.forbidden = only(1) } },
        { FIT_OK, { .demand.forbidden = only(2) } },
        { FIT_OK, { .demand.any = { only(1) } } },
        { FIT_AGGREGATE, { .demand.any = { only(1), only(2) } } },
        { FIT_BARRED, { .demand.barred = only(1) } },
        { FIT_OK, { .demand = { .need = { 4000, 8192 }, .cells = 1 } } },
        { FIT_CELLS, { .demand = { .need = { 4000, 8193 }, .cells = 1 } } },
        { FIT_OK, { .demand = { .need = { 4000, 16384 }, .cells = 2 } } },
        { FIT_CELLS, { .demand = { .need = { 4000, 1000 }, .cells = 3 } } },
        { FIT_OK, { .demand.devices = { gpu, gpu } } },
        { FIT_DEVICES, { .demand.devices = { gpu, two } } },
        { FIT_DEVICES, { .demand.devices = { of_6 } } },
        { FIT_OK, { .allowed = { zero, 1 } } },
        { FIT_ALLOWED, { .allowed = { first, 1 } } },
        { FIT_EXCLUDED, { .excluded = { zero, 1 } } },
    };
    struct fleet *f = one_of_each();
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (ask(f, &rows[i].r, 0) != rows[i].expected)
            fail_msg("row %zu: %s", i, fit_text(ask(f, &rows[i].r, 0)));
    struct fleet_set apart = only(1);
    fleet_set_isolating(f, &apart);
    struct request r = { 0 };
    assert_int_equal(ask(f, &r, 0), FIT_TENANT);
    assert_int_equal(ask(f, &r, 1), FIT_OK);
    r.demand.entitled = apart;
    assert_int_equal(ask(f, &r, 0), FIT_OK);
    fleet_free(f);
}

static void test_states(void **state)
{
    (void)state;
    static const enum fit expected[] = {
        [FLEET_VACANT] = FIT_VACANT,  [FLEET_UP] = FIT_OK,
        [FLEET_DISABLED] = FIT_STATE, [FLEET_DRAINING] = FIT_STATE,
        [FLEET_DEAD] = FIT_DEAD,
    };
    struct fleet *f = make(1);
    struct request r = { 0 };
    for (int i = FLEET_UP; i <= FLEET_DEAD; i++) {
        fleet_set_facts(f, 0, &(struct fleet_facts){ .state = (uint8_t)i });
        assert_int_equal(ask(f, &r, 0), expected[i]);
    }
    fleet_free(f);
}

/* Its name is gone: nobody may ask whether it was meant. */
static void test_vacant_before_all(void **state)
{
    (void)state;
    struct fleet *f = make(2);
    uint32_t other = 0;
    struct request r = { .allowed = { &other, 1 } };
    assert_int_equal(ask(f, &r, 1), FIT_ALLOWED);
    fleet_drop_host(f, 1);
    assert_int_equal(ask(f, &r, 1), FIT_VACANT);
    fleet_free(f);
}

/* Hosts 0 and 1 in rack 1, host 2 in rack 2; a member on host 0. */
static void test_groups(void **state)
{
    (void)state;
    struct fleet *f = make(3);
    for (uint32_t h = 0; h < 3; h++)
        fleet_set_facts(
            f, h,
            &(struct fleet_facts){ .state = FLEET_UP, .rack = 1 + h / 2 });
    struct request r = { .group = { .id = 5 } };
    struct placing at = { .host = 0 };
    fleet_put(f, 1, &r, &at);
    r.group.policy = REQUEST_ANTI_AFFINITY;
    assert_int_equal(ask(f, &r, 0), FIT_GROUP);
    assert_int_equal(ask(f, &r, 1), FIT_OK);
    r.group.most = 2;
    assert_int_equal(ask(f, &r, 0), FIT_OK);
    r.group.policy = REQUEST_AFFINITY;
    assert_int_equal(ask(f, &r, 0), FIT_OK);
    assert_int_equal(ask(f, &r, 1), FIT_GROUP);
    r.group.policy = REQUEST_ALONE;
    r.group.skew = 1;
    r.group.level = FLEET_LEVEL_RACK;
    assert_int_equal(ask(f, &r, 1), FIT_SPREAD);
    assert_int_equal(ask(f, &r, 2), FIT_OK);
    r.group.level = FLEET_LEVEL_HOST;
    assert_int_equal(ask(f, &r, 0), FIT_SPREAD);
    assert_int_equal(ask(f, &r, 1), FIT_OK);
    r.group.skew = 0;
    r.group.policy = REQUEST_SOFT_AFFINITY;
    assert_true(choose_exhaustive(f, &r, &at) && at.host == 0);
    r.group.policy = REQUEST_SOFT_ANTI_AFFINITY;
    assert_true(choose_exhaustive(f, &r, &at) && at.host == 1);
    fleet_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_put_and_remove),
        cmocka_unit_test(test_remove_undoes_put),
        cmocka_unit_test(test_order_does_not_matter),
        cmocka_unit_test(test_each_constraint),
        cmocka_unit_test(test_states),
        cmocka_unit_test(test_vacant_before_all),
        cmocka_unit_test(test_groups),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
