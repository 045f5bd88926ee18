/*
 * ceph_command - the steps of ceph_plan as commands to the monitors.
 *
 * Pure; JSON as the `ceph` tool sends it (docs.ceph.com, "Monitor commands").
 */
#ifndef CAIRN_STORAGE_CEPH_COMMAND_H
#define CAIRN_STORAGE_CEPH_COMMAND_H

#include "storage/ceph_plan.h"

#include <jansson.h>

/* NULL: the step is no command, a node does it.  `pool`: of the volumes. */
json_t *ceph_step_command(const struct ceph_step *s, const char *pool);
/* Puts a node with its OSDs into a rack; "": into none. */
json_t *ceph_rack_command(const char *node, const char *rack);

#endif
