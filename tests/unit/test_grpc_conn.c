/* gRPC over HTTP/2 against a server's half in the same thread. */
#include "test.h"

#include "common/buf.h"
#include "common/cleanup.h"
#include "state/grpc_conn.h"

#include <nghttp2/nghttp2.h>
#include <string.h>

/* ---- both halves --------------------------------------------------------- */

struct world {
    struct grpc_conn *client;
    nghttp2_session *server;
    int requests;
    int32_t last_stream;
    struct buf body; /* of all requests */
    bool silent;     /* requests are not answered */
    struct buf reply;
    const char *status, *message;
};

struct ended {
    int ends, messages;
    struct grpc_status status;
    size_t len;
    uint8_t first;
};

static void on_message(void *arg, const uint8_t *data, size_t len)
{
    struct ended *e = arg;
    e->messages++;
    e->len = len;
    e->first = len ? data[0] : 0;
}

static void on_end(void *arg, const struct grpc_status *st)
{
    struct ended *e = arg;
    e->ends++;
    e->status = *st;
}

static const struct grpc_events events = { on_message, on_end };

static nghttp2_nv nv(const char *name, const char *value)
{
    return (nghttp2_nv){ (uint8_t *)name, (uint8_t *)value, strlen(name),
                         strlen(value), 0 };
}

static ssize_t read_reply(nghttp2_session *session, int32_t id, uint8_t *to,
                          size_t len, uint32_t *flags,
                          nghttp2_data_source *source, void *arg)
{
    struct world *w = arg;
    size_t n = w->reply.len < len ? w->reply.len : len;
    memcpy(to, w->reply.data, n);
    memmove(w->reply.data, w->reply.data + n, w->reply.len - n);
    w->reply.len -= n;
    if (w->reply.len)
        return (ssize_t)n;
    nghttp2_nv trailer[2] = { nv("grpc-status", w->status),
                              nv("grpc-message", w->message) };
    *flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
    nghttp2_submit_trailer(session, id, trailer, 2);
    return (ssize_t)n;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame,
                    void *arg)
{
    struct world *w = arg;
    nghttp2_nv head[] = { nv(":status", "200"),
                          nv("content-type", "application/grpc") };
    nghttp2_data_provider provider = { .read_callback = read_reply };
    if (frame->hd.type != NGHTTP2_DATA ||
        !(frame->hd.flags & NGHTTP2_FLAG_END_STREAM) || w->silent)
        return 0;
    w->requests++;
    return nghttp2_submit_response(session, frame->hd.stream_id, head, 2,
                                   &provider);
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id,
                   const uint8_t *data, size_t len, void *arg)
{
    struct world *w = arg;
    w->last_stream = id;
    buf_add(&w->body, data, len);
    return 0;
}

static void exchange(struct world *w)
{
    const uint8_t *data;
    size_t n, moved;
    do {
        moved = 0;
        while ((n = grpc_conn_send(w->client, &data))) {
            assert_int_equal(nghttp2_session_mem_recv(w->server, data, n), n);
            moved += n;
        }
        while ((n = (size_t)nghttp2_session_mem_send(w->server, &data))) {
            assert_true(grpc_conn_receive(w->client, data, n));
            moved += n;
        }
    } while (moved);
}

static int setup(void **state)
{
    static struct world w;
    nghttp2_session_callbacks *cb;
    w = (struct world){ .status = "0", .message = "" };
    buf_init(&w.body, 1 << 20);
    buf_init(&w.reply, 1 << 20);
    nghttp2_session_callbacks_new(&cb);
    nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
    nghttp2_session_server_new(&w.server, cb, &w);
    nghttp2_session_callbacks_del(cb);
    nghttp2_submit_settings(w.server, 0, NULL, 0);
    w.client = grpc_conn_new("host", false);
    *state = &w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    grpc_conn_free(w->client);
    nghttp2_session_del(w->server);
    buf_free(&w->body);
    buf_free(&w->reply);
    return 0;
}

static struct grpc_stream *ask(struct world *w, struct ended *e)
{
    static const uint8_t message[] = { 0, 0, 0, 0, 3, 'a', 'b', 'c' };
    struct grpc_stream *s =
        grpc_conn_open(w->client, &(struct grpc_open){ .path = "/a.B/C",
                                                       .message_max = 100,
                                                       .events = &events,
                                                       .arg = e });
    if (s)
        grpc_stream_send(s, message, sizeof(message), true);
    return s;
}

static void reply(struct world *w, uint8_t compressed, size_t len)
{
    uint8_t prefix[5] = { compressed, 0, 0, (uint8_t)(len >> 8), (uint8_t)len };
    buf_add(&w->reply, prefix, sizeof(prefix));
    for (size_t i = 0; i < len; i++)
        buf_addc(&w->reply, 'x');
}

/* ---- tests ------------------------------------------------------------- */

static void question_and_answer(void **state)
{
    struct world *w = *state;
    struct ended e = { 0 };
    assert_false(grpc_conn_ready(w->client));
    reply(w, 0, 100);
    ask(w, &e);
    exchange(w);
    assert_true(grpc_conn_ready(w->client));
    assert_int_equal(w->requests, 1);
    assert_memory_equal(w->body.data, "\0\0\0\0\3abc", 8);
    assert_int_equal(e.messages, 1);
    assert_int_equal(e.len, 100);
    assert_int_equal(e.ends, 1);
    assert_int_equal(e.status.code, GRPC_OK);
    assert_true(e.status.answered);
}

static void many_messages(void **state)
{
    struct world *w = *state;
    struct ended e = { 0 };
    for (int i = 0; i < 50; i++)
        reply(w, 0, i % 7);
    ask(w, &e);
    exchange(w);
    assert_int_equal(e.messages, 50);
    assert_int_equal(e.status.code, GRPC_OK);
}

static void statuses(void **state)
{
    struct world *w = *state;
    const struct {
        const char *status, *message;
        enum grpc_code code;
    } rows[] = { { "5", "no lease", GRPC_NOT_FOUND },
                 { "14", "no leader", GRPC_UNAVAILABLE },
                 { "99", "?", GRPC_UNKNOWN },
                 { "-1", "?", GRPC_UNKNOWN },
                 { "4294967296", "?", GRPC_UNKNOWN } };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct ended e = { 0 };
        w->status = rows[i].status;
        w->message = rows[i].message;
        reply(w, 0, 1);
        ask(w, &e);
        exchange(w);
        assert_int_equal(e.ends, 1);
        assert_int_equal(e.status.code, rows[i].code);
        assert_string_equal(e.status.text, rows[i].message);
        assert_false(e.status.untouched);
    }
}

static void too_large_or_compressed(void **state)
{
    struct world *w = *state;
    for (int i = 0; i < 2; i++) {
        struct ended e = { 0 };
        reply(w, i == 1, i ? 10 : 101);
        ask(w, &e);
        exchange(w);
        assert_int_equal(e.messages, 0);
        assert_int_equal(e.ends, 1);
        assert_int_equal(e.status.code,
                         i ? GRPC_INTERNAL : GRPC_RESOURCE_EXHAUSTED);
        assert_false(e.status.answered);
        buf_reset(&w->reply);
    }
}

/* What stands behind a GOAWAY nobody has touched; what stands before it is
 * answered. */
static void goaway(void **state)
{
    struct world *w = *state;
    struct ended before = { 0 }, behind = { 0 }, never = { 0 };
    w->silent = true;
    ask(w, &before);
    exchange(w);
    nghttp2_submit_goaway(w->server, 0, w->last_stream, 0, NULL, 0);
    ask(w, &behind);
    exchange(w);
    assert_true(grpc_conn_going(w->client));
    assert_int_equal(behind.ends, 1);
    assert_int_equal(behind.status.code, GRPC_UNAVAILABLE);
    assert_true(behind.status.untouched);
    assert_null(ask(w, &never));
    assert_int_equal(before.ends, 0);
    grpc_conn_lost(w->client, "gone");
    assert_int_equal(before.ends, 1);
    assert_false(before.status.untouched);
    assert_string_equal(before.status.text, "gone");
}

/* Asked for after the GOAWAY came, begun before it was read. */
static void goaway_first(void **state)
{
    struct world *w = *state;
    struct ended e = { 0 };
    const uint8_t *data;
    size_t n;
    exchange(w);
    nghttp2_submit_goaway(w->server, 0, 0, 0, NULL, 0);
    ask(w, &e);
    while ((n = (size_t)nghttp2_session_mem_send(w->server, &data)))
        assert_true(grpc_conn_receive(w->client, data, n));
    exchange(w);
    assert_int_equal(w->requests, 0);
    assert_int_equal(e.ends, 1);
    assert_true(e.status.untouched);
}

static void refused(void **state)
{
    struct world *w = *state;
    struct ended e = { 0 };
    w->silent = true;
    ask(w, &e);
    exchange(w);
    nghttp2_submit_rst_stream(w->server, 0, w->last_stream,
                              NGHTTP2_REFUSED_STREAM);
    exchange(w);
    assert_int_equal(e.ends, 1);
    assert_true(e.status.untouched);
}

/* Sent or not: that is what decides whether it may be sent again. */
static void lost(void **state)
{
    struct world *w = *state;
    struct ended sent = { 0 }, unsent = { 0 };
    w->silent = true;
    ask(w, &sent);
    exchange(w);
    ask(w, &unsent);
    grpc_conn_lost(w->client, "reset");
    assert_int_equal(sent.ends, 1);
    assert_false(sent.status.untouched);
    assert_int_equal(unsent.ends, 1);
    assert_true(unsent.status.untouched);
}

static void cancelled(void **state)
{
    struct world *w = *state;
    struct ended sent = { 0 }, unsent = { 0 }, other = { 0 };
    w->silent = true;
    struct grpc_stream *s = ask(w, &sent);
    exchange(w);
    grpc_stream_cancel(s);
    grpc_stream_cancel(ask(w, &unsent));
    exchange(w);
    w->silent = false;
    reply(w, 0, 1);
    assert_non_null(ask(w, &other));
    exchange(w);
    grpc_conn_lost(w->client, "end");
    assert_int_equal(sent.ends + unsent.ends, 0);
    assert_int_equal(other.status.code, GRPC_OK);
}

static void pings(void **state)
{
    struct world *w = *state;
    exchange(w);
    grpc_conn_ping(w->client);
    assert_int_equal(grpc_conn_pongs(w->client), 0);
    exchange(w);
    assert_int_equal(grpc_conn_pongs(w->client), 1);
}

static void not_http2(void **state)
{
    struct world *w = *state;
    static const char text[] = "HTTP/1.1 400 Bad Request\r\n\r\n";
    const uint8_t *data;
    if (grpc_conn_receive(w->client, (const uint8_t *)text, strlen(text)))
        while (grpc_conn_send(w->client, &data)) /* its last word */
            ;
    assert_true(grpc_conn_over(w->client));
    assert_false(grpc_conn_ready(w->client));
}

int main(void)
{
#define TEST(test_) cmocka_unit_test_setup_teardown(test_, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(question_and_answer),
        TEST(many_messages),
        TEST(statuses),
        TEST(too_large_or_compressed),
        TEST(goaway),
        TEST(goaway_first),
        TEST(refused),
        TEST(lost),
        TEST(cancelled),
        TEST(pings),
        TEST(not_http2),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
