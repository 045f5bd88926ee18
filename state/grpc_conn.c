#include "state/grpc_conn.h"

#include "common/alloc.h"
#include "common/buf.h"
#include "common/cleanup.h"

#include <inttypes.h>
#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <string.h>

#define STREAM_WINDOW (4 << 20)
#define CONN_WINDOW   (16 << 20)
#define OUT_MAX       (8 << 20) /* bytes queued on one stream */
#define HTTP_OK       200

struct grpc_stream {
    struct grpc_stream *next, **at; /* in the connection's list */
    struct grpc_conn *conn;
    int32_t id;
    const struct grpc_events *events;
    void *arg;
    bool deaf; /* ended or cancelled: no more call-backs */
    bool sent; /* its HEADERS may have left */
    bool half_closed, refused, has_status;
    struct buf out;
    size_t out_at; /* of out, handed to nghttp2 */
    /* What is being received: prefix, then body. */
    uint8_t prefix[GRPC_PREFIX_LEN];
    size_t prefix_len, message_max;
    struct buf in;
    size_t in_want;
    int http_status;
    struct grpc_status status;
};

struct grpc_conn {
    nghttp2_session *session;
    struct grpc_stream *streams;
    char *authority;
    bool tls, ready, going;
    unsigned pongs;
};

struct grpc_status grpc_status_make(enum grpc_code code, const char *text)
{
    struct grpc_status st = { .code = code };
    snprintf(st.text, sizeof(st.text), "%s", text);
    return st;
}

/* ---- streams ----------------------------------------------------------- */

static void stream_free(struct grpc_stream *s)
{
    *s->at = s->next;
    if (s->next)
        s->next->at = s->at;
    buf_free(&s->out);
    buf_free(&s->in);
    free(s);
}

static void stream_end(struct grpc_stream *s, const struct grpc_status *st)
{
    if (s->deaf)
        return;
    s->deaf = true;
    s->events->end(s->arg, st);
}

static struct grpc_stream *stream_of(struct grpc_conn *c, int32_t id)
{
    return nghttp2_session_get_stream_user_data(c->session, id);
}

/* Resets the stream; its end for the owner is `st`. */
static void stream_break(struct grpc_stream *s, enum grpc_code code,
                         const char *text)
{
    struct grpc_status st = grpc_status_make(code, text);
    nghttp2_submit_rst_stream(s->conn->session, NGHTTP2_FLAG_NONE, s->id,
                              NGHTTP2_CANCEL);
    stream_end(s, &st);
}

/* ---- receiving --------------------------------------------------------- */

static uint32_t get_u32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 |
           p[3];
}

/* The five bytes are there: is what they announce acceptable? */
static bool prefix_ok(struct grpc_stream *s)
{
    s->in_want = get_u32(s->prefix + 1);
    if (s->prefix[0])
        stream_break(s, GRPC_INTERNAL, "a compressed message");
    else if (s->in_want > s->message_max)
        stream_break(s, GRPC_RESOURCE_EXHAUSTED, "the answer is too large");
    return !s->deaf;
}

static void message_done(struct grpc_stream *s)
{
    s->prefix_len = 0;
    s->events->message(s->arg, (const uint8_t *)buf_str(&s->in), s->in.len);
    buf_reset(&s->in);
}

/* Takes what fits of the data; how many bytes. */
static size_t take_some(struct grpc_stream *s, const uint8_t *data, size_t len)
{
    if (s->prefix_len < GRPC_PREFIX_LEN) {
        size_t n = GRPC_PREFIX_LEN - s->prefix_len;
        n = n < len ? n : len;
        memcpy(s->prefix + s->prefix_len, data, n);
        s->prefix_len += n;
        if (s->prefix_len == GRPC_PREFIX_LEN && prefix_ok(s) && !s->in_want)
            message_done(s);
        return n;
    }
    size_t n = s->in_want - s->in.len;
    n = n < len ? n : len;
    buf_add(&s->in, data, n);
    if (s->in.len == s->in_want)
        message_done(s);
    return n;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id,
                   const uint8_t *data, size_t len, void *arg)
{
    struct grpc_stream *s = stream_of(arg, id);
    while (s && !s->deaf && len) {
        size_t n = take_some(s, data, len);
        data += n;
        len -= n;
    }
    return 0;
}

static bool named(const uint8_t *name, size_t len, const char *want)
{
    return len == strlen(want) && memcmp(name, want, len) == 0;
}

/* A decimal number of at most three digits, or -1. */
static int small_number(const uint8_t *value, size_t len)
{
    int n = 0;
    for (size_t i = 0; i < len && i < 4; i++) {
        if (value[i] < '0' || value[i] > '9')
            return -1;
        n = n * 10 + value[i] - '0';
    }
    return len && len < 4 ? n : -1;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame,
                     const uint8_t *name, size_t name_len, const uint8_t *value,
                     size_t len, uint8_t flags, void *arg)
{
    struct grpc_stream *s = stream_of(arg, frame->hd.stream_id);
    if (!s)
        return 0;
    if (named(name, name_len, ":status")) {
        s->http_status = small_number(value, len);
    } else if (named(name, name_len, "grpc-status")) {
        int code = small_number(value, len);
        s->status.code = code < 0 || code > GRPC_UNAUTHENTICATED
                             ? GRPC_UNKNOWN
                             : (enum grpc_code)code;
        s->has_status = true;
    } else if (named(name, name_len, "grpc-message")) {
        size_t n = len < GRPC_TEXT_MAX - 1 ? len : GRPC_TEXT_MAX - 1;
        for (size_t i = 0; i < n; i++)
            s->status.text[i] =
                value[i] < 0x20 || value[i] > 0x7e ? '?' : (char)value[i];
        s->status.text[n] = '\0';
    }
    return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame,
                    void *arg)
{
    struct grpc_conn *c = arg;
    if (frame->hd.type == NGHTTP2_SETTINGS)
        c->ready = true;
    else if (frame->hd.type == NGHTTP2_GOAWAY)
        c->going = true;
    else if (frame->hd.type == NGHTTP2_PING &&
             frame->hd.flags & NGHTTP2_FLAG_ACK)
        c->pongs++;
    return 0;
}

/* What a stream that was closed means to its owner. */
static struct grpc_status close_status(struct grpc_stream *s, uint32_t error)
{
    if (s->has_status) {
        s->status.answered = true;
        return s->status;
    }
    if (error == NGHTTP2_REFUSED_STREAM) {
        s->status = grpc_status_make(GRPC_UNAVAILABLE, "refused");
        s->status.untouched = true;
    } else if (s->http_status && s->http_status != HTTP_OK) {
        s->status = grpc_status_make(GRPC_UNAVAILABLE, "");
        snprintf(s->status.text, GRPC_TEXT_MAX, "HTTP status %d",
                 s->http_status);
    } else {
        s->status = grpc_status_make(GRPC_UNAVAILABLE, "ended without status");
    }
    return s->status;
}

static int on_close(nghttp2_session *session, int32_t id, uint32_t error,
                    void *arg)
{
    struct grpc_stream *s = stream_of(arg, id);
    if (!s)
        return 0;
    struct grpc_status st = close_status(s, error);
    stream_end(s, &st);
    stream_free(s);
    return 0;
}

/* ---- sending ----------------------------------------------------------- */

static int on_sent(nghttp2_session *session, const nghttp2_frame *frame,
                   void *arg)
{
    struct grpc_stream *s = frame->hd.type == NGHTTP2_HEADERS
                                ? stream_of(arg, frame->hd.stream_id)
                                : NULL;
    if (s)
        s->sent = true;
    return 0;
}

/* A request that nghttp2 could not begin: the peer is going away, or all
 * stream ids are used up. */
static int on_not_sent(nghttp2_session *session, const nghttp2_frame *frame,
                       int error, void *arg)
{
    struct grpc_conn *c = arg;
    struct grpc_stream *s = c->streams;
    if (frame->hd.type != NGHTTP2_HEADERS)
        return 0;
    while (s && (s->id != frame->hd.stream_id || s->sent))
        s = s->next;
    if (!s)
        return 0;
    struct grpc_status st = grpc_status_make(GRPC_UNAVAILABLE, "going away");
    st.untouched = true;
    if (error != NGHTTP2_ERR_STREAM_CLOSING) /* which a cancel makes */
        c->going = true;
    stream_end(s, &st);
    return 0; /* on_close follows */
}

static ssize_t read_out(nghttp2_session *session, int32_t id, uint8_t *to,
                        size_t len, uint32_t *flags,
                        nghttp2_data_source *source, void *arg)
{
    struct grpc_stream *s = source->ptr;
    size_t n = s->out.len - s->out_at;
    if (!n && !s->half_closed)
        return NGHTTP2_ERR_DEFERRED;
    n = n < len ? n : len;
    if (n)
        memcpy(to, s->out.data + s->out_at, n);
    s->out_at += n;
    if (s->out_at == s->out.len) {
        buf_reset(&s->out);
        s->out_at = 0;
        if (s->half_closed)
            *flags |= NGHTTP2_DATA_FLAG_EOF;
    }
    return (ssize_t)n;
}

static nghttp2_nv header(const char *name, const char *value)
{
    return (nghttp2_nv){ (uint8_t *)name, (uint8_t *)value, strlen(name),
                         strlen(value), NGHTTP2_NV_FLAG_NONE };
}

static int32_t submit(struct grpc_conn *c, const struct grpc_open *o,
                      struct grpc_stream *s)
{
    char timeout[32];
    nghttp2_nv nv[9] = {
        header(":method", "POST"),
        header(":scheme", c->tls ? "https" : "http"),
        header(":path", o->path),
        header(":authority", c->authority),
        header("content-type", "application/grpc"),
        header("te", "trailers"),
    };
    size_t n = 6;
    if (o->timeout_us) { /* at most eight digits: milliseconds */
        snprintf(timeout, sizeof(timeout), "%" PRId64 "m",
                 o->timeout_us / 1000 + 1);
        nv[n++] = header("grpc-timeout", timeout);
    }
    if (o->has_leader)
        nv[n++] = header("hasleader", "true");
    nghttp2_data_provider provider = { .source.ptr = s,
                                       .read_callback = read_out };
    return nghttp2_submit_request(c->session, NULL, nv, n, &provider, s);
}

/* ---- the connection ---------------------------------------------------- */

static nghttp2_session *session_new(struct grpc_conn *c)
{
    nghttp2_session_callbacks *cb;
    nghttp2_session *session;
    if (nghttp2_session_callbacks_new(&cb))
        abort(); /* no memory */
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
    nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_close);
    nghttp2_session_callbacks_set_on_frame_send_callback(cb, on_sent);
    nghttp2_session_callbacks_set_on_frame_not_send_callback(cb, on_not_sent);
    if (nghttp2_session_client_new(&session, cb, c))
        abort();
    nghttp2_session_callbacks_del(cb);
    return session;
}

struct grpc_conn *grpc_conn_new(const char *authority, bool tls)
{
    static const nghttp2_settings_entry settings[] = {
        { NGHTTP2_SETTINGS_ENABLE_PUSH, 0 },
        { NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW },
        { NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, 16384 },
    };
    struct grpc_conn *c = xcalloc(1, sizeof(*c));
    c->authority = xstrdup(authority);
    c->tls = tls;
    c->session = session_new(c);
    nghttp2_submit_settings(c->session, NGHTTP2_FLAG_NONE, settings,
                            ARRAY_SIZE(settings));
    nghttp2_session_set_local_window_size(c->session, NGHTTP2_FLAG_NONE, 0,
                                          CONN_WINDOW);
    return c;
}

void grpc_conn_free(struct grpc_conn *c)
{
    if (!c)
        return;
    nghttp2_session_del(c->session);
    for (struct grpc_stream *s = c->streams, *next; s; s = next) {
        next = s->next;
        stream_free(s);
    }
    free(c->authority);
    free(c);
}

struct grpc_stream *grpc_conn_open(struct grpc_conn *c,
                                   const struct grpc_open *o)
{
    if (c->going)
        return NULL;
    struct grpc_stream *s = xcalloc(1, sizeof(*s));
    s->conn = c;
    s->events = o->events;
    s->arg = o->arg;
    s->message_max = o->message_max;
    buf_init(&s->out, OUT_MAX);
    buf_init(&s->in, o->message_max);
    s->at = &c->streams;
    s->next = c->streams;
    if (s->next)
        s->next->at = &s->next;
    c->streams = s;
    s->id = submit(c, o, s);
    if (s->id > 0)
        return s;
    c->going = true; /* out of stream ids: the next connection has more */
    stream_free(s);
    return NULL;
}

void grpc_stream_send(struct grpc_stream *s, const void *data, size_t len,
                      bool last)
{
    if (s->half_closed)
        return;
    buf_add(&s->out, data, len);
    s->half_closed = last;
    if (s->out.overflow)
        stream_break(s, GRPC_RESOURCE_EXHAUSTED, "too much to send");
    else
        nghttp2_session_resume_data(s->conn->session, s->id);
}

void grpc_stream_cancel(struct grpc_stream *s)
{
    s->deaf = true;
    nghttp2_submit_rst_stream(s->conn->session, NGHTTP2_FLAG_NONE, s->id,
                              NGHTTP2_CANCEL);
}

bool grpc_conn_receive(struct grpc_conn *c, const uint8_t *data, size_t len)
{
    ssize_t n = nghttp2_session_mem_recv(c->session, data, len);
    return n >= 0 && (size_t)n == len;
}

size_t grpc_conn_send(struct grpc_conn *c, const uint8_t **data)
{
    ssize_t n = nghttp2_session_mem_send(c->session, data);
    return n > 0 ? (size_t)n : 0;
}

void grpc_conn_lost(struct grpc_conn *c, const char *why)
{
    struct grpc_status st = grpc_status_make(GRPC_UNAVAILABLE, why);
    c->going = true;
    for (struct grpc_stream *s = c->streams; s; s = s->next) {
        st.untouched = !s->sent;
        stream_end(s, &st);
    }
}

bool grpc_conn_ready(const struct grpc_conn *c)
{
    return c->ready;
}

bool grpc_conn_going(const struct grpc_conn *c)
{
    return c->going;
}

bool grpc_conn_over(const struct grpc_conn *c)
{
    return !nghttp2_session_want_read(c->session) &&
           !nghttp2_session_want_write(c->session);
}

void grpc_conn_ping(struct grpc_conn *c)
{
    nghttp2_submit_ping(c->session, NGHTTP2_FLAG_NONE, NULL);
}

unsigned grpc_conn_pongs(const struct grpc_conn *c)
{
    return c->pongs;
}
