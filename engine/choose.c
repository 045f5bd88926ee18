#include "engine/choose.h"

#include "common/alloc.h"

#include <stdlib.h>

/* ---- the plain way ------------------------------------------------------- */

struct candidate {
    struct placing at;
    int32_t wish, score;
};

static bool better(const struct fleet *f, const struct candidate *a,
                   const struct candidate *b)
{
    if (b->at.host == FLEET_NOWHERE)
        return true;
    if (a->wish != b->wish)
        return a->wish > b->wish;
    if (a->score != b->score)
        return a->score > b->score;
    return f->rank[a->at.host] < f->rank[b->at.host];
}

/* Lets a host compete with the best so far. */
static void consider(const struct fleet *f, const struct fit_rules *rules,
                     uint32_t host, struct candidate *best)
{
    struct candidate c;
    if (fit_host(f, rules, host, &c.at, &c.score) != FIT_OK)
        return;
    c.wish = fit_wish(rules, host);
    if (better(f, &c, best))
        *best = c;
}

bool choose_exhaustive(struct fleet *f, const struct request *r,
                       struct placing *out)
{
    struct fit_rules rules;
    struct candidate best = { .at.host = FLEET_NOWHERE };
    fleet_ranks(f);
    fit_rules(f, r, &rules);
    for (uint32_t i = 0; i < f->n; i++)
        consider(f, &rules, i, &best);
    *out = best.at;
    return best.at.host != FLEET_NOWHERE;
}

void choose_why(const struct fleet *f, const struct request *r,
                struct choose_why *out)
{
    struct fit_rules rules;
    struct placing at;
    int32_t score;
    *out = (struct choose_why){ 0 };
    fit_rules(f, r, &rules);
    for (uint32_t i = 0; i < f->n; i++)
        out->hosts[fit_host(f, &rules, i, &at, &score)]++;
}

/* ---- the chooser --------------------------------------------------------- */

struct chooser {
    struct fleet *f;
};

struct chooser *chooser_new(struct fleet *f)
{
    struct chooser *c = xcalloc(1, sizeof(*c));
    c->f = f;
    return c;
}

void chooser_free(struct chooser *c)
{
    free(c);
}

bool choose(struct chooser *c, const struct request *r, struct placing *out)
{
    return choose_exhaustive(c->f, r, out);
}
