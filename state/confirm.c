#include "state/confirm.h"

#include "common/alloc.h"

#include <pthread.h>

/* A transaction on its way; then until the cache has its revision. */
struct flight {
    struct flight *next, **link;
    struct confirm *c;
    uint64_t number;
    int64_t begun; /* monotonic */
};

struct confirm {
    struct store *store;
    struct cache *cache;
    const struct env *env;
    pthread_mutex_t lock; /* all below */
    struct confirm_wait *first, **last;
    struct flight *flights;
    unsigned n_flights;
    uint64_t launched; /* the number of the newest flight */
    int64_t again;     /* when another may start beside it */
    int64_t current;   /* the cache was, at that moment */
    bool silent;       /* the store does not answer */
    bool cancelled;
};

/* ---- flights ------------------------------------------------------------ */

static void flight_end(struct flight *f)
{
    *f->link = f->next;
    if (f->next)
        f->next->link = f->link;
    f->c->n_flights--;
    free(f);
}

static struct flight *flight_new(struct confirm *c)
{
    struct flight *f = xcalloc(1, sizeof(*f));
    f->c = c;
    f->number = ++c->launched;
    f->begun = env_mono(c->env);
    f->link = &c->flights;
    f->next = c->flights;
    if (f->next)
        f->next->link = &f->next;
    c->flights = f;
    c->n_flights++;
    c->again = f->begun + CONFIRM_AGAIN_US;
    return f;
}

static void answer(struct confirm_wait *due, bool current)
{
    for (struct confirm_wait *next; due; due = next) {
        next = due->next;
        due->fn(due, current);
    }
}

/* Takes all that wait, or those that flight `number` is good for, or those
 * whose patience is over.  They stand in the order of both. */
static struct confirm_wait *take(struct confirm *c, uint64_t number,
                                 int64_t now)
{
    struct confirm_wait *due = c->first, **at = &c->first;
    while (*at && ((*at)->need <= number || (*at)->until <= now))
        at = &(*at)->next;
    if (at == &c->first)
        return NULL;
    c->first = *at;
    if (!c->first)
        c->last = &c->first;
    *at = NULL;
    return due;
}

static void launch(struct confirm *c, struct flight *f);

/* The cache has what was in the store when the flight began, or later. */
static void landed(void *arg)
{
    struct flight *f = arg, *next = NULL;
    struct confirm *c = f->c;
    pthread_mutex_lock(&c->lock);
    if (f->begun > c->current)
        c->current = f->begun;
    c->silent = false;
    struct confirm_wait *due = take(c, f->number, INT64_MIN);
    flight_end(f);
    if (c->first && c->first->need > c->launched)
        next = flight_new(c);
    pthread_mutex_unlock(&c->lock);
    if (next)
        launch(c, next);
    answer(due, true);
}

static void answered(void *arg, const struct txn_result *result)
{
    struct flight *f = arg;
    struct confirm *c = f->c;
    if (result->status == TXN_COMMITTED) {
        cache_at(c->cache, result->revision, landed, f);
        return;
    }
    pthread_mutex_lock(&c->lock);
    flight_end(f);
    c->again = INT64_MIN; /* at the next tick */
    pthread_mutex_unlock(&c->lock);
}

/* Without the lock: the answer may come before this returns. */
static void launch(struct confirm *c, struct flight *f)
{
    _autotxn_ struct txn nothing = TXN_INIT;
    store_submit(c->store, &nothing, answered, f);
}

/* ---- asking ------------------------------------------------------------- */

static bool may_launch(const struct confirm *c)
{
    return (c->first || c->silent) && !c->cancelled &&
           c->n_flights < CONFIRM_FLIGHTS_MAX;
}

void confirm_ask(struct confirm *c, struct confirm_wait *w)
{
    int64_t now = env_mono(c->env);
    struct flight *f = NULL;
    pthread_mutex_lock(&c->lock);
    bool known = !c->silent && !c->cancelled;
    if (known) {
        w->next = NULL;
        w->need = c->launched + 1;
        w->until = now + CONFIRM_PATIENCE_US;
        *c->last = w;
        c->last = &w->next;
        if (!c->flights || (now >= c->again && may_launch(c)))
            f = flight_new(c);
    }
    pthread_mutex_unlock(&c->lock);
    if (f)
        launch(c, f);
    if (!known)
        w->fn(w, false);
}

void confirm_tick(struct confirm *c)
{
    int64_t now = env_mono(c->env);
    struct flight *f = NULL;
    pthread_mutex_lock(&c->lock);
    struct confirm_wait *due = take(c, 0, now), *rest = NULL;
    if (due) { /* what the others wait for is no nearer */
        c->silent = true;
        rest = take(c, UINT64_MAX, now);
    }
    if (may_launch(c) && now >= c->again)
        f = flight_new(c);
    pthread_mutex_unlock(&c->lock);
    if (f)
        launch(c, f);
    answer(due, false);
    answer(rest, false);
}

int64_t confirm_due(struct confirm *c)
{
    pthread_mutex_lock(&c->lock);
    int64_t due = c->first ? c->first->until : INT64_MAX;
    if (may_launch(c) && c->again < due)
        due = c->again;
    pthread_mutex_unlock(&c->lock);
    return due;
}

void confirm_cancel(struct confirm *c)
{
    pthread_mutex_lock(&c->lock);
    c->cancelled = true;
    struct confirm_wait *due = take(c, UINT64_MAX, INT64_MAX);
    pthread_mutex_unlock(&c->lock);
    answer(due, false);
}

int64_t confirm_age(struct confirm *c)
{
    pthread_mutex_lock(&c->lock);
    int64_t age = env_mono(c->env) - c->current;
    pthread_mutex_unlock(&c->lock);
    return age;
}

/* ---- life --------------------------------------------------------------- */

struct confirm *confirm_new(struct store *store, struct cache *cache,
                            const struct env *env)
{
    struct confirm *c = xcalloc(1, sizeof(*c));
    c->store = store;
    c->cache = cache;
    c->env = env;
    c->last = &c->first;
    c->current = env_mono(env);
    pthread_mutex_init(&c->lock, NULL);
    return c;
}

void confirm_free(struct confirm *c)
{
    if (!c)
        return;
    for (struct flight *f = c->flights, *next; f; f = next) {
        next = f->next;
        free(f);
    }
    pthread_mutex_destroy(&c->lock);
    free(c);
}
