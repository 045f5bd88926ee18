/* choose against choose_exhaustive, decision by decision, over random pools
 * with churn.  `test_choose N` compares N decisions (make engine-compare). */
#include "test.h"

#include "engine/mix.h"
#include "fleet_world.h"

#include <stdlib.h>

#define DEMANDS 40
#define GUESTS  4000

static uint64_t decisions = 500000;

struct run {
    struct world_random random;
    struct fleet *f;
    struct chooser *c;
    struct mix *mix; /* NULL: none is learnt */
    struct demand demands[DEMANDS];
    uint64_t guests[GUESTS];
    uint32_t n_guests, hosts_made;
    uint64_t next_id, placed, refused;
};

static void assert_same(const struct placing *a, const struct placing *b)
{
    assert_int_equal(a->host, b->host);
    assert_int_equal(a->cells, b->cells);
    assert_memory_equal(a->devices, b->devices, sizeof(a->devices));
}

static void leave(struct run *run)
{
    uint32_t i = world_draw(&run->random, run->n_guests);
    assert_true(fleet_remove(run->f, run->guests[i]));
    run->guests[i] = run->guests[--run->n_guests];
}

/* Everything that may change under an index. */
static void disturb(struct run *run)
{
    struct world_random *r = &run->random;
    uint32_t host = world_draw(r, run->f->n);
    struct fleet_set apart = world_set(r, WORLD_AGGREGATES, 30);
    if (run->f->hosts[host].facts.state == FLEET_VACANT)
        return;
    switch (world_draw(r, 40)) {
    case 0:
        world_host(r, run->f, run->hosts_made++);
        break;
    case 1:
        if (run->f->hosts[host].guests == 0)
            fleet_drop_host(run->f, host);
        break;
    case 2:
        fleet_set_isolating(run->f, &apart);
        break;
    case 3:
        world_demand(r, &run->demands[world_draw(r, DEMANDS)]);
        break;
    case 4:
        fleet_set_capacity(run->f, host, FLEET_MEMORY,
                           (int32_t)world_draw(r, 100000));
        break;
    default:
        world_facts(r, run->f, host);
    }
}

static void decide(struct run *run)
{
    uint32_t lists[3 * WORLD_LIST];
    struct world_random *r = &run->random;
    struct request q;
    struct placing fast, plain;
    /* Some are asked for often, others hardly ever. */
    uint32_t which = world_draw(r, DEMANDS);
    q.demand = run->demands[world_draw(r, which + 1)];
    world_request(r, run->f, lists, &q);
    if (run->mix && mix_note(run->mix, &q.demand))
        fleet_set_mix(run->f, run->mix);
    bool found = choose_exhaustive(run->f, &q, &plain);
    assert_int_equal(choose(run->c, &q, &fast), found);
    if (!found) {
        run->refused++;
        assert_int_equal(fast.host, FLEET_NOWHERE);
        return;
    }
    assert_same(&fast, &plain);
    assert_true(fleet_put(run->f, ++run->next_id, &q, &fast));
    run->guests[run->n_guests++] = run->next_id;
    run->placed++;
}

static void step(struct run *run)
{
    struct world_random *r = &run->random;
    if (run->n_guests == GUESTS || (run->n_guests && world_chance(r, 45)))
        leave(run);
    if (world_chance(r, 1))
        disturb(run);
    decide(run);
}

static void run_world(uint64_t seed, uint64_t steps, uint64_t *placed,
                      uint64_t *refused)
{
    struct run *run = calloc(1, sizeof(*run));
    assert_non_null(run);
    run->random.state = seed;
    run->hosts_made = 3 + world_draw(&run->random, seed % 8 ? 60 : 400);
    run->f = world_new(&run->random, run->hosts_made);
    run->c = chooser_new(run->f);
    run->mix = seed % 10 ? NULL : mix_new();
    for (int i = 0; i < DEMANDS; i++)
        world_demand(&run->random, &run->demands[i]);
    for (uint64_t i = 0; i < steps; i++)
        step(run);
    *placed += run->placed;
    *refused += run->refused;
    chooser_free(run->c);
    fleet_free(run->f);
    mix_free(run->mix);
    free(run);
}

static void test_same_as_exhaustive(void **state)
{
    (void)state;
    uint64_t placed = 0, refused = 0, steps = 3000;
    for (uint64_t i = 0; i * steps < decisions; i++)
        run_world(i + 1, steps, &placed, &refused);
    print_message("%llu placed, %llu refused, all as the plain way does it\n",
                  (unsigned long long)placed, (unsigned long long)refused);
    /* Both must happen often for this to say something. */
    assert_true(placed > decisions / 4 && refused > decisions / 50);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_as_exhaustive),
    };
    if (argc > 1)
        decisions = strtoull(argv[1], NULL, 10);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
