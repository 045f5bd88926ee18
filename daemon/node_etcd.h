/*
 * node_etcd - etcd on a node: a voter on the pool's state
 * (daemon/etcd_member.h), or one alone where the store is in it and no
 * members are named.
 *
 * A row of node_services.h: `arg` is a struct node_setup.  Threads: the
 * supervisor's.
 */
#ifndef CAIRN_DAEMON_NODE_ETCD_H
#define CAIRN_DAEMON_NODE_ETCD_H

#include "daemon/node_setup.h"

bool node_etcd_prepare(void *arg, struct error *err);
void node_etcd_command(void *arg, struct words *w);
bool node_etcd_probe(void *arg);
/* Does this node have one at the start? */
bool node_etcd_here(void *arg);

#endif
