#include "state/voters.h"

#include <string.h>

struct scene {
    const struct voter_node *nodes;
    size_t n;
    int64_t now;
    size_t voters, alive, want;
};

#define NOBODY ((size_t)-1)

size_t voters_count(size_t eligible)
{
    return eligible >= 5 ? VOTERS_MOST : eligible >= 3 ? 3 : 1;
}

static size_t quorum(size_t voters)
{
    return voters / 2 + 1;
}

/* Voters in the zone of node i, itself included if it is one. */
static size_t in_zone(const struct scene *s, size_t i)
{
    size_t count = 0;
    for (size_t k = 0; k < s->n; k++)
        count += s->nodes[k].voter &&
                 strcmp(s->nodes[k].zone, s->nodes[i].zone) == 0;
    return count;
}

static bool can_join(const struct scene *s, const struct voter_node *node)
{
    return !node->voter && node->alive && node->eligible &&
           s->now - node->since >= VOTERS_SETTLE_US;
}

static bool is_lost(const struct scene *s, const struct voter_node *node)
{
    return node->voter && !node->alive &&
           s->now - node->since >= VOTERS_DEAD_US;
}

static size_t joinable(const struct scene *s)
{
    size_t count = 0;
    for (size_t i = 0; i < s->n; i++)
        count += can_join(s, &s->nodes[i]);
    return count;
}

/* Whom to add: from the emptiest zone, the smallest id. */
static size_t newcomer(const struct scene *s)
{
    size_t best = NOBODY, best_count = 0;
    for (size_t i = 0; i < s->n; i++) {
        if (!can_join(s, &s->nodes[i]))
            continue;
        size_t count = in_zone(s, i);
        if (best == NOBODY || count < best_count ||
            (count == best_count &&
             strcmp(s->nodes[i].id, s->nodes[best].id) < 0)) {
            best = i;
            best_count = count;
        }
    }
    return best;
}

/* How much a voter should go: the most first. */
static size_t burden(const struct scene *s, size_t i)
{
    const struct voter_node *node = &s->nodes[i];
    size_t rank = is_lost(s, node)  ? 4
                  : !node->eligible ? 3
                  : !node->alive    ? 2
                                    : 1;
    return rank * (VOTERS_NODES_MAX + 1) + in_zone(s, i);
}

static size_t most_burdensome(const struct scene *s)
{
    size_t worst = NOBODY, worst_burden = 0;
    for (size_t i = 0; i < s->n; i++) {
        if (!s->nodes[i].voter)
            continue;
        size_t b = burden(s, i);
        if (worst == NOBODY || b > worst_burden ||
            (b == worst_burden &&
             strcmp(s->nodes[i].id, s->nodes[worst].id) > 0)) {
            worst = i;
            worst_burden = b;
        }
    }
    return worst;
}

/* The zone of i holds a majority, and `other` would come from one that would
 * still have less afterwards. */
static bool crowded(const struct scene *s, size_t i, size_t other)
{
    size_t here = in_zone(s, i);
    return other != NOBODY && here > s->want / 2 &&
           in_zone(s, other) + 1 < here;
}

/* Should voter i, the one with most to say for it, make room? */
static bool should_go(const struct scene *s, size_t i, size_t instead)
{
    const struct voter_node *node = &s->nodes[i];
    bool bad = !node->eligible || is_lost(s, node);
    return instead != NOBODY && (bad || crowded(s, i, instead));
}

static bool can_remove(const struct scene *s, size_t i)
{
    return s->voters > 1 &&
           s->alive - s->nodes[i].alive >= quorum(s->voters - 1);
}

static void count(struct scene *s)
{
    size_t eligible = 0;
    for (size_t i = 0; i < s->n; i++) {
        s->voters += s->nodes[i].voter;
        s->alive += s->nodes[i].voter && s->nodes[i].alive;
        eligible += s->nodes[i].eligible;
    }
    s->want = voters_count(eligible);
}

struct voters_step voters_next(const struct voter_node *nodes, size_t n,
                               int64_t now)
{
    struct voters_step stay = { VOTERS_STAY, 0, false };
    struct scene s = { .nodes = nodes, .n = n, .now = now };
    if (n > VOTERS_NODES_MAX)
        s.n = VOTERS_NODES_MAX;
    count(&s);
    if (s.alive < quorum(s.voters)) /* also: none at all */
        return stay;
    size_t in = newcomer(&s), out = most_burdensome(&s);
    if (s.voters > s.want)
        return can_remove(&s, out)
                   ? (struct voters_step){ VOTERS_REMOVE, out, false }
                   : stay;
    if (s.voters == 1 && joinable(&s) < 2 && !should_go(&s, out, in))
        return stay;
    if (in != NOBODY && (s.voters < s.want || should_go(&s, out, in)))
        return (struct voters_step){ VOTERS_ADD, in, s.voters == 2 };
    return stay;
}
