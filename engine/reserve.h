/*
 * reserve - N hosts may fail: the proof that their guests would find a place.
 *
 * For every set of N hosts that are up (N is 1 or 2) an evacuation plan is
 * kept: for each of their guests the place where it would be started again,
 * by the same rules as any placement (fit.h), all at once.  A set is *held*
 * if all have one; in a pool of fewer than N hosts each set is a host alone.
 * No share of free capacity is looked at: a pool that is half empty may have
 * no place for its largest guest.  Volumes, which take neither vCPUs nor
 * memory, are not started again.
 *
 * A guest may come as long as nobody has lost the place they had and it has
 * one itself; where some had none before, others may still come.
 *
 * The proof follows the fleet, by reserve_put, _remove and _move or by its
 * journal (reserve_follow).  A change on a host concerns the sets that
 * contain it and the plans that lead to it; those are checked by counting,
 * and only made anew where the count fails.  Plans are made greedily, in
 * several orders: what is held is proven, what is not held might still be
 * possible (seldom: see test_reserve.c).
 *
 * Owns a copy of the fleet, one thread.  Where hosts change (facts,
 * capacity) all is made anew.  Memory and time for N = 2 go with the square
 * of the hosts: some hundreds.
 */
#ifndef CAIRN_ENGINE_RESERVE_H
#define CAIRN_ENGINE_RESERVE_H

#include "engine/choose.h"

#define RESERVE_FAILURES 2 /* at most */
/* Stands in reserve_why for the guest that reserve_allows was asked about. */
#define RESERVE_NEWCOMER UINT64_MAX

/* Why a set is not held, or a placement refused. */
struct reserve_why {
    uint32_t hosts[RESERVE_FAILURES]; /* that fail together */
    uint32_t n;
    uint64_t guest; /* that would find no place */
};

struct reserve;

/* `failures`: 1 or 2.  Reads all of `f`. */
struct reserve *reserve_new(const struct fleet *f, unsigned failures);
void reserve_free(struct reserve *r); /* NULL is fine */

/* Brings it to what `f`, the one it was made of, is by now; what it was told
 * of by reserve_put and reserve_move and is not so is forgotten. */
void reserve_follow(struct reserve *r, const struct fleet *f);

/* Sets of hosts that are held, and all. */
uint32_t reserve_held(const struct reserve *r);
uint32_t reserve_sets(const struct reserve *r);
/* The first set that is not held; false: all are. */
bool reserve_broken(const struct reserve *r, struct reserve_why *why);
/* Where a guest goes when these hosts (n of them, in any order) fail; false:
 * not held, or not among them. */
bool reserve_place(const struct reserve *r, const uint32_t *hosts, uint32_t n,
                   uint64_t guest, struct placing *out);

/* May a new guest come there?  Nothing changes. */
bool reserve_allows(struct reserve *r, const struct request *request,
                    const struct placing *at, struct reserve_why *why);
/* A guest comes: false, nothing changed, if somebody would be without a place
 * who is not now (`why`, may be NULL). */
bool reserve_put(struct reserve *r, uint64_t id, const struct request *request,
                 const struct placing *at, struct reserve_why *why);
/* What has happened: never refused. */
void reserve_remove(struct reserve *r, uint64_t id);
/* As reserve_put, for a guest that is there. */
bool reserve_move(struct reserve *r, uint64_t id, const struct placing *to,
                  struct reserve_why *why);

#endif
