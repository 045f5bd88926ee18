/*
 * emulator - a guest's QEMU process, past libvirt.
 *
 * libvirt asks QEMU to end and gives it ten seconds, in which QEMU waits for
 * a storage that does not answer any more.  A node that is cut off has no
 * ten seconds (quarantine.h).
 */
#ifndef CAIRN_COMPUTE_EMULATOR_H
#define CAIRN_COMPUTE_EMULATOR_H

#include <stdbool.h>

/* Kills the processes that were started with "-uuid <id>"; was there one?
 * `proc` is "/proc".  What libvirt thinks of it is another matter. */
bool emulator_kill(const char *proc, const char *id);

/* Is the guest with that id to end?  `shared`: its process was started with a
 * disk in Ceph. */
typedef bool emulator_stale_fn(void *arg, const char *id, bool shared);
/* Kills all of which `stale` says so, in one go: nothing is waited for. */
void emulator_kill_stale(const char *proc, emulator_stale_fn *stale, void *arg);

#endif
