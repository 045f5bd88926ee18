/*
 * peer_ask - what a node asks another of its pool.
 *
 * Some things only one node can tell: what a guest's console says is where
 * the guest runs.  Everything else goes through the pool's state.  A question
 * is a connection of its own (peer_tls.h, PEER_NODE: both sides show the
 * pool's certificates) with one message each way:
 *
 *     -> {"op": "console.read", "in": {...}}
 *     <- {"text": "..."}  or  {"error": "NOT_FOUND", "reason": "..."}
 *
 * What is asked is answered by the node that is asked, and never passed on.
 * Both messages are bounded, and so is the time: a node that is silent costs
 * the asker some PEER_CONNECT_MS + 2 * PEER_ASK_S and is then UNAVAILABLE.
 *
 * Threads: any; calls block.
 */
#ifndef CAIRN_DAEMON_PEER_ASK_H
#define CAIRN_DAEMON_PEER_ASK_H

#include "daemon/peer_tls.h"

#define PEER_QUESTION_MAX 4096      /* bytes */
#define PEER_ANSWER_MAX   (1 << 20) /* bytes */

/* Does what is asked; `json` is the text of "in". */
typedef bool peer_answer_fn(void *arg, const char *op, const char *json,
                            struct buf *out, struct error *err);

/* Asks the node at `address`; `json` is an object.  The answer is appended to
 * `out`; else err is what the node said, or why it could not be asked. */
bool peer_ask(const char *address, int port, const struct pki *pki,
              const char *op, const char *json, struct buf *out,
              struct error *err);
/* The other side, on an accepted connection.  False: err says what was wrong
 * with the asker; a refusal by `fn` was sent and is none. */
bool peer_answer(struct peer *p, peer_answer_fn *fn, void *arg,
                 struct error *err);

#endif
