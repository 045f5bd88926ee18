/*
 * cpus - sets of a machine's CPUs, and their text as the kernel writes it:
 * "0-3,8,10-11" (ranges, ascending; cpuset(7), "List format").
 *
 * A set is a plain value.  CPUs from CPUS_MAX on are left out.  Pure.
 */
#ifndef CAIRN_MODEL_CPUS_H
#define CAIRN_MODEL_CPUS_H

#include <stdbool.h>
#include <stdint.h>

#define CPUS_MAX  1024
#define CPUS_TEXT 4096 /* room for any set's text, with the final NUL */

struct cpus {
    uint64_t w[CPUS_MAX / 64];
};

static inline void cpus_add(struct cpus *s, unsigned cpu)
{
    if (cpu < CPUS_MAX)
        s->w[cpu / 64] |= 1ULL << (cpu % 64);
}

static inline bool cpus_has(const struct cpus *s, unsigned cpu)
{
    return cpu < CPUS_MAX && (s->w[cpu / 64] >> (cpu % 64) & 1);
}

unsigned cpus_count(const struct cpus *s);
struct cpus cpus_both(const struct cpus *a, const struct cpus *b);
struct cpus cpus_without(const struct cpus *a, const struct cpus *b);
void cpus_join(struct cpus *s, const struct cpus *more);
/* The first `n` of a set; fewer where there are fewer. */
struct cpus cpus_first(const struct cpus *s, unsigned n);

/* False: it is no such list; *out is what was read up to there.  NULL and ""
 * are the empty set. */
bool cpus_parse(const char *text, struct cpus *out);
char *cpus_text(const struct cpus *s, char out[CPUS_TEXT]);

#endif
