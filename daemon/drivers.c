#include "daemon/drivers.h"

#include "common/alloc.h"
#include "common/cleanup.h"
#include "compute/libvirt_driver.h"
#include "daemon/ceph_node.h"
#include "storage/ceph/module.h"
#include "storage/local_driver.h"

#include <dlfcn.h>
#include <string.h>
#include <unistd.h>

/* libvirt's name for Ceph's key: the same on every node, so that a guest that
 * moves finds it. */
#define CEPH_SECRET "8a3ba7f4-64ba-4d51-a1a9-3c6e4f0c1d5b"

static bool with_ceph(const struct config *config)
{
    return strcmp(config->volumes, "ceph") == 0;
}

/* "<directory of the program>/cairn-ceph.so" */
static char *module_path(void)
{
    char self[512] = "";
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    while (n > 0 && self[n - 1] != '/')
        n--;
    return xasprintf("%.*s" CEPH_MODULE_FILE, (int)(n > 0 ? n : 0), self);
}

const struct ceph_module *drivers_ceph_module(struct error *err)
{
    _autofree_ char *path = module_path();
    void *so = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    const struct ceph_module *module =
        so ? dlsym(so, "cairn_ceph_module") : NULL;
    if (!module)
        error_set(err, ERR_INTERNAL, "cannot load %s: %s", path, dlerror());
    return module;
}

static bool open_ceph(struct drivers *d, const struct config *config,
                      struct error *err)
{
    const struct ceph_config ceph = { .conf = config->ceph_conf,
                                      .client = config->ceph_client };
    d->module = drivers_ceph_module(err);
    d->ceph = d->module ? d->module->connect(&ceph, err) : NULL;
    return d->ceph != NULL;
}

static bool open_hypervisor(struct drivers *d, const struct config *config,
                            bool kvm, struct error *err)
{
    _autofree_ char *guests = xasprintf("%s/guests", config->state_dir);
    _autofree_ char *pki = xasprintf("%s/libvirt-pki", config->state_dir);
    char key[CEPH_KEY_MAX] = "";
    struct libvirt_config lv = {
        .uri = config->libvirt_uri,
        .dir = guests,
        .client_pki = config->tls ? pki : NULL,
        .host = { .kvm = kvm,
                  .bridge = "br-int",
                  .userspace_switch = strcmp(config->datapath, "netdev") == 0,
                  .vnc_listen = "127.0.0.1" },
    };
    if (d->ceph) {
        if (!d->module->key(d->ceph, key, err))
            return false;
        lv.host.ceph = (struct domain_ceph){ config->ceph_conf,
                                             config->ceph_client, CEPH_SECRET };
        lv.ceph_key = key;
    }
    d->hypervisor = libvirt_open(&lv, 0, err);
    explicit_bzero(key, sizeof(key));
    return d->hypervisor != NULL;
}

static bool open_volumes(struct drivers *d, const struct config *config,
                         const struct env *env, struct error *err)
{
    _autofree_ char *dir = xasprintf("%s/storage", config->state_dir);
    struct local_config local = { .dir = dir };
    config_user(config->guest_user, 0, &local.owner, &local.group);
    const struct rbd_config rbd = { .ceph = d->ceph,
                                    .pool = config->ceph_pool,
                                    .dir = dir,
                                    .owner = local.owner,
                                    .group = local.group };
    d->volumes = d->ceph ? d->module->open(&rbd, env, err)
                         : local_driver_open(&local, env, err);
    return d->volumes != NULL;
}

/* The administrator's key, where the cluster is cairnd's own: one for volumes
 * may not lift what it has refused. */
static void open_fence(struct drivers *d, const struct config *config,
                       struct cache *cache)
{
    const struct rbd_fence_config fence = {
        .conf = config->ceph_conf,
        .client = ceph_node_wanted(config) ? "admin" : config->ceph_client,
        .cache = cache,
    };
    if (d->ceph)
        d->fence = d->module->fence(&fence);
}

bool drivers_open(struct drivers *d, const struct config *config, bool kvm,
                  struct cache *cache, const struct env *env, struct error *err)
{
    *d = (struct drivers){ 0 };
    if (with_ceph(config) && !open_ceph(d, config, err))
        return false;
    open_fence(d, config, cache);
    return open_hypervisor(d, config, kvm, err) &&
           open_volumes(d, config, env, err);
}

/* A connection of its own: one that is kept may hang on the monitor that it
 * was to.  Monitors answer to newcomers only while most of them agree. */
bool drivers_storage_answers(const struct drivers *d,
                             const struct config *config)
{
    struct error err;
    const struct ceph_config ceph = { .conf = config->ceph_conf,
                                      .client = config->ceph_client,
                                      .timeout_us = DRIVERS_PROBE_US };
    if (!d->ceph)
        return true;
    struct ceph *probe = d->module->connect(&ceph, &err);
    d->module->free(probe);
    return probe != NULL;
}

void drivers_close(struct drivers *d)
{
    if (d->hypervisor)
        d->hypervisor->ops->close(d->hypervisor);
    if (d->volumes)
        d->volumes->ops->close(d->volumes);
    if (d->fence)
        d->module->fence_free(d->fence);
    if (d->ceph)
        d->module->free(d->ceph);
    *d = (struct drivers){ 0 };
}
