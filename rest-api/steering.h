/*
 * steering - what the engine goes by, set over the native API: for
 * administrators.
 *
 *   GET    /cairn/v1/policy         placement, weights, rebalancing, goals,
 *                                   max_moves, parallel, per_host,
 *                                   gain_percent, large, places, reserve
 *   PUT    /cairn/v1/policy         those that are given; null: as usual
 *   PATCH  /cairn/v1/nodes/{name}   traits, resources, rack, cpu_overcommit,
 *                                   ram_overcommit, ram_reserved_mb,
 *                                   bandwidth_mbps
 */
#ifndef CAIRN_REST_API_STEERING_H
#define CAIRN_REST_API_STEERING_H

#include "rest-api/request.h"

handler_fn steering_show, steering_change, steering_change_node;

#endif
