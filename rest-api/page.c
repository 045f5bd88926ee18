/* page - filtering, sorting and paging of lists (resource.h). */
#include "rest-api/check.h"
#include "rest-api/resource.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SORTS_MAX 4

struct sort {
    const struct field *field; /* NULL: the id */
    bool descending;
};

struct order {
    struct sort by[SORTS_MAX];
    size_t n;
};

static int compare_records(const void *a, const void *b, void *arg)
{
    const struct record *ra = *(const struct record *const *)a;
    const struct record *rb = *(const struct record *const *)b;
    const struct order *o = arg;
    for (size_t i = 0; i < o->n; i++) {
        int c = o->by[i].field ? field_compare(ra, rb, o->by[i].field)
                               : strcmp(ra->id, rb->id);
        if (c)
            return o->by[i].descending ? -c : c;
    }
    return strcmp(ra->id, rb->id);
}

/* The record's field behind an API's sort key. */
static bool sort_field(const struct page_spec *spec, const char *key,
                       const struct field **field)
{
    const char *name = key;
    for (size_t i = 0; spec->sort_names && spec->sort_names[i][0]; i++)
        if (strcmp(spec->sort_names[i][0], key) == 0)
            name = spec->sort_names[i][1];
    *field = NULL;
    if (strcmp(name, "id") == 0)
        return true;
    *field = schema_field(&spec->kind->schema, name);
    return *field && !((*field)->flags & FIELD_SECRET);
}

static bool add_sort(struct req *r, const struct page_spec *spec,
                     struct order *o, const char *key, bool descending)
{
    const struct field *field;
    if (!sort_field(spec, key, &field))
        return error_set(&r->err, ERR_INVALID,
                         "'%.64s' is an invalid attribute for sort key", key);
    if (o->n < SORTS_MAX)
        o->by[o->n++] = (struct sort){ field, descending };
    return true;
}

/* "name:asc,created_at:desc" (glance, cinder) */
static bool parse_sort(struct req *r, const struct page_spec *spec,
                       struct order *o, const char *text)
{
    char *list = arena_strdup(&r->arena, text), *rest = NULL;
    for (char *one = strtok_r(list, ",", &rest); one;
         one = strtok_r(NULL, ",", &rest)) {
        char *dir = strchr(one, ':');
        if (dir)
            *dir++ = '\0';
        if (!add_sort(r, spec, o, one, !dir || strcmp(dir, "asc") != 0))
            return false;
    }
    return true;
}

/* The i-th value of a query parameter that may be repeated. */
static const char *query_nth(struct req *r, const char *name, size_t nth)
{
    const struct params *q = &r->http->query;
    for (size_t i = 0; i < q->n; i++)
        if (strcmp(q->v[i].name, name) == 0 && nth-- == 0)
            return q->v[i].value;
    return NULL;
}

static bool parse_sort_keys(struct req *r, const struct page_spec *spec,
                            struct order *o)
{
    const char *key;
    bool nova = r->service && (r->service->style == STYLE_NOVA ||
                               r->service->style == STYLE_CINDER ||
                               r->service->style == STYLE_GLANCE);
    for (size_t i = 0; (key = query_nth(r, "sort_key", i)); i++) {
        const char *dir = query_nth(r, "sort_dir", i);
        if (dir && strcmp(dir, "asc") != 0 && strcmp(dir, "desc") != 0)
            return error_set(&r->err, ERR_INVALID,
                             "sort_dir must be 'asc' or 'desc'");
        if (!add_sort(r, spec, o, key, dir ? dir[0] == 'd' : nova))
            return false;
    }
    return true;
}

static bool parse_order(struct req *r, const struct page_spec *spec,
                        struct order *o)
{
    const char *sort = req_query(r, "sort");
    *o = (struct order){ 0 };
    if (sort ? !parse_sort(r, spec, o, sort) : !parse_sort_keys(r, spec, o))
        return false;
    if (!o->n && spec->default_sort)
        return add_sort(r, spec, o, spec->default_sort,
                        spec->default_descending);
    return true;
}

static bool parse_limit(struct req *r, const struct page_spec *spec,
                        size_t *limit)
{
    size_t most = spec->limit_max ? (size_t)spec->limit_max : 1000;
    const char *text = req_query(r, "limit");
    *limit = most;
    if (!text)
        return true;
    char *end;
    long long n = strtoll(text, &end, 10);
    if (end == text || *end || n < 0)
        return error_set(&r->err, ERR_INVALID,
                         "limit must be a non-negative integer, not '%.40s'",
                         text);
    /* Neutron and Glance take 0: no limit, and nothing. */
    if (n > 0 && (size_t)n < most)
        *limit = (size_t)n;
    return true;
}

struct gather {
    const void **v;
    size_t n, cap;
};

static void gather_add(struct req *r, struct gather *g, const void *record)
{
    if (g->n == g->cap) {
        size_t cap = g->cap ? g->cap * 2 : 64;
        const void **v = arena_alloc(&r->arena, cap * sizeof(*v));
        if (g->n)
            memcpy(v, g->v, g->n * sizeof(*v));
        g->v = v;
        g->cap = cap;
    }
    g->v[g->n++] = record;
}

static void swap(const void **v, size_t i, size_t k)
{
    const void *x = v[i];
    v[i] = v[k];
    v[k] = x;
}

/* Brings the first `k` of the order to the front, in no order themselves:
 * a page costs a look at each record and not a sort of all. */
static void select_first(const void **v, size_t n, size_t k, struct order *o)
{
    size_t lo = 0, hi = n;
    while (hi - lo > 1 && k > lo && k < hi) {
        swap(v, lo + (hi - lo) / 2, hi - 1);
        size_t at = lo;
        for (size_t i = lo; i + 1 < hi; i++)
            if (compare_records(&v[i], &v[hi - 1], o) < 0)
                swap(v, i, at++);
        swap(v, at, hi - 1);
        if (at < k)
            lo = at + 1;
        else
            hi = at;
    }
}

/* Drops all up to and with the marker. */
static bool after_marker(struct req *r, struct gather *g, struct order *o)
{
    const char *marker = req_query(r, "marker");
    const void *found = NULL;
    if (!marker || !*marker)
        return true;
    for (size_t i = 0; i < g->n && !found; i++)
        if (strcmp(((const struct record *)g->v[i])->id, marker) == 0)
            found = g->v[i];
    if (!found)
        return error_set(&r->err, ERR_INVALID, "marker [%.64s] not found",
                         marker);
    size_t n = 0;
    for (size_t i = 0; i < g->n; i++)
        if (compare_records(&g->v[i], &found, o) > 0)
            g->v[n++] = g->v[i];
    g->n = n;
    return true;
}

bool page_collect(struct req *r, const struct page_spec *spec,
                  struct page *page)
{
    struct order order;
    struct gather g = { 0 };
    size_t limit;
    if (!parse_order(r, spec, &order) || !parse_limit(r, spec, &limit))
        return false;
    struct snap_iter it =
        spec->index ? snap_by(r->snap, spec->kind, spec->index, spec->index_key)
                    : snap_all(r->snap, spec->kind);
    for (const void *record; (record = snap_next(&it));)
        if (!spec->filter || spec->filter(r, record, spec->arg))
            gather_add(r, &g, record);
    if (!after_marker(r, &g, &order))
        return false;
    page->v = g.v; /* NULL: nothing listed at all */
    page->n = g.n < limit ? g.n : limit;
    page->more = g.n > limit;
    if (order.n && page->more)
        select_first(g.v, g.n, limit, &order);
    if (order.n && page->n > 1)
        qsort_r(g.v, page->n, sizeof(*g.v), compare_records, &order);
    return true;
}

static void add_escaped(struct buf *out, const char *s)
{
    for (; *s; s++) {
        bool plain = strchr("-_.~:", *s) || (*s >= '0' && *s <= '9') ||
                     (*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z');
        if (plain)
            buf_addc(out, *s);
        else
            buf_addf(out, "%%%02X", (unsigned char)*s);
    }
}

const char *page_next_query(struct req *r, const struct page *page)
{
    const struct params *q = &r->http->query;
    const struct record *last = page->v[page->n - 1];
    struct buf out = BUF_INIT(HTTP_PATH_MAX * 4);
    buf_adds(&out, "?marker=");
    add_escaped(&out, last->id);
    for (size_t i = 0; i < q->n; i++) {
        if (strcmp(q->v[i].name, "marker") == 0)
            continue;
        buf_addc(&out, '&');
        add_escaped(&out, q->v[i].name);
        buf_addc(&out, '=');
        add_escaped(&out, q->v[i].value);
    }
    char *text = arena_strdup(&r->arena, buf_str(&out));
    buf_free(&out);
    return text;
}
