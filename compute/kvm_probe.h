/*
 * kvm_probe - does KVM run guests on this machine, or is it only there?
 *
 * That /dev/kvm can be opened, and answers its ioctls, proves nothing.  In a
 * cloud server it may belong to a KVM that itself has no virtualization under
 * it and that interprets guests in software: such a one was met that runs
 * firmware well, three million instructions a second of anything else, and
 * stops for good with "KVM internal error" at the first `cmpxchg16b` or SSE
 * instruction.  An ordinary guest then hangs after the BIOS, and libvirt calls
 * it running.  Nested virtualization that is off half way, a stolen processor
 * flag or a broken timer look the same from outside.  So the only proof is a
 * guest: a kernel of 600 bytes (kvm_probe_kernel.S) that does, one after the
 * other, what every ordinary guest does, under a deadline.
 *
 * Nothing is kept between calls; any thread may call.  A call takes a quarter
 * of a second where KVM works, and at most the deadline and a little elsewhere:
 * ask once, at start, and remember.  QEMU is started without a shell, inherits
 * no file of the caller's, and is gone when the call returns.
 */
#ifndef CAIRN_COMPUTE_KVM_PROBE_H
#define CAIRN_COMPUTE_KVM_PROBE_H

#include <stdbool.h>

#include "common/error.h"

#define KVM_PROBE_DEADLINE_MS 5000
#define KVM_PROBE_REASON_MAX  256

/* All zero is what the product wants. */
struct kvm_probe_opts {
    const char *qemu;  /* program; NULL: qemu-system-x86_64 of PATH */
    const char *accel; /* NULL: "kvm"; "tcg" tries the test kernel itself */
    int deadline_ms;   /* 0: KVM_PROBE_DEADLINE_MS */
};

struct kvm_probe_result {
    bool usable; /* the test guest ran to its end */
    int ms;      /* how long that took, or until it was given up */
    char reason[KVM_PROBE_REASON_MAX]; /* why, a sentence for people */
};

/* Fills `result` and returns true if there is an answer, yes or no.  Returns
 * false if the question could not be asked: ERR_UNAVAILABLE where QEMU cannot
 * be started, ERR_INTERNAL where the machine lacks files, memory or processes,
 * ERR_INVALID for a negative deadline. */
bool kvm_probe(const struct kvm_probe_opts *opts,
               struct kvm_probe_result *result, struct error *err);

#endif
