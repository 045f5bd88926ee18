/* nb: what records become in the northbound database. */
#include "network/nb.h"

#include "net_world.h"

#include "network/addr.h"

static const char *const resolvers[] = { "9.9.9.9", "2620:fe::fe", NULL };
static const struct nb_config config = { .chassis = "node1",
                                         .dns_servers = resolvers };

static json_t *derive(struct world *w)
{
    _autosnap_ struct snapshot *s = cache_snapshot(w->cache);
    return nb_derive(s, &config);
}

static json_t *js(const char *text)
{
    json_error_t why;
    json_t *v = json_loads(text, JSON_DECODE_ANY, &why);
    if (!v)
        fail_msg("%s: %s", text, why.text);
    return v;
}

/* The entry (parent and row) of a table, or NULL. */
static const json_t *entry(const json_t *content, const char *table,
                           const char *key)
{
    return json_object_get(json_object_get(content, table), key);
}

static void check_parent(const json_t *content, const char *table,
                         const char *key, const char *parent)
{
    assert_string_equal(json_string_value(json_object_get(
                            entry(content, table, key), "parent")),
                        parent);
}

/* A column's value is as the JSON text says. */
static void check(const json_t *content, const char *table, const char *key,
                  const char *column, const char *want_text)
{
    const json_t *got = json_object_get(
        json_object_get(entry(content, table, key), "row"), column);
    _autojson_ json_t *want = js(want_text);
    if (json_equal(got, want))
        return;
    _autofree_ char *text = got ? json_dumps(got, JSON_ENCODE_ANY) : NULL;
    fail_msg("%s %s %s is %s", table, key, column, text ? text : "absent");
}

static size_t count(const json_t *content, const char *table)
{
    return json_object_size(json_object_get(content, table));
}

static void test_switch(void **state)
{
    struct world w = world_small();
    _autojson_ json_t *c = derive(&w);
    assert_int_equal(count(c, "Logical_Switch"), 2);
    check(c, "Logical_Switch", "net", "name", "\"cairn-net\"");
    check(c, "Logical_Switch", "net", "external_ids",
          "[\"map\",[[\"cairn:id\",\"net\"],"
          "[\"cairn:name\",\"name of net\"]]]");
    check(c, "Logical_Switch", "net", "dns_records",
          "[\"ref\",\"DNS\",\"net\"]");
    check(c, "Logical_Switch_Port", "provnet-ext", "type", "\"localnet\"");
    check(c, "Logical_Switch_Port", "provnet-ext", "options",
          "[\"map\",[[\"network_name\",\"physnet1\"]]]");
    check(c, "Logical_Switch_Port", "provnet-ext", "tag", "[\"set\",[]]");
    check_parent(c, "Logical_Switch_Port", "provnet-ext", "ext");
    /* The floating IP's port is an address, not a port of the switch. */
    assert_null(entry(c, "Logical_Switch_Port", "fip-port"));
    assert_int_equal(count(c, "Logical_Switch_Port"), 5);
    world_free(&w);
}

static void test_guest_port(void **state)
{
    struct world w = world_small();
    _autojson_ json_t *c = derive(&w);
    check_parent(c, "Logical_Switch_Port", "vm", "net");
    check(c, "Logical_Switch_Port", "vm", "name", "\"vm\"");
    check(c, "Logical_Switch_Port", "vm", "type", "\"\"");
    check(c, "Logical_Switch_Port", "vm", "addresses",
          "\"fa:16:3e:00:00:05 10.0.0.5\"");
    check(c, "Logical_Switch_Port", "vm", "port_security",
          "\"fa:16:3e:00:00:05 10.0.0.5\"");
    check(c, "Logical_Switch_Port", "vm", "enabled", "true");
    check(c, "Logical_Switch_Port", "vm", "dhcpv4_options",
          "[\"ref\",\"DHCP_Options\",\"sub\"]");
    check(c, "Logical_Switch_Port", "vm", "options",
          "[\"map\",[[\"requested-chassis\",\"node1\"]]]");
    check(c, "Logical_Switch_Port", "meta", "type", "\"localport\"");
    check(c, "Logical_Switch_Port", "meta", "addresses",
          "\"fa:16:3e:00:00:02 10.0.0.2\"");
    check(c, "Logical_Switch_Port", "meta", "dhcpv4_options", "[\"set\",[]]");
    world_free(&w);
}

static void test_allowed_pairs(void **state)
{
    struct world w = world_small();
    struct port *p = world_edit(&w, &kind_port, "vm");
    struct address_pair *a = list_add(p, &p->address_pairs, sizeof(*a));
    a->ip_address = rec_str(p, "10.9.0.0/16");
    a = list_add(p, &p->address_pairs, sizeof(*a));
    a->ip_address = rec_str(p, "10.0.0.200");
    a->mac_address = rec_str(p, "fa:16:3e:00:00:99");
    world_put(&w, p);
    _autojson_ json_t *c = derive(&w);
    check(c, "Logical_Switch_Port", "vm", "port_security",
          "[\"set\",[\"fa:16:3e:00:00:05 10.0.0.5 10.9.0.0/16\","
          "\"fa:16:3e:00:00:99 10.0.0.200\"]]");
    check(c, "Logical_Switch_Port", "vm", "addresses",
          "[\"set\",[\"fa:16:3e:00:00:05 10.0.0.5\","
          "\"fa:16:3e:00:00:99\"]]");
    /* Without port security nothing is checked and no group holds it. */
    p = world_edit(&w, &kind_port, "vm");
    p->port_security_enabled = false;
    p->admin_state_up = false;
    world_put(&w, p);
    _autojson_ json_t *open = derive(&w);
    check(open, "Logical_Switch_Port", "vm", "port_security", "[\"set\",[]]");
    check(open, "Logical_Switch_Port", "vm", "addresses",
          "[\"set\",[\"fa:16:3e:00:00:05 10.0.0.5\",\"unknown\"]]");
    check(open, "Logical_Switch_Port", "vm", "enabled", "false");
    check(open, "Port_Group", NB_DROP_GROUP, "ports", "[\"set\",[]]");
    check(open, "Port_Group", "default", "ports", "[\"set\",[]]");
    world_free(&w);
}

static void test_dhcp(void **state)
{
    struct world w = world_small();
    char mac[MAC_SIZE];
    mac_from("sub", mac);
    _autojson_ json_t *c = derive(&w);
    _autofree_ char *want = xasprintf(
        "[\"map\",[[\"classless_static_route\",\"{169.254.169.254/32,"
        "10.0.0.2, 0.0.0.0/0,10.0.0.1}\"],[\"dns_server\",\"{9.9.9.9}\"],"
        "[\"domain_name\",\"\\\"cloud.local\\\"\"],"
        "[\"lease_time\",\"43200\"],[\"mtu\",\"1442\"],"
        "[\"router\",\"10.0.0.1\"],[\"server_id\",\"10.0.0.1\"],"
        "[\"server_mac\",\"%s\"]]]",
        mac);
    check(c, "DHCP_Options", "sub", "options", want);
    check(c, "DHCP_Options", "sub", "cidr", "\"10.0.0.0/24\"");
    assert_int_equal(count(c, "DHCP_Options"), 1); /* none for ext-sub */

    /* No gateway, own resolvers, a route, hostile text left out. */
    struct subnet *s = world_edit(&w, &kind_subnet, "sub");
    s->gateway_ip = NULL;
    strs_add(s, &s->dns_nameservers, "10.0.0.53");
    strs_add(s, &s->dns_nameservers, "1.1.1.1} evil={");
    struct host_route *h = list_add(s, &s->host_routes, sizeof(*h));
    h->destination = rec_str(s, "10.8.0.0/16");
    h->nexthop = rec_str(s, "10.0.0.9");
    world_put(&w, s);
    _autojson_ json_t *d = derive(&w);
    free(want);
    want =
        xasprintf("[\"map\",[[\"classless_static_route\",\"{169.254.169.254/32,"
                  "10.0.0.2, 10.8.0.0/16,10.0.0.9}\"],[\"dns_server\","
                  "\"{10.0.0.53}\"],[\"domain_name\",\"\\\"cloud.local\\\"\"],"
                  "[\"lease_time\",\"43200\"],[\"mtu\",\"1442\"],"
                  "[\"server_id\",\"10.0.0.2\"],[\"server_mac\",\"%s\"]]]",
                  mac);
    check(d, "DHCP_Options", "sub", "options", want);
    world_free(&w);
}

static void test_dns(void **state)
{
    struct world w = world_small();
    _autojson_ json_t *c = derive(&w);
    check(c, "DNS", "net", "records",
          "[\"map\",[[\"5.0.0.10.in-addr.arpa\",\"web.cloud.local\"],"
          "[\"web\",\"10.0.0.5\"],[\"web.cloud.local\",\"10.0.0.5\"]]]");
    assert_int_equal(count(c, "DNS"), 1);
    world_free(&w);
}

static void test_router(void **state)
{
    struct world w = world_small();
    struct router *r = world_edit(&w, &kind_router, "router");
    struct host_route *h = list_add(r, &r->routes, sizeof(*h));
    h->destination = rec_str(r, "10.7.0.0/16");
    h->nexthop = rec_str(r, "10.0.0.7");
    world_put(&w, r);
    _autojson_ json_t *c = derive(&w);
    check(c, "Logical_Router", "router", "enabled", "true");
    check(c, "Logical_Router_Port", "if", "networks", "\"10.0.0.1/24\"");
    check(c, "Logical_Router_Port", "gw", "networks", "\"172.24.4.10/24\"");
    check(c, "Logical_Router_Port", "gw", "mac", "\"fa:16:3e:00:00:10\"");
    check(c, "Logical_Switch_Port", "if", "type", "\"router\"");
    check(c, "Logical_Switch_Port", "if", "options",
          "[\"map\",[[\"router-port\",\"lrp-if\"]]]");
    check(c, "Logical_Switch_Port", "gw", "options",
          "[\"map\",[[\"nat-addresses\",\"router\"],"
          "[\"router-port\",\"lrp-gw\"]]]");
    check_parent(c, "Gateway_Chassis", "lrp-gw_node1", "gw");
    assert_int_equal(count(c, "Gateway_Chassis"), 1);
    const char *def = "router/default/0.0.0.0/0/172.24.4.1";
    check(c, "Logical_Router_Static_Route", def, "output_port", "\"lrp-gw\"");
    check(c, "Logical_Router_Static_Route", def, "nexthop", "\"172.24.4.1\"");
    check(c, "Logical_Router_Static_Route", "router/route/10.7.0.0/16/10.0.0.7",
          "ip_prefix", "\"10.7.0.0/16\"");
    check(c, "NAT", "router/snat/sub", "type", "\"snat\"");
    check(c, "NAT", "router/snat/sub", "external_ip", "\"172.24.4.10\"");
    check(c, "NAT", "router/snat/sub", "logical_ip", "\"10.0.0.0/24\"");
    check(c, "NAT", "fip", "type", "\"dnat_and_snat\"");
    check(c, "NAT", "fip", "external_ip", "\"172.24.4.20\"");
    check(c, "NAT", "fip", "logical_ip", "\"10.0.0.5\"");
    world_free(&w);
}

/* Without a gateway there is no NAT; without SNAT only floating IPs. */
static void test_router_changes(void **state)
{
    struct world w = world_small();
    struct router *r = world_edit(&w, &kind_router, "router");
    r->enable_snat = false;
    world_put(&w, r);
    _autojson_ json_t *c = derive(&w);
    assert_int_equal(count(c, "NAT"), 1);
    assert_non_null(entry(c, "NAT", "fip"));
    r = world_edit(&w, &kind_router, "router");
    r->gateway_port_id = NULL;
    world_put(&w, r);
    world_delete(&w, &kind_port, "gw");
    _autojson_ json_t *none = derive(&w);
    assert_int_equal(count(none, "NAT"), 0);
    assert_int_equal(count(none, "Logical_Router_Static_Route"), 0);
    assert_int_equal(count(none, "Gateway_Chassis"), 0);
    assert_int_equal(count(none, "Logical_Router_Port"), 1);
    world_free(&w);
}

static void test_groups(void **state)
{
    struct world w = world_small();
    _autojson_ json_t *c = derive(&w);
    check(c, "Port_Group", "default", "name", "\"pg_default\"");
    check(c, "Port_Group", "default", "ports",
          "[\"ref\",\"Logical_Switch_Port\",\"vm\"]");
    /* Routers and the metadata port are nobody's to filter. */
    check(c, "Port_Group", NB_DROP_GROUP, "ports",
          "[\"ref\",\"Logical_Switch_Port\",\"vm\"]");
    check(c, "ACL", "drop/ingress", "match",
          "\"outport == @cairn_drop && ip\"");
    check(c, "ACL", "drop/ingress", "action", "\"drop\"");
    check(c, "ACL", "drop/ingress", "priority", "1001");
    check(c, "ACL", "ssh", "priority", "1002");
    check(c, "ACL", "ssh", "action", "\"allow-related\"");
    check(c, "ACL", "ssh", "direction", "\"to-lport\"");
    check(c, "ACL", "out", "direction", "\"from-lport\"");
    check_parent(c, "ACL", "ssh", "default");
    check_parent(c, "ACL", "drop/egress", NB_DROP_GROUP);
    world_free(&w);
}

/* A second member: both are in both groups. */
static void test_two_members(void **state)
{
    struct world w = world_small();
    struct port *p =
        draft_port("vm2", "net", "fa:16:3e:00:00:06", "sub", "10.0.0.6");
    strs_add(p, &p->security_group_ids, "default");
    world_put(&w, p);
    _autojson_ json_t *c = derive(&w);
    static const char *const both =
        "[\"set\",[[\"ref\",\"Logical_Switch_Port\",\"vm\"],"
        "[\"ref\",\"Logical_Switch_Port\",\"vm2\"]]]";
    check(c, "Port_Group", "default", "ports", both);
    check(c, "Port_Group", NB_DROP_GROUP, "ports", both);
    world_free(&w);
}

static void test_rule_matches(void **state)
{
    static const struct {
        const char *direction, *ethertype, *protocol;
        int64_t min, max;
        const char *prefix, *group;
        const char *match; /* NULL: no ACL at all */
    } rules[] = {
        { "egress", "IPv4", NULL, -1, -1, NULL, NULL,
          "inport == @pg_default && ip4" },
        { "egress", "IPv6", NULL, -1, -1, NULL, NULL,
          "inport == @pg_default && ip6" },
        { "ingress", "IPv4", "tcp", 80, 90, "10.0.0.0/8", NULL,
          "outport == @pg_default && ip4 && ip4.src == 10.0.0.0/8 && tcp && "
          "tcp.dst >= 80 && tcp.dst <= 90" },
        { "ingress", "IPv4", "17", 53, 53, NULL, NULL,
          "outport == @pg_default && ip4 && udp && udp.dst == 53" },
        { "egress", "IPv6", "sctp", 5, -1, "fd00::/8", NULL,
          "inport == @pg_default && ip6 && ip6.dst == fd00::/8 && sctp && "
          "sctp.dst == 5" },
        { "ingress", "IPv4", "icmp", 8, 0, NULL, NULL,
          "outport == @pg_default && ip4 && icmp4 && icmp4.type == 8 && "
          "icmp4.code == 0" },
        { "ingress", "IPv4", "icmp", 0, -1, NULL, NULL,
          "outport == @pg_default && ip4 && icmp4 && icmp4.type == 0" },
        { "ingress", "IPv6", "icmp", -1, -1, NULL, NULL,
          "outport == @pg_default && ip6 && icmp6" },
        { "ingress", "IPv6", "ipv6-icmp", 128, -1, NULL, NULL,
          "outport == @pg_default && ip6 && icmp6 && icmp6.type == 128" },
        { "ingress", "IPv4", "112", -1, -1, NULL, NULL,
          "outport == @pg_default && ip4 && ip.proto == 112" },
        { "ingress", "IPv4", "vrrp", -1, -1, NULL, NULL,
          "outport == @pg_default && ip4 && ip.proto == 112" },
        { "ingress", "IPv4", "250", -1, -1, NULL, NULL,
          "outport == @pg_default && ip4 && ip.proto == 250" },
        { "ingress", "IPv4", NULL, -1, -1, NULL, "default",
          "outport == @pg_default && ip4 && ip4.src == $pg_default_ip4" },
        { "egress", "IPv6", NULL, -1, -1, NULL, "default",
          "inport == @pg_default && ip6 && ip6.dst == $pg_default_ip6" },
        /* What cannot be said allows nothing. */
        { "ingress", "IPv4", "tcp || 1", -1, -1, NULL, NULL, NULL },
        { "ingress", "IPv4", "256", -1, -1, NULL, NULL, NULL },
        { "ingress", "IPv4", NULL, -1, -1, "fd00::/8", NULL, NULL },
        { "ingress", "IPv4", NULL, -1, -1, "0.0.0.0/0 || 1", NULL, NULL },
        { "ingress", "IPv4", NULL, -1, -1, NULL, "lost", NULL },
        { "sideways", "IPv4", NULL, -1, -1, NULL, NULL, NULL },
    };
    struct world w = world_small();
    for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
        struct security_group_rule *r =
            draft_rule("r", "default", rules[i].direction);
        r->ethertype = rec_str(r, rules[i].ethertype);
        r->protocol = rec_str(r, rules[i].protocol);
        r->port_min = rules[i].min;
        r->port_max = rules[i].max;
        r->remote_ip_prefix = rec_str(r, rules[i].prefix);
        r->remote_group_id = rec_str(r, rules[i].group);
        world_put(&w, r);
        _autojson_ json_t *c = derive(&w);
        _autofree_ char *want =
            rules[i].match ? xasprintf("\"%s\"", rules[i].match) : NULL;
        if (want)
            check(c, "ACL", "r", "match", want);
        else
            assert_null(entry(c, "ACL", "r"));
    }
    world_free(&w);
}

static void test_ipv6(void **state)
{
    struct world w = world_small();
    struct subnet *s = draft_subnet("sub6", "net", "fd00::/64", "fd00::1");
    s->ipv6_ra_mode = s->ipv6_address_mode = rec_str(s, "slaac");
    world_put(&w, s);
    struct port *p = world_edit(&w, &kind_port, "if");
    add_fixed_ip(p, "sub6", "fd00::1");
    world_put(&w, p);
    _autojson_ json_t *c = derive(&w);
    check(c, "Logical_Router_Port", "if", "networks",
          "[\"set\",[\"10.0.0.1/24\",\"fd00::1/64\"]]");
    check(c, "Logical_Router_Port", "if", "ipv6_ra_configs",
          "[\"map\",[[\"address_mode\",\"slaac\"],[\"mtu\",\"1442\"],"
          "[\"send_periodic\",\"true\"]]]");
    assert_null(entry(c, "DHCP_Options", "sub6"));
    world_free(&w);
}

static void test_addr(void **state)
{
    char text[ADDR_PTR_SIZE];
    assert_int_equal(addr_version("10.0.0.1"), 4);
    assert_int_equal(addr_version("10.0.0.1/8"), 0);
    assert_int_equal(addr_version(NULL), 0);
    assert_int_equal(cidr_version("fd00::/64"), 6);
    assert_int_equal(cidr_version("10.0.0.0/33"), 0);
    assert_int_equal(cidr_version("10.0.0.0/8 "), 0);
    assert_int_equal(cidr_length("10.0.0.0/8"), 8);
    assert_int_equal(cidr_length("fd00::1"), 128);
    assert_true(mac_valid("fa:16:3e:00:00:01"));
    assert_false(mac_valid("fa:16:3e:00:00:0"));
    assert_false(mac_valid("fa-16-3e-00-00-01"));
    assert_true(domain_valid("a-b.example"));
    assert_false(domain_valid("a\" b"));
    assert_true(addr_ptr("2001:db8::1", text));
    assert_string_equal(text, "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0."
                              "0.8.b.d.0.1.0.0.2.ip6.arpa");
    assert_false(addr_ptr("x", text));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_switch),
        cmocka_unit_test(test_guest_port),
        cmocka_unit_test(test_allowed_pairs),
        cmocka_unit_test(test_dhcp),
        cmocka_unit_test(test_dns),
        cmocka_unit_test(test_router),
        cmocka_unit_test(test_router_changes),
        cmocka_unit_test(test_groups),
        cmocka_unit_test(test_two_members),
        cmocka_unit_test(test_rule_matches),
        cmocka_unit_test(test_ipv6),
        cmocka_unit_test(test_addr),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
