/* server_world - records, a clock and a hypervisor made of flags, for the
 * tests of compute. */
#ifndef CAIRN_TESTS_SERVER_WORLD_H
#define CAIRN_TESTS_SERVER_WORLD_H

#include "test.h"

#include "common/env.h"
#include "compute/hypervisor.h"
#include "model/compute.h"
#include "model/network.h"
#include "model/pool.h"
#include "model/volume.h"
#include "state/cache.h"

#include <stdio.h>
#include <string.h>

#define SERVER_ID "5f6d7a52-0000-4000-8000-000000000001"
#define DISK_PATH "/disks/root.qcow2"
#define VOLUME_ID "a0a0a0a0-0000-4000-8000-000000000001"
#define PORT_ID   "b0b0b0b0-0000-4000-8000-000000000001"
#define PORT2_ID  "b0b0b0b0-0000-4000-8000-000000000002"

static int64_t world_time = INT64_C(1760000000000000);
static int64_t world_now(void *self)
{
    return world_time;
}
static void world_random(void *self, void *out, size_t len)
{
    memset(out, 7, len);
}
static const struct env world_env = { NULL, world_now, world_now,
                                      world_random };

static struct store *world_store;
static struct cache *world_cache;

static inline void world_open(void)
{
    world_store = store_memory_open(&world_env);
    world_cache = cache_new(model_kinds, N_KINDS);
}

static inline void world_follow(void)
{
    struct error err;
    assert_true(cache_follow(world_cache, world_store, &err));
}

static inline void world_close(void)
{
    cache_unfollow(world_cache);
    cache_free(world_cache);
    store_close(world_store);
}

static inline void world_commit(struct txn *t)
{
    struct txn_result result;
    if (!store_commit(world_store, t, &result))
        fail_msg("commit: %d %s", result.status, result.err.text);
}

/* Stores a draft (whatever was there before) and drops it. */
static inline void world_put(void *draft)
{
    struct txn t = TXN_INIT;
    txn_put_record(&t, draft);
    world_commit(&t);
    record_unref(draft);
}

/* A draft copy of what is stored, for world_put. */
static inline void *world_edit(const struct kind *kind, const char *id)
{
    _autosnap_ struct snapshot *s = cache_snapshot(world_cache);
    const void *r = snap_get(s, kind, id);
    assert_non_null(r);
    return record_copy(r);
}

/* The stored record, owned by the caller, or NULL. */
static inline const void *world_get(const struct kind *kind, const char *id)
{
    _autosnap_ struct snapshot *s = cache_snapshot(world_cache);
    const void *r = snap_get(s, kind, id);
    return r ? record_ref(r) : NULL;
}

/* ---- records ----------------------------------------------------------- */

static inline struct server *a_server(void)
{
    struct server *s = record_new(&kind_server, SERVER_ID);
    s->name = rec_str(s, "web");
    s->hostname = rec_str(s, "web");
    s->project_id = rec_str(s, "p1");
    s->user_id = rec_str(s, "u1");
    s->flavor_name = rec_str(s, "m1.small");
    s->vcpus = 2;
    s->ram_mb = 512;
    s->image_id = rec_str(s, "c0c0c0c0-0000-4000-8000-000000000001");
    s->node = rec_str(s, "node1");
    s->zone = rec_str(s, "nova");
    s->created = world_time;
    return s;
}

static inline struct server_volume *with_volume(struct server *s,
                                                const char *device, int state)
{
    struct server_volume *v = list_add(s, &s->volumes, sizeof(*v));
    v->volume_id = rec_str(s, VOLUME_ID);
    v->attachment_id = rec_str(s, "att1");
    v->device = device ? rec_str(s, device) : NULL;
    v->state = state;
    return v;
}

static inline struct server_port *with_port(struct server *s, const char *id,
                                            int state)
{
    struct server_port *p = list_add(s, &s->ports, sizeof(*p));
    p->port_id = rec_str(s, id);
    p->state = state;
    return p;
}

static inline struct disk *a_disk(int state)
{
    struct disk *d = record_new(&kind_disk, SERVER_ID);
    d->server_id = rec_str(d, SERVER_ID);
    d->node = rec_str(d, "node1");
    d->state = state;
    d->path = state == DISK_READY ? rec_str(d, DISK_PATH) : NULL;
    return d;
}

static inline struct volume *a_volume(int status)
{
    struct volume *v = record_new(&kind_volume, VOLUME_ID);
    v->project_id = rec_str(v, "p1");
    v->size_gb = v->real_size_gb = 1;
    v->status = status;
    v->node = rec_str(v, "node1");
    v->path = status == VOLUME_CREATING ? NULL : rec_str(v, "/disks/v.qcow2");
    return v;
}

static inline struct port *a_port(const char *id, const char *mac,
                                  const char *ip)
{
    struct port *p = record_new(&kind_port, id);
    p->project_id = rec_str(p, "p1");
    p->network_id = rec_str(p, "net1");
    p->mac_address = rec_str(p, mac);
    p->device_id = rec_str(p, SERVER_ID);
    p->device_owner = rec_str(p, "compute:nova");
    p->node = rec_str(p, "node1");
    struct fixed_ip *f = list_add(p, &p->fixed_ips, sizeof(*f));
    f->subnet_id = rec_str(p, "sub1");
    f->ip_address = rec_str(p, ip);
    return p;
}

#endif
