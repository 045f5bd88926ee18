/*
 * names - who is called what: look-ups by name, and claims that keep names
 * single.
 *
 * A claim's id is "<what>/<domain id>/<name>"; a name too long for a key
 * stands in it as its SHA-256.  Look-ups read a snapshot only; any thread.
 */
#ifndef CAIRN_OPENSTACK_COMPAT_IDENTITY_NAMES_H
#define CAIRN_OPENSTACK_COMPAT_IDENTITY_NAMES_H

#include "model/identity.h"
#include "model/pool.h"

/* Takes the name for the record / gives it back. */
void name_take(struct txn *t, const void *record, const char *scope,
               const char *name);
void name_release(struct txn *t, const void *record, const char *scope,
                  const char *name);
/* Is it somebody's in this snapshot?  (The claim decides in the end.) */
bool name_taken(const struct snapshot *s, const char *what, const char *scope,
                const char *name);

/* NULL when there is none.  NULL arguments find nothing. */
const struct domain *domain_named(const struct snapshot *s, const char *name);
const struct user *user_named(const struct snapshot *s, const char *domain_id,
                              const char *name);
const struct project *project_named(const struct snapshot *s,
                                    const char *domain_id, const char *name);
/* A global role (one that belongs to no domain). */
const struct role *role_named(const struct snapshot *s, const char *name);

/* Up to 64 hex digits of SHA-256. */
void sha256_hex(const void *data, size_t len, char out[65]);

#endif
