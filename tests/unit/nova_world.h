/* nova_world - a project with a network and an image, for the tests of the
 * Compute API. */
#ifndef CAIRN_TESTS_NOVA_WORLD_H
#define CAIRN_TESTS_NOVA_WORLD_H

#include "api_client.h"

#include "model/compute.h"
#include "model/image.h"
#include "model/network.h"
#include "model/pool.h"
#include "model/volume.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define C "/compute/v2.1"
#define N "/network/v2.0"
#define V "/volume/v3"

#define IMAGE "1a6e0000-0000-4000-8000-000000000001"
#define NODE  "90de0000-0000-4000-8000-000000000001"
#define NONE  "00000000-0000-4000-8000-000000000000"

struct world {
    struct api_client *c;
    char network[40], subnet[40];
};

static inline char *text(const char *fmt, ...)
    __attribute__((format(printf, 1, 2)));
static inline char *text(const char *fmt, ...)
{
    static char all[128][1024];
    static int i;
    va_list args;
    va_start(args, fmt);
    i = (i + 1) & 127;
    vsnprintf(all[i], sizeof(all[0]), fmt, args);
    va_end(args);
    return all[i];
}

static inline void version(struct world *w, const char *v)
{
    w->c->headers[0] = (struct param){ v ? "OpenStack-API-Version" : NULL,
                                       v ? text("compute %s", v) : NULL };
}

static inline void commit(struct api_client *c, void *record)
{
    _autotxn_ struct txn t = TXN_INIT;
    struct txn_result result;
    txn_change_record(&t, record);
    assert_true(store_commit(c->store, &t, &result));
}

static inline void make_node(struct api_client *c)
{
    _autorecord_ struct node *n = record_new(&kind_node, "one");
    n->hypervisor_id = NODE;
    n->vcpus = 8;
    n->ram_mb = 8192;
    n->disk_gb = 100;
    n->seen = c->time;
    commit(c, n);
}

static inline void make_image(struct api_client *c)
{
    _autorecord_ struct image *i = record_new(&kind_image, IMAGE);
    i->name = "guest";
    i->visibility = "public";
    i->owner = rec_str(i, c->admin_project);
    i->status = IMAGE_ACTIVE;
    i->size = i->virtual_size = 1 << 20;
    commit(c, i);
}

static inline void make_network(struct world *w, const char *cidr)
{
    json_t *n = api_expect(w->c, 201, "POST", N "/networks", w->c->demo,
                           "{\"network\":{\"name\":\"net\"}}");
    snprintf(w->network, sizeof(w->network), "%s", api_text(n, "network.id"));
    json_t *s = api_expect(w->c, 201, "POST", N "/subnets", w->c->demo,
                           text("{\"subnet\":{\"network_id\":\"%s\","
                                "\"ip_version\":4,\"cidr\":\"%s\"}}",
                                w->network, cidr));
    snprintf(w->subnet, sizeof(w->subnet), "%s", api_text(s, "subnet.id"));
    json_decref(n);
    json_decref(s);
}

static inline int setup(void **state)
{
    static struct world w;
    w = (struct world){ .c = api_client_new() };
    make_node(w.c);
    make_image(w.c);
    api_status(w.c, 200, "POST", C "/flavors", w.c->admin,
               "{\"flavor\":{\"name\":\"tiny\",\"id\":\"t1\",\"ram\":64,"
               "\"disk\":1,\"vcpus\":1}}");
    make_network(&w, "10.1.0.0/24");
    *state = &w;
    return 0;
}

static inline int teardown(void **state)
{
    struct world *w = *state;
    api_client_free(w->c);
    return 0;
}

static inline size_t count(struct world *w, const struct kind *kind)
{
    struct snapshot *s = api_snapshot(w->c);
    size_t n = snap_count(s, kind);
    snapshot_unref(s);
    return n;
}

/* `more`, and those members that every server needs if it does not have them
 * itself. */
static inline char *server_body(const char *more)
{
    static const char *const needed[][2] = { { "name", "vm" },
                                             { "flavorRef", "t1" },
                                             { "imageRef", IMAGE } };
    char *members = text("%s", more);
    for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++)
        if (!strstr(more, text("\"%s\"", needed[i][0])))
            members = text("%s%s\"%s\":\"%s\"", members, *members ? "," : "",
                           needed[i][0], needed[i][1]);
    /* A security group's name is not the server's. */
    if (strstr(more, "{\"name\""))
        members = text("%s,\"name\":\"vm\"", members);
    return text("{\"server\":{%s}}", members);
}

static const char *create(struct world *w, const char *more)
{
    json_t *s = api_expect(w->c, 202, "POST", C "/servers", w->c->demo,
                           server_body(more));
    char *id = text("%s", api_text(s, "server.id"));
    json_decref(s);
    return id;
}

/* As placement and compute would have it. */
static inline void set_state(struct world *w, const char *id, int vm_state,
                             int task_state)
{
    struct snapshot *snap = api_snapshot(w->c);
    _autorecord_ struct server *s =
        record_copy(snap_get(snap, &kind_server, id));
    s->node = "one";
    s->zone = "nova";
    s->vm_state = vm_state;
    s->task_state = task_state;
    commit(w->c, s);
    snapshot_unref(snap);
}

static inline json_t *show(struct world *w, const char *id)
{
    return api_expect(w->c, 200, "GET", text(C "/servers/%s", id), w->c->demo,
                      NULL);
}

static inline json_int_t used(struct world *w, const char *what)
{
    json_t *q =
        api_expect(w->c, 200, "GET",
                   text(C "/os-quota-sets/%s/detail", w->c->demo_project),
                   w->c->demo, NULL);
    json_int_t n =
        json_integer_value(api_at(q, text("quota_set.%s.in_use", what)));
    json_decref(q);
    return n;
}

/* How many servers a list with this query holds. */
static inline size_t listed(struct world *w, const char *query)
{
    json_t *l =
        api_expect(w->c, 200, "GET", text(C "/servers/detail?%s", query),
                   w->c->demo, NULL);
    size_t n = json_array_size(api_at(l, "servers"));
    json_decref(l);
    return n;
}

static inline void make_volume(struct world *w, const char *id, bool bootable)
{
    _autorecord_ struct volume *v = record_new(&kind_volume, id);
    v->project_id = rec_str(v, w->c->demo_project);
    v->status = VOLUME_AVAILABLE;
    v->size_gb = 1;
    v->bootable = bootable;
    commit(w->c, v);
}

#endif
