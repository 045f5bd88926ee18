#include "engine/request.h"

#include <string.h>

_Static_assert(sizeof(struct demand) % 8 == 0 &&
                   sizeof(struct demand) ==
                       4 * FLEET_RESOURCES + 16 * REQUEST_DEVICES +
                           (4 + REQUEST_ANY) * sizeof(struct fleet_set) + 16,
               "a demand has no padding: it is compared byte by byte");

bool demand_same(const struct demand *a, const struct demand *b)
{
    return memcmp(a, b, sizeof(*a)) == 0;
}

/* Four chains side by side: a product takes longer than a load. */
uint64_t demand_hash(const struct demand *d)
{
    uint64_t h[4] = { 1, 2, 3, 4 }, word;
    for (size_t i = 0; i < sizeof(*d) / sizeof(word); i++) {
        memcpy(&word, (const char *)d + i * sizeof(word), sizeof(word));
        h[i % 4] = (h[i % 4] ^ word) * 0x9E3779B97F4A7C15ULL;
        h[i % 4] ^= h[i % 4] >> 29;
    }
    for (int i = 1; i < 4; i++)
        h[0] = (h[0] ^ h[i]) * 0xBF58476D1CE4E5B9ULL;
    return h[0] ^ h[0] >> 32;
}

bool demand_plain(const struct demand *d)
{
    return !d->cells && !d->devices[0].count;
}
