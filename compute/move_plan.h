/*
 * move_plan - what a node does next for a server that moves while it runs,
 * decided without doing it.
 *
 * A pure function, like server_plan.h, of the records (model/migration.h has
 * their state diagram) and of what this node's hypervisor says.  The order
 * is what keeps one guest from running twice, whoever dies meanwhile:
 *
 *   source                               dest
 *                                        its disks are made: PREPARE
 *   dest_ready: PERFORM
 *   progress, ABORT, PUSH                (the guest comes in, PAUSED)
 *   its domain is gone: ARRIVE           nothing, whatever it sees
 *                                        the record says it is here: RESUME
 *                                        it runs: COMPLETE
 *   its domain is still there and
 *   nothing moves it: FAIL, CANCEL       the record says it stays: CLEAR
 *
 * Only the source declares an outcome, because only there it can be seen
 * whether the guest may still run; and the dest does not let the guest run
 * before that is in the store.  A source that was switched off in the middle
 * finds its domain defined and off: it has not gone, and what came to the
 * dest is thrown away.
 *
 * So that a move comes to an end the guest is slowed down (libvirt's
 * auto-converge), and may stand still for MOVE_PAUSE_MS at first, doubled
 * every MOVE_PATIENCE_US up to MOVE_PAUSE_MOST_MS; what has not converged by
 * then is given up after a time that goes by its size.
 */
#ifndef CAIRN_COMPUTE_MOVE_PLAN_H
#define CAIRN_COMPUTE_MOVE_PLAN_H

#include "compute/hypervisor.h"
#include "model/migration.h"

#define MOVE_PAUSE_MS      100
#define MOVE_PAUSE_MOST_MS 800
#define MOVE_PATIENCE_MS   15000
#define MOVE_PREPARE_US    (120 * SECOND_US) /* for the dest to get ready */
#define MOVE_LOOK_US       SECOND_US         /* between looks at progress */

enum move_role {
    MOVE_SOURCE,  /* server->node is this node */
    MOVE_DEST,    /* it is not (yet) */
    MOVE_ARRIVED, /* it is, and was another */
    MOVE_NO_ROLE, /* what is here of it is left over */
};

struct move_view {
    enum move_role role;
    const struct migration *migration; /* NO_ROLE: NULL */
    const struct server *server;
    struct domain_info domain;
    struct migrate_info info; /* SOURCE, from PREPARING on */
    bool disks_ready;         /* those at the dest */
    const char *disk_fault;   /* one of them could not be made */
    bool dest_alive;
    int64_t now; /* wall clock */
};

#define MOVE_STEPS(X)                                                          \
    X(NORMAL, "the ordinary plan")                                             \
    X(WAIT, "wait")                                                            \
    X(PREPARE, "get ready for the guest")                                      \
    X(PERFORM, "move the guest")                                               \
    X(BEGUN, "record that it moves")                                           \
    X(PROGRESS, "record how far it is")                                        \
    X(PUSH, "let the guest stand still until it has moved")                    \
    X(ABORT, "stop moving the guest")                                          \
    X(ARRIVE, "record that it has gone")                                       \
    X(RESUME, "let the guest run")                                             \
    X(COMPLETE, "record that it is here")                                      \
    X(CANCEL, "record that it stays")                                          \
    X(FAIL, "record that it could not move")                                   \
    X(CLEAR, "remove what is left of the guest")

enum move_step {
#define X(name, text) MOVE_##name,
    MOVE_STEPS(X)
#undef X
};
extern const char *const move_step_names[]; /* the texts */

struct move_plan {
    enum move_step step;
    int64_t after_us; /* WAIT: look again then; 0: when records change */
    const char *text; /* FAIL: borrowed from the view, or static */
};

struct move_plan move_plan(const struct move_view *v);

/* How long the guest may stand still now, milliseconds. */
int64_t move_pause_ms(int64_t elapsed_ms);
/* After so long it is given up. */
int64_t move_limit_ms(const struct server *s);

#endif
