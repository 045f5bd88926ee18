#include "engine/map64.h"

#include "engine/pages.h"

#include <stdlib.h>
#include <string.h>

#define SLOTS_MIN 16

static uint32_t home(const struct map64 *m, uint64_t key)
{
    return (uint32_t)((key * 0x9E3779B97F4A7C15ULL) >> 32) & m->mask;
}

/* Where the key is, or would be put. */
static uint32_t find(const struct map64 *m, uint64_t key)
{
    uint32_t i = home(m, key);
    while (m->slots[i].key && m->slots[i].key != key)
        i = (i + 1) & m->mask;
    return i;
}

static void grow(struct map64 *m)
{
    struct map64 old = *m;
    m->mask = old.slots ? old.mask * 2 + 1 : SLOTS_MIN - 1;
    m->slots = pages_new((size_t)m->mask + 1, sizeof(*m->slots));
    for (size_t i = 0; old.slots && i <= old.mask; i++)
        if (old.slots[i].key)
            m->slots[find(m, old.slots[i].key)] = old.slots[i];
    free(old.slots);
}

struct map64_slot *map64_find(const struct map64 *m, uint64_t key)
{
    struct map64_slot *s = m->n ? &m->slots[find(m, key)] : NULL;
    return s && s->key ? s : NULL;
}

uint32_t map64_get(const struct map64 *m, uint64_t key)
{
    const struct map64_slot *s = map64_find(m, key);
    return s ? s->value : MAP64_NONE;
}

struct map64_slot *map64_set(struct map64 *m, uint64_t key, uint32_t value)
{
    if (!m->slots || (m->n + 1) * 2ULL > m->mask + 1ULL)
        grow(m);
    struct map64_slot *s = &m->slots[find(m, key)];
    m->n += !s->key;
    *s = (struct map64_slot){ .key = key, .value = value };
    return s;
}

void map64_drop(struct map64 *m, uint64_t key)
{
    if (!m->n)
        return;
    uint32_t hole = find(m, key);
    if (!m->slots[hole].key)
        return;
    m->n--;
    /* Whatever probing led over the hole moves into it. */
    for (uint32_t i = (hole + 1) & m->mask; m->slots[i].key;
         i = (i + 1) & m->mask) {
        uint32_t from = home(m, m->slots[i].key);
        if (((i - from) & m->mask) < ((i - hole) & m->mask))
            continue;
        m->slots[hole] = m->slots[i];
        hole = i;
    }
    m->slots[hole].key = 0;
}

void map64_copy(struct map64 *to, const struct map64 *from)
{
    *to = *from;
    if (!from->slots)
        return;
    size_t n = (size_t)from->mask + 1;
    to->slots = pages_new(n, sizeof(*from->slots));
    memcpy(to->slots, from->slots, n * sizeof(*from->slots));
}

void map64_free(struct map64 *m)
{
    free(m->slots);
    *m = (struct map64){ 0 };
}
