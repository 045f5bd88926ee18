/*
 * jail - gives up all privilege, for good.
 *
 * What is left afterwards: the open descriptors, memory, threads.  No files
 * (an empty, read-only root), no network but the sockets it holds, no other
 * user's identity, no capabilities, no way to gain any, and of the system
 * calls only those that serving needs; those that only an intruder would
 * make (execve, ptrace, socket ...) end the process.
 *
 * Called once, at the start of a process, before there are other threads.
 */
#ifndef CAIRN_DAEMON_JAIL_H
#define CAIRN_DAEMON_JAIL_H

#include "common/error.h"

#include <stdbool.h>
#include <sys/types.h>

/* A sanitizer's run-time calls what it likes: no filter there. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define JAIL_FILTERS 0
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define JAIL_FILTERS 0
#endif
#ifndef JAIL_FILTERS
#define JAIL_FILTERS 1
#endif

struct jail {
    const char *root; /* an empty directory; becomes "/" */
    uid_t uid;        /* 0: stay who we are, without a jail (tests) */
    gid_t gid;
    unsigned files; /* descriptors it may have open */
};

/* False: what could not be given up; the process must then not go on. */
bool jail_enter(const struct jail *jail, struct error *err);

#endif
