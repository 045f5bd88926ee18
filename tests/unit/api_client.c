#include "api_client.h"

#include "model/pool.h"
#include "openstack-compat/bootstrap.h"
#include "openstack-compat/face_rights.h"
#include "rest-api/auth.h"
#include "rest-api/password.h"
#include "rest-api/route.h"
#include "rest-api/token.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define CHEAP_COST 16 /* of scrypt: no secret is kept here */

/* ---- time and chance --------------------------------------------------- */

static int64_t client_now(void *self)
{
    return ((struct api_client *)self)->time;
}

static void client_random(void *self, void *out, size_t len)
{
    struct api_client *c = self;
    unsigned char *bytes = out;
    for (size_t i = 0; i < len; i++) {
        c->seed = c->seed * UINT64_C(6364136223846793005) + 1442695040888963407;
        bytes[i] = (unsigned char)(c->seed >> 56);
    }
}

void api_sleep(struct api_client *c, int64_t us)
{
    c->time += us;
}

/* ---- a pool ------------------------------------------------------------ */

static void first_content(struct api_client *c)
{
    struct error err = { 0 };
    struct bootstrap_opts opts = {
        .env = &c->env,
        .public_url = "https://cairn.test",
        .admin_password = API_ADMIN_PASSWORD,
        .demo_password = API_DEMO_PASSWORD,
        .password_cost = CHEAP_COST,
        .external_cidr = "203.0.113.0/24",
        .external_gateway = "203.0.113.1",
    };
    struct snapshot *s = cache_snapshot(c->cache);
    if (!bootstrap(c->store, s, &opts, &err))
        fail_msg("bootstrap: %s", err.text);
    snapshot_unref(s);
}

static void find_ids(struct api_client *c)
{
    struct snapshot *s = cache_snapshot(c->cache);
    const struct record *r;
    r = snap_find(s, &kind_project, "name", "admin");
    snprintf(c->admin_project, sizeof(c->admin_project), "%s", r->id);
    r = snap_find(s, &kind_project, "name", "demo");
    snprintf(c->demo_project, sizeof(c->demo_project), "%s", r->id);
    r = snap_find(s, &kind_user, "name", "admin");
    snprintf(c->admin_user, sizeof(c->admin_user), "%s", r->id);
    r = snap_find(s, &kind_user, "name", "demo");
    snprintf(c->demo_user, sizeof(c->demo_user), "%s", r->id);
    snapshot_unref(s);
}

struct api_client *api_client_new(void)
{
    struct error err = { 0 };
    struct api_client *c = xcalloc(1, sizeof(*c));
    c->env = (struct env){ c, client_now, client_now, client_random };
    c->time = INT64_C(1795000000) * SECOND_US; /* November 2026 */
    c->seed = 42;
    c->store = store_memory_open(&c->env);
    c->cache = cache_new(model_kinds, N_KINDS);
    c->api = (struct api){
        .env = &c->env,
        .cache = c->cache,
        .tokens = tokens_new(&c->env, c->cache),
        .auth_memory = auth_memory_new(c->cache),
        .authenticate = auth_request,
        .public_url = "https://cairn.test",
        .region = "RegionOne",
    };
    if (!cache_follow(c->cache, c->store, &err))
        fail_msg("cache: %s", err.text);
    first_content(c);
    find_ids(c);
    c->admin = api_login(c, "admin", API_ADMIN_PASSWORD, "admin");
    c->demo = api_login(c, "demo", API_DEMO_PASSWORD, "demo");
    assert_non_null(c->admin);
    assert_non_null(c->demo);
    return c;
}

void api_client_free(struct api_client *c)
{
    cache_unfollow(c->cache);
    auth_memory_free(c->api.auth_memory);
    tokens_free(c->api.tokens);
    cache_free(c->cache);
    store_close(c->store);
    free(c->admin);
    free(c->demo);
    free(c);
}

struct snapshot *api_snapshot(struct api_client *c)
{
    return cache_snapshot(c->cache);
}

/* ---- one call ---------------------------------------------------------- */

struct api_held {
    struct api_client *c;
    const char *token;
    bool has_body;
    struct arena arena;
    struct http_request http;
    struct req req;
};

static const char *call_header(void *rim, const char *name)
{
    struct api_held *call = rim;
    if (strcasecmp(name, "X-Auth-Token") == 0)
        return call->token;
    if (strcasecmp(name, "Host") == 0)
        return "cairn.test";
    for (size_t i = 0; i < ARRAY_SIZE(call->c->headers); i++) {
        const struct param *p = &call->c->headers[i];
        if (p->name && strcasecmp(p->name, name) == 0)
            return p->value;
    }
    if (strcasecmp(name, "Content-Type") == 0)
        return call->has_body ? "application/json" : NULL;
    return NULL;
}

static void do_wait(struct api_client *c, struct req *r)
{
    struct waited *w = &r->waited;
    char hash[PASSWORD_HASH_MAX];
    switch (r->wait.type) {
    case WAIT_PASSWORD:
        w->ok = password_verify(CHEAP_COST, r->wait.password, r->wait.hash,
                                &w->err);
        return;
    case WAIT_HASH:
        w->ok =
            password_hash(&c->env, CHEAP_COST, r->wait.password, hash, &w->err);
        if (w->ok)
            buf_adds(&w->text, hash);
        return;
    default:
        if (c->wait)
            c->wait(c, &r->wait, w);
        else
            error_set(&w->err, ERR_UNAVAILABLE, "nobody does this wait");
    }
}

static void confirm(struct api_client *c, struct req *r)
{
    void (*meanwhile)(struct api_client *) = c->confirming;
    c->confirms++;
    c->confirming = NULL;
    if (meanwhile)
        meanwhile(c);
    api_confirmed(r, !c->unconfirmed, c->age);
}

/* False: done.  True: the next thing to do is the commit. */
static bool run_to_commit(struct api_held *h)
{
    for (;;) {
        switch (api_step(&h->req)) {
        case API_DONE:
            return false;
        case API_COMMIT:
            return true;
        case API_CONFIRM:
            confirm(h->c, &h->req);
            break;
        case API_WAIT:
            do_wait(h->c, &h->req);
            break;
        }
    }
}

static void commit(struct api_held *h)
{
    struct txn_result result;
    struct error err = { 0 };
    if (!rights_allow(face_rights, &h->req.txn, &err))
        fail_msg("the face %s", err.text);
    store_commit(h->c->store, &h->req.txn, &result);
    h->c->commits++;
    api_committed(&h->req, &result);
}

static char *header_of(const struct http_response *h, const char *name)
{
    for (size_t i = 0; i < h->headers.n; i++)
        if (strcasecmp(h->headers.v[i].name, name) == 0)
            return xstrdup(h->headers.v[i].value);
    return NULL;
}

static struct api_reply reply_of(const struct http_response *h)
{
    struct api_reply reply = {
        .status = h->status,
        .body = xstrdup(buf_str(&h->body)),
        .token = header_of(h, "X-Subject-Token"),
        .location = header_of(h, "Location"),
        .unconfirmed = header_of(h, API_UNCONFIRMED),
        .retry_after = header_of(h, "Retry-After"),
        .blob = h->blob ? xstrdup(h->blob) : NULL,
    };
    if (h->body.len)
        reply.json = json_loadb(h->body.data, h->body.len, 0, NULL);
    return reply;
}

static struct api_held *start(struct api_client *c, const char *method,
                              const char *path, const char *token,
                              const char *body)
{
    struct api_held *h = xcalloc(1, sizeof(*h));
    h->c = c;
    h->token = token ? arena_strdup(&h->arena, token) : NULL;
    h->has_body = body != NULL;
    char *where = arena_strdup(&h->arena, path), *query = strchr(where, '?');
    if (query)
        *query++ = '\0';
    h->http = (struct http_request){
        .method = method,
        .path = where,
        .header = call_header,
        .rim = h,
        .body = body ? arena_strdup(&h->arena, body) : NULL,
        .body_len = body ? strlen(body) : 0,
        .peer = "192.0.2.77",
    };
    if (!http_parse_query(&h->arena, query, &h->http.query))
        fail_msg("the query of %s is malformed", path);
    enum body_kind kind;
    c->time += 1000;
    req_init(&h->req, &c->api, &h->http);
    if (api_begin(&h->req, &kind) && kind == BODY_STREAM)
        h->http.body = NULL; /* taken by WAIT_BODY */
    return h;
}

static struct api_reply finish(struct api_held *h)
{
    struct api_reply reply = reply_of(&h->req.resp);
    req_free(&h->req);
    arena_free(&h->arena);
    free(h);
    return reply;
}

struct api_reply api_call(struct api_client *c, const char *method,
                          const char *path, const char *token, const char *body)
{
    struct api_held *h = start(c, method, path, token, body);
    while (run_to_commit(h))
        commit(h);
    return finish(h);
}

struct api_held *api_hold(struct api_client *c, const char *method,
                          const char *path, const char *token, const char *body)
{
    struct api_held *h = start(c, method, path, token, body);
    if (!run_to_commit(h))
        fail_msg("%s %s came to no commit: %d %s", method, path,
                 h->req.resp.status, buf_str(&h->req.resp.body));
    return h;
}

struct api_reply api_release(struct api_held *held)
{
    do
        commit(held);
    while (run_to_commit(held));
    return finish(held);
}

struct api_reply api_callf(struct api_client *c, const char *method,
                           const char *path, const char *token, const char *fmt,
                           ...)
{
    struct buf body = BUF_INIT(1 << 20);
    char text[65536];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    buf_adds(&body, text);
    struct api_reply r = api_call(c, method, path, token, buf_str(&body));
    buf_free(&body);
    return r;
}

void api_reply_free(struct api_reply *r)
{
    json_decref(r->json);
    free(r->body);
    free(r->token);
    free(r->location);
    free(r->unconfirmed);
    free(r->retry_after);
    free(r->blob);
}

json_t *api_expect(struct api_client *c, int status, const char *method,
                   const char *path, const char *token, const char *body)
{
    struct api_reply r = api_call(c, method, path, token, body);
    if (r.status != status)
        fail_msg("%s %s %s: %d instead of %d: %s", method, path,
                 body ? body : "", r.status, status, r.body);
    json_t *json = json_incref(r.json);
    api_reply_free(&r);
    return json;
}

void api_status(struct api_client *c, int status, const char *method,
                const char *path, const char *token, const char *body)
{
    json_decref(api_expect(c, status, method, path, token, body));
}

json_t *api_at(const json_t *json, const char *path)
{
    char name[128];
    while (json && *path) {
        size_t len = strcspn(path, ".");
        snprintf(name, sizeof(name), "%.*s", (int)len, path);
        json = json_is_array(json)
                   ? json_array_get(json, strtoul(name, NULL, 10))
                   : json_object_get(json, name);
        path += len + (path[len] == '.');
    }
    return (json_t *)json;
}

void api_each(struct api_client *c, const char *method, const char *path,
              const char *token, const struct api_case *cases, size_t n)
{
    for (size_t i = 0; i < n; i++)
        api_status(c, cases[i].status, method, path, token, cases[i].body);
}

const char *api_text(const json_t *json, const char *path)
{
    const char *s = json_string_value(api_at(json, path));
    if (!s)
        fail_msg("there is no string at '%s'", path);
    return s;
}

char *api_login(struct api_client *c, const char *user, const char *password,
                const char *project)
{
    struct api_reply r = api_callf(
        c, "POST", "/identity/v3/auth/tokens", NULL,
        "{\"auth\": {\"identity\": {\"methods\": [\"password\"],"
        " \"password\": {\"user\": {\"name\": \"%s\", \"password\": \"%s\","
        " \"domain\": {\"id\": \"default\"}}}},"
        " \"scope\": {\"project\": {\"name\": \"%s\","
        " \"domain\": {\"id\": \"default\"}}}}}",
        user, password, project);
    char *token = r.status == 201 ? xstrdup(r.token) : NULL;
    api_reply_free(&r);
    return token;
}
