/*
 * core - the privileged half of the daemon, in one incarnation.
 *
 * Its end of the store, its cache, and all controllers and reconcilers with
 * no workers: core_step runs one due key of one queue, or what is due of an
 * election.  In a pool of many those that work for all ask core_leads and
 * are fenced by the term, as daemon/pool_duty.h has it.
 */
#ifndef CAIRN_SIM_CORE_H
#define CAIRN_SIM_CORE_H

#include "sim_node.h"

#define CORE_STANDING      3 /* the first nodes would lead */
#define SIM_IMAGE          "22222222-0000-4000-8000-000000000001"
#define SIM_ADMIN_PASSWORD "s3cr3t-admin"
#define SIM_DEMO_PASSWORD  "s3cr3t-demo"
#define SIM_PASSWORD_COST  2 /* of scrypt: no secret is kept here */

/* What is there before the first call: bootstrap, a node, an image. */
void core_first_content(struct world *w);
struct core *core_start(struct sim_node *n);
void core_stop(struct core *c);
void core_face_starts(struct core *c);
/* `cairn node remove`, as the broker has it. */
bool core_remove_node(struct core *c, const char *name, struct error *err);
bool core_hear(struct core *c); /* delivers one thing from the store */
bool core_step(struct core *c);
int64_t core_due(struct core *c);
int64_t core_revision(struct core *c); /* that it has heard of */
struct snapshot *core_snapshot(struct core *c);
/* Does the node work for all, as far as it knows? */
bool core_leads(const struct sim_node *n);
int64_t core_term(const struct sim_node *n); /* 0: it does not, or is alone */

#endif
