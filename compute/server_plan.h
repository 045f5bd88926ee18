/*
 * server_plan - what to do next for one server, decided without doing it.
 *
 * A pure function of the records, of what the domain is now and of how long
 * the guest has been asked already.  The reconciler carries one step out,
 * looks again, and plans again, until there is nothing left to do; a crash
 * between any two steps changes nothing, because each plan starts from what
 * is.  The order:
 *
 *   goal DELETED            destroy, then release all
 *   vm_state ERROR, no task  rest (until somebody asks for something)
 *   BUILDING                wait for disk, volumes and ports; start
 *   REBUILDING              wait for the new disks, as a reboot or at rest
 *   resized, moved          off; disks; there; start (model/resize.h)
 *   SHELVING ...            off; image; offload (model/shelve.h)
 *   a reboot is asked for   off (asked nicely if soft), then start
 *   else                    bring the domain to the goal:
 *
 *     domain \ goal  RUNNING         STOPPED      PAUSED     SUSPENDED
 *     RUNNING        -               shut down    pause      save
 *     PAUSED         resume (1)      destroy      -          save
 *     SAVED          restore         -            restore    -
 *     off, absent    start (2)       -            halted (3) halted (3)
 *
 *   then the record is brought up to date, then devices are plugged, then
 *   disks whose records name another file than the domain has are moved to
 *   that (a snapshot is being taken, storage/heads.h): before a SAVE, too,
 *   which would keep the old one.  Disks of another generation
 *   (model/compute.h) are given up as soon as the server's own are there and
 *   no guest has them.
 *
 *   (1) what was paused on purpose; and a guest that stalled because the
 *       disk is full is told to go on now and then: it tries again what it
 *       could not write, and has seen no error
 *   (2) when it was STOPPED, PAUSED, SUSPENDED or failed; an ACTIVE one that
 *       is off has stopped by itself, or its host has: halted
 *   (3) unless it is SUSPENDED already.  Halted: the goal becomes STOPPED,
 *       as nova's power sync has it
 */
#ifndef CAIRN_COMPUTE_SERVER_PLAN_H
#define CAIRN_COMPUTE_SERVER_PLAN_H

#include "compute/hypervisor.h"
#include "model/compute.h"
#include "model/image.h"
#include "model/migration.h"
#include "model/network.h"
#include "model/volume.h"
#include "state/cache.h"

/* How long the guest has been asked for something (to power off, to let go
 * of a device).  Kept in memory only: after a restart it is asked again. */
struct patience {
    char what[48]; /* "" : nothing; "shutdown", "vdb", a port id */
    int64_t since; /* monotonic us, first asked */
    int64_t asked; /* last asked */
    int64_t woken; /* when a stalled guest was last told to go on; 0: never */
};

#define OTHER_DISKS_MAX 8

struct server_view {
    const struct server *server;
    const struct disk *disk; /* NULL: none */
    const struct image *shelved_image;
    const struct migration *move; /* resize or cold migration under way */
    /* that move's disks: those being made before it, kept after it */
    const struct disk *coming[1 + LOCAL_DISKS_MAX];
    size_t n_coming;
    /* the flavor's other disks, and their records; NULL: gone */
    struct local_disk local[LOCAL_DISKS_MAX];
    const struct disk *local_disks[LOCAL_DISKS_MAX];
    size_t n_local;
    /* those of other generations, but for what is LEAVING */
    const struct disk *others[OTHER_DISKS_MAX];
    size_t n_others;
    /* beside server->volumes and ->ports; NULL: the record is gone */
    const struct volume *volumes[DOMAIN_DISKS_MAX];
    const struct port *ports[DOMAIN_NICS_MAX];
    struct domain_info domain;
    struct patience patience;
    int64_t mono; /* now */
};
/* Fills in the records. */
void server_view_init(struct server_view *v, const struct snapshot *s,
                      const struct server *server);

#define SERVER_STEPS(X)                                                        \
    X(NONE, "rest")                                                            \
    X(WAIT, "wait")                                                            \
    X(START, "start the guest")                                                \
    X(RESTORE, "resume the guest from its saved memory")                       \
    X(SHUTDOWN, "ask the guest to shut down")                                  \
    X(DESTROY, "stop the guest")                                               \
    X(PAUSE, "pause the guest")                                                \
    X(RESUME, "unpause the guest")                                             \
    X(SAVE, "save the guest's memory")                                         \
    X(RECORD, "record its state")                                              \
    X(ATTACH_DISK, "attach a volume")                                          \
    X(DETACH_DISK, "detach a volume")                                          \
    X(RESIZE_DISK, "extend a volume")                                          \
    X(MOVE_DISK, "take a snapshot of a disk")                                  \
    X(DROP_DISK, "remove a disk it had")                                       \
    X(ATTACH_NIC, "attach a port")                                             \
    X(DETACH_NIC, "detach a port")                                             \
    X(KEEP_DISK, "give up detaching a volume")                                 \
    X(KEEP_NIC, "give up detaching a port")                                    \
    X(UNDEFINE, "forget the guest")                                            \
    X(MOVE_BEGIN, "copy the disks")                                            \
    X(MOVE_ARRIVE, "hand the server over")                                     \
    X(MOVE_FINISH, "finish the move")                                          \
    X(MOVE_REVERT, "take the move back")                                       \
    X(MOVE_FAIL, "give up the move")                                           \
    X(SHELVE_IMAGE, "make an image of the server")                             \
    X(SHELVE, "keep the server's image")                                       \
    X(OFFLOAD, "take the server off its node")                                 \
    X(RELEASE, "remove the server")                                            \
    X(FAIL, "fail")

enum server_step {
#define X(name, text) STEP_##name,
    SERVER_STEPS(X)
#undef X
        N_STEPS
};
extern const char *const server_step_names[N_STEPS]; /* the texts */

#define ROOT_DISK SIZE_MAX

struct server_plan {
    enum server_step step;
    size_t
        i; /* ROOT_DISK, or which of server->volumes, ->ports, view->others */
    int64_t after_us; /* WAIT: look again then; 0: when records change */
    const char *text; /* FAIL: the fault, static or borrowed */
};

struct server_plan server_plan(const struct server_view *v);

/* What the record should say, given the domain: changes a draft copy of
 * v->server (vm_state, task_state, power_state, volumes, ports ...).  `now`
 * is wall clock.  The plan asks for RECORD when this makes a difference. */
void server_observe(struct server *draft, const struct server_view *v,
                    int64_t now);

#endif
