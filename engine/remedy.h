/*
 * remedy - the smallest changes that would make a request fit.
 *
 * For a request that no host can take: which one constraint to drop, which
 * node to enable or bring back, which one server to move, or how much is
 * missing where least is.  Smallest first, each tried on the fleet before it
 * is said: what it names would really do.  Where no single change does, the
 * constraint to drop and what is missing then are named together.
 *
 * Pure but for the names, which come from the view's snapshot.
 */
#ifndef CAIRN_ENGINE_REMEDY_H
#define CAIRN_ENGINE_REMEDY_H

#include "common/buf.h"
#include "engine/explain.h"

enum remedy_kind {
    REMEDY_WAKE,   /* a node that does not answer would do */
    REMEDY_DROP,   /* the constraint `drop` */
    REMEDY_ENABLE, /* a disabled node would do */
    REMEDY_MOVE,   /* server `guest` from `host` to `to` */
    REMEDY_ROOM,   /* `missing` on `host`, and `drop` unless FIT_OK */
};

struct remedy {
    uint8_t kind;
    uint8_t drop;   /* enum fit */
    uint32_t hosts; /* that would do then: WAKE, DROP, ENABLE */
    uint32_t host;  /* the first of them by name; where least is missing */
    uint64_t guest;
    uint32_t to;
    int32_t missing[FLEET_RESOURCES];
};

#define REMEDIES 4
/* How many were found, smallest change first; at most REMEDIES. */
unsigned remedies(struct view *v, const struct wish *w,
                  struct remedy out[REMEDIES]);

/* One sentence without the full stop.  For tenants (`names` false) it tells
 * of no node and of no other server; false: there is nothing that they could
 * be told or do. */
bool remedy_text(struct view *v, const struct wish *w, const struct remedy *r,
                 bool names, struct buf *out);

#endif
