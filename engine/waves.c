#include "engine/waves.h"

#include "common/alloc.h"
#include "engine/board.h"

#include <stdlib.h>

/* A board on which guests under way are on both hosts: they are moved, and
 * what they leave is taken from the free room until the wave is over. */
struct waving {
    struct board *board;
    const struct plan *plan;
    uint32_t *busy; /* by host: moves of this wave */
    uint32_t begun, parallel, per_host;
};

/* What the guest has, on a host it does not count on. */
static void hold(struct board *b, uint32_t guest, const struct placing *at,
                 int sign)
{
    const struct board_class *k = &b->classes[b->guests[guest].class_];
    for (uint32_t i = 0; i < b->dims; i++)
        b->room[at->host * b->dims + i] -= sign * k->need[i];
    for (unsigned left = at->cells; left; left &= left - 1)
        board_take_cell(&b->hosts[at->host].cells[__builtin_ctz(left)], k,
                        sign);
}

static void end_wave(struct waving *w, uint32_t end)
{
    for (uint32_t i = w->begun; i < end; i++) {
        const struct plan_move *m = &w->plan->moves[i];
        hold(w->board, board_find(w->board, m->guest), &m->from, -1);
        w->busy[m->from.host] = w->busy[m->to.host] = 0;
    }
    w->begun = end;
}

static bool joins(const struct waving *w, uint32_t i)
{
    const struct plan_move *m = &w->plan->moves[i];
    uint32_t guest = board_find(w->board, m->guest);
    if (w->parallel && i - w->begun >= w->parallel)
        return false;
    if (w->per_host && (w->busy[m->from.host] >= w->per_host ||
                        w->busy[m->to.host] >= w->per_host))
        return false;
    for (uint32_t k = w->begun; k < i; k++) {
        const struct board_guest *g = &w->board->guests[guest];
        uint32_t other = board_find(w->board, w->plan->moves[k].guest);
        if (other == guest || (g->group != BOARD_NONE &&
                               g->group == w->board->guests[other].group))
            return false;
    }
    w->board->leading = w->board->guests[guest].group;
    return board_allows(w->board, guest, m->to.host, m->to.cells);
}

void waves_make(const struct fleet *f, uint32_t parallel, uint32_t per_host,
                struct plan *p)
{
    struct waving w = { .board = board_new(f),
                        .plan = p,
                        .parallel = parallel,
                        .per_host = per_host };
    uint32_t wave = 0;
    w.busy = xcalloc(f->n + 1, sizeof(*w.busy));
    for (uint32_t i = 0; i < p->n; i++) {
        struct plan_move *m = &p->moves[i];
        uint32_t guest = board_find(w.board, m->guest);
        if (!joins(&w, i)) {
            end_wave(&w, i);
            wave += i > 0;
        }
        m->wave = wave;
        board_move(w.board, guest, m->to.host, m->to.cells);
        hold(w.board, guest, &m->from, 1);
        w.busy[m->from.host]++;
        w.busy[m->to.host]++;
    }
    free(w.busy);
    board_free(w.board);
}
