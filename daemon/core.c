#include "daemon/core.h"

#include "common/cleanup.h"
#include "common/log.h"
#include "compute/kvm_probe.h"
#include "compute/libvirt_driver.h"
#include "compute/quarantine.h"
#include "compute/server_reconcile.h"
#include "daemon/broker.h"
#include "daemon/ceph_node.h"
#include "daemon/drivers.h"
#include "daemon/etcd_member.h"
#include "daemon/etcd_upkeep.h"
#include "daemon/face_runner.h"
#include "daemon/measure.h"
#include "daemon/node.h"
#include "daemon/node_services.h"
#include "daemon/peers.h"
#include "daemon/pool_duty.h"
#include "daemon/pool_store.h"
#include "daemon/reach.h"
#include "daemon/renewal.h"
#include "daemon/service_watch.h"
#include "engine/housekeeping.h"
#include "engine/mover.h"
#include "engine/rebalancer.h"
#include "engine/recoverer.h"
#include "engine/scheduler.h"
#include "network/net_reconcile.h"
#include "network/ovn.h"
#include "openstack-compat/bootstrap.h"
#include "openstack-compat/face_rights.h"
#include "rest-api/pki.h"
#include "rest-api/token.h"
#include "storage/storage_reconcile.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define NOBODY           65534
#define LISTEN_QUEUE     1024
#define BIND_TRIES       200
#define BIND_PAUSE_US    10000
#define LIBVIRT_WAIT_MS  2000
#define WORKERS          4
#define FACE_CONNECTIONS 1000
#define PASSWORD_LINE    1024
#define BOOTSTRAP_TRIES  5

struct core {
    const struct config *config;
    const struct env *env;
    int lock, listen;
    char node[64], host[64]; /* our name; the address of listen */
    int port;
    char *public_url, *face_root;
    struct node_services *services; /* NULL: others start the daemons */
    struct service_watch *members;  /* tells them who is in the pool */
    struct kvm_probe_result kvm;
    struct pki pki;
    struct membership pool;
    struct peers *peers;
    _Atomic(struct pool_duty *) duty;
    struct store *store;
    struct cache *cache;
    struct ceph_node *ceph; /* NULL: volumes are elsewhere */
    struct drivers drivers;
    struct metadata *metadata;
    struct net_driver *net;
    struct quarantine *quarantine;
    struct server_reconciler *servers;
    struct storage *storage;
    struct net_reconcile *networks;
    struct scheduler *scheduler;
    struct mover mover;
    struct rebalancer *rebalancer;
    struct recoverer *recoverer;
    struct housekeeper *housekeeper;
    struct node_beat *beat;
    struct measure *measure;
    struct broker broker;
    pthread_mutex_t face_lock; /* face */
    struct face_runner *face;
    struct renewal *renewal;
    struct etcd_upkeep *upkeep; /* of this node's member of etcd */
    bool following;
};

/* ---- places and names -------------------------------------------------- */

static bool make_dir(const char *path, mode_t mode, struct error *err)
{
    if (mkdir(path, mode) == 0 || errno == EEXIST)
        return true;
    return error_errno(err, ERR_INTERNAL, errno, "%s", path);
}

static char *in_state_dir(const struct core *c, const char *name)
{
    return xasprintf("%s/%s", c->config->state_dir, name);
}

/* One cairnd to a state directory. */
static bool take_places(struct core *c, struct error *err)
{
    const struct config *cf = c->config;
    c->face_root = xasprintf("%s/face", cf->run_dir);
    if (!make_dir(cf->state_dir, 0711, err) ||
        !make_dir(cf->run_dir, 0755, err) || !make_dir(c->face_root, 0555, err))
        return false;
    _autofree_ char *path = in_state_dir(c, "lock");
    c->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (c->lock < 0)
        return error_errno(err, ERR_INTERNAL, errno, "%s", path);
    return flock(c->lock, LOCK_EX | LOCK_NB) == 0 ||
           error_set(err, ERR_CONFLICT, "%s: another cairnd runs here", path);
}

static bool is_any(const char *host)
{
    return strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0;
}

static const char *own_address(const struct core *c)
{
    return is_any(c->host) ? "127.0.0.1" : c->host;
}

static void choose_names(struct core *c)
{
    const struct config *cf = c->config;
    char name[64] = "";
    gethostname(name, sizeof(name) - 1);
    snprintf(c->node, sizeof(c->node), "%s",
             *cf->node_name ? cf->node_name : name);
    config_split_address(cf->listen, c->host, &c->port);
    const char *host = is_any(c->host) ? c->node : c->host;
    const char *scheme = cf->tls ? "https" : "http";
    bool v6 = strchr(host, ':') != NULL;
    bool usual = c->port == (cf->tls ? 443 : 80);
    _autofree_ char *port = usual ? xstrdup("") : xasprintf(":%d", c->port);
    c->public_url = *cf->public_url
                        ? xstrdup(cf->public_url)
                        : xasprintf("%s://%s%s%s%s", scheme, v6 ? "[" : "",
                                    host, v6 ? "]" : "", port);
}

/* The host in "https://host:port". */
static char *url_host(const char *url)
{
    const char *host = strstr(url, "://") + 3;
    bool v6 = *host == '[';
    return v6 ? xstrndup(host + 1, strcspn(host + 1, "]"))
              : xstrndup(host, strcspn(host, ":"));
}

/* The names in our certificate, up to NULL. */
static void server_names(struct core *c, const char *url, const char *names[4])
{
    names[0] = c->node;
    names[1] = url;
    names[2] = is_any(c->host) ? NULL : c->host;
    names[3] = NULL;
}

static bool open_pki(struct core *c, struct error *err)
{
    if (!c->config->tls)
        return true;
    _autofree_ char *dir = in_state_dir(c, "pki");
    _autofree_ char *url = url_host(c->public_url);
    const char *names[4];
    server_names(c, url, names);
    return pki_open(dir, names, env_now(c->env), &c->pki, err);
}

/* The face of a cairnd that was killed has the address until it notices that
 * it is alone: whoever starts us at once must not fail for that. */
static bool bind_soon(int fd, const struct sockaddr *sa, socklen_t len)
{
    for (int i = 0; i < BIND_TRIES; i++) {
        if (bind(fd, sa, len) == 0)
            return true;
        if (errno != EADDRINUSE)
            return false;
        usleep(BIND_PAUSE_US);
    }
    errno = EADDRINUSE;
    return false;
}

static bool open_listener(struct core *c, struct error *err)
{
    struct sockaddr_storage sa = { 0 };
    struct sockaddr_in *v4 = (void *)&sa;
    struct sockaddr_in6 *v6 = (void *)&sa;
    bool six = strchr(c->host, ':') != NULL;
    int one = 1;
    sa.ss_family = six ? AF_INET6 : AF_INET;
    if (six) {
        inet_pton(AF_INET6, c->host, &v6->sin6_addr);
        v6->sin6_port = htons((uint16_t)c->port);
    } else {
        inet_pton(AF_INET, c->host, &v4->sin_addr);
        v4->sin_port = htons((uint16_t)c->port);
    }
    c->listen =
        socket(sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (c->listen < 0 ||
        setsockopt(c->listen, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) !=
            0 ||
        !bind_soon(c->listen, (void *)&sa, six ? sizeof(*v6) : sizeof(*v4)) ||
        listen(c->listen, LISTEN_QUEUE) != 0)
        return error_errno(err, ERR_INTERNAL, errno, "cannot listen on %s",
                           c->config->listen);
    return true;
}

/* ---- first content ----------------------------------------------------- */

/* The first line of a file; "" when there is no such file. */
static bool read_password(const char *path, char out[PASSWORD_LINE],
                          struct error *err)
{
    out[0] = '\0';
    if (!*path)
        return true;
    _autoclose_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return true;
    ssize_t n = fd < 0 ? -1 : read(fd, out, PASSWORD_LINE - 1);
    if (n < 0)
        return error_errno(err, ERR_INTERNAL, errno, "%s", path);
    out[n] = '\0';
    out[strcspn(out, "\r\n")] = '\0';
    return true;
}

static const char *or_null(const char *s)
{
    return *s ? s : NULL;
}

static bool make_content(struct core *c, struct error *err)
{
    const struct config *cf = c->config;
    char admin[PASSWORD_LINE], demo[PASSWORD_LINE];
    if (!read_password(cf->admin_password_file, admin, err) ||
        !read_password(cf->demo_password_file, demo, err))
        return false;
    struct bootstrap_opts opts = {
        .env = c->env,
        .pool_name = cf->pool_name,
        .region = cf->region,
        .public_url = c->public_url,
        .admin_password = admin,
        .demo_password = or_null(demo),
        .external_cidr = or_null(cf->external_cidr),
        .external_gateway = or_null(cf->external_gateway),
        .external_first = or_null(cf->external_pool_start),
        .external_last = or_null(cf->external_pool_end),
        .external_physnet = cf->physnet,
    };
    bool ok = false;
    for (int i = 0; i < BOOTSTRAP_TRIES && !ok; i++) {
        _autosnap_ struct snapshot *snap = cache_snapshot(c->cache);
        error_clear(err);
        ok = bootstrap(c->store, snap, &opts, err);
        if (!ok && err->code != ERR_CONFLICT)
            break;
    }
    OPENSSL_cleanse(admin, sizeof(admin));
    OPENSSL_cleanse(demo, sizeof(demo));
    return ok;
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

/* A network's socket for metadata goes to the face; ours is closed. */
static void on_listener(void *arg, const char *network_id, int fd)
{
    struct core *c = arg;
    _autoclose_ int none =
        fd < 0 ? open("/dev/null", O_RDONLY | O_CLOEXEC) : -1;
    _autofree_ char *json = xasprintf("{\"network_id\":\"%s\"}", network_id);
    pthread_mutex_lock(&c->face_lock);
    if (c->face)
        face_runner_push(c->face,
                         fd < 0 ? FACE_PUSH_METADATA_GONE : FACE_PUSH_METADATA,
                         json, fd < 0 ? none : fd);
    pthread_mutex_unlock(&c->face_lock);
    if (fd >= 0)
        close(fd);
}

static const char *socket_path(const char *database)
{
    return database + strlen("unix:");
}

/* Asked from when the first records come; before the duty is there nobody
 * leads. */
static bool leads(void *arg)
{
    struct core *c = arg;
    struct pool_duty *duty = atomic_load(&c->duty);
    return duty && pool_duty_leads(duty);
}

static int64_t term(void *arg)
{
    struct core *c = arg;
    struct pool_duty *duty = atomic_load(&c->duty);
    return duty ? pool_duty_term(duty) : 0;
}

static bool guard(void *arg, struct txn *txn)
{
    struct core *c = arg;
    struct pool_duty *duty = atomic_load(&c->duty);
    return duty && pool_duty_guard(duty, txn);
}

static bool open_network(struct core *c, struct error *err)
{
    static const char *const no_dns[] = { NULL };
    const struct config *cf = c->config;
    struct metadata_config meta = {
        .ovs_socket = socket_path(cf->ovs_db),
        .bridge = "br-int",
        .node = c->node,
        .listener = on_listener,
        .arg = c,
    };
    c->metadata = metadata_open(&meta, err);
    if (!c->metadata)
        log_warn("core", "no metadata service for guests: %s", err->text);
    error_clear(err);
    struct ovn_config ovn = {
        .nb_socket = socket_path(cf->ovn_nb),
        .nb = { .chassis = c->node, .dns_servers = no_dns },
        .term = term,
        .term_arg = c,
        .metadata = c->metadata,
    };
    c->net = ovn_open(&ovn);
    return c->net || error_set(err, ERR_INTERNAL, "OVN cannot be used");
}

/* ---- its place in the pool --------------------------------------------- */

static int64_t lease_term(void *arg)
{
    struct core *c = arg;
    struct pool_duty *duty = atomic_load(&c->duty);
    return duty ? pool_duty_lease(duty) : 0;
}

static bool reaches(void *arg)
{
    struct core *c = arg;
    return reach_most(c->cache, c->node, c->config->peer_port);
}

static bool storage_answers(void *arg)
{
    struct core *c = arg;
    return drivers_storage_answers(&c->drivers, c->config);
}

static void may_work(void *arg)
{
    struct core *c = arg;
    server_reconciler_resync(c->servers);
}

/* After the duty, which knows whether the machine has booted. */
static void start_quarantine(struct core *c)
{
    quarantine_start(c->quarantine, pool_duty_booted(atomic_load(&c->duty)));
}

static void make_recovery(struct core *c)
{
    c->quarantine = quarantine_new(&(struct quarantine_config){
        .store = c->store,
        .cache = c->cache,
        .hypervisor = c->drivers.hypervisor,
        .env = c->env,
        .node = c->node,
        .term = lease_term,
        .reaches = reaches,
        .probe = c->drivers.fence ? storage_answers : NULL,
        .opened = may_work,
        .arg = c,
        .workers = 2,
    });
    c->recoverer = recoverer_new(&(struct recoverer_config){
        .store = c->store,
        .cache = c->cache,
        .env = c->env,
        .fence = c->drivers.fence,
        .node = c->node,
        .leads = leads,
        .guard = guard,
        .arg = c,
        .workers = 3,
    });
}

/* ---- reconcilers ------------------------------------------------------- */

static void make_reconcilers(struct core *c)
{
    make_recovery(c);
    c->servers = server_reconciler_new(&(struct server_reconciler_config){
        .store = c->store,
        .cache = c->cache,
        .hypervisor = c->drivers.hypervisor,
        .env = c->env,
        .node = c->node,
        .enter = quarantine_enter,
        .leave = quarantine_leave,
        .gate = c->quarantine,
        .workers = WORKERS,
    });
    c->storage = storage_new(&(struct storage_config){
        .node = c->node,
        .volumes = c->drivers.volumes,
        .store = c->store,
        .cache = c->cache,
        .env = c->env,
        .workers = 2,
        .images_elsewhere = !c->pool.founder && !c->drivers.volumes->own,
        .leads = leads,
        .leads_arg = c,
    });
    c->networks = net_reconcile_new(c->cache, c->store, c->net, c->env, 1);
    c->scheduler = scheduler_new(&(struct scheduler_config){
        .store = c->store,
        .cache = c->cache,
        .env = c->env,
        .guard = guard,
        .guard_arg = c,
        .workers = 1,
    });
    c->mover = (struct mover){ c->store, c->cache, c->env, guard, c };
    c->rebalancer = rebalancer_new(&(struct rebalancer_config){
        .cache = c->cache,
        .env = c->env,
        .move = mover_begin,
        .self = &c->mover,
        .leads = leads,
        .leads_arg = c,
        .workers = 1,
    });
    c->housekeeper = housekeeper_new(&(struct housekeeper_config){
        .store = c->store,
        .cache = c->cache,
        .env = c->env,
        .rotate = tokens_rotate,
        .guard = guard,
        .guard_arg = c,
        .workers = 1,
    });
}

/* What one node does for all. */
static void lead(void *arg)
{
    struct core *c = arg;
    scheduler_start(c->scheduler);
    rebalancer_start(c->rebalancer);
    recoverer_start(c->recoverer);
    housekeeper_start(c->housekeeper);
    storage_lead(c->storage);
    net_reconcile_start(c->networks);
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
        .name = c->node,
        .address = own_address(c),
        .storage_address = c->ceph ? ceph_node_address(c->ceph) : NULL,
        .kvm = c->kvm.usable,
        .kvm_reason = c->kvm.reason,
        .passthrough = c->config->passthrough_devices,
        .pinned_cpus = c->config->pinned_cpus,
    };
    c->beat = node_beat_start(&node, err);
    if (!c->beat)
        return false;
    struct measure_config measure = { .env = c->env,
                                      .store = c->store,
                                      .cache = c->cache,
                                      .hypervisor = c->drivers.hypervisor,
                                      .node = c->node,
                                      .proc = "/proc" };
    c->measure = measure_start(&measure, err);
    if (!c->measure)
        return false;
    storage_start(c->storage);
    net_reconcile_start(c->networks);
    server_reconciler_resync(c->servers);
    start_quarantine(c);
    recoverer_start(c->recoverer); /* observes until it leads */
    pool_duty_start(atomic_load(&c->duty));
    return true;
}

/* ---- the face ---------------------------------------------------------- */

static bool on_call(void *arg, const char *op, const char *json,
                    struct buf *out, int *fd, struct error *err)
{
    struct core *c = arg;
    return broker_call(&c->broker, op, json, out, fd, err);
}

static void on_face_started(void *arg)
{
    struct core *c = arg;
    if (c->metadata)
        metadata_announce(c->metadata);
}

static void on_face_ended(void *arg)
{
    struct core *c = arg;
    storage_interrupted(c->storage);
}

static bool start_face(struct core *c, struct error *err)
{
    uid_t uid;
    gid_t gid;
    config_user(c->config->face_user, NOBODY, &uid, &gid);
    c->broker = (struct broker){ c->drivers.volumes, c->drivers.hypervisor,
                                 c->networks,        c->store,
                                 c->cache,           c->env };
    struct face_runner_config config = {
        .env = c->env,
        .store = c->store,
        .listen_fd = c->listen,
        .settings = { .public_url = c->public_url,
                      .region = c->config->region,
                      .node = c->node,
                      .cert = c->pki.cert ? c->pki.cert : "",
                      .key = c->pki.key ? c->pki.key : "",
                      .root = c->face_root,
                      .uid = geteuid() == 0 ? uid : 0,
                      .gid = geteuid() == 0 ? gid : 0,
                      .log_level = c->config->log_level,
                      .connections = FACE_CONNECTIONS },
        .call = on_call,
        .rights = face_rights,
        .started = on_face_started,
        .ended = on_face_ended,
        .arg = c,
    };
    pthread_mutex_lock(&c->face_lock);
    c->face = face_runner_start(&config, err);
    pthread_mutex_unlock(&c->face_lock);
    return c->face != NULL;
}

/* Pushes use the pointer until it is gone, and it waits for them: so it is
 * taken out first. */
static void stop_face(struct core *c)
{
    pthread_mutex_lock(&c->face_lock);
    struct face_runner *face = c->face;
    c->face = NULL;
    pthread_mutex_unlock(&c->face_lock);
    face_runner_stop(face);
}

static void on_renewed(void *arg, const struct pki *pki)
{
    struct core *c = arg;
    pthread_mutex_lock(&c->face_lock);
    if (c->face)
        face_runner_certificate(c->face, pki->cert, pki->key);
    pthread_mutex_unlock(&c->face_lock);
    node_services_renewed(c->services);
}

static void start_renewal(struct core *c)
{
    if (!c->config->tls)
        return;
    _autofree_ char *dir = in_state_dir(c, "pki");
    _autofree_ char *url = url_host(c->public_url);
    const char *names[4];
    server_names(c, url, names);
    c->renewal = renewal_start(&(struct renewal_config){
        .env = c->env,
        .dir = dir,
        .names = names,
        .cert = c->pki.cert,
        .changed = on_renewed,
        .arg = c,
        .workers = 1,
    });
}

/* Whether there is a member it sees each time. */
static void start_upkeep(struct core *c)
{
    char url[ETCD_PLACE_MAX];
    if (!c->services)
        return;
    etcd_client_url(own_address(c), url);
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
    while (!peers_join(&c->pool, c->config, c->env, c->node, own_address(c),
                       err)) {
        log_limited(LOG_WARN, "core", "not in a pool yet: %s", err->text);
        if (!wait_a_moment(1000))
            return false;
    }
    log_info("core", "joined the pool %s (%s)", c->pool.pool_name,
             c->pool.pool_id);
    return true;
}

static bool open_duty(struct core *c, struct error *err)
{
    atomic_store(&c->duty, pool_duty_open(
                               &(struct pool_duty_config){
                                   .env = c->env,
                                   .config = c->config,
                                   .pool = &c->pool,
                                   .store = c->store,
                                   .cache = c->cache,
                                   .services = c->services,
                                   .node = c->node,
                                   .address = own_address(c),
                                   .lead = lead,
                                   .arg = c,
                               },
                               err));
    return atomic_load(&c->duty) != NULL;
}

static bool make_room(void *arg, struct error *err)
{
    struct core *c = arg;
    return pool_duty_make_room(atomic_load(&c->duty), err);
}

static bool share(void *arg, struct buf *out, struct error *err)
{
    struct core *c = arg;
    return c->ceph ? ceph_node_share(c->ceph, out, err)
                   : error_set(err, ERR_UNAVAILABLE, "this node runs no Ceph");
}

static bool open_peers(struct core *c, struct error *err)
{
    struct peers_config config = {
        .env = c->env,
        .address = is_any(c->host) ? "0.0.0.0" : c->host,
        .port = c->config->peer_port,
        .pki = &c->pki,
        .pool = &c->pool,
        .store = c->store,
        .cache = c->cache,
        .state_dir = c->config->state_dir,
        .make_room = make_room,
        .share = share,
        .arg = c,
    };
    if (!c->config->tls) /* without a CA there is no pool of many */
        return true;
    if (!peers_enroll(c->store, c->cache, c->env, &c->pool, c->node,
                      own_address(c), err) ||
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
    c->services = node_services_start(c->config, c->env, c->node, err);
    return c->services != NULL;
}

/* Until there is a place for volumes. */
static bool start_ceph(struct core *c, struct error *err)
{
    if (!ceph_node_wanted(c->config))
        return true;
    c->ceph = ceph_node_start(&(struct ceph_node_config){ .config = c->config,
                                                          .env = c->env,
                                                          .node = c->node,
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
    choose_names(c);
    if (!take_places(c, err) || !read_membership(c, err) ||
        !start_services(c, err) || !enter_pool(c, err) || !open_pki(c, err) ||
        !open_listener(c, err) || !open_store(c, err))
        return false;
    probe_kvm(c);
    if (!start_ceph(c, err) ||
        !drivers_open(&c->drivers, c->config, c->kvm.usable, c->cache, c->env,
                      err) ||
        !open_network(c, err))
        return false;
    make_reconcilers(c);
    if (c->services)
        c->members = service_watch_new(c->cache, c->services, c->env);
    if (!follow(c, err) || !open_duty(c, err) ||
        (c->pool.founder && !make_content(c, err)) || !open_peers(c, err))
        return false;
    if (c->ceph)
        ceph_node_follow(c->ceph, c->store, c->cache, leads, c);
    if (c->members)
        service_watch_start(c->members);
    /* The API answers before the node is at work, whatever that waits for. */
    storage_interrupted(c->storage);
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
    struct pool_duty *duty = atomic_load(&c->duty);
    renewal_stop(c->renewal);
    etcd_upkeep_stop(c->upkeep);
    stop_face(c);
    peers_stop(c->peers);
    node_beat_goodbye(c->beat);
    pool_duty_stop(duty);
    node_beat_stop(c->beat);
    measure_stop(c->measure);
    ceph_node_free(c->ceph);
    if (c->following)
        cache_unfollow(c->cache);
    scheduler_free(c->scheduler);
    rebalancer_free(c->rebalancer);
    recoverer_free(c->recoverer);
    housekeeper_free(c->housekeeper);
    quarantine_stop(c->quarantine);
    server_reconciler_free(c->servers);
    quarantine_free(c->quarantine);
    storage_free(c->storage);
    net_reconcile_free(c->networks);
    network_close(c->net);
    metadata_close(c->metadata);
    drivers_close(&c->drivers);
    pool_duty_free(duty);
    cache_free(c->cache);
    store_close(c->store);
    service_watch_free(c->members);
    node_services_free(c->services);
    pki_close(&c->pki);
    free(c->public_url);
    free(c->face_root);
    if (c->listen >= 0)
        close(c->listen);
    if (c->lock >= 0)
        close(c->lock);
    pthread_mutex_destroy(&c->face_lock);
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
    while (sigwait(set, &sig) == 0 && sig == SIGHUP)
        renewal_look(c->renewal);
    return sig;
}

int core_run_services(const struct config *config)
{
    /* Without a pool there are no certificates to wait for. */
    struct config alone = *config;
    alone.tls = false;
    struct core c = { .config = &alone, .env = &env_system, .lock = -1 };
    struct error err = { 0 };
    sigset_t set;
    block_signals(&set);
    choose_names(&c);
    bool ok = take_places(&c, &err) && read_membership(&c, &err) &&
              start_services(&c, &err);
    if (ok) {
        struct service_member self = { .address = "127.0.0.1" };
        snprintf(self.name, sizeof(self.name), "%s", c.node);
        node_services_members(c.services, &self, 1);
        node_services_await(c.services);
        await_end(&c, &set);
    } else {
        log_err("core", "%s", err.text);
    }
    node_services_free(c.services);
    free(c.public_url);
    free(c.face_root);
    if (c.lock >= 0)
        close(c.lock);
    return ok ? 0 : 1;
}

int core_run(const struct config *config)
{
    struct core c = {
        .config = config,
        .env = &env_system,
        .lock = -1,
        .listen = -1,
        .face_lock = PTHREAD_MUTEX_INITIALIZER,
    };
    struct error err = { 0 };
    sigset_t set;
    block_signals(&set);
    bool ok = core_start(&c, &err);
    if (ok) {
        log_info("core", "node %s is up, API at %s", c.node, c.public_url);
        log_info("core", "%s, stopping", strsignal(await_end(&c, &set)));
    } else {
        log_err("core", "%s", err.text);
    }
    core_stop(&c);
    return ok ? 0 : 1;
}
