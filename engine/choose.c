#include "engine/choose.h"

#include "common/alloc.h"
#include "engine/index.h"
#include "engine/scan.h"

#include <stdlib.h>
#include <string.h>

/* ---- the plain way ------------------------------------------------------- */

struct candidate {
    struct placing at;
    int32_t wish, score;
};

static const struct candidate no_candidate = {
    .at.host = FLEET_NOWHERE,
    .wish = INT32_MIN,
};

static bool better(const struct fleet *f, const struct candidate *a,
                   const struct candidate *b)
{
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
    struct candidate best = no_candidate;
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
    struct index *index;
    uint32_t *marks; /* by host: `stamp`: looked at already */
    uint32_t n_marks;
    uint32_t *full; /* by domain: `stamp`: has too many of the group */
    uint32_t n_full;
    uint32_t *verdicts; /* by look: 2 * `stamp` and 1: suits the request */
    uint32_t n_verdicts;
    uint32_t stamp; /* below 2^31 */
};

struct chooser *chooser_new(struct fleet *f)
{
    struct chooser *c = xcalloc(1, sizeof(*c));
    c->f = f;
    c->index = index_new(f);
    return c;
}

void chooser_free(struct chooser *c)
{
    if (!c)
        return;
    index_free(c->index);
    free(c->marks);
    free(c->full);
    free(c->verdicts);
    free(c);
}

static void widen(uint32_t **stamps, uint32_t *n, uint32_t wanted)
{
    if (*n >= wanted)
        return;
    *stamps = xrealloc(*stamps, sizeof(**stamps) * wanted);
    memset(*stamps + *n, 0, sizeof(**stamps) * (wanted - *n));
    *n = wanted;
}

/* No host and no domain has been looked at. */
static void fresh_stamp(struct chooser *c)
{
    widen(&c->marks, &c->n_marks, c->f->size);
    widen(&c->verdicts, &c->n_verdicts, c->f->look_size);
    if (++c->stamp <= INT32_MAX)
        return;
    if (c->marks)
        memset(c->marks, 0, sizeof(*c->marks) * c->n_marks);
    if (c->verdicts)
        memset(c->verdicts, 0, sizeof(*c->verdicts) * c->n_verdicts);
    if (c->full)
        memset(c->full, 0, sizeof(*c->full) * c->n_full);
    c->stamp = 1;
}

/* A host that is not like others for this request: looked at by itself. */
static void visit(struct chooser *c, const struct fit_rules *rules,
                  uint32_t host, struct candidate *best)
{
    if (host >= c->f->n || c->marks[host] == c->stamp)
        return;
    c->marks[host] = c->stamp;
    consider(c->f, rules, host, best);
}

static void visit_list(struct chooser *c, const struct fit_rules *rules,
                       const struct host_list *list, struct candidate *best)
{
    for (uint32_t i = 0; i < list->n; i++)
        visit(c, rules, list->at[i], best);
}

static void pass_over(struct chooser *c, const struct host_list *list)
{
    for (uint32_t i = 0; i < list->n; i++)
        if (list->at[i] < c->f->n)
            c->marks[list->at[i]] = c->stamp;
}

static void visit_group(struct chooser *c, const struct fit_rules *rules,
                        struct candidate *best)
{
    for (uint32_t i = 0; rules->group && i < rules->group->n; i++)
        visit(c, rules, rules->group->at[i].host, best);
}

/* The hosts of the group that have their most already. */
static void pass_over_group(struct chooser *c, const struct fit_rules *rules,
                            uint32_t most)
{
    for (uint32_t i = 0; rules->group && i < rules->group->n; i++)
        if (rules->group->at[i].count >= most)
            c->marks[rules->group->at[i].host] = c->stamp;
}

/* Marks the racks or zones that may take no more of the group. */
static bool mark_full_domains(struct chooser *c, const struct fit_rules *rules)
{
    const struct request_group *g = &rules->r->group;
    if (!g->skew || !rules->group || g->level == FLEET_LEVEL_HOST)
        return false;
    widen(&c->full, &c->n_full,
          c->f->domain_size[g->level == FLEET_LEVEL_ZONE]);
    for (uint32_t i = 0; i < rules->group->n; i++) {
        uint32_t host = rules->group->at[i].host;
        if (fit_spread(c->f, rules, host) != FIT_OK)
            c->full[fleet_domain(c->f, host, g->level)] = c->stamp;
    }
    return true;
}

/* The best of the hosts that were not visited: for this request they differ
 * by the demand alone. */
static void best_of_others(struct chooser *c, const struct fit_rules *rules,
                           struct candidate *best)
{
    const struct demand *d = &rules->r->demand;
    struct index_skip skip = {
        .f = c->f,
        .marks = c->marks,
        .stamp = c->stamp,
        .full = mark_full_domains(c, rules) ? c->full : NULL,
        .level = rules->r->group.level,
        .verdicts = c->verdicts,
    };
    struct candidate other = { .wish = 0 };
    uint32_t host;
    if (!index_best(c->index, d, &skip, &host, &other.score))
        host = scan_best(c->f, d, &skip, &other.score);
    other.at = (struct placing){ .host = host };
    if (host == FLEET_NOWHERE || !better(c->f, &other, best))
        return;
    if (!demand_plain(d))
        fit_parts(c->f, d, host, &other.at, &other.score);
    *best = other;
}

/* Wherever nobody of the group is, is better than where somebody is. */
static void best_apart(struct chooser *c, const struct fit_rules *rules,
                       struct candidate *best)
{
    pass_over_group(c, rules, 1);
    best_of_others(c, rules, best);
    for (uint32_t i = 0; best->wish < 0 && i < rules->group->n; i++)
        consider(c->f, rules, rules->group->at[i].host, best);
}

/* Few hosts differ from the rest for this request: those it names and those
 * of its group.  They are looked at one by one, the rest as its class. */
static void best_of_all(struct chooser *c, const struct fit_rules *rules,
                        struct candidate *best)
{
    const struct request *r = rules->r;
    pass_over(c, &r->excluded);
    visit_list(c, rules, &r->preferred, best);
    if (r->group.policy == REQUEST_ANTI_AFFINITY)
        pass_over_group(c, rules, r->group.most ? r->group.most : 1);
    if (r->group.policy == REQUEST_SOFT_ANTI_AFFINITY && rules->group) {
        best_apart(c, rules, best);
        return;
    }
    if (r->group.policy == REQUEST_SOFT_AFFINITY || r->group.skew)
        visit_group(c, rules, best);
    if (best->wish <= 0)
        best_of_others(c, rules, best);
}

bool choose(struct chooser *c, const struct request *r, struct placing *out)
{
    struct fit_rules rules;
    struct candidate best = no_candidate;
    fleet_ranks(c->f);
    fit_rules(c->f, r, &rules);
    fresh_stamp(c);
    if (r->allowed.n)
        visit_list(c, &rules, &r->allowed, &best);
    else if (rules.group && r->group.policy == REQUEST_AFFINITY)
        visit_group(c, &rules, &best);
    else
        best_of_all(c, &rules, &best);
    *out = best.at;
    return best.at.host != FLEET_NOWHERE;
}
