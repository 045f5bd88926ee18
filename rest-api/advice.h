/*
 * advice - placement explained over the native API.
 *
 *   GET   /cairn/v1/servers/{id}/placement   the decision that was made, and
 *                                            how it would be made now
 *   POST  /cairn/v1/placement/explain        a would-be server
 *
 * A project is told about its own servers as well, without nodes and other
 * projects' servers.
 */
#ifndef CAIRN_REST_API_ADVICE_H
#define CAIRN_REST_API_ADVICE_H

#include "model/compute.h"
#include "rest-api/request.h"

handler_fn advice_server, advice_explain;

/* For forecast.c.  A draft from {"flavor", "image", "zone", "host", "group",
 * "project_id", "hints"}, or NULL with r->err. */
struct server *advice_would_be(struct req *r, const json_t *body);
/* By id or name; NULL: "There is no <what> ..." in r->err. */
const void *advice_find(struct req *r, const struct kind *kind,
                        const char *what, const char *name);

#endif
