#include "storage/storage_impl.h"

#include "common/alloc.h"
#include "common/log.h"
#include "model/pool.h"

#include <string.h>

#define ATTEMPTS_MAX 8
#define CONFLICT_US  (10 * INT64_C(1000))
#define SILENT_US    (60 * SECOND_US)

const struct volume_ops *storage_ops(const struct run *r)
{
    return r->s->c.volumes->ops;
}

struct volumes *storage_place(const struct run *r, bool local)
{
    struct volumes *v = r->s->c.volumes;
    return local && v->own ? v->own : v;
}

/* ---- trying again, and giving up --------------------------------------- */

static struct attempt **attempt_find(struct storage *s, const char *key)
{
    struct attempt **a = &s->attempts;
    while (*a && strcmp((*a)->key, key) != 0)
        a = &(*a)->next;
    return a;
}

static void attempts_forget(struct storage *s, const char *key)
{
    pthread_mutex_lock(&s->lock);
    struct attempt **a = attempt_find(s, key), *gone = *a;
    if (gone)
        *a = gone->next;
    pthread_mutex_unlock(&s->lock);
    free(gone);
}

int storage_tries(struct storage *s, const char *key)
{
    pthread_mutex_lock(&s->lock);
    struct attempt **a = attempt_find(s, key);
    if (!*a) {
        size_t n = strlen(key) + 1;
        *a = xcalloc(1, sizeof(**a) + n);
        memcpy((*a)->key, key, n);
    }
    int tries = ++(*a)->n;
    pthread_mutex_unlock(&s->lock);
    return tries;
}

/* In a storage that the nodes share another may have been at the same thing
 * until a moment ago: what it has just taken away is not found, and monitors
 * that have just lost their leader answer EPERM. */
static bool may_pass(const struct run *r)
{
    switch (r->err->code) {
    case ERR_NOT_FOUND:
    case ERR_FORBIDDEN:
        return storage_is_shared(r);
    case ERR_BUSY:
    case ERR_CONFLICT: /* a guest that is just letting go of it */
    case ERR_INTERNAL:
    case ERR_UNAVAILABLE:
    case ERR_UNKNOWN:
    case ERR_TIMEOUT:
    case ERR_CANCELLED:
        return true;
    default:
        return false;
    }
}

/* After a failed operation: false = try again later. */
bool storage_give_up(struct run *r)
{
    int tries = storage_tries(r->s, r->key);
    bool over = !may_pass(r) || tries >= ATTEMPTS_MAX;
    if (over) {
        log_warn("storage", "%s: given up after %d tries: %s", r->key, tries,
                 r->err->text);
        attempts_forget(r->s, r->key);
    }
    return over;
}

/* What the owner of the thing may read of an error: no paths of the host. */
const char *storage_fault(const struct error *err)
{
    switch (err->code) {
    case ERR_INVALID:
    case ERR_MEDIA_TYPE:
    case ERR_NOT_FOUND:
        return err->text;
    case ERR_NO_SPACE:
        return "no space left in the node's storage";
    case ERR_CONFLICT:
        return "the volume is in use by a running server";
    default:
        return error_code_text(err->code);
    }
}

/* Writes what was done; empties the txn. */
enum reconcile_verdict storage_commit(struct run *r, struct txn *t)
{
    struct txn_result result;
    if (store_commit(r->s->c.store, t, &result)) {
        attempts_forget(r->s, r->key);
        return RECONCILE_DONE;
    }
    if (result.status == TXN_CONFLICT) {
        *r->delay_us = CONFLICT_US;
        return RECONCILE_AGAIN;
    }
    error_copy(r->err, &result.err);
    return RECONCILE_RETRY;
}

enum reconcile_verdict storage_change(struct run *r, const void *record)
{
    _autotxn_ struct txn t = TXN_INIT;
    txn_change_record(&t, record);
    return storage_commit(r, &t);
}

enum reconcile_verdict storage_forget(struct run *r, const void *record)
{
    _autotxn_ struct txn t = TXN_INIT;
    txn_delete_record(&t, record);
    return storage_commit(r, &t);
}

int64_t storage_now(const struct run *r)
{
    return env_now(r->s->c.env);
}

bool storage_is_shared(const struct run *r)
{
    return r->s->c.volumes->own != NULL;
}

bool storage_leads(const struct storage *s)
{
    return !s->c.leads || s->c.leads(s->c.leads_arg);
}

/* It has given no sign of life for long: what it began is taken up. */
static bool is_silent(const struct run *r, const char *name)
{
    const struct node *n = snap_get(r->snap, &kind_node, name);
    return !n || n->seen < storage_now(r) - SILENT_US;
}

/* In a pool of one node, what is nobody's yet is ours.  In a storage that all
 * nodes share, what is nobody's is the leader's, and so is what a node began
 * that has died. */
bool storage_is_ours(const struct run *r, const char *node)
{
    if (node && strcmp(node, r->s->c.node) == 0)
        return true;
    if (!storage_is_shared(r))
        return !node;
    return storage_leads(r->s) && (!node || is_silent(r, node));
}

/* What is on a node's own disk waits for that node, as long as there is one.
 */
bool storage_volume_is_ours(const struct run *r, const char *node, bool local)
{
    if (!local || !storage_is_shared(r))
        return storage_is_ours(r, node);
    return snap_get(r->snap, &kind_node, node) ? strcmp(node, r->s->c.node) == 0
                                               : storage_leads(r->s);
}

/* Who has what was made just now. */
const char *storage_home(const struct run *r)
{
    return storage_is_shared(r) ? NULL : r->s->c.node;
}
