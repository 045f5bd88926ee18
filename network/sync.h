/*
 * sync - brings a northbound database to wanted content (network/nb.h).
 *
 * The diff is pure: replica and content in, the operations of one
 * transaction out.  A row is ours when its external_ids have NB_ID; ours are
 * inserted, corrected column by column, and removed when they are no longer
 * wanted; all other rows are left alone, also as children of ours.  A child
 * is always written together with the reference that holds it, as the
 * database drops what nobody refers to.
 *
 * Operations come in bounded batches: after each the replica is ahead, and
 * the next diff is what is left.  A row that the database refuses holds up
 * only itself.  Each transaction begins with the fence (network/fence.h).
 */
#ifndef CAIRN_NETWORK_SYNC_H
#define CAIRN_NETWORK_SYNC_H

#include "network/nb.h"
#include "network/ovsdb.h"

#define SYNC_BATCH_OPS 4000

struct sync_batch {
    json_t *ops;    /* NULL: nothing left to do */
    char *first;    /* "<table>/<key>" of the first row in it */
    uint64_t units; /* rows in it */
};

/* Operations for about `max_ops` (at least one row's), in order: what goes,
 * then what comes and what changes.  Rows named in `skip` (an object with
 * "<table>/<key>" members, may be NULL) are left as they are. */
struct sync_batch sync_diff(const json_t *replica, const json_t *content,
                            size_t max_ops, const json_t *skip);
void sync_batch_free(struct sync_batch *batch);

struct sync_stats {
    uint64_t transactions, rows; /* written */
    uint64_t version;            /* of the replica that was looked at last */
};

/* Diffs and writes until nothing is left.  `fence` (borrowed, may be NULL) is
 * the first operation of each transaction.  UNAVAILABLE, UNKNOWN: try again
 * later.  When rows were refused, all others are done and the error is that
 * of the first one.  `stats` (may be NULL) is added to. */
bool sync_apply(struct ovsdb *db, const json_t *content, json_t *fence,
                struct sync_stats *stats, struct error *err);

#endif
