#include "engine/fleet_impl.h"

#include "engine/pages.h"

#include <stdlib.h>
#include <string.h>

#define NONE FLEET_NONE

_Static_assert(sizeof(struct fleet_guest) == PAGES_LINE &&
                   sizeof(struct fleet_host) % PAGES_LINE == 0,
               "who comes or goes touches one cache line of each");

/* ---- classes ------------------------------------------------------------- */

static void link_class(struct fleet *f, uint32_t i)
{
    struct fleet_class *c = &f->classes[i];
    c->next = map64_get(&f->class_hashes, c->hash);
    map64_set(&f->class_hashes, c->hash, i);
}

/* Forgets the classes that no guest has. */
static void sweep_classes(struct fleet *f)
{
    map64_free(&f->class_hashes);
    f->n_classes = 0;
    for (uint32_t i = 0; i < f->class_size; i++) {
        struct fleet_class *c = &f->classes[i];
        if (c->used && !c->guests) {
            c->used = false;
            c->version++;
        }
        if (!c->used)
            continue;
        link_class(f, i);
        f->n_classes++;
    }
}

static void make_room_for_class(struct fleet *f)
{
    if (f->n_classes < f->class_size)
        return;
    sweep_classes(f);
    if (f->n_classes < f->class_size / 2)
        return;
    uint32_t size = f->class_size ? f->class_size * 2 : FLEET_SLOTS_MIN;
    fleet_widen(&f->classes, sizeof(*f->classes), f->class_size, size);
    f->class_size = size;
}

static uint32_t find_class(const struct fleet *f, const struct demand *d,
                           uint64_t hash)
{
    uint32_t i = map64_get(&f->class_hashes, hash);
    while (i != NONE && !demand_same(&f->classes[i].demand, d))
        i = f->classes[i].next;
    return i;
}

uint32_t fleet_class(struct fleet *f, const struct demand *d)
{
    /* Few are asked for again and again, and whoever chooses puts next. */
    uint32_t *recent = &f->recent[demand_hint(d) % FLEET_RECENT], i = *recent;
    if (i < f->class_size && f->classes[i].used &&
        demand_same(&f->classes[i].demand, d))
        return i;
    uint64_t hash = demand_hash(d) | 1;
    i = find_class(f, d, hash);
    if (i != NONE)
        return *recent = i;
    make_room_for_class(f);
    /* The table fills from the front, save where it was swept. */
    for (i = f->n_classes; f->classes[i].used;)
        i = i ? i - 1 : f->class_size - 1;
    struct fleet_class *c = &f->classes[i];
    *c = (struct fleet_class){
        .demand = *d, .hash = hash, .version = c->version, .used = true
    };
    link_class(f, i);
    f->n_classes++;
    return *recent = i;
}

const struct demand *fleet_demand(const struct fleet *f, uint32_t class_)
{
    return &f->classes[class_].demand;
}

/* ---- groups -------------------------------------------------------------- */

const struct fleet_group *fleet_group(const struct fleet *f, uint64_t id)
{
    uint32_t i = id ? map64_get(&f->group_ids, id) : MAP64_NONE;
    return i == MAP64_NONE ? NULL : &f->groups[i];
}

static struct fleet_member *member(const struct fleet_group *g, uint32_t host)
{
    for (uint32_t i = 0; i < g->n; i++)
        if (g->at[i].host == host)
            return &g->at[i];
    return NULL;
}

uint32_t fleet_group_on(const struct fleet_group *g, uint32_t host)
{
    const struct fleet_member *m = g ? member(g, host) : NULL;
    return m ? m->count : 0;
}

static struct fleet_group *new_group(struct fleet *f, uint64_t id)
{
    uint32_t i = f->group_hole;
    if (i != NONE) {
        f->group_hole = f->groups[i].total;
    } else {
        if (f->group_slots == f->group_size) {
            uint32_t size = f->group_size ? f->group_size * 2 : FLEET_SLOTS_MIN;
            fleet_widen(&f->groups, sizeof(*f->groups), f->group_size, size);
            f->group_size = size;
        }
        i = f->group_slots++;
    }
    struct fleet_group *g = &f->groups[i];
    *g = (struct fleet_group){ .id = id, .at = g->at, .size = g->size };
    map64_set(&f->group_ids, id, i);
    return g;
}

static void join_group(struct fleet *f, uint64_t id, uint32_t host)
{
    if (!id)
        return;
    uint32_t i = map64_get(&f->group_ids, id);
    struct fleet_group *g = i == MAP64_NONE ? new_group(f, id) : &f->groups[i];
    struct fleet_member *m = member(g, host);
    g->total++;
    if (m) {
        m->count++;
        return;
    }
    if (g->n == g->size) {
        uint32_t size = g->size ? g->size * 2 : 4;
        fleet_widen(&g->at, sizeof(*g->at), g->size, size);
        g->size = size;
    }
    g->at[g->n++] = (struct fleet_member){ .host = host, .count = 1 };
}

static void leave_group(struct fleet *f, uint64_t id, uint32_t host)
{
    if (!id)
        return;
    uint32_t i = map64_get(&f->group_ids, id);
    struct fleet_group *g = &f->groups[i];
    struct fleet_member *m = member(g, host);
    if (!--m->count)
        *m = g->at[--g->n];
    if (--g->total)
        return;
    map64_drop(&f->group_ids, id);
    g->id = 0;
    g->total = f->group_hole; /* the list of free ones */
    f->group_hole = i;
}

/* ---- guests -------------------------------------------------------------- */

static void take_device(struct fleet_device *v,
                        const struct request_device *want, int32_t sign)
{
    v->free = (int16_t)(v->free - sign * device_takes(v, want));
    if (v->usual)
        v->share = v->free >= 1000 ? 0
                   : sign > 0      ? device_type(v, want)
                                   : v->share;
}

/* Takes from (`sign` 1) or gives back to (-1) the host. */
static void take(struct fleet *f, const struct demand *d,
                 const struct placing *at, int32_t sign)
{
    struct fleet_host *h = &f->hosts[at->host];
    for (int r = 0; r < FLEET_RESOURCES; r++)
        if (d->need[r])
            f->free[r][at->host] -= sign * d->need[r];
    for (int c = 0; d->cells && c < h->n_cells; c++)
        if (at->cells >> c & 1) {
            h->cells[c].free_vcpu -= sign * demand_per_cell(d, FLEET_VCPU);
            h->cells[c].free_memory -= sign * demand_per_cell(d, FLEET_MEMORY);
            for (int m = 0; m < CELL_MORE; m++)
                h->cells[c].free_more[m] -=
                    sign * demand_per_cell(d, fleet_cell_more[m]);
        }
    for (int k = 0; k < REQUEST_DEVICES && d->devices[k].count; k++)
        for (int i = 0; i < h->n_devices; i++)
            if (at->devices[k] >> i & 1)
                take_device(&h->devices[i], &d->devices[k], sign);
    fleet_touch(f, at->host);
}

/* The list is full. */
static void widen_list(struct fleet_host *h)
{
    uint32_t size = h->guests * 2;
    fleet_widen(&h->far, sizeof(*h->far), h->size, size);
    if (!h->size)
        memcpy(h->far, h->near, sizeof(h->near));
    h->size = size;
}

static void enter_host(struct fleet *f, uint32_t slot, uint32_t host)
{
    struct fleet_host *h = &f->hosts[host];
    if (h->guests == (h->size ? h->size : FLEET_NEAR))
        widen_list(h);
    fleet_slots(h)[h->guests++] = slot;
}

static uint32_t place_of(const uint32_t *slots, uint32_t slot)
{
    uint32_t i = 0;
    while (slots[i] != slot)
        i++;
    return i;
}

static void leave_host(struct fleet *f, uint32_t slot, uint32_t host)
{
    struct fleet_host *h = &f->hosts[host];
    uint32_t *slots = fleet_slots(h);
    slots[place_of(slots, slot)] = slots[--h->guests];
}

static void settle(struct fleet *f, uint32_t slot, const struct placing *at)
{
    struct fleet_guest *g = &f->guests[slot];
    g->at = *at;
    take(f, fleet_demand(f, g->class_), at, 1);
    join_group(f, g->group.id, at->host);
    enter_host(f, slot, at->host);
}

static void unsettle(struct fleet *f, uint32_t slot)
{
    const struct fleet_guest *g = &f->guests[slot];
    leave_group(f, g->group.id, g->at.host);
    take(f, fleet_demand(f, g->class_), &g->at, -1);
}

static uint32_t vacant_slot(struct fleet *f)
{
    uint32_t i = f->guest_hole;
    if (i != NONE) {
        f->guest_hole = f->guests[i].at.host;
        return i;
    }
    if (f->guest_slots == f->guest_size) {
        uint32_t size = f->guest_size ? f->guest_size * 2 : FLEET_SLOTS_MIN;
        fleet_widen(&f->guests, sizeof(*f->guests), f->guest_size, size);
        fleet_widen(&f->guest_uses, sizeof(*f->guest_uses), f->guest_size,
                    size);
        f->guest_size = size;
    }
    return f->guest_slots++;
}

bool fleet_put(struct fleet *f, uint64_t id, const struct request *r,
               const struct placing *at)
{
    if (map64_get(&f->guest_ids, id) != MAP64_NONE)
        return false;
    uint32_t slot = vacant_slot(f), class_ = fleet_class(f, &r->demand);
    f->classes[class_].guests++;
    f->guests[slot] = (struct fleet_guest){
        .id = id,
        .class_ = class_ & INT32_MAX,
        .priority = r->priority,
        .movable = true,
        .group = r->group,
        .local = r->demand.need[FLEET_DISK],
    };
    map64_set(&f->guest_ids, id, slot)->more = at->host;
    f->n_guests++;
    settle(f, slot, at);
    return true;
}

/* A guest and its host, begun to be read side by side: else the one waits
 * for the other, and each is a memory access away. */
static void fetch(const struct fleet *f, const struct map64_slot *s)
{
    const struct fleet_host *h = &f->hosts[s->more];
    __builtin_prefetch(&f->guests[s->value], 1);
    __builtin_prefetch(h, 1);
    __builtin_prefetch(h->near, 1);
    __builtin_prefetch(h->near + FLEET_NEAR / 2, 1);
}

bool fleet_remove(struct fleet *f, uint64_t id)
{
    const struct map64_slot *s = map64_find(&f->guest_ids, id);
    if (!s)
        return false;
    fetch(f, s);
    uint32_t slot = s->value;
    leave_host(f, slot, s->more);
    map64_drop(&f->guest_ids, id);
    unsettle(f, slot);
    f->classes[f->guests[slot].class_].guests--;
    f->guests[slot] = (struct fleet_guest){ .at.host = f->guest_hole };
    f->guest_hole = slot;
    f->n_guests--;
    return true;
}

void fleet_set_use(struct fleet *f, uint64_t id, const struct fleet_use *use)
{
    uint32_t slot = map64_get(&f->guest_ids, id);
    if (slot == MAP64_NONE)
        return;
    f->guest_uses[slot] = *use;
    f->guests[slot].measured = true;
}

/* Where nothing is known the memory is not even touched. */
const struct fleet_use *fleet_use(const struct fleet *f,
                                  const struct fleet_guest *g)
{
    static const struct fleet_use nothing;
    return g->measured ? &f->guest_uses[g - f->guests] : &nothing;
}

bool fleet_move(struct fleet *f, uint64_t id, const struct placing *to)
{
    struct map64_slot *s = map64_find(&f->guest_ids, id);
    if (!s)
        return false;
    fetch(f, s);
    leave_host(f, s->value, s->more);
    s->more = to->host;
    unsettle(f, s->value);
    settle(f, s->value, to);
    return true;
}

struct fleet_guest *fleet_guest(const struct fleet *f, uint64_t id)
{
    uint32_t slot = map64_get(&f->guest_ids, id);
    return slot == MAP64_NONE ? NULL : &f->guests[slot];
}

struct fleet_guest *fleet_next(const struct fleet *f, uint32_t host,
                               const struct fleet_guest *g)
{
    struct fleet_host *h = &f->hosts[host];
    const uint32_t *slots = fleet_slots(h);
    uint32_t i = g ? place_of(slots, (uint32_t)(g - f->guests)) + 1 : 0;
    return i < h->guests ? &f->guests[slots[i]] : NULL;
}

void fleet_request_of(const struct fleet *f, const struct fleet_guest *g,
                      struct request *out)
{
    *out = (struct request){
        .demand = *fleet_demand(f, g->class_),
        .group = g->group,
        .priority = g->priority,
    };
}
