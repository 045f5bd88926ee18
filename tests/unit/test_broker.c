/* broker: who makes the networks anew. */
#include "test.h"

#include "common/alloc.h"
#include "daemon/broker.h"
#include "model/model.h"

#include <stdio.h>
#include <string.h>

/* ---- networks that only remember ----------------------------------------- */

static bool leads; /* h2, the other node */
static unsigned rebuilt;

static bool apply(struct net_driver *d, const struct snapshot *s,
                  struct error *err)
{
    return true;
}

static bool rebuild(struct net_driver *d, const struct snapshot *s,
                    struct error *err)
{
    rebuilt++;
    return true;
}

static enum port_state port_state(struct net_driver *d, const char *id)
{
    return PORT_UNKNOWN;
}

static void watch(struct net_driver *d, void (*fn)(void *), void *arg)
{
}

static bool writes(struct net_driver *d)
{
    return leads;
}

static const struct network_ops ops = { .apply = apply,
                                        .rebuild = rebuild,
                                        .port_state = port_state,
                                        .watch = watch,
                                        .writes = writes };

/* ---- two nodes ----------------------------------------------------------- */

static struct broker h1, h2;
static const char *leader; /* as h1 has heard */

static char *who_leads(void *arg)
{
    return leader ? xstrdup(leader) : NULL;
}

static bool ask(void *arg, const char *node, const char *op, const char *json,
                struct buf *out, struct error *err)
{
    assert_string_equal(node, "h2");
    return broker_answer(&h2, op, json, out, err);
}

static bool asks(struct error *err)
{
    int fd = -1;
    struct buf out = BUF_INIT(1024);
    *err = (struct error){ 0 };
    bool ok = broker_call(&h1, "network.rebuild", NULL, &out, &fd, err);
    buf_free(&out);
    return ok;
}

static void test_rebuild(void **state)
{
    struct error err;
    struct net_driver driver = { &ops };
    struct store *store = store_memory_open(&env_system);
    struct cache *cache = cache_new(model_kinds, N_KINDS);
    struct net_reconcile *n =
        net_reconcile_new(cache, store, &driver, &env_system, 0);
    h1 = (struct broker){ .node = "h1", .ask = ask, .leader = who_leads };
    h2 = (struct broker){ .node = "h2", .networks = n };
    assert_true(cache_follow(cache, store, &err));
    assert_false(asks(&err)); /* nobody leads */
    assert_int_equal(err.code, ERR_UNAVAILABLE);
    leader = "h2"; /* it did, a moment ago */
    assert_false(asks(&err));
    assert_int_equal(err.code, ERR_UNAVAILABLE);
    leads = true;
    assert_true(asks(&err));
    while (reconciler_step(net_reconcile_queue(n), 0))
        ;
    assert_int_equal(rebuilt, 1);
    cache_unfollow(cache);
    net_reconcile_free(n);
    cache_free(cache);
    store_close(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_rebuild) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
