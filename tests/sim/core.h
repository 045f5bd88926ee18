/*
 * core - the privileged half of the daemon, in one incarnation.
 *
 * Its end of the store, its cache, and all controllers and reconcilers with
 * no workers: core_step runs one due key of one queue.
 */
#ifndef CAIRN_SIM_CORE_H
#define CAIRN_SIM_CORE_H

#include "world.h"

#define SIM_IMAGE          "22222222-0000-4000-8000-000000000001"
#define SIM_ADMIN_PASSWORD "s3cr3t-admin"
#define SIM_DEMO_PASSWORD  "s3cr3t-demo"
#define SIM_PASSWORD_COST  2 /* of scrypt: no secret is kept here */

/* What is there before the first call: bootstrap, a node, an image. */
void core_first_content(struct world *w);
struct core *core_start(struct world *w);
void core_stop(struct core *c);
void core_face_starts(struct core *c);
bool core_hear(struct core *c); /* delivers one thing from the store */
bool core_step(struct core *c);
int64_t core_due(struct core *c);

#endif
