/*
 * choose - which host a request goes to.
 *
 * Of the hosts that may take it (fit.h), the one with the largest wish
 * (soft affinity, preferred hosts), then the best score (score.h), then the
 * first by name.
 *
 * choose_exhaustive asks every host, one after another: the meaning of the
 * word, and the oracle of the tests.  A chooser gives the same answers
 * faster; it follows one fleet, which it may not outlive, and whose changes
 * it reads from the fleet's journal.  Neither changes what the fleet holds:
 * whoever takes the answer calls fleet_put.  One thread at a time.
 */
#ifndef CAIRN_ENGINE_CHOOSE_H
#define CAIRN_ENGINE_CHOOSE_H

#include "engine/fit.h"

/* What excluded the hosts, when none can take it: how many by reason. */
struct choose_why {
    uint32_t hosts[FIT_REASONS_N];
};

/* False: none can; choose_why tells more. */
bool choose_exhaustive(struct fleet *f, const struct request *r,
                       struct placing *out);

struct chooser;
struct chooser *chooser_new(struct fleet *f);
void chooser_free(struct chooser *c);
bool choose(struct chooser *c, const struct request *r, struct placing *out);

void choose_why(const struct fleet *f, const struct request *r,
                struct choose_why *out);

#endif
