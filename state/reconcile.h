/*
 * reconcile - one function behind one work queue.
 *
 * A reconciler brings one thing (a key: "<kind>/<id>") closer to what its
 * record says.  It is level-triggered: it reads the record and the world
 * each time and may be called at any moment, any number of times.  The queue
 * promises: one key is never worked on by two threads at once; a key added
 * while it is worked on is worked on once more; a failing key comes back
 * after a growing pause (100 ms doubling to 30 s, a quarter of it random)
 * without holding up the others; stopping waits for the running calls and
 * forgets the rest (the next start finds them again by resync).
 *
 * Threads: in the product `workers` threads call the function; add from any
 * thread.  With 0 workers nothing runs by itself and the owner calls
 * reconciler_step: that is how the simulation runs the same code.
 */
#ifndef CAIRN_STATE_RECONCILE_H
#define CAIRN_STATE_RECONCILE_H

#include "common/env.h"
#include "common/error.h"

#include <stdbool.h>
#include <stddef.h>

struct reconciler;

enum reconcile_verdict {
    RECONCILE_DONE,  /* nothing left to do until somebody adds it again */
    RECONCILE_AGAIN, /* come back after *delay_us, no failure */
    RECONCILE_RETRY, /* failed (err says why): come back after the back-off */
};

typedef enum reconcile_verdict
reconcile_fn(void *self, const char *key, int64_t *delay_us, struct error *err);

struct reconciler_stats {
    uint64_t runs, retries, queued;
};

struct reconciler *reconciler_new(const char *name, reconcile_fn *fn,
                                  void *self, const struct env *env,
                                  unsigned workers);
void reconciler_add(struct reconciler *r, const char *key);
void reconciler_add_after(struct reconciler *r, const char *key,
                          int64_t delay_us);
/* Shows `fn` the keys that are due now and wait, roughly the oldest first,
 * until it answers false: for whoever does several at once.  They stay in the
 * queue.  `fn` must not call the reconciler. */
typedef bool reconcile_look_fn(void *arg, const char *key);
void reconciler_look(struct reconciler *r, reconcile_look_fn *fn, void *arg);
/* Stops and frees; NULL is fine. */
void reconciler_stop(struct reconciler *r);

/* For the simulation (0 workers): runs one due key; `pick` chooses among the
 * due ones (any number, taken modulo their count).  False: none is due. */
bool reconciler_step(struct reconciler *r, uint64_t pick);
/* When the next key is due (monotonic us), INT64_MAX if none is queued. */
int64_t reconciler_next_due(struct reconciler *r);
struct reconciler_stats reconciler_stats(struct reconciler *r);

#endif
