/*
 * pool_store - the store that this node's configuration and past ask for.
 *
 * SQLite in the state directory, unless the mark of a move (state/move.h)
 * says that the store is in etcd: then that, whatever the configuration.
 * `store = etcd` moves what is in SQLite into etcd at the start, and begins
 * an empty store there if there is nothing to move.
 *
 * What is given back can be exchanged later (state/switch.h).
 * Threads: the caller's; it blocks.
 */
#ifndef CAIRN_DAEMON_POOL_STORE_H
#define CAIRN_DAEMON_POOL_STORE_H

#include "daemon/config.h"
#include "state/move.h"

/* Is etcd needed on this node, as far as the state directory tells? */
bool pool_store_wants_etcd(const struct config *cf);
struct store *pool_store_open(const struct config *cf, const struct env *env,
                              struct error *err);
/* From SQLite to etcd, with writers on it: true if it is there already. */
bool pool_store_move(struct store *s, const struct config *cf,
                     const struct env *env, struct error *err);

#endif
