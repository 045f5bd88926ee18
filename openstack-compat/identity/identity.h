/*
 * identity - Keystone's v3 API at "/identity".
 *
 * Built: version discovery, tokens (methods password, token and application
 * credential; scopes project, domain, system and none), catalogue, domains,
 * projects with tags, users, groups, roles and implied roles, assignments
 * with inheritance, regions, services, endpoints, application credentials.
 * Not built, hence 404 and in no document: credentials, policies, limits,
 * trusts, federation, access rules, domain configuration.
 *
 * The handlers are pure (request.h); any thread.
 */
#ifndef CAIRN_OPENSTACK_COMPAT_IDENTITY_H
#define CAIRN_OPENSTACK_COMPAT_IDENTITY_H

#include "rest-api/route.h"

extern const struct service_api identity_api;

#endif
