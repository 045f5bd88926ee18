/*
 * sim_hypervisor - the product's driver table over simulated guests.
 *
 * Each call is an effect of the core that makes it (sim_node.h): it may fail,
 * hang, or be done and never answered.  The handle is one incarnation's; the
 * guests go on without it.
 */
#ifndef CAIRN_SIM_SIM_HYPERVISOR_H
#define CAIRN_SIM_SIM_HYPERVISOR_H

#include "compute/hypervisor.h"

struct guests;

/* Ends with its close. */
struct hypervisor *sim_hypervisor_open(struct guests *g);

#endif
