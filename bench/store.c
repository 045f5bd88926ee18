/* bench/store: puts a second of each driver, and what the cache's snapshots
 * cost.  Prints one JSON line. */
#include "bench/load.h"
#include "common/env.h"
#include "state/cache.h"
#include "state/remote.h"
#include "state/store_etcd.h"
#include "tests/unit/etcd_child.h"
#include "tests/unit/tempdir.h"

#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#define PUT_US  (SECOND_US / 2) /* how long each rate is measured */
#define RECORDS 10000

/* ---- puts -------------------------------------------------------------- */

static void *put_on(void *arg)
{
    struct load *l = arg;
    static const char value[512];
    int thread = l->next_thread++;
    for (long i = 0; !l->stop; i++) {
        _autotxn_ struct txn t = TXN_INIT;
        char key[64];
        snprintf(key, sizeof(key), "bench/%d/%ld", thread, i % 1000);
        txn_put(&t, key, value, sizeof(value));
        if (!store_commit(l->store, &t, NULL))
            abort();
        l->commits++;
    }
    return NULL;
}

static void put_rates(struct jw *w, const char *name, struct store *s)
{
    static const int threads[] = { 1, 8, 32 };
    jw_obj(w, name);
    for (size_t i = 0; i < ARRAY_SIZE(threads); i++) {
        char key[16];
        snprintf(key, sizeof(key), "%d", threads[i]);
        jw_int(w, key, (int64_t)load_rate(s, threads[i], PUT_US, put_on));
    }
    jw_obj_end(w);
}

static void put_rates_remote(struct jw *w, const char *name, struct store *real)
{
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds))
        abort();
    struct store_server *server = store_server_new(real, fds[1], NULL);
    struct store *face = store_remote_open(fds[0], NULL);
    put_rates(w, name, face);
    store_close(face);
    store_server_free(server);
}

/* ---- one at a time ---------------------------------------------------------
 */

#define TRIES 2000

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* Median of a txn with n compares and n puts, microseconds. */
static int64_t txn_p50(struct store *s, int n)
{
    static int64_t took[TRIES];
    static const char value[512];
    for (int i = 0; i < TRIES; i++) {
        _autotxn_ struct txn t = TXN_INIT;
        for (int k = 0; k < n; k++) {
            char key[64];
            snprintf(key, sizeof(key), "one/%d", k);
            txn_put(&t, key, value, sizeof(value));
            snprintf(key, sizeof(key), "none/%d", k);
            if (n > 1)
                txn_absent(&t, key);
        }
        int64_t begun = env_mono(&env_system);
        if (!store_commit(s, &t, NULL))
            abort();
        took[i] = env_mono(&env_system) - begun;
    }
    qsort(took, TRIES, sizeof(*took), by_value);
    return took[TRIES / 2];
}

static void latencies(struct jw *w, const char *name, struct store *s)
{
    jw_obj(w, name);
    jw_int(w, "put_p50_us", txn_p50(s, 1));
    jw_int(w, "txn5_p50_us", txn_p50(s, 5));
    jw_obj_end(w);
}

/* ---- many at once from one thread
 * -------------------------------------------- */

#define AT_ONCE 32

struct stream {
    struct store *s;
    atomic_bool *stop;
    atomic_int *running;
    atomic_long *commits;
    int number;
};

static void put_next(void *arg, const struct txn_result *r)
{
    struct stream *p = arg;
    static const char value[512];
    _autotxn_ struct txn t = TXN_INIT;
    char key[32];
    if (r && r->status == TXN_COMMITTED)
        (*p->commits)++;
    if (*p->stop) {
        (*p->running)--;
        return;
    }
    snprintf(key, sizeof(key), "stream/%d", p->number);
    txn_put(&t, key, value, sizeof(value));
    store_submit(p->s, &t, put_next, p);
}

static int64_t own_cpu_us(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * SECOND_US +
           u.ru_utime.tv_usec + u.ru_stime.tv_usec;
}

static void pipelined(struct jw *w, struct store *s)
{
    struct stream p[AT_ONCE];
    atomic_bool stop = false;
    atomic_int running = AT_ONCE;
    atomic_long commits = 0;
    int64_t begun = env_mono(&env_system), cpu = own_cpu_us();
    for (int i = 0; i < AT_ONCE; i++) {
        p[i] = (struct stream){ s, &stop, &running, &commits, i };
        put_next(&p[i], NULL);
    }
    usleep(PUT_US);
    int64_t took = env_mono(&env_system) - begun;
    long n = commits;
    stop = true;
    while (running)
        usleep(1000);
    jw_int(w, "puts_per_s_32_at_once", n * SECOND_US / took);
    jw_int(w, "client_cpu_us_per_put",
           n ? (own_cpu_us() - cpu) / (int64_t)n : 0);
}

/* ---- etcd ---------------------------------------------------------------- */

static void etcd_rates(struct jw *w, int members)
{
    static struct etcd_child etcd;
    const char *endpoints[ETCD_MEMBERS];
    struct error err;
    char name[16];
    memset(&etcd, 0, sizeof(etcd));
    etcd_child_start(&etcd, members);
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
    snprintf(name, sizeof(name), "etcd_%d", members);
    jw_obj(w, name);
    put_rates(w, "puts_per_s_by_threads", s);
    pipelined(w, s);
    latencies(w, "one_at_a_time", s);
    jw_obj_end(w);
    store_close(s);
    etcd_child_stop(&etcd);
}

/* ---- snapshots --------------------------------------------------------- */

struct thing {
    struct record rec;
    const char *name, *project_id, *state;
    int64_t size, created_at;
    struct map meta;
    struct strs subnet_ids;
};

static const struct kind kind_thing = {
    .name = "thing",
    .schema = {
        .size = sizeof(struct thing),
        .fields =
            (const struct field[]){
                FIELD(struct thing, name, F_STR),
                FIELD(struct thing, project_id, F_STR),
                FIELD(struct thing, state, F_STR),
                FIELD(struct thing, size, F_INT),
                FIELD(struct thing, created_at, F_TIME),
                FIELD(struct thing, meta, F_MAP),
                FIELD(struct thing, subnet_ids, F_STRS),
                FIELD_END,
            },
    },
    .indexes =
        (const struct index[]){
            { "project_id" }, { "state" }, { "subnet_ids" }, { NULL } },
};

static struct thing *a_thing(const char *id, int i)
{
    struct thing *t = record_new(&kind_thing, id);
    t->name = rec_strf(t, "thing-%d", i);
    t->project_id = rec_strf(t, "%032d", i % 100);
    t->size = i;
    t->created_at = i;
    t->state = i % 3 ? "ACTIVE" : "ERROR";
    map_put(t, &t->meta, "colour", "blue");
    char subnet[UUID_SIZE];
    snprintf(subnet, sizeof(subnet), "%036d", i % 50);
    strs_add(t, &t->subnet_ids, subnet);
    return t;
}

static void fill(struct store *s, char ids[][UUID_SIZE])
{
    for (int i = 0; i < RECORDS; i++) {
        _autotxn_ struct txn t = TXN_INIT;
        env_uuid(&env_system, ids[i]);
        _autorecord_ struct thing *thing = a_thing(ids[i], i);
        txn_put_record(&t, thing);
        if (!store_commit(s, &t, NULL))
            abort();
    }
}

static double us_each(int64_t begun, long n)
{
    return (double)(env_mono(&env_system) - begun) / (double)n;
}

static void get_and_scan(struct jw *w, struct cache *c, char ids[][UUID_SIZE])
{
    _autosnap_ struct snapshot *s = cache_snapshot(c);
    long n = 0;
    int64_t begun = env_mono(&env_system);
    for (int round = 0; round < 50; round++)
        for (int i = 0; i < RECORDS; i++)
            n += snap_get(s, &kind_thing, ids[i * 7919 % RECORDS]) != NULL;
    jw_real(w, "get_us", us_each(begun, n));

    n = 0;
    begun = env_mono(&env_system);
    for (int round = 0; round < 50; round++) {
        struct snap_iter it = snap_all(s, &kind_thing);
        for (const struct thing *t; (t = snap_next(&it));)
            n += t->size >= 0;
    }
    jw_int(w, "scan_records_per_s", (int64_t)(SECOND_US / us_each(begun, n)));

    n = 0;
    begun = env_mono(&env_system);
    for (int i = 0; i < 1000000; i++, n++)
        snapshot_unref(cache_snapshot(c));
    jw_real(w, "snapshot_us", us_each(begun, n));
}

static void apply_cost(struct jw *w, struct store *s, char ids[][UUID_SIZE])
{
    int64_t begun = env_mono(&env_system);
    for (int i = 0; i < RECORDS; i++) {
        _autotxn_ struct txn t = TXN_INIT;
        _autorecord_ struct thing *thing = a_thing(ids[i], i + 1);
        txn_put_record(&t, thing);
        store_commit(s, &t, NULL);
    }
    jw_real(w, "change_us", us_each(begun, RECORDS));
}

static void snapshots(struct jw *w)
{
    static const struct kind *const kinds[] = { &kind_thing };
    static char ids[RECORDS][UUID_SIZE];
    struct error err;
    struct store *s = store_memory_open(&env_system);
    struct cache *c = cache_new(kinds, 1);
    fill(s, ids);
    size_t before = mallinfo2().uordblks;
    int64_t begun = env_mono(&env_system);
    if (!cache_follow(c, s, &err))
        abort();
    jw_obj(w, "cache");
    jw_int(w, "records", RECORDS);
    jw_int(w, "load_ms", (env_mono(&env_system) - begun) / 1000);
    jw_int(w, "bytes_per_record",
           (int64_t)((mallinfo2().uordblks - before) / RECORDS));
    get_and_scan(w, c, ids);
    apply_cost(w, s, ids);
    jw_obj_end(w);
    cache_unfollow(c);
    cache_free(c);
    store_close(s);
}

/* ---- all --------------------------------------------------------------- */

static void local_drivers(struct jw *w)
{
    struct error err;
    char dir[TEMPDIR_MAX], path[TEMPDIR_MAX + 16];
    snprintf(path, sizeof(path), "%s/store.db", tempdir_make(dir));
    struct store *memory = store_memory_open(&env_system);
    struct store *sqlite = store_sqlite_open(path, &env_system, &err);
    if (!sqlite)
        abort();
    jw_obj(w, "puts_per_s_by_threads");
    put_rates(w, "memory", memory);
    put_rates(w, "sqlite", sqlite);
    put_rates_remote(w, "remote_memory", memory);
    put_rates_remote(w, "remote_sqlite", sqlite);
    jw_obj_end(w);
    latencies(w, "sqlite_one_at_a_time", sqlite);
    store_close(memory);
    store_close(sqlite);
    unlink(path);
    rmdir(dir);
}

/* `--driver etcd`: etcd only, `--driver local`: all but etcd. */
int main(int argc, char **argv)
{
    const char *only =
        argc == 3 && strcmp(argv[1], "--driver") == 0 ? argv[2] : "";
    struct buf out = BUF_INIT(1 << 16);
    struct jw w = JW_INIT(&out);
    jw_obj(&w, NULL);
    if (strcmp(only, "etcd") != 0) {
        local_drivers(&w);
        snapshots(&w);
    }
    if (strcmp(only, "local") != 0 && etcd_there()) {
        etcd_rates(&w, 1);
        etcd_rates(&w, 3);
    }
    jw_obj_end(&w);
    puts(buf_str(&out));
    buf_free(&out);
    return 0;
}
