/*
 * fleet - the pool as the engine sees it: hosts and the guests on them.
 *
 * Amounts stand in columns (an array a resource, an entry a host), so that
 * one instruction looks at many hosts; what a host merely is (state, traits,
 * cells, devices) stands in its struct fleet_host.  Hosts are numbered
 * densely and numbers of dropped hosts are used again; ties between hosts go
 * to the first by *name* (fleet.rank), so an answer never depends on the
 * order in which a fleet was filled.
 *
 * Guests carry what binds them for life: the class of their demand, their
 * group, where they are.  fleet_put and fleet_remove are each other's
 * inverse.  Neither refuses for want of room: records tell what is, and a
 * pool may be overfull; free amounts are negative then.  Whether something
 * fits is asked of fit.h, where it should go of choose.h.
 *
 * Indexes follow the fleet by its journal: the last changes by host, each
 * with a running number; `epoch` moves when all must be read anew,
 * `foresight` when that is so for what depends on the mix alone.
 *
 * One owner, one thread at a time; fleet_copy gives another one its own.
 * Everything may be read here; only the functions below may write.
 */
#ifndef CAIRN_ENGINE_FLEET_H
#define CAIRN_ENGINE_FLEET_H

#include "engine/map64.h"
#include "engine/request.h"

#define FLEET_DEVICES  16 /* a host */
#define FLEET_CELLS    8  /* a host */
#define FLEET_NEAR     32 /* guests of a host that need no memory elsewhere */
#define FLEET_POLICIES 16
#define FLEET_RECENT   256
#define FLEET_JOURNAL  8192 /* changes that are remembered; power of two */

/* ---- hosts --------------------------------------------------------------- */

enum fleet_state {
    FLEET_VACANT, /* the number is free */
    FLEET_UP,
    FLEET_DISABLED, /* keeps its guests, takes none */
    FLEET_DRAINING, /* ... and its guests are to leave */
    FLEET_DEAD      /* quarantined */
};

/* Resources of a cell beside vCPUs and memory. */
enum fleet_cell_more {
    CELL_HUGEPAGES,
    CELL_GIGAPAGES,
    CELL_PCPU,
    CELL_MORE /* how many */
};
extern const enum fleet_resource fleet_cell_more[CELL_MORE]; /* the host's */

struct fleet_cell {
    int32_t vcpu, memory;           /* capacity: thousandths, MiB */
    int32_t free_vcpu, free_memory; /* less the guests pinned to it */
    int32_t more[CELL_MORE], free_more[CELL_MORE];
};

struct fleet_device {
    uint8_t kind, model; /* model: 0 .. 63 */
    uint8_t cell;        /* where it is attached */
    uint8_t usual;       /* what it is divided into where nobody says, a
                            FLEET_NAME_SHARE; 0: it is not divided by type */
    uint8_t share;       /* what it is divided into now; 0: nothing yet */
    int16_t free;        /* thousandths of 1000 */
};

/* How much of it a request takes: devices that are not divided by type are
 * theirs as a whole who want a part of some type. */
static inline int device_takes(const struct fleet_device *v,
                               const struct request_device *want)
{
    return want->share && !v->usual ? 1000 : want->thousandths;
}

/* Which part of it that is; 0: none of a type. */
static inline uint8_t device_type(const struct fleet_device *v,
                                  const struct request_device *want)
{
    return want->share == FLEET_SHARE_ANY ? v->usual : want->share;
}

/* A device is in parts of one type at a time. */
static inline bool device_fits(const struct fleet_device *v,
                               const struct request_device *want)
{
    return v->kind == want->kind && v->free >= device_takes(v, want) &&
           (!want->models || (want->models >> v->model & 1)) &&
           (!v->share || v->share == device_type(v, want));
}

/* What the owner says about a host. */
struct fleet_facts {
    uint8_t state; /* enum fleet_state */
    uint8_t cpu;   /* kind (fleet_cpu); 0: not known */
    uint32_t zone, rack;
    int32_t largest_vcpu; /* thousandths one guest may have; 0: any */
    struct fleet_set traits, aggregates;
};

/* What a coming or going guest touches is the first three cache lines, whose
 * place follows from the host's number alone: they can be read at once. */
struct fleet_host {
    char *name;         /* owned */
    uint32_t *far;      /* owned; the list of guests, if `near` is too short */
    uint32_t guests;    /* how many */
    uint32_t size;      /* of `far`; 0: the list is `near` */
    uint64_t changed;   /* fleet.sequence after the last change here */
    uint64_t described; /* ... of what it is: facts, cells, devices */
    uint32_t hole;      /* of a vacant number: the next one */
    uint8_t n_cells, n_devices;
    uint64_t filler[2];        /* to whole cache lines */
    uint32_t near[FLEET_NEAR]; /* slots of fleet.guests; see fleet_next */
    struct fleet_cell cells[FLEET_CELLS];
    struct fleet_device devices[FLEET_DEVICES];
    struct fleet_facts facts;
    uint64_t more_filler[6];
};

/* What was measured of the machine itself; all 0: nothing is known. */
struct fleet_host_use {
    int32_t ram;   /* MiB that guests may have really; 0: its capacity */
    int32_t steal; /* thousandths of its CPUs, by a hypervisor below */
    int32_t memory_stall, disk_stall; /* thousandths (PSI); < 0: not measured */
    int32_t swap;                     /* KiB/s; < 0: not measured */
    int32_t network; /* KiB/s, of the busier direction; < 0: not measured */
    int32_t link;    /* KiB/s that it carries; <= 0: not known */
};

/* ---- guests -------------------------------------------------------------- */

/* Measured and smoothed by the owner; below 0: not measured. */
struct fleet_use {
    int32_t vcpu;    /* thousandths of a vCPU */
    int32_t memory;  /* MiB */
    int32_t disk;    /* KiB/s */
    int32_t network; /* KiB/s, of the busier direction */
    int32_t steal;   /* thousandths of the time it wanted to run */
    int32_t memory_stall, disk_stall; /* thousandths of the time (PSI) */
    int32_t dirty;                    /* MiB/s of memory written */
};

struct fleet_guest {
    uint64_t id;          /* 0: the slot is free */
    uint32_t class_ : 30; /* of its demand: fleet_demand */
    bool movable : 1;
    bool rests : 1;   /* is off: leaves only a host that is to be emptied */
    int32_t priority; /* larger is more important */
    struct placing at;
    struct request_group group;
    bool measured;      /* its guest_uses[] mean something */
    int32_t local;      /* GiB of disks that would go along if it moved */
    uint64_t filler[1]; /* to a whole cache line */
};

/* Members by host; hosts with none are not in the list (it has no order). */
struct fleet_member {
    uint32_t host, count;
};

struct fleet_group {
    uint64_t id;
    uint32_t n, size; /* of `at` */
    uint32_t total;   /* members */
    struct fleet_member *at;
};

/* A class: a demand that somebody has. */
struct fleet_class {
    struct demand demand;
    uint64_t hash;
    uint32_t guests;  /* that have it; at 0 it may be forgotten */
    uint32_t version; /* moves when the number means another demand */
    uint32_t next;    /* of equal hash */
    bool used;
};

/* ---- policies (score.h says what they mean) ------------------------------ */

enum score_kind { SCORE_SPREAD, SCORE_PACK, SCORE_FRAGMENTATION };

struct score_policy {
    enum score_kind kind;
    uint16_t weight[FLEET_RESOURCES]; /* SCORE_PACK: 0 .. 100; all 0: 1 each */
};

/* ---- the fleet ----------------------------------------------------------- */

enum fleet_name {
    FLEET_NAME_RESOURCE, /* 0 .. 15, the fixed ones included */
    FLEET_NAME_TRAIT,    /* 0 .. 255 */
    FLEET_NAME_AGGREGATE,
    FLEET_NAME_ZONE,   /* from 1 on: 0 is none */
    FLEET_NAME_RACK,   /* from 1 on */
    FLEET_NAME_DEVICE, /* 0 .. 255 */
    FLEET_NAME_MODEL,  /* 0 .. 63 */
    FLEET_NAME_CPU,    /* kinds of CPU, 0 .. 63; 0: not known */
    FLEET_NAME_SHARE,  /* types of parts, 2 .. 255; 0: none, 1: any */
    FLEET_NAME_KINDS
};

struct fleet_names {
    char **at;
    uint32_t n;
};

struct mix;     /* mix.h */
struct outlook; /* outlook.h */

struct fleet {
    /* Columns, by host. */
    uint32_t n, size; /* numbers in use (vacant ones included), allocated */
    int32_t *capacity[FLEET_RESOURCES]; /* overcommit in, reserve out */
    int32_t *free[FLEET_RESOURCES];
    float *scale[FLEET_RESOURCES]; /* SCORE_ONE / capacity; 0 without any */
    struct fleet_host *hosts;
    struct fleet_host_use *uses;
    uint8_t *n_devices; /* as in fleet_host, for scans */
    uint32_t *look;     /* row of `looks`: hosts of equal facts share it */
    struct fleet_facts *looks; /* without racks */
    uint32_t n_looks, look_size;
    struct map64 look_hashes;
    uint32_t *rank;    /* of the host by name, dense from 0; fleet_ranks */
    uint32_t *by_rank; /* the other way */
    uint32_t host_hole;
    uint32_t *domain_up[2]; /* hosts that are up: by rack, by zone */
    uint32_t domain_size[2];

    struct fleet_guest *guests;
    struct fleet_use *guest_uses; /* by slot; fleet_use */
    uint32_t n_guests, guest_slots, guest_size, guest_hole;
    struct fleet_group *groups;
    uint32_t group_slots, group_size, group_hole;
    struct fleet_class *classes;
    uint32_t n_classes, class_size;
    uint32_t recent[FLEET_RECENT]; /* classes, by demand_hint */
    struct map64 guest_ids, group_ids, class_hashes, host_names;

    struct fleet_names names[FLEET_NAME_KINDS];
    struct fleet_set isolating; /* aggregates that admit only the entitled */
    uint64_t cpu_takes[64]; /* by kind: those on which its guests can go on */
    struct score_policy policies[FLEET_POLICIES]; /* 0: spread */
    const struct mix *mix;   /* recent requests, borrowed; NULL: none known */
    struct outlook *outlook; /* what score.c makes of it; NULL: no mix */

    uint64_t sequence;  /* changes so far */
    uint64_t epoch;     /* of what is about all hosts */
    uint64_t layout;    /* moves when hosts are not what they were */
    uint64_t foresight; /* moves when scores by the mix are others */
    bool ranked;
    uint32_t journal[FLEET_JOURNAL]; /* host of change number & mask */
};

struct fleet *fleet_new(void);
void fleet_free(struct fleet *f);
/* Shares nothing but the mix; the journal starts anew. */
struct fleet *fleet_copy(const struct fleet *f);

/* The number of a name, given at first sight; -1: no room for more kinds. */
int fleet_name(struct fleet *f, enum fleet_name kind, const char *name);
/* Guests that run on a CPU of one kind may move, alive, to one of the other.
 * Said for pairs of different known kinds; no host is told by it. */
void fleet_cpu_takes(struct fleet *f, unsigned from, unsigned to);
const char *fleet_name_of(const struct fleet *f, enum fleet_name kind,
                          unsigned number); /* NULL: none such */

/* Hosts.  A new one has no capacity and is disabled.  `name` is unique. */
uint32_t fleet_add_host(struct fleet *f, const char *name);
/* FLEET_NOWHERE: none of this name. */
uint32_t fleet_find_host(const struct fleet *f, const char *name);
/* With the guests that are on it. */
void fleet_drop_host(struct fleet *f, uint32_t host);
void fleet_set_facts(struct fleet *f, uint32_t host,
                     const struct fleet_facts *facts);
/* What it was measured to use: nothing that concerns placing. */
void fleet_set_host_use(struct fleet *f, uint32_t host,
                        const struct fleet_host_use *use);
void fleet_set_capacity(struct fleet *f, uint32_t host,
                        enum fleet_resource resource, int32_t capacity);
/* So many equal cells, of vCPUs and memory; only while no guest is pinned
 * there. */
void fleet_set_cells(struct fleet *f, uint32_t host, unsigned n, int32_t vcpu,
                     int32_t memory);
/* One of them otherwise: `like` says its capacity (its free amounts do not
 * count). */
void fleet_set_cell(struct fleet *f, uint32_t host, unsigned i,
                    const struct fleet_cell *like);
/* False: it has FLEET_DEVICES. */
bool fleet_add_device(struct fleet *f, uint32_t host, uint8_t kind,
                      uint8_t model, uint8_t cell);
/* It, the host's last, is given in parts; `usual`: a FLEET_NAME_SHARE. */
void fleet_divide_device(struct fleet *f, uint32_t host, uint8_t usual);
/* Only while no guest has one. */
void fleet_drop_devices(struct fleet *f, uint32_t host);

/* What concerns all hosts. */
void fleet_set_policy(struct fleet *f, unsigned row,
                      const struct score_policy *policy);
void fleet_set_isolating(struct fleet *f, const struct fleet_set *aggregates);
/* Also after the mix has changed: scores with it are made anew. */
void fleet_set_mix(struct fleet *f, const struct mix *mix);
/* Brings rank and by_rank up to date (hosts came or went). */
void fleet_ranks(struct fleet *f);

/* Guests.  False: there is one with this id (put), there is none. */
bool fleet_put(struct fleet *f, uint64_t id, const struct request *r,
               const struct placing *at);
bool fleet_remove(struct fleet *f, uint64_t id);
bool fleet_move(struct fleet *f, uint64_t id, const struct placing *to);
/* What it was measured to use; nothing at first. */
void fleet_set_use(struct fleet *f, uint64_t id, const struct fleet_use *use);
const struct fleet_use *fleet_use(const struct fleet *f,
                                  const struct fleet_guest *g);
/* Borrowed until the next put; NULL: none. */
struct fleet_guest *fleet_guest(const struct fleet *f, uint64_t id);
/* Guests of a host: fleet_next(f, h, NULL) is the first.  The order tells of
 * history: whoever decides by it sorts them by id. */
struct fleet_guest *fleet_next(const struct fleet *f, uint32_t host,
                               const struct fleet_guest *g);
/* What a guest asked for: demand, group, priority; no host lists. */
void fleet_request_of(const struct fleet *f, const struct fleet_guest *g,
                      struct request *out);

/* Groups. */
const struct fleet_group *fleet_group(const struct fleet *f, uint64_t id);
uint32_t fleet_group_on(const struct fleet_group *g, uint32_t host);

/* Classes: equal demands have equal numbers while anybody has them. */
uint32_t fleet_class(struct fleet *f, const struct demand *d);
const struct demand *fleet_demand(const struct fleet *f, uint32_t class_);

/* The domain of a host at a level: its own number, rack or zone. */
uint32_t fleet_domain(const struct fleet *f, uint32_t host,
                      enum fleet_level level);

#endif
