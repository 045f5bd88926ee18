/*
 * The memory driver: a persistent map of refcounted entries, a ring of the
 * newest changes for replay, and a queue of jobs.
 *
 * Whoever calls puts its job into the queue.  If nobody works on the queue
 * it does so itself until the queue is empty; else the one who does gets to
 * it.  So call-backs come in revision order, never two at a time, and one of
 * them that submits only lengthens the queue it is called from.
 */
#include "state/store.h"

#include "common/alloc.h"
#include "common/env.h"
#include "state/pmap.h"
#include "state/watchers.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <string.h>

struct entry { /* one version of one key; immutable */
    atomic_uint refs;
    int64_t create_rev, mod_rev, lease;
    size_t len;
    bool deleted;
    char *value;
    char key[];
};

struct change { /* what one revision did */
    struct entry **entries;
    size_t n;
};

struct lease {
    struct lease *next;
    int64_t id, ttl_us, deadline;
};

enum job_type { JOB_TXN, JOB_WATCH, JOB_REVOKE, JOB_COMPACT };

struct job {
    struct job *next;
    enum job_type type;
    struct txn txn;
    txn_done_fn *done;
    void *arg;
    uint64_t watch; /* serial */
    int64_t number; /* REVOKE: the lease; COMPACT: the revision */
};

struct memory {
    struct store store;
    const struct env *env;
    struct watchers watchers;
    pthread_mutex_t lock; /* all below */
    struct pmap map;
    int64_t revision;
    int64_t compacted; /* the newest revision that is not in the log */
    int64_t last_lease;
    struct lease *leases;
    struct job *first, **last;
    bool working;                        /* somebody works on the queue */
    struct change log[STORE_MEMORY_LOG]; /* of revision r at r % size */
};

/* ---- entries and the log ------------------------------------------------ */

static void *entry_ref(const void *value)
{
    struct entry *e = (struct entry *)value;
    atomic_fetch_add_explicit(&e->refs, 1, memory_order_relaxed);
    return e;
}

static void entry_unref(const void *value)
{
    struct entry *e = (struct entry *)value;
    if (atomic_fetch_sub_explicit(&e->refs, 1, memory_order_acq_rel) == 1)
        free(e);
}

static const struct pmap_type entry_type = { entry_ref, entry_unref };

static struct entry *entry_new(const char *key, const void *value, size_t len)
{
    size_t key_size = strlen(key) + 1;
    struct entry *e = xmalloc(sizeof(*e) + key_size + len);
    *e = (struct entry){ .len = len, .deleted = !value };
    atomic_init(&e->refs, 1);
    memcpy(e->key, key, key_size);
    e->value = e->key + key_size;
    if (value && len)
        memcpy(e->value, value, len);
    return e;
}

static struct kv entry_kv(const struct entry *e)
{
    return (struct kv){
        .key = e->key,
        .value = e->deleted ? NULL : e->value,
        .len = e->len,
        .create_rev = e->create_rev,
        .mod_rev = e->mod_rev,
        .lease = e->lease,
    };
}

static struct change *log_at(struct memory *m, int64_t revision)
{
    return &m->log[revision % STORE_MEMORY_LOG];
}

static void log_forget(struct memory *m, int64_t upto)
{
    while (m->compacted < upto) {
        struct change *c = log_at(m, ++m->compacted);
        for (size_t i = 0; i < c->n; i++)
            entry_unref(c->entries[i]);
        free(c->entries);
        *c = (struct change){ 0 };
    }
}

/* ---- changing (with the lock held) -------------------------------------- */

/* One write at revision m->revision + 1, into the map and into c. */
static void apply_write(struct memory *m, const struct write *w,
                        struct change *c)
{
    const struct entry *old = pmap_get(&m->map, w->key);
    if (!old && !w->value)
        return;
    struct entry *e = entry_new(w->key, w->value, w->len);
    e->mod_rev = m->revision + 1;
    e->create_rev = old ? old->create_rev : e->mod_rev;
    e->lease = w->lease;
    if (w->value)
        pmap_put(&m->map, e->key, NULL, e);
    else
        pmap_remove(&m->map, e->key, NULL);
    c->entries = xrealloc(c->entries, (c->n + 1) * sizeof(struct entry *));
    c->entries[c->n++] = e;
}

/* Makes c, if it is a change at all, the next revision; lends it out as an
 * array of events of which the caller frees only the array. */
static struct kv *seal(struct memory *m, struct change *c)
{
    if (!c->n)
        return NULL;
    if (m->revision + 1 - m->compacted > STORE_MEMORY_LOG)
        log_forget(m, m->compacted + 1);
    *log_at(m, ++m->revision) = *c;
    struct kv *events = xmalloc(c->n * sizeof(*events));
    for (size_t i = 0; i < c->n; i++)
        events[i] = entry_kv(c->entries[i]);
    return events;
}

static struct lease *lease_find(struct memory *m, int64_t id)
{
    struct lease *l = m->leases;
    while (l && l->id != id)
        l = l->next;
    return l;
}

static bool no_lease(struct error *err, int64_t id)
{
    return error_set(err, ERR_NOT_FOUND, "there is no lease %" PRId64, id);
}

static struct txn_result apply_txn(struct memory *m, const struct txn *t,
                                   struct change *c)
{
    struct error err;
    for (size_t i = 0; i < t->n_compares; i++) {
        const struct entry *e = pmap_get(&m->map, t->compares[i].key);
        if (!compare_holds(&t->compares[i], e ? e->mod_rev : 0))
            return txn_conflict(&t->compares[i], m->revision);
    }
    for (size_t i = 0; i < t->n_writes; i++) {
        int64_t lease = t->writes[i].lease;
        if (lease && !lease_find(m, lease)) {
            no_lease(&err, lease);
            return txn_failed(TXN_FAILED, &err);
        }
    }
    for (size_t i = 0; i < t->n_writes; i++)
        apply_write(m, &t->writes[i], c);
    return txn_committed(m->revision + (c->n > 0));
}

static void apply_revoke(struct memory *m, int64_t lease, struct change *c)
{
    struct pmap before = pmap_copy(&m->map);
    struct pmap_iter it;
    const struct entry *e;
    pmap_seek(&it, &before, NULL, NULL, false);
    while ((e = pmap_next(&it, NULL)))
        if (e->lease == lease)
            apply_write(m, &(struct write){ .key = (char *)e->key }, c);
    pmap_clear(&before);
}

/* ---- the queue --------------------------------------------------------- */

static void run_change(struct memory *m, struct job *j)
{
    struct change c = { 0 };
    struct txn_result result = { 0 };
    pthread_mutex_lock(&m->lock);
    if (j->type == JOB_TXN)
        result = apply_txn(m, &j->txn, &c);
    else
        apply_revoke(m, j->number, &c);
    _autofree_ struct kv *events = seal(m, &c);
    int64_t revision = m->revision;
    pthread_mutex_unlock(&m->lock);
    /* The log keeps the entries: only later jobs can push them out. */
    if (events)
        watchers_tell(&m->watchers, WATCH_EVENTS, revision, events, c.n);
    if (j->done)
        j->done(j->arg, &result);
}

/* The events of a revision of the log, which stay valid while the caller
 * works on the queue; NULL once past the end. */
static struct kv *log_events(struct memory *m, int64_t revision, size_t *n)
{
    struct kv *events = NULL;
    pthread_mutex_lock(&m->lock);
    if (revision <= m->revision) {
        struct change *c = log_at(m, revision);
        *n = c->n;
        events = xmalloc(c->n * sizeof(*events));
        for (size_t i = 0; i < c->n; i++)
            events[i] = entry_kv(c->entries[i]);
    }
    pthread_mutex_unlock(&m->lock);
    return events;
}

static void run_watch(struct memory *m, struct job *j)
{
    struct watch *w = watchers_hold(&m->watchers, j->watch);
    if (!w)
        return;
    pthread_mutex_lock(&m->lock);
    int64_t compacted = m->compacted;
    pthread_mutex_unlock(&m->lock);
    if (w->from <= compacted) {
        watch_tell(w, WATCH_COMPACTED, compacted, NULL, 0);
        watchers_release(&m->watchers, w, false);
        return;
    }
    struct kv *events;
    size_t n;
    for (int64_t r = w->from; (events = log_events(m, r, &n)); r++) {
        watch_tell(w, WATCH_EVENTS, r, events, n);
        free(events);
    }
    watchers_release(&m->watchers, w, true);
}

static void run_compact(struct memory *m, struct job *j)
{
    pthread_mutex_lock(&m->lock);
    log_forget(m, j->number < m->revision ? j->number : m->revision);
    pthread_mutex_unlock(&m->lock);
}

static void run(struct memory *m, struct job *j)
{
    static void (*const runs[])(struct memory *, struct job *) = {
        [JOB_TXN] = run_change,
        [JOB_WATCH] = run_watch,
        [JOB_REVOKE] = run_change,
        [JOB_COMPACT] = run_compact,
    };
    runs[j->type](m, j);
    txn_reset(&j->txn);
    free(j);
}

static void enqueue(struct memory *m, struct job *j)
{
    pthread_mutex_lock(&m->lock);
    *m->last = j;
    m->last = &j->next;
    bool mine = !m->working;
    m->working = true;
    while (mine && m->first) {
        struct job *first = m->first;
        m->first = first->next;
        if (!m->first)
            m->last = &m->first;
        pthread_mutex_unlock(&m->lock);
        run(m, first);
        pthread_mutex_lock(&m->lock);
    }
    if (mine)
        m->working = false;
    pthread_mutex_unlock(&m->lock);
}

static struct job *job_new(enum job_type type)
{
    struct job *j = xcalloc(1, sizeof(*j));
    j->type = type;
    return j;
}

/* ---- the table --------------------------------------------------------- */

#define memory_of(store_) container_of(store_, struct memory, store)

static bool mem_range(struct store *s, const char *prefix, range_fn *fn,
                      void *arg, int64_t *revision, struct error *err)
{
    struct memory *m = memory_of(s);
    pthread_mutex_lock(&m->lock);
    struct pmap map = pmap_copy(&m->map);
    *revision = m->revision;
    pthread_mutex_unlock(&m->lock);

    size_t len = strlen(prefix);
    struct pmap_iter it;
    const struct entry *e;
    pmap_seek(&it, &map, prefix, NULL, false);
    while ((e = pmap_next(&it, NULL)) && strncmp(e->key, prefix, len) == 0) {
        struct kv kv = entry_kv(e);
        if (!fn(arg, &kv))
            break;
    }
    pmap_clear(&map);
    return true;
}

static void mem_submit(struct store *s, struct txn *t, txn_done_fn *done,
                       void *arg)
{
    struct job *j = job_new(JOB_TXN);
    j->txn = *t;
    *t = TXN_INIT;
    j->done = done;
    j->arg = arg;
    enqueue(memory_of(s), j);
}

static struct watch *mem_watch(struct store *s, const char *prefix,
                               int64_t from, watch_fn *fn, void *arg,
                               struct error *err)
{
    struct memory *m = memory_of(s);
    if (!from) {
        pthread_mutex_lock(&m->lock);
        from = m->revision + 1;
        pthread_mutex_unlock(&m->lock);
    }
    struct job *j = job_new(JOB_WATCH);
    struct watch *w = watchers_add(&m->watchers, prefix, from, fn, arg);
    j->watch = w->serial;
    enqueue(m, j);
    return w;
}

static void mem_unwatch(struct store *s, struct watch *w)
{
    watchers_remove(&memory_of(s)->watchers, w);
}

static bool mem_lease_grant(struct store *s, int64_t ttl_s, int64_t *lease,
                            struct error *err)
{
    struct memory *m = memory_of(s);
    struct lease *l = xcalloc(1, sizeof(*l));
    l->ttl_us = ttl_s * SECOND_US;
    l->deadline = env_mono(m->env) + l->ttl_us;
    pthread_mutex_lock(&m->lock);
    *lease = l->id = ++m->last_lease;
    l->next = m->leases;
    m->leases = l;
    pthread_mutex_unlock(&m->lock);
    return true;
}

static bool mem_lease_keepalive(struct store *s, int64_t lease,
                                struct error *err)
{
    struct memory *m = memory_of(s);
    pthread_mutex_lock(&m->lock);
    struct lease *l = lease_find(m, lease);
    if (l)
        l->deadline = env_mono(m->env) + l->ttl_us;
    pthread_mutex_unlock(&m->lock);
    return l ? true : no_lease(err, lease);
}

/* Takes the lease out, so that no later job can use it. */
static bool lease_drop(struct memory *m, int64_t id)
{
    pthread_mutex_lock(&m->lock);
    struct lease **at = &m->leases;
    while (*at && (*at)->id != id)
        at = &(*at)->next;
    struct lease *l = *at;
    if (l)
        *at = l->next;
    pthread_mutex_unlock(&m->lock);
    free(l);
    return l != NULL;
}

static bool mem_lease_revoke(struct store *s, int64_t lease, struct error *err)
{
    struct memory *m = memory_of(s);
    if (!lease_drop(m, lease))
        return no_lease(err, lease);
    struct job *j = job_new(JOB_REVOKE);
    j->number = lease;
    enqueue(m, j);
    return true;
}

static bool mem_compact(struct store *s, int64_t revision, struct error *err)
{
    struct job *j = job_new(JOB_COMPACT);
    j->number = revision;
    enqueue(memory_of(s), j);
    return true;
}

static void mem_close(struct store *s)
{
    struct memory *m = memory_of(s);
    log_forget(m, m->revision);
    pmap_clear(&m->map);
    for (struct lease *l = m->leases, *next; l; l = next) {
        next = l->next;
        free(l);
    }
    watchers_free(&m->watchers);
    pthread_mutex_destroy(&m->lock);
    free(m);
}

static const struct store_ops memory_ops = {
    .range = mem_range,
    .submit = mem_submit,
    .watch = mem_watch,
    .unwatch = mem_unwatch,
    .lease_grant = mem_lease_grant,
    .lease_keepalive = mem_lease_keepalive,
    .lease_revoke = mem_lease_revoke,
    .compact = mem_compact,
    .close = mem_close,
};

struct store *store_memory_open(const struct env *env)
{
    struct memory *m = xcalloc(1, sizeof(*m));
    m->store.ops = &memory_ops;
    m->env = env;
    m->map = PMAP_INIT(&entry_type);
    m->last = &m->first;
    watchers_init(&m->watchers);
    pthread_mutex_init(&m->lock, NULL);
    return &m->store;
}

/* The lease that ended first, or 0. */
static int64_t lease_ended(struct memory *m)
{
    int64_t now = env_mono(m->env), id = 0, first = now;
    pthread_mutex_lock(&m->lock);
    for (const struct lease *l = m->leases; l; l = l->next) {
        if (l->deadline > first || (l->deadline == first && id && l->id > id))
            continue;
        first = l->deadline;
        id = l->id;
    }
    pthread_mutex_unlock(&m->lock);
    return id;
}

void store_memory_tick(struct store *s)
{
    for (int64_t id; (id = lease_ended(memory_of(s)));)
        mem_lease_revoke(s, id, NULL);
}
