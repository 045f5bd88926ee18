#include "rest-api/resource.h"

#include "model/pool.h"
#include "rest-api/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- showing ----------------------------------------------------------- */

static const struct field *attr_field(const struct resource *res,
                                      const struct attr *a)
{
    return schema_field(&res->kind->schema, a->field ? a->field : a->name);
}

static void write_time(struct jw *w, const char *name, int64_t us,
                       enum time_style style)
{
    char text[TIME_TEXT_MAX];
    jw_str(w, name, us ? time_format(us, style, text) : NULL);
}

static void write_strs(struct jw *w, const char *name, const struct strs *s)
{
    jw_arr(w, name);
    for (size_t i = 0; i < s->n; i++)
        jw_str(w, NULL, s->v[i]);
    jw_arr_end(w);
}

static void write_map(struct jw *w, const char *name, const struct map *m)
{
    jw_obj(w, name);
    for (size_t i = 0; i < m->n; i++)
        jw_str(w, m->v[i].key, m->v[i].value);
    jw_obj_end(w);
}

static void write_list(struct jw *w, const char *name, const struct field *f,
                       const struct list *l, enum time_style style);

static void write_field(struct jw *w, const char *name, const struct field *f,
                        const void *p, enum time_style style)
{
    switch (f->type) {
    case F_STR:
        jw_str(w, name, *(const char *const *)p);
        break;
    case F_BOOL:
        jw_bool(w, name, *(const bool *)p);
        break;
    case F_INT:
        jw_int(w, name, *(const int64_t *)p);
        break;
    case F_REAL:
        jw_real(w, name, *(const double *)p);
        break;
    case F_TIME:
        write_time(w, name, *(const int64_t *)p, style);
        break;
    case F_ENUM:
        jw_str(w, name, f->names[*(const int *)p]);
        break;
    case F_STRS:
        write_strs(w, name, p);
        break;
    case F_MAP:
        write_map(w, name, p);
        break;
    case F_JSON:
        jw_raw(w, name, *(const char *const *)p);
        break;
    case F_LIST:
        write_list(w, name, f, p, style);
        break;
    case F_OBJ:
        jw_obj(w, name);
        for (const struct field *s = f->sub->fields; s->name; s++)
            write_field(w, s->name, s, field_ptr(p, s), style);
        jw_obj_end(w);
        break;
    }
}

static void write_list(struct jw *w, const char *name, const struct field *f,
                       const struct list *l, enum time_style style)
{
    jw_arr(w, name);
    for (size_t i = 0; i < l->n; i++) {
        const char *item = (const char *)l->v + i * f->sub->size;
        jw_obj(w, NULL);
        for (const struct field *s = f->sub->fields; s->name; s++)
            write_field(w, s->name, s, field_ptr(item, s), style);
        jw_obj_end(w);
    }
    jw_arr_end(w);
}

/* Neutron's ?fields=id&fields=name */
static bool field_wanted(const struct req *r, const char *name)
{
    const struct params *q = &r->http->query;
    bool any = false;
    if (r->service->style != STYLE_NEUTRON)
        return true;
    for (size_t i = 0; i < q->n; i++) {
        if (strcmp(q->v[i].name, "fields") != 0)
            continue;
        any = true;
        if (strcmp(q->v[i].value, name) == 0)
            return true;
    }
    return !any;
}

static bool attr_shown(const struct req *r, const struct attr *a)
{
    return !(a->flags & A_HIDDEN) && (!a->since || r->mv >= a->since) &&
           (!(a->flags & A_ADMIN_SEE) || r->auth.is_admin);
}

static void write_attrs(struct req *r, const struct resource *res, struct jw *w,
                        const char *key, const void *record, bool summary)
{
    jw_obj(w, key);
    for (const struct attr *a = res->attrs; a->name; a++) {
        if (!attr_shown(r, a) || (summary && a->flags & A_DETAIL) ||
            !field_wanted(r, a->name))
            continue;
        const struct field *f = a->show ? NULL : attr_field(res, a);
        if (a->show)
            a->show(r, w, a->name, record);
        else if (f)
            write_field(w, a->name, f, field_ptr(record, f), res->times);
        else
            jw_str(w, a->name, ((const struct record *)record)->id);
    }
    jw_obj_end(w);
}

void resource_write(struct req *r, const struct resource *res, struct jw *w,
                    const char *key, const void *record)
{
    write_attrs(r, res, w, key, record, false);
}

/* ---- who may ----------------------------------------------------------- */

static const char *owner_of(const struct resource *res, const void *record)
{
    const struct field *f = schema_field(&res->kind->schema, "project_id");
    return f ? *(const char **)field_ptr(record, f) : NULL;
}

static bool owned(struct req *r, const struct resource *res, const void *record)
{
    return !schema_field(&res->kind->schema, "project_id") ||
           req_may_see(r, owner_of(res, record));
}

static bool is_visible(struct req *r, const struct resource *res,
                       const void *record)
{
    return res->visible ? res->visible(r, record) : owned(r, res, record);
}

static bool not_found(struct req *r, const struct resource *res, const char *id)
{
    const char *fmt =
        r->service->style == STYLE_KEYSTONE ? "Could not find %s: %.80s."
        : r->service->style == STYLE_GLANCE ? "Failed to find %s %.80s"
                                            : "%s %.80s could not be found.";
    r->fault_type = res->not_found_type;
    char text[ERROR_TEXT_MAX];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(text, sizeof(text), fmt, res->noun, id);
#pragma GCC diagnostic pop
    return error_set(&r->err, ERR_NOT_FOUND, "%s", text);
}

const void *resource_get(struct req *r, const struct resource *res,
                         const char *id)
{
    const void *record = snap_get(r->snap, res->kind, id);
    if (record && is_visible(r, res, record))
        return record;
    not_found(r, res, id);
    return NULL;
}

const void *resource_get_writable(struct req *r, const struct resource *res,
                                  const char *id)
{
    const void *record = resource_get(r, res, id);
    if (!record)
        return NULL;
    if (res->writable ? res->writable(r, record) : owned(r, res, record))
        return record;
    error_set(&r->err, ERR_FORBIDDEN, "%s of %s %.80s is disallowed by policy",
              r->http->method, res->singular, id);
    return NULL;
}

/* ---- filling from a body ----------------------------------------------- */

static const struct attr *
find_attr(const struct req *r, const struct resource *res, const char *name)
{
    for (const struct attr *a = res->attrs; a->name; a++)
        if (strcmp(a->name, name) == 0 && (!a->since || r->mv >= a->since))
            return a;
    return NULL;
}

static bool is_project_attr(const char *name)
{
    return strcmp(name, "project_id") == 0 || strcmp(name, "tenant_id") == 0;
}

static bool refuse_unknown(struct req *r, const char *name)
{
    switch (r->service->style) {
    case STYLE_KEYSTONE: /* keeps to what it knows */
        return true;
    case STYLE_NEUTRON:
        return error_set(&r->err, ERR_INVALID,
                         "Unrecognized attribute(s) '%.64s'", name);
    default:
        return error_set(&r->err, ERR_INVALID,
                         "Additional properties are not allowed ('%.64s' was "
                         "unexpected)",
                         name);
    }
}

static bool may_give(struct req *r, const struct resource *res,
                     const struct attr *a, bool creating)
{
    if (!(a->flags & (creating ? A_CREATE : A_UPDATE))) {
        if (r->service->style == STYLE_KEYSTONE)
            return true;
        return error_set(&r->err, ERR_INVALID,
                         r->service->style == STYLE_NEUTRON
                             ? "Attribute '%.64s' not allowed in %s"
                             : "Additional properties are not allowed ('%.64s'"
                               " was unexpected in %s)",
                         a->name, r->http->method);
    }
    if (a->flags & A_ADMIN_SET && !r->auth.is_admin)
        return error_set(
            &r->err, ERR_FORBIDDEN, "(rule:%s_%s:%s) is disallowed by policy",
            creating ? "create" : "update", res->singular, a->name);
    return true;
}

static bool set_project(struct req *r, const struct resource *res, void *draft,
                        const char *name, const json_t *value)
{
    const char *asked = json_string_value(value);
    const struct field *f = schema_field(&res->kind->schema, "project_id");
    if (!asked || !check_id(asked))
        return error_set(&r->err, ERR_INVALID,
                         "Invalid input for %s: not a valid id", name);
    if (!req_may_see(r, asked))
        return error_set(&r->err, ERR_FORBIDDEN,
                         "(rule:create_%s:%s) is disallowed by policy",
                         res->singular, name);
    return record_set_json(draft, f, value, &r->err);
}

static bool set_attr(struct req *r, const struct resource *res, void *draft,
                     const struct attr *a, const json_t *value)
{
    _autojson_ json_t *owned_value = NULL;
    if (!check_value(a, r->service->style, value, &owned_value, &r->err))
        return false;
    if (owned_value)
        value = owned_value;
    if (a->set)
        return a->set(r, draft, a, value);
    const struct field *f = attr_field(res, a);
    return f ? record_set_json(draft, f, value, &r->err) : true;
}

static bool fill_member(struct req *r, const struct resource *res, void *draft,
                        const char *name, const json_t *value, bool creating)
{
    const struct attr *a = find_attr(r, res, name);
    bool has_owner = schema_field(&res->kind->schema, "project_id") != NULL;
    if (creating && has_owner && is_project_attr(name) &&
        (!a || !(a->flags & A_CREATE)))
        return json_is_null(value) || set_project(r, res, draft, name, value);
    if (!a)
        return refuse_unknown(r, name);
    if (!may_give(r, res, a, creating))
        return false;
    if (!(a->flags & (creating ? A_CREATE : A_UPDATE)))
        return true;
    return set_attr(r, res, draft, a, value);
}

static bool fill_default(struct req *r, const struct resource *res, void *draft,
                         const struct attr *a)
{
    if (a->flags & A_REQUIRED)
        return error_set(
            &r->err, ERR_INVALID,
            r->service->style == STYLE_NEUTRON
                ? "Failed to parse request. Required attribute '%s' not "
                  "specified"
                : "'%s' is a required property",
            a->name);
    if (!a->dflt)
        return true;
    _autojson_ json_t *value = json_loads(a->dflt, JSON_DECODE_ANY, NULL);
    const struct field *f = attr_field(res, a);
    return f ? record_set_json(draft, f, value, &r->err) : true;
}

bool resource_fill(struct req *r, const struct resource *res, void *draft,
                   const json_t *body, bool creating)
{
    const char *name;
    json_t *value;
    for (const struct attr *a = res->attrs; creating && a->name; a++)
        if (!json_object_get(body, a->name) &&
            (!a->since || r->mv >= a->since) && !fill_default(r, res, draft, a))
            return false;
    json_object_foreach((json_t *)body, name,
                        value) if (!fill_member(r, res, draft, name, value,
                                                creating)) return false;
    return true;
}

/* ---- the five ---------------------------------------------------------- */

static const struct resource *resource_of(const struct req *r)
{
    return r->route->resource;
}

static bool enveloped(const struct req *r)
{
    return r->service->style != STYLE_GLANCE;
}

static const json_t *body_of(struct req *r, const struct resource *res)
{
    if (enveloped(r))
        return req_envelope(r, res->singular);
    if (!json_is_object(r->body))
        error_set(&r->err, ERR_INVALID, "A JSON object is expected as body.");
    return json_is_object(r->body) ? r->body : NULL;
}

static enum outcome reply_record(struct req *r, const struct resource *res,
                                 const void *record, int status)
{
    struct jw w = req_json(r);
    if (enveloped(r)) {
        jw_obj(&w, NULL);
        resource_write(r, res, &w, res->singular, record);
        jw_obj_end(&w);
    } else {
        resource_write(r, res, &w, NULL, record);
    }
    return req_reply(r, status);
}

static int64_t *time_field(const struct resource *res, void *draft,
                           const char *name)
{
    const struct field *f = schema_field(&res->kind->schema, name);
    return f && f->type == F_TIME ? field_ptr(draft, f) : NULL;
}

static void stamp(struct req *r, const struct resource *res, void *draft,
                  const char *name)
{
    int64_t *t = time_field(res, draft, name);
    if (t)
        *t = r->now;
}

static void own(struct req *r, const struct resource *res, void *draft)
{
    const struct field *f = schema_field(&res->kind->schema, "project_id");
    if (f && r->auth.project_id)
        *(const char **)field_ptr(draft, f) =
            rec_str(draft, r->auth.project_id);
}

static bool charge(struct req *r, const struct resource *res,
                   const void *record, int64_t n)
{
    struct amount amount = { res->quota_name, n };
    const char *owner = owner_of(res, record);
    if (!res->quota_name || !owner)
        return true;
    return quota_charge(&r->txn, r->snap, res->quota_service, owner, &amount, 1,
                        &r->err);
}

/* A new record from the body, in the transaction; NULL: r->err is set. */
static void *create_one(struct req *r, const struct resource *res,
                        const json_t *body)
{
    void *draft =
        record_new(res->kind, res->hex_id ? req_hex_id(r) : req_uuid(r));
    own(r, res, draft);
    stamp(r, res, draft, "created");
    stamp(r, res, draft, "updated");
    if (!resource_fill(r, res, draft, body, true) ||
        !charge(r, res, draft, 1) ||
        (res->created && !res->created(r, draft, body))) {
        record_unref(draft);
        return NULL;
    }
    txn_change_record(&r->txn, draft);
    return draft;
}

#define BULK_MAX 100

/* Neutron's {"ports": [{..}, {..}]}: all of them or none. */
static enum outcome create_many(struct req *r, const struct resource *res,
                                const json_t *bodies)
{
    size_t i;
    json_t *body;
    struct jw w = req_json(r);
    if (!json_array_size(bodies) || json_array_size(bodies) > BULK_MAX)
        return req_fail(r, ERR_INVALID, "%s: a list of 1 to %d is expected",
                        res->plural, BULK_MAX);
    jw_obj(&w, NULL);
    jw_arr(&w, res->plural);
    json_array_foreach((json_t *)bodies, i, body)
    {
        if (!json_is_object(body))
            return req_fail(r, ERR_INVALID, "%s: objects are expected",
                            res->plural);
        r->state = NULL; /* what a hook left there was of the one before */
        _autorecord_ void *draft = create_one(r, res, body);
        if (!draft)
            return req_failed(r);
        resource_write(r, res, &w, NULL, draft);
    }
    jw_arr_end(&w);
    jw_obj_end(&w);
    return req_reply(r, 201);
}

enum outcome resource_create(struct req *r)
{
    const struct resource *res = resource_of(r);
    const json_t *many = r->service->style == STYLE_NEUTRON
                             ? json_object_get(r->body, res->plural)
                             : NULL;
    if (many)
        return create_many(r, res, many);
    const json_t *body = body_of(r, res);
    _autorecord_ void *draft = body ? create_one(r, res, body) : NULL;
    if (!draft)
        return req_failed(r);
    return reply_record(r, res, draft,
                        res->created_status ? res->created_status : 201);
}

enum outcome resource_show(struct req *r)
{
    const struct resource *res = resource_of(r);
    const void *record = resource_get(r, res, r->param[0]);
    return record ? reply_record(r, res, record, 200) : req_failed(r);
}

enum outcome resource_update(struct req *r)
{
    const struct resource *res = resource_of(r);
    const void *old = resource_get_writable(r, res, r->param[0]);
    const json_t *body = old ? body_of(r, res) : NULL;
    if (!body)
        return req_failed(r);
    _autorecord_ void *draft = record_copy(old);
    stamp(r, res, draft, "updated");
    if (!resource_fill(r, res, draft, body, false) ||
        (res->updated && !res->updated(r, old, draft, body)))
        return req_failed(r);
    txn_change_record(&r->txn, draft);
    return reply_record(r, res, draft,
                        res->updated_status ? res->updated_status : 200);
}

enum outcome resource_delete(struct req *r)
{
    const struct resource *res = resource_of(r);
    const void *record = resource_get_writable(r, res, r->param[0]);
    if (!record || (res->deleted && !res->deleted(r, record)) ||
        !charge(r, res, record, -1))
        return req_failed(r);
    txn_delete_record(&r->txn, record);
    return req_reply(r, res->deleted_status ? res->deleted_status : 204);
}

/* ---- listing ----------------------------------------------------------- */

static bool text_matches(const struct field *f, const char *have,
                         const char *want)
{
    bool a, b;
    if (f->type == F_BOOL && have && parse_bool(have, &a) &&
        parse_bool(want, &b))
        return a == b;
    return have ? strcmp(have, want) == 0 : *want == '\0';
}

static bool value_matches(struct req *r, const struct resource *res,
                          const struct attr *a, const void *record,
                          const char *want)
{
    char tmp[64];
    if (a->matches)
        return a->matches(r, record, want);
    const struct field *f = attr_field(res, a);
    if (!f)
        return strcmp(((const struct record *)record)->id, want) == 0;
    if (f->type == F_STRS)
        return strs_has(field_ptr(record, f), want);
    return text_matches(f, field_text(record, f, tmp), want);
}

/* Several values of one name: any of them. */
static bool param_matches(struct req *r, const struct resource *res,
                          const struct attr *a, const void *record)
{
    const struct params *q = &r->http->query;
    for (size_t i = 0; i < q->n; i++)
        if (strcmp(q->v[i].name, a->name) == 0 &&
            value_matches(r, res, a, record, q->v[i].value))
            return true;
    return false;
}

static bool listed(struct req *r, const void *record, void *arg)
{
    const struct resource *res = arg;
    const struct params *q = &r->http->query;
    if (!is_visible(r, res, record))
        return false;
    for (size_t i = 0; i < q->n; i++) {
        const struct attr *a = find_attr(r, res, q->v[i].name);
        if (a && a->flags & A_FILTER && !param_matches(r, res, a, record))
            return false;
    }
    return true;
}

#define SORT_NAMES_MAX 64
typedef const char *sort_name[2];

static sort_name *sort_names(struct req *r, const struct resource *res)
{
    sort_name *names =
        arena_alloc(&r->arena, (SORT_NAMES_MAX + 1) * sizeof(*names));
    size_t n = 0;
    for (const struct attr *a = res->attrs; a->name && n < SORT_NAMES_MAX; a++)
        if (a->field) {
            names[n][0] = a->name;
            names[n++][1] = a->field;
        }
    return names;
}

static void write_keystone_links(struct req *r, struct jw *w, const char *self,
                                 const char *next)
{
    jw_obj(w, "links");
    jw_str(w, "next", next);
    jw_str(w, "self", self);
    jw_null(w, "previous");
    jw_obj_end(w);
}

static void write_rel_links(struct jw *w, const char *plural, const char *next)
{
    char key[80];
    snprintf(key, sizeof(key), "%s_links", plural);
    jw_arr(w, key);
    jw_obj(w, NULL);
    jw_str(w, "rel", "next");
    jw_str(w, "href", next);
    jw_obj_end(w);
    jw_arr_end(w);
}

static void write_links(struct req *r, const struct resource *res, struct jw *w,
                        const struct page *page)
{
    const char *self =
        req_strf(r, "%s%s", req_base_url(r), res->path ? res->path : "");
    const char *next = page->more && page->n
                           ? req_strf(r, "%s%s", self, page_next_query(r, page))
                           : NULL;
    switch (r->service->style) {
    case STYLE_KEYSTONE:
        write_keystone_links(r, w, self, next);
        break;
    case STYLE_GLANCE:
        if (next) /* a path, not a URL */
            jw_strf(w, "next", "%s%s", res->path, page_next_query(r, page));
        jw_str(w, "first", res->path);
        jw_strf(w, "schema", "/v2/schemas/%s", res->plural);
        break;
    default:
        if (next)
            write_rel_links(w, res->plural, next);
    }
}

enum outcome resource_list(struct req *r)
{
    bool summary =
        r->service->style == STYLE_NOVA || r->service->style == STYLE_CINDER;
    const struct resource *res = resource_of(r);
    struct page page;
    struct page_spec spec = {
        .kind = res->kind,
        .filter = listed,
        .arg = (void *)res,
        .sort_names = (const char *const(*)[2])sort_names(r, res),
    };
    /* Keystone pages only for those who ask; its clients follow no links. */
    if (r->service->style == STYLE_KEYSTONE)
        spec.limit_max = INT32_MAX;
    bool newest_first =
        r->service->style == STYLE_CINDER || r->service->style == STYLE_GLANCE;
    if (newest_first && schema_field(&res->kind->schema, "created")) {
        spec.default_sort = "created";
        spec.default_descending = true;
    }
    if (!page_collect(r, &spec, &page))
        return req_failed(r);
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    jw_arr(&w, res->plural);
    for (size_t i = 0; i < page.n; i++)
        write_attrs(r, res, &w, NULL, page.v[i], summary);
    jw_arr_end(&w);
    write_links(r, res, &w, &page);
    jw_obj_end(&w);
    return req_reply(r, 200);
}
