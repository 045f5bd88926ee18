/*
 * server_actions - POST /servers/{id}/action: what its files share.
 *
 * server_actions.c dispatches; the larger actions have files of their own
 * (server_rebuild.c, server_snapshot.c ...).  An action checks, changes the
 * server's record and what belongs to it in the request's transaction, and
 * answers; whoever is responsible carries it out.
 */
#ifndef CAIRN_OPENSTACK_COMPAT_COMPUTE_SERVER_ACTIONS_H
#define CAIRN_OPENSTACK_COMPAT_COMPUTE_SERVER_ACTIONS_H

#include "openstack-compat/compute/nova.h"

#define IN(state) (1u << (state)) /* of vm_states */

typedef enum outcome action_fn(struct req *r, const struct server *s,
                               const json_t *arg);
action_fn action_rebuild;

/* False and 409 unless the server is unlocked, has no task, is in one of the
 * vm_states `from` and has been placed. */
bool action_may_start(struct req *r, const struct server *s, unsigned from,
                      const char *action);

#endif
