#include "model/compute.h"

#include "model/table.h"

#include <stdio.h>
#include <string.h>

const char *const server_goal_names[] = { "running",   "stopped", "paused",
                                          "suspended", "deleted", NULL };
const char *const vm_state_names[] = {
    "building", "active",  "stopped",           "paused",  "suspended", "error",
    "resized",  "shelved", "shelved_offloaded", "rescued", NULL
};
const char *const task_state_names[] = { "",
                                         "scheduling",
                                         "networking",
                                         "block_device_mapping",
                                         "spawning",
                                         "powering-on",
                                         "powering-off",
                                         "rebooting",
                                         "rebooting_hard",
                                         "pausing",
                                         "unpausing",
                                         "suspending",
                                         "resuming",
                                         "deleting",
                                         "migrating",
                                         "resize_prep",
                                         "resize_migrating",
                                         "resize_migrated",
                                         "resize_finish",
                                         "resize_reverting",
                                         "resize_confirming",
                                         "rebuilding",
                                         "rebuild_block_device_mapping",
                                         "rebuild_spawning",
                                         "shelving",
                                         "shelving_image_pending_upload",
                                         "shelving_image_uploading",
                                         "shelving_offloading",
                                         "unshelving",
                                         "image_snapshot",
                                         "image_pending_upload",
                                         "image_uploading",
                                         "rescuing",
                                         "unrescuing",
                                         NULL };
const char *const reboot_type_names[] = { "soft", "hard", NULL };
const char *const attach_state_names[] = { "attaching", "attached", "detaching",
                                           NULL };
const char *const disk_state_names[] = { "wanted", "ready", "failed", "leaving",
                                         NULL };

#define T struct flavor
static const struct field flavor_fields[] = {
    FIELD(T, name, F_STR),      FIELD(T, description, F_STR),
    FIELD(T, vcpus, F_INT),     FIELD(T, ram_mb, F_INT),
    FIELD(T, disk_gb, F_INT),   FIELD(T, ephemeral_gb, F_INT),
    FIELD(T, swap_mb, F_INT),   FIELD(T, rxtx_factor, F_REAL),
    FIELD(T, disabled, F_BOOL), FIELD(T, is_private, F_BOOL),
    FIELD(T, projects, F_STRS), FIELD(T, extra_specs, F_MAP),
    FIELD(T, created, F_TIME),  FIELD_END,
};
#undef T
KIND(kind_flavor, KIND_FLAVOR, "flavor", struct flavor, flavor_fields,
     INDEXES({ "name" }));

#define T struct keypair
static const struct field keypair_fields[] = {
    FIELD(T, user_id, F_STR),
    FIELD(T, name, F_STR),
    FIELD(T, type, F_STR),
    FIELD(T, public_key, F_STR),
    FIELD(T, fingerprint, F_STR),
    FIELD(T, created, F_TIME),
    FIELD_END,
};
#undef T
KIND(kind_keypair, KIND_KEYPAIR, "keypair", struct keypair, keypair_fields,
     INDEXES({ "user_id" }));

#define T struct server_group
static const struct field server_group_fields[] = {
    FIELD(T, project_id, F_STR),
    FIELD(T, user_id, F_STR),
    FIELD(T, name, F_STR),
    FIELD(T, policy, F_STR),
    FIELD(T, max_server_per_host, F_INT),
    FIELD(T, created, F_TIME),
    FIELD_END,
};
#undef T
KIND(kind_server_group, KIND_SERVER_GROUP, "server_group", struct server_group,
     server_group_fields, INDEXES({ "project_id" }));

#define T struct aggregate
static const struct field aggregate_fields[] = {
    FIELD(T, name, F_STR),
    FIELD(T, uuid, F_STR),
    FIELD(T, hosts, F_STRS),
    FIELD(T, metadata, F_MAP),
    FIELD(T, created, F_TIME),
    FIELD(T, updated, F_TIME),
    FIELD_END,
};
#undef T
KIND(kind_aggregate, KIND_AGGREGATE, "aggregate", struct aggregate,
     aggregate_fields, INDEXES({ "name" }, { "hosts" }));

#define T struct server_volume
static const struct field server_volume_fields[] = {
    FIELD(T, volume_id, F_STR),
    FIELD(T, attachment_id, F_STR),
    FIELD(T, device, F_STR),
    FIELD(T, tag, F_STR),
    FIELD_E(T, state, attach_state_names),
    FIELD(T, boot, F_BOOL),
    FIELD(T, delete_on_termination, F_BOOL),
    FIELD_END,
};
#undef T
static const struct schema server_volume_schema = {
    sizeof(struct server_volume), server_volume_fields
};

#define T struct server_port
static const struct field server_port_fields[] = {
    FIELD(T, port_id, F_STR),
    FIELD(T, tag, F_STR),
    FIELD_E(T, state, attach_state_names),
    FIELD(T, delete_on_termination, F_BOOL),
    FIELD_END,
};
#undef T
static const struct schema server_port_schema = { sizeof(struct server_port),
                                                  server_port_fields };

#define T struct server_cell
static const struct field server_cell_fields[] = {
    FIELD(T, cell, F_INT),
    FIELD(T, cpus, F_STR),
    FIELD_END,
};
#undef T
const struct schema server_cell_schema = { sizeof(struct server_cell),
                                           server_cell_fields };

#define T struct server_device
static const struct field server_device_fields[] = {
    FIELD(T, address, F_STR),
    FIELD(T, row, F_INT),
    FIELD(T, type, F_STR),
    FIELD(T, thousandths, F_INT),
    FIELD_END,
};
#undef T
const struct schema server_device_schema = { sizeof(struct server_device),
                                             server_device_fields };

#define T struct server_event
static const struct field server_event_fields[] = {
    FIELD(T, action, F_STR),  FIELD(T, request_id, F_STR),
    FIELD(T, user_id, F_STR), FIELD(T, project_id, F_STR),
    FIELD(T, at, F_TIME),     FIELD_END,
};
#undef T
static const struct schema server_event_schema = { sizeof(struct server_event),
                                                   server_event_fields };

#define T struct server
static const struct field server_fields[] = {
    FIELD(T, name, F_STR),
    FIELD(T, description, F_STR),
    FIELD(T, hostname, F_STR),
    FIELD(T, project_id, F_STR),
    FIELD(T, user_id, F_STR),
    FIELD(T, flavor_id, F_STR),
    FIELD(T, flavor_name, F_STR),
    FIELD(T, vcpus, F_INT),
    FIELD(T, ram_mb, F_INT),
    FIELD(T, disk_gb, F_INT),
    FIELD(T, ephemeral_gb, F_INT),
    FIELD(T, swap_mb, F_INT),
    FIELD(T, extra_specs, F_MAP),
    FIELD(T, image_id, F_STR),
    FIELD(T, disks, F_INT),
    FIELD(T, shelved_image_id, F_STR),
    FIELD(T, shelved, F_TIME),
    FIELD(T, key_name, F_STR),
    FIELD(T, key_public, F_STR),
    FIELD_S(T, user_data, F_STR),
    FIELD_S(T, admin_pass_hash, F_STR),
    FIELD(T, config_drive, F_BOOL),
    FIELD(T, locked, F_BOOL),
    FIELD(T, locked_reason, F_STR),
    FIELD(T, access_ipv4, F_STR),
    FIELD(T, access_ipv6, F_STR),
    FIELD_L(T, events, server_event_schema),
    FIELD(T, metadata, F_MAP),
    FIELD(T, image_properties, F_MAP),
    FIELD(T, tags, F_STRS),
    FIELD(T, server_group_id, F_STR),
    FIELD(T, requested_zone, F_STR),
    FIELD(T, requested_host, F_STR),
    FIELD(T, scheduler_hints, F_JSON),
    FIELD(T, reservation_id, F_STR),
    FIELD(T, launch_index, F_INT),
    FIELD(T, min_count, F_INT),
    FIELD_E(T, goal, server_goal_names),
    FIELD(T, reboot, F_INT),
    FIELD_E(T, reboot_type, reboot_type_names),
    FIELD_L(T, volumes, server_volume_schema),
    FIELD_L(T, ports, server_port_schema),
    FIELD(T, node, F_STR),
    FIELD(T, migration_id, F_STR),
    FIELD(T, zone, F_STR),
    FIELD(T, generation, F_INT),
    FIELD(T, stranded, F_BOOL),
    FIELD_L(T, cells, server_cell_schema),
    FIELD_L(T, devices, server_device_schema),
    FIELD_E(T, vm_state, vm_state_names),
    FIELD_E(T, task_state, task_state_names),
    FIELD(T, power_state, F_INT),
    FIELD(T, reboots_done, F_INT),
    FIELD(T, domain_name, F_STR),
    FIELD(T, root_device, F_STR),
    FIELD(T, vnc_host, F_STR),
    FIELD(T, vnc_port, F_INT),
    FIELD(T, serial_log, F_STR),
    FIELD(T, fault, F_STR),
    FIELD(T, fault_code, F_INT),
    FIELD(T, fault_at, F_TIME),
    FIELD(T, created, F_TIME),
    FIELD(T, updated, F_TIME),
    FIELD(T, launched, F_TIME),
    FIELD(T, terminated, F_TIME),
    FIELD_END,
};
#undef T
KIND(kind_server, KIND_SERVER, "server", struct server, server_fields,
     INDEXES({ "project_id" }, { "node" }, { "image_id" },
             { "server_group_id" }, { "reservation_id" },
             { "volumes.volume_id" }));

#define T struct disk
static const struct field disk_fields[] = {
    FIELD(T, project_id, F_STR),
    FIELD(T, server_id, F_STR),
    FIELD(T, generation, F_INT),
    FIELD(T, image_id, F_STR),
    FIELD(T, source_id, F_STR),
    FIELD(T, migration_id, F_STR),
    FIELD(T, node, F_STR),
    FIELD(T, size_gb, F_INT),
    FIELD(T, size_mb, F_INT),
    FIELD(T, swap, F_BOOL),
    FIELD_E(T, state, disk_state_names),
    FIELD(T, path, F_STR),
    FIELD(T, upload_image_id, F_STR),
    FIELD(T, fault, F_STR),
    FIELD_END,
};
#undef T
KIND(kind_disk, KIND_DISK, "disk", struct disk, disk_fields,
     INDEXES({ "server_id" }, { "image_id" }, { "node" },
             { "upload_image_id" }));

/* Nova's table: vm_state, refined by the task that runs (API reference,
 * "Server concepts"; _STATE_MAP of nova/api/openstack/common.py). */
static const struct {
    unsigned vm_states; /* bits */
    int task;
    const char *status;
} refined[] = {
#define IN(state) (1u << (state))
#define OFF_ON    (IN(VM_ACTIVE) | IN(VM_STOPPED))
#define REBUILDS  (OFF_ON | IN(VM_ERROR))
    { IN(VM_ACTIVE), TASK_REBOOTING, "REBOOT" },
    { ~IN(VM_BUILDING), TASK_REBOOTING_HARD, "HARD_REBOOT" },
    { IN(VM_ACTIVE) | IN(VM_PAUSED), TASK_MIGRATING, "MIGRATING" },
    { OFF_ON, TASK_RESIZE_PREP, "RESIZE" },
    { OFF_ON, TASK_RESIZE_MIGRATING, "RESIZE" },
    { OFF_ON, TASK_RESIZE_MIGRATED, "RESIZE" },
    { OFF_ON, TASK_RESIZE_FINISH, "RESIZE" },
    { IN(VM_RESIZED), TASK_RESIZE_REVERTING, "REVERT_RESIZE" },
    { REBUILDS, TASK_REBUILDING, "REBUILD" },
    { REBUILDS, TASK_REBUILD_BLOCK_DEVICE_MAPPING, "REBUILD" },
    { REBUILDS, TASK_REBUILD_SPAWNING, "REBUILD" },
#undef REBUILDS
#undef OFF_ON
#undef IN
};

const char *server_status(const struct server *s)
{
    static const char *const plain[] = {
        [VM_BUILDING] = "BUILD",
        [VM_ACTIVE] = "ACTIVE",
        [VM_STOPPED] = "SHUTOFF",
        [VM_PAUSED] = "PAUSED",
        [VM_SUSPENDED] = "SUSPENDED",
        [VM_ERROR] = "ERROR",
        [VM_RESIZED] = "VERIFY_RESIZE",
        [VM_SHELVED] = "SHELVED",
        [VM_SHELVED_OFFLOADED] = "SHELVED_OFFLOADED",
        [VM_RESCUED] = "RESCUE",
    };
    for (size_t i = 0; i < ARRAY_SIZE(refined); i++)
        if (s->task_state == refined[i].task &&
            refined[i].vm_states >> s->vm_state & 1)
            return refined[i].status;
    return plain[s->vm_state];
}

/* ---- local disks -------------------------------------------------------- */

static const char *disk_id(const struct server *s, const char *name,
                           char out[DISK_ID_SIZE])
{
    char number[24] = "";
    if (s->disks)
        snprintf(number, sizeof(number), ".%lld", (long long)s->disks);
    snprintf(out, DISK_ID_SIZE, "%.36s%s%.12s%s", s->rec.id, *name ? "." : "",
             name, number);
    return out;
}

const char *server_disk_id(const struct server *s, char out[DISK_ID_SIZE])
{
    return disk_id(s, "", out);
}

char *disk_file_id(char out[STORE_KEY_MAX], const struct disk *d)
{
    snprintf(out, STORE_KEY_MAX, "%.*s", (int)strcspn(d->rec.id, "@"),
             d->rec.id);
    return out;
}

size_t server_local_disks(const struct server *s,
                          struct local_disk out[LOCAL_DISKS_MAX])
{
    static const char *const devices[] = { "/dev/vdb", "/dev/vdc" };
    const struct local_disk all[] = {
        { .name = "ephemeral0", .size_mb = s->ephemeral_gb * 1024 },
        { .name = "swap", .size_mb = s->swap_mb, .swap = true },
    };
    size_t n = 0;
    for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
        if (!all[i].size_mb)
            continue;
        out[n] = all[i];
        out[n].device = devices[n];
        disk_id(s, all[i].name, out[n].id);
        n++;
    }
    return n;
}

int64_t server_next_disks(const struct snapshot *snap, const struct server *s)
{
    int64_t most = s->disks;
    struct snap_iter it = snap_by(snap, &kind_disk, "server_id", s->rec.id);
    for (const struct disk *d; (d = snap_next(&it));)
        most = d->generation > most ? d->generation : most;
    return most + 1;
}

static struct disk *new_disk(const struct server *s, const char *id)
{
    struct disk *d = record_new(&kind_disk, id);
    d->project_id = rec_str(d, s->project_id);
    d->server_id = rec_str(d, s->rec.id);
    d->node = rec_str(d, s->node);
    d->generation = s->disks;
    d->state = DISK_WANTED;
    return d;
}

void server_make_disks(struct txn *t, const struct server *s)
{
    char id[DISK_ID_SIZE];
    struct local_disk more[LOCAL_DISKS_MAX];
    if (s->image_id) {
        _autorecord_ struct disk *root = new_disk(s, server_disk_id(s, id));
        root->image_id = rec_str(root, s->image_id);
        root->size_gb = s->disk_gb;
        txn_change_record(t, root);
    }
    for (size_t i = server_local_disks(s, more); i-- > 0;) {
        _autorecord_ struct disk *d = new_disk(s, more[i].id);
        d->size_mb = more[i].size_mb;
        d->swap = more[i].swap;
        txn_change_record(t, d);
    }
}
