#include "engine/index.h"

#include "common/alloc.h"
#include "engine/bank.h"
#include "engine/score.h"

#include <stdlib.h>
#include <string.h>

#define PATIENCE 3 /* misses until a class gets a lane */

struct lane {
    uint32_t class_, version;
    uint64_t used; /* index.clock when last asked for; 0: free */
};

struct known { /* by class */
    uint32_t version;
    int32_t bank, lane;        /* -1: none */
    uint64_t missed[PATIENCE]; /* index.clock at the last misses */
};

struct index {
    struct fleet *f;
    const struct bank_ops *ops;
    struct bank *banks[INDEX_BANKS];
    struct lane lanes[INDEX_BANKS][BANK_LANES];
    struct known *known;
    uint32_t known_size;
    uint64_t clock;     /* questions so far */
    uint64_t announced; /* fleet.sequence at the last one */
    uint32_t pending[FLEET_JOURNAL];
};

/* ---- making and following ------------------------------------------------ */

/* The table of classes may have moved. */
static void point_to_demands(const struct index *ix, int bank)
{
    for (int l = 0; l < BANK_LANES; l++)
        ix->banks[bank]->demand[l] =
            fleet_demand(ix->f, ix->lanes[bank][l].class_);
}

static void build(struct index *ix, struct bank *b)
{
    struct fleet *f = ix->f;
    if (b->n[0] != f->n || !b->suits)
        bank_shape(b, f->n);
    ix->ops->update_all(f, b);
    b->seen = f->sequence;
    b->epoch = f->epoch;
}

/* Every bank will want the hosts that have changed since the last question:
 * their keys are a memory access away, which had better begin now. */
static void announce(struct index *ix)
{
    const struct fleet *f = ix->f;
    uint64_t s = ix->announced;
    for (s = f->sequence - s > 8 ? f->sequence - 8 : s; s < f->sequence; s++)
        for (int i = 0; i < INDEX_BANKS && ix->banks[i]; i++)
            if (f->journal[s % FLEET_JOURNAL] < ix->banks[i]->n[0])
                __builtin_prefetch(
                    &ix->banks[i]->level[0][f->journal[s % FLEET_JOURNAL]], 1);
    ix->announced = f->sequence;
}

/* Takes note of what has changed since the bank was last asked. */
static void follow(struct index *ix, int bank)
{
    struct fleet *f = ix->f;
    struct bank *b = ix->banks[bank];
    uint32_t n = 0;
    point_to_demands(ix, bank);
    if (b->epoch != f->epoch || f->sequence - b->seen > FLEET_JOURNAL ||
        f->sequence - b->seen > f->n) {
        build(ix, b);
        return;
    }
    for (uint64_t s = b->seen; s < f->sequence; s++) {
        uint32_t host = f->journal[s % FLEET_JOURNAL];
        if (f->hosts[host].changed != s + 1)
            continue; /* it comes again */
        ix->pending[n++] = host;
    }
    ix->ops->update(f, b, ix->pending, n);
    b->seen = f->sequence;
}

/* ---- lanes ---------------------------------------------------------------
 */

static struct bank *new_bank(void)
{
    struct bank *b = aligned_alloc(64, sizeof(*b));
    if (!b)
        abort();
    memset(b, 0, sizeof(*b));
    return b;
}

static void tell_wants(const struct fleet *f, struct bank *b, int lane,
                       const struct demand *d)
{
    struct bank_wants *w = &b->wants;
    uint8_t bit = (uint8_t)(1U << lane);
    w->present |= bit;
    w->rich =
        (uint8_t)(demand_plain(d) && !score_sees_parts(f, d) ? w->rich & ~bit
                                                             : w->rich | bit);
    w->packs[lane] = -(f->policies[d->policy].kind != SCORE_SPREAD);
    for (int r = 0; r < FLEET_RESOURCES; r++) {
        w->need[r][lane] = d->need[r];
        w->weight[r][lane] = score_weight(f, d, r);
    }
    w->resources = 0;
    for (int r = 0; r < FLEET_RESOURCES; r++)
        for (int l = 0; l < BANK_LANES; l++)
            if (w->need[r][l])
                w->resources = (uint16_t)(w->resources | 1U << r);
}

/* The lane that has been without a question longest; a free one first. */
static struct lane *oldest_lane(struct index *ix, int *bank, int *lane)
{
    struct lane *oldest = NULL;
    for (int i = 0; i < INDEX_BANKS; i++) {
        if (!ix->banks[i])
            ix->banks[i] = new_bank();
        for (int l = 0; l < BANK_LANES; l++) {
            struct lane *at = &ix->lanes[i][l];
            if (oldest && at->used >= oldest->used)
                continue;
            oldest = at;
            *bank = i;
            *lane = l;
        }
        if (oldest && !oldest->used)
            break; /* no more banks than are needed */
    }
    return oldest;
}

static void assign(struct index *ix, uint32_t class_, int bank, int lane)
{
    struct bank *b = ix->banks[bank];
    struct lane *at = &ix->lanes[bank][lane];
    const struct fleet_class *c = &ix->f->classes[class_];
    struct known *k = &ix->known[class_];
    if (at->used && ix->known[at->class_].bank == bank &&
        ix->known[at->class_].lane == lane)
        ix->known[at->class_].bank = -1;
    *at = (struct lane){ class_, c->version, ix->clock };
    *k = (struct known){ c->version, bank, lane, { 0 } };
    tell_wants(ix->f, b, lane, &c->demand);
    b->epoch = ix->f->epoch - 1; /* build it anew */
}

static struct known *lookup(struct index *ix, uint32_t class_)
{
    if (class_ >= ix->known_size) {
        uint32_t size = ix->f->class_size;
        ix->known = xrealloc(ix->known, size * sizeof(*ix->known));
        for (uint32_t i = ix->known_size; i < size; i++)
            ix->known[i] = (struct known){ .bank = -1 };
        ix->known_size = size;
    }
    struct known *k = &ix->known[class_];
    uint32_t version = ix->f->classes[class_].version;
    if (k->version != version)
        *k = (struct known){ .version = version, .bank = -1 };
    return k;
}

/* ---- public --------------------------------------------------------------
 */

struct index *index_new(struct fleet *f)
{
    struct index *ix = xcalloc(1, sizeof(*ix));
    ix->f = f;
    ix->ops = bank_ops_best();
    return ix;
}

void index_free(struct index *ix)
{
    if (!ix)
        return;
    for (int i = 0; i < INDEX_BANKS; i++)
        if (ix->banks[i]) {
            bank_free_levels(ix->banks[i]);
            free(ix->banks[i]);
        }
    free(ix->known);
    free(ix);
}

bool index_knows(struct index *ix, uint32_t class_)
{
    struct known *k = lookup(ix, class_);
    int bank = 0, lane = 0;
    ix->clock++;
    if (k->bank >= 0)
        return true;
    uint64_t first = k->missed[PATIENCE - 2];
    memmove(k->missed + 1, k->missed, sizeof(k->missed) - sizeof(uint64_t));
    k->missed[0] = ix->clock;
    if (!first || oldest_lane(ix, &bank, &lane)->used >= first)
        return false;
    assign(ix, class_, bank, lane);
    return true;
}

static bool skipped(const struct fleet *f, const struct index_skip *skip,
                    int64_t key)
{
    return index_skips(skip, bank_host(f, key));
}

/* The largest key below a node that beats `best` and is not skipped. */
static int64_t descend(const struct fleet *f, const struct bank *b, int lane,
                       int level, uint32_t i, const struct index_skip *skip,
                       int64_t best)
{
    int64_t most = b->level[level][i][lane];
    if (most <= best)
        return best;
    if (!skipped(f, skip, most))
        return most;
    if (level == 0)
        return best;
    uint32_t first = i * BANK_FAN, end = first + BANK_FAN, n = b->n[level - 1];
    end = end < n ? end : n;
    for (uint32_t c = first; c < end; c++)
        best = descend(f, b, lane, level - 1, c, skip, best);
    return best;
}

uint32_t index_best(struct index *ix, uint32_t class_,
                    const struct index_skip *skip, int32_t *score)
{
    const struct known *k = &ix->known[class_];
    struct bank *b = ix->banks[k->bank];
    ix->lanes[k->bank][k->lane].used = ix->clock;
    announce(ix);
    follow(ix, k->bank);
    int64_t key = ix->f->n
                      ? descend(ix->f, b, k->lane, b->top, 0, skip, BANK_NO_KEY)
                      : BANK_NO_KEY;
    if (key == BANK_NO_KEY)
        return FLEET_NOWHERE;
    *score = bank_score(key);
    return bank_host(ix->f, key);
}
