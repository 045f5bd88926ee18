/*
 * node_services - the daemons that a node runs, as a table.
 *
 *   ovsdb-server   Open vSwitch's database; made anew at each boot, because
 *                  what it knows (taps, tunnels) went with the last one
 *   ovs-vswitchd   the switch
 *   uplink         a task: br-ex owns the node's NIC and has its address,
 *                  and ovn-controller is told where to connect
 *   ovn-nb, ovn-sb, ovn-northd    on the nodes that are central
 *   ovn-controller
 *   libvirtd
 *   etcd           where the store is in it and no members are named
 *
 * Threads: those of supervisor.h.
 */
#ifndef CAIRN_DAEMON_NODE_SERVICES_H
#define CAIRN_DAEMON_NODE_SERVICES_H

#include "common/env.h"
#include "daemon/config.h"

struct node_services;

/* Starts them and waits until all are up (`central`: OVN's databases and
 * northd too); those that are not up after a
 * minute are logged and go on being tried.  NULL is an error of this
 * machine. */
struct node_services *node_services_start(const struct config *config,
                                          const struct env *env,
                                          const char *node, bool central,
                                          struct error *err);
/* Ends the watching; the services go on (supervisor.h).  NULL is fine. */
void node_services_free(struct node_services *n);

#endif
