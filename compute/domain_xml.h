/*
 * domain_xml - libvirt's XML of a domain and of its devices.
 *
 * A pure function from a domain_spec and what is particular to this node to
 * bytes, by an XML writer and never by pasting: whatever stands in a name
 * stays text.  Characters that XML cannot hold become U+FFFD.  Equal input
 * gives equal output.
 *
 * A domain carries two metadata elements: Cairn's own (DOMAIN_XMLNS), by
 * which it knows its domains and their reboot number, and nova's, so that
 * tools written for nova read name, flavor and owner.
 */
#ifndef CAIRN_COMPUTE_DOMAIN_XML_H
#define CAIRN_COMPUTE_DOMAIN_XML_H

#include "common/buf.h"
#include "compute/hypervisor.h"

#define DOMAIN_XMLNS   "urn:cairn:domain:1"
#define DOMAIN_XML_MAX (256 * 1024)

/* How QEMU reaches the pool's Ceph cluster. */
struct domain_ceph {
    const char *conf;   /* path of ceph.conf; NULL: QEMU's own default */
    const char *client; /* "cairn" for client.cairn */
    const char *secret; /* UUID of libvirt's secret with its key; or NULL */
};

/* What this node gives to each of its domains. */
struct domain_host {
    bool kvm;               /* else TCG */
    const char *emulator;   /* path of QEMU; NULL: libvirt's choice */
    const char *bridge;     /* OVN's integration bridge, "br-int" */
    bool userspace_switch;  /* OVS forwards by itself: no checksum offload */
    const char *vnc_listen; /* address */
    struct domain_ceph ceph;
};

/* Files of one domain; NULL: none. */
struct domain_files {
    const char *config_drive;
    const char *serial_log;
};

/* All append one element to `out`.  False only when it does not fit. */
bool domain_xml_write(struct buf *out, const struct domain_spec *spec,
                      const struct domain_host *host,
                      const struct domain_files *files, struct error *err);
bool domain_xml_disk(struct buf *out, const struct disk_spec *disk,
                     const struct domain_host *host, struct error *err);
bool domain_xml_nic(struct buf *out, const struct nic_spec *nic,
                    const struct domain_host *host, struct error *err);

/* The secret that holds Ceph's key, in libvirt's memory only. */
bool domain_xml_secret(struct buf *out, const struct domain_ceph *ceph,
                       struct error *err);
/* One for the passphrase of an encrypted disk; likewise. */
bool domain_xml_passphrase(struct buf *out, const char *uuid,
                           struct error *err);
/* What libvirt is told to move one disk of the domain onto `path`: a snapshot
 * of that disk alone. */
bool domain_xml_move(struct buf *out, const struct domain_info *info,
                     const char *device, const char *path, struct error *err);

/* The description of a running domain as it is at the dest: its files, its
 * console's address and its place are those of `to`.  False and INVALID when
 * it is none of
 * ours, or has a disk that `to` does not know. */
bool domain_xml_moved(struct buf *out, const char *xml,
                      const struct migrate_spec *to, struct error *err);

/* Reads what libvirt says of a domain of ours into vnc_*, serial_log, reboot,
 * agent, disks and nics; leaves the state alone.  False when it is not XML or
 * not ours (no metadata of DOMAIN_XMLNS). */
bool domain_xml_read(const char *xml, struct domain_info *info);
/* The element of one device as libvirt wrote it, for detaching: the disk
 * with this target, or the NIC with this port. */
bool domain_xml_find_disk(const char *xml, const char *device, struct buf *out);
bool domain_xml_find_nic(const char *xml, const char *port_id, struct buf *out);

#endif
