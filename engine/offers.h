/*
 * offers - what a host may expect to be asked for, drawn from the mix.
 *
 * Hosts that are made alike (capacity, devices, NUMA cells if anybody asks
 * for these, traits, aggregates, zone) are of one *shape*.  For each shape,
 * ROUNDS sequences of LENGTH requests are drawn from the recent mix.  A class
 * of requests is drawn in proportion to
 *
 *      share of the arrivals
 *    x its size: the largest part of any resource of the pool that it takes
 *    x how many an empty host of this shape holds
 *    / how many the whole pool, empty, holds
 *
 * so each unit of demand counts alike, and goes where it can go: what only a
 * few hosts can take (a device model, a trait, eight devices in one host) is
 * offered more often to these.  The same draws serve all states of a host,
 * which makes the difference between two states far less noisy than either.
 *
 * A function of the mix's version and of what the hosts are (not of what is
 * on them, nor of whether they are up).  Owned by an outlook; one thread.
 */
#ifndef CAIRN_ENGINE_OFFERS_H
#define CAIRN_ENGINE_OFFERS_H

#include "engine/fleet.h"
#include "engine/mix.h"

#define OFFERS_ROUNDS       16
#define OFFERS_LENGTH       128
#define OFFERS_WORDS        (OFFERS_LENGTH / 64)
#define OFFERS_PRESSURE_ONE 256
#define OFFERS_PRESSURE_MAX (4 * OFFERS_PRESSURE_ONE)
#define OFFERS_SHAPES       128 /* beyond that, capacities are told apart less */

/* What a NUMA cell has, in the order of fleet_cell_more after the first two. */
#define OFFER_AMOUNTS (2 + CELL_MORE)

struct offer_part {
    uint16_t devices; /* bit: this device of the host will do */
    uint16_t thousandths;
    uint8_t count; /* 0: no more */
};

/* A class of the mix, in the terms of one shape. */
struct offer {
    int32_t need[FLEET_RESOURCES]; /* in the order of offers.resources */
    struct offer_part parts[REQUEST_DEVICES];
    int32_t of_cell[OFFER_AMOUNTS]; /* of each of its cells */
    uint8_t cells;                  /* 0: it floats */
};

/* Bits of a sequence each. */
struct offer_places {
    uint64_t w[OFFERS_ROUNDS][OFFERS_WORDS];
};

struct shape {
    uint64_t key;
    uint32_t hosts; /* of this shape; the first of them */
    uint32_t first;
    int32_t capacity[FLEET_RESOURCES]; /* rounded */
    struct offer *offers;              /* NULL: not drawn yet */
    uint32_t n_offers;
    uint16_t drawn[OFFERS_ROUNDS][OFFERS_LENGTH]; /* of `offers` */
    struct offer_places *places; /* of each offer: where it was drawn */
    struct offer_places plain;   /* where no devices are asked for */
    uint32_t pressure; /* of demand on its devices; the mean is ..._ONE */
    bool cells;        /* some of the offers ask for NUMA cells */
    uint16_t *levels;  /* thousandths of a device that are asked for, rising */
    uint32_t n_levels;
    struct offer_places *small; /* [n_levels + 1]: devices are asked for, and
                                 * none of more than levels[i - 1] */
};

struct offers {
    const struct mix_class *classes; /* of the mix, borrowed */
    uint32_t n_classes;
    double *weight; /* by class: share x size / pool holds */
    uint8_t resources[FLEET_RESOURCES]; /* that the mix asks for ... */
    int n_resources;                    /* ... in this order */
    /* Worth of one unit left unused, in 2^-46 of the pool's. */
    uint64_t worth[FLEET_RESOURCES], device_worth;
    bool cells; /* somebody asks for NUMA cells */
    struct shape *shapes;
    uint32_t n_shapes, shapes_size;
    double pressure;    /* of the mix on a device, in the mean */
    uint32_t *shape_of; /* by host; MAP64_NONE: vacant */
};

/* What is free, to a few significant bits: many more hosts are in equal
 * states, and what a draw would show of the rest is noise.  Upward, so that
 * what fits exactly still fits. */
int32_t offers_rough(int32_t v);
/* What a cell has free of each, and what a demand takes of it. */
void offers_cell(const struct fleet_cell *c, int32_t out[OFFER_AMOUNTS]);
void offers_of_cell(const struct demand *d, int32_t out[OFFER_AMOUNTS]);

void offers_make(struct offers *o, const struct fleet *f);
void offers_clear(struct offers *o);
/* The shape of a host that is not vacant, with its offers. */
struct shape *offers_shape(struct offers *o, const struct fleet *f,
                           uint32_t host);

#endif
