/*
 * election - leadership and presence, by a key and a lease in the store.
 *
 * An election is a name; its key is "election/<name>" and its value the
 * leader's.  election_core.h decides; this carries it out on any driver.
 * The leader's txns are fenced by election_guard: they conflict as soon as
 * somebody else leads.  What lies outside the store is fenced by the term.
 *
 * A node's presence is the election "node-<name>" with one candidate: its
 * key is there while the node lives, its term is the node's incarnation,
 * and a second node of the same name never gets it.
 *
 * Threads: functions from any.  `changed` comes on a thread of the election
 * and must not block nor call it; the end of leadership is told when the
 * trust in the lease ends, even while a call to the store hangs.  With
 * `manual` there is no thread: the owner calls election_step (simulation).
 */
#ifndef CAIRN_STATE_ELECTION_H
#define CAIRN_STATE_ELECTION_H

#include "state/election_core.h"
#include "state/store.h"

#define ELECTION_PREFIX "election/"
#define ELECTION_NODES  "node-" /* + node id: presence */
#define ELECTION_TTL_S  STORE_LEASE_MIN

struct election;

struct election_config {
    struct store *store;
    const struct env *env;
    const char *name;      /* at most ELECTION_NAME_MAX - 1 bytes */
    const char *candidate; /* the same: who we are; NULL: only observes */
    int64_t ttl_s;         /* 0: ELECTION_TTL_S */
    /* Leadership begins (term) or ends (0); may be NULL. */
    void (*changed)(void *arg, int64_t term);
    void *arg;
    bool manual;
};

/* Copies what it is given, begins at once. */
struct election *election_new(const struct election_config *config,
                              struct error *err);
/* Resigns if `resign` (else the lease ends by itself); NULL is fine. */
void election_free(struct election *e, bool resign);

/* The term in which we lead, 0 if we do not. */
int64_t election_term(struct election *e);
/* Who leads as far as we know ("": nobody), and the term. */
int64_t election_leader(struct election *e, char leader[ELECTION_NAME_MAX]);
/* Lets somebody else lead; election_stand: would lead again. */
void election_resign(struct election *e);
void election_stand(struct election *e);
/* The txn happens only while we lead; false: we do not. */
bool election_guard(struct election *e, struct txn *t);

/* Manual: one thing that is due; false: nothing is. */
bool election_step(struct election *e);
int64_t election_due(struct election *e); /* monotonic us */

#endif
