#include "engine/placement.h"

#include "common/alloc.h"
#include "common/log.h"
#include "engine/admit.h"
#include "engine/assign.h"
#include "engine/batch.h"
#include "engine/explain.h"
#include "engine/remedy.h"

#include <stdlib.h>
#include <string.h>

#define LOG_NAME  "placement"
#define GUARD     "scheduler/placement"
#define LOG_MAX   8192
#define LOG_HOSTS 32
/* Up to so many hosts a decision is put down with a look at all of them;
 * beyond, a good one names only the candidates. */
#define LOOK_AT_ALL 1024

/* CPUs that answers since the last placer_forget have for their own. */
struct held_cpus {
    uint32_t host;
    struct cpus cpus;
};

/* Guests that are held; those of the view count from 1. */
#define HELD_IDS (UINT64_C(1) << 61)

struct placer {
    struct view *view;
    struct chooser *chooser;
    struct request last; /* the last one that found a place: demand and group */
    struct placing last_at;
    uint64_t held; /* HELD_IDS + 1 .. HELD_IDS + held */
    struct held_cpus *cpus;
    size_t n_cpus;
};

/* ---- nodes --------------------------------------------------------------- */

bool placement_alive(const struct node *node, int64_t now)
{
    return now - node->seen <= PLACEMENT_ALIVE_US;
}

const char *placement_zone(const struct snapshot *s, const struct node *node)
{
    struct snap_iter it = snap_by(s, &kind_aggregate, "hosts", node->rec.id);
    for (const struct aggregate *a; (a = snap_next(&it));) {
        const char *zone = map_get(&a->metadata, "availability_zone");
        if (zone)
            return zone;
    }
    return node->availability_zone ? node->availability_zone : PLACEMENT_ZONE;
}

void placement_guard(struct txn *t, const struct snapshot *s)
{
    const struct claim *was = snap_get(s, &kind_claim, GUARD);
    _autorecord_ struct claim *c =
        was ? record_copy(was) : record_new(&kind_claim, GUARD);
    c->owner = rec_str(c, "pool/pool");
    txn_change_record(t, c);
}

/* ---- reasons ------------------------------------------------------------- */

/* The first change that a tenant can be told of, as a sentence more. */
static void add_help(struct placer *p, const struct wish *w,
                     const struct remedy *found, unsigned n, struct buf *text)
{
    struct buf help = BUF_INIT(ERROR_TEXT_MAX / 2);
    for (unsigned i = 0; i < n; i++)
        if (remedy_text(p->view, w, &found[i], false, &help)) {
            buf_adds(text, ". ");
            buf_addc(text, (char)(help.data[0] - 'a' + 'A'));
            buf_add(text, help.data + 1, help.len - 1);
            break;
        }
    buf_free(&help);
}

static void put_changes(struct placer *p, const struct wish *w,
                        const struct remedy *found, unsigned n,
                        struct decision *out)
{
    for (unsigned i = 0; i < n; i++) {
        struct decision_change *c = list_add(out, &out->changes, sizeof(*c));
        struct buf text = BUF_INIT(1024);
        remedy_text(p->view, w, &found[i], true, &text);
        c->what = rec_str(out, buf_str(&text));
        buf_reset(&text);
        if (remedy_text(p->view, w, &found[i], false, &text))
            c->tenant = rec_str(out, buf_str(&text));
        buf_free(&text);
    }
}

/* Operators read why each node was excluded. */
static void log_reasons(struct placer *p, const struct wish *w,
                        const struct explanation *e, const char *what)
{
    struct buf text = BUF_INIT(LOG_MAX);
    for (uint32_t i = 0; i < e->n && i < LOG_HOSTS; i++) {
        buf_addf(&text, "%s%s: ", i ? "; " : "",
                 view_fleet(p->view)->hosts[e->hosts[i].host].name);
        explain_host(p->view, w, &e->hosts[i], &text);
    }
    log_limited(LOG_WARN, LOG_NAME, "%s: %s", what, buf_str(&text));
    buf_free(&text);
}

static bool none_fits(struct placer *p, const struct wish *w, const char *what,
                      struct decision *why, struct error *err)
{
    struct explanation e;
    struct remedy found[REMEDIES];
    struct buf text = BUF_INIT(ERROR_TEXT_MAX);
    explain(p->view, w, &e);
    unsigned n = remedies(p->view, w, found);
    explain_counts(view_fleet(p->view), w, &e, &text);
    add_help(p, w, found, n, &text);
    error_set(err, e.counts[FIT_DEAD] ? ERR_UNAVAILABLE : ERR_NOT_FOUND, "%s",
              buf_str(&text));
    if (!e.counts[FIT_DEAD])
        log_reasons(p, w, &e, what);
    if (why) {
        explain_record(p->view, w, &e, why);
        put_changes(p, w, found, n, why);
    }
    buf_free(&text);
    explain_free(&e);
    return false;
}

/* ---- choosing ------------------------------------------------------------ */

/* In a large pool: the best few, by asking again without those before. */
static void put_best(struct placer *p, const struct wish *w,
                     struct decision *out)
{
    struct wish again = *w;
    uint32_t before[DECISION_CANDIDATES];
    struct explained best[DECISION_CANDIDATES];
    struct explanation e = { .hosts = best };
    struct placing at;
    if (w->request.excluded.n)
        return;
    while (e.n < DECISION_CANDIDATES) {
        struct fit_rules rules;
        again.request.excluded = (struct host_list){ before, e.n };
        if (!admit(p->view, p->chooser, &again.request, &at))
            break;
        struct explained x = { .host = at.host };
        fit_rules(view_fleet(p->view), &again.request, &rules);
        fit_host(view_fleet(p->view), &rules, at.host, &at, &x.score);
        before[e.n] = at.host;
        best[e.n++] = x;
    }
    e.fitting = e.n;
    explain_record(p->view, w, &e, out);
    out->nodes = view_fleet(p->view)->n;
    out->fitting = 0; /* not counted */
}

static void put_down(struct placer *p, const struct wish *w, const char *node,
                     struct decision *out)
{
    struct explanation e;
    if (view_fleet(p->view)->n > LOOK_AT_ALL) {
        put_best(p, w, out);
    } else {
        explain_few(p->view, w, DECISION_CANDIDATES, &e);
        explain_record(p->view, w, &e, out);
        explain_free(&e);
    }
    out->node = rec_str(out, node);
}

/* A list that names a host which is not there leaves nowhere to go. */
static bool is_nowhere(const struct wish *w)
{
    return w->request.allowed.n && w->request.allowed.at[0] == FLEET_NOWHERE;
}

static const struct node *node_at(const struct placer *p, uint32_t host)
{
    return snap_get(view_snapshot(p->view), &kind_node,
                    view_fleet(p->view)->hosts[host].name);
}

static void take(struct placer *p, const struct wish *w,
                 const struct placing *at, const char **node,
                 struct decision *why)
{
    *node = node_at(p, at->host)->rec.id;
    p->last = (struct request){
        .demand = w->request.demand,
        .group = w->request.group,
        .priority = w->request.priority,
    };
    p->last_at = *at;
    if (why)
        put_down(p, w, *node, why);
}

static bool decide(struct placer *p, const struct wish *w, const char *what,
                   const char **node, struct decision *why, struct error *err)
{
    struct placing at;
    if (is_nowhere(w) || !admit(p->view, p->chooser, &w->request, &at))
        return none_fits(p, w, what, why, err);
    take(p, w, &at, node, why);
    return true;
}

static void begin_reasons(struct decision *why, const struct snapshot *s,
                          const struct server *server, int64_t now)
{
    if (!why)
        return;
    why->project_id = rec_str(why, server->project_id);
    why->decided = now;
    why->revision = snapshot_revision(s);
}

bool placer_server(struct placer *p, struct snapshot *s,
                   const struct server *server, int64_t now, const char **node,
                   struct decision *why, struct error *err)
{
    struct wish w;
    view_follow(p->view, s, now);
    begin_reasons(why, s, server, now);
    bool ok = wish_of_server(p->view, server, &w, err) &&
              decide(p, &w, server->rec.id, node, why, err);
    wish_free(&w);
    return ok;
}

bool placer_move(struct placer *p, struct snapshot *s,
                 const struct migration *m, const struct server *server,
                 int64_t now, const char **node, struct decision *why,
                 struct error *err)
{
    struct wish w;
    view_follow(p->view, s, now);
    begin_reasons(why, s, server, now);
    bool ok = wish_of_move(p->view, m, server, &w, err);
    if (ok && m->type != MIGRATION_RESIZE)
        view_hide(p->view, &server->rec);
    ok = ok && decide(p, &w, server->rec.id, node, why, err);
    view_unhide(p->view, &server->rec);
    wish_free(&w);
    return ok;
}

void placer_hold(struct placer *p)
{
    fleet_put(view_fleet(p->view), HELD_IDS + ++p->held, &p->last, &p->last_at);
}

void placer_forget(struct placer *p)
{
    for (; p->held; p->held--)
        fleet_remove(view_fleet(p->view), HELD_IDS + p->held);
    p->n_cpus = 0;
}

/* ---- several together ---------------------------------------------------- */

/* Where the batch would have one, by all rules and the reserve, now that
 * those before are there; else wherever there is room. */
static bool settle(struct placer *p, const struct wish *w,
                   const struct placing *planned, struct placed *out)
{
    struct fit_rules rules;
    struct placing at;
    int32_t score;
    fit_rules(view_fleet(p->view), &w->request, &rules);
    if (planned->host != FLEET_NOWHERE &&
        fit_host(view_fleet(p->view), &rules, planned->host, &at, &score) ==
            FIT_OK &&
        view_bears(p->view, &w->request, &at, NULL)) {
        take(p, w, &at, &out->node, out->why);
    } else if (!decide(p, w, out->server->rec.id, &out->node, out->why,
                       &out->err)) {
        return false;
    }
    out->at = p->last_at;
    placer_hold(p);
    return true;
}

static uint32_t settle_all(struct placer *p, const struct wish *wishes,
                           const struct batch *b, struct placed *of)
{
    uint32_t placed = 0;
    for (uint32_t i = 0; i < b->n; i++)
        placed += settle(p, &wishes[i], &b->places[i], &of[i]);
    return placed;
}

/* Too few: none of them stays, for the reason of one that found no place. */
static void give_up(struct placer *p, struct placed *of, uint32_t n,
                    uint32_t placed)
{
    const struct error *first = NULL;
    struct error why;
    placer_forget(p);
    for (uint32_t i = 0; i < n; i++)
        if (!first && of[i].err.code)
            first = &of[i].err;
    error_copy(&why, first);
    for (uint32_t i = 0; i < n; i++) {
        of[i].node = NULL;
        error_copy(&of[i].err, &why);
        if (placed)
            error_prefix(&of[i].err, "%u of %u servers would have a place",
                         placed, n);
    }
}

/* The wishes of all; false: one of them makes no sense, and so none of this
 * request does. */
static bool read_wishes(struct placer *p, struct placed *of, uint32_t n,
                        struct wish *wishes, struct request *requests)
{
    bool ok = true;
    for (uint32_t i = 0; i < n; i++) {
        ok &= wish_of_server(p->view, of[i].server, &wishes[i], &of[i].err);
        requests[i] = wishes[i].request;
    }
    return ok;
}

uint32_t placer_servers(struct placer *p, struct snapshot *s, struct placed *of,
                        uint32_t n, uint32_t least, int64_t now)
{
    _autofree_ struct wish *wishes = xcalloc(n, sizeof(*wishes));
    _autofree_ struct request *requests = xcalloc(n, sizeof(*requests));
    _autofree_ struct placing *places = xcalloc(n, sizeof(*places));
    struct batch b = { .requests = requests, .places = places, .n = n };
    uint32_t placed = 0;
    view_follow(p->view, s, now);
    for (uint32_t i = 0; i < n; i++)
        begin_reasons(of[i].why, s, of[i].server, now);
    if (read_wishes(p, of, n, wishes, requests)) {
        batch_choose(p->chooser, view_fleet(p->view), &b);
        placed = settle_all(p, wishes, &b, of);
    }
    if (placed < least) {
        give_up(p, of, n, placed);
        placed = 0;
    }
    for (uint32_t i = 0; i < n; i++)
        wish_free(&wishes[i]);
    return placed;
}

/* ---- writing answers down ------------------------------------------------ */

const struct placing *placer_last(const struct placer *p)
{
    return &p->last_at;
}

static void hold_cpus(struct placer *p, uint32_t host, const struct server *s)
{
    struct held_cpus held = { .host = host };
    assign_cpus(&s->cells, &held.cpus);
    if (!cpus_count(&held.cpus))
        return;
    p->cpus = xrealloc(p->cpus, (p->n_cpus + 1) * sizeof(*p->cpus));
    p->cpus[p->n_cpus++] = held;
}

bool placer_write(struct placer *p, const struct placing *at,
                  struct server *draft)
{
    const struct node *n = node_at(p, at->host);
    struct cpus taken = { { 0 } };
    draft->node = rec_str(draft, n->rec.id);
    draft->zone = rec_str(draft, placement_zone(view_snapshot(p->view), n));
    if (at->cells) /* else it has none for itself */
        assign_taken(view_snapshot(p->view), n->rec.id, &taken);
    for (size_t i = 0; i < p->n_cpus; i++)
        if (p->cpus[i].host == at->host)
            cpus_join(&taken, &p->cpus[i].cpus);
    bool ok = assign_write(n, at, &taken, draft);
    hold_cpus(p, at->host, draft);
    return ok;
}

/* ---- volumes ------------------------------------------------------------- */

bool placer_volume(struct placer *p, struct snapshot *s,
                   const struct volume *volume, int64_t now, const char **node,
                   struct error *err)
{
    struct wish w;
    view_follow(p->view, s, now);
    bool ok = wish_of_volume(p->view, volume, &w, err) &&
              decide(p, &w, volume->rec.id, node, NULL, err);
    wish_free(&w);
    return ok;
}

struct placer *placer_new(void)
{
    struct placer *p = xcalloc(1, sizeof(*p));
    p->view = view_new();
    p->chooser = chooser_new(view_fleet(p->view));
    return p;
}

void placer_free(struct placer *p)
{
    if (!p)
        return;
    chooser_free(p->chooser);
    view_free(p->view);
    free(p->cpus);
    free(p);
}
