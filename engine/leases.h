/*
 * leases - which nodes hold their lease, and since when not, as this
 * observer sees it.
 *
 * A node that lives holds the election "node-<its id>" (state/election.h).
 * Every node that could lead observes all the time, so that a new leader
 * does not begin to count when it begins to lead.  What is seen here is a
 * hint: a decision compares the key itself, in its transaction.
 *
 * Threads: leases_look from one; leases_of from any.  `changed` comes on a
 * thread of the store and must not block nor call back.
 */
#ifndef CAIRN_ENGINE_LEASES_H
#define CAIRN_ENGINE_LEASES_H

#include "common/env.h"
#include "state/store.h"

struct leases;

struct lease_view {
    bool present;
    bool known;   /* it is or was present since the observer began */
    int64_t gone; /* !present: since when, monotonic us */
};

struct leases *leases_new(struct store *store, const struct env *env,
                          void (*changed)(void *arg), void *arg);
/* Lists if that is needed: at first and when the watch was lost.  False: the
 * store does not answer; what was seen before stands. */
bool leases_look(struct leases *l, struct error *err);
/* Before the first look nobody is present. */
struct lease_view leases_of(struct leases *l, const char *node_id);
/* The key of a node's lease, for compares. */
char *lease_key(char out[STORE_KEY_MAX], const char *node_id);
void leases_free(struct leases *l); /* NULL is fine */

#endif
