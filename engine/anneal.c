#include "engine/search.h"

#include "common/alloc.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Relative to what a typical move changes (found by trying some); these were
 * found by trials against proven optima (bench/rebalance). */
#define HOT       0.12 /* temperature at the start */
#define COLD      0.02 /* ... at the end */
#define OVER_HOT  0.3  /* for each guest away above the limit, at the start */
#define OVER_COLD 0.7  /* ... at the end: no gain is worth it */
#define GUIDE     0.12 /* for being all of a unit nearer to one */
#define PERIOD    1024 /* steps at one temperature */
#define STARTS    2    /* each from the beginning: luck differs */
#define TRIALS    2048 /* to find what is typical */
/* Of 1,000 proposals, so many are about a guest that is away; of those so
 * many send it home. */
#define AWAY 150
#define HOME 300

struct anneal {
    struct search *s;
    uint32_t *guests, n;    /* that may be moved */
    uint32_t *away, n_away; /* those of them that are away */
    uint32_t *place;        /* by guest: where in `away` */
    double typical, temperature, over;
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

static uint32_t draw_guest(struct anneal *a)
{
    if (a->n_away && below(a->s, 1000) < AWAY)
        return a->away[below(a->s, a->n_away)];
    return a->guests[below(a->s, a->n)];
}

/* A guest and where it might go. */
static bool propose(struct anneal *a, uint32_t *guest, uint32_t *host,
                    uint8_t *cells)
{
    struct search *s = a->s;
    const struct board *b = s->board;
    *guest = draw_guest(a);
    const struct board_guest *g = &b->guests[*guest];
    const struct board_class *k = &b->classes[g->class_];
    *cells = g->home_cells;
    *host = g->home;
    if (board_away(g) && below(s, 1000) < HOME)
        return board_allows(b, *guest, *host, *cells);
    *host = below(s, b->n_hosts);
    if (b->hosts[*host].state != FLEET_UP)
        return false;
    *cells = 0;
    if (k->cells == 1 && b->hosts[*host].n_cells)
        *cells = (uint8_t)(1U << below(s, b->hosts[*host].n_cells));
    else if (k->cells && !board_cells(b, *guest, *host, cells))
        return false;
    return board_allows(b, *guest, *host, *cells);
}

struct effect {
    int64_t sum;   /* pain and price */
    double guided; /* what the search goes by */
};

/* Moves and says what that changed. */
static struct effect try_move(struct anneal *a, uint32_t guest, uint32_t host,
                              uint8_t cells)
{
    struct search *s = a->s;
    const struct board_guest *g = &s->board->guests[guest];
    uint32_t from = g->host;
    bool was_away = board_away(g);
    int64_t pain = s->pain[from] + s->pain[host];
    int32_t guide = goals_guide(s->goals, from) + goals_guide(s->goals, host);
    board_move(s->board, guest, host, cells);
    s->pain[from] = goals_host(s->goals, from);
    s->pain[host] = goals_host(s->goals, host);
    guide -= goals_guide(s->goals, from) + goals_guide(s->goals, host);
    int more = board_away(g) - was_away;
    uint32_t limit = s->most;
    int over = more > 0 ? s->away >= limit : more < 0 ? -(s->away > limit) : 0;
    s->away += (uint32_t)more;
    struct effect e = { .sum = s->pain[from] + s->pain[host] - pain +
                               more * search_price(s, guest) };
    e.guided =
        (double)e.sum + guide * (GUIDE / 1000) * a->typical + over * a->over;
    return e;
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
    uint32_t n = 0, guest, host;
    uint8_t cells;
    for (int i = 0; i < 8 * TRIALS && n < TRIALS; i++) {
        if (!propose(a, &guest, &host, &cells))
            continue;
        struct board_guest was = a->s->board->guests[guest];
        int64_t pain[2] = { a->s->pain[was.host], a->s->pain[host] };
        struct effect e = try_move(a, guest, host, cells);
        e.sum -= search_price(a->s, guest);
        if (e.sum)
            seen[n++] = llabs(e.sum);
        undo(a, &was, guest, pain);
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

static void step(struct anneal *a)
{
    uint32_t guest, host;
    uint8_t cells;
    if (!propose(a, &guest, &host, &cells))
        return;
    struct search *s = a->s;
    struct board_guest was = s->board->guests[guest];
    int64_t pain[2] = { s->pain[was.host], s->pain[host] };
    struct effect e = try_move(a, guest, host, cells);
    if (e.guided > 0 &&
        exp(-e.guided / a->temperature) * 4294967296.0 <= (double)draw(s)) {
        undo(a, &was, guest, pain);
        return;
    }
    a->sum += e.sum;
    note_away(a, guest, board_away(&was));
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

static void cool_down(struct anneal *a, uint64_t steps)
{
    a->sum = 0;
    for (uint64_t i = 0; i < steps; i++) {
        if (i % PERIOD == 0)
            set_temperature(a, (double)i / (double)steps);
        step(a);
    }
}

void search_anneal(struct search *s, uint64_t steps)
{
    struct anneal a = { .s = s };
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
