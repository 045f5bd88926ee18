/* Comparing, filtering and indexing by field: the reading half of record.h. */
#include "common/env.h"
#include "state/record.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int str_compare(const char *a, const char *b)
{
    if (!a || !b)
        return (a != NULL) - (b != NULL);
    return strcmp(a, b);
}

static bool str_equal(const char *a, const char *b)
{
    return str_compare(a, b) == 0;
}

/* ---- equality ---------------------------------------------------------- */

static bool fields_equal(const struct schema *s, const char *a, const char *b);

static bool strs_equal(const struct strs *a, const struct strs *b)
{
    if (a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++)
        if (!str_equal(a->v[i], b->v[i]))
            return false;
    return true;
}

static bool map_equal(const struct map *a, const struct map *b)
{
    if (a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++)
        if (!str_equal(a->v[i].key, b->v[i].key) ||
            !str_equal(a->v[i].value, b->v[i].value))
            return false;
    return true;
}

static bool list_equal(const struct list *a, const struct list *b,
                       const struct schema *sub)
{
    if (a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++)
        if (!fields_equal(sub, (char *)a->v + i * sub->size,
                          (char *)b->v + i * sub->size))
            return false;
    return true;
}

static bool field_equal(const struct field *f, const void *a, const void *b)
{
    switch (f->type) {
    case F_STR:
    case F_JSON:
        return str_equal(*(const char *const *)a, *(const char *const *)b);
    case F_BOOL:
        return *(const bool *)a == *(const bool *)b;
    case F_INT:
    case F_TIME:
        return *(const int64_t *)a == *(const int64_t *)b;
    case F_REAL:
        return *(const double *)a == *(const double *)b;
    case F_ENUM:
        return *(const int *)a == *(const int *)b;
    case F_STRS:
        return strs_equal(a, b);
    case F_MAP:
        return map_equal(a, b);
    case F_OBJ:
        return fields_equal(f->sub, a, b);
    case F_LIST:
        return list_equal(a, b, f->sub);
    }
    return false;
}

static bool fields_equal(const struct schema *s, const char *a, const char *b)
{
    for (const struct field *f = s->fields; f->name; f++)
        if (!field_equal(f, a + f->offset, b + f->offset))
            return false;
    return true;
}

bool record_equal(const void *a, const void *b)
{
    const struct kind *kind = ((const struct record *)a)->kind;
    return kind == ((const struct record *)b)->kind &&
           fields_equal(&kind->schema, a, b);
}

/* ---- single fields ----------------------------------------------------- */

const struct field *schema_field(const struct schema *s, const char *name)
{
    for (const struct field *f = s->fields; f->name; f++)
        if (strcmp(f->name, name) == 0)
            return f;
    return NULL;
}

const char *field_text(const void *record, const struct field *f, char tmp[64])
{
    const void *p = field_ptr(record, f);
    switch (f->type) {
    case F_STR:
        return *(const char *const *)p;
    case F_BOOL:
        return *(const bool *)p ? "true" : "false";
    case F_INT:
        snprintf(tmp, 64, "%" PRId64, *(const int64_t *)p);
        return tmp;
    case F_REAL:
        snprintf(tmp, 64, "%.15g", *(const double *)p);
        return tmp;
    case F_TIME:
        return *(const int64_t *)p
                   ? time_format(*(const int64_t *)p, TIME_Z, tmp)
                   : NULL;
    case F_ENUM:
        return f->names[*(const int *)p];
    default:
        return NULL;
    }
}

#define ORDER(type_, a_, b_)                                                   \
    ((*(const type_ *)(a_) > *(const type_ *)(b_)) -                           \
     (*(const type_ *)(a_) < *(const type_ *)(b_)))

int field_compare(const void *a, const void *b, const struct field *f)
{
    const void *pa = field_ptr(a, f), *pb = field_ptr(b, f);
    switch (f->type) {
    case F_STR:
    case F_JSON:
        return str_compare(*(const char *const *)pa, *(const char *const *)pb);
    case F_BOOL:
        return ORDER(bool, pa, pb);
    case F_INT:
    case F_TIME:
        return ORDER(int64_t, pa, pb);
    case F_REAL:
        return ORDER(double, pa, pb);
    case F_ENUM: /* by name: that is what the client sees */
        return strcmp(f->names[*(const int *)pa], f->names[*(const int *)pb]);
    default:
        return 0;
    }
}

int enum_from_name(const char *const *names, const char *name)
{
    for (int i = 0; names[i]; i++)
        if (strcmp(names[i], name) == 0)
            return i;
    return -1;
}

/* ---- indexes ----------------------------------------------------------- */

/* The field that the first n characters of `name` name; a path that leads
 * nowhere is a slip in a kind's table. */
static const struct field *must_field(const struct schema *s, const char *name,
                                      size_t n)
{
    for (const struct field *f = s->fields; f->name; f++)
        if (strncmp(f->name, name, n) == 0 && !f->name[n])
            return f;
    abort();
}

static void keys_at(const struct schema *s, const void *base, const char *path,
                    index_key_fn *fn, void *arg)
{
    size_t n = strcspn(path, ".");
    const char *rest = path[n] ? path + n + 1 : NULL;
    const struct field *f = must_field(s, path, n);
    const void *p = (const char *)base + f->offset;
    if (f->type == F_STR && *(const char *const *)p) {
        fn(arg, *(const char *const *)p);
    } else if (f->type == F_ENUM) {
        fn(arg, f->names[*(const int *)p]);
    } else if (f->type == F_STRS) {
        const struct strs *strs = p;
        for (size_t i = 0; i < strs->n; i++)
            fn(arg, strs->v[i]);
    } else if (f->type == F_OBJ && rest) {
        keys_at(f->sub, p, rest, fn, arg);
    } else if (f->type == F_LIST && rest) {
        const struct list *list = p;
        for (size_t i = 0; i < list->n; i++)
            keys_at(f->sub, (char *)list->v + i * f->sub->size, rest, fn, arg);
    } else if (f->type != F_STR) {
        abort();
    }
}

void index_keys(const void *record, const struct index *ix, index_key_fn *fn,
                void *arg)
{
    const struct record *r = record;
    keys_at(&r->kind->schema, record, ix->path, fn, arg);
}
