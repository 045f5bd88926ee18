/*
 * cpu_type - what the CPU of a node can, and for whose guests that is enough.
 *
 * Reads the object that a node keeps as `cpu_info` (nova's: vendor, model,
 * features).  The features are all of the CPU's, as libvirt names them
 * (virConnectBaselineCPU with EXPAND_FEATURES).  Pure; no threads.
 */
#ifndef CAIRN_MODEL_CPU_TYPE_H
#define CAIRN_MODEL_CPU_TYPE_H

#include <stdbool.h>

/* Traits of os_traits that tell of a CPU: "HW_CPU_X86_AVX2". */
bool cpu_type_is_trait(const char *trait);
/* Has it what the trait tells of?  A CPU of which nothing is known has not. */
bool cpu_type_has(const char *cpu_info, const char *trait);

/* May a guest that has seen all of `guest`'s CPU go on, alive, on `host`'s?
 * True where one of them is not known: libvirt has the last word. */
bool cpu_type_covers(const char *host, const char *guest);

#endif
