/*
 * fleet_world - random pools and random requests, for tests of the engine.
 *
 * Small and crowded on purpose: every constraint, sometimes all at once,
 * hosts that differ in everything, ties.  Same seed, same world.
 */
#ifndef CAIRN_TESTS_FLEET_WORLD_H
#define CAIRN_TESTS_FLEET_WORLD_H

#include "engine/choose.h"

#include <stdio.h>
#include <string.h>

#define WORLD_TRAITS     6
#define WORLD_AGGREGATES 5
#define WORLD_GROUPS     24
#define WORLD_LIST       6
#define WORLD_KINDS      2
#define WORLD_MODELS     3
#define WORLD_POLICIES   4 /* the last: fragmentation */

struct world_random {
    uint64_t state;
};

static inline uint32_t world_draw(struct world_random *r, uint32_t below)
{
    r->state += 0x9E3779B97F4A7C15ULL;
    uint64_t z = r->state;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
    return (uint32_t)((z ^ (z >> 31)) >> 32) % below;
}

static inline bool world_chance(struct world_random *r, uint32_t percent)
{
    return world_draw(r, 100) < percent;
}

static inline struct fleet_set world_set(struct world_random *r, unsigned of,
                                         uint32_t percent)
{
    struct fleet_set s = { 0 };
    for (unsigned i = 0; i < of; i++)
        if (world_chance(r, percent))
            set_add(&s, i * 37 % FLEET_SET_MAX);
    return s;
}

static inline void world_facts(struct world_random *r, struct fleet *f,
                               uint32_t host)
{
    struct fleet_facts facts = {
        .state = FLEET_UP,
        .zone = world_draw(r, 4),
        .rack = world_draw(r, 7),
        .largest_vcpu = world_chance(r, 20) ? 8000 : 0,
        .traits = world_set(r, WORLD_TRAITS, 60),
        .aggregates = world_set(r, WORLD_AGGREGATES, 40),
    };
    if (world_chance(r, 8))
        facts.state = (uint8_t)(FLEET_DISABLED + world_draw(r, 3));
    fleet_set_facts(f, host, &facts);
}

/* Huge pages and CPUs of guests' own, more in some cells than in others. */
static inline void world_pages(struct world_random *r, struct fleet *f,
                               uint32_t host)
{
    int32_t pages = 0, cpus = 0;
    for (unsigned i = 0; i < f->hosts[host].n_cells; i++) {
        struct fleet_cell c = f->hosts[host].cells[i];
        c.more[CELL_HUGEPAGES] = (int32_t)world_draw(r, 5) * 4096;
        c.more[CELL_PCPU] = (int32_t)world_draw(r, 3) * 4;
        pages += c.more[CELL_HUGEPAGES];
        cpus += c.more[CELL_PCPU];
        fleet_set_cell(f, host, i, &c);
    }
    fleet_set_capacity(f, host, FLEET_HUGEPAGES, pages);
    fleet_set_capacity(f, host, FLEET_PCPU, cpus);
}

/* Few sizes, so that there are ties. */
static inline uint32_t world_host(struct world_random *r, struct fleet *f,
                                  unsigned number)
{
    static const int32_t cores[] = { 8, 16, 16, 32, 48 };
    char name[32];
    /* Not in the order in which they come. */
    snprintf(name, sizeof(name), "n%03u-%u", number * 7919 % 1000, number);
    uint32_t h = fleet_add_host(f, name);
    int32_t n = cores[world_draw(r, 5)];
    fleet_set_capacity(f, h, FLEET_VCPU, n * 1000);
    fleet_set_capacity(f, h, FLEET_MEMORY, n * 4096);
    fleet_set_capacity(f, h, FLEET_DISK, n * 20);
    fleet_set_capacity(f, h, FLEET_CUSTOM, (int32_t)world_draw(r, 3) * 4);
    unsigned cells = 1U << world_draw(r, 4);
    if (world_chance(r, 70))
        fleet_set_cells(f, h, cells, n * 1000 / (int32_t)cells,
                        n * 4096 / (int32_t)cells);
    if (f->hosts[h].n_cells && world_chance(r, 40))
        world_pages(r, f, h);
    if (world_chance(r, 40))
        for (uint32_t i = 1 + world_draw(r, 8); i; i--) {
            /* One a statement: else compilers draw in other orders. */
            uint8_t model = (uint8_t)world_draw(r, WORLD_MODELS);
            uint8_t kind = (uint8_t)world_draw(r, WORLD_KINDS);
            fleet_add_device(f, h, kind, model, (uint8_t)(i % cells));
        }
    world_facts(r, f, h);
    return h;
}

static inline void world_devices(struct world_random *r, struct demand *d)
{
    for (int k = 0; k < (world_chance(r, 20) ? 2 : 1); k++)
        d->devices[k] = (struct request_device){
            .kind = (uint8_t)world_draw(r, WORLD_KINDS),
            .count =
                (uint8_t)(1 + (world_chance(r, 30) ? world_draw(r, 4) : 0)),
            .thousandths =
                (uint16_t)(world_chance(r, 50) ? 1000
                                               : 100 * (1 + world_draw(r, 9))),
            .models = world_chance(r, 30) ? 1 + world_draw(r, 7) : 0,
        };
}

static inline void world_demand(struct world_random *r, struct demand *d)
{
    int32_t n = 1 << world_draw(r, 5);
    *d = (struct demand){ .need = { n * 500, n * 1024 } };
    d->policy = (uint16_t)world_draw(r, WORLD_POLICIES);
    if (world_chance(r, 50))
        d->need[FLEET_DISK] = n * 8;
    if (world_chance(r, 5))
        d->need[FLEET_CUSTOM] = 1;
    if (world_chance(r, 20))
        d->cells = (uint16_t)(1 + world_draw(r, 2));
    if (d->cells && world_chance(r, 30)) {
        d->need[FLEET_PCPU] = (n + 1) / 2;
        d->need[FLEET_VCPU] = 0;
    }
    if (d->cells && world_chance(r, 30)) {
        d->need[FLEET_HUGEPAGES] = n * 1024;
        d->need[FLEET_MEMORY] = 0;
    }
    if (world_chance(r, 25))
        world_devices(r, d);
    if (world_chance(r, 20))
        d->required = world_set(r, WORLD_TRAITS, 20);
    if (world_chance(r, 10))
        d->forbidden = world_set(r, WORLD_TRAITS, 10);
    if (world_chance(r, 15))
        d->any[0] = world_set(r, WORLD_AGGREGATES, 40);
    if (world_chance(r, 5))
        d->any[1] = world_set(r, WORLD_AGGREGATES, 40);
    if (world_chance(r, 10))
        d->barred = world_set(r, WORLD_AGGREGATES, 15);
    if (world_chance(r, 40))
        d->entitled = world_set(r, WORLD_AGGREGATES, 50);
    if (world_chance(r, 15))
        d->zone = 1 + world_draw(r, 3);
}

static inline struct host_list world_list(struct world_random *r,
                                          const struct fleet *f, uint32_t *at,
                                          uint32_t percent)
{
    struct host_list list = { .at = at };
    if (world_chance(r, percent))
        list.n = 1 + world_draw(r, WORLD_LIST);
    for (uint32_t i = 0; i < list.n; i++)
        at[i] = world_draw(r, f->n);
    return list;
}

/* What a group wants is the same for all its members. */
static inline struct request_group world_group(uint32_t number)
{
    struct world_random r = { number };
    struct request_group g = { .id = number + 1 };
    g.policy = (uint8_t)world_draw(&r, 5);
    g.most = world_draw(&r, 3);
    g.level = (uint8_t)world_draw(&r, 3);
    g.skew = (uint16_t)(world_chance(&r, 40) ? 1 + world_draw(&r, 2) : 0);
    return g;
}

/* `lists` is room for 3 * WORLD_LIST hosts. */
static inline void world_request(struct world_random *r, const struct fleet *f,
                                 uint32_t *lists, struct request *out)
{
    out->group = (struct request_group){ 0 };
    if (world_chance(r, 35))
        out->group = world_group(world_draw(r, WORLD_GROUPS));
    out->allowed = world_list(r, f, lists, 4);
    out->excluded = world_list(r, f, lists + WORLD_LIST, 10);
    out->preferred = world_list(r, f, lists + 2 * WORLD_LIST, 10);
    out->priority = 0;
}

static inline struct fleet *world_new(struct world_random *r, unsigned hosts)
{
    static const struct score_policy policies[] = {
        { .kind = SCORE_SPREAD },
        { .kind = SCORE_PACK },
        { .kind = SCORE_PACK, .weight = { 3, 1 } },
        { .kind = SCORE_FRAGMENTATION },
    };
    struct fleet *f = fleet_new();
    for (unsigned i = 0; i < WORLD_POLICIES; i++)
        fleet_set_policy(f, i, &policies[i]);
    for (unsigned i = 0; i < hosts; i++)
        world_host(r, f, i);
    struct fleet_set apart = world_set(r, WORLD_AGGREGATES, 30);
    fleet_set_isolating(f, &apart);
    return f;
}

/* To be written. */
static inline struct fleet_use *world_use(struct fleet *f, uint64_t id)
{
    struct fleet_guest *g = fleet_guest(f, id);
    if (!g->measured)
        fleet_set_use(f, id, &(struct fleet_use){ 0 });
    return &f->guest_uses[g - f->guests];
}

#endif
