/*
 * board - a fleet laid out for planning: what stands where, and moves that
 * are tried and taken back by the million.
 *
 * A board is made from a fleet and knows its hard rules in a form that is
 * quick to ask: for each class the set of hosts whose facts admit it, for
 * each host what is free in the resources that anybody needs, its NUMA
 * cells, and who of a group is where.  Every move it allows is one that
 * fit.h allows (order.h asks fit.h again, move by move).  It is stricter in
 * two things: guests with devices stay, and guests with a spread stay in
 * their domain.  In one thing it is milder: a hard affinity group that has to
 * leave its host goes one by one.  The first of them may go where none is if
 * the group is `leading` and all are on draining hosts; whoever sets that
 * sees to it that the others follow.
 *
 * Owned by its maker, one thread; holds no pointer into the fleet but
 * `fleet`, which must outlive it unchanged.
 */
#ifndef CAIRN_ENGINE_BOARD_H
#define CAIRN_ENGINE_BOARD_H

#include "engine/fleet.h"
#include "engine/strain.h"

#define BOARD_NONE UINT32_MAX

struct board_guest {
    uint64_t id;
    uint32_t class_;           /* number on the board */
    uint32_t host, home;       /* now, and in the fleet */
    uint8_t cells, home_cells; /* bits */
    bool movable;              /* at all */
    bool spared;               /* only for its own sake: moved lately */
    uint32_t group;            /* of the board; BOARD_NONE */
    int32_t use[STRAINS];      /* measured (of CPU: wanted); see strain.h */
    int32_t stall[STRAINS];    /* thousandths of its time; 0 if not known */
    int64_t cost;              /* of moving it, points (cost.h) */
    uint32_t next, prev;       /* on the host; BOARD_NONE */
};

struct board_cell { /* of a host: free; of a class: taken of each */
    int32_t vcpu, memory, more[CELL_MORE];
};

struct board_class {
    int32_t need[FLEET_RESOURCES]; /* in the board's dimensions */
    struct board_cell cell;
    uint8_t cells;
    uint64_t *hosts; /* bits: those whose facts admit it */
};

struct board_host {
    struct board_cell cells[FLEET_CELLS];
    uint8_t n_cells, state;
    uint32_t guests, first; /* how many; BOARD_NONE */
    int32_t cpus;           /* thousandths that the machine has */
    int64_t use[STRAINS];   /* measured: what its guests want */
};

struct board_group {
    struct request_group rule;
    uint32_t n;        /* members */
    uint32_t *members; /* guests of the board */
};

struct board {
    const struct fleet *fleet;
    uint32_t n_hosts, n_guests, n_classes, n_groups, dims;
    uint8_t dim[FLEET_RESOURCES]; /* the fleet's resource of a dimension */
    struct board_host *hosts;
    int32_t *room;              /* free, by host and dimension */
    struct board_guest *guests; /* by id */
    struct board_class *classes;
    struct board_group *groups;
    uint32_t leading; /* group; BOARD_NONE */
};

struct board *board_new(const struct fleet *f);
void board_free(struct board *b);

/* May `guest` go there, to these cells (0: it floats)?  Not where it is, and
 * not home to other cells. */
bool board_allows(const struct board *b, uint32_t guest, uint32_t host,
                  uint8_t cells);
/* The same but for room. */
bool board_admits(const struct board *b, uint32_t guest, uint32_t host);
/* Is there room, but for cells? */
bool board_roomy(const struct board *b, uint32_t guest, uint32_t host);
/* The tightest cells that take it, on a host that has room: false: none. */
bool board_cells(const struct board *b, uint32_t guest, uint32_t host,
                 uint8_t *cells);
/* From (`sign` 1) or back to (-1) a cell. */
void board_take_cell(struct board_cell *c, const struct board_class *k,
                     int sign);
void board_move(struct board *b, uint32_t guest, uint32_t host, uint8_t cells);
/* Members of the guest's group on a host, without itself. */
uint32_t board_mates(const struct board *b, uint32_t guest, uint32_t host);
/* Are all members of the group on draining hosts, or on host `but`? */
bool board_abandons(const struct board *b, uint32_t group, uint32_t but);
/* Are all members on that host? */
bool board_gathered(const struct board *b, uint32_t group, uint32_t host);
uint32_t board_find(const struct board *b, uint64_t id); /* BOARD_NONE */

static inline bool board_class_on(const struct board_class *k, uint32_t host)
{
    return k->hosts[host / 64] >> (host % 64) & 1;
}

static inline bool board_away(const struct board_guest *g)
{
    return g->host != g->home;
}

#endif
