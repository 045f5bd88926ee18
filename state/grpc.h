/*
 * grpc - a gRPC client: one thread, one connection, several endpoints.
 *
 * All calls are streams of one HTTP/2 connection (grpc_conn.h), which is made
 * anew, to the next endpoint, whenever it fails, with growing pauses once
 * every endpoint has failed.  Calls wait while there is none.
 *
 * A call that certainly reached nobody (never sent, refused, behind a
 * GOAWAY) is sent again by itself until its deadline; one that may be
 * repeated safely says so (`retry`) and is sent again after any loss.  All
 * others end with GRPC_UNAVAILABLE or GRPC_DEADLINE_EXCEEDED and `untouched`
 * false: whether the server has acted on them is then unknown.
 *
 * An endpoint is given up when it does not finish connecting (TCP, TLS, the
 * first HTTP/2 frame: a stopped process does the first alone) in
 * GRPC_CONNECT_US; when it is silent for GRPC_SILENCE_US in spite of calls,
 * which a PING after GRPC_NUDGE_US tells from slow ones; when an idle
 * connection does not answer its keep-alive PING; and when it says
 * UNAVAILABLE GRPC_SICK_MAX times without an answer between.  PINGs are
 * GRPC_PING_US apart at least, as etcd's default policy wants.
 *
 * The files of TLS are read at each connection: a certificate that was
 * renewed is shown from the next one on.
 *
 * Threads: call-backs come on the client's own, one at a time; they must
 * not block.  Functions may be called from any thread unless said.
 */
#ifndef CAIRN_STATE_GRPC_H
#define CAIRN_STATE_GRPC_H

#include "common/env.h"
#include "state/grpc_conn.h"
#include "state/grpc_link.h"

#define GRPC_ENDPOINTS_MAX 32
#define GRPC_CALLS_MAX     65536 /* outstanding; more are RESOURCE_EXHAUSTED */
#define GRPC_CONNECT_US    (2 * SECOND_US)
#define GRPC_NUDGE_US      SECOND_US
#define GRPC_SILENCE_US    (5 * SECOND_US / 2)
#define GRPC_IDLE_US       (10 * SECOND_US)
#define GRPC_PING_US       (5 * SECOND_US + 100000)
#define GRPC_PAUSE_US      50000 /* back-off: the first pause ... */
#define GRPC_PAUSE_MOST_US (2 * SECOND_US)
#define GRPC_SICK_MAX      3

struct grpc;

struct grpc_config {
    const char *const *endpoints; /* tried in this order */
    size_t n_endpoints;
    struct grpc_tls_files tls;
    const struct env *env;
};

/* Copies what it is given; returns at once, connected or not. */
struct grpc *grpc_open(const struct grpc_config *config, struct error *err);
/* Lets single calls finish (their deadlines bound it), ends streams, joins
 * the thread.  NULL is fine.  Not from a call-back. */
void grpc_close(struct grpc *g);
/* Replaces the endpoints; the connection stays if it is among them. */
bool grpc_set_endpoints(struct grpc *g, const char *const *endpoints, size_t n,
                        struct error *err);
/* Leaves the connection for one to the first endpoint, unless it is that:
 * calls end where they are, streams are lost as with any connection. */
void grpc_prefer_first(struct grpc *g);

/* A message with room for its prefix before it: what is encoded goes to
 * grpc_payload.  Malloced; calls and sends take it over. */
struct grpc_message {
    uint8_t *data;
    size_t len; /* with the prefix */
};
struct grpc_message grpc_message_new(size_t payload);
static inline uint8_t *grpc_payload(struct grpc_message m)
{
    return m.data + GRPC_PREFIX_LEN;
}

struct grpc_call_opts {
    const char *path;   /* static */
    int64_t timeout_us; /* of a single call: of all tries; streams: 0 */
    size_t reply_max;   /* bytes of one message */
    bool retry;         /* may be repeated */
    bool has_leader;
    bool choosy; /* UNAVAILABLE is about the call, not about the endpoint */
};

/* Exactly once; data is valid during the call and NULL unless GRPC_OK. */
typedef void grpc_done_fn(void *arg, const struct grpc_status *status,
                          const uint8_t *data, size_t len);
/* One message there, one back. */
void grpc_call(struct grpc *g, const struct grpc_call_opts *o,
               struct grpc_message m, grpc_done_fn *done, void *arg);
/* The same, waiting; not from a call-back.  *out is malloced. */
struct grpc_status grpc_call_wait(struct grpc *g,
                                  const struct grpc_call_opts *o,
                                  struct grpc_message m, uint8_t **out,
                                  size_t *len);
/* Many messages back, each to `message`, waiting for the end.  `message`
 * comes on the client's thread. */
struct grpc_status grpc_read_wait(
    struct grpc *g, const struct grpc_call_opts *o, struct grpc_message m,
    void (*message)(void *arg, const uint8_t *data, size_t len), void *arg);

/* ---- on the client's thread only (call-backs, grpc_post) ------------------
 */

struct grpc_call;
/* A stream; it is open (perhaps waiting) until `end`, which comes when its
 * connection is lost, or until it is cancelled. */
struct grpc_call *grpc_stream(struct grpc *g, const struct grpc_call_opts *o,
                              const struct grpc_events *events, void *arg);
void grpc_send(struct grpc_call *c, struct grpc_message m);
void grpc_cancel(struct grpc_call *c);
/* The connection is of no use (a member without a leader): try the next. */
void grpc_suspect(struct grpc *g, const char *why);
/* Runs fn(arg) in `us` microseconds, once; grpc_close drops what waits. */
void grpc_later(struct grpc *g, int64_t us, void (*fn)(void *arg), void *arg);

/* ---- from any ------------------------------------------------------------ */

/* Runs fn(arg) on the client's thread. */
void grpc_post(struct grpc *g, void (*fn)(void *arg), void *arg);
/* Is there a connection, and to whom (for status pages)? */
bool grpc_connected(struct grpc *g, char endpoint[ENDPOINT_MAX]);

#endif
