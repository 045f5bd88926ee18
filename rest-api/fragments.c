#include "rest-api/fragments.h"

#include "common/alloc.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS   4096 /* a power of two */
#define STRIPES 64

struct fragment {
    int64_t revision, others, variant;
    size_t id_size, url_size; /* with their NULs */
    size_t len;
    char bytes[]; /* id, URL, text */
};

struct fragments {
    size_t max;
    atomic_size_t used;
    pthread_mutex_t locks[STRIPES];
    struct fragment *slots[SLOTS];
};

static size_t memory_of(const struct fragment *x)
{
    return x ? sizeof(*x) + x->id_size + x->url_size + x->len : 0;
}

struct fragments *fragments_new(size_t max)
{
    struct fragments *f = xcalloc(1, sizeof(*f));
    f->max = max;
    for (size_t i = 0; i < STRIPES; i++)
        pthread_mutex_init(&f->locks[i], NULL);
    return f;
}

void fragments_free(struct fragments *f)
{
    if (!f)
        return;
    for (size_t i = 0; i < SLOTS; i++)
        free(f->slots[i]);
    for (size_t i = 0; i < STRIPES; i++)
        pthread_mutex_destroy(&f->locks[i]);
    free(f);
}

static uint64_t mix(uint64_t h, uint64_t v)
{
    h = (h ^ v) * UINT64_C(0x9e3779b97f4a7c15);
    return h ^ h >> 29;
}

/* A newer text of a record takes the older one's place: no revisions here. */
static size_t slot_of(const struct fragment_key *key)
{
    uint64_t h = (uint64_t)key->variant, v = 0;
    size_t n = strlen(key->id);
    for (size_t i = 0; i < n; i += sizeof(v), v = 0) {
        memcpy(&v, key->id + i, n - i < sizeof(v) ? n - i : sizeof(v));
        h = mix(h, v);
    }
    return (size_t)(h >> 32) % SLOTS;
}

static bool fits(const struct fragment *x, const struct fragment_key *key)
{
    return x && x->revision == key->revision && x->others == key->others &&
           x->variant == key->variant && strcmp(x->bytes, key->id) == 0 &&
           strcmp(x->bytes + x->id_size, key->base_url) == 0;
}

bool fragments_write(struct fragments *f, const struct fragment_key *key,
                     struct jw *w, const char *name)
{
    size_t slot = slot_of(key);
    pthread_mutex_lock(&f->locks[slot % STRIPES]);
    const struct fragment *x = f->slots[slot];
    bool found = fits(x, key);
    if (found)
        jw_rawn(w, name, x->bytes + x->id_size + x->url_size, x->len);
    pthread_mutex_unlock(&f->locks[slot % STRIPES]);
    return found;
}

static struct fragment *make(const struct fragment_key *key, const char *text,
                             size_t len)
{
    size_t id_size = strlen(key->id) + 1, url_size = strlen(key->base_url) + 1;
    struct fragment *x = xmalloc(sizeof(*x) + id_size + url_size + len);
    *x = (struct fragment){ key->revision, key->others, key->variant,
                            id_size,       url_size,    len };
    memcpy(x->bytes, key->id, id_size);
    memcpy(x->bytes + id_size, key->base_url, url_size);
    memcpy(x->bytes + id_size + url_size, text, len);
    return x;
}

void fragments_keep(struct fragments *f, const struct fragment_key *key,
                    const char *text, size_t len)
{
    if (len > FRAGMENT_MAX)
        return;
    size_t slot = slot_of(key);
    struct fragment *x = make(key, text, len);
    pthread_mutex_lock(&f->locks[slot % STRIPES]);
    struct fragment *old = f->slots[slot];
    atomic_fetch_sub(&f->used, memory_of(old));
    if (atomic_fetch_add(&f->used, memory_of(x)) + memory_of(x) <= f->max) {
        f->slots[slot] = x;
        x = NULL;
    } else {
        atomic_fetch_sub(&f->used, memory_of(x));
        f->slots[slot] = NULL;
    }
    pthread_mutex_unlock(&f->locks[slot % STRIPES]);
    free(old);
    free(x);
}
