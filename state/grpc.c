#include "state/grpc_impl.h"

#include "common/alloc.h"
#include "common/cleanup.h"

#include <openssl/ssl.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#define TRY_PAUSE_US 100000

/* ---- messages ---------------------------------------------------------- */

struct grpc_message grpc_message_new(size_t payload)
{
    struct grpc_message m = { xmalloc(GRPC_PREFIX_LEN + payload),
                              GRPC_PREFIX_LEN + payload };
    m.data[0] = 0;
    for (int i = 0; i < 4; i++)
        m.data[1 + i] = (uint8_t)(payload >> (24 - 8 * i));
    return m;
}

/* ---- calls: beginning and ending ----------------------------------------- */

static void call_free(struct grpc_call *c)
{
    *c->at = c->next;
    if (c->next)
        c->next->at = c->at;
    else
        c->g->last_call = c->at;
    free(c->m.data);
    buf_free(&c->out);
    buf_free(&c->in);
    free(c);
}

static void call_link(struct grpc *g, struct grpc_call *c)
{
    c->at = g->last_call;
    *c->at = c;
    g->last_call = &c->next;
    g->waiting = g->again = true;
}

static void call_off_line(struct grpc_call *c)
{
    if (c->line && c->single)
        c->line->n_single--;
    c->line = NULL;
    c->stream = NULL;
}

static void single_done(struct grpc *g)
{
    pthread_mutex_lock(&g->lock);
    if (!--g->n_single)
        pthread_cond_broadcast(&g->idle);
    pthread_mutex_unlock(&g->lock);
}

void grpc_call_finish(struct grpc_call *c, const struct grpc_status *st)
{
    struct grpc *g = c->g;
    call_off_line(c);
    if (!c->single) {
        c->events->end(c->arg, st);
        call_free(c);
        return;
    }
    bool ok = st->code == GRPC_OK && c->got;
    struct grpc_status none = grpc_status_make(GRPC_INTERNAL, "no answer");
    c->done(c->arg, ok || st->code != GRPC_OK ? st : &none,
            ok ? (const uint8_t *)buf_str(&c->in) : NULL, ok ? c->in.len : 0);
    call_free(c);
    single_done(g);
}

static bool transient(const struct grpc_status *st)
{
    return st->code == GRPC_UNAVAILABLE || st->code == GRPC_CANCELLED ||
           (st->code == GRPC_DEADLINE_EXCEEDED && st->answered) ||
           st->code == GRPC_INTERNAL;
}

/* Ended by its connection: done with, or another try? */
static void call_ended(struct grpc_call *c, const struct grpc_status *st)
{
    struct grpc *g = c->g;
    struct line *l = c->line;
    int64_t now = env_mono(g->env);
    if (l && st->code == GRPC_OK)
        l->sick = 0;
    else if (l && st->answered && transient(st) && !c->o.choosy)
        l->sick++;
    bool again = c->single && (st->untouched || (c->o.retry && transient(st)));
    if (!again || now >= c->deadline) {
        grpc_call_finish(c, st);
        return;
    }
    call_off_line(c);
    c->got = false;
    buf_reset(&c->in);
    c->not_before = st->answered ? now + TRY_PAUSE_US : 0;
    g->waiting = g->again = true;
}

static void on_single_message(void *arg, const uint8_t *data, size_t len)
{
    struct grpc_call *c = arg;
    c->got = true;
    buf_reset(&c->in);
    buf_add(&c->in, data, len);
}

static void on_stream_message(void *arg, const uint8_t *data, size_t len)
{
    struct grpc_call *c = arg;
    c->events->message(c->arg, data, len);
}

static void on_end(void *arg, const struct grpc_status *st)
{
    call_ended(arg, st);
}

static const struct grpc_events single_events = { on_single_message, on_end };
static const struct grpc_events stream_events = { on_stream_message, on_end };

/* Onto the line, which is UP; false: it takes no more. */
static bool call_begin(struct grpc_call *c, struct line *l, int64_t now)
{
    struct grpc_open o = {
        .path = c->o.path,
        .timeout_us = c->deadline ? c->deadline - now : 0,
        .message_max = c->o.reply_max,
        .has_leader = c->o.has_leader,
        .events = c->single ? &single_events : &stream_events,
        .arg = c,
    };
    c->stream = grpc_conn_open(l->conn, &o);
    if (!c->stream)
        return false;
    c->line = l;
    if (c->single) {
        if (!l->n_single++ || l->asked <= l->heard)
            l->asked = now;
        grpc_stream_send(c->stream, c->m.data, c->m.len, true);
    } else {
        grpc_stream_send(c->stream, c->out.data, c->out.len, false);
        buf_free(&c->out);
    }
    return true;
}

static void begin_waiting(struct grpc *g, int64_t now)
{
    struct line *l = g->current;
    if (!g->waiting || !l || l->state != UP)
        return;
    g->waiting = false;
    for (struct grpc_call *c = g->calls, *next; c; c = next) {
        next = c->next;
        if (c->line)
            continue;
        if (c->not_before > now || l->failed || !call_begin(c, l, now))
            g->waiting = true;
    }
}

static void call_expire(struct grpc_call *c, int64_t now)
{
    struct grpc_status st =
        grpc_status_make(GRPC_DEADLINE_EXCEEDED, "no answer in time");
    struct line *l = c->line;
    st.untouched = !l;
    if (l) {
        grpc_stream_cancel(c->stream);
        l->sick++;
    }
    grpc_call_finish(c, &st);
}

/* ---- the thread -------------------------------------------------------- */

static void run_posts(struct grpc *g)
{
    pthread_mutex_lock(&g->lock);
    struct post *p = g->first;
    g->first = NULL;
    g->last = &g->first;
    pthread_mutex_unlock(&g->lock);
    for (struct post *next; p; p = next) {
        next = p->next;
        if (p->call) {
            call_link(g, p->call);
        } else {
            p->fn(p->arg);
        }
        free(p);
    }
}

static int64_t run_timers(struct grpc *g, int64_t now)
{
    int64_t first = INT64_MAX;
    struct post *due = NULL, **due_last = &due;
    for (struct post **at = &g->timers, *p; (p = *at);) {
        if (p->at > now) {
            first = p->at < first ? p->at : first;
            at = &p->next;
            continue;
        }
        *at = p->next;
        p->next = NULL;
        *due_last = p;
        due_last = &p->next;
    }
    for (struct post *p = due, *next; p; p = next) {
        next = p->next;
        p->fn(p->arg);
        free(p);
        first = now; /* it may have set another */
    }
    return first;
}

/* Ends calls past their deadline; the first deadline that is left. */
static int64_t check_calls(struct grpc *g, int64_t now)
{
    int64_t first = INT64_MAX;
    for (struct grpc_call *c = g->calls; c;) {
        struct grpc_call *next = c->next;
        if (c->deadline && now >= c->deadline) {
            call_expire(c, now);
            next = g->calls; /* its end may have changed the list */
            first = INT64_MAX;
        } else {
            if (c->deadline && c->deadline < first)
                first = c->deadline;
            if (!c->line && c->not_before > now && c->not_before < first)
                first = c->not_before;
        }
        c = next;
    }
    return first;
}

/* All that time brings; when it will bring more. */
static int64_t check(struct grpc *g, int64_t now)
{
    int64_t first = run_timers(g, now), at = check_calls(g, now);
    first = at < first ? at : first;
    for (struct line *l = g->lines; l; l = l->next) {
        line_settle(l);
        if (l->failed)
            continue;
        at = line_check(l, now);
        first = at < first ? at : first;
    }
    lines_dial(g, now);
    if (!g->current && g->dial_at < first)
        first = g->dial_at;
    begin_waiting(g, now);
    return first;
}

static void flush_all(struct grpc *g)
{
    for (struct line *l = g->lines; l; l = l->next)
        if (!l->failed)
            line_flush(l);
}

static void take_events(struct grpc *g, const struct epoll_event *ev, int n)
{
    uint64_t count;
    for (int i = 0; i < n; i++)
        if (ev[i].data.ptr)
            line_event(ev[i].data.ptr);
        else if (read(g->wake, &count, sizeof(count)) < 0)
            continue;
}

static void *io_main(void *arg)
{
    struct grpc *g = arg;
    struct epoll_event ev[16];
    sigset_t pipe;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE); /* TLS writes without MSG_NOSIGNAL */
    pthread_sigmask(SIG_BLOCK, &pipe, NULL);
    while (!g->stop) {
        g->again = false;
        run_posts(g);
        int64_t now = env_mono(g->env), at = check(g, now);
        flush_all(g);
        lines_reap(g);
        int64_t wait = at == INT64_MAX ? SECOND_US : at - now;
        wait = wait < 0 || g->again ? 0 : wait > SECOND_US ? SECOND_US : wait;
        int n = epoll_wait(g->epoll, ev, ARRAY_SIZE(ev),
                           (int)((wait + 999) / 1000));
        take_events(g, ev, n);
    }
    return NULL;
}

/* ---- from any thread ----------------------------------------------------- */

static void wake(struct grpc *g)
{
    uint64_t one = 1;
    if (write(g->wake, &one, sizeof(one)) < 0)
        return; /* full: it is awake */
}

static void add_post(struct grpc *g, struct post *p)
{
    pthread_mutex_lock(&g->lock);
    bool first = !g->first;
    *g->last = p;
    g->last = &p->next;
    pthread_mutex_unlock(&g->lock);
    if (first)
        wake(g);
}

void grpc_post(struct grpc *g, void (*fn)(void *), void *arg)
{
    struct post *p = xcalloc(1, sizeof(*p));
    p->fn = fn;
    p->arg = arg;
    add_post(g, p);
}

static struct grpc_call *call_new(struct grpc *g,
                                  const struct grpc_call_opts *o)
{
    struct grpc_call *c = xcalloc(1, sizeof(*c));
    c->g = g;
    c->o = *o;
    c->deadline = o->timeout_us ? env_mono(g->env) + o->timeout_us : 0;
    buf_init(&c->out, (size_t)1 << 20);
    buf_init(&c->in, o->reply_max);
    return c;
}

/* Counts one more single call, if there may be one. */
static bool single_admit(struct grpc *g)
{
    pthread_mutex_lock(&g->lock);
    bool ok = g->n_single < GRPC_CALLS_MAX;
    if (ok)
        g->n_single++;
    pthread_mutex_unlock(&g->lock);
    return ok;
}

void grpc_call(struct grpc *g, const struct grpc_call_opts *o,
               struct grpc_message m, grpc_done_fn *done, void *arg)
{
    if (!single_admit(g)) {
        struct grpc_status st =
            grpc_status_make(GRPC_RESOURCE_EXHAUSTED, "too many calls");
        st.untouched = true;
        free(m.data);
        done(arg, &st, NULL, 0);
        return;
    }
    struct grpc_call *c = call_new(g, o);
    c->single = true;
    c->m = m;
    c->done = done;
    c->arg = arg;
    struct post *p = xcalloc(1, sizeof(*p));
    p->call = c;
    add_post(g, p);
}

struct grpc_call *grpc_stream(struct grpc *g, const struct grpc_call_opts *o,
                              const struct grpc_events *events, void *arg)
{
    struct grpc_call *c = call_new(g, o);
    c->events = events;
    c->arg = arg;
    call_link(g, c);
    return c;
}

void grpc_send(struct grpc_call *c, struct grpc_message m)
{
    if (c->stream)
        grpc_stream_send(c->stream, m.data, m.len, false);
    else
        buf_add(&c->out, m.data, m.len);
    free(m.data);
}

void grpc_cancel(struct grpc_call *c)
{
    if (c->stream)
        grpc_stream_cancel(c->stream);
    call_off_line(c);
    call_free(c);
}

void grpc_suspect(struct grpc *g, const char *why)
{
    if (g->current)
        line_fail(g->current, why);
}

void grpc_later(struct grpc *g, int64_t us, void (*fn)(void *), void *arg)
{
    struct post *p = xcalloc(1, sizeof(*p));
    p->fn = fn;
    p->arg = arg;
    p->at = env_mono(g->env) + us;
    p->next = g->timers;
    g->timers = p;
}

bool grpc_connected(struct grpc *g, char endpoint[ENDPOINT_MAX])
{
    pthread_mutex_lock(&g->lock);
    memcpy(endpoint, g->up, ENDPOINT_MAX);
    pthread_mutex_unlock(&g->lock);
    return *endpoint;
}

/* ---- waiting for an answer ----------------------------------------------- */

struct waiter {
    pthread_mutex_t lock;
    pthread_cond_t cond;
    bool done;
    struct grpc_status status;
    uint8_t *data;
    size_t len;
    void (*message)(void *arg, const uint8_t *data, size_t len);
    void *arg;
    /* A stream that is read to its end: */
    struct grpc *g;
    struct grpc_call_opts o;
    struct grpc_message m;
    struct grpc_call *call;
};

static void waiter_done(void *arg, const struct grpc_status *st,
                        const uint8_t *data, size_t len)
{
    struct waiter *w = arg;
    pthread_mutex_lock(&w->lock);
    w->status = *st;
    if (data) {
        w->data = xmalloc(len + 1);
        memcpy(w->data, data, len);
        w->len = len;
    }
    w->done = true;
    pthread_cond_signal(&w->cond);
    pthread_mutex_unlock(&w->lock);
}

static void waiter_wait(struct waiter *w)
{
    pthread_mutex_lock(&w->lock);
    while (!w->done)
        pthread_cond_wait(&w->cond, &w->lock);
    pthread_mutex_unlock(&w->lock);
    pthread_cond_destroy(&w->cond);
    pthread_mutex_destroy(&w->lock);
}

struct grpc_status grpc_call_wait(struct grpc *g,
                                  const struct grpc_call_opts *o,
                                  struct grpc_message m, uint8_t **out,
                                  size_t *len)
{
    struct waiter w = { .lock = PTHREAD_MUTEX_INITIALIZER,
                        .cond = PTHREAD_COND_INITIALIZER };
    grpc_call(g, o, m, waiter_done, &w);
    waiter_wait(&w);
    *out = w.data;
    *len = w.len;
    return w.status;
}

static void reader_message(void *arg, const uint8_t *data, size_t len)
{
    struct waiter *w = arg;
    w->message(w->arg, data, len);
}

static void reader_end(void *arg, const struct grpc_status *st)
{
    waiter_done(arg, st, NULL, 0);
}

static void reader_begin(void *arg)
{
    static const struct grpc_events events = { reader_message, reader_end };
    struct waiter *w = arg;
    w->call = grpc_stream(w->g, &w->o, &events, w);
    w->call->deadline = env_mono(w->g->env) + w->o.timeout_us;
    grpc_send(w->call, w->m);
}

struct grpc_status
grpc_read_wait(struct grpc *g, const struct grpc_call_opts *o,
               struct grpc_message m,
               void (*message)(void *, const uint8_t *, size_t), void *arg)
{
    struct waiter w = { .lock = PTHREAD_MUTEX_INITIALIZER,
                        .cond = PTHREAD_COND_INITIALIZER,
                        .message = message,
                        .arg = arg,
                        .g = g,
                        .o = *o,
                        .m = m };
    grpc_post(g, reader_begin, &w);
    waiter_wait(&w);
    return w.status;
}

/* ---- opening and closing ------------------------------------------------ */

static bool check_endpoints(const char *const *endpoints, size_t n,
                            char *out[GRPC_ENDPOINTS_MAX], struct error *err)
{
    char text[ENDPOINT_MAX];
    if (!n || n > GRPC_ENDPOINTS_MAX)
        return error_set(err, ERR_INVALID, "1 to %d endpoints, not %zu",
                         GRPC_ENDPOINTS_MAX, n);
    for (size_t i = 0; i < n; i++)
        if (!endpoint_parse(endpoints[i], text, err))
            return false;
    for (size_t i = 0; i < n; i++) {
        endpoint_parse(endpoints[i], text, NULL);
        out[i] = xstrdup(text);
    }
    return true;
}

struct fresh {
    struct grpc *g;
    char *endpoints[GRPC_ENDPOINTS_MAX];
    size_t n;
};

static void take_fresh(void *arg)
{
    struct fresh *f = arg;
    struct grpc *g = f->g;
    bool stays = false;
    for (size_t i = 0; i < g->n_endpoints; i++)
        free(g->endpoints[i]);
    memcpy(g->endpoints, f->endpoints, sizeof(f->endpoints));
    g->n_endpoints = f->n;
    for (size_t i = 0; g->current && i < f->n; i++)
        stays |= strcmp(f->endpoints[i], g->current->endpoint) == 0;
    if (g->current && !stays)
        line_leave(g->current);
    free(f);
}

bool grpc_set_endpoints(struct grpc *g, const char *const *endpoints, size_t n,
                        struct error *err)
{
    struct fresh *f = xcalloc(1, sizeof(*f));
    f->g = g;
    f->n = n;
    if (!check_endpoints(endpoints, n, f->endpoints, err)) {
        free(f);
        return false;
    }
    grpc_post(g, take_fresh, f);
    return true;
}

static void go_first(void *arg)
{
    struct grpc *g = arg;
    if (!g->current || strcmp(g->current->endpoint, g->endpoints[0]) == 0)
        return;
    line_leave(g->current);
    g->turn = 0;
}

void grpc_prefer_first(struct grpc *g)
{
    grpc_post(g, go_first, g);
}

static void grpc_free(struct grpc *g)
{
    for (struct line *l = g->lines, *next; l; l = next) {
        next = l->next;
        line_free(l);
    }
    for (struct post *p = g->timers, *next; p; p = next) {
        next = p->next;
        free(p);
    }
    for (size_t i = 0; i < g->n_endpoints; i++)
        free(g->endpoints[i]);
    SSL_CTX_free(g->tls);
    free(g->tls_ca);
    free(g->tls_cert);
    free(g->tls_key);
    if (g->epoll >= 0)
        close(g->epoll);
    if (g->wake >= 0)
        close(g->wake);
    pthread_cond_destroy(&g->idle);
    pthread_mutex_destroy(&g->lock);
    free(g);
}

static void keep_files(struct grpc *g, const struct grpc_tls_files *f)
{
    g->tls_ca = f->ca ? xstrdup(f->ca) : NULL;
    g->tls_cert = f->cert ? xstrdup(f->cert) : NULL;
    g->tls_key = f->key ? xstrdup(f->key) : NULL;
}

struct grpc *grpc_open(const struct grpc_config *config, struct error *err)
{
    struct grpc *g = xcalloc(1, sizeof(*g));
    struct epoll_event ev = { .events = EPOLLIN };
    g->env = config->env;
    g->last = &g->first;
    g->last_call = &g->calls;
    pthread_mutex_init(&g->lock, NULL);
    pthread_cond_init(&g->idle, NULL);
    g->epoll = epoll_create1(EPOLL_CLOEXEC);
    g->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    bool ok = check_endpoints(config->endpoints, config->n_endpoints,
                              g->endpoints, err);
    g->n_endpoints = ok ? config->n_endpoints : 0;
    ok = ok && grpc_tls_new(&config->tls, &g->tls, err);
    keep_files(g, &config->tls);
    if (ok && (g->epoll < 0 || g->wake < 0 ||
               epoll_ctl(g->epoll, EPOLL_CTL_ADD, g->wake, &ev) != 0))
        ok = error_set(err, ERR_INTERNAL, "no more files can be opened");
    if (!ok) {
        grpc_free(g);
        return NULL;
    }
    if (pthread_create(&g->thread, NULL, io_main, g))
        abort();
    return g;
}

void grpc_close(struct grpc *g)
{
    if (!g)
        return;
    pthread_mutex_lock(&g->lock);
    while (g->n_single)
        pthread_cond_wait(&g->idle, &g->lock);
    pthread_mutex_unlock(&g->lock);
    g->stop = true;
    wake(g);
    pthread_join(g->thread, NULL);
    run_posts(g); /* what came too late for the thread */
    struct grpc_status st = grpc_status_make(GRPC_CANCELLED, "closed");
    for (struct grpc_call *c = g->calls, *next; c; c = next) {
        next = c->next;
        grpc_call_finish(c, &st);
    }
    grpc_free(g);
}
