/*
 * nets - networks made of a set: the ports that were applied last.
 *
 * Who led before cannot apply any more (network/ovn.h).
 *
 * A port is up when a running guest has it.  What was applied survives the
 * core, as OVN's databases do.
 */
#ifndef CAIRN_SIM_NETS_H
#define CAIRN_SIM_NETS_H

#include "network/network.h"
#include "sim_node.h"

struct nets *nets_new(struct world *w);
void nets_free(struct nets *n);
/* The core's handle; it ends with close. */
struct net_driver *nets_open(struct nets *n, struct sim_node *node);
void nets_changed(struct nets *n); /* a guest came or went */
/* How many ports are applied; is this one? */
size_t nets_count(const struct nets *n);
bool nets_has(const struct nets *n, const char *port_id);

#endif
