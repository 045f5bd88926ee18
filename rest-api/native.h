/*
 * native - what Cairn itself has to say, beside OpenStack: /cairn/v1.
 *
 * For the `cairn` command and for people with curl; administrators only,
 * but for what advice.h says to a project about its own.
 *
 *   GET  /cairn/v1/status            revision, records of each kind
 *   GET  /cairn/v1/nodes             the pool's nodes and what runs there
 *   GET  /cairn/v1/records/{kind}    every record of a kind, secrets left out
 *   GET  /cairn/v1/records/{kind}/{id}
 *   POST /cairn/v1/network/rebuild   derive OVN's northbound database anew,
 *                                    soon (202)
 *
 * What has to do with placement: advice.h, forecast.h, steering.h.
 */
#ifndef CAIRN_REST_API_NATIVE_H
#define CAIRN_REST_API_NATIVE_H

#include "rest-api/resource.h"
#include "rest-api/route.h"

extern const struct service_api native_api;

#endif
