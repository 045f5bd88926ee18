/*
 * election_core - who leads: the decisions, without store, clock or thread.
 *
 * One key for each election; whoever created it, with a lease of its own,
 * leads until the key goes (resigned, lease ended, removed).  The revision
 * at which it was created is the term: it grows with every new leader, on
 * every driver and across the move to etcd, and so fences what an old one
 * still has in flight.
 *
 * A leader trusts its lease only until ELECTION_TRUST of its time has passed
 * since the last keepalive that was answered was *sent*: it stops before
 * the store lets anybody else begin, however late it hears of that, as long
 * as clocks run at the same speed within a tenth.
 *
 * The owner asks election_next what to do, does it, and tells what came of
 * it; times are monotonic microseconds.  Threads: one at a time.
 */
#ifndef CAIRN_STATE_ELECTION_CORE_H
#define CAIRN_STATE_ELECTION_CORE_H

#include "common/env.h"

#define ELECTION_NAME_MAX      128
#define ELECTION_TRUST(ttl_us) ((ttl_us) / 10 * 9)
#define ELECTION_PAUSE_US      (SECOND_US / 5) /* after what did not work */

enum election_do {
    ELECTION_WAIT,      /* until `at` or until something is observed */
    ELECTION_LIST,      /* range the key, begin to watch it */
    ELECTION_GRANT,     /* a lease */
    ELECTION_CAMPAIGN,  /* create the key with `lease` */
    ELECTION_KEEPALIVE, /* of `lease` */
    ELECTION_REVOKE,    /* of `lease`: the key goes with it */
};

struct election_todo {
    enum election_do what;
    int64_t lease;
    int64_t at; /* WAIT: INT64_MAX for ever */
};

enum election_outcome {
    ELECTION_DONE,
    ELECTION_REFUSED, /* somebody else has it; the lease is gone */
    ELECTION_UNSURE,  /* no answer, or failed for another reason */
};

struct election_core {
    int64_t ttl_us;
    bool wanted;  /* we would lead */
    bool listed;  /* what follows is what the store says */
    int64_t term; /* of the leader there is; 0: none */
    int64_t mod_rev;
    int64_t holder;        /* its lease */
    int64_t lease;         /* ours; 0: none */
    int64_t granted_until; /* trust in it ends */
    int64_t keep_at;       /* next keepalive */
    int64_t pause_until;
    int64_t lapses; /* how often trust was gone and came back */
};

void election_core_init(struct election_core *c, int64_t ttl_s);
struct election_todo election_next(const struct election_core *c, int64_t now);
/* Are we it, now?  Then *until is when we cease to be if nothing comes. */
bool election_leads(const struct election_core *c, int64_t now, int64_t *until);

/* What came of what; `sent` is when it was begun. */
void election_granted(struct election_core *c, int64_t sent, int64_t now,
                      enum election_outcome out, int64_t lease);
void election_campaigned(struct election_core *c, int64_t now,
                         enum election_outcome out, int64_t revision);
void election_kept(struct election_core *c, int64_t sent, int64_t now,
                   enum election_outcome out);
void election_revoked(struct election_core *c);
/* The key as it is now; term 0: there is none. */
void election_observed(struct election_core *c, int64_t term, int64_t mod_rev,
                       int64_t holder);
void election_unlisted(struct election_core *c, int64_t now); /* watch ended */

#endif
