/*
 * berth - the best place for one guest of a board: pure.
 *
 * Up to BERTH_ALL hosts all are tried.  Beyond, guests of one class share a
 * list of the BERTH_BEST hosts that were best for one of them; it is made
 * anew when the board has moved on, and all are tried when none of the list
 * will do.  So a search costs by its moves, not by guests times hosts; what
 * is found is allowed in any case, and seldom not the best.
 *
 * A class that found no place anywhere is not asked again until something
 * has moved.
 */
#ifndef CAIRN_ENGINE_BERTH_H
#define CAIRN_ENGINE_BERTH_H

#include "engine/search.h"

#define BERTH_ALL  512
#define BERTH_BEST 64

struct berth {
    uint32_t host;
    uint8_t cells;
    int64_t change; /* of the sum; with what the group thinks of it */
};

/* Of equal places the first by name; `not_empty`: only hosts with guests.
 * False: none takes it. */
bool berth_find(struct search *s, uint32_t guest, bool not_empty,
                struct berth *out);
/* The lists of a search; NULL is fine. */
void berth_free(struct search *s);

#endif
