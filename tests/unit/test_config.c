/* config: defaults, every key, and errors that name their line. */
#include "test.h"

#include "common/log.h"
#include "daemon/config.h"

#include <stdlib.h>
#include <string.h>

static bool parse(struct config *c, const char *text, struct error *err)
{
    return config_parse(c, text, strlen(text), err);
}

static void empty(void **state)
{
    struct config c;
    assert_true(parse(&c, "", NULL));
    assert_string_equal(c.state_dir, "/var/lib/cairn");
    assert_string_equal(c.external_cidr, "");
    assert_true(c.tls);
    assert_int_equal(c.log_level, LOG_INFO);
    config_free(&c);
}

/* As scripts/node-init writes it. */
static void whole(void **state)
{
    struct config c;
    struct error err = { 0 };
    bool ok = parse(&c,
                    "# comment\n"
                    "node_name = node1\n"
                    "region = RegionOne\n"
                    "state_dir = /var/lib/cairn\n"
                    "run_dir = /run/cairn\n"
                    "listen = 172.24.4.2:443\n"
                    "public_url = https://172.24.4.2\n"
                    "admin_password_file = /etc/cairn/admin-password\n"
                    "demo_password_file = /etc/cairn/demo-password\n"
                    "libvirt_uri = qemu:///system\n"
                    "ovn_nb = unix:/run/ovn/ovnnb_db.sock\n"
                    "ovs_db = unix:/run/openvswitch/db.sock\n"
                    "datapath = netdev\n"
                    "physnet = physnet1\n"
                    "external_cidr = 172.24.4.0/24\n"
                    "external_gateway = 172.24.4.1\n"
                    "external_pool_start = 172.24.4.10\n"
                    "external_pool_end = 172.24.4.250\n"
                    "\n"
                    "  tls=off\r\n"
                    "log_level = \"debug\"",
                    &err);
    if (!ok)
        fail_msg("%s", err.text);
    assert_string_equal(c.node_name, "node1");
    assert_string_equal(c.external_pool_end, "172.24.4.250");
    assert_string_equal(c.datapath, "netdev");
    assert_false(c.tls);
    assert_int_equal(c.log_level, LOG_DEBUG);
    config_free(&c);
}

static void errors(void **state)
{
    static const char *const bad[][2] = {
        { "nonsense", "line 1: no '='" },
        { "= 1", "line 1: no key before the '='" },
        { "a b = 1", "line 1: no key before the '='" },
        { "tls = maybe", "line 1: tls must be on or off" },
        { "tls = on\ntls = on", "line 2: tls is given twice" },
        { "state_dir = here", "line 1: state_dir must be an absolute path" },
        { "state_dir =", "line 1: state_dir must be an absolute path" },
        { "listen = 443", "line 1: listen must be address:port" },
        { "listen = host:443", "line 1: listen must be address:port" },
        { "listen = ::1:443", "line 1: listen must be address:port" },
        { "listen = 1.2.3.4:0", "line 1: listen must be address:port" },
        { "listen = 1.2.3.4:65536", "line 1: listen must be address:port" },
        { "public_url = https://a/b",
          "line 1: public_url must be https://host[:port]" },
        { "public_url = ftp://a",
          "line 1: public_url must be https://host[:port]" },
        { "external_cidr = 1.2.3.4/33",
          "line 1: external_cidr must be a prefix" },
        { "ovn_nb = tcp:1.2.3.4:6641", "line 1: ovn_nb must be unix:/path" },
        { "store = mysql", "line 1: store must be sqlite or etcd" },
        { "etcd_endpoints =", "line 1: etcd_endpoints must be host:port, ..." },
        { "etcd_endpoints = a:1,b",
          "line 1: etcd_endpoints must be host:port, ..." },
        { "region = a b", "line 1: region must be a name" },
        { "state_dir = /a\001b", "line 1: state_dir must be an absolute path" },
        { "log_level = loud",
          "line 1: log_level must be error, warning, info or debug" },
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct config c;
        struct error err = { 0 };
        assert_false(parse(&c, bad[i][0], &err));
        assert_int_equal(err.code, ERR_INVALID);
        assert_string_equal(err.text, bad[i][1]);
    }
}

/* What an older or a newer version understands stops nobody. */
static void unknown_keys(void **state)
{
    struct config c;
    struct buf text = BUF_INIT(CONFIG_UNKNOWN_MAX * 20);
    assert_true(parse(&c, "tls = off\n fresh.key = \"1\"\n\nold = 2", NULL));
    assert_false(c.tls);
    assert_int_equal(c.n_unknown, 2);
    assert_string_equal(c.unknown[0].key, "fresh.key");
    assert_int_equal(c.unknown[0].line, 2);
    assert_string_equal(c.unknown[1].key, "old");
    assert_int_equal(c.unknown[1].line, 4);
    config_free(&c);
    for (int i = 0; i < CONFIG_UNKNOWN_MAX + 5; i++)
        buf_addf(&text, "more=1\n");
    assert_true(parse(&c, buf_str(&text), NULL));
    assert_int_equal(c.n_unknown, CONFIG_UNKNOWN_MAX);
    config_free(&c);
    buf_free(&text);
}

static void bounds(void **state)
{
    struct config c;
    struct error err = { 0 };
    char *big = xmalloc(CONFIG_FILE_MAX + 2);
    memset(big, '\n', CONFIG_FILE_MAX + 1);
    assert_true(config_parse(&c, big, CONFIG_FILE_MAX, &err));
    config_free(&c);
    assert_false(config_parse(&c, big, CONFIG_FILE_MAX + 1, &err));
    assert_int_equal(err.code, ERR_TOO_LARGE);
    assert_false(config_parse(&c, "a\0b", 3, &err));
    free(big);
    assert_false(config_load(&c, "/nonexistent", &err));
    assert_non_null(strstr(err.text, "/nonexistent"));
}

static void addresses(void **state)
{
    char host[64];
    int port;
    assert_true(config_split_address("[2001:db8::1]:8443", host, &port));
    assert_string_equal(host, "2001:db8::1");
    assert_int_equal(port, 8443);
    assert_true(config_split_address("0.0.0.0:1", host, &port));
    assert_string_equal(host, "0.0.0.0");
    assert_false(config_split_address("", host, &port));
    assert_false(config_split_address("[1.2.3.4]:1", host, &port));
}

static void described(void **state)
{
    struct buf b = BUF_INIT(64 * 1024);
    config_describe(&b);
    assert_non_null(strstr(buf_str(&b), "admin_password_file"));
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(empty),        cmocka_unit_test(whole),
        cmocka_unit_test(errors),       cmocka_unit_test(bounds),
        cmocka_unit_test(addresses),    cmocka_unit_test(described),
        cmocka_unit_test(unknown_keys),
    };
    return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
