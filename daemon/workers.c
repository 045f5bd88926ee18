#include "daemon/workers.h"

#include "daemon/reach.h"
#include "rest-api/token.h"

#define SERVER_WORKERS     4
#define STORAGE_WORKERS    2
#define QUARANTINE_WORKERS 2
#define RECOVERY_WORKERS   3

static bool reaches(void *arg)
{
    const struct workers_config *c = &((struct workers *)arg)->config;
    return reach_most(c->cache, c->node, c->config->peer_port);
}

static bool storage_answers(void *arg)
{
    const struct workers_config *c = &((struct workers *)arg)->config;
    return drivers_storage_answers(c->drivers, c->config);
}

static int64_t lease_term(void *arg)
{
    return duty_ref_lease(((struct workers *)arg)->config.duty);
}

static void may_work(void *arg)
{
    server_reconciler_resync(((struct workers *)arg)->servers);
}

static void make_recovery(struct workers *w, const struct workers_config *c)
{
    w->quarantine = quarantine_new(&(struct quarantine_config){
        .store = c->store,
        .cache = c->cache,
        .hypervisor = c->drivers->hypervisor,
        .env = c->env,
        .node = c->node,
        .term = lease_term,
        .reaches = reaches,
        .probe = c->drivers->fence ? storage_answers : NULL,
        .opened = may_work,
        .arg = w,
        .workers = QUARANTINE_WORKERS,
    });
    w->recoverer = recoverer_new(&(struct recoverer_config){
        .store = c->store,
        .cache = c->cache,
        .env = c->env,
        .fence = c->drivers->fence,
        .node = c->node,
        .leads = duty_ref_leads,
        .guard = duty_ref_guard,
        .arg = c->duty,
        .workers = RECOVERY_WORKERS,
    });
}

/* What brings this node to its records. */
static void make_reconcilers(struct workers *w, const struct workers_config *c)
{
    w->servers = server_reconciler_new(&(struct server_reconciler_config){
        .store = c->store,
        .cache = c->cache,
        .hypervisor = c->drivers->hypervisor,
        .env = c->env,
        .node = c->node,
        .keyring = c->keyring,
        .enter = quarantine_enter,
        .leave = quarantine_leave,
        .gate = w->quarantine,
        .workers = SERVER_WORKERS,
    });
    w->carry =
        (struct carry){ c->config, c->cache, c->drivers->volumes, c->node };
    w->storage = storage_new(&(struct storage_config){
        .node = c->node,
        .volumes = c->drivers->volumes,
        .store = c->store,
        .cache = c->cache,
        .env = c->env,
        .keyring = c->keyring,
        .workers = STORAGE_WORKERS,
        .images_elsewhere = !c->founder && !c->drivers->volumes->own,
        .leads = duty_ref_leads,
        .leads_arg = c->duty,
        .fetch = carry_fetch,
        .fetch_arg = &w->carry,
    });
    w->networks = net_reconcile_new(c->cache, c->store, c->net, c->env, 1);
}

/* What decides for the pool, where it leads. */
static void make_controllers(struct workers *w, const struct workers_config *c)
{
    w->scheduler = scheduler_new(&(struct scheduler_config){
        .store = c->store,
        .cache = c->cache,
        .env = c->env,
        .guard = duty_ref_guard,
        .guard_arg = c->duty,
        .workers = 1,
    });
    w->mover =
        (struct mover){ c->store, c->cache, c->env, duty_ref_guard, c->duty };
    w->rebalancer = rebalancer_new(&(struct rebalancer_config){
        .cache = c->cache,
        .env = c->env,
        .move = mover_begin,
        .self = &w->mover,
        .leads = duty_ref_leads,
        .leads_arg = c->duty,
        .workers = 1,
    });
    w->housekeeper = housekeeper_new(&(struct housekeeper_config){
        .store = c->store,
        .cache = c->cache,
        .env = c->env,
        .rotate = tokens_rotate,
        .guard = duty_ref_guard,
        .guard_arg = c->duty,
        .workers = 1,
    });
}

void workers_make(struct workers *w, const struct workers_config *config)
{
    *w = (struct workers){ .config = *config };
    make_recovery(w, config);
    make_reconcilers(w, config);
    make_controllers(w, config);
}

void workers_start(struct workers *w)
{
    storage_start(w->storage);
    net_reconcile_start(w->networks);
    server_reconciler_resync(w->servers);
    /* The duty knows whether the machine has booted. */
    quarantine_start(w->quarantine,
                     pool_duty_booted(duty_ref_get(w->config.duty)));
    recoverer_start(w->recoverer); /* observes until it leads */
}

void workers_lead(struct workers *w)
{
    scheduler_start(w->scheduler);
    rebalancer_start(w->rebalancer);
    recoverer_start(w->recoverer);
    housekeeper_start(w->housekeeper);
    storage_lead(w->storage);
    net_reconcile_start(w->networks);
}

void workers_free(struct workers *w)
{
    scheduler_free(w->scheduler);
    rebalancer_free(w->rebalancer);
    recoverer_free(w->recoverer);
    housekeeper_free(w->housekeeper);
    quarantine_stop(w->quarantine);
    server_reconciler_free(w->servers);
    quarantine_free(w->quarantine);
    storage_free(w->storage);
    net_reconcile_free(w->networks);
    *w = (struct workers){ 0 };
}
