/* metadata_server: real sockets, what a guest gets and what it does not. */
#include "test.h"

#include "eventually.h"

#include "common/alloc.h"
#include "daemon/metadata_server.h"
#include "model/compute.h"
#include "model/model.h"
#include "model/network.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define SERVER "3f2504e0-4f89-41d3-9a0c-0305e82c3301"

struct house {
    struct store *store;
    struct cache *cache;
    struct metadata_server *server;
    int port;
};

static int listener(int *port)
{
    struct sockaddr_in sa = { .sin_family = AF_INET };
    socklen_t len = sizeof(sa);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(fd, (void *)&sa, sizeof(sa)), 0);
    assert_int_equal(listen(fd, 16), 0);
    assert_int_equal(getsockname(fd, (void *)&sa, &len), 0);
    *port = ntohs(sa.sin_port);
    return fd;
}

static void put(struct house *h, void *record)
{
    _autotxn_ struct txn t = TXN_INIT;
    txn_put_record(&t, record);
    record_unref(record);
    assert_true(store_commit(h->store, &t, NULL));
}

/* A guest whose address is the one that tests connect from. */
static void put_guest(struct house *h)
{
    struct server *s = record_new(&kind_server, SERVER);
    s->name = "guest";
    s->hostname = "guest";
    s->project_id = "p";
    struct server_port *sp = list_add(s, &s->ports, sizeof(*sp));
    sp->port_id = "port";
    put(h, s);
    struct port *p = record_new(&kind_port, "port");
    p->network_id = "net";
    p->device_id = SERVER;
    p->device_owner = "compute:nova";
    struct fixed_ip *ip = list_add(p, &p->fixed_ips, sizeof(*ip));
    ip->subnet_id = "sub";
    ip->ip_address = "127.0.0.1";
    put(h, p);
}

static int setup(void **state)
{
    struct house *h = xcalloc(1, sizeof(*h));
    h->store = store_memory_open(&env_system);
    h->cache = cache_new(model_kinds, N_KINDS);
    assert_true(cache_follow(h->cache, h->store, NULL));
    put_guest(h);
    h->server = metadata_server_new(h->cache, &env_system);
    metadata_server_listen(h->server, "net", listener(&h->port));
    *state = h;
    return 0;
}

static int teardown(void **state)
{
    struct house *h = *state;
    metadata_server_free(h->server);
    cache_unfollow(h->cache);
    cache_free(h->cache);
    store_close(h->store);
    free(h);
    return 0;
}

static int dial(int port)
{
    struct sockaddr_in sa = { .sin_family = AF_INET,
                              .sin_port = htons((uint16_t)port) };
    struct timeval tv = { .tv_sec = 10 };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
    return connect(fd, (void *)&sa, sizeof(sa)) == 0 ? fd : -1;
}

/* Sends the text in two parts, reads all; the status. */
static int ask(int port, const char *text, struct buf *answer)
{
    int status = 0, fd = dial(port);
    size_t half = strlen(text) / 2;
    char c[4096];
    assert_true(fd >= 0);
    buf_reset(answer);
    send(fd, text, half, MSG_NOSIGNAL);
    usleep(10000); /* else they arrive as one; nothing tells when */
    send(fd, text + half, strlen(text) - half, MSG_NOSIGNAL);
    for (ssize_t n; (n = read(fd, c, sizeof(c))) > 0;)
        buf_add(answer, c, (size_t)n);
    close(fd);
    sscanf(buf_str(answer), "HTTP/1.1 %d", &status);
    return status;
}

static void a_guest(void **state)
{
    struct house *h = *state;
    struct buf a = BUF_INIT(1024 * 1024);
    assert_int_equal(ask(h->port,
                         "GET /openstack/latest/meta_data.json HTTP/1.1\r\n"
                         "Host: 169.254.169.254\r\n\r\n",
                         &a),
                     200);
    assert_non_null(strstr(buf_str(&a), SERVER));
    assert_non_null(strstr(buf_str(&a), "Connection: close"));
    assert_int_equal(
        ask(h->port, "GET /latest/meta-data/hostname?x=1 HTTP/1.0\n\n", &a),
        200);
    assert_int_equal(ask(h->port, "GET /nothing/here HTTP/1.1\r\n\r\n", &a),
                     404);
    buf_free(&a);
}

static void bad_requests(void **state)
{
    static const struct {
        const char *text;
        int status;
    } bad[] = {
        { "nonsense\r\n\r\n", 400 },
        { "GET relative HTTP/1.1\r\n\r\n", 400 },
        { "GET / HTTP/2\r\n\r\n", 400 },
        { "GET /%zz HTTP/1.1\r\n\r\n", 400 },
        { "GET /%00 HTTP/1.1\r\n\r\n", 400 },
        { "POST / HTTP/1.1\r\n\r\n", 405 },
        { "\r\n\r\n", 400 },
    };
    struct house *h = *state;
    struct buf a = BUF_INIT(1024 * 1024);
    char big[METADATA_REQUEST_MAX + 2];
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(ask(h->port, bad[i].text, &a), bad[i].status);
    memset(big, 'x', sizeof(big));
    big[METADATA_REQUEST_MAX] = '\0';
    assert_int_equal(ask(h->port, big, &a), 400);
    buf_free(&a);
}

/* A port that only says it is the server's: the server does not know it. */
static void false_claim(void **state)
{
    struct house *h = *state;
    struct buf a = BUF_INIT(1024 * 1024);
    struct server *s = record_new(&kind_server, SERVER);
    s->name = "guest";
    s->hostname = "guest";
    s->project_id = "p";
    put(h, s);
    int status = 200;
    for (int i = 0; i < 100 && status == 200; i++) /* till the cache hears */
        status = ask(h->port, "GET /openstack HTTP/1.1\r\n\r\n", &a);
    assert_int_equal(status, 404);
    buf_free(&a);
}

/* The same address on another network is somebody else. */
static void other_network(void **state)
{
    struct house *h = *state;
    struct buf a = BUF_INIT(1024 * 1024);
    int port;
    metadata_server_listen(h->server, "other", listener(&port));
    assert_int_equal(ask(port,
                         "GET /openstack/latest/meta_data.json HTTP/1.1\r\n"
                         "X-Forwarded-For: 127.0.0.1\r\n"
                         "X-Neutron-Network-ID: net\r\n\r\n",
                         &a),
                     404);
    buf_free(&a);
}

static bool is_refused(int port)
{
    int fd = dial(port);
    if (fd >= 0)
        close(fd);
    return fd < 0;
}

static void listeners_come_and_go(void **state)
{
    struct house *h = *state;
    struct buf a = BUF_INIT(1024 * 1024);
    const char *text = "GET /openstack HTTP/1.1\r\n\r\n";
    int old = h->port, fresh;
    metadata_server_listen(h->server, "net", listener(&fresh));
    assert_int_equal(ask(fresh, text, &a), 200);
    eventually(is_refused(old));
    metadata_server_listen(h->server, "net", -1);
    eventually(is_refused(fresh));
    buf_free(&a);
}

/* Many that say nothing keep nobody else from being served. */
static void silent_clients(void **state)
{
    struct house *h = *state;
    struct buf a = BUF_INIT(1024 * 1024);
    int fd[40];
    for (size_t i = 0; i < ARRAY_SIZE(fd); i++)
        fd[i] = dial(h->port);
    assert_int_equal(ask(h->port, "GET /openstack HTTP/1.1\r\n\r\n", &a), 200);
    for (size_t i = 0; i < ARRAY_SIZE(fd); i++)
        close(fd[i]);
    buf_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
        T(a_guest),        T(bad_requests),
        T(other_network),  T(listeners_come_and_go),
        T(silent_clients), T(false_claim),
    };
    return cmocka_run_group_tests_name("metadata_server", tests, NULL, NULL);
}
