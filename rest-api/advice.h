/*
 * advice - placement explained over the native API, and its policy.
 *
 *   GET   /cairn/v1/servers/{id}/placement   the decision that was made, and
 *                                            how it would be made now
 *   POST  /cairn/v1/placement/explain        a would-be server
 *   POST  /cairn/v1/placement/what-if        lose, add, place
 *   GET   /cairn/v1/policy, PUT              placement, rebalancing, reserve
 *   PATCH /cairn/v1/nodes/{name}             traits, resources, rack, ratios
 *
 * The first two answer a project about its own servers as well, without
 * nodes and other projects' servers; the rest is for administrators.
 */
#ifndef CAIRN_REST_API_ADVICE_H
#define CAIRN_REST_API_ADVICE_H

#include "rest-api/request.h"

handler_fn advice_server, advice_explain, advice_what_if, advice_show_policy,
    advice_change_policy, advice_change_node;

#endif
