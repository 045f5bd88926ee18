#include "engine/weights.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Placement's names where it has one. */
static const struct {
    const char *name;
    enum fleet_resource resource;
} weighed[] = {
    { "VCPU", FLEET_VCPU },           { "MEMORY_MB", FLEET_MEMORY },
    { "DISK_GB", FLEET_DISK },        { "PCPU", FLEET_PCPU },
    { "BANDWIDTH", FLEET_BANDWIDTH }, { "HUGEPAGES", FLEET_HUGEPAGES },
    { "GIGAPAGES", FLEET_GIGAPAGES },
};

static bool is_custom(const char *name)
{
    return strncmp(name, "CUSTOM_", 7) == 0 && strlen(name) <= 64 &&
           name[7 +
                strspn(name + 7, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")] == 0;
}

/* Its number in the fleet; -1: it has none. */
static int resource_number(const struct fleet *f, const char *name)
{
    const struct fleet_names *names = &f->names[FLEET_NAME_RESOURCE];
    for (size_t i = 0; i < ARRAY_SIZE(weighed); i++)
        if (strcmp(weighed[i].name, name) == 0)
            return (int)weighed[i].resource;
    for (uint32_t i = FLEET_CUSTOM; i < names->n; i++)
        if (strcmp(names->at[i], name) == 0)
            return (int)i;
    return -1;
}

bool weights_known(const char *resource)
{
    for (size_t i = 0; i < ARRAY_SIZE(weighed); i++)
        if (strcmp(weighed[i].name, resource) == 0)
            return true;
    return is_custom(resource);
}

static void weigh_all(uint16_t out[FLEET_RESOURCES], uint16_t n)
{
    for (int i = 0; i < FLEET_RESOURCES; i++)
        out[i] = n;
}

static void weigh(const struct fleet *f, const char *name, int64_t n,
                  uint16_t out[FLEET_RESOURCES])
{
    int r = resource_number(f, name);
    if (r >= 0)
        out[r] = (uint16_t)(n < 0                  ? 0
                            : n > SCORE_WEIGHT_MAX ? SCORE_WEIGHT_MAX
                                                   : n);
}

void weights_of(const struct fleet *f, const struct list *amounts,
                uint16_t out[FLEET_RESOURCES])
{
    weigh_all(out, amounts->n > 0);
    for (size_t i = 0; i < amounts->n; i++) {
        const struct amount *a = LIST_AT(*amounts, struct amount, i);
        weigh(f, a->name, a->n, out);
    }
}

/* "VCPU=3", the `n` bytes of `word`. */
static bool read_weight(const struct fleet *f, const char *word, size_t n,
                        struct score_policy *out)
{
    char name[72], *end;
    const char *equals = memchr(word, '=', n);
    size_t len = equals ? (size_t)(equals - word) : 0;
    if (!len || len >= sizeof(name) || equals + 1 == word + n)
        return false;
    memcpy(name, word, len);
    name[len] = 0;
    long weight = strtol(equals + 1, &end, 10);
    if (end != word + n || weight < 0 || weight > SCORE_WEIGHT_MAX ||
        !weights_known(name))
        return false;
    if (f)
        weigh(f, name, weight, out->weight);
    return true;
}

static bool read_word(const struct fleet *f, const char *text,
                      struct score_policy *out)
{
    static const enum score_kind kinds[] = {
        [PLACE_SPREAD] = SCORE_SPREAD,
        [PLACE_PACK] = SCORE_PACK,
        [PLACE_FRAGMENTATION] = SCORE_FRAGMENTATION,
    };
    char name[16];
    size_t len = strcspn(text, ":");
    snprintf(name, sizeof(name), "%.*s", (int)(len < sizeof(name) ? len : 0),
             text);
    int kind = enum_from_name(placement_policy_names, name);
    if (kind < 0)
        return false;
    *out = (struct score_policy){ .kind = kinds[kind] };
    if (!text[len])
        return true;
    weigh_all(out->weight, 1);
    for (const char *p = text + len + 1;; p++) {
        size_t n = strcspn(p, ",");
        if (!read_weight(f, p, n, out))
            return false;
        p += n;
        if (!*p)
            return out->kind == SCORE_PACK;
    }
}

bool weights_read(const struct fleet *f, const char *text,
                  struct score_policy *out, struct error *err)
{
    return read_word(f, text, out) ||
           error_set(err, ERR_INVALID,
                     WEIGHTS_SPEC "=%.100s: spread, fragmentation, pack or "
                                  "pack:RESOURCE=WEIGHT,.. of VCPU, MEMORY_MB, "
                                  "DISK_GB, PCPU, BANDWIDTH, HUGEPAGES, "
                                  "GIGAPAGES, CUSTOM_..., 0 to %d",
                     text, SCORE_WEIGHT_MAX);
}
