/*
 * qcow2 - new qcow2 files, written by ourselves.
 *
 * An empty file or an overlay is three clusters of known content (QEMU's
 * docs/interop/qcow2.txt); to start qemu-img for them costs twenty
 * milliseconds of every server's birth.  What it writes is version 3,
 * clusters of 64 KiB, reference counts of 16 bits: qemu-img's own choice.
 * Everything that changes a file that is there is left to qemu-img.
 *
 * Plain functions on a descriptor; the file is not synced.
 */
#ifndef CAIRN_STORAGE_QCOW2_H
#define CAIRN_STORAGE_QCOW2_H

#include "common/error.h"

#include <stdbool.h>
#include <stdint.h>

#define QCOW2_BACKING_MAX 1023 /* bytes of a backing file's name */

/* Writes into the empty file `fd` a disk of `size` bytes (above 0, a multiple
 * of 512, at most INSPECT_VIRTUAL_MAX): empty when `backing` is NULL, else
 * on top of that name, which qemu's driver `driver` reads.  The backing file
 * is not looked at.  Errors: INVALID, NO_SPACE, INTERNAL. */
bool qcow2_write(int fd, int64_t size, const char *backing, const char *driver,
                 struct error *err);

#endif
