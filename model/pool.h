/*
 * pool - the pool itself, its nodes, and what guards what is scarce.
 *
 * Claims make values unique: whoever takes a name, an address or a MAC puts
 * a claim in the same transaction with a compare "absent", and deletes it
 * with the thing.  Usage counts what a project holds, compared and written
 * in the same transaction as the thing itself, so that it cannot drift.
 */
#ifndef CAIRN_MODEL_POOL_H
#define CAIRN_MODEL_POOL_H

#include "model/model.h"

/* One record, id "pool". */
struct pool {
    struct record rec;
    const char *name;
    const char *region;
    const char *public_url; /* https://address[:port], without a path */
    const char *default_domain_id;
    const char *admin_project_id;
    const char *external_network_id;
    int64_t created;
    bool bootstrapped; /* first content is there */
};

enum placement_policy { PLACE_SPREAD, PLACE_PACK, PLACE_FRAGMENTATION };
extern const char *const placement_policy_names[]; /* "spread" .. */
enum rebalancing { REBALANCE_ON, REBALANCE_ADVISE, REBALANCE_OFF };
extern const char *const rebalancing_names[]; /* "on" .. */

/* What the engine goes by, see docs/engine.md and engine/policy.h and
 * engine/weights.h, which have the bounds.  One record, id "pool"; as long as
 * there is none all is 0. */
struct pool_policy {
    struct record rec;
    int placement;       /* enum placement_policy */
    struct list weights; /* struct amount: of resources, by name */
    int rebalancing;     /* enum rebalancing */
    struct list goals;   /* struct amount: percent of their usual weight */
    /* Limits of rebalancing; 0: the careful setting's. */
    int64_t max_moves;    /* in a plan */
    int64_t parallel;     /* at the same time, in the pool */
    int64_t per_host;     /* ... coming to and going from one node */
    int64_t gain_percent; /* of the cost, that a move must bring */
    const char *large;    /* flavor that is to be made room for, or NULL */
    int64_t places;       /* so many of it; 0: one */
    int64_t reserve;      /* node failures that are kept room for */
};

/* What the pool thinks of a node: the states of engine/recovery.h. */
enum node_health {
    HEALTH_UP,
    HEALTH_FENCING,     /* it has failed; its storage is being taken from it */
    HEALTH_FENCED,      /* none of its guests can write any more */
    HEALTH_QUARANTINED, /* it is back and must stop its stale guests */
};
extern const char *const node_health_names[]; /* "up" .. */

/* Huge pages of one size that a cell keeps for guests. */
struct node_pages {
    int64_t kib; /* of a page: 2048, 1048576 */
    int64_t count;
};

/* A NUMA cell of the machine. */
struct node_cell {
    int64_t id;       /* the kernel's number */
    const char *cpus; /* online ones: "0-3,8-11" */
    int64_t ram_mb;
    struct list pages;     /* struct node_pages */
    const char *distances; /* to each cell, in their order: "10,21" */
};

/* A type of mediated device that a device can be divided into. */
struct node_share {
    const char *type;  /* the kernel's: "nvidia-35" */
    const char *name;  /* the vendor's: "GRID T4-2Q"; NULL: none */
    int64_t instances; /* that the empty device has room for */
};

/* A device that may be given to a guest: as a whole, or where it has `shares`
 * in equal parts of one of them at a time (model/share.h). */
struct node_device {
    const char *address; /* PCI: "0000:3b:00.0"; mdev: its UUID */
    const char *class_;  /* "GPU", "NIC", "NVME", "VGPU" .. , by PCI class */
    const char *model;   /* "10de:20b0"; of an mdev its type */
    const char *name;    /* what the operator calls it, or NULL */
    const char *text;    /* vendor and product in words, for people */
    int64_t cell;        /* node_cell.id, -1: not known */
    struct list shares;  /* struct node_share, by type */
};

/* id = node name */
struct node {
    struct record rec;
    const char *hypervisor_id;   /* UUID, as nova shows it */
    const char *address;         /* management address */
    const char *storage_address; /* of its clients of a shared storage; NULL */
    const char *availability_zone;
    const char *hypervisor_type; /* "QEMU" or "KVM" */
    int64_t hypervisor_version;  /* libvirt's number: 7002022 */
    const char *cpu_info;        /* JSON text */
    const char *machine;         /* "x86_64" */
    int64_t vcpus;               /* threads of the machine */
    int64_t ram_mb;
    int64_t ram_reserved_mb;
    int64_t disk_gb, disk_used_gb; /* of its storage, shared or not */
    int64_t bandwidth_mbps;        /* for guests that ask for some; 0: none */
    struct list cells;             /* struct node_cell, by id */
    struct list devices;           /* struct node_device, by address */
    const char *pinned_cpus;       /* kept for guests of their own: "4-31" */
    double cpu_overcommit;         /* vCPU per thread */
    double ram_overcommit;
    /* Set by the operator. */
    const char *rack;      /* failure domain between node and zone */
    struct strs traits;    /* "CUSTOM_SSD" .. */
    struct list resources; /* struct amount: "CUSTOM_X" */
    bool replicated;       /* its volumes are in a storage that nodes share */
    bool kvm;              /* guests really run with KVM here (probed) */
    const char *kvm_reason;
    bool disabled; /* takes no new servers */
    const char *disabled_reason;
    bool draining;    /* takes none either, and those it has move away */
    bool maintenance; /* may be switched off when it has no guests */
    /* Of the pool's leader, in one transaction each (engine/recovery.h). */
    int health; /* enum node_health */
    int64_t health_since;
    const char *health_why; /* of the last time that it was not UP */
    int64_t fence;          /* how often it was fenced: grows with each */
    /* Of the node itself. */
    int64_t cleaned;      /* the `fence` whose stale guests are gone */
    int64_t storage_lost; /* since when its storage does not answer; 0: it
                             does */
    int64_t stopped;      /* when its daemon stopped on purpose; 0: it works */
    int64_t booted;       /* the machine itself, to the second or two */
    int64_t started;      /* of its daemon */
    int64_t seen;         /* last sign of life */
    int64_t created;
};

/* Does the pool keep volumes where all its nodes reach them? */
bool pool_is_replicated(const struct snapshot *s);

/* id = node name: who belongs to the pool.  Made when it joins (the first
 * one: founds), gone when it is removed; `node` is made by the node itself. */
struct member {
    struct record rec;
    const char *node_id; /* UUID of the installation, made at its first start */
    const char *address;
    const char *secret; /* name of the join secret it came by */
    int64_t joined;
};

/* id = its public name, 8 hex digits; see daemon/join.h. */
struct join_secret_record {
    struct record rec;
    const char *key; /* 64 hex digits: proves and checks */
    bool once;       /* lets in one node */
    int64_t expires; /* 0: never */
    int64_t created;
    int64_t used; /* last time */
    const char *used_by;
};

/* id = "<what>/<value>", e.g. "ip/<subnet id>/10.0.0.5",
 * "mac/fa:16:3e:..", "user/<domain id>/<name>" */
struct claim {
    struct record rec;
    const char *owner; /* "<kind>/<id>" */
};
/* Formats the id of a claim. */
char *claim_id(char out[STORE_KEY_MAX], const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* Adds "take it, must be free" / "give it back" to a txn. */
void claim_take(struct txn *t, const char *id, const char *owner_key);
void claim_release(struct txn *t, const char *id);

/* Numbers that are given out once, in order; id = what is numbered, e.g.
 * "migration". */
struct counter {
    struct record rec;
    int64_t last;
};
/* The next number; adds to `t` that it is given out.  Several in one
 * transaction differ. */
int64_t counter_next(struct txn *t, const struct snapshot *s, const char *id);

struct amount {
    const char *name; /* "instances", "cores", "ram" ... */
    int64_t n;
};

/* id = "<service>/<project id>", service one of compute, volume, network */
struct usage {
    struct record rec;
    struct list amounts; /* struct amount */
};
/* Overrides of the default limits; same ids; n = -1: unlimited. */
struct quota {
    struct record rec;
    struct list limits; /* struct amount */
};

int64_t amount_get(const struct list *amounts, const char *name,
                   int64_t absent);
void amount_set(void *record, struct list *amounts, const char *name,
                int64_t n);

/* The resources with a quota, their service and default limit. */
struct quota_default {
    const char *service, *name;
    int64_t limit;
};
extern const struct quota_default quota_defaults[]; /* up to name NULL */
int64_t quota_limit(const struct snapshot *s, const char *service,
                    const char *project_id, const char *name);
int64_t quota_used(const struct snapshot *s, const char *service,
                   const char *project_id, const char *name);
/* Adds to `t` what changes the project's use by the given amounts (negative
 * ones give back), with the compare that makes it exact.  Fails with
 * ERR_QUOTA, naming the resource and the numbers, when a positive one goes
 * over the limit.  Several calls in one transaction add up. */
bool quota_charge(struct txn *t, const struct snapshot *s, const char *service,
                  const char *project_id, const struct amount *amounts,
                  size_t n, struct error *err);

#endif
