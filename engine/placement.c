#include "engine/placement.h"

#include "common/alloc.h"
#include "common/log.h"
#include "engine/admit.h"
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

/* Guests that are held; those of the view count from 1. */
#define HELD_IDS (UINT64_C(1) << 61)

struct placer {
    struct view *view;
    struct chooser *chooser;
    struct request last; /* the last one that found a place: demand and group */
    struct placing last_at;
    uint64_t held; /* HELD_IDS + 1 .. HELD_IDS + held */
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

static bool decide(struct placer *p, const struct wish *w, const char *what,
                   const char **node, struct decision *why, struct error *err)
{
    struct placing at;
    if (is_nowhere(w) || !admit(p->view, p->chooser, &w->request, &at))
        return none_fits(p, w, what, why, err);
    const struct node *n = snap_get(view_snapshot(p->view), &kind_node,
                                    view_fleet(p->view)->hosts[at.host].name);
    *node = n->rec.id;
    p->last = (struct request){
        .demand = w->request.demand,
        .group = w->request.group,
        .priority = w->request.priority,
    };
    p->last_at = at;
    if (why)
        put_down(p, w, *node, why);
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
}

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
    free(p);
}
