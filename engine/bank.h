/*
 * bank - trees of maxima for eight classes of requests, side by side.
 *
 * A tree's leaves are the hosts' *keys* for one class (score, then rank: the
 * larger key is the better host); each node above is the largest of its
 * eight children, so the root is the answer.
 *
 *      root                    [ best of all ]
 *      level 1        [ best of 8 ] ... [ best of 8 ]
 *      leaves      [h0][h1] .. [h7]  [h8] ..
 *
 * The keys of eight classes for one host are one cache line, one vector
 * wide: a changed host is scored for all eight at once, and one pass carries
 * the change upward as far as anything changes.  bank.c is compiled once for
 * each level of the machine's vector instructions (CMakeLists.txt);
 * bank_ops_best tells which to use.  The scores are the same to the bit.
 *
 * Owned by an index (index.h); one thread.
 */
#ifndef CAIRN_ENGINE_BANK_H
#define CAIRN_ENGINE_BANK_H

#include "engine/fleet.h"

#define BANK_LANES  8
#define BANK_FAN    8
#define BANK_LEVELS 12 /* 8^11 hosts */
#define BANK_BLOCK  256

typedef int32_t bank_ints __attribute__((vector_size(32)));
typedef int64_t bank_keys __attribute__((vector_size(64)));

#define BANK_NO_KEY INT64_MIN /* the host cannot take it */

/* What eight classes ask, lane by lane. */
struct bank_wants {
    bank_ints need[FLEET_RESOURCES];
    bank_ints weight[FLEET_RESOURCES];
    bank_ints packs;       /* -1: score by what is taken, 0: what is left */
    uint8_t present, rich; /* bit: lane has a class; ... with parts */
    uint16_t resources;    /* bit: some lane needs it */
};

struct bank {
    struct bank_wants wants;
    const struct demand *demand[BANK_LANES]; /* set before each update */
    bank_keys *level[BANK_LEVELS];           /* 0: by host */
    uint32_t n[BANK_LEVELS];
    int top;              /* level of the root */
    uint8_t *suits;       /* by host: bit: its facts allow the lane */
    uint8_t stale;        /* bit: the lane is to be made anew when asked */
    uint64_t seen, epoch; /* of the fleet, when last brought up to date */
    uint64_t foresight;
};

struct bank_ops {
    /* These hosts have changed since `seen`; stale lanes stay so. */
    void (*update)(const struct fleet *f, struct bank *b, const uint32_t *hosts,
                   uint32_t n);
    /* All hosts, in these lanes (bits); the others are left as they are. */
    void (*update_all)(const struct fleet *f, struct bank *b, uint32_t lanes);
    /* For scan.c: the scores of `n` <= BANK_BLOCK hosts from `first` on, by
     * resources alone, -1 without room; the largest of them. */
    int32_t (*score)(const struct fleet *f, const struct demand *d,
                     const int32_t weight[FLEET_RESOURCES], uint32_t first,
                     uint32_t n, int32_t *score);
};

const struct bank_ops *bank_ops_best(void);

/* An empty bank with room for this many hosts. */
void bank_shape(struct bank *b, uint32_t hosts);
void bank_free_levels(struct bank *b);

static inline int64_t bank_key(const struct fleet *f, int32_t score,
                               uint32_t host)
{
    return (int64_t)(((uint64_t)(uint32_t)score << 32) |
                     (UINT32_MAX - f->rank[host]));
}

static inline uint32_t bank_host(const struct fleet *f, int64_t key)
{
    return f->by_rank[UINT32_MAX - (uint32_t)key];
}

static inline int32_t bank_score(int64_t key)
{
    return (int32_t)(key >> 32);
}

#endif
