/*
 * watchers - the watches of one store, for its driver.
 *
 * A driver tells each committed revision once, in order, from one thread at
 * a time; a watch hears of it if it is live and its prefix fits.  A new
 * watch is registered at once but hears nothing until the driver holds it,
 * tells it the past and releases it to live.
 *
 * Call-backs run without the lock: they may add and remove watches, their
 * own too.  watchers_remove waits for a running call-back of that watch
 * unless it is called from it.
 */
#ifndef CAIRN_STATE_WATCHERS_H
#define CAIRN_STATE_WATCHERS_H

#include "state/store.h"

#include <pthread.h>

struct watch {
    struct watch *next;
    uint64_t serial; /* never used again, unlike an address */
    char *prefix;
    size_t prefix_len;
    int64_t from; /* first revision it wants */
    watch_fn *fn;
    void *arg;
    bool live; /* hears of new revisions */
    bool busy; /* held, by `caller`: its call-back may run */
    bool gone; /* removed by its holder, from within its call-back */
    pthread_t caller;
};

struct watchers {
    pthread_mutex_t lock;
    pthread_cond_t idle; /* some watch is not busy any more */
    struct watch *list;
    uint64_t serial; /* last given */
};

void watchers_init(struct watchers *ws);
void watchers_free(struct watchers *ws); /* frees what is left, silently */
struct watch *watchers_add(struct watchers *ws, const char *prefix,
                           int64_t from, watch_fn *fn, void *arg);
void watchers_remove(struct watchers *ws, struct watch *w);

/* The watch with that serial, held (nobody frees it), or NULL if it has been
 * removed meanwhile. */
struct watch *watchers_hold(struct watchers *ws, uint64_t serial);
/* Tells a held watch, live or not; COMPACTED and LOST end it. */
void watch_tell(struct watch *w, enum watch_what what, int64_t revision,
                const struct kv *events, size_t n);
void watchers_release(struct watchers *ws, struct watch *w, bool live);
/* Tells all live watches. */
void watchers_tell(struct watchers *ws, enum watch_what what, int64_t revision,
                   const struct kv *events, size_t n);

#endif
