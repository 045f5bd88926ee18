#include "state/store.h"

#include "common/alloc.h"
#include "common/buf.h"
#include "state/record.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

/* ---- building transactions --------------------------------------------- */

void txn_reset(struct txn *t)
{
    for (size_t i = 0; i < t->n_compares; i++)
        free(t->compares[i].key);
    for (size_t i = 0; i < t->n_writes; i++) {
        free(t->writes[i].key);
        free(t->writes[i].value);
    }
    free(t->compares);
    free(t->writes);
    *t = TXN_INIT;
}

/* The first broken limit is the one that is reported. */
static bool refuse(struct txn *t, enum error_code code, const char *text,
                   const char *key)
{
    if (t->err.code == ERR_NONE)
        error_set(&t->err, code, "%.100s: %s", key, text);
    return false;
}

/* Is there room for one more operation of so many bytes? */
static bool admit(struct txn *t, const char *key, size_t len)
{
    size_t key_len = strlen(key);
    if (!key_len || key_len >= STORE_KEY_MAX)
        return refuse(t, ERR_INVALID, "not a key", key);
    if (len > STORE_VALUE_MAX)
        return refuse(t, ERR_TOO_LARGE, "the value is too large", key);
    if (t->n_compares + t->n_writes >= STORE_OPS_MAX)
        return refuse(t, ERR_TOO_LARGE, "the transaction is too long", key);
    if (t->bytes + key_len + len > STORE_TXN_MAX)
        return refuse(t, ERR_TOO_LARGE, "the transaction is too large", key);
    t->bytes += key_len + len;
    return true;
}

/* Two compares of one key: they are one if the same, or if one is merely
 * weaker (a key with a revision exists); *have becomes the stronger. */
static bool merge(struct compare *have, enum compare_type type, int64_t rev)
{
    if (have->type == COMPARE_EXISTS && type == COMPARE_MOD) {
        have->type = type;
        have->rev = rev;
        return true;
    }
    return (have->type == COMPARE_MOD && type == COMPARE_EXISTS) ||
           (have->type == type && have->rev == rev);
}

static void add_compare(struct txn *t, const char *key, enum compare_type type,
                        int64_t rev)
{
    for (size_t i = 0; i < t->n_compares; i++) {
        if (strcmp(t->compares[i].key, key) != 0)
            continue;
        if (!merge(&t->compares[i], type, rev))
            refuse(t, ERR_CONFLICT, "two states of it are expected", key);
        return;
    }
    if (!admit(t, key, 0))
        return;
    t->compares =
        xrealloc(t->compares, (t->n_compares + 1) * sizeof(*t->compares));
    t->compares[t->n_compares++] =
        (struct compare){ .key = xstrdup(key), .type = type, .rev = rev };
}

void txn_expect(struct txn *t, const char *key, int64_t mod_rev)
{
    if (mod_rev)
        add_compare(t, key, COMPARE_MOD, mod_rev);
    else /* a draft: what was never written is not there */
        add_compare(t, key, COMPARE_ABSENT, 0);
}

void txn_absent(struct txn *t, const char *key)
{
    add_compare(t, key, COMPARE_ABSENT, 0);
}

void txn_exists(struct txn *t, const char *key)
{
    add_compare(t, key, COMPARE_EXISTS, 0);
}

/* The write of key, a new one if there is none yet; NULL over a limit. */
static struct write *write_slot(struct txn *t, const char *key, size_t len)
{
    for (size_t i = 0; i < t->n_writes; i++) {
        struct write *w = &t->writes[i];
        if (strcmp(w->key, key) != 0)
            continue;
        if (len > STORE_VALUE_MAX || t->bytes - w->len + len > STORE_TXN_MAX) {
            refuse(t, ERR_TOO_LARGE, "the value is too large", key);
            return NULL;
        }
        t->bytes += len - w->len;
        free(w->value);
        return w;
    }
    if (!admit(t, key, len))
        return NULL;
    t->writes = xrealloc(t->writes, (t->n_writes + 1) * sizeof(*t->writes));
    struct write *w = &t->writes[t->n_writes++];
    w->key = xstrdup(key);
    return w;
}

void txn_put_lease(struct txn *t, const char *key, const void *value,
                   size_t len, int64_t lease)
{
    struct write *w = write_slot(t, key, len);
    if (!w)
        return;
    w->value = xmalloc(len);
    if (len)
        memcpy(w->value, value, len);
    w->len = len;
    w->lease = lease;
}

void txn_put(struct txn *t, const char *key, const void *value, size_t len)
{
    txn_put_lease(t, key, value, len, 0);
}

void txn_delete(struct txn *t, const char *key)
{
    struct write *w = write_slot(t, key, 0);
    if (!w)
        return;
    w->value = NULL;
    w->len = 0;
    w->lease = 0;
}

bool txn_empty(const struct txn *t)
{
    return !t->n_compares && !t->n_writes;
}

/* ---- records in transactions ------------------------------------------- */

char *record_key(const void *record, char out[STORE_KEY_MAX])
{
    const struct record *r = record;
    snprintf(out, STORE_KEY_MAX, "%s/%s", r->kind->name, r->id);
    return out;
}

void txn_put_record(struct txn *t, const void *record)
{
    char key[STORE_KEY_MAX];
    struct buf value = BUF_INIT(STORE_VALUE_MAX);
    record_encode(record, &value);
    record_key(record, key);
    if (value.overflow)
        refuse(t, ERR_TOO_LARGE, "the record is too large", key);
    else
        txn_put(t, key, value.data, value.len);
    buf_free(&value);
}

void txn_expect_record(struct txn *t, const void *record)
{
    char key[STORE_KEY_MAX];
    txn_expect(t, record_key(record, key),
               ((const struct record *)record)->mod_rev);
}

void txn_touch_record(struct txn *t, const void *record)
{
    char key[STORE_KEY_MAX];
    record_key(record, key);
    for (size_t i = 0; i < t->n_writes; i++)
        if (strcmp(t->writes[i].key, key) == 0)
            return;
    txn_change_record(t, record);
}

void txn_change_record(struct txn *t, const void *record)
{
    txn_expect_record(t, record);
    txn_put_record(t, record);
}

void txn_delete_record(struct txn *t, const void *record)
{
    char key[STORE_KEY_MAX];
    txn_expect_record(t, record);
    txn_delete(t, record_key(record, key));
}

/* ---- calls ------------------------------------------------------------- */

bool store_range(struct store *s, const char *prefix, range_fn *fn, void *arg,
                 int64_t *revision, struct error *err)
{
    int64_t unasked;
    return s->ops->range(s, prefix, fn, arg, revision ? revision : &unasked,
                         err);
}

void store_submit(struct store *s, struct txn *t, txn_done_fn *done, void *arg)
{
    if (t->err.code == ERR_NONE) {
        s->ops->submit(s, t, done, arg);
        return;
    }
    struct txn_result result = txn_failed(TXN_FAILED, &t->err);
    txn_reset(t);
    done(arg, &result);
}

struct commit {
    pthread_mutex_t lock;
    pthread_cond_t cond;
    bool done;
    struct txn_result *result;
};

static void commit_done(void *arg, const struct txn_result *result)
{
    struct commit *c = arg;
    pthread_mutex_lock(&c->lock);
    *c->result = *result;
    c->done = true;
    pthread_cond_signal(&c->cond);
    pthread_mutex_unlock(&c->lock);
}

bool store_commit(struct store *s, struct txn *t, struct txn_result *result)
{
    struct txn_result unasked;
    struct commit c = {
        .lock = PTHREAD_MUTEX_INITIALIZER,
        .cond = PTHREAD_COND_INITIALIZER,
        .result = result ? result : &unasked,
    };
    store_submit(s, t, commit_done, &c);
    pthread_mutex_lock(&c.lock);
    while (!c.done)
        pthread_cond_wait(&c.cond, &c.lock);
    pthread_mutex_unlock(&c.lock);
    return c.result->status == TXN_COMMITTED;
}

struct watch *store_watch(struct store *s, const char *prefix, int64_t from,
                          watch_fn *fn, void *arg, struct error *err)
{
    return s->ops->watch(s, prefix, from, fn, arg, err);
}

void store_unwatch(struct store *s, struct watch *w)
{
    if (w)
        s->ops->unwatch(s, w);
}

bool store_lease_grant(struct store *s, int64_t ttl_s, int64_t *lease,
                       struct error *err)
{
    if (ttl_s < STORE_LEASE_MIN || ttl_s > INT32_MAX)
        return error_set(err, ERR_INVALID, "a lease of %" PRId64 " s", ttl_s);
    return s->ops->lease_grant(s, ttl_s, lease, err);
}

bool store_lease_keepalive(struct store *s, int64_t lease, struct error *err)
{
    return s->ops->lease_keepalive(s, lease, err);
}

bool store_lease_revoke(struct store *s, int64_t lease, struct error *err)
{
    return s->ops->lease_revoke(s, lease, err);
}

bool store_compact(struct store *s, int64_t revision, struct error *err)
{
    return s->ops->compact(s, revision, err);
}

void store_close(struct store *s)
{
    if (s)
        s->ops->close(s);
}

/* ---- for drivers ------------------------------------------------------- */

bool compare_holds(const struct compare *c, int64_t mod_rev)
{
    switch (c->type) {
    case COMPARE_MOD:
        return mod_rev == c->rev;
    case COMPARE_ABSENT:
        return !mod_rev;
    case COMPARE_EXISTS:
        return mod_rev;
    }
    return false;
}

struct txn_result txn_committed(int64_t revision)
{
    return (struct txn_result){ .status = TXN_COMMITTED, .revision = revision };
}

struct txn_result txn_conflict(const struct compare *c, int64_t revision)
{
    struct txn_result r = { .status = TXN_CONFLICT, .revision = revision };
    error_set(&r.err, ERR_CONFLICT, "%.100s %s", c->key,
              c->type == COMPARE_EXISTS   ? "does not exist"
              : c->type == COMPARE_ABSENT ? "exists already"
                                          : "has changed meanwhile");
    return r;
}

struct txn_result txn_failed(enum txn_status status, const struct error *err)
{
    return (struct txn_result){ .status = status, .err = *err };
}
