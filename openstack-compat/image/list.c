/* Lists of images: what is asked for, and who may see it. */
#include "openstack-compat/image/glance.h"

#include "rest-api/check.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- one condition of the query ---------------------------------------- */

struct term;
typedef bool parse_fn(struct req *r, struct term *t);
typedef bool match_fn(const struct image *im, const struct term *t);

/* A parameter and how it is read and compared. */
struct filter {
    const char *name;
    const char *field; /* of the record */
    parse_fn *parse;
    match_fn *match;
};

struct term {
    const struct filter *filter;
    const char *name, *value;
    struct strs any; /* the value, or those of "in:a,b" */
    int64_t n;       /* a number, time or truth */
    char op[4];      /* of a time: gt, gte, lt, lte, eq, neq */
};

static bool bad_value(struct req *r, const struct term *t)
{
    return error_set(&r->err, ERR_INVALID,
                     "Invalid value for filter %.40s: '%.64s'", t->name,
                     t->value);
}

static void add_text(struct req *r, struct strs *list, char *text)
{
    const char **v = arena_alloc(&r->arena, (list->n + 1) * sizeof(*v));
    if (list->n)
        memcpy(v, list->v, list->n * sizeof(*v));
    v[list->n] = text;
    *list = (struct strs){ v, list->n + 1 };
}

/* in:a,"b,c",d */
static bool parse_in(struct req *r, struct term *t, const char *s)
{
    for (;;) {
        bool quoted = *s == '"';
        size_t len = quoted ? strcspn(++s, "\"") : strcspn(s, ",");
        if (quoted && s[len] != '"')
            return bad_value(r, t);
        add_text(r, &t->any, arena_strndup(&r->arena, s, len));
        s += len + quoted;
        if (!*s)
            return true;
        if (*s++ != ',')
            return bad_value(r, t);
    }
}

static bool parse_text(struct req *r, struct term *t)
{
    if (strncmp(t->value, "in:", 3) == 0)
        return parse_in(r, t, t->value + 3);
    add_text(r, &t->any, arena_strdup(&r->arena, t->value));
    return true;
}

static bool parse_number(struct req *r, struct term *t)
{
    char *end;
    errno = 0;
    t->n = strtoll(t->value, &end, 10);
    return (end != t->value && !*end && !errno && t->n >= 0) || bad_value(r, t);
}

static bool parse_truth(struct req *r, struct term *t)
{
    bool yes;
    if (!parse_bool(t->value, &yes))
        return bad_value(r, t);
    t->n = yes;
    return true;
}

/* "gte:2026-01-01T00:00:00Z", or a time alone: eq */
static bool parse_time(struct req *r, struct term *t)
{
    static const char *const ops[] = { "gte", "gt", "lte", "lt", "neq", "eq" };
    const char *when = t->value;
    memcpy(t->op, "eq", 3);
    for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
        size_t len = strlen(ops[i]);
        if (strncmp(when, ops[i], len) == 0 && when[len] == ':') {
            memcpy(t->op, ops[i], len + 1);
            when += len + 1;
            break;
        }
    }
    return time_parse(when, &t->n) || bad_value(r, t);
}

static bool is_any(const struct term *t, const char *text)
{
    return text && strs_has(&t->any, text);
}

static bool match_text(const struct image *im, const struct term *t)
{
    const struct field *f = schema_field(&kind_image.schema, t->filter->field);
    return is_any(t, *(const char *const *)field_ptr(im, f));
}

static bool match_id(const struct image *im, const struct term *t)
{
    return is_any(t, im->rec.id);
}

static bool match_status(const struct image *im, const struct term *t)
{
    return is_any(t, image_status_text(im));
}

static bool match_tag(const struct image *im, const struct term *t)
{
    return strs_has(&im->tags, t->value);
}

static bool match_number(const struct image *im, const struct term *t)
{
    const struct field *f = schema_field(&kind_image.schema, t->filter->field);
    return *(const int64_t *)field_ptr(im, f) == t->n;
}

static bool match_size_min(const struct image *im, const struct term *t)
{
    return im->size >= t->n;
}

static bool match_size_max(const struct image *im, const struct term *t)
{
    return im->size <= t->n;
}

static bool match_protected(const struct image *im, const struct term *t)
{
    return im->is_protected == (t->n != 0);
}

/* Clients see whole seconds, and compare with what they have seen. */
static bool match_time(const struct image *im, const struct term *t)
{
    const struct field *f = schema_field(&kind_image.schema, t->filter->field);
    int64_t at = *(const int64_t *)field_ptr(im, f) / SECOND_US;
    int64_t n = t->n / SECOND_US;
    if (strcmp(t->op, "neq") == 0)
        return at != n;
    if (at == n)
        return t->op[0] == 'e' || t->op[2] == 'e';
    return t->op[0] == 'g' ? at > n : t->op[0] == 'l' && at < n;
}

static bool match_property(const struct image *im, const struct term *t)
{
    const char *have = map_get(&im->properties, t->name);
    return have && strcmp(have, t->value) == 0;
}

static bool match_all(const struct image *im, const struct term *t)
{
    return true;
}

static const struct filter filters[] = {
    { "name", "name", parse_text, match_text },
    { "id", NULL, parse_text, match_id },
    { "status", NULL, parse_text, match_status },
    { "container_format", "container_format", parse_text, match_text },
    { "disk_format", "disk_format", parse_text, match_text },
    { "owner", "owner", parse_text, match_text },
    { "checksum", "checksum", parse_text, match_text },
    { "os_hash_algo", "hash_algo", parse_text, match_text },
    { "os_hash_value", "hash_value", parse_text, match_text },
    { "tag", NULL, NULL, match_tag },
    { "size_min", NULL, parse_number, match_size_min },
    { "size_max", NULL, parse_number, match_size_max },
    { "min_disk", "min_disk_gb", parse_number, match_number },
    { "min_ram", "min_ram_mb", parse_number, match_number },
    { "protected", NULL, parse_truth, match_protected },
    { "created_at", "created", parse_time, match_time },
    { "updated_at", "updated", parse_time, match_time },
    /* read elsewhere, or of no meaning without members */
    { "visibility", NULL, NULL, match_all },
    { "os_hidden", NULL, NULL, match_all },
    { "member_status", NULL, NULL, match_all },
    { "limit", NULL, NULL, match_all },
    { "marker", NULL, NULL, match_all },
    { "sort", NULL, NULL, match_all },
    { "sort_key", NULL, NULL, match_all },
    { "sort_dir", NULL, NULL, match_all },
};

static const struct filter property_filter = { NULL, NULL, NULL,
                                               match_property };

static const struct filter *find_filter(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(filters); i++)
        if (strcmp(filters[i].name, name) == 0)
            return &filters[i];
    return &property_filter;
}

/* ---- the list ---------------------------------------------------------- */

struct query {
    struct term *terms;
    size_t n;
    const char *visibility; /* NULL: not asked for */
    bool hidden;
};

static bool parse_visibility(struct req *r, struct query *q)
{
    q->visibility = req_query(r, "visibility");
    if (!q->visibility || strcmp(q->visibility, "all") == 0 ||
        enum_from_name(image_visibilities, q->visibility) >= 0)
        return true;
    return error_set(&r->err, ERR_INVALID, "Invalid visibility value: '%.40s'",
                     q->visibility);
}

static bool parse_hidden(struct req *r, struct query *q)
{
    const char *text = req_query(r, "os_hidden");
    q->hidden = false;
    return !text || parse_bool(text, &q->hidden) ||
           error_set(&r->err, ERR_INVALID, "Invalid value for os_hidden: %.40s",
                     text);
}

static bool parse_query(struct req *r, struct query *q)
{
    const struct params *p = &r->http->query;
    *q = (struct query){ 0 };
    q->terms = arena_alloc(&r->arena, (p->n + 1) * sizeof(*q->terms));
    for (size_t i = 0; i < p->n; i++) {
        struct term *t = &q->terms[q->n++];
        *t = (struct term){ .filter = find_filter(p->v[i].name),
                            .name = p->v[i].name,
                            .value = p->v[i].value };
        if (t->filter->parse && !t->filter->parse(r, t))
            return false;
    }
    return parse_visibility(r, q) && parse_hidden(r, q);
}

/* Other projects' community images are only there for who asks for them. */
static bool in_scope(struct req *r, const struct query *q,
                     const struct image *im)
{
    const char *own = r->auth.project_id;
    if (q->visibility && strcmp(q->visibility, "all") != 0)
        return im->visibility && strcmp(im->visibility, q->visibility) == 0;
    if (q->visibility || !im->visibility ||
        strcmp(im->visibility, "community") != 0)
        return true;
    return own && im->owner && strcmp(im->owner, own) == 0;
}

static bool listed(struct req *r, const void *record, void *arg)
{
    const struct image *im = record;
    const struct query *q = arg;
    if (!image_visible(r, im) || im->hidden != q->hidden || !in_scope(r, q, im))
        return false;
    for (size_t i = 0; i < q->n; i++)
        if (!q->terms[i].filter->match(im, &q->terms[i]))
            return false;
    return true;
}

static const char *const sort_names[][2] = {
    { "created_at", "created" },
    { "updated_at", "updated" },
    { "min_disk", "min_disk_gb" },
    { "min_ram", "min_ram_mb" },
    { NULL, NULL },
};

enum outcome image_list(struct req *r)
{
    struct query query;
    struct page page;
    struct page_spec spec = { .kind = &kind_image,
                              .filter = listed,
                              .arg = &query,
                              .default_sort = "created",
                              .default_descending = true,
                              .sort_names = sort_names };
    if (!parse_query(r, &query) || !page_collect(r, &spec, &page))
        return req_failed(r);
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    jw_arr(&w, "images");
    for (size_t i = 0; i < page.n; i++)
        image_write(r, &w, page.v[i]);
    jw_arr_end(&w);
    jw_str(&w, "first", "/v2/images");
    jw_str(&w, "schema", "/v2/schemas/images");
    if (page.more)
        jw_strf(&w, "next", "/v2/images%s", page_next_query(r, &page));
    jw_obj_end(&w);
    return req_reply(r, 200);
}
