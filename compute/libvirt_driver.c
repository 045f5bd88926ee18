#include "compute/libvirt_driver.h"

#include "common/alloc.h"
#include "common/b64.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "compute/inventory.h"
#include "compute/libvirt_impl.h"

#include <errno.h>
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define LOG_NAME           "libvirt"
#define KEEPALIVE_S        5
#define KEEPALIVE_COUNT    3
#define RECONNECT_FIRST_MS 100
#define RECONNECT_MOST_MS  2000
#define CEPH_KEY_MAX       64 /* bytes, decoded */

struct driver {
    struct hypervisor base;
    char *uri, *dir, *sys;
    struct domain_host host; /* strings owned */
    char *ceph_key;          /* base64; NULL: none */
    char *client_pki;
    struct libvirt_config settings; /* of what is above */
    struct libvirt_moves *moves;

    pthread_mutex_t event_lock; /* held while event_fn runs */
    domain_event_fn *event_fn;
    void *event_arg;

    pthread_mutex_t lock; /* for what follows */
    pthread_cond_t changed;
    virConnectPtr conn; /* NULL: none now */
    bool stop;

    pthread_t keeper, loop;
    int wake_timer; /* of libvirt's event loop */
};

static struct driver *driver_of(struct hypervisor *h)
{
    return container_of(h, struct driver, base);
}

/* ---- errors ------------------------------------------------------------ */

static const struct {
    int theirs;
    enum error_code ours;
} error_map[] = {
    { VIR_ERR_NO_DOMAIN, ERR_NOT_FOUND },
    { VIR_ERR_NO_DOMAIN_METADATA, ERR_NOT_FOUND },
    { VIR_ERR_OPERATION_TIMEOUT, ERR_TIMEOUT },
    { VIR_ERR_AGENT_UNRESPONSIVE, ERR_TIMEOUT },
    { VIR_ERR_RESOURCE_BUSY, ERR_BUSY },
    { VIR_ERR_NO_CONNECT, ERR_UNAVAILABLE },
    { VIR_ERR_INVALID_CONN, ERR_UNAVAILABLE },
    { VIR_ERR_RPC, ERR_UNAVAILABLE },
    { VIR_ERR_OPERATION_INVALID, ERR_CONFLICT },
    { VIR_ERR_CONFIG_UNSUPPORTED, ERR_NOT_IMPLEMENTED },
    { VIR_ERR_NO_SUPPORT, ERR_NOT_IMPLEMENTED },
};

static enum error_code error_code_of(const virError *e)
{
    for (size_t i = 0; i < ARRAY_SIZE(error_map); i++)
        if (error_map[i].theirs == e->code)
            return error_map[i].ours;
    return ERR_INTERNAL;
}

/* The thread's last libvirt error as ours; `what` says what was tried. */
static bool failed(struct error *err, virConnectPtr conn, const char *id,
                   const char *what)
{
    const virError *e = virGetLastError();
    enum error_code code = e ? error_code_of(e) : ERR_INTERNAL;
    char text[ERROR_TEXT_MAX / 2];
    snprintf(text, sizeof(text), "%s", e && e->message ? e->message : "?");
    for (char *p = text; *p; p++)
        if (*p == '\n')
            *p = ' ';
    if (conn && virConnectIsAlive(conn) != 1)
        code = ERR_UNAVAILABLE;
    return error_set(err, code, "domain %s: cannot %s: %s", id, what, text);
}

static void keep_quiet(void *arg, virErrorPtr e)
{
}

/* ---- the connection ---------------------------------------------------- */

virConnectPtr libvirt_conn(struct hypervisor *h, struct error *err)
{
    struct driver *d = driver_of(h);
    pthread_mutex_lock(&d->lock);
    virConnectPtr c = d->conn;
    if (c)
        virConnectRef(c);
    pthread_mutex_unlock(&d->lock);
    if (!c)
        error_set(err, ERR_UNAVAILABLE, "libvirt: not connected to %s", d->uri);
    return c;
}

void libvirt_conn_drop(virConnectPtr *c)
{
    if (*c)
        virConnectClose(*c);
}

static void tell(struct driver *d, virDomainPtr dom)
{
    char id[VIR_UUID_STRING_BUFLEN];
    if (virDomainGetUUIDString(dom, id) == 0)
        libvirt_tell(&d->base, id);
}

static int on_lifecycle(virConnectPtr c, virDomainPtr dom, int event,
                        int detail, void *arg)
{
    tell(arg, dom);
    return 0;
}

static void on_device(virConnectPtr c, virDomainPtr dom, const char *alias,
                      void *arg)
{
    tell(arg, dom);
}

static void on_closed(virConnectPtr c, int reason, void *arg)
{
    struct driver *d = arg;
    virConnectPtr old = NULL;
    pthread_mutex_lock(&d->lock);
    if (d->conn == c) {
        old = d->conn;
        d->conn = NULL;
    }
    pthread_cond_broadcast(&d->changed);
    pthread_mutex_unlock(&d->lock);
    if (!old)
        return;
    log_warn(LOG_NAME, "lost the connection to %s", d->uri);
    virConnectClose(old);
}

static const int events[] = {
    VIR_DOMAIN_EVENT_ID_LIFECYCLE,
    VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED,
    VIR_DOMAIN_EVENT_ID_DEVICE_REMOVAL_FAILED,
};

static bool follow(struct driver *d, virConnectPtr c)
{
    if (virConnectSetKeepAlive(c, KEEPALIVE_S, KEEPALIVE_COUNT) < 0 ||
        virConnectRegisterCloseCallback(c, on_closed, d, NULL) < 0)
        return false;
    for (size_t i = 0; i < ARRAY_SIZE(events); i++) {
        virConnectDomainEventGenericCallback fn =
            events[i] == VIR_DOMAIN_EVENT_ID_LIFECYCLE
                ? VIR_DOMAIN_EVENT_CALLBACK(on_lifecycle)
                : VIR_DOMAIN_EVENT_CALLBACK(on_device);
        if (virConnectDomainEventRegisterAny(c, NULL, events[i], fn, d, NULL) <
            0)
            return false;
    }
    return true;
}

/* Nobody knows what happened while there was no connection. */
static void tell_all(struct driver *d, virConnectPtr c)
{
    virDomainPtr *doms = NULL;
    int n = virConnectListAllDomains(c, &doms, 0);
    for (int i = 0; i < n; i++) {
        tell(d, doms[i]);
        virDomainFree(doms[i]);
    }
    free(doms);
}

static bool set_secret(const struct driver *d, virSecretPtr secret)
{
    struct buf key = BUF_INIT(CEPH_KEY_MAX);
    bool ok = b64_decode(&key, d->ceph_key) &&
              virSecretSetValue(secret, (const unsigned char *)key.data,
                                key.len, 0) == 0;
    if (key.data)
        explicit_bzero(key.data, key.len);
    buf_free(&key);
    virSecretFree(secret);
    return ok;
}

/* libvirt hands Ceph's key to QEMU.  It keeps it in memory only, so it gets
 * it anew with each connection. */
static bool give_secret(const struct driver *d, virConnectPtr c)
{
    struct buf xml = BUF_INIT(1024);
    struct error err;
    if (!d->ceph_key)
        return true;
    virSecretPtr secret = domain_xml_secret(&xml, &d->host.ceph, &err)
                              ? virSecretDefineXML(c, buf_str(&xml), 0)
                              : NULL;
    buf_free(&xml);
    if (secret && set_secret(d, secret))
        return true;
    const virError *e = virGetLastError();
    log_limited(LOG_WARN, LOG_NAME, "libvirt does not take Ceph's key: %s",
                e ? e->message : "it is no base64");
    return false;
}

/* One try; true when connected. */
static bool reconnect(struct driver *d)
{
    virConnectPtr c = virConnectOpen(d->uri);
    if (!c) {
        const virError *e = virGetLastError();
        log_limited(LOG_WARN, LOG_NAME, "cannot connect to %s: %s", d->uri,
                    e ? e->message : "?");
        return false;
    }
    pthread_mutex_lock(&d->lock);
    d->conn = c;
    pthread_mutex_unlock(&d->lock);
    virConnectRef(c); /* for this function; on_closed drops the other */
    if (!give_secret(d, c) || !follow(d, c)) {
        on_closed(c, 0, d);
        virConnectClose(c);
        return false;
    }
    pthread_mutex_lock(&d->lock);
    pthread_cond_broadcast(&d->changed);
    pthread_mutex_unlock(&d->lock);
    log_info(LOG_NAME, "connected to %s", d->uri);
    tell_all(d, c);
    virConnectClose(c);
    return true;
}

static void deadline_in(struct timespec *t, int64_t ms)
{
    clock_gettime(CLOCK_MONOTONIC, t);
    t->tv_sec += ms / 1000;
    t->tv_nsec += ms % 1000 * 1000000;
    if (t->tv_nsec >= 1000000000) {
        t->tv_nsec -= 1000000000;
        t->tv_sec++;
    }
}

/* Waits until stopped, or until there is no connection; then false. */
static bool keeper_waits(struct driver *d, int64_t pause_ms)
{
    struct timespec until;
    deadline_in(&until, pause_ms);
    pthread_mutex_lock(&d->lock);
    while (!d->stop && d->conn)
        pthread_cond_wait(&d->changed, &d->lock);
    while (!d->stop && pause_ms &&
           pthread_cond_timedwait(&d->changed, &d->lock, &until) != ETIMEDOUT)
        ;
    bool stop = d->stop;
    pthread_mutex_unlock(&d->lock);
    return stop;
}

static void *keeper_main(void *arg)
{
    struct driver *d = arg;
    int64_t pause = 0;
    while (!keeper_waits(d, pause)) {
        if (reconnect(d))
            pause = 0;
        else
            pause = pause * 2 > RECONNECT_MOST_MS ? RECONNECT_MOST_MS
                    : pause                       ? pause * 2
                                                  : RECONNECT_FIRST_MS;
    }
    return NULL;
}

static bool stopping(struct driver *d)
{
    pthread_mutex_lock(&d->lock);
    bool stop = d->stop;
    pthread_mutex_unlock(&d->lock);
    return stop;
}

static void on_wake(int timer, void *arg)
{
    virEventUpdateTimeout(timer, -1);
}

static void *loop_main(void *arg)
{
    while (!stopping(arg))
        virEventRunDefaultImpl();
    return NULL;
}

/* ---- domains ----------------------------------------------------------- */

int libvirt_is_ours(virDomainPtr dom)
{
    _autofree_ char *xml =
        virDomainGetMetadata(dom, VIR_DOMAIN_METADATA_ELEMENT, DOMAIN_XMLNS, 0);
    if (xml)
        return 1;
    int code = virGetLastErrorCode();
    return code == VIR_ERR_NO_DOMAIN || code == VIR_ERR_NO_DOMAIN_METADATA ? 0
                                                                           : -1;
}

void libvirt_found_drop(struct libvirt_found *f)
{
    if (f->dom)
        virDomainFree(f->dom);
    libvirt_conn_drop(&f->conn);
    *f = (struct libvirt_found){ 0 };
}

/* Looks the domain up.  An absent one is success with dom NULL. */
static bool find(struct hypervisor *h, const char *id, struct libvirt_found *f,
                 struct error *err)
{
    f->conn = libvirt_conn(h, err);
    if (!f->conn)
        return false;
    f->dom = virDomainLookupByUUIDString(f->conn, id);
    if (!f->dom)
        return virGetLastErrorCode() == VIR_ERR_NO_DOMAIN ||
               failed(err, f->conn, id, "look it up");
    int ours = libvirt_is_ours(f->dom);
    if (ours < 0)
        return failed(err, f->conn, id, "read its metadata");
    return ours || error_set(err, ERR_CONFLICT,
                             "domain %s: belongs to somebody else", id);
}

static bool find_needed(struct hypervisor *h, const char *id,
                        struct libvirt_found *f, struct error *err)
{
    if (!find(h, id, f, err))
        return false;
    return f->dom ||
           error_set(err, ERR_NOT_FOUND, "domain %s: is not defined", id);
}

/* ---- the rest ---------------------------------------------------------- */

bool libvirt_facts(struct hypervisor *h, struct libvirt_facts *facts,
                   struct error *err)
{
    _autoconn_ virConnectPtr c = libvirt_conn(h, err);
    virNodeInfo node;
    unsigned long version = 0;
    if (!c)
        return false;
    if (virNodeGetInfo(c, &node) < 0 || virConnectGetVersion(c, &version) < 0)
        return failed(err, c, "*", "describe the machine");
    facts->version = (int64_t)version;
    facts->vcpus = node.cpus;
    facts->ram_mb = (int64_t)(node.memory / 1024);
    snprintf(facts->machine, sizeof(facts->machine), "%s", node.model);
    return true;
}

static bool add_devices(virConnectPtr c, const char *passthrough,
                        struct node *draft, struct error *err)
{
    virNodeDevicePtr *all = NULL;
    int n = virConnectListAllNodeDevices(
        c, &all,
        VIR_CONNECT_LIST_NODE_DEVICES_CAP_PCI_DEV |
            VIR_CONNECT_LIST_NODE_DEVICES_CAP_MDEV);
    bool fine = true;
    if (n < 0) /* without that driver there are none; else as it was */
        return true;
    draft->devices = (struct list){ 0 };
    for (int i = 0; i < n; i++) {
        _autofree_ char *xml = virNodeDeviceGetXMLDesc(all[i], 0);
        fine = fine && (!xml || inventory_device(xml, passthrough, draft, err));
        virNodeDeviceFree(all[i]);
    }
    free(all); /* NOLINT: of pointers */
    return fine;
}

/* Where libvirt does not know the CPU, it stays as it was. */
static void add_cpu(virConnectPtr c, const char *capabilities,
                    struct node *draft)
{
    struct error err;
    _autofree_ char *host = inventory_host_cpu(capabilities);
    const char *one[] = { host };
    _autofree_ char *cpu =
        host ? virConnectBaselineCPU(c, one, 1,
                                     VIR_CONNECT_BASELINE_CPU_EXPAND_FEATURES)
             : NULL;
    if (cpu)
        inventory_cpu(cpu, draft, &err);
}

bool libvirt_inventory(struct hypervisor *h, const char *passthrough,
                       struct node *draft, struct error *err)
{
    _autoconn_ virConnectPtr c = libvirt_conn(h, err);
    if (!c)
        return false;
    _autofree_ char *xml = virConnectGetCapabilities(c);
    if (!xml)
        return failed(err, c, "*", "describe the machine");
    add_cpu(c, xml, draft);
    return inventory_cells(xml, draft, err) &&
           add_devices(c, passthrough, draft, err);
}

static void drv_listen(struct hypervisor *h, domain_event_fn *fn, void *arg)
{
    struct driver *d = driver_of(h);
    pthread_mutex_lock(&d->event_lock);
    d->event_fn = fn;
    d->event_arg = arg;
    pthread_mutex_unlock(&d->event_lock);
}

static void free_driver(struct driver *d)
{
    libvirt_moves_free(d->moves);
    free(d->client_pki);
    free((char *)d->host.emulator);
    free((char *)d->host.bridge);
    free((char *)d->host.vnc_listen);
    free(d->sys);
    free((char *)d->host.ceph.conf);
    free((char *)d->host.ceph.client);
    free((char *)d->host.ceph.secret);
    if (d->ceph_key)
        explicit_bzero(d->ceph_key, strlen(d->ceph_key));
    free(d->ceph_key);
    free(d->uri);
    free(d->dir);
    pthread_cond_destroy(&d->changed);
    pthread_mutex_destroy(&d->lock);
    pthread_mutex_destroy(&d->event_lock);
    free(d);
}

static void drv_close(struct hypervisor *h)
{
    struct driver *d = driver_of(h);
    pthread_mutex_lock(&d->lock);
    d->stop = true;
    virConnectPtr c = d->conn;
    d->conn = NULL;
    pthread_cond_broadcast(&d->changed);
    pthread_mutex_unlock(&d->lock);
    pthread_join(d->keeper, NULL);
    if (c) {
        virConnectUnregisterCloseCallback(c, on_closed);
        virConnectClose(c);
    }
    virEventUpdateTimeout(d->wake_timer, 0);
    pthread_join(d->loop, NULL);
    virEventRemoveTimeout(d->wake_timer);
    free_driver(d);
}

static const struct hypervisor_ops ops = {
    .list = libvirt_list,
    .info = libvirt_info,
    .define_start = libvirt_define_start,
    .start = libvirt_start,
    .shutdown = libvirt_shutdown,
    .destroy = libvirt_destroy,
    .kill = libvirt_kill,
    .kill_stale = libvirt_kill_stale,
    .undefine = libvirt_undefine,
    .suspend = libvirt_suspend,
    .resume = libvirt_resume,
    .managed_save = libvirt_managed_save,
    .keep_secret = libvirt_keep_secret,
    .drop_secret = libvirt_drop_secret,
    .sweep_parts = libvirt_sweep_parts,
    .sweep_files = libvirt_sweep_files,
    .attach_disk = libvirt_attach_disk,
    .detach_disk = libvirt_detach_disk,
    .resize_disk = libvirt_resize_disk,
    .move_disk = libvirt_move_disk,
    .attach_nic = libvirt_attach_nic,
    .detach_nic = libvirt_detach_nic,
    .stats = libvirt_stats,
    .count_dirty = libvirt_count_dirty,
    .migrate_prepare = libvirt_migrate_prepare,
    .migrate_out = libvirt_migrate_out,
    .migrate_info = libvirt_migrate_info,
    .migrate_downtime = libvirt_migrate_downtime,
    .migrate_abort = libvirt_migrate_abort,
    .migrate_forget = libvirt_migrate_forget,
    .listen = drv_listen,
    .close = drv_close,
};

/* ---- for the other parts --------------------------------------------------
 */

bool libvirt_find(struct hypervisor *h, const char *id, bool needed,
                  struct libvirt_found *f, struct error *err)
{
    return needed ? find_needed(h, id, f, err) : find(h, id, f, err);
}

bool libvirt_failed(struct error *err, virConnectPtr conn, const char *id,
                    const char *what)
{
    return failed(err, conn, id, what);
}

void libvirt_tell(struct hypervisor *h, const char *id)
{
    struct driver *d = driver_of(h);
    pthread_mutex_lock(&d->event_lock);
    if (d->event_fn)
        d->event_fn(d->event_arg, id);
    pthread_mutex_unlock(&d->event_lock);
}

const struct libvirt_config *libvirt_settings(struct hypervisor *h)
{
    return &driver_of(h)->settings;
}

struct libvirt_moves *libvirt_moves(struct hypervisor *h)
{
    return driver_of(h)->moves;
}

static pthread_once_t library_once = PTHREAD_ONCE_INIT;
static void start_library(void)
{
    virInitialize();
    virSetErrorFunc(NULL, keep_quiet);
    virEventRegisterDefaultImpl();
}

static char *copy(const char *s)
{
    return s ? xstrdup(s) : NULL;
}

static struct driver *new_driver(const struct libvirt_config *config)
{
    struct driver *d = xcalloc(1, sizeof(*d));
    pthread_condattr_t attr;
    d->base.ops = &ops;
    d->uri = xstrdup(config->uri);
    d->dir = xstrdup(config->dir);
    d->sys = xstrdup(config->sys ? config->sys : "/sys");
    d->host = config->host;
    d->host.emulator = copy(config->host.emulator);
    d->host.bridge = copy(config->host.bridge);
    d->host.vnc_listen = copy(config->host.vnc_listen);
    d->host.ceph.conf = copy(config->host.ceph.conf);
    d->host.ceph.client = copy(config->host.ceph.client);
    d->host.ceph.secret = copy(config->host.ceph.secret);
    d->ceph_key = copy(config->ceph_key);
    d->client_pki = copy(config->client_pki);
    d->settings =
        (struct libvirt_config){ d->uri,  d->dir,      d->sys,
                                 d->host, d->ceph_key, d->client_pki };
    d->moves = libvirt_moves_new();
    pthread_mutex_init(&d->lock, NULL);
    pthread_mutex_init(&d->event_lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&d->changed, &attr);
    pthread_condattr_destroy(&attr);
    return d;
}

struct hypervisor *libvirt_open(const struct libvirt_config *config,
                                int wait_ms, struct error *err)
{
    if (mkdir(config->dir, 0711) < 0 && errno != EEXIST) {
        error_errno(err, ERR_INTERNAL, errno, "cannot make %s", config->dir);
        return NULL;
    }
    pthread_once(&library_once, start_library);
    struct driver *d = new_driver(config);
    d->wake_timer = virEventAddTimeout(-1, on_wake, d, NULL);
    if (pthread_create(&d->loop, NULL, loop_main, d) != 0 ||
        pthread_create(&d->keeper, NULL, keeper_main, d) != 0)
        abort(); /* as when there is no memory */
    libvirt_await(&d->base, wait_ms);
    return &d->base;
}

bool libvirt_await(struct hypervisor *h, int wait_ms)
{
    struct driver *d = driver_of(h);
    struct timespec until;
    deadline_in(&until, wait_ms);
    pthread_mutex_lock(&d->lock);
    while (!d->conn &&
           pthread_cond_timedwait(&d->changed, &d->lock, &until) != ETIMEDOUT)
        ;
    bool there = d->conn != NULL;
    pthread_mutex_unlock(&d->lock);
    return there;
}
