/*
 * broker - what the face may ask the privileged side to do.
 *
 *   image.write   {"upload_id"}    a new file to write an upload to
 *   image.read    {"blob"}         an image's file
 *   console.read  {"id", "lines"}  the last lines of a server's console
 *                                  (-1: all), as UTF-8 text, not JSON; when
 *                                  the server is elsewhere, that node's word
 *   network.rebuild              OVN's northbound database is derived anew,
 *                                soon: by the node that leads, which is asked
 *
 * The face is not trusted: what it names is looked up here and never taken
 * for a path, and there is no call beyond these.
 *
 * Threads: any; calls block.
 */
#ifndef CAIRN_DAEMON_BROKER_H
#define CAIRN_DAEMON_BROKER_H

#include "common/buf.h"
#include "compute/hypervisor.h"
#include "network/net_reconcile.h"
#include "storage/volumes.h"

#define BROKER_CONSOLE_MAX (100 * 1024) /* bytes, as nova's */

/* Asks another node what only that can tell (peers_ask_node). */
typedef bool broker_ask_fn(void *arg, const char *node, const char *op,
                           const char *json, struct buf *out,
                           struct error *err);

struct broker {
    struct volumes *volumes;        /* NULL: none here */
    struct hypervisor *hypervisor;  /* NULL: none here */
    struct net_reconcile *networks; /* NULL: none here */
    struct store *store;
    struct cache *cache;
    const struct env *env;
    const char *node;   /* this one's name */
    broker_ask_fn *ask; /* NULL: there is no other */
    /* Who leads the pool; malloced, NULL: nobody.  Itself NULL: this node. */
    char *(*leader)(void *arg);
    void *arg;
};

bool broker_call(const struct broker *b, const char *op, const char *json,
                 struct buf *out, int *fd, struct error *err);

/* What another node asks: about what is here.  FORBIDDEN: not for it. */
bool broker_answer(const struct broker *b, const char *op, const char *json,
                   struct buf *out, struct error *err);

#endif
