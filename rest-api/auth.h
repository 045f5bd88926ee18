/*
 * auth - who asks, and what they may, as of one snapshot.
 *
 * A token says who its owner was when it was made; whether that still holds
 * is looked up here: the user and its domain are there and enabled, nothing
 * has voided the token since, the scope is there and enabled, an application
 * credential lives, and some role is left.  Roles come from assignments of
 * the user and its groups, inherited ones included, and all that these
 * imply.
 *
 * What was found is remembered by token until some record of identity
 * changes, so that the usual request costs one opened token and one copy.
 * The listener that forgets runs before the commit's own answer, so whoever
 * revoked something never sees it work afterwards.
 *
 * Threads: all calls from any thread.
 */
#ifndef CAIRN_REST_API_AUTH_H
#define CAIRN_REST_API_AUTH_H

#include "rest-api/api.h"
#include "rest-api/token.h"

struct auth_memory;

/* What api->auth_memory is; before cache_follow.  Freed after
 * cache_unfollow. */
struct auth_memory *auth_memory_new(struct cache *cache);
void auth_memory_free(struct auth_memory *m); /* NULL is fine */

/* The value of api->authenticate: X-Auth-Token of r -> r->auth. */
bool auth_request(struct req *r);

/* The same for a token that was opened already (X-Subject-Token, a token as
 * method): its strings come from `a`.  False: ERR_UNAUTHENTICATED, one
 * sentence for all reasons. */
bool auth_of_token(const struct snapshot *snap, const struct token *t,
                   int64_t now, struct arena *a, struct auth *out,
                   struct error *err);

/* The ids of all roles a user has in a scope, implied ones included, sorted,
 * each once; memory of `a`.  `target` is the project's or domain's id (system
 * scope: ignored).  False: none (role_ids is then empty).  Does not look at
 * `enabled` of anything. */
bool auth_roles(const struct snapshot *snap, const char *user_id,
                enum scope scope, const char *target, struct arena *a,
                struct strs *role_ids);

/* Is there such a user, project (its domain too), domain: enabled?  The
 * record, or NULL. */
const struct user *auth_user(const struct snapshot *snap, const char *id);

/* Fills what a token needs but for methods and parent: issued now, a fresh
 * audit id; expires = now + lifetime_us. */
void auth_new_token(const struct env *env, const char *user_id,
                    enum scope scope, const char *target, int64_t lifetime_us,
                    struct token *out);

#endif
