/*
 * use - what a node and its guests are measured to use: smoothed by the node
 * (daemon/measure.h), read by the engine.
 *
 * A record apart from the node's own, because the two change at different
 * times.  Bounded: USE_GUESTS guests, the busiest of the node.
 */
#ifndef CAIRN_MODEL_USE_H
#define CAIRN_MODEL_USE_H

#include "model/model.h"

#define USE_GUESTS 512

#define USE_UNKNOWN INT64_C(-1) /* not measured */

/* Short names: there are many of them.  Ascending by id.  Pressure is the
 * kernel's (PSI, "some"): thousandths of the time in which something waited. */
struct guest_use {
    const char *id;    /* of the server */
    int64_t vcpu;      /* thousandths of a vCPU */
    int64_t steal;     /* thousandths of the time it wanted to run */
    int64_t memory;    /* MiB of the machine's */
    int64_t disk;      /* KiB/s */
    int64_t net;       /* KiB/s, of the busier direction */
    int64_t mem_stall; /* pressure of memory; USE_UNKNOWN, as all below */
    int64_t io_stall;  /* ... of its disks */
    int64_t swap;      /* KiB/s that the guest itself swaps */
    int64_t dirty;     /* MiB/s of memory that it writes */
};

/* id = node name */
struct node_use {
    struct record rec;
    int64_t measured;
    int64_t cpu;    /* thousandths of the machine's CPUs */
    int64_t steal;  /* thousandths of them: taken by a hypervisor below */
    int64_t memory; /* MiB that are not available */
    /* Pressure of the machine; USE_UNKNOWN, as all below. */
    int64_t cpu_pressure, memory_pressure, io_pressure;
    int64_t swap;       /* KiB/s */
    int64_t disk;       /* KiB/s */
    int64_t net, link;  /* KiB/s of the busier direction, and what it carries */
    struct list guests; /* struct guest_use */
};

/* NULL: it was not measured. */
const struct guest_use *node_use_guest(const struct node_use *u,
                                       const char *id);

#endif
