/*
 * route - what the API answers, as tables.
 *
 * A service (nova, neutron ...) is a row here with its routes; a route is a
 * row: method, path, handler, who may, from and to which microversion.  The
 * discovery documents and the API documentation are made from the same rows,
 * so that what is not built is not promised.
 */
#ifndef CAIRN_REST_API_ROUTE_H
#define CAIRN_REST_API_ROUTE_H

#include "rest-api/request.h"

/* Who may call; what they may see is the handler's business.  The last three
 * need a token for a project, but for keystone's and Cairn's own API. */
enum policy {
    POLICY_PUBLIC, /* no token needed */
    POLICY_TOKEN,  /* any valid token, unscoped ones too */
    POLICY_READER, /* role reader (implied by member and admin) on a project */
    POLICY_MEMBER, /* role member on a project */
    POLICY_ADMIN,  /* role admin */
};

#define ROUTE_STREAM   1u /* body is taken with WAIT_BODY, not parsed */
#define ROUTE_NO_BODY  2u /* a body is ignored */
#define ROUTE_ANY_BODY 4u /* JSON body may be missing */

struct resource;
struct route {
    const char *method;
    const char *path; /* "/v2.1/servers/{id}/action" */
    handler_fn *handler;
    enum policy policy;
    unsigned flags;
    microversion first, last;        /* 0 = any */
    const struct resource *resource; /* for the generic handlers */
};

/* The five of a plain resource. */
#define RESOURCE_ROUTES(path_, resource_, read_, write_)                       \
    { "GET", path_, resource_list, read_, 0, 0, 0, &(resource_) },             \
        { "POST", path_, resource_create, write_, 0, 0, 0, &(resource_) },     \
        { "GET", path_ "/{id}", resource_show, read_, 0, 0, 0, &(resource_) }, \
    {                                                                          \
        "DELETE", path_ "/{id}", resource_delete, write_, 0, 0, 0,             \
            &(resource_)                                                       \
    }
#define ROUTE_END                                                              \
    {                                                                          \
        NULL, NULL, NULL, POLICY_ADMIN, 0, 0, 0, NULL                          \
    }

enum api_style {
    STYLE_KEYSTONE,
    STYLE_GLANCE,
    STYLE_NOVA,
    STYLE_NEUTRON,
    STYLE_CINDER,
    STYLE_PLACEMENT,
    STYLE_NATIVE,
};

struct service_api {
    const char *prefix; /* "/compute" */
    const char *type;   /* "compute", in the catalogue and version header */
    const char *name;   /* "nova" */
    enum api_style style;
    microversion first, last; /* range it negotiates; 0 = none */
    bool project_in_path;     /* "/v3/<project id>/..." is taken too */
    const char *url_tail;     /* catalogue: "/v2.1", "/v3/%(project_id)s" */
    const struct route *routes;
};

/* The services of this build; up to NULL.  Defined by openstack-compat. */
extern const struct service_api *const api_services[];

/* Finds service and route of a request; sets r->service, route, param.
 * False: r->err is NOT_FOUND or METHOD (then *allow lists the methods). */
bool route_match(struct req *r);

/* Writes the fault body of r->err in the service's way and sets status. */
void fault_write(struct req *r);

#endif
