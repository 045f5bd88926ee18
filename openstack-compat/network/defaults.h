/*
 * defaults - the security group every project has from its first day.
 *
 * Neutron makes a project's group "default" when the project is first seen.
 * Here it is made together with the project (identity, bootstrap), so that
 * no read ever has to write.  A claim "default_security_group/<project>"
 * keeps it single.  Pure functions of a snapshot; any thread.
 */
#ifndef CAIRN_OPENSTACK_COMPAT_NETWORK_DEFAULTS_H
#define CAIRN_OPENSTACK_COMPAT_NETWORK_DEFAULTS_H

#include "common/env.h"
#include "model/network.h"
#include "model/pool.h"

/* What one default group counts for in the project's network usage. */
#define SECURITY_GROUP_DEFAULT_AMOUNTS                                         \
    { "security_group", 1 },                                                   \
    {                                                                          \
        "security_group_rule", 4                                               \
    }

/* The project's default group, or NULL if it has none. */
const struct security_group *
security_group_default_find(const struct snapshot *s, const char *project_id);

/* Adds group, rules, claim and usage.  Does nothing if the project has one.
 * Not in a transaction that charges the project's network usage already:
 * there use security_group_default_records and charge the amounts above. */
bool security_group_default(struct txn *t, const struct snapshot *s,
                            const struct env *env, const char *project_id,
                            struct error *err);
/* The records and the claim only. */
void security_group_default_records(struct txn *t, const struct env *env,
                                    const char *project_id);
/* Takes away group, rules and claim, usage untouched: the project goes. */
void security_group_default_remove(struct txn *t, const struct snapshot *s,
                                   const char *project_id);

#endif
