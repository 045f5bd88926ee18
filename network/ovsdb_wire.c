#include "network/ovsdb_wire.h"

#include "common/alloc.h"

#include <stdlib.h>
#include <string.h>

/* ---- framing ----------------------------------------------------------- */

void ovsdb_frame_init(struct ovsdb_frame *f, size_t max)
{
    *f = (struct ovsdb_frame){ .text = BUF_INIT(max) };
}

void ovsdb_frame_free(struct ovsdb_frame *f)
{
    buf_free(&f->text);
    ovsdb_frame_init(f, f->text.max);
}

#define FRAME_KEEP ((size_t)1 << 20) /* memory kept between messages */

void ovsdb_frame_next(struct ovsdb_frame *f)
{
    if (f->text.cap > FRAME_KEEP)
        buf_free(&f->text);
    buf_reset(&f->text);
    f->depth = 0;
    f->in_string = f->escaped = false;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* One byte of a message; false when it makes the nesting too deep. */
static bool frame_byte(struct ovsdb_frame *f, char c)
{
    if (f->escaped)
        f->escaped = false;
    else if (f->in_string && c == '\\')
        f->escaped = true;
    else if (c == '"')
        f->in_string = !f->in_string;
    else if (f->in_string)
        return true;
    else if (c == '{' || c == '[')
        return ++f->depth <= OVSDB_DEPTH_MAX;
    else if (c == '}' || c == ']')
        f->depth--;
    return true;
}

enum ovsdb_frame_status ovsdb_frame_feed(struct ovsdb_frame *f,
                                         const char *data, size_t len,
                                         size_t *used)
{
    size_t i = 0;
    if (!f->text.len) {
        while (i < len && is_space(data[i]))
            i++;
        *used = i;
        if (i == len)
            return OVSDB_FRAME_MORE;
        if (data[i] != '{')
            return OVSDB_FRAME_BAD;
    }
    size_t from = i;
    bool fine;
    do
        fine = i < len && frame_byte(f, data[i++]);
    while (fine && f->depth);
    *used = i;
    buf_add(&f->text, data + from, i - from);
    if (f->text.overflow || (!fine && f->depth > OVSDB_DEPTH_MAX))
        return OVSDB_FRAME_BAD;
    return f->depth ? OVSDB_FRAME_MORE : OVSDB_FRAME_DONE;
}

/* ---- messages ---------------------------------------------------------- */

static bool is_null(const json_t *v)
{
    return !v || json_is_null(v);
}

static enum ovsdb_message_kind method_kind(const char *method)
{
    if (!strcmp(method, "echo"))
        return OVSDB_ECHO;
    return strcmp(method, "update") ? OVSDB_OTHER : OVSDB_UPDATE;
}

bool ovsdb_message_parse(struct ovsdb_message *m, const char *text, size_t len,
                         struct error *err)
{
    json_error_t why;
    *m = (struct ovsdb_message){ 0 };
    m->root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &why);
    if (!m->root)
        return error_set(err, ERR_INVALID, "OVSDB sent bad JSON: %s", why.text);
    const json_t *method = json_object_get(m->root, "method");
    m->id = json_object_get(m->root, "id");
    m->params = json_object_get(m->root, "params");
    m->result = json_object_get(m->root, "result");
    m->error = json_object_get(m->root, "error");
    if (json_is_string(method) && json_is_array(m->params))
        m->kind = method_kind(json_string_value(method));
    else if (!method && !is_null(m->id) && (m->result || m->error))
        m->kind = OVSDB_REPLY;
    else {
        ovsdb_message_free(m);
        return error_set(err, ERR_INVALID,
                         "OVSDB sent what is no JSON-RPC message");
    }
    return true;
}

void ovsdb_message_free(struct ovsdb_message *m)
{
    json_decref(m->root);
    *m = (struct ovsdb_message){ 0 };
}

static enum error_code code_of(const char *error)
{
    static const struct {
        const char *error;
        enum error_code code;
    } codes[] = {
        { "constraint violation", ERR_CONFLICT },
        { "referential integrity violation", ERR_CONFLICT },
        { "not owner", ERR_CONFLICT },
        { "timed out", ERR_UNAVAILABLE }, /* a `wait` */
        { "resources exhausted", ERR_UNAVAILABLE },
        { "I/O error", ERR_UNAVAILABLE },
        { "not leader", ERR_UNAVAILABLE },
        { "not allowed", ERR_UNAVAILABLE },
        { "canceled", ERR_UNAVAILABLE },
    };
    for (size_t i = 0; i < ARRAY_SIZE(codes); i++)
        if (!strcmp(error, codes[i].error))
            return codes[i].code;
    return ERR_INTERNAL;
}

/* An <error>: a string, or an object with "error" and "details". */
static bool server_error(struct error *err, const json_t *e, const char *where)
{
    const char *text =
        json_string_value(json_is_object(e) ? json_object_get(e, "error") : e);
    const char *details = json_string_value(json_object_get(e, "details"));
    if (!text)
        text = "an error it does not name";
    return error_set(err, code_of(text), "OVSDB %s: %s%s%s", where, text,
                     details ? ": " : "", details ? details : "");
}

bool ovsdb_reply_check(const struct ovsdb_message *reply, size_t n_ops,
                       struct error *err)
{
    if (!is_null(reply->error))
        return server_error(err, reply->error, "refused the request");
    size_t n = json_array_size(reply->result), i;
    for (i = 0; i < n; i++) {
        const json_t *r = json_array_get(reply->result, i);
        char where[40];
        snprintf(where, sizeof(where), "operation %zu of %zu", i + 1, n_ops);
        if (!is_null(json_object_get(r, "error")))
            return server_error(err, r, i < n_ops ? where : "commit");
        if (!json_is_object(r))
            break; /* not done, the error stands further on */
    }
    for (size_t j = i; j < n; j++) {
        const json_t *r = json_array_get(reply->result, j);
        if (!is_null(json_object_get(r, "error")))
            return server_error(err, r, "transaction");
    }
    if (i < n_ops)
        return error_set(err, ERR_INTERNAL,
                         "OVSDB answered %zu of %zu operations", i, n_ops);
    return true;
}

/* ---- values ------------------------------------------------------------ */

static json_t *tagged(const char *tag, json_t *of)
{
    json_t *pair = json_array();
    json_array_append_new(pair, json_string(tag));
    json_array_append_new(pair, of);
    return pair;
}

json_t *ovsdb_uuid(const char *uuid)
{
    return tagged("uuid", json_string(uuid));
}

json_t *ovsdb_named_uuid(const char *name)
{
    return tagged("named-uuid", json_string(name));
}

/* The content of [tag, content], or NULL. */
static const json_t *untag(const json_t *v, const char *tag)
{
    const char *t = json_string_value(json_array_get(v, 0));
    if (json_array_size(v) != 2 || !t || strcmp(t, tag))
        return NULL;
    return json_array_get(v, 1);
}

const char *ovsdb_value_uuid(const json_t *value)
{
    return json_string_value(untag(value, "uuid"));
}

static bool is_atom(const json_t *v)
{
    return json_is_string(v) || json_is_number(v) || json_is_boolean(v) ||
           json_is_string(untag(v, "uuid")) ||
           json_is_string(untag(v, "named-uuid"));
}

static int atom_compare(const json_t *a, const json_t *b);

/* Element by element, all of them: nb's references have three. */
static int array_compare(const json_t *a, const json_t *b)
{
    size_t n = json_array_size(a), m = json_array_size(b);
    for (size_t i = 0; i < n && i < m; i++) {
        int c = atom_compare(json_array_get(a, i), json_array_get(b, i));
        if (c)
            return c;
    }
    return (n > m) - (n < m);
}

/* Any total order will do, as long as it is the same everywhere. */
static int atom_compare(const json_t *a, const json_t *b)
{
    if (json_typeof(a) != json_typeof(b))
        return json_typeof(a) < json_typeof(b) ? -1 : 1;
    if (json_is_string(a))
        return strcmp(json_string_value(a), json_string_value(b));
    if (json_is_array(a))
        return array_compare(a, b);
    if (json_is_integer(a)) {
        json_int_t x = json_integer_value(a), y = json_integer_value(b);
        return (x > y) - (x < y);
    }
    double x = json_number_value(a), y = json_number_value(b);
    return (x > y) - (x < y);
}

static int element_order(const void *a, const void *b)
{
    return atom_compare(*(json_t *const *)a, *(json_t *const *)b);
}

static int pair_order(const void *a, const void *b)
{
    return atom_compare(json_array_get(*(json_t *const *)a, 0),
                        json_array_get(*(json_t *const *)b, 0));
}

/* A new array with the elements of `of` in order, doubles left out. */
static json_t *sorted(const json_t *of,
                      int (*order)(const void *, const void *))
{
    size_t n = json_array_size(of);
    json_t *out = json_array();
    _autofree_ json_t **v = xcalloc(n ? n : 1, sizeof(json_t *));
    for (size_t i = 0; i < n; i++)
        v[i] = json_array_get(of, i);
    qsort(v, n, sizeof(json_t *), order);
    for (size_t i = 0; i < n; i++)
        if (!i || order(&v[i - 1], &v[i]))
            json_array_append(out, v[i]);
    return out;
}

static json_t *canonical_set(const json_t *elements)
{
    _autojson_ json_t *in_order = sorted(elements, element_order);
    if (json_array_size(in_order) == 1)
        return json_incref(json_array_get(in_order, 0));
    return tagged("set", steal(&in_order));
}

json_t *ovsdb_set(json_t *elements)
{
    json_t *set = canonical_set(elements);
    json_decref(elements);
    return set;
}

json_t *ovsdb_map(json_t *object)
{
    _autojson_ json_t *pairs = json_array();
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value)
    {
        json_t *pair = json_array();
        json_array_append_new(pair, json_string(key));
        json_array_append(pair, value);
        json_array_append_new(pairs, pair);
    }
    json_decref(object);
    return tagged("map", sorted(pairs, pair_order));
}

static bool all_atoms(const json_t *array)
{
    for (size_t i = 0; i < json_array_size(array); i++)
        if (!is_atom(json_array_get(array, i)))
            return false;
    return json_is_array(array);
}

static bool all_pairs(const json_t *array)
{
    for (size_t i = 0; i < json_array_size(array); i++) {
        const json_t *pair = json_array_get(array, i);
        if (json_array_size(pair) != 2 || !all_atoms(pair))
            return false;
    }
    return json_is_array(array);
}

json_t *ovsdb_value_canonical(const json_t *value)
{
    const json_t *of;
    if (is_atom(value))
        return json_incref((json_t *)value);
    if ((of = untag(value, "set")) && all_atoms(of))
        return canonical_set(of);
    if ((of = untag(value, "map")) && all_pairs(of))
        return tagged("map", sorted(of, pair_order));
    return NULL;
}

const json_t *ovsdb_set_at(const json_t *set, size_t i)
{
    const json_t *elements = untag(set, "set");
    if (elements)
        return json_array_get(elements, i);
    return i || !set ? NULL : set;
}

bool ovsdb_set_has(const json_t *set, const json_t *element)
{
    const json_t *e;
    for (size_t i = 0; (e = ovsdb_set_at(set, i)); i++)
        if (json_equal(e, element))
            return true;
    return false;
}

const char *ovsdb_map_get(const json_t *map, const char *key)
{
    const json_t *pairs = untag(map, "map");
    for (size_t i = 0; i < json_array_size(pairs); i++) {
        const json_t *pair = json_array_get(pairs, i);
        const char *k = json_string_value(json_array_get(pair, 0));
        if (k && !strcmp(k, key))
            return json_string_value(json_array_get(pair, 1));
    }
    return NULL;
}

/* ---- replica ----------------------------------------------------------- */

/* A row with canonical values, or NULL. */
static json_t *canonical_row(const json_t *row)
{
    _autojson_ json_t *out = json_object();
    const char *column;
    json_t *value;
    if (!json_is_object(row))
        return NULL;
    json_object_foreach((json_t *)row, column, value)
    {
        json_t *canonical = ovsdb_value_canonical(value);
        if (!canonical)
            return NULL;
        json_object_set_new(out, column, canonical);
    }
    return steal(&out);
}

static bool apply_row(json_t *rows, const char *uuid, const json_t *update)
{
    const json_t *now = json_object_get(update, "new");
    if (!json_is_object(update))
        return false;
    if (!now) {
        json_object_del(rows, uuid);
        return true;
    }
    json_t *row = canonical_row(now);
    return row && !json_object_set_new(rows, uuid, row);
}

bool ovsdb_replica_apply(json_t *replica, const json_t *updates,
                         struct error *err)
{
    const char *table, *uuid;
    json_t *changes, *update;
    if (!json_is_object(updates))
        return error_set(err, ERR_INVALID, "OVSDB sent no table updates");
    json_object_foreach((json_t *)updates, table, changes)
    {
        if (!json_object_get(replica, table))
            json_object_set_new(replica, table, json_object());
        json_t *rows = json_object_get(replica, table);
        if (!json_is_object(changes))
            return error_set(err, ERR_INVALID, "OVSDB: bad update of %s",
                             table);
        json_object_foreach(
            changes, uuid,
            update) if (!apply_row(rows, uuid,
                                   update)) return error_set(err, ERR_INVALID,
                                                             "OVSDB: bad row "
                                                             "%s of table %s",
                                                             uuid, table);
    }
    return true;
}

/* A changed row has "new", and "old" with the columns that changed. */
static bool row_only(const json_t *update, const char *column)
{
    const json_t *old = json_object_get(update, "old");
    return json_object_get(update, "new") && json_object_size(old) == 1 &&
           json_object_get(old, column);
}

bool ovsdb_updates_only(const json_t *updates, const char *column)
{
    const char *table, *uuid;
    json_t *changes, *update;
    json_object_foreach((json_t *)updates, table, changes) json_object_foreach(
        changes, uuid, update) if (!row_only(update, column)) return false;
    return true;
}

json_t *ovsdb_replica_table(const json_t *replica, const char *table)
{
    return json_object_get(replica, table);
}
