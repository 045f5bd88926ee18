/*
 * node_services - the daemons that a node runs, as a table.
 *
 *   ovsdb-server   Open vSwitch's database; made anew at each boot, because
 *                  what it knows (taps, tunnels) went with the last one
 *   ovs-vswitchd   the switch
 *   uplink         a task: br-ex owns the node's NIC and has its address,
 *                  and ovn-controller is told where to connect
 *   ovn-nb, ovn-sb, ovn-northd    on the first members of the pool: one
 *                  database alone, with a second member a cluster (RAFT) of
 *                  the same content; members speak TLS with each other
 *   ovn-controller
 *   libvirtd
 *   etcd           a voter on the pool's state (daemon/etcd_member.h); or one
 *                  alone, where the store is in it and no members are named
 *
 * Threads: those of supervisor.h.
 */
#ifndef CAIRN_DAEMON_NODE_SERVICES_H
#define CAIRN_DAEMON_NODE_SERVICES_H

#include "common/env.h"
#include "daemon/config.h"

struct node_services;

/* A member of the pool, in the order in which they joined. */
struct service_member {
    char name[64], address[64];
};

/* OVN's databases are on the first so many members. */
#define NODE_SERVICES_CENTRAL 3

/* Starts them and waits until the node has its address; what cannot start
 * before the node is in a pool goes on being tried.  NULL is an error of
 * this machine. */
struct node_services *node_services_start(const struct config *config,
                                          const struct env *env,
                                          const char *node, struct error *err);
/* The node's certificate is there; who belongs to the pool has changed.  OVN
 * is told where its databases are, and this node starts its own if it is
 * among the first. */
void node_services_members(struct node_services *n,
                           const struct service_member *members,
                           size_t n_members);
/* This node's member of etcd was made (waits until it answers, or for half a
 * minute) or dropped. */
bool node_services_etcd(struct node_services *n, bool wanted,
                        struct error *err);
/* Waits until all that are wanted are up; those that are not after a minute
 * are logged, and go on being tried. */
void node_services_await(struct node_services *n);
/* The node's certificate was renewed.  etcd and OVN read it by themselves;
 * libvirtd is started anew, as what it calls a reload insists on files in
 * /etc/pki.  Guests do not notice. */
void node_services_renewed(struct node_services *n); /* NULL is fine */
/* Ends the watching; the services go on (supervisor.h).  NULL is fine. */
void node_services_free(struct node_services *n);

#endif
