/* The JSON schemas from which clients build their models of an image. */
#include "openstack-compat/image/glance.h"

#include <string.h>

enum type { TEXT, MAYBE_TEXT, NUMBER, MAYBE_NUMBER, SWITCH, TEXTS };

static const struct property {
    const char *name;
    enum type type;
    bool read_only;
    int max; /* characters */
    const char *const *choices;
    const char *description;
} properties[] = {
    { "id", TEXT, false, 0, NULL, "An identifier for the image" },
    { "name", MAYBE_TEXT, false, 255, NULL, "Descriptive name for the image" },
    { "status", TEXT, true, 0,
      (const char *const[]){ "queued", "saving", "active", "killed", "deleted",
                             "uploading", "importing", "pending_delete",
                             "deactivated", NULL },
      "Status of the image" },
    { "visibility", TEXT, false, 0, image_visibilities,
      "Scope of image accessibility" },
    { "protected", SWITCH, false, 0, NULL,
      "If true, image will not be deletable." },
    { "os_hidden", SWITCH, false, 0, NULL,
      "If true, image will not appear in default image list response." },
    { "checksum", MAYBE_TEXT, true, 32, NULL, "md5 hash of image contents." },
    { "os_hash_algo", MAYBE_TEXT, true, 64, NULL,
      "Algorithm to calculate the os_hash_value" },
    { "os_hash_value", MAYBE_TEXT, true, 128, NULL,
      "Hexdigest of the image contents using the algorithm specified by the "
      "os_hash_algo" },
    { "owner", MAYBE_TEXT, false, 255, NULL, "Owner of the image" },
    { "size", MAYBE_NUMBER, true, 0, NULL, "Size of image file in bytes" },
    { "virtual_size", MAYBE_NUMBER, true, 0, NULL,
      "Virtual size of image in bytes" },
    { "container_format", MAYBE_TEXT, false, 0, image_container_formats,
      "Format of the container" },
    { "disk_format", MAYBE_TEXT, false, 0, image_disk_formats,
      "Format of the disk" },
    { "created_at", TEXT, true, 0, NULL,
      "Date and time of image registration" },
    { "updated_at", TEXT, true, 0, NULL,
      "Date and time of the last image modification" },
    { "tags", TEXTS, false, 255, NULL, "List of strings related to the image" },
    { "min_ram", NUMBER, false, 0, NULL,
      "Amount of ram (in MB) required to boot image." },
    { "min_disk", NUMBER, false, 0, NULL,
      "Amount of disk space (in GB) required to boot image." },
    { "self", TEXT, true, 0, NULL, "An image self url" },
    { "file", TEXT, true, 0, NULL, "An image file url" },
    { "schema", TEXT, true, 0, NULL, "An image schema url" },
};

static const struct {
    const char *json; /* name of the type */
    bool maybe;
} types[] = {
    [TEXT] = { "string", false },    [MAYBE_TEXT] = { "string", true },
    [NUMBER] = { "integer", false }, [MAYBE_NUMBER] = { "integer", true },
    [SWITCH] = { "boolean", false }, [TEXTS] = { "array", false },
};

static void write_type(struct jw *w, enum type type)
{
    if (!types[type].maybe) {
        jw_str(w, "type", types[type].json);
        return;
    }
    jw_arr(w, "type");
    jw_str(w, NULL, "null");
    jw_str(w, NULL, types[type].json);
    jw_arr_end(w);
}

static void write_choices(struct jw *w, const struct property *p)
{
    jw_arr(w, "enum");
    if (types[p->type].maybe)
        jw_null(w, NULL);
    for (const char *const *c = p->choices; *c; c++)
        jw_str(w, NULL, *c);
    jw_arr_end(w);
}

static void write_property(struct jw *w, const struct property *p)
{
    jw_obj(w, p->name);
    write_type(w, p->type);
    jw_str(w, "description", p->description);
    if (p->read_only)
        jw_bool(w, "readOnly", true);
    if (p->choices)
        write_choices(w, p);
    if (p->type == TEXTS) {
        jw_obj(w, "items");
        jw_str(w, "type", "string");
        jw_int(w, "maxLength", p->max);
        jw_obj_end(w);
    } else if (p->max) {
        jw_int(w, "maxLength", p->max);
    }
    jw_obj_end(w);
}

static void write_link(struct jw *w, const char *rel, const char *href)
{
    jw_obj(w, NULL);
    jw_str(w, "rel", rel);
    jw_str(w, "href", href);
    jw_obj_end(w);
}

static void write_image_schema(struct jw *w, const char *key)
{
    jw_obj(w, key);
    jw_str(w, "name", "image");
    jw_obj(w, "properties");
    for (size_t i = 0; i < ARRAY_SIZE(properties); i++)
        write_property(w, &properties[i]);
    jw_obj_end(w);
    jw_obj(w, "additionalProperties");
    jw_str(w, "type", "string");
    jw_obj_end(w);
    jw_arr(w, "links");
    write_link(w, "self", "{self}");
    write_link(w, "enclosure", "{file}");
    write_link(w, "describedby", "{schema}");
    jw_arr_end(w);
    jw_obj_end(w);
}

enum outcome image_schema(struct req *r)
{
    struct jw w = req_json(r);
    write_image_schema(&w, NULL);
    return req_reply(r, 200);
}

static void write_text_property(struct jw *w, const char *name)
{
    jw_obj(w, name);
    jw_str(w, "type", "string");
    jw_obj_end(w);
}

enum outcome image_list_schema(struct req *r)
{
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    jw_str(&w, "name", "images");
    jw_obj(&w, "properties");
    jw_obj(&w, "images");
    jw_str(&w, "type", "array");
    write_image_schema(&w, "items");
    jw_obj_end(&w);
    write_text_property(&w, "first");
    write_text_property(&w, "next");
    write_text_property(&w, "schema");
    jw_obj_end(&w);
    jw_arr(&w, "links");
    write_link(&w, "first", "{first}");
    write_link(&w, "next", "{next}");
    write_link(&w, "describedby", "{schema}");
    jw_arr_end(&w);
    jw_obj_end(&w);
    return req_reply(r, 200);
}
