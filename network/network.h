/*
 * network - what carries the networks of this node, behind one table.
 *
 * OVN in the product (network/ovn.h), a simulated one in tests/sim.  A
 * driver is given all records at once and makes the world so: level
 * triggered, idempotent, cheap when nothing changed.  Plugging a guest's
 * card is libvirt's, by the port's id.
 *
 * Threads: apply and rebuild from one thread at a time, port_state from any.
 * The call-back of watch comes from a thread of the driver and must not block.
 */
#ifndef CAIRN_NETWORK_NETWORK_H
#define CAIRN_NETWORK_NETWORK_H

#include "state/cache.h"

enum port_state {
    PORT_UNKNOWN, /* the driver cannot see now */
    PORT_ABSENT,  /* no such port: not applied yet, or not carried */
    PORT_DOWN,    /* there, and nobody is plugged in */
    PORT_UP,      /* plugged in and carried */
};

struct net_driver;

struct network_ops {
    /* Makes the world as the records of the snapshot say.  On failure as
     * much of it as works is done; UNAVAILABLE: try again later. */
    bool (*apply)(struct net_driver *d, const struct snapshot *s,
                  struct error *err);
    /* As apply, but first forgets all it made: for people who do not trust
     * what they see.  Guests are without network for a moment. */
    bool (*rebuild)(struct net_driver *d, const struct snapshot *s,
                    struct error *err);
    enum port_state (*port_state)(struct net_driver *d, const char *port_id);
    /* fn(arg) whenever a port's state may have changed. Once, early. */
    void (*watch)(struct net_driver *d, void (*fn)(void *arg), void *arg);
    void (*close)(struct net_driver *d);
    /* Does this node write what all nodes share (it leads)?  Else apply and
     * rebuild only see to the node's own part.  NULL: always. */
    bool (*writes)(struct net_driver *d);
};

/* A driver's object starts with this. */
struct net_driver {
    const struct network_ops *ops;
};

/* ERR_BUSY: what it needs is only being started, or just went away; come
 * again, there is nothing to warn of. */
bool network_apply(struct net_driver *d, const struct snapshot *s,
                   struct error *err);
bool network_rebuild(struct net_driver *d, const struct snapshot *s,
                     struct error *err);
enum port_state network_port_state(struct net_driver *d, const char *port_id);
void network_watch(struct net_driver *d, void (*fn)(void *arg), void *arg);
bool network_writes(struct net_driver *d);
void network_close(struct net_driver *d); /* NULL is fine */

#endif
