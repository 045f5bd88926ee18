/*
 * fence - only the newest leader writes the northbound database.
 *
 * Who leads the pool asks before it writes, but what it has begun may arrive
 * after another took over.  So the database itself knows the term of its
 * writer (state/election.h), in NB_Global's external_ids: a new leader puts
 * its own there if it is larger, and each transaction begins with a `wait`
 * for it, without which nothing of it happens.
 *
 * The term is a revision of the store.  A store that was restored from a
 * copy counts anew, below what the database has seen: after
 * FENCE_PATIENCE_US of leading (twenty times what a lease lasts) a smaller
 * term is put there too.
 *
 * Pure: a replica (network/ovsdb_wire.h) in, operations out.
 */
#ifndef CAIRN_NETWORK_FENCE_H
#define CAIRN_NETWORK_FENCE_H

#include "common/env.h"

#include <jansson.h>

#define FENCE_TABLE       "NB_Global"
#define FENCE_KEY         "cairn:term" /* in external_ids */
#define FENCE_PATIENCE_US (60 * SECOND_US)

/* Whose the database is; 0: nobody has said. */
int64_t fence_term(const json_t *replica);
/* A transaction that makes it ours if it still is as in the replica. */
json_t *fence_claim(const json_t *replica, int64_t term);
/* The operation that fails (UNAVAILABLE) when it is not ours any more. */
json_t *fence_check(int64_t term);

#endif
