/*
 * iso9660 - writes a small CD-ROM image in memory.
 *
 * ISO 9660 level 2 with Joliet names beside it, so that Linux and Windows
 * read the names as they were given; Linux without Joliet sees them in lower
 * case, which for the config drive is the same.  Enough for a config drive:
 * some dozens of files, directories of one block.  Pure and deterministic.
 */
#ifndef CAIRN_COMPUTE_ISO9660_H
#define CAIRN_COMPUTE_ISO9660_H

#include "common/buf.h"
#include "common/error.h"

#include <stdint.h>

struct iso_file {
    const char *path; /* "openstack/latest/user_data": ASCII, parts of at
                         most 28 bytes */
    const void *data;
    size_t len;
};

/* Appends the image to `out` (empty before).  Files in the byte order of
 * their paths; `label` has at most 15 bytes; `when` dates everything,
 * microseconds since 1970. */
bool iso9660_write(struct buf *out, const char *label,
                   const struct iso_file *files, size_t n, int64_t when,
                   struct error *err);

#endif
