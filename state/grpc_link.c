#include "state/grpc_link.h"

#include "common/alloc.h"
#include "common/cleanup.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

struct grpc_link {
    int fd;
    SSL *ssl; /* NULL: plain */
    bool connected;
    bool tls_wants_write;
    char endpoint[ENDPOINT_MAX];
};

/* ---- endpoints --------------------------------------------------------- */

static bool split(const char *endpoint, char host[ENDPOINT_MAX], char port[16])
{
    const char *colon = strrchr(endpoint, ':');
    if (!colon || !colon[1] || strlen(colon + 1) > 5 ||
        strspn(colon + 1, "0123456789") != strlen(colon + 1))
        return false;
    size_t len = (size_t)(colon - endpoint);
    if (len >= 2 && endpoint[0] == '[' && endpoint[len - 1] == ']') {
        endpoint++;
        len -= 2;
    }
    if (!len || len >= ENDPOINT_MAX)
        return false;
    memcpy(host, endpoint, len);
    host[len] = '\0';
    snprintf(port, 16, "%s", colon + 1);
    return !strpbrk(host, "/@ ?#");
}

bool endpoint_parse(const char *text, char out[ENDPOINT_MAX], struct error *err)
{
    char host[ENDPOINT_MAX], port[16];
    const char *scheme = strstr(text, "://");
    const char *rest = scheme ? scheme + 3 : text;
    if (strlen(rest) >= ENDPOINT_MAX || !split(rest, host, port))
        return error_set(err, ERR_INVALID, "'%.60s' is not host:port", text);
    snprintf(out, ENDPOINT_MAX, "%s", rest);
    return true;
}

/* ---- TLS --------------------------------------------------------------- */

static bool tls_error(struct error *err, const char *what)
{
    unsigned long code = ERR_peek_last_error();
    const char *reason = ERR_reason_error_string(code);
    ERR_clear_error();
    return error_set(err, ERR_UNAVAILABLE, "%.200s: %s", what,
                     reason ? reason : "TLS failed");
}

static bool load_own(SSL_CTX *ctx, const struct grpc_tls_files *f,
                     struct error *err)
{
    if (!f->cert)
        return true;
    if (SSL_CTX_use_certificate_chain_file(ctx, f->cert) != 1)
        return tls_error(err, f->cert);
    if (SSL_CTX_use_PrivateKey_file(ctx, f->key, SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_check_private_key(ctx) != 1)
        return tls_error(err, f->key);
    return true;
}

bool grpc_tls_new(const struct grpc_tls_files *f, SSL_CTX **out,
                  struct error *err)
{
    static const unsigned char h2[] = "\x02h2";
    *out = NULL;
    if (!f->ca)
        return true;
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    if (!ctx)
        return tls_error(err, "TLS");
    SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE |
                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_alpn_protos(ctx, h2, sizeof(h2) - 1);
    bool ok = SSL_CTX_load_verify_file(ctx, f->ca) == 1 ? load_own(ctx, f, err)
                                                        : tls_error(err, f->ca);
    if (ok)
        *out = ctx;
    else
        SSL_CTX_free(ctx);
    return ok;
}

/* The certificate must name what we dial. */
static bool tls_start(struct grpc_link *l, SSL_CTX *ctx, const char *host,
                      struct error *err)
{
    unsigned char ip[16];
    l->ssl = SSL_new(ctx);
    if (!l->ssl || SSL_set_fd(l->ssl, l->fd) != 1)
        return tls_error(err, l->endpoint);
    X509_VERIFY_PARAM *param = SSL_get0_param(l->ssl);
    bool is_ip =
        inet_pton(AF_INET, host, ip) == 1 || inet_pton(AF_INET6, host, ip) == 1;
    if (is_ip ? X509_VERIFY_PARAM_set1_ip_asc(param, host) != 1
              : SSL_set1_host(l->ssl, host) != 1 ||
                    SSL_set_tlsext_host_name(l->ssl, host) != 1)
        return tls_error(err, l->endpoint);
    SSL_set_connect_state(l->ssl);
    return true;
}

static enum grpc_link_step tls_step(struct grpc_link *l, struct error *err)
{
    const unsigned char *proto;
    unsigned len;
    int rc = SSL_do_handshake(l->ssl);
    if (rc != 1) {
        int what = SSL_get_error(l->ssl, rc);
        l->tls_wants_write = what == SSL_ERROR_WANT_WRITE;
        if (what == SSL_ERROR_WANT_READ || what == SSL_ERROR_WANT_WRITE)
            return GRPC_LINK_AGAIN;
        tls_error(err, l->endpoint);
        return GRPC_LINK_FAILED;
    }
    l->tls_wants_write = false;
    SSL_get0_alpn_selected(l->ssl, &proto, &len);
    if (len == 2 && memcmp(proto, "h2", 2) == 0)
        return GRPC_LINK_DONE;
    error_set(err, ERR_UNAVAILABLE, "%s does not speak HTTP/2", l->endpoint);
    return GRPC_LINK_FAILED;
}

/* ---- links ------------------------------------------------------------- */

static int dial(const struct addrinfo *ai)
{
    int one = 1;
    int fd =
        socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (connect(fd, ai->ai_addr, ai->ai_addrlen) == 0 || errno == EINPROGRESS)
        return fd;
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

struct grpc_link *grpc_link_open(const char *endpoint, SSL_CTX *ctx,
                                 struct error *err)
{
    char host[ENDPOINT_MAX], port[16];
    const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
    struct addrinfo *ai = NULL;
    if (!split(endpoint, host, port) ||
        getaddrinfo(host, port, &hints, &ai) != 0) {
        error_set(err, ERR_UNAVAILABLE, "%s is no address", endpoint);
        return NULL;
    }
    struct grpc_link *l = xcalloc(1, sizeof(*l));
    snprintf(l->endpoint, sizeof(l->endpoint), "%s", endpoint);
    l->fd = dial(ai);
    freeaddrinfo(ai);
    bool ok =
        l->fd >= 0 || error_errno(err, ERR_UNAVAILABLE, errno, "%s", endpoint);
    if (ok && ctx)
        ok = tls_start(l, ctx, host, err);
    if (ok)
        return l;
    grpc_link_close(l);
    return NULL;
}

void grpc_link_close(struct grpc_link *l)
{
    if (!l)
        return;
    SSL_free(l->ssl);
    if (l->fd >= 0)
        close(l->fd);
    free(l);
}

int grpc_link_fd(const struct grpc_link *l)
{
    return l->fd;
}

uint32_t grpc_link_events(const struct grpc_link *l, bool want_write)
{
    bool out = !l->connected || l->tls_wants_write || want_write;
    return EPOLLIN | (out ? EPOLLOUT : 0);
}

enum grpc_link_step grpc_link_connect(struct grpc_link *l, struct error *err)
{
    int problem = 0;
    socklen_t len = sizeof(problem);
    struct sockaddr_storage peer;
    socklen_t peer_len = sizeof(peer);
    if (l->connected)
        return l->ssl ? tls_step(l, err) : GRPC_LINK_DONE;
    getsockopt(l->fd, SOL_SOCKET, SO_ERROR, &problem, &len);
    if (problem) {
        error_errno(err, ERR_UNAVAILABLE, problem, "%s", l->endpoint);
        return GRPC_LINK_FAILED;
    }
    if (getpeername(l->fd, (void *)&peer, &peer_len) != 0)
        return GRPC_LINK_AGAIN;
    l->connected = true;
    return l->ssl ? tls_step(l, err) : GRPC_LINK_DONE;
}

static ssize_t over(const struct grpc_link *l, struct error *err)
{
    error_set(err, ERR_UNAVAILABLE, "%s closed the connection", l->endpoint);
    return -1;
}

static ssize_t tls_result(struct grpc_link *l, int rc, struct error *err)
{
    int what = SSL_get_error(l->ssl, rc);
    if (what == SSL_ERROR_WANT_READ || what == SSL_ERROR_WANT_WRITE) {
        l->tls_wants_write = what == SSL_ERROR_WANT_WRITE;
        return 0;
    }
    if (what == SSL_ERROR_ZERO_RETURN || what == SSL_ERROR_SYSCALL)
        return over(l, err);
    tls_error(err, l->endpoint);
    return -1;
}

static ssize_t plain_result(const struct grpc_link *l, ssize_t n,
                            struct error *err)
{
    if (n > 0)
        return n;
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (n == 0)
        return over(l, err);
    error_errno(err, ERR_UNAVAILABLE, errno, "%s", l->endpoint);
    return -1;
}

ssize_t grpc_link_read(struct grpc_link *l, void *to, size_t len,
                       struct error *err)
{
    if (!l->ssl)
        return plain_result(l, recv(l->fd, to, len, 0), err);
    int n = SSL_read(l->ssl, to, (int)len);
    return n > 0 ? n : tls_result(l, n, err);
}

ssize_t grpc_link_write(struct grpc_link *l, const void *data, size_t len,
                        struct error *err)
{
    if (!l->ssl)
        return plain_result(l, send(l->fd, data, len, MSG_NOSIGNAL), err);
    int n = SSL_write(l->ssl, data, (int)len);
    return n > 0 ? n : tls_result(l, n, err);
}
