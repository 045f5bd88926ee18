/* What guests read: the service's two trees and the config drive. */
#include "test.h"

#include "server_world.h"

#include "common/b64.h"
#include "compute/config_drive.h"
#include "compute/guest_metadata.h"

#define KEY "ssh-ed25519 AAAAC3 me@here"

static void put_subnet(const char *id, int version, bool dhcp)
{
    struct subnet *n = record_new(&kind_subnet, id);
    n->network_id = rec_str(n, "net1");
    n->ip_version = version;
    n->cidr = rec_str(n, version == 4 ? "10.0.0.0/20" : "fd00::/64");
    n->gateway_ip = rec_str(n, version == 4 ? "10.0.0.1" : "fd00::1");
    n->enable_dhcp = dhcp;
    strs_add(n, &n->dns_nameservers, "9.9.9.9");
    struct host_route *r = list_add(n, &n->host_routes, sizeof(*r));
    r->destination = rec_str(n, "192.168.0.0/16");
    r->nexthop = rec_str(n, "10.0.0.9");
    world_put(n);
}

static void put_world(void)
{
    struct network *net = record_new(&kind_network, "net1");
    net->mtu = 1442;
    world_put(net);
    put_subnet("sub1", 4, true);
    put_subnet("sub6", 6, false);
    struct security_group *g = record_new(&kind_security_group, "sg1");
    g->name = rec_str(g, "default");
    world_put(g);
    struct port *p = a_port(PORT_ID, "fa:16:3e:00:00:01", "10.0.0.5");
    struct fixed_ip *six = list_add(p, &p->fixed_ips, sizeof(*six));
    six->subnet_id = rec_str(p, "sub6");
    six->ip_address = rec_str(p, "fd00::5");
    strs_add(p, &p->security_group_ids, "sg1");
    world_put(p);
    struct floating_ip *f = record_new(&kind_floating_ip, "fip1");
    f->port_id = rec_str(f, PORT_ID);
    f->address = rec_str(f, "172.24.4.10");
    world_put(f);
    struct server *s = a_server();
    s->name = rec_str(s, "w\"eb");
    s->key_name = rec_str(s, "mykey");
    s->key_public = rec_str(s, KEY);
    s->user_data = rec_str(s, "IyEvYmluL3NoCgD/"); /* "#!/bin/sh\n\0\xff" */
    s->reservation_id = rec_str(s, "r-abc");
    map_put(s, &s->metadata, "role", "db");
    with_port(s, PORT_ID, ATTACH_DONE)->tag = "front";
    with_port(s, "gone", ATTACH_DONE);
    world_put(s);
}

static int setup(void **state)
{
    world_open();
    world_follow();
    put_world();
    return 0;
}

static int teardown(void **state)
{
    world_close();
    return 0;
}

static struct buf out = { .max = GUEST_METADATA_MAX };
static const char *type;
static struct error err;

static bool get(const char *path)
{
    _autosnap_ struct snapshot *s = cache_snapshot(world_cache);
    buf_reset(&out);
    return guest_metadata_get(s, "net1", "10.0.0.5", path, &out, &type, &err);
}

/* The server becomes one without what is optional. */
static void make_plain(void)
{
    struct server *s = world_edit(&kind_server, SERVER_ID);
    s->key_name = s->key_public = s->user_data = s->reservation_id = NULL;
    s->image_id = NULL;
    world_put(s);
}

static void ec2_tree(void **state)
{
    static const char *const rows[][2] = {
        { "/latest", "meta-data/\nuser-data" },
        { "/2009-04-04/", "meta-data/\nuser-data" },
        { "/latest/meta-data/",
          "ami-id\nami-launch-index\nblock-device-mapping/\nhostname\n"
          "instance-action\ninstance-id\ninstance-type\nlocal-hostname\n"
          "local-ipv4\nplacement/\npublic-hostname\npublic-ipv4\n"
          "public-keys/\nreservation-id\nsecurity-groups" },
        { "/latest/meta-data/placement", "availability-zone" },
        { "/latest/meta-data/placement/availability-zone", "nova" },
        { "/latest/meta-data/instance-id", "i-5f6d7a52" },
        { "/latest/meta-data/ami-id", "ami-c0c0c0c0" },
        { "/latest/meta-data/instance-type", "m1.small" },
        { "/latest/meta-data/hostname", "web" },
        { "/latest/meta-data/local-ipv4", "10.0.0.5" },
        { "/latest/meta-data/public-ipv4", "172.24.4.10" },
        { "/latest/meta-data/public-keys/", "0=mykey" },
        { "/latest/meta-data/public-keys/0", "openssh-key" },
        { "/latest/meta-data/public-keys/0/openssh-key", KEY },
        { "/latest/meta-data/security-groups", "default" },
        { "/latest/meta-data/reservation-id", "r-abc" },
        { "/latest/meta-data/block-device-mapping/root", "/dev/vda" },
        { "/latest/meta-data/block-device-mapping/ami", "vda" },
        { "/1.0/meta-data/ami-launch-index", "0" },
    };
    struct server *s = world_edit(&kind_server, SERVER_ID);
    s->root_device = rec_str(s, "/dev/vda");
    world_put(s);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if (!get(rows[i][0]))
            fail_msg("%s: %s", rows[i][0], err.text);
        assert_string_equal(buf_str(&out), rows[i][1]);
        assert_string_equal(type, "text/plain; charset=UTF-8");
    }
}

static void user_data_is_bytes(void **state)
{
    static const char *const paths[] = { "/latest/user-data",
                                         "/openstack/latest/user_data" };
    for (size_t i = 0; i < 2; i++) {
        assert_true(get(paths[i]));
        assert_int_equal(out.len, 12);
        assert_memory_equal(out.data, "#!/bin/sh\n\0\xff", 12);
        assert_string_equal(type, "application/octet-stream");
    }
}

static void what_is_not_there(void **state)
{
    static const char *const paths[] = {
        "/latest/meta-data/nothing",
        "/latest/nothing",
        "/nothing",
        "/latest/meta-dat",
        "/latest/meta-data/public-keys/1/openssh-key",
        "/latest/meta-data/placement/availability-zone/x",
        "/openstack/latest/meta_data",
        "/openstack/2001-01-01/meta_data.json",
        "/openstack/latest/../latest/meta_data.json",
        "/openstackx",
        "/latestx/meta-data",
    };
    for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
        if (get(paths[i]))
            fail_msg("%s is there", paths[i]);
        assert_int_equal(err.code, ERR_NOT_FOUND);
    }
    make_plain();
    assert_false(get("/latest/user-data"));
    assert_false(get("/openstack/latest/user_data"));
    assert_false(get("/latest/meta-data/public-keys/"));
    assert_false(get("/latest/meta-data/public-keys/0/openssh-key"));
    assert_true(get("/latest"));
    assert_string_equal(buf_str(&out), "meta-data/");
    assert_true(get("/latest/meta-data"));
    assert_null(strstr(buf_str(&out), "public-keys"));
    assert_null(strstr(buf_str(&out), "ami-id"));
}

/* Whoever has another address, or the same one elsewhere, learns nothing. */
static void only_to_whom_it_belongs(void **state)
{
    _autosnap_ struct snapshot *s = cache_snapshot(world_cache);
    buf_reset(&out);
    assert_false(guest_metadata_get(s, "net1", "10.0.0.6", "/latest", &out,
                                    &type, &err));
    assert_false(guest_metadata_get(s, "net2", "10.0.0.5", "/latest", &out,
                                    &type, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_int_equal(out.len, 0);
    assert_non_null(guest_find(s, "net1", "fd00::5"));
}

static json_t *get_json(const char *path)
{
    assert_true(get(path));
    assert_string_equal(type, "application/json");
    json_error_t e;
    json_t *j = json_loads(buf_str(&out), 0, &e);
    if (!j)
        fail_msg("%s: %s in %s", path, e.text, buf_str(&out));
    return j;
}

static const char *at(json_t *j, const char *a, const char *b)
{
    return json_string_value(json_object_get(json_object_get(j, a), b));
}

static void meta_data_json(void **state)
{
    _autojson_ json_t *j = get_json("/openstack/2018-08-27/meta_data.json");
    assert_string_equal(json_string_value(json_object_get(j, "uuid")),
                        SERVER_ID);
    assert_string_equal(json_string_value(json_object_get(j, "name")), "w\"eb");
    assert_string_equal(json_string_value(json_object_get(j, "hostname")),
                        "web");
    assert_string_equal(
        json_string_value(json_object_get(j, "availability_zone")), "nova");
    assert_string_equal(json_string_value(json_object_get(j, "project_id")),
                        "p1");
    assert_string_equal(at(j, "meta", "role"), "db");
    assert_string_equal(at(j, "public_keys", "mykey"), KEY);
    json_t *key = json_array_get(json_object_get(j, "keys"), 0);
    assert_string_equal(json_string_value(json_object_get(key, "data")), KEY);
    json_t *nic = json_array_get(json_object_get(j, "devices"), 0);
    assert_string_equal(json_string_value(json_object_get(nic, "mac")),
                        "fa:16:3e:00:00:01");
}

static void network_data_json(void **state)
{
    _autojson_ json_t *j = get_json("/openstack/latest/network_data.json");
    _autojson_ json_t *want = json_loads(
        "{\"links\":[{\"id\":\"tapb0b0b0b0-00\",\"vif_id\":\"" PORT_ID "\","
        "\"type\":\"ovs\",\"mtu\":1442,"
        "\"ethernet_mac_address\":\"fa:16:3e:00:00:01\"}],"
        "\"networks\":["
        "{\"id\":\"network0\",\"type\":\"ipv4_dhcp\","
        "\"link\":\"tapb0b0b0b0-00\",\"network_id\":\"net1\"},"
        "{\"id\":\"network1\",\"type\":\"ipv6\",\"link\":\"tapb0b0b0b0-00\","
        "\"network_id\":\"net1\",\"ip_address\":\"fd00::5\","
        "\"netmask\":\"ffff:ffff:ffff:ffff::\",\"routes\":["
        "{\"network\":\"::\",\"netmask\":\"::\",\"gateway\":\"fd00::1\"},"
        "{\"network\":\"192.168.0.0\",\"netmask\":\"255.255.0.0\","
        "\"gateway\":\"10.0.0.9\"}],"
        "\"services\":[{\"type\":\"dns\",\"address\":\"9.9.9.9\"}]}],"
        "\"services\":[{\"type\":\"dns\",\"address\":\"9.9.9.9\"},"
        "{\"type\":\"dns\",\"address\":\"9.9.9.9\"}]}",
        0, NULL);
    assert_non_null(want);
    if (!json_equal(j, want))
        fail_msg("%s", buf_str(&out));
}

static void listings(void **state)
{
    assert_true(get("/"));
    assert_non_null(strstr(buf_str(&out), "2009-04-04\nlatest"));
    assert_true(get("/openstack"));
    assert_non_null(strstr(buf_str(&out), "2018-08-27\n"));
    assert_true(get("/openstack/latest/"));
    assert_string_equal(buf_str(&out),
                        "meta_data.json\nnetwork_data.json\nuser_data\n"
                        "vendor_data.json\nvendor_data2.json");
}

/* ---- the config drive, read by a reader of its own ---------------------- */

static uint32_t le32(const char *p)
{
    const unsigned char *u = (const unsigned char *)p;
    return u[0] | u[1] << 8 | u[2] << 16 | (uint32_t)u[3] << 24;
}

/* The record named `name` (as it is on the disk) in the directory that `dir`
 * is the record of. */
static const char *entry(const struct buf *iso, const char *dir,
                         const char *name, size_t len)
{
    const char *p = iso->data + le32(dir + 2) * 2048;
    for (const char *end = p + le32(dir + 10); p < end && *p;
         p += (unsigned char)*p)
        if ((size_t)(unsigned char)p[32] == len &&
            memcmp(p + 33, name, len) == 0)
            return p;
    return NULL;
}

/* A path below the root of the plain (sector 16) or Joliet (17) tree. */
static const char *lookup(const struct buf *iso, int sector, const char *path)
{
    const char *at_ = iso->data + sector * 2048 + 156;
    while (at_ && *path) {
        char name[128];
        size_t n = 0, len = strcspn(path, "/");
        bool file = !path[len];
        for (size_t i = 0; i < len + 2 * file; i++) {
            if (sector == 17)
                name[n++] = 0;
            name[n++] = i < len ? path[i] : ";1"[i - len];
        }
        at_ = entry(iso, at_, name, n);
        path += len + (path[len] == '/');
    }
    return at_;
}

static void expect_file(const struct buf *iso, int sector, const char *path,
                        const char *service_path)
{
    const char *e = lookup(iso, sector, path);
    if (!e) {
        fail_msg("%s is not on the drive", path);
        return;
    }
    assert_true(get(service_path));
    assert_int_equal(le32(e + 10), out.len);
    assert_memory_equal(iso->data + le32(e + 2) * 2048, out.data, out.len);
}

static void config_drive(void **state)
{
    struct buf iso = BUF_INIT(CONFIG_DRIVE_MAX);
    _autosnap_ struct snapshot *s = cache_snapshot(world_cache);
    const struct server *v = snap_get(s, &kind_server, SERVER_ID);
    assert_true(config_drive_write(s, v, &iso, &err));
    assert_int_equal(iso.len % 2048, 0);
    assert_int_equal(le32(iso.data + 16 * 2048 + 80) * 2048, iso.len);
    assert_memory_equal(iso.data + 16 * 2048, "\1CD001\1", 7);
    assert_memory_equal(iso.data + 16 * 2048 + 40, "config-2   ", 11);
    assert_memory_equal(iso.data + 17 * 2048 + 40, "\0c\0o\0n\0f\0i\0g\0-\0002",
                        16);
    expect_file(&iso, 17, "openstack/latest/meta_data.json",
                "/openstack/latest/meta_data.json");
    expect_file(&iso, 17, "openstack/latest/network_data.json",
                "/openstack/latest/network_data.json");
    expect_file(&iso, 17, "openstack/latest/user_data", "/latest/user-data");
    expect_file(&iso, 17, "openstack/latest/vendor_data2.json",
                "/openstack/latest/vendor_data2.json");
    expect_file(&iso, 16, "OPENSTACK/LATEST/META_DATA.JSON",
                "/openstack/latest/meta_data.json");
    const char *e = lookup(&iso, 17, "ec2/latest/meta-data.json");
    assert_non_null(e);
    if (!e)
        return;
    _autojson_ json_t *j =
        json_loadb(iso.data + le32(e + 2) * 2048, le32(e + 10), 0, NULL);
    assert_string_equal(at(j, "placement", "availability-zone"), "nova");
    assert_string_equal(json_string_value(json_object_get(j, "instance-id")),
                        "i-5f6d7a52");
    buf_free(&iso);
}

static void config_drive_of_a_plain_server(void **state)
{
    struct buf iso = BUF_INIT(CONFIG_DRIVE_MAX);
    make_plain();
    _autosnap_ struct snapshot *s = cache_snapshot(world_cache);
    const struct server *v = snap_get(s, &kind_server, SERVER_ID);
    assert_true(config_drive_write(s, v, &iso, &err));
    assert_null(lookup(&iso, 17, "openstack/latest/user_data"));
    assert_non_null(lookup(&iso, 17, "openstack/latest/meta_data.json"));
    buf_free(&iso);
    iso = BUF_INIT(50000);
    assert_false(config_drive_write(s, v, &iso, &err));
    assert_int_equal(err.code, ERR_TOO_LARGE);
    buf_free(&iso);
}

static int free_out(void **state)
{
    buf_free(&out);
    return 0;
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(ec2_tree),
        TEST(user_data_is_bytes),
        TEST(what_is_not_there),
        TEST(only_to_whom_it_belongs),
        TEST(meta_data_json),
        TEST(network_data_json),
        TEST(listings),
        TEST(config_drive),
        TEST(config_drive_of_a_plain_server),
    };
    return cmocka_run_group_tests(tests, NULL, free_out);
}
