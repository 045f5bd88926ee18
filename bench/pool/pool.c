#include "bench/pool/pool.h"

#include "model/compute.h"
#include "model/identity.h"
#include "model/network.h"
#include "state/cache.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BATCH 100 /* records a transaction */

struct fill {
    struct store *store;
    const struct env *env;
    struct txn txn;
    struct pool_names *names;
    const char *other; /* the project of those that are not listed */
    char network[UUID_SIZE], subnet[UUID_SIZE], public[UUID_SIZE];
    char group[UUID_SIZE], image[UUID_SIZE];
    int64_t now;
};

static void die(const char *what)
{
    fprintf(stderr, "bench: cannot fill the pool: %s\n", what);
    exit(1);
}

static void commit(struct fill *f)
{
    struct txn_result result;
    if (!txn_empty(&f->txn) && !store_commit(f->store, &f->txn, &result))
        die(result.err.text);
    txn_reset(&f->txn);
}

static void put(struct fill *f, void *record)
{
    txn_put_record(&f->txn, record);
    record_unref(record);
    if (f->txn.n_writes >= BATCH)
        commit(f);
}

static void *make(struct fill *f, const struct kind *kind, char id[UUID_SIZE])
{
    env_uuid(f->env, id);
    return record_new(kind, id);
}

/* ---- what servers need ------------------------------------------------- */

/* Ids of what the first content named "admin". */
static void find_admin(struct fill *f, const struct snapshot *snap)
{
    struct snap_iter it = snap_all(snap, &kind_user);
    for (const struct user *u; (u = snap_next(&it));)
        if (strcmp(u->name, "admin") == 0)
            snprintf(f->names->user, sizeof(f->names->user), "%s", u->rec.id);
    it = snap_all(snap, &kind_project);
    for (const struct project *p; (p = snap_next(&it));)
        if (strcmp(p->name, "admin") == 0)
            snprintf(f->names->project, sizeof(f->names->project), "%s",
                     p->rec.id);
    if (!*f->names->user || !*f->names->project)
        die("there is no user or project admin in it");
}

static void put_network(struct fill *f)
{
    struct network *n = make(f, &kind_network, f->network);
    n->name = "private";
    n->project_id = f->names->project;
    n->admin_state_up = n->port_security_enabled = true;
    n->mtu = 1442;
    n->created = n->updated = f->now;
    put(f, n);
    struct subnet *s = make(f, &kind_subnet, f->subnet);
    s->name = "private";
    s->project_id = f->names->project;
    s->network_id = f->network;
    s->ip_version = 4;
    s->cidr = "10.7.0.0/16";
    s->gateway_ip = "10.7.0.1";
    s->enable_dhcp = true;
    s->created = s->updated = f->now;
    put(f, s);
    struct security_group *g = make(f, &kind_security_group, f->group);
    g->name = "web";
    g->project_id = f->names->project;
    g->created = g->updated = f->now;
    put(f, g);
}

/* ---- servers ----------------------------------------------------------- */

static void put_port(struct fill *f, int i, const char *project,
                     const char *server, char id[UUID_SIZE])
{
    struct port *p = make(f, &kind_port, id);
    p->project_id = project;
    p->network_id = f->network;
    p->mac_address = rec_strf(p, "fa:16:3e:00:%02x:%02x", i >> 8, i & 255);
    struct fixed_ip *ip = list_add(p, &p->fixed_ips, sizeof(*ip));
    ip->subnet_id = f->subnet;
    ip->ip_address = rec_strf(p, "10.7.%d.%d", 1 + i / 250, 1 + i % 250);
    p->device_id = server;
    p->device_owner = "compute:nova";
    p->admin_state_up = p->port_security_enabled = true;
    strs_add(p, &p->security_group_ids, f->group);
    p->vnic_type = "normal";
    p->node = "elsewhere";
    p->created = p->updated = f->now;
    put(f, p);
}

static void put_floating_ip(struct fill *f, int i, const char *project,
                            const char *port)
{
    char id[UUID_SIZE];
    struct floating_ip *ip = make(f, &kind_floating_ip, id);
    ip->project_id = project;
    ip->network_id = f->public;
    ip->address = rec_strf(ip, "203.0.113.%d", 1 + i / 10);
    ip->port_id = port;
    ip->fixed_address = rec_strf(ip, "10.7.%d.%d", 1 + i / 250, 1 + i % 250);
    ip->created = ip->updated = f->now;
    put(f, ip);
}

static void describe(struct fill *f, struct server *s, int i)
{
    s->name = rec_strf(s, "web-%04d", i);
    s->hostname = s->name;
    s->user_id = f->names->user;
    s->flavor_id = "2";
    s->flavor_name = "m1.small";
    s->vcpus = 1;
    s->ram_mb = 2048;
    s->disk_gb = 20;
    s->image_id = f->image;
    s->key_name = "laptop";
    s->key_public = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIK0wmN/Cr3JXqmLW7u+g9p"
                    "Th+wyqDHpSQEIQczXkVx9q somebody@laptop";
    map_put(s, &s->metadata, "role", "web");
    map_put(s, &s->metadata, "stage", "production");
    s->reservation_id = "r-0a1b2c3d";
    s->node = "elsewhere";
    s->zone = "nova";
    s->vm_state = VM_ACTIVE;
    s->power_state = POWER_RUNNING;
    s->domain_name = rec_strf(s, "instance-%.8s", s->rec.id);
    s->root_device = "/dev/vda";
    s->created = f->now + i * SECOND_US;
    s->launched = s->updated = s->created + 2 * SECOND_US;
}

static void put_server(struct fill *f, int i)
{
    char id[UUID_SIZE], port[UUID_SIZE];
    bool listed = i < POOL_LISTED;
    struct server *s = make(f, &kind_server, id);
    s->project_id = listed ? f->names->project : f->other;
    describe(f, s, i);
    put_port(f, i, s->project_id, id, port);
    struct server_port *sp = list_add(s, &s->ports, sizeof(*sp));
    sp->port_id = port;
    sp->state = ATTACH_DONE;
    sp->delete_on_termination = true;
    if (i % 10 == 0)
        put_floating_ip(f, i, s->project_id, port);
    if (listed)
        snprintf(f->names->server, sizeof(f->names->server), "%s", id);
    put(f, s);
}

/* ---- all --------------------------------------------------------------- */

void pool_fill(struct store *store, const struct env *env,
               struct pool_names *names)
{
    struct error err = { 0 };
    struct fill f = { .store = store,
                      .env = env,
                      .names = names,
                      .other = "0123456789abcdef0123456789abcdef",
                      .now = env_now(env) };
    struct cache *cache = cache_new(model_kinds, N_KINDS);
    *names = (struct pool_names){ 0 };
    if (!cache_follow(cache, store, &err))
        die(err.text);
    struct snapshot *snap = cache_snapshot(cache);
    find_admin(&f, snap);
    snapshot_unref(snap);
    cache_unfollow(cache);
    cache_free(cache);
    env_uuid(env, f.public);
    env_uuid(env, f.image);
    put_network(&f);
    for (int i = 0; i < POOL_SERVERS; i++)
        put_server(&f, i);
    commit(&f);
}
