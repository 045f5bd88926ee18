/* A request in a pool of two: seen through any node, or not denied. */
#include "test.h"

#include "api_client.h"
#include "model/pool.h"

#define NETWORKS "/network/v2.0/networks"
#define MINUTE   (60 * SECOND_US)

static void put_member(struct api_client *c, const char *name)
{
    _autotxn_ struct txn t = TXN_INIT;
    _autorecord_ struct member *m = record_new(&kind_member, name);
    m->address = "192.0.2.1";
    txn_change_record(&t, m);
    assert_true(store_commit(c->store, &t, NULL));
}

static int setup(void **state)
{
    struct api_client *c = *state = api_client_new();
    put_member(c, "n1");
    put_member(c, "n2");
    return 0;
}

static int teardown(void **state)
{
    api_client_free(*state);
    return 0;
}

static void alone_nothing_is_confirmed(void **state)
{
    struct api_client *c = api_client_new();
    put_member(c, "n1");
    api_status(c, 200, "GET", NETWORKS, c->demo, NULL);
    assert_int_equal(c->confirms, 0);
    api_client_free(c);
}

static void each_request_is_confirmed_once(void **state)
{
    static const struct {
        const char *method, *path, *body;
        int status;
        unsigned confirms;
    } calls[] = {
        { "GET", NETWORKS, NULL, 200, 1 },
        { "GET", NETWORKS "/no-such", NULL, 404, 1 },
        { "DELETE", NETWORKS "/no-such", NULL, 404, 1 },
        { "POST", NETWORKS, "{\"network\": {\"name\": \"a\"}}", 201, 1 },
        { "POST", NETWORKS, "{\"network\": 7}", 400, 1 },
        { "GET", "/network/", NULL, 200, 0 }, /* the same on all nodes */
        { "GET", "/nothing/here", NULL, 404, 0 },
        { "POST", "/identity/v3/auth/tokens", "{}", 400, 1 },
    };
    struct api_client *c = *state;
    for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
        c->confirms = 0;
        struct api_reply r =
            api_call(c, calls[i].method, calls[i].path, c->demo, calls[i].body);
        if (r.status != calls[i].status || c->confirms != calls[i].confirms)
            fail_msg("%s %s: %d, %u times confirmed", calls[i].method,
                     calls[i].path, r.status, c->confirms);
        assert_null(r.unconfirmed);
        api_reply_free(&r);
    }
}

/* Without a token there is nothing to find out; with one there is. */
static void strangers(void **state)
{
    struct api_client *c = *state;
    c->confirms = 0;
    api_status(c, 401, "GET", NETWORKS, NULL, NULL);
    assert_int_equal(c->confirms, 0);
    api_status(c, 401, "GET", NETWORKS, "gAAAA-nonsense", NULL);
    assert_int_equal(c->confirms, 1);
    api_status(c, 403, "POST", "/identity/v3/projects", c->demo,
               "{\"project\": {\"name\": \"p\"}}");
    assert_int_equal(c->confirms, 2);
}

static void set_admin(struct api_client *c, const char *method)
{
    _autosnap_ struct snapshot *s = api_snapshot(c);
    const struct record *role = snap_find(s, &kind_role, "name", "admin");
    char path[200];
    snprintf(path, sizeof(path), "/identity/v3/projects/%s/users/%s/roles/%s",
             c->demo_project, c->demo_user, role->id);
    api_status(c, 204, method, path, c->admin, NULL);
}

static void gets_role(struct api_client *c)
{
    set_admin(c, "PUT");
}

static void loses_role(struct api_client *c)
{
    set_admin(c, "DELETE");
}

/* It is the confirmed snapshot that says who asks, not the one that was there
 * when the request came. */
static void who_asks_is_found_out_on_what_is_current(void **state)
{
#define PROJECT "{\"project\": {\"name\": \"%s\"}}"
    struct api_client *c = *state;
    char text[80];
    snprintf(text, sizeof(text), PROJECT, "one");
    c->confirming = gets_role;
    api_status(c, 201, "POST", "/identity/v3/projects", c->demo, text);
    snprintf(text, sizeof(text), PROJECT, "two");
    c->confirming = loses_role;
    api_status(c, 403, "POST", "/identity/v3/projects", c->demo, text);
}

static void what_is_not_remembered_is_not_denied(void **state)
{
    struct api_client *c = *state;
    _autojson_ json_t *made = api_expect(c, 201, "POST", NETWORKS, c->demo,
                                         "{\"network\": {\"name\": \"a\"}}");
    char path[120];
    snprintf(path, sizeof(path), NETWORKS "/%s", api_text(made, "network.id"));
    c->unconfirmed = true;
    c->age = 7 * SECOND_US;
    struct api_reply r = api_call(c, "GET", path, c->demo, NULL);
    assert_int_equal(r.status, 200);
    assert_string_equal(r.unconfirmed, "7");
    api_reply_free(&r);
    static const char *const methods[] = { "GET", "DELETE" };
    for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
        r = api_call(c, methods[i], NETWORKS "/other", c->demo, NULL);
        assert_int_equal(r.status, 503);
        assert_string_equal(r.retry_after, "1");
        assert_string_equal(r.unconfirmed, "7");
        api_reply_free(&r);
    }
    api_status(c, 404, "GET", "/nothing/here", c->demo, NULL);
    api_status(c, 401, "GET", path, "gAAAA-nonsense", NULL);
    c->unconfirmed = false;
    api_status(c, 404, "GET", NETWORKS "/other", c->demo, NULL);
}

static void memory_ends(void **state)
{
    static const struct {
        const char *path;
        int64_t age;
        int status;
    } calls[] = {
        { NETWORKS, MINUTE, 200 },
        { NETWORKS, MINUTE + 1, 503 },
        { "/compute/v2.1/servers/detail", 60 * MINUTE, 503 },
        { "/identity/v3/projects", 60 * MINUTE, 200 },
        { "/cairn/v1/nodes", 60 * MINUTE, 200 },
        { "/network/", 60 * MINUTE, 200 },
    };
    struct api_client *c = *state;
    c->unconfirmed = true;
    for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
        c->age = calls[i].age;
        struct api_reply r = api_call(c, "GET", calls[i].path, c->admin, NULL);
        if (r.status != calls[i].status)
            fail_msg("%s: %d", calls[i].path, r.status);
        assert_true(r.status != 503 || r.retry_after);
        api_reply_free(&r);
    }
    char *token = api_login(c, "admin", API_ADMIN_PASSWORD, "admin");
    assert_non_null(token); /* to find out what is wrong */
    free(token);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(alone_nothing_is_confirmed),
        T(each_request_is_confirmed_once),
        T(strangers),
        T(who_asks_is_found_out_on_what_is_current),
        T(what_is_not_remembered_is_not_denied),
        T(memory_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
