/* The API's certificate: every member's is of one authority, and the face,
 * which has its key, gets nowhere with it among the nodes. */
#include "tempdir.h"
#include "test.h"

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/env.h"
#include "daemon/api_pki.h"
#include "daemon/peer_tls.h"
#include "shell.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

static const char *const names[] = { "192.0.2.7", NULL };

struct pool {
    char dir[TEMPDIR_MAX];
    struct pki own, api;
};

static void open_both(const char *dir, struct pool *p, int64_t now)
{
    struct error err;
    if (!pki_open(dir, names, now, &p->own, &err) ||
        !api_pki_open(dir, names, now, &p->api, &err))
        fail_msg("%s", err.text);
}

static int setup(void **state)
{
    struct pool *p = *state = xcalloc(1, sizeof(*p));
    open_both(tempdir_make(p->dir), p, env_now(&env_system));
    return 0;
}

static void close_both(struct pool *p)
{
    pki_close(&p->own);
    pki_close(&p->api);
}

static int teardown(void **state)
{
    struct pool *p = *state;
    close_both(p);
    tempdir_remove(p->dir);
    free(p);
    return 0;
}

/* Another node, which has been given these files, and nothing else. */
static void join(const struct pool *p, struct pool *other, const char *files)
{
    tempdir_make(other->dir);
    assert_int_equal(shell_in(p->dir, "cp --parents %s %s", files, other->dir),
                     0);
    open_both(other->dir, other, env_now(&env_system));
}

static int verifies(const char *ca_of, const char *leaf_of)
{
    return shell_in("/",
                    "openssl verify -x509_strict -purpose sslserver "
                    "-verify_ip 192.0.2.7 -CAfile %s/api/ca.crt "
                    "%s/api/server.crt >/dev/null 2>&1",
                    ca_of, leaf_of);
}

static void one_authority_a_pool(void **state)
{
    struct pool *a = *state, b, c;
    join(a, &b, "ca.*");
    join(a, &c, "api/ca.crt"); /* another pool; it replaces that */
    assert_int_equal(verifies(a->dir, a->dir), 0);
    assert_int_equal(verifies(a->dir, b.dir), 0);
    assert_int_equal(verifies(b.dir, a->dir), 0);
    assert_int_equal(verifies(c.dir, c.dir), 0);
    assert_int_not_equal(verifies(a->dir, c.dir), 0);
    assert_string_not_equal(a->api.key, b.api.key);
    close_both(&b);
    close_both(&c);
    tempdir_remove(b.dir);
    tempdir_remove(c.dir);
}

static void kept_and_renewed(void **state)
{
    struct pool *p = *state, later;
    int64_t now = env_now(&env_system), day = 24 * 3600 * SECOND_US;
    struct stat st;
    _autofree_ char *key = xasprintf("%s/api/server.key", p->dir);
    _autofree_ char *ca_key = xasprintf("%s/api/ca.key", p->dir);
    assert_int_equal(stat(key, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_not_equal(stat(ca_key, &st), 0); /* it is nowhere */
    open_both(p->dir, &later, now + 10 * day);
    assert_string_equal(p->api.cert, later.api.cert);
    close_both(&later);
    open_both(p->dir, &later,
              now + (PKI_SERVER_DAYS - PKI_RENEW_DAYS + 1) * day);
    assert_string_not_equal(p->api.cert, later.api.cert);
    assert_string_equal(p->api.ca, later.api.ca);
    close_both(&later);
}

static void a_pool_without_its_key(void **state)
{
    struct pool *p = *state;
    struct pki out;
    struct error err;
    assert_int_equal(shell_in("/", "rm %s/ca.key", p->dir), 0);
    assert_false(api_pki_open(p->dir, names, env_now(&env_system), &out, &err));
    assert_non_null(strstr(err.text, "ca.key"));
    assert_null(out.key);
}

/* ---- among nodes --------------------------------------------------------- */

struct visit {
    const struct pki *as;
    int fd;
    bool is_member;
};

static void *accept_one(void *arg)
{
    struct visit *v = arg;
    struct peer peer;
    struct error err = { 0 };
    SSL_CTX *ctx = peer_context(v->as, &err);
    v->is_member = false;
    if (ctx && peer_accept(&peer, ctx, v->fd, &err)) {
        v->is_member = peer_is_member(&peer);
        peer_close(&peer);
    }
    SSL_CTX_free(ctx);
    return NULL;
}

/* Is one with `client` a member in the eyes of one with `server`, and does he
 * take that one for a member? */
static bool are_peers(const struct pki *server, const struct pki *client,
                      bool *trusts)
{
    int fds[2];
    pthread_t thread;
    struct peer peer = { 0 };
    struct error err;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    struct visit v = { .as = server, .fd = fds[0] };
    assert_int_equal(pthread_create(&thread, NULL, accept_one, &v), 0);
    *trusts = peer_dial(&peer, fds[1], "n2", PEER_CEPH, client, &err);
    peer_close(&peer);
    pthread_join(thread, NULL);
    return v.is_member;
}

static void its_key_opens_no_door(void **state)
{
    struct pool *p = *state;
    bool trusts;
    assert_true(are_peers(&p->own, &p->own, &trusts));
    assert_true(trusts);
    /* The face's, with the pool's CA, which everybody may know. */
    struct pki face = p->api;
    face.ca = p->own.ca;
    assert_false(are_peers(&p->own, &face, &trusts));
    assert_false(are_peers(&face, &p->own, &trusts));
    assert_false(trusts);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        T(one_authority_a_pool),
        T(kept_and_renewed),
        T(a_pool_without_its_key),
        T(its_key_opens_no_door),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
