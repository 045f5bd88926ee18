#include "daemon/face.h"

#include "common/cleanup.h"
#include "common/env.h"
#include "common/jw.h"
#include "common/log.h"
#include "daemon/jail.h"
#include "daemon/metadata_server.h"
#include "model/model.h"
#include "rest-api/auth.h"
#include "rest-api/certificate.h"
#include "rest-api/desk.h"
#include "rest-api/fragments.h"
#include "rest-api/httpd.h"
#include "state/remote.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Each connection has one, an upload one more. */
#define FILES_PER_CONNECTION 2
#define FILES_BESIDES        512
#define FRAGMENTS_MAX        (8 * 1024 * 1024) /* bytes */

/* ---- settings ---------------------------------------------------------- */

void face_settings_write(const struct face_settings *s, struct buf *out)
{
    struct jw w = JW_INIT(out);
    jw_obj(&w, NULL);
    jw_str(&w, "public_url", s->public_url);
    jw_str(&w, "region", s->region);
    jw_str(&w, "node", s->node);
    jw_str(&w, "cert", s->cert);
    jw_str(&w, "key", s->key);
    jw_str(&w, "root", s->root);
    jw_int(&w, "uid", s->uid);
    jw_int(&w, "gid", s->gid);
    jw_int(&w, "log_level", s->log_level);
    jw_int(&w, "connections", s->connections);
    jw_obj_end(&w);
}

void face_certificate_write(const char *cert, const char *key, struct buf *out)
{
    struct jw w = JW_INIT(out);
    jw_obj(&w, NULL);
    jw_str(&w, "cert", cert);
    jw_str(&w, "key", key);
    jw_obj_end(&w);
}

/* `json` owns the strings. */
static bool read_settings(struct face_settings *s, json_t **json,
                          struct error *err)
{
    _autofree_ char *text = xmalloc(FACE_SETTINGS_MAX);
    ssize_t n = pread(FACE_SETTINGS_FD, text, FACE_SETTINGS_MAX, 0);
    json_int_t uid = 0, gid = 0, level = 0, connections = 0;
    close(FACE_SETTINGS_FD);
    *json = n > 0 ? json_loadb(text, (size_t)n, 0, NULL) : NULL;
    if (n > 0)
        OPENSSL_cleanse(text, (size_t)n);
    if (!*json ||
        json_unpack(*json, "{s:s s:s s:s s:s s:s s:s s:I s:I s:I s:I}",
                    "public_url", &s->public_url, "region", &s->region, "node",
                    &s->node, "cert", &s->cert, "key", &s->key, "root",
                    &s->root, "uid", &uid, "gid", &gid, "log_level", &level,
                    "connections", &connections) != 0)
        return error_set(err, ERR_INVALID,
                         "--face is for cairnd itself: no settings came");
    s->uid = uid;
    s->gid = gid;
    s->log_level = level;
    s->connections = connections;
    return true;
}

/* ---- what is served ---------------------------------------------------- */

struct face {
    struct store *store;
    struct cache *cache;
    struct tokens *tokens;
    struct auth_memory *memory;
    struct fragments *fragments;
    struct desk *desk;
    struct password_queue *passwords;
    struct metadata_server *metadata;
    struct httpd *httpd;
    struct api api;
    pthread_mutex_t ready_lock; /* held until metadata is there */
};

/* Connections that stand are not touched. */
static void show_certificate(int fd)
{
    struct error err = { 0 };
    const char *cert, *key;
    _autofree_ char *text = xmalloc(FACE_SETTINGS_MAX);
    ssize_t n = read(fd, text, FACE_SETTINGS_MAX);
    _autojson_ json_t *json =
        n > 0 ? json_loadb(text, (size_t)n, 0, NULL) : NULL;
    if (n > 0)
        OPENSSL_cleanse(text, (size_t)n);
    close(fd);
    if (!json || json_unpack(json, "{s:s s:s}", "cert", &cert, "key", &key))
        error_set(&err, ERR_INVALID, "a certificate that cannot be read");
    else if (certificate_set(cert, key, &err))
        log_info("face", "shows the new certificate");
    if (err.code)
        log_err("face", "%s", err.text);
}

static void on_push(void *arg, const char *name, const char *text, int fd)
{
    struct face *f = arg;
    const char *network_id;
    _autojson_ json_t *json = json_loads(text, 0, NULL);
    pthread_mutex_lock(&f->ready_lock);
    pthread_mutex_unlock(&f->ready_lock);
    if (strcmp(name, FACE_PUSH_CERTIFICATE) == 0) {
        show_certificate(fd);
        return;
    }
    if (!json || json_unpack(json, "{s:s}", "network_id", &network_id) != 0 ||
        strcmp(name, FACE_PUSH_METADATA) != 0) {
        close(fd);
        fd = -1;
    }
    if (json &&
        strncmp(name, FACE_PUSH_METADATA, strlen(FACE_PUSH_METADATA)) == 0)
        metadata_server_listen(f->metadata, network_id, fd);
}

/* There is nobody left to answer for. */
static void on_lost(void *arg)
{
    log_info("face", "the privileged side is gone");
    _exit(3);
}

static bool call(void *self, const char *op, const char *json, struct buf *out,
                 int *fd, struct error *err)
{
    return store_remote_call(self, op, json, out, fd, err);
}

static void face_init(struct face *f, const struct face_settings *s)
{
    const struct env *env = &env_system;
    const struct remote_hooks hooks = { on_push, on_lost, f };
    pthread_mutex_init(&f->ready_lock, NULL);
    pthread_mutex_lock(&f->ready_lock);
    f->store = store_remote_open(FACE_STORE_FD, &hooks);
    f->cache = cache_new(model_kinds, N_KINDS);
    f->tokens = tokens_new(env, f->cache);
    f->memory = auth_memory_new(f->cache);
    f->fragments = fragments_new(FRAGMENTS_MAX);
    f->desk = desk_new();
    f->passwords = password_queue_new(env, PASSWORD_COST, 0);
    f->metadata = metadata_server_new(f->cache, env);
    f->api = (struct api){
        .env = env,
        .cache = f->cache,
        .tokens = f->tokens,
        .auth_memory = f->memory,
        .fragments = f->fragments,
        .desk = f->desk,
        .authenticate = auth_request,
        .public_url = s->public_url,
        .region = s->region,
        .node = s->node,
    };
    struct httpd_config config = {
        .driver = { .api = &f->api,
                    .store = f->store,
                    .passwords = f->passwords,
                    .io = { f->store, call } },
        .tls_cert = *s->cert ? s->cert : NULL,
        .tls_key = *s->cert ? s->key : NULL,
        .limits = { .connections = (unsigned)s->connections },
    };
    f->httpd = httpd_new(&config);
    pthread_mutex_unlock(&f->ready_lock);
}

static void face_free(struct face *f)
{
    cache_unfollow(f->cache);
    password_queue_free(f->passwords);
    store_close(f->store);
    httpd_free(f->httpd);
    metadata_server_free(f->metadata);
    auth_memory_free(f->memory);
    fragments_free(f->fragments);
    desk_free(f->desk);
    tokens_free(f->tokens);
    cache_free(f->cache);
    pthread_mutex_destroy(&f->ready_lock);
}

static void await_term(void)
{
    sigset_t set;
    int sig;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    while (sigwait(&set, &sig) != 0)
        ;
}

static int serve(const struct face_settings *s)
{
    static struct face f; /* call-backs may come until the very end */
    struct error err = { 0 };
    face_init(&f, s);
    if (!cache_follow(f.cache, f.store, &err) ||
        !httpd_start(f.httpd, FACE_LISTEN_FD, &err)) {
        log_err("face", "%s", err.text);
        return 1;
    }
    log_info("face", "serving");
    await_term();
    if (!httpd_stop(f.httpd, FACE_GRACE_US)) {
        log_warn("face", "some requests did not end");
        _exit(1);
    }
    face_free(&f);
    return 0;
}

/* ---- the process ------------------------------------------------------- */

/* What the libraries read from files they must read now. */
static void warm_up(void)
{
    unsigned char out[32];
    OPENSSL_init_crypto(OPENSSL_INIT_LOAD_CONFIG, NULL);
    EVP_PBE_scrypt("", 0, out, sizeof(out), 2, 1, 1, 0, out, sizeof(out));
    tzset();
}

static void block_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
}

int face_main(void)
{
    struct face_settings s;
    struct error err = { 0 };
    _autojson_ json_t *json = NULL;
    block_signals();
    if (!read_settings(&s, &json, &err)) {
        log_err("face", "%s", err.text);
        return 2;
    }
    log_set_level((enum log_level)s.log_level);
    warm_up();
    struct jail jail = {
        .root = s.root,
        .uid = (uid_t)s.uid,
        .gid = (gid_t)s.gid,
        .files = (unsigned)s.connections * FILES_PER_CONNECTION + FILES_BESIDES,
    };
    if (!jail_enter(&jail, &err)) {
        log_err("face", "%s", err.text);
        return 2;
    }
    return serve(&s);
}
