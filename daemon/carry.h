/*
 * carry - disks on their way between nodes, over the peers' TLS (peer_tls.h).
 *
 * The node that a server goes to asks the one that has its disk, with the id
 * of the record that is to be filled; that one looks whether its records say
 * that too, and sends the disk as the storage gives it (volumes.h,
 * disk_export).  Whatever breaks, breaks the connection: who asked throws
 * away what has come, and asks again.
 *
 *   asks     "<disk id>"
 *   answers  'D' bytes, as often as needed, then 'E'; or 'X' code and text
 *
 * Threads: any; a call blocks for as long as the disk takes, and fails when
 * nothing has moved for CARRY_PATIENCE_S.  What all of them send together
 * `copy_mib_s` of the configuration limits.
 */
#ifndef CAIRN_DAEMON_CARRY_H
#define CAIRN_DAEMON_CARRY_H

#include "daemon/config.h"
#include "daemon/peer_tls.h"
#include "state/cache.h"
#include "storage/storage_reconcile.h"

#include <stdatomic.h>

#define CARRY_PATIENCE_S 60

/* May the disk of that record leave `node` for where it is wanted, and which
 * is it there?  Borrowed from the snapshot; NULL: UNAVAILABLE, these records
 * do not say so (yet). */
const char *carry_permits(const struct snapshot *snap, const char *node,
                          const char *disk_id, struct error *err);

/* How long to wait before `len` more bytes go, microseconds, when all senders
 * together may send `mib_s` (0: any).  `free_at` is theirs, 0 at first: when
 * what has been let go so far will have gone, as `now` on a monotonic clock.
 * Nothing is saved up while nobody sends. */
int64_t carry_pace(_Atomic int64_t *free_at, int64_t now, size_t len,
                   int64_t mib_s);

struct carry {
    const struct config *config;
    struct cache *cache;
    struct volumes *volumes;
    const char *node;
    int patience_s;          /* 0: CARRY_PATIENCE_S */
    _Atomic int64_t free_at; /* of carry_pace */
};

/* Answers one who has shown that he is a member. */
void carry_answer(struct carry *c, struct peer *peer, const char *from);
/* A storage_fetch_fn; `self` is a struct carry. */
bool carry_fetch(void *self, const char *node, const char *disk_id,
                 storage_take_fn *take, void *arg, struct error *err);

#endif
