#include "engine/plan.h"

#include "common/alloc.h"
#include "engine/order.h"
#include "engine/search.h"
#include "engine/waves.h"

#include <stdlib.h>
#include <string.h>

const struct plan_policy plan_careful = {
    .goals = {
        .weight = { [GOAL_EVACUATE] = 1000000,
                    [GOAL_REPAIR] = 50000,
                    [GOAL_RELIEVE] = 20000,
                    [GOAL_FILL] = 5000 },
        .strain = { .trigger = 900,
                    .target = 750,
                    .stall = { [STRAIN_CPU] = 50,
                               [STRAIN_MEMORY] = 50,
                               [STRAIN_DISK] = 300 },
                    .machine_stall = { [STRAIN_MEMORY] = 100,
                                       [STRAIN_DISK] = 500 },
                    .swap = 4096 },
        .nearly_empty = 250,
        .filled = 750,
    },
    .hysteresis = 2000,
    .most = 50,
    .parallel = 4,
    .per_host = 1,
    .steps = 200000,
    .seed = 1,
};

const char *plan_reason_name(int reason)
{
    return reason == PLAN_ROOM ? "room" : goal_name((enum goal)reason);
}

const char *plan_reason_text(int reason)
{
    return reason == PLAN_ROOM ? "makes room for another"
                               : goal_text((enum goal)reason);
}

/* ---- the board ----------------------------------------------------------- */

static bool is_spared(const struct plan_policy *p, uint64_t id)
{
    uint32_t low = 0, high = p->n_spared;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (p->spared[mid] < id)
            low = mid + 1;
        else
            high = mid;
    }
    return low < p->n_spared && p->spared[low] == id;
}

static struct board *lay_out(const struct fleet *f, const struct plan_policy *p)
{
    struct board *b = board_new(f);
    for (uint32_t i = 0; i < b->n_guests; i++) {
        struct board_guest *g = &b->guests[i];
        g->cost = cost_move(f, fleet_guest(f, g->id), &p->cost).points;
        g->spared = is_spared(p, g->id);
    }
    return b;
}

/* ---- looking ------------------------------------------------------------- */

#define ROUNDS 8
#define FEW    2 /* migrations */

/* Patience pays where there is no single best move to take; less of it for
 * whole units when hardly a migration is left. */
static uint64_t patience(const struct goals *g, const struct plan_policy *p,
                         uint32_t most)
{
    if (g->on[GOAL_EVEN] || (g->on[GOAL_DEFRAGMENT] && most > FEW))
        return p->steps;
    return g->on[GOAL_DEFRAGMENT] ? p->steps * most / p->most : 0;
}

static void look_once(struct board *b, const struct plan_policy *p,
                      const struct strains *strains, uint32_t most)
{
    struct goals g;
    struct search s;
    goals_init(&g, &p->goals, b, strains);
    search_init(&s, b, &g, most, p->hysteresis, p->seed);
    search_needed(&s);
    search_empty(&s);
    search_fill(&s);
    search_descend(&s);
    uint64_t steps = patience(&g, p, most);
    if (steps)
        search_anneal(&s, steps);
    search_prune(&s);
    search_free(&s);
}

/* From now on everybody is at home where he is.  How many were away. */
static uint32_t settle(struct board *b)
{
    uint32_t moved = 0;
    for (uint32_t i = 0; i < b->n_guests; i++) {
        struct board_guest *g = &b->guests[i];
        moved += board_away(g);
        g->home = g->host;
        g->home_cells = g->cells;
    }
    return moved;
}

/* Looks as whoever asks again after the plan would look, until there is
 * nothing left to do: so he will find nothing. */
static void look(struct board *b, const struct plan_policy *p,
                 const struct strains *strains, uint32_t left)
{
    for (int i = 0; i < ROUNDS && left; i++) {
        look_once(b, p, strains, left);
        uint32_t moved = settle(b);
        if (!moved)
            return;
        left -= moved;
    }
}

/* ---- ordering ------------------------------------------------------------ */

/* Puts everybody where he is on the other board; was he there already? */
static bool follow(struct board *b, const struct board *other)
{
    bool same = true;
    for (uint32_t i = 0; i < b->n_guests; i++) {
        const struct board_guest *g = &b->guests[i], *to = &other->guests[i];
        if (g->host == to->host && g->cells == to->cells)
            continue;
        board_move(b, i, to->host, to->cells);
        same = false;
    }
    settle(b);
    return same;
}

static void append(struct order *to, const struct order *from)
{
    to->moves = xrealloc(to->moves, (to->n + from->n + 1) * sizeof(*to->moves));
    if (from->n)
        memcpy(to->moves + to->n, from->moves, from->n * sizeof(*to->moves));
    to->n += from->n;
}

/* Where some must stay behind (rings without room), the others may have
 * better places than those that were found with them. */
static void look_and_order(const struct plan_policy *p,
                           const struct strains *strains, struct board *target,
                           struct board *now, struct order *out)
{
    *out = (struct order){ 0 };
    for (int i = 0; i < ROUNDS && out->n < p->most; i++) {
        struct order more;
        look(target, p, strains, p->most - out->n);
        order_make(now, target, p->most - out->n, &more);
        append(out, &more);
        bool stuck = !more.n || follow(target, now);
        order_free(&more);
        settle(now);
        if (stuck)
            return;
    }
}

/* ---- telling ------------------------------------------------------------- */

struct telling {
    const struct fleet *fleet;
    const struct plan_policy *policy;
    struct board *board; /* moved along */
    struct goals goals;
    struct plan *plan;
};

static void pains(const struct goals *g, int64_t out[GOALS_N], int64_t *units)
{
    *units = 0;
    for (enum goal i = 0; i < GOALS_N; i++)
        out[i] = g->policy.weight[i] ? goals_pain(g, i) : 0;
    for (uint32_t h = 0; h < g->board->n_hosts; h++)
        *units += goals_units(g, h);
}

/* Pain by goal of the two hosts, and of the guest in its group. */
static void step_pains(const struct telling *t, const struct order_move *m,
                       int64_t out[GOALS_N])
{
    const struct goals *g = &t->goals;
    for (enum goal i = 0; i < GOALS_N; i++) {
        bool felt = g->on[i] || i == GOAL_RELIEVE;
        out[i] = felt && g->policy.weight[i] ? goals_host_one(g, i, m->from) +
                                                   goals_host_one(g, i, m->to)
                                             : 0;
    }
    if (g->on[GOAL_REPAIR] && goals_misplaced(t->board, m->guest))
        out[GOAL_REPAIR] = g->policy.weight[GOAL_REPAIR];
}

/* Of what the host that is left is shortest. */
static void find_trouble(const struct telling *t, const struct order_move *m,
                         struct plan_trouble *out)
{
    const struct strains *s = &t->goals.strains[m->from];
    int64_t worst = 0;
    *out = (struct plan_trouble){ .strain = STRAINS };
    for (enum strain i = 0; i < STRAINS; i++) {
        int64_t pain = goals_host_strain(&t->goals, i, m->from);
        if (pain <= worst)
            continue;
        worst = pain;
        *out = (struct plan_trouble){
            .strain = (int)i,
            .use = t->board->hosts[m->from].use[i] + s->base[i],
            .has = s->has[i],
            .comfort = s->comfort[i],
            .own = t->board->guests[m->guest].use[i],
            .stall = s->stall[i],
        };
    }
}

static void tell_move(struct telling *t, const struct order_move *m)
{
    const struct board_guest *g = &t->board->guests[m->guest];
    const struct fleet_guest *guest = fleet_guest(t->fleet, g->id);
    struct cost cost = cost_move(t->fleet, guest, &t->policy->cost);
    int64_t before[GOALS_N], after[GOALS_N], best = 0;
    struct plan_move *out = &t->plan->moves[t->plan->n++];
    *out = (struct plan_move){
        .guest = g->id,
        .from = { .host = m->from, .cells = m->from_cells },
        .to = { .host = m->to, .cells = m->to_cells },
        .reason = PLAN_ROOM,
        .price = cost,
        .cost = cost.points,
        .seconds = cost.seconds,
    };
    find_trouble(t, m, &out->trouble);
    step_pains(t, m, before);
    board_move(t->board, m->guest, m->to, m->to_cells);
    step_pains(t, m, after);
    for (int i = 0; i < GOALS_N; i++) {
        int64_t gain = before[i] - after[i];
        out->gain += gain;
        /* Whoever has to go anyway does not go for the rest's sake. */
        bool must = out->reason <= GOAL_RELIEVE && i > GOAL_RELIEVE;
        if (gain > best && !must && !m->waits) {
            best = gain;
            out->reason = i;
        }
    }
    t->plan->cost += cost.points;
}

/* Everything back to where the fleet has it. */
static void go_home(struct board *b)
{
    for (uint32_t i = 0; i < b->n_guests; i++) {
        struct board_guest *g = &b->guests[i];
        const struct fleet_guest *was = fleet_guest(b->fleet, g->id);
        board_move(b, i, was->at.host, was->at.cells);
        g->home = g->host;
        g->home_cells = g->cells;
    }
}

static void tell(const struct fleet *f, const struct plan_policy *p,
                 const struct strains *strains, struct board *b,
                 const struct order *o, struct plan *out)
{
    struct telling t = { .fleet = f, .policy = p, .board = b, .plan = out };
    goals_init(&t.goals, &p->goals, b, strains);
    memcpy(out->on, t.goals.on, sizeof(out->on));
    pains(&t.goals, out->before, &out->units_before);
    int64_t total = goals_total(&t.goals);
    out->moves = xcalloc(o->n + 1, sizeof(*out->moves));
    for (uint32_t i = 0; i < o->n; i++)
        tell_move(&t, &o->moves[i]);
    pains(&t.goals, out->after, &out->units_after);
    out->gain = total - goals_total(&t.goals);
}

/* ---- making -------------------------------------------------------------- */

/* Nothing is to be done: what was found is not worth its price. */
static void forget(struct plan *p)
{
    memcpy(p->after, p->before, sizeof(p->after));
    p->units_after = p->units_before;
    p->n = 0;
    p->gain = p->cost = 0;
}

void plan_make(const struct fleet *f, const struct plan_policy *p,
               struct plan *out)
{
    struct order o;
    *out = (struct plan){ .version = f->sequence };
    struct board *target = lay_out(f, p), *now = lay_out(f, p);
    struct strains *strains = xcalloc(f->n + 1, sizeof(*strains));
    strain_find(now, &p->goals.strain, strains);
    look_and_order(p, strains, target, now, &o);
    go_home(target);
    tell(f, p, strains, target, &o, out);
    if (out->n && out->gain < out->cost * p->hysteresis / 1000) {
        forget(out);
        go_home(target);
    }
    stays_find(target, p->goals.weight[GOAL_EVACUATE] > 0,
               p->goals.weight[GOAL_REPAIR] > 0, &out->stays);
    waves_make(f, p->parallel, p->per_host, out);
    order_free(&o);
    free(strains);
    board_free(target);
    board_free(now);
}

void plan_bear(struct plan *p, struct reserve *proof)
{
    for (uint32_t i = 0; proof && i < p->n; i++)
        if (!reserve_move(proof, p->moves[i].guest, &p->moves[i].to, NULL))
            stays_add(&p->stays, p->moves[i].guest, STAY_RESERVE);
}

void plan_free(struct plan *p)
{
    free(p->moves);
    stays_free(&p->stays);
    *p = (struct plan){ 0 };
}
