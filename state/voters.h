/*
 * voters - which nodes vote on the cluster's state, and the next change.
 *
 * Pure: a list of nodes in, one step out; the leader carries it out
 * (etcd_cluster.h: add a learner, promote it, remove) and asks again.  The
 * number of voters follows the number of nodes that may vote, dead or not:
 * 1, from three on 3, from five on 5.  Voters stay who they are unless they
 * are dead for VOTERS_DEAD_US (and somebody can take the place), no longer
 * eligible, too many, or a majority of them stands in one zone although
 * another zone has a node to offer.  Newcomers come from the zone with the
 * fewest voters, after VOTERS_SETTLE_US of life.
 *
 * Of two voters none may die, and etcd adds one at a time: so the first
 * newcomer begins only when a second is there as well, and that one votes at
 * once, without learning first (`at_once`): the two are one change behind the
 * other, and a third that has not started yet is no worse than none.
 *
 * A step never costs the quorum: additions come before removals, and
 * nothing is removed if the living voters that remain were no majority; while
 * there is no quorum there is no step, as nothing could carry it out.
 */
#ifndef CAIRN_STATE_VOTERS_H
#define CAIRN_STATE_VOTERS_H

#include "common/env.h"

#define VOTERS_NODES_MAX 1024
#define VOTERS_MOST      5
#define VOTERS_DEAD_US   (60 * SECOND_US)
#define VOTERS_SETTLE_US (10 * SECOND_US)

struct voter_node {
    const char *id;   /* ties are decided by it: must be unique */
    const char *zone; /* failure domain; "" is one like any other */
    bool voter;       /* votes now */
    bool alive;
    bool eligible; /* may vote: not drained, not leaving */
    int64_t since; /* alive or dead since then, monotonic us */
};

enum voters_what { VOTERS_STAY, VOTERS_ADD, VOTERS_REMOVE };

struct voters_step {
    enum voters_what what;
    size_t node;  /* index */
    bool at_once; /* ADD: it votes before it has caught up */
};

/* How many there should be of so many that may vote: 1, 3 or 5. */
size_t voters_count(size_t eligible);
/* n at most VOTERS_NODES_MAX (what is behind is not considered). */
struct voters_step voters_next(const struct voter_node *nodes, size_t n,
                               int64_t now);

#endif
