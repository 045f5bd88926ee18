/*
 * map64 - from 64-bit keys to 32-bit numbers: the engine's hash table.
 *
 * Open addressing, linear probing, at most half full (a probe more is a branch
 * mispredicted); removal closes the gap, so that nothing wears out.  Key 0 is
 * not allowed.  A zeroed struct is an empty map; owned by its holder; no
 * threads.
 */
#ifndef CAIRN_ENGINE_MAP64_H
#define CAIRN_ENGINE_MAP64_H

#include <stdint.h>

#define MAP64_NONE UINT32_MAX

struct map64_slot {
    uint64_t key; /* 0: empty */
    uint32_t value;
    uint32_t more; /* the holder's: what it had better know at once; 0 first */
};

struct map64 {
    struct map64_slot *slots; /* mask + 1 of them, or NULL */
    uint32_t mask, n;
};

/* Borrowed until the next set or drop; NULL: none. */
struct map64_slot *map64_find(const struct map64 *m, uint64_t key);
uint32_t map64_get(const struct map64 *m, uint64_t key); /* or MAP64_NONE */
/* Where it now stands, borrowed as above. */
struct map64_slot *map64_set(struct map64 *m, uint64_t key, uint32_t value);
void map64_drop(struct map64 *m, uint64_t key);
void map64_copy(struct map64 *to, const struct map64 *from);
void map64_free(struct map64 *m);

#endif
