/*
 * measure - what this node and its guests really use, for the engine.
 *
 * Every MEASURE_US the running guests are read through the hypervisor's table
 * (CPU time, time they waited for a CPU, memory, disk, network, pressure) and
 * the machine by its own counters (compute/host_counters.h).  Readings are
 * smoothed, with a short forecast (engine/forecast.h), in memory: some 550
 * bytes a guest.  What goes into the store is one record a node (model/use.h),
 * some 130 bytes a guest, at most every MEASURE_WRITE_US and only if a figure
 * has changed noticeably, so a pool at rest writes nothing.
 *
 * How fast a guest writes its memory costs more to find out: each is asked
 * every MEASURE_DIRTY_US, and no more than MEASURE_DIRTY_MOST at a time.
 *
 * The first reading of a guest only starts its counters.  A guest that
 * cannot be read this time keeps what it had for MEASURE_GONE_US.
 *
 * Threads: one of its own for measure_start; measure_pass is for tests.
 */
#ifndef CAIRN_DAEMON_MEASURE_H
#define CAIRN_DAEMON_MEASURE_H

#include "common/env.h"
#include "compute/hypervisor.h"
#include "state/cache.h"

#define MEASURE_US       (10 * SECOND_US)
#define MEASURE_WRITE_US (30 * SECOND_US)
#define MEASURE_GONE_US  (60 * SECOND_US)
#define MEASURE_AHEAD_MS 300000 /* of the forecast that is written */

#define MEASURE_DIRTY_US   (300 * SECOND_US)
#define MEASURE_DIRTY_MOST 4

struct measure_config {
    const struct env *env;
    struct store *store;
    struct cache *cache;
    struct hypervisor *hypervisor;
    const char *node; /* name; copied */
    const char *proc; /* "/proc"; copied */
    const char *sys;  /* "/sys"; copied */
};

struct measure;

struct measure *measure_new(const struct measure_config *config);
void measure_free(struct measure *m); /* NULL is fine */
/* One reading, and the record if it is time.  False: it could not be
 * written. */
bool measure_pass(struct measure *m, struct error *err);

/* After cache_follow.  NULL: no thread. */
struct measure *measure_start(const struct measure_config *config,
                              struct error *err);
/* Before cache_unfollow; NULL is fine. */
void measure_stop(struct measure *m);

#endif
