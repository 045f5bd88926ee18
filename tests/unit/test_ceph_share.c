#include "test.h"

#include "daemon/ceph_share.h"

#include <stdio.h>
#include <string.h>

static struct ceph_share example(void)
{
    return (struct ceph_share){
        .fsid = "8a3ba7f4-64ba-4d51-a1a9-3c6e4f0c1d5b",
        .mons = { { "h1", "172.25.0.2" }, { "h2", "172.25.0.3" } },
        .n_mons = 2,
        .client = "cairn",
        .admin_key = "AQBx+/==",
        .client_key = "AQBy+/==",
    };
}

static bool reads(const char *text, struct ceph_share *s)
{
    struct error err = { 0 };
    bool ok = ceph_share_read(s, text, strlen(text), &err);
    assert_true(ok || err.code == ERR_INVALID);
    return ok;
}

static void what_is_told_is_understood(void **state)
{
    struct ceph_share s = example(), got;
    struct buf b = BUF_INIT(4096);
    ceph_share_write(&s, &b);
    assert_true(reads(buf_str(&b), &got));
    assert_string_equal(got.fsid, s.fsid);
    assert_int_equal(got.n_mons, 2);
    assert_string_equal(got.mons[1].name, "h2");
    assert_string_equal(got.mons[1].address, "172.25.0.3");
    assert_string_equal(got.client, "cairn");
    assert_string_equal(got.admin_key, s.admin_key);
    assert_string_equal(got.client_key, s.client_key);
    buf_free(&b);
}

/* Each of these would end up in ceph.conf or in a path. */
static void what_is_none_is_refused(void **state)
{
    static const struct {
        const char *name, *address, *key;
    } bad[] = { { "h1", "172.25.0.2\nmon_host=x", "AQBx" },
                { "h1", "nowhere", "AQBx" },
                { "../h1", "172.25.0.2", "AQBx" },
                { "h1", "172.25.0.2", "AQ\n[client.admin]" },
                { "h1", "172.25.0.2", "" } };
    struct ceph_share got;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct ceph_share s = example();
        struct buf b = BUF_INIT(4096);
        snprintf(s.mons[0].name, sizeof(s.mons[0].name), "%s", bad[i].name);
        snprintf(s.mons[0].address, sizeof(s.mons[0].address), "%s",
                 bad[i].address);
        snprintf(s.admin_key, sizeof(s.admin_key), "%s", bad[i].key);
        ceph_share_write(&s, &b);
        assert_false(reads(buf_str(&b), &got));
        buf_free(&b);
    }
    assert_false(reads("{}", &got));
    assert_false(reads("[1]", &got));
    assert_false(reads("", &got));
}

static void one_without_monitors_is_refused(void **state)
{
    struct ceph_share s = example(), got;
    struct buf b = BUF_INIT(4096);
    s.n_mons = 0;
    ceph_share_write(&s, &b);
    assert_false(reads(buf_str(&b), &got));
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_told_is_understood),
        cmocka_unit_test(what_is_none_is_refused),
        cmocka_unit_test(one_without_monitors_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
