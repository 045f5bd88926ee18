/*
 * peer_tls - connections between nodes.
 *
 * TLS 1.3 on the pool's own port.  What a connection is for is said by ALPN:
 *   cairn-join/1    a stranger wants in (join.h); shows no certificate
 *   cairn-ceph/1    a member wants the keys of the pool's Ceph cluster
 *                   (ceph_share.h); both sides show certificates
 *   cairn-disk/1    a member fetches a disk (carry.h); likewise
 *   cairn-node/1    a member asks what only this node can tell (peer_ask.h);
 *                   both sides show certificates
 *
 * A struct peer is one connection, used by one thread at a time; each read
 * and write has a deadline.
 */
#ifndef CAIRN_DAEMON_PEER_TLS_H
#define CAIRN_DAEMON_PEER_TLS_H

#include "common/buf.h"
#include "common/error.h"
#include "rest-api/pki.h"

#include <openssl/ssl.h>
#include <stdbool.h>

#define PEER_JOIN       "cairn-join/1"
#define PEER_CEPH       "cairn-ceph/1"
#define PEER_DISK       "cairn-disk/1"
#define PEER_NODE       "cairn-node/1"
#define PEER_TIMEOUT_S  10
#define PEER_ASK_S      4 /* of PEER_NODE: a client waits for it */
#define PEER_CONNECT_MS 2000

struct peer {
    int fd;
    SSL *ssl;
    SSL_CTX *own; /* of a connection that we opened */
};

/* For the listening side; refused are clients with a certificate that is not
 * of our CA. */
SSL_CTX *peer_context(const struct pki *pki, struct error *err);
/* Takes the descriptor. */
bool peer_accept(struct peer *p, SSL_CTX *ctx, int fd, struct error *err);
/* `pki` NULL: as a stranger, who checks nothing yet (PEER_JOIN). */
bool peer_connect(struct peer *p, const char *address, int port,
                  const char *purpose, const struct pki *pki,
                  struct error *err);
/* The same over a connection that stands, to `name`; takes the descriptor. */
bool peer_dial(struct peer *p, int fd, const char *name, const char *purpose,
               const struct pki *pki, struct error *err);
/* The deadline of each read and write from now on; else PEER_TIMEOUT_S. */
void peer_patience(struct peer *p, int seconds);
void peer_close(struct peer *p);

/* What ALPN chose; "" when nothing. */
bool peer_is_for(const struct peer *p, const char *purpose);
/* The other side has shown a certificate of our CA. */
bool peer_is_member(const struct peer *p);
bool peer_binding(const struct peer *p, const char *label, unsigned char *out,
                  size_t size);

/* Messages: a length of four bytes, then so many. */
bool peer_send(struct peer *p, const struct buf *message, struct error *err);
bool peer_receive(struct peer *p, struct buf *message, struct error *err);

#endif
