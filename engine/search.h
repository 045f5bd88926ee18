/*
 * search - better places for guests of a board: pure.
 *
 * What is looked for is a board with the least sum of pain (goals.h) and
 * price (the cost of every guest that is away from home, times the policy's
 * hysteresis), with at most so many guests away.  Five ways, from the
 * purposeful to the patient:
 *
 *   search_needed    those that must go (evacuation, broken groups), each to
 *                    the best place, others moved out of the way for it
 *   search_empty     whole hosts at a time
 *   search_fill      guests of the fullest hosts to those that are nearly empty
 *   search_descend   the best single move, again and again
 *   search_anneal    simulated annealing (Kirkpatrick et al. 1983) over
 *                    single moves: goes through worse boards to better ones,
 *                    so that chains and exchanges are found without being
 *                    named; a limit on moves is soft on the way:
 *                    every guest away pays a toll that follows how many are
 *   search_prune     sends home whoever is not worth the price
 *
 * Deterministic: by board, policy and seed; never by a clock.
 */
#ifndef CAIRN_ENGINE_SEARCH_H
#define CAIRN_ENGINE_SEARCH_H

#include "engine/goals.h"

struct berth_list;

struct search_step {
    uint32_t guest, host; /* where it was */
    uint8_t cells;
    uint64_t state; /* of the search */
};

struct search {
    struct board *board;
    const struct goals *goals;
    uint32_t most;      /* guests away from home */
    int32_t hysteresis; /* thousandths: price = cost times this */
    uint64_t rng;
    int64_t *pain; /* by host, as the board stands */
    uint32_t away;
    struct search_step *log; /* what was done, to be taken back */
    uint32_t logged, log_size;
    uint64_t turn;              /* moves so far, taken back or not */
    uint64_t state;             /* equal numbers: equal boards */
    uint64_t *stuck;            /* by class: no room can be made, state + 1 */
    struct berth_list **berths; /* by class (berth.h); NULL: none yet */
};

void search_init(struct search *s, struct board *b, const struct goals *g,
                 uint32_t most, int32_t hysteresis, uint64_t seed);
void search_free(struct search *s);

void search_needed(struct search *s);
void search_empty(struct search *s);
void search_fill(struct search *s);
void search_descend(struct search *s);
void search_anneal(struct search *s, uint64_t steps);
void search_prune(struct search *s);

/* For those above. */
void search_move(struct search *s, uint32_t guest, uint32_t host,
                 uint8_t cells);
/* What the sum would change by; the board is as before. */
int64_t search_change(struct search *s, uint32_t guest, uint32_t host,
                      uint8_t cells);
/* May one more be away from home, if it is this one? */
bool search_may_add(const struct search *s, uint32_t guest);
int64_t search_price(const struct search *s, uint32_t guest);

#endif
