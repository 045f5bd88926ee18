/*
 * bench/rebalance/cluster - clusters like the published ones.
 *
 * The literature on rescheduling virtual machines (VMR2L, EuroSys 2025)
 * measures on clusters of 280 hosts with two NUMA cells of 44 cores and
 * about 2,100 servers, 81 % of the hosts more than 80 % full and 88 % of the
 * servers of at most 16 cores.  The data themselves are not free to copy; a
 * cluster here is drawn with these properties: filled by a placer that looks
 * at a few hosts, then emptied at random, as a cluster in use is.
 * Deterministic by seed.
 */
#ifndef CAIRN_BENCH_REBALANCE_CLUSTER_H
#define CAIRN_BENCH_REBALANCE_CLUSTER_H

#include <stdbool.h>
#include <stdint.h>

#define CLUSTER_CELLS   2
#define CLUSTER_CORES   44     /* a cell */
#define CLUSTER_MEMORY  184388 /* MiB a cell */
#define CLUSTER_SIZES   7
#define CLUSTER_CLASSES (2 * CLUSTER_SIZES) /* size by memory a core */
#define CLUSTER_UNIT    16 /* what is free modulo this many cores is waste */

struct cluster_class {
    int cores, memory; /* in all; MiB */
    int cells;         /* it is split evenly over */
};
extern const struct cluster_class cluster_classes[CLUSTER_CLASSES];

struct cluster_server {
    int class, host, cell; /* cell: the first of those it is on */
};

struct cluster {
    int n_hosts, n_servers;
    struct cluster_server *servers;
    int (*cores)[CLUSTER_CELLS];  /* free, by host and cell */
    int (*memory)[CLUSTER_CELLS]; /* free, MiB */
};

/* Draws one of `hosts` with `servers` (fewer where they do not fit). */
void cluster_draw(struct cluster *c, int hosts, int servers, uint64_t seed);
void cluster_free(struct cluster *c);

/* Moves a server, to cells from `cell` on.  False: there is no room. */
bool cluster_move(struct cluster *c, struct cluster_server *s, int host,
                  int cell);

/* Cores that are free but not in whole units of a cell. */
int cluster_unusable(const struct cluster *c);
double cluster_full(const struct cluster *c); /* share of the cores in use */

#endif
