/*
 * placement - the engine as the scheduler asks it: records in, a node out.
 *
 * A placer follows snapshots (view.h), turns a server or volume into a
 * request (wish.h), lets the engine choose (choose.h) and puts the reasons
 * down as a record (explain.h, model/decision.h).  The answer is a function
 * of (snapshot, what is asked, now): the order in which a placer has seen
 * earlier snapshots does not show.
 *
 * What is in use is counted from the servers with `node` set, deleted ones
 * included until they are gone.  Local disks of servers are counted in full;
 * volumes are thin and may be promised PLACEMENT_THIN times.
 *
 * One thread at a time.
 */
#ifndef CAIRN_ENGINE_PLACEMENT_H
#define CAIRN_ENGINE_PLACEMENT_H

#include "common/buf.h"
#include "common/env.h"
#include "engine/request.h"
#include "model/compute.h"
#include "model/decision.h"
#include "model/migration.h"
#include "model/pool.h"
#include "model/volume.h"
#include "state/cache.h"

/* A node that has not said for so long that it lives takes nothing new. */
#define PLACEMENT_ALIVE_US (60 * SECOND_US)
/* Where the node's record leaves it open. */
#define PLACEMENT_CPU_OVERCOMMIT 16.0
#define PLACEMENT_RAM_OVERCOMMIT 1.0
#define PLACEMENT_THIN           20
#define PLACEMENT_ZONE           "nova" /* zone of nodes without one */

bool placement_alive(const struct node *node, int64_t now);
/* Availability zone: by aggregate, else the node's own, else "nova". */
const char *placement_zone(const struct snapshot *s, const struct node *node);

/* Makes decisions about where things go come one after the other: two
 * transactions with it, made from one snapshot, do not both happen. */
void placement_guard(struct txn *t, const struct snapshot *s);

struct placer;
struct placer *placer_new(void);
void placer_free(struct placer *p); /* NULL is fine */

/* Chooses a node for a server that has none; `*node` is borrowed from the
 * snapshot.  `now` is wall clock, microseconds.  False:
 *   NOT_FOUND    no node can take it (one sentence, counts, and what would
 *                help; no node names: tenants read it)
 *   UNAVAILABLE  one could, were it alive
 *   INVALID      the flavor makes no sense
 * `why` (may be NULL) is the draft of a decision and gets all but its id. */
bool placer_server(struct placer *p, struct snapshot *s,
                   const struct server *server, int64_t now, const char **node,
                   struct decision *why, struct error *err);
/* The dest of a move that has none yet; for the choice its server is taken out
 * of the pool, unless it may stay where it is.  As placer_server. */
bool placer_move(struct placer *p, struct snapshot *s,
                 const struct migration *m, const struct server *server,
                 int64_t now, const char **node, struct decision *why,
                 struct error *err);
/* What placer_server answered last counts as taken from now on, until
 * placer_forget: for several decisions that are committed together. */
void placer_hold(struct placer *p);
void placer_forget(struct placer *p);

/* Servers of one request, placed together: at least `least` of them or none,
 * better than one after another (batch.h). */
struct placed {
    const struct server *server; /* in; all else is the answer */
    struct decision *why;        /* in; NULL: not wanted */
    const char *node;            /* borrowed from the snapshot; NULL: none */
    struct placing at;
    struct error err; /* without a node */
};
/* How many have a place.  They count as taken until placer_forget.  Fewer
 * than `least`: none has, and all have the error of one that found none. */
uint32_t placer_servers(struct placer *p, struct snapshot *s, struct placed *of,
                        uint32_t n, uint32_t least, int64_t now);

/* Where the last answer of placer_server is. */
const struct placing *placer_last(const struct placer *p);
/* Writes an answer into the draft of the server it is of: node, zone, cells,
 * devices, CPUs of its own, which count as taken until placer_forget.
 * False: the node does not have the CPUs. */
bool placer_write(struct placer *p, const struct placing *at,
                  struct server *draft);
/* The same for a volume of its own; one made from a snapshot or another
 * volume goes to their node. */
bool placer_volume(struct placer *p, struct snapshot *s,
                   const struct volume *volume, int64_t now, const char **node,
                   struct error *err);

#endif
