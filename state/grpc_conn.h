/*
 * grpc_conn - gRPC over one HTTP/2 connection, without the connection.
 *
 * A client's half of HTTP/2 (nghttp2) and gRPC's framing and statuses on top
 * of it.  It knows neither sockets nor clocks: bytes that came are given to
 * grpc_conn_receive, bytes to send are taken from grpc_conn_send, so that
 * tests and fuzzers need no network.  Everything the peer says is bounded:
 * messages by the stream's limit, texts, header lists, unknown statuses.
 *
 * A stream ends exactly once, by `end`, unless it was cancelled by its
 * owner; after that it is gone.  Call-backs run inside grpc_conn_receive,
 * grpc_conn_send and grpc_conn_lost; they may open, send and cancel, but
 * not call those three nor free the connection.
 *
 * Threads: one at a time.  Source: RFC 9113, gRPC's PROTOCOL-HTTP2.
 */
#ifndef CAIRN_STATE_GRPC_CONN_H
#define CAIRN_STATE_GRPC_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GRPC_TEXT_MAX   256
#define GRPC_PREFIX_LEN 5 /* before each message: compressed?, length */

enum grpc_code {
    GRPC_OK = 0,
    GRPC_CANCELLED = 1,
    GRPC_UNKNOWN = 2,
    GRPC_INVALID_ARGUMENT = 3,
    GRPC_DEADLINE_EXCEEDED = 4,
    GRPC_NOT_FOUND = 5,
    GRPC_PERMISSION_DENIED = 7,
    GRPC_RESOURCE_EXHAUSTED = 8,
    GRPC_FAILED_PRECONDITION = 9,
    GRPC_OUT_OF_RANGE = 11,
    GRPC_UNIMPLEMENTED = 12,
    GRPC_INTERNAL = 13,
    GRPC_UNAVAILABLE = 14,
    GRPC_UNAUTHENTICATED = 16,
};

struct grpc_status {
    enum grpc_code code;
    bool untouched; /* nobody has acted on the call: it may be sent again */
    bool answered;  /* the server itself gave this status */
    char text[GRPC_TEXT_MAX]; /* printable, "" if none was given */
};
struct grpc_status grpc_status_make(enum grpc_code code, const char *text);

struct grpc_events {
    void (*message)(void *arg, const uint8_t *data, size_t len);
    void (*end)(void *arg, const struct grpc_status *status);
};

struct grpc_conn;
struct grpc_stream;

struct grpc_conn *grpc_conn_new(const char *authority, bool tls);
/* Without a call-back; NULL is fine. */
void grpc_conn_free(struct grpc_conn *c);

struct grpc_open {
    const char *path;   /* "/package.Service/Method" */
    int64_t timeout_us; /* told to the server; 0: none */
    size_t message_max; /* bytes of one answer */
    bool has_leader;    /* metadata hasleader: end when there is none */
    const struct grpc_events *events; /* static */
    void *arg;
};
/* NULL: this connection takes no more streams. */
struct grpc_stream *grpc_conn_open(struct grpc_conn *c,
                                   const struct grpc_open *o);
/* Queues messages that have their prefixes already; `last` half-closes. */
void grpc_stream_send(struct grpc_stream *s, const void *data, size_t len,
                      bool last);
/* No call-back comes any more. */
void grpc_stream_cancel(struct grpc_stream *s);

/* False: the peer does not speak HTTP/2, or the connection is over. */
bool grpc_conn_receive(struct grpc_conn *c, const uint8_t *data, size_t len);
/* The next bytes to send, valid until the next call; 0: none now. */
size_t grpc_conn_send(struct grpc_conn *c, const uint8_t **data);
/* Ends all streams as UNAVAILABLE; those that were never sent untouched. */
void grpc_conn_lost(struct grpc_conn *c, const char *why);

bool grpc_conn_ready(const struct grpc_conn *c); /* the peer's SETTINGS came */
bool grpc_conn_going(const struct grpc_conn *c); /* GOAWAY came */
bool grpc_conn_over(const struct grpc_conn *c);  /* nothing left to do */
void grpc_conn_ping(struct grpc_conn *c);
unsigned grpc_conn_pongs(const struct grpc_conn *c); /* answers so far */

#endif
