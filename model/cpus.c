#include "model/cpus.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORDS (CPUS_MAX / 64)

unsigned cpus_count(const struct cpus *s)
{
    unsigned n = 0;
    for (int i = 0; i < WORDS; i++)
        n += (unsigned)__builtin_popcountll(s->w[i]);
    return n;
}

struct cpus cpus_both(const struct cpus *a, const struct cpus *b)
{
    struct cpus both;
    for (int i = 0; i < WORDS; i++)
        both.w[i] = a->w[i] & b->w[i];
    return both;
}

struct cpus cpus_without(const struct cpus *a, const struct cpus *b)
{
    struct cpus rest;
    for (int i = 0; i < WORDS; i++)
        rest.w[i] = a->w[i] & ~b->w[i];
    return rest;
}

void cpus_join(struct cpus *s, const struct cpus *more)
{
    for (int i = 0; i < WORDS; i++)
        s->w[i] |= more->w[i];
}

struct cpus cpus_first(const struct cpus *s, unsigned n)
{
    struct cpus first = { { 0 } };
    for (unsigned cpu = 0; n && cpu < CPUS_MAX; cpu++)
        if (cpus_has(s, cpu)) {
            cpus_add(&first, cpu);
            n--;
        }
    return first;
}

/* A number at *p, which moves behind it. */
static bool number(const char **p, unsigned long *n)
{
    char *end;
    if (**p < '0' || **p > '9')
        return false;
    *n = strtoul(*p, &end, 10);
    *p = end;
    return *n < CPUS_MAX;
}

bool cpus_parse(const char *text, struct cpus *out)
{
    *out = (struct cpus){ { 0 } };
    const char *p = text ? text : "";
    while (*p && *p != '\n') {
        unsigned long from, to;
        if (!number(&p, &from))
            return false;
        to = from;
        if (*p == '-' && (p++, !number(&p, &to)))
            return false;
        for (unsigned long cpu = from; cpu <= to; cpu++)
            cpus_add(out, (unsigned)cpu);
        if (to < from || (*p == ',' && (p++, !*p)))
            return false;
        if (*p && *p != '\n' && p[-1] != ',')
            return false;
    }
    return true;
}

char *cpus_text(const struct cpus *s, char out[CPUS_TEXT])
{
    size_t n = 0;
    out[0] = '\0';
    for (unsigned cpu = 0; cpu < CPUS_MAX; cpu++) {
        unsigned from = cpu;
        if (!cpus_has(s, cpu))
            continue;
        while (cpus_has(s, cpu + 1))
            cpu++;
        n += (size_t)snprintf(out + n, CPUS_TEXT - n, "%s%u", n ? "," : "",
                              from);
        if (cpu > from)
            n += (size_t)snprintf(out + n, CPUS_TEXT - n, "-%u", cpu);
    }
    return out;
}
