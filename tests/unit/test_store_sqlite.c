/* What only SQLite must do: outlive kills, restarts and a full disk. */
#include "test.h"

#include "tempdir.h"

#include "common/env.h"
#include "state/store.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

static char dir[TEMPDIR_MAX];
static char path[TEMPDIR_MAX + 16];

static int setup(void **state)
{
    snprintf(path, sizeof(path), "%s/store.db", tempdir_make(dir));
    return 0;
}

static int teardown(void **state)
{
    tempdir_remove(dir);
    return 0;
}

static struct store *open_store(void)
{
    struct error err;
    struct store *s = store_sqlite_open(path, &env_system, &err);
    if (!s)
        fail_msg("%s", err.text);
    return s;
}

/* ---- killed at any moment ------------------------------------------------ */

struct report { /* what the child says of each txn that was COMMITTED */
    int thread;
    int n;
    int64_t revision;
};

struct child {
    struct store *store;
    int out, thread, first;
};

/* Txn n of a thread writes two keys, so that half a txn would show. */
static void *commit_on(void *arg)
{
    struct child *c = arg;
    for (int n = c->first;; n++) {
        _autotxn_ struct txn t = TXN_INIT;
        struct txn_result r;
        char key[32], value[16];
        snprintf(value, sizeof(value), "%d", n);
        for (int half = 0; half < 2; half++) {
            snprintf(key, sizeof(key), "k/%d/%d", c->thread, half);
            txn_put(&t, key, value, strlen(value));
        }
        if (!store_commit(c->store, &t, &r))
            _exit(3);
        struct report report = { c->thread, n, r.revision };
        if (write(c->out, &report, sizeof(report)) != sizeof(report))
            _exit(4);
    }
}

#define WRITERS 4

static _Noreturn void child_main(int out, const int first[WRITERS])
{
    struct child c[WRITERS];
    pthread_t threads[WRITERS];
    struct error err;
    struct store *s = store_sqlite_open(path, &env_system, &err);
    if (!s)
        _exit(2);
    for (int i = 0; i < WRITERS; i++) {
        c[i] = (struct child){ s, out, i, first[i] };
        pthread_create(&threads[i], NULL, commit_on, &c[i]);
    }
    for (;;)
        pause();
}

struct found {
    int values[WRITERS][2];
};

static bool find(void *arg, const struct kv *kv)
{
    struct found *f = arg;
    int thread, half;
    char value[16];
    assert_int_equal(sscanf(kv->key, "k/%d/%d", &thread, &half), 2);
    snprintf(value, sizeof(value), "%.*s", (int)kv->len,
             (const char *)kv->value);
    f->values[thread][half] = atoi(value);
    return true;
}

/* Reads what the child committed until it dies. */
static void read_reports(int in, int reported[WRITERS], int64_t *revision)
{
    struct report r;
    while (read(in, &r, sizeof(r)) == sizeof(r)) {
        reported[r.thread] = r.n;
        if (r.revision > *revision)
            *revision = r.revision;
    }
}

static void kill_later(pid_t pid, unsigned us)
{
    struct timespec nap = { .tv_nsec = us * 1000L };
    nanosleep(&nap, NULL);
    kill(pid, SIGKILL);
}

static void killed_at_any_moment(void **state)
{
    int reported[WRITERS] = { 0 }, first[WRITERS] = { 1, 1, 1, 1 };
    int64_t revision = 0;
    srand(3);
    for (int round = 0; round < 25; round++) {
        int fds[2], status;
        assert_int_equal(pipe(fds), 0);
        pid_t pid = fork();
        if (!pid)
            child_main(fds[1], first);
        close(fds[1]);
        kill_later(pid, 2000 + (unsigned)rand() % 40000);
        read_reports(fds[0], reported, &revision);
        close(fds[0]);
        waitpid(pid, &status, 0);
        assert_true(WIFSIGNALED(status));

        struct found found = { 0 };
        int64_t now;
        struct store *s = open_store();
        assert_true(store_range(s, "k/", find, &found, &now, NULL));
        assert_true(now >= revision);
        for (int i = 0; i < WRITERS; i++) {
            int *v = found.values[i];
            assert_int_equal(v[0], v[1]);
            assert_true(v[0] >= reported[i]); /* nothing answered is lost */
            assert_true(v[0] <= reported[i] + 1);
            first[i] = v[0] + 1;
            reported[i] = v[0];
        }
        store_close(s);
    }
    assert_true(revision > 100);
}

/* ---- restarts ---------------------------------------------------------- */

struct log_text {
    char text[256];
    atomic_int end;
    atomic_llong revision;
};

static void log_events(void *arg, enum watch_what what, int64_t revision,
                       const struct kv *events, size_t n)
{
    struct log_text *l = arg;
    size_t used = strlen(l->text);
    if (what != WATCH_EVENTS)
        l->end = what;
    for (size_t i = 0; i < n; i++, used = strlen(l->text))
        snprintf(l->text + used, sizeof(l->text) - used, "%" PRId64 ":%s%s ",
                 revision, events[i].value ? "+" : "-", events[i].key);
    l->revision = revision;
}

static void put(struct store *s, const char *key)
{
    _autotxn_ struct txn t = TXN_INIT;
    txn_put(&t, key, "v", 1);
    assert_true(store_commit(s, &t, NULL));
}

static void restart_keeps_the_log(void **state)
{
    struct store *s = open_store();
    struct log_text log = { 0 }, compacted = { 0 };
    struct error err;
    struct stat st;
    put(s, "a");
    put(s, "b");
    put(s, "c");
    assert_true(store_compact(s, 1, &err));
    store_close(s);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);

    s = open_store();
    struct watch *w = store_watch(s, "", 2, log_events, &log, &err);
    struct watch *w2 = store_watch(s, "", 1, log_events, &compacted, &err);
    put(s, "d");
    while (log.revision < 4 || !compacted.end)
        sched_yield();
    assert_string_equal(log.text, "2:+b 3:+c 4:+d ");
    assert_int_equal(compacted.end, WATCH_COMPACTED);
    store_unwatch(s, w);
    store_unwatch(s, w2);
    store_close(s);
}

static void restart_keeps_leases(void **state)
{
    struct store *s = open_store();
    _autotxn_ struct txn t = TXN_INIT;
    struct error err;
    int64_t lease, next;
    struct found none = { 0 };
    assert_true(store_lease_grant(s, 600, &lease, &err));
    txn_put_lease(&t, "k/1/1", "7", 1, lease);
    assert_true(store_commit(s, &t, NULL));
    store_close(s);
    s = open_store();
    assert_true(store_lease_keepalive(s, lease, &err));
    assert_true(store_lease_revoke(s, lease, &err));
    assert_true(store_range(s, "", find, &none, NULL, NULL));
    assert_int_equal(none.values[1][1], 0);
    assert_true(store_lease_grant(s, 600, &next, &err));
    assert_true(next > lease); /* an id never comes back */
    store_close(s);
}

static void not_a_database(void **state)
{
    struct error err = { 0 };
    FILE *f = fopen(path, "w");
    for (int i = 0; i < 1000; i++)
        fputs("this is no database at all\n", f);
    fclose(f);
    assert_null(store_sqlite_open(path, &env_system, &err));
    assert_int_equal(err.code, ERR_INTERNAL);
    assert_non_null(strstr(err.text, "store.db"));
    assert_null(store_sqlite_open("/no/such/dir/x", &env_system, &err));
}

/* ---- a full disk --------------------------------------------------------- */

/* In a child: its limit on file sizes stands for the disk's.  Puts until the
 * disk is full, checks that nothing half done is there, makes room, goes on.
 * The exit status says which step failed. */
static int fill_the_disk(void)
{
    struct rlimit limit = { 300000, RLIM_INFINITY };
    static char value[20000];
    struct txn_result r = { 0 };
    struct error err;
    int64_t last = 0, now;
    struct store *s = store_sqlite_open(path, &env_system, &err);
    signal(SIGXFSZ, SIG_IGN);
    if (!s || setrlimit(RLIMIT_FSIZE, &limit))
        return 1;
    for (int i = 0; i < 1000; i++) {
        _autotxn_ struct txn t = TXN_INIT;
        txn_put(&t, "k/1/0", value, sizeof(value));
        txn_put(&t, i % 2 ? "k/1/1" : "k/2/1", value, sizeof(value));
        if (!store_commit(s, &t, &r))
            break;
        last = r.revision;
    }
    if (r.status != TXN_FAILED || r.err.code != ERR_NO_SPACE || !last)
        return 2;
    struct found f = { 0 };
    if (!store_range(s, "", find, &f, &now, &err) || now != last)
        return 3;
    limit.rlim_cur = RLIM_INFINITY;
    setrlimit(RLIMIT_FSIZE, &limit);
    _autotxn_ struct txn t = TXN_INIT;
    txn_put(&t, "k/3/1", value, sizeof(value));
    if (!store_commit(s, &t, &r) || r.revision != last + 1)
        return 4;
    store_close(s);
    s = store_sqlite_open(path, &env_system, &err);
    if (!s || !store_range(s, "", find, &f, &now, &err) || now != last + 1)
        return 5;
    store_close(s);
    return 0;
}

static void in_a_child(int (*story)(void))
{
    int status;
    pid_t pid = fork();
    if (!pid)
        _exit(story());
    waitpid(pid, &status, 0);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void full_disk(void **state)
{
    in_a_child(fill_the_disk);
}

/* A put (or a delete) by itself: committed, or no space? */
static bool put_one(struct store *s, const char *key, const void *value,
                    size_t n)
{
    struct txn_result r;
    _autotxn_ struct txn t = TXN_INIT;
    if (value)
        txn_put(&t, key, value, n);
    else
        txn_delete(&t, key);
    if (store_commit(s, &t, &r))
        return true;
    if (r.status != TXN_FAILED || r.err.code != ERR_NO_SPACE)
        _exit(20);
    return false;
}

/* Somebody else's file takes all there is: from the disk, or gives it back. */
static void ballast(bool there)
{
    char name[300], block[4096] = { 0 };
    snprintf(name, sizeof(name), "%s/ballast", dir);
    unlink(name);
    int fd = open(name, O_CREAT | O_WRONLY, 0600);
    while (there && write(fd, block, sizeof(block)) > 0)
        ;
    close(fd);
}

/* On a small disk: what is there can be changed and deleted, and nothing new
 * is made, until there is room again. */
static int full_of_other_things(void)
{
    static char value[20000];
    struct error err;
    if (unshare(CLONE_NEWNS) ||
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, "") ||
        mount("small", dir, "tmpfs", 0, "size=96m"))
        return 10;
    struct store *s = store_sqlite_open(path, &env_system, &err);
    if (!s || !put_one(s, "k/1/1", value, sizeof(value)))
        return 11;
    ballast(true);
    for (int i = 0; i < 100; i++)
        if (!put_one(s, "k/1/1", value, sizeof(value)))
            return 12;
    if (put_one(s, "k/2/1", value, 1) || !put_one(s, "k/1/1", NULL, 0) ||
        put_one(s, "k/1/1", value, 1))
        return 13;
    ballast(false);
    if (!put_one(s, "k/2/1", value, 1))
        return 14;
    ballast(true);
    store_close(s);
    s = store_sqlite_open(path, &env_system, &err);
    if (!s || !put_one(s, "k/2/1", value, sizeof(value)))
        return 15;
    store_close(s);
    return 0;
}

static void a_reserve(void **state)
{
    if (geteuid() != 0) {
        print_message("skipped: mounting needs root\n");
        return;
    }
    in_a_child(full_of_other_things);
}

int main(void)
{
#define WITH_DIR(test_) cmocka_unit_test_setup_teardown(test_, setup, teardown)
    const struct CMUnitTest tests[] = {
        WITH_DIR(killed_at_any_moment),
        WITH_DIR(restart_keeps_the_log),
        WITH_DIR(restart_keeps_leases),
        WITH_DIR(not_a_database),
        WITH_DIR(full_disk),
        WITH_DIR(a_reserve),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
