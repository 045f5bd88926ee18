/*
 * forecast - the pool as it would be, over the native API: for
 * administrators.
 *
 *   POST  /cairn/v1/placement/what-if   lose, add, place (engine/whatif.h)
 *   GET   /cairn/v1/plan                who should move, without moving
 *                                       anybody: ?goals=even,..&large=FLAVOR
 */
#ifndef CAIRN_REST_API_FORECAST_H
#define CAIRN_REST_API_FORECAST_H

#include "rest-api/request.h"

handler_fn forecast_what_if, forecast_plan;

#endif
