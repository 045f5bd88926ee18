/* Users and their passwords. */
#include "openstack-compat/identity/grants.h"
#include "openstack-compat/identity/parts.h"
#include "rest-api/password.h"

#include <string.h>

enum { STEP_START, STEP_HASHED, STEP_CHECKED };

/* ---- the resource ------------------------------------------------------ */

static bool is_self(const struct req *r, const char *user_id)
{
    return r->auth.user_id && strcmp(r->auth.user_id, user_id) == 0;
}

static bool user_visible(struct req *r, const void *record)
{
    return r->auth.is_admin || is_self(r, ((const struct record *)record)->id);
}

static bool admin_writes(struct req *r, const void *record)
{
    return r->auth.is_admin;
}

/* The options that hold here anyway: nothing expires or locks a user out. */
static bool option_known(const char *name)
{
    static const char *const known[] = {
        "ignore_change_password_upon_first_use", "ignore_password_expiry",
        "ignore_lockout_failure_attempts", "ignore_user_inactivity"
    };
    for (size_t i = 0; i < ARRAY_SIZE(known); i++)
        if (strcmp(known[i], name) == 0)
            return true;
    return false;
}

static bool option_ok(struct req *r, const char *name, const json_t *v)
{
    if (json_is_null(v) || json_is_false(v) ||
        (option_known(name) && json_is_true(v)))
        return true;
    return error_set(&r->err, ERR_INVALID,
                     option_known(name)
                         ? "User option '%.64s' must be true or false"
                         : "User option '%.64s' is not supported",
                     name);
}

static bool set_options(struct req *r, void *record, const struct attr *a,
                        const json_t *value)
{
    struct user *u = record;
    const char *name;
    json_t *v;
    if (!json_is_object(value) && !json_is_null(value))
        return error_set(&r->err, ERR_INVALID, "'options' must be an object");
    _autojson_ json_t *all =
        u->options ? json_loads(u->options, 0, NULL) : json_object();
    json_object_foreach((json_t *)value, name, v)
    {
        if (!option_ok(r, name, v))
            return false;
        if (json_is_null(v) || !option_known(name))
            json_object_del(all, name);
        else
            json_object_set(all, name, v);
    }
    _autofree_ char *text = json_dumps(all, JSON_COMPACT);
    u->options = rec_str(u, text);
    return true;
}

static void show_options(struct req *r, struct jw *w, const char *name,
                         const void *record)
{
    const struct user *u = record;
    jw_raw(w, name, u->options ? u->options : "{}");
}

static void show_expiry(struct req *r, struct jw *w, const char *name,
                        const void *record)
{
    jw_null(w, name);
}

/* The hash comes from the queue before the step STEP_HASHED. */
static bool set_password(struct req *r, void *record, const struct attr *a,
                         const json_t *value)
{
    struct user *u = record;
    const char *password = json_string_value(value);
    if (password && strlen(password) > PASSWORD_MAX)
        return error_set(&r->err, ERR_INVALID,
                         "The password length must be less than or equal to "
                         "%d.",
                         PASSWORD_MAX);
    u->password_changed = r->now;
    u->tokens_not_before = r->now + 1;
    u->password_hash = r->step == STEP_HASHED && password
                           ? rec_str(u, buf_str(&r->waited.text))
                           : NULL;
    return true;
}

static bool settle_default_project(struct req *r, const struct user *u,
                                   const json_t *body)
{
    if (!json_object_get(body, "default_project_id") || !u->default_project_id)
        return true;
    if (snap_get(r->snap, &kind_domain, u->default_project_id))
        return error_set(&r->err, ERR_INVALID,
                         "User's default project ID cannot be a domain ID: "
                         "%.64s",
                         u->default_project_id);
    return true; /* keystone takes unknown ones: they are then ignored */
}

static bool user_created(struct req *r, void *draft, const json_t *body)
{
    struct user *u = draft;
    u->tokens_not_before = 0;
    return settle_domain(r, u, &u->domain_id) &&
           settle_default_project(r, u, body) &&
           take_new_name(r, u, u->domain_id, u->name) &&
           keep_extra(r, &resource_user, u, body);
}

static bool user_updated(struct req *r, const void *old, void *draft,
                         const json_t *body)
{
    const struct user *was = old;
    struct user *u = draft;
    const json_t *domain = json_object_get(body, "domain_id");
    if (domain && (!json_is_string(domain) ||
                   strcmp(json_string_value(domain), was->domain_id) != 0))
        return error_set(&r->err, ERR_INVALID, "Cannot change Domain ID");
    if (was->enabled && !u->enabled)
        u->tokens_not_before = r->now + 1;
    return settle_default_project(r, u, body) &&
           change_name(r, u, u->domain_id, was->name, u->name) &&
           keep_extra(r, &resource_user, u, body);
}

void drop_user(struct req *r, const struct user *u)
{
    const char *id = u->rec.id;
    struct snap_iter it = snap_by(r->snap, &kind_app_credential, "user_id", id);
    for (const struct app_credential *c; (c = snap_next(&it));)
        name_release(&r->txn, c, id, c->name);
    delete_where(r, &kind_app_credential, "user_id", id);
    delete_where(r, &kind_group_member, "user_id", id);
    delete_where(r, &kind_assignment, "actor_id", id);
    delete_where(r, &kind_keypair, "user_id", id);
    name_release(&r->txn, u, u->domain_id, u->name);
    txn_delete_record(&r->txn, u);
}

static bool user_deleted(struct req *r, const void *record)
{
    drop_user(r, record);
    return txn_fits(r, "The user");
}

static const struct attr user_attrs[] = {
    { "id", NULL, A_FILTER },
    { "name", NULL, A_CU | A_REQUIRED | A_FILTER, CHECK_NAME, 1, 255 },
    { "domain_id", NULL, A_CREATE | A_NULL | A_FILTER, CHECK_TEXT, 1, 64 },
    { "enabled", NULL, A_CU | A_FILTER, CHECK_BOOL, .dflt = "true" },
    { "email", NULL, A_CU | A_NULL | A_FILTER, CHECK_TEXT, 0, 255,
      .show = show_text },
    { "description", NULL, A_CU | A_NULL, CHECK_TEXT, 0, 65535,
      .show = show_text },
    { "default_project_id", NULL, A_CU | A_NULL | A_FILTER, CHECK_TEXT, 0, 64,
      .show = show_text },
    { "password", NULL, A_CU | A_NULL | A_HIDDEN, CHECK_TEXT, 1, PASSWORD_MAX,
      .set = set_password },
    { "original_password", NULL, A_HIDDEN },
    { "password_expires_at", NULL, 0, .show = show_expiry },
    { "options", NULL, A_CU | A_NULL, .show = show_options,
      .set = set_options },
    ATTR_LINKS,
    ATTR_EXTRA,
    ATTR_END,
};

const struct resource resource_user = {
    .kind = &kind_user,
    .singular = "user",
    .plural = "users",
    .noun = "user",
    .attrs = user_attrs,
    .hex_id = true,
    .path = "/v3/users",
    .visible = user_visible,
    .writable = admin_writes,
    .created = user_created,
    .updated = user_updated,
    .deleted = user_deleted,
};

/* ---- create and update: the password is hashed first ------------------- */

static const char *password_in(const struct req *r)
{
    const json_t *user = json_object_get(r->body, "user");
    return json_string_value(json_object_get(user, "password"));
}

/* Everything else is looked at before anybody hashes for it. */
static enum outcome with_hash(struct req *r, handler_fn *handler)
{
    enum outcome out =
        r->step == STEP_HASHED && !r->waited.ok
            ? req_fail(r, r->waited.err.code, "%s", r->waited.err.text)
            : handler(r);
    if (out != OUT_REPLY || r->step == STEP_HASHED || !password_in(r))
        return out;
    txn_reset(&r->txn);
    buf_reset(&r->resp.body);
    return req_wait(
        r, (struct wait){ .type = WAIT_HASH, .password = password_in(r) },
        STEP_HASHED);
}

enum outcome user_create(struct req *r)
{
    return with_hash(r, resource_create);
}

enum outcome user_update(struct req *r)
{
    return with_hash(r, resource_update);
}

/* ---- POST /users/{id}/password ----------------------------------------- */

static enum outcome check_original(struct req *r, const json_t *body)
{
    const char *old =
        json_string_value(json_object_get(body, "original_password"));
    const char *new = json_string_value(json_object_get(body, "password"));
    const struct user *u = snap_get(r->snap, &kind_user, r->param[0]);
    if (!old || !new)
        return req_fail(r, ERR_INVALID, "'%s' is a required property",
                        old ? "password" : "original_password");
    if (!*new || strlen(new) > PASSWORD_MAX)
        return req_fail(r, ERR_INVALID, "A password has 1 to %d characters",
                        PASSWORD_MAX);
    return req_wait(
        r,
        (struct wait){ .type = WAIT_PASSWORD,
                       .password = old,
                       .hash = u && u->enabled ? u->password_hash : NULL },
        STEP_CHECKED);
}

enum { STEP_NEW_HASHED = STEP_CHECKED + 1 };

static enum outcome busy_or_unauthorized(struct req *r)
{
    if (r->waited.err.code == ERR_BUSY || r->waited.err.code == ERR_CANCELLED)
        return req_fail(r, r->waited.err.code, "%s", r->waited.err.text);
    fail_unauthorized(r);
    return req_failed(r);
}

static enum outcome store_password(struct req *r)
{
    const struct user *u = snap_get(r->snap, &kind_user, r->param[0]);
    if (!r->waited.ok || !u)
        return busy_or_unauthorized(r);
    _autorecord_ struct user *now = record_copy(u);
    now->password_hash = rec_str(now, buf_str(&r->waited.text));
    now->password_changed = r->now;
    now->tokens_not_before = r->now + 1;
    txn_change_record(&r->txn, now);
    return req_reply(r, 204);
}

enum outcome user_password(struct req *r)
{
    const json_t *body = req_envelope(r, "user");
    if (!body)
        return req_failed(r);
    if (r->step == STEP_START)
        return check_original(r, body);
    if (r->step == STEP_NEW_HASHED)
        return store_password(r);
    if (!r->waited.ok)
        return busy_or_unauthorized(r);
    return req_wait(
        r, (struct wait){ .type = WAIT_HASH, .password = password_in(r) },
        STEP_NEW_HASHED);
}

/* ---- /users/{id}/projects, /users/{id}/groups -------------------------- */

static bool user_known(struct req *r, const char *id)
{
    return resource_get(r, &resource_user, id) != NULL;
}

static bool listed_by_query(struct req *r, const char *name, const char *have)
{
    const char *want = req_query(r, name);
    return !want || (have && strcmp(want, have) == 0);
}

static bool project_of_user(struct req *r, const void *record, const void *arg)
{
    const struct project *p = record;
    const char *enabled = req_query(r, "enabled");
    bool on = !enabled ||
              (strcmp(enabled, "0") != 0 && strcasecmp(enabled, "false") != 0);
    return listed_by_query(r, "name", p->name) &&
           listed_by_query(r, "domain_id", p->domain_id) &&
           (!enabled || p->enabled == on) &&
           grants_any(r->snap, arg, TARGET_PROJECT, p->rec.id);
}

enum outcome user_projects(struct req *r)
{
    if (!user_known(r, r->param[0]))
        return req_failed(r);
    return reply_list(r, &resource_project, project_of_user, r->param[0]);
}

static bool group_of_user(struct req *r, const void *record, const void *arg)
{
    const struct group *g = record;
    return listed_by_query(r, "name", g->name) &&
           group_has_user(r->snap, g->rec.id, arg);
}

enum outcome user_groups(struct req *r)
{
    if (!user_known(r, r->param[0]))
        return req_failed(r);
    return reply_list(r, &resource_group, group_of_user, r->param[0]);
}
