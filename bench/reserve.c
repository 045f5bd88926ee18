/* bench/reserve: what the proof that a host (or two) may fail costs: made
 * for a whole pool, and kept while guests come and go.  One JSON line. */
#include "engine/reserve.h"
#include "common/env.h"
#include "common/jw.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#define CHANGES 4000

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

static struct fleet *pool(uint32_t hosts)
{
    struct fleet *f = fleet_new();
    for (uint32_t i = 0; i < hosts; i++) {
        char name[16];
        snprintf(name, sizeof(name), "host%05u", i);
        uint32_t h = fleet_add_host(f, name);
        fleet_set_facts(f, h, &(struct fleet_facts){ .state = FLEET_UP });
        fleet_set_capacity(f, h, FLEET_VCPU, 64000);
        fleet_set_capacity(f, h, FLEET_MEMORY, 262144);
    }
    fleet_ranks(f);
    return f;
}

static struct request drawn(uint64_t *rng)
{
    *rng = *rng * 6364136223846793005U + 1442695040888963407U;
    int32_t n = 1 << (*rng >> 60) % 5;
    return (struct request){ .demand.need = { n * 1000, n * 4096 } };
}

/* Up to `percent` of the memory. */
static uint64_t fill(struct fleet *f, uint32_t percent, uint64_t *rng)
{
    struct chooser *c = chooser_new(f);
    int64_t all = (int64_t)f->n * 262144, used = 0;
    uint64_t id = 0;
    for (struct placing at; used * 100 < all * percent;) {
        struct request q = drawn(rng);
        if (!choose(c, &q, &at))
            break;
        fleet_put(f, ++id, &q, &at);
        used += q.demand.need[FLEET_MEMORY];
    }
    chooser_free(c);
    return id;
}

/* One goes, one comes, where choose would put it. */
static uint32_t churn(struct fleet *f, struct reserve *r, uint64_t guests,
                      uint64_t *rng, int64_t *took)
{
    struct chooser *c = chooser_new(f);
    uint32_t refused = 0;
    for (int i = 0; i < CHANGES; i++) {
        struct request q = drawn(rng);
        struct placing at;
        uint64_t id = 1 + (*rng >> 20) % guests;
        if (fleet_remove(f, id))
            reserve_remove(r, id);
        bool found = choose(c, &q, &at);
        int64_t begun = env_mono(&env_system);
        bool taken =
            found && reserve_put(r, guests + (uint64_t)i + 1, &q, &at, NULL);
        took[i] = env_mono(&env_system) - begun;
        if (taken)
            fleet_put(f, guests + (uint64_t)i + 1, &q, &at);
        refused += !taken;
    }
    chooser_free(c);
    qsort(took, CHANGES, sizeof(*took), by_value);
    return refused;
}

int main(int argc, char **argv)
{
    static const struct option table[] = { { "hosts", 1, NULL, 'h' },
                                           { "full", 1, NULL, 'f' },
                                           { "failures", 1, NULL, 'n' },
                                           { 0 } };
    uint32_t hosts = 1000, full = 80, failures = 1;
    for (int c; (c = getopt_long(argc, argv, "", table, NULL)) != -1;) {
        uint32_t n = optarg ? (uint32_t)strtoul(optarg, NULL, 10) : 0;
        *(c == 'h' ? &hosts : c == 'f' ? &full : &failures) = n;
    }
    uint64_t rng = 1;
    struct fleet *f = pool(hosts);
    uint64_t guests = fill(f, full, &rng);
    if (!guests)
        return 2;
    int64_t begun = env_mono(&env_system);
    struct reserve *r = reserve_new(f, failures);
    int64_t made = env_mono(&env_system) - begun;
    int64_t *took = calloc(CHANGES, sizeof(*took));
    uint32_t held = reserve_held(r);
    uint32_t refused = churn(f, r, guests, &rng, took);
    struct buf out = BUF_INIT(4096);
    struct jw w = JW_INIT(&out);
    jw_obj(&w, NULL);
    jw_int(&w, "hosts", hosts);
    jw_int(&w, "guests", (int64_t)guests);
    jw_int(&w, "failures", failures);
    jw_int(&w, "sets", reserve_sets(r));
    jw_int(&w, "held", held);
    jw_int(&w, "held_after", reserve_held(r));
    jw_real(&w, "made_s", (double)made / (double)SECOND_US);
    jw_int(&w, "put_us_p50", took[CHANGES / 2]);
    jw_int(&w, "put_us_p99", took[CHANGES * 99 / 100]);
    jw_int(&w, "refused", refused);
    jw_obj_end(&w);
    printf("%s\n", buf_str(&out));
    buf_free(&out);
    free(took);
    reserve_free(r);
    fleet_free(f);
    return 0;
}
