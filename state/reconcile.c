/*
 * Each known key has one item: found by key in a hash table, and by time,
 * while it waits, in a binary heap.  An item that runs is in no heap; what is
 * added meanwhile is remembered in `again_at`.  Done items are freed.
 */
#include "state/reconcile.h"

#include "common/alloc.h"
#include "common/log.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PAUSE_FIRST_US (100 * INT64_C(1000))
#define PAUSE_MOST_US  (30 * SECOND_US)
#define NEVER          INT64_MAX

struct item {
    struct item *next; /* in its bucket */
    char *key;
    size_t at; /* in the heap, if `waits` */
    bool waits, runs;
    int64_t due;      /* monotonic us */
    int64_t again_at; /* added while it ran: when; else NEVER */
    uint64_t order;   /* of keys due at one time the first added goes first */
    unsigned failures;
};

struct reconciler {
    char *name;
    reconcile_fn *fn;
    void *self;
    const struct env *env;
    unsigned n_workers;
    pthread_t *workers;

    pthread_mutex_t lock; /* all below */
    pthread_cond_t wake;
    bool stop;
    struct item **buckets;
    size_t n_buckets, n_items;
    struct item **heap;
    size_t n_heap, heap_cap;
    uint64_t order;
    struct reconciler_stats stats;
};

/* ---- items by key ------------------------------------------------------ */

static size_t hash(const char *key)
{
    size_t h = 14695981039346656037u;
    for (; *key; key++)
        h = (h ^ (unsigned char)*key) * 1099511628211u;
    return h;
}

static void grow_table(struct reconciler *r)
{
    size_t n = r->n_buckets ? r->n_buckets * 2 : 64;
    struct item **buckets = xcalloc(n, sizeof(*buckets));
    for (size_t i = 0; i < r->n_buckets; i++)
        for (struct item *it = r->buckets[i], *next; it; it = next) {
            struct item **at = &buckets[hash(it->key) % n];
            next = it->next;
            it->next = *at;
            *at = it;
        }
    free(r->buckets);
    r->buckets = buckets;
    r->n_buckets = n;
}

static struct item *item_get(struct reconciler *r, const char *key)
{
    if (r->n_items >= r->n_buckets)
        grow_table(r);
    struct item **bucket = &r->buckets[hash(key) % r->n_buckets];
    for (struct item *it = *bucket; it; it = it->next)
        if (strcmp(it->key, key) == 0)
            return it;
    struct item *it = xcalloc(1, sizeof(*it));
    it->key = xstrdup(key);
    it->again_at = NEVER;
    it->next = *bucket;
    *bucket = it;
    r->n_items++;
    return it;
}

static void item_free(struct item *it)
{
    free(it->key);
    free(it);
}

static void item_drop(struct reconciler *r, struct item *it)
{
    struct item **at = &r->buckets[hash(it->key) % r->n_buckets];
    while (*at != it)
        at = &(*at)->next;
    *at = it->next;
    r->n_items--;
    item_free(it);
}

/* ---- items by time ----------------------------------------------------- */

static bool before(const struct item *a, const struct item *b)
{
    return a->due != b->due ? a->due < b->due : a->order < b->order;
}

static void heap_set(struct reconciler *r, size_t at, struct item *it)
{
    r->heap[at] = it;
    it->at = at;
}

static void heap_up(struct reconciler *r, struct item *it)
{
    size_t at = it->at;
    for (; at && before(it, r->heap[(at - 1) / 2]); at = (at - 1) / 2)
        heap_set(r, at, r->heap[(at - 1) / 2]);
    heap_set(r, at, it);
}

static void heap_down(struct reconciler *r, struct item *it)
{
    size_t at = it->at;
    for (size_t child; (child = 2 * at + 1) < r->n_heap; at = child) {
        if (child + 1 < r->n_heap && before(r->heap[child + 1], r->heap[child]))
            child++;
        if (!before(r->heap[child], it))
            break;
        heap_set(r, at, r->heap[child]);
    }
    heap_set(r, at, it);
}

static void heap_add(struct reconciler *r, struct item *it, int64_t due)
{
    if (r->n_heap == r->heap_cap) {
        r->heap_cap = r->heap_cap ? r->heap_cap * 2 : 64;
        r->heap = xrealloc(r->heap, r->heap_cap * sizeof(struct item *));
    }
    it->due = due;
    it->order = ++r->order;
    it->waits = true;
    it->at = r->n_heap++;
    heap_up(r, it);
}

static void heap_take(struct reconciler *r, struct item *it)
{
    struct item *last = r->heap[--r->n_heap];
    it->waits = false;
    if (last == it)
        return;
    last->at = it->at;
    heap_up(r, last);
    heap_down(r, last);
}

/* ---- the queue (with the lock held) ------------------------------------ */

static void add_at(struct reconciler *r, const char *key, int64_t due)
{
    struct item *it = item_get(r, key);
    if (it->runs) {
        if (due < it->again_at)
            it->again_at = due;
    } else if (!it->waits) {
        heap_add(r, it, due);
    } else if (due < it->due) {
        it->due = due;
        heap_up(r, it);
    }
    pthread_cond_signal(&r->wake);
}

static int64_t backoff(struct reconciler *r, unsigned failures)
{
    int64_t pause = PAUSE_FIRST_US;
    while (--failures && pause < PAUSE_MOST_US)
        pause *= 2;
    if (pause > PAUSE_MOST_US)
        pause = PAUSE_MOST_US;
    uint64_t quarter = (uint64_t)pause / 4;
    return pause - (int64_t)env_random_below(r->env, quarter + 1);
}

/* When it comes back after this verdict, NEVER if not. */
static int64_t next_due(struct reconciler *r, struct item *it,
                        enum reconcile_verdict verdict, int64_t delay_us)
{
    int64_t now = env_mono(r->env), due = NEVER;
    if (verdict != RECONCILE_RETRY) {
        it->failures = 0;
        if (verdict == RECONCILE_AGAIN)
            due = now + (delay_us > 0 ? delay_us : 0);
        return due < it->again_at ? due : it->again_at;
    }
    r->stats.retries++;
    due = now + backoff(r, ++it->failures);
    /* A failing function that changes its own record is added by that:
     * soon, but never at once, or it would spin. */
    if (it->again_at != NEVER && due > now + PAUSE_FIRST_US)
        due = now + PAUSE_FIRST_US;
    return due;
}

/* Takes the item, runs the function without the lock, puts it where the
 * verdict says. */
static void run(struct reconciler *r, struct item *it)
{
    int64_t delay_us = 0;
    struct error err = { 0 };
    heap_take(r, it);
    it->runs = true;
    r->stats.runs++;
    pthread_mutex_unlock(&r->lock);
    enum reconcile_verdict verdict = r->fn(r->self, it->key, &delay_us, &err);
    if (verdict == RECONCILE_RETRY)
        log_limited(LOG_WARN, r->name, "%s: %s", it->key, err.text);
    pthread_mutex_lock(&r->lock);
    int64_t due = next_due(r, it, verdict, delay_us);
    it->runs = false;
    it->again_at = NEVER;
    if (due == NEVER)
        item_drop(r, it);
    else
        heap_add(r, it, due);
    pthread_cond_signal(&r->wake);
}

/* ---- workers ----------------------------------------------------------- */

static void wait_until(struct reconciler *r, int64_t due)
{
    struct timespec t;
    if (due == NEVER) {
        pthread_cond_wait(&r->wake, &r->lock);
        return;
    }
    int64_t us = due - env_mono(r->env);
    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += us / SECOND_US;
    t.tv_nsec += us % SECOND_US * 1000;
    t.tv_sec += t.tv_nsec / 1000000000;
    t.tv_nsec %= 1000000000;
    pthread_cond_timedwait(&r->wake, &r->lock, &t);
}

static void *worker(void *arg)
{
    struct reconciler *r = arg;
    pthread_mutex_lock(&r->lock);
    while (!r->stop) {
        struct item *it = r->n_heap ? r->heap[0] : NULL;
        if (it && it->due <= env_mono(r->env)) {
            if (r->n_heap > 1) /* there is work for another, or a wait */
                pthread_cond_signal(&r->wake);
            run(r, it);
        } else {
            wait_until(r, it ? it->due : NEVER);
        }
    }
    pthread_mutex_unlock(&r->lock);
    return NULL;
}

static void init_sync(struct reconciler *r)
{
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&r->wake, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_init(&r->lock, NULL);
}

struct reconciler *reconciler_new(const char *name, reconcile_fn *fn,
                                  void *self, const struct env *env,
                                  unsigned workers)
{
    struct reconciler *r = xcalloc(1, sizeof(*r));
    r->name = xstrdup(name);
    r->fn = fn;
    r->self = self;
    r->env = env;
    r->workers = xcalloc(workers, sizeof(*r->workers));
    init_sync(r);
    for (; r->n_workers < workers; r->n_workers++)
        if (pthread_create(&r->workers[r->n_workers], NULL, worker, r))
            abort();
    return r;
}

void reconciler_add(struct reconciler *r, const char *key)
{
    reconciler_add_after(r, key, 0);
}

void reconciler_add_after(struct reconciler *r, const char *key,
                          int64_t delay_us)
{
    pthread_mutex_lock(&r->lock);
    if (!r->stop)
        add_at(r, key, env_mono(r->env) + (delay_us > 0 ? delay_us : 0));
    pthread_mutex_unlock(&r->lock);
}

void reconciler_look(struct reconciler *r, reconcile_look_fn *fn, void *arg)
{
    pthread_mutex_lock(&r->lock);
    int64_t now = env_mono(r->env);
    bool more = true;
    for (size_t i = 0; i < r->n_heap && more; i++)
        if (r->heap[i]->due <= now)
            more = fn(arg, r->heap[i]->key);
    pthread_mutex_unlock(&r->lock);
}

void reconciler_stop(struct reconciler *r)
{
    if (!r)
        return;
    pthread_mutex_lock(&r->lock);
    r->stop = true;
    pthread_cond_broadcast(&r->wake);
    pthread_mutex_unlock(&r->lock);
    for (unsigned i = 0; i < r->n_workers; i++)
        pthread_join(r->workers[i], NULL);
    for (size_t i = 0; i < r->n_heap; i++) /* nothing runs: all wait */
        item_free(r->heap[i]);
    pthread_cond_destroy(&r->wake);
    pthread_mutex_destroy(&r->lock);
    free(r->heap);
    free(r->buckets);
    free(r->workers);
    free(r->name);
    free(r);
}

/* ---- step mode --------------------------------------------------------- */

static int by_order(const void *a, const void *b)
{
    const struct item *ia = *(struct item *const *)a;
    const struct item *ib = *(struct item *const *)b;
    return before(ia, ib) ? -1 : 1;
}

bool reconciler_step(struct reconciler *r, uint64_t pick)
{
    pthread_mutex_lock(&r->lock);
    int64_t now = env_mono(r->env);
    struct item **due = xmalloc(r->n_heap * sizeof(struct item *));
    size_t n = 0;
    for (size_t i = 0; i < r->n_heap; i++)
        if (r->heap[i]->due <= now)
            due[n++] = r->heap[i];
    qsort(due, n, sizeof(struct item *), by_order);
    struct item *it = n ? due[pick % n] : NULL;
    free(due);
    if (it)
        run(r, it);
    pthread_mutex_unlock(&r->lock);
    return it != NULL;
}

int64_t reconciler_next_due(struct reconciler *r)
{
    pthread_mutex_lock(&r->lock);
    int64_t due = r->n_heap ? r->heap[0]->due : INT64_MAX;
    pthread_mutex_unlock(&r->lock);
    return due;
}

struct reconciler_stats reconciler_stats(struct reconciler *r)
{
    pthread_mutex_lock(&r->lock);
    struct reconciler_stats stats = r->stats;
    stats.queued = r->n_items;
    pthread_mutex_unlock(&r->lock);
    return stats;
}
