/* outlook: what the fragmentation policy holds of places, in pools so small
 * that the better one is plain to see. */
#include "test.h"

#include "fleet_world.h"

#include "engine/mix.h"
#include "engine/outlook.h"
#include "engine/score.h"

#define POLICY 1

enum { MODEL_A, MODEL_B };

struct world {
    struct fleet *f;
    struct mix *mix;
    uint64_t guests;
    unsigned hosts;
};

static struct world new_world(void)
{
    struct world w = { .f = fleet_new(), .mix = mix_new() };
    fleet_set_policy(w.f, POLICY,
                     &(struct score_policy){ .kind = SCORE_FRAGMENTATION });
    return w;
}

static void end_world(struct world *w)
{
    fleet_free(w->f);
    mix_free(w->mix);
}

static uint32_t add_host(struct world *w, int vcpu, int gib, int gpus,
                         uint8_t model)
{
    char name[16];
    snprintf(name, sizeof(name), "host%03u", w->hosts++);
    uint32_t h = fleet_add_host(w->f, name);
    fleet_set_facts(w->f, h, &(struct fleet_facts){ .state = FLEET_UP });
    fleet_set_capacity(w->f, h, FLEET_VCPU, vcpu * 1000);
    fleet_set_capacity(w->f, h, FLEET_MEMORY, gib * 1024);
    for (int i = 0; i < gpus; i++)
        assert_true(fleet_add_device(w->f, h, 0, model, 0));
    return h;
}

static struct request asks(int vcpu, int gib, int gpus, int thousandths)
{
    struct request r = { .demand.policy = POLICY };
    r.demand.need[FLEET_VCPU] = vcpu * 1000;
    r.demand.need[FLEET_MEMORY] = gib * 1024;
    if (gpus) {
        r.demand.devices[0].count = (uint8_t)gpus;
        r.demand.devices[0].thousandths = (uint16_t)thousandths;
    }
    return r;
}

static void learn(struct world *w, const struct request *r, int times)
{
    for (int i = 0; i < times; i++)
        if (mix_note(w->mix, &r->demand))
            fleet_set_mix(w->f, w->mix);
}

static void put(struct world *w, const struct request *r, uint32_t host,
                uint16_t devices)
{
    struct placing at = { .host = host, .devices = { devices } };
    assert_true(fleet_put(w->f, ++w->guests, r, &at));
}

static struct placing place(struct world *w, const struct request *r)
{
    struct placing at;
    assert_true(choose_exhaustive(w->f, r, &at));
    return at;
}

/* What is left of a device goes to those whom it fits exactly. */
static void test_fills_remainders(void **state)
{
    (void)state;
    struct world w = new_world();
    struct request large = asks(4, 8, 1, 700), small = asks(4, 8, 1, 300);
    struct request half = asks(4, 8, 1, 500);
    uint32_t a = add_host(&w, 64, 256, 2, MODEL_A);
    uint32_t b = add_host(&w, 64, 256, 2, MODEL_A);
    for (int i = 0; i < 50; i++) {
        learn(&w, &large, 1);
        learn(&w, &half, 2);
        learn(&w, &small, 1);
    }
    put(&w, &large, b, 1);
    put(&w, &half, a, 1);
    struct placing at = place(&w, &small);
    assert_int_equal(at.host, b);
    assert_int_equal(at.devices[0], 1);
    at = place(&w, &half);
    assert_int_equal(at.host, a);
    assert_int_equal(at.devices[0], 1);
    end_world(&w);
}

/* Where only few can go, others do not. */
static void test_keeps_rare_models(void **state)
{
    (void)state;
    struct world w = new_world();
    struct request any = asks(4, 8, 1, 1000), only_b = any;
    only_b.demand.devices[0].models = 1U << MODEL_B;
    uint32_t rare = add_host(&w, 64, 256, 4, MODEL_B);
    for (int i = 0; i < 4; i++)
        add_host(&w, 64, 256, 4, MODEL_A);
    for (int i = 0; i < 100; i++) {
        learn(&w, &any, 3);
        learn(&w, &only_b, 1);
    }
    for (int i = 0; i < 16; i++) {
        struct placing at = place(&w, &any);
        assert_int_not_equal(at.host, rare);
        put(&w, &any, at.host, at.devices[0]);
    }
    assert_int_equal(place(&w, &only_b).host, rare);
    end_world(&w);
}

/* Servers without GPUs do not take the CPUs that GPUs need. */
static void test_spares_cpus_of_gpus(void **state)
{
    (void)state;
    struct world w = new_world();
    struct request gpu = asks(8, 16, 1, 1000), plain = asks(8, 16, 0, 0);
    uint32_t tight = add_host(&w, 64, 256, 8, MODEL_A);
    uint32_t ample = add_host(&w, 64, 256, 2, MODEL_A);
    for (int i = 0; i < 100; i++) {
        learn(&w, &gpu, 4);
        learn(&w, &plain, 1);
    }
    for (int i = 0; i < 5; i++) {
        struct placing at = place(&w, &plain);
        assert_int_equal(at.host, ample);
        put(&w, &plain, at.host, 0);
    }
    assert_true(w.f->free[FLEET_VCPU][tight] == 64000);
    end_world(&w);
}

/* Hosts that are whole stay whole for those who need all of one. */
static void test_keeps_hosts_whole(void **state)
{
    (void)state;
    struct world w = new_world();
    struct request one = asks(4, 8, 1, 1000), all = asks(32, 64, 8, 1000);
    add_host(&w, 64, 256, 8, MODEL_A);
    uint32_t begun = add_host(&w, 64, 256, 8, MODEL_A);
    for (int i = 0; i < 50; i++) {
        learn(&w, &one, 2);
        learn(&w, &all, 2);
    }
    put(&w, &one, begun, 1);
    for (int i = 0; i < 7; i++) {
        struct placing at = place(&w, &one);
        assert_int_equal(at.host, begun);
        put(&w, &one, at.host, at.devices[0]);
    }
    end_world(&w);
}

/* Without devices it is the plain resources that are to be used up: hosts
 * short of memory take those who want CPUs. */
static void test_plain_hosts(void **state)
{
    (void)state;
    struct world w = new_world();
    struct request much_cpu = asks(8, 8, 0, 0), much_memory = asks(2, 32, 0, 0);
    uint32_t cpus = add_host(&w, 32, 32, 0, 0);
    uint32_t memory = add_host(&w, 8, 128, 0, 0);
    for (int i = 0; i < 100; i++) {
        learn(&w, &much_memory, 1);
        learn(&w, &much_cpu, 1);
    }
    assert_int_equal(place(&w, &much_cpu).host, cpus);
    assert_int_equal(place(&w, &much_memory).host, memory);
    end_world(&w);
}

/* Nothing is known: it packs, and says nothing of devices. */
static void test_without_mix(void **state)
{
    (void)state;
    struct world w = new_world();
    struct request r = asks(4, 8, 1, 500);
    uint32_t a = add_host(&w, 64, 256, 2, MODEL_A);
    assert_false(score_sees_parts(w.f, &r.demand));
    fleet_set_mix(w.f, w.mix);
    assert_false(score_sees_parts(w.f, &r.demand));
    assert_int_equal(place(&w, &r).host, a);
    learn(&w, &r, 1);
    assert_true(score_sees_parts(w.f, &r.demand));
    end_world(&w);
}

/* What is remembered is what would be found anew: over random pools, scores
 * are the same as in a copy, which remembers nothing. */
static void test_memory_is_true(void **state)
{
    (void)state;
    struct world_random r = { 7 };
    struct fleet *f = world_new(&r, 40);
    struct mix *mix = mix_new();
    struct demand d[12];
    unsigned compared = 0;
    for (int i = 0; i < 12; i++) {
        world_demand(&r, &d[i]);
        d[i].policy = WORLD_POLICIES - 1;
    }
    for (uint64_t i = 1; i <= 1500; i++) {
        struct request q = { .demand = d[world_draw(&r, 12)] };
        struct placing at;
        if (mix_note(mix, &q.demand))
            fleet_set_mix(f, mix);
        if (choose_exhaustive(f, &q, &at))
            fleet_put(f, i, &q, &at);
        if (i > 20 && world_chance(&r, 50))
            fleet_remove(f, i - 1 - world_draw(&r, 20));
        if (world_chance(&r, 2))
            fleet_set_capacity(f, world_draw(&r, 40), FLEET_VCPU,
                               (int32_t)world_draw(&r, 64000));
        if (i % 50)
            continue;
        struct fleet *copy = fleet_copy(f);
        for (uint32_t h = 0; h < f->n; h++) {
            int32_t one = 0, other = 0;
            struct placing x, y;
            enum fit fits = fit_parts(f, &q.demand, h, &x, &one);
            assert_int_equal(fit_parts(copy, &q.demand, h, &y, &other), fits);
            assert_int_equal(one, other);
            compared += fits == FIT_OK;
        }
        fleet_free(copy);
    }
    assert_true(compared > 100);
    fleet_free(f);
    mix_free(mix);
}

/* Nearly all ask for 8 vCPUs: the host that has just as many is left to them,
 * and one that is begun takes what is small. */
static void test_what_fits_exactly(void **state)
{
    (void)state;
    struct world w = new_world();
    struct request large = asks(8, 1, 0, 0), small = asks(2, 4, 0, 0);
    add_host(&w, 8, 16, 0, 0);
    uint32_t begun = add_host(&w, 8, 16, 0, 0);
    learn(&w, &large, 200);
    learn(&w, &small, 4);
    put(&w, &small, begun, 0);
    assert_int_equal(place(&w, &small).host, begun);
    end_world(&w);
}

/* Two cells of 16 CPUs that are guests' own. */
static uint32_t add_cells(struct world *w)
{
    uint32_t h = add_host(w, 4, 64, 0, 0);
    struct fleet_cell cell = { .more[CELL_PCPU] = 16 };
    fleet_set_capacity(w->f, h, FLEET_PCPU, 32);
    fleet_set_cells(w->f, h, 2, 0, 0);
    fleet_set_cell(w->f, h, 0, &cell);
    fleet_set_cell(w->f, h, 1, &cell);
    return h;
}

static struct request pinned(int cpus)
{
    struct request r = { .demand.policy = POLICY };
    r.demand.need[FLEET_PCPU] = cpus;
    r.demand.cells = 1;
    return r;
}

static void put_in_cell(struct world *w, const struct request *r, uint32_t host,
                        uint8_t cell)
{
    struct placing at = { .host = host, .cells = (uint8_t)(1U << cell) };
    assert_true(fleet_put(w->f, ++w->guests, r, &at));
}

/* As many CPUs are free on both: on one of them they are all of a cell, which
 * is left to who needs a whole one. */
static void test_keeps_cells_whole(void **state)
{
    (void)state;
    struct world w = new_world();
    struct request all = pinned(16), half = pinned(8);
    uint32_t whole = add_cells(&w), halves = add_cells(&w);
    learn(&w, &all, 200);
    learn(&w, &half, 1);
    put_in_cell(&w, &all, whole, 0);
    put_in_cell(&w, &half, halves, 0);
    put_in_cell(&w, &half, halves, 1);
    assert_int_equal(w.f->free[FLEET_PCPU][whole],
                     w.f->free[FLEET_PCPU][halves]);
    assert_int_equal(place(&w, &half).host, halves);
    end_world(&w);
}

/* The tightest cell is not always the best: 12 are asked for, and 12 are
 * there twice if the 4 go where 16 are. */
static void test_chooses_the_cell(void **state)
{
    (void)state;
    struct world w = new_world();
    struct request most = pinned(12), few = pinned(4);
    uint32_t h = add_cells(&w);
    learn(&w, &most, 60);
    learn(&w, &few, 4);
    put_in_cell(&w, &few, h, 0);
    assert_int_equal(place(&w, &few).cells, 1U << 1);
    end_world(&w);
}

/* Three thirds of a device and of the CPUs come out even: nothing is lost by
 * rounding, coming or going. */
static void test_devices_come_out_even(void **state)
{
    (void)state;
    struct world w = new_world();
    struct request third = asks(7, 4, 1, 333), rest = asks(7, 4, 1, 334);
    struct request other = asks(9, 4, 1, 500);
    struct request plain = asks(2, 4, 0, 0);
    uint32_t even = add_host(&w, 21, 64, 1, MODEL_A);
    uint32_t ample = add_host(&w, 48, 64, 1, MODEL_A);
    for (int i = 0; i < 100; i++) {
        learn(&w, &third, 2);
        learn(&w, &rest, 1);
        learn(&w, &other, 1);
    }
    put(&w, &third, even, 1);
    put(&w, &third, even, 1);
    put(&w, &other, ample, 1);
    /* 7 CPUs are left with 334 of the device: not to be broken into. */
    assert_int_equal(place(&w, &plain).host, ample);
    struct placing at = place(&w, &rest);
    assert_int_equal(at.host, even);
    put(&w, &rest, even, 1);
    assert_int_equal(w.f->hosts[even].devices[0].free, 0);
    assert_int_equal(w.f->free[FLEET_VCPU][even], 0);
    for (uint64_t id = 1; id <= w.guests; id++)
        assert_true(fleet_remove(w.f, id));
    assert_int_equal(w.f->hosts[even].devices[0].free, 1000);
    assert_int_equal(w.f->free[FLEET_VCPU][even], 21000);
    end_world(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fills_remainders),
        cmocka_unit_test(test_keeps_rare_models),
        cmocka_unit_test(test_spares_cpus_of_gpus),
        cmocka_unit_test(test_keeps_hosts_whole),
        cmocka_unit_test(test_plain_hosts),
        cmocka_unit_test(test_what_fits_exactly),
        cmocka_unit_test(test_keeps_cells_whole),
        cmocka_unit_test(test_chooses_the_cell),
        cmocka_unit_test(test_devices_come_out_even),
        cmocka_unit_test(test_without_mix),
        cmocka_unit_test(test_memory_is_true),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
