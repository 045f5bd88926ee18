/*
 * store_suite - what every driver of the store must do, the same for all.
 *
 * A test program defines drivers (how to open and close one, how to move
 * its clock) and runs store_suite(driver) for each.
 */
#ifndef CAIRN_TESTS_STORE_SUITE_H
#define CAIRN_TESTS_STORE_SUITE_H

#include "test.h"

#include "common/alloc.h"
#include "common/env.h"
#include "state/store.h"

#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* ---- a clock that tests move (leases) ------------------------------------ */

static atomic_llong suite_skew;

static int64_t skewed_mono(void *self)
{
    return env_mono(&env_system) + suite_skew;
}

static int64_t skewed_now(void *self)
{
    return env_now(&env_system) + suite_skew;
}

static void skewed_random(void *self, void *out, size_t len)
{
    env_random(&env_system, out, len);
}

static const struct env suite_env = { NULL, skewed_now, skewed_mono,
                                      skewed_random };

/* ---- the driver under test ----------------------------------------------- */

struct suite_driver {
    const char *name;
    void *(*open)(void);
    struct store *(*store)(void *opened);
    void (*tick)(void *opened); /* after the clock was moved */
    void (*close)(void *opened);
    /* Not 0: its clock cannot be moved; so many seconds become one, and the
     * test waits for it. */
    int real_time;
};

static const struct suite_driver *suite_driver; /* of the running group */
static void *suite_opened;

static int suite_setup(void **state)
{
    suite_opened = suite_driver->open();
    *state = suite_driver->store(suite_opened);
    return *state ? 0 : -1;
}

static int suite_teardown(void **state)
{
    suite_driver->close(suite_opened);
    return 0;
}

/* ---- helpers ----------------------------------------------------------- */

static int64_t put(struct store *s, const char *key, const char *value)
{
    _autotxn_ struct txn t = TXN_INIT;
    struct txn_result r;
    txn_put(&t, key, value, strlen(value));
    if (!store_commit(s, &t, &r))
        fail_msg("put %s: %s", key, r.err.text);
    return r.revision;
}

static int64_t del(struct store *s, const char *key)
{
    _autotxn_ struct txn t = TXN_INIT;
    struct txn_result r;
    txn_delete(&t, key);
    assert_true(store_commit(s, &t, &r));
    return r.revision;
}

static enum txn_status commit_status(struct store *s, struct txn *t)
{
    struct txn_result r;
    store_commit(s, t, &r);
    return r.status;
}

/* What a range finds: "key=value@create/mod " of each. */
struct seen {
    char text[4096];
    size_t n;
    size_t stop_at;
};

static bool see(void *arg, const struct kv *kv)
{
    struct seen *seen = arg;
    size_t used = strlen(seen->text);
    snprintf(seen->text + used, sizeof(seen->text) - used,
             "%s=%.*s@%" PRId64 "/%" PRId64 " ", kv->key, (int)kv->len,
             (const char *)kv->value, kv->create_rev, kv->mod_rev);
    return ++seen->n != seen->stop_at;
}

static int64_t range(struct store *s, const char *prefix, struct seen *seen)
{
    int64_t revision = -1;
    struct error err;
    memset(seen, 0, sizeof(*seen));
    if (!store_range(s, prefix, see, seen, &revision, &err))
        fail_msg("range: %s", err.text);
    return revision;
}

#define assert_range(s_, prefix_, want_)                                       \
    do {                                                                       \
        struct seen seen_;                                                     \
        range(s_, prefix_, &seen_);                                            \
        assert_string_equal(seen_.text, want_);                                \
    } while (0)

/* What a watch hears: "rev:+key=value -key; " of each revision. */
struct heard {
    pthread_mutex_t lock;
    pthread_cond_t cond;
    char text[8192];
    int64_t revision; /* last */
    bool disorder;    /* revisions did not grow */
    enum watch_what end;
};

#define HEARD_INIT                                                             \
    {                                                                          \
        .lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER    \
    }

static void hear_text(struct heard *h, const char *fmt, ...)
{
    size_t used = strlen(h->text);
    va_list args;
    va_start(args, fmt);
    vsnprintf(h->text + used, sizeof(h->text) - used, fmt, args);
    va_end(args);
}

static void hear(void *arg, enum watch_what what, int64_t revision,
                 const struct kv *events, size_t n)
{
    struct heard *h = arg;
    pthread_mutex_lock(&h->lock);
    if (what == WATCH_EVENTS) {
        h->disorder |= revision <= h->revision;
        h->revision = revision;
        hear_text(h, "%" PRId64 ":", revision);
        for (size_t i = 0; i < n; i++)
            if (events[i].value)
                hear_text(h, "+%s=%.*s", events[i].key, (int)events[i].len,
                          (const char *)events[i].value);
            else
                hear_text(h, "-%s", events[i].key);
        hear_text(h, " ");
    } else {
        h->end = what;
    }
    pthread_cond_broadcast(&h->cond);
    pthread_mutex_unlock(&h->lock);
}

static void wait_cond(struct heard *h)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    t.tv_sec += 10;
    if (pthread_cond_timedwait(&h->cond, &h->lock, &t))
        fail_msg("nothing heard in 10 s; so far: %s", h->text);
}

static void wait_revision(struct heard *h, int64_t revision)
{
    pthread_mutex_lock(&h->lock);
    while (h->revision < revision)
        wait_cond(h);
    assert_false(h->disorder);
    pthread_mutex_unlock(&h->lock);
}

static void wait_end(struct heard *h, enum watch_what end)
{
    pthread_mutex_lock(&h->lock);
    while (h->end == WATCH_EVENTS)
        wait_cond(h);
    assert_int_equal(h->end, end);
    pthread_mutex_unlock(&h->lock);
}

static struct watch *watch(struct store *s, const char *prefix, int64_t from,
                           struct heard *h)
{
    struct error err;
    struct watch *w = store_watch(s, prefix, from, hear, h, &err);
    if (!w)
        fail_msg("watch: %s", err.text);
    return w;
}

/* ---- transactions ------------------------------------------------------ */

static void revisions(void **state)
{
    struct store *s = *state;
    struct seen seen;
    assert_int_equal(range(s, "", &seen), 0);
    assert_int_equal(put(s, "a", "1"), 1);
    assert_int_equal(put(s, "b", "2"), 2);
    assert_int_equal(put(s, "a", "3"), 3);
    assert_range(s, "", "a=3@1/3 b=2@2/2 ");
    assert_int_equal(del(s, "a"), 4);
    assert_int_equal(put(s, "a", ""), 5);
    assert_range(s, "", "a=@5/5 b=2@2/2 ");
    assert_int_equal(range(s, "", &seen), 5);
}

static void nothing_changed(void **state)
{
    struct store *s = *state;
    _autotxn_ struct txn t = TXN_INIT;
    struct txn_result r;
    put(s, "a", "1");
    assert_int_equal(del(s, "none"), 1); /* no effect, no revision */
    txn_exists(&t, "a");
    assert_true(store_commit(s, &t, &r));
    assert_int_equal(r.revision, 1);
    assert_true(store_commit(s, &t, &r)); /* an empty one */
    assert_int_equal(r.revision, 1);
}

static void compares(void **state)
{
    struct store *s = *state;
    _autotxn_ struct txn t = TXN_INIT;
    int64_t rev = put(s, "a", "1");
    const struct {
        enum compare_type type;
        const char *key;
        int64_t rev;
        bool holds;
    } rows[] = {
        { COMPARE_MOD, "a", rev, true },   { COMPARE_MOD, "a", rev + 1 },
        { COMPARE_MOD, "b", rev },         { COMPARE_MOD, "b", 0, true },
        { COMPARE_ABSENT, "a" },           { COMPARE_ABSENT, "b", 0, true },
        { COMPARE_EXISTS, "a", 0, true },  { COMPARE_EXISTS, "b" },
        { COMPARE_ABSENT, "aa", 0, true },
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct txn_result r;
        if (rows[i].type == COMPARE_MOD)
            txn_expect(&t, rows[i].key, rows[i].rev);
        else if (rows[i].type == COMPARE_ABSENT)
            txn_absent(&t, rows[i].key);
        else
            txn_exists(&t, rows[i].key);
        txn_put(&t, "other", "x", 1);
        assert_int_equal(store_commit(s, &t, &r), rows[i].holds);
        assert_int_equal(r.status,
                         rows[i].holds ? TXN_COMMITTED : TXN_CONFLICT);
        assert_int_equal(r.err.code, rows[i].holds ? ERR_NONE : ERR_CONFLICT);
        assert_true(txn_empty(&t));
    }
}

static void all_or_nothing(void **state)
{
    struct store *s = *state;
    _autotxn_ struct txn t = TXN_INIT;
    int64_t rev = put(s, "a", "1");
    txn_expect(&t, "a", rev);
    txn_absent(&t, "b");
    txn_put(&t, "a", "2", 1);
    txn_put(&t, "b", "2", 1);
    txn_put(&t, "c", "2", 1);
    assert_int_equal(commit_status(s, &t), TXN_COMMITTED);
    assert_range(s, "", "a=2@1/2 b=2@2/2 c=2@2/2 ");
    txn_expect(&t, "a", rev); /* old */
    txn_put(&t, "a", "3", 1);
    txn_delete(&t, "b");
    assert_int_equal(commit_status(s, &t), TXN_CONFLICT);
    assert_range(s, "", "a=2@1/2 b=2@2/2 c=2@2/2 ");
}

static void last_write_counts(void **state)
{
    struct store *s = *state;
    _autotxn_ struct txn t = TXN_INIT;
    txn_put(&t, "a", "1", 1);
    txn_delete(&t, "a");
    txn_delete(&t, "b");
    txn_put(&t, "b", "22", 2);
    txn_put(&t, "b", "3", 1);
    assert_int_equal(commit_status(s, &t), TXN_COMMITTED);
    assert_range(s, "", "b=3@1/1 ");
}

static void compares_must_agree(void **state)
{
    struct store *s = *state;
    _autotxn_ struct txn t = TXN_INIT;
    struct txn_result r;
    put(s, "a", "1");
    txn_exists(&t, "a");
    txn_expect(&t, "a", 1);
    txn_expect(&t, "a", 1);
    txn_exists(&t, "a");
    assert_int_equal(commit_status(s, &t), TXN_COMMITTED);
    txn_expect(&t, "a", 1);
    txn_expect(&t, "a", 2);
    txn_put(&t, "b", "", 0);
    assert_false(store_commit(s, &t, &r));
    assert_int_equal(r.status, TXN_FAILED);
    assert_int_equal(r.err.code, ERR_CONFLICT);
    assert_range(s, "b", "");
}

static void limits(void **state)
{
    struct store *s = *state;
    _autotxn_ struct txn t = TXN_INIT;
    _autofree_ char *big = xcalloc(1, STORE_VALUE_MAX + 1);
    char key[STORE_KEY_MAX + 1];
    struct txn_result r;

    txn_put(&t, "big", big, STORE_VALUE_MAX);
    assert_int_equal(commit_status(s, &t), TXN_COMMITTED);
    txn_put(&t, "bigger", big, STORE_VALUE_MAX + 1);
    assert_false(store_commit(s, &t, &r));
    assert_int_equal(r.status, TXN_FAILED);
    assert_int_equal(r.err.code, ERR_TOO_LARGE);

    memset(key, 'k', sizeof(key));
    key[STORE_KEY_MAX - 1] = '\0';
    txn_put(&t, key, "v", 1);
    assert_int_equal(commit_status(s, &t), TXN_COMMITTED);
    key[STORE_KEY_MAX - 1] = 'k';
    key[STORE_KEY_MAX] = '\0';
    txn_put(&t, key, "v", 1);
    assert_int_equal(commit_status(s, &t), TXN_FAILED);
    txn_put(&t, "", "v", 1);
    assert_int_equal(commit_status(s, &t), TXN_FAILED);

    for (int i = 0; i < 5; i++) { /* together over STORE_TXN_MAX */
        snprintf(key, sizeof(key), "part%d", i);
        txn_put(&t, key, big, STORE_VALUE_MAX);
    }
    assert_int_equal(commit_status(s, &t), TXN_FAILED);
    assert_range(s, "part", "");
}

static void many_operations(void **state)
{
    struct store *s = *state;
    _autotxn_ struct txn t = TXN_INIT;
    char key[32];
    struct seen seen;
    for (int extra = 0; extra < 2; extra++) {
        for (int i = 0; i < STORE_OPS_MAX + extra; i++) {
            snprintf(key, sizeof(key), "op%d/%04d", extra, i);
            if (i % 2)
                txn_absent(&t, key);
            else
                txn_put(&t, key, "", 0);
        }
        assert_int_equal(commit_status(s, &t),
                         extra ? TXN_FAILED : TXN_COMMITTED);
    }
    range(s, "op0/", &seen);
    assert_int_equal(seen.n, STORE_OPS_MAX / 2);
    assert_range(s, "op1/", "");
}

static bool same_bytes(void *arg, const struct kv *kv)
{
    assert_int_equal(kv->len, STORE_VALUE_MAX);
    assert_memory_equal(kv->value, arg, kv->len);
    return true;
}

static void any_bytes(void **state)
{
    struct store *s = *state;
    _autotxn_ struct txn t = TXN_INIT;
    _autofree_ char *big = xmalloc(STORE_VALUE_MAX);
    for (size_t i = 0; i < STORE_VALUE_MAX; i++)
        big[i] = (char)(i * 7 + i / 256);
    txn_put(&t, "big", big, STORE_VALUE_MAX);
    assert_int_equal(commit_status(s, &t), TXN_COMMITTED);
    assert_true(store_range(s, "big", same_bytes, big, NULL, NULL));
}

static void prefixes(void **state)
{
    struct store *s = *state;
    struct seen seen = { .stop_at = 2 };
    put(s, "a/2", "");
    put(s, "a/1", "");
    put(s, "a", "");
    put(s, "a0", "");
    put(s, "b", "");
    put(s, "\xff\xff", "");
    put(s, "\xff", "");
    assert_range(s, "a/", "a/1=@2/2 a/2=@1/1 ");
    assert_range(s, "a", "a=@3/3 a/1=@2/2 a/2=@1/1 a0=@4/4 ");
    assert_range(s, "\xff", "\xff=@7/7 \xff\xff=@6/6 ");
    assert_range(s, "c", "");
    assert_true(store_range(s, "a", see, &seen, NULL, NULL));
    assert_string_equal(seen.text, "a=@3/3 a/1=@2/2 ");
}

/* ---- watches ----------------------------------------------------------- */

static void watch_from_now(void **state)
{
    struct store *s = *state;
    struct heard h = HEARD_INIT;
    put(s, "a/0", "old");
    struct watch *w = watch(s, "a/", 0, &h);
    put(s, "a/1", "x");
    put(s, "b/1", "y");
    int64_t last = del(s, "a/1");
    wait_revision(&h, last);
    assert_string_equal(h.text, "2:+a/1=x 4:-a/1 ");
    store_unwatch(s, w);
    put(s, "a/2", "z");
    assert_string_equal(h.text, "2:+a/1=x 4:-a/1 ");
}

static void watch_from_the_past(void **state)
{
    struct store *s = *state;
    struct heard h = HEARD_INIT, all = HEARD_INIT;
    _autotxn_ struct txn t = TXN_INIT;
    put(s, "a", "1");
    txn_put(&t, "a", "2", 1);
    txn_put(&t, "b", "", 0);
    assert_int_equal(commit_status(s, &t), TXN_COMMITTED);
    del(s, "a");
    struct watch *w = watch(s, "", 2, &h);
    struct watch *w_all = watch(s, "", 1, &all);
    put(s, "c", "4");
    wait_revision(&h, 4);
    wait_revision(&all, 4);
    assert_string_equal(h.text, "2:+a=2+b= 3:-a 4:+c=4 ");
    assert_string_equal(all.text, "1:+a=1 2:+a=2+b= 3:-a 4:+c=4 ");
    store_unwatch(s, w);
    store_unwatch(s, w_all);
}

static void watch_from_the_future(void **state)
{
    struct store *s = *state;
    struct heard h = HEARD_INIT;
    struct watch *w = watch(s, "", 3, &h);
    put(s, "a", "1");
    put(s, "a", "2");
    put(s, "a", "3");
    wait_revision(&h, 3);
    assert_string_equal(h.text, "3:+a=3 ");
    store_unwatch(s, w);
}

static void compaction(void **state)
{
    struct store *s = *state;
    struct heard gone = HEARD_INIT, kept = HEARD_INIT;
    struct error err;
    for (int i = 0; i < 5; i++)
        put(s, "a", "x");
    assert_true(store_compact(s, 3, &err));
    struct watch *w_gone = watch(s, "", 3, &gone);
    struct watch *w_kept = watch(s, "", 4, &kept);
    wait_end(&gone, WATCH_COMPACTED);
    wait_revision(&kept, 5);
    assert_string_equal(gone.text, "");
    assert_string_equal(kept.text, "4:+a=x 5:+a=x ");
    assert_true(store_compact(s, 100, &err)); /* all there is */
    put(s, "a", "y");
    wait_revision(&kept, 6); /* who is up to date does not care */
    assert_range(s, "", "a=y@1/6 ");
    store_unwatch(s, w_gone);
    store_unwatch(s, w_kept);
}

struct order {
    struct heard *heard;
    atomic_int wrong, done;
};

static void check_order(void *arg, const struct txn_result *r)
{
    struct order *o = arg;
    pthread_mutex_lock(&o->heard->lock);
    if (r->status != TXN_COMMITTED || o->heard->revision < r->revision)
        o->wrong++;
    pthread_mutex_unlock(&o->heard->lock);
    o->done++;
}

/* The watches hear of a revision before its commit is answered. */
static void watch_before_commit(void **state)
{
    struct store *s = *state;
    struct heard h = HEARD_INIT;
    struct order o = { .heard = &h };
    struct watch *w = watch(s, "", 0, &h);
    for (int i = 0; i < 100; i++) {
        _autotxn_ struct txn t = TXN_INIT;
        txn_put(&t, "a", "x", 1);
        store_submit(s, &t, check_order, &o);
    }
    while (o.done < 100)
        sched_yield();
    assert_int_equal(o.wrong, 0);
    assert_false(h.disorder);
    store_unwatch(s, w);
}

struct chain {
    struct store *s;
    atomic_int left;
};

static void submit_next(void *arg, const struct txn_result *r)
{
    struct chain *c = arg;
    _autotxn_ struct txn t = TXN_INIT;
    if (r && (r->status != TXN_COMMITTED || atomic_fetch_sub(&c->left, 1) <= 1))
        return;
    txn_put(&t, "a", "x", 1);
    store_submit(c->s, &t, submit_next, c);
}

static void submit_from_a_call_back(void **state)
{
    struct chain c = { *state, 1000 };
    submit_next(&c, NULL);
    while (c.left > 0)
        sched_yield();
    struct seen seen;
    assert_int_equal(range(*state, "", &seen), 1000);
}

static void unwatch_ends_calls(void **state)
{
    struct store *s = *state;
    for (int i = 0; i < 50; i++) {
        struct heard *h = xcalloc(1, sizeof(*h));
        *h = (struct heard)HEARD_INIT;
        struct watch *w = watch(s, "", i % 2 ? 1 : 0, h);
        _autotxn_ struct txn t = TXN_INIT;
        txn_put(&t, "a", "x", 1);
        struct chain c = { s, 1 };
        store_submit(s, &t, submit_next, &c);
        store_unwatch(s, w);
        memset(h, 0xee, sizeof(*h)); /* the sanitizer sees a late call */
        free(h);
        while (c.left > 0)
            sched_yield();
    }
}

/* ---- leases ------------------------------------------------------------ */

static void advance(int64_t seconds)
{
    if (suite_driver->real_time) {
        usleep((useconds_t)(seconds * SECOND_US / suite_driver->real_time));
        return;
    }
    suite_skew += seconds * SECOND_US;
    if (suite_driver->tick)
        suite_driver->tick(suite_opened);
}

static int64_t ttl(int64_t seconds)
{
    return suite_driver->real_time ? seconds / suite_driver->real_time
                                   : seconds;
}

static int64_t put_leased(struct store *s, const char *key, int64_t lease)
{
    _autotxn_ struct txn t = TXN_INIT;
    struct txn_result r;
    txn_put_lease(&t, key, "", 0, lease);
    assert_true(store_commit(s, &t, &r));
    return r.revision;
}

static void leases(void **state)
{
    struct store *s = *state;
    struct heard h = HEARD_INIT;
    struct error err;
    int64_t lease, other;
    assert_false(store_lease_grant(s, STORE_LEASE_MIN - 1, &lease, &err));
    assert_true(store_lease_grant(s, ttl(60), &lease, &err));
    assert_true(store_lease_grant(s, ttl(3600), &other, &err));
    assert_int_not_equal(lease, other);
    put_leased(s, "l/1", lease);
    put_leased(s, "l/2", lease);
    put_leased(s, "l/3", other);
    put_leased(s, "l/4", lease);
    put(s, "l/4", "plain"); /* not the lease's any more */
    struct watch *w = watch(s, "", 0, &h);
    advance(40);
    assert_true(store_lease_keepalive(s, lease, &err));
    advance(40);
    assert_range(s, "l/1", "l/1=@1/1 ");
    advance(40);
    wait_revision(&h, 6);
    assert_string_equal(h.text, "6:-l/1-l/2 "); /* in one txn */
    assert_range(s, "", "l/3=@3/3 l/4=plain@4/5 ");
    assert_false(store_lease_keepalive(s, lease, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
    store_unwatch(s, w);
}

static void revoking(void **state)
{
    struct store *s = *state;
    _autotxn_ struct txn t = TXN_INIT;
    struct txn_result r;
    struct error err;
    int64_t lease;
    assert_true(store_lease_grant(s, 60, &lease, &err));
    put_leased(s, "a", lease);
    assert_true(store_lease_revoke(s, lease, &err));
    assert_range(s, "", "");
    assert_false(store_lease_revoke(s, lease, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
    txn_put_lease(&t, "b", "", 0, lease);
    assert_false(store_commit(s, &t, &r));
    assert_int_equal(r.status, TXN_FAILED);
    assert_int_equal(r.err.code, ERR_NOT_FOUND);
}

/* ---- many at once ------------------------------------------------------ */

#define COUNTERS   3
#define INCREMENTS 40

struct counter {
    int64_t rev;
    long value;
};

static bool read_counter(void *arg, const struct kv *kv)
{
    struct counter *c = arg;
    char text[32];
    snprintf(text, sizeof(text), "%.*s", (int)kv->len, (const char *)kv->value);
    c->rev = kv->mod_rev;
    c->value = strtol(text, NULL, 10);
    return true;
}

static void increment(struct store *s, const char *key)
{
    for (;;) {
        _autotxn_ struct txn t = TXN_INIT;
        struct counter c = { 0 };
        char text[32];
        struct txn_result r;
        store_range(s, key, read_counter, &c, NULL, NULL);
        snprintf(text, sizeof(text), "%ld", c.value + 1);
        txn_expect(&t, key, c.rev);
        txn_put(&t, key, text, strlen(text));
        if (store_commit(s, &t, &r))
            return;
        if (r.status != TXN_CONFLICT)
            abort();
    }
}

static void *increment_all(void *arg)
{
    for (int i = 0; i < INCREMENTS; i++) {
        char key[8];
        snprintf(key, sizeof(key), "c%d", i % COUNTERS);
        increment(arg, key);
    }
    return NULL;
}

static void eight_threads(void **state)
{
    struct store *s = *state;
    struct heard h = HEARD_INIT;
    struct watch *w = watch(s, "", 0, &h);
    pthread_t threads[8];
    struct seen seen;
    long sum = 0;
    for (int i = 0; i < 8; i++)
        pthread_create(&threads[i], NULL, increment_all, s);
    for (int i = 0; i < 8; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < COUNTERS; i++) {
        char key[8];
        struct counter c = { 0 };
        snprintf(key, sizeof(key), "c%d", i);
        assert_true(store_range(s, key, read_counter, &c, NULL, NULL));
        sum += c.value;
    }
    assert_int_equal(sum, 8 * INCREMENTS);
    wait_revision(&h, 8 * INCREMENTS);
    assert_int_equal(range(s, "", &seen), 8 * INCREMENTS);
    store_unwatch(s, w);
}

/* ---- the suite --------------------------------------------------------- */

static int store_suite(const struct suite_driver *driver)
{
#define SUITE(test_)                                                           \
    cmocka_unit_test_setup_teardown(test_, suite_setup, suite_teardown)
    const struct CMUnitTest tests[] = {
        SUITE(revisions),
        SUITE(nothing_changed),
        SUITE(compares),
        SUITE(all_or_nothing),
        SUITE(last_write_counts),
        SUITE(compares_must_agree),
        SUITE(limits),
        SUITE(many_operations),
        SUITE(any_bytes),
        SUITE(prefixes),
        SUITE(watch_from_now),
        SUITE(watch_from_the_past),
        SUITE(watch_from_the_future),
        SUITE(compaction),
        SUITE(watch_before_commit),
        SUITE(submit_from_a_call_back),
        SUITE(unwatch_ends_calls),
        SUITE(leases),
        SUITE(revoking),
        SUITE(eight_threads),
    };
    suite_driver = driver;
    return cmocka_run_group_tests_name(driver->name, tests, NULL, NULL);
}

#endif
