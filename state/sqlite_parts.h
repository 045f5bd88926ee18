/*
 * sqlite_parts - what the files of the SQLite driver share.
 *
 *     store_sqlite.c   the store's table, the queue and the writer's thread
 *     sqlite_batch.c   jobs become one SQLite transaction; leases
 *     sqlite_file.c    the file, its connections and statements
 *     sqlite_reserve.c room on the disk for when it is full
 *
 * The writer's connection, statements and revision belong to its thread,
 * those of the reader to who holds read_lock, all else to who holds lock.
 */
#ifndef CAIRN_STATE_SQLITE_PARTS_H
#define CAIRN_STATE_SQLITE_PARTS_H

#include "common/env.h"
#include "state/store.h"
#include "state/watchers.h"

#include <sqlite3.h>

#define LOG_SHIFT 20 /* a revision has less than a million changes */

/* ---- statements: prepared once ------------------------------------------ */

#define STATEMENTS(X)                                                          \
    X(BEGIN, "BEGIN IMMEDIATE")                                                \
    X(COMMIT, "COMMIT")                                                        \
    X(ROLLBACK, "ROLLBACK")                                                    \
    X(MOD_REV, "SELECT mod_rev FROM kv WHERE key=?1")                          \
    X(CREATE_REV, "SELECT create_rev FROM kv WHERE key=?1")                    \
    X(PUT, "INSERT INTO kv(key,value,create_rev,mod_rev,lease)"                \
           " VALUES(?1,?2,?3,?4,?5) ON CONFLICT(key) DO UPDATE SET"            \
           " value=?2,mod_rev=?4,lease=?5")                                    \
    X(DELETE, "DELETE FROM kv WHERE key=?1")                                   \
    X(LOG, "INSERT INTO log(id,key,value,create_rev,lease)"                    \
           " VALUES(?1,?2,?3,?4,?5)")                                          \
    X(REPLAY, "SELECT id,key,value,create_rev,lease FROM log"                  \
              " WHERE id>=?1 AND id<?2 ORDER BY id")                           \
    X(COMPACT, "DELETE FROM log WHERE id<?1")                                  \
    X(META, "UPDATE meta SET value=?2 WHERE name=?1")                          \
    X(GRANT, "INSERT INTO lease(ttl) VALUES(?1)")                              \
    X(LEASE_KEYS, "SELECT key FROM kv WHERE lease=?1 ORDER BY key")            \
    X(UNGRANT, "DELETE FROM lease WHERE id=?1")

enum statement {
#define X(name, sql) STMT_##name,
    STATEMENTS(X)
#undef X
        N_STATEMENTS
};

enum job_type { JOB_TXN, JOB_WATCH, JOB_GRANT, JOB_REVOKE, JOB_COMPACT };

struct job {
    struct job *next;
    enum job_type type;
    struct txn txn;    /* REVOKE: filled with its deletes by the writer */
    uint64_t watch;    /* WATCH: serial */
    int64_t number;    /* GRANT: ttl; REVOKE: lease; COMPACT: revision */
    txn_done_fn *done; /* may be NULL */
    void *arg;
    struct txn_result result; /* GRANT: revision is the lease */
    struct kv *events;        /* borrowed from txn */
    size_t n_events;
};

struct lease {
    struct lease *next;
    int64_t id, ttl_us, deadline;
    bool revoked; /* in the batch that is being written */
};

struct sqlite {
    struct store store;
    const struct env *env;
    struct watchers watchers;

    /* The writer's. */
    pthread_t writer;
    sqlite3 *db;
    sqlite3_stmt *statements[N_STATEMENTS];
    int64_t revision, compacted; /* with the batch that is being written */
    int reserve[2];              /* the database and its log */
    bool scarce;                 /* little is left: no new keys */

    pthread_mutex_t read_lock;
    sqlite3 *read_db;
    sqlite3_stmt *read_revision, *read_range;

    pthread_mutex_t lock; /* all below */
    pthread_cond_t wake;
    struct job *first, **last;
    struct lease *leases;
    int64_t told; /* revision up to which the watches have heard */
    bool stop;
};

/* ---- sqlite_file.c ----------------------------------------------------- */

/* Opens the file, made if it is not there, and reads revision and leases. */
bool sqlite_open_file(struct sqlite *s, const char *path, struct error *err);
void sqlite_close_file(struct sqlite *s);
/* Always false: what the connection's last error was. */
bool sqlite_failed(sqlite3 *db, struct error *err);
bool sqlite_full(struct error *err); /* always false, too */
sqlite3_stmt *sqlite_statement(struct sqlite *s, enum statement which);
/* Runs to the end; for statements without rows. */
bool sqlite_run(struct sqlite *s, enum statement which, struct error *err);
void sqlite_bind_key(sqlite3_stmt *st, int at, const char *key);
void sqlite_bind_value(sqlite3_stmt *st, int at, const void *value, size_t len);
/* The number that `which` finds for a key, 0 if none. */
bool sqlite_number_of(struct sqlite *s, enum statement which, const char *key,
                      int64_t *number, struct error *err);
bool sqlite_set_meta(struct sqlite *s, const char *name, int64_t value,
                     struct error *err);

/* ---- sqlite_reserve.c ---------------------------------------------------
 *
 * Disks get full of other things than records, and who wants to delete some
 * of those must write records.  So the database and its log hold blocks that
 * they will grow into.  When there is little left beside these no new keys
 * are made: keys are changed and deleted. */

/* When the connections are there. */
void sqlite_reserve_open(struct sqlite *s, const char *path);
/* Before each batch: blocks again, and whether they are scarce. */
void sqlite_reserve_keep(struct sqlite *s);
/* After the connections: who closes any descriptor of SQLite's files takes
 * SQLite's locks away. */
void sqlite_reserve_close(struct sqlite *s);

/* ---- sqlite_batch.c ---------------------------------------------------- */

/* All jobs in one SQLite transaction, and their results; *status says what a
 * failure means: then none of it has happened, or it is UNKNOWN. */
bool sqlite_write_batch(struct sqlite *s, struct job *jobs,
                        enum txn_status *status, struct error *err);
/* Under the lock; NULL when there is none that is not being revoked. */
struct lease *sqlite_lease_find(struct sqlite *s, int64_t id);
void sqlite_lease_add(struct sqlite *s, int64_t id, int64_t ttl_s);
/* After a batch: what was revoked goes, or after all stays. */
void sqlite_leases_settle(struct sqlite *s, bool committed);
/* Always false. */
bool sqlite_no_lease(struct error *err, int64_t id);

#endif
