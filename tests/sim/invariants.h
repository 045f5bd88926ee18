/*
 * invariants - what must hold after every step, and what once all is quiet.
 *
 * The first kind speaks of the store alone and is looked at whenever it has
 * changed; the second compares records, guests and files.  What breaks is
 * told to world_broken.
 */
#ifndef CAIRN_SIM_INVARIANTS_H
#define CAIRN_SIM_INVARIANTS_H

#include "world.h"

struct sim_node;

void check_step(struct world *w);
/* Is a guest on its way? */
bool check_moving(struct world *w);
/* When nothing has failed and nobody has asked for anything for a while. */
void check_quiet(struct world *w);
/* The node has lost its power some seconds ago, and nothing else happened. */
void check_recovered(struct world *w, const struct sim_node *n);
/* And when, after that, everything has been deleted. */
void check_empty(struct world *w);

#endif
