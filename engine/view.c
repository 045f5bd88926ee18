#include "engine/view.h"

#include "common/alloc.h"
#include "engine/assign.h"
#include "engine/host_view.h"
#include "engine/mix.h"
#include "engine/placement.h"
#include "engine/weights.h"
#include "engine/wish.h"
#include "model/migration.h"
#include "model/use.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROBES 8 /* guests whose numbers collide: never, in practice */

/* A guest's record, by id: the snapshot has the rest. */
struct known_guest {
    const struct kind *kind; /* NULL: the slot is free */
    char *id;
};

struct view {
    struct fleet *fleet;
    struct mix *mix;           /* of the servers that came; a fork borrows it */
    const struct view *origin; /* of a fork: knows the guests */
    struct reserve *reserve;   /* NULL: not asked for yet */
    unsigned failures;         /* that it is for; 0: none */
    struct snapshot *snap;     /* NULL: none yet */
    int64_t now;
    int64_t next_death; /* no living host is dead before */
    struct known_guest *guests;
    uint32_t n_guests, size_guests, hole;
    struct map64 slots;        /* by the guest's number */
    const struct snapshot *to; /* what it shows, or is coming to */
    uint32_t n_words;          /* names that were known at the last look */
    unsigned n_policies;       /* rows of the fleet's that are in use */
    struct device_words words; /* a fork has none of its own */
};

/* ---- guests and their numbers -------------------------------------------- */

/* The number of a record's guest: its own, or the first that is free if it
 * has none; 0: there is none (or no room). */
static uint64_t number_of(const struct view *v, const struct kind *kind,
                          const char *id, bool make)
{
    uint64_t first = wish_number(kind->name, id), room = 0;
    for (uint64_t i = 0; i < PROBES; i++) {
        uint64_t n = first + i ? first + i : 1;
        uint32_t slot = map64_get(&v->slots, n);
        if (slot == MAP64_NONE) {
            room = room ? room : n;
            continue;
        }
        const struct known_guest *g = &v->guests[slot];
        if (g->kind == kind && strcmp(g->id, id) == 0)
            return n;
    }
    return make ? room : 0;
}

static uint32_t new_slot(struct view *v)
{
    if (v->hole != MAP64_NONE) {
        uint32_t slot = v->hole;
        v->hole = (uint32_t)(uintptr_t)v->guests[slot].id;
        return slot;
    }
    if (v->n_guests == v->size_guests) {
        v->size_guests = v->size_guests ? v->size_guests * 2 : 64;
        v->guests = xrealloc(v->guests, v->size_guests * sizeof(*v->guests));
    }
    return v->n_guests++;
}

static void remove_guest(struct view *v, const struct record *r)
{
    uint64_t n = number_of(v, r->kind, r->id, false);
    uint32_t slot = n ? map64_get(&v->slots, n) : MAP64_NONE;
    if (slot == MAP64_NONE)
        return;
    fleet_remove(v->fleet, n);
    map64_drop(&v->slots, n);
    free(v->guests[slot].id);
    v->guests[slot].kind = NULL;
    v->guests[slot].id = (char *)(uintptr_t)v->hole;
    v->hole = slot;
}

/* `at`: its cells and devices there, when its node has a number. */
static void put_guest(struct view *v, const struct record *r, struct placing at,
                      const struct request *request, bool movable)
{
    uint64_t n = number_of(v, r->kind, r->id, true);
    if (at.host == FLEET_NOWHERE || !n)
        return;
    uint32_t slot = new_slot(v);
    v->guests[slot] = (struct known_guest){ r->kind, xstrdup(r->id) };
    map64_set(&v->slots, n, slot);
    fleet_put(v->fleet, n, request, &at);
    fleet_guest(v->fleet, n)->movable = movable;
}

uint64_t view_guest(const struct view *v, const struct record *record)
{
    v = v->origin ? v->origin : v;
    return number_of(v, record->kind, record->id, false);
}

const struct record *view_record(const struct view *v, uint64_t guest)
{
    if (v->origin)
        return view_record(v->origin, guest);
    uint32_t slot = map64_get(&v->slots, guest);
    if (slot == MAP64_NONE)
        return NULL;
    return snap_get(v->snap, v->guests[slot].kind, v->guests[slot].id);
}

/* ---- servers and volumes ------------------------------------------------- */

static bool volumes_may_leave(const struct view *v, const struct server *s)
{
    for (size_t i = 0; i < s->volumes.n; i++) {
        const struct volume *volume =
            snap_get(v->to, &kind_volume,
                     LIST_AT(s->volumes, struct server_volume, i)->volume_id);
        if (volume && volume->node)
            return false;
    }
    return true;
}

/* A running one whose volumes are where every node reaches them, and that is
 * not on its way already; who was given devices of its node stays as long as
 * it runs. */
static bool is_movable(const struct view *v, const struct server *s)
{
    return !s->devices.n && migration_may_begin(s) && volumes_may_leave(v, s);
}

/* One that is off may go with its disks. */
static bool is_resting(const struct view *v, const struct server *s)
{
    return migration_may_begin_cold(s) && volumes_may_leave(v, s);
}

/* One that is not measured any more uses nothing that is known. */
static void set_use(struct view *v, const struct server *s)
{
    const struct node_use *u = snap_get(v->to, &kind_node_use, s->node);
    const struct guest_use *g = u ? node_use_guest(u, s->rec.id) : NULL;
    struct fleet_use use;
    uint64_t n = number_of(v, s->rec.kind, s->rec.id, false);
    guest_use_of(g, &use);
    if (n)
        fleet_set_use(v->fleet, n, &use);
}

/* Disks that every node reaches stay where they are when it moves. */
static void set_local(struct view *v, const struct server *s)
{
    char id[DISK_ID_SIZE];
    const struct disk *d = snap_get(v->to, &kind_disk, server_disk_id(s, id));
    struct fleet_guest *g =
        fleet_guest(v->fleet, number_of(v, s->rec.kind, s->rec.id, false));
    if (g && d && disk_is_shared(d))
        g->local = 0;
}

static void put_server(struct view *v, const struct server *s)
{
    struct request request;
    if (!s->node)
        return;
    const struct node *n = snap_get(v->to, &kind_node, s->node);
    struct placing at = { .host = fleet_find_host(v->fleet, s->node) };
    wish_of_placed_server(v, s, &request);
    if (n)
        assign_read(n, &s->cells, &s->devices, &at);
    put_guest(v, &s->rec, at, &request, is_movable(v, s));
    struct fleet_guest *g = fleet_guest(v->fleet, view_guest(v, &s->rec));
    if (g)
        g->rests = is_resting(v, s);
    set_local(v, s);
    set_use(v, s);
}

/* What a server's move holds beside it. */
static void put_move(struct view *v, const struct migration *m)
{
    struct request request;
    const struct server *s = snap_get(v->to, &kind_server, m->server_id);
    const char *node = s ? wish_of_move_beside(v, m, s, &request) : NULL;
    const struct node *n = node ? snap_get(v->to, &kind_node, node) : NULL;
    struct placing at = { .host = FLEET_NOWHERE };
    if (n) {
        at.host = fleet_find_host(v->fleet, node);
        assign_read(n, &m->cells, &m->devices, &at);
        put_guest(v, &m->rec, at, &request, false);
    }
}

static void put_volume(struct view *v, const struct volume *volume)
{
    struct request request;
    if (!volume->node)
        return;
    struct placing at = { .host = fleet_find_host(v->fleet, volume->node) };
    wish_of_placed_volume(volume, &request);
    put_guest(v, &volume->rec, at, &request, false);
}

static void on_guest(void *arg, const struct record *old,
                     const struct record *now)
{
    struct view *v = arg;
    if (old)
        remove_guest(v, old);
    if (!now)
        return;
    remove_guest(v, now); /* its node has come back with it */
    if (now->kind == &kind_server)
        put_server(v, (const struct server *)now);
    else if (now->kind == &kind_volume)
        put_volume(v, (const struct volume *)now);
    else
        put_move(v, (const struct migration *)now);
}

/* What it holds goes by the server's record as well. */
static void on_move(void *arg, const struct record *old,
                    const struct record *now)
{
    const struct migration *m = (const void *)(now ? now : old);
    on_guest(arg, old, now);
    const struct view *v = arg;
    const struct server *s = snap_get(v->to, &kind_server, m->server_id);
    if (s)
        on_guest(arg, NULL, &s->rec);
}

static void move_again(struct view *v, const struct record *server)
{
    struct snap_iter it =
        snap_by(v->to, &kind_migration, "server_id", server->id);
    for (const struct record *r; (r = snap_next(&it));)
        on_guest(v, NULL, r);
}

/* One that comes, placed or not, tells what is asked for lately. */
static void on_server(void *arg, const struct record *old,
                      const struct record *now)
{
    struct view *v = arg;
    struct request request;
    on_guest(v, old, now);
    move_again(v, now ? now : old);
    if (old)
        return;
    wish_of_placed_server(v, (const struct server *)now, &request);
    if (mix_note(v->mix, &request.demand))
        fleet_set_mix(v->fleet, v->mix);
}

static void put_again(struct view *v, struct snap_iter it)
{
    for (const struct record *r; (r = snap_next(&it));)
        on_guest(v, NULL, r);
}

static void set_host_use(struct view *v, const struct node *n)
{
    struct fleet_host_use use;
    host_use_of(n, snap_get(v->to, &kind_node_use, n->rec.id), &use);
    fleet_set_host_use(v->fleet, fleet_find_host(v->fleet, n->rec.id), &use);
}

static void on_use(void *arg, const struct record *old,
                   const struct record *now)
{
    struct view *v = arg;
    const struct record *any = now ? now : old;
    struct snap_iter it = snap_by(v->to, &kind_server, "node", any->id);
    for (const struct server *s; (s = snap_next(&it));)
        set_use(v, s);
    const struct node *n = snap_get(v->to, &kind_node, any->id);
    if (n)
        set_host_use(v, n);
}

/* ... and whose server may move now, or no longer. */
static void on_volume(void *arg, const struct record *old,
                      const struct record *now)
{
    struct view *v = arg;
    const struct record *any = now ? now : old;
    on_guest(v, old, now);
    put_again(v, snap_by(v->to, &kind_server, "volumes.volume_id", any->id));
}

/* ---- hosts ----------------------------------------------------------------
 */

static void put_all_of(struct view *v, const char *node)
{
    put_again(v, snap_by(v->to, &kind_server, "node", node));
    put_again(v, snap_by(v->to, &kind_volume, "node", node));
    put_again(v, snap_by(v->to, &kind_migration, "dest", node));
    put_again(v, snap_by(v->to, &kind_migration, "source", node));
}

/* Their own accounts, cells and devices, are made anew with the capacity. */
static void forget_all_on(struct view *v, uint32_t host)
{
    for (struct fleet_guest *g; (g = fleet_next(v->fleet, host, NULL));) {
        uint32_t slot = map64_get(&v->slots, g->id);
        const struct known_guest known = v->guests[slot];
        const struct record like = { .kind = known.kind, .id = known.id };
        remove_guest(v, &like);
    }
}

static bool same_facts(const struct fleet_facts *a, const struct fleet_facts *b)
{
    return a->state == b->state && a->zone == b->zone && a->rack == b->rack &&
           a->cpu == b->cpu && a->largest_vcpu == b->largest_vcpu &&
           set_within(&a->traits, &b->traits) &&
           set_within(&b->traits, &a->traits) &&
           set_within(&a->aggregates, &b->aggregates) &&
           set_within(&b->aggregates, &a->aggregates);
}

/* Are the cells and devices those that numbers meant until now? */
static bool same_names(const struct node *a, const struct node *b)
{
    if (a->cells.n != b->cells.n || a->devices.n != b->devices.n)
        return false;
    for (size_t i = 0; i < a->cells.n; i++)
        if (LIST_AT(a->cells, struct node_cell, i)->id !=
            LIST_AT(b->cells, struct node_cell, i)->id)
            return false;
    for (size_t i = 0; i < a->devices.n; i++)
        if (strcmp(LIST_AT(a->devices, struct node_device, i)->address,
                   LIST_AT(b->devices, struct node_device, i)->address) != 0)
            return false;
    return true;
}

static void refresh(struct view *v, const struct node *n, bool renamed)
{
    struct fleet *f = v->fleet;
    struct fleet_facts facts;
    struct host_capacity capacity;
    struct host_source src = { f, v->to, v->now, &v->words };
    uint32_t host = fleet_find_host(f, n->rec.id);
    if (host == FLEET_NOWHERE)
        host = fleet_add_host(f, n->rec.id);
    host_facts(&src, n, &facts);
    host_capacity(&src, n, &capacity);
    if (!same_facts(&facts, &f->hosts[host].facts))
        fleet_set_facts(f, host, &facts);
    set_host_use(v, n);
    int64_t death = n->seen + PLACEMENT_ALIVE_US;
    if (facts.state != FLEET_DEAD && death < v->next_death)
        v->next_death = death;
    if (!renamed && !host_differs(f, host, &capacity))
        return;
    forget_all_on(v, host);
    host_set(f, host, &capacity);
    if (v->snap) /* at first all guests come anyway */
        put_all_of(v, n->rec.id);
}

static void on_node(void *arg, const struct record *old,
                    const struct record *now)
{
    struct view *v = arg;
    if (now) {
        const struct node *n = (const struct node *)now;
        refresh(v, n, old && !same_names((const struct node *)old, n));
        return;
    }
    uint32_t host = fleet_find_host(v->fleet, old->id);
    forget_all_on(v, host);
    fleet_drop_host(v->fleet, host);
}

/* Who lived at the last look may be dead by now, and (time may have gone
 * back) the other way round. */
static void look_for_deaths(struct view *v, int64_t was)
{
    if (v->now <= v->next_death && v->now >= was)
        return;
    v->next_death = INT64_MAX;
    struct snap_iter it = snap_all(v->to, &kind_node);
    for (const struct node *n; (n = snap_next(&it));)
        refresh(v, n, false);
}

/* ---- aggregates, groups, the pool ---------------------------------------- */

static void refresh_named(struct view *v, const struct strs *nodes)
{
    for (size_t i = 0; i < nodes->n; i++) {
        const struct node *n = snap_get(v->to, &kind_node, nodes->v[i]);
        if (n)
            refresh(v, n, false);
    }
}

static void on_aggregate(void *arg, const struct record *old,
                         const struct record *now)
{
    if (old)
        refresh_named(arg, &((const struct aggregate *)old)->hosts);
    if (now)
        refresh_named(arg, &((const struct aggregate *)now)->hosts);
}

static bool isolates(const struct aggregate *a)
{
    for (size_t i = 0; i < a->metadata.n; i++)
        if (strncmp(a->metadata.v[i].key, "filter_tenant_id", 16) == 0)
            return true;
    return false;
}

/* Guests tell of the aggregates that let them in: all anew, it is rare. */
static void set_isolating(struct view *v)
{
    struct fleet_set apart = { { 0 } };
    struct snap_iter it = snap_all(v->to, &kind_aggregate);
    for (const struct aggregate *a; (a = snap_next(&it));) {
        int n = isolates(a)
                    ? fleet_name(v->fleet, FLEET_NAME_AGGREGATE, a->rec.id)
                    : -1;
        if (n > 0)
            set_add(&apart, (unsigned)n);
    }
    bool any = !set_empty(&apart) || !set_empty(&v->fleet->isolating);
    if (any) {
        fleet_set_isolating(v->fleet, &apart);
        put_again(v, snap_all(v->to, &kind_server));
    }
}

static void on_group(void *arg, const struct record *old,
                     const struct record *now)
{
    struct view *v = arg;
    const struct record *any = now ? now : old;
    put_again(v, snap_by(v->to, &kind_server, "server_group_id", any->id));
}

static bool same_policy(const struct score_policy *a,
                        const struct score_policy *b)
{
    return a->kind == b->kind &&
           memcmp(a->weight, b->weight, sizeof(a->weight)) == 0;
}

static void set_policy(struct view *v)
{
    const struct pool_policy *policy =
        snap_get(v->to, &kind_pool_policy, "pool");
    const struct list none = { 0 };
    unsigned pool = policy ? (unsigned)policy->placement : PLACE_SPREAD;
    struct score_policy p;
    weights_of(v->fleet, policy ? &policy->weights : &none, p.weight);
    for (unsigned row = 0; row <= VIEW_POLICY_POOL; row++) {
        p.kind = v->fleet->policies[row < VIEW_POLICY_POOL ? row : pool].kind;
        if (!same_policy(&p, &v->fleet->policies[row]))
            fleet_set_policy(v->fleet, row, &p);
    }
    unsigned failures = policy ? (unsigned)policy->reserve : 0;
    if (failures > RESERVE_FAILURES)
        failures = RESERVE_FAILURES;
    if (failures != v->failures) {
        reserve_free(v->reserve);
        v->reserve = NULL;
    }
    v->failures = failures;
}

/* ---- following ----------------------------------------------------------- */

static bool changed(const struct view *v, const struct kind *kind)
{
    return !v->snap || snap_changed(v->snap, kind) != snap_changed(v->to, kind);
}

/* What had a stand-in for a name that nobody had may have it now. */
static void look_for_words(struct view *v)
{
    uint32_t n = 0;
    for (int k = 0; k < FLEET_NAME_KINDS; k++)
        n += v->fleet->names[k].n;
    n += v->words.n;
    if (n != v->n_words)
        set_policy(v); /* a weight may be of a resource that came to be */
    if (v->snap && n != v->n_words)
        put_again(v, snap_all(v->to, &kind_server));
    v->n_words = n;
}

static void follow_kind(struct view *v, const struct kind *kind,
                        cache_listener_fn *fn)
{
    if (changed(v, kind))
        snap_diff(v->snap, v->to, kind, fn, v);
}

void view_follow(struct view *v, struct snapshot *snap, int64_t now)
{
    int64_t was = v->now;
    v->to = snap;
    v->now = now;
    if (changed(v, &kind_pool_policy))
        set_policy(v);
    follow_kind(v, &kind_node, on_node);
    follow_kind(v, &kind_aggregate, on_aggregate);
    if (changed(v, &kind_aggregate))
        set_isolating(v);
    follow_kind(v, &kind_server_group, on_group);
    follow_kind(v, &kind_server, on_server);
    follow_kind(v, &kind_volume, on_volume);
    follow_kind(v, &kind_migration, on_move);
    follow_kind(v, &kind_node_use, on_use);
    look_for_deaths(v, was);
    look_for_words(v);
    if (v->snap != snap) {
        snapshot_unref(v->snap);
        v->snap = snapshot_ref(snap);
    }
}

static unsigned row_of_kind(const struct view *v, enum score_kind kind)
{
    unsigned row = 0;
    while (row < VIEW_POLICY_POOL - 1 && v->fleet->policies[row].kind != kind)
        row++;
    return row;
}

/* ---- public -------------------------------------------------------------- */

struct view *view_new(void)
{
    static const struct score_policy policies[] = {
        [PLACE_SPREAD] = { .kind = SCORE_SPREAD },
        [PLACE_PACK] = { .kind = SCORE_PACK },
        [PLACE_FRAGMENTATION] = { .kind = SCORE_FRAGMENTATION },
        [VIEW_POLICY_POOL] = { .kind = SCORE_SPREAD },
    };
    struct view *v = xcalloc(1, sizeof(*v));
    v->fleet = fleet_new();
    v->mix = mix_new();
    v->hole = MAP64_NONE;
    v->next_death = INT64_MAX;
    fleet_name(v->fleet, FLEET_NAME_TRAIT, "");
    fleet_name(v->fleet, FLEET_NAME_AGGREGATE, "");
    fleet_name(v->fleet, FLEET_NAME_DEVICE, "");
    fleet_name(v->fleet, FLEET_NAME_RESOURCE, "");
    fleet_name(v->fleet, FLEET_NAME_CPU, "");
    for (unsigned i = 0; i < ARRAY_SIZE(policies); i++)
        fleet_set_policy(v->fleet, i, &policies[i]);
    v->n_policies = VIEW_POLICY_FIRST;
    return v;
}

struct view *view_fork(const struct view *v)
{
    struct view *fork = xcalloc(1, sizeof(*fork));
    fork->fleet = fleet_copy(v->fleet);
    fork->origin = v;
    fork->snap = snapshot_ref(v->snap);
    fork->to = v->to;
    fork->now = v->now;
    fork->failures = v->failures;
    fork->n_policies = v->n_policies;
    return fork;
}

void view_free(struct view *v)
{
    if (!v)
        return;
    for (uint32_t i = 0; i < v->n_guests; i++)
        if (v->guests[i].kind)
            free(v->guests[i].id);
    device_words_free(&v->words);
    free(v->guests);
    map64_free(&v->slots);
    reserve_free(v->reserve);
    fleet_free(v->fleet);
    if (!v->origin)
        mix_free(v->mix);
    snapshot_unref(v->snap);
    free(v);
}

struct fleet *view_fleet(struct view *v)
{
    return v->fleet;
}

const struct snapshot *view_snapshot(const struct view *v)
{
    return v->to;
}

int64_t view_now(const struct view *v)
{
    return v->now;
}

struct reserve *view_reserve(struct view *v)
{
    if (!v->failures)
        return NULL;
    if (v->reserve)
        reserve_follow(v->reserve, v->fleet);
    else
        v->reserve = reserve_new(v->fleet, v->failures);
    return v->reserve;
}

unsigned view_failures(const struct view *v)
{
    return v->failures;
}

bool view_bears(struct view *v, const struct request *request,
                const struct placing *at, struct reserve_why *why)
{
    struct reserve *r = view_reserve(v);
    return !r || reserve_allows(r, request, at, why);
}

void view_hide(struct view *v, const struct record *server)
{
    remove_guest(v, server);
}

void view_unhide(struct view *v, const struct record *server)
{
    on_guest(v, NULL, server);
}

unsigned view_policy(struct view *v, const struct score_policy *policy)
{
    static const uint16_t none[FLEET_RESOURCES];
    unsigned row = VIEW_POLICY_FIRST;
    if (memcmp(policy->weight, none, sizeof(none)) == 0)
        return row_of_kind(v, policy->kind);
    while (row < v->n_policies &&
           !same_policy(policy, &v->fleet->policies[row]))
        row++;
    if (row == FLEET_POLICIES)
        return row_of_kind(v, policy->kind);
    if (row == v->n_policies)
        fleet_set_policy(v->fleet, v->n_policies++, policy);
    return row;
}

int view_known(struct view *v, enum fleet_name kind, const char *name)
{
    const struct fleet_names *names = &v->fleet->names[kind];
    for (uint32_t i = 0; i < names->n; i++)
        if (strcmp(names->at[i], name) == 0)
            return (int)i;
    return -1;
}

static const struct device_word *word_of(const struct view *v, const char *name,
                                         bool type)
{
    return device_words_find(v->origin ? &v->origin->words : &v->words, name,
                             type);
}

bool view_device(const struct view *v, const char *name,
                 struct request_device *out)
{
    const struct device_word *w = word_of(v, name, false);
    if (!w)
        return false;
    out->kind = w->kind;
    out->models = w->models;
    out->share = w->share;
    out->thousandths = w->thousandths ? w->thousandths : 1000;
    return true;
}

void view_part(const struct view *v, const char *trait,
               struct request_device *out)
{
    const struct device_word *w = word_of(v, trait, true);
    if (!w || !out->share)
        return;
    bool other = out->share != FLEET_SHARE_ANY && out->share != w->share;
    out->models &= w->models;
    if (!out->models || w->kind != out->kind || other)
        out->kind = VIEW_NOBODY;
    out->share = w->share;
    out->thousandths = w->thousandths ? w->thousandths : 1000;
}

int view_condition(struct view *v, const char *name)
{
    int n = view_known(v, FLEET_NAME_TRAIT, name);
    if (n >= 0)
        return n;
    n = fleet_name(v->fleet, FLEET_NAME_TRAIT, name);
    if (n < 0)
        return -1;
    struct host_source src = { v->fleet, v->to, v->now, &v->words };
    struct snap_iter it = snap_all(v->to, &kind_node);
    for (const struct node *node; (node = snap_next(&it));)
        if (host_holds(&src, node, name))
            refresh(v, node, false);
    return n;
}
