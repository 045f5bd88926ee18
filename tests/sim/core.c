#include "core.h"

#include "common/alloc.h"
#include "compute/quarantine.h"
#include "compute/server_reconcile.h"
#include "daemon/enroll.h"
#include "engine/housekeeping.h"
#include "engine/mover.h"
#include "engine/rebalancer.h"
#include "engine/recoverer.h"
#include "engine/scheduler.h"
#include "files.h"
#include "guests.h"
#include "model/image.h"
#include "model/pool.h"
#include "nets.h"
#include "network/net_reconcile.h"
#include "openstack-compat/bootstrap.h"
#include "rest-api/token.h"
#include "sim_fence.h"
#include "sim_hypervisor.h"
#include "sim_store.h"
#include "state/election.h"
#include "storage/storage_reconcile.h"

#include <string.h>

#define BEAT_US    (10 * SECOND_US)
#define QUEUES_MAX 12

struct core {
    struct world *w;
    struct sim_node *n;
    struct sim_end *end;
    struct store *store;
    struct cache *cache;
    struct hypervisor *hypervisor;
    struct volumes *volumes;
    struct net_driver *net;
    struct server_reconciler *servers;
    struct net_reconcile *networks;
    struct scheduler *scheduler;
    struct storage *storage;
    struct reconciler *beat;
    struct reconciler *queues[QUEUES_MAX];
    unsigned n_queues;
    /* Of a pool of many. */
    struct quarantine *quarantine;
    struct fence *fence;
    struct recoverer *recoverer;
    struct housekeeper *housekeeper;
    struct mover mover;
    struct rebalancer *rebalancer;
    struct election *presence, *leader; /* NULL: alone */
    bool lead; /* it has begun to lead: look at everything */
};

/* ---- first content ----------------------------------------------------------
 */

static void put(struct world *w, void *draft)
{
    struct txn_result result;
    _autotxn_ struct txn t = TXN_INIT;
    txn_put_record(&t, draft);
    if (!store_commit(w->store, &t, &result))
        world_broken(w, "first content: %s", result.err.text);
    record_unref(draft);
}

static void put_node(struct world *w, const struct sim_node *of)
{
    char address[32];
    struct node *n = record_new(&kind_node, of->name);
    n->replicated = world_has_ceph(w);
    n->hypervisor_id = rec_strf(n, "11111111-0000-4000-8000-%012u", of->number);
    n->availability_zone = "nova";
    if (world_is_pool(w))
        n->address = rec_str(n, sim_node_address(of, address));
    n->hypervisor_type = "QEMU";
    n->vcpus = 8;
    n->ram_mb = 16384;
    n->ram_reserved_mb = 1024;
    n->disk_gb = 300;
    n->cpu_overcommit = 4;
    n->ram_overcommit = 1;
    n->seen = n->created = w->time;
    put(w, n);
}

static const char *installation(char out[UUID_SIZE], const struct sim_node *n)
{
    snprintf(out, UUID_SIZE, "99999999-0000-4000-8000-%012u", n->number);
    return out;
}

static void put_member(struct world *w, const struct sim_node *of)
{
    char id[UUID_SIZE];
    struct member *m = record_new(&kind_member, of->name);
    m->node_id = rec_str(m, installation(id, of));
    m->address = rec_strf(m, "192.0.2.%u", of->number % 250);
    m->joined = w->time;
    put(w, m);
}

static void put_image(struct world *w)
{
    struct image *im = record_new(&kind_image, SIM_IMAGE);
    _autosnap_ struct snapshot *s = cache_snapshot(w->truth);
    const struct pool *pool = snap_get(s, &kind_pool, "pool");
    im->name = "cairn-guest";
    im->owner = rec_str(im, pool->admin_project_id);
    im->visibility = "public";
    im->container_format = "bare";
    im->disk_format = "qcow2";
    im->is_protected = true;
    im->status = IMAGE_QUEUED;
    files_upload(w->files, &w->nodes[0], "first", 1 << 20, UPLOAD_GOOD);
    im->status = IMAGE_CHECKING;
    im->upload_id = "first";
    im->node = w->nodes[0].name;
    im->size = 1 << 20;
    im->created = im->updated = w->time;
    put(w, im);
}

void core_first_content(struct world *w)
{
    struct error err = { 0 };
    struct bootstrap_opts opts = {
        .env = &w->env,
        .public_url = "https://cairn.test",
        .admin_password = SIM_ADMIN_PASSWORD,
        .demo_password = SIM_DEMO_PASSWORD,
        .password_cost = SIM_PASSWORD_COST,
        .replicated = world_has_ceph(w),
        .external_cidr = "203.0.113.0/26",
        .external_gateway = "203.0.113.1",
    };
    _autosnap_ struct snapshot *s = cache_snapshot(w->truth);
    if (!bootstrap(w->store, s, &opts, &err)) {
        world_broken(w, "bootstrap: %s", err.text);
        return;
    }
    for (unsigned i = 0; i < w->n_nodes; i++)
        put_node(w, &w->nodes[i]);
    for (unsigned i = 0; world_is_pool(w) && i < w->n_nodes; i++)
        put_member(w, &w->nodes[i]);
    put_image(w);
}

/* ---- the sign of life (daemon/node_record.c needs a real libvirt)
 * ------------ */

static enum reconcile_verdict beat(void *self, const char *key,
                                   int64_t *delay_us, struct error *err)
{
    struct core *c = self;
    struct txn_result result;
    _autotxn_ struct txn t = TXN_INIT;
    _autosnap_ struct snapshot *s = cache_snapshot(c->cache);
    const struct node *was = snap_get(s, &kind_node, c->n->name);
    if (!was)
        return RECONCILE_DONE; /* it is no member any more */
    _autorecord_ struct node *node = record_copy(was);
    node->seen = c->w->time;
    txn_change_record(&t, node);
    if (!store_commit(c->store, &t, &result)) {
        error_copy(err, &result.err);
        return RECONCILE_RETRY;
    }
    *delay_us = world_is_large(c->w) || !c->w->chaos ? 4 * BEAT_US : BEAT_US;
    return RECONCILE_AGAIN;
}

/* ---- leading
 * ------------------------------------------------------------------ */

int64_t core_term(const struct sim_node *n)
{
    return world_is_pool(n->w) && n->core ? election_term(n->core->leader) : 0;
}

bool core_leads(const struct sim_node *n)
{
    return !world_is_pool(n->w) || core_term(n);
}

static bool guard(void *arg, struct txn *t)
{
    struct core *c = arg;
    return !c->leader || election_guard(c->leader, t);
}

static void on_leader(void *arg, int64_t term)
{
    struct core *c = arg;
    c->lead |= term != 0;
    node_event(c->n, "leads: term %lld", (long long)term);
}

static struct election *elect(struct core *c, const char *name, bool stand)
{
    struct error err;
    bool leads = strcmp(name, "leader") == 0;
    struct election_config config = {
        .store = c->store,
        .env = &c->w->env,
        .name = name,
        .candidate = stand ? c->n->name : NULL,
        .changed = leads ? on_leader : NULL,
        .arg = c,
        .manual = true,
    };
    return election_new(&config, &err);
}

static void stand(struct core *c)
{
    char presence[ELECTION_NAME_MAX], id[UUID_SIZE];
    if (!world_is_pool(c->w))
        return;
    snprintf(presence, sizeof(presence), ELECTION_NODES "%s",
             installation(id, c->n));
    c->presence = elect(c, presence, true);
    c->leader = elect(c, "leader", c->n->number <= CORE_STANDING);
}

/* What one node does for all, from the start (daemon/core.c). */
static void look_at_everything(struct core *c)
{
    c->lead = false;
    scheduler_start(c->scheduler);
    rebalancer_start(c->rebalancer);
    recoverer_start(c->recoverer);
    housekeeper_start(c->housekeeper);
    storage_lead(c->storage);
    net_reconcile_start(c->networks);
}

static bool step_elections(struct core *c)
{
    if (!c->leader)
        return false;
    if (c->lead && core_leads(c->n)) {
        look_at_everything(c);
        return true;
    }
    int64_t now = c->w->time;
    return (election_due(c->presence) <= now && election_step(c->presence)) ||
           (election_due(c->leader) <= now && election_step(c->leader));
}

/* ---- life
 * --------------------------------------------------------------------- */

static bool leads(void *arg)
{
    return core_leads(((struct core *)arg)->n);
}

static int64_t own_term(void *arg)
{
    return election_term(((struct core *)arg)->presence);
}

static bool reaches_peers(void *arg)
{
    const struct sim_node *n = ((struct core *)arg)->n;
    return !(sim_node_cut(n) & CUT_STORE) || n->cut_from_store_only;
}

static bool storage_answers(void *arg)
{
    const struct sim_node *n = ((struct core *)arg)->n;
    return !(sim_node_cut(n) & CUT_FILES); /* the monitors, that is */
}

static void opened(void *arg)
{
    server_reconciler_resync(((struct core *)arg)->servers);
}

/* Before the reconciler of servers, which asks it. */
static void make_quarantine(struct core *c)
{
    struct quarantine_config config = {
        .store = c->store,
        .cache = c->cache,
        .hypervisor = c->hypervisor,
        .env = &c->w->env,
        .node = c->n->name,
        .term = own_term,
        .reaches = reaches_peers,
        .probe = world_has_ceph(c->w) ? storage_answers : NULL,
        .opened = opened,
        .arg = c,
    };
    c->quarantine = quarantine_new(&config);
}

static void make_controllers(struct core *c)
{
    if (world_has_ceph(c->w))
        c->fence = sim_fence_open(c->n);
    struct recoverer_config recoverer = {
        .store = c->store,
        .cache = c->cache,
        .env = &c->w->env,
        .fence = c->fence,
        .node = c->n->name,
        .leads = leads,
        .guard = guard,
        .arg = c,
    };
    struct housekeeper_config housekeeper = {
        .store = c->store,
        .cache = c->cache,
        .env = &c->w->env,
        .rotate = tokens_rotate,
        .guard = guard,
        .guard_arg = c,
    };
    c->recoverer = recoverer_new(&recoverer);
    c->housekeeper = housekeeper_new(&housekeeper);
    c->mover = (struct mover){ c->store, c->cache, &c->w->env, guard, c };
    c->rebalancer = rebalancer_new(&(struct rebalancer_config){
        .cache = c->cache,
        .env = &c->w->env,
        .move = mover_begin,
        .self = &c->mover,
        .leads = leads,
        .leads_arg = c,
    });
}

static void make_parts(struct core *c)
{
    const struct env *env = &c->w->env;
    struct server_reconciler_config servers = {
        .store = c->store,
        .cache = c->cache,
        .hypervisor = c->hypervisor,
        .env = env,
        .node = c->n->name,
    };
    struct scheduler_config scheduler = {
        .store = c->store,
        .cache = c->cache,
        .env = env,
        .guard = guard,
        .guard_arg = c,
    };
    struct storage_config storage = {
        .node = c->n->name,
        .volumes = c->volumes,
        .store = c->store,
        .cache = c->cache,
        .env = env,
        .images_elsewhere = c->w->local && c->n->number != 1,
        .leads = leads,
        .leads_arg = c,
        .fetch = files_fetch,
        .fetch_arg = c->n,
    };
    if (world_is_pool(c->w)) {
        make_quarantine(c);
        make_controllers(c);
        servers.enter = quarantine_enter;
        servers.leave = quarantine_leave;
        servers.gate = c->quarantine;
    }
    c->servers = server_reconciler_new(&servers);
    c->networks = net_reconcile_new(c->cache, c->store, c->net, env, 0);
    c->scheduler = scheduler_new(&scheduler);
    c->storage = storage_new(&storage);
    c->beat = reconciler_new("beat", beat, c, env, 0);
}

static void start_parts(struct core *c)
{
    server_reconciler_resync(c->servers);
    net_reconcile_start(c->networks);
    scheduler_start(c->scheduler);
    storage_start(c->storage);
    reconciler_add(c->beat, c->n->name);
    struct reconciler *queues[] = {
        server_reconciler_queue(c->servers),
        net_reconcile_queue(c->networks),
        scheduler_queue(c->scheduler),
        storage_queue(c->storage, 0),
        storage_queue(c->storage, 1),
        storage_queue(c->storage, 2),
        c->beat,
    };
    for (size_t i = 0; i < ARRAY_SIZE(queues); i++)
        c->queues[c->n_queues++] = queues[i];
    if (!world_is_pool(c->w))
        return;
    quarantine_start(c->quarantine, c->n->booted);
    c->n->booted = false;
    recoverer_start(c->recoverer);
    c->queues[c->n_queues++] = quarantine_queue(c->quarantine);
    c->queues[c->n_queues++] = recoverer_queue(c->recoverer);
    c->queues[c->n_queues++] = housekeeper_queue(c->housekeeper);
    c->queues[c->n_queues++] = rebalancer_queue(c->rebalancer);
}

struct core *core_start(struct sim_node *n)
{
    struct core *c = xcalloc(1, sizeof(*c));
    struct error err;
    struct world *w = n->w;
    c->w = w;
    c->n = n;
    c->end = sim_end_open(n, "core", true);
    c->store = sim_end_store(c->end);
    c->cache = cache_new(model_kinds, N_KINDS);
    cache_set_manual(c->cache);
    c->hypervisor = sim_hypervisor_open(n->guests);
    c->volumes = files_open(w->files, n);
    c->net = nets_open(w->nets, n);
    make_parts(c);
    if (!cache_follow(c->cache, c->store, &err))
        world_broken(w, "the core's cache: %s", err.text);
    stand(c);
    start_parts(c);
    return c;
}

void core_stop(struct core *c)
{
    struct sim_node *n = c->n;
    bool dying = n->core_dying;
    n->core_dying = true; /* nothing that still runs has an effect */
    files_let_go(n->w->files, n);
    cache_unfollow(c->cache);
    server_reconciler_free(c->servers);
    net_reconcile_free(c->networks);
    scheduler_free(c->scheduler);
    rebalancer_free(c->rebalancer);
    recoverer_free(c->recoverer);
    housekeeper_free(c->housekeeper);
    quarantine_free(c->quarantine);
    sim_fence_close(c->fence);
    storage_free(c->storage);
    reconciler_stop(c->beat);
    c->hypervisor->ops->close(c->hypervisor);
    c->volumes->ops->close(c->volumes);
    network_close(c->net);
    election_free(c->presence, false);
    election_free(c->leader, false);
    cache_free(c->cache);
    sim_end_close(c->end);
    n->core_dying = dying;
    free(c);
}

void core_face_starts(struct core *c)
{
    storage_interrupted(c->storage);
}

bool core_remove_node(struct core *c, const char *name, struct error *err)
{
    return enroll_remove(c->store, c->cache, &c->w->env, name, err);
}

bool core_hear(struct core *c)
{
    if (sim_node_cut(c->n) & CUT_STORE)
        return false;
    if (c->w->chaos && chance_permille(c->w, 3))
        sim_end_lose(c->end);
    if (chance_percent(c->w, 50) && cache_relist(c->cache))
        return true;
    return sim_end_deliver(c->end) || cache_relist(c->cache);
}

bool core_step(struct core *c)
{
    uint64_t first = chance(c->w, c->n_queues), pick = chance(c->w, 1 << 16);
    if (step_elections(c))
        return true;
    for (uint64_t i = 0; i < c->n_queues; i++)
        if (reconciler_step(c->queues[(first + i) % c->n_queues], pick))
            return true;
    return false;
}

struct snapshot *core_snapshot(struct core *c)
{
    return cache_snapshot(c->cache);
}

int64_t core_revision(struct core *c)
{
    return cache_revision(c->cache);
}

int64_t core_due(struct core *c)
{
    int64_t due = INT64_MAX;
    for (unsigned i = 0; i < c->n_queues; i++) {
        int64_t d = reconciler_next_due(c->queues[i]);
        due = d < due ? d : due;
    }
    if (c->leader) {
        int64_t a = election_due(c->presence), b = election_due(c->leader);
        due = a < due ? a : due;
        due = b < due ? b : due;
    }
    bool hears = !(sim_node_cut(c->n) & CUT_STORE);
    return hears && sim_end_waiting(c->end) ? c->w->time : due;
}
