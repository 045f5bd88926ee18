/*
 * pool - the records of a pool that is in use, for measuring.
 *
 * On top of the first content (openstack-compat/bootstrap.h): a network with
 * a subnet in the project "admin", and servers with one port, one security
 * group, an image, a key and some metadata each; every tenth has a floating
 * IP.  POOL_LISTED of them belong to the project "admin", the others to a
 * project of their own, as a list is always of one project.
 *
 * All of them are ACTIVE on a node that is not there ("elsewhere"), so that
 * no reconciler of the node that reads these records has work with them.
 */
#ifndef CAIRN_BENCH_POOL_POOL_H
#define CAIRN_BENCH_POOL_POOL_H

#include "common/env.h"
#include "state/store.h"

#define POOL_SERVERS 1000
#define POOL_LISTED  100

struct pool_names {
    char user[64], project[64]; /* ids of admin and admin */
    char server[64];            /* a server of that project */
};

/* Fills a store that has its first content; blocks.  Ids and times are from
 * `env`.  Ends the program with a sentence when that fails. */
void pool_fill(struct store *store, const struct env *env,
               struct pool_names *names);

#endif
