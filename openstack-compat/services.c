/*
 * services - which OpenStack services this build answers for.
 *
 * The table api_services of route.h, in the order in which paths are tried;
 * the last row has the empty prefix and answers "/" and "/healthz".
 */
#include "rest-api/native.h"
#include "rest-api/route.h"

#include "model/pool.h"
#include "openstack-compat/compute/nova.h"
#include "openstack-compat/identity/identity.h"
#include "openstack-compat/image/glance.h"
#include "openstack-compat/network/neutron.h"
#include "openstack-compat/placement/placement.h"
#include "openstack-compat/volume/cinder.h"

/* ---- "/" and "/healthz" ------------------------------------------------ */

static enum outcome show_root(struct req *r)
{
    const char *base = req_base_url(r);
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    jw_arr(&w, "services");
    for (size_t i = 0; api_services[i]; i++) {
        const struct service_api *s = api_services[i];
        if (!*s->prefix)
            continue;
        jw_obj(&w, NULL);
        jw_str(&w, "type", s->type);
        jw_str(&w, "name", s->name);
        jw_strf(&w, "url", "%s%s", base, s->prefix);
        jw_obj_end(&w);
    }
    jw_arr_end(&w);
    jw_obj_end(&w);
    return req_reply(r, 200);
}

/* Healthy: the records are here and the pool has its first content. */
static enum outcome show_health(struct req *r)
{
    const struct pool *pool = snap_get(r->snap, &kind_pool, "pool");
    if (!pool || !pool->bootstrapped)
        return req_fail(r, ERR_UNAVAILABLE, "The pool is not set up yet.");
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    jw_str(&w, "status", "ok");
    jw_str(&w, "version", CAIRN_VERSION);
    jw_obj_end(&w);
    return req_reply(r, 200);
}

static const struct route root_routes[] = {
    { "GET", "/", show_root, POLICY_PUBLIC, ROUTE_NO_BODY, 0, 0, NULL },
    { "GET", "/healthz", show_health, POLICY_PUBLIC, ROUTE_NO_BODY, 0, 0,
      NULL },
    ROUTE_END,
};

static const struct service_api root_api = {
    .prefix = "",
    .name = "cairn",
    .type = "",
    .style = STYLE_NATIVE,
    .routes = root_routes,
};

/* ---- the table --------------------------------------------------------- */

const struct service_api *const api_services[] = {
    &identity_api, &nova,      &neutron,  &glance, &native_api,
    &cinder,       &placement, &root_api, /* last: its prefix fits every path */
    NULL,
};
