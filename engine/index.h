/*
 * index - the best host of each class of requests, kept as hosts change.
 *
 * Each class that is asked for often has a tree of maxima over the hosts, a
 * lane of a bank (bank.h), whose root is the answer.  A bank reads the
 * changes of the fleet from its journal when it is next asked, so classes
 * that rest cost nothing.
 *
 * Hosts that one request must not use (excluded, holding its group) are
 * skipped on the way down: a subtree is entered only while its maximum beats
 * what was found, so a few such hosts cost a few nodes.
 *
 * At most INDEX_BANKS banks: a class gets a lane after its third miss, from
 * another one if that was not asked for during those three.
 *
 * Owned by a chooser; one thread.
 */
#ifndef CAIRN_ENGINE_INDEX_H
#define CAIRN_ENGINE_INDEX_H

#include "engine/fleet.h"

#define INDEX_BANKS 16

/* The hosts a request must not use: by mark, or by a domain that is full. */
struct index_skip {
    const struct fleet *f;
    const uint32_t *marks; /* by host: `stamp` means skip */
    uint32_t stamp;
    const uint32_t *full; /* by domain of `level`: `stamp`; NULL: none */
    enum fleet_level level;
};

static inline bool index_skips(const struct index_skip *s, uint32_t host)
{
    return s->marks[host] == s->stamp ||
           (s->full && s->full[fleet_domain(s->f, host, s->level)] == s->stamp);
}

struct index;
struct index *index_new(struct fleet *f);
void index_free(struct index *ix);

/* Has it a tree of this class?  If not, this was a miss, and it may grow one
 * (then: true). */
bool index_knows(struct index *ix, uint32_t class_);
/* The best host of a class that it knows; FLEET_NOWHERE: none.  `score` is
 * that of the host. */
uint32_t index_best(struct index *ix, uint32_t class_,
                    const struct index_skip *skip, int32_t *score);

#endif
