/*
 * starts - where each server has started last, and whether it was right to.
 *
 * A guest starts only on the node that its record names at that moment, only
 * when every node that has lost it has been fenced since, and, where another
 * node has not ended it, as a new generation.  What breaks is told to
 * world_broken.  The list is the world's.
 */
#ifndef CAIRN_SIM_STARTS_H
#define CAIRN_SIM_STARTS_H

#include "sim_node.h"

/* The guest of this server starts here now. */
void starts_begin(struct sim_node *n, const char *id);
/* It is off, and this node knows; `lost`: with its power, so it does not. */
void starts_end(struct sim_node *n, const char *id, bool lost);
/* It is this node's now, and goes on as what it was. */
void starts_go_on(struct sim_node *n, const char *id);
/* At the world's end. */
void starts_forget(struct world *w);

#endif
