/*
 * membership - what a node remembers of the pool it belongs to.
 *
 * One file, <state_dir>/pool.json: the pool's id and name, this node's own
 * id, and where other members were last seen.  A node without it belongs to
 * no pool: it founds one, or joins one (join.h).  The pool's CA, its key
 * and this node's certificate lie in <state_dir>/pki (rest-api/pki.h).
 *
 * A struct membership is its owner's; no threads.
 */
#ifndef CAIRN_DAEMON_MEMBERSHIP_H
#define CAIRN_DAEMON_MEMBERSHIP_H

#include "daemon/join.h"

struct membership {
    char pool_id[UUID_SIZE];
    char pool_name[JOIN_TEXT_MAX];
    char node_id[UUID_SIZE];
    bool founder; /* made the pool: first records and images are its */
    char members[JOIN_MEMBERS_MAX][JOIN_TEXT_MAX];
    size_t n_members;
};

/* False with err->code NONE: there is no file. */
bool membership_load(struct membership *m, const char *state_dir,
                     struct error *err);
bool membership_save(const struct membership *m, const char *state_dir,
                     struct error *err);
/* A new pool of this node alone; not saved. */
void membership_found(struct membership *m, const char *pool_name,
                      const struct env *env);
/* What a welcome says, with this node's id: CA, where the state is
 * (state/move.h), then the file. */
bool membership_accept(struct membership *m, const struct join_welcome *w,
                       const char *state_dir, struct error *err);

#endif
