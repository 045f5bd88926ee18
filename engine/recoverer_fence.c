#include "common/alloc.h"
#include "common/log.h"
#include "engine/recoverer_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void note_lift(struct recoverer *r, const char *node, bool lifting)
{
    pthread_mutex_lock(&r->lock);
    recoverer_watched(r, node)->lifting = lifting;
    pthread_mutex_unlock(&r->lock);
}

struct listing {
    struct recoverer *r;
    int64_t begun;
    char (*nodes)[64];
    size_t n;
};

static void on_listed(void *arg, const char *node)
{
    struct listing *l = arg;
    l->nodes = xrealloc(l->nodes, (l->n + 1) * sizeof(*l->nodes));
    snprintf(l->nodes[l->n++], sizeof(*l->nodes), "%s", node);
}

static bool is_listed(const struct listing *l, const char *node)
{
    for (size_t i = 0; i < l->n; i++)
        if (strcmp(l->nodes[i], node) == 0)
            return true;
    return false;
}

/* What was told to the fence since the list was begun is newer. */
static void take_list(struct listing *l)
{
    struct recoverer *r = l->r;
    pthread_mutex_lock(&r->lock);
    for (size_t i = 0; i < l->n; i++)
        recoverer_watched(r, l->nodes[i]);
    for (size_t i = 0; i < r->n; i++)
        if (r->all[i].asked < l->begun)
            r->all[i].closed =
                is_listed(l, r->all[i].name) ? FENCE_CLOSED : FENCE_OPEN;
    pthread_mutex_unlock(&r->lock);
}

static bool all_up(const struct recoverer *r)
{
    _autosnap_ struct snapshot *snap = cache_snapshot(r->c.cache);
    struct snap_iter it = snap_all(snap, &kind_node);
    for (const struct node *n; (n = snap_next(&it));)
        if (n->health != HEALTH_UP)
            return false;
    return true;
}

/* Without a fence there is nothing to refuse: what the records say holds. */
static void list_records(struct listing *l)
{
    _autosnap_ struct snapshot *snap = cache_snapshot(l->r->c.cache);
    struct snap_iter it = snap_all(snap, &kind_node);
    for (const struct node *n; (n = snap_next(&it));)
        if (n->health != HEALTH_UP)
            on_listed(l, n->rec.id);
}

enum reconcile_verdict recoverer_list(struct recoverer *r, int64_t *delay_us,
                                      struct error *err)
{
    struct listing l = { .r = r, .begun = env_mono(r->c.env) };
    struct fence *f = r->c.fence;
    bool ok = true;
    if (!r->c.leads(r->c.arg))
        return RECONCILE_DONE;
    if (f)
        ok = f->ops->list(f, on_listed, &l, err);
    else
        list_records(&l);
    if (ok) {
        take_list(&l);
        reconciler_add(r->queue, KEY_PASS); /* which would ask at once */
    } else {
        log_limited(LOG_WARN, LOG_NAME, "fences: %s", err->text);
    }
    free(l.nodes);
    *delay_us = !ok         ? RECOVERER_FENCE_US
                : all_up(r) ? RECOVERER_LIST_US
                            : RECOVERER_LIST_FENCED_US;
    return RECONCILE_AGAIN;
}

static bool call_fence(struct recoverer *r, const char *node, bool close,
                       struct error *err)
{
    struct fence *f = r->c.fence;
    if (!f)
        return true;
    return close ? f->ops->close(f, node, err) : f->ops->lift(f, node, err);
}

struct current {
    const char *key;
    struct node *node; /* NULL: it is no member any more */
};

static bool take_current(void *arg, const struct kv *kv)
{
    struct current *c = arg;
    struct error none;
    if (strcmp(kv->key, c->key) != 0)
        return true;
    c->node = record_decode(&kind_node, strchr(kv->key, '/') + 1, kv->value,
                            kv->len, &none);
    return false;
}

/* Our command may have come late: we were paused, another leads and has
 * condemned the node anew.  What the store itself says now decides; whoever
 * condemns it after that closes the fence after us. */
static bool check_lift(struct recoverer *r, const struct node *n,
                       struct error *err)
{
    char key[STORE_KEY_MAX];
    struct current now = { .key = record_key(n, key) };
    if (!store_range(r->c.store, key, take_current, &now, NULL, err))
        return false;
    bool shut = now.node && (now.node->health == HEALTH_FENCING ||
                             now.node->health == HEALTH_FENCED);
    record_unref(now.node);
    if (shut && !call_fence(r, n->rec.id, true, err))
        return false;
    if (shut)
        log_warn(LOG_NAME, "node %s has failed again meanwhile: refused",
                 n->rec.id);
    note_lift(r, n->rec.id, false);
    return true;
}

static enum recovery_what fence_asked(struct recoverer *r,
                                      const struct snapshot *snap,
                                      const struct node *n,
                                      const struct member *m)
{
    struct recovery_pool none = { 0 };
    struct recovery_node seen = recoverer_see(r, snap, n, m);
    return recovery_next(&seen, &none, env_mono(r->c.env)).what;
}

static enum reconcile_verdict tell_failed(const char *node,
                                          const struct error *err)
{
    log_limited(LOG_WARN, LOG_NAME, "node %s: %s", node, err->text);
    return RECONCILE_AGAIN;
}

/* Does what the records ask for by now. */
enum reconcile_verdict recoverer_work_fence(struct recoverer *r,
                                            const char *node, int64_t *delay_us,
                                            struct error *err)
{
    _autosnap_ struct snapshot *snap = cache_snapshot(r->c.cache);
    const struct node *n = snap_get(snap, &kind_node, node);
    const struct member *m = snap_get(snap, &kind_member, node);
    *delay_us = RECOVERER_FENCE_US;
    if (n && recoverer_recall(r, node).lifting && !check_lift(r, n, err))
        return tell_failed(node, err);
    if (!n || !m || !r->c.leads(r->c.arg))
        return RECONCILE_DONE;
    enum recovery_what what = fence_asked(r, snap, n, m);
    if (what != RECOVERY_FENCE && what != RECOVERY_LIFT)
        return RECONCILE_DONE;
    bool lifts = what == RECOVERY_LIFT;
    note_lift(r, node, lifts);
    if (!call_fence(r, node, !lifts, err) || (lifts && !check_lift(r, n, err)))
        return tell_failed(node, err);
    recoverer_note_fence(r, node, lifts ? FENCE_OPEN : FENCE_CLOSED);
    reconciler_add(r->queue, KEY_PASS);
    return RECONCILE_DONE;
}
