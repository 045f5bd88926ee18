#include "engine/search.h"

#include "common/alloc.h"

#include <stdlib.h>

/* Sources that are looked at for one move, and hosts to be filled that may
 * find nothing before it is given up. */
#define SOURCES 64
#define IN_VAIN 8

struct filling {
    struct search *s;
    int64_t *full;   /* by host; -1: gives nothing */
    uint32_t *tried; /* by host: the move for which it was looked at */
    uint32_t turn;
};

/* The best of a host's guests to go there; BOARD_NONE: none is worth it. */
static uint32_t best_of(struct search *s, uint32_t source, uint32_t to,
                        uint8_t *cells)
{
    const struct board *b = s->board;
    uint32_t best = BOARD_NONE;
    int64_t least = 0;
    uint32_t n = b->hosts[source].guests;
    uint32_t *guests = xcalloc(n + 1, sizeof(*guests)), k = 0;
    for (uint32_t i = b->hosts[source].first; i != BOARD_NONE;
         i = b->guests[i].next)
        guests[k++] = i; /* trials change the order of the list */
    while (k--) {
        uint32_t i = guests[k];
        uint8_t in;
        if (!b->guests[i].movable || b->guests[i].spared ||
            !search_may_add(s, i) || !board_cells(b, i, to, &in) ||
            !board_allows(b, i, to, in))
            continue;
        int64_t change = search_change(s, i, to, in);
        if (change < least || (change == least && i < best && least < 0)) {
            best = i;
            least = change;
            *cells = in;
        }
    }
    free(guests);
    return best;
}

/* The fullest host that was not looked at yet. */
static uint32_t fullest(const struct filling *f)
{
    const struct board *b = f->s->board;
    uint32_t best = BOARD_NONE;
    for (uint32_t i = 0; i < b->n_hosts; i++) {
        uint32_t h = b->fleet->by_rank[i];
        if (f->full[h] >= 0 && f->tried[h] != f->turn &&
            (best == BOARD_NONE || f->full[h] > f->full[best]))
            best = h;
    }
    return best;
}

/* One guest from the fullest host that has one worth moving. */
static bool pull(struct filling *f, uint32_t to)
{
    struct search *s = f->s;
    f->turn++;
    for (int i = 0; i < SOURCES; i++) {
        uint32_t source = fullest(f);
        uint8_t cells;
        if (source == BOARD_NONE)
            return false;
        f->tried[source] = f->turn;
        uint32_t guest =
            source == to ? BOARD_NONE : best_of(s, source, to, &cells);
        if (guest == BOARD_NONE)
            continue;
        search_move(s, guest, to, cells);
        f->full[source] = goals_fullness(s->board, source);
        f->full[to] = goals_fullness(s->board, to);
        return true;
    }
    return false;
}

struct entry {
    uint32_t host, rank;
    int64_t full;
};

/* Those that were begun are finished first. */
static int fuller(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    if (x->full != y->full)
        return x->full > y->full ? -1 : 1;
    return x->rank < y->rank ? -1 : x->rank > y->rank;
}

static uint32_t find_short(const struct filling *f, struct entry *out)
{
    const struct board *b = f->s->board;
    uint32_t n = 0;
    for (uint32_t h = 0; h < b->n_hosts; h++)
        if (goals_short(f->s->goals, h))
            out[n++] = (struct entry){ h, b->fleet->rank[h], f->full[h] };
    qsort(out, n, sizeof(*out), fuller);
    return n;
}

void search_fill(struct search *s)
{
    const struct board *b = s->board;
    if (!s->goals->on[GOAL_FILL])
        return;
    struct filling f = { .s = s };
    f.full = xcalloc(b->n_hosts + 1, sizeof(*f.full));
    f.tried = xcalloc(b->n_hosts + 1, sizeof(*f.tried));
    for (uint32_t h = 0; h < b->n_hosts; h++)
        f.full[h] = b->hosts[h].state == FLEET_UP ? goals_fullness(b, h) : -1;
    struct entry *e = xcalloc(b->n_hosts + 1, sizeof(*e));
    uint32_t n = find_short(&f, e), in_vain = 0;
    for (uint32_t i = 0; i < n && in_vain < IN_VAIN && s->away < s->most; i++) {
        uint32_t pulled = 0;
        while (goals_short(s->goals, e[i].host) && pull(&f, e[i].host))
            pulled++;
        in_vain += !pulled;
    }
    free(e);
    free(f.full);
    free(f.tried);
}
