/*
 * ipam - addresses for ports.
 *
 * An address is free when nobody claims it: neither in the snapshot nor in
 * the transaction under construction (several ports may be made in one).
 * The claim that goes with it makes two concurrent choices of one address a
 * CONFLICT, and the handler chooses again.  Pure but for the random start
 * that keeps concurrent choices apart; nova uses it too.
 */
#ifndef CAIRN_OPENSTACK_COMPAT_NETWORK_IPAM_H
#define CAIRN_OPENSTACK_COMPAT_NETWORK_IPAM_H

#include "common/env.h"
#include "common/ip.h"
#include "model/network.h"
#include "model/release.h"

/* Adds (subnet, address) to the port; NULL address: choose one. */
bool ipam_give(const struct txn *t, const struct snapshot *s,
               const struct env *env, struct port *port,
               const struct subnet *subnet, const char *address,
               struct error *err);

/* Completes a port draft whose network_id is set and puts it into the txn:
 * MAC if it has none, an address of one IPv4 subnet and of each automatic
 * IPv6 subnet if `fixed_ips` is empty and `any_address`, the default group
 * of its project if it is secured and has none named (`default_group`),
 * claims, quota use of its project (NULL project: the pool's own, free),
 * record.  ERR_INVALID, ERR_QUOTA, ERR_CONFLICT. */
struct port_wish {
    bool any_address;
    bool default_group;
};
bool port_place(struct txn *t, const struct snapshot *s, const struct env *env,
                struct port *port, struct port_wish wish, struct error *err);

#endif
