/*
 * The thread has an epoll set with its wake-up and its links.  A link is a
 * connection in one of four states:
 *
 *     DIALING --connect, TLS--> GREETING --SETTINGS--> UP --GOAWAY--> LEAVING
 *        |                         |                   |                |
 *        +-------------------------+------ failed -----+-- no calls ----+
 *
 * At most one is DIALING, GREETING or UP (g->current); those LEAVING only
 * finish their single calls.
 */
#include "state/grpc_impl.h"

#include "common/alloc.h"
#include "common/log.h"

#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#define OUT_BATCH    (64 << 10) /* bytes gathered for one write */
#define READ_BYTES   (64 << 10)
#define READS_A_TURN 16 /* then somebody else has a turn */

/* ---- lines ------------------------------------------------------------- */

static void line_watch(struct line *l)
{
    bool more = l->out.len > l->out_at;
    struct epoll_event ev = { .events = grpc_link_events(l->link, more),
                              .data.ptr = l };
    if (ev.events == l->events)
        return;
    epoll_ctl(l->g->epoll, l->events ? EPOLL_CTL_MOD : EPOLL_CTL_ADD,
              grpc_link_fd(l->link), &ev);
    l->events = ev.events;
}

static void note_up(struct grpc *g, const char *endpoint)
{
    pthread_mutex_lock(&g->lock);
    snprintf(g->up, sizeof(g->up), "%s", endpoint);
    pthread_mutex_unlock(&g->lock);
}

/* The next endpoint, with a pause after each whole round. */
static void turn_on(struct grpc *g)
{
    size_t n = g->n_endpoints;
    unsigned rounds = ++g->failures / (unsigned)n;
    int64_t pause = 0;
    g->turn++;
    if (rounds && g->failures % n == 0) {
        pause = GRPC_PAUSE_US << (rounds < 6 ? rounds - 1 : 6);
        if (pause > GRPC_PAUSE_MOST_US)
            pause = GRPC_PAUSE_MOST_US;
        pause += (int64_t)env_random_below(g->env, (uint64_t)pause / 4 + 1);
    }
    g->dial_at = env_mono(g->env) + pause;
}

/* Its calls end or wait for the next; line_reap frees it. */
void line_fail(struct line *l, const char *why)
{
    struct grpc *g = l->g;
    if (l->failed)
        return;
    l->failed = g->again = true;
    if (l == g->current) {
        g->current = NULL;
        note_up(g, "");
        turn_on(g);
        if (!g->stop)
            log_limited(LOG_WARN, "grpc", "%s: %s", l->endpoint, why);
    }
    grpc_conn_lost(l->conn, why);
    epoll_ctl(g->epoll, EPOLL_CTL_DEL, grpc_link_fd(l->link), NULL);
}

void line_free(struct line *l)
{
    grpc_conn_free(l->conn);
    grpc_link_close(l->link);
    buf_free(&l->out);
    free(l);
}

void line_leave(struct line *l)
{
    struct grpc *g = l->g;
    l->state = LEAVING;
    if (l != g->current)
        return;
    g->current = NULL;
    g->turn++;
    g->dial_at = 0;
    note_up(g, "");
    /* Long streams begin anew elsewhere. */
    struct grpc_status st = grpc_status_make(GRPC_UNAVAILABLE, "going away");
    for (struct grpc_call *c = g->calls, *next; c; c = next) {
        next = c->next;
        if (c->line != l || c->single)
            continue;
        grpc_stream_cancel(c->stream);
        grpc_call_finish(c, &st);
        next = g->calls; /* its end may have changed the list */
    }
}

/* While the files are being changed the old ones serve. */
static void read_tls(struct grpc *g)
{
    SSL_CTX *fresh;
    struct error err = { 0 };
    if (!grpc_tls_new(
            &(struct grpc_tls_files){ g->tls_ca, g->tls_cert, g->tls_key },
            &fresh, &err)) {
        log_limited(LOG_WARN, "grpc", "%s", err.text);
        return;
    }
    SSL_CTX_free(g->tls); /* connections hold it as long as they need it */
    g->tls = fresh;
}

void lines_dial(struct grpc *g, int64_t now)
{
    char endpoint[ENDPOINT_MAX];
    struct error err = { 0 };
    if (g->current || now < g->dial_at || g->stop)
        return;
    snprintf(endpoint, sizeof(endpoint), "%s",
             g->endpoints[g->turn % g->n_endpoints]);
    read_tls(g);
    struct grpc_link *link = grpc_link_open(endpoint, g->tls, &err);
    if (!link) {
        log_limited(LOG_WARN, "grpc", "%s", err.text);
        turn_on(g);
        return;
    }
    struct line *l = xcalloc(1, sizeof(*l));
    l->g = g;
    l->link = link;
    l->conn = grpc_conn_new(endpoint, g->tls);
    l->since = l->heard = now;
    buf_init(&l->out, SIZE_MAX / 2); /* the calls' limits bound it */
    snprintf(l->endpoint, sizeof(l->endpoint), "%s", endpoint);
    l->next = g->lines;
    g->lines = g->current = l;
    line_watch(l);
}

static void line_connect(struct line *l)
{
    struct error err = { 0 };
    enum grpc_link_step step = grpc_link_connect(l->link, &err);
    if (step == GRPC_LINK_DONE)
        l->state = GREETING;
    else if (step == GRPC_LINK_FAILED)
        line_fail(l, err.text);
}

/* What changed by what came. */
void line_settle(struct line *l)
{
    struct grpc *g = l->g;
    if (l->failed)
        return;
    if (l->state == GREETING && grpc_conn_ready(l->conn)) {
        l->state = UP;
        l->pongs = grpc_conn_pongs(l->conn);
        g->failures = 0;
        g->waiting = true;
        note_up(g, l->endpoint);
    }
    if (l->state == UP && grpc_conn_going(l->conn))
        line_leave(l);
    if (l->state == UP && l->sick >= GRPC_SICK_MAX)
        line_fail(l, "answers only that it is unavailable");
    else if (grpc_conn_over(l->conn) || (l->state == LEAVING && !l->n_single))
        line_fail(l, "left");
}

static void line_read(struct line *l)
{
    uint8_t bytes[READ_BYTES];
    struct error err = { 0 };
    for (int i = 0; i < READS_A_TURN && !l->failed; i++) {
        ssize_t n = grpc_link_read(l->link, bytes, sizeof(bytes), &err);
        if (!n)
            return;
        l->heard = env_mono(l->g->env);
        if (n < 0)
            line_fail(l, err.text);
        else if (!grpc_conn_receive(l->conn, bytes, (size_t)n))
            line_fail(l, "does not speak HTTP/2");
    }
}

static void gather(struct line *l)
{
    const uint8_t *data;
    size_t n;
    if (l->out_at == l->out.len) {
        buf_reset(&l->out);
        l->out_at = 0;
    }
    while (l->out.len < OUT_BATCH && (n = grpc_conn_send(l->conn, &data)))
        buf_add(&l->out, data, n);
}

void line_flush(struct line *l)
{
    struct error err = { 0 };
    while (!l->failed && l->state != DIALING) {
        gather(l);
        if (l->out_at == l->out.len)
            break;
        ssize_t n = grpc_link_write(l->link, l->out.data + l->out_at,
                                    l->out.len - l->out_at, &err);
        if (n < 0)
            line_fail(l, err.text);
        if (n <= 0)
            break;
        l->out_at += (size_t)n;
    }
    if (!l->failed)
        line_watch(l);
}

/* A PING is out, or one is due: when to look again, having looked now. */
static int64_t check_ping(struct line *l, int64_t now)
{
    bool asked = l->n_single && l->asked > l->heard;
    int64_t since = asked ? l->asked : l->heard;
    if (l->pongs > grpc_conn_pongs(l->conn)) {
        int64_t end = since + GRPC_SILENCE_US;
        if (end < l->pinged + GRPC_SILENCE_US - GRPC_NUDGE_US)
            end = l->pinged + GRPC_SILENCE_US - GRPC_NUDGE_US;
        if (now >= end)
            line_fail(l, "has fallen silent");
        return end;
    }
    int64_t due = since + (l->n_single ? GRPC_NUDGE_US : GRPC_IDLE_US);
    if (l->pinged && due < l->pinged + GRPC_PING_US)
        due = l->pinged + GRPC_PING_US;
    if (now < due)
        return due;
    grpc_conn_ping(l->conn);
    l->pongs = grpc_conn_pongs(l->conn) + 1;
    l->pinged = now;
    return now + GRPC_SILENCE_US - GRPC_NUDGE_US;
}

int64_t line_check(struct line *l, int64_t now)
{
    if (l->state != DIALING && l->state != GREETING)
        return check_ping(l, now);
    if (now - l->since >= GRPC_CONNECT_US)
        line_fail(l, "does not answer");
    return l->since + GRPC_CONNECT_US;
}

void line_event(struct line *l)
{
    if (l->failed)
        return;
    if (l->state == DIALING)
        line_connect(l);
    if (!l->failed && l->state != DIALING)
        line_read(l);
    line_settle(l);
}

void lines_reap(struct grpc *g)
{
    for (struct line **at = &g->lines, *l; (l = *at);) {
        if (!l->failed) {
            at = &l->next;
            continue;
        }
        *at = l->next;
        line_free(l);
    }
}
