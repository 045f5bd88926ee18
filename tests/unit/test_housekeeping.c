/* What time has emptied is cleared away: on a store, by a clock that is
 * moved. */
#include "test.h"

#include "common/log.h"
#include "engine/housekeeping.h"
#include "model/migration.h"
#include "model/pool.h"
#include "rest-api/token.h"

#include <string.h>

#define DAY  (24 * 3600 * SECOND_US)
#define HOUR (3600 * SECOND_US)

struct house {
    struct env env;
    int64_t time;
    struct store *store;
    struct cache *cache;
    struct tokens *tokens;
    struct housekeeper *keeper;
};

static int64_t house_time(void *self)
{
    return ((struct house *)self)->time;
}

static void house_random(void *self, void *out, size_t len)
{
    env_random(&env_system, out, len);
}

static int setup(void **state)
{
    struct house *h = xcalloc(1, sizeof(*h));
    struct error err;
    h->time = INT64_C(1800000000) * SECOND_US;
    h->env = (struct env){ h, house_time, house_time, house_random };
    h->store = store_memory_open(&h->env);
    h->cache = cache_new(model_kinds, N_KINDS);
    h->tokens = tokens_new(&h->env, h->cache);
    assert_true(cache_follow(h->cache, h->store, &err));
    h->keeper = housekeeper_new(&(struct housekeeper_config){
        .store = h->store,
        .cache = h->cache,
        .env = &h->env,
        .rotate = tokens_rotate,
    });
    housekeeper_start(h->keeper);
    *state = h;
    return 0;
}

static int teardown(void **state)
{
    struct house *h = *state;
    cache_unfollow(h->cache);
    housekeeper_free(h->keeper);
    tokens_free(h->tokens);
    cache_free(h->cache);
    store_close(h->store);
    free(h);
    return 0;
}

static void put(struct house *h, void *draft)
{
    struct txn_result result;
    _autotxn_ struct txn t = TXN_INIT;
    txn_put_record(&t, draft);
    assert_true(store_commit(h->store, &t, &result));
    record_unref(draft);
}

static size_t count(struct house *h, const struct kind *kind)
{
    _autosnap_ struct snapshot *s = cache_snapshot(h->cache);
    return snap_count(s, kind);
}

/* What is due now, and what that makes due at once. */
static void work(struct house *h)
{
    while (reconciler_step(housekeeper_queue(h->keeper), 0))
        ;
}

/* Lets time pass, and what falls due in it happen when it does. */
static void pass(struct house *h, int64_t us)
{
    int64_t end = h->time + us;
    for (;;) {
        work(h);
        int64_t due = reconciler_next_due(housekeeper_queue(h->keeper));
        if (due > end)
            break;
        h->time = due;
    }
    h->time = end;
}

/* ---- keys -------------------------------------------------------------- */

static void a_first_key(void **state)
{
    struct house *h = *state;
    work(h);
    assert_int_equal(count(h, &kind_token_key), 1);
    pass(h, DAY - HOUR);
    assert_int_equal(count(h, &kind_token_key), 1);
    pass(h, 2 * HOUR);
    assert_int_equal(count(h, &kind_token_key), 2);
}

/* Whenever a token was sealed: as long as it may be shown, it opens. */
static void keys_outlive_tokens(void **state)
{
    struct house *h = *state;
    enum { N = 200 };
    static char text[N][TOKEN_TEXT_MAX];
    static struct token sealed[N];
    pass(h, 1);
    for (int i = 0; i < N; i++) {
        struct token out;
        struct error err;
        sealed[i] = (struct token){ .issued = h->time,
                                    .expires = h->time + TOKEN_LIFE_US,
                                    .user_id = "u",
                                    .audit_id = "a" };
        assert_true(token_seal(h->tokens, &sealed[i], text[i]));
        pass(h, HOUR - SECOND_US);
        for (int k = 0; k <= i; k++)
            if (h->time < sealed[k].expires + TOKEN_SHOWN_US)
                assert_true(token_open(h->tokens, text[k], sealed[k].issued,
                                       &out, &err));
    }
    assert_int_equal(count(h, &kind_token_key), HOUSE_KEYS_KEEP);
    struct token out;
    struct error err;
    assert_false(token_open(h->tokens, text[0], sealed[0].issued, &out, &err));
}

/* ---- revocations ------------------------------------------------------- */

static void revocations_end(void **state)
{
    struct house *h = *state;
    for (int i = 0; i < HOUSE_BATCH + 10; i++) {
        char id[16];
        snprintf(id, sizeof(id), "audit-%d", i);
        struct revocation *x = record_new(&kind_revocation, id);
        x->expires = i < HOUSE_BATCH + 5 ? h->time : h->time + 10 * DAY;
        put(h, x);
    }
    pass(h, TOKEN_SHOWN_US - SECOND_US);
    assert_int_equal(count(h, &kind_revocation), HOUSE_BATCH + 10);
    h->time += HOUSE_PASS_US;
    assert_true(reconciler_step(housekeeper_queue(h->keeper), 0));
    assert_int_equal(count(h, &kind_revocation), 10); /* one batch a pass */
    pass(h, 2 * HOUSE_MORE_US);
    assert_int_equal(count(h, &kind_revocation), 5);
    pass(h, 20 * DAY);
    assert_int_equal(count(h, &kind_revocation), 0);
}

/* ---- usage ------------------------------------------------------------- */

static void put_usage(struct house *h, const char *id, int64_t cores)
{
    struct usage *u = record_new(&kind_usage, id);
    amount_set(u, &u->amounts, "instances", 0);
    amount_set(u, &u->amounts, "cores", cores);
    put(h, u);
}

static bool has_usage(struct house *h, const char *id)
{
    _autosnap_ struct snapshot *s = cache_snapshot(h->cache);
    return snap_get(s, &kind_usage, id) != NULL;
}

static void empty_usage_ends(void **state)
{
    struct house *h = *state;
    struct project *p = record_new(&kind_project, "here");
    p->name = "here";
    put(h, p);
    put_usage(h, "compute/here", 0);
    put_usage(h, "compute/gone", 0);
    put_usage(h, "volume/gone", 1);
    work(h);
    assert_true(has_usage(h, "compute/here"));
    assert_false(has_usage(h, "compute/gone"));
    assert_true(has_usage(h, "volume/gone")); /* something still stands */
}

/* ---- migrations -------------------------------------------------------- */

static void put_migration(struct house *h, int number,
                          enum migration_status status, int64_t ended)
{
    char id[24];
    snprintf(id, sizeof(id), "move-%d", number);
    struct migration *m = record_new(&kind_migration, id);
    m->status = (int)status;
    m->ended = ended;
    put(h, m);
}

static void history_of_moves_is_bounded_by_time(void **state)
{
    struct house *h = *state;
    put_migration(h, 1, MIGRATION_COMPLETED, h->time);
    put_migration(h, 2, MIGRATION_ERROR, h->time + 10 * DAY);
    put_migration(h, 3, MIGRATION_FINISHED, 0); /* to be confirmed */
    pass(h, HOUSE_MIGRATION_US - HOUR);
    assert_int_equal(count(h, &kind_migration), 3);
    pass(h, 2 * HOUR);
    assert_int_equal(count(h, &kind_migration), 2);
    pass(h, 10 * DAY);
    assert_int_equal(count(h, &kind_migration), 1);
}

static void history_of_moves_is_bounded_by_number(void **state)
{
    struct house *h = *state;
    for (int i = 0; i < HOUSE_MIGRATIONS + 3; i++)
        put_migration(h, i, MIGRATION_CONFIRMED, h->time + i);
    put_migration(h, HOUSE_MIGRATIONS + 3, MIGRATION_RUNNING, 0);
    work(h);
    assert_int_equal(count(h, &kind_migration), HOUSE_MIGRATIONS + 1);
    _autosnap_ struct snapshot *s = cache_snapshot(h->cache);
    assert_null(snap_get(s, &kind_migration, "move-2")); /* the oldest went */
    assert_non_null(snap_get(s, &kind_migration, "move-3"));
}

/* ---- the store --------------------------------------------------------- */

static void see(void *arg, enum watch_what what, int64_t revision,
                const struct kv *events, size_t n)
{
    *(enum watch_what *)arg = what;
}

static enum watch_what watch_from(struct house *h, int64_t revision)
{
    enum watch_what what = WATCH_LOST;
    struct error err;
    struct watch *w = store_watch(h->store, "", revision, see, &what, &err);
    store_unwatch(h->store, w);
    return what;
}

static void old_changes_are_forgotten(void **state)
{
    struct house *h = *state;
    put_usage(h, "compute/a", 1);
    work(h); /* the first pass cannot know what is old */
    int64_t first = cache_revision(h->cache);
    put_usage(h, "compute/a", 2);
    assert_int_equal(watch_from(h, 1), WATCH_EVENTS);
    pass(h, HOUSE_PASS_US);
    assert_int_equal(watch_from(h, 1), WATCH_COMPACTED);
    assert_int_equal(watch_from(h, first + 1), WATCH_EVENTS);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(a_first_key),
        T(keys_outlive_tokens),
        T(revocations_end),
        T(empty_usage_ends),
        T(old_changes_are_forgotten),
        T(history_of_moves_is_bounded_by_time),
        T(history_of_moves_is_bounded_by_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
