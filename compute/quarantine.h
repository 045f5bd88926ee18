/*
 * quarantine - a node's own part in recovery: does it still belong to the
 * pool, may it start guests, must it stop them?
 *
 *   what it sees of itself                          what follows
 *   ----------------------------------------------  ------------------------
 *   its lease holds, its record says UP             RUN: servers are seen to
 *   its lease does not hold, or not yet             HOLD: none is touched
 *   ... for QUARANTINE_STOP_US, and most of the     STOP: guests on shared
 *     pool's members cannot be reached                storage are stopped
 *   its record says that it is being fenced         CLEAN: stale guests are
 *                                                     stopped, then `cleaned`
 *
 * RUN only counts once the cache has seen the revision at which the lease
 * began: a decision to fence is made in a transaction that needs the lease to
 * be gone, so by then it would be in the record.
 *
 * CLEAN stops every guest of this pool but those of its own servers that have
 * nothing in the shared storage: nobody else could have started them.  They
 * are undefined as well, for they may start elsewhere, and end there, without
 * this node; but for one whose memory is saved here, and one without a record
 * that has disks of this node.
 *
 * STOP and CLEAN end the processes first, all at once and past libvirt, which
 * may have to wait for storage or for a migration; then they put in order what
 * libvirt knows of them.
 *
 * STOP comes before anybody else could start the guests, if this node's clock
 * runs (docs/recovery.md); that none writes twice is not its matter but the
 * fence's.  A node that still reaches most of the pool is not cut off: the
 * pool's state is down, and nobody can have taken its servers.
 *
 * Who sees to a server does so between quarantine_enter and quarantine_leave:
 * a node is clean only when nobody is in between.
 *
 * When it may RUN again, or for the first time after the machine has booted,
 * its servers that should run and do not get a new start (generation + 1);
 * only then others may see to servers.
 *
 * Threads: those of its reconciler; enter and leave from any.
 */
#ifndef CAIRN_COMPUTE_QUARANTINE_H
#define CAIRN_COMPUTE_QUARANTINE_H

#include "common/env.h"
#include "compute/hypervisor.h"
#include "state/cache.h"
#include "state/reconcile.h"
#include "state/store.h"

/* From when the lease is trusted no more (2.7 s after it was last renewed),
 * to the end of the guests; less than RECOVERY_GRACE_US of the leader. */
#define QUARANTINE_STOP_US (2 * SECOND_US)
#define QUARANTINE_PASS_US (SECOND_US / 4)
/* An answer of `reaches` that was no, from when it was asked. */
#define QUARANTINE_CUT_US (SECOND_US * 3 / 2)
/* Storage that has not answered for so long is lost. */
#define QUARANTINE_PROBE_US (2 * SECOND_US)

/* ---- the decision: pure -------------------------------------------------- */

struct self_view {
    int health;             /* enum node_health, of its record */
    int64_t fence, cleaned; /* of its record */
    int64_t term;           /* of its lease; 0: it does not hold */
    int64_t revision;       /* that the cache has seen */
    int64_t lost;           /* term 0: since when, monotonic us */
    bool reaches;           /* most of the members */
};

enum self_what { SELF_RUN, SELF_HOLD, SELF_STOP, SELF_CLEAN };

enum self_what quarantine_next(const struct self_view *v, int64_t now);

/* ---- the reconciler ------------------------------------------------------ */

struct quarantine;

struct quarantine_config {
    struct store *store;
    struct cache *cache;
    struct hypervisor *hypervisor;
    const struct env *env;
    const char *node; /* this node's name */
    /* The term of this node's lease, 0: it does not hold. */
    int64_t (*term)(void *arg);
    /* Asked while it does not hold, in time for QUARANTINE_STOP_US; may take a
     * second.  NULL: never. */
    bool (*reaches)(void *arg);
    /* Does the shared storage answer?  May take QUARANTINE_PROBE_US.  NULL:
     * there is none. */
    bool (*probe)(void *arg);
    /* Servers may be seen to again: all of them. */
    void (*opened)(void *arg);
    void *arg;
    unsigned workers; /* 2, or 0 for tests */
};

/* Before cache_follow: it listens.  All is borrowed. */
struct quarantine *quarantine_new(const struct quarantine_config *config);
/* After cache_follow, when the node's record is there.  `booted`: for the
 * first time since the machine has booted. */
void quarantine_start(struct quarantine *q, bool booted);
/* May servers of this node be seen to?  True: leave when done. */
bool quarantine_enter(void *quarantine);
void quarantine_leave(void *quarantine);
struct reconciler *quarantine_queue(struct quarantine *q);
/* After cache_unfollow, before the hypervisor is closed and before what it
 * calls goes: nobody comes in any more. */
void quarantine_stop(struct quarantine *q); /* NULL is fine */
/* After those who ask whether they may come in; NULL is fine. */
void quarantine_free(struct quarantine *q);

#endif
