/* The cache against a model: what the store ranges. */
#include "test.h"

#include "thing.h"

#include "common/env.h"
#include "state/cache.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define THINGS 60

static const struct kind *const kinds[] = { &kind_thing };

struct fixture {
    struct store *store;
    struct cache *cache;
    /* By the listener, from (old, now): must always be what the store has. */
    int64_t heard[THINGS];
    atomic_int n_heard;
};

static int number(const struct record *r)
{
    return atoi(r->id + 1);
}

static void listen(void *arg, const struct record *old,
                   const struct record *now)
{
    struct fixture *f = arg;
    const struct record *r = old ? old : now;
    int64_t *heard = &f->heard[number(r)];
    assert_int_equal(*heard, old ? old->mod_rev : 0);
    *heard = now ? now->mod_rev : 0;
    atomic_fetch_add(&f->n_heard, 1);
}

static int setup(void **state)
{
    struct fixture *f = xcalloc(1, sizeof(*f));
    f->store = store_memory_open(&env_system);
    f->cache = cache_new(kinds, 1);
    cache_listen(f->cache, listen, f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    cache_unfollow(f->cache);
    cache_free(f->cache);
    store_close(f->store);
    free(f);
    return 0;
}

static void follow(struct fixture *f)
{
    struct error err;
    assert_true(cache_follow(f->cache, f->store, &err));
}

static struct thing *random_thing(int i)
{
    char id[16];
    snprintf(id, sizeof(id), "t%02d", i);
    struct thing *t = record_new(&kind_thing, id);
    t->project_id = rec_strf(t, "p%d", rand() % 5);
    t->state = rand() % 3;
    for (int n = rand() % 3; n; n--)
        strs_add(t, &t->groups, rand() % 2 ? "g1" : "g2");
    return t;
}

/* A few random puts and deletes in one txn. */
static void random_txn(struct store *s)
{
    _autotxn_ struct txn txn = TXN_INIT;
    for (int n = 1 + rand() % 4; n; n--) {
        _autorecord_ struct thing *t = random_thing(rand() % THINGS);
        char key[STORE_KEY_MAX];
        if (rand() % 3)
            txn_put_record(&txn, t);
        else
            txn_delete(&txn, record_key(t, key));
    }
    assert_true(store_commit(s, &txn, NULL));
}

struct check {
    const struct fixture *f;
    const struct snapshot *snap;
    struct snap_iter it;
    size_t n;
};

static bool check_one(void *arg, const struct kv *kv)
{
    struct check *c = arg;
    struct error err;
    const struct thing *have = snap_next(&c->it);
    assert_non_null(have);
    assert_string_equal(have->rec.id, kv->key + strlen("thing/"));
    assert_int_equal(have->rec.mod_rev, kv->mod_rev);
    assert_int_equal(have->rec.create_rev, kv->create_rev);
    assert_int_equal(c->f->heard[number(&have->rec)], kv->mod_rev);
    assert_ptr_equal(snap_get(c->snap, &kind_thing, have->rec.id), have);
    _autorecord_ struct thing *want =
        record_decode(&kind_thing, have->rec.id, kv->value, kv->len, &err);
    assert_true(record_equal(want, have));
    c->n++;
    return true;
}

/* Each record is found under its own keys and under no other. */
static void check_index(const struct snapshot *s, const char *key,
                        bool (*belongs)(const struct thing *, const char *),
                        const char *path)
{
    struct snap_iter all = snap_all(s, &kind_thing);
    struct snap_iter by = snap_by(s, &kind_thing, path, key);
    bool first = true;
    for (const struct thing *t; (t = snap_next(&all));) {
        if (!belongs(t, key))
            continue;
        assert_ptr_equal(snap_next(&by), t);
        if (first)
            assert_ptr_equal(snap_find(s, &kind_thing, path, key), t);
        first = false;
    }
    assert_null(snap_next(&by));
    assert_null(snap_next(&by));
}

static bool in_project(const struct thing *t, const char *key)
{
    return strcmp(t->project_id, key) == 0;
}

static bool in_group(const struct thing *t, const char *key)
{
    return strs_has(&t->groups, key);
}

static void check_same(struct fixture *f)
{
    _autosnap_ struct snapshot *s = cache_snapshot(f->cache);
    struct check c = { f, s, snap_all(s, &kind_thing), 0 };
    int64_t revision;
    assert_true(
        store_range(f->store, "thing/", check_one, &c, &revision, NULL));
    assert_null(snap_next(&c.it));
    assert_int_equal(snap_count(s, &kind_thing), c.n);
    assert_int_equal(snapshot_revision(s), revision);
    check_index(s, "p1", in_project, "project_id");
    check_index(s, "p9", in_project, "project_id");
    check_index(s, "g1", in_group, "groups");
    check_index(s, "g2", in_group, "groups");
}

static void like_the_store(void **state)
{
    struct fixture *f = *state;
    srand(7);
    for (int i = 0; i < 30; i++)
        random_txn(f->store);
    follow(f);
    check_same(f);
    for (int i = 0; i < 500; i++) {
        random_txn(f->store);
        check_same(f);
    }
}

static void snapshots_stay(void **state)
{
    struct fixture *f = *state;
    follow(f);
    for (int i = 0; i < 20; i++)
        random_txn(f->store);
    _autosnap_ struct snapshot *s = cache_snapshot(f->cache);
    size_t n = snap_count(s, &kind_thing), seen = 0;
    struct snap_iter it = snap_all(s, &kind_thing);
    for (const struct thing *t; (t = snap_next(&it)); seen++) {
        random_txn(f->store); /* while we walk */
        assert_true(t->rec.mod_rev <= snapshot_revision(s));
    }
    assert_int_equal(seen, n);
    check_same(f);
}

/* It moves with each change of the kind, and only with these. */
static void changed(void **state)
{
    struct fixture *f = *state;
    follow(f);
    for (int i = 0; i < 40; i++) {
        _autotxn_ struct txn txn = TXN_INIT;
        _autosnap_ struct snapshot *before = cache_snapshot(f->cache);
        bool things = rand() % 2 == 0;
        _autorecord_ struct thing *t = random_thing(i % 4);
        if (things && i % 5 == 4 && snap_get(before, &kind_thing, t->rec.id))
            txn_delete(&txn, "thing/t00");
        if (things)
            txn_put_record(&txn, t);
        else
            txn_put(&txn, "other/1", "{}", 2);
        assert_true(store_commit(f->store, &txn, NULL));
        _autosnap_ struct snapshot *now = cache_snapshot(f->cache);
        assert_true(snapshot_revision(now) > snapshot_revision(before));
        assert_int_equal(snap_changed(now, &kind_thing),
                         things ? snapshot_revision(now)
                                : snap_changed(before, &kind_thing));
    }
}

static void walks(void **state)
{
    struct fixture *f = *state;
    follow(f);
    _autotxn_ struct txn txn = TXN_INIT;
    for (int i = 0; i < 5; i++) {
        _autorecord_ struct thing *t = random_thing(i);
        t->name = i == 3 ? NULL : "x";
        txn_put_record(&txn, t);
    }
    txn_put(&txn, "other/1", "{}", 2);
    txn_put(&txn, "thing", "{}", 2);
    assert_true(store_commit(f->store, &txn, NULL));
    _autosnap_ struct snapshot *s = cache_snapshot(f->cache);
    assert_int_equal(snap_count(s, &kind_thing), 5);
    struct snap_iter it = snap_all_after(s, &kind_thing, "t02");
    assert_string_equal(((struct record *)snap_next(&it))->id, "t03");
    it = snap_all_after(s, &kind_thing, "t021");
    assert_string_equal(((struct record *)snap_next(&it))->id, "t03");
    it = snap_by(s, &kind_thing, "project_id", NULL);
    assert_null(snap_next(&it));
    assert_null(snap_get(s, &kind_thing, NULL));
    assert_null(snap_find(s, &kind_thing, "project_id", NULL));
}

static void broken_record_is_absent(void **state)
{
    struct fixture *f = *state;
    follow(f);
    _autotxn_ struct txn txn = TXN_INIT;
    _autorecord_ struct thing *t = random_thing(1);
    txn_put_record(&txn, t);
    assert_true(store_commit(f->store, &txn, NULL));
    txn_put(&txn, "thing/t01", "nonsense", 8);
    assert_true(store_commit(f->store, &txn, NULL));
    _autosnap_ struct snapshot *s = cache_snapshot(f->cache);
    assert_null(snap_get(s, &kind_thing, "t01"));
    assert_int_equal(f->heard[1], 0);
}

static void count(void *arg)
{
    ++*(int *)arg;
}

static void waiters(void **state)
{
    struct fixture *f = *state;
    int at_now = 0, at_next = 0, never = 0;
    follow(f);
    random_txn(f->store);
    int64_t now = cache_revision(f->cache);
    cache_at(f->cache, now, count, &at_now);
    cache_at(f->cache, now + 1, count, &at_next);
    cache_at(f->cache, now + 100, count, &never);
    assert_int_equal(at_now, 1);
    assert_int_equal(at_next, 0);
    _autotxn_ struct txn txn = TXN_INIT;
    txn_put(&txn, "foreign", "", 0); /* counts too */
    assert_true(store_commit(f->store, &txn, NULL));
    assert_int_equal(at_next, 1);
    assert_int_equal(never, 0);
}

/* A relay store: range and watch go to the real one, but the watch goes deaf
 * and is then cut. */
struct relay {
    struct store store;
    struct store *real;
    watch_fn *fn;
    void *arg;
    atomic_bool deaf;
    atomic_int watches;
};

static void relay_hear(void *arg, enum watch_what what, int64_t revision,
                       const struct kv *events, size_t n)
{
    struct relay *r = arg;
    if (!r->deaf)
        r->fn(r->arg, what, revision, events, n);
}

static bool relay_range(struct store *s, const char *prefix, range_fn *fn,
                        void *arg, int64_t *revision, struct error *err)
{
    static int calls;
    if (++calls % 3 == 0) /* and now and then it cannot be read */
        return error_set(err, ERR_UNAVAILABLE, "later");
    return store_range(((struct relay *)s)->real, prefix, fn, arg, revision,
                       err);
}

static struct watch *relay_watch(struct store *s, const char *prefix,
                                 int64_t from, watch_fn *fn, void *arg,
                                 struct error *err)
{
    struct relay *r = (struct relay *)s;
    r->fn = fn;
    r->arg = arg;
    r->deaf = false;
    struct watch *w = store_watch(r->real, prefix, from, relay_hear, r, err);
    /* Only now: the memory driver is for one thread at a time, and the test
     * goes on with it when it sees this. */
    r->watches++;
    return w;
}

static void relay_unwatch(struct store *s, struct watch *w)
{
    store_unwatch(((struct relay *)s)->real, w);
}

static const struct store_ops relay_ops = {
    .range = relay_range,
    .watch = relay_watch,
    .unwatch = relay_unwatch,
};

static void post(void *arg)
{
    *(atomic_int *)arg = 1;
}

/* After LOST the cache reads again; listeners hear the difference. */
static void relists(void **state)
{
    struct fixture *f = *state;
    struct relay relay = { .store = { &relay_ops }, .real = f->store };
    struct error err;
    srand(11);
    assert_true(cache_follow(f->cache, &relay.store, &err));
    for (int round = 1; round <= 6; round++) {
        atomic_int reached = 0;
        relay.deaf = true;
        for (int i = 0; i < 10; i++)
            random_txn(f->store);
        cache_at(f->cache, cache_revision(f->cache) + 1, post, &reached);
        _autosnap_ struct snapshot *before = cache_snapshot(f->cache);
        relay.fn(relay.arg, WATCH_LOST, 0, NULL, 0);
        while (!reached || relay.watches <= round)
            sched_yield();
        _autosnap_ struct snapshot *after = cache_snapshot(f->cache);
        assert_true(snap_changed(after, &kind_thing) >
                    snap_changed(before, &kind_thing));
        random_txn(f->store); /* the new watch carries on */
        check_same(f);
    }
    cache_unfollow(f->cache); /* before the relay goes */
}

/* Readers walk snapshots while the writer goes on. */
static void *read_on(void *arg)
{
    struct fixture *f = arg;
    for (int i = 0; i < 300; i++) {
        _autosnap_ struct snapshot *s = cache_snapshot(f->cache);
        struct snap_iter it = snap_all(s, &kind_thing);
        size_t n = 0;
        for (const struct thing *t; (t = snap_next(&it)); n++)
            if (t->rec.mod_rev > snapshot_revision(s))
                return NULL;
        if (n != snap_count(s, &kind_thing))
            return NULL;
    }
    return f;
}

static void readers_and_a_writer(void **state)
{
    struct fixture *f = *state;
    pthread_t readers[3];
    follow(f);
    for (int i = 0; i < 3; i++)
        pthread_create(&readers[i], NULL, read_on, f);
    for (int i = 0; i < 300; i++)
        random_txn(f->store);
    for (int i = 0; i < 3; i++) {
        void *fine;
        pthread_join(readers[i], &fine);
        assert_non_null(fine);
    }
    check_same(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(like_the_store, setup, teardown),
        cmocka_unit_test_setup_teardown(snapshots_stay, setup, teardown),
        cmocka_unit_test_setup_teardown(changed, setup, teardown),
        cmocka_unit_test_setup_teardown(walks, setup, teardown),
        cmocka_unit_test_setup_teardown(broken_record_is_absent, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(waiters, setup, teardown),
        cmocka_unit_test_setup_teardown(relists, setup, teardown),
        cmocka_unit_test_setup_teardown(readers_and_a_writer, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
