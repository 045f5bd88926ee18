/*
 * compute - servers and what they are made from: nova's records.
 *
 * A server's way:   API writes it (goal RUNNING, vm_state BUILDING, no node)
 *   -> placement writes node (and host of its ports and disk)
 *   -> storage makes its disk, compute defines and starts the domain
 *   -> compute writes ACTIVE.
 * Afterwards the API only changes `goal`, `reboot`, `volumes`; the node's
 * compute reconciler brings the domain to it and writes vm_state, task_state
 * and power_state back.
 *
 *                 +--------------- goal RUNNING ---------------+
 *                 v                                            |
 *   BUILDING -> ACTIVE <-> STOPPED   (goal STOPPED)            |
 *      |          ^  \---> PAUSED    (goal PAUSED)   ----------+
 *      |          |   \--> SUSPENDED (goal SUSPENDED)  --------+
 *      v          v
 *    ERROR  <- any          any -> (goal DELETED) -> record gone
 */
#ifndef CAIRN_MODEL_COMPUTE_H
#define CAIRN_MODEL_COMPUTE_H

#include "common/env.h"
#include "model/model.h"

#include <string.h>

struct flavor {
    struct record rec; /* id = nova's flavor id, chosen by the creator */
    const char *name;
    const char *description;
    int64_t vcpus;
    int64_t ram_mb;
    int64_t disk_gb;
    int64_t ephemeral_gb;
    int64_t swap_mb;
    double rxtx_factor;
    bool disabled;
    bool is_private; /* only for `projects` */
    struct strs projects;
    struct map extra_specs;
    int64_t created;
};

/* id = "<user id>/<name>" */
struct keypair {
    struct record rec;
    const char *user_id;
    const char *name;
    const char *type; /* "ssh" or "x509" */
    const char *public_key;
    const char *fingerprint; /* MD5, colon-separated */
    int64_t created;
};

struct server_group {
    struct record rec;
    const char *project_id;
    const char *user_id;
    const char *name;
    const char *policy;          /* affinity, anti-affinity, soft-... */
    int64_t max_server_per_host; /* 0 = none given */
    int64_t created;
};

/* A set of nodes with metadata; "availability_zone" in it names the zone. */
struct aggregate {
    struct record rec; /* id = decimal number, as nova's */
    const char *name;
    const char *uuid;
    struct strs hosts;
    struct map metadata;
    int64_t created, updated;
};

enum server_goal {
    GOAL_RUNNING,
    GOAL_STOPPED,
    GOAL_PAUSED,
    GOAL_SUSPENDED,
    GOAL_DELETED,
};
extern const char *const server_goal_names[];

/* Nova's vm_state; names are nova's ("building", "active" ...). */
enum vm_state {
    VM_BUILDING,
    VM_ACTIVE,
    VM_STOPPED,
    VM_PAUSED,
    VM_SUSPENDED,
    VM_ERROR,
    VM_RESIZED,           /* on its new flavor or node, to be confirmed */
    VM_SHELVED,           /* off, an image of it is kept, still on its node */
    VM_SHELVED_OFFLOADED, /* the same, on no node */
    VM_RESCUED,
};
extern const char *const vm_state_names[];

/* Nova's task_state; index 0 is "no task". */
enum task_state {
    TASK_NONE,
    TASK_SCHEDULING,
    TASK_NETWORKING,
    TASK_BLOCK_DEVICE_MAPPING,
    TASK_SPAWNING,
    TASK_POWERING_ON,
    TASK_POWERING_OFF,
    TASK_REBOOTING,
    TASK_REBOOTING_HARD,
    TASK_PAUSING,
    TASK_UNPAUSING,
    TASK_SUSPENDING,
    TASK_RESUMING,
    TASK_DELETING,
    TASK_MIGRATING,
    TASK_RESIZE_PREP,
    TASK_RESIZE_MIGRATING,
    TASK_RESIZE_MIGRATED,
    TASK_RESIZE_FINISH,
    TASK_RESIZE_REVERTING,
    TASK_RESIZE_CONFIRMING,
    TASK_REBUILDING,
    TASK_REBUILD_BLOCK_DEVICE_MAPPING,
    TASK_REBUILD_SPAWNING,
    TASK_SHELVING,
    TASK_SHELVING_IMAGE_PENDING_UPLOAD,
    TASK_SHELVING_IMAGE_UPLOADING,
    TASK_SHELVING_OFFLOADING,
    TASK_UNSHELVING,
    TASK_IMAGE_SNAPSHOT,
    TASK_IMAGE_PENDING_UPLOAD,
    TASK_IMAGE_UPLOADING,
    TASK_RESCUING,
    TASK_UNRESCUING,
};
extern const char *const task_state_names[];

/* Nova's power_state numbers. */
enum power_state {
    POWER_NOSTATE = 0,
    POWER_RUNNING = 1,
    POWER_PAUSED = 3,
    POWER_SHUTDOWN = 4,
    POWER_CRASHED = 6,
    POWER_SUSPENDED = 7,
};

enum reboot_type { REBOOT_SOFT, REBOOT_HARD };
extern const char *const reboot_type_names[];

enum attach_state { ATTACH_WANTED, ATTACH_DONE, ATTACH_LEAVING };
extern const char *const attach_state_names[]; /* attaching, attached, .. */

/* A volume of a server.  The API adds it WANTED or marks it LEAVING, compute
 * makes it DONE or removes it. */
struct server_volume {
    const char *volume_id;
    const char *attachment_id;
    const char *device; /* "/dev/vdb", chosen by the API */
    const char *tag;
    int state; /* enum attach_state */
    bool boot; /* the root disk */
    bool delete_on_termination;
};

/* A port of a server, in the order of its network cards. */
struct server_port {
    const char *port_id;
    const char *tag;
    int state;                  /* enum attach_state */
    bool delete_on_termination; /* made by nova for this server */
};

/* What of its node a server was given beyond mere amounts: written in the
 * transaction that places it.  Guest cell i sits on the node's cell `cell`;
 * `cpus` ("4-7,12") are the host CPUs that are this guest's alone, NULL: it
 * shares those of the cell. */
struct server_cell {
    int64_t cell; /* the node's: node_cell.id */
    const char *cpus;
};

/* A device of the node (node_device.address), for the flavor's wish number
 * `row` (counted in the order in which wish.h reads them). */
struct server_device {
    const char *address;
    int64_t row;
    /* Only a share of it: node_share.type, and how much of the device that
     * was when it was given; NULL, 0: the whole. */
    const char *type;
    int64_t thousandths;
};

extern const struct schema server_cell_schema, server_device_schema;

struct server_file { /* injected through the config drive */
    const char *path;
    const char *contents; /* base64 */
};

/* Something that was asked of a server: nova's "instance action". */
struct server_event {
    const char *action; /* "create", "reboot", "attach_volume" .. */
    const char *request_id;
    const char *user_id;
    const char *project_id;
    int64_t at;
};

struct server {
    struct record rec;
    const char *name;
    const char *description;
    const char *hostname;
    const char *project_id;
    const char *user_id;

    /* The flavor as it was when the server was made. */
    const char *flavor_id;
    const char *flavor_name;
    int64_t vcpus;
    int64_t ram_mb;
    int64_t disk_gb;
    int64_t ephemeral_gb;
    int64_t swap_mb;
    struct map extra_specs;

    const char *image_id; /* NULL: booted from a volume */
    int64_t disks;        /* which generation of its local disks it has */
    const char *shelved_image_id; /* what its root disk was (shelve.h); NULL */
    int64_t shelved;              /* when */
    const char *key_name;
    const char *key_public;
    const char *user_data;       /* base64, at most 65535 bytes */
    const char *admin_pass_hash; /* unused by guests without an agent */
    bool config_drive;
    bool locked;
    const char *locked_reason;
    const char *access_ipv4; /* what its owner calls its address */
    const char *access_ipv6;
    struct list events; /* struct server_event, the newest at the end */
    struct map metadata;
    struct map image_properties; /* hw_*, os_*, trait:* of its image */
    struct strs tags;
    const char *server_group_id;
    const char *requested_zone;
    const char *requested_host;
    const char *scheduler_hints; /* JSON text, as given */
    const char *reservation_id;
    int64_t launch_index;
    /* Made by one request with others of its reservation_id: so many of them
     * at least, or none.  0: made alone. */
    int64_t min_count;

    /* What should be. */
    int goal;            /* enum server_goal */
    int64_t reboot;      /* number of reboots asked for */
    int reboot_type;     /* enum reboot_type of the newest */
    struct list volumes; /* struct server_volume */
    struct list ports;   /* struct server_port */

    /* What is. */
    const char *node;         /* node it is placed on; NULL: not placed */
    const char *migration_id; /* the one under way (migration.h); NULL */
    const char *zone;         /* availability zone of that node */
    /* How often it was decided that it starts anew because of its node: on
     * another one, or there again (engine/recovery.h). */
    int64_t generation;
    bool stranded;           /* ERROR: its node has failed; starts with it */
    struct list cells;       /* struct server_cell; none: it floats */
    struct list devices;     /* struct server_device */
    int vm_state;            /* enum vm_state */
    int task_state;          /* enum task_state */
    int64_t power_state;     /* enum power_state */
    int64_t reboots_done;    /* of `reboot` */
    const char *domain_name; /* libvirt's: "instance-<first of id>" */
    const char *root_device; /* "/dev/vda" */
    const char *vnc_host;
    int64_t vnc_port;       /* 0: none */
    const char *serial_log; /* path of the console log on the node */
    const char *fault;      /* sentence of the newest failure */
    int64_t fault_code;     /* HTTP-like number, 500 */
    int64_t fault_at;
    int64_t created, updated, launched, terminated;
};

/*
 * A local disk of a server.  A server's disks come in generations: those it
 * was made with are 0; whatever gives it others (a rebuild, a resize) makes
 * records of the next, and `server.disks` says which it has.  The others
 * become LEAVING when no guest has them and nobody may want them back, so a
 * file never is replaced under its name.
 *
 *   id "<server id>" or "<server id>.swap", and from 1 on ".<generation>"
 */
enum disk_state { DISK_WANTED, DISK_READY, DISK_FAILED, DISK_LEAVING };
extern const char *const disk_state_names[];

struct disk {
    struct record rec;
    const char *project_id;
    const char *server_id;
    int64_t generation;
    const char *image_id;
    const char *source_id;       /* made as a copy of that disk; NULL */
    const char *migration_id;    /* made for it, at its dest; see migration.h */
    const char *node;            /* where; written by placement */
    int64_t size_gb;             /* 0: as large as the image */
    int64_t size_mb;             /* of one without an image */
    bool swap;                   /* it begins as a swap area */
    int state;                   /* enum disk_state */
    const char *path;            /* file on the node */
    const char *upload_image_id; /* an image that it is to fill, as it is now */
    const char *fault;
};

#define DISK_ID_SIZE (UUID_SIZE + 32)
/* Of the root disk, when it boots from an image. */
const char *server_disk_id(const struct server *s, char out[DISK_ID_SIZE]);

/* The local disks that a flavor gives beside the root: empty, and swap. */
#define LOCAL_DISKS_MAX 2
struct local_disk {
    char id[DISK_ID_SIZE]; /* of its record */
    const char *name;      /* "ephemeral0" or "swap" */
    const char *device;    /* "/dev/vdb" .. */
    int64_t size_mb;
    bool swap;
};
/* Is it where every node reaches it? */
static inline bool disk_is_shared(const struct disk *d)
{
    return d->path && strncmp(d->path, "rbd:", 4) == 0;
}
/* The name of a disk's file: its id, but for one that is made at the dest of
 * a migration that of the disk at the source.  On one node there is only one
 * of them at a time. */
char *disk_file_id(char out[STORE_KEY_MAX], const struct disk *d);
/* How many; in the order of their devices, which come right after the
 * root's.  They are the guest's as long as it is there. */
size_t server_local_disks(const struct server *s,
                          struct local_disk out[LOCAL_DISKS_MAX]);

/* A number that none of the server's disks has yet. */
int64_t server_next_disks(const struct snapshot *snap, const struct server *s);
/* Puts the records of the disks of generation `s->disks` that a server with
 * this image and flavor begins with: WANTED, on its node if it has one. */
void server_make_disks(struct txn *t, const struct server *s);

/* Nova's status text ("ACTIVE", "BUILD", "REBOOT" ...) of a server. */
const char *server_status(const struct server *s);

#endif
