/* Tokens: every method and scope, what ends them, and who lies. */
#include "api_client.h"

#include "model/pool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TOKENS "/identity/v3/auth/tokens"

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

/* `scope` is a member with its comma, or "". */
static struct api_reply by_password(struct api_client *c, const char *user,
                                    const char *password, const char *scope)
{
    return api_callf(c, "POST", TOKENS, NULL,
                     "{\"auth\": {\"identity\": {\"methods\": [\"password\"],"
                     "\"password\": {\"user\": {\"name\": \"%s\","
                     "\"domain\": {\"name\": \"Default\"},"
                     "\"password\": \"%s\"}}} %s}}",
                     user, password, scope);
}

static struct api_reply by_token(struct api_client *c, const char *token,
                                 const char *scope)
{
    return api_callf(c, "POST", TOKENS, NULL,
                     "{\"auth\": {\"identity\": {\"methods\": [\"token\"],"
                     "\"token\": {\"id\": \"%s\"}} %s}}",
                     token, scope);
}

static void subject(struct api_client *c, const char *token)
{
    c->headers[0] = (struct param){ "X-Subject-Token", token };
}

static bool has_role(const json_t *json, const char *name)
{
    const json_t *roles = api_at(json, "token.roles");
    for (size_t i = 0; i < json_array_size(roles); i++)
        if (strcmp(api_text(json_array_get(roles, i), "name"), name) == 0)
            return true;
    return false;
}

static void expect_status(struct api_reply r, int status)
{
    if (r.status != status)
        fail_msg("%d instead of %d: %s", r.status, status, r.body);
    api_reply_free(&r);
}

/* ---- what a token says ------------------------------------------------- */

static void test_default_scope(void **state)
{
    struct api_client *c = *state;
    struct api_reply r = by_password(c, "admin", API_ADMIN_PASSWORD, "");
    assert_int_equal(r.status, 201);
    assert_string_equal(api_text(r.json, "token.project.name"), "admin");
    assert_string_equal(api_text(r.json, "token.project.domain.id"), "default");
    assert_string_equal(api_text(r.json, "token.user.name"), "admin");
    assert_string_equal(api_text(r.json, "token.methods.0"), "password");
    assert_int_equal(json_array_size(api_at(r.json, "token.audit_ids")), 1);
    assert_true(has_role(r.json, "admin"));
    assert_true(has_role(r.json, "reader"));
    assert_true(json_array_size(api_at(r.json, "token.catalog")) > 0);
    assert_string_equal(api_text(r.json, "token.catalog.0.endpoints.0.region"),
                        "RegionOne");
    api_reply_free(&r);
}

static void test_catalog_left_out(void **state)
{
    struct api_client *c = *state;
    json_t *j = api_expect(
        c, 201, "POST", TOKENS "?nocatalog", NULL,
        "{\"auth\": {\"identity\": {\"methods\": [\"password\"], \"password\":"
        "{\"user\": {\"name\": \"demo\", \"domain\": {\"id\": \"default\"},"
        "\"password\": \"" API_DEMO_PASSWORD "\"}}}}}");
    assert_null(api_at(j, "token.catalog"));
    assert_true(has_role(j, "member"));
    assert_false(has_role(j, "admin"));
    json_decref(j);
}

static void test_unscoped(void **state)
{
    struct api_client *c = *state;
    struct api_reply r =
        by_password(c, "demo", API_DEMO_PASSWORD, ", \"scope\": \"unscoped\"");
    assert_int_equal(r.status, 201);
    assert_null(api_at(r.json, "token.project"));
    assert_null(api_at(r.json, "token.roles"));
    assert_null(api_at(r.json, "token.catalog"));
    json_t *j =
        api_expect(c, 200, "GET", "/identity/v3/auth/projects", r.token, NULL);
    assert_int_equal(json_array_size(api_at(j, "projects")), 1);
    assert_string_equal(api_text(j, "projects.0.name"), "demo");
    json_decref(j);
    api_status(c, 403, "GET", "/identity/v3/auth/catalog", r.token, NULL);
    api_reply_free(&r);
}

static void test_other_scopes(void **state)
{
    struct api_client *c = *state;
    struct api_reply r =
        by_password(c, "admin", API_ADMIN_PASSWORD,
                    ", \"scope\": {\"system\": {\"all\": true}}");
    assert_int_equal(r.status, 201);
    assert_true(json_is_true(api_at(r.json, "token.system.all")));
    expect_status(by_token(c, r.token,
                           ", \"scope\": {\"domain\": {\"id\": \"default\"}}"),
                  403);
    api_reply_free(&r);
    r = by_password(
        c, "admin", API_ADMIN_PASSWORD,
        ", \"scope\": {\"domain\": {\"domain\": {\"id\": \"default\"}}}");
    assert_int_equal(r.status, 400);
    api_reply_free(&r);
    r = by_password(c, "admin", API_ADMIN_PASSWORD,
                    ", \"scope\": {\"domain\": {\"name\": \"Default\"}}");
    assert_int_equal(r.status, 201);
    assert_string_equal(api_text(r.json, "token.domain.id"), "default");
    api_reply_free(&r);
    expect_status(by_password(c, "demo", API_DEMO_PASSWORD,
                              ", \"scope\": {\"system\": {\"all\": true}}"),
                  401);
    expect_status(by_password(c, "demo", API_DEMO_PASSWORD,
                              ", \"scope\": {\"project\": {\"name\": \"admin\","
                              "\"domain\": {\"id\": \"default\"}}}"),
                  401);
}

static void test_rescope(void **state)
{
    struct api_client *c = *state;
    struct api_reply a =
        by_password(c, "demo", API_DEMO_PASSWORD, ", \"scope\": \"unscoped\"");
    assert_int_equal(a.status, 201);
    api_sleep(c, 60 * SECOND_US);
    struct api_reply b =
        by_token(c, a.token,
                 ", \"scope\": {\"project\": {\"name\": \"demo\","
                 "\"domain\": {\"name\": \"Default\"}}}");
    assert_int_equal(b.status, 201);
    assert_string_equal(api_text(b.json, "token.project.name"), "demo");
    assert_string_equal(api_text(b.json, "token.expires_at"),
                        api_text(a.json, "token.expires_at"));
    assert_string_equal(api_text(b.json, "token.audit_ids.1"),
                        api_text(a.json, "token.audit_ids.0"));
    assert_int_equal(json_array_size(api_at(b.json, "token.methods")), 2);
    api_reply_free(&a);
    api_reply_free(&b);
}

/* ---- what ends a token ------------------------------------------------- */

static void test_expiry(void **state)
{
    struct api_client *c = *state;
    subject(c, c->demo);
    api_status(c, 200, "GET", TOKENS, c->demo, NULL);
    api_sleep(c, 3601 * SECOND_US);
    api_status(c, 401, "GET", TOKENS, c->demo, NULL);
    char *admin = api_login(c, "admin", API_ADMIN_PASSWORD, "admin");
    api_status(c, 404, "GET", TOKENS, admin, NULL);
    api_status(c, 200, "GET", TOKENS "?allow_expired=1", admin, NULL);
    api_sleep(c, 1800 * SECOND_US);
    api_status(c, 200, "GET", TOKENS "?allow_expired=1", admin, NULL);
    free(admin);
}

static void test_revocation(void **state)
{
    struct api_client *c = *state;
    char *again = api_login(c, "demo", API_DEMO_PASSWORD, "demo");
    subject(c, c->demo);
    api_status(c, 200, "HEAD", TOKENS, c->admin, NULL);
    api_status(c, 204, "DELETE", TOKENS, c->demo, NULL);
    api_status(c, 401, "GET", "/identity/v3/auth/projects", c->demo, NULL);
    api_status(c, 404, "GET", TOKENS, c->admin, NULL);
    api_status(c, 200, "GET", "/identity/v3/auth/projects", again, NULL);
    subject(c, c->admin);
    api_status(c, 403, "GET", TOKENS, again, NULL);
    api_status(c, 403, "DELETE", TOKENS, again, NULL);
    subject(c, NULL);
    api_status(c, 404, "GET", TOKENS, c->admin, NULL);
    free(again);
}

static void patch_user(struct api_client *c, const char *id, const char *body)
{
    char path[128];
    snprintf(path, sizeof(path), "/identity/v3/users/%s", id);
    api_status(c, 200, "PATCH", path, c->admin, body);
}

static void test_disabled_user(void **state)
{
    struct api_client *c = *state;
    patch_user(c, c->demo_user, "{\"user\": {\"enabled\": false}}");
    api_status(c, 401, "GET", "/identity/v3/auth/projects", c->demo, NULL);
    assert_null(api_login(c, "demo", API_DEMO_PASSWORD, "demo"));
    patch_user(c, c->demo_user, "{\"user\": {\"enabled\": true}}");
    api_status(c, 401, "GET", "/identity/v3/auth/projects", c->demo, NULL);
    char *demo = api_login(c, "demo", API_DEMO_PASSWORD, "demo");
    assert_non_null(demo);
    free(demo);
}

static void test_change_password(void **state)
{
    struct api_client *c = *state;
    char path[128];
    snprintf(path, sizeof(path), "/identity/v3/users/%s/password",
             c->demo_user);
    api_status(c, 401, "POST", path, c->demo,
               "{\"user\": {\"original_password\": \"wrong\","
               "\"password\": \"new\"}}");
    api_status(c, 400, "POST", path, c->demo,
               "{\"user\": {\"password\": \"new\"}}");
    api_status(c, 204, "POST", path, c->demo,
               "{\"user\": {\"original_password\": \"" API_DEMO_PASSWORD "\","
               "\"password\": \"new\"}}");
    api_status(c, 401, "GET", "/identity/v3/auth/projects", c->demo, NULL);
    assert_null(api_login(c, "demo", API_DEMO_PASSWORD, "demo"));
    char *demo = api_login(c, "demo", "new", "demo");
    assert_non_null(demo);
    free(demo);
    patch_user(c, c->demo_user, "{\"user\": {\"password\": \"by-admin\"}}");
    demo = api_login(c, "demo", "by-admin", "demo");
    assert_non_null(demo);
    free(demo);
    api_status(c, 401, "POST", "/identity/v3/users/nobody/password", NULL,
               "{\"user\": {\"original_password\": \"a\","
               "\"password\": \"b\"}}");
}

/* ---- application credentials ------------------------------------------- */

static json_t *make_credential(struct api_client *c, const char *token,
                               const char *more)
{
    char path[128];
    snprintf(path, sizeof(path),
             "/identity/v3/users/%s/application_credentials", c->demo_user);
    struct api_reply r =
        api_callf(c, "POST", path, token,
                  "{\"application_credential\": {\"name\": \"ci\"%s}}", more);
    if (r.status != 201)
        fail_msg("%d: %s", r.status, r.body);
    json_t *j = json_incref(r.json);
    api_reply_free(&r);
    return j;
}

static struct api_reply by_credential(struct api_client *c, const char *id,
                                      const char *secret, const char *scope)
{
    return api_callf(c, "POST", TOKENS, NULL,
                     "{\"auth\": {\"identity\": {\"methods\":"
                     "[\"application_credential\"],"
                     "\"application_credential\": {\"id\": \"%s\","
                     "\"secret\": \"%s\"}}%s}}",
                     id, secret, scope);
}

static void test_credential(void **state)
{
    struct api_client *c = *state;
    json_t *j = make_credential(c, c->demo, "");
    const char *id = api_text(j, "application_credential.id");
    const char *secret = api_text(j, "application_credential.secret");
    char path[200], other[200];
    assert_true(strlen(secret) >= 43);
    struct api_reply r = by_credential(c, id, secret, "");
    assert_int_equal(r.status, 201);
    assert_string_equal(api_text(r.json, "token.project.name"), "demo");
    assert_string_equal(api_text(r.json, "token.application_credential.name"),
                        "ci");
    expect_status(by_credential(c, id, "wrong", ""), 401);
    expect_status(by_credential(c, "unknown", secret, ""), 401);
    expect_status(by_credential(c, id, secret,
                                ", \"scope\": {\"system\": {\"all\": true}}"),
                  401);
    expect_status(by_token(c, r.token, ""), 201);
    expect_status(
        by_token(c, r.token, ", \"scope\": {\"project\": {\"id\": \"x\"}}"),
        403);
    snprintf(path, sizeof(path),
             "/identity/v3/users/%s/application_credentials", c->demo_user);
    api_status(c, 403, "POST", path, r.token,
               "{\"application_credential\": {\"name\": \"second\"}}");
    json_t *list = api_expect(c, 200, "GET", path, c->demo, NULL);
    assert_int_equal(json_array_size(api_at(list, "application_credentials")),
                     1);
    assert_null(api_at(list, "application_credentials.0.secret"));
    json_decref(list);
    snprintf(other, sizeof(other),
             "/identity/v3/users/%s/application_credentials/%s", c->demo_user,
             id);
    api_status(c, 403, "DELETE", other, r.token, NULL);
    api_status(c, 204, "DELETE", other, c->demo, NULL);
    api_status(c, 404, "GET", other, c->demo, NULL);
    api_status(c, 401, "GET", "/identity/v3/auth/projects", r.token, NULL);
    expect_status(by_credential(c, id, secret, ""), 401);
    api_reply_free(&r);
    json_decref(j);
    json_decref(make_credential(c, c->demo, "")); /* the name is free again */
}

static void test_credential_choices(void **state)
{
    struct api_client *c = *state;
    json_t *j = make_credential(c, c->demo,
                                ", \"secret\": \"mine\", \"roles\":"
                                "[{\"name\": \"reader\"}],"
                                "\"expires_at\": \"2026-11-20T00:00:00\"");
    char path[128];
    struct api_reply r =
        by_credential(c, api_text(j, "application_credential.id"), "mine", "");
    assert_int_equal(r.status, 201);
    assert_int_equal(json_array_size(api_at(r.json, "token.roles")), 1);
    assert_true(has_role(r.json, "reader"));
    api_reply_free(&r);
    r = api_callf(c, "POST", TOKENS, NULL,
                  "{\"auth\": {\"identity\": {\"methods\":"
                  "[\"application_credential\"],"
                  "\"application_credential\": {\"name\": \"ci\", \"user\":"
                  "{\"id\": \"%s\"}, \"secret\": \"mine\"}}}}",
                  c->demo_user);
    assert_int_equal(r.status, 201);
    api_reply_free(&r);
    expect_status(
        by_credential(c, api_text(j, "application_credential.id"), "yours", ""),
        401);
    snprintf(path, sizeof(path),
             "/identity/v3/users/%s/application_credentials", c->demo_user);
    static const char *const bad[] = {
        "{\"application_credential\": {\"name\": \"b\", \"roles\":"
        "[{\"name\": \"admin\"}]}}",
        "{\"application_credential\": {\"name\": \"b\", \"expires_at\":"
        "\"2020-01-01T00:00:00\"}}",
        "{\"application_credential\": {\"name\": \"b\", \"expires_at\": 5}}",
        "{\"application_credential\": {\"name\": \"\"}}",
        "{\"application_credential\": {}}",
        "{\"application_credential\": {\"name\": \"b\", \"secret\": 7}}",
        "{\"application_credential\": {\"name\": \"b\", \"access_rules\":"
        "[{\"path\": \"/\", \"method\": \"GET\", \"service\": \"x\"}]}}",
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        api_status(c, 400, "POST", path, c->demo, bad[i]);
    api_status(c, 409, "POST", path, c->demo,
               "{\"application_credential\": {\"name\": \"ci\"}}");
    api_status(c, 403, "POST", path, c->admin,
               "{\"application_credential\": {\"name\": \"for demo\"}}");
    json_decref(j);
    api_sleep(c, 7 * 24 * 3600 * SECOND_US); /* past its end */
    char *demo = api_login(c, "demo", API_DEMO_PASSWORD, "demo");
    j = api_expect(c, 200, "GET", path, demo, NULL);
    expect_status(by_credential(c, api_text(j, "application_credentials.0.id"),
                                "mine", ""),
                  401);
    json_decref(j);
    free(demo);
}

/* ---- who lies ---------------------------------------------------------- */

static void test_same_answer(void **state)
{
    struct api_client *c = *state;
    struct api_reply a = by_password(c, "demo", "wrong", "");
    struct api_reply b = by_password(c, "nobody", "wrong", "");
    assert_int_equal(a.status, 401);
    assert_int_equal(b.status, 401);
    assert_string_equal(a.body, b.body);
    api_reply_free(&a);
    api_reply_free(&b);
}

static void test_forged(void **state)
{
    struct api_client *c = *state;
    static const char *const garbage[] = { "x", "gAAAAABf", "....", "\"'<>" };
    for (size_t i = 0; i < ARRAY_SIZE(garbage); i++) {
        api_status(c, 401, "GET", "/identity/v3/auth/projects", garbage[i],
                   NULL);
        subject(c, garbage[i]);
        api_status(c, 404, "GET", TOKENS, c->admin, NULL);
    }
    char *bent = strdup(c->admin);
    bent[strlen(bent) / 2] ^= 1;
    api_status(c, 401, "GET", "/identity/v3/users", bent, NULL);
    expect_status(by_token(c, "forged", ""), 401);
    /* A bad token does not stand in the way of what needs none. */
    api_status(c, 200, "GET", "/identity/v3", bent, NULL);
    free(bent);
}

static void test_malformed(void **state)
{
    static const char *const bad[] = {
        "",
        "{",
        "[]",
        "null",
        "{}",
        "{\"auth\": 1}",
        "{\"auth\": {}}",
        "{\"auth\": {\"identity\": []}}",
        "{\"auth\": {\"identity\": {\"methods\": []}}}",
        "{\"auth\": {\"identity\": {\"methods\": \"password\"}}}",
        "{\"auth\": {\"identity\": {\"methods\": [\"password\"]}}}",
        "{\"auth\": {\"identity\": {\"methods\": [\"password\"],"
        "\"password\": {\"user\": 5}}}}",
        "{\"auth\": {\"identity\": {\"methods\": [\"password\"],"
        "\"password\": {\"user\": {\"id\": 5, \"password\": \"x\"}}}}}",
        "{\"auth\": {\"identity\": {\"methods\": [\"password\"],"
        "\"password\": {\"user\": {\"name\": \"x\", \"password\": \"x\"}}}}}",
        "{\"auth\": {\"identity\": {\"methods\": [\"password\"],"
        "\"password\": {\"user\": {\"id\": \"x\"}}}}}",
        "{\"auth\": {\"identity\": {\"methods\": [\"password\"],"
        "\"password\": {\"user\": {\"id\": \"x\", \"password\": {}}}}}}",
        "{\"auth\": {\"identity\": {\"methods\": [\"token\"]}}}",
        "{\"auth\": {\"identity\": {\"methods\": [\"token\"],"
        "\"token\": {\"id\": null}}}}",
        "{\"auth\": {\"identity\": {\"methods\":"
        "[\"application_credential\"], \"application_credential\": {}}}}",
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        api_status(*state, 400, "POST", TOKENS, NULL, bad[i]);
    api_status(*state, 401, "POST", TOKENS, NULL,
               "{\"auth\": {\"identity\": {\"methods\": [\"oauth\"]}}}");
    api_status(*state, 401, "POST", TOKENS, NULL,
               "{\"auth\": {\"identity\": {\"methods\": [7]}}}");
}

static void test_bad_scopes(void **state)
{
    static const struct {
        int status;
        const char *scope;
    } bad[] = {
        { 400, ", \"scope\": 5" },
        { 400, ", \"scope\": {}" },
        { 400, ", \"scope\": {\"project\": 1}" },
        { 400, ", \"scope\": {\"project\": {}}" },
        { 400, ", \"scope\": {\"project\": {\"name\": \"demo\"}}" },
        { 400, ", \"scope\": {\"project\": {\"id\": []}}" },
        { 400, ", \"scope\": {\"system\": {}}" },
        { 400, ", \"scope\": {\"domain\": {}}" },
        { 400, ", \"scope\": {\"domain\": {\"id\": \"a\"}, \"project\": {}}" },
        { 401, ", \"scope\": {\"project\": {\"id\": \"unknown\"}}" },
        { 401, ", \"scope\": {\"domain\": {\"id\": \"unknown\"}}" },
        { 401, ", \"scope\": {\"project\": {\"name\": \"demo\","
               "\"domain\": {\"id\": \"unknown\"}}}" },
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        expect_status(
            by_password(*state, "demo", API_DEMO_PASSWORD, bad[i].scope),
            bad[i].status);
}

static void test_endless_strings(void **state)
{
    struct api_client *c = *state;
    static char big[60000];
    memset(big, 'a', sizeof(big) - 1);
    expect_status(by_password(c, "demo", big, ""), 401);
    expect_status(by_password(c, big, "x", ""), 401);
    expect_status(by_token(c, big, ""), 401);
    struct api_reply r = api_callf(
        c, "POST", TOKENS, NULL,
        "{\"auth\": {\"identity\": {\"methods\": [\"password\"], \"password\":"
        "{\"user\": {\"id\": \"%s\", \"password\": \"" API_DEMO_PASSWORD
        "\"}}},"
        "\"scope\": {\"project\": {\"id\": \"%s\"}}}}",
        c->demo_user, big);
    expect_status(r, 401);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_default_scope),
        TEST(test_catalog_left_out),
        TEST(test_unscoped),
        TEST(test_other_scopes),
        TEST(test_rescope),
        TEST(test_expiry),
        TEST(test_revocation),
        TEST(test_disabled_user),
        TEST(test_change_password),
        TEST(test_credential),
        TEST(test_credential_choices),
        TEST(test_same_answer),
        TEST(test_forged),
        TEST(test_malformed),
        TEST(test_bad_scopes),
        TEST(test_endless_strings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
