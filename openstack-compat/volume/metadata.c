/* The pairs of strings that volumes, snapshots and types carry. */
#include "openstack-compat/volume/cinder.h"

#include <string.h>

/* How each says it. */
static const struct flavour {
    const struct kind *kind;
    const char *field; /* of the record, and envelope of all pairs */
    const char *one;   /* envelope of one pair; NULL: none */
    int deleted;       /* status */
    bool echo;         /* a merge answers what was sent, not all */
    /* May it become that?  NULL: it may. */
    bool (*check)(struct req *r, const void *was, const void *draft);
} flavours[] = {
    { &kind_volume, "metadata", "meta", 200, false, NULL },
    { &kind_snapshot, "metadata", "meta", 200, false, NULL },
    { &kind_volume_type, "extra_specs", NULL, 202, true, volume_type_respec },
};

static const struct flavour *flavour_of(const struct req *r)
{
    const struct flavour *f = flavours;
    while (f->kind != r->route->resource->kind)
        f++;
    return f;
}

static struct map *map_of(const struct flavour *f, const void *record)
{
    return field_ptr(record, schema_field(&f->kind->schema, f->field));
}

static const void *owner(struct req *r)
{
    return resource_get(r, r->route->resource, r->param[0]);
}

static enum outcome reply_all(struct req *r, const struct flavour *f,
                              const struct map *map)
{
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    cinder_write_map(&w, f->field, map);
    jw_obj_end(&w);
    return req_reply(r, 200);
}

static enum outcome reply_one(struct req *r, const struct flavour *f,
                              const char *key, const char *value)
{
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    if (f->one)
        jw_obj(&w, f->one);
    jw_str(&w, key, value);
    if (f->one)
        jw_obj_end(&w);
    jw_obj_end(&w);
    return req_reply(r, 200);
}

static bool take_pairs(struct req *r, const struct flavour *f, void *draft,
                       const json_t *pairs)
{
    struct attr a = { .name = f->field, .check = CHECK_MAP };
    const char *key;
    json_t *value, *none = NULL;
    if (!check_value(&a, STYLE_CINDER, pairs, &none, &r->err))
        return false;
    json_object_foreach((json_t *)pairs, key, value)
    {
        map_put(draft, map_of(f, draft), key, json_string_value(value));
    }
    return true;
}

static bool change(struct req *r, const struct flavour *f, const void *was,
                   void *draft)
{
    if (f->check && !f->check(r, was, draft))
        return false;
    txn_change_record(&r->txn, draft);
    return true;
}

enum outcome metadata_list(struct req *r)
{
    const struct flavour *f = flavour_of(r);
    const void *record = owner(r);
    return record ? reply_all(r, f, map_of(f, record)) : req_failed(r);
}

static enum outcome change_all(struct req *r, bool replace)
{
    const struct flavour *f = flavour_of(r);
    const void *record = owner(r);
    const json_t *pairs = record ? req_envelope(r, f->field) : NULL;
    if (!pairs)
        return req_failed(r);
    _autorecord_ void *draft = record_copy(record);
    if (replace)
        map_of(f, draft)->n = 0;
    if (!take_pairs(r, f, draft, pairs) || !change(r, f, record, draft))
        return req_failed(r);
    if (!f->echo)
        return reply_all(r, f, map_of(f, draft));
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    jw_json(&w, f->field, pairs);
    jw_obj_end(&w);
    return req_reply(r, 200);
}

enum outcome metadata_merge(struct req *r)
{
    return change_all(r, false);
}

enum outcome metadata_replace(struct req *r)
{
    return change_all(r, true);
}

static enum outcome no_such_key(struct req *r)
{
    return req_fail(r, ERR_NOT_FOUND,
                    "%s %.40s has no metadata with key %.80s.",
                    r->route->resource->noun, r->param[0], r->param[1]);
}

enum outcome metadata_show(struct req *r)
{
    const struct flavour *f = flavour_of(r);
    const void *record = owner(r);
    if (!record)
        return req_failed(r);
    const char *value = map_get(map_of(f, record), r->param[1]);
    return value ? reply_one(r, f, r->param[1], value) : no_such_key(r);
}

enum outcome metadata_set(struct req *r)
{
    const struct flavour *f = flavour_of(r);
    const void *record = owner(r);
    const json_t *pairs = !record  ? NULL
                          : f->one ? req_envelope(r, f->one)
                                   : r->body;
    if (!record || (f->one && !pairs))
        return req_failed(r);
    if (json_object_size(pairs) != 1 || !json_object_get(pairs, r->param[1]))
        return req_fail(r, ERR_INVALID,
                        "Request body and URI mismatch: one pair with the "
                        "key of the path is expected");
    _autorecord_ void *draft = record_copy(record);
    if (!take_pairs(r, f, draft, pairs) || !change(r, f, record, draft))
        return req_failed(r);
    return reply_one(r, f, r->param[1], map_get(map_of(f, draft), r->param[1]));
}

enum outcome metadata_delete(struct req *r)
{
    const struct flavour *f = flavour_of(r);
    const void *record = owner(r);
    if (!record)
        return req_failed(r);
    _autorecord_ void *draft = record_copy(record);
    if (!map_remove(map_of(f, draft), r->param[1]))
        return no_such_key(r);
    return change(r, f, record, draft) ? req_reply(r, f->deleted)
                                       : req_failed(r);
}
