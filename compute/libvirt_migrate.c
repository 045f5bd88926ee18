#include "compute/libvirt_impl.h"

#include "common/alloc.h"
#include "common/log.h"

#include <libvirt/virterror.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define LOG_NAME "libvirt"

/* One guest on its way.  Its thread sits in libvirt's call for as long as
 * that takes; the list knows it until it is forgotten. */
struct outgoing {
    struct outgoing *next;
    struct libvirt_moves *moves;
    struct hypervisor *driver;
    char *id, *uri, *address, *xml;
    char *copied[DOMAIN_DISKS_MAX]; /* targets of disks whose content goes */
    int n_copied;
    struct libvirt_found found;
    bool stands;     /* while its memory is copied */
    int64_t started; /* monotonic us */
    enum migrate_state state;
    struct error err;
};

struct libvirt_moves {
    pthread_mutex_t lock;
    struct outgoing *all;
    int threads; /* that still use this */
    bool closed;
};

struct libvirt_moves *libvirt_moves_new(void)
{
    struct libvirt_moves *m = xcalloc(1, sizeof(*m));
    pthread_mutex_init(&m->lock, NULL);
    return m;
}

static void free_outgoing(struct outgoing *o)
{
    libvirt_found_drop(&o->found);
    for (int i = 0; i < o->n_copied; i++)
        free(o->copied[i]);
    free(o->id);
    free(o->uri);
    free(o->address);
    free(o->xml);
    free(o);
}

static void free_moves(struct libvirt_moves *m)
{
    while (m->all) {
        struct outgoing *o = m->all;
        m->all = o->next;
        free_outgoing(o);
    }
    pthread_mutex_destroy(&m->lock);
    free(m);
}

void libvirt_moves_free(struct libvirt_moves *m)
{
    pthread_mutex_lock(&m->lock);
    m->closed = true;
    bool last = m->threads == 0;
    pthread_mutex_unlock(&m->lock);
    if (last)
        free_moves(m);
}

/* With the lock held. */
static struct outgoing **find_outgoing(struct libvirt_moves *m, const char *id)
{
    struct outgoing **o = &m->all;
    while (*o && strcmp((*o)->id, id) != 0)
        o = &(*o)->next;
    return o;
}

/* ---- the dest -------------------------------------------------------------
 */

bool libvirt_migrate_prepare(struct hypervisor *h,
                             const struct domain_spec *spec,
                             struct migrate_place *place, struct error *err)
{
    _autofree_ char *drive = NULL;
    _autofree_ char *log = NULL;
    if (!libvirt_make_files(h, spec, &drive, &log, err))
        return false;
    place->vnc_listen = libvirt_settings(h)->host.vnc_listen;
    snprintf(place->config_drive, sizeof(place->config_drive), "%s",
             drive ? drive : "");
    snprintf(place->serial_log, sizeof(place->serial_log), "%s", log);
    return true;
}

/* ---- the thread -----------------------------------------------------------
 */

#define FLAGS                                                                  \
    (VIR_MIGRATE_PEER2PEER | VIR_MIGRATE_PERSIST_DEST |                        \
     VIR_MIGRATE_UNDEFINE_SOURCE | VIR_MIGRATE_PAUSED | VIR_MIGRATE_TLS |      \
     VIR_MIGRATE_ABORT_ON_ERROR)

static bool add_params(const struct outgoing *o, virTypedParameterPtr *params,
                       int *n)
{
    int max = 0;
    _autofree_ char *stream = xasprintf("tcp://%s", o->address);
    bool ok =
        virTypedParamsAddString(params, n, &max, VIR_MIGRATE_PARAM_URI,
                                stream) == 0 &&
        virTypedParamsAddString(params, n, &max, VIR_MIGRATE_PARAM_DEST_XML,
                                o->xml) == 0 &&
        virTypedParamsAddString(params, n, &max, VIR_MIGRATE_PARAM_PERSIST_XML,
                                o->xml) == 0 &&
        virTypedParamsAddString(
            params, n, &max, VIR_MIGRATE_PARAM_LISTEN_ADDRESS, o->address) == 0;
    for (int i = 0; ok && i < o->n_copied; i++)
        ok = virTypedParamsAddString(params, n, &max,
                                     VIR_MIGRATE_PARAM_MIGRATE_DISKS,
                                     o->copied[i]) == 0;
    return ok;
}

static bool move(struct outgoing *o)
{
    virTypedParameterPtr params = NULL;
    int n = 0;
    unsigned flags = FLAGS;
    if (!o->stands)
        flags |= VIR_MIGRATE_LIVE | VIR_MIGRATE_AUTO_CONVERGE;
    if (o->n_copied)
        flags |= VIR_MIGRATE_NON_SHARED_DISK;
    bool ok = add_params(o, &params, &n) &&
              virDomainMigrateToURI3(o->found.dom, o->uri, params, (unsigned)n,
                                     flags) == 0;
    if (!ok)
        libvirt_failed(&o->err, o->found.conn, o->id, "move it");
    virTypedParamsFree(params, n);
    return ok;
}

static void *move_main(void *arg)
{
    struct outgoing *o = arg;
    struct libvirt_moves *m = o->moves;
    bool ok = move(o);
    pthread_mutex_lock(&m->lock);
    o->state = ok ? MIGRATE_DONE : MIGRATE_FAILED;
    if (!m->closed)
        libvirt_tell(o->driver, o->id);
    bool last = --m->threads == 0 && m->closed;
    pthread_mutex_unlock(&m->lock);
    if (last)
        free_moves(m);
    return NULL;
}

/* ---- the source ------------------------------------------------------------
 */

static struct outgoing *new_outgoing(struct hypervisor *h, const char *id,
                                     const struct migrate_spec *spec)
{
    struct outgoing *o = xcalloc(1, sizeof(*o));
    o->driver = h;
    o->moves = libvirt_moves(h);
    o->state = MIGRATE_RUNNING;
    o->started = env_mono(&env_system);
    o->id = xstrdup(id);
    o->address = xstrdup(spec->address);
    o->uri = xasprintf("qemu+tls://%s/system?pkipath=%s", spec->address,
                       libvirt_settings(h)->client_pki);
    for (size_t i = 0; i < spec->n_disks; i++)
        if (spec->disks[i].copy)
            o->copied[o->n_copied++] = xstrdup(spec->disks[i].device);
    return o;
}

static bool describe(struct outgoing *o, const struct migrate_spec *spec,
                     struct error *err)
{
    struct buf b = BUF_INIT(DOMAIN_XML_MAX);
    _autofree_ char *xml = virDomainGetXMLDesc(
        o->found.dom, VIR_DOMAIN_XML_MIGRATABLE | VIR_DOMAIN_XML_SECURE);
    if (!xml)
        return libvirt_failed(err, o->found.conn, o->id, "describe it");
    bool ok = domain_xml_moved(&b, xml, spec, err);
    o->xml = ok ? buf_steal(&b) : NULL;
    buf_free(&b);
    return ok;
}

static bool begin(struct outgoing *o, struct error *err)
{
    struct libvirt_moves *m = o->moves;
    pthread_t thread;
    pthread_mutex_lock(&m->lock);
    struct outgoing **was = find_outgoing(m, o->id);
    bool busy = *was && (*was)->state == MIGRATE_RUNNING;
    if (!busy && *was) {
        struct outgoing *gone = *was;
        *was = gone->next;
        free_outgoing(gone);
    }
    bool ok = !busy && pthread_create(&thread, NULL, move_main, o) == 0;
    if (ok) {
        pthread_detach(thread);
        o->next = m->all;
        m->all = o;
        m->threads++;
    }
    pthread_mutex_unlock(&m->lock);
    return ok || error_set(err, busy ? ERR_CONFLICT : ERR_BUSY, "domain %s: %s",
                           o->id,
                           busy ? "is on its way already"
                                : "there is no thread to move it");
}

/* Before 9.0 QEMU forgets, when it emulates the CPU, that a page was written
 * to: clearing the dirty bitmap does not reset the CPU's TLB (mended by
 * "physmem: Fix migration dirty bitmap coherency with TCG memory access").  A
 * guest that runs meanwhile arrives with memory of different times,
 * and dies; seen here too.  So it stands still while its memory is copied:
 * without VIR_MIGRATE_LIVE libvirt pauses it between its disks and its memory,
 * with the dest's QEMU waiting, and lets it run again if it cannot move. */
#define DIRTY_MENDED 9000000

static bool must_stand(struct hypervisor *h, const struct outgoing *o)
{
    unsigned long version = 0;
    return !libvirt_settings(h)->host.kvm &&
           (virConnectGetVersion(o->found.conn, &version) < 0 ||
            version < DIRTY_MENDED);
}

bool libvirt_migrate_out(struct hypervisor *h, const char *id,
                         const struct migrate_spec *spec, struct error *err)
{
    if (!libvirt_settings(h)->client_pki)
        return error_set(err, ERR_NOT_IMPLEMENTED,
                         "guests move between nodes by TLS only, which is "
                         "switched off here");
    struct outgoing *o = new_outgoing(h, id, spec);
    bool ok =
        libvirt_find(h, id, true, &o->found, err) && describe(o, spec, err);
    o->stands = ok && must_stand(h, o);
    ok = ok && begin(o, err);
    if (!ok)
        free_outgoing(o);
    return ok;
}

/* ---- watching ---------------------------------------------------------------
 */

static int64_t param(virTypedParameterPtr params, int n, const char *name)
{
    unsigned long long value = 0;
    virTypedParamsGetULLong(params, n, name, &value);
    return (int64_t)value;
}

static void read_progress(virTypedParameterPtr params, int n,
                          struct migrate_info *info)
{
    info->elapsed_ms = param(params, n, VIR_DOMAIN_JOB_TIME_ELAPSED);
    info->memory_total = param(params, n, VIR_DOMAIN_JOB_MEMORY_TOTAL);
    info->memory_processed = param(params, n, VIR_DOMAIN_JOB_MEMORY_PROCESSED);
    info->memory_remaining = param(params, n, VIR_DOMAIN_JOB_MEMORY_REMAINING);
    info->disk_total = param(params, n, VIR_DOMAIN_JOB_DISK_TOTAL);
    info->disk_processed = param(params, n, VIR_DOMAIN_JOB_DISK_PROCESSED);
    info->disk_remaining = param(params, n, VIR_DOMAIN_JOB_DISK_REMAINING);
    info->downtime_ms = param(params, n, VIR_DOMAIN_JOB_DOWNTIME);
}

/* A job that another process began is known by what it is. */
static void read_job(virDomainPtr dom, struct migrate_info *info)
{
    virTypedParameterPtr params = NULL;
    int n = 0, type = VIR_DOMAIN_JOB_NONE, operation = 0;
    if (virDomainGetJobStats(dom, &type, &params, &n, 0) < 0)
        return;
    virTypedParamsGetInt(params, n, VIR_DOMAIN_JOB_OPERATION, &operation);
    if (type != VIR_DOMAIN_JOB_NONE &&
        operation == VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT) {
        info->state = MIGRATE_RUNNING;
        read_progress(params, n, info);
    }
    virTypedParamsFree(params, n);
}

/* A question that libvirt is asked while a move begins waits until that is
 * over (its job mask changes without a signal): none is asked so early. */
#define QUIET_MS 2000

bool libvirt_migrate_info(struct hypervisor *h, const char *id,
                          struct migrate_info *info, struct error *err)
{
    struct libvirt_moves *m = libvirt_moves(h);
    _autofound_ struct libvirt_found f = { 0 };
    memset(info, 0, sizeof(*info));
    pthread_mutex_lock(&m->lock);
    const struct outgoing *o = *find_outgoing(m, id);
    if (o) {
        info->state = o->state;
        info->err = o->err;
        info->elapsed_ms = (env_mono(&env_system) - o->started) / 1000;
    }
    pthread_mutex_unlock(&m->lock);
    if (o && (info->state != MIGRATE_RUNNING || info->elapsed_ms < QUIET_MS))
        return true;
    if (!libvirt_find(h, id, false, &f, err))
        return false;
    if (f.dom)
        read_job(f.dom, info);
    return true;
}

bool libvirt_migrate_downtime(struct hypervisor *h, const char *id, int64_t ms,
                              struct error *err)
{
    _autofound_ struct libvirt_found f = { 0 };
    return libvirt_find(h, id, true, &f, err) &&
           (virDomainMigrateSetMaxDowntime(f.dom, (unsigned long long)ms, 0) ==
                0 ||
            libvirt_failed(err, f.conn, id, "set its longest pause"));
}

bool libvirt_migrate_abort(struct hypervisor *h, const char *id,
                           struct error *err)
{
    _autofound_ struct libvirt_found f = { 0 };
    if (!libvirt_find(h, id, false, &f, err))
        return false;
    return !f.dom || virDomainAbortJob(f.dom) == 0 ||
           virGetLastErrorCode() == VIR_ERR_OPERATION_INVALID || /* none */
           libvirt_failed(err, f.conn, id, "stop moving it");
}

void libvirt_migrate_forget(struct hypervisor *h, const char *id)
{
    struct libvirt_moves *m = libvirt_moves(h);
    pthread_mutex_lock(&m->lock);
    struct outgoing **at = find_outgoing(m, id), *gone = *at;
    if (gone && gone->state != MIGRATE_RUNNING) {
        *at = gone->next;
        free_outgoing(gone);
    }
    pthread_mutex_unlock(&m->lock);
}
