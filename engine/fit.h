/*
 * fit - may this request go to this host, and how well would it sit there?
 *
 * The plain meaning of every constraint, a host at a time.  choose_exhaustive
 * asks it of every host; the fast paths of choose.c must agree with it.
 * explain.h tells people its reasons.  Pure; no threads.
 */
#ifndef CAIRN_ENGINE_FIT_H
#define CAIRN_ENGINE_FIT_H

#include "engine/fleet.h"

/* In the order in which they are asked.  RESERVE is not asked of a host by
 * fit_host, but of the pool, by view_bears. */
#define FIT_REASONS(X)                                                         \
    X(OK, "fits")                                                              \
    X(VACANT, "no host")                                                       \
    X(ALLOWED, "not among the requested hosts")                                \
    X(EXCLUDED, "among the excluded hosts")                                    \
    X(STATE, "disabled or draining")                                           \
    X(ZONE, "in another zone")                                                 \
    X(REQUIRED, "lacks a required trait")                                      \
    X(FORBIDDEN, "has a forbidden trait")                                      \
    X(AGGREGATE, "outside of the required aggregates")                         \
    X(BARRED, "in a forbidden aggregate")                                      \
    X(TENANT, "set apart for other tenants")                                   \
    X(CPU, "a CPU on which it cannot go on")                                   \
    X(LARGEST, "more vCPUs than the machine has")                              \
    X(GROUP, "the group forbids it")                                           \
    X(SPREAD, "the group would be uneven")                                     \
    X(ROOM, "not enough room")                                                 \
    X(CELLS, "no NUMA cells with enough room")                                 \
    X(DEVICES, "not enough devices")                                           \
    X(DEAD, "not answering")                                                   \
    X(RESERVE, "the reserve for failures would be gone")

enum fit {
#define X(reason, text) FIT_##reason,
    FIT_REASONS(X)
#undef X
        FIT_REASONS_N
};

const char *fit_text(enum fit reason);

/* What the host is, whether or not it is up: zone to LARGEST. */
enum fit fit_nature(const struct fleet *f, const struct demand *d,
                    const struct fleet_facts *h);
/* The demand alone, without what it takes: state to LARGEST.  DEAD comes
 * last: whoever fits but for that is worth waiting for. */
enum fit fit_facts(const struct fleet *f, const struct demand *d,
                   uint32_t host);
/* Resources; `*short_of` (may be NULL) is the first one lacking. */
enum fit fit_room(const struct fleet *f, const struct demand *d, uint32_t host,
                  int *short_of);
/* Room, cells and devices: the best of them, and the score there. */
enum fit fit_parts(const struct fleet *f, const struct demand *d, uint32_t host,
                   struct placing *at, int32_t *score);

/* What a request asks of hosts beyond its demand, made ready. */
struct fit_rules {
    const struct request *r;
    const struct fleet_group *group; /* NULL: nobody in it yet */
    uint32_t least; /* of the group in any domain of its level */
};
void fit_rules(const struct fleet *f, const struct request *r,
               struct fit_rules *out);
/* GROUP. */
enum fit fit_group(const struct fit_rules *rules, uint32_t host);
/* SPREAD. */
enum fit fit_spread(const struct fleet *f, const struct fit_rules *rules,
                    uint32_t host);
/* Wishes come before the score: larger is better, 0 for hosts that neither
 * hold the group nor are preferred. */
int32_t fit_wish(const struct fit_rules *rules, uint32_t host);

/* Everything. */
enum fit fit_host(const struct fleet *f, const struct fit_rules *rules,
                  uint32_t host, struct placing *at, int32_t *score);

#endif
