/*
 * recoverer_impl - what the two files of the recoverer share: recoverer.c
 * looks and writes, recoverer_fence.c tells the fence and asks it.
 */
#ifndef CAIRN_ENGINE_RECOVERER_IMPL_H
#define CAIRN_ENGINE_RECOVERER_IMPL_H

#include "engine/leases.h"
#include "engine/recoverer.h"
#include "engine/recovery.h"
#include "model/pool.h"

#include <pthread.h>

#define LOG_NAME "recovery"
#define KEY_PASS "pool/recovery"
#define KEY_LIST "pool/fences"
#define FENCE    "fence/" /* + node */

struct view;
struct chooser;

/* What is remembered of a node; never needed, only what the fence said. */
struct watched {
    char name[64];
    enum recovery_fence closed;
    int64_t asked;        /* when the fence was last told or asked */
    int64_t storage_lost; /* since when its record says so, as seen here */
    int64_t rest;         /* no room before: the next try */
    bool lifting;         /* told to lift; whether that was late is unknown */
};

struct recoverer {
    struct recoverer_config c;
    struct reconciler *queue;
    struct leases *leases;
    struct view *view; /* these two of KEY_PASS's worker */
    struct chooser *chooser;
    int64_t revision; /* of our newest commit: older snapshots are stale */
    int64_t works;    /* since when most see their storage; 0: they do not */

    pthread_mutex_t lock; /* all below */
    struct watched *all;
    size_t n;
};

/* With the lock held; made if it is new. */
struct watched *recoverer_watched(struct recoverer *r, const char *node);
struct watched recoverer_recall(struct recoverer *r, const char *node);
void recoverer_note_fence(struct recoverer *r, const char *node,
                          enum recovery_fence closed);
/* The node as it is seen now. */
struct recovery_node recoverer_see(struct recoverer *r,
                                   const struct snapshot *snap,
                                   const struct node *n,
                                   const struct member *m);

/* KEY_LIST: asks the fence whom it refuses. */
enum reconcile_verdict recoverer_list(struct recoverer *r, int64_t *delay_us,
                                      struct error *err);
/* FENCE + node: does what the records ask for by now. */
enum reconcile_verdict recoverer_work_fence(struct recoverer *r,
                                            const char *node, int64_t *delay_us,
                                            struct error *err);

#endif
