/*
 * node_libvirt - libvirtd on a node: its configuration, its keys.
 *
 * With TLS the other nodes' libvirt may come in, to bring guests; only a
 * member of the pool has a certificate of its CA.
 *
 * A row of node_services.h: `arg` is a struct node_setup.  Threads: the
 * supervisor's.
 */
#ifndef CAIRN_DAEMON_NODE_LIBVIRT_H
#define CAIRN_DAEMON_NODE_LIBVIRT_H

#include "daemon/node_setup.h"

bool node_libvirt_prepare(void *arg, struct error *err);
void node_libvirt_command(void *arg, struct words *w);
bool node_libvirt_probe(void *arg);

#endif
