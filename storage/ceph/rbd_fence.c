#include "storage/ceph/rbd_fence.h"

#include "common/alloc.h"
#include "common/cleanup.h"
#include "model/pool.h"
#include "storage/ceph/ceph.h"

#include <stdio.h>
#include <string.h>

#define CALL_US     (20 * SECOND_US)
#define YEARS_TEN   315360000 /* seconds */
#define ADDRESS_MAX 64

struct rbd_fence {
    struct fence base;
    char *conf, *client;
    struct cache *cache;
};

static struct ceph *connect_anew(const struct rbd_fence *f, struct error *err)
{
    const struct ceph_config config = { .conf = f->conf,
                                        .client = f->client,
                                        .timeout_us = CALL_US };
    return ceph_connect(&config, err);
}

static void disconnect(struct ceph **c)
{
    ceph_free(*c);
}
#define _autoceph_ _cleanup_(disconnect)

/* "172.25.0.4:0/0": all clients there, as the monitors write it. */
static bool address_of(const struct rbd_fence *f, const char *node,
                       char out[ADDRESS_MAX], struct error *err)
{
    _autosnap_ struct snapshot *snap = cache_snapshot(f->cache);
    const struct node *n = snap_get(snap, &kind_node, node);
    if (!n || !n->storage_address)
        return error_set(err, ERR_NOT_FOUND,
                         "node %s has no address in the storage network", node);
    snprintf(out, ADDRESS_MAX, "%.50s:0/0", n->storage_address);
    return true;
}

static json_t *blocklist(const char *what, const char *address)
{
    return json_pack("{ss ss ss}", "prefix", "osd blocklist", "blocklistop",
                     what, "addr", address);
}

/* "osd blocklist ls" of Ceph 16 writes two arrays one after the other, which
 * is no JSON; the whole map has them as an object by address. */
static bool read_list(struct ceph *c, json_t **map, struct error *err)
{
    return ceph_command(c, json_pack("{ss}", "prefix", "osd dump"), NULL, map,
                        err);
}

static bool is_listed(const json_t *map, const char *address)
{
    return json_object_get(json_object_get(map, "blocklist"), address) != NULL;
}

/* A node without OSDs is no error. */
static bool declare_osds_dead(struct ceph *c, const char *node,
                              struct error *err)
{
    size_t i;
    json_t *id, *ids = json_array();
    _autojson_ json_t *found = NULL;
    if (ceph_command(
            c, json_pack("{ss ss}", "prefix", "osd ls-tree", "name", node),
            NULL, &found, err))
        json_array_foreach(found, i, id) json_array_append_new(
            ids, json_sprintf("%d", (int)json_integer_value(id)));
    if (!json_array_size(ids)) {
        json_decref(ids);
        return err->code == ERR_NONE || err->code == ERR_NOT_FOUND;
    }
    return ceph_command(c,
                        json_pack("{ss so sb}", "prefix", "osd down", "ids",
                                  ids, "definitely_dead", 1),
                        NULL, NULL, err);
}

static bool fence_close(struct fence *base, const char *node, struct error *err)
{
    struct rbd_fence *f = container_of(base, struct rbd_fence, base);
    char address[ADDRESS_MAX];
    struct error late = { 0 };
    _autojson_ json_t *map = NULL;
    if (!address_of(f, node, address, err))
        return false;
    _autoceph_ struct ceph *c = connect_anew(f, err);
    if (!c || !read_list(c, &map, err))
        return false;
    if (is_listed(map, address))
        return true;
    json_t *add = blocklist("add", address);
    json_object_set_new(add, "expire", json_real(YEARS_TEN));
    if (!ceph_command(c, add, NULL, NULL, err))
        return false;
    (void)declare_osds_dead(c, node, &late); /* they are found out anyway */
    return true;
}

static bool fence_lift(struct fence *base, const char *node, struct error *err)
{
    struct rbd_fence *f = container_of(base, struct rbd_fence, base);
    char address[ADDRESS_MAX];
    _autojson_ json_t *map = NULL;
    if (!address_of(f, node, address, err))
        return false;
    _autoceph_ struct ceph *c = connect_anew(f, err);
    return c && read_list(c, &map, err) &&
           (!is_listed(map, address) ||
            ceph_command(c, blocklist("rm", address), NULL, NULL, err));
}

static bool fence_list(struct fence *base, fence_node_fn *fn, void *arg,
                       struct error *err)
{
    struct rbd_fence *f = container_of(base, struct rbd_fence, base);
    _autojson_ json_t *map = NULL;
    _autoceph_ struct ceph *c = connect_anew(f, err);
    if (!c || !read_list(c, &map, err))
        return false;
    _autosnap_ struct snapshot *snap = cache_snapshot(f->cache);
    struct snap_iter it = snap_all(snap, &kind_node);
    for (const struct node *n; (n = snap_next(&it));) {
        char address[ADDRESS_MAX];
        struct error none;
        if (address_of(f, n->rec.id, address, &none) && is_listed(map, address))
            fn(arg, n->rec.id);
    }
    return true;
}

static const struct fence_ops rbd_fence_ops = {
    .close = fence_close,
    .lift = fence_lift,
    .list = fence_list,
};

struct fence *rbd_fence_open(const struct rbd_fence_config *config)
{
    struct rbd_fence *f = xcalloc(1, sizeof(*f));
    f->base.ops = &rbd_fence_ops;
    f->conf = xstrdup(config->conf);
    f->client = xstrdup(config->client);
    f->cache = config->cache;
    return &f->base;
}

void rbd_fence_close(struct fence *base)
{
    if (!base)
        return;
    struct rbd_fence *f = container_of(base, struct rbd_fence, base);
    free(f->conf);
    free(f->client);
    free(f);
}
