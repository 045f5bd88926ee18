/*
 * local_impl - what the parts of the local driver have of each other: images
 * (local_images.c), disks that change nodes (local_carry.c), and disks, volumes
 * and the whole (local_driver.c).
 */
#ifndef CAIRN_STORAGE_LOCAL_IMPL_H
#define CAIRN_STORAGE_LOCAL_IMPL_H

#include "common/cleanup.h"
#include "storage/image_check.h"
#include "storage/layers.h"
#include "storage/local_driver.h"

#include <pthread.h>

#define N_HEADS 16

struct local {
    struct volumes base;
    struct layers layers;
    struct image_checker checker;
    char *root;
    /* A volume's head is replaced and resized by one call at a time. */
    pthread_mutex_t heads[N_HEADS];
};
struct local *local_of(struct volumes *v);

/* The layers, entered until the scope is left. */
struct layers *local_enter(struct volumes *v);
void local_leave(struct layers **l);
#define _autoleave_ _cleanup_(local_leave)

bool local_name_check(const char *what, const char *name, struct error *err);
/* -1 and NOT_FOUND, NO_SPACE or INTERNAL. */
int local_open(const char *path, int flags, const char *what, const char *name,
               struct error *err);

/* What something is to be made on. */
struct under {
    char *path;
    const char *driver;
    int64_t size;
};
void local_under_free(struct under *u);
#define _autounder_ _cleanup_(local_under_free)

/* SOURCE_SNAPSHOT, SOURCE_VOLUME or SOURCE_DISK. */
bool local_under_qcow2(struct layers *l, enum volume_source from,
                       const char *id, struct under *u, struct error *err);

/* INVALID: it is smaller than what it is made from. */
bool local_fits(const struct under *u, int64_t size, struct error *err);
/* A new file on top of `u` (or empty) under its final name. */
bool local_make(struct layers *l, const struct under *u, int64_t size,
                enum place place, const char *path, struct error *err);
bool local_path_out(const char *path, char out[STORAGE_PATH_MAX],
                    struct error *err);

/* ---- local_carry.c ------------------------------------------------------- */

bool local_disk_export(struct volumes *v, const char *disk_id,
                       const struct byte_sink *to, struct error *err);
bool local_disk_import(struct volumes *v, const char *disk_id,
                       const struct byte_source *from, int64_t size,
                       char path[STORAGE_PATH_MAX], struct error *err);

/* ---- local_images.c: volumes.h has the contracts --------------------------
 */

bool local_blob_check(const char *blob, enum image_format *format,
                      struct error *err);

int local_image_open_write(struct volumes *v, const char *upload_id,
                           struct error *err);
bool local_image_discard(struct volumes *v, const char *upload_id,
                         struct error *err);
bool local_image_commit(struct volumes *v, const char *upload_id,
                        const char *disk_format, struct image_info *info,
                        struct error *err);
int local_image_open_read(struct volumes *v, const char *blob,
                          struct error *err);
bool local_image_delete(struct volumes *v, const char *blob, struct error *err);
bool local_volume_to_image(struct volumes *v, enum volume_source from,
                           const char *source, const char *upload_id,
                           const char *disk_format, struct image_info *info,
                           struct error *err);

#endif
