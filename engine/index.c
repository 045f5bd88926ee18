#include "engine/index.h"

#include "common/alloc.h"
#include "engine/bank.h"
#include "engine/fit.h"
#include "engine/pages.h"
#include "engine/score.h"

#include <stdlib.h>
#include <string.h>

#define NONE      UINT32_MAX
#define ALL_LANES 0xffU
#define PATIENCE  3   /* misses until a demand gets a lane */
#define FAR       500 /* nodes looked at: as good as a miss */

/* A demand that was asked for. */
struct known {
    struct demand demand;
    uint64_t hash;
    uint32_t core;             /* number of its core; NONE: not known yet */
    int32_t bank, lane;        /* -1: none */
    uint64_t missed[PATIENCE]; /* index.clock at the last misses */
};

struct lane {
    uint32_t known;
    uint64_t used; /* index.clock when last asked; 0: free */
};

/* Of a class of the fleet: what is known of its demand. */
struct by_class {
    uint32_t known;   /* number + 1; 0: nothing */
    uint32_t version; /* of the class, when it was noted */
};

struct index {
    struct fleet *f;
    const struct bank_ops *ops;
    struct bank *banks[INDEX_BANKS];
    struct lane lanes[INDEX_BANKS][BANK_LANES];
    struct known known[INDEX_KNOWN];
    uint32_t n_known;
    struct map64 numbers; /* of the known, by hash */
    struct by_class *classes;
    uint32_t n_classes;
    uint64_t clock;     /* questions so far */
    uint64_t announced; /* fleet.sequence at the last one */
    uint32_t pending[FLEET_JOURNAL];
};

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
    map64_free(&ix->numbers);
    free(ix->classes);
    free(ix);
}

/* ---- following the fleet --------------------------------------------------
 */

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

static void tell_wants(const struct fleet *f, struct bank *b, int lane)
{
    struct bank_wants *w = &b->wants;
    const struct demand *d = b->demand[lane];
    uint8_t bit = (uint8_t)(1U << lane);
    bool plain = demand_plain(d) && !score_sees_parts(f, d);
    w->present |= bit;
    w->rich = (uint8_t)(plain ? w->rich & ~bit : w->rich | bit);
    w->packs[lane] = -(f->policies[d->policy].kind != SCORE_SPREAD);
    w->resources = 0;
    for (int r = 0; r < FLEET_RESOURCES; r++) {
        w->need[r][lane] = d->need[r];
        w->weight[r][lane] = score_weight(f, d, r);
        for (int l = 0; l < BANK_LANES; l++)
            if (w->need[r][l])
                w->resources = (uint16_t)(w->resources | 1U << r);
    }
}

/* Lanes that are about all hosts anew: none is made before it is asked. */
static void grow_stale(const struct fleet *f, struct bank *b, uint32_t lanes)
{
    for (lanes &= b->wants.present; lanes; lanes &= lanes - 1) {
        int l = __builtin_ctz(lanes);
        tell_wants(f, b, l);
        b->stale = (uint8_t)(b->stale | 1U << l);
    }
}

/* The lanes whose scores come from the mix. */
static uint32_t foreseeing(const struct fleet *f, const struct bank *b)
{
    uint32_t lanes = 0;
    for (uint32_t rest = b->wants.present; rest; rest &= rest - 1) {
        int l = __builtin_ctz(rest);
        if (f->policies[b->demand[l]->policy].kind == SCORE_FRAGMENTATION)
            lanes |= 1U << l;
    }
    return lanes;
}

/* The hosts that have changed since the bank was last asked. */
static void catch_up(struct index *ix, struct bank *b)
{
    const struct fleet *f = ix->f;
    uint32_t n = 0;
    for (uint64_t s = b->seen; s < f->sequence; s++) {
        uint32_t host = f->journal[s % FLEET_JOURNAL];
        if (f->hosts[host].changed != s + 1)
            continue; /* it comes again */
        ix->pending[n++] = host;
    }
    ix->ops->update(f, b, ix->pending, n);
}

/* Takes note of what has changed since the bank was last asked. */
static void follow(struct index *ix, struct bank *b)
{
    const struct fleet *f = ix->f;
    uint64_t behind = f->sequence - b->seen;
    if (b->n[0] != f->n || !b->suits)
        bank_shape(b, f->n);
    if (b->epoch != f->epoch || behind > FLEET_JOURNAL || behind > f->n)
        grow_stale(f, b, ALL_LANES);
    else if (b->foresight != f->foresight)
        grow_stale(f, b, foreseeing(f, b));
    if (b->stale != b->wants.present)
        catch_up(ix, b);
    b->seen = f->sequence;
    b->epoch = f->epoch;
    b->foresight = f->foresight;
}

/* The lane as of now.  Lanes that cost little are made with it. */
static void freshen(struct index *ix, struct bank *b, int lane)
{
    if (!(b->stale >> lane & 1))
        return;
    uint32_t lanes = (b->stale & ~(uint32_t)b->wants.rich) | 1U << lane;
    ix->ops->update_all(ix->f, b, lanes);
    b->stale = (uint8_t)(b->stale & ~lanes);
}

/* ---- lanes --------------------------------------------------------------- */

static struct bank *new_bank(void)
{
    struct bank *b = aligned_alloc(64, sizeof(*b));
    if (!b)
        abort();
    memset(b, 0, sizeof(*b));
    return b;
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

static void assign(struct index *ix, struct known *k, int bank, int lane)
{
    struct bank *b = ix->banks[bank];
    struct lane *at = &ix->lanes[bank][lane];
    if (at->used)
        ix->known[at->known].bank = -1;
    *at = (struct lane){ (uint32_t)(k - ix->known), ix->clock };
    k->bank = bank;
    k->lane = lane;
    memset(k->missed, 0, sizeof(k->missed));
    b->demand[lane] = &k->demand;
    tell_wants(ix->f, b, lane);
    b->stale = (uint8_t)(b->stale | 1U << lane);
}

/* Nothing answered for this demand.  True: it has a lane from now on. */
static bool miss(struct index *ix, struct known *k)
{
    int bank = 0, lane = 0;
    uint64_t first = k->missed[PATIENCE - 2];
    memmove(k->missed + 1, k->missed, sizeof(k->missed) - sizeof(uint64_t));
    k->missed[0] = ix->clock;
    if (!first || oldest_lane(ix, &bank, &lane)->used >= first)
        return false;
    assign(ix, k, bank, lane);
    return true;
}

/* ---- what is known --------------------------------------------------------
 */

/* Makes room by forgetting all that have no lane. */
static void forget(struct index *ix)
{
    map64_free(&ix->numbers);
    uint32_t n = 0;
    for (uint32_t i = 0; i < ix->n_known; i++) {
        struct known *k = &ix->known[i];
        if (k->bank < 0)
            continue;
        ix->known[n] = *k;
        k = &ix->known[n];
        k->core = NONE;
        ix->lanes[k->bank][k->lane].known = n;
        ix->banks[k->bank]->demand[k->lane] = &k->demand;
        map64_set(&ix->numbers, k->hash, n++);
    }
    ix->n_known = n;
    memset(ix->classes, 0, ix->n_classes * sizeof(*ix->classes));
}

/* NONE: another demand has this hash (it goes without). */
static uint32_t number(struct index *ix, const struct demand *d)
{
    uint64_t hash = demand_hash(d) | 1;
    uint32_t i = map64_get(&ix->numbers, hash);
    if (i != MAP64_NONE)
        return demand_same(&ix->known[i].demand, d) ? i : NONE;
    i = ix->n_known++;
    ix->known[i] = (struct known){ *d, hash, NONE, -1, -1, { 0 } };
    map64_set(&ix->numbers, hash, i);
    return i;
}

/* The demand without what hosts must be. */
static uint32_t core_number(struct index *ix, const struct demand *d)
{
    struct demand core = *d;
    core.zone = 0;
    core.required = core.forbidden = core.barred = (struct fleet_set){ 0 };
    memset(core.any, 0, sizeof(core.any));
    memset(&core.entitled, 0xff, sizeof(core.entitled));
    return number(ix, &core);
}

/* The demand's class is known to whoever puts it there next, so that it is
 * looked for once. */
static struct by_class *class_of(struct index *ix, const struct demand *d)
{
    uint32_t class_ = fleet_class(ix->f, d);
    uint32_t version = ix->f->classes[class_].version;
    if (class_ >= ix->n_classes) {
        ix->classes = pages_widen(ix->classes, sizeof(*ix->classes),
                                  ix->n_classes, ix->f->class_size);
        ix->n_classes = ix->f->class_size;
    }
    struct by_class *c = &ix->classes[class_];
    if (c->version != version)
        *c = (struct by_class){ .version = version };
    return c;
}

static struct known *know(struct index *ix, const struct demand *d)
{
    if (ix->n_known + 2 > INDEX_KNOWN)
        forget(ix);
    struct by_class *c = class_of(ix, d);
    if (!c->known) {
        c->known = number(ix, d) + 1; /* NONE + 1: nothing */
        if (!c->known)
            return NULL;
    }
    struct known *k = &ix->known[c->known - 1];
    if (k->core == NONE)
        k->core = core_number(ix, d);
    return k->core == NONE ? NULL : k;
}

/* ---- asking ---------------------------------------------------------------
 */

/* May hosts like this one take the demand?  Found once for each look. */
static bool suits_look(const struct index_skip *s, uint32_t host)
{
    uint32_t look = s->f->look[host];
    uint32_t *verdict = &s->verdicts[look];
    if (*verdict >> 1 != s->stamp) {
        const struct fleet_facts *facts = &s->f->looks[look];
        bool suits = facts->state == FLEET_UP &&
                     fit_nature(s->f, s->facts, facts) == FIT_OK;
        *verdict = s->stamp << 1 | suits;
    }
    return *verdict & 1;
}

bool index_skips(const struct index_skip *s, uint32_t host)
{
    return s->marks[host] == s->stamp ||
           (s->full &&
            s->full[fleet_domain(s->f, host, s->level)] == s->stamp) ||
           (s->facts && !suits_look(s, host));
}

struct descent {
    const struct bank *b;
    int lane;
    const struct index_skip *skip;
    int64_t best;
    uint32_t looked; /* nodes so far */
};

/* Finds the largest key below a node that beats the best and is not skipped. */
static void descend(struct descent *d, int level, uint32_t i)
{
    int64_t most = d->b->level[level][i][d->lane];
    if (most <= d->best)
        return;
    d->looked++;
    if (!index_skips(d->skip, bank_host(d->skip->f, most))) {
        d->best = most;
        return;
    }
    if (level == 0)
        return;
    uint32_t first = i * BANK_FAN, end = first + BANK_FAN;
    uint32_t n = d->b->n[level - 1];
    end = end < n ? end : n;
    for (uint32_t c = first; c < end; c++)
        descend(d, level - 1, c);
}

/* How far it had to look. */
static uint32_t ask(struct index *ix, const struct known *k,
                    const struct index_skip *skip, uint32_t *host,
                    int32_t *score)
{
    struct bank *b = ix->banks[k->bank];
    struct descent d = {
        .b = b, .lane = k->lane, .skip = skip, .best = BANK_NO_KEY
    };
    ix->lanes[k->bank][k->lane].used = ix->clock;
    follow(ix, b);
    freshen(ix, b, k->lane);
    descend(&d, b->top, 0);
    *host = d.best == BANK_NO_KEY ? FLEET_NOWHERE : bank_host(ix->f, d.best);
    *score = bank_score(d.best);
    return d.looked;
}

bool index_best(struct index *ix, const struct demand *d,
                struct index_skip *skip, uint32_t *host, int32_t *score)
{
    announce(ix);
    struct known *k = ix->f->n ? know(ix, d) : NULL;
    if (!k)
        return false;
    ix->clock++;
    struct known *core = &ix->known[k->core];
    skip->facts = NULL;
    if (k->bank >= 0) {
        ask(ix, k, skip, host, score);
        return true;
    }
    if (core->bank < 0 && !miss(ix, core))
        return false;
    skip->facts = k == core ? NULL : d;
    if (ask(ix, core, skip, host, score) > FAR && k != core)
        miss(ix, k);
    return true;
}
