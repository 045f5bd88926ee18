/*
 * alloc - memory that is there or the process is not.
 *
 * Small allocations do not fail on the systems Cairn runs on (overcommit); a
 * daemon that meets one that does aborts, and its supervisor starts it again:
 * every state that matters is in the store.  What outsiders size (bodies,
 * lists, files) is bounded before it is allocated, see buf.h.
 */
#ifndef CAIRN_COMMON_ALLOC_H
#define CAIRN_COMMON_ALLOC_H

#include <stddef.h>

void *xmalloc(size_t size) __attribute__((malloc, returns_nonnull));
void *xcalloc(size_t n, size_t size) __attribute__((malloc, returns_nonnull));
void *xrealloc(void *p, size_t size) __attribute__((returns_nonnull));
char *xstrdup(const char *s) __attribute__((malloc, returns_nonnull));
char *xstrndup(const char *s, size_t n)
    __attribute__((malloc, returns_nonnull));
char *xasprintf(const char *fmt, ...)
    __attribute__((format(printf, 1, 2), malloc, returns_nonnull));

/* An arena: bump allocation, freed as a whole.  One thread at a time.
 * Zeroed memory, 8-byte aligned. */
struct arena_chunk;
struct arena {
    struct arena_chunk *chunk; /* newest; holds the rest by its own list */
};

void arena_free(struct arena *a);
void *arena_alloc(struct arena *a, size_t size)
    __attribute__((returns_nonnull));
char *arena_strdup(struct arena *a, const char *s); /* NULL stays NULL */
char *arena_strndup(struct arena *a, const char *s, size_t n);
char *arena_printf(struct arena *a, const char *fmt, ...)
    __attribute__((format(printf, 2, 3), returns_nonnull));

#endif
