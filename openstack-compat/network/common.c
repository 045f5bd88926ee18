/* What the resources of neutron share. */
#include "openstack-compat/network/neutron.h"

#include <stdarg.h>
#include <string.h>

void neutron_show_revision(struct req *r, struct jw *w, const char *name,
                           const void *record)
{
    jw_int(w, name, ((const struct record *)record)->mod_rev);
}

void neutron_show_null(struct req *r, struct jw *w, const char *name,
                       const void *record)
{
    jw_null(w, name);
}

void neutron_show_empty_list(struct req *r, struct jw *w, const char *name,
                             const void *record)
{
    jw_arr(w, name);
    jw_arr_end(w);
}

void neutron_show_empty_object(struct req *r, struct jw *w, const char *name,
                               const void *record)
{
    jw_obj(w, name);
    jw_obj_end(w);
}

bool(neutron_fail)(struct req *r, enum error_code code, const char *type,
                   const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    error_setv(&r->err, code, fmt, args);
    va_end(args);
    r->fault_type = type;
    return false;
}

bool neutron_charge(struct req *r, const char *project_id, const char *what,
                    int64_t n)
{
    struct amount amount = { what, n };
    return !project_id || quota_charge(&r->txn, r->snap, "network", project_id,
                                       &amount, 1, &r->err);
}

/* ---- tags -------------------------------------------------------------- */

#define TAGS_MAX 50

static struct strs *tags_of(struct req *r, const void *record)
{
    const struct field *f =
        schema_field(&r->route->resource->kind->schema, "tags");
    return field_ptr(record, f);
}

/* How many of the comma-separated tags does the record have? */
static size_t tags_had(struct req *r, const void *record, const char *value,
                       size_t *asked)
{
    const struct strs *tags = tags_of(r, record);
    char *list = arena_strdup(&r->arena, value), *rest = NULL;
    size_t had = 0;
    *asked = 0;
    for (char *t = strtok_r(list, ",", &rest); t;
         t = strtok_r(NULL, ",", &rest)) {
        ++*asked;
        had += strs_has(tags, t);
    }
    return had;
}

bool neutron_tags_all(struct req *r, const void *record, const char *value)
{
    size_t asked;
    return tags_had(r, record, value, &asked) == asked;
}

bool neutron_tags_any(struct req *r, const void *record, const char *value)
{
    size_t asked;
    return tags_had(r, record, value, &asked) > 0;
}

bool neutron_tags_not_all(struct req *r, const void *record, const char *value)
{
    return !neutron_tags_all(r, record, value);
}

bool neutron_tags_not_any(struct req *r, const void *record, const char *value)
{
    return !neutron_tags_any(r, record, value);
}

static void *tags_draft(struct req *r)
{
    const void *record =
        resource_get_writable(r, r->route->resource, r->param[0]);
    return record ? record_copy(record) : NULL;
}

static enum outcome tags_reply(struct req *r, const void *record)
{
    const struct strs *tags = tags_of(r, record);
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    jw_arr(&w, "tags");
    for (size_t i = 0; i < tags->n; i++)
        jw_str(&w, NULL, tags->v[i]);
    jw_arr_end(&w);
    jw_obj_end(&w);
    return req_reply(r, 200);
}

enum outcome neutron_tags_show(struct req *r)
{
    const void *record = resource_get(r, r->route->resource, r->param[0]);
    return record ? tags_reply(r, record) : req_failed(r);
}

static bool tag_add(struct req *r, void *draft, const char *tag)
{
    struct strs *tags = tags_of(r, draft);
    if (!tag || !*tag || strlen(tag) > 60 || strchr(tag, ','))
        return error_set(&r->err, ERR_INVALID,
                         "Invalid input for tag: 1 to 60 characters, no comma");
    if (tags->n >= TAGS_MAX)
        return error_set(&r->err, ERR_INVALID,
                         "Too many tags: at most %d are allowed", TAGS_MAX);
    if (!strs_has(tags, tag))
        strs_add(draft, tags, tag);
    return true;
}

enum outcome neutron_tags_replace(struct req *r)
{
    size_t i;
    json_t *tag, *tags = r->body ? json_object_get(r->body, "tags") : NULL;
    _autorecord_ void *draft = tags_draft(r);
    if (!draft)
        return req_failed(r);
    if (!json_is_array(tags))
        return req_fail(r, ERR_INVALID, "Invalid tags body");
    tags_of(r, draft)->n = 0;
    json_array_foreach(
        tags, i,
        tag) if (!tag_add(r, draft,
                          json_string_value(tag))) return req_failed(r);
    txn_change_record(&r->txn, draft);
    return tags_reply(r, draft);
}

enum outcome neutron_tags_clear(struct req *r)
{
    _autorecord_ void *draft = tags_draft(r);
    if (!draft)
        return req_failed(r);
    tags_of(r, draft)->n = 0;
    txn_change_record(&r->txn, draft);
    return req_reply(r, 204);
}

static enum outcome no_such_tag(struct req *r)
{
    return req_fail_type(r, ERR_NOT_FOUND, "TagNotFound",
                         "Tag %.60s could not be found.", r->param[1]);
}

enum outcome neutron_tag_show(struct req *r)
{
    const void *record = resource_get(r, r->route->resource, r->param[0]);
    if (!record)
        return req_failed(r);
    if (!strs_has(tags_of(r, record), r->param[1]))
        return no_such_tag(r);
    return req_reply(r, 204);
}

enum outcome neutron_tag_add(struct req *r)
{
    _autorecord_ void *draft = tags_draft(r);
    if (!draft || !tag_add(r, draft, r->param[1]))
        return req_failed(r);
    txn_change_record(&r->txn, draft);
    return req_reply(r, 201);
}

enum outcome neutron_tag_remove(struct req *r)
{
    _autorecord_ void *draft = tags_draft(r);
    if (!draft)
        return req_failed(r);
    if (!strs_remove(tags_of(r, draft), r->param[1]))
        return no_such_tag(r);
    txn_change_record(&r->txn, draft);
    return req_reply(r, 204);
}
