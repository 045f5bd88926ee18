/* QoS specs: limits, and the volume types that have them. */
#include "model/qos.h"
#include "openstack-compat/identity/names.h"
#include "openstack-compat/volume/cinder.h"

#include <string.h>

static const struct qos_specs *specs_of_path(struct req *r)
{
    const struct qos_specs *q = snap_get(r->snap, &kind_qos_specs, r->param[0]);
    if (!q)
        error_set(&r->err, ERR_NOT_FOUND, "No such qos spec %.64s.",
                  r->param[0]);
    return q;
}

/* ---- showing ----------------------------------------------------------- */

static void write_specs(struct jw *w, const char *key,
                        const struct qos_specs *q)
{
    jw_obj(w, key);
    jw_str(w, "id", q->rec.id);
    jw_str(w, "name", q->name);
    jw_str(w, "consumer", qos_consumer_names[q->consumer]);
    cinder_write_map(w, "specs", &q->specs);
    jw_obj_end(w);
}

static enum outcome reply_specs(struct req *r, const struct qos_specs *q)
{
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    write_specs(&w, "qos_specs", q);
    cinder_write_links(r, &w, "qos-specs", q->rec.id);
    jw_obj_end(&w);
    return req_reply(r, 200);
}

enum outcome qos_list(struct req *r)
{
    struct page_spec spec = { .kind = &kind_qos_specs,
                              .default_sort = "created",
                              .default_descending = true };
    struct page page;
    if (!page_collect(r, &spec, &page))
        return req_failed(r);
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    jw_arr(&w, "qos_specs");
    for (size_t i = 0; i < page.n; i++)
        write_specs(&w, NULL, page.v[i]);
    jw_arr_end(&w);
    jw_obj_end(&w);
    return req_reply(r, 200);
}

enum outcome qos_show(struct req *r)
{
    const struct qos_specs *q = specs_of_path(r);
    return q ? reply_specs(r, q) : req_failed(r);
}

/* ---- making and changing ------------------------------------------------- */

static bool set_consumer(struct req *r, struct qos_specs *q, const char *text)
{
    int n = text ? enum_from_name(qos_consumer_names, text) : -1;
    q->consumer = n;
    return n >= 0 || error_set(&r->err, ERR_INVALID,
                               "Valid consumer of QoS specs are: "
                               "['front-end', 'back-end', 'both']");
}

/* Numbers are taken as clients write them. */
static const char *as_text(struct req *r, const json_t *value)
{
    return json_is_integer(value)
               ? req_strf(r, "%lld", (long long)json_integer_value(value))
               : json_string_value(value);
}

/* Everything but name and consumer is a limit. */
static bool fill(struct req *r, struct qos_specs *q, const json_t *body)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)body, key, value)
    {
        const char *text = as_text(r, value);
        if (strcmp(key, "name") == 0)
            continue;
        if (strcmp(key, "consumer") == 0) {
            if (!set_consumer(r, q, text))
                return false;
            continue;
        }
        if (!text || !*key || strlen(key) > 255 || strlen(text) > 255)
            return error_set(&r->err, ERR_INVALID,
                             "Key and value of a QoS spec must be strings of 1 "
                             "to 255 characters: %.40s",
                             key);
        map_put(q, &q->specs, key, text);
    }
    return qos_check(qos_consumer_names[q->consumer], &q->specs, &r->err);
}

static bool fill_name(struct req *r, struct qos_specs *q, const json_t *body)
{
    static const struct attr name = { .name = "name",
                                      .check = CHECK_NAME,
                                      .min = 1 };
    const json_t *given = json_object_get(body, "name");
    _autojson_ json_t *converted = NULL;
    if (!given)
        return error_set(&r->err, ERR_INVALID, "'name' is a required property");
    if (!check_value(&name, STYLE_CINDER, given, &converted, &r->err))
        return false;
    q->name = rec_str(q, json_string_value(converted ? converted : given));
    if (name_taken(r->snap, kind_qos_specs.name, "", q->name))
        return error_set(&r->err, ERR_EXISTS, "QoS Specs %.80s already exists.",
                         q->name);
    name_take(&r->txn, q, "", q->name);
    return true;
}

enum outcome qos_create(struct req *r)
{
    const json_t *body = req_envelope(r, "qos_specs");
    if (!body)
        return req_failed(r);
    _autorecord_ struct qos_specs *q = record_new(&kind_qos_specs, req_uuid(r));
    q->created = r->now;
    if (!fill_name(r, q, body) || !fill(r, q, body))
        return req_failed(r);
    txn_change_record(&r->txn, q);
    return reply_specs(r, q);
}

enum outcome qos_set(struct req *r)
{
    const struct qos_specs *was = specs_of_path(r);
    json_t *body = was ? req_envelope(r, "qos_specs") : NULL;
    if (!body)
        return req_failed(r);
    _autorecord_ struct qos_specs *q = record_copy(was);
    if (!fill(r, q, body))
        return req_failed(r);
    txn_change_record(&r->txn, q);
    struct jw w = req_json(r);
    const char *key;
    json_t *value;
    jw_obj(&w, NULL);
    jw_obj(&w, "qos_specs");
    json_object_foreach(body, key, value)
    {
        jw_str(&w, key, as_text(r, value));
    }
    jw_obj_end(&w);
    jw_obj_end(&w);
    return req_reply(r, 200);
}

enum outcome qos_unset(struct req *r)
{
    const struct qos_specs *was = specs_of_path(r);
    const json_t *keys = json_object_get(r->body, "keys");
    size_t i;
    json_t *key;
    if (!was)
        return req_failed(r);
    if (!json_is_array(keys))
        return req_fail(r, ERR_INVALID, "'keys' must be an array of names");
    _autorecord_ struct qos_specs *q = record_copy(was);
    json_array_foreach(keys, i, key)
    {
        const char *name = json_string_value(key);
        if (!name || !map_remove(&q->specs, name))
            return req_fail(r, ERR_NOT_FOUND,
                            "QoS spec %s has no spec with key %.80s.",
                            q->rec.id, name ? name : "");
    }
    if (!qos_check(qos_consumer_names[q->consumer], &q->specs, &r->err))
        return req_failed(r);
    txn_change_record(&r->txn, q);
    return req_reply(r, 202);
}

/* ---- the types ----------------------------------------------------------- */

/* They have it no more. */
static void take_off(struct req *r, const struct qos_specs *q)
{
    struct snap_iter it =
        snap_by(r->snap, &kind_volume_type, "qos_specs_id", q->rec.id);
    for (const struct volume_type *was; (was = snap_next(&it));) {
        _autorecord_ struct volume_type *t = record_copy(was);
        t->qos_specs_id = NULL;
        txn_change_record(&r->txn, t);
    }
}

enum outcome qos_delete(struct req *r)
{
    const struct qos_specs *q = specs_of_path(r);
    const char *asked = req_query(r, "force");
    bool force = false;
    if (!q)
        return req_failed(r);
    if (asked && !parse_bool(asked, &force))
        return req_fail(r, ERR_INVALID, "Invalid value '%.40s' for force",
                        asked);
    if (!force &&
        snap_find(r->snap, &kind_volume_type, "qos_specs_id", q->rec.id))
        return req_fail(r, ERR_INVALID,
                        "QoS Specs %s is still associated with entities.",
                        q->rec.id);
    take_off(r, q);
    name_release(&r->txn, q, "", q->name);
    txn_delete_record(&r->txn, q);
    return req_reply(r, 202);
}

enum outcome qos_associations(struct req *r)
{
    const struct qos_specs *q = specs_of_path(r);
    if (!q)
        return req_failed(r);
    struct snap_iter it =
        snap_by(r->snap, &kind_volume_type, "qos_specs_id", q->rec.id);
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    jw_arr(&w, "qos_associations");
    for (const struct volume_type *t; (t = snap_next(&it));) {
        jw_obj(&w, NULL);
        jw_str(&w, "association_type", "volume_type");
        jw_str(&w, "name", t->name);
        jw_str(&w, "id", t->rec.id);
        jw_obj_end(&w);
    }
    jw_arr_end(&w);
    jw_obj_end(&w);
    return req_reply(r, 200);
}

static const struct volume_type *type_of_query(struct req *r)
{
    const char *id = req_query(r, "vol_type_id");
    const struct volume_type *t =
        id ? snap_get(r->snap, &kind_volume_type, id) : NULL;
    if (!id)
        error_set(&r->err, ERR_INVALID, "Volume Type id must not be None.");
    else if (!t)
        error_set(&r->err, ERR_NOT_FOUND,
                  "Volume type %.64s could not be found.", id);
    return t;
}

enum outcome qos_associate(struct req *r)
{
    const struct qos_specs *q = specs_of_path(r);
    const struct volume_type *was = q ? type_of_query(r) : NULL;
    if (!was)
        return req_failed(r);
    if (was->qos_specs_id && strcmp(was->qos_specs_id, q->rec.id) != 0)
        return req_fail(r, ERR_INVALID,
                        "Type %s is already associated with another qos specs: "
                        "%s",
                        was->rec.id, was->qos_specs_id);
    _autorecord_ struct volume_type *t = record_copy(was);
    t->qos_specs_id = rec_str(t, q->rec.id);
    txn_expect_record(&r->txn, q); /* not deleted meanwhile */
    txn_change_record(&r->txn, t);
    return req_reply(r, 202);
}

enum outcome qos_disassociate(struct req *r)
{
    const struct qos_specs *q = specs_of_path(r);
    const struct volume_type *was = q ? type_of_query(r) : NULL;
    if (!was)
        return req_failed(r);
    _autorecord_ struct volume_type *t = record_copy(was);
    if (t->qos_specs_id && strcmp(t->qos_specs_id, q->rec.id) == 0) {
        t->qos_specs_id = NULL;
        txn_change_record(&r->txn, t);
    }
    return req_reply(r, 202);
}

enum outcome qos_disassociate_all(struct req *r)
{
    const struct qos_specs *q = specs_of_path(r);
    if (!q)
        return req_failed(r);
    take_off(r, q);
    return req_reply(r, 202);
}
