/*
 * desk - the engine's view of the pool, for those who ask over the API.
 *
 * One view a face, kept from one question to the next so that each costs by
 * what has changed since.  It holds the snapshot of the last question.
 *
 *     struct view *v = desk_take(r->api, r->snap, r->now);
 *     ...
 *     desk_give(r->api, v);
 *
 * Threads: any; one at a time has the view, others wait.  Where an api has
 * no desk each question makes a view of its own.
 */
#ifndef CAIRN_REST_API_DESK_H
#define CAIRN_REST_API_DESK_H

#include "engine/view.h"
#include "rest-api/api.h"

struct desk;

struct desk *desk_new(void);
void desk_free(struct desk *d); /* NULL is fine */

/* The view, at that snapshot and time, until it is given back. */
struct view *desk_take(struct api *api, struct snapshot *snap, int64_t now);
void desk_give(struct api *api, struct view *v);

#endif
