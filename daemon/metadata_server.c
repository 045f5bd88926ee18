#include "daemon/metadata_server.h"

#include "common/alloc.h"
#include "common/buf.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "compute/guest_metadata.h"
#include "rest-api/http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

/* A listening socket, or one connection accepted from it. */
struct peer {
    struct peer *next;
    int fd;
    bool listens;
    char *network_id;
    /* Of a connection: */
    char source[INET6_ADDRSTRLEN];
    int64_t deadline; /* monotonic */
    size_t got, sent;
    bool answered;
    struct buf out;
    char in[METADATA_REQUEST_MAX + 1];
};

/* What another thread wants done. */
struct order {
    struct order *next;
    char *network_id;
    int fd;
};

struct metadata_server {
    struct cache *cache;
    const struct env *env;
    int epoll, wake;
    pthread_t thread;
    pthread_mutex_t lock; /* orders, stop */
    struct order *orders, **last;
    bool stop;
    struct peer *peers; /* the thread's */
    unsigned n_connections;
};

/* ---- one request ------------------------------------------------------- */

static void answer(struct peer *p, int status, const char *type,
                   const struct buf *body)
{
    buf_addf(&p->out,
             "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
             "Connection: close\r\n\r\n",
             status, http_status_text(status), type, body->len);
    buf_add(&p->out, buf_str(body), body->len);
    p->answered = true;
}

static void answer_error(struct peer *p, int status)
{
    struct buf body = BUF_INIT(256);
    buf_addf(&body, "%d %s\n", status, http_status_text(status));
    answer(p, status, "text/plain", &body);
    buf_free(&body);
}

static void answer_path(struct metadata_server *m, struct peer *p,
                        const char *path)
{
    struct buf body = BUF_INIT(GUEST_METADATA_MAX);
    struct error err = { 0 };
    const char *type = "text/plain";
    _autosnap_ struct snapshot *snap = cache_snapshot(m->cache);
    if (guest_metadata_get(snap, p->network_id, p->source, path, &body, &type,
                           &err))
        answer(p, 200, type, &body);
    else
        answer_error(p, error_http_status(err.code));
    log_debug("metadata", "%s %s on %s: %s", p->source, path, p->network_id,
              error_code_name(err.code));
    buf_free(&body);
}

/* "GET /path?query HTTP/1.1"; the headers do not matter. */
static void handle(struct metadata_server *m, struct peer *p)
{
    char *save, *method = strtok_r(p->in, " ", &save);
    char *path = strtok_r(NULL, " ", &save);
    char *version = strtok_r(NULL, " \r\n", &save);
    if (!method || !path || !version || path[0] != '/' ||
        strncmp(version, "HTTP/1.", 7) != 0) {
        answer_error(p, 400);
        return;
    }
    path[strcspn(path, "?#")] = '\0';
    if (strcmp(method, "GET") != 0)
        answer_error(p, 405);
    else if (!http_unescape(path, false))
        answer_error(p, 400);
    else
        answer_path(m, p, path);
}

/* ---- connections ------------------------------------------------------- */

static void watch(struct metadata_server *m, struct peer *p, int op,
                  uint32_t events)
{
    struct epoll_event ev = { .events = events, .data.ptr = p };
    epoll_ctl(m->epoll, op, p->fd, &ev);
}

static struct peer *peer_new(struct metadata_server *m, int fd, bool listens,
                             const char *network_id)
{
    struct peer *p = xcalloc(1, sizeof(*p));
    p->fd = fd;
    p->listens = listens;
    p->network_id = xstrdup(network_id);
    buf_init(&p->out, GUEST_METADATA_MAX + 1024);
    p->next = m->peers;
    m->peers = p;
    watch(m, p, EPOLL_CTL_ADD, EPOLLIN);
    return p;
}

/* Marks it for the sweep: events of this round may still name it. */
static void peer_close(struct metadata_server *m, struct peer *p)
{
    if (p->fd < 0)
        return;
    close(p->fd);
    p->fd = -1;
    if (!p->listens)
        m->n_connections--;
}

static void sweep(struct metadata_server *m, int64_t now, bool all)
{
    for (struct peer **at = &m->peers; *at;) {
        struct peer *p = *at;
        if (all || (!p->listens && p->deadline <= now))
            peer_close(m, p);
        if (p->fd >= 0) {
            at = &p->next;
            continue;
        }
        *at = p->next;
        buf_free(&p->out);
        free(p->network_id);
        free(p);
    }
}

static void source_text(const struct sockaddr_storage *sa, char *out)
{
    const struct sockaddr_in *v4 = (const void *)sa;
    const struct sockaddr_in6 *v6 = (const void *)sa;
    if (sa->ss_family == AF_INET)
        inet_ntop(AF_INET, &v4->sin_addr, out, INET6_ADDRSTRLEN);
    else if (sa->ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr))
        inet_ntop(AF_INET, &v6->sin6_addr.s6_addr[12], out, INET6_ADDRSTRLEN);
    else if (sa->ss_family == AF_INET6)
        inet_ntop(AF_INET6, &v6->sin6_addr, out, INET6_ADDRSTRLEN);
}

static void take_connection(struct metadata_server *m, struct peer *listener)
{
    struct sockaddr_storage sa = { 0 };
    socklen_t len = sizeof(sa);
    int fd =
        accept4(listener->fd, (void *)&sa, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return;
    if (m->n_connections == METADATA_CONNECTIONS) {
        log_limited(LOG_WARN, "metadata", "too many connections");
        close(fd);
        return;
    }
    m->n_connections++;
    struct peer *p = peer_new(m, fd, false, listener->network_id);
    source_text(&sa, p->source);
    p->deadline = env_mono(m->env) + METADATA_SECONDS * SECOND_US;
}

static void push_out(struct metadata_server *m, struct peer *p)
{
    ssize_t n =
        send(p->fd, p->out.data + p->sent, p->out.len - p->sent, MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN && errno != EINTR) {
        peer_close(m, p);
        return;
    }
    p->sent += n > 0 ? (size_t)n : 0;
    bool all = p->sent == p->out.len;
    if (all)
        shutdown(p->fd, SHUT_WR); /* then until the client closes */
    watch(m, p, EPOLL_CTL_MOD, all ? EPOLLIN : EPOLLOUT);
}

static void pull_in(struct metadata_server *m, struct peer *p)
{
    char rest[512];
    bool over = p->answered;
    ssize_t n =
        over ? recv(p->fd, rest, sizeof(rest), 0)
             : recv(p->fd, p->in + p->got, METADATA_REQUEST_MAX - p->got, 0);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
        peer_close(m, p);
        return;
    }
    if (over || n < 0)
        return;
    p->got += (size_t)n;
    p->in[p->got] = '\0';
    if (strstr(p->in, "\r\n\r\n") || strstr(p->in, "\n\n"))
        handle(m, p);
    else if (p->got == METADATA_REQUEST_MAX || strlen(p->in) < p->got)
        answer_error(p, 400);
    if (p->answered)
        push_out(m, p);
}

/* ---- the thread -------------------------------------------------------- */

static void obey(struct metadata_server *m, const struct order *o)
{
    for (struct peer *p = m->peers; p; p = p->next)
        if (p->listens && strcmp(p->network_id, o->network_id) == 0)
            peer_close(m, p);
    if (o->fd < 0)
        return;
    fcntl(o->fd, F_SETFL, fcntl(o->fd, F_GETFL) | O_NONBLOCK);
    peer_new(m, o->fd, true, o->network_id);
}

/* False: stop. */
static bool take_orders(struct metadata_server *m)
{
    pthread_mutex_lock(&m->lock);
    struct order *orders = m->orders;
    bool stop = m->stop;
    m->orders = NULL;
    m->last = &m->orders;
    pthread_mutex_unlock(&m->lock);
    for (struct order *o = orders, *next; o; o = next) {
        next = o->next;
        obey(m, o);
        free(o->network_id);
        free(o);
    }
    return !stop;
}

static void on_event(struct metadata_server *m, const struct epoll_event *ev)
{
    struct peer *p = ev->data.ptr;
    uint64_t count;
    if (!p) {
        if (read(m->wake, &count, sizeof(count)) < 0)
            return;
    } else if (p->fd >= 0) {
        if (p->listens)
            take_connection(m, p);
        else if (ev->events & EPOLLOUT)
            push_out(m, p);
        else
            pull_in(m, p);
    }
}

static void *run(void *arg)
{
    struct metadata_server *m = arg;
    struct epoll_event ev[32];
    while (take_orders(m)) {
        int n = epoll_wait(m->epoll, ev, ARRAY_SIZE(ev), 1000);
        for (int i = 0; i < n; i++)
            on_event(m, &ev[i]);
        sweep(m, env_mono(m->env), false);
    }
    sweep(m, 0, true);
    return NULL;
}

/* ---- for others -------------------------------------------------------- */

struct metadata_server *metadata_server_new(struct cache *cache,
                                            const struct env *env)
{
    struct metadata_server *m = xcalloc(1, sizeof(*m));
    struct epoll_event ev = { .events = EPOLLIN };
    m->cache = cache;
    m->env = env;
    m->last = &m->orders;
    pthread_mutex_init(&m->lock, NULL);
    m->epoll = epoll_create1(EPOLL_CLOEXEC);
    m->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (m->epoll < 0 || m->wake < 0 ||
        epoll_ctl(m->epoll, EPOLL_CTL_ADD, m->wake, &ev) != 0 ||
        pthread_create(&m->thread, NULL, run, m) != 0)
        abort(); /* no descriptors or threads right at the start */
    return m;
}

static void nudge(struct metadata_server *m)
{
    uint64_t one = 1;
    if (write(m->wake, &one, sizeof(one)) < 0)
        log_err("metadata", "cannot wake the server");
}

void metadata_server_listen(struct metadata_server *m, const char *network_id,
                            int fd)
{
    struct order *o = xcalloc(1, sizeof(*o));
    o->network_id = xstrdup(network_id);
    o->fd = fd;
    pthread_mutex_lock(&m->lock);
    *m->last = o;
    m->last = &o->next;
    pthread_mutex_unlock(&m->lock);
    nudge(m);
}

void metadata_server_free(struct metadata_server *m)
{
    if (!m)
        return;
    pthread_mutex_lock(&m->lock);
    m->stop = true;
    pthread_mutex_unlock(&m->lock);
    nudge(m);
    pthread_join(m->thread, NULL);
    close(m->epoll);
    close(m->wake);
    pthread_mutex_destroy(&m->lock);
    free(m);
}
