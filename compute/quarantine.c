#include "compute/quarantine.h"

#include "common/alloc.h"
#include "common/log.h"
#include "model/compute.h"
#include "model/pool.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOG_NAME  "quarantine"
#define KEY_SELF  "node/self"
#define KEY_PROBE "node/storage"
#define PROBE_US  SECOND_US
#define STALE_US  INT64_C(20000)

struct ids {
    char (*all)[UUID_SIZE];
    size_t n;
};

struct quarantine {
    struct quarantine_config c;
    struct reconciler *queue;
    /* How many see to servers, and whether one more may. */
    pthread_mutex_t lock;
    unsigned inside;
    bool open;
    /* Of the worker of KEY_SELF. */
    enum self_what told;
    int64_t lost;     /* since when the lease does not hold; 0: it does */
    int64_t cut;      /* lost: when the members were asked in vain; or 0 */
    struct ids ended; /* guests that STOP has stopped */
    bool restart_all; /* the machine has booted: none runs by itself */
    /* Of the worker of KEY_PROBE. */
    int64_t silent; /* since when the storage does not answer; 0: it does */
};

/* ---- the decision -------------------------------------------------------- */

enum self_what quarantine_next(const struct self_view *v, int64_t now)
{
    if (v->health != HEALTH_UP && v->cleaned != v->fence)
        return SELF_CLEAN;
    if (!v->term && now - v->lost >= QUARANTINE_STOP_US && !v->reaches)
        return SELF_STOP;
    return v->term && v->revision >= v->term && v->health == HEALTH_UP
               ? SELF_RUN
               : SELF_HOLD;
}

/* ---- who may come in ----------------------------------------------------- */

bool quarantine_enter(void *quarantine)
{
    struct quarantine *q = quarantine;
    pthread_mutex_lock(&q->lock);
    bool open = q->open;
    q->inside += open;
    pthread_mutex_unlock(&q->lock);
    return open;
}

void quarantine_leave(void *quarantine)
{
    struct quarantine *q = quarantine;
    pthread_mutex_lock(&q->lock);
    q->inside--;
    pthread_mutex_unlock(&q->lock);
}

/* What it was before. */
static bool set_open(struct quarantine *q, bool open)
{
    pthread_mutex_lock(&q->lock);
    bool was = q->open;
    q->open = open;
    pthread_mutex_unlock(&q->lock);
    return was;
}

static bool is_empty(struct quarantine *q)
{
    pthread_mutex_lock(&q->lock);
    bool empty = !q->inside;
    pthread_mutex_unlock(&q->lock);
    return empty;
}

/* ---- guests -------------------------------------------------------------- */

static void ids_add(struct ids *ids, const char *id)
{
    ids->all = xrealloc(ids->all, (ids->n + 1) * sizeof(*ids->all));
    snprintf(ids->all[ids->n++], UUID_SIZE, "%s", id);
}

static bool ids_have(const struct ids *ids, const char *id)
{
    for (size_t i = 0; i < ids->n; i++)
        if (strcmp(ids->all[i], id) == 0)
            return true;
    return false;
}

static void ids_free(struct ids *ids)
{
    free(ids->all);
    *ids = (struct ids){ 0 };
}

static void seen(void *arg, const char *id, enum domain_state state)
{
    ids_add(arg, id);
}

static bool is_shared(const struct domain_info *d)
{
    for (size_t i = 0; i < d->n_disks; i++)
        if (domain_rbd_image(d->paths[i]))
            return true;
    return false;
}

static bool is_ours(const struct quarantine *q, const struct server *s)
{
    return s && s->node && strcmp(s->node, q->c.node) == 0;
}

/* Its storage is gone, or will be: it has nothing more to write. */
static bool end_guest(struct quarantine *q, const char *id, struct error *err)
{
    const struct hypervisor_ops *ops = q->c.hypervisor->ops;
    return ops->kill ? ops->kill(q->c.hypervisor, id, err)
                     : ops->destroy(q->c.hypervisor, id, err);
}

/* True: it does not run, or may. */
static bool clean_one(struct quarantine *q, const struct server *s,
                      const char *id, struct error *err)
{
    struct hypervisor *h = q->c.hypervisor;
    struct domain_info d;
    if (!h->ops->info(h, id, &d, err))
        return false;
    if (d.state == DOMAIN_ABSENT || (is_ours(q, s) && !is_shared(&d)))
        return true;
    if (!end_guest(q, id, err))
        return false;
    if (domain_active(&d))
        log_warn(LOG_NAME, "server %s: its guest here was stale: stopped", id);
    bool keep = is_ours(q, s) ? d.state == DOMAIN_SAVED : !s && !is_shared(&d);
    return keep || h->ops->undefine(h, id, err);
}

static bool stop_one(struct quarantine *q, const char *id, struct error *err)
{
    struct hypervisor *h = q->c.hypervisor;
    struct domain_info d;
    if (!h->ops->info(h, id, &d, err))
        return false;
    if (!domain_active(&d) || !is_shared(&d))
        return true;
    if (!end_guest(q, id, err))
        return false;
    log_warn(LOG_NAME, "server %s: stopped, this node is cut off", id);
    if (!ids_have(&q->ended, id))
        ids_add(&q->ended, id);
    return true;
}

struct stale {
    struct quarantine *q;
    const struct snapshot *snap;
    bool cleans; /* CLEAN, else STOP */
};

/* As clean_one and stop_one, of what runs; what is of no server of ours is
 * left to them. */
static bool is_stale(void *arg, const char *id, bool shared)
{
    const struct stale *st = arg;
    const struct server *s = snap_get(st->snap, &kind_server, id);
    if (!s || (!shared && (!st->cleans || is_ours(st->q, s))))
        return false;
    log_warn(LOG_NAME, "server %s: its guest here is ended", id);
    if (!st->cleans && !ids_have(&st->q->ended, id))
        ids_add(&st->q->ended, id);
    return true;
}

static void end_all(struct quarantine *q, const struct snapshot *snap,
                    bool cleans)
{
    struct stale st = { q, snap, cleans };
    const struct hypervisor_ops *ops = q->c.hypervisor->ops;
    if (ops->kill_stale)
        ops->kill_stale(q->c.hypervisor, is_stale, &st);
}

/* All of them, however one fails: the first failure is told. */
static bool each_guest(struct quarantine *q, const struct snapshot *snap,
                       struct error *err)
{
    struct ids all = { 0 };
    struct error e = { 0 };
    struct hypervisor *h = q->c.hypervisor;
    bool ok = h->ops->list(h, seen, &all, err);
    for (size_t i = 0; i < all.n; i++) {
        const char *id = all.all[i];
        bool one = snap ? clean_one(q, snap_get(snap, &kind_server, id), id, &e)
                        : stop_one(q, id, &e);
        if (!one && ok)
            error_copy(err, &e);
        ok = ok && one;
    }
    ids_free(&all);
    return ok;
}

/* ---- its record ---------------------------------------------------------- */

static enum reconcile_verdict commit(struct quarantine *q, struct txn *t,
                                     int64_t *delay_us, struct error *err)
{
    struct txn_result result;
    if (store_commit(q->c.store, t, &result))
        return RECONCILE_DONE;
    if (result.status == TXN_CONFLICT) {
        *delay_us = STALE_US;
        return RECONCILE_AGAIN;
    }
    error_copy(err, &result.err);
    return RECONCILE_RETRY;
}

static enum reconcile_verdict clean(struct quarantine *q,
                                    const struct snapshot *snap,
                                    const struct node *node, int64_t *delay_us,
                                    struct error *err)
{
    bool empty = is_empty(q); /* before the look: none comes in any more */
    end_all(q, snap, true);
    if (!each_guest(q, snap, err))
        return RECONCILE_RETRY;
    if (!empty)
        return RECONCILE_AGAIN;
    _autotxn_ struct txn t = TXN_INIT;
    _autorecord_ struct node *draft = record_copy(node);
    draft->cleaned = node->fence;
    txn_change_record(&t, draft);
    log_info(LOG_NAME, "none of the guests of before runs here any more");
    return commit(q, &t, delay_us, err);
}

/* ---- new starts ---------------------------------------------------------- */

static bool should_run(const struct server *s)
{
    return s->goal == GOAL_RUNNING && s->vm_state == VM_ACTIVE &&
           s->task_state == TASK_NONE;
}

static enum reconcile_verdict restart(struct quarantine *q,
                                      const struct node *node,
                                      const struct server *s, int64_t *delay_us,
                                      struct error *err)
{
    _autotxn_ struct txn t = TXN_INIT;
    _autorecord_ struct server *draft = record_copy(s);
    draft->vm_state = VM_STOPPED;
    draft->task_state = TASK_POWERING_ON;
    draft->generation++;
    draft->updated = env_now(q->c.env);
    txn_change_record(&t, draft);
    txn_expect_record(&t, node);
    log_info(LOG_NAME, "server %s starts again", s->rec.id);
    return commit(q, &t, delay_us, err);
}

static enum reconcile_verdict restart_all(struct quarantine *q,
                                          const struct snapshot *snap,
                                          const struct node *node,
                                          int64_t *delay_us, struct error *err)
{
    struct hypervisor *h = q->c.hypervisor;
    struct snap_iter it = snap_by(snap, &kind_server, "node", q->c.node);
    for (const struct server *s; (s = snap_next(&it));) {
        struct domain_info d;
        if (!should_run(s) ||
            !(q->restart_all || ids_have(&q->ended, s->rec.id)))
            continue;
        if (!h->ops->info(h, s->rec.id, &d, err))
            return RECONCILE_RETRY;
        if (domain_active(&d) || d.state == DOMAIN_SAVED)
            continue;
        enum reconcile_verdict v = restart(q, node, s, delay_us, err);
        if (v != RECONCILE_DONE)
            return v;
    }
    q->restart_all = false;
    ids_free(&q->ended);
    return RECONCILE_DONE;
}

/* ---- a pass -------------------------------------------------------------- */

/* A no that came in time is not asked for again when it counts: asking takes
 * long just then. */
static bool reaches_most(struct quarantine *q, int64_t now)
{
    if (q->cut && now - q->cut < QUARANTINE_CUT_US)
        return false;
    bool reaches = q->c.reaches && q->c.reaches(q->c.arg);
    q->cut = reaches ? 0 : now;
    return reaches;
}

static void look(struct quarantine *q, const struct snapshot *snap,
                 const struct node *node, struct self_view *v)
{
    int64_t now = env_mono(q->c.env);
    *v = (struct self_view){
        .health = node->health,
        .fence = node->fence,
        .cleaned = node->cleaned,
        .term = q->c.term(q->c.arg),
        .revision = snapshot_revision(snap),
    };
    if (v->term)
        q->lost = q->cut = 0;
    else if (!q->lost)
        q->lost = now;
    v->lost = q->lost;
    v->reaches = !v->term && now - v->lost >= QUARANTINE_STOP_US / 2 &&
                 reaches_most(q, now);
}

/* Not after the moment from which it counts that the lease is gone. */
static int64_t next_look(const struct quarantine *q)
{
    int64_t left = q->lost + QUARANTINE_STOP_US - env_mono(q->c.env);
    return q->lost && left > 0 && left < QUARANTINE_PASS_US
               ? left
               : QUARANTINE_PASS_US;
}

static void tell(struct quarantine *q, enum self_what what)
{
    static const char *const texts[] = {
        [SELF_RUN] = "this node belongs to the pool",
        [SELF_HOLD] =
            "no server is touched for now: no lease, or not admitted yet",
        [SELF_STOP] =
            "this node is cut off: it stops what is in shared storage",
        [SELF_CLEAN] = "this node was fenced: stale guests are stopped",
    };
    if (what != q->told)
        log_info(LOG_NAME, "%s", texts[what]);
    q->told = what;
}

static enum reconcile_verdict run(struct quarantine *q,
                                  const struct snapshot *snap,
                                  const struct node *node, int64_t *delay_us,
                                  struct error *err)
{
    enum reconcile_verdict v = RECONCILE_DONE;
    if (q->restart_all || q->ended.n)
        v = restart_all(q, snap, node, delay_us, err);
    if (v != RECONCILE_DONE)
        return v;
    if (!set_open(q, true) && q->c.opened)
        q->c.opened(q->c.arg);
    return v;
}

/* What fails must not slow down the look at the lease. */
static enum reconcile_verdict
look_again(enum reconcile_verdict v, int64_t *delay_us, const struct error *err)
{
    if (v == RECONCILE_RETRY) {
        log_limited(LOG_WARN, LOG_NAME, "%s", err->text);
        *delay_us = QUARANTINE_PASS_US;
    }
    return RECONCILE_AGAIN;
}

static enum reconcile_verdict pass(struct quarantine *q, int64_t *delay_us,
                                   struct error *err)
{
    struct self_view view;
    enum reconcile_verdict v = RECONCILE_DONE;
    _autosnap_ struct snapshot *snap = cache_snapshot(q->c.cache);
    const struct node *node = snap_get(snap, &kind_node, q->c.node);
    *delay_us = QUARANTINE_PASS_US;
    if (!node)
        return RECONCILE_AGAIN;
    look(q, snap, node, &view);
    enum self_what what = quarantine_next(&view, env_mono(q->c.env));
    tell(q, what);
    *delay_us = next_look(q);
    if (what != SELF_RUN)
        set_open(q, false);
    switch (what) {
    case SELF_RUN:
        v = run(q, snap, node, delay_us, err);
        break;
    case SELF_STOP:
        end_all(q, snap, false);
        v = each_guest(q, NULL, err) ? v : RECONCILE_RETRY;
        break;
    case SELF_CLEAN:
        v = clean(q, snap, node, delay_us, err);
        break;
    case SELF_HOLD:
        break;
    }
    return look_again(v, delay_us, err);
}

/* ---- the storage --------------------------------------------------------- */

static enum reconcile_verdict say_storage(struct quarantine *q, bool lost,
                                          int64_t *delay_us, struct error *err)
{
    _autosnap_ struct snapshot *snap = cache_snapshot(q->c.cache);
    const struct node *node = snap_get(snap, &kind_node, q->c.node);
    if (!node || lost == (node->storage_lost != 0))
        return RECONCILE_DONE;
    _autotxn_ struct txn t = TXN_INIT;
    _autorecord_ struct node *draft = record_copy(node);
    draft->storage_lost = lost ? env_now(q->c.env) : 0;
    txn_change_record(&t, draft);
    enum reconcile_verdict v = commit(q, &t, delay_us, err);
    if (v == RECONCILE_DONE)
        log_warn(LOG_NAME, lost ? "the storage does not answer"
                                : "the storage answers again");
    return v;
}

static enum reconcile_verdict probe(struct quarantine *q, int64_t *delay_us,
                                    struct error *err)
{
    int64_t began = env_mono(q->c.env);
    bool ok = q->c.probe(q->c.arg);
    if (ok)
        q->silent = 0;
    else if (!q->silent)
        q->silent = began;
    bool lost = !ok && env_mono(q->c.env) - q->silent >= QUARANTINE_PROBE_US;
    *delay_us = PROBE_US;
    if (!ok && !lost)
        return RECONCILE_AGAIN;
    enum reconcile_verdict v = say_storage(q, lost, delay_us, err);
    return v == RECONCILE_DONE ? RECONCILE_AGAIN : v;
}

static enum reconcile_verdict reconcile(void *self, const char *key,
                                        int64_t *delay_us, struct error *err)
{
    return strcmp(key, KEY_PROBE) == 0 ? probe(self, delay_us, err)
                                       : pass(self, delay_us, err);
}

/* ---- public -------------------------------------------------------------- */

static void on_record(void *arg, const struct record *old,
                      const struct record *now)
{
    struct quarantine *q = arg;
    if (now && now->kind == &kind_node && strcmp(now->id, q->c.node) == 0)
        reconciler_add(q->queue, KEY_SELF);
}

struct quarantine *quarantine_new(const struct quarantine_config *config)
{
    struct quarantine *q = xcalloc(1, sizeof(*q));
    q->c = *config;
    q->told = SELF_HOLD;
    pthread_mutex_init(&q->lock, NULL);
    q->queue =
        reconciler_new(LOG_NAME, reconcile, q, config->env, config->workers);
    cache_listen(config->cache, on_record, q);
    return q;
}

void quarantine_start(struct quarantine *q, bool booted)
{
    q->restart_all = booted;
    reconciler_add(q->queue, KEY_SELF);
    if (q->c.probe)
        reconciler_add(q->queue, KEY_PROBE);
}

struct reconciler *quarantine_queue(struct quarantine *q)
{
    return q->queue;
}

void quarantine_stop(struct quarantine *q)
{
    if (!q)
        return;
    set_open(q, false);
    reconciler_stop(q->queue);
    q->queue = NULL;
}

void quarantine_free(struct quarantine *q)
{
    if (!q)
        return;
    quarantine_stop(q);
    ids_free(&q->ended);
    pthread_mutex_destroy(&q->lock);
    free(q);
}
