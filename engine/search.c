#include "engine/search.h"

#include "common/alloc.h"
#include "engine/berth.h"

#include <stdlib.h>
#include <string.h>

void search_init(struct search *s, struct board *b, const struct goals *g,
                 uint32_t most, int32_t hysteresis, uint64_t seed)
{
    *s = (struct search){ .board = b,
                          .goals = g,
                          .most = most,
                          .hysteresis = hysteresis,
                          .rng = seed * 0x9e3779b97f4a7c15U + 1 };
    s->pain = xcalloc(b->n_hosts + 1, sizeof(*s->pain));
    s->stuck = xcalloc(b->n_classes + 1, sizeof(*s->stuck));
    for (uint32_t h = 0; h < b->n_hosts; h++)
        s->pain[h] = goals_host(g, h);
    for (uint32_t i = 0; i < b->n_guests; i++)
        s->away += board_away(&b->guests[i]);
}

void search_free(struct search *s)
{
    berth_free(s);
    free(s->pain);
    free(s->stuck);
    free(s->log);
}

/* ---- moves --------------------------------------------------------------- */

int64_t search_price(const struct search *s, uint32_t guest)
{
    return s->board->guests[guest].cost * s->hysteresis / 1000;
}

static void log_step(struct search *s, uint32_t guest)
{
    const struct board_guest *g = &s->board->guests[guest];
    if (s->logged == s->log_size) {
        s->log_size = s->log_size ? s->log_size * 2 : 64;
        s->log = xrealloc(s->log, s->log_size * sizeof(*s->log));
    }
    s->log[s->logged++] =
        (struct search_step){ guest, g->host, g->cells, s->state };
}

static void move(struct search *s, uint32_t guest, uint32_t host, uint8_t cells)
{
    struct board_guest *g = &s->board->guests[guest];
    uint32_t from = g->host;
    s->away -= board_away(g);
    board_move(s->board, guest, host, cells);
    s->away += board_away(g);
    s->pain[from] = goals_host(s->goals, from);
    s->pain[host] = goals_host(s->goals, host);
}

void search_move(struct search *s, uint32_t guest, uint32_t host, uint8_t cells)
{
    log_step(s, guest);
    move(s, guest, host, cells);
    s->state = ++s->turn;
}

static void search_back(struct search *s, uint32_t logged)
{
    while (s->logged > logged) {
        const struct search_step *t = &s->log[--s->logged];
        move(s, t->guest, t->host, t->cells);
        s->state = t->state;
    }
}

int64_t search_change(struct search *s, uint32_t guest, uint32_t host,
                      uint8_t cells)
{
    struct board_guest *g = &s->board->guests[guest];
    struct board_guest was = *g;
    int64_t before = s->pain[was.host] + s->pain[host];
    board_move(s->board, guest, host, cells);
    int64_t change =
        goals_host(s->goals, was.host) + goals_host(s->goals, host) - before;
    change += search_price(s, guest) * (board_away(g) - board_away(&was));
    board_move(s->board, guest, was.host, was.cells);
    return change;
}

bool search_may_add(const struct search *s, uint32_t guest)
{
    return s->away < s->most || board_away(&s->board->guests[guest]);
}

/* ---- those that must go -------------------------------------------------- */

#define MAKE_ROOM_HOSTS 64 /* that are looked at */

/* The guest of a host that comes next by number; BOARD_NONE: none.  (Trials
 * change the order of the list.) */
static uint32_t next_on(const struct board *b, uint32_t host, uint32_t after)
{
    uint32_t best = BOARD_NONE;
    for (uint32_t i = b->hosts[host].first; i != BOARD_NONE;
         i = b->guests[i].next)
        if ((after == BOARD_NONE || i > after) && i < best)
            best = i;
    return best;
}

/* Would there be room for `guest` if `other` left the host?  Cells are not
 * looked at. */
static bool would_fit(const struct board *b, uint32_t guest, uint32_t other,
                      uint32_t host)
{
    const struct board_class *k = &b->classes[b->guests[guest].class_];
    const struct board_class *o = &b->classes[b->guests[other].class_];
    for (uint32_t i = 0; i < b->dims; i++)
        if (k->need[i] > b->room[host * b->dims + i] + o->need[i])
            return false;
    return true;
}

/* Moves one guest of `host` elsewhere so that `guest` can come. */
static bool swap_in(struct search *s, uint32_t guest, uint32_t host)
{
    struct board *b = s->board;
    for (uint32_t x = BOARD_NONE; (x = next_on(b, host, x)) != BOARD_NONE;) {
        struct berth to;
        uint8_t cells;
        uint32_t mark = s->logged;
        if (!b->guests[x].movable || b->guests[x].spared ||
            !search_may_add(s, x) || !would_fit(b, guest, x, host) ||
            !berth_find(s, x, false, &to))
            continue;
        search_move(s, x, to.host, to.cells);
        if (search_may_add(s, guest) && board_cells(b, guest, host, &cells) &&
            board_allows(b, guest, host, cells)) {
            search_move(s, guest, host, cells);
            return true;
        }
        search_back(s, mark);
    }
    return false;
}

static bool make_room(struct search *s, uint32_t guest)
{
    const struct board *b = s->board;
    uint32_t class_ = b->guests[guest].class_, looked = 0;
    if (s->stuck[class_] == s->state + 1)
        return false; /* one like it has failed just now */
    for (uint32_t i = 0; i < b->n_hosts && looked < MAKE_ROOM_HOSTS; i++) {
        uint32_t host = b->fleet->by_rank[i];
        if (b->hosts[host].state != FLEET_UP || host == b->guests[guest].host ||
            !board_admits(b, guest, host))
            continue;
        looked++;
        if (swap_in(s, guest, host))
            return true;
    }
    if (b->guests[guest].group == BOARD_NONE)
        s->stuck[class_] = s->state + 1;
    return false;
}

/* ---- groups that leave together ------------------------------------------ */

/* All members of an affinity group to one host, if it takes all; what the
 * sum changes by. */
static bool group_to(struct search *s, uint32_t group, uint32_t host,
                     int64_t *change)
{
    struct board *b = s->board;
    const struct board_group *in = &b->groups[group];
    uint32_t mark = s->logged;
    bool all = true;
    *change = 0;
    b->leading = group;
    for (uint32_t i = 0; i < in->n && all; i++) {
        uint32_t guest = in->members[i];
        uint8_t cells;
        all = b->guests[guest].movable && search_may_add(s, guest) &&
              board_cells(b, guest, host, &cells) &&
              board_allows(b, guest, host, cells);
        if (!all)
            break;
        *change += search_change(s, guest, host, cells);
        search_move(s, guest, host, cells);
    }
    b->leading = BOARD_NONE;
    if (!all)
        search_back(s, mark);
    return all;
}

/* To the best of the hosts that take all of it. */
static void move_group(struct search *s, uint32_t group)
{
    const struct board *b = s->board;
    uint32_t best = BOARD_NONE, looked = 0;
    int64_t change, least = 0;
    if (!board_abandons(b, group, BOARD_NONE))
        return;
    for (uint32_t i = 0; i < b->n_hosts && looked < MAKE_ROOM_HOSTS; i++) {
        uint32_t host = b->fleet->by_rank[i], mark = s->logged;
        if (b->hosts[host].state != FLEET_UP ||
            !group_to(s, group, host, &change))
            continue;
        search_back(s, mark);
        looked++;
        if (best == BOARD_NONE || change < least) {
            best = host;
            least = change;
        }
    }
    if (best != BOARD_NONE)
        group_to(s, group, best, &change);
}

static bool is_tied(const struct board *b, uint32_t guest)
{
    uint32_t group = b->guests[guest].group;
    return group != BOARD_NONE && b->groups[group].n > 1 &&
           b->groups[group].rule.policy == REQUEST_AFFINITY;
}

/* ---- those that must go, all --------------------------------------------- */

static bool must_go(const struct search *s, uint32_t guest)
{
    const struct board_guest *g = &s->board->guests[guest];
    if (!g->movable)
        return false;
    if (s->goals->on[GOAL_EVACUATE] &&
        s->board->hosts[g->host].state == FLEET_DRAINING)
        return true;
    return s->goals->on[GOAL_REPAIR] && goals_misplaced(s->board, guest);
}

/* Does going there mend what is broken? */
static bool mends(struct search *s, uint32_t guest, const struct berth *to)
{
    struct board_guest was = s->board->guests[guest];
    if (s->board->hosts[was.host].state == FLEET_DRAINING)
        return true;
    uint32_t here = board_mates(s->board, guest, was.host);
    uint32_t there = board_mates(s->board, guest, to->host);
    const struct request_group *rule = &s->board->groups[was.group].rule;
    bool together = rule->policy == REQUEST_AFFINITY ||
                    rule->policy == REQUEST_SOFT_AFFINITY;
    return together ? there > here : there < here;
}

struct order_entry {
    uint32_t guest;
    int64_t size;
};

static int larger_first(const void *a, const void *b)
{
    const struct order_entry *x = a, *y = b;
    if (x->size != y->size)
        return x->size > y->size ? -1 : 1;
    return x->guest < y->guest ? -1 : x->guest > y->guest;
}

/* The large ones first: they have the fewest places. */
static struct order_entry *by_size(const struct board *b)
{
    struct order_entry *e = xcalloc(b->n_guests + 1, sizeof(*e));
    for (uint32_t i = 0; i < b->n_guests; i++)
        e[i] =
            (struct order_entry){ i, b->classes[b->guests[i].class_].need[1] };
    qsort(e, b->n_guests, sizeof(*e), larger_first);
    return e;
}

void search_needed(struct search *s)
{
    if (!s->goals->on[GOAL_EVACUATE] && !s->goals->on[GOAL_REPAIR])
        return;
    struct order_entry *e = by_size(s->board);
    for (uint32_t i = 0; i < s->board->n_guests; i++) {
        uint32_t guest = e[i].guest;
        struct berth to;
        if (!must_go(s, guest) || !search_may_add(s, guest))
            continue;
        if (!berth_find(s, guest, false, &to))
            is_tied(s->board, guest)
                ? move_group(s, s->board->guests[guest].group)
                : (void)make_room(s, guest);
        else if (mends(s, guest, &to))
            search_move(s, guest, to.host, to.cells);
    }
    free(e);
}

/* ---- whole hosts --------------------------------------------------------- */

/* Is every guest one that may go? */
static bool can_empty(const struct search *s, uint32_t host)
{
    const struct board *b = s->board;
    for (uint32_t i = b->hosts[host].first; i != BOARD_NONE;
         i = b->guests[i].next)
        if (!b->guests[i].movable || b->guests[i].spared)
            return false;
    return b->hosts[host].guests && b->hosts[host].state == FLEET_UP;
}

static bool empty_host(struct search *s, uint32_t host)
{
    struct board *b = s->board;
    uint32_t mark = s->logged;
    int64_t change = 0;
    while (b->hosts[host].first != BOARD_NONE) {
        uint32_t largest = b->hosts[host].first;
        for (uint32_t i = largest; i != BOARD_NONE; i = b->guests[i].next) {
            int32_t a = b->classes[b->guests[i].class_].need[1];
            int32_t z = b->classes[b->guests[largest].class_].need[1];
            if (a > z || (a == z && i < largest))
                largest = i;
        }
        struct berth to;
        if (!search_may_add(s, largest) || !berth_find(s, largest, true, &to))
            break;
        change += to.change;
        search_move(s, largest, to.host, to.cells);
    }
    if (b->hosts[host].first == BOARD_NONE && change < 0)
        return true;
    search_back(s, mark);
    return false;
}

/* The least used hosts first. */
void search_empty(struct search *s)
{
    const struct board *b = s->board;
    if (!s->goals->on[GOAL_CONSOLIDATE])
        return;
    struct order_entry *e = xcalloc(b->n_hosts + 1, sizeof(*e));
    for (uint32_t i = 0; i < b->n_hosts; i++) {
        uint32_t h = b->fleet->by_rank[i];
        e[i] =
            (struct order_entry){ h, (int64_t)b->room[h * b->dims + 1] -
                                         b->fleet->capacity[FLEET_MEMORY][h] };
    }
    qsort(e, b->n_hosts, sizeof(*e), larger_first);
    for (uint32_t i = 0; i < b->n_hosts; i++)
        if (can_empty(s, e[i].guest))
            empty_host(s, e[i].guest);
    free(e);
}

/* ---- the best single move ------------------------------------------------ */

#define DESCEND_HOSTS 16 /* in the most pain, looked at for each move */

/* May it be moved for the sake of hosts in this state? */
static bool may_go(const struct search *s, uint32_t guest)
{
    const struct board_guest *g = &s->board->guests[guest];
    return g->movable && search_may_add(s, guest) &&
           (!g->spared || s->goals->strains[g->host].urgent);
}

static bool improve_host(struct search *s, uint32_t host)
{
    const struct board *b = s->board;
    struct berth best = { .change = 0 }, to;
    uint32_t who = BOARD_NONE;
    for (uint32_t i = BOARD_NONE; (i = next_on(b, host, i)) != BOARD_NONE;)
        if (may_go(s, i) && berth_find(s, i, false, &to) &&
            to.change < best.change) {
            best = to;
            who = i;
        }
    if (who == BOARD_NONE)
        return false;
    search_move(s, who, best.host, best.cells);
    return true;
}

/* What moving its guests away may do something about: a host that is nearly
 * empty is not helped by that. */
static int64_t hurts(const struct search *s, uint32_t host)
{
    return s->pain[host] - (s->goals->on[GOAL_FILL]
                                ? goals_host_one(s->goals, GOAL_FILL, host)
                                : 0);
}

void search_descend(struct search *s)
{
    const struct board *b = s->board;
    struct order_entry *e = xcalloc(b->n_hosts + 1, sizeof(*e));
    for (bool improved = true; improved && s->away < s->most;) {
        improved = false;
        for (uint32_t i = 0; i < b->n_hosts; i++)
            e[i] = (struct order_entry){ b->fleet->by_rank[i],
                                         hurts(s, b->fleet->by_rank[i]) };
        qsort(e, b->n_hosts, sizeof(*e), larger_first);
        for (uint32_t i = 0; i < b->n_hosts && i < DESCEND_HOSTS; i++)
            improved =
                (e[i].size > 0 && improve_host(s, e[i].guest)) || improved;
    }
    free(e);
}

/* ---- back home ----------------------------------------------------------- */

void search_prune(struct search *s)
{
    struct board *b = s->board;
    for (bool changed = true; changed;) {
        changed = false;
        for (uint32_t i = 0; i < b->n_guests; i++) {
            struct board_guest *g = &b->guests[i];
            if (!board_away(g) || b->hosts[g->home].state == FLEET_DRAINING ||
                !board_allows(b, i, g->home, g->home_cells))
                continue;
            uint32_t from = board_mates(b, i, g->host);
            bool group =
                g->group != BOARD_NONE && from != board_mates(b, i, g->home);
            if (group || search_change(s, i, g->home, g->home_cells) > 0)
                continue;
            search_move(s, i, g->home, g->home_cells);
            changed = true;
        }
    }
}
