/*
 * request - what is asked of the pool: the words of the engine.
 *
 * A request has two parts.  The *demand* is what its flavor, image and
 * tenant say: resources, devices, NUMA cells, traits, aggregates, zone,
 * policy.  Requests with equal demands are of one class: a host suits all of
 * them or none, with the same score, which is what makes indexes possible.
 * The rest belongs to the one request: its group, spread, and the hosts it
 * is bound to, kept from or would rather have.
 *
 * Plain values, compared byte by byte: start from zeroes ({ 0 }).  Names
 * (traits, aggregates, zones, ...) are numbers that a fleet has given
 * (fleet.h).  Lists are borrowed.  Pure; no threads.
 */
#ifndef CAIRN_ENGINE_REQUEST_H
#define CAIRN_ENGINE_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- sets of up to 256 numbers ------------------------------------------ */

#define FLEET_SET_MAX 256
struct fleet_set {
    uint64_t w[FLEET_SET_MAX / 64];
};

static inline void set_add(struct fleet_set *s, unsigned i)
{
    s->w[i / 64] |= 1ULL << (i % 64);
}

static inline void set_drop(struct fleet_set *s, unsigned i)
{
    s->w[i / 64] &= ~(1ULL << (i % 64));
}

static inline bool set_has(const struct fleet_set *s, unsigned i)
{
    return s->w[i / 64] >> (i % 64) & 1;
}

static inline bool set_empty(const struct fleet_set *s)
{
    return !(s->w[0] | s->w[1] | s->w[2] | s->w[3]);
}

static inline bool set_meets(const struct fleet_set *a,
                             const struct fleet_set *b)
{
    return ((a->w[0] & b->w[0]) | (a->w[1] & b->w[1]) | (a->w[2] & b->w[2]) |
            (a->w[3] & b->w[3])) != 0;
}

/* Is all of `part` in `whole`? */
static inline bool set_within(const struct fleet_set *part,
                              const struct fleet_set *whole)
{
    return !((part->w[0] & ~whole->w[0]) | (part->w[1] & ~whole->w[1]) |
             (part->w[2] & ~whole->w[2]) | (part->w[3] & ~whole->w[3]));
}

/* ---- the demand ---------------------------------------------------------- */

/* Resources are columns of whole numbers in these units. */
enum fleet_resource {
    FLEET_VCPU,      /* thousandths of a vCPU */
    FLEET_MEMORY,    /* MiB */
    FLEET_DISK,      /* GiB of the host's own disks */
    FLEET_BANDWIDTH, /* Mbit/s */
    FLEET_HUGEPAGES, /* MiB in pages of 2 MiB */
    FLEET_VOLUMES,   /* GiB, thin */
    FLEET_GIGAPAGES, /* MiB in pages of 1 GiB */
    FLEET_PCPU,      /* CPUs that are one guest's alone */
    FLEET_CUSTOM,    /* the first of the classes interned by name */
    FLEET_RESOURCES = 16
};

/* One kind of device: `count` different ones, `thousandths` of each. */
struct request_device {
    uint8_t kind;         /* fleet_name(FLEET_NAME_DEVICE, "GPU") */
    uint8_t count;        /* 0: no more kinds */
    uint16_t thousandths; /* 1 .. 1000 */
    uint8_t share;        /* 0: none; what type of part, FLEET_SHARE_ANY */
    uint8_t zero[3];
    uint64_t models; /* 1 << model for each that will do; 0: any */
};

#define FLEET_SHARE_ANY                                                        \
    1 /* whatever type the device is usually divided into                      \
       */
#define REQUEST_DEVICES 4
#define REQUEST_ANY     2

struct demand {
    int32_t need[FLEET_RESOURCES];
    struct request_device devices[REQUEST_DEVICES];
    struct fleet_set required;         /* traits */
    struct fleet_set forbidden;        /* traits */
    struct fleet_set any[REQUEST_ANY]; /* aggregates: one of each, if not {} */
    struct fleet_set barred;           /* aggregates: none of these */
    struct fleet_set entitled;         /* isolating aggregates that admit it */
    uint64_t cpus;  /* kinds of CPU (fleet_cpu) that will do, as bits; 0: any */
    uint32_t zone;  /* 0: any */
    uint16_t cells; /* NUMA cells to split over; 0: floats */
    uint16_t policy; /* row of fleet.policies */
};

/* ---- the request --------------------------------------------------------- */

enum request_policy {
    REQUEST_ALONE, /* in no group */
    REQUEST_AFFINITY,
    REQUEST_ANTI_AFFINITY,
    REQUEST_SOFT_AFFINITY,
    REQUEST_SOFT_ANTI_AFFINITY
};

enum fleet_level { FLEET_LEVEL_HOST, FLEET_LEVEL_RACK, FLEET_LEVEL_ZONE };

/* Group and spread bind a guest for its whole life. */
struct request_group {
    uint64_t id;   /* 0: none */
    uint32_t most; /* a host, for anti-affinity; 0: one */
    uint8_t policy;
    uint8_t level; /* spread of the group over ... */
    uint16_t skew; /* ... by at most this many; 0: no such wish */
};

struct host_list {
    const uint32_t *at;
    uint32_t n;
};

struct request {
    struct demand demand;
    struct request_group group;
    struct host_list allowed;   /* only these, unless n is 0 */
    struct host_list excluded;  /* none of these */
    struct host_list preferred; /* these before all others */
    int32_t priority;           /* larger is more important */
};

/* Where a guest is, or would be. */
#define FLEET_NOWHERE UINT32_MAX
struct placing {
    uint32_t host;
    uint8_t cells;                     /* bit: NUMA cell of the host */
    uint16_t devices[REQUEST_DEVICES]; /* bit: device of the host, by kind */
};

/* What falls to each cell of a demand with cells. */
static inline int32_t demand_per_cell(const struct demand *d,
                                      enum fleet_resource resource)
{
    return (d->need[resource] + d->cells - 1) / d->cells;
}

bool demand_same(const struct demand *a, const struct demand *b);
uint64_t demand_hash(const struct demand *d);
/* Few bits that mostly tell demands apart; cheap. */
static inline uint32_t demand_hint(const struct demand *d)
{
    uint32_t h = 0;
    for (int i = 0; i < FLEET_CUSTOM; i++)
        h = (h + (uint32_t)d->need[i]) * 0x9E3779B1U;
    return h >> 16;
}

/* No NUMA cells, no devices: resources and sets only. */
bool demand_plain(const struct demand *d);

#endif
