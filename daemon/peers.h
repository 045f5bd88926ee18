/*
 * peers - where the nodes of a pool meet.
 *
 * Every member listens on peer_port: over TCP for nodes that want to join
 * (join.h, peer_tls.h) and for members that need the keys of the pool's Ceph
 * cluster (ceph_share.h), a disk of a server that goes there (carry.h), or ask
 * what only this node can tell (peer_ask.h); over UDP, also by multicast
 * (PEERS_GROUP), it answers nodes that look for a pool.
 *
 * Until he has shown the pool's certificate or the join secret's proof, who
 * connects is a stranger: he has PEERS_STRANGER_US for all that, however he
 * divides it.  Strangers take up PEERS_STRANGERS connections at most, those of
 * one address PEERS_ALIKE (of a member's address: as many as there are); more
 * are closed at once.  A datagram is answered when it is as long as the answer.
 *
 * Threads: one that listens, one a connection (PEERS_MAX at most).
 */
#ifndef CAIRN_DAEMON_PEERS_H
#define CAIRN_DAEMON_PEERS_H

#include "common/env.h"
#include "daemon/config.h"
#include "daemon/membership.h"
#include "daemon/peer_ask.h"
#include "daemon/peer_tls.h"
#include "rest-api/pki.h"
#include "state/cache.h"
#include "state/store.h"

#define PEERS_GROUP "239.255.67.80"
#define PEERS_MAX   64 /* connections */

#define PEERS_STRANGERS   32
#define PEERS_ALIKE       8
#define PEERS_STRANGER_US (10 * SECOND_US)

struct peers_config {
    const struct env *env;
    const char *address; /* of this node, "0.0.0.0" is fine */
    int port;
    const struct pki *pki;
    const struct membership *pool;
    struct store *store;
    struct cache *cache;
    const char *state_dir;
    /* Before a node is let in: the state must be where it can reach it. */
    bool (*make_room)(void *arg, struct error *err);
    /* Sends a member the disk that it asks for. */
    void (*give)(void *arg, struct peer *peer, const char *from);
    /* What a member may know of the Ceph cluster; false: why not. */
    bool (*share)(void *arg, struct buf *out, struct error *err);
    /* What a member asks this node. */
    peer_answer_fn *answer;
    void *arg;
};

struct peers;

/* All that the config points to outlives it. */
struct peers *peers_start(const struct peers_config *config, struct error *err);
void peers_stop(struct peers *p); /* NULL is fine; cuts all connections */

/* Makes the secret in `path` valid, if there is one and it is new. */
bool peers_accept_secret(struct store *store, struct cache *cache,
                         const struct env *env, const char *path,
                         struct error *err);
/* This node is a member: the founder's own record. */
bool peers_enroll(struct store *store, struct cache *cache,
                  const struct env *env, const struct membership *m,
                  const char *node, const char *address, struct error *err);

/* ---- a node on its way in ---------------------------------------------- */

/* Looks for pools on the network of `address` and at config->peers, and
 * tries to join each: once.  `m->node_id` is this node's; on success the rest
 * is filled and all is written below state_dir. */
bool peers_join(struct membership *m, const struct config *config,
                const struct env *env, const char *node, const char *address,
                struct error *err);

/* ---- a member ---------------------------------------------------------- */

/* Asks one member after the other for what PEER_CEPH gives, until one answers;
 * the caller wipes it. */
bool peers_ask_ceph(const struct membership *m, const struct config *config,
                    struct buf *out, struct error *err);
/* Asks the member `node` what only that can tell (peer_ask.h). */
bool peers_ask_node(struct cache *cache, const struct config *config,
                    const char *node, const char *op, const char *json,
                    struct buf *out, struct error *err);

#endif
