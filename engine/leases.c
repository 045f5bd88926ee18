#include "engine/leases.h"

#include "common/alloc.h"
#include "state/election.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX ELECTION_PREFIX ELECTION_NODES

struct lease {
    char id[UUID_SIZE];
    bool present, listed; /* listed: in the list that is being read */
    int64_t gone;
};

struct leases {
    struct store *store;
    const struct env *env;
    void (*changed)(void *arg);
    void *arg;
    struct watch *watch; /* of leases_look's thread */

    pthread_mutex_t lock; /* all below */
    struct lease *all;    /* by id */
    size_t n;
    int64_t begun; /* first list; 0: none yet */
    bool lost;     /* the watch has ended */
};

char *lease_key(char out[STORE_KEY_MAX], const char *node_id)
{
    snprintf(out, STORE_KEY_MAX, PREFIX "%s", node_id);
    return out;
}

/* ---- what is seen, with the lock held ------------------------------------ */

/* Where it is or would be. */
static size_t position(const struct leases *l, const char *id)
{
    size_t from = 0, to = l->n;
    while (from < to) {
        size_t mid = (from + to) / 2;
        if (strcmp(l->all[mid].id, id) < 0)
            from = mid + 1;
        else
            to = mid;
    }
    return from;
}

static struct lease *find(const struct leases *l, const char *id)
{
    size_t i = position(l, id);
    return i < l->n && strcmp(l->all[i].id, id) == 0 ? &l->all[i] : NULL;
}

static struct lease *make(struct leases *l, const char *id)
{
    size_t i = position(l, id);
    if (i < l->n && strcmp(l->all[i].id, id) == 0)
        return &l->all[i];
    l->all = xrealloc(l->all, (l->n + 1) * sizeof(*l->all));
    memmove(&l->all[i + 1], &l->all[i], (l->n++ - i) * sizeof(*l->all));
    l->all[i] = (struct lease){ .present = false };
    snprintf(l->all[i].id, UUID_SIZE, "%s", id);
    return &l->all[i];
}

static void see(struct leases *l, const char *id, bool present)
{
    struct lease *one = present ? make(l, id) : find(l, id);
    if (!one)
        return;
    if (one->present && !present)
        one->gone = env_mono(l->env);
    one->present = present;
    one->listed = true;
}

/* ---- the store ----------------------------------------------------------- */

static void on_events(void *arg, enum watch_what what, int64_t revision,
                      const struct kv *events, size_t n)
{
    struct leases *l = arg;
    pthread_mutex_lock(&l->lock);
    l->lost |= what != WATCH_EVENTS;
    for (size_t i = 0; i < n; i++)
        see(l, events[i].key + strlen(PREFIX), events[i].value != NULL);
    pthread_mutex_unlock(&l->lock);
    l->changed(l->arg);
}

static bool on_key(void *arg, const struct kv *kv)
{
    struct leases *l = arg;
    pthread_mutex_lock(&l->lock);
    see(l, kv->key + strlen(PREFIX), true);
    pthread_mutex_unlock(&l->lock);
    return true;
}

static void begin_list(struct leases *l)
{
    pthread_mutex_lock(&l->lock);
    l->lost = false;
    for (size_t i = 0; i < l->n; i++)
        l->all[i].listed = false;
    pthread_mutex_unlock(&l->lock);
}

/* Who was not in the list is gone. */
static void end_list(struct leases *l, bool ok)
{
    pthread_mutex_lock(&l->lock);
    for (size_t i = 0; ok && i < l->n; i++)
        if (!l->all[i].listed)
            see(l, l->all[i].id, false);
    if (ok && !l->begun)
        l->begun = env_mono(l->env);
    l->lost |= !ok;
    pthread_mutex_unlock(&l->lock);
}

bool leases_look(struct leases *l, struct error *err)
{
    int64_t revision;
    pthread_mutex_lock(&l->lock);
    bool lost = l->lost;
    pthread_mutex_unlock(&l->lock);
    if (l->watch && !lost)
        return true;
    store_unwatch(l->store, l->watch);
    l->watch = NULL;
    begin_list(l);
    bool ok = store_range(l->store, PREFIX, on_key, l, &revision, err);
    end_list(l, ok);
    if (ok)
        l->watch =
            store_watch(l->store, PREFIX, revision + 1, on_events, l, err);
    return l->watch != NULL;
}

struct lease_view leases_of(struct leases *l, const char *node_id)
{
    pthread_mutex_lock(&l->lock);
    const struct lease *one = find(l, node_id);
    struct lease_view v = { .present = one && one->present,
                            .known = one != NULL,
                            .gone = one ? one->gone : l->begun };
    pthread_mutex_unlock(&l->lock);
    return v;
}

struct leases *leases_new(struct store *store, const struct env *env,
                          void (*changed)(void *arg), void *arg)
{
    struct leases *l = xcalloc(1, sizeof(*l));
    l->store = store;
    l->env = env;
    l->changed = changed;
    l->arg = arg;
    pthread_mutex_init(&l->lock, NULL);
    return l;
}

void leases_free(struct leases *l)
{
    if (!l)
        return;
    store_unwatch(l->store, l->watch);
    pthread_mutex_destroy(&l->lock);
    free(l->all);
    free(l);
}
