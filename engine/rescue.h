/*
 * rescue - what recovery writes about the servers of a failed node.
 *
 * Each function adds to a transaction what must happen together; the caller
 * guards it (the leader's term, the node's record unchanged) and commits.
 * Pure: a snapshot in, writes out.  `now` is wall clock, microseconds.
 *
 * A server that starts again, elsewhere or at home, is STOPPED with the task
 * powering-on and has a new `generation`: its node's compute starts it, or
 * finds that it runs (one with local disks may have outlived its node's
 * silence).  One whose resize waits to be confirmed goes on waiting, from
 * wherever it is.
 */
#ifndef CAIRN_ENGINE_RESCUE_H
#define CAIRN_ENGINE_RESCUE_H

#include "engine/recovery.h"
#include "model/migration.h"
#include "state/cache.h"

/* What recovery_fate asks about a server.  `fenced`: there is shared storage
 * and a fence for it; without, only what is yet unmade can start elsewhere. */
struct recovery_server rescue_look(const struct snapshot *s,
                                   const struct server *server, bool fenced);

/* It starts (if it should run) on `node`, with the cells and devices of
 * `there` (evacuate.h), a draft; recorded as an evacuation with the new id
 * `id`. */
bool rescue_move(struct txn *t, const struct snapshot *s,
                 const struct server *server, const char *node,
                 struct server *there, const char *id, int64_t now,
                 struct error *err);
/* The same for an evacuation that was asked for, a draft that is QUEUED; the
 * caller has seen that the server's node is FENCED. */
void rescue_evacuate(struct txn *t, const struct snapshot *s,
                     struct migration *m, const struct server *server,
                     const char *node, struct server *there, int64_t now);
/* It cannot run until its node is back: ERROR, with the reason. */
void rescue_strand(struct txn *t, const struct snapshot *s,
                   const struct server *server, const char *why, int64_t now);
/* Its node is missed although it should not run: it stands still there, is
 * to go, or something is under way. */
bool rescue_is_busy(const struct server *server);
/* Does it start again when its node is admitted? */
bool rescue_is_due(const struct server *server);
/* ... it does. */
void rescue_restart(struct txn *t, const struct server *server, int64_t now);

/* What else the node was to do and another must do now: volumes that it was
 * making, disks in the shared storage that it was to remove, live migrations
 * to it.  Adds at most `most` records; how many. */
size_t rescue_chores(struct txn *t, const struct snapshot *s, const char *from,
                     const char *to, size_t most, int64_t now);

#endif
