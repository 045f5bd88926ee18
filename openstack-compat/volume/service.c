/* Cinder's discovery documents and routes; what its files share. */
#include "openstack-compat/volume/cinder.h"

#include "openstack-compat/discovery.h"

#include <string.h>

/* ---- discovery --------------------------------------------------------- */

static const struct api_version version = {
    .id = "v3.0",
    .status = "CURRENT",
    .newest = "version",
    .first = CINDER_MIN,
    .last = CINDER_MAX,
    .updated = "2019-04-10T00:00:00Z",
    .path = "v3/",
    .media_type = "application/vnd.openstack.volume+json;version=3",
};

static enum outcome cinder_versions(struct req *r)
{
    return discovery_list(r, 200, &version, 1);
}

static enum outcome cinder_versions_choice(struct req *r)
{
    return discovery_list(r, 300, &version, 1);
}

static enum outcome cinder_extensions(struct req *r)
{
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    jw_arr(&w, "extensions");
    jw_arr_end(&w);
    jw_obj_end(&w);
    return req_reply(r, 200);
}

static void write_filters(struct jw *w, const char *resource,
                          const char *const *names)
{
    jw_obj(w, NULL);
    jw_str(w, "resource", resource);
    jw_arr(w, "filters");
    for (; *names; names++)
        jw_str(w, NULL, *names);
    jw_arr_end(w);
    jw_obj_end(w);
}

static enum outcome cinder_resource_filters(struct req *r)
{
    static const char *const of_volumes[] = {
        "name", "status", "metadata", "bootable", "availability_zone", NULL
    };
    static const char *const of_snapshots[] = { "name", "status", "volume_id",
                                                "metadata", NULL };
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    jw_arr(&w, "resource_filters");
    write_filters(&w, "volume", of_volumes);
    write_filters(&w, "snapshot", of_snapshots);
    jw_arr_end(&w);
    jw_obj_end(&w);
    return req_reply(r, 200);
}

/* ---- shared ------------------------------------------------------------ */

void cinder_write_map(struct jw *w, const char *key, const struct map *map)
{
    jw_obj(w, key);
    for (size_t i = 0; i < map->n; i++)
        jw_str(w, map->v[i].key, map->v[i].value);
    jw_obj_end(w);
}

static void write_link(struct jw *w, const char *rel, const char *href)
{
    jw_obj(w, NULL);
    jw_str(w, "rel", rel);
    jw_str(w, "href", href);
    jw_obj_end(w);
}

void cinder_write_links(struct req *r, struct jw *w, const char *collection,
                        const char *id)
{
    const char *base = req_base_url(r), *project = r->auth.project_id;
    project = project ? project : "";
    jw_arr(w, "links");
    write_link(w, "self",
               req_strf(r, "%s/v3/%s/%s/%s", base, project, collection, id));
    write_link(w, "bookmark",
               req_strf(r, "%s/%s/%s/%s", base, project, collection, id));
    jw_arr_end(w);
}

void cinder_write_time(struct jw *w, const char *key, int64_t us)
{
    char text[TIME_TEXT_MAX];
    jw_str(w, key, us ? time_format(us, TIME_MICRO, text) : NULL);
}

static const struct attr *find_attr(const struct attr *attrs, const char *name)
{
    for (; attrs->name; attrs++)
        if (strcmp(attrs->name, name) == 0)
            return attrs;
    return NULL;
}

static bool fill_one(struct req *r, void *record, const struct attr *a,
                     const json_t *value)
{
    const struct record *rec = record;
    const struct field *f =
        schema_field(&rec->kind->schema, a->field ? a->field : a->name);
    _autojson_ json_t *converted = NULL;
    if (!check_value(a, STYLE_CINDER, value, &converted, &r->err))
        return false;
    if (converted)
        value = converted;
    return a->set ? a->set(r, record, a, value)
                  : record_set_json(record, f, value, &r->err);
}

bool cinder_fill(struct req *r, void *record, const struct attr *attrs,
                 const json_t *body, bool strict)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)body, name, value)
    {
        const struct attr *a = find_attr(attrs, name);
        if (!a && strict)
            return error_set(&r->err, ERR_INVALID,
                             "Additional properties are not allowed ('%.64s' "
                             "was unexpected)",
                             name);
        if (a && !fill_one(r, record, a, value))
            return false;
    }
    return true;
}

const char *cinder_action(struct req *r, json_t **args)
{
    void *it = json_is_object(r->body) ? json_object_iter(r->body) : NULL;
    if (!it || json_object_size(r->body) != 1) {
        error_set(&r->err, ERR_INVALID,
                  "The body of an action must be an object with one member");
        return NULL;
    }
    *args = json_object_iter_value(it);
    return json_object_iter_key(it);
}

bool cinder_forced(const json_t *body)
{
    static const struct attr force = { .name = "force", .check = CHECK_BOOL };
    const json_t *given = json_object_get(body, "force");
    _autojson_ json_t *converted = NULL;
    return given &&
           check_value(&force, STYLE_CINDER, given, &converted, NULL) &&
           json_is_true(converted ? converted : given);
}

enum outcome cinder_no_action(struct req *r, const char *name)
{
    return req_fail(r, ERR_INVALID, "There is no such action: %.64s", name);
}

/* ---- routes ------------------------------------------------------------ */

#define R POLICY_READER
#define M POLICY_MEMBER
#define A POLICY_ADMIN
#define METADATA(path_, tail_, resource_, write_)                                 \
    { "GET", path_ tail_, metadata_list, R, 0, 0, 0, &(resource_) },              \
        { "POST", path_ tail_, metadata_merge, write_, 0, 0, 0, &(resource_) },   \
        { "GET", path_ tail_ "/{key}", metadata_show, R, 0, 0, 0, &(resource_) }, \
        { "PUT", path_ tail_ "/{key}", metadata_set, write_, 0, 0,                \
          0,     &(resource_) },                                                  \
    {                                                                             \
        "DELETE", path_ tail_ "/{key}", metadata_delete, write_,                  \
            ROUTE_NO_BODY, 0, 0, &(resource_)                                     \
    }

static const struct route routes[] = {
    { "GET", "/", cinder_versions_choice, POLICY_PUBLIC },
    { "GET", "/v3", cinder_versions, POLICY_PUBLIC },
    { "GET", "/v3/extensions", cinder_extensions, POLICY_TOKEN },
    { "GET", "/v3/resource_filters", cinder_resource_filters, R, 0, MV(3, 33) },

    { "GET", "/v3/volumes", volume_list, R },
    { "POST", "/v3/volumes", volume_create, M },
    { "GET", "/v3/volumes/detail", volume_detail, R },
    { "GET", "/v3/volumes/summary", volume_summary, R, 0, MV(3, 12) },
    { "GET", "/v3/volumes/{id}", volume_show, R },
    { "PUT", "/v3/volumes/{id}", volume_update, M },
    { "DELETE", "/v3/volumes/{id}", volume_delete, M, ROUTE_NO_BODY },
    { "POST", "/v3/volumes/{id}/action", volume_action, M },
    { "GET", "/v3/volumes/{id}/encryption", volume_encryption, R },
    METADATA("/v3/volumes/{id}", "/metadata", cinder_volumes, M),
    { "PUT", "/v3/volumes/{id}/metadata", metadata_replace, M, 0, 0, 0,
      &cinder_volumes },

    { "GET", "/v3/snapshots", snapshot_list, R },
    { "POST", "/v3/snapshots", snapshot_create, M },
    { "GET", "/v3/snapshots/detail", snapshot_detail, R },
    { "GET", "/v3/snapshots/{id}", snapshot_show, R },
    { "PUT", "/v3/snapshots/{id}", snapshot_update, M },
    { "DELETE", "/v3/snapshots/{id}", snapshot_delete, M, ROUTE_NO_BODY },
    { "POST", "/v3/snapshots/{id}/action", snapshot_action, A },
    METADATA("/v3/snapshots/{id}", "/metadata", cinder_snapshots, M),
    { "PUT", "/v3/snapshots/{id}/metadata", metadata_replace, M, 0, 0, 0,
      &cinder_snapshots },

    { "GET", "/v3/types/default", volume_type_default, R },
    RESOURCE_ROUTES("/v3/types", cinder_types, R, A),
    { "PUT", "/v3/types/{id}", resource_update, A, 0, 0, 0, &cinder_types },
    METADATA("/v3/types/{id}", "/extra_specs", cinder_types, A),
    { "GET", "/v3/types/{id}/os-volume-type-access", volume_type_access, A },
    { "POST", "/v3/types/{id}/action", volume_type_action, A },
    { "GET", "/v3/types/{id}/encryption", encryption_show, A },
    { "POST", "/v3/types/{id}/encryption", encryption_create, A },
    { "GET", "/v3/types/{id}/encryption/{key}", encryption_show_one, A },
    { "PUT", "/v3/types/{id}/encryption/{key}", encryption_update, A },
    { "DELETE", "/v3/types/{id}/encryption/{key}", encryption_delete, A,
      ROUTE_NO_BODY },

    { "GET", "/v3/qos-specs", qos_list, A },
    { "POST", "/v3/qos-specs", qos_create, A },
    { "GET", "/v3/qos-specs/{id}", qos_show, A },
    { "PUT", "/v3/qos-specs/{id}", qos_set, A },
    { "PUT", "/v3/qos-specs/{id}/delete_keys", qos_unset, A },
    { "DELETE", "/v3/qos-specs/{id}", qos_delete, A, ROUTE_NO_BODY },
    { "GET", "/v3/qos-specs/{id}/associations", qos_associations, A },
    { "GET", "/v3/qos-specs/{id}/associate", qos_associate, A },
    { "GET", "/v3/qos-specs/{id}/disassociate", qos_disassociate, A },
    { "GET", "/v3/qos-specs/{id}/disassociate_all", qos_disassociate_all, A },

    { "GET", "/v3/attachments", cinder_attachments, R, 0, MV(3, 27) },
    { "GET", "/v3/attachments/detail", cinder_attachments_detail, R, 0,
      MV(3, 27) },
    { "GET", "/v3/attachments/{id}", cinder_attachment_show, R, 0, MV(3, 27) },

    { "GET", "/v3/limits", cinder_limits, R },
    { "GET", "/v3/os-quota-sets/{project}", cinder_quota_show, R },
    { "PUT", "/v3/os-quota-sets/{project}", cinder_quota_update, A },
    { "DELETE", "/v3/os-quota-sets/{project}", cinder_quota_delete, A,
      ROUTE_NO_BODY },
    { "GET", "/v3/os-quota-sets/{project}/defaults", cinder_quota_defaults, R },
    { "GET", "/v3/os-availability-zone", cinder_zones, R },
    { "GET", "/v3/os-services", cinder_services, A },
    ROUTE_END,
};

const struct service_api cinder = {
    .prefix = "/volume",
    .type = "volumev3",
    .name = "cinderv3",
    .style = STYLE_CINDER,
    .first = CINDER_MIN,
    .last = CINDER_MAX,
    .project_in_path = true,
    .url_tail = "/v3/%(project_id)s",
    .routes = routes,
};
