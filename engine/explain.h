/*
 * explain - why a request went where it went, or went nowhere.
 *
 * For each host the first constraint that excludes it (fit.h), with the
 * numbers, or its score with the parts.  Two languages: `tenant` texts name
 * no node and nobody else's servers; `operator` texts name everything.
 *
 *     struct explanation e;
 *     explain(view, &wish, &e);
 *     explain_counts(&e, &wish, text);      "2 nodes without enough memory"
 *     explain_host(view, &wish, &e.hosts[0], text);
 *     explain_free(&e);
 *
 * Reads the view and its snapshot.  One thread at a time, as the view.
 */
#ifndef CAIRN_ENGINE_EXPLAIN_H
#define CAIRN_ENGINE_EXPLAIN_H

#include "common/buf.h"
#include "engine/fit.h"
#include "engine/view.h"
#include "engine/wish.h"
#include "model/decision.h"

/* Kinds of exclusion as people are told: enum fit, with the lists and the
 * resources apart. */
#define EXPLAIN_KINDS (FIT_REASONS_N + 2 + FLEET_RESOURCES)

struct explained {
    uint32_t host;
    uint8_t reason;      /* enum fit; FIT_OK: it fits */
    uint8_t kind;        /* of EXPLAIN_KINDS */
    uint8_t short_of;    /* FIT_ROOM: the resource */
    int32_t wish, score; /* FIT_OK: see fit_wish, score.h */
};

/* Hosts that fit come first, the best of them first of all; the others by
 * name. */
struct explanation {
    struct explained *hosts;
    uint32_t n, fitting;
    uint32_t counts[EXPLAIN_KINDS];
};
void explain(struct view *v, const struct wish *w, struct explanation *out);
/* ... of those that fit only the `few` best are in order, and come first. */
void explain_few(struct view *v, const struct wish *w, uint32_t few,
                 struct explanation *out);
void explain_free(struct explanation *e);

/* "2 nodes disabled, 1 node without enough vCPUs": for tenants. */
void explain_counts(const struct fleet *f, const struct wish *w,
                    const struct explanation *e, struct buf *out);
/* Why this host is excluded, in numbers: for operators. */
void explain_host(struct view *v, const struct wish *w,
                  const struct explained *x, struct buf *out);

/* Share of a resource that would be left, in millionths of the capacity;
 * false: the request wants none of it. */
bool explain_part(const struct fleet *f, const struct wish *w, uint32_t host,
                  int resource, int64_t *millionths);
const char *explain_resource(int resource, const struct fleet *f);
const char *explain_policy(const struct fleet *f, const struct wish *w);

/* Puts it down as a record: candidates and counts, bounded. */
void explain_record(struct view *v, const struct wish *w,
                    const struct explanation *e, struct decision *out);

#endif
