/*
 * reserve - N hosts may fail: the proof that their guests would find a place.
 *
 * For every set of N hosts that are up (N is 1 or 2) an evacuation plan is
 * kept: for each of their guests the place where it would be started again,
 * by the same rules as any placement (fit.h), all at once.  A set is *held*
 * if there is one.  No share of free capacity is looked at: a pool that is
 * half empty may have no place for its largest guest.
 *
 * The proof follows the fleet through reserve_put, _remove and _move.  A
 * change on a host concerns the sets that contain it and the plans that lead
 * to it; those are checked by counting, and only made anew where the count
 * fails.  Plans are made greedily, in several orders: what is held is proven,
 * what is not held might still be possible (seldom: see test_reserve.c).
 *
 * Owns a copy of the fleet, one thread.  Whatever else changes a fleet
 * (hosts, facts, capacity) needs a new reserve.  Memory and time for N = 2
 * go with the square of the hosts: some hundreds.
 */
#ifndef CAIRN_ENGINE_RESERVE_H
#define CAIRN_ENGINE_RESERVE_H

#include "engine/choose.h"

#define RESERVE_FAILURES 2 /* at most */

/* Why a set is not held, or a placement refused. */
struct reserve_why {
    uint32_t hosts[RESERVE_FAILURES]; /* that fail together */
    uint32_t n;
    uint64_t guest; /* the first that would find no place */
};

struct reserve;

/* `failures`: 1 or 2.  Reads all of `f`, and never again. */
struct reserve *reserve_new(const struct fleet *f, unsigned failures);
void reserve_free(struct reserve *r);

/* Sets of hosts that are held, and all. */
uint32_t reserve_held(const struct reserve *r);
uint32_t reserve_sets(const struct reserve *r);
/* The first set that is not held; false: all are. */
bool reserve_broken(const struct reserve *r, struct reserve_why *why);
/* Where a guest goes when these hosts (n of them, in any order) fail; false:
 * not held, or not among them. */
bool reserve_place(const struct reserve *r, const uint32_t *hosts, uint32_t n,
                   uint64_t guest, struct placing *out);

/* A guest comes: false, nothing changed, if a set would no longer be held
 * that is held now (`why`, may be NULL). */
bool reserve_put(struct reserve *r, uint64_t id, const struct request *request,
                 const struct placing *at, struct reserve_why *why);
/* What has happened: never refused. */
void reserve_force(struct reserve *r, uint64_t id,
                   const struct request *request, const struct placing *at);
void reserve_remove(struct reserve *r, uint64_t id);
/* As reserve_put, for a guest that is there. */
bool reserve_move(struct reserve *r, uint64_t id, const struct placing *to,
                  struct reserve_why *why);

#endif
