/*
 * move_reconcile - carries out what move_plan.h decides, for the node's
 * compute reconciler (server_reconcile.h), which asks here first about each
 * server that is on its way from or to this node, or was.
 *
 * No state of its own, no threads: a call is for one server, and calls for
 * one server come one after the other.
 */
#ifndef CAIRN_COMPUTE_MOVE_RECONCILE_H
#define CAIRN_COMPUTE_MOVE_RECONCILE_H

#include "common/keyring.h"
#include "compute/move_plan.h"
#include "state/cache.h"
#include "state/reconcile.h"
#include "state/store.h"

struct move_context {
    struct store *store;
    const struct env *env;
    struct hypervisor *hypervisor;
    const struct keyring *keyring;
    const char *node;
    const struct snapshot *snap;
    const struct server *server;
    int64_t *revision; /* of our newest commit */
    int64_t *delay_us;
    struct error *err;
};

/* Has this node to do with a move of the server (or did it, and the server is
 * elsewhere now)?  False: the ordinary plan is all there is. */
bool move_concerns(const struct snapshot *s, const struct server *server,
                   const char *node);

/* False: there is nothing to do for the move now, go on with the ordinary
 * plan.  True: *verdict is the run's. */
bool move_reconcile(struct move_context *c, enum reconcile_verdict *verdict);

#endif
