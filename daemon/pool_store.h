/*
 * pool_store - the store that this node's configuration and past ask for.
 *
 * SQLite in the state directory, unless the mark of a move (state/move.h)
 * says that the store is in etcd: then that, whatever the configuration.
 * `store = etcd` moves what is in SQLite into etcd at the start, and begins
 * an empty store there if there is nothing to move.
 *
 * To an etcd that the configuration does not name, which is that of the pool's
 * members, this node shows its certificate of the pool (rest-api/pki.h).
 *
 * What is given back can be exchanged later (state/switch.h).
 * Threads: the caller's; it blocks.
 */
#ifndef CAIRN_DAEMON_POOL_STORE_H
#define CAIRN_DAEMON_POOL_STORE_H

#include "daemon/config.h"
#include "state/move.h"

/* Is the state in an etcd that the configuration names (and not: in that of
 * the pool's members)? */
bool pool_store_is_alone(const struct config *cf);
/* Has it left SQLite? */
bool pool_store_in_etcd(const struct config *cf);
struct store *pool_store_open(const struct config *cf, const struct env *env,
                              struct error *err);
/* From SQLite to the etcd at that URL, with writers on it: true if it is in
 * etcd already. */
bool pool_store_move(struct store *s, const struct config *cf,
                     const struct env *env, const char *url, struct error *err);
/* The connection to etcd, once the store is there. */
struct grpc *pool_store_grpc(struct store *s);
/* To one member alone, as the pool's members speak with etcd: for its upkeep
 * (state/etcd_cluster.h). */
struct grpc *pool_store_dial(const struct config *cf, const struct env *env,
                             const char *url, struct error *err);
/* Who votes has changed: for now and for the next start. */
bool pool_store_endpoints(struct store *s, const struct config *cf,
                          const char *const *urls, size_t n, struct error *err);

#endif
