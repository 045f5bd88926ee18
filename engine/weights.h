/*
 * weights - which score a pool or a flavor asks for, and how much each
 * resource counts in it.
 *
 * Weights are whole numbers, 0 .. SCORE_WEIGHT_MAX, and count in SCORE_PACK
 * (score.h); where any is named, those that are not weigh 1.  Pure; no
 * threads.
 */
#ifndef CAIRN_ENGINE_WEIGHTS_H
#define CAIRN_ENGINE_WEIGHTS_H

#include "common/error.h"
#include "engine/score.h"
#include "model/pool.h"

/* Is there a weight for such a resource: VCPU, MEMORY_MB, ..., CUSTOM_X? */
bool weights_known(const char *resource);
/* Weights by resource, of the amounts that are named; 1 of all others.  All 0
 * where none is named.  Resources that no host has ever had are left out. */
void weights_of(const struct fleet *f, const struct list *amounts,
                uint16_t out[FLEET_RESOURCES]);

/* The word of a flavor that "cairn:placement" is: "spread",
 * "pack:VCPU=3,CUSTOM_X=0".  `f` tells the numbers of resources; NULL: the
 * word is only checked.  INVALID: it makes no sense. */
#define WEIGHTS_SPEC "cairn:placement"
bool weights_read(const struct fleet *f, const char *text,
                  struct score_policy *out, struct error *err);

#endif
