/*
 * server_run - one look at one server of this node: what the reconciler has
 * in its hands for it, and the steps of the plan that only write.
 *
 * Each is one transaction with all that belongs to it (server_reconcile.h);
 * the verdict is the run's.  RECONCILE_AGAIN with run->delay_us: somebody
 * else has written, look again.  RECONCILE_RETRY: run->err.
 *
 * All is borrowed, for the run.
 */
#ifndef CAIRN_COMPUTE_SERVER_RUN_H
#define CAIRN_COMPUTE_SERVER_RUN_H

#include "common/env.h"
#include "common/keyring.h"
#include "compute/server_plan.h"
#include "state/reconcile.h"
#include "state/store.h"

#define SERVER_STALE_US INT64_C(5000) /* until a snapshot has caught up */

/* What is remembered of a server between runs; never needed, only kind: a
 * restart forgets it. */
struct server_memory {
    struct server_memory *next;
    char id[UUID_SIZE];
    struct patience patience;
    enum server_step failed_step;
    unsigned failures; /* of that step, in a row */
    int64_t revision;  /* of our newest commit: older snapshots are stale */
};

struct server_run {
    struct store *store;
    const struct env *env;
    const char *node;
    struct hypervisor *h;
    const struct keyring *keyring;
    struct server_memory *memory;
    const struct snapshot *snap;
    struct server_view view;
    int64_t *delay_us;
    struct error *err;
};

enum reconcile_verdict server_run_record(struct server_run *run);
enum reconcile_verdict server_run_fail(struct server_run *run,
                                       const char *text);
/* One device's state in the record becomes another; the rest follows. */
enum reconcile_verdict server_run_set_volume(struct server_run *run, size_t i,
                                             int state);
enum reconcile_verdict server_run_set_port(struct server_run *run, size_t i,
                                           int state);
/* Extending is over; one that failed gives back what it was charged for. */
enum reconcile_verdict server_run_extended(struct server_run *run, size_t i,
                                           bool ok);
enum reconcile_verdict server_run_release(struct server_run *run);
enum reconcile_verdict server_run_drop_disk(struct server_run *run, size_t i);
enum reconcile_verdict server_run_shelve(struct server_run *run,
                                         enum server_step step);
enum reconcile_verdict server_run_move(struct server_run *run,
                                       const struct server_plan *p);

#endif
