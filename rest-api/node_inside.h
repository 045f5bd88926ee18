/*
 * node_inside - the members of the native API's node that tell its insides:
 * "cells" with their CPUs, distances and huge pages; "devices" that may be
 * passed through, and whom they were given to; "pinned_cpus".
 */
#ifndef CAIRN_REST_API_NODE_INSIDE_H
#define CAIRN_REST_API_NODE_INSIDE_H

#include "model/pool.h"
#include "rest-api/route.h"

void write_node_inside(struct req *r, struct jw *w, const struct node *n);

#endif
