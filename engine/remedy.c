#include "engine/remedy.h"

#include "common/alloc.h"
#include "engine/admit.h"

#include <stdlib.h>
#include <string.h>

#define MOVE_HOSTS 16 /* looked at for a server to move */

/* ---- dropping a constraint ----------------------------------------------- */

static int32_t largest_machine(const struct fleet *f)
{
    int32_t most = 0;
    for (uint32_t i = 0; i < f->n; i++)
        if (f->hosts[i].facts.largest_vcpu > most)
            most = f->hosts[i].facts.largest_vcpu;
    return most;
}

/* The request without one of its constraints; false: it has none such. */
static bool relax(const struct fleet *f, const struct wish *w, enum fit drop,
                  struct request *out)
{
    struct demand *d = &out->demand;
    *out = w->request;
    switch (drop) {
    case FIT_OK:
        return true;
    case FIT_ALLOWED: /* volumes cannot be told to be elsewhere */
        out->allowed.n = 0;
        return w->request.allowed.n && !w->home;
    case FIT_EXCLUDED:
        out->excluded.n = 0;
        return w->request.excluded.n;
    case FIT_ZONE:
        d->zone = 0;
        return w->request.demand.zone;
    case FIT_REQUIRED:
        d->required = (struct fleet_set){ { 0 } };
        return !set_empty(&w->request.demand.required);
    case FIT_FORBIDDEN:
        d->forbidden = (struct fleet_set){ { 0 } };
        return !set_empty(&w->request.demand.forbidden);
    case FIT_LARGEST:
        d->need[FLEET_VCPU] = largest_machine(f);
        return w->request.demand.need[FLEET_VCPU] > d->need[FLEET_VCPU];
    case FIT_GROUP:
        out->group = (struct request_group){ 0 };
        return w->request.group.id;
    case FIT_CELLS:
        d->cells = 0;
        return w->request.demand.cells;
    case FIT_DEVICES:
        memset(d->devices, 0, sizeof(d->devices));
        return w->request.demand.devices[0].count;
    default:
        return false;
    }
}

static const enum fit droppable[] = { FIT_ALLOWED, FIT_EXCLUDED, FIT_ZONE,
                                      FIT_GROUP,   FIT_REQUIRED, FIT_FORBIDDEN,
                                      FIT_CELLS,   FIT_DEVICES,  FIT_LARGEST };

/* ---- counting hosts ------------------------------------------------------ */

/* Notes one more host that would do. */
static void note(const struct fleet *f, struct remedy *r, uint32_t host)
{
    if (!r->hosts++ || f->rank[host] < f->rank[r->host])
        r->host = host;
}

/* Hosts of which fit_host says `reason`. */
static void count(const struct fleet *f, const struct request *request,
                  enum fit reason, struct remedy *r)
{
    struct fit_rules rules;
    struct placing at;
    int32_t score;
    fit_rules(f, request, &rules);
    for (uint32_t i = 0; i < f->n; i++)
        if (fit_host(f, &rules, i, &at, &score) == reason)
            note(f, r, i);
}

/* Hosts that would do, the reserve included; of a large pool the first that
 * fit by name. */
static void count_borne(struct view *v, const struct request *request,
                        struct remedy *r)
{
    struct fleet *f = view_fleet(v);
    struct fit_rules rules;
    struct placing at;
    int32_t score;
    unsigned asked = 0;
    fit_rules(f, request, &rules);
    for (uint32_t k = 0; k < f->n && asked < ADMIT_TRIES; k++) {
        uint32_t i = f->by_rank[k];
        if (fit_host(f, &rules, i, &at, &score) != FIT_OK)
            continue;
        asked++;
        if (view_bears(v, request, &at, NULL))
            note(f, r, i);
    }
}

/* The same pool with every disabled host up: hosts of their own, the rest
 * borrowed. */
static void count_enabled(const struct fleet *f, const struct request *request,
                          struct remedy *r)
{
    struct fleet up = *f;
    struct fit_rules rules;
    struct placing at;
    int32_t score;
    up.hosts = xcalloc(f->n ? f->n : 1, sizeof(*up.hosts));
    if (f->n)
        memcpy(up.hosts, f->hosts, f->n * sizeof(*up.hosts));
    fit_rules(&up, request, &rules);
    for (uint32_t i = 0; i < f->n; i++) {
        if (f->hosts[i].facts.state != FLEET_DISABLED)
            continue;
        up.hosts[i].facts.state = FLEET_UP;
        if (fit_host(&up, &rules, i, &at, &score) == FIT_OK)
            note(f, r, i);
    }
    free(up.hosts);
}

/* ---- missing room -------------------------------------------------------- */

/* Millionths of what is wanted that are missing, over all resources; 0:
 * nothing is.  -1: no host of that kind could ever have it. */
static int64_t shortfall(const struct fleet *f, const struct demand *d,
                         uint32_t host, int32_t missing[FLEET_RESOURCES])
{
    int64_t sum = 0;
    for (int r = 0; r < FLEET_RESOURCES; r++) {
        int64_t lacks = (int64_t)d->need[r] - f->free[r][host];
        missing[r] = d->need[r] && lacks > 0
                         ? (int32_t)(lacks > INT32_MAX ? INT32_MAX : lacks)
                         : 0;
        if (missing[r])
            sum += (int64_t)missing[r] * 1000000 / d->need[r] + 1;
    }
    return sum;
}

/* The host that only lacks room, and least of it. */
static bool find_room(const struct fleet *f, const struct request *request,
                      struct remedy *out)
{
    struct fit_rules rules;
    struct placing at;
    int32_t score, missing[FLEET_RESOURCES];
    int64_t least = INT64_MAX;
    fit_rules(f, request, &rules);
    for (uint32_t i = 0; i < f->n; i++) {
        if (f->hosts[i].facts.state == FLEET_DEAD ||
            fit_host(f, &rules, i, &at, &score) != FIT_ROOM)
            continue;
        int64_t short_of = shortfall(f, &request->demand, i, missing);
        if (short_of > least ||
            (short_of == least && f->rank[i] > f->rank[out->host]))
            continue;
        least = short_of;
        out->host = i;
        memcpy(out->missing, missing, sizeof(missing));
    }
    return least != INT64_MAX;
}

/* ---- moving a server ----------------------------------------------------- */

/* Of the amounts, would what this guest holds be enough? */
static bool frees_enough(const struct fleet *f, const struct demand *d,
                         const struct fleet_guest *g)
{
    const struct demand *has = fleet_demand(f, g->class_);
    for (int r = 0; r < FLEET_RESOURCES; r++)
        if (d->need[r] &&
            d->need[r] > (int64_t)f->free[r][g->at.host] + has->need[r])
            return false;
    return true;
}

/* Where it could go instead. */
static bool finds_place(struct fleet *f, const struct fleet_guest *g,
                        struct placing *to)
{
    struct request r;
    fleet_request_of(f, g, &r);
    r.excluded = (struct host_list){ &g->at.host, 1 };
    return choose_exhaustive(f, &r, to);
}

/* Would the request stand, with its cells and devices, where the guest is, if
 * that were at `to`?  Tried, and taken back. */
static bool makes_way(struct fleet *f, const struct request *request,
                      const struct fleet_guest *g, const struct placing *to)
{
    const struct placing was = g->at;
    struct fit_rules rules;
    struct placing at;
    int32_t score;
    uint64_t id = g->id;
    fleet_move(f, id, to);
    fit_rules(f, request, &rules);
    bool ok = fit_host(f, &rules, was.host, &at, &score) == FIT_OK;
    fleet_move(f, id, &was);
    return ok;
}

struct candidate {
    int32_t size; /* MiB */
    uint64_t id;
};

static int by_size(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    return x->size != y->size ? (x->size < y->size ? -1 : 1)
           : x->id < y->id    ? -1
                              : x->id > y->id;
}

/* The movable guests of the host that would free enough, the smallest first;
 * to be freed.  Whoever has cells or devices is not among them: it stays
 * while it runs. */
static struct candidate *candidates(const struct fleet *f,
                                    const struct demand *d, uint32_t host,
                                    uint32_t *n)
{
    struct candidate *list = xcalloc(f->hosts[host].guests + 1, sizeof(*list));
    *n = 0;
    for (struct fleet_guest *g = NULL; (g = fleet_next(f, host, g));)
        if (g->movable && frees_enough(f, d, g))
            list[(*n)++] = (struct candidate){
                fleet_demand(f, g->class_)->need[FLEET_MEMORY], g->id
            };
    qsort(list, *n, sizeof(*list), by_size);
    return list;
}

/* The smallest movable guest of the host that would do. */
static bool find_guest(struct fleet *f, const struct request *request,
                       uint32_t host, struct remedy *out)
{
    struct placing to;
    uint32_t n;
    struct candidate *list = candidates(f, &request->demand, host, &n);
    bool found = false;
    for (uint32_t i = 0; i < n && !found; i++) {
        const struct fleet_guest *g = fleet_guest(f, list[i].id);
        found = finds_place(f, g, &to) && makes_way(f, request, g, &to);
        out->to = to.host;
        out->guest = list[i].id;
    }
    free(list);
    return found;
}

static bool find_move(struct fleet *f, const struct request *request,
                      struct remedy *out)
{
    struct fit_rules rules;
    struct placing at;
    int32_t score;
    unsigned looked = 0;
    fit_rules(f, request, &rules);
    for (uint32_t k = 0; k < f->n && looked < MOVE_HOSTS; k++) {
        uint32_t i = f->by_rank[k];
        if (f->hosts[i].facts.state == FLEET_DEAD ||
            fit_host(f, &rules, i, &at, &score) != FIT_ROOM)
            continue;
        looked++;
        out->host = i;
        if (find_guest(f, request, i, out))
            return true;
    }
    return false;
}

/* ---- all ----------------------------------------------------------------- */

struct search {
    struct view *v;
    struct fleet *f;
    const struct wish *w;
    struct remedy *out;
    unsigned n;
};

static void add(struct search *s, const struct remedy *r)
{
    if (s->n < REMEDIES)
        s->out[s->n++] = *r;
}

/* Makes the change on a fork. */
static void apply(struct view *v, const struct remedy *r)
{
    struct fleet *f = view_fleet(v);
    struct fleet_facts facts = f->hosts[r->host].facts;
    struct fit_rules rules;
    struct request request;
    struct placing to;
    int32_t score;
    switch (r->kind) {
    case REMEDY_WAKE:
    case REMEDY_ENABLE:
        facts.state = FLEET_UP;
        fleet_set_facts(f, r->host, &facts);
        break;
    case REMEDY_MOVE:
        fleet_request_of(f, fleet_guest(f, r->guest), &request);
        fit_rules(f, &request, &rules);
        if (fit_host(f, &rules, r->to, &to, &score) == FIT_OK)
            fleet_move(f, r->guest, &to);
        break;
    default:
        for (int i = 0; i < FLEET_RESOURCES; i++)
            if (r->missing[i])
                fleet_set_capacity(f, r->host, (enum fleet_resource)i,
                                   f->capacity[i][r->host] + r->missing[i]);
    }
}

/* Where a reserve is kept: would it bear the request after the change? */
static bool stands(const struct search *s, const struct remedy *r)
{
    struct request request;
    if (!view_failures(s->v))
        return true;
    if (!relax(s->f, s->w, (enum fit)r->drop, &request))
        return false;
    struct view *fork = view_fork(s->v);
    apply(fork, r);
    bool borne = admit_to(fork, &request, r->host, NULL);
    view_free(fork);
    return borne;
}

/* Without the reserve. */
static void try_reserve(struct search *s)
{
    struct remedy r = { .kind = REMEDY_DROP, .drop = FIT_RESERVE };
    if (!view_failures(s->v))
        return;
    count(s->f, &s->w->request, FIT_OK, &r);
    if (r.hosts)
        add(s, &r);
}

static void try_drops(struct search *s)
{
    struct request relaxed;
    for (size_t i = 0; i < ARRAY_SIZE(droppable); i++) {
        struct remedy r = { .kind = REMEDY_DROP, .drop = droppable[i] };
        if (!relax(s->f, s->w, droppable[i], &relaxed))
            continue;
        count_borne(s->v, &relaxed, &r);
        if (r.hosts)
            add(s, &r);
    }
}

static void try_nodes(struct search *s, enum remedy_kind kind)
{
    struct remedy r = { .kind = kind };
    if (kind == REMEDY_WAKE)
        count(s->f, &s->w->request, FIT_DEAD, &r);
    else
        count_enabled(s->f, &s->w->request, &r);
    if (r.hosts && stands(s, &r))
        add(s, &r);
}

static void try_room(struct search *s)
{
    struct remedy r = { .kind = REMEDY_ROOM };
    struct request relaxed;
    if (find_room(s->f, &s->w->request, &r)) {
        if (stands(s, &r))
            add(s, &r);
        return;
    }
    for (size_t i = 0; !s->n && i < ARRAY_SIZE(droppable); i++) {
        r.drop = droppable[i];
        if (relax(s->f, s->w, droppable[i], &relaxed) &&
            find_room(s->f, &relaxed, &r) && stands(s, &r))
            add(s, &r);
    }
}

unsigned remedies(struct view *v, const struct wish *w,
                  struct remedy out[REMEDIES])
{
    struct search s = { .v = v, .f = view_fleet(v), .w = w, .out = out };
    struct remedy move = { .kind = REMEDY_MOVE };
    fleet_ranks(s.f);
    try_nodes(&s, REMEDY_WAKE);
    try_drops(&s);
    try_nodes(&s, REMEDY_ENABLE);
    try_reserve(&s);
    if (find_move(s.f, &w->request, &move) && stands(&s, &move))
        add(&s, &move);
    try_room(&s);
    return s.n;
}

/* ---- words --------------------------------------------------------------- */

static void say_traits(const struct fleet *f, const struct wish *w,
                       const struct fleet_set *set, struct buf *out)
{
    const char *sep = "";
    for (unsigned i = 0; i < f->names[FLEET_NAME_TRAIT].n; i++)
        if (set_has(set, i)) {
            buf_addf(out, "%s%s", sep,
                     i == VIEW_NOBODY ? w->nobody
                                      : f->names[FLEET_NAME_TRAIT].at[i]);
            sep = ", ";
        }
}

/* "without the server group" */
static void say_relaxed(const struct fleet *f, const struct wish *w,
                        enum fit drop, struct buf *out)
{
    static const char *const texts[FIT_REASONS_N] = {
        [FIT_EXCLUDED] = "without the hint different_host",
        [FIT_GROUP] = "without the server group",
        [FIT_CELLS] = "without the NUMA cells",
        [FIT_DEVICES] = "without the devices",
        [FIT_REQUIRED] = "without what is required: ",
        [FIT_FORBIDDEN] = "without what is forbidden: ",
    };
    const struct demand *d = &w->request.demand;
    if (drop == FIT_ZONE)
        buf_addf(out, "without the availability zone %s", w->zone);
    else if (drop == FIT_LARGEST)
        buf_addf(out, "with at most %d vCPUs", largest_machine(f) / 1000);
    else if (drop == FIT_ALLOWED)
        buf_addf(out, "without %s",
                 w->host ? "the requested host" : "the hint same_host");
    else
        buf_adds(out, texts[drop]);
    if (drop == FIT_REQUIRED || drop == FIT_FORBIDDEN)
        say_traits(f, w, drop == FIT_REQUIRED ? &d->required : &d->forbidden,
                   out);
}

/* "with 512 MB more memory and 2 more vCPUs": after the number */
static const char *const more[FLEET_CUSTOM] = {
    [FLEET_VCPU] = "more vCPUs",
    [FLEET_MEMORY] = "MB more memory",
    [FLEET_DISK] = "GB more disk space",
    [FLEET_BANDWIDTH] = "Mbit/s more",
    [FLEET_HUGEPAGES] = "MB more in huge pages",
    [FLEET_VOLUMES] = "GB more room for volumes",
    [FLEET_GIGAPAGES] = "MB more in pages of 1 GiB",
    [FLEET_PCPU] = "more CPUs kept for guests of their own",
};

static void say_missing(const struct fleet *f, const struct wish *w,
                        const struct remedy *r, struct buf *out)
{
    const char *sep = "with ";
    for (int i = 0; i < FLEET_RESOURCES; i++) {
        int32_t n = r->missing[i];
        if (!n)
            continue;
        if (i == FLEET_VCPU)
            n = (n + 999) / 1000;
        if (i < FLEET_CUSTOM)
            buf_addf(out, "%s%d %s", sep, n,
                     i == FLEET_VCPU && n == 1 ? "more vCPU" : more[i]);
        else
            buf_addf(out, "%s%d more %s", sep, n,
                     i == FLEET_CUSTOM ? w->nobody : explain_resource(i, f));
        sep = " and ";
    }
}

static void say_nodes(const struct fleet *f, const struct remedy *r,
                      const char *one, const char *many, struct buf *out)
{
    buf_addf(out, "node %s", f->hosts[r->host].name);
    if (r->hosts > 1)
        buf_addf(out, " or %u more", r->hosts - 1);
    buf_addf(out, " %s", r->hosts == 1 ? one : many);
}

static const char *server_name(struct view *v, uint64_t guest)
{
    const struct record *r = view_record(v, guest);
    if (!r || r->kind != &kind_server)
        return "?";
    const struct server *s = (const struct server *)r;
    return s->name ? s->name : r->id;
}

/* The reserve is nothing that tenants could do without. */
static bool say_drop(struct view *v, const struct wish *w,
                     const struct remedy *r, bool names, struct buf *out)
{
    const struct fleet *f = view_fleet(v);
    if (r->drop == FIT_RESERVE && !names)
        return false;
    buf_adds(out, "it would fit ");
    if (r->drop == FIT_RESERVE)
        buf_addf(out, "without the reserve for %u failed node%s",
                 view_failures(v), view_failures(v) == 1 ? "" : "s");
    else
        say_relaxed(f, w, (enum fit)r->drop, out);
    if (names)
        buf_addf(out, " (%u node%s, e.g. %s)", r->hosts,
                 r->hosts == 1 ? "" : "s", f->hosts[r->host].name);
    return true;
}

static bool say_room(struct view *v, const struct wish *w,
                     const struct remedy *r, bool names, struct buf *out)
{
    const struct fleet *f = view_fleet(v);
    buf_adds(out, "it would fit ");
    if (r->drop) {
        say_relaxed(f, w, (enum fit)r->drop, out);
        buf_adds(out, " and ");
    }
    say_missing(f, w, r, out);
    if (names)
        buf_addf(out, " on node %s", f->hosts[r->host].name);
    return true;
}

bool remedy_text(struct view *v, const struct wish *w, const struct remedy *r,
                 bool names, struct buf *out)
{
    const struct fleet *f = view_fleet(v);
    switch (r->kind) {
    case REMEDY_DROP:
        return say_drop(v, w, r, names, out);
    case REMEDY_ROOM:
        return say_room(v, w, r, names, out);
    case REMEDY_WAKE:
        if (names)
            say_nodes(f, r, "would do, were it answering",
                      "would do, were they answering", out);
        return names;
    case REMEDY_ENABLE:
        if (names)
            say_nodes(f, r, "would do, were it enabled",
                      "would do, were they enabled", out);
        return names;
    default:
        if (names)
            buf_addf(out, "it would fit with server %s moved from %s to %s",
                     server_name(v, r->guest), f->hosts[r->host].name,
                     f->hosts[r->to].name);
        return names;
    }
}
