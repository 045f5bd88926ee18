/*
 * node_switch - Open vSwitch on a node: its database, the switch, the uplink.
 *
 * The database is made anew at each boot, because what it knows (taps,
 * tunnels) went with the last one.  The uplink is a task: br-ex owns the
 * node's NIC and has its address, and ovn-controller is told where to
 * connect.
 *
 * Rows of node_services.h: `arg` is a struct node_setup.  Threads: the
 * supervisor's.
 */
#ifndef CAIRN_DAEMON_NODE_SWITCH_H
#define CAIRN_DAEMON_NODE_SWITCH_H

#include "daemon/node_setup.h"

#define NODE_SWITCH_SOCKET "/run/openvswitch/db.sock"

bool node_switch_prepare_db(void *arg, struct error *err);
void node_switch_command_db(void *arg, struct words *w);
bool node_switch_probe_db(void *arg);
bool node_switch_prepare(void *arg, struct error *err);
void node_switch_command(void *arg, struct words *w);
bool node_switch_uplink(void *arg, struct error *err);

#endif
