/*
 * disks - which of a node's disks are empty and may be taken.
 *
 * A disk is a block device or, in the laboratory, a sparse file.  disks_look
 * reads what there is to know about it and disk_judge, which is pure, says
 * whether it is free, and if not, why: a disk is taken only when nothing at
 * all speaks against it.  A disk with data is never touched.
 *
 * An OSD's disk says so in its first bytes (BlueStore's label: a line of
 * text, then the OSD's uuid), so it is found again under any name.
 *
 * Threads: any.
 */
#ifndef CAIRN_STORAGE_DISKS_H
#define CAIRN_STORAGE_DISKS_H

#include "common/env.h"
#include "common/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DISKS_MAX       64
#define DISK_PATH_MAX   256
#define DISK_REASON_MAX 96
#define DISK_SIZE_LEAST (INT64_C(2) << 30) /* bytes; less is no OSD */

/* What is known of a disk. */
struct disk_facts {
    int64_t size; /* bytes */
    bool special; /* neither a block device nor a plain file */
    bool partition, removable, read_only, optical;
    bool virtual;    /* made of something else: loop, ram, device mapper */
    bool named;      /* the administrator named it */
    bool held;       /* another device is made of it (LVM, RAID, ...) */
    bool in_use;     /* mounted, or somebody has it open for himself */
    bool unread;     /* it could not be read */
    bool data;       /* bytes that are not zero where a format would begin */
    int partitions;  /* that the kernel knows of */
    char format[32]; /* what libblkid sees: "ext4", "dos", ...; "": nothing */
    char osd[UUID_SIZE]; /* of a BlueStore label; "": none */
};

struct disk {
    char path[DISK_PATH_MAX];
    struct disk_facts facts;
    bool free;
    char reason[DISK_REASON_MAX]; /* why not; "" when free */
};

/* True: it may be taken. */
bool disk_judge(const struct disk_facts *facts, char reason[DISK_REASON_MAX]);

/* The disks that `which` names: patterns of paths with commas between, or
 * "auto": the block devices of this machine.  Returns how many, up to `max`,
 * by path. */
size_t disks_look(const char *which, struct disk *disks, size_t max);

#endif
