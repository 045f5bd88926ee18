/*
 * cost - what moving a guest costs, in points: pure.
 *
 * 1,000 points are an easy migration: 4 GiB at rest over half of a 10 Gbit/s
 * link.  Pre-copy sends the memory, then again what was written meanwhile,
 * a geometric series (Clark et al., "Live Migration of Virtual Machines",
 * NSDI 2005): memory / (1 - dirty rate / speed); a guest that writes faster
 * than nine tenths of the speed is throttled and sent ten times.  Of one
 * whose rate has not been measured it is taken that it is sent twice.  Disks
 * that its host alone has go along, whole.  The link is the slower of what is
 * measured at its host and the policy's.  Then by priority: an important
 * guest is moved for better reasons.
 */
#ifndef CAIRN_ENGINE_COST_H
#define CAIRN_ENGINE_COST_H

#include "engine/fleet.h"

struct cost_policy {
    int32_t link;  /* Mbit/s between hosts; 0: 10,000 */
    int32_t share; /* thousandths of it a migration may take; 0: 500 */
};

struct cost {
    int64_t memory;  /* MiB it has */
    int64_t disk;    /* MiB of its host's disks that go along */
    int32_t dirty;   /* MiB/s that it writes; < 0: not measured */
    int32_t speed;   /* MiB/s that it is sent with */
    int64_t sent;    /* MiB that go over the link */
    int32_t seconds; /* from begin to end, rounded up */
    int64_t points;
};

struct cost cost_move(const struct fleet *f, const struct fleet_guest *g,
                      const struct cost_policy *p);

#endif
