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
action_fn action_migrate_live, action_evacuate;
action_fn action_rebuild, action_create_image, action_shelve,
    action_shelve_offload, action_unshelve, action_resize,
    action_confirm_resize, action_revert_resize, action_migrate;

/* False and 409 unless the server is unlocked, has no task, is in one of the
 * vm_states `from` and has been placed. */
bool action_may_start(struct req *r, const struct server *s, unsigned from,
                      const char *action);
/* The same of one that may have no node. */
bool action_state_ok(struct req *r, const struct server *s, unsigned from,
                     const char *action);

/* A draft of an image of the server, described as nova does (the caller's
 * project owns it), and its content: what the root disk is when the node's
 * storage comes to it.  False, CONFLICT: it cannot be taken now. */
struct image *server_image_new(struct req *r, const struct server *s,
                               const char *name);

#endif
