#include "daemon/pool_store.h"

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "state/switch.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#define OPEN_TRIES 6 /* a cluster that starts with us, 5 s each */

/* The endpoints to speak to, and all that goes with them. */
struct target {
    char text[MOVE_ENDPOINT_MAX][ENDPOINT_MAX];
    const char *endpoints[MOVE_ENDPOINT_MAX];
    struct move_config config;
    char ca[PATH_MAX], cert[PATH_MAX], key[PATH_MAX];
};

static const char *or_null(const char *s)
{
    return *s ? s : NULL;
}

static void pki_file(const struct config *cf, const char *configured,
                     const char *name, char out[PATH_MAX])
{
    if (*configured)
        snprintf(out, PATH_MAX, "%s", configured);
    else
        snprintf(out, PATH_MAX, "%s/pki/%s", cf->state_dir, name);
}

/* Does the configuration name it? */
static bool is_configured(const struct config *cf, const char *endpoint)
{
    const char *at = cf->etcd_endpoints;
    size_t len = strlen(endpoint);
    for (; *at; at += strcspn(at, ","), at += *at == ',')
        if (strncmp(at, endpoint, len) == 0 && (!at[len] || at[len] == ','))
            return true;
    return false;
}

static struct grpc_tls_files tls_files(struct target *t,
                                       const struct config *cf)
{
    if (is_configured(cf, t->text[0]))
        return (struct grpc_tls_files){ or_null(cf->etcd_ca),
                                        or_null(cf->etcd_cert),
                                        or_null(cf->etcd_key) };
    pki_file(cf, cf->etcd_ca, "ca.crt", t->ca);
    pki_file(cf, cf->etcd_cert, "server.crt", t->cert);
    pki_file(cf, cf->etcd_key, "server.key", t->key);
    return (struct grpc_tls_files){ t->ca, t->cert, t->key };
}

static void target_config(struct target *t, size_t n, const struct config *cf,
                          const struct env *env, enum store_etcd_begin begin)
{
    for (size_t i = 0; i < n; i++)
        t->endpoints[i] = t->text[i];
    t->config = (struct move_config){
        .dir = cf->state_dir,
        .to = { .endpoints = t->endpoints,
                .n_endpoints = n,
                .tls = tls_files(t, cf),
                .begin = begin,
                .env = env },
    };
}

/* Those of the mark if it is there, else those of the configuration. */
static void target_set(struct target *t, const struct config *cf,
                       const struct env *env, const struct move_mark *mark)
{
    const char *at = cf->etcd_endpoints;
    size_t n = 0;
    *t = (struct target){ 0 };
    for (; !mark->there && *at && n < MOVE_ENDPOINT_MAX; n++) {
        size_t len = strcspn(at, ",");
        snprintf(t->text[n], ENDPOINT_MAX, "%.*s", (int)len, at);
        at += len + (at[len] == ',');
    }
    for (; n < mark->n; n++)
        memcpy(t->text[n], mark->endpoints[n], ENDPOINT_MAX);
    target_config(t, n, cf, env,
                  mark->there ? ETCD_MUST_EXIST : ETCD_MAY_CREATE);
}

static char *sqlite_path(const struct config *cf)
{
    return xasprintf("%s/cairn.db", cf->state_dir);
}

static bool has_sqlite(const struct config *cf)
{
    _autofree_ char *path = sqlite_path(cf);
    return access(path, F_OK) == 0;
}

static struct store *open_sqlite(const struct config *cf, const struct env *env,
                                 struct error *err)
{
    _autofree_ char *path = sqlite_path(cf);
    return store_sqlite_open(path, env, err);
}

static struct store *open_etcd(const struct target *t, struct error *err)
{
    struct store *s = NULL;
    for (int i = 0; i < OPEN_TRIES && !s; i++) {
        s = store_etcd_open(&t->config.to, err);
        if (!s && err->code != ERR_UNAVAILABLE && err->code != ERR_UNKNOWN)
            break;
        if (!s)
            log_warn("store", "%s", err->text);
    }
    return s;
}

/* Nothing is there yet that would have to come along. */
static struct store *begin_in_etcd(const struct target *t, struct error *err)
{
    struct store *s = open_etcd(t, err);
    if (s && !move_write_mark(t->config.dir, t->config.to.endpoints,
                              t->config.to.n_endpoints, err)) {
        store_close(s);
        return NULL;
    }
    return s;
}

static struct store *move_now(const struct config *cf, const struct env *env,
                              const struct target *t, struct error *err)
{
    struct store *old = open_sqlite(cf, env, err);
    struct store *s = old ? move_run(old, &t->config, err) : NULL;
    store_close(old);
    return s;
}

bool pool_store_in_etcd(const struct config *cf)
{
    struct move_mark mark;
    return move_read_mark(cf->state_dir, &mark, NULL) && mark.there;
}

bool pool_store_is_alone(const struct config *cf)
{
    struct move_mark mark;
    return move_read_mark(cf->state_dir, &mark, NULL) && mark.there
               ? is_configured(cf, mark.endpoints[0])
               : strcmp(cf->store, "etcd") == 0;
}

struct store *pool_store_open(const struct config *cf, const struct env *env,
                              struct error *err)
{
    struct move_mark mark;
    struct target t;
    struct store *s;
    if (!move_read_mark(cf->state_dir, &mark, err))
        return NULL;
    target_set(&t, cf, env, &mark);
    if (mark.there)
        s = open_etcd(&t, err);
    else if (strcmp(cf->store, "etcd") != 0)
        s = open_sqlite(cf, env, err);
    else if (has_sqlite(cf))
        s = move_now(cf, env, &t, err);
    else
        s = begin_in_etcd(&t, err);
    return s ? store_switch_open(s) : NULL;
}

bool pool_store_move(struct store *s, const struct config *cf,
                     const struct env *env, const char *url, struct error *err)
{
    struct move_mark mark;
    struct target t = { 0 };
    if (!move_read_mark(cf->state_dir, &mark, err))
        return false;
    snprintf(t.text[0], ENDPOINT_MAX, "%s", url);
    t.endpoints[0] = t.text[0];
    target_config(&t, 1, cf, env, ETCD_MAY_CREATE);
    return mark.there || move_online(s, &t.config, err);
}

struct grpc *pool_store_grpc(struct store *s)
{
    return store_etcd_grpc(store_switch_behind(s));
}

struct grpc *pool_store_dial(const struct config *cf, const struct env *env,
                             const char *url, struct error *err)
{
    struct target t = { 0 };
    snprintf(t.text[0], ENDPOINT_MAX, "%s", url);
    target_config(&t, 1, cf, env, ETCD_MUST_EXIST);
    return grpc_open(&(struct grpc_config){ .endpoints = t.endpoints,
                                            .n_endpoints = 1,
                                            .tls = t.config.to.tls,
                                            .env = env },
                     err);
}

bool pool_store_endpoints(struct store *s, const struct config *cf,
                          const char *const *urls, size_t n, struct error *err)
{
    return move_write_mark(cf->state_dir, urls, n, err) &&
           store_etcd_endpoints(store_switch_behind(s), urls, n, err);
}
