/* Images as clients see, make and change them. */
#include "openstack-compat/image/glance.h"

#include "rest-api/check.h"

#include <string.h>
#include <strings.h>

#define PROPERTIES_MAX     128 /* glance's image_property_quota */
#define PROPERTY_NAME_MAX  255
#define PROPERTY_VALUE_MAX 65535 /* bytes */
#define TAGS_MAX           128
#define TAG_MAX            255

const char *const image_visibilities[] = { "public", "private", "shared",
                                           "community", NULL };
/* What storage inspects and can use (storage/inspect.h). */
const char *const image_disk_formats[] = { "qcow2", "raw",  "iso", "vmdk",
                                           "vhd",   "vhdx", "vdi", NULL };
const char *const image_container_formats[] = { "bare",   "ovf",        "ova",
                                                "ami",    "aki",        "ari",
                                                "docker", "compressed", NULL };

/* ---- who may ----------------------------------------------------------- */

static bool is_owner(const struct req *r, const struct image *im)
{
    return im->owner && r->auth.project_id &&
           strcmp(im->owner, r->auth.project_id) == 0;
}

static bool image_writable(const struct req *r, const struct image *im)
{
    return r->auth.is_admin || is_owner(r, im);
}

bool image_visible(const struct req *r, const struct image *im)
{
    const char *v = im->visibility;
    if (im->status == IMAGE_DELETED)
        return false;
    return image_writable(r, im) ||
           (v && (strcmp(v, "public") == 0 || strcmp(v, "community") == 0));
}

const struct image *image_get(struct req *r, const char *id)
{
    const struct image *im = snap_get(r->snap, &kind_image, id);
    if (im && image_visible(r, im))
        return im;
    error_set(&r->err, ERR_NOT_FOUND, "No image found with ID %.80s", id);
    return NULL;
}

const struct image *image_to_change(struct req *r, const char *id)
{
    const struct image *im = image_get(r, id);
    if (!im || image_writable(r, im))
        return im;
    error_set(&r->err, ERR_FORBIDDEN,
              "You are not permitted to modify image %.80s", id);
    return NULL;
}

/* ---- showing ----------------------------------------------------------- */

const char *image_status_text(const struct image *im)
{
    return im->status == IMAGE_CHECKING ? image_status_names[IMAGE_SAVING]
                                        : image_status_names[im->status];
}

static void write_time(struct jw *w, const char *name, int64_t us)
{
    char text[TIME_TEXT_MAX];
    jw_str(w, name, time_format(us, TIME_Z, text));
}

/* Sizes are known once the bytes have been looked at. */
static void write_size(struct jw *w, const char *name, const struct image *im,
                       int64_t size)
{
    if (im->status == IMAGE_ACTIVE)
        jw_int(w, name, size);
    else
        jw_null(w, name);
}

static void write_strs(struct jw *w, const char *name, const struct strs *s)
{
    jw_arr(w, name);
    for (size_t i = 0; i < s->n; i++)
        jw_str(w, NULL, s->v[i]);
    jw_arr_end(w);
}

static void write_bytes(struct jw *w, const struct image *im)
{
    jw_str(w, "checksum", im->checksum);
    jw_str(w, "os_hash_algo", im->hash_value ? im->hash_algo : NULL);
    jw_str(w, "os_hash_value", im->hash_value);
    write_size(w, "size", im, im->size);
    write_size(w, "virtual_size", im, im->virtual_size);
}

void image_write(struct req *r, struct jw *w, const struct image *im)
{
    const char *id = im->rec.id;
    jw_obj(w, NULL);
    for (size_t i = 0; i < im->properties.n; i++)
        jw_str(w, im->properties.v[i].key, im->properties.v[i].value);
    jw_str(w, "id", id);
    jw_str(w, "name", im->name);
    jw_str(w, "status", image_status_text(im));
    jw_str(w, "visibility", im->visibility);
    jw_str(w, "owner", im->owner);
    jw_str(w, "container_format", im->container_format);
    jw_str(w, "disk_format", im->disk_format);
    jw_int(w, "min_disk", im->min_disk_gb);
    jw_int(w, "min_ram", im->min_ram_mb);
    jw_bool(w, "protected", im->is_protected);
    jw_bool(w, "os_hidden", im->hidden);
    write_bytes(w, im);
    write_time(w, "created_at", im->created);
    write_time(w, "updated_at", im->updated);
    write_strs(w, "tags", &im->tags);
    jw_strf(w, "self", "/v2/images/%s", id);
    jw_strf(w, "file", "/v2/images/%s/file", id);
    jw_str(w, "schema", "/v2/schemas/image");
    jw_obj_end(w);
}

static enum outcome reply_image(struct req *r, const struct image *im,
                                int status)
{
    struct jw w = req_json(r);
    image_write(r, &w, im);
    return req_reply(r, status);
}

enum outcome image_show(struct req *r)
{
    const struct image *im = image_get(r, r->param[0]);
    return im ? reply_image(r, im, 200) : req_failed(r);
}

/* ---- attributes -------------------------------------------------------- */

static bool set_tags(struct req *r, void *record, const struct attr *a,
                     const json_t *value)
{
    struct image *im = record;
    size_t i;
    json_t *tag;
    if (json_array_size(value) > TAGS_MAX)
        return error_set(&r->err, ERR_TOO_LARGE,
                         "The limit of %d tags on an image is exceeded",
                         TAGS_MAX);
    im->tags.n = 0;
    json_array_foreach((json_t *)value, i, tag)
    {
        if (!strs_has(&im->tags, json_string_value(tag)))
            strs_add(im, &im->tags, json_string_value(tag));
    }
    return true;
}

static bool set_visibility(struct req *r, void *record, const struct attr *a,
                           const json_t *value)
{
    struct image *im = record;
    const char *v = json_string_value(value);
    if (strcmp(v, "public") == 0 && !r->auth.is_admin)
        return error_set(&r->err, ERR_FORBIDDEN,
                         "You are not authorized to complete publicize_image "
                         "action.");
    im->visibility = rec_str(im, v);
    return true;
}

static bool set_owner(struct req *r, void *record, const struct attr *a,
                      const json_t *value)
{
    struct image *im = record;
    const char *owner = json_string_value(value);
    if (!r->auth.is_admin && (!owner || !r->auth.project_id ||
                              strcmp(owner, r->auth.project_id) != 0))
        return error_set(&r->err, ERR_FORBIDDEN,
                         "You are not permitted to create images owned by "
                         "'%.64s'.",
                         owner ? owner : "");
    im->owner = rec_str(im, owner);
    return true;
}

/* A format says how the bytes are read, so it is fixed once there are any. */
static bool set_format(struct req *r, void *record, const struct attr *a,
                       const json_t *value)
{
    struct image *im = record;
    const char **format =
        a->name[0] == 'd' ? &im->disk_format : &im->container_format;
    const char *asked = json_string_value(value);
    bool same =
        asked && *format ? strcmp(asked, *format) == 0 : !asked && !*format;
    if (im->status != IMAGE_QUEUED && !same)
        return error_set(&r->err, ERR_FORBIDDEN,
                         "Attribute %s can be only replaced for a queued "
                         "image.",
                         a->name);
    *format = rec_str(im, asked);
    return true;
}

static const struct attr attrs[] = {
    { "name", NULL, A_CU | A_NULL, CHECK_NAME },
    { "visibility", NULL, A_CU, CHECK_ENUM, .choices = image_visibilities,
      .set = set_visibility },
    { "container_format", NULL, A_CU | A_NULL, CHECK_ENUM,
      .choices = image_container_formats, .set = set_format },
    { "disk_format", NULL, A_CU | A_NULL, CHECK_ENUM,
      .choices = image_disk_formats, .set = set_format },
    { "min_disk", "min_disk_gb", A_CU, CHECK_INT },
    { "min_ram", "min_ram_mb", A_CU, CHECK_INT },
    { "protected", "is_protected", A_CU, CHECK_BOOL },
    { "os_hidden", "hidden", A_CU, CHECK_BOOL },
    { "owner", NULL, A_CU, CHECK_TEXT, .set = set_owner },
    { "tags", NULL, A_CU, CHECK_STRS, .set = set_tags },
    /* read-only */
    { "id", NULL, 0 },
    { "status", NULL, 0 },
    { "checksum", NULL, 0 },
    { "os_hash_algo", NULL, 0 },
    { "os_hash_value", NULL, 0 },
    { "size", NULL, 0 },
    { "virtual_size", NULL, 0 },
    { "created_at", NULL, 0 },
    { "updated_at", NULL, 0 },
    { "self", NULL, 0 },
    { "file", NULL, 0 },
    { "schema", NULL, 0 },
    { "direct_url", NULL, 0 },
    { "stores", NULL, 0 },
    ATTR_END,
};

static const struct attr *find_attr(const char *name)
{
    const struct attr *a = attrs;
    while (a->name && strcmp(a->name, name) != 0)
        a++;
    return a->name ? a : NULL;
}

/* Names that glance keeps for itself. */
static bool is_reserved(const char *name)
{
    static const char *const reserved[] = { "location", "locations", "deleted",
                                            "deleted_at", "is_public" };
    for (size_t i = 0; i < ARRAY_SIZE(reserved); i++)
        if (strcmp(reserved[i], name) == 0)
            return true;
    return strncmp(name, "os_glance", 9) == 0;
}

static bool may_name(struct req *r, const char *name)
{
    const struct attr *a = find_attr(name);
    if (a && !(a->flags & A_CU))
        return error_set(&r->err, ERR_FORBIDDEN,
                         "Attribute '%.64s' is read-only.", name);
    if (is_reserved(name))
        return error_set(&r->err, ERR_FORBIDDEN,
                         "Attribute '%.64s' is reserved.", name);
    return true;
}

static bool set_attr(struct req *r, struct image *im, const struct attr *a,
                     const json_t *value)
{
    _autojson_ json_t *converted = NULL;
    if (!check_value(a, STYLE_GLANCE, value, &converted, &r->err))
        return false;
    if (a->set)
        return a->set(r, im, a, converted ? converted : value);
    return record_set_json(
        im, schema_field(&kind_image.schema, a->field ? a->field : a->name),
        converted ? converted : value, &r->err);
}

static bool set_property(struct req *r, struct image *im, const char *name,
                         const json_t *value)
{
    if (!*name || utf8_length(name) > PROPERTY_NAME_MAX)
        return error_set(&r->err, ERR_INVALID,
                         "A property's name must have 1 to %d characters",
                         PROPERTY_NAME_MAX);
    if (!json_is_string(value))
        return error_set(&r->err, ERR_INVALID,
                         "Provided object does not match schema 'image': "
                         "property '%.64s' is not of type 'string'",
                         name);
    if (json_string_length(value) > PROPERTY_VALUE_MAX)
        return error_set(&r->err, ERR_INVALID,
                         "The value of property '%.64s' is too long", name);
    if (!map_get(&im->properties, name) && im->properties.n >= PROPERTIES_MAX)
        return error_set(&r->err, ERR_TOO_LARGE,
                         "The limit has been exceeded on the number of "
                         "allowed image properties: %d",
                         PROPERTIES_MAX);
    map_put(im, &im->properties, name, json_string_value(value));
    return true;
}

static bool set_member(struct req *r, struct image *im, const char *name,
                       const json_t *value)
{
    const struct attr *a = find_attr(name);
    if (!may_name(r, name))
        return false;
    return a ? set_attr(r, im, a, value) : set_property(r, im, name, value);
}

/* ---- create ------------------------------------------------------------ */

/* The id that the client has chosen, or a new one; NULL: r->err. */
static const char *choose_id(struct req *r)
{
    json_t *given = json_object_get(r->body, "id");
    const char *id = json_string_value(given);
    if (!given)
        return req_uuid(r);
    if (!id || !uuid_valid(id)) {
        error_set(&r->err, ERR_INVALID,
                  "Provided object does not match schema 'image': 'id' is not "
                  "a UUID");
        return NULL;
    }
    if (!snap_get(r->snap, &kind_image, id))
        return id;
    error_set(&r->err, ERR_EXISTS, "Image ID %s already exists!", id);
    return NULL;
}

static bool fill(struct req *r, struct image *im)
{
    const char *name;
    json_t *value;
    json_object_foreach(r->body, name, value)
    {
        if (strcmp(name, "id") != 0 && !set_member(r, im, name, value))
            return false;
    }
    return true;
}

enum outcome image_create(struct req *r)
{
    if (!json_is_object(r->body))
        return req_fail(r, ERR_INVALID, "A JSON object is expected as body.");
    const char *id = choose_id(r);
    if (!id)
        return req_failed(r);
    _autorecord_ struct image *im = record_new(&kind_image, id);
    im->status = IMAGE_QUEUED;
    im->visibility = rec_str(im, "shared");
    im->owner = rec_str(im, r->auth.project_id);
    im->created = im->updated = r->now;
    if (!fill(r, im))
        return req_failed(r);
    txn_change_record(&r->txn, im);
    http_header(&r->resp, "Location",
                req_strf(r, "%s/v2/images/%s", req_base_url(r), id));
    http_header(&r->resp, "OpenStack-image-import-methods", "glance-direct");
    return reply_image(r, im, 201);
}

/* ---- update: a part of RFC 6902 ---------------------------------------- */

/* "/a~1b" -> "a/b"; NULL when it does not point at a member of the top. */
static const char *pointer_name(struct req *r, const char *path)
{
    if (!path || path[0] != '/' || !path[1] || strchr(path + 1, '/'))
        return NULL;
    char *name = arena_strdup(&r->arena, path + 1), *to = name;
    for (const char *from = name; *from; from++) {
        if (*from == '~' && from[1] != '0' && from[1] != '1')
            return NULL;
        *to++ = *from != '~' ? *from : *++from == '1' ? '/' : '~';
    }
    *to = '\0';
    return name;
}

static bool remove_member(struct req *r, struct image *im, const char *name)
{
    if (!may_name(r, name))
        return false;
    if (find_attr(name))
        return error_set(&r->err, ERR_FORBIDDEN,
                         "Property %.64s may not be removed.", name);
    if (!map_remove(&im->properties, name))
        return error_set(&r->err, ERR_CONFLICT,
                         "Property %.64s does not exist.", name);
    return true;
}

static bool replace_member(struct req *r, struct image *im, const char *name,
                           const json_t *value)
{
    if (!find_attr(name) && !is_reserved(name) &&
        !map_get(&im->properties, name))
        return error_set(&r->err, ERR_CONFLICT,
                         "Property %.64s does not exist.", name);
    return set_member(r, im, name, value);
}

static bool patch_one(struct req *r, struct image *im, const json_t *change)
{
    const char *op = json_string_value(json_object_get(change, "op"));
    const char *path = json_string_value(json_object_get(change, "path"));
    const json_t *value = json_object_get(change, "value");
    const char *name = pointer_name(r, path);
    if (!op)
        return error_set(&r->err, ERR_INVALID,
                         "Unable to find 'op' in JSON Schema change. It must "
                         "be one of the following: add, replace, remove.");
    if (!name)
        return error_set(&r->err, ERR_INVALID,
                         "Invalid JSON pointer for this resource: '%.64s'",
                         path ? path : "");
    if (strcmp(op, "remove") == 0)
        return remove_member(r, im, name);
    if (!value)
        return error_set(&r->err, ERR_INVALID,
                         "Operation \"%.16s\" requires a member named "
                         "\"value\".",
                         op);
    if (strcmp(op, "add") == 0)
        return set_member(r, im, name, value);
    if (strcmp(op, "replace") == 0)
        return replace_member(r, im, name, value);
    return error_set(&r->err, ERR_INVALID,
                     "Operations must be add, replace or remove, not '%.32s'.",
                     op);
}

static bool is_patch_type(struct req *r)
{
    static const char wanted[] = "application/openstack-images-v2.1-json-patch";
    const char *type = req_header(r, "Content-Type");
    size_t len = type ? strcspn(type, "; ") : 0;
    return len == strlen(wanted) && strncasecmp(type, wanted, len) == 0;
}

enum outcome image_update(struct req *r)
{
    size_t i;
    json_t *change;
    if (!is_patch_type(r))
        return req_fail(r, ERR_MEDIA_TYPE,
                        "Accept-Patch: "
                        "application/openstack-images-v2.1-json-patch");
    const struct image *was = image_to_change(r, r->param[0]);
    if (!was)
        return req_failed(r);
    if (!json_is_array(r->body))
        return req_fail(r, ERR_INVALID,
                        "Request body must be a JSON array of operation "
                        "objects.");
    _autorecord_ struct image *im = record_copy(was);
    json_array_foreach(r->body, i, change)
    {
        if (!patch_one(r, im, change))
            return req_failed(r);
    }
    if (!record_equal(was, im)) {
        im->updated = r->now;
        txn_change_record(&r->txn, im);
    }
    return reply_image(r, im, 200);
}

/* ---- delete ------------------------------------------------------------ */

/* A tombstone where there are bytes, which storage removes before it. */
enum outcome image_delete(struct req *r)
{
    const struct image *was = image_to_change(r, r->param[0]);
    if (!was)
        return req_failed(r);
    if (was->is_protected)
        return req_fail(r, ERR_FORBIDDEN,
                        "Image %s is protected and cannot be deleted.",
                        was->rec.id);
    if (was->status == IMAGE_QUEUED && !was->upload_id && !was->blob) {
        txn_delete_record(&r->txn, was);
        return req_reply(r, 204);
    }
    _autorecord_ struct image *im = record_copy(was);
    im->status = IMAGE_DELETED;
    im->updated = r->now;
    txn_change_record(&r->txn, im);
    return req_reply(r, 204);
}

/* ---- tags -------------------------------------------------------------- */

enum outcome image_tag_add(struct req *r)
{
    const struct image *was = image_to_change(r, r->param[0]);
    const char *tag = r->param[1];
    if (!was)
        return req_failed(r);
    if (utf8_length(tag) > TAG_MAX)
        return req_fail(r, ERR_INVALID, "A tag must have at most %d characters",
                        TAG_MAX);
    if (strs_has(&was->tags, tag))
        return req_reply(r, 204);
    if (was->tags.n >= TAGS_MAX)
        return req_fail(r, ERR_TOO_LARGE,
                        "The limit of %d tags on an image is exceeded",
                        TAGS_MAX);
    _autorecord_ struct image *im = record_copy(was);
    strs_add(im, &im->tags, tag);
    im->updated = r->now;
    txn_change_record(&r->txn, im);
    return req_reply(r, 204);
}

enum outcome image_tag_remove(struct req *r)
{
    const struct image *was = image_to_change(r, r->param[0]);
    if (!was)
        return req_failed(r);
    _autorecord_ struct image *im = record_copy(was);
    if (!strs_remove(&im->tags, r->param[1]))
        return req_fail(r, ERR_NOT_FOUND, "Tag %.64s could not be found.",
                        r->param[1]);
    im->updated = r->now;
    txn_change_record(&r->txn, im);
    return req_reply(r, 204);
}
