/* Metadata and tags of servers. */
#include "openstack-compat/compute/nova.h"

#include <string.h>

/* ---- metadata ---------------------------------------------------------- */

static enum outcome reply_metadata(struct req *r, const struct map *map)
{
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    nova_write_map(&w, "metadata", map);
    jw_obj_end(&w);
    return req_reply(r, 200);
}

enum outcome server_metadata_list(struct req *r)
{
    const struct server *s = server_get(r, r->param[0]);
    return s ? reply_metadata(r, &s->metadata) : req_failed(r);
}

static const struct server *changeable(struct req *r)
{
    const struct server *s = server_get(r, r->param[0]);
    return s && server_unlocked(r, s) ? s : NULL;
}

static enum outcome change_metadata(struct req *r, bool replace)
{
    const struct server *was = changeable(r);
    const json_t *body = was ? req_envelope(r, "metadata") : NULL;
    if (!body)
        return req_failed(r);
    _autorecord_ struct server *s = record_copy(was);
    if (replace)
        s->metadata = (struct map){ 0 };
    if (!nova_read_metadata(r, s, &s->metadata, body, "metadata"))
        return req_failed(r);
    s->updated = r->now;
    txn_change_record(&r->txn, s);
    return reply_metadata(r, &s->metadata);
}

enum outcome server_metadata_replace(struct req *r)
{
    return change_metadata(r, true);
}

enum outcome server_metadata_update(struct req *r)
{
    return change_metadata(r, false);
}

static enum outcome reply_item(struct req *r, const char *value)
{
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    jw_obj(&w, "meta");
    jw_str(&w, r->param[1], value);
    jw_obj_end(&w);
    jw_obj_end(&w);
    return req_reply(r, 200);
}

static enum outcome no_item(struct req *r)
{
    return req_fail(r, ERR_NOT_FOUND, "Metadata item was not found");
}

enum outcome server_metadata_show(struct req *r)
{
    const struct server *s = server_get(r, r->param[0]);
    const char *value = s ? map_get(&s->metadata, r->param[1]) : NULL;
    if (!s)
        return req_failed(r);
    return value ? reply_item(r, value) : no_item(r);
}

enum outcome server_metadata_set(struct req *r)
{
    const struct server *was = changeable(r);
    const json_t *meta = was ? req_envelope(r, "meta") : NULL;
    if (!meta)
        return req_failed(r);
    if (json_object_size(meta) != 1 || !json_object_get(meta, r->param[1]))
        return req_fail(r, ERR_INVALID, "Request body and URI mismatch");
    _autorecord_ struct server *s = record_copy(was);
    if (!nova_read_metadata(r, s, &s->metadata, meta, "meta"))
        return req_failed(r);
    s->updated = r->now;
    txn_change_record(&r->txn, s);
    return reply_item(r, map_get(&s->metadata, r->param[1]));
}

enum outcome server_metadata_delete(struct req *r)
{
    const struct server *was = changeable(r);
    if (!was)
        return req_failed(r);
    _autorecord_ struct server *s = record_copy(was);
    if (!map_remove(&s->metadata, r->param[1]))
        return no_item(r);
    s->updated = r->now;
    txn_change_record(&r->txn, s);
    return req_reply(r, 204);
}

/* ---- tags -------------------------------------------------------------- */

#define TAGS_MAX 50

static enum outcome reply_tags(struct req *r, const struct server *s)
{
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    jw_arr(&w, "tags");
    for (size_t i = 0; i < s->tags.n; i++)
        jw_str(&w, NULL, s->tags.v[i]);
    jw_arr_end(&w);
    jw_obj_end(&w);
    return req_reply(r, 200);
}

static bool add_tag(struct req *r, struct server *s, const char *tag)
{
    if (!tag || !*tag || strlen(tag) > 60 || strpbrk(tag, "/,"))
        return error_set(&r->err, ERR_INVALID,
                         "A tag has 1 to 60 characters, no '/' or ','");
    if (s->tags.n >= TAGS_MAX)
        return error_set(&r->err, ERR_INVALID,
                         "The number of tags exceeded the per-server limit %d",
                         TAGS_MAX);
    if (!strs_has(&s->tags, tag))
        strs_add(s, &s->tags, tag);
    return true;
}

static enum outcome put_tags(struct req *r, struct server *s)
{
    s->updated = r->now;
    txn_change_record(&r->txn, s);
    return reply_tags(r, s);
}

enum outcome server_tag_list(struct req *r)
{
    const struct server *s = server_get(r, r->param[0]);
    return s ? reply_tags(r, s) : req_failed(r);
}

enum outcome server_tag_replace(struct req *r)
{
    size_t i;
    json_t *tag, *tags = json_object_get(r->body, "tags");
    const struct server *was = server_get(r, r->param[0]);
    if (!was)
        return req_failed(r);
    if (!json_is_array(tags))
        return req_fail(r, ERR_INVALID, "'tags' must be a list");
    _autorecord_ struct server *s = record_copy(was);
    s->tags = (struct strs){ 0 };
    json_array_foreach(
        tags, i,
        tag) if (!add_tag(r, s, json_string_value(tag))) return req_failed(r);
    return put_tags(r, s);
}

enum outcome server_tag_clear(struct req *r)
{
    const struct server *was = server_get(r, r->param[0]);
    if (!was)
        return req_failed(r);
    _autorecord_ struct server *s = record_copy(was);
    s->tags = (struct strs){ 0 };
    put_tags(r, s);
    buf_reset(&r->resp.body);
    return req_reply(r, 204);
}

static enum outcome no_tag(struct req *r)
{
    return req_fail(r, ERR_NOT_FOUND, "Server %s has no tag '%.60s'",
                    r->param[0], r->param[1]);
}

enum outcome server_tag_check(struct req *r)
{
    const struct server *s = server_get(r, r->param[0]);
    if (!s)
        return req_failed(r);
    return strs_has(&s->tags, r->param[1]) ? req_reply(r, 204) : no_tag(r);
}

enum outcome server_tag_add(struct req *r)
{
    const struct server *was = server_get(r, r->param[0]);
    if (!was)
        return req_failed(r);
    bool there = strs_has(&was->tags, r->param[1]);
    _autorecord_ struct server *s = record_copy(was);
    if (!add_tag(r, s, r->param[1]))
        return req_failed(r);
    put_tags(r, s);
    buf_reset(&r->resp.body);
    return req_reply(r, there ? 204 : 201);
}

enum outcome server_tag_remove(struct req *r)
{
    const struct server *was = server_get(r, r->param[0]);
    if (!was)
        return req_failed(r);
    _autorecord_ struct server *s = record_copy(was);
    if (!strs_remove(&s->tags, r->param[1]))
        return no_tag(r);
    put_tags(r, s);
    buf_reset(&r->resp.body);
    return req_reply(r, 204);
}
