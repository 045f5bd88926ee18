/*
 * bench/rebalance/mip - the exact optimum, by a mixed-integer program.
 *
 * Servers of one class on one cell are alike, so the program counts them:
 * how many of class k leave cell c, how many arrive.
 *
 *     maximise    sum of y_c                      whole units free
 *     subject to  free_c + out - in = 16 y_c + r_c,  0 <= r_c <= 15
 *                 memory stays within what is there
 *                 as many of a class arrive as leave
 *                 at most M arrive
 *
 * A class that is split over two cells leaves and arrives on both at once.
 * Whether some order carries the migrations out is not asked: the optimum
 * is at least as good as what can be done.  The solver is a child with a
 * deadline: Debian's coinor-cbc, or highs where it is installed.
 */
#ifndef CAIRN_BENCH_REBALANCE_MIP_H
#define CAIRN_BENCH_REBALANCE_MIP_H

#include "bench/rebalance/cluster.h"

struct mip_answer {
    bool ran;     /* a solver is installed and answered */
    bool proof;   /* the optimum, proven */
    double gain;  /* of its best solution, cores */
    double bound; /* no solution gains more, cores */
    double seconds;
};

/* Writes the program in LP format to `path`. */
bool mip_write(const struct cluster *c, int migrations, const char *path);
/* Writes and solves it, within `deadline` seconds. */
void mip_solve(const struct cluster *c, int migrations, int deadline,
               struct mip_answer *out);

#endif
