/*
 * grants - what assignments come to once groups, inheritance and implied
 * roles are followed.
 *
 * An assignment gives an actor (user or group) a role on a target (project,
 * domain, system).  An inherited one of a domain holds on each project of
 * it, of a project on each project below it, and not on the target itself.
 * Pure functions of a snapshot; any thread.
 */
#ifndef CAIRN_OPENSTACK_COMPAT_IDENTITY_GRANTS_H
#define CAIRN_OPENSTACK_COMPAT_IDENTITY_GRANTS_H

#include "model/identity.h"

/* Ids are borrowed from the snapshot. */
struct grant {
    const struct assignment *from;
    const char *user_id;  /* NULL: a group has it (only when not expanded) */
    const char *group_id; /* the group has it, or the user by this group */
    int target_type;      /* enum target_type */
    const char *target_id;
    const char *role_id;
    const char *prior_id; /* role that implied this one; NULL: given itself */
    bool by_inheritance;  /* the target is below from->target_id */
};

typedef bool grant_fn(void *arg, const struct grant *g); /* false: enough */

/* Each effective grant of the pool, or of one user (user_id not NULL). */
void grants_each(const struct snapshot *s, const char *user_id, grant_fn *fn,
                 void *arg);

/* Has the user, itself or by a group, any role there? */
bool grants_any(const struct snapshot *s, const char *user_id, int target_type,
                const char *target_id);
bool group_has_user(const struct snapshot *s, const char *group_id,
                    const char *user_id);
/* Is `below` a project somewhere under project `above` (not itself)? */
bool project_is_below(const struct snapshot *s, const char *above,
                      const struct project *below);

/* Follows the implied roles; `role_id` itself comes first, prior NULL. */
typedef bool implied_fn(void *arg, const char *role_id, const char *prior_id);
bool roles_implied(const struct snapshot *s, const char *role_id,
                   implied_fn *fn, void *arg);

#endif
