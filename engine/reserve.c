#include "engine/reserve.h"

#include "common/alloc.h"

#include <stdlib.h>
#include <string.h>

struct entry {
    uint64_t guest, group;
    struct request request; /* of the guest, no lists */
    struct placing from, to;
};

struct evacuation {
    uint32_t hosts[RESERVE_FAILURES], n_hosts;
    bool held;
    uint64_t stuck;  /* not held: the guest without a place */
    uint64_t *leads; /* bits: hosts that the plan leads to */
    uint64_t groups; /* of its guests: a bit by the hash of each */
    struct entry *entries;
    uint32_t n, size;
};

struct reserve {
    struct fleet *fleet; /* its own */
    struct chooser *chooser;
    unsigned failures;
    struct evacuation *sets;
    uint32_t n_sets, held;
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

/* The guests of the set's hosts, as they are now. */
static void gather(struct reserve *r, struct evacuation *e)
{
    const struct fleet *f = r->fleet;
    e->n = 0;
    for (uint32_t i = 0; i < e->n_hosts; i++)
        for (const struct fleet_guest *g = fleet_next(f, e->hosts[i], NULL); g;
             g = fleet_next(f, e->hosts[i], g)) {
            if (e->n == e->size) {
                e->size = e->size ? e->size * 2 : 8;
                e->entries =
                    xrealloc(e->entries, e->size * sizeof(struct entry));
            }
            struct entry *to = &e->entries[e->n++];
            *to = (struct entry){ .guest = g->id,
                                  .group = g->group.id,
                                  .from = g->at };
            fleet_request_of(f, g, &to->request);
        }
}

/* Places all, in the order they are in; the first `*placed` of them are on
 * the fleet afterwards. */
static bool place_all(struct reserve *r, struct evacuation *e, uint32_t *placed)
{
    for (*placed = 0; *placed < e->n; ++*placed) {
        struct entry *at = &e->entries[*placed];
        struct request q = at->request;
        q.excluded = (struct host_list){ e->hosts, e->n_hosts };
        if (!choose(r->chooser, &q, &at->to))
            return false;
        fleet_put(r->fleet, at->guest, &at->request, &at->to);
    }
    return true;
}

/* On the fleet without these guests; which is as before afterwards. */
static bool try_order(struct reserve *r, struct evacuation *e,
                      int (*order)(const void *, const void *))
{
    uint32_t placed;
    if (e->n)
        qsort(e->entries, e->n, sizeof(struct entry), order);
    bool all = place_all(r, e, &placed);
    if (!all)
        e->stuck = e->entries[placed].guest;
    while (placed)
        fleet_remove(r->fleet, e->entries[--placed].guest);
    return all;
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
        if (e->held)
            e->leads[to / 64] |= 1ULL << (to % 64);
        e->groups |= group_bit(e->entries[i].group);
    }
}

static void set_held(struct reserve *r, struct evacuation *e, bool held)
{
    r->held += held;
    r->held -= e->held;
    e->held = held;
}

static void prove(struct reserve *r, struct evacuation *e)
{
    gather(r, e);
    for (uint32_t i = 0; i < e->n; i++)
        fleet_remove(r->fleet, e->entries[i].guest);
    set_held(r, e,
             try_order(r, e, larger_memory) || try_order(r, e, larger_vcpu) ||
                 try_order(r, e, pickier));
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
            anew = e->held && (e->leads[host / 64] >> (host % 64) & 1) &&
                   !room_for_all(r->fleet, e, host);
        if (!anew && !less_room)
            anew = !e->held; /* there is more room now */
        if (anew)
            prove(r, e);
    }
}

/* ---- outside ------------------------------------------------------------- */

static void add_set(struct reserve *r, uint32_t a, uint32_t b)
{
    struct evacuation *e = &r->sets[r->n_sets++];
    *e = (struct evacuation){ .hosts = { a, b }, .n_hosts = a == b ? 1 : 2 };
    e->leads = xcalloc((r->fleet->n + 63) / 64, sizeof(uint64_t));
    prove(r, e);
}

struct reserve *reserve_new(const struct fleet *f, unsigned failures)
{
    struct reserve *r = xcalloc(1, sizeof(*r));
    r->fleet = fleet_copy(f);
    fleet_ranks(r->fleet);
    r->chooser = chooser_new(r->fleet);
    r->failures = failures;
    size_t most = failures < 2 ? f->n : (size_t)f->n * f->n / 2;
    r->sets = xcalloc(most + 1, sizeof(*r->sets));
    for (uint32_t a = 0; a < f->n; a++)
        for (uint32_t b = failures < 2 ? a : a + 1; b < f->n; b++) {
            if (f->hosts[a].facts.state == FLEET_UP &&
                f->hosts[b].facts.state == FLEET_UP)
                add_set(r, a, b);
            if (failures < 2)
                break;
        }
    return r;
}

void reserve_free(struct reserve *r)
{
    if (!r)
        return;
    for (uint32_t i = 0; i < r->n_sets; i++) {
        free(r->sets[i].entries);
        free(r->sets[i].leads);
    }
    free(r->sets);
    chooser_free(r->chooser);
    fleet_free(r->fleet);
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

static void say_why(const struct evacuation *e, struct reserve_why *why)
{
    if (!why)
        return;
    *why = (struct reserve_why){ .n = e->n_hosts, .guest = e->stuck };
    memcpy(why->hosts, e->hosts, sizeof(why->hosts));
}

bool reserve_broken(const struct reserve *r, struct reserve_why *why)
{
    for (uint32_t i = 0; i < r->n_sets; i++)
        if (!r->sets[i].held) {
            say_why(&r->sets[i], why);
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
        for (uint32_t k = 0; e->held && k < e->n; k++)
            if (e->entries[k].guest == guest) {
                *out = e->entries[k].to;
                return true;
            }
    }
    return false;
}

/* ---- following the fleet ------------------------------------------------- */

/* Which sets were held before a change that may be taken back. */
static bool *remember(const struct reserve *r)
{
    bool *was = xcalloc(r->n_sets + 1, sizeof(*was));
    for (uint32_t i = 0; i < r->n_sets; i++)
        was[i] = r->sets[i].held;
    return was;
}

static bool lost_any(const struct reserve *r, const bool *was,
                     struct reserve_why *why)
{
    for (uint32_t i = 0; i < r->n_sets; i++)
        if (was[i] && !r->sets[i].held) {
            say_why(&r->sets[i], why);
            return true;
        }
    return false;
}

void reserve_force(struct reserve *r, uint64_t id,
                   const struct request *request, const struct placing *at)
{
    if (fleet_put(r->fleet, id, request, at))
        recheck(r, at->host, request->group.id, true);
}

bool reserve_put(struct reserve *r, uint64_t id, const struct request *request,
                 const struct placing *at, struct reserve_why *why)
{
    bool *was = remember(r);
    reserve_force(r, id, request, at);
    bool lost = lost_any(r, was, why);
    free(was);
    if (lost)
        reserve_remove(r, id);
    return !lost;
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

static void force_move(struct reserve *r, uint64_t id, const struct placing *to)
{
    const struct fleet_guest *g = fleet_guest(r->fleet, id);
    uint32_t from = g->at.host;
    uint64_t group = g->group.id;
    fleet_move(r->fleet, id, to);
    recheck(r, to->host, group, true);
    recheck(r, from, group, false);
}

bool reserve_move(struct reserve *r, uint64_t id, const struct placing *to,
                  struct reserve_why *why)
{
    const struct fleet_guest *g = fleet_guest(r->fleet, id);
    if (!g)
        return false;
    struct placing from = g->at;
    bool *was = remember(r);
    force_move(r, id, to);
    bool lost = lost_any(r, was, why);
    free(was);
    if (lost)
        force_move(r, id, &from);
    return !lost;
}
