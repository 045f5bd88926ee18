/* openstack-compat/compute: what is not a server: versions, key pairs,
 * flavors, aggregates, services, hypervisors, quotas. */
#include "api_client.h"
#include "tempdir.h"

#include "model/compute.h"
#include "model/pool.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define C    "/compute/v2.1"
#define NODE "90de0000-0000-4000-8000-000000000001"
#define SSHED                                                                  \
    "AAAAC3NzaC1lZDI1NTE5AAAAIIGv3Y8DN/iurhAsF24ZEmZDoG1i3NxMADVZRGAv"         \
    "2v7Z"

static int setup(void **state)
{
    struct api_client *c = api_client_new();
    _autotxn_ struct txn t = TXN_INIT;
    struct txn_result result;
    _autorecord_ struct node *n = record_new(&kind_node, "one");
    n->hypervisor_id = NODE;
    n->hypervisor_type = "QEMU";
    n->vcpus = 8;
    n->ram_mb = 8192;
    n->disk_gb = 100;
    n->disk_used_gb = 30;
    n->seen = c->time;
    n->booted = c->time - 3 * 86400 * SECOND_US - 3720 * SECOND_US;
    txn_change_record(&t, n);
    assert_true(store_commit(c->store, &t, &result));
    *state = c;
    return 0;
}

static int teardown(void **state)
{
    api_client_free(*state);
    return 0;
}

static void version(struct api_client *c, const char *header, const char *value)
{
    c->headers[0] = (struct param){ header, value };
}

/* GETs as the administrator; the answer must be 200. */
static json_t *get(struct api_client *c, const char *path)
{
    return api_expect(c, 200, "GET", path, c->admin, NULL);
}

/* ---- versions ---------------------------------------------------------- */

static void versions_are_negotiated(void **state)
{
    static const struct {
        const char *header, *value;
        int status;
    } asked[] = {
        { "OpenStack-API-Version", "compute 2.90", 200 },
        { "OpenStack-API-Version", "compute latest", 200 },
        { "OpenStack-API-Version", "volume 3.1, compute 2.1", 200 },
        { "OpenStack-API-Version", "volume 9.9", 200 },
        { "X-OpenStack-Nova-API-Version", "2.53", 200 },
        { "OpenStack-API-Version", "compute 2.0", 406 },
        { "OpenStack-API-Version", "compute 2.900", 406 },
        { "OpenStack-API-Version", "compute 3.1", 406 },
        { "X-OpenStack-Nova-API-Version", "9.1", 406 },
        { "OpenStack-API-Version", "compute two", 400 },
        { "OpenStack-API-Version", "compute 2", 400 },
        { "X-OpenStack-Nova-API-Version", "2.x", 400 },
    };
    struct api_client *c = *state;
    for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
        version(c, asked[i].header, asked[i].value);
        api_status(c, asked[i].status, "GET", C "/servers", c->demo, NULL);
    }
    version(c, "OpenStack-API-Version", "compute 9.9");
    json_t *fault = api_expect(c, 406, "GET", C "/servers", c->demo, NULL);
    assert_string_equal(api_text(fault, "computeFault.message"),
                        "Version 9.9 is not supported by the API. Minimum is "
                        "2.1 and maximum is 2.90.");
    json_decref(fault);
}

/* ---- key pairs --------------------------------------------------------- */

static void generated_keys_are_keys(void **state)
{
    struct api_client *c = *state;
    char dir[TEMPDIR_MAX], path[TEMPDIR_MAX + 8];
    char command[TEMPDIR_MAX + 32], line[256];
    json_t *k = api_expect(c, 200, "POST", C "/os-keypairs", c->demo,
                           "{\"keypair\":{\"name\":\"mine\"}}");
    snprintf(path, sizeof(path), "%s/key", tempdir_make(dir));
    /* 0600, as ssh-keygen wants it */
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    FILE *f = fdopen(fd, "w");
    fputs(api_text(k, "keypair.private_key"), f);
    fclose(f);
    snprintf(command, sizeof(command), "ssh-keygen -y -f %s", path);
    f = popen(command, "r");
    assert_non_null(fgets(line, sizeof(line), f));
    assert_int_equal(pclose(f), 0);
    tempdir_remove(dir);
    /* Type and blob; the comment is not in the private half. */
    line[strcspn(line, "\n")] = '\0';
    assert_memory_equal(line, api_text(k, "keypair.public_key"),
                        strlen("ssh-ed25519 " SSHED));
    json_decref(k);
    k = api_expect(c, 200, "GET", C "/os-keypairs/mine", c->demo, NULL);
    assert_null(api_at(k, "keypair.private_key"));
    json_decref(k);
    api_status(c, 404, "GET", C "/os-keypairs/mine", c->admin, NULL);
}

static void keys_are_imported_and_paged(void **state)
{
    static const char *const wrong[] = {
        "{\"name\":\"a/b\",\"public_key\":\"ssh-ed25519 " SSHED "\"}",
        "{\"name\":\"\",\"public_key\":\"ssh-ed25519 " SSHED "\"}",
        "{\"public_key\":\"ssh-ed25519 " SSHED "\"}",
        "{\"name\":\"k\",\"public_key\":\"ssh-rsa " SSHED "\"}",
        "{\"name\":\"k\",\"public_key\":\"ssh-ed25519 !!!!\"}",
        "{\"name\":\"k\",\"public_key\":\"\"}",
        "{\"name\":\"k\",\"type\":\"pgp\"}",
        "{\"name\":\"k\",\"colour\":1}",
    };
    struct api_client *c = *state;
    char body[512];
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        snprintf(body, sizeof(body), "{\"keypair\":%s}", wrong[i]);
        api_status(c, 400, "POST", C "/os-keypairs", c->demo, body);
    }
    for (int i = 0; i < 3; i++) {
        snprintf(body, sizeof(body),
                 "{\"keypair\":{\"name\":\"k%d\",\"public_key\":"
                 "\"ssh-ed25519 " SSHED " me@home\"}}",
                 i);
        api_status(c, 200, "POST", C "/os-keypairs", c->demo, body);
        api_status(c, 409, "POST", C "/os-keypairs", c->demo, body);
    }
    json_t *l = api_expect(c, 200, "GET", C "/os-keypairs?limit=1&marker=k0",
                           c->demo, NULL);
    assert_int_equal(json_array_size(api_at(l, "keypairs")), 1);
    assert_string_equal(api_text(l, "keypairs.0.keypair.name"), "k1");
    json_decref(l);
    api_status(c, 400, "GET", C "/os-keypairs?marker=none", c->demo, NULL);
    api_status(c, 202, "DELETE", C "/os-keypairs/k0", c->demo, NULL);
    api_status(c, 404, "DELETE", C "/os-keypairs/k0", c->demo, NULL);
}

/* ---- flavors ----------------------------------------------------------- */

static void flavors(void **state)
{
    static const char *const wrong[] = {
        "{\"name\":\"f\",\"ram\":64,\"disk\":1}",
        "{\"name\":\"f\",\"ram\":0,\"disk\":1,\"vcpus\":1}",
        "{\"name\":\"f\",\"ram\":\"x\",\"disk\":1,\"vcpus\":1}",
        "{\"name\":\"f\",\"ram\":64,\"disk\":1,\"vcpus\":1,\"rxtx_factor\":0}",
        "{\"name\":\"f\",\"ram\":64,\"disk\":1,\"vcpus\":1,\"colour\":1}",
        ("{\"name\":\"f\",\"ram\":64,\"disk\":1,\"vcpus\":1,"
         "\"description\":\"2.55\"}"),
    };
    struct api_client *c = *state;
    char body[512], path[200];
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        snprintf(body, sizeof(body), "{\"flavor\":%s}", wrong[i]);
        api_status(c, 400, "POST", C "/flavors", c->admin, body);
    }
    const char *good = "{\"flavor\":{\"name\":\"f\",\"id\":77,\"ram\":64,"
                       "\"disk\":1,\"vcpus\":1,"
                       "\"os-flavor-access:is_public\":false}}";
    api_status(c, 403, "POST", C "/flavors", c->demo, good);
    api_status(c, 200, "POST", C "/flavors", c->admin, good);
    api_status(c, 409, "POST", C "/flavors", c->admin, good);
    api_status(c, 404, "GET", C "/flavors/77", c->demo, NULL);
    snprintf(body, sizeof(body), "{\"addTenantAccess\":{\"tenant\":\"%s\"}}",
             c->demo_project);
    api_status(c, 200, "POST", C "/flavors/77/action", c->admin, body);
    api_status(c, 409, "POST", C "/flavors/77/action", c->admin, body);
    api_status(c, 200, "GET", C "/flavors/77", c->demo, NULL);
    snprintf(path, sizeof(path), C "/flavors/77/os-extra_specs");
    api_status(c, 200, "POST", path, c->admin,
               "{\"extra_specs\":{\"hw:a\":\"b\",\"n\":7}}");
    api_status(c, 400, "POST", path, c->admin,
               "{\"extra_specs\":{\"a/b\":\"c\"}}");
    api_status(c, 400, "POST", path, c->admin, "{\"extra_specs\":{\"a\":[]}}");
    json_t *specs = api_expect(c, 200, "GET", path, c->demo, NULL);
    assert_string_equal(api_text(specs, "extra_specs.n"), "7");
    assert_int_equal(json_object_size(api_at(specs, "extra_specs")), 2);
    json_decref(specs);
    api_status(c, 404, "DELETE", C "/flavors/77/os-extra_specs/x", c->admin,
               NULL);
    api_status(c, 400, "GET", C "/flavors?minRam=lots", c->demo, NULL);
    api_status(c, 202, "DELETE", C "/flavors/77", c->admin, NULL);
}

/* ---- the pool ---------------------------------------------------------- */

static void aggregates_make_zones(void **state)
{
    struct api_client *c = *state;
    const char *a = C "/os-aggregates/1/action";
    api_status(c, 403, "GET", C "/os-aggregates", c->demo, NULL);
    api_status(c, 200, "POST", C "/os-aggregates", c->admin,
               "{\"aggregate\":{\"name\":\"a\",\"availability_zone\":\"z1\"}}");
    api_status(c, 409, "POST", C "/os-aggregates", c->admin,
               "{\"aggregate\":{\"name\":\"a\"}}");
    api_status(c, 404, "POST", a, c->admin, "{\"add_host\":{\"host\":\"x\"}}");
    api_status(c, 200, "POST", a, c->admin,
               "{\"add_host\":{\"host\":\"one\"}}");
    api_status(c, 409, "POST", a, c->admin,
               "{\"add_host\":{\"host\":\"one\"}}");
    api_status(c, 200, "PUT", C "/os-aggregates/1", c->admin,
               "{\"aggregate\":{\"availability_zone\":\"z2\"}}");
    json_t *z = get(c, C "/os-availability-zone");
    assert_string_equal(api_text(z, "availabilityZoneInfo.0.zoneName"), "z2");
    json_decref(z);
    /* One zone a host. */
    api_status(c, 200, "POST", C "/os-aggregates", c->admin,
               "{\"aggregate\":{\"name\":\"b\",\"availability_zone\":\"z3\"}}");
    api_status(c, 409, "POST", C "/os-aggregates/2/action", c->admin,
               "{\"add_host\":{\"host\":\"one\"}}");
    api_status(c, 400, "DELETE", C "/os-aggregates/1", c->admin, NULL);
    api_status(c, 200, "POST", a, c->admin,
               "{\"remove_host\":{\"host\":\"one\"}}");
    z = get(c, C "/os-availability-zone");
    assert_string_equal(api_text(z, "availabilityZoneInfo.0.zoneName"), "nova");
    json_decref(z);
    api_status(c, 200, "DELETE", C "/os-aggregates/1", c->admin, NULL);
}

static void services_both_ways(void **state)
{
    struct api_client *c = *state;
    const char *body = "{\"host\":\"one\",\"binary\":\"nova-compute\","
                       "\"disabled_reason\":\"why\"}";
    api_status(c, 200, "PUT", C "/os-services/disable-log-reason", c->admin,
               body);
    json_t *s = get(c, C "/os-services");
    assert_string_equal(api_text(s, "services.0.status"), "disabled");
    assert_string_equal(api_text(s, "services.0.disabled_reason"), "why");
    json_decref(s);
    api_status(c, 404, "PUT", C "/os-services/disable", c->admin,
               "{\"host\":\"two\",\"binary\":\"nova-compute\"}");
    api_status(c, 501, "PUT", C "/os-services/force-down", c->admin, body);
    api_status(c, 403, "PUT", C "/os-services/enable", c->demo, body);
    version(c, "OpenStack-API-Version", "compute 2.53");
    api_status(c, 200, "PUT", C "/os-services/" NODE, c->admin,
               "{\"status\":\"enabled\"}");
    s = get(c, C "/os-services");
    assert_string_equal(api_text(s, "services.0.status"), "enabled");
    json_decref(s);
}

/* What is really free, whatever was promised. */
static void storage_left(void **state)
{
    struct api_client *c = *state;
    version(c, "OpenStack-API-Version", "compute 2.53");
    json_t *h = get(c, C "/os-hypervisors/" NODE);
    assert_int_equal(
        json_integer_value(api_at(h, "hypervisor.disk_available_least")), 70);
    assert_int_equal(json_integer_value(api_at(h, "hypervisor.free_disk_gb")),
                     100);
    json_decref(h);
    h = get(c, "/cairn/v1/status");
    assert_int_equal(json_integer_value(api_at(h, "health.nodes.up")), 1);
    assert_int_equal(json_integer_value(api_at(h, "storage.gb")), 100);
    assert_int_equal(json_integer_value(api_at(h, "storage.gb_used")), 30);
    json_decref(h);
}

static void hypervisors(void **state)
{
    struct api_client *c = *state;
    json_t *h = get(c, C "/os-hypervisors/one/search");
    json_decref(h);
    api_status(c, 404, "GET", C "/os-hypervisors/two/search", c->admin, NULL);
    version(c, "OpenStack-API-Version", "compute 2.53");
    api_status(c, 404, "GET",
               C "/os-hypervisors?hypervisor_hostname_pattern=two", c->admin,
               NULL);
    h = get(c, C "/os-hypervisors/" NODE "/uptime");
    assert_non_null(
        strstr(api_text(h, "hypervisor.uptime"), "up 3 days,  1:02"));
    json_decref(h);
    h = get(c, C "/os-hypervisors?with_servers=true");
    assert_true(json_is_array(api_at(h, "hypervisors.0.servers")));
    json_decref(h);
    version(c, "OpenStack-API-Version", "compute 2.88");
    h = get(c, C "/os-hypervisors/" NODE);
    assert_null(api_at(h, "hypervisor.vcpus"));
    json_decref(h);
    api_status(c, 404, "GET", C "/os-hypervisors/statistics", c->admin, NULL);
}

static void quotas(void **state)
{
    struct api_client *c = *state;
    char path[120];
    snprintf(path, sizeof(path), C "/os-quota-sets/%s", c->demo_project);
    api_status(c, 403, "PUT", path, c->demo, "{\"quota_set\":{\"cores\":1}}");
    api_status(c, 400, "PUT", path, c->admin, "{\"quota_set\":{\"x\":1}}");
    api_status(c, 400, "PUT", path, c->admin, "{\"quota_set\":{\"cores\":-2}}");
    api_status(c, 400, "PUT", path, c->admin,
               "{\"quota_set\":{\"cores\":\"many\"}}");
    api_status(c, 200, "PUT", path, c->admin, "{\"quota_set\":{\"cores\":7}}");
    json_t *q = api_expect(c, 200, "GET", path, c->demo, NULL);
    assert_int_equal(json_integer_value(api_at(q, "quota_set.cores")), 7);
    json_decref(q);
    q = api_expect(c, 200, "GET", C "/limits", c->demo, NULL);
    assert_int_equal(
        json_integer_value(api_at(q, "limits.absolute.maxTotalCores")), 7);
    json_decref(q);
    api_status(c, 400, "GET", C "/os-quota-sets/nobody", c->admin, NULL);
    api_status(c, 403, "GET", C "/os-quota-sets/nobody", c->demo, NULL);
    api_status(c, 202, "DELETE", path, c->admin, NULL);
    q = api_expect(c, 200, "GET", path, c->demo, NULL);
    assert_int_equal(json_integer_value(api_at(q, "quota_set.cores")), 20);
    json_decref(q);
}

static void what_is_not_there_says_so(void **state)
{
    static const char *const paths[] = {
        "/os-simple-tenant-usage",
        "/os-hosts",
        "/os-quota-class-sets/x",
        "/os-cells",
        "/os-networks",
        "/os-floating-ips",
        "/os-agents",
    };
    struct api_client *c = *state;
    char path[100];
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        snprintf(path, sizeof(path), C "%s", paths[i]);
        api_status(c, 404, "GET", path, c->admin, NULL);
    }
    api_status(c, 200, "GET", C "/os-security-groups", c->demo, NULL);
    version(c, "OpenStack-API-Version", "compute 2.36");
    api_status(c, 404, "GET", C "/os-security-groups", c->demo, NULL);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(versions_are_negotiated),
        TEST(generated_keys_are_keys),
        TEST(keys_are_imported_and_paged),
        TEST(flavors),
        TEST(aggregates_make_zones),
        TEST(services_both_ways),
        TEST(hypervisors),
        TEST(storage_left),
        TEST(quotas),
        TEST(what_is_not_there_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
