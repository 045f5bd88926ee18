/*
 * migration - a server on its way to another node or another flavor, or
 * there already and not yet confirmed: nova's "migration".
 *
 * One record a move; the server's `migration_id` names the one under way, so
 * that there is never more than one.  What has ended stays for a while, for
 * those who ask what happened.
 *
 * Live migration (no state is left by two parties):
 *
 *   QUEUED       by whoever asks (API, rebalancer, drain); no dest yet
 *     | leader   migration_place: dest, disks and ports learn of it
 *   PREPARING    the dest's storage makes empty local disks (struct disk with
 *     |          `migration_id`), its network binds the ports as well, its
 *     |          compute puts the files there that the guest needs, fills in
 *     | dest     `arrival` and sets `dest_ready`
 *   RUNNING      the source's compute moves memory and disks, writes progress.
 *     |          The guest arrives PAUSED: it does not run on the dest before
 *     | source   the record says that it is there (migration_arrive)
 *   POST_MIGRATING   server.node is the dest; its compute lets the guest run
 *     | dest
 *   COMPLETED
 *
 *   any of the first three -> CANCELLED (`abort`) or ERROR: the leader while
 *   QUEUED, else the source's compute, which alone knows that the guest has
 *   not left.  The dest then takes away what it has of it.  From
 *   POST_MIGRATING on there is no way back.
 *
 * Resize and cold migration:
 *
 *   QUEUED -> PREPARING (dest chosen) -> MIGRATING (guest off, disks on their
 *   way) -> POST_MIGRATING (server.node and flavor are the new ones) ->
 *   FINISHED (runs there; the server is RESIZED, the source keeps the disks)
 *   -> CONFIRMING -> CONFIRMED  |  REVERTING -> REVERTED;  any -> ERROR
 *
 * Evacuation: QUEUED -> PREPARING -> DONE | FAILED.
 *
 * Who writes what: type, requested_host, reason, flavors, `abort` and
 * `force_complete` whoever asks; dest the leader; dest_ready and arrival the
 * dest; progress and downtime the source.  As long as it is under way a node
 * that is not the server's holds its resources too (migration_holds); the
 * quota counts them once.
 */
#ifndef CAIRN_MODEL_MIGRATION_H
#define CAIRN_MODEL_MIGRATION_H

#include "model/compute.h"

enum migration_type {
    MIGRATION_LIVE,
    MIGRATION_COLD,
    MIGRATION_RESIZE,
    MIGRATION_EVACUATION,
};
extern const char *const migration_type_names[]; /* nova's */

enum migration_status {
    MIGRATION_QUEUED,
    MIGRATION_PREPARING,
    MIGRATION_RUNNING,
    MIGRATION_MIGRATING,
    MIGRATION_POST_MIGRATING,
    MIGRATION_FINISHED,
    MIGRATION_CONFIRMING,
    MIGRATION_REVERTING,
    /* under way up to here, ended from here on */
    MIGRATION_COMPLETED,
    MIGRATION_CANCELLED,
    MIGRATION_ERROR,
    MIGRATION_CONFIRMED,
    MIGRATION_REVERTED,
    MIGRATION_DONE,
    MIGRATION_FAILED,
};
extern const char *const migration_status_names[]; /* nova's */

/* What a server has of its flavor; strings and map are borrowed. */
struct server_flavor {
    const char *flavor_id, *flavor_name;
    int64_t vcpus, ram_mb, disk_gb, ephemeral_gb, swap_mb;
    struct map extra_specs;
};
/* A copy in the arena of a draft, e.g. of a migration. */
struct server_flavor flavor_kept(void *draft, const struct server_flavor *f);
/* Copies it into a draft. */
void server_set_flavor(struct server *draft, const struct server_flavor *f);

/* How the guest is reached and what it finds at the dest of a live move. */
struct arrival {
    const char *address;      /* of its libvirt and of the memory's stream */
    const char *vnc_listen;   /* address of its console */
    const char *config_drive; /* file; NULL: it has none */
    const char *serial_log;   /* file */
};

struct migration {
    struct record rec; /* UUID */
    int64_t number;    /* nova's integer id */
    const char *server_id;
    const char *project_id, *user_id; /* of who asked */
    int type;                         /* enum migration_type */
    int status;                       /* enum migration_status */
    const char *source;               /* node */
    const char *dest;                 /* NULL: not chosen */
    const char *dest_zone;            /* availability zone of it */
    const char *requested_host;       /* NULL: any */
    const char *reason;               /* "drain of node h1"; NULL: asked for */
    bool abort, force_complete;
    bool dest_ready;
    bool unattended; /* a cold one that nobody is asked to confirm */
    /* What the other node, the one that is not the server's, has for it: as
     * server.cells and server.devices. */
    struct list cells, devices;
    struct arrival arrival;
    struct server_flavor old_flavor, new_flavor; /* of a resize */
    int64_t old_disks, new_disks;                /* generations; resize.h */
    /* Bytes.  Of the memory it is what was and will be sent: a page that the
     * guest changes meanwhile is sent again. */
    int64_t memory_total, memory_processed, memory_remaining;
    int64_t disk_total, disk_processed, disk_remaining;
    int64_t downtime_ms; /* as the hypervisor tells it; 0: not known */
    const char *fault;
    int64_t created, updated, ended;
};

static inline bool migration_under_way(const struct migration *m)
{
    return m->status < MIGRATION_COMPLETED;
}

/* The migration of a server that is under way, or NULL. */
const struct migration *server_migration(const struct snapshot *s,
                                         const struct server *server);

/* A node that holds resources for the server beside server->node, and what
 * it holds; NULL: none does.  They are the same node when a server is resized
 * where it is. */
const char *migration_holds(const struct migration *m,
                            const struct server *server,
                            struct server_flavor *what);

static inline bool migration_is_cold(const struct migration *m)
{
    return m->type == MIGRATION_COLD || m->type == MIGRATION_RESIZE;
}

/* Could it be moved while it runs, as far as its own record tells? */
static inline bool migration_may_begin(const struct server *s)
{
    return s->node && !s->migration_id && s->goal != GOAL_DELETED &&
           s->task_state == TASK_NONE &&
           (s->vm_state == VM_ACTIVE || s->vm_state == VM_PAUSED);
}

/* ... and while it is off? */
static inline bool migration_may_begin_cold(const struct server *s)
{
    return s->node && !s->migration_id && s->goal == GOAL_STOPPED &&
           s->task_state == TASK_NONE && s->vm_state == VM_STOPPED;
}

/* Begins a move: a draft with status QUEUED and the next number, for the
 * caller to fill in and to put with txn_change_record; `server` is a draft
 * too and gets migration_id and the type's first task.  `id` is a new UUID.
 * Both flavors are the server's until the caller
 * gives a new one.  NULL and CONFLICT: one is under way, its disks are not
 * made yet, it has a volume on its node's own disk (but for a resize, which may
 * stay there), or a live one is asked for and the guest has devices of its
 * node. */
struct migration *migration_begin(struct txn *t, const struct snapshot *s,
                                  struct server *server, const char *id,
                                  enum migration_type type, int64_t now,
                                  struct error *err);

/* The record of a disk at the dest, while `disk_id` is at the source. */
char *migration_disk_id(char out[STORE_KEY_MAX], const struct migration *m,
                        const char *disk_id);

/* Adds to `t` the dest of a move: PREPARING, and of a live one a record for
 * each local disk to be made there and the ports' second node.  `m` is a draft
 * whose dest is set; the caller puts it. */
void migration_place(struct txn *t, const struct snapshot *s,
                     struct migration *m, const struct server *server,
                     int64_t now);

/* Ports and attachments are of that node from now on. */
void migration_bind(struct txn *t, const struct snapshot *s,
                    const struct server *server, const char *node, int64_t now);

/* Cells and devices of a server that is placed, or of the other end of its
 * move, change places: part of migration_arrive; whoever takes a server back
 * calls it too. */
void migration_swap_places(struct migration *m, struct server *server);

/* Adds to `t` that the guest is at the dest: the server's node, its disks
 * (the source's become LEAVING; after a resize they are kept), its ports;
 * POST_MIGRATING.  Both are drafts that the caller puts. */
void migration_arrive(struct txn *t, const struct snapshot *s,
                      struct migration *m, struct server *server, int64_t now);

/* Adds to `t` the end of a move with one of the statuses that mean it: the
 * server (a draft, NULL: it is gone) has none under way and no task any more,
 * and what was made for it at a dest where it has not arrived goes.  The
 * caller puts both drafts. */
void migration_end(struct txn *t, const struct snapshot *s, struct migration *m,
                   struct server *server, enum migration_status status,
                   const char *fault, int64_t now);

/* The same with the server itself: part of server_release. */
void migration_forget(struct txn *t, const struct snapshot *s,
                      const struct server *server, int64_t now);

#endif
