#include "engine/scan.h"

#include "engine/bank.h"
#include "engine/fit.h"
#include "engine/score.h"

struct scan {
    const struct fleet *f;
    const struct demand *d;
    struct index_skip skip; /* with the facts */
    const struct bank_ops *ops;
    int32_t weight[FLEET_RESOURCES];
    bool plain;
    int32_t slack; /* that parts may add to the score of resources */
    uint32_t host; /* the best so far */
    int32_t score;
};

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
    if (s->f->n_devices[host] < s->d->devices[0].count ||
        index_skips(&s->skip, host))
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
    int32_t score[BANK_BLOCK];
    int32_t most = s->ops->score(s->f, s->d, s->weight, first, n, score);
    if (most < 0 || (s->host != FLEET_NOWHERE && bound(s, most) < s->score))
        return;
    for (uint32_t i = 0; i < n; i++)
        if (score[i] >= 0 && beats(s, bound(s, score[i]), first + i))
            consider(s, first + i, score[i]);
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
        .skip = *skip,
        .ops = bank_ops_best(),
        .plain = demand_plain(d) && !score_sees_parts(f, d),
        .slack = slack(f, d),
        .host = FLEET_NOWHERE,
    };
    s.skip.facts = d;
    for (int r = 0; r < FLEET_RESOURCES; r++)
        s.weight[r] = score_weight(f, d, r);
    for (uint32_t i = 0; i < f->n; i += BANK_BLOCK)
        scan_block(&s, i, f->n - i < BANK_BLOCK ? f->n - i : BANK_BLOCK);
    *score = s.score;
    return s.host;
}
