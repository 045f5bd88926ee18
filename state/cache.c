#include "state/cache.h"

#include "common/log.h"

#include <inttypes.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

#define RELIST_PAUSE_MS 100

/* A snapshot is an array of maps: for each kind one by id and one for each
 * of its indexes, kind after kind. */
struct snapshot {
    atomic_uint refs;
    int64_t revision;
    const struct cache *cache;
    int64_t *changed; /* of each kind; behind the maps */
    struct pmap maps[];
};

struct listener {
    cache_listener_fn *fn;
    void *arg;
};

struct waiter {
    struct waiter *next;
    int64_t revision;
    void (*fn)(void *);
    void *arg;
};

struct cache {
    const struct kind *const *kinds;
    size_t n_kinds, n_maps;
    size_t *first; /* of kind number k: where its maps begin */
    struct listener *listeners;
    size_t n_listeners;
    struct store *store;
    struct watch *watch;

    pthread_mutex_t lock; /* all below */
    struct snapshot *current;
    struct waiter *waiters;

    /* The relister: started by the first loss. */
    pthread_cond_t wake;
    pthread_t relister;
    bool has_relister, lost, stop;
    bool manual;   /* the owner relists */
    bool starting; /* store_watch runs: `watch` is not set yet */
};

struct change { /* references of its own */
    struct record *old, *now;
};

struct changes {
    struct change *v;
    size_t n, cap;
};

/* ---- snapshots --------------------------------------------------------- */

static const struct pmap_type record_type = { record_ref, record_unref };

static struct snapshot *snapshot_alloc(const struct cache *c)
{
    struct snapshot *s = xmalloc(sizeof(*s) + c->n_maps * sizeof(struct pmap) +
                                 c->n_kinds * sizeof(int64_t));
    atomic_init(&s->refs, 1);
    s->cache = c;
    s->changed = (int64_t *)(s->maps + c->n_maps);
    return s;
}

/* All kinds may differ from what any other snapshot has. */
static void set_revision(struct snapshot *s, int64_t revision)
{
    s->revision = revision;
    for (size_t i = 0; i < s->cache->n_kinds; i++)
        s->changed[i] = revision;
}

static struct snapshot *snapshot_empty(const struct cache *c)
{
    struct snapshot *s = snapshot_alloc(c);
    set_revision(s, 0);
    for (size_t i = 0; i < c->n_maps; i++)
        s->maps[i] = PMAP_INIT(&record_type);
    return s;
}

/* A draft to write the next revision into. */
static struct snapshot *snapshot_next(const struct snapshot *from,
                                      int64_t revision)
{
    struct snapshot *s = snapshot_alloc(from->cache);
    s->revision = revision;
    for (size_t i = 0; i < from->cache->n_maps; i++)
        s->maps[i] = pmap_copy(&from->maps[i]);
    memcpy(s->changed, from->changed, s->cache->n_kinds * sizeof(int64_t));
    return s;
}

struct snapshot *cache_snapshot(struct cache *c)
{
    pthread_mutex_lock(&c->lock);
    struct snapshot *s = snapshot_ref(c->current);
    pthread_mutex_unlock(&c->lock);
    return s;
}

struct snapshot *snapshot_ref(struct snapshot *s)
{
    atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    return s;
}

void snapshot_unref(struct snapshot *s)
{
    if (!s || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; i < s->cache->n_maps; i++)
        pmap_clear(&s->maps[i]);
    free(s);
}

int64_t snapshot_revision(const struct snapshot *s)
{
    return s->revision;
}

static const struct pmap *by_id(const struct snapshot *s,
                                const struct kind *kind)
{
    return &s->maps[s->cache->first[kind->number]];
}

static const struct pmap *by_path(const struct snapshot *s,
                                  const struct kind *kind, const char *path)
{
    const struct pmap *map = by_id(s, kind) + 1;
    for (const struct index *ix = kind->indexes; ix && ix->path; ix++, map++)
        if (strcmp(ix->path, path) == 0)
            return map;
    log_err("cache", "%s has no index \"%s\"", kind->name, path);
    abort();
}

const void *snap_get(const struct snapshot *s, const struct kind *kind,
                     const char *id)
{
    return id ? pmap_get(by_id(s, kind), id) : NULL;
}

size_t snap_count(const struct snapshot *s, const struct kind *kind)
{
    return by_id(s, kind)->count;
}

int64_t snap_changed(const struct snapshot *s, const struct kind *kind)
{
    return s->changed[kind->number];
}

struct diff_call {
    cache_listener_fn *fn;
    void *arg;
};

static void diff_record(void *arg, const void *old, const void *now)
{
    const struct diff_call *call = arg;
    call->fn(call->arg, old, now);
}

void snap_diff(const struct snapshot *from, const struct snapshot *to,
               const struct kind *kind, cache_listener_fn *fn, void *arg)
{
    struct diff_call call = { fn, arg };
    struct pmap none = PMAP_INIT(&record_type);
    pmap_diff(from ? by_id(from, kind) : &none, by_id(to, kind), diff_record,
              &call);
}

struct snap_iter snap_all(const struct snapshot *s, const struct kind *kind)
{
    return snap_all_after(s, kind, NULL);
}

struct snap_iter snap_all_after(const struct snapshot *s,
                                const struct kind *kind, const char *after)
{
    struct snap_iter it;
    it.key = NULL;
    pmap_seek(&it.it, by_id(s, kind), after, NULL, true);
    return it;
}

struct snap_iter snap_by(const struct snapshot *s, const struct kind *kind,
                         const char *path, const char *key)
{
    struct snap_iter it;
    it.key = key;
    it.it.depth = 0;
    if (key)
        pmap_seek(&it.it, by_path(s, kind, path), key, NULL, false);
    return it;
}

const void *snap_next(struct snap_iter *it)
{
    const char *key;
    const void *record = pmap_next(&it->it, &key);
    if (record && it->key && strcmp(key, it->key) != 0) {
        it->it.depth = 0;
        return NULL;
    }
    return record;
}

const void *snap_find(const struct snapshot *s, const struct kind *kind,
                      const char *path, const char *key)
{
    return key ? pmap_get(by_path(s, kind, path), key) : NULL;
}

/* ---- writing a draft ---------------------------------------------------- */

struct indexing {
    struct pmap *map;
    const struct record *record;
};

static void index_add(void *arg, const char *key)
{
    struct indexing *ix = arg;
    pmap_put(ix->map, key, ix->record->id, ix->record);
}

static void index_drop(void *arg, const char *key)
{
    struct indexing *ix = arg;
    pmap_remove(ix->map, key, ix->record->id);
}

static void each_index(struct pmap *maps, const struct record *r,
                       index_key_fn *fn)
{
    struct indexing arg = { maps + 1, r };
    for (const struct index *ix = r->kind->indexes; ix && ix->path; ix++) {
        index_keys(r, ix, fn, &arg);
        arg.map++;
    }
}

static struct pmap *maps_of(struct snapshot *s, const struct kind *kind)
{
    return &s->maps[s->cache->first[kind->number]];
}

/* Drops first: `old` may be the last to hold the keys it is found under. */
static void draft_set(struct snapshot *draft, const struct record *old,
                      const struct record *now)
{
    const struct kind *kind = (old ? old : now)->kind;
    struct pmap *maps = maps_of(draft, kind);
    draft->changed[kind->number] = draft->revision;
    if (old)
        each_index(maps, old, index_drop);
    if (now) {
        pmap_put(maps, now->id, NULL, now);
        each_index(maps, now, index_add);
    } else {
        pmap_remove(maps, old->id, NULL);
    }
}

/* ---- from the store's keys to records ----------------------------------- */

/* The kind that a key begins with; *id is the rest.  NULL: none of ours. */
static const struct kind *kind_of(const struct cache *c, const char *key,
                                  const char **id)
{
    size_t n = strcspn(key, "/");
    if (!key[n])
        return NULL;
    *id = key + n + 1;
    for (size_t i = 0; i < c->n_kinds; i++) {
        const char *name = c->kinds[i]->name;
        if (strncmp(name, key, n) == 0 && !name[n])
            return c->kinds[i];
    }
    return NULL;
}

static struct record *decode(const struct kind *kind, const char *id,
                             const struct kv *kv)
{
    struct error err;
    struct record *r = record_decode(kind, id, kv->value, kv->len, &err);
    if (!r) {
        log_limited(LOG_ERR, "cache", "cannot read a record: %s", err.text);
        return NULL;
    }
    r->mod_rev = kv->mod_rev;
    r->create_rev = kv->create_rev;
    return r;
}

/* Takes the reference `now`. */
static void changes_add(struct changes *ch, const struct record *old,
                        struct record *now)
{
    if (ch->n == ch->cap) {
        ch->cap = ch->cap ? ch->cap * 2 : 8;
        ch->v = xrealloc(ch->v, ch->cap * sizeof(*ch->v));
    }
    ch->v[ch->n++] = (struct change){ old ? record_ref(old) : NULL, now };
}

static void changes_free(struct changes *ch)
{
    for (size_t i = 0; i < ch->n; i++) {
        record_unref(ch->v[i].old);
        record_unref(ch->v[i].now);
    }
    free(ch->v);
}

static void apply_event(const struct cache *c, struct snapshot *draft,
                        const struct kv *kv, struct changes *ch)
{
    const char *id;
    const struct kind *kind = kind_of(c, kv->key, &id);
    if (!kind)
        return;
    const struct record *old = snap_get(draft, kind, id);
    struct record *now = kv->value ? decode(kind, id, kv) : NULL;
    if (!old && !now)
        return;
    changes_add(ch, old, now);
    draft_set(draft, old, now);
}

/* ---- a new snapshot takes its place -------------------------------------- */

/* Takes out the waiters that `revision` satisfies. */
static struct waiter *due_waiters(struct cache *c, int64_t revision)
{
    struct waiter *due = NULL, **tail = &due, **at = &c->waiters;
    while (*at) {
        struct waiter *w = *at;
        if (w->revision > revision) {
            at = &w->next;
            continue;
        }
        *at = w->next;
        w->next = NULL;
        *tail = w;
        tail = &w->next;
    }
    return due;
}

static void call_waiters(struct waiter *due)
{
    for (struct waiter *next; due; due = next) {
        next = due->next;
        due->fn(due->arg);
        free(due);
    }
}

static void publish(struct cache *c, struct snapshot *draft,
                    const struct changes *ch)
{
    pthread_mutex_lock(&c->lock);
    struct snapshot *old = c->current;
    c->current = draft;
    struct waiter *due = due_waiters(c, draft->revision);
    pthread_mutex_unlock(&c->lock);
    snapshot_unref(old);
    for (size_t i = 0; i < ch->n; i++)
        for (size_t k = 0; k < c->n_listeners; k++)
            c->listeners[k].fn(c->listeners[k].arg, ch->v[i].old, ch->v[i].now);
    call_waiters(due);
}

/* ---- following ---------------------------------------------------------- */

static bool list_one(void *arg, const struct kv *kv)
{
    struct snapshot *draft = arg;
    struct cache *c = (struct cache *)draft->cache;
    const char *id;
    const struct kind *kind = kind_of(c, kv->key, &id);
    if (!kind)
        return true;
    /* Only the lister's thread replaces `current` while there is no watch. */
    const struct record *had = snap_get(c->current, kind, id);
    struct record *r = had && had->mod_rev == kv->mod_rev
                           ? record_ref(had)
                           : decode(kind, id, kv);
    if (r)
        draft_set(draft, NULL, r);
    record_unref(r);
    return true;
}

/* What differs between two maps by id: a merge of two walks. */
static void diff(const struct pmap *old, const struct pmap *now,
                 struct changes *ch)
{
    struct pmap_iter io, in;
    pmap_seek(&io, old, NULL, NULL, false);
    pmap_seek(&in, now, NULL, NULL, false);
    const struct record *o = pmap_next(&io, NULL), *n = pmap_next(&in, NULL);
    while (o || n) {
        int order = !o ? 1 : !n ? -1 : strcmp(o->id, n->id);
        if (o != n)
            changes_add(ch, order <= 0 ? o : NULL,
                        order >= 0 ? record_ref(n) : NULL);
        if (order <= 0)
            o = pmap_next(&io, NULL);
        if (order >= 0)
            n = pmap_next(&in, NULL);
    }
}

static void on_watch(void *arg, enum watch_what what, int64_t revision,
                     const struct kv *events, size_t n);

/* A loss may come before store_watch has returned; the relister waits. */
static bool watch_from(struct cache *c, int64_t from, struct error *err)
{
    pthread_mutex_lock(&c->lock);
    c->starting = true;
    pthread_mutex_unlock(&c->lock);
    struct watch *w = store_watch(c->store, "", from, on_watch, c, err);
    pthread_mutex_lock(&c->lock);
    c->watch = w;
    c->starting = false;
    pthread_cond_signal(&c->wake);
    pthread_mutex_unlock(&c->lock);
    return w != NULL;
}

/* Range, swap, tell, watch.  No watch is active. */
static bool list_and_watch(struct cache *c, struct error *err)
{
    struct snapshot *draft = snapshot_empty(c);
    struct changes ch = { 0 };
    if (!store_range(c->store, "", list_one, draft, &draft->revision, err)) {
        snapshot_unref(draft);
        return false;
    }
    set_revision(draft, draft->revision);
    int64_t from = draft->revision + 1;
    for (size_t i = 0; i < c->n_kinds; i++)
        diff(by_id(c->current, c->kinds[i]), by_id(draft, c->kinds[i]), &ch);
    publish(c, draft, &ch);
    changes_free(&ch);
    return watch_from(c, from, err);
}

static void pause_locked(struct cache *c)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    t.tv_nsec += RELIST_PAUSE_MS * 1000000L;
    t.tv_sec += t.tv_nsec / 1000000000L;
    t.tv_nsec %= 1000000000L;
    pthread_cond_timedwait(&c->wake, &c->lock, &t);
}

static void relist(struct cache *c)
{
    struct error err;
    store_unwatch(c->store, c->watch);
    c->watch = NULL;
    bool ok = list_and_watch(c, &err);
    pthread_mutex_lock(&c->lock);
    if (!ok) {
        c->lost = true;
        pause_locked(c);
    }
    pthread_mutex_unlock(&c->lock);
    if (!ok)
        log_limited(LOG_WARN, "cache", "cannot read the store: %s", err.text);
}

static void *relister(void *arg)
{
    struct cache *c = arg;
    pthread_mutex_lock(&c->lock);
    while (!c->stop) {
        if (!c->lost || c->starting) {
            pthread_cond_wait(&c->wake, &c->lock);
            continue;
        }
        c->lost = false;
        pthread_mutex_unlock(&c->lock);
        relist(c);
        pthread_mutex_lock(&c->lock);
    }
    pthread_mutex_unlock(&c->lock);
    return NULL;
}

/* A call-back must not range, so another thread does. */
static void start_relist(struct cache *c)
{
    pthread_mutex_lock(&c->lock);
    c->lost = true;
    if (!c->has_relister && !c->stop && !c->manual)
        c->has_relister = !pthread_create(&c->relister, NULL, relister, c);
    pthread_cond_signal(&c->wake);
    pthread_mutex_unlock(&c->lock);
}

static void on_watch(void *arg, enum watch_what what, int64_t revision,
                     const struct kv *events, size_t n)
{
    struct cache *c = arg;
    struct changes ch = { 0 };
    if (what != WATCH_EVENTS) {
        start_relist(c);
        return;
    }
    struct snapshot *draft = snapshot_next(c->current, revision);
    for (size_t i = 0; i < n; i++)
        apply_event(c, draft, &events[i], &ch);
    publish(c, draft, &ch);
    changes_free(&ch);
}

void cache_set_manual(struct cache *c)
{
    c->manual = true;
}

bool cache_relist(struct cache *c)
{
    pthread_mutex_lock(&c->lock);
    bool lost = c->lost;
    c->lost = false;
    pthread_mutex_unlock(&c->lock);
    if (lost)
        relist(c);
    return lost;
}

bool cache_follow(struct cache *c, struct store *s, struct error *err)
{
    pthread_mutex_lock(&c->lock);
    c->store = s;
    c->stop = c->lost = false;
    pthread_mutex_unlock(&c->lock);
    return list_and_watch(c, err);
}

void cache_unfollow(struct cache *c)
{
    pthread_mutex_lock(&c->lock);
    c->stop = true;
    bool join = c->has_relister;
    c->has_relister = false;
    pthread_cond_signal(&c->wake);
    pthread_mutex_unlock(&c->lock);
    if (join)
        pthread_join(c->relister, NULL);
    store_unwatch(c->store, c->watch);
    c->watch = NULL;
}

/* ---- the cache itself --------------------------------------------------- */

struct cache *cache_new(const struct kind *const *kinds, size_t n)
{
    struct cache *c = xcalloc(1, sizeof(*c));
    c->kinds = kinds;
    c->n_kinds = n;
    c->first = xcalloc(n, sizeof(*c->first));
    for (size_t i = 0; i < n; i++) {
        c->first[i] = c->n_maps++;
        const struct index *ix = kinds[i]->indexes;
        for (; ix && ix->path; ix++)
            c->n_maps++;
    }
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->wake, NULL);
    c->current = snapshot_empty(c);
    return c;
}

void cache_free(struct cache *c)
{
    if (!c)
        return;
    for (struct waiter *next; c->waiters; c->waiters = next) {
        next = c->waiters->next;
        free(c->waiters);
    }
    snapshot_unref(c->current);
    pthread_cond_destroy(&c->wake);
    pthread_mutex_destroy(&c->lock);
    free(c->listeners);
    free(c->first);
    free(c);
}

void cache_listen(struct cache *c, cache_listener_fn *fn, void *arg)
{
    c->listeners =
        xrealloc(c->listeners, (c->n_listeners + 1) * sizeof(*c->listeners));
    c->listeners[c->n_listeners++] = (struct listener){ fn, arg };
}

void cache_at(struct cache *c, int64_t revision, void (*fn)(void *), void *arg)
{
    struct waiter *w = xmalloc(sizeof(*w));
    *w = (struct waiter){ NULL, revision, fn, arg };
    pthread_mutex_lock(&c->lock);
    bool reached = c->current->revision >= revision;
    if (!reached) {
        w->next = c->waiters;
        c->waiters = w;
    }
    pthread_mutex_unlock(&c->lock);
    if (reached)
        call_waiters(w);
}

int64_t cache_revision(struct cache *c)
{
    pthread_mutex_lock(&c->lock);
    int64_t revision = c->current->revision;
    pthread_mutex_unlock(&c->lock);
    return revision;
}
