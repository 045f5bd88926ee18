#include "daemon/pool_voters.h"

#include "common/alloc.h"
#include "common/log.h"
#include "daemon/etcd_member.h"
#include "daemon/node_services.h"
#include "model/pool.h"
#include "state/election.h"
#include "state/voters.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOG_NAME "voters"
#define PREFIX   ELECTION_PREFIX POOL_PRESENCE

/* A node as we have seen it. */
struct life {
    char node[64], id[UUID_SIZE];
    bool alive, told; /* told: is a member, and in the last look */
    int64_t since;
};

struct pool_voters {
    const struct env *env;
    uint64_t learner; /* who learns, and since when it has been started */
    int64_t learns;
    struct life all[VOTERS_NODES_MAX];
    size_t n;
};

struct pool_voters *pool_voters_new(const struct env *env)
{
    struct pool_voters *v = xcalloc(1, sizeof(*v));
    v->env = env;
    return v;
}

void pool_voters_free(struct pool_voters *v)
{
    free(v);
}

const struct etcd_member *pool_voters_find(const struct etcd_members *list,
                                           const char *peer)
{
    for (size_t i = 0; i < list->n; i++)
        if (strcmp(list->all[i].peer, peer) == 0)
            return &list->all[i];
    return NULL;
}

/* ---- who lives --------------------------------------------------------- */

static struct life *life_of(struct pool_voters *v, const struct member *m)
{
    for (size_t i = 0; i < v->n; i++)
        if (strcmp(v->all[i].node, m->rec.id) == 0)
            return &v->all[i];
    if (v->n == VOTERS_NODES_MAX)
        return NULL;
    struct life *l = &v->all[v->n++];
    *l = (struct life){ .since = env_mono(v->env) };
    snprintf(l->node, sizeof(l->node), "%s", m->rec.id);
    return l;
}

struct present {
    char id[VOTERS_NODES_MAX][UUID_SIZE];
    size_t n;
};

static bool take_present(void *arg, const struct kv *kv)
{
    struct present *p = arg;
    if (p->n < VOTERS_NODES_MAX)
        snprintf(p->id[p->n++], UUID_SIZE, "%s", kv->key + strlen(PREFIX));
    return true;
}

static bool is_present(const struct present *p, const char *id)
{
    for (size_t i = 0; i < p->n; i++)
        if (strcmp(p->id[i], id) == 0)
            return true;
    return false;
}

/* Those who are no members any more are forgotten. */
static void forget_untold(struct pool_voters *v)
{
    size_t kept = 0;
    for (size_t i = 0; i < v->n; i++)
        if (v->all[i].told)
            v->all[kept++] = v->all[i];
    v->n = kept;
}

bool pool_voters_look(struct pool_voters *v, struct store *store,
                      struct cache *cache, struct error *err)
{
    _autofree_ struct present *p = xcalloc(1, sizeof(*p));
    if (!store_range(store, PREFIX, take_present, p, NULL, err))
        return false;
    _autosnap_ struct snapshot *snap = cache_snapshot(cache);
    struct snap_iter it = snap_all(snap, &kind_member);
    for (size_t i = 0; i < v->n; i++)
        v->all[i].told = false;
    for (const struct member *m; (m = snap_next(&it));) {
        struct life *l = life_of(v, m);
        bool alive = is_present(p, m->node_id);
        if (!l)
            continue;
        if (alive != l->alive)
            l->since = env_mono(v->env);
        l->alive = alive;
        l->told = true;
    }
    forget_untold(v);
    return true;
}

static const struct life *find_life(const struct pool_voters *v,
                                    const char *node)
{
    for (size_t i = 0; i < v->n; i++)
        if (strcmp(v->all[i].node, node) == 0)
            return &v->all[i];
    return NULL;
}

/* ---- who may lead ------------------------------------------------------ */

/* How many members joined before it. */
static size_t rank(const struct snapshot *snap, const struct member *m)
{
    size_t n = 0;
    struct snap_iter it = snap_all(snap, &kind_member);
    for (const struct member *o; (o = snap_next(&it));)
        n += o->joined < m->joined ||
             (o->joined == m->joined && strcmp(o->rec.id, m->rec.id) < 0);
    return n;
}

bool pool_voters_lives(const struct pool_voters *v, const char *node)
{
    const struct life *l = find_life(v, node);
    return l && l->alive;
}

bool pool_voters_may_lead(const struct pool_voters *v,
                          const struct snapshot *snap, const char *node)
{
    struct snap_iter it = snap_all(snap, &kind_member);
    bool central_lives = false;
    for (const struct member *m; (m = snap_next(&it));) {
        const struct life *l = find_life(v, m->rec.id);
        bool central = rank(snap, m) < NODE_SERVICES_CENTRAL;
        if (central && strcmp(m->rec.id, node) == 0)
            return true;
        central_lives |= central && l && l->alive;
    }
    return !central_lives;
}

/* ---- the next step ----------------------------------------------------- */

/* What voters_next is asked about; strings are of the snapshot and list. */
struct scene {
    struct voter_node nodes[VOTERS_NODES_MAX];
    char peers[VOTERS_NODES_MAX][ETCD_PLACE_MAX];
    size_t n;
};

static void add_node(struct scene *s, const struct pool_voters *v,
                     const struct snapshot *snap, const struct member *m,
                     const struct etcd_members *list)
{
    const struct node *n = snap_get(snap, &kind_node, m->rec.id);
    const struct life *l = find_life(v, m->rec.id);
    if (!l || s->n == VOTERS_NODES_MAX)
        return;
    etcd_peer_url(m->address, s->peers[s->n]);
    const struct etcd_member *e = pool_voters_find(list, s->peers[s->n]);
    s->nodes[s->n++] = (struct voter_node){
        .id = m->rec.id,
        .zone = n && n->availability_zone ? n->availability_zone : "",
        .voter = e && !e->learner,
        .alive = l->alive,
        .eligible = !n || !n->disabled,
        .since = l->since,
    };
}

static bool is_in(const struct scene *s, const char *peer)
{
    for (size_t i = 0; i < s->n; i++)
        if (strcmp(s->peers[i], peer) == 0)
            return true;
    return false;
}

/* Voters of nodes that were taken out of the pool. */
static void add_strangers(struct scene *s, const struct etcd_members *list)
{
    for (size_t i = 0; i < list->n && s->n < VOTERS_NODES_MAX; i++) {
        const struct etcd_member *e = &list->all[i];
        if (e->learner || is_in(s, e->peer))
            continue;
        snprintf(s->peers[s->n], ETCD_PLACE_MAX, "%s", e->peer);
        s->nodes[s->n++] =
            (struct voter_node){ .id = e->peer, .zone = "", .voter = true };
    }
}

static void carry_out(const struct scene *s, struct voters_step step,
                      struct grpc *g, const struct etcd_members *list)
{
    struct error err = { 0 };
    const struct voter_node *node = &s->nodes[step.node];
    const char *peer = s->peers[step.node];
    const struct etcd_member *e = pool_voters_find(list, peer);
    if (step.what == VOTERS_STAY)
        return;
    bool ok = step.what == VOTERS_REMOVE ? etcd_remove(g, e->id, &err)
              : step.at_once             ? etcd_add_voter(g, peer, NULL, &err)
                             : etcd_add_learner(g, peer, NULL, &err);
    const char *verb = step.what == VOTERS_ADD ? "becomes" : "is no longer";
    if (ok)
        log_info(LOG_NAME, "%s %s a voter", node->id, verb);
    else
        log_limited(LOG_WARN, LOG_NAME, "%s: %s", node->id, err.text);
}

/* The one voter that there is must be able to take a third at once. */
static bool is_ripe(struct pool_voters *v, const struct etcd_member *e,
                    const struct etcd_members *list)
{
    if (!*e->name)
        return false;
    if (v->learner != e->id)
        v->learns = env_mono(v->env);
    v->learner = e->id;
    return list->n > 2 || env_mono(v->env) - v->learns >= POOL_LEARNER_RIPE_US;
}

/* There is one that learns: nothing else happens until it votes or is gone.
 * Once it votes the next step comes at once. */
static bool tend_learner(struct pool_voters *v, const struct snapshot *snap,
                         struct grpc *g, struct etcd_members *list)
{
    struct error err = { 0 };
    struct etcd_member *e = NULL;
    for (size_t i = 0; i < list->n; i++)
        if (list->all[i].learner)
            e = &list->all[i];
    if (!e)
        return false;
    bool alive = false;
    struct snap_iter it = snap_all(snap, &kind_member);
    for (const struct member *m; (m = snap_next(&it));) {
        char peer[ETCD_PLACE_MAX];
        const struct life *l = find_life(v, m->rec.id);
        etcd_peer_url(m->address, peer);
        if (l && strcmp(peer, e->peer) == 0)
            alive =
                l->alive || env_mono(v->env) - l->since < POOL_LEARNER_DEAD_US;
    }
    bool ripe = alive && is_ripe(v, e, list);
    bool done = !alive ? etcd_remove(g, e->id, &err)
                : ripe ? etcd_promote(g, e->id, &err)
                       : false;
    if (done)
        log_info(LOG_NAME, "%s %s", e->peer,
                 alive ? "votes" : "died before it could vote");
    else if (!alive || ripe)
        log_limited(LOG_INFO, LOG_NAME, "%s: %s", e->peer, err.text);
    e->learner = !(done && alive);
    return e->learner;
}

void pool_voters_step(struct pool_voters *v, const struct snapshot *snap,
                      struct grpc *g, struct etcd_members *list)
{
    if (tend_learner(v, snap, g, list))
        return;
    _autofree_ struct scene *s = xcalloc(1, sizeof(*s));
    struct snap_iter it = snap_all(snap, &kind_member);
    for (const struct member *m; (m = snap_next(&it));)
        add_node(s, v, snap, m, list);
    add_strangers(s, list);
    carry_out(s, voters_next(s->nodes, s->n, env_mono(v->env)), g, list);
}
