/* scheduler_world - nodes and servers that want a place, for the tests of
 * placement and of the scheduler. */
#ifndef CAIRN_TESTS_SCHEDULER_WORLD_H
#define CAIRN_TESTS_SCHEDULER_WORLD_H

#include "server_world.h"

static inline void put_node(const char *name, int64_t vcpus, int64_t ram_mb,
                            int64_t disk_gb)
{
    struct node *n = record_new(&kind_node, name);
    n->vcpus = vcpus;
    n->ram_mb = ram_mb;
    n->disk_gb = disk_gb;
    n->cpu_overcommit = 2;
    n->ram_overcommit = 1;
    n->seen = world_time;
    world_put(n);
}

static inline struct node *edit_node(const char *name)
{
    return world_edit(&kind_node, name);
}

static inline struct server *new_server(const char *id)
{
    struct server *s = record_new(&kind_server, id);
    s->name = rec_str(s, id);
    s->project_id = rec_str(s, "p1");
    s->image_id = rec_str(s, "image");
    s->vcpus = 1;
    s->ram_mb = 1024;
    s->disk_gb = 10;
    return s;
}

static inline void put_placed(const char *id, const char *node,
                              const char *group)
{
    struct server *s = new_server(id);
    s->node = rec_str(s, node);
    s->server_group_id = rec_str(s, group);
    world_put(s);
}

static inline void put_group(const char *policy, int64_t most)
{
    struct server_group *g = record_new(&kind_server_group, "g");
    g->policy = rec_str(g, policy);
    g->max_server_per_host = most;
    world_put(g);
}

#endif
