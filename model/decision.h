/*
 * decision - why a server is where it is: one record a server.
 *
 * Written by the scheduler in the transaction that places the server, or
 * that gives it up; replaced by the next decision about it and deleted with
 * it (release.h).  Bounded: a few candidates, one line a reason, whatever
 * the size of the pool.  It names nodes, and so is for administrators; the
 * sentence for the tenant is the server's `fault`.
 */
#ifndef CAIRN_MODEL_DECISION_H
#define CAIRN_MODEL_DECISION_H

#include "model/model.h"

#define DECISION_CANDIDATES 4  /* the chosen one and three runners-up */
#define DECISION_REASONS    16 /* kinds of exclusion */
#define DECISION_EXAMPLES   3  /* nodes named for each */

/* A part of a score, in millionths; the sum is the score. */
struct decision_part {
    const char *name;
    int64_t n;
};

struct decision_candidate {
    const char *node;
    int64_t score;
    struct list parts; /* struct decision_part */
};

struct decision_reason {
    const char *why;     /* "without enough memory" */
    int64_t nodes;       /* that many were excluded by it */
    const char *example; /* one of them, with the numbers */
};

/* id = server id */
struct decision {
    struct record rec;
    const char *project_id; /* of the server */
    const char *node;       /* the chosen one; NULL: there was none */
    const char *policy;
    int64_t decided;        /* time */
    int64_t revision;       /* of the records it was made on */
    int64_t nodes;          /* looked at */
    int64_t fitting;        /* of them */
    struct list candidates; /* struct decision_candidate, best first */
    struct list excluded;   /* struct decision_reason, most nodes first */
    struct list changes;    /* struct decision_change, smallest first */
};

/* What would have made it fit. */
struct decision_change {
    const char *what;   /* for the operator, with names */
    const char *tenant; /* the same for the tenant */
};

#endif
