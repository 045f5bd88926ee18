#include "compute/libvirt_impl.h"

#include "common/alloc.h"
#include "common/log.h"
#include "compute/emulator.h"
#include "compute/mdev.h"

#include <errno.h>
#include <fcntl.h>
#include <libvirt/virterror.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOG_NAME "libvirt"

/* ---- what is ----------------------------------------------------------- */

static enum domain_state state_of(virDomainPtr dom)
{
    int state = VIR_DOMAIN_NOSTATE, reason = 0;
    if (virDomainGetState(dom, &state, &reason, 0) < 0)
        return DOMAIN_ABSENT;
    switch (state) {
    case VIR_DOMAIN_PAUSED:
        return DOMAIN_PAUSED;
    case VIR_DOMAIN_CRASHED:
        return DOMAIN_CRASHED;
    case VIR_DOMAIN_SHUTOFF:
        if (virDomainHasManagedSaveImage(dom, 0) == 1)
            return DOMAIN_SAVED;
        return reason == VIR_DOMAIN_SHUTOFF_CRASHED ? DOMAIN_CRASHED
                                                    : DOMAIN_OFF;
    default:
        return DOMAIN_RUNNING;
    }
}

static bool is_because(virDomainPtr dom, int state, int reason)
{
    int is = VIR_DOMAIN_NOSTATE, why = 0;
    return virDomainGetState(dom, &is, &why, 0) == 0 && is == state &&
           why == reason;
}

static void read_reason(virDomainPtr dom, struct domain_info *info)
{
    if (info->state == DOMAIN_PAUSED) {
        info->stalled =
            is_because(dom, VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_IOERROR);
        info->incoming =
            is_because(dom, VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_MIGRATION);
    }
    if (info->state == DOMAIN_OFF)
        info->left =
            is_because(dom, VIR_DOMAIN_SHUTOFF, VIR_DOMAIN_SHUTOFF_MIGRATED);
}

bool libvirt_list(struct hypervisor *h, domain_seen_fn *fn, void *arg,
                  struct error *err)
{
    _autoconn_ virConnectPtr c = libvirt_conn(h, err);
    virDomainPtr *doms = NULL;
    char id[VIR_UUID_STRING_BUFLEN];
    if (!c)
        return false;
    int n = virConnectListAllDomains(c, &doms, 0);
    if (n < 0)
        return libvirt_failed(err, c, "*", "list domains");
    for (int i = 0; i < n; i++) {
        if (libvirt_is_ours(doms[i]) == 1 &&
            virDomainGetUUIDString(doms[i], id) == 0)
            fn(arg, id, state_of(doms[i]));
        virDomainFree(doms[i]);
    }
    free(doms);
    return true;
}

bool libvirt_info(struct hypervisor *h, const char *id,
                  struct domain_info *info, struct error *err)
{
    _autofound_ struct libvirt_found f = { 0 };
    memset(info, 0, sizeof(*info));
    if (!libvirt_find(h, id, false, &f, err))
        return false;
    if (!f.dom)
        return true;
    info->state = state_of(f.dom);
    read_reason(f.dom, info);
    _autofree_ char *xml = virDomainGetXMLDesc(f.dom, 0);
    if (xml && info->state != DOMAIN_ABSENT)
        return domain_xml_read(xml, info) ||
               error_set(err, ERR_INTERNAL,
                         "domain %s: its description cannot be read", id);
    info->state = DOMAIN_ABSENT;
    return virGetLastErrorCode() == VIR_ERR_NO_DOMAIN ||
           libvirt_failed(err, f.conn, id, "describe it");
}

bool libvirt_make_files(struct hypervisor *h, const struct domain_spec *spec,
                        char **drive, char **log, struct error *err)
{
    const char *dir = libvirt_settings(h)->dir;
    size_t len = spec->config_drive ? spec->config_drive_len : 0;
    *log = guest_files_log(dir, spec->id);
    *drive = len ? guest_files_drive(dir, spec->id) : NULL;
    return guest_files_make(dir, spec->id, spec->config_drive, len, err);
}

/* ---- life and death ---------------------------------------------------- */

static bool create(struct libvirt_found *f, const char *id, unsigned flags,
                   struct error *err)
{
    if (virDomainCreateWithFlags(f->dom, flags) == 0)
        return true;
    libvirt_failed(err, f->conn, id, "start it");
    return virDomainIsActive(f->dom) == 1; /* somebody was quicker */
}

/* Defines and starts; the log says how long libvirt took for it, which is not
 * our time (bench/page.py subtracts it). */
static bool define_create(struct libvirt_found *f, const char *id,
                          const char *xml, struct error *err)
{
    int64_t begun = env_mono(&env_system);
    f->dom = virDomainDefineXML(f->conn, xml);
    if (!f->dom)
        return libvirt_failed(err, f->conn, id, "define it");
    int64_t defined = env_mono(&env_system);
    if (!create(f, id, VIR_DOMAIN_START_FORCE_BOOT, err)) {
        /* The definition says which reboot it carries out: it has not. */
        virDomainUndefineFlags(f->dom, VIR_DOMAIN_UNDEFINE_KEEP_NVRAM);
        return false;
    }
    log_info(LOG_NAME, "domain %s: defined in %lld us, started in %lld us", id,
             (long long)(defined - begun),
             (long long)(env_mono(&env_system) - defined));
    return true;
}

bool libvirt_define_start(struct hypervisor *h, const struct domain_spec *spec,
                          struct error *err)
{
    const struct libvirt_config *d = libvirt_settings(h);
    _autofound_ struct libvirt_found f = { 0 };
    if (!libvirt_find(h, spec->id, false, &f, err))
        return false;
    if (f.dom && virDomainIsActive(f.dom) == 1)
        return true;
    _autofree_ char *drive = NULL;
    _autofree_ char *log = NULL;
    struct buf xml = BUF_INIT(DOMAIN_XML_MAX);
    if (!libvirt_make_files(h, spec, &drive, &log, err))
        return false;
    struct domain_files files = { drive, log };
    const struct mdev_host kernel = { .sys = d->sys };
    bool ok = domain_xml_write(&xml, spec, &d->host, &files, err) &&
              mdev_give(&kernel, spec->id, spec->place.devices,
                        spec->place.n_devices, err);
    if (f.dom)
        virDomainFree(f.dom);
    f.dom = NULL;
    ok = ok && define_create(&f, spec->id, buf_str(&xml), err);
    buf_free(&xml);
    return ok;
}

bool libvirt_start(struct hypervisor *h, const char *id, struct error *err)
{
    _autofound_ struct libvirt_found f = { 0 };
    return libvirt_find(h, id, true, &f, err) &&
           (virDomainIsActive(f.dom) == 1 || create(&f, id, 0, err));
}

bool libvirt_shutdown(struct hypervisor *h, const char *id, struct error *err)
{
    _autofound_ struct libvirt_found f = { 0 };
    if (!libvirt_find(h, id, false, &f, err))
        return false;
    if (!f.dom || virDomainIsActive(f.dom) == 0 ||
        virDomainShutdownFlags(f.dom, 0) == 0)
        return true;
    libvirt_failed(err, f.conn, id, "shut it down");
    return virDomainIsActive(f.dom) == 0;
}

bool libvirt_destroy(struct hypervisor *h, const char *id, struct error *err)
{
    _autofound_ struct libvirt_found f = { 0 };
    if (!libvirt_find(h, id, false, &f, err))
        return false;
    if (!f.dom || virDomainIsActive(f.dom) == 0 || virDomainDestroy(f.dom) == 0)
        return true;
    libvirt_failed(err, f.conn, id, "destroy it");
    return virDomainIsActive(f.dom) == 0;
}

bool libvirt_kill(struct hypervisor *h, const char *id, struct error *err)
{
    struct domain_info info;
    if (!libvirt_info(h, id, &info, err))
        return false;
    if (domain_active(&info)) /* it is ours */
        emulator_kill("/proc", id);
    return libvirt_destroy(h, id, err);
}

void libvirt_kill_stale(struct hypervisor *h,
                        bool (*stale)(void *arg, const char *id, bool shared),
                        void *arg)
{
    emulator_kill_stale("/proc", stale, arg);
}

bool libvirt_undefine(struct hypervisor *h, const char *id, struct error *err)
{
    _autofound_ struct libvirt_found f = { 0 };
    if (!libvirt_find(h, id, false, &f, err))
        return false;
    if (f.dom &&
        virDomainUndefineFlags(f.dom,
                               VIR_DOMAIN_UNDEFINE_MANAGED_SAVE |
                                   VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA |
                                   VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA |
                                   VIR_DOMAIN_UNDEFINE_NVRAM) < 0 &&
        virGetLastErrorCode() != VIR_ERR_NO_DOMAIN)
        return libvirt_failed(err, f.conn, id, "undefine it");
    guest_files_remove(libvirt_settings(h)->dir, id);
    const struct mdev_host kernel = { .sys = libvirt_settings(h)->sys };
    return mdev_take(&kernel, id, err);
}

/* ---- what is left -------------------------------------------------------- */

struct sweep {
    const char *uuid;
    bool used; /* a domain is there whose it would be */
};

static void note_use(void *arg, const char *id, enum domain_state state)
{
    struct sweep *s = arg;
    s->used |= mdev_is_of(s->uuid, id);
}

struct asked {
    struct hypervisor *h;
    bool (*wanted)(void *arg, const char *name);
    void *arg;
};

/* A running guest's would be taken back only when the guest has ended: the
 * kernel waits for that. */
static bool is_wanted(void *arg, const char *uuid)
{
    struct asked *a = arg;
    struct sweep s = { .uuid = uuid };
    struct error err;
    return a->wanted(a->arg, uuid) || !libvirt_list(a->h, note_use, &s, &err) ||
           s.used;
}

void libvirt_sweep_parts(struct hypervisor *h, mdev_wanted_fn *wanted,
                         void *arg)
{
    const struct mdev_host kernel = { .sys = libvirt_settings(h)->sys };
    struct asked a = { h, wanted, arg };
    mdev_sweep(&kernel, is_wanted, &a);
}

/* A domain without a record is left alone, and what belongs to it. */
static bool has_domain(void *arg, const char *id)
{
    struct asked *a = arg;
    struct error err;
    _autofound_ struct libvirt_found f = { 0 };
    return a->wanted(a->arg, id) || !libvirt_find(a->h, id, false, &f, &err) ||
           f.dom;
}

void libvirt_sweep_files(struct hypervisor *h, guest_wanted_fn *wanted,
                         void *arg)
{
    struct asked a = { h, wanted, arg };
    guest_files_sweep(libvirt_settings(h)->dir, has_domain, &a);
}

bool libvirt_suspend(struct hypervisor *h, const char *id, struct error *err)
{
    _autofound_ struct libvirt_found f = { 0 };
    return libvirt_find(h, id, true, &f, err) &&
           (state_of(f.dom) == DOMAIN_PAUSED || virDomainSuspend(f.dom) == 0 ||
            libvirt_failed(err, f.conn, id, "pause it"));
}

bool libvirt_resume(struct hypervisor *h, const char *id, struct error *err)
{
    _autofound_ struct libvirt_found f = { 0 };
    return libvirt_find(h, id, true, &f, err) &&
           (state_of(f.dom) == DOMAIN_RUNNING || virDomainResume(f.dom) == 0 ||
            libvirt_failed(err, f.conn, id, "resume it"));
}

bool libvirt_managed_save(struct hypervisor *h, const char *id,
                          struct error *err)
{
    _autofound_ struct libvirt_found f = { 0 };
    return libvirt_find(h, id, true, &f, err) &&
           (state_of(f.dom) == DOMAIN_SAVED ||
            virDomainManagedSave(f.dom, 0) == 0 ||
            libvirt_failed(err, f.conn, id, "save its memory"));
}
