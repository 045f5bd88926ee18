/*
 * cloud - the pool as the `cairn` command reaches it: over its API.
 *
 * Credentials come from the same environment as every OpenStack client's
 * (OS_AUTH_URL, OS_USERNAME ...; see build/openrc).  One thread.
 */
#ifndef CAIRN_CLI_CLOUD_H
#define CAIRN_CLI_CLOUD_H

#include "common/error.h"

#include <jansson.h>

struct cloud;

/* Logs in by password.  The errors name the variable that is missing. */
struct cloud *cloud_open(struct error *err);
void cloud_close(struct cloud *c); /* NULL is fine */

/* One call below https://POOL/cairn/v1; the answer's JSON (json_null when it
 * has no body), to be released; NULL: err has the API's own message. */
json_t *cloud_call(struct cloud *c, const char *method, const char *path,
                   struct error *err);
/* The same with a JSON body. */
json_t *cloud_send(struct cloud *c, const char *method, const char *path,
                   const json_t *body, struct error *err);

#endif
