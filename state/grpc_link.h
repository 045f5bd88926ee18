/*
 * grpc_link - one TCP connection, with TLS or without, that never blocks.
 *
 * The owner polls link_fd for link_events and calls link_connect until it
 * says LINK_DONE, then link_read and link_write.  TLS: 1.2 or later, ALPN
 * h2, the peer's certificate must come from the given CA and name the host
 * or address that was dialled; ours is shown if there is one.
 *
 * Threads: one at a time.  The TLS settings may be shared.
 */
#ifndef CAIRN_STATE_GRPC_LINK_H
#define CAIRN_STATE_GRPC_LINK_H

#include "common/error.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define ENDPOINT_MAX 256 /* bytes of "host:port", with the NUL */

struct grpc_tls_files { /* PEM; all NULL: no TLS */
    const char *ca;
    const char *cert, *key; /* ours; both or neither */
};

typedef struct ssl_ctx_st SSL_CTX;
/* *ctx is NULL without TLS.  SSL_CTX_free accepts that. */
bool grpc_tls_new(const struct grpc_tls_files *files, SSL_CTX **ctx,
                  struct error *err);

/* "host:port", "[v6]:port", with http:// or https:// before it or not; the
 * scheme is dropped. */
bool endpoint_parse(const char *text, char out[ENDPOINT_MAX],
                    struct error *err);

enum link_step { LINK_DONE, LINK_AGAIN, LINK_FAILED };

struct link;
/* `endpoint` as endpoint_parse gives it.  A name is looked up with the
 * resolver, which may block: addresses are better. */
struct link *link_open(const char *endpoint, SSL_CTX *ctx, struct error *err);
void link_close(struct link *l); /* NULL is fine */
int link_fd(const struct link *l);
uint32_t link_events(const struct link *l, bool want_write); /* EPOLL* */
enum link_step link_connect(struct link *l, struct error *err);
/* Bytes; 0: none now; -1: over, *err says why. */
ssize_t link_read(struct link *l, void *to, size_t len, struct error *err);
ssize_t link_write(struct link *l, const void *data, size_t len,
                   struct error *err);

#endif
