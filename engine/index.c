#include "engine/index.h"

#include "common/alloc.h"
#include "engine/fit.h"
#include "engine/score.h"
#include "engine/vector.h"

#include <stdlib.h>
#include <string.h>

#define LANES    INDEX_LANES
#define FAN      16
#define LEVELS   9 /* 16^8 hosts */
#define NO_KEY   INT64_MIN
#define PATIENCE 3 /* misses until a class gets a lane */

/* ---- banks --------------------------------------------------------------- */

struct keys {
    int64_t lane[LANES];
} __attribute__((aligned(64)));

/* What eight classes ask, lane by lane. */
struct wants {
    int32_t need[FLEET_RESOURCES][LANES];
    int32_t weight[FLEET_RESOURCES][LANES];
    int32_t packs[LANES];  /* -1: score by what is taken, 0: what is left */
    uint8_t present, rich; /* bit: lane has a class; ... with parts */
    uint16_t resources;    /* bit: some lane needs it */
};

struct lane {
    uint32_t class_, version;
    uint64_t used; /* index.clock when last asked for */
};

struct bank {
    struct wants wants;
    struct lane lanes[LANES];
    struct keys *level[LEVELS]; /* 0: by host */
    uint32_t n[LEVELS];
    int top;        /* level of the root */
    uint8_t *suits; /* by host: bit: its facts allow the lane's class */
    uint64_t seen, epoch;
};

struct known { /* by class */
    uint32_t version;
    int32_t bank, lane;        /* -1: none */
    uint64_t missed[PATIENCE]; /* index.clock at the last misses */
};

struct index {
    struct fleet *f;
    struct bank *banks[INDEX_BANKS];
    struct known *known;
    uint32_t known_size;
    uint64_t clock; /* questions so far */
};

/* ---- scoring a host for eight classes ------------------------------------ */

/* As fit_room and score.c do it, for resources alone.  -1: no room. */
VECTOR_CLONES
static void score_lanes(const struct fleet *f, const struct wants *w,
                        uint32_t host, int32_t score[LANES])
{
    int32_t least[LANES], taken[LANES], lacks[LANES] = { 0 };
    for (int l = 0; l < LANES; l++) {
        least[l] = SCORE_ONE;
        taken[l] = 0;
    }
    for (uint32_t rest = w->resources; rest; rest &= rest - 1) {
        int r = __builtin_ctz(rest);
        int32_t free = f->free[r][host];
        float scale = f->scale[r][host];
        for (int l = 0; l < LANES; l++) {
            int32_t need = w->need[r][l], left = free - need;
            int32_t share = (int32_t)((float)left * scale);
            share = need ? share : SCORE_ONE;
            lacks[l] |= need ? left : 0; /* negative: not enough */
            least[l] = share < least[l] ? share : least[l];
            taken[l] += w->weight[r][l] * (SCORE_ONE - share);
        }
    }
    for (int l = 0; l < LANES; l++) {
        int32_t s = w->packs[l] ? taken[l] : least[l];
        score[l] = lacks[l] < 0 ? -1 : s;
    }
}

static int64_t make_key(const struct fleet *f, int32_t score, uint32_t host)
{
    return (int64_t)(((uint64_t)(uint32_t)score << 32) |
                     (UINT32_MAX - f->rank[host]));
}

static const struct demand *lane_demand(const struct fleet *f,
                                        const struct bank *b, int lane)
{
    return fleet_demand(f, b->lanes[lane].class_);
}

/* The lanes with cells or devices, that have room: their score with these. */
static void rich_keys(const struct fleet *f, const struct bank *b,
                      uint32_t host, uint32_t lanes, struct keys *out)
{
    for (; lanes; lanes &= lanes - 1) {
        int l = __builtin_ctz(lanes);
        struct placing at;
        int32_t score;
        if (out->lane[l] == NO_KEY)
            continue;
        bool fits =
            fit_parts(f, lane_demand(f, b, l), host, &at, &score) == FIT_OK;
        out->lane[l] = fits ? make_key(f, score, host) : NO_KEY;
    }
}

static void host_keys(const struct fleet *f, const struct bank *b,
                      uint32_t host, struct keys *out)
{
    int32_t score[LANES];
    uint32_t suits = b->suits[host];
    score_lanes(f, &b->wants, host, score);
    for (int l = 0; l < LANES; l++)
        out->lane[l] = score[l] < 0 || !(suits >> l & 1)
                           ? NO_KEY
                           : make_key(f, score[l], host);
    if (suits & b->wants.rich)
        rich_keys(f, b, host, suits & b->wants.rich, out);
}

/* Can it ever hold such parts? */
static bool has_parts(const struct fleet_host *h, const struct demand *d)
{
    if (d->cells > h->n_cells)
        return false;
    for (int k = 0; k < REQUEST_DEVICES && d->devices[k].count; k++) {
        int n = 0;
        for (int i = 0; i < h->n_devices; i++)
            n += h->devices[i].kind == d->devices[k].kind;
        if (n < d->devices[k].count)
            return false;
    }
    return true;
}

static bool host_suits(const struct fleet *f, const struct demand *d,
                       uint32_t host)
{
    const struct fleet_host *h = &f->hosts[host];
    return h->facts.state == FLEET_UP && fit_facts(f, d, host) == FIT_OK &&
           has_parts(h, d);
}

static void look_at_facts(const struct fleet *f, struct bank *b, uint32_t host)
{
    unsigned suits = 0;
    for (int l = 0; l < LANES; l++)
        if ((b->wants.present >> l & 1) &&
            host_suits(f, lane_demand(f, b, l), host))
            suits |= 1U << l;
    b->suits[host] = (uint8_t)suits;
}

/* ---- the trees ----------------------------------------------------------- */

/* The maximum of each lane over the children of a node. */
VECTOR_CLONES
static void max_of_children(const struct keys *child, uint32_t n,
                            struct keys *out)
{
    struct keys most = child[0];
    for (uint32_t i = 1; i < n; i++)
        for (int l = 0; l < LANES; l++)
            most.lane[l] = child[i].lane[l] > most.lane[l] ? child[i].lane[l]
                                                           : most.lane[l];
    *out = most;
}

static void recompute(struct bank *b, int level, uint32_t i)
{
    uint32_t first = i * FAN, rest = b->n[level - 1] - first;
    max_of_children(&b->level[level - 1][first], rest < FAN ? rest : FAN,
                    &b->level[level][i]);
}

/* A child was `old` and is `now`.  Does the node know its maxima without
 * asking the other children?  Then it has them. */
VECTOR_CLONES
static bool raise_node(struct keys *node, const struct keys *old,
                       const struct keys *now)
{
    int64_t fell = 0;
    for (int l = 0; l < LANES; l++)
        fell |= -(int64_t)(old->lane[l] == node->lane[l] &&
                           now->lane[l] < old->lane[l]);
    if (fell)
        return false;
    for (int l = 0; l < LANES; l++)
        node->lane[l] =
            now->lane[l] > node->lane[l] ? now->lane[l] : node->lane[l];
    return true;
}

static bool same_keys(const struct keys *a, const struct keys *b)
{
    return memcmp(a, b, sizeof(*a)) == 0;
}

/* Writes a leaf and what follows from it, up to where nothing changes. */
static void set_leaf(struct bank *b, uint32_t host, const struct keys *keys)
{
    struct keys old = b->level[0][host], now = *keys;
    b->level[0][host] = now;
    uint32_t i = host;
    for (int level = 1; level <= b->top && !same_keys(&old, &now); level++) {
        i /= FAN;
        struct keys *node = &b->level[level][i], before = *node;
        if (!raise_node(node, &old, &now))
            recompute(b, level, i);
        old = before;
        now = *node;
    }
}

static void update_host(const struct fleet *f, struct bank *b, uint32_t host)
{
    struct keys keys;
    if (f->hosts[host].described > b->seen)
        look_at_facts(f, b, host);
    host_keys(f, b, host, &keys);
    set_leaf(b, host, &keys);
}

/* ---- making and following ------------------------------------------------ */

static void free_levels(struct bank *b)
{
    for (int i = 0; i < LEVELS; i++) {
        free(b->level[i]);
        b->level[i] = NULL;
    }
    free(b->suits);
    b->suits = NULL;
}

static struct keys *new_level(uint32_t n)
{
    size_t size = n * sizeof(struct keys);
    struct keys *keys = aligned_alloc(64, size);
    if (!keys)
        abort();
    memset(keys, 0, size);
    return keys;
}

/* The levels for this many hosts. */
static void shape(struct bank *b, uint32_t hosts)
{
    free_levels(b);
    b->suits = xcalloc(hosts, 1);
    b->n[0] = hosts;
    b->top = 0;
    b->level[0] = new_level(hosts);
    while (b->n[b->top] > 1) {
        b->n[b->top + 1] = (b->n[b->top] + FAN - 1) / FAN;
        b->top++;
        b->level[b->top] = new_level(b->n[b->top]);
    }
}

static void build(struct fleet *f, struct bank *b)
{
    fleet_ranks(f);
    if (b->n[0] != f->n || !b->suits)
        shape(b, f->n);
    for (uint32_t h = 0; h < f->n; h++) {
        look_at_facts(f, b, h);
        host_keys(f, b, h, &b->level[0][h]);
    }
    for (int level = 1; level <= b->top; level++)
        for (uint32_t i = 0; i < b->n[level]; i++)
            recompute(b, level, i);
    b->seen = f->sequence;
    b->epoch = f->epoch;
}

/* Takes note of what has changed since the bank was last asked. */
static void follow(struct fleet *f, struct bank *b)
{
    if (b->epoch != f->epoch || f->sequence - b->seen > FLEET_JOURNAL ||
        f->sequence - b->seen > f->n) {
        build(f, b);
        return;
    }
    for (uint64_t s = b->seen; s < f->sequence; s++) {
        uint32_t host = f->journal[s % FLEET_JOURNAL];
        if (f->hosts[host].changed == s + 1) /* else it comes again */
            update_host(f, b, host);
    }
    b->seen = f->sequence;
}

/* ---- lanes ---------------------------------------------------------------
 */

static void tell_wants(const struct fleet *f, struct bank *b, int lane,
                       const struct demand *d)
{
    struct wants *w = &b->wants;
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
        for (int l = 0; l < LANES; l++)
            if (w->need[r][l])
                w->resources = (uint16_t)(w->resources | 1U << r);
}

/* The lane that has been without a question longest; a free one first. */
static struct lane *oldest_lane(struct index *ix, int *bank, int *lane)
{
    struct lane *oldest = NULL;
    for (int i = 0; i < INDEX_BANKS; i++) {
        if (!ix->banks[i])
            ix->banks[i] = xcalloc(1, sizeof(struct bank));
        for (int l = 0; l < LANES; l++) {
            struct lane *at = &ix->banks[i]->lanes[l];
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
    struct lane *at = &b->lanes[lane];
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
    return ix;
}

void index_free(struct index *ix)
{
    if (!ix)
        return;
    for (int i = 0; i < INDEX_BANKS; i++)
        if (ix->banks[i]) {
            free_levels(ix->banks[i]);
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
    return index_skips(skip, f->by_rank[UINT32_MAX - (uint32_t)key]);
}

/* The largest key below a node that beats `best` and is not skipped. */
static int64_t descend(const struct fleet *f, const struct bank *b, int lane,
                       int level, uint32_t i, const struct index_skip *skip,
                       int64_t best)
{
    int64_t most = b->level[level][i].lane[lane];
    if (most <= best)
        return best;
    if (!skipped(f, skip, most))
        return most;
    if (level == 0)
        return best;
    uint32_t first = i * FAN, end = first + FAN, n = b->n[level - 1];
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
    b->lanes[k->lane].used = ix->clock;
    follow(ix->f, b);
    int64_t key =
        ix->f->n ? descend(ix->f, b, k->lane, b->top, 0, skip, NO_KEY) : NO_KEY;
    if (key == NO_KEY)
        return FLEET_NOWHERE;
    *score = (int32_t)(key >> 32);
    return ix->f->by_rank[UINT32_MAX - (uint32_t)key];
}
