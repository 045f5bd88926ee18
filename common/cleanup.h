/*
 * cleanup - scope-bound ownership, the one way to clean up in this house.
 *
 * `_autofree_ char *s = strdup(x);` frees s wherever the scope is left;
 * `return steal(&s)` hands it on.  A module with a destructor that accepts
 * NULL declares its own attribute with DEFINE_CLEANUP.
 */
#ifndef CAIRN_COMMON_CLEANUP_H
#define CAIRN_COMMON_CLEANUP_H

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define DEFINE_CLEANUP(type, name, destroy)                                    \
    static inline void name(type *p)                                           \
    {                                                                          \
        if (*p)                                                                \
            destroy(*p);                                                       \
    }                                                                          \
    struct name##_semicolon

static inline void cleanup_free(void *p)
{
    free(*(void **)p);
}

static inline void cleanup_close(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

DEFINE_CLEANUP(json_t *, cleanup_json, json_decref);
DEFINE_CLEANUP(FILE *, cleanup_file, fclose);

/* unused: some are held for their end alone. */
#define _cleanup_(f) __attribute__((cleanup(f), unused))
#define _autofree_   _cleanup_(cleanup_free)
#define _autoclose_  _cleanup_(cleanup_close)
#define _autojson_   _cleanup_(cleanup_json)
#define _autofile_   _cleanup_(cleanup_file)

/* Takes the value out of `*p`, which is left empty. */
#define steal(p)                                                               \
    ({                                                                         \
        __typeof__(*(p)) stolen_ = *(p);                                       \
        *(p) = NULL;                                                           \
        stolen_;                                                               \
    })

static inline int steal_fd(int *fd)
{
    int stolen = *fd;
    *fd = -1;
    return stolen;
}

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define container_of(ptr, type, member)                                        \
    ((type *)((char *)(ptr)-offsetof(type, member)))

#endif
