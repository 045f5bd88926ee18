/*
 * fence - takes the shared storage from a node that has failed.
 *
 * What lets a server start elsewhere (engine/recovery.h): a lease can always
 * be stale, the word of the storage cannot.  A table that a driver fills:
 * Ceph's blocklist in the product, a simulated one in tests.
 *
 * A node is meant with all its clients of the storage, those that run and
 * those that it would start; not with its part of the storage's own daemons,
 * which may come back.  What it has refused once stays refused until it is
 * lifted, for as long as that may take, whatever happens to the leader that
 * asked for it, to the storage's monitors and to the machines.
 *
 * A lock that a dead client holds on an image is not the table's matter: the
 * next client takes it (librbd does that, and refuses its owner one by one).
 *
 * Every call is synchronous and may take seconds (the storage may have lost
 * its leader together with the node), idempotent, and ends by itself:
 * TIMEOUT or UNAVAILABLE when the storage does not answer; then it may have
 * happened or not, or happen later.  Any thread, one call for a node at a
 * time.
 */
#ifndef CAIRN_STORAGE_FENCE_H
#define CAIRN_STORAGE_FENCE_H

#include "common/error.h"

#include <stdbool.h>

/* A driver's object starts with this. */
struct fence {
    const struct fence_ops *ops;
};

typedef void fence_node_fn(void *arg, const char *node);

struct fence_ops {
    /* When it returns true no client of the node can write any more, and what
     * such a client has begun is in the storage or never will be. */
    bool (*close)(struct fence *, const char *node, struct error *);
    /* Its clients may write again; those that were refused remain useless. */
    bool (*lift)(struct fence *, const char *node, struct error *);
    /* Calls fn for each node that is refused now. */
    bool (*list)(struct fence *, fence_node_fn *, void *arg, struct error *);
};

#endif
