#include "daemon/service_watch.h"

#include "common/alloc.h"
#include "daemon/join.h"
#include "model/pool.h"
#include "state/reconcile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct service_watch {
    struct cache *cache;
    struct node_services *services;
    struct reconciler *queue;
};

/* Those who joined first come first. */
static int by_age(const void *a, const void *b)
{
    const struct member *x = *(void *const *)a, *y = *(void *const *)b;
    if (x->joined != y->joined)
        return x->joined < y->joined ? -1 : 1;
    return strcmp(x->rec.id, y->rec.id);
}

static enum reconcile_verdict tell(void *self, const char *key,
                                   int64_t *delay_us, struct error *err)
{
    struct service_watch *w = self;
    const struct member *m[JOIN_MEMBERS_MAX];
    struct service_member out[JOIN_MEMBERS_MAX];
    size_t n = 0;
    _autosnap_ struct snapshot *snap = cache_snapshot(w->cache);
    struct snap_iter it = snap_all(snap, &kind_member);
    while (n < JOIN_MEMBERS_MAX && (m[n] = snap_next(&it)))
        n++;
    qsort(m, n, sizeof(m[0]), by_age);
    for (size_t i = 0; i < n; i++) {
        snprintf(out[i].name, sizeof(out[i].name), "%s", m[i]->rec.id);
        snprintf(out[i].address, sizeof(out[i].address), "%s", m[i]->address);
    }
    node_services_members(w->services, out, n);
    return RECONCILE_DONE;
}

static void heard(void *arg, const struct record *old, const struct record *now)
{
    struct service_watch *w = arg;
    if ((now ? now : old)->kind == &kind_member)
        reconciler_add(w->queue, "members");
}

struct service_watch *service_watch_new(struct cache *cache,
                                        struct node_services *services,
                                        const struct env *env)
{
    struct service_watch *w = xcalloc(1, sizeof(*w));
    w->cache = cache;
    w->services = services;
    w->queue = reconciler_new("members", tell, w, env, 1);
    cache_listen(cache, heard, w);
    return w;
}

void service_watch_start(struct service_watch *w)
{
    int64_t delay;
    tell(w, "members", &delay, NULL);
}

void service_watch_free(struct service_watch *w)
{
    if (!w)
        return;
    reconciler_stop(w->queue);
    free(w);
}
