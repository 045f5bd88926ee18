#include "daemon/core.h"

#include "common/cleanup.h"
#include "common/log.h"
#include "compute/kvm_probe.h"
#include "compute/libvirt_driver.h"
#include "daemon/api_pki.h"
#include "daemon/ceph_node.h"
#include "daemon/core_face.h"
#include "daemon/etcd_member.h"
#include "daemon/etcd_upkeep.h"
#include "daemon/first_content.h"
#include "daemon/guest_pki.h"
#include "daemon/measure.h"
#include "daemon/node.h"
#include "daemon/peers.h"
#include "daemon/pool_store.h"
#include "daemon/renewal.h"
#include "daemon/service_watch.h"
#include "daemon/workers.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#define LIBVIRT_WAIT_MS 2000

struct core {
    const struct config *config;
    const struct env *env;
    struct place place;
    struct node_services *services; /* NULL: others start the daemons */
    struct service_watch *members;  /* tells them who is in the pool */
    struct kvm_probe_result kvm;
    struct pki pki;
    struct pki api_pki; /* what the face shows */
    struct membership pool;
    struct peers *peers;
    struct duty_ref duty;
    struct store *store;
    struct cache *cache;
    struct ceph_node *ceph; /* NULL: volumes are elsewhere */
    struct drivers drivers;
    struct metadata *metadata;
    struct net_driver *net;
    struct keyring keyring; /* of encrypted volumes */
    struct workers workers;
    struct node_beat *beat;
    struct measure *measure;
    struct broker broker; /* what face and other nodes may ask */
    struct core_face face;
    struct renewal *renewal, *api_renewal;
    struct etcd_upkeep *upkeep; /* of this node's member of etcd */
    bool following;
};

static bool open_pki(struct core *c, struct error *err)
{
    const struct place *p = &c->place;
    int64_t now = env_now(c->env);
    return !c->config->tls ||
           (pki_open(p->pki_dir, p->names, now, &c->pki, err) &&
            api_pki_open(p->pki_dir, p->names, now, &c->api_pki, err));
}

/* Without a CA there is nothing to wrap keys with; then encrypted volumes are
 * refused where they would be made. */
static void open_keyring(struct core *c)
{
    struct error err;
    if (!c->config->tls)
        return;
    _autofree_ char *ca_key = xasprintf("%s/ca.key", c->place.pki_dir);
    c->keyring.there =
        guest_pki_secret(ca_key, "cairn volume keys", c->keyring.key, &err);
    if (!c->keyring.there)
        log_warn("core", "no key for encrypted volumes: %s", err.text);
}

/* ---- what acts on the node --------------------------------------------- */

static void probe_kvm(struct core *c)
{
    const struct kvm_probe_opts opts = { 0 };
    struct error err = { 0 };
    if (access("/dev/kvm", F_OK) != 0)
        snprintf(c->kvm.reason, sizeof(c->kvm.reason), "there is no /dev/kvm");
    else if (!kvm_probe(&opts, &c->kvm, &err))
        snprintf(c->kvm.reason, sizeof(c->kvm.reason), "%.200s", err.text);
    if (c->kvm.usable)
        log_info("core", "guests run with KVM");
    else
        log_info("core", "guests run without KVM: %s", c->kvm.reason);
}

static const char *socket_path(const char *database)
{
    return database + strlen("unix:");
}

static bool open_network(struct core *c, struct error *err)
{
    static const char *const no_dns[] = { NULL };
    const struct config *cf = c->config;
    struct metadata_config meta = {
        .ovs_socket = socket_path(cf->ovs_db),
        .bridge = "br-int",
        .node = c->place.node,
        .listener = core_face_listener,
        .arg = &c->face,
    };
    c->metadata = metadata_open(&meta, err);
    if (!c->metadata)
        log_warn("core", "no metadata service for guests: %s", err->text);
    error_clear(err);
    struct ovn_config ovn = {
        .nb_socket = socket_path(cf->ovn_nb),
        .nb = { .chassis = c->place.node, .dns_servers = no_dns },
        .term = duty_ref_term,
        .term_arg = &c->duty,
        .metadata = c->metadata,
    };
    c->net = ovn_open(&ovn);
    return c->net || error_set(err, ERR_INTERNAL, "OVN cannot be used");
}

static void make_workers(struct core *c)
{
    open_keyring(c);
    workers_make(&c->workers, &(struct workers_config){
                                  .config = c->config,
                                  .env = c->env,
                                  .store = c->store,
                                  .cache = c->cache,
                                  .drivers = &c->drivers,
                                  .net = c->net,
                                  .duty = &c->duty,
                                  .keyring = &c->keyring,
                                  .node = c->place.node,
                                  .founder = c->pool.founder,
                              });
}

static void lead(void *arg)
{
    struct core *c = arg;
    workers_lead(&c->workers);
}

static bool start_node(struct core *c, struct error *err)
{
    libvirt_await(c->drivers.hypervisor,
                  LIBVIRT_WAIT_MS); /* else as it comes */
    struct node_config node = {
        .env = c->env,
        .store = c->store,
        .cache = c->cache,
        .hypervisor = c->drivers.hypervisor,
        .volumes = c->drivers.volumes,
        .name = c->place.node,
        .address = place_address(&c->place),
        .storage_address = c->ceph ? ceph_node_address(c->ceph) : NULL,
        .kvm = c->kvm.usable,
        .kvm_reason = c->kvm.reason,
        .passthrough = c->config->passthrough_devices,
        .mdev_types = c->config->mdev_types,
        .sys = "/sys",
        .pinned_cpus = c->config->pinned_cpus,
    };
    c->beat = node_beat_start(&node, err);
    if (!c->beat)
        return false;
    struct measure_config measure = { .env = c->env,
                                      .store = c->store,
                                      .cache = c->cache,
                                      .hypervisor = c->drivers.hypervisor,
                                      .node = c->place.node,
                                      .proc = "/proc",
                                      .sys = "/sys" };
    c->measure = measure_start(&measure, err);
    if (!c->measure)
        return false;
    workers_start(&c->workers);
    pool_duty_start(duty_ref_get(&c->duty));
    return true;
}

/* ---- the face ---------------------------------------------------------- */

static bool start_face(struct core *c, struct error *err)
{
    return core_face_start(&c->face,
                           &(struct core_face_config){
                               .place = &c->place,
                               .pki = &c->api_pki,
                               .broker = c->broker,
                               .metadata = c->metadata,
                               .storage = c->workers.storage,
                           },
                           err);
}

static void on_renewed(void *arg, const struct pki *pki)
{
    struct core *c = arg;
    node_services_renewed(c->services);
}

static void on_api_renewed(void *arg, const struct pki *pki)
{
    struct core *c = arg;
    core_face_certificate(&c->face, pki);
}

static void start_renewal(struct core *c)
{
    struct renewal_config own = {
        .env = c->env,
        .open = pki_open,
        .whose = "the node",
        .dir = c->place.pki_dir,
        .names = c->place.names,
        .cert = c->pki.cert,
        .changed = on_renewed,
        .arg = c,
        .workers = 1,
    };
    struct renewal_config api = own;
    api.open = api_pki_open;
    api.whose = "the API";
    api.cert = c->api_pki.cert;
    api.changed = on_api_renewed;
    if (!c->config->tls)
        return;
    c->renewal = renewal_start(&own);
    c->api_renewal = renewal_start(&api);
}

/* Whether there is a member it sees each time. */
static void start_upkeep(struct core *c)
{
    char url[ETCD_PLACE_MAX];
    if (!c->services)
        return;
    etcd_client_url(place_address(&c->place), url);
    c->upkeep = etcd_upkeep_start(&(struct etcd_upkeep_config){
        .env = c->env, .config = c->config, .url = url, .workers = 1 });
}

/* ---- all together ------------------------------------------------------ */

/* False: we are to stop. */
static bool wait_a_moment(int ms)
{
    const struct timespec moment = { ms / 1000, ms % 1000 * 1000000L };
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    return sigtimedwait(&set, NULL, &moment) < 0;
}

/* Until enough of etcd's members answer: when a pool is switched on, they
 * come one after the other. */
static bool open_store(struct core *c, struct error *err)
{
    c->cache = cache_new(model_kinds, N_KINDS);
    if (!c->pool.founder && !pool_store_in_etcd(c->config))
        return error_set(err, ERR_INTERNAL,
                         "where the state of the pool is was lost: %s/store",
                         c->config->state_dir);
    while (!(c->store = pool_store_open(c->config, c->env, err))) {
        if (err->code != ERR_UNAVAILABLE && err->code != ERR_UNKNOWN)
            return false;
        log_limited(LOG_WARN, "core", "no state yet: %s", err->text);
        if (!wait_a_moment(1000))
            return false;
    }
    return true;
}

/* ---- the pool ---------------------------------------------------------- */

/* What is known before any daemon runs: does this node have a pool? */
static bool read_membership(struct core *c, struct error *err)
{
    const struct config *cf = c->config;
    if (membership_load(&c->pool, cf->state_dir, err))
        return true;
    if (err->code != ERR_NONE)
        return false;
    membership_found(&c->pool, cf->pool_name, c->env);
    c->pool.founder = !cf->join;
    return !c->pool.founder || membership_save(&c->pool, cf->state_dir, err);
}

/* Until a pool takes us in. */
static bool enter_pool(struct core *c, struct error *err)
{
    if (c->pool.founder || c->pool.n_members)
        return true;
    while (!peers_join(&c->pool, c->config, c->env, c->place.node,
                       place_address(&c->place), err)) {
        log_limited(LOG_WARN, "core", "not in a pool yet: %s", err->text);
        if (!wait_a_moment(1000))
            return false;
    }
    log_info("core", "joined the pool %s (%s)", c->pool.pool_name,
             c->pool.pool_id);
    return true;
}

static bool make_content(struct core *c, struct error *err)
{
    return !c->pool.founder ||
           first_content_make(c->config, c->place.public_url, c->store,
                              c->cache, c->env, err);
}

static bool open_duty(struct core *c, struct error *err)
{
    atomic_store(&c->duty.duty, pool_duty_open(
                                    &(struct pool_duty_config){
                                        .env = c->env,
                                        .config = c->config,
                                        .pool = &c->pool,
                                        .store = c->store,
                                        .cache = c->cache,
                                        .services = c->services,
                                        .node = c->place.node,
                                        .address = place_address(&c->place),
                                        .lead = lead,
                                        .arg = c,
                                    },
                                    err));
    return duty_ref_get(&c->duty) != NULL;
}

static bool make_room(void *arg, struct error *err)
{
    struct core *c = arg;
    return pool_duty_make_room(duty_ref_get(&c->duty), err);
}

static bool share(void *arg, struct buf *out, struct error *err)
{
    struct core *c = arg;
    return c->ceph ? ceph_node_share(c->ceph, out, err)
                   : error_set(err, ERR_UNAVAILABLE, "this node runs no Ceph");
}

static void give(void *arg, struct peer *peer, const char *from)
{
    struct core *c = arg;
    carry_answer(&c->workers.carry, peer, from);
}

static bool ask_node(void *arg, const char *node, const char *op,
                     const char *json, struct buf *out, struct error *err)
{
    struct core *c = arg;
    return peers_ask_node(c->cache, c->config, node, op, json, out, err);
}

static char *who_leads(void *arg)
{
    struct core *c = arg;
    struct pool_duty *duty = duty_ref_get(&c->duty);
    return duty ? pool_duty_leader(duty) : NULL;
}

static bool answer_node(void *arg, const char *op, const char *json,
                        struct buf *out, struct error *err)
{
    struct core *c = arg;
    return broker_answer(&c->broker, op, json, out, err);
}

static void make_broker(struct core *c)
{
    c->broker = (struct broker){
        .volumes = c->drivers.volumes,
        .hypervisor = c->drivers.hypervisor,
        .networks = c->workers.networks,
        .store = c->store,
        .cache = c->cache,
        .env = c->env,
        .node = c->place.node,
        .ask = c->config->tls ? ask_node : NULL,
        .leader = who_leads,
        .arg = c,
    };
}

static bool open_peers(struct core *c, struct error *err)
{
    struct peers_config config = {
        .env = c->env,
        .address = place_bind_address(&c->place),
        .port = c->config->peer_port,
        .pki = &c->pki,
        .pool = &c->pool,
        .store = c->store,
        .cache = c->cache,
        .state_dir = c->config->state_dir,
        .make_room = make_room,
        .share = share,
        .give = give,
        .answer = answer_node,
        .arg = c,
    };
    if (!c->config->tls) /* without a CA there is no pool of many */
        return true;
    if (!peers_enroll(c->store, c->cache, c->env, &c->pool, c->place.node,
                      place_address(&c->place), err) ||
        (c->pool.founder &&
         !peers_accept_secret(c->store, c->cache, c->env,
                              c->config->join_secret_file, err)))
        return false;
    c->peers = peers_start(&config, err);
    if (!c->peers)
        log_warn("core", "no node can join here: %s", err->text);
    error_clear(err);
    return true;
}

static bool follow(struct core *c, struct error *err)
{
    c->following = cache_follow(c->cache, c->store, err);
    return c->following;
}

/* First of all: our address may be on a bridge of the switch. */
static bool start_services(struct core *c, struct error *err)
{
    if (!c->config->services)
        return true;
    c->services = node_services_start(c->config, c->env, c->place.node, err);
    return c->services != NULL;
}

/* Until there is a place for volumes. */
static bool start_ceph(struct core *c, struct error *err)
{
    if (!ceph_node_wanted(c->config))
        return true;
    c->ceph = ceph_node_start(&(struct ceph_node_config){ .config = c->config,
                                                          .env = c->env,
                                                          .node = c->place.node,
                                                          .pool = &c->pool },
                              err);
    if (!c->ceph)
        return false;
    while (!ceph_node_settle(c->ceph, err)) {
        log_limited(LOG_WARN, "core", "no volumes yet: %s", err->text);
        if (!wait_a_moment(err->code == ERR_BUSY ? 100 : 1000))
            return false;
    }
    return true;
}

static bool core_start(struct core *c, struct error *err)
{
    place_init(&c->place, c->config);
    if (!place_take(&c->place, err) || !read_membership(c, err) ||
        !start_services(c, err) || !enter_pool(c, err) || !open_pki(c, err) ||
        !place_listen(&c->place, err) || !open_store(c, err))
        return false;
    probe_kvm(c);
    if (!start_ceph(c, err) ||
        !drivers_open(&c->drivers, c->config, c->kvm.usable, c->cache, c->env,
                      err) ||
        !open_network(c, err))
        return false;
    make_workers(c);
    make_broker(c);
    if (c->services)
        c->members = service_watch_new(c->cache, c->services, c->env);
    if (!follow(c, err) || !open_duty(c, err) || !make_content(c, err) ||
        !open_peers(c, err))
        return false;
    if (c->ceph)
        ceph_node_follow(c->ceph, c->store, c->cache, duty_ref_leads, &c->duty);
    if (c->members)
        service_watch_start(c->members);
    /* The API answers before the node is at work, whatever that waits for. */
    storage_interrupted(c->workers.storage);
    if (!start_face(c, err))
        return false;
    start_renewal(c);
    start_upkeep(c);
    if (c->services)
        node_services_await(c->services);
    return start_node(c, err);
}

static void core_stop(struct core *c)
{
    struct pool_duty *duty = duty_ref_get(&c->duty);
    renewal_stop(c->renewal);
    renewal_stop(c->api_renewal);
    etcd_upkeep_stop(c->upkeep);
    core_face_stop(&c->face);
    peers_stop(c->peers);
    node_beat_goodbye(c->beat);
    pool_duty_stop(duty);
    node_beat_stop(c->beat);
    measure_stop(c->measure);
    ceph_node_free(c->ceph);
    if (c->following)
        cache_unfollow(c->cache);
    workers_free(&c->workers);
    network_close(c->net);
    metadata_close(c->metadata);
    drivers_close(&c->drivers);
    pool_duty_free(duty);
    cache_free(c->cache);
    store_close(c->store);
    service_watch_free(c->members);
    node_services_free(c->services);
    pki_close(&c->pki);
    pki_close(&c->api_pki);
    place_free(&c->place);
    pthread_mutex_destroy(&c->face.lock);
}

static void block_signals(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGHUP);
    pthread_sigmask(SIG_BLOCK, set, NULL);
    signal(SIGPIPE, SIG_IGN);
}

/* Until a signal ends us; SIGHUP asks to look at the certificate. */
static int await_end(struct core *c, const sigset_t *set)
{
    int sig = 0;
    while (sigwait(set, &sig) == 0 && sig == SIGHUP) {
        renewal_look(c->renewal);
        renewal_look(c->api_renewal);
    }
    return sig;
}

int core_run_services(const struct config *config)
{
    /* Without a pool there are no certificates to wait for. */
    struct config alone = *config;
    alone.tls = false;
    struct core c = { .config = &alone, .env = &env_system };
    struct error err = { 0 };
    sigset_t set;
    block_signals(&set);
    place_init(&c.place, &alone);
    bool ok = place_take(&c.place, &err) && read_membership(&c, &err) &&
              start_services(&c, &err);
    if (ok) {
        struct service_member self = { .address = "127.0.0.1" };
        snprintf(self.name, sizeof(self.name), "%s", c.place.node);
        node_services_members(c.services, &self, 1);
        node_services_await(c.services);
        await_end(&c, &set);
    } else {
        log_err("core", "%s", err.text);
    }
    node_services_free(c.services);
    place_free(&c.place);
    return ok ? 0 : 1;
}

int core_run(const struct config *config)
{
    struct core c = {
        .config = config,
        .env = &env_system,
        .face = CORE_FACE_INIT,
    };
    struct error err = { 0 };
    sigset_t set;
    block_signals(&set);
    bool ok = core_start(&c, &err);
    if (ok) {
        log_info("core", "node %s is up, API at %s", c.place.node,
                 c.place.public_url);
        log_info("core", "%s, stopping", strsignal(await_end(&c, &set)));
    } else {
        log_err("core", "%s", err.text);
    }
    core_stop(&c);
    return ok ? 0 : 1;
}
