/* recovery: every row of the state machine, and whose fault a silence is. */
#include "test.h"

#include "common/alloc.h"
#include "engine/recovery.h"

#define NOW (1000 * SECOND_US)

static const struct recovery_pool three = { .up = 3 };

static enum recovery_what what(const struct recovery_node *n,
                               const struct recovery_pool *p)
{
    return recovery_next(n, p, NOW).what;
}

/* ---- the table ----------------------------------------------------------- */

struct row {
    const char *name;
    struct recovery_node n;
    enum recovery_what what;
};

#define HERE .present = true
#define GONE .known = true, .gone = NOW - RECOVERY_GRACE_US
#define OPEN .closed = FENCE_OPEN
#define SHUT .closed = FENCE_CLOSED

static const struct row rows[] = {
    { "well", { HEALTH_UP, HERE, OPEN }, RECOVERY_REST },
    { "well, nobody asked", { HEALTH_UP, HERE }, RECOVERY_REST },
    { "well, yet refused", { HEALTH_UP, HERE, SHUT }, RECOVERY_CONDEMN },
    { "just silent", { HEALTH_UP, .gone = NOW - 1 }, RECOVERY_REST },
    { "silent", { HEALTH_UP, GONE }, RECOVERY_CONDEMN },
    { "fencing", { HEALTH_FENCING, GONE }, RECOVERY_FENCE },
    { "fencing, open", { HEALTH_FENCING, GONE, OPEN }, RECOVERY_FENCE },
    { "fencing, back", { HEALTH_FENCING, HERE, OPEN }, RECOVERY_FENCE },
    { "fencing, shut", { HEALTH_FENCING, GONE, SHUT }, RECOVERY_CONFIRM },
    { "fencing, shut, back", { HEALTH_FENCING, HERE, SHUT }, RECOVERY_CONFIRM },
    { "fenced, new leader", { HEALTH_FENCED, .waiting = 1 }, RECOVERY_CHECK },
    { "fenced, lost", { HEALTH_FENCED, OPEN, .waiting = 1 }, RECOVERY_FENCE },
    { "fenced", { HEALTH_FENCED, SHUT, .waiting = 1 }, RECOVERY_EVACUATE },
    { "fenced, empty", { HEALTH_FENCED, SHUT }, RECOVERY_REST },
    { "fenced, back", { HEALTH_FENCED, HERE, SHUT }, RECOVERY_QUARANTINE },
    { "fenced, back, no room for all",
      { HEALTH_FENCED, HERE, SHUT, .waiting = 9 },
      RECOVERY_QUARANTINE },
    { "back, unclean",
      { HEALTH_QUARANTINED, .fence = 2, .cleaned = 1, HERE, SHUT },
      RECOVERY_REST },
    { "back, unclean, servers",
      { HEALTH_QUARANTINED, .fence = 2, .cleaned = 1, HERE, SHUT,
        .waiting = 1 },
      RECOVERY_EVACUATE },
    { "back, unclean, open",
      { HEALTH_QUARANTINED, .fence = 2, .cleaned = 1, HERE, OPEN },
      RECOVERY_FENCE },
    { "back, clean",
      { HEALTH_QUARANTINED, .fence = 2, .cleaned = 2, HERE, SHUT,
        .waiting = 3 },
      RECOVERY_LIFT },
    { "back, clean, who knows",
      { HEALTH_QUARANTINED, .fence = 2, .cleaned = 2, HERE },
      RECOVERY_CHECK },
    { "back, clean, open",
      { HEALTH_QUARANTINED, .fence = 2, .cleaned = 2, HERE, OPEN },
      RECOVERY_ADMIT },
    { "back, clean, no storage",
      { HEALTH_QUARANTINED, .fence = 2, .cleaned = 2, HERE, SHUT,
        .storage_lost = 1 },
      RECOVERY_REST },
    { "back and gone",
      { HEALTH_QUARANTINED, .fence = 2, .cleaned = 2, OPEN },
      RECOVERY_LOSE },
};

static void test_table(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        enum recovery_what got = what(&rows[i].n, &three);
        if (got != rows[i].what)
            fail_msg("%s: %s instead of %s", rows[i].name,
                     recovery_step_names[got],
                     recovery_step_names[rows[i].what]);
    }
}

/* Nothing but FENCED and the fence's own word lets a server start elsewhere,
 * and nothing but a clean node opens it: over all views there are. */
static void test_never_early(void **state)
{
    for (unsigned bits = 0; bits < 4u * 3 * 2 * 2 * 2 * 2 * 2; bits++) {
        unsigned b = bits;
        struct recovery_node n = { .fence = 5, .gone = 1 };
        n.health = (int)(b % 4), b /= 4;
        n.closed = (enum recovery_fence)(b % 3), b /= 3;
        n.present = b % 2, b /= 2;
        n.cleaned = b % 2 ? 5 : 4, b /= 2;
        n.storage_lost = b % 2 ? 1 : 0, b /= 2;
        n.waiting = n.guests = b % 2, b /= 2;
        n.maintenance = b % 2;
        enum recovery_what w = what(&n, &three);
        bool fenced =
            n.health == HEALTH_FENCED || n.health == HEALTH_QUARANTINED;
        if (w == RECOVERY_EVACUATE)
            assert_true(fenced && n.closed == FENCE_CLOSED && n.waiting);
        if (w == RECOVERY_CONFIRM)
            assert_true(n.health == HEALTH_FENCING && n.closed == FENCE_CLOSED);
        if (w == RECOVERY_LIFT || w == RECOVERY_ADMIT)
            assert_true(n.health == HEALTH_QUARANTINED && n.present &&
                        n.cleaned == n.fence && !n.storage_lost);
        if (w == RECOVERY_CONDEMN)
            assert_int_equal(n.health, HEALTH_UP);
    }
}

/* ---- whose fault --------------------------------------------------------- */

static struct recovery_step next(const struct recovery_node *n, uint32_t up,
                                 uint32_t silent, uint32_t no_store)
{
    struct recovery_pool p = { up, silent, no_store };
    return recovery_next(n, &p, NOW);
}

static void test_patience(void **state)
{
    struct recovery_node n = { .known = true, .gone = NOW - 1 };
    struct recovery_step s = next(&n, 3, 1, 0);
    assert_int_equal(s.what, RECOVERY_REST);
    assert_int_equal(s.at, NOW - 1 + RECOVERY_GRACE_US);
    n.gone = NOW - RECOVERY_GRACE_US;
    s = next(&n, 3, 1, 0);
    assert_int_equal(s.what, RECOVERY_CONDEMN);
    assert_string_equal(s.why, "it has fallen silent");
    /* One of two is not "most": nobody else could tell. */
    assert_int_equal(next(&n, 2, 1, 0).what, RECOVERY_CONDEMN);
    s = next(&n, 3, 2, 0);
    assert_int_equal(s.what, RECOVERY_REST);
    assert_int_equal(s.at, n.gone + RECOVERY_MASS_US);
    n.gone = NOW - RECOVERY_MASS_US;
    assert_int_equal(next(&n, 3, 2, 0).what, RECOVERY_CONDEMN);
    n.known = false;
    s = next(&n, 3, 1, 0);
    assert_int_equal(s.at, n.gone + RECOVERY_COLD_US);
    n.gone = NOW - RECOVERY_COLD_US;
    assert_int_equal(next(&n, 3, 1, 0).what, RECOVERY_CONDEMN);
    n.stopped = n.known = true;
    n.gone = NOW - RECOVERY_MASS_US;
    s = next(&n, 3, 1, 0);
    assert_int_equal(s.at, n.gone + RECOVERY_STOPPED_US);
    n.gone = NOW - RECOVERY_STOPPED_US;
    assert_int_equal(next(&n, 3, 1, 0).what, RECOVERY_CONDEMN);
}

static void test_maintenance(void **state)
{
    struct recovery_node n = { .maintenance = true, .known = true };
    assert_int_equal(next(&n, 3, 0, 0).what, RECOVERY_REST);
    assert_false(recovery_suspect(&n));
    n.guests = 1; /* it was not drained: they are missed */
    assert_true(recovery_suspect(&n));
    assert_int_equal(next(&n, 3, 1, 0).what, RECOVERY_CONDEMN);
}

static void test_storage(void **state)
{
    struct recovery_node n = { .present = true, .storage_lost = NOW - 1 };
    assert_int_equal(next(&n, 3, 0, 1).at, NOW - 1 + RECOVERY_STORAGE_US);
    n.storage_lost = NOW - RECOVERY_STORAGE_US;
    struct recovery_step s = next(&n, 3, 0, 1);
    assert_int_equal(s.what, RECOVERY_CONDEMN);
    assert_string_equal(s.why, "its storage does not answer it");
    struct recovery_pool back = { .up = 3, .no_store = 1, .works = NOW - 1 };
    assert_int_equal(recovery_next(&n, &back, NOW).at,
                     NOW - 1 + RECOVERY_STORAGE_US);
    /* The storage is down, or as good as: that is no node's fault. */
    assert_int_equal(next(&n, 3, 0, 3).what, RECOVERY_REST);
    assert_int_equal(next(&n, 3, 0, 2).what, RECOVERY_REST);
    assert_int_equal(next(&n, 2, 0, 1).what, RECOVERY_REST);
    assert_int_equal(next(&n, 3, 1, 1).what, RECOVERY_REST);
}

static void test_count(void **state)
{
    struct recovery_pool p = { 0 };
    struct recovery_node all[] = {
        { HERE },
        { GONE },
        { GONE, .maintenance = true },
        { GONE, .stopped = true },
        { HERE, .storage_lost = 1 },
        { GONE, .storage_lost = 1 },
        { HEALTH_FENCED, HERE },
    };
    for (size_t i = 0; i < ARRAY_SIZE(all); i++)
        recovery_count(&p, &all[i]);
    assert_int_equal(p.up, 6);
    assert_int_equal(p.silent, 2);
    assert_int_equal(p.no_store, 1);
}

/* ---- servers ------------------------------------------------------------- */

static void test_fates(void **state)
{
    static const struct {
        struct recovery_server s;
        enum recovery_fate fate;
    } all[] = {
        { { .shared = true, .runs = true }, FATE_MOVES },
        { { .shared = true }, FATE_MOVES }, /* it could not be started there */
        { { .shared = true, .deleted = true }, FATE_MOVES },
        { { .shared = true, .saved = true }, FATE_STAYS },
        { { .shared = true, .saved = true, .deleted = true }, FATE_MOVES },
        { { .runs = true }, FATE_STRANDED },
        { { .runs = true, .stranded = true }, FATE_STAYS },
        { { .shared = true, .runs = true, .stranded = true }, FATE_MOVES },
        { { .deleted = true }, FATE_STAYS },
        { { .shared = false }, FATE_STAYS },
    };
    for (size_t i = 0; i < ARRAY_SIZE(all); i++)
        assert_int_equal(recovery_fate(&all[i].s), all[i].fate);
}

static void test_order(void **state)
{
    static const struct recovery_rank in_order[] = {
        { 10, false, 0, 5, "a" }, { 0, true, 2, 5, "a" },
        { 0, true, 0, 1, "b" },   { 0, true, 0, 1, "c" },
        { 0, true, 0, 2, "a" },   { 0, false, 9, 0, "a" },
        { -1, true, 0, 0, "a" },
    };
    for (size_t i = 0; i < ARRAY_SIZE(in_order); i++)
        for (size_t k = 0; k < ARRAY_SIZE(in_order); k++) {
            int c = recovery_compare(&in_order[i], &in_order[k]);
            assert_true(i < k ? c < 0 : i > k ? c > 0 : c == 0);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),    cmocka_unit_test(test_never_early),
        cmocka_unit_test(test_patience), cmocka_unit_test(test_maintenance),
        cmocka_unit_test(test_storage),  cmocka_unit_test(test_count),
        cmocka_unit_test(test_fates),    cmocka_unit_test(test_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
