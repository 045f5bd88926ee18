/*
 * luks - disks encrypted at rest, as LUKS (version 1) makes them.
 *
 * The format and the cipher are QEMU's, who opens them for the guest; here
 * qemu-img makes new ones, in files.  The passphrase reaches it through a
 * file in memory, never a disk or a command line; it has 256 random bits, so
 * it is not stretched (iter-time).
 *
 * Source: qemu.org, "qemu-block-drivers", LUKS; LUKS On-Disk Format 1.2.3.
 */
#ifndef CAIRN_STORAGE_LUKS_H
#define CAIRN_STORAGE_LUKS_H

#include "common/env.h"
#include "common/error.h"

#include <stdbool.h>
#include <stdint.h>

struct luks {
    const char *passphrase;
    int64_t key_size; /* bits of AES: 128 or 256 */
};

/* Bytes that the header takes before the disk begins. */
int64_t luks_overhead(int64_t key_size);

/* Makes the file `path`, sparse where nothing was: an empty disk of `size`,
 * or one with the content of the file `raw`. */
bool luks_make(const struct luks *l, const char *raw, int64_t size,
               const char *path, const struct env *env, struct error *err);

#endif
