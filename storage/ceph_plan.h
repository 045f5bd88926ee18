/*
 * ceph_plan - what the pool's Ceph cluster should do next.
 *
 * Pure: from the nodes, their disks and what the cluster says about itself to
 * the next steps.  Whoever does them asks again afterwards; a step that is
 * done already is not asked for again, so a crash between any two is
 * nothing.
 *
 * How many copies there are and what may fail at once follows the pool:
 *
 *   one disk                  1 copy
 *   one node, more disks      2 copies on different disks
 *   two nodes with disks      2 copies on different nodes
 *   three nodes or more       3 copies on different nodes, 2 must be written
 *   three racks or more       3 copies in different racks
 *
 * Copies are only ever added: a node that dies takes no copy out of the plan.
 * The number that must be written grows last, when all copies are there.
 * Monitors are one, three or five on as many nodes; one is added only while
 * all that there are answer, and one is removed, when its node has left the
 * pool, only if those who answer are still more than half.
 *
 * Threads: the caller's.
 */
#ifndef CAIRN_STORAGE_CEPH_PLAN_H
#define CAIRN_STORAGE_CEPH_PLAN_H

#include <stdbool.h>
#include <stddef.h>

#define CEPH_NAME_MAX  64
#define CEPH_STEPS_MAX 16
#define CEPH_MONS_MAX  5
#define CEPH_PGS       32 /* of a pool at its beginning */

enum ceph_domain { CEPH_BY_OSD, CEPH_BY_HOST, CEPH_BY_RACK };

struct ceph_node_facts {
    char name[CEPH_NAME_MAX], rack[CEPH_NAME_MAX]; /* rack: "" = none */
    bool live;                                     /* it answers */
    int free_disks;                                /* that it may take */
};

struct ceph_mon_facts {
    char name[CEPH_NAME_MAX]; /* its node's */
    char address[CEPH_NAME_MAX];
    bool in_quorum;
};

struct ceph_osd_facts {
    int id;
    char node[CEPH_NAME_MAX], rack[CEPH_NAME_MAX]; /* in the CRUSH tree */
    bool in; /* it has (or shall have) data */
    bool up; /* it answers */
};

struct ceph_pool_facts {
    char name[CEPH_NAME_MAX];
    int size, min_size;
    enum ceph_domain domain;
    bool ready; /* marked as RBD's */
};

struct ceph_facts {
    bool founded; /* there is a cluster */
    bool clean;   /* all data has all its copies */
    bool whole;   /* all data can be read and written */
    const struct ceph_node_facts *nodes;
    size_t n_nodes;
    const struct ceph_mon_facts *mons;
    size_t n_mons;
    const char (*mgrs)[CEPH_NAME_MAX]; /* nodes that have one */
    size_t n_mgrs;
    const struct ceph_osd_facts *osds;
    size_t n_osds;
    const struct ceph_pool_facts *pools;
    size_t n_pools;
    bool rules[3];    /* enum ceph_domain: there is such a CRUSH rule */
    const char *pool; /* the pool that Cairn's volumes live in */
};

enum ceph_step_kind {
    CEPH_FOUND,       /* node: the first monitor, and a manager */
    CEPH_ADD_MON,     /* node */
    CEPH_REMOVE_MON,  /* node */
    CEPH_ADD_MGR,     /* node */
    CEPH_REMOVE_MGR,  /* node */
    CEPH_ADD_OSDS,    /* node: on all its free disks */
    CEPH_ADD_RULE,    /* domain */
    CEPH_ADD_POOL,    /* size, min_size, domain */
    CEPH_READY_POOL,  /* mark it as RBD's */
    CEPH_SET_RULE,    /* domain */
    CEPH_SET_SIZE,    /* size */
    CEPH_SET_MINIMUM, /* min_size */
};

struct ceph_step {
    enum ceph_step_kind kind;
    char node[CEPH_NAME_MAX];
    enum ceph_domain domain;
    int size, min_size;
};

/* What may be done now, all of it in this order; returns how many. */
size_t ceph_plan(const struct ceph_facts *facts,
                 struct ceph_step steps[CEPH_STEPS_MAX]);

/* In how many of them there are OSDs that are in. */
int ceph_plan_domains(const struct ceph_facts *facts, enum ceph_domain domain);

const char *ceph_step_name(enum ceph_step_kind kind);  /* "add-mon" */
const char *ceph_rule_name(enum ceph_domain domain);   /* "cairn-host" */
const char *ceph_domain_type(enum ceph_domain domain); /* CRUSH's: "host" */

#endif
