/* openstack-compat/network: Networking API v2.0 as its clients use it. */
#include "api_client.h"
#include "test.h"

#include "model/network.h"
#include "model/pool.h"

#include <string.h>

#define N "/network/v2.0"

static json_t *post(struct api_client *c, const char *path, const char *fmt,
                    ...) __attribute__((format(printf, 3, 4)));

/* POSTs as the demo user; the answer must be 201. */
static json_t *post(struct api_client *c, const char *path, const char *fmt,
                    ...)
{
    char body[2048];
    va_list args;
    va_start(args, fmt);
    vsnprintf(body, sizeof(body), fmt, args);
    va_end(args);
    return api_expect(c, 201, "POST", path, c->demo, body);
}

struct net {
    json_t *network, *subnet;
    const char *network_id, *subnet_id;
};

static struct net make_net(struct api_client *c, const char *cidr)
{
    struct net n;
    n.network = post(c, N "/networks", "{\"network\":{\"name\":\"n\"}}");
    n.network_id = api_text(n.network, "network.id");
    n.subnet = post(c, N "/subnets",
                    "{\"subnet\":{\"network_id\":\"%s\",\"ip_version\":4,"
                    "\"cidr\":\"%s\"}}",
                    n.network_id, cidr);
    n.subnet_id = api_text(n.subnet, "subnet.id");
    return n;
}

static void free_net(struct net *n)
{
    json_decref(n->network);
    json_decref(n->subnet);
}

static char *path(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static char *path(const char *fmt, ...)
{
    static char text[4][512];
    static int i;
    va_list args;
    va_start(args, fmt);
    vsnprintf(text[++i & 3], sizeof(text[0]), fmt, args);
    va_end(args);
    return text[i & 3];
}

/* What a project uses, as neutron says. */
static json_int_t used(struct api_client *c, const char *what)
{
    json_t *q = api_expect(c, 200, "GET",
                           path(N "/quotas/%s/details.json", c->demo_project),
                           c->demo, NULL);
    json_int_t n = json_integer_value(api_at(q, path("quota.%s.used", what)));
    json_decref(q);
    return n;
}

static size_t count(struct api_client *c, const struct kind *kind)
{
    struct snapshot *s = api_snapshot(c);
    size_t n = snap_count(s, kind);
    snapshot_unref(s);
    return n;
}

static void subnet_gets_defaults(void **state)
{
    struct api_client *c = api_client_new();
    struct net n = make_net(c, "10.0.0.7/24");
    assert_string_equal(api_text(n.subnet, "subnet.cidr"), "10.0.0.0/24");
    assert_string_equal(api_text(n.subnet, "subnet.gateway_ip"), "10.0.0.1");
    assert_string_equal(api_text(n.subnet, "subnet.allocation_pools.0.start"),
                        "10.0.0.2");
    assert_string_equal(api_text(n.subnet, "subnet.allocation_pools.0.end"),
                        "10.0.0.254");
    json_t *shown = api_expect(
        c, 200, "GET", path(N "/networks/%s", n.network_id), c->demo, NULL);
    assert_string_equal(api_text(shown, "network.subnets.0"), n.subnet_id);
    json_decref(shown);
    free_net(&n);
    api_client_free(c);
}

static void everything_goes_with_the_network(void **state)
{
    struct api_client *c = api_client_new();
    size_t claims = count(c, &kind_claim), ports = count(c, &kind_port);
    json_int_t nets = used(c, "network"), subs = used(c, "subnet");
    struct net n = make_net(c, "10.0.0.0/24");
    assert_int_equal(count(c, &kind_port), ports + 1); /* metadata */
    assert_int_equal(used(c, "subnet"), subs + 1);
    api_status(c, 204, "DELETE", path(N "/networks/%s", n.network_id), c->demo,
               NULL);
    assert_int_equal(count(c, &kind_claim), claims);
    assert_int_equal(count(c, &kind_port), ports);
    assert_int_equal(used(c, "network"), nets);
    assert_int_equal(used(c, "subnet"), subs);
    free_net(&n);
    api_client_free(c);
}

static void ports_get_addresses_once(void **state)
{
    struct api_client *c = api_client_new();
    struct net n = make_net(c, "10.0.0.0/29"); /* .1 gateway, .2 to .6 */
    json_t *ports[4];
    for (int i = 0; i < 4; i++)
        ports[i] = post(c, N "/ports", "{\"port\":{\"network_id\":\"%s\"}}",
                        n.network_id);
    for (int i = 0; i < 4; i++)
        for (int k = 0; k < i; k++)
            assert_string_not_equal(
                api_text(ports[i], "port.fixed_ips.0.ip_address"),
                api_text(ports[k], "port.fixed_ips.0.ip_address"));
    json_t *full =
        api_expect(c, 409, "POST", N "/ports", c->demo,
                   path("{\"port\":{\"network_id\":\"%s\"}}", n.network_id));
    assert_string_equal(api_text(full, "NeutronError.type"),
                        "IpAddressGenerationFailure");
    json_decref(full);
    api_status(c, 409, "DELETE", path(N "/networks/%s", n.network_id), c->demo,
               NULL);
    for (int i = 0; i < 4; i++) {
        api_status(c, 204, "DELETE",
                   path(N "/ports/%s", api_text(ports[i], "port.id")), c->demo,
                   NULL);
        json_decref(ports[i]);
    }
    api_status(c, 204, "DELETE", path(N "/networks/%s", n.network_id), c->demo,
               NULL);
    free_net(&n);
    api_client_free(c);
}

/* Of each subnet that gives addresses by itself, and of one IPv4 subnet and
 * one IPv6 subnet that are managed. */
static void ports_get_addresses_of_both_versions(void **state)
{
    static const char *const more[] = {
        "\"ip_version\":4,\"cidr\":\"10.0.1.0/24\"",
        "\"ip_version\":6,\"cidr\":\"fd00:a::/64\","
        "\"ipv6_ra_mode\":\"dhcpv6-stateful\","
        "\"ipv6_address_mode\":\"dhcpv6-stateful\"",
        "\"ip_version\":6,\"cidr\":\"fd00:b::/64\"",
        ("\"ip_version\":6,\"cidr\":\"fd00:c::/64\","
         "\"ipv6_ra_mode\":\"slaac\",\"ipv6_address_mode\":\"slaac\""),
    };
    struct api_client *c = api_client_new();
    struct net n = make_net(c, "10.0.0.0/24");
    for (size_t i = 0; i < ARRAY_SIZE(more); i++)
        json_decref(post(c, N "/subnets",
                         "{\"subnet\":{\"network_id\":\"%s\",%s}}",
                         n.network_id, more[i]));
    json_t *port =
        post(c, N "/ports", "{\"port\":{\"network_id\":\"%s\"}}", n.network_id);
    unsigned four = 0, managed = 0, own = 0;
    const json_t *ips = api_at(port, "port.fixed_ips");
    for (size_t i = 0; i < json_array_size(ips); i++) {
        const char *ip = api_text(json_array_get(ips, i), "ip_address");
        four += strncmp(ip, "10.0.", 5) == 0;
        managed += !strncmp(ip, "fd00:a:", 7) || !strncmp(ip, "fd00:b:", 7);
        own += strncmp(ip, "fd00:c::f816:3eff:", 18) == 0;
    }
    assert_int_equal(four, 1);
    assert_int_equal(managed, 1);
    assert_int_equal(own, 1);
    json_decref(port);
    free_net(&n);
    api_client_free(c);
}

static void fixed_ips_move_claims(void **state)
{
    struct api_client *c = api_client_new();
    struct net n = make_net(c, "10.0.0.0/24");
    json_t *p = post(c, N "/ports",
                     "{\"port\":{\"network_id\":\"%s\",\"fixed_ips\":[{"
                     "\"ip_address\":\"10.0.0.77\"}]}}",
                     n.network_id);
    const char *id = api_text(p, "port.id");
    size_t claims = count(c, &kind_claim);
    api_status(c, 409, "POST", N "/ports", c->demo,
               path("{\"port\":{\"network_id\":\"%s\",\"fixed_ips\":[{"
                    "\"ip_address\":\"10.0.0.77\"}]}}",
                    n.network_id));
    api_status(c, 400, "PUT", path(N "/ports/%s", id), c->demo,
               "{\"port\":{\"fixed_ips\":[{\"ip_address\":\"10.9.0.1\"}]}}");
    api_status(c, 200, "PUT", path(N "/ports/%s", id), c->demo,
               "{\"port\":{\"fixed_ips\":[{\"ip_address\":\"10.0.0.78\"}]}}");
    assert_int_equal(count(c, &kind_claim), claims);
    json_t *again = post(c, N "/ports",
                         "{\"port\":{\"network_id\":\"%s\",\"fixed_ips\":[{"
                         "\"ip_address\":\"10.0.0.77\"}]}}",
                         n.network_id);
    json_decref(again);
    json_decref(p);
    free_net(&n);
    api_client_free(c);
}

static json_t *external(struct api_client *c)
{
    return api_expect(c, 200, "GET", N "/networks?router:external=True",
                      c->demo, NULL);
}

static void a_floating_ip_from_end_to_end(void **state)
{
    struct api_client *c = api_client_new();
    size_t claims = count(c, &kind_claim), all_ports = count(c, &kind_port);
    json_t *ext = external(c);
    const char *ext_id = api_text(ext, "networks.0.id");
    struct net n = make_net(c, "10.0.0.0/24");
    json_t *port =
        post(c, N "/ports", "{\"port\":{\"network_id\":\"%s\"}}", n.network_id);
    const char *port_id = api_text(port, "port.id");
    json_t *fip =
        post(c, N "/floatingips",
             "{\"floatingip\":{\"floating_network_id\":\"%s\"}}", ext_id);
    const char *fip_id = api_text(fip, "floatingip.id");
    assert_string_equal(api_text(fip, "floatingip.status"), "DOWN");
    char *fip_path = xstrdup(path(N "/floatingips/%s", fip_id));
    /* No router between: not reachable. */
    api_status(c, 404, "PUT", fip_path, c->demo,
               path("{\"floatingip\":{\"port_id\":\"%s\"}}", port_id));
    json_t *router = post(c, N "/routers",
                          "{\"router\":{\"name\":\"r\","
                          "\"external_gateway_info\":{\"network_id\":\"%s\"}}}",
                          ext_id);
    const char *router_id = api_text(router, "router.id");
    api_text(router,
             "router.external_gateway_info.external_fixed_ips.0.ip_address");
    json_decref(api_expect(
        c, 200, "PUT", path(N "/routers/%s/add_router_interface", router_id),
        c->demo, path("{\"subnet_id\":\"%s\"}", n.subnet_id)));
    json_t *joined =
        api_expect(c, 200, "PUT", fip_path, c->demo,
                   path("{\"floatingip\":{\"port_id\":\"%s\"}}", port_id));
    assert_string_equal(api_text(joined, "floatingip.status"), "ACTIVE");
    assert_string_equal(api_text(joined, "floatingip.router_id"), router_id);
    json_decref(joined);
    /* In use: neither gateway nor interface may go. */
    api_status(c, 409, "PUT", path(N "/routers/%s", router_id), c->demo,
               "{\"router\":{\"external_gateway_info\":{}}}");
    api_status(c, 409, "PUT",
               path(N "/routers/%s/remove_router_interface", router_id),
               c->demo, path("{\"subnet_id\":\"%s\"}", n.subnet_id));
    api_status(c, 409, "DELETE", path(N "/routers/%s", router_id), c->demo,
               NULL);
    /* The port goes: the floating IP stays, without it. */
    api_status(c, 204, "DELETE", path(N "/ports/%s", port_id), c->demo, NULL);
    json_t *left = api_expect(c, 200, "GET", fip_path, c->demo, NULL);
    assert_string_equal(api_text(left, "floatingip.status"), "DOWN");
    assert_true(json_is_null(api_at(left, "floatingip.port_id")));
    json_decref(left);
    api_status(c, 204, "DELETE", fip_path, c->demo, NULL);
    json_decref(api_expect(
        c, 200, "PUT", path(N "/routers/%s/remove_router_interface", router_id),
        c->demo, path("{\"subnet_id\":\"%s\"}", n.subnet_id)));
    api_status(c, 204, "DELETE", path(N "/routers/%s", router_id), c->demo,
               NULL);
    api_status(c, 204, "DELETE", path(N "/networks/%s", n.network_id), c->demo,
               NULL);
    assert_int_equal(count(c, &kind_claim), claims);
    assert_int_equal(count(c, &kind_port), all_ports);
    assert_int_equal(used(c, "port"), 0);
    assert_int_equal(used(c, "floatingip"), 0);
    free(fip_path);
    json_decref(ext);
    json_decref(port);
    json_decref(fip);
    json_decref(router);
    free_net(&n);
    api_client_free(c);
}

static void security_groups(void **state)
{
    struct api_client *c = api_client_new();
    json_t *g = post(c, N "/security-groups",
                     "{\"security_group\":{\"name\":\"web\"}}");
    const char *id = api_text(g, "security_group.id");
    assert_int_equal(
        json_array_size(api_at(g, "security_group.security_group_rules")), 2);
    json_int_t rules = used(c, "security_group_rule");
    char body[512];
    snprintf(body, sizeof(body),
             "{\"security_group_rule\":{\"security_group_id\":\"%s\","
             "\"direction\":\"ingress\",\"protocol\":\"tcp\","
             "\"port_range_min\":22,\"port_range_max\":22}}",
             id);
    json_decref(post(c, N "/security-group-rules", "%s", body));
    json_t *twice =
        api_expect(c, 409, "POST", N "/security-group-rules", c->demo, body);
    assert_string_equal(api_text(twice, "NeutronError.type"),
                        "SecurityGroupRuleExists");
    json_decref(twice);
    assert_int_equal(used(c, "security_group_rule"), rules + 1);
    api_status(c, 204, "DELETE", path(N "/security-groups/%s", id), c->demo,
               NULL);
    assert_int_equal(used(c, "security_group_rule"), rules - 2);
    json_decref(g);
    api_client_free(c);
}

/* {what is wrong, method, path, body, status} */
static void bad_input_changes_nothing(void **state)
{
    static const struct {
        const char *method, *path, *body;
        int status;
    } bad[] = {
        { "POST", N "/networks", "{", 400 },
        { "POST", N "/networks", "[]", 400 },
        { "POST", N "/networks", "{\"network\":[]}", 400 },
        { "POST", N "/networks", "{\"network\":{\"name\":7}}", 400 },
        { "POST", N "/networks", "{\"network\":{\"nam\":\"x\"}}", 400 },
        { "POST", N "/networks", "{\"network\":{\"shared\":true}}", 403 },
        { "POST", N "/networks", "{\"network\":{\"id\":\"x\"}}", 400 },
        { "POST", N "/networks", "{\"network\":{\"mtu\":1}}", 400 },
        { "POST", N "/networks",
          "{\"network\":{\"project_id\":"
          "\"00000000000000000000000000000000\"}}",
          403 },
        { "POST", N "/subnets", "{\"subnet\":{\"ip_version\":4}}", 400 },
        { "POST", N "/subnets",
          "{\"subnet\":{\"network_id\":\"00000000-0000-4000-8000-"
          "000000000000\",\"ip_version\":4,\"cidr\":\"10.0.0.0/24\"}}",
          404 },
        { "POST", N "/security-group-rules",
          "{\"security_group_rule\":{\"security_group_id\":\"x\"}}", 400 },
        { "GET", N "/networks/nope", NULL, 404 },
        { "PUT", N "/networks/nope", "{\"network\":{}}", 404 },
        { "DELETE", N "/routers/nope", NULL, 404 },
        { "PATCH", N "/networks", NULL, 405 },
        { "GET", N "/nothing", NULL, 404 },
        { "GET", N "/networks?limit=-1", NULL, 400 },
        { "GET", N "/networks?marker=nope", NULL, 400 },
        { "GET", N "/networks?sort_key=nope", NULL, 400 },
    };
    struct api_client *c = api_client_new();
    unsigned commits = c->commits;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        api_status(c, bad[i].status, bad[i].method, bad[i].path, c->demo,
                   bad[i].body);
    char *body = malloc(4096);
    snprintf(body, 4096, "{\"network\":{\"name\":\"%0*d\"}}", 300, 0);
    api_status(c, 400, "POST", N "/networks", c->demo, body);
    free(body);
    assert_int_equal(c->commits, commits);
    api_client_free(c);
}

static void others_see_nothing(void **state)
{
    struct api_client *c = api_client_new();
    json_t *n = api_expect(c, 201, "POST", N "/networks", c->admin,
                           "{\"network\":{\"name\":\"secret\"}}");
    char *p = xstrdup(path(N "/networks/%s", api_text(n, "network.id")));
    api_status(c, 404, "GET", p, c->demo, NULL);
    api_status(c, 404, "DELETE", p, c->demo, NULL);
    api_status(c, 404, "PUT", p, c->demo, "{\"network\":{\"name\":\"x\"}}");
    api_status(c, 401, "GET", p, NULL, NULL);
    struct api_reply list = api_call(c, "GET", N "/networks", c->demo, NULL);
    assert_null(strstr(list.body, "secret"));
    api_reply_free(&list);
    /* The external network is seen by all and changed by none. */
    json_t *ext = external(c);
    const char *id = api_text(ext, "networks.0.id");
    api_status(c, 403, "DELETE", path(N "/networks/%s", id), c->demo, NULL);
    api_status(c, 403, "POST", N "/ports", c->demo,
               path("{\"port\":{\"network_id\":\"%s\"}}", id));
    json_decref(ext);
    json_decref(n);
    free(p);
    api_client_free(c);
}

/* A token for the whole system or a domain is no project's. */
static void tokens_without_a_project(void **state)
{
    static const char *const scopes[] = {
        "\"system\":{\"all\":true}",
        "\"domain\":{\"id\":\"default\"}",
    };
    struct api_client *c = api_client_new();
    for (size_t i = 0; i < ARRAY_SIZE(scopes); i++) {
        struct api_reply login = api_callf(
            c, "POST", "/identity/v3/auth/tokens", NULL,
            "{\"auth\":{\"identity\":{\"methods\":[\"token\"],\"token\":{"
            "\"id\":\"%s\"}},\"scope\":{%s}}}",
            c->admin, scopes[i]);
        assert_int_equal(login.status, 201);
        api_status(c, 403, "GET", N "/networks", login.token, NULL);
        api_status(c, 403, "POST", N "/networks", login.token,
                   "{\"network\":{\"name\":\"x\"}}");
        api_status(c, 403, "GET", "/compute/v2.1/servers", login.token, NULL);
        api_status(c, 403, "GET", "/volume/v3/volumes", login.token, NULL);
        api_status(c, 403, "GET", "/image/v2/images", login.token, NULL);
        api_status(c, 200, "GET", "/identity/v3/projects", login.token, NULL);
        api_reply_free(&login);
    }
    api_client_free(c);
}

static void quota_holds(void **state)
{
    struct api_client *c = api_client_new();
    json_decref(api_expect(c, 200, "PUT", path(N "/quotas/%s", c->demo_project),
                           c->admin, "{\"quota\":{\"network\":1}}"));
    json_decref(post(c, N "/networks", "{\"network\":{\"name\":\"1\"}}"));
    json_t *over = api_expect(c, 409, "POST", N "/networks", c->demo,
                              "{\"network\":{\"name\":\"2\"}}");
    assert_string_equal(api_text(over, "NeutronError.type"), "OverQuota");
    json_decref(over);
    assert_int_equal(used(c, "network"), 1);
    api_client_free(c);
}

static void lists_filter_sort_and_page(void **state)
{
    struct api_client *c = api_client_new();
    for (int i = 0; i < 5; i++)
        json_decref(
            post(c, N "/networks", "{\"network\":{\"name\":\"n%d\"}}", i));
    json_t *page = api_expect(
        c, 200, "GET",
        N "/networks?limit=2&sort_key=name&sort_dir=desc&fields=name&shared="
          "False&router:external=False",
        c->demo, NULL);
    assert_int_equal(json_array_size(api_at(page, "networks")), 2);
    assert_string_equal(api_text(page, "networks.0.name"), "n4");
    assert_null(api_at(page, "networks.0.id"));
    assert_string_equal(api_text(page, "networks_links.0.rel"), "next");
    json_decref(page);
    json_t *one =
        api_expect(c, 200, "GET", N "/networks?name=n3&name=n1", c->demo, NULL);
    assert_int_equal(json_array_size(api_at(one, "networks")), 2);
    json_decref(one);
    api_client_free(c);
}

static void tags(void **state)
{
    struct api_client *c = api_client_new();
    json_t *n = post(c, N "/networks", "{\"network\":{\"name\":\"t\"}}");
    char *p = xstrdup(path(N "/networks/%s/tags", api_text(n, "network.id")));
    json_decref(
        api_expect(c, 200, "PUT", p, c->demo, "{\"tags\":[\"a\",\"b\"]}"));
    api_status(c, 204, "DELETE", path("%s/a", p), c->demo, NULL);
    api_status(c, 404, "GET", path("%s/a", p), c->demo, NULL);
    api_status(c, 204, "GET", path("%s/b", p), c->demo, NULL);
    json_t *found =
        api_expect(c, 200, "GET", N "/networks?tags=b", c->demo, NULL);
    assert_int_equal(json_array_size(api_at(found, "networks")), 1);
    json_decref(found);
    json_decref(n);
    free(p);
    api_client_free(c);
}

static void tags_filter(void **state)
{
    static const struct {
        const char *query;
        size_t n; /* of two networks of this project and the public one */
    } asked[] = {
        { "tags=a", 2 },       { "tags=a,b", 1 },
        { "tags-any=b,c", 1 }, { "not-tags=a,b", 2 },
        { "not-tags=a", 1 },   { "not-tags-any=a,b", 1 },
        { "tags=none", 0 },    { "not-tags=none", 3 },
    };
    static const char *const tags[] = { "[\"a\"]", "[\"a\",\"b\"]" };
    struct api_client *c = api_client_new();
    for (size_t i = 0; i < 2; i++) {
        json_t *n = post(c, N "/networks", "{\"network\":{\"name\":\"t\"}}");
        api_status(c, 200, "PUT",
                   path(N "/networks/%s/tags", api_text(n, "network.id")),
                   c->demo, path("{\"tags\":%s}", tags[i]));
        json_decref(n);
    }
    for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
        json_t *l =
            api_expect(c, 200, "GET", path(N "/networks?%s", asked[i].query),
                       c->demo, NULL);
        assert_int_equal(json_array_size(api_at(l, "networks")), asked[i].n);
        json_decref(l);
    }
    /* Another's network may be seen; its tags are not for others to set. */
    json_t *l = api_expect(c, 200, "GET", N "/networks?router:external=true",
                           c->demo, NULL);
    api_status(c, 403, "PUT",
               path(N "/networks/%s/tags/x", api_text(l, "networks.0.id")),
               c->demo, NULL);
    json_decref(l);
    api_client_free(c);
}

static void all_in_bulk_or_none(void **state)
{
    struct api_client *c = api_client_new();
    struct net n = make_net(c, "10.0.0.0/24");
    json_int_t before = used(c, "port");
    json_t *made = post(c, N "/ports",
                        "{\"ports\":[{\"network_id\":\"%s\"},"
                        "{\"network_id\":\"%s\"}]}",
                        n.network_id, n.network_id);
    assert_string_not_equal(api_text(made, "ports.0.fixed_ips.0.ip_address"),
                            api_text(made, "ports.1.fixed_ips.0.ip_address"));
    assert_int_equal(used(c, "port"), before + 2);
    unsigned commits = c->commits;
    static const char *const wrong[] = {
        "[]",
        "{}",
        "[7]",
        "[{\"network_id\":\"%s\"},{}]",
        "[{\"network_id\":\"%s\"},{\"network_id\":\"x\"}]",
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        char list[200];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(list, sizeof(list), wrong[i], n.network_id);
#pragma GCC diagnostic pop
        api_status(c, 400, "POST", N "/ports", c->demo,
                   path("{\"ports\":%s}", list));
    }
    assert_int_equal(c->commits, commits);
    json_t *groups = post(c, N "/security-groups",
                          "{\"security_groups\":[{\"name\":\"a\"},"
                          "{\"name\":\"b\"}]}");
    assert_string_not_equal(
        api_text(groups, "security_groups.0.security_group_rules.0.id"),
        api_text(groups, "security_groups.1.security_group_rules.0.id"));
    json_decref(groups);
    json_decref(made);
    free_net(&n);
    api_client_free(c);
}

static void routers_keep_their_routes(void **state)
{
    struct api_client *c = api_client_new();
    struct net n = make_net(c, "10.0.0.0/24");
    json_t *r = post(c, N "/routers", "{\"router\":{\"name\":\"r\"}}");
    char *p = xstrdup(path(N "/routers/%s", api_text(r, "router.id")));
    char *subnet = xstrdup(path("{\"subnet_id\":\"%s\"}", n.subnet_id));
    const char *one = "{\"router\":{\"routes\":[{\"destination\":"
                      "\"10.9.0.0/24\",\"nexthop\":\"10.0.0.9\"}]}}";
    api_status(c, 400, "PUT", path("%s/add_extraroutes", p), c->demo, one);
    api_status(c, 200, "PUT", path("%s/add_router_interface", p), c->demo,
               subnet);
    json_decref(
        api_expect(c, 200, "PUT", path("%s/add_extraroutes", p), c->demo, one));
    json_t *twice =
        api_expect(c, 200, "PUT", path("%s/add_extraroutes", p), c->demo, one);
    assert_int_equal(json_array_size(api_at(twice, "router.routes")), 1);
    json_decref(twice);
    api_status(c, 400, "PUT", p, c->demo,
               "{\"router\":{\"routes\":[{\"destination\":\"10.9.0.0/24\","
               "\"nexthop\":\"10.0.0.1\"}]}}"); /* itself */
    api_status(c, 409, "PUT", path("%s/remove_router_interface", p), c->demo,
               subnet);
    api_status(c, 409, "PUT", path(N "/subnets/%s", n.subnet_id), c->demo,
               "{\"subnet\":{\"gateway_ip\":null}}");
    api_status(c, 200, "PUT", path("%s/remove_extraroutes", p), c->demo, one);
    api_status(c, 200, "PUT", path("%s/remove_router_interface", p), c->demo,
               subnet);
    json_t *l = api_expect(c, 200, "GET", N "/networks?router:external=true",
                           c->demo, NULL);
    api_status(c, 403, "PUT", p, c->demo,
               path("{\"router\":{\"external_gateway_info\":{\"network_id\":"
                    "\"%s\",\"enable_snat\":false}}}",
                    api_text(l, "networks.0.id")));
    json_decref(l);
    free(p);
    free(subnet);
    json_decref(r);
    free_net(&n);
    api_client_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(subnet_gets_defaults),
        cmocka_unit_test(everything_goes_with_the_network),
        cmocka_unit_test(ports_get_addresses_once),
        cmocka_unit_test(ports_get_addresses_of_both_versions),
        cmocka_unit_test(fixed_ips_move_claims),
        cmocka_unit_test(a_floating_ip_from_end_to_end),
        cmocka_unit_test(security_groups),
        cmocka_unit_test(bad_input_changes_nothing),
        cmocka_unit_test(others_see_nothing),
        cmocka_unit_test(tokens_without_a_project),
        cmocka_unit_test(quota_holds),
        cmocka_unit_test(lists_filter_sort_and_page),
        cmocka_unit_test(tags),
        cmocka_unit_test(tags_filter),
        cmocka_unit_test(all_in_bulk_or_none),
        cmocka_unit_test(routers_keep_their_routes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
