/* net_reconcile: what is written back, and when anything is done at all. */
#include "network/net_reconcile.h"

#include "net_world.h"

/* A driver that only remembers. */
struct fake {
    struct net_driver driver;
    int applied, rebuilt;
    bool follows; /* another node writes */
    enum port_state vm;
    struct error fail;
    void (*changed)(void *arg);
    void *arg;
};

static struct fake *fake_of(struct net_driver *d)
{
    return container_of(d, struct fake, driver);
}

static bool fake_apply(struct net_driver *d, const struct snapshot *s,
                       struct error *err)
{
    struct fake *f = fake_of(d);
    f->applied++;
    error_copy(err, &f->fail);
    return !f->fail.code;
}

static bool fake_rebuild(struct net_driver *d, const struct snapshot *s,
                         struct error *err)
{
    fake_of(d)->rebuilt++;
    return fake_apply(d, s, err);
}

static enum port_state fake_port_state(struct net_driver *d, const char *id)
{
    return strcmp(id, "vm") ? PORT_DOWN : fake_of(d)->vm;
}

static void fake_watch(struct net_driver *d, void (*fn)(void *), void *arg)
{
    fake_of(d)->changed = fn;
    fake_of(d)->arg = arg;
}

static void fake_close(struct net_driver *d)
{
}

static bool fake_writes(struct net_driver *d)
{
    return !fake_of(d)->follows;
}

static const struct network_ops fake_ops = { fake_apply,      fake_rebuild,
                                             fake_port_state, fake_watch,
                                             fake_close,      fake_writes };

/* ---- a world with a clock that stands still ---------------------------- */

static int64_t clock_us;

static int64_t clock_now(void *self)
{
    return clock_us;
}

static void zeros(void *self, void *out, size_t len)
{
    memset(out, 0, len);
}

static const struct env env = { NULL, clock_now, clock_now, zeros };

struct scene {
    struct world w;
    struct fake fake;
    struct net_reconcile *n;
};

static void scene_open(struct scene *s)
{
    clock_us = 1000 * SECOND_US;
    *s = (struct scene){ .w = world_new() };
    s->fake.driver.ops = &fake_ops;
    s->fake.vm = PORT_DOWN;
    s->n = net_reconcile_new(s->w.cache, s->w.store, &s->fake.driver, &env, 0);
    world_external(&s->w);
    world_project(&s->w);
    world_router(&s->w);
    world_group(&s->w);
    world_follow(&s->w);
    net_reconcile_start(s->n);
}

static void scene_close(struct scene *s)
{
    cache_unfollow(s->w.cache);
    net_reconcile_free(s->n);
    cache_free(s->w.cache);
    store_close(s->w.store);
}

/* Runs what is due now. */
static void settle(struct scene *s)
{
    for (int i = 0; i < 100; i++)
        if (!reconciler_step(net_reconcile_queue(s->n), 0))
            return;
    fail_msg("it does not come to rest");
}

static int status(struct scene *s, const struct kind *kind, const char *id)
{
    _autosnap_ struct snapshot *snap = cache_snapshot(s->w.cache);
    const void *r = snap_get(snap, kind, id);
    assert_non_null(r);
    return *(const int *)((const char *)r +
                          schema_field(&kind->schema, "status")->offset);
}

static void test_status(void **state)
{
    struct scene s;
    scene_open(&s);
    settle(&s);
    assert_int_equal(s.fake.applied, 1);
    assert_int_equal(status(&s, &kind_network, "net"), NET_ACTIVE);
    assert_int_equal(status(&s, &kind_router, "router"), NET_ACTIVE);
    assert_int_equal(status(&s, &kind_floating_ip, "fip"), NET_ACTIVE);
    assert_int_equal(status(&s, &kind_port, "if"), NET_ACTIVE);
    assert_int_equal(status(&s, &kind_port, "meta"), NET_ACTIVE);
    assert_int_equal(status(&s, &kind_port, "vm"), NET_DOWN);
    s.fake.vm = PORT_UP;
    s.fake.changed(s.fake.arg);
    settle(&s);
    assert_int_equal(status(&s, &kind_port, "vm"), NET_ACTIVE);
    /* Who cannot see does not say that it went down. */
    s.fake.vm = PORT_UNKNOWN;
    s.fake.changed(s.fake.arg);
    settle(&s);
    assert_int_equal(status(&s, &kind_port, "vm"), NET_ACTIVE);
    s.fake.vm = PORT_ABSENT;
    s.fake.changed(s.fake.arg);
    settle(&s);
    assert_int_equal(status(&s, &kind_port, "vm"), NET_DOWN);
    scene_close(&s);
}

/* A change is one application; its own writing back is none. */
static void test_when(void **state)
{
    struct scene s;
    scene_open(&s);
    settle(&s);
    settle(&s);
    assert_int_equal(s.fake.applied, 1);
    for (int i = 0; i < 5; i++) {
        struct port *p = world_edit(&s.w, &kind_port, "vm");
        p->name = rec_strf(p, "name %d", i);
        world_put(&s.w, p);
    }
    settle(&s);
    assert_int_equal(s.fake.applied, 2);
    /* Other people's records are no reason. */
    world_put(&s.w, record_new(&kind_volume, "v"));
    settle(&s);
    assert_int_equal(s.fake.applied, 2);
    world_delete(&s.w, &kind_floating_ip, "fip");
    settle(&s);
    assert_int_equal(s.fake.applied, 3);
    clock_us += NET_AUDIT_US - SECOND_US;
    settle(&s);
    assert_int_equal(s.fake.applied, 3);
    clock_us += SECOND_US;
    settle(&s);
    assert_int_equal(s.fake.applied, 4);
    scene_close(&s);
}

/* Failing: nothing is said to work, and it tries again. */
static void test_failing(void **state)
{
    struct scene s;
    scene_open(&s);
    error_set(&s.fake.fail, ERR_UNAVAILABLE, "not yet");
    settle(&s);
    assert_int_equal(s.fake.applied, 1);
    assert_int_equal(status(&s, &kind_network, "net"), NET_DOWN);
    error_clear(&s.fake.fail);
    clock_us += SECOND_US;
    settle(&s);
    assert_int_equal(s.fake.applied, 2);
    assert_int_equal(status(&s, &kind_network, "net"), NET_ACTIVE);
    scene_close(&s);
}

/* Nor when it is only being started; that is no failure, though. */
static void test_not_there_yet(void **state)
{
    struct scene s;
    scene_open(&s);
    error_set(&s.fake.fail, ERR_BUSY, "being started");
    settle(&s);
    assert_int_equal(s.fake.applied, 1);
    assert_int_equal(status(&s, &kind_network, "net"), NET_DOWN);
    assert_int_equal(reconciler_stats(net_reconcile_queue(s.n)).retries, 0);
    error_clear(&s.fake.fail);
    clock_us += SECOND_US;
    settle(&s);
    assert_int_equal(status(&s, &kind_network, "net"), NET_ACTIVE);
    scene_close(&s);
}

/* Asked for once it is done once, also when the first try fails. */
static void test_rebuild(void **state)
{
    struct scene s;
    scene_open(&s);
    settle(&s);
    error_set(&s.fake.fail, ERR_UNAVAILABLE, "not now");
    assert_true(net_reconcile_rebuild(s.n));
    settle(&s);
    assert_int_equal(s.fake.rebuilt, 1);
    error_clear(&s.fake.fail);
    clock_us += SECOND_US;
    settle(&s);
    assert_int_equal(s.fake.rebuilt, 2);
    clock_us += NET_AUDIT_US;
    settle(&s);
    assert_int_equal(s.fake.rebuilt, 2);
    scene_close(&s);
}

/* Who does not write the networks does not say that they work, and makes none
 * anew: not later either, when it leads. */
static void test_follows(void **state)
{
    struct scene s;
    scene_open(&s);
    s.fake.follows = true;
    settle(&s);
    assert_int_equal(s.fake.applied, 1);
    assert_int_equal(status(&s, &kind_network, "net"), NET_DOWN);
    assert_int_equal(status(&s, &kind_floating_ip, "fip"), NET_DOWN);
    assert_false(net_reconcile_rebuild(s.n));
    s.fake.follows = false;
    net_reconcile_start(s.n);
    settle(&s);
    assert_int_equal(s.fake.rebuilt, 0);
    assert_int_equal(status(&s, &kind_network, "net"), NET_ACTIVE);
    assert_int_equal(status(&s, &kind_floating_ip, "fip"), NET_ACTIVE);
    scene_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_status),  cmocka_unit_test(test_when),
        cmocka_unit_test(test_failing), cmocka_unit_test(test_not_there_yet),
        cmocka_unit_test(test_rebuild), cmocka_unit_test(test_follows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
