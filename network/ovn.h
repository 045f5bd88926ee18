/*
 * ovn - the network driver of the product: OVN's northbound database.
 *
 * apply() derives the wanted content from the records (network/nb.h) and
 * writes the difference (network/sync.h).  When neither the records nor the
 * database changed since the last success it does nothing.  The database is
 * derived state: after it was lost the next apply fills it again.  A leader
 * whose time is over writes nothing (network/fence.h).  Then this
 * node's legs of the metadata service follow (network/metadata.h).
 *
 * Threads: as network.h says.  One thread of its own (network/ovsdb.h).
 */
#ifndef CAIRN_NETWORK_OVN_H
#define CAIRN_NETWORK_OVN_H

#include "network/metadata.h"
#include "network/nb.h"
#include "network/network.h"
#include "network/sync.h"

#define OVN_NB_SOCKET "/run/ovn/ovnnb_db.sock"

struct ovn_config {
    const char *nb_socket; /* OVN_NB_SOCKET; copied; NULL: others do that,
                            * only the metadata legs are ours */
    struct nb_config nb;   /* what it points to outlives the driver */
    /* The term in which we lead; 0: the database is not ours.  NULL: it is,
     * and nobody else's. */
    int64_t (*term)(void *arg);
    void *term_arg;
    struct metadata *metadata; /* applied too; borrowed; NULL: none here */
};

struct net_driver *ovn_open(const struct ovn_config *config);

struct sync_stats ovn_stats(struct net_driver *d);

#endif
