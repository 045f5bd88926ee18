/*
 * config_drive - a guest's metadata as a CD-ROM labelled "config-2".
 *
 * For guests that ask for it (or have no DHCP): the same documents that the
 * metadata service hands out, as files.  Pure: an image in memory; the
 * hypervisor's driver keeps it.
 */
#ifndef CAIRN_COMPUTE_CONFIG_DRIVE_H
#define CAIRN_COMPUTE_CONFIG_DRIVE_H

#include "compute/guest_metadata.h"

#define CONFIG_DRIVE_LABEL "config-2"
#define CONFIG_DRIVE_MAX   (2 * 1024 * 1024)

/* Appends the ISO image to `out`, which should hold CONFIG_DRIVE_MAX. */
bool config_drive_write(const struct snapshot *s, const struct server *server,
                        struct buf *out, struct error *err);

#endif
