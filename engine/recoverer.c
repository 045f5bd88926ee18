#include "engine/recoverer.h"

#include "common/alloc.h"
#include "common/log.h"
#include "engine/evacuate.h"
#include "engine/placement.h"
#include "engine/recoverer_impl.h"
#include "engine/rescue.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STALE_US INT64_C(5000)
/* How full a transaction may get before no further server joins it. */
#define BATCH_OPS   (STORE_OPS_MAX / 2)
#define BATCH_BYTES (STORE_TXN_MAX / 2)
#define CHORES      64

/* One pass. */
struct pass {
    struct recoverer *r;
    struct snapshot *snap;
    struct recovery_pool pool;
    int64_t mono, now;
    int64_t at; /* look again, monotonic */
};

/* ---- what is remembered -------------------------------------------------- */

/* With the lock held. */
struct watched *recoverer_watched(struct recoverer *r, const char *node)
{
    size_t from = 0, to = r->n;
    while (from < to) {
        size_t mid = (from + to) / 2;
        if (strcmp(r->all[mid].name, node) < 0)
            from = mid + 1;
        else
            to = mid;
    }
    struct watched *w = &r->all[from];
    if (from < r->n && strcmp(w->name, node) == 0)
        return w;
    r->all = xrealloc(r->all, (r->n + 1) * sizeof(*r->all));
    w = &r->all[from];
    memmove(w + 1, w, (r->n++ - from) * sizeof(*w));
    *w = (struct watched){ .closed = FENCE_UNKNOWN };
    snprintf(w->name, sizeof(w->name), "%s", node);
    return w;
}

struct watched recoverer_recall(struct recoverer *r, const char *node)
{
    pthread_mutex_lock(&r->lock);
    struct watched w = *recoverer_watched(r, node);
    pthread_mutex_unlock(&r->lock);
    return w;
}

void recoverer_note_fence(struct recoverer *r, const char *node,
                          enum recovery_fence closed)
{
    pthread_mutex_lock(&r->lock);
    struct watched *w = recoverer_watched(r, node);
    w->closed = closed;
    w->asked = env_mono(r->c.env);
    pthread_mutex_unlock(&r->lock);
}

static void note_rest(struct recoverer *r, const char *node, int64_t until)
{
    pthread_mutex_lock(&r->lock);
    recoverer_watched(r, node)->rest = until;
    pthread_mutex_unlock(&r->lock);
}

/* Times in records are other nodes' clocks: what counts is when it came. */
static int64_t note_storage(struct recoverer *r, const struct node *n)
{
    pthread_mutex_lock(&r->lock);
    struct watched *w = recoverer_watched(r, n->rec.id);
    if (!n->storage_lost)
        w->storage_lost = 0;
    else if (!w->storage_lost)
        w->storage_lost = env_mono(r->c.env);
    int64_t since = w->storage_lost;
    pthread_mutex_unlock(&r->lock);
    return since;
}

/* A new leader asks the fence anew. */
static void forget_fences(struct recoverer *r)
{
    pthread_mutex_lock(&r->lock);
    for (size_t i = 0; i < r->n; i++)
        r->all[i].closed = FENCE_UNKNOWN;
    pthread_mutex_unlock(&r->lock);
}

/* ---- a node as it is seen ------------------------------------------------ */

static bool has_fence(const struct recoverer *r)
{
    return r->c.fence != NULL;
}

static void count_guests(struct recoverer *r, const struct snapshot *snap,
                         const char *node, struct recovery_node *out)
{
    struct snap_iter it = snap_by(snap, &kind_server, "node", node);
    for (const struct server *s; (s = snap_next(&it));) {
        struct recovery_server look = rescue_look(snap, s, has_fence(r));
        enum recovery_fate fate = recovery_fate(&look);
        out->guests += look.runs || rescue_is_busy(s);
        out->waiting += fate == FATE_MOVES || fate == FATE_STRANDED;
    }
}

struct recovery_node recoverer_see(struct recoverer *r,
                                   const struct snapshot *snap,
                                   const struct node *n, const struct member *m)
{
    struct watched w = recoverer_recall(r, n->rec.id);
    struct lease_view lease = leases_of(r->leases, m->node_id);
    struct recovery_node out = {
        .health = n->health,
        .fence = n->fence,
        .cleaned = n->cleaned,
        .maintenance = n->maintenance || n->draining,
        .stopped = n->stopped != 0,
        .present = lease.present,
        .known = lease.known,
        .gone = lease.gone,
        .storage_lost = note_storage(r, n),
        .closed = w.closed,
    };
    if (n->health != HEALTH_UP || out.maintenance)
        count_guests(r, snap, n->rec.id, &out);
    return out;
}

/* ---- commits ------------------------------------------------------------- */

static bool guard(struct recoverer *r, struct txn *t)
{
    return r->c.guard(r->c.arg, t);
}

static bool commit(struct pass *p, struct txn *t)
{
    struct txn_result result;
    bool ok = store_commit(p->r->c.store, t, &result);
    if (ok)
        p->r->revision = result.revision;
    else if (result.status != TXN_CONFLICT)
        log_limited(LOG_WARN, LOG_NAME, "%s", result.err.text);
    p->at = p->mono; /* what follows is seen in the next snapshot */
    return ok;
}

/* ---- the node's record --------------------------------------------------- */

static void set_health(struct pass *p, const struct node *n,
                       enum node_health health, struct txn *t)
{
    _autorecord_ struct node *draft = record_copy(n);
    draft->health = (int)health;
    draft->health_since = p->now;
    if (health == HEALTH_UP)
        draft->seen = p->now; /* by its lease: it may have servers at once */
    else if (health == HEALTH_FENCED && n->health == HEALTH_QUARANTINED)
        draft->cleaned = 0; /* what it kept may go elsewhere from now on */
    txn_change_record(t, draft);
}

static void condemn(struct pass *p, const struct node *n,
                    const struct member *m, const char *why, bool silent)
{
    char key[STORE_KEY_MAX];
    _autotxn_ struct txn t = TXN_INIT;
    _autorecord_ struct node *draft = record_copy(n);
    draft->health = HEALTH_FENCING;
    draft->health_since = p->now;
    draft->health_why = rec_str(draft, why);
    draft->fence++;
    if (!guard(p->r, &t))
        return;
    if (silent)
        txn_absent(&t, lease_key(key, m->node_id));
    txn_change_record(&t, draft);
    recoverer_note_fence(p->r, n->rec.id, FENCE_UNKNOWN);
    if (commit(p, &t))
        log_warn(LOG_NAME,
                 "node %s has failed: %s; its storage is taken "
                 "from it (fence %lld)",
                 n->rec.id, why, (long long)draft->fence);
}

static void become(struct pass *p, const struct node *n,
                   enum node_health health, const char *text)
{
    _autotxn_ struct txn t = TXN_INIT;
    if (!guard(p->r, &t))
        return;
    set_health(p, n, health, &t);
    if (commit(p, &t))
        log_info(LOG_NAME, "node %s: %s", n->rec.id, text);
}

/* ---- its servers, elsewhere ---------------------------------------------- */

static bool is_full(const struct txn *t)
{
    return t->n_compares + t->n_writes >= BATCH_OPS || t->bytes >= BATCH_BYTES;
}

/* Those that may start elsewhere; to be freed. */
static struct evacuee *list_evacuees(struct pass *p, const struct node *n,
                                     size_t *count)
{
    struct evacuee *all = NULL;
    struct snap_iter it = snap_by(p->snap, &kind_server, "node", n->rec.id);
    *count = 0;
    for (const struct server *s; (s = snap_next(&it));) {
        struct recovery_server look = rescue_look(p->snap, s, has_fence(p->r));
        if (recovery_fate(&look) != FATE_MOVES || look.deleted)
            continue;
        all = xrealloc(all, (*count + 1) * sizeof(*all));
        all[(*count)++] = (struct evacuee){
            .server = s,
            .rank = evacuate_rank(s, look.runs),
        };
    }
    return all;
}

/* What makes placements come one after the other, and needs the node to be
 * what it was. */
static bool begin_move(struct pass *p, const struct node *n, struct txn *t)
{
    if (!guard(p->r, t))
        return false;
    txn_expect_record(t, n);
    placement_guard(t, p->snap);
    return true;
}

static bool move_one(struct pass *p, struct txn *t, const struct evacuee *e)
{
    char id[UUID_SIZE];
    struct error err = { 0 };
    env_uuid(p->r->c.env, id);
    if (!rescue_move(t, p->snap, e->server, e->node, e->there, id, p->now,
                     &err)) {
        log_limited(LOG_WARN, LOG_NAME, "server %s: %s", e->server->rec.id,
                    err.text);
        return false;
    }
    txn_expect_record(t, snap_get(p->snap, &kind_node, e->node));
    log_info(LOG_NAME, "server %s: from node %s to node %s", e->server->rec.id,
             e->server->node, e->node);
    return true;
}

/* Once: it says so in its record from then on. */
static bool strand_one(struct pass *p, struct txn *t, const struct server *s,
                       const char *text)
{
    struct recovery_server look = rescue_look(p->snap, s, has_fence(p->r));
    if (!look.runs || look.stranded || look.deleted)
        return false;
    rescue_strand(t, p->snap, s, text, p->now);
    log_warn(LOG_NAME, "server %s: %s", s->rec.id, text);
    return true;
}

static size_t move_all(struct pass *p, struct txn *t, struct evacuee *all,
                       size_t n)
{
    size_t written = 0;
    for (size_t i = 0; i < n && !is_full(t); i++) {
        char text[ERROR_TEXT_MAX];
        snprintf(text, sizeof(text),
                 "The node of this server has failed, and no other can take "
                 "it now: %.200s.",
                 all[i].why.text);
        written += all[i].node ? move_one(p, t, &all[i])
                               : strand_one(p, t, all[i].server, text);
    }
    return written;
}

static size_t strand_all(struct pass *p, struct txn *t, const struct node *n)
{
    size_t written = 0;
    struct snap_iter it = snap_by(p->snap, &kind_server, "node", n->rec.id);
    for (const struct server *s; !is_full(t) && (s = snap_next(&it));) {
        struct recovery_server look = rescue_look(p->snap, s, has_fence(p->r));
        if (recovery_fate(&look) == FATE_STRANDED)
            written += strand_one(
                p, t, s,
                "The node of this server has failed, and it has a disk "
                "there: it starts again when the node is back.");
    }
    return written;
}

/* Whoever is to go needs no room: this node sees to it. */
static size_t take_deleted(struct pass *p, struct txn *t, const struct node *n)
{
    size_t written = 0;
    struct snap_iter it = snap_by(p->snap, &kind_server, "node", n->rec.id);
    for (const struct server *s; !is_full(t) && (s = snap_next(&it));) {
        struct recovery_server look = rescue_look(p->snap, s, has_fence(p->r));
        if (!look.deleted || recovery_fate(&look) != FATE_MOVES ||
            (look.saved && n->health != HEALTH_FENCED))
            continue; /* one that is back keeps a memory of its own server */
        struct evacuee e = { .server = s,
                             .node = p->r->c.node,
                             .there = record_copy(s) };
        e.there->cells = e.there->devices = (struct list){ 0 };
        written += move_one(p, t, &e);
        record_unref(e.there);
    }
    return written;
}

/* It may have looked at its guests already, lost its power then, and keep
 * what was somebody's until now (compute/quarantine.h): so it looks anew. */
static void clean_anew(struct txn *t, const struct node *n)
{
    _autorecord_ struct node *draft = record_copy(n);
    draft->cleaned = 0;
    txn_change_record(t, draft);
}

static void do_evacuate(struct pass *p, const struct node *n)
{
    size_t count;
    _autotxn_ struct txn t = TXN_INIT;
    if (p->mono < recoverer_recall(p->r, n->rec.id).rest)
        return;
    view_follow(p->r->view, p->snap, p->now);
    _autofree_ struct evacuee *all = list_evacuees(p, n, &count);
    if (!begin_move(p, n, &t))
        return;
    evacuate(p->r->view, p->r->chooser, all, count);
    size_t written = move_all(p, &t, all, count) + take_deleted(p, &t, n);
    if (written && n->cleaned)
        clean_anew(&t, n);
    if (written + strand_all(p, &t, n))
        commit(p, &t);
    else
        note_rest(p->r, n->rec.id, p->mono + RECOVERER_ROOM_US);
    evacuees_drop(all, count);
}

/* What a node that is fenced was to do and others must. */
static void do_chores(struct pass *p, const struct node *n)
{
    _autotxn_ struct txn t = TXN_INIT;
    if (!begin_move(p, n, &t))
        return;
    if (rescue_chores(&t, p->snap, n->rec.id, p->r->c.node, CHORES, p->now))
        commit(p, &t);
}

/* ---- its servers, at home ------------------------------------------------ */

static void do_admit(struct pass *p, const struct node *n)
{
    _autotxn_ struct txn t = TXN_INIT;
    size_t due = 0;
    if (!guard(p->r, &t))
        return;
    struct snap_iter it = snap_by(p->snap, &kind_server, "node", n->rec.id);
    for (const struct server *s; !is_full(&t) && (s = snap_next(&it));)
        if (rescue_is_due(s)) {
            rescue_restart(&t, s, p->now);
            due++;
        }
    if (due)
        txn_expect_record(&t, n);
    else
        set_health(p, n, HEALTH_UP, &t);
    if (commit(p, &t))
        log_info(LOG_NAME,
                 due ? "node %s: its servers start there again"
                     : "node %s belongs to the pool again",
                 n->rec.id);
}

/* ---- a pass -------------------------------------------------------------- */

static void ask_fence(struct pass *p, const struct node *n)
{
    char key[STORE_KEY_MAX];
    snprintf(key, sizeof(key), FENCE "%s", n->rec.id);
    reconciler_add(p->r->queue, key);
}

static void do_step(struct pass *p, const struct node *n,
                    const struct member *m, const struct recovery_node *seen)
{
    struct recovery_step s = recovery_next(seen, &p->pool, p->mono);
    if (s.at < p->at)
        p->at = s.at;
    switch (s.what) {
    case RECOVERY_CHECK:
        reconciler_add(p->r->queue, KEY_LIST);
        break;
    case RECOVERY_CONDEMN:
        condemn(p, n, m, s.why, !seen->present);
        break;
    case RECOVERY_FENCE:
    case RECOVERY_LIFT:
        ask_fence(p, n);
        break;
    case RECOVERY_CONFIRM:
        become(p, n, HEALTH_FENCED, "none of its guests can write any more");
        reconciler_add(p->r->queue, KEY_LIST); /* more often from now on */
        break;
    case RECOVERY_EVACUATE:
        do_evacuate(p, n);
        do_chores(p, n);
        break;
    case RECOVERY_QUARANTINE:
        become(p, n, HEALTH_QUARANTINED, "it is back, in quarantine");
        break;
    case RECOVERY_LOSE:
        become(p, n, HEALTH_FENCED, "it is gone again");
        break;
    case RECOVERY_ADMIT:
        do_admit(p, n);
        break;
    case RECOVERY_REST:
        if (n->health == HEALTH_FENCED)
            do_chores(p, n);
        break;
    case RECOVERY_N_STEPS:
        break;
    }
}

/* Our own lease is there: then what the others have not is worth a thought.
 * A pool of one has no leases at all. */
static bool sees_itself(struct pass *p)
{
    const struct member *m = snap_get(p->snap, &kind_member, p->r->c.node);
    return m && leases_of(p->r->leases, m->node_id).present;
}

struct one {
    const struct node *node;
    const struct member *member;
    struct recovery_node seen;
};

/* A node without a record has no servers yet. */
static struct one *see_all(struct pass *p, size_t *n)
{
    size_t most = snap_count(p->snap, &kind_member);
    struct one *all = xcalloc(most + 1, sizeof(*all));
    struct snap_iter it = snap_all(p->snap, &kind_member);
    *n = 0;
    for (const struct member *m; *n < most && (m = snap_next(&it));) {
        const struct node *node = snap_get(p->snap, &kind_node, m->rec.id);
        if (!node)
            continue;
        struct one *one = &all[(*n)++];
        *one = (struct one){ node, m, recoverer_see(p->r, p->snap, node, m) };
        recovery_count(&p->pool, &one->seen);
    }
    return all;
}

static void judge_storage(struct pass *p)
{
    if (!recovery_storage_works(&p->pool))
        p->r->works = 0;
    else if (!p->r->works)
        p->r->works = p->mono;
    p->pool.works = p->r->works;
}

static void look_at_all(struct pass *p)
{
    size_t n;
    _autofree_ struct one *all = see_all(p, &n);
    judge_storage(p);
    for (size_t i = 0; i < n; i++)
        do_step(p, all[i].node, all[i].member, &all[i].seen);
}

static enum reconcile_verdict pass(struct recoverer *r, int64_t *delay_us,
                                   struct error *err)
{
    _autosnap_ struct snapshot *snap = cache_snapshot(r->c.cache);
    struct pass p = { .r = r,
                      .snap = snap,
                      .mono = env_mono(r->c.env),
                      .now = env_now(r->c.env) };
    *delay_us = RECOVERER_PASS_US;
    if (!leases_look(r->leases, err)) {
        log_limited(LOG_WARN, LOG_NAME, "%s", err->text);
        return RECONCILE_AGAIN;
    }
    if (!r->c.leads(r->c.arg) || !sees_itself(&p))
        return RECONCILE_AGAIN;
    if (snapshot_revision(snap) < r->revision) {
        *delay_us = STALE_US;
        return RECONCILE_AGAIN;
    }
    p.at = p.mono + RECOVERER_PASS_US;
    look_at_all(&p);
    *delay_us = p.at - p.mono < STALE_US ? STALE_US : p.at - p.mono;
    return RECONCILE_AGAIN;
}

/* ---- public -------------------------------------------------------------- */

static enum reconcile_verdict reconcile(void *self, const char *key,
                                        int64_t *delay_us, struct error *err)
{
    if (strcmp(key, KEY_PASS) == 0)
        return pass(self, delay_us, err);
    if (strcmp(key, KEY_LIST) == 0)
        return recoverer_list(self, delay_us, err);
    return recoverer_work_fence(self, key + strlen(FENCE), delay_us, err);
}

static void on_leases(void *arg)
{
    struct recoverer *r = arg;
    reconciler_add(r->queue, KEY_PASS);
}

/* Beats change nothing that matters here. */
static void on_record(void *arg, const struct record *old,
                      const struct record *now)
{
    struct recoverer *r = arg;
    const struct node *a = (const struct node *)old;
    const struct node *b = (const struct node *)now;
    if (now && now->kind == &kind_node &&
        (!a || a->health != b->health || a->cleaned != b->cleaned ||
         a->storage_lost != b->storage_lost))
        reconciler_add(r->queue, KEY_PASS);
}

struct recoverer *recoverer_new(const struct recoverer_config *config)
{
    struct recoverer *r = xcalloc(1, sizeof(*r));
    r->c = *config;
    pthread_mutex_init(&r->lock, NULL);
    r->view = view_new();
    r->chooser = chooser_new(view_fleet(r->view));
    r->queue =
        reconciler_new(LOG_NAME, reconcile, r, config->env, config->workers);
    r->leases = leases_new(config->store, config->env, on_leases, r);
    cache_listen(config->cache, on_record, r);
    return r;
}

void recoverer_start(struct recoverer *r)
{
    forget_fences(r);
    reconciler_add(r->queue, KEY_LIST);
    reconciler_add(r->queue, KEY_PASS);
}

struct reconciler *recoverer_queue(struct recoverer *r)
{
    return r->queue;
}

void recoverer_free(struct recoverer *r)
{
    if (!r)
        return;
    reconciler_stop(r->queue);
    leases_free(r->leases);
    chooser_free(r->chooser);
    view_free(r->view);
    pthread_mutex_destroy(&r->lock);
    free(r->all);
    free(r);
}
