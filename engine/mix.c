#include "engine/mix.h"

#include "common/alloc.h"
#include "engine/map64.h"

#include <stdlib.h>
#include <string.h>

#define SIZE_MIN 64
#define ONE      64 /* an arrival, in counts: it takes some halvings to fade */

struct counted {
    struct demand demand;
    uint32_t count, shown; /* now; in the version */
};

struct mix {
    struct counted *at; /* in order of arrival */
    uint32_t n, size;
    struct map64 keys;    /* hashes of demands; equal ones one after another */
    uint64_t noted, look; /* arrivals; when to look at the drift next */
    uint64_t version;
    struct mix_class *shown;
    uint32_t n_shown;
    uint64_t total; /* of the counts in the version */
};

struct mix *mix_new(void)
{
    struct mix *m = xcalloc(1, sizeof(*m));
    m->look = 1;
    return m;
}

void mix_free(struct mix *m)
{
    if (!m)
        return;
    map64_free(&m->keys);
    free(m->at);
    free(m->shown);
    free(m);
}

static void *duplicate(const void *p, size_t entry, uint32_t n)
{
    void *copy = xcalloc(n ? n : 1, entry);
    if (n)
        memcpy(copy, p, entry * n);
    return copy;
}

struct mix *mix_copy(const struct mix *m)
{
    struct mix *c = xmalloc(sizeof(*c));
    *c = *m;
    c->at = duplicate(m->at, sizeof(*m->at), m->size);
    c->shown = duplicate(m->shown, sizeof(*m->shown), m->n_shown);
    map64_copy(&c->keys, &m->keys);
    return c;
}

/* ---- counting ------------------------------------------------------------ */

/* The entry of a demand, or MAP64_NONE; and its key. */
static uint32_t find(const struct mix *m, const struct demand *d, uint64_t *key)
{
    for (*key = demand_hash(d) | 1;; *key += 2) {
        uint32_t i = map64_get(&m->keys, *key);
        if (i == MAP64_NONE || demand_same(&m->at[i].demand, d))
            return i;
    }
}

static uint32_t add(struct mix *m, const struct demand *d, uint64_t key)
{
    if (m->n == MIX_CLASSES)
        return MAP64_NONE;
    if (m->n == m->size) {
        m->size = m->size ? m->size * 2 : SIZE_MIN;
        m->at = xrealloc(m->at, m->size * sizeof(*m->at));
    }
    m->at[m->n] = (struct counted){ .demand = *d };
    map64_set(&m->keys, key, m->n);
    return m->n++;
}

/* Old arrivals count half; what has faded makes room. */
static void halve(struct mix *m)
{
    uint32_t n = m->n;
    map64_free(&m->keys);
    m->n = 0;
    for (uint32_t i = 0; i < n; i++) {
        struct counted c = m->at[i];
        uint64_t key;
        c.count /= 2;
        if (!c.count)
            continue;
        find(m, &c.demand, &key);
        map64_set(&m->keys, key, m->n);
        m->at[m->n++] = c;
    }
}

/* ---- versions ------------------------------------------------------------ */

static uint64_t counts(const struct mix *m)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < m->n; i++)
        sum += m->at[i].count;
    return sum;
}

/* Half the sum of the differences of the shares, in 2^20ths: what part of
 * the arrivals is of other demands than the version says. */
static uint64_t drift(const struct mix *m)
{
    uint64_t now = counts(m), more = 0;
    if (!m->total)
        return 1 << 20;
    for (uint32_t i = 0; i < m->n; i++) {
        uint64_t is = ((uint64_t)m->at[i].count << 20) / now;
        uint64_t was = ((uint64_t)m->at[i].shown << 20) / m->total;
        more += is > was ? is - was : 0;
    }
    return more;
}

static void show(struct mix *m)
{
    free(m->shown);
    m->shown = xcalloc(m->n, sizeof(*m->shown));
    m->n_shown = m->n;
    m->total = counts(m);
    for (uint32_t i = 0; i < m->n; i++) {
        m->at[i].shown = m->at[i].count;
        m->shown[i] = (struct mix_class){ m->at[i].demand, m->at[i].count };
    }
    m->version++;
}

bool mix_note(struct mix *m, const struct demand *d)
{
    uint64_t key;
    if (m->noted && m->noted % MIX_HALF_LIFE == 0)
        halve(m);
    uint32_t i = find(m, d, &key);
    if (i == MAP64_NONE)
        i = add(m, d, key);
    if (i != MAP64_NONE)
        m->at[i].count += ONE;
    if (++m->noted < m->look)
        return false;
    m->look += m->look < MIX_LOOK ? m->look : MIX_LOOK;
    if (drift(m) < (1 << 20) / MIX_DRIFT)
        return false;
    show(m);
    return true;
}

uint64_t mix_version(const struct mix *m)
{
    return m->version;
}

uint32_t mix_classes(const struct mix *m, const struct mix_class **out)
{
    *out = m->shown;
    return m->n_shown;
}

uint64_t mix_total(const struct mix *m)
{
    return m->total;
}
