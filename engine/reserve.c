#include "engine/reserve.h"

#include "common/alloc.h"
#include "common/cleanup.h"

#include <stdlib.h>
#include <string.h>

struct entry {
    uint64_t guest, group;
    struct request request;  /* of the guest, no lists */
    struct placing from, to; /* to.host FLEET_NOWHERE: no place */
};

struct evacuation {
    uint32_t hosts[RESERVE_FAILURES], n_hosts;
    uint32_t homeless; /* guests without a place; 0: held */
    uint64_t *leads;   /* bits: hosts that the plan leads to */
    uint64_t groups;   /* of its guests: a bit by the hash of each */
    struct entry *entries;
    uint32_t n, size;
};

/* A set as it was before a change that may be taken back. */
struct saved {
    uint32_t set;
    struct evacuation was;
};

struct reserve {
    struct fleet *fleet; /* its own */
    struct chooser *chooser;
    unsigned failures;
    struct evacuation *sets;
    uint32_t n_sets, held;
    uint64_t seen; /* of the fleet it follows: changes so far */
    bool ahead;    /* it has been told of what may not come to pass */
    bool trying;   /* sets are saved before they are proven anew */
    struct saved *saved;
    uint32_t n_saved, saved_size;
};

/* ---- an evacuation ------------------------------------------------------- */

static int larger_memory(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    int32_t m = x->request.demand.need[FLEET_MEMORY];
    int32_t n = y->request.demand.need[FLEET_MEMORY];
    if (m != n)
        return m > n ? -1 : 1;
    return x->guest < y->guest ? -1 : x->guest > y->guest;
}

static int larger_vcpu(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    int32_t m = x->request.demand.need[FLEET_VCPU];
    int32_t n = y->request.demand.need[FLEET_VCPU];
    return m != n ? (m > n ? -1 : 1) : larger_memory(a, b);
}

/* Those that are picky: cells, devices, groups. */
static int pickiness(const struct entry *e)
{
    const struct demand *d = &e->request.demand;
    return (d->devices[0].count ? 4 : 0) + (d->cells ? 2 : 0) +
           (e->group || d->zone || !set_empty(&d->required) ? 1 : 0);
}

static int pickier(const void *a, const void *b)
{
    int x = pickiness(a), y = pickiness(b);
    return x != y ? y - x : larger_memory(a, b);
}

static void add_entry(struct evacuation *e, const struct fleet *f,
                      const struct fleet_guest *g)
{
    if (e->n == e->size) {
        e->size = e->size ? e->size * 2 : 8;
        e->entries = xrealloc(e->entries, e->size * sizeof(struct entry));
    }
    struct entry *to = &e->entries[e->n++];
    *to = (struct entry){ .guest = g->id, .group = g->group.id, .from = g->at };
    fleet_request_of(f, g, &to->request);
}

/* Volumes are no guests that anybody starts again. */
static bool runs(const struct fleet *f, const struct fleet_guest *g)
{
    const struct demand *d = fleet_demand(f, g->class_);
    return d->need[FLEET_VCPU] || d->need[FLEET_MEMORY];
}

/* The guests of the set's hosts, as they are now. */
static void gather(struct reserve *r, struct evacuation *e)
{
    const struct fleet *f = r->fleet;
    e->n = 0;
    for (uint32_t i = 0; i < e->n_hosts; i++)
        for (const struct fleet_guest *g = fleet_next(f, e->hosts[i], NULL); g;
             g = fleet_next(f, e->hosts[i], g))
            if (runs(f, g))
                add_entry(e, f, g);
}

/* Places all that have a place, in the order they are in; the others,
 * counted, have none. */
static uint32_t place_all(struct reserve *r, struct evacuation *e)
{
    uint32_t homeless = 0;
    for (uint32_t i = 0; i < e->n; i++) {
        struct entry *at = &e->entries[i];
        struct request q = at->request;
        q.excluded = (struct host_list){ e->hosts, e->n_hosts };
        if (choose(r->chooser, &q, &at->to)) {
            fleet_put(r->fleet, at->guest, &at->request, &at->to);
        } else {
            at->to = (struct placing){ .host = FLEET_NOWHERE };
            homeless++;
        }
    }
    return homeless;
}

/* On the fleet without these guests; which is as before afterwards. */
static uint32_t try_order(struct reserve *r, struct evacuation *e,
                          int (*order)(const void *, const void *))
{
    if (e->n)
        qsort(e->entries, e->n, sizeof(struct entry), order);
    uint32_t homeless = place_all(r, e);
    for (uint32_t i = e->n; i-- > 0;)
        if (e->entries[i].to.host != FLEET_NOWHERE)
            fleet_remove(r->fleet, e->entries[i].guest);
    return homeless;
}

/* The first order that leaves nobody without, or the best of them. */
static uint32_t try_orders(struct reserve *r, struct evacuation *e)
{
    int (*const orders[])(
        const void *, const void *) = { larger_memory, larger_vcpu, pickier };
    uint32_t least = UINT32_MAX, homeless = 0;
    size_t best = 0;
    for (size_t i = 0; i < ARRAY_SIZE(orders); i++) {
        homeless = try_order(r, e, orders[i]);
        if (!homeless)
            return 0;
        if (homeless < least) {
            least = homeless;
            best = i;
        }
    }
    return best + 1 < ARRAY_SIZE(orders) ? try_order(r, e, orders[best])
                                         : homeless;
}

static uint64_t group_bit(uint64_t group)
{
    return group ? 1ULL << (group * 0x9e3779b97f4a7c15U >> 58) : 0;
}

/* What recheck asks of every set at every change. */
static void note_marks(struct reserve *r, struct evacuation *e)
{
    memset(e->leads, 0, (r->fleet->n + 63) / 64 * sizeof(uint64_t));
    e->groups = 0;
    for (uint32_t i = 0; i < e->n; i++) {
        uint32_t to = e->entries[i].to.host;
        if (to != FLEET_NOWHERE)
            e->leads[to / 64] |= 1ULL << (to % 64);
        e->groups |= group_bit(e->entries[i].group);
    }
}

static void set_homeless(struct reserve *r, struct evacuation *e, uint32_t n)
{
    r->held += !n;
    r->held -= !e->homeless;
    e->homeless = n;
}

static uint64_t *new_leads(const struct reserve *r)
{
    return xcalloc((r->fleet->n + 63) / 64 + 1, sizeof(uint64_t));
}

/* As it is, once for each attempt; the set goes on with memory of its own. */
static void save(struct reserve *r, struct evacuation *e)
{
    uint32_t set = (uint32_t)(e - r->sets);
    for (uint32_t i = 0; i < r->n_saved; i++)
        if (r->saved[i].set == set)
            return;
    if (r->n_saved == r->saved_size) {
        r->saved_size = r->saved_size ? r->saved_size * 2 : 8;
        r->saved = xrealloc(r->saved, r->saved_size * sizeof(*r->saved));
    }
    r->saved[r->n_saved++] = (struct saved){ .set = set, .was = *e };
    e->leads = new_leads(r);
    e->entries = NULL;
    e->n = e->size = 0;
}

static void prove(struct reserve *r, struct evacuation *e)
{
    if (r->trying)
        save(r, e);
    gather(r, e);
    for (uint32_t i = 0; i < e->n; i++)
        fleet_remove(r->fleet, e->entries[i].guest);
    set_homeless(r, e, try_orders(r, e));
    for (uint32_t i = 0; i < e->n; i++)
        fleet_put(r->fleet, e->entries[i].guest, &e->entries[i].request,
                  &e->entries[i].from);
    note_marks(r, e);
}

/* ---- is a plan still good after a change on a host? ---------------------- */

static bool contains(const struct evacuation *e, uint32_t host)
{
    return e->hosts[0] == host || (e->n_hosts > 1 && e->hosts[1] == host);
}

/* What the plan brings to a host, against what is free there now. */
static bool room_for_all(const struct fleet *f, const struct evacuation *e,
                         uint32_t host)
{
    int64_t need[FLEET_RESOURCES] = { 0 };
    int64_t vcpu[FLEET_CELLS] = { 0 }, memory[FLEET_CELLS] = { 0 };
    int64_t more[FLEET_CELLS][CELL_MORE] = { { 0 } };
    for (uint32_t i = 0; i < e->n; i++) {
        const struct entry *at = &e->entries[i];
        const struct demand *d = &at->request.demand;
        if (at->to.host != host)
            continue;
        if (d->devices[0].count)
            return false; /* not counted here: made anew */
        for (int k = 0; k < FLEET_RESOURCES; k++)
            need[k] += d->need[k];
        for (unsigned left = at->to.cells; left; left &= left - 1) {
            vcpu[__builtin_ctz(left)] += demand_per_cell(d, FLEET_VCPU);
            memory[__builtin_ctz(left)] += demand_per_cell(d, FLEET_MEMORY);
            for (int m = 0; m < CELL_MORE; m++)
                more[__builtin_ctz(left)][m] +=
                    demand_per_cell(d, fleet_cell_more[m]);
        }
    }
    for (int k = 0; k < FLEET_RESOURCES; k++)
        if (need[k] && need[k] > f->free[k][host])
            return false;
    for (int i = 0; i < f->hosts[host].n_cells; i++) {
        const struct fleet_cell *c = &f->hosts[host].cells[i];
        if ((vcpu[i] && vcpu[i] > c->free_vcpu) ||
            (memory[i] && memory[i] > c->free_memory))
            return false;
        for (int m = 0; m < CELL_MORE; m++)
            if (more[i][m] && more[i][m] > c->free_more[m])
                return false;
    }
    return true;
}

/* After something changed on `host` by a guest of `group`. */
static void recheck(struct reserve *r, uint32_t host, uint64_t group,
                    bool less_room)
{
    for (uint32_t i = 0; i < r->n_sets; i++) {
        struct evacuation *e = &r->sets[i];
        bool anew = contains(e, host) || (e->groups & group_bit(group));
        if (!anew && less_room)
            anew = (e->leads[host / 64] >> (host % 64) & 1) &&
                   !room_for_all(r->fleet, e, host);
        if (!anew && !less_room)
            anew = e->homeless; /* there is more room now */
        if (anew)
            prove(r, e);
    }
}

/* ---- making it ----------------------------------------------------------- */

static void add_set(struct reserve *r, uint32_t a, uint32_t b)
{
    struct evacuation *e = &r->sets[r->n_sets++];
    *e = (struct evacuation){ .hosts = { a, b }, .n_hosts = a == b ? 1 : 2 };
    e->leads = new_leads(r);
    r->held++; /* nobody is homeless yet */
    prove(r, e);
}

static uint32_t count_up(const struct fleet *f)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < f->n; i++)
        n += f->hosts[i].facts.state == FLEET_UP;
    return n;
}

static void build(struct reserve *r, const struct fleet *f)
{
    r->fleet = fleet_copy(f);
    fleet_set_mix(r->fleet, NULL); /* a plan needs no look ahead */
    fleet_ranks(r->fleet);
    r->chooser = chooser_new(r->fleet);
    r->seen = f->sequence;
    r->ahead = false;
    bool single = r->failures < 2 || count_up(f) < 2;
    size_t most = single ? f->n : (size_t)f->n * f->n / 2;
    r->sets = xcalloc(most + 1, sizeof(*r->sets));
    for (uint32_t a = 0; a < f->n; a++)
        for (uint32_t b = single ? a : a + 1; b < f->n; b++) {
            if (f->hosts[a].facts.state == FLEET_UP &&
                f->hosts[b].facts.state == FLEET_UP)
                add_set(r, a, b);
            if (single)
                break;
        }
}

static void free_set(struct evacuation *e)
{
    free(e->entries);
    free(e->leads);
}

static void dismantle(struct reserve *r)
{
    for (uint32_t i = 0; i < r->n_sets; i++)
        free_set(&r->sets[i]);
    free(r->sets);
    r->n_sets = r->held = 0;
    chooser_free(r->chooser);
    fleet_free(r->fleet);
}

/* ---- attempts ------------------------------------------------------------ */

static void start_trying(struct reserve *r)
{
    r->trying = true;
    r->n_saved = 0;
}

static void keep(struct reserve *r)
{
    r->trying = false;
    for (uint32_t i = 0; i < r->n_saved; i++)
        free_set(&r->saved[i].was);
}

/* The plans; the fleet is the caller's to bring back. */
static void take_back(struct reserve *r)
{
    r->trying = false;
    for (uint32_t i = 0; i < r->n_saved; i++) {
        struct evacuation *e = &r->sets[r->saved[i].set];
        set_homeless(r, e, r->saved[i].was.homeless);
        free_set(e);
        *e = r->saved[i].was;
    }
}

/* The guest itself if it has no place, else the least of those without. */
static void say_why(const struct evacuation *e, uint64_t guest,
                    struct reserve_why *why)
{
    if (!why)
        return;
    *why = (struct reserve_why){ .n = e->n_hosts };
    memcpy(why->hosts, e->hosts, sizeof(why->hosts));
    for (uint32_t i = 0; i < e->n && why->guest != guest; i++)
        if (e->entries[i].to.host == FLEET_NOWHERE)
            why->guest = e->entries[i].guest;
}

/* Has somebody lost the place they had? */
static bool is_worse(const struct reserve *r, uint64_t guest,
                     struct reserve_why *why)
{
    for (uint32_t i = 0; i < r->n_saved; i++) {
        const struct evacuation *e = &r->sets[r->saved[i].set];
        if (e->homeless <= r->saved[i].was.homeless)
            continue;
        say_why(e, guest, why);
        return true;
    }
    return false;
}

/* ---- outside ------------------------------------------------------------- */

struct reserve *reserve_new(const struct fleet *f, unsigned failures)
{
    struct reserve *r = xcalloc(1, sizeof(*r));
    r->failures = failures;
    build(r, f);
    return r;
}

void reserve_free(struct reserve *r)
{
    if (!r)
        return;
    dismantle(r);
    free(r->saved);
    free(r);
}

uint32_t reserve_held(const struct reserve *r)
{
    return r->held;
}

uint32_t reserve_sets(const struct reserve *r)
{
    return r->n_sets;
}

bool reserve_broken(const struct reserve *r, struct reserve_why *why)
{
    for (uint32_t i = 0; i < r->n_sets; i++)
        if (r->sets[i].homeless) {
            say_why(&r->sets[i], 0, why);
            return true;
        }
    return false;
}

bool reserve_place(const struct reserve *r, const uint32_t *hosts, uint32_t n,
                   uint64_t guest, struct placing *out)
{
    for (uint32_t i = 0; i < r->n_sets; i++) {
        const struct evacuation *e = &r->sets[i];
        if (e->n_hosts != n || !contains(e, hosts[0]) ||
            !contains(e, hosts[n - 1]))
            continue;
        for (uint32_t k = 0; !e->homeless && k < e->n; k++)
            if (e->entries[k].guest == guest) {
                *out = e->entries[k].to;
                return true;
            }
    }
    return false;
}

static void reserve_force(struct reserve *r, uint64_t id,
                          const struct request *request,
                          const struct placing *at)
{
    if (fleet_put(r->fleet, id, request, at))
        recheck(r, at->host, request->group.id, true);
}

static bool try_put(struct reserve *r, uint64_t id,
                    const struct request *request, const struct placing *at,
                    bool stay, struct reserve_why *why)
{
    start_trying(r);
    reserve_force(r, id, request, at);
    bool worse = is_worse(r, id, why);
    if (!worse && stay) {
        keep(r);
        return true;
    }
    fleet_remove(r->fleet, id);
    take_back(r);
    return !worse;
}

bool reserve_put(struct reserve *r, uint64_t id, const struct request *request,
                 const struct placing *at, struct reserve_why *why)
{
    r->ahead = true;
    return try_put(r, id, request, at, true, why);
}

bool reserve_allows(struct reserve *r, const struct request *request,
                    const struct placing *at, struct reserve_why *why)
{
    return try_put(r, RESERVE_NEWCOMER, request, at, false, why);
}

void reserve_remove(struct reserve *r, uint64_t id)
{
    const struct fleet_guest *g = fleet_guest(r->fleet, id);
    if (!g)
        return;
    uint32_t host = g->at.host;
    uint64_t group = g->group.id;
    fleet_remove(r->fleet, id);
    recheck(r, host, group, false);
}

bool reserve_move(struct reserve *r, uint64_t id, const struct placing *to,
                  struct reserve_why *why)
{
    const struct fleet_guest *g = fleet_guest(r->fleet, id);
    if (!g)
        return false;
    struct placing from = g->at;
    uint64_t group = g->group.id;
    r->ahead = true;
    start_trying(r);
    fleet_move(r->fleet, id, to);
    recheck(r, to->host, group, true);
    recheck(r, from.host, group, false);
    bool worse = is_worse(r, id, why);
    if (worse) {
        fleet_move(r->fleet, id, &from);
        take_back(r);
    } else {
        keep(r);
    }
    return !worse;
}

/* ---- following a fleet --------------------------------------------------- */

/* Hosts, or what holds for all of them, are not what they were. */
static bool is_other(const struct reserve *r, const struct fleet *f)
{
    if (f->n != r->fleet->n ||
        memcmp(&f->isolating, &r->fleet->isolating, sizeof(f->isolating)) != 0)
        return true;
    for (uint32_t i = 0; i < f->n; i++)
        if (f->hosts[i].described > r->seen ||
            !f->hosts[i].name != !r->fleet->hosts[i].name)
            return true;
    return false;
}

static bool same_guest(const struct fleet *f, const struct fleet_guest *x,
                       const struct fleet *g, const struct fleet_guest *y)
{
    struct request a, b;
    if (!x || !y || x->at.host != y->at.host || x->at.cells != y->at.cells ||
        memcmp(x->at.devices, y->at.devices, sizeof(x->at.devices)) != 0)
        return false;
    fleet_request_of(f, x, &a);
    fleet_request_of(g, y, &b);
    return demand_same(&a.demand, &b.demand) && a.group.id == b.group.id &&
           a.group.policy == b.group.policy && a.group.most == b.group.most;
}

/* Those on the host that are no longer so. */
static void follow_gone(struct reserve *r, const struct fleet *f, uint32_t host)
{
    uint32_t n = r->fleet->hosts[host].guests, gone = 0;
    uint64_t *ids = xcalloc(n + 1, sizeof(*ids));
    for (struct fleet_guest *g = NULL; (g = fleet_next(r->fleet, host, g));)
        if (!same_guest(r->fleet, g, f, fleet_guest(f, g->id)))
            ids[gone++] = g->id;
    while (gone)
        reserve_remove(r, ids[--gone]);
    free(ids);
}

static void follow_come(struct reserve *r, const struct fleet *f, uint32_t host)
{
    for (struct fleet_guest *g = NULL; (g = fleet_next(f, host, g));) {
        struct request request;
        if (fleet_guest(r->fleet, g->id))
            continue;
        fleet_request_of(f, g, &request);
        reserve_force(r, g->id, &request, &g->at);
    }
}

void reserve_follow(struct reserve *r, const struct fleet *f)
{
    if (r->ahead || f->sequence - r->seen > FLEET_JOURNAL || is_other(r, f)) {
        dismantle(r);
        build(r, f);
        return;
    }
    for (uint64_t i = r->seen; i < f->sequence; i++)
        follow_gone(r, f, f->journal[i % FLEET_JOURNAL]);
    for (uint64_t i = r->seen; i < f->sequence; i++)
        follow_come(r, f, f->journal[i % FLEET_JOURNAL]);
    r->seen = f->sequence;
}
