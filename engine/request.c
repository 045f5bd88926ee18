#include "engine/request.h"

#include <string.h>

_Static_assert(sizeof(struct demand) % 8 == 0 &&
                   sizeof(struct demand) ==
                       4 * FLEET_RESOURCES + 16 * REQUEST_DEVICES +
                           (4 + REQUEST_ANY) * sizeof(struct fleet_set) + 8,
               "a demand has no padding: it is compared byte by byte");

bool demand_same(const struct demand *a, const struct demand *b)
{
    return memcmp(a, b, sizeof(*a)) == 0;
}

uint64_t demand_hash(const struct demand *d)
{
    uint64_t h = 0, word;
    for (size_t i = 0; i < sizeof(*d); i += sizeof(word)) {
        memcpy(&word, (const char *)d + i, sizeof(word));
        h = (h ^ word) * 0x9E3779B97F4A7C15ULL;
        h ^= h >> 29;
    }
    return h;
}

bool demand_plain(const struct demand *d)
{
    return !d->cells && !d->devices[0].count;
}
