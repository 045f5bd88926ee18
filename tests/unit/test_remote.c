/* The store suite through a socket, and what only the remote store does. */
#include "store_suite.h"

#include "tempdir.h"

#include "state/remote.h"
#include "state/remote_wire.h"

#include <fcntl.h>
#include <sys/socket.h>

struct pair {
    struct store *real, *face;
    struct store_server *server;
    char dir[TEMPDIR_MAX];
    int raw; /* the face's end, where a test speaks for itself */
};

/* ---- the calls that the tests' server answers ---------------------------- */

static atomic_int slow_running, slow_go;

static bool answer(void *arg, const char *op, const char *json_in,
                   struct buf *json_out, int *fd_out, struct error *err)
{
    if (strcmp(op, "echo") == 0) {
        buf_adds(json_out, json_in);
        return true;
    }
    if (strcmp(op, "open") == 0) {
        *fd_out = open("/dev/zero", O_RDONLY | O_CLOEXEC);
        buf_adds(json_out, "{}");
        return true;
    }
    if (strcmp(op, "slow") == 0) {
        slow_running++;
        while (!slow_go)
            sched_yield();
        return true;
    }
    if (strcmp(op, "big") == 0) {
        for (int i = 0; i <= REMOTE_REPLY_MAX / 1024; i++)
            buf_add(json_out, (char[1024]){ 0 }, 1024);
        return true;
    }
    if (strcmp(op, "silent") == 0)
        return false;
    return error_set(err, ERR_NOT_FOUND, "no call named %s", op);
}

static atomic_int closed;

static void on_closed(void *arg)
{
    closed++;
}

struct pushed {
    atomic_int n, fd;
    char text[64];
};

static struct pushed pushed;
static atomic_int lost;

static void on_fd(void *arg, const char *name, const char *json, int fd)
{
    snprintf(pushed.text, sizeof(pushed.text), "%s %s", name, json);
    pushed.fd = fd;
    pushed.n++;
}

static void on_lost(void *arg)
{
    lost++;
}

/* ---- drivers ----------------------------------------------------------- */

static void *pair_open(struct pair *p)
{
    static const struct store_server_hooks server_hooks = {
        .call = answer,
        .closed = on_closed,
    };
    static const struct remote_hooks face_hooks = { on_fd, on_lost, NULL };
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds),
                     0);
    closed = lost = slow_go = slow_running = 0;
    p->raw = fds[0];
    p->server = store_server_new(p->real, fds[1], &server_hooks);
    p->face = store_remote_open(fds[0], &face_hooks);
    return p;
}

static void *over_memory(void)
{
    struct pair *p = xcalloc(1, sizeof(*p));
    p->real = store_memory_open(&suite_env);
    return pair_open(p);
}

static void *over_sqlite(void)
{
    struct pair *p = xcalloc(1, sizeof(*p));
    char path[TEMPDIR_MAX + 16];
    struct error err;
    snprintf(path, sizeof(path), "%s/store.db", tempdir_make(p->dir));
    p->real = store_sqlite_open(path, &suite_env, &err);
    assert_non_null(p->real);
    return pair_open(p);
}

static struct store *face_of(void *opened)
{
    return ((struct pair *)opened)->face;
}

static void tick_memory(void *opened)
{
    store_memory_tick(((struct pair *)opened)->real);
}

static void pair_close(void *opened)
{
    struct pair *p = opened;
    store_close(p->face);
    store_server_free(p->server);
    store_close(p->real);
    if (p->dir[0])
        tempdir_remove(p->dir);
    free(p);
}

/* ---- calls and descriptors ----------------------------------------------- */

static int setup(void **state)
{
    *state = over_memory();
    return 0;
}

static int teardown(void **state)
{
    pair_close(*state);
    return 0;
}

static void calls(void **state)
{
    struct pair *p = *state;
    struct buf out = BUF_INIT(1000);
    struct error err = { 0 };
    int fd = 7;
    assert_true(
        store_remote_call(p->face, "echo", "{\"a\":1}", &out, &fd, &err));
    assert_string_equal(buf_str(&out), "{\"a\":1}");
    assert_int_equal(fd, -1);
    assert_false(store_remote_call(p->face, "what", NULL, NULL, NULL, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_string_equal(err.text, "no call named what");
    assert_false(store_remote_call(p->face, "silent", NULL, NULL, NULL, &err));
    assert_int_equal(err.code, ERR_INTERNAL);
    assert_false(store_remote_call(p->face, "big", NULL, &out, NULL, &err));
    assert_int_equal(err.code, ERR_TOO_LARGE);
    buf_free(&out);
}

static int open_files(void)
{
    int n = 0;
    DIR *d = opendir("/proc/self/fd");
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

static void a_call_brings_a_descriptor(void **state)
{
    int before = open_files();
    struct pair *p = *state;
    struct error err;
    char bytes[4] = "abc";
    int fd;
    assert_true(store_remote_call(p->face, "open", "", NULL, &fd, &err));
    assert_true(fd >= 0);
    assert_int_equal(read(fd, bytes, 4), 4);
    assert_memory_equal(bytes, "\0\0\0\0", 4);
    close(fd);
    /* One that nobody asked for is closed, not leaked. */
    assert_true(store_remote_call(p->face, "open", "", NULL, NULL, &err));
    for (int i = 0; i < 100000 && open_files() != before; i++)
        sched_yield(); /* the server closes its own a moment later */
    assert_int_equal(open_files(), before);
}

static void pushed_descriptors(void **state)
{
    struct pair *p = *state;
    struct error err;
    int fds[2];
    char c;
    assert_int_equal(pipe(fds), 0);
    for (int i = 0; i < 20; i++) {
        pushed.n = 0;
        assert_true(store_server_send_fd(p->server, "metadata", "{\"n\":1}",
                                         fds[1], &err));
        put(p->face, "a", "between");
        while (!pushed.n)
            sched_yield();
        assert_string_equal(pushed.text, "metadata {\"n\":1}");
        assert_int_equal(write(pushed.fd, "x", 1), 1);
        assert_int_equal(read(fds[0], &c, 1), 1);
        close(pushed.fd);
    }
    close(fds[0]);
    close(fds[1]);
    assert_false(store_server_send_fd(p->server, "x", "", -1, &err));
}

static void *call_slow(void *arg)
{
    struct error err = { 0 };
    store_remote_call(arg, "slow", "", NULL, NULL, &err);
    return (void *)(size_t)err.code;
}

static void slow_calls_delay_no_commit(void **state)
{
    struct pair *p = *state;
    pthread_t threads[REMOTE_CALLERS + 2];
    struct seen seen;
    for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
        pthread_create(&threads[i], NULL, call_slow, p->face);
    while (slow_running < REMOTE_CALLERS)
        sched_yield();
    put(p->face, "a", "1");
    assert_int_equal(range(p->face, "", &seen), 1);
    slow_go = 1;
    for (size_t i = 0; i < ARRAY_SIZE(threads); i++) {
        void *code;
        pthread_join(threads[i], &code);
        assert_null(code);
    }
}

/* ---- the end of a connection --------------------------------------------- */

static void after_the_loss(void **state)
{
    struct pair *p = *state;
    struct heard h = HEARD_INIT;
    struct error err = { 0 };
    struct txn_result r;
    _autotxn_ struct txn t = TXN_INIT;
    pthread_t caller;
    void *code;
    int64_t number;
    struct watch *w = watch(p->face, "", 0, &h);
    put(p->face, "a", "1");
    pthread_create(&caller, NULL, call_slow, p->face);
    while (!slow_running)
        sched_yield();
    shutdown(p->raw, SHUT_RDWR);
    wait_end(&h, WATCH_LOST);
    pthread_join(caller, &code);
    assert_int_equal((size_t)code, ERR_UNKNOWN);
    slow_go = 1;
    while (!lost || !closed)
        sched_yield();

    txn_put(&t, "b", "", 0);
    assert_false(store_commit(p->face, &t, &r));
    assert_int_equal(r.status, TXN_FAILED); /* it was never sent */
    assert_int_equal(r.err.code, ERR_UNAVAILABLE);
    assert_false(store_range(p->face, "", see, NULL, &number, &err));
    assert_int_equal(err.code, ERR_UNAVAILABLE);
    assert_false(store_lease_grant(p->face, 10, &number, &err));
    assert_null(store_watch(p->face, "", 0, hear, &h, &err));
    assert_false(store_remote_call(p->face, "echo", "", NULL, NULL, &err));
    store_unwatch(p->face, w);
    assert_range(p->real, "", "a=1@1/1 ");
}

struct tally {
    atomic_int answered, committed, unknown, failed;
};

static void count_result(void *arg, const struct txn_result *r)
{
    struct tally *t = arg;
    t->committed += r->status == TXN_COMMITTED;
    t->unknown += r->status == TXN_UNKNOWN;
    t->failed += r->status == TXN_FAILED;
    t->answered++;
}

/* Every txn is answered once; what was COMMITTED is there. */
static void cut_among_commits(void **state)
{
    struct pair *p = *state;
    struct tally tally = { 0 };
    struct seen seen;
    for (int i = 0; i < 3000; i++) {
        _autotxn_ struct txn t = TXN_INIT;
        txn_put(&t, "a", "x", 1);
        store_submit(p->face, &t, count_result, &tally);
        if (i == 2000)
            shutdown(p->raw, SHUT_RDWR);
    }
    while (tally.answered < 3000 || !closed)
        sched_yield();
    int64_t revision = range(p->real, "", &seen);
    assert_true(revision >= tally.committed);
    assert_true(revision <= tally.committed + tally.unknown);
    assert_int_equal(tally.committed + tally.unknown + tally.failed, 3000);
    assert_true(tally.failed + tally.unknown >= 999); /* after the cut */
}

/* ---- a hostile face ------------------------------------------------------ */

struct hostile {
    struct store *real;
    struct store_server *server;
    int fd;
};

static void hostile_open_with(struct hostile *h,
                              const struct store_server_hooks *hooks)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    closed = 0;
    h->real = store_memory_open(&suite_env);
    h->server = store_server_new(h->real, fds[1], hooks);
    h->fd = fds[0];
}

static void hostile_open(struct hostile *h)
{
    hostile_open_with(h, &(struct store_server_hooks){ .closed = on_closed });
}

static void hostile_close(struct hostile *h)
{
    while (!closed) /* the server has hung up by itself */
        sched_yield();
    store_server_free(h->server);
    store_close(h->real);
    close(h->fd);
}

/* What it may not write happens not at all, and the connection stays. */
static void rights_are_kept(void **state)
{
    static const struct store_right rights[] = {
        { "a/secret", 0 },
        { "a/", RIGHT_PUT | RIGHT_DELETE },
        { "b/", RIGHT_PUT },
        { "d/", RIGHT_PUT | RIGHT_DELETE | RIGHT_NAMES },
        { 0 },
    };
    static const struct {
        const char *put, *drop;
        bool allowed;
    } cases[] = {
        { "a/1", NULL, true },     { "a/1", "a/2", true },
        { "b/1", NULL, true },     { "a/secret", NULL, false },
        { "a/3", "b/1", false },   { "a/3", "a/secret/x", false },
        { "c/1", NULL, false },    { "a", NULL, false },
        { "d/x.1_-", NULL, true }, { "d/../x", NULL, false },
        { "d/x/y", NULL, false },  { "d/", NULL, false },
        { "d/.x", NULL, false },   { "d/x\n", NULL, false },
        { "a/1", "d/..", false },
    };
    struct hostile h;
    struct error err = { 0 };
    int64_t lease;
    hostile_open_with(&h, &(struct store_server_hooks){ .closed = on_closed,
                                                        .rights = rights });
    struct store *face = store_remote_open(h.fd, NULL);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct txn_result result;
        _autotxn_ struct txn t = TXN_INIT;
        txn_put(&t, cases[i].put, "v", 1);
        if (cases[i].drop)
            txn_delete(&t, cases[i].drop);
        assert_int_equal(store_commit(face, &t, &result), cases[i].allowed);
        if (cases[i].allowed)
            continue;
        assert_int_equal(result.status, TXN_FAILED);
        assert_int_equal(result.err.code, ERR_FORBIDDEN);
    }
    _autotxn_ struct txn leased = TXN_INIT;
    txn_put_lease(&leased, "a/4", "v", 1, 1);
    assert_false(store_commit(face, &leased, NULL));
    assert_false(store_lease_grant(face, 60, &lease, &err));
    assert_int_equal(err.code, ERR_FORBIDDEN);
    assert_false(store_compact(face, 1, &err));
    assert_range(h.real, "", "a/1=v@1/2 b/1=v@3/3 d/x.1_-=v@4/4 ");
    store_close(face);
    store_server_free(h.server);
    store_close(h.real);
}

/* The last change that came of each letter. */
struct shown {
    pthread_mutex_t lock;
    pthread_cond_t more;
    char values[3][64];
};

static void on_shown(void *arg, enum watch_what what, int64_t revision,
                     const struct kv *events, size_t n)
{
    struct shown *s = arg;
    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < n; i++)
        snprintf(s->values[events[i].key[0] - 'a'], sizeof(s->values[0]),
                 "%.*s", (int)events[i].len, (const char *)events[i].value);
    pthread_cond_broadcast(&s->more);
    pthread_mutex_unlock(&s->lock);
}

/* Neither by asking nor by watching. */
static void secrets_are_not_shown(void **state)
{
    static const struct store_right rights[] = { { "a/", 0, "key" },
                                                 { "b/", 0, "key" },
                                                 { 0 } };
    struct hostile h;
    struct error err;
    struct shown seen = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER };
    hostile_open_with(&h, &(struct store_server_hooks){ .closed = on_closed,
                                                        .rights = rights });
    struct store *face = store_remote_open(h.fd, NULL);
    struct watch *w = store_watch(face, "", 1, on_shown, &seen, &err);
    _autotxn_ struct txn t = TXN_INIT;
    txn_put(&t, "a/1", "{\"x\":1,\"key\":\"no\"}", 18);
    txn_put(&t, "b/1", "no object", 9);
    txn_put(&t, "c/1", "{\"key\":\"yes\"}", 13);
    assert_true(store_commit(h.real, &t, NULL));
    assert_range(face, "",
                 "a/1={\"x\":1}@1/1 b/1=null@1/1 c/1={\"key\":\"yes\"}@1/1 ");
    pthread_mutex_lock(&seen.lock);
    while (!seen.values[2][0])
        pthread_cond_wait(&seen.more, &seen.lock);
    pthread_mutex_unlock(&seen.lock);
    assert_string_equal(seen.values[0], "{\"x\":1}");
    assert_string_equal(seen.values[1], "null");
    store_unwatch(face, w);
    store_close(face);
    store_server_free(h.server);
    store_close(h.real);
}

static struct buf frame_of(int type, uint64_t id)
{
    struct buf b = BUF_INIT(1 << 20);
    frame_begin(&b, (uint16_t)type, id, 0);
    return b;
}

/* ---- bodies that no face sends ---- */

static void two_ops_but_one(struct buf *b)
{
    put_u32(b, 0);
    put_u32(b, 2);
    put_str(b, "a");
    put_bytes(b, "v", 1);
    put_i64(b, 0);
}

static void more_than_a_prefix(struct buf *b)
{
    put_str(b, "a");
    put_u32(b, 0);
}

static void key_with_nul(struct buf *b)
{
    put_u32(b, 0);
    put_u32(b, 1);
    put_bytes(b, "a\0b", 3);
    put_bytes(b, "v", 1);
    put_i64(b, 0);
}

static void many_ops(struct buf *b)
{
    put_u32(b, STORE_OPS_MAX + 1);
}

static void unknown_compare(struct buf *b)
{
    put_u32(b, 1);
    put_str(b, "a");
    put_u32(b, 9);
    put_i64(b, 0);
    put_u32(b, 0);
}

static void long_prefix(struct buf *b)
{
    char prefix[STORE_KEY_MAX + 10];
    memset(prefix, 'p', sizeof(prefix));
    prefix[sizeof(prefix) - 1] = '\0';
    put_str(b, prefix);
}

static void unknown_control(struct buf *b)
{
    put_u32(b, N_CONTROLS);
    put_i64(b, 1);
}

static void call_of_nothing(struct buf *b)
{
    put_str(b, NULL);
    put_str(b, "");
}

static void watch_all(struct buf *b)
{
    put_str(b, "");
    put_i64(b, 0);
}

static void watch_from_below_zero(struct buf *b)
{
    put_str(b, "");
    put_i64(b, -1);
}

static const struct malformed {
    int type;
    void (*body)(struct buf *b); /* NULL: empty */
    enum { ONCE, TWICE, HUGE_LENGTH, WITH_DESCRIPTOR } how;
} malformed[] = {
    { 99 },
    { REMOTE_TXN_DONE }, /* the server's own */
    { REMOTE_TXN, two_ops_but_one },
    { REMOTE_TXN, key_with_nul },
    { REMOTE_TXN, many_ops },
    { REMOTE_TXN, unknown_compare },
    { REMOTE_RANGE, more_than_a_prefix },
    { REMOTE_RANGE, long_prefix },
    { REMOTE_RANGE, NULL, HUGE_LENGTH },
    { REMOTE_RANGE, NULL, WITH_DESCRIPTOR },
    { REMOTE_CONTROL, unknown_control },
    { REMOTE_CALL, call_of_nothing },
    { REMOTE_WATCH, watch_all, TWICE },
    { REMOTE_WATCH, watch_from_below_zero },
};

static void send_malformed(struct hostile *h, const struct malformed *m)
{
    struct buf b = frame_of(m->type, 1);
    if (m->body)
        m->body(&b);
    frame_end(&b, 0);
    if (m->how == HUGE_LENGTH)
        memset(b.data, 0xff, 4);
    if (m->how == TWICE)
        assert_true(frame_send(h->fd, b.data, b.len, -1));
    assert_true(frame_send(h->fd, b.data, b.len,
                           m->how == WITH_DESCRIPTOR ? h->fd : -1));
    buf_free(&b);
}

/* Each of these ends the connection, and nothing is written. */
static void malformed_frames(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(malformed); i++) {
        struct hostile h;
        hostile_open(&h);
        send_malformed(&h, &malformed[i]);
        while (!closed)
            sched_yield();
        assert_range(h.real, "", "");
        hostile_close(&h);
    }
}

/* A face that asks and never reads is cut when the bound is reached, and
 * holds up nobody else. */
static void a_face_that_does_not_read(void **state)
{
    struct hostile h;
    _autofree_ char *big = xcalloc(1, STORE_VALUE_MAX);
    hostile_open(&h);
    struct buf b = frame_of(REMOTE_WATCH, 1);
    put_str(&b, "");
    put_i64(&b, 0);
    frame_end(&b, 0);
    assert_true(frame_send(h.fd, b.data, b.len, -1));
    buf_free(&b);
    for (int i = 0; i < 2000 && !closed; i++) {
        _autotxn_ struct txn t = TXN_INIT;
        txn_put(&t, "a", big, STORE_VALUE_MAX);
        assert_true(store_commit(h.real, &t, NULL));
    }
    hostile_close(&h);
}

int main(void)
{
#define WITH_PAIR(test_) cmocka_unit_test_setup_teardown(test_, setup, teardown)
    static const struct suite_driver memory = { "remote over memory",
                                                over_memory, face_of,
                                                tick_memory, pair_close };
    static const struct suite_driver sqlite = { "remote over sqlite",
                                                over_sqlite, face_of, NULL,
                                                pair_close };
    const struct CMUnitTest tests[] = {
        WITH_PAIR(calls),
        WITH_PAIR(a_call_brings_a_descriptor),
        WITH_PAIR(pushed_descriptors),
        WITH_PAIR(slow_calls_delay_no_commit),
        WITH_PAIR(after_the_loss),
        WITH_PAIR(cut_among_commits),
        cmocka_unit_test(malformed_frames),
        cmocka_unit_test(rights_are_kept),
        cmocka_unit_test(secrets_are_not_shown),
        cmocka_unit_test(a_face_that_does_not_read),
    };
    return store_suite(&memory) + store_suite(&sqlite) +
           cmocka_run_group_tests(tests, NULL, NULL);
}
