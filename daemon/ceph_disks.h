/*
 * ceph_disks - a node's disks and the places of its OSDs.
 *
 * Which disks there are (storage/disks.h), which of them have an OSD of ours,
 * and which may become one.
 *
 * Threads: one at a time, but for reading a slot that is ready.
 */
#ifndef CAIRN_DAEMON_CEPH_DISKS_H
#define CAIRN_DAEMON_CEPH_DISKS_H

#include "daemon/ceph_files.h"

#define CEPH_GONE_US (60 * SECOND_US) /* without its disk: it is gone */

struct ceph_disks {
    const struct ceph_files *files;
    struct ceph_slot slots[CEPH_SLOTS];
    int64_t missing[CEPH_SLOTS]; /* since when its disk is; 0: it is there */
    struct disk all[DISKS_MAX];
    size_t n;
    uint64_t told; /* of which disks the log knows why they are not taken */
};

void ceph_disks_load(struct ceph_disks *d, const struct ceph_files *files);
/* Looks at all disks; says once why some are left alone.  Returns how many may
 * be taken. */
int ceph_disks_look(struct ceph_disks *d);
/* It is empty, or was begun with. */
bool ceph_disks_may_take(struct ceph_disks *d, const struct disk *disk);
/* The place for a disk that may be taken; NULL: NO_SPACE. */
struct ceph_slot *ceph_disks_slot(struct ceph_disks *d, const struct disk *disk,
                                  struct error *err);
/* The slot whose OSD is on the disk, or NULL. */
const struct ceph_slot *ceph_disks_owner(const struct ceph_disks *d,
                                         const struct disk *disk);
/* Where a slot's disk is now, or NULL. */
const struct disk *ceph_disks_of(const struct ceph_disks *d,
                                 const struct ceph_slot *slot);
/* Its disk has been missing, or did not answer, for CEPH_GONE_US. */
bool ceph_disks_is_gone(const struct ceph_disks *d,
                        const struct ceph_slot *slot);

#endif
