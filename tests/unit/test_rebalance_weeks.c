/* The engine in the loop for simulated weeks: guests come and go, their load
 * follows the day with noise upon it, hosts fail and return.  What is asked:
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
    int32_t vcpus, base, swing, phase; /* thousandths; ticks */
    struct forecast vcpu, steal;
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
    bool rebalances, quiet;
    uint32_t down; /* host that is dead, or HOSTS */
    uint64_t trouble, moves, back, of_failed;
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
        fleet_set_capacity(w->f, h, FLEET_MEMORY, 131072);
        state_of(w, h, FLEET_UP);
    }
    fleet_ranks(w->f);
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
        .base = n * (int32_t)world_draw(&w->r, 500),
        .swing = n * (int32_t)world_draw(&w->r, 500),
        .phase = (int)(world_draw(&w->r, 5) * DAY / 15), /* most by day */
        .moved = -DAY,
        .failed = -DAY,
    };
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

/* A day with a long hill, noise of a tenth upon it. */
static int32_t wants(struct weeks *w, const struct life *l)
{
    int hour = w->quiet ? DAY / 3 : (w->tick + l->phase) % DAY;
    int hill = hour < DAY / 2 ? hour : DAY - hour; /* 0 .. DAY / 2 */
    int64_t want = l->base + (int64_t)l->swing * hill / (DAY / 2);
    want = want * (900 + world_draw(&w->r, 201)) / 1000;
    return (int32_t)(want > l->vcpus ? l->vcpus : want);
}

/* Every machine gives what it has; who wants more loses time. */
static void run_load(struct weeks *w)
{
    int64_t wanted[HOSTS] = { 0 };
    int32_t want[GUESTS + 1] = { 0 };
    for (uint64_t id = 1; id <= GUESTS; id++)
        if (w->lives[id].alive) {
            want[id] = wants(w, &w->lives[id]);
            wanted[fleet_guest(w->f, id)->at.host] += want[id];
        }
    for (uint64_t id = 1; id <= GUESTS; id++) {
        struct life *l = &w->lives[id];
        if (!l->alive)
            continue;
        struct fleet_guest *g = fleet_guest(w->f, id);
        int64_t all = wanted[g->at.host], now = (w->tick + 1) * TICK * 60000LL;
        int64_t steal = all > CPUS ? 1000 - CPUS * 1000LL / all : 0;
        forecast_add(&l->vcpu, &smoothing, now,
                     want[id] * (1000 - steal) / 1000);
        forecast_add(&l->steal, &smoothing, now, steal);
        world_use(w->f, id)->vcpu =
            (int32_t)forecast_peak(&l->vcpu, &smoothing, 15 * 60000);
        world_use(w->f, id)->steal =
            (int32_t)forecast_value(&l->steal, &smoothing, 0);
        world_use(w->f, id)->memory = l->vcpus * 2;
        w->trouble += (uint64_t)steal;
    }
}

/* ---- the rebalancer ------------------------------------------------------ */

static void plan_anew(struct weeks *w)
{
    uint64_t spared[GUESTS];
    struct plan_policy p = plan_careful;
    p.spared = spared;
    p.steps = 20000;
    for (uint64_t id = 1; id <= GUESTS; id++) {
        const struct life *l = &w->lives[id];
        if (l->alive && (w->tick - l->moved < SPARE_TICKS ||
                         w->tick - l->failed < SPARE_TICKS))
            spared[p.n_spared++] = id;
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
    *l = (struct life){
        .alive = true,
        .vcpus = l->vcpus,
        .base = l->base,
        .swing = l->swing,
        .phase = l->phase,
        .vcpu = l->vcpu,
        .steal = l->steal,
        .failed = l->failed,
        .moved = w->tick,
        .left = m->from.host,
    };
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

static void test_weeks(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 3; seed++) {
        struct weeks with, without;
        begin(&with, seed, true);
        begin(&without, seed, false);
        for (int i = 0; i < 330; i++) {
            arrive(&with);
            arrive(&without);
        }
        run(&with, 21 * DAY);
        run(&without, 21 * DAY);
        print_message("seed %u: %u guests, %u moves in three weeks, %u back; "
                      "trouble %u, without %u\n",
                      (unsigned)seed, with.f->n_guests, (unsigned)with.moves,
                      (unsigned)with.back, (unsigned)with.trouble,
                      (unsigned)without.trouble);
        assert_true(with.trouble * 2 < without.trouble);
        assert_true(with.back * 100 <= with.moves);
        assert_int_equal(with.of_failed, 0);
        with.quiet = true; /* the load rests; the noise does not */
        run(&with, DAY);
        uint64_t settled = with.moves;
        run(&with, 7 * DAY);
        assert_int_equal(with.moves, settled);
        end(&with);
        end(&without);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_weeks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
