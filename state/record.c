#include "state/record.h"

#include <stdlib.h>
#include <string.h>

/* ---- life -------------------------------------------------------------- */

void *record_new(const struct kind *kind, const char *id)
{
    struct arena arena = { 0 };
    struct record *r = arena_alloc(&arena, kind->schema.size);
    r->kind = kind;
    r->arena = arena; /* which holds the record itself: one malloc for most */
    r->id = rec_str(r, id);
    atomic_init(&r->refs, 1);
    return r;
}

static void copy_fields(struct record *r, const struct schema *s, char *base);

void *record_copy(const void *record)
{
    const struct record *from = record;
    struct record *to = record_new(from->kind, from->id);
    memcpy(to + 1, from + 1, from->kind->schema.size - sizeof(*from));
    to->mod_rev = from->mod_rev;
    to->create_rev = from->create_rev;
    copy_fields(to, &from->kind->schema, (char *)to);
    return to;
}

void *record_ref(const void *record)
{
    struct record *r = (struct record *)record;
    atomic_fetch_add_explicit(&r->refs, 1, memory_order_relaxed);
    return r;
}

void record_unref(const void *record)
{
    struct record *r = (struct record *)record;
    if (!r || atomic_fetch_sub_explicit(&r->refs, 1, memory_order_acq_rel) != 1)
        return;
    struct arena arena = r->arena;
    arena_free(&arena);
}

/* ---- filling a draft --------------------------------------------------- */

/* The length of the UTF-8 character at s, 0 if it is none. */
static size_t utf8_len(const unsigned char *s)
{
    static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
    size_t n = s[0] < 0x80             ? 1
               : (s[0] & 0xe0) == 0xc0 ? 2
               : (s[0] & 0xf0) == 0xe0 ? 3
               : (s[0] & 0xf8) == 0xf0 ? 4
                                       : 0;
    if (n < 2)
        return n;
    uint32_t c = s[0] & (0x7fu >> n);
    for (size_t i = 1; i < n; i++) { /* a NUL ends this too */
        if ((s[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (s[i] & 0x3f);
    }
    bool surrogate = c >= 0xd800 && c <= 0xdfff;
    return c >= least[n] && c <= 0x10ffff && !surrogate ? n : 0;
}

char *rec_str(void *record, const char *s)
{
    char *copy = arena_strdup(&((struct record *)record)->arena, s);
    for (unsigned char *p = (unsigned char *)copy; p && *p;) {
        size_t n = utf8_len(p);
        if (!n)
            *p = '?';
        p += n ? n : 1;
    }
    return copy;
}

char *rec_strf(void *record, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    char *text = NULL;
    if (vasprintf(&text, fmt, args) < 0)
        abort();
    va_end(args);
    char *s = rec_str(record, text);
    free(text);
    return s;
}

/* A copy of n items of `size` bytes with room for `extra` zeroed ones.  The
 * arrays of a record have no spare room: it would have to be remembered, and
 * they are short and rarely grow. */
static void *regrow(struct record *r, const void *v, size_t n, size_t extra,
                    size_t size)
{
    char *copy = arena_alloc(&r->arena, (n + extra) * size);
    if (n)
        memcpy(copy, v, n * size);
    return copy;
}

void strs_add(void *record, struct strs *strs, const char *s)
{
    strs->v = regrow(record, strs->v, strs->n, 1, sizeof(*strs->v));
    strs->v[strs->n++] = rec_str(record, s);
}

bool strs_remove(struct strs *strs, const char *s)
{
    for (size_t i = 0; i < strs->n; i++) {
        if (strcmp(strs->v[i], s) != 0)
            continue;
        strs->n--;
        memmove(strs->v + i, strs->v + i + 1, (strs->n - i) * sizeof(*strs->v));
        return true;
    }
    return false;
}

bool strs_has(const struct strs *strs, const char *s)
{
    for (size_t i = 0; i < strs->n; i++)
        if (strcmp(strs->v[i], s) == 0)
            return true;
    return false;
}

static struct map_item *map_find(const struct map *map, const char *key)
{
    for (size_t i = 0; i < map->n; i++)
        if (strcmp(map->v[i].key, key) == 0)
            return &map->v[i];
    return NULL;
}

void map_put(void *record, struct map *map, const char *key, const char *value)
{
    struct map_item *item = map_find(map, key);
    if (!item) {
        map->v = regrow(record, map->v, map->n, 1, sizeof(*map->v));
        item = &map->v[map->n++];
        item->key = rec_str(record, key);
    }
    item->value = rec_str(record, value ? value : "");
}

bool map_remove(struct map *map, const char *key)
{
    struct map_item *item = map_find(map, key);
    if (!item)
        return false;
    map->n--;
    memmove(item, item + 1, (size_t)(map->v + map->n - item) * sizeof(*item));
    return true;
}

const char *map_get(const struct map *map, const char *key)
{
    const struct map_item *item = map_find(map, key);
    return item ? item->value : NULL;
}

void *list_add(void *record, struct list *list, size_t size)
{
    list->v = regrow(record, list->v, list->n, 1, size);
    return (char *)list->v + list->n++ * size;
}

void list_remove(struct list *list, size_t size, size_t i)
{
    char *at = (char *)list->v + i * size;
    list->n--;
    memmove(at, at + size, (list->n - i) * size);
}

/* ---- copying: the struct is a bitwise copy, make its pointers own ------- */

static void copy_strs(struct record *r, struct strs *strs)
{
    strs->v = regrow(r, strs->v, strs->n, 0, sizeof(*strs->v));
    for (size_t i = 0; i < strs->n; i++)
        strs->v[i] = rec_str(r, strs->v[i]);
}

static void copy_map(struct record *r, struct map *map)
{
    map->v = regrow(r, map->v, map->n, 0, sizeof(*map->v));
    for (size_t i = 0; i < map->n; i++) {
        map->v[i].key = rec_str(r, map->v[i].key);
        map->v[i].value = rec_str(r, map->v[i].value);
    }
}

static void copy_list(struct record *r, struct list *list,
                      const struct schema *sub)
{
    list->v = regrow(r, list->v, list->n, 0, sub->size);
    for (size_t i = 0; i < list->n; i++)
        copy_fields(r, sub, (char *)list->v + i * sub->size);
}

static void copy_fields(struct record *r, const struct schema *s, char *base)
{
    for (const struct field *f = s->fields; f->name; f++) {
        void *p = base + f->offset;
        switch (f->type) {
        case F_STR:
        case F_JSON:
            *(const char **)p = rec_str(r, *(const char **)p);
            break;
        case F_STRS:
            copy_strs(r, p);
            break;
        case F_MAP:
            copy_map(r, p);
            break;
        case F_OBJ:
            copy_fields(r, f->sub, p);
            break;
        case F_LIST:
            copy_list(r, p, f->sub);
            break;
        case F_BOOL:
        case F_INT:
        case F_REAL:
        case F_TIME:
        case F_ENUM:
            break;
        }
    }
}
