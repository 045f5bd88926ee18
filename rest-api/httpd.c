#include "rest-api/httpd_impl.h"

#include "common/log.h"
#include "rest-api/certificate.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PRIORITIES                                                             \
    "SECURE128:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-RSA:%SERVER_PRECEDENCE"
#define CONNECTION_MEMORY (32 * 1024)
#define TICK_US           (SECOND_US / 20)
#define NUDGE_TICKS       10
#define JOB_THREADS       8
#define JOBS_MAX          256

int64_t httpd_mono(const struct httpd *h)
{
    return env_mono(h->c.driver.api->env);
}

/* ---- connections and the clock ----------------------------------------- */

static void peer_text(const struct sockaddr *sa, char *out, size_t size)
{
    const void *addr =
        sa->sa_family == AF_INET6
            ? (const void *)&((const struct sockaddr_in6 *)(const void *)sa)
                  ->sin6_addr
            : (const void *)&((const struct sockaddr_in *)(const void *)sa)
                  ->sin_addr;
    if (sa->sa_family == AF_UNIX ||
        !inet_ntop(sa->sa_family, addr, out, (socklen_t)size))
        snprintf(out, size, "local");
}

static void on_connection(void *cls, struct MHD_Connection *mhd, void **context,
                          enum MHD_ConnectionNotificationCode what)
{
    struct httpd *h = cls;
    struct conn *conn = *context;
    pthread_mutex_lock(&h->lock);
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        conn = *context = xcalloc(1, sizeof(*conn));
        conn->fd =
            MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD)
                ->connect_fd;
        peer_text(
            MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS)
                ->client_addr,
            conn->peer, sizeof(conn->peer));
        atomic_store(&conn->deadline, httpd_mono(h) + h->c.limits.header_us);
        conn->next = h->conns;
        conn->link = &h->conns;
        if (conn->next)
            conn->next->link = &conn->next;
        h->conns = conn;
        h->n_conns++;
    } else if (conn) {
        *conn->link = conn->next;
        if (conn->next)
            conn->next->link = conn->link;
        h->n_conns--;
        free(conn);
        *context = NULL;
    }
    pthread_mutex_unlock(&h->lock);
}

/* Cuts those that are over their time.  MHD closes what was shut down. */
static void end_slow(struct httpd *h, int64_t now)
{
    for (struct conn *c = h->conns; c; c = c->next)
        if (atomic_load(&c->deadline) <= now) {
            atomic_store(&c->deadline, HTTPD_NEVER);
            shutdown(c->fd, SHUT_RDWR);
        }
}

/* MHD 0.9.75 misses the end of a stream that comes together with its last
 * bytes: it takes a short read for an empty socket, and epoll tells of each
 * change once.  Closing our side of what is closed already is a change. */
static void nudge_closed(struct httpd *h)
{
    _autofree_ struct pollfd *p = xcalloc(h->n_conns, sizeof(*p));
    nfds_t n = 0;
    for (struct conn *c = h->conns; c; c = c->next)
        if (atomic_load(&c->deadline) != HTTPD_NEVER)
            p[n++] = (struct pollfd){ .fd = c->fd, .events = POLLRDHUP };
    if (n && poll(p, n, 0) > 0)
        for (nfds_t i = 0; i < n; i++)
            if (p[i].revents & POLLRDHUP)
                shutdown(p[i].fd, SHUT_RD);
}

static void *run_clock(void *arg)
{
    struct httpd *h = arg;
    unsigned ticks = 0;
    pthread_mutex_lock(&h->lock);
    while (!h->stop) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += TICK_US * 1000;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        pthread_cond_timedwait(&h->wake, &h->lock, &until);
        end_slow(h, httpd_mono(h));
        if (++ticks % NUDGE_TICKS == 0)
            nudge_closed(h);
        pthread_mutex_unlock(&h->lock);
        driver_tick(h->driver, env_now(h->c.driver.api->env));
        pthread_mutex_lock(&h->lock);
    }
    pthread_mutex_unlock(&h->lock);
    return NULL;
}

/* ---- start and stop ---------------------------------------------------- */

struct httpd *httpd_new(const struct httpd_config *config)
{
    struct httpd *h = xcalloc(1, sizeof(*h));
    pthread_condattr_t attr;
    h->c = *config;
    struct httpd_limits *l = &h->c.limits;
    l->connections = l->connections ? l->connections : 1000;
    l->connections_per_address =
        l->connections_per_address ? l->connections_per_address : 300;
    l->header_us = l->header_us ? l->header_us : 20 * SECOND_US;
    l->idle_us = l->idle_us ? l->idle_us : 60 * SECOND_US;
    l->body_us = l->body_us ? l->body_us : 30 * SECOND_US;
    l->answer_us = l->answer_us ? l->answer_us : 60 * SECOND_US;
    pthread_mutex_init(&h->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&h->wake, &attr);
    pthread_mutex_init(&h->calls_lock, NULL);
    pthread_cond_init(&h->idle, &attr);
    pthread_condattr_destroy(&attr);
    if (!h->c.driver.jobs)
        h->c.driver.jobs = h->own_jobs = jobs_new(JOB_THREADS, JOBS_MAX);
    h->jobs = h->c.driver.jobs;
    h->driver = driver_new(&h->c.driver);
    return h;
}

static void log_mhd(void *cls, const char *fmt, va_list args)
{
    char text[512];
    vsnprintf(text, sizeof(text), fmt, args);
    text[strcspn(text, "\n")] = '\0';
    log_limited(LOG_DEBUG, "http", "%s", text);
}

/* Paths are matched as they came, see http_request. */
static size_t leave_escaped(void *cls, struct MHD_Connection *mhd, char *s)
{
    return strlen(s);
}

static unsigned n_threads(const struct httpd *h)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned n =
        h->c.threads ? h->c.threads : (unsigned)(cores > 0 ? cores : 1);
    return n > 16 ? 16 : n;
}

bool httpd_start(struct httpd *h, int listen_fd, struct error *err)
{
    bool tls = h->c.tls_cert != NULL;
    struct MHD_OptionItem tls_options[] = {
        { MHD_OPTION_HTTPS_CERT_CALLBACK, 0, certificate_callback() },
        { MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(uintptr_t)PRIORITIES },
        { MHD_OPTION_END, 0, NULL },
    };
    unsigned threads = n_threads(h);
    if (tls && !certificate_set(h->c.tls_cert, h->c.tls_key, err))
        return false;
    int fd = fcntl(listen_fd, F_DUPFD_CLOEXEC, 3); /* MHD closes its own */
    if (fd < 0)
        return error_errno(err, ERR_INTERNAL, errno, "cannot use the listener");
    h->mhd = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ITC |
            MHD_USE_ERROR_LOG | (tls ? MHD_USE_TLS : 0),
        0, NULL, NULL, httpd_on_request, h, MHD_OPTION_EXTERNAL_LOGGER, log_mhd,
        h, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_THREAD_POOL_SIZE,
        threads > 1 ? threads : 0u, MHD_OPTION_CONNECTION_LIMIT,
        h->c.limits.connections, MHD_OPTION_PER_IP_CONNECTION_LIMIT,
        h->c.limits.connections_per_address, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)CONNECTION_MEMORY, MHD_OPTION_URI_LOG_CALLBACK, httpd_on_uri, h,
        MHD_OPTION_UNESCAPE_CALLBACK, leave_escaped, h,
        MHD_OPTION_NOTIFY_COMPLETED, httpd_on_completed, h,
        MHD_OPTION_NOTIFY_CONNECTION, on_connection, h,
        MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_ARRAY,
        tls ? tls_options : &tls_options[2], MHD_OPTION_END);
    if (!h->mhd) {
        close(fd);
        return error_set(err, ERR_INTERNAL, "the HTTP server does not start%s",
                         tls ? " with TLS" : "");
    }
    h->has_clock = pthread_create(&h->clock, NULL, run_clock, h) == 0;
    return h->has_clock ||
           error_set(err, ERR_INTERNAL, "no thread for the HTTP server");
}

static bool await_calls(struct httpd *h, int64_t until)
{
    struct timespec end = { .tv_sec = until / SECOND_US,
                            .tv_nsec = until % SECOND_US * 1000 };
    int failed = 0;
    pthread_mutex_lock(&h->calls_lock);
    while (atomic_load(&h->active) && !failed)
        failed = pthread_cond_timedwait(&h->idle, &h->calls_lock, &end);
    pthread_mutex_unlock(&h->calls_lock);
    return atomic_load(&h->active) == 0;
}

/* Calls that were not suspended end with their connection. */
static bool nothing_outstanding(struct httpd *h, int64_t grace_us)
{
    if (await_calls(h, httpd_mono(h) + grace_us))
        return true;
    driver_cancel(h->driver);
    pthread_mutex_lock(&h->lock);
    end_slow(h, HTTPD_NEVER - 1);
    pthread_mutex_unlock(&h->lock);
    return await_calls(h, httpd_mono(h) + 2 * SECOND_US);
}

bool httpd_stop(struct httpd *h, int64_t grace_us)
{
    if (!h->mhd)
        return true;
    atomic_store(&h->stopping, true);
    MHD_socket fd = MHD_quiesce_daemon(h->mhd);
    if (fd >= 0)
        close(fd);
    if (!nothing_outstanding(h, grace_us))
        return false;
    MHD_stop_daemon(h->mhd);
    h->mhd = NULL;
    pthread_mutex_lock(&h->lock);
    h->stop = true;
    pthread_cond_signal(&h->wake);
    pthread_mutex_unlock(&h->lock);
    if (h->has_clock)
        pthread_join(h->clock, NULL);
    return true;
}

void httpd_free(struct httpd *h)
{
    if (!h)
        return;
    if (h->c.tls_cert)
        certificate_clear();
    jobs_free(h->own_jobs);
    driver_free(h->driver);
    pthread_mutex_destroy(&h->lock);
    pthread_cond_destroy(&h->wake);
    pthread_mutex_destroy(&h->calls_lock);
    pthread_cond_destroy(&h->idle);
    free(h);
}

struct httpd_stats httpd_stats(struct httpd *h)
{
    pthread_mutex_lock(&h->lock);
    struct httpd_stats s = { atomic_load(&h->requests), atomic_load(&h->active),
                             h->n_conns, (unsigned)driver_waiting(h->driver) };
    pthread_mutex_unlock(&h->lock);
    return s;
}
