#include "openstack-compat/identity/identity.h"

#include "openstack-compat/discovery.h"
#include "openstack-compat/identity/parts.h"

/* ---- version discovery ------------------------------------------------- */

static const struct api_version version = {
    .id = "v3.14",
    .status = "stable",
    .updated = "2020-04-07T00:00:00Z",
    .path = "v3/",
    .media_type = "application/vnd.openstack.identity-v3+json",
};

static enum outcome identity_versions(struct req *r)
{
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    jw_obj(&w, "versions");
    jw_arr(&w, "values");
    discovery_version(r, &w, NULL, &version);
    jw_arr_end(&w);
    jw_obj_end(&w);
    jw_obj_end(&w);
    http_header(&r->resp, "Location", req_strf(r, "%s/v3/", req_base_url(r)));
    return req_reply(r, 300);
}

static enum outcome identity_v3(struct req *r)
{
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    discovery_version(r, &w, "version", &version);
    jw_obj_end(&w);
    return req_reply(r, 200);
}

/* ---- routes ------------------------------------------------------------ */

#define ROW(method_, path_, handler_, policy_)                                 \
    {                                                                          \
        method_, path_, handler_, policy_, ROUTE_NO_BODY, 0, 0, NULL           \
    }
#define ROW_BODY(method_, path_, handler_, policy_, resource_)                 \
    {                                                                          \
        method_, path_, handler_, policy_, 0, 0, 0, resource_                  \
    }
/* A plain resource, with the update that RESOURCE_ROUTES leaves to each. */
#define PLAIN(path_, resource_, list_, show_)                                  \
    { "GET", path_, resource_list, list_, 0, 0, 0, &(resource_) },             \
        ROW_BODY("POST", path_, resource_create, POLICY_ADMIN, &(resource_)),  \
        { "GET", path_ "/{id}", resource_show, show_, 0, 0, 0, &(resource_) }, \
        ROW_BODY("PATCH", path_ "/{id}", resource_update, POLICY_ADMIN,        \
                 &(resource_)),                                                \
    {                                                                          \
        "DELETE", path_ "/{id}", resource_delete, POLICY_ADMIN, ROUTE_NO_BODY, \
            0, 0, &(resource_)                                                 \
    }
/* Roles of an actor on a target. */
#define GRANTS(path_)                                                          \
    ROW("GET", path_ "/roles", grant_list, POLICY_ADMIN),                      \
        ROW("PUT", path_ "/roles/{role}", grant_put, POLICY_ADMIN),            \
        ROW("GET", path_ "/roles/{role}", grant_check, POLICY_ADMIN),          \
        ROW("DELETE", path_ "/roles/{role}", grant_delete, POLICY_ADMIN)
#define INHERITED(path_)                                                       \
    ROW("GET", path_ "/roles/inherited_to_projects", grant_list,               \
        POLICY_ADMIN),                                                         \
        ROW("PUT", path_ "/roles/{role}/inherited_to_projects", grant_put,     \
            POLICY_ADMIN),                                                     \
        ROW("GET", path_ "/roles/{role}/inherited_to_projects", grant_check,   \
            POLICY_ADMIN),                                                     \
        ROW("DELETE", path_ "/roles/{role}/inherited_to_projects",             \
            grant_delete, POLICY_ADMIN)

static const struct route routes[] = {
    ROW("GET", "/", identity_versions, POLICY_PUBLIC),
    ROW("GET", "/v3", identity_v3, POLICY_PUBLIC),

    ROW_BODY("POST", "/v3/auth/tokens", auth_token_create, POLICY_PUBLIC, NULL),
    ROW("GET", "/v3/auth/tokens", auth_token_show, POLICY_TOKEN),
    ROW("DELETE", "/v3/auth/tokens", auth_token_delete, POLICY_TOKEN),
    ROW("GET", "/v3/auth/catalog", auth_catalog, POLICY_TOKEN),
    ROW("GET", "/v3/auth/projects", auth_projects, POLICY_TOKEN),
    ROW("GET", "/v3/auth/domains", auth_domains, POLICY_TOKEN),
    ROW("GET", "/v3/auth/system", auth_system, POLICY_TOKEN),

    ROW_BODY("POST", "/v3/domains", domain_create, POLICY_ADMIN,
             &resource_domain),
    PLAIN("/v3/domains", resource_domain, POLICY_ADMIN, POLICY_TOKEN),

    { "GET", "/v3/projects/{id}", project_show, POLICY_TOKEN, 0, 0, 0,
      &resource_project },
    PLAIN("/v3/projects", resource_project, POLICY_ADMIN, POLICY_TOKEN),
    ROW("GET", "/v3/projects/{id}/tags", project_tags, POLICY_TOKEN),
    ROW_BODY("PUT", "/v3/projects/{id}/tags", project_tags_set, POLICY_ADMIN,
             NULL),
    ROW("DELETE", "/v3/projects/{id}/tags", project_tags_clear, POLICY_ADMIN),
    ROW("GET", "/v3/projects/{id}/tags/{tag}", project_tag_show, POLICY_TOKEN),
    ROW("PUT", "/v3/projects/{id}/tags/{tag}", project_tag_add, POLICY_ADMIN),
    ROW("DELETE", "/v3/projects/{id}/tags/{tag}", project_tag_delete,
        POLICY_ADMIN),

    ROW_BODY("POST", "/v3/users", user_create, POLICY_ADMIN, &resource_user),
    ROW_BODY("PATCH", "/v3/users/{id}", user_update, POLICY_ADMIN,
             &resource_user),
    PLAIN("/v3/users", resource_user, POLICY_ADMIN, POLICY_TOKEN),
    ROW_BODY("POST", "/v3/users/{id}/password", user_password, POLICY_PUBLIC,
             NULL),
    ROW("GET", "/v3/users/{id}/projects", user_projects, POLICY_TOKEN),
    ROW("GET", "/v3/users/{id}/groups", user_groups, POLICY_TOKEN),
    ROW("GET", "/v3/users/{id}/application_credentials", app_credential_list,
        POLICY_TOKEN),
    ROW_BODY("POST", "/v3/users/{id}/application_credentials",
             app_credential_create, POLICY_TOKEN, NULL),
    ROW("GET", "/v3/users/{id}/application_credentials/{credential}",
        app_credential_show, POLICY_TOKEN),
    ROW("DELETE", "/v3/users/{id}/application_credentials/{credential}",
        app_credential_delete, POLICY_TOKEN),

    PLAIN("/v3/groups", resource_group, POLICY_ADMIN, POLICY_TOKEN),
    ROW("GET", "/v3/groups/{id}/users", group_users, POLICY_ADMIN),
    ROW("PUT", "/v3/groups/{id}/users/{user}", group_user_add, POLICY_ADMIN),
    ROW("GET", "/v3/groups/{id}/users/{user}", group_user_check, POLICY_ADMIN),
    ROW("DELETE", "/v3/groups/{id}/users/{user}", group_user_remove,
        POLICY_ADMIN),

    PLAIN("/v3/roles", resource_role, POLICY_ADMIN, POLICY_ADMIN),
    ROW("GET", "/v3/roles/{id}/implies", role_implies_list, POLICY_ADMIN),
    ROW("PUT", "/v3/roles/{id}/implies/{implied}", role_implies_put,
        POLICY_ADMIN),
    ROW("GET", "/v3/roles/{id}/implies/{implied}", role_implies_show,
        POLICY_ADMIN),
    ROW("DELETE", "/v3/roles/{id}/implies/{implied}", role_implies_delete,
        POLICY_ADMIN),
    ROW("GET", "/v3/role_inferences", role_inferences, POLICY_ADMIN),

    GRANTS("/v3/projects/{project}/users/{user}"),
    GRANTS("/v3/projects/{project}/groups/{group}"),
    GRANTS("/v3/domains/{domain}/users/{user}"),
    GRANTS("/v3/domains/{domain}/groups/{group}"),
    GRANTS("/v3/system/users/{user}"),
    GRANTS("/v3/system/groups/{group}"),
    INHERITED("/v3/OS-INHERIT/projects/{project}/users/{user}"),
    INHERITED("/v3/OS-INHERIT/projects/{project}/groups/{group}"),
    INHERITED("/v3/OS-INHERIT/domains/{domain}/users/{user}"),
    INHERITED("/v3/OS-INHERIT/domains/{domain}/groups/{group}"),
    ROW("GET", "/v3/role_assignments", role_assignments, POLICY_TOKEN),

    ROW_BODY("POST", "/v3/regions", region_create, POLICY_ADMIN, NULL),
    ROW_BODY("PUT", "/v3/regions/{id}", region_put, POLICY_ADMIN, NULL),
    PLAIN("/v3/regions", resource_region, POLICY_TOKEN, POLICY_TOKEN),
    PLAIN("/v3/services", resource_service, POLICY_ADMIN, POLICY_ADMIN),
    PLAIN("/v3/endpoints", resource_endpoint, POLICY_ADMIN, POLICY_ADMIN),
    ROUTE_END,
};

const struct service_api identity_api = {
    .prefix = "/identity",
    .type = "identity",
    .name = "keystone",
    .style = STYLE_KEYSTONE,
    .url_tail = "/v3",
    .routes = routes,
};
