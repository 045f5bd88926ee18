/*
 * whatif - lose this node, add three of those, place these forty.
 *
 * Tried on a fork of the live view (view_fork), which is left as it was.
 * In this order: the new nodes come, the lost ones go and their servers look
 * for a place one after another (the most important first, then the
 * largest), then the would-be servers are placed.
 *
 * Those of lost nodes may use the room that is kept for failures, would-be
 * servers may not.
 *
 * The answer is about room and rules.  Whether a server can really be
 * started elsewhere is another matter: what stands on the lost node's own
 * disks is lost with it, and counted as such.
 *
 * Pure; one thread.
 */
#ifndef CAIRN_ENGINE_WHATIF_H
#define CAIRN_ENGINE_WHATIF_H

#include "engine/explain.h"
#include "engine/remedy.h"

#define WHATIF_ITEMS 16   /* of each kind */
#define WHATIF_COUNT 4096 /* of one item */
#define WHATIF_NAMED 16   /* servers that are named one by one */

struct whatif_add {
    const char *like; /* node whose capacity and traits they have */
    unsigned count;
};

struct whatif_place {
    const struct server *server; /* a would-be one */
    unsigned count;
};

struct whatif_question {
    const char *lose[WHATIF_ITEMS];
    struct whatif_add add[WHATIF_ITEMS];
    struct whatif_place place[WHATIF_ITEMS];
    unsigned n_lose, n_add, n_place;
};

/* One batch of placing. */
struct whatif_placed {
    unsigned asked, placed, nodes; /* on so many nodes */
    char *why;  /* the first that found no place; NULL: all did */
    char *help; /* the smallest change for it, or NULL */
};

struct whatif_amount {
    int64_t capacity, used; /* on nodes that are up; units of fleet */
};

struct whatif_answer {
    struct whatif_amount before[FLEET_RESOURCES], after[FLEET_RESOURCES];
    unsigned nodes_before, nodes_after; /* that are up */
    unsigned reserve;                   /* node failures it is for; 0: none */
    bool kept_before, kept_after;       /* does it hold? */
    struct whatif_placed lost;          /* the servers of lost nodes */
    unsigned local;                  /* of them: on disks that are lost too */
    unsigned volumes;                /* lost with their node */
    uint64_t homeless[WHATIF_NAMED]; /* guests; 0: no more */
    struct whatif_placed place[WHATIF_ITEMS];
};

/* False: a node is not known, ERR_NOT_FOUND; too many, ERR_INVALID. */
bool whatif(struct view *v, const struct whatif_question *q,
            struct whatif_answer *out, struct error *err);
void whatif_free(struct whatif_answer *a);

#endif
