/*
 * recovery - what is done about a node that has failed: the decisions.
 *
 * A node that loses power or network, hangs, or loses its storage is fenced
 * and its servers start elsewhere; docs/recovery.md has the argument why
 * none runs twice.  Its record's `health` is the state of this machine:
 *
 *            silent for a time            the fence holds
 *     UP --------------------> FENCING ------------------> FENCED <----+
 *      ^                          ^   CONDEMN     CONFIRM     |        |
 *      |                          |                    it is  |  gone  |
 *      |   the fence is lifted,   | fenced though UP   back   v  again |
 *      +------------------------------------------------- QUARANTINED -+
 *          its own servers start
 *
 * UP and silent is SUSPECT: a matter of the observer's clock, not written.
 * FENCING is where the decision is made; from there on nothing but the
 * whole circle leads back to UP, whatever the node says: what is asked of
 * the fence may happen late.  A lease never allows anything by itself: only
 * FENCED, which is written after the storage has said that the node's
 * clients are refused, lets a server start elsewhere (RECOVERY_EVACUATE).
 * FENCED nodes are asked about again: a fence that is gone is closed anew.
 *
 * Each decision has a number, the node's `fence`, which a node that comes
 * back writes as `cleaned` once none of its stale guests is left; only then
 * is the fence opened, and only then is it UP.
 *
 * Not every silence is a failure:
 *   - a node in maintenance or drained may be silent when it has no guests,
 *     one whose daemon was stopped on purpose for a while
 *   - when most nodes fall silent at once, the fault is more likely with
 *     whoever listens: it waits longer
 *   - a node that loses its storage has failed only if most others see theirs
 *
 * Pure: a view and a time in, a step out.  The leader's controller
 * (recoverer.h) and the simulation fill in the views and do the steps.
 */
#ifndef CAIRN_ENGINE_RECOVERY_H
#define CAIRN_ENGINE_RECOVERY_H

#include "common/env.h"
#include "model/pool.h"

/* After the lease has gone; together with its 3 s and the time of the fence
 * this is what a guest is without its node. */
#define RECOVERY_GRACE_US (3 * SECOND_US)
/* The same when more than half of the nodes are silent ... */
#define RECOVERY_MASS_US (15 * SECOND_US)
/* ... for one that has not been seen since the observer began to look: when a
 * pool is switched on, its nodes come one after the other ... */
#define RECOVERY_COLD_US (60 * SECOND_US)
/* ... for a daemon that was stopped on purpose (its guests go on) ... */
#define RECOVERY_STOPPED_US (60 * SECOND_US)
/* ... and for a node that says that its storage does not answer. */
#define RECOVERY_STORAGE_US (4 * SECOND_US)

enum recovery_fence {
    FENCE_UNKNOWN,
    FENCE_OPEN,   /* the node's clients may write */
    FENCE_CLOSED, /* they are refused */
};

/* A node as the leader sees it. */
struct recovery_node {
    int health;             /* enum node_health, of its record */
    int64_t fence, cleaned; /* of its record */
    bool maintenance;
    bool stopped;         /* its daemon said that it would stop */
    bool present;         /* its lease is there */
    bool known;           /* ... or was, since this observer began to look */
    int64_t gone;         /* !present: since when, monotonic us, as seen here */
    int64_t storage_lost; /* since when it sees no storage, monotonic; 0: it
                             does */
    uint32_t guests;      /* that miss it if it is silent, by the records */
    uint32_t waiting;     /* of them, those that could start elsewhere */
    enum recovery_fence closed; /* as the fence said last */
};

/* All nodes together, for the judgement whose fault it is. */
struct recovery_pool {
    uint32_t up;       /* health UP */
    uint32_t silent;   /* of these, not present without leave */
    uint32_t no_store; /* of those that are present, without storage */
    int64_t works;     /* since when most see their storage, monotonic */
};

/* Counts a node in. */
void recovery_count(struct recovery_pool *p, const struct recovery_node *n);
/* Do most of those that speak see their storage?  When it comes back after a
 * time, they do not all notice at once: so `works` counts as well. */
bool recovery_storage_works(const struct recovery_pool *p);

#define RECOVERY_STEPS(X)                                                      \
    X(REST, "rest")             /* until something changes, or `at` */         \
    X(CHECK, "check")           /* ask the fence */                            \
    X(CONDEMN, "condemn")       /* write FENCING, fence + 1 */                 \
    X(FENCE, "fence")           /* close the fence */                          \
    X(CONFIRM, "confirm")       /* write FENCED */                             \
    X(EVACUATE, "evacuate")     /* start its servers elsewhere */              \
    X(QUARANTINE, "quarantine") /* write QUARANTINED: it is back */            \
    X(LOSE, "lose")             /* write FENCED: it is gone again */           \
    X(LIFT, "lift")             /* open the fence */                           \
    X(ADMIT, "admit")           /* its servers start there; write UP */

enum recovery_what {
#define X(name, text) RECOVERY_##name,
    RECOVERY_STEPS(X)
#undef X
        RECOVERY_N_STEPS
};
extern const char *const recovery_step_names[RECOVERY_N_STEPS];

struct recovery_step {
    enum recovery_what what;
    int64_t at;      /* look again then, monotonic; INT64_MAX: no need */
    const char *why; /* CONDEMN: what it is condemned for; static */
};

struct recovery_step recovery_next(const struct recovery_node *n,
                                   const struct recovery_pool *p, int64_t now);

/* Silent at the moment, but not yet condemned. */
bool recovery_suspect(const struct recovery_node *n);

/* ---- servers ------------------------------------------------------------ */

/* A server of a FENCED node.  One in the middle of a live migration is no
 * exception: it runs at the source until the record says that it is at the
 * dest (model/migration.h), so the node in its record is the one that
 * counts. */
struct recovery_server {
    bool shared;   /* all that it has is in the shared storage, or unmade */
    bool deleted;  /* it should go */
    bool runs;     /* it should run */
    bool saved;    /* suspended: its memory is a file of the node */
    bool stranded; /* is said to be waiting for the node already */
};

#define RECOVERY_FATES(X)                                                      \
    X(STAYS, "stays")                                                          \
    X(STRANDED, "waits for its node")                                          \
    X(MOVES, "moves")

enum recovery_fate {
#define X(name, text) FATE_##name,
    RECOVERY_FATES(X)
#undef X
        N_FATES
};
extern const char *const recovery_fate_names[N_FATES];

/* MOVES: to any node, where it starts if it runs. */
enum recovery_fate recovery_fate(const struct recovery_server *s);

/* Who goes first when there is not room for all, in this order.  As qsort
 * wants it. */
struct recovery_rank {
    int64_t priority; /* the operator's: larger is more important */
    bool runs;        /* should run */
    int64_t wish;     /* the owner's priority */
    int64_t created;  /* the oldest first */
    const char *id;
};
int recovery_compare(const struct recovery_rank *a,
                     const struct recovery_rank *b);

#endif
