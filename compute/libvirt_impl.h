/*
 * What the parts of the libvirt driver have of each other: the driver itself
 * (libvirt_driver.c) and the moving of guests (libvirt_migrate.c).
 */
#ifndef CAIRN_COMPUTE_LIBVIRT_IMPL_H
#define CAIRN_COMPUTE_LIBVIRT_IMPL_H

#include "common/cleanup.h"
#include "compute/libvirt_driver.h"

#include <libvirt/libvirt.h>

struct libvirt_found {
    virConnectPtr conn;
    virDomainPtr dom; /* NULL: absent */
};
void libvirt_found_drop(struct libvirt_found *f);
#define _autofound_ _cleanup_(libvirt_found_drop)

/* Looks the domain up: ours, or CONFLICT.  An absent one is success with dom
 * NULL; with `needed` it is NOT_FOUND. */
bool libvirt_find(struct hypervisor *h, const char *id, bool needed,
                  struct libvirt_found *f, struct error *err);
/* The thread's last libvirt error as ours; `what` says what was tried. */
bool libvirt_failed(struct error *err, virConnectPtr conn, const char *id,
                    const char *what);
/* The listener hears of the domain. */
void libvirt_tell(struct hypervisor *h, const char *id);

/* The files of a domain, made and written: NULL in *drive if it has none. */
bool libvirt_make_files(struct hypervisor *h, const struct domain_spec *spec,
                        char **drive, char **log, struct error *err);

const struct libvirt_config *libvirt_settings(struct hypervisor *h);
struct libvirt_moves *libvirt_moves(struct hypervisor *h);

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
