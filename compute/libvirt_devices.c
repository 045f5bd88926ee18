#include "compute/libvirt_impl.h"

#include <libvirt/virterror.h>
#include <string.h>

/* Only the running guest: a start defines the domain anew anyway. */
#define LIVE VIR_DOMAIN_AFFECT_LIVE

static bool attach(struct libvirt_found *f, const char *id, struct buf *xml,
                   struct error *err)
{
    bool ok = virDomainAttachDeviceFlags(f->dom, buf_str(xml), LIVE) == 0 ||
              libvirt_failed(err, f->conn, id, "attach a device");
    buf_free(xml);
    return ok;
}

bool libvirt_attach_disk(struct hypervisor *h, const char *id,
                         const struct disk_spec *disk, struct error *err)
{
    _autofound_ struct libvirt_found f = { 0 };
    struct domain_info info;
    struct buf xml = BUF_INIT(DOMAIN_XML_MAX);
    if (!libvirt_info(h, id, &info, err))
        return false;
    if (domain_active(&info) && domain_has_disk(&info, disk->device))
        return true;
    return libvirt_find(h, id, true, &f, err) &&
           domain_xml_disk(&xml, disk, &libvirt_settings(h)->host, err) &&
           attach(&f, id, &xml, err);
}

bool libvirt_attach_nic(struct hypervisor *h, const char *id,
                        const struct nic_spec *nic, struct error *err)
{
    _autofound_ struct libvirt_found f = { 0 };
    struct domain_info info;
    struct buf xml = BUF_INIT(DOMAIN_XML_MAX);
    if (!libvirt_info(h, id, &info, err))
        return false;
    if (domain_active(&info) && domain_has_nic(&info, nic->port_id))
        return true;
    return libvirt_find(h, id, true, &f, err) &&
           domain_xml_nic(&xml, nic, &libvirt_settings(h)->host, err) &&
           attach(&f, id, &xml, err);
}

/* The guest was asked before and has not answered yet. */
static bool asked_before(void)
{
    const virError *e = virGetLastError();
    return e && e->message &&
           strstr(e->message, "already in the process of unplug");
}

typedef bool find_device_fn(const char *xml, const char *name, struct buf *out);

static bool detach(struct hypervisor *h, const char *id, find_device_fn *fn,
                   const char *name, struct error *err)
{
    _autofound_ struct libvirt_found f = { 0 };
    if (!libvirt_find(h, id, false, &f, err))
        return false;
    if (!f.dom || virDomainIsActive(f.dom) == 0)
        return true;
    _autofree_ char *xml = virDomainGetXMLDesc(f.dom, 0);
    if (!xml)
        return libvirt_failed(err, f.conn, id, "describe it");
    struct buf device = BUF_INIT(DOMAIN_XML_MAX);
    bool ok = !fn(xml, name, &device) ||
              virDomainDetachDeviceFlags(f.dom, buf_str(&device), LIVE) == 0 ||
              asked_before() ||
              libvirt_failed(err, f.conn, id, "detach a device");
    buf_free(&device);
    return ok;
}

bool libvirt_detach_disk(struct hypervisor *h, const char *id,
                         const char *device, struct error *err)
{
    return detach(h, id, domain_xml_find_disk, device, err);
}

bool libvirt_detach_nic(struct hypervisor *h, const char *id,
                        const char *port_id, struct error *err)
{
    return detach(h, id, domain_xml_find_nic, port_id, err);
}

bool libvirt_resize_disk(struct hypervisor *h, const char *id,
                         const char *device, int64_t bytes, struct error *err)
{
    _autofound_ struct libvirt_found f = { 0 };
    return libvirt_find(h, id, true, &f, err) &&
           (virDomainBlockResize(f.dom, device, (unsigned long long)bytes,
                                 VIR_DOMAIN_BLOCK_RESIZE_BYTES) == 0 ||
            libvirt_failed(err, f.conn, id, "resize a disk"));
}

/* Snapshots without metadata: libvirt keeps nothing of them.  A guest whose
 * agent does not manage to hold still in time gets a snapshot as after a
 * power cut. */
static bool snapshot(struct libvirt_found *f, const char *xml, bool agent)
{
    const unsigned flags = VIR_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY |
                           VIR_DOMAIN_SNAPSHOT_CREATE_NO_METADATA |
                           VIR_DOMAIN_SNAPSHOT_CREATE_REUSE_EXT |
                           VIR_DOMAIN_SNAPSHOT_CREATE_ATOMIC;
    virDomainSnapshotPtr s = NULL;
    if (agent)
        s = virDomainSnapshotCreateXML(
            f->dom, xml, flags | VIR_DOMAIN_SNAPSHOT_CREATE_QUIESCE);
    if (!s)
        s = virDomainSnapshotCreateXML(f->dom, xml, flags);
    if (s)
        virDomainSnapshotFree(s);
    return s != NULL;
}

/* A quiescing call that failed may have moved the disk all the same: to do it
 * twice would be wrong, and libvirt refuses it (the file is in use). */
bool libvirt_move_disk(struct hypervisor *h, const char *id, const char *device,
                       const char *path, struct error *err)
{
    _autofound_ struct libvirt_found f = { 0 };
    struct domain_info info;
    struct buf xml = BUF_INIT(DOMAIN_XML_MAX);
    if (!libvirt_info(h, id, &info, err) || !libvirt_find(h, id, true, &f, err))
        return false;
    const char *now = domain_disk_path(&info, device);
    if (!domain_active(&info) || !now)
        return error_set(err, ERR_NOT_FOUND, "domain %s has no disk %s now", id,
                         device);
    if (strcmp(now, path) == 0)
        return true;
    bool ok = domain_xml_move(&xml, &info, device, path, err) &&
              (snapshot(&f, buf_str(&xml), info.agent) ||
               libvirt_failed(err, f.conn, id, "move a disk"));
    buf_free(&xml);
    return ok;
}
