#include "state/switch.h"

#include "common/alloc.h"
#include "state/watchers.h"

struct held { /* a txn that waits */
    struct held *next;
    struct txn txn;
    txn_done_fn *done;
    void *arg;
};

struct flight { /* a txn in the store behind */
    struct sw *s;
    txn_done_fn *done;
    void *arg;
};

struct line { /* a watch and the one behind it */
    struct line *next;
    struct sw *s;
    struct watch *watch;
    uint64_t serial;
    struct watch *behind; /* NULL: ended with its store */
};

struct sw {
    struct store store;
    struct watchers watchers;
    pthread_mutex_t lock; /* all below */
    pthread_cond_t change;
    struct store *behind;
    unsigned writing, reading;
    bool holding;
    struct held *first, **last;
    struct line *lines;
    bool exchanging;
    struct line *dead; /* ended meanwhile: the old store may still use them */
};

#define sw_of(store_) container_of(store_, struct sw, store)

/* ---- transactions ------------------------------------------------------ */

static void on_done(void *arg, const struct txn_result *r)
{
    struct flight *f = arg;
    struct sw *s = f->s;
    f->done(f->arg, r);
    free(f);
    pthread_mutex_lock(&s->lock);
    s->writing--;
    pthread_cond_broadcast(&s->change);
    pthread_mutex_unlock(&s->lock);
}

static void submit_behind(struct sw *s, struct txn *t, txn_done_fn *done,
                          void *arg)
{
    struct flight *f = xcalloc(1, sizeof(*f));
    *f = (struct flight){ s, done, arg };
    store_submit(s->behind, t, on_done, f);
}

static void sw_submit(struct store *store, struct txn *t, txn_done_fn *done,
                      void *arg)
{
    struct sw *s = sw_of(store);
    pthread_mutex_lock(&s->lock);
    if (s->holding) {
        struct held *h = xcalloc(1, sizeof(*h));
        *h = (struct held){ NULL, *t, done, arg };
        *t = TXN_INIT;
        *s->last = h;
        s->last = &h->next;
        pthread_mutex_unlock(&s->lock);
        return;
    }
    s->writing++; /* keeps `behind` where it is */
    pthread_mutex_unlock(&s->lock);
    submit_behind(s, t, done, arg);
}

/* ---- other calls: `reading` keeps the store behind open -------------------
 */

static struct store *enter(struct sw *s, bool waits)
{
    pthread_mutex_lock(&s->lock);
    while (waits && s->holding)
        pthread_cond_wait(&s->change, &s->lock);
    s->reading++;
    struct store *behind = s->behind;
    pthread_mutex_unlock(&s->lock);
    return behind;
}

static bool leave(struct sw *s, bool result)
{
    pthread_mutex_lock(&s->lock);
    s->reading--;
    pthread_cond_broadcast(&s->change);
    pthread_mutex_unlock(&s->lock);
    return result;
}

static bool sw_range(struct store *store, const char *prefix, range_fn *fn,
                     void *arg, int64_t *revision, struct error *err)
{
    struct sw *s = sw_of(store);
    struct store *behind = enter(s, false);
    return leave(s, store_range(behind, prefix, fn, arg, revision, err));
}

static bool sw_grant(struct store *store, int64_t ttl_s, int64_t *lease,
                     struct error *err)
{
    struct sw *s = sw_of(store);
    struct store *behind = enter(s, true);
    return leave(s, store_lease_grant(behind, ttl_s, lease, err));
}

static bool sw_keepalive(struct store *store, int64_t lease, struct error *err)
{
    struct sw *s = sw_of(store);
    struct store *behind = enter(s, true);
    return leave(s, store_lease_keepalive(behind, lease, err));
}

static bool sw_revoke(struct store *store, int64_t lease, struct error *err)
{
    struct sw *s = sw_of(store);
    struct store *behind = enter(s, true);
    return leave(s, store_lease_revoke(behind, lease, err));
}

static bool sw_compact(struct store *store, int64_t revision, struct error *err)
{
    struct sw *s = sw_of(store);
    struct store *behind = enter(s, true);
    return leave(s, store_compact(behind, revision, err));
}

/* ---- watches ----------------------------------------------------------- */

static void on_events(void *arg, enum watch_what what, int64_t revision,
                      const struct kv *events, size_t n)
{
    struct line *l = arg;
    struct sw *s = l->s;
    struct watch *w = watchers_hold(&s->watchers, l->serial);
    if (!w)
        return;
    watch_tell(w, what, revision, events, n);
    watchers_release(&s->watchers, w, false);
}

static void line_add(struct sw *s, struct line *l)
{
    pthread_mutex_lock(&s->lock);
    l->next = s->lines;
    s->lines = l;
    pthread_mutex_unlock(&s->lock);
}

static struct line *line_take(struct sw *s, const struct watch *w)
{
    pthread_mutex_lock(&s->lock);
    struct line **at = &s->lines;
    while ((*at)->watch != w)
        at = &(*at)->next;
    struct line *l = *at;
    *at = l->next;
    pthread_mutex_unlock(&s->lock);
    return l;
}

static struct watch *sw_watch(struct store *store, const char *prefix,
                              int64_t from, watch_fn *fn, void *arg,
                              struct error *err)
{
    struct sw *s = sw_of(store);
    struct line *l = xcalloc(1, sizeof(*l));
    l->s = s;
    struct store *behind = enter(s, false);
    l->watch = watchers_add(&s->watchers, prefix, from, fn, arg);
    l->serial = l->watch->serial;
    l->behind = store_watch(behind, prefix, from, on_events, l, err);
    struct watch *w = l->watch;
    if (l->behind) {
        line_add(s, l);
    } else {
        watchers_remove(&s->watchers, w);
        free(l);
        w = NULL;
    }
    leave(s, true);
    return w;
}

/* `reading` keeps an exchange from closing the store meanwhile; one that has
 * taken the watch behind away already has no more use for the line. */
static void sw_unwatch(struct store *store, struct watch *w)
{
    struct sw *s = sw_of(store);
    struct store *behind = enter(s, false);
    struct line *l = line_take(s, w);
    store_unwatch(behind, l->behind);
    watchers_remove(&s->watchers, w);
    pthread_mutex_lock(&s->lock);
    if (s->exchanging) {
        l->next = s->dead;
        s->dead = l;
        l = NULL;
    }
    pthread_mutex_unlock(&s->lock);
    free(l);
    leave(s, true);
}

/* ---- exchanging -------------------------------------------------------- */

void store_switch_hold(struct store *store)
{
    struct sw *s = sw_of(store);
    pthread_mutex_lock(&s->lock);
    s->holding = true;
    while (s->writing)
        pthread_cond_wait(&s->change, &s->lock);
    pthread_mutex_unlock(&s->lock);
}

void store_switch_release(struct store *store)
{
    struct sw *s = sw_of(store);
    struct held *h;
    pthread_mutex_lock(&s->lock);
    while ((h = s->first)) { /* also what comes meanwhile: order is kept */
        s->first = h->next;
        if (!s->first)
            s->last = &s->first;
        s->writing++;
        pthread_mutex_unlock(&s->lock);
        submit_behind(s, &h->txn, h->done, h->arg);
        free(h);
        pthread_mutex_lock(&s->lock);
    }
    s->holding = false;
    pthread_cond_broadcast(&s->change);
    pthread_mutex_unlock(&s->lock);
}

/* Ends one watch that is left behind. */
static void end_one(struct sw *s, struct store *old, struct watch *behind,
                    uint64_t serial)
{
    store_unwatch(old, behind);
    struct watch *w = watchers_hold(&s->watchers, serial);
    if (!w)
        return;
    watch_tell(w, WATCH_LOST, 0, NULL, 0);
    watchers_release(&s->watchers, w, false);
}

static void bury(struct sw *s)
{
    pthread_mutex_lock(&s->lock);
    for (struct line *l = s->dead, *next; l; l = next) {
        next = l->next;
        free(l);
    }
    s->dead = NULL;
    s->exchanging = false;
    pthread_mutex_unlock(&s->lock);
}

void store_switch_exchange(struct store *store, struct store *fresh)
{
    struct sw *s = sw_of(store);
    pthread_mutex_lock(&s->lock);
    while (s->reading) /* also: watches that are just made or ended */
        pthread_cond_wait(&s->change, &s->lock);
    struct store *old = s->behind;
    s->behind = fresh;
    s->exchanging = true;
    size_t n = 0;
    for (const struct line *l = s->lines; l; l = l->next)
        n++;
    struct line *left = xcalloc(n ? n : 1, sizeof(*left));
    n = 0;
    for (struct line *l = s->lines; l; l = l->next) {
        left[n++] = *l;
        l->behind = NULL;
    }
    pthread_mutex_unlock(&s->lock);
    for (size_t i = 0; i < n; i++)
        end_one(s, old, left[i].behind, left[i].serial);
    free(left);
    store_close(old);
    bury(s);
    store_switch_release(store);
}

/* ---- the table --------------------------------------------------------- */

static void sw_close(struct store *store)
{
    struct sw *s = sw_of(store);
    store_close(s->behind);
    watchers_free(&s->watchers);
    pthread_cond_destroy(&s->change);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

static const struct store_ops switch_ops = {
    .range = sw_range,
    .submit = sw_submit,
    .watch = sw_watch,
    .unwatch = sw_unwatch,
    .lease_grant = sw_grant,
    .lease_keepalive = sw_keepalive,
    .lease_revoke = sw_revoke,
    .compact = sw_compact,
    .close = sw_close,
};

struct store *store_switch_open(struct store *behind)
{
    struct sw *s = xcalloc(1, sizeof(*s));
    s->store.ops = &switch_ops;
    s->behind = behind;
    s->last = &s->first;
    watchers_init(&s->watchers);
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->change, NULL);
    return &s->store;
}

struct store *store_switch_behind(struct store *store)
{
    struct sw *s = sw_of(store);
    pthread_mutex_lock(&s->lock);
    struct store *behind = s->behind;
    pthread_mutex_unlock(&s->lock);
    return behind;
}
