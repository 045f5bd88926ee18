#include "engine/order.h"

#include "common/alloc.h"

#include <stdlib.h>

struct wish {
    uint32_t guest, host;
    uint8_t cells;
    bool waiting; /* has been sent to wait already */
};

struct ordering {
    struct board *now;
    struct wish *wishes;
    uint32_t n, most;
    struct order *out;
};

static void carry_out(struct ordering *o, uint32_t guest, uint32_t host,
                      uint8_t cells, bool waits)
{
    const struct board_guest *g = &o->now->guests[guest];
    o->out->moves[o->out->n++] = (struct order_move){
        .guest = guest,
        .from = g->host,
        .to = host,
        .from_cells = g->cells,
        .to_cells = cells,
        .waits = waits,
    };
    board_move(o->now, guest, host, cells);
}

static void drop_wish(struct ordering *o, uint32_t i)
{
    for (uint32_t k = i + 1; k < o->n; k++)
        o->wishes[k - 1] = o->wishes[k];
    o->n--;
}

/* ---- groups that leave together ------------------------------------------ */

/* Is it the first of a hard affinity group to come there? */
static bool leads(const struct board *b, const struct wish *w)
{
    uint32_t group = b->guests[w->guest].group;
    return group != BOARD_NONE && b->groups[group].n > 1 &&
           b->groups[group].rule.policy == REQUEST_AFFINITY &&
           !board_mates(b, w->guest, w->host);
}

static void take_back(struct ordering *o, uint32_t n)
{
    while (o->out->n > n) {
        const struct order_move *m = &o->out->moves[--o->out->n];
        board_move(o->now, m->guest, m->from, m->from_cells);
    }
}

/* All that want to go there from one group, one after another, or none. */
static bool carry_group(struct ordering *o, uint32_t group, uint32_t host)
{
    uint32_t n = o->out->n, kept = 0;
    bool all = true;
    o->now->leading = group;
    for (uint32_t i = 0; i < o->n && all; i++) {
        struct wish w = o->wishes[i];
        if (o->now->guests[w.guest].group != group || w.host != host)
            continue;
        all = o->out->n < o->most &&
              board_allows(o->now, w.guest, w.host, w.cells);
        if (all)
            carry_out(o, w.guest, w.host, w.cells, false);
    }
    o->now->leading = BOARD_NONE;
    if (!all || !board_gathered(o->now, group, host)) {
        take_back(o, n);
        return false;
    }
    for (uint32_t i = 0; i < o->n; i++)
        if (o->now->guests[o->wishes[i].guest].group != group)
            o->wishes[kept++] = o->wishes[i];
    o->n = kept;
    return true;
}

/* ---- one at a time ------------------------------------------------------- */

/* All that can be done, until nothing more can.  True: something was. */
static bool sweep(struct ordering *o)
{
    bool any = false;
    for (uint32_t i = 0; i < o->n && o->out->n < o->most;) {
        struct wish w = o->wishes[i];
        if (leads(o->now, &w) &&
            carry_group(o, o->now->guests[w.guest].group, w.host)) {
            any = true;
            i = 0;
            continue;
        }
        if (!board_allows(o->now, w.guest, w.host, w.cells)) {
            i++;
            continue;
        }
        carry_out(o, w.guest, w.host, w.cells, false);
        drop_wish(o, i);
        any = true;
    }
    return any;
}

/* A host that nobody waits for comes first; then any. */
static bool wanted_by_other(const struct ordering *o, uint32_t host)
{
    for (uint32_t i = 0; i < o->n; i++)
        if (o->wishes[i].host == host)
            return true;
    return false;
}

/* Sends a guest whose host somebody waits for to some third host. */
static bool send_to_wait(struct ordering *o, struct wish *w)
{
    const struct board *b = o->now;
    for (int pass = 0; pass < 2; pass++)
        for (uint32_t i = 0; i < b->n_hosts; i++) {
            uint32_t host = b->fleet->by_rank[i];
            uint8_t cells;
            if (b->hosts[host].state != FLEET_UP || host == w->host ||
                (!pass && wanted_by_other(o, host)) ||
                !board_cells(b, w->guest, host, &cells) ||
                !board_allows(b, w->guest, host, cells))
                continue;
            carry_out(o, w->guest, host, cells, true);
            w->waiting = true;
            return true;
        }
    return false;
}

/* Everybody waits for somebody: one moves out of the way.  It takes two
 * migrations instead of one, so there must be place in the list for all. */
static bool untie(struct ordering *o)
{
    if (o->out->n + o->n + 1 > o->most)
        return false;
    for (uint32_t i = 0; i < o->n; i++)
        if (!o->wishes[i].waiting &&
            wanted_by_other(o, o->now->guests[o->wishes[i].guest].host) &&
            send_to_wait(o, &o->wishes[i]))
            return true;
    return false;
}

void order_make(struct board *now, const struct board *target, uint32_t most,
                struct order *out)
{
    struct ordering o = { .now = now, .most = most, .out = out };
    *out = (struct order){ 0 };
    o.wishes = xcalloc(now->n_guests + 1, sizeof(*o.wishes));
    for (uint32_t i = 0; i < now->n_guests; i++)
        if (target->guests[i].host != now->guests[i].host)
            o.wishes[o.n++] = (struct wish){ .guest = i,
                                             .host = target->guests[i].host,
                                             .cells = target->guests[i].cells };
    out->moves = xcalloc((size_t)o.n * 2 + 1, sizeof(*out->moves));
    while (o.n && out->n < most)
        if (!sweep(&o) && !untie(&o))
            drop_wish(&o, o.n - 1);
    free(o.wishes);
}

void order_free(struct order *o)
{
    free(o->moves);
}
