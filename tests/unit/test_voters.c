/* Who votes: by hand, then thousands of pools by chance. */
#include "test.h"

#include "common/cleanup.h"
#include "state/voters.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEC SECOND_US
#define NOW (1000 * SEC)

/* "a1+ b2- c3.": zone, number, then + a living voter, ~ a voter dead for a
 * short time, - one dead for long, . a living node, ! a young one, x a dead
 * one, d a draining voter. */
static size_t parse(const char *text, struct voter_node *nodes,
                    char names[][2][4])
{
    size_t n = 0;
    for (; *text; text += text[3] ? 4 : 3, n++) {
        char mark = text[2];
        snprintf(names[n][0], 4, "%.2s", text);
        snprintf(names[n][1], 4, "%.1s", text);
        nodes[n] = (struct voter_node){
            .id = names[n][0],
            .zone = names[n][1],
            .voter = strchr("+~-d", mark),
            .alive = strchr("+.!d", mark),
            .eligible = mark != 'd',
            .since = mark == '~' || mark == '!' ? NOW - 5 * SEC : 0,
        };
    }
    return n;
}

static void by_hand(void **state)
{
    static const struct {
        const char *pool, *step;
    } rows[] = {
        { "a1+", "" },
        { "a1+ a2.", "" },
        { "a1+ a2. a3.", "+a2" },
        { "a1+ a2. a3!", "" }, /* two would vote until the third may */
        { "a1+ a2. a3x", "" },
        { "a1d a2. a3x a4x", "+a2" }, /* it wants to go */
        { "a1+ a2+ a3.", "!a3" },
        { "a1+ a2+ a3+", "" },
        { "a1+ a2+ a3+ a4.", "" },
        { "a1+ a2+ a3+ a4. a5.", "+a4" },
        { "a1+ a2. b3. c4.", "+b3" },     /* another zone first */
        { "a1+ b2+ a3. b4. c5!", "!a3" }, /* the young one waits */
        { "a1+ a2+ a3~ a4.", "" },        /* perhaps it comes back */
        { "a1+ a2+ a3- a4.", "+a4" },
        { "a1+ a2+ a3- a4+", "-a3" },
        { "a1+ a2+ a3-", "" },     /* nobody can take its place */
        { "a1+ a2- a3- a4.", "" }, /* no quorum, no step */
        { "a1+ a2+ a3d a4.", "+a4" },
        { "a1+ a2+ a3d a4+", "-a3" },
        { "a1+ a2+ a3d", "-a3" }, /* two are left: one votes */
        { "a1+ a2+", "-a2" },
        { "a1+ a2~", "" },            /* one of two is no quorum */
        { "a1+ a2+ a3+ b4.", "+b4" }, /* a majority in one zone */
        { "a1+ a2+ a3+ b4+", "-a3" },
        { "a1+ a2+ b3+ b4.", "" },
        { "a1+ a2+ b3+ c4.", "+c4" }, /* better: no zone has two */
        { "a1+ b2+ c3+ d4.", "" },
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct voter_node nodes[8];
        char names[8][2][4], got[8] = "";
        size_t n = parse(rows[i].pool, nodes, names);
        struct voters_step step = voters_next(nodes, n, NOW);
        if (step.what != VOTERS_STAY) {
            char verb = step.what == VOTERS_REMOVE ? '-'
                        : step.at_once             ? '!'
                                                   : '+';
            snprintf(got, sizeof(got), "%c%s", verb, nodes[step.node].id);
        }
        if (strcmp(got, rows[i].step) != 0)
            fail_msg("%s: '%s', not '%s'", rows[i].pool, got, rows[i].step);
    }
}

static void counts(void **state)
{
    static const size_t want[] = { 1, 1, 1, 3, 3, 5, 5, 5, 5 };
    for (size_t i = 0; i < ARRAY_SIZE(want); i++)
        assert_int_equal(voters_count(i), want[i]);
}

/* ---- by chance --------------------------------------------------------- */

#define NODES 9

static size_t voters(const struct voter_node *nodes, bool alive_only)
{
    size_t count = 0;
    for (size_t i = 0; i < NODES; i++)
        count += nodes[i].voter && (nodes[i].alive || !alive_only);
    return count;
}

static bool has_quorum(const struct voter_node *nodes)
{
    return voters(nodes, true) > voters(nodes, false) / 2;
}

static size_t wanted(const struct voter_node *nodes)
{
    size_t eligible = 0;
    for (size_t i = 0; i < NODES; i++)
        eligible += nodes[i].eligible;
    return voters_count(eligible);
}

/* Drained, dead for long, or one of a majority in one zone. */
static bool somebody_must_go(const struct voter_node *nodes, int64_t now)
{
    for (size_t i = 0; i < NODES; i++) {
        size_t near = 0;
        for (size_t k = 0; k < NODES; k++)
            near += nodes[k].voter && nodes[k].zone == nodes[i].zone;
        if (nodes[i].voter &&
            (!nodes[i].eligible || near > wanted(nodes) / 2 ||
             (!nodes[i].alive && now - nodes[i].since >= VOTERS_DEAD_US)))
            return true;
    }
    return false;
}

static bool take_step(struct voter_node *nodes, int64_t now)
{
    struct voters_step step = voters_next(nodes, NODES, now);
    struct voter_node *node = &nodes[step.node];
    if (step.what == VOTERS_STAY)
        return false;
    assert_true(has_quorum(nodes));
    if (step.what == VOTERS_ADD) {
        assert_true(node->alive && node->eligible && !node->voter);
        assert_true(now - node->since >= VOTERS_SETTLE_US);
    } else {
        assert_true(node->voter);
    }
    if (step.what == VOTERS_ADD)
        assert_true(voters(nodes, false) < wanted(nodes) ||
                    somebody_must_go(nodes, now));
    else
        assert_true(voters(nodes, false) > wanted(nodes));
    node->voter = step.what == VOTERS_ADD;
    assert_true(has_quorum(nodes));
    assert_true(voters(nodes, false) <= VOTERS_MOST + 1);
    return true;
}

static void disturb(struct voter_node *nodes, int64_t now)
{
    struct voter_node *node = &nodes[rand() % NODES];
    if (rand() % 3 == 0) {
        node->eligible = !node->eligible;
        return;
    }
    node->alive = !node->alive;
    node->since = now;
}

/* All is quiet for long: what must hold then, if there is a quorum at all. */
static void settled(struct voter_node *nodes, int64_t now)
{
    size_t eligible = 0, willing = 0;
    int steps = 0;
    while (take_step(nodes, now))
        assert_true(++steps < 4 * NODES); /* it ends */
    for (size_t i = 0; i < NODES; i++) {
        eligible += nodes[i].eligible;
        willing += nodes[i].eligible && nodes[i].alive;
    }
    size_t want = voters_count(eligible);
    if (!has_quorum(nodes))
        return;
    /* Rather one than two, of which none may die. */
    size_t least = willing < want ? willing : want;
    assert_true(voters(nodes, false) >= (least == 2 ? 1 : least));
    if (willing < want)
        return;
    assert_int_equal(voters(nodes, false), want);
    for (size_t i = 0; i < NODES; i++)
        assert_true(!nodes[i].voter || (nodes[i].alive && nodes[i].eligible));
}

static void by_chance(void **state)
{
    static const char *const ids[NODES] = { "1", "2", "3", "4", "5",
                                            "6", "7", "8", "9" };
    static const char *const zones[] = { "a", "b", "c" };
    srand(11);
    for (int pool = 0; pool < 3000; pool++) {
        struct voter_node nodes[NODES];
        int64_t now = NOW;
        for (size_t i = 0; i < NODES; i++)
            nodes[i] = (struct voter_node){
                .id = ids[i],
                .zone = zones[rand() % 3],
                .alive = true,
                .eligible = true,
            };
        nodes[rand() % NODES].voter = true;
        for (int event = 0; event < 40; event++) {
            if (rand() % 2)
                disturb(nodes, now);
            now += rand() % (40 * SEC);
            take_step(nodes, now);
            if (rand() % 8 == 0)
                settled(nodes, now += VOTERS_DEAD_US);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts),
        cmocka_unit_test(by_hand),
        cmocka_unit_test(by_chance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
