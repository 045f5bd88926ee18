/*
 * resize - a server that is off goes to another flavor, another node or both:
 * what is written on the way (migration.h has the states).
 *
 *   QUEUED      RESIZE_PREP       the quota has been charged for the larger
 *     | leader  migration_place
 *   PREPARING                     the source takes the guest off
 *     | source  resize_begin: records of disks of the next generation at the
 *     |         dest, copies of the ones it has
 *   MIGRATING   RESIZE_MIGRATING  the dest's storage makes them
 *     | source  resize_arrive: node, flavor, disks, ports change together
 *   POST_MIGRATING RESIZE_FINISH  the dest starts the guest
 *     | dest    resize_finish
 *   FINISHED    RESIZED           the old disks are kept
 *     | API     resize_confirm -> CONFIRMED, the old disks go
 *     | API     REVERTING; the dest takes the guest off
 *     | dest    resize_revert  -> REVERTED: the source starts it again
 *
 *   resize_broken: an error on the way; what it is now it stays
 *   resize_failed: before it arrives, all is as it was, and it starts again
 *
 * Source and dest may be one node.  Disks that all nodes reach and whose size
 * stays are kept: then there is no other generation.
 * Pure, as release.h: `m` and `server` are drafts that the caller puts; `now`
 * is wall clock in microseconds.
 */
#ifndef CAIRN_MODEL_RESIZE_H
#define CAIRN_MODEL_RESIZE_H

#include "model/migration.h"

/* What the quota is charged for a server: while it is resized the larger of
 * both flavors. */
struct charge {
    int64_t vcpus, ram_mb;
};
struct charge resize_charge(const struct snapshot *s,
                            const struct server *server);

/* Charges what the new flavor has more; as quota_charge. */
bool resize_charge_more(struct txn *t, const struct snapshot *s,
                        const struct migration *m, struct error *err);

void resize_begin(struct txn *t, const struct snapshot *s, struct migration *m,
                  struct server *server, int64_t now);
void resize_arrive(struct txn *t, const struct snapshot *s, struct migration *m,
                   struct server *server, const char *zone, int64_t now);
void resize_finish(struct migration *m, struct server *server, int64_t now);
/* These give back quota: false as quota_charge. */
bool resize_confirm(struct txn *t, const struct snapshot *s,
                    struct migration *m, struct server *server, int64_t now,
                    struct error *err);
bool resize_revert(struct txn *t, const struct snapshot *s, struct migration *m,
                   struct server *server, const char *zone, int64_t now,
                   struct error *err);
bool resize_broken(struct txn *t, const struct snapshot *s, struct migration *m,
                   struct server *server, const char *fault, int64_t now,
                   struct error *err);
bool resize_failed(struct txn *t, const struct snapshot *s, struct migration *m,
                   struct server *server, const char *fault, int64_t now,
                   struct error *err);

#endif
