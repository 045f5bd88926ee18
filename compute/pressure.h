/*
 * pressure - how long work stood still for want of a CPU, of memory, of I/O:
 * the kernel's pressure stall information (PSI; the kernel's
 * Documentation/accounting/psi.rst, Weiner 2018).
 *
 * The counters are "some": microseconds in which at least one task of the
 * machine, or of a control group (version 2), was stalled.  A kernel without
 * PSI, or a guest without a group of its own, has none of them: that is
 * PRESSURE_NONE, not 0.  Pure but for reading /proc and the groups; any
 * thread.
 */
#ifndef CAIRN_COMPUTE_PRESSURE_H
#define CAIRN_COMPUTE_PRESSURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum pressure { PRESSURE_CPU, PRESSURE_MEMORY, PRESSURE_IO, PRESSURE_KINDS };

#define PRESSURE_NONE INT64_C(-1) /* not measured */

struct pressure_counters {
    int64_t us[PRESSURE_KINDS]; /* since the start; PRESSURE_NONE */
};

/* `proc`: "/proc". */
void pressure_of_machine(const char *proc, struct pressure_counters *out);
/* A process's control group, if it is one that a guest has for itself: made
 * by libvirt or systemd-machined for it, not shared with libvirtd. */
void pressure_of_guest(const char *proc, int64_t pid,
                       struct pressure_counters *out);

#endif
