/*
 * metadata, link: devices, addresses, sockets and the switch's rows, in a
 * network namespace of the test's own and against a real ovsdb-server (no
 * switch behind it: tests/lab/prove-network has one).
 */
#include "network/metadata.h"

#include "eventually.h"
#include "net_world.h"
#include "ovsdb_server.h"

#include "network/link.h"
#include "network/ovsdb.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <sched.h>
#include <sys/socket.h>

#define VSWITCH_SCHEMA "/usr/share/openvswitch/vswitch.ovsschema"
#define OUTER          "cmonet"
#define INNER          "cminet"

struct heard {
    int fd; /* of the newest call; -2: none yet */
    char network[40];
    int calls;
};

static void listener(void *arg, const char *network_id, int fd)
{
    struct heard *h = arg;
    if (h->fd >= 0)
        close(h->fd);
    h->fd = fd;
    h->calls++;
    snprintf(h->network, sizeof(h->network), "%s", network_id);
}

struct lab {
    struct ovsdb_server *server;
    struct ovsdb *eyes;
    struct heard heard;
    struct metadata *m;
    struct world w;
};

static void lab_write(struct lab *l, const char *ops_text)
{
    struct error err = { 0 };
    _autojson_ json_t *ops = json_loads(ops_text, 0, NULL);
    assert_non_null(ops);
    if (!ovsdb_transact(l->eyes, ops, 10 * SECOND_US, NULL, &err))
        fail_msg("%s", err.text);
}

static void make_bridge(struct lab *l)
{
    lab_write(l, "[{\"op\":\"insert\",\"table\":\"Bridge\",\"uuid-name\":"
                 "\"b\",\"row\":{\"name\":\"br-int\"}},"
                 "{\"op\":\"insert\",\"table\":\"Open_vSwitch\","
                 "\"row\":{\"bridges\":[\"named-uuid\",\"b\"]}}]");
}

static void lab_open(struct lab *l)
{
    struct error err = { 0 };
    l->m =
        metadata_open(&(struct metadata_config){ l->server->socket, "br-int",
                                                 "node1", listener, &l->heard },
                      &err);
    if (!l->m)
        fail_msg("%s", err.text);
}

static struct lab *lab_new(void)
{
    struct lab *l = xcalloc(1, sizeof(*l));
    struct error err = { 0 };
    _autojson_ json_t *nothing = json_object();
    l->server = ovsdb_server_new(VSWITCH_SCHEMA);
    l->heard.fd = -2;
    l->w = world_small();
    l->eyes = ovsdb_new(&(struct ovsdb_config){ .socket = l->server->socket,
                                                .database = "Open_vSwitch",
                                                .monitor = nothing });
    assert_true(ovsdb_wait(l->eyes, 10 * SECOND_US, &err));
    lab_open(l);
    return l;
}

static void lab_free(struct lab *l)
{
    metadata_close(l->m);
    if (l->heard.fd >= 0)
        close(l->heard.fd);
    ovsdb_free(l->eyes);
    ovsdb_server_free(l->server);
    world_free(&l->w);
    free(l);
}

static bool apply(struct lab *l, struct error *err)
{
    _autosnap_ struct snapshot *s = cache_snapshot(l->w.cache);
    return metadata_apply(l->m, s, err);
}

static void must_apply(struct lab *l)
{
    struct error err = { 0 };
    /* Until it has heard of the bridge. */
    bool ok = false;
    eventually((ok = apply(l, &err)) || err.code != ERR_UNAVAILABLE);
    if (!ok)
        fail_msg("%s", err.text);
}

static unsigned index_of(const char *name)
{
    struct link_ns here = LINK_NS_NONE;
    assert_true(link_open(&here, NULL));
    unsigned index = link_index(&here, name);
    link_close(&here);
    return index;
}

/* Ports and the interface's iface-id in the switch's database, as text. */
static char *switch_rows(struct lab *l)
{
    json_t *results = NULL;
    struct error err = { 0 };
    _autojson_ json_t *ops =
        json_loads("[{\"op\":\"select\",\"table\":\"Interface\",\"where\":[],"
                   "\"columns\":[\"name\",\"external_ids\"]}]",
                   0, NULL);
    if (!ovsdb_transact(l->eyes, ops, 10 * SECOND_US, &results, &err))
        fail_msg("%s", err.text);
    char *text = json_dumps(json_object_get(json_array_get(results, 0), "rows"),
                            JSON_COMPACT | JSON_SORT_KEYS);
    json_decref(results);
    return text;
}

static void check_rows(struct lab *l, const char *want)
{
    _autofree_ char *text = switch_rows(l);
    assert_string_equal(text, want);
}

static const char one_row[] =
    "[{\"external_ids\":[\"map\",[[\"iface-id\",\"meta\"]]],"
    "\"name\":\"" OUTER "\"}]";

/* Inside the namespace: is the address one of its own? */
struct probe {
    int ns;
    const char *address;
    int rc;
};

static void *probe(void *arg)
{
    struct probe *p = arg;
    struct sockaddr_in to = { .sin_family = AF_INET };
    inet_pton(AF_INET, p->address, &to.sin_addr);
    p->rc = -1;
    if (setns(p->ns, CLONE_NEWNET))
        return NULL;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    p->rc = bind(fd, (struct sockaddr *)&to, sizeof(to));
    close(fd);
    return NULL;
}

/* 0 when the address is one of the namespace's own. */
static int address_is_there(struct lab *l, const char *address)
{
    pthread_t t;
    struct probe p = { metadata_namespace(l->m), address, -1 };
    assert_int_equal(pthread_create(&t, NULL, probe, &p), 0);
    pthread_join(t, NULL);
    return p.rc;
}

/* ---- tests ------------------------------------------------------------- */

static void test_serve(void **state)
{
    struct lab *l = lab_new();
    struct error err = { 0 };
    assert_false(apply(l, &err)); /* no bridge yet */
    assert_int_equal(err.code, ERR_UNAVAILABLE);
    make_bridge(l);
    must_apply(l);
    assert_string_equal(l->heard.network, "net");
    assert_true(l->heard.fd >= 0);
    assert_int_not_equal(index_of(OUTER), 0);
    assert_int_equal(index_of(INNER), 0); /* that one is inside */
    check_rows(l, one_row);
    assert_int_equal(address_is_there(l, "10.0.0.2"), 0);
    assert_int_equal(address_is_there(l, "169.254.169.254"), 0);
    assert_int_not_equal(address_is_there(l, "10.0.0.3"), 0);
    /* The socket listens, on that device only. */
    int listens = 0;
    char device[32] = "";
    socklen_t len = sizeof(listens), device_len = sizeof(device);
    assert_int_equal(
        getsockopt(l->heard.fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len), 0);
    assert_int_equal(listens, 1);
    assert_int_equal(getsockopt(l->heard.fd, SOL_SOCKET, SO_BINDTODEVICE,
                                device, &device_len),
                     0);
    assert_string_equal(device, INNER);
    lab_free(l);
}

static void test_again_and_gone(void **state)
{
    struct lab *l = lab_new();
    make_bridge(l);
    must_apply(l);
    unsigned index = index_of(OUTER);
    must_apply(l); /* nothing to do */
    assert_int_equal(l->heard.calls, 1);
    assert_int_equal(index_of(OUTER), index);
    metadata_announce(l->m);
    assert_int_equal(l->heard.calls, 2);
    assert_true(l->heard.fd >= 0);
    /* Another address: made anew. */
    struct port *p = world_edit(&l->w, &kind_port, "meta");
    LIST_AT(p->fixed_ips, struct fixed_ip, 0)->ip_address =
        rec_str(p, "10.0.0.3");
    world_put(&l->w, p);
    must_apply(l);
    assert_int_equal(address_is_there(l, "10.0.0.3"), 0);
    assert_int_not_equal(address_is_there(l, "10.0.0.2"), 0);
    assert_true(l->heard.fd >= 0);
    check_rows(l, one_row);
    /* The guest moves to another node: the leg goes. */
    p = world_edit(&l->w, &kind_port, "vm");
    p->node = rec_str(p, "node2");
    world_put(&l->w, p);
    must_apply(l);
    assert_int_equal(l->heard.fd, -1);
    assert_int_equal(index_of(OUTER), 0);
    check_rows(l, "[]");
    lab_free(l);
}

/* What a killed daemon left is swept and made anew. */
static void test_after_a_crash(void **state)
{
    struct lab *l = lab_new();
    make_bridge(l);
    must_apply(l);
    struct metadata *dead = l->m; /* as it lay there, never closed */
    lab_open(l);
    must_apply(l);
    check_rows(l, one_row);
    assert_int_not_equal(index_of(OUTER), 0);
    assert_int_equal(address_is_there(l, "169.254.169.254"), 0);
    metadata_close(l->m);
    assert_int_equal(index_of(OUTER), 0);
    check_rows(l, "[]");
    l->m = dead;
    lab_free(l);
}

/* Somebody deletes the device: the next audit brings it back. */
static void test_lost_device(void **state)
{
    struct lab *l = lab_new();
    struct link_ns here = LINK_NS_NONE;
    make_bridge(l);
    must_apply(l);
    assert_true(link_open(&here, NULL));
    assert_true(link_delete(&here, OUTER, NULL));
    assert_true(link_delete(&here, OUTER, NULL)); /* it is gone: fine */
    link_close(&here);
    must_apply(l);
    assert_int_not_equal(index_of(OUTER), 0);
    assert_int_equal(address_is_there(l, "10.0.0.2"), 0);
    check_rows(l, one_row);
    lab_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_serve),
        cmocka_unit_test(test_again_and_gone),
        cmocka_unit_test(test_after_a_crash),
        cmocka_unit_test(test_lost_device),
    };
    /* Never in the machine's own network. */
    if (unshare(CLONE_NEWNET)) {
        puts("test_metadata: skipped, needs root");
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
