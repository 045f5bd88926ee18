/* bench/http: the face in this process, plain HTTP on loopback, asked by wrk:
 * one server and lists of 100 from a pool of 1,000, with 1 and 8 connections.
 * "per_core" is requests by our own CPU time alone.  Prints one JSON line.
 *
 *   http [seconds]          of each measurement (2)
 *   http --serve            go on serving: prints what to ask it with
 *   http --loop             only the handlers, without HTTP; "anew": nothing
 *                           is kept of what was written before
 *   http --dump             print answers: equal for equal builds */
#include "bench/pool/pool.h"
#include "common/jw.h"
#include "openstack-compat/bootstrap.h"
#include "rest-api/auth.h"
#include "rest-api/fragments.h"
#include "rest-api/httpd.h"
#include "tests/unit/failing_store.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

struct house {
    struct store *store;
    struct cache *cache;
    struct tokens *tokens;
    struct password_queue *passwords;
    struct httpd *httpd;
    struct api api;
    int listen_fd, port;
    char token[TOKEN_TEXT_MAX];
    struct pool_names names;
    const char *version; /* header of the requests of ask() */
};

/* ---- records ----------------------------------------------------------- */

/* The same ids and times at every run, so that two builds can be compared
 * byte by byte (--dump). */
static uint64_t seed = 1;

static void seeded_random(void *self, void *out, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        ((uint8_t *)out)[i] = (uint8_t)(seed >> 24);
    }
}

static int64_t seeded_now(void *self)
{
    return INT64_C(1700000000123456);
}

static const struct env env_seeded = { .now = seeded_now,
                                       .mono = seeded_now,
                                       .random = seeded_random };

static void put_records(struct house *h)
{
    const struct bootstrap_opts opts = { .env = &env_seeded,
                                         .public_url = "http://127.0.0.1",
                                         .admin_password = "secret",
                                         .password_cost = 16 };
    struct error err = { 0 };
    _autosnap_ struct snapshot *snap = cache_snapshot(h->cache);
    if (!bootstrap(h->store, snap, &opts, &err)) {
        fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
    pool_fill(h->store, &env_seeded, &h->names);
}

/* ---- the face ---------------------------------------------------------- */

static bool no_call(void *self, const char *op, const char *json,
                    struct buf *out, int *fd, struct error *err)
{
    return error_set(err, ERR_NOT_IMPLEMENTED, "no calls here");
}

static void house_listen(struct house *h)
{
    struct sockaddr_in sa = { .sin_family = AF_INET };
    socklen_t len = sizeof(sa);
    sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    h->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(h->listen_fd, (void *)&sa, sizeof(sa)) != 0 ||
        listen(h->listen_fd, 64) != 0 ||
        getsockname(h->listen_fd, (void *)&sa, &len) != 0)
        abort();
    h->port = ntohs(sa.sin_port);
}

static void house_open(struct house *h)
{
    struct error err;
    struct token t;
    h->store = failing_store_new(store_memory_open(&env_system));
    h->cache = cache_new(model_kinds, N_KINDS);
    h->tokens = tokens_new(&env_system, h->cache);
    h->passwords = password_queue_new(&env_system, 16, 1);
    h->api = (struct api){
        .env = &env_system,
        .cache = h->cache,
        .tokens = h->tokens,
        .auth_memory = auth_memory_new(h->cache),
        .fragments = fragments_new(8 * 1024 * 1024),
        .authenticate = auth_request,
        .public_url = "http://127.0.0.1",
        .region = "RegionOne",
    };
    h->httpd = httpd_new(&(struct httpd_config){
        .driver = { .api = &h->api,
                    .store = h->store,
                    .passwords = h->passwords,
                    .io = { h, no_call } },
    });
    if (!cache_follow(h->cache, h->store, &err))
        abort();
    put_records(h);
    auth_new_token(&env_system, h->names.user, SCOPE_PROJECT, h->names.project,
                   24 * 3600 * SECOND_US, &t);
    if (!token_seal(h->tokens, &t, h->token))
        abort();
    house_listen(h);
    if (!httpd_start(h->httpd, h->listen_fd, &err)) {
        fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
}

/* ---- without connections ------------------------------------------------ */

static const char *fake_header(void *rim, const char *name)
{
    const struct house *h = rim;
    if (strcmp(name, "X-Auth-Token") == 0)
        return h->token;
    if (strcmp(name, "Host") == 0)
        return "127.0.0.1:8774";
    return strcmp(name, "OpenStack-API-Version") == 0 ? h->version : NULL;
}

/* One request through the handlers; its body. */
static void ask(struct house *h, struct req *r, struct http_request *http,
                const char *path)
{
    enum body_kind body;
    http->method = "GET";
    http->path = path;
    http->header = fake_header;
    http->rim = h;
    req_init(r, &h->api, http);
    if (api_begin(r, &body))
        api_step(r);
}

static double cpu_s(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

/* Requests a second of one core by the handlers alone. */
static void loop(struct house *h, struct jw *w, const char *name,
                 const char *path, int rounds)
{
    struct req *r = xcalloc(1, sizeof(*r));
    struct http_request *http = xcalloc(1, sizeof(*http));
    double begun = cpu_s();
    for (int i = 0; i < rounds; i++) {
        ask(h, r, http, path);
        if (r->resp.status != 200)
            abort();
        req_free(r);
    }
    jw_int(w, name, (int64_t)(rounds / (cpu_s() - begun)));
    free(http);
    free(r);
}

static void dump(struct house *h, const char *path)
{
    static const char *const versions[] = { NULL, "compute 2.1", "compute 2.60",
                                            "compute 2.90" };
    for (size_t i = 0; i < ARRAY_SIZE(versions); i++) {
        struct req r;
        struct http_request http = { 0 };
        h->version = versions[i];
        ask(h, &r, &http, path);
        printf("%d %s\n", r.resp.status, buf_str(&r.resp.body));
        for (size_t k = 1; k < r.resp.headers.n; k++)
            printf("%s: %s\n", r.resp.headers.v[k].name,
                   r.resp.headers.v[k].value);
        req_free(&r);
    }
}

/* ---- wrk --------------------------------------------------------------- */

static void measure(struct house *h, struct jw *w, const char *name,
                    const char *path, int connections, int seconds)
{
    char line[512],
        *cmd = xasprintf(
            "wrk -t1 -c%d -d%ds -H 'X-Auth-Token: %s' 'http://127.0.0.1:%d%s'",
            connections, seconds, h->token, h->port, path);
    double rate = 0, begun = cpu_s();
    long long requests = 0, failed = 0;
    FILE *f = popen(cmd, "r");
    while (f && fgets(line, sizeof(line), f)) {
        sscanf(line, " %lld requests in", &requests);
        sscanf(line, " Non-2xx or 3xx responses: %lld", &failed);
        sscanf(line, "Requests/sec: %lf", &rate);
    }
    if (!f || pclose(f) != 0 || failed)
        fprintf(stderr, "bench: %s: %lld of %lld failed\n", path, failed,
                requests);
    jw_obj(w, name);
    jw_int(w, "connections", connections);
    jw_int(w, "per_s", (int64_t)rate);
    jw_int(w, "per_core", (int64_t)((double)requests / (cpu_s() - begun)));
    jw_int(w, "failed", failed);
    jw_obj_end(w);
    free(cmd);
}

static void measure_all(struct house *h, int seconds)
{
    struct buf json = BUF_INIT(64 * 1024);
    struct jw w = JW_INIT(&json);
    char *one = xasprintf("/compute/v2.1/servers/%s", h->names.server);
    const char *list = "/compute/v2.1/servers/detail";
    jw_obj(&w, NULL);
    loop(h, &w, "handler_single", one, 20000 * seconds);
    loop(h, &w, "handler_list100", list, 500 * seconds);
    measure(h, &w, "version_8", "/compute/v2.1", 8, seconds);
    measure(h, &w, "single_1", one, 1, seconds);
    measure(h, &w, "single_8", one, 8, seconds);
    measure(h, &w, "list100_1", list, 1, seconds);
    measure(h, &w, "list100_8", list, 8, seconds);
    jw_obj_end(&w);
    puts(buf_str(&json));
    buf_free(&json);
    free(one);
}

static void loop_all(struct house *h, int seconds)
{
    struct buf json = BUF_INIT(64 * 1024);
    struct jw w = JW_INIT(&json);
    char *one = xasprintf("/compute/v2.1/servers/%s", h->names.server);
    jw_obj(&w, NULL);
    loop(h, &w, "handler_single", one, 5000 * seconds);
    loop(h, &w, "handler_list100", "/compute/v2.1/servers/detail",
         500 * seconds);
    struct fragments *kept = h->api.fragments;
    h->api.fragments = NULL;
    loop(h, &w, "handler_single_anew", one, 5000 * seconds);
    loop(h, &w, "handler_list100_anew", "/compute/v2.1/servers/detail",
         100 * seconds);
    h->api.fragments = kept;
    jw_obj_end(&w);
    puts(buf_str(&json));
    buf_free(&json);
    free(one);
}

static void serve(const struct house *h)
{
    printf("http://127.0.0.1:%d/compute/v2.1/servers/%s\n"
           "X-Auth-Token: %s\n",
           h->port, h->names.server, h->token);
    fflush(stdout);
    pause();
}

static void dump_all(struct house *h)
{
    char *one = xasprintf("/compute/v2.1/servers/%s", h->names.server);
    dump(h, one);
    dump(h, "/compute/v2.1/servers/detail");
    dump(h, "/compute/v2.1/servers");
    dump(h, "/compute/v2.1/flavors/detail");
    dump(h, "/compute/v2.1");
    dump(h, "/compute/v2.1/servers/none");
    free(one);
}

int main(int argc, char **argv)
{
    struct house h = { 0 };
    const char *what = argc > 1 ? argv[1] : "2";
    house_open(&h);
    if (strcmp(what, "--serve") == 0)
        serve(&h);
    else if (strcmp(what, "--dump") == 0)
        dump_all(&h);
    else if (strcmp(what, "--loop") == 0)
        loop_all(&h, 10);
    else
        measure_all(&h, atoi(what));
    httpd_stop(h.httpd, SECOND_US);
    cache_unfollow(h.cache);
    password_queue_free(h.passwords);
    httpd_free(h.httpd);
    auth_memory_free(h.api.auth_memory);
    fragments_free(h.api.fragments);
    tokens_free(h.tokens);
    cache_free(h.cache);
    store_close(h.store);
    close(h.listen_fd);
    return 0;
}
