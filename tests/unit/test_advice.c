/* Placement explained over the native API: to administrators by name, to
 * projects without. */
#include "api_client.h"

#include "common/cleanup.h"
#include "model/compute.h"
#include "model/decision.h"
#include "model/migration.h"
#include "model/pool.h"
#include "rest-api/desk.h"

#include <stdio.h>
#include <string.h>

static struct api_client *client;
static char answer[16384];

static void put(void *draft)
{
    struct txn t = TXN_INIT;
    struct txn_result result;
    txn_put_record(&t, draft);
    assert_true(store_commit(client->store, &t, &result));
    record_unref(draft);
}

static void put_node(const char *name, int64_t ram_mb)
{
    struct node *n = record_new(&kind_node, name);
    n->vcpus = 4;
    n->ram_mb = ram_mb;
    n->disk_gb = 100;
    n->cpu_overcommit = 2;
    n->seen = client->time;
    put(n);
}

static void put_flavor(const char *name, int64_t ram_mb)
{
    struct flavor *f = record_new(&kind_flavor, name);
    f->name = rec_str(f, name);
    f->vcpus = 1;
    f->ram_mb = ram_mb;
    put(f);
}

static int setup(void **state)
{
    client = api_client_new();
    client->api.desk = desk_new();
    put_node("alpha", 8192);
    put_node("beta", 4096);
    put_flavor("small", 1024);
    put_flavor("big", 10000);
    return 0;
}

static int teardown(void **state)
{
    desk_free(client->api.desk);
    api_client_free(client);
    return 0;
}

/* The body of a call that must answer `status`; until the next one. */
static const char *ask(const char *method, const char *path, const char *token,
                       const char *body, int status)
{
    struct api_reply r = api_call(client, method, path, token, body);
    if (r.status != status)
        fail_msg("%s %s: %d %s", method, path, r.status, r.body);
    snprintf(answer, sizeof(answer), "%s", r.body ? r.body : "");
    api_reply_free(&r);
    return answer;
}

static void has(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("no '%s' in %s", part, text);
}

static void lacks(const char *text, const char *part)
{
    if (strstr(text, part))
        fail_msg("'%s' in %s", part, text);
}

#define EXPLAIN "/cairn/v1/placement/explain"

static void a_would_be_server(void **state)
{
    const char *fits =
        ask("POST", EXPLAIN, client->admin, "{\"flavor\":\"small\"}", 200);
    has(fits, "\"fits\":true");
    has(fits, "\"hosts\":[{\"node\":\"alpha\",\"fits\":true,\"score\":");
    has(fits, "\"MEMORY\":875000");
    const char *none =
        ask("POST", EXPLAIN, client->admin, "{\"flavor\":\"big\"}", 200);
    has(none, "\"fits\":false");
    has(none, "10000 MB of memory wanted, 0 of 4096 in use");
    has(none, "it would fit with 1808 MB more memory on node alpha");
    ask("POST", EXPLAIN, client->admin, "{\"flavor\":\"none\"}", 404);
    ask("POST", EXPLAIN, client->admin, "{}", 400);
    ask("POST", EXPLAIN, NULL, "{\"flavor\":\"small\"}", 401);
}

static void a_tenant_sees_no_nodes(void **state)
{
    const char *fits = ask("POST", EXPLAIN, client->demo,
                           "{\"flavor\":\"small\",\"host\":\"beta\"}", 200);
    has(fits, "\"fits\":true");
    lacks(fits, "alpha");
    const char *none =
        ask("POST", EXPLAIN, client->demo, "{\"flavor\":\"big\"}", 200);
    has(none, "2 nodes without enough memory");
    has(none, "it would fit with 1808 MB more memory\"");
    lacks(none, "alpha");
    ask("POST", "/cairn/v1/placement/what-if", client->demo, "{}", 403);
    ask("GET", "/cairn/v1/policy", client->demo, NULL, 403);
}

static void put_server(const char *id, const char *project)
{
    struct server *s = record_new(&kind_server, id);
    s->name = rec_str(s, id);
    s->project_id = rec_str(s, project);
    s->vcpus = 1;
    s->ram_mb = 1024;
    s->node = "beta";
    put(s);
    struct decision *d = record_new(&kind_decision, id);
    d->project_id = rec_str(d, project);
    d->node = "beta";
    d->policy = "spread";
    struct decision_candidate *c = list_add(d, &d->candidates, sizeof(*c));
    c->node = "beta";
    c->score = 7;
    struct decision_reason *x = list_add(d, &d->excluded, sizeof(*x));
    x->why = "disabled";
    x->nodes = 1;
    x->example = "alpha: disabled: repair";
    struct decision_change *change = list_add(d, &d->changes, sizeof(*change));
    change->what = "with alpha";
    put(d);
}

static void a_decision_that_was_made(void **state)
{
    put_server("web", client->demo_project);
    put_server("other", "somebody");
    const char *all =
        ask("GET", "/cairn/v1/servers/web/placement", client->admin, NULL, 200);
    has(all, "\"candidates\":[{\"node\":\"beta\",\"score\":7");
    has(all, "alpha: disabled: repair");
    has(all, "with alpha");
    const char *own =
        ask("GET", "/cairn/v1/servers/web/placement", client->demo, NULL, 200);
    has(own, "\"why\":\"disabled\",\"nodes\":1}");
    lacks(own, "alpha");
    lacks(own, "beta");
    ask("GET", "/cairn/v1/servers/other/placement", client->demo, NULL, 404);
}

static void what_if(void **state)
{
    put_server("web", client->demo_project);
    const char *text =
        ask("POST", "/cairn/v1/placement/what-if", client->admin,
            "{\"lose\":[\"beta\"],\"add\":[{\"node\":\"alpha\",\"count\":2}],"
            "\"place\":[{\"flavor\":\"small\",\"count\":30}]}",
            200);
    has(text, "\"before\":{\"nodes\":2,");
    has(text, "\"after\":{\"nodes\":3,");
    has(text, "\"lost\":{\"asked\":1,\"placed\":1");
    has(text, "\"asked\":30,\"placed\":23,\"nodes\":3");
    has(text, "3 nodes without enough vCPUs");
    has(text, "with 1 more vCPU and 1024 MB more memory on node alpha");
    ask("POST", "/cairn/v1/placement/what-if", client->admin, "{\"lose\":[1]}",
        400);
    ask("POST", "/cairn/v1/placement/what-if", client->admin,
        "{\"place\":[{\"flavor\":\"small\",\"count\":0}]}", 400);
    ask("POST", "/cairn/v1/placement/what-if", client->admin,
        "{\"lose\":[\"gamma\"]}", 404);
}

static void policy_and_nodes(void **state)
{
    const char *was = ask("GET", "/cairn/v1/policy", client->admin, NULL, 200);
    has(was, "{\"placement\":\"spread\",\"weights\":{},"
             "\"rebalancing\":\"on\",");
    has(was, ",\"reserve\":0}");
    const char *now =
        ask("PUT", "/cairn/v1/policy", client->admin,
            "{\"placement\":\"pack\",\"rebalancing\":\"off\"}", 200);
    has(now, "\"placement\":\"pack\"");
    has(now, "\"rebalancing\":\"off\"");
    ask("PUT", "/cairn/v1/policy", client->admin, "{\"placement\":\"random\"}",
        400);
    ask("PUT", "/cairn/v1/policy", client->admin, "{\"colour\":1}", 400);
    ask("PUT", "/cairn/v1/policy", client->admin, "{\"reserve\":3}", 400);
    const char *packed =
        ask("POST", EXPLAIN, client->admin, "{\"flavor\":\"small\"}", 200);
    has(packed, "\"policy\":\"pack\",\"hosts\":[{\"node\":\"beta\"");
    ask("PATCH", "/cairn/v1/nodes/alpha", client->admin,
        "{\"traits\":[\"CUSTOM_SSD\"],\"resources\":{\"CUSTOM_X\":2},"
        "\"rack\":\"r1\",\"ram_overcommit\":2}",
        200);
    const char *more =
        ask("POST", EXPLAIN, client->admin, "{\"flavor\":\"big\"}", 200);
    has(more, "\"fits\":true");
    ask("PATCH", "/cairn/v1/nodes/alpha", client->admin,
        "{\"traits\":[\"no spaces\"]}", 400);
    ask("PATCH", "/cairn/v1/nodes/alpha", client->admin,
        "{\"resources\":{\"VCPU\":2}}", 400);
    ask("PATCH", "/cairn/v1/nodes/gamma", client->admin, "{}", 404);
}

#define POLICY "/cairn/v1/policy"

/* What is set is what is shown, is kept, and is what plans go by. */
static void policy_of_rebalancing(void **state)
{
    const char *usual = ask("GET", POLICY, client->admin, NULL, 200);
    has(usual, "\"weights\":{},");
    has(usual, "\"goals\":{\"evacuate\":100,\"repair\":100,\"relieve\":100,"
               "\"consolidate\":0,\"fill\":100,\"even\":0,"
               "\"defragment\":0},\"max_moves\":50,\"parallel\":4,"
               "\"per_host\":1,\"gain_percent\":200,\"places\":1,"
               "\"large\":null");
    ask("PUT", POLICY, client->admin,
        "{\"goals\":{\"even\":40,\"defragment\":10,\"fill\":0},"
        "\"large\":\"big\",\"places\":2,\"max_moves\":9,\"per_host\":2}",
        200);
    ask("PUT", POLICY, client->admin, "{\"goals\":{\"even\":50}}", 200);
    const char *now = ask("GET", POLICY, client->admin, NULL, 200);
    has(now, "\"fill\":0,\"even\":50,\"defragment\":10},\"max_moves\":9,"
             "\"parallel\":4,\"per_host\":2,\"gain_percent\":200,"
             "\"places\":2,\"large\":\"big\"");
    has(ask("GET", "/cairn/v1/plan", client->admin, NULL, 200),
        "\"goal\":\"even\"");
    ask("PUT", POLICY, client->admin,
        "{\"goals\":null,\"large\":null,\"places\":null,"
        "\"max_moves\":null,\"per_host\":null}",
        200);
    char was[sizeof(answer)];
    snprintf(was, sizeof(was), "%s",
             ask("GET", POLICY, client->admin, NULL, 200));
    has(was, "\"fill\":100,\"even\":0,\"defragment\":0},\"max_moves\":50,");
    lacks(ask("GET", "/cairn/v1/plan", client->admin, NULL, 200),
          "\"goal\":\"even\"");
}

static void policy_refuses(void **state)
{
    static const char *const bad[] = {
        "{\"goals\":{\"happiness\":1}}",
        "{\"goals\":{\"even\":-1}}",
        "{\"goals\":{\"even\":1001}}",
        "{\"goals\":{\"even\":\"much\"}}",
        "{\"goals\":{\"evacuate\":99}}",
        "{\"goals\":{\"defragment\":100}}", /* of what? */
        "{\"goals\":7}",
        "{\"weights\":{\"COLOUR\":1}}",
        "{\"weights\":{\"VCPU\":101}}",
        "{\"weights\":[1]}",
        "{\"max_moves\":0}",
        "{\"max_moves\":1001}",
        "{\"parallel\":\"4\"}",
        "{\"per_host\":17}",
        "{\"gain_percent\":99}",
    };
    char was[sizeof(answer)];
    snprintf(was, sizeof(was), "%s",
             ask("GET", POLICY, client->admin, NULL, 200));
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        ask("PUT", POLICY, client->admin, bad[i], 400);
    ask("PUT", POLICY, client->admin, "{\"large\":\"nothing\"}", 404);
    ask("PUT", POLICY, client->demo, "{}", 403);
    assert_string_equal(ask("GET", POLICY, client->admin, NULL, 200), was);
}

static void policy_weights(void **state)
{
    has(ask("PUT", POLICY, client->admin,
            "{\"placement\":\"pack\",\"weights\":{\"VCPU\":3,"
            "\"CUSTOM_X\":0,\"MEMORY_MB\":2}}",
            200),
        "\"weights\":{\"VCPU\":3,\"CUSTOM_X\":0,\"MEMORY_MB\":2}");
    has(ask("PUT", POLICY, client->admin, "{\"weights\":{\"CUSTOM_X\":null}}",
            200),
        "\"weights\":{\"VCPU\":3,\"MEMORY_MB\":2}");
    has(ask("PUT", POLICY, client->admin, "{\"weights\":null}", 200),
        "\"weights\":{}");
}

/* alpha has twice what beta has: half of the pool is free and beta's loss is
 * the one that can be borne. */
static void the_reserve(void **state)
{
    put_flavor("large", 5000);
    const char *kept =
        ask("PUT", "/cairn/v1/policy", client->admin, "{\"reserve\":1}", 200);
    has(kept, "\"reserve\":1,\"reserve_kept\":true");
    const char *none =
        ask("POST", EXPLAIN, client->admin, "{\"flavor\":\"large\"}", 200);
    has(none, "\"fits\":false");
    has(none, "1 node where the room kept for failures would be gone");
    has(none, "if alpha failed, it would find no place");
    has(none, "without the reserve for 1 failed node (1 node, e.g. alpha)");
    const char *own =
        ask("POST", EXPLAIN, client->demo, "{\"flavor\":\"large\"}", 200);
    has(own, "where the room kept for failures would be gone");
    lacks(own, "without the reserve");
    lacks(own, "alpha");
    has(ask("POST", EXPLAIN, client->admin, "{\"flavor\":\"small\"}", 200),
        "\"fitting\":2");
    const char *text =
        ask("POST", "/cairn/v1/placement/what-if", client->admin,
            "{\"place\":[{\"flavor\":\"small\",\"count\":9}]}", 200);
    has(text, "\"kept_before\":true,\"kept_after\":true");
    has(text, "\"asked\":9,\"placed\":4");
    const char *lost = ask("POST", "/cairn/v1/placement/what-if", client->admin,
                           "{\"lose\":[\"beta\"],"
                           "\"place\":[{\"flavor\":\"small\",\"count\":2}]}",
                           200);
    has(lost, "\"asked\":2,\"placed\":0");
}

static void a_reserve_that_cannot_be(void **state)
{
    const char *two =
        ask("PUT", "/cairn/v1/policy", client->admin, "{\"reserve\":2}", 200);
    has(two, "\"reserve_kept\":false,\"reserve_why\":\"2 nodes in service "
             "cannot bear the failure of 2: no server is placed before there "
             "are 3.");
    has(ask("POST", EXPLAIN, client->admin, "{\"flavor\":\"small\"}", 200),
        "if alpha and beta failed, it would find no place");
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

static void put_move(const char *id, int64_t ended, int status,
                     const char *dest, const char *reason)
{
    struct migration *m = record_new(&kind_migration, id);
    m->server_id = "s1";
    m->type = MIGRATION_LIVE;
    m->status = status;
    m->source = "alpha";
    m->dest = dest;
    m->reason = reason;
    m->ended = ended;
    put(m);
}

/* A server that was moved says by what, to administrators: the last move that
 * ended where it is, not one that failed or is under way. */
static void by_what_it_moved(void **state)
{
    static const char path[] = "/cairn/v1/servers/s1/placement";
    put_server("s1", client->demo_project);
    lacks(ask("GET", path, client->admin, NULL, 200), "moved");
    put_move("m1", 1000000, MIGRATION_COMPLETED, "beta", "drain of node alpha");
    put_move("m2", 3000000, MIGRATION_COMPLETED, "beta",
             "guests of alpha want 5.0 of its 4.0 CPUs");
    put_move("m3", 4000000, MIGRATION_ERROR, "beta", "it failed");
    put_move("m4", 5000000, MIGRATION_COMPLETED, "alpha", "it came back");
    put_move("m5", 0, MIGRATION_RUNNING, "beta", "on its way");
    ask("GET", path, client->admin, NULL, 200);
    has(answer, "\"from\":\"alpha\"");
    has(answer, "guests of alpha want 5.0 of its 4.0 CPUs");
    lacks(answer, "drain of node");
    lacks(answer, "it failed");
    lacks(answer, "came back");
    lacks(answer, "on its way");
    lacks(ask("GET", path, client->demo, NULL, 200), "moved");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_would_be_server),
        CASE(a_tenant_sees_no_nodes),
        CASE(a_decision_that_was_made),
        CASE(by_what_it_moved),
        CASE(what_if),
        CASE(policy_and_nodes),
        CASE(policy_of_rebalancing),
        CASE(policy_refuses),
        CASE(policy_weights),
        CASE(the_reserve),
        CASE(a_reserve_that_cannot_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
