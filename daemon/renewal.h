/*
 * renewal - keeps a server's certificate fresh while the daemon runs.
 *
 * Looks every RENEWAL_PASS_US whether less than a third of its life is left
 * (rest-api/pki.h makes the new one then) and tells who shows it.  A failure
 * is logged and tried again; the old one is good for months still.
 *
 * Threads: that of its reconciler; `workers` is 1, or 0 for tests.
 */
#ifndef CAIRN_DAEMON_RENEWAL_H
#define CAIRN_DAEMON_RENEWAL_H

#include "common/env.h"
#include "rest-api/pki.h"
#include "state/reconcile.h"

#define RENEWAL_PASS_US (6 * 3600 * SECOND_US)

struct renewal;

/* pki_open, api_pki_open */
typedef bool renewal_open_fn(const char *dir, const char *const *names,
                             int64_t now, struct pki *out, struct error *err);

struct renewal_config {
    const struct env *env;
    renewal_open_fn *open;
    const char *whose;        /* for the log */
    const char *dir;          /* copied */
    const char *const *names; /* as for pki_open; copied */
    const char *cert;         /* the one that is shown now; copied */
    void (*changed)(void *arg, const struct pki *pki);
    void *arg;
    unsigned workers;
};

struct renewal *renewal_start(const struct renewal_config *config);
/* Looks now, e.g. because the files were changed. */
void renewal_look(struct renewal *r); /* NULL is fine */
struct reconciler *renewal_queue(struct renewal *r);
void renewal_stop(struct renewal *r); /* NULL is fine */

#endif
