#include "daemon/pool_duty.h"

#include "common/alloc.h"
#include "common/log.h"
#include "daemon/etcd_member.h"
#include "daemon/pool_store.h"
#include "daemon/pool_voters.h"
#include "model/pool.h"
#include "state/election.h"
#include "state/reconcile.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOG_NAME     "pool"
#define PASS         "pool/pass"
#define LEAD         "pool/lead"
#define LOOK_US      50000
#define EXIT_REFUSED 3

struct pool_duty {
    struct pool_duty_config c;
    char instance[ELECTION_NAME_MAX]; /* who holds our presence: us */
    bool booted;                      /* nobody has on this boot before */
    atomic_bool many;                 /* the state is in etcd: we may be many */
    atomic_bool open;
    pthread_mutex_t lock;       /* moving; presence, leader until `many` */
    pthread_mutex_t queue_lock; /* queue */
    struct election *presence, *leader;
    struct pool_voters *voters;
    struct reconciler *queue;
};

/* ---- who this is ------------------------------------------------------- */

/* A number of this boot: what is in run_dir does not outlive it. */
static bool read_instance(struct pool_duty *d, struct error *err)
{
    char id[UUID_SIZE] = "";
    _autofree_ char *path = xasprintf("%s/instance", d->c.config->run_dir);
    _autofile_ FILE *f = fopen(path, "re");
    if (!f || fscanf(f, "%36s", id) != 1 || !uuid_valid(id)) {
        d->booted = true;
        env_uuid(d->c.env, id);
        _autofile_ FILE *out = fopen(path, "we");
        if (!out || fputs(id, out) < 0)
            return error_set(err, ERR_INTERNAL, "cannot write %s", path);
    }
    snprintf(d->instance, sizeof(d->instance), "%s@%.60s", id, d->c.address);
    return true;
}

static bool be_present(struct pool_duty *d, struct error *err)
{
    char name[ELECTION_NAME_MAX];
    snprintf(name, sizeof(name), POOL_PRESENCE "%s", d->c.pool->node_id);
    d->presence =
        election_new(&(struct election_config){ .store = d->c.store,
                                                .env = d->c.env,
                                                .name = name,
                                                .candidate = d->instance },
                     err);
    return d->presence != NULL;
}

/* Does somebody else hold it?  `who` is that. */
static bool is_double(struct pool_duty *d, char who[ELECTION_NAME_MAX])
{
    return election_leader(d->presence, who) && strcmp(who, d->instance) != 0;
}

/* What another boot of this node held ends soon; a copy's does not. */
static bool await_presence(struct pool_duty *d, struct error *err)
{
    char who[ELECTION_NAME_MAX];
    int64_t until = env_mono(d->c.env) + POOL_DUTY_REFUSED_US;
    while (!election_leader(d->presence, who) || is_double(d, who)) {
        if (env_mono(d->c.env) > until)
            return *who ? error_set(err, ERR_EXISTS,
                                    "a node with the identity of this one "
                                    "lives (%s): was its disk copied?",
                                    who)
                        : true; /* no answer: that is no double */
        usleep(LOOK_US);
    }
    return true;
}

/* ---- leading ----------------------------------------------------------- */

static void queue_add(struct pool_duty *d, const char *key)
{
    pthread_mutex_lock(&d->queue_lock);
    if (d->queue)
        reconciler_add(d->queue, key);
    pthread_mutex_unlock(&d->queue_lock);
}

static void on_leader(void *arg, int64_t term)
{
    struct pool_duty *d = arg;
    if (term)
        queue_add(d, LEAD);
    if (term)
        log_info(LOG_NAME, "this node leads the pool, term %lld",
                 (long long)term);
    else
        log_info(LOG_NAME, "this node leads the pool no more");
}

static bool stand(struct pool_duty *d, struct error *err)
{
    d->leader = election_new(&(struct election_config){ .store = d->c.store,
                                                        .env = d->c.env,
                                                        .name = "leader",
                                                        .candidate = d->c.node,
                                                        .changed = on_leader,
                                                        .arg = d },
                             err);
    return d->leader != NULL;
}

bool pool_duty_leads(void *duty)
{
    return pool_duty_term(duty) != 0;
}

int64_t pool_duty_term(void *duty)
{
    struct pool_duty *d = duty;
    if (!atomic_load(&d->many))
        return 1;
    return atomic_load(&d->open) ? election_term(d->leader) : 0;
}

char *pool_duty_leader(struct pool_duty *d)
{
    char name[ELECTION_NAME_MAX];
    if (!atomic_load(&d->many))
        return xstrdup(d->c.node);
    return atomic_load(&d->open) && election_leader(d->leader, name)
               ? xstrdup(name)
               : NULL;
}

int64_t pool_duty_lease(struct pool_duty *d)
{
    return atomic_load(&d->many) ? election_term(d->presence) : 1;
}

bool pool_duty_booted(const struct pool_duty *d)
{
    return d->booted;
}

bool pool_duty_guard(void *duty, struct txn *txn)
{
    struct pool_duty *d = duty;
    if (!atomic_load(&d->many))
        return true;
    return atomic_load(&d->open) && election_guard(d->leader, txn);
}

/* ---- this node's member of etcd ---------------------------------------- */

static void start_member(struct pool_duty *d, const struct etcd_members *list,
                         const char *peer)
{
    struct error err = { 0 };
    struct buf cluster = BUF_INIT(4096);
    etcd_initial_cluster(list, d->c.node, peer, &cluster);
    if (etcd_member_make(d->c.config->state_dir, false, buf_str(&cluster),
                         &err) &&
        node_services_etcd(d->c.services, true, &err))
        log_info(LOG_NAME, "this node becomes a voter on the pool's state");
    else
        log_limited(LOG_WARN, LOG_NAME, "etcd: %s", err.text);
    buf_free(&cluster);
}

/* It was removed while we were away, or our place was given to another. */
static void stop_member(struct pool_duty *d)
{
    struct error err = { 0 };
    log_info(LOG_NAME, "this node votes no more");
    if (!node_services_etcd(d->c.services, false, &err) ||
        !etcd_member_drop(d->c.config->state_dir, &err))
        log_warn(LOG_NAME, "etcd: %s", err.text);
}

static void own_member(struct pool_duty *d, struct grpc *g,
                       const struct etcd_members *list)
{
    char peer[ETCD_PLACE_MAX];
    struct error err = { 0 };
    bool here = etcd_member_here(d->c.config->state_dir);
    etcd_peer_url(d->c.address, peer);
    const struct etcd_member *m = pool_voters_find(list, peer);
    if (!d->c.services || (here && m) || (!here && !m))
        return;
    if (!m)
        stop_member(d);
    else if (!*m->name)
        start_member(d, list, peer);
    else if (!etcd_remove(g, m->id, &err)) /* its data is gone from here */
        log_limited(LOG_WARN, LOG_NAME, "etcd: %s", err.text);
}

static bool is_own(const struct pool_duty *d, const char *client)
{
    char own[ETCD_PLACE_MAX];
    etcd_client_url(d->c.address, own);
    return strcmp(client, own) == 0;
}

/* All that answer to clients; our own first, which ends with us only. */
static size_t list_clients(const struct pool_duty *d,
                           const struct etcd_members *list,
                           const char *urls[ETCD_MEMBERS_MAX])
{
    size_t n = 0;
    for (size_t i = 0; i < list->n; i++) {
        const struct etcd_member *e = &list->all[i];
        if (!*e->client || e->learner)
            continue;
        urls[n++] = e->client;
        if (is_own(d, e->client)) {
            urls[n - 1] = urls[0];
            urls[0] = e->client;
        }
    }
    return n;
}

static bool is_marked(const struct move_mark *mark, const char *const *urls,
                      size_t n)
{
    struct error err;
    char place[ENDPOINT_MAX];
    for (size_t i = 0; i < n; i++)
        if (i >= mark->n || !endpoint_parse(urls[i], place, &err) ||
            strcmp(mark->endpoints[i], place) != 0)
            return false;
    return mark->n == n;
}

/* Whoever came to vote leaves the member that it joined by for its own: else
 * all would ask the founder's for ever, and miss it when it dies. */
static void follow_endpoints(struct pool_duty *d,
                             const struct etcd_members *list)
{
    struct move_mark mark;
    struct error err = { 0 };
    const char *urls[ETCD_MEMBERS_MAX];
    size_t n = list_clients(d, list, urls);
    if (!n || !move_read_mark(d->c.config->state_dir, &mark, &err) ||
        is_marked(&mark, urls, n))
        return;
    if (!pool_store_endpoints(d->c.store, d->c.config, urls, n, &err))
        log_limited(LOG_WARN, LOG_NAME, "etcd: %s", err.text);
    else if (is_own(d, urls[0]))
        grpc_prefer_first(pool_store_grpc(d->c.store));
}

/* ---- a pass ------------------------------------------------------------ */

/* Without its storage this node cannot recover others; who has it leads. */
static bool is_fit(const struct pool_duty *d, const struct snapshot *snap)
{
    const struct node *own = snap_get(snap, &kind_node, d->c.node);
    if (!own || (!own->storage_lost && own->health == HEALTH_UP))
        return true;
    struct snap_iter it = snap_all(snap, &kind_node);
    for (const struct node *n; (n = snap_next(&it));)
        if (!n->storage_lost && n->health == HEALTH_UP && n != own &&
            pool_voters_lives(d->voters, n->rec.id) &&
            pool_voters_may_lead(d->voters, snap, n->rec.id))
            return false;
    return true;
}

static void choose_to_stand(struct pool_duty *d)
{
    _autosnap_ struct snapshot *snap = cache_snapshot(d->c.cache);
    if (pool_voters_may_lead(d->voters, snap, d->c.node) && is_fit(d, snap))
        election_stand(d->leader);
    else
        election_resign(d->leader);
}

static void lead_voters(struct pool_duty *d, struct grpc *g,
                        struct etcd_members *list)
{
    _autosnap_ struct snapshot *snap = cache_snapshot(d->c.cache);
    if (election_term(d->leader))
        pool_voters_step(d->voters, snap, g, list);
}

static bool pass(struct pool_duty *d, struct error *err)
{
    struct etcd_members list;
    struct grpc *g = pool_store_grpc(d->c.store);
    if (!etcd_list(g, &list, err) ||
        !pool_voters_look(d->voters, d->c.store, d->c.cache, err))
        return false;
    own_member(d, g, &list);
    follow_endpoints(d, &list);
    choose_to_stand(d);
    lead_voters(d, g, &list);
    return true;
}

/* Whoever keeps us running starts us again, and then we are refused. */
static void leave_if_double(struct pool_duty *d)
{
    char who[ELECTION_NAME_MAX];
    if (!is_double(d, who))
        return;
    log_err(LOG_NAME, "another node has this one's identity now: %s", who);
    _exit(EXIT_REFUSED);
}

static enum reconcile_verdict work(void *self, const char *key,
                                   int64_t *delay_us, struct error *err)
{
    struct pool_duty *d = self;
    if (strcmp(key, LEAD) == 0) {
        if (atomic_load(&d->open))
            d->c.lead(d->c.arg);
        return RECONCILE_DONE;
    }
    if (!atomic_load(&d->many))
        return RECONCILE_DONE;
    leave_if_double(d);
    if (!pool_store_is_alone(d->c.config) && !pass(d, err))
        log_limited(LOG_WARN, LOG_NAME, "%s", err->text);
    *delay_us = POOL_DUTY_PASS_US;
    return RECONCILE_AGAIN;
}

/* ---- from one to many -------------------------------------------------- */

static bool found_cluster(struct pool_duty *d, struct error *err)
{
    char peer[ETCD_PLACE_MAX], client[ETCD_PLACE_MAX];
    const char *dir = d->c.config->state_dir;
    etcd_peer_url(d->c.address, peer);
    etcd_client_url(d->c.address, client);
    _autofree_ char *cluster = xasprintf("%s=%s", d->c.node, peer);
    if (!etcd_member_here(dir) && !etcd_member_make(dir, true, cluster, err))
        return false;
    return node_services_etcd(d->c.services, true, err) &&
           pool_store_move(d->c.store, d->c.config, d->c.env, client, err);
}

static bool become_many(struct pool_duty *d, struct error *err)
{
    if (!d->presence && !be_present(d, err))
        return false;
    if (!d->leader && !stand(d, err))
        return false;
    atomic_store(&d->many, true);
    return true;
}

bool pool_duty_make_room(struct pool_duty *d, struct error *err)
{
    bool ok = true;
    pthread_mutex_lock(&d->lock);
    if (pool_store_is_alone(d->c.config))
        ok = error_set(err, ERR_UNAVAILABLE,
                       "the state of this pool is in an etcd of its "
                       "configuration: a second node cannot use it");
    else if (!pool_store_in_etcd(d->c.config) && !d->c.services)
        ok = error_set(err, ERR_UNAVAILABLE,
                       "this node starts no daemons: no etcd for a second "
                       "node");
    else if (!atomic_load(&d->many)) {
        log_info(LOG_NAME, "a second node comes: the state goes to etcd");
        ok = found_cluster(d, err) && become_many(d, err);
        queue_add(d, PASS);
    }
    pthread_mutex_unlock(&d->lock);
    return ok;
}

/* ---- life -------------------------------------------------------------- */

struct pool_duty *pool_duty_open(const struct pool_duty_config *config,
                                 struct error *err)
{
    struct pool_duty *d = xcalloc(1, sizeof(*d));
    d->c = *config;
    pthread_mutex_init(&d->lock, NULL);
    pthread_mutex_init(&d->queue_lock, NULL);
    d->voters = pool_voters_new(config->env);
    d->queue = reconciler_new(LOG_NAME, work, d, config->env, 1);
    bool many = pool_store_in_etcd(config->config) &&
                !pool_store_is_alone(config->config);
    if (read_instance(d, err) &&
        (!many ||
         (be_present(d, err) && await_presence(d, err) && become_many(d, err))))
        return d;
    pool_duty_stop(d);
    pool_duty_free(d);
    return NULL;
}

void pool_duty_start(struct pool_duty *d)
{
    atomic_store(&d->open, true);
    queue_add(d, LEAD);
    queue_add(d, PASS);
}

void pool_duty_stop(struct pool_duty *d)
{
    if (!d)
        return;
    atomic_store(&d->open, false);
    pthread_mutex_lock(&d->queue_lock);
    struct reconciler *queue = d->queue;
    d->queue = NULL;
    pthread_mutex_unlock(&d->queue_lock);
    reconciler_stop(queue);
}

void pool_duty_free(struct pool_duty *d)
{
    if (!d)
        return;
    election_free(d->leader, true);
    election_free(d->presence, true);
    pool_voters_free(d->voters);
    pthread_mutex_destroy(&d->lock);
    pthread_mutex_destroy(&d->queue_lock);
    free(d);
}
