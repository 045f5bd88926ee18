/* bench/confirm: what it costs to know that the cache is current, through a
 * real etcd of 1 and of 3 members on loopback, with the store's client in
 * this process and behind a socket (as the face has it); and how long that
 * takes when etcd's leader is killed.  Prints one JSON line; microseconds.
 *
 *   confirm [DEATHS]    how often a leader is killed (0) */
#include "state/confirm.h"
#include "common/alloc.h"
#include "common/env.h"
#include "state/etcd_cluster.h"
#include "state/remote.h"
#include "state/store_etcd.h"
#include "tests/unit/etcd_child.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ASKS         2000
#define AT_ONCE      32
#define HEARTBEAT_MS "100"
#define ELECTION_MS  "700"

static const struct kind kind_none = {
    .name = "none",
    .schema = { .size = sizeof(struct record),
                .fields = (const struct field[]){ FIELD_END } },
    .indexes = (const struct index[]){ { NULL } },
};
static const struct kind *const kinds[] = { &kind_none };

struct asker {
    struct confirm_wait wait;
    pthread_mutex_t lock;
    pthread_cond_t told;
    int left;
    bool current;
};

struct one {
    struct confirm_wait wait;
    struct asker *of;
};

static void told(struct confirm_wait *w, bool current)
{
    struct asker *a = container_of(w, struct one, wait)->of;
    pthread_mutex_lock(&a->lock);
    a->current &= current;
    if (!--a->left)
        pthread_cond_signal(&a->told);
    pthread_mutex_unlock(&a->lock);
}

/* So many ask at once; how long until all are answered, -1: they were told
 * that it is not known. */
static int64_t ask(struct confirm *c, int n)
{
    struct asker a = { .lock = PTHREAD_MUTEX_INITIALIZER,
                       .told = PTHREAD_COND_INITIALIZER,
                       .left = n,
                       .current = true };
    struct one each[AT_ONCE];
    int64_t begun = env_mono(&env_system);
    for (int i = 0; i < n; i++) {
        each[i] = (struct one){ .wait = { .fn = told }, .of = &a };
        confirm_ask(c, &each[i].wait);
    }
    pthread_mutex_lock(&a.lock);
    while (a.left) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += 10 * 1000 * 1000;
        if (until.tv_nsec >= 1000000000) {
            until.tv_nsec -= 1000000000;
            until.tv_sec++;
        }
        pthread_cond_timedwait(&a.told, &a.lock, &until);
        pthread_mutex_unlock(&a.lock);
        confirm_tick(c);
        pthread_mutex_lock(&a.lock);
    }
    pthread_mutex_unlock(&a.lock);
    return a.current ? env_mono(&env_system) - begun : -1;
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void percentiles(struct jw *w, const char *name, struct confirm *c,
                        int n)
{
    static int64_t took[ASKS];
    for (int i = 0; i < ASKS; i++)
        took[i] = ask(c, n);
    qsort(took, ASKS, sizeof(*took), by_value);
    jw_obj(w, name);
    jw_int(w, "p50_us", took[ASKS / 2]);
    jw_int(w, "p99_us", took[ASKS * 99 / 100]);
    jw_obj_end(w);
}

/* A cache that follows the store, and who asks for it. */
struct reader {
    struct store *store;
    struct cache *cache;
    struct confirm *confirm;
};

static struct reader reader_of(struct store *s)
{
    struct error err;
    struct reader r = { .store = s, .cache = cache_new(kinds, 1) };
    if (!cache_follow(r.cache, s, &err))
        abort();
    r.confirm = confirm_new(s, r.cache, &env_system);
    return r;
}

/* The store first: a question may be on its way still. */
static void reader_end(struct reader *r)
{
    cache_unfollow(r->cache);
    store_close(r->store);
    confirm_free(r->confirm);
    cache_free(r->cache);
}

static void reads(struct jw *w, const char *name, struct reader r)
{
    jw_obj(w, name);
    percentiles(w, "one", r.confirm, 1);
    percentiles(w, "at_once_32", r.confirm, AT_ONCE);
    jw_obj_end(w);
    reader_end(&r);
}

static struct store *open_at(struct etcd_child *etcd, int member)
{
    const char *endpoints[ETCD_MEMBERS];
    struct error err = { 0 };
    etcd_endpoints(etcd, endpoints);
    struct store_etcd_config config = { .endpoints = &endpoints[member],
                                        .n_endpoints = 1,
                                        .begin = ETCD_MAY_CREATE,
                                        .timeout_us = 20 * SECOND_US,
                                        .env = &env_system };
    struct store *s = store_etcd_open(&config, &err);
    if (!s) {
        fprintf(stderr, "confirm: %s\n", err.text);
        exit(1);
    }
    return s;
}

static void behind_a_socket(struct jw *w, struct store *real)
{
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds))
        abort();
    struct store_server *server = store_server_new(real, fds[1], NULL);
    reads(w, "socket", reader_of(store_remote_open(fds[0], NULL)));
    store_server_free(server);
}

/* Member by member: one of them leads. */
static void asks(struct jw *w, int members)
{
    static struct etcd_child etcd;
    char name[24];
    memset(&etcd, 0, sizeof(etcd));
    etcd_child_start(&etcd, members);
    for (int i = 0; i < members; i++) {
        struct store *s = open_at(&etcd, i);
        snprintf(name, sizeof(name), "etcd_%d_member_%d", members, i);
        jw_obj(w, name);
        behind_a_socket(w, s);
        reads(w, "direct", reader_of(s));
        jw_obj_end(w);
    }
    etcd_child_stop(&etcd);
}

/* ---- the leader dies ------------------------------------------------------
 */

#define MEMBERS 3

/* The member that leads; -1: none of them says so of itself. */
static int leads(const struct reader r[MEMBERS])
{
    struct error err;
    struct etcd_status st;
    for (int i = 0; i < MEMBERS; i++)
        if (etcd_status(store_etcd_grpc(r[i].store), &st, &err) &&
            st.member == st.leader)
            return i;
    return -1;
}

/* How long until a cache that follows another member is known to be current
 * again. */
static int64_t one_death(struct etcd_child *etcd, int led, struct confirm *c)
{
    while (ask(c, 1) < 0)
        ;
    etcd_member_kill(etcd, led);
    int64_t begun = env_mono(&env_system);
    while (ask(c, 1) < 0)
        ;
    return env_mono(&env_system) - begun;
}

/* With the timing of daemon/etcd_member.c. */
static void deaths(struct jw *w, int n)
{
    static struct etcd_child etcd;
    struct reader r[MEMBERS];
    setenv("ETCD_HEARTBEAT_INTERVAL", HEARTBEAT_MS, 0);
    setenv("ETCD_ELECTION_TIMEOUT", ELECTION_MS, 0);
    setenv("ETCD_PRE_VOTE", "true", 0);
    etcd_child_start(&etcd, MEMBERS);
    for (int i = 0; i < MEMBERS; i++)
        r[i] = reader_of(open_at(&etcd, i));
    jw_arr(w, "leader_killed_ms");
    for (int led; n > 0; n--) {
        while ((led = leads(r)) < 0)
            ;
        struct confirm *c = r[(led + 1) % MEMBERS].confirm;
        jw_int(w, NULL, one_death(&etcd, led, c) / 1000);
        etcd_member_start(&etcd, led);
    }
    jw_arr_end(w);
    for (int i = 0; i < MEMBERS; i++)
        reader_end(&r[i]);
    etcd_child_stop(&etcd);
}

int main(int argc, char **argv)
{
    struct buf out = BUF_INIT(1 << 16);
    struct jw w = JW_INIT(&out);
    int n = argc > 1 ? atoi(argv[1]) : 0;
    jw_obj(&w, NULL);
    if (n > 0) {
        deaths(&w, n);
    } else {
        asks(&w, 1);
        asks(&w, MEMBERS);
    }
    jw_obj_end(&w);
    puts(buf_str(&out));
    buf_free(&out);
    return 0;
}
