/* openstack-compat/compute: servers, as clients of Compute API v2.1 make,
 * find, change and delete them. */
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

/* ---- a world to make servers in ---------------------------------------- */

struct world {
    struct api_client *c;
    char network[40], subnet[40];
};

static char *text(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static char *text(const char *fmt, ...)
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

static void version(struct world *w, const char *v)
{
    w->c->headers[0] = (struct param){ v ? "OpenStack-API-Version" : NULL,
                                       v ? text("compute %s", v) : NULL };
}

static void commit(struct api_client *c, void *record)
{
    _autotxn_ struct txn t = TXN_INIT;
    struct txn_result result;
    txn_change_record(&t, record);
    assert_true(store_commit(c->store, &t, &result));
}

static void make_node(struct api_client *c)
{
    _autorecord_ struct node *n = record_new(&kind_node, "one");
    n->hypervisor_id = NODE;
    n->vcpus = 8;
    n->ram_mb = 8192;
    n->disk_gb = 100;
    n->seen = c->time;
    commit(c, n);
}

static void make_image(struct api_client *c)
{
    _autorecord_ struct image *i = record_new(&kind_image, IMAGE);
    i->name = "guest";
    i->visibility = "public";
    i->owner = rec_str(i, c->admin_project);
    i->status = IMAGE_ACTIVE;
    i->size = i->virtual_size = 1 << 20;
    commit(c, i);
}

static void make_network(struct world *w, const char *cidr)
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

static int setup(void **state)
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

static int teardown(void **state)
{
    struct world *w = *state;
    api_client_free(w->c);
    return 0;
}

static size_t count(struct world *w, const struct kind *kind)
{
    struct snapshot *s = api_snapshot(w->c);
    size_t n = snap_count(s, kind);
    snapshot_unref(s);
    return n;
}

/* `more`, and those members that every server needs if it does not have them
 * itself. */
static char *server_body(const char *more)
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
static void set_state(struct world *w, const char *id, int vm_state,
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

static json_t *show(struct world *w, const char *id)
{
    return api_expect(w->c, 200, "GET", text(C "/servers/%s", id), w->c->demo,
                      NULL);
}

static json_int_t used(struct world *w, const char *what)
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
static size_t listed(struct world *w, const char *query)
{
    json_t *l =
        api_expect(w->c, 200, "GET", text(C "/servers/detail?%s", query),
                   w->c->demo, NULL);
    size_t n = json_array_size(api_at(l, "servers"));
    json_decref(l);
    return n;
}

/* ---- making ------------------------------------------------------------ */

static void a_network_gives_a_port(void **state)
{
    struct world *w = *state;
    const char *id =
        create(w, text("\"networks\":[{\"uuid\":\"%s\",\"fixed_ip\":"
                       "\"10.1.0.77\"}]",
                       w->network));
    json_t *s = show(w, id);
    assert_string_equal(api_text(s, "server.status"), "BUILD");
    assert_string_equal(api_text(s, "server.addresses.net.0.addr"),
                        "10.1.0.77");
    assert_string_equal(api_text(s, "server.security_groups.0.name"),
                        "default");
    json_decref(s);
    assert_int_equal(used(w, "instances"), 1);
    assert_int_equal(used(w, "ram"), 64);
    /* The same address for another one: refused, and nothing left of it. */
    size_t ports = count(w, &kind_port), disks = count(w, &kind_disk);
    api_status(w->c, 409, "POST", C "/servers", w->c->demo,
               server_body(text("\"networks\":[{\"uuid\":\"%s\","
                                "\"fixed_ip\":\"10.1.0.77\"}]",
                                w->network)));
    assert_int_equal(count(w, &kind_port), ports);
    assert_int_equal(count(w, &kind_disk), disks);
    assert_int_equal(used(w, "instances"), 1);
}

static void a_port_is_for_one_card(void **state)
{
    struct world *w = *state;
    json_t *p =
        api_expect(w->c, 201, "POST", N "/ports", w->c->demo,
                   text("{\"port\":{\"network_id\":\"%s\"}}", w->network));
    const char *port = api_text(p, "port.id");
    char *one = text("{\"port\":\"%s\"}", port);
    size_t servers = count(w, &kind_server);
    api_status(w->c, 409, "POST", C "/servers", w->c->demo,
               server_body(text("\"networks\":[%s,%s]", one, one)));
    api_status(w->c, 400, "POST", C "/servers", w->c->demo,
               server_body(text("\"networks\":[%s],\"max_count\":2", one)));
    api_status(w->c, 400, "POST", C "/servers", w->c->demo,
               server_body(text("\"networks\":[{\"port\":\"%s\","
                                "\"fixed_ip\":\"10.1.0.9\"}]",
                                port)));
    assert_int_equal(count(w, &kind_server), servers);
    const char *id = create(w, text("\"networks\":[%s]", one));
    api_status(w->c, 409, "POST", C "/servers", w->c->demo,
               server_body(text("\"networks\":[%s]", one)));
    /* Deleted before it was placed: the port stays and is free again. */
    api_status(w->c, 204, "DELETE", text(C "/servers/%s", id), w->c->demo,
               NULL);
    api_status(w->c, 404, "GET", text(C "/servers/%s", id), w->c->demo, NULL);
    json_t *again = api_expect(w->c, 200, "GET", text(N "/ports/%s", port),
                               w->c->demo, NULL);
    assert_string_equal(api_text(again, "port.device_id"), "");
    assert_int_equal(used(w, "instances"), 0);
    json_decref(again);
    json_decref(p);
}

static void networks_by_word(void **state)
{
    struct world *w = *state;
    json_t *s = show(w, create(w, "")); /* the only network there is */
    assert_non_null(api_at(s, "server.addresses.net"));
    json_decref(s);
    version(w, "2.37");
    api_status(w->c, 400, "POST", C "/servers", w->c->demo, server_body(""));
    api_status(w->c, 400, "POST", C "/servers", w->c->demo,
               server_body("\"networks\":\"some\""));
    s = show(w, create(w, "\"networks\":\"none\""));
    assert_int_equal(json_object_size(api_at(s, "server.addresses")), 0);
    json_decref(s);
    create(w, "\"networks\":\"auto\"");
    make_network(w, "10.2.0.0/24");
    api_status(w->c, 409, "POST", C "/servers", w->c->demo,
               server_body("\"networks\":\"auto\""));
    version(w, NULL);
}

static void many_at_once(void **state)
{
    struct world *w = *state;
    create(w, "\"min_count\":2,\"max_count\":3");
    assert_int_equal(listed(w, ""), 3);
    assert_int_equal(listed(w, "name=^vm-[12]$"), 2);
    /* As many as the quota leaves, but not fewer than min_count. */
    api_status(w->c, 200, "PUT",
               text(C "/os-quota-sets/%s", w->c->demo_project), w->c->admin,
               "{\"quota_set\":{\"instances\":5}}");
    create(w, "\"min_count\":1,\"max_count\":9");
    assert_int_equal(listed(w, ""), 5);
    api_status(w->c, 403, "POST", C "/servers", w->c->demo, server_body(""));
    api_status(w->c, 400, "PUT",
               text(C "/os-quota-sets/%s", w->c->demo_project), w->c->admin,
               "{\"quota_set\":{\"instances\":4}}");
    assert_int_equal(used(w, "instances"), 5);
}

static void make_volume(struct world *w, const char *id, bool bootable)
{
    _autorecord_ struct volume *v = record_new(&kind_volume, id);
    v->project_id = rec_str(v, w->c->demo_project);
    v->status = VOLUME_AVAILABLE;
    v->size_gb = 1;
    v->bootable = bootable;
    commit(w->c, v);
}

static char *boot_from(const char *source, const char *id, const char *more)
{
    return text("{\"server\":{\"name\":\"vm\",\"flavorRef\":\"t1\","
                "\"block_device_mapping_v2\":[{\"boot_index\":0,"
                "\"source_type\":\"%s\",\"destination_type\":\"volume\","
                "\"uuid\":\"%s\"%s}]}}",
                source, id, more);
}

static void boots_from_volumes(void **state)
{
    static const char data[] = "d0000000-0000-4000-8000-000000000001";
    static const char root[] = "d0000000-0000-4000-8000-000000000002";
    struct world *w = *state;
    make_volume(w, data, false);
    make_volume(w, root, true);
    api_status(w->c, 400, "POST", C "/servers", w->c->demo,
               boot_from("volume", data, ""));
    api_status(w->c, 400, "POST", C "/servers", w->c->demo,
               boot_from("volume", NONE, ""));
    api_status(w->c, 400, "POST", C "/servers", w->c->demo,
               boot_from("snapshot", NONE, ""));
    api_status(w->c, 400, "POST", C "/servers", w->c->demo,
               boot_from("image", IMAGE, "")); /* how large? */
    api_status(w->c, 400, "POST", C "/servers", w->c->demo,
               boot_from("volume", root, ",\"colour\":1"));
    assert_int_equal(count(w, &kind_server), 0);
    json_t *s = api_expect(w->c, 202, "POST", C "/servers", w->c->demo,
                           boot_from("volume", root, ""));
    json_t *shown = show(w, api_text(s, "server.id"));
    assert_string_equal(api_text(shown, "server.image"), "");
    assert_string_equal(
        api_text(shown, "server.os-extended-volumes:volumes_attached.0.id"),
        root);
    json_decref(s);
    json_decref(shown);
    assert_int_equal(count(w, &kind_disk), 0);
    /* It has it now. */
    api_status(w->c, 400, "POST", C "/servers", w->c->demo,
               boot_from("volume", root, ""));
    size_t volumes = count(w, &kind_volume);
    api_status(w->c, 202, "POST", C "/servers", w->c->demo,
               boot_from("image", IMAGE,
                         ",\"volume_size\":2,\"delete_on_termination\":true"));
    assert_int_equal(count(w, &kind_volume), volumes + 1);
}

static const struct {
    const char *more;
    int status;
    const char *version;
} bad[] = {
    { "\"colour\":1", 400, NULL },
    { "\"flavorRef\":\"none\"", 400, NULL },
    { "\"imageRef\":\"" NONE "\"", 400, NULL },
    { "\"key_name\":\"none\"", 400, NULL },
    { "\"name\":\"\"", 400, NULL },
    { "\"name\":7", 400, NULL },
    { "\"availability_zone\":\"mars\"", 400, NULL },
    { "\"availability_zone\":\"nova:one\"", 403, NULL },
    { "\"host\":\"one\"", 403, "2.74" },
    { "\"security_groups\":[{\"name\":\"none\"}]", 400, NULL },
    { "\"security_groups\":{}", 400, NULL },
    { "\"networks\":[{}]", 400, NULL },
    { "\"networks\":[7]", 400, NULL },
    { "\"networks\":[{\"uuid\":\"" NONE "\"}]", 400, NULL },
    { "\"networks\":[{\"port\":\"" NONE "\"}]", 400, NULL },
    { "\"user_data\":\"not base64!\"", 400, NULL },
    { "\"config_drive\":\"perhaps\"", 400, NULL },
    { "\"metadata\":[]", 400, NULL },
    { "\"metadata\":{\"k\":7}", 400, NULL },
    { "\"metadata\":{\"\":\"v\"}", 400, NULL },
    { "\"min_count\":3,\"max_count\":2", 400, NULL },
    { "\"min_count\":0", 400, NULL },
    { "\"max_count\":\"many\"", 400, NULL },
    { "\"accessIPv4\":\"::1\"", 400, NULL },
    { "\"accessIPv6\":\"10.0.0.1\"", 400, NULL },
    { "\"tags\":[\"a\"]", 400, "2.51" },
    { "\"networks\":\"none\",\"tags\":[\"a,b\"]", 400, "2.52" },
    { "\"description\":\"d\"", 400, "2.18" },
    { "\"networks\":\"none\",\"hostname\":\"h\"", 400, "2.89" },
    { "\"personality\":[{\"path\":\"/a\",\"contents\":\"\"}]", 403, NULL },
    { "\"block_device_mapping_v2\":[7]", 400, NULL },
    { "\"block_device_mapping_v2\":{}", 400, NULL },
    { "\"block_device_mapping_v2\":[{\"source_type\":\"blank\","
      "\"destination_type\":\"local\"}]",
      501, NULL },
};

static void bad_input_leaves_nothing(void **state)
{
    struct world *w = *state;
    unsigned commits = w->c->commits;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        version(w, bad[i].version);
        api_status(w->c, bad[i].status, "POST", C "/servers", w->c->demo,
                   server_body(bad[i].more));
    }
    version(w, NULL);
    api_status(w->c, 400, "POST", C "/servers", w->c->demo, "{\"server\":[]}");
    api_status(w->c, 400, "POST", C "/servers", w->c->demo,
               "{\"server\":{},\"more\":1}");
    api_status(w->c, 400, "POST", C "/servers", w->c->admin,
               server_body("\"availability_zone\":\"nova:mars\""));
    assert_int_equal(w->c->commits, commits);
}

static void what_was_given_is_shown(void **state)
{
    struct world *w = *state;
    version(w, "2.90");
    const char *id =
        create(w, "\"networks\":\"none\",\"metadata\":{\"a\":\"b\"},"
                  "\"tags\":[\"x\",\"x\"],\"description\":\"d\","
                  "\"hostname\":\"h\",\"config_drive\":\"true\","
                  "\"accessIPv4\":\"192.0.2.1\",\"user_data\":\"aGk=\"");
    json_t *s = show(w, id);
    assert_string_equal(api_text(s, "server.metadata.a"), "b");
    assert_int_equal(json_array_size(api_at(s, "server.tags")), 1);
    assert_string_equal(api_text(s, "server.description"), "d");
    assert_string_equal(api_text(s, "server.OS-EXT-SRV-ATTR:hostname"), "h");
    assert_string_equal(api_text(s, "server.config_drive"), "True");
    assert_string_equal(api_text(s, "server.accessIPv4"), "192.0.2.1");
    assert_string_equal(api_text(s, "server.flavor.original_name"), "tiny");
    assert_null(api_at(s, "server.OS-EXT-SRV-ATTR:host"));
    json_decref(s);
    s = api_expect(w->c, 200, "PUT", text(C "/servers/%s", id), w->c->demo,
                   "{\"server\":{\"name\":\"new\",\"accessIPv4\":\"\"}}");
    assert_string_equal(api_text(s, "server.name"), "new");
    assert_string_equal(api_text(s, "server.accessIPv4"), "");
    assert_string_equal(api_text(s, "server.description"), "d");
    json_decref(s);
    version(w, NULL);
}

static void groups_and_hosts(void **state)
{
    struct world *w = *state;
    json_t *g = api_expect(w->c, 200, "POST", C "/os-server-groups", w->c->demo,
                           "{\"server_group\":{\"name\":\"g\",\"policies\":"
                           "[\"anti-affinity\"]}}");
    const char *group = api_text(g, "server_group.id");
    json_t *s = api_expect(
        w->c, 202, "POST", C "/servers", w->c->demo,
        text("{\"server\":{\"name\":\"vm\",\"flavorRef\":\"t1\",\"imageRef\":"
             "\"" IMAGE "\"},\"os:scheduler_hints\":{\"group\":\"%s\"}}",
             group));
    json_t *members =
        api_expect(w->c, 200, "GET", text(C "/os-server-groups/%s", group),
                   w->c->demo, NULL);
    assert_string_equal(api_text(members, "server_group.members.0"),
                        api_text(s, "server.id"));
    api_status(w->c, 404, "GET", text(C "/os-server-groups/%s", NONE),
               w->c->demo, NULL);
    json_decref(members);
    json_decref(s);
    json_decref(g);
    version(w, "2.74");
    api_status(w->c, 202, "POST", C "/servers", w->c->admin,
               server_body("\"networks\":\"none\",\"hypervisor_hostname\":"
                           "\"one\""));
    api_status(w->c, 400, "POST", C "/servers", w->c->admin,
               server_body("\"networks\":\"none\",\"host\":\"one\","
                           "\"hypervisor_hostname\":\"two\""));
    version(w, NULL);
}

/* ---- actions ----------------------------------------------------------- */

#define BIT(s) (1u << (s))
#define ALL                                                                    \
    (BIT(VM_BUILDING) | BIT(VM_ACTIVE) | BIT(VM_STOPPED) | BIT(VM_PAUSED) |    \
     BIT(VM_SUSPENDED) | BIT(VM_ERROR))

/* Each action, and the states that it is taken in; 409 in all others. */
static const struct {
    const char *body;
    unsigned from;
    int goal;
} actions[] = {
    { "{\"os-start\":null}", BIT(VM_STOPPED), GOAL_RUNNING },
    { "{\"os-stop\":null}", BIT(VM_ACTIVE) | BIT(VM_ERROR), GOAL_STOPPED },
    { "{\"pause\":null}", BIT(VM_ACTIVE), GOAL_PAUSED },
    { "{\"unpause\":null}", BIT(VM_PAUSED), GOAL_RUNNING },
    { "{\"suspend\":null}", BIT(VM_ACTIVE), GOAL_SUSPENDED },
    { "{\"resume\":null}", BIT(VM_SUSPENDED), GOAL_RUNNING },
    { "{\"reboot\":{\"type\":\"SOFT\"}}", BIT(VM_ACTIVE), GOAL_RUNNING },
    { "{\"reboot\":{\"type\":\"HARD\"}}", ALL & ~BIT(VM_BUILDING),
      GOAL_RUNNING },
};

static int goal_of(struct world *w, const char *id)
{
    struct snapshot *s = api_snapshot(w->c);
    int goal = ((const struct server *)snap_get(s, &kind_server, id))->goal;
    snapshot_unref(s);
    return goal;
}

static void every_action_from_every_state(void **state)
{
    struct world *w = *state;
    char id[40];
    snprintf(id, sizeof(id), "%s", create(w, ""));
    char *path;
    for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++)
        for (int from = VM_BUILDING; from <= VM_ERROR; from++) {
            bool ok = actions[i].from & BIT(from);
            path = text(C "/servers/%s/action", id);
            set_state(w, id, from, TASK_SPAWNING);
            api_status(w->c, 409, "POST", path, w->c->demo, actions[i].body);
            set_state(w, id, from, TASK_NONE);
            api_status(w->c, ok ? 202 : 409, "POST", path, w->c->demo,
                       actions[i].body);
            if (ok)
                assert_int_equal(goal_of(w, id), actions[i].goal);
        }
}

static void odd_actions(void **state)
{
    struct world *w = *state;
    char id[40], path[100];
    snprintf(id, sizeof(id), "%s", create(w, ""));
    snprintf(path, sizeof(path), C "/servers/%s/action", id);
    set_state(w, id, VM_ACTIVE, TASK_NONE);
    api_status(w->c, 501, "POST", path, w->c->demo,
               "{\"changePassword\":{\"adminPass\":\"i\"}}");
    api_status(w->c, 501, "POST", path, w->c->demo, "{\"restore\":null}");
    api_status(w->c, 400, "POST", path, w->c->demo, "{\"dance\":null}");
    api_status(w->c, 400, "POST", path, w->c->demo, "{}");
    api_status(w->c, 400, "POST", path, w->c->demo,
               "{\"os-start\":null,\"os-stop\":null}");
    api_status(w->c, 400, "POST", path, w->c->demo, "{\"reboot\":{}}");
    api_status(w->c, 403, "POST", path, w->c->demo,
               "{\"os-resetState\":{\"state\":\"error\"}}");
    api_status(w->c, 202, "POST", path, w->c->admin,
               "{\"os-resetState\":{\"state\":\"error\"}}");
    assert_int_equal(listed(w, "status=error&status=paused"), 1);
    version(w, "2.6");
    api_status(w->c, 501, "POST", text(C "/servers/%s/remote-consoles", id),
               w->c->demo, "{\"remote_console\":{}}");
    version(w, NULL);
}

static void a_locked_server_is_left_alone(void **state)
{
    struct world *w = *state;
    char id[40], path[100];
    snprintf(id, sizeof(id), "%s", create(w, ""));
    snprintf(path, sizeof(path), C "/servers/%s/action", id);
    set_state(w, id, VM_ACTIVE, TASK_NONE);
    version(w, "2.73");
    api_status(w->c, 202, "POST", path, w->c->demo,
               "{\"lock\":{\"locked_reason\":\"why\"}}");
    json_t *s = show(w, id);
    assert_string_equal(api_text(s, "server.locked_reason"), "why");
    json_decref(s);
    assert_int_equal(listed(w, "locked=true"), 1);
    assert_int_equal(listed(w, "locked=false"), 0);
    api_status(w->c, 409, "POST", path, w->c->demo, "{\"os-stop\":null}");
    api_status(w->c, 409, "DELETE", text(C "/servers/%s", id), w->c->demo,
               NULL);
    api_status(w->c, 409, "POST", text(C "/servers/%s/metadata", id),
               w->c->demo, "{\"metadata\":{\"a\":\"b\"}}");
    api_status(w->c, 409, "POST", text(C "/servers/%s/os-interface", id),
               w->c->demo, "{\"interfaceAttachment\":{}}");
    api_status(w->c, 202, "POST", path, w->c->admin, "{\"os-stop\":null}");
    api_status(w->c, 202, "POST", path, w->c->demo, "{\"unlock\":null}");
    api_status(w->c, 204, "DELETE", text(C "/servers/%s", id), w->c->demo,
               NULL);
    /* Placed: its node has to take it down first. */
    assert_int_equal(goal_of(w, id), GOAL_DELETED);
    api_status(w->c, 409, "POST", path, w->c->demo, "{\"os-start\":null}");
    api_status(w->c, 204, "DELETE", text(C "/servers/%s", id), w->c->demo,
               NULL);
    version(w, NULL);
}

static void what_was_asked_is_remembered(void **state)
{
    struct world *w = *state;
    char id[40];
    snprintf(id, sizeof(id), "%s", create(w, ""));
    set_state(w, id, VM_ACTIVE, TASK_NONE);
    for (int i = 0; i < 30; i++) {
        api_status(w->c, 202, "POST", text(C "/servers/%s/action", id),
                   w->c->demo, "{\"reboot\":{\"type\":\"HARD\"}}");
        set_state(w, id, VM_ACTIVE, TASK_NONE);
    }
    api_status(w->c, 202, "POST", text(C "/servers/%s/action", id), w->c->demo,
               "{\"pause\":null}");
    json_t *l = api_expect(w->c, 200, "GET",
                           text(C "/servers/%s/os-instance-actions", id),
                           w->c->demo, NULL);
    assert_int_equal(json_array_size(api_at(l, "instanceActions")), 20);
    assert_string_equal(api_text(l, "instanceActions.0.action"), "pause");
    json_t *one = api_expect(w->c, 200, "GET",
                             text(C "/servers/%s/os-instance-actions/%s", id,
                                  api_text(l, "instanceActions.0.request_id")),
                             w->c->demo, NULL);
    assert_string_equal(api_text(one, "instanceAction.user_id"),
                        w->c->demo_user);
    json_decref(one);
    json_decref(l);
    api_status(w->c, 404, "GET",
               text(C "/servers/%s/os-instance-actions/req-0", id), w->c->demo,
               NULL);
}

/* ---- finding ----------------------------------------------------------- */

static const struct {
    const char *query;
    size_t n;
} found[] = {
    { "", 3 },
    { "name=vm", 2 },
    { "name=^vm-1$", 1 },
    { "name=^web|vm-1", 2 },
    { "name=VM", 0 },
    { "ip=10.1.0.5", 1 },
    { "ip6=fd00", 0 },
    { "status=BUILD", 3 },
    { "status=ACTIVE", 0 },
    { "status=NOSUCH", 0 },
    { "image=" IMAGE, 3 },
    { "image=" NONE, 0 },
    { "flavor=t1", 3 },
    { "deleted=True", 0 },
    { "deleted=false", 3 },
    { "changes-since=2020-01-01T00:00:00Z", 3 },
    { "changes-before=2020-01-01T00:00:00Z", 0 },
    { "limit=2", 2 },
    { "tags=a", 1 },
    { "tags=a,b", 1 },
    { "tags-any=a,c", 1 },
    { "not-tags=a", 2 },
    { "not-tags-any=a,c", 2 },
    { "unknown=x", 3 },
};

static const char *const unfindable[] = {
    "name=(",          "name=a%7B9999%7D",  "name=(a)%5C1",
    "ip=%5B",          "deleted=perhaps",   "changes-since=yesterday",
    "limit=-1",        "limit=x",           ("marker=" NONE),
    "sort_key=colour", "all_tenants=maybe",
};

static void lists_are_filtered(void **state)
{
    struct world *w = *state;
    create(w, "\"max_count\":2");
    api_status(w->c, 202, "POST", C "/servers", w->c->demo,
               text("{\"server\":{\"name\":\"web\",\"flavorRef\":\"t1\","
                    "\"imageRef\":\"" IMAGE "\",\"networks\":[{\"uuid\":"
                    "\"%s\",\"fixed_ip\":\"10.1.0.5\"}]}}",
                    w->network));
    version(w, "2.26");
    json_t *l =
        api_expect(w->c, 200, "GET", C "/servers?name=web", w->c->demo, NULL);
    api_status(w->c, 200, "PUT",
               text(C "/servers/%s/tags", api_text(l, "servers.0.id")),
               w->c->demo, "{\"tags\":[\"a\",\"b\"]}");
    json_decref(l);
    for (size_t i = 0; i < sizeof(found) / sizeof(found[0]); i++) {
        size_t n = listed(w, found[i].query);
        if (n != found[i].n)
            fail_msg("%s: %zu", found[i].query, n);
    }
    for (size_t i = 0; i < sizeof(unfindable) / sizeof(unfindable[0]); i++)
        api_status(w->c, 400, "GET", text(C "/servers?%s", unfindable[i]),
                   w->c->demo, NULL);
    version(w, NULL);
}

static void projects_do_not_see_each_other(void **state)
{
    static const char *const paths[] = {
        "",
        "/ips",
        "/metadata",
        "/os-interface",
        "/os-volume_attachments",
        "/os-security-groups",
        "/os-instance-actions",
    };
    struct world *w = *state;
    version(w, "2.37");
    json_t *s = api_expect(w->c, 202, "POST", C "/servers", w->c->admin,
                           server_body("\"networks\":\"none\""));
    const char *id = api_text(s, "server.id");
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
        api_status(w->c, 404, "GET", text(C "/servers/%s%s", id, paths[i]),
                   w->c->demo, NULL);
    api_status(w->c, 404, "DELETE", text(C "/servers/%s", id), w->c->demo,
               NULL);
    api_status(w->c, 404, "POST", text(C "/servers/%s/action", id), w->c->demo,
               "{\"os-stop\":null}");
    api_status(w->c, 404, "PUT", text(C "/servers/%s", id), w->c->demo,
               "{\"server\":{\"name\":\"mine\"}}");
    assert_int_equal(listed(w, ""), 0);
    assert_int_equal(listed(w, text("tenant_id=%s", w->c->admin_project)), 0);
    api_status(w->c, 403, "GET", C "/servers?all_tenants=1", w->c->demo, NULL);
    /* An administrator who names a project means all projects. */
    create(w, "\"networks\":\"none\"");
    json_t *l = api_expect(w->c, 200, "GET",
                           text(C "/servers?tenant_id=%s", w->c->demo_project),
                           w->c->admin, NULL);
    assert_int_equal(json_array_size(api_at(l, "servers")), 1);
    json_decref(l);
    json_decref(s);
    version(w, NULL);
}

/* ---- volumes and ports that come and go -------------------------------- */

static void attachments(void **state)
{
    static const char id[] = "d0000000-0000-4000-8000-000000000003";
    struct world *w = *state;
    char server[40], path[120];
    snprintf(server, sizeof(server), "%s", create(w, ""));
    snprintf(path, sizeof(path), C "/servers/%s/os-volume_attachments", server);
    char *body = text("{\"volumeAttachment\":{\"volumeId\":\"%s\"}}", id);
    make_volume(w, id, false);
    api_status(w->c, 409, "POST", path, w->c->demo, body); /* not there yet */
    set_state(w, server, VM_ACTIVE, TASK_NONE);
    api_status(w->c, 400, "POST", path, w->c->demo,
               "{\"volumeAttachment\":{\"volumeId\":\"x\"}}");
    api_status(w->c, 404, "POST", path, w->c->demo,
               "{\"volumeAttachment\":{\"volumeId\":\"" NONE "\"}}");
    api_status(w->c, 400, "POST", path, w->c->demo,
               text("{\"volumeAttachment\":{\"volumeId\":\"%s\",\"tag\":"
                    "\"t\"}}",
                    id));
    json_t *a = api_expect(w->c, 200, "POST", path, w->c->demo, body);
    assert_string_equal(api_text(a, "volumeAttachment.device"), "/dev/vdb");
    json_decref(a);
    api_status(w->c, 400, "POST", path, w->c->demo, body); /* it is attaching */
    version(w, "2.85");
    api_status(w->c, 202, "PUT", text("%s/%s", path, id), w->c->demo,
               text("{\"volumeAttachment\":{\"volumeId\":\"%s\","
                    "\"delete_on_termination\":true}}",
                    id));
    a = api_expect(w->c, 200, "GET", text("%s/%s", path, id), w->c->demo, NULL);
    assert_true(
        json_is_true(api_at(a, "volumeAttachment.delete_on_termination")));
    json_decref(a);
    version(w, NULL);
    api_status(w->c, 404, "DELETE", text("%s/%s", path, NONE), w->c->demo,
               NULL);
}

static void interfaces(void **state)
{
    struct world *w = *state;
    char server[40], path[120];
    snprintf(server, sizeof(server), "%s",
             create(w, text("\"networks\":[{\"uuid\":\"%s\"}]", w->network)));
    snprintf(path, sizeof(path), C "/servers/%s/os-interface", server);
    set_state(w, server, VM_ACTIVE, TASK_NONE);
    static const char *const wrong[] = {
        "",
        "\"port_id\":\"a\",\"net_id\":\"b\"",
        ("\"net_id\":\"" NONE "\""),
        "\"fixed_ips\":[{\"ip_address\":\"10.1.0.9\"}]",
        "\"colour\":1",
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        api_status(w->c, 400, "POST", path, w->c->demo,
                   text("{\"interfaceAttachment\":{%s}}", wrong[i]));
    json_t *a = api_expect(
        w->c, 200, "POST", path, w->c->demo,
        text("{\"interfaceAttachment\":{\"net_id\":\"%s\",\"fixed_ips\":"
             "[{\"ip_address\":\"10.1.0.99\"}]}}",
             w->network));
    assert_string_equal(
        api_text(a, "interfaceAttachment.fixed_ips.0.ip_address"), "10.1.0.99");
    api_status(w->c, 400, "POST", path, w->c->demo,
               text("{\"interfaceAttachment\":{\"port_id\":\"%s\"}}",
                    api_text(a, "interfaceAttachment.port_id")));
    api_status(w->c, 202, "POST", text(C "/servers/%s/action", server),
               w->c->demo, "{\"removeFixedIp\":{\"address\":\"10.1.0.99\"}}");
    api_status(w->c, 400, "POST", text(C "/servers/%s/action", server),
               w->c->demo, "{\"removeFixedIp\":{\"address\":\"10.1.0.99\"}}");
    api_status(w->c, 202, "DELETE",
               text("%s/%s", path, api_text(a, "interfaceAttachment.port_id")),
               w->c->demo, NULL);
    api_status(w->c, 404, "DELETE", text("%s/%s", path, NONE), w->c->demo,
               NULL);
    json_decref(a);
}

/* A port cannot make itself a server's or a router's: it would be told that
 * server's secrets. */
static void ports_claim_nothing(void **state)
{
    struct world *w = *state;
    char server[40];
    snprintf(server, sizeof(server), "%s", create(w, ""));
    json_t *p =
        api_expect(w->c, 201, "POST", N "/ports", w->c->demo,
                   text("{\"port\":{\"network_id\":\"%s\"}}", w->network));
    char *path = text(N "/ports/%s", api_text(p, "port.id"));
    api_status(w->c, 400, "PUT", path, w->c->demo,
               text("{\"port\":{\"device_id\":\"%s\"}}", server));
    api_status(w->c, 403, "PUT", path, w->c->demo,
               "{\"port\":{\"device_owner\":\"network:router_interface\"}}");
    api_status(w->c, 200, "PUT", path, w->c->demo,
               "{\"port\":{\"device_id\":\"my-router\"}}");
    json_decref(p);
    p = api_expect(w->c, 200, "GET", text(N "/ports?device_id=%s", server),
                   w->c->demo, NULL);
    api_status(w->c, 409, "PUT", text(N "/ports/%s", api_text(p, "ports.0.id")),
               w->c->demo, "{\"port\":{\"device_id\":\"\"}}");
    json_decref(p);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_network_gives_a_port),
        TEST(a_port_is_for_one_card),
        TEST(networks_by_word),
        TEST(many_at_once),
        TEST(boots_from_volumes),
        TEST(bad_input_leaves_nothing),
        TEST(what_was_given_is_shown),
        TEST(groups_and_hosts),
        TEST(every_action_from_every_state),
        TEST(odd_actions),
        TEST(a_locked_server_is_left_alone),
        TEST(what_was_asked_is_remembered),
        TEST(lists_are_filtered),
        TEST(projects_do_not_see_each_other),
        TEST(attachments),
        TEST(interfaces),
        TEST(ports_claim_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
