/*
 * goals - what a pool suffers from, in points: pure.
 *
 * A point is a thousandth of an easy migration (cost.h), so gain and cost
 * are of one currency.  The pain of a host is a sum, each term on by policy:
 *
 *   EVACUATE     guests on a draining host
 *   RELIEVE      CPU time, memory, disk and network that its guests want
 *                above what the machine gives in comfort
 *   EVEN         the square of how full it is, allocated or measured,
 *                whichever is more
 *   FILL         what a host has less than a share of the pool's mean, while
 *                there is one that is nearly empty
 *   CONSOLIDATE  a host that is not empty
 *   DEFRAGMENT   less: the whole units of the large request that fit there
 *   REPAIR       members of a group that are where its rule does not want
 *                them (asked by group, not by host)
 *
 * A goal that is not triggered is silent, so that a plan comes to rest: what
 * triggers RELIEVE is a machine in trouble (strain.h); only then is its
 * comfort the measure, and no other host may be brought above its own.
 */
#ifndef CAIRN_ENGINE_GOALS_H
#define CAIRN_ENGINE_GOALS_H

#include "engine/board.h"

#define GOALS(X)                                                               \
    X(EVACUATE, "evacuate", "the host is to be emptied")                       \
    X(REPAIR, "repair", "its group's rule is broken there")                    \
    X(RELIEVE, "relieve", "the host's guests lose time")                       \
    X(CONSOLIDATE, "consolidate", "the host can be emptied")                   \
    X(FILL, "fill", "a new host is nearly empty")                              \
    X(EVEN, "even", "hosts are unevenly full")                                 \
    X(DEFRAGMENT, "defragment", "room for a large request")

enum goal {
#define X(name, word, text) GOAL_##name,
    GOALS(X)
#undef X
        GOALS_N
};

const char *goal_name(enum goal g); /* "relieve" */
const char *goal_text(enum goal g);

struct goals_policy {
    int32_t weight[GOALS_N];     /* points, see goals_usual_weight; 0: off */
    struct strain_policy strain; /* RELIEVE */
    int32_t nearly_empty;        /* FILL: thousandths of the pool's mean ... */
    int32_t filled;              /* ... up to which they are filled then */
    int32_t vcpu, memory;        /* DEFRAGMENT: the unit; thousandths, MiB */
    int64_t units;               /* DEFRAGMENT: so many are enough */
};

/* What a goal weighs where it is on. */
int32_t goals_usual_weight(enum goal g);

/* The policy on one board: which goals are triggered, what comfort is. */
struct goals {
    struct goals_policy policy;
    const struct board *board;
    bool on[GOALS_N];
    const struct strains *strains; /* by host; borrowed */
    bool groups;                   /* some rule is broken */
    int64_t mean;                  /* of fullness, of the hosts that are up */
};

/* `strains` of the board as it was measured (strain_find): what the machine
 * shows does not change while moves are thought of. */
void goals_init(struct goals *g, const struct goals_policy *p,
                const struct board *b, const struct strains *strains);

/* The pain of a host as it stands on the board, all goals that are on. */
int64_t goals_host(const struct goals *g, uint32_t host);
/* ... one goal, on or not; REPAIR is not asked by host: 0. */
int64_t goals_host_one(const struct goals *g, enum goal goal, uint32_t host);
/* ... of RELIEVE, by one resource. */
int64_t goals_host_strain(const struct goals *g, enum strain s, uint32_t host);
/* One goal over the whole board; smaller is better. */
int64_t goals_pain(const struct goals *g, enum goal goal);
int64_t goals_total(const struct goals *g);
/* How full a host is, in millionths of its vCPUs or memory, whichever is
 * more. */
int64_t goals_fullness(const struct board *b, uint32_t host);
/* FILL: MiB, or as much in vCPUs, that a host should have more; 0: it is well
 * filled, or not up. */
int64_t goals_short(const struct goals *g, uint32_t host);
/* Whole units of the large request that fit on a host. */
int64_t goals_units(const struct goals *g, uint32_t host);
/* What a guest that leaves, or comes, would change of DEFRAGMENT alone; the
 * board is as before. */
struct goals_shift {
    int64_t pain;
    /* A cell where less is missing to a unit is closer to one: the change of
     * the sum of squares of the remainders, in units.  To guide a search. */
    double guide;
};
struct goals_shift goals_leave(const struct goals *g, uint32_t guest);
struct goals_shift goals_come(const struct goals *g, uint32_t guest,
                              uint32_t host, uint8_t cells);
/* Is the guest where its group does not want it? */
bool goals_misplaced(const struct board *b, uint32_t guest);

#endif
