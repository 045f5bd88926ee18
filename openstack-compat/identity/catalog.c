/* Regions, services and endpoints: what the catalogue is made from. */
#include "openstack-compat/identity/parts.h"

#include <string.h>

#define REGION_DEPTH_MAX 16

static bool anybody(struct req *r, const void *record)
{
    return true;
}

static bool admin_only(struct req *r, const void *record)
{
    return r->auth.is_admin;
}

/* ---- regions ----------------------------------------------------------- */

static bool settle_region(struct req *r, const struct region *region)
{
    const char *up = region->parent_region_id;
    for (int i = 0; up && i < REGION_DEPTH_MAX; i++) {
        const struct region *parent = snap_get(r->snap, &kind_region, up);
        if (strcmp(up, region->rec.id) == 0)
            return error_set(&r->err, ERR_INVALID,
                             "The specified parent region %.64s would create "
                             "a circular region hierarchy.",
                             region->parent_region_id);
        up = parent ? parent->parent_region_id : NULL;
    }
    return settle_ref(r, &kind_region, "region", region->parent_region_id);
}

static bool region_updated(struct req *r, const void *old, void *draft,
                           const json_t *body)
{
    return settle_region(r, draft);
}

static bool region_deleted(struct req *r, const void *record)
{
    const char *id = ((const struct record *)record)->id;
    if (snap_find(r->snap, &kind_endpoint, "region_id", id) ||
        snap_find(r->snap, &kind_region, "parent_region_id", id))
        return error_set(&r->err, ERR_FORBIDDEN,
                         "Unable to delete region %.64s because it or its "
                         "child regions have associated endpoints.",
                         id);
    return true;
}

static const struct attr region_attrs[] = {
    { "id", NULL, A_FILTER },
    { "description", NULL, A_CU | A_NULL, CHECK_TEXT, 0, 65535,
      .show = show_text_or_empty },
    { "parent_region_id", NULL, A_CU | A_NULL | A_FILTER, CHECK_TEXT, 1, 255 },
    ATTR_LINKS,
    ATTR_END,
};

const struct resource resource_region = {
    .kind = &kind_region,
    .singular = "region",
    .plural = "regions",
    .noun = "region",
    .attrs = region_attrs,
    .path = "/v3/regions",
    .visible = anybody,
    .writable = admin_only,
    .updated = region_updated,
    .deleted = region_deleted,
};

static bool region_id_ok(const char *id)
{
    return id && *id && strlen(id) <= 255 && !strpbrk(id, "/?#%");
}

/* A region's id is chosen by its maker. */
static enum outcome make_region(struct req *r, const json_t *body,
                                const char *id)
{
    if (!region_id_ok(id))
        return req_fail(r, ERR_INVALID, "Invalid input for field 'id'");
    _autorecord_ struct region *region = record_new(&kind_region, id);
    if (snap_get(r->snap, &kind_region, id))
        return req_fail(r, ERR_EXISTS,
                        "Conflict occurred attempting to store region - "
                        "Duplicate ID, %.64s.",
                        id);
    if (!resource_fill(r, &resource_region, region, body, true) ||
        !settle_region(r, region))
        return req_failed(r);
    txn_change_record(&r->txn, region);
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    resource_write(r, &resource_region, &w, "region", region);
    jw_obj_end(&w);
    return req_reply(r, 201);
}

enum outcome region_create(struct req *r)
{
    const json_t *body = req_envelope(r, "region");
    const json_t *id = body ? json_object_get(body, "id") : NULL;
    if (!body)
        return req_failed(r);
    if (id && !json_is_null(id) && !json_is_string(id))
        return req_fail(r, ERR_INVALID, "Invalid input for field 'id'");
    return make_region(r, body,
                       json_is_string(id) && *json_string_value(id)
                           ? json_string_value(id)
                           : req_hex_id(r));
}

enum outcome region_put(struct req *r)
{
    const json_t *body = req_envelope(r, "region");
    const json_t *id = body ? json_object_get(body, "id") : NULL;
    if (!body)
        return req_failed(r);
    if (id && (!json_is_string(id) ||
               strcmp(json_string_value(id), r->param[0]) != 0))
        return req_fail(r, ERR_INVALID,
                        "The ID of the region in the body and in the URL "
                        "differ.");
    return make_region(r, body, r->param[0]);
}

/* ---- services ---------------------------------------------------------- */

static bool service_deleted(struct req *r, const void *record)
{
    delete_where(r, &kind_endpoint, "service_id",
                 ((const struct record *)record)->id);
    return txn_fits(r, "The service");
}

static const struct attr service_attrs[] = {
    { "id", NULL, A_FILTER },
    { "name", NULL, A_CU | A_FILTER, CHECK_NAME, 1, 255,
      .show = show_text_or_empty },
    { "type", NULL, A_CU | A_REQUIRED | A_FILTER, CHECK_NAME, 1, 255 },
    { "description", NULL, A_CU | A_NULL, CHECK_TEXT, 0, 65535,
      .show = show_text_or_empty },
    { "enabled", NULL, A_CU | A_FILTER, CHECK_BOOL, .dflt = "true" },
    ATTR_LINKS,
    ATTR_END,
};

const struct resource resource_service = {
    .kind = &kind_service,
    .singular = "service",
    .plural = "services",
    .noun = "service",
    .attrs = service_attrs,
    .hex_id = true,
    .path = "/v3/services",
    .visible = admin_only,
    .writable = admin_only,
    .deleted = service_deleted,
};

/* ---- endpoints --------------------------------------------------------- */

/* $(name)s and %(name)s with a name we can fill in, and nothing else. */
static bool url_ok(const char *url)
{
    static const char *const names[] = { "project_id", "tenant_id", "user_id" };
    for (const char *s = url; (s = strstr(s, "(")); s++) {
        bool known = false;
        for (size_t i = 0; s > url && i < ARRAY_SIZE(names); i++) {
            size_t len = strlen(names[i]);
            known |= (s[-1] == '$' || s[-1] == '%') &&
                     strncmp(s + 1, names[i], len) == 0 &&
                     strncmp(s + 1 + len, ")s", 2) == 0;
        }
        if (!known)
            return false;
    }
    return strncmp(url, "http://", 7) == 0 || strncmp(url, "https://", 8) == 0;
}

static bool settle_endpoint(struct req *r, const struct endpoint *e)
{
    if (!url_ok(e->url))
        return error_set(&r->err, ERR_INVALID,
                         "Cannot create an endpoint with an invalid URL: "
                         "%.200s.",
                         e->url);
    if (e->region_id && !snap_get(r->snap, &kind_region, e->region_id))
        return error_set(&r->err, ERR_INVALID, "Could not find region: %.64s.",
                         e->region_id);
    if (!snap_get(r->snap, &kind_service, e->service_id))
        return error_set(&r->err, ERR_INVALID, "Could not find service: %.64s.",
                         e->service_id);
    return settle_ref(r, &kind_region, "region", e->region_id) &&
           settle_ref(r, &kind_service, "service", e->service_id);
}

static bool endpoint_created(struct req *r, void *draft, const json_t *body)
{
    return settle_endpoint(r, draft);
}

static bool endpoint_updated(struct req *r, const void *old, void *draft,
                             const json_t *body)
{
    return settle_endpoint(r, draft);
}

/* "region" is the older name of region_id; shown, and taken too. */
static void show_region(struct req *r, struct jw *w, const char *name,
                        const void *record)
{
    jw_str(w, name, ((const struct endpoint *)record)->region_id);
}

static const char *const interfaces[] = { "public", "internal", "admin", NULL };

static const struct attr endpoint_attrs[] = {
    { "id", NULL, A_FILTER },
    { "service_id", NULL, A_CU | A_REQUIRED | A_FILTER, CHECK_TEXT, 1, 64 },
    { "region", "region_id", A_CU | A_NULL, CHECK_TEXT, 1, 255,
      .show = show_region },
    { "region_id", NULL, A_CU | A_NULL | A_FILTER, CHECK_TEXT, 1, 255 },
    { "interface", NULL, A_CU | A_REQUIRED | A_FILTER, CHECK_ENUM,
      .choices = interfaces },
    { "url", NULL, A_CU | A_REQUIRED, CHECK_TEXT, 1, 225 },
    { "enabled", NULL, A_CU | A_FILTER, CHECK_BOOL, .dflt = "true" },
    ATTR_LINKS,
    ATTR_END,
};

const struct resource resource_endpoint = {
    .kind = &kind_endpoint,
    .singular = "endpoint",
    .plural = "endpoints",
    .noun = "endpoint",
    .attrs = endpoint_attrs,
    .hex_id = true,
    .path = "/v3/endpoints",
    .visible = admin_only,
    .writable = admin_only,
    .created = endpoint_created,
    .updated = endpoint_updated,
};
