/*
 * reach - does this node reach most of its pool?
 *
 * Asked when its lease does not hold (compute/quarantine.h): who reaches
 * most of the members is not cut off, whatever else is wrong.  A member is
 * reached when its machine takes a TCP connection on the peer port; nothing
 * is sent.  All are tried at once.
 */
#ifndef CAIRN_DAEMON_REACH_H
#define CAIRN_DAEMON_REACH_H

#include "state/cache.h"

#include <stdbool.h>

#define REACH_MS 700

/* More than half of the members, `node` itself counted; blocks for REACH_MS
 * at most. */
bool reach_most(struct cache *cache, const char *node, int port);

#endif
