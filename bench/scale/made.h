/*
 * made - a store whose records are made up as they are read: for measuring
 * what follows a large pool without holding it twice.
 *
 * A pool of `nodes` nodes with `servers` servers, each with realistic fields
 * (a kilobyte as JSON); `whole`: with a volume, a port and its two claims each.
 * Ids ascend as they do in any store.  One watch; made_change is the only
 * writer, on the thread that calls it.
 */
#ifndef CAIRN_BENCH_MADE_H
#define CAIRN_BENCH_MADE_H

#include "model/compute.h"
#include "model/pool.h"
#include "state/store.h"

struct made_pool {
    int64_t nodes, servers;
    bool whole;
    int64_t now; /* wall clock, microseconds */
};

struct store *made_open(const struct made_pool *pool);

/* Drafts of the records as they are first. */
struct node *made_node(const struct made_pool *pool, int64_t i);
struct server *made_server(const struct made_pool *pool, int64_t i);
/* The record is written: the watch hears of it.  Takes the reference. */
void made_change(struct store *s, void *record);

#endif
