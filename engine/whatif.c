#include "engine/whatif.h"

#include "common/alloc.h"
#include "engine/admit.h"

#include <stdlib.h>
#include <string.h>

struct trial {
    struct view *v; /* the fork */
    struct fleet *f;
    struct chooser *chooser;
    const struct whatif_question *q;
    const struct wish *wishes; /* of q->place, made of the live view */
    struct whatif_answer *out;
    uint64_t next; /* number of the next would-be guest */
};

/* ---- sums ---------------------------------------------------------------- */

static unsigned sum(const struct fleet *f,
                    struct whatif_amount out[FLEET_RESOURCES])
{
    unsigned up = 0;
    for (uint32_t i = 0; i < f->n; i++) {
        if (f->hosts[i].facts.state != FLEET_UP)
            continue;
        up++;
        for (int r = 0; r < FLEET_RESOURCES; r++) {
            out[r].capacity += f->capacity[r][i];
            out[r].used += f->capacity[r][i] - f->free[r][i];
        }
    }
    return up;
}

/* ---- placing ------------------------------------------------------------- */

static void explain_failure(struct trial *t, const struct wish *w,
                            struct whatif_placed *out)
{
    struct explanation e;
    struct remedy found[REMEDIES];
    struct buf text = BUF_INIT(4096);
    explain(t->v, w, &e);
    explain_counts(t->f, w, &e, &text);
    out->why = xstrdup(buf_str(&text));
    buf_reset(&text);
    if (remedies(t->v, w, found) &&
        remedy_text(t->v, w, &found[0], true, &text))
        out->help = xstrdup(buf_str(&text));
    buf_free(&text);
    explain_free(&e);
}

/* `used` marks the hosts that this batch has gone to. */
static bool place_one(struct trial *t, const struct wish *w, uint64_t guest,
                      bool *used, struct whatif_placed *out)
{
    struct placing at;
    out->asked++;
    bool nowhere =
        w->request.allowed.n && w->request.allowed.at[0] == FLEET_NOWHERE;
    /* Whoever has lost its host may use what was kept for it. */
    bool found = !nowhere && (out == &t->out->lost
                                  ? choose(t->chooser, &w->request, &at)
                                  : admit(t->v, t->chooser, &w->request, &at));
    if (!found) {
        if (!out->why)
            explain_failure(t, w, out);
        return false;
    }
    fleet_put(t->f, guest, &w->request, &at);
    out->nodes += !used[at.host];
    used[at.host] = true;
    out->placed++;
    return true;
}

static bool *no_hosts(const struct trial *t)
{
    return xcalloc(t->f->n + 1, sizeof(bool));
}

static void place_batch(struct trial *t, const struct wish *w, unsigned count,
                        struct whatif_placed *out)
{
    bool *used = no_hosts(t);
    bool more = true;
    for (unsigned i = 0; i < count; i++) {
        if (more)
            more = place_one(t, w, t->next++, used, out);
        else
            out->asked++; /* equal ones find no place either */
    }
    free(used);
}

/* ---- nodes come ---------------------------------------------------------- */

static bool find(const struct trial *t, const char *node, uint32_t *host,
                 struct error *err)
{
    *host = fleet_find_host(t->f, node);
    return *host != FLEET_NOWHERE ||
           error_set(err, ERR_NOT_FOUND, "There is no node '%.80s'.", node);
}

static void add_like(struct trial *t, uint32_t like, const char *name)
{
    struct fleet *f = t->f;
    uint32_t host = fleet_add_host(f, name);
    const struct fleet_host *from = &f->hosts[like];
    struct fleet_facts facts = from->facts;
    facts.state = FLEET_UP;
    fleet_set_facts(f, host, &facts);
    for (int r = 0; r < FLEET_RESOURCES; r++)
        fleet_set_capacity(f, host, (enum fleet_resource)r,
                           f->capacity[r][like]);
    if (from->n_cells)
        fleet_set_cells(f, host, from->n_cells, from->cells[0].vcpu,
                        from->cells[0].memory);
    for (unsigned i = 0; i < from->n_cells; i++)
        fleet_set_cell(f, host, i, &f->hosts[like].cells[i]);
    for (int i = 0; i < from->n_devices; i++) {
        fleet_add_device(f, host, from->devices[i].kind, from->devices[i].model,
                         from->devices[i].cell);
        fleet_divide_device(f, host, from->devices[i].usual);
    }
}

static bool add_nodes(struct trial *t, struct error *err)
{
    for (unsigned i = 0; i < t->q->n_add; i++) {
        const struct whatif_add *a = &t->q->add[i];
        uint32_t like;
        if (!find(t, a->like, &like, err))
            return false;
        for (unsigned k = 0; k < a->count; k++) {
            _autofree_ char *name =
                xasprintf("%s+%u.%u", a->like, i + 1, k + 1);
            add_like(t, like, name);
        }
    }
    return true;
}

/* ---- nodes go ------------------------------------------------------------ */

struct leaver {
    uint64_t id;
    int32_t priority, memory;
    struct request request;
};

static int by_weight(const void *a, const void *b)
{
    const struct leaver *x = a, *y = b;
    if (x->priority != y->priority)
        return x->priority > y->priority ? -1 : 1;
    if (x->memory != y->memory)
        return x->memory > y->memory ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

struct leavers {
    struct leaver *v;
    uint32_t n;
};

/* Servers look for a place, volumes do not. */
static void collect(struct trial *t, uint32_t host, struct leavers *all)
{
    const struct fleet *f = t->f;
    all->v = xrealloc(all->v,
                      (all->n + f->hosts[host].guests + 1) * sizeof(*all->v));
    for (struct fleet_guest *g = NULL; (g = fleet_next(f, host, g));) {
        const struct record *r = view_record(t->v, g->id);
        if (!r || r->kind != &kind_server) {
            t->out->volumes++;
            continue;
        }
        struct leaver *l = &all->v[all->n++];
        *l = (struct leaver){ .id = g->id, .priority = g->priority };
        fleet_request_of(f, g, &l->request);
        l->memory = l->request.demand.need[FLEET_MEMORY];
        t->out->local += !g->movable;
    }
}

static void place_leavers(struct trial *t, const struct leavers *all)
{
    bool *used = no_hosts(t);
    unsigned named = 0;
    for (uint32_t i = 0; i < all->n; i++) {
        struct wish w = { .request = all->v[i].request };
        const struct server *s =
            (const struct server *)view_record(t->v, all->v[i].id);
        w.zone = s->requested_zone;
        if (!place_one(t, &w, all->v[i].id, used, &t->out->lost) &&
            named < WHATIF_NAMED)
            t->out->homeless[named++] = all->v[i].id;
    }
    free(used);
}

static bool lose_nodes(struct trial *t, struct error *err)
{
    struct leavers all = { 0 };
    bool ok = true;
    for (unsigned i = 0; ok && i < t->q->n_lose; i++) {
        uint32_t host;
        ok = find(t, t->q->lose[i], &host, err);
        if (!ok)
            break;
        collect(t, host, &all);
        fleet_drop_host(t->f, host);
    }
    if (ok && all.n) {
        qsort(all.v, all.n, sizeof(*all.v), by_weight);
        place_leavers(t, &all);
    }
    free(all.v);
    return ok;
}

/* ---- all together -------------------------------------------------------- */

static bool in_bounds(const struct whatif_question *q, struct error *err)
{
    bool ok = q->n_lose <= WHATIF_ITEMS && q->n_add <= WHATIF_ITEMS &&
              q->n_place <= WHATIF_ITEMS;
    for (unsigned i = 0; ok && i < q->n_add; i++)
        ok = q->add[i].count <= WHATIF_COUNT;
    for (unsigned i = 0; ok && i < q->n_place; i++)
        ok = q->place[i].count <= WHATIF_COUNT;
    return ok || error_set(err, ERR_INVALID,
                           "At most %d of each kind, and %d of one of them.",
                           WHATIF_ITEMS, WHATIF_COUNT);
}

static bool is_kept(struct trial *t)
{
    struct reserve *r = view_reserve(t->v);
    return r && !reserve_broken(r, NULL);
}

static bool run(struct trial *t, struct error *err)
{
    t->out->reserve = view_failures(t->v);
    t->out->kept_before = is_kept(t);
    t->out->nodes_before = sum(t->f, t->out->before);
    if (!add_nodes(t, err) || !lose_nodes(t, err))
        return false;
    for (unsigned i = 0; i < t->q->n_place; i++)
        place_batch(t, &t->wishes[i], t->q->place[i].count, &t->out->place[i]);
    t->out->nodes_after = sum(t->f, t->out->after);
    t->out->kept_after = is_kept(t);
    return true;
}

static bool attempt(struct view *v, const struct whatif_question *q,
                    const struct wish *wishes, struct whatif_answer *out,
                    struct error *err)
{
    struct trial t = { view_fork(v), .q = q, .wishes = wishes, .out = out,
                       .next = 1 };
    t.f = view_fleet(t.v);
    t.chooser = chooser_new(t.f);
    bool ok = run(&t, err);
    chooser_free(t.chooser);
    view_free(t.v);
    return ok;
}

bool whatif(struct view *v, const struct whatif_question *q,
            struct whatif_answer *out, struct error *err)
{
    struct wish wishes[WHATIF_ITEMS];
    unsigned n = 0;
    *out = (struct whatif_answer){ .nodes_before = 0 };
    bool ok = in_bounds(q, err);
    while (ok && n < q->n_place) {
        ok = wish_of_server(v, q->place[n].server, &wishes[n], err);
        n++;
    }
    ok = ok && attempt(v, q, wishes, out, err);
    while (n)
        wish_free(&wishes[--n]);
    if (!ok)
        whatif_free(out);
    return ok;
}

static void free_placed(struct whatif_placed *p)
{
    free(p->why);
    free(p->help);
    p->why = p->help = NULL;
}

void whatif_free(struct whatif_answer *a)
{
    free_placed(&a->lost);
    for (int i = 0; i < WHATIF_ITEMS; i++)
        free_placed(&a->place[i]);
}
