/*
 * volume - cinder's records.
 *
 * `status` is cinder's own text, as an enum.  The API writes the states that
 * end in "-ing" (what is to be done), storage or compute carries it out and
 * writes the state that follows:
 *
 *   CREATING -> AVAILABLE <-> ATTACHING/DETACHING <-> IN_USE
 *       |          | \-> EXTENDING -> AVAILABLE | IN_USE
 *       v          v
 *     ERROR    DELETING -> record gone | ERROR_DELETING
 */
#ifndef CAIRN_MODEL_VOLUME_H
#define CAIRN_MODEL_VOLUME_H

#include "model/model.h"

/* How the guests' disks of a type are encrypted; `id` NULL: not. */
struct type_encryption {
    const char *id;       /* cinder's encryption_id */
    const char *provider; /* "luks" */
    const char *cipher;   /* "aes-xts-plain64" */
    int64_t key_size;     /* bits */
    const char *control_location;
    int64_t created, updated;
};

/* Extra specs that are understood:
 *   cairn:storage  "replicated" (the pool's storage) or "local" (a node's own
 *                  disk); not given: replicated where the pool has that
 *   multiattach    "<is> True" */
struct volume_type {
    struct record rec;
    const char *name;
    const char *description;
    bool is_private;
    bool is_default;
    struct strs projects;
    struct map extra_specs;
    const char *qos_specs_id;
    struct type_encryption encryption;
    int64_t created;
};

#define SPEC_STORAGE     "cairn:storage"
#define SPEC_MULTIATTACH "multiattach"
bool volume_type_is_local(const struct volume_type *t);
bool volume_type_is_replicated(const struct volume_type *t); /* says so */
bool volume_type_multiattach(const struct volume_type *t);

enum qos_consumer { QOS_BACK_END, QOS_FRONT_END, QOS_BOTH };
extern const char *const qos_consumer_names[]; /* "back-end" .. */

/* Limits of the types that name it; see model/qos.h. */
struct qos_specs {
    struct record rec;
    const char *name;
    int consumer; /* enum qos_consumer */
    struct map specs;
    int64_t created;
};

/* The key of encrypted volumes: id = the first one's; its clones and their
 * snapshots have the same.  Written by storage alone, gone with the last of
 * them.  Secret, and useless without the pool's own key (storage/keyring.h).
 */
struct volume_key {
    struct record rec;
    const char *wrapped; /* base64 */
    const char *cipher;
    int64_t key_size; /* bits */
    int64_t created;
};

enum volume_status {
    VOLUME_CREATING,
    VOLUME_AVAILABLE,
    VOLUME_RESERVED,
    VOLUME_ATTACHING,
    VOLUME_IN_USE,
    VOLUME_DETACHING,
    VOLUME_EXTENDING,
    VOLUME_UPLOADING,
    VOLUME_DELETING,
    VOLUME_ERROR,
    VOLUME_ERROR_DELETING,
    VOLUME_ERROR_EXTENDING,
};
extern const char *const volume_status_names[]; /* "in-use" ... */

struct volume_attachment {
    const char *attachment_id;
    const char *server_id;
    const char *device;
    const char *node;
    int64_t attached; /* time, 0 until it is */
};

struct volume {
    struct record rec;
    const char *project_id;
    const char *user_id;
    const char *name;
    const char *description;
    const char *volume_type_id;
    const char *availability_zone;
    int64_t size_gb;         /* what should be */
    int64_t real_size_gb;    /* what is; less than size_gb while EXTENDING */
    const char *image_id;    /* made from */
    const char *snapshot_id; /* made from */
    const char *source_id;   /* volume it was cloned from */
    bool bootable;
    bool readonly;
    struct map metadata;
    struct map image_metadata;
    int status; /* enum volume_status */
    /* The node that makes it; when it is made, the one that holds it, or NULL:
     * the storage of the pool, where every node reaches it. */
    const char *node;
    const char *upload_image_id; /* UPLOADING: image to fill */
    struct list attachments;     /* struct volume_attachment */
    const char *path;            /* local storage: file on the node */
    bool local;         /* on its node's disk, whatever storage the pool has */
    bool multiattach;   /* several servers may have it at once */
    const char *key_id; /* encrypted: struct volume_key */
    const char *fault;
    int64_t created, updated;
};

enum snapshot_status {
    SNAPSHOT_CREATING,
    SNAPSHOT_AVAILABLE,
    SNAPSHOT_DELETING,
    SNAPSHOT_ERROR,
    SNAPSHOT_ERROR_DELETING,
};
extern const char *const snapshot_status_names[];

struct volume_snapshot {
    struct record rec;
    const char *project_id;
    const char *user_id;
    const char *volume_id;
    const char *name;
    const char *description;
    int64_t size_gb; /* of the volume at that time */
    struct map metadata;
    int status;       /* enum snapshot_status */
    const char *node; /* as a volume's */
    const char *path;
    bool local;         /* as its volume */
    const char *key_id; /* its volume's */
    const char *fault;
    int64_t created, updated;
};

/* Charges a project's quota for volumes and snapshots (negative numbers give
 * back): each counts as one of its kind and with its size in gigabytes.  As
 * quota_charge. */
bool volume_charge(struct txn *t, const struct snapshot *s,
                   const char *project_id, int64_t volumes, int64_t snapshots,
                   int64_t gigabytes, struct error *err);

/* A snapshot of it, but for who asked and what it is called. */
void volume_snapshot_of(struct volume_snapshot *sn, const struct volume *v);

/* Does any volume or snapshot have the key, beside `except`? */
bool volume_key_used(const struct snapshot *s, const char *key_id,
                     const char *except);

/* Is a snapshot or a clone of it being made just now?  Its file must not be
 * opened by a guest meanwhile.  Whoever makes one rewrites the volume's
 * record, so that to look here and to attach in one transaction is exact. */
bool volume_is_copied(const struct snapshot *s, const struct volume *v);

#endif
