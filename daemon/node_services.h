/*
 * node_services - the daemons that a node runs, as a table.
 *
 *   ovsdb-server, ovs-vswitchd, uplink           node_switch.h
 *   ovn-nb, ovn-sb, ovn-northd, ovn-controller    node_ovn.h
 *   libvirtd                                      node_libvirt.h
 *   etcd                                          node_etcd.h
 *
 * Threads: those of supervisor.h.
 */
#ifndef CAIRN_DAEMON_NODE_SERVICES_H
#define CAIRN_DAEMON_NODE_SERVICES_H

#include "common/env.h"
#include "daemon/node_setup.h"

struct node_services;

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
