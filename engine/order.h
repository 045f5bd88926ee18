/*
 * order - one after another: pure.
 *
 * Turns the difference between two boards (where guests are, where they
 * should be) into a list of migrations each of which is valid when its turn
 * comes: room, cells and groups, counted with all those before it done.
 * Where guests wait for each other's room (an exchange, a ring), one of them
 * waits elsewhere meanwhile, at the price of one more migration; where there
 * is no room for that, or the limit is reached, one stays at home.
 */
#ifndef CAIRN_ENGINE_ORDER_H
#define CAIRN_ENGINE_ORDER_H

#include "engine/board.h"

struct order_move {
    uint32_t guest; /* of the board */
    uint32_t from, to;
    uint8_t from_cells, to_cells;
    bool waits; /* goes there only to make room for others */
};

struct order {
    struct order_move *moves;
    uint32_t n;
};

/* `now` is moved along and ends as the list leaves it; `target` says where
 * guests should be.  At most `most` migrations. */
void order_make(struct board *now, const struct board *target, uint32_t most,
                struct order *out);
void order_free(struct order *o);

#endif
