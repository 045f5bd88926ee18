/*
 * batch - requests of many, placed together.
 *
 * A multi-create or a whole application: better than one at a time, because
 * those that are hard to place are placed first, and what turns out to be
 * impossible is tried again in another order: whoever found no place goes
 * before those that were in its way (a bounded number of times).  Requests
 * of the same group see each other, as they will in the fleet.
 *
 * The answer is as good as its order: with `all`, every request has a place
 * or none is given.  Without it the attempt that places most is given.
 *
 * The fleet is used to try on and is the same afterwards (its guests with
 * ids from BATCH_IDS on are the batch's while it works).  Deterministic.
 * One thread.
 */
#ifndef CAIRN_ENGINE_BATCH_H
#define CAIRN_ENGINE_BATCH_H

#include "engine/choose.h"

#define BATCH_IDS      (UINT64_MAX - UINT32_MAX) /* nobody else's guests */
#define BATCH_ATTEMPTS 16

struct batch {
    const struct request *requests;
    struct placing *places; /* answer, one each; FLEET_NOWHERE: none */
    uint32_t n;
    bool all; /* or nothing */
};

/* How many have a place: `n`, or with `all` perhaps 0. */
uint32_t batch_choose(struct chooser *c, struct fleet *f, struct batch *b);

#endif
