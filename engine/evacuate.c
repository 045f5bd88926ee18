#include "engine/evacuate.h"

#include "common/alloc.h"
#include "common/cleanup.h"
#include "engine/assign.h"
#include "engine/batch.h"
#include "engine/explain.h"
#include "engine/wish.h"

#include <stdlib.h>
#include <string.h>

/* Guests that are put on trial; the view's count from 1. */
#define EVACUEE_IDS (UINT64_C(1) << 60)

/* ---- rank ---------------------------------------------------------------- */

struct recovery_rank evacuate_rank(const struct server *server, bool runs)
{
    return (struct recovery_rank){
        .priority = wish_priority(map_get(&server->extra_specs, WISH_PRIORITY)),
        .runs = runs,
        .wish = wish_priority(map_get(&server->metadata, WISH_PRIORITY)),
        .created = server->created,
        .id = server->rec.id,
    };
}

static int by_rank(const void *a, const void *b)
{
    return recovery_compare(&((const struct evacuee *)a)->rank,
                            &((const struct evacuee *)b)->rank);
}

/* Age does not make anybody more important. */
static bool is_equal(const struct recovery_rank *a,
                     const struct recovery_rank *b)
{
    return a->priority == b->priority && a->runs == b->runs &&
           a->wish == b->wish;
}

/* ---- placing ------------------------------------------------------------- */

struct trial {
    struct view *v;
    struct chooser *c;
    struct evacuee *all;
    struct wish *wishes;
    struct request *requests;
    struct placing *places;
};

/* As it will be: no node of its own, none asked for. */
static bool make_wish(struct trial *t, size_t i)
{
    struct server *there = record_copy(t->all[i].server);
    struct wish *w = &t->wishes[i];
    there->requested_host = NULL;
    there->node = NULL;
    bool ok = wish_of_server(t->v, there, w, &t->all[i].why);
    w->moved = there;
    w->request.demand.need[FLEET_VOLUMES] = 0; /* they are there */
    t->requests[i] = w->request;
    return ok;
}

static void explain_none(struct trial *t, size_t i)
{
    struct explanation e;
    struct buf text = BUF_INIT(ERROR_TEXT_MAX);
    explain(t->v, &t->wishes[i], &e);
    explain_counts(view_fleet(t->v), &t->wishes[i], &e, &text);
    error_set(&t->all[i].why, ERR_NOT_FOUND, "%s", buf_str(&text));
    explain_free(&e);
    buf_free(&text);
}

/* What it has there; no CPU of its own is that of one before it. */
static bool assign(struct trial *t, size_t i, const struct node *n)
{
    struct evacuee *e = &t->all[i];
    struct cpus taken = { { 0 } };
    e->there = record_copy(e->server);
    if (t->places[i].cells)
        assign_taken(view_snapshot(t->v), n->rec.id, &taken);
    for (size_t k = 0; k < i; k++)
        if (t->all[k].node && strcmp(t->all[k].node, n->rec.id) == 0)
            assign_cpus(&t->all[k].there->cells, &taken);
    return assign_write(n, &t->places[i], &taken, e->there);
}

static void take(struct trial *t, size_t i)
{
    const struct fleet *f = view_fleet(t->v);
    uint32_t host = t->places[i].host;
    const struct node *n =
        host == FLEET_NOWHERE
            ? NULL
            : snap_get(view_snapshot(t->v), &kind_node, f->hosts[host].name);
    if (!n || !assign(t, i, n)) {
        explain_none(t, i);
        return;
    }
    t->all[i].node = n->rec.id;
    fleet_put(view_fleet(t->v), EVACUEE_IDS + i, &t->requests[i],
              &t->places[i]);
}

static void place_equals(struct trial *t, size_t from, size_t n)
{
    struct batch b = { .requests = t->requests + from,
                       .places = t->places + from,
                       .n = (uint32_t)n };
    batch_choose(t->c, view_fleet(t->v), &b);
    for (size_t i = from; i < from + n; i++)
        take(t, i);
}

static void place_all(struct trial *t, size_t n)
{
    for (size_t from = 0, to; from < n; from = to) {
        for (to = from; to < n; to++)
            if (!is_equal(&t->all[from].rank, &t->all[to].rank) ||
                !make_wish(t, to))
                break;
        place_equals(t, from, to - from);
        to += to < n && t->all[to].why.code; /* makes no sense: no place */
    }
}

size_t evacuate(struct view *v, struct chooser *c, struct evacuee *all,
                size_t n)
{
    _autofree_ struct wish *wishes = xcalloc(n + 1, sizeof(*wishes));
    _autofree_ struct request *requests = xcalloc(n + 1, sizeof(*requests));
    _autofree_ struct placing *places = xcalloc(n + 1, sizeof(*places));
    struct trial t = { v, c, all, wishes, requests, places };
    size_t placed = 0;
    if (!n)
        return 0;
    qsort(all, n, sizeof(*all), by_rank);
    for (size_t i = 0; i < n; i++) {
        all[i].node = NULL;
        error_clear(&all[i].why);
        view_hide(v, &all[i].server->rec);
    }
    place_all(&t, n);
    for (size_t i = 0; i < n; i++) {
        placed += all[i].node != NULL;
        fleet_remove(view_fleet(v), EVACUEE_IDS + i);
        wish_free(&wishes[i]);
    }
    for (size_t i = 0; i < n; i++)
        view_unhide(v, &all[i].server->rec);
    return placed;
}

void evacuees_drop(struct evacuee *all, size_t n)
{
    for (size_t i = 0; i < n; i++)
        record_unref(all[i].there);
}
