/*
 * store_etcd - the store on a cluster of etcd members (v3.4 or later).
 *
 * Keys stand below "<name>/" in etcd.  Beside them "<name>!origin" ties our
 * revisions to etcd's: it holds the revision at which this store began, and
 * etcd's revision at which it was written stands for that; from then on both
 * grow by one a transaction, as nobody else writes to this etcd.  So a store
 * that moved here (move.h) goes on counting where the old one ended.
 *
 * One watch stream carries everything (see store_etcd.c): watches survive
 * the loss of a member or a connection without an event lost or doubled, and
 * end with COMPACTED if etcd has forgotten what came meanwhile, with LOST if
 * the cluster is another one than before.
 *
 * A txn whose answer was lost is UNKNOWN; one that certainly reached nobody
 * in time FAILED with ERR_UNAVAILABLE.  etcd must be started with
 * --max-txn-ops=1024 (STORE_OPS_MAX); its default of 128 makes longer ones
 * FAIL.  The newest STORE_ETCD_LOG revisions are kept for watches: every
 * client asks etcd to compact what is older, now and then.
 *
 * Leases are as fine as etcd: they end up to some seconds late, later when
 * etcd's leader changes meanwhile, never early.
 *
 * Threads: all calls from any; call-backs come on one thread of its own.
 */
#ifndef CAIRN_STATE_STORE_ETCD_H
#define CAIRN_STATE_STORE_ETCD_H

#include "state/grpc.h"
#include "state/store.h"

#define STORE_ETCD_LOG      10000
#define STORE_ETCD_NAME_MAX 64

enum store_etcd_begin {
    ETCD_MUST_EXIST, /* without an origin: ERR_NOT_FOUND */
    ETCD_MAY_CREATE, /* an empty store begins at revision 0 */
};

struct store_etcd_config {
    const char *const *endpoints; /* "host:port" or URLs */
    size_t n_endpoints;
    struct grpc_tls_files tls;
    const char *name; /* NULL: "cairn" */
    enum store_etcd_begin begin;
    int64_t timeout_us; /* of one call; 0: 5 s */
    const struct env *env;
};

/* Waits for the first answer, a timeout long. */
struct store *store_etcd_open(const struct store_etcd_config *config,
                              struct error *err);
/* The connection, for calls beside the store (etcd_cluster.h). */
struct grpc *store_etcd_grpc(struct store *s);
/* The members changed. */
bool store_etcd_endpoints(struct store *s, const char *const *endpoints,
                          size_t n, struct error *err);

/* ---- for move.c --------------------------------------------------------- */

/* The keys of a store as etcd has them. */
struct etcd_names {
    char prefix[STORE_ETCD_NAME_MAX + 2]; /* "cairn/" */
    char end[STORE_ETCD_NAME_MAX + 2];    /* "cairn0" */
    char origin[STORE_ETCD_NAME_MAX + 8]; /* "cairn!origin" */
};
bool etcd_names(const char *name, struct etcd_names *out, struct error *err);

#endif
