/*
 * service_watch - tells a node's services who belongs to the pool.
 *
 * Follows the member records; OVN's databases are on those who joined first
 * (node_services.h).
 *
 * Threads: one of its own.
 */
#ifndef CAIRN_DAEMON_SERVICE_WATCH_H
#define CAIRN_DAEMON_SERVICE_WATCH_H

#include "daemon/node_services.h"
#include "state/cache.h"

struct service_watch;

/* Before cache_follow. */
struct service_watch *service_watch_new(struct cache *cache,
                                        struct node_services *services,
                                        const struct env *env);
/* After cache_follow: tells them for the first time. */
void service_watch_start(struct service_watch *w);
/* After cache_unfollow; NULL is fine. */
void service_watch_free(struct service_watch *w);

#endif
