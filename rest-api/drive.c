#include "rest-api/drive.h"

#include "rest-api/route.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define BUCKETS 256

enum pending {
    PENDING_NONE,
    PENDING_COMMIT,
    PENDING_CONFIRM,
    PENDING_WAIT,
    PENDING_FILE,
};

struct driver {
    struct driver_config c;
    struct confirm *confirm;
    pthread_mutex_t lock; /* waiting, cancelled */
    struct drive *waiting[BUCKETS];
    size_t n_waiting;
    bool cancelled;
};

/* ---- commits ----------------------------------------------------------- */

static void cache_is_there(void *arg)
{
    struct drive *d = arg;
    d->wake(d);
}

static void txn_is_done(void *arg, const struct txn_result *result)
{
    struct drive *d = arg;
    d->result = *result;
    /* After a commit clients read their own writes; after a conflict the
     * handler must see what it conflicted with. */
    if (result->status == TXN_COMMITTED || result->status == TXN_CONFLICT)
        cache_at(d->driver->c.api->cache, result->revision, cache_is_there, d);
    else
        d->wake(d);
}

static void commit(struct drive *d)
{
    d->pending = PENDING_COMMIT;
    d->pause(d);
    store_submit(d->driver->c.store, &d->req.txn, txn_is_done, d);
}

/* ---- is the cache current? ----------------------------------------------- */

static void is_confirmed(struct confirm_wait *w, bool current)
{
    struct drive *d = container_of(w, struct drive, confirm);
    d->current = current;
    d->wake(d);
}

static void confirm(struct drive *d)
{
    d->pending = PENDING_CONFIRM;
    d->confirm.fn = is_confirmed;
    d->pause(d);
    confirm_ask(d->driver->confirm, &d->confirm);
}

/* ---- waiting for a record ---------------------------------------------- */

static unsigned bucket_of(const char *id)
{
    unsigned h = 5381;
    while (*id)
        h = h * 33 + (unsigned char)*id++;
    return h % BUCKETS;
}

static void unlink_waiting(struct driver *dr, struct drive *d)
{
    *d->link = d->next;
    if (d->next)
        d->next->link = d->link;
    d->link = NULL;
    dr->n_waiting--;
}

/* Takes all out of a bucket for which `over` holds, and wakes them. */
static void end_waits(struct driver *dr, unsigned bucket,
                      bool (*over)(struct drive *, const void *),
                      const void *arg)
{
    struct drive *due = NULL, *next;
    pthread_mutex_lock(&dr->lock);
    for (struct drive *d = dr->waiting[bucket]; d; d = next) {
        next = d->next;
        if (!over(d, arg))
            continue;
        unlink_waiting(dr, d);
        d->next = due;
        due = d;
    }
    pthread_mutex_unlock(&dr->lock);
    for (; due; due = next) {
        next = due->next;
        due->wake(due);
    }
}

struct change {
    const struct kind *kind;
    const char *id;
    int64_t mod_rev; /* INT64_MAX: gone */
};

static bool has_changed(struct drive *d, const void *arg)
{
    const struct change *c = arg;
    const struct wait *w = &d->req.wait;
    return d->req.waited.ok = w->kind == c->kind && strcmp(w->id, c->id) == 0 &&
                              c->mod_rev > w->mod_rev;
}

static void heard(void *arg, const struct record *old, const struct record *now)
{
    struct driver *dr = arg;
    const struct record *r = now ? now : old;
    struct change c = { r->kind, r->id, now ? now->mod_rev : INT64_MAX };
    if (driver_waiting(dr))
        end_waits(dr, bucket_of(r->id), has_changed, &c);
}

static bool is_overdue(struct drive *d, const void *arg)
{
    if (d->req.wait.deadline > *(const int64_t *)arg)
        return false;
    return !error_set(&d->req.waited.err, ERR_TIMEOUT,
                      "%s %s did not change in time", d->req.wait.kind->name,
                      d->req.wait.id);
}

void driver_tick(struct driver *dr, int64_t now)
{
    confirm_tick(dr->confirm);
    for (unsigned i = 0; i < BUCKETS; i++)
        end_waits(dr, i, is_overdue, &now);
}

static bool always(struct drive *d, const void *arg)
{
    return !error_set(&d->req.waited.err, ERR_CANCELLED, "the service stops");
}

size_t driver_waiting(struct driver *dr)
{
    pthread_mutex_lock(&dr->lock);
    size_t n = dr->n_waiting;
    pthread_mutex_unlock(&dr->lock);
    return n;
}

void driver_cancel(struct driver *dr)
{
    pthread_mutex_lock(&dr->lock);
    dr->cancelled = true;
    pthread_mutex_unlock(&dr->lock);
    confirm_cancel(dr->confirm);
    for (unsigned i = 0; i < BUCKETS; i++)
        end_waits(dr, i, always, NULL);
}

static bool record_changed(struct drive *d)
{
    const struct wait *w = &d->req.wait;
    _autosnap_ struct snapshot *snap = cache_snapshot(d->driver->c.api->cache);
    const struct record *r = snap_get(snap, w->kind, w->id);
    return !r || r->mod_rev > w->mod_rev;
}

/* The look and the entry into the list are one step for the listener, which
 * comes after the snapshot that it speaks of. */
static bool wait_record(struct drive *d)
{
    struct driver *dr = d->driver;
    struct drive **head = &dr->waiting[bucket_of(d->req.wait.id)];
    d->pause(d);
    pthread_mutex_lock(&dr->lock);
    bool changed = record_changed(d), cancelled = dr->cancelled;
    if (!changed && !cancelled) {
        d->next = *head;
        d->link = head;
        if (d->next)
            d->next->link = &d->next;
        *head = d;
        dr->n_waiting++;
    }
    pthread_mutex_unlock(&dr->lock);
    if (changed)
        d->req.waited.ok = true;
    else if (cancelled)
        always(d, NULL);
    if (changed || cancelled)
        d->wake(d);
    return true;
}

/* ---- the other waits --------------------------------------------------- */

static void password_is_done(void *arg, const char *text,
                             const struct error *err)
{
    struct drive *d = arg;
    d->req.waited.ok = err->code == ERR_NONE;
    d->req.waited.err = *err;
    if (text)
        buf_adds(&d->req.waited.text, text);
    d->wake(d);
}

static bool wait_password(struct drive *d)
{
    const struct wait *w = &d->req.wait;
    struct password_queue *q = d->driver->c.passwords;
    struct error err = { 0 };
    d->pause(d);
    bool ok =
        w->type == WAIT_HASH
            ? password_queue_hash(q, w->password, password_is_done, d, &err)
            : password_queue_verify(q, w->password, w->hash, password_is_done,
                                    d, &err);
    if (!ok)
        password_is_done(d, NULL, &err);
    return true;
}

static void run_call(void *arg)
{
    struct drive *d = arg;
    struct waited *w = &d->req.waited;
    const struct api_io *io = &d->driver->c.io;
    w->ok = io->call(io->self, d->req.wait.op, d->req.wait.json, &w->text, NULL,
                     &w->err);
    d->wake(d);
}

/* Opens a file through the privileged side: the body's or the blob's. */
static void run_open(void *arg)
{
    struct drive *d = arg;
    struct req *r = &d->req;
    const struct api_io *io = &d->driver->c.io;
    bool upload = !r->resp.blob;
    struct buf json = BUF_INIT(64 * 1024), out = BUF_INIT(64 * 1024);
    struct jw w = JW_INIT(&json);
    jw_obj(&w, NULL);
    if (upload)
        jw_str(&w, "upload_id", r->wait.upload_id);
    else
        jw_str(&w, "blob", r->resp.blob);
    jw_obj_end(&w);
    bool ok = io->call(io->self, upload ? "image.write" : "image.read",
                       buf_str(&json), &out, &d->fd, &r->waited.err);
    if (ok && d->fd < 0)
        error_set(&r->waited.err, ERR_INTERNAL, "no file came for the image");
    buf_free(&json);
    buf_free(&out);
    d->wake(d);
}

static bool push(struct drive *d, void (*fn)(void *))
{
    d->pause(d);
    if (jobs_push(d->driver->c.jobs, fn, d))
        return true;
    error_set(&d->req.waited.err, ERR_BUSY, "too many requests at once");
    d->wake(d);
    return true;
}

/* False: over already, step on. */
static bool begin_wait(struct drive *d)
{
    d->pending = PENDING_WAIT;
    switch (d->req.wait.type) {
    case WAIT_PASSWORD:
    case WAIT_HASH:
        return wait_password(d);
    case WAIT_RECORD:
        return wait_record(d);
    case WAIT_CALL:
        return push(d, run_call);
    case WAIT_BODY:
        if (d->gone)
            return error_set(&d->req.waited.err, ERR_CANCELLED,
                             "the client is gone");
        d->pending = PENDING_FILE;
        return push(d, run_open);
    default:
        return error_set(&d->req.waited.err, ERR_INTERNAL, "no such wait");
    }
}

/* ---- steps ------------------------------------------------------------- */

struct driver *driver_new(const struct driver_config *config)
{
    struct driver *dr = xcalloc(1, sizeof(*dr));
    dr->c = *config;
    dr->confirm =
        confirm_new(config->store, config->api->cache, config->api->env);
    pthread_mutex_init(&dr->lock, NULL);
    cache_listen(config->api->cache, heard, dr);
    return dr;
}

void driver_free(struct driver *dr)
{
    if (!dr)
        return;
    confirm_free(dr->confirm);
    pthread_mutex_destroy(&dr->lock);
    free(dr);
}

void drive_init(struct drive *d, struct driver *driver,
                const struct http_request *http)
{
    req_init(&d->req, driver->c.api, http);
    d->driver = driver;
    d->gone = false;
    d->fd = -1;
    d->pending = PENDING_NONE;
    d->link = NULL;
}

void drive_free(struct drive *d)
{
    if (d->fd >= 0)
        close(d->fd);
    req_free(&d->req);
}

void drive_body_done(struct drive *d, const struct error *err, int64_t bytes,
                     const char *md5, const char *sha512)
{
    struct waited *w = &d->req.waited;
    if (d->fd >= 0)
        close(steal_fd(&d->fd));
    w->ok = err->code == ERR_NONE;
    w->err = *err;
    w->bytes = bytes;
    snprintf(w->md5, sizeof(w->md5), "%s", md5);
    snprintf(w->sha512, sizeof(w->sha512), "%s", sha512);
    d->pending = PENDING_NONE;
}

/* A blob's file must be open before the answer can start. */
static enum drive_next answer(struct drive *d)
{
    struct req *r = &d->req;
    if (!r->resp.blob || d->gone || d->fd >= 0 ||
        strcmp(r->http->method, "HEAD") == 0)
        return DRIVE_ANSWER;
    d->pending = PENDING_FILE;
    error_clear(&r->waited.err);
    push(d, run_open);
    return DRIVE_LATER;
}

/* What the thing that was waited for has brought. */
static bool settle(struct drive *d, enum drive_next *next)
{
    struct req *r = &d->req;
    enum pending was = d->pending;
    d->pending = PENDING_NONE;
    if (was == PENDING_COMMIT)
        api_committed(r, &d->result);
    if (was == PENDING_CONFIRM)
        api_confirmed(r, d->current, confirm_age(d->driver->confirm));
    if (was != PENDING_FILE)
        return false;
    if (r->resp.blob) {
        if (d->fd < 0) {
            r->err = r->waited.err;
            fault_write(r);
        }
        *next = DRIVE_ANSWER;
        return true;
    }
    *next = DRIVE_BODY;
    return d->fd >= 0;
}

enum drive_next drive_step(struct drive *d)
{
    enum drive_next next;
    if (settle(d, &next))
        return next;
    for (;;) {
        switch (api_step(&d->req)) {
        case API_DONE:
            return answer(d);
        case API_COMMIT:
            commit(d);
            return DRIVE_LATER;
        case API_CONFIRM:
            confirm(d);
            return DRIVE_LATER;
        case API_WAIT:
            if (begin_wait(d))
                return DRIVE_LATER;
        }
    }
}
