/*
 * remote - a store on the other side of a socket.
 *
 * What strangers talk to (the face) holds no privilege and no store: it has
 * one connected stream socket to the privileged process, which serves the
 * real store on it.  store_remote_open gives the face an ordinary struct
 * store; store_server_new serves one connection.  Commits are pipelined;
 * watch events of a revision come before the commit's answer.
 *
 * Besides the store the same connection carries calls (a name and JSON there,
 * an error or JSON and perhaps an open file descriptor back) and descriptors
 * that the privileged side pushes.
 *
 * The server trusts nothing it reads: every length and count is bounded, a
 * malformed frame ends the connection, and more than it should hold for one
 * face is not accepted; what the face may write is a table.  When the
 * connection ends, the face's outstanding
 * txns are UNKNOWN, its watches LOST and its calls fail (ERR_UNKNOWN); what
 * it asks afterwards fails (ERR_UNAVAILABLE) without having been sent.
 *
 * Threads: the face has one of its own (all call-backs come on it); the
 * server a reader, a writer, one for ranges and leases, and REMOTE_CALLERS
 * for calls.  All functions may be called from any thread unless said.
 */
#ifndef CAIRN_STATE_REMOTE_H
#define CAIRN_STATE_REMOTE_H

#include "common/buf.h"
#include "state/rights.h"

#define REMOTE_CALLERS   4
#define REMOTE_OP_MAX    64         /* bytes of an op's name */
#define REMOTE_JSON_MAX  (1 << 20)  /* bytes of JSON to the server */
#define REMOTE_REPLY_MAX (16 << 20) /* bytes of JSON from it */

/* ---- the face ---------------------------------------------------------- */

struct remote_hooks {
    /* A pushed descriptor: the receiver's to close. */
    void (*fd)(void *arg, const char *name, const char *json, int fd);
    /* The connection ended (not for store_close); last call-back of all. */
    void (*lost)(void *arg);
    void *arg;
};

/* Takes fd over.  `hooks` is copied; it and each member may be NULL. */
struct store *store_remote_open(int fd, const struct remote_hooks *hooks);
/* Blocks; not from a call-back.  *fd_out is -1 if none came; it may be NULL.
 * json_in may be NULL; json_out too. */
bool store_remote_call(struct store *s, const char *op, const char *json_in,
                       struct buf *json_out, int *fd_out, struct error *err);

/* ---- the privileged side ------------------------------------------------ */

struct store_server;

/* Answers one call, on one of REMOTE_CALLERS threads.  *fd_out (-1 before) is
 * sent and closed by the server. */
typedef bool store_call_fn(void *arg, const char *op, const char *json_in,
                           struct buf *json_out, int *fd_out,
                           struct error *err);

struct store_server_hooks {
    store_call_fn *call; /* NULL: every call is ERR_NOT_IMPLEMENTED */
    /* What the face may write: a txn with anything else FAILS, FORBIDDEN, and
     * so do leases and compaction.  What it may not read it does not get.
     * NULL: everything.  Borrowed. */
    const struct store_right *rights;
    /* The face is gone; on the server's thread: free the server elsewhere. */
    void (*closed)(void *arg);
    void *arg;
};

/* Takes fd over.  `real` must outlive the server. */
struct store_server *store_server_new(struct store *real, int fd,
                                      const struct store_server_hooks *hooks);
/* Pushes a descriptor (which stays the caller's). */
bool store_server_send_fd(struct store_server *server, const char *name,
                          const char *json, int fd, struct error *err);
/* Cuts the connection, waits for txns and calls in flight.  NULL is fine. */
void store_server_free(struct store_server *server);

#endif
