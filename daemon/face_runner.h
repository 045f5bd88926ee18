/*
 * face_runner - keeps a face running: the privileged side of face.h.
 *
 * Starts it, serves the store to it, and starts it again at once when it
 * dies, for whatever reason (with growing pauses when it dies again and
 * again).  The listening socket stays open here meanwhile, so that clients
 * who come in between wait in its queue instead of being refused.
 *
 * Threads: one of its own; calls from any thread.
 */
#ifndef CAIRN_DAEMON_FACE_RUNNER_H
#define CAIRN_DAEMON_FACE_RUNNER_H

#include "common/env.h"
#include "daemon/face.h"
#include "state/remote.h"

struct face_runner;

struct face_runner_config {
    const struct env *env;
    struct store *store;
    int listen_fd;                    /* borrowed */
    struct face_settings settings;    /* strings are borrowed */
    store_call_fn *call;              /* what the face may ask for */
    const struct store_right *rights; /* .. and write */
    void (*started)(void *arg);       /* push what it must have */
    void (*ended)(void *arg);         /* clean up behind it; before the next */
    void *arg;
};

struct face_runner *face_runner_start(const struct face_runner_config *config,
                                      struct error *err);
/* Gives a descriptor (which stays the caller's) to the face that runs; none:
 * false. */
bool face_runner_push(struct face_runner *r, const char *name, const char *json,
                      int fd);
/* This and every later face shows that certificate; both are copied. */
void face_runner_certificate(struct face_runner *r, const char *cert,
                             const char *key);
/* Ends the face in order, then the runner.  NULL is fine. */
void face_runner_stop(struct face_runner *r);

#endif
