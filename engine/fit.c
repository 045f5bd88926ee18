#include "engine/fit.h"

#include "engine/score.h"

#include <limits.h>
#include <string.h>

static const char *const texts[FIT_REASONS_N] = {
#define X(reason, text) text,
    FIT_REASONS(X)
#undef X
};

const char *fit_text(enum fit reason)
{
    return texts[reason];
}

/* ---- facts --------------------------------------------------------------- */

static bool admits(const struct fleet *f, const struct fleet_set *aggregates,
                   const struct fleet_set *entitled)
{
    struct fleet_set apart;
    for (unsigned i = 0; i < FLEET_SET_MAX / 64; i++)
        apart.w[i] = aggregates->w[i] & f->isolating.w[i];
    return set_empty(&apart) || set_meets(&apart, entitled);
}

static enum fit fit_aggregates(const struct fleet *f, const struct demand *d,
                               const struct fleet_set *aggregates)
{
    for (int i = 0; i < REQUEST_ANY; i++)
        if (!set_empty(&d->any[i]) && !set_meets(&d->any[i], aggregates))
            return FIT_AGGREGATE;
    if (set_meets(&d->barred, aggregates))
        return FIT_BARRED;
    return admits(f, aggregates, &d->entitled) ? FIT_OK : FIT_TENANT;
}

enum fit fit_nature(const struct fleet *f, const struct demand *d,
                    const struct fleet_facts *h)
{
    if (d->zone && d->zone != h->zone)
        return FIT_ZONE;
    if (!set_within(&d->required, &h->traits))
        return FIT_REQUIRED;
    if (set_meets(&d->forbidden, &h->traits))
        return FIT_FORBIDDEN;
    enum fit reason = fit_aggregates(f, d, &h->aggregates);
    if (reason != FIT_OK)
        return reason;
    if (d->cpus && !(d->cpus >> h->cpu & 1))
        return FIT_CPU;
    if (h->largest_vcpu && d->need[FLEET_VCPU] > h->largest_vcpu)
        return FIT_LARGEST;
    return FIT_OK;
}

enum fit fit_facts(const struct fleet *f, const struct demand *d, uint32_t host)
{
    const struct fleet_facts *h = &f->hosts[host].facts;
    if (h->state == FLEET_VACANT)
        return FIT_VACANT;
    if (h->state == FLEET_DISABLED || h->state == FLEET_DRAINING)
        return FIT_STATE;
    return fit_nature(f, d, h);
}

/* ---- room, cells, devices ------------------------------------------------ */

enum fit fit_room(const struct fleet *f, const struct demand *d, uint32_t host,
                  int *short_of)
{
    for (int r = 0; r < FLEET_RESOURCES; r++)
        if (d->need[r] && d->need[r] > f->free[r][host]) {
            if (short_of)
                *short_of = r;
            return FIT_ROOM;
        }
    return FIT_OK;
}

/* What is not asked for may be overdrawn. */
static bool cell_has(int32_t free, const struct demand *d,
                     enum fleet_resource resource)
{
    int32_t part = demand_per_cell(d, resource);
    return !part || free >= part;
}

static bool cell_fits(const struct fleet_cell *c, const struct demand *d)
{
    for (int m = 0; m < CELL_MORE; m++)
        if (!cell_has(c->free_more[m], d, fleet_cell_more[m]))
            return false;
    return cell_has(c->free_vcpu, d, FLEET_VCPU) &&
           cell_has(c->free_memory, d, FLEET_MEMORY);
}

/* By which cells are compared: the CPUs of the kind that is asked for. */
static int32_t cell_room(const struct fleet_cell *c, const struct demand *d)
{
    return d->need[FLEET_PCPU] ? c->free_more[CELL_PCPU] : c->free_vcpu;
}

/* The cells with the most room to spread, else the tightest that fit. */
static enum fit fit_cells(const struct fleet *f, const struct demand *d,
                          struct placing *at)
{
    const struct fleet_host *h = &f->hosts[at->host];
    bool most = f->policies[d->policy].kind == SCORE_SPREAD;
    at->cells = 0;
    for (int k = 0; k < d->cells; k++) {
        int best = -1;
        for (int i = 0; i < h->n_cells; i++) {
            const struct fleet_cell *c = &h->cells[i];
            if ((at->cells >> i & 1) || !cell_fits(c, d))
                continue;
            int32_t room = cell_room(c, d);
            int32_t other = best < 0 ? 0 : cell_room(&h->cells[best], d);
            if (best < 0 || (most ? room > other : room < other))
                best = i;
        }
        if (best < 0)
            return FIT_CELLS;
        at->cells = (uint8_t)(at->cells | 1U << best);
    }
    return FIT_OK;
}

/* The tightest devices that fit, those of its cells first; kinds that are
 * asked for twice get different devices. */
static bool take_devices(const struct fleet_host *h,
                         const struct request_device *want, uint8_t cells,
                         uint16_t taken, uint16_t *out)
{
    *out = 0;
    for (int n = 0; n < want->count; n++) {
        int best = -1, best_cost = INT_MAX;
        for (int i = 0; i < h->n_devices; i++) {
            const struct fleet_device *v = &h->devices[i];
            bool away = cells && !(cells >> v->cell & 1);
            int cost = v->free + (away ? 10000 : 0);
            if (((taken | *out) >> i & 1) || !device_fits(v, want) ||
                cost >= best_cost)
                continue;
            best = i;
            best_cost = cost;
        }
        if (best < 0)
            return false;
        *out = (uint16_t)(*out | 1U << best);
    }
    return true;
}

static enum fit fit_devices(const struct fleet *f, const struct demand *d,
                            struct placing *at)
{
    uint16_t taken = 0;
    for (int k = 0; k < REQUEST_DEVICES && d->devices[k].count; k++) {
        if (!take_devices(&f->hosts[at->host], &d->devices[k], at->cells, taken,
                          &at->devices[k]))
            return FIT_DEVICES;
        taken |= at->devices[k];
    }
    return FIT_OK;
}

/* Devices of the same kind, model and rest come to the same. */
static bool like_an_earlier(const struct fleet_host *h, int device)
{
    const struct fleet_device *a = &h->devices[device];
    for (int i = 0; i < device; i++) {
        const struct fleet_device *b = &h->devices[i];
        if (a->kind == b->kind && a->model == b->model && a->free == b->free &&
            a->usual == b->usual && a->share == b->share)
            return true;
    }
    return false;
}

/* Of the guest's own cells, or do these not count? */
static bool is_near(const struct fleet_host *h, const struct placing *at,
                    unsigned device)
{
    return !at->cells || (at->cells >> h->devices[device].cell & 1);
}

/* A share of one device: tries each, for scores that see a difference; none
 * of another cell if the guest's own has one.  `at` is a placing that fits
 * already, `best` its score. */
static int32_t best_device(const struct fleet *f, const struct demand *d,
                           int32_t best, struct placing *at)
{
    const struct fleet_host *h = &f->hosts[at->host];
    struct placing trial = *at;
    bool near = is_near(h, at, (unsigned)__builtin_ctz(at->devices[0]));
    for (int i = 0; i < h->n_devices; i++) {
        trial.devices[0] = (uint16_t)(1U << i);
        if (!device_fits(&h->devices[i], &d->devices[0]) ||
            trial.devices[0] == at->devices[0] ||
            (near ? !is_near(h, at, (unsigned)i) : like_an_earlier(h, i)))
            continue;
        int32_t score = score_placing(f, d, &trial);
        if (score > best) {
            best = score;
            *at = trial;
        }
    }
    return best;
}

static bool cell_like_an_earlier(const struct fleet_host *h, int cell)
{
    const struct fleet_cell *a = &h->cells[cell];
    for (int i = 0; i < cell && !h->n_devices; i++) {
        const struct fleet_cell *b = &h->cells[i];
        if (a->free_vcpu == b->free_vcpu && a->free_memory == b->free_memory &&
            memcmp(a->free_more, b->free_more, sizeof(a->free_more)) == 0)
            return true;
    }
    return false;
}

/* The same for a guest in one cell. */
static int32_t best_cell(const struct fleet *f, const struct demand *d,
                         int32_t best, struct placing *at)
{
    const struct fleet_host *h = &f->hosts[at->host];
    uint8_t first = at->cells;
    for (int i = 0; i < h->n_cells; i++) {
        struct placing trial = { .host = at->host,
                                 .cells = (uint8_t)(1U << i) };
        if (trial.cells == first || !cell_fits(&h->cells[i], d) ||
            cell_like_an_earlier(h, i) || fit_devices(f, d, &trial) != FIT_OK)
            continue;
        int32_t score = score_placing(f, d, &trial);
        if (score > best) {
            best = score;
            *at = trial;
        }
    }
    return best;
}

enum fit fit_parts(const struct fleet *f, const struct demand *d, uint32_t host,
                   struct placing *at, int32_t *score)
{
    *at = (struct placing){ .host = host };
    enum fit reason = fit_room(f, d, host, NULL);
    if (reason == FIT_OK && d->cells)
        reason = fit_cells(f, d, at);
    if (reason == FIT_OK && d->devices[0].count)
        reason = fit_devices(f, d, at);
    if (reason != FIT_OK)
        return reason;
    *score = score_placing(f, d, at);
    if (!score_sees_parts(f, d))
        return FIT_OK;
    if (d->cells == 1)
        *score = best_cell(f, d, *score, at);
    if (d->devices[0].count == 1 && !d->devices[1].count)
        *score = best_device(f, d, *score, at);
    return FIT_OK;
}

/* ---- the rules of one request -------------------------------------------- */

static uint32_t members_in(const struct fleet *f, const struct fleet_group *g,
                           enum fleet_level level, uint32_t domain)
{
    uint32_t count = 0;
    for (uint32_t i = 0; g && i < g->n; i++)
        if (fleet_domain(f, g->at[i].host, level) == domain)
            count += g->at[i].count;
    return count;
}

/* Fewest members of the group in any rack or zone with a host that is up. */
static uint32_t least_in_domains(const struct fleet *f,
                                 const struct fleet_group *g,
                                 enum fleet_level level)
{
    int which = level == FLEET_LEVEL_ZONE;
    uint32_t least = UINT32_MAX;
    for (uint32_t i = 0; least && i < f->domain_size[which]; i++) {
        if (!f->domain_up[which][i])
            continue;
        uint32_t count = members_in(f, g, level, i);
        least = count < least ? count : least;
    }
    return least == UINT32_MAX ? 0 : least;
}

/* ... on any host that is up. */
static uint32_t least_on_hosts(const struct fleet *f,
                               const struct fleet_group *g)
{
    uint32_t up = 0, least = UINT32_MAX;
    for (uint32_t i = 0; i < f->domain_size[1]; i++)
        up += f->domain_up[1][i];
    for (uint32_t i = 0; g && i < g->n; i++) {
        if (f->hosts[g->at[i].host].facts.state != FLEET_UP)
            continue;
        up--;
        least = g->at[i].count < least ? g->at[i].count : least;
    }
    return up || least == UINT32_MAX ? 0 : least;
}

void fit_rules(const struct fleet *f, const struct request *r,
               struct fit_rules *out)
{
    *out = (struct fit_rules){ .r = r, .group = fleet_group(f, r->group.id) };
    if (!r->group.skew || !out->group)
        return;
    out->least = r->group.level == FLEET_LEVEL_HOST
                     ? least_on_hosts(f, out->group)
                     : least_in_domains(f, out->group, r->group.level);
}

static bool listed(const struct host_list *list, uint32_t host)
{
    for (uint32_t i = 0; i < list->n; i++)
        if (list->at[i] == host)
            return true;
    return false;
}

/* ALLOWED, EXCLUDED. */
static enum fit fit_lists(const struct fit_rules *rules, uint32_t host)
{
    if (rules->r->allowed.n && !listed(&rules->r->allowed, host))
        return FIT_ALLOWED;
    return listed(&rules->r->excluded, host) ? FIT_EXCLUDED : FIT_OK;
}

enum fit fit_group(const struct fit_rules *rules, uint32_t host)
{
    const struct request_group *g = &rules->r->group;
    if (!rules->group)
        return FIT_OK;
    uint32_t here = fleet_group_on(rules->group, host);
    if (g->policy == REQUEST_AFFINITY && !here)
        return FIT_GROUP;
    if (g->policy == REQUEST_ANTI_AFFINITY && here >= (g->most ? g->most : 1))
        return FIT_GROUP;
    return FIT_OK;
}

enum fit fit_spread(const struct fleet *f, const struct fit_rules *rules,
                    uint32_t host)
{
    const struct request_group *g = &rules->r->group;
    if (!g->skew || !rules->group)
        return FIT_OK;
    uint32_t here =
        members_in(f, rules->group, g->level, fleet_domain(f, host, g->level));
    return here + 1 > rules->least + g->skew ? FIT_SPREAD : FIT_OK;
}

int32_t fit_wish(const struct fit_rules *rules, uint32_t host)
{
    int32_t here = (int32_t)fleet_group_on(rules->group, host);
    int32_t wish = listed(&rules->r->preferred, host) ? 1 : 0;
    switch (rules->r->group.policy) {
    case REQUEST_SOFT_AFFINITY:
        return 2 * here + wish;
    case REQUEST_SOFT_ANTI_AFFINITY:
        return wish - 2 * here;
    default:
        return wish;
    }
}

enum fit fit_host(const struct fleet *f, const struct fit_rules *rules,
                  uint32_t host, struct placing *at, int32_t *score)
{
    if (f->hosts[host].facts.state == FLEET_VACANT)
        return FIT_VACANT; /* it has not even a name */
    enum fit reason = fit_lists(rules, host);
    if (reason == FIT_OK)
        reason = fit_facts(f, &rules->r->demand, host);
    if (reason == FIT_OK)
        reason = fit_group(rules, host);
    if (reason == FIT_OK)
        reason = fit_spread(f, rules, host);
    if (reason == FIT_OK)
        reason = fit_parts(f, &rules->r->demand, host, at, score);
    if (reason == FIT_OK && f->hosts[host].facts.state == FLEET_DEAD)
        reason = FIT_DEAD;
    return reason;
}
