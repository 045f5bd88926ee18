/*
 * The watch stream.  One watch of everything below our prefix (the main
 * feed) tells the live watches, revision by revision; s->pos is how far.
 * A watch that begins in the past gets a feed of its own from there, which
 * ends when it has reached pos: then the watch is live.
 *
 * A feed asks etcd from the revision *before* the first it wants and skips
 * that: so etcd's "compacted" means what store.h means by it, and deletes at
 * exactly the compacted revision cannot be missed (etcd 18089).
 *
 * A txn's answer and its event come on different streams; the answer is held
 * until pos has reached its revision.
 *
 * When the stream is lost: ask for the origin first (is it the same cluster,
 * has it at least what we have heard?), then open the stream again and all
 * feeds where they stood.
 */
#include "state/store_etcd_impl.h"

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/log.h"

#include <inttypes.h>
#include <string.h>

#define STREAM_PAUSE_US 100000
#define HELD_CHECK_US   SECOND_US
#define KEPT_MAX        4096 /* messages of one revision */

struct feed {
    struct feed *next;
    int64_t id;
    uint64_t serial; /* of the watch that catches up; 0: the main feed */
    int64_t pos;     /* told up to this revision */
    /* One revision being gathered; keys in the arena, values in `kept`. */
    int64_t revision;
    struct kv *events;
    size_t n, cap;
    struct arena keys;
    Etcd__WatchResponse **kept;
    size_t n_kept;
};

struct held {
    struct held *next;
    struct txn_result result;
    txn_done_fn *done;
    void *arg;
    int64_t until; /* then it is answered anyhow */
};

/* ---- held answers ------------------------------------------------------ */

static void release_held(struct etcd_store *s)
{
    struct held *h;
    while ((h = s->held) && h->result.revision <= s->pos) {
        s->held = h->next;
        h->done(h->arg, &h->result);
        free(h);
    }
}

static void release_all(struct etcd_store *s)
{
    struct held *h;
    while ((h = s->held)) {
        s->held = h->next;
        h->done(h->arg, &h->result);
        free(h);
    }
}

/* A watch that does not come back must not hold up writers for ever. */
static void check_held(void *arg)
{
    struct etcd_store *s = arg;
    int64_t now = env_mono(s->env);
    bool late = false;
    for (const struct held *h = s->held; h; h = h->next)
        late |= now >= h->until;
    if (late)
        release_all(s);
    if (!s->closing)
        grpc_later(s->g, HELD_CHECK_US, check_held, s);
}

static bool anybody_watches(struct etcd_store *s)
{
    pthread_mutex_lock(&s->watchers.lock);
    bool any = s->watchers.list;
    pthread_mutex_unlock(&s->watchers.lock);
    return any;
}

void etcd_hold(struct etcd_store *s, const struct txn_result *result,
               txn_done_fn *done, void *arg)
{
    if (result->revision <= s->pos || s->closing ||
        (!s->stream && !anybody_watches(s))) {
        done(arg, result);
        return;
    }
    struct held *h = xcalloc(1, sizeof(*h));
    h->result = *result;
    h->done = done;
    h->arg = arg;
    h->until = env_mono(s->env) + s->timeout_us;
    struct held **at = &s->held;
    while (*at && (*at)->result.revision <= result->revision)
        at = &(*at)->next;
    h->next = *at;
    *at = h;
}

/* ---- feeds ------------------------------------------------------------- */

static void feed_forget(struct feed *f)
{
    for (size_t i = 0; i < f->n_kept; i++)
        etcd_free(f->kept[i]);
    arena_free(&f->keys);
    f->n_kept = f->n = 0;
}

static void feed_free(struct etcd_store *s, struct feed *f)
{
    struct feed **at = &s->feeds;
    while (*at != f)
        at = &(*at)->next;
    *at = f->next;
    feed_forget(f);
    free(f->events);
    free(f->kept);
    free(f);
}

static struct feed *feed_find(struct etcd_store *s, int64_t id)
{
    struct feed *f = s->feeds;
    while (f && f->id != id)
        f = f->next;
    return f;
}

static struct feed *main_feed(struct etcd_store *s)
{
    struct feed *f = s->feeds;
    while (f && f->serial)
        f = f->next;
    return f;
}

static void feed_ask(struct etcd_store *s, struct feed *f)
{
    Etcd__WatchCreateRequest create = ETCD__WATCH_CREATE_REQUEST__INIT;
    Etcd__WatchRequest request = ETCD__WATCH_REQUEST__INIT;
    create.key = etcd_bytes(s->names.prefix, strlen(s->names.prefix));
    create.range_end = etcd_bytes(s->names.end, strlen(s->names.end));
    create.start_revision = f->pos + s->shift; /* and skip it */
    create.watch_id = f->id;
    create.progress_notify = !f->serial;
    create.fragment = true;
    request.request_case = ETCD__WATCH_REQUEST__REQUEST_CREATE;
    request.create = &create;
    feed_forget(f);
    grpc_send(s->stream, etcd_pack(&request));
}

static struct feed *feed_new(struct etcd_store *s, uint64_t serial, int64_t pos)
{
    struct feed *f = xcalloc(1, sizeof(*f));
    f->serial = serial;
    f->pos = pos;
    f->id = ++s->last_id;
    f->next = s->feeds;
    s->feeds = f;
    return f;
}

static void feed_cancel(struct etcd_store *s, struct feed *f)
{
    Etcd__WatchCancelRequest cancel = ETCD__WATCH_CANCEL_REQUEST__INIT;
    Etcd__WatchRequest request = ETCD__WATCH_REQUEST__INIT;
    cancel.watch_id = f->id;
    request.request_case = ETCD__WATCH_REQUEST__REQUEST_CANCEL;
    request.cancel = &cancel;
    if (s->stream)
        grpc_send(s->stream, etcd_pack(&request));
    feed_free(s, f);
}

/* ---- telling ----------------------------------------------------------- */

static void watch_is_live(struct etcd_store *s, uint64_t serial)
{
    struct watch *w = watchers_hold(&s->watchers, serial);
    if (w)
        watchers_release(&s->watchers, w, true);
}

static void watch_end(struct etcd_store *s, uint64_t serial,
                      enum watch_what what, int64_t revision)
{
    struct watch *w = watchers_hold(&s->watchers, serial);
    if (!w)
        return;
    watch_tell(w, what, revision, NULL, 0);
    watchers_release(&s->watchers, w, false);
}

static void set_pos(struct etcd_store *s, int64_t pos)
{
    if (pos <= s->pos)
        return;
    s->pos = pos;
    etcd_saw(s, pos);
    release_held(s);
    etcd_compact_soon(s, pos);
}

/* False: the watch is gone. */
static bool tell_one(struct etcd_store *s, struct feed *f)
{
    struct watch *w = watchers_hold(&s->watchers, f->serial);
    if (!w)
        return false;
    if (f->revision >= w->from)
        watch_tell(w, WATCH_EVENTS, f->revision, f->events, f->n);
    watchers_release(&s->watchers, w, false);
    return true;
}

/* The revision that was gathered is whole. */
static void feed_tell(struct etcd_store *s, struct feed *f)
{
    bool fresh = f->n && f->revision > f->pos;
    if (fresh && !f->serial) {
        f->pos = f->revision;
        watchers_tell(&s->watchers, WATCH_EVENTS, f->revision, f->events, f->n);
        set_pos(s, f->revision);
    } else if (fresh && f->revision <= s->pos) {
        f->pos = tell_one(s, f) ? f->revision : INT64_MAX;
    }
    f->n = 0;
}

/* ---- gathering --------------------------------------------------------- */

static const char *own_key(struct etcd_store *s, struct feed *f,
                           const ProtobufCBinaryData *key)
{
    size_t skip = strlen(s->names.prefix);
    if (key->len <= skip || key->len - skip >= STORE_KEY_MAX ||
        memchr(key->data, '\0', key->len))
        return NULL;
    return arena_strndup(&f->keys, (const char *)key->data + skip,
                         key->len - skip);
}

static void feed_add(struct etcd_store *s, struct feed *f, const Etcd__Event *e)
{
    const Etcd__KeyValue *kv = e->kv;
    const char *key = kv ? own_key(s, f, &kv->key) : NULL;
    if (!key)
        return;
    int64_t revision = kv->mod_revision - s->shift;
    if (f->n && revision != f->revision)
        feed_tell(s, f);
    if (f->n == f->cap) {
        f->cap = f->cap ? 2 * f->cap : 16;
        f->events = xrealloc(f->events, f->cap * sizeof(*f->events));
    }
    bool put = e->type == ETCD__EVENT__TYPE__PUT;
    f->revision = revision;
    f->events[f->n++] = (struct kv){
        .key = key,
        .value = !put             ? NULL
                 : kv->value.data ? kv->value.data
                                  : (const void *)"",
        .len = put ? kv->value.len : 0,
        .create_rev = put ? kv->create_revision - s->shift : 0,
        .mod_rev = revision,
        .lease = kv->lease,
    };
}

/* Takes the message over; false: too much of one revision. */
static bool feed_take(struct etcd_store *s, struct feed *f,
                      Etcd__WatchResponse *r)
{
    int64_t before = f->n ? f->revision : -1;
    if (f->n_kept >= KEPT_MAX) {
        etcd_free(r);
        return false;
    }
    f->kept = xrealloc(f->kept, (f->n_kept + 1) * sizeof(*f->kept));
    f->kept[f->n_kept++] = r;
    for (size_t i = 0; i < r->n_events; i++)
        feed_add(s, f, r->events[i]);
    if (!r->fragment) {
        feed_tell(s, f);
        feed_forget(f);
    } else if (f->n && f->revision != before) {
        /* What is unfinished begins in this message. */
        for (size_t i = 0; i + 1 < f->n_kept; i++)
            etcd_free(f->kept[i]);
        f->kept[0] = r;
        f->n_kept = 1;
    }
    return true;
}

/* ---- the stream -------------------------------------------------------- */

static void start_later(struct etcd_store *s)
{
    grpc_later(s->g, STREAM_PAUSE_US, etcd_stream_start, s);
}

/* Every watch ends; the main feed begins anew after `pos`. */
static void end_all(struct etcd_store *s, enum watch_what what, int64_t pos)
{
    while (s->feeds) {
        if (s->feeds->serial)
            watch_end(s, s->feeds->serial, what, pos);
        feed_free(s, s->feeds);
    }
    watchers_tell(&s->watchers, what, pos, NULL, 0);
    s->pos = pos;
    release_all(s);
}

static void restart(struct etcd_store *s)
{
    if (s->stream)
        grpc_cancel(steal(&s->stream));
    start_later(s);
}

static void on_canceled(struct etcd_store *s, struct feed *f,
                        const Etcd__WatchResponse *r)
{
    int64_t revision = r->compact_revision - s->shift;
    if (!r->compact_revision) {
        log_limited(LOG_WARN, "store", "etcd ended a watch: %.100s",
                    r->cancel_reason);
        restart(s);
    } else if (f->serial) {
        watch_end(s, f->serial, WATCH_COMPACTED, revision);
        feed_free(s, f);
    } else {
        end_all(s, WATCH_COMPACTED, revision);
        feed_ask(s, feed_new(s, 0, s->pos));
    }
}

/* Those that have come as far as the live ones join them. */
static void feeds_settle(struct etcd_store *s)
{
    for (struct feed *f = s->feeds, *next; f; f = next) {
        next = f->next;
        if (!f->serial || (f->pos < s->pos && f->revision <= s->pos))
            continue;
        watch_is_live(s, f->serial);
        feed_cancel(s, f);
    }
}

static void on_message(void *arg, const uint8_t *data, size_t len)
{
    struct etcd_store *s = arg;
    Etcd__WatchResponse *r =
        etcd_unpack(&etcd__watch_response__descriptor, data, len);
    struct feed *f = r ? feed_find(s, r->watch_id) : NULL;
    if (!f) {
        if (!r)
            restart(s);
        etcd_free(r);
        return;
    }
    if (r->canceled) {
        on_canceled(s, f, r);
        etcd_free(r);
    } else if (r->n_events) {
        if (!feed_take(s, f, r))
            restart(s);
        feeds_settle(s);
    } else {
        if (!r->created && !f->serial && r->header) {
            f->pos = r->header->revision - s->shift;
            set_pos(s, f->pos);
        }
        etcd_free(r);
    }
}

static void on_end(void *arg, const struct grpc_status *st)
{
    struct etcd_store *s = arg;
    s->stream = NULL;
    if (s->closing)
        return;
    if (st->answered)
        grpc_suspect(s->g, *st->text ? st->text : "ends its watches");
    start_later(s);
}

static void open_stream(struct etcd_store *s)
{
    static const struct grpc_events events = { on_message, on_end };
    struct grpc_call_opts o = etcd_opts(s, ETCD_WATCH, false);
    o.timeout_us = 0;
    o.has_leader = true;
    s->stream = grpc_stream(s->g, &o, &events, s);
    if (!main_feed(s))
        feed_new(s, 0, s->pos);
    for (struct feed *f = s->feeds; f; f = f->next)
        feed_ask(s, f);
}

/* Is this still the cluster that the watches know? */
static void on_origin(void *arg, const struct grpc_status *st,
                      const uint8_t *data, size_t len)
{
    struct etcd_store *s = arg;
    int64_t origin = s->origin;
    s->asking = false;
    if (s->closing)
        return;
    _autoetcd_ Etcd__RangeResponse *r =
        data ? etcd_unpack(&etcd__range_response__descriptor, data, len) : NULL;
    if (!r || !r->header || !etcd_take_origin(s, r)) {
        start_later(s);
        return;
    }
    int64_t current = r->header->revision - s->shift;
    if (s->origin != origin || current < s->pos) {
        log_warn("store", "etcd is not what it was: watches begin anew");
        atomic_store(&s->seen, current);
        end_all(s, WATCH_LOST, current);
    }
    open_stream(s);
}

void etcd_stream_start(void *arg)
{
    struct etcd_store *s = arg;
    if (s->closing || s->stream || s->asking)
        return;
    struct grpc_call_opts o = etcd_opts(s, ETCD_RANGE, true);
    if (!s->last_id) /* the first time */
        check_held(s);
    s->asking = true;
    grpc_call(s->g, &o, etcd_origin_request(s), on_origin, s);
}

void etcd_watch_begin(struct etcd_store *s, uint64_t serial)
{
    struct watch *w = watchers_hold(&s->watchers, serial);
    if (!w)
        return;
    int64_t from = w->from;
    watchers_release(&s->watchers, w, from > s->pos && from > s->start);
    if (from <= s->start) {
        watch_end(s, serial, WATCH_COMPACTED, s->start);
    } else if (from <= s->pos) {
        struct feed *f = feed_new(s, serial, from - 1);
        if (s->stream)
            feed_ask(s, f);
    }
}

void etcd_stream_stop(struct etcd_store *s)
{
    if (s->stream)
        grpc_cancel(steal(&s->stream));
    while (s->feeds)
        feed_free(s, s->feeds);
    release_all(s);
}
