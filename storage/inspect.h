/*
 * inspect - what is in an image file, read with distrust.
 *
 * A disk image can name other files: a qcow2 its backing file or its data
 * file, a vmdk its extents.  Whoever opens such an image reads (and gives
 * away) those files of the host; that is the class of CVE-2024-32498 and
 * CVE-2022-47951.  So nothing opens an image from outside before this module
 * has read its headers and found that it stands on its own feet, is what it
 * was declared to be, and lies wholly inside its file.
 *
 * Pure: it sees the file through a read function, keeps nothing, and every
 * length and loop is bounded.  Refusals are INVALID (broken or dangerous) or
 * MEDIA_TYPE (another format than declared, or one not taken), in a sentence
 * meant for whoever uploaded the image.
 */
#ifndef CAIRN_STORAGE_INSPECT_H
#define CAIRN_STORAGE_INSPECT_H

#include "common/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define INSPECT_VIRTUAL_MAX (INT64_C(64) << 40) /* bytes of a disk */
#define INSPECT_NAME_MAX    1024

enum image_format {
    FORMAT_RAW,
    FORMAT_ISO,
    FORMAT_QCOW2,
    FORMAT_VMDK,
    FORMAT_VHD,
    FORMAT_VHDX,
    FORMAT_VDI,
    FORMAT_QCOW1, /* this and those below are known to be refused */
    FORMAT_QED,
    FORMAT_LUKS,
    FORMAT_PARALLELS,
    FORMAT_BOCHS,
    FORMAT_VMDK_TEXT, /* a descriptor that names files beside it */
    FORMAT_VMDK_ESX,
    N_FORMATS
};

struct image_source {
    /* Reads exactly len bytes at offset, which lie inside `size`. */
    bool (*read_at)(void *arg, void *to, size_t len, int64_t offset);
    void *arg;
    int64_t size; /* bytes of the file */
};

struct inspection {
    enum image_format format;
    int64_t virtual_size; /* bytes, a multiple of 512 */
};

/* Glance's disk_format -> what its file must be; false: one not taken. */
bool format_from_disk_format(const char *disk_format, enum image_format *out);
const char *format_name(enum image_format format);
/* The name of the qemu driver that reads it, or NULL: never to be opened. */
const char *format_driver(enum image_format format);

/* Is it a sound `declared` (glance's disk_format), and how large a disk? */
bool inspect(const struct image_source *src, const char *disk_format,
             struct inspection *out, struct error *err);
bool inspect_fd(int fd, const char *disk_format, struct inspection *out,
                struct error *err);

/* The head of a qcow2 of our own making, which may have a backing file.
 * MEDIA_TYPE when it is surely none (no such magic). */
struct qcow2_head {
    int64_t virtual_size;
    char backing[INSPECT_NAME_MAX]; /* as written in the file; "" = none */
};
bool inspect_own_qcow2(int fd, struct qcow2_head *out, struct error *err);

#endif
