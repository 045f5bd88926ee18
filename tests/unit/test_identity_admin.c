/* Domains, projects, users, groups, roles, assignments, catalogue. */
#include "api_client.h"

#include "model/network.h"
#include "model/pool.h"
#include "openstack-compat/network/defaults.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define V3 "/identity/v3"

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

/* As the administrator; the path by printf. */
static json_t *admin(struct api_client *c, int status, const char *method,
                     const char *body, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));
static json_t *admin(struct api_client *c, int status, const char *method,
                     const char *body, const char *fmt, ...)
{
    char path[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(path, sizeof(path), fmt, args);
    va_end(args);
    return api_expect(c, status, method, path, c->admin, body);
}

#define ADMIN(...) json_decref(admin(__VA_ARGS__))

/* Makes a thing and returns its id. */
static char *make(struct api_client *c, const char *plural, const char *one,
                  const char *members)
{
    char path[64], body[4096], at[64];
    snprintf(path, sizeof(path), V3 "/%s", plural);
    snprintf(body, sizeof(body), "{\"%s\": {%s}}", one, members);
    snprintf(at, sizeof(at), "%s.id", one);
    json_t *j = api_expect(c, 201, "POST", path, c->admin, body);
    char *id = strdup(api_text(j, at));
    json_decref(j);
    return id;
}

static size_t count(struct api_client *c, const char *list, const char *query)
{
    json_t *j = admin(c, 200, "GET", NULL, V3 "/%s%s", list, query);
    size_t n = json_array_size(json_object_get(j, list));
    json_decref(j);
    return n;
}

static char *role_id(struct api_client *c, const char *name)
{
    json_t *j = admin(c, 200, "GET", NULL, V3 "/roles?name=%s", name);
    assert_int_equal(json_array_size(json_object_get(j, "roles")), 1);
    char *id = strdup(api_text(j, "roles.0.id"));
    json_decref(j);
    return id;
}

/* ---- first content ----------------------------------------------------- */

static void test_first_content(void **state)
{
    struct api_client *c = *state;
    assert_int_equal(count(c, "domains", ""), 1);
    assert_int_equal(count(c, "projects", ""), 2);
    assert_int_equal(count(c, "users", ""), 2);
    assert_int_equal(count(c, "roles", ""), 3);
    assert_int_equal(count(c, "regions", ""), 1);
    assert_int_equal(count(c, "endpoints", ""), 3 * count(c, "services", ""));
    struct snapshot *s = api_snapshot(c);
    assert_int_equal(snap_count(s, &kind_security_group), 2);
    assert_int_equal(snap_count(s, &kind_security_group_rule), 8);
    assert_int_equal(
        quota_used(s, "network", c->admin_project, "security_group_rule"), 4);
    assert_int_equal(quota_used(s, "network", c->admin_project, "network"), 1);
    assert_int_equal(
        quota_used(s, "network", c->demo_project, "security_group"), 1);
    const struct subnet *sub =
        snap_find(s, &kind_subnet, "network_id",
                  ((const struct pool *)snap_get(s, &kind_pool, "pool"))
                      ->external_network_id);
    assert_string_equal(LIST_AT(sub->pools, struct ip_range, 0)->start,
                        "203.0.113.2");
    assert_string_equal(LIST_AT(sub->pools, struct ip_range, 0)->end,
                        "203.0.113.254");
    snapshot_unref(s);
}

/* ---- projects and domains ---------------------------------------------- */

static void test_project(void **state)
{
    struct api_client *c = *state;
    char *id = make(c, "projects", "project",
                    "\"name\": \"web\", \"description\": \"shop\","
                    "\"color\": \"blue\", \"tags\": [\"a\", \"b\"]");
    json_t *j = admin(c, 200, "GET", NULL, V3 "/projects/%s", id);
    assert_string_equal(api_text(j, "project.domain_id"), "default");
    assert_string_equal(api_text(j, "project.parent_id"), "default");
    assert_string_equal(api_text(j, "project.color"), "blue");
    assert_string_equal(api_text(j, "project.tags.1"), "b");
    assert_true(json_is_true(api_at(j, "project.enabled")));
    assert_true(json_is_false(api_at(j, "project.is_domain")));
    assert_true(json_is_object(api_at(j, "project.options")));
    char link[200];
    snprintf(link, sizeof(link), "https://cairn.test/identity/v3/projects/%s",
             id);
    assert_string_equal(api_text(j, "project.links.self"), link);
    json_decref(j);
    ADMIN(c, 409, "POST", "{\"project\": {\"name\": \"web\"}}", V3 "/projects");
    assert_int_equal(count(c, "projects", "?name=web"), 1);
    assert_int_equal(count(c, "projects", "?tags=a,b"), 1);
    assert_int_equal(count(c, "projects", "?tags=a,x"), 0);
    assert_int_equal(count(c, "projects", "?tags-any=a,x"), 1);
    assert_int_equal(count(c, "projects", "?not-tags=a"), 2);
    assert_int_equal(count(c, "projects", "?enabled=false"), 0);
    assert_int_equal(count(c, "projects", "?is_domain=true"), 0);
    assert_int_equal(count(c, "projects", "?parent_id=default"), 3);
    ADMIN(c, 200, "PATCH",
          "{\"project\": {\"name\": \"web2\", \"color\": null}}",
          V3 "/projects/%s", id);
    j = admin(c, 200, "GET", NULL, V3 "/projects/%s", id);
    assert_null(api_at(j, "project.color"));
    assert_string_equal(api_text(j, "project.description"), "shop");
    json_decref(j);
    free(make(c, "projects", "project", "\"name\": \"web\""));
    struct snapshot *s = api_snapshot(c);
    assert_non_null(security_group_default_find(s, id));
    snapshot_unref(s);
    ADMIN(c, 204, "DELETE", NULL, V3 "/projects/%s", id);
    ADMIN(c, 404, "GET", NULL, V3 "/projects/%s", id);
    ADMIN(c, 404, "DELETE", NULL, V3 "/projects/%s", id);
    s = api_snapshot(c);
    assert_null(security_group_default_find(s, id));
    snprintf(link, sizeof(link), "network/%s", id);
    assert_null(snap_get(s, &kind_usage, link));
    assert_int_equal(snap_count(s, &kind_security_group_rule), 12);
    snapshot_unref(s);
    free(id);
}

static void test_project_tags(void **state)
{
    struct api_client *c = *state;
    const char *p = c->demo_project;
    ADMIN(c, 201, "PUT", NULL, V3 "/projects/%s/tags/blue", p);
    ADMIN(c, 204, "GET", NULL, V3 "/projects/%s/tags/blue", p);
    ADMIN(c, 404, "GET", NULL, V3 "/projects/%s/tags/red", p);
    ADMIN(c, 400, "PUT", NULL, V3 "/projects/%s/tags/a%%2Cb", p);
    ADMIN(c, 200, "PUT", "{\"tags\": [\"x\", \"y\", \"x\"]}",
          V3 "/projects/%s/tags", p);
    json_t *j = admin(c, 200, "GET", NULL, V3 "/projects/%s/tags", p);
    assert_int_equal(json_array_size(api_at(j, "tags")), 2);
    json_decref(j);
    ADMIN(c, 400, "PUT", "{\"tags\": [7]}", V3 "/projects/%s/tags", p);
    ADMIN(c, 204, "DELETE", NULL, V3 "/projects/%s/tags/x", p);
    ADMIN(c, 404, "DELETE", NULL, V3 "/projects/%s/tags/x", p);
    ADMIN(c, 204, "DELETE", NULL, V3 "/projects/%s/tags", p);
}

static void test_project_tree(void **state)
{
    struct api_client *c = *state;
    char members[200];
    char *top = make(c, "projects", "project", "\"name\": \"top\"");
    snprintf(members, sizeof(members),
             "\"name\": \"sub\", \"parent_id\": \"%s\"", top);
    char *sub = make(c, "projects", "project", members);
    json_t *j =
        admin(c, 200, "GET", NULL, V3 "/projects/%s?subtree_as_ids", top);
    assert_non_null(json_object_get(api_at(j, "project.subtree"), sub));
    json_decref(j);
    j = admin(c, 200, "GET", NULL, V3 "/projects/%s?parents_as_list", sub);
    assert_string_equal(api_text(j, "project.parents.0.project.name"), "top");
    json_decref(j);
    j = admin(c, 200, "GET", NULL, V3 "/projects/%s?parents_as_ids", sub);
    assert_non_null(json_object_get(api_at(j, "project.parents"), top));
    json_decref(j);
    ADMIN(c, 403, "DELETE", NULL, V3 "/projects/%s", top);
    ADMIN(c, 403, "PATCH", "{\"project\": {\"enabled\": false}}",
          V3 "/projects/%s", top);
    ADMIN(c, 403, "PATCH", "{\"project\": {\"parent_id\": \"default\"}}",
          V3 "/projects/%s", sub);
    ADMIN(c, 404, "POST",
          "{\"project\": {\"name\": \"x\", \"parent_id\": \"nowhere\"}}",
          V3 "/projects");
    ADMIN(c, 204, "DELETE", NULL, V3 "/projects/%s", sub);
    ADMIN(c, 204, "DELETE", NULL, V3 "/projects/%s", top);
    free(top);
    free(sub);
}

static void test_domain(void **state)
{
    struct api_client *c = *state;
    char members[300];
    struct snapshot *s = api_snapshot(c);
    size_t claims = snap_count(s, &kind_claim);
    snapshot_unref(s);
    char *id = make(c, "domains", "domain", "\"name\": \"corp\"");
    ADMIN(c, 409, "POST", "{\"domain\": {\"name\": \"corp\"}}", V3 "/domains");
    snprintf(members, sizeof(members),
             "\"name\": \"demo\", \"domain_id\": \"%s\"", id);
    ADMIN(c, 400, "POST",
          "{\"domain\": {\"name\": \"x\", \"explicit_domain_id\": \"x/y\"}}",
          V3 "/domains");
    static const char chosen[] =
        "{\"domain\": {\"name\": \"x\","
        "\"explicit_domain_id\": \"0123456789abcdef0123456789abcdef\"}}";
    json_t *j = admin(c, 201, "POST", chosen, V3 "/domains");
    assert_string_equal(api_text(j, "domain.id"),
                        "0123456789abcdef0123456789abcdef");
    assert_null(api_at(j, "domain.explicit_domain_id"));
    json_decref(j);
    ADMIN(c, 409, "POST", chosen, V3 "/domains");
    ADMIN(c, 200, "PATCH", "{\"domain\": {\"enabled\": false}}",
          V3 "/domains/0123456789abcdef0123456789abcdef");
    ADMIN(c, 204, "DELETE", NULL,
          V3 "/domains/0123456789abcdef0123456789abcdef");
    char *project = make(c, "projects", "project", members);
    char *user = make(c, "users", "user", members);
    char *group = make(c, "groups", "group", members);
    char *role = make(c, "roles", "role", members);
    assert_int_equal(count(c, "roles", ""), 3);
    snprintf(members, sizeof(members), "?domain_id=%s", id);
    assert_int_equal(count(c, "roles", members), 1);
    assert_int_equal(count(c, "users", members), 1);
    ADMIN(c, 204, "PUT", NULL, V3 "/groups/%s/users/%s", group, user);
    ADMIN(c, 204, "PUT", NULL, V3 "/projects/%s/groups/%s/roles/%s", project,
          group, role);
    ADMIN(c, 403, "PUT", NULL, V3 "/projects/%s/groups/%s/roles/%s",
          c->demo_project, group, role);
    ADMIN(c, 403, "DELETE", NULL, V3 "/domains/%s", id);
    ADMIN(c, 200, "PATCH", "{\"domain\": {\"enabled\": false}}",
          V3 "/domains/%s", id);
    ADMIN(c, 204, "DELETE", NULL, V3 "/domains/%s", id);
    ADMIN(c, 404, "GET", NULL, V3 "/users/%s", user);
    ADMIN(c, 404, "GET", NULL, V3 "/projects/%s", project);
    s = api_snapshot(c); /* nothing is left of it */
    assert_int_equal(snap_count(s, &kind_claim), claims);
    assert_int_equal(snap_count(s, &kind_group), 0);
    assert_int_equal(snap_count(s, &kind_group_member), 0);
    assert_int_equal(snap_count(s, &kind_assignment), 4);
    assert_int_equal(snap_count(s, &kind_security_group), 2);
    snapshot_unref(s);
    free(id);
    free(project);
    free(user);
    free(group);
    free(role);
}

/* ---- users and groups -------------------------------------------------- */

static void test_user(void **state)
{
    struct api_client *c = *state;
    char members[200];
    snprintf(members, sizeof(members),
             "\"name\": \"eve\", \"password\": \"s3\", \"email\": \"e@x\","
             "\"default_project_id\": \"%s\", \"team\": {\"a\": [1]},"
             "\"options\": {\"ignore_password_expiry\": true}",
             c->demo_project);
    char *id = make(c, "users", "user", members);
    struct api_reply r =
        api_callf(c, "GET", V3 "/users?name=eve", c->admin, "%s", "");
    assert_null(strstr(r.body, "scrypt"));
    assert_null(strstr(r.body, "hash"));
    assert_string_equal(api_text(r.json, "users.0.email"), "e@x");
    assert_int_equal(json_integer_value(api_at(r.json, "users.0.team.a.0")), 1);
    assert_true(json_is_null(api_at(r.json, "users.0.password_expires_at")));
    assert_true(
        json_is_true(api_at(r.json, "users.0.options.ignore_password_expiry")));
    api_reply_free(&r);
    assert_null(api_login(c, "eve", "s3", "demo")); /* has no role there */
    char *member = role_id(c, "member");
    ADMIN(c, 204, "PUT", NULL, V3 "/projects/%s/users/%s/roles/%s",
          c->demo_project, id, member);
    char *token = api_login(c, "eve", "s3", "demo");
    assert_non_null(token);
    char path[200];
    snprintf(path, sizeof(path), V3 "/users/%s", id);
    api_status(c, 200, "GET", path, token, NULL);
    api_status(c, 404, "GET", path, c->demo, NULL); /* not its business */
    api_status(c, 403, "PATCH", path, token, "{\"user\": {}}");
    snprintf(path, sizeof(path), V3 "/users/%s/projects", id);
    json_t *j = api_expect(c, 200, "GET", path, token, NULL);
    assert_string_equal(api_text(j, "projects.0.id"), c->demo_project);
    json_decref(j);
    api_status(c, 404, "GET", path, c->demo, NULL);
    ADMIN(c, 409, "POST", "{\"user\": {\"name\": \"eve\"}}", V3 "/users");
    ADMIN(c, 200, "PATCH", "{\"user\": {\"name\": \"Eve\"}}", V3 "/users/%s",
          id);
    ADMIN(c, 400, "PATCH", "{\"user\": {\"domain_id\": \"other\"}}",
          V3 "/users/%s", id);
    ADMIN(c, 204, "DELETE", NULL, V3 "/users/%s", id);
    api_status(c, 401, "GET", V3 "/auth/projects", token, NULL);
    free(make(c, "users", "user", "\"name\": \"Eve\""));
    free(token);
    free(member);
    free(id);
}

static void test_group(void **state)
{
    struct api_client *c = *state;
    char *g = make(c, "groups", "group", "\"name\": \"ops\"");
    char *u =
        make(c, "users", "user", "\"name\": \"eve\", \"password\": \"p\"");
    char *reader = role_id(c, "reader");
    ADMIN(c, 404, "GET", NULL, V3 "/groups/%s/users/%s", g, u);
    ADMIN(c, 204, "PUT", NULL, V3 "/groups/%s/users/%s", g, u);
    ADMIN(c, 204, "PUT", NULL, V3 "/groups/%s/users/%s", g, u);
    ADMIN(c, 204, "HEAD", NULL, V3 "/groups/%s/users/%s", g, u);
    ADMIN(c, 404, "PUT", NULL, V3 "/groups/%s/users/nobody", g);
    json_t *j = admin(c, 200, "GET", NULL, V3 "/groups/%s/users", g);
    assert_string_equal(api_text(j, "users.0.name"), "eve");
    json_decref(j);
    j = admin(c, 200, "GET", NULL, V3 "/users/%s/groups", u);
    assert_string_equal(api_text(j, "groups.0.name"), "ops");
    json_decref(j);
    ADMIN(c, 204, "PUT", NULL, V3 "/projects/%s/groups/%s/roles/%s",
          c->demo_project, g, reader);
    char *token = api_login(c, "eve", "p", "demo");
    assert_non_null(token);
    ADMIN(c, 204, "DELETE", NULL, V3 "/groups/%s/users/%s", g, u);
    api_status(c, 401, "GET", V3 "/auth/projects", token, NULL);
    ADMIN(c, 204, "DELETE", NULL, V3 "/groups/%s", g);
    ADMIN(c, 404, "GET", NULL, V3 "/groups/%s", g);
    free(token);
    free(g);
    free(u);
    free(reader);
}

/* ---- roles and assignments --------------------------------------------- */

static void test_implied(void **state)
{
    struct api_client *c = *state;
    char *a = make(c, "roles", "role", "\"name\": \"lead\"");
    char *b = role_id(c, "reader"), *root = role_id(c, "admin");
    ADMIN(c, 201, "PUT", NULL, V3 "/roles/%s/implies/%s", a, b);
    ADMIN(c, 201, "PUT", NULL, V3 "/roles/%s/implies/%s", a, b);
    ADMIN(c, 200, "GET", NULL, V3 "/roles/%s/implies/%s", a, b);
    ADMIN(c, 400, "PUT", NULL, V3 "/roles/%s/implies/%s", b, a);
    ADMIN(c, 403, "PUT", NULL, V3 "/roles/%s/implies/%s", a, root);
    json_t *j = admin(c, 200, "GET", NULL, V3 "/roles/%s/implies", a);
    assert_string_equal(api_text(j, "role_inference.implies.0.name"), "reader");
    json_decref(j);
    assert_int_equal(count(c, "role_inferences", ""), 3);
    ADMIN(c, 204, "DELETE", NULL, V3 "/roles/%s/implies/%s", a, b);
    ADMIN(c, 404, "DELETE", NULL, V3 "/roles/%s/implies/%s", a, b);
    ADMIN(c, 403, "DELETE", NULL, V3 "/roles/%s", root);
    ADMIN(c, 403, "PATCH", "{\"role\": {\"name\": \"x\"}}", V3 "/roles/%s",
          root);
    ADMIN(c, 204, "DELETE", NULL, V3 "/roles/%s", a);
    ADMIN(c, 404, "PUT", NULL, V3 "/roles/%s/implies/%s", a, b);
    free(a);
    free(b);
    free(root);
}

static void test_assignments(void **state)
{
    struct api_client *c = *state;
    char *u =
        make(c, "users", "user", "\"name\": \"eve\", \"password\": \"p\"");
    char *member = role_id(c, "member"), query[200];
    static const char *const places[] = {
        V3 "/projects/%s/users/%s/roles/%s",
        V3 "/OS-INHERIT/projects/%s/users/%s/roles/%s/inherited_to_projects",
    };
    for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
        char path[400];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(path, sizeof(path), places[i], c->demo_project, u, member);
#pragma GCC diagnostic pop
        ADMIN(c, 404, "HEAD", NULL, "%s", path);
        ADMIN(c, 204, "PUT", NULL, "%s", path);
        ADMIN(c, 204, "PUT", NULL, "%s", path);
        ADMIN(c, 204, "HEAD", NULL, "%s", path);
        api_status(c, 403, "PUT", path, c->demo, NULL);
        ADMIN(c, 204, "DELETE", NULL, "%s", path);
        ADMIN(c, 404, "DELETE", NULL, "%s", path);
    }
    ADMIN(c, 204, "PUT", NULL,
          V3 "/OS-INHERIT/domains/default/users/%s/roles/%s/"
             "inherited_to_projects",
          u, member);
    json_t *j = admin(c, 200, "GET", NULL,
                      V3 "/OS-INHERIT/domains/default/users/%s/roles/"
                         "inherited_to_projects",
                      u);
    assert_string_equal(api_text(j, "roles.0.name"), "member");
    json_decref(j);
    char *token = api_login(c, "eve", "p", "demo");
    assert_non_null(token);
    free(token);
    snprintf(query, sizeof(query), "?user.id=%s", u);
    assert_int_equal(count(c, "role_assignments", query), 1);
    /* two projects, each with member and the reader it implies */
    snprintf(query, sizeof(query), "?user.id=%s&effective", u);
    assert_int_equal(count(c, "role_assignments", query), 4);
    snprintf(query, sizeof(query),
             "?user.id=%s&effective&include_names&scope.project.id=%s", u,
             c->demo_project);
    j = admin(c, 200, "GET", NULL, V3 "/role_assignments%s", query);
    assert_string_equal(api_text(j, "role_assignments.0.user.name"), "eve");
    assert_string_equal(api_text(j, "role_assignments.0.scope.project.name"),
                        "demo");
    assert_string_equal(
        api_text(j, "role_assignments.0.scope.project.domain.name"), "Default");
    assert_string_equal(
        api_text(j, "role_assignments.0.scope.OS-INHERIT:inherited_to"),
        "projects");
    json_decref(j);
    assert_int_equal(count(c, "role_assignments", "?scope.system=all"), 1);
    ADMIN(c, 400, "GET", NULL,
          V3 "/role_assignments?scope.domain.id=a&scope.project.id=b");
    ADMIN(c, 400, "GET", NULL, V3 "/role_assignments?effective&group.id=a");
    api_status(c, 403, "GET", V3 "/role_assignments", c->demo, NULL);
    snprintf(query, sizeof(query), V3 "/role_assignments?user.id=%s",
             c->demo_user);
    api_status(c, 200, "GET", query, c->demo, NULL);
    free(u);
    free(member);
}

/* ---- catalogue --------------------------------------------------------- */

static void test_catalogue(void **state)
{
    struct api_client *c = *state;
    char members[300];
    ADMIN(c, 201, "PUT", "{\"region\": {}}", V3 "/regions/West");
    ADMIN(c, 409, "PUT", "{\"region\": {}}", V3 "/regions/West");
    char *sub = make(c, "regions", "region",
                     "\"parent_region_id\": \"West\", \"id\": \"Sub\"");
    assert_string_equal(sub, "Sub");
    ADMIN(c, 400, "PATCH", "{\"region\": {\"parent_region_id\": \"Sub\"}}",
          V3 "/regions/West");
    ADMIN(c, 403, "DELETE", NULL, V3 "/regions/West");
    char *service =
        make(c, "services", "service", "\"name\": \"dns\", \"type\": \"dns\"");
    snprintf(members, sizeof(members),
             "\"service_id\": \"%s\", \"interface\": \"public\","
             "\"region\": \"Sub\", \"url\": "
             "\"http://dns.test/$(project_id)s/%%(user_id)s\"",
             service);
    char *endpoint = make(c, "endpoints", "endpoint", members);
    json_t *j = api_expect(c, 200, "GET", V3 "/auth/catalog", c->demo, NULL);
    char url[200];
    snprintf(url, sizeof(url), "http://dns.test/%s/%s", c->demo_project,
             c->demo_user);
    bool found = false;
    for (size_t i = 0; i < json_array_size(api_at(j, "catalog")); i++) {
        json_t *s = json_array_get(api_at(j, "catalog"), i);
        if (strcmp(api_text(s, "type"), "dns") == 0) {
            assert_string_equal(api_text(s, "endpoints.0.url"), url);
            found = true;
        }
    }
    assert_true(found);
    json_decref(j);
    ADMIN(c, 403, "DELETE", NULL, V3 "/regions/Sub");
    ADMIN(c, 400, "PATCH",
          "{\"endpoint\": {\"url\": \"http://x/%%(secret)s\"}}",
          V3 "/endpoints/%s", endpoint);
    ADMIN(c, 400, "PATCH", "{\"endpoint\": {\"interface\": \"private\"}}",
          V3 "/endpoints/%s", endpoint);
    ADMIN(c, 204, "DELETE", NULL, V3 "/services/%s", service);
    ADMIN(c, 404, "GET", NULL, V3 "/endpoints/%s", endpoint);
    ADMIN(c, 204, "DELETE", NULL, V3 "/regions/Sub");
    free(sub);
    free(service);
    free(endpoint);
}

/* ---- who may not, and what is nonsense --------------------------------- */

static void test_not_for_all(void **state)
{
    struct api_client *c = *state;
    static const char *const lists[] = { "domains",  "projects", "users",
                                         "groups",   "roles",    "services",
                                         "endpoints" };
    char path[200];
    for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
        snprintf(path, sizeof(path), V3 "/%s", lists[i]);
        api_status(c, 401, "GET", path, NULL, NULL);
        api_status(c, 403, "GET", path, c->demo, NULL);
        api_status(c, 403, "POST", path, c->demo, "{}");
    }
    snprintf(path, sizeof(path), V3 "/projects/%s", c->demo_project);
    api_status(c, 200, "GET", path, c->demo, NULL);
    api_status(c, 403, "DELETE", path, c->demo, NULL);
    snprintf(path, sizeof(path), V3 "/projects/%s", c->admin_project);
    api_status(c, 404, "GET", path, c->demo, NULL);
    api_status(c, 200, "GET", V3 "/domains/default", c->demo, NULL);
    api_status(c, 200, "GET", V3 "/regions", c->demo, NULL);
}

static void test_nonsense(void **state)
{
    struct api_client *c = *state;
    static const struct {
        const char *list, *body;
    } bad[] = {
        { "projects", "{" },
        { "projects", "[]" },
        { "projects", "{\"project\": []}" },
        { "projects", "{\"project\": {}}" },
        { "projects", "{\"project\": {\"name\": \"\"}}" },
        { "projects", "{\"project\": {\"name\": \"  \"}}" },
        { "projects", "{\"project\": {\"name\": null}}" },
        { "projects", "{\"project\": {\"name\": \"a\", \"enabled\": \"x\"}}" },
        { "projects", "{\"project\": {\"name\": \"a\", \"tags\": \"x\"}}" },
        { "projects", "{\"project\": {\"name\": \"a\", \"domain_id\": 1}}" },
        { "projects", "{\"project\": {\"name\": \"a\", \"is_domain\": true}}" },
        { "projects", "{\"project\": {\"name\": \"a\","
                      "\"options\": {\"immutable\": true}}}" },
        { "projects", "{\"project\": {\"name\": \"a123456789b123456789c12345678"
                      "9d123456789e123456789f123456789g12345\"}}" },
        { "users", "{\"user\": {\"name\": 5}}" },
        { "users", "{\"user\": {\"name\": \"a\", \"password\": \"\"}}" },
        { "users", "{\"user\": {\"name\": \"a\", \"password\": 5}}" },
        { "users", "{\"user\": {\"name\": \"a\", \"options\": 5}}" },
        { "users", "{\"user\": {\"name\": \"a\", \"options\":"
                   "{\"multi_factor_auth_enabled\": true}}}" },
        { "users", "{\"user\": {\"name\": \"a\","
                   "\"default_project_id\": \"default\"}}" },
        { "regions", "{\"region\": {\"id\": \"a/b\"}}" },
        { "regions", "{\"region\": {\"id\": 5}}" },
        { "services", "{\"service\": {\"name\": \"x\"}}" },
        { "endpoints", "{\"endpoint\": {\"service_id\": \"x\","
                       "\"interface\": \"public\", \"url\": \"http://a\"}}" },
    };
    char path[64];
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        snprintf(path, sizeof(path), V3 "/%s", bad[i].list);
        api_status(c, 400, "POST", path, c->admin, bad[i].body);
    }
    api_status(c, 404, "POST", V3 "/users", c->admin,
               "{\"user\": {\"name\": \"a\", \"domain_id\": \"nowhere\"}}");
    api_status(c, 404, "GET", V3 "/users/nobody", c->admin, NULL);
    api_status(c, 404, "GET", V3 "/credentials", c->admin, NULL);
    api_status(c, 405, "PUT", V3 "/users", c->admin, "{}");
    api_status(c, 404, "PATCH", V3 "/groups/none", c->admin, "{\"group\": {}}");
}

static void test_too_much_extra(void **state)
{
    struct api_client *c = *state;
    static char big[20000];
    memset(big, 'x', sizeof(big) - 1);
    struct api_reply r =
        api_callf(c, "POST", V3 "/users", c->admin,
                  "{\"user\": {\"name\": \"a\", \"note\": \"%s\"}}", big);
    assert_int_equal(r.status, 400);
    api_reply_free(&r);
    r = api_callf(c, "POST", V3 "/users", c->admin,
                  "{\"user\": {\"name\": \"%s\"}}", big);
    assert_int_equal(r.status, 400);
    api_reply_free(&r);
}

/* A name of 255 characters may be longer than a key of the store. */
static void test_long_names(void **state)
{
    struct api_client *c = *state;
    char name[3 * 255 + 1] = "", first[900], second[900];
    for (int i = 0; i < 254; i++)
        memcpy(name + 3 * i, "\xe2\x82\xac", 4);
    snprintf(first, sizeof(first), "{\"user\": {\"name\": \"%sa\"}}", name);
    snprintf(second, sizeof(second), "{\"user\": {\"name\": \"%sb\"}}", name);
    api_status(c, 201, "POST", V3 "/users", c->admin, first);
    api_status(c, 201, "POST", V3 "/users", c->admin, second);
    api_status(c, 409, "POST", V3 "/users", c->admin, first);
}

/* Keystone's clients follow no links: they get all, unless they ask. */
static void test_long_list(void **state)
{
    struct api_client *c = *state;
    for (int i = 0; i < 1100; i++) {
        struct api_reply r = api_callf(c, "POST", V3 "/groups", c->admin,
                                       "{\"group\": {\"name\": \"g%d\"}}", i);
        assert_int_equal(r.status, 201);
        api_reply_free(&r);
    }
    assert_int_equal(count(c, "groups", ""), 1100);
    json_t *j = admin(c, 200, "GET", NULL, V3 "/groups?limit=10");
    assert_int_equal(json_array_size(json_object_get(j, "groups")), 10);
    const char *next = api_text(j, "links.next");
    assert_non_null(strstr(next, "/identity/v3/groups?marker="));
    json_t *k =
        admin(c, 200, "GET", NULL, "%s", next + strlen("https://cairn.test"));
    assert_string_not_equal(api_text(j, "groups.0.id"),
                            api_text(k, "groups.0.id"));
    json_decref(j);
    json_decref(k);
}

/* ---- two at once ------------------------------------------------------- */

static void test_same_name_at_once(void **state)
{
    struct api_client *c = *state;
    static const char body[] = "{\"user\": {\"name\": \"eve\"}}";
    struct api_held *h = api_hold(c, "POST", V3 "/users", c->admin, body);
    api_status(c, 201, "POST", V3 "/users", c->admin, body);
    struct api_reply r = api_release(h);
    assert_int_equal(r.status, 409);
    assert_non_null(strstr(r.body, "eve"));
    api_reply_free(&r);
    assert_int_equal(count(c, "users", "?name=eve"), 1);
}

/* Whoever comes second sees what the first one did: no assignment is left
 * of what is gone. */
static void test_grant_against_delete(void **state)
{
    struct api_client *c = *state;
    char *member = role_id(c, "member"), project[100], grant[200];
    for (int grant_first = 0; grant_first < 2; grant_first++) {
        char *id = make(c, "projects", "project", "\"name\": \"web\"");
        snprintf(project, sizeof(project), V3 "/projects/%s", id);
        snprintf(grant, sizeof(grant), V3 "/projects/%s/users/%s/roles/%s", id,
                 c->demo_user, member);
        struct api_held *h =
            api_hold(c, grant_first ? "DELETE" : "PUT",
                     grant_first ? project : grant, c->admin, NULL);
        api_status(c, 204, grant_first ? "PUT" : "DELETE",
                   grant_first ? grant : project, c->admin, NULL);
        struct api_reply r = api_release(h);
        assert_int_equal(r.status, grant_first ? 204 : 404);
        api_reply_free(&r);
        struct snapshot *s = api_snapshot(c);
        assert_null(snap_find(s, &kind_assignment, "target_id", id));
        snapshot_unref(s);
        free(id);
    }
    free(member);
}

static void test_join_against_delete(void **state)
{
    struct api_client *c = *state;
    char *g = make(c, "groups", "group", "\"name\": \"ops\""), path[200];
    snprintf(path, sizeof(path), V3 "/groups/%s", g);
    struct api_held *h = api_hold(c, "DELETE", path, c->admin, NULL);
    ADMIN(c, 204, "PUT", NULL, V3 "/groups/%s/users/%s", g, c->demo_user);
    struct api_reply r = api_release(h);
    assert_int_equal(r.status, 204);
    api_reply_free(&r);
    struct snapshot *s = api_snapshot(c);
    assert_int_equal(snap_count(s, &kind_group_member), 0);
    snapshot_unref(s);
    free(g);
}

static void test_disabled_domain(void **state)
{
    struct api_client *c = *state;
    char *id = make(c, "domains", "domain", "\"name\": \"corp\""), body[200];
    snprintf(body, sizeof(body),
             "{\"user\": {\"name\": \"eve\", \"domain_id\": \"%s\"}}", id);
    struct api_held *h = api_hold(c, "POST", V3 "/users", c->admin, body);
    ADMIN(c, 200, "PATCH", "{\"domain\": {\"enabled\": false}}",
          V3 "/domains/%s", id);
    ADMIN(c, 204, "DELETE", NULL, V3 "/domains/%s", id);
    struct api_reply r = api_release(h);
    assert_int_equal(r.status, 404);
    api_reply_free(&r);
    assert_int_equal(count(c, "users", "?name=eve"), 0);
    free(id);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_first_content),
        TEST(test_project),
        TEST(test_project_tags),
        TEST(test_project_tree),
        TEST(test_domain),
        TEST(test_user),
        TEST(test_group),
        TEST(test_implied),
        TEST(test_assignments),
        TEST(test_catalogue),
        TEST(test_not_for_all),
        TEST(test_nonsense),
        TEST(test_too_much_extra),
        TEST(test_long_names),
        TEST(test_long_list),
        TEST(test_same_name_at_once),
        TEST(test_grant_against_delete),
        TEST(test_join_against_delete),
        TEST(test_disabled_domain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
