/* Records to JSON and back: the codec half of record.h. */
#include "common/env.h"
#include "state/record.h"
#include "state/store.h"

#include <stdlib.h>
#include <string.h>

/* ---- encoding ---------------------------------------------------------- */

static void encode_fields(const struct schema *s, const void *base,
                          struct jw *w, bool all);

static bool fields_zero(const struct schema *s, const void *base);

static bool field_zero(const struct field *f, const void *p)
{
    switch (f->type) {
    case F_STR:
    case F_JSON:
        return !*(const char *const *)p;
    case F_BOOL:
        return !*(const bool *)p;
    case F_INT:
    case F_TIME:
        return !*(const int64_t *)p;
    case F_REAL:
        return *(const double *)p == 0;
    case F_ENUM:
        return !*(const int *)p;
    case F_STRS:
        return !((const struct strs *)p)->n;
    case F_MAP:
        return !((const struct map *)p)->n;
    case F_LIST:
        return !((const struct list *)p)->n;
    case F_OBJ:
        return fields_zero(f->sub, p);
    }
    return false;
}

static bool fields_zero(const struct schema *s, const void *base)
{
    for (const struct field *f = s->fields; f->name; f++)
        if (!field_zero(f, (const char *)base + f->offset))
            return false;
    return true;
}

static void encode_time(const char *name, int64_t us, struct jw *w, bool all)
{
    char text[TIME_TEXT_MAX];
    if (!all)
        jw_int(w, name, us);
    else
        jw_str(w, name, us ? time_format(us, TIME_MICRO_Z, text) : NULL);
}

static void encode_strs(const char *name, const struct strs *strs, struct jw *w)
{
    jw_arr(w, name);
    for (size_t i = 0; i < strs->n; i++)
        jw_str(w, NULL, strs->v[i]);
    jw_arr_end(w);
}

static void encode_map(const char *name, const struct map *map, struct jw *w)
{
    jw_obj(w, name);
    for (size_t i = 0; i < map->n; i++)
        jw_str(w, map->v[i].key, map->v[i].value);
    jw_obj_end(w);
}

static void encode_struct(const char *name, const struct schema *s,
                          const void *base, struct jw *w, bool all)
{
    jw_obj(w, name);
    encode_fields(s, base, w, all);
    jw_obj_end(w);
}

static void encode_list(const struct field *f, const struct list *list,
                        struct jw *w, bool all)
{
    jw_arr(w, f->name);
    for (size_t i = 0; i < list->n; i++)
        encode_struct(NULL, f->sub, (char *)list->v + i * f->sub->size, w, all);
    jw_arr_end(w);
}

static void encode_field(const struct field *f, const void *p, struct jw *w,
                         bool all)
{
    switch (f->type) {
    case F_STR:
        jw_str(w, f->name, *(const char *const *)p);
        break;
    case F_JSON:
        jw_raw(w, f->name, *(const char *const *)p);
        break;
    case F_BOOL:
        jw_bool(w, f->name, *(const bool *)p);
        break;
    case F_INT:
        jw_int(w, f->name, *(const int64_t *)p);
        break;
    case F_REAL:
        jw_real(w, f->name, *(const double *)p);
        break;
    case F_TIME:
        encode_time(f->name, *(const int64_t *)p, w, all);
        break;
    case F_ENUM:
        jw_str(w, f->name, f->names[*(const int *)p]);
        break;
    case F_STRS:
        encode_strs(f->name, p, w);
        break;
    case F_MAP:
        encode_map(f->name, p, w);
        break;
    case F_OBJ:
        encode_struct(f->name, f->sub, p, w, all);
        break;
    case F_LIST:
        encode_list(f, p, w, all);
        break;
    }
}

static void encode_fields(const struct schema *s, const void *base,
                          struct jw *w, bool all)
{
    for (const struct field *f = s->fields; f->name; f++) {
        const void *p = (const char *)base + f->offset;
        bool skip = all ? f->flags & FIELD_SECRET : field_zero(f, p);
        if (!skip)
            encode_field(f, p, w, all);
    }
}

void record_encode_fields(const void *record, struct jw *w, bool all)
{
    const struct record *r = record;
    encode_fields(&r->kind->schema, record, w, all);
}

void record_encode(const void *record, struct buf *out)
{
    struct jw w = JW_INIT(out);
    jw_obj(&w, NULL);
    record_encode_fields(record, &w, false);
    jw_obj_end(&w);
}

/* ---- decoding ---------------------------------------------------------- */

struct decode {
    struct record *record;
    bool strict; /* refuse unknown members */
    struct error *err;
};

static bool decode_object(struct decode *d, const struct schema *s, void *base,
                          const json_t *v);

static bool wrong(struct decode *d, const struct field *f, const char *want)
{
    return error_set(d->err, ERR_INVALID, "%s must be %s", f->name, want);
}

static bool decode_str(struct decode *d, const struct field *f, void *p,
                       const json_t *v)
{
    if (!json_is_string(v))
        return wrong(d, f, "a string");
    *(const char **)p = rec_str(d->record, json_string_value(v));
    return true;
}

static bool decode_bool(struct decode *d, const struct field *f, void *p,
                        const json_t *v)
{
    if (!json_is_boolean(v))
        return wrong(d, f, "true or false");
    *(bool *)p = json_is_true(v);
    return true;
}

static bool decode_int(struct decode *d, const struct field *f, void *p,
                       const json_t *v)
{
    if (!json_is_integer(v))
        return wrong(d, f, "an integer");
    *(int64_t *)p = json_integer_value(v);
    return true;
}

static bool decode_real(struct decode *d, const struct field *f, void *p,
                        const json_t *v)
{
    if (!json_is_number(v))
        return wrong(d, f, "a number");
    *(double *)p = json_number_value(v);
    return true;
}

static bool decode_time(struct decode *d, const struct field *f, void *p,
                        const json_t *v)
{
    if (json_is_integer(v))
        *(int64_t *)p = json_integer_value(v);
    else if (!json_is_string(v) || !time_parse(json_string_value(v), p))
        return wrong(d, f, "a time");
    return true;
}

static bool decode_enum(struct decode *d, const struct field *f, void *p,
                        const json_t *v)
{
    if (!json_is_string(v))
        return wrong(d, f, "a string");
    int i = enum_from_name(f->names, json_string_value(v));
    if (i < 0)
        return error_set(d->err, ERR_INVALID, "%s cannot be \"%.100s\"",
                         f->name, json_string_value(v));
    *(int *)p = i;
    return true;
}

static bool decode_strs(struct decode *d, const struct field *f, void *p,
                        const json_t *v)
{
    struct strs strs = { 0 };
    size_t i;
    const json_t *item;
    if (!json_is_array(v))
        return wrong(d, f, "a list of strings");
    strs.v =
        arena_alloc(&d->record->arena, json_array_size(v) * sizeof(*strs.v));
    json_array_foreach(v, i, item)
    {
        if (!json_is_string(item))
            return wrong(d, f, "a list of strings");
        strs.v[strs.n++] = rec_str(d->record, json_string_value(item));
    }
    *(struct strs *)p = strs;
    return true;
}

static bool decode_map(struct decode *d, const struct field *f, void *p,
                       const json_t *v)
{
    struct map map = { 0 };
    const char *key;
    json_t *item;
    if (!json_is_object(v))
        return wrong(d, f, "an object of strings");
    map.v =
        arena_alloc(&d->record->arena, json_object_size(v) * sizeof(*map.v));
    json_object_foreach((json_t *)v, key, item)
    {
        if (!json_is_string(item))
            return wrong(d, f, "an object of strings");
        map.v[map.n++] = (struct map_item){
            .key = rec_str(d->record, key),
            .value = rec_str(d->record, json_string_value(item)),
        };
    }
    *(struct map *)p = map;
    return true;
}

static bool decode_struct(struct decode *d, const struct field *f, void *p,
                          const json_t *v)
{
    if (!json_is_object(v))
        return wrong(d, f, "an object");
    memset(p, 0, f->sub->size);
    return decode_object(d, f->sub, p, v) ||
           error_prefix(d->err, "%s", f->name);
}

static bool decode_list(struct decode *d, const struct field *f, void *p,
                        const json_t *v)
{
    struct list list = { 0 };
    size_t i;
    const json_t *item;
    if (!json_is_array(v))
        return wrong(d, f, "a list");
    list.v = arena_alloc(&d->record->arena, json_array_size(v) * f->sub->size);
    json_array_foreach(v, i, item)
    {
        char *at = (char *)list.v + list.n++ * f->sub->size;
        if (!decode_struct(d, f, at, item))
            return false;
    }
    *(struct list *)p = list;
    return true;
}

static bool decode_json(struct decode *d, const struct field *f, void *p,
                        const json_t *v)
{
    _autofree_ char *text = json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY);
    if (!text)
        return wrong(d, f, "JSON");
    *(const char **)p = rec_str(d->record, text);
    return true;
}

typedef bool decode_fn(struct decode *d, const struct field *f, void *p,
                       const json_t *v);

static decode_fn *const decoders[] = {
    [F_STR] = decode_str,   [F_BOOL] = decode_bool, [F_INT] = decode_int,
    [F_REAL] = decode_real, [F_TIME] = decode_time, [F_ENUM] = decode_enum,
    [F_STRS] = decode_strs, [F_MAP] = decode_map,   [F_OBJ] = decode_struct,
    [F_LIST] = decode_list, [F_JSON] = decode_json,
};

static const size_t sizes[] = {
    [F_STR] = sizeof(char *),       [F_BOOL] = sizeof(bool),
    [F_INT] = sizeof(int64_t),      [F_REAL] = sizeof(double),
    [F_TIME] = sizeof(int64_t),     [F_ENUM] = sizeof(int),
    [F_STRS] = sizeof(struct strs), [F_MAP] = sizeof(struct map),
    [F_LIST] = sizeof(struct list), [F_JSON] = sizeof(char *),
};

/* Sets the field at p from v; null sets its zero value. */
static bool decode_field(struct decode *d, const struct field *f, void *p,
                         const json_t *v)
{
    if (!json_is_null(v))
        return decoders[f->type](d, f, p, v);
    memset(p, 0, f->type == F_OBJ ? f->sub->size : sizes[f->type]);
    return true;
}

/* The field `name`, most often the one after the last found. */
static const struct field *
next_field(const struct schema *s, const struct field *guess, const char *name)
{
    return guess->name && strcmp(guess->name, name) == 0
               ? guess
               : schema_field(s, name);
}

static bool decode_object(struct decode *d, const struct schema *s, void *base,
                          const json_t *v)
{
    const struct field *guess = s->fields;
    const char *name;
    json_t *member;
    json_object_foreach((json_t *)v, name, member)
    {
        const struct field *f = next_field(s, guess, name);
        if (!f && d->strict)
            return error_set(d->err, ERR_INVALID, "unknown member \"%.100s\"",
                             name);
        if (!f)
            continue;
        guess = f + 1;
        if (!decode_field(d, f, (char *)base + f->offset, member))
            return false;
    }
    return true;
}

static void *bad_value(const struct kind *kind, const char *id,
                       struct error *err)
{
    error_prefix(err, "%s/%s", kind->name, id);
    return NULL;
}

void *record_decode(const struct kind *kind, const char *id, const void *value,
                    size_t len, struct error *err)
{
    if (len > STORE_VALUE_MAX) {
        error_set(err, ERR_TOO_LARGE, "%zu bytes are too many", len);
        return bad_value(kind, id, err);
    }
    _autojson_ json_t *v = json_loadb(value, len, 0, NULL);
    if (!json_is_object(v)) {
        /* Not jansson's text: it quotes the value, which may be secret. */
        error_set(err, ERR_INVALID, "not a JSON object");
        return bad_value(kind, id, err);
    }
    _autorecord_ void *r = record_new(kind, id);
    struct decode d = { .record = r, .err = err };
    if (!decode_object(&d, &kind->schema, r, v))
        return bad_value(kind, id, err);
    return steal(&r);
}

bool record_set_json(void *record, const struct field *f, const json_t *value,
                     struct error *err)
{
    struct decode d = { .record = record, .strict = true, .err = err };
    return decode_field(&d, f, field_ptr(record, f), value);
}
