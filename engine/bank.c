#include "engine/bank.h"

#include "common/alloc.h"
#include "common/cleanup.h"
#include "engine/fit.h"
#include "engine/score.h"

#include <string.h>
#ifdef __AVX512F__
#include <immintrin.h>
#endif

/* This file is compiled several times, each with its own suffix. */
#ifndef BANK_SUFFIX
#define BANK_SUFFIX plain
#endif
#define JOIN_(a, b) a##b
#define JOIN(a, b)  JOIN_(a, b)
#define BANK_OPS    JOIN(bank_ops_, BANK_SUFFIX)

extern const struct bank_ops BANK_OPS;

typedef float floats __attribute__((vector_size(32)));

#define ALL_LANES 0xffU
#define TOGETHER  8 /* hosts */
static const bank_ints lane_bits = { 1, 2, 4, 8, 16, 32, 64, 128 };

#define PICK(mask, a, b) (((a) & (mask)) | ((b) & ~(mask)))

/* ---- scoring a host for eight classes ------------------------------------ */

/* Compilers make many steps of it, and it stands in the innermost loop. */
static inline bool any(const bank_keys *mask)
{
#if defined(__AVX512F__)
    return _mm512_test_epi64_mask((__m512i)*mask, (__m512i)*mask) != 0;
#else
    int64_t bits = 0;
    for (int l = 0; l < BANK_LANES; l++)
        bits |= (*mask)[l];
    return bits != 0;
#endif
}

static inline void larger(const bank_keys *a, const bank_keys *b,
                          bank_keys *out)
{
#if defined(__AVX512F__)
    *out = (bank_keys)_mm512_max_epi64((__m512i)*a, (__m512i)*b);
#else
    *out = PICK(*a > *b, *a, *b);
#endif
}

/* As fit_room and score.c do it, for resources alone.  -1: no room. */
static inline void score_lanes(const struct fleet *f,
                               const struct bank_wants *w, uint32_t host,
                               bank_ints *score)
{
    bank_ints one = (bank_ints){ 0 } + SCORE_ONE;
    bank_ints least = one, taken = { 0 }, lacks = { 0 };
    for (uint32_t rest = w->resources; rest; rest &= rest - 1) {
        int r = __builtin_ctz(rest);
        bank_ints need = w->need[r], asks = need != 0;
        bank_ints left = f->free[r][host] - need;
        floats exact =
            __builtin_convertvector(left, floats) * f->scale[r][host];
        bank_ints share = __builtin_convertvector(exact, bank_ints);
        share = PICK(asks, share, one);
        lacks |= left & asks; /* negative: not enough */
        least = PICK(share < least, share, least);
        taken += w->weight[r] * (one - share);
    }
    *score = PICK(w->packs, taken, least) | (lacks < 0);
}

/* The lanes with cells or devices, that have room: their score with these. */
static void rich_keys(const struct fleet *f, const struct bank *b,
                      uint32_t host, uint32_t lanes, bank_keys *out)
{
    for (; lanes; lanes &= lanes - 1) {
        int l = __builtin_ctz(lanes);
        struct placing at;
        int32_t score;
        if ((*out)[l] == BANK_NO_KEY)
            continue;
        bool fits = fit_parts(f, b->demand[l], host, &at, &score) == FIT_OK;
        (*out)[l] = fits ? bank_key(f, score, host) : BANK_NO_KEY;
    }
}

/* Right in these lanes. */
static inline void host_keys(const struct fleet *f, const struct bank *b,
                             uint32_t host, uint32_t lanes, bank_keys *out)
{
    bank_ints score;
    uint32_t suits = b->suits[host];
    score_lanes(f, &b->wants, host, &score);
    bank_ints bad = ((lane_bits & (int32_t)suits) == 0) | (score < 0);
    bank_keys mask = __builtin_convertvector(bad, bank_keys);
    bank_keys keys = __builtin_convertvector(score, bank_keys) << 32;
    keys |= (int64_t)(UINT32_MAX - f->rank[host]);
    *out = PICK(mask, (bank_keys){ 0 } + BANK_NO_KEY, keys);
    if (suits & b->wants.rich & lanes)
        rich_keys(f, b, host, suits & b->wants.rich & lanes, out);
}

/* Can it ever hold such parts? */
static bool has_parts(const struct fleet_host *h, const struct demand *d)
{
    if (d->cells > h->n_cells)
        return false;
    for (int k = 0; k < REQUEST_DEVICES && d->devices[k].count; k++) {
        int n = 0;
        for (int i = 0; i < h->n_devices; i++)
            n += h->devices[i].kind == d->devices[k].kind;
        if (n < d->devices[k].count)
            return false;
    }
    return true;
}

/* The lanes whose demands hosts with such facts may take. */
static uint32_t look_suits(const struct fleet *f, const struct bank *b,
                           const struct fleet_facts *look, uint32_t lanes)
{
    uint32_t suits = 0;
    lanes &= look->state == FLEET_UP ? b->wants.present : 0;
    for (; lanes; lanes &= lanes - 1) {
        int l = __builtin_ctz(lanes);
        if (fit_nature(f, b->demand[l], look) == FIT_OK)
            suits |= 1U << l;
    }
    return suits;
}

/* `looks`: what its look suits. */
static void look_at_facts(const struct fleet *f, struct bank *b, uint32_t host,
                          uint32_t lanes, uint32_t looks)
{
    const struct fleet_host *h = &f->hosts[host];
    uint32_t suits = b->suits[host] & ~lanes;
    lanes &= looks;
    suits |= lanes & ~(uint32_t)b->wants.rich;
    for (lanes &= b->wants.rich; lanes; lanes &= lanes - 1) {
        int l = __builtin_ctz(lanes);
        if (has_parts(h, b->demand[l]))
            suits |= 1U << l;
    }
    b->suits[host] = (uint8_t)suits;
}

/* What hosts of each look suit, in these lanes. */
static uint8_t *look_at_looks(const struct fleet *f, const struct bank *b,
                              uint32_t lanes)
{
    uint8_t *looks = xcalloc(f->n_looks + 1, 1);
    for (uint32_t i = 0; i < f->n_looks; i++)
        looks[i] = (uint8_t)look_suits(f, b, &f->looks[i], lanes);
    return looks;
}

/* ---- the trees ----------------------------------------------------------- */

/* In pairs, so that not each waits for the one before. */
static inline void recompute(struct bank *b, int level, uint32_t i)
{
    const bank_keys *child = &b->level[level - 1][(size_t)i * BANK_FAN];
    bank_keys most[BANK_FAN / 2];
    for (int c = 0; c < BANK_FAN / 2; c++)
        larger(&child[c], &child[c + BANK_FAN / 2], &most[c]);
    larger(&most[0], &most[2], &most[0]);
    larger(&most[1], &most[3], &most[1]);
    larger(&most[0], &most[1], &b->level[level][i]);
}

/* Writes a leaf and what follows from it, up to where nothing changes.  The
 * other children of a node are asked only if its maximum is no more. */
static inline void set_leaf(struct bank *b, uint32_t host,
                            const bank_keys *keys)
{
    bank_keys old = b->level[0][host], now = *keys;
    uint32_t i = host;
    b->level[0][host] = now;
    for (int level = 1; level <= b->top; level++) {
        i /= BANK_FAN;
        bank_keys *node = &b->level[level][i], before = *node;
        bank_keys fell = (old == before) & (now < old);
        if (any(&fell))
            recompute(b, level, i);
        else
            larger(&now, &before, node);
        old = before;
        now = *node;
        bank_keys differs = now ^ before;
        if (!any(&differs))
            break;
    }
}

/* The family of a host that was the best of it is about to be read. */
static inline void call_family(const struct bank *b, uint32_t host,
                               const bank_keys *keys)
{
    uint32_t family = host / BANK_FAN;
    bank_keys old = b->level[0][host], most = b->level[1][family];
    bank_keys fell = (old == most) & (*keys < old);
    const bank_keys *child = &b->level[0][(size_t)family * BANK_FAN];
    for (int c = 0; any(&fell) && c < BANK_FAN; c++)
        __builtin_prefetch(&child[c]);
}

/* Some at a time: what one waits for, the others wait for with it. */
static void update(const struct fleet *f, struct bank *b, const uint32_t *hosts,
                   uint32_t n)
{
    bank_keys keys[TOGETHER];
    uint32_t fresh = ALL_LANES & ~(uint32_t)b->stale;
    for (; n; hosts += TOGETHER) {
        uint32_t some = n < TOGETHER ? n : TOGETHER;
        for (uint32_t i = 0; i < some; i++) {
            if (f->hosts[hosts[i]].described > b->seen)
                look_at_facts(
                    f, b, hosts[i], ALL_LANES,
                    look_suits(f, b, &f->hosts[hosts[i]].facts, ALL_LANES));
            host_keys(f, b, hosts[i], fresh, &keys[i]);
            if (b->top)
                call_family(b, hosts[i], &keys[i]);
        }
        for (uint32_t i = 0; i < some; i++)
            set_leaf(b, hosts[i], &keys[i]);
        n -= some;
    }
}

static void update_all(const struct fleet *f, struct bank *b, uint32_t lanes)
{
    bank_keys mask =
        __builtin_convertvector((lane_bits & (int32_t)lanes) != 0, bank_keys);
    _autofree_ uint8_t *looks = look_at_looks(f, b, lanes);
    for (uint32_t h = 0; h < f->n; h++) {
        bank_keys *leaf = &b->level[0][h], keys;
        look_at_facts(f, b, h, lanes, looks[f->look[h]]);
        host_keys(f, b, h, lanes, &keys);
        *leaf = PICK(mask, keys, *leaf);
    }
    for (int level = 1; level <= b->top; level++)
        for (uint32_t i = 0; i < b->n[level]; i++)
            recompute(b, level, i);
}

/* ---- a block of hosts for one class ---------------------------------------
 */

struct block {
    int32_t least[BANK_BLOCK], taken[BANK_BLOCK], lacks[BANK_BLOCK];
};

/* One resource of a block of hosts; the operations of score.c. */
static inline void add_resource(struct block *b, const int32_t *free,
                                const float *scale, int32_t need,
                                int32_t weight, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        int32_t left = free[i] - need;
        int32_t share = (int32_t)((float)left * scale[i]);
        b->lacks[i] |= left;
        b->least[i] = share < b->least[i] ? share : b->least[i];
        b->taken[i] += weight * (SCORE_ONE - share);
    }
}

static int32_t score_block(const struct fleet *f, const struct demand *d,
                           const int32_t weight[FLEET_RESOURCES],
                           uint32_t first, uint32_t n, int32_t *score)
{
    struct block b;
    for (uint32_t i = 0; i < n; i++) {
        b.least[i] = SCORE_ONE;
        b.taken[i] = b.lacks[i] = 0;
    }
    for (int r = 0; r < FLEET_RESOURCES; r++)
        if (d->need[r])
            add_resource(&b, f->free[r] + first, f->scale[r] + first,
                         d->need[r], weight[r], n);
    const int32_t *from =
        f->policies[d->policy].kind == SCORE_SPREAD ? b.least : b.taken;
    int32_t most = -1;
    for (uint32_t i = 0; i < n; i++) {
        score[i] = b.lacks[i] < 0 ? -1 : from[i];
        most = score[i] > most ? score[i] : most;
    }
    return most;
}

const struct bank_ops BANK_OPS = { update, update_all, score_block };
