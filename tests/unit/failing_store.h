/* failing_store - the memory driver, made to fail on request by any thread, for
 * tests of what stands above the store. */
#ifndef CAIRN_TESTS_FAILING_STORE_H
#define CAIRN_TESTS_FAILING_STORE_H

#include "common/alloc.h"
#include "state/store.h"

#include <pthread.h>

struct failing_store {
    struct store base;
    struct store *inner;
    pthread_mutex_t lock;   /* of both: */
    enum txn_status answer; /* of all txns, unless COMMITTED */
    enum error_code code;
};

static bool failing_range(struct store *s, const char *prefix, range_fn *fn,
                          void *arg, int64_t *revision, struct error *err)
{
    return store_range(((struct failing_store *)s)->inner, prefix, fn, arg,
                       revision, err);
}

/* Without the lock while somebody is told: he may submit the next. */
static void failing_submit(struct store *s, struct txn *t, txn_done_fn *done,
                           void *arg)
{
    struct failing_store *l = (struct failing_store *)s;
    pthread_mutex_lock(&l->lock);
    struct txn_result result = { .status = l->answer };
    error_set(&result.err, l->code, "made to fail");
    pthread_mutex_unlock(&l->lock);
    if (result.status == TXN_COMMITTED) {
        store_submit(l->inner, t, done, arg);
        return;
    }
    txn_reset(t);
    done(arg, &result);
}

static struct watch *failing_watch(struct store *s, const char *prefix,
                                   int64_t from, watch_fn *fn, void *arg,
                                   struct error *err)
{
    return store_watch(((struct failing_store *)s)->inner, prefix, from, fn,
                       arg, err);
}

static void failing_unwatch(struct store *s, struct watch *w)
{
    store_unwatch(((struct failing_store *)s)->inner, w);
}

static void failing_close(struct store *s)
{
    struct failing_store *l = (struct failing_store *)s;
    store_close(l->inner);
    pthread_mutex_destroy(&l->lock);
    free(l);
}

static inline struct store *failing_store_new(struct store *inner)
{
    static const struct store_ops ops = {
        .range = failing_range,
        .submit = failing_submit,
        .watch = failing_watch,
        .unwatch = failing_unwatch,
        .close = failing_close,
    };
    struct failing_store *l = xcalloc(1, sizeof(*l));
    l->base.ops = &ops;
    l->inner = inner;
    pthread_mutex_init(&l->lock, NULL);
    return &l->base;
}

static inline void failing_store_fail(struct store *s, enum txn_status answer,
                                      enum error_code code)
{
    struct failing_store *l = (struct failing_store *)s;
    pthread_mutex_lock(&l->lock);
    l->answer = answer;
    l->code = code;
    pthread_mutex_unlock(&l->lock);
}

#endif
