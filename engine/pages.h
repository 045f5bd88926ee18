/*
 * pages - memory for the engine's large arrays.
 *
 * They are read here and there, a cache line at a time: aligned to these, and
 * in huge pages where the array is large and the system has any to give
 * (madvise), since half of what such a read costs is else the address's
 * translation.  Given back by free().  No threads.
 */
#ifndef CAIRN_ENGINE_PAGES_H
#define CAIRN_ENGINE_PAGES_H

#include <stddef.h>

#define PAGES_LINE 64 /* bytes of a cache line */

/* Zeroed. */
void *pages_new(size_t n, size_t entry)
    __attribute__((malloc, returns_nonnull));
/* `p` (NULL is fine) has room for `was` entries; the same with room for `n`
 * >= `was`, what is new zeroed.  Frees `p`. */
void *pages_widen(void *p, size_t entry, size_t was, size_t n)
    __attribute__((returns_nonnull));

#endif
