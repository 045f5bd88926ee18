/*
 * placement - which node a server or a volume goes to: pure.
 *
 * A function of (snapshot, server, now) to a node, without I/O, clock or
 * memory of its own; equal inputs choose the same node.  First what cannot
 * take the server is excluded, each node with one sentence that says why, in
 * numbers; of the others the one goes first that has the largest share of
 * its scarcest resource left afterwards (spread), then the first by name.
 *
 *   enabled, alive        node.disabled, node.seen
 *   zone, host            as the request names them
 *   volumes               local ones bind the server to their node
 *   vCPU, memory, disk    capacity times overcommit, less what is reserved,
 *                         less what the placed servers have
 *   server group          (anti-)affinity; the soft ones only prefer
 *
 * What is in use is counted from the servers with `node` set, deleted ones
 * included until they are gone.  Local disks of servers are counted in full;
 * volumes are thin and may be promised PLACEMENT_THIN times.
 *
 * The leader's scheduler (scheduler.h) calls this through a struct placer,
 * behind which a larger engine can stand.
 */
#ifndef CAIRN_ENGINE_PLACEMENT_H
#define CAIRN_ENGINE_PLACEMENT_H

#include "common/buf.h"
#include "common/env.h"
#include "model/compute.h"
#include "model/pool.h"
#include "model/volume.h"
#include "state/cache.h"

/* A node that has not said for so long that it lives takes nothing new. */
#define PLACEMENT_ALIVE_US (60 * SECOND_US)
/* Where the node's record leaves it open. */
#define PLACEMENT_CPU_OVERCOMMIT 16.0
#define PLACEMENT_RAM_OVERCOMMIT 1.0
#define PLACEMENT_THIN           20
#define PLACEMENT_ZONE           "nova" /* zone of nodes without one */

bool placement_alive(const struct node *node, int64_t now);
/* Availability zone: by aggregate, else the node's own, else "nova". */
const char *placement_zone(const struct snapshot *s, const struct node *node);

/* What is taken on a node.  Zeroed and filled by placement_used. */
struct placement_used {
    int64_t servers, vcpus, ram_mb, disk_gb, volumes_gb;
};
void placement_used(const struct snapshot *s, const char *node,
                    struct placement_used *out);

/* Chooses a node for a server that has none; `*node` is borrowed from the
 * snapshot.  `now` is wall clock, microseconds.  False:
 *   NOT_FOUND    no node can take it (one sentence, counts, no node names:
 *                tenants read it)
 *   UNAVAILABLE  one could, were it alive
 * `explanation` (may be NULL) gets a clause per excluded node: operators
 * read it. */
bool placement_choose(const struct snapshot *s, const struct server *server,
                      int64_t now, const char **node, struct buf *explanation,
                      struct error *err);
/* The same for a volume of its own; one made from a snapshot or another
 * volume goes to their node. */
bool placement_choose_volume(const struct snapshot *s,
                             const struct volume *volume, int64_t now,
                             const char **node, struct buf *explanation,
                             struct error *err);

struct placer {
    bool (*server)(const struct snapshot *, const struct server *, int64_t now,
                   const char **node, struct buf *explanation, struct error *);
    bool (*volume)(const struct snapshot *, const struct volume *, int64_t now,
                   const char **node, struct buf *explanation, struct error *);
};
extern const struct placer placement_simple;

/* The node that local storage binds a volume to: its own, or that of what
 * it is made from; NULL: none yet. */
const char *placement_volume_home(const struct snapshot *s,
                                  const struct volume *volume);

#endif
