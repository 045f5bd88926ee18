/*
 * sandbox - runs a program to its end, if need be where it can do no harm.
 *
 * A plain job is our own tool on our own files (qemu-img making an overlay):
 * an argument vector, never a shell; nothing inherited but the standard
 * descriptors; a deadline; bounded output.
 *
 * A confined job works on files from outside.  It runs besides in namespaces
 * of its own (mount, network, process, IPC, host name), without network or
 * other processes, in a root that holds /usr read-only and the files it was
 * given, as a user without rights, with no new privileges, under resource
 * limits and a system call filter.  If any of that cannot be had, the job is
 * not run.  It needs root, as cairnd has.
 *
 * Threads: any.  The calling thread waits for the end; children are waited
 * for by pid and killed by pid, so nobody else may reap them.
 */
#ifndef CAIRN_STORAGE_SANDBOX_H
#define CAIRN_STORAGE_SANDBOX_H

#include "common/buf.h"
#include "common/env.h"
#include "common/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define SANDBOX_OUTPUT_MAX (256 * 1024) /* bytes kept of each stream */
#define SANDBOX_BINDS_MAX  4

/* A file the confined program sees as "/<name>". */
struct sandbox_bind {
    const char *from; /* absolute path */
    const char *name; /* inside, without a slash */
    bool writable;
};

/* What a confined job gets; the uid must be nobody else's. */
struct sandbox_limits {
    const char *root; /* an empty directory to build the root on */
    uid_t uid;
    gid_t gid;
    int64_t cpu_s;
    int64_t memory;    /* bytes of address space */
    int64_t file_size; /* bytes it may write to one file */
};

struct sandbox_job {
    const char *const *argv; /* NULL-terminated; argv[0] is absolute */
    int64_t timeout_us;
    const struct sandbox_limits *confine; /* NULL: a plain job */
    struct sandbox_bind binds[SANDBOX_BINDS_MAX];
    size_t n_binds;
};

struct sandbox_result {
    int code;               /* exit code; 128 + signal when a signal ended it */
    struct buf out, errors; /* what it said; cut at SANDBOX_OUTPUT_MAX */
};

/* True when the program ran and ended by itself, whatever its exit code;
 * TIMEOUT, UNAVAILABLE (no sandbox to be had) or INTERNAL else. */
bool sandbox_run(const struct sandbox_job *job, const struct env *env,
                 struct sandbox_result *result, struct error *err);
void sandbox_result_free(struct sandbox_result *result);
#define _autoresult_ __attribute__((cleanup(sandbox_result_free)))

#endif
