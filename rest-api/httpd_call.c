#include "rest-api/httpd_impl.h"

#include "common/log.h"
#include "rest-api/route.h"
#include "rest-api/upload.h"

#include <string.h>
#include <strings.h>

#define URI_MAX (HTTP_PATH_MAX + 8 * 1024)
/* A body that nobody wants any more is still read up to this length, so that
 * the client gets to see the answer. */
#define SWALLOW_MAX    (INT64_C(64) << 20) /* of a stranger's body */
#define SWALLOW_KNOWN  (INT64_C(16) << 30) /* of one with a valid token */
#define STREAM_QUANTUM (64 * 1024)
#define ANSWER_QUANTUM (4 * 1024 * 1024)

/* Where a request is on its way. */
enum stage {
    STAGE_HEADERS, /* nothing but headers was seen */
    STAGE_JSON,    /* the body is gathered */
    STAGE_STREAM,  /* the body waits for the handler to want it */
    STAGE_BODY,    /* the body goes into the upload */
    STAGE_RUN,     /* the body is there; the handler runs */
    STAGE_SWALLOW, /* the answer is ready, but the body is still coming */
    STAGE_ANSWER,  /* the answer is ready */
};

struct call {
    struct drive drive; /* first: what pause and wake are given */
    struct httpd *h;
    struct MHD_Connection *mhd; /* NULL: the client is gone */
    struct conn *conn;
    struct http_request http;
    struct arena arena; /* of http */
    enum stage stage;
    bool begun;   /* drive_init was called */
    bool stepped; /* the handler has begun */
    bool writing; /* a job has the upload */
    bool last;    /* .. and it is the last write */
    struct buf body;
    struct upload *upload;
    int64_t started; /* monotonic */
    int64_t swallowed, received, next_quantum;
    int uri_status; /* not 0: refuse the request's line */
};

static void set_deadline(struct call *c, int64_t in_us)
{
    atomic_store(&c->conn->deadline,
                 in_us == HTTPD_NEVER ? HTTPD_NEVER : httpd_mono(c->h) + in_us);
}

/* ---- a call's life ----------------------------------------------------- */

static void call_free(struct call *c)
{
    struct httpd *h = c->h;
    upload_free(c->upload);
    buf_free(&c->body);
    if (c->begun)
        drive_free(&c->drive);
    arena_free(&c->arena);
    free(c);
    /* The last touch of h: when this was the last call it may go at once. */
    pthread_mutex_lock(&h->calls_lock);
    if (atomic_fetch_sub(&h->active, 1) == 1)
        pthread_cond_broadcast(&h->idle);
    pthread_mutex_unlock(&h->calls_lock);
}

/* The request's line as it came; MHD has not touched it yet. */
void *httpd_on_uri(void *cls, const char *uri, struct MHD_Connection *mhd)
{
    struct httpd *h = cls;
    struct call *c = xmalloc(sizeof(*c));
    memset(&c->h, 0, sizeof(*c) - offsetof(struct call, h));
    c->h = h;
    c->mhd = mhd;
    c->conn = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT)
                  ->socket_context;
    c->started = httpd_mono(h);
    buf_init(&c->body, HTTP_BODY_MAX);
    atomic_fetch_add(&h->active, 1);
    size_t len = strnlen(uri, URI_MAX + 1), path_len = strcspn(uri, "?");
    if (len > URI_MAX || path_len > HTTP_PATH_MAX) {
        c->uri_status = 414;
        c->http.path = "/";
        return c;
    }
    c->http.path = arena_strndup(&c->arena, uri, path_len);
    if (uri[path_len] &&
        !http_parse_query(&c->arena, uri + path_len + 1, &c->http.query))
        c->uri_status = 400;
    return c;
}

/* What a stream's handler keeps must outlive the connection. */
static const char *get_header(void *rim, const char *name)
{
    struct call *c = rim;
    if (!c->mhd)
        return NULL;
    const char *v = MHD_lookup_connection_value(c->mhd, MHD_HEADER_KIND, name);
    return c->stage == STAGE_STREAM ? arena_strdup(&c->arena, v) : v;
}

/* ---- pause and wake ---------------------------------------------------- */

static void body_is_done(struct call *c);

static void body_is_lost(struct call *c)
{
    struct error err = { 0 };
    error_set(&err, ERR_INVALID, "the upload ended before it was complete");
    drive_body_done(&c->drive, &err, 0, "", "");
}

static void orphan_run(void *arg)
{
    struct call *c = arg;
    enum drive_next next;
    while ((next = drive_step(&c->drive)) == DRIVE_BODY)
        body_is_lost(c);
    if (next == DRIVE_ANSWER)
        call_free(c);
}

static void on_pause(struct drive *d)
{
    struct call *c = (struct call *)d;
    if (!c->mhd)
        return;
    set_deadline(c, HTTPD_NEVER);
    MHD_suspend_connection(c->mhd);
}

static void on_wake(struct drive *d)
{
    struct call *c = (struct call *)d;
    if (c->mhd)
        MHD_resume_connection(c->mhd);
    else
        jobs_must(c->h->jobs, orphan_run, c);
}

/* The client went away while the handler was at work: what it has begun it
 * must be able to finish or undo. */
static void orphan(struct call *c)
{
    c->mhd = NULL;
    c->conn = NULL;
    c->drive.gone = true;
    if (c->stage == STAGE_BODY && c->writing && c->last)
        body_is_done(c); /* all of it was there */
    else if (c->stage == STAGE_BODY)
        body_is_lost(c);
    jobs_must(c->h->jobs, orphan_run, c);
}

/* ---- answers ----------------------------------------------------------- */

static ssize_t no_body(void *cls, uint64_t pos, char *buf, size_t max)
{
    return MHD_CONTENT_READER_END_OF_STREAM;
}

static struct MHD_Response *make_response(struct call *c, int64_t *size)
{
    struct http_response *resp = &c->drive.req.resp;
    *size = resp->blob ? resp->blob_size : (int64_t)resp->body.len;
    if (resp->blob && c->drive.fd < 0) /* HEAD */
        return MHD_create_response_from_callback((uint64_t)resp->blob_size,
                                                 4096, no_body, NULL, NULL);
    if (resp->blob)
        return MHD_create_response_from_fd_at_offset64(
            (uint64_t)resp->blob_size, steal_fd(&c->drive.fd),
            (uint64_t)resp->blob_offset);
    if (!resp->body.len)
        return MHD_create_response_from_buffer(0, (void *)(uintptr_t) "",
                                               MHD_RESPMEM_PERSISTENT);
    char *data = buf_steal(&resp->body);
    return MHD_create_response_from_buffer_with_free_callback_cls(
        (size_t)*size, data, free, data);
}

static void add_headers(struct call *c, struct MHD_Response *r, int64_t size)
{
    const struct params *headers = &c->drive.req.resp.headers;
    bool typed = size == 0;
    for (size_t i = 0; i < headers->n; i++) {
        const struct param *p = &headers->v[i];
        typed |= strcasecmp(p->name, "Content-Type") == 0;
        if (p->value)
            MHD_add_response_header(r, p->name, p->value);
    }
    if (!typed)
        MHD_add_response_header(r, "Content-Type", "application/json");
    if (atomic_load(&c->h->stopping))
        MHD_add_response_header(r, "Connection", "close");
}

static void log_access(struct call *c)
{
    struct req *r = &c->drive.req;
    log_debug("http", "%s %s %s %d %lld us %s", c->conn->peer, c->http.method,
              c->http.path, r->resp.status,
              (long long)(httpd_mono(c->h) - c->started), r->request_id);
}

/* Sends the answer and ends the call. */
static enum MHD_Result queue_answer(struct call *c, void **cls)
{
    int64_t size;
    int status = c->drive.req.resp.status;
    struct MHD_Response *r = make_response(c, &size);
    if (!r)
        return MHD_NO;
    add_headers(c, r, size);
    log_access(c);
    enum MHD_Result ok = MHD_queue_response(c->mhd, (unsigned)status, r);
    MHD_destroy_response(r);
    int64_t unit = c->h->c.limits.answer_us;
    set_deadline(c, unit + size / ANSWER_QUANTUM * unit);
    *cls = NULL;
    call_free(c);
    return ok;
}

static void fail(struct call *c, enum error_code code, const char *text)
{
    struct req *r = &c->drive.req;
    error_set(&r->err, code, "%s", text);
    fault_write(r);
}

/* ---- the body ---------------------------------------------------------- */

static int64_t content_length(struct call *c)
{
    const char *v =
        MHD_lookup_connection_value(c->mhd, MHD_HEADER_KIND, "Content-Length");
    return v ? strtoll(v, NULL, 10) : 0; /* MHD has checked it */
}

static bool has_body(struct call *c)
{
    return content_length(c) > 0 ||
           MHD_lookup_connection_value(c->mhd, MHD_HEADER_KIND,
                                       "Transfer-Encoding");
}

/* MHD can answer before a body or after it, not meanwhile; and a connection
 * that is closed while the client sends is reset before it reads the answer.
 * So the rest of a refused body is read and dropped: as much as a client may
 * send us anyway. */
static int64_t swallow_max(const struct call *c)
{
    return c->drive.req.auth.user_id ? SWALLOW_KNOWN : SWALLOW_MAX;
}

static void refuse(struct call *c)
{
    bool expects =
        MHD_lookup_connection_value(c->mhd, MHD_HEADER_KIND, "Expect") != NULL;
    bool bearable = content_length(c) <= swallow_max(c);
    c->stage =
        has_body(c) && !expects && bearable ? STAGE_SWALLOW : STAGE_ANSWER;
}

static void gather(struct call *c, const char *data, size_t len)
{
    buf_add(&c->body, data, len);
    if (!c->body.overflow)
        return;
    fail(c, ERR_TOO_LARGE, "Request is too large.");
    buf_free(&c->body);
    c->stage = STAGE_SWALLOW;
}

static void run_write(void *arg)
{
    struct call *c = arg;
    upload_write(c->upload);
    on_wake(&c->drive);
}

static void write_out(struct call *c, bool last)
{
    c->writing = true;
    c->last = last;
    on_pause(&c->drive);
    jobs_must(c->h->jobs, run_write, c);
}

static void body_is_done(struct call *c)
{
    char md5[33], sha512[129];
    int64_t bytes = upload_finish(c->upload, md5, sha512);
    drive_body_done(&c->drive, upload_error(c->upload), bytes, md5, sha512);
    upload_free(steal(&c->upload));
    c->stage = STAGE_RUN;
}

/* Each so many bytes buy more time. */
static void count_received(struct call *c, size_t n)
{
    c->received += (int64_t)n;
    if (c->received < c->next_quantum)
        return;
    c->next_quantum = c->received + STREAM_QUANTUM;
    set_deadline(c, c->h->c.limits.body_us);
}

static size_t take_stream(struct call *c, const char *data, size_t len)
{
    size_t n = upload_take(c->upload, data, len);
    count_received(c, n);
    if (upload_error(c->upload)->code != ERR_NONE)
        body_is_done(c);
    else if (upload_full(c->upload))
        write_out(c, false);
    return n;
}

/* ---- the way of a request ---------------------------------------------- */

/* Steps the handler; true when it need not be asked again just now. */
static bool advance(struct call *c)
{
    c->stepped = true;
    switch (drive_step(&c->drive)) {
    case DRIVE_LATER:
        return true;
    case DRIVE_BODY:
        c->upload = upload_new(c->drive.fd, c->drive.req.wait.max_bytes);
        c->stage = STAGE_BODY;
        set_deadline(c, c->h->c.limits.body_us);
        return false;
    default:
        c->stage = STAGE_ANSWER;
        return false;
    }
}

static void begin(struct call *c, const char *method)
{
    enum body_kind kind = BODY_NONE;
    c->http.method = arena_strdup(&c->arena, method);
    c->http.header = get_header;
    c->http.rim = c;
    c->http.peer = c->conn->peer;
    c->drive.pause = on_pause;
    c->drive.wake = on_wake;
    drive_init(&c->drive, c->h->driver, &c->http);
    c->begun = true;
    set_deadline(c, c->h->c.limits.body_us);
    if (c->uri_status) {
        fail(c, ERR_INVALID, "The request line is malformed or too long.");
        c->drive.req.resp.status = c->uri_status;
        refuse(c);
    } else if (!api_begin(&c->drive.req, &kind)) {
        drive_step(&c->drive); /* says that the answer is there */
        refuse(c);
    } else if (kind == BODY_STREAM) {
        c->stage = STAGE_STREAM;
    } else if (content_length(c) > HTTP_BODY_MAX) {
        fail(c, ERR_TOO_LARGE, "Request is too large.");
        refuse(c);
    } else {
        c->stage = has_body(c) ? STAGE_JSON : STAGE_RUN;
    }
}

/* Data of the body: returns how much was taken, -1: cut the connection. */
static ssize_t on_data(struct call *c, const char *data, size_t len)
{
    size_t n;
    for (;;) {
        switch (c->stage) {
        case STAGE_JSON:
            gather(c, data, len);
            return (ssize_t)len;
        case STAGE_STREAM:
        case STAGE_RUN: /* the upload has failed, the handler undoes */
            if (advance(c))
                return 0; /* the data stays where it is meanwhile */
            break;
        case STAGE_BODY:
            n = take_stream(c, data, len);
            if (n)
                return (ssize_t)n;
            break;
        default:
            c->stage = STAGE_SWALLOW;
            c->swallowed += (int64_t)len;
            count_received(c, len);
            return c->swallowed > swallow_max(c) ? -1 : (ssize_t)len;
        }
    }
}

/* The body is complete, or there is none. */
static void on_end(struct call *c)
{
    bool more = true;
    while (more) {
        switch (c->stage) {
        case STAGE_JSON:
            c->http.body = buf_str(&c->body);
            c->http.body_len = c->body.len;
            c->stage = STAGE_RUN;
            break;
        case STAGE_STREAM:
        case STAGE_RUN:
            more = !advance(c);
            break;
        case STAGE_BODY:
            write_out(c, true);
            more = false;
            break;
        case STAGE_SWALLOW:
            c->stage = STAGE_ANSWER;
            more = false;
            break;
        default:
            more = false;
        }
    }
}

/* A job has written a block. */
static void after_write(struct call *c)
{
    c->writing = false;
    if (c->last || upload_error(c->upload)->code != ERR_NONE)
        body_is_done(c);
    else
        set_deadline(c, c->h->c.limits.body_us);
}

/* MHD calls this for the headers, for pieces of the body (*len > 0), when all
 * was received, and after each resume in the state it was suspended in. */
enum MHD_Result httpd_on_request(void *cls, struct MHD_Connection *mhd,
                                 const char *url, const char *method,
                                 const char *version, const char *data,
                                 size_t *len, void **con_cls)
{
    struct call *c = *con_cls;
    if (!c)
        return MHD_NO;
    if (c->stage == STAGE_HEADERS) {
        /* An answer at this point also ends the connection: only where a
         * body must not come. */
        begin(c, method);
        return c->stage == STAGE_ANSWER && has_body(c)
                   ? queue_answer(c, con_cls)
                   : MHD_YES;
    }
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_SUSPENDED);
    if (info && info->suspended)
        return MHD_YES;
    if (c->writing)
        after_write(c);
    if (*len) {
        ssize_t n = on_data(c, data, *len);
        *len -= n > 0 ? (size_t)n : 0;
        return n < 0 ? MHD_NO : MHD_YES;
    }
    on_end(c);
    return c->stage == STAGE_ANSWER ? queue_answer(c, con_cls) : MHD_YES;
}

void httpd_on_completed(void *cls, struct MHD_Connection *mhd, void **con_cls,
                        enum MHD_RequestTerminationCode why)
{
    struct httpd *h = cls;
    struct call *c = *con_cls;
    *con_cls = NULL;
    atomic_fetch_add(&h->requests, 1);
    if (c && c->stepped && c->stage != STAGE_ANSWER &&
        c->stage != STAGE_SWALLOW)
        orphan(c);
    else if (c)
        call_free(c);
    struct conn *conn =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT)
            ->socket_context;
    if (conn)
        atomic_store(&conn->deadline, httpd_mono(h) + h->c.limits.idle_us);
}
