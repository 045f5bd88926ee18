/*
 * index - the best host for a demand, from trees that follow the fleet.
 *
 * A tree of maxima (a lane of a bank, bank.h) knows the best host for one
 * demand at its root.  A bank reads the changes of the fleet from its journal
 * when it is next asked, so trees that rest cost nothing.
 *
 * Hosts that one request must not use (excluded, holding its group, in a
 * rack that is full) are skipped on the way down: a subtree is entered only
 * while its maximum beats what was found.  In the same way one tree serves
 * all demands that differ only in what hosts must *be* (zone, traits,
 * aggregates, tenant): that of their *core*, the same amounts and parts
 * without these.  Only where that leads far down too often, a demand gets a
 * tree of its own.
 *
 * Bounded: at most INDEX_BANKS banks and INDEX_KNOWN demands it keeps count
 * of.  A demand gets a lane after its third miss; from another one, if that
 * was not asked for during those three.
 *
 * Owned by a chooser; one thread.
 */
#ifndef CAIRN_ENGINE_INDEX_H
#define CAIRN_ENGINE_INDEX_H

#include "engine/fleet.h"

#define INDEX_BANKS 16
#define INDEX_KNOWN 1024

/* The hosts a request must not use. */
struct index_skip {
    const struct fleet *f;
    const uint32_t *marks; /* by host: `stamp` means skip */
    uint32_t stamp;
    const uint32_t *full; /* by domain of `level`: `stamp`; NULL: none */
    enum fleet_level level;
    const struct demand *facts; /* hosts must suit it; NULL: they do */
    uint32_t *verdicts; /* by look, about `facts`: 2 * `stamp` and 1: suits */
};

bool index_skips(const struct index_skip *s, uint32_t host);

struct index;
struct index *index_new(struct fleet *f);
void index_free(struct index *ix);

/* The best host for a demand, FLEET_NOWHERE if there is none, and the score
 * there.  False: no tree knows, look yourself (scan.h). */
bool index_best(struct index *ix, const struct demand *d,
                struct index_skip *skip, uint32_t *host, int32_t *score);

#endif
