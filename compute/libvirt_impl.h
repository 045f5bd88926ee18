/*
 * What the parts of the libvirt driver have of each other: the driver itself,
 * which is the connection (libvirt_driver.c), domains (libvirt_domain.c), their
 * devices (libvirt_devices.c), what guests use (libvirt_stats.c) and the moving
 * of guests (libvirt_migrate.c).
 * What is in the table of calls is said there (hypervisor.h).
 */
#ifndef CAIRN_COMPUTE_LIBVIRT_IMPL_H
#define CAIRN_COMPUTE_LIBVIRT_IMPL_H

#include "common/cleanup.h"
#include "compute/guest_files.h"
#include "compute/libvirt_driver.h"

#include <libvirt/libvirt.h>

/* A reference to the connection; NULL: there is none now. */
virConnectPtr libvirt_conn(struct hypervisor *h, struct error *err);
void libvirt_conn_drop(virConnectPtr *c);
#define _autoconn_ _cleanup_(libvirt_conn_drop)

struct libvirt_found {
    virConnectPtr conn;
    virDomainPtr dom; /* NULL: absent */
};
void libvirt_found_drop(struct libvirt_found *f);
#define _autofound_ _cleanup_(libvirt_found_drop)

/* 1: ours, 0: not there or not ours, -1: libvirt failed. */
int libvirt_is_ours(virDomainPtr dom);
/* Looks the domain up: ours, or CONFLICT.  An absent one is success with dom
 * NULL; with `needed` it is NOT_FOUND. */
bool libvirt_find(struct hypervisor *h, const char *id, bool needed,
                  struct libvirt_found *f, struct error *err);
/* The thread's last libvirt error as ours; `what` says what was tried. */
bool libvirt_failed(struct error *err, virConnectPtr conn, const char *id,
                    const char *what);
/* The listener hears of the domain. */
void libvirt_tell(struct hypervisor *h, const char *id);

const struct libvirt_config *libvirt_settings(struct hypervisor *h);
struct libvirt_moves *libvirt_moves(struct hypervisor *h);

/* ---- libvirt_domain.c ---------------------------------------------------- */

/* The files of a domain, made and written: NULL in *drive if it has none. */
bool libvirt_make_files(struct hypervisor *h, const struct domain_spec *spec,
                        char **drive, char **log, struct error *err);

bool libvirt_list(struct hypervisor *h, domain_seen_fn *fn, void *arg,
                  struct error *err);
bool libvirt_info(struct hypervisor *h, const char *id,
                  struct domain_info *info, struct error *err);
bool libvirt_define_start(struct hypervisor *h, const struct domain_spec *spec,
                          struct error *err);
bool libvirt_start(struct hypervisor *h, const char *id, struct error *err);
bool libvirt_shutdown(struct hypervisor *h, const char *id, struct error *err);
bool libvirt_destroy(struct hypervisor *h, const char *id, struct error *err);
bool libvirt_kill(struct hypervisor *h, const char *id, struct error *err);
void libvirt_kill_stale(struct hypervisor *h,
                        bool (*stale)(void *arg, const char *id, bool shared),
                        void *arg);
bool libvirt_undefine(struct hypervisor *h, const char *id, struct error *err);
bool libvirt_suspend(struct hypervisor *h, const char *id, struct error *err);
bool libvirt_resume(struct hypervisor *h, const char *id, struct error *err);
bool libvirt_managed_save(struct hypervisor *h, const char *id,
                          struct error *err);

void libvirt_sweep_parts(struct hypervisor *h,
                         bool (*wanted)(void *arg, const char *uuid),
                         void *arg);
void libvirt_sweep_files(struct hypervisor *h, guest_wanted_fn *wanted,
                         void *arg);

/* ---- libvirt_devices.c --------------------------------------------------- */

bool libvirt_attach_disk(struct hypervisor *h, const char *id,
                         const struct disk_spec *disk, struct error *err);
bool libvirt_attach_nic(struct hypervisor *h, const char *id,
                        const struct nic_spec *nic, struct error *err);
bool libvirt_detach_disk(struct hypervisor *h, const char *id,
                         const char *device, struct error *err);
bool libvirt_detach_nic(struct hypervisor *h, const char *id,
                        const char *port_id, struct error *err);
bool libvirt_resize_disk(struct hypervisor *h, const char *id,
                         const char *device, int64_t bytes, struct error *err);
bool libvirt_move_disk(struct hypervisor *h, const char *id, const char *device,
                       const char *path, struct error *err);

/* ---- libvirt_stats.c ----------------------------------------------------- */

bool libvirt_stats(struct hypervisor *h, const char *id,
                   struct domain_stats *stats, struct error *err);
bool libvirt_count_dirty(struct hypervisor *h, const char *id,
                         struct error *err);

/* ---- libvirt_secret.c ---------------------------------------------------- */

bool libvirt_keep_secret(struct hypervisor *h, const char *uuid,
                         const char *passphrase, struct error *err);
void libvirt_drop_secret(struct hypervisor *h, const char *uuid);

/* ---- libvirt_migrate.c --------------------------------------------------- */

/* Guests that are being moved from here, a thread each. */
struct libvirt_moves *libvirt_moves_new(void);
/* Those under way go on in libvirtd; their threads free what is left. */
void libvirt_moves_free(struct libvirt_moves *m);

bool libvirt_migrate_prepare(struct hypervisor *h,
                             const struct domain_spec *spec,
                             struct migrate_place *place, struct error *err);
bool libvirt_migrate_out(struct hypervisor *h, const char *id,
                         const struct migrate_spec *spec, struct error *err);
bool libvirt_migrate_info(struct hypervisor *h, const char *id,
                          struct migrate_info *info, struct error *err);
bool libvirt_migrate_downtime(struct hypervisor *h, const char *id, int64_t ms,
                              struct error *err);
bool libvirt_migrate_abort(struct hypervisor *h, const char *id,
                           struct error *err);
void libvirt_migrate_forget(struct hypervisor *h, const char *id);

#endif
