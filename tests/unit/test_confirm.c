/* Confirmation by a store that answers when the test says so. */
#include "test.h"

#include "thing.h"

#include "state/confirm.h"

#define FLIGHTS 64
#define ASKERS  64

static const struct kind *const kinds[] = { &kind_thing };

struct asker {
    struct confirm_wait wait;
    int told; /* -1: not yet */
};

/* A store that takes transactions and answers none by itself. */
struct slow {
    struct store base;
    struct {
        txn_done_fn *done;
        void *arg;
    } sent[FLIGHTS];
    size_t n_sent, n_answered;
};

struct fixture {
    struct slow slow;
    struct store *memory; /* what the cache follows */
    struct cache *cache;
    struct confirm *c;
    struct env env;
    int64_t time;
    struct asker askers[ASKERS];
    size_t n;
};

static void slow_submit(struct store *s, struct txn *t, txn_done_fn *done,
                        void *arg)
{
    struct slow *slow = container_of(s, struct slow, base);
    assert_true(txn_empty(t));
    assert_true(slow->n_sent < FLIGHTS);
    slow->sent[slow->n_sent].done = done;
    slow->sent[slow->n_sent++].arg = arg;
}

/* Answers the oldest that is not. */
static void store_says(struct fixture *f, enum txn_status status,
                       int64_t revision)
{
    struct txn_result r = { .status = status, .revision = revision };
    size_t i = f->slow.n_answered++;
    assert_true(i < f->slow.n_sent);
    f->slow.sent[i].done(f->slow.sent[i].arg, &r);
}

static void told(struct confirm_wait *w, bool current)
{
    struct asker *a = container_of(w, struct asker, wait);
    assert_int_equal(a->told, -1);
    a->told = current;
}

static struct asker *ask(struct fixture *f)
{
    assert_true(f->n < ASKERS);
    struct asker *a = &f->askers[f->n++];
    *a = (struct asker){ .wait = { .fn = told }, .told = -1 };
    confirm_ask(f->c, &a->wait);
    return a;
}

/* Somebody writes: the cache hears of it. */
static void write_one(struct fixture *f)
{
    _autotxn_ struct txn t = TXN_INIT;
    txn_put(&t, "thing/x", "{}", 2);
    assert_true(store_commit(f->memory, &t, NULL));
}

static int64_t now_is(void *self)
{
    return ((struct fixture *)self)->time;
}

static void pass(struct fixture *f, int64_t us)
{
    f->time += us;
    confirm_tick(f->c);
}

static int setup(void **state)
{
    static const struct store_ops ops = { .submit = slow_submit };
    struct fixture *f = xcalloc(1, sizeof(*f));
    struct error err;
    f->slow.base.ops = &ops;
    f->env = (struct env){ f, now_is, now_is, NULL };
    f->time = SECOND_US;
    f->memory = store_memory_open(&f->env);
    f->cache = cache_new(kinds, 1);
    assert_true(cache_follow(f->cache, f->memory, &err));
    f->c = confirm_new(&f->slow.base, f->cache, &f->env);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    cache_unfollow(f->cache);
    store_close(f->memory);
    confirm_free(f->c);
    cache_free(f->cache);
    free(f);
    return 0;
}

static void the_cache_must_have_what_the_store_says(void **state)
{
    struct fixture *f = *state;
    int64_t now = cache_revision(f->cache);
    struct asker *a = ask(f);
    store_says(f, TXN_COMMITTED, now + 2);
    assert_int_equal(a->told, -1);
    write_one(f);
    assert_int_equal(a->told, -1);
    write_one(f);
    assert_int_equal(a->told, true);
    struct asker *b = ask(f);
    store_says(f, TXN_COMMITTED, now + 2); /* it has that already */
    assert_int_equal(b->told, true);
}

/* Who comes while a transaction is on its way must not use its answer: it may
 * have been made before what he knows of was written. */
static void who_comes_meanwhile_shares_the_next(void **state)
{
    struct fixture *f = *state;
    struct asker *first = ask(f), *late[3];
    for (int i = 0; i < 3; i++)
        late[i] = ask(f);
    assert_int_equal(f->slow.n_sent, 1);
    store_says(f, TXN_COMMITTED, 0);
    assert_int_equal(first->told, true);
    assert_int_equal(f->slow.n_sent, 2);
    for (int i = 0; i < 3; i++)
        assert_int_equal(late[i]->told, -1);
    store_says(f, TXN_COMMITTED, 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(late[i]->told, true);
    assert_int_equal(f->slow.n_sent, 2); /* nobody waits: nothing is asked */
    assert_int_equal(confirm_due(f->c), INT64_MAX);
}

static void a_late_answer_gets_another_beside_it(void **state)
{
    struct fixture *f = *state;
    struct asker *a = ask(f), *b = ask(f);
    pass(f, CONFIRM_AGAIN_US - 1);
    assert_int_equal(f->slow.n_sent, 1);
    pass(f, 1);
    assert_int_equal(f->slow.n_sent, 2);
    f->slow.n_answered = 1; /* the second comes first, and is good for both */
    store_says(f, TXN_COMMITTED, 0);
    assert_int_equal(a->told, true);
    assert_int_equal(b->told, true);
    struct asker *c = ask(f);
    f->slow.n_answered = 0; /* the first was sent before c came */
    store_says(f, TXN_COMMITTED, 0);
    assert_int_equal(c->told, -1);
    f->slow.n_answered = 2;
    store_says(f, TXN_COMMITTED, 0);
    assert_int_equal(c->told, true);
}

static void a_failure_is_no_answer(void **state)
{
    static const enum txn_status bad[] = { TXN_FAILED, TXN_UNKNOWN,
                                           TXN_CONFLICT };
    struct fixture *f = *state;
    struct asker *a = ask(f);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        store_says(f, bad[i], 0);
        assert_int_equal(a->told, -1);
        assert_int_equal(f->slow.n_sent, i + 1);
        assert_true(confirm_due(f->c) <= f->time);
        pass(f, 1);
        assert_int_equal(f->slow.n_sent, i + 2);
    }
    store_says(f, TXN_COMMITTED, 0);
    assert_int_equal(a->told, true);
}

static void patience_ends_once_for_all(void **state)
{
    struct fixture *f = *state;
    struct asker *a = ask(f);
    f->time += CONFIRM_PATIENCE_US / 2;
    struct asker *b = ask(f);
    f->time += CONFIRM_PATIENCE_US / 2 - 1;
    confirm_tick(f->c);
    assert_int_equal(a->told, -1);
    pass(f, 1);
    assert_int_equal(a->told, false);
    assert_int_equal(b->told, false);
    assert_int_equal(ask(f)->told, false); /* at once */
    assert_int_equal(confirm_age(f->c), CONFIRM_PATIENCE_US);
    size_t sent = f->slow.n_sent;
    pass(f, CONFIRM_AGAIN_US); /* the store is asked all the same */
    assert_int_equal(f->slow.n_sent, sent + 1);
    f->slow.n_answered = sent;
    store_says(f, TXN_COMMITTED, 0);
    assert_int_equal(confirm_age(f->c), 0);
    struct asker *c = ask(f); /* old ones are on their way still */
    assert_int_equal(f->slow.n_sent, sent + 1);
    pass(f, CONFIRM_AGAIN_US);
    store_says(f, TXN_COMMITTED, 0);
    assert_int_equal(c->told, true);
}

static void not_more_than_so_many_are_on_their_way(void **state)
{
    struct fixture *f = *state;
    ask(f);
    for (int i = 0; i < 3 * CONFIRM_FLIGHTS_MAX; i++)
        pass(f, CONFIRM_AGAIN_US);
    assert_int_equal(f->slow.n_sent, CONFIRM_FLIGHTS_MAX);
    assert_int_equal(confirm_due(f->c), INT64_MAX);
    store_says(f, TXN_UNKNOWN, 0);
    pass(f, 1);
    assert_int_equal(f->slow.n_sent, CONFIRM_FLIGHTS_MAX + 1);
}

static void cancelled(void **state)
{
    struct fixture *f = *state;
    struct asker *a = ask(f);
    confirm_cancel(f->c);
    assert_int_equal(a->told, false);
    assert_int_equal(ask(f)->told, false);
    pass(f, CONFIRM_PATIENCE_US);
    assert_int_equal(f->slow.n_sent, 1);
    store_says(f, TXN_COMMITTED, 1000); /* the cache will never have that */
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(the_cache_must_have_what_the_store_says),
        T(who_comes_meanwhile_shares_the_next),
        T(a_late_answer_gets_another_beside_it),
        T(a_failure_is_no_answer),
        T(patience_ends_once_for_all),
        T(not_more_than_so_many_are_on_their_way),
        T(cancelled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
