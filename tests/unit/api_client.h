/*
 * api_client - the API without sockets, for tests.
 *
 * A pool of its own in memory: store, cache, token keys, first content
 * (bootstrap.h).  api_call takes one request through api_begin and api_step
 * as the rim would; waits are done on the spot (passwords with a cheap
 * scrypt), others by a hook.  Time and chance come from a seeded env; the
 * clock moves one millisecond with each call, and by api_sleep.
 *
 *     struct api_client *c = api_client_new();
 *     struct api_reply r = api_call(c, "GET", "/identity/v3/users",
 *                                   c->admin, NULL);
 *     assert_int_equal(r.status, 200);
 *     api_reply_free(&r);
 *
 * Everything asserts by cmocka.  One thread.
 */
#ifndef CAIRN_TESTS_API_CLIENT_H
#define CAIRN_TESTS_API_CLIENT_H

#include "test.h"

#include "model/model.h"
#include "rest-api/api.h"

#include <jansson.h>

#define API_ADMIN_PASSWORD "admin-secret"
#define API_DEMO_PASSWORD  "demo-secret"

struct api_client {
    struct env env;
    int64_t time; /* wall clock, us */
    uint64_t seed;
    struct store *store;
    struct cache *cache;
    struct api api;
    /* Tokens of user admin on project admin, of demo on demo; and ids. */
    char *admin, *demo;
    char admin_project[40], demo_project[40], admin_user[40], demo_user[40];
    /* Answers waits other than those for passwords; NULL: they fail.
     * WAIT_CALL: put the answer into waited->text, set waited->ok. */
    void (*wait)(struct api_client *c, const struct wait *wait,
                 struct waited *waited);
    void *user; /* the test's own */
    /* Sent with the next calls, e.g. "OpenStack-API-Version"; up to NULL. */
    struct param headers[8];
    unsigned commits; /* transactions so far */
    /* What API_CONFIRM is told, how old the cache is then; how often. */
    bool unconfirmed;
    int64_t age;
    unsigned confirms;
    /* Called before, once; then NULL again: what happens meanwhile. */
    void (*confirming)(struct api_client *c);
};

struct api_reply {
    int status;
    json_t *json; /* NULL when the body is empty or no JSON */
    char *body;
    char *token;                     /* X-Subject-Token */
    char *location;                  /* Location */
    char *blob;                      /* struct http_response: blob */
    char *unconfirmed, *retry_after; /* headers */
};

/* With the external network 203.0.113.0/24 and both projects. */
struct api_client *api_client_new(void);
void api_client_free(struct api_client *c);

/* `path` with its query; `token` and `body` (text) may be NULL. */
struct api_reply api_call(struct api_client *c, const char *method,
                          const char *path, const char *token,
                          const char *body);
/* The same, path and body by printf: fmt is the body's; path as is. */
struct api_reply api_callf(struct api_client *c, const char *method,
                           const char *path, const char *token, const char *fmt,
                           ...) __attribute__((format(printf, 5, 6)));
void api_reply_free(struct api_reply *r);
/* A race: api_hold runs a call up to its first commit and stops there; other
 * calls may come in between; api_release commits and runs it to its end. */
struct api_held;
struct api_held *api_hold(struct api_client *c, const char *method,
                          const char *path, const char *token,
                          const char *body);
struct api_reply api_release(struct api_held *held);

/* Calls, sees that the status is the expected one (prints the body if not)
 * and returns the JSON (or NULL), to be released by the caller. */
json_t *api_expect(struct api_client *c, int status, const char *method,
                   const char *path, const char *token, const char *body);
/* The same and drops the answer. */
void api_status(struct api_client *c, int status, const char *method,
                const char *path, const char *token, const char *body);
/* The same body after body: a table of what is accepted and what is not. */
struct api_case {
    int status;
    const char *body;
};
void api_each(struct api_client *c, const char *method, const char *path,
              const char *token, const struct api_case *cases, size_t n);
/* A string within: api_text(json, "user.id", "items.0.name"); asserts. */
const char *api_text(const json_t *json, const char *path);
/* Anything within, or NULL. */
json_t *api_at(const json_t *json, const char *path);

/* A token by password on a project of domain default; malloced, or NULL. */
char *api_login(struct api_client *c, const char *user, const char *password,
                const char *project);
void api_sleep(struct api_client *c, int64_t us);
/* The newest snapshot; to be released. */
struct snapshot *api_snapshot(struct api_client *c);

#endif
