/*
 * libvirt_driver - the hypervisor's table over libvirt's C API.
 *
 * One connection with keep-alive, which a thread of the driver opens again
 * whenever it is lost (calls answer UNAVAILABLE meanwhile), and libvirt's
 * event loop on a second thread; what happened to domains comes from there.
 * Guests do not depend on either: they go on when the connection, libvirtd
 * or this process ends, and are found again.
 *
 * Only domains with Cairn's metadata (domain_xml.h) are touched.  Each has a
 * directory <dir>/<id> for its config drive and its console log.
 *
 * Threads: see hypervisor.h.  At most one at a time in a process should be
 * open: libvirt's event loop is the process's.
 */
#ifndef CAIRN_COMPUTE_LIBVIRT_DRIVER_H
#define CAIRN_COMPUTE_LIBVIRT_DRIVER_H

#include "compute/domain_xml.h"
#include "compute/hypervisor.h"

struct libvirt_config {
    const char *uri; /* "qemu:///system" */
    const char *dir; /* made if absent; its parent must let QEMU's user in */
    const char *sys; /* where sysfs is, "/sys": parts of devices, mdev.h */
    struct domain_host host;
    /* Where host.ceph.secret is set: client.<host.ceph.client>'s key, base64;
     * the driver makes it libvirt's secret of that UUID. */
    const char *ceph_key;
    /* Directory by whose certificate libvirtd speaks with other nodes' when a
     * guest moves there, see libvirt's pkipath; NULL: none moves. */
    const char *client_pki;
};

/* Copies the configuration.  Waits for the first connection, `wait_ms` at
 * most (0: not at all); when there is none by then it goes on trying behind
 * the scenes, and that is no failure. */
struct hypervisor *libvirt_open(const struct libvirt_config *config,
                                int wait_ms, struct error *err);

/* Waits for a connection, `wait_ms` at most: false when there is none then. */
bool libvirt_await(struct hypervisor *h, int wait_ms);

/* What the machine offers to guests. */
struct libvirt_facts {
    int64_t version; /* of QEMU, 7002022 for 7.2.22 */
    int64_t vcpus;   /* threads */
    int64_t ram_mb;
    char machine[32]; /* "x86_64" */
};
bool libvirt_facts(struct hypervisor *h, struct libvirt_facts *facts,
                   struct error *err);
/* Cells and devices into the draft of the node's record (inventory.h);
 * `passthrough`: what the operator offers.  A libvirt without node devices
 * has none. */
struct node;
bool libvirt_inventory(struct hypervisor *h, const char *passthrough,
                       struct node *draft, struct error *err);

#endif
