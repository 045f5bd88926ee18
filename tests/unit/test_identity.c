/* The client itself, the first content, and the shape of things. */
#include "api_client.h"

#include "model/identity.h"
#include "model/pool.h"
#include "openstack-compat/bootstrap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int setup(void **state)
{
    *state = api_client_new();
    return 0;
}

static int teardown(void **state)
{
    api_client_free(*state);
    return 0;
}

static void test_versions(void **state)
{
    json_t *j = api_expect(*state, 300, "GET", "/identity/", NULL, NULL);
    assert_string_equal(api_text(j, "versions.values.0.id"), "v3.14");
    assert_string_equal(api_text(j, "versions.values.0.links.0.href"),
                        "https://cairn.test/identity/v3/");
    json_decref(j);
    j = api_expect(*state, 200, "GET", "/identity/v3/", NULL, NULL);
    assert_string_equal(api_text(j, "version.status"), "stable");
    json_decref(j);
    api_status(*state, 300, "GET", "/identity", NULL, NULL);
    api_status(*state, 404, "GET", "/identity/v2.0", NULL, NULL);
    api_status(*state, 200, "GET", "/healthz", NULL, NULL);
}

/* ---- bootstrap --------------------------------------------------------- */

static bool boot(struct api_client *c, const char *public_url, const char *cidr,
                 const char *password, struct error *err)
{
    struct bootstrap_opts opts = {
        .env = &c->env,
        .public_url = public_url,
        .admin_password = password,
        .external_cidr = cidr,
        .password_cost = 16,
    };
    struct snapshot *s = api_snapshot(c);
    bool ok = bootstrap(c->store, s, &opts, err);
    snapshot_unref(s);
    return ok;
}

static void test_boot_again(void **state)
{
    struct api_client *c = *state;
    struct error err = { 0 };
    struct snapshot *before = api_snapshot(c);
    assert_true(boot(c, "https://cairn.test", NULL, "other", &err));
    struct snapshot *after = api_snapshot(c);
    assert_int_equal(snapshot_revision(before), snapshot_revision(after));
    snapshot_unref(before);
    snapshot_unref(after);
    char *token = api_login(c, "admin", API_ADMIN_PASSWORD, "admin");
    assert_non_null(token);
    free(token);
}

static void test_boot_moved(void **state)
{
    struct api_client *c = *state;
    struct error err = { 0 };
    assert_true(boot(c, "https://new.test", NULL, NULL, &err));
    struct snapshot *s = api_snapshot(c);
    struct snap_iter it = snap_all(s, &kind_endpoint);
    size_t n = 0;
    for (const struct endpoint *e; (e = snap_next(&it)); n++)
        assert_int_equal(strncmp(e->url, "https://new.test/", 17), 0);
    assert_int_equal(n, 3 * snap_count(s, &kind_service));
    const struct pool *p = snap_get(s, &kind_pool, "pool");
    assert_string_equal(p->public_url, "https://new.test");
    snapshot_unref(s);
}

/* A service that this build has and the catalogue has not is added. */
static void test_boot_adds_services(void **state)
{
    struct api_client *c = *state;
    struct error err = { 0 };
    json_t *j =
        api_expect(c, 200, "GET", "/identity/v3/services", c->admin, NULL);
    size_t all = json_array_size(json_object_get(j, "services"));
    char path[128];
    snprintf(path, sizeof(path), "/identity/v3/services/%s",
             api_text(j, "services.0.id"));
    json_decref(j);
    api_status(c, 204, "DELETE", path, c->admin, NULL);
    assert_true(boot(c, "https://cairn.test", NULL, NULL, &err));
    struct snapshot *s = api_snapshot(c);
    assert_int_equal(snap_count(s, &kind_service), all);
    assert_int_equal(snap_count(s, &kind_endpoint), 3 * all);
    snapshot_unref(s);
}

static void test_boot_refuses(void **state)
{
    struct api_client *c = *state;
    static const struct {
        const char *cidr, *password;
    } bad[] = { { "203.0.113.0/33", "x" },
                { "nonsense", "x" },
                { NULL, "" },
                { NULL, NULL } };
    struct snapshot *s = api_snapshot(c);
    const struct pool *was = snap_get(s, &kind_pool, "pool");
    struct txn_result result;
    struct txn txn = TXN_INIT;
    txn_delete_record(&txn, was);
    assert_true(store_commit(c->store, &txn, &result));
    snapshot_unref(s);
    api_status(c, 503, "GET", "/healthz", NULL, NULL);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct error err = { 0 };
        assert_false(
            boot(c, "https://cairn.test", bad[i].cidr, bad[i].password, &err));
        assert_int_equal(err.code, ERR_INVALID);
    }
    struct error err = { 0 };
    assert_false(boot(c, NULL, NULL, "x", &err));
    assert_int_equal(err.code, ERR_INVALID);
    /* What is there already is not written over. */
    assert_false(boot(c, "https://cairn.test", NULL, "x", &err));
    assert_int_equal(err.code, ERR_CONFLICT);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_versions),     TEST(test_boot_again),
        TEST(test_boot_moved),   TEST(test_boot_adds_services),
        TEST(test_boot_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
