/*
 * cost - what moving a guest costs, in points: pure.
 *
 * 1,000 points are an easy migration: 4 GiB at rest over half of a 10 Gbit/s
 * link.  Pre-copy sends the memory, then again what was written meanwhile,
 * a geometric series (Clark et al., "Live Migration of Virtual Machines",
 * NSDI 2005): memory / (1 - dirty rate / speed); a guest that writes faster
 * than nine tenths of the speed is throttled and sent ten times.  Its own
 * local disks go along.  Then by priority: an important guest is moved for
 * better reasons.
 */
#ifndef CAIRN_ENGINE_COST_H
#define CAIRN_ENGINE_COST_H

#include "engine/fleet.h"

struct cost_policy {
    int32_t link;  /* Mbit/s between hosts; 0: 10,000 */
    int32_t share; /* thousandths of it a migration may take; 0: 500 */
};

struct cost {
    int32_t seconds; /* from begin to end, rounded up */
    int64_t points;
};

struct cost cost_move(const struct fleet *f, const struct fleet_guest *g,
                      const struct cost_policy *p);

#endif
