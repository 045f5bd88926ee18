/* store_etcd_impl - what store_etcd.c (calls) and store_etcd_watch.c (the
 * watch stream) share; nobody else includes it. */
#ifndef CAIRN_STATE_STORE_ETCD_IMPL_H
#define CAIRN_STATE_STORE_ETCD_IMPL_H

#include "state/etcd_rpc.h"
#include "state/store_etcd.h"
#include "state/watchers.h"

#include <stdatomic.h>

struct feed;
struct held;

struct etcd_store {
    struct store store;
    const struct env *env;
    struct grpc *g;
    struct etcd_names names;
    int64_t timeout_us;
    struct watchers watchers;
    atomic_llong shift; /* etcd's revision - ours */
    atomic_llong start; /* our first revision: nothing before it is known */
    atomic_llong seen;  /* the newest revision that any caller knows of */
    atomic_bool closing;

    /* The client's thread's. */
    struct grpc_call *stream;
    struct feed *feeds; /* the main one and those that catch up */
    int64_t origin;     /* etcd's revision of the origin */
    int64_t pos;        /* the live watches have heard of all up to this */
    int64_t last_id;    /* of a watch, ours to choose */
    int64_t compacted;  /* asked for, lately */
    bool asking;        /* for the origin, before the stream */
    struct held *held;  /* commits that wait for pos, by revision */
};

/* store_etcd.c */
void etcd_saw(struct etcd_store *s, int64_t revision);
struct grpc_message etcd_origin_request(const struct etcd_store *s);
/* Sets origin, start and shift by the answer; false: there is none. */
bool etcd_take_origin(struct etcd_store *s, const Etcd__RangeResponse *r);
void etcd_compact_soon(struct etcd_store *s, int64_t revision);
struct grpc_call_opts etcd_opts(const struct etcd_store *s, const char *path,
                                bool retry);

/* store_etcd_watch.c: on the client's thread */
void etcd_stream_start(void *store);
/* The watch with that serial hears of the past, then becomes live. */
void etcd_watch_begin(struct etcd_store *s, uint64_t serial);
/* Answers a txn once the watches have heard of its revision. */
void etcd_hold(struct etcd_store *s, const struct txn_result *result,
               txn_done_fn *done, void *arg);
void etcd_stream_stop(struct etcd_store *s); /* answers all that is held */

#endif
