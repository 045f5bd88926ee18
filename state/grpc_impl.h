/* grpc_impl - what grpc.c (calls, the thread) and grpc_line.c (connections)
 * share; nobody else includes it. */
#ifndef CAIRN_STATE_GRPC_IMPL_H
#define CAIRN_STATE_GRPC_IMPL_H

#include "common/buf.h"
#include "state/grpc.h"

#include <pthread.h>
#include <stdatomic.h>

enum line_state { DIALING, GREETING, UP, LEAVING };

struct line { /* one connection */
    struct line *next;
    struct grpc *g;
    struct grpc_link *link;
    struct grpc_conn *conn;
    enum line_state state;
    bool failed;
    char endpoint[ENDPOINT_MAX];
    int64_t since;     /* when it began to dial */
    int64_t heard;     /* when bytes last came */
    int64_t pinged;    /* when the last PING was sent; 0: never */
    unsigned pongs;    /* expected once it is answered */
    unsigned n_single; /* calls that want an answer */
    int64_t asked;     /* when the first of them was sent after `heard` */
    unsigned sick;
    uint32_t events; /* as epoll has them */
    struct buf out;
    size_t out_at;
};

struct grpc_call {
    struct grpc_call *next, **at; /* in g->calls */
    struct grpc *g;
    struct line *line; /* NULL: waits */
    struct grpc_stream *stream;
    struct grpc_call_opts o;
    int64_t deadline, not_before; /* 0: none */
    bool single;
    struct grpc_message m; /* single: kept for another try */
    struct buf out;        /* stream: what waits for the connection */
    struct buf in;         /* single: the answer */
    bool got;
    grpc_done_fn *done;
    const struct grpc_events *events;
    void *arg;
};

struct post {
    struct post *next;
    void (*fn)(void *);
    void *arg;
    struct grpc_call *call; /* instead: begins it */
    int64_t at;             /* later */
};

struct grpc {
    const struct env *env;
    SSL_CTX *tls; /* as the files were at the last connection */
    char *tls_ca, *tls_cert, *tls_key;
    pthread_t thread;
    int epoll, wake;

    pthread_mutex_t lock; /* all below */
    pthread_cond_t idle;
    struct post *first, **last;
    unsigned n_single;     /* outstanding */
    char up[ENDPOINT_MAX]; /* whom we are connected to; "" */

    atomic_bool stop;

    /* The thread's. */
    char *endpoints[GRPC_ENDPOINTS_MAX];
    size_t n_endpoints;
    struct line *lines, *current;
    struct grpc_call *calls, **last_call; /* oldest first */
    struct post *timers;
    size_t turn;       /* of the endpoints */
    unsigned failures; /* in a row */
    int64_t dial_at;
    bool waiting; /* some call has no line */
    bool again;   /* something changed: another turn before sleeping */
};

/* grpc.c */
void grpc_call_finish(struct grpc_call *c, const struct grpc_status *st);

/* grpc_line.c */
void line_fail(struct line *l, const char *why);
/* No new calls for it; its streams end, its single calls may finish. */
void line_leave(struct line *l);
void line_event(struct line *l);
void line_settle(struct line *l);
void line_flush(struct line *l);
/* When it must be looked at again, having been looked at now. */
int64_t line_check(struct line *l, int64_t now);
void line_free(struct line *l);
void lines_reap(struct grpc *g);
/* Begins a connection if there is none and it is time. */
void lines_dial(struct grpc *g, int64_t now);

#endif
