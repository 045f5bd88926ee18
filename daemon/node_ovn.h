/*
 * node_ovn - OVN on a node: its two databases, northd, the controller.
 *
 * The databases are on the first members of the pool: one alone, with a
 * second member a cluster (RAFT) of the same content.  Members speak TLS
 * with each other, by the node's certificate.
 *
 * Rows of node_services.h: `arg` is a struct node_setup.  Threads: the
 * supervisor's.
 */
#ifndef CAIRN_DAEMON_NODE_OVN_H
#define CAIRN_DAEMON_NODE_OVN_H

#include "daemon/node_setup.h"

#define NODE_OVN_NB_PORT 6641 /* IANA's for OVN; RAFT has the two after */
#define NODE_OVN_SB_PORT 6642

#define NODE_OVN_SB_SOCKET "/run/ovn/ovnsb_db.sock"

bool node_ovn_prepare_nb(void *arg, struct error *err);
void node_ovn_command_nb(void *arg, struct words *w);
bool node_ovn_probe_nb(void *arg);
bool node_ovn_prepare_sb(void *arg, struct error *err);
void node_ovn_command_sb(void *arg, struct words *w);
bool node_ovn_probe_sb(void *arg);
void node_ovn_command_northd(void *arg, struct words *w);
bool node_ovn_prepare_controller(void *arg, struct error *err);
void node_ovn_command_controller(void *arg, struct words *w);
bool node_ovn_probe_controller(void *arg);

#endif
