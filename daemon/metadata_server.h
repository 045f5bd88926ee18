/*
 * metadata_server - answers guests on 169.254.169.254.
 *
 * The privileged side makes the listening sockets (network/metadata.h), one
 * a network; here, in the face, connections are accepted and plain GETs
 * answered from the cache (compute/guest_metadata.h).  Which guest asks is
 * known by the socket's network and the client's address alone.
 *
 * One request a connection, one thread for all; a request is at most
 * METADATA_REQUEST_MAX bytes and a connection lives at most
 * METADATA_SECONDS, and there are at most METADATA_CONNECTIONS.
 *
 * Threads: all calls from any thread.
 */
#ifndef CAIRN_DAEMON_METADATA_SERVER_H
#define CAIRN_DAEMON_METADATA_SERVER_H

#include "common/env.h"
#include "state/cache.h"

#define METADATA_REQUEST_MAX 4096
#define METADATA_SECONDS     15
#define METADATA_CONNECTIONS 256

struct metadata_server;

struct metadata_server *metadata_server_new(struct cache *cache,
                                            const struct env *env);
/* Takes over `fd`, a listening socket; it replaces the network's former one.
 * -1: the network is gone. */
void metadata_server_listen(struct metadata_server *m, const char *network_id,
                            int fd);
void metadata_server_free(struct metadata_server *m); /* NULL is fine */

#endif
