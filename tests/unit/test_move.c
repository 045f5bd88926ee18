/* A store moves into etcd: with a crash between any two steps, and with
 * writers and watchers on it. */
#include "test.h"

#include "etcd_child.h"

#include "common/env.h"
#include "state/move.h"
#include "state/switch.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>

static struct etcd_child etcd;
static char dir[TEMPDIR_MAX], name[16];

static struct store *open_sqlite(void)
{
    char path[TEMPDIR_MAX + 16];
    struct error err;
    snprintf(path, sizeof(path), "%s/cairn.db", dir);
    struct store *s = store_sqlite_open(path, &env_system, &err);
    if (!s)
        fail_msg("%s", err.text);
    return s;
}

static struct move_config config(const char **endpoints)
{
    return (struct move_config){
        .dir = dir,
        .to = { .endpoints = endpoints,
                .n_endpoints = etcd_endpoints(&etcd, endpoints),
                .name = name,
                .begin = ETCD_MUST_EXIST,
                .env = &env_system },
    };
}

static int64_t put(struct store *s, const char *key, size_t len, int64_t lease)
{
    _autotxn_ struct txn t = TXN_INIT;
    _autofree_ char *value = xmalloc(len + 1);
    struct txn_result r;
    for (size_t i = 0; i < len; i++)
        value[i] = (char)(i * 7 + strlen(key));
    txn_put_lease(&t, key, value, len, lease);
    assert_true(store_commit(s, &t, &r));
    return r.revision;
}

/* Records large and small, leased, changed and deleted. */
static int64_t fill(struct store *s)
{
    _autotxn_ struct txn t = TXN_INIT;
    struct txn_result r;
    struct error err;
    int64_t lease;
    assert_true(store_lease_grant(s, 600, &lease, &err));
    for (int i = 0; i < 330; i++) {
        char key[32];
        snprintf(key, sizeof(key), "thing/%04d", i);
        put(s, key, i % 100 ? (size_t)i : 200000, i % 90 == 5 ? lease : 0);
    }
    put(s, "thing/0007", 70, 0);
    txn_delete(&t, "thing/0008");
    assert_true(store_commit(s, &t, &r));
    return r.revision;
}

struct sum {
    uint64_t sum;
    int n;
};

static bool add(void *arg, const struct kv *kv)
{
    struct sum *s = arg;
    for (const char *c = kv->key; *c; c++)
        s->sum = s->sum * 31 + (unsigned char)*c;
    for (size_t i = 0; i < kv->len; i++)
        s->sum = s->sum * 31 + ((const unsigned char *)kv->value)[i];
    s->n++;
    return true;
}

static struct sum content(struct store *s)
{
    struct sum sum = { 0 };
    struct error err;
    if (!store_range(s, "", add, &sum, NULL, &err))
        fail_msg("%s", err.text);
    return sum;
}

static bool is_marked(void)
{
    struct move_mark mark;
    struct error err;
    assert_true(move_read_mark(dir, &mark, &err));
    if (mark.there)
        assert_string_equal(mark.endpoints[0], etcd.member[0].endpoint);
    return mark.there;
}

/* ---- crashes ----------------------------------------------------------- */

static int steps_left;

static bool stop_here(void *arg, enum move_step step)
{
    return steps_left-- > 0;
}

/* What a daemon would open now. */
static struct store *open_what_counts(void)
{
    const char *endpoints[ETCD_MEMBERS];
    struct error err = { 0 };
    struct move_config c = config(endpoints);
    if (!is_marked())
        return open_sqlite();
    struct store *s = store_etcd_open(&c.to, &err);
    if (!s)
        fail_msg("%s", err.text);
    return s;
}

static void crash_anywhere(void **state)
{
    const char *endpoints[ETCD_MEMBERS];
    struct store *s = open_sqlite();
    fill(s);
    struct sum want = content(s);
    store_close(s);
    bool done = false;
    int stop = 0;
    for (; !done; stop++) {
        char path[TEMPDIR_MAX + 16];
        struct error err = { 0 };
        struct move_config c = config(endpoints);
        snprintf(name, sizeof(name), "crash%d", stop / 3);
        snprintf(path, sizeof(path), "%s/%s", dir, MOVE_MARK);
        c.step = stop_here;
        steps_left = stop;
        s = open_sqlite();
        struct store *fresh = move_run(s, &c, &err);
        store_close(s);
        done = fresh;
        if (!done && err.code != ERR_CANCELLED)
            fail_msg("step %d: %s", stop, err.text);
        store_close(fresh);
        s = open_what_counts(); /* one of the two is whole */
        struct sum got = content(s);
        assert_int_equal(got.n, want.n);
        assert_true(got.sum == want.sum);
        store_close(s);
        if (is_marked() && !done)
            unlink(path); /* from here on as if it had not come so far */
        assert_true(stop < 100);
    }
    print_message("%d records, crashes at %d places\n", want.n, stop - 1);
}

/* ---- revisions --------------------------------------------------------- */

static void on_event(void *arg, enum watch_what what, int64_t revision,
                     const struct kv *events, size_t n)
{
    if (what != WATCH_EVENTS)
        *(atomic_int *)arg = what;
}

static void revisions_go_on(void **state)
{
    const char *endpoints[ETCD_MEMBERS];
    struct error err = { 0 };
    struct move_config c = config(endpoints);
    atomic_int ended = 0;
    struct store *s = open_sqlite();
    fill(s);
    int64_t changed = put(s, "a", 1, 0), last = put(s, "b", 1, 0), now;
    struct store *fresh = move_run(s, &c, &err);
    if (!fresh)
        fail_msg("%s", err.text);
    struct sum unused = { 0 };
    assert_true(store_range(fresh, "", add, &unused, &now, &err));
    assert_true(now > last);
    _autotxn_ struct txn t = TXN_INIT;
    struct txn_result r;
    txn_expect(&t, "a", changed); /* read before the move */
    txn_put(&t, "a", "old", 3);
    assert_false(store_commit(fresh, &t, &r));
    assert_int_equal(r.status, TXN_CONFLICT);
    assert_int_equal(put(fresh, "c", 1, 0), now + 1);
    struct watch *w = store_watch(fresh, "", last + 1, on_event, &ended, &err);
    while (!ended)
        usleep(1000);
    assert_int_equal(ended, WATCH_COMPACTED);
    store_unwatch(fresh, w);
    assert_true(store_lease_keepalive(fresh, 1, &err)); /* came along */
    store_close(fresh);
    store_close(s);
}

static void not_into_anothers(void **state)
{
    const char *endpoints[ETCD_MEMBERS];
    struct error err = { 0 };
    struct move_config c = config(endpoints);
    struct store_etcd_config theirs = c.to;
    theirs.begin = ETCD_MAY_CREATE;
    struct store *other = store_etcd_open(&theirs, &err), *s = open_sqlite();
    put(other, "theirs", 3, 0);
    put(s, "ours", 3, 0);
    assert_null(move_run(s, &c, &err));
    assert_int_equal(err.code, ERR_EXISTS);
    assert_int_equal(content(other).n, 1);
    assert_false(is_marked());
    store_close(other);
    store_close(s);
}

/* ---- with writers ------------------------------------------------------ */

struct writer {
    struct store *s;
    int number;
    atomic_int written;
    atomic_bool *stop;
};

static void *write_on(void *arg)
{
    struct writer *w = arg;
    while (!*w->stop) {
        _autotxn_ struct txn t = TXN_INIT;
        struct txn_result r;
        char key[32];
        snprintf(key, sizeof(key), "w/%d/%d", w->number, w->written);
        txn_absent(&t, key);
        txn_put(&t, key, "", 0);
        if (!store_commit(w->s, &t, &r)) {
            print_error("%s\n", r.err.text);
            abort();
        }
        w->written++;
    }
    return NULL;
}

static void with_writers(void **state)
{
    const char *endpoints[ETCD_MEMBERS];
    struct error err = { 0 };
    struct move_config c = config(endpoints);
    struct store *s = store_switch_open(open_sqlite());
    struct writer w[4];
    pthread_t threads[4];
    atomic_bool stop = false;
    atomic_int ended = 0;
    int64_t before = fill(s);
    struct watch *watch = store_watch(s, "", before, on_event, &ended, &err);
    for (int i = 0; i < 4; i++) {
        w[i] = (struct writer){ s, i, 0, &stop };
        pthread_create(&threads[i], NULL, write_on, &w[i]);
    }
    while (w[0].written < 50)
        usleep(1000);
    int64_t begun = env_mono(&env_system);
    if (!move_online(s, &c, &err))
        fail_msg("%s", err.text);
    int64_t took = env_mono(&env_system) - begun;
    int at_move = w[0].written;
    while (w[0].written < at_move + 50)
        usleep(1000);
    stop = true;
    int all = 0;
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        all += w[i].written;
    }
    assert_int_equal(ended, WATCH_LOST);
    assert_int_equal(content(s).n, 329 + all);
    print_message("%d records moved, writers waited %.2f s\n", content(s).n,
                  (double)took / SECOND_US);
    assert_true(is_marked());
    store_unwatch(s, watch);
    store_close(s);
    s = open_what_counts();
    assert_int_equal(content(s).n, 329 + all);
    store_close(s);
}

static void etcd_out_of_reach(void **state)
{
    static const char *const nowhere[] = { "127.0.0.1:1" };
    const char *endpoints[ETCD_MEMBERS];
    struct error err = { 0 };
    struct move_config c = config(endpoints);
    struct store *s = store_switch_open(open_sqlite());
    c.to.endpoints = nowhere;
    c.to.n_endpoints = 1;
    c.to.timeout_us = SECOND_US;
    put(s, "a", 1, 0);
    assert_false(move_online(s, &c, &err));
    assert_int_equal(err.code, ERR_UNAVAILABLE);
    put(s, "b", 1, 0); /* writers go on where they were */
    assert_int_equal(content(s).n, 2);
    assert_false(is_marked());
    store_close(s);
}

static void damaged_mark(void **state)
{
    static const char *const texts[] = { "", "sqlite\n", "etcd 1\n",
                                         "etcd 1\nnot an endpoint\n" };
    for (size_t i = 1; i < ARRAY_SIZE(texts); i++) {
        char path[TEMPDIR_MAX + 16];
        struct move_mark mark;
        struct error err = { 0 };
        snprintf(path, sizeof(path), "%s/%s", dir, MOVE_MARK);
        FILE *f = fopen(path, "w");
        fputs(texts[i], f);
        fclose(f);
        assert_false(move_read_mark(dir, &mark, &err));
        assert_non_null(strstr(err.text, path));
    }
}

/* ---- all --------------------------------------------------------------- */

static int setup(void **state)
{
    static int n;
    snprintf(name, sizeof(name), "t%d", ++n);
    tempdir_make(dir);
    return 0;
}

static int teardown(void **state)
{
    tempdir_remove(dir);
    return 0;
}

int main(void)
{
#define TEST(test_) cmocka_unit_test_setup_teardown(test_, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(crash_anywhere), TEST(revisions_go_on),   TEST(not_into_anothers),
        TEST(with_writers),   TEST(etcd_out_of_reach), TEST(damaged_mark),
    };
    if (!etcd_there()) {
        print_message("skipped: there is no etcd on this machine\n");
        return 0;
    }
    etcd_child_start(&etcd, 1);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    etcd_child_stop(&etcd);
    return failed;
}
