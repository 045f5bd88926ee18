/* The token document: who, where, which roles, and the catalogue. */
#include "openstack-compat/identity/parts.h"

#include "model/pool.h"
#include "rest-api/api.h"

#include <string.h>

/* ---- catalogue --------------------------------------------------------- */

/* Replaces $(project_id)s and its like; NULL when one has no value. */
static const char *fill_url(struct req *r, const char *url, const char *user_id,
                            const char *project_id)
{
    const struct {
        const char *name, *value;
    } names[] = {
        { "(project_id)s", project_id },
        { "(tenant_id)s", project_id },
        { "(user_id)s", user_id },
    };
    for (size_t i = 0; i < ARRAY_SIZE(names);) {
        const char *at = strstr(url, names[i].name);
        if (!at || at == url || (at[-1] != '$' && at[-1] != '%')) {
            i++;
            continue;
        }
        if (!names[i].value)
            return NULL;
        url = req_strf(r, "%.*s%s%s", (int)(at - url - 1), url, names[i].value,
                       at + strlen(names[i].name));
    }
    return url;
}

/* Each node answers for all of the pool's services: whoever asked this one
 * goes on asking it. */
static const char *here(struct req *r, const char *url)
{
    const struct pool *pool = snap_get(r->snap, &kind_pool, "pool");
    size_t n = pool && pool->public_url ? strlen(pool->public_url) : 0;
    if (!n || strncmp(url, pool->public_url, n) != 0 ||
        (url[n] != '/' && url[n] != '\0'))
        return url;
    return req_strf(r, "%s%s", r->api->public_url, url + n);
}

static void write_endpoint(struct req *r, struct jw *w,
                           const struct endpoint *e, const char *user_id,
                           const char *project_id)
{
    const char *url = fill_url(r, e->url, user_id, project_id);
    if (!e->enabled || !url)
        return;
    jw_obj(w, NULL);
    jw_str(w, "id", e->rec.id);
    jw_str(w, "interface", e->interface);
    jw_str(w, "region_id", e->region_id);
    jw_str(w, "url", here(r, url));
    jw_str(w, "region", e->region_id);
    jw_obj_end(w);
}

void write_catalog(struct req *r, struct jw *w, const char *user_id,
                   const char *project_id)
{
    jw_arr(w, "catalog");
    struct snap_iter it = snap_all(r->snap, &kind_service);
    for (const struct service *s; (s = snap_next(&it));) {
        if (!s->enabled)
            continue;
        jw_obj(w, NULL);
        jw_arr(w, "endpoints");
        struct snap_iter ends =
            snap_by(r->snap, &kind_endpoint, "service_id", s->rec.id);
        for (const struct endpoint *e; (e = snap_next(&ends));)
            write_endpoint(r, w, e, user_id, project_id);
        jw_arr_end(w);
        jw_str(w, "id", s->rec.id);
        jw_str(w, "type", s->type);
        jw_str(w, "name", s->name ? s->name : "");
        jw_obj_end(w);
    }
    jw_arr_end(w);
}

/* ---- the token --------------------------------------------------------- */

static void write_domain(struct req *r, struct jw *w, const char *id)
{
    const struct domain *d = snap_get(r->snap, &kind_domain, id);
    jw_obj(w, "domain");
    jw_str(w, "id", id);
    jw_str(w, "name", d ? d->name : NULL);
    jw_obj_end(w);
}

static void write_methods(struct jw *w, unsigned methods)
{
    static const struct {
        unsigned bit;
        const char *name;
    } names[] = {
        { AUTH_METHOD_PASSWORD, "password" },
        { AUTH_METHOD_TOKEN, "token" },
        { AUTH_METHOD_APP_CREDENTIAL, "application_credential" },
    };
    jw_arr(w, "methods");
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (methods & names[i].bit)
            jw_str(w, NULL, names[i].name);
    jw_arr_end(w);
}

static void write_user(struct req *r, struct jw *w, const struct auth *a)
{
    const struct user *u = snap_get(r->snap, &kind_user, a->user_id);
    jw_obj(w, "user");
    write_domain(r, w, a->user_domain_id);
    jw_str(w, "id", a->user_id);
    jw_str(w, "name", u ? u->name : NULL);
    jw_null(w, "password_expires_at");
    jw_obj_end(w);
}

static void write_roles(struct req *r, struct jw *w, const struct auth *a)
{
    jw_arr(w, "roles");
    for (size_t i = 0; i < a->role_ids.n; i++) {
        const struct role *role =
            snap_get(r->snap, &kind_role, a->role_ids.v[i]);
        if (!role)
            continue;
        jw_obj(w, NULL);
        jw_str(w, "id", role->rec.id);
        jw_str(w, "name", role->name);
        jw_obj_end(w);
    }
    jw_arr_end(w);
}

static void write_project(struct req *r, struct jw *w, const char *id)
{
    const struct project *p = snap_get(r->snap, &kind_project, id);
    jw_obj(w, "project");
    if (p)
        write_domain(r, w, p->domain_id);
    jw_str(w, "id", id);
    jw_str(w, "name", p ? p->name : NULL);
    jw_obj_end(w);
    jw_bool(w, "is_domain", false);
}

static void write_scope(struct req *r, struct jw *w, const struct auth *a)
{
    switch (a->scope) {
    case SCOPE_PROJECT:
        write_project(r, w, a->project_id);
        break;
    case SCOPE_DOMAIN:
        write_domain(r, w, a->domain_id);
        break;
    case SCOPE_SYSTEM:
        jw_obj(w, "system");
        jw_bool(w, "all", true);
        jw_obj_end(w);
        break;
    default:
        return;
    }
    write_roles(r, w, a);
}

static void write_app_credential(struct req *r, struct jw *w, const char *id)
{
    const struct app_credential *c =
        snap_get(r->snap, &kind_app_credential, id);
    if (!c)
        return;
    jw_obj(w, "application_credential");
    jw_str(w, "id", c->rec.id);
    jw_str(w, "name", c->name);
    jw_bool(w, "restricted", !c->unrestricted);
    jw_obj_end(w);
}

void write_token(struct req *r, struct jw *w, const struct auth *a,
                 bool with_catalog)
{
    char time[TIME_TEXT_MAX];
    jw_obj(w, NULL);
    jw_obj(w, "token");
    write_methods(w, a->methods);
    write_user(r, w, a);
    jw_arr(w, "audit_ids");
    jw_str(w, NULL, a->audit_id);
    if (a->parent_audit_id && *a->parent_audit_id)
        jw_str(w, NULL, a->parent_audit_id);
    jw_arr_end(w);
    jw_str(w, "expires_at", time_format(a->expires, TIME_MICRO_Z, time));
    jw_str(w, "issued_at", time_format(a->issued, TIME_MICRO_Z, time));
    write_scope(r, w, a);
    if (with_catalog && a->scope != SCOPE_NONE)
        write_catalog(r, w, a->user_id, a->project_id);
    write_app_credential(r, w, a->app_credential_id);
    jw_obj_end(w);
    jw_obj_end(w);
}
