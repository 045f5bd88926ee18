#include "sim_store.h"

#include "common/alloc.h"

#include <string.h>

/* One thing that the store says: events of a watch, or an answer. */
struct said {
    struct said *next;
    struct sim_watch *watch; /* NULL: an answer */
    enum watch_what what;
    int64_t revision;
    struct kv *events;
    size_t n;
    txn_done_fn *done;
    void *arg;
    struct txn_result result;
};

struct sent {
    struct sent *next;
    struct txn txn;
    txn_done_fn *done;
    void *arg;
};

struct sim_watch {
    struct sim_watch *next;
    struct sim_end *end;
    struct watch *inner;
    watch_fn *fn;
    void *arg;
    bool gone; /* ended by its owner */
    bool lost; /* cut off */
};

struct sim_end {
    struct store store;
    struct world *w;
    struct sim_node *n;
    const char *name;
    bool sync;
    struct said *said, **last_said;
    struct sent *sent, **last_sent;
    struct sim_watch *watches;
};

#define end_of(store_) container_of(store_, struct sim_end, store)

/* ---- the queue of what is said ---------------------------------------------
 */

static struct said *say(struct sim_end *e)
{
    struct said *s = xcalloc(1, sizeof(*s));
    sim_node_woken(e->n);
    *e->last_said = s;
    e->last_said = &s->next;
    return s;
}

static void said_free(struct said *s)
{
    for (size_t i = 0; i < s->n; i++) {
        free((char *)s->events[i].key);
        free((void *)s->events[i].value);
    }
    free(s->events);
    free(s);
}

static void on_events(void *arg, enum watch_what what, int64_t revision,
                      const struct kv *events, size_t n)
{
    struct sim_watch *sw = arg;
    struct said *s = say(sw->end);
    s->watch = sw;
    s->what = what;
    s->revision = revision;
    s->events = xcalloc(n, sizeof(*s->events));
    s->n = n;
    for (size_t i = 0; i < n; i++) {
        s->events[i] = events[i];
        s->events[i].key = xstrdup(events[i].key);
        if (!events[i].value)
            continue;
        s->events[i].value =
            memcpy(xmalloc(events[i].len + 1), events[i].value, events[i].len);
    }
}

bool sim_end_waiting(const struct sim_end *e)
{
    return e->said != NULL;
}

bool sim_end_deliver(struct sim_end *e)
{
    struct said *s = e->said;
    if (!s)
        return false;
    e->said = s->next;
    if (!e->said)
        e->last_said = &e->said;
    if (s->watch && !s->watch->gone)
        s->watch->fn(s->watch->arg, s->what, s->revision, s->events, s->n);
    else if (s->done)
        s->done(s->arg, &s->result);
    said_free(s);
    return true;
}

static void deliver_all(struct sim_end *e)
{
    while (sim_end_deliver(e))
        ;
}

/* ---- transactions
 * ------------------------------------------------------------ */

static void keep_result(void *arg, const struct txn_result *result)
{
    *(struct txn_result *)arg = *result;
}

static struct txn_result unknown(void)
{
    struct error err;
    error_set(&err, ERR_UNKNOWN, "simulated: the answer got lost");
    return txn_failed(TXN_UNKNOWN, &err);
}

static struct txn_result carry_out(struct sim_end *e, struct txn *t)
{
    struct txn_result result = { 0 };
    char key[80];
    bool asks = txn_empty(t); /* for the revision of now */
    snprintf(key, sizeof(key), "%s", t->n_writes ? t->writes[0].key : "-");
    store_submit(e->w->store, t, keep_result, &result);
    e->w->stats.commits += result.status == TXN_COMMITTED && !asks;
    if (!asks && strncmp(key, "node/", 5) != 0) /* signs of life say nothing */
        node_event(e->n, "%s txn %s.. -> %s %lld", e->name, key,
                   result.status == TXN_COMMITTED  ? "committed"
                   : result.status == TXN_CONFLICT ? "conflict"
                                                   : "failed",
                   (long long)result.revision);
    return result;
}

/* What chance makes of a transaction before it is carried out. */
static bool lost_before(struct sim_end *e, struct txn *t,
                        struct txn_result *result)
{
    struct world *w = e->w;
    struct error err;
    if (!w->chaos || !chance_permille(w, 25))
        return false;
    w->stats.faults++;
    switch (chance(w, 3)) {
    case 0:
        *result = unknown();
        break;
    case 1:
        error_set(&err, ERR_UNAVAILABLE, "simulated: the store is away");
        *result = txn_failed(TXN_FAILED, &err);
        break;
    default:
        if (t->n_compares == 0)
            return false;
        *result = txn_conflict(&t->compares[0], cache_revision(w->truth));
    }
    node_event(e->n, "%s txn lost before: %s", e->name, result->err.text);
    txn_reset(t);
    return true;
}

static bool lost_after(struct sim_end *e, struct txn_result *result)
{
    if (!e->w->chaos || !chance_permille(e->w, 15))
        return false;
    e->w->stats.faults++;
    node_event(e->n, "%s txn done, answer lost", e->name);
    *result = unknown();
    return true;
}

static bool reaches_store(struct sim_end *e, struct error *err)
{
    return !(sim_node_cut(e->n) & CUT_STORE) ||
           error_set(err, ERR_UNAVAILABLE, "simulated: %s is cut off",
                     e->n->name);
}

/* Cut off: not sent, or sent and never answered. */
static struct txn_result cut_off(struct sim_end *e, struct txn *t)
{
    struct error err;
    if (chance_percent(e->w, 20)) {
        carry_out(e, t);
        return unknown();
    }
    bool sent = chance_percent(e->w, 50);
    reaches_store(e, &err);
    txn_reset(t);
    return sent ? unknown() : txn_failed(TXN_FAILED, &err);
}

static void submit_sync(struct sim_end *e, struct txn *t, txn_done_fn *done,
                        void *arg)
{
    struct txn_result result;
    struct error err = { 0 };
    if (!effect_begin(e->n, "commit",
                      t->n_writes ? t->writes[0].key : "nothing", &err)) {
        txn_reset(t);
        result = txn_failed(TXN_UNKNOWN, &err);
        done(arg, &result);
        return;
    }
    if (sim_node_cut(e->n) & CUT_STORE) {
        result = cut_off(e, t);
    } else if (!lost_before(e, t, &result)) {
        result = carry_out(e, t);
        /* After its death nobody hears of what was done. */
        if (!effect_end(e->n, &err))
            result = txn_failed(TXN_UNKNOWN, &err);
        else if (!lost_after(e, &result))
            deliver_all(e);
    }
    done(arg, &result);
}

static void end_submit(struct store *store, struct txn *t, txn_done_fn *done,
                       void *arg)
{
    struct sim_end *e = end_of(store);
    if (e->sync) {
        submit_sync(e, t, done, arg);
        return;
    }
    struct sent *s = xcalloc(1, sizeof(*s));
    sim_node_woken(e->n);
    s->txn = *t;
    *t = TXN_INIT;
    s->done = done;
    s->arg = arg;
    *e->last_sent = s;
    e->last_sent = &s->next;
}

static struct sent *pop_sent(struct sim_end *e)
{
    struct sent *s = e->sent;
    if (!s)
        return NULL;
    e->sent = s->next;
    if (!e->sent)
        e->last_sent = &e->sent;
    return s;
}

bool sim_end_sent(const struct sim_end *e)
{
    return e->sent != NULL;
}

bool sim_end_take(struct sim_end *e)
{
    struct sent *s = pop_sent(e);
    struct txn_result result;
    if (!s)
        return false;
    if (!lost_before(e, &s->txn, &result)) {
        result = carry_out(e, &s->txn);
        lost_after(e, &result);
    }
    struct said *answer = say(e);
    answer->done = s->done;
    answer->arg = s->arg;
    answer->result = result;
    txn_reset(&s->txn);
    free(s);
    return true;
}

/* ---- leases ----------------------------------------------------------------
 */

/* A call that is answered at once, or not: then it may have been done. */
static bool lease_begin(struct sim_end *e, const char *what, struct error *err)
{
    return effect_begin(e->n, what, "lease", err) && reaches_store(e, err);
}

static bool end_lease_grant(struct store *store, int64_t ttl_s, int64_t *lease,
                            struct error *err)
{
    struct sim_end *e = end_of(store);
    return lease_begin(e, "grants", err) &&
           store_lease_grant(e->w->store, ttl_s, lease, err) &&
           effect_end(e->n, err);
}

static bool end_lease_keepalive(struct store *store, int64_t lease,
                                struct error *err)
{
    struct sim_end *e = end_of(store);
    return lease_begin(e, "keeps", err) &&
           store_lease_keepalive(e->w->store, lease, err) &&
           effect_end(e->n, err);
}

static bool end_lease_revoke(struct store *store, int64_t lease,
                             struct error *err)
{
    struct sim_end *e = end_of(store);
    return lease_begin(e, "revokes", err) &&
           store_lease_revoke(e->w->store, lease, err) && effect_end(e->n, err);
}

/* ---- the rest of the table
 * ----------------------------------------------------- */

static bool end_range(struct store *store, const char *prefix, range_fn *fn,
                      void *arg, int64_t *revision, struct error *err)
{
    struct sim_end *e = end_of(store);
    return reaches_store(e, err) &&
           store_range(e->w->store, prefix, fn, arg, revision, err);
}

static struct watch *end_watch(struct store *store, const char *prefix,
                               int64_t from, watch_fn *fn, void *arg,
                               struct error *err)
{
    struct sim_end *e = end_of(store);
    if (!reaches_store(e, err))
        return NULL;
    struct sim_watch *sw = xcalloc(1, sizeof(*sw));
    sw->end = e;
    sw->fn = fn;
    sw->arg = arg;
    sw->next = e->watches;
    e->watches = sw;
    sw->inner = store_watch(e->w->store, prefix, from, on_events, sw, err);
    return (struct watch *)(void *)sw;
}

/* What is queued for it stays, and is dropped when its turn comes. */
static void end_unwatch(struct store *store, struct watch *watch)
{
    struct sim_watch *sw = (struct sim_watch *)(void *)watch;
    if (!sw->gone && !sw->lost)
        store_unwatch(end_of(store)->w->store, sw->inner);
    sw->gone = true;
}

/* Takes all events out of the queue; answers and ends of watches stay. */
static void drop_events(struct sim_end *e)
{
    for (struct said **at = &e->said, *s; (s = *at);) {
        if (!s->watch || s->what != WATCH_EVENTS) {
            at = &s->next;
            continue;
        }
        *at = s->next;
        said_free(s);
    }
    e->last_said = &e->said;
    while (*e->last_said)
        e->last_said = &(*e->last_said)->next;
}

void sim_end_lose(struct sim_end *e)
{
    bool live = false;
    for (struct sim_watch *sw = e->watches; sw; sw = sw->next)
        live |= !sw->gone && !sw->lost;
    if (!live)
        return;
    node_event(e->n, "%s loses its watch", e->name);
    drop_events(e);
    for (struct sim_watch *sw = e->watches; sw; sw = sw->next) {
        if (sw->gone || sw->lost)
            continue;
        store_unwatch(e->w->store, sw->inner);
        sw->lost = true;
        struct said *s = say(e);
        s->watch = sw;
        s->what = WATCH_LOST;
    }
}

static bool end_compact(struct store *store, int64_t revision,
                        struct error *err)
{
    struct sim_end *e = end_of(store);
    return effect_begin(e->n, "compacts", "the store", err) &&
           reaches_store(e, err) && store_compact(e->w->store, revision, err) &&
           effect_end(e->n, err);
}

static const struct store_ops end_ops = {
    .range = end_range,
    .submit = end_submit,
    .watch = end_watch,
    .unwatch = end_unwatch,
    .compact = end_compact,
    .lease_grant = end_lease_grant,
    .lease_keepalive = end_lease_keepalive,
    .lease_revoke = end_lease_revoke,
};

struct sim_end *sim_end_open(struct sim_node *n, const char *name, bool sync)
{
    struct sim_end *e = xcalloc(1, sizeof(*e));
    e->store.ops = &end_ops;
    e->w = n->w;
    e->n = n;
    e->name = name;
    e->sync = sync;
    e->last_said = &e->said;
    e->last_sent = &e->sent;
    return e;
}

struct store *sim_end_store(struct sim_end *e)
{
    return &e->store;
}

/* Some of what a dead process has sent is still on its way. */
static void drain_sent(struct sim_end *e)
{
    bool arrives = true;
    for (struct sent *s; (s = pop_sent(e)); free(s)) {
        arrives = arrives && chance_percent(e->w, 60);
        if (arrives)
            carry_out(e, &s->txn);
        txn_reset(&s->txn);
    }
}

void sim_end_close(struct sim_end *e)
{
    drain_sent(e);
    for (struct sim_watch *sw = e->watches, *next; sw; sw = next) {
        next = sw->next;
        end_unwatch(&e->store, (struct watch *)(void *)sw);
        free(sw);
    }
    for (struct said *s = e->said, *next; s; s = next) {
        next = s->next;
        said_free(s);
    }
    free(e);
}
