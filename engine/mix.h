/*
 * mix - what has been asked for lately.
 *
 * The fragmentation score (outlook.h) wants to know which requests are to be
 * expected.  Nobody tells it: the mix counts the demands that arrive, and
 * halves all counts every MIX_HALF_LIFE of them, so that old habits fade.
 *
 * Counting goes on all the time; what readers see changes seldom.  They see a
 * *version*: the shares as they were when it was made.  A new one is made
 * when the shares have moved by MIX_DRIFT from it, which is looked at when
 * the number of arrivals has doubled, later every MIX_LOOK arrivals.  So a
 * steady stream settles on one version, and scores kept by indexes stay true
 * until mix_note says otherwise.
 *
 * A function of the demands noted and their order alone.  One owner; readers
 * on other threads take a mix_copy.
 */
#ifndef CAIRN_ENGINE_MIX_H
#define CAIRN_ENGINE_MIX_H

#include "engine/request.h"

#define MIX_CLASSES   1024 /* further ones wait until others have faded */
#define MIX_HALF_LIFE 16384
#define MIX_LOOK      4096
#define MIX_DRIFT     8 /* an eighth of the arrivals are of other demands */

struct mix_class {
    struct demand demand;
    uint32_t count; /* in the version; its share is count / mix_total */
};

struct mix;

struct mix *mix_new(void);
void mix_free(struct mix *m);
struct mix *mix_copy(const struct mix *m);

/* A request has arrived (whether or not it finds room).  True: there is a
 * new version; whoever reads the mix through a fleet calls fleet_set_mix. */
bool mix_note(struct mix *m, const struct demand *d);

/* The version: 0 before the first. */
uint64_t mix_version(const struct mix *m);
uint32_t mix_classes(const struct mix *m, const struct mix_class **out);
uint64_t mix_total(const struct mix *m);

#endif
