/*
 * strain - what a machine runs short of while its guests run: pure.
 *
 * Four resources are shared by use, not by allocation: CPU, memory, disk,
 * network.  A machine is strained where
 *
 *   CPU      its guests want more than `trigger` of what it has (less what a
 *            hypervisor below takes), or one of them loses `stall` of its time
 *            and they want more than `target`
 *   MEMORY   they have nearly all of it (98 %), or guests or machine wait for
 *            memory (PSI) or it swaps, and they have more than half of it
 *   DISK     a guest waits for its disk (PSI) and others use the disk as
 *            well; or the machine waits, and at least two use it.  One that
 *            waits for what it alone does is not helped by moving
 *   NETWORK  the link carries more than `trigger` of what it can
 *
 * What it then should come down to, its comfort, is `target` of what it has.
 * What a disk can bear nobody says: comfort is `target` of what it did when it
 * made guests wait, and hosts where nobody waits are trusted with as much as
 * the least of those.  A host that is not strained may have what it has, so
 * that use may wander between the marks without anything being moved.
 */
#ifndef CAIRN_ENGINE_STRAIN_H
#define CAIRN_ENGINE_STRAIN_H

#include <stdbool.h>
#include <stdint.h>

#define STRAIN_LIST(X)                                                         \
    X(CPU, "cpu")                                                              \
    X(MEMORY, "memory")                                                        \
    X(DISK, "disk")                                                            \
    X(NETWORK, "network")

enum strain {
#define X(name, word) STRAIN_##name,
    STRAIN_LIST(X)
#undef X
        STRAINS
};

const char *strain_name(enum strain s); /* "cpu" */

struct strain_policy {
    int32_t trigger, target; /* thousandths of what the machine has */
    /* Thousandths of the time: of a guest, of the machine.  0: never. */
    int32_t stall[STRAINS], machine_stall[STRAINS];
    int32_t swap; /* KiB/s; 0: never */
    /* Hosts that somebody left lately: what they show (stalls, swap, link) is
     * smoothed and still of before, and not gone by.  Borrowed. */
    const uint32_t *settling;
    uint32_t n_settling;
};

/* Of one host.  Units: thousandths of a CPU, MiB, KiB/s, KiB/s. */
struct strains {
    int64_t comfort[STRAINS]; /* above this it hurts */
    int64_t unit[STRAINS];    /* so much above is a whole trouble */
    int64_t has[STRAINS];     /* what the machine can give; 0: not known */
    int64_t base[STRAINS];    /* used by others than its guests */
    int32_t stall[STRAINS];   /* the worst of guests and machine */
    bool strained[STRAINS];
    /* In something of which the capacity is known: who has moved lately may
     * have to move again. */
    bool urgent;
};

struct fleet_use;
struct board;

/* What a guest weighs: of CPU what it would use if nothing took its time. */
void strain_of_guest(const struct fleet_use *use, int32_t amounts[STRAINS],
                     int32_t stalls[STRAINS]);
/* All hosts of a board; `out` has room for them. */
void strain_find(const struct board *b, const struct strain_policy *p,
                 struct strains *out);
/* How much of a trouble, thousandths, is this use (without `base`)? */
static inline int64_t strain_over(const struct strains *s, int i, int64_t use)
{
    int64_t over = use + s->base[i] - s->comfort[i];
    return over > 0 ? over * 1000 / s->unit[i] : 0;
}

#endif
