#include "httpd_house.h"

#include "failing_store.h"

#include "rest-api/route.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>

/* ---- the service ------------------------------------------------------- */

static enum outcome ping(struct req *r)
{
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    jw_str(&w, "pong", req_query(r, "say"));
    jw_obj_end(&w);
    return req_reply(r, 200);
}

static enum outcome echo(struct req *r)
{
    struct jw w = req_json(r);
    jw_obj(&w, NULL);
    jw_str(&w, "param", r->param[0]);
    jw_json(&w, "body", r->body);
    jw_obj_end(&w);
    return req_reply(r, 200);
}

static enum outcome big(struct req *r)
{
    for (int i = 0; i < 100000; i++)
        buf_adds(&r->resp.body, "0123456789");
    return req_reply(r, 200);
}

static enum outcome put_region(struct req *r)
{
    const char *id = r->param[0];
    const struct region *was = snap_get(r->snap, &kind_region, id);
    _autorecord_ struct region *now =
        was ? record_copy(was) : record_new(&kind_region, id);
    int n = was ? atoi(was->description) : 0;
    now->description = rec_strf(now, "%d", n + 1);
    txn_change_record(&r->txn, now);
    buf_addf(&r->resp.body, "{\"n\":%d}", n + 1);
    return req_reply(r, 200);
}

static enum outcome get_region(struct req *r)
{
    const struct region *x = snap_get(r->snap, &kind_region, r->param[0]);
    if (!x)
        return req_fail(r, ERR_NOT_FOUND, "no region %s", r->param[0]);
    struct jw w = req_json(r);
    jw_str(&w, NULL, x->description);
    return req_reply(r, 200);
}

static enum outcome login(struct req *r)
{
    if (r->step == 0)
        return req_wait(
            r, (struct wait){ .type = WAIT_HASH, .password = "right" }, 1);
    if (r->step == 1 && r->waited.ok)
        return req_wait(r,
                        (struct wait){
                            .type = WAIT_PASSWORD,
                            .password = req_query(r, "password"),
                            .hash = req_strf(r, "%s", buf_str(&r->waited.text)),
                        },
                        2);
    if (!r->waited.ok)
        return req_fail(r, r->waited.err.code, "%s", r->waited.err.text);
    return req_reply(r, 200);
}

static enum outcome call_out(struct req *r)
{
    if (r->step == 0)
        return req_wait(r,
                        (struct wait){ .type = WAIT_CALL,
                                       .op = r->param[0],
                                       .json = "{\"a\":1}" },
                        1);
    if (!r->waited.ok)
        return req_fail(r, r->waited.err.code, "%s", r->waited.err.text);
    buf_add(&r->resp.body, r->waited.text.data, r->waited.text.len);
    return req_reply(r, 200);
}

static enum outcome await_region(struct req *r)
{
    const struct region *x = snap_get(r->snap, &kind_region, r->param[0]);
    if (r->step == 0 && x)
        return req_wait(
            r,
            (struct wait){ .type = WAIT_RECORD,
                           .kind = &kind_region,
                           .id = r->param[0],
                           .mod_rev = x->rec.mod_rev,
                           .deadline = r->now + atoll(req_query(r, "us")) },
            1);
    if (r->step == 1 && !r->waited.ok)
        return req_fail(r, r->waited.err.code, "%s", r->waited.err.text);
    buf_adds(&r->resp.body, x ? x->description : "gone");
    return req_reply(r, 200);
}

static enum outcome upload(struct req *r)
{
    const char *id = r->param[0];
    const struct region *was = snap_get(r->snap, &kind_region, id);
    _autorecord_ struct region *now =
        was ? record_copy(was) : record_new(&kind_region, id);
    if (r->step == 0) {
        if (was)
            return req_fail(r, ERR_EXISTS, "%s is there", id);
        now->description = rec_str(now, "uploading");
        txn_change_record(&r->txn, now);
        return req_wait(r,
                        (struct wait){ .type = WAIT_BODY,
                                       .upload_id = id,
                                       .max_bytes = 8 * 1024 * 1024 },
                        1);
    }
    if (!r->waited.ok) {
        struct error err = r->waited.err;
        now->description = rec_strf(now, "failed");
        txn_change_record(&r->txn, now);
        /* The answer is an error, but the undoing is committed. */
        buf_adds(&r->resp.body, err.text);
        return req_reply(r, error_http_status(err.code));
    }
    now->description = rec_strf(now, "%lld %s %s", (long long)r->waited.bytes,
                                r->waited.md5, r->waited.sha512);
    txn_change_record(&r->txn, now);
    return req_reply(r, 204);
}

static enum outcome blob(struct req *r)
{
    r->resp.blob = "blob";
    r->resp.blob_offset = 10;
    r->resp.blob_size = 100000;
    http_header(&r->resp, "Content-Type", "application/octet-stream");
    return req_reply(r, 200);
}

static enum outcome no_blob(struct req *r)
{
    r->resp.blob = "missing";
    r->resp.blob_size = 10;
    return req_reply(r, 200);
}

static enum outcome nothing(struct req *r)
{
    return req_reply(r, 204);
}

static const struct route routes[] = {
    { "GET", "/ping", ping, POLICY_PUBLIC },
    { "GET", "/big", big, POLICY_PUBLIC },
    { "GET", "/secret", ping, POLICY_TOKEN },
    { "POST", "/secret", ping, POLICY_TOKEN },
    { "POST", "/echo/{x}", echo, POLICY_PUBLIC },
    { "PUT", "/regions/{id}", put_region, POLICY_PUBLIC, ROUTE_ANY_BODY },
    { "GET", "/regions/{id}", get_region, POLICY_PUBLIC },
    { "POST", "/look/{id}", get_region, POLICY_PUBLIC, ROUTE_ANY_BODY },
    { "POST", "/login", login, POLICY_PUBLIC, ROUTE_ANY_BODY },
    { "POST", "/call/{op}", call_out, POLICY_PUBLIC, ROUTE_ANY_BODY },
    { "GET", "/await/{id}", await_region, POLICY_PUBLIC },
    { "PUT", "/upload/{id}", upload, POLICY_PUBLIC, ROUTE_STREAM },
    { "GET", "/blob", blob, POLICY_PUBLIC },
    { "GET", "/noblob", no_blob, POLICY_PUBLIC },
    { "DELETE", "/nothing", nothing, POLICY_PUBLIC },
    ROUTE_END,
};
static const struct service_api service = {
    .prefix = "/t",
    .type = "test",
    .name = "test",
    .style = STYLE_NOVA,
    .routes = routes,
};
const struct service_api *const api_services[] = { &service, NULL };

/* ---- the house --------------------------------------------------------- */

static bool fake_call(void *self, const char *op, const char *json,
                      struct buf *out, int *fd, struct error *err)
{
    struct house *h = self;
    char path[TEMPDIR_MAX + 10];
    snprintf(path, sizeof(path), "%s/file", h->dir);
    if (strcmp(op, "fail") == 0)
        return error_set(err, ERR_CONFLICT, "it failed");
    if (strcmp(op, "slow") == 0) {
        atomic_store(&h->in_slow, true);
        usleep(300000); /* that is what is slow about it */
    }
    if (strcmp(op, "image.write") == 0)
        *fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (strcmp(op, "image.read") == 0) {
        if (strstr(json, "missing"))
            return error_set(err, ERR_NOT_FOUND, "no such blob");
        *fd = open(path, O_RDONLY | O_CLOEXEC);
    }
    buf_adds(out, json);
    return true;
}

static int listen_loopback(int *port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in sa = { .sin_family = AF_INET };
    socklen_t len = sizeof(sa);
    sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(fd, (void *)&sa, sizeof(sa)), 0);
    assert_int_equal(listen(fd, 64), 0);
    assert_int_equal(getsockname(fd, (void *)&sa, &len), 0);
    *port = ntohs(sa.sin_port);
    return fd;
}

struct house *house_open(const struct httpd_limits *limits, const char *cert,
                         const char *key)
{
    struct error err = { 0 };
    struct house *h = xcalloc(1, sizeof(*h));
    tempdir_make(h->dir);
    h->store = failing_store_new(store_memory_open(&env_system));
    h->cache = cache_new(model_kinds, N_KINDS);
    h->tokens = tokens_new(&env_system, h->cache);
    h->passwords = password_queue_new(&env_system, 16, 1);
    h->api = (struct api){ .env = &env_system,
                           .cache = h->cache,
                           .tokens = h->tokens,
                           .authenticate = auth_request,
                           .public_url = "http://127.0.0.1" };
    struct httpd_config config = {
        .driver = { .api = &h->api,
                    .store = h->store,
                    .passwords = h->passwords,
                    .io = { h, fake_call } },
        .tls_cert = cert,
        .tls_key = key,
        .threads = 2,
    };
    if (limits)
        config.limits = *limits;
    h->httpd = httpd_new(&config);
    assert_true(cache_follow(h->cache, h->store, &err));
    h->listen_fd = listen_loopback(&h->port);
    if (!httpd_start(h->httpd, h->listen_fd, &err))
        fail_msg("%s", err.text);
    return h;
}

void house_close(struct house *h)
{
    assert_true(httpd_stop(h->httpd, SECOND_US));
    close(h->listen_fd);
    cache_unfollow(h->cache);
    password_queue_free(h->passwords);
    store_close(h->store);
    httpd_free(h->httpd);
    tokens_free(h->tokens);
    cache_free(h->cache);
    tempdir_remove(h->dir);
    free(h);
}

/* ---- a client ---------------------------------------------------------- */

int house_dial(struct house *h)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in sa = { .sin_family = AF_INET,
                              .sin_port = htons((uint16_t)h->port) };
    struct timeval tv = { .tv_sec = 20 };
    sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(fd, (void *)&sa, sizeof(sa)), 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
    return fd;
}

bool house_tell(int fd, const void *data, size_t len)
{
    for (size_t done = 0; done < len;) {
        ssize_t n =
            send(fd, (const char *)data + done, len - done, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        done += (size_t)n;
    }
    return true;
}

int house_hear(int fd, struct buf *out)
{
    char c[4096];
    buf_reset(out);
    for (;;) {
        const char *text = buf_str(out), *end = strstr(text, "\r\n\r\n");
        if (end) {
            const char *len = strcasestr(text, "\r\nContent-Length: ");
            size_t want = len && len < end ? strtoul(len + 18, NULL, 10) : 0;
            if (out->len >= (size_t)(end + 4 - text) + want)
                break;
        }
        ssize_t n = read(fd, c, sizeof(c));
        if (n <= 0)
            break;
        buf_add(out, c, (size_t)n);
    }
    int status = 0;
    sscanf(buf_str(out), "HTTP/1.1 %d", &status);
    return status;
}

const char *house_body_of(const struct buf *answer)
{
    const char *end = strstr(buf_str(answer), "\r\n\r\n");
    return end ? end + 4 : "";
}

int house_ask(struct house *h, struct buf *answer, const char *method,
              const char *path, const char *headers, const char *body)
{
    int fd = house_dial(h);
    struct buf text = BUF_INIT(16 * 1024 * 1024);
    buf_addf(&text, "%s %s HTTP/1.1\r\nHost: x\r\n%s", method, path,
             headers ? headers : "");
    if (body)
        buf_addf(&text, "Content-Length: %zu\r\n", strlen(body));
    buf_adds(&text, "\r\n");
    buf_adds(&text, body ? body : "");
    house_tell(fd, text.data, text.len);
    int status = house_hear(fd, answer);
    buf_free(&text);
    close(fd);
    return status;
}
