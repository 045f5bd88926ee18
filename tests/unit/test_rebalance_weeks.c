/* The engine in the loop for simulated weeks: guests come and go, their load
 * (CPU, memory, disk, network) follows the day with noise upon it, machines
 * differ in what their disks bear and promise more memory than they have,
 * hosts fail and return.  What is asked:
 * no hard rule is ever broken, nobody is moved to and fro, what a failure
 * moved is left alone, there is less trouble than without, and when the load
 * rests the pool does. */
#include "test.h"

#include "engine/forecast.h"
#include "engine/plan.h"
#include "fleet_world.h"

#include <stdlib.h>

#define HOSTS       24
#define GUESTS      400 /* ids are used again */
#define TICK        10  /* minutes */
#define DAY         (24 * 60 / TICK)
#define CPUS        16000
#define RAM         45056
#define PROMISED    131072
#define LINK        (1200 * 1024)
#define SPARE_TICKS 12 /* two hours after a failure or a migration */
#define BACK_TICKS  36 /* six: who returns sooner oscillates */

/* As the usual one, for samples that come every ten minutes. */
static const struct forecast_policy smoothing = {
    .half_life = 15 * 60000,
    .trend_life = 90 * 60000,
    .fade = 90 * 60000,
};

struct life {
    bool alive;
    int32_t vcpus, phase; /* thousandths; ticks */
    /* Thousandths of a CPU, MiB, KiB/s, KiB/s: at night, and more by day. */
    int32_t base[STRAINS], swing[STRAINS];
    struct forecast use[STRAINS], stall[STRAINS];
    int moved, failed; /* ticks; when last */
    uint32_t left;     /* host it was moved from then */
};

struct weeks {
    struct fleet *f;
    struct world_random r;
    struct life lives[GUESTS + 1];
    struct plan plan;
    uint32_t next_move; /* of the plan, not yet done */
    uint64_t version;   /* the fleet's, as the plan left it */
    int tick;
    bool rebalances, quiet, even;
    uint32_t down;       /* host that is dead, or HOSTS */
    int32_t disk[HOSTS]; /* KiB/s that its disks bear: nobody is told */
    struct forecast memory_stall[HOSTS], link[HOSTS];
    uint64_t trouble[STRAINS], moves, back, of_failed;
};

/* ---- the world ----------------------------------------------------------- */

static void state_of(struct weeks *w, uint32_t host, enum fleet_state state)
{
    fleet_set_facts(
        w->f, host,
        &(struct fleet_facts){ .state = (uint8_t)state, .largest_vcpu = CPUS });
}

static void begin(struct weeks *w, uint64_t seed, bool rebalances)
{
    *w = (struct weeks){ .r = { seed },
                         .rebalances = rebalances,
                         .down = HOSTS };
    w->f = fleet_new();
    for (unsigned i = 0; i < HOSTS; i++) {
        char name[16];
        snprintf(name, sizeof(name), "host%03u", i);
        uint32_t h = fleet_add_host(w->f, name);
        fleet_set_capacity(w->f, h, FLEET_VCPU, 4 * CPUS);
        fleet_set_capacity(w->f, h, FLEET_MEMORY, PROMISED);
        state_of(w, h, FLEET_UP);
        w->disk[h] = 1024 * (100 + (int32_t)world_draw(&w->r, 200));
    }
    fleet_ranks(w->f);
}

/* One in five is hard on disks, one in ten on the network. */
static void draw_load(struct weeks *w, struct life *l, int32_t n)
{
    static const int32_t most[STRAINS] = { 500, 1024, 512, 2048 };
    for (int s = 0; s < STRAINS; s++) {
        int32_t times = s == STRAIN_DISK && world_chance(&w->r, 20)      ? 24
                        : s == STRAIN_NETWORK && world_chance(&w->r, 10) ? 64
                                                                         : 1;
        l->base[s] = n * times * (int32_t)world_draw(&w->r, most[s]);
        l->swing[s] = n * times * (int32_t)world_draw(&w->r, most[s]);
    }
}

static void arrive(struct weeks *w)
{
    uint64_t id = 1 + world_draw(&w->r, GUESTS);
    struct life *l = &w->lives[id];
    struct placing at;
    int32_t n = 1 << world_draw(&w->r, 4);
    struct request q = { .demand.need = { n * 1000, n * 2048 } };
    if (world_chance(&w->r, 20))
        q.group = (struct request_group){ .id = 1 + world_draw(&w->r, 20),
                                          .policy = REQUEST_ANTI_AFFINITY };
    if (l->alive || !choose_exhaustive(w->f, &q, &at))
        return;
    fleet_put(w->f, id, &q, &at);
    *l = (struct life){
        .alive = true,
        .vcpus = n * 1000,
        .phase = (int)(world_draw(&w->r, 5) * DAY / 15), /* most by day */
        .moved = -DAY,
        .failed = -DAY,
    };
    draw_load(w, l, n);
}

static void leave(struct weeks *w)
{
    uint64_t id = 1 + world_draw(&w->r, GUESTS);
    if (w->lives[id].alive)
        fleet_remove(w->f, id);
    w->lives[id].alive = false;
}

/* Its guests are started again elsewhere. */
static void lose_host(struct weeks *w)
{
    w->down = world_draw(&w->r, HOSTS);
    state_of(w, w->down, FLEET_DEAD);
    for (uint64_t id = 1; id <= GUESTS; id++) {
        struct fleet_guest *g = fleet_guest(w->f, id);
        struct request q;
        struct placing at;
        if (!g || g->at.host != w->down)
            continue;
        fleet_request_of(w->f, g, &q);
        fleet_remove(w->f, id);
        w->lives[id].alive = choose_exhaustive(w->f, &q, &at);
        if (w->lives[id].alive)
            fleet_put(w->f, id, &q, &at);
        w->lives[id].failed = w->tick;
    }
}

static void happen(struct weeks *w)
{
    if (w->quiet)
        return;
    if (world_chance(&w->r, 30))
        arrive(w);
    if (world_chance(&w->r, 24))
        leave(w);
    if (w->down == HOSTS && world_draw(&w->r, 3 * DAY) == 0) {
        lose_host(w);
    } else if (w->down < HOSTS && world_draw(&w->r, DAY / 4) == 0) {
        state_of(w, w->down, FLEET_UP);
        w->down = HOSTS;
    }
}

/* ---- load ---------------------------------------------------------------- */

/* A day with a long hill, noise of a tenth upon it; memory has less. */
static int64_t wants(struct weeks *w, const struct life *l, int s)
{
    int hour = w->quiet ? DAY / 3 : (w->tick + l->phase) % DAY;
    int hill = hour < DAY / 2 ? hour : DAY - hour; /* 0 .. DAY / 2 */
    int64_t want = l->base[s] + (int64_t)l->swing[s] * hill / (DAY / 2);
    int noise = s == STRAIN_MEMORY ? 10 : 100;
    want = want * (1000 - noise + (int)world_draw(&w->r, 2 * noise + 1)) / 1000;
    return s == STRAIN_CPU && want > l->vcpus ? l->vcpus : want;
}

struct load {
    int64_t wanted[HOSTS][STRAINS];
    int64_t want[GUESTS + 1][STRAINS];
};

static void draw_wants(struct weeks *w, struct load *l)
{
    memset(l, 0, sizeof(*l));
    for (uint64_t id = 1; id <= GUESTS; id++)
        for (int s = 0; s < STRAINS && w->lives[id].alive; s++) {
            l->want[id][s] = wants(w, &w->lives[id], s);
            l->wanted[fleet_guest(w->f, id)->at.host][s] += l->want[id][s];
        }
}

/* Thousandths that are not given of what is wanted. */
static int64_t lacks(const struct weeks *w, const struct load *l, uint32_t h,
                     int s)
{
    const int64_t has[STRAINS] = { CPUS, RAM, w->disk[h], LINK };
    int64_t all = l->wanted[h][s];
    return all > has[s] ? 1000 - has[s] * 1000 / all : 0;
}

static int64_t smooth(struct weeks *w, struct forecast *f, int64_t value)
{
    forecast_add(f, &smoothing, (w->tick + 1) * TICK * 60000LL, value);
    return forecast_value(f, &smoothing, 0);
}

static void measure_guest(struct weeks *w, const struct load *l, uint64_t id)
{
    struct life *v = &w->lives[id];
    uint32_t host = fleet_guest(w->f, id)->at.host;
    int32_t use[STRAINS], stall[STRAINS];
    for (int s = 0; s < STRAINS; s++) {
        int64_t lack = lacks(w, l, host, s);
        int64_t got = s == STRAIN_MEMORY
                          ? l->want[id][s]
                          : l->want[id][s] * (1000 - lack) / 1000;
        stall[s] = (int32_t)smooth(w, &v->stall[s], lack);
        smooth(w, &v->use[s], got);
        use[s] = (int32_t)forecast_peak(&v->use[s], &smoothing, 15 * 60000);
        w->trouble[s] += (uint64_t)lack;
    }
    *world_use(w->f, id) = (struct fleet_use){
        .vcpu = use[STRAIN_CPU],
        .memory = use[STRAIN_MEMORY],
        .disk = use[STRAIN_DISK],
        .network = use[STRAIN_NETWORK],
        .steal = stall[STRAIN_CPU],
        .memory_stall = -1,
        .disk_stall = stall[STRAIN_DISK] * 3, /* of its time, not of its use */
        .dirty = id % 3 ? 20 : -1,
    };
}

static void measure_host(struct weeks *w, const struct load *l, uint32_t h)
{
    int64_t net = l->wanted[h][STRAIN_NETWORK];
    fleet_set_host_use(
        w->f, h,
        &(struct fleet_host_use){
            .ram = RAM,
            .memory_stall = (int32_t)smooth(w, &w->memory_stall[h],
                                            4 * lacks(w, l, h, STRAIN_MEMORY)),
            .disk_stall = -1,
            .swap = -1,
            .network = (int32_t)smooth(w, &w->link[h], net < LINK ? net : LINK),
            .link = LINK });
}

/* Every machine gives what it has; who wants more loses time. */
static void run_load(struct weeks *w)
{
    struct load l;
    draw_wants(w, &l);
    for (uint64_t id = 1; id <= GUESTS; id++)
        if (w->lives[id].alive)
            measure_guest(w, &l, id);
    for (uint32_t h = 0; h < HOSTS; h++)
        measure_host(w, &l, h);
}

/* ---- the rebalancer ------------------------------------------------------ */

static void plan_anew(struct weeks *w)
{
    uint64_t spared[GUESTS];
    uint32_t settling[GUESTS];
    struct plan_policy p = plan_careful;
    p.spared = spared;
    p.goals.strain.settling = settling;
    p.steps = 20000;
    p.goals.weight[GOAL_EVEN] = w->even ? goals_usual_weight(GOAL_EVEN) : 0;
    for (uint64_t id = 1; id <= GUESTS; id++) {
        const struct life *l = &w->lives[id];
        if (l->alive && (w->tick - l->moved < SPARE_TICKS ||
                         w->tick - l->failed < SPARE_TICKS))
            spared[p.n_spared++] = id;
        if (l->alive && w->tick - l->moved < SPARE_TICKS)
            settling[p.goals.strain.n_settling++] = l->left;
    }
    plan_free(&w->plan);
    plan_make(w->f, &p, &w->plan);
    w->next_move = 0;
}

static void move_one(struct weeks *w, const struct plan_move *m)
{
    struct life *l = &w->lives[m->guest];
    w->back += m->to.host == l->left && w->tick - l->moved < BACK_TICKS;
    if (w->tick - l->failed < SPARE_TICKS && m->reason != GOAL_RELIEVE)
        w->of_failed++;
    l->moved = w->tick;
    l->left = m->from.host;
    assert_true(fleet_move(w->f, m->guest, &m->to));
    w->moves++;
}

/* One wave a tick; given up when the fleet is not what it was. */
static void rebalance(struct weeks *w)
{
    if (!w->rebalances)
        return;
    bool same = w->version == w->f->sequence;
    if (!same || w->next_move == w->plan.n)
        plan_anew(w);
    uint32_t i = w->next_move;
    while (i < w->plan.n &&
           w->plan.moves[i].wave == w->plan.moves[w->next_move].wave)
        move_one(w, &w->plan.moves[i++]);
    w->next_move = i;
    w->version = w->f->sequence;
}

/* ---- what must hold ------------------------------------------------------ */

static void check(const struct weeks *w)
{
    for (uint32_t h = 0; h < HOSTS; h++) {
        assert_true(w->f->free[FLEET_VCPU][h] >= 0);
        assert_true(w->f->free[FLEET_MEMORY][h] >= 0);
    }
    for (uint64_t id = 1; id <= GUESTS; id++) {
        const struct fleet_guest *g = fleet_guest(w->f, id);
        assert_int_equal(g != NULL, w->lives[id].alive);
        if (!g)
            continue;
        assert_int_equal(w->f->hosts[g->at.host].facts.state, FLEET_UP);
        if (g->group.id)
            assert_int_equal(
                fleet_group_on(fleet_group(w->f, g->group.id), g->at.host), 1);
    }
}

static void run(struct weeks *w, int ticks)
{
    for (int end = w->tick + ticks; w->tick < end; w->tick++) {
        happen(w);
        run_load(w);
        rebalance(w);
        check(w);
    }
}

static void end(struct weeks *w)
{
    plan_free(&w->plan);
    fleet_free(w->f);
}

static void compare(const struct weeks *with, const struct weeks *without,
                    unsigned seed)
{
    print_message("seed %u: %u guests, %u moves, %u back\n", seed,
                  with->f->n_guests, (unsigned)with->moves,
                  (unsigned)with->back);
    for (int s = 0; s < STRAINS; s++)
        print_message("  %-8s trouble %u, without %u\n",
                      strain_name((enum strain)s), (unsigned)with->trouble[s],
                      (unsigned)without->trouble[s]);
    for (int s = 0; s < STRAINS; s++)
        assert_true(with->trouble[s] * 3 < without->trouble[s] * 2 + 1);
    assert_true(with->back * 100 <= with->moves);
    assert_int_equal(with->of_failed, 0);
}

/* `even`: with that goal as well, by what is measured. */
static void live(uint64_t seed, int weeks, bool even)
{
    struct weeks with, without;
    begin(&with, seed, true);
    begin(&without, seed, false);
    with.even = even;
    for (int i = 0; i < 330; i++) {
        arrive(&with);
        arrive(&without);
    }
    run(&with, weeks * 7 * DAY);
    run(&without, weeks * 7 * DAY);
    compare(&with, &without, (unsigned)seed);
    with.quiet = true; /* the load rests; the noise does not */
    run(&with, DAY);
    uint64_t settled = with.moves, back = with.back;
    run(&with, 7 * DAY);
    print_message("  at rest for a week: %u moves\n",
                  (unsigned)(with.moves - settled));
    /* The noise alone may lift a full machine above the mark, once. */
    assert_in_range(with.moves - settled, 0, 3);
    assert_int_equal(with.back, back);
    end(&with);
    end(&without);
}

static void test_weeks(void **state)
{
    for (uint64_t seed = 1; seed <= 2; seed++)
        live(seed, 3, false);
}

static void test_weeks_of_evening_out(void **state)
{
    live(4, 1, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_weeks),
        cmocka_unit_test(test_weeks_of_evening_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
