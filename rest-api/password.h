/*
 * password - scrypt, and a bounded queue for it.
 *
 * One hash costs a tenth of a second of a core and 32 MiB on purpose, so it
 * never runs where requests are served: it goes through a queue with few
 * threads of its own.  When the queue is full the answer is ERR_BUSY at
 * once: a flood of logins slows down logins and nothing else.
 *
 * Threads: all calls from any thread; call-backs come on the queue's threads.
 */
#ifndef CAIRN_REST_API_PASSWORD_H
#define CAIRN_REST_API_PASSWORD_H

#include "common/buf.h"
#include "common/env.h"
#include "common/error.h"

#include <stddef.h>

#define PASSWORD_COST      32768 /* scrypt's N: a power of two, 2 .. 2^20 */
#define PASSWORD_HASH_MAX  160   /* bytes of a hash's text, NUL included */
#define PASSWORD_MAX       4096  /* bytes of a password; longer: refused */
#define PASSWORD_QUEUE_MAX 64

/* "scrypt$N$8$1$salt$hash"; salt of 16 bytes from env.  False: the password
 * is too long (ERR_INVALID) or there is no memory. */
bool password_hash(const struct env *env, unsigned cost, const char *password,
                   char out[PASSWORD_HASH_MAX], struct error *err);
/* False: ERR_UNAUTHENTICATED when it is not the one.  `hash` NULL (no such
 * user, or it has none) costs the same time as a wrong one (made with
 * `cost`) and fails. */
bool password_verify(unsigned cost, const char *password, const char *hash,
                     struct error *err);

struct password_queue;
/* `text`: the new hash, or NULL (when it verified, or on failure: `err`). */
typedef void password_done_fn(void *arg, const char *text,
                              const struct error *err);

/* threads 0: half as many as the machine's cores, at least one. */
struct password_queue *password_queue_new(const struct env *env, unsigned cost,
                                          unsigned threads);
/* Waiting ones are answered with ERR_CANCELLED.  NULL is fine. */
void password_queue_free(struct password_queue *q);
/* False: full (ERR_BUSY), `done` is not called then.  Copies its strings. */
bool password_queue_verify(struct password_queue *q, const char *password,
                           const char *hash, password_done_fn *done, void *arg,
                           struct error *err);
bool password_queue_hash(struct password_queue *q, const char *password,
                         password_done_fn *done, void *arg, struct error *err);

#endif
