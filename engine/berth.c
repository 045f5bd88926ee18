#include "engine/berth.h"

#include "common/alloc.h"

#include <stdlib.h>
#include <string.h>

#define FRESH 32 /* moves that a list outlives */

struct berth_list {
    uint64_t state; /* search.state and .turn when it was made */
    uint64_t turn;
    uint32_t n;
    bool all; /* there were no more than these */
    struct berth at[BERTH_BEST];
};

/* ---- one host ------------------------------------------------------------ */

/* What a group thinks of the place: mates are wanted or not. */
static int64_t group_change(const struct search *s, uint32_t guest,
                            uint32_t host)
{
    const struct board *b = s->board;
    const struct board_guest *g = &b->guests[guest];
    if (!s->goals->on[GOAL_REPAIR] || g->group == BOARD_NONE)
        return 0;
    int64_t more = (int64_t)board_mates(b, guest, host) -
                   (int64_t)board_mates(b, guest, g->host);
    more *= s->goals->policy.weight[GOAL_REPAIR];
    switch (b->groups[g->group].rule.policy) {
    case REQUEST_AFFINITY:
    case REQUEST_SOFT_AFFINITY:
        return -more;
    case REQUEST_ANTI_AFFINITY:
    case REQUEST_SOFT_ANTI_AFFINITY:
        return more;
    default:
        return 0;
    }
}

static bool try_host(struct search *s, uint32_t guest, uint32_t host,
                     bool not_empty, struct berth *out)
{
    const struct board_host *h = &s->board->hosts[host];
    uint8_t cells;
    if ((not_empty && !h->guests) || h->state != FLEET_UP ||
        !board_cells(s->board, guest, host, &cells) ||
        !board_allows(s->board, guest, host, cells))
        return false;
    *out = (struct berth){
        .host = host,
        .cells = cells,
        .change =
            search_change(s, guest, host, cells) + group_change(s, guest, host),
    };
    return true;
}

/* ---- all hosts ----------------------------------------------------------- */

/* The list is in order of change, the first by name before its equals;
 * hosts come in the order of their names. */
static void list_add(struct berth_list *l, const struct berth *b)
{
    if (l->n == BERTH_BEST) {
        l->all = false;
        if (b->change >= l->at[l->n - 1].change)
            return;
        l->n--;
    }
    uint32_t i = l->n++;
    for (; i && l->at[i - 1].change > b->change; i--)
        l->at[i] = l->at[i - 1];
    l->at[i] = *b;
}

/* The best of all; `list` (may be NULL) is made anew. */
static bool try_all(struct search *s, uint32_t guest, bool not_empty,
                    struct berth_list *list, struct berth *out)
{
    bool found = false;
    if (list)
        *list = (struct berth_list){ .state = s->state,
                                     .turn = s->turn,
                                     .all = true };
    for (uint32_t i = 0; i < s->board->n_hosts; i++) {
        struct berth b;
        if (!try_host(s, guest, s->board->fleet->by_rank[i], not_empty, &b))
            continue;
        if (list)
            list_add(list, &b);
        if (!found || b.change < out->change)
            *out = b;
        found = true;
    }
    return found;
}

/* ---- the few of a class -------------------------------------------------- */

static struct berth_list *list_of(struct search *s, uint32_t guest)
{
    uint32_t k = s->board->guests[guest].class_;
    if (!s->berths)
        s->berths = xcalloc(s->board->n_classes + 1,
                            sizeof(*s->berths)); /* NOLINT: of pointers */
    if (!s->berths[k]) {
        s->berths[k] = xcalloc(1, sizeof(**s->berths));
        s->berths[k]->turn = UINT64_MAX; /* none yet */
    }
    return s->berths[k];
}

static bool try_list(struct search *s, uint32_t guest, bool not_empty,
                     const struct berth_list *list, struct berth *out)
{
    bool found = false;
    for (uint32_t i = 0; i < list->n; i++) {
        struct berth b;
        if (!try_host(s, guest, list->at[i].host, not_empty, &b) ||
            (found && b.change >= out->change))
            continue;
        *out = b;
        found = true;
    }
    return found;
}

bool berth_find(struct search *s, uint32_t guest, bool not_empty,
                struct berth *out)
{
    if (s->board->n_hosts <= BERTH_ALL)
        return try_all(s, guest, not_empty, NULL, out);
    /* Where some hosts do not count, or a group has its own wishes, a list
     * of others says nothing about what is not on it. */
    bool alike = !not_empty && s->board->guests[guest].group == BOARD_NONE;
    struct berth_list *list = list_of(s, guest);
    bool made = list->turn != UINT64_MAX;
    if (made && list->state == s->state && list->all && !list->n)
        return false;
    if (made && (list->state == s->state || s->turn - list->turn < FRESH) &&
        try_list(s, guest, not_empty, list, out))
        return true;
    return try_all(s, guest, not_empty, alike ? list : NULL, out);
}

void berth_free(struct search *s)
{
    for (uint32_t i = 0; s->berths && i < s->board->n_classes; i++)
        free(s->berths[i]);
    free(s->berths); /* NOLINT: of pointers */
}
