/*
 * store - keys, values and one revision counter.
 *
 * Every change goes through txn: a list of compares and a list of writes.
 * If all compares hold, all writes happen at one new revision; else nothing.
 * Revisions grow by one per committed transaction that writes.  Three
 * drivers stand behind this table (memory, SQLite, etcd: store_etcd.h)
 * and a fourth carries the same calls over a socket from the unprivileged
 * face (remote.h); tests/unit/store_suite.h runs against all.
 *
 * A txn that changes nothing (compares only, deletes of absent keys) commits
 * at the current revision and makes no new one: a watch of prefix "" from
 * now on hears of every revision.
 *
 * Outcomes of a txn: COMMITTED (at a revision, durable), CONFLICT (a compare
 * failed; nothing changed), FAILED (nothing changed, see the error), UNKNOWN
 * (the answer got lost: read again before acting).
 *
 * Watch: every change under a prefix from a revision on, in revision order,
 * all changes of one revision in one call.  A watch that cannot be served
 * from its revision ends with COMPACTED, one that fell behind or was cut
 * off with LOST: range again, then watch from the range's revision + 1.  An
 * ended watch still wants its store_unwatch.  Events may come before
 * store_watch has returned.
 *
 * Threads: all calls from any thread.  Call-backs come on a thread of the
 * driver (memory driver: on the caller's thread, inside the call, or on that
 * of another caller who is in it), one at a time, in revision order; they
 * must not block nor call the store synchronously (submit is fine).
 * A commit's call-back runs after the watch call-backs of its revision.
 */
#ifndef CAIRN_STATE_STORE_H
#define CAIRN_STATE_STORE_H

#include "common/cleanup.h"
#include "common/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STORE_KEY_MAX   512           /* bytes, with the final NUL */
#define STORE_VALUE_MAX (256 * 1024)  /* bytes */
#define STORE_TXN_MAX   (1024 * 1024) /* bytes of keys and values in one txn */
#define STORE_LEASE_MIN 3             /* seconds */
/* Compares + writes in one txn; the pool's etcd is started with the same. */
#define STORE_OPS_MAX 1024

struct store;
struct watch;

/* ---- transactions ------------------------------------------------------ */

enum compare_type {
    COMPARE_MOD,    /* mod revision equals `rev` */
    COMPARE_ABSENT, /* no such key */
    COMPARE_EXISTS,
};

struct compare {
    char *key;
    enum compare_type type;
    int64_t rev; /* COMPARE_MOD */
};

struct write {
    char *key;
    void *value; /* NULL = delete (of an absent key: no effect, no event) */
    size_t len;
    int64_t lease; /* 0 = none; the key goes when the lease ends */
};

/* A transaction under construction; owns copies of all it is given.  Broken
 * limits are remembered and make the submit FAIL, so that builders need not
 * check.  Writing one key twice keeps the last; a compare given twice for
 * one key must agree with the first or the txn FAILs with CONFLICT. */
struct txn {
    struct compare *compares;
    size_t n_compares;
    struct write *writes;
    size_t n_writes;
    size_t bytes; /* of keys and values */
    struct error err;
};

#define TXN_INIT ((struct txn){ 0 })
void txn_reset(struct txn *t); /* frees all, leaves it empty */
static inline void txn_cleanup(struct txn *t)
{
    txn_reset(t);
}
#define _autotxn_ _cleanup_(txn_cleanup)
void txn_expect(struct txn *t, const char *key, int64_t mod_rev);
void txn_absent(struct txn *t, const char *key);
void txn_exists(struct txn *t, const char *key);
void txn_put(struct txn *t, const char *key, const void *value, size_t len);
void txn_put_lease(struct txn *t, const char *key, const void *value,
                   size_t len, int64_t lease);
void txn_delete(struct txn *t, const char *key);
bool txn_empty(const struct txn *t); /* neither compares nor writes */

/* The same in terms of records (record.h).  Key = "<kind>/<id>". */
void txn_put_record(struct txn *t, const void *record);
/* put with a compare: create_rev == 0 -> absent, else mod_rev unchanged. */
void txn_change_record(struct txn *t, const void *record);
void txn_expect_record(struct txn *t, const void *record); /* unchanged */
/* Writes the record as it is, unless the txn writes it anyway: for whoever
 * makes something refer to it.  An expect alone is not enough: somebody who
 * deletes the record has looked before that no one refers to it, and must
 * now look again. */
void txn_touch_record(struct txn *t, const void *record);
/* delete with a compare on the record's mod_rev. */
void txn_delete_record(struct txn *t, const void *record);
char *record_key(const void *record, char out[STORE_KEY_MAX]);

enum txn_status { TXN_COMMITTED, TXN_CONFLICT, TXN_FAILED, TXN_UNKNOWN };

struct txn_result {
    enum txn_status status;
    int64_t revision; /* COMMITTED: of this txn; CONFLICT: current */
    struct error err; /* set unless COMMITTED */
};
typedef void txn_done_fn(void *arg, const struct txn_result *result);

/* ---- the table a driver fills ------------------------------------------ */

struct kv {
    const char *key;
    const void *value; /* NULL in a delete event */
    size_t len;
    int64_t create_rev, mod_rev; /* delete event: mod_rev = its revision */
    int64_t lease;
};

/* Called for each key in order; false stops the range. */
typedef bool range_fn(void *arg, const struct kv *kv);

enum watch_what { WATCH_EVENTS, WATCH_COMPACTED, WATCH_LOST };
/* n changes of one revision; COMPACTED and LOST end the watch (n = 0). */
typedef void watch_fn(void *arg, enum watch_what what, int64_t revision,
                      const struct kv *events, size_t n);

struct store_ops {
    /* All keys that start with prefix, as of one revision (-> *revision). */
    bool (*range)(struct store *, const char *prefix, range_fn *, void *arg,
                  int64_t *revision, struct error *);
    void (*submit)(struct store *, struct txn *, txn_done_fn *, void *arg);
    struct watch *(*watch)(struct store *, const char *prefix, int64_t from,
                           watch_fn *, void *arg, struct error *);
    void (*unwatch)(struct store *, struct watch *);
    bool (*lease_grant)(struct store *, int64_t ttl_s, int64_t *lease,
                        struct error *);
    bool (*lease_keepalive)(struct store *, int64_t lease, struct error *);
    bool (*lease_revoke)(struct store *, int64_t lease, struct error *);
    bool (*compact)(struct store *, int64_t revision, struct error *);
    void (*close)(struct store *);
};

/* A driver's object starts with this. */
struct store {
    const struct store_ops *ops;
};

/* ---- calls ------------------------------------------------------------- */

bool store_range(struct store *s, const char *prefix, range_fn *fn, void *arg,
                 int64_t *revision, struct error *err);
/* Takes the content of *t (left empty).  `done` is called exactly once. */
void store_submit(struct store *s, struct txn *t, txn_done_fn *done, void *arg);
/* Submits and waits; not from a call-back.  True if COMMITTED. */
bool store_commit(struct store *s, struct txn *t, struct txn_result *result);
/* From revision `from` (0 = from now on).  After unwatch returns no
 * call-back runs any more; from within the watch's own call-back it is the
 * last one. */
struct watch *store_watch(struct store *s, const char *prefix, int64_t from,
                          watch_fn *fn, void *arg, struct error *err);
void store_unwatch(struct store *s, struct watch *w);
/* Lease: ttl in seconds, STORE_LEASE_MIN or more.  Expiry deletes its keys in
 * one txn. */
bool store_lease_grant(struct store *s, int64_t ttl_s, int64_t *lease,
                       struct error *err);
bool store_lease_keepalive(struct store *s, int64_t lease, struct error *err);
bool store_lease_revoke(struct store *s, int64_t lease, struct error *err);
/* Events up to `revision` can be replayed no more. */
bool store_compact(struct store *s, int64_t revision, struct error *err);
/* NULL is fine; outstanding txns finish, watches must have been ended. */
void store_close(struct store *s);

/* ---- for drivers ------------------------------------------------------- */

/* Does c hold for a key with that mod revision (0 = no such key)? */
bool compare_holds(const struct compare *c, int64_t mod_rev);
/* Results in one line. */
struct txn_result txn_committed(int64_t revision);
struct txn_result txn_conflict(const struct compare *c, int64_t revision);
struct txn_result txn_failed(enum txn_status status, const struct error *err);

/* ---- drivers ----------------------------------------------------------- */

struct env;
/* Volatile.  Call-backs come inside the calls, so that a simulation needs no
 * thread; `store_memory_tick` expires leases by env's clock.  The newest
 * STORE_MEMORY_LOG revisions are kept for watch replay. */
#define STORE_MEMORY_LOG 10000
struct store *store_memory_open(const struct env *env);
void store_memory_tick(struct store *s);

/* One SQLite file: WAL, synchronous FULL, one writer thread with group
 * commit, a log of changes for watch replay (compacted by age: the newest
 * 10,000 revisions are kept).  `path` is created with mode 0600. */
struct store *store_sqlite_open(const char *path, const struct env *env,
                                struct error *err);

#endif
