/*
 * discovery - the documents in which a service says which versions it speaks.
 *
 * One row a version; every service has them written here, so that clients
 * find the same members everywhere.  Pure; called on any thread.
 */
#ifndef CAIRN_OPENSTACK_COMPAT_DISCOVERY_H
#define CAIRN_OPENSTACK_COMPAT_DISCOVERY_H

#include "rest-api/request.h"

struct api_version {
    const char *id, *status;
    const char *newest; /* what the highest microversion is called, or NULL */
    microversion first, last;
    const char *updated;    /* a date, or NULL */
    const char *path;       /* below the service's base; NULL: an empty link */
    const char *media_type; /* NULL: none are listed */
};

/* The version as member `key` of an object, or as an element (NULL). */
void discovery_version(struct req *r, struct jw *w, const char *key,
                       const struct api_version *v);
/* {"versions": [..]}, in the order of the table. */
enum outcome discovery_list(struct req *r, int status,
                            const struct api_version *v, size_t n);

#endif
