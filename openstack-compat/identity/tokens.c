/*
 * Tokens: issued, shown, revoked; /v3/auth.
 *
 * A login runs twice: first what the client claims is read and its secret is
 * given to the queue, then, with the verdict, everything is read again (the
 * snapshot may be newer) and the token sealed.  Who does not exist costs the
 * same hash and gets the same answer as who mistypes.
 */
#include "openstack-compat/identity/grants.h"
#include "openstack-compat/identity/parts.h"
#include "rest-api/api.h"
#include "rest-api/auth.h"

#include <openssl/crypto.h>
#include <string.h>

enum { STEP_CLAIM, STEP_VERDICT };

struct login {
    unsigned methods;
    const char *user_id;
    bool denied;       /* no such user, or it may not */
    bool secret;       /* the queue has to look at ... */
    const char *given; /* ... this, against ... */
    const char *hash;  /* ... this */
    int64_t expires;   /* of the token to be, at the latest */
    const struct app_credential *credential;
    const struct token *from; /* method token: the one shown */
};

/* ---- reading what is claimed ------------------------------------------- */

static bool malformed(struct req *r, const char *attribute, const char *target)
{
    return error_set(&r->err, ERR_INVALID,
                     "Expecting to find %s in %s. The server could not comply "
                     "with the request since it is either malformed or "
                     "otherwise incorrect. The client is assumed to be in "
                     "error.",
                     attribute, target);
}

/* The member as an object; false with r->err when it is not one. */
static bool object_in(struct req *r, const json_t *in, const char *name,
                      const char *target, const json_t **out)
{
    *out = json_object_get(in, name);
    return json_is_object(*out) || malformed(r, name, target);
}

/* The member as a string or NULL when absent; false when something else. */
static bool string_in(struct req *r, const json_t *in, const char *name,
                      const char *target, const char **out)
{
    const json_t *v = json_object_get(in, name);
    *out = json_string_value(v);
    return !v || *out ||
           error_set(&r->err, ERR_INVALID,
                     "Invalid input for field %s/%s: not a string", target,
                     name);
}

/* {"id": ..} or {"name": ..} -> the domain or NULL; false: malformed. */
static bool read_domain(struct req *r, const json_t *in, const char *target,
                        const struct domain **out)
{
    const json_t *d;
    const char *id = NULL, *name = NULL;
    if (!object_in(r, in, "domain", target, &d) ||
        !string_in(r, d, "id", "domain", &id) ||
        !string_in(r, d, "name", "domain", &name))
        return false;
    if (!id && !name)
        return malformed(r, "id or name", "domain");
    *out =
        id ? snap_get(r->snap, &kind_domain, id) : domain_named(r->snap, name);
    return true;
}

/* {"id": ..} or {"name": .., "domain": ..} -> the user or NULL. */
static bool read_user(struct req *r, const json_t *user,
                      const struct user **out)
{
    const char *id = NULL, *name = NULL;
    const struct domain *d = NULL;
    if (!string_in(r, user, "id", "user", &id) ||
        !string_in(r, user, "name", "user", &name))
        return false;
    if (id) {
        *out = snap_get(r->snap, &kind_user, id);
        return true;
    }
    if (!name)
        return malformed(r, "id or name", "user");
    if (!read_domain(r, user, "user", &d))
        return false;
    *out = d ? user_named(r->snap, d->rec.id, name) : NULL;
    return true;
}

/* All methods of one login must speak of the same user. */
static void login_is(struct req *r, struct login *l, const struct user *u)
{
    if (!u || !auth_user(r->snap, u->rec.id) ||
        (l->user_id && strcmp(l->user_id, u->rec.id) != 0))
        l->denied = true;
    else
        l->user_id = u->rec.id;
}

static void login_needs(struct login *l, const char *given, const char *hash)
{
    if (l->secret) /* two secrets in one login: one queue, one verdict */
        l->denied = true;
    l->secret = true;
    l->given = given;
    l->hash = l->denied ? NULL : hash;
}

static bool read_password(struct req *r, const json_t *identity,
                          struct login *l)
{
    const json_t *method, *user;
    const struct user *u = NULL;
    const char *password = NULL;
    if (!object_in(r, identity, "password", "identity", &method) ||
        !object_in(r, method, "user", "password", &user) ||
        !read_user(r, user, &u) ||
        !string_in(r, user, "password", "user", &password))
        return false;
    if (!password)
        return malformed(r, "password", "user");
    l->methods |= AUTH_METHOD_PASSWORD;
    login_is(r, l, u);
    login_needs(l, password, u ? u->password_hash : NULL);
    return true;
}

static bool read_token(struct req *r, const json_t *identity, struct login *l)
{
    const json_t *method;
    const char *id = NULL;
    struct auth was;
    struct token *t = arena_alloc(&r->arena, sizeof(*t));
    if (!object_in(r, identity, "token", "identity", &method) ||
        !string_in(r, method, "id", "token", &id))
        return false;
    if (!id)
        return malformed(r, "id", "token");
    if (!token_open(r->api->tokens, id, r->now, t, &r->err) ||
        !auth_of_token(r->snap, t, r->now, &r->arena, &was, &r->err))
        return false;
    l->methods |= AUTH_METHOD_TOKEN | t->methods;
    l->from = t;
    if (was.expires < l->expires)
        l->expires = was.expires;
    login_is(r, l, snap_get(r->snap, &kind_user, t->user_id));
    return true;
}

static const struct app_credential *
credential_named(struct req *r, const struct user *u, const char *name)
{
    struct snap_iter it =
        snap_by(r->snap, &kind_app_credential, "user_id", u->rec.id);
    for (const struct app_credential *c; (c = snap_next(&it));)
        if (strcmp(c->name, name) == 0)
            return c;
    return NULL;
}

static bool find_credential(struct req *r, const json_t *method,
                            const struct app_credential **out)
{
    const char *id = NULL, *name = NULL;
    const json_t *user;
    const struct user *u = NULL;
    if (!string_in(r, method, "id", "application_credential", &id) ||
        !string_in(r, method, "name", "application_credential", &name))
        return false;
    if (id) {
        *out = snap_get(r->snap, &kind_app_credential, id);
        return true;
    }
    if (!name)
        return malformed(r, "id or name", "application_credential");
    if (!object_in(r, method, "user", "application_credential", &user) ||
        !read_user(r, user, &u))
        return false;
    *out = u ? credential_named(r, u, name) : NULL;
    return true;
}

static bool digest_matches(const char *secret, const char *hash)
{
    char digest[65];
    sha256_hex(secret, strlen(secret), digest);
    return strlen(hash) == 64 && CRYPTO_memcmp(digest, hash, 64) == 0;
}

static bool read_credential(struct req *r, const json_t *identity,
                            struct login *l)
{
    const json_t *method;
    const char *secret = NULL;
    const struct app_credential *c = NULL;
    if (!object_in(r, identity, "application_credential", "identity",
                   &method) ||
        !find_credential(r, method, &c) ||
        !string_in(r, method, "secret", "application_credential", &secret))
        return false;
    if (!secret)
        return malformed(r, "secret", "application_credential");
    l->methods |= AUTH_METHOD_APP_CREDENTIAL;
    l->credential = c;
    login_is(r, l, c ? snap_get(r->snap, &kind_user, c->user_id) : NULL);
    if (c && c->expires && c->expires <= r->now)
        l->denied = true;
    /* A secret that we made is too long to guess: no slow hash for it. */
    if (!c || strncmp(c->secret_hash, "scrypt", 6) != 0)
        l->denied |= !c || !digest_matches(secret, c->secret_hash);
    else
        login_needs(l, secret, c->secret_hash);
    if (c && c->expires && c->expires < l->expires)
        l->expires = c->expires;
    return true;
}

static bool read_method(struct req *r, const json_t *identity, const char *name,
                        struct login *l)
{
    static const struct {
        const char *name;
        bool (*read)(struct req *, const json_t *, struct login *);
    } methods[] = {
        { "password", read_password },
        { "token", read_token },
        { "application_credential", read_credential },
    };
    for (size_t i = 0; name && i < ARRAY_SIZE(methods); i++)
        if (strcmp(methods[i].name, name) == 0)
            return methods[i].read(r, identity, l);
    return error_set(&r->err, ERR_UNAUTHENTICATED,
                     "Attempted to authenticate with an unsupported method.");
}

static bool read_identity(struct req *r, const json_t *auth, struct login *l)
{
    const json_t *identity, *methods;
    if (!object_in(r, auth, "identity", "auth", &identity))
        return false;
    methods = json_object_get(identity, "methods");
    if (!json_is_array(methods) || !json_array_size(methods) ||
        json_array_size(methods) > 3)
        return malformed(r, "methods", "identity");
    for (size_t i = 0; i < json_array_size(methods); i++) {
        const char *name = json_string_value(json_array_get(methods, i));
        if (!read_method(r, identity, name, l))
            return false;
    }
    return true;
}

/* ---- the scope --------------------------------------------------------- */

struct wanted {
    enum scope scope;
    const char *target;
    bool is_default; /* not asked for: unscoped if it does not work */
};

static bool read_project(struct req *r, const json_t *p, struct wanted *w)
{
    const char *id = NULL, *name = NULL;
    const struct domain *d = NULL;
    if (!string_in(r, p, "id", "project", &id) ||
        !string_in(r, p, "name", "project", &name))
        return false;
    w->scope = SCOPE_PROJECT;
    w->target = id;
    if (id)
        return true;
    if (!name)
        return malformed(r, "id or name", "project");
    if (!read_domain(r, p, "project", &d))
        return false;
    const struct project *found =
        d ? project_named(r->snap, d->rec.id, name) : NULL;
    w->target = found ? found->rec.id : "";
    return true;
}

static bool read_scope(struct req *r, const json_t *scope, struct wanted *w)
{
    const json_t *project = json_object_get(scope, "project");
    const json_t *system = json_object_get(scope, "system");
    const struct domain *d = NULL;
    if (json_is_string(scope) || json_object_get(scope, "unscoped")) {
        w->scope = SCOPE_NONE;
        return true;
    }
    if (!json_is_object(scope) || json_object_size(scope) != 1)
        return error_set(&r->err, ERR_INVALID,
                         "A scope names one of project, domain or system.");
    if (project)
        return json_is_object(project) ? read_project(r, project, w)
                                       : malformed(r, "project", "scope");
    if (system) {
        w->scope = SCOPE_SYSTEM;
        return json_is_true(json_object_get(system, "all")) ||
               malformed(r, "all", "system");
    }
    if (!read_domain(r, scope, "scope", &d))
        return false;
    w->scope = SCOPE_DOMAIN;
    w->target = d ? d->rec.id : "";
    return true;
}

static bool refuse_action(struct req *r, const char *action)
{
    return error_set(&r->err, ERR_FORBIDDEN,
                     "You are not authorized to perform the requested "
                     "action: %s",
                     action);
}

/* An application credential is bound to its project, and so is what comes
 * from its tokens. */
static bool bound_scope(struct req *r, const struct login *l,
                        const json_t *scope, struct wanted *w)
{
    w->scope = SCOPE_PROJECT;
    w->target = l->credential ? l->credential->project_id : l->from->scope_id;
    if (!scope || json_is_null(scope))
        return true;
    if (!l->credential)
        return refuse_action(r, "Using an application credential token to "
                                "create a scoped token is not allowed.");
    return error_set(&r->err, ERR_UNAUTHENTICATED,
                     "Error authenticating with application credential: "
                     "Application credentials cannot request a scope.");
}

static bool find_scope(struct req *r, const struct login *l,
                       const json_t *scope, struct wanted *w)
{
    const struct user *u = snap_get(r->snap, &kind_user, l->user_id);
    if (l->credential || (l->from && l->from->app_credential_id[0]))
        return bound_scope(r, l, scope, w);
    if (scope && !json_is_null(scope)) {
        if (!read_scope(r, scope, w))
            return false;
    } else if (u && u->default_project_id) {
        *w = (struct wanted){ SCOPE_PROJECT, u->default_project_id, true };
    }
    if (l->from && l->from->scope == SCOPE_SYSTEM &&
        (w->scope == SCOPE_PROJECT || w->scope == SCOPE_DOMAIN) &&
        !w->is_default)
        return refuse_action(r, "Using a system-scoped token to create a "
                                "project-scoped or domain-scoped token is not "
                                "allowed.");
    return true;
}

/* ---- POST /auth/tokens ------------------------------------------------- */

static void make_token(struct req *r, const struct login *l,
                       const struct wanted *w, struct token *t)
{
    auth_new_token(r->env, l->user_id, w->scope, w->target, TOKEN_LIFE_US, t);
    t->methods = l->methods;
    if (l->expires < t->expires)
        t->expires = l->expires;
    if (l->credential)
        strncpy(t->app_credential_id, l->credential->rec.id, TOKEN_ID_MAX);
    if (!l->from)
        return;
    memcpy(t->app_credential_id, l->from->app_credential_id,
           sizeof(t->app_credential_id));
    memcpy(t->parent_audit_id,
           l->from->parent_audit_id[0] ? l->from->parent_audit_id
                                       : l->from->audit_id,
           sizeof(t->parent_audit_id));
}

static enum outcome reply_token(struct req *r, const struct auth *a,
                                const char *text, int status)
{
    struct jw w = req_json(r);
    write_token(r, &w, a, !req_query(r, "nocatalog"));
    http_header(&r->resp, "X-Subject-Token", text);
    http_header(&r->resp, "Vary", "X-Auth-Token");
    return req_reply(r, status);
}

static enum outcome issue(struct req *r, const struct login *l,
                          struct wanted *w)
{
    struct token t;
    struct auth a;
    char *text = arena_alloc(&r->arena, TOKEN_TEXT_MAX);
    make_token(r, l, w, &t);
    bool good = strlen(w->target ? w->target : "") <= TOKEN_ID_MAX &&
                auth_of_token(r->snap, &t, r->now, &r->arena, &a, &r->err);
    if (!good && w->is_default) {
        *w = (struct wanted){ .scope = SCOPE_NONE };
        make_token(r, l, w, &t);
        good = auth_of_token(r->snap, &t, r->now, &r->arena, &a, &r->err);
    }
    if (!good) {
        fail_unauthorized(r);
        return req_failed(r);
    }
    if (!token_seal(r->api->tokens, &t, text))
        return req_fail(r, ERR_UNAVAILABLE, "There is no key for tokens yet.");
    return reply_token(r, &a, text, 201);
}

static bool verdict(struct req *r, const struct login *l)
{
    enum error_code code = r->waited.err.code;
    if (l->secret && !r->waited.ok &&
        (code == ERR_BUSY || code == ERR_CANCELLED))
        return error_set(&r->err, code, "%s", r->waited.err.text);
    if (l->denied || (l->secret && !r->waited.ok))
        return fail_unauthorized(r);
    return true;
}

enum outcome auth_token_create(struct req *r)
{
    struct login l = { .expires = INT64_MAX };
    struct wanted w = { .scope = SCOPE_NONE };
    const json_t *auth = req_envelope(r, "auth");
    if (!auth || !read_identity(r, auth, &l))
        return req_failed(r);
    if (l.secret && r->step == STEP_CLAIM)
        return req_wait(r,
                        (struct wait){ .type = WAIT_PASSWORD,
                                       .password = l.given,
                                       .hash = l.hash },
                        STEP_VERDICT);
    if (!verdict(r, &l) ||
        !find_scope(r, &l, json_object_get(auth, "scope"), &w))
        return req_failed(r);
    return issue(r, &l, &w);
}

/* ---- GET, HEAD, DELETE /auth/tokens ------------------------------------ */

/* The token in X-Subject-Token, if it is good and the caller's own, or the
 * caller is admin. */
static bool subject(struct req *r, int64_t at, const char **text,
                    struct token *t, struct auth *a)
{
    struct error why;
    *text = req_header(r, "X-Subject-Token");
    if (!*text)
        return error_set(&r->err, ERR_NOT_FOUND, "No token in the request");
    if (!token_open(r->api->tokens, *text, at, t, &why) ||
        !auth_of_token(r->snap, t, at, &r->arena, a, &why))
        return error_set(&r->err, ERR_NOT_FOUND, "Failed to validate token");
    if (r->auth.is_admin || strcmp(a->user_id, r->auth.user_id) == 0)
        return true;
    return error_set(&r->err, ERR_FORBIDDEN,
                     "You are not authorized to perform the requested "
                     "action: identity:validate_token.");
}

enum outcome auth_token_show(struct req *r)
{
    struct token t = { 0 };
    struct auth a = { 0 };
    const char *text, *late = req_query(r, "allow_expired");
    bool allow =
        late && strcmp(late, "0") != 0 && strcasecmp(late, "false") != 0;
    if (!subject(r, allow ? r->now - TOKEN_SHOWN_US : r->now, &text, &t, &a))
        return req_failed(r);
    return reply_token(r, &a, text, 200);
}

enum outcome auth_token_delete(struct req *r)
{
    struct token t = { 0 };
    struct auth a = { 0 };
    const char *text;
    if (!subject(r, r->now, &text, &t, &a))
        return req_failed(r);
    _autorecord_ struct revocation *x =
        record_new(&kind_revocation, t.audit_id);
    x->expires = t.expires;
    txn_put_record(&r->txn, x);
    return req_reply(r, 204);
}

/* ---- what a user may scope to ------------------------------------------ */

enum outcome auth_catalog(struct req *r)
{
    if (!r->auth.project_id)
        return req_fail(r, ERR_FORBIDDEN,
                        "A project-scoped token is required to produce a "
                        "service catalog.");
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    write_catalog(r, &w, r->auth.user_id, r->auth.project_id);
    write_list_links(r, &w);
    jw_obj_end(&w);
    return req_reply(r, 200);
}

static bool scope_project(struct req *r, const void *record, const void *arg)
{
    const struct record *rec = record;
    return grants_any(r->snap, r->auth.user_id, TARGET_PROJECT, rec->id);
}

static bool scope_domain(struct req *r, const void *record, const void *arg)
{
    const struct record *rec = record;
    return grants_any(r->snap, r->auth.user_id, TARGET_DOMAIN, rec->id);
}

enum outcome auth_projects(struct req *r)
{
    return reply_list(r, &resource_project, scope_project, NULL);
}

enum outcome auth_domains(struct req *r)
{
    return reply_list(r, &resource_domain, scope_domain, NULL);
}

enum outcome auth_system(struct req *r)
{
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    jw_arr(&w, "system");
    if (grants_any(r->snap, r->auth.user_id, TARGET_SYSTEM, "all")) {
        jw_obj(&w, NULL);
        jw_bool(&w, "all", true);
        jw_obj_end(&w);
    }
    jw_arr_end(&w);
    write_list_links(r, &w);
    jw_obj_end(&w);
    return req_reply(r, 200);
}
