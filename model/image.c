#include "model/image.h"

#include "model/table.h"

const char *const image_status_names[] = { "queued", "saving",  "checking",
                                           "active", "deleted", "uploading",
                                           NULL };

#define T struct image
static const struct field image_fields[] = {
    FIELD(T, name, F_STR),        FIELD(T, owner, F_STR),
    FIELD(T, visibility, F_STR),  FIELD(T, container_format, F_STR),
    FIELD(T, disk_format, F_STR), FIELD(T, min_disk_gb, F_INT),
    FIELD(T, min_ram_mb, F_INT),  FIELD(T, is_protected, F_BOOL),
    FIELD(T, hidden, F_BOOL),     FIELD(T, tags, F_STRS),
    FIELD(T, properties, F_MAP),  FIELD_E(T, status, image_status_names),
    FIELD(T, size, F_INT),        FIELD(T, virtual_size, F_INT),
    FIELD(T, checksum, F_STR),    FIELD(T, hash_algo, F_STR),
    FIELD(T, hash_value, F_STR),  FIELD(T, upload_id, F_STR),
    FIELD(T, node, F_STR),        FIELD(T, blob, F_STR),
    FIELD(T, fault, F_STR),       FIELD(T, created, F_TIME),
    FIELD(T, updated, F_TIME),    FIELD_END,
};
#undef T
KIND(kind_image, KIND_IMAGE, "image", struct image, image_fields,
     INDEXES({ "owner" }, { "name" }, { "visibility" }));
