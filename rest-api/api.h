/*
 * api - what all requests of one face share.
 *
 * Immutable after the start but for the cache behind it.
 */
#ifndef CAIRN_REST_API_API_H
#define CAIRN_REST_API_API_H

#include "rest-api/request.h"

struct tokens;
struct auth_memory;
struct fragments;
struct desk;
struct api {
    const struct env *env;
    struct cache *cache;
    struct tokens *tokens; /* token.h: sealing keys, kept by the cache */
    struct auth_memory *auth_memory; /* auth.h: what was found out before */
    struct fragments *fragments; /* fragments.h: what was written before; may
                                    be NULL */
    struct desk *desk;           /* desk.h: the engine's view; may be NULL */
    /* Finds who asks from the X-Auth-Token of r into r->auth; false: r->err
     * is UNAUTHENTICATED (token missing: true with auth.valid false). */
    bool (*authenticate)(struct req *r);
    const char *public_url; /* fallback when a request has no Host */
    const char *region;
    const char *node; /* where this process is */
};

#endif
