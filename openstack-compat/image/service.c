/* Glance's discovery documents and routes. */
#include "openstack-compat/image/glance.h"

/* Up to 2.9: what comes after it speaks of several stores. */
#define NEWEST_MINOR 9

static enum outcome write_versions(struct req *r, int status)
{
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    jw_arr(&w, "versions");
    for (int minor = NEWEST_MINOR; minor >= 0; minor--) {
        if (minor == 8) /* several stores, experimental */
            continue;
        jw_obj(&w, NULL);
        jw_strf(&w, "id", "v2.%d", minor);
        jw_str(&w, "status", minor == NEWEST_MINOR ? "CURRENT" : "SUPPORTED");
        jw_arr(&w, "links");
        jw_obj(&w, NULL);
        jw_str(&w, "rel", "self");
        jw_strf(&w, "href", "%s/v2/", req_base_url(r));
        jw_obj_end(&w);
        jw_arr_end(&w);
        jw_obj_end(&w);
    }
    jw_arr_end(&w);
    jw_obj_end(&w);
    return req_reply(r, status);
}

enum outcome glance_versions(struct req *r)
{
    return write_versions(r, 200);
}

enum outcome glance_versions_choice(struct req *r)
{
    return write_versions(r, 300);
}

enum outcome glance_import_info(struct req *r)
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

enum outcome glance_stores_info(struct req *r)
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
