/* httpd: real sockets on loopback against a small service of its own. */
#include "httpd_house.h"

#include "eventually.h"
#include "failing_store.h"

#include "rest-api/certificate.h"
#include "rest-api/pki.h"
#include "rest-api/upload.h"

#include <errno.h>
/* It has a tag of that name as well. */
#define params gnutls_params
#include <gnutls/gnutls.h>
#undef params
#include <openssl/evp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

static int setup(void **state)
{
    *state = house_open(NULL, NULL, NULL);
    return 0;
}

static int teardown(void **state)
{
    house_close(*state);
    return 0;
}

/* ---- tests ------------------------------------------------------------- */

static void simple(void **state)
{
    struct buf a = ANSWER_INIT;
    assert_int_equal(
        house_ask(*state, &a, "GET", "/t/ping?say=a%20b+c", NULL, NULL), 200);
    assert_string_equal(house_body_of(&a), "{\"pong\":\"a b c\"}");
    assert_non_null(strstr(buf_str(&a), "X-Openstack-Request-Id: req-"));
    assert_non_null(strstr(buf_str(&a), "Content-Type: application/json"));
    assert_int_equal(house_ask(*state, &a, "GET", "/t/none", NULL, NULL), 404);
    assert_int_equal(house_ask(*state, &a, "GET", "/", NULL, NULL), 404);
    assert_int_equal(house_ask(*state, &a, "PATCH", "/t/ping", NULL, NULL),
                     405);
    assert_int_equal(house_ask(*state, &a, "GET", "/t/secret", NULL, NULL),
                     401);
    assert_int_equal(house_ask(*state, &a, "GET", "/t/secret",
                               "X-Auth-Token: forged\r\n", NULL),
                     401);
    assert_int_equal(house_ask(*state, &a, "DELETE", "/t/nothing", NULL, NULL),
                     204);
    assert_int_equal(
        house_ask(*state, &a, "POST", "/t/echo/%2Fx%41", NULL, "{\"a\":[1]}"),
        200);
    assert_string_equal(house_body_of(&a),
                        "{\"param\":\"/xA\",\"body\":{\"a\":[1]}}");
    assert_int_equal(house_ask(*state, &a, "GET", "/t/big", NULL, NULL), 200);
    assert_int_equal(strlen(house_body_of(&a)), 1000000);
    buf_free(&a);
}

static void head(void **state)
{
    struct buf a = ANSWER_INIT;
    int fd = house_dial(*state);
    const char *text = "HEAD /t/ping?say=x HTTP/1.1\r\nHost: x\r\n"
                       "Connection: close\r\n\r\n";
    house_tell(fd, text, strlen(text));
    char c[4096];
    for (ssize_t n; (n = read(fd, c, sizeof(c))) > 0;)
        buf_add(&a, c, (size_t)n);
    close(fd);
    assert_non_null(strstr(buf_str(&a), "200 OK"));
    assert_non_null(strstr(buf_str(&a), "Content-Length: 12"));
    assert_string_equal(house_body_of(&a), "");
    buf_free(&a);
}

static void keep_alive(void **state)
{
    struct buf a = ANSWER_INIT;
    int fd = house_dial(*state);
    for (int i = 0; i < 50; i++) {
        char text[100];
        snprintf(text, sizeof(text),
                 "GET /t/ping?say=%d HTTP/1.1\r\nHost: x\r\n\r\n", i);
        house_tell(fd, text, strlen(text));
        assert_int_equal(house_hear(fd, &a), 200);
        snprintf(text, sizeof(text), "{\"pong\":\"%d\"}", i);
        assert_string_equal(house_body_of(&a), text);
    }
    /* Also after a refused request with a small body. */
    const char *text = "POST /t/secret HTTP/1.1\r\nHost: x\r\n"
                       "Content-Length: 5\r\n\r\n12345"
                       "GET /t/ping?say=on HTTP/1.1\r\nHost: x\r\n\r\n";
    house_tell(fd, text, strlen(text));
    assert_int_equal(house_hear(fd, &a), 401);
    if (!strstr(house_body_of(&a), "pong")) /* both may come at once */
        assert_int_equal(house_hear(fd, &a), 200);
    close(fd);
    buf_free(&a);
}

static void bad_requests(void **state)
{
    static const struct {
        const char *text;
        int status; /* 0: cut without an answer */
    } bad[] = {
        { "GET /t/ping?a=%zz HTTP/1.1\r\nHost: x\r\n\r\n", 400 },
        { "GET /t/ping?a=%00 HTTP/1.1\r\nHost: x\r\n\r\n", 400 },
        { "GET /t/ping HTTP/1.1\r\n\r\n", 400 },
        { "GET /t/ping HTTP/1.1\r\nHost x\r\n\r\n", 400 },
        { "POST /t/echo/x HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
          400 },
        { "POST /t/echo/x HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n{a}",
          400 },
        { "POST /t/echo/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked"
          "\r\n\r\nzz\r\n",
          400 },
        { "POST /t/echo/x HTTP/1.1\r\nHost: x\r\nContent-Type: text/xml\r\n"
          "Content-Length: 2\r\n\r\n{}",
          415 },
    };
    struct buf a = ANSWER_INIT;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        int fd = house_dial(*state);
        house_tell(fd, bad[i].text, strlen(bad[i].text));
        assert_int_equal(house_hear(fd, &a), bad[i].status);
        close(fd);
    }
    buf_free(&a);
}

static void oversize(void **state)
{
    struct buf a = ANSWER_INIT, text = BUF_INIT(8 * 1024 * 1024);
    int fd = house_dial(*state);
    /* By Content-Length, beyond what is swallowed: refused before a byte was
     * sent. */
    buf_addf(&text,
             "POST /t/echo/x HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n",
             65 * 1024 * 1024);
    house_tell(fd, text.data, text.len);
    assert_int_equal(house_hear(fd, &a), 413);
    close(fd);
    /* A client that sends all of it first hears the answer as well. */
    char *spaces = xmalloc(9 * 1024 * 1024 + 1);
    memset(spaces, ' ', 9 * 1024 * 1024);
    spaces[9 * 1024 * 1024] = '\0';
    assert_int_equal(house_ask(*state, &a, "POST", "/t/echo/x", NULL, spaces),
                     413);
    assert_int_equal(house_ask(*state, &a, "POST", "/t/nowhere", NULL, spaces),
                     404);
    free(spaces);
    /* By what comes: chunks. */
    fd = house_dial(*state);
    buf_reset(&text);
    buf_adds(&text, "POST /t/echo/x HTTP/1.1\r\nHost: x\r\n"
                    "Transfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 40; i++) {
        buf_adds(&text, "8000\r\n");
        for (int k = 0; k < 0x8000 / 8; k++)
            buf_adds(&text, "        ");
        buf_adds(&text, "\r\n");
    }
    buf_adds(&text, "0\r\n\r\n");
    house_tell(fd, text.data, text.len);
    assert_int_equal(house_hear(fd, &a), 413);
    close(fd);
    /* An endless one is cut. */
    fd = house_dial(*state);
    house_tell(fd, text.data, text.len - 5);
    const char *chunk = text.data + strlen("POST /t/echo/x HTTP/1.1\r\nHost: "
                                           "x\r\nTransfer-Encoding: chunked"
                                           "\r\n\r\n");
    bool cut = false;
    for (int i = 0; i < 3000 && !cut; i++)
        cut = !house_tell(fd, chunk, 0x8000 + 8);
    assert_true(cut);
    close(fd);
    /* Headers and request lines. */
    buf_reset(&text);
    for (int i = 0; i < 5000; i++)
        buf_adds(&text, "x");
    char *path = xasprintf("/t/%s", buf_str(&text));
    assert_int_equal(house_ask(*state, &a, "GET", path, NULL, NULL), 414);
    free(path);
    for (int i = 0; i < 60000; i++)
        buf_adds(&text, "x");
    char *header = xasprintf("X-Long: %s\r\n", buf_str(&text));
    int status = house_ask(*state, &a, "GET", "/t/ping", header, NULL);
    assert_true(status == 431 || status == 413 || status == 0);
    free(header);
    buf_free(&text);
    buf_free(&a);
}

static void *put_often(void *arg)
{
    struct buf a = ANSWER_INIT;
    for (int i = 0; i < 50; i++)
        assert_int_equal(
            house_ask(arg, &a, "PUT", "/t/regions/one", NULL, "{}"), 200);
    buf_free(&a);
    return NULL;
}

/* Conflicting writers are run again; nothing is lost; own writes are read. */
static void commits(void **state)
{
    pthread_t t[4];
    struct buf a = ANSWER_INIT;
    assert_int_equal(house_ask(*state, &a, "GET", "/t/regions/one", NULL, NULL),
                     404);
    for (size_t i = 0; i < ARRAY_SIZE(t); i++)
        pthread_create(&t[i], NULL, put_often, *state);
    for (size_t i = 0; i < ARRAY_SIZE(t); i++)
        pthread_join(t[i], NULL);
    assert_int_equal(house_ask(*state, &a, "GET", "/t/regions/one", NULL, NULL),
                     200);
    assert_string_equal(house_body_of(&a), "\"200\"");
    buf_free(&a);
}

static void failed_commit(void **state)
{
    struct house *h = *state;
    struct buf a = ANSWER_INIT;
    failing_store_fail(h->store, TXN_FAILED, ERR_NO_SPACE);
    assert_int_equal(house_ask(h, &a, "PUT", "/t/regions/x", NULL, "{}"), 507);
    failing_store_fail(h->store, TXN_UNKNOWN, ERR_UNKNOWN);
    assert_int_equal(house_ask(h, &a, "PUT", "/t/regions/x", NULL, "{}"), 503);
    failing_store_fail(h->store, TXN_COMMITTED, ERR_NONE);
    assert_int_equal(house_ask(h, &a, "PUT", "/t/regions/x", NULL, "{}"), 200);
    assert_string_equal(house_body_of(&a), "{\"n\":1}");
    buf_free(&a);
}

static void passwords(void **state)
{
    struct buf a = ANSWER_INIT;
    assert_int_equal(
        house_ask(*state, &a, "POST", "/t/login?password=right", NULL, ""),
        200);
    assert_int_equal(
        house_ask(*state, &a, "POST", "/t/login?password=wrong", NULL, ""),
        401);
    buf_free(&a);
}

static void calls(void **state)
{
    struct buf a = ANSWER_INIT;
    assert_int_equal(house_ask(*state, &a, "POST", "/t/call/echo", NULL, ""),
                     200);
    assert_string_equal(house_body_of(&a), "{\"a\":1}");
    assert_int_equal(house_ask(*state, &a, "POST", "/t/call/fail", NULL, ""),
                     409);
    assert_int_equal(house_ask(*state, &a, "POST", "/t/call/slow", NULL, ""),
                     200);
    buf_free(&a);
}

static void *await_one(void *arg)
{
    struct buf *a = xcalloc(1, sizeof(*a));
    buf_init(a, 1024 * 1024);
    assert_int_equal(
        house_ask(arg, a, "GET", "/t/await/w?us=10000000", NULL, NULL), 200);
    return a;
}

static void await_waiting(struct house *h)
{
    eventually(httpd_stats(h->httpd).waiting == 1);
}

static void waits_for_records(void **state)
{
    struct buf a = ANSWER_INIT;
    pthread_t t;
    void *answer;
    house_ask(*state, &a, "PUT", "/t/regions/w", NULL, "{}");
    int64_t began = env_mono(&env_system);
    assert_int_equal(
        house_ask(*state, &a, "GET", "/t/await/w?us=100000", NULL, NULL), 504);
    assert_true(env_mono(&env_system) - began >= 100000);
    assert_true(env_mono(&env_system) - began < 5 * SECOND_US);
    pthread_create(&t, NULL, await_one, *state);
    await_waiting(*state);
    house_ask(*state, &a, "PUT", "/t/regions/w", NULL, "{}");
    pthread_join(t, &answer);
    assert_string_equal(house_body_of(answer), "2");
    buf_free(answer);
    free(answer);
    buf_free(&a);
}

/* The description of region `id` as soon as it is none of `not`. */
static void region_becomes(struct house *h, const char *id, const char *want)
{
    struct buf a = ANSWER_INIT;
    char path[100];
    snprintf(path, sizeof(path), "/t/regions/%s", id);
    eventually(house_ask(h, &a, "GET", path, NULL, NULL) == 200 &&
               strcmp(house_body_of(&a), want) == 0);
    buf_free(&a);
}

static char *pattern(size_t len)
{
    char *data = xmalloc(len + 1);
    for (size_t i = 0; i < len; i++)
        data[i] = (char)('a' + i * 7 % 23);
    data[len] = '\0';
    return data;
}

static void description_of(const char *data, size_t len, char out[256])
{
    unsigned char md[64];
    unsigned n;
    int at = sprintf(out, "\"%zu ", len);
    EVP_Digest(data, len, md, &n, EVP_md5(), NULL);
    for (unsigned i = 0; i < n; i++)
        at += sprintf(out + at, "%02x", md[i]);
    out[at++] = ' ';
    EVP_Digest(data, len, md, &n, EVP_sha512(), NULL);
    for (unsigned i = 0; i < n; i++)
        at += sprintf(out + at, "%02x", md[i]);
    out[at++] = '"';
    out[at] = '\0';
}

static void uploads(void **state)
{
    static const size_t sizes[] = {
        0, 1, 1000, UPLOAD_BLOCK, UPLOAD_BLOCK + 1, 3000000, 8 * 1024 * 1024
    };
    struct house *h = *state;
    struct buf a = ANSWER_INIT;
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        for (int chunked = 0; chunked < 2; chunked++) {
            char *data = pattern(sizes[i]), want[256], head[200], id[20];
            sprintf(id, "up%zu-%d", i, chunked);
            int fd = house_dial(h);
            int n =
                sprintf(head, "PUT /t/upload/%s HTTP/1.1\r\nHost: x\r\n", id);
            n += chunked
                     ? sprintf(head + n, "Transfer-Encoding: chunked\r\n\r\n")
                     : sprintf(head + n, "Content-Length: %zu\r\n\r\n",
                               sizes[i]);
            house_tell(fd, head, (size_t)n);
            for (size_t at = 0; at < sizes[i];) {
                size_t part = sizes[i] - at < 70001 ? sizes[i] - at : 70001;
                n = sprintf(head, "%zx\r\n", part);
                if (chunked)
                    house_tell(fd, head, (size_t)n);
                house_tell(fd, data + at, part);
                if (chunked)
                    house_tell(fd, "\r\n", 2);
                at += part;
            }
            if (chunked)
                house_tell(fd, "0\r\n\r\n", 5);
            assert_int_equal(house_hear(fd, &a), 204);
            close(fd);
            description_of(data, sizes[i], want);
            region_becomes(h, id, want);
            free(data);
        }
    }
    /* A handler that refuses right away. */
    assert_int_equal(house_ask(h, &a, "PUT", "/t/upload/up1-0", NULL, "again"),
                     409);
    buf_free(&a);
}

static void truncated_uploads(void **state)
{
    struct house *h = *state;
    char *data = pattern(1000000);
    const char *head = "PUT /t/upload/cut HTTP/1.1\r\nHost: x\r\n"
                       "Content-Length: 2000000\r\n\r\n";
    int fd = house_dial(h);
    house_tell(fd, head, strlen(head));
    house_tell(fd, data, 1000000);
    region_becomes(h, "cut", "\"uploading\"");
    close(fd);
    region_becomes(h, "cut", "\"failed\"");
    head = "PUT /t/upload/cut2 HTTP/1.1\r\nHost: x\r\n"
           "Transfer-Encoding: chunked\r\n\r\n2710\r\n";
    fd = house_dial(h);
    house_tell(fd, head, strlen(head));
    house_tell(fd, data, 10000);
    house_tell(fd, "\r\n", 2);
    close(fd);
    region_becomes(h, "cut2", "\"failed\"");
    /* The end comes with the last bytes, again and again. */
    for (int i = 0; i < 10; i++) {
        char text[100], id[20];
        snprintf(id, sizeof(id), "hasty%d", i);
        snprintf(text, sizeof(text),
                 "PUT /t/upload/%s HTTP/1.1\r\nHost: x\r\n"
                 "Content-Length: 2000000\r\n\r\n",
                 id);
        fd = house_dial(h);
        house_tell(fd, text, strlen(text));
        house_tell(fd, data, 1000000);
        close(fd);
        region_becomes(h, id, "\"failed\"");
    }
    free(data);
}

static void upload_over_the_limit(void **state)
{
    struct house *h = *state;
    struct buf a = ANSWER_INIT;
    size_t len = 15 * 1024 * 1024;
    char *data = pattern(len);
    int status = house_ask(h, &a, "PUT", "/t/upload/over", NULL, data);
    assert_int_equal(status, 413); /* what is too much is read to its end */
    region_becomes(h, "over", "\"failed\"");
    free(data);
    buf_free(&a);
}

static void blobs(void **state)
{
    struct house *h = *state;
    struct buf a = ANSWER_INIT;
    char *data = pattern(200000);
    assert_int_equal(house_ask(h, &a, "PUT", "/t/upload/b", NULL, data), 204);
    assert_int_equal(house_ask(h, &a, "GET", "/t/blob", NULL, NULL), 200);
    assert_int_equal(strlen(house_body_of(&a)), 100000);
    assert_memory_equal(house_body_of(&a), data + 10, 100000);
    assert_int_equal(house_ask(h, &a, "GET", "/t/noblob", NULL, NULL), 404);
    free(data);
    buf_free(&a);
}

static void expect_continue(void **state)
{
    struct buf a = ANSWER_INIT;
    int fd = house_dial(*state);
    const char *text = "PUT /t/upload/e HTTP/1.1\r\nHost: x\r\n"
                       "Expect: 100-continue\r\nContent-Length: 5\r\n\r\n";
    house_tell(fd, text, strlen(text));
    assert_int_equal(house_hear(fd, &a), 100);
    house_tell(fd, "12345", 5);
    assert_int_equal(house_hear(fd, &a), 204);
    close(fd);
    /* Refused without asking for the body. */
    fd = house_dial(*state);
    text = "POST /t/secret HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
           "Content-Length: 5\r\n\r\n";
    house_tell(fd, text, strlen(text));
    assert_int_equal(house_hear(fd, &a), 401);
    close(fd);
    buf_free(&a);
}

/* ---- clients that take their time -------------------------------------- */

/* Sends a byte each 50 ms: when is it cut, in ms? */
static int64_t dribble(struct house *h, const char *first, const char *then)
{
    int fd = house_dial(h);
    int64_t began = env_mono(&env_system);
    house_tell(fd, first, strlen(first));
    for (int i = 0; i < 200; i++) {
        struct pollfd p = { fd, POLLIN, 0 };
        char c[4096];
        if (poll(&p, 1, 50) == 1 && read(fd, c, sizeof(c)) <= 0)
            break;
        house_tell(fd, then, strlen(then));
    }
    close(fd);
    return (env_mono(&env_system) - began) / 1000;
}

static void slow_clients(void **state)
{
    struct httpd_limits limits = {
        .header_us = 400000,
        .idle_us = 800000,
        .body_us = 600000,
        .answer_us = 500000,
    };
    struct house *h = house_open(&limits, NULL, NULL);
    struct {
        const char *first, *then;
        int64_t least, most;
    } cases[] = {
        { "", "", 400, 2000 },
        { "GET /t/ping HTTP/1.1\r\n", "X: y\r\n", 400, 2000 },
        { "GET /t/ping HTTP/1.1\r\nHost: x\r\n\r\n", "", 800, 2500 },
        { "POST /t/echo/x HTTP/1.1\r\nHost: x\r\nContent-Length: 90000\r\n\r\n",
          " ", 600, 2500 },
        { "PUT /t/upload/slow HTTP/1.1\r\nHost: x\r\nContent-Length: 900000"
          "\r\n\r\n12",
          "x", 600, 2500 },
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        int64_t ms = dribble(h, cases[i].first, cases[i].then);
        if (ms < cases[i].least || ms > cases[i].most)
            fail_msg("case %zu was cut after %lld ms", i, (long long)ms);
    }
    region_becomes(h, "slow", "\"failed\"");
    /* One that does not take its answer. */
    const char *text = "GET /t/big HTTP/1.1\r\nHost: x\r\n\r\n";
    int fd = house_dial(h);
    for (int i = 0; i < 20; i++)
        house_tell(fd, text, strlen(text));
    eventually(httpd_stats(h->httpd).connections == 0);
    close(fd);
    house_close(h);
}

static void too_many_connections(void **state)
{
    struct httpd_limits limits = { .connections_per_address = 4 };
    struct house *h = house_open(&limits, NULL, NULL);
    int fd[10], alive = 0;
    for (size_t i = 0; i < ARRAY_SIZE(fd); i++) {
        struct buf a = ANSWER_INIT;
        const char *text = "GET /t/ping HTTP/1.1\r\nHost: x\r\n\r\n";
        fd[i] = house_dial(h);
        house_tell(fd[i], text, strlen(text));
        alive += house_hear(fd[i], &a) == 200;
        buf_free(&a);
    }
    /* The library counts per event thread at worst. */
    assert_true(alive >= 4 && alive <= 8);
    for (size_t i = 0; i < ARRAY_SIZE(fd); i++)
        close(fd[i]);
    house_close(h);
}

/* ---- the end ----------------------------------------------------------- */

static void *slow_call(void *arg)
{
    struct buf a = ANSWER_INIT;
    uintptr_t status =
        (uintptr_t)house_ask(arg, &a, "POST", "/t/call/slow", NULL, "");
    buf_free(&a);
    return (void *)status;
}

static void graceful_stop(void **state)
{
    struct house *h = house_open(NULL, NULL, NULL);
    pthread_t t;
    void *status;
    int idle = house_dial(h);
    pthread_create(&t, NULL, slow_call, h);
    eventually(atomic_load(&h->in_slow));
    house_close(h);
    pthread_join(t, &status);
    assert_int_equal((uintptr_t)status, 200);
    close(idle);
}

static void *wait_long(void *arg)
{
    struct buf a = ANSWER_INIT;
    uintptr_t status = (uintptr_t)house_ask(
        arg, &a, "GET", "/t/await/w?us=60000000", NULL, NULL);
    buf_free(&a);
    return (void *)status;
}

static void stop_ends_long_waits(void **state)
{
    struct house *h = house_open(NULL, NULL, NULL);
    struct buf a = ANSWER_INIT;
    pthread_t t;
    void *status;
    house_ask(h, &a, "PUT", "/t/regions/w", NULL, "{}");
    pthread_create(&t, NULL, wait_long, h);
    await_waiting(h);
    int64_t began = env_mono(&env_system);
    house_close(h);
    assert_true(env_mono(&env_system) - began < 4 * SECOND_US);
    pthread_join(t, &status);
    assert_true((uintptr_t)status == 503 || (uintptr_t)status == 0);
    buf_free(&a);
}

/* ---- TLS --------------------------------------------------------------- */

struct tls_client {
    int fd;
    gnutls_session_t session;
    gnutls_certificate_credentials_t cred;
};

/* Takes the connection; whether the handshake was done. */
static bool tls_begin(struct tls_client *c, int fd, const char *priorities)
{
    int rc;
    c->fd = fd;
    gnutls_certificate_allocate_credentials(&c->cred);
    gnutls_init(&c->session, GNUTLS_CLIENT);
    gnutls_priority_set_direct(c->session, priorities, NULL);
    gnutls_credentials_set(c->session, GNUTLS_CRD_CERTIFICATE, c->cred);
    gnutls_transport_set_int(c->session, fd);
    gnutls_handshake_set_timeout(c->session, 10000);
    do
        rc = gnutls_handshake(c->session);
    while (rc < 0 && !gnutls_error_is_fatal(rc));
    return rc == 0;
}

static ssize_t tls_say(struct tls_client *c, const char *text, char *out,
                       size_t size)
{
    ssize_t n;
    gnutls_record_send(c->session, text, strlen(text));
    do
        n = gnutls_record_recv(c->session, out, size - 1);
    while (n == GNUTLS_E_AGAIN || n == GNUTLS_E_INTERRUPTED);
    out[n > 0 ? n : 0] = '\0';
    return n;
}

/* Is it the first certificate of the PEM that was shown? */
static bool tls_shows(struct tls_client *c, const char *pem)
{
    unsigned n;
    gnutls_datum_t text = { (unsigned char *)(uintptr_t)pem,
                            (unsigned)strlen(pem) };
    gnutls_datum_t want;
    const gnutls_datum_t *got = gnutls_certificate_get_peers(c->session, &n);
    assert_int_equal(gnutls_pem_base64_decode2("CERTIFICATE", &text, &want), 0);
    bool same = got && n == 2 && got->size == want.size &&
                memcmp(got->data, want.data, want.size) == 0;
    gnutls_free(want.data);
    return same;
}

static void tls_end(struct tls_client *c)
{
    gnutls_deinit(c->session);
    gnutls_certificate_free_credentials(c->cred);
    close(c->fd);
}

static void tls(void **state)
{
    char dir[TEMPDIR_MAX], out[4096];
    struct error err = { 0 };
    struct pki pki;
    struct tls_client c;
    const char *names[] = { "127.0.0.1", NULL };
    if (!pki_open(tempdir_make(dir), names, env_now(&env_system), &pki, &err))
        fail_msg("%s", err.text);
    struct house *h = house_open(NULL, pki.cert, pki.key);
    const char *text = "GET /t/ping?say=tls HTTP/1.1\r\nHost: x\r\n\r\n";
    assert_true(tls_begin(&c, house_dial(h), "NORMAL"));
    assert_true(tls_say(&c, text, out, sizeof(out)) > 0);
    assert_non_null(strstr(out, "200 OK"));
    tls_end(&c);
    assert_false(tls_begin(&c, house_dial(h), "NORMAL:-VERS-ALL:+VERS-TLS1.1"));
    tls_end(&c);
    house_close(h);
    pki_close(&pki);
    tempdir_remove(dir);
}

/* Who is connected notices nothing; who comes next sees the new one. */
static void certificate_is_replaced(void **state)
{
    char dirs[2][TEMPDIR_MAX], out[4096];
    struct pki pki[2];
    struct error err = { 0 };
    const char *names[] = { "127.0.0.1", NULL };
    for (int i = 0; i < 2; i++)
        if (!pki_open(tempdir_make(dirs[i]), names, env_now(&env_system),
                      &pki[i], &err))
            fail_msg("%s", err.text);
    struct house *h = house_open(NULL, pki[0].cert, pki[0].key);
    struct tls_client before, after;
    assert_true(tls_begin(&before, house_dial(h), "NORMAL"));
    assert_true(tls_shows(&before, pki[0].cert));
    assert_false(certificate_set("no", "certificate", &err));
    if (!certificate_set(pki[1].cert, pki[1].key, &err))
        fail_msg("%s", err.text);
    const char *text = "GET /t/ping HTTP/1.1\r\nHost: x\r\n\r\n";
    assert_true(tls_say(&before, text, out, sizeof(out)) > 0);
    assert_true(tls_begin(&after, house_dial(h), "NORMAL"));
    assert_true(tls_shows(&after, pki[1].cert));
    assert_true(tls_say(&after, text, out, sizeof(out)) > 0);
    tls_end(&before);
    tls_end(&after);
    house_close(h);
    for (int i = 0; i < 2; i++) {
        pki_close(&pki[i]);
        tempdir_remove(dirs[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
        T(simple),
        T(head),
        T(keep_alive),
        T(bad_requests),
        T(oversize),
        T(commits),
        T(failed_commit),
        T(passwords),
        T(calls),
        T(waits_for_records),
        T(uploads),
        T(truncated_uploads),
        T(upload_over_the_limit),
        T(blobs),
        T(expect_continue),
        cmocka_unit_test(slow_clients),
        cmocka_unit_test(too_many_connections),
        cmocka_unit_test(graceful_stop),
        cmocka_unit_test(stop_ends_long_waits),
        cmocka_unit_test(tls),
        cmocka_unit_test(certificate_is_replaced),
    };
    return cmocka_run_group_tests_name("httpd", tests, NULL, NULL);
}
