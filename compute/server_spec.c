#include "compute/server_spec.h"

#include "model/network.h"
#include "model/pool.h"
#include "model/shape.h"
#include "model/volume.h"

#include <string.h>
#include <strings.h>

/* ---- properties -------------------------------------------------------- */

static bool is_yes(const char *value)
{
    static const char *const yes[] = { "yes", "true", "1", "on" };
    for (size_t i = 0; value && i < ARRAY_SIZE(yes); i++)
        if (strcasecmp(value, yes[i]) == 0)
            return true;
    return false;
}

static int64_t count(const struct server *v, const char *name)
{
    const char *value = server_property(v, name);
    long long n = value ? atoll(value) : 0;
    return n > 0 && n <= v->vcpus ? n : 0;
}

/* What is not said follows from what is; nova prefers sockets. */
static void set_topology(struct hardware_spec *hw, const struct server *v)
{
    hw->sockets = count(v, "hw_cpu_sockets");
    hw->cores = count(v, "hw_cpu_cores");
    hw->threads = count(v, "hw_cpu_threads");
    if (!hw->threads)
        hw->threads = 1;
    if (!hw->cores)
        hw->cores = hw->sockets ? v->vcpus / (hw->sockets * hw->threads) : 1;
    if (!hw->sockets && hw->cores)
        hw->sockets = v->vcpus / (hw->cores * hw->threads);
}

static struct hardware_spec hardware(const struct server *v)
{
    const char *firmware = server_property(v, "hw_firmware_type");
    const char *rng = map_get(&v->extra_specs, "hw_rng:allowed");
    const char *os = map_get(&v->image_properties, "os_type");
    struct hardware_spec hw = {
        .machine = server_property(v, "hw_machine_type"),
        .cpu_mode = server_property(v, "hw_cpu_mode"),
        .cpu_model = server_property(v, "hw_cpu_model"),
        .video = server_property(v, "hw_video_model"),
        .scsi_model = server_property(v, "hw_scsi_model"),
        .uefi = firmware && strcmp(firmware, "uefi") == 0,
        .guest_agent = is_yes(server_property(v, "hw_qemu_guest_agent")),
        .no_rng = rng && !is_yes(rng),
        .windows = os && strcasecmp(os, "windows") == 0,
    };
    set_topology(&hw, v);
    return hw;
}

/* ---- disks ------------------------------------------------------------- */

const char *device_name(const char *device)
{
    return strncmp(device, "/dev/", 5) == 0 ? device + 5 : device;
}

static const char *disk_bus(const struct server *v)
{
    const char *bus = server_property(v, "hw_disk_bus");
    return bus ? bus : "virtio";
}

const char *server_root_device(const struct server *v)
{
    const char *bus = disk_bus(v);
    const struct server_volume *boot = server_boot_volume(v);
    if (v->root_device)
        return v->root_device;
    if (boot && boot->device)
        return boot->device;
    if (strcmp(bus, "virtio") == 0)
        return "/dev/vda";
    return strcmp(bus, "ide") == 0 ? "/dev/hda" : "/dev/sda";
}

/* A device's name must fit its bus: vd is virtio, hd is IDE, sd the rest. */
static const char *bus_of(const struct server *v, const char *device)
{
    const char *bus = disk_bus(v);
    if (device[0] == 'v')
        return "virtio";
    if (device[0] == 'h')
        return "ide";
    return strcmp(bus, "sata") == 0 || strcmp(bus, "usb") == 0 ? bus : "scsi";
}

static struct disk_spec disk_spec(const struct server *v, const char *device,
                                  const char *path, const char *serial)
{
    return (struct disk_spec){
        .path = path,
        .format = "qcow2",
        .bus = bus_of(v, device_name(device)),
        .device = device_name(device),
        .serial = serial,
    };
}

const struct server_volume *server_boot_volume(const struct server *v)
{
    for (size_t i = 0; i < v->volumes.n; i++) {
        const struct server_volume *sv =
            LIST_AT(v->volumes, struct server_volume, i);
        if (sv->boot)
            return sv;
    }
    return NULL;
}

struct disk_spec server_volume_spec(const struct snapshot *s,
                                    const struct server *v,
                                    const struct server_volume *sv,
                                    const struct volume *volume)
{
    const char *device = sv->device ? sv->device : server_root_device(v);
    struct disk_spec disk = disk_spec(v, device, volume->path, sv->volume_id);
    disk.readonly = volume->readonly;
    disk.shareable = volume->multiattach;
    disk.secret = volume->key_id ? volume->rec.id : NULL;
    disk.limited = qos_of_volume(s, volume, &disk.tune);
    return disk;
}

static void add_volume(struct domain_spec *spec, const struct snapshot *s,
                       const struct server *v, const struct server_volume *sv)
{
    const struct volume *vol = snap_get(s, &kind_volume, sv->volume_id);
    if (!vol || !vol->path || sv->state == ATTACH_LEAVING)
        return;
    spec->disks[spec->n_disks++] = server_volume_spec(s, v, sv, vol);
}

static void add_local_disks(struct arena *a, struct domain_spec *spec,
                            const struct snapshot *s, const struct server *v)
{
    struct local_disk local[LOCAL_DISKS_MAX];
    size_t n = server_local_disks(v, local);
    for (size_t i = 0; i < n; i++) {
        const struct disk *d = snap_get(s, &kind_disk, local[i].id);
        if (d && d->path)
            spec->disks[spec->n_disks++] =
                disk_spec(v, local[i].device, d->path, local[i].name);
    }
}

static void add_disks(struct arena *a, struct domain_spec *spec,
                      const struct snapshot *s, const struct server *v)
{
    const struct server_volume *boot = server_boot_volume(v);
    char id[DISK_ID_SIZE];
    const struct disk *disk = snap_get(s, &kind_disk, server_disk_id(v, id));
    spec->disks = arena_alloc(a, (v->volumes.n + 1 + LOCAL_DISKS_MAX) *
                                     sizeof(*spec->disks));
    if (boot)
        add_volume(spec, s, v, boot);
    else if (disk && disk->path)
        spec->disks[spec->n_disks++] =
            disk_spec(v, server_root_device(v), disk->path, NULL);
    add_local_disks(a, spec, s, v);
    for (size_t i = 0; i < v->volumes.n; i++) {
        const struct server_volume *sv =
            LIST_AT(v->volumes, struct server_volume, i);
        if (sv != boot)
            add_volume(spec, s, v, sv);
    }
}

/* ---- network cards ----------------------------------------------------- */

struct nic_spec server_nic_spec(const struct snapshot *s,
                                const struct server *v, const char *port_id)
{
    const struct port *p = snap_get(s, &kind_port, port_id);
    const struct network *net =
        p ? snap_get(s, &kind_network, p->network_id) : NULL;
    return (struct nic_spec){
        .port_id = port_id,
        .mac = p ? p->mac_address : NULL,
        .model = server_property(v, "hw_vif_model"),
        .mtu = net ? net->mtu : 0,
    };
}

static void add_nics(struct arena *a, struct domain_spec *spec,
                     const struct snapshot *s, const struct server *v)
{
    spec->nics = arena_alloc(a, (v->ports.n + 1) * sizeof(*spec->nics));
    for (size_t i = 0; i < v->ports.n; i++) {
        const struct server_port *sp = LIST_AT(v->ports, struct server_port, i);
        struct nic_spec nic = server_nic_spec(s, v, sp->port_id);
        if (nic.mac && sp->state != ATTACH_LEAVING)
            spec->nics[spec->n_nics++] = nic;
    }
}

/* ---- its place on the node ----------------------------------------------- */

static const struct node_cell *node_cell(const struct node *n, int64_t id)
{
    for (size_t i = 0; n && i < n->cells.n; i++) {
        const struct node_cell *c = LIST_AT(n->cells, struct node_cell, i);
        if (c->id == id)
            return c;
    }
    return NULL;
}

/* CPUs of its own, else those of the cell that nobody has for himself. */
static struct cell_spec cell_spec(const struct node *n,
                                  const struct server_cell *given)
{
    const struct node_cell *c = node_cell(n, given->cell);
    struct cell_spec out = { .host = given->cell };
    struct cpus all, kept;
    if (given->cpus) {
        cpus_parse(given->cpus, &out.cpus);
        return out;
    }
    cpus_parse(c ? c->cpus : NULL, &all);
    cpus_parse(n ? n->pinned_cpus : NULL, &kept);
    out.cpus = cpus_without(&all, &kept);
    return out;
}

/* Where CPUs are kept for guests of their own, others keep off them. */
static struct cpus shared_cpus(const struct node *n)
{
    struct cpus all = { { 0 } }, cell, kept = { { 0 } };
    if (!n || !n->pinned_cpus)
        return kept;
    for (size_t i = 0; i < n->cells.n; i++) {
        cpus_parse(LIST_AT(n->cells, struct node_cell, i)->cpus, &cell);
        cpus_join(&all, &cell);
    }
    cpus_parse(n->pinned_cpus, &kept);
    return cpus_without(&all, &kept);
}

static void add_host_devices(struct arena *a, struct place_spec *place,
                             const struct server *v)
{
    struct hostdev_spec *devices =
        arena_alloc(a, (v->devices.n + 1) * sizeof(*devices));
    for (size_t i = 0; i < v->devices.n; i++) {
        const struct server_device *d =
            LIST_AT(v->devices, struct server_device, i);
        devices[i] = (struct hostdev_spec){ d->address, d->type };
    }
    place->devices = devices;
    place->n_devices = v->devices.n;
}

struct place_spec server_place_spec(const struct snapshot *s,
                                    const struct server *v, const char *node,
                                    const struct list *cells)
{
    const struct node *n = snap_get(s, &kind_node, node);
    struct place_spec place = { 0 };
    struct shape shape;
    struct error err;
    if (!shape_of_server(v, &shape, &err))
        shape = (struct shape){ 0 }; /* placed before it was refused */
    place.page_kib = shape.page_kib;
    place.pinned = shape.pinned;
    place.shared = shared_cpus(n);
    for (size_t i = 0; i < cells->n && i < DOMAIN_CELLS_MAX; i++)
        place.cells[place.n_cells++] =
            cell_spec(n, LIST_AT(*cells, struct server_cell, i));
    return place;
}

/* ---- the whole --------------------------------------------------------- */

char *server_domain_name(struct arena *a, const struct server *v)
{
    return arena_printf(a, "instance-%.13s", v->rec.id);
}

struct domain_spec *server_spec(struct arena *a, const struct snapshot *s,
                                const struct server *v)
{
    struct domain_spec *spec = arena_alloc(a, sizeof(*spec));
    *spec = (struct domain_spec){
        .id = v->rec.id,
        .name = server_domain_name(a, v),
        .vcpus = v->vcpus,
        .ram_mb = v->ram_mb,
        .reboot = v->reboot,
        .hw = hardware(v),
        .vnc = true,
        .title = v->name,
        .flavor_name = v->flavor_name,
        .disk_gb = v->disk_gb,
        .ephemeral_gb = v->ephemeral_gb,
        .swap_mb = v->swap_mb,
        .project_id = v->project_id,
        .user_id = v->user_id,
        .image_id = v->image_id,
        .created = v->created,
    };
    add_disks(a, spec, s, v);
    add_nics(a, spec, s, v);
    spec->place = server_place_spec(s, v, v->node, &v->cells);
    add_host_devices(a, &spec->place, v);
    return spec;
}
