/*
 * launch - a process of a service: begun, found again, ended.
 *
 * Two ways behind one table: children of ours, and units of systemd.
 * Threads: those of the caller, one at a time for a struct launch.
 */
#ifndef CAIRN_DAEMON_LAUNCH_H
#define CAIRN_DAEMON_LAUNCH_H

#include "daemon/command.h"

#include <sys/types.h>

struct launch {
    const char *name;
    const char *dir, *log_dir; /* of pid files and of output */
    pid_t pid;                 /* 0: none */
    int pidfd;                 /* readable when it has ended; -1: none */
    uint64_t hash;             /* of its words */
};

struct launch_ops {
    bool (*begin)(struct launch *l, const struct words *w, struct error *err);
    /* SIGTERM or SIGKILL. */
    void (*end)(struct launch *l, int sig);
};

/* The one that fits this machine. */
const struct launch_ops *launch_here(void);
extern const struct launch_ops launch_children, launch_units;

/* Finds a process that an earlier cairnd began; false: there is none. */
bool launch_find(struct launch *l);
/* After pidfd became readable: reaps, forgets.  Its exit status as wait
 * gives it, -1 if it was not our child. */
int launch_gone(struct launch *l);

#endif
