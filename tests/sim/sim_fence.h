/*
 * sim_fence - takes the shared files from a node that has failed.
 *
 * Stands for Ceph's blocklist: a node that is refused can open nothing, and
 * a guest that ran there when that was decided never writes again, whatever
 * comes after.  While there is chaos a call may end without an answer and
 * have its effect then, later or never.
 */
#ifndef CAIRN_SIM_SIM_FENCE_H
#define CAIRN_SIM_SIM_FENCE_H

#include "sim_node.h"
#include "storage/fence.h"

/* As `n` asks for it; ends with sim_fence_close. */
struct fence *sim_fence_open(struct sim_node *n);
void sim_fence_close(struct fence *f);
/* What was asked for and not yet done; at a calm's begin all is settled. */
bool sim_fence_late(struct sim_node *n);

#endif
