#include "engine/board.h"

#include "common/alloc.h"
#include "engine/fit.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* ---- making one ---------------------------------------------------------- */

/* The resources that some guest needs become the dimensions. */
static void find_dims(struct board *b)
{
    bool used[FLEET_RESOURCES] = { false };
    for (uint32_t i = 0; i < b->fleet->guest_slots; i++) {
        const struct fleet_guest *g = &b->fleet->guests[i];
        if (!g->id)
            continue;
        const struct demand *d = fleet_demand(b->fleet, g->class_);
        for (int r = 0; r < FLEET_RESOURCES; r++)
            used[r] = used[r] || d->need[r];
    }
    for (int r = 0; r < FLEET_RESOURCES; r++)
        if (used[r] || r == FLEET_VCPU || r == FLEET_MEMORY)
            b->dim[b->dims++] = (uint8_t)r;
}

static void add_class(struct board *b, const struct demand *d)
{
    struct board_class *k = &b->classes[b->n_classes++];
    for (uint32_t i = 0; i < b->dims; i++)
        k->need[i] = d->need[b->dim[i]];
    k->cells = (uint8_t)d->cells;
    if (d->cells) {
        k->cell.vcpu = demand_per_cell(d, FLEET_VCPU);
        k->cell.memory = demand_per_cell(d, FLEET_MEMORY);
        for (int m = 0; m < CELL_MORE; m++)
            k->cell.more[m] = demand_per_cell(d, fleet_cell_more[m]);
    }
    k->hosts = xcalloc((b->n_hosts + 63) / 64, sizeof(uint64_t));
    for (uint32_t h = 0; h < b->n_hosts; h++)
        if (fit_facts(b->fleet, d, h) == FIT_OK &&
            b->fleet->hosts[h].facts.state == FLEET_UP)
            k->hosts[h / 64] |= 1ULL << (h % 64);
}

static void add_hosts(struct board *b)
{
    const struct fleet *f = b->fleet;
    for (uint32_t h = 0; h < b->n_hosts; h++) {
        const struct fleet_host *from = &f->hosts[h];
        struct board_host *to = &b->hosts[h];
        to->state = from->facts.state;
        to->first = BOARD_NONE;
        to->cpus = from->facts.largest_vcpu ? from->facts.largest_vcpu
                                            : f->capacity[FLEET_VCPU][h];
        to->n_cells = from->n_cells;
        for (int i = 0; i < from->n_cells; i++) {
            to->cells[i].vcpu = from->cells[i].free_vcpu;
            to->cells[i].memory = from->cells[i].free_memory;
            memcpy(to->cells[i].more, from->cells[i].free_more,
                   sizeof(to->cells[i].more));
        }
        for (uint32_t i = 0; i < b->dims; i++)
            b->room[h * b->dims + i] = f->free[b->dim[i]][h];
    }
}

static void link_guest(struct board *b, uint32_t i, uint32_t host)
{
    struct board_guest *g = &b->guests[i];
    struct board_host *h = &b->hosts[host];
    g->prev = BOARD_NONE;
    g->next = h->first;
    if (h->first != BOARD_NONE)
        b->guests[h->first].prev = i;
    h->first = i;
    h->guests++;
    for (int s = 0; s < STRAINS; s++)
        h->use[s] += g->use[s];
    g->host = host;
}

static void unlink_guest(struct board *b, uint32_t i)
{
    struct board_guest *g = &b->guests[i];
    struct board_host *h = &b->hosts[g->host];
    if (g->prev == BOARD_NONE)
        h->first = g->next;
    else
        b->guests[g->prev].next = g->next;
    if (g->next != BOARD_NONE)
        b->guests[g->next].prev = g->prev;
    h->guests--;
    for (int s = 0; s < STRAINS; s++)
        h->use[s] -= g->use[s];
}

static int by_id(const void *a, const void *b)
{
    uint64_t x = (*(const struct fleet_guest *const *)a)->id;
    uint64_t y = (*(const struct fleet_guest *const *)b)->id;
    return x < y ? -1 : x > y;
}

/* Guests in the order of their ids, so that no answer tells of history. */
static const struct fleet_guest **sorted(const struct fleet *f)
{
    const struct fleet_guest **all =
        xcalloc(f->n_guests + 1, sizeof(*all)); /* NOLINT: pointers */
    uint32_t n = 0;
    for (uint32_t i = 0; i < f->guest_slots; i++)
        if (f->guests[i].id)
            all[n++] = &f->guests[i];
    qsort(all, n, sizeof(*all), by_id); /* NOLINT: of pointers */
    return all;
}

static uint32_t group_of(struct board *b, struct map64 *seen,
                         const struct request_group *rule)
{
    if (!rule->id)
        return BOARD_NONE;
    uint32_t n = map64_get(seen, rule->id);
    if (n != MAP64_NONE)
        return n;
    n = b->n_groups++;
    map64_set(seen, rule->id, n);
    const struct fleet_group *g = fleet_group(b->fleet, rule->id);
    b->groups[n] =
        (struct board_group){ .rule = *rule,
                              .members = xcalloc(g ? g->total + 1 : 1,
                                                 sizeof(uint32_t)) };
    return n;
}

static bool may_move(const struct board *b, const struct fleet_guest *g)
{
    int state = b->fleet->hosts[g->at.host].facts.state;
    return (g->movable || (g->rests && state == FLEET_DRAINING)) &&
           !fleet_demand(b->fleet, g->class_)->devices[0].count &&
           state != FLEET_DEAD;
}

static void add_guests(struct board *b)
{
    const struct fleet *f = b->fleet;
    const struct fleet_guest **all = sorted(f);
    uint32_t *number = xmalloc((f->n_classes + 1) * sizeof(*number));
    struct map64 seen = { 0 };
    memset(number, 0xff, (f->n_classes + 1) * sizeof(*number));
    for (uint32_t i = 0; i < b->n_guests; i++) {
        const struct fleet_guest *g = all[i];
        if (number[g->class_] == BOARD_NONE) {
            number[g->class_] = b->n_classes;
            add_class(b, fleet_demand(f, g->class_));
        }
        b->guests[i] = (struct board_guest){
            .id = g->id,
            .class_ = number[g->class_],
            .home = g->at.host,
            .cells = g->at.cells,
            .home_cells = g->at.cells,
            .movable = may_move(b, g),
            .group = group_of(b, &seen, &g->group),
        };
        strain_of_guest(fleet_use(f, g), b->guests[i].use, b->guests[i].stall);
        link_guest(b, i, g->at.host);
        if (b->guests[i].group != BOARD_NONE) {
            struct board_group *in = &b->groups[b->guests[i].group];
            in->members[in->n++] = i;
        }
    }
    map64_free(&seen);
    free(number);
    free(all); /* NOLINT: of pointers */
}

struct board *board_new(const struct fleet *f)
{
    struct board *b = xcalloc(1, sizeof(*b));
    b->fleet = f;
    b->n_hosts = f->n;
    b->n_guests = f->n_guests;
    b->leading = BOARD_NONE;
    find_dims(b);
    b->hosts = xcalloc(f->n + 1, sizeof(*b->hosts));
    b->room = xcalloc((f->n + 1) * b->dims, sizeof(*b->room));
    b->guests = xcalloc(f->n_guests + 1, sizeof(*b->guests));
    b->classes = xcalloc(f->n_classes + 1, sizeof(*b->classes));
    b->groups = xcalloc(f->group_slots + 1, sizeof(*b->groups));
    add_hosts(b);
    add_guests(b);
    return b;
}

void board_free(struct board *b)
{
    if (!b)
        return;
    for (uint32_t i = 0; i < b->n_classes; i++)
        free(b->classes[i].hosts);
    for (uint32_t i = 0; i < b->n_groups; i++)
        free(b->groups[i].members);
    free(b->classes);
    free(b->groups);
    free(b->guests);
    free(b->room);
    free(b->hosts);
    free(b);
}

/* ---- asking -------------------------------------------------------------- */

uint32_t board_mates(const struct board *b, uint32_t guest, uint32_t host)
{
    const struct board_guest *g = &b->guests[guest];
    if (g->group == BOARD_NONE)
        return 0;
    const struct board_group *in = &b->groups[g->group];
    uint32_t n = 0;
    for (uint32_t i = 0; i < in->n; i++)
        n += in->members[i] != guest && b->guests[in->members[i]].host == host;
    return n;
}

bool board_abandons(const struct board *b, uint32_t group, uint32_t but)
{
    const struct board_group *in = &b->groups[group];
    for (uint32_t i = 0; i < in->n; i++) {
        uint32_t host = b->guests[in->members[i]].host;
        if (host != but && b->hosts[host].state != FLEET_DRAINING)
            return false;
    }
    return true;
}

bool board_gathered(const struct board *b, uint32_t group, uint32_t host)
{
    const struct board_group *in = &b->groups[group];
    for (uint32_t i = 0; i < in->n; i++)
        if (b->guests[in->members[i]].host != host)
            return false;
    return true;
}

/* Soft rules may not become worse than they were at home. */
static bool group_admits(const struct board *b, uint32_t guest, uint32_t host)
{
    const struct board_guest *g = &b->guests[guest];
    const struct request_group *rule = &b->groups[g->group].rule;
    uint32_t there = board_mates(b, guest, host);
    if (rule->skew && fleet_domain(b->fleet, host, rule->level) !=
                          fleet_domain(b->fleet, g->home, rule->level))
        return false;
    switch (rule->policy) {
    case REQUEST_ANTI_AFFINITY:
        return there < (rule->most ? rule->most : 1);
    case REQUEST_AFFINITY:
        return there || b->groups[g->group].n == 1 ||
               (b->leading == g->group && board_abandons(b, g->group, host));
    case REQUEST_SOFT_ANTI_AFFINITY:
        return there <= board_mates(b, guest, g->host);
    case REQUEST_SOFT_AFFINITY:
        return there >= board_mates(b, guest, g->host);
    default:
        return true;
    }
}

/* Guests move alive: the CPU must have all that they have seen. */
static bool cpu_admits(const struct board *b, uint32_t home, uint32_t host)
{
    const struct fleet *f = b->fleet;
    uint8_t from = f->hosts[home].facts.cpu, to = f->hosts[host].facts.cpu;
    return !from || !to || from == to || (f->cpu_takes[from] >> to & 1);
}

bool board_admits(const struct board *b, uint32_t guest, uint32_t host)
{
    const struct board_guest *g = &b->guests[guest];
    return (host == g->home || board_class_on(&b->classes[g->class_], host)) &&
           cpu_admits(b, g->home, host) &&
           (g->group == BOARD_NONE || group_admits(b, guest, host));
}

static bool has_room(const struct board *b, const struct board_class *k,
                     uint32_t host)
{
    const int32_t *room = &b->room[host * b->dims];
    for (uint32_t i = 0; i < b->dims; i++)
        if (k->need[i] > room[i] && k->need[i])
            return false;
    return true;
}

bool board_roomy(const struct board *b, uint32_t guest, uint32_t host)
{
    return has_room(b, &b->classes[b->guests[guest].class_], host);
}

/* What is not asked for may be overdrawn, as in fit.c. */
static bool has(int32_t free, int32_t part)
{
    return !part || free >= part;
}

static bool cell_takes(const struct board_cell *c, const struct board_class *k)
{
    for (int m = 0; m < CELL_MORE; m++)
        if (!has(c->more[m], k->cell.more[m]))
            return false;
    return has(c->vcpu, k->cell.vcpu) && has(c->memory, k->cell.memory);
}

static int32_t cell_room(const struct board_cell *c,
                         const struct board_class *k)
{
    return k->cell.more[CELL_PCPU] ? c->more[CELL_PCPU] : c->vcpu;
}

bool board_allows(const struct board *b, uint32_t guest, uint32_t host,
                  uint8_t cells)
{
    const struct board_guest *g = &b->guests[guest];
    const struct board_class *k = &b->classes[g->class_];
    const struct board_host *h = &b->hosts[host];
    if (host == g->host || (host == g->home && cells != g->home_cells))
        return false;
    for (unsigned left = cells; left; left &= left - 1)
        if (!cell_takes(&h->cells[__builtin_ctz(left)], k))
            return false;
    return has_room(b, k, host) && board_admits(b, guest, host);
}

bool board_cells(const struct board *b, uint32_t guest, uint32_t host,
                 uint8_t *cells)
{
    const struct board_class *k = &b->classes[b->guests[guest].class_];
    const struct board_host *h = &b->hosts[host];
    *cells = 0;
    for (int n = 0; n < k->cells; n++) {
        int best = -1;
        for (int i = 0; i < h->n_cells; i++)
            if (!(*cells >> i & 1) && cell_takes(&h->cells[i], k) &&
                (best < 0 ||
                 cell_room(&h->cells[i], k) < cell_room(&h->cells[best], k)))
                best = i;
        if (best < 0)
            return false;
        *cells = (uint8_t)(*cells | 1U << best);
    }
    return true;
}

uint32_t board_find(const struct board *b, uint64_t id)
{
    uint32_t low = 0, high = b->n_guests;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (b->guests[mid].id < id)
            low = mid + 1;
        else
            high = mid;
    }
    return low < b->n_guests && b->guests[low].id == id ? low : BOARD_NONE;
}

/* ---- moving -------------------------------------------------------------- */

static void account(struct board *b, uint32_t guest, int sign)
{
    const struct board_guest *g = &b->guests[guest];
    const struct board_class *k = &b->classes[g->class_];
    struct board_host *h = &b->hosts[g->host];
    int32_t *room = &b->room[g->host * b->dims];
    for (uint32_t i = 0; i < b->dims; i++)
        room[i] -= sign * k->need[i];
    for (unsigned left = g->cells; left; left &= left - 1)
        board_take_cell(&h->cells[__builtin_ctz(left)], k, sign);
}

void board_take_cell(struct board_cell *c, const struct board_class *k,
                     int sign)
{
    c->vcpu -= sign * k->cell.vcpu;
    c->memory -= sign * k->cell.memory;
    for (int m = 0; m < CELL_MORE; m++)
        c->more[m] -= sign * k->cell.more[m];
}

void board_move(struct board *b, uint32_t guest, uint32_t host, uint8_t cells)
{
    account(b, guest, -1);
    unlink_guest(b, guest);
    b->guests[guest].cells = cells;
    link_guest(b, guest, host);
    account(b, guest, 1);
}
