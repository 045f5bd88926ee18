/*
 * link - the few things done to network devices, by rtnetlink.
 *
 * A struct link_ns works in the network namespace its thread was in when it
 * was opened, from whatever thread it is used afterwards.  One thread at a
 * time.  Asking for what is already so succeeds.
 */
#ifndef CAIRN_NETWORK_LINK_H
#define CAIRN_NETWORK_LINK_H

#include "common/error.h"

#include <stdbool.h>

struct link_ns {
    int netlink;
    int control; /* for ioctls */
};

#define LINK_NS_NONE ((struct link_ns){ -1, -1 })

bool link_open(struct link_ns *l, struct error *err);
void link_close(struct link_ns *l); /* LINK_NS_NONE is fine */

/* A pair of virtual Ethernets; the peer appears in namespace `peer_ns`. */
bool link_add_veth(struct link_ns *l, const char *name, const char *peer,
                   int peer_ns, struct error *err);
bool link_delete(struct link_ns *l, const char *name, struct error *err);
/* Sets the MAC address (NULL: leave it) and the MTU (0: leave it), then
 * brings the device up. */
bool link_up(struct link_ns *l, const char *name, const char *mac, int mtu,
             struct error *err);
/* Adds an address: IPv4 or v6 with "/length". */
bool link_add_address(struct link_ns *l, const char *name, const char *cidr,
                      struct error *err);
/* The sender computes checksums itself.  A userspace switch passes frames on
 * as they are; what was left to the hardware is wrong for ever. */
bool link_tx_checksum_off(struct link_ns *l, const char *name,
                          struct error *err);
/* 0 = there is none of that name. */
unsigned link_index(struct link_ns *l, const char *name);

#endif
