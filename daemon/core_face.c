#include "daemon/core_face.h"

#include "common/alloc.h"
#include "common/cleanup.h"
#include "openstack-compat/face_rights.h"

#include <fcntl.h>
#include <unistd.h>

#define NOBODY           65534
#define FACE_CONNECTIONS 1000

static bool on_call(void *arg, const char *op, const char *json,
                    struct buf *out, int *fd, struct error *err)
{
    struct core_face *f = arg;
    return broker_call(&f->config.broker, op, json, out, fd, err);
}

static void on_started(void *arg)
{
    struct core_face *f = arg;
    if (f->config.metadata)
        metadata_announce(f->config.metadata);
}

static void on_ended(void *arg)
{
    struct core_face *f = arg;
    storage_interrupted(f->config.storage);
}

static struct face_settings settings(const struct core_face_config *c)
{
    const struct config *cf = c->place->config;
    uid_t uid;
    gid_t gid;
    config_user(cf->face_user, NOBODY, &uid, &gid);
    return (struct face_settings){
        .public_url = c->place->public_url,
        .region = cf->region,
        .node = c->place->node,
        .cert = c->pki->cert ? c->pki->cert : "",
        .key = c->pki->key ? c->pki->key : "",
        .root = c->place->face_root,
        .uid = geteuid() == 0 ? uid : 0,
        .gid = geteuid() == 0 ? gid : 0,
        .log_level = cf->log_level,
        .connections = FACE_CONNECTIONS,
    };
}

bool core_face_start(struct core_face *f, const struct core_face_config *config,
                     struct error *err)
{
    f->config = *config;
    struct face_runner_config runner = {
        .env = config->broker.env,
        .store = config->broker.store,
        .listen_fd = config->place->listen,
        .settings = settings(config),
        .call = on_call,
        .rights = face_rights,
        .started = on_started,
        .ended = on_ended,
        .arg = f,
    };
    pthread_mutex_lock(&f->lock);
    f->runner = face_runner_start(&runner, err);
    pthread_mutex_unlock(&f->lock);
    return f->runner != NULL;
}

void core_face_certificate(struct core_face *f, const struct pki *pki)
{
    pthread_mutex_lock(&f->lock);
    if (f->runner)
        face_runner_certificate(f->runner, pki->cert, pki->key);
    pthread_mutex_unlock(&f->lock);
}

void core_face_listener(void *arg, const char *network_id, int fd)
{
    struct core_face *f = arg;
    _autoclose_ int socket = fd;
    _autoclose_ int none =
        fd < 0 ? open("/dev/null", O_RDONLY | O_CLOEXEC) : -1;
    _autofree_ char *json = xasprintf("{\"network_id\":\"%s\"}", network_id);
    pthread_mutex_lock(&f->lock);
    if (f->runner)
        face_runner_push(f->runner,
                         fd < 0 ? FACE_PUSH_METADATA_GONE : FACE_PUSH_METADATA,
                         json, fd < 0 ? none : socket);
    pthread_mutex_unlock(&f->lock);
}

/* Pushes use the pointer until it is gone, and the runner's end waits for
 * them: so it is taken out first. */
void core_face_stop(struct core_face *f)
{
    pthread_mutex_lock(&f->lock);
    struct face_runner *runner = f->runner;
    f->runner = NULL;
    pthread_mutex_unlock(&f->lock);
    face_runner_stop(runner);
}
