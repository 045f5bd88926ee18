#include "engine/explain.h"

#include "common/alloc.h"
#include "common/cleanup.h"
#include "engine/admit.h"
#include "engine/placement.h"
#include "engine/score.h"

#include <stdlib.h>
#include <string.h>

/* ---- kinds --------------------------------------------------------------- */

/* After those of enum fit: which list, which resource. */
enum {
    KIND_VOLUME_HOME = FIT_REASONS_N,
    KIND_BESIDE,
    KIND_RESOURCE /* + number */
};

static const char *const kind_texts[KIND_RESOURCE] = {
    [FIT_ALLOWED] = "not the requested host",
    [FIT_EXCLUDED] = "with a server it must not be beside",
    [FIT_STATE] = "disabled",
    [FIT_ZONE] = "not in the requested availability zone",
    [FIT_REQUIRED] = "without a required trait",
    [FIT_FORBIDDEN] = "with a forbidden trait",
    [FIT_AGGREGATE] = "outside of the required aggregates",
    [FIT_BARRED] = "in a forbidden aggregate",
    [FIT_TENANT] = "set apart for other projects",
    [FIT_CPU] = "with a CPU on which it cannot go on",
    [FIT_LARGEST] = "without enough vCPUs",
    [FIT_GROUP] = "excluded by the server group",
    [FIT_SPREAD] = "where the server group would be uneven",
    [FIT_CELLS] = "without enough room in their NUMA cells",
    [FIT_DEVICES] = "without the devices",
    [FIT_DEAD] = "not answering",
    [FIT_RESERVE] = "where the room kept for failures would be gone",
    [KIND_VOLUME_HOME] = "away from its volumes",
    [KIND_BESIDE] = "away from the server it must be beside",
};

static const struct {
    const char *without, *unit;
} resources[FLEET_CUSTOM] = {
    [FLEET_VCPU] = { "without enough vCPUs", "vCPUs" },
    [FLEET_MEMORY] = { "without enough memory", "MB of memory" },
    [FLEET_DISK] = { "without enough disk space", "GB of disk" },
    [FLEET_BANDWIDTH] = { "without enough bandwidth", "Mbit/s" },
    [FLEET_HUGEPAGES] = { "without enough huge pages", "MB of huge pages" },
    [FLEET_VOLUMES] = { "without enough disk space", "GB of volumes" },
    [FLEET_GIGAPAGES] = { "without enough huge pages of 1 GiB",
                          "MB in pages of 1 GiB" },
    [FLEET_PCPU] = { "without enough CPUs kept for guests of their own",
                     "CPUs of their own" },
};

/* One text, one count. */
static unsigned merged(unsigned kind)
{
    if (kind == KIND_RESOURCE + FLEET_VOLUMES)
        return KIND_RESOURCE + FLEET_DISK;
    return kind == FIT_LARGEST ? KIND_RESOURCE + FLEET_VCPU : kind;
}

static unsigned kind_of(const struct fleet *f, const struct wish *w,
                        const struct explained *x)
{
    const char *name = f->hosts[x->host].name;
    if (x->reason == FIT_ROOM)
        return merged(KIND_RESOURCE + (unsigned)x->short_of);
    if (x->reason != FIT_ALLOWED)
        return merged(x->reason);
    if (w->host && strcmp(w->host, name) != 0)
        return FIT_ALLOWED;
    if (w->home && strcmp(w->home, name) != 0)
        return KIND_VOLUME_HOME;
    return w->kept_beside ? KIND_BESIDE : FIT_ALLOWED;
}

static const char *custom_name(const struct fleet *f, const struct wish *w,
                               int resource)
{
    return resource == FLEET_CUSTOM
               ? w->nobody
               : fleet_name_of(f, FLEET_NAME_RESOURCE, (unsigned)resource);
}

/* "without enough memory": for tenants. */
static const char *explain_kind_text(const struct fleet *f,
                                     const struct wish *w, unsigned kind)
{
    if (kind < KIND_RESOURCE)
        return kind_texts[kind];
    int r = (int)(kind - KIND_RESOURCE);
    return r < FLEET_CUSTOM ? resources[r].without
                            : "without enough of a resource of the flavor";
}

const char *explain_resource(int resource, const struct fleet *f)
{
    return resource < FLEET_CUSTOM
               ? resources[resource].unit
               : fleet_name_of(f, FLEET_NAME_RESOURCE, (unsigned)resource);
}

/* ---- all hosts ----------------------------------------------------------- */

/* Of hosts that fit. */
static int by_merit(const void *a, const void *b, void *fleet)
{
    const struct fleet *f = fleet;
    const struct explained *x = a, *y = b;
    if (x->wish != y->wish)
        return x->wish > y->wish ? -1 : 1;
    if (x->score != y->score)
        return x->score > y->score ? -1 : 1;
    return f->rank[x->host] < f->rank[y->host] ? -1 : 1;
}

/* Moves the `few` best to the front, in order: of a large pool few are told
 * of, and to sort it all would take longer than to look at it. */
static void sort_best(struct fleet *f, struct explained *hosts, uint32_t n,
                      uint32_t few)
{
    if (few >= n) {
        qsort_r(hosts, n, sizeof(*hosts), by_merit, f);
        return;
    }
    for (uint32_t i = 0; i < few; i++) {
        uint32_t best = i;
        for (uint32_t k = i + 1; k < n; k++)
            if (by_merit(&hosts[k], &hosts[best], f) < 0)
                best = k;
        struct explained x = hosts[best];
        hosts[best] = hosts[i];
        hosts[i] = x;
    }
}

static struct explained look(struct fleet *f, const struct wish *w,
                             const struct fit_rules *rules, uint32_t host)
{
    struct explained x = { .host = host };
    struct placing at;
    int short_of = 0;
    x.reason = (uint8_t)fit_host(f, rules, host, &at, &x.score);
    if (x.reason == FIT_ROOM)
        fit_room(f, &w->request.demand, host, &short_of);
    x.short_of = (uint8_t)short_of;
    x.wish = fit_wish(rules, host);
    x.kind = (uint8_t)(x.reason ? kind_of(f, w, &x) : FIT_OK);
    return x;
}

static void exclude_for_reserve(struct explanation *e, struct explained *x)
{
    x->reason = x->kind = FIT_RESERVE;
    e->counts[FIT_OK]--;
    e->counts[FIT_RESERVE]++;
    e->fitting--;
}

/* As admit does: the best are asked about; if none of them will do, no other
 * is tried.  Those that will not do come after those that fit. */
static void ask_reserve(struct view *v, const struct wish *w, uint32_t few,
                        struct explanation *e)
{
    struct explained refused[ADMIT_TRIES];
    uint32_t fit = e->fitting, i = 0, kept = 0;
    for (; i < fit && i < ADMIT_TRIES && kept < few; i++)
        if (admit_to(v, &w->request, e->hosts[i].host, NULL)) {
            e->hosts[kept++] = e->hosts[i];
        } else {
            refused[i - kept] = e->hosts[i];
            exclude_for_reserve(e, &refused[i - kept]);
        }
    uint32_t n = i - kept;
    memmove(e->hosts + kept, e->hosts + i, (fit - i) * sizeof(*e->hosts));
    memcpy(e->hosts + fit - n, refused, n * sizeof(*e->hosts));
    for (i = 0; n && !kept && i < fit - n; i++)
        exclude_for_reserve(e, &e->hosts[i]);
}

void explain_few(struct view *v, const struct wish *w, uint32_t few,
                 struct explanation *out)
{
    struct fleet *f = view_fleet(v);
    struct fit_rules rules;
    _autofree_ struct explained *excluded =
        xcalloc(f->n ? f->n : 1, sizeof(*excluded));
    *out = (struct explanation){ 0 };
    out->hosts = xcalloc(f->n ? f->n : 1, sizeof(*out->hosts));
    fleet_ranks(f);
    fit_rules(f, &w->request, &rules);
    for (uint32_t i = 0; i < f->n; i++) { /* by name */
        struct explained x = look(f, w, &rules, f->by_rank[i]);
        if (x.reason == FIT_VACANT)
            continue;
        out->counts[x.kind]++;
        if (x.reason == FIT_OK)
            out->hosts[out->fitting++] = x;
        else
            excluded[out->n - out->fitting] = x;
        out->n++;
    }
    memcpy(out->hosts + out->fitting, excluded,
           (out->n - out->fitting) * sizeof(*excluded));
    if (!view_failures(v)) {
        sort_best(f, out->hosts, out->fitting, few);
        return;
    }
    sort_best(f, out->hosts, out->fitting,
              few < ADMIT_TRIES ? ADMIT_TRIES : few);
    ask_reserve(v, w, few, out);
}

void explain(struct view *v, const struct wish *w, struct explanation *out)
{
    explain_few(v, w, UINT32_MAX, out);
}

void explain_free(struct explanation *e)
{
    free(e->hosts);
    e->hosts = NULL;
}

/* The order in which people are told; what is left out comes after. */
static unsigned told(unsigned i)
{
    static const unsigned first[] = { FIT_ALLOWED, FIT_ZONE, KIND_VOLUME_HOME,
                                      FIT_STATE, FIT_GROUP };
    unsigned skipped = 0;
    if (i < ARRAY_SIZE(first))
        return first[i];
    i -= ARRAY_SIZE(first);
    for (unsigned kind = 1; kind < EXPLAIN_KINDS; kind++) {
        bool early = kind == FIT_DEAD; /* is told last */
        for (unsigned k = 0; k < ARRAY_SIZE(first); k++)
            early |= kind == first[k];
        if (!early && skipped++ == i)
            return kind;
    }
    return FIT_DEAD;
}

void explain_counts(const struct fleet *f, const struct wish *w,
                    const struct explanation *e, struct buf *out)
{
    size_t start = out->len;
    for (unsigned i = 0; i < EXPLAIN_KINDS - 1; i++) {
        unsigned kind = told(i);
        uint32_t n = e->counts[kind];
        if (n)
            buf_addf(out, "%s%u node%s %s", out->len > start ? ", " : "", n,
                     n == 1 ? "" : "s", explain_kind_text(f, w, kind));
    }
    if (out->len == start)
        buf_adds(out, "There are no nodes");
}

/* ---- one host ------------------------------------------------------------ */

static const struct node *node_of(struct view *v, const struct explained *x)
{
    return snap_get(view_snapshot(v), &kind_node,
                    view_fleet(v)->hosts[x->host].name);
}

static void say_room(struct view *v, const struct wish *w,
                     const struct explained *x, struct buf *out)
{
    const struct fleet *f = view_fleet(v);
    int r = x->short_of;
    int unit = r == FLEET_VCPU ? 1000 : 1;
    int64_t capacity = f->capacity[r][x->host];
    buf_addf(out, "%lld %s wanted, %lld of %lld in use",
             (long long)w->request.demand.need[r] / unit,
             r < FLEET_CUSTOM ? resources[r].unit : custom_name(f, w, r),
             (long long)(capacity - f->free[r][x->host]) / unit,
             (long long)capacity / unit);
}

/* The traits that are missing or in the way. */
static void say_traits(struct view *v, const struct wish *w,
                       const struct explained *x, struct buf *out)
{
    const struct fleet *f = view_fleet(v);
    const struct fleet_set *has = &f->hosts[x->host].facts.traits;
    bool required = x->reason == FIT_REQUIRED;
    const struct fleet_set *set =
        required ? &w->request.demand.required : &w->request.demand.forbidden;
    const char *sep = "";
    buf_adds(out, required ? "it lacks " : "it has ");
    for (unsigned i = 0; i < f->names[FLEET_NAME_TRAIT].n; i++)
        if (set_has(set, i) && set_has(has, i) != required) {
            buf_addf(out, "%s%s", sep,
                     i == VIEW_NOBODY ? w->nobody
                                      : f->names[FLEET_NAME_TRAIT].at[i]);
            sep = ", ";
        }
}

static void say_group(struct view *v, const struct wish *w,
                      const struct explained *x, struct buf *out)
{
    const struct request_group *g = &w->request.group;
    const struct fleet_group *group = fleet_group(view_fleet(v), g->id);
    uint32_t here = fleet_group_on(group, x->host);
    if (x->reason == FIT_SPREAD)
        buf_addf(out, "%u of the group are here, they may differ by %u", here,
                 g->skew);
    else if (g->policy == REQUEST_ANTI_AFFINITY)
        buf_addf(out, "anti-affinity: %u of the group are here, %u allowed",
                 here, g->most ? g->most : 1);
    else
        buf_addf(out, "affinity: %u of the group are on another node",
                 group ? group->total : 0);
}

static void say_lists(struct view *v, const struct wish *w,
                      const struct explained *x, struct buf *out)
{
    if (x->kind == KIND_VOLUME_HOME)
        buf_addf(out, "a volume is on node %s", w->home);
    else if (x->kind == KIND_BESIDE)
        buf_adds(out, "the hint same_host names a server that is elsewhere");
    else if (x->reason == FIT_EXCLUDED)
        buf_adds(out, "the hint different_host names a server that is here");
    else
        buf_addf(out, "host %s is requested", w->host ? w->host : "another");
}

static void say_devices(struct view *v, const struct wish *w,
                        const struct explained *x, struct buf *out)
{
    const struct request_device *want = w->request.demand.devices;
    const struct fleet *f = view_fleet(v);
    for (int i = 0; i < REQUEST_DEVICES && want[i].count; i++) {
        buf_addf(out, "%s%d of %s wanted", i ? ", " : "", want[i].count,
                 want[i].kind == VIEW_NOBODY
                     ? w->nobody
                     : fleet_name_of(f, FLEET_NAME_DEVICE, want[i].kind));
        if (want[i].share > FLEET_SHARE_ANY)
            buf_addf(out, " (%s: %d/1000)",
                     fleet_name_of(f, FLEET_NAME_SHARE, want[i].share),
                     want[i].thousandths);
    }
}

static void say_node(struct view *v, const struct wish *w,
                     const struct explained *x, struct buf *out)
{
    const struct node *n = node_of(v, x);
    if (!n)
        return;
    if (x->reason == FIT_STATE)
        buf_addf(out, "disabled: %s",
                 n->disabled_reason ? n->disabled_reason : "no reason given");
    else if (x->reason == FIT_DEAD)
        buf_addf(out, "not heard of for %lld s",
                 (long long)((view_now(v) - n->seen) / SECOND_US));
    else if (x->reason == FIT_LARGEST)
        buf_addf(out, "%d vCPUs wanted, the machine has %lld",
                 w->request.demand.need[FLEET_VCPU] / 1000,
                 (long long)n->vcpus);
    else
        buf_addf(out, "zone %s is requested, it is in %s", w->zone,
                 placement_zone(view_snapshot(v), n));
}

static void say_cells(struct view *v, const struct wish *w,
                      const struct explained *x, struct buf *out)
{
    const struct demand *d = &w->request.demand;
    buf_addf(out,
             "%u NUMA cells with %d vCPUs and %d MB each wanted, it has %u",
             d->cells, demand_per_cell(d, FLEET_VCPU) / 1000,
             demand_per_cell(d, FLEET_MEMORY),
             view_fleet(v)->hosts[x->host].n_cells);
}

static void say_plain(struct view *v, const struct wish *w,
                      const struct explained *x, struct buf *out)
{
    buf_adds(out, fit_text((enum fit)x->reason));
}

static const char *guest_name(struct view *v, uint64_t guest)
{
    const struct record *r = view_record(v, guest);
    if (!r || r->kind != &kind_server)
        return guest == RESERVE_NEWCOMER ? "it" : "a server";
    const struct server *s = (const struct server *)r;
    return s->name ? s->name : r->id;
}

/* Who would find no place, and when. */
static void say_reserve(struct view *v, const struct wish *w,
                        const struct explained *x, struct buf *out)
{
    const struct fleet *f = view_fleet(v);
    struct reserve_why why = { .n = 0 };
    if (admit_to(v, &w->request, x->host, &why) || !why.n) {
        buf_addf(out, "not tried: the best %d do not keep the reserve",
                 ADMIT_TRIES);
        return;
    }
    buf_addf(out, "if %s%s%s failed, %s would find no place",
             f->hosts[why.hosts[0]].name, why.n > 1 ? " and " : "",
             why.n > 1 ? f->hosts[why.hosts[1]].name : "",
             guest_name(v, why.guest));
}

typedef void say_fn(struct view *v, const struct wish *w,
                    const struct explained *x, struct buf *out);

static say_fn *const says[FIT_REASONS_N] = {
    [FIT_OK] = say_plain,        [FIT_VACANT] = say_plain,
    [FIT_ALLOWED] = say_lists,   [FIT_EXCLUDED] = say_lists,
    [FIT_STATE] = say_node,      [FIT_ZONE] = say_node,
    [FIT_REQUIRED] = say_traits, [FIT_FORBIDDEN] = say_traits,
    [FIT_AGGREGATE] = say_plain, [FIT_BARRED] = say_plain,
    [FIT_TENANT] = say_plain,    [FIT_LARGEST] = say_node,
    [FIT_GROUP] = say_group,     [FIT_SPREAD] = say_group,
    [FIT_ROOM] = say_room,       [FIT_CELLS] = say_cells,
    [FIT_DEVICES] = say_devices, [FIT_DEAD] = say_node,
    [FIT_RESERVE] = say_reserve, [FIT_CPU] = say_plain,
};

void explain_host(struct view *v, const struct wish *w,
                  const struct explained *x, struct buf *out)
{
    says[x->reason](v, w, x, out);
}

/* ---- scores -------------------------------------------------------------- */

bool explain_part(const struct fleet *f, const struct wish *w, uint32_t host,
                  int resource, int64_t *millionths)
{
    int32_t need = w->request.demand.need[resource];
    int64_t capacity = f->capacity[resource][host];
    if (!need || capacity <= 0)
        return false;
    *millionths =
        ((int64_t)f->free[resource][host] - need) * 1000000 / capacity;
    return true;
}

const char *explain_policy(const struct fleet *f, const struct wish *w)
{
    static const char *const names[] = { [SCORE_SPREAD] = "spread",
                                         [SCORE_PACK] = "pack",
                                         [SCORE_FRAGMENTATION] =
                                             "fragmentation" };
    return names[f->policies[w->request.demand.policy].kind];
}

/* ---- the record ---------------------------------------------------------- */

static void put_candidate(struct view *v, const struct wish *w,
                          const struct explained *x, struct decision *out)
{
    const struct fleet *f = view_fleet(v);
    struct decision_candidate *c = list_add(out, &out->candidates, sizeof(*c));
    c->node = rec_str(out, f->hosts[x->host].name);
    c->score = x->score;
    for (int r = 0; r < FLEET_RESOURCES; r++) {
        int64_t n;
        if (!explain_part(f, w, x->host, r, &n))
            continue;
        struct decision_part *part = list_add(out, &c->parts, sizeof(*part));
        part->name =
            rec_str(out, fleet_name_of(f, FLEET_NAME_RESOURCE, (unsigned)r));
        part->n = n;
    }
}

static void put_reason(struct view *v, const struct wish *w,
                       const struct explanation *e, unsigned kind,
                       struct decision *out)
{
    struct decision_reason *reason =
        list_add(out, &out->excluded, sizeof(*reason));
    const struct fleet *f = view_fleet(v);
    struct buf text = BUF_INIT(1024);
    reason->why = rec_str(out, explain_kind_text(f, w, kind));
    reason->nodes = e->counts[kind];
    unsigned named = 0;
    for (uint32_t i = e->fitting; i < e->n && named < DECISION_EXAMPLES; i++) {
        if (e->hosts[i].kind != kind)
            continue;
        buf_addf(&text, "%s%s: ", named++ ? "; " : "",
                 f->hosts[e->hosts[i].host].name);
        explain_host(v, w, &e->hosts[i], &text);
    }
    reason->example = rec_str(out, buf_str(&text));
    buf_free(&text);
}

void explain_record(struct view *v, const struct wish *w,
                    const struct explanation *e, struct decision *out)
{
    out->policy = explain_policy(view_fleet(v), w);
    out->nodes = e->n;
    out->fitting = e->fitting;
    for (uint32_t i = 0; i < e->fitting && i < DECISION_CANDIDATES; i++)
        put_candidate(v, w, &e->hosts[i], out);
    for (unsigned i = 0; i < EXPLAIN_KINDS - 1; i++)
        if (e->counts[told(i)] && out->excluded.n < DECISION_REASONS)
            put_reason(v, w, e, told(i), out);
}
