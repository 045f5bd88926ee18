/*
 * pool_voters - the pool's nodes as voters: who lives, and the next step.
 *
 * What pool_duty looks at and, on the leader, carries out: presence keys
 * say who lives, the members' records who there is, etcd's list who votes;
 * state/voters.h decides.  A new voter begins as a learner, which its node
 * then starts; it is promoted when it has caught up.  The third of three votes
 * at once.
 *
 * Threads: one at a time.
 */
#ifndef CAIRN_DAEMON_POOL_VOTERS_H
#define CAIRN_DAEMON_POOL_VOTERS_H

#include "state/cache.h"
#include "state/election.h"
#include "state/etcd_cluster.h"
#include "state/store.h"

#define POOL_PRESENCE        ELECTION_NODES
#define POOL_LEARNER_DEAD_US (20 * SECOND_US)
/* etcd adds nobody while a voter has been connected for less than 5 s. */
#define POOL_LEARNER_RIPE_US (7 * SECOND_US)

struct pool_voters;

struct pool_voters *pool_voters_new(const struct env *env);
void pool_voters_free(struct pool_voters *v);

/* Who lives, now. */
bool pool_voters_look(struct pool_voters *v, struct store *store,
                      struct cache *cache, struct error *err);
/* Did it live at the last look? */
bool pool_voters_lives(const struct pool_voters *v, const char *node);
/* Is it among the first members, or does none of those live? */
bool pool_voters_may_lead(const struct pool_voters *v,
                          const struct snapshot *snap, const char *node);
/* The leader's: one step, if there is one, or two (voters.h); `list` then
 * knows of the first.  Failures are logged. */
void pool_voters_step(struct pool_voters *v, const struct snapshot *snap,
                      struct grpc *g, struct etcd_members *list);
/* The member with that peer URL, or NULL. */
const struct etcd_member *pool_voters_find(const struct etcd_members *list,
                                           const char *peer);

#endif
