/*
 * etcd_member - this node's own member of the pool's etcd.
 *
 * <state_dir>/etcd-member says that there is one, and what it is started
 * with for the first time ("new" or "existing", then --initial-cluster);
 * its data lies in <state_dir>/etcd.  Members show each other, and ask
 * their clients for, certificates of the pool's CA.
 *
 * Threads: one at a time; files only.
 */
#ifndef CAIRN_DAEMON_ETCD_MEMBER_H
#define CAIRN_DAEMON_ETCD_MEMBER_H

#include "daemon/command.h"

#include <stdbool.h>

#define ETCD_CLIENT_PORT 2379 /* IANA's */
#define ETCD_PEER_PORT   2380
#define ETCD_PLACE_MAX   96

/* "https://address:2379" and ":2380"; a v6 address in brackets. */
void etcd_client_url(const char *address, char out[ETCD_PLACE_MAX]);
void etcd_peer_url(const char *address, char out[ETCD_PLACE_MAX]);

bool etcd_member_here(const char *state_dir);
/* The node is to have one: `first` of a new cluster, or one more.  What an
 * earlier one left is put aside (<state_dir>/etcd.old). */
bool etcd_member_make(const char *state_dir, bool first,
                      const char *initial_cluster, struct error *err);
/* It has none any more; the process has ended or is about to. */
bool etcd_member_drop(const char *state_dir, struct error *err);
/* The words of the process. */
void etcd_member_command(const char *state_dir, const char *node,
                         const char *address, struct words *w);

#endif
