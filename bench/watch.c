/* bench/watch: writes a second to a running pool's etcd, and how long until
 * another node's watch tells of them.  Prints one JSON line.
 *
 *   watch WRITER READER PKI    endpoints (host:port) of two members, and the
 *                              directory of a node's certificate
 *
 * bench/lab runs it in a pool of its own: what it writes stays there. */
#include "bench/load.h"
#include "common/alloc.h"
#include "common/env.h"
#include "state/store_etcd.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RUN_US (3 * SECOND_US)
#define DELAYS 200000
#define PREFIX "bench/"

struct delays {
    pthread_mutex_t lock;
    int64_t *us;
    size_t n;
};

static struct store *open_at(const char *endpoint, const char *pki)
{
    struct error err = { 0 };
    _autofree_ char *ca = xasprintf("%s/ca.crt", pki);
    _autofree_ char *cert = xasprintf("%s/server.crt", pki);
    _autofree_ char *key = xasprintf("%s/server.key", pki);
    struct store *s =
        store_etcd_open(&(struct store_etcd_config){ .endpoints = &endpoint,
                                                     .n_endpoints = 1,
                                                     .tls = { ca, cert, key },
                                                     .begin = ETCD_MUST_EXIST,
                                                     .env = &env_system },
                        &err);
    if (!s) {
        fprintf(stderr, "watch: %s: %s\n", endpoint, err.text);
        exit(1);
    }
    return s;
}

/* The value begins with the moment at which it was handed in. */
static void *put_on(void *arg)
{
    struct load *l = arg;
    char value[512] = "", key[64];
    int thread = l->next_thread++;
    for (long i = 0; !l->stop; i++) {
        _autotxn_ struct txn t = TXN_INIT;
        int64_t at = env_mono(&env_system);
        memcpy(value, &at, sizeof(at));
        snprintf(key, sizeof(key), PREFIX "%d/%ld", thread, i % 100);
        txn_put(&t, key, value, sizeof(value));
        if (store_commit(l->store, &t, NULL))
            l->commits++;
    }
    return NULL;
}

static void on_event(void *arg, enum watch_what what, int64_t revision,
                     const struct kv *events, size_t n)
{
    struct delays *d = arg;
    int64_t at, now = env_mono(&env_system);
    pthread_mutex_lock(&d->lock);
    for (size_t i = 0; i < n && d->n < DELAYS; i++) {
        if (!events[i].value || events[i].len < sizeof(at))
            continue;
        memcpy(&at, events[i].value, sizeof(at));
        d->us[d->n++] = now - at;
    }
    pthread_mutex_unlock(&d->lock);
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    struct delays d = { PTHREAD_MUTEX_INITIALIZER,
                        xcalloc(DELAYS, sizeof(int64_t)), 0 };
    struct error err = { 0 };
    if (argc != 4) {
        fprintf(stderr, "watch WRITER READER PKI\n");
        return 2;
    }
    struct store *writer = open_at(argv[1], argv[3]);
    struct store *reader = open_at(argv[2], argv[3]);
    struct watch *w = store_watch(reader, PREFIX, 0, on_event, &d, &err);
    double one = load_rate(writer, 1, RUN_US, put_on);
    pthread_mutex_lock(&d.lock);
    size_t n = d.n;
    qsort(d.us, n, sizeof(*d.us), by_value);
    int64_t median = n ? d.us[n / 2] : -1, p99 = n ? d.us[n * 99 / 100] : -1;
    pthread_mutex_unlock(&d.lock);
    double many = load_rate(writer, 32, RUN_US, put_on);
    printf("{\"writes_1\": %.0f, \"writes_32\": %.0f, \"watch_n\": %zu, "
           "\"watch_us\": %lld, \"watch_p99_us\": %lld}\n",
           one, many, n, (long long)median, (long long)p99);
    if (w)
        store_unwatch(reader, w);
    store_close(writer);
    store_close(reader);
    free(d.us);
    return 0;
}
