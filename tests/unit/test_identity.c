/* The client itself, the first content, and the shape of things. */
#include "api_client.h"

#include "model/pool.h"
#include "openstack-compat/bootstrap.h"

#include <stdlib.h>
#include <string.h>

static int setup(void **state)
{
    *state = api_client_new();
    return 0;
}

static int teardown(void **state)
{
    api_client_free(*state);
    return 0;
}

static void test_versions(void **state)
{
    json_t *j = api_expect(*state, 300, "GET", "/identity/", NULL, NULL);
    assert_string_equal(api_text(j, "versions.values.0.id"), "v3.14");
    assert_string_equal(api_text(j, "versions.values.0.links.0.href"),
                        "https://cairn.test/identity/v3/");
    json_decref(j);
    j = api_expect(*state, 200, "GET", "/identity/v3/", NULL, NULL);
    assert_string_equal(api_text(j, "version.status"), "stable");
    json_decref(j);
    api_status(*state, 300, "GET", "/identity", NULL, NULL);
    api_status(*state, 404, "GET", "/identity/v2.0", NULL, NULL);
    api_status(*state, 200, "GET", "/healthz", NULL, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_versions, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
