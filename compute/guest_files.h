/*
 * guest_files - what a node keeps of a guest beside its disks: the config
 * drive and the console's log, in a directory of the guest's name.
 *
 * Made before a guest starts or arrives, removed when it is undefined.  One
 * that was to arrive may vanish from the hypervisor by itself (its process
 * ended, the node lost its power): then only a sweep finds them.
 *
 * Paths are the caller's to free.  Threads: any, but not two for one guest.
 */
#ifndef CAIRN_COMPUTE_GUEST_FILES_H
#define CAIRN_COMPUTE_GUEST_FILES_H

#include "common/error.h"

#include <stdbool.h>
#include <stddef.h>

char *guest_files_log(const char *dir, const char *id);
char *guest_files_drive(const char *dir, const char *id);

/* `drive_len` 0: it has no config drive.  Written anew when it is there. */
bool guest_files_make(const char *dir, const char *id, const char *drive,
                      size_t drive_len, struct error *err);
void guest_files_remove(const char *dir, const char *id);

/* Removes those of all guests of which `wanted` says no.  What has no guest's
 * name (a UUID) is left alone. */
typedef bool guest_wanted_fn(void *arg, const char *id);
void guest_files_sweep(const char *dir, guest_wanted_fn *wanted, void *arg);

#endif
