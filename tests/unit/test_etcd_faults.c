/* What only the etcd driver must do: outlive kills, freezes, restarts,
 * compactions and the loss of the leader. */
#include "test.h"

#include "etcd_child.h"
#include "eventually.h"

#include "common/env.h"
#include "state/etcd_rpc.h"
#include "state/store_etcd.h"

#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

static struct etcd_child etcd;
static char store_name[16]; /* one a test */

static struct store *open_first(int first, int64_t timeout_us)
{
    const char *all[ETCD_MEMBERS], *endpoints[ETCD_MEMBERS];
    size_t n = etcd_endpoints(&etcd, all);
    for (size_t i = 0; i < n; i++)
        endpoints[i] = all[((size_t)first + i) % n];
    struct store_etcd_config config = { .endpoints = endpoints,
                                        .n_endpoints = n,
                                        .name = store_name,
                                        .begin = ETCD_MAY_CREATE,
                                        .timeout_us = timeout_us,
                                        .env = &env_system };
    struct error err = { 0 };
    struct store *s = NULL;
    for (int i = 0; i < 5 && !s; i++) /* a cluster that elects */
        s = store_etcd_open(&config, &err);
    if (!s)
        fail_msg("%s", err.text);
    return s;
}

/* ---- what is written and what is heard -------------------------------------
 */

#define TXNS 4000

struct written {
    atomic_int answered;
    _Atomic(enum txn_status) status[TXNS]; /* of txn n, which writes n/ */
    atomic_int freeze_at; /* answers, then process `freeze` is stopped */
    pid_t freeze;
};

struct one {
    struct written *w;
    int n;
};

static void on_written(void *arg, const struct txn_result *r)
{
    struct one *one = arg;
    one->w->status[one->n] = r->status;
    if (++one->w->answered == one->w->freeze_at)
        etcd_freeze(one->w->freeze);
    free(one);
}

static void write_one(struct store *s, struct written *w, int n)
{
    _autotxn_ struct txn t = TXN_INIT;
    struct one *one = xcalloc(1, sizeof(*one));
    char key[32];
    *one = (struct one){ w, n };
    for (int half = 0; half < 2; half++) {
        snprintf(key, sizeof(key), "w/%d/%d", n, half);
        txn_put(&t, key, "v", 1);
    }
    store_submit(s, &t, on_written, one);
}

struct heard {
    atomic_int keys[TXNS][2];
    atomic_llong revision;
    atomic_int disorder, end;
};

static void hear(void *arg, enum watch_what what, int64_t revision,
                 const struct kv *events, size_t n)
{
    struct heard *h = arg;
    int txn, half;
    if (what != WATCH_EVENTS)
        h->end = what;
    for (size_t i = 0; i < n; i++)
        if (sscanf(events[i].key, "w/%d/%d", &txn, &half) == 2)
            h->keys[txn][half]++;
    if (what == WATCH_EVENTS && revision <= h->revision)
        h->disorder++;
    h->revision = revision;
}

static bool find(void *arg, const struct kv *kv)
{
    bool(*found)[2] = arg;
    int txn, half;
    if (sscanf(kv->key, "w/%d/%d", &txn, &half) == 2)
        found[txn][half] = true;
    return true;
}

static int64_t put_until(struct store *s, const char *key, int64_t within_us)
{
    struct txn_result r = { 0 };
    int64_t end = env_mono(&env_system) + within_us;
    do {
        _autotxn_ struct txn t = TXN_INIT;
        txn_put(&t, key, "v", 1);
        if (store_commit(s, &t, &r))
            return r.revision;
    } while (env_mono(&env_system) < end);
    fail_msg("no commit: %s", r.err.text);
    return 0;
}

static void wait_heard(struct heard *h, int64_t revision)
{
    int64_t end = env_mono(&env_system) + 20 * SECOND_US;
    while (h->revision < revision && env_mono(&env_system) < end)
        sched_yield();
    assert_true(h->revision >= revision);
}

/* Nothing answered is lost, nothing refused is there, nothing is half there,
 * and the watch heard each once. */
static void check_all(struct store *s, struct written *w, struct heard *h,
                      int n)
{
    static bool found[TXNS][2];
    int64_t revision;
    struct error err;
    memset(found, 0, sizeof(found));
    if (!store_range(s, "w/", find, found, &revision, &err))
        fail_msg("%s", err.text);
    wait_heard(h, put_until(s, "last", 10 * SECOND_US));
    for (int i = 0; i < n; i++) {
        assert_int_equal(found[i][0], found[i][1]);
        if (w->status[i] == TXN_COMMITTED)
            assert_true(found[i][0]);
        if (w->status[i] == TXN_FAILED)
            assert_false(found[i][0]);
        assert_int_equal(h->keys[i][0], found[i][0]);
        assert_int_equal(h->keys[i][1], found[i][1]);
    }
    assert_int_equal(h->disorder, 0);
    assert_int_equal(h->end, WATCH_EVENTS);
}

static void wait_answers(struct written *w, int n)
{
    while (w->answered < n)
        sched_yield();
}

static int count(const struct written *w, int n, enum txn_status status)
{
    int found = 0;
    for (int i = 0; i < n; i++)
        found += w->status[i] == status;
    return found;
}

/* ---- one member -------------------------------------------------------- */

#define ROUND 1000

/* Writes a round and kills the member among its transactions: it is frozen
 * from within an answer (a loaded machine may run this thread only when all
 * are answered), so that it cannot answer what is sent after that. */
static void kill_among(struct store *s, struct written *w, int first)
{
    w->freeze_at = first + 50;
    w->freeze = etcd.member[0].pid;
    for (int i = first; i < first + ROUND; i++)
        write_one(s, w, i);
    wait_answers(w, first + 50);
    etcd_member_kill(&etcd, 0);
    etcd_member_start(&etcd, 0);
    wait_answers(w, first + ROUND);
}

static void killed_in_a_transaction(void **state)
{
    static struct written w;
    static struct heard h;
    struct error err;
    int n = 0;
    struct store *s = open_first(0, 0);
    struct watch *watch = store_watch(s, "", 0, hear, &h, &err);
    for (; n < TXNS && count(&w, n, TXN_UNKNOWN) == 0; n += ROUND)
        kill_among(s, &w, n);
    print_message("killed: %d committed, %d unknown, %d failed\n",
                  count(&w, n, TXN_COMMITTED), count(&w, n, TXN_UNKNOWN),
                  count(&w, n, TXN_FAILED));
    assert_true(count(&w, n, TXN_UNKNOWN) > 0);
    assert_int_equal(count(&w, n, TXN_CONFLICT), 0);
    check_all(s, &w, &h, n);
    store_unwatch(s, watch);
    store_close(s);
}

static void watch_outlives_a_restart(void **state)
{
    static struct heard h;
    struct error err;
    struct store *s = open_first(0, 0), *other = open_first(0, 0);
    struct watch *watch = store_watch(s, "", 0, hear, &h, &err);
    wait_heard(&h, put_until(other, "w/1/0", SECOND_US));
    etcd_member_kill(&etcd, 0);
    etcd_member_start(&etcd, 0);
    wait_heard(&h, put_until(other, "w/1/1", 10 * SECOND_US));
    assert_int_equal(h.keys[1][0], 1);
    assert_int_equal(h.keys[1][1], 1);
    assert_int_equal(h.end, WATCH_EVENTS);
    store_unwatch(s, watch);
    store_close(s);
    store_close(other);
}

/* What was compacted while it was cut off a watch has missed. */
static void compaction_under_a_watch(void **state)
{
    static struct heard h, again;
    static const char *const nowhere[] = { "127.0.0.1:1" };
    const char *endpoints[ETCD_MEMBERS];
    struct error err;
    struct store *s = open_first(0, 0), *other = open_first(0, 0);
    struct watch *watch = store_watch(s, "", 0, hear, &h, &err);
    wait_heard(&h, put_until(other, "w/1/0", SECOND_US));
    char endpoint[ENDPOINT_MAX];
    assert_true(store_etcd_endpoints(s, nowhere, 1, &err));
    while (grpc_connected(store_etcd_grpc(s), endpoint))
        sched_yield();
    int64_t last = 0;
    for (int i = 0; i < 10; i++)
        last = put_until(other, "w/2/0", SECOND_US);
    assert_true(store_compact(other, last, &err));
    assert_true(store_etcd_endpoints(s, endpoints,
                                     etcd_endpoints(&etcd, endpoints), &err));
    while (h.end == WATCH_EVENTS)
        sched_yield();
    assert_int_equal(h.end, WATCH_COMPACTED);
    assert_int_equal(h.keys[2][0], 0);
    store_unwatch(s, watch);
    /* Relisted, it hears again. */
    watch = store_watch(s, "", last + 1, hear, &again, &err);
    wait_heard(&again, put_until(other, "w/3/0", SECOND_US));
    assert_int_equal(again.keys[3][0], 1);
    assert_int_equal(again.end, WATCH_EVENTS);
    store_unwatch(s, watch);
    store_close(s);
    store_close(other);
}

static bool is_at(struct store *s, int member)
{
    char endpoint[ENDPOINT_MAX];
    return grpc_connected(store_etcd_grpc(s), endpoint) &&
           strcmp(endpoint, etcd.member[member].endpoint) == 0;
}

/* Asked again, since on a busy machine it may lose that connection, too. */
static bool comes_to(struct store *s, int member)
{
    grpc_prefer_first(store_etcd_grpc(s));
    return is_at(s, member);
}

/* What is committed meanwhile is heard. */
static void the_first_is_preferred(void **state)
{
    static struct heard h;
    struct error err;
    struct store *s = open_first(1, 0), *other = open_first(0, 0);
    const char *own_first[] = { etcd.member[0].endpoint,
                                etcd.member[1].endpoint };
    struct watch *watch = store_watch(s, "", 0, hear, &h, &err);
    wait_heard(&h, put_until(s, "w/1/0", 20 * SECOND_US));
    assert_true(store_etcd_endpoints(s, own_first, 2, &err));
    grpc_prefer_first(store_etcd_grpc(s));
    wait_heard(&h, put_until(other, "w/2/0", 20 * SECOND_US));
    eventually(comes_to(s, 0));
    wait_heard(&h, put_until(s, "w/3/0", 20 * SECOND_US));
    assert_int_equal(h.end, WATCH_EVENTS);
    store_unwatch(s, watch);
    store_close(s);
    store_close(other);
}

/* Many revisions of large values: pages, fragments, and a watch that begins
 * long ago. */
static void a_lot_of_history(void **state)
{
    static struct heard h;
    static char value[200000];
    struct error err;
    int64_t first = 0, last = 0, revision;
    struct store *s = open_first(0, 0);
    for (int i = 0; i < 300; i++) {
        _autotxn_ struct txn t = TXN_INIT;
        struct txn_result r;
        for (int k = 0; k < (i % 50 ? 1 : 5); k++) {
            char key[32];
            snprintf(key, sizeof(key), "%s/%d/%d", k ? "x" : "w", i, k);
            txn_put(&t, key, value, i % 10 ? 100 : sizeof(value));
        }
        assert_true(store_commit(s, &t, &r));
        first = first ? first : r.revision;
        last = r.revision;
    }
    struct watch *watch = store_watch(s, "w/", first, hear, &h, &err);
    wait_heard(&h, last);
    assert_int_equal(h.disorder, 0);
    static bool found[TXNS][2];
    assert_true(store_range(s, "", find, found, &revision, &err));
    for (int i = 0; i < 300; i++)
        assert_true(h.keys[i][0] == 1 && found[i][0]);
    assert_int_equal(revision, last);
    store_unwatch(s, watch);
    store_close(s);
}

/* ---- TLS both ways ------------------------------------------------------- */

/* A CA of our own, a certificate for 127.0.0.1 by it (good to serve and to
 * ask with), and another CA. */
static const char make_certs[] =
    "cd %s && exec >/dev/null 2>&1 && "
    "ext='subjectAltName=IP:127.0.0.1\n"
    "extendedKeyUsage=serverAuth,clientAuth' && "
    "new='openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256"
    " -nodes -days 2' && "
    "$new -keyout ca.key -out ca.pem -subj /CN=ca && "
    "$new -keyout no.key -out other.pem -subj /CN=other && "
    "openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
    " -keyout key.pem -out req.pem -subj / && printf \"$ext\" >ext && "
    "openssl x509 -req -in req.pem -CA ca.pem -CAkey ca.key -CAcreateserial"
    " -days 2 -extfile ext -out cert.pem";

static struct store *open_tls(const char *dir, const char *ca, bool own)
{
    char files[3][TEMPDIR_MAX + 16];
    const char *endpoints[ETCD_MEMBERS];
    struct error err = { 0 };
    snprintf(files[0], sizeof(files[0]), "%s/%s", dir, ca);
    snprintf(files[1], sizeof(files[1]), "%s/cert.pem", dir);
    snprintf(files[2], sizeof(files[2]), "%s/key.pem", dir);
    struct store_etcd_config config = {
        .endpoints = endpoints,
        .n_endpoints = etcd_endpoints(&etcd, endpoints),
        .tls = { files[0], own ? files[1] : NULL, own ? files[2] : NULL },
        .begin = ETCD_MAY_CREATE,
        .timeout_us = 3 * SECOND_US,
        .env = &env_system,
    };
    return store_etcd_open(&config, &err);
}

static void mutual_tls(void **state)
{
    char dir[TEMPDIR_MAX], command[2048];
    tempdir_make(dir);
    snprintf(command, sizeof(command), make_certs, dir);
    assert_int_equal(system(command), 0);
    memset(&etcd, 0, sizeof(etcd));
    etcd.tls = dir;
    etcd_child_start(&etcd, 1);
    struct store *s = open_tls(dir, "ca.pem", true);
    assert_non_null(s);
    assert_int_equal(put_until(s, "a", 5 * SECOND_US), 1);
    store_close(s);
    assert_null(open_tls(dir, "other.pem", true)); /* not our etcd */
    assert_null(open_tls(dir, "ca.pem", false));   /* not its client */
    etcd_child_stop(&etcd);
    tempdir_remove(dir);
}

/* ---- three members ----------------------------------------------------- */

static int leader_of(int ask)
{
    const char *endpoint[] = { etcd.member[ask].endpoint };
    struct error err;
    struct grpc_config config = { endpoint, 1, { NULL }, &env_system };
    struct grpc_call_opts o = { .path = ETCD_STATUS,
                                .timeout_us = 3 * SECOND_US,
                                .reply_max = 4096,
                                .retry = true };
    Etcd__EmptyRequest r = ETCD__EMPTY_REQUEST__INIT;
    struct grpc *g = grpc_open(&config, &err);
    _autoetcd_ Etcd__StatusResponse *st =
        etcd_ask(g, &o, &r, &etcd__status_response__descriptor, &err);
    grpc_close(g);
    return st && st->leader == st->header->member_id;
}

static int find_leader(void)
{
    for (;;)
        for (int i = 0; i < etcd.n; i++)
            if (etcd.member[i].pid && leader_of(i))
                return i;
}

struct writer {
    struct store *s;
    struct written w;
    atomic_int n;
    atomic_bool stop;
    int64_t gap_us; /* the longest time between two commits */
};

static void *write_on(void *arg)
{
    struct writer *w = arg;
    int64_t last = env_mono(&env_system);
    while (!w->stop && w->n < TXNS) {
        int n = w->n;
        write_one(w->s, &w->w, n);
        wait_answers(&w->w, n + 1);
        w->n++;
        if (w->w.status[n] != TXN_COMMITTED)
            continue;
        int64_t now = env_mono(&env_system);
        if (now - last > w->gap_us)
            w->gap_us = now - last;
        last = now;
    }
    return NULL;
}

static int committed(struct writer *w)
{
    return count(&w->w, w->n, TXN_COMMITTED);
}

static void wait_committed(struct writer *w, int more)
{
    int64_t end = env_mono(&env_system) + 30 * SECOND_US;
    for (int want = committed(w) + more; committed(w) < want; usleep(1000))
        if (env_mono(&env_system) > end)
            fail_msg("no commits for 30 s");
}

/* Writes through member `through`, does `harm`, and checks that all went on
 * as it must. */
static void harmed(int through, void (*harm)(int), int victim, const char *what)
{
    struct writer *w = xcalloc(1, sizeof(*w));
    struct heard *h = xcalloc(1, sizeof(*h));
    pthread_t thread;
    struct error err;
    w->s = open_first(through, 0);
    struct watch *watch = store_watch(w->s, "", 0, hear, h, &err);
    pthread_create(&thread, NULL, write_on, w);
    wait_committed(w, 100);
    harm(victim);
    wait_committed(w, 100);
    w->stop = true;
    pthread_join(thread, NULL);
    print_message("%s: no commit for %.2f s; %d committed, %d unknown\n", what,
                  (double)w->gap_us / SECOND_US, committed(w),
                  count(&w->w, w->n, TXN_UNKNOWN));
    check_all(w->s, &w->w, h, w->n);
    store_unwatch(w->s, watch);
    store_close(w->s);
    free(w);
    free(h);
}

static void kill_member(int i)
{
    etcd_member_kill(&etcd, i);
}

static void freeze_member(int i)
{
    etcd_freeze(etcd.member[i].pid);
}

/* Its gRPC server says GOAWAY before it leaves. */
static void ask_to_leave(int i)
{
    kill(etcd.member[i].pid, SIGTERM);
}

static void leader_killed(void **state)
{
    int leader = find_leader();
    harmed((leader + 1) % 3, kill_member, leader, "leader killed");
}

static void own_member_killed(void **state)
{
    int leader = find_leader();
    harmed(leader, kill_member, leader, "the leader it speaks to killed");
}

static void own_member_frozen(void **state)
{
    int follower = (find_leader() + 1) % 3;
    harmed(follower, freeze_member, follower, "its member frozen");
}

static void own_member_leaves(void **state)
{
    int follower = (find_leader() + 1) % 3;
    harmed(follower, ask_to_leave, follower, "its member stopped");
    etcd_member_kill(&etcd, follower);
}

/* ---- all --------------------------------------------------------------- */

static void name_store(void)
{
    static int n;
    snprintf(store_name, sizeof(store_name), "t%d", ++n);
}

/* Whatever the last test did to the members. */
static int all_up(void **state)
{
    for (int i = 0; i < etcd.n; i++)
        if (etcd.member[i].pid)
            kill(etcd.member[i].pid, SIGCONT);
        else
            etcd_member_start(&etcd, i);
    name_store();
    return 0;
}

static int one_member(void **state)
{
    name_store();
    memset(&etcd, 0, sizeof(etcd));
    etcd_child_start(&etcd, 1);
    return 0;
}

static int three_members(void **state)
{
    memset(&etcd, 0, sizeof(etcd));
    etcd_child_start(&etcd, 3);
    return 0;
}

static int stop(void **state)
{
    etcd_child_stop(&etcd);
    return 0;
}

int main(void)
{
#define ALONE(test_) cmocka_unit_test_setup_teardown(test_, one_member, stop)
    const struct CMUnitTest alone[] = {
        ALONE(killed_in_a_transaction),  ALONE(watch_outlives_a_restart),
        ALONE(compaction_under_a_watch), ALONE(a_lot_of_history),
        cmocka_unit_test(mutual_tls),
    };
#define TOGETHER(test_) cmocka_unit_test_setup(test_, all_up)
    const struct CMUnitTest together[] = {
        TOGETHER(the_first_is_preferred), TOGETHER(leader_killed),
        TOGETHER(own_member_killed),      TOGETHER(own_member_frozen),
        TOGETHER(own_member_leaves),
    };
    if (!etcd_there()) {
        print_message("skipped: there is no etcd on this machine\n");
        return 0;
    }
    return cmocka_run_group_tests_name("one", alone, NULL, NULL) +
           cmocka_run_group_tests_name("three", together, three_members, stop);
}
