/*
 * assign - what of a node a guest was given, in the record of its server and
 * in the fleet's terms.
 *
 * A placing (request.h) numbers the cells and devices of a host; a record
 * names them (model/compute.h: server_cell, server_device), so that it means
 * the same when cells or devices have come or gone.  Cell i of a host is the
 * i-th in its node's record, device i likewise, up to FLEET_CELLS and
 * FLEET_DEVICES.  What is written is read back as it was (test_assign.c).
 *
 * CPUs of a guest's own are chosen here: the first of the cell that nobody
 * has.  Pure; no threads.
 */
#ifndef CAIRN_ENGINE_ASSIGN_H
#define CAIRN_ENGINE_ASSIGN_H

#include "engine/request.h"
#include "model/compute.h"
#include "model/cpus.h"
#include "model/pool.h"

/* Cells and devices of the node (struct server_cell, server_device) into `at`,
 * whose host is set; names that it does not have any more are left out. */
void assign_read(const struct node *n, const struct list *cells,
                 const struct list *devices, struct placing *at);

/* The other way; `taken`: CPUs of the node that other guests have for
 * themselves.  False: there are fewer CPUs than the guest must have
 * (somebody has changed the node meanwhile). */
bool assign_write(const struct node *n, const struct placing *at,
                  const struct cpus *taken, struct server *draft);

/* The CPUs of the node that servers have for themselves, those on their way
 * to it or back from it included. */
void assign_taken(const struct snapshot *snap, const char *node,
                  struct cpus *out);
/* Adds those of one server's cells. */
void assign_cpus(const struct list *cells, struct cpus *out);

/* CPUs of cell `i` of the node: all of them, and those kept for guests of
 * their own.  A node without cells in its record is one cell. */
struct cpus assign_cell_cpus(const struct node *n, size_t i);
struct cpus assign_pinned(const struct node *n, size_t i);

#endif
