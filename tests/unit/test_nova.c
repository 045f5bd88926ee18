/* openstack-compat/compute: servers, as clients of Compute API v2.1 make and
 * find them. */
#include "nova_world.h"

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

/* How its place is looked for makes no sense: told when it is asked for. */
static void bad_placement(void **state)
{
    static const char *const bad[] = {
        "best",          "spread:VCPU=3",        "pack:", "pack:VCPU=101",
        "pack:BEAUTY=1", "fragmentation:VCPU=1", ""
    };
    struct world *w = *state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        api_status(
            w->c, 200, "POST", C "/flavors/t1/os-extra_specs", w->c->admin,
            text("{\"extra_specs\":{\"cairn:placement\":\"%s\"}}", bad[i]));
        json_t *no = api_expect(w->c, 400, "POST", C "/servers", w->c->demo,
                                server_body(""));
        if (!strstr(api_text(no, "badRequest.message"), "cairn:placement"))
            fail_msg("%s", api_text(no, "badRequest.message"));
        json_decref(no);
    }
    api_status(w->c, 200, "POST", C "/flavors/t1/os-extra_specs", w->c->admin,
               "{\"extra_specs\":{\"cairn:placement\":"
               "\"pack:VCPU=3,MEMORY_MB=0\"}}");
    create(w, "");
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

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_network_gives_a_port),
        TEST(a_port_is_for_one_card),
        TEST(networks_by_word),
        TEST(bad_placement),
        TEST(many_at_once),
        TEST(boots_from_volumes),
        TEST(bad_input_leaves_nothing),
        TEST(what_was_given_is_shown),
        TEST(groups_and_hosts),
        TEST(lists_are_filtered),
        TEST(projects_do_not_see_each_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
