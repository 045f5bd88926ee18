#include "model/share.h"

#include <ctype.h>
#include <string.h>

#define WHOLE 1000

int64_t share_thousandths(int64_t instances)
{
    int64_t n = instances < 1 ? 1 : instances > WHOLE ? WHOLE : instances;
    int64_t part = WHOLE / n;
    return WHOLE / part > n ? part + 1 : part;
}

void share_trait(const char *name, char out[SHARE_TRAIT_MAX])
{
    static const char prefix[] = "CUSTOM_";
    size_t n = 0;
    if (name && *name)
        while (n < sizeof(prefix) - 1)
            out[n] = prefix[n], n++;
    for (; name && *name && n < SHARE_TRAIT_MAX - 1; name++)
        out[n++] = isalnum((unsigned char)*name)
                       ? (char)toupper((unsigned char)*name)
                       : '_';
    out[n] = '\0';
}

const struct node_share *share_usual(const struct node_device *d)
{
    const struct node_share *best = NULL;
    for (size_t i = 0; i < d->shares.n; i++) {
        const struct node_share *s = LIST_AT(d->shares, struct node_share, i);
        if (!best || s->instances > best->instances)
            best = s;
    }
    return best;
}

static bool is_called(const struct node_share *s, const char *trait)
{
    char by_type[SHARE_TRAIT_MAX], by_name[SHARE_TRAIT_MAX];
    share_trait(s->type, by_type);
    share_trait(s->name, by_name);
    return strcmp(trait, by_type) == 0 || strcmp(trait, by_name) == 0;
}

static const struct node_share *required(const struct map *words,
                                         const struct node_device *d)
{
    for (size_t i = 0; i < words->n; i++) {
        if (strncmp(words->v[i].key, "trait:", 6) != 0 ||
            strcmp(words->v[i].value, "required") != 0)
            continue;
        for (size_t k = 0; k < d->shares.n; k++) {
            const struct node_share *s =
                LIST_AT(d->shares, struct node_share, k);
            if (is_called(s, words->v[i].key + 6))
                return s;
        }
    }
    return NULL;
}

const struct node_share *share_of_server(const struct server *s,
                                         const struct node_device *d)
{
    const struct node_share *said = required(&s->extra_specs, d);
    if (!said)
        said = required(&s->image_properties, d);
    return said ? said : share_usual(d);
}
