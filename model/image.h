/*
 * image - glance's records.
 *
 * QUEUED -> (bytes arrive) SAVING -> (all there) CHECKING -> the node that
 * holds the file inspects it -> ACTIVE, or back to QUEUED with `fault` when
 * it must not be used.  Clients see CHECKING as "saving".  An import goes
 * QUEUED -> SAVING -> STAGED ("uploading": all there, waiting for the word)
 * -> CHECKING.  DELETED is a tombstone: the file goes, then the record.
 */
#ifndef CAIRN_MODEL_IMAGE_H
#define CAIRN_MODEL_IMAGE_H

#include "model/model.h"

enum image_status {
    IMAGE_QUEUED,
    IMAGE_SAVING,
    IMAGE_CHECKING,
    IMAGE_ACTIVE,
    IMAGE_DELETED,
    IMAGE_STAGED,
};
extern const char *const image_status_names[];

struct image {
    struct record rec;
    const char *name;
    const char *owner;      /* project id */
    const char *visibility; /* public, private, shared, community */
    const char *container_format;
    const char *disk_format; /* qcow2, raw, iso, vmdk ... as declared */
    int64_t min_disk_gb;
    int64_t min_ram_mb;
    bool is_protected;
    bool hidden;
    struct strs tags;
    struct map properties;
    int status;            /* enum image_status */
    int64_t size;          /* bytes uploaded; -1 unknown is 0 here */
    int64_t virtual_size;  /* bytes, found by inspection */
    const char *checksum;  /* MD5 hex */
    const char *hash_algo; /* "sha512" */
    const char *hash_value;
    const char *upload_id; /* names the blob that is being written */
    const char *node;      /* where that is, until it is a blob */
    const char *blob;      /* file name below the image directory */
    const char *fault;     /* why inspection refused it */
    int64_t created, updated;
};

#endif
