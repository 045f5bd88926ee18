/*
 * placement - the commands that ask the engine: explain, what-if, plan, policy.
 *
 * Each gets the words after its name, up to NULL, prints what the pool
 * answers and returns whether it did; err is then set.
 */
#ifndef CAIRN_CLI_PLACEMENT_H
#define CAIRN_CLI_PLACEMENT_H

#include "cli/cloud.h"

typedef bool command_fn(struct cloud *c, char **args, struct error *err);

command_fn placement_explain, placement_what_if, placement_plan,
    placement_policy, placement_node;

#endif
