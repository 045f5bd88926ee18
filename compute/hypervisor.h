/*
 * hypervisor - what runs guests on this node, behind one table.
 *
 * libvirt in the product (libvirt_driver.h), a simulated one in tests/sim.
 * The calls are plain, synchronous and idempotent: asking for what is
 * already so succeeds, and a domain that is not there is destroyed, undefined
 * and shut down already.  They know nothing of records; the node's
 * reconciler (server_reconcile.h) decides and this table carries out.
 *
 * A domain is named by its id, the server's UUID.  Only domains of this
 * pool's making are seen: foreign ones are neither listed nor touched.
 *
 * Errors: UNAVAILABLE (the hypervisor cannot be reached now), TIMEOUT and
 * BUSY are worth another try by themselves; all others are about this call.
 * NOT_FOUND is answered only where the domain is needed (start, attach ...).
 *
 * Threads: all calls from any thread, but those for one domain are made one
 * at a time by the caller (the reconciler's queue does).  The event
 * call-back comes on a thread of the driver and must not block; the
 * simulation's comes on the caller's.
 */
#ifndef CAIRN_COMPUTE_HYPERVISOR_H
#define CAIRN_COMPUTE_HYPERVISOR_H

#include "common/env.h"
#include "common/error.h"
#include "compute/pressure.h"
#include "model/cpus.h"
#include "model/qos.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DOMAIN_DISKS_MAX 26
#define DOMAIN_NICS_MAX  26
#define DOMAIN_PATH_MAX  512
#define DOMAIN_CELLS_MAX 8

/* ---- what a domain should be ------------------------------------------- */

struct disk_spec {
    const char *path;   /* file on this node, or "rbd:<pool>/<image>" */
    const char *format; /* of the file: "qcow2", "raw" */
    const char *bus;    /* "virtio", "scsi", "sata", "ide" */
    const char *device; /* "vda": without "/dev/" */
    const char *serial; /* volume id; NULL for the local root disk */
    bool readonly;
    bool cdrom;
    bool shareable;     /* other guests may have it too: nothing is cached */
    const char *secret; /* UUID that keep_secret was told of: LUKS; NULL: not */
    bool limited;       /* by: */
    struct qos_tune tune;
};

struct nic_spec {
    const char *port_id; /* OVN's logical switch port */
    const char *mac;
    const char *model; /* "virtio", "e1000" ... */
    int64_t mtu;       /* bytes, 0: the default */
};

/* A device of the node that the guest gets: as a whole, or a part of it,
 * which the driver makes before the guest starts and takes back when the
 * domain is undefined. */
struct hostdev_spec {
    const char *address; /* PCI "0000:3b:00.0", or the UUID of an mdev */
    const char *type;    /* of the part: "nvidia-35"; NULL: the whole */
};

/* A NUMA cell of the guest, on one of the node. */
struct cell_spec {
    int64_t host;     /* the kernel's number of the node's cell */
    struct cpus cpus; /* of the node: where its vCPUs may run */
};

/* How it sits on its node; all 0: it floats. */
struct place_spec {
    struct cell_spec cells[DOMAIN_CELLS_MAX]; /* each has an equal part */
    size_t n_cells;
    int64_t page_kib; /* of its memory's huge pages; 0: ordinary ones */
    bool pinned;      /* each vCPU has one of its cell's CPUs for itself */
    /* CPUs of the node that it may run on, when it has no cells; none: all. */
    struct cpus shared;
    const struct hostdev_spec *devices;
    size_t n_devices;
};

/* "<pool>/<image>" of a path in Ceph, NULL: a file. */
const char *domain_rbd_image(const char *path);

/* From the image's hw_* properties and the flavor's hw:* extra specs; NULL
 * and 0 leave the choice to the driver. */
struct hardware_spec {
    const char *machine;   /* "q35", "pc" */
    const char *cpu_mode;  /* "host-passthrough", "host-model", "custom" */
    const char *cpu_model; /* of "custom" */
    int64_t sockets, cores, threads;
    const char *video;      /* "virtio", "vga", "none" ... */
    const char *scsi_model; /* "virtio-scsi" ... */
    bool uefi;
    bool guest_agent; /* a channel for qemu-guest-agent */
    bool no_rng;
    bool windows; /* clock in local time, Hyper-V enlightenments */
};

/* Borrowed by the call; the caller keeps it alive meanwhile. */
struct domain_spec {
    const char *id;   /* UUID: the server's id */
    const char *name; /* unique on the node: "instance-..." */
    int64_t vcpus;
    int64_t ram_mb;
    int64_t reboot; /* which reboot this start carries out; see domain_info */
    struct hardware_spec hw;
    struct place_spec place;
    struct disk_spec *disks; /* in boot order */
    size_t n_disks;
    struct nic_spec *nics;
    size_t n_nics;
    bool vnc;
    /* An ISO image that becomes a cdrom labelled config-2; NULL: none.  The
     * driver keeps it as a file until undefine. */
    const void *config_drive;
    size_t config_drive_len;
    /* For people who look at the domain with other tools. */
    const char *title; /* server's name, any text */
    const char *flavor_name;
    int64_t disk_gb, ephemeral_gb, swap_mb;
    const char *project_id, *user_id, *image_id;
    int64_t created; /* microseconds since 1970 */
};

/* ---- what it is -------------------------------------------------------- */

enum domain_state {
    DOMAIN_ABSENT,  /* not defined */
    DOMAIN_OFF,     /* defined, not running */
    DOMAIN_SAVED,   /* off, its memory is kept by managed_save */
    DOMAIN_RUNNING, /* also while the guest shuts down */
    DOMAIN_PAUSED,  /* by suspend, or by itself after an I/O error */
    DOMAIN_CRASHED, /* off because the emulator died or the guest panicked */
    DOMAIN_N_STATES,
};

struct domain_info {
    enum domain_state state;
    bool stalled;      /* PAUSED by itself: what it wrote could not be kept */
    bool incoming;     /* PAUSED: on its way here, or from here */
    bool left;         /* OFF: its guest is on another node now */
    char vnc_host[64]; /* "" and 0: none, or not running */
    int vnc_port;
    char serial_log[256]; /* file that collects the console's output */
    int64_t reboot;       /* domain_spec.reboot of the newest define_start */
    bool agent;           /* the guest's agent is there to be asked */
    /* What the guest has now (running, paused) or will have (off): the
     * targets of its disks ("vda", cdroms too) with the files behind them ("":
     * none), and the ids of its ports. */
    size_t n_disks, n_nics;
    char disks[DOMAIN_DISKS_MAX][16];
    char paths[DOMAIN_DISKS_MAX][DOMAIN_PATH_MAX];
    char nics[DOMAIN_NICS_MAX][UUID_SIZE];
};

/* ---- moving to another node -------------------------------------------- */

/* What the guest finds at the dest. */
struct migrate_disk {
    const char *device; /* "vda" */
    const char *path;   /* there */
    bool copy;          /* its content goes over too; else both see one */
};
struct migrate_spec {
    const char *address;      /* the dest's: libvirt's and QEMU's */
    const char *vnc_listen;   /* address */
    const char *config_drive; /* file; NULL: none */
    const char *serial_log;   /* file */
    struct migrate_disk disks[DOMAIN_DISKS_MAX];
    size_t n_disks;
    struct place_spec place; /* as many cells as it has; no devices */
};

/* What the dest offers for that; the strings are the driver's. */
struct migrate_place {
    const char *vnc_listen;
    char config_drive[DOMAIN_PATH_MAX]; /* "": none */
    char serial_log[DOMAIN_PATH_MAX];
};

enum migrate_state {
    MIGRATE_NONE, /* nothing is under way, nor ended since migrate_out */
    MIGRATE_RUNNING,
    MIGRATE_DONE,
    MIGRATE_FAILED,
};

/* Bytes; of the memory also what is sent again. */
struct migrate_info {
    enum migrate_state state;
    int64_t elapsed_ms;
    int64_t memory_total, memory_processed, memory_remaining;
    int64_t disk_total, disk_processed, disk_remaining;
    int64_t downtime_ms; /* expected, or (DONE) that it was; 0: not known */
    struct error err;    /* FAILED */
};

/* Counters are since the start; -1: not measured. */
struct domain_stats {
    int64_t cpu_ns;    /* used */
    int64_t memory_kb; /* given to the guest now */
    int64_t vcpus;
    int64_t wait_ns;    /* its vCPUs were ready and had no CPU */
    int64_t used_kb;    /* of the machine's memory, now */
    int64_t disk_bytes; /* read and written */
    int64_t received_bytes, sent_bytes;
    int64_t swap_kb; /* in and out, by the guest itself (its balloon tells) */
    struct pressure_counters stalled;
    int64_t dirty_mib_s; /* memory it wrote, by the last count_dirty */
    int64_t dirty_at;    /* when that was: another number, another answer */
};

bool domain_has_disk(const struct domain_info *info, const char *device);
/* The file behind a disk, NULL when it has no such disk. */
const char *domain_disk_path(const struct domain_info *info,
                             const char *device);
bool domain_has_nic(const struct domain_info *info, const char *port_id);
static inline bool domain_active(const struct domain_info *info)
{
    return info->state == DOMAIN_RUNNING || info->state == DOMAIN_PAUSED;
}

/* ---- the table --------------------------------------------------------- */

struct hypervisor;
typedef void domain_seen_fn(void *arg, const char *id, enum domain_state state);
typedef void domain_event_fn(void *arg, const char *id);

struct hypervisor_ops {
    /* Calls fn for each of our domains. */
    bool (*list)(struct hypervisor *, domain_seen_fn *, void *arg,
                 struct error *);
    /* An absent domain is no error: state DOMAIN_ABSENT. */
    bool (*info)(struct hypervisor *, const char *id, struct domain_info *,
                 struct error *);
    /* Defines the domain, replacing an older definition and dropping saved
     * memory, and starts it.  Success if it is running already: then the
     * running one is left as it is. */
    bool (*define_start)(struct hypervisor *, const struct domain_spec *,
                         struct error *);
    /* Starts the defined domain, from its saved memory if there is any. */
    bool (*start)(struct hypervisor *, const char *id, struct error *);
    /* Asks the guest to power off (ACPI); does not wait. */
    bool (*shutdown)(struct hypervisor *, const char *id, struct error *);
    /* Pulls the plug; when it returns true the domain does not run. */
    bool (*destroy)(struct hypervisor *, const char *id, struct error *);
    /* As destroy, without a moment for anything that it has not written: for
     * one whose storage is gone.  NULL: destroy does not wait. */
    bool (*kill)(struct hypervisor *, const char *id, struct error *);
    /* Before that, and for all at once: ends the processes of the guests of
     * which `stale` says so, without asking or waiting for anybody; `shared`:
     * it was started with a disk in the shared storage.  NULL: kill is as
     * quick. */
    void (*kill_stale)(struct hypervisor *,
                       bool (*stale)(void *arg, const char *id, bool shared),
                       void *arg);
    /* Forgets an inactive domain, its saved memory and the driver's own
     * files (config drive, console log). */
    bool (*undefine)(struct hypervisor *, const char *id, struct error *);
    bool (*suspend)(struct hypervisor *, const char *id, struct error *);
    bool (*resume)(struct hypervisor *, const char *id, struct error *);
    bool (*managed_save)(struct hypervisor *, const char *id, struct error *);
    /* The passphrase of encrypted disks, before anything here opens them
     * (define_start, start, attach_disk, a guest that is to arrive), by the
     * UUID that disk_spec.secret names; in memory only.  NULL: there are
     * none. */
    bool (*keep_secret)(struct hypervisor *, const char *uuid,
                        const char *passphrase, struct error *);
    /* When nothing here has the disk any more; an unknown one is no error. */
    void (*drop_secret)(struct hypervisor *, const char *uuid);
    /* Takes back parts of devices that no domain has and no server should
     * have: `wanted(arg, uuid)` is asked of each (mdev.h) after it was seen.
     * NULL: this driver makes none. */
    void (*sweep_parts)(struct hypervisor *,
                        bool (*wanted)(void *arg, const char *uuid), void *arg);
    /* The same for the driver's own files, by server (guest_files.h). */
    void (*sweep_files)(struct hypervisor *,
                        bool (*wanted)(void *arg, const char *id), void *arg);
    /* Hotplug, running or paused.  Detaching is asked of the guest and done
     * when info no longer shows the device (an event tells). */
    bool (*attach_disk)(struct hypervisor *, const char *id,
                        const struct disk_spec *, struct error *);
    bool (*detach_disk)(struct hypervisor *, const char *id, const char *device,
                        struct error *);
    /* Grows a disk's file and tells the guest; `bytes` is the whole size. */
    bool (*resize_disk)(struct hypervisor *, const char *id, const char *device,
                        int64_t bytes, struct error *);
    /* From now on the guest writes to `path`, an empty overlay on the file
     * that its disk has now, and to that no more.  Running or paused; the
     * guest's file systems are asked to be at rest, if its agent is there. */
    bool (*move_disk)(struct hypervisor *, const char *id, const char *device,
                      const char *path, struct error *);
    bool (*attach_nic)(struct hypervisor *, const char *id,
                       const struct nic_spec *, struct error *);
    bool (*detach_nic)(struct hypervisor *, const char *id, const char *port_id,
                       struct error *);
    bool (*stats)(struct hypervisor *, const char *id, struct domain_stats *,
                  struct error *);
    /* Begins to find out, for a second, how fast a running guest writes its
     * memory; stats tells.  NULL: this driver cannot. */
    bool (*count_dirty)(struct hypervisor *, const char *id, struct error *);
    /* At the dest, before: the files that the guest will want. */
    bool (*migrate_prepare)(struct hypervisor *, const struct domain_spec *,
                            struct migrate_place *, struct error *);
    /* Begins to move a running or paused guest; what comes of it tells
     * migrate_info (an event says when it ends).  The guest arrives PAUSED
     * and does not run before resume; here it is undefined when it has gone.
     * Where it may be PAUSED from the start the caller sees that it runs
     * again if nothing comes of it.
     * It goes on when this process ends.  CONFLICT: one is under way. */
    bool (*migrate_out)(struct hypervisor *, const char *id,
                        const struct migrate_spec *, struct error *);
    bool (*migrate_info)(struct hypervisor *, const char *id,
                         struct migrate_info *, struct error *);
    /* How long the guest may stand still at the end, milliseconds. */
    bool (*migrate_downtime)(struct hypervisor *, const char *id, int64_t ms,
                             struct error *);
    /* Asks for it; migrate_info tells FAILED, or DONE if it was too late. */
    bool (*migrate_abort)(struct hypervisor *, const char *id, struct error *);
    /* From now on migrate_info tells NONE of one that has ended. */
    void (*migrate_forget)(struct hypervisor *, const char *id);
    /* From now on fn(arg, id) whenever a domain may have changed (ours or
     * not); also for every one of them after a lost connection came back.
     * Replaces the listener before; NULL: none.  When this returns, the old
     * one does not run any more. */
    void (*listen)(struct hypervisor *, domain_event_fn *, void *arg);
    void (*close)(struct hypervisor *); /* guests go on */
};

/* A driver's object starts with this; calls are h->ops->info(h, ...). */
struct hypervisor {
    const struct hypervisor_ops *ops;
};

#endif
