/* Consoles of guests on another node: two brokers, with TLS between them. */
#include "tempdir.h"
#include "test.h"

#include "common/alloc.h"
#include "daemon/broker.h"
#include "daemon/peer_ask.h"
#include "model/compute.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HERE  "11111111-0000-4000-8000-000000000001"
#define THERE "11111111-0000-4000-8000-000000000002"
#define LOST  "11111111-0000-4000-8000-000000000003"

static const char *const names[] = { "127.0.0.1", NULL };

struct fixture {
    char dir[TEMPDIR_MAX], log[200];
    struct pki pki, stranger; /* of another pool */
    struct store *store;
    struct cache *cache;
    struct hypervisor hypervisor;
    struct broker near, far; /* of n1, which asks, and of n2 */
    int fd, port;
    unsigned asked;
    /* The far node's thread. */
    pthread_t thread;
    struct error refused;
};

/* ---- n2 ----------------------------------------------------------------- */

static bool domain_info(struct hypervisor *h, const char *id,
                        struct domain_info *out, struct error *err)
{
    struct fixture *f = container_of(h, struct fixture, hypervisor);
    *out = (struct domain_info){ 0 };
    if (strcmp(id, LOST) == 0)
        return error_set(err, ERR_NOT_FOUND, "no domain %s", id);
    snprintf(out->serial_log, sizeof(out->serial_log), "%s", f->log);
    return true;
}

static bool answer(void *arg, const char *op, const char *json, struct buf *out,
                   struct error *err)
{
    struct fixture *f = arg;
    return broker_answer(&f->far, op, json, out, err);
}

static void *serve_one(void *arg)
{
    struct fixture *f = arg;
    struct peer peer;
    struct error err = { 0 };
    SSL_CTX *ctx = peer_context(&f->pki, &err);
    int fd = accept(f->fd, NULL, NULL);
    if (ctx && peer_accept(&peer, ctx, fd, &f->refused)) {
        if (peer_is_for(&peer, PEER_NODE))
            peer_answer(&peer, answer, f, &f->refused);
        peer_close(&peer);
    }
    SSL_CTX_free(ctx);
    return NULL;
}

/* n2 takes one question. */
static void serve(struct fixture *f)
{
    error_clear(&f->refused);
    assert_int_equal(pthread_create(&f->thread, NULL, serve_one, f), 0);
}

static void served(struct fixture *f)
{
    pthread_join(f->thread, NULL);
}

/* ---- n1 ----------------------------------------------------------------- */

static bool ask(void *arg, const char *node, const char *op, const char *json,
                struct buf *out, struct error *err)
{
    struct fixture *f = arg;
    f->asked++;
    assert_string_equal(node, "n2");
    return peer_ask("127.0.0.1", f->port, &f->pki, op, json, out, err);
}

static bool console(struct fixture *f, const char *id, int lines,
                    struct buf *out, struct error *err)
{
    int fd = -1;
    char json[120];
    snprintf(json, sizeof(json), "{\"id\":\"%s\",\"lines\":%d}", id, lines);
    buf_reset(out);
    error_clear(err);
    return broker_call(&f->near, "console.read", json, out, &fd, err);
}

/* ---- both --------------------------------------------------------------- */

static void put_server(struct fixture *f, const char *id, const char *node)
{
    _autotxn_ struct txn t = TXN_INIT;
    _autorecord_ struct server *s = record_new(&kind_server, id);
    s->node = node;
    txn_change_record(&t, s);
    assert_true(store_commit(f->store, &t, NULL));
}

static void say(const struct fixture *f, const void *text, size_t len)
{
    FILE *log = fopen(f->log, "we");
    assert_non_null(log);
    assert_int_equal(fwrite(text, 1, len, log), len);
    fclose(log);
}

static void open_pki(struct fixture *f, const char *name, struct pki *out)
{
    struct error err = { 0 };
    _autofree_ char *dir = xasprintf("%s/%s", f->dir, name);
    if (!pki_open(dir, names, env_now(&env_system), out, &err))
        fail_msg("%s", err.text);
}

static void listen_somewhere(struct fixture *f)
{
    struct sockaddr_in sa = { .sin_family = AF_INET };
    socklen_t len = sizeof(sa);
    sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    f->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(f->fd, (void *)&sa, sizeof(sa)), 0);
    assert_int_equal(listen(f->fd, 4), 0);
    assert_int_equal(getsockname(f->fd, (void *)&sa, &len), 0);
    f->port = ntohs(sa.sin_port);
}

static int setup(void **state)
{
    static const struct hypervisor_ops ops = { .info = domain_info };
    struct error err = { 0 };
    struct fixture *f = *state = xcalloc(1, sizeof(*f));
    tempdir_make(f->dir);
    snprintf(f->log, sizeof(f->log), "%.180s/console", f->dir);
    open_pki(f, "pki", &f->pki);
    open_pki(f, "other", &f->stranger);
    f->store = store_memory_open(&env_system);
    f->cache = cache_new(model_kinds, N_KINDS);
    assert_true(cache_follow(f->cache, f->store, &err));
    put_server(f, HERE, "n1");
    put_server(f, THERE, "n2");
    put_server(f, LOST, "n2");
    f->hypervisor.ops = &ops;
    f->near = (struct broker){ .hypervisor = &f->hypervisor,
                               .cache = f->cache,
                               .node = "n1",
                               .ask = ask,
                               .arg = f };
    f->far = f->near;
    f->far.node = "n2";
    listen_somewhere(f);
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    close(f->fd);
    cache_unfollow(f->cache);
    cache_free(f->cache);
    store_close(f->store);
    pki_close(&f->pki);
    pki_close(&f->stranger);
    tempdir_remove(f->dir);
    free(f);
    return 0;
}

/* ---- tests -------------------------------------------------------------- */

static void a_console_elsewhere_is_read_there(void **state)
{
    static const char text[] = "one\ntwo \xff\x1b[0m\n\"three\"\n";
    struct fixture *f = *state;
    struct buf out = BUF_INIT(1 << 20);
    struct error err;
    say(f, text, sizeof(text) - 1);
    serve(f);
    if (!console(f, THERE, 2, &out, &err))
        fail_msg("%s", err.text);
    served(f);
    assert_string_equal(buf_str(&out), "two \xef\xbf\xbd\x1b[0m\n\"three\"\n");
    assert_int_equal(f->asked, 1);
    assert_true(console(f, HERE, 1, &out, &err)); /* nobody is asked */
    assert_string_equal(buf_str(&out), "\"three\"\n");
    assert_int_equal(f->asked, 1);
    buf_free(&out);
}

/* Every byte takes six in JSON at worst. */
static void the_longest_console_fits(void **state)
{
    static char text[BROKER_CONSOLE_MAX + 5000];
    struct fixture *f = *state;
    struct buf out = BUF_INIT(1 << 20);
    struct error err;
    static const char fills[] = { 0x01, (char)0xff, 'x', '"' };
    for (size_t i = 0; i < sizeof(fills); i++) {
        memset(text, fills[i], sizeof(text));
        say(f, text, sizeof(text));
        serve(f);
        if (!console(f, THERE, -1, &out, &err))
            fail_msg("%s", err.text);
        served(f);
        assert_int_equal(out.len,
                         (fills[i] == (char)0xff ? 3 : 1) * BROKER_CONSOLE_MAX);
    }
    buf_free(&out);
}

static void what_the_node_says_is_passed_on(void **state)
{
    struct fixture *f = *state;
    struct buf out = BUF_INIT(1000);
    struct error err;
    serve(f);
    assert_false(console(f, LOST, -1, &out, &err));
    served(f);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_non_null(strstr(err.text, LOST));
    buf_free(&out);
}

/* Nodes ask each other about what is there, and for nothing else; and what
 * is asked of a node is never passed on. */
static void nodes_may_not_do_all(void **state)
{
    static const char *const ops[] = { "member.remove", "image.read",
                                       "join_secret.create", "" };
    struct fixture *f = *state;
    struct buf out = BUF_INIT(1000);
    struct error err;
    for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
        serve(f);
        assert_false(
            peer_ask("127.0.0.1", f->port, &f->pki, ops[i], "{}", &out, &err));
        served(f);
        assert_int_equal(err.code, ERR_FORBIDDEN);
    }
    say(f, "x", 1);
    assert_true(broker_answer(&f->far, "console.read", "{\"id\":\"" HERE "\"}",
                              &out, &err));
    assert_int_equal(f->asked, 0);
    buf_free(&out);
}

static void strangers_are_told_nothing(void **state)
{
    struct fixture *f = *state;
    struct buf out = BUF_INIT(1000);
    struct error err;
    struct peer peer;
    serve(f);
    assert_false(peer_ask("127.0.0.1", f->port, &f->stranger, "console.read",
                          "{\"id\":\"" THERE "\"}", &out, &err));
    served(f);
    assert_int_equal(err.code, ERR_UNAVAILABLE);
    assert_int_not_equal(f->refused.code, ERR_NONE);
    serve(f); /* without any certificate */
    assert_true(
        peer_connect(&peer, "127.0.0.1", f->port, PEER_NODE, NULL, &err));
    buf_adds(&out, "{\"op\":\"console.read\",\"in\":{\"id\":\"" THERE "\"}}");
    peer_send(&peer, &out, &err);
    assert_false(peer_receive(&peer, &out, &err));
    peer_close(&peer);
    served(f);
    assert_int_equal(f->refused.code, ERR_FORBIDDEN);
    assert_int_equal(out.len, 0);
    buf_free(&out);
}

static void what_is_no_question_is_refused(void **state)
{
    static const char *const said[] = { "", "{", "[]", "{\"op\":7,\"in\":{}}",
                                        "{\"op\":\"console.read\"}" };
    struct fixture *f = *state;
    struct error err;
    for (size_t i = 0; i < ARRAY_SIZE(said); i++) {
        struct buf m = BUF_INIT(10000);
        struct peer peer;
        serve(f);
        assert_true(peer_connect(&peer, "127.0.0.1", f->port, PEER_NODE,
                                 &f->pki, &err));
        buf_adds(&m, said[i]);
        buf_reserve(&m, 1);
        assert_true(peer_send(&peer, &m, &err));
        assert_true(peer_receive(&peer, &m, &err));
        assert_non_null(strstr(buf_str(&m), "\"INVALID\""));
        peer_close(&peer);
        served(f);
        buf_free(&m);
    }
}

/* It has accepted, and says nothing: the client waits, but not for long. */
static void a_silent_node(void **state)
{
    struct fixture *f = *state;
    struct buf out = BUF_INIT(1000);
    struct error err;
    int64_t began = env_mono(&env_system);
    assert_false(console(f, THERE, -1, &out, &err));
    assert_int_equal(err.code, ERR_UNAVAILABLE);
    assert_true(env_mono(&env_system) - began >= (PEER_ASK_S - 1) * SECOND_US);
    close(f->fd);
    assert_false(console(f, THERE, -1, &out, &err));
    assert_int_equal(err.code, ERR_UNAVAILABLE);
    listen_somewhere(f);
    buf_free(&out);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_console_elsewhere_is_read_there),
        T(the_longest_console_fits),
        T(what_the_node_says_is_passed_on),
        T(nodes_may_not_do_all),
        T(strangers_are_told_nothing),
        T(what_is_no_question_is_refused),
        T(a_silent_node),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
