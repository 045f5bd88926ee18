/* run - one seed from its first moment to an empty pool. */
#ifndef CAIRN_SIM_RUN_H
#define CAIRN_SIM_RUN_H

#include "world.h"

struct run_options {
    unsigned long steps; /* of chaos in each round */
    unsigned nodes;      /* 0: one */
    bool local;          /* of many: none shares its disks */
    bool verbose;
};

/* True: no invariant broke.  Adds to *total; *hash is that of all events. */
bool run_seed(uint64_t seed, const struct run_options *o,
              struct world_stats *total, uint64_t *hash);

#endif
