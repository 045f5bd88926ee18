#include "engine/offers.h"

#include "common/alloc.h"
#include "engine/fit.h"

#include <stdlib.h>
#include <string.h>

#define ROUGH_BITS 6 /* of an amount, that count */
#define WORTH_BITS 46
#define FINE_BITS  10 /* of a capacity: shapes differ by a thousandth */
#define ANY_NUMBER 1000000
#define DRAWS      (OFFERS_ROUNDS * OFFERS_LENGTH)

/* ---- shapes -------------------------------------------------------------- */

/* Up to the next number of this many significant bits. */
static int32_t coarse(int32_t v, int bits)
{
    int drop = v > 0 ? 32 - __builtin_clz((unsigned)v) - bits : 0;
    if (drop <= 0)
        return v;
    int64_t up = (((int64_t)v + (1LL << drop) - 1) >> drop) << drop;
    return up > INT32_MAX ? v : (int32_t)up;
}

static uint64_t blend(uint64_t h, uint64_t word)
{
    h = (h ^ word) * 0x9E3779B97F4A7C15ULL;
    return h ^ h >> 29;
}

static uint64_t blend_sets(uint64_t key, const struct fleet_facts *facts)
{
    for (unsigned i = 0; i < FLEET_SET_MAX / 64; i++) {
        key = blend(key, facts->traits.w[i]);
        key = blend(key, facts->aggregates.w[i] + 1);
    }
    return key;
}

static uint64_t blend_cells(uint64_t key, const struct fleet_host *h, int bits)
{
    for (int i = 0; i < h->n_cells; i++) {
        const struct fleet_cell *c = &h->cells[i];
        key = blend(key, (uint32_t)coarse(c->vcpu, bits));
        key = blend(key, (uint32_t)coarse(c->memory, bits));
        for (int m = 0; m < CELL_MORE; m++)
            key = blend(key, (uint32_t)coarse(c->more[m], bits));
    }
    return key;
}

static uint64_t shape_key(const struct offers *o, const struct fleet *f,
                          uint32_t host, int bits)
{
    const struct fleet_host *h = &f->hosts[host];
    uint64_t key = blend(h->n_devices, h->facts.zone);
    key = blend_sets(blend(key, (uint32_t)h->facts.largest_vcpu), &h->facts);
    for (int r = 0; r < FLEET_RESOURCES; r++)
        key = blend(key, (uint32_t)coarse(f->capacity[r][host], bits));
    for (int i = 0; i < h->n_devices; i++)
        key = blend(key, h->devices[i].kind * 256U + h->devices[i].model);
    return (o->cells ? blend_cells(key, h, bits) : key) | 1;
}

static void new_shape(struct offers *o, const struct fleet *f, uint32_t host,
                      uint64_t key, int bits)
{
    if (o->n_shapes == o->shapes_size) {
        o->shapes_size = o->shapes_size ? o->shapes_size * 2 : 16;
        o->shapes = xrealloc(o->shapes, o->shapes_size * sizeof(*o->shapes));
    }
    struct shape *s = &o->shapes[o->n_shapes++];
    *s = (struct shape){ .key = key, .first = host };
    for (int r = 0; r < FLEET_RESOURCES; r++)
        s->capacity[r] = coarse(f->capacity[r][host], bits);
}

/* False: too many shapes, told apart so finely. */
static bool sort_hosts(struct offers *o, const struct fleet *f, int bits)
{
    struct map64 keys = { 0 };
    uint32_t most = bits ? OFFERS_SHAPES : UINT32_MAX;
    o->n_shapes = 0;
    for (uint32_t h = 0; h < f->n && o->n_shapes <= most; h++) {
        o->shape_of[h] = MAP64_NONE;
        if (f->hosts[h].facts.state == FLEET_VACANT)
            continue;
        uint64_t key = shape_key(o, f, h, bits);
        uint32_t i = map64_get(&keys, key);
        if (i == MAP64_NONE) {
            i = o->n_shapes;
            new_shape(o, f, h, key, bits);
            map64_set(&keys, key, i);
        }
        o->shape_of[h] = i;
        o->shapes[i].hosts++;
    }
    map64_free(&keys);
    return o->n_shapes <= most;
}

/* ---- how many an empty host holds ---------------------------------------- */

static uint16_t usable(const struct fleet_host *h,
                       const struct request_device *want)
{
    unsigned devices = 0;
    for (int i = 0; i < h->n_devices; i++)
        if (h->devices[i].kind == want->kind &&
            (!want->models || (want->models >> h->devices[i].model & 1)))
            devices |= 1U << i;
    return (uint16_t)devices;
}

static int32_t devices_hold(const struct fleet_host *h,
                            const struct request_device *want)
{
    int32_t devices = __builtin_popcount(usable(h, want));
    return devices / want->count * (1000 / want->thousandths);
}

/* How many of a demand the empty cells take: so many that each finds its
 * number of different cells. */
static int32_t cells_hold(const struct fleet_host *h, const struct demand *d)
{
    int32_t of[FLEET_CELLS], part[OFFER_AMOUNTS], n = ANY_NUMBER, was;
    offers_of_cell(d, part);
    for (int i = 0; i < h->n_cells; i++) {
        const struct fleet_cell *c = &h->cells[i];
        int32_t has[OFFER_AMOUNTS] = { c->vcpu, c->memory };
        memcpy(has + 2, c->more, sizeof(c->more));
        of[i] = ANY_NUMBER;
        for (int k = 0; k < OFFER_AMOUNTS; k++)
            if (part[k] && has[k] / part[k] < of[i])
                of[i] = has[k] > 0 ? has[k] / part[k] : 0;
    }
    do {
        int64_t sum = 0;
        was = n;
        for (int i = 0; i < h->n_cells; i++)
            sum += of[i] < n ? of[i] : n;
        n = (int32_t)(sum / d->cells < n ? sum / d->cells : n);
    } while (n < was);
    return n;
}

static int32_t holds(const struct fleet *f, const struct shape *s,
                     const struct demand *d)
{
    const struct fleet_host *h = &f->hosts[s->first];
    int32_t n = ANY_NUMBER;
    if (fit_nature(f, d, &h->facts) != FIT_OK)
        return 0;
    for (int r = 0; r < FLEET_RESOURCES; r++)
        if (d->need[r] && s->capacity[r] / d->need[r] < n)
            n = s->capacity[r] / d->need[r];
    for (int k = 0; k < REQUEST_DEVICES && d->devices[k].count; k++) {
        int32_t m = devices_hold(h, &d->devices[k]);
        n = m < n ? m : n;
    }
    int32_t m = d->cells ? cells_hold(h, d) : n;
    return m < n ? m : n;
}

/* ---- weights ------------------------------------------------------------- */

struct pool {
    int64_t capacity[FLEET_RESOURCES];
    int64_t devices; /* thousandths */
};

static struct pool whole_pool(const struct fleet *f)
{
    struct pool p = { 0 };
    for (uint32_t h = 0; h < f->n; h++) {
        for (int r = 0; r < FLEET_RESOURCES; r++)
            p.capacity[r] += f->capacity[r][h];
        p.devices += f->hosts[h].n_devices * 1000;
    }
    return p;
}

/* The largest part of any resource of the pool that it takes. */
static double size_of(const struct pool *p, const struct demand *d)
{
    double most = 0;
    int64_t thousandths = 0;
    for (int r = 0; r < FLEET_RESOURCES; r++) {
        double part = p->capacity[r] > 0
                          ? (double)d->need[r] / (double)p->capacity[r]
                          : 0;
        most = part > most ? part : most;
    }
    for (int k = 0; k < REQUEST_DEVICES; k++)
        thousandths += d->devices[k].count * d->devices[k].thousandths;
    double part = p->devices > 0 ? (double)thousandths / (double)p->devices : 0;
    return part > most ? part : most;
}

static void weigh(struct offers *o, const struct fleet *f, const struct pool *p)
{
    o->weight = xcalloc(o->n_classes ? o->n_classes : 1, sizeof(*o->weight));
    for (uint32_t i = 0; i < o->n_classes; i++) {
        const struct demand *d = &o->classes[i].demand;
        int64_t all = 0;
        for (uint32_t s = 0; s < o->n_shapes; s++)
            all += (int64_t)holds(f, &o->shapes[s], d) * o->shapes[s].hosts;
        if (all && d->devices[0].count && p->devices)
            o->pressure += o->classes[i].count * size_of(p, d) /
                           ((double)p->devices / 1000);
        if (all)
            o->weight[i] = o->classes[i].count * size_of(p, d) / (double)all;
    }
}

/* What is left of a resource is worth the more, the more of it is asked for
 * compared with what there is.  Devices are few hosts' reason to be: there,
 * nothing else counts (outlook.c). */
static void price(struct offers *o, const struct pool *p)
{
    double asked[FLEET_RESOURCES] = { 0 }, most = 0;
    for (uint32_t i = 0; i < o->n_classes; i++)
        for (int r = 0; r < FLEET_RESOURCES; r++)
            if (p->capacity[r] > 0)
                asked[r] += (double)o->classes[i].count *
                            o->classes[i].demand.need[r] /
                            (double)p->capacity[r];
    for (int r = 0; r < FLEET_RESOURCES; r++)
        most = asked[r] > most ? asked[r] : most;
    for (int r = 0; r < FLEET_RESOURCES; r++) {
        if (asked[r] <= 0)
            continue;
        o->worth[o->n_resources] =
            (uint64_t)((double)(1ULL << WORTH_BITS) / (double)p->capacity[r] *
                       (asked[r] / most));
        o->resources[o->n_resources++] = (uint8_t)r;
    }
    if (p->devices)
        o->device_worth = (1ULL << WORTH_BITS) / (uint64_t)p->devices;
}

/* ---- draws --------------------------------------------------------------- */

int32_t offers_rough(int32_t v)
{
    return coarse(v, ROUGH_BITS);
}

void offers_cell(const struct fleet_cell *c, int32_t out[OFFER_AMOUNTS])
{
    out[0] = c->free_vcpu;
    out[1] = c->free_memory;
    memcpy(out + 2, c->free_more, sizeof(c->free_more));
}

void offers_of_cell(const struct demand *d, int32_t out[OFFER_AMOUNTS])
{
    out[0] = demand_per_cell(d, FLEET_VCPU);
    out[1] = demand_per_cell(d, FLEET_MEMORY);
    for (int m = 0; m < CELL_MORE; m++)
        out[2 + m] = demand_per_cell(d, fleet_cell_more[m]);
}

static void translate(const struct offers *o, const struct fleet *f,
                      struct shape *s, const struct demand *d)
{
    struct offer *to = &s->offers[s->n_offers++];
    for (int i = 0; i < o->n_resources; i++)
        to->need[i] = d->need[o->resources[i]];
    to->cells = (uint8_t)d->cells;
    s->cells |= d->cells > 0;
    if (d->cells)
        offers_of_cell(d, to->of_cell);
    for (int k = 0; k < REQUEST_DEVICES && d->devices[k].count; k++) {
        const struct request_device *want = &d->devices[k];
        to->parts[k] = (struct offer_part){
            .devices = usable(&f->hosts[s->first], want),
            .thousandths = want->thousandths,
            .count = want->count,
        };
    }
}

static uint32_t below(uint64_t *state, uint32_t n)
{
    uint64_t z = *state += 0x9E3779B97F4A7C15ULL;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
    z ^= z >> 31;
    return (uint32_t)(((z >> 32) * n) >> 32);
}

/* As many of each as its weight says (to one), in random order. */
static void draw(struct shape *s, const double *weight, double sum)
{
    uint16_t *out = &s->drawn[0][0];
    uint64_t random = 1;
    double reached = 0;
    uint32_t n = 0;
    for (uint32_t i = 0; i < s->n_offers; i++) {
        reached += weight[i];
        while (n < DRAWS && (n + 0.5) * sum < reached * DRAWS)
            out[n++] = (uint16_t)i;
    }
    for (; n < DRAWS; n++)
        out[n] = (uint16_t)(s->n_offers - 1);
    for (uint32_t i = DRAWS - 1; i > 0; i--) {
        uint32_t j = below(&random, i + 1);
        uint16_t t = out[i];
        out[i] = out[j];
        out[j] = t;
    }
}

static void add_places(struct offer_places *to, const struct offer_places *from)
{
    for (int r = 0; r < OFFERS_ROUNDS; r++)
        for (int w = 0; w < OFFERS_WORDS; w++)
            to->w[r][w] |= from->w[r][w];
}

static uint16_t largest_part(const struct offer *offer)
{
    uint16_t most = 0;
    for (int k = 0; k < REQUEST_DEVICES; k++)
        if (offer->parts[k].count && offer->parts[k].thousandths > most)
            most = offer->parts[k].thousandths;
    return most;
}

static int by_size(const void *a, const void *b)
{
    return *(const uint16_t *)a - *(const uint16_t *)b;
}

static void find_levels(struct shape *s)
{
    uint32_t n = 0;
    s->levels = xcalloc(s->n_offers + 1, sizeof(*s->levels));
    for (uint32_t i = 0; i < s->n_offers; i++)
        if (s->offers[i].parts[0].count)
            s->levels[n++] = largest_part(&s->offers[i]);
    qsort(s->levels, n, sizeof(*s->levels), by_size);
    for (uint32_t i = 0; i < n; i++)
        if (!s->n_levels || s->levels[s->n_levels - 1] != s->levels[i])
            s->levels[s->n_levels++] = s->levels[i];
}

static void note_places(struct shape *s)
{
    s->places = xcalloc(s->n_offers + 1, sizeof(*s->places));
    for (int r = 0; r < OFFERS_ROUNDS; r++)
        for (int l = 0; l < OFFERS_LENGTH; l++)
            s->places[s->drawn[r][l]].w[r][l / 64] |= 1ULL << (l % 64);
    find_levels(s);
    s->small = xcalloc(s->n_levels + 1, sizeof(*s->small));
    for (uint32_t i = 0; i < s->n_offers; i++) {
        if (!s->offers[i].parts[0].count)
            add_places(&s->plain, &s->places[i]);
        for (uint32_t k = s->n_levels; k > 0 && s->offers[i].parts[0].count;
             k--)
            if (largest_part(&s->offers[i]) <= s->levels[k - 1])
                add_places(&s->small[k], &s->places[i]);
    }
}

static uint32_t pressure(double of_the_mean)
{
    double p = of_the_mean * OFFERS_PRESSURE_ONE;
    return p < OFFERS_PRESSURE_MAX ? (uint32_t)p : OFFERS_PRESSURE_MAX;
}

static void make_offers(const struct offers *o, const struct fleet *f,
                        struct shape *s)
{
    double *weight = xcalloc(o->n_classes + 1, sizeof(*weight)), sum = 0;
    double asked = 0;
    s->offers = xcalloc(o->n_classes + 1, sizeof(*s->offers));
    for (uint32_t i = 0; i < o->n_classes; i++) {
        const struct demand *d = &o->classes[i].demand;
        double w = o->weight[i] * holds(f, s, d);
        if (w <= 0)
            continue;
        sum += weight[s->n_offers] = w;
        asked += d->devices[0].count ? w : 0;
        translate(o, f, s, d);
    }
    if (s->n_offers)
        draw(s, weight, sum);
    if (asked > 0)
        s->pressure =
            pressure(asked / f->hosts[s->first].n_devices / o->pressure);
    note_places(s);
    free(weight);
}

/* ---- public -------------------------------------------------------------- */

void offers_make(struct offers *o, const struct fleet *f)
{
    struct pool p = whole_pool(f);
    offers_clear(o);
    o->n_classes = mix_classes(f->mix, &o->classes);
    o->shape_of = xcalloc(f->n + 1, sizeof(*o->shape_of));
    for (uint32_t i = 0; i < o->n_classes; i++)
        o->cells |= o->classes[i].demand.cells > 0;
    for (int bits = FINE_BITS; !sort_hosts(o, f, bits);)
        bits -= 2;
    weigh(o, f, &p);
    price(o, &p);
}

void offers_clear(struct offers *o)
{
    for (uint32_t i = 0; i < o->n_shapes; i++) {
        free(o->shapes[i].offers);
        free(o->shapes[i].places);
        free(o->shapes[i].levels);
        free(o->shapes[i].small);
    }
    free(o->shapes);
    free(o->weight);
    free(o->shape_of);
    *o = (struct offers){ 0 };
}

struct shape *offers_shape(struct offers *o, const struct fleet *f,
                           uint32_t host)
{
    struct shape *s = &o->shapes[o->shape_of[host]];
    if (!s->offers)
        make_offers(o, f, s);
    return s;
}
