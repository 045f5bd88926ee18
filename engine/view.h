/*
 * view - the records as a fleet.
 *
 * A view follows snapshots of one cache: it takes over what differs between
 * the last one and the next (snap_diff), so that following costs by what
 * has changed and the fleet is always that of one revision.  Going back to
 * an older snapshot works as well.  What follows is the same as a view that
 * was filled from nothing (tests/unit/test_view.c compares).
 *
 *   node          a host: capacity with overcommit less reserve, state, rack,
 *                 NUMA cells, devices
 *   aggregate     zone (availability_zone), overcommit
 *                 (cpu_allocation_ratio, ram_allocation_ratio), tenants it is
 *                 kept for (filter_tenant_id*), metadata for conditions
 *   server        a guest of the host it is placed on
 *   migration     a guest too, of the node that is kept for a server on its
 *                 way (model/migration.h)
 *   volume        a guest too, one that only takes thin GiB and never moves
 *   server_group  of its members
 *   node_use      what guests are measured to use
 *   policy        the policy of row VIEW_POLICY_POOL; the reserve
 *
 * The servers that come, placed or not, are counted in a mix (mix.h), which
 * the policy "fragmentation" scores by: the one thing that depends on the
 * past, and that a view filled from nothing sees in the order of ids.
 *
 * Conditions are traits with a rule for a name: "aggregate:KEY=WANTED" holds
 * on a host one of whose aggregates has such metadata, "machine=x86_64" on
 * one of that kind.  They are made at first sight of a flavor that wants
 * them and kept up to date from then on.
 *
 * Owner: whoever made it.  It holds its last snapshot.  One thread at a time.
 */
#ifndef CAIRN_ENGINE_VIEW_H
#define CAIRN_ENGINE_VIEW_H

#include "engine/fleet.h"
#include "engine/reserve.h"
#include "model/compute.h"
#include "model/pool.h"
#include "model/volume.h"
#include "state/cache.h"

/* Rows of fleet.policies: one for each enum placement_policy, with the pool's
 * weights, then ... */
#define VIEW_POLICY_POOL  3 /* ... what the pool says */
#define VIEW_POLICY_FIRST 4 /* ... from there on flavors' own weights */

/* Number 0 of traits and aggregates, and the first custom resource: what no
 * host has.  Names that tenants make up become this one and take no room. */
#define VIEW_NOBODY 0

struct view;
struct view *view_new(void);
void view_free(struct view *v); /* NULL is fine */

/* A view of its own to try things on: the fleet is copied, the records are
 * the same; it cannot follow.  `v` must outlive it. */
struct view *view_fork(const struct view *v);

/* `now` is wall clock, microseconds: who has been silent for too long is
 * dead.  Takes a reference of the snapshot. */
void view_follow(struct view *v, struct snapshot *snap, int64_t now);

struct fleet *view_fleet(struct view *v);
const struct snapshot *view_snapshot(const struct view *v); /* the last */
int64_t view_now(const struct view *v);

/* The proof that the pool's policy asks for, of the fleet as it is now; NULL:
 * it asks for none.  Made at first sight, then kept. */
struct reserve *view_reserve(struct view *v);
unsigned view_failures(const struct view *v); /* that it is for; 0: none */
/* Would the reserve bear that request there?  True where there is none. */
bool view_bears(struct view *v, const struct request *request,
                const struct placing *at, struct reserve_why *why);

/* The guest of a server or volume, and back; 0 and NULL: there is none. */
uint64_t view_guest(const struct view *v, const struct record *record);
const struct record *view_record(const struct view *v, uint64_t guest);

/* Takes a server out of the fleet, to ask where it could go, and puts it back
 * (or makes it anew, as its record says). */
void view_hide(struct view *v, const struct record *server);
void view_unhide(struct view *v, const struct record *server);

/* The number of a name that is known, or -1: what is asked for by those who
 * may make names up. */
int view_known(struct view *v, enum fleet_name kind, const char *name);
/* Devices by a name: a class ("GPU"), a model ("10de:20b0"), what an operator
 * calls them, or the resource class that Placement gives them
 * ("CUSTOM_PCI_10DE_20B0", "PGPU"); letters' case does not count.  False: no
 * node has had such. */
bool view_device(const struct view *v, const char *name,
                 struct request_device *out); /* its count stays */
/* Narrows a wish for parts of devices down to the type that a trait names
 * (model/share.h), two types to what nobody has; other traits, and wishes for
 * whole devices, change nothing. */
void view_part(const struct view *v, const char *trait,
               struct request_device *out);
/* The row of a policy, made if need be.  When there are no more it is that of
 * its kind, with the pool's weights. */
unsigned view_policy(struct view *v, const struct score_policy *policy);
/* The trait that stands for a condition, made if need be; -1: there are too
 * many. */
int view_condition(struct view *v, const char *name);

#endif
