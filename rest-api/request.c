#include "rest-api/request.h"

#include "model/pool.h"
#include "rest-api/api.h"
#include "rest-api/route.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum phase {
    PHASE_CONFIRM,    /* the rim finds out whether the cache is current */
    PHASE_RUN,        /* the handler runs next */
    PHASE_COMMITTING, /* the rim has the txn */
    PHASE_COMMITTED,
    PHASE_WAITING, /* the rim does r->wait */
    PHASE_DONE,
};

void req_init(struct req *r, struct api *api, const struct http_request *http)
{
    memset(r, 0, sizeof(*r));
    r->api = api;
    r->env = api->env;
    r->http = http;
    buf_init(&r->resp.body, HTTP_REPLY_MAX);
    buf_init(&r->waited.text, HTTP_BODY_MAX);
    memcpy(r->request_id, "req-", 4);
    env_uuid(r->env, r->request_id + 4);
    r->now = env_now(r->env);
    r->snap = cache_snapshot(api->cache);
}

void req_free(struct req *r)
{
    txn_reset(&r->txn);
    buf_free(&r->resp.body);
    buf_free(&r->waited.text);
    snapshot_unref(r->snap);
    json_decref(r->body);
    arena_free(&r->arena);
}

/* ---- stepping ---------------------------------------------------------- */

static bool policy_allows(struct req *r)
{
    const struct auth *a = &r->auth;
    enum policy policy = r->route->policy;
    if (policy == POLICY_PUBLIC)
        return true;
    if (!a->valid)
        return error_set(&r->err, ERR_UNAUTHENTICATED,
                         "The request you have made requires authentication.");
    /* Servers, networks and volumes are some project's; keystone's things
     * and the pool's own are not. */
    enum api_style style = r->service->style;
    bool scoped = a->scope == SCOPE_PROJECT || style == STYLE_KEYSTONE ||
                  style == STYLE_NATIVE;
    bool allowed[] = {
        [POLICY_TOKEN] = true,
        [POLICY_READER] = a->is_reader && scoped,
        [POLICY_MEMBER] = a->is_member && scoped,
        [POLICY_ADMIN] = a->is_admin && scoped,
    };
    return allowed[policy] ||
           error_set(&r->err, ERR_FORBIDDEN,
                     "You are not authorized to perform the requested action: "
                     "%s %s",
                     r->route->method, r->route->path);
}

/* A dead token in the header must keep nobody from what is public: making a
 * new one, for instance. */
static bool authenticate(struct req *r)
{
    if (r->api->authenticate(r))
        return true;
    if (r->route->policy != POLICY_PUBLIC)
        return false;
    error_clear(&r->err);
    return true;
}

/* What is not remembered may have been made meanwhile. */
static void doubt(struct req *r)
{
    if (r->unconfirmed && r->err.code == ERR_NOT_FOUND)
        error_set(&r->err, ERR_UNAVAILABLE,
                  "This node cannot reach most of its pool now, and knows no "
                  "such thing.");
    if (r->err.code == ERR_UNAVAILABLE && r->unconfirmed)
        http_header(&r->resp, "Retry-After", "1");
}

static void finish_failed(struct req *r)
{
    doubt(r);
    txn_reset(&r->txn);
    r->outcome = OUT_FAIL;
    r->phase = PHASE_DONE;
    fault_write(r);
}

static bool only_reads(const struct req *r)
{
    const char *method = r->http->method;
    return strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
}

/* Is there somebody else who could have answered a write?  A node becomes a
 * member long before its API answers.  What strangers may read is the same
 * for all. */
static bool must_confirm(const struct req *r)
{
    return snap_count(r->snap, &kind_member) > 1 &&
           !(r->route->policy == POLICY_PUBLIC && only_reads(r));
}

bool api_begin(struct req *r, enum body_kind *body)
{
    *body = BODY_NONE;
    http_header(&r->resp, "X-Openstack-Request-Id", r->request_id);
    bool found = route_match(r);
    bool confirms = found && must_confirm(r);
    bool allowed = found && authenticate(r) && policy_allows(r);
    if (!allowed && !(confirms && req_header(r, "X-Auth-Token"))) {
        finish_failed(r);
        return false;
    }
    r->phase = confirms ? PHASE_CONFIRM : PHASE_RUN;
    if (r->route->flags & ROUTE_STREAM)
        *body = BODY_STREAM;
    else if (!only_reads(r))
        *body = BODY_JSON;
    return true;
}

static bool is_too_old(const struct req *r, int64_t age)
{
    enum api_style style = r->service->style;
    return age > API_MEMORY_US && style != STYLE_KEYSTONE &&
           style != STYLE_NATIVE;
}

void api_confirmed(struct req *r, bool current, int64_t age)
{
    r->phase = PHASE_RUN;
    r->unconfirmed = !current;
    r->auth = (struct auth){ 0 };
    error_clear(&r->err);
    snapshot_unref(r->snap);
    r->snap = cache_snapshot(r->api->cache);
    if (!current)
        http_header(&r->resp, API_UNCONFIRMED,
                    req_strf(r, "%lld", (long long)(age / SECOND_US)));
    if (!current && is_too_old(r, age))
        error_set(&r->err, ERR_UNAVAILABLE,
                  "This node has not reached most of its pool for %lld s.",
                  (long long)(age / SECOND_US));
    if (r->err.code || !authenticate(r) || !policy_allows(r))
        finish_failed(r);
}

static bool json_content_type(const char *type)
{
    if (!type || !*type)
        return true;
    static const char patch[] = "json-patch"; /* glance's */
    size_t len = strcspn(type, "; "), n = strlen(patch);
    return (len >= 4 && strncasecmp(type + len - 4, "json", 4) == 0) ||
           (len >= n && strncasecmp(type + len - n, patch, n) == 0);
}

/* Parses the body once; a route that wants none does not look. */
static bool parse_body(struct req *r)
{
    const struct http_request *h = r->http;
    if (r->body || !h->body_len || r->route->flags & ROUTE_NO_BODY)
        return true;
    if (h->body_len > HTTP_BODY_MAX)
        return error_set(&r->err, ERR_TOO_LARGE, "Request is too large.");
    if (!json_content_type(req_header(r, "Content-Type")))
        return error_set(&r->err, ERR_MEDIA_TYPE,
                         "Unsupported Content-Type, use application/json");
    json_error_t why;
    r->body = json_loadb(h->body, h->body_len, JSON_REJECT_DUPLICATES, &why);
    return r->body ||
           error_set(&r->err, ERR_INVALID,
                     "Malformed request body: not valid JSON (line %d: %s)",
                     why.line, why.text);
}

/* What was written by an earlier run of the handler is void. */
static void clear_run(struct req *r)
{
    txn_reset(&r->txn);
    buf_reset(&r->resp.body);
    error_clear(&r->err);
    r->fault_type = NULL;
    r->resp.status = 0;
    r->resp.blob = NULL;
    r->wait = (struct wait){ 0 };
    snapshot_unref(r->snap);
    r->snap = cache_snapshot(r->api->cache);
    r->now = env_now(r->env);
}

static enum api_next run(struct req *r)
{
    size_t headers = r->resp.headers.n;
    clear_run(r);
    r->outcome = parse_body(r) ? r->route->handler(r) : OUT_FAIL;
    if (r->outcome != OUT_FAIL && r->resp.body.overflow) {
        error_set(&r->err, ERR_TOO_LARGE, "The answer is too large.");
        r->outcome = OUT_FAIL;
    }
    if (r->outcome == OUT_FAIL) {
        finish_failed(r);
        return API_DONE;
    }
    if (!txn_empty(&r->txn)) {
        r->phase = PHASE_COMMITTING;
        r->resp.headers.n =
            r->outcome == OUT_WAIT ? headers : r->resp.headers.n;
        return API_COMMIT;
    }
    r->phase = r->outcome == OUT_WAIT ? PHASE_WAITING : PHASE_DONE;
    return r->outcome == OUT_WAIT ? API_WAIT : API_DONE;
}

enum api_next api_step(struct req *r)
{
    switch (r->phase) {
    case PHASE_CONFIRM:
        return API_CONFIRM;
    case PHASE_COMMITTED:
        r->phase = r->outcome == OUT_WAIT ? PHASE_WAITING : PHASE_DONE;
        return r->outcome == OUT_WAIT ? API_WAIT : API_DONE;
    case PHASE_WAITING: /* the wait is over */
        r->step = r->next_step;
        r->tries = 0;
        r->phase = PHASE_RUN;
        return run(r);
    case PHASE_RUN:
        return run(r);
    case PHASE_COMMITTING:
        return API_COMMIT;
    default:
        return API_DONE;
    }
}

/* A header that a voided run added must not be sent twice. */
static void drop_run_headers(struct req *r)
{
    size_t n = 0;
    for (size_t i = 0; i < r->resp.headers.n; i++) {
        const char *name = r->resp.headers.v[i].name;
        bool keep = strcmp(name, "X-Openstack-Request-Id") == 0 ||
                    strcmp(name, "Vary") == 0 ||
                    strcmp(name, API_UNCONFIRMED) == 0 ||
                    strstr(name, "API-Version") != NULL;
        if (keep)
            r->resp.headers.v[n++] = r->resp.headers.v[i];
    }
    r->resp.headers.n = n;
}

void api_committed(struct req *r, const struct txn_result *result)
{
    switch (result->status) {
    case TXN_COMMITTED:
        r->phase = PHASE_COMMITTED;
        return;
    case TXN_CONFLICT:
        if (++r->tries < API_TRIES) {
            drop_run_headers(r);
            r->phase = PHASE_RUN;
            return;
        }
        error_set(&r->err, ERR_CONFLICT,
                  "The resource is being changed by others, try again.");
        break;
    case TXN_FAILED:
    case TXN_UNKNOWN:
        error_copy(&r->err, &result->err);
        break;
    }
    finish_failed(r);
}

/* ---- for handlers ------------------------------------------------------ */

enum outcome req_fail(struct req *r, enum error_code code, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    error_setv(&r->err, code, fmt, args);
    va_end(args);
    return OUT_FAIL;
}

enum outcome req_fail_type(struct req *r, enum error_code code,
                           const char *type, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    error_setv(&r->err, code, fmt, args);
    va_end(args);
    r->fault_type = type;
    return OUT_FAIL;
}

enum outcome req_failed(struct req *r)
{
    return OUT_FAIL;
}

enum outcome req_reply(struct req *r, int status)
{
    r->resp.status = status;
    return OUT_REPLY;
}

enum outcome req_wait(struct req *r, struct wait wait, int next_step)
{
    r->wait = wait;
    r->next_step = next_step;
    buf_reset(&r->waited.text);
    error_clear(&r->waited.err);
    r->waited.ok = false;
    return OUT_WAIT;
}

struct jw req_json(struct req *r)
{
    return JW_INIT(&r->resp.body);
}

const char *req_header(struct req *r, const char *name)
{
    return r->http->header(r->http->rim, name);
}

const char *req_query(struct req *r, const char *name)
{
    return params_get(&r->http->query, name);
}

char *req_strf(struct req *r, const char *fmt, ...)
{
    char text[4096];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    return arena_strdup(&r->arena, text);
}

json_t *req_envelope(struct req *r, const char *name)
{
    json_t *inner = r->body ? json_object_get(r->body, name) : NULL;
    if (!json_is_object(r->body))
        error_set(&r->err, ERR_INVALID, "A JSON object is expected as body.");
    else if (!inner)
        error_set(&r->err, ERR_INVALID, "'%s' is a required property", name);
    else if (!json_is_object(inner))
        error_set(&r->err, ERR_INVALID, "'%s' must be an object", name);
    else
        return inner;
    return NULL;
}

static bool host_is_sane(const char *host)
{
    size_t ok = strspn(host, "abcdefghijklmnopqrstuvwxyz"
                             "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:[]");
    return *host && !host[ok] && ok < 256;
}

static const char *base_url(struct req *r)
{
    const char *host = req_header(r, "Host");
    const char *url = r->api->public_url;
    const char *prefix = r->service ? r->service->prefix : "";
    if (!host || !host_is_sane(host))
        return req_strf(r, "%s%s", url, prefix);
    int scheme = (int)(strstr(url, "://") - url);
    return req_strf(r, "%.*s://%s%s", scheme, url, host, prefix);
}

const char *req_base_url(struct req *r)
{
    if (!r->base_url)
        r->base_url = base_url(r);
    return r->base_url;
}

const char *req_uuid(struct req *r)
{
    char id[UUID_SIZE];
    env_uuid(r->env, id);
    return arena_strdup(&r->arena, id);
}

const char *req_hex_id(struct req *r)
{
    char id[33];
    env_hex_id(r->env, id);
    return arena_strdup(&r->arena, id);
}

bool req_may_see(const struct req *r, const char *project_id)
{
    const struct auth *a = &r->auth;
    return a->is_admin || (project_id && a->project_id &&
                           strcmp(project_id, a->project_id) == 0);
}

const void *req_owned(struct req *r, const struct kind *kind, const char *id,
                      const char *noun)
{
    const void *record = snap_get(r->snap, kind, id);
    const struct field *f = schema_field(&kind->schema, "project_id");
    const char *owner =
        record && f ? *(const char **)field_ptr(record, f) : NULL;
    if (record && (!f || req_may_see(r, owner)))
        return record;
    error_set(&r->err, ERR_NOT_FOUND, "%s %.80s could not be found.", noun, id);
    return NULL;
}
