#include "engine/pages.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define HUGE_PAGE (2UL << 20)

static void *allot(size_t bytes)
{
    size_t unit = bytes < HUGE_PAGE ? PAGES_LINE : HUGE_PAGE;
    bytes = bytes ? (bytes + unit - 1) / unit * unit : unit;
    void *p = aligned_alloc(unit, bytes);
    if (!p)
        abort();
    if (unit == HUGE_PAGE)
        madvise(p, bytes, MADV_HUGEPAGE); /* a wish: no is an answer */
    return p;
}

void *pages_new(size_t n, size_t entry)
{
    void *p = allot(n * entry);
    return memset(p, 0, n * entry);
}

void *pages_widen(void *p, size_t entry, size_t was, size_t n)
{
    char *to = allot(n * entry);
    if (was)
        memcpy(to, p, was * entry);
    memset(to + was * entry, 0, (n - was) * entry);
    free(p);
    return to;
}
