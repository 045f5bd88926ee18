/*
 * bench/scheduler: servers a second from BUILD to placed, decision and commit
 * together, on each store; etcd is one real member on loopback.  Prints one
 * JSON line.
 *
 *   build/bench/scheduler [NODES [SERVERS]]     100 nodes, 1000 servers
 *
 * The records are there before the scheduler starts; the clock runs from its
 * start until the last server has its node.
 */
#include "engine/scheduler.h"
#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/jw.h"
#include "state/store_etcd.h"
#include "tests/unit/etcd_child.h"
#include "tests/unit/tempdir.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define POLL_US 5000
#define AT_ONCE 50 /* records a transaction, when filling */

static void commit(struct store *store, struct txn *t)
{
    if (!store_commit(store, t, NULL))
        abort();
    txn_reset(t);
}

static void add(struct store *store, struct txn *t, struct record *r, long i)
{
    txn_put_record(t, r);
    record_unref(r);
    if (i % AT_ONCE == AT_ONCE - 1)
        commit(store, t);
}

static void fill(struct store *store, long nodes, long servers)
{
    _autotxn_ struct txn t = TXN_INIT;
    char id[32];
    for (long i = 0; i < nodes; i++) {
        snprintf(id, sizeof(id), "node%06ld", i);
        struct node *n = record_new(&kind_node, id);
        n->vcpus = 64;
        n->ram_mb = 1 << 18;
        n->disk_gb = 4000;
        n->seen = env_now(&env_system) + 3600 * SECOND_US;
        add(store, &t, &n->rec, i);
    }
    commit(store, &t);
    for (long i = 0; i < servers; i++) {
        snprintf(id, sizeof(id), "server%08ld", i);
        struct server *s = record_new(&kind_server, id);
        s->name = rec_str(s, id);
        s->project_id = "p";
        s->vcpus = 1 << i % 4;
        s->ram_mb = 1024 << i % 4;
        s->disk_gb = 10;
        s->vm_state = VM_BUILDING;
        add(store, &t, &s->rec, i);
    }
    commit(store, &t);
}

static long placed(struct cache *cache)
{
    long n = 0;
    _autosnap_ struct snapshot *snap = cache_snapshot(cache);
    struct snap_iter it = snap_all(snap, &kind_server);
    for (const struct server *s; (s = snap_next(&it));)
        n += s->node != NULL;
    return n;
}

static double rate(struct store *store, long nodes, long servers)
{
    struct error err;
    struct cache *cache = cache_new(model_kinds, N_KINDS);
    struct scheduler_config config = {
        .store = store, .cache = cache, .env = &env_system, .workers = 1
    };
    fill(store, nodes, servers);
    struct scheduler *s = scheduler_new(&config);
    if (!cache_follow(cache, store, &err))
        abort();
    int64_t begun = env_mono(&env_system);
    scheduler_start(s);
    while (placed(cache) < servers)
        usleep(POLL_US);
    double took = (double)(env_mono(&env_system) - begun) / SECOND_US;
    cache_unfollow(cache);
    scheduler_free(s);
    cache_free(cache);
    store_close(store);
    return (double)servers / took;
}

/* 0: there is no etcd here. */
static double etcd_rate(long nodes, long servers)
{
    static struct etcd_child etcd;
    const char *endpoints[ETCD_MEMBERS];
    struct error err;
    if (!etcd_there())
        return 0;
    etcd_child_start(&etcd, 1);
    struct store_etcd_config config = {
        .endpoints = endpoints,
        .n_endpoints = etcd_endpoints(&etcd, endpoints),
        .begin = ETCD_MAY_CREATE,
        .timeout_us = 20 * SECOND_US,
        .env = &env_system,
    };
    struct store *s = store_etcd_open(&config, &err);
    if (!s)
        abort();
    double n = rate(s, nodes, servers);
    etcd_child_stop(&etcd);
    return n;
}

int main(int argc, char **argv)
{
    long nodes = argc > 1 ? strtol(argv[1], NULL, 10) : 100;
    long servers = argc > 2 ? strtol(argv[2], NULL, 10) : 1000;
    struct error err;
    struct buf json = BUF_INIT(1024);
    struct jw w = JW_INIT(&json);
    char dir[TEMPDIR_MAX];
    _autofree_ char *path = xasprintf("%s/state", tempdir_make(dir));
    struct store *sqlite = store_sqlite_open(path, &env_system, &err);
    if (!sqlite)
        abort();
    jw_obj(&w, NULL);
    jw_int(&w, "nodes", nodes);
    jw_int(&w, "servers", servers);
    jw_int(&w, "memory_placed_per_s",
           (int64_t)rate(store_memory_open(&env_system), nodes, servers));
    jw_int(&w, "sqlite_placed_per_s", (int64_t)rate(sqlite, nodes, servers));
    jw_int(&w, "etcd_placed_per_s", (int64_t)etcd_rate(nodes, servers));
    jw_obj_end(&w);
    puts(buf_str(&json));
    buf_free(&json);
    tempdir_remove(dir);
    return 0;
}
