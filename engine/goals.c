#include "engine/goals.h"

#include <stdlib.h>

#define MILLION 1000000

static const struct {
    const char *name, *text;
} words[GOALS_N] = {
#define X(goal, word, text) { word, text },
    GOALS(X)
#undef X
};

/* Points: a guest to evacuate, a guest to repair, a vCPU that is missing, a
 * host that could be off, 4 GiB that a new host is short of, a host filled
 * from nothing to all, a unit of the large request. */
static const int32_t usual[GOALS_N] = {
    [GOAL_EVACUATE] = 1000000,  [GOAL_REPAIR] = 50000, [GOAL_RELIEVE] = 20000,
    [GOAL_CONSOLIDATE] = 30000, [GOAL_FILL] = 5000,    [GOAL_EVEN] = 100000,
    [GOAL_DEFRAGMENT] = 5000,
};

const char *goal_name(enum goal g)
{
    return words[g].name;
}

const char *goal_text(enum goal g)
{
    return words[g].text;
}

int32_t goals_usual_weight(enum goal g)
{
    return usual[g];
}

/* ---- what is triggered --------------------------------------------------- */

static int32_t capacity(const struct board *b, uint32_t dim, uint32_t host)
{
    return b->fleet->capacity[b->dim[dim]][host];
}

int64_t goals_fullness(const struct board *b, uint32_t host)
{
    int64_t most = 0;
    for (uint32_t i = 0; i < b->dims; i++) {
        int64_t all = capacity(b, i, host);
        if (b->dim[i] > FLEET_MEMORY || all <= 0)
            continue;
        int64_t full = (all - b->room[host * b->dims + i]) * MILLION / all;
        most = full > most ? full : most;
    }
    return most;
}

/* The same, or what is measured of CPU and link. */
static int64_t business(const struct goals *g, uint32_t host)
{
    static const enum strain watched[] = { STRAIN_CPU, STRAIN_NETWORK };
    const struct strains *s = &g->strains[host];
    int64_t most = goals_fullness(g->board, host);
    for (int i = 0; i < 2; i++) {
        int64_t has = s->has[watched[i]];
        int64_t use =
            g->board->hosts[host].use[watched[i]] + s->base[watched[i]];
        if (has > 0 && use * MILLION / has > most)
            most = use * MILLION / has;
    }
    return most;
}

/* Still, as far as is known before it is measured again. */
static bool is_strained(const struct goals *g, uint32_t host)
{
    const struct strains *s = &g->strains[host];
    const struct board_host *h = &g->board->hosts[host];
    bool any = false;
    for (int i = 0; i < STRAINS; i++)
        any = any || (s->strained[i] && strain_over(s, i, h->use[i]));
    return any && h->state == FLEET_UP;
}

/* A host that is up and has less than a share of the mean. */
static bool somebody_is_empty(struct goals *g)
{
    const struct board *b = g->board;
    int64_t sum = 0, n = 0, least = INT64_MAX;
    for (uint32_t h = 0; h < b->n_hosts; h++) {
        if (b->hosts[h].state != FLEET_UP)
            continue;
        int64_t full = goals_fullness(b, h);
        sum += full;
        n++;
        least = full < least ? full : least;
    }
    /* A tenth full on average: nothing to fill with. */
    g->mean = n ? sum / n : 0;
    return g->mean > MILLION / 10 &&
           least * 1000 < g->mean * g->policy.nearly_empty;
}

static int64_t all_units(const struct goals *g)
{
    int64_t sum = 0;
    for (uint32_t h = 0; h < g->board->n_hosts; h++)
        sum += goals_units(g, h);
    return sum;
}

void goals_init(struct goals *g, const struct goals_policy *p,
                const struct board *b, const struct strains *strains)
{
    *g = (struct goals){ .policy = *p, .board = b, .strains = strains };
    const int32_t *w = p->weight;
    for (uint32_t h = 0; h < b->n_hosts && w[GOAL_RELIEVE]; h++)
        g->on[GOAL_RELIEVE] = g->on[GOAL_RELIEVE] || is_strained(g, h);
    for (uint32_t h = 0; h < b->n_hosts && w[GOAL_EVACUATE]; h++)
        if (b->hosts[h].state == FLEET_DRAINING && b->hosts[h].guests)
            g->on[GOAL_EVACUATE] = true;
    for (uint32_t i = 0; i < b->n_guests && w[GOAL_REPAIR]; i++)
        g->on[GOAL_REPAIR] = g->on[GOAL_REPAIR] || goals_misplaced(b, i);
    g->on[GOAL_CONSOLIDATE] = w[GOAL_CONSOLIDATE] > 0;
    g->on[GOAL_EVEN] = w[GOAL_EVEN] > 0;
    /* Not where hosts are to be empty, nor where EVEN does it already. */
    g->on[GOAL_FILL] = w[GOAL_FILL] > 0 && !w[GOAL_EVEN] &&
                       !w[GOAL_CONSOLIDATE] && !w[GOAL_DEFRAGMENT] &&
                       somebody_is_empty(g);
    g->on[GOAL_DEFRAGMENT] = w[GOAL_DEFRAGMENT] > 0 && p->vcpu > 0 &&
                             (!p->units || all_units(g) < p->units);
}

/* ---- pain ---------------------------------------------------------------- */

static int64_t units_in(const struct goals_policy *p, int32_t vcpu,
                        int32_t memory)
{
    int64_t n = vcpu > 0 ? vcpu / p->vcpu : 0;
    int64_t m = p->memory && memory > 0 ? memory / p->memory : 0;
    return p->memory && m < n ? m : n;
}

int64_t goals_units(const struct goals *g, uint32_t host)
{
    const struct board *b = g->board;
    const struct board_host *h = &b->hosts[host];
    if (h->state != FLEET_UP || !g->policy.vcpu)
        return 0;
    int64_t sum = 0;
    for (int i = 0; i < h->n_cells; i++)
        sum += units_in(&g->policy, h->cells[i].vcpu, h->cells[i].memory);
    if (h->n_cells)
        return sum;
    return units_in(&g->policy, b->room[host * b->dims],
                    b->room[host * b->dims + 1]);
}

/* Square of the remainder, 0 .. 1. */
static double remainder_guide(const struct goals_policy *p, int32_t vcpu)
{
    double r = vcpu > 0 ? (double)(vcpu % p->vcpu) / p->vcpu : 0;
    return r * r;
}

/* A cell, or a host without cells, gets `vcpu` and `memory` back. */
static void shift_cell(const struct goals_policy *p, int32_t free_vcpu,
                       int32_t free_memory, int32_t vcpu, int32_t memory,
                       struct goals_shift *sum)
{
    sum->pain += (units_in(p, free_vcpu, free_memory) -
                  units_in(p, free_vcpu + vcpu, free_memory + memory)) *
                 p->weight[GOAL_DEFRAGMENT];
    sum->guide +=
        remainder_guide(p, free_vcpu) - remainder_guide(p, free_vcpu + vcpu);
}

/* `sign` 1: the guest leaves; -1: it comes. */
static struct goals_shift shift(const struct goals *g, uint32_t guest,
                                uint32_t host, unsigned cells, int sign)
{
    const struct board *b = g->board;
    const struct board_class *k = &b->classes[b->guests[guest].class_];
    const struct board_host *h = &b->hosts[host];
    struct goals_shift sum = { 0 };
    if (!g->on[GOAL_DEFRAGMENT] || h->state != FLEET_UP)
        return sum;
    if (!h->n_cells)
        shift_cell(&g->policy, b->room[host * b->dims],
                   b->room[host * b->dims + 1], sign * k->need[0],
                   sign * k->need[1], &sum);
    for (unsigned left = cells; left; left &= left - 1) {
        const struct board_cell *c = &h->cells[__builtin_ctz(left)];
        shift_cell(&g->policy, c->vcpu, c->memory, sign * k->cell.vcpu,
                   sign * k->cell.memory, &sum);
    }
    return sum;
}

struct goals_shift goals_leave(const struct goals *g, uint32_t guest)
{
    const struct board_guest *from = &g->board->guests[guest];
    return shift(g, guest, from->host, from->cells, 1);
}

struct goals_shift goals_come(const struct goals *g, uint32_t guest,
                              uint32_t host, uint8_t cells)
{
    return shift(g, guest, host, cells, -1);
}

int64_t goals_host_strain(const struct goals *g, enum strain s, uint32_t host)
{
    return strain_over(&g->strains[host], s, g->board->hosts[host].use[s]) *
           g->policy.weight[GOAL_RELIEVE] / 1000;
}

static int64_t relieve(const struct goals *g, uint32_t host)
{
    int64_t sum = 0;
    for (int s = 0; s < STRAINS; s++)
        sum += strain_over(&g->strains[host], s, g->board->hosts[host].use[s]);
    return sum * g->policy.weight[GOAL_RELIEVE] / 1000;
}

static int64_t square(int64_t full, int32_t weight)
{
    return full * full / MILLION * weight / MILLION;
}

int64_t goals_short(const struct goals *g, uint32_t host)
{
    int64_t wanted = g->mean * g->policy.filled / 1000;
    int64_t full = goals_fullness(g->board, host);
    if (g->board->hosts[host].state != FLEET_UP || full >= wanted)
        return 0;
    return (wanted - full) * g->board->fleet->capacity[FLEET_MEMORY][host] /
           MILLION;
}

int64_t goals_host_one(const struct goals *g, enum goal goal, uint32_t host)
{
    const struct board_host *h = &g->board->hosts[host];
    int32_t weight = g->policy.weight[goal];
    switch (goal) {
    case GOAL_EVACUATE:
        return h->state == FLEET_DRAINING ? (int64_t)weight * h->guests : 0;
    case GOAL_RELIEVE:
        return relieve(g, host);
    case GOAL_CONSOLIDATE:
        return h->guests ? weight : 0;
    case GOAL_FILL:
        return goals_short(g, host) * weight / 4096;
    case GOAL_EVEN:
        return square(business(g, host), weight);
    case GOAL_DEFRAGMENT:
        return -goals_units(g, host) * weight;
    default:
        return 0;
    }
}

/* No goal may be had at the price of guests in trouble: RELIEVE is always
 * felt where it has a weight, on or not. */
int64_t goals_host(const struct goals *g, uint32_t host)
{
    int64_t sum = g->policy.weight[GOAL_RELIEVE] ? relieve(g, host) : 0;
    for (enum goal i = 0; i < GOALS_N; i++)
        if (g->on[i] && i != GOAL_RELIEVE)
            sum += goals_host_one(g, i, host);
    return sum;
}

bool goals_misplaced(const struct board *b, uint32_t guest)
{
    const struct board_guest *g = &b->guests[guest];
    if (g->group == BOARD_NONE)
        return false;
    const struct board_group *in = &b->groups[g->group];
    uint32_t mates = board_mates(b, guest, g->host);
    switch (in->rule.policy) {
    case REQUEST_ANTI_AFFINITY:
        return mates >= (in->rule.most ? in->rule.most : 1);
    case REQUEST_SOFT_ANTI_AFFINITY:
        return mates > 0;
    case REQUEST_AFFINITY:
    case REQUEST_SOFT_AFFINITY:
        return mates + 1 < in->n;
    default:
        return false;
    }
}

static int64_t repair_pain(const struct goals *g)
{
    int64_t n = 0;
    for (uint32_t i = 0; i < g->board->n_guests; i++)
        n += goals_misplaced(g->board, i);
    return n * g->policy.weight[GOAL_REPAIR];
}

int64_t goals_pain(const struct goals *g, enum goal goal)
{
    if (goal == GOAL_REPAIR)
        return repair_pain(g);
    int64_t sum = 0;
    for (uint32_t h = 0; h < g->board->n_hosts; h++)
        sum += goals_host_one(g, goal, h);
    return sum;
}

int64_t goals_total(const struct goals *g)
{
    int64_t sum = g->on[GOAL_REPAIR] ? repair_pain(g) : 0;
    for (uint32_t h = 0; h < g->board->n_hosts; h++)
        sum += goals_host(g, h);
    return sum;
}
