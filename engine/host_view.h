/*
 * host_view - what a node's record, and the aggregates it is in, say about a
 * host of the fleet: facts, capacity, NUMA cells, devices.
 *
 * A part of view.h, which knows when to ask.  Everything is computed anew
 * from the snapshot; host_differs tells whether the fleet knows it already.
 * Pure but for names, which the fleet and the words are given at first
 * sight.  One thread at a time.
 */
#ifndef CAIRN_ENGINE_HOST_VIEW_H
#define CAIRN_ENGINE_HOST_VIEW_H

#include "engine/fleet.h"
#include "model/pool.h"
#include "state/cache.h"

/* Names that devices go by, and which they are.  They are never dropped:
 * those that no node has any more find nothing free. */
struct device_word {
    char *name;
    bool type; /* a trait that names a type of parts, else a device's name */
    uint8_t kind;
    uint64_t models;
    uint8_t share;        /* as in struct request_device */
    uint16_t thousandths; /* of the largest part that is called so; 0: none */
};

struct device_words {
    struct device_word *at;
    uint32_t n, size;
};

/* A device's name, or (`type`) the trait of a type of parts.  Case of letters
 * does not count; NULL: unknown. */
const struct device_word *device_words_find(const struct device_words *w,
                                            const char *name, bool type);
void device_words_free(struct device_words *w);

struct host_source {
    struct fleet *fleet;
    const struct snapshot *snap;
    int64_t now;
    struct device_words *words;
};

/* Does the condition (view.h) hold on the node?  Other traits are none. */
bool host_holds(const struct host_source *src, const struct node *node,
                const char *condition);
void host_facts(const struct host_source *src, const struct node *n,
                struct fleet_facts *out);

struct host_capacity {
    int32_t of[FLEET_RESOURCES];
    unsigned n_cells, n_devices;
    struct fleet_cell cells[FLEET_CELLS];       /* capacity only */
    struct fleet_device devices[FLEET_DEVICES]; /* what they are only */
};

void host_capacity(const struct host_source *src, const struct node *n,
                   struct host_capacity *out);
bool host_differs(const struct fleet *f, uint32_t host,
                  const struct host_capacity *c);
/* Only while no guest is on it. */
void host_set(struct fleet *f, uint32_t host, const struct host_capacity *c);

struct node_use;
struct guest_use;
/* What was measured; `u`, `g` NULL: nothing. */
void host_use_of(const struct node *n, const struct node_use *u,
                 struct fleet_host_use *out);
void guest_use_of(const struct guest_use *g, struct fleet_use *out);

#endif
