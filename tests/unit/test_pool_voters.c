/* pool_voters and etcd_member: who lives by presence, who may lead, how a
 * node's own member of etcd is remembered and started. */
#include "test.h"

#include "common/alloc.h"
#include "common/cleanup.h"
#include "daemon/etcd_member.h"
#include "daemon/pool_voters.h"
#include "model/pool.h"
#include "state/election.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct store *store;
static struct cache *cache;
static struct pool_voters *voters;

static const char *const ids[] = { "0d6c7a54-6a0c-4a57-8a26-1f1f6a1f0001",
                                   "0d6c7a54-6a0c-4a57-8a26-1f1f6a1f0002",
                                   "0d6c7a54-6a0c-4a57-8a26-1f1f6a1f0003",
                                   "0d6c7a54-6a0c-4a57-8a26-1f1f6a1f0004" };

static void put_member(int i)
{
    char name[8];
    struct txn_result result;
    _autotxn_ struct txn txn = TXN_INIT;
    snprintf(name, sizeof(name), "h%d", i + 1);
    _autorecord_ struct member *m = record_new(&kind_member, name);
    m->node_id = rec_str(m, ids[i]);
    m->address = rec_str(m, "192.0.2.1");
    m->joined = i + 1;
    txn_put_record(&txn, m);
    assert_true(store_commit(store, &txn, &result));
}

static void set_present(int i, bool present)
{
    char key[128];
    struct txn_result result;
    _autotxn_ struct txn txn = TXN_INIT;
    snprintf(key, sizeof(key), ELECTION_PREFIX POOL_PRESENCE "%s", ids[i]);
    if (present)
        txn_put(&txn, key, "x", 1);
    else
        txn_delete(&txn, key);
    assert_true(store_commit(store, &txn, &result));
}

static int setup(void **state)
{
    struct error err;
    store = store_memory_open(&env_system);
    cache = cache_new(model_kinds, N_KINDS);
    voters = pool_voters_new(&env_system);
    for (int i = 0; i < 4; i++)
        put_member(i);
    return cache_follow(cache, store, &err) ? 0 : 1;
}

static int teardown(void **state)
{
    pool_voters_free(voters);
    cache_unfollow(cache);
    cache_free(cache);
    store_close(store);
    return 0;
}

static bool may_lead(const char *node)
{
    struct error err;
    _autosnap_ struct snapshot *snap = cache_snapshot(cache);
    assert_true(pool_voters_look(voters, store, cache, &err));
    return pool_voters_may_lead(voters, snap, node);
}

static void the_first_three_lead(void **state)
{
    for (int i = 0; i < 4; i++)
        set_present(i, true);
    assert_true(may_lead("h1"));
    assert_true(may_lead("h3"));
    assert_false(may_lead("h4"));
    set_present(0, false);
    set_present(1, false);
    assert_false(may_lead("h4"));
}

static void others_lead_when_those_are_gone(void **state)
{
    set_present(3, true);
    assert_true(may_lead("h4"));
    set_present(2, true);
    assert_false(may_lead("h4"));
}

static void members_are_found_by_url(void **state)
{
    struct etcd_members list = { .n = 2 };
    char url[ETCD_PLACE_MAX];
    etcd_peer_url("192.0.2.1", list.all[0].peer);
    etcd_peer_url("2001:db8::1", list.all[1].peer);
    etcd_peer_url("192.0.2.10", url);
    assert_string_equal(list.all[1].peer, "https://[2001:db8::1]:2380");
    assert_null(pool_voters_find(&list, url));
    etcd_peer_url("2001:db8::1", url);
    assert_ptr_equal(pool_voters_find(&list, url), &list.all[1]);
}

static bool has_word(const struct words *w, const char *word)
{
    for (size_t i = 0; i < w->n; i++)
        if (w->v[i] && strcmp(w->v[i], word) == 0)
            return true;
    return false;
}

static void a_member_is_remembered(void **state)
{
    struct error err;
    char dir[] = "/tmp/cairn-etcd-XXXXXX";
    assert_non_null(mkdtemp(dir));
    _autowords_ struct words w = WORDS_INIT;
    _autofree_ char *data = xasprintf("%s/etcd", dir);
    _autofree_ char *old = xasprintf("%s/etcd.old", dir);
    assert_false(etcd_member_here(dir));
    assert_true(
        etcd_member_make(dir, false, "h1=https://192.0.2.1:2380", &err));
    assert_true(etcd_member_here(dir));
    etcd_member_command(dir, "h2", "192.0.2.2", &w);
    assert_true(has_word(&w, "--initial-cluster=h1=https://192.0.2.1:2380"));
    assert_true(has_word(&w, "--initial-cluster-state=existing"));
    assert_true(has_word(&w, "--peer-client-cert-auth"));
    assert_true(has_word(&w, "--max-txn-ops=1024"));
    assert_true(etcd_member_drop(dir, &err));
    assert_false(etcd_member_here(dir));
    assert_int_equal(access(data, F_OK), 0); /* what it had is kept once */
    assert_true(etcd_member_make(dir, true, "h2=https://192.0.2.2:2380", &err));
    assert_int_equal(access(old, F_OK), 0);
    assert_true(command_do(&err, "rm", "-rf", dir, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_first_three_lead, setup, teardown),
        cmocka_unit_test_setup_teardown(others_lead_when_those_are_gone, setup,
                                        teardown),
        cmocka_unit_test(members_are_found_by_url),
        cmocka_unit_test(a_member_is_remembered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
