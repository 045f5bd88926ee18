/* What the resources of identity share; see parts.h. */
#include "openstack-compat/identity/parts.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define EXTRA_MAX 16384 /* bytes of the extras of one record */

/* ---- showing ----------------------------------------------------------- */

static const char *collection(const struct kind *kind)
{
    static const struct {
        const struct kind *kind;
        const char *name;
    } names[] = {
        { &kind_domain, "domains" },   { &kind_project, "projects" },
        { &kind_user, "users" },       { &kind_group, "groups" },
        { &kind_role, "roles" },       { &kind_region, "regions" },
        { &kind_service, "services" }, { &kind_endpoint, "endpoints" },
    };
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (names[i].kind == kind)
            return names[i].name;
    return "";
}

void show_links(struct req *r, struct jw *w, const char *name,
                const void *record)
{
    const struct record *rec = record;
    jw_obj(w, name);
    jw_strf(w, "self", "%s/v3/%s/%s", req_base_url(r), collection(rec->kind),
            rec->id);
    jw_obj_end(w);
}

void show_options_none(struct req *r, struct jw *w, const char *name,
                       const void *record)
{
    jw_raw(w, name, "{}");
}

/* The record's field `extra`; NULL if the kind has none. */
static const char **extra_of(const void *record)
{
    const struct record *rec = record;
    const struct field *f = schema_field(&rec->kind->schema, "extra");
    return f ? field_ptr(record, f) : NULL;
}

void show_extra(struct req *r, struct jw *w, const char *name,
                const void *record)
{
    const char **extra = extra_of(record), *key;
    json_t *value;
    if (!extra || !*extra)
        return;
    _autojson_ json_t *all = json_loads(*extra, 0, NULL);
    json_object_foreach(all, key, value)
    {
        jw_json(w, key, value);
    }
}

static const char *text_of(const void *record, const char *name)
{
    const struct record *rec = record;
    const struct field *f = schema_field(&rec->kind->schema, name);
    return f ? *(const char **)field_ptr(record, f) : NULL;
}

void show_text(struct req *r, struct jw *w, const char *name,
               const void *record)
{
    if (text_of(record, name))
        jw_str(w, name, text_of(record, name));
}

void show_text_or_empty(struct req *r, struct jw *w, const char *name,
                        const void *record)
{
    const char *text = text_of(record, name);
    jw_str(w, name, text ? text : "");
}

void write_list_links(struct req *r, struct jw *w)
{
    jw_obj(w, "links");
    jw_null(w, "next");
    jw_strf(w, "self", "%s%s", req_base_url(r),
            r->http->path + strlen(r->service->prefix));
    jw_null(w, "previous");
    jw_obj_end(w);
}

enum outcome reply_list(struct req *r, const struct resource *res,
                        keep_fn *keep, const void *arg)
{
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    jw_arr(&w, res->plural);
    struct snap_iter it = snap_all(r->snap, res->kind);
    for (const void *record; (record = snap_next(&it));)
        if (keep(r, record, arg))
            resource_write(r, res, &w, NULL, record);
    jw_arr_end(&w);
    write_list_links(r, &w);
    jw_obj_end(&w);
    return req_reply(r, 200);
}

/* ---- taking ------------------------------------------------------------ */

bool set_options_none(struct req *r, void *record, const struct attr *a,
                      const json_t *value)
{
    const char *key;
    json_t *v;
    if (!json_is_object(value) && !json_is_null(value))
        return error_set(&r->err, ERR_INVALID, "'options' must be an object");
    json_object_foreach((json_t *)value, key, v)
    {
        if (!json_is_false(v) && !json_is_null(v))
            return error_set(&r->err, ERR_INVALID,
                             "Resource option '%.64s' is not supported", key);
    }
    return true;
}

static bool is_attr(const struct resource *res, const char *name)
{
    for (const struct attr *a = res->attrs; a->name; a++)
        if (strcmp(a->name, name) == 0)
            return true;
    return false;
}

bool keep_extra(struct req *r, const struct resource *res, void *record,
                const json_t *body)
{
    const char **extra = extra_of(record), *key;
    json_t *value;
    _autojson_ json_t *all = *extra ? json_loads(*extra, 0, NULL) : NULL;
    if (!all)
        all = json_object();
    json_object_foreach((json_t *)body, key, value)
    {
        if (is_attr(res, key))
            continue;
        if (json_is_null(value))
            json_object_del(all, key);
        else
            json_object_set(all, key, value);
    }
    _autofree_ char *text = json_dumps(all, JSON_COMPACT);
    if (!text || strlen(text) > EXTRA_MAX)
        return error_set(&r->err, ERR_INVALID,
                         "The extra attributes are larger than %d bytes",
                         EXTRA_MAX);
    *extra = json_object_size(all) ? rec_str(record, text) : NULL;
    return true;
}

/* ---- sentences --------------------------------------------------------- */

bool fail_not_found(struct req *r, const char *noun, const char *id)
{
    return error_set(&r->err, ERR_NOT_FOUND, "Could not find %s: %.128s.", noun,
                     id);
}

/* Projects and domains share a table in keystone, and its sentences. */
static const char *duplicate_details(struct req *r, const struct record *rec,
                                     const char *scope, const char *name)
{
    if (rec->kind == &kind_domain)
        return req_strf(r,
                        "it is not permitted to have two projects acting as "
                        "domains with the same name: %.128s",
                        name);
    if (rec->kind == &kind_project)
        return req_strf(r,
                        "it is not permitted to have two projects with either "
                        "the same name or same id in the same domain: name is "
                        "%.128s, project id %s",
                        name, rec->id);
    if (*scope && rec->kind != &kind_app_credential)
        return req_strf(r,
                        "Duplicate entry found with name %.128s at domain ID "
                        "%.64s",
                        name, scope);
    return req_strf(r, "Duplicate entry found with name %.128s", name);
}

static bool fail_duplicate(struct req *r, const void *record, const char *scope,
                           const char *name)
{
    const struct record *rec = record;
    const struct kind *kind = rec->kind;
    return error_set(&r->err, ERR_EXISTS,
                     "Conflict occurred attempting to store %s - %s.",
                     kind == &kind_domain           ? "project"
                     : kind == &kind_app_credential ? "application_credential"
                                                    : kind->name,
                     duplicate_details(r, rec, scope, name));
}

bool fail_unauthorized(struct req *r)
{
    return error_set(&r->err, ERR_UNAUTHENTICATED,
                     "The request you have made requires authentication.");
}

/* ---- names and references ---------------------------------------------- */

/* A name must hold something to see. */
static bool name_sane(struct req *r, const char *what, const char *name)
{
    for (const char *s = name; s && *s; s++)
        if (!isspace((unsigned char)*s))
            return true;
    return error_set(&r->err, ERR_INVALID,
                     "Invalid input for field 'name': a %s must not be blank",
                     what);
}

bool take_new_name(struct req *r, const void *record, const char *scope,
                   const char *name)
{
    const char *what = ((const struct record *)record)->kind->name;
    if (!name_sane(r, what, name))
        return false;
    if (name_taken(r->snap, what, scope, name))
        return fail_duplicate(r, record, scope, name);
    name_take(&r->txn, record, scope, name);
    return true;
}

bool change_name(struct req *r, const void *record, const char *scope,
                 const char *old, const char *name)
{
    if (name && strcmp(old, name) == 0)
        return true;
    if (!take_new_name(r, record, scope, name))
        return false;
    name_release(&r->txn, record, scope, old);
    return true;
}

bool settle_ref(struct req *r, const struct kind *kind, const char *noun,
                const char *id)
{
    const void *record = id ? snap_get(r->snap, kind, id) : NULL;
    if (!id)
        return true;
    if (!record)
        return fail_not_found(r, noun, id);
    _autorecord_ void *same = record_copy(record);
    txn_change_record(&r->txn, same);
    return true;
}

bool role_is_built_in(const struct role *role)
{
    static const char *const names[] = { "admin", "member", "reader" };
    for (size_t i = 0; !role->domain_id && i < ARRAY_SIZE(names); i++)
        if (strcmp(role->name, names[i]) == 0)
            return true;
    return false;
}

/* Nearly every assignment is of a role that stays: no need to write it. */
bool settle_role(struct req *r, const char *id)
{
    const struct role *role = snap_get(r->snap, &kind_role, id);
    return (role && role_is_built_in(role)) ||
           settle_ref(r, &kind_role, "role", id);
}

bool domain_takes(struct req *r, const char *domain_id)
{
    const struct domain *d = snap_get(r->snap, &kind_domain, domain_id);
    if (!d)
        return fail_not_found(r, "domain", domain_id);
    if (!d->enabled)
        return error_set(&r->err, ERR_FORBIDDEN, "Domain is disabled: %.64s.",
                         domain_id);
    txn_expect_record(&r->txn, d);
    return true;
}

bool settle_domain(struct req *r, void *record, const char **domain_id)
{
    const struct auth *a = &r->auth;
    if (!*domain_id)
        *domain_id =
            rec_str(record, a->domain_id           ? a->domain_id
                            : a->project_domain_id ? a->project_domain_id
                                                   : a->user_domain_id);
    return domain_takes(r, *domain_id);
}

/* ---- deleting ---------------------------------------------------------- */

void delete_where(struct req *r, const struct kind *kind, const char *path,
                  const char *key)
{
    struct snap_iter it = snap_by(r->snap, kind, path, key);
    for (const void *record; (record = snap_next(&it));)
        txn_delete_record(&r->txn, record);
}

bool txn_fits(struct req *r, const char *what)
{
    if (r->txn.n_compares + r->txn.n_writes <= STORE_OPS_MAX - 16)
        return true;
    return error_set(&r->err, ERR_CONFLICT,
                     "%s holds too much to be deleted at once, delete some of "
                     "it first.",
                     what);
}
