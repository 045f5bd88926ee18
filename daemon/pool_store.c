#include "daemon/pool_store.h"

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "state/switch.h"

#include <stdio.h>
#include <string.h>

#define OPEN_TRIES 6 /* a cluster that starts with us, 5 s each */

/* The endpoints to speak to, and all that goes with them. */
struct target {
    char text[MOVE_ENDPOINT_MAX][ENDPOINT_MAX];
    const char *endpoints[MOVE_ENDPOINT_MAX];
    struct move_config config;
};

static const char *or_null(const char *s)
{
    return *s ? s : NULL;
}

/* Those of the mark if it is there, else those of the configuration. */
static void target_set(struct target *t, const struct config *cf,
                       const struct env *env, const struct move_mark *mark)
{
    const char *at = cf->etcd_endpoints;
    size_t n = 0;
    for (; !mark->there && *at && n < MOVE_ENDPOINT_MAX; n++) {
        size_t len = strcspn(at, ",");
        snprintf(t->text[n], ENDPOINT_MAX, "%.*s", (int)len, at);
        at += len + (at[len] == ',');
    }
    for (; n < mark->n; n++)
        memcpy(t->text[n], mark->endpoints[n], ENDPOINT_MAX);
    for (size_t i = 0; i < n; i++)
        t->endpoints[i] = t->text[i];
    t->config = (struct move_config){
        .dir = cf->state_dir,
        .to = { .endpoints = t->endpoints,
                .n_endpoints = n,
                .tls = { or_null(cf->etcd_ca), or_null(cf->etcd_cert),
                         or_null(cf->etcd_key) },
                .begin = mark->there ? ETCD_MUST_EXIST : ETCD_MAY_CREATE,
                .env = env },
    };
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

bool pool_store_wants_etcd(const struct config *cf)
{
    struct move_mark mark;
    return strcmp(cf->store, "etcd") == 0 ||
           (move_read_mark(cf->state_dir, &mark, NULL) && mark.there);
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
                     const struct env *env, struct error *err)
{
    struct move_mark mark;
    struct target t;
    if (!move_read_mark(cf->state_dir, &mark, err))
        return false;
    target_set(&t, cf, env, &mark);
    return mark.there || move_online(s, &t.config, err);
}
