/*
 * metadata - where guests reach 169.254.169.254: the privileged part.
 *
 * One network namespace of its own, and in it one virtual Ethernet for each
 * network that has a guest on this node.  The outer end is a port of the
 * integration bridge, bound to the network's metadata port (a localport: it
 * exists on every node); the inner end has that port's addresses and
 * 169.254.169.254.  On each there is a listening TCP socket, bound to the
 * device: the device says which network a connection is from, its source
 * address which port, even if two projects use the same addresses.
 *
 *     guest -- br-int -- cmo<network> === cmi<network> [169.254.169.254:80]
 *
 * The sockets are handed out; answering is somebody else's.  The namespace
 * has no name, forwards nothing and goes when the last socket in it is
 * closed.
 *
 * Threads: all calls from one thread at a time, but metadata_announce from
 * any; `listener` comes on the calling thread.
 */
#ifndef CAIRN_NETWORK_METADATA_H
#define CAIRN_NETWORK_METADATA_H

#include "common/error.h"
#include "state/cache.h"

#define OVS_SOCKET "/run/openvswitch/db.sock"

struct metadata_config {
    const char *ovs_socket; /* of the Open_vSwitch database */
    const char *bridge;     /* "br-int" */
    const char *node;       /* guests of this node (port.node) */
    /* A network's socket: listening, and the receiver's to close.  -1: the
     * network is gone, close the one from before. */
    void (*listener)(void *arg, const char *network_id, int fd);
    void *arg;
};

struct metadata;

/* Makes the namespace; needs CAP_SYS_ADMIN and CAP_NET_ADMIN.  Strings of
 * the config must outlive it. */
struct metadata *metadata_open(const struct metadata_config *config,
                               struct error *err);
void metadata_close(struct metadata *m); /* NULL is fine */

/* Makes, mends and removes what the snapshot asks for.  UNAVAILABLE while
 * the switch or its bridge is not there. */
bool metadata_apply(struct metadata *m, const struct snapshot *s,
                    struct error *err);
/* Calls `listener` again for every network: whoever answered was restarted. */
void metadata_announce(struct metadata *m);
/* The namespace, borrowed, for tests. */
int metadata_namespace(const struct metadata *m);

#endif
