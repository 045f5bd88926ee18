/* auth: who may what, and everything that takes it away again. */
#include "test.h"

#include "rest-api/auth.h"
#include "rest-api/route.h"
#include "state/cache.h"

#include <stdio.h>
#include <string.h>

#define HOUR (3600 * SECOND_US)

/* No request of these tests gets as far as a route. */
const struct service_api *const api_services[] = { NULL };

struct house {
    struct store *store;
    struct cache *cache;
    struct tokens *tokens;
    struct auth_memory *memory;
    struct api api;
    const char *token; /* the header of the next request */
};

/* One changed or new record, committed. */
#define PUT(h_, type_, id_, ...)                                               \
    do {                                                                       \
        struct type_ *rec_ = record_new(&kind_##type_, id_);                   \
        struct record head_ = rec_->rec;                                       \
        *rec_ = (struct type_){ .rec = head_, __VA_ARGS__ };                   \
        _autotxn_ struct txn txn_ = TXN_INIT;                                  \
        txn_put_record(&txn_, rec_);                                           \
        record_unref(rec_);                                                    \
        commit(h_, &txn_);                                                     \
    } while (0)

static void commit(struct house *h, struct txn *t)
{
    struct txn_result result;
    assert_true(store_commit(h->store, t, &result));
}

static void drop(struct house *h, const char *key)
{
    _autotxn_ struct txn t = TXN_INIT;
    txn_delete(&t, key);
    commit(h, &t);
}

static void assign(struct house *h, int actor_type, const char *actor,
                   int target_type, const char *target, const char *role,
                   bool inherited)
{
    char id[200];
    snprintf(id, sizeof(id), "%s/%s/%s%s", actor, target, role,
             inherited ? "/inherited" : "");
    PUT(h, assignment, id, .actor_type = actor_type, .actor_id = actor,
        .target_type = target_type, .target_id = target, .role_id = role,
        .inherited = inherited);
}

static void fill(struct house *h)
{
    PUT(h, token_key, "00000001",
        .secret = "0123456789abcdef0123456789abcdef"
                  "0123456789abcdef0123456789abcdef",
        .created = 1);
    PUT(h, domain, "default", .name = "Default", .enabled = true);
    PUT(h, domain, "other", .name = "Other", .enabled = true);
    PUT(h, project, "p", .domain_id = "default", .name = "p", .enabled = true);
    PUT(h, project, "child", .domain_id = "default", .parent_id = "p",
        .name = "child", .enabled = true);
    PUT(h, project, "q", .domain_id = "default", .name = "q", .enabled = true);
    PUT(h, user, "u", .domain_id = "default", .name = "u", .enabled = true);
    PUT(h, user, "v", .domain_id = "other", .name = "v", .enabled = true);
    PUT(h, role, "r-admin", .name = "admin");
    PUT(h, role, "r-member", .name = "member");
    PUT(h, role, "r-reader", .name = "reader");
    PUT(h, role, "r-own", .name = "own", .domain_id = "default");
    PUT(h, role_inference, "r-admin/r-member", .prior_id = "r-admin",
        .implied_id = "r-member");
    PUT(h, role_inference, "r-member/r-reader", .prior_id = "r-member",
        .implied_id = "r-reader");
    PUT(h, role_inference, "r-reader/r-reader", .prior_id = "r-reader",
        .implied_id = "r-reader"); /* a circle must end */
    PUT(h, role_inference, "r-own/r-reader", .prior_id = "r-own",
        .implied_id = "r-reader");
    PUT(h, group, "g", .domain_id = "default", .name = "g");
    PUT(h, group_member, "g/v", .group_id = "g", .user_id = "v");
    assign(h, ACTOR_USER, "u", TARGET_PROJECT, "p", "r-member", false);
}

static int setup(void **state)
{
    struct error err;
    struct house *h = xcalloc(1, sizeof(*h));
    h->store = store_memory_open(&env_system);
    h->cache = cache_new(model_kinds, N_KINDS);
    h->tokens = tokens_new(&env_system, h->cache);
    h->memory = auth_memory_new(h->cache);
    h->api = (struct api){ .env = &env_system,
                           .cache = h->cache,
                           .tokens = h->tokens,
                           .auth_memory = h->memory,
                           .authenticate = auth_request };
    assert_true(cache_follow(h->cache, h->store, &err));
    fill(h);
    *state = h;
    return 0;
}

static int teardown(void **state)
{
    struct house *h = *state;
    cache_unfollow(h->cache);
    auth_memory_free(h->memory);
    tokens_free(h->tokens);
    cache_free(h->cache);
    store_close(h->store);
    free(h);
    return 0;
}

/* ---- roles ------------------------------------------------------------- */

/* "r-member,r-reader" */
static void roles_are(struct house *h, const char *user, enum scope scope,
                      const char *target, const char *want)
{
    struct arena a = { 0 };
    struct strs ids;
    char got[200] = "";
    _autosnap_ struct snapshot *snap = cache_snapshot(h->cache);
    bool any = auth_roles(snap, user, scope, target, &a, &ids);
    assert_int_equal(any, ids.n > 0);
    for (size_t i = 0; i < ids.n; i++)
        snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s%s",
                 i ? "," : "", ids.v[i]);
    arena_free(&a);
    assert_string_equal(got, want);
}

static void roles_of_a_user(void **state)
{
    struct house *h = *state;
    roles_are(h, "u", SCOPE_PROJECT, "p", "r-member,r-reader");
    roles_are(h, "u", SCOPE_PROJECT, "q", "");
    roles_are(h, "u", SCOPE_PROJECT, "child", "");
    roles_are(h, "u", SCOPE_PROJECT, "none", "");
    roles_are(h, "u", SCOPE_PROJECT, NULL, "");
    roles_are(h, "u", SCOPE_DOMAIN, "p", "");
    roles_are(h, "u", SCOPE_NONE, NULL, "");
    roles_are(h, "nobody", SCOPE_PROJECT, "p", "");
    roles_are(h, NULL, SCOPE_PROJECT, "p", "");
    /* A user whose id is a group's gets nothing from that. */
    assign(h, ACTOR_GROUP, "u", TARGET_PROJECT, "q", "r-admin", false);
    roles_are(h, "u", SCOPE_PROJECT, "q", "");
}

static void roles_of_groups(void **state)
{
    struct house *h = *state;
    roles_are(h, "v", SCOPE_PROJECT, "p", "");
    assign(h, ACTOR_GROUP, "g", TARGET_PROJECT, "p", "r-admin", false);
    roles_are(h, "v", SCOPE_PROJECT, "p", "r-admin,r-member,r-reader");
    drop(h, "group_member/g/v");
    roles_are(h, "v", SCOPE_PROJECT, "p", "");
}

static void inherited_roles(void **state)
{
    struct house *h = *state;
    assign(h, ACTOR_USER, "v", TARGET_PROJECT, "p", "r-reader", true);
    roles_are(h, "v", SCOPE_PROJECT, "child", "r-reader");
    roles_are(h, "v", SCOPE_PROJECT, "p", "");
    assign(h, ACTOR_USER, "v", TARGET_DOMAIN, "default", "r-member", true);
    roles_are(h, "v", SCOPE_PROJECT, "p", "r-member,r-reader");
    roles_are(h, "v", SCOPE_PROJECT, "q", "r-member,r-reader");
    roles_are(h, "v", SCOPE_DOMAIN, "default", "");
}

static void other_scopes(void **state)
{
    struct house *h = *state;
    assign(h, ACTOR_USER, "u", TARGET_DOMAIN, "default", "r-admin", false);
    assign(h, ACTOR_USER, "u", TARGET_SYSTEM, "all", "r-reader", false);
    roles_are(h, "u", SCOPE_DOMAIN, "default", "r-admin,r-member,r-reader");
    roles_are(h, "u", SCOPE_DOMAIN, "other", "");
    roles_are(h, "u", SCOPE_SYSTEM, NULL, "r-reader");
    roles_are(h, "u", SCOPE_PROJECT, "q", "");
}

static void domain_roles_only_imply(void **state)
{
    struct house *h = *state;
    assign(h, ACTOR_USER, "u", TARGET_PROJECT, "q", "r-own", false);
    roles_are(h, "u", SCOPE_PROJECT, "q", "r-reader");
    assign(h, ACTOR_USER, "v", TARGET_PROJECT, "q", "r-gone", false);
    roles_are(h, "v", SCOPE_PROJECT, "q", "");
}

/* ---- tokens against the snapshot --------------------------------------- */

static const char *header(void *rim, const char *name)
{
    struct house *h = rim;
    return strcmp(name, "X-Auth-Token") == 0 ? h->token : NULL;
}

static struct token token_for(struct house *h, const char *user,
                              enum scope scope, const char *target)
{
    struct token t;
    auth_new_token(&env_system, user, scope, target, HOUR, &t);
    t.methods = AUTH_METHOD_PASSWORD;
    return t;
}

/* Does a request with this token get in?  Looks twice: the second time it
 * may be remembered, and must be told the same. */
static bool gets_in(struct house *h, const struct token *t, struct auth *out)
{
    char text[TOKEN_TEXT_MAX];
    bool in[2];
    assert_true(token_seal(h->tokens, t, text));
    h->token = text;
    for (int i = 0; i < 2; i++) {
        struct req *r = xmalloc(sizeof(*r));
        struct http_request http = { .header = header, .rim = h };
        req_init(r, &h->api, &http);
        in[i] = h->api.authenticate(r);
        assert_int_equal(in[i], r->auth.valid);
        assert_int_equal(r->err.code, in[i] ? ERR_NONE : ERR_UNAUTHENTICATED);
        if (in[i]) {
            assert_string_equal(r->auth.user_id, t->user_id);
            assert_string_equal(r->auth.audit_id, t->audit_id);
            for (size_t k = 0; k < r->auth.role_ids.n; k++)
                assert_int_equal(strncmp(r->auth.role_ids.v[k], "r-", 2), 0);
        }
        if (out) {
            *out = r->auth; /* strings are gone, flags are looked at */
        }
        req_free(r);
        free(r);
    }
    assert_int_equal(in[0], in[1]);
    return in[0];
}

static void a_member(void **state)
{
    struct house *h = *state;
    struct auth a;
    struct token t = token_for(h, "u", SCOPE_PROJECT, "p");
    assert_true(gets_in(h, &t, &a));
    assert_true(a.is_member && a.is_reader && !a.is_admin);
    assert_int_equal(a.scope, SCOPE_PROJECT);
    assert_int_equal(a.role_ids.n, 2);
    assert_int_equal(a.expires, t.expires);
    t = token_for(h, "u", SCOPE_NONE, NULL);
    assert_true(gets_in(h, &t, &a));
    assert_true(!a.is_member && !a.is_reader && !a.is_admin);
    assert_int_equal(a.role_ids.n, 0);
}

static void an_admin(void **state)
{
    struct house *h = *state;
    struct auth a;
    assign(h, ACTOR_USER, "u", TARGET_PROJECT, "q", "r-admin", false);
    struct token t = token_for(h, "u", SCOPE_PROJECT, "q");
    assert_true(gets_in(h, &t, &a));
    assert_true(a.is_member && a.is_reader && a.is_admin);
}

static void no_token(void **state)
{
    struct house *h = *state;
    struct req *r = xmalloc(sizeof(*r));
    struct http_request http = { .header = header, .rim = h };
    req_init(r, &h->api, &http);
    assert_true(auth_request(r));
    assert_false(r->auth.valid);
    h->token = "gAAAAforged";
    assert_false(auth_request(r));
    assert_false(r->auth.valid);
    req_free(r);
    free(r);
}

static void strangers(void **state)
{
    struct house *h = *state;
    struct token t = token_for(h, "nobody", SCOPE_PROJECT, "p");
    assert_false(gets_in(h, &t, NULL));
    t = token_for(h, "v", SCOPE_PROJECT, "p");
    assert_false(gets_in(h, &t, NULL));
    t = token_for(h, "u", SCOPE_PROJECT, "none");
    assert_false(gets_in(h, &t, NULL));
    t = token_for(h, "u", (enum scope)77, "p");
    assert_false(gets_in(h, &t, NULL));
}

static void lost_user(void **state)
{
    struct house *h = *state;
    struct token t = token_for(h, "u", SCOPE_PROJECT, "p");
    assert_true(gets_in(h, &t, NULL));
    PUT(h, user, "u", .domain_id = "default", .name = "u", .enabled = false);
    assert_false(gets_in(h, &t, NULL));
    PUT(h, user, "u", .domain_id = "default", .name = "u", .enabled = true);
    assert_true(gets_in(h, &t, NULL));
    PUT(h, user, "u", .domain_id = "default", .name = "u", .enabled = true,
        .tokens_not_before = t.issued + 1);
    assert_false(gets_in(h, &t, NULL));
    struct token later = token_for(h, "u", SCOPE_PROJECT, "p");
    assert_true(gets_in(h, &later, NULL));
    drop(h, "user/u");
    assert_false(gets_in(h, &later, NULL));
}

static void lost_domain_and_project(void **state)
{
    struct house *h = *state;
    struct token t = token_for(h, "u", SCOPE_PROJECT, "p");
    assert_true(gets_in(h, &t, NULL));
    PUT(h, project, "p", .domain_id = "default", .name = "p");
    assert_false(gets_in(h, &t, NULL));
    PUT(h, project, "p", .domain_id = "default", .name = "p", .enabled = true);
    assert_true(gets_in(h, &t, NULL));
    PUT(h, domain, "default", .name = "Default", .enabled = false);
    assert_false(gets_in(h, &t, NULL));
    struct token unscoped = token_for(h, "u", SCOPE_NONE, NULL);
    assert_false(gets_in(h, &unscoped, NULL));
}

static void lost_role(void **state)
{
    struct house *h = *state;
    struct token t = token_for(h, "u", SCOPE_PROJECT, "p");
    assert_true(gets_in(h, &t, NULL));
    drop(h, "assignment/u/p/r-member");
    assert_false(gets_in(h, &t, NULL));
}

static void revoked(void **state)
{
    struct house *h = *state;
    struct token t = token_for(h, "u", SCOPE_PROJECT, "p");
    struct token other = token_for(h, "u", SCOPE_PROJECT, "p");
    assert_true(gets_in(h, &t, NULL));
    PUT(h, revocation, t.audit_id, .expires = t.expires);
    assert_false(gets_in(h, &t, NULL));
    assert_true(gets_in(h, &other, NULL));
}

static void put_credential(struct house *h, const char *role, int64_t expires)
{
    const char *roles[] = { role };
    PUT(h, app_credential, "ac", .user_id = "u", .project_id = "p",
        .name = "ac", .role_ids = { roles, 1 }, .expires = expires);
}

static void app_credentials(void **state)
{
    struct house *h = *state;
    struct auth a;
    struct token t = token_for(h, "u", SCOPE_PROJECT, "p");
    strcpy(t.app_credential_id, "ac");
    assert_false(gets_in(h, &t, NULL));
    put_credential(h, "r-reader", 0);
    assert_true(gets_in(h, &t, &a));
    assert_true(a.is_reader && !a.is_member);
    put_credential(h, "r-member", 0);
    assert_true(gets_in(h, &t, &a));
    assert_true(a.is_member);
    /* A role that the user does not have is none. */
    put_credential(h, "r-admin", 0);
    assert_true(gets_in(h, &t, &a));
    assert_true(a.is_member && !a.is_admin);
    put_credential(h, "r-own", 0);
    assert_true(gets_in(h, &t, &a));
    assert_false(a.is_member);
    put_credential(h, "r-member", env_now(&env_system) - 1);
    assert_false(gets_in(h, &t, NULL));
    int64_t soon = env_now(&env_system) + 60 * SECOND_US;
    put_credential(h, "r-member", soon);
    assert_true(gets_in(h, &t, &a));
    assert_int_equal(a.expires, soon);
    drop(h, "app_credential/ac");
    assert_false(gets_in(h, &t, NULL));
}

/* Another user's credential in a token that was sealed by us: cannot be, but
 * must not work. */
static void foreign_app_credential(void **state)
{
    struct house *h = *state;
    assign(h, ACTOR_USER, "v", TARGET_PROJECT, "p", "r-member", false);
    put_credential(h, "r-member", 0);
    struct token t = token_for(h, "v", SCOPE_PROJECT, "p");
    strcpy(t.app_credential_id, "ac");
    assert_false(gets_in(h, &t, NULL));
    t = token_for(h, "u", SCOPE_NONE, NULL);
    strcpy(t.app_credential_id, "ac");
    assert_false(gets_in(h, &t, NULL));
}

/* Remembered ones are found by the whole token, not by its audit id. */
static void equal_audit_ids(void **state)
{
    struct house *h = *state;
    struct auth a;
    assign(h, ACTOR_USER, "v", TARGET_PROJECT, "q", "r-admin", false);
    struct token t = token_for(h, "u", SCOPE_PROJECT, "p");
    struct token w = token_for(h, "v", SCOPE_PROJECT, "q");
    memcpy(w.audit_id, t.audit_id, sizeof(w.audit_id));
    for (int i = 0; i < 3; i++) {
        assert_true(gets_in(h, &t, &a));
        assert_false(a.is_admin);
        assert_true(gets_in(h, &w, &a));
        assert_true(a.is_admin);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
        T(roles_of_a_user),
        T(roles_of_groups),
        T(inherited_roles),
        T(other_scopes),
        T(domain_roles_only_imply),
        T(a_member),
        T(an_admin),
        T(no_token),
        T(strangers),
        T(lost_user),
        T(lost_domain_and_project),
        T(lost_role),
        T(revoked),
        T(app_credentials),
        T(foreign_app_credential),
        T(equal_audit_ids),
    };
    return cmocka_run_group_tests_name("auth", tests, NULL, NULL);
}
