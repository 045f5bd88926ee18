#include "engine/scan.h"

#include "engine/fit.h"
#include "engine/score.h"
#include "engine/vector.h"

#define BLOCK 256

struct scan {
    const struct fleet *f;
    const struct demand *d;
    const struct index_skip *skip;
    int32_t weight[FLEET_RESOURCES];
    bool packs, plain;
    int32_t slack; /* that parts may add to the score of resources */
    uint32_t host; /* the best so far */
    int32_t score;
};

struct block {
    int32_t least[BLOCK], taken[BLOCK], lacks[BLOCK];
};

static void begin_block(struct block *b)
{
    for (int i = 0; i < BLOCK; i++) {
        b->least[i] = SCORE_ONE;
        b->taken[i] = b->lacks[i] = 0;
    }
}

/* One resource of a block of hosts; the operations of score.c. */
VECTOR_CLONES
static void add_resource(struct block *b, const int32_t *free,
                         const float *scale, int32_t need, int32_t weight,
                         uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        int32_t left = free[i] - need;
        int32_t share = (int32_t)((float)left * scale[i]);
        b->lacks[i] |= left;
        b->least[i] = share < b->least[i] ? share : b->least[i];
        b->taken[i] += weight * (SCORE_ONE - share);
    }
}

/* The score by resources into `taken`, -1 where there is no room; the
 * largest of all. */
VECTOR_CLONES
static int32_t end_block(struct block *b, bool packs, uint32_t n)
{
    int32_t most = -1;
    for (uint32_t i = 0; i < n; i++) {
        int32_t score = packs ? b->taken[i] : b->least[i];
        score = b->lacks[i] < 0 ? -1 : score;
        b->taken[i] = score;
        most = score > most ? score : most;
    }
    return most;
}

static bool beats(const struct scan *s, int32_t score, uint32_t host)
{
    if (s->host == FLEET_NOWHERE || score != s->score)
        return s->host == FLEET_NOWHERE || score > s->score;
    return s->f->rank[host] < s->f->rank[s->host];
}

/* The most that a host with this score by resources may come to. */
static int32_t bound(const struct scan *s, int32_t score)
{
    return score > INT32_MAX - s->slack ? INT32_MAX : score + s->slack;
}

static void consider(struct scan *s, uint32_t host, int32_t score)
{
    struct placing at;
    if (index_skips(s->skip, host) ||
        s->f->hosts[host].facts.state != FLEET_UP ||
        fit_facts(s->f, s->d, host) != FIT_OK)
        return;
    if (!s->plain && fit_parts(s->f, s->d, host, &at, &score) != FIT_OK)
        return;
    if (!beats(s, score, host))
        return;
    s->host = host;
    s->score = score;
}

static void scan_block(struct scan *s, uint32_t first, uint32_t n)
{
    struct block b;
    begin_block(&b);
    for (int r = 0; r < FLEET_RESOURCES; r++)
        if (s->d->need[r])
            add_resource(&b, s->f->free[r] + first, s->f->scale[r] + first,
                         s->d->need[r], s->weight[r], n);
    int32_t most = end_block(&b, s->packs, n);
    if (most < 0 || (s->host != FLEET_NOWHERE && bound(s, most) < s->score))
        return;
    for (uint32_t i = 0; i < n; i++)
        if (b.taken[i] >= 0 && beats(s, bound(s, b.taken[i]), first + i))
            consider(s, first + i, b.taken[i]);
}

static int32_t slack(const struct fleet *f, const struct demand *d)
{
    if (score_sees_parts(f, d))
        return INT32_MAX;
    int32_t kinds = 0;
    while (kinds < REQUEST_DEVICES && d->devices[kinds].count)
        kinds++;
    return f->policies[d->policy].kind == SCORE_SPREAD ? 0 : kinds * SCORE_ONE;
}

uint32_t scan_best(const struct fleet *f, const struct demand *d,
                   const struct index_skip *skip, int32_t *score)
{
    struct scan s = {
        .f = f,
        .d = d,
        .skip = skip,
        .packs = f->policies[d->policy].kind != SCORE_SPREAD,
        .plain = demand_plain(d) && !score_sees_parts(f, d),
        .slack = slack(f, d),
        .host = FLEET_NOWHERE,
    };
    for (int r = 0; r < FLEET_RESOURCES; r++)
        s.weight[r] = score_weight(f, d, r);
    for (uint32_t i = 0; i < f->n; i += BLOCK)
        scan_block(&s, i, f->n - i < BLOCK ? f->n - i : BLOCK);
    *score = s.score;
    return s.host;
}
