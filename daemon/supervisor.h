/*
 * supervisor - starts and watches the daemons of a table of services.
 *
 * The rim around services.h: one thread that asks the state machine what to
 * do and does it.  Where systemd is process 1 a service is a unit of it,
 * cairn-NAME.service, made in /run/systemd/system, and systemd restarts it
 * even while cairnd is not there; elsewhere it is a child process in a
 * session of its own.  In both cases it outlives cairnd: the next cairnd
 * finds it by its file (pid, start time and a number of its command
 * line: one that has changed is started anew) and goes on watching it.
 *
 *   DIR/NAME.pid        its pid, for people and scripts
 *   DIR/NAME.id         pid, start time, hash
 *   LOG_DIR/NAME.log    what it prints
 *
 * Threads: one of its own, which runs prepare, command and probe; calls
 * from any thread.
 */
#ifndef CAIRN_DAEMON_SUPERVISOR_H
#define CAIRN_DAEMON_SUPERVISOR_H

#include "daemon/command.h"
#include "daemon/services.h"

#include "common/env.h"

/* One row of the table.  What its functions are given is the row's own `arg`,
 * or without one that of the config. */
struct service_spec {
    const char *name;
    const char *after[SERVICE_AFTER_MAX];
    /* Before each start; false: not now, try again.  NULL: nothing to do. */
    bool (*prepare)(void *arg, struct error *err);
    /* The words of the process; NULL: there is none, prepare is all. */
    void (*command)(void *arg, struct words *w);
    /* Does it answer?  NULL: yes, when it runs. */
    bool (*probe)(void *arg);
    /* At the start, before supervisor_want says otherwise.  NULL: yes. */
    bool (*wanted)(void *arg);
    void *arg;
};

struct supervisor_config {
    const struct env *env;
    const struct service_spec *table;
    size_t n;
    void *arg;
    const char *dir, *log_dir; /* made when missing; copied */
};

struct supervisor;

struct supervisor *supervisor_start(const struct supervisor_config *config,
                                    struct error *err);
/* Until `name` (NULL: all that are wanted) is up; false after `timeout_us`:
 * err names those who are not. */
bool supervisor_await(struct supervisor *s, const char *name,
                      int64_t timeout_us, struct error *err);
/* What some wait for may be there now. */
void supervisor_hurry(struct supervisor *s);
/* Stop it, prepare and start it anew (its command may have changed). */
void supervisor_restart(struct supervisor *s, const char *name);
/* A service not wanted is stopped. */
void supervisor_want(struct supervisor *s, const char *name, bool wanted);
/* Ends the watching; `stop_all`: the services too, in order. */
void supervisor_free(struct supervisor *s, bool stop_all);

/* Helpers for tables: does anyone listen on this unix socket? */
bool service_listens(const char *path);

#endif
