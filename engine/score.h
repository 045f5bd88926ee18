/*
 * score - how good a place is: one number, larger is better.
 *
 * By the demand's policy (a row of fleet.policies):
 *   SCORE_SPREAD         the share of the scarcest resource that is left
 *   SCORE_PACK           the weighted sum of the shares that are taken
 *   SCORE_FRAGMENTATION  how little becomes useless there for the requests
 *                        that are to be expected (outlook.h, mix.h); without
 *                        a mix as SCORE_PACK
 *
 * Every path to a decision scores by the same function, or by the same
 * operations in the same order (index.c does eight classes at once): shares
 * are one float product each, cut to a whole number, so they agree to the
 * bit (the build allows no contraction and no reordering).  Pure; no threads.
 */
#ifndef CAIRN_ENGINE_SCORE_H
#define CAIRN_ENGINE_SCORE_H

#include "engine/fleet.h"

#define SCORE_ONE        (1 << 20) /* a whole, in shares */
#define SCORE_WEIGHT_MAX 100

/* Share of the host's capacity of a resource that is left after `need`:
 * 0 .. SCORE_ONE where it fits. */
static inline int32_t score_share(const struct fleet *f, uint32_t host, int r,
                                  int32_t need)
{
    return (int32_t)((float)(f->free[r][host] - need) * f->scale[r][host]);
}

/* The weight of a resource for this demand: 0 where it asks for none. */
int32_t score_weight(const struct fleet *f, const struct demand *d, int r);

/* Of a guest with this demand on a host, on these cells and devices, which
 * it fits (it is not there yet). */
int32_t score_placing(const struct fleet *f, const struct demand *d,
                      const struct placing *at);

/* May the choice of cells and devices change the score?  Then each is
 * scored; else the tightest are taken. */
bool score_sees_parts(const struct fleet *f, const struct demand *d);

#endif
