#include "compute/domain_xml.h"

#include "common/cleanup.h"
#include "compute/domain_place.h"
#include "compute/xr.h"
#include "compute/xw.h"

#include <libxml/parser.h>
#include <libxml/xmlwriter.h>
#include <string.h>

#define NOVA_XMLNS "http://openstack.org/xmlns/libvirt/nova/1.1"

/* Slots that stay free for devices plugged in later (q35 has none by
 * itself; the older machine plugs into its one bus). */
#define SPARE_PORTS 16

#define X(s_) ((const xmlChar *)(s_))

/* ---- writing ----------------------------------------------------------- */

DEFINE_CLEANUP(xmlTextWriterPtr, cleanup_writer, xmlFreeTextWriter);
DEFINE_CLEANUP(xmlBufferPtr, cleanup_xmlbuf, xmlBufferFree);
DEFINE_CLEANUP(xmlDocPtr, cleanup_doc, xmlFreeDoc);

#define begin    xw_begin
#define leaf     xw_leaf
#define end      xw_end
#define put_text xw_put_text
#define text     xw_text
#define number   xw_number
#define NUM      XW_NUM

/* ---- metadata ---------------------------------------------------------- */

static void write_owner(xmlTextWriterPtr w, const struct domain_spec *spec)
{
    if (spec->user_id || spec->project_id) {
        begin(w, "nova:owner", NULL);
        leaf(w, "nova:user", "uuid", spec->user_id, NULL);
        leaf(w, "nova:project", "uuid", spec->project_id, NULL);
        end(w);
    }
    if (spec->image_id)
        leaf(w, "nova:root", "type", "image", "uuid", spec->image_id, NULL);
}

static void write_nova(xmlTextWriterPtr w, const struct domain_spec *spec)
{
    char when[TIME_TEXT_MAX];
    begin(w, "nova:instance", "xmlns:nova", NOVA_XMLNS, NULL);
    leaf(w, "nova:package", "version", CAIRN_VERSION, NULL);
    text(w, "nova:name", spec->title);
    text(w, "nova:creationTime",
         time_format(spec->created, TIME_SECONDS, when));
    begin(w, "nova:flavor", "name", spec->flavor_name, NULL);
    number(w, "nova:memory", spec->ram_mb);
    number(w, "nova:disk", spec->disk_gb);
    number(w, "nova:swap", spec->swap_mb);
    number(w, "nova:ephemeral", spec->ephemeral_gb);
    number(w, "nova:vcpus", spec->vcpus);
    end(w);
    write_owner(w, spec);
    end(w);
}

static void write_metadata(xmlTextWriterPtr w, const struct domain_spec *spec)
{
    begin(w, "metadata", NULL);
    leaf(w, "cairn:server", "xmlns:cairn", DOMAIN_XMLNS, "reboot",
         NUM(spec->reboot), NULL);
    write_nova(w, spec);
    end(w);
}

/* ---- the machine ------------------------------------------------------- */

static void entry(xmlTextWriterPtr w, const char *name, const char *value)
{
    begin(w, "entry", "name", name, NULL);
    put_text(w, value);
    end(w);
}

/* cloud-init and others tell OpenStack by the product's name. */
static void write_sysinfo(xmlTextWriterPtr w, const struct domain_spec *spec)
{
    begin(w, "sysinfo", "type", "smbios", NULL);
    begin(w, "system", NULL);
    entry(w, "manufacturer", "OpenStack Foundation");
    entry(w, "product", "OpenStack Nova");
    entry(w, "version", CAIRN_VERSION);
    entry(w, "serial", spec->id);
    entry(w, "uuid", spec->id);
    entry(w, "family", "Virtual Machine");
    end(w);
    end(w);
}

static bool is_q35(const struct domain_spec *spec)
{
    return spec->hw.machine && strstr(spec->hw.machine, "q35");
}

static void write_os(xmlTextWriterPtr w, const struct domain_spec *spec)
{
    begin(w, "os", "firmware", spec->hw.uefi ? "efi" : NULL, NULL);
    begin(w, "type", "arch", "x86_64", "machine",
          spec->hw.machine ? spec->hw.machine : "pc", NULL);
    put_text(w, "hvm");
    end(w);
    leaf(w, "smbios", "mode", "sysinfo", NULL);
    end(w);
}

static void write_features(xmlTextWriterPtr w, const struct domain_spec *spec)
{
    begin(w, "features", NULL);
    leaf(w, "acpi", NULL);
    leaf(w, "apic", NULL);
    if (spec->hw.windows) {
        begin(w, "hyperv", NULL);
        leaf(w, "relaxed", "state", "on", NULL);
        leaf(w, "vapic", "state", "on", NULL);
        leaf(w, "spinlocks", "state", "on", "retries", "8191", NULL);
        end(w);
    }
    end(w);
}

static void write_topology(xmlTextWriterPtr w, const struct domain_spec *spec)
{
    const struct hardware_spec *hw = &spec->hw;
    if (hw->sockets * hw->cores * hw->threads == spec->vcpus)
        leaf(w, "topology", "sockets", NUM(hw->sockets), "cores",
             NUM(hw->cores), "threads", NUM(hw->threads), NULL);
    else
        leaf(w, "topology", "sockets", NUM(spec->vcpus), "cores", "1",
             "threads", "1", NULL);
}

/* Without KVM there is no host model to pass on: all that the emulator can
 * do. */
static void write_cpu(xmlTextWriterPtr w, const struct domain_spec *spec,
                      const struct domain_host *host)
{
    const struct hardware_spec *hw = &spec->hw;
    const char *mode = hw->cpu_mode ? hw->cpu_mode : "host-passthrough";
    if (!host->kvm)
        mode = "maximum";
    else if (strcmp(mode, "custom") == 0 && !hw->cpu_model)
        mode = "host-model";
    if (strcmp(mode, "custom") == 0) {
        begin(w, "cpu", "mode", mode, "match", "exact", NULL);
        text(w, "model", hw->cpu_model);
    } else
        begin(w, "cpu", "mode", mode, NULL);
    write_topology(w, spec);
    domain_place_cells(w, spec);
    end(w);
}

static void write_clock(xmlTextWriterPtr w, const struct domain_spec *spec)
{
    begin(w, "clock", "offset", spec->hw.windows ? "localtime" : "utc", NULL);
    leaf(w, "timer", "name", "pit", "tickpolicy", "delay", NULL);
    leaf(w, "timer", "name", "rtc", "tickpolicy", "catchup", NULL);
    leaf(w, "timer", "name", "hpet", "present", "no", NULL);
    end(w);
}

/* ---- devices ----------------------------------------------------------- */

/* Storage has made the file QEMU's user's already, and what it stands on
 * readable only.  libvirt would make the whole chain that user's, images
 * that other guests share included, and one broken guest could then write
 * to all of them. */
static void write_file_source(xmlTextWriterPtr w, const struct disk_spec *disk)
{
    begin(w, "source", "file", disk->path, NULL);
    if (!disk->cdrom)
        leaf(w, "seclabel", "model", "dac", "relabel", "no", NULL);
    end(w);
}

/* The monitors' addresses stand in Ceph's own file, which changes as they
 * come and go; QEMU reads it when it starts. */
static void write_rbd_source(xmlTextWriterPtr w, const char *image,
                             const char *secret, const struct domain_ceph *ceph)
{
    begin(w, "source", "protocol", "rbd", "name", image, NULL);
    if (ceph->conf)
        leaf(w, "config", "file", ceph->conf, NULL);
    if (ceph->secret) {
        begin(w, "auth", "username", ceph->client, NULL);
        leaf(w, "secret", "type", "ceph", "uuid", ceph->secret, NULL);
        end(w);
    }
    if (secret) {
        begin(w, "encryption", "format", "luks", NULL);
        leaf(w, "secret", "type", "passphrase", "uuid", secret, NULL);
        end(w);
    }
    end(w);
}

static void write_limits(xmlTextWriterPtr w, const struct disk_spec *disk)
{
    if (!disk->limited)
        return;
    begin(w, "iotune", NULL);
    for (int i = 0; i < N_QOS_LIMITS; i++)
        if (disk->tune.v[i])
            number(w, qos_limit_names[i], disk->tune.v[i]);
    end(w);
}

/* What several guests write to, none keeps in a cache of its host. */
static const char *cache_of(const struct disk_spec *disk)
{
    return disk->cdrom ? NULL : disk->shareable ? "none" : "writeback";
}

/* `order`: place in the boot order, NULL: not booted from. */
static void write_disk(xmlTextWriterPtr w, const struct disk_spec *disk,
                       const struct domain_host *host, const char *order)
{
    const char *image = domain_rbd_image(disk->path);
    begin(w, "disk", "type", image ? "network" : "file", "device",
          disk->cdrom ? "cdrom" : "disk", NULL);
    leaf(w, "driver", "name", "qemu", "type", image ? "raw" : disk->format,
         "cache", cache_of(disk), "discard", disk->cdrom ? NULL : "unmap",
         NULL);
    if (image)
        write_rbd_source(w, image, disk->secret, &host->ceph);
    else
        write_file_source(w, disk);
    leaf(w, "target", "dev", disk->device, "bus", disk->bus, NULL);
    if (disk->readonly || disk->cdrom)
        leaf(w, "readonly", NULL);
    if (disk->shareable)
        leaf(w, "shareable", NULL);
    write_limits(w, disk);
    text(w, "serial", disk->serial);
    if (order)
        leaf(w, "boot", "order", order, NULL);
    end(w);
}

static void write_nic(xmlTextWriterPtr w, const struct nic_spec *nic,
                      const struct domain_host *host)
{
    const char *model = nic->model ? nic->model : "virtio";
    char tap[16];
    snprintf(tap, sizeof(tap), "tap%.11s", nic->port_id);
    begin(w, "interface", "type", "bridge", NULL);
    leaf(w, "mac", "address", nic->mac, NULL);
    leaf(w, "source", "bridge", host->bridge, NULL);
    begin(w, "virtualport", "type", "openvswitch", NULL);
    leaf(w, "parameters", "interfaceid", nic->port_id, NULL);
    end(w);
    leaf(w, "target", "dev", tap, NULL);
    leaf(w, "model", "type", model, NULL);
    if (strcmp(model, "virtio") == 0) {
        begin(w, "driver", "name", host->userspace_switch ? "qemu" : NULL,
              NULL);
        if (host->userspace_switch)
            leaf(w, "host", "csum", "off", NULL);
        end(w);
    }
    if (nic->mtu)
        leaf(w, "mtu", "size", NUM(nic->mtu), NULL);
    leaf(w, "rom", "enabled", "no", NULL); /* nothing boots from it */
    end(w);
}

/* The bus of the config drive, and its name on it. */
static struct disk_spec config_drive_disk(const struct domain_spec *spec,
                                          const char *path)
{
    bool q35 = is_q35(spec);
    return (struct disk_spec){
        .path = path,
        .format = "raw",
        .bus = q35 ? "scsi" : "ide",
        .device = q35 ? "sdz" : "hdd",
        .cdrom = true,
    };
}

static void write_disks(xmlTextWriterPtr w, const struct domain_spec *spec,
                        const struct domain_host *host,
                        const struct domain_files *files)
{
    for (size_t i = 0; i < spec->n_disks; i++)
        write_disk(w, &spec->disks[i], host, i == 0 ? "1" : NULL);
    if (files->config_drive) {
        struct disk_spec cd = config_drive_disk(spec, files->config_drive);
        write_disk(w, &cd, host, NULL);
    }
}

static bool needs_scsi(const struct domain_spec *spec,
                       const struct domain_files *files)
{
    bool any = spec->hw.scsi_model || (files->config_drive && is_q35(spec));
    for (size_t i = 0; i < spec->n_disks; i++)
        any = any || strcmp(spec->disks[i].bus, "scsi") == 0;
    return any;
}

static void write_controllers(xmlTextWriterPtr w,
                              const struct domain_spec *spec,
                              const struct domain_files *files)
{
    leaf(w, "controller", "type", "usb", "index", "0", "model",
         spec->hw.windows ? "qemu-xhci" : "none", NULL);
    if (needs_scsi(spec, files))
        leaf(w, "controller", "type", "scsi", "index", "0", "model",
             spec->hw.scsi_model ? spec->hw.scsi_model : "virtio-scsi", NULL);
    if (!is_q35(spec))
        return;
    leaf(w, "controller", "type", "pci", "index", "0", "model", "pcie-root",
         NULL);
    for (int i = 1; i <= SPARE_PORTS; i++)
        leaf(w, "controller", "type", "pci", "index", NUM(i), "model",
             "pcie-root-port", NULL);
}

/* The log goes on over restarts of the guest. */
static void write_console(xmlTextWriterPtr w, const struct domain_files *files)
{
    begin(w, "serial", "type", "pty", NULL);
    if (files->serial_log)
        leaf(w, "log", "file", files->serial_log, "append", "on", NULL);
    leaf(w, "target", "port", "0", NULL);
    end(w);
}

static void write_display(xmlTextWriterPtr w, const struct domain_spec *spec,
                          const struct domain_host *host)
{
    if (!spec->vnc)
        return;
    leaf(w, "input", "type", "tablet", "bus",
         spec->hw.windows ? "usb" : "virtio", NULL);
    begin(w, "graphics", "type", "vnc", "port", "-1", "autoport", "yes", NULL);
    leaf(w, "listen", "type", "address", "address", host->vnc_listen, NULL);
    end(w);
    begin(w, "video", NULL);
    leaf(w, "model", "type", spec->hw.video ? spec->hw.video : "vga", NULL);
    end(w);
}

static void write_helpers(xmlTextWriterPtr w, const struct domain_spec *spec)
{
    if (spec->hw.guest_agent) {
        begin(w, "channel", "type", "unix", NULL);
        leaf(w, "target", "type", "virtio", "name", "org.qemu.guest_agent.0",
             NULL);
        end(w);
    }
    begin(w, "memballoon", "model", "virtio", NULL);
    leaf(w, "stats", "period", "10", NULL);
    end(w);
    if (spec->hw.no_rng)
        return;
    begin(w, "rng", "model", "virtio", NULL);
    begin(w, "backend", "model", "random", NULL);
    put_text(w, "/dev/urandom");
    end(w);
    end(w);
}

static void write_devices(xmlTextWriterPtr w, const struct domain_spec *spec,
                          const struct domain_host *host,
                          const struct domain_files *files)
{
    begin(w, "devices", NULL);
    text(w, "emulator", host->emulator);
    write_controllers(w, spec, files);
    write_disks(w, spec, host, files);
    for (size_t i = 0; i < spec->n_nics; i++)
        write_nic(w, &spec->nics[i], host);
    domain_place_devices(w, spec);
    write_console(w, files);
    write_display(w, spec, host);
    write_helpers(w, spec);
    end(w);
}

/* ---- whole elements ---------------------------------------------------- */

static bool hand_over(xmlTextWriterPtr w, xmlBufferPtr b, struct buf *out,
                      struct error *err)
{
    xmlTextWriterFlush(w);
    buf_add(out, xmlBufferContent(b), (size_t)xmlBufferLength(b));
    return !out->overflow ||
           error_set(err, ERR_TOO_LARGE, "domain: its XML is too large");
}

#define WRITER(w_, b_)                                                         \
    _cleanup_(cleanup_xmlbuf) xmlBufferPtr b_ = xmlBufferCreate();             \
    _cleanup_(cleanup_writer) xmlTextWriterPtr w_ =                            \
        xmlNewTextWriterMemory(b_, 0)

bool domain_xml_write(struct buf *out, const struct domain_spec *spec,
                      const struct domain_host *host,
                      const struct domain_files *files, struct error *err)
{
    WRITER(w, b);
    xmlTextWriterSetIndent(w, 1);
    begin(w, "domain", "type", host->kvm ? "kvm" : "qemu", NULL);
    text(w, "name", spec->name);
    text(w, "uuid", spec->id);
    write_metadata(w, spec);
    begin(w, "memory", "unit", "MiB", NULL);
    xmlTextWriterWriteFormatString(w, "%lld", (long long)spec->ram_mb);
    end(w);
    domain_place_memory(w, spec);
    domain_place_vcpus(w, spec);
    write_sysinfo(w, spec);
    write_os(w, spec);
    write_features(w, spec);
    write_cpu(w, spec, host);
    write_clock(w, spec);
    text(w, "on_poweroff", "destroy");
    text(w, "on_reboot", "restart");
    text(w, "on_crash", "destroy");
    write_devices(w, spec, host, files);
    end(w);
    return hand_over(w, b, out, err);
}

bool domain_xml_disk(struct buf *out, const struct disk_spec *disk,
                     const struct domain_host *host, struct error *err)
{
    WRITER(w, b);
    write_disk(w, disk, host, NULL);
    return hand_over(w, b, out, err);
}

bool domain_xml_nic(struct buf *out, const struct nic_spec *nic,
                    const struct domain_host *host, struct error *err)
{
    WRITER(w, b);
    write_nic(w, nic, host);
    return hand_over(w, b, out, err);
}

bool domain_xml_secret(struct buf *out, const struct domain_ceph *ceph,
                       struct error *err)
{
    WRITER(w, b);
    begin(w, "secret", "ephemeral", "yes", "private", "yes", NULL);
    text(w, "uuid", ceph->secret);
    begin(w, "usage", "type", "ceph", NULL);
    text(w, "name", ceph->client);
    end(w);
    end(w);
    return hand_over(w, b, out, err);
}

bool domain_xml_passphrase(struct buf *out, const char *uuid, struct error *err)
{
    WRITER(w, b);
    begin(w, "secret", "ephemeral", "yes", "private", "yes", NULL);
    text(w, "uuid", uuid);
    begin(w, "usage", "type", "volume", NULL);
    text(w, "volume", uuid);
    end(w);
    end(w);
    return hand_over(w, b, out, err);
}

bool domain_xml_move(struct buf *out, const struct domain_info *info,
                     const char *device, const char *path, struct error *err)
{
    WRITER(w, b);
    begin(w, "domainsnapshot", NULL);
    begin(w, "disks", NULL);
    for (size_t i = 0; i < info->n_disks; i++) {
        bool it = strcmp(info->disks[i], device) == 0;
        begin(w, "disk", "name", info->disks[i], "snapshot",
              it ? "external" : "no", NULL);
        if (it) {
            leaf(w, "driver", "type", "qcow2", NULL);
            write_file_source(w, &(struct disk_spec){ .path = path });
        }
        end(w);
    }
    end(w);
    end(w);
    return hand_over(w, b, out, err);
}

/* ---- reading ----------------------------------------------------------- */

static xmlDocPtr parse(const char *xml)
{
    return xmlReadMemory(xml, (int)strlen(xml), NULL, NULL,
                         XML_PARSE_NONET | XML_PARSE_NOERROR |
                             XML_PARSE_NOWARNING);
}

static xmlNodePtr devices_of(xmlDocPtr doc)
{
    return doc ? xr_child(xmlDocGetRootElement(doc), "devices") : NULL;
}

static void disk_target(xmlNodePtr disk, char out[16])
{
    xr_attr(xr_child(disk, "target"), "dev", out, 16);
}

static void nic_port(xmlNodePtr nic, char out[UUID_SIZE])
{
    xmlNodePtr vport = xr_child(nic, "virtualport");
    xr_attr(xr_child(vport, "parameters"), "interfaceid", out, UUID_SIZE);
}

static bool read_ours(xmlNodePtr domain, struct domain_info *info)
{
    xmlNodePtr metadata = xr_child(domain, "metadata");
    char n[24];
    xmlNodePtr ours = metadata ? xr_child(metadata, "server") : NULL;
    while (ours && !(ours->ns && xmlStrEqual(ours->ns->href, X(DOMAIN_XMLNS))))
        ours = xr_next(ours, "server");
    xr_attr(ours, "reboot", n, sizeof(n));
    info->reboot = atoll(n);
    return ours != NULL;
}

static void read_vnc(xmlNodePtr devices, struct domain_info *info)
{
    xmlNodePtr g = xr_child(devices, "graphics");
    char port[16];
    xr_attr(g, "port", port, sizeof(port));
    if (atoi(port) <= 0)
        return;
    info->vnc_port = atoi(port);
    xr_attr(xr_child(g, "listen"), "address", info->vnc_host,
            sizeof(info->vnc_host));
}

static void read_disk(xmlNodePtr n, struct domain_info *info, size_t i)
{
    char name[DOMAIN_PATH_MAX - sizeof("rbd:")];
    xmlNodePtr source = xr_child(n, "source");
    char *path = info->paths[i];
    disk_target(n, info->disks[i]);
    xr_attr(source, "file", path, DOMAIN_PATH_MAX);
    xr_attr(source, "name", name, sizeof(name));
    if (!*path && *name) /* a network disk: ours are Ceph's */
        snprintf(path, DOMAIN_PATH_MAX, "rbd:%s", name);
}

/* The agent's channel: the only one there is. */
static void read_agent(xmlNodePtr devices, struct domain_info *info)
{
    char state[16];
    xr_attr(xr_child(xr_child(devices, "channel"), "target"), "state", state,
            sizeof(state));
    info->agent = strcmp(state, "connected") == 0;
}

static void read_devices(xmlNodePtr devices, struct domain_info *info)
{
    xmlNodePtr n = xr_child(devices, "disk");
    for (; n && info->n_disks < DOMAIN_DISKS_MAX; n = xr_next(n, "disk"))
        read_disk(n, info, info->n_disks++);
    n = xr_child(devices, "interface");
    for (; n && info->n_nics < DOMAIN_NICS_MAX; n = xr_next(n, "interface"))
        nic_port(n, info->nics[info->n_nics++]);
    n = xr_child(xr_child(devices, "serial"), "log");
    xr_attr(n, "file", info->serial_log, sizeof(info->serial_log));
    read_vnc(devices, info);
    read_agent(devices, info);
}

bool domain_xml_read(const char *xml, struct domain_info *info)
{
    _cleanup_(cleanup_doc) xmlDocPtr doc = parse(xml);
    xmlNodePtr domain = doc ? xmlDocGetRootElement(doc) : NULL;
    if (!domain || !read_ours(domain, info))
        return false;
    read_devices(xr_child(domain, "devices"), info);
    return true;
}

static bool dump(xmlDocPtr doc, xmlNodePtr node, struct buf *out)
{
    _cleanup_(cleanup_xmlbuf) xmlBufferPtr b = xmlBufferCreate();
    xmlNodeDump(b, doc, node, 0, 0);
    buf_add(out, xmlBufferContent(b), (size_t)xmlBufferLength(b));
    return !out->overflow;
}

bool domain_xml_find_disk(const char *xml, const char *device, struct buf *out)
{
    _cleanup_(cleanup_doc) xmlDocPtr doc = parse(xml);
    char target[16];
    xmlNodePtr n = xr_child(devices_of(doc), "disk");
    for (; n; n = xr_next(n, "disk")) {
        disk_target(n, target);
        if (strcmp(target, device) == 0)
            return dump(doc, n, out);
    }
    return false;
}

bool domain_xml_find_nic(const char *xml, const char *port_id, struct buf *out)
{
    _cleanup_(cleanup_doc) xmlDocPtr doc = parse(xml);
    char port[UUID_SIZE];
    xmlNodePtr n = xr_child(devices_of(doc), "interface");
    for (; n; n = xr_next(n, "interface")) {
        nic_port(n, port);
        if (strcmp(port, port_id) == 0)
            return dump(doc, n, out);
    }
    return false;
}

/* ---- a domain that moves --------------------------------------------------
 */

static const struct migrate_disk *moved_disk(const struct migrate_spec *to,
                                             const char *device)
{
    for (size_t i = 0; i < to->n_disks; i++)
        if (strcmp(to->disks[i].device, device) == 0)
            return &to->disks[i];
    return NULL;
}

/* What is below the disk's file stays where it is: the copy stands alone. */
static bool move_disk(xmlNodePtr disk, const struct migrate_spec *to,
                      struct error *err)
{
    char device[16], kind[16];
    xmlNodePtr source = xr_child(disk, "source");
    disk_target(disk, device);
    xr_attr(disk, "device", kind, sizeof(kind));
    const struct migrate_disk *it = moved_disk(to, device);
    const char *path = it                           ? it->path
                       : strcmp(kind, "cdrom") == 0 ? to->config_drive
                                                    : NULL;
    if (!source) /* an empty drive */
        return true;
    if (!path)
        return error_set(err, ERR_INVALID,
                         "nobody knows where disk %s is at the other node",
                         device);
    if (domain_rbd_image(path))
        return true;
    xmlSetProp(source, X("file"), X(path));
    xr_drop(disk, "backingStore");
    xr_drop(disk, "mirror");
    return true;
}

static void move_logs(xmlNodePtr devices, const char *element,
                      const char *serial_log)
{
    xmlNodePtr n = xr_child(devices, element);
    for (; n; n = xr_next(n, element)) {
        xmlNodePtr log = xr_child(n, "log");
        if (log && serial_log)
            xmlSetProp(log, X("file"), X(serial_log));
    }
}

static void move_console(xmlNodePtr devices, const char *listen)
{
    xmlNodePtr g = xr_child(devices, "graphics");
    xmlNodePtr l = xr_child(g, "listen");
    if (g && xmlHasProp(g, X("listen")))
        xmlSetProp(g, X("listen"), X(listen));
    if (l)
        xmlSetProp(l, X("address"), X(listen));
}

bool domain_xml_moved(struct buf *out, const char *xml,
                      const struct migrate_spec *to, struct error *err)
{
    struct domain_info ours;
    _cleanup_(cleanup_doc) xmlDocPtr doc = parse(xml);
    xmlNodePtr domain = doc ? xmlDocGetRootElement(doc) : NULL;
    memset(&ours, 0, sizeof(ours));
    if (!domain || !read_ours(domain, &ours))
        return error_set(err, ERR_INVALID, "it is no domain of this pool");
    xmlNodePtr devices = xr_child(domain, "devices");
    xmlNodePtr n = xr_child(devices, "disk");
    for (; n; n = xr_next(n, "disk"))
        if (!move_disk(n, to, err))
            return false;
    move_logs(devices, "serial", to->serial_log);
    move_logs(devices, "console", to->serial_log);
    move_console(devices, to->vnc_listen);
    if (!domain_place_move(domain, &to->place, err))
        return false;
    return dump(doc, domain, out) ||
           error_set(err, ERR_INTERNAL, "its description is too long");
}
