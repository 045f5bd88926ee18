/*
 * admit - a place that fits and that the reserve bears.
 *
 * choose.h knows hosts one by one; whether N of them may still fail is a
 * matter of the whole pool (reserve.h).  So the best place is asked about
 * first, then the next, up to ADMIT_TRIES: a pool in which none of the best
 * would do is taken to be full.
 *
 * Pure; one thread, as the view.
 */
#ifndef CAIRN_ENGINE_ADMIT_H
#define CAIRN_ENGINE_ADMIT_H

#include "engine/choose.h"
#include "engine/view.h"

#define ADMIT_TRIES 64

/* `c` is a chooser of the view's fleet.  False: there is none. */
bool admit(struct view *v, struct chooser *c, const struct request *r,
           struct placing *at);

/* May it come to this host, by all rules and the reserve?  Cells and devices
 * are chosen. */
bool admit_to(struct view *v, const struct request *r, uint32_t host,
              struct reserve_why *why);

#endif
