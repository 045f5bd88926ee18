/*
 * jobs - a few threads for what may block, behind one bounded queue.
 *
 * Threads: jobs_push from any thread; jobs run on the pool's own.
 */
#ifndef CAIRN_REST_API_JOBS_H
#define CAIRN_REST_API_JOBS_H

#include <stdbool.h>
#include <stddef.h>

struct jobs;

struct jobs *jobs_new(unsigned threads, size_t queue_max);
/* Runs what is queued, then ends.  NULL is fine. */
void jobs_free(struct jobs *j);
/* False: the queue is full. */
bool jobs_push(struct jobs *j, void (*fn)(void *arg), void *arg);
/* The same for what is bounded elsewhere and must not be lost: queued in any
 * case. */
void jobs_must(struct jobs *j, void (*fn)(void *arg), void *arg);

#endif
