/* quarantine: what a node does with its guests when it may be out. */
#include "server_world.h"

#include "compute/quarantine.h"

#include <stdlib.h>

/* ---- the decision -------------------------------------------------------- */

static void test_decision(void **state)
{
    static const struct {
        struct self_view v;
        enum self_what what;
    } rows[] = {
        { { .term = 7, .revision = 7 }, SELF_RUN },
        { { .term = 7, .revision = 6 }, SELF_HOLD }, /* the cache lags */
        { { .term = 0, .lost = 1, .reaches = false }, SELF_STOP },
        { { .term = 0, .lost = 1, .reaches = true }, SELF_HOLD },
        { { .term = 0, .lost = 9 * SECOND_US }, SELF_HOLD }, /* too early */
        { { HEALTH_FENCING, 3, 2, 7, 7 }, SELF_CLEAN },
        { { HEALTH_FENCED, 3, 2, 0, 7, 1 }, SELF_CLEAN },
        { { HEALTH_FENCED, 3, 3, 7, 7 }, SELF_HOLD }, /* clean, not admitted */
        { { HEALTH_QUARANTINED, 3, 3, 7, 7 }, SELF_HOLD },
        { { HEALTH_UP, 3, 2, 7, 7 }, SELF_RUN },
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        enum self_what got = quarantine_next(&rows[i].v, 10 * SECOND_US);
        if (got != rows[i].what)
            fail_msg("row %zu: %d instead of %d", i, got, rows[i].what);
    }
}

/* ---- a hypervisor with three domains ------------------------------------- */

#define N_DOMAINS 3

static struct domain {
    const char *id;
    enum domain_state state;
    const char *path;
    bool stuck;
} domains[N_DOMAINS];

static struct domain *domain_of(const char *id)
{
    for (size_t i = 0; i < N_DOMAINS; i++)
        if (domains[i].id && strcmp(domains[i].id, id) == 0)
            return &domains[i];
    return NULL;
}

static bool deaf; /* nothing is heard of it but by kill_stale */

static bool hv_list(struct hypervisor *h, domain_seen_fn *fn, void *arg,
                    struct error *err)
{
    if (deaf)
        return error_set(err, ERR_TIMEOUT, "it does not answer");
    for (size_t i = 0; i < N_DOMAINS; i++)
        if (domains[i].id && domains[i].state != DOMAIN_ABSENT)
            fn(arg, domains[i].id, domains[i].state);
    return true;
}

static bool hv_info(struct hypervisor *h, const char *id,
                    struct domain_info *info, struct error *err)
{
    const struct domain *d = domain_of(id);
    *info = (struct domain_info){ .state = d ? d->state : DOMAIN_ABSENT };
    if (!d || d->state == DOMAIN_ABSENT)
        return true;
    info->n_disks = 1;
    snprintf(info->disks[0], sizeof(info->disks[0]), "vda");
    snprintf(info->paths[0], sizeof(info->paths[0]), "%s", d->path);
    return true;
}

static bool hv_destroy(struct hypervisor *h, const char *id, struct error *err)
{
    struct domain *d = domain_of(id);
    if (d->stuck)
        return error_set(err, ERR_TIMEOUT, "it does not die");
    d->state = DOMAIN_OFF;
    return true;
}

static bool hv_undefine(struct hypervisor *h, const char *id, struct error *err)
{
    domain_of(id)->state = DOMAIN_ABSENT;
    return true;
}

static void hv_kill_stale(struct hypervisor *h,
                          bool (*stale)(void *arg, const char *id, bool shared),
                          void *arg)
{
    for (size_t i = 0; i < N_DOMAINS; i++) {
        struct domain *d = &domains[i];
        if (d->id && (d->state == DOMAIN_RUNNING || d->state == DOMAIN_PAUSED))
            if (stale(arg, d->id, d->path[0] != '/') && !d->stuck)
                d->state = DOMAIN_OFF;
    }
}

static const struct hypervisor_ops hv_ops = {
    .list = hv_list,
    .info = hv_info,
    .destroy = hv_destroy,
    .undefine = hv_undefine,
    .kill_stale = hv_kill_stale,
};
static struct hypervisor hv = { &hv_ops };

/* ---- the world ----------------------------------------------------------- */

#define OURS   "00000000-0000-4000-8000-00000000000a"
#define LOCAL  "00000000-0000-4000-8000-00000000000b"
#define THEIRS "00000000-0000-4000-8000-00000000000c"
#define RBD    "rbd:cairn/x"

static struct {
    int64_t term;
    bool reaches, storage;
    int64_t asking; /* what an answer takes, us */
    unsigned opened;
} it;

static int64_t term(void *arg)
{
    return it.term;
}
static bool reaches(void *arg)
{
    world_time += it.asking;
    return it.reaches;
}
static bool probe(void *arg)
{
    return it.storage;
}
static void opened(void *arg)
{
    it.opened++;
}

static struct quarantine *q;

static void put_server(const char *id, const char *node)
{
    struct server *s = record_new(&kind_server, id);
    s->name = rec_str(s, id);
    s->node = rec_str(s, node);
    s->vm_state = VM_ACTIVE;
    world_put(s);
}

static void start(bool booted)
{
    world_open();
    struct quarantine_config c = { .store = world_store,
                                   .cache = world_cache,
                                   .hypervisor = &hv,
                                   .env = &world_env,
                                   .node = "node1",
                                   .term = term,
                                   .reaches = reaches,
                                   .probe = probe,
                                   .opened = opened };
    q = quarantine_new(&c);
    world_follow();
    world_put(record_new(&kind_node, "node1"));
    put_server(OURS, "node1");
    put_server(LOCAL, "node1");
    put_server(THEIRS, "node2");
    memset(&it, 0, sizeof(it));
    it.storage = true;
    it.term = 1;
    quarantine_start(q, booted);
}

static int setup(void **state)
{
    static const struct domain three[N_DOMAINS] = {
        { OURS, DOMAIN_RUNNING, RBD },
        { LOCAL, DOMAIN_RUNNING, "/disks/x.qcow2" },
        { THEIRS, DOMAIN_PAUSED, RBD },
    };
    memcpy(domains, three, sizeof(domains));
    deaf = false;
    start(false);
    return 0;
}

static int teardown(void **state)
{
    cache_unfollow(world_cache);
    quarantine_free(q);
    cache_free(world_cache);
    store_close(world_store);
    return 0;
}

/* Seconds go by. */
static void pass_time(double seconds)
{
    int64_t until = world_time + (int64_t)(seconds * SECOND_US);
    while (world_time < until) {
        while (reconciler_step(quarantine_queue(q), 0))
            ;
        world_time += SECOND_US / 20;
    }
}

static bool may_come_in(void)
{
    if (!quarantine_enter(q))
        return false;
    quarantine_leave(q);
    return true;
}

static void fence_node(int health, int64_t fence)
{
    struct node *n = world_edit(&kind_node, "node1");
    n->health = health;
    n->fence = fence;
    world_put(n);
}

static int64_t cleaned(void)
{
    _autorecord_ const struct node *n = world_get(&kind_node, "node1");
    return n->cleaned;
}

/* ---- tests --------------------------------------------------------------- */

static void test_opens(void **state)
{
    assert_false(may_come_in());
    it.term = 0;
    pass_time(1);
    assert_false(may_come_in());
    it.term = cache_revision(world_cache) + 1; /* taken, not yet seen here */
    pass_time(1);
    assert_false(may_come_in());
    it.term--;
    pass_time(1);
    assert_true(may_come_in());
    assert_int_equal(it.opened, 1);
}

static void test_cut_off(void **state)
{
    pass_time(1);
    it.term = 0;
    pass_time(1.5);
    assert_false(may_come_in());
    assert_int_equal(domain_of(OURS)->state, DOMAIN_RUNNING);
    pass_time(1.5);
    assert_int_equal(domain_of(OURS)->state, DOMAIN_OFF);
    assert_int_equal(domain_of(THEIRS)->state, DOMAIN_OFF);
    assert_int_equal(domain_of(LOCAL)->state, DOMAIN_RUNNING);
    /* It was an error, nobody has fenced it: they start again. */
    it.term = cache_revision(world_cache);
    pass_time(1);
    assert_true(may_come_in());
    _autorecord_ const struct server *s = world_get(&kind_server, OURS);
    assert_int_equal(s->vm_state, VM_STOPPED);
    assert_int_equal(s->task_state, TASK_POWERING_ON);
    assert_int_equal(s->generation, 1);
    _autorecord_ const struct server *l = world_get(&kind_server, LOCAL);
    assert_int_equal(l->generation, 0);
    _autorecord_ const struct server *t = world_get(&kind_server, THEIRS);
    assert_int_equal(t->generation, 0);
}

/* Asking the others takes its time: that is over when it counts. */
static void test_cut_off_in_time(void **state)
{
    pass_time(1);
    it.term = 0;
    it.asking = SECOND_US * 7 / 10;
    pass_time(QUARANTINE_PASS_US / 1e6); /* it notices */
    int64_t since = world_time;
    while (domain_of(OURS)->state == DOMAIN_RUNNING)
        pass_time(0.05);
    assert_in_range(world_time - since, QUARANTINE_STOP_US - SECOND_US / 2,
                    QUARANTINE_STOP_US + SECOND_US / 10);
    assert_int_equal(domain_of(THEIRS)->state, DOMAIN_OFF);
}

/* ... and libvirt is not needed for it. */
static void test_cut_off_without_libvirt(void **state)
{
    pass_time(1);
    it.term = 0;
    deaf = true;
    pass_time(3);
    assert_int_equal(domain_of(OURS)->state, DOMAIN_OFF);
    assert_int_equal(domain_of(THEIRS)->state, DOMAIN_OFF);
    assert_int_equal(domain_of(LOCAL)->state, DOMAIN_RUNNING);
    deaf = false;
    it.term = cache_revision(world_cache);
    pass_time(1);
    _autorecord_ const struct server *s = world_get(&kind_server, OURS);
    assert_int_equal(s->task_state, TASK_POWERING_ON);
}

/* The pool's state is down, the pool is not. */
static void test_not_cut_off(void **state)
{
    pass_time(1);
    it.term = 0;
    it.reaches = true;
    pass_time(60);
    assert_false(may_come_in());
    assert_int_equal(domain_of(OURS)->state, DOMAIN_RUNNING);
}

static void test_cleans(void **state)
{
    pass_time(1);
    fence_node(HEALTH_FENCING, 1);
    pass_time(1);
    assert_false(may_come_in());
    assert_int_equal(domain_of(OURS)->state, DOMAIN_ABSENT);
    assert_int_equal(domain_of(LOCAL)->state, DOMAIN_RUNNING);
    assert_int_equal(domain_of(THEIRS)->state, DOMAIN_ABSENT);
    assert_int_equal(cleaned(), 1);
    fence_node(HEALTH_QUARANTINED, 1);
    pass_time(1);
    assert_false(may_come_in());
    fence_node(HEALTH_UP, 1);
    pass_time(1);
    assert_true(may_come_in());
    assert_int_equal(it.opened, 2);
}

/* None of them runs while libvirt does not answer, and it says so later. */
static void test_cleans_without_libvirt(void **state)
{
    pass_time(1);
    deaf = true;
    fence_node(HEALTH_FENCED, 1);
    pass_time(0.1);
    assert_int_equal(domain_of(OURS)->state, DOMAIN_OFF);
    assert_int_equal(domain_of(THEIRS)->state, DOMAIN_OFF);
    assert_int_equal(domain_of(LOCAL)->state, DOMAIN_RUNNING);
    pass_time(1);
    assert_int_equal(cleaned(), 0);
    deaf = false;
    pass_time(1);
    assert_int_equal(cleaned(), 1);
    assert_int_equal(domain_of(THEIRS)->state, DOMAIN_ABSENT);
}

/* Its memory is nowhere else. */
static void test_keeps_what_is_saved(void **state)
{
    pass_time(1);
    domain_of(OURS)->state = DOMAIN_SAVED;
    fence_node(HEALTH_FENCING, 1);
    pass_time(1);
    assert_int_equal(cleaned(), 1);
    assert_int_not_equal(domain_of(OURS)->state, DOMAIN_ABSENT);
}

static void test_not_clean(void **state)
{
    pass_time(1);
    domain_of(THEIRS)->stuck = true;
    fence_node(HEALTH_FENCED, 4);
    pass_time(5);
    assert_int_equal(cleaned(), 0);
    assert_int_equal(domain_of(OURS)->state, DOMAIN_ABSENT);
    domain_of(THEIRS)->stuck = false;
    pass_time(1);
    assert_int_equal(cleaned(), 4);
}

/* Somebody is in the middle of starting a guest. */
static void test_waits_for_those_inside(void **state)
{
    pass_time(1);
    assert_true(quarantine_enter(q));
    fence_node(HEALTH_FENCING, 1);
    pass_time(1);
    domain_of(OURS)->state = DOMAIN_RUNNING; /* started late */
    assert_int_equal(cleaned(), 0);
    quarantine_leave(q);
    pass_time(1);
    assert_int_equal(cleaned(), 1);
    assert_int_equal(domain_of(OURS)->state, DOMAIN_ABSENT);
}

static void test_machine_has_booted(void **state)
{
    teardown(NULL);
    domain_of(OURS)->state = DOMAIN_OFF;
    domain_of(LOCAL)->state = DOMAIN_OFF;
    start(true);
    struct server *off = world_edit(&kind_server, LOCAL);
    off->goal = GOAL_STOPPED;
    off->vm_state = VM_STOPPED;
    world_put(off);
    pass_time(1);
    assert_true(may_come_in());
    _autorecord_ const struct server *s = world_get(&kind_server, OURS);
    assert_int_equal(s->task_state, TASK_POWERING_ON);
    _autorecord_ const struct server *l = world_get(&kind_server, LOCAL);
    assert_int_equal(l->task_state, TASK_NONE);
}

static void test_storage(void **state)
{
    it.storage = false;
    pass_time(1.5);
    _autorecord_ const struct node *n = world_get(&kind_node, "node1");
    assert_int_equal(n->storage_lost, 0);
    pass_time(3);
    _autorecord_ const struct node *lost = world_get(&kind_node, "node1");
    assert_int_not_equal(lost->storage_lost, 0);
    it.storage = true;
    pass_time(3);
    _autorecord_ const struct node *back = world_get(&kind_node, "node1");
    assert_int_equal(back->storage_lost, 0);
}

#define WORLD(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decision),
        WORLD(test_opens),
        WORLD(test_cut_off),
        WORLD(test_cut_off_in_time),
        WORLD(test_cut_off_without_libvirt),
        WORLD(test_not_cut_off),
        WORLD(test_cleans),
        WORLD(test_cleans_without_libvirt),
        WORLD(test_keeps_what_is_saved),
        WORLD(test_not_clean),
        WORLD(test_waits_for_those_inside),
        WORLD(test_machine_has_booted),
        WORLD(test_storage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
