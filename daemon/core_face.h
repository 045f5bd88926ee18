/*
 * core_face - what the core has of its face: the runner, what the face may
 * call, what is pushed to it.
 *
 * Guests' metadata sockets and a renewed certificate come from other threads
 * whenever they come; they go to the face that runs, or to none.
 *
 * Ownership: the struct is the caller's, all it names is borrowed.  Threads:
 * started and stopped by one; the pushes from any, before, between and after
 * as well.
 */
#ifndef CAIRN_DAEMON_CORE_FACE_H
#define CAIRN_DAEMON_CORE_FACE_H

#include "daemon/broker.h"
#include "daemon/face_runner.h"
#include "daemon/place.h"
#include "network/ovn.h"
#include "rest-api/pki.h"
#include "storage/storage_reconcile.h"

#include <pthread.h>

struct core_face_config {
    const struct place *place;
    const struct pki *pki;
    struct broker broker;
    struct metadata *metadata; /* NULL: none for guests */
    struct storage *storage;
};

struct core_face {
    struct core_face_config config;
    pthread_mutex_t lock; /* runner */
    struct face_runner *runner;
};

#define CORE_FACE_INIT                                                         \
    {                                                                          \
        .lock = PTHREAD_MUTEX_INITIALIZER                                      \
    }

bool core_face_start(struct core_face *f, const struct core_face_config *config,
                     struct error *err);
/* Every later face shows it too. */
void core_face_certificate(struct core_face *f, const struct pki *pki);
/* A network's socket for metadata goes to the face, and is closed here; -1:
 * it is gone.  A metadata_config's listener; `arg` is a struct core_face. */
void core_face_listener(void *arg, const char *network_id, int fd);
void core_face_stop(struct core_face *f); /* without a start, fine */

#endif
