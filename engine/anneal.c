#include "engine/search.h"

#include "common/alloc.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Relative to what a typical move changes (found by trying some); these were
 * found by trials against proven optima (bench/rebalance). */
#define HOT       0.12  /* temperature at the start */
#define COLD      0.02  /* ... at the end */
#define TOLL      0.4   /* for each guest that is away, at the start */
#define TOLL_STEP 0.005 /* it goes up or down by ... */
#define TOLLS     2048  /* ... so often */
#define TOLL_MOST 1.5   /* no gain is worth it */
#define OVER_HOT  0.3  /* for each that is away above the limit, at the start */
#define OVER_COLD 0.7  /* ... at the end */
#define GUIDE     0.12 /* for being all of a unit nearer to one */
#define PERIOD    1024 /* steps at one temperature */
#define STARTS    2    /* each from the beginning: luck differs */
#define TRIALS    2048 /* to find what is typical */
/* Of 1,000 proposals, so many are about a guest that is away; of those so
 * many send it home. */
#define AWAY 150
#define HOME 300
/* Draws for one proposal, until one is of use. */
#define GUESTS 4
#define PLACES 4

struct anneal {
    struct search *s;
    uint32_t *guests, n;    /* that may be moved */
    uint32_t *away, n_away; /* those of them that are away */
    uint32_t *place;        /* by guest: where in `away` */
    bool alone;             /* DEFRAGMENT: nothing else can be gained */
    double typical, temperature, toll, over;
    int64_t sum, best;         /* pain and price, from the start; the least */
    struct search_step *kept;  /* where all were then */
    struct search_step *first; /* where all were at the start */
};

/* xorshift64* (Vigna 2016) */
static uint32_t draw(struct search *s)
{
    s->rng ^= s->rng >> 12;
    s->rng ^= s->rng << 25;
    s->rng ^= s->rng >> 27;
    return (uint32_t)((s->rng * 2685821657736338717U) >> 32);
}

static uint32_t below(struct search *s, uint32_t n)
{
    return (uint32_t)(((uint64_t)draw(s) * n) >> 32);
}

/* With nothing but whole units to gain, moving a whole number of them
 * changes nothing. */
static bool matters(const struct search *s, const struct board_guest *g)
{
    const struct goals *goals = s->goals;
    const struct board_class *k = &s->board->classes[g->class_];
    if (goals->on[GOAL_EVEN] || !goals->on[GOAL_DEFRAGMENT])
        return true;
    int32_t vcpu = k->cells ? k->cell.vcpu : k->need[0];
    return goals->policy.memory || vcpu % goals->policy.vcpu != 0;
}

/* Keeps the list of those away after a move. */
static void note_away(struct anneal *a, uint32_t guest, bool was)
{
    bool is = board_away(&a->s->board->guests[guest]);
    if (is && !was) {
        a->place[guest] = a->n_away;
        a->away[a->n_away++] = guest;
    } else if (was && !is) {
        uint32_t last = a->away[--a->n_away];
        a->away[a->place[guest]] = last;
        a->place[last] = a->place[guest];
    }
}

static void gather(struct anneal *a)
{
    const struct board *b = a->s->board;
    a->guests = xcalloc(b->n_guests + 1, sizeof(*a->guests));
    for (uint32_t i = 0; i < b->n_guests; i++)
        if (b->guests[i].movable && !b->guests[i].spared &&
            matters(a->s, &b->guests[i]) &&
            b->hosts[b->guests[i].home].state == FLEET_UP)
            a->guests[a->n++] = i;
    a->away = xcalloc(a->n + 1, sizeof(*a->away));
    a->place = xcalloc(b->n_guests + 1, sizeof(*a->place));
    for (uint32_t i = 0; i < a->n; i++)
        note_away(a, a->guests[i], false);
}

struct proposal {
    uint32_t guest, host;
    uint8_t cells;
    struct goals_shift leaves, comes;
};

/* Rather one that makes a unit free where it leaves. */
static void draw_guest(struct anneal *a, struct proposal *p)
{
    struct search *s = a->s;
    if (a->n_away && below(s, 1000) < AWAY) {
        p->guest = a->away[below(s, a->n_away)];
        p->leaves = goals_leave(s->goals, p->guest);
        return;
    }
    for (int i = 0; i < GUESTS; i++) {
        p->guest = a->guests[below(s, a->n)];
        p->leaves = goals_leave(s->goals, p->guest);
        if (p->leaves.pain < 0 || !a->alone)
            return;
    }
}

static bool draw_place(struct search *s, struct proposal *p)
{
    const struct board *b = s->board;
    const struct board_class *k = &b->classes[b->guests[p->guest].class_];
    p->host = below(s, b->n_hosts);
    p->cells = 0;
    if (b->hosts[p->host].state != FLEET_UP)
        return false;
    if (k->cells == 1 && b->hosts[p->host].n_cells)
        p->cells = (uint8_t)(1U << below(s, b->hosts[p->host].n_cells));
    else if (k->cells)
        return board_cells(b, p->guest, p->host, &p->cells);
    return true;
}

/* A guest and where it might go, if it is allowed to: rather where it takes
 * no unit away. */
static bool propose(struct anneal *a, struct proposal *p)
{
    struct search *s = a->s;
    draw_guest(a, p);
    const struct board_guest *g = &s->board->guests[p->guest];
    if (board_away(g) && below(s, 1000) < HOME) {
        p->host = g->home;
        p->cells = g->home_cells;
        p->comes = goals_come(s->goals, p->guest, p->host, p->cells);
        return true;
    }
    for (int i = 0; i < PLACES; i++) {
        bool there = draw_place(s, p);
        if (there)
            p->comes = goals_come(s->goals, p->guest, p->host, p->cells);
        if (!a->alone || (there && p->comes.pain <= 0) || i + 1 == PLACES)
            return there;
    }
    return false;
}

/* How many more are away if it goes there: -1, 0, 1. */
static int goes_away(const struct search *s, uint32_t guest, uint32_t host)
{
    const struct board_guest *g = &s->board->guests[guest];
    return (host != g->home) - board_away(g);
}

/* What the search asks for so many more guests away.  Where only whole units
 * count, each away pays what one more migration is worth; that follows how
 * many are, so that the limit is used up by those that bring the most.  Where
 * all can gain a little, who comes above the limit pays. */
static double toll(const struct anneal *a, int more)
{
    const struct search *s = a->s;
    if (a->alone)
        return more * a->toll;
    int over = more > 0   ? s->away >= s->most
               : more < 0 ? -(s->away > s->most)
                          : 0;
    return over * a->over;
}

/* Moves and says what that changed of pain and price. */
static int64_t try_move(struct search *s, const struct proposal *p)
{
    uint32_t from = s->board->guests[p->guest].host;
    int64_t pain = s->pain[from] + s->pain[p->host];
    int more = goes_away(s, p->guest, p->host);
    board_move(s->board, p->guest, p->host, p->cells);
    s->pain[from] = goals_host(s->goals, from);
    s->pain[p->host] = goals_host(s->goals, p->host);
    s->away += (uint32_t)more;
    return s->pain[from] + s->pain[p->host] - pain +
           more * search_price(s, p->guest);
}

static void undo(struct anneal *a, const struct board_guest *was,
                 uint32_t guest, const int64_t pain[2])
{
    struct search *s = a->s;
    struct board_guest *g = &s->board->guests[guest];
    uint32_t to = g->host;
    s->away -= board_away(g);
    board_move(s->board, guest, was->host, was->cells);
    s->away += board_away(g);
    s->pain[was->host] = pain[0];
    s->pain[to] = pain[1];
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

/* The nine-tenths quantile of what a move that changes anything changes. */
static void find_typical(struct anneal *a)
{
    int64_t *seen = xcalloc(TRIALS, sizeof(*seen));
    uint32_t n = 0;
    struct proposal p;
    for (int i = 0; i < 8 * TRIALS && n < TRIALS; i++) {
        if (!propose(a, &p) ||
            !board_allows(a->s->board, p.guest, p.host, p.cells))
            continue;
        struct board_guest was = a->s->board->guests[p.guest];
        int64_t pain[2] = { a->s->pain[was.host], a->s->pain[p.host] };
        int64_t sum = try_move(a->s, &p) - search_price(a->s, p.guest);
        if (sum)
            seen[n++] = llabs(sum);
        undo(a, &was, p.guest, pain);
    }
    qsort(seen, n, sizeof(*seen), by_value);
    uint32_t quantile = n * 9 / 10;
    a->typical = n ? (double)seen[quantile] : 0;
    free(seen);
}

static void note_places(const struct anneal *a, struct search_step *to)
{
    for (uint32_t i = 0; i < a->n; i++) {
        const struct board_guest *g = &a->s->board->guests[a->guests[i]];
        to[i] = (struct search_step){ a->guests[i], g->host, g->cells, 0 };
    }
}

static void keep(struct anneal *a)
{
    note_places(a, a->kept);
    a->best = a->sum;
}

/* Metropolis: what makes things worse by `change` is taken if luck says so. */
static bool accepts(const struct anneal *a, double change)
{
    double x = change / a->temperature;
    return x <= 0 || exp(-x) * 4294967296.0 > (double)draw(a->s);
}

/* What is known before a move is tried is put to luck first; most go no
 * further.  Then the rest: the chances multiply. */
static void step(struct anneal *a)
{
    struct proposal p;
    if (!propose(a, &p))
        return;
    struct search *s = a->s;
    int more = goes_away(s, p.guest, p.host);
    double guide =
        (p.leaves.guide + p.comes.guide) * GUIDE * a->typical + toll(a, more);
    int64_t known =
        p.leaves.pain + p.comes.pain + more * search_price(s, p.guest);
    double first = a->alone ? (double)known + guide : 0;
    if (!accepts(a, first) || !board_allows(s->board, p.guest, p.host, p.cells))
        return;
    struct board_guest was = s->board->guests[p.guest];
    int64_t pain[2] = { s->pain[was.host], s->pain[p.host] };
    int64_t sum = try_move(s, &p);
    if (!accepts(a, a->alone ? (double)(sum - known) : (double)sum + guide)) {
        undo(a, &was, p.guest, pain);
        return;
    }
    a->sum += sum;
    note_away(a, p.guest, board_away(&was));
    if (a->sum < a->best && s->away <= s->most)
        keep(a);
}

/* Puts everybody where he was when `places` was noted. */
static void restore(struct anneal *a, const struct search_step *places)
{
    for (uint32_t i = 0; i < a->n; i++) {
        const struct search_step *k = &places[i];
        const struct board_guest *g = &a->s->board->guests[k->guest];
        bool away = board_away(g);
        if (g->host == k->host && g->cells == k->cells)
            continue;
        search_move(a->s, k->guest, k->host, k->cells);
        note_away(a, k->guest, away);
    }
}

static void set_temperature(struct anneal *a, double progress)
{
    a->temperature = a->typical * HOT * pow(COLD / HOT, progress);
    a->over = a->typical * (OVER_HOT + (OVER_COLD - OVER_HOT) * progress);
}

static void set_toll(struct anneal *a)
{
    double step = a->s->away > a->s->most ? TOLL_STEP : -TOLL_STEP;
    a->toll =
        fmin(fmax(a->toll + step * a->typical, 0), TOLL_MOST * a->typical);
}

static void cool_down(struct anneal *a, uint64_t steps)
{
    a->sum = 0;
    a->toll = TOLL * a->typical;
    for (uint64_t i = 0; i < steps; i++) {
        if (i % PERIOD == 0)
            set_temperature(a, (double)i / (double)steps);
        if (i % (steps / TOLLS + 1) == 0)
            set_toll(a);
        step(a);
    }
}

static bool defragments_alone(const struct goals *g)
{
    for (enum goal i = 0; i < GOALS_N; i++)
        if (g->on[i] != (i == GOAL_DEFRAGMENT))
            return false;
    return true;
}

void search_anneal(struct search *s, uint64_t steps)
{
    struct anneal a = { .s = s, .alone = defragments_alone(s->goals) };
    gather(&a);
    if (a.n && s->board->n_hosts > 1) {
        a.kept = xcalloc(a.n, sizeof(*a.kept));
        a.first = xcalloc(a.n, sizeof(*a.first));
        find_typical(&a);
        keep(&a);
        note_places(&a, a.first);
        for (int i = 0; i < STARTS && a.typical > 0; i++) {
            restore(&a, a.first);
            cool_down(&a, steps / STARTS);
        }
        restore(&a, a.kept);
        free(a.kept);
        free(a.first);
    }
    free(a.guests);
    free(a.away);
    free(a.place);
}
