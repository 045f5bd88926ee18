/* pki: made once, kept, renewed in time, readable by whom it should. */
#include "tempdir.h"
#include "test.h"

#include "common/alloc.h"
#include "common/env.h"
#include "rest-api/pki.h"

#include <fcntl.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DAY (24 * 3600 * SECOND_US)

static const char *const names[] = { "192.0.2.7", "2001:db8::7", "cloud.test",
                                     NULL };

static int setup(void **state)
{
    char dir[TEMPDIR_MAX];
    tempdir_make(dir);
    *state = xstrdup(dir);
    return 0;
}

static int teardown(void **state)
{
    char *rm = xasprintf("rm -r %s", (char *)*state);
    assert_int_equal(system(rm), 0);
    free(rm);
    free(*state);
    return 0;
}

static X509 *parse(const char *pem)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    X509 *x = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    assert_non_null(x);
    BIO_free(bio);
    return x;
}

static void open_pki(const char *dir, int64_t now, struct pki *p)
{
    struct error err = { 0 };
    if (!pki_open(dir, names, now, p, &err))
        fail_msg("%s", err.text);
}

static void a_chain_that_verifies(void **state)
{
    struct pki p;
    open_pki(*state, env_now(&env_system), &p);
    X509 *ca = parse(p.ca), *leaf = parse(p.cert);
    X509_STORE *trusted = X509_STORE_new();
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    X509_STORE_add_cert(trusted, ca);
    X509_STORE_CTX_init(ctx, trusted, leaf, NULL);
    X509_VERIFY_PARAM_set_flags(X509_STORE_CTX_get0_param(ctx),
                                X509_V_FLAG_X509_STRICT);
    X509_STORE_CTX_set_purpose(ctx, X509_PURPOSE_SSL_SERVER);
    assert_int_equal(X509_verify_cert(ctx), 1);
    X509_STORE_CTX_free(ctx);
    X509_STORE_free(trusted);
    for (int i = 0; i < 2; i++)
        assert_int_equal(X509_check_ip_asc(leaf, names[i], 0), 1);
    assert_int_equal(X509_check_host(leaf, "cloud.test", 0, 0, NULL), 1);
    assert_int_equal(X509_check_host(leaf, "localhost", 0, 0, NULL), 1);
    assert_int_equal(X509_check_ip_asc(leaf, "127.0.0.1", 0), 1);
    assert_int_equal(X509_check_host(leaf, "other.test", 0, 0, NULL), 0);
    assert_int_equal(X509_check_ca(leaf), 0);
    /* The chain has both. */
    assert_non_null(strstr(strstr(p.cert, "END CERT"), "BEGIN CERT"));
    X509_free(ca);
    X509_free(leaf);
    pki_close(&p);
}

static void file_modes(void **state)
{
    static const struct {
        const char *name;
        mode_t mode;
    } files[] = { { "ca.key", 0600 },
                  { "ca.crt", 0644 },
                  { "server.key", 0600 },
                  { "server.crt", 0644 } };
    struct pki p;
    mode_t was = umask(077);
    open_pki(*state, env_now(&env_system), &p);
    umask(was);
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        char path[TEMPDIR_MAX + 16];
        struct stat st;
        snprintf(path, sizeof(path), "%s/%s", (char *)*state, files[i].name);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 0777, files[i].mode);
    }
    pki_close(&p);
}

static void kept(void **state)
{
    struct pki a, b;
    int64_t now = env_now(&env_system);
    open_pki(*state, now, &a);
    open_pki(*state, now + 10 * DAY, &b);
    assert_string_equal(a.ca, b.ca);
    assert_string_equal(a.cert, b.cert);
    assert_string_equal(a.key, b.key);
    pki_close(&a);
    pki_close(&b);
}

/* What others show is what was made last. */
static void read_again(void **state)
{
    struct pki a, b, seen;
    struct error err;
    int64_t now = env_now(&env_system);
    assert_false(pki_read(*state, &seen, &err));
    open_pki(*state, now, &a);
    open_pki(*state, now + (PKI_SERVER_DAYS - PKI_RENEW_DAYS + 1) * DAY, &b);
    assert_true(pki_read(*state, &seen, &err));
    assert_string_equal(seen.cert, b.cert);
    assert_string_equal(seen.key, b.key);
    assert_string_equal(seen.ca, a.ca);
    assert_null(seen.ca_key);
    pki_close(&a);
    pki_close(&b);
    pki_close(&seen);
}

static struct timespec written(const char *dir, const char *name)
{
    struct stat st;
    char path[TEMPDIR_MAX + 16];
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    assert_int_equal(stat(path, &st), 0);
    return st.st_mtim;
}

/* Open vSwitch takes a certificate when it finds a new key with it. */
static void the_key_is_written_last(void **state)
{
    struct pki p;
    int64_t now = env_now(&env_system);
    for (int i = 0; i < 20; i++) {
        now += (PKI_SERVER_DAYS - PKI_RENEW_DAYS + 1) * DAY;
        open_pki(*state, now, &p);
        pki_close(&p);
        struct timespec crt = written(*state, "server.crt"),
                        key = written(*state, "server.key");
        assert_true(key.tv_sec > crt.tv_sec ||
                    (key.tv_sec == crt.tv_sec && key.tv_nsec >= crt.tv_nsec));
    }
}

static void renewed(void **state)
{
    static const char *const more[] = { "192.0.2.7", "192.0.2.8", NULL };
    struct pki a, b, c;
    int64_t now = env_now(&env_system);
    open_pki(*state, now, &a);
    open_pki(*state, now + (PKI_SERVER_DAYS - PKI_RENEW_DAYS + 1) * DAY, &b);
    assert_string_equal(a.ca, b.ca);
    assert_string_not_equal(a.cert, b.cert);
    assert_string_not_equal(a.key, b.key);
    assert_true(pki_open(*state, more, now, &c, NULL));
    assert_string_equal(a.ca, c.ca);
    assert_string_not_equal(b.cert, c.cert);
    pki_close(&a);
    pki_close(&b);
    pki_close(&c);
}

static void replace(const char *dir, const char *name, const char *text)
{
    char path[TEMPDIR_MAX + 16];
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void broken_files(void **state)
{
    struct pki p;
    struct error err = { 0 };
    int64_t now = env_now(&env_system);
    open_pki(*state, now, &p);
    pki_close(&p);
    /* The server's is made again, whatever is there. */
    replace(*state, "server.crt", "garbage");
    open_pki(*state, now, &p);
    pki_close(&p);
    /* Nobody but its owner replaces a CA. */
    replace(*state, "ca.crt", "garbage");
    assert_false(pki_open(*state, names, now, &p, &err));
    assert_non_null(strstr(err.text, "ca.crt"));
    assert_null(p.key);
    assert_false(pki_open("/nonexistent/x", names, now, &p, &err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
        T(a_chain_that_verifies),
        T(file_modes),
        T(kept),
        T(read_again),
        T(the_key_is_written_last),
        T(renewed),
        T(broken_files),
    };
    return cmocka_run_group_tests_name("pki", tests, NULL, NULL);
}
