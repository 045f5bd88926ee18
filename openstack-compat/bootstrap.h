/*
 * bootstrap - the first content of a pool, and its catalogue ever after.
 *
 * The first call writes everything in ONE transaction: the pool record,
 * domain "default", roles and what they imply, the projects and users admin
 * and demo, the services and endpoints of this build, flavors, the volume
 * type "local", the external network, the projects' default security groups
 * and the first token key.  Later calls only bring the catalogue up to date:
 * services that this build answers for and that are missing are added, and
 * endpoints at the old public URL move to the new one.
 *
 * Blocking (passwords are hashed, the commit awaited): for the daemon's
 * start, before it answers requests.
 */
#ifndef CAIRN_OPENSTACK_COMPAT_BOOTSTRAP_H
#define CAIRN_OPENSTACK_COMPAT_BOOTSTRAP_H

#include "common/env.h"
#include "model/pool.h"

struct bootstrap_opts {
    const struct env *env;
    const char *pool_name;  /* NULL: "cairn" */
    const char *region;     /* NULL: "RegionOne" */
    const char *public_url; /* "https://192.0.2.1": no path, no final '/' */
    const char *admin_password;
    const char *demo_password; /* NULL: no project and user demo */
    unsigned password_cost;    /* scrypt's N; 0: PASSWORD_COST */
    bool replicated; /* volumes are in a storage that the nodes share */

    /* The network "public"; NULL cidr: none. */
    const char *external_cidr;
    const char *external_gateway;
    const char *external_first, *external_last; /* pool; NULL: from cidr */
    const char *external_physnet;               /* NULL: "physnet1" */
};

/* `snap` must be no older than the call; on a CONFLICT (another node did it
 * at the same time) the call fails with ERR_CONFLICT: call it again. */
bool bootstrap(struct store *store, struct snapshot *snap,
               const struct bootstrap_opts *opts, struct error *err);

#endif
