/* Members come and go, are full and are cleaned, on real etcds. */
#include "test.h"

#include "etcd_child.h"

#include "common/env.h"
#include "state/etcd_cluster.h"
#include "state/store_etcd.h"

#include <sys/stat.h>

static struct etcd_child etcd;

static struct grpc *connect_to(int i)
{
    const char *endpoint[] = { etcd.member[i].endpoint };
    struct grpc_config c = { endpoint, 1, { NULL }, &env_system };
    struct grpc *g = grpc_open(&c, NULL);
    assert_non_null(g);
    return g;
}

static struct store *open_store(void)
{
    const char *endpoints[ETCD_MEMBERS];
    struct error err = { 0 };
    struct store_etcd_config c = { .endpoints = endpoints,
                                   .n_endpoints =
                                       etcd_endpoints(&etcd, endpoints),
                                   .begin = ETCD_MAY_CREATE,
                                   .env = &env_system };
    struct store *s = store_etcd_open(&c, &err);
    if (!s)
        fail_msg("%s", err.text);
    return s;
}

static bool put(struct store *s, size_t len, struct txn_result *r)
{
    static const char value[STORE_VALUE_MAX];
    _autotxn_ struct txn t = TXN_INIT;
    txn_put(&t, "key", value, len);
    return store_commit(s, &t, r);
}

/* Tries again what etcd says is too early. */
#define SOON(call_)                                                            \
    do {                                                                       \
        int64_t end_ = env_mono(&env_system) + 60 * SECOND_US;                 \
        while (!(call_)) {                                                     \
            if (env_mono(&env_system) > end_)                                  \
                fail_msg("%s: %s", #call_, err.text);                          \
            usleep(50000);                                                     \
        }                                                                      \
    } while (0)

/* Adds member i as pools do: learner, start, promote. */
static void join(struct grpc *g, int i)
{
    struct error err = { 0 };
    struct etcd_members all;
    struct buf cluster = BUF_INIT(sizeof(etcd.cluster) - 1);
    char name[8];
    uint64_t id = 0;
    snprintf(name, sizeof(name), "m%d", i);
    etcd_member_name(&etcd, i);
    SOON(etcd_add_learner(g, etcd.member[i].peer_url, &id, &err));
    assert_true(etcd_list(g, &all, &err));
    etcd_initial_cluster(&all, name, etcd.member[i].peer_url, &cluster);
    snprintf(etcd.cluster, sizeof(etcd.cluster), "%s", buf_str(&cluster));
    buf_free(&cluster);
    etcd.member[i].joins = true;
    etcd.n = i + 1;
    etcd_member_start(&etcd, i);
    SOON(etcd_promote(g, id, &err));
}

static void one_grows_to_three(void **state)
{
    struct error err = { 0 };
    struct etcd_members all;
    struct etcd_status status;
    struct txn_result r;
    memset(&etcd, 0, sizeof(etcd));
    etcd_child_start(&etcd, 1);
    struct store *s = open_store();
    struct grpc *g = connect_to(0);
    join(g, 1);
    join(g, 2);
    assert_true(etcd_list(g, &all, &err));
    assert_int_equal(all.n, 3);
    for (size_t i = 0; i < 3; i++)
        assert_false(all.all[i].learner);
    const char *endpoints[ETCD_MEMBERS];
    assert_true(store_etcd_endpoints(s, endpoints,
                                     etcd_endpoints(&etcd, endpoints), &err));
    assert_true(put(s, 1, &r));
    /* The first, which leads, goes for good. */
    SOON(etcd_status(g, &status, &err));
    assert_int_equal(status.leader, status.member);
    assert_string_equal(status.version, "3.4.23");
    grpc_close(g);
    g = connect_to(1);
    SOON(etcd_remove(g, status.member, &err));
    etcd_member_kill(&etcd, 0);
    SOON(put(s, 2, &r));
    assert_true(etcd_list(g, &all, &err));
    assert_int_equal(all.n, 2);
    assert_false(etcd_remove(g, status.member, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
    grpc_close(g);
    store_close(s);
    etcd_child_stop(&etcd);
}

static void full_and_cleaned(void **state)
{
    const int64_t quota = 16 << 20;
    struct error err = { 0 };
    struct etcd_status status;
    struct txn_result r = { 0 };
    memset(&etcd, 0, sizeof(etcd));
    etcd.extra = "--quota-backend-bytes=16777216";
    etcd_child_start(&etcd, 1);
    struct store *s = open_store();
    struct grpc *g = connect_to(0);
    for (int i = 0; i < 500 && put(s, STORE_VALUE_MAX, &r); i++)
        ;
    assert_int_equal(r.status, TXN_FAILED);
    assert_int_equal(r.err.code, ERR_NO_SPACE);
    assert_true(etcd_status(g, &status, &err));
    assert_true(status.no_space);
    assert_int_equal(etcd_chore(&status, quota, false), ETCD_CHORE_DEFRAGMENT);
    assert_true(store_compact(s, INT64_MAX / 2, &err));
    int64_t end = env_mono(&env_system) + 20 * SECOND_US;
    do { /* it is compacted behind the scenes */
        assert_true(etcd_defragment(g, &err));
        assert_true(etcd_status(g, &status, &err));
    } while (etcd_chore(&status, quota, true) != ETCD_CHORE_DISARM &&
             env_mono(&env_system) < end);
    assert_int_equal(etcd_chore(&status, quota, true), ETCD_CHORE_DISARM);
    assert_false(put(s, STORE_VALUE_MAX, &r)); /* the alarm is still on */
    assert_true(etcd_disarm_no_space(g, status.member, &err));
    assert_true(put(s, STORE_VALUE_MAX, &r));
    assert_true(etcd_status(g, &status, &err));
    assert_int_equal(etcd_chore(&status, quota, false), ETCD_CHORE_NONE);
    grpc_close(g);
    store_close(s);
    etcd_child_stop(&etcd);
}

static void snapshots(void **state)
{
    struct error err = { 0 };
    struct txn_result r;
    struct stat st;
    char path[TEMPDIR_MAX + 16];
    int64_t bytes;
    memset(&etcd, 0, sizeof(etcd));
    etcd_child_start(&etcd, 1);
    struct store *s = open_store();
    for (int i = 0; i < 20; i++)
        assert_true(put(s, 200000, &r));
    struct grpc *g = connect_to(0);
    snprintf(path, sizeof(path), "%s/snapshot", etcd.dir);
    int fd = open(path, O_RDWR | O_CREAT, 0600);
    if (!etcd_snapshot(g, fd, &bytes, &err))
        fail_msg("%s", err.text);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_size, bytes);
    assert_true(bytes > 20 * 200000 && bytes % 4096 == 0); /* bolt's pages */
    close(fd);
    fd = open("/dev/full", O_WRONLY);
    assert_false(etcd_snapshot(g, fd, &bytes, &err));
    assert_int_equal(err.code, ERR_NO_SPACE);
    close(fd);
    grpc_close(g);
    store_close(s);
    etcd_child_stop(&etcd);
}

static void chores(void **state)
{
    const int64_t mb = 1 << 20, quota = 1000 * mb;
    static const struct {
        int64_t bytes, used;
        bool alarm, tried;
        enum etcd_chore chore;
    } rows[] = {
        { 100, 100, false, false, ETCD_CHORE_NONE },
        { 100, 40, false, false, ETCD_CHORE_NONE }, /* not worth it */
        { 300, 40, false, false, ETCD_CHORE_DEFRAGMENT },
        { 300, 200, false, false, ETCD_CHORE_NONE },
        { 1000, 990, true, true, ETCD_CHORE_ROOM },
        { 1000, 990, true, false, ETCD_CHORE_DEFRAGMENT },
        { 500, 300, true, true, ETCD_CHORE_DISARM },
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct etcd_status s = { .bytes = rows[i].bytes * mb,
                                 .bytes_used = rows[i].used * mb,
                                 .no_space = rows[i].alarm };
        assert_int_equal(etcd_chore(&s, quota, rows[i].tried), rows[i].chore);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chores),
        cmocka_unit_test(one_grows_to_three),
        cmocka_unit_test(full_and_cleaned),
        cmocka_unit_test(snapshots),
    };
    if (!etcd_there()) {
        print_message("skipped: there is no etcd on this machine\n");
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
