#include "bench/scale/made.h"

#include "model/network.h"
#include "model/volume.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ID_MAX        64
#define FIRST         1 /* revision of all that is there at first */
#define NODE_THREADS  128
#define NODE_RAM_MB   (1 << 21) /* 2 TiB */
#define NETWORK_SIZE  200       /* servers that share one, and a project */
#define SERVERS_SPLIT 0x9e3779b97f4a7c15U

struct made {
    struct store store;
    struct made_pool pool;
    watch_fn *fn;
    void *arg;
    int64_t revision;
    struct buf buf;
};

/* ---- the records --------------------------------------------------------- */

static uint64_t hash(uint64_t n)
{
    n = (n + 1) * SERVERS_SPLIT;
    n = (n ^ n >> 29) * 0xbf58476d1ce4e5b9U;
    return n ^ n >> 32;
}

/* As a UUID, ascending with i of n. */
static char *uuid(char out[ID_MAX], unsigned salt, int64_t i, int64_t n)
{
    uint64_t lead = ((uint64_t)i << 32) / (uint64_t)n;
    uint64_t rest = hash((uint64_t)i * 16 + salt);
    snprintf(out, ID_MAX, "%08llx-%04llx-4%03llx-8%03llx-%012llx",
             (unsigned long long)lead, (unsigned long long)(rest >> 48),
             (unsigned long long)(rest >> 36 & 0xfff),
             (unsigned long long)(rest >> 24 & 0xfff), (unsigned long long)i);
    return out;
}

static const char *node_name(char out[ID_MAX], int64_t i)
{
    snprintf(out, ID_MAX, "node%06lld", (long long)i);
    return out;
}

static const char *server_node(const struct made_pool *p, char out[ID_MAX],
                               int64_t i)
{
    return node_name(out, (int64_t)(hash((uint64_t)i) % (uint64_t)p->nodes));
}

struct node *made_node(const struct made_pool *p, int64_t i)
{
    char id[ID_MAX];
    struct node *n = record_new(&kind_node, node_name(id, i));
    n->hypervisor_id = rec_str(n, uuid(id, 1, i, p->nodes));
    n->address = rec_strf(n, "10.%d.%d.%d", (int)(i >> 16 & 255),
                          (int)(i >> 8 & 255), (int)(i & 255));
    n->hypervisor_type = "KVM";
    n->hypervisor_version = 7002022;
    n->cpu_info = "{\"arch\":\"x86_64\",\"model\":\"EPYC-Milan\",\"vendor\":"
                  "\"AMD\",\"topology\":{\"sockets\":2,\"cores\":32,"
                  "\"threads\":2}}";
    n->machine = "x86_64";
    n->vcpus = NODE_THREADS;
    n->ram_mb = NODE_RAM_MB;
    n->ram_reserved_mb = 4096;
    n->disk_gb = 8000;
    n->rack = rec_strf(n, "rack%03d", (int)(i / 40));
    n->kvm = true;
    n->booted = n->started = n->created = p->now;
    n->seen = p->now;
    return n;
}

static void fill_flavor(struct server *s, int64_t i)
{
    int size = (int)(hash((uint64_t)i + 7) % 4);
    s->vcpus = 1 << size;
    s->ram_mb = 4096 << size;
    s->flavor_id = rec_strf(s, "%d", size + 1);
    s->flavor_name = rec_strf(s, "m1.size%d", size);
    map_put(s, &s->extra_specs, "hw:cpu_policy", "shared");
}

static void fill_parts(const struct made_pool *p, struct server *s, int64_t i)
{
    char id[ID_MAX];
    struct server_volume *v = list_add(s, &s->volumes, sizeof(*v));
    v->volume_id = rec_str(s, uuid(id, 2, i, p->servers));
    v->attachment_id = rec_str(s, uuid(id, 3, i, p->servers));
    v->device = "/dev/vda";
    v->state = ATTACH_DONE;
    v->boot = true;
    struct server_port *port = list_add(s, &s->ports, sizeof(*port));
    port->port_id = rec_str(s, uuid(id, 4, i, p->servers));
    port->state = ATTACH_DONE;
    struct server_event *e = list_add(s, &s->events, sizeof(*e));
    e->action = "create";
    e->request_id = rec_strf(s, "req-%s", uuid(id, 5, i, p->servers));
    e->at = p->now;
}

static const char *project(char out[ID_MAX], int64_t i)
{
    snprintf(out, ID_MAX, "%032llx",
             (unsigned long long)hash((uint64_t)(i / NETWORK_SIZE)));
    return out;
}

struct server *made_server(const struct made_pool *p, int64_t i)
{
    char id[ID_MAX];
    struct server *s = record_new(&kind_server, uuid(id, 0, i, p->servers));
    s->name = rec_strf(s, "server-%lld", (long long)i);
    s->hostname = s->name;
    s->project_id = s->user_id = rec_str(s, project(id, i));
    fill_flavor(s, i);
    s->key_name = "key";
    s->key_public = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKL"
                    "sabgH5C9okWi0dh2l9GKJl user@example";
    s->reservation_id = rec_strf(s, "r-%08llx", (unsigned long long)i);
    map_put(s, &s->metadata, "role", "web");
    map_put(s, &s->image_properties, "hw_disk_bus", "virtio");
    fill_parts(p, s, i);
    s->node = rec_str(s, server_node(p, id, i));
    s->zone = "nova";
    s->vm_state = VM_ACTIVE;
    s->power_state = POWER_RUNNING;
    s->domain_name = rec_strf(s, "instance-%08llx", (unsigned long long)i);
    s->root_device = "/dev/vda";
    s->vnc_host = "127.0.0.1";
    s->vnc_port = 5900 + i % 100;
    s->created = s->updated = s->launched = p->now;
    return s;
}

static void *make_volume(const struct made_pool *p, int64_t i)
{
    char id[ID_MAX];
    struct volume *v = record_new(&kind_volume, uuid(id, 2, i, p->servers));
    v->project_id = v->user_id = rec_str(v, project(id, i));
    v->name = rec_strf(v, "root of server-%lld", (long long)i);
    v->size_gb = v->real_size_gb = 40;
    v->bootable = true;
    v->status = VOLUME_IN_USE;
    struct volume_attachment *a = list_add(v, &v->attachments, sizeof(*a));
    a->attachment_id = rec_str(v, uuid(id, 3, i, p->servers));
    a->server_id = rec_str(v, uuid(id, 0, i, p->servers));
    a->device = "/dev/vda";
    a->node = rec_str(v, server_node(p, id, i));
    a->attached = v->created = v->updated = p->now;
    return v;
}

static void *make_port(const struct made_pool *p, int64_t i)
{
    char id[ID_MAX];
    int64_t networks = p->servers / NETWORK_SIZE + 1;
    struct port *r = record_new(&kind_port, uuid(id, 4, i, p->servers));
    r->project_id = rec_str(r, project(id, i));
    r->network_id = rec_str(r, uuid(id, 6, i / NETWORK_SIZE, networks));
    r->mac_address =
        rec_strf(r, "fa:16:%02x:%02x:%02x:%02x", (int)(i >> 24 & 255),
                 (int)(i >> 16 & 255), (int)(i >> 8 & 255), (int)(i & 255));
    struct fixed_ip *ip = list_add(r, &r->fixed_ips, sizeof(*ip));
    ip->subnet_id = rec_str(r, uuid(id, 7, i / NETWORK_SIZE, networks));
    ip->ip_address = rec_strf(r, "10.0.0.%d", (int)(i % NETWORK_SIZE) + 2);
    r->device_id = rec_str(r, uuid(id, 0, i, p->servers));
    r->device_owner = "compute:nova";
    r->admin_state_up = r->port_security_enabled = true;
    strs_add(r, &r->security_group_ids,
             uuid(id, 8, i / NETWORK_SIZE, networks));
    r->vnic_type = "normal";
    r->node = rec_str(r, server_node(p, id, i));
    r->status = NET_ACTIVE;
    r->created = r->updated = p->now;
    return r;
}

static void *make_claim(const struct made_pool *p, int64_t i, bool mac)
{
    char id[ID_MAX * 2], network[ID_MAX], port[ID_MAX];
    int64_t networks = p->servers / NETWORK_SIZE + 1;
    uuid(network, mac ? 6 : 7, i / NETWORK_SIZE, networks);
    if (mac)
        snprintf(id, sizeof(id), "mac/%s/fa:16:%02x:%02x:%02x:%02x", network,
                 (int)(i >> 24 & 255), (int)(i >> 16 & 255),
                 (int)(i >> 8 & 255), (int)(i & 255));
    else
        snprintf(id, sizeof(id), "ip/%s/10.0.0.%d", network,
                 (int)(i % NETWORK_SIZE) + 2);
    struct claim *c = record_new(&kind_claim, id);
    c->owner = rec_strf(c, "port/%s", uuid(port, 4, i, p->servers));
    return c;
}

static void *make_ip_claim(const struct made_pool *p, int64_t i)
{
    return make_claim(p, i, false);
}

static void *make_mac_claim(const struct made_pool *p, int64_t i)
{
    return make_claim(p, i, true);
}

static void *make_node(const struct made_pool *p, int64_t i)
{
    return made_node(p, i);
}

static void *make_server(const struct made_pool *p, int64_t i)
{
    return made_server(p, i);
}

/* ---- the store ----------------------------------------------------------- */

/* Encodes the record; takes the reference. */
static struct kv kv_of(struct made *m, struct record *r, char key[ID_MAX * 3])
{
    buf_reset(&m->buf);
    record_encode(r, &m->buf);
    snprintf(key, (size_t)ID_MAX * 3, "%s/%s", r->kind->name, r->id);
    record_unref(r);
    return (struct kv){ .key = key,
                        .value = buf_str(&m->buf),
                        .len = m->buf.len,
                        .create_rev = FIRST,
                        .mod_rev = m->revision };
}

/* In the order of the keys. */
static const struct {
    void *(*make)(const struct made_pool *p, int64_t i);
    bool node, always;
} kinds[] = {
    { make_ip_claim, false, false }, { make_mac_claim, false, false },
    { make_node, true, true },       { make_port, false, false },
    { make_server, false, true },    { make_volume, false, false },
};

static bool range(struct store *s, const char *prefix, range_fn *fn, void *arg,
                  int64_t *revision, struct error *err)
{
    struct made *m = (struct made *)s;
    char key[ID_MAX * 3];
    (void)prefix;
    (void)err;
    *revision = m->revision;
    for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
        int64_t n = kinds[k].node ? m->pool.nodes : m->pool.servers;
        for (int64_t i = 0; i < n && (kinds[k].always || m->pool.whole); i++) {
            struct kv kv = kv_of(m, kinds[k].make(&m->pool, i), key);
            if (!fn(arg, &kv))
                return true;
        }
    }
    return true;
}

static struct watch *watch(struct store *s, const char *prefix, int64_t from,
                           watch_fn *fn, void *arg, struct error *err)
{
    struct made *m = (struct made *)s;
    (void)prefix;
    (void)from;
    (void)err;
    m->fn = fn;
    m->arg = arg;
    return (struct watch *)m;
}

static void unwatch(struct store *s, struct watch *w)
{
    (void)w;
    ((struct made *)s)->fn = NULL;
}

void made_change(struct store *s, void *record)
{
    struct made *m = (struct made *)s;
    char key[ID_MAX * 3];
    m->revision++;
    struct kv kv = kv_of(m, record, key);
    if (m->fn)
        m->fn(m->arg, WATCH_EVENTS, m->revision, &kv, 1);
}

static void close_made(struct store *s)
{
    struct made *m = (struct made *)s;
    buf_free(&m->buf);
    free(m);
}

struct store *made_open(const struct made_pool *pool)
{
    static const struct store_ops ops = {
        .range = range, .watch = watch, .unwatch = unwatch, .close = close_made
    };
    struct made *m = xcalloc(1, sizeof(*m));
    m->store.ops = &ops;
    m->pool = *pool;
    m->revision = FIRST;
    m->buf = BUF_INIT(1 << 20);
    return &m->store;
}
