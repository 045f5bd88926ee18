/*
 * ceph_facts - what a cluster says about itself, for ceph_plan.
 *
 * Pure: from the answers of the monitors (JSON, as `ceph --format json`
 * prints them) to struct ceph_facts.  What an answer does not say is taken
 * for "not there".
 *
 * Threads: the caller's.
 */
#ifndef CAIRN_STORAGE_CEPH_FACTS_H
#define CAIRN_STORAGE_CEPH_FACTS_H

#include "common/error.h"
#include "storage/ceph_plan.h"

#include <jansson.h>

#define CEPH_OSDS_MAX  4096
#define CEPH_POOLS_MAX 32
#define CEPH_MGRS_MAX  16
#define CEPH_MONS_SEEN 16

struct ceph_seen {
    struct ceph_facts facts; /* points into what is below */
    struct ceph_mon_facts mons[CEPH_MONS_SEEN];
    char mgrs[CEPH_MGRS_MAX][CEPH_NAME_MAX];
    struct ceph_osd_facts *osds;
    struct ceph_pool_facts pools[CEPH_POOLS_MAX];
    size_t n_up; /* OSDs that answer */
};

/* The commands whose answers ceph_seen_read wants, in its order. */
enum {
    CEPH_ASK_QUORUM,
    CEPH_ASK_MGR,
    CEPH_ASK_OSD,
    CEPH_ASK_TREE,
    CEPH_ASK_RULES,
    CEPH_ASK_PGS,
    CEPH_ASKS
};
extern const char *const ceph_asks[CEPH_ASKS];

/* `pool`: the one that volumes live in; borrowed.  The nodes are the
 * caller's to fill in.  INVALID: that is no cluster's answer. */
bool ceph_seen_read(struct ceph_seen *seen, json_t *const answers[CEPH_ASKS],
                    const char *pool, struct error *err);
void ceph_seen_free(struct ceph_seen *seen);

#endif
