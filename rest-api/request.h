/*
 * request - one API call on its way through the house.
 *
 * A handler is a function of (snapshot, request, now) to (transaction,
 * response).  It reads records from r->snap only, puts what it wants changed
 * into r->txn and writes the answer into r->resp as if the transaction had
 * already succeeded.  It never blocks, waits or calls out.  Then api_step
 * says what the rim has to do next:
 *
 *   API_DONE    send r->resp
 *   API_COMMIT  submit r->txn; then api_committed(); then step again
 *   API_WAIT    do or await r->wait; then step again
 *   API_CONFIRM find out whether the cache is current (state/confirm.h); then
 *               api_confirmed(); then step again
 *
 * In a pool of several nodes every request begins with API_CONFIRM (but those
 * for documents that are the same for all): what was answered by any node
 * before it came is then in its snapshot.  Who asks is found out again on that
 * one, so that a token or a role is known through any node too.
 *
 * When that cannot be told (most of the voters are away), the answer comes
 * from what is remembered: it says so (API_UNCONFIRMED, the seconds since it
 * was known to be current); it never says that something is not there, but
 * 503; and when that is longer ago than API_MEMORY_US it is 503 altogether,
 * but for identity and for Cairn's own API, by which one finds out why.
 *
 * If the commit meets a CONFLICT (somebody changed what the handler had
 * read), the handler runs again on a newer snapshot, up to API_TRIES times.
 * After a COMMITTED the response goes out once the cache has reached that
 * revision, so that a client reads its own writes.
 *
 * A handler that needs something slow (a password hashed, another part to do
 * its work) returns req_wait_*(): what it put into the txn is committed
 * first, then the wait is awaited, then the handler runs again with r->step
 * set to the step it named.  Its answers stand in r->waited.
 *
 * The rim runs this for libmicrohttpd with suspended connections; the
 * simulation runs it in one thread and may let anything happen between two
 * steps.  A req belongs to one thread at a time.
 */
#ifndef CAIRN_REST_API_REQUEST_H
#define CAIRN_REST_API_REQUEST_H

#include "common/env.h"
#include "common/jw.h"
#include "model/model.h"
#include "rest-api/http.h"

#define API_TRIES       20
#define API_PARAMS_MAX  6
#define API_MEMORY_US   (60 * SECOND_US)
#define API_UNCONFIRMED "X-Cairn-Unconfirmed"

struct api;
struct route;
struct service_api;

/* 2.90 is 2090: major * 1000 + minor; 0 = the service has none. */
typedef int microversion;
#define MV(major, minor) ((major)*1000 + (minor))

/* Who asks, as auth.h found out from the token and the snapshot. */
enum scope { SCOPE_NONE, SCOPE_PROJECT, SCOPE_DOMAIN, SCOPE_SYSTEM };
struct auth {
    bool valid; /* a valid token came with the request */
    const char *user_id;
    const char *user_domain_id;
    int scope;              /* enum scope */
    const char *project_id; /* SCOPE_PROJECT */
    const char *project_domain_id;
    const char *domain_id;               /* SCOPE_DOMAIN */
    struct strs role_ids;                /* effective, implied ones included */
    bool is_admin, is_member, is_reader; /* admin implies member, reader */
    const char *app_credential_id;
    unsigned methods; /* bits of enum auth_method (token.h) */
    const char *audit_id;
    const char *parent_audit_id;
    int64_t issued, expires;
};

enum outcome { OUT_FAIL, OUT_REPLY, OUT_WAIT };

enum wait_type {
    WAIT_NONE,
    WAIT_PASSWORD, /* is `password` the one of `hash`?  -> waited.ok */
    WAIT_HASH,     /* hash `password`                    -> waited.text */
    WAIT_RECORD,   /* a newer revision of a record than mod_rev, or it gone */
    WAIT_CALL,     /* the privileged side does `op`(json) -> waited.text */
    WAIT_BODY,     /* streaming route: take the body into `upload_id` */
};

struct wait {
    enum wait_type type;
    const char *password, *hash;
    const struct kind *kind;
    const char *id;
    int64_t mod_rev;
    int64_t deadline; /* wall clock us; then waited.ok is false */
    const char *op, *json;
    const char *upload_id;
    int64_t max_bytes;
};

struct waited {
    bool ok;
    struct error err; /* when not ok */
    struct buf text;
    int64_t bytes; /* WAIT_BODY: taken */
    char md5[33], sha512[129];
};

struct req {
    struct api *api;
    const struct env *env;
    const struct http_request *http;
    struct http_response resp;
    struct arena arena; /* lives as long as the request */

    const struct service_api *service;
    const struct route *route;
    const char *param[API_PARAMS_MAX]; /* {..} of the route, decoded */
    microversion mv;                   /* asked for and within range */
    json_t *body;                      /* parsed, or NULL if there is none */
    struct auth auth;
    char request_id[4 + UUID_SIZE]; /* "req-<uuid>" */

    struct snapshot *snap;
    int64_t now;
    struct txn txn;
    struct error err;
    const char *fault_type; /* neutron's exception name, or NULL */

    int step; /* 0 at first; see req_wait_* */
    int next_step;
    struct wait wait;
    struct waited waited;
    void *state; /* the handler's own between steps, in the arena */

    const char *base_url; /* req_base_url's, once it was asked for */
    unsigned tries;
    int phase;        /* private to request.c */
    bool unconfirmed; /* .. : answered from what is remembered */
    enum outcome outcome;
};

typedef enum outcome handler_fn(struct req *r);

enum api_next { API_DONE, API_COMMIT, API_WAIT, API_CONFIRM };

/* `http` must outlive it. */
void req_init(struct req *r, struct api *api, const struct http_request *http);
void req_free(struct req *r);
/* Matches the route, checks token and policy, without a body yet.  Tells the
 * rim how to take the body.  After false the next api_step says API_DONE.  A
 * token that is no good may still be refused after API_CONFIRM only. */
enum body_kind { BODY_NONE, BODY_JSON, BODY_STREAM };
bool api_begin(struct req *r, enum body_kind *body);
enum api_next api_step(struct req *r);
void api_committed(struct req *r, const struct txn_result *result);
/* `age`: us since the cache was known to be current, if it is not now. */
void api_confirmed(struct req *r, bool current, int64_t age);

/* ---- for handlers ------------------------------------------------------ */

/* The answer is an error; the service's fault body is made from it. */
enum outcome req_fail(struct req *r, enum error_code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The same with the exception name that neutron puts into its body. */
enum outcome req_fail_type(struct req *r, enum error_code code,
                           const char *type, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* r->err has been set by what was called. */
enum outcome req_failed(struct req *r);

enum outcome req_reply(struct req *r, int status); /* body as written */
enum outcome req_wait(struct req *r, struct wait wait, int next_step);
/* A JSON writer on the response body. */
struct jw req_json(struct req *r);

const char *req_header(struct req *r, const char *name);
const char *req_query(struct req *r, const char *name);
char *req_strf(struct req *r, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* The object under `name` in the body ({"server": {..}}), borrowed; on
 * failure NULL and r->err is set. */
json_t *req_envelope(struct req *r, const char *name);
/* "https://host/compute" of this service as the client should use it. */
const char *req_base_url(struct req *r);
const char *req_uuid(struct req *r);   /* a new one, in the arena */
const char *req_hex_id(struct req *r); /* 32 hex digits */
/* The record of a kind, if there and if the caller may know of it: owner
 * project (field "project_id") is the caller's or the caller is admin.
 * NULL otherwise, r->err is then "<noun> <id> could not be found". */
const void *req_owned(struct req *r, const struct kind *kind, const char *id,
                      const char *noun);
bool req_may_see(const struct req *r, const char *project_id);

#endif
