/* Glance's discovery documents and routes. */
#include "openstack-compat/image/glance.h"

#include "openstack-compat/discovery.h"

/* Up to 2.9: what comes after it, and 2.8, speaks of several stores. */
#define OLDER(id_)                                                             \
    {                                                                          \
        .id = id_, .status = "SUPPORTED", .path = "v2/"                        \
    }
static const struct api_version versions[] = {
    { .id = "v2.9", .status = "CURRENT", .path = "v2/" },
    OLDER("v2.7"),
    OLDER("v2.6"),
    OLDER("v2.5"),
    OLDER("v2.4"),
    OLDER("v2.3"),
    OLDER("v2.2"),
    OLDER("v2.1"),
    OLDER("v2.0"),
};

static enum outcome glance_versions(struct req *r)
{
    return discovery_list(r, 200, versions, ARRAY_SIZE(versions));
}

static enum outcome glance_versions_choice(struct req *r)
{
    return discovery_list(r, 300, versions, ARRAY_SIZE(versions));
}

static enum outcome glance_import_info(struct req *r)
{
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    jw_obj(&w, "import-methods");
    jw_str(&w, "description", "Import methods available.");
    jw_str(&w, "type", "array");
    jw_arr(&w, "value");
    jw_str(&w, NULL, "glance-direct");
    jw_arr_end(&w);
    jw_obj_end(&w);
    jw_obj_end(&w);
    return req_reply(r, 200);
}

static enum outcome glance_stores_info(struct req *r)
{
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    jw_arr(&w, "stores");
    jw_obj(&w, NULL);
    jw_str(&w, "id", "cairn");
    jw_str(&w, "description", "The pool's storage");
    jw_str(&w, "default", "true");
    jw_obj_end(&w);
    jw_arr_end(&w);
    jw_obj_end(&w);
    return req_reply(r, 200);
}

#define R POLICY_READER
#define M POLICY_MEMBER

static const struct route routes[] = {
    { "GET", "/", glance_versions_choice, POLICY_PUBLIC },
    { "GET", "/versions", glance_versions, POLICY_PUBLIC },
    { "GET", "/v2/images", image_list, R },
    { "POST", "/v2/images", image_create, M },
    { "GET", "/v2/images/{id}", image_show, R },
    { "PATCH", "/v2/images/{id}", image_update, M },
    { "DELETE", "/v2/images/{id}", image_delete, M, ROUTE_NO_BODY },
    { "GET", "/v2/images/{id}/file", image_download, R },
    { "PUT", "/v2/images/{id}/file", image_upload, M, ROUTE_STREAM },
    { "PUT", "/v2/images/{id}/stage", image_upload, M,
      ROUTE_STREAM | IMAGE_ROUTE_STAGE },
    { "POST", "/v2/images/{id}/import", image_import, M },
    { "PUT", "/v2/images/{id}/tags/{tag}", image_tag_add, M, ROUTE_NO_BODY },
    { "DELETE", "/v2/images/{id}/tags/{tag}", image_tag_remove, M,
      ROUTE_NO_BODY },
    { "GET", "/v2/schemas/image", image_schema, POLICY_TOKEN },
    { "GET", "/v2/schemas/images", image_list_schema, POLICY_TOKEN },
    { "GET", "/v2/info/import", glance_import_info, POLICY_TOKEN },
    { "GET", "/v2/info/stores", glance_stores_info, POLICY_TOKEN },
    ROUTE_END,
};

const struct service_api glance = {
    .prefix = "/image",
    .type = "image",
    .name = "glance",
    .style = STYLE_GLANCE,
    .url_tail = "",
    .routes = routes,
};
