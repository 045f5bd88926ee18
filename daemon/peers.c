#include "daemon/peers.h"

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "daemon/peer_tls.h"
#include "model/pool.h"
#include "state/move.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#define CALL_MAX       1200 /* bytes of a datagram */
#define TRIES          10
#define LOOK_MS        500   /* how often for those whose time is over */
#define PEERS_CEPH_MAX 16384 /* bytes of what let_know says */

/* A connection's thread has one. */
struct visit {
    struct peers *p;
    struct visit *next;
    int fd;
    bool known;    /* comes from a member's address */
    int64_t until; /* a stranger's connection is cut then; 0: no stranger's */
    char from[INET6_ADDRSTRLEN];
};

struct peers {
    struct peers_config c;
    SSL_CTX *ctx;
    int tcp, udp, stop;
    pthread_t thread;
    pthread_mutex_t lock; /* the visits */
    pthread_cond_t fewer;
    struct visit *visits;
};

/* ---- who may come in --------------------------------------------------- */

static bool read_key(const struct join_secret_record *s,
                     unsigned char key[JOIN_KEY_SIZE])
{
    for (size_t i = 0; s->key && i < JOIN_KEY_SIZE; i++)
        if (sscanf(s->key + 2 * i, "%2hhx", &key[i]) != 1)
            return false;
    return s->key != NULL;
}

/* The secret it named, if it is good for anything now. */
static const struct join_secret_record *
find_secret(const struct snapshot *snap, const struct join_hello *said,
            int64_t now, struct error *err)
{
    const struct join_secret_record *s =
        snap_get(snap, &kind_join_secret, said->secret);
    if (!s || (s->once && s->used) || (s->expires && s->expires <= now)) {
        error_set(err, ERR_FORBIDDEN, "the join secret %s %s", said->secret,
                  !s                   ? "is unknown here or was revoked"
                  : s->once && s->used ? "was for one node, and was used"
                                       : "has expired");
        return NULL;
    }
    return s;
}

/* A machine that is a member already, or whose disk is the copy of one's. */
static bool is_new(const struct snapshot *snap, const struct join_hello *said,
                   struct error *err)
{
    const struct member *m = snap_get(snap, &kind_member, said->node);
    struct snap_iter it = snap_by(snap, &kind_member, "node_id", said->id);
    const struct member *twin = snap_next(&it);
    if (m && strcmp(m->node_id, said->id) == 0 &&
        strcmp(m->address, said->address) == 0)
        return true; /* the welcome got lost: again */
    if (m)
        return error_set(err, ERR_EXISTS,
                         "there is a member %s already, at %s; if this node "
                         "replaces it: cairn node remove %s",
                         said->node, m->address, said->node);
    return !twin ||
           error_set(err, ERR_EXISTS,
                     "the member %s has the same identity: was this disk "
                     "copied from it?",
                     twin->rec.id);
}

static bool admit_once(const struct peers *p, const struct join_hello *said,
                       struct txn_result *result, struct error *err)
{
    _autosnap_ struct snapshot *snap = cache_snapshot(p->c.cache);
    int64_t now = env_now(p->c.env);
    const struct join_secret_record *secret = find_secret(snap, said, now, err);
    const struct member *was = snap_get(snap, &kind_member, said->node);
    if (!secret || !is_new(snap, said, err))
        return false;
    _autotxn_ struct txn txn = TXN_INIT;
    _autorecord_ struct member *m =
        was ? record_copy(was) : record_new(&kind_member, said->node);
    _autorecord_ struct join_secret_record *s = record_copy(secret);
    m->node_id = rec_str(m, said->id);
    m->address = rec_str(m, said->address);
    m->secret = rec_str(m, said->secret);
    m->joined = s->used = now;
    s->used_by = rec_str(s, said->node);
    txn_change_record(&txn, m);
    txn_change_record(&txn, s);
    if (store_commit(p->c.store, &txn, result))
        return true;
    error_copy(err, &result->err);
    return false;
}

static bool admit(const struct peers *p, const struct join_hello *said,
                  struct error *err)
{
    struct txn_result result = { .status = TXN_CONFLICT };
    for (int i = 0; i < TRIES && result.status == TXN_CONFLICT; i++) {
        result.status = TXN_FAILED;
        if (admit_once(p, said, &result, err))
            return true;
    }
    return false;
}

/* ---- joining, the member's side ---------------------------------------- */

static void write_state(const struct peers *p, struct join_welcome *w)
{
    struct move_mark mark;
    if (!move_read_mark(p->c.state_dir, &mark, NULL))
        return;
    for (size_t i = 0; i < mark.n && i < JOIN_STATE_MAX; i++)
        snprintf(w->state[w->n_state++], JOIN_URL_MAX, "%.*s", JOIN_URL_MAX - 1,
                 mark.endpoints[i]);
}

static void write_welcome(const struct peers *p, const char *ca_key,
                          struct buf *out)
{
    _autosnap_ struct snapshot *snap = cache_snapshot(p->c.cache);
    struct join_welcome w = { .ca_cert = p->c.pki->ca,
                              .ca_key = (char *)ca_key };
    struct snap_iter it = snap_all(snap, &kind_member);
    const struct member *m;
    snprintf(w.pool_id, sizeof(w.pool_id), "%s", p->c.pool->pool_id);
    snprintf(w.pool_name, sizeof(w.pool_name), "%s", p->c.pool->pool_name);
    while (w.n_members < JOIN_MEMBERS_MAX && (m = snap_next(&it)))
        snprintf(w.members[w.n_members++], JOIN_TEXT_MAX, "%s", m->address);
    write_state(p, &w);
    join_write_welcome(&w, out);
}

static bool challenge(struct peers *p, struct peer *peer, struct join_member *j,
                      struct buf *message, struct error *err)
{
    unsigned char key[JOIN_KEY_SIZE], binding[JOIN_BINDING_SIZE];
    if (!peer_receive(peer, message, err) ||
        !peer_binding(peer, JOIN_EXPORTER, binding, sizeof(binding)) ||
        !join_member_hello(j, message->data, message->len, binding, err))
        return false;
    _autosnap_ struct snapshot *snap = cache_snapshot(p->c.cache);
    const struct join_secret_record *s =
        find_secret(snap, &j->said, env_now(p->c.env), err);
    if (!s || !read_key(s, key))
        return false;
    buf_reset(message);
    join_member_challenge(j, key, p->c.env, message);
    OPENSSL_cleanse(key, sizeof(key));
    return peer_send(peer, message, err);
}

/* He has shown that he is none: from now on each wait has its own end. */
static void is_no_stranger(struct visit *v)
{
    pthread_mutex_lock(&v->p->lock);
    v->until = 0;
    pthread_mutex_unlock(&v->p->lock);
}

static void let_join(struct visit *v, struct peer *peer)
{
    struct peers *p = v->p;
    struct join_member j = { 0 };
    struct error err = { 0 }, late = { 0 };
    struct buf message = BUF_INIT(JOIN_LINE_MAX);
    bool ok = challenge(p, peer, &j, &message, &err) &&
              peer_receive(peer, &message, &err) &&
              join_member_proof(&j, message.data, message.len, &err);
    if (ok)
        is_no_stranger(v);
    ok = ok && p->c.make_room(p->c.arg, &err) && admit(p, &j.said, &err);
    buf_reset(&message);
    if (ok)
        write_welcome(p, p->c.pki->ca_key, &message);
    else
        join_write_refusal(&err, &message);
    if (!peer_send(peer, &message, &late) && ok)
        log_warn("peers", "%s: %s", v->from, late.text);
    if (message.data)
        OPENSSL_cleanse(message.data, message.len);
    if (ok)
        log_info("peers", "node %s at %s joined the pool", j.said.node,
                 j.said.address);
    else
        log_limited(LOG_WARN, "peers", "%s does not join: %s", v->from,
                    err.text);
    buf_free(&message);
    join_member_wipe(&j);
}

/* ---- a member's questions ------------------------------------------------ */

/* Its certificate says that it is one: every member has the CA's key, so this
 * gives nothing away that it could not take. */
static void let_know(struct peers *p, struct peer *peer, const char *from)
{
    struct error err = { 0 };
    struct buf message = BUF_INIT(PEERS_CEPH_MAX);
    if (!peer_is_member(peer))
        error_set(&err, ERR_FORBIDDEN, "it shows no certificate of the pool");
    else if (p->c.share(p->c.arg, &message, &err))
        peer_send(peer, &message, &err);
    if (err.code != ERR_NONE)
        log_limited(LOG_WARN, "peers", "%s asks for Ceph's keys: %s", from,
                    err.text);
    if (message.data)
        OPENSSL_cleanse(message.data, message.len);
    buf_free(&message);
}

static void let_ask(struct peers *p, struct peer *peer, const char *from)
{
    struct error err = { 0 };
    if (!peer_answer(peer, p->c.answer, p->c.arg, &err))
        log_limited(LOG_WARN, "peers", "%s asks this node: %s", from, err.text);
}

/* ---- visits ------------------------------------------------------------ */

/* With the certificate that is there now: it is renewed while we run. */
static SSL_CTX *context_now(const struct peers *p)
{
    struct pki now;
    struct error err;
    _autofree_ char *dir = xasprintf("%s/pki", p->c.state_dir);
    SSL_CTX *ctx = NULL;
    if (pki_read(dir, &now, &err)) {
        ctx = peer_context(&now, &err);
        pki_close(&now);
    }
    if (!ctx && SSL_CTX_up_ref(p->ctx) == 1)
        ctx = p->ctx;
    return ctx;
}

/* Leaves the list and closes: in this order for cut(). */
static void visit_end(struct visit *v)
{
    struct peers *p = v->p;
    struct visit **at = &p->visits;
    pthread_mutex_lock(&p->lock);
    while (*at != v)
        at = &(*at)->next;
    *at = v->next;
    close(v->fd);
    pthread_cond_broadcast(&p->fewer);
    pthread_mutex_unlock(&p->lock);
    free(v);
}

static void *serve(void *arg)
{
    struct visit *v = arg;
    struct peers *p = v->p;
    struct peer peer;
    struct error err = { 0 };
    SSL_CTX *ctx = context_now(p);
    int fd = fcntl(v->fd, F_DUPFD_CLOEXEC, 0);
    bool met = peer_accept(&peer, ctx, fd, &err);
    if (met && peer_is_member(&peer))
        is_no_stranger(v);
    if (!met)
        log_limited(LOG_WARN, "peers", "%s: %s", v->from, err.text);
    else if (peer_is_for(&peer, PEER_JOIN))
        let_join(v, &peer);
    else if (peer_is_for(&peer, PEER_CEPH))
        let_know(p, &peer, v->from);
    else if (peer_is_for(&peer, PEER_DISK) && peer_is_member(&peer))
        p->c.give(p->c.arg, &peer, v->from);
    else if (peer_is_for(&peer, PEER_NODE))
        let_ask(p, &peer, v->from);
    peer_close(&peer);
    SSL_CTX_free(ctx);
    visit_end(v);
    return NULL;
}

/* Those whose time is over, or all: their threads see the end of it. */
static void cut(struct peers *p, bool all)
{
    int64_t now = env_mono(p->c.env);
    pthread_mutex_lock(&p->lock);
    for (struct visit *v = p->visits; v; v = v->next)
        if (all || (v->until && v->until <= now))
            (void)shutdown(v->fd, SHUT_RDWR);
    pthread_mutex_unlock(&p->lock);
}

static void name_of(const struct sockaddr_storage *sa, char out[])
{
    const void *at = sa->ss_family == AF_INET
                         ? (const void *)&((struct sockaddr_in *)sa)->sin_addr
                         : &((struct sockaddr_in6 *)sa)->sin6_addr;
    if (!inet_ntop(sa->ss_family, at, out, INET6_ADDRSTRLEN))
        out[0] = '\0';
}

static bool is_members_address(const struct peers *p, const char *from)
{
    _autosnap_ struct snapshot *snap = cache_snapshot(p->c.cache);
    struct snap_iter it = snap_all(snap, &kind_member);
    for (const struct member *m; (m = snap_next(&it));)
        if (m->address && strcmp(m->address, from) == 0)
            return true;
    return false;
}

/* Under the lock.  Strangers leave room for members, and one address of
 * theirs for others. */
static bool has_room(const struct peers *p, const struct visit *next)
{
    unsigned all = 0, strangers = 0, alike = 0;
    for (const struct visit *v = p->visits; v; v = v->next) {
        bool stranger = v->until && !v->known;
        all++;
        strangers += stranger;
        alike += stranger && strcmp(v->from, next->from) == 0;
    }
    return all < PEERS_MAX && (next->known || (strangers < PEERS_STRANGERS &&
                                               alike < PEERS_ALIKE));
}

static void accept_one(struct peers *p)
{
    struct sockaddr_storage sa = { 0 };
    socklen_t len = sizeof(sa);
    pthread_t thread;
    int fd = accept4(p->tcp, (void *)&sa, &len, SOCK_CLOEXEC);
    if (fd < 0)
        return;
    struct visit *v = xcalloc(1, sizeof(*v));
    *v = (struct visit){ .p = p,
                         .fd = fd,
                         .until = env_mono(p->c.env) + PEERS_STRANGER_US };
    name_of(&sa, v->from);
    v->known = is_members_address(p, v->from);
    pthread_mutex_lock(&p->lock);
    v->next = p->visits;
    if (has_room(p, v) && pthread_create(&thread, NULL, serve, v) == 0) {
        pthread_detach(thread);
        p->visits = v;
        v = NULL;
    }
    pthread_mutex_unlock(&p->lock);
    if (v)
        close(fd);
    free(v);
}

static void answer_call(struct peers *p)
{
    char bytes[CALL_MAX];
    struct sockaddr_storage sa;
    socklen_t len = sizeof(sa);
    struct join_call call;
    struct buf out = BUF_INIT(CALL_MAX);
    ssize_t n =
        recvfrom(p->udp, bytes, sizeof(bytes), MSG_DONTWAIT, (void *)&sa, &len);
    if (n > 0 && join_call_read(bytes, (size_t)n, &call) && !call.answer) {
        call.answer = true;
        call.port = p->c.port;
        snprintf(call.pool_id, sizeof(call.pool_id), "%s", p->c.pool->pool_id);
        snprintf(call.pool_name, sizeof(call.pool_name), "%s",
                 p->c.pool->pool_name);
        join_call_write(&call, &out);
        if (out.len <= (size_t)n) /* not to be used against somebody */
            (void)sendto(p->udp, out.data, out.len, MSG_DONTWAIT, (void *)&sa,
                         len);
    }
    buf_free(&out);
}

static void *listen_all(void *arg)
{
    struct peers *p = arg;
    struct pollfd fds[] = { { p->stop, POLLIN, 0 },
                            { p->tcp, POLLIN, 0 },
                            { p->udp, POLLIN, 0 } };
    for (;;) {
        if (poll(fds, 3, LOOK_MS) < 0 && errno != EINTR)
            return NULL;
        if (fds[0].revents)
            return NULL;
        cut(p, false);
        if (fds[1].revents)
            accept_one(p);
        if (fds[2].revents)
            answer_call(p);
    }
}

/* ---- life -------------------------------------------------------------- */

static struct sockaddr_in v4_of(const char *address, int port)
{
    struct sockaddr_in sa = { .sin_family = AF_INET,
                              .sin_port = htons((uint16_t)port) };
    if (inet_pton(AF_INET, address, &sa.sin_addr) != 1)
        sa.sin_addr.s_addr = htonl(INADDR_ANY);
    return sa;
}

static int bound(int type, const char *address, int port)
{
    static const int one = 1;
    struct sockaddr_in sa = v4_of(address, port);
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(fd, (void *)&sa, sizeof(sa)) == 0 &&
        (type != SOCK_STREAM || listen(fd, PEERS_MAX) == 0))
        return fd;
    close(fd);
    return -1;
}

static bool open_sockets(struct peers *p, struct error *err)
{
    struct ip_mreq group = {
        .imr_multiaddr = v4_of(PEERS_GROUP, 0).sin_addr,
        .imr_interface = v4_of(p->c.address, 0).sin_addr,
    };
    p->tcp = bound(SOCK_STREAM, p->c.address, p->c.port);
    p->udp = bound(SOCK_DGRAM, "0.0.0.0", p->c.port);
    p->stop = eventfd(0, EFD_CLOEXEC);
    if (p->tcp < 0 || p->udp < 0 || p->stop < 0)
        return error_errno(err, ERR_INTERNAL, errno,
                           "cannot meet other nodes at port %d", p->c.port);
    if (setsockopt(p->udp, IPPROTO_IP, IP_ADD_MEMBERSHIP, &group,
                   sizeof(group)) != 0)
        log_warn("peers", "new nodes cannot find this one by multicast: %s",
                 strerror(errno));
    return true;
}

static void release(struct peers *p)
{
    if (p->tcp >= 0)
        close(p->tcp);
    if (p->udp >= 0)
        close(p->udp);
    if (p->stop >= 0)
        close(p->stop);
    SSL_CTX_free(p->ctx);
    pthread_mutex_destroy(&p->lock);
    pthread_cond_destroy(&p->fewer);
    free(p);
}

struct peers *peers_start(const struct peers_config *config, struct error *err)
{
    struct peers *p = xcalloc(1, sizeof(*p));
    p->c = *config;
    p->tcp = p->udp = p->stop = -1;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->fewer, NULL);
    p->ctx = peer_context(config->pki, err);
    if (p->ctx && open_sockets(p, err)) {
        if (pthread_create(&p->thread, NULL, listen_all, p) == 0)
            return p;
        error_set(err, ERR_INTERNAL, "no thread for the peers");
    }
    release(p);
    return NULL;
}

void peers_stop(struct peers *p)
{
    static const uint64_t one = 1;
    if (!p)
        return;
    if (write(p->stop, &one, sizeof(one)) < 0)
        log_warn("peers", "eventfd: %s", strerror(errno));
    pthread_join(p->thread, NULL);
    cut(p, true);
    pthread_mutex_lock(&p->lock);
    while (p->visits)
        pthread_cond_wait(&p->fewer, &p->lock);
    pthread_mutex_unlock(&p->lock);
    release(p);
}

/* ---- the founder's first records --------------------------------------- */

static bool read_secret_file(const char *path, struct join_secret *s)
{
    char text[128] = "";
    _autofile_ FILE *f = fopen(path, "re");
    bool ok = f && fgets(text, sizeof(text), f) && join_secret_read(text, s);
    OPENSSL_cleanse(text, sizeof(text));
    return ok;
}

bool peers_accept_secret(struct store *store, struct cache *cache,
                         const struct env *env, const char *path,
                         struct error *err)
{
    struct join_secret s;
    struct txn_result result;
    _autosnap_ struct snapshot *snap = cache_snapshot(cache);
    if (!read_secret_file(path, &s) ||
        snap_get(snap, &kind_join_secret, s.name))
        return true;
    _autotxn_ struct txn txn = TXN_INIT;
    _autorecord_ struct join_secret_record *r =
        record_new(&kind_join_secret, s.name);
    char hex[2 * JOIN_KEY_SIZE + 1];
    for (size_t i = 0; i < JOIN_KEY_SIZE; i++)
        snprintf(hex + 2 * i, 3, "%02x", s.key[i]);
    r->key = rec_str(r, hex);
    r->created = env_now(env);
    txn_change_record(&txn, r);
    OPENSSL_cleanse(&s, sizeof(s));
    OPENSSL_cleanse(hex, sizeof(hex));
    if (store_commit(store, &txn, &result) || result.status == TXN_CONFLICT)
        return true;
    error_copy(err, &result.err);
    return false;
}

bool peers_enroll(struct store *store, struct cache *cache,
                  const struct env *env, const struct membership *m,
                  const char *node, const char *address, struct error *err)
{
    struct txn_result result;
    _autosnap_ struct snapshot *snap = cache_snapshot(cache);
    const struct member *was = snap_get(snap, &kind_member, node);
    if (was && strcmp(was->address, address) == 0)
        return true;
    _autotxn_ struct txn txn = TXN_INIT;
    _autorecord_ struct member *r =
        was ? record_copy(was) : record_new(&kind_member, node);
    r->node_id = rec_str(r, m->node_id);
    r->address = rec_str(r, address);
    if (!r->joined)
        r->joined = env_now(env);
    txn_change_record(&txn, r);
    if (store_commit(store, &txn, &result))
        return true;
    error_copy(err, &result.err);
    return false;
}

/* ---- a node on its way in ---------------------------------------------- */

#define FOUND_MAX 16
#define LISTEN_MS 300
#define CALLS     2

/* Addresses where a pool may be. */
struct found {
    char v[FOUND_MAX][JOIN_TEXT_MAX];
    size_t n;
};

static void found_add(struct found *f, const char *address)
{
    for (size_t i = 0; i < f->n; i++)
        if (strcmp(f->v[i], address) == 0)
            return;
    if (f->n < FOUND_MAX)
        snprintf(f->v[f->n++], JOIN_TEXT_MAX, "%s", address);
}

static void take_answers(int fd, const char *nonce, int64_t until,
                         const struct env *env, struct found *f)
{
    for (;;) {
        char bytes[CALL_MAX], from[INET6_ADDRSTRLEN];
        struct sockaddr_storage sa = { 0 };
        socklen_t len = sizeof(sa);
        struct join_call call;
        struct pollfd p = { .fd = fd, .events = POLLIN };
        int64_t left = (until - env_mono(env)) / 1000;
        if (left <= 0 || poll(&p, 1, (int)left) <= 0)
            return;
        ssize_t n =
            recvfrom(fd, bytes, sizeof(bytes), MSG_DONTWAIT, (void *)&sa, &len);
        if (n <= 0 || !join_call_read(bytes, (size_t)n, &call) ||
            !call.answer || strcmp(call.nonce, nonce) != 0)
            continue;
        name_of(&sa, from);
        found_add(f, from);
    }
}

static void call_out(const char *address, int port, const struct env *env,
                     struct found *f)
{
    struct join_call call = { .answer = false };
    struct sockaddr_in group = v4_of(PEERS_GROUP, port);
    struct in_addr from = v4_of(address, 0).sin_addr;
    struct buf out = BUF_INIT(CALL_MAX);
    _autoclose_ int fd = bound(SOCK_DGRAM, address, 0);
    env_hex_id(env, call.nonce);
    join_call_write(&call, &out);
    for (int i = 0; fd >= 0 && i < CALLS && !f->n; i++) {
        (void)setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &from, sizeof(from));
        (void)sendto(fd, out.data, out.len, 0, (void *)&group, sizeof(group));
        take_answers(fd, call.nonce, env_mono(env) + LISTEN_MS * 1000, env, f);
    }
    buf_free(&out);
}

static void add_configured(const char *list, struct found *f)
{
    _autofree_ char *copy = xstrdup(list);
    char *rest = copy;
    for (char *one; (one = strsep(&rest, ", "));)
        if (*one)
            found_add(f, one);
}

static bool ask_in(struct peer *peer, const struct join_hello *hello,
                   const struct join_secret *secret, const struct env *env,
                   struct join_welcome *welcome, struct error *err)
{
    unsigned char binding[JOIN_BINDING_SIZE];
    struct join_node j = { 0 };
    struct buf message = BUF_INIT(JOIN_LINE_MAX), proof = BUF_INIT(1024);
    if (!peer_binding(peer, JOIN_EXPORTER, binding, sizeof(binding)))
        return error_set(err, ERR_INTERNAL, "no exporter");
    join_node_begin(&j, hello, secret, binding, env, &message);
    bool ok =
        peer_send(peer, &message, err) && peer_receive(peer, &message, err) &&
        join_node_challenge(&j, message.data, message.len, &proof, err) &&
        peer_send(peer, &proof, err) && peer_receive(peer, &message, err) &&
        join_node_welcome(&j, message.data, message.len, welcome, err);
    if (message.data)
        OPENSSL_cleanse(message.data, message.len);
    buf_free(&message);
    buf_free(&proof);
    join_node_wipe(&j);
    return ok;
}

static bool join_at(const char *where, int port, const struct join_hello *hello,
                    const struct join_secret *secret, const struct env *env,
                    struct join_welcome *welcome, struct error *err)
{
    struct peer peer;
    if (!peer_connect(&peer, where, port, PEER_JOIN, NULL, err))
        return false;
    bool ok = ask_in(&peer, hello, secret, env, welcome, err);
    peer_close(&peer);
    return ok || error_prefix(err, "%s", where);
}

bool peers_join(struct membership *m, const struct config *config,
                const struct env *env, const char *node, const char *address,
                struct error *err)
{
    struct join_secret secret;
    struct join_welcome welcome;
    struct join_hello hello = { 0 };
    struct found found = { .n = 0 };
    snprintf(hello.node, sizeof(hello.node), "%s", node);
    snprintf(hello.id, sizeof(hello.id), "%s", m->node_id);
    snprintf(hello.address, sizeof(hello.address), "%s", address);
    if (!read_secret_file(config->join_secret_file, &secret))
        return error_set(err, ERR_INVALID, "%s: no join secret in it",
                         config->join_secret_file);
    add_configured(config->peers, &found);
    call_out(address, config->peer_port, env, &found);
    error_set(err, ERR_NOT_FOUND, "no pool answers on this network");
    bool ok = false;
    for (size_t i = 0; i < found.n && !ok; i++)
        ok = join_at(found.v[i], config->peer_port, &hello, &secret, env,
                     &welcome, err);
    OPENSSL_cleanse(&secret, sizeof(secret));
    if (!ok)
        return false;
    ok = membership_accept(m, &welcome, config->state_dir, err);
    join_welcome_wipe(&welcome);
    return ok;
}

/* ---- a member ---------------------------------------------------------- */

static bool ask_ceph(const char *where, const struct config *config,
                     const struct pki *pki, struct buf *out, struct error *err)
{
    struct peer peer;
    if (!peer_connect(&peer, where, config->peer_port, PEER_CEPH, pki, err))
        return error_prefix(err, "%s", where);
    bool ok = peer_receive(&peer, out, err);
    peer_close(&peer);
    return ok || error_prefix(err, "%s", where);
}

bool peers_ask_ceph(const struct membership *m, const struct config *config,
                    struct buf *out, struct error *err)
{
    struct pki now;
    _autofree_ char *dir = xasprintf("%s/pki", config->state_dir);
    if (!pki_read(dir, &now, err))
        return false;
    bool ok = false;
    error_set(err, ERR_UNAVAILABLE, "no other member is known");
    for (size_t i = 0; i < m->n_members && !ok; i++)
        ok = ask_ceph(m->members[i], config, &now, out, err);
    pki_close(&now);
    return ok;
}

bool peers_ask_node(struct cache *cache, const struct config *config,
                    const char *node, const char *op, const char *json,
                    struct buf *out, struct error *err)
{
    struct pki now;
    _autosnap_ struct snapshot *snap = cache_snapshot(cache);
    const struct member *m = snap_get(snap, &kind_member, node);
    _autofree_ char *dir = xasprintf("%s/pki", config->state_dir);
    if (!m)
        return error_set(err, ERR_UNAVAILABLE, "%s is no member of the pool",
                         node);
    if (!pki_read(dir, &now, err))
        return false;
    bool ok = peer_ask(m->address, config->peer_port, &now, op, json, out, err);
    pki_close(&now);
    return ok || error_prefix(err, "node %s", node);
}
