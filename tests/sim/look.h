/*
 * look - one look at all of a simulated pool, as the invariants take it.
 *
 *     check_records.c   records among themselves: references, claims, quota
 *     check_servers.c   servers, their guests, their cards
 *     check_pool.c      nodes, recovery, drains
 *     check_storage.c   disks, volumes, snapshots, images, and their files
 *
 * What breaks is told to world_broken.  invariants.c says when which of them
 * is asked.
 */
#ifndef CAIRN_SIM_LOOK_H
#define CAIRN_SIM_LOOK_H

#include "files.h"
#include "model/model.h"
#include "world.h"

#include <string.h>

struct server;

struct look {
    struct world *w;
    const struct snapshot *s;
    int64_t since; /* what has not changed since then was looked at */
};

static inline bool look_is_new(const struct look *l, const struct kind *kind)
{
    return snap_changed(l->s, kind) > l->since;
}

static inline bool look_any_new(const struct look *l,
                                const struct kind *const *kinds, size_t n)
{
    bool found = false;
    for (size_t i = 0; !found && i < n; i++)
        found = look_is_new(l, kinds[i]);
    return found;
}

static inline bool is(const char *a, const char *b)
{
    return a && b && strcmp(a, b) == 0;
}

/* ---- after every step -----------------------------------------------------
 */

/* References, claims, quotas; `quiet`: also such as may be broken while
 * somebody works on them. */
void check_records(struct look *l, bool quiet);
/* Servers of one request are placed by one transaction. */
void check_together(struct look *l);
/* A disk in two running guests is a disk destroyed. */
void check_guests(struct look *l);

/* ---- once quiet ------------------------------------------------------------
 */

/* Nodes are well, what fails is elsewhere, what drains is empty or says why,
 * nothing moves any more. */
void check_pool(struct look *l);
/* Servers and guests agree, with all that they have. */
void check_servers(struct look *l);
void check_networks(struct look *l);
/* Nothing in between, and each has its file. */
void check_storage(struct look *l);
/* No file without a record. */
void check_files(struct look *l);
/* Who runs on it, and could run elsewhere, does. */
void check_failed(struct look *l, const struct sim_node *n);
/* Does it wait for a node that never comes back?  So do its disks. */
bool look_is_bound(struct look *l, const struct server *s);
/* Of such a server, or itself one: it may outlive its deletion. */
bool look_may_be_left(struct look *l, const struct record *r);
bool look_is_named(struct look *l, const struct file *f);

#endif
