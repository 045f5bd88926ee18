/* The simulation itself: a seed is a run, and what is broken is seen. */
#include "test.h"

#include "model/compute.h"
#include "model/network.h"
#include "model/pool.h"
#include "sim/core.h"
#include "sim/files.h"
#include "sim/guests.h"
#include "sim/invariants.h"
#include "sim/run.h"
#include "sim/sim_fence.h"
#include "sim/sim_hypervisor.h"
#include "sim/sim_store.h"

#include "common/log.h"

#include <string.h>

static const struct run_options quick = { .steps = 300, .nodes = 1 };

static uint64_t hash_of(uint64_t seed)
{
    struct world_stats stats = { 0 };
    uint64_t hash;
    assert_true(run_seed(seed, &quick, &stats, &hash));
    assert_true(stats.calls > 10 && stats.commits > 10);
    return hash;
}

static void same_seed_same_run(void **state)
{
    uint64_t first = hash_of(7);
    assert_true(first != hash_of(8));
    assert_true(first == hash_of(7));
}

static void same_seed_same_pool(void **state)
{
    static const struct run_options pool = { .steps = 300, .nodes = 3 };
    struct world_stats stats = { 0 };
    uint64_t first, again;
    assert_true(run_seed(3, &pool, &stats, &first));
    assert_true(run_seed(3, &pool, &stats, &again));
    assert_true(first == again);
}

/* ---- what is broken is seen ------------------------------------------------
 */

static struct world *w;

static int setup(void **state)
{
    w = world_new(5, 1, false, false);
    world_calm(w, 2 * SECOND_US);
    check_quiet(w);
    assert_false(w->broken);
    return 0;
}

static int teardown(void **state)
{
    world_free(w);
    return 0;
}

static void put(void *draft)
{
    struct txn t = TXN_INIT;
    struct txn_result result;
    txn_put_record(&t, draft);
    assert_true(store_commit(w->store, &t, &result));
    record_unref(draft);
}

static void assert_broken(const char *what)
{
    if (!w->broken)
        fail_msg("nobody saw: %s", what);
    if (!strstr(w->what, what))
        fail_msg("\"%s\" is not \"%s\"", w->what, what);
}

/* A port with no claims. */
static void put_port(const char *address)
{
    _autosnap_ struct snapshot *s = cache_snapshot(w->truth);
    struct snap_iter it = snap_all(s, &kind_subnet);
    const struct subnet *sub = snap_next(&it);
    struct port *p =
        record_new(&kind_port, "33333333-0000-4000-8000-000000000001");
    p->network_id = rec_str(p, sub->network_id);
    p->mac_address = "fa:16:3e:00:00:01";
    struct fixed_ip *ip = list_add(p, &p->fixed_ips, sizeof(*ip));
    ip->subnet_id = rec_str(p, sub->rec.id);
    ip->ip_address = rec_str(p, address);
    put(p);
}

static void address_without_claim(void **state)
{
    put_port("203.0.113.9");
    check_step(w);
    assert_broken("no address twice");
}

static void claim_without_owner(void **state)
{
    struct claim *c = record_new(&kind_claim, "ip/s/10.0.0.1");
    c->owner = "port/gone";
    put(c);
    check_step(w);
    assert_broken("claims: ip/s/10.0.0.1 is held by port/gone");
}

static void quota_drift(void **state)
{
    struct usage *u = record_new(&kind_usage, "compute/somebody");
    amount_set(u, &u->amounts, "cores", 3);
    put(u);
    check_step(w);
    assert_broken("no quota drift");
}

static void reference_to_nothing(void **state)
{
    struct security_group_rule *r =
        record_new(&kind_security_group_rule, "rule");
    r->security_group_id = "gone";
    put(r);
    check_step(w);
    assert_broken("no lost record");
}

static void active_without_domain(void **state)
{
    struct server *s =
        record_new(&kind_server, "44444444-0000-4000-8000-000000000001");
    s->node = "node1";
    s->vm_state = VM_ACTIVE;
    put(s);
    check_quiet(w);
    assert_broken("is active, its domain is in state -1");
}

static void domain_without_server(void **state)
{
    struct hypervisor *h = sim_hypervisor_open(w->nodes[0].guests);
    struct domain_spec spec = { .id = "55555555-0000-4000-8000-000000000001" };
    assert_true(h->ops->define_start(h, &spec, NULL));
    h->ops->close(h);
    check_quiet(w);
    assert_broken("has no server");
}

static void leaked_file(void **state)
{
    files_upload(w->files, &w->nodes[0], "nobodys", 1, UPLOAD_GOOD);
    check_quiet(w);
    assert_false(w->broken); /* somebody may be about to name it */
    w->time += 3 * 3600 * SECOND_US;
    check_quiet(w);
    assert_broken("upload nobodys leaks");
}

/* ---- crashes
 * ------------------------------------------------------------------- */

static void the_dead_do_nothing(void **state)
{
    struct error err;
    struct hypervisor *h = sim_hypervisor_open(w->nodes[0].guests);
    struct domain_spec spec = { .id = "55555555-0000-4000-8000-000000000001" };
    struct sim_end *end = sim_end_open(&w->nodes[0], "test", true);
    struct claim *c = record_new(&kind_claim, "x");
    struct txn t = TXN_INIT;
    struct txn_result result;
    txn_put_record(&t, c);
    record_unref(c);
    w->nodes[0].core_dying = true;
    assert_false(h->ops->define_start(h, &spec, &err));
    assert_false(store_commit(sim_end_store(end), &t, &result));
    assert_int_equal(result.status, TXN_UNKNOWN);
    w->nodes[0].core_dying = false;
    assert_null(guests_first(w->nodes[0].guests));
    _autosnap_ struct snapshot *s = cache_snapshot(w->truth);
    assert_null(snap_get(s, &kind_claim, "x"));
    sim_end_close(end);
    h->ops->close(h);
}

/* What the store says comes in order, and when it is delivered. */
static void a_face_hears_late(void **state)
{
    struct error err;
    struct sim_end *end = sim_end_open(&w->nodes[0], "test", false);
    struct cache *c = cache_new(model_kinds, N_KINDS);
    assert_true(cache_follow(c, sim_end_store(end), &err));
    struct claim *x = record_new(&kind_claim, "x");
    x->owner = "pool/pool";
    put(x);
    int64_t now = cache_revision(w->truth);
    assert_true(cache_revision(c) < now);
    while (sim_end_deliver(end))
        ;
    assert_int_equal(cache_revision(c), now);
    cache_unfollow(c);
    cache_free(c);
    sim_end_close(end);
}

/* ---- pools ---------------------------------------------------------------
 */

#define SERVER "66666666-0000-4000-8000-000000000001"

static int setup_pool(void **state)
{
    w = world_new(6, 3, false, false);
    world_calm(w, 20 * SECOND_US);
    check_quiet(w);
    if (w->broken)
        fail_msg("%s", w->what);
    return 0;
}

static void put_server(const char *node)
{
    struct server *s = record_new(&kind_server, SERVER);
    s->node = rec_str(s, node);
    s->vm_state = VM_STOPPED;
    put(s);
}

static void start_on(unsigned node)
{
    struct hypervisor *h = sim_hypervisor_open(w->nodes[node - 1].guests);
    struct domain_spec spec = { .id = SERVER };
    assert_true(h->ops->define_start(h, &spec, NULL));
    h->ops->close(h);
}

static void one_leads(void **state)
{
    unsigned leaders = 0;
    for (unsigned i = 0; i < w->n_nodes; i++)
        leaders += core_leads(&w->nodes[i]);
    assert_int_equal(leaders, 1);
}

static void starts_twice(void **state)
{
    put_server("node2");
    start_on(2);
    assert_false(w->broken);
    start_on(3);
    assert_broken("starts on node3, and node2 is not fenced");
}

static void starts_elsewhere_unfenced(void **state)
{
    put_server("node2");
    start_on(2);
    guests_power_lost(w->nodes[1].guests);
    start_on(3);
    assert_broken("starts on node3, and node2 is not fenced");
}

static void starts_where_it_is_not(void **state)
{
    put_server("node2");
    start_on(1);
    assert_broken("its record says node2");
}

static void refused_guests_do_no_harm(void **state)
{
    put_server("node2");
    start_on(2);
    struct fence *f = sim_fence_open(&w->nodes[0]);
    assert_true(f->ops->close(f, "node2", NULL));
    sim_fence_close(f);
    assert_true(guests_find(w->nodes[1].guests, SERVER)->refused);
    start_on(2);
    check_step(w);
    assert_false(w->broken);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define POOL(f) cmocka_unit_test_setup_teardown(f, setup_pool, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_seed_same_run),
        CASE(address_without_claim),
        CASE(claim_without_owner),
        CASE(quota_drift),
        CASE(reference_to_nothing),
        CASE(active_without_domain),
        CASE(domain_without_server),
        CASE(leaked_file),
        CASE(the_dead_do_nothing),
        CASE(a_face_hears_late),
        cmocka_unit_test(same_seed_same_pool),
        POOL(one_leads),
        POOL(starts_twice),
        POOL(starts_elsewhere_unfenced),
        POOL(starts_where_it_is_not),
        POOL(refused_guests_do_no_harm),
    };
    log_set_level(LOG_ERR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
