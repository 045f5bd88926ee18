/*
 * quota_set - the limits of a project as a service's clients see them.
 *
 * Nova, neutron and cinder keep them in records of the same kind ("quota",
 * id "SERVICE/PROJECT"); what differs is in one row each: names in the
 * document, fixed limits, how a value is checked.  Pure; any thread.
 */
#ifndef CAIRN_OPENSTACK_COMPAT_QUOTA_SET_H
#define CAIRN_OPENSTACK_COMPAT_QUOTA_SET_H

#include "model/pool.h"
#include "rest-api/request.h"

/* What a service lists besides what Cairn counts: limits of this build. */
struct quota_fixed {
    const char *name;
    int64_t limit;
    microversion last; /* 0: still shown */
};

struct quota_api {
    const char *service;             /* in quota_defaults */
    const char *envelope;            /* of the document */
    const char *used;                /* what use is called in it */
    bool allocated;                  /* use has that member as well */
    const struct quota_fixed *fixed; /* up to name NULL, or NULL */
    const char *denied;              /* to who may not read it */
    /* A limit that was handed in: its number, or false and r->err. */
    bool (*check)(struct req *r, const char *name, const json_t *v, int64_t *n);
    /* A member that names no limit: whether to pass over it, or r->err. */
    bool (*other)(struct req *r, const char *name, const json_t *v);
};

/* The project's record, or NULL: then it has the defaults. */
const struct quota *quota_set_of(struct req *r, const struct quota_api *a,
                                 const char *project);
bool quota_set_may_read(struct req *r, const struct quota_api *a,
                        const char *project);

/* The limits alone, as members of an open object; `q` NULL: the defaults. */
void quota_set_write(struct req *r, struct jw *w, const struct quota_api *a,
                     const struct quota *q, const char *project, bool usage);
/* The whole document.  `id`: what its member "id" says; NULL: it has none. */
enum outcome quota_set_reply(struct req *r, const struct quota_api *a,
                             const struct quota *q, const char *project,
                             bool usage, const char *id);
/* Puts what the body asks for into the transaction.  Returns the changed
 * record, a reference, or NULL and r->err. */
struct quota *quota_set_change(struct req *r, const struct quota_api *a,
                               const char *project);
/* Back to the defaults. */
void quota_set_reset(struct req *r, const struct quota_api *a,
                     const char *project);

#endif
