#include "common/alloc.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ARENA_CHUNK_MIN 512

struct arena_chunk {
    struct arena_chunk *older;
    size_t size; /* bytes in data */
    size_t used;
    max_align_t data[];
};

static void *or_abort(void *p)
{
    if (!p)
        abort();
    return p;
}

void *xmalloc(size_t size)
{
    return or_abort(malloc(size ? size : 1));
}

void *xcalloc(size_t n, size_t size)
{
    return or_abort(calloc(n ? n : 1, size ? size : 1));
}

void *xrealloc(void *p, size_t size)
{
    return or_abort(realloc(p, size ? size : 1));
}

char *xstrdup(const char *s)
{
    return or_abort(strdup(s));
}

char *xstrndup(const char *s, size_t n)
{
    return or_abort(strndup(s, n));
}

char *xasprintf(const char *fmt, ...)
{
    char *s = NULL;
    va_list args;
    va_start(args, fmt);
    int n = vasprintf(&s, fmt, args);
    va_end(args);
    return or_abort(n < 0 ? NULL : s);
}

void arena_free(struct arena *a)
{
    for (struct arena_chunk *c = a->chunk, *older; c; c = older) {
        older = c->older;
        free(c);
    }
    a->chunk = NULL;
}

static struct arena_chunk *chunk_new(struct arena_chunk *older, size_t need)
{
    size_t size = older ? older->size * 2 : ARENA_CHUNK_MIN;
    if (size > 64 * 1024)
        size = 64 * 1024;
    if (size < need)
        size = need;
    struct arena_chunk *c = xcalloc(1, sizeof(*c) + size);
    c->older = older;
    c->size = size;
    return c;
}

void *arena_alloc(struct arena *a, size_t size)
{
    size = (size + 7) & ~(size_t)7;
    if (!a->chunk || a->chunk->size - a->chunk->used < size)
        a->chunk = chunk_new(a->chunk, size);
    void *p = (char *)a->chunk->data + a->chunk->used;
    a->chunk->used += size;
    return p;
}

char *arena_strndup(struct arena *a, const char *s, size_t n)
{
    char *copy = arena_alloc(a, n + 1);
    memcpy(copy, s, n);
    return copy;
}

char *arena_strdup(struct arena *a, const char *s)
{
    return s ? arena_strndup(a, s, strlen(s)) : NULL;
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, fmt, args);
    char *s = arena_alloc(a, (size_t)n + 1);
    vsnprintf(s, (size_t)n + 1, fmt, again);
    va_end(again);
    va_end(args);
    return s;
}
