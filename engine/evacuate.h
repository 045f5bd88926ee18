/*
 * evacuate - where the servers of failed nodes start again.
 *
 * All of them are placed together, by the same rules as any placement but
 * two: the node that was asked for when they were made does not bind them,
 * and the reserve, which is kept for this, may be used up.  Whoever has the
 * higher rank (recovery.h) has a place before the others; among equals those
 * that are hard to place go first and as many as possible find one
 * (batch.h).
 *
 * The rank of a server: the extra spec "cairn:priority" of its flavor
 * (-1000..1000, 0 if not said), those that should run, the metadata
 * "cairn:priority" that its owner gave it, its age.  The flavor is the
 * operator's: tenants order only what the operator has left equal.
 *
 * Pure; one thread, as the view.
 */
#ifndef CAIRN_ENGINE_EVACUATE_H
#define CAIRN_ENGINE_EVACUATE_H

#include "engine/choose.h"
#include "engine/recovery.h"
#include "engine/view.h"

struct evacuee {
    const struct server *server; /* of the view's snapshot */
    struct recovery_rank rank;
    const char *node; /* answer, borrowed from the snapshot; NULL: none */
    /* A draft of the server with the cells and devices that it has there;
     * owned, see evacuees_drop. */
    struct server *there;
    struct error why; /* NULL: in a sentence, for tenants */
};

struct recovery_rank evacuate_rank(const struct server *server, bool runs);

/* `c` is a chooser of the view's fleet.  Sorts them by rank.  The number that
 * have a place; the fleet is the same afterwards. */
size_t evacuate(struct view *v, struct chooser *c, struct evacuee *all,
                size_t n);
void evacuees_drop(struct evacuee *all, size_t n); /* what they own */

#endif
