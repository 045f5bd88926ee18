/* bench/http: the face in this process, plain HTTP on loopback, asked by wrk:
 * one server and lists of 100 from a pool of 1,000, with 1 and 8 connections.
 * "per_core" is requests by our own CPU time alone.  Prints one JSON line.
 *
 *   http [seconds]          of each measurement (2)
 *   http --serve            go on serving: prints what to ask it with */
#include "common/jw.h"
#include "model/compute.h"
#include "openstack-compat/compute/nova.h"
#include "rest-api/auth.h"
#include "rest-api/httpd.h"
#include "rest-api/route.h"
#include "tests/unit/locked_store.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#define SERVERS 1000

/* The one service that is asked; the daemon's table has more before it. */
const struct service_api *const api_services[] = { &nova, NULL };

struct house {
    struct store *store;
    struct cache *cache;
    struct tokens *tokens;
    struct password_queue *passwords;
    struct httpd *httpd;
    struct api api;
    int listen_fd, port;
    char token[TOKEN_TEXT_MAX];
    char server[UUID_SIZE];
};

/* ---- records ----------------------------------------------------------- */

static void put(struct house *h, void *record)
{
    _autotxn_ struct txn t = TXN_INIT;
    txn_put_record(&t, record);
    record_unref(record);
    if (!store_commit(h->store, &t, NULL))
        abort();
}

static void put_identity(struct house *h)
{
    struct domain *d = record_new(&kind_domain, "default");
    d->enabled = true;
    put(h, d);
    struct project *p = record_new(&kind_project, "p");
    p->domain_id = "default";
    p->enabled = true;
    put(h, p);
    struct user *u = record_new(&kind_user, "u");
    u->domain_id = "default";
    u->enabled = true;
    put(h, u);
    struct role *r = record_new(&kind_role, "r");
    r->name = "admin";
    put(h, r);
    struct assignment *a = record_new(&kind_assignment, "u/p/r");
    a->actor_id = "u";
    a->target_id = "p";
    a->role_id = "r";
    put(h, a);
    struct token_key *k = record_new(&kind_token_key, "00000001");
    k->secret = "0123456789abcdef0123456789abcdef"
                "0123456789abcdef0123456789abcdef";
    put(h, k);
}

static void put_server(struct house *h, int i)
{
    int64_t now = env_now(&env_system);
    env_uuid(&env_system, h->server);
    struct server *s = record_new(&kind_server, h->server);
    s->name = rec_strf(s, "server-%d", i);
    s->hostname = s->name;
    s->project_id = "p";
    s->user_id = "u";
    s->flavor_id = "1";
    s->flavor_name = "m1.small";
    s->vcpus = 1;
    s->ram_mb = 2048;
    s->disk_gb = 20;
    s->image_id = "3f2504e0-4f89-41d3-9a0c-0305e82c3301";
    s->key_name = "key";
    s->node = "node1";
    s->zone = "nova";
    s->vm_state = VM_ACTIVE;
    s->power_state = 1;
    s->root_device = "/dev/vda";
    s->created = s->updated = s->launched = now;
    map_put(s, &s->metadata, "role", "bench");
    put(h, s);
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
    h->store = locked_store_new(store_memory_open(&env_system));
    h->cache = cache_new(model_kinds, N_KINDS);
    h->tokens = tokens_new(&env_system, h->cache);
    h->passwords = password_queue_new(&env_system, 16, 1);
    h->api = (struct api){
        .env = &env_system,
        .cache = h->cache,
        .tokens = h->tokens,
        .auth_memory = auth_memory_new(h->cache),
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
    put_identity(h);
    for (int i = 0; i < SERVERS; i++)
        put_server(h, i);
    auth_new_token(&env_system, "u", SCOPE_PROJECT, "p", 24 * 3600 * SECOND_US,
                   &t);
    if (!token_seal(h->tokens, &t, h->token))
        abort();
    house_listen(h);
    if (!httpd_start(h->httpd, h->listen_fd, &err)) {
        fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
}

/* ---- wrk --------------------------------------------------------------- */

static double cpu_s(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

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
    char *one = xasprintf("/compute/v2.1/servers/%s", h->server);
    const char *list = "/compute/v2.1/servers/detail?limit=100";
    jw_obj(&w, NULL);
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

int main(int argc, char **argv)
{
    struct house h = { 0 };
    house_open(&h);
    if (argc > 1 && strcmp(argv[1], "--serve") == 0) {
        printf("http://127.0.0.1:%d/compute/v2.1/servers/%s\n"
               "X-Auth-Token: %s\n",
               h.port, h.server, h.token);
        fflush(stdout);
        pause();
    }
    measure_all(&h, argc > 1 ? atoi(argv[1]) : 2);
    httpd_stop(h.httpd, SECOND_US);
    cache_unfollow(h.cache);
    password_queue_free(h.passwords);
    httpd_free(h.httpd);
    auth_memory_free(h.api.auth_memory);
    tokens_free(h.tokens);
    cache_free(h.cache);
    store_close(h.store);
    close(h.listen_fd);
    return 0;
}
