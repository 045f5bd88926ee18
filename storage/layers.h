/*
 * layers - files that stand on each other, on one node's file system.
 *
 *   <dir>/uploads/<upload id>       bytes from outside, not yet looked at
 *         images/<blob>             immutable, qcow2 or raw
 *         disks/<server id>.qcow2   overlay on an image
 *         volumes/<id>.qcow2        a volume's head: the one file written to
 *         heads/                    which file that is else (heads.h)
 *         snapshots/<id>.qcow2      immutable
 *         base/<generation>         what the overlay of that generation
 *                                   stands on
 *         tmp/  root/               unfinished files; sandboxes' roots
 *
 * Every overlay has a generation, a random name, and its backing file is
 * "../base/<generation>": a hard link of its own to the inode below.  So no
 * file is ever missing under another, whoever deletes an image or a snapshot
 * by name: the file system counts the references, and they survive any
 * crash.  The link is made before the overlay and goes after it; what a
 * crash leaves between is a link without an overlay, which layers_tidy
 * removes.  (All directories lie side by side, so a backing name holds from
 * whichever of its names a file is opened.)
 *
 * Files appear under their final names by rename, complete and synced.
 *
 * Threads: any; `links` is held over a few system calls, where a link is
 * made or the last one might go.  layers_enter/leave count the operations
 * under way, for tidy to run only when there is none.
 */
#ifndef CAIRN_STORAGE_LAYERS_H
#define CAIRN_STORAGE_LAYERS_H

#include "common/env.h"
#include "common/error.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum place {
    PLACE_UPLOADS,
    PLACE_IMAGES,
    PLACE_DISKS,
    PLACE_VOLUMES,
    PLACE_SNAPSHOTS,
    PLACE_BASE,
    PLACE_HEADS,
    PLACE_TMP,
    PLACE_ROOT,
    N_PLACES
};

/* Overlays on overlays; the next one is made a whole copy instead. */
#define LAYERS_DEPTH_MAX 32
#define GENERATION_SIZE  33

struct layers {
    const struct env *env;
    const char *qemu_img; /* absolute path */
    char *dir;            /* absolute path */
    uid_t owner;          /* of disks and volumes: the hypervisor's user */
    gid_t group;          /* may read images, snapshots and bases */
    pthread_mutex_t links;
    pthread_rwlock_t busy;
    void (*crash_point)(void *arg, const char *name); /* tests; or NULL */
    void *crash_arg;
};

bool layers_init(struct layers *l, const struct env *env, const char *dir,
                 struct error *err);
void layers_destroy(struct layers *l);
void layers_enter(struct layers *l);
void layers_leave(struct layers *l);
void layers_point(struct layers *l, const char *name); /* may not return */

/* "<dir>/<place>/<name><suffix>"; the caller frees. */
char *layers_path(const struct layers *l, enum place place, const char *name,
                  const char *suffix);
bool layers_exists(const char *path);
bool layers_sync(const struct layers *l, enum place place, struct error *err);

/* Runs qemu-img with the words (up to NULL) on our own files; its failure
 * becomes `err` (NO_SPACE, CONFLICT when a guest has the file, INTERNAL). */
bool layers_qemu_img(struct layers *l, struct error *err, const char *word, ...)
    __attribute__((sentinel));
/* Error of a qemu-img that has said `text` on standard error. */
bool layers_qemu_error(const char *text, enum error_code otherwise,
                       struct error *err);

/* Virtual size of a qcow2 file of ours. */
bool layers_size(const char *path, int64_t *size, struct error *err);

/* Gives a file its owner (`frozen`: read-only, the group's) and syncs it. */
bool layers_finish(struct layers *l, const char *path, bool frozen,
                   struct error *err);

/* A new qcow2 of `size` bytes in tmp, named by the returned generation, on
 * top of the file `under` (of qemu's `driver`), or empty when NULL. */
bool layers_new(struct layers *l, const char *under, const char *driver,
                int64_t size, char gen[GENERATION_SIZE], struct error *err);
/* Moves tmp/<name> to its place, replacing what is there.  When it cannot
 * be moved it is abandoned. */
bool layers_publish(struct layers *l, const char *name, enum place place,
                    const char *path, struct error *err);
/* Removes tmp/<gen> and what it stands on: made, but not published. */
void layers_abandon(struct layers *l, const char *gen);

/* Keeps guests from writing to a file of ours, until the descriptor is closed;
 * CONFLICT when one does, NOT_FOUND.  -1 on failure. */
int layers_guard(const char *path, struct error *err);
/* The file that an overlay stands on, or NULL; the caller frees. */
char *layers_base(const struct layers *l, const char *path);
/* A file that came from another node stands on base/<gen> from now on; NULL:
 * it must stand on nothing.  INVALID: it is not as we make them. */
bool layers_rebase(int fd, const char *gen, struct error *err);
/* How many overlays stand on each other; a raw file is none. */
int layers_depth(const struct layers *l, const char *path);

/* Makes the content of a volume's head immutable: it goes on as
 * base/<gen> (frozen), and a new head on top of it is put in its place.
 * CONFLICT when a guest writes to it. */
bool layers_freeze(struct layers *l, enum place place, const char *head,
                   char **frozen, struct error *err);
/* Another name for an immutable file. */
bool layers_link(struct layers *l, const char *from, enum place place,
                 const char *path, struct error *err);
/* Removes base/<gen> (as from layers_freeze) when no overlay needs it. */
void layers_release(struct layers *l, const char *frozen, const char *head);

/* Removes a name, and below it what nobody holds any more.  One that is
 * gone already is no error. */
bool layers_drop(struct layers *l, const char *path, struct error *err);
/* Calls fn for each file of a place; its false ends the walk and is
 * returned. */
typedef bool layers_fn(struct layers *l, void *arg, enum place place,
                       const char *name, struct error *err);
bool layers_each(struct layers *l, enum place place, layers_fn *fn, void *arg,
                 struct error *err);
/* Removes what crashes have left; nothing when operations are under way. */
bool layers_tidy(struct layers *l, struct error *err);

#endif
