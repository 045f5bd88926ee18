/*
 * move - a store moves into etcd, whole or not at all.
 *
 *   hold writers -> claim -> wipe -> copy -> origin -> compare -> MARK
 *                                                                  |
 *   held writers go on in etcd, watches are LOST  <- exchange <----+
 *
 * Which of the two stores counts is decided by one file, <dir>/store, that
 * is put in place by a rename: before it the old store, from it on etcd.  A
 * crash at any moment leaves one of the two whole; what an unfinished move
 * left in etcd is known by the claim (<dir>/move-id, in the origin) and is
 * wiped by the next try.  An etcd with the store of somebody else is refused.
 *
 * Every record keeps key and value, and its lease by number (but not what
 * remained of its time: a new span begins).  Revisions go on: all of them in
 * etcd are greater than any in the old store, so an old compare conflicts and
 * a watch from an old revision is COMPACTED.
 *
 * Threads: one at a time, not from a call-back; they block.
 */
#ifndef CAIRN_STATE_MOVE_H
#define CAIRN_STATE_MOVE_H

#include "state/store_etcd.h"

#define MOVE_MARK         "store"
#define MOVE_ENDPOINT_MAX GRPC_ENDPOINTS_MAX
#define MOVE_LEASE_S      30 /* span of the leases that come along */

/* ---- the mark ---------------------------------------------------------- */

struct move_mark {
    bool there; /* the store is in etcd */
    size_t n;
    char endpoints[MOVE_ENDPOINT_MAX][ENDPOINT_MAX];
};
bool move_read_mark(const char *dir, struct move_mark *mark, struct error *err);
/* Also later, when the members have changed. */
bool move_write_mark(const char *dir, const char *const *endpoints, size_t n,
                     struct error *err);

/* ---- moving ------------------------------------------------------------ */

enum move_step {
    MOVE_CLAIMED,
    MOVE_WIPED,
    MOVE_BATCH, /* after each of the copy */
    MOVE_COPIED,
    MOVE_ORIGIN,
    MOVE_COMPARED,
    MOVE_MARKED,
};

struct move_config {
    const char *dir; /* where the mark is */
    struct store_etcd_config to;
    /* Tests end the world here; may be NULL. */
    bool (*step)(void *arg, enum move_step step);
    void *arg;
};

/* From a store that nobody writes to.  NULL: it was not moved, or
 * (ERR_CANCELLED) `step` said to stop.  Else the store in etcd. */
struct store *move_run(struct store *from, const struct move_config *c,
                       struct error *err);
/* With writers and watchers on it: `s` is a store_switch. */
bool move_online(struct store *s, const struct move_config *c,
                 struct error *err);

#endif
