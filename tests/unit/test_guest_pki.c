/* The keys of moving guests: two nodes of a pool trust each other, others do
 * not; what is good is kept. */
#include "test.h"

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/env.h"
#include "daemon/guest_pki.h"
#include "rest-api/pki.h"
#include "shell.h"
#include "tempdir.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const names[] = { "n", NULL };

static char *make_pool(const char *root, const char *name)
{
    struct pki pki;
    struct error err;
    char *dir = xasprintf("%s/%s", root, name);
    assert_true(pki_open(dir, names, env_now(&env_system), &pki, &err));
    pki_close(&pki);
    return dir;
}

static void make(const char *dir, const char *pool, const char *address,
                 int64_t now)
{
    struct error err;
    _autofree_ char *key = xasprintf("%s/ca.key", pool);
    if (!guest_pki_make(dir, key, address, getuid(), getgid(), now, &err))
        fail_msg("%s", err.text);
}

static int verifies(const char *ca, const char *cert, const char *address)
{
    return shell_in("/",
                    "openssl verify -CAfile %s/ca-cert.pem -purpose sslserver "
                    "-verify_ip %s %s/server-cert.pem >/dev/null 2>&1",
                    ca, address, cert);
}

static void members_trust_each_other(void **state)
{
    char root[TEMPDIR_MAX];
    tempdir_make(root);
    _autofree_ char *pool = make_pool(root, "pool");
    _autofree_ char *other = make_pool(root, "other");
    _autofree_ char *a = xasprintf("%s/a", root);
    _autofree_ char *b = xasprintf("%s/b", root);
    _autofree_ char *c = xasprintf("%s/c", root);
    int64_t now = env_now(&env_system);
    make(a, pool, "10.0.0.1", now);
    make(b, pool, "10.0.0.2", now);
    make(c, other, "10.0.0.2", now);
    assert_int_equal(verifies(a, b, "10.0.0.2"), 0);
    assert_int_equal(verifies(b, a, "10.0.0.1"), 0);
    assert_int_not_equal(verifies(a, b, "10.0.0.1"), 0);
    assert_int_not_equal(verifies(a, c, "10.0.0.2"), 0);
    shell_in("/", "rm -rf %s", root);
}

static ino_t inode(const char *dir)
{
    struct stat st;
    _autofree_ char *path = xasprintf("%s/client-key.pem", dir);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0400);
    return st.st_ino;
}

static void good_ones_are_kept(void **state)
{
    char root[TEMPDIR_MAX];
    tempdir_make(root);
    _autofree_ char *pool = make_pool(root, "pool");
    _autofree_ char *a = xasprintf("%s/a", root);
    int64_t now = env_now(&env_system), year = 365 * 24 * 3600 * SECOND_US;
    make(a, pool, "10.0.0.1", now);
    ino_t first = inode(a);
    make(a, pool, "10.0.0.1", now + year / 4);
    assert_int_equal(inode(a), first);
    make(a, pool, "10.0.0.9", now);
    assert_int_equal(verifies(a, a, "10.0.0.9"), 0);
    make(a, pool, "10.0.0.9", now + year);
    assert_int_not_equal(verifies(a, a, "10.0.0.9"), 0); /* not valid yet */
    shell_in("/", "rm -rf %s", root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_trust_each_other),
        cmocka_unit_test(good_ones_are_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
