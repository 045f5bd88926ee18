/*
 * services - when the daemons of a node are started, stopped, started again.
 *
 * A pure state machine over a table of services: it is told what happened
 * and what time it is, and says what to do next; supervisor.h does it.
 *
 *            want                deps are up          probe says yes
 *     OFF ---------> WAITING -----------------> STARTING -----------> UP
 *      ^               ^                            |  it ended       |
 *      |               | pause is over              v                 |
 *      |               +------------------------ PAUSING <------------+
 *      |                                            ^
 *      +------------------ STOPPING <--- want not, or restart, or it is
 *         it ended                       not up after SERVICE_START_US
 *
 * A service starts when all it comes after are up, and is stopped when all
 * that come after it are off.  One whose dependency ends goes on: daemons
 * find each other again.  A pause is nothing for a service that ran for
 * SERVICE_SETTLED_US, else it doubles up to SERVICE_PAUSE_MOST_US.
 *
 * Times are microseconds of a monotonic clock.  Threads: the caller's.
 */
#ifndef CAIRN_DAEMON_SERVICES_H
#define CAIRN_DAEMON_SERVICES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SERVICES_MAX           32
#define SERVICE_AFTER_MAX      4
#define SERVICE_START_US       INT64_C(60000000)
#define SERVICE_STOP_US        INT64_C(10000000) /* from TERM to KILL */
#define SERVICE_SETTLED_US     INT64_C(10000000)
#define SERVICE_PAUSE_FIRST_US INT64_C(100000)
#define SERVICE_PAUSE_MOST_US  INT64_C(30000000)
#define SERVICE_PROBE_SOON_US  INT64_C(20000)   /* while it starts */
#define SERVICE_PROBE_US       INT64_C(5000000) /* afterwards */

enum service_state {
    SERVICE_OFF,
    SERVICE_WAITING,
    SERVICE_STARTING,
    SERVICE_UP,
    SERVICE_PAUSING,
    SERVICE_STOPPING,
};

enum service_act {
    SERVICE_NOTHING,
    SERVICE_START, /* then services_started */
    SERVICE_PROBE, /* then services_probed */
    SERVICE_TERM,  /* ask the process to end; services_ended when it has */
    SERVICE_KILL,
};

struct service {
    const char *name;
    const char *after[SERVICE_AFTER_MAX]; /* up to NULL or the end */
    bool once; /* a task: when it was started successfully it is up */

    enum service_state state;
    bool wanted;
    bool again;   /* is stopped to be started anew */
    bool healthy; /* what the last probe said; false until UP */
    unsigned starts;
    int64_t began; /* its last start */
    int64_t due;   /* of what the state waits for */
    int64_t pause;
};

struct services {
    struct service all[SERVICES_MAX];
    size_t n;
};

/* In an order in which each comes behind what it is after; false when it is
 * not, a name is unknown or there is no room. */
bool services_add(struct services *s, const char *name,
                  const char *const after[SERVICE_AFTER_MAX], bool once);
/* Index, or SERVICES_MAX. */
size_t services_find(const struct services *s, const char *name);

void services_want(struct services *s, size_t i, bool wanted);
/* Stop it and start it anew; nothing unless it runs. */
void services_restart(struct services *s, size_t i);

/* What it waited for may be there: pauses are over. */
void services_hurry(struct services *s, int64_t now);

/* What is to do now: call until it is NOTHING. */
enum service_act services_next(struct services *s, int64_t now, size_t *i);
/* When there will be something to do if nothing happens; INT64_MAX: never. */
int64_t services_due(const struct services *s);

void services_started(struct services *s, size_t i, bool ok, int64_t now);
void services_adopted(struct services *s, size_t i, int64_t now);
void services_probed(struct services *s, size_t i, bool healthy, int64_t now);
void services_ended(struct services *s, size_t i, int64_t now);

/* All that are wanted are up and healthy. */
bool services_ready(const struct services *s);
bool services_off(const struct services *s); /* nothing runs */
const char *service_state_name(enum service_state state);

#endif
