/* What a Ceph cluster should do next: from nothing to racks by hand, then
 * thousands of clusters by chance that grow, lose nodes and answer late. */
#include "test.h"

#include "common/b64.h"
#include "common/cleanup.h"
#include "storage/ceph_conf.h"
#include "storage/ceph_facts.h"
#include "storage/ceph_leave.h"
#include "storage/ceph_plan.h"
#include "storage/ceph_slow.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NODES 9

/* A cluster that does what it is told. */
struct world {
    struct ceph_node_facts nodes[NODES];
    size_t n_nodes;
    struct ceph_mon_facts mons[NODES];
    char mgrs[NODES][CEPH_NAME_MAX];
    struct ceph_osd_facts osds[64];
    struct ceph_pool_facts pool;
    struct ceph_facts f;
};

static struct world w;

static void setup_world(size_t nodes, int disks)
{
    w = (struct world){ .n_nodes = nodes };
    for (size_t i = 0; i < nodes; i++) {
        snprintf(w.nodes[i].name, CEPH_NAME_MAX, "h%zu", i + 1);
        w.nodes[i].live = true;
        w.nodes[i].free_disks = disks;
    }
    w.f = (struct ceph_facts){ .nodes = w.nodes,
                               .n_nodes = nodes,
                               .mons = w.mons,
                               .mgrs = (const char(*)[CEPH_NAME_MAX])w.mgrs,
                               .osds = w.osds,
                               .pools = &w.pool,
                               .pool = "rbd",
                               .clean = true };
}

static void add_mon(const char *node)
{
    struct ceph_mon_facts *m = &w.mons[w.f.n_mons++];
    snprintf(m->name, CEPH_NAME_MAX, "%s", node);
    m->in_quorum = true;
}

static void remove_mon(const char *node)
{
    size_t i = 0;
    while (strcmp(w.mons[i].name, node) != 0)
        i++;
    memmove(&w.mons[i], &w.mons[i + 1],
            (w.f.n_mons - i - 1) * sizeof(w.mons[0]));
    w.f.n_mons--;
}

static void add_osds(const char *node)
{
    for (size_t i = 0; i < w.n_nodes; i++)
        while (strcmp(w.nodes[i].name, node) == 0 &&
               w.nodes[i].free_disks > 0) {
            struct ceph_osd_facts *o = &w.osds[w.f.n_osds];
            *o = (struct ceph_osd_facts){ .id = (int)w.f.n_osds++, .in = true };
            snprintf(o->node, CEPH_NAME_MAX, "%s", node);
            snprintf(o->rack, CEPH_NAME_MAX, "%s", w.nodes[i].rack);
            w.nodes[i].free_disks--;
        }
}

/* What no step may do, whatever it is good for. */
static void check(const struct ceph_step *s)
{
    size_t answer = 0;
    for (size_t i = 0; i < w.f.n_mons; i++)
        answer += w.mons[i].in_quorum;
    if (s->kind == CEPH_ADD_MON)
        assert_true(answer == w.f.n_mons && w.f.n_mons < CEPH_MONS_MAX);
    if (s->kind == CEPH_REMOVE_MON) {
        for (size_t i = 0; i < w.f.n_mons; i++)
            if (strcmp(w.mons[i].name, s->node) == 0)
                answer -= w.mons[i].in_quorum;
        assert_true(answer * 2 > w.f.n_mons - 1);
    }
    if (s->kind == CEPH_SET_SIZE)
        assert_true(s->size > w.pool.size);
    if (s->kind == CEPH_SET_MINIMUM)
        assert_true(w.f.clean && s->min_size > w.pool.min_size &&
                    s->min_size <= w.pool.size);
    if (s->kind == CEPH_SET_RULE || s->kind == CEPH_ADD_POOL)
        assert_true(w.f.rules[s->domain]);
}

static void apply(const struct ceph_step *s)
{
    check(s);
    switch (s->kind) {
    case CEPH_FOUND:
        w.f.founded = true;
        add_mon(s->node);
        break;
    case CEPH_ADD_MON:
        add_mon(s->node);
        break;
    case CEPH_REMOVE_MON:
        remove_mon(s->node);
        break;
    case CEPH_ADD_MGR:
        snprintf(w.mgrs[w.f.n_mgrs++], CEPH_NAME_MAX, "%s", s->node);
        break;
    case CEPH_REMOVE_MGR:
        assert_string_equal(s->node, w.mgrs[w.f.n_mgrs - 1]);
        w.f.n_mgrs--;
        break;
    case CEPH_ADD_OSDS:
        add_osds(s->node);
        break;
    case CEPH_ADD_RULE:
        w.f.rules[s->domain] = true;
        break;
    case CEPH_ADD_POOL:
        w.pool = (struct ceph_pool_facts){ "rbd", s->size, s->min_size,
                                           s->domain, false };
        w.f.n_pools = 1;
        break;
    case CEPH_READY_POOL:
        w.pool.ready = true;
        break;
    case CEPH_SET_RULE:
        w.pool.domain = s->domain;
        break;
    case CEPH_SET_SIZE:
        w.pool.size = s->size;
        break;
    case CEPH_SET_MINIMUM:
        w.pool.min_size = s->min_size;
        break;
    }
}

/* Until there is nothing to do; that must come. */
static void run(void)
{
    struct ceph_step steps[CEPH_STEPS_MAX];
    for (int round = 0; round < 50; round++) {
        size_t n = ceph_plan(&w.f, steps);
        if (!n)
            return;
        for (size_t i = 0; i < n; i++)
            apply(&steps[i]);
    }
    fail_msg("it does not come to rest");
}

static void settles_at(size_t mons, size_t mgrs, int size, int least,
                       enum ceph_domain domain)
{
    run();
    assert_int_equal(w.f.n_mons, mons);
    assert_int_equal(w.f.n_mgrs, mgrs);
    assert_int_equal(w.pool.size, size);
    assert_int_equal(w.pool.min_size, least);
    assert_int_equal(w.pool.domain, domain);
    assert_true(w.pool.ready);
}

/* ---- by hand ----------------------------------------------------------- */

static void by_size(void **state)
{
    setup_world(1, 1);
    settles_at(1, 1, 1, 1, CEPH_BY_OSD);
    setup_world(1, 2);
    settles_at(1, 1, 2, 1, CEPH_BY_OSD);
    setup_world(2, 1);
    settles_at(1, 2, 2, 1, CEPH_BY_HOST);
    setup_world(3, 2);
    settles_at(3, 2, 3, 2, CEPH_BY_HOST);
    setup_world(7, 2);
    settles_at(5, 2, 3, 2, CEPH_BY_HOST);
    setup_world(6, 1);
    for (size_t i = 0; i < 6; i++)
        snprintf(w.nodes[i].rack, CEPH_NAME_MAX, "r%zu", i % 3);
    settles_at(5, 2, 3, 2, CEPH_BY_RACK);
}

/* One disk, another, a second node, a third: with data in it. */
static void it_grows(void **state)
{
    setup_world(4, 0);
    w.n_nodes = 4;
    w.f.n_nodes = 1;
    w.nodes[0].free_disks = 1;
    settles_at(1, 1, 1, 1, CEPH_BY_OSD);
    w.nodes[0].free_disks = 1;
    settles_at(1, 1, 2, 1, CEPH_BY_OSD);
    w.f.n_nodes = 2;
    w.nodes[1].free_disks = 2;
    settles_at(1, 2, 2, 1, CEPH_BY_HOST);
    w.f.n_nodes = 3;
    w.nodes[2].free_disks = 1;
    w.f.clean = false;
    settles_at(3, 2, 3, 1, CEPH_BY_HOST); /* the third copies are missing */
    w.f.clean = true;
    settles_at(3, 2, 3, 2, CEPH_BY_HOST);
}

static void no_disk_no_pool(void **state)
{
    struct ceph_step steps[CEPH_STEPS_MAX];
    setup_world(1, 0);
    assert_int_equal(ceph_plan(&w.f, steps), 1);
    assert_int_equal(steps[0].kind, CEPH_FOUND);
    run();
    assert_int_equal(w.f.n_pools, 0);
}

/* Founded where a disk is; not by a node that does not answer. */
static void who_founds(void **state)
{
    struct ceph_step steps[CEPH_STEPS_MAX];
    setup_world(3, 0);
    w.nodes[0].free_disks = 1;
    w.nodes[0].live = false;
    w.nodes[2].free_disks = 1;
    assert_int_equal(ceph_plan(&w.f, steps), 1);
    assert_string_equal(steps[0].node, "h3");
}

static void a_dead_node_takes_no_copy(void **state)
{
    setup_world(3, 1);
    run();
    w.nodes[1].live = false;
    w.mons[1].in_quorum = false;
    w.f.clean = false;
    settles_at(3, 2, 3, 2, CEPH_BY_HOST);
}

/* A node that has left: its monitor goes, and another node's comes. */
static void monitors_move(void **state)
{
    setup_world(4, 1);
    run();
    assert_int_equal(w.f.n_mons, 3);
    size_t gone = 0;
    while (strcmp(w.nodes[gone].name, w.mons[0].name) != 0)
        gone++;
    char name[CEPH_NAME_MAX];
    snprintf(name, sizeof(name), "%s", w.nodes[gone].name);
    w.mons[0].in_quorum = false;
    w.nodes[gone] = w.nodes[3];
    w.f.n_nodes = 3;
    run();
    assert_int_equal(w.f.n_mons, 3);
    for (size_t i = 0; i < 3; i++)
        assert_string_not_equal(w.mons[i].name, name);
}

/* Two nodes that did not see each other both made one. */
static void too_many_managers(void **state)
{
    setup_world(3, 1);
    run();
    snprintf(w.mgrs[w.f.n_mgrs++], CEPH_NAME_MAX, "h3");
    settles_at(3, 2, 3, 2, CEPH_BY_HOST);
}

/* ---- leaving ----------------------------------------------------------- */

/* Every fact by itself and with all others: what must never happen. */
static void nothing_is_lost_by_leaving(void **state)
{
    for (unsigned i = 0; i < 128; i++) {
        const struct ceph_leave_facts f = {
            .asked = i & 1,
            .leaving = i & 2,
            .gone = i & 4,
            .up = i & 8,
            .in = i & 16,
            .room = i & 32,
            .safe = i & 64,
        };
        enum ceph_leave next = ceph_leave_next(&f);
        bool dead = f.gone && !f.up;
        if (!f.asked && !dead)
            assert_true(next == CEPH_STAY || next == CEPH_BACK);
        if (next == CEPH_OUT)
            assert_true(f.in && (dead || f.room));
        if (next == CEPH_STOP)
            assert_true(f.safe && !f.in && f.up);
        if (next == CEPH_PURGE)
            assert_true(f.safe && !f.in && !f.up);
        if (next == CEPH_BACK)
            assert_true(!f.asked && f.leaving && !f.in);
    }
}

static void a_disk_leaves(void **state)
{
    struct ceph_leave_facts f = { .asked = true, .up = true, .in = true };
    assert_int_equal(ceph_leave_next(&f), CEPH_STAY_FULL);
    f.room = true;
    assert_int_equal(ceph_leave_next(&f), CEPH_OUT);
    f.in = false;
    f.leaving = true;
    assert_int_equal(ceph_leave_next(&f), CEPH_MOVING);
    f.safe = true;
    assert_int_equal(ceph_leave_next(&f), CEPH_STOP);
    f.up = false;
    assert_int_equal(ceph_leave_next(&f), CEPH_PURGE);
    f.up = true;
    f.asked = false;
    assert_int_equal(ceph_leave_next(&f), CEPH_BACK);
}

/* Its data cannot be moved: it goes as soon as all can be read without it. */
static void a_dead_disk_goes(void **state)
{
    struct ceph_leave_facts f = { .gone = true, .in = true };
    assert_int_equal(ceph_leave_next(&f), CEPH_OUT);
    f.in = false;
    assert_int_equal(ceph_leave_next(&f), CEPH_MOVING);
    f.whole = true;
    assert_int_equal(ceph_leave_next(&f), CEPH_PURGE);
}

static void room_for_the_copies(void **state)
{
    setup_world(3, 1);
    run();
    assert_false(ceph_leave_has_room(&w.f, w.osds[1].id));
    w.nodes[1].free_disks = 1;
    run();
    assert_true(ceph_leave_has_room(&w.f, w.osds[1].id));
    assert_false(ceph_leave_has_room(&w.f, w.osds[0].id));
    setup_world(4, 1);
    run();
    assert_true(ceph_leave_has_room(&w.f, w.osds[0].id));
}

static bool looks(struct ceph_slow *s, int ms, const int *all, size_t n,
                  int times)
{
    bool slow = s->slow;
    while (times--)
        slow = ceph_slow_look(s, ms, all, n);
    return slow;
}

static void a_slow_disk_is_found(void **state)
{
    static const int one_of_three[] = { 3, 900, 5 }, all[] = { 900, 800, 950 },
                     two[] = { 900, 4 }, fine[] = { 3, 6, 5 };
    struct ceph_slow s = { 0 };
    assert_false(looks(&s, 900, one_of_three, 3, CEPH_SLOW_LOOKS - 1));
    assert_false(looks(&s, 6, fine, 3, 1)); /* once in a while is nothing */
    assert_false(looks(&s, 900, one_of_three, 3, 1));
    assert_true(looks(&s, 900, one_of_three, 3, 1));
    assert_true(looks(&s, 0, fine, 3, 100)); /* nothing was written */
    assert_true(looks(&s, 6, fine, 3, CEPH_SLOW_LOOKS - 1));
    assert_false(looks(&s, 6, fine, 3, 1));
    assert_true(looks(&s, 900, two, 2, CEPH_SLOW_LOOKS));
    s = (struct ceph_slow){ 0 };
    assert_false(looks(&s, 6, fine, 3, 100));
    for (int i = 0; i < CEPH_SLOW_LOOKS; i++) /* as it comes: 3 of 4 */
        (void)(looks(&s, 900, one_of_three, 3, 3), looks(&s, 20, fine, 3, 1));
    assert_true(s.slow);
    s = (struct ceph_slow){ 0 };
    assert_false(looks(&s, 950, all, 3, 100));
    assert_false(looks(&s, 900, two, 1, 100)); /* no peer */
    assert_false(looks(&s, 0, NULL, 0, 100));  /* nothing is known */
}

/* ---- by chance --------------------------------------------------------- */

static unsigned seed;

static unsigned below(unsigned n)
{
    seed = seed * 1103515245u + 12345u;
    return (seed >> 8) % n;
}

/* Something happens to the pool; check() sees to what may follow. */
static void happen(void)
{
    struct ceph_node_facts *n = &w.nodes[below(NODES)];
    switch (below(5)) {
    case 0:
        w.f.n_nodes += w.f.n_nodes < NODES;
        break;
    case 1:
        n->live = !n->live;
        break;
    case 2:
        n->free_disks += w.f.n_osds < 40;
        break;
    case 3:
        w.f.clean = !w.f.clean;
        break;
    default:
        if (w.f.n_mons)
            w.mons[below((unsigned)w.f.n_mons)].in_quorum ^= true;
    }
}

static void any_history(void **state)
{
    struct ceph_step steps[CEPH_STEPS_MAX];
    for (unsigned s = 1; s <= 3000; s++) {
        seed = s;
        setup_world(NODES, 0);
        w.f.n_nodes = 1 + below(NODES);
        for (int i = 0; i < NODES; i++)
            snprintf(w.nodes[i].rack, CEPH_NAME_MAX, "%.*s", (int)below(3),
                     "r1");
        for (int i = 0; i < 60; i++) {
            int size = w.pool.size, least = w.pool.min_size;
            happen();
            size_t n = ceph_plan(&w.f, steps);
            for (size_t j = 0, some = below((unsigned)n + 1); j < some; j++)
                apply(&steps[j]);
            assert_true(w.pool.size >= size && w.pool.min_size >= least);
            assert_true(w.pool.min_size <= w.pool.size);
        }
        for (size_t i = 0; i < w.f.n_mons; i++)
            w.mons[i].in_quorum = true;
        run();
    }
}

/* ---- the rest of the files --------------------------------------------- */

static void read_a_cluster(void **state)
{
    static const char *const texts[CEPH_ASKS] = {
        "{\"quorum_names\":[\"h1\"],\"monmap\":{\"mons\":[{\"name\":\"h1\"},"
        "{\"name\":\"h2\"}]}}",
        "{\"active_name\":\"h1\",\"standbys\":[{\"name\":\"h3\"}]}",
        "{\"osds\":[{\"osd\":0,\"up\":1,\"in\":1},{\"osd\":3,\"up\":0,"
        "\"in\":0}],\"pools\":[{\"pool_name\":\"rbd\",\"size\":3,"
        "\"min_size\":2,\"crush_rule\":7,\"application_metadata\":{\"rbd\":"
        "{}}}]}",
        "{\"nodes\":[{\"id\":-2,\"type\":\"host\",\"name\":\"h2\","
        "\"children\":[3,0]},{\"id\":-3,\"type\":\"rack\",\"name\":"
        "\"r1\",\"children\":[-2]}]}",
        "[{\"rule_id\":0,\"rule_name\":\"replicated_rule\"},{\"rule_id\":7,"
        "\"rule_name\":\"cairn-host\"}]",
        "{\"pg_summary\":{\"num_pgs\":2,\"num_pg_by_state\":[{\"name\":"
        "\"active+clean\",\"num\":1},{\"name\":\"active+clean+scrubbing\","
        "\"num\":1}]}}",
    };
    struct ceph_seen seen;
    struct error err;
    json_t *answers[CEPH_ASKS];
    for (int i = 0; i < CEPH_ASKS; i++)
        assert_non_null(answers[i] = json_loads(texts[i], 0, NULL));
    assert_true(ceph_seen_read(&seen, answers, "rbd", &err));
    assert_int_equal(seen.facts.n_mons, 2);
    assert_true(seen.mons[0].in_quorum && !seen.mons[1].in_quorum);
    assert_int_equal(seen.facts.n_mgrs, 2);
    assert_string_equal(seen.mgrs[1], "h3");
    assert_int_equal(seen.facts.n_osds, 2);
    assert_int_equal(seen.n_up, 1);
    assert_string_equal(seen.osds[1].node, "h2");
    assert_string_equal(seen.osds[1].rack, "r1");
    assert_int_equal(seen.pools[0].domain, CEPH_BY_HOST);
    assert_true(seen.pools[0].ready && seen.facts.clean && seen.facts.whole);
    assert_true(seen.osds[0].up && !seen.osds[1].up);
    assert_true(seen.facts.rules[CEPH_BY_HOST]);
    assert_false(seen.facts.rules[CEPH_BY_RACK]);
    ceph_seen_free(&seen);
    for (int i = 0; i < CEPH_ASKS; i++) {
        json_decref(answers[i]);
        answers[i] = NULL;
    }
    assert_false(ceph_seen_read(&seen, answers, "rbd", &err));
    ceph_seen_free(&seen);
}

static void files(void **state)
{
    static const char *const caps[] = { "mon", "profile rbd", NULL };
    const struct ceph_place mons[] = { { "h1", "192.0.2.1" },
                                       { "h2", "192.0.2.2" } };
    const struct ceph_conf conf = { "F", mons,        2,      "h1",
                                    "r", "192.0.2.1", "/dir", "/log" };
    char key[CEPH_SECRET_MAX];
    struct buf raw = BUF_INIT(64), text = BUF_INIT(64 * 1024);
    ceph_conf_secret(&env_system, key);
    assert_true(b64_decode(&raw, key));
    assert_int_equal(raw.len, 28);
    assert_int_equal(raw.data[0], 1);
    assert_int_equal(raw.data[10], 16);
    ceph_conf_key(&text, "client.x", key, caps);
    assert_non_null(strstr(buf_str(&text), "[client.x]\n\tkey = "));
    assert_non_null(strstr(buf_str(&text), "caps mon = \"profile rbd\"\n"));
    buf_reset(&text);
    ceph_conf_text(&conf, &text);
    assert_false(text.overflow);
    assert_memory_equal(buf_str(&text), CEPH_CONF_MARK "\n",
                        strlen(CEPH_CONF_MARK) + 1);
    assert_non_null(strstr(buf_str(&text),
                           "mon_host = [v2:192.0.2.1:3300/0,"
                           "v1:192.0.2.1:6789/0],[v2:192.0.2.2:3300/0"));
    assert_non_null(strstr(buf_str(&text),
                           "crush_location = root=default rack=r host=h1\n"));
    assert_null(strstr(buf_str(&text), key));
    buf_free(&raw);
    buf_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_size),
        cmocka_unit_test(it_grows),
        cmocka_unit_test(no_disk_no_pool),
        cmocka_unit_test(who_founds),
        cmocka_unit_test(a_dead_node_takes_no_copy),
        cmocka_unit_test(monitors_move),
        cmocka_unit_test(too_many_managers),
        cmocka_unit_test(nothing_is_lost_by_leaving),
        cmocka_unit_test(a_disk_leaves),
        cmocka_unit_test(a_dead_disk_goes),
        cmocka_unit_test(room_for_the_copies),
        cmocka_unit_test(a_slow_disk_is_found),
        cmocka_unit_test(any_history),
        cmocka_unit_test(read_a_cluster),
        cmocka_unit_test(files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
