/*
 * host_counters - what the machine itself has done so far: CPU time, what
 * stood still, memory, swap, disks, its link.
 *
 * From /proc (stat, meminfo, vmstat, diskstats, net/dev, pressure) and
 * /sys/class/net.  What the kernel does not tell is -1, "not measured".  In a
 * container or namespace some of it is the machine's around it; the numbers
 * are told as they are.  Any thread.
 */
#ifndef CAIRN_COMPUTE_HOST_COUNTERS_H
#define CAIRN_COMPUTE_HOST_COUNTERS_H

#include "compute/pressure.h"

#define UPLINK_NAME 32

/* Counters since the start, but for memory and link. */
struct host_counters {
    int64_t busy, steal, all; /* ticks of its CPUs */
    struct pressure_counters stalled;
    int64_t memory_mb; /* not available now */
    int64_t swap_kib;  /* in and out */
    int64_t disk_kib;  /* read and written, of whole disks */
    int64_t received_kib, sent_kib;
    int64_t link_kib_s; /* what the link carries in one direction */
};

/* `uplink`: the interface towards the other nodes; "": none is known. */
void host_counters_read(const char *proc, const char *sys, const char *uplink,
                        struct host_counters *out);

/* The interface that has this address; of a bridge its first port that is a
 * device.  False: none has. */
bool host_uplink(const char *sys, const char *address, char out[UPLINK_NAME]);

#endif
