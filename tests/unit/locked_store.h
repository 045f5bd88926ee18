/* locked_store - the memory driver made safe for threads, and made to fail on
 * request, for tests of what stands above the store. */
#ifndef CAIRN_TESTS_LOCKED_STORE_H
#define CAIRN_TESTS_LOCKED_STORE_H

#include "common/alloc.h"
#include "state/store.h"

#include <pthread.h>

struct locked_store {
    struct store base;
    struct store *inner;
    pthread_mutex_t lock;
    enum txn_status answer; /* of all txns, unless COMMITTED */
    enum error_code code;
};

#define LOCKED(s_)                                                             \
    struct locked_store *l = (struct locked_store *)(s_);                      \
    pthread_mutex_lock(&l->lock)

static bool locked_range(struct store *s, const char *prefix, range_fn *fn,
                         void *arg, int64_t *revision, struct error *err)
{
    LOCKED(s);
    bool ok = store_range(l->inner, prefix, fn, arg, revision, err);
    pthread_mutex_unlock(&l->lock);
    return ok;
}

static void locked_submit(struct store *s, struct txn *t, txn_done_fn *done,
                          void *arg)
{
    LOCKED(s);
    if (l->answer == TXN_COMMITTED) {
        store_submit(l->inner, t, done, arg);
    } else {
        struct txn_result result = { .status = l->answer };
        error_set(&result.err, l->code, "made to fail");
        txn_reset(t);
        done(arg, &result);
    }
    pthread_mutex_unlock(&l->lock);
}

static struct watch *locked_watch(struct store *s, const char *prefix,
                                  int64_t from, watch_fn *fn, void *arg,
                                  struct error *err)
{
    LOCKED(s);
    struct watch *w = store_watch(l->inner, prefix, from, fn, arg, err);
    pthread_mutex_unlock(&l->lock);
    return w;
}

static void locked_unwatch(struct store *s, struct watch *w)
{
    LOCKED(s);
    store_unwatch(l->inner, w);
    pthread_mutex_unlock(&l->lock);
}

static void locked_close(struct store *s)
{
    struct locked_store *l = (struct locked_store *)s;
    store_close(l->inner);
    pthread_mutex_destroy(&l->lock);
    free(l);
}

static inline struct store *locked_store_new(struct store *inner)
{
    static const struct store_ops ops = {
        .range = locked_range,
        .submit = locked_submit,
        .watch = locked_watch,
        .unwatch = locked_unwatch,
        .close = locked_close,
    };
    struct locked_store *l = xcalloc(1, sizeof(*l));
    l->base.ops = &ops;
    l->inner = inner;
    pthread_mutex_init(&l->lock, NULL);
    return &l->base;
}

static inline void locked_store_fail(struct store *s, enum txn_status answer,
                                     enum error_code code)
{
    LOCKED(s);
    l->answer = answer;
    l->code = code;
    pthread_mutex_unlock(&l->lock);
}

#endif
