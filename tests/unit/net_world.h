/*
 * net_world - records of a small cloud's networks, for tests of network/.
 *
 * One external and one project's network, a router between them, a guest's
 * port with a security group and a floating IP.  Ids are readable words.
 */
#ifndef CAIRN_TESTS_NET_WORLD_H
#define CAIRN_TESTS_NET_WORLD_H

#include "test.h"

#include "common/env.h"
#include "model/network.h"

#include <string.h>

struct world {
    struct store *store;
    struct cache *cache;
};

static inline struct world world_new(void)
{
    struct world w = { store_memory_open(&env_system),
                       cache_new(model_kinds, N_KINDS) };
    return w;
}

static inline void world_follow(struct world *w)
{
    struct error err = { 0 };
    if (!cache_follow(w->cache, w->store, &err))
        fail_msg("%s", err.text);
}

static inline void world_free(struct world *w)
{
    cache_unfollow(w->cache);
    cache_free(w->cache);
    store_close(w->store);
}

/* Stores a draft, which is let go. */
static inline void world_put(struct world *w, void *draft)
{
    struct txn_result result;
    _autotxn_ struct txn t = TXN_INIT;
    txn_put_record(&t, draft);
    if (!store_commit(w->store, &t, &result))
        fail_msg("%s", result.err.text);
    record_unref(draft);
}

static inline void world_delete(struct world *w, const struct kind *kind,
                                const char *id)
{
    struct txn_result result;
    _autotxn_ struct txn t = TXN_INIT;
    _autofree_ char *key = xasprintf("%s/%s", kind->name, id);
    txn_delete(&t, key);
    assert_true(store_commit(w->store, &t, &result));
}

/* A draft of what is there, to be changed and put. */
static inline void *world_edit(struct world *w, const struct kind *kind,
                               const char *id)
{
    _autosnap_ struct snapshot *s = cache_snapshot(w->cache);
    const void *r = snap_get(s, kind, id);
    assert_non_null(r);
    return record_copy(r);
}

static inline struct network *draft_network(const char *id)
{
    struct network *n = record_new(&kind_network, id);
    n->name = rec_strf(n, "name of %s", id);
    n->admin_state_up = true;
    n->port_security_enabled = true;
    n->mtu = 1442;
    return n;
}

static inline struct subnet *draft_subnet(const char *id, const char *network,
                                          const char *cidr, const char *gateway)
{
    struct subnet *s = record_new(&kind_subnet, id);
    s->network_id = rec_str(s, network);
    s->cidr = rec_str(s, cidr);
    s->ip_version = strchr(cidr, ':') ? 6 : 4;
    s->gateway_ip = rec_str(s, gateway);
    s->enable_dhcp = true;
    return s;
}

static inline void add_fixed_ip(struct port *p, const char *subnet,
                                const char *address)
{
    struct fixed_ip *ip = list_add(p, &p->fixed_ips, sizeof(*ip));
    ip->subnet_id = rec_str(p, subnet);
    ip->ip_address = rec_str(p, address);
}

static inline struct port *draft_port(const char *id, const char *network,
                                      const char *mac, const char *subnet,
                                      const char *address)
{
    struct port *p = record_new(&kind_port, id);
    p->network_id = rec_str(p, network);
    p->mac_address = rec_str(p, mac);
    p->admin_state_up = true;
    p->port_security_enabled = true;
    if (address)
        add_fixed_ip(p, subnet, address);
    return p;
}

static inline struct port *draft_owned(struct port *p, const char *owner,
                                       const char *device)
{
    p->device_owner = rec_str(p, owner);
    p->device_id = rec_str(p, device);
    return p;
}

static inline struct security_group_rule *
draft_rule(const char *id, const char *group, const char *direction)
{
    struct security_group_rule *r = record_new(&kind_security_group_rule, id);
    r->security_group_id = rec_str(r, group);
    r->direction = rec_str(r, direction);
    r->ethertype = rec_str(r, "IPv4");
    r->port_min = r->port_max = -1;
    return r;
}

static inline void world_external(struct world *w)
{
    struct network *n = draft_network("ext");
    n->external = true;
    n->provider_type = rec_str(n, "flat");
    n->physical_network = rec_str(n, "physnet1");
    n->mtu = 1500;
    world_put(w, n);
    struct subnet *s =
        draft_subnet("ext-sub", "ext", "172.24.4.0/24", "172.24.4.1");
    s->enable_dhcp = false;
    world_put(w, s);
    world_put(w, draft_owned(draft_port("fip-port", "ext", "fa:16:3e:00:00:0f",
                                        "ext-sub", "172.24.4.20"),
                             OWNER_FLOATINGIP, "fip"));
}

static inline void world_project(struct world *w)
{
    struct network *n = draft_network("net");
    n->metadata_port_id = rec_str(n, "meta");
    n->dns_domain = rec_str(n, "cloud.local.");
    world_put(w, n);
    world_put(w, draft_subnet("sub", "net", "10.0.0.0/24", "10.0.0.1"));
    struct port *meta =
        draft_port("meta", "net", "fa:16:3e:00:00:02", "sub", "10.0.0.2");
    world_put(w, draft_owned(meta, OWNER_METADATA, "ovnmeta-net"));
    struct port *p =
        draft_port("vm", "net", "fa:16:3e:00:00:05", "sub", "10.0.0.5");
    strs_add(p, &p->security_group_ids, "default");
    p->dns_name = rec_str(p, "Web");
    p->node = rec_str(p, "node1");
    world_put(w, draft_owned(p, "compute:nova", "server"));
}

static inline void world_router(struct world *w)
{
    struct router *r = record_new(&kind_router, "router");
    r->admin_state_up = r->enable_snat = true;
    r->gateway_network_id = rec_str(r, "ext");
    r->gateway_port_id = rec_str(r, "gw");
    world_put(w, r);
    world_put(w, draft_owned(draft_port("gw", "ext", "fa:16:3e:00:00:10",
                                        "ext-sub", "172.24.4.10"),
                             OWNER_GATEWAY, "router"));
    world_put(w, draft_owned(draft_port("if", "net", "fa:16:3e:00:00:01", "sub",
                                        "10.0.0.1"),
                             OWNER_ROUTER, "router"));
    struct floating_ip *f = record_new(&kind_floating_ip, "fip");
    f->network_id = rec_str(f, "ext");
    f->floating_port_id = rec_str(f, "fip-port");
    f->address = rec_str(f, "172.24.4.20");
    f->port_id = rec_str(f, "vm");
    f->fixed_address = rec_str(f, "10.0.0.5");
    f->router_id = rec_str(f, "router");
    world_put(w, f);
}

static inline void world_group(struct world *w)
{
    struct security_group *g = record_new(&kind_security_group, "default");
    g->name = rec_str(g, "default");
    world_put(w, g);
    world_put(w, draft_rule("out", "default", "egress"));
    struct security_group_rule *r = draft_rule("own", "default", "ingress");
    r->remote_group_id = rec_str(r, "default");
    world_put(w, r);
    r = draft_rule("ssh", "default", "ingress");
    r->protocol = rec_str(r, "tcp");
    r->port_min = r->port_max = 22;
    r->remote_ip_prefix = rec_str(r, "0.0.0.0/0");
    world_put(w, r);
}

/* All of it, and the cache follows. */
static inline struct world world_small(void)
{
    struct world w = world_new();
    world_external(&w);
    world_project(&w);
    world_router(&w);
    world_group(&w);
    world_follow(&w);
    return w;
}

#endif
