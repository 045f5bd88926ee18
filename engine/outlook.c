#include "engine/outlook.h"

#include "common/alloc.h"
#include "engine/offers.h"
#include "engine/pages.h"

#include <stdlib.h>
#include <string.h>

#define MEMO_BITS 17         /* at least; 16 states a host beyond that */
#define NEXT_PART 8          /* of what counts: what the very next cannot use */
#define TOLL_PART 16         /* of a device's worth, at the mean pressure */
#define NOTHING   UINT64_MAX /* no version */

/* What counts of a host's state; devices alike, and cells, are in falling
 * order. */
struct state {
    const struct shape *shape;
    int32_t free[FLEET_RESOURCES]; /* in the order of offers.resources */
    int32_t device[FLEET_DEVICES];
    int n_devices, n_cells; /* 0 cells: nobody asks for them */
    int32_t cell[FLEET_CELLS][OFFER_AMOUNTS];
};

struct memo {
    uint64_t hash; /* 0: free */
    uint32_t check;
    int32_t stranded;
};

struct as_is { /* of a host, as it is */
    uint64_t changed;
    int32_t stranded;
};

struct outlook {
    struct offers offers;
    uint64_t version, layout; /* of mix and fleet, that this is about */
    struct memo *memo;        /* by the low bits of the hash ... */
    uint64_t memo_mask;       /* ... these */
    struct as_is *hosts;
};

struct outlook *outlook_new(void)
{
    struct outlook *o = xcalloc(1, sizeof(*o));
    o->version = NOTHING;
    return o;
}

static void clear(struct outlook *o)
{
    offers_clear(&o->offers);
    free(o->memo);
    free(o->hosts);
    o->memo = NULL;
    o->hosts = NULL;
}

void outlook_free(struct outlook *o)
{
    if (!o)
        return;
    clear(o);
    free(o);
}

/* Begins anew when the mix or the hosts are others. */
static void follow(struct outlook *o, const struct fleet *f)
{
    uint64_t version = mix_version(f->mix);
    if (o->version == version && o->layout == f->layout)
        return;
    clear(o);
    offers_make(&o->offers, f);
    o->memo_mask = (1U << MEMO_BITS) - 1;
    while (o->memo_mask < 16ULL * f->n)
        o->memo_mask = o->memo_mask * 2 + 1;
    o->memo = pages_new(o->memo_mask + 1, sizeof(*o->memo));
    o->hosts = xcalloc(f->n, sizeof(*o->hosts));
    o->version = version;
    o->layout = f->layout;
}

/* ---- filling a host ------------------------------------------------------ */

/* The tightest device that will do; -1: none. */
static int tightest(const int32_t *device, const struct offer_part *part,
                    unsigned taken)
{
    int best = -1;
    int32_t least = INT32_MAX;
    for (unsigned rest = part->devices & ~taken; rest; rest &= rest - 1) {
        int i = __builtin_ctz(rest);
        if (device[i] >= part->thousandths && device[i] < least) {
            best = i;
            least = device[i];
        }
    }
    return best;
}

/* Takes what an offer asks of devices.  False: it cannot, and nothing is
 * taken. */
static bool take_devices(int32_t *device, const struct offer *offer)
{
    unsigned taken = 0;
    int32_t left[FLEET_DEVICES];
    if (offer->parts[0].count == 1 && !offer->parts[1].count) {
        int i = tightest(device, &offer->parts[0], 0);
        if (i >= 0)
            device[i] -= offer->parts[0].thousandths;
        return i >= 0;
    }
    memcpy(left, device, sizeof(left));
    for (int k = 0; k < REQUEST_DEVICES; k++)
        for (int n = 0; n < offer->parts[k].count; n++) {
            int i = tightest(left, &offer->parts[k], taken);
            if (i < 0)
                return false;
            taken |= 1U << i;
            left[i] -= offer->parts[k].thousandths;
        }
    memcpy(device, left, sizeof(left));
    return true;
}

static bool cell_fits(const int32_t cell[OFFER_AMOUNTS],
                      const struct offer *offer)
{
    for (int k = 0; k < OFFER_AMOUNTS; k++)
        if (offer->of_cell[k] && offer->of_cell[k] > cell[k])
            return false;
    return true;
}

/* By which cells are compared, as fit.c does: the CPUs that are asked for. */
static int room_of(const struct offer *offer)
{
    return offer->of_cell[2 + CELL_PCPU] ? 2 + CELL_PCPU : 0;
}

/* Takes the tightest cells; the state has them.  False: too few fit, and
 * nothing is taken. */
static bool take_cells(struct state *s, const struct offer *offer)
{
    unsigned taken = 0;
    int by = room_of(offer);
    for (int n = 0; n < offer->cells; n++) {
        int best = -1;
        for (int i = 0; i < s->n_cells; i++)
            if (!(taken >> i & 1) && cell_fits(s->cell[i], offer) &&
                (best < 0 || s->cell[i][by] < s->cell[best][by]))
                best = i;
        if (best < 0)
            return false;
        taken |= 1U << best;
    }
    for (; taken; taken &= taken - 1)
        for (int k = 0; k < OFFER_AMOUNTS; k++)
            s->cell[__builtin_ctz(taken)][k] -= offer->of_cell[k];
    return true;
}

/* Are there cells for it? */
static bool has_cells(const struct state *s, const struct offer *offer)
{
    int n = 0;
    for (int i = 0; i < s->n_cells; i++)
        n += cell_fits(s->cell[i], offer);
    return n >= offer->cells;
}

static bool has_room(const struct state *s, const struct offer *offer, int n)
{
    for (int i = 0; i < n; i++)
        if (offer->need[i] > s->free[i])
            return false;
    return true;
}

static int32_t largest_device(const struct state *s)
{
    int32_t most = 0;
    for (int i = 0; i < s->n_devices; i++)
        most = s->device[i] > most ? s->device[i] : most;
    return most;
}

/* Takes what an offer asks for.  False: it does not fit. */
static bool take(struct state *s, const struct offer *offer, int n)
{
    if (!has_room(s, offer, n) || (offer->cells && !has_cells(s, offer)) ||
        (offer->parts[0].count && !take_devices(s->device, offer)))
        return false;
    if (offer->cells)
        take_cells(s, offer);
    for (int i = 0; i < n; i++)
        s->free[i] -= offer->need[i];
    return true;
}

static bool fits(const struct state *s, const struct offer *offer, int n)
{
    int32_t left[FLEET_DEVICES];
    if (!has_room(s, offer, n) || (offer->cells && !has_cells(s, offer)))
        return false;
    if (!offer->parts[0].count)
        return true;
    memcpy(left, s->device, sizeof(left));
    return take_devices(left, offer);
}

/* Where in the sequences there is something that fits this state: what does
 * not fit it now will not when there is less. */
static void find_fitting(const struct state *start, int n,
                         struct offer_places *out)
{
    const struct shape *shape = start->shape;
    memset(out, 0, sizeof(*out));
    for (uint32_t i = 0; i < shape->n_offers; i++)
        if (fits(start, &shape->offers[i], n))
            for (int r = 0; r < OFFERS_ROUNDS; r++)
                for (int w = 0; w < OFFERS_WORDS; w++)
                    out->w[r][w] |= shape->places[i].w[r][w];
}

/* The first place that is marked, taken out; -1: none. */
static int next_place(uint64_t marked[OFFERS_WORDS])
{
    for (int w = 0; w < OFFERS_WORDS; w++)
        if (marked[w]) {
            int l = w * 64 + __builtin_ctzll(marked[w]);
            marked[w] &= marked[w] - 1;
            return l;
        }
    return -1;
}

/* The levels of what fits into the largest device that is left. */
static uint32_t level_of(const struct state *s, uint32_t level)
{
    int32_t most = largest_device(s);
    while (level && s->shape->levels[level - 1] > most)
        level--;
    return level;
}

/* Keeps the marks where devices are asked for that may be had; and where
 * none are, unless no device will be asked for any more. */
static void narrow(const struct shape *shape, int round, uint32_t level,
                   bool devices, uint64_t marked[OFFERS_WORDS])
{
    uint64_t some = !devices;
    for (int w = 0; w < OFFERS_WORDS; w++)
        some |= marked[w] & shape->small[level].w[round][w];
    for (int w = 0; w < OFFERS_WORDS; w++)
        marked[w] &=
            some ? shape->small[level].w[round][w] | shape->plain.w[round][w]
                 : 0;
}

/* Fills the host with what is marked of one sequence; the marks are gone
 * then. */
static void fill(struct state *s, int round, uint64_t marked[OFFERS_WORDS],
                 int n)
{
    const struct shape *shape = s->shape;
    bool devices = s->n_devices > 0;
    uint32_t level = level_of(s, shape->n_levels);
    narrow(shape, round, level, devices, marked);
    for (int l; (l = next_place(marked)) >= 0;) {
        const struct offer *offer = &shape->offers[shape->drawn[round][l]];
        bool asks = offer->parts[0].count > 0;
        if (take(s, offer, n) && asks)
            level = level_of(s, level);
        if (asks)
            narrow(shape, round, level, devices, marked);
    }
}

/* What the next request for devices could not use, in the mean over the
 * requests: all that is free, where it does not fit.  In thousandths, times
 * OFFERS_ROUNDS. */
static uint64_t useless_next(const struct state *s,
                             const struct offer_places *fitting)
{
    const struct offer_places *all = &s->shape->small[s->shape->n_levels];
    uint64_t asked = 0, in_vain = 0, free = 0;
    for (int r = 0; r < OFFERS_ROUNDS; r++)
        for (int w = 0; w < OFFERS_WORDS; w++) {
            asked += (uint64_t)__builtin_popcountll(all->w[r][w]);
            in_vain += (uint64_t)__builtin_popcountll(all->w[r][w] &
                                                      ~fitting->w[r][w]);
        }
    for (int i = 0; i < s->n_devices; i++)
        free += (uint64_t)s->device[i];
    return asked ? free * OFFERS_ROUNDS * in_vain / asked : 0;
}

/* The mean of what is left, in worth. */
static int32_t stranded_by_filling(const struct offers *o,
                                   const struct state *start)
{
    uint64_t left[FLEET_RESOURCES] = { 0 }, devices = 0, worth = 0;
    struct offer_places fitting;
    find_fitting(start, o->n_resources, &fitting);
    devices = useless_next(start, &fitting) / NEXT_PART;
    for (int round = 0; round < OFFERS_ROUNDS; round++) {
        struct state s = *start;
        fill(&s, round, fitting.w[round], o->n_resources);
        for (int i = 0; i < o->n_resources; i++)
            left[i] += s.free[i] > 0 ? (uint64_t)s.free[i] : 0;
        for (int i = 0; i < s.n_devices; i++)
            devices += (uint64_t)s.device[i];
    }
    if (start->n_devices)
        return (int32_t)(devices * o->device_worth / OFFERS_ROUNDS >> 16);
    for (int i = 0; i < o->n_resources; i++)
        worth += left[i] * o->worth[i] / OFFERS_ROUNDS >> 16;
    return (int32_t)(worth < OUTLOOK_ONE ? worth : OUTLOOK_ONE);
}

/* ---- remembering --------------------------------------------------------- */

/* Two chains: with the second as a check, states are not mistaken. */
struct chains {
    uint64_t a, b;
};

static void chain(struct chains *c, uint32_t word)
{
    c->a = (c->a ^ word) * 0x9E3779B97F4A7C15ULL;
    c->a ^= c->a >> 29;
    c->b = (c->b + word) * 0xBF58476D1CE4E5B9ULL;
    c->b ^= c->b >> 31;
}

static struct memo key_of(const struct state *s, int n_resources)
{
    struct chains c = { s->shape->key, ~s->shape->key };
    for (int i = 0; i < n_resources; i++)
        chain(&c, (uint32_t)s->free[i]);
    for (int i = 0; i + 1 < FLEET_DEVICES; i += 2)
        chain(&c, (uint32_t)s->device[i] << 16 | (uint32_t)s->device[i + 1]);
    for (int i = 0; i < s->n_cells; i++)
        for (int k = 0; k < OFFER_AMOUNTS; k++)
            chain(&c, (uint32_t)s->cell[i][k]);
    return (struct memo){ .hash = c.a | 1ULL << 63,
                          .check = (uint32_t)(c.b >> 32) };
}

static int32_t stranded(struct outlook *o, const struct state *s)
{
    struct memo key = key_of(s, o->offers.n_resources);
    struct memo *at = &o->memo[key.hash & o->memo_mask];
    if (at->hash == key.hash && at->check == key.check)
        return at->stranded;
    key.stranded = stranded_by_filling(&o->offers, s);
    *at = key;
    return key.stranded;
}

/* ---- the states of a host ------------------------------------------------ */

static bool alike(const struct fleet_device *a, const struct fleet_device *b)
{
    return a->kind == b->kind && a->model == b->model && a->usual == b->usual;
}

/* Alike devices are in falling order, so that which is which is forgotten. */
static void sort_devices(struct state *s, const struct fleet_host *h)
{
    for (int i = 1; i < s->n_devices; i++)
        for (int to = i, j = i - 1; j >= 0; j--) {
            if (!alike(&h->devices[to], &h->devices[j]))
                continue;
            if (s->device[j] >= s->device[to])
                break;
            int32_t t = s->device[j];
            s->device[j] = s->device[to];
            s->device[to] = t;
            to = j;
        }
}

/* In falling order: cells are told apart by what is free there alone. */
static void sort_cells(struct state *s)
{
    for (int i = 1; i < s->n_cells; i++)
        for (int j = i; j > 0; j--) {
            int32_t t[OFFER_AMOUNTS], k = 0;
            while (k < OFFER_AMOUNTS - 1 && s->cell[j][k] == s->cell[j - 1][k])
                k++;
            if (s->cell[j][k] <= s->cell[j - 1][k])
                break;
            memcpy(t, s->cell[j], sizeof(t));
            memcpy(s->cell[j], s->cell[j - 1], sizeof(t));
            memcpy(s->cell[j - 1], t, sizeof(t));
        }
}

static void look_at_cells(const struct fleet_host *h, const struct demand *d,
                          const struct placing *at, struct state *s)
{
    int32_t part[OFFER_AMOUNTS] = { 0 };
    if (!s->shape->cells)
        return;
    s->n_cells = h->n_cells;
    if (d && d->cells)
        offers_of_cell(d, part);
    for (int i = 0; i < h->n_cells; i++) {
        bool there = d && d->cells && (at->cells >> i & 1);
        offers_cell(&h->cells[i], s->cell[i]);
        for (int k = 0; k < OFFER_AMOUNTS; k++)
            s->cell[i][k] = offers_rough(s->cell[i][k] - (there ? part[k] : 0));
    }
    sort_cells(s);
}

/* The host as it is (`d` NULL), or with a guest in this place. */
static void look(struct outlook *o, const struct fleet *f, uint32_t host,
                 const struct demand *d, const struct placing *at,
                 struct state *s)
{
    const struct fleet_host *h = &f->hosts[host];
    memset(s, 0, sizeof(*s));
    s->shape = offers_shape(&o->offers, f, host);
    s->n_devices = h->n_devices;
    for (int i = 0; i < o->offers.n_resources; i++) {
        int r = o->offers.resources[i];
        s->free[i] = offers_rough(f->free[r][host] - (d ? d->need[r] : 0));
    }
    for (int i = 0; i < h->n_devices; i++) {
        s->device[i] = h->devices[i].free;
        for (int k = 0; d && k < REQUEST_DEVICES; k++)
            if (at->devices[k] >> i & 1)
                s->device[i] -= device_takes(&h->devices[i], &d->devices[k]);
        if (s->device[i] < 0)
            s->device[i] = 0; /* the pool is overfull */
    }
    sort_devices(s, h);
    look_at_cells(h, d, at, s);
}

static int32_t stranded_as_is(struct outlook *o, const struct fleet *f,
                              uint32_t host)
{
    struct as_is *known = &o->hosts[host];
    struct state s;
    if (known->changed != f->hosts[host].changed) {
        look(o, f, host, NULL, NULL, &s);
        known->stranded = stranded(o, &s);
        known->changed = f->hosts[host].changed;
    }
    return known->stranded;
}

/* What a place costs by itself: where much is asked for the devices of such
 * hosts, those who could go elsewhere had better. */
static int64_t toll(const struct outlook *o, const struct shape *shape,
                    const struct demand *d)
{
    int64_t thousandths = 0;
    for (int k = 0; k < REQUEST_DEVICES; k++)
        thousandths += d->devices[k].count * d->devices[k].thousandths;
    return thousandths * (int64_t)(o->offers.device_worth >> 16) *
           shape->pressure / OFFERS_PRESSURE_ONE / TOLL_PART;
}

int32_t outlook_strands(struct outlook *o, const struct fleet *f,
                        const struct demand *d, const struct placing *at)
{
    struct state s;
    follow(o, f);
    look(o, f, at->host, d, at, &s);
    int64_t all = (int64_t)stranded(o, &s) - stranded_as_is(o, f, at->host) +
                  toll(o, s.shape, d);
    return (int32_t)(all > OUTLOOK_ONE    ? OUTLOOK_ONE
                     : all < -OUTLOOK_ONE ? -OUTLOOK_ONE
                                          : all);
}
