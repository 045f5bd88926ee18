#include "daemon/peer_tls.h"

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/ip.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

static bool tls_failed(struct error *err, const char *what)
{
    char text[256] = "closed";
    unsigned long code = ERR_peek_last_error();
    if (code)
        ERR_error_string_n(code, text, sizeof(text));
    ERR_clear_error();
    return error_set(err, ERR_UNAVAILABLE, "%s: %s", what, text);
}

/* ---- contexts ---------------------------------------------------------- */

static bool use_pki(SSL_CTX *ctx, const struct pki *pki)
{
    BIO *key = BIO_new_mem_buf(pki->key, -1);
    BIO *cert = BIO_new_mem_buf(pki->cert, -1);
    BIO *ca = BIO_new_mem_buf(pki->ca, -1);
    EVP_PKEY *k = PEM_read_bio_PrivateKey(key, NULL, NULL, NULL);
    X509 *c = PEM_read_bio_X509(cert, NULL, NULL, NULL);
    X509 *a = PEM_read_bio_X509(ca, NULL, NULL, NULL);
    bool ok = k && c && a && SSL_CTX_use_certificate(ctx, c) == 1 &&
              SSL_CTX_use_PrivateKey(ctx, k) == 1 &&
              X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), a) == 1;
    EVP_PKEY_free(k);
    X509_free(c);
    X509_free(a);
    BIO_free(key);
    BIO_free(cert);
    BIO_free(ca);
    return ok;
}

static SSL_CTX *context(const SSL_METHOD *method, const struct pki *pki,
                        struct error *err)
{
    SSL_CTX *ctx = SSL_CTX_new(method);
    if (ctx && SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) == 1 &&
        (!pki || use_pki(ctx, pki))) {
        SSL_CTX_set_verify(ctx, pki ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
        return ctx;
    }
    SSL_CTX_free(ctx);
    tls_failed(err, "TLS");
    return NULL;
}

/* The first of ours that the client offers. */
static int choose_purpose(SSL *ssl, const unsigned char **out,
                          unsigned char *out_len, const unsigned char *in,
                          unsigned in_len, void *arg)
{
    static const unsigned char ours[] =
        "\x0c" PEER_JOIN "\x0c" PEER_CEPH "\x0c" PEER_DISK "\x0c" PEER_NODE;
    int rc = SSL_select_next_proto((unsigned char **)out, out_len, ours,
                                   sizeof(ours) - 1, in, in_len);
    return rc == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK
                                        : SSL_TLSEXT_ERR_ALERT_FATAL;
}

SSL_CTX *peer_context(const struct pki *pki, struct error *err)
{
    SSL_CTX *ctx = context(TLS_server_method(), pki, err);
    if (ctx) {
        SSL_CTX_set_alpn_select_cb(ctx, choose_purpose, NULL);
        SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    }
    return ctx;
}

/* ---- connections ------------------------------------------------------- */

static void set_patience(int fd, int seconds)
{
    const struct timeval t = { .tv_sec = seconds };
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t));
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t));
}

static void set_deadlines(int fd)
{
    static const int one = 1;
    set_patience(fd, PEER_TIMEOUT_S);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

bool peer_accept(struct peer *p, SSL_CTX *ctx, int fd, struct error *err)
{
    *p = (struct peer){ .fd = fd };
    set_deadlines(fd);
    p->ssl = SSL_new(ctx);
    if (p->ssl && SSL_set_fd(p->ssl, fd) == 1 && SSL_accept(p->ssl) == 1)
        return true;
    tls_failed(err, "a peer's handshake");
    peer_close(p);
    return false;
}

static int connect_to(const char *address, int port, struct error *err)
{
    struct sockaddr_storage sa = { 0 };
    struct sockaddr_in *v4 = (void *)&sa;
    struct sockaddr_in6 *v6 = (void *)&sa;
    bool six = strchr(address, ':') != NULL;
    sa.ss_family = six ? AF_INET6 : AF_INET;
    v4->sin_port = htons((uint16_t)port); /* at the same place in both */
    if (inet_pton(sa.ss_family, address,
                  six ? (void *)&v6->sin6_addr : (void *)&v4->sin_addr) != 1) {
        error_set(err, ERR_INVALID, "%s is no address", address);
        return -1;
    }
    _autoclose_ int fd =
        socket(sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int failed = 0;
    socklen_t len = sizeof(failed);
    struct pollfd wait = { .fd = fd, .events = POLLOUT };
    if (fd < 0 ||
        (connect(fd, (void *)&sa, six ? sizeof(*v6) : sizeof(*v4)) != 0 &&
         errno != EINPROGRESS)) {
        error_errno(err, ERR_UNAVAILABLE, errno, "%s", address);
        return -1;
    }
    if (poll(&wait, 1, PEER_CONNECT_MS) != 1)
        failed = ETIMEDOUT;
    else
        (void)getsockopt(fd, SOL_SOCKET, SO_ERROR, &failed, &len);
    if (failed || fcntl(fd, F_SETFL, 0) != 0) {
        error_errno(err, ERR_UNAVAILABLE, failed, "%s", address);
        return -1;
    }
    return steal_fd(&fd);
}

bool peer_dial(struct peer *p, int fd, const char *name, const char *purpose,
               const struct pki *pki, struct error *err)
{
    unsigned char alpn[64];
    size_t n = strlen(purpose);
    *p = (struct peer){ .fd = fd };
    alpn[0] = (unsigned char)n;
    memcpy(alpn + 1, purpose, n);
    set_deadlines(p->fd);
    if (strcmp(purpose, PEER_NODE) == 0)
        set_patience(p->fd, PEER_ASK_S);
    p->own = context(TLS_client_method(), pki, err);
    p->ssl = p->own ? SSL_new(p->own) : NULL;
    if (p->ssl && SSL_set_alpn_protos(p->ssl, alpn, (unsigned)n + 1) == 0 &&
        SSL_set_fd(p->ssl, p->fd) == 1 && SSL_connect(p->ssl) == 1)
        return true;
    tls_failed(err, name);
    peer_close(p);
    return false;
}

bool peer_connect(struct peer *p, const char *address, int port,
                  const char *purpose, const struct pki *pki, struct error *err)
{
    int fd = connect_to(address, port, err);
    *p = (struct peer){ .fd = -1 };
    return fd >= 0 && peer_dial(p, fd, address, purpose, pki, err);
}

void peer_patience(struct peer *p, int seconds)
{
    set_patience(p->fd, seconds);
}

void peer_close(struct peer *p)
{
    SSL_free(p->ssl);
    SSL_CTX_free(p->own);
    if (p->fd >= 0)
        close(p->fd);
    *p = (struct peer){ .fd = -1 };
}

bool peer_is_for(const struct peer *p, const char *purpose)
{
    const unsigned char *name = NULL;
    unsigned len = 0;
    SSL_get0_alpn_selected(p->ssl, &name, &len);
    return name && len == strlen(purpose) && memcmp(name, purpose, len) == 0;
}

bool peer_is_member(const struct peer *p)
{
    X509 *shown = SSL_get_peer_certificate(p->ssl);
    bool ok = shown && SSL_get_verify_result(p->ssl) == X509_V_OK;
    X509_free(shown);
    return ok;
}

bool peer_binding(const struct peer *p, const char *label, unsigned char *out,
                  size_t size)
{
    return SSL_export_keying_material(p->ssl, out, size, label, strlen(label),
                                      NULL, 0, 0) == 1;
}

/* ---- messages ---------------------------------------------------------- */

bool peer_send(struct peer *p, const struct buf *message, struct error *err)
{
    unsigned char head[4] = { 0, (unsigned char)(message->len >> 16),
                              (unsigned char)(message->len >> 8),
                              (unsigned char)message->len };
    if (message->overflow || message->len >= 1u << 24)
        return error_set(err, ERR_TOO_LARGE, "a message for a peer");
    return (SSL_write(p->ssl, head, sizeof(head)) == sizeof(head) &&
            SSL_write(p->ssl, message->data, (int)message->len) ==
                (int)message->len) ||
           tls_failed(err, "sending to a peer");
}

static bool read_all(struct peer *p, unsigned char *out, size_t n)
{
    while (n) {
        int got = SSL_read(p->ssl, out, (int)n);
        if (got <= 0)
            return false;
        out += got;
        n -= (size_t)got;
    }
    return true;
}

bool peer_receive(struct peer *p, struct buf *message, struct error *err)
{
    unsigned char head[4];
    buf_reset(message);
    if (!read_all(p, head, sizeof(head)))
        return tls_failed(err, "a peer");
    size_t n = (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];
    if (head[0] || n > message->max || !buf_reserve(message, n))
        return error_set(err, ERR_TOO_LARGE, "a peer's message");
    _autofree_ unsigned char *bytes = xmalloc(n + 1);
    if (!read_all(p, bytes, n))
        return tls_failed(err, "a peer");
    buf_add(message, bytes, n);
    return true;
}
