/*
 * mover - begins to move a server, for those who decide by themselves
 * that it should (the rebalancer; a drain is its work too).
 *
 * It writes the record of a migration to a certain node, live or, of a server
 * that is off, a cold one that nobody has to confirm, and is done: the
 * scheduler checks once more whether the server may go there, and the nodes
 * carry it out (model/migration.h).
 *
 * Pure but for the commit; any thread.
 */
#ifndef CAIRN_ENGINE_MOVER_H
#define CAIRN_ENGINE_MOVER_H

#include "common/env.h"
#include "model/migration.h"
#include "state/store.h"

struct mover {
    struct store *store;
    struct cache *cache;
    const struct env *env;
    /* Makes the txn happen only while we lead; false: we do not. */
    bool (*guard)(void *arg, struct txn *txn);
    void *guard_arg;
};

/* `why` is for people.  A rebalance_move_fn: `self` is a struct mover. */
bool mover_begin(void *self, const struct server *server, const char *to,
                 const char *why, struct error *err);

#endif
