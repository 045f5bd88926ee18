/*
 * ovsdb - a connection to one OVSDB server (RFC 7047) that does not end.
 *
 * A struct ovsdb owns one thread, which owns the socket: it connects to a
 * unix socket, asks for a monitor of the chosen tables and columns, keeps
 * their rows as a replica in memory, answers the server's probes, and when
 * the connection breaks comes back with a growing pause and builds the
 * replica anew.  ovsdb_transact may be called from any thread but the
 * `changed` call-back; it waits with a deadline.  An answer that got lost is
 * ERR_UNKNOWN: wait for the replica and look.
 *
 * What a committed transaction changed is in the replica when
 * ovsdb_transact returns (the server sends the update before the reply).
 */
#ifndef CAIRN_NETWORK_OVSDB_H
#define CAIRN_NETWORK_OVSDB_H

#include "common/env.h"
#include "network/ovsdb_wire.h"

#include <stdint.h>

/* A server that is away for less is being started: nothing to warn of. */
#define OVSDB_PATIENCE_US (3 * SECOND_US)

struct ovsdb;

struct ovsdb_config {
    const char *socket;    /* path of the unix socket */
    const char *database;  /* "OVN_Northbound" */
    const json_t *monitor; /* {table: [column ...]}: what the replica has */
    const char *quiet;     /* a column whose changes alone do not count as a new
                            * version (static; NULL: none) */
    /* After each change of the replica and of the connection; from the
     * client's thread, no lock held, must not block.  May be NULL. */
    void (*changed)(void *arg);
    void *arg;
};

/* What the config points to is copied.  Never fails: the server may come
 * later. */
struct ovsdb *ovsdb_new(const struct ovsdb_config *config);
/* The same on a connected stream socket, once, without reconnecting: for
 * tests.  Takes the descriptor. */
struct ovsdb *ovsdb_new_fd(const struct ovsdb_config *config, int fd);
void ovsdb_free(struct ovsdb *db); /* NULL is fine; waiting calls fail */

/* Waits until the replica is in step; UNAVAILABLE when the time (in
 * microseconds, 0 = only look) is over. */
bool ovsdb_wait(struct ovsdb *db, int64_t timeout_us, struct error *err);

/* For how long the replica has not been in step, us; 0: it is. */
int64_t ovsdb_absent_us(struct ovsdb *db);

/* Runs `ops` (an array of operations, borrowed) as one transaction.  On
 * success *results (may be NULL) is the array of results, one an operation.
 * UNAVAILABLE: not connected, nothing was sent.  UNKNOWN: the connection
 * broke or the time was over, it may have happened.  Others as
 * ovsdb_reply_check: nothing happened. */
bool ovsdb_transact(struct ovsdb *db, json_t *ops, int64_t timeout_us,
                    json_t **results, struct error *err);

/* The replica, borrowed and unchanging until ovsdb_unlock, or NULL (and
 * nothing to unlock) while it is not in step.  Hold it shortly, do not call
 * ovsdb_transact meanwhile.  *version (may be NULL) grows
 * with each change that is not quiet. */
const json_t *ovsdb_lock(struct ovsdb *db, uint64_t *version);
void ovsdb_unlock(struct ovsdb *db);

struct ovsdb_stats {
    uint64_t connects, failures, updates, transactions;
};
struct ovsdb_stats ovsdb_stats(struct ovsdb *db);

#endif
