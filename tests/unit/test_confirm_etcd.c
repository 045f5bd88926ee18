/* Confirmation over a real etcd of three members: what is committed through
 * one member is in the cache that follows another. */
#include "test.h"

#include "etcd_child.h"
#include "eventually.h"
#include "thing.h"

#include "state/confirm.h"
#include "state/store_etcd.h"

#include <stdatomic.h>

#define TIMES 200

static const struct kind *const kinds[] = { &kind_thing };
static struct etcd_child etcd;

struct asker {
    struct confirm_wait wait;
    atomic_int told; /* -1: not yet */
};

static struct store *open_at(int member)
{
    const char *all[ETCD_MEMBERS];
    struct error err = { 0 };
    struct store *s = NULL;
    etcd_endpoints(&etcd, all);
    struct store_etcd_config config = { .endpoints = &all[member],
                                        .n_endpoints = 1,
                                        .name = "t",
                                        .begin = ETCD_MAY_CREATE,
                                        .env = &env_system };
    for (int i = 0; i < 5 && !s; i++) /* a cluster that elects */
        s = store_etcd_open(&config, &err);
    if (!s)
        fail_msg("%s", err.text);
    return s;
}

static void told(struct confirm_wait *w, bool current)
{
    atomic_store(&container_of(w, struct asker, wait)->told, current);
}

/* What the asker was told. */
static int ask(struct confirm *c)
{
    struct asker a = { .wait = { .fn = told }, .told = -1 };
    confirm_tick(c);
    confirm_ask(c, &a.wait);
    int64_t until = env_mono(&env_system) + 20 * SECOND_US;
    while (atomic_load(&a.told) < 0) {
        assert_true(env_mono(&env_system) < until);
        confirm_tick(c);
        usleep(100);
    }
    return atomic_load(&a.told);
}

static bool commit(struct store *s, int i, bool there)
{
    struct txn_result r;
    char key[40];
    _autotxn_ struct txn t = TXN_INIT;
    snprintf(key, sizeof(key), "thing/%d", i);
    if (there)
        txn_put(&t, key, "{}", 2);
    else
        txn_delete(&t, key);
    return store_commit(s, &t, &r);
}

/* Writes thing `i`, or takes it away; again while the members elect, which on
 * a loaded machine they may at any time. */
static void change(struct store *s, int i, bool there)
{
    eventually(commit(s, i, there));
}

static bool sees(struct cache *c, int i)
{
    char id[16];
    _autosnap_ struct snapshot *s = cache_snapshot(c);
    snprintf(id, sizeof(id), "%d", i);
    return snap_get(s, &kind_thing, id);
}

static void thaw(int member)
{
    assert_int_equal(kill(etcd.member[member].pid, SIGCONT), 0);
}

static void what_one_commits_another_sees(void **state)
{
    struct error err;
    struct store *writes = open_at(0), *reads = open_at(1);
    struct cache *cache = cache_new(kinds, 1);
    assert_true(cache_follow(cache, reads, &err));
    struct confirm *c = confirm_new(reads, cache, &env_system);
    int behind = 0;
    for (int i = 0; i < TIMES; i++) {
        change(writes, i, true);
        behind += !sees(cache, i);
        eventually(ask(c));
        assert_true(sees(cache, i));
        change(writes, i, false);
        eventually(ask(c));
        assert_false(sees(cache, i));
    }
    print_message("the cache was behind %d times of %d\n", behind, TIMES);
    etcd_freeze(etcd.member[0].pid); /* no majority without these two */
    etcd_freeze(etcd.member[2].pid);
    assert_int_equal(ask(c), false);
    thaw(0);
    thaw(2);
    change(writes, 0, true);
    eventually(ask(c));
    assert_true(sees(cache, 0));
    cache_unfollow(cache);
    store_close(reads);
    store_close(writes);
    confirm_free(c);
    cache_free(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_one_commits_another_sees),
    };
    if (!etcd_there()) {
        print_message("skipped: there is no etcd on this machine\n");
        return 0;
    }
    etcd_child_start(&etcd, 3);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    etcd_child_stop(&etcd);
    return failed;
}
