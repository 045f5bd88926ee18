#include "model/volume.h"

#include "model/pool.h"
#include "model/table.h"

const char *const volume_status_names[] = {
    "creating",       "available",       "reserved",  "attaching", "in-use",
    "detaching",      "extending",       "uploading", "deleting",  "error",
    "error_deleting", "error_extending", NULL
};
const char *const snapshot_status_names[] = { "creating",       "available",
                                              "deleting",       "error",
                                              "error_deleting", NULL };

#define T struct volume_type
static const struct field volume_type_fields[] = {
    FIELD(T, name, F_STR),        FIELD(T, description, F_STR),
    FIELD(T, is_private, F_BOOL), FIELD(T, is_default, F_BOOL),
    FIELD(T, projects, F_STRS),   FIELD(T, extra_specs, F_MAP),
    FIELD(T, created, F_TIME),    FIELD_END,
};
#undef T
KIND(kind_volume_type, KIND_VOLUME_TYPE, "volume_type", struct volume_type,
     volume_type_fields, INDEXES({ "name" }));

#define T struct volume_attachment
static const struct field attachment_fields[] = {
    FIELD(T, attachment_id, F_STR), FIELD(T, server_id, F_STR),
    FIELD(T, device, F_STR),        FIELD(T, node, F_STR),
    FIELD(T, attached, F_TIME),     FIELD_END,
};
#undef T
static const struct schema attachment_schema = {
    sizeof(struct volume_attachment), attachment_fields
};

#define T struct volume
static const struct field volume_fields[] = {
    FIELD(T, project_id, F_STR),
    FIELD(T, user_id, F_STR),
    FIELD(T, name, F_STR),
    FIELD(T, description, F_STR),
    FIELD(T, volume_type_id, F_STR),
    FIELD(T, availability_zone, F_STR),
    FIELD(T, size_gb, F_INT),
    FIELD(T, real_size_gb, F_INT),
    FIELD(T, image_id, F_STR),
    FIELD(T, snapshot_id, F_STR),
    FIELD(T, source_id, F_STR),
    FIELD(T, bootable, F_BOOL),
    FIELD(T, readonly, F_BOOL),
    FIELD(T, metadata, F_MAP),
    FIELD(T, image_metadata, F_MAP),
    FIELD_E(T, status, volume_status_names),
    FIELD(T, node, F_STR),
    FIELD(T, upload_image_id, F_STR),
    FIELD_L(T, attachments, attachment_schema),
    FIELD(T, path, F_STR),
    FIELD(T, fault, F_STR),
    FIELD(T, created, F_TIME),
    FIELD(T, updated, F_TIME),
    FIELD_END,
};
#undef T
KIND(kind_volume, KIND_VOLUME, "volume", struct volume, volume_fields,
     INDEXES({ "project_id" }, { "image_id" }, { "snapshot_id" },
             { "source_id" }, { "volume_type_id" }, { "node" },
             { "attachments.server_id" }));

#define T struct volume_snapshot
static const struct field snapshot_fields[] = {
    FIELD(T, project_id, F_STR),  FIELD(T, user_id, F_STR),
    FIELD(T, volume_id, F_STR),   FIELD(T, name, F_STR),
    FIELD(T, description, F_STR), FIELD(T, size_gb, F_INT),
    FIELD(T, metadata, F_MAP),    FIELD_E(T, status, snapshot_status_names),
    FIELD(T, node, F_STR),        FIELD(T, path, F_STR),
    FIELD(T, fault, F_STR),       FIELD(T, created, F_TIME),
    FIELD(T, updated, F_TIME),    FIELD_END,
};
#undef T
KIND(kind_snapshot, KIND_SNAPSHOT, "snapshot", struct volume_snapshot,
     snapshot_fields, INDEXES({ "project_id" }, { "volume_id" }));

bool volume_charge(struct txn *t, const struct snapshot *s,
                   const char *project_id, int64_t volumes, int64_t snapshots,
                   int64_t gigabytes, struct error *err)
{
    const struct amount all[] = { { "volumes", volumes },
                                  { "snapshots", snapshots },
                                  { "gigabytes", gigabytes } };
    return quota_charge(t, s, "volume", project_id, all, 3, err);
}

bool volume_is_copied(const struct snapshot *s, const struct volume *v)
{
    struct snap_iter it = snap_by(s, &kind_snapshot, "volume_id", v->rec.id);
    for (const struct volume_snapshot *x; (x = snap_next(&it));)
        if (x->status == SNAPSHOT_CREATING)
            return true;
    it = snap_by(s, &kind_volume, "source_id", v->rec.id);
    for (const struct volume *x; (x = snap_next(&it));)
        if (x->status == VOLUME_CREATING)
            return true;
    return false;
}
