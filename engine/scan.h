/*
 * scan - the best host for one demand, by looking at all of them.
 *
 * For classes without a tree (index.h).  A block of hosts at a time: scores
 * by resources alone, column after column; then only those are looked at
 * closely whose bound beats the best so far.  Pure; no threads.
 */
#ifndef CAIRN_ENGINE_SCAN_H
#define CAIRN_ENGINE_SCAN_H

#include "engine/index.h"

/* FLEET_NOWHERE: none.  It looks at the facts itself.  fleet_ranks must be up
 * to date. */
uint32_t scan_best(const struct fleet *f, const struct demand *d,
                   const struct index_skip *skip, int32_t *score);

#endif
