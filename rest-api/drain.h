/*
 * drain - the native API's part on emptying a node.
 *
 *   POST   /v1/nodes/{name}/drain   its servers move away, one after another;
 *                                   409 and nothing begins when one of them
 *                                   could not: the answer names each, and why.
 *                                   {"anyway": true} begins all the same
 *   DELETE /v1/nodes/{name}/drain   it takes servers again; those that are on
 *                                   their way go on
 *
 * The engine is asked first (plan.h, on a copy of the pool in which the node
 * is to be emptied); afterwards it is the rebalancer that moves.  How far it
 * is shows membership.h's GET.
 */
#ifndef CAIRN_REST_API_DRAIN_H
#define CAIRN_REST_API_DRAIN_H

#include "rest-api/request.h"

handler_fn drain_begin, drain_end;

/* Members "draining", "servers", "moving" and, while it drains, "stays". */
struct node;
void drain_write(struct req *r, struct jw *w, const struct node *n);

#endif
