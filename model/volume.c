#include "model/volume.h"

#include "model/pool.h"
#include "model/table.h"

#include <string.h>
#include <strings.h>

const char *const volume_status_names[] = {
    "creating",       "available",       "reserved",  "attaching", "in-use",
    "detaching",      "extending",       "uploading", "deleting",  "error",
    "error_deleting", "error_extending", NULL
};
const char *const snapshot_status_names[] = { "creating",       "available",
                                              "deleting",       "error",
                                              "error_deleting", NULL };

const char *const qos_consumer_names[] = { "back-end", "front-end", "both",
                                           NULL };

#define T struct type_encryption
static const struct field encryption_fields[] = {
    FIELD(T, id, F_STR),
    FIELD(T, provider, F_STR),
    FIELD(T, cipher, F_STR),
    FIELD(T, key_size, F_INT),
    FIELD(T, control_location, F_STR),
    FIELD(T, created, F_TIME),
    FIELD(T, updated, F_TIME),
    FIELD_END,
};
#undef T
static const struct schema encryption_schema = { sizeof(struct type_encryption),
                                                 encryption_fields };

#define T struct qos_specs
static const struct field qos_fields[] = {
    FIELD(T, name, F_STR),
    FIELD_E(T, consumer, qos_consumer_names),
    FIELD(T, specs, F_MAP),
    FIELD(T, created, F_TIME),
    FIELD_END,
};
#undef T
KIND(kind_qos_specs, KIND_QOS_SPECS, "qos_specs", struct qos_specs, qos_fields,
     INDEXES({ "name" }));

#define T struct volume_key
static const struct field key_fields[] = {
    FIELD_S(T, wrapped, F_STR),
    FIELD(T, cipher, F_STR),
    FIELD(T, key_size, F_INT),
    FIELD(T, created, F_TIME),
    FIELD_END,
};
#undef T
KIND(kind_volume_key, KIND_VOLUME_KEY, "volume_key", struct volume_key,
     key_fields, NO_INDEXES);

#define T struct volume_type
static const struct field volume_type_fields[] = {
    FIELD(T, name, F_STR),         FIELD(T, description, F_STR),
    FIELD(T, is_private, F_BOOL),  FIELD(T, is_default, F_BOOL),
    FIELD(T, projects, F_STRS),    FIELD(T, extra_specs, F_MAP),
    FIELD(T, qos_specs_id, F_STR), FIELD_O(T, encryption, encryption_schema),
    FIELD(T, created, F_TIME),     FIELD_END,
};
#undef T
KIND(kind_volume_type, KIND_VOLUME_TYPE, "volume_type", struct volume_type,
     volume_type_fields, INDEXES({ "name" }, { "qos_specs_id" }));

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
    FIELD(T, local, F_BOOL),
    FIELD(T, multiattach, F_BOOL),
    FIELD(T, key_id, F_STR),
    FIELD(T, fault, F_STR),
    FIELD(T, created, F_TIME),
    FIELD(T, updated, F_TIME),
    FIELD_END,
};
#undef T
KIND(kind_volume, KIND_VOLUME, "volume", struct volume, volume_fields,
     INDEXES({ "project_id" }, { "image_id" }, { "snapshot_id" },
             { "source_id" }, { "volume_type_id" }, { "node" }, { "key_id" },
             { "attachments.server_id" }));

#define T struct volume_snapshot
static const struct field snapshot_fields[] = {
    FIELD(T, project_id, F_STR),  FIELD(T, user_id, F_STR),
    FIELD(T, volume_id, F_STR),   FIELD(T, name, F_STR),
    FIELD(T, description, F_STR), FIELD(T, size_gb, F_INT),
    FIELD(T, metadata, F_MAP),    FIELD_E(T, status, snapshot_status_names),
    FIELD(T, node, F_STR),        FIELD(T, path, F_STR),
    FIELD(T, local, F_BOOL),      FIELD(T, key_id, F_STR),
    FIELD(T, fault, F_STR),       FIELD(T, created, F_TIME),
    FIELD(T, updated, F_TIME),    FIELD_END,
};
#undef T
KIND(kind_snapshot, KIND_SNAPSHOT, "snapshot", struct volume_snapshot,
     snapshot_fields, INDEXES({ "project_id" }, { "volume_id" }, { "key_id" }));

static bool says(const struct volume_type *t, const char *key,
                 const char *value)
{
    const char *said = map_get(&t->extra_specs, key);
    return said && strcasecmp(said, value) == 0;
}

bool volume_type_is_local(const struct volume_type *t)
{
    return says(t, SPEC_STORAGE, "local");
}

bool volume_type_is_replicated(const struct volume_type *t)
{
    return says(t, SPEC_STORAGE, "replicated");
}

bool volume_type_multiattach(const struct volume_type *t)
{
    return says(t, SPEC_MULTIATTACH, "<is> True");
}

void volume_snapshot_of(struct volume_snapshot *sn, const struct volume *v)
{
    sn->project_id = rec_str(sn, v->project_id);
    sn->volume_id = rec_str(sn, v->rec.id);
    sn->node = rec_str(sn, v->node);
    sn->key_id = rec_str(sn, v->key_id);
    sn->local = v->local;
    sn->size_gb = v->size_gb;
    sn->status = SNAPSHOT_CREATING;
}

static bool has_other(const struct snapshot *s, const struct kind *kind,
                      const char *key_id, const char *except)
{
    struct snap_iter it = snap_by(s, kind, "key_id", key_id);
    for (const struct record *rec; (rec = snap_next(&it));)
        if (strcmp(rec->id, except) != 0)
            return true;
    return false;
}

bool volume_key_used(const struct snapshot *s, const char *key_id,
                     const char *except)
{
    return has_other(s, &kind_volume, key_id, except) ||
           has_other(s, &kind_snapshot, key_id, except);
}

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
