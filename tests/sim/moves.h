/*
 * moves - guests on their way from one simulated hypervisor to another.
 *
 * A move goes on without either core.  At the dest the guest is there PAUSED
 * from the start, `asleep` until it is told to run; at the end it is either
 * gone from the source (or off there, and has `left`), or runs there as
 * before, and what came to the dest mostly goes.  A loss of power at either
 * end ends it, now and then with something left at the other.
 */
#ifndef CAIRN_SIM_MOVES_H
#define CAIRN_SIM_MOVES_H

#include "guests.h"

/* The moves' part of the hypervisor's table. */
bool moves_prepare(struct sim_node *n, const struct domain_spec *spec,
                   struct migrate_place *place, struct error *err);
bool moves_begin(struct sim_node *n, const char *id,
                 const struct migrate_spec *to, struct error *err);
bool moves_info(struct sim_node *n, const char *id, struct migrate_info *info,
                struct error *err);
bool moves_abort(struct sim_node *n, const char *id, struct error *err);
void moves_forget(struct guests *g, const char *id);
/* A core that has begun anew knows of no move that has ended. */
void moves_forget_all(struct guests *g);

/* The guest has been on its way for long enough. */
void moves_end(struct guests *g, struct guest *d);
/* It does not run any more at the source. */
void moves_broken(struct guests *g, struct guest *d);

#endif
