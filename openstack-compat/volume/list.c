/* Lists of volumes and of snapshots: who sees what, and filters. */
#include "openstack-compat/volume/cinder.h"

#include <string.h>

struct query {
    const struct kind *kind;
    bool all_projects;
    json_t *metadata; /* wanted pairs, or NULL */
};

/* Query names and the fields behind them; "~" after a name: contains. */
static const char *const filters[][2] = {
    { "name", "name" },
    { "display_name", "name" },
    { "status", "status" },
    { "bootable", "bootable" },
    { "availability_zone", "availability_zone" },
    { "user_id", "user_id" },
    { "project_id", "project_id" },
    { "tenant_id", "project_id" },
    { "snapshot_id", "snapshot_id" },
    { "volume_id", "volume_id" },
    { "size", "size_gb" },
    { "description", "description" },
    { "created_at", "created" },
    { "updated_at", "updated" },
};

static const struct field *filter_field(const struct kind *kind,
                                        const char *name, bool *contains)
{
    size_t len = strcspn(name, "~");
    *contains = name[len] == '~';
    for (size_t i = 0; i < ARRAY_SIZE(filters); i++)
        if (strlen(filters[i][0]) == len &&
            memcmp(filters[i][0], name, len) == 0)
            return schema_field(&kind->schema, filters[i][1]);
    return NULL;
}

static bool same_truth(const char *have, const char *want)
{
    bool a, b;
    return parse_bool(have, &a) && parse_bool(want, &b) && a == b;
}

/* "gte:2026-01-01T00:00:00Z" against a time (3.60). */
static bool time_fits(int64_t have, const char *term)
{
    static const struct {
        const char *op;
        bool less, equal, more;
    } ops[] = {
        { "gt:", false, false, true }, { "gte:", false, true, true },
        { "lt:", true, false, false }, { "lte:", true, true, false },
        { "eq:", false, true, false }, { "neq:", true, false, true },
    };
    int64_t want;
    for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
        size_t len = strlen(ops[i].op);
        if (strncmp(term, ops[i].op, len) == 0 && time_parse(term + len, &want))
            return have < want   ? ops[i].less
                   : have > want ? ops[i].more
                                 : ops[i].equal;
    }
    return false; /* no such term: nothing is like it */
}

/* "gt:...,lt:...": all of them. */
static bool times_fit(struct req *r, int64_t have, const char *terms)
{
    char *list = arena_strdup(&r->arena, terms), *rest = NULL;
    for (char *t = strtok_r(list, ",", &rest); t;
         t = strtok_r(NULL, ",", &rest))
        if (!time_fits(have, t))
            return false;
    return true;
}

/* Parameters that are no filter are none of ours, as in cinder. */
static bool param_fits(struct req *r, const struct query *q, const void *record,
                       const struct param *p)
{
    char tmp[64];
    bool contains;
    const struct field *f = filter_field(q->kind, p->name, &contains);
    if (!f)
        return true;
    if (f->type == F_TIME)
        return r->mv < MV(3, 60) ||
               times_fit(r, *(int64_t *)field_ptr(record, f), p->value);
    const char *have = field_text(record, f, tmp);
    have = have ? have : "";
    if (f->type == F_BOOL)
        return same_truth(have, p->value);
    if (contains && r->mv >= MV(3, 31))
        return strstr(have, p->value) != NULL;
    return strcmp(have, p->value) == 0;
}

static bool metadata_fits(const struct query *q, const void *record)
{
    const char *key;
    json_t *value;
    const struct map *have =
        field_ptr(record, schema_field(&q->kind->schema, "metadata"));
    json_object_foreach(q->metadata, key, value)
    {
        const char *is = map_get(have, key), *want = json_string_value(value);
        if (!is || !want || strcmp(is, want) != 0)
            return false;
    }
    return true;
}

static bool listed(struct req *r, const void *record, void *arg)
{
    const struct query *q = arg;
    const char *owner = *(const char **)field_ptr(
        record, schema_field(&q->kind->schema, "project_id"));
    const char *own = r->auth.project_id;
    if (!q->all_projects && (!owner || !own || strcmp(owner, own) != 0))
        return false;
    for (size_t i = 0; i < r->http->query.n; i++)
        if (!param_fits(r, q, record, &r->http->query.v[i]))
            return false;
    return !q->metadata || metadata_fits(q, record);
}

/* Clients send Python's dict, {'a': 'b'}, or JSON. */
static bool parse_metadata(struct req *r, struct query *q)
{
    const char *text = req_query(r, "metadata");
    if (!text)
        return true;
    char *json = arena_strdup(&r->arena, text);
    for (char *s = json; *s; s++)
        if (*s == '\'')
            *s = '"';
    q->metadata = json_loads(json, 0, NULL);
    return json_is_object(q->metadata) ||
           error_set(&r->err, ERR_INVALID,
                     "Invalid filter metadata: '%.64s' is no object", text);
}

static bool parse_query(struct req *r, struct query *q)
{
    const char *all = req_query(r, "all_tenants");
    bool yes = false;
    if (all && *all && !parse_bool(all, &yes))
        return error_set(&r->err, ERR_INVALID,
                         "Invalid value '%.40s' for all_tenants", all);
    q->all_projects = r->auth.is_admin && all && (yes || !*all);
    return parse_metadata(r, q);
}

static const char *const sort_names[][2] = {
    { "created_at", "created" },
    { "updated_at", "updated" },
    { "size", "size_gb" },
    { "display_name", "name" },
    { NULL, NULL },
};

typedef void write_fn(struct req *r, struct jw *w, const void *record);

struct listing {
    const struct kind *kind;
    const char *plural;
    write_fn *write;
};

static void write_next(struct req *r, struct jw *w, const char *plural,
                       const struct page *page)
{
    if (!page->more || !page->n)
        return;
    jw_arr(w, req_strf(r, "%s_links", plural));
    jw_obj(w, NULL);
    jw_str(w, "rel", "next");
    jw_strf(w, "href", "%s/v3/%s/%s%s", req_base_url(r),
            r->auth.project_id ? r->auth.project_id : "", plural,
            page_next_query(r, page));
    jw_obj_end(w);
    jw_arr_end(w);
}

static void write_count(struct req *r, struct jw *w, const struct listing *l,
                        struct query *q)
{
    const char *asked = req_query(r, "with_count");
    bool yes = false;
    int64_t n = 0;
    if (r->mv < MV(3, 45) || !asked || !parse_bool(asked, &yes) || !yes)
        return;
    struct snap_iter it = snap_all(r->snap, l->kind);
    for (const void *record; (record = snap_next(&it));)
        n += listed(r, record, q);
    jw_int(w, "count", n);
}

static enum outcome reply_list(struct req *r, const struct listing *l,
                               struct query *q)
{
    struct page page;
    struct page_spec spec = { .kind = l->kind,
                              .filter = listed,
                              .arg = q,
                              .default_sort = "created",
                              .default_descending = true,
                              .sort_names = sort_names };
    if (!page_collect(r, &spec, &page))
        return req_failed(r);
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    jw_arr(&w, l->plural);
    for (size_t i = 0; i < page.n; i++)
        l->write(r, &w, page.v[i]);
    jw_arr_end(&w);
    write_next(r, &w, l->plural, &page);
    write_count(r, &w, l, q);
    jw_obj_end(&w);
    return req_reply(r, 200);
}

static enum outcome list(struct req *r, const struct listing *l)
{
    struct query q = { .kind = l->kind };
    enum outcome out =
        parse_query(r, &q) ? reply_list(r, l, &q) : req_failed(r);
    json_decref(q.metadata);
    return out;
}

/* ---- volumes ----------------------------------------------------------- */

static void write_volume_summary(struct req *r, struct jw *w,
                                 const void *record)
{
    const struct volume *v = record;
    jw_obj(w, NULL);
    jw_str(w, "id", v->rec.id);
    jw_str(w, "name", v->name);
    cinder_write_links(r, w, "volumes", v->rec.id);
    jw_obj_end(w);
}

static void write_volume(struct req *r, struct jw *w, const void *record)
{
    volume_write(r, w, NULL, record);
}

enum outcome volume_list(struct req *r)
{
    static const struct listing l = { &kind_volume, "volumes",
                                      write_volume_summary };
    return list(r, &l);
}

enum outcome volume_detail(struct req *r)
{
    static const struct listing l = { &kind_volume, "volumes", write_volume };
    return list(r, &l);
}

enum outcome volume_summary(struct req *r)
{
    struct query q = { .kind = &kind_volume };
    int64_t n = 0, size = 0;
    bool ok = parse_query(r, &q);
    struct snap_iter it = snap_all(r->snap, &kind_volume);
    for (const struct volume *v; ok && (v = snap_next(&it));)
        if (listed(r, v, &q)) {
            n++;
            size += v->size_gb;
        }
    json_decref(q.metadata);
    if (!ok)
        return req_failed(r);
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    jw_obj(&w, "volume-summary");
    jw_int(&w, "total_count", n);
    jw_int(&w, "total_size", size);
    jw_obj_end(&w);
    jw_obj_end(&w);
    return req_reply(r, 200);
}

/* ---- snapshots --------------------------------------------------------- */

static void write_snapshot(struct req *r, struct jw *w, const void *record)
{
    snapshot_write(r, w, NULL, record);
}

enum outcome snapshot_list(struct req *r)
{
    static const struct listing l = { &kind_snapshot, "snapshots",
                                      write_snapshot };
    return list(r, &l);
}

enum outcome snapshot_detail(struct req *r)
{
    return snapshot_list(r);
}
