#include "state/election.h"

#include "common/alloc.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define LOOK_US 100000 /* at the env's clock, which a test may move */

struct election {
    struct store *store;
    const struct env *env;
    char key[STORE_KEY_MAX], candidate[ELECTION_NAME_MAX];
    int64_t ttl_s;
    void (*changed)(void *arg, int64_t term);
    void *arg;
    bool manual;
    pthread_t worker, teller;
    struct watch *watch; /* the worker's */

    pthread_mutex_t lock; /* all below */
    pthread_cond_t wake;
    struct election_core core;
    char leader[ELECTION_NAME_MAX];
    int64_t told;        /* the last term that was told */
    int64_t told_lapses; /* of the core, then */
    bool stop;
};

static int64_t mono(const struct election *e)
{
    return env_mono(e->env);
}

/* ---- what the store says ---------------------------------------------------
 */

/* With the lock held. */
static void observe(struct election *e, const struct kv *kv)
{
    bool there = kv && kv->value;
    election_observed(&e->core, there ? kv->create_rev : 0,
                      there ? kv->mod_rev : 0, there ? kv->lease : 0);
    snprintf(e->leader, sizeof(e->leader), "%.*s", there ? (int)kv->len : 0,
             there ? (const char *)kv->value : "");
}

static void on_events(void *arg, enum watch_what what, int64_t revision,
                      const struct kv *events, size_t n)
{
    struct election *e = arg;
    pthread_mutex_lock(&e->lock);
    if (what != WATCH_EVENTS)
        election_unlisted(&e->core, mono(e));
    for (size_t i = 0; i < n; i++)
        if (strcmp(events[i].key, e->key) == 0)
            observe(e, &events[i]);
    pthread_cond_broadcast(&e->wake);
    pthread_mutex_unlock(&e->lock);
}

struct look {
    struct election *e;
    bool found;
};

static bool look_at(void *arg, const struct kv *kv)
{
    struct look *look = arg;
    if (strcmp(kv->key, look->e->key) != 0)
        return true;
    pthread_mutex_lock(&look->e->lock);
    observe(look->e, kv);
    pthread_mutex_unlock(&look->e->lock);
    look->found = true;
    return false;
}

static void do_list(struct election *e)
{
    struct look look = { .e = e };
    int64_t revision;
    store_unwatch(e->store, e->watch);
    e->watch = NULL;
    bool ok = store_range(e->store, e->key, look_at, &look, &revision, NULL);
    pthread_mutex_lock(&e->lock);
    if (ok && !look.found)
        observe(e, NULL);
    else if (!ok)
        election_unlisted(&e->core, mono(e));
    pthread_mutex_unlock(&e->lock);
    if (!ok)
        return;
    e->watch = store_watch(e->store, e->key, revision + 1, on_events, e, NULL);
    if (e->watch)
        return;
    pthread_mutex_lock(&e->lock);
    election_unlisted(&e->core, mono(e));
    pthread_mutex_unlock(&e->lock);
}

/* ---- what is done ------------------------------------------------------ */

static void do_grant(struct election *e)
{
    int64_t lease = 0, sent = mono(e);
    bool ok = store_lease_grant(e->store, e->ttl_s, &lease, NULL);
    pthread_mutex_lock(&e->lock);
    election_granted(&e->core, sent, mono(e),
                     ok ? ELECTION_DONE : ELECTION_UNSURE, lease);
    pthread_mutex_unlock(&e->lock);
}

static void do_campaign(struct election *e, int64_t lease)
{
    _autotxn_ struct txn t = TXN_INIT;
    struct txn_result r;
    txn_absent(&t, e->key);
    txn_put_lease(&t, e->key, e->candidate, strlen(e->candidate), lease);
    store_commit(e->store, &t, &r);
    pthread_mutex_lock(&e->lock);
    if (r.status == TXN_COMMITTED)
        snprintf(e->leader, sizeof(e->leader), "%s", e->candidate);
    election_campaigned(&e->core, mono(e),
                        r.status == TXN_COMMITTED  ? ELECTION_DONE
                        : r.status == TXN_CONFLICT ? ELECTION_REFUSED
                                                   : ELECTION_UNSURE,
                        r.revision);
    pthread_mutex_unlock(&e->lock);
}

static void do_keepalive(struct election *e, int64_t lease)
{
    struct error err = { 0 };
    int64_t sent = mono(e);
    bool ok = store_lease_keepalive(e->store, lease, &err);
    pthread_mutex_lock(&e->lock);
    election_kept(&e->core, sent, mono(e),
                  ok                          ? ELECTION_DONE
                  : err.code == ERR_NOT_FOUND ? ELECTION_REFUSED
                                              : ELECTION_UNSURE);
    pthread_mutex_unlock(&e->lock);
}

static void do_revoke(struct election *e, int64_t lease)
{
    struct error err = { 0 };
    bool ok = store_lease_revoke(e->store, lease, &err);
    pthread_mutex_lock(&e->lock);
    if (ok || err.code == ERR_NOT_FOUND)
        election_revoked(&e->core);
    else
        election_unlisted(&e->core, mono(e));
    pthread_mutex_unlock(&e->lock);
}

static void carry_out(struct election *e, struct election_todo todo)
{
    switch (todo.what) {
    case ELECTION_LIST:
        do_list(e);
        break;
    case ELECTION_GRANT:
        do_grant(e);
        break;
    case ELECTION_CAMPAIGN:
        do_campaign(e, todo.lease);
        break;
    case ELECTION_KEEPALIVE:
        do_keepalive(e, todo.lease);
        break;
    case ELECTION_REVOKE:
        do_revoke(e, todo.lease);
        break;
    case ELECTION_WAIT:
        break;
    }
}

/* ---- telling ----------------------------------------------------------- */

/* With the lock held, which is given up for the call. */
static void tell(struct election *e)
{
    int64_t until;
    bool leads = election_leads(&e->core, mono(e), &until);
    int64_t term = leads ? e->core.term : 0;
    bool lapsed = e->told_lapses != e->core.lapses;
    if (term == e->told && !(term && lapsed))
        return;
    /* Another term of ours, or a lapse that nobody was told of: whoever did
     * nothing meanwhile begins again. */
    bool anew = term && e->told;
    e->told = anew ? 0 : term;
    e->told_lapses = e->core.lapses;
    pthread_mutex_unlock(&e->lock);
    if (e->changed)
        e->changed(e->arg, anew ? 0 : term);
    pthread_mutex_lock(&e->lock);
}

/* ---- threads ----------------------------------------------------------- */

/* With the lock held. */
static void wait_us(struct election *e, int64_t us)
{
    struct timespec t;
    us = us < 0 ? 0 : us > LOOK_US ? LOOK_US : us;
    clock_gettime(CLOCK_REALTIME, &t);
    int64_t ns = t.tv_nsec + us * 1000;
    t.tv_sec += ns / 1000000000;
    t.tv_nsec = ns % 1000000000;
    pthread_cond_timedwait(&e->wake, &e->lock, &t);
}

static void *worker(void *arg)
{
    struct election *e = arg;
    pthread_mutex_lock(&e->lock);
    while (!e->stop) {
        struct election_todo todo = election_next(&e->core, mono(e));
        if (todo.what == ELECTION_WAIT) {
            wait_us(e, todo.at == INT64_MAX ? LOOK_US : todo.at - mono(e));
            continue;
        }
        pthread_mutex_unlock(&e->lock);
        carry_out(e, todo);
        pthread_mutex_lock(&e->lock);
        pthread_cond_broadcast(&e->wake);
    }
    pthread_mutex_unlock(&e->lock);
    return NULL;
}

/* Apart from the worker, whose calls may hang. */
static void *teller(void *arg)
{
    struct election *e = arg;
    pthread_mutex_lock(&e->lock);
    while (!e->stop) {
        int64_t until;
        tell(e);
        bool leads = election_leads(&e->core, mono(e), &until);
        if (!e->stop && (leads ? e->core.term : 0) == e->told)
            wait_us(e, leads ? until - mono(e) : LOOK_US);
    }
    pthread_mutex_unlock(&e->lock);
    return NULL;
}

bool election_step(struct election *e)
{
    pthread_mutex_lock(&e->lock);
    struct election_todo todo = election_next(&e->core, mono(e));
    pthread_mutex_unlock(&e->lock);
    carry_out(e, todo);
    pthread_mutex_lock(&e->lock);
    int64_t told = e->told;
    tell(e);
    bool did = told != e->told || todo.what != ELECTION_WAIT;
    pthread_mutex_unlock(&e->lock);
    return did;
}

int64_t election_due(struct election *e)
{
    int64_t until;
    pthread_mutex_lock(&e->lock);
    int64_t now = mono(e);
    struct election_todo todo = election_next(&e->core, now);
    int64_t at = todo.what == ELECTION_WAIT ? todo.at : now;
    if (election_leads(&e->core, now, &until) && until < at)
        at = until;
    pthread_mutex_unlock(&e->lock);
    return at;
}

/* ---- calls ------------------------------------------------------------- */

int64_t election_term(struct election *e)
{
    int64_t until;
    pthread_mutex_lock(&e->lock);
    int64_t term = election_leads(&e->core, mono(e), &until) ? e->core.term : 0;
    pthread_mutex_unlock(&e->lock);
    return term;
}

int64_t election_leader(struct election *e, char leader[ELECTION_NAME_MAX])
{
    pthread_mutex_lock(&e->lock);
    int64_t term = e->core.term;
    snprintf(leader, ELECTION_NAME_MAX, "%s", term ? e->leader : "");
    pthread_mutex_unlock(&e->lock);
    return term;
}

static void set_wanted(struct election *e, bool wanted)
{
    pthread_mutex_lock(&e->lock);
    e->core.wanted = wanted && *e->candidate;
    pthread_cond_broadcast(&e->wake);
    pthread_mutex_unlock(&e->lock);
}

void election_resign(struct election *e)
{
    set_wanted(e, false);
}

void election_stand(struct election *e)
{
    set_wanted(e, true);
}

bool election_guard(struct election *e, struct txn *t)
{
    int64_t until;
    pthread_mutex_lock(&e->lock);
    bool leads = election_leads(&e->core, mono(e), &until);
    int64_t mod_rev = e->core.mod_rev;
    pthread_mutex_unlock(&e->lock);
    if (leads)
        txn_expect(t, e->key, mod_rev);
    return leads;
}

struct election *election_new(const struct election_config *c,
                              struct error *err)
{
    const char *candidate = c->candidate ? c->candidate : "";
    if (strlen(c->name) >= ELECTION_NAME_MAX ||
        strlen(candidate) >= ELECTION_NAME_MAX) {
        error_set(err, ERR_TOO_LARGE, "the name of an election is too long");
        return NULL;
    }
    struct election *e = xcalloc(1, sizeof(*e));
    e->store = c->store;
    e->env = c->env;
    e->ttl_s = c->ttl_s ? c->ttl_s : ELECTION_TTL_S;
    e->changed = c->changed;
    e->arg = c->arg;
    e->manual = c->manual;
    snprintf(e->key, sizeof(e->key), ELECTION_PREFIX "%s", c->name);
    snprintf(e->candidate, sizeof(e->candidate), "%s", candidate);
    pthread_mutex_init(&e->lock, NULL);
    pthread_cond_init(&e->wake, NULL);
    election_core_init(&e->core, e->ttl_s);
    e->core.wanted = *candidate;
    if (!e->manual && (pthread_create(&e->worker, NULL, worker, e) ||
                       pthread_create(&e->teller, NULL, teller, e)))
        abort();
    return e;
}

void election_free(struct election *e, bool resign)
{
    if (!e)
        return;
    pthread_mutex_lock(&e->lock);
    e->stop = true;
    pthread_cond_broadcast(&e->wake);
    pthread_mutex_unlock(&e->lock);
    if (!e->manual) {
        pthread_join(e->worker, NULL);
        pthread_join(e->teller, NULL);
    }
    store_unwatch(e->store, e->watch);
    if (resign && e->core.lease)
        store_lease_revoke(e->store, e->core.lease, NULL);
    pthread_cond_destroy(&e->wake);
    pthread_mutex_destroy(&e->lock);
    free(e);
}
