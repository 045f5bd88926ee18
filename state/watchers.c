#include "state/watchers.h"

#include "common/alloc.h"

#include <string.h>

void watchers_init(struct watchers *ws)
{
    pthread_mutex_init(&ws->lock, NULL);
    pthread_cond_init(&ws->idle, NULL);
    ws->list = NULL;
}

static void watch_free(struct watch *w)
{
    free(w->prefix);
    free(w);
}

void watchers_free(struct watchers *ws)
{
    for (struct watch *w = ws->list, *next; w; w = next) {
        next = w->next;
        watch_free(w);
    }
    pthread_cond_destroy(&ws->idle);
    pthread_mutex_destroy(&ws->lock);
}

struct watch *watchers_add(struct watchers *ws, const char *prefix,
                           int64_t from, watch_fn *fn, void *arg)
{
    struct watch *w = xcalloc(1, sizeof(*w));
    w->prefix = xstrdup(prefix);
    w->prefix_len = strlen(prefix);
    w->from = from;
    w->fn = fn;
    w->arg = arg;
    pthread_mutex_lock(&ws->lock);
    w->serial = ++ws->serial;
    w->next = ws->list;
    ws->list = w;
    pthread_mutex_unlock(&ws->lock);
    return w;
}

static void drop(struct watchers *ws, struct watch *w)
{
    struct watch **at = &ws->list;
    while (*at != w)
        at = &(*at)->next;
    *at = w->next;
    watch_free(w);
}

void watchers_remove(struct watchers *ws, struct watch *w)
{
    pthread_mutex_lock(&ws->lock);
    w->live = false;
    if (w->busy && pthread_equal(w->caller, pthread_self())) {
        w->gone = true; /* freed when the call-back has returned */
    } else {
        while (w->busy)
            pthread_cond_wait(&ws->idle, &ws->lock);
        drop(ws, w);
    }
    pthread_mutex_unlock(&ws->lock);
}

static bool matches(const struct watch *w, const struct kv *kv)
{
    return strncmp(kv->key, w->prefix, w->prefix_len) == 0;
}

/* Calls back with the events that fit. */
static void filter_call(const struct watch *w, enum watch_what what,
                        int64_t revision, const struct kv *events, size_t n)
{
    if (what != WATCH_EVENTS || !w->prefix_len) {
        w->fn(w->arg, what, revision, events, n);
        return;
    }
    _autofree_ struct kv *fit = xmalloc(n * sizeof(*fit));
    size_t n_fit = 0;
    for (size_t i = 0; i < n; i++)
        if (matches(w, &events[i]))
            fit[n_fit++] = events[i];
    if (n_fit)
        w->fn(w->arg, what, revision, fit, n_fit);
}

static void hold(struct watch *w)
{
    w->busy = true;
    w->caller = pthread_self();
}

/* With the lock held; returns the next watch. */
static struct watch *release(struct watchers *ws, struct watch *w)
{
    struct watch *next = w->next;
    w->busy = false;
    if (w->gone)
        drop(ws, w);
    pthread_cond_broadcast(&ws->idle);
    return next;
}

struct watch *watchers_hold(struct watchers *ws, uint64_t serial)
{
    pthread_mutex_lock(&ws->lock);
    struct watch *w = ws->list;
    while (w && w->serial != serial)
        w = w->next;
    if (w)
        hold(w);
    pthread_mutex_unlock(&ws->lock);
    return w;
}

void watch_tell(struct watch *w, enum watch_what what, int64_t revision,
                const struct kv *events, size_t n)
{
    if (!w->gone)
        filter_call(w, what, revision, events, n);
}

void watchers_release(struct watchers *ws, struct watch *w, bool live)
{
    pthread_mutex_lock(&ws->lock);
    w->live = live;
    release(ws, w);
    pthread_mutex_unlock(&ws->lock);
}

void watchers_tell(struct watchers *ws, enum watch_what what, int64_t revision,
                   const struct kv *events, size_t n)
{
    pthread_mutex_lock(&ws->lock);
    for (struct watch *w = ws->list, *next; w; w = next) {
        next = w->next;
        if (!w->live || (what == WATCH_EVENTS && w->from > revision))
            continue;
        if (what != WATCH_EVENTS)
            w->live = false;
        hold(w);
        pthread_mutex_unlock(&ws->lock);
        watch_tell(w, what, revision, events, n);
        pthread_mutex_lock(&ws->lock);
        next = release(ws, w);
    }
    pthread_mutex_unlock(&ws->lock);
}
