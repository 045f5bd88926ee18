/*
 * first_content - what a new pool starts with, as the configuration says it.
 *
 * The rim of openstack-compat/bootstrap.h: reads the password files and
 * repeats what met a conflict.  Harmless when all is there already; then the
 * files may be gone.  A new pool needs the administrator's, and has no user
 * demo without the other.
 *
 * Threads: the caller's.
 */
#ifndef CAIRN_DAEMON_FIRST_CONTENT_H
#define CAIRN_DAEMON_FIRST_CONTENT_H

#include "daemon/config.h"
#include "state/cache.h"
#include "state/store.h"

#define FIRST_CONTENT_TRIES 5

/* `cache` follows `store`. */
bool first_content_make(const struct config *config, const char *public_url,
                        struct store *store, struct cache *cache,
                        const struct env *env, struct error *err);

#endif
