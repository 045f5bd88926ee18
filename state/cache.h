/*
 * cache - every record of the store, in memory, as immutable snapshots.
 *
 * The cache follows one store: it ranges, then watches, and relists when the
 * watch is LOST or COMPACTED.  Readers take a snapshot: all records as of
 * one revision, consistent, for as long as they hold it.  Snapshots share
 * structure (persistent ordered maps, path-copying), so taking one costs two
 * atomic operations, readers never block the writer and the writer never
 * blocks readers.
 *
 * Order: within a kind by id; under an index key by id.
 *
 * Listeners hear of each changed record after the snapshot that holds it is
 * in place, on the thread that applied it; they must not block.  They hear
 * of all records when the cache begins to follow, and after a relist of what
 * has changed meanwhile (several changes of one record as one).
 *
 * Threads: any.  Changes come on the store's call-back thread; a thread of
 * the cache's own exists only once a watch was lost, to relist.
 *
 * A record that cannot be decoded is logged and treated as absent.
 */
#ifndef CAIRN_STATE_CACHE_H
#define CAIRN_STATE_CACHE_H

#include "state/pmap.h"
#include "state/record.h"
#include "state/store.h"

struct cache;
struct snapshot;

/* `kinds` has n entries, kinds[i]->number == i; static. */
struct cache *cache_new(const struct kind *const *kinds, size_t n);
/* NULL is fine.  Unfollowed, and all snapshots given back. */
void cache_free(struct cache *c);

/* Before cache_follow: no thread of the cache's own, whoever owns it calls
 * cache_relist now and then (the simulation). */
void cache_set_manual(struct cache *c);
/* Relists if the watch was lost; was it? */
bool cache_relist(struct cache *c);

/* Range and watch; returns when the first snapshot is complete. */
bool cache_follow(struct cache *c, struct store *s, struct error *err);
void cache_unfollow(struct cache *c);

/* `old` is NULL for a new record, `now` is NULL for a deleted one. */
typedef void cache_listener_fn(void *arg, const struct record *old,
                               const struct record *now);
/* Only before cache_follow. */
void cache_listen(struct cache *c, cache_listener_fn *fn, void *arg);

/* Calls fn(arg) once, as soon as the cache has reached `revision` (at once
 * if it has); from the applying thread.  cache_free forgets what waits. */
void cache_at(struct cache *c, int64_t revision, void (*fn)(void *), void *arg);
int64_t cache_revision(struct cache *c);

/* ---- snapshots --------------------------------------------------------- */

struct snapshot *cache_snapshot(struct cache *c); /* a reference */
struct snapshot *snapshot_ref(struct snapshot *s);
void snapshot_unref(struct snapshot *s); /* NULL is fine */
DEFINE_CLEANUP(struct snapshot *, snapshot_cleanup, snapshot_unref);
/* `_autosnap_ struct snapshot *s = cache_snapshot(c);` */
#define _autosnap_ _cleanup_(snapshot_cleanup)
int64_t snapshot_revision(const struct snapshot *s);

/* The record, borrowed from the snapshot, or NULL.  A NULL id finds none. */
const void *snap_get(const struct snapshot *s, const struct kind *kind,
                     const char *id);
size_t snap_count(const struct snapshot *s, const struct kind *kind);
/* A revision at which the records of a kind were what they are in `s`, and
 * since when none of them has changed: between two snapshots of one cache an
 * equal answer means equal records. */
int64_t snap_changed(const struct snapshot *s, const struct kind *kind);

/* Calls fn for each record of a kind in which two snapshots of one cache
 * differ, in order of the ids: `old` as `from` has it or NULL, `now` as `to`
 * has it or NULL; borrowed from them.  A NULL `from` has none.  The cost goes
 * by the number of changes, not of records. */
void snap_diff(const struct snapshot *from, const struct snapshot *to,
               const struct kind *kind, cache_listener_fn *fn, void *arg);

/* Walks in order; records are borrowed from the snapshot.
 *
 *     struct snap_iter it = snap_all(s, &kind_server);
 *     struct snap_iter it = snap_by(s, &kind_port, "device_id", server_id);
 *     for (const struct port *p; (p = snap_next(&it));) ...
 *
 * The walk needs no clean-up and may be left at any time.  snap_by wants a
 * path that the kind has an index for (it aborts otherwise: a bug). */
struct snap_iter {
    struct pmap_iter it;
    const char *key; /* index key all entries must have; NULL = all */
};
struct snap_iter snap_all(const struct snapshot *s, const struct kind *kind);
/* From the first id after `after` on (NULL: from the start). */
struct snap_iter snap_all_after(const struct snapshot *s,
                                const struct kind *kind, const char *after);
struct snap_iter snap_by(const struct snapshot *s, const struct kind *kind,
                         const char *path, const char *key);
const void *snap_next(struct snap_iter *it);
/* The first of snap_by, or NULL: for unique keys (user by name ...). */
const void *snap_find(const struct snapshot *s, const struct kind *kind,
                      const char *path, const char *key);

#endif
