/* The Placement API: nodes and servers as it shows them. */
#include "api_client.h"

#include "model/compute.h"
#include "model/pool.h"

#include <string.h>

#define NODE   "90de0000-0000-4000-8000-000000000001"
#define SERVER "5e700000-0000-4000-8000-000000000001"
#define ZONE   "a6600000-0000-4000-8000-000000000001"
#define P      "/placement/resource_providers"

static void make_node(struct txn *t, const char *name, const char *uuid)
{
    _autorecord_ struct node *n = record_new(&kind_node, name);
    n->hypervisor_id = rec_str(n, uuid);
    n->machine = "x86_64";
    n->vcpus = 4;
    n->ram_mb = 8192;
    n->ram_reserved_mb = 1024;
    n->disk_gb = 100;
    n->cpu_overcommit = 2;
    n->ram_overcommit = 1;
    txn_change_record(t, n);
}

static void make_server(struct txn *t, const char *project)
{
    _autorecord_ struct server *s = record_new(&kind_server, SERVER);
    s->project_id = rec_str(s, project);
    s->user_id = "u";
    s->node = "one";
    s->image_id = "i";
    s->vcpus = 2;
    s->ram_mb = 1024;
    s->disk_gb = 10;
    txn_change_record(t, s);
}

static int setup(void **state)
{
    struct api_client *c = api_client_new();
    _autotxn_ struct txn t = TXN_INIT;
    struct txn_result result;
    make_node(&t, "one", NODE);
    make_node(&t, "two", "90de0000-0000-4000-8000-000000000002");
    make_server(&t, c->demo_project);
    _autorecord_ struct aggregate *a = record_new(&kind_aggregate, "1");
    a->uuid = ZONE;
    strs_add(a, &a->hosts, "one");
    txn_change_record(&t, a);
    assert_true(store_commit(c->store, &t, &result));
    c->headers[0] = (struct param){ "OpenStack-API-Version", "placement 1.39" };
    *state = c;
    return 0;
}

static int teardown(void **state)
{
    api_client_free(*state);
    return 0;
}

static json_t *get(void **state, int status, const char *path)
{
    struct api_client *c = *state;
    return api_expect(c, status, "GET", path, c->admin, NULL);
}

static int64_t number(const json_t *j, const char *path)
{
    assert_true(json_is_integer(api_at(j, path)));
    return json_integer_value(api_at(j, path));
}

static void test_versions(void **state)
{
    struct api_client *c = *state;
    json_t *j = api_expect(c, 200, "GET", "/placement/", NULL, NULL);
    assert_string_equal(api_text(j, "versions.0.max_version"), "1.39");
    json_decref(j);
    api_status(c, 401, "GET", P, NULL, NULL);
    api_status(c, 403, "GET", P, c->demo, NULL);
    api_status(c, 405, "POST", P, c->admin, "{\"name\": \"x\"}");
    api_status(c, 405, "PUT", "/placement/allocations/" SERVER, c->admin, "{}");
    c->headers[0].value = "placement 1.99";
    j = get(state, 406, P);
    assert_string_equal(api_text(j, "errors.0.max_version"), "1.39");
    json_decref(j);
    c->headers[0].value = "placement 1.0";
    json_decref(get(state, 404, "/placement/traits"));
    j = get(state, 200, P "/" NODE);
    assert_null(api_at(j, "root_provider_uuid"));
    json_decref(j);
}

static void test_provider(void **state)
{
    json_t *j = get(state, 200, P "/" NODE);
    assert_string_equal(api_text(j, "name"), "one");
    assert_string_equal(api_text(j, "root_provider_uuid"), NODE);
    json_decref(j);
    j = get(state, 200, P "/" NODE "/inventories");
    assert_int_equal(number(j, "inventories.VCPU.total"), 4);
    assert_int_equal(number(j, "inventories.MEMORY_MB.reserved"), 1024);
    assert_true(
        json_real_value(api_at(j, "inventories.VCPU.allocation_ratio")) == 2.0);
    json_decref(j);
    j = get(state, 200, P "/" NODE "/inventories/DISK_GB");
    assert_int_equal(number(j, "total"), 100);
    json_decref(j);
    json_decref(get(state, 404, P "/" NODE "/inventories/VGPU"));
    j = get(state, 200, P "/" NODE "/usages");
    assert_int_equal(number(j, "usages.MEMORY_MB"), 1024);
    assert_int_equal(number(j, "usages.DISK_GB"), 10);
    json_decref(j);
    j = get(state, 200, P "/" NODE "/aggregates");
    assert_string_equal(api_text(j, "aggregates.0"), ZONE);
    json_decref(j);
    j = get(state, 200, P "/" NODE "/allocations");
    assert_int_equal(number(j, "allocations." SERVER ".resources.VCPU"), 2);
    json_decref(j);
    json_decref(get(state, 404, P "/no-such-node"));
    json_decref(get(state, 404, P "/" SERVER "/usages"));
}

static size_t providers(void **state, const char *query)
{
    char path[256];
    snprintf(path, sizeof(path), P "?%s", query);
    json_t *j = get(state, 200, path);
    size_t n = json_array_size(api_at(j, "resource_providers"));
    json_decref(j);
    return n;
}

static void test_filters(void **state)
{
    assert_int_equal(providers(state, ""), 2);
    assert_int_equal(providers(state, "name=one"), 1);
    assert_int_equal(providers(state, "uuid=" NODE), 1);
    assert_int_equal(providers(state, "in_tree=" NODE), 1);
    assert_int_equal(providers(state, "member_of=" ZONE), 1);
    assert_int_equal(providers(state, "member_of=!in:" ZONE), 1);
    assert_int_equal(providers(state, "required=HW_ARCH_X86_64"), 2);
    assert_int_equal(providers(state, "required=!HW_ARCH_X86_64"), 0);
    assert_int_equal(
        providers(state, "required=in:HW_ARCH_AARCH64,COMPUTE_NODE"), 2);
    assert_int_equal(providers(state, "resources=VCPU:4"), 2);
    assert_int_equal(providers(state, "resources=MEMORY_MB:7000"), 1);
    assert_int_equal(providers(state, "resources=VCPU:5"), 0);
    static const char *const bad[] = {
        "resources=VCPU",   "resources=VCPU:0",
        "resources=VCPU:x", "resources=VGPU:1",
        "resources=",       "required=NO_SUCH_TRAIT",
        "surprise=1",       "resources=VCPU:99999999999",
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        char path[256];
        snprintf(path, sizeof(path), P "?%s", bad[i]);
        json_decref(get(state, 400, path));
    }
}

static void test_consumers(void **state)
{
    struct api_client *c = *state;
    char path[256];
    json_t *j = get(state, 200, "/placement/allocations/" SERVER);
    assert_int_equal(number(j, "allocations." NODE ".resources.VCPU"), 2);
    assert_string_equal(api_text(j, "project_id"), c->demo_project);
    json_decref(j);
    j = get(state, 200, "/placement/allocations/" NODE);
    assert_int_equal(json_object_size(api_at(j, "allocations")), 0);
    json_decref(j);
    snprintf(path, sizeof(path), "/placement/usages?project_id=%s",
             c->demo_project);
    j = api_expect(c, 200, "GET", path, c->demo, NULL);
    assert_int_equal(number(j, "usages.INSTANCE.VCPU"), 2);
    json_decref(j);
    snprintf(path, sizeof(path), "/placement/usages?project_id=%s",
             c->admin_project);
    api_status(c, 403, "GET", path, c->demo, NULL);
    json_decref(get(state, 400, "/placement/usages"));
}

static void test_names(void **state)
{
    json_t *j = get(state, 200, "/placement/resource_classes");
    assert_string_equal(api_text(j, "resource_classes.0.name"), "VCPU");
    json_decref(j);
    json_decref(get(state, 404, "/placement/resource_classes/VGPU"));
    json_decref(get(state, 204, "/placement/traits/COMPUTE_NODE"));
    json_decref(get(state, 404, "/placement/traits/CUSTOM_X"));
    j = get(state, 200, "/placement/traits?name=startswith:HW_");
    assert_int_equal(json_array_size(api_at(j, "traits")), 2);
    json_decref(j);
    j = get(state, 200, "/placement/traits?name=in:COMPUTE_NODE,X");
    assert_int_equal(json_array_size(api_at(j, "traits")), 1);
    json_decref(j);
    json_decref(get(state, 400, "/placement/traits?name=HW_"));
}

static void test_candidates(void **state)
{
    json_t *j = get(state, 200,
                    "/placement/allocation_candidates?resources=VCPU:1,"
                    "MEMORY_MB:512&required=COMPUTE_NODE");
    assert_int_equal(json_array_size(api_at(j, "allocation_requests")), 2);
    assert_int_equal(
        number(j, "provider_summaries." NODE ".resources.VCPU.capacity"), 8);
    json_decref(j);
    j = get(state, 200,
            "/placement/allocation_candidates?resources=VCPU:1&limit=1");
    assert_int_equal(json_array_size(api_at(j, "allocation_requests")), 1);
    json_decref(j);
    json_decref(get(state, 400, "/placement/allocation_candidates"));
    json_decref(
        get(state, 400, "/placement/allocation_candidates?resources1=VCPU:1"));
    json_decref(
        get(state, 400,
            "/placement/allocation_candidates?resources=VCPU:1&limit=0"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

/* A second server has two CPUs for itself and one of two equal devices. */
static void test_pinned_and_devices(void **state)
{
    struct api_client *c = *state;
    _autotxn_ struct txn t = TXN_INIT;
    struct txn_result result;
    _autorecord_ struct node *n = record_new(&kind_node, "three");
    n->hypervisor_id = "90de0000-0000-4000-8000-000000000003";
    n->vcpus = 8;
    n->ram_mb = 8192;
    n->cpu_overcommit = 2;
    n->pinned_cpus = "4-6";
    static const char *const at[] = { "0000:01:00.0", "0000:02:00.0" };
    for (int i = 0; i < 2; i++) {
        struct node_device *d = list_add(n, &n->devices, sizeof(*d));
        *d = (struct node_device){ at[i], "GPU", "10de:20b0", NULL, NULL, 0 };
    }
    txn_change_record(&t, n);
    _autorecord_ struct server *s = record_new(&kind_server, "pinned");
    s->project_id = "p";
    s->node = "three";
    s->vcpus = 2;
    s->ram_mb = 1024;
    map_put(s, &s->extra_specs, "hw:cpu_policy", "dedicated");
    struct server_device *d = list_add(s, &s->devices, sizeof(*d));
    d->address = at[1];
    txn_change_record(&t, s);
    assert_true(store_commit(c->store, &t, &result));
    json_t *j =
        get(state, 200, P "/90de0000-0000-4000-8000-000000000003/inventories");
    assert_int_equal(number(j, "inventories.VCPU.total"), 5);
    assert_int_equal(number(j, "inventories.PCPU.total"), 3);
    assert_int_equal(number(j, "inventories.CUSTOM_PCI_10DE_20B0.total"), 2);
    json_decref(j);
    j = get(state, 200, P "/90de0000-0000-4000-8000-000000000003/usages");
    assert_int_equal(number(j, "usages.VCPU"), 0);
    assert_int_equal(number(j, "usages.PCPU"), 2);
    assert_int_equal(number(j, "usages.CUSTOM_PCI_10DE_20B0"), 1);
    json_decref(j);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_versions),
        TEST(test_provider),
        TEST(test_filters),
        TEST(test_consumers),
        TEST(test_names),
        TEST(test_candidates),
        TEST(test_pinned_and_devices),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
