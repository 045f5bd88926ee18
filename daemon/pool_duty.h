/*
 * pool_duty - what a node does for the pool: it lives, leads, votes.
 *
 * Lives: a node in a pool of many holds the election "node-<its id>"
 * (state/election.h).  A second one with the same id, the copy of a disk,
 * never gets it and is refused; a cairnd that was started again on the same
 * boot knows its own (<run_dir>/instance) and does not wait.
 *
 * Leads: one node at a time does what must be done once (scheduler,
 * rebalancer, housekeeper, OVN's northbound database, the list of voters).
 * The first NODE_SERVICES_CENTRAL members stand, because OVN's databases
 * are there; others while none of those lives.
 *
 * Votes: every node compares etcd's list of members with what runs here: it
 * starts its own when the leader has added it, drops it when it was removed,
 * and follows the list with its endpoints.  The leader takes the steps of
 * state/voters.h.
 *
 * A node whose state is its own file is alone: it leads without an election,
 * for nobody else can open that file.
 *
 * Threads: those of its reconciler and of the elections; pool_duty_leads and
 * pool_duty_guard from any.
 */
#ifndef CAIRN_DAEMON_POOL_DUTY_H
#define CAIRN_DAEMON_POOL_DUTY_H

#include "daemon/membership.h"
#include "daemon/node_services.h"
#include "state/cache.h"
#include "state/store.h"

#define POOL_DUTY_PASS_US    SECOND_US
#define POOL_DUTY_REFUSED_US (15 * SECOND_US)

struct pool_duty;

struct pool_duty_config {
    const struct env *env;
    const struct config *config;
    const struct membership *pool;
    struct store *store; /* of pool_store.h */
    struct cache *cache;
    struct node_services *services; /* NULL: others start the daemons */
    const char *node, *address;
    /* This node leads, from now on: look at everything.  Must not block. */
    void (*lead)(void *arg);
    void *arg;
};

/* After cache_follow, copies nothing.  Waits until this node is the only one
 * of its identity; ERR_EXISTS: another lives. */
struct pool_duty *pool_duty_open(const struct pool_duty_config *config,
                                 struct error *err);
/* From now on it leads if nobody does. */
void pool_duty_start(struct pool_duty *d);
/* Before a second node is let in: the state goes to etcd, if it is not
 * there.  Blocks for seconds. */
bool pool_duty_make_room(struct pool_duty *d, struct error *err);
/* Begins nothing more, leads no more: before those who ask it are freed. */
void pool_duty_stop(struct pool_duty *d); /* NULL is fine */
/* Gives up what it holds; nobody asks it any more.  NULL is fine. */
void pool_duty_free(struct pool_duty *d);

bool pool_duty_leads(void *duty);
/* The term in which it leads (state/election.h), 1 for who is alone; 0: it
 * does not. */
int64_t pool_duty_term(void *duty);
/* The node that leads, as far as this one knows; malloced, NULL: none. */
char *pool_duty_leader(struct pool_duty *d);
/* The term of this node's lease, 0: it does not hold.  A node that is alone
 * needs none: 1. */
int64_t pool_duty_lease(struct pool_duty *d);
/* The first start of cairnd since the machine has booted? */
bool pool_duty_booted(const struct pool_duty *d);
/* The txn happens only while we lead; false: we do not. */
bool pool_duty_guard(void *duty, struct txn *txn);

#endif
