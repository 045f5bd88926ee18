/*
 * volumes - where images, disks, volumes and snapshots are kept.
 *
 * A table of functions that a driver fills: files on one node
 * (local_driver.h), Ceph when the pool has one, memory in tests/sim.  The
 * node's storage reconcilers (storage_reconcile.h) call it, and cairnd for
 * the face when bytes flow (image_open_write, image_open_read).
 *
 * Every call is synchronous and may take seconds: no lock is held around it.
 * Every call is idempotent: asked again after a crash it finds what is there
 * and goes on; creating what exists gives its path, deleting what is gone is
 * no error.  A call that fails leaves nothing behind that a later call or
 * tidy() would not remove.  Any thread may call, but not two for one id; where
 * the nodes share a storage, two nodes may for a moment (one led the pool and
 * has not noticed that it does no more): the worst is that one of them fails.
 *
 * Ids and names are 1 to STORAGE_NAME_MAX - 1 characters of [A-Za-z0-9._-],
 * not beginning with a dot.  Sizes are bytes and multiples of 512.
 *
 * An image, once committed, is immutable and known by its blob name, which
 * follows from the upload id.  Deleting an image, a volume or a snapshot
 * that others were made from is allowed: what they still need stays, unnamed,
 * until the last of them is gone.
 *
 * Errors: INVALID and MEDIA_TYPE say that an image must not be used and why;
 * NOT_FOUND names a missing source; CONFLICT: a file is in use by a guest;
 * NO_SPACE; TIMEOUT; INTERNAL.
 */
#ifndef CAIRN_STORAGE_VOLUMES_H
#define CAIRN_STORAGE_VOLUMES_H

#include "common/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STORAGE_NAME_MAX 96
#define STORAGE_PATH_MAX 512
#define GIB              (INT64_C(1) << 30)

/* What image_commit and volume_to_image have made. */
struct image_info {
    char blob[STORAGE_NAME_MAX]; /* for image_open_read, disk_create ... */
    char format[16];             /* of the blob: "qcow2", "raw" or "iso" */
    int64_t size;                /* bytes of the blob */
    int64_t virtual_size;        /* bytes of the disk in it */
    /* Set when the blob is not byte by byte what was uploaded (converted, or
     * made from a volume): its checksums; else "". */
    char md5[33];
    char sha512[129];
};

enum volume_source {
    SOURCE_EMPTY,
    SOURCE_IMAGE,
    SOURCE_SNAPSHOT,
    SOURCE_VOLUME,
    SOURCE_DISK, /* of snapshots only: a server's root disk, by server id */
};

struct luks; /* luks.h */

struct volume_spec {
    int64_t size;            /* bytes, not less than the source's */
    enum volume_source from; /* made from what */
    const char *source;      /* blob, snapshot id or volume id; or NULL */
    /* Encrypted (then `size` is with luks_overhead); NULL: not.  A source that
     * is a volume or snapshot is so already.  NOT_IMPLEMENTED: not here. */
    const struct luks *luks;
    bool multiattach; /* several may write to it at once */
};

enum stored_kind {
    STORED_UPLOAD,   /* name = upload id */
    STORED_IMAGE,    /* name = blob */
    STORED_DISK,     /* name = server id */
    STORED_VOLUME,   /* name = volume id */
    STORED_SNAPSHOT, /* name = snapshot id */
};

struct stored {
    enum stored_kind kind;
    const char *name;
    int64_t used;    /* bytes it takes by itself */
    int64_t changed; /* wall clock, microseconds; 0 = unknown */
};
typedef void stored_fn(void *arg, const struct stored *what);

struct storage_stats {
    int64_t total, free; /* bytes */
};

/* Bytes on their way to another node: each call moves all `len` or fails. */
struct byte_sink {
    bool (*put)(void *arg, const void *data, size_t len, struct error *);
    void *arg;
};
struct byte_source {
    bool (*get)(void *arg, void *data, size_t len, struct error *);
    /* Now and then, bytes; false and err: it is not wanted any more.  NULL:
     * nobody asks. */
    bool (*progress)(void *arg, int64_t done, int64_t total, struct error *);
    void *arg;
};

/* A driver's object starts with this. */
struct volumes {
    const struct volume_ops *ops;
    /* NULL: what is in it is this node's.  Else all nodes of the pool have
     * the same in it, and these are the files of this node: uploads, and the
     * volumes that are local. */
    struct volumes *own;
};

struct volume_ops {
    /* An empty file for the bytes of an upload, open for writing; -1 and err
     * on failure.  Asked again for the same id it starts from nothing. */
    int (*image_open_write)(struct volumes *, const char *upload_id,
                            struct error *);
    /* Forgets an upload, and the blob that a commit has made of it. */
    bool (*image_discard)(struct volumes *, const char *upload_id,
                          struct error *);
    /* Inspects an upload that is declared to be `disk_format` (glance's
     * word), converts it when it is none of qcow2, raw and iso, makes it
     * durable and a blob.  Who wrote it must have closed it (else BUSY).
     * After a refusal the upload is still there: discard it. */
    bool (*image_commit)(struct volumes *, const char *upload_id,
                         const char *disk_format, struct image_info *,
                         struct error *);
    /* The blob's bytes, open for reading at 0; -1 and err on failure. */
    int (*image_open_read)(struct volumes *, const char *blob, struct error *);
    bool (*image_delete)(struct volumes *, const char *blob, struct error *);

    /* A server's root disk on top of an image, always qcow2.  `size` 0: as
     * large as the image; less than the image's: INVALID. */
    bool (*disk_create)(struct volumes *, const char *server_id,
                        const char *blob, int64_t size,
                        char path[STORAGE_PATH_MAX], struct error *);
    /* Another disk of a server, empty or (`swap`) formatted as a swap area,
     * of its own id. */
    bool (*disk_blank)(struct volumes *, const char *disk_id, int64_t size,
                       bool swap, char path[STORAGE_PATH_MAX], struct error *);
    /* Another disk with the content of `source_id`, a disk here that no guest
     * writes to (else CONFLICT), at least as large; 0: as large. */
    bool (*disk_clone)(struct volumes *, const char *disk_id,
                       const char *source_id, int64_t size,
                       char path[STORAGE_PATH_MAX], struct error *);
    /* A disk's content for disk_import on another node, of a disk that no
     * guest writes to (else CONFLICT).  NULL, both: every node reaches it. */
    bool (*disk_export)(struct volumes *, const char *disk_id,
                        const struct byte_sink *to, struct error *);
    /* Another disk with that content, at least as large; 0: as large. */
    bool (*disk_import)(struct volumes *, const char *disk_id,
                        const struct byte_source *from, int64_t size,
                        char path[STORAGE_PATH_MAX], struct error *);
    bool (*disk_delete)(struct volumes *, const char *disk_id, struct error *);

    /* A volume, always qcow2.  Cloning one that a guest uses: CONFLICT. */
    bool (*volume_create)(struct volumes *, const char *volume_id,
                          const struct volume_spec *,
                          char path[STORAGE_PATH_MAX], struct error *);
    bool (*volume_delete)(struct volumes *, const char *volume_id,
                          struct error *);
    /* To `size` bytes or more; one that no guest uses (else CONFLICT: the
     * guest's hypervisor resizes it). */
    bool (*volume_extend)(struct volumes *, const char *volume_id, int64_t size,
                          struct error *);
    /* Before snapshot_create, while `in_use` (a guest may have it): when a
     * guest does write to the volume (or disk), what is written from now on
     * goes to a new file, and the guest must be moved to that.  *path: the
     * file that is the volume's from now on, in any case; write it down
     * before snapshot_create.  *moved: a guest may have the file before
     * still, for this or an earlier snapshot. */
    bool (*snapshot_begin)(struct volumes *, const char *snapshot_id,
                           enum volume_source of, const char *id, bool in_use,
                           char path[STORAGE_PATH_MAX], bool *moved,
                           struct error *);
    /* The content of a volume or disk as it is now, or was at
     * snapshot_begin.  CONFLICT while a guest writes to that. */
    bool (*snapshot_create)(struct volumes *, const char *snapshot_id,
                            enum volume_source of, const char *id,
                            char path[STORAGE_PATH_MAX], struct error *);
    bool (*snapshot_delete)(struct volumes *, const char *snapshot_id,
                            struct error *);
    /* A blob from the content of a volume or snapshot, `disk_format` "qcow2"
     * or "raw".  The blob is known by `upload_id`, as if it had been
     * uploaded. */
    bool (*volume_to_image)(struct volumes *, enum volume_source from,
                            const char *source, const char *upload_id,
                            const char *disk_format, struct image_info *,
                            struct error *);

    /* Calls fn for all there is, in no order. */
    bool (*list)(struct volumes *, stored_fn *, void *arg, struct error *);
    bool (*stats)(struct volumes *, struct storage_stats *, struct error *);
    /* Removes what interrupted calls left inside; now and then. */
    bool (*tidy)(struct volumes *, struct error *);
    void (*close)(struct volumes *);
};

/* Is it a name that drivers take (see above)? */
bool storage_name_ok(const char *name);

#endif
