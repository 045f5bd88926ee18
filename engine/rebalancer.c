#include "engine/rebalancer.h"

#include "common/alloc.h"
#include "common/log.h"
#include "engine/policy.h"
#include "model/migration.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define LOG_NAME "rebalancer"
#define KEY      "pool/rebalancing"

/* A server that has changed its node, or is doing so. */
struct mover {
    char *id, *to; /* `to` NULL: it is there, or stays for now */
    char *from;    /* the node it has left; NULL: none */
    int64_t at;    /* monotonic */
    bool failed;   /* ... because its move has */
};

struct rebalancer {
    struct rebalancer_config c;
    struct reconciler *queue;
    struct view *view; /* of the reconciler */

    pthread_mutex_t lock; /* all below */
    struct mover *movers;
    size_t n;
    uint32_t told; /* moves of the plan that was last logged */
};

/* ---- who moves, who has moved -------------------------------------------- */

static void forget(struct rebalancer *b, size_t i)
{
    struct mover gone = b->movers[i];
    b->movers[i] = b->movers[--b->n];
    b->movers[b->n] = (struct mover){ .id = NULL };
    free(gone.id);
    free(gone.to);
    free(gone.from);
}

static void note(struct rebalancer *b, const char *id, const char *to,
                 const char *from, bool did_fail)
{
    pthread_mutex_lock(&b->lock);
    for (size_t i = b->n; i-- > 0;)
        if (strcmp(b->movers[i].id, id) == 0)
            forget(b, i);
    b->movers = xrealloc(b->movers, (b->n + 1) * sizeof(*b->movers));
    b->movers[b->n++] = (struct mover){ .id = xstrdup(id),
                                        .to = to ? xstrdup(to) : NULL,
                                        .from = from ? xstrdup(from) : NULL,
                                        .at = env_mono(b->c.env),
                                        .failed = did_fail };
    pthread_mutex_unlock(&b->lock);
}

static bool is_on_its_way(struct rebalancer *b, const char *id)
{
    bool yes = false;
    pthread_mutex_lock(&b->lock);
    for (size_t i = 0; i < b->n; i++)
        yes |= b->movers[i].to && strcmp(b->movers[i].id, id) == 0;
    pthread_mutex_unlock(&b->lock);
    return yes;
}

/* A move of ours that has come to nothing. */
static void on_move(struct rebalancer *b, const struct migration *m)
{
    if (!migration_under_way(m) && m->status != MIGRATION_COMPLETED &&
        is_on_its_way(b, m->server_id))
        note(b, m->server_id, NULL, NULL, true);
}

static void on_drain(struct rebalancer *b, const struct node *was)
{
    if (!was || !was->draining)
        reconciler_add(b->queue, KEY);
}

static void on_record(void *arg, const struct record *old,
                      const struct record *now)
{
    if (now && now->kind == &kind_migration)
        on_move(arg, (const struct migration *)now);
    if (now && now->kind == &kind_node && ((const struct node *)now)->draining)
        on_drain(arg, (const struct node *)old);
    if (!old || !now || now->kind != &kind_server)
        return;
    const char *was = ((const struct server *)old)->node;
    const char *is = ((const struct server *)now)->node;
    if (was && is && strcmp(was, is) != 0)
        note(arg, now->id, NULL, was, false);
}

static int64_t rest_of(const struct mover *m)
{
    return m->to       ? REBALANCE_MOVE_US
           : m->failed ? REBALANCE_AGAIN_US
                       : REBALANCE_REST_US;
}

/* Has its move failed a moment ago? */
static bool is_tired(struct rebalancer *b, const char *id)
{
    bool yes = false;
    pthread_mutex_lock(&b->lock);
    for (size_t i = 0; i < b->n; i++)
        yes |= b->movers[i].failed && strcmp(b->movers[i].id, id) == 0;
    pthread_mutex_unlock(&b->lock);
    return yes;
}

/* Forgets those who have rested, gives up on those who do not arrive; is
 * anybody on the way? */
static bool prune(struct rebalancer *b)
{
    bool moving = false;
    int64_t now = env_mono(b->c.env);
    pthread_mutex_lock(&b->lock);
    for (size_t i = b->n; i-- > 0;) {
        struct mover *m = &b->movers[i];
        if (now - m->at > rest_of(m)) {
            if (m->to)
                log_warn(LOG_NAME, "server %s has not come to node %s", m->id,
                         m->to);
            forget(b, i);
        } else {
            moving |= m->to != NULL;
        }
    }
    pthread_mutex_unlock(&b->lock);
    return moving;
}

static int by_number(const void *a, const void *b)
{
    uint64_t x, y;
    memcpy(&x, a, sizeof(x));
    memcpy(&y, b, sizeof(y));
    return (x > y) - (x < y);
}

struct guests {
    uint64_t *at;
    uint32_t n;
};

static void add_guest(struct rebalancer *b, struct guests *g, const char *id)
{
    const struct record *r = snap_get(view_snapshot(b->view), &kind_server, id);
    uint64_t guest = r ? view_guest(b->view, r) : 0;
    if (!guest)
        return;
    g->at = xrealloc(g->at, (g->n + 1) * sizeof(*g->at));
    g->at[g->n++] = guest;
}

/* What a leader before us has moved, or we before we were started again. */
static void add_recorded(struct rebalancer *b, struct guests *g)
{
    int64_t now = env_now(b->c.env);
    struct snap_iter it = snap_all(view_snapshot(b->view), &kind_migration);
    for (const struct migration *m; (m = snap_next(&it));)
        if ((m->status == MIGRATION_COMPLETED || m->status == MIGRATION_DONE) &&
            now - m->ended < REBALANCE_REST_US)
            add_guest(b, g, m->server_id);
}

/* Who has moved lately: ascending, some twice; to be freed. */
static struct guests spared(struct rebalancer *b)
{
    struct guests g = { 0 };
    pthread_mutex_lock(&b->lock);
    for (size_t i = 0; i < b->n; i++)
        add_guest(b, &g, b->movers[i].id);
    pthread_mutex_unlock(&b->lock);
    add_recorded(b, &g);
    if (g.n)
        qsort(g.at, g.n, sizeof(*g.at), by_number);
    return g;
}

/* The hosts they have left; to be freed. */
static uint32_t *settling(struct rebalancer *b, uint32_t *n)
{
    pthread_mutex_lock(&b->lock);
    uint32_t *all = xcalloc(b->n + 1, sizeof(*all));
    *n = 0;
    for (size_t i = 0; i < b->n; i++) {
        const char *from = b->movers[i].from;
        uint32_t host =
            from ? fleet_find_host(view_fleet(b->view), from) : FLEET_NOWHERE;
        if (host != FLEET_NOWHERE)
            all[(*n)++] = host;
    }
    pthread_mutex_unlock(&b->lock);
    return all;
}

/* ---- a pass -------------------------------------------------------------- */

static void advise(struct rebalancer *b, const struct plan *plan,
                   const char *because)
{
    if (plan->n && plan->n != b->told)
        log_info(LOG_NAME,
                 "%u servers should move (gain %lld, cost %lld points; see "
                 "cairn plan), but %s",
                 plan->n, (long long)plan->gain, (long long)plan->cost,
                 because);
    b->told = plan->n;
}

/* Does the reserve bear it, with the moves before it? */
static bool is_borne(struct reserve *proof, const struct plan_move *m)
{
    return !proof || reserve_move(proof, m->guest, &m->to, NULL);
}

static void start_moves(struct rebalancer *b, const struct plan *plan)
{
    struct reserve *proof = view_reserve(b->view);
    for (uint32_t i = 0; i < plan->n; i++) {
        const struct plan_move *m = &plan->moves[i];
        const struct record *r = view_record(b->view, m->guest);
        const char *to = view_fleet(b->view)->hosts[m->to.host].name;
        struct error err = { 0 };
        struct buf why = BUF_INIT(ERROR_TEXT_MAX);
        if (m->wave != 0 || !r || r->kind != &kind_server ||
            is_tired(b, r->id) || !is_borne(proof, m))
            continue;
        plan_because(view_fleet(b->view), m, &why);
        if (b->c.move(b->c.self, (const struct server *)r, to, buf_str(&why),
                      &err)) {
            note(b, r->id, to, NULL, false);
            log_info(LOG_NAME, "server %s moves to node %s: %s", r->id, to,
                     buf_str(&why));
        } else {
            log_limited(LOG_WARN, LOG_NAME, "server %s: %s", r->id, err.text);
        }
        buf_free(&why);
    }
}

static bool any_drains(struct rebalancer *b)
{
    const struct fleet *f = view_fleet(b->view);
    for (uint32_t i = 0; i < f->n; i++)
        if (f->hosts[i].facts.state == FLEET_DRAINING && f->hosts[i].guests)
            return true;
    return false;
}

static void only_drain(struct plan_policy *policy)
{
    for (int i = 0; i < GOALS_N; i++)
        if (i != GOAL_EVACUATE)
            policy->goals.weight[i] = 0;
}

static void plan_and_act(struct rebalancer *b, int rebalancing, bool drains)
{
    struct plan_policy policy;
    struct plan plan;
    policy_plan(view_snapshot(b->view), &policy);
    struct guests resting = spared(b);
    uint32_t *left = settling(b, &policy.goals.strain.n_settling);
    policy.spared = resting.at;
    policy.n_spared = resting.n;
    policy.goals.strain.settling = left;
    if (drains)
        only_drain(&policy);
    fleet_ranks(view_fleet(b->view));
    plan_make(view_fleet(b->view), &policy, &plan);
    if (!b->c.move)
        advise(b, &plan, "nothing here can move them");
    else if (rebalancing == REBALANCE_ADVISE && !drains)
        advise(b, &plan, "the pool's policy is to advise");
    else
        start_moves(b, &plan);
    plan_free(&plan);
    free(resting.at);
    free(left);
}

static enum reconcile_verdict reconcile(void *self, const char *key,
                                        int64_t *delay_us, struct error *err)
{
    struct rebalancer *b = self;
    if (b->c.leads && !b->c.leads(b->c.leads_arg))
        return RECONCILE_DONE;
    _autosnap_ struct snapshot *snap = cache_snapshot(b->c.cache);
    const struct pool_policy *policy =
        snap_get(snap, &kind_pool_policy, "pool");
    int rebalancing = policy ? policy->rebalancing : REBALANCE_ON;
    *delay_us = REBALANCE_LOOK_US;
    if (prune(b))
        return RECONCILE_AGAIN;
    view_follow(b->view, snap, env_now(b->c.env));
    bool drains = any_drains(b);
    if (drains || rebalancing != REBALANCE_OFF)
        plan_and_act(b, rebalancing, drains);
    if (!drains)
        *delay_us = REBALANCE_PASS_US;
    return RECONCILE_AGAIN;
}

/* ---- public -------------------------------------------------------------- */

struct rebalancer *rebalancer_new(const struct rebalancer_config *config)
{
    struct rebalancer *b = xcalloc(1, sizeof(*b));
    b->c = *config;
    b->view = view_new();
    pthread_mutex_init(&b->lock, NULL);
    b->queue =
        reconciler_new(LOG_NAME, reconcile, b, config->env, config->workers);
    cache_listen(config->cache, on_record, b);
    return b;
}

void rebalancer_start(struct rebalancer *b)
{
    reconciler_add_after(b->queue, KEY, REBALANCE_PASS_US);
}

struct reconciler *rebalancer_queue(struct rebalancer *b)
{
    return b->queue;
}

void rebalancer_free(struct rebalancer *b)
{
    if (!b)
        return;
    reconciler_stop(b->queue);
    while (b->n)
        forget(b, 0);
    free(b->movers);
    view_free(b->view);
    pthread_mutex_destroy(&b->lock);
    free(b);
}
