/*
 * record - one descriptor table per kind of thing Cairn remembers.
 *
 * A kind (a server, a port, a user ...) is a C struct whose first member is
 * a `struct record`, and a table of fields: JSON name, type, offset, limits.
 * From the table come encoding, decoding, validation, copying, comparing,
 * filters, sort keys and the keys of its indexes.  The tables themselves are
 * in model/.
 *
 * Ownership: a record and everything it points to lives in the record's own
 * arena and goes with its last reference.  A record is a DRAFT, private to
 * one thread and writable, from record_new() or record_copy() until it is
 * encoded into a transaction or put into a cache; after that it is immutable
 * and may be shared by any number of threads.  A change is a new record.
 *
 * In the store a record is the value of key "<kind>/<id>", as one JSON
 * object holding the fields that are not at their zero value.  Unknown
 * members are refused when decoding what a client sent and ignored when
 * decoding what the store holds (a newer version may have written it).
 */
#ifndef CAIRN_STATE_RECORD_H
#define CAIRN_STATE_RECORD_H

#include "common/alloc.h"
#include "common/buf.h"
#include "common/cleanup.h"
#include "common/error.h"
#include "common/jw.h"

#include <jansson.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum field_type {
    F_STR,  /* const char *; NULL = absent = null */
    F_BOOL, /* bool */
    F_INT,  /* int64_t */
    F_REAL, /* double */
    F_TIME, /* int64_t, microseconds since 1970; 0 = never = null */
    F_ENUM, /* int, an index into `names`; stored as its name */
    F_STRS, /* struct strs */
    F_MAP,  /* struct map: string to string */
    F_OBJ,  /* a struct embedded in place, described by `sub` */
    F_LIST, /* struct list of structs described by `sub` */
    F_JSON, /* const char *: JSON text kept verbatim */
};

/* F_TIME is stored as a number and shown (`all`) as "2026-...T...Z" with
 * microseconds; both are read. */

struct strs {
    const char **v;
    size_t n;
};

struct map_item {
    const char *key, *value;
};
struct map {
    struct map_item *v; /* in the order they were put */
    size_t n;
};

struct list {
    void *v; /* n structs of the sub-schema's size, one after the other */
    size_t n;
};
/* Item i of a list whose items are of struct type `type`. */
#define LIST_AT(list_, type, i) (&((type *)(list_).v)[i])

#define FIELD_SECRET 1u /* never shown, never logged, not in dumps */

struct schema;
struct field {
    const char *name;
    enum field_type type;
    size_t offset;
    unsigned flags;
    const struct schema *sub; /* F_OBJ, F_LIST */
    const char *const *names; /* F_ENUM: names, NULL-terminated */
};

struct schema {
    size_t size;
    const struct field *fields; /* up to one whose name is NULL */
};

/* Rows of a field table:  FIELD(struct server, name, F_STR) */
#define FIELD(type_, member_, ftype_)                                          \
    {                                                                          \
#member_, ftype_, offsetof(type_, member_), 0, NULL, NULL              \
    }
#define FIELD_S(type_, member_, ftype_) /* a secret */                         \
    {                                                                          \
#member_, ftype_, offsetof(type_, member_), FIELD_SECRET, NULL, NULL   \
    }
#define FIELD_E(type_, member_, names_) /* an enum */                          \
    {                                                                          \
#member_, F_ENUM, offsetof(type_, member_), 0, NULL, names_            \
    }
#define FIELD_L(type_, member_, sub_) /* a list of structs */                  \
    {                                                                          \
#member_, F_LIST, offsetof(type_, member_), 0, &(sub_), NULL           \
    }
#define FIELD_O(type_, member_, sub_) /* an embedded struct */                 \
    {                                                                          \
#member_, F_OBJ, offsetof(type_, member_), 0, &(sub_), NULL            \
    }
#define FIELD_END                                                              \
    {                                                                          \
        NULL, F_STR, 0, 0, NULL, NULL                                          \
    }

/*
 * An index: a record is found under each of its keys.  `path` names the
 * field whose value is the key: a F_STR or F_ENUM field ("project_id"), each
 * string of a F_STRS field ("security_group_ids"), or a member of each item
 * of a F_LIST field ("fixed_ips.subnet_id").  Absent values have no entry.
 */
struct index {
    const char *path;
};

struct kind {
    const char *name; /* "server": prefix of its keys in the store */
    int number;       /* enum kind_number of model/model.h, dense from 0 */
    struct schema schema;
    const struct index *indexes; /* up to one whose path is NULL; may be 0 */
};

struct record {
    const struct kind *kind;
    const char *id;     /* within the kind; in the arena */
    int64_t mod_rev;    /* revision of the last change; 0 = a draft */
    int64_t create_rev; /* revision that made it */
    atomic_uint refs;
    struct arena arena;
};

/* A zeroed draft with the given id, one reference. */
void *record_new(const struct kind *kind, const char *id);
/* A draft with equal fields; mod_rev and create_rev are kept, so that a
 * transaction can compare on the revision that the copy was made from. */
void *record_copy(const void *record);
void *record_ref(const void *record);  /* returns it; immutable ones only */
void record_unref(const void *record); /* NULL is fine */
static inline void record_cleanup(void *p)
{
    record_unref(*(void **)p);
}
#define _autorecord_ _cleanup_(record_cleanup)

/* Memory of the record's own arena, for filling a draft.  NULL in, NULL out.
 * Bytes that are not UTF-8 (from a guest, a library's message ...) become '?':
 * the record could not be read again otherwise. */
char *rec_str(void *record, const char *s);
char *rec_strf(void *record, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void strs_add(void *record, struct strs *strs, const char *s);
bool strs_remove(struct strs *strs, const char *s); /* was it there */
bool strs_has(const struct strs *strs, const char *s);
void map_put(void *record, struct map *map, const char *key, const char *value);
bool map_remove(struct map *map, const char *key);
const char *map_get(const struct map *map, const char *key); /* or NULL */
/* A zeroed new last item of a F_LIST field whose items have `size` bytes. */
void *list_add(void *record, struct list *list, size_t size);
void list_remove(struct list *list, size_t size, size_t i);

/* Encodes the fields into `w` as members (no braces), zero values left out;
 * `all` writes them too and leaves secrets out (dumps, native API). */
void record_encode_fields(const void *record, struct jw *w, bool all);
/* The store's value: one JSON object. */
void record_encode(const void *record, struct buf *out);
/* Decodes a store value.  NULL and *err when it is not one of this kind. */
void *record_decode(const struct kind *kind, const char *id, const void *value,
                    size_t len, struct error *err);
/* Sets one field of a draft from a JSON value; err names the field.  Checks
 * the type only; limits of what clients may send are the API's. */
bool record_set_json(void *record, const struct field *f, const json_t *value,
                     struct error *err);
bool record_equal(const void *a, const void *b); /* same kind and fields */

const struct field *schema_field(const struct schema *s, const char *name);
#define field_ptr(record_, f_) ((void *)((char *)(record_) + (f_)->offset))
/* A simple field's value as text for filters ("true", "17", enum name, time
 * as seconds-Z); NULL when absent or not simple.  `tmp` may be used. */
const char *field_text(const void *record, const struct field *f, char tmp[64]);
/* Order of two records by a field; absent first. */
int field_compare(const void *a, const void *b, const struct field *f);
int enum_from_name(const char *const *names, const char *name); /* or -1 */

/* Calls fn for each key that `ix` of the record's kind gives it, in field
 * order, duplicates included; keys are borrowed from the record. */
typedef void index_key_fn(void *arg, const char *key);
void index_keys(const void *record, const struct index *ix, index_key_fn *fn,
                void *arg);

#endif
