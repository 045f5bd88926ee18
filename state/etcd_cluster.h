/*
 * etcd_cluster - the members of etcd and their upkeep.
 *
 * What whoever leads the pool carries out when voters.h says so: a node is
 * added as a learner (which does not vote, and so costs no quorum while it
 * copies), started with etcd_initial_cluster, and promoted when it has
 * caught up; a member is removed.  And what each member needs now and then:
 * etcd_chore looks at its status and says what (pure).  Old revisions are
 * compacted by the store itself (store_etcd.h).
 *
 * Status, defragment, alarm and snapshot are about the member that `g` is
 * connected to: give it one endpoint.  Everything here may be repeated;
 * ERR_UNKNOWN means that it may have happened: list, then decide again.
 *
 * Threads: any; all calls block, for their time-out at most.
 */
#ifndef CAIRN_STATE_ETCD_CLUSTER_H
#define CAIRN_STATE_ETCD_CLUSTER_H

#include "common/buf.h"
#include "common/error.h"
#include "state/grpc.h"

#define ETCD_MEMBERS_MAX 32
#define ETCD_NAME_MAX    64
#define ETCD_URL_MAX     256

/* ---- members ----------------------------------------------------------- */

struct etcd_member {
    uint64_t id;
    char name[ETCD_NAME_MAX]; /* "": has not started yet */
    char peer[ETCD_URL_MAX];  /* the first of its URLs */
    char client[ETCD_URL_MAX];
    bool learner;
};

struct etcd_members {
    uint64_t cluster;
    size_t n;
    struct etcd_member all[ETCD_MEMBERS_MAX];
};

bool etcd_list(struct grpc *g, struct etcd_members *out, struct error *err);
/* A learner with that peer URL; *id may be NULL.  ERR_CONFLICT: there is one
 * already (etcd takes one at a time), or the others are not healthy. */
bool etcd_add_learner(struct grpc *g, const char *peer_url, uint64_t *id,
                      struct error *err);
/* One that votes at once, although it has not started. */
bool etcd_add_voter(struct grpc *g, const char *peer_url, uint64_t *id,
                    struct error *err);
/* ERR_CONFLICT: it has not caught up yet, try again. */
bool etcd_promote(struct grpc *g, uint64_t id, struct error *err);
bool etcd_remove(struct grpc *g, uint64_t id, struct error *err);
/* The value of --initial-cluster for a member that was added but has no name
 * yet: `name` at `peer_url`. */
void etcd_initial_cluster(const struct etcd_members *members, const char *name,
                          const char *peer_url, struct buf *out);

/* ---- one member -------------------------------------------------------- */

struct etcd_status {
    uint64_t member, leader, term, index, applied;
    char version[32];
    int64_t bytes, bytes_used; /* of the database file, of what is in it */
    bool learner;
    bool no_space, corrupt; /* alarms that this member has raised */
};

bool etcd_status(struct grpc *g, struct etcd_status *out, struct error *err);
/* The member answers nothing while it does that: a second a GB or so. */
bool etcd_defragment(struct grpc *g, struct error *err);
bool etcd_disarm_no_space(struct grpc *g, uint64_t member, struct error *err);
/* Writes the database to fd as it is; its checksum is checked and not
 * written.  What it was when it fails must be thrown away. */
bool etcd_snapshot(struct grpc *g, int fd, int64_t *bytes, struct error *err);

enum etcd_chore {
    ETCD_CHORE_NONE,
    ETCD_CHORE_DEFRAGMENT,
    ETCD_CHORE_DISARM, /* the alarm is over: it takes writes again */
    ETCD_CHORE_ROOM,   /* somebody must make room, or raise the quota */
};
#define ETCD_QUOTA       (INT64_C(2) << 30) /* etcd's default, bytes */
#define ETCD_WASTE_LEAST (INT64_C(64) << 20)
/* `tried`: compacted and defragmented since the alarm was raised.  What the
 * member says is used counts freed pages until its next write: so only that
 * shows whether there is room. */
enum etcd_chore etcd_chore(const struct etcd_status *status, int64_t quota,
                           bool tried);

#endif
