/*
 * Application credentials: a secret of its own for a program, bound to one
 * user, one project and some of the user's roles there.
 */
#include "openstack-compat/identity/parts.h"
#include "rest-api/auth.h"
#include "rest-api/password.h"

#include <stdio.h>
#include <string.h>

enum { STEP_START, STEP_HASHED };

#define SECRET_BYTES 32

/* ---- who --------------------------------------------------------------- */

static bool is_self(const struct req *r)
{
    return strcmp(r->auth.user_id, r->param[0]) == 0;
}

/* What is not the caller's is not there. */
static bool user_ok(struct req *r)
{
    if ((is_self(r) || r->auth.is_admin) &&
        snap_get(r->snap, &kind_user, r->param[0]))
        return true;
    return fail_not_found(r, "user", r->param[0]);
}

/* A restricted credential cannot make or take away others of its kind. */
static bool unrestricted(struct req *r)
{
    const struct app_credential *by =
        snap_get(r->snap, &kind_app_credential, r->auth.app_credential_id);
    if (!by || by->unrestricted)
        return true;
    return error_set(&r->err, ERR_FORBIDDEN,
                     "You are not authorized to perform the requested "
                     "action: Using method 'application_credential' is not "
                     "allowed for managing additional application "
                     "credentials.");
}

static const struct app_credential *credential_of(struct req *r)
{
    const struct app_credential *c =
        user_ok(r) ? snap_get(r->snap, &kind_app_credential, r->param[1])
                   : NULL;
    if (c && strcmp(c->user_id, r->param[0]) == 0)
        return c;
    fail_not_found(r, "Application Credential", r->param[1]);
    return NULL;
}

/* ---- showing ----------------------------------------------------------- */

static void write_roles(struct req *r, struct jw *w, const struct strs *ids)
{
    jw_arr(w, "roles");
    for (size_t i = 0; i < ids->n; i++) {
        const struct role *role = snap_get(r->snap, &kind_role, ids->v[i]);
        if (!role)
            continue;
        jw_obj(w, NULL);
        jw_str(w, "id", role->rec.id);
        jw_str(w, "name", role->name);
        jw_str(w, "domain_id", role->domain_id);
        jw_obj_end(w);
    }
    jw_arr_end(w);
}

/* `secret` only in the answer that made it. */
static void write_credential(struct req *r, struct jw *w, const char *key,
                             const struct app_credential *c, const char *secret)
{
    char time[TIME_TEXT_MAX];
    jw_obj(w, key);
    jw_str(w, "id", c->rec.id);
    jw_str(w, "name", c->name);
    jw_str(w, "description", c->description);
    jw_str(w, "user_id", c->user_id);
    jw_str(w, "project_id", c->project_id);
    jw_null(w, "system");
    jw_bool(w, "unrestricted", c->unrestricted);
    jw_str(w, "expires_at",
           c->expires ? time_format(c->expires, TIME_MICRO, time) : NULL);
    write_roles(r, w, &c->role_ids);
    if (secret)
        jw_str(w, "secret", secret);
    jw_obj(w, "links");
    jw_strf(w, "self", "%s/v3/users/%s/application_credentials/%s",
            req_base_url(r), c->user_id, c->rec.id);
    jw_obj_end(w);
    jw_obj_end(w);
}

enum outcome app_credential_list(struct req *r)
{
    const char *name = req_query(r, "name");
    if (!user_ok(r))
        return req_failed(r);
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    jw_arr(&w, "application_credentials");
    struct snap_iter it =
        snap_by(r->snap, &kind_app_credential, "user_id", r->param[0]);
    for (const struct app_credential *c; (c = snap_next(&it));)
        if (!name || strcmp(name, c->name) == 0)
            write_credential(r, &w, NULL, c, NULL);
    jw_arr_end(&w);
    write_list_links(r, &w);
    jw_obj_end(&w);
    return req_reply(r, 200);
}

static enum outcome reply_one(struct req *r, const struct app_credential *c,
                              const char *secret, int status)
{
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    write_credential(r, &w, "application_credential", c, secret);
    jw_obj_end(&w);
    return req_reply(r, status);
}

enum outcome app_credential_show(struct req *r)
{
    const struct app_credential *c = credential_of(r);
    return c ? reply_one(r, c, NULL, 200) : req_failed(r);
}

enum outcome app_credential_delete(struct req *r)
{
    const struct app_credential *c = credential_of(r);
    if (!c || !unrestricted(r))
        return req_failed(r);
    name_release(&r->txn, c, c->user_id, c->name);
    txn_delete_record(&r->txn, c);
    return req_reply(r, 204);
}

/* ---- making ------------------------------------------------------------ */

static bool invalid(struct req *r, const char *detail)
{
    return error_set(&r->err, ERR_INVALID, "Invalid application credential: %s",
                     detail);
}

/* {"id": ..} or {"name": ..} -> a role that the token has. */
static const struct role *asked_role(struct req *r, const json_t *v)
{
    const char *id = json_string_value(json_object_get(v, "id"));
    const char *name = json_string_value(json_object_get(v, "name"));
    const struct role *role = id     ? snap_get(r->snap, &kind_role, id)
                              : name ? role_named(r->snap, name)
                                     : NULL;
    if (!id && !name)
        invalid(r, "a role is given by id or name");
    else if (!role || !strs_has(&r->auth.role_ids, role->rec.id))
        error_set(&r->err, ERR_INVALID,
                  "Invalid application credential: Could not find role "
                  "assignment with role: %.64s, user or group: %.64s, "
                  "project, domain, or system: %.64s.",
                  id ? id : name, r->auth.user_id, r->auth.project_id);
    else
        return role;
    return NULL;
}

static bool take_roles(struct req *r, struct app_credential *c,
                       const json_t *body)
{
    const json_t *roles = json_object_get(body, "roles");
    if (!roles || json_is_null(roles) ||
        (json_is_array(roles) && !json_array_size(roles))) {
        for (size_t i = 0; i < r->auth.role_ids.n; i++)
            strs_add(c, &c->role_ids, r->auth.role_ids.v[i]);
        return true;
    }
    if (!json_is_array(roles) || json_array_size(roles) > 100)
        return invalid(r, "'roles' must be a list of roles");
    for (size_t i = 0; i < json_array_size(roles); i++) {
        const struct role *role = asked_role(r, json_array_get(roles, i));
        if (!role)
            return false;
        if (!strs_has(&c->role_ids, role->rec.id))
            strs_add(c, &c->role_ids, role->rec.id);
    }
    return true;
}

static bool take_expiry(struct req *r, struct app_credential *c,
                        const json_t *body)
{
    const json_t *v = json_object_get(body, "expires_at");
    if (!v || json_is_null(v))
        return true;
    if (!json_is_string(v) || !time_parse(json_string_value(v), &c->expires))
        return error_set(&r->err, ERR_INVALID,
                         "Timestamp not in expected format. The server could "
                         "not comply with the request since it is either "
                         "malformed or otherwise incorrect. The client is "
                         "assumed to be in error.");
    return c->expires > r->now ||
           error_set(&r->err, ERR_INVALID,
                     "The 'expires_at' must not be before now. The server "
                     "could not comply with the request since it is either "
                     "malformed or otherwise incorrect. The client is "
                     "assumed to be in error.");
}

static bool take_text(struct req *r, struct app_credential *c,
                      const json_t *body)
{
    const json_t *name = json_object_get(body, "name");
    const json_t *description = json_object_get(body, "description");
    const json_t *rules = json_object_get(body, "access_rules");
    const json_t *unbound = json_object_get(body, "unrestricted");
    if (!json_is_string(name) || !json_string_length(name) ||
        json_string_length(name) > 255)
        return invalid(r, "'name' must be a string of 1 to 255 characters");
    if (description && !json_is_null(description) &&
        !json_is_string(description))
        return invalid(r, "'description' must be a string");
    if (unbound && !json_is_boolean(unbound) && !json_is_null(unbound))
        return invalid(r, "'unrestricted' must be a boolean");
    if (json_array_size(rules) ||
        (rules && !json_is_array(rules) && !json_is_null(rules)))
        return invalid(r, "access rules are not supported");
    c->name = rec_str(c, json_string_value(name));
    c->description = rec_str(c, json_string_value(description));
    c->unrestricted = json_is_true(unbound);
    return true;
}

/* 256 random bits, in letters that need no escaping anywhere. */
static const char *new_secret(struct req *r)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnop"
                                  "qrstuvwxyz0123456789-_";
    unsigned char random[SECRET_BYTES * 4 / 3 + 1];
    char *text = arena_alloc(&r->arena, sizeof(random) + 1);
    env_random(r->env, random, sizeof(random));
    for (size_t i = 0; i < sizeof(random); i++)
        text[i] = letters[random[i] & 63];
    return text;
}

static bool creation_allowed(struct req *r)
{
    if (!user_ok(r))
        return false;
    if (!is_self(r))
        return error_set(&r->err, ERR_FORBIDDEN,
                         "You are not authorized to perform the requested "
                         "action: identity:create_application_credential.");
    if (!r->auth.project_id)
        return invalid(r, "a project-scoped token is required");
    return unrestricted(r);
}

static bool fill(struct req *r, struct app_credential *c, const json_t *body)
{
    c->user_id = rec_str(c, r->auth.user_id);
    c->project_id = rec_str(c, r->auth.project_id);
    c->created = r->now;
    return take_text(r, c, body) && take_roles(r, c, body) &&
           take_expiry(r, c, body) &&
           settle_ref(r, &kind_user, "user", c->user_id) &&
           settle_ref(r, &kind_project, "project", c->project_id) &&
           take_new_name(r, c, c->user_id, c->name);
}

static enum outcome hash_first(struct req *r, const char *secret)
{
    txn_reset(&r->txn);
    return req_wait(r, (struct wait){ .type = WAIT_HASH, .password = secret },
                    STEP_HASHED);
}

/* NULL: we make one. */
static bool take_secret(struct req *r, const json_t *body, const char **chosen)
{
    const json_t *v = json_object_get(body, "secret");
    *chosen = json_string_value(v);
    if (!v || json_is_null(v))
        return true;
    if (*chosen && **chosen && strlen(*chosen) <= PASSWORD_MAX)
        return true;
    return error_set(&r->err, ERR_INVALID,
                     "Invalid application credential: 'secret' must be a "
                     "string of 1 to %d characters",
                     PASSWORD_MAX);
}

static void seal_secret(struct app_credential *c, const char *secret)
{
    char digest[65];
    sha256_hex(secret, strlen(secret), digest);
    c->secret_hash = rec_str(c, digest);
}

enum outcome app_credential_create(struct req *r)
{
    const json_t *body = req_envelope(r, "application_credential");
    const char *secret = NULL;
    if (!body || !creation_allowed(r) || !take_secret(r, body, &secret))
        return req_failed(r);
    _autorecord_ struct app_credential *c =
        record_new(&kind_app_credential, req_hex_id(r));
    if (!fill(r, c, body))
        return req_failed(r);
    if (secret && r->step == STEP_START)
        return hash_first(r, secret);
    if (secret && !r->waited.ok)
        return req_fail(r, r->waited.err.code, "%s", r->waited.err.text);
    if (secret)
        c->secret_hash = rec_str(c, buf_str(&r->waited.text));
    else
        seal_secret(c, secret = new_secret(r));
    txn_change_record(&r->txn, c);
    return reply_one(r, c, secret, 201);
}
