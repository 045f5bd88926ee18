/*
 * grpc_link - one TCP connection, with TLS or without, that never blocks.
 *
 * The owner polls grpc_link_fd for grpc_link_events and calls grpc_link_connect
 * until it says GRPC_LINK_DONE, then grpc_link_read and grpc_link_write.
 * TLS: 1.2 or later, ALPN h2, the peer's certificate must come from the given
 * CA and name the host or address that was dialled; ours is shown if there is
 * one.
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

enum grpc_link_step { GRPC_LINK_DONE, GRPC_LINK_AGAIN, GRPC_LINK_FAILED };

struct grpc_link;
/* `endpoint` as endpoint_parse gives it.  A name is looked up with the
 * resolver, which may block: addresses are better. */
struct grpc_link *grpc_link_open(const char *endpoint, SSL_CTX *ctx,
                                 struct error *err);
void grpc_link_close(struct grpc_link *l); /* NULL is fine */
int grpc_link_fd(const struct grpc_link *l);
uint32_t grpc_link_events(const struct grpc_link *l,
                          bool want_write); /* EPOLL* */
enum grpc_link_step grpc_link_connect(struct grpc_link *l, struct error *err);
/* Bytes; 0: none now; -1: over, *err says why. */
ssize_t grpc_link_read(struct grpc_link *l, void *to, size_t len,
                       struct error *err);
ssize_t grpc_link_write(struct grpc_link *l, const void *data, size_t len,
                        struct error *err);

#endif
